//! The percentile bootstrap, seeded and independent of the number of threads.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{AnalysisError, quantile};

/// How intervals are made: a percentile bootstrap.
///
/// Resample `r` of stratum `s` draws from its own ChaCha stream, keyed by *(seed, s, r)*. The
/// interval therefore depends on neither the number of threads nor what else is estimated, and
/// groups with equally many replicates draw the same replicates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
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

/// Drawn indices: resample `r` takes `indices[r * units..][..units]`.
pub(super) struct Draws {
    units: usize,
    indices: Vec<u32>,
}

impl Draws {
    fn resample(&self, resample: usize) -> &[u32] {
        &self.indices[resample * self.units..][..self.units]
    }
}

impl Bootstrap {
    /// The method as tables and captions name it.
    pub const METHOD: &'static str = "percentile bootstrap over replicates";

    /// For tables: 10,000 resamples at level 0.95.
    pub fn tables() -> Self {
        Self { resamples: 10_000, level: 0.95, seed: 0, threads: available_threads() }
    }

    /// For curves, which need an interval at every point: 2,000 resamples at level 0.95.
    pub fn curves() -> Self {
        Self { resamples: 2_000, ..Self::tables() }
    }

    /// Interval of a statistic of one or more strata, each resampled with replacement on its own.
    ///
    /// The statistic receives the resampled strata. Resamples where it returns `None` are left out.
    /// The interval is `None` where no stratum has two items (nothing varies) or no resample has a
    /// value.
    ///
    /// # Errors
    /// When level or number of resamples are out of range.
    pub fn interval<T: Copy>(
        &self,
        strata: &[&[T]],
        statistic: impl Fn(&[Vec<T>]) -> Option<f64>,
    ) -> Result<Option<Interval>, AnalysisError> {
        self.check()?;
        let draws: Vec<Draws> =
            (0..).zip(strata).map(|(stratum, items)| self.draws(stratum, items.len())).collect();
        Ok(self.interval_from(&draws.iter().collect::<Vec<_>>(), strata, statistic))
    }

    /// As [`Self::interval`], with indices that were drawn before.
    pub(super) fn interval_from<T: Copy>(
        &self,
        draws: &[&Draws],
        strata: &[&[T]],
        statistic: impl Fn(&[Vec<T>]) -> Option<f64>,
    ) -> Option<Interval> {
        if strata.iter().all(|items| items.len() < 2) {
            return None;
        }
        let mut resampled: Vec<Vec<T>> = vec![Vec::new(); strata.len()];
        let mut statistics = Vec::with_capacity(self.resamples);
        for resample in 0..self.resamples {
            for ((draws, items), resampled) in draws.iter().zip(strata).zip(&mut resampled) {
                resampled.clear();
                resampled.extend(draws.resample(resample).iter().map(|&i| items[i as usize]));
            }
            statistics.extend(statistic(&resampled));
        }
        statistics.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - self.level) / 2.0;
        Some(Interval {
            low: quantile(&statistics, tail)?,
            high: quantile(&statistics, 1.0 - tail)?,
        })
    }

    /// Draws `units` of `units` for every resample; takes `4 * resamples * units` bytes.
    pub(super) fn draws(&self, stratum: u64, units: usize) -> Draws {
        let mut key = *b"................ceteris/bootstr1";
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&stratum.to_le_bytes());
        let mut generator = ChaCha8Rng::from_seed(key);
        let mut indices = Vec::with_capacity(self.resamples * units);
        for resample in 0..self.resamples {
            generator.set_stream(resample as u64);
            // Back to the start of the new stream, whatever the last one left in the buffer.
            generator.set_word_pos(0);
            for _ in 0..units {
                let word = u128::from(generator.next_u64());
                // The high half of word * units is uniform up to a bias below units / 2^64, and is
                // smaller than units, which fits.
                #[allow(clippy::cast_possible_truncation)]
                indices.push(((word * units as u128) >> 64) as u32);
            }
        }
        Draws { units, indices }
    }

    pub(super) fn check(&self) -> Result<(), AnalysisError> {
        if !(self.level > 0.0 && self.level < 1.0) {
            return Err(AnalysisError::Level(self.level));
        }
        if self.resamples == 0 { Err(AnalysisError::NoResamples) } else { Ok(()) }
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
