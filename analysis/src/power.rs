//! Power of t tests: what they can show, and how many seeds it takes.

use polars::prelude::*;
use statrs::distribution::{ChiSquared, ContinuousCDF as _};

use super::compare::{Pair, Pairs, named_pairs};
use super::comparison::{Alternative, sd_within};
use super::estimator::count;
use super::frames::{numbers, replicates, texts};
use super::samples::{Sample, Samples};
use super::student::{power as noncentral, satterthwaite, upper_quantile};
use super::tables::push;
use super::{AnalysisError, ComparisonColumns, mean, probability, sd};

/// Probability with which the seeds that are asked for would show the effect, where nothing else is
/// said.
pub(super) const POWER: f64 = 0.8;
/// Seeds a group that are worth asking for at most.
pub(super) const MOST_SEEDS: u64 = 1_000_000;

/// A t test and the spread of what it tests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TTest {
    /// Of the mean of one sample, or of the differences within pairs.
    OneSample {
        /// Standard deviation of the values, or of the differences.
        sd: f64,
    },
    /// Student's, of two independent samples of equal variance.
    Pooled {
        /// Standard deviation of a value in either.
        sd: f64,
        /// Size of the second sample over that of the first.
        ratio: f64,
    },
    /// Welch's, of two independent samples; its degrees of freedom are taken at the variances given.
    Welch {
        /// Standard deviation of a value in the first and in the second.
        sds: [f64; 2],
        /// Size of the second sample over that of the first.
        ratio: f64,
    },
}

impl TTest {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::OneSample { .. } => "one-sample or paired t",
            Self::Pooled { .. } => "Student t",
            Self::Welch { .. } => "Welch t",
        }
    }

    /// Standard error of the estimate and its degrees of freedom with `n` values in the first
    /// sample; the second has `ratio` times as many, rounded to the nearest whole number.
    fn error(self, n: u64) -> Result<(f64, f64), AnalysisError> {
        let of_first = whole(n);
        let of_second = |ratio: f64| {
            if ratio > 0.0 && ratio.is_finite() {
                Ok((ratio * of_first).round())
            } else {
                Err(AnalysisError::Negative { what: "the ratio of sample sizes", value: ratio })
            }
        };
        let enough = |n: f64| {
            let what = "a t test";
            // A size is whole and small.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let found = n as usize;
            if n >= 2.0 { Ok(()) } else { Err(AnalysisError::TooFew { what, needed: 2, found }) }
        };
        let spread = |sd: f64| {
            if sd >= 0.0 && sd.is_finite() {
                Ok(sd)
            } else {
                Err(AnalysisError::Negative { what: "a standard deviation", value: sd })
            }
        };
        enough(of_first)?;
        match self {
            Self::OneSample { sd } => Ok((spread(sd)? / of_first.sqrt(), of_first - 1.0)),
            Self::Pooled { sd, ratio } => {
                let of_second = of_second(ratio)?;
                enough(of_second)?;
                let error = spread(sd)? * (1.0 / of_first + 1.0 / of_second).sqrt();
                Ok((error, of_first + of_second - 2.0))
            }
            Self::Welch { sds: [first, second], ratio } => {
                let of_second = of_second(ratio)?;
                enough(of_second)?;
                let (first, second) = (spread(first)?, spread(second)?);
                let samples = [(first * first, of_first), (second * second, of_second)];
                let (variance, degrees) = satterthwaite(samples.into_iter());
                Ok((variance.sqrt(), degrees))
            }
        }
    }

    /// The smallest first sample that leaves two values in the second.
    fn least(self) -> u64 {
        match self {
            Self::OneSample { .. } => 2,
            Self::Pooled { ratio, .. } | Self::Welch { ratio, .. } => {
                (2..=MOST_SEEDS).find(|n| (ratio * whole(*n)).round() >= 2.0).unwrap_or(MOST_SEEDS)
            }
        }
    }
}

/// Probability that a t test at `alpha` rejects the hypothesis of no effect, were `effect` the true
/// mean, or difference of the second mean minus the first (`statsmodels.stats.power`: `TTestPower`,
/// `TTestIndPower`). A two-sided test also rejects in the wrong direction, and that counts.
///
/// `n` is the number of values in the first sample. Without spread the power is 1, or 0 where there
/// is no effect in the tested direction.
///
/// # Errors
/// Below two values in a sample, with a standard deviation that is negative or a ratio of sizes that
/// is not positive, when the effect is not finite, or when `alpha` is not in (0, 1).
pub fn power(
    test: TTest,
    effect: f64,
    n: u64,
    alpha: f64,
    alternative: Alternative,
) -> Result<f64, AnalysisError> {
    probability("alpha", alpha)?;
    if !effect.is_finite() {
        return Err(AnalysisError::NotFinite("the power of a test"));
    }
    let (error, degrees) = test.error(n)?;
    Ok(power_at(effect, error, degrees, alpha, alternative))
}

