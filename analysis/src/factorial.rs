//! Factorial designs: main effects, interactions, marginal means and the variance that each explains.
//!
//! **Cells.** A combination of one level of every factor is a cell; the rows of a cell that share a
//! replicate are averaged first, so that a run counts once. Rows whose level is not among the listed
//! ones enter nothing.
//!
//! **Estimand.** An effect is a contrast of cell means: of a factor, a level against the first level;
//! of two factors, the difference of two such differences; and so on. [`FactorialEstimator`] says how
//! the other factors' combinations are weighed, which matters only where runs are missing: equally
//! (Yates' unweighted means; Searle, Speed and Milliken 1980, The American Statistician 34, 216-221)
//! or by their runs.
//!
//! **Intervals.** Replicate `k` of every arm starts from the same random draws, so what the arms share
//! cancels in a contrast that is formed within a replicate: the replicates' contrasts are then an
//! ordinary sample and have Student's interval. Where arms lack replicates, variances come from the
//! cells ([`FactorialInterval`]).
//!
//! **Many effects at once.** A design of k factors answers many questions, and some interval of many
//! misses more often than one does. The simultaneous intervals of a table cover all its rows together
//! with the stated level, by Bonferroni's inequality or, shorter, by the distribution of the
//! family's smallest p value, single step (Westfall and Young 1993, Resampling-Based Multiple Testing,
//! ch. 2 and 3). That distribution is resampled from the replicates' residual contrasts with Gaussian
//! weights. Each statistic keeps exactly Student's distribution and all of them keep the correlation of
//! the residuals, as in Hothorn, Bretz and Westfall 2008 (Biometrical Journal 50, 346-363). Drawing
//! whole residuals with replacement, as one does with many of them, leaves few distinct resamples of a
//! handful of seeds and many almost without variance. Of ten effects, independent or correlated by
//! 0.75, intervals that promise 95 % covered together in this share of 3,000 simulated studies
//! (`tests/fixtures/factorial_simulations.py`):
//!
//! | replicates | whole residuals | Gaussian weights | Bonferroni |
//! |---|---|---|---|
//! | 3 | 95-96 % | 92-93 % | 95-96 % |
//! | 5 | 99.6-99.7 % | 94-95 % | 95-97 % |
//!
//! With three replicates, whose residuals say little of correlations, Bonferroni is the safer choice.

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::bootstrap::{IntervalMethod, Statistic, jackknife_error, parallel_map};
use super::estimator::count;
use super::frames::{numbers, replicates, texts};
use super::student::{f_survival, satterthwaite, survival, upper_quantile};
use super::tables::push;
use super::{AnalysisError, Bootstrap, Correction, Interval, mean, quantile, sd};

/// A factor: a column and its levels in order, the reference first.
#[derive(Clone, Debug)]
pub struct FactorLevels {
    /// Column that holds the level of each row, compared as text.
    pub column: String,
    /// Names of the levels; rows with another value (or none) are left out.
    pub levels: Vec<String>,
}

/// The columns that factorial analyses read.
#[derive(Clone, Copy, Debug)]
pub struct FactorialColumns<'a> {
    /// The factors, each with a column of its own.
    pub factors: &'a [FactorLevels],
    /// The replicate.
    pub replicate: &'a str,
    /// The value.
    pub value: &'a str,
}

/// How combinations of the other factors' levels are weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactorialEstimator {
    /// Equally: the mean of cell means, over the combinations in which every cell of the contrast has
    /// a value. Each combination compares like with like, however many runs it lost.
    Unweighted,
    /// By their runs: all runs of a level in one pool. Where cells lack runs, a difference of two
    /// levels then also holds some of the other factors' effects.
    Pooled,
}

/// How the interval of an effect is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactorialInterval {
    /// [`Self::Paired`] where all cells with a value have the same replicates, [`Self::Welch`]
    /// elsewhere.
    Automatic,
    /// Student's t on the contrast within each replicate. Only replicates with a value in every cell
    /// of a contrast enter it, its estimate included.
    Paired,
    /// Student's t with the cells' own variances and Satterthwaite's degrees of freedom; cells are
    /// taken as independent. No interval where a cell has one replicate.
    Welch,
    /// Student's t with one variance, pooled over the cells, as the analysis of variance has it; cells
    /// are taken as independent. Many degrees of freedom from few replicates, at the price of an
    /// assumption: that all cells vary alike.
    PooledVariance,
    /// The bootstrap over replicates, the same for every cell, by the method of the options'
    /// [`Bootstrap`]. Too narrow for a handful of replicates.
    Bootstrap,
}

impl FactorialInterval {
    /// Its name in tables, for contrasts or for means.
    fn name(self, contrasts: bool, bootstrap: &Bootstrap) -> &'static str {
        match self {
            Self::Automatic | Self::Paired if contrasts => "paired t over replicates",
            Self::Automatic | Self::Paired => "t over replicates",
            Self::Welch => "Welch t",
            Self::PooledVariance => "t with pooled cell variance",
            Self::Bootstrap => bootstrap.method.words(),
        }
    }
}

/// How intervals are widened to hold for all rows of a table together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simultaneous {
    /// Every row has the same share of the error; never too narrow, whatever the correlation.
    Bonferroni,
    /// By the resampled distribution of the largest |t| (of the smallest p value, where degrees of
    /// freedom differ). For bootstrap intervals, the largest deviation in units of its standard error.
    MaxT,
}

impl Simultaneous {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bonferroni => "Bonferroni",
            Self::MaxT => "single-step max |t|",
        }
    }
}

/// What a factorial analysis reports, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FactorialOptions {
    /// Factors in an effect at most: 1 for main effects, 2 with interactions of two factors.
    pub order: usize,
    /// How other combinations are weighed.
    pub estimator: FactorialEstimator,
    /// How intervals are made.
    pub interval: FactorialInterval,
    /// How they are made to hold together.
    pub simultaneous: Simultaneous,
    /// Level of all intervals; seed and number of resamples where something is resampled.
    pub bootstrap: Bootstrap,
}

impl FactorialOptions {
    /// Main effects and interactions of two factors, with the defaults of everything else.
    pub fn tables() -> Self {
        Self {
            order: 2,
            estimator: FactorialEstimator::Unweighted,
            interval: FactorialInterval::Automatic,
            simultaneous: Simultaneous::MaxT,
            bootstrap: Bootstrap::tables(),
        }
    }
}

/// The effect of each factor: the mean over all runs at a level minus the mean over all runs at the
/// factor's first level, with the bootstrap over replicates.
///
/// This is [`factorial_effects`] of order 1 with [`FactorialEstimator::Pooled`],
/// [`FactorialInterval::Bootstrap`] and [`Simultaneous::Bonferroni`], and has its columns.
///
/// # Errors
/// As [`factorial_effects`].
pub fn factor_effects(
    frame: &DataFrame,
    factors: &[FactorLevels],
    replicate: &str,
    value: &str,
    bootstrap: &Bootstrap,
) -> Result<DataFrame, AnalysisError> {
    let options = FactorialOptions {
        order: 1,
        estimator: FactorialEstimator::Pooled,
        interval: FactorialInterval::Bootstrap,
        simultaneous: Simultaneous::Bonferroni,
        bootstrap: *bootstrap,
    };
    factorial_effects(frame, FactorialColumns { factors, replicate, value }, &options)
}

