//! Point estimates of a sample without missing values.

use super::student::incomplete_beta;

/// What is estimated from a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Estimator {
    /// The arithmetic mean.
    Mean,
    /// The interquartile mean, see [`iqm`].
    Iqm,
    /// The median.
    Median,
}

impl Estimator {
    /// Its name in tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Iqm => "iqm",
            Self::Median => "median",
        }
    }

    /// Its name in prose.
    pub fn words(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Iqm => "interquartile mean (IQM)",
            Self::Median => "median",
        }
    }

    /// Its value for a sample; `None` where the sample is empty.
    pub fn of(self, sample: &[f64]) -> Option<f64> {
        match self {
            Self::Mean => mean(sample),
            Self::Iqm => iqm(sample),
            Self::Median => median(sample),
        }
    }

    /// Its value where value `i` counts `weights[i]` times; `None` where no weight is above zero.
    /// Equal weights give [`Self::of`].
    ///
    /// - The interquartile mean drops `floor(n / 4) / n` of the weight at either end, cutting the
    ///   weight of the value where that share ends.
    /// - The median is the value at which the cumulated weight passes half of all; the mean of two
    ///   neighbours where it is exactly half between them.
    pub fn weighted(self, sample: &[f64], weights: &[f64]) -> Option<f64> {
        let mut pairs: Vec<(f64, f64)> = sample
            .iter()
            .copied()
            .zip(weights.iter().copied())
            .filter(|(_, weight)| *weight > 0.0)
            .collect();
        pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let total: f64 = pairs.iter().map(|(_, weight)| weight).sum();
        let cut = match self {
            Self::Mean => 0.0,
            Self::Iqm => total * count(sample.len() / 4) / count(sample.len()),
            Self::Median => return weighted_median(&pairs, total),
        };
        let (mut passed, mut sum, mut kept) = (0.0, 0.0, 0.0);
        for (value, weight) in &pairs {
            let within = (passed + weight).min(total - cut) - f64::max(passed, cut);
            passed += weight;
            if within > 0.0 {
                sum += within * value;
                kept += within;
            }
        }
        // Between its values also after rounding, so that equal ones have exactly themselves as mean.
        let ((low, _), (high, _)) = (pairs.first()?, pairs.last()?);
        Some((sum / kept).max(*low).min(*high))
    }
}

/// Of pairs of a value and its weight, sorted.
fn weighted_median(pairs: &[(f64, f64)], total: f64) -> Option<f64> {
    // Half up to rounding is half.
    let (half, rounding) = (total / 2.0, 1e-12 * total);
    let passing = |bound: f64| {
        let mut passed = 0.0;
        pairs.iter().find_map(|(value, weight)| {
            passed += weight;
            (passed > bound).then_some(*value)
        })
    };
    mean(&[passing(half - rounding)?, passing(half + rounding)?])
}

/// The standard error of the median as the bootstrap with infinitely many resamples has it (Maritz
/// and Jarrett 1978, JASA 73, 194-196; of an even number of values with the covariance of the middle
/// two order statistics, which follows from multinomial counts).
pub(super) struct MedianError {
    /// Probability that the lower middle value of a resample is the sample's value i; the same of
    /// the upper. For an odd number they are one.
    lower: Vec<f64>,
    upper: Vec<f64>,
    /// For an even number: the product of these is the probability that the lower is value i and the
    /// upper value j > i.
    lower_factors: Vec<f64>,
    upper_factors: Vec<f64>,
}

impl MedianError {
    /// Values from which on the distance between the middle two no longer counts (and the factors
    /// would leave the range of numbers).
    const MANY: usize = 1_000;

    pub(super) fn new(n: usize) -> Self {
        let middle = n / 2;
        let share = |i: usize| count(i) / count(n);
        // Probability that the order statistic of the given rank is value i.
        let probabilities = |rank: usize| {
            let (a, b) = (count(rank), count(n + 1 - rank));
            let up_to: Vec<f64> =
                (0..=n).map(|i| incomplete_beta(a, b, share(i), share(n - i))).collect();
            up_to.windows(2).map(|ends| ends[1] - ends[0]).collect::<Vec<f64>>()
        };
        if n % 2 == 1 {
            let middle = probabilities(middle + 1);
            let (lower, upper) = (middle.clone(), middle);
            return Self { lower, upper, lower_factors: vec![], upper_factors: vec![] };
        }
        if n == 0 {
            let [lower, upper, lower_factors, upper_factors] = [const { Vec::new() }; 4];
            return Self { lower, upper, lower_factors, upper_factors };
        }
        let (mut lower_factors, mut upper_factors) = (vec![], vec![]);
        if n < Self::MANY {
            let m = count(middle);
            // The number of ways to choose the lower half, its root at either factor.
            let ways = (0.5 * (libm::lgamma(count(n + 1)) - 2.0 * libm::lgamma(m + 1.0))).exp();
            let factor = |i: usize| ways * (share(i).powf(m) - share(i - 1).powf(m));
            lower_factors = (1..=n).map(factor).collect();
            upper_factors = lower_factors.iter().rev().copied().collect();
        }
        let (lower, upper) = (probabilities(middle), probabilities(middle + 1));
        Self { lower, upper, lower_factors, upper_factors }
    }

