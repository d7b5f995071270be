//! Counts of successes whose probability differs from row to row: the beta-binomial distribution
//! and mixtures of it.
//!
//! A row's probability of success is drawn from a beta distribution with parameters `alpha` and
//! `beta`, then its trials are independent. Inside, the distribution is parametrised by its mean
//! `mu = alpha / (alpha + beta)` and `theta = 1 / (alpha + beta)` (Griffiths 1973, Biometrics 29,
//! 637-648), in which its probabilities are products,
//!
//! ```text
//! P(k of n) = C(n, k) * prod_{i<k} (mu + i theta) * prod_{i<n-k} (1 - mu + i theta) / prod_{i<n} (1 + i theta),
//! ```
//!
//! that need no gamma function, lose no digits where `alpha + beta` is large and pass smoothly into
//! the binomial distribution at `theta = 0`. For a given `theta` the likelihood is concave in `mu`;
//! the maximum is found among all changes of sign of the profile's slope over `theta`.

use std::collections::BTreeMap;

use polars::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::estimator::count;
use super::frames::{Groups, groups, index, numbers, take};
use super::tables::push;
use super::{AnalysisError, Interval, normal};

/// Trials of a row at most; sums over them are kept in memory.
const MOST_TRIALS: f64 = 1e7;
/// Smaller ones are the binomial distribution as far as 64 bits can tell.
const SMALLEST_THETA: f64 = 1e-10;
/// Larger ones put practically all probability on none and all of the trials.
const LARGEST_THETA: f64 = 1e10;

/// A beta-binomial distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BetaBinomial {
    mu: f64,
    theta: f64,
}

impl BetaBinomial {
    /// The distribution with the parameters of its beta distribution; `None` unless both are
    /// positive and finite.
    pub fn new(alpha: f64, beta: f64) -> Option<Self> {
        let sum = alpha + beta;
        (alpha > 0.0 && beta > 0.0 && sum.is_finite())
            .then(|| Self { mu: alpha / sum, theta: 1.0 / sum })
    }

    /// First parameter of the beta distribution; `None` where all rows share one probability.
    pub fn alpha(self) -> Option<f64> {
        (self.theta > 0.0).then(|| self.mu / self.theta)
    }

    /// Second parameter of the beta distribution; `None` where all rows share one probability.
    pub fn beta(self) -> Option<f64> {
        (self.theta > 0.0).then(|| (1.0 - self.mu) / self.theta)
    }

    /// The mean probability of success.
    pub fn mean(self) -> f64 {
        self.mu
    }

    /// The correlation of two trials of a row, `1 / (alpha + beta + 1)`; 0 where all rows share one
    /// probability.
    pub fn correlation(self) -> f64 {
        self.theta / (1.0 + self.theta)
    }

    /// Density of the beta distribution at a probability strictly between 0 and 1; `None` elsewhere
    /// and where all rows share one probability.
    pub fn density(self, probability: f64) -> Option<f64> {
        let (alpha, beta) = (self.alpha()?, self.beta()?);
        let inside = probability > 0.0 && probability < 1.0;
        let normaliser = libm::lgamma(alpha) + libm::lgamma(beta) - libm::lgamma(alpha + beta);
        let log = (alpha - 1.0) * probability.ln() + (beta - 1.0) * (-probability).ln_1p();
        inside.then(|| (log - normaliser).exp())
    }

    /// Logarithm of the probability of `successes` in `trials`; minus infinity where there are more
    /// successes than trials. Takes time in proportion to the trials.
    pub fn log_pmf(self, successes: u64, trials: u64) -> f64 {
        let Some(failures) = trials.checked_sub(successes) else { return f64::NEG_INFINITY };
        log_choose(successes, failures)
            + (0..successes).map(|i| (self.mu + wide(i) * self.theta).ln()).sum::<f64>()
            + (0..failures).map(|i| (1.0 - self.mu + wide(i) * self.theta).ln()).sum::<f64>()
            - (0..trials).map(|i| (wide(i) * self.theta).ln_1p()).sum::<f64>()
    }
}

/// A mixture of beta-binomial distributions.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedMixture {
    /// Weight and distribution of every component, in the order of their means; weights sum to 1.
    pub components: Vec<(f64, BetaBinomial)>,
    /// Logarithm of its marginal likelihood, with binomial coefficients.
    pub log_likelihood: f64,
    /// Rounds of the fit that was kept.
    pub rounds: usize,
    /// Whether it ended before it had used up its rounds.
    pub converged: bool,
    /// Starts whose log likelihood is within 1e-4 of the largest.
    pub agreeing_starts: usize,
}

/// Fits the mixture of [`beta_binomial_mixture`] to a histogram: for each pair of trials and successes, how
/// many rows have it, which need not be whole. `None` where the histogram is empty or an option is 0.
pub fn fit_mixture(
    histogram: &[((u64, u64), f64)],
    options: &MixtureOptions,
) -> Option<FittedMixture> {
    let rows: Vec<((u64, u64), f64)> =
        histogram.iter().copied().filter(|((trials, _), n)| *trials > 0 && *n > 0.0).collect();
    if options.components == 0 || options.rounds == 0 {
        return None;
    }
    let fit = Mixture::fit(&rows, options)?;
    Some(FittedMixture {
        components: fit.components.iter().map(|part| (part.weight, part.of)).collect(),
        log_likelihood: fit.log_likelihood,
        rounds: fit.rounds,
        converged: fit.converged,
        agreeing_starts: fit.agreeing,
    })
}