/// Main effects and interactions.
///
/// One row an effect: first of every factor each level against its first level, in the order of
/// factors and levels; then of every pair of factors each pair of levels, and so on up to
/// `options.order`. A factor with one level has no effects. All rows are one family.
///
/// | column | meaning |
/// |---|---|
/// | `order` | factors in the effect |
/// | `effect` | their names, joined by ` × ` |
/// | `factor`, `from`, `to` | the first of them, its reference level and the level |
/// | `factor_2`, `from_2`, `to_2`, … | the others; null where there are none, absent below `order` 2 |
/// | `n_from`, `n_to` | values that entered with a negative and with a positive weight |
/// | `replicates` | distinct replicates among them |
/// | `missing` | rows of the effect's cells left out because the value is null, NaN or infinite |
/// | `combinations` | combinations of the other factors' levels in which all cells of the effect have values |
/// | `combinations_missing` | combinations in which they do not, and which an unweighted estimate leaves out |
/// | `estimate` | null where no combination is complete or, pooled, a side is empty |
/// | `standard_error`, `degrees_of_freedom` | of the estimate; the latter null for a bootstrap |
/// | `low`, `high` | interval of this effect alone; null below two replicates, and where the bootstrap's method has none |
/// | `simultaneous_low`, `simultaneous_high` | interval that holds together with those of all rows; null likewise |
/// | `p_value` | two-sided, of no effect, alone; of a bootstrap twice the smaller share of ordinary resamples on one side of zero |
/// | `p_adjusted` | the same after Holm (1979, Scandinavian Journal of Statistics 6, 65-70) over all rows |
/// | `estimator`, `interval`, `interval_level` | what estimate and interval are |
/// | `resamples` | of a bootstrap or of the largest \|t\|; null where nothing was resampled |
/// | `simultaneous`, `family`, `adjustment` | how rows hold together, how many share the level, how p values were adjusted |
///
/// A difference that is smaller than the rounding of the sums behind it is zero, so that a factor
/// without any effect under common random numbers has an estimate of 0 and a p value of 1.
///
/// # Errors
/// When a column is absent, a row has no replicate, a factor or a level is named twice, or the
/// bootstrap is out of range.
pub fn factorial_effects(
    frame: &DataFrame,
    columns: FactorialColumns<'_>,
    options: &FactorialOptions,
) -> Result<DataFrame, AnalysisError> {
    options.bootstrap.check()?;
    let design = Design::new(frame, columns)?;
    let functionals: Vec<Functional> = (1..=options.order.min(columns.factors.len()))
        .flat_map(|order| subsets(columns.factors.len(), order))
        .flat_map(|factors| design.contrasts(&factors))
        .collect();
    let family = Family::new(&design, &functionals, options);
    let estimates = family.estimates()?;
    let mut table = DataFrame::new(functionals.len(), vec![])?;
    let of = |f: &dyn Fn(&Functional) -> u64| functionals.iter().map(f).collect::<Vec<u64>>();
    push(&mut table, "order", of(&|f| f.factors.len() as u64))?;
    let names = functionals.iter().map(|f| design.name(&f.factors)).collect::<Vec<_>>();
    push(&mut table, "effect", names)?;
    for place in 0..options.order.clamp(1, columns.factors.len().max(1)) {
        let suffix = if place == 0 { String::new() } else { format!("_{}", place + 1) };
        let text = |text: &dyn Fn(&FactorLevels, usize) -> Option<String>| {
            let of =
                |f: &Functional| text(columns.factors.get(*f.factors.get(place)?)?, f.to[place]);
            functionals.iter().map(of).collect::<Vec<Option<String>>>()
        };
        push(&mut table, &format!("factor{suffix}"), text(&|f, _| Some(f.column.clone())))?;
        push(&mut table, &format!("from{suffix}"), text(&|f, _| f.levels.first().cloned()))?;
        push(&mut table, &format!("to{suffix}"), text(&|f, to| f.levels.get(to).cloned()))?;
    }
    push(&mut table, "n_from", estimates.iter().map(|e| e.negative).collect::<Vec<_>>())?;
    push(&mut table, "n_to", estimates.iter().map(|e| e.positive).collect::<Vec<_>>())?;
    family.append(&mut table, &estimates)?;
    let p_values: Vec<Option<f64>> = estimates.iter().map(|e| e.p_value).collect();
    push(&mut table, "p_value", p_values.as_slice())?;
    push(&mut table, "p_adjusted", Correction::Holm.adjusted(&p_values)?)?;
    let words = |f: &Functional| match (f.factors.len(), options.estimator) {
        (order, FactorialEstimator::Unweighted) => {
            format!("{} of unweighted means of cell means", difference(order))
        }
        (order, FactorialEstimator::Pooled) => format!("{} of pooled means", difference(order)),
    };
    let words = functionals.iter().map(words).collect::<Vec<_>>();
    family.append_method(&mut table, &words, &estimates, true)?;
    push(&mut table, "adjustment", vec![Correction::Holm.name(); functionals.len()])?;
    Ok(table)
}

fn difference(order: usize) -> String {
    match order {
        1 => "difference".into(),
        2 => "difference of differences".into(),
        order => format!("difference of order {order}"),
    }
}

/// Means by the levels of some factors, over the others: what plots of effects and interactions show.
///
/// `of` names the factors by their columns: one for a plot of its effect, two for one of their
/// interaction, all for the cells themselves. Means over combinations of the other factors that not
/// every row has would not compare like with like, so that an unweighted mean takes only the
/// combinations that all rows with any value share.
///
/// One row a combination of levels, in their order, those without runs included: the factors' levels
/// under their own names, `n` values, then `replicates`, `missing`, `combinations`,
/// `combinations_missing`, `estimate`, `standard_error`, `degrees_of_freedom`, `low`, `high`,
/// `simultaneous_low`, `simultaneous_high`, `estimator`, `interval`, `interval_level`, `resamples`,
/// `simultaneous` and `family`, all as in [`factorial_effects`]. `options.order` is not used.
///
/// # Errors
/// As [`factorial_effects`], and when `of` names something else than a factor, or one twice.
pub fn factorial_means(
    frame: &DataFrame,
    columns: FactorialColumns<'_>,
    of: &[&str],
    options: &FactorialOptions,
) -> Result<DataFrame, AnalysisError> {
    options.bootstrap.check()?;
    let design = Design::new(frame, columns)?;
    let known = || columns.factors.iter().map(|factor| factor.column.clone()).collect();
    let mut places = Vec::new();
    for name in of {
        let place =
            columns.factors.iter().position(|factor| factor.column == *name).ok_or_else(|| {
                AnalysisError::UnknownFactor { factor: (*name).to_owned(), known: known() }
            })?;
        if places.contains(&place) {
            return Err(AnalysisError::RepeatedFactor((*name).to_owned()));
        }
        places.push(place);
    }
    let functionals = design.means(&places);
    let family = Family::new(&design, &functionals, options);
    let estimates = family.estimates()?;
    let mut table = DataFrame::new(functionals.len(), vec![])?;
    for (within, &place) in places.iter().enumerate() {
        let factor = &columns.factors[place];
        let levels = functionals.iter().map(|f| factor.levels[f.to[within]].clone());
        push(&mut table, &factor.column, levels.collect::<Vec<_>>())?;
    }
    push(&mut table, "n", estimates.iter().map(|e| e.positive).collect::<Vec<_>>())?;
    family.append(&mut table, &estimates)?;
    let words = match options.estimator {
        FactorialEstimator::Unweighted => "unweighted mean of cell means",
        FactorialEstimator::Pooled => "pooled mean",
    };
    family.append_method(
        &mut table,
        &vec![words.to_owned(); functionals.len()],
        &estimates,
        false,
    )?;
    Ok(table)
}

