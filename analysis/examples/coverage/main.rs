//! Prints how often nominal 95 % intervals cover the truth, the table in the documentation of
//! `IntervalMethod`, in about half an hour:
//!
//! ```text
//! cargo run --release -p analysis --example coverage [samples [resamples [replicates ...]]]
//! ```

#[allow(dead_code)]
mod simulation;

use analysis::{Estimator, IntervalMethod};
use simulation::{Method, Population, coverage};

fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u32>().expect("a number"));
    let samples = numbers.next().unwrap_or(4_000);
    let resamples = numbers.next().unwrap_or(2_000) as usize;
    let replicates: Vec<usize> = numbers.map(|number| number as usize).collect();
    let replicates = if replicates.is_empty() { vec![5, 10, 30, 100] } else { replicates };
    println!("{samples} samples, {resamples} resamples each; truth below, covered, truth above");
    for estimator in [Estimator::Mean, Estimator::Iqm, Estimator::Median] {
        for population in Population::ALL {
            for &n in &replicates {
                let t = (estimator == Estimator::Mean).then_some(Method::T);
                let methods = t.into_iter().chain(IntervalMethod::ALL.map(Method::Bootstrap));
                for method in methods {
                    let found = coverage(population, estimator, method, n, resamples, samples);
                    println!(
                        "{:6} {:11} n {n:4}  {:11}  {:5.2}  {:5.2} ± {:.2}  {:5.2}  width {:6.3}  none {:.2}",
                        estimator.name(),
                        population.name(),
                        method.name(),
                        found.above,
                        found.percent,
                        found.error,
                        found.below,
                        found.width,
                        found.none,
                    );
                }
            }
        }
    }
}