/// The probabilities of 0, 1, ..., `kept` successes where only `kept` of a row's trials are looked at,
/// all choices being equally likely: the hypergeometric distribution. With them, what fewer trials
/// a row would have given is an expectation, which needs no drawing of random subsets. `None`
/// where there are more successes or kept trials than trials.
pub fn thinned(successes: u64, trials: u64, kept: u64) -> Option<Vec<f64>> {
    let failures = trials.checked_sub(successes)?;
    let dropped = trials.checked_sub(kept)?;
    let all = log_choose(kept, dropped);
    let probability = |found: u64| {
        let (missed, wrong) = (successes.checked_sub(found)?, kept - found);
        let rest = failures.checked_sub(wrong)?;
        Some((log_choose(found, missed) + log_choose(wrong, rest) - all).exp())
    };
    Some((0..=kept).map(|found| probability(found).unwrap_or(0.0)).collect())
}

/// The columns that [`beta_binomial`] and [`beta_binomial_mixture`] read.
#[derive(Clone, Copy, Debug)]
pub struct BetaBinomialColumns<'a> {
    /// Columns whose values make the groups, each fitted on its own; none puts all rows into one.
    pub groups: &'a [&'a str],
    /// Number of successes of a row.
    pub successes: &'a str,
    /// Number of trials of a row, which may differ between rows; at most 10,000,000.
    pub trials: &'a str,
}

/// How a mixture is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MixtureOptions {
    /// Beta distributions in the mixture; at least 1.
    pub components: usize,
    /// Fits from different starts, of which the most likely is kept; at least 1.
    pub starts: usize,
    /// Rounds of a fit at most; at least 1.
    pub rounds: usize,
    /// Seed of the starts.
    pub seed: u64,
}

impl Default for MixtureOptions {
    /// Three components, ten starts of at most 10,000 rounds.
    fn default() -> Self {
        Self { components: 3, starts: 10, rounds: 10_000, seed: 0 }
    }
}

/// Fits a beta-binomial distribution per group by maximum likelihood.
///
/// One row a group and parameter, groups in the order of their columns: the group columns, then
///
/// | column | meaning |
/// |---|---|
/// | `parameter` | `alpha`, `beta`, `mean` (`alpha / (alpha + beta)`), `correlation` (of two trials of a row, `1 / (alpha + beta + 1)`) |
/// | `estimate` | null where it does not exist, see below |
/// | `standard_error` | from the observed information; null at the edge of the parameter space |
/// | `low`, `high` | profile likelihood for mean and correlation; for alpha and beta, which can be unbounded, Wald's on their logarithm |
/// | `n`, `trials` | rows that entered, their trials |
/// | `missing` | rows without successes or trials, or with no trial |
/// | `log_likelihood` | with binomial coefficients |
/// | `note` | which of the cases below it is, or null |
/// | `estimator`, `interval`, `interval_level`, `resamples` | what the estimate and the interval are; `resamples` is null |
///
/// | note | outcome |
/// |---|---|
/// | `no rows` | all null |
/// | `all successes`, `all failures` | mean 1 or 0; the others null |
/// | `one trial a row` | mean: share of successes; a correlation cannot be seen |
/// | `all or nothing`: rows have either only successes or only failures | mean: share of rows with successes; correlation 1; alpha and beta tend to 0 |
/// | `binomial`: rows vary no more than binomial ones | mean: pooled share of successes; correlation 0; alpha and beta tend to infinity |
///
/// # Errors
/// When a column is absent or of the wrong type, a count is negative, not whole or too large, a row
/// has more successes than trials, or the level is out of range.
pub fn beta_binomial(
    frame: &DataFrame,
    columns: BetaBinomialColumns<'_>,
    level: f64,
) -> Result<DataFrame, AnalysisError> {
    if !(level > 0.0 && level < 1.0) {
        return Err(AnalysisError::Level(level));
    }
    let (keys, samples) = samples(frame, &columns)?;
    let fits: Vec<Fit> = samples.iter().map(|sample| Fit::new(sample, level)).collect();
    let rows: Vec<(usize, usize)> =
        (0..fits.len()).flat_map(|g| (0..Fit::NAMES.len()).map(move |p| (g, p))).collect();
    let floats = |value: &dyn Fn(&Fit, usize) -> Option<f64>| {
        rows.iter()
            .map(|(group, parameter)| value(&fits[*group], *parameter).filter(|v| v.is_finite()))
            .collect::<Vec<Option<f64>>>()
    };
    let mut table = repeated(&keys, rows.iter().map(|(group, _)| *group), &columns)?;
    push(&mut table, "parameter", rows.iter().map(|(_, p)| Fit::NAMES[*p]).collect::<Vec<_>>())?;
    push(&mut table, "estimate", floats(&|fit, p| fit.estimates[p]))?;
    push(&mut table, "standard_error", floats(&|fit, p| fit.errors[p]))?;
    push(&mut table, "low", floats(&|fit, p| Some(fit.intervals[p]?.low)))?;
    push(&mut table, "high", floats(&|fit, p| Some(fit.intervals[p]?.high)))?;
    append_counts(&mut table, &samples, rows.iter().map(|(group, _)| *group))?;
    push(&mut table, "log_likelihood", floats(&|fit, _| fit.log_likelihood))?;
    push(&mut table, "note", rows.iter().map(|(g, _)| fits[*g].note).collect::<Vec<_>>())?;
    let method = |parameter: usize| {
        if parameter < 2 { "Wald on the logarithm" } else { "profile likelihood" }
    };
    let n = rows.len();
    push(&mut table, "estimator", vec!["beta-binomial maximum likelihood"; n])?;
    push(&mut table, "interval", rows.iter().map(|(_, p)| method(*p)).collect::<Vec<_>>())?;
    push(&mut table, "interval_level", vec![level; n])?;
    push(&mut table, "resamples", vec![None::<u64>; n])?;
    Ok(table)
}

