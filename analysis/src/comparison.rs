//! Tests of two samples: their means, their order, and what permutations make of them.
//!
//! Every difference here is that of the second sample minus the first, as a table's row reads *from*
//! one group *to* another; `greater` is the alternative that the second is the greater.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::bootstrap::parallel_map;
use super::estimator::count;
use super::ranks::{Tails, mann_whitney, midranks, signed_ranks, tie_term};
use super::student::{satterthwaite, survival, upper_quantile};
use super::{AnalysisError, Interval, mean, sd};

/// Samples up to this size have an exact Mann-Whitney test if there are no ties.
const MOST_EXACT_RANKS: usize = 8;
/// Pairs up to this number have an exact signed-rank test if there are neither ties nor zeros ...
const MOST_EXACT_PAIRS: usize = 50;
/// ... and up to this one if there are.
const MOST_EXACT_TIED_PAIRS: usize = 13;
/// Resamples that a thread takes at a time.
const BATCH: u64 = 1024;

/// What a test holds against the hypothesis of no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alternative {
    /// A difference either way.
    TwoSided,
    /// The second is smaller.
    Less,
    /// The second is greater.
    Greater,
}

impl Alternative {
    /// Every alternative.
    pub const ALL: [Self; 3] = [Self::TwoSided, Self::Less, Self::Greater];

    /// Its name in tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::TwoSided => "two-sided",
            Self::Less => "less",
            Self::Greater => "greater",
        }
    }

    /// The p value of a statistic with a symmetric distribution, of which `above` gives the
    /// probability to lie above a value.
    pub(super) fn of_symmetric(self, statistic: f64, above: impl Fn(f64) -> f64) -> f64 {
        match self {
            Self::TwoSided => (2.0 * above(statistic.abs())).min(1.0),
            Self::Less => above(-statistic),
            Self::Greater => above(statistic),
        }
    }

    /// The p value of an observed outcome; two-sided, twice the smaller tail.
    pub(super) fn of_tails(self, tails: Tails) -> f64 {
        // Rounded once each: p values have no more digits.
        #[allow(clippy::cast_precision_loss)]
        let share = |outcomes: u128| outcomes as f64 / tails.all as f64;
        match self {
            Self::TwoSided => (2.0 * share(tails.at_or_below.min(tails.at_or_above))).min(1.0),
            Self::Less => share(tails.at_or_below),
            Self::Greater => share(tails.at_or_above),
        }
    }
}

/// What a t test says of a difference of means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TResult {
    /// The second mean minus the first.
    pub difference: f64,
    /// Two-sided interval of the difference, whatever the alternative.
    pub interval: Interval,
    /// The difference over its standard error.
    pub statistic: f64,
    /// Degrees of freedom.
    pub degrees: f64,
    /// The p value.
    pub p_value: f64,
}

impl TResult {
    fn new(
        name: &'static str,
        difference: f64,
        error: f64,
        degrees: f64,
        alternative: Alternative,
        level: f64,
    ) -> Result<Self, AnalysisError> {
        // Squares of very small or large numbers leave the range of doubles.
        if error == 0.0 {
            return Err(AnalysisError::NoVariance(name));
        }
        if !(difference.is_finite() && error.is_finite() && degrees.is_finite()) {
            return Err(AnalysisError::NotFinite(name));
        }
        let half = interval_quantile(level, degrees)? * error;
        let statistic = difference / error;
        Ok(Self {
            difference,
            interval: Interval { low: difference - half, high: difference + half },
            statistic,
            degrees,
            p_value: alternative.of_symmetric(statistic, |t| survival(t, degrees)),
        })
    }
}

/// The factor between the standard error and half of an interval.
pub(super) fn interval_quantile(level: f64, degrees: f64) -> Result<f64, AnalysisError> {
    if !(level > 0.0 && level < 1.0) {
        return Err(AnalysisError::Level(level));
    }
    Ok(upper_quantile((1.0 - level) / 2.0, degrees))
}

