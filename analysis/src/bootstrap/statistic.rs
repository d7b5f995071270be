//! What is resampled and reweighted.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::super::Estimator;
use super::super::estimator::{MedianError, count, sd};
use super::draw_index;

/// Resamples of a resample that give a standard error; Efron and Tibshirani (1993, 6.4) find 50 to
/// be enough.
const INNER: usize = 50;

/// A number computed from one or more strata of units, for [`Bootstrap::interval_of`].
///
/// A closure that takes the strata is a statistic with neither a weighted form nor a closed form of
/// its standard error.
///
/// [`Bootstrap::interval_of`]: super::Bootstrap::interval_of
pub trait Statistic<T: Copy> {
    /// Whether [`Self::weighted`] has an answer.
    const WEIGHTED: bool = false;

    /// Its value for a sample or a resample; `None` where there is none.
    fn of(&self, strata: &[Vec<T>]) -> Option<f64>;

    /// Its standard error; by default that of the jackknife over the units of every stratum,
    /// `sqrt(sum over strata of (n - 1) / n * sum of squared deviations of the n jackknife values)`.
    fn standard_error(&self, strata: &[Vec<T>]) -> Option<f64> {
        Some(jackknife_error(&jackknife(strata, |strata| self.of(strata))))
    }

    /// Its value where every unit counts as often as its weight says; with all weights 1 that of
    /// [`Self::of`]. The weights of a stratum sum to its number of units.
    fn weighted(&self, strata: &[Vec<T>], weights: &[&[f64]]) -> Option<f64> {
        let _ = (strata, weights);
        None
    }
}

impl<T: Copy, F: Fn(&[Vec<T>]) -> Option<f64>> Statistic<T> for F {
    fn of(&self, strata: &[Vec<T>]) -> Option<f64> {
        self(strata)
    }
}

/// The statistic with each unit left out in turn, by stratum. Strata of one unit have no such
/// values: they do not vary.
pub(super) fn jackknife<T: Copy>(
    strata: &[Vec<T>],
    statistic: impl Fn(&[Vec<T>]) -> Option<f64>,
) -> Vec<Vec<f64>> {
    let mut rest = strata.to_vec();
    let mut values = Vec::with_capacity(strata.len());
    for (stratum, items) in strata.iter().enumerate() {
        if items.len() < 2 {
            continue;
        }
        let mut of_stratum = Vec::with_capacity(items.len());
        for left_out in 0..items.len() {
            rest[stratum].clear();
            rest[stratum].extend_from_slice(&items[..left_out]);
            rest[stratum].extend_from_slice(&items[left_out + 1..]);
            of_stratum.extend(statistic(&rest));
        }
        rest[stratum].clone_from(items);
        values.push(of_stratum);
    }
    values
}

/// The standard error from jackknife values by stratum.
pub(in super::super) fn jackknife_error(jackknife: &[Vec<f64>]) -> f64 {
    let variance = |values: &Vec<f64>| {
        let n = count(values.len());
        (n - 1.0) * (n - 1.0) / n * spread(values).powi(2)
    };
    jackknife.iter().filter(|values| values.len() > 1).map(variance).sum::<f64>().sqrt()
}

/// The standard error from resamples of the strata. They are the same draws for every sample, which
/// are in no order that this could matter to.
fn inner_error<T: Copy>(strata: &[Vec<T>], statistic: impl Fn(&[Vec<T>]) -> Option<f64>) -> f64 {
    let mut generator = ChaCha8Rng::from_seed(*b"the inner bootstrap/ceteris/boot");
    let mut resampled = vec![Vec::new(); strata.len()];
    let mut values = Vec::with_capacity(INNER);
    for _ in 0..INNER {
        for (items, resampled) in strata.iter().zip(&mut resampled) {
            resampled.clear();
            let draw = |_| items[draw_index(&mut generator, items.len()) as usize];
            resampled.extend((0..items.len()).map(draw));
        }
        values.extend(statistic(&resampled));
    }
    spread(&values)
}

/// The standard error of an estimator that has no closed form for the design.
fn error_of<T: Copy>(
    estimator: Estimator,
    strata: &[Vec<T>],
    statistic: impl Fn(&[Vec<T>]) -> Option<f64>,
) -> f64 {
    match estimator {
        Estimator::Median => inner_error(strata, statistic),
        Estimator::Mean | Estimator::Iqm => jackknife_error(&jackknife(strata, statistic)),
    }
}