/// The share of the variance that each effect explains, in a balanced design.
///
/// Every cell must have the same number of replicates; types I, II and III of the sums of squares are
/// then one. Effects of more than `order` factors belong to the residual. With `blocks`, what
/// replicates have in common over all cells (their shared random draws) is a row of its own and not
/// part of the residual; replicates must then be the same in every cell.
///
/// One row an effect in the order of [`factorial_effects`], then `replicate` (with blocks), `residual`
/// and `total`:
///
/// | column | meaning |
/// |---|---|
/// | `effect` | factors joined by ` × `, `replicate`, `residual` or `total` |
/// | `order` | factors in the effect; null for the other rows |
/// | `sum_of_squares`, `degrees_of_freedom` | of the effect |
/// | `mean_square` | their quotient; null without degrees of freedom |
/// | `f`, `p_value` | of no effect, by the residual; null for residual and total, and where the residual has no degrees of freedom; `f` null, `p_value` 0 where the residual is zero |
/// | `eta_squared` | sum of squares over the total one: the share of the variance in this sample, biased upward in small ones; null where nothing varies |
/// | `partial_eta_squared` | sum of squares over its sum with the residual one; null for residual and total |
/// | `n`, `replicates` | runs, and runs a cell |
/// | `method` | what this is |
///
/// # Errors
/// As [`factorial_effects`], and when the design is not balanced or has no factor.
pub fn factorial_variance(
    frame: &DataFrame,
    columns: FactorialColumns<'_>,
    order: usize,
    blocks: bool,
) -> Result<DataFrame, AnalysisError> {
    let design = Design::new(frame, columns)?;
    let runs = design.balanced_runs(blocks)?;
    let n = count(runs * design.cells.len());
    let values: Vec<f64> =
        design.cells.iter().flat_map(|cell| cell.runs.values().map(|run| run.value)).collect();
    let grand = mean(&values).unwrap_or_default();
    let largest = values.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    // A sum of squares of nothing but rounding is zero.
    let floor = n * (16.0 * f64::EPSILON * largest).powi(2);
    let snapped = |sum: f64| if sum <= floor { 0.0 } else { sum };
    let centred: Vec<f64> = design
        .cells
        .iter()
        .map(|cell| {
            let values: Vec<f64> = cell.runs.values().map(|run| run.value - grand).collect();
            mean(&values).unwrap_or_default()
        })
        .collect();
    let mut rows: Vec<Explained> = Vec::new();
    let (mut omitted, mut omitted_degrees) = (0.0, 0);
    for size in 1..=columns.factors.len() {
        for factors in subsets(columns.factors.len(), size) {
            let degrees: u64 =
                factors.iter().map(|&f| columns.factors[f].levels.len() as u64 - 1).product();
            let squares = snapped(count(runs) * design.squares(&factors, &centred));
            if size > order {
                omitted += squares;
                omitted_degrees += degrees;
            } else if degrees > 0 {
                let name = design.name(&factors);
                rows.push(Explained { name, order: Some(size as u64), squares, degrees });
            }
        }
    }
    let mut within: f64 = design
        .cells
        .iter()
        .zip(&centred)
        .flat_map(|(cell, mean)| {
            cell.runs.values().map(move |run| (run.value - grand - mean).powi(2))
        })
        .sum();
    let mut within_degrees = (design.cells.len() * (runs - 1)) as u64;
    let total = snapped(values.iter().map(|value| (value - grand).powi(2)).sum());
    if blocks {
        let mut by_replicate: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for cell in &design.cells {
            for (replicate, run) in &cell.runs {
                by_replicate.entry(*replicate).or_default().push(run.value - grand);
            }
        }
        let means = by_replicate.values().filter_map(|values| mean(values));
        let squares =
            snapped(count(design.cells.len()) * means.map(|mean| mean * mean).sum::<f64>());
        let degrees = runs as u64 - 1;
        rows.push(Explained { name: "replicate".into(), order: None, squares, degrees });
        // Never negative but for rounding: what replicates share is part of what varies within cells.
        within = (within - squares).max(0.0);
        within_degrees -= degrees;
    }
    let residual = snapped(within + omitted);
    let residual_degrees = within_degrees + omitted_degrees;
    let tested = rows.len();
    rows.push(Explained {
        name: "residual".into(),
        order: None,
        squares: residual,
        degrees: residual_degrees,
    });
    let degrees = values.len() as u64 - 1;
    rows.push(Explained { name: "total".into(), order: None, squares: total, degrees });

    #[allow(clippy::cast_precision_loss)] // far below 2^53
    let mean_square = |squares: f64, degrees: u64| (degrees > 0).then(|| squares / degrees as f64);
    let error = mean_square(residual, residual_degrees);
    let effects = |of: &dyn Fn(&Explained) -> Option<f64>| {
        let of = |(place, row)| if place < tested { of(row) } else { None };
        rows.iter().enumerate().map(of).collect::<Vec<Option<f64>>>()
    };
    let f = |row: &Explained| {
        let f = mean_square(row.squares, row.degrees)? / error?;
        f.is_finite().then_some(f)
    };
    let p_value = |row: &Explained| match f(row) {
        #[allow(clippy::cast_precision_loss)]
        Some(f) => Some(f_survival(f, row.degrees as f64, residual_degrees as f64)),
        None if error == Some(0.0) => Some(if row.squares > 0.0 { 0.0 } else { 1.0 }),
        None => None,
    };
    let share = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
    let height = rows.len();
    let mut table = DataFrame::new(height, vec![])?;
    push(&mut table, "effect", rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>())?;
    push(&mut table, "order", rows.iter().map(|row| row.order).collect::<Vec<_>>())?;
    push(&mut table, "sum_of_squares", rows.iter().map(|row| row.squares).collect::<Vec<_>>())?;
    push(&mut table, "degrees_of_freedom", rows.iter().map(|r| r.degrees).collect::<Vec<_>>())?;
    let mean_squares = rows.iter().map(|row| mean_square(row.squares, row.degrees));
    push(&mut table, "mean_square", mean_squares.collect::<Vec<_>>())?;
    push(&mut table, "f", effects(&f))?;
    push(&mut table, "p_value", effects(&p_value))?;
    let shares = rows.iter().map(|row| share(row.squares, total)).collect::<Vec<_>>();
    push(&mut table, "eta_squared", shares)?;
    let partial = |row: &Explained| share(row.squares, row.squares + residual);
    push(&mut table, "partial_eta_squared", effects(&partial))?;
    push(&mut table, "n", vec![values.len() as u64; height])?;
    push(&mut table, "replicates", vec![runs as u64; height])?;
    let method = if blocks {
        "analysis of variance of a balanced design with replicates as blocks"
    } else {
        "analysis of variance of a balanced design"
    };
    push(&mut table, "method", vec![method; height])?;
    Ok(table)
}

struct Explained {
    name: String,
    order: Option<u64>,
    squares: f64,
    degrees: u64,
}

/// The value of a cell in a replicate: the mean of its rows.
#[derive(Clone, Copy)]
struct Run {
    value: f64,
    rows: u64,
}