/// Welch's t test of two independent samples (`scipy.stats.ttest_ind`, `equal_var=False`).
///
/// # Errors
/// Below two values in a sample, where both samples are constant, with a value that is not finite,
/// or when the level is not in (0, 1).
pub fn welch(
    first: &[f64],
    second: &[f64],
    alternative: Alternative,
    level: f64,
) -> Result<TResult, AnalysisError> {
    const NAME: &str = "Welch's t test";
    let (first, second) = (checked(NAME, first, 2)?, checked(NAME, second, 2)?);
    let of_one = |sample: &[f64]| (sd(sample).unwrap_or_default().powi(2), count(sample.len()));
    let (variance, degrees) = satterthwaite([of_one(&first), of_one(&second)].into_iter());
    let difference = difference(&first, &second);
    TResult::new(NAME, difference, variance.sqrt(), degrees, alternative, level)
}

/// Student's t test of pairs (`scipy.stats.ttest_rel`).
///
/// # Errors
/// Below two pairs, where all differences are equal to within rounding, with unequal lengths, with a
/// value that is not finite, or when the level is not in (0, 1).
pub fn paired_t(
    first: &[f64],
    second: &[f64],
    alternative: Alternative,
    level: f64,
) -> Result<TResult, AnalysisError> {
    const NAME: &str = "the paired t test";
    let differences = differences(NAME, first, second, 2)?;
    let n = count(differences.len());
    let error = sd_within(first, second).unwrap_or_default() / n.sqrt();
    let difference = mean(&differences).unwrap_or_default();
    TResult::new(NAME, difference, error, n - 1.0, alternative, level)
}

/// Standard deviation of the differences within pairs; zero where they are equal to within the
/// rounding of the values and of their difference.
pub(super) fn sd_within(first: &[f64], second: &[f64]) -> Option<f64> {
    let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| b - a).collect();
    let largest = first.iter().chain(second).fold(0.0, |largest: f64, v| largest.max(v.abs()));
    let spread = sd(&differences)?;
    Some(if constant(&differences, 4.0 * f64::EPSILON * largest) { 0.0 } else { spread })
}

/// What a rank test says of two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankResult {
    /// Mann-Whitney: U of the second sample. Signed ranks: the sum of the positive ones.
    pub statistic: f64,
    /// The statistic over its largest possible value. Mann-Whitney: the probability that a value of
    /// the second sample exceeds one of the first, ties counted half (the common-language effect
    /// size, rliable's probability of improvement). Signed ranks: the share of positive ranks; 0.5
    /// where there are none.
    pub effect: f64,
    /// The p value.
    pub p_value: f64,
    /// Whether it counts outcomes, or else is a normal approximation.
    pub exact: bool,
}

/// Probability that a value of the second sample exceeds one of the first, ties counted half
/// (rliable's probability of improvement on one task); `None` where a sample is empty.
pub fn probability_of_superiority(first: &[f64], second: &[f64]) -> Option<f64> {
    let pairs = count(first.len()) * count(second.len());
    if pairs > 0.0 { Some(u_of_second(first, second).0 / pairs) } else { None }
}

/// U of the second sample, and the sizes of ties.
fn u_of_second(first: &[f64], second: &[f64]) -> (f64, Vec<usize>) {
    let (ranks, sizes) = midranks(&[first, second].concat());
    let m = count(second.len());
    (ranks[first.len()..].iter().sum::<f64>() - m * (m + 1.0) / 2.0, sizes)
}

