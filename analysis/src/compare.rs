//! Comparisons of groups, pair by pair.

use polars::prelude::*;

use super::bootstrap::parallel_map;
use super::comparison::{
    Alternative, Permutations, effect_size, mann_whitney_u, paired_permutation, paired_t,
    permutation, probability_of_superiority, welch, wilcoxon,
};
use super::correction::append_adjusted;
use super::frames::{numbers, replicates, texts};
use super::samples::{Sample, Samples};
use super::tables::push;
use super::{AnalysisError, Bootstrap, Correction, Estimator, Interval, mean};

/// The columns that [`compare_groups`] and [`power_table`](super::power_table) read.
#[derive(Clone, Copy, Debug)]
pub struct ComparisonColumns<'a> {
    /// The group, as text; rows without one are left out.
    pub group: &'a str,
    /// The replicate; rows of a group that share one are averaged.
    pub replicate: &'a str,
    /// The value.
    pub value: &'a str,
}

/// Which groups are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// Every two, in the order of their text.
    All,
    /// From one group to every other, in the order of their text.
    Baseline(String),
    /// These, each *from* a group *to* another.
    Named(Vec<(String, String)>),
}

/// Two groups.
pub(super) struct Pair<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) first: &'a Sample,
    pub(super) second: &'a Sample,
}

pub(super) fn named_pairs<'a>(
    pairs: &'a Pairs,
    samples: &'a Samples<'a>,
    column: &str,
) -> Result<Vec<Pair<'a>>, AnalysisError> {
    let sample = |group: &str| {
        samples.groups.get(group).ok_or_else(|| AnalysisError::NoGroup {
            column: column.to_owned(),
            group: group.to_owned(),
        })
    };
    let pair = |from: &'a str, to: &'a str| {
        Ok(Pair { from, to, first: sample(from)?, second: sample(to)? })
    };
    let names: Vec<&str> = samples.groups.keys().copied().collect();
    match pairs {
        Pairs::All => {
            let later = |place: usize| names[place + 1..].iter().map(move |to| (place, *to));
            let all = (0..names.len()).flat_map(later);
            all.map(|(from, to)| pair(names[from], to)).collect()
        }
        Pairs::Baseline(from) => {
            sample(from)?;
            names.iter().filter(|to| *to != from).map(|to| pair(from, to)).collect()
        }
        Pairs::Named(named) => named.iter().map(|(from, to)| pair(from, to)).collect(),
    }
}

/// What a comparison tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComparisonTest {
    /// The difference of means: Welch's t, or the paired t.
    T,
    /// The order of values: Mann and Whitney's U, or Wilcoxon's signed ranks.
    Rank,
    /// The difference of means against permutations: of values among groups, or of signs within
    /// pairs.
    Permutation,
}

impl ComparisonTest {
    /// Every test.
    pub const ALL: [Self; 3] = [Self::T, Self::Rank, Self::Permutation];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::T => "t",
            Self::Rank => "rank",
            Self::Permutation => "permutation",
        }
    }

    /// Its name in tables.
    pub fn words(self, paired: bool) -> &'static str {
        match (self, paired) {
            (Self::T, false) => "Welch t",
            (Self::T, true) => "paired t",
            (Self::Rank, false) => "Mann-Whitney U",
            (Self::Rank, true) => "Wilcoxon signed-rank",
            (Self::Permutation, false) => "permutation",
            (Self::Permutation, true) => "sign-flip permutation",
        }
    }
}

/// How the interval of a difference of means is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DifferenceInterval {
    /// That of Welch's, or the paired, t test.
    T,
    /// The bootstrap by the method of [`ComparisonOptions::bootstrap`]: each group's replicates
    /// resampled on their own, or pairs together. The percentile bootstrap is too narrow for a
    /// handful of replicates.
    Bootstrap,
}