struct Cell {
    /// A level of every factor, by its position.
    levels: Vec<usize>,
    runs: BTreeMap<usize, Run>,
    missing: u64,
}

/// The rows of a cell: values by replicate, and how many rows have none.
#[derive(Default)]
struct Rows {
    values: BTreeMap<usize, Vec<f64>>,
    missing: u64,
}

struct Design<'a> {
    factors: &'a [FactorLevels],
    /// The cells that have rows, in the order of their levels.
    cells: Vec<Cell>,
}

impl<'a> Design<'a> {
    fn new(frame: &DataFrame, columns: FactorialColumns<'a>) -> Result<Self, AnalysisError> {
        let factors = columns.factors;
        let mut seen = BTreeSet::new();
        for factor in factors {
            if !seen.insert(&factor.column) {
                return Err(AnalysisError::RepeatedFactor(factor.column.clone()));
            }
            check_levels(&factor.column, &factor.levels)?;
        }
        let replicates = replicates(frame, columns.replicate)?;
        let values = numbers(frame, columns.value)?;
        let levels = factors
            .iter()
            .map(|factor| level_places(frame, &factor.column, &factor.levels))
            .collect::<PolarsResult<Vec<_>>>()?;
        let mut cells: BTreeMap<Vec<usize>, Rows> = BTreeMap::new();
        for row in 0..frame.height() {
            let of_row = levels.iter().map(|levels| levels[row]).collect::<Option<Vec<usize>>>();
            let Some(of_row) = of_row else { continue };
            let of_cell = cells.entry(of_row).or_default();
            match values[row] {
                Some(value) => of_cell.values.entry(replicates[row]).or_default().push(value),
                None => of_cell.missing += 1,
            }
        }
        let run = |mut rows: Vec<f64>| {
            // In order, so that the order of rows shows in not even the last bit.
            rows.sort_unstable_by(f64::total_cmp);
            Some(Run { value: mean(&rows)?, rows: rows.len() as u64 })
        };
        let cells = cells.into_iter().map(|(levels, rows)| {
            let runs = rows.values.into_iter().filter_map(|(k, values)| Some((k, run(values)?)));
            Cell { levels, runs: runs.collect(), missing: rows.missing }
        });
        Ok(Self { factors, cells: cells.collect() })
    }

    fn name(&self, factors: &[usize]) -> String {
        let names = factors.iter().map(|&factor| self.factors[factor].column.as_str());
        names.collect::<Vec<_>>().join(" × ")
    }

    /// The contrasts of some factors: each level against the first, of every factor.
    fn contrasts(&self, factors: &[usize]) -> Vec<Functional> {
        let levels = |factor: &usize| 1..self.factors[*factor].levels.len();
        product(factors.iter().map(levels))
            .into_iter()
            .map(|to| {
                let terms = product(to.iter().map(|_| 0..2)).into_iter().map(|high| {
                    let at = |(high, to): (&usize, &usize)| if *high == 1 { *to } else { 0 };
                    let low = high.iter().filter(|high| **high == 0).count();
                    let sign = if low % 2 == 1 { -1.0 } else { 1.0 };
                    (high.iter().zip(&to).map(at).collect(), sign)
                });
                self.functional(factors, to.clone(), terms.collect())
            })
            .collect()
    }

    /// The mean at every combination of some factors' levels.
    fn means(&self, factors: &[usize]) -> Vec<Functional> {
        let all = product(factors.iter().map(|&factor| 0..self.factors[factor].levels.len()));
        let at = |cell: &Cell| factors.iter().map(|&f| cell.levels[f]).collect::<Vec<usize>>();
        let with_values: BTreeSet<Vec<usize>> =
            self.cells.iter().filter(|cell| !cell.runs.is_empty()).map(at).collect();
        all.into_iter()
            .map(|to| {
                // The others only have to be there.
                let others = with_values.iter().filter(|other| **other != to);
                let mut terms = vec![(to.clone(), 1.0)];
                terms.extend(others.map(|other| (other.clone(), 0.0)));
                self.functional(factors, to, terms)
            })
            .collect()
    }

    fn functional(
        &self,
        factors: &[usize],
        to: Vec<usize>,
        terms: Vec<(Vec<usize>, f64)>,
    ) -> Functional {
        let mut combinations: BTreeMap<Vec<usize>, Vec<Option<usize>>> = BTreeMap::new();
        let places: BTreeMap<&[usize], usize> =
            terms.iter().enumerate().map(|(place, (at, _))| (at.as_slice(), place)).collect();
        for (place, cell) in self.cells.iter().enumerate() {
            let at: Vec<usize> = factors.iter().map(|&factor| cell.levels[factor]).collect();
            let Some(&term) = places.get(at.as_slice()) else { continue };
            let others = cell.levels.iter().enumerate();
            let others = others.filter(|(factor, _)| !factors.contains(factor)).map(|(_, l)| *l);
            let combination = combinations.entry(others.collect());
            combination.or_insert_with(|| vec![None; terms.len()])[term] = Some(place);
        }
        let others = self.factors.iter().enumerate().filter(|(f, _)| !factors.contains(f));
        let possible =
            others.fold(1u64, |all, (_, factor)| all.saturating_mul(factor.levels.len() as u64));
        Functional {
            factors: factors.to_vec(),
            to,
            signs: terms.into_iter().map(|(_, sign)| sign).collect(),
            combinations: combinations.into_values().collect(),
            possible,
        }
    }

    /// Replicates of every cell.
    fn balanced_runs(&self, same: bool) -> Result<usize, AnalysisError> {
        let levels = self.factors.iter().map(|factor| 0..factor.levels.len());
        let by_levels: BTreeMap<&[usize], &Cell> =
            self.cells.iter().map(|cell| (cell.levels.as_slice(), cell)).collect();
        let cells = product(levels);
        let of = |levels: &Vec<usize>| by_levels.get(levels.as_slice()).copied();
        let first = cells.first().and_then(of);
        let expected = first.map_or(0, |cell| cell.runs.len());
        let odd = cells.iter().find(|levels| {
            let cell = of(levels);
            let runs = cell.map_or(0, |cell| cell.runs.len());
            let alike = || match (cell, first) {
                (Some(cell), Some(first)) => cell.runs.keys().eq(first.runs.keys()),
                _ => false,
            };
            runs == 0 || runs != expected || (same && !alike())
        });
        match odd {
            None if expected > 0 && !self.factors.is_empty() => Ok(expected),
            None => Err(AnalysisError::NoCells),
            Some(levels) => {
                let named = levels.iter().zip(self.factors);
                let named = named.map(|(&l, f)| format!("{} = {}", f.column, f.levels[l]));
                Err(AnalysisError::Unbalanced {
                    cell: named.collect::<Vec<_>>().join(", "),
                    found: of(levels).map_or(0, |cell| cell.runs.len()),
                    expected,
                })
            }
        }
    }