/// Mann and Whitney's U test of two independent samples (`scipy.stats.mannwhitneyu`, method `auto`).
///
/// The p value is exact where a sample has no more than eight values and there are no ties (and the
/// number of outcomes fits 128 bits); otherwise the normal approximation with corrections for ties
/// and continuity. Where all values are equal, it is 1.
///
/// # Errors
/// When a sample is empty or a value is not finite.
pub fn mann_whitney_u(
    first: &[f64],
    second: &[f64],
    alternative: Alternative,
) -> Result<RankResult, AnalysisError> {
    const NAME: &str = "the Mann-Whitney test";
    let (first, second) = (checked(NAME, first, 1)?, checked(NAME, second, 1)?);
    let (n, m) = (count(first.len()), count(second.len()));
    let (u, sizes) = u_of_second(&first, &second);
    let tied = sizes.iter().any(|&size| size > 1);
    let effect = u / (n * m);
    if first.len().min(second.len()) <= MOST_EXACT_RANKS && !tied {
        // Without ties a whole number, far below 2^53.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = u.round() as usize;
        if let Some(tails) = mann_whitney(first.len(), second.len(), whole) {
            let p_value = alternative.of_tails(tails);
            return Ok(RankResult { statistic: u, effect, p_value, exact: true });
        }
    }
    let all = n + m;
    let variance = n * m / 12.0 * ((all + 1.0) - tie_term(&sizes) / (all * (all - 1.0)));
    let centred = u - n * m / 2.0;
    let p_value = if variance > 0.0 {
        // The correction always takes the statistic nearer to its mean, or beyond.
        let above = |centred: f64| survival((centred - 0.5) / variance.sqrt(), f64::INFINITY);
        alternative.of_symmetric(centred, above)
    } else {
        1.0
    };
    Ok(RankResult { statistic: u, effect, p_value, exact: false })
}

/// Wilcoxon's signed-rank test of pairs (`scipy.stats.wilcoxon`: zero differences are dropped,
/// method `auto`, no continuity correction; its two-sided statistic is the smaller of this one and
/// its complement).
///
/// The p value is exact up to 50 pairs, or up to 13 where differences tie or are zero; otherwise a
/// normal approximation with correction for ties. Where all differences are zero, it is 1.
///
/// # Errors
/// When there is no pair, lengths are unequal or a value is not finite.
pub fn wilcoxon(
    first: &[f64],
    second: &[f64],
    alternative: Alternative,
) -> Result<RankResult, AnalysisError> {
    let differences = differences("the signed-rank test", first, second, 1)?;
    let nonzero: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let (ranks, sizes) = midranks(&nonzero.iter().map(|d| d.abs()).collect::<Vec<f64>>());
    let positive = nonzero.iter().zip(&ranks).filter(|(d, _)| **d > 0.0);
    let statistic: f64 = positive.map(|(_, rank)| rank).sum();
    let n = count(nonzero.len());
    if nonzero.is_empty() {
        return Ok(RankResult { statistic, effect: 0.5, p_value: 1.0, exact: true });
    }
    let effect = statistic / (n * (n + 1.0) / 2.0);
    let plain = nonzero.len() == differences.len() && sizes.iter().all(|&size| size == 1);
    let most = if plain { MOST_EXACT_PAIRS } else { MOST_EXACT_TIED_PAIRS };
    if differences.len() <= most
        && let Some(tails) = signed_ranks(&ranks, statistic)
    {
        let p_value = alternative.of_tails(tails);
        return Ok(RankResult { statistic, effect, p_value, exact: true });
    }
    let variance = (n * (n + 1.0) * (2.0 * n + 1.0) - tie_term(&sizes) / 2.0) / 24.0;
    let z = (statistic - n * (n + 1.0) / 4.0) / variance.sqrt();
    let p_value = alternative.of_symmetric(z, |z| survival(z, f64::INFINITY));
    Ok(RankResult { statistic, effect, p_value, exact: false })
}

/// How a permutation test looks at permutations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permutations {
    /// All distinct ones are enumerated if there are no more than this; otherwise so many are
    /// drawn.
    pub most: u64,
    /// Seed of the drawing; part of what makes a result re-makeable.
    pub seed: u64,
    /// Threads to use; shows in no number.
    pub threads: usize,
}

/// What a permutation test says of a difference of means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PermutationResult {
    /// The second mean minus the first.
    pub difference: f64,
    /// The p value; two-sided, twice the smaller tail.
    pub p_value: f64,
    /// Permutations looked at, the observed one among them if they were enumerated.
    pub permutations: u64,
    /// Whether these are all distinct ones. Otherwise they were drawn, and the observed one counts
    /// as one more: the p value is never zero and the test keeps its level (Phipson and Smyth 2010,
    /// Statistical Applications in Genetics and Molecular Biology 9, 39).
    pub exact: bool,
}