    /// Of a sample of the size that it was made for; of others it is slow.
    pub(super) fn of(&self, sample: &[f64]) -> f64 {
        if sample.len() != self.lower.len() {
            return Self::new(sample.len()).of(sample);
        }
        let mut sorted = sorted(sample);
        let Some(centre) = sorted.get(sorted.len() / 2).copied() else { return 0.0 };
        // Differences of like numbers lose no digits below.
        for value in &mut sorted {
            *value -= centre;
        }
        let mean_of = |probabilities: &[f64], power: i32| {
            probabilities.iter().zip(&sorted).map(|(p, x)| p * x.powi(power)).sum::<f64>()
        };
        let mean = f64::midpoint(mean_of(&self.lower, 1), mean_of(&self.upper, 1));
        let square = f64::midpoint(mean_of(&self.lower, 2), mean_of(&self.upper, 2));
        // The square of the middle two's mean is the mean of their squares less a quarter of the
        // square of their distance: sum of f_i g_j (x_j - x_i)^2 over i < j.
        let (mut f, mut fx, mut fxx, mut distance) = (0.0, 0.0, 0.0, 0.0);
        for ((x, lower), upper) in sorted.iter().zip(&self.lower_factors).zip(&self.upper_factors) {
            distance += upper * (x * x * f - 2.0 * x * fx + fxx);
            f += lower;
            fx += lower * x;
            fxx += lower * x * x;
        }
        (square - distance / 4.0 - mean * mean).max(0.0).sqrt()
    }
}

// Samples are far smaller than 2^53.
#[allow(clippy::cast_precision_loss)]
pub(super) fn count(number: usize) -> f64 {
    number as f64
}

/// The arithmetic mean; `None` of an empty sample.
pub fn mean(sample: &[f64]) -> Option<f64> {
    if sample.is_empty() { None } else { Some(sample.iter().sum::<f64>() / count(sample.len())) }
}

/// The interquartile mean as rliable defines it, `scipy.stats.trim_mean(sample, 0.25)`: sort, drop
/// `floor(n / 4)` values at either end, take the plain mean of the rest. Up to three values it is
/// the mean.
pub fn iqm(sample: &[f64]) -> Option<f64> {
    let sorted = sorted(sample);
    let cut = sorted.len() / 4;
    mean(&sorted[cut..sorted.len() - cut])
}

/// The median; the mean of the middle two where their number is even.
pub fn median(sample: &[f64]) -> Option<f64> {
    median_of(&mut sample.to_vec())
}

/// As [`median`], of a sample whose order may change.
pub(super) fn median_of(sample: &mut [f64]) -> Option<f64> {
    let middle = sample.len() / 2;
    if sample.is_empty() {
        return None;
    }
    let even = sample.len().is_multiple_of(2);
    let (below, &mut upper, _) = sample.select_nth_unstable_by(middle, f64::total_cmp);
    if !even {
        return Some(upper);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp)?;
    mean(&[lower, upper])
}

/// The sample standard deviation, with the divisor `n - 1`; `None` below two values.
pub fn sd(sample: &[f64]) -> Option<f64> {
    if sample.len() < 2 {
        return None;
    }
    // The mean of equal values is rounded, and would make them vary.
    if sample.windows(2).all(|pair| pair[0] == pair[1]) {
        return Some(0.0);
    }
    let mean = mean(sample)?;
    let squares: f64 = sample.iter().map(|value| (value - mean) * (value - mean)).sum();
    Some((squares / count(sample.len() - 1)).sqrt())
}

/// The quantile of a sorted sample with linear interpolation between order statistics
/// (`numpy.quantile`, method `linear`); `None` of an empty sample.
pub fn quantile(sorted: &[f64], probability: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = count(last) * probability.clamp(0.0, 1.0);
    // Lies in 0..=last after the clamp.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let below = position.floor() as usize;
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    let weight = position - count(below);
    // Both branches as numpy has them, so that the result is exact at either end.
    Some(if weight >= 0.5 {
        high - (high - low) * (1.0 - weight)
    } else {
        low + (high - low) * weight
    })
}