fn power_at(effect: f64, error: f64, degrees: f64, alpha: f64, alternative: Alternative) -> f64 {
    let towards = |effect: f64, tail: f64| {
        let critical = if tail <= 0.5 {
            upper_quantile(tail, degrees)
        } else {
            -upper_quantile(1.0 - tail, degrees)
        };
        t_power(effect, error, critical, degrees)
    };
    match alternative {
        Alternative::TwoSided => {
            (towards(effect, alpha / 2.0) + towards(-effect, alpha / 2.0)).min(1.0)
        }
        Alternative::Less => towards(-effect, alpha),
        Alternative::Greater => towards(effect, alpha),
    }
}

/// Probability that an estimate of `effect` exceeds `critical` of its standard errors, which is
/// `error` with so many degrees of freedom.
pub(super) fn t_power(effect: f64, error: f64, critical: f64, degrees: f64) -> f64 {
    if error == 0.0 {
        return if effect > 0.0 { 1.0 } else { 0.0 };
    }
    noncentral(effect / error, critical, degrees)
}

/// The smallest first sample, two at least, with which a test has a power; see [`power`].
///
/// `None` where more than a million would be needed, as where there is no effect or the test looks
/// the other way.
///
/// # Errors
/// As [`power`], or when the target is not in (0, 1).
pub fn seeds_needed(
    test: TTest,
    effect: f64,
    target: f64,
    alpha: f64,
    alternative: Alternative,
) -> Result<Option<u64>, AnalysisError> {
    probability("the power", target)?;
    let least = test.least();
    // Whatever can be wrong is wrong there already.
    power(test, effect, least, alpha, alternative)?;
    let enough = |n: u64| {
        let reached = power(test, effect, n.max(least), alpha, alternative);
        reached.is_ok_and(|reached| reached >= target)
    };
    Ok(fewest_seeds(enough).map(|n| n.max(least)))
}

