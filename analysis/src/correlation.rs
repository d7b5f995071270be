//! Correlations: Pearson's, and Spearman's and Kendall's of ranks.

use polars::prelude::*;

use super::comparison::{Alternative, constant, finite, interval_quantile};
use super::estimator::count;
use super::frames::{Groups, groups, numbers};
use super::ranks::{Tails, discordant, midranks};
use super::student::survival;
use super::tables::push;
use super::{AnalysisError, Interval, mean};

/// Pairs up to this number have an exact Kendall test if there are no ties.
const MOST_EXACT_KENDALL: usize = 33;

/// Which correlation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correlation {
    /// Pearson's r: of a straight line.
    Pearson,
    /// Spearman's rho: Pearson's r of the ranks, ties sharing the mean of theirs.
    Spearman,
    /// Kendall's tau-b: concordant minus discordant pairs over the geometric mean of the pairs
    /// without tie in either.
    Kendall,
}

impl Correlation {
    /// Every correlation.
    pub const ALL: [Self; 3] = [Self::Pearson, Self::Spearman, Self::Kendall];

    /// Its name in tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pearson => "pearson",
            Self::Spearman => "spearman",
            Self::Kendall => "kendall tau-b",
        }
    }

    /// How its interval is made.
    fn interval_name(self) -> &'static str {
        match self {
            Self::Pearson => "Fisher z",
            Self::Spearman | Self::Kendall => "Fisher z, Bonett-Wright variance",
        }
    }

    /// The correlation of pairs, its interval and the test of none (`scipy.stats.pearsonr`,
    /// `spearmanr`, `kendalltau` with method `auto`).
    ///
    /// Pearson's and Spearman's p values are of t with two degrees of freedom less than pairs; with
    /// two pairs they are 1. Kendall's counts orders where there are no ties and either at most 33
    /// pairs or all but one pair of pairs agree; otherwise the normal approximation corrected for
    /// ties.
    ///
    /// # Errors
    /// Below two pairs, where either side is constant, with unequal lengths, with a value that is
    /// not finite, or when the level is not in (0, 1).
    pub fn of(
        self,
        x: &[f64],
        y: &[f64],
        alternative: Alternative,
        level: f64,
    ) -> Result<CorrelationResult, AnalysisError> {
        const NAME: &str = "a correlation";
        finite(NAME, x)?;
        finite(NAME, y)?;
        if x.len() != y.len() {
            return Err(AnalysisError::Unpaired { first: x.len(), second: y.len() });
        }
        if x.len() < 2 {
            return Err(AnalysisError::TooFew { what: NAME, needed: 2, found: x.len() });
        }
        if constant(x, 0.0) || constant(y, 0.0) {
            return Err(AnalysisError::NoVariance(NAME));
        }
        // In order, so that the order of pairs shows in not even the last bit.
        let mut pairs: Vec<(f64, f64)> = x.iter().copied().zip(y.iter().copied()).collect();
        pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let (x, y): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let (estimate, p_value, exact) = match self {
            Self::Pearson => of_line(&x, &y, alternative),
            Self::Spearman => of_line(&midranks(&x).0, &midranks(&y).0, alternative),
            Self::Kendall => kendall(&x, &y, alternative),
        };
        let interval = self.interval(estimate, x.len(), level)?;
        Ok(CorrelationResult { estimate, interval, p_value, exact })
    }

    /// Fisher's interval: symmetric around the inverse hyperbolic tangent of the estimate, with the
    /// variances of Bonett and Wright (2000, Psychometrika 65, 23-28).
    fn interval(
        self,
        estimate: f64,
        pairs: usize,
        level: f64,
    ) -> Result<Option<Interval>, AnalysisError> {
        let quantile = interval_quantile(level, f64::INFINITY)?;
        let n = count(pairs);
        let (least, variance) = match self {
            Self::Pearson => (4, 1.0 / (n - 3.0)),
            Self::Spearman => (4, (1.0 + estimate * estimate / 2.0) / (n - 3.0)),
            Self::Kendall => (5, 0.437 / (n - 4.0)),
        };
        if pairs < least {
            return Ok(None);
        }
        let (z, half) = (libm::atanh(estimate), quantile * variance.sqrt());
        Ok(Some(Interval { low: libm::tanh(z - half), high: libm::tanh(z + half) }))
    }
}

/// A correlation and the test of none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CorrelationResult {
    /// The correlation, in [-1, 1].
    pub estimate: f64,
    /// Two-sided interval, whatever the alternative; `None` below four pairs (Kendall: five). Where
    /// the correlation is perfect, it is that point.
    pub interval: Option<Interval>,
    /// The p value.
    pub p_value: f64,
    /// Whether it counts orders (Kendall's, without ties).
    pub exact: bool,
}

