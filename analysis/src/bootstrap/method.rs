//! From resamples to the ends of an interval.

use std::str::FromStr;

use super::super::estimator::{count, quantile};
use super::super::normal;
use super::{AnalysisError, Bootstrap, Design, Interval};

/// Relative difference up to which two statistics are the same number.
const ROUNDING: f64 = 1e-12;

/// How the ends of a bootstrap interval come from the resamples.
///
#[doc = include_str!("coverage.md")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IntervalMethod {
    /// Quantiles of the resampled statistic (Efron 1979), interpolated linearly between order
    /// statistics; what rliable and `scipy.stats.bootstrap(method="percentile")` do.
    #[default]
    Percentile,
    /// The percentile interval mirrored at the estimate (Davison and Hinkley 1997, 5.2;
    /// `scipy.stats.bootstrap(method="basic")`).
    Basic,
    /// Bias-corrected and accelerated (Efron 1987, JASA 82, 171-185): quantiles at probabilities
    /// that correct for bias and skewness, as `scipy.stats.bootstrap(method="BCa")` has them.
    ///
    /// The bias correction is the normal quantile of the share of resamples below the estimate,
    /// those equal to it up to rounding counted half. The acceleration comes from the jackknife over
    /// the units that are resampled, in several strata by the formula of Davison and Hinkley (1997,
    /// 5.3.2). Where every jackknife value is the same, it is zero (scipy: NaN). Where all resamples
    /// lie on one side of the estimate, there is no interval (scipy: NaN).
    Bca,
    /// The bootstrap-t (Efron and Tibshirani 1993, 12.5): quantiles of the resampled statistic's
    /// distance from the estimate in standard errors of the resample.
    ///
    /// Standard errors have closed forms for one sample: of the mean; of the interquartile mean from
    /// the winsorised variance (Tukey and McLaughlin 1963, Sankhya A 25, 331-352); of the median as
    /// an inner bootstrap of infinitely many resamples would find it (Maritz and Jarrett 1978, JASA
    /// 73, 194-196). In other designs, a median has that of an inner bootstrap of 50 resamples, since
    /// the jackknife is not consistent for it; everything else has that of the jackknife over the
    /// resampled units.
    ///
    /// A resample of equal values has no standard error, and lies infinitely far off. Where an end
    /// would be infinite there is no interval: below four replicates, and of an interquartile mean
    /// or a median also with a few more, or with many ties.
    Studentized,
    /// The Bayesian bootstrap (Rubin 1981, Annals of Statistics 9, 130-134): quantiles of the
    /// statistic under random weights, Dirichlet with all parameters 1, that take the place of how
    /// often a resample holds each unit. The interval is one of the posterior distribution under an
    /// improper prior on the observed values.
    Bayesian,
}

impl IntervalMethod {
    /// Every method.
    pub const ALL: [Self; 5] =
        [Self::Percentile, Self::Basic, Self::Bca, Self::Studentized, Self::Bayesian];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Percentile => "percentile",
            Self::Basic => "basic",
            Self::Bca => "bca",
            Self::Studentized => "studentized",
            Self::Bayesian => "bayesian",
        }
    }

    /// Its name in tables and captions, with what is resampled.
    pub fn words(self) -> &'static str {
        match self {
            Self::Percentile => "percentile bootstrap over replicates",
            Self::Basic => "basic bootstrap over replicates",
            Self::Bca => "BCa bootstrap over replicates",
            Self::Studentized => "studentized bootstrap over replicates",
            Self::Bayesian => "Bayesian bootstrap over replicates",
        }
    }
}

impl FromStr for IntervalMethod {
    type Err = AnalysisError;

    fn from_str(name: &str) -> Result<Self, AnalysisError> {
        Self::ALL
            .into_iter()
            .find(|method| method.name() == name)
            .ok_or_else(|| AnalysisError::UnknownIntervalMethod(name.to_owned()))
    }
}

/// The interval of a design's statistic.
pub(super) fn interval(design: &mut impl Design, by: &Bootstrap) -> Option<Interval> {
    let tail = (1.0 - by.level) / 2.0;
    let resamples = 0..by.resamples;
    match by.method {
        IntervalMethod::Percentile => {
            percentile(&sorted(resamples.filter_map(|r| design.resample(r))), tail)
        }
        IntervalMethod::Bayesian => {
            percentile(&sorted(resamples.filter_map(|r| design.reweight(r))), tail)
        }
        IntervalMethod::Basic => {
            let estimate = design.estimate()?;
            basic(&sorted(resamples.filter_map(|r| design.resample(r))), estimate, tail)
        }
        IntervalMethod::Bca => {
            let estimate = design.estimate()?;
            let statistics = sorted(resamples.filter_map(|r| design.resample(r)));
            bca(&statistics, estimate, &design.jackknife(), tail)
        }
        IntervalMethod::Studentized => {
            let (estimate, error) = (design.estimate()?, design.error()?);
            let distances = sorted(resamples.filter_map(|r| {
                let (statistic, error) = design.resample_with_error(r)?;
                let difference = statistic - estimate;
                let equal = difference.abs() <= ROUNDING * estimate.abs().max(statistic.abs());
                // Where nothing varies there is no distance, rather than 0 / 0.
                Some(if equal { 0.0 } else { difference / error })
            }));
            studentized(&distances, estimate, error, tail)
        }
    }
}