/// The delete-d jackknife of an estimate whose bias falls as one over the sample size (Quenouille
/// 1956): extrapolates from the mean estimate of samples without `deleted` of their `size` items
/// to an infinite sample, `(size * full - (size - deleted) * reduced) / deleted`. Small `deleted`
/// multiply the noise of either estimate. `None` unless `0 < deleted < size`.
pub fn jackknife(full: f64, reduced: f64, size: usize, deleted: usize) -> Option<f64> {
    if deleted == 0 || deleted >= size {
        return None;
    }
    Some(full + (full - reduced) * (count(size - deleted) / count(deleted)))
}

fn sorted(sample: &[f64]) -> Vec<f64> {
    let mut sorted = sample.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::{Estimator, MedianError};

    fn close(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
    }

    const VALUES: [f64; 6] = [0.5, 1.25, 2.0, 3.75, 8.0, 9.5];

    #[test]
    fn the_error_of_the_median_is_that_of_all_resamples() {
        // tests/fixtures/bootstrap.py: the standard deviation over every resample.
        let of = |n: usize| MedianError::new(n).of(&VALUES[..n]);
        close(of(2), 0.265_165_042_944_955_3, 1e-12);
        close(of(4), 0.792_728_180_872_863_9, 1e-12);
        close(of(5), 1.698_715_271_727_431, 1e-12);
        close(of(6), 2.188_689_710_390_042, 1e-12);
        assert_eq!(of(1), 0.0);
        assert_eq!(of(0), 0.0);
        assert_eq!(MedianError::new(4).of(&[0.1; 4]), 0.0);
        // Made for another size.
        close(MedianError::new(3).of(&VALUES[..4]), 0.792_728_180_872_863_9, 1e-12);
        // Of an even grid on [0, 1]: that of the middle of as many uniform values, 1 / (2 sqrt(n)),
        // on both sides of the number from which on the middle two are taken for one.
        for n in [998u32, 999, 1_000, 5_000] {
            let grid: Vec<f64> = (0..n).map(|i| f64::from(i) / f64::from(n)).collect();
            let expected = 0.5 / f64::from(n).sqrt();
            close(MedianError::new(grid.len()).of(&grid) / expected, 1.0, 0.01);
        }
    }

    #[test]
    fn equal_weights_change_nothing() {
        for estimator in [Estimator::Mean, Estimator::Iqm, Estimator::Median] {
            for n in 1..=VALUES.len() {
                let shuffled: Vec<f64> = VALUES[..n].iter().rev().copied().collect();
                let expected = estimator.of(&shuffled).unwrap();
                for weight in [1.0, 0.1] {
                    close(
                        estimator.weighted(&shuffled, &vec![weight; n]).unwrap(),
                        expected,
                        1e-12,
                    );
                }
            }
            assert_eq!(estimator.weighted(&[], &[]), None);
            assert_eq!(estimator.weighted(&[1.0, 2.0], &[0.0, 0.0]), None);
            assert_eq!(estimator.weighted(&[0.1, 0.1, 0.1], &[0.3, 0.7, 1.1]), Some(0.1));
        }
    }

    #[test]
    fn weights_are_multiplicities() {
        let (values, weights) = ([1.0, 2.0, 10.0], [3.0, 1.0, 2.0]);
        close(Estimator::Mean.weighted(&values, &weights).unwrap(), 25.0 / 6.0, 1e-12);
        // Half of the weight, 3, is passed exactly between 1 and 2.
        close(Estimator::Median.weighted(&values, &weights).unwrap(), 1.5, 0.0);
        close(Estimator::Median.weighted(&values, &[1.0, 1.0, 3.0]).unwrap(), 10.0, 0.0);
        // Four values drop a quarter of the weight, here 2 of 8, at either end: half of the 1, all of
        // the 2, half of the 3.
        let found = Estimator::Iqm.weighted(&[4.0, 3.0, 2.0, 1.0], &[0.0, 4.0, 1.0, 3.0]).unwrap();
        close(found, (1.0 + 2.0 + 2.0 * 3.0) / 4.0, 1e-12);
        // Values without weight are not there.
        close(Estimator::Mean.weighted(&[5.0, 7.0], &[0.0, 2.0]).unwrap(), 7.0, 0.0);
    }
}