/// Pearson's r of two sides that both vary.
fn of_line(x: &[f64], y: &[f64], alternative: Alternative) -> (f64, f64, bool) {
    let centred = |side: &[f64]| {
        let mean = mean(side).unwrap_or_default();
        let centred: Vec<f64> = side.iter().map(|value| value - mean).collect();
        // Divided by the largest, so that no square over- or underflows.
        let largest = centred.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        centred.into_iter().map(|value| value / largest).collect::<Vec<f64>>()
    };
    let (x, y) = (centred(x), centred(y));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let r = product(&x, &y) / (product(&x, &x).sqrt() * product(&y, &y).sqrt());
    let r = r.clamp(-1.0, 1.0);
    let degrees = count(x.len()) - 2.0;
    let p_value = if degrees > 0.0 {
        let t = r * (degrees / ((1.0 - r) * (1.0 + r))).sqrt();
        alternative.of_symmetric(t, |t| survival(t, degrees))
    } else {
        1.0
    };
    (r, p_value, false)
}

/// Kendall's tau-b of two sides that both vary; `x` is sorted, and `y` where `x` ties.
fn kendall(x: &[f64], y: &[f64], alternative: Alternative) -> (f64, f64, bool) {
    let n = x.len();
    let (ranks, y_ties) = midranks(y);
    let (_, x_ties) = midranks(x);
    #[allow(clippy::float_cmp)] // ties are equal values
    let joint: Vec<usize> = x
        .iter()
        .zip(y)
        .collect::<Vec<_>>()
        .chunk_by(|a, b| a == b)
        .map(<[(&f64, &f64)]>::len)
        .collect();
    let pairs_of = |sizes: &[usize]| sizes.iter().map(|t| t * (t - 1) / 2).sum::<usize>();
    let all = n * (n - 1) / 2;
    let (tied_x, tied_y, tied_both) = (pairs_of(&x_ties), pairs_of(&y_ties), pairs_of(&joint));
    let discordant_pairs = inversions(&ranks);
    // Concordant and discordant ones and those with a tie are all there are.
    let concordant = all + tied_both - tied_x - tied_y - discordant_pairs;
    let score = count(concordant) - count(discordant_pairs);
    let tau = score / count(all - tied_x).sqrt() / count(all - tied_y).sqrt();
    let tau = tau.clamp(-1.0, 1.0);
    let extreme = concordant.min(discordant_pairs) <= 1;
    if tied_x == 0 && tied_y == 0 && (n <= MOST_EXACT_KENDALL || extreme) {
        let tails = discordant(n, concordant);
        let p_value = tails.map_or_else(
            || extreme_p(n, concordant, discordant_pairs, alternative),
            |tails: Tails| alternative.of_tails(tails),
        );
        return (tau, p_value, true);
    }
    let sum = |sizes: &[usize], of: fn(f64) -> f64| {
        sizes.iter().map(|&size| of(count(size))).sum::<f64>()
    };
    let triples = |sizes: &[usize]| sum(sizes, |t| t * (t - 1.0) * (t - 2.0));
    let weighted = |sizes: &[usize]| sum(sizes, |t| t * (t - 1.0) * (2.0 * t + 5.0));
    let (n, m) = (count(n), count(2 * all));
    let variance = (m * (2.0 * n + 5.0) - weighted(&x_ties) - weighted(&y_ties)) / 18.0
        + 2.0 * count(tied_x) * count(tied_y) / m
        + triples(&x_ties) * triples(&y_ties) / (9.0 * m * (n - 2.0));
    let z = score / variance.sqrt();
    (tau, alternative.of_symmetric(z, |z| survival(z, f64::INFINITY)), false)
}

/// The p value where at most one pair disagrees with all others, of more orders than can be counted:
/// one has no such pair, and one less than there are values has one.
fn extreme_p(n: usize, concordant: usize, discordant: usize, alternative: Alternative) -> f64 {
    let orders = if concordant.min(discordant) == 0 { 1.0 } else { count(n) };
    let tail = orders * (-libm::lgamma(count(n) + 1.0)).exp();
    let towards = concordant > discordant;
    match (alternative, towards) {
        (Alternative::TwoSided, _) => 2.0 * tail,
        (Alternative::Greater, true) | (Alternative::Less, false) => tail,
        // All but the tail, and this outcome: nothing beside 1.
        (Alternative::Greater, false) | (Alternative::Less, true) => 1.0,
    }
}