/// Fits a mixture of beta-binomial distributions per group by expectation maximisation (Dempster,
/// Laird and Rubin 1977): of several starts, the one with the largest likelihood.
///
/// Starts differ in their means and spreads, drawn from a ChaCha stream of their own; the first
/// takes the means from quantiles of the rows. A fit ends when a round adds less than 1e-12 of
/// the log likelihood. Mixtures of similar components converge slowly and differ little in
/// likelihood: compare densities rather than parameters.
///
/// One row a group and component, components in the order of their means: the group columns, then
///
/// | column | meaning |
/// |---|---|
/// | `component` | its number from 1 |
/// | `weight` | share of the rows' probabilities that come from it |
/// | `alpha`, `beta` | of its beta distribution; null where it has a single probability |
/// | `mean`, `correlation` | as in [`beta_binomial`] |
/// | `n`, `trials`, `missing` | as in [`beta_binomial`] |
/// | `log_likelihood` | of the mixture, with binomial coefficients |
/// | `aic`, `bic` | of the mixture, with `3 * components - 1` parameters and `n` rows |
/// | `rounds`, `converged` | of the fit that was kept |
/// | `agreeing_starts` | starts whose log likelihood is within 1e-4 of the largest, of `starts` |
/// | `starts` | how many there were |
/// | `estimator`, `interval`, `interval_level`, `resamples` | what the estimates are; there are no intervals |
///
/// A group without rows has components whose numbers are null.
///
/// # Errors
/// As [`beta_binomial`], or when an option is 0.
pub fn beta_binomial_mixture(
    frame: &DataFrame,
    columns: BetaBinomialColumns<'_>,
    options: &MixtureOptions,
) -> Result<DataFrame, AnalysisError> {
    for (name, value) in [
        ("the number of components", options.components),
        ("the number of starts", options.starts),
        ("the number of rounds", options.rounds),
    ] {
        if value == 0 {
            let (value, allowed) = ("0".to_owned(), "be at least 1");
            return Err(AnalysisError::Setting { name, value, allowed });
        }
    }
    let (keys, samples) = samples(frame, &columns)?;
    let fits: Vec<Option<Mixture>> =
        samples.iter().map(|sample| Mixture::fit(&sample.rows(), options)).collect();
    let rows: Vec<(usize, usize)> =
        (0..fits.len()).flat_map(|g| (0..options.components).map(move |c| (g, c))).collect();
    let components = |value: &dyn Fn(&Component) -> Option<f64>| {
        rows.iter()
            .map(|(group, component)| value(fits[*group].as_ref()?.components.get(*component)?))
            .collect::<Vec<Option<f64>>>()
    };
    let mixtures = |value: &dyn Fn(&Mixture) -> f64| {
        rows.iter().map(|(group, _)| fits[*group].as_ref().map(value)).collect::<Vec<_>>()
    };
    let counts = |value: &dyn Fn(&Mixture) -> usize| {
        rows.iter()
            .map(|(group, _)| fits[*group].as_ref().map(|mixture| value(mixture) as u64))
            .collect::<Vec<_>>()
    };
    let mut table = repeated(&keys, rows.iter().map(|(group, _)| *group), &columns)?;
    push(&mut table, "component", rows.iter().map(|(_, c)| *c as u64 + 1).collect::<Vec<_>>())?;
    push(&mut table, "weight", components(&|component| Some(component.weight)))?;
    push(&mut table, "alpha", components(&|component| component.of.alpha()))?;
    push(&mut table, "beta", components(&|component| component.of.beta()))?;
    push(&mut table, "mean", components(&|component| Some(component.of.mean())))?;
    push(&mut table, "correlation", components(&|component| Some(component.of.correlation())))?;
    append_counts(&mut table, &samples, rows.iter().map(|(group, _)| *group))?;
    let parameters = 3.0 * count(options.components) - 1.0;
    let likelihood = |mixture: &Mixture| mixture.log_likelihood;
    push(&mut table, "log_likelihood", mixtures(&likelihood))?;
    push(&mut table, "aic", mixtures(&|m| 2.0 * (parameters - m.log_likelihood)))?;
    push(&mut table, "bic", mixtures(&|m| parameters * m.rows.ln() - 2.0 * m.log_likelihood))?;
    push(&mut table, "rounds", counts(&|mixture| mixture.rounds))?;
    let converged: Vec<Option<bool>> =
        rows.iter().map(|(g, _)| fits[*g].as_ref().map(|mixture| mixture.converged)).collect();
    push(&mut table, "converged", converged)?;
    push(&mut table, "agreeing_starts", counts(&|mixture| mixture.agreeing))?;
    let n = rows.len();
    push(&mut table, "starts", vec![options.starts as u64; n])?;
    push(&mut table, "estimator", vec!["beta-binomial mixture, expectation maximisation"; n])?;
    push(&mut table, "interval", vec![None::<&str>; n])?;
    push(&mut table, "interval_level", vec![None::<f64>; n])?;
    push(&mut table, "resamples", vec![None::<u64>; n])?;
    Ok(table)
}