/// The standard deviation, of equal values exactly zero, whatever their mean rounds to.
fn spread(values: &[f64]) -> f64 {
    match values.split_first() {
        Some((first, rest)) if rest.iter().any(|value| value != first) => {
            sd(values).unwrap_or_default()
        }
        _ => 0.0,
    }
}

/// An estimator of the values of all strata together.
pub(in super::super) struct Pooled {
    estimator: Estimator,
    median: MedianError,
}

impl Pooled {
    /// For strata of so many values in all.
    pub(in super::super) fn new(estimator: Estimator, values: usize, studentized: bool) -> Self {
        // Of no use, and slow to make, elsewhere.
        let needed = if studentized && estimator == Estimator::Median { values } else { 0 };
        Self { estimator, median: MedianError::new(needed) }
    }

    fn of_sample(&self, sample: &[f64]) -> Option<f64> {
        self.estimator.of(sample)
    }

    /// The standard error of the estimate of one sample.
    fn error_of_sample(&self, sample: &[f64]) -> f64 {
        match self.estimator {
            Estimator::Mean => spread(sample) / count(sample.len()).sqrt(),
            Estimator::Iqm => {
                let mut winsorised = sample.to_vec();
                winsorised.sort_unstable_by(f64::total_cmp);
                let (n, cut) = (winsorised.len(), winsorised.len() / 4);
                let kept = count(n - 2 * cut);
                if kept < 2.0 {
                    return 0.0;
                }
                let (low, high) = (winsorised[cut], winsorised[n - cut - 1]);
                winsorised[..cut].fill(low);
                winsorised[n - cut..].fill(high);
                spread(&winsorised) * ((count(n) - 1.0) / (kept * (kept - 1.0))).sqrt()
            }
            Estimator::Median => self.median.of(sample),
        }
    }
}

impl Statistic<f64> for Pooled {
    const WEIGHTED: bool = true;

    fn of(&self, strata: &[Vec<f64>]) -> Option<f64> {
        match strata {
            [sample] => self.of_sample(sample),
            strata => self.of_sample(&strata.concat()),
        }
    }

    fn standard_error(&self, strata: &[Vec<f64>]) -> Option<f64> {
        match (strata, self.estimator) {
            ([sample], _) => Some(self.error_of_sample(sample)),
            (strata, Estimator::Mean) => {
                let n: usize = strata.iter().map(Vec::len).sum();
                let variance = |stratum: &Vec<f64>| count(stratum.len()) * spread(stratum).powi(2);
                Some(strata.iter().map(variance).sum::<f64>().sqrt() / count(n))
            }
            (strata, estimator) => Some(error_of(estimator, strata, |strata| self.of(strata))),
        }
    }

    fn weighted(&self, strata: &[Vec<f64>], weights: &[&[f64]]) -> Option<f64> {
        match (strata, weights) {
            ([sample], [weights]) => self.estimator.weighted(sample, weights),
            _ => self.estimator.weighted(&strata.concat(), &weights.concat()),
        }
    }
}

/// An estimator of the values of all clusters of one stratum.
pub(in super::super) struct Clustered(pub(in super::super) Estimator);

impl Clustered {
    /// As [`Statistic::of`], of clusters in any form.
    pub(super) fn of_clusters<C: AsRef<[f64]>>(&self, clusters: &[C]) -> Option<f64> {
        let values: Vec<f64> =
            clusters.iter().flat_map(|cluster| cluster.as_ref().iter().copied()).collect();
        self.0.of(&values)
    }

    /// As [`Statistic::standard_error`], of clusters in any form.
    pub(super) fn error_of_clusters<C: AsRef<[f64]>>(&self, clusters: &[C]) -> f64 {
        let clusters: Vec<&[f64]> = clusters.iter().map(AsRef::as_ref).collect();
        if self.0 != Estimator::Mean {
            let of = |strata: &[Vec<&[f64]>]| self.of_clusters(strata.first()?);
            return error_of(self.0, &[clusters], of);
        }
        // The same without adding up the rest anew for every cluster.
        let sums: Vec<f64> = clusters.iter().map(|cluster| cluster.iter().sum()).collect();
        let (n, sum) = (clusters.iter().map(|c| c.len()).sum::<usize>(), sums.iter().sum::<f64>());
        let rest = |(cluster, of_cluster): (&&[f64], f64)| {
            let n = n - cluster.len();
            (n > 0).then(|| (sum - of_cluster) / count(n))
        };
        jackknife_error(&[clusters.iter().zip(sums).filter_map(rest).collect()])
    }
}

impl Statistic<&[f64]> for Clustered {
    const WEIGHTED: bool = true;