/// Pairs of places whose ranks fall; counted while sorting by merging.
fn inversions(ranks: &[f64]) -> usize {
    let (mut sorted, mut merged) = (ranks.to_vec(), Vec::with_capacity(ranks.len()));
    let (mut width, mut inversions) = (1, 0);
    while width < sorted.len() {
        merged.clear();
        for run in sorted.chunks(2 * width) {
            let (left, right) = run.split_at(width.min(run.len()));
            let (mut i, mut j) = (0, 0);
            while i < left.len() || j < right.len() {
                if j == right.len() || (i < left.len() && left[i] <= right[j]) {
                    merged.push(left[i]);
                    i += 1;
                } else {
                    inversions += left.len() - i;
                    merged.push(right[j]);
                    j += 1;
                }
            }
        }
        std::mem::swap(&mut sorted, &mut merged);
        width *= 2;
    }
    inversions
}

/// The columns that [`correlations`] reads.
#[derive(Clone, Copy, Debug)]
pub struct CorrelationColumns<'a> {
    /// Columns whose values make the groups; none puts all rows into one group.
    pub groups: &'a [&'a str],
    /// One side.
    pub x: &'a str,
    /// The other side.
    pub y: &'a str,
}

/// Correlates two columns within groups. Every row is one independent observation: average rows that
/// share their random draws first.
///
/// One row a group and correlation, groups in the order of their columns: those columns, then
///
/// | column | meaning |
/// |---|---|
/// | `correlation` | the [`Correlation`] by name |
/// | `n` | rows that entered |
/// | `missing` | rows left out because either value is null, NaN or infinite |
/// | `estimate` | null below two rows or where a side is constant |
/// | `low`, `high` | two-sided interval; null with it, and below four rows (Kendall: five) |
/// | `alternative` | of the test |
/// | `exact` | whether the p value counts orders |
/// | `p_value` | of the test of no correlation; null with the estimate |
/// | `estimator` | as `correlation` |
/// | `interval`, `interval_level`, `resamples` | how the interval was made; `resamples` is null |
/// | `note` | why there is no estimate |
///
/// # Errors
/// When a column is absent or of the wrong type, or the level is not in (0, 1).
pub fn correlations(
    frame: &DataFrame,
    columns: CorrelationColumns<'_>,
    kinds: &[Correlation],
    alternative: Alternative,
    level: f64,
) -> Result<DataFrame, AnalysisError> {
    interval_quantile(level, f64::INFINITY)?;
    let Groups { keys, rows } = groups(frame, columns.groups)?;
    let (x, y) = (numbers(frame, columns.x)?, numbers(frame, columns.y)?);
    let mut of_group = Vec::new();
    let mut results: Vec<Option<CorrelationResult>> = Vec::new();
    let (mut of_kind, mut n, mut missing, mut notes) = (vec![], vec![], vec![], vec![]);
    for (group, rows) in rows.iter().enumerate() {
        let (x, y): (Vec<f64>, Vec<f64>) =
            rows.iter().filter_map(|&row| Some((x[row]?, y[row]?))).unzip();
        for kind in kinds {
            let (result, note) = match kind.of(&x, &y, alternative, level) {
                Ok(result) => (Some(result), None),
                Err(error @ (AnalysisError::TooFew { .. } | AnalysisError::NoVariance(_))) => {
                    (None, Some(error.to_string()))
                }
                Err(error) => return Err(error),
            };
            of_group.push(super::frames::index(group));
            of_kind.push(*kind);
            n.push(x.len() as u64);
            missing.push((rows.len() - x.len()) as u64);
            results.push(result);
            notes.push(note);
        }
    }
    let height = of_kind.len();
    let mut table = if columns.groups.is_empty() {
        DataFrame::new(height, vec![])?
    } else {
        super::frames::take(&keys, &of_group)?
    };
    let floats = |of: fn(&CorrelationResult) -> Option<f64>| {
        results.iter().map(|result| result.as_ref().and_then(of)).collect::<Vec<Option<f64>>>()
    };
    let names: Vec<&str> = of_kind.iter().map(|kind| kind.name()).collect();
    let methods: Vec<&str> = of_kind.iter().map(|kind| kind.interval_name()).collect();
    let exact: Vec<Option<bool>> = results.iter().map(|r| r.map(|r| r.exact)).collect();
    push(&mut table, "correlation", &names)?;
    push(&mut table, "n", n)?;
    push(&mut table, "missing", missing)?;
    push(&mut table, "estimate", floats(|r| Some(r.estimate)))?;
    push(&mut table, "low", floats(|r| Some(r.interval?.low)))?;
    push(&mut table, "high", floats(|r| Some(r.interval?.high)))?;
    push(&mut table, "alternative", vec![alternative.name(); height])?;
    push(&mut table, "exact", exact)?;
    push(&mut table, "p_value", floats(|r| Some(r.p_value)))?;
    push(&mut table, "estimator", names)?;
    push(&mut table, "interval", methods)?;
    push(&mut table, "interval_level", vec![level; height])?;
    push(&mut table, "resamples", vec![None::<u64>; height])?;
    push(&mut table, "note", notes)?;
    Ok(table)
}