    /// The sum of squares of an effect in cell means around zero, one replicate a cell.
    fn squares(&self, factors: &[usize], centred: &[f64]) -> f64 {
        let marginal = |factors: &[usize]| {
            let mut means: BTreeMap<Vec<usize>, Vec<f64>> = BTreeMap::new();
            for (cell, value) in self.cells.iter().zip(centred) {
                let at = factors.iter().map(|&factor| cell.levels[factor]).collect();
                means.entry(at).or_default().push(*value);
            }
            means
        };
        // The marginal means of every part of the effect's factors, with their signs.
        let parts: Vec<_> = (0..=factors.len())
            .flat_map(|size| subsets(factors.len(), size))
            .map(|within| {
                let of: Vec<usize> = within.iter().map(|&place| factors[place]).collect();
                let odd = (factors.len() - within.len()) % 2 == 1;
                let means = marginal(&of).into_iter();
                let means: BTreeMap<Vec<usize>, f64> =
                    means.filter_map(|(at, values)| Some((at, mean(&values)?))).collect();
                (within, if odd { -1.0 } else { 1.0 }, means)
            })
            .collect();
        marginal(factors)
            .into_iter()
            .map(|(at, cells)| {
                let effect: f64 = parts
                    .iter()
                    .filter_map(|(within, sign, means)| {
                        let at: Vec<usize> = within.iter().map(|&place| at[place]).collect();
                        Some(sign * means.get(&at)?)
                    })
                    .sum();
                count(cells.len()) * effect * effect
            })
            .sum()
    }
}

/// An error where a level is named twice.
pub(super) fn check_levels(column: &str, levels: &[String]) -> Result<(), AnalysisError> {
    let mut seen = BTreeSet::new();
    match levels.iter().find(|level| !seen.insert(*level)) {
        None => Ok(()),
        Some(level) => {
            Err(AnalysisError::RepeatedLevel { column: column.to_owned(), level: level.clone() })
        }
    }
}

/// The position of every row's level among some.
pub(super) fn level_places(
    frame: &DataFrame,
    column: &str,
    levels: &[String],
) -> PolarsResult<Vec<Option<usize>>> {
    let places: BTreeMap<&str, usize> =
        levels.iter().enumerate().map(|(place, level)| (level.as_str(), place)).collect();
    let place = |text: Option<String>| places.get(text?.as_str()).copied();
    Ok(texts(frame, column)?.into_iter().map(place).collect())
}

/// Sets of so many of `0..of`, ascending, in their order.
fn subsets(of: usize, size: usize) -> Vec<Vec<usize>> {
    let mut sets = vec![vec![]];
    for _ in 0..size {
        let longer = |set: Vec<usize>| {
            let next = set.last().map_or(0, |last| last + 1);
            (next..of).map(move |item| set.iter().copied().chain([item]).collect())
        };
        sets = sets.into_iter().flat_map(longer).collect();
    }
    sets
}

/// One item of each range, the last running fastest.
fn product(ranges: impl Iterator<Item = std::ops::Range<usize>>) -> Vec<Vec<usize>> {
    ranges.fold(vec![vec![]], |rows: Vec<Vec<usize>>, range| {
        let longer = |row: Vec<usize>| {
            range.clone().map(move |item| row.iter().copied().chain([item]).collect())
        };
        rows.into_iter().flat_map(longer).collect()
    })
}

/// A weighted sum of cell means, alike in every combination of the other factors' levels.
struct Functional {
    /// Its factors, by their positions, and the level of each that it is about.
    factors: Vec<usize>,
    to: Vec<usize>,
    /// The sign of every term: 1, -1, or 0 for a term that only has to be there.
    signs: Vec<f64>,
    /// By combination of the other factors' levels: the cell of every term, where it has rows.
    combinations: Vec<Vec<Option<usize>>>,
    /// Combinations that the levels allow.
    possible: u64,
}

impl Functional {
    /// The combinations in which every term has runs.
    fn complete(&self, runs: impl Fn(usize) -> f64) -> impl Iterator<Item = &Vec<Option<usize>>> {
        self.combinations
            .iter()
            .filter(move |cells| cells.iter().all(|cell| cell.is_some_and(|cell| runs(cell) > 0.0)))
    }

    /// Cells and their weights, given the runs that every cell has.
    fn weights(
        &self,
        estimator: FactorialEstimator,
        runs: impl Fn(usize) -> f64,
    ) -> Option<Vec<(usize, f64)>> {
        let mut weights = Vec::new();
        match estimator {
            FactorialEstimator::Unweighted => {
                let complete: Vec<_> = self.complete(&runs).collect();
                for cells in &complete {
                    let signed = cells.iter().zip(&self.signs).filter(|(_, sign)| **sign != 0.0);
                    let share = count(complete.len());
                    weights
                        .extend(signed.filter_map(|(cell, sign)| Some(((*cell)?, sign / share))));
                }
            }
            FactorialEstimator::Pooled => {
                for (term, sign) in self.signs.iter().enumerate().filter(|(_, sign)| **sign != 0.0)
                {
                    let cells = self.combinations.iter().filter_map(|cells| cells[term]);
                    let cells: Vec<(usize, f64)> =
                        cells.map(|cell| (cell, runs(cell))).filter(|(_, n)| *n > 0.0).collect();
                    let all: f64 = cells.iter().map(|(_, n)| n).sum();
                    if cells.is_empty() {
                        return None;
                    }
                    weights.extend(cells.into_iter().map(|(cell, n)| (cell, sign * n / all)));
                }
            }
        }
        weights.sort_unstable_by_key(|(cell, _)| *cell);
        if weights.is_empty() { None } else { Some(weights) }
    }
}

/// An estimate with its standard error and that error's degrees of freedom.
#[derive(Clone, Copy)]
struct Student {
    value: f64,
    error: f64,
    degrees: f64,
}

impl Student {
    /// Of a sample of two at least; a deviation within `noise` is none.
    fn of_sample(sample: &[f64], noise: f64) -> Option<Self> {
        let error = sd(sample)? / count(sample.len()).sqrt();
        let value = mean(sample)?;
        Some(Self { value, error, degrees: count(sample.len() - 1) }.without(noise))
    }

    fn without(self, noise: f64) -> Self {
        let error = if self.error <= noise { 0.0 } else { self.error };
        let value = if self.value.abs() <= noise { 0.0 } else { self.value };
        Self { value, error, degrees: self.degrees }
    }

    fn p_value(&self) -> f64 {
        match (self.error > 0.0, self.value == 0.0) {
            (true, _) => 2.0 * survival((self.value / self.error).abs(), self.degrees),
            (false, true) => 1.0,
            (false, false) => 0.0,
        }
    }

    fn interval(&self, alpha: f64) -> Interval {
        // The quantile may be infinite, the error zero.
        let half = if self.error == 0.0 {
            0.0
        } else {
            upper_quantile(alpha / 2.0, self.degrees) * self.error
        };
        Interval { low: self.value - half, high: self.value + half }
    }
}

/// What a table says of a functional.
#[derive(Default)]
struct Estimated {
    /// Values that entered with a negative and with a positive weight.
    negative: u64,
    positive: u64,
    replicates: u64,
    missing: u64,
    combinations: u64,
    combinations_missing: u64,
    estimate: Option<f64>,
    standard_error: Option<f64>,
    degrees: Option<f64>,
    interval: Option<Interval>,
    simultaneous: Option<Interval>,
    p_value: Option<f64>,
}

/// A functional with the runs that enter it.
struct Weighted {
    weights: Vec<(usize, f64)>,
    /// Replicates that enter.
    replicates: Vec<usize>,
    /// Its value in every one of them; only where all of them have all cells.
    within: Option<Vec<f64>>,
    /// The rounding error of its sums.
    noise: f64,
}