/// Permutation test of the difference of means of two independent samples
/// (`scipy.stats.permutation_test`, `independent`): the values are dealt anew to both.
///
/// Permutation `r` is drawn from its own ChaCha stream, keyed by *(seed, r)*, from the sorted values:
/// the order of values and the number of threads do not show.
///
/// # Errors
/// When a sample is empty, a value is not finite, or no permutation is allowed.
pub fn permutation(
    first: &[f64],
    second: &[f64],
    alternative: Alternative,
    permutations: Permutations,
) -> Result<PermutationResult, AnalysisError> {
    const NAME: &str = "the permutation test";
    let (first, second) = (checked(NAME, first, 1)?, checked(NAME, second, 1)?);
    let mut pooled = [first.as_slice(), &second].concat();
    pooled.sort_unstable_by(f64::total_cmp);
    // The sum of the smaller sample decides the difference, since the sum of all stays.
    let drawn = first.len().min(second.len());
    let smaller_is_second = second.len() < first.len();
    let observed: f64 = if smaller_is_second { &second } else { &first }.iter().sum();
    let sums = Sums::new(observed, &pooled);
    let tails = if let Some(all) = binomial(pooled.len(), drawn).filter(|n| *n <= permutations.most)
    {
        let mut sums = sums;
        for_each_choice(pooled.len(), drawn, |chosen| {
            sums.add(chosen.iter().map(|&place| pooled[place]).sum());
        });
        sums.tails(all, 0)
    } else {
        let add = |sums: &mut Sums, generator: &mut ChaCha8Rng, places: &mut Vec<usize>| {
            // The first steps of a Fisher-Yates shuffle; continuing from any order is as good, but
            // each permutation starts from the same one.
            places.clear();
            places.extend(0..pooled.len());
            for place in 0..drawn {
                let other = place + below(generator, pooled.len() - place);
                places.swap(place, other);
            }
            sums.add(places[..drawn].iter().map(|&place| pooled[place]).sum());
        };
        sums.drawn(*b"permutn1", permutations, Vec::new, add)?
    };
    let tails = if smaller_is_second { tails } else { tails.mirrored() };
    Ok(PermutationResult {
        difference: difference(&first, &second),
        p_value: alternative.of_tails(tails.tails),
        permutations: tails.permutations,
        exact: tails.exact,
    })
}

/// Permutation test of the mean difference of pairs (`scipy.stats.permutation_test`, `samples`): the
/// signs of the differences are dealt anew. Otherwise as [`permutation`].
///
/// # Errors
/// When there is no pair, lengths are unequal, a value is not finite, or no permutation is allowed.
pub fn paired_permutation(
    first: &[f64],
    second: &[f64],
    alternative: Alternative,
    permutations: Permutations,
) -> Result<PermutationResult, AnalysisError> {
    let mut differences = differences("the paired permutation test", first, second, 1)?;
    let difference = mean(&differences).unwrap_or_default();
    differences.sort_unstable_by(f64::total_cmp);
    let sums = Sums::new(differences.iter().sum(), &[first, second].concat());
    let all = u32::try_from(differences.len()).ok().and_then(|n| 1u64.checked_shl(n));
    let tails = if let Some(all) = all.filter(|n| *n <= permutations.most) {
        let mut sums = sums;
        for signs in 0..all {
            let signed = differences.iter().enumerate();
            sums.add(signed.map(|(k, d)| if signs >> k & 1 == 1 { -d } else { *d }).sum());
        }
        sums.tails(all, 0)
    } else {
        let add = |sums: &mut Sums, generator: &mut ChaCha8Rng, (): &mut ()| {
            let mut bits = 0;
            let mut sum = 0.0;
            for (k, d) in differences.iter().enumerate() {
                if k % 64 == 0 {
                    bits = generator.next_u64();
                }
                sum += if bits & 1 == 1 { -d } else { *d };
                bits >>= 1;
            }
            sums.add(sum);
        };
        sums.drawn(*b"signflp1", permutations, || (), add)?
    };
    Ok(PermutationResult {
        difference,
        p_value: alternative.of_tails(tails.tails),
        permutations: tails.permutations,
        exact: tails.exact,
    })
}