fn repeated(
    keys: &DataFrame,
    of_group: impl ExactSizeIterator<Item = usize>,
    columns: &BetaBinomialColumns<'_>,
) -> PolarsResult<DataFrame> {
    if columns.groups.is_empty() {
        return DataFrame::new(of_group.len(), vec![]);
    }
    take(keys, &of_group.map(index).collect::<Vec<_>>())
}

fn append_counts(
    table: &mut DataFrame,
    samples: &[Sample],
    of_group: impl Iterator<Item = usize> + Clone,
) -> PolarsResult<()> {
    let counts = |value: &dyn Fn(&Sample) -> u64| {
        of_group.clone().map(|group| value(&samples[group])).collect::<Vec<_>>()
    };
    push(table, "n", counts(&|sample| sample.counts.values().sum()))?;
    let trials = |sample: &Sample| sample.counts.iter().map(|((trials, _), n)| trials * n).sum();
    push(table, "trials", counts(&trials))?;
    push(table, "missing", counts(&|sample| sample.missing))
}

/// How many rows have which trials and successes; the order of rows is gone.
struct Sample {
    counts: BTreeMap<(u64, u64), u64>,
    missing: u64,
}

fn samples(
    frame: &DataFrame,
    columns: &BetaBinomialColumns<'_>,
) -> Result<(DataFrame, Vec<Sample>), AnalysisError> {
    let Groups { keys, rows } = groups(frame, columns.groups)?;
    let successes = counts(frame, columns.successes)?;
    let trials = counts(frame, columns.trials)?;
    for (row, (successes, trials)) in successes.iter().zip(&trials).enumerate() {
        if let (Some(successes), Some(trials)) = (successes, trials)
            && successes > trials
        {
            return Err(AnalysisError::OutOfRange {
                column: columns.successes.to_owned(),
                row,
                value: wide(*successes),
                allowed: "be at most the number of trials",
            });
        }
    }
    let samples = rows
        .iter()
        .map(|rows| {
            let mut sample = Sample { counts: BTreeMap::new(), missing: 0 };
            for &row in rows {
                match (successes[row], trials[row]) {
                    (Some(successes), Some(trials)) if trials > 0 => {
                        *sample.counts.entry((trials, successes)).or_default() += 1;
                    }
                    _ => sample.missing += 1,
                }
            }
            sample
        })
        .collect();
    Ok((keys, samples))
}

impl Sample {
    /// Trials and successes with the number of rows that have them.
    fn rows(&self) -> Vec<((u64, u64), f64)> {
        self.counts.iter().map(|(row, n)| (*row, wide(*n))).collect()
    }
}

/// A column of counts.
fn counts(frame: &DataFrame, column: &str) -> Result<Vec<Option<u64>>, AnalysisError> {
    numbers(frame, column)?
        .into_iter()
        .enumerate()
        .map(|(row, value)| {
            let Some(value) = value else { return Ok(None) };
            if !(0.0..=MOST_TRIALS).contains(&value) || value.fract() != 0.0 {
                return Err(AnalysisError::OutOfRange {
                    column: column.to_owned(),
                    row,
                    value,
                    allowed: "be a whole number from 0 to 10,000,000 (multiply shares by their \
                              number of trials)",
                });
            }
            // Whole and in range.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Ok(Some(value as u64))
        })
        .collect()
}

/// Counts stay far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn wide(number: u64) -> f64 {
    number as f64
}

fn log_choose(successes: u64, failures: u64) -> f64 {
    if successes == 0 || failures == 0 {
        return 0.0;
    }
    libm::lgamma(wide(successes + failures) + 1.0)
        - libm::lgamma(wide(successes) + 1.0)
        - libm::lgamma(wide(failures) + 1.0)
}

/// The sufficient statistic: weights of the factors `mu + i theta`, `1 - mu + i theta` and
/// `1 + i theta` of the likelihood.
struct Tally {
    successes: Vec<f64>,
    failures: Vec<f64>,
    trials: Vec<f64>,
}

impl Tally {
    /// From trials and successes with weights.
    fn new(rows: impl Iterator<Item = ((u64, u64), f64)> + Clone) -> Self {
        let tails = |of: fn((u64, u64)) -> u64| {
            let mut tails: Vec<f64> = Vec::new();
            for (row, weight) in rows.clone() {
                // At most 10,000,000.
                #[allow(clippy::cast_possible_truncation)]
                let factors = of(row) as usize;
                if factors > tails.len() {
                    tails.resize(factors, 0.0);
                }
                if let Some(last) = factors.checked_sub(1) {
                    tails[last] += weight;
                }
            }
            for i in (1..tails.len()).rev() {
                tails[i - 1] += tails[i];
            }
            tails
        };
        Self {
            successes: tails(|(_, successes)| successes),
            failures: tails(|(trials, successes)| trials - successes),
            trials: tails(|(trials, _)| trials),
        }
    }

