//! How often intervals cover the truth.

use analysis::{Bootstrap, Estimator, Interval, IntervalMethod, mean, sd};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Where a sample comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Population {
    /// The standard normal distribution.
    Normal,
    /// Three of ten values from a normal distribution around 0, the others from one around 6, both
    /// with standard deviation 1: runs that fail or succeed.
    Bimodal,
    /// The exponential distribution with mean 1 (skewness 2).
    Exponential,
    /// The exponential of a standard normal variable (skewness 6.2).
    Lognormal,
}

impl Population {
    pub const ALL: [Self; 4] = [Self::Normal, Self::Bimodal, Self::Exponential, Self::Lognormal];

    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Bimodal => "bimodal",
            Self::Exponential => "exponential",
            Self::Lognormal => "lognormal",
        }
    }

    /// What an estimator estimates; scipy 1.17.1, printed by `tests/fixtures/bootstrap.py`.
    pub fn truth(self, estimator: Estimator) -> f64 {
        match (self, estimator) {
            (Self::Normal, _) => 0.0,
            (Self::Bimodal, Estimator::Mean) => 4.2,
            (Self::Bimodal, Estimator::Iqm) => 5.027_595_002_490_827,
            (Self::Bimodal, Estimator::Median) => 5.434_051_212_796_593,
            (Self::Exponential, Estimator::Mean) => 1.0,
            (Self::Exponential, Estimator::Iqm) => 0.738_375_928_117_726_1,
            (Self::Exponential, Estimator::Median) => std::f64::consts::LN_2,
            (Self::Lognormal, Estimator::Mean) => 1.648_721_270_700_128_2,
            (Self::Lognormal, Estimator::Iqm) => 1.072_922_743_253_436_3,
            (Self::Lognormal, Estimator::Median) => 1.0,
        }
    }

    fn draw(self, generator: &mut ChaCha8Rng) -> f64 {
        match self {
            Self::Normal => normal(generator),
            Self::Bimodal => {
                let succeeds = uniform(generator) < 0.7;
                normal(generator) + if succeeds { 6.0 } else { 0.0 }
            }
            Self::Exponential => -libm::log(uniform(generator)),
            Self::Lognormal => libm::exp(normal(generator)),
        }
    }
}

/// In (0, 1].
#[allow(clippy::cast_precision_loss)] // 53 bits fit
fn uniform(generator: &mut ChaCha8Rng) -> f64 {
    ((generator.next_u64() >> 11) + 1) as f64 * (-53f64).exp2()
}

/// Box and Muller.
fn normal(generator: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * libm::log(uniform(generator))).sqrt();
    radius * libm::cos(std::f64::consts::TAU * uniform(generator))
}

/// How an interval is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Student's t, of the mean.
    T,
    /// By the bootstrap.
    Bootstrap(IntervalMethod),
}

impl Method {
    pub fn name(self) -> &'static str {
        match self {
            Self::T => "t",
            Self::Bootstrap(method) => method.name(),
        }
    }

    fn interval(
        self,
        sample: &[f64],
        estimator: Estimator,
        bootstrap: &Bootstrap,
    ) -> Option<Interval> {
        match self {
            Self::T => {
                // scipy.stats.t.isf(0.025, n - 1).
                let quantile = match sample.len() {
                    5 => 2.776_445_105_197_794_3,
                    10 => 2.262_157_162_798_205_3,
                    30 => 2.045_229_642_132_704,
                    100 => 1.984_216_951_586_417_6,
                    1_000 => 1.962_341_461_133_449_8,
                    n => panic!("no quantile for {n}"),
                };
                let (centre, n) = (mean(sample)?, u32::try_from(sample.len()).ok()?);
                let half = quantile * sd(sample)? / f64::from(n).sqrt();
                Some(Interval { low: centre - half, high: centre + half })
            }
            Self::Bootstrap(method) => {
                let bootstrap = Bootstrap { method, ..*bootstrap };
                bootstrap.sample(sample, estimator).expect("the options are in range")
            }
        }
    }
}

/// What came out.
#[derive(Clone, Copy, Debug)]
pub struct Coverage {
    /// Percentage of the intervals that hold the truth.
    pub percent: f64,
    /// Monte-Carlo standard error of that.
    pub error: f64,
    /// Percentage of the intervals that lie above the truth, and below it.
    pub above: f64,
    /// See `above`.
    pub below: f64,
    /// Mean width.
    pub width: f64,
    /// Percentage of the samples without an interval, which enter nothing else.
    pub none: f64,
}

/// The coverage of nominal 95 % intervals over repeated samples of `n` values. Sample `i` is the same
/// for every method and estimator, its resamples have the seed `i`.
pub fn coverage(
    population: Population,
    estimator: Estimator,
    method: Method,
    n: usize,
    resamples: usize,
    samples: u32,
) -> Coverage {
    let threads = u32::try_from(Bootstrap::tables().threads).unwrap_or(1);
    let truth = population.truth(estimator);
    let one = |sample: u32| {
        let mut generator = ChaCha8Rng::seed_from_u64(u64::from(sample));
        let values: Vec<f64> = (0..n).map(|_| population.draw(&mut generator)).collect();
        let bootstrap = Bootstrap { resamples, seed: sample.into(), ..Bootstrap::tables() };
        method.interval(&values, estimator, &bootstrap)
    };
    let intervals: Vec<Option<Interval>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let share = samples * thread / threads..samples * (thread + 1) / threads;
                scope.spawn(move || share.map(one).collect::<Vec<_>>())
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no sample panics")).collect()
    });
    let found: Vec<Interval> = intervals.iter().copied().flatten().collect();
    let share = |holds: &dyn Fn(&Interval) -> bool| {
        mean(&found.iter().map(|i| f64::from(u8::from(holds(i)))).collect::<Vec<_>>())
            .unwrap_or(f64::NAN)
    };
    let covered = share(&|i| i.low <= truth && truth <= i.high);
    let count = f64::from(u32::try_from(found.len()).unwrap_or(u32::MAX));
    Coverage {
        percent: 100.0 * covered,
        error: 100.0 * (covered * (1.0 - covered) / count).sqrt(),
        above: 100.0 * share(&|i| i.low > truth),
        below: 100.0 * share(&|i| i.high < truth),
        width: mean(&found.iter().map(|i| i.high - i.low).collect::<Vec<_>>()).unwrap_or(f64::NAN),
        none: 100.0 * (1.0 - count / f64::from(samples)),
    }
}