/// How many permutations' sums lie at or below the observed one, and at or above.
#[derive(Clone, Copy)]
struct Sums {
    observed: f64,
    /// Sums that are closer differ by rounding only.
    tolerance: f64,
    at_or_below: u64,
    at_or_above: u64,
}

struct SumTails {
    tails: Tails,
    permutations: u64,
    exact: bool,
}

impl SumTails {
    /// Of the sum's negative.
    fn mirrored(self) -> Self {
        let Tails { at_or_below, at_or_above, all } = self.tails;
        Self { tails: Tails { at_or_below: at_or_above, at_or_above: at_or_below, all }, ..self }
    }
}

impl Sums {
    fn new(observed: f64, values: &[f64]) -> Self {
        let size: f64 = values.iter().map(|value| value.abs()).sum();
        let tolerance = f64::EPSILON * count(values.len()) * size;
        Self { observed, tolerance, at_or_below: 0, at_or_above: 0 }
    }

    fn add(&mut self, sum: f64) {
        self.at_or_below += u64::from(sum <= self.observed + self.tolerance);
        self.at_or_above += u64::from(sum >= self.observed - self.tolerance);
    }

    /// Of all permutations, or of drawn ones and `more` that equal the observed one.
    fn tails(self, permutations: u64, more: u64) -> SumTails {
        let with = |outcomes: u64| u128::from(outcomes + more);
        let tails = Tails {
            at_or_below: with(self.at_or_below),
            at_or_above: with(self.at_or_above),
            all: with(permutations),
        };
        SumTails { tails, permutations, exact: more == 0 }
    }

    /// Draws permutations on several threads.
    fn drawn<S>(
        self,
        purpose: [u8; 8],
        permutations: Permutations,
        scratch: impl Fn() -> S + Sync,
        add: impl Fn(&mut Self, &mut ChaCha8Rng, &mut S) + Sync,
    ) -> Result<SumTails, AnalysisError> {
        let Permutations { most, seed, threads } = permutations;
        if most == 0 {
            return Err(AnalysisError::NoResamples);
        }
        let mut key = *b"................ceteris/........";
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&[0; 8]);
        key[24..].copy_from_slice(&purpose);
        let batches: Vec<u64> = (0..most.div_ceil(BATCH)).collect();
        let counted = parallel_map(&batches, threads, |batch| {
            let mut sums = self;
            let mut generator = ChaCha8Rng::from_seed(key);
            let mut scratch = scratch();
            for permutation in batch * BATCH..((batch + 1) * BATCH).min(most) {
                generator.set_stream(permutation);
                generator.set_word_pos(0);
                add(&mut sums, &mut generator, &mut scratch);
            }
            sums
        });
        let mut sums = self;
        for part in counted {
            sums.at_or_below += part.at_or_below;
            sums.at_or_above += part.at_or_above;
        }
        Ok(sums.tails(most, 1))
    }
}

/// A number below `bound`, uniform up to a bias below `bound / 2^64`.
fn below(generator: &mut ChaCha8Rng, bound: usize) -> usize {
    let word = u128::from(generator.next_u64());
    // Smaller than the bound.
    #[allow(clippy::cast_possible_truncation)]
    let drawn = ((word * bound as u128) >> 64) as usize;
    drawn
}

/// Choices of `k` of `n`; `None` where their number does not fit.
fn binomial(n: usize, k: usize) -> Option<u64> {
    let mut all = 1u128;
    for i in 1..=k.min(n - k) {
        all = all.checked_mul((n - k.min(n - k) + i) as u128)? / i as u128;
    }
    u64::try_from(all).ok()
}