fn sorted(statistics: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut statistics: Vec<f64> = statistics.collect();
    statistics.sort_unstable_by(f64::total_cmp);
    statistics
}

fn percentile(sorted: &[f64], tail: f64) -> Option<Interval> {
    Some(Interval { low: quantile(sorted, tail)?, high: quantile(sorted, 1.0 - tail)? })
}

fn basic(sorted: &[f64], estimate: f64, tail: f64) -> Option<Interval> {
    let ends = percentile(sorted, tail)?;
    Some(Interval { low: 2.0 * estimate - ends.high, high: 2.0 * estimate - ends.low })
}

impl Bootstrap {
    /// The interval of a statistic whose resamples (ascending) are at hand, with its jackknife by
    /// stratum, which the BCa method asks for.
    ///
    /// # Errors
    /// When the method needs more than these.
    pub(crate) fn ends(
        &self,
        sorted: &[f64],
        estimate: f64,
        jackknife: &[Vec<f64>],
    ) -> Result<Option<Interval>, AnalysisError> {
        let tail = (1.0 - self.level) / 2.0;
        match self.method {
            IntervalMethod::Percentile => Ok(percentile(sorted, tail)),
            IntervalMethod::Basic => Ok(basic(sorted, estimate, tail)),
            IntervalMethod::Bca => Ok(bca(sorted, estimate, jackknife, tail)),
            IntervalMethod::Studentized | IntervalMethod::Bayesian => {
                Err(AnalysisError::NoScoreInterval(self.method.name()))
            }
        }
    }
}

pub(super) fn bca(
    sorted: &[f64],
    estimate: f64,
    jackknife: &[Vec<f64>],
    tail: f64,
) -> Option<Interval> {
    let bias = bias(sorted, estimate)?;
    let acceleration = acceleration(jackknife);
    let probability = |z: f64| {
        let shifted = bias + z;
        let scale = 1.0 - acceleration * shifted;
        if scale > 0.0 {
            normal::cdf(bias + shifted / scale)
        } else if shifted > 0.0 {
            // Beyond the pole, which only levels next to 1 reach: its limit.
            1.0
        } else {
            0.0
        }
    };
    let z = normal::quantile(tail);
    Some(Interval {
        low: quantile(sorted, probability(z))?,
        high: quantile(sorted, probability(-z))?,
    })
}

/// The normal quantile of the share of resamples below the estimate; `None` where it is infinite.
pub(super) fn bias(sorted: &[f64], estimate: f64) -> Option<f64> {
    // A resample that reorders the sample equals it up to rounding, which must not take sides.
    let extreme = sorted.first()?.abs().max(sorted.last()?.abs());
    let rounding = ROUNDING * extreme.max(estimate.abs());
    let below = sorted.partition_point(|statistic| *statistic < estimate - rounding);
    let not_above = sorted.partition_point(|statistic| *statistic <= estimate + rounding);
    let share = count(below + not_above) / (2.0 * count(sorted.len()));
    (share > 0.0 && share < 1.0).then(|| normal::quantile(share))
}

/// The acceleration by the jackknife: a sixth of the skewness of the statistic's influence values.
pub(super) fn acceleration(jackknife: &[Vec<f64>]) -> f64 {
    let (mut cubes, mut squares) = (0.0, 0.0);
    for values in jackknife {
        let Some(&first) = values.first() else { continue };
        let n = count(values.len());
        // From the first, so that equal values differ by exactly zero.
        let centre = values.iter().map(|value| value - first).sum::<f64>() / n;
        for value in values {
            let influence = (n - 1.0) * (centre - (value - first)) / n;
            squares += influence * influence;
            cubes += influence * influence * influence;
        }
    }
    if squares > 0.0 { cubes / (6.0 * squares * squares.sqrt()) } else { 0.0 }
}

fn studentized(distances: &[f64], estimate: f64, error: f64, tail: f64) -> Option<Interval> {
    let ends = percentile(distances, tail)?;
    let interval =
        Interval { low: estimate - ends.high * error, high: estimate - ends.low * error };
    // A sample without a standard error whose resamples differ says nothing of its own precision.
    let told = error > 0.0 || distances.iter().all(|distance| *distance == 0.0);
    (told && interval.low.is_finite() && interval.high.is_finite()).then_some(interval)
}