    /// Without binomial coefficients.
    fn log_likelihood(&self, BetaBinomial { mu, theta }: BetaBinomial) -> f64 {
        let sum = |weights: &[f64], start: f64| -> f64 {
            let terms = (0u32..).zip(weights);
            terms.map(|(i, weight)| weight * (start + f64::from(i) * theta).ln()).sum()
        };
        let ones = (0u32..).zip(&self.trials);
        let trials: f64 = ones.map(|(i, weight)| weight * (f64::from(i) * theta).ln_1p()).sum();
        sum(&self.successes, mu) + sum(&self.failures, 1.0 - mu) - trials
    }

    /// The mean that is most likely for a `theta`; there are successes and failures.
    fn mean(&self, theta: f64, guess: f64) -> f64 {
        let (first, second) = (self.successes[0], self.failures[0]);
        let (mut low, mut high) = (0.0, 1.0);
        let mut mu = if guess > 0.0 && guess < 1.0 { guess } else { first / (first + second) };
        for _ in 0..200 {
            let sums = |weights: &[f64], start: f64| {
                (0u32..).zip(weights).fold((0.0, 0.0), |(slope, bend), (i, weight)| {
                    let factor = start + f64::from(i) * theta;
                    (slope + weight / factor, bend + weight / (factor * factor))
                })
            };
            let (up, up_bend) = sums(&self.successes, mu);
            let (down, down_bend) = sums(&self.failures, 1.0 - mu);
            let slope = up - down;
            if slope > 0.0 {
                low = mu;
            } else {
                high = mu;
            }
            let step = slope / (up_bend + down_bend);
            let next = mu + step;
            if step.abs() <= 1e-16 * mu.min(1.0 - mu) || next == mu {
                break;
            }
            mu = if next > low && next < high { next } else { f64::midpoint(low, high) };
            if high - low <= f64::EPSILON * low {
                break;
            }
        }
        mu
    }

    /// Slope of the log likelihood over `theta`.
    fn slope(&self, BetaBinomial { mu, theta }: BetaBinomial) -> f64 {
        let sum = |weights: &[f64], start: f64| -> f64 {
            let terms = (0u32..).zip(weights).skip(1);
            terms.map(|(i, weight)| weight * f64::from(i) / (start + f64::from(i) * theta)).sum()
        };
        sum(&self.successes, mu) + sum(&self.failures, 1.0 - mu) - sum(&self.trials, 1.0)
    }

    /// Minus the second derivatives over `mu`, over both, and over `theta`.
    fn information(&self, BetaBinomial { mu, theta }: BetaBinomial) -> [f64; 3] {
        let sums = |weights: &[f64], start: f64| {
            let mut sums = [0.0; 3];
            for (i, weight) in (0u32..).zip(weights) {
                let i = f64::from(i);
                let factor = start + i * theta;
                let weight = weight / (factor * factor);
                sums[0] += weight;
                sums[1] += weight * i;
                sums[2] += weight * i * i;
            }
            sums
        };
        let successes = sums(&self.successes, mu);
        let failures = sums(&self.failures, 1.0 - mu);
        let trials = sums(&self.trials, 1.0);
        [
            successes[0] + failures[0],
            successes[1] - failures[1],
            successes[2] + failures[2] - trials[2],
        ]
    }

    fn best_of_theta(&self, theta: f64, guess: f64) -> BetaBinomial {
        BetaBinomial { mu: self.mean(theta, guess), theta }
    }

    /// The maximum over all `theta`; there are successes, failures, and a row with both.
    fn maximum(&self) -> BetaBinomial {
        let grid = (-40..=40).map(|power| 10f64.powf(f64::from(power) / 4.0));
        let mut left = self.best_of_theta(0.0, 0.5);
        let mut left_slope = self.slope(left);
        let mut best: Option<(f64, BetaBinomial)> = None;
        let mut consider = |candidate: BetaBinomial| {
            let reached = self.log_likelihood(candidate);
            if best.is_none_or(|(most, _)| reached > most) {
                best = Some((reached, candidate));
            }
        };
        if left_slope <= 0.0 {
            consider(left);
        }
        for theta in grid {
            let right = self.best_of_theta(theta, left.mu);
            let right_slope = self.slope(right);
            if left_slope > 0.0 && right_slope <= 0.0 {
                consider(self.between(left.theta, right.theta, left.mu));
            }
            (left, left_slope) = (right, right_slope);
        }
        if left_slope > 0.0 {
            consider(left);
        }
        best.map_or(left, |(_, best)| best)
    }

    /// The maximum between two `theta` of which the profile rises at the first and falls at the
    /// second.
    fn between(&self, low: f64, high: f64, guess: f64) -> BetaBinomial {
        if high <= SMALLEST_THETA {
            return self.best_of_theta(0.0, guess);
        }
        let mut mu = guess;
        let log = root(low.max(SMALLEST_THETA).ln(), high.ln(), |log| {
            let at = self.best_of_theta(log.exp(), mu);
            mu = at.mu;
            self.slope(at) * at.theta
        });
        self.best_of_theta(log.exp(), mu)
    }