/// Functionals that share the error.
struct Family<'a> {
    design: &'a Design<'a>,
    functionals: &'a [Functional],
    options: &'a FactorialOptions,
    /// Never automatic.
    method: FactorialInterval,
    /// The values of every cell in the order of replicates.
    samples: Vec<Vec<f64>>,
    /// All replicates with a value.
    units: Vec<usize>,
}

impl<'a> Family<'a> {
    fn new(
        design: &'a Design<'a>,
        functionals: &'a [Functional],
        options: &'a FactorialOptions,
    ) -> Self {
        let with_values = || design.cells.iter().filter(|cell| !cell.runs.is_empty());
        let first = with_values().next();
        let same = with_values()
            .all(|cell| first.is_some_and(|first| cell.runs.keys().eq(first.runs.keys())));
        let method = match options.interval {
            FactorialInterval::Automatic if same => FactorialInterval::Paired,
            FactorialInterval::Automatic => FactorialInterval::Welch,
            method => method,
        };
        let values = |cell: &Cell| cell.runs.values().map(|run| run.value).collect();
        let samples = design.cells.iter().map(values).collect();
        let units: BTreeSet<usize> =
            with_values().flat_map(|cell| cell.runs.keys().copied()).collect();
        let units = units.into_iter().collect();
        Self { design, functionals, options, method, samples, units }
    }

    fn weighted(&self, functional: &Functional) -> Option<Weighted> {
        let cells = &self.design.cells;
        let estimator = self.options.estimator;
        let mut weights = functional.weights(estimator, |cell| count(cells[cell].runs.len()))?;
        let has_all = |replicate: &usize| {
            weights.iter().all(|(cell, _)| cells[*cell].runs.contains_key(replicate))
        };
        let complete: Vec<usize> = self.units.iter().copied().filter(has_all).collect();
        let has_any = |replicate: &usize| {
            weights.iter().any(|(cell, _)| cells[*cell].runs.contains_key(replicate))
        };
        let mut replicates: Vec<usize> = self.units.iter().copied().filter(has_any).collect();
        if self.method == FactorialInterval::Paired && complete.len() < replicates.len() {
            // The same cells, now with equally many runs each.
            let kept: BTreeSet<usize> = weights.iter().map(|(cell, _)| *cell).collect();
            let runs = |cell| if kept.contains(&cell) { count(complete.len()) } else { 0.0 };
            weights = functional.weights(estimator, runs)?;
            replicates.clone_from(&complete);
        }
        let largest: f64 = weights
            .iter()
            .map(|(cell, weight)| {
                let values = self.samples[*cell].iter();
                weight.abs() * values.fold(0.0, |most: f64, value| most.max(value.abs()))
            })
            .sum();
        let noise = count(weights.len() + self.units.len() + 2) * f64::EPSILON * largest;
        let value_in = |replicate: &usize| -> Option<f64> {
            let parts = weights.iter();
            parts.map(|(cell, weight)| Some(weight * cells[*cell].runs.get(replicate)?.value)).sum()
        };
        let within = if complete.len() == replicates.len() {
            replicates.iter().map(value_in).collect()
        } else {
            None
        };
        Some(Weighted { weights, replicates, within, noise })
    }

    /// The statistic of a functional, given the values of every cell.
    fn of_cells(&self, weighted: &Weighted, samples: &[Vec<f64>], noise: f64) -> Option<Student> {
        let value = of_means(&weighted.weights, |cell| mean(&samples[cell]))?;
        let parts = weighted.weights.iter();
        let (squared_error, degrees) = if self.method == FactorialInterval::PooledVariance {
            let (mut squares, mut degrees) = (0.0, 0);
            for sample in samples.iter().filter(|sample| sample.len() > 1) {
                squares += sd(sample)?.powi(2) * count(sample.len() - 1);
                degrees += sample.len() - 1;
            }
            let per_run: f64 = parts.map(|(cell, w)| w * w / count(samples[*cell].len())).sum();
            if degrees == 0 {
                return None;
            }
            (squares / count(degrees) * per_run, count(degrees))
        } else {
            let of_one = |(cell, weight): &(usize, f64)| {
                Some(((weight * sd(&samples[*cell])?).powi(2), count(samples[*cell].len())))
            };
            let variances = parts.map(of_one).collect::<Option<Vec<_>>>()?;
            satterthwaite(variances.into_iter())
        };
        let statistic = Student { value, error: squared_error.sqrt(), degrees };
        Some(statistic.without(noise))
    }

    /// The statistic that its interval rests on; `None` where there is no variance.
    fn statistic(&self, weighted: &Weighted) -> Option<Student> {
        match self.method {
            FactorialInterval::Automatic | FactorialInterval::Paired => {
                Student::of_sample(weighted.within.as_ref()?, weighted.noise)
            }
            _ => self.of_cells(weighted, &self.samples, weighted.noise),
        }
    }

    fn estimates(&self) -> Result<Vec<Estimated>, AnalysisError> {
        let weighted: Vec<Option<Weighted>> =
            parallel_map(self.functionals, self.options.bootstrap.threads, |f| self.weighted(f));
        let mut estimates: Vec<Estimated> =
            self.functionals.iter().zip(&weighted).map(|(f, w)| self.described(f, w)).collect();
        if self.method == FactorialInterval::Bootstrap {
            self.bootstrapped(&weighted, &mut estimates)?;
            return Ok(estimates);
        }
        let alpha = 1.0 - self.options.bootstrap.level;
        let statistics: Vec<Option<Student>> =
            weighted.iter().map(|weighted| self.statistic(weighted.as_ref()?)).collect();
        let shared = self.shared_alpha(&weighted, &statistics, alpha);
        for (estimated, statistic) in estimates.iter_mut().zip(&statistics) {
            let Some(statistic) = statistic else { continue };
            estimated.standard_error = Some(statistic.error);
            estimated.degrees = Some(statistic.degrees);
            estimated.interval = Some(statistic.interval(alpha));
            estimated.simultaneous = Some(statistic.interval(shared));
            estimated.p_value = Some(statistic.p_value());
        }
        Ok(estimates)
    }

    /// Counts and the estimate.
    fn described(&self, functional: &Functional, weighted: &Option<Weighted>) -> Estimated {
        let cells = &self.design.cells;
        let terms = functional.combinations.iter().flat_map(|cells| {
            let signed = cells.iter().zip(&functional.signs).filter(|(_, sign)| **sign != 0.0);
            signed.filter_map(|(cell, _)| *cell)
        });
        let complete = functional.complete(|cell| count(cells[cell].runs.len())).count() as u64;
        let mut estimated = Estimated {
            missing: terms.map(|cell| cells[cell].missing).sum(),
            combinations: complete,
            combinations_missing: functional.possible - complete,
            ..Estimated::default()
        };
        let Some(weighted) = weighted else { return estimated };
        let rows = |positive: bool| -> u64 {
            let signed = weighted.weights.iter().filter(|(_, w)| (*w > 0.0) == positive);
            let entered = |(cell, _): &(usize, f64)| {
                let runs = weighted.replicates.iter();
                runs.filter_map(|replicate| Some(cells[*cell].runs.get(replicate)?.rows))
                    .sum::<u64>()
            };
            signed.map(entered).sum()
        };
        estimated.negative = rows(false);
        estimated.positive = rows(true);
        estimated.replicates = weighted.replicates.len() as u64;
        let value = match &weighted.within {
            Some(within) => mean(within),
            None => of_means(&weighted.weights, |cell| mean(&self.samples[cell])),
        };
        estimated.estimate = value.map(|v| if v.abs() <= weighted.noise { 0.0 } else { v });
        estimated
    }

