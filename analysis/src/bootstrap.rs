//! Bootstrap intervals, seeded and independent of the number of threads.
//!
//! [`IntervalMethod`] says how the ends of an interval come from the resamples. What is resampled is
//! the design: one sample or several strata ([`Bootstrap::interval`], [`Bootstrap::interval_of`]),
//! and for [`Estimator`](super::Estimator)s also pairs, clusters and hierarchies.

mod coverage;
mod designs;
mod method;
mod statistic;
#[cfg(test)]
mod tests;

pub use designs::Hierarchy;
pub use method::IntervalMethod;
pub use statistic::Statistic;
pub(super) use statistic::{Clustered, ClusteredMean, jackknife_error};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::AnalysisError;
use statistic::jackknife;

/// How intervals are made.
///
/// Resample `r` of stratum `s` draws from its own ChaCha stream, keyed by *(seed, s, r)*. The
/// interval therefore depends on neither the number of threads nor what else is estimated, and
/// groups with equally many replicates draw the same replicates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// How the ends come from the resamples.
    pub method: IntervalMethod,
    /// Number of resamples.
    pub resamples: usize,
    /// Probability that an interval is meant to cover the estimand, in (0, 1).
    pub level: f64,
    /// Seed of the resampling; part of what makes a result re-makeable.
    pub seed: u64,
    /// Threads to use; shows in no number.
    pub threads: usize,
}

/// The ends of an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What was drawn for a stratum: of the Bayesian bootstrap weights, of every other method indices.
/// Resample `r` has `[r * units..][..units]` of either.
pub(super) struct Draws {
    units: usize,
    indices: Vec<u32>,
    weights: Vec<f64>,
}

impl Draws {
    pub(super) fn resample(&self, resample: usize) -> &[u32] {
        &self.indices[resample * self.units..][..self.units]
    }

    fn weights(&self, resample: usize) -> &[f64] {
        &self.weights[resample * self.units..][..self.units]
    }
}

impl Bootstrap {
    /// For tables: 10,000 resamples at level 0.95, percentile intervals.
    pub fn tables() -> Self {
        Self {
            method: IntervalMethod::Percentile,
            resamples: 10_000,
            level: 0.95,
            seed: 0,
            threads: available_threads(),
        }
    }

    /// For curves, which need an interval at every point: 2,000 resamples at level 0.95, percentile
    /// intervals.
    pub fn curves() -> Self {
        Self { resamples: 2_000, ..Self::tables() }
    }

    /// Interval of a statistic of one or more strata, each resampled with replacement on its own.
    ///
    /// The statistic receives the resampled strata. Resamples where it returns `None` are left out.
    /// The interval is `None` where no stratum has two items (nothing varies), where no resample has
    /// a value, or where the method has no answer (see [`IntervalMethod`]).
    ///
    /// Two samples that share their replicates are one stratum of pairs.
    ///
    /// # Errors
    /// When level or number of resamples are out of range, or the method is the Bayesian bootstrap,
    /// which needs a [`Statistic`] with a weighted form: see [`Self::interval_of`].
    pub fn interval<T: Copy>(
        &self,
        strata: &[&[T]],
        statistic: impl Fn(&[Vec<T>]) -> Option<f64>,
    ) -> Result<Option<Interval>, AnalysisError> {
        self.interval_of(strata, &statistic)
    }

    /// As [`Self::interval`], of a statistic that may know its standard error and its weighted form.
    ///
    /// # Errors
    /// When level or number of resamples are out of range, or the method is the Bayesian bootstrap
    /// and the statistic has no weighted form.
    pub fn interval_of<T: Copy>(
        &self,
        strata: &[&[T]],
        statistic: &impl Statistic<T>,
    ) -> Result<Option<Interval>, AnalysisError> {
        self.check()?;
        let draws: Vec<Draws> =
            (0..).zip(strata).map(|(stratum, items)| self.draws(stratum, items.len())).collect();
        self.interval_from(&draws.iter().collect::<Vec<_>>(), strata, statistic)
    }

    /// As [`Self::interval_of`], with what was drawn before.
    pub(super) fn interval_from<T: Copy, S: Statistic<T>>(
        &self,
        draws: &[&Draws],
        strata: &[&[T]],
        statistic: &S,
    ) -> Result<Option<Interval>, AnalysisError> {
        if self.method == IntervalMethod::Bayesian && !S::WEIGHTED {
            return Err(AnalysisError::NoWeightedForm);
        }
        if strata.iter().all(|items| items.len() < 2) {
            return Ok(None);
        }
        let mut strata = Strata {
            draws,
            sample: strata.iter().map(|items| items.to_vec()).collect(),
            resampled: vec![Vec::new(); strata.len()],
            statistic,
        };
        Ok(method::interval(&mut strata, self))
    }

    /// Draws `units` of `units` for every resample; takes `4 * resamples * units` bytes, or twice as
    /// many for the weights of the Bayesian bootstrap.
    pub(super) fn draws(&self, stratum: u64, units: usize) -> Draws {
        let mut generator = self.generator(stratum);
        let (mut indices, mut weights) = (Vec::new(), Vec::new());
        if self.method == IntervalMethod::Bayesian {
            weights.reserve(self.resamples * units);
        } else {
            indices.reserve(self.resamples * units);
        }
        for resample in 0..self.resamples {
            start(&mut generator, resample);
            if self.method == IntervalMethod::Bayesian {
                draw_weights(&mut generator, units, &mut weights);
            } else {
                indices.extend((0..units).map(|_| draw_index(&mut generator, units)));
            }
        }
        Draws { units, indices, weights }
    }