    /// The maximum uphill of a `theta`, for mixtures: the profile may have others.
    fn uphill(&self, start: BetaBinomial) -> BetaBinomial {
        self.climb(start, &|theta, guess| self.best_of_theta(theta, guess))
    }

    /// The maximum over `theta` uphill of a start, for a given mean.
    fn of_mean(&self, mu: f64, start: f64) -> BetaBinomial {
        let start = BetaBinomial { mu, theta: start };
        self.climb(start, &|theta, _| BetaBinomial { mu, theta })
    }

    fn climb(&self, start: BetaBinomial, at: &dyn Fn(f64, f64) -> BetaBinomial) -> BetaBinomial {
        let mut here = at(start.theta.max(2.0 * SMALLEST_THETA), start.mu);
        let rising = self.slope(here) > 0.0;
        let mut factor = 1.5;
        loop {
            let theta = if rising { here.theta * factor } else { here.theta / factor };
            if theta < SMALLEST_THETA {
                return at(0.0, here.mu);
            }
            if theta > LARGEST_THETA {
                return at(LARGEST_THETA, here.mu);
            }
            let there = at(theta, here.mu);
            if (self.slope(there) > 0.0) != rising {
                let (low, high) = if rising { (here, there) } else { (there, here) };
                let mut mu = here.mu;
                let log = root(low.theta.ln(), high.theta.ln(), |log| {
                    let point = at(log.exp(), mu);
                    mu = point.mu;
                    self.slope(point) * point.theta
                });
                return at(log.exp(), mu);
            }
            here = there;
            factor *= factor;
        }
    }
}

/// Where a function that is positive at `low` and not at `high` changes its sign: false position
/// with the Illinois rule, a bisection every third step.
fn root(mut low: f64, mut high: f64, mut value: impl FnMut(f64) -> f64) -> f64 {
    let (mut at_low, mut at_high) = (value(low), value(high));
    if at_low <= 0.0 {
        return low;
    }
    if at_high > 0.0 {
        return high;
    }
    for step in 0..200 {
        if high - low <= 4.0 * f64::EPSILON * low.abs().max(high.abs()) {
            break;
        }
        let chord = low + (high - low) * (at_low / (at_low - at_high));
        let middle = if step % 3 == 2 || !(chord > low && chord < high) {
            f64::midpoint(low, high)
        } else {
            chord
        };
        let at_middle = value(middle);
        if at_middle > 0.0 {
            (low, at_low) = (middle, at_middle);
            at_high /= 2.0;
        } else {
            (high, at_high) = (middle, at_middle);
            at_low /= 2.0;
            if at_middle == 0.0 {
                return middle;
            }
        }
    }
    f64::midpoint(low, high)
}

/// What [`beta_binomial`] says of a group, by parameter.
struct Fit {
    estimates: [Option<f64>; 4],
    errors: [Option<f64>; 4],
    intervals: [Option<Interval>; 4],
    log_likelihood: Option<f64>,
    note: Option<&'static str>,
}