/// The smallest number of seeds, two at least, from which on something holds.
pub(super) fn fewest_seeds(enough: impl Fn(u64) -> bool) -> Option<u64> {
    let mut high = 2;
    while !enough(high) {
        if high == MOST_SEEDS {
            return None;
        }
        high = (2 * high).min(MOST_SEEDS);
    }
    let mut low = high / 2;
    while high - low > 1 {
        let middle = u64::midpoint(low, high);
        if enough(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

/// The size of the smallest effect that a test with `n` values in the first sample shows with a
/// power, in the direction of the alternative; see [`power`]. Zero where the test rejects that often
/// without any effect, or where there is no spread.
///
/// # Errors
/// As [`power`], or when the target is not in (0, 1).
pub fn detectable_effect(
    test: TTest,
    n: u64,
    target: f64,
    alpha: f64,
    alternative: Alternative,
) -> Result<f64, AnalysisError> {
    probability("the power", target)?;
    probability("alpha", alpha)?;
    let (error, degrees) = test.error(n)?;
    // In standard errors; the direction makes no difference, since the test is symmetric.
    let alternative = match alternative {
        Alternative::Less => Alternative::Greater,
        other => other,
    };
    let reached = |errors: f64| power_at(errors, 1.0, degrees, alpha, alternative) >= target;
    if reached(0.0) {
        return Ok(0.0);
    }
    let (mut low, mut high) = (0.0, 1.0);
    while !reached(high) {
        low = high;
        high *= 2.0;
        if high > 1e12 {
            return Err(AnalysisError::NotFinite("the power of a test"));
        }
    }
    while high - low > 1e-13 * high {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if reached(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Ok(high * error)
}

/// One-sided upper confidence bound of a standard deviation, for normal values: the sample's, times
/// the square root of its degrees of freedom over their lower chi-square quantile.
///
/// A sample size computed from a pilot's own standard deviation is too small about half of the time;
/// from this bound, it is with probability `confidence` large enough (Browne 1995, Statistics in
/// Medicine 14, 1933-1940).
///
/// # Errors
/// When the standard deviation is negative, there are less than two values, or the confidence is
/// not in (0, 1).
pub fn sd_upper_bound(sd: f64, n: usize, confidence: f64) -> Result<f64, AnalysisError> {
    probability("the confidence", confidence)?;
    if !(sd >= 0.0 && sd.is_finite()) {
        return Err(AnalysisError::Negative { what: "a standard deviation", value: sd });
    }
    let too_few =
        AnalysisError::TooFew { what: "a bound on a standard deviation", needed: 2, found: n };
    if n < 2 {
        return Err(too_few);
    }
    let degrees = count(n - 1);
    let Ok(squares) = ChiSquared::new(degrees) else { return Err(too_few) };
    Ok(sd * (degrees / squares.inverse_cdf(1.0 - confidence)).sqrt())
}

/// The effect whose power [`power_table`] asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effect {
    /// A difference of means in the value's unit: the smallest that would matter.
    Difference(f64),
    /// The difference in the pilot itself. Where the pilot was chosen for it, this is too large and
    /// the seeds too few.
    Pilot,
}

/// What [`power_table`] asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowerOptions {
    /// The effect.
    pub effect: Effect,
    /// The power that is aimed at, in (0, 1).
    pub power: f64,
    /// Probability that the test rejects without any effect, in (0, 1).
    pub alpha: f64,
    /// What the test holds against the hypothesis of no difference.
    pub alternative: Alternative,
    /// Whether replicates are paired (common random numbers).
    pub paired: bool,
    /// Confidence of the upper bound that stands for a standard deviation, see [`sd_upper_bound`];
    /// `None` takes the pilot's own.
    pub sd_confidence: Option<f64>,
}

impl PowerOptions {
    /// A power of 0.8 of the two-sided test of independent groups at 0.05, at the pilot's own
    /// standard deviations.
    pub fn new(effect: Effect) -> Self {
        Self {
            effect,
            power: POWER,
            alpha: 0.05,
            alternative: Alternative::TwoSided,
            paired: false,
            sd_confidence: None,
        }
    }
}

/// Says how many seeds each pair of groups needs, from a pilot.
///
/// One row a pair, in their order:
///
/// | column | meaning |
/// |---|---|
/// | `from`, `to` | the groups |
/// | `n_from`, `n_to` | replicates of the pilot that entered |
/// | `missing` | rows of either group left out because the value is null, NaN or infinite |
/// | `unpaired` | replicates left out because only one of the groups has them; null unless paired |
/// | `sd_from`, `sd_to` | the pilot's standard deviations; null below two replicates |
/// | `sd_difference` | that of the difference within replicates; null unless paired |
/// | `effect` | difference of means, `to` minus `from`, whose power is asked for |
/// | `test` | `Welch t` or `paired t` |
/// | `alternative`, `alpha` | of the test |
/// | `power` | probability that the test would show the effect with the pilot's replicates |
/// | `detectable_effect` | size of the effect that it would show with the power aimed at |
/// | `power_target` | that power |
/// | `seeds_needed` | replicates a group that would show the effect with it; null where more than a million |
/// | `more_seeds` | the same beyond those of the smaller group |
/// | `estimator` | `standard deviation`: what the pilot estimates |
/// | `interval`, `interval_level`, `resamples` | the bound that stands for it, its confidence (both null where it stands for itself), and null |
/// | `note` | why numbers are null |
///
/// # Errors
/// When a column is absent or of the wrong type, a row has no replicate, a named group does not
/// occur, or an option is out of range.
pub fn power_table(
    frame: &DataFrame,
    columns: ComparisonColumns<'_>,
    pairs: &Pairs,
    options: PowerOptions,
) -> Result<DataFrame, AnalysisError> {
    probability("the power", options.power)?;
    probability("alpha", options.alpha)?;
    if let Some(confidence) = options.sd_confidence {
        probability("the confidence", confidence)?;
    }
    if let Effect::Difference(effect) = options.effect
        && !effect.is_finite()
    {
        return Err(AnalysisError::NotFinite("the power of a test"));
    }
    let groups = texts(frame, columns.group)?;
    let replicates = replicates(frame, columns.replicate)?;
    let values = numbers(frame, columns.value)?;
    let samples = Samples::new(&groups, &replicates, &values);
    let pairs = named_pairs(pairs, &samples, columns.group)?;
    let needs: Vec<Need> = pairs
        .iter()
        .map(|&Pair { from, to, first, second }| {
            let mut need = Need::new(first, second, options);
            match need.solve(options) {
                Ok(()) => {}
                Err(
                    error @ (AnalysisError::TooFew { .. }
                    | AnalysisError::NoVariance(_)
                    | AnalysisError::NotFinite(_)),
                ) => need.note = Some(error.to_string()),
                Err(error) => return Err(error),
            }
            Ok(Need { from: from.to_owned(), to: to.to_owned(), ..need })
        })
        .collect::<Result<_, _>>()?;
    let rows = needs.len();
    let floats = |of: fn(&Need) -> Option<f64>| needs.iter().map(of).collect::<Vec<Option<f64>>>();
    let counts = |of: fn(&Need) -> Option<u64>| needs.iter().map(of).collect::<Vec<Option<u64>>>();
    let mut table = DataFrame::new(rows, vec![])?;
    push(&mut table, "from", needs.iter().map(|n| n.from.as_str()).collect::<Vec<_>>())?;
    push(&mut table, "to", needs.iter().map(|n| n.to.as_str()).collect::<Vec<_>>())?;
    push(&mut table, "n_from", needs.iter().map(|n| n.n[0]).collect::<Vec<_>>())?;
    push(&mut table, "n_to", needs.iter().map(|n| n.n[1]).collect::<Vec<_>>())?;
    push(&mut table, "missing", needs.iter().map(|n| n.missing).collect::<Vec<_>>())?;
    push(&mut table, "unpaired", counts(|n| n.unpaired))?;
    push(&mut table, "sd_from", floats(|n| n.sds[0]))?;
    push(&mut table, "sd_to", floats(|n| n.sds[1]))?;
    push(&mut table, "sd_difference", floats(|n| n.sd_difference))?;
    push(&mut table, "effect", floats(|n| n.effect))?;
    push(&mut table, "test", vec![if options.paired { "paired t" } else { "Welch t" }; rows])?;
    push(&mut table, "alternative", vec![options.alternative.name(); rows])?;
    push(&mut table, "alpha", vec![options.alpha; rows])?;
    push(&mut table, "power", floats(|n| n.power))?;
    push(&mut table, "detectable_effect", floats(|n| n.detectable))?;
    push(&mut table, "power_target", vec![options.power; rows])?;
    push(&mut table, "seeds_needed", counts(|n| n.seeds))?;
    push(&mut table, "more_seeds", counts(|n| Some(n.seeds?.saturating_sub(n.n[0].min(n.n[1])))))?;
    push(&mut table, "estimator", vec!["standard deviation"; rows])?;
    let bound = options.sd_confidence.map(|_| "chi-square upper bound");
    push(&mut table, "interval", vec![bound; rows])?;
    push(&mut table, "interval_level", vec![options.sd_confidence; rows])?;
    push(&mut table, "resamples", vec![None::<u64>; rows])?;
    push(&mut table, "note", needs.iter().map(|n| n.note.as_deref()).collect::<Vec<_>>())?;
    Ok(table)
}

/// What a pair needs.
#[derive(Default)]
struct Need {
    from: String,
    to: String,
    n: [u64; 2],
    missing: u64,
    unpaired: Option<u64>,
    sds: [Option<f64>; 2],
    sd_difference: Option<f64>,
    effect: Option<f64>,
    power: Option<f64>,
    detectable: Option<f64>,
    seeds: Option<u64>,
    note: Option<String>,
}

impl Need {
    fn new(first: &Sample, second: &Sample, options: PowerOptions) -> Self {
        let (from, to) =
            if options.paired { first.paired(second) } else { (first.ordered(), second.ordered()) };
        let difference = || Some(mean(&to)? - mean(&from)?);
        Self {
            n: [from.len() as u64, to.len() as u64],
            missing: first.missing + second.missing,
            unpaired: options.paired.then(|| first.unpaired(second)),
            sds: [sd(&from), sd(&to)],
            sd_difference: if options.paired { sd_within(&from, &to) } else { None },
            effect: match options.effect {
                Effect::Difference(effect) => Some(effect),
                Effect::Pilot => difference(),
            },
            ..Self::default()
        }
    }

    fn solve(&mut self, options: PowerOptions) -> Result<(), AnalysisError> {
        let what = "a standard deviation";
        let bounded = |sd: Option<f64>, n: u64| {
            let found = usize::try_from(n).unwrap_or(usize::MAX);
            let sd = sd.ok_or(AnalysisError::TooFew { what, needed: 2, found })?;
            options.sd_confidence.map_or(Ok(sd), |level| sd_upper_bound(sd, found, level))
        };
        let [from, to] = self.n;
        let (test, equal) = if options.paired {
            let test = TTest::OneSample { sd: bounded(self.sd_difference, from)? };
            (test, test)
        } else {
            let sds = [bounded(self.sds[0], from)?, bounded(self.sds[1], to)?];
            let ratio = whole(to) / whole(from);
            (TTest::Welch { sds, ratio }, TTest::Welch { sds, ratio: 1.0 })
        };
        let PowerOptions { power: target, alpha, alternative, .. } = options;
        if test.error(from)?.0 == 0.0 {
            return Err(AnalysisError::NoVariance("a pilot"));
        }
        self.detectable = Some(detectable_effect(test, from, target, alpha, alternative)?);
        if let Some(effect) = self.effect {
            self.power = Some(power(test, effect, from, alpha, alternative)?);
            self.seeds = seeds_needed(equal, effect, target, alpha, alternative)?;
            if self.seeds.is_none() {
                self.note = Some(format!("more than {MOST_SEEDS} replicates"));
            }
        }
        Ok(())
    }
}

// Sizes are far smaller than 2^53.
#[allow(clippy::cast_precision_loss)]
fn whole(n: u64) -> f64 {
    n as f64
}