    /// The level at which each row's interval is made so that all hold together.
    fn shared_alpha(
        &self,
        weighted: &[Option<Weighted>],
        statistics: &[Option<Student>],
        alpha: f64,
    ) -> f64 {
        let family = count(statistics.iter().flatten().count().max(1));
        let varying: Vec<&Weighted> = weighted
            .iter()
            .zip(statistics)
            .filter(|(_, statistic)| statistic.is_some_and(|statistic| statistic.error > 0.0))
            .filter_map(|(weighted, _)| weighted.as_ref())
            .collect();
        if self.options.simultaneous == Simultaneous::Bonferroni || varying.len() < 2 {
            return alpha / family;
        }
        let resamples: Vec<usize> = (0..self.options.bootstrap.resamples).collect();
        let residuals: Vec<Vec<f64>> = varying.iter().map(|w| self.residuals(w)).collect();
        let mut smallest = parallel_map(&resamples, self.options.bootstrap.threads, |&resample| {
            let mut normals = Normals::new(self.options.bootstrap.seed, resample);
            if self.method == FactorialInterval::Paired {
                self.smallest_within(&residuals, &varying, &mut normals)
            } else {
                self.smallest_of_cells(&varying, &mut normals)
            }
        });
        smallest.sort_unstable_by(f64::total_cmp);
        // Each statistic alone has Student's distribution, so that what lies outside these bounds is
        // resampling error or, of Welch's approximate degrees of freedom, that approximation's.
        quantile(&smallest, alpha).unwrap_or(0.0).clamp(alpha / family, alpha)
    }

    /// Deviations from the mean by unit, scaled so that a sum with standard normal weights has the
    /// sample's variance.
    fn residuals(&self, weighted: &Weighted) -> Vec<f64> {
        let Some(within) = &weighted.within else { return vec![] };
        let mean = mean(within).unwrap_or_default();
        let scale = count(within.len().saturating_sub(1).max(1)).sqrt();
        let mut residuals = vec![0.0; self.units.len()];
        for (replicate, value) in weighted.replicates.iter().zip(within) {
            if let Ok(place) = self.units.binary_search(replicate) {
                residuals[place] = (value - mean) / scale;
            }
        }
        residuals
    }

    /// The smallest p value of a study without effects whose replicates vary as the residuals do.
    fn smallest_within(
        &self,
        residuals: &[Vec<f64>],
        varying: &[&Weighted],
        normals: &mut Normals,
    ) -> f64 {
        let rows: Vec<Vec<f64>> = self
            .units
            .iter()
            .map(|_| self.units.iter().map(|_| normals.next()).collect())
            .collect();
        let of = |(residuals, weighted): (&Vec<f64>, &&Weighted)| {
            let sample: Vec<f64> = rows[..weighted.replicates.len()]
                .iter()
                .map(|row| row.iter().zip(residuals).map(|(weight, r)| weight * r).sum())
                .collect();
            Student::of_sample(&sample, 0.0).map_or(1.0, |statistic| statistic.p_value())
        };
        residuals.iter().zip(varying).map(of).fold(1.0, f64::min)
    }

    /// The smallest p value of a study without effects whose cells vary as those here.
    fn smallest_of_cells(&self, varying: &[&Weighted], normals: &mut Normals) -> f64 {
        let drawn = |sample: &Vec<f64>| {
            let sd = match self.method {
                FactorialInterval::PooledVariance => 1.0,
                _ => sd(sample).unwrap_or_default(),
            };
            sample.iter().map(|_| sd * normals.next()).collect()
        };
        let samples: Vec<Vec<f64>> = self.samples.iter().map(drawn).collect();
        let of = |weighted: &&Weighted| {
            self.of_cells(weighted, &samples, 0.0).map_or(1.0, |statistic| statistic.p_value())
        };
        varying.iter().map(of).fold(1.0, f64::min)
    }

    fn bootstrapped(
        &self,
        weighted: &[Option<Weighted>],
        estimates: &mut [Estimated],
    ) -> Result<(), AnalysisError> {
        let bootstrap = &self.options.bootstrap;
        let alpha = 1.0 - bootstrap.level;
        let rows: Vec<Option<OfUnits<'_>>> = self
            .functionals
            .iter()
            .zip(weighted)
            .map(|(functional, weighted)| {
                let weighted = weighted.as_ref().filter(|w| w.replicates.len() > 1)?;
                Some(OfUnits::new(self, functional, weighted))
            })
            .collect();
        let family = count(rows.iter().flatten().count().max(1));
        // All rows in the same resamples, for what they have in common.
        let ordinary = Bootstrap { method: IntervalMethod::Percentile, ..*bootstrap };
        let draws = ordinary.draws(0, self.units.len());
        let resampled: Vec<Vec<Option<f64>>> = parallel_map(&rows, bootstrap.threads, |row| {
            let Some(row) = row else { return vec![None; bootstrap.resamples] };
            let drawn = |resample| draws.resample(resample).iter().map(|u| (*u as usize, 1.0));
            (0..bootstrap.resamples).map(|resample| row.weigh(drawn(resample))).collect()
        });
        let errors: Vec<Option<f64>> = resampled
            .iter()
            .map(|values| sd(&values.iter().flatten().copied().collect::<Vec<_>>()))
            .collect();
        let deviation = |row: usize, resample: usize| {
            let error = errors[row].filter(|error| *error > 0.0)?;
            Some((resampled[row][resample]? - estimates[row].estimate?).abs() / error)
        };
        let mut largest: Vec<f64> = (0..bootstrap.resamples)
            .map(|r| (0..rows.len()).filter_map(|row| deviation(row, r)).fold(0.0, f64::max))
            .collect();
        largest.sort_unstable_by(f64::total_cmp);
        let critical = quantile(&largest, bootstrap.level).unwrap_or_default();
        let shared = Bootstrap { level: 1.0 - alpha / family, ..*bootstrap };
        let own_draws = bootstrap.draws(0, self.units.len());
        let intervals = parallel_map(&rows, bootstrap.threads, |row| {
            let Some(row) = row else { return Ok((None, None)) };
            let drawn;
            // A replicate that a row does not have is none of its units.
            let draws = if row.present.len() == self.units.len() {
                &own_draws
            } else {
                drawn = bootstrap.draws(0, row.present.len());
                &drawn
            };
            let at = |by: &Bootstrap| by.interval_from(&[draws], &[&row.present], row);
            let bonferroni = self.options.simultaneous == Simultaneous::Bonferroni;
            Ok((at(bootstrap)?, if bonferroni { at(&shared)? } else { None }))
        })
        .into_iter()
        .collect::<Result<Vec<_>, AnalysisError>>()?;
        for (place, (interval, simultaneous)) in intervals.into_iter().enumerate() {
            let estimated = &mut estimates[place];
            if rows[place].is_none() {
                continue;
            }
            estimated.standard_error = errors[place];
            estimated.interval = interval;
            estimated.simultaneous = match self.options.simultaneous {
                Simultaneous::Bonferroni => simultaneous,
                Simultaneous::MaxT => {
                    estimated.estimate.zip(errors[place]).map(|(value, error)| Interval {
                        low: value - critical * error,
                        high: value + critical * error,
                    })
                }
            };
            // The observed sample counts as one more, so that no p value is zero.
            let values = || resampled[place].iter().flatten();
            let below = values().filter(|value| **value <= 0.0).count();
            let above = values().filter(|value| **value >= 0.0).count();
            let share = count(below.min(above) + 1) / count(values().count() + 1);
            estimated.p_value = Some((2.0 * share).min(1.0));
        }
        Ok(())
    }