    /// The generator of a stratum; every resample has a stream of it.
    fn generator(&self, stratum: u64) -> ChaCha8Rng {
        let mut key = *b"................ceteris/bootstr1";
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&stratum.to_le_bytes());
        ChaCha8Rng::from_seed(key)
    }

    pub(super) fn check(&self) -> Result<(), AnalysisError> {
        if !(self.level > 0.0 && self.level < 1.0) {
            return Err(AnalysisError::Level(self.level));
        }
        if self.resamples == 0 { Err(AnalysisError::NoResamples) } else { Ok(()) }
    }
}

/// Moves a generator to the start of a resample's stream.
fn start(generator: &mut ChaCha8Rng, resample: usize) {
    generator.set_stream(resample as u64);
    // Back to the start of the new stream, whatever the last one left in the buffer.
    generator.set_word_pos(0);
}

/// One of `units`, each as likely.
fn draw_index(generator: &mut ChaCha8Rng, units: usize) -> u32 {
    let word = u128::from(generator.next_u64());
    // The high half of word * units is uniform up to a bias below units / 2^64, and is smaller than
    // units, which fits.
    #[allow(clippy::cast_possible_truncation)]
    let index = ((word * units as u128) >> 64) as u32;
    index
}

/// Appends `units` weights with the sum `units`: so many times a Dirichlet variable with all
/// parameters 1, which is exponential variables over their sum.
// 53 bits and the number of units fit a float.
#[allow(clippy::cast_precision_loss)]
fn draw_weights(generator: &mut ChaCha8Rng, units: usize, weights: &mut Vec<f64>) {
    let first = weights.len();
    weights.extend((0..units).map(|_| {
        // In (0, 1]. The logarithm of libm is the same on every machine.
        let uniform = ((generator.next_u64() >> 11) + 1) as f64 * (-53f64).exp2();
        -libm::log(uniform)
    }));
    let sum: f64 = weights[first..].iter().sum();
    for weight in &mut weights[first..] {
        // All exponentials are zero with a probability of 2^(-53 units): then all weigh the same.
        *weight = if sum > 0.0 { *weight * units as f64 / sum } else { 1.0 };
    }
}

/// What [`method::interval`] asks of whatever is resampled. `None` is a resample without a value.
trait Design {
    /// The statistic of the sample itself.
    fn estimate(&self) -> Option<f64>;
    /// The standard error of that.
    fn error(&self) -> Option<f64>;
    /// The statistic of the sample with each unit left out in turn, by stratum.
    fn jackknife(&self) -> Vec<Vec<f64>>;
    /// The statistic of a resample.
    fn resample(&mut self, resample: usize) -> Option<f64>;
    /// The statistic of a resample and its standard error.
    fn resample_with_error(&mut self, resample: usize) -> Option<(f64, f64)>;
    /// The statistic of the sample with random weights.
    fn reweight(&mut self, resample: usize) -> Option<f64>;
}

/// Strata, each resampled on its own.
struct Strata<'a, T, S> {
    draws: &'a [&'a Draws],
    sample: Vec<Vec<T>>,
    resampled: Vec<Vec<T>>,
    statistic: &'a S,
}

impl<T: Copy, S: Statistic<T>> Strata<'_, T, S> {
    fn draw(&mut self, resample: usize) {
        for ((draws, items), resampled) in
            self.draws.iter().zip(&self.sample).zip(&mut self.resampled)
        {
            resampled.clear();
            resampled.extend(draws.resample(resample).iter().map(|&i| items[i as usize]));
        }
    }
}

impl<T: Copy, S: Statistic<T>> Design for Strata<'_, T, S> {
    fn estimate(&self) -> Option<f64> {
        self.statistic.of(&self.sample)
    }

    fn error(&self) -> Option<f64> {
        self.statistic.standard_error(&self.sample)
    }

    fn jackknife(&self) -> Vec<Vec<f64>> {
        jackknife(&self.sample, |strata| self.statistic.of(strata))
    }

    fn resample(&mut self, resample: usize) -> Option<f64> {
        self.draw(resample);
        self.statistic.of(&self.resampled)
    }

    fn resample_with_error(&mut self, resample: usize) -> Option<(f64, f64)> {
        self.draw(resample);
        Some((self.statistic.of(&self.resampled)?, self.statistic.standard_error(&self.resampled)?))
    }

    fn reweight(&mut self, resample: usize) -> Option<f64> {
        let weights: Vec<&[f64]> = self.draws.iter().map(|draws| draws.weights(resample)).collect();
        self.statistic.weighted(&self.sample, &weights)
    }
}

fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Maps items on several threads; results come back in the order of the items.
pub(super) fn parallel_map<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    map: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let chunk = items.len().div_ceil(threads.max(1)).max(1);
    if items.len() <= chunk {
        return items.iter().map(map).collect();
    }
    std::thread::scope(|scope| {
        let workers: Vec<_> = items
            .chunks(chunk)
            .map(|chunk| scope.spawn(|| chunk.iter().map(&map).collect::<Vec<R>>()))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}