    fn of(&self, strata: &[Vec<&[f64]>]) -> Option<f64> {
        self.of_clusters(strata.first()?)
    }

    fn standard_error(&self, strata: &[Vec<&[f64]>]) -> Option<f64> {
        Some(self.error_of_clusters(strata.first()?))
    }

    fn weighted(&self, strata: &[Vec<&[f64]>], weights: &[&[f64]]) -> Option<f64> {
        let (clusters, weights) = (strata.first()?, weights.first()?);
        let of_values: Vec<f64> = clusters
            .iter()
            .zip(*weights)
            .flat_map(|(cluster, weight)| cluster.iter().map(|_| *weight))
            .collect();
        self.0.weighted(&clusters.concat(), &of_values)
    }
}

/// The mean of the values of all clusters of one stratum, each cluster as the sum of its values and
/// their number: what [`Clustered`] has of a mean, without touching every value in every resample.
pub(in super::super) struct ClusteredMean;

impl ClusteredMean {
    fn of_parts(parts: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
        let (sum, n) = parts.fold((0.0, 0.0), |(sum, n), (s, of)| (sum + s, n + of));
        (n > 0.0).then(|| sum / n)
    }
}

impl Statistic<(f64, f64)> for ClusteredMean {
    const WEIGHTED: bool = true;

    fn of(&self, strata: &[Vec<(f64, f64)>]) -> Option<f64> {
        Self::of_parts(strata.first()?.iter().copied())
    }

    fn standard_error(&self, strata: &[Vec<(f64, f64)>]) -> Option<f64> {
        let clusters = strata.first()?;
        let (sum, n) = clusters.iter().fold((0.0, 0.0), |(sum, n), (s, of)| (sum + s, n + of));
        let rest = |(s, of): &(f64, f64)| (n > *of).then(|| (sum - s) / (n - of));
        Some(jackknife_error(&[clusters.iter().filter_map(rest).collect()]))
    }

    fn weighted(&self, strata: &[Vec<(f64, f64)>], weights: &[&[f64]]) -> Option<f64> {
        let weighed = strata.first()?.iter().zip(*weights.first()?);
        Self::of_parts(weighed.map(|((sum, n), weight)| (weight * sum, weight * n)))
    }
}

/// The estimate of the first of two samples minus that of the second. The samples are the two
/// strata, or where they are paired the sides of one.
pub(super) struct Difference(pub(super) [Pooled; 2]);

impl Statistic<f64> for Difference {
    const WEIGHTED: bool = true;

    fn of(&self, strata: &[Vec<f64>]) -> Option<f64> {
        let ([first, second], [a, b]) = (&self.0, strata) else { return None };
        Some(first.of_sample(a)? - second.of_sample(b)?)
    }

    fn standard_error(&self, strata: &[Vec<f64>]) -> Option<f64> {
        let ([first, second], [a, b]) = (&self.0, strata) else { return None };
        Some(first.error_of_sample(a).hypot(second.error_of_sample(b)))
    }

    fn weighted(&self, strata: &[Vec<f64>], weights: &[&[f64]]) -> Option<f64> {
        let ([first, second], [a, b], [u, v]) = (&self.0, strata, weights) else { return None };
        Some(first.estimator.weighted(a, u)? - second.estimator.weighted(b, v)?)
    }
}

impl Statistic<(f64, f64)> for Difference {
    const WEIGHTED: bool = true;

    fn of(&self, strata: &[Vec<(f64, f64)>]) -> Option<f64> {
        let (a, b) = sides(strata.first()?);
        Some(self.0[0].of_sample(&a)? - self.0[1].of_sample(&b)?)
    }

    fn standard_error(&self, strata: &[Vec<(f64, f64)>]) -> Option<f64> {
        let estimator = self.0[0].estimator;
        if estimator != Estimator::Mean {
            return Some(error_of(estimator, strata, |strata| self.of(strata)));
        }
        let differences: Vec<f64> = strata.first()?.iter().map(|(a, b)| a - b).collect();
        Some(self.0[0].error_of_sample(&differences))
    }

    fn weighted(&self, strata: &[Vec<(f64, f64)>], weights: &[&[f64]]) -> Option<f64> {
        let (a, b) = sides(strata.first()?);
        let weights = weights.first()?;
        Some(
            self.0[0].estimator.weighted(&a, weights)?
                - self.0[1].estimator.weighted(&b, weights)?,
        )
    }
}

fn sides(pairs: &[(f64, f64)]) -> (Vec<f64>, Vec<f64>) {
    pairs.iter().copied().unzip()
}