/// How [`compare_groups`] compares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ComparisonOptions {
    /// The test.
    pub test: ComparisonTest,
    /// Whether replicates are paired: replicate `k` of every group shares its random draws, and what
    /// the groups have in common cancels. Replicates that only one of two groups has are left out.
    pub paired: bool,
    /// What the test holds against the hypothesis of no difference; `greater` is that *to* is
    /// greater than *from*.
    pub alternative: Alternative,
    /// How p values are corrected for the number of pairs.
    pub correction: Correction,
    /// How the interval is made.
    pub interval: DifferenceInterval,
    /// Level of the interval, one minus which is the alpha of `rejected`; seed and threads; and of a
    /// bootstrap interval method and number of resamples.
    pub bootstrap: Bootstrap,
    /// Permutations that are enumerated at most, or else drawn.
    pub permutations: u64,
}

impl Default for ComparisonOptions {
    /// Welch's two-sided test with Holm's correction and its own intervals.
    fn default() -> Self {
        Self {
            test: ComparisonTest::T,
            paired: false,
            alternative: Alternative::TwoSided,
            correction: Correction::Holm,
            interval: DifferenceInterval::T,
            bootstrap: Bootstrap::tables(),
            permutations: 100_000,
        }
    }
}

/// Compares groups pair by pair.
///
/// One row a pair, in their order:
///
/// | column | meaning |
/// |---|---|
/// | `from`, `to` | the groups |
/// | `n_from`, `n_to` | replicates that entered |
/// | `missing` | rows of either group left out because the value is null, NaN or infinite |
/// | `unpaired` | replicates left out because only one of the groups has them; null unless paired |
/// | `mean_from`, `mean_to` | means of the replicates that entered; null where there are none |
/// | `estimate` | `mean_to - mean_from` |
/// | `low`, `high` | its interval, two-sided whatever the alternative; null below two replicates in a group, without spread for t, and where the bootstrap has none |
/// | `test` | Welch t, paired t, Mann-Whitney U, Wilcoxon signed-rank, permutation or sign-flip permutation |
/// | `alternative` | `two-sided`, `less` or `greater` (of *to* against *from*) |
/// | `statistic` | t; U of *to*; the sum of the positive ranks; or the difference of means |
/// | `df` | degrees of freedom of t; null for other tests |
/// | `exact` | whether the p value counts outcomes; null for t, false for a normal approximation or drawn permutations |
/// | `permutations` | how many the test looked at; null for other tests |
/// | `p_value` | null where there is no test |
/// | `p_adjusted`, `rejected`, `correction` | the p value corrected for the number of p values in the table, and whether it is at most one minus the level |
/// | `cohens_d`, `hedges_g` | [`EffectSize`](super::EffectSize), by the pooled standard deviation of the replicates, also where they are paired |
/// | `probability_of_improvement` | that a replicate of *to* exceeds one of *from*, ties counted half, pairs of replicates taken every which way |
/// | `estimator` | `difference of means` |
/// | `interval`, `interval_level`, `resamples` | how the interval was made; `resamples` is null for t |
/// | `note` | why there is no test, interval or effect size |
///
/// A frame without rows gives a table without rows, unless groups are named.
///
/// # Errors
/// When a column is absent or of the wrong type, a row has no replicate, a named group does not
/// occur, or an option is out of range.
pub fn compare_groups(
    frame: &DataFrame,
    columns: ComparisonColumns<'_>,
    pairs: &Pairs,
    options: &ComparisonOptions,
) -> Result<DataFrame, AnalysisError> {
    options.bootstrap.check()?;
    if options.permutations == 0 {
        return Err(AnalysisError::NoResamples);
    }
    let groups = texts(frame, columns.group)?;
    let replicates = replicates(frame, columns.replicate)?;
    let values = numbers(frame, columns.value)?;
    let samples = Samples::new(&groups, &replicates, &values);
    let pairs = named_pairs(pairs, &samples, columns.group)?;
    let threads = options.bootstrap.threads;
    // Threads that pairs leave over work within each.
    let within = (threads / pairs.len().max(1)).max(1);
    let rows: Vec<Row> = parallel_map(&pairs, threads, |pair| Row::new(pair, options, within))
        .into_iter()
        .collect::<Result<_, _>>()?;
    let p_values: Vec<Option<f64>> = rows.iter().map(|row| row.tested.map(|t| t.p_value)).collect();
    let adjusted = options.correction.adjusted(&p_values)?;
    table(&rows, &p_values, &adjusted, options)
}