impl Fit {
    const NAMES: [&'static str; 4] = ["alpha", "beta", "mean", "correlation"];

    fn new(sample: &Sample, level: f64) -> Self {
        let mut fit = Self {
            estimates: [None; 4],
            errors: [None; 4],
            intervals: [None; 4],
            log_likelihood: None,
            note: None,
        };
        let rows = sample.counts.iter().map(|(row, n)| (*row, wide(*n)));
        let n: f64 = rows.clone().map(|(_, n)| n).sum();
        if n <= 0.0 {
            fit.note = Some("no rows");
            return fit;
        }
        let z = -normal::quantile((1.0 - level) / 2.0);
        // By how much the log likelihood may fall short of its maximum within an interval.
        let drop = z * z / 2.0;
        let with = |of: fn((u64, u64)) -> bool| -> f64 {
            rows.clone().filter(|(row, _)| of(*row)).map(|(_, n)| n).sum()
        };
        let succeeded = with(|(_, successes)| successes > 0);
        let failed = with(|(trials, successes)| successes < trials);
        let mixed = succeeded + failed > n;
        if !mixed {
            // The likelihood is largest where rows are all successes or all failures: a row is one
            // trial.
            let share = succeeded / n;
            fit.estimates[2] = Some(share);
            fit.intervals[2] = Some(of_single_trials(succeeded, failed, drop));
            let inner = succeeded > 0.0 && failed > 0.0;
            fit.log_likelihood = Some(if inner {
                succeeded * share.ln() + failed * (1.0 - share).ln()
            } else {
                0.0
            });
            if !inner {
                let all = if failed > 0.0 { "all failures" } else { "all successes" };
                fit.note = Some(all);
                return fit;
            }
            fit.errors[2] = Some((share * (1.0 - share) / n).sqrt());
            if with(|(trials, _)| trials > 1) <= 0.0 {
                fit.note = Some("one trial a row");
                return fit;
            }
            fit.note = Some("all or nothing");
            fit.estimates[3] = Some(1.0);
        }
        let coefficients: f64 = rows
            .clone()
            .map(|((trials, successes), n)| n * log_choose(successes, trials - successes))
            .sum();
        let tally = Tally::new(rows.clone());
        let (best, most) = if mixed {
            let best = tally.maximum();
            let most = tally.log_likelihood(best);
            fit.log_likelihood = Some(most + coefficients);
            (best, most)
        } else {
            let share = succeeded / n;
            let best = BetaBinomial { mu: share, theta: f64::INFINITY };
            (best, succeeded * share.ln() + failed * (1.0 - share).ln())
        };
        let short = most - drop;
        fit.intervals[3] = Some(of_correlation(&tally, best, short));
        if !mixed {
            return fit;
        }
        fit.intervals[2] = Some(of_mean(&tally, best, short));
        fit.estimates = [best.alpha(), best.beta(), Some(best.mean()), Some(best.correlation())];
        let [mm, mt, tt] = tally.information(best);
        if best.theta == 0.0 {
            fit.note = Some("binomial");
            fit.errors[2] = Some(mm.recip().sqrt());
            return fit;
        }
        let determinant = mm * tt - mt * mt;
        if determinant > 0.0 && mm > 0.0 {
            let BetaBinomial { mu, theta } = best;
            // The delta method: derivatives of each parameter over mu and theta.
            let derivatives = [
                (1.0 / theta, -mu / (theta * theta)),
                (-1.0 / theta, -(1.0 - mu) / (theta * theta)),
                (1.0, 0.0),
                (0.0, 1.0 / ((1.0 + theta) * (1.0 + theta))),
            ];
            for (parameter, (a, b)) in derivatives.into_iter().enumerate() {
                let variance = (a * a * tt - 2.0 * a * b * mt + b * b * mm) / determinant;
                fit.errors[parameter] = Some(variance.sqrt());
            }
            for parameter in 0..2 {
                let (Some(estimate), Some(error)) =
                    (fit.estimates[parameter], fit.errors[parameter])
                else {
                    continue;
                };
                let factor = (z * error / estimate).exp();
                fit.intervals[parameter] =
                    Some(Interval { low: estimate / factor, high: estimate * factor });
            }
        }
        fit
    }
}

/// Where the likelihood of single trials falls short by `drop`.
fn of_single_trials(successes: f64, failures: f64, drop: f64) -> Interval {
    let n = successes + failures;
    let term = |number: f64, share: f64| if number > 0.0 { number * share.ln() } else { 0.0 };
    let at = |share: f64| term(successes, share) + term(failures, 1.0 - share);
    let share = successes / n;
    let short = at(share) - drop;
    Interval {
        low: if successes > 0.0 { root(0.0, share, |low| short - at(low)).min(share) } else { 0.0 },
        high: if failures > 0.0 { root(share, 1.0, |high| at(high) - short) } else { 1.0 },
    }
}

/// Where the likelihood, at its largest over `theta` for each mean, falls to `short`.
fn of_mean(tally: &Tally, best: BetaBinomial, short: f64) -> Interval {
    let mut theta = best.theta;
    let mut excess = |mu: f64| {
        let at = tally.of_mean(mu, theta);
        theta = at.theta;
        tally.log_likelihood(at) - short
    };
    // At 0 and 1 the likelihood is zero, so that just inside it is short enough.
    let edge = 1e-15;
    let low = root(0.0, 1.0, |part| -excess(edge + part * (best.mu - edge)));
    let high = root(0.0, 1.0, |part| excess(best.mu + part * (1.0 - edge - best.mu)));
    Interval { low: edge + low * (best.mu - edge), high: best.mu + high * (1.0 - edge - best.mu) }
}

/// The correlations at which the likelihood, at its largest over the mean, falls to `short`.
fn of_correlation(tally: &Tally, best: BetaBinomial, short: f64) -> Interval {
    let mut mu = best.mu;
    let mut excess = |theta: f64| {
        let at = tally.best_of_theta(theta, mu);
        mu = at.mu;
        tally.log_likelihood(at) - short
    };
    let correlation = |theta: f64| theta / (1.0 + theta);
    let inner = best.theta.clamp(SMALLEST_THETA, LARGEST_THETA).ln();
    let low = if best.theta == 0.0 || excess(0.0) >= 0.0 {
        0.0
    } else {
        correlation(root(SMALLEST_THETA.ln(), inner, |log| -excess(log.exp())).exp())
    };
    let high = if best.theta.is_infinite() || excess(LARGEST_THETA) >= 0.0 {
        1.0
    } else {
        correlation(root(inner, LARGEST_THETA.ln(), |log| excess(log.exp())).exp())
    };
    Interval { low, high }
}

struct Component {
    weight: f64,
    of: BetaBinomial,
}

struct Mixture {
    components: Vec<Component>,
    log_likelihood: f64,
    rows: f64,
    rounds: usize,
    converged: bool,
    agreeing: usize,
}

impl Mixture {
    /// The most likely fit of several starts; `None` without rows.
    fn fit(rows: &[((u64, u64), f64)], options: &MixtureOptions) -> Option<Self> {
        let fits: Vec<Self> = (0..options.starts as u64)
            .filter_map(|start| Self::climb(rows, Self::start(rows, options, start)?, options))
            .collect();
        let most = fits.iter().map(|fit| fit.log_likelihood).reduce(f64::max)?;
        let agreeing = fits.iter().filter(|fit| fit.log_likelihood >= most - 1e-4).count();
        #[allow(clippy::float_cmp)] // it is one of them
        let mut best = fits.into_iter().find(|fit| fit.log_likelihood == most)?;
        best.agreeing = agreeing;
        best.components.sort_by(|a, b| a.of.mu.total_cmp(&b.of.mu));
        Some(best)
    }