    fn append(&self, table: &mut DataFrame, estimates: &[Estimated]) -> PolarsResult<()> {
        let counts = |f: &dyn Fn(&Estimated) -> u64| estimates.iter().map(f).collect::<Vec<u64>>();
        let floats = |f: &dyn Fn(&Estimated) -> Option<f64>| {
            estimates.iter().map(f).collect::<Vec<Option<f64>>>()
        };
        push(table, "replicates", counts(&|e| e.replicates))?;
        push(table, "missing", counts(&|e| e.missing))?;
        push(table, "combinations", counts(&|e| e.combinations))?;
        push(table, "combinations_missing", counts(&|e| e.combinations_missing))?;
        push(table, "estimate", floats(&|e| e.estimate))?;
        push(table, "standard_error", floats(&|e| e.standard_error))?;
        push(table, "degrees_of_freedom", floats(&|e| e.degrees))?;
        push(table, "low", floats(&|e| Some(e.interval?.low)))?;
        push(table, "high", floats(&|e| Some(e.interval?.high)))?;
        push(table, "simultaneous_low", floats(&|e| Some(e.simultaneous?.low)))?;
        push(table, "simultaneous_high", floats(&|e| Some(e.simultaneous?.high)))
    }

    fn append_method(
        &self,
        table: &mut DataFrame,
        estimators: &[String],
        estimates: &[Estimated],
        contrasts: bool,
    ) -> PolarsResult<()> {
        let rows = estimators.len();
        let family = estimates.iter().filter(|estimated| estimated.interval.is_some()).count();
        let by = &self.options.bootstrap;
        let resampled = self.method == FactorialInterval::Bootstrap
            || self.options.simultaneous == Simultaneous::MaxT;
        push(table, "estimator", estimators)?;
        push(table, "interval", vec![self.method.name(contrasts, by); rows])?;
        push(table, "interval_level", vec![by.level; rows])?;
        push(table, "resamples", vec![resampled.then_some(by.resamples as u64); rows])?;
        push(table, "simultaneous", vec![self.options.simultaneous.name(); rows])?;
        push(table, "family", vec![family as u64; rows])
    }
}

/// A functional as a statistic of replicates, by their positions among all.
struct OfUnits<'a> {
    functional: &'a Functional,
    estimator: FactorialEstimator,
    noise: f64,
    /// Those that it rests on.
    present: Vec<usize>,
    /// Its value within each, where all of them have all cells: the value, and whether there is one.
    within: Option<Vec<(f64, f64)>>,
    /// By cell: the value of each, and whether there is one.
    cells: Vec<Vec<(f64, f64)>>,
}

impl<'a> OfUnits<'a> {
    fn new(family: &Family<'_>, functional: &'a Functional, weighted: &Weighted) -> Self {
        let place = |replicate: &usize| family.units.binary_search(replicate).ok();
        let within = weighted.within.as_ref().map(|within| {
            let mut of_units = vec![(0.0, 0.0); family.units.len()];
            for (replicate, value) in weighted.replicates.iter().zip(within) {
                if let Some(place) = place(replicate) {
                    of_units[place] = (*value, 1.0);
                }
            }
            of_units
        });
        let of_cell = |cell: &Cell| {
            let run = |unit| cell.runs.get(unit).map_or((0.0, 0.0), |run| (run.value, 1.0));
            family.units.iter().map(run).collect()
        };
        let cells = if within.is_some() {
            vec![]
        } else {
            family.design.cells.iter().map(of_cell).collect()
        };
        Self {
            functional,
            estimator: family.options.estimator,
            noise: weighted.noise,
            present: weighted.replicates.iter().filter_map(place).collect(),
            within,
            cells,
        }
    }

    /// Its value where every unit counts as often as its weight says.
    fn weigh(&self, units: impl Iterator<Item = (usize, f64)> + Clone) -> Option<f64> {
        let sums = |values: &Vec<(f64, f64)>| {
            units.clone().fold((0.0, 0.0), |(sum, runs), (unit, weight)| {
                let (value, present) = values[unit];
                (sum + weight * value, runs + weight * present)
            })
        };
        let value = match &self.within {
            Some(within) => {
                let (sum, runs) = sums(within);
                (runs > 0.0).then(|| sum / runs)?
            }
            None => {
                let cells: Vec<(f64, f64)> = self.cells.iter().map(sums).collect();
                let weights = self.functional.weights(self.estimator, |cell| cells[cell].1)?;
                of_means(&weights, |cell| Some(cells[cell].0 / cells[cell].1))?
            }
        };
        Some(if value.abs() <= self.noise { 0.0 } else { value })
    }
}

impl Statistic<usize> for OfUnits<'_> {
    const WEIGHTED: bool = true;

    fn of(&self, strata: &[Vec<usize>]) -> Option<f64> {
        self.weigh(strata.first()?.iter().map(|unit| (*unit, 1.0)))
    }

    fn standard_error(&self, strata: &[Vec<usize>]) -> Option<f64> {
        let units = strata.first()?;
        let without = |left_out: usize| {
            let rest = units.iter().enumerate().filter(move |(place, _)| *place != left_out);
            self.weigh(rest.map(|(_, unit)| (*unit, 1.0)))
        };
        let values = match &self.within {
            // The same without adding up the rest anew for every replicate.
            Some(within) => {
                let sum: f64 = units.iter().map(|unit| within[*unit].0).sum();
                let rest = count(units.len()) - 1.0;
                units.iter().map(|unit| (sum - within[*unit].0) / rest).collect()
            }
            None => (0..units.len()).filter_map(without).collect(),
        };
        Some(jackknife_error(&[values]))
    }

    fn weighted(&self, strata: &[Vec<usize>], weights: &[&[f64]]) -> Option<f64> {
        self.weigh(strata.first()?.iter().copied().zip(weights.first()?.iter().copied()))
    }
}

/// A weighted sum of means; `None` where one is missing.
fn of_means(weights: &[(usize, f64)], mean: impl Fn(usize) -> Option<f64>) -> Option<f64> {
    weights.iter().map(|(cell, weight)| Some(weight * mean(*cell)?)).sum()
}

/// Standard normal numbers of one resample, from a stream of their own.
struct Normals {
    generator: ChaCha8Rng,
    second: Option<f64>,
}

impl Normals {
    fn new(seed: u64, resample: usize) -> Self {
        let mut key = *b"................ceteris/maxstat1";
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].fill(0);
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(resample as u64);
        Self { generator, second: None }
    }

    /// By Box and Muller, in pairs.
    fn next(&mut self) -> f64 {
        if let Some(second) = self.second.take() {
            return second;
        }
        // Never zero or one; 53 bits are exact.
        #[allow(clippy::cast_precision_loss)]
        let mut uniform = || ((self.generator.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        let radius = (-2.0 * libm::log(uniform())).sqrt();
        let (sine, cosine) = libm::sincos(std::f64::consts::TAU * uniform());
        self.second = Some(radius * sine);
        radius * cosine
    }
}