/// What a test says.
#[derive(Clone, Copy)]
struct Tested {
    statistic: f64,
    degrees: Option<f64>,
    exact: Option<bool>,
    permutations: Option<u64>,
    p_value: f64,
}

/// One pair.
struct Row {
    from: String,
    to: String,
    n: [u64; 2],
    missing: u64,
    unpaired: Option<u64>,
    means: [Option<f64>; 2],
    interval: Option<Interval>,
    tested: Option<Tested>,
    effect: Option<super::EffectSize>,
    improvement: Option<f64>,
    note: Option<String>,
}

impl Row {
    fn new(
        pair: &Pair<'_>,
        options: &ComparisonOptions,
        threads: usize,
    ) -> Result<Self, AnalysisError> {
        let &Pair { from, to, first, second } = pair;
        let paired = options.paired;
        let (before, after) =
            if paired { first.paired(second) } else { (first.ordered(), second.ordered()) };
        let mut notes: Vec<String> = Vec::new();
        let tested = noted(tested(&before, &after, options, threads), &mut notes)?;
        let interval = match noted(interval(&before, &after, options), &mut notes)? {
            Some(None) => {
                notes
                    .push("the bootstrap has no interval for so few values or so many ties".into());
                None
            }
            found => found.flatten(),
        };
        let effect = noted(effect_size(&before, &after), &mut notes)?;
        Ok(Self {
            from: from.to_owned(),
            to: to.to_owned(),
            n: [before.len() as u64, after.len() as u64],
            missing: first.missing + second.missing,
            unpaired: paired.then(|| first.unpaired(second)),
            means: [mean(&before), mean(&after)],
            interval,
            tested,
            effect,
            improvement: probability_of_superiority(&before, &after),
            note: if notes.is_empty() { None } else { Some(notes.join("; ")) },
        })
    }

    fn estimate(&self) -> Option<f64> {
        Some(self.means[1]? - self.means[0]?)
    }
}