    /// Components to begin with: means from quantiles of the rows at the first start, from rows
    /// drawn at random at the others.
    fn start(
        rows: &[((u64, u64), f64)],
        options: &MixtureOptions,
        start: u64,
    ) -> Option<Vec<Component>> {
        let mut by_share: Vec<(f64, f64)> = rows
            .iter()
            .map(|((trials, successes), n)| ((wide(*successes) + 0.5) / (wide(*trials) + 1.0), *n))
            .collect();
        by_share.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let n: f64 = by_share.iter().map(|(_, n)| n).sum();
        let share_at = |rank: f64| {
            let mut below = 0.0;
            for (share, n) in &by_share {
                below += n;
                if below > rank {
                    return Some(*share);
                }
            }
            by_share.last().map(|(share, _)| *share)
        };
        let mut key = *b"................ceteris/mixture1";
        key[..8].copy_from_slice(&options.seed.to_le_bytes());
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(start);
        // 53 bits, in [0, 1).
        let mut uniform = || wide(generator.next_u64() >> 11) / wide(1 << 53);
        let parts = count(options.components);
        (0..options.components)
            .map(|component| {
                let (rank, theta) = if start == 0 {
                    ((count(component) + 0.5) / parts, 0.1)
                } else {
                    (uniform(), 10f64.powf(0.5 - 2.0 * uniform()))
                };
                let of = BetaBinomial { mu: share_at(rank * n)?, theta };
                Some(Component { weight: 1.0 / parts, of })
            })
            .collect()
    }

    /// Expectation maximisation from a start.
    fn climb(
        rows: &[((u64, u64), f64)],
        mut components: Vec<Component>,
        options: &MixtureOptions,
    ) -> Option<Self> {
        let n: f64 = rows.iter().map(|(_, n)| n).sum();
        let most_trials = rows.iter().map(|((trials, _), _)| *trials).max()?;
        let coefficients: Vec<f64> = rows
            .iter()
            .map(|((trials, successes), _)| log_choose(*successes, trials - successes))
            .collect();
        let mut before = f64::NEG_INFINITY;
        let mut rounds = 0;
        loop {
            let logs: Vec<Vec<f64>> = components
                .iter()
                .map(|component| component.log_densities(rows, &coefficients, most_trials))
                .collect();
            let mut shares: Vec<Vec<f64>> = vec![Vec::with_capacity(rows.len()); logs.len()];
            let mut likelihood = 0.0;
            for (row, (_, n)) in rows.iter().enumerate() {
                let most = logs.iter().map(|log| log[row]).fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = logs.iter().map(|log| (log[row] - most).exp()).sum();
                likelihood += n * (most + sum.ln());
                for (share, log) in shares.iter_mut().zip(&logs) {
                    share.push(n * (log[row] - most).exp() / sum);
                }
            }
            let converged = likelihood - before <= 1e-12 * likelihood.abs();
            if converged || rounds == options.rounds {
                return Some(Self {
                    components,
                    log_likelihood: likelihood,
                    rows: n,
                    rounds,
                    converged,
                    agreeing: 0,
                });
            }
            before = likelihood;
            rounds += 1;
            for (component, shares) in components.iter_mut().zip(&shares) {
                component.weight = shares.iter().sum::<f64>() / n;
                let tally =
                    Tally::new(rows.iter().zip(shares).map(|((row, _), share)| (*row, *share)));
                component.refit(&tally);
            }
        }
    }
}

impl Component {
    fn refit(&mut self, tally: &Tally) {
        let first = |weights: &[f64]| weights.first().copied().unwrap_or(0.0);
        self.of = match (first(&tally.successes) > 0.0, first(&tally.failures) > 0.0) {
            (true, true) => tally.uphill(self.of),
            // Only successes or only failures: a point at the end.
            (true, false) => BetaBinomial { mu: 1.0, theta: 0.0 },
            (false, true) => BetaBinomial { mu: 0.0, theta: 0.0 },
            (false, false) => self.of,
        };
    }

    /// Logarithm of weight times probability, by row.
    fn log_densities(
        &self,
        rows: &[((u64, u64), f64)],
        coefficients: &[f64],
        most_trials: u64,
    ) -> Vec<f64> {
        let BetaBinomial { mu, theta } = self.of;
        let sums = |start: f64| {
            let mut sum = 0.0;
            let logs = (0..most_trials).map(|i| {
                sum += (start + wide(i) * theta).ln();
                sum
            });
            std::iter::once(0.0).chain(logs).collect::<Vec<f64>>()
        };
        let (successes, failures, trials) = (sums(mu), sums(1.0 - mu), sums(1.0));
        rows.iter()
            .zip(coefficients)
            .map(|(((n, k), _), coefficient)| {
                // At most 10,000,000.
                #[allow(clippy::cast_possible_truncation)]
                let (n, k) = (*n as usize, *k as usize);
                self.weight.ln() + coefficient + successes[k] + failures[n - k] - trials[n]
            })
            .collect()
    }
}