/// Calls for every choice of `k` of `n` places, each in ascending order.
fn for_each_choice(n: usize, k: usize, mut call: impl FnMut(&[usize])) {
    let mut chosen: Vec<usize> = (0..k).collect();
    loop {
        call(&chosen);
        // The last place that can still move up; those behind it follow it closely.
        let Some(moved) = (0..k).rev().find(|&i| chosen[i] < n - k + i) else { return };
        chosen[moved] += 1;
        for i in moved + 1..k {
            chosen[i] = chosen[i - 1] + 1;
        }
    }
}

/// Standardised difference of means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EffectSize {
    /// Cohen's d: the second mean minus the first, over the pooled standard deviation.
    pub cohens_d: f64,
    /// Hedges' g: d times the exact factor `Γ(f/2) / (√(f/2) Γ((f-1)/2))`, f the degrees of freedom,
    /// which makes it unbiased for independent normal samples of equal variance (Hedges 1981,
    /// Journal of Educational Statistics 6, 107-128).
    pub hedges_g: f64,
}

/// Cohen's d and Hedges' g of two samples.
///
/// # Errors
/// Below two values in a sample, where both samples are constant, or with a value that is not
/// finite.
pub fn effect_size(first: &[f64], second: &[f64]) -> Result<EffectSize, AnalysisError> {
    const NAME: &str = "a standardised difference";
    let (first, second) = (checked(NAME, first, 2)?, checked(NAME, second, 2)?);
    let squares = |sample: &[f64]| sd(sample).unwrap_or_default().powi(2) * count(sample.len() - 1);
    let degrees = count(first.len() + second.len() - 2);
    let pooled = ((squares(&first) + squares(&second)) / degrees).sqrt();
    if pooled == 0.0 {
        return Err(AnalysisError::NoVariance(NAME));
    }
    let cohens_d = difference(&first, &second) / pooled;
    if !cohens_d.is_finite() {
        return Err(AnalysisError::NotFinite(NAME));
    }
    let log_factor = libm::lgamma(degrees / 2.0)
        - libm::lgamma((degrees - 1.0) / 2.0)
        - (degrees / 2.0).ln() / 2.0;
    Ok(EffectSize { cohens_d, hedges_g: cohens_d * log_factor.exp() })
}

/// The values in order, so that the order they came in shows in not even the last bit.
fn checked(name: &'static str, sample: &[f64], least: usize) -> Result<Vec<f64>, AnalysisError> {
    finite(name, sample)?;
    if sample.len() < least {
        return Err(AnalysisError::TooFew { what: name, needed: least, found: sample.len() });
    }
    let mut sample = sample.to_vec();
    sample.sort_unstable_by(f64::total_cmp);
    Ok(sample)
}

pub(super) fn finite(name: &'static str, sample: &[f64]) -> Result<(), AnalysisError> {
    if sample.iter().all(|value| value.is_finite()) {
        Ok(())
    } else {
        Err(AnalysisError::NotFinite(name))
    }
}

/// The second of each pair minus the first.
fn differences(
    name: &'static str,
    first: &[f64],
    second: &[f64],
    least: usize,
) -> Result<Vec<f64>, AnalysisError> {
    finite(name, first)?;
    finite(name, second)?;
    if first.len() != second.len() {
        return Err(AnalysisError::Unpaired { first: first.len(), second: second.len() });
    }
    if first.len() < least {
        return Err(AnalysisError::TooFew { what: name, needed: least, found: first.len() });
    }
    Ok(first.iter().zip(second).map(|(first, second)| second - first).collect())
}

fn difference(first: &[f64], second: &[f64]) -> f64 {
    mean(second).unwrap_or_default() - mean(first).unwrap_or_default()
}

/// Whether no two values differ by more than a tolerance.
pub(super) fn constant(sample: &[f64], tolerance: f64) -> bool {
    let low = sample.iter().copied().fold(f64::INFINITY, f64::min);
    let high = sample.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    sample.is_empty() || high - low <= tolerance
}