/// What the data have no answer to becomes a note; other errors stay errors.
fn noted<T>(
    result: Result<T, AnalysisError>,
    notes: &mut Vec<String>,
) -> Result<Option<T>, AnalysisError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(
            error @ (AnalysisError::TooFew { .. }
            | AnalysisError::NoVariance(_)
            | AnalysisError::NotFinite(_)),
        ) => {
            let note = error.to_string();
            if !notes.contains(&note) {
                notes.push(note);
            }
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn tested(
    from: &[f64],
    to: &[f64],
    options: &ComparisonOptions,
    threads: usize,
) -> Result<Tested, AnalysisError> {
    let ComparisonOptions { test, paired, alternative, bootstrap, .. } = *options;
    let permutations = Permutations { most: options.permutations, seed: bootstrap.seed, threads };
    match test {
        ComparisonTest::T => {
            let of = if paired { paired_t } else { welch };
            let result = of(from, to, alternative, bootstrap.level)?;
            Ok(Tested {
                statistic: result.statistic,
                degrees: Some(result.degrees),
                exact: None,
                permutations: None,
                p_value: result.p_value,
            })
        }
        ComparisonTest::Rank => {
            let of = if paired { wilcoxon } else { mann_whitney_u };
            let result = of(from, to, alternative)?;
            Ok(Tested {
                statistic: result.statistic,
                degrees: None,
                exact: Some(result.exact),
                permutations: None,
                p_value: result.p_value,
            })
        }
        ComparisonTest::Permutation => {
            let of = if paired { paired_permutation } else { permutation };
            let result = of(from, to, alternative, permutations)?;
            Ok(Tested {
                statistic: result.difference,
                degrees: None,
                exact: Some(result.exact),
                permutations: Some(result.permutations),
                p_value: result.p_value,
            })
        }
    }
}

/// The interval of the difference of means; `None` where the bootstrap has none.
fn interval(
    from: &[f64],
    to: &[f64],
    options: &ComparisonOptions,
) -> Result<Option<Interval>, AnalysisError> {
    let ComparisonOptions { paired, bootstrap, .. } = options;
    match options.interval {
        DifferenceInterval::T => {
            let of = if *paired { paired_t } else { welch };
            Ok(Some(of(from, to, Alternative::TwoSided, bootstrap.level)?.interval))
        }
        DifferenceInterval::Bootstrap => {
            let found = from.len().min(to.len());
            if found < 2 {
                let what = "an interval of a difference";
                return Err(AnalysisError::TooFew { what, needed: 2, found });
            }
            // The estimate of the first minus that of the second.
            let (first, second) = (to, from);
            if *paired {
                bootstrap.paired(first, second, Estimator::Mean)
            } else {
                bootstrap.unpaired(first, second, Estimator::Mean)
            }
        }
    }
}

fn table(
    rows: &[Row],
    p_values: &[Option<f64>],
    adjusted: &[Option<f64>],
    options: &ComparisonOptions,
) -> Result<DataFrame, AnalysisError> {
    let height = rows.len();
    let floats = |of: fn(&Row) -> Option<f64>| rows.iter().map(of).collect::<Vec<Option<f64>>>();
    let bootstrap = &options.bootstrap;
    let (method, resamples) = match (options.interval, options.paired) {
        (DifferenceInterval::T, paired) => (ComparisonTest::T.words(paired), None),
        (DifferenceInterval::Bootstrap, _) => {
            (bootstrap.method.words(), Some(bootstrap.resamples as u64))
        }
    };
    let mut table = DataFrame::new(height, vec![])?;
    push(&mut table, "from", rows.iter().map(|r| r.from.as_str()).collect::<Vec<_>>())?;
    push(&mut table, "to", rows.iter().map(|r| r.to.as_str()).collect::<Vec<_>>())?;
    push(&mut table, "n_from", rows.iter().map(|r| r.n[0]).collect::<Vec<_>>())?;
    push(&mut table, "n_to", rows.iter().map(|r| r.n[1]).collect::<Vec<_>>())?;
    push(&mut table, "missing", rows.iter().map(|r| r.missing).collect::<Vec<_>>())?;
    push(&mut table, "unpaired", rows.iter().map(|r| r.unpaired).collect::<Vec<_>>())?;
    push(&mut table, "mean_from", floats(|r| r.means[0]))?;
    push(&mut table, "mean_to", floats(|r| r.means[1]))?;
    push(&mut table, "estimate", floats(Row::estimate))?;
    push(&mut table, "low", floats(|r| r.interval.map(|i| i.low)))?;
    push(&mut table, "high", floats(|r| r.interval.map(|i| i.high)))?;
    push(&mut table, "test", vec![options.test.words(options.paired); height])?;
    push(&mut table, "alternative", vec![options.alternative.name(); height])?;
    push(&mut table, "statistic", floats(|r| Some(r.tested?.statistic)))?;
    push(&mut table, "df", floats(|r| r.tested?.degrees))?;
    let exact: Vec<Option<bool>> = rows.iter().map(|r| r.tested?.exact).collect();
    push(&mut table, "exact", exact)?;
    let permutations: Vec<Option<u64>> = rows.iter().map(|r| r.tested?.permutations).collect();
    push(&mut table, "permutations", permutations)?;
    push(&mut table, "p_value", p_values)?;
    append_adjusted(&mut table, adjusted, options.correction.name(), 1.0 - bootstrap.level)?;
    push(&mut table, "cohens_d", floats(|r| Some(r.effect?.cohens_d)))?;
    push(&mut table, "hedges_g", floats(|r| Some(r.effect?.hedges_g)))?;
    push(&mut table, "probability_of_improvement", floats(|r| r.improvement))?;
    push(&mut table, "estimator", vec!["difference of means"; height])?;
    push(&mut table, "interval", vec![method; height])?;
    push(&mut table, "interval_level", vec![bootstrap.level; height])?;
    push(&mut table, "resamples", vec![resamples; height])?;
    push(&mut table, "note", rows.iter().map(|r| r.note.as_deref()).collect::<Vec<_>>())?;
    Ok(table)
}
