//! Linear regression by ordinary and weighted least squares, on the measured scale or between
//! probits or logits.
//!
//! The fit is a Householder QR decomposition of the design, its columns scaled to a length near one
//! (Golub and Van Loan, Matrix Computations, section 5.3), with a step of refinement; normal
//! equations would lose half of the digits. Standard errors are the classical ones and, beside them, HC3 (MacKinnon and White 1985,
//! Journal of Econometrics 29, 305-325), which does not assume equal variances. Both are judged by
//! Student's t with the residual degrees of freedom (`statsmodels`: `OLS`, `WLS`,
//! `cov_type="HC3", use_t=True`).

use polars::prelude::*;

use super::estimator::count;
use super::frames::{Groups, groups, index, numbers, take};
use super::tables::push;
use super::{AnalysisError, Interval, normal, student};

/// A column of the design is a linear combination of those before it where they leave less than
/// this share of its length.
const DEPENDENT: f64 = 1e-10;
/// Residuals below this share of the length of y are the rounding of an exact fit.
const EXACT: f64 = 1e-13;
/// The term of the constant.
const INTERCEPT: &str = "(intercept)";

/// The columns that [`regress`] and [`predict`] read.
#[derive(Clone, Copy, Debug)]
pub struct RegressionColumns<'a> {
    /// Columns whose values make the groups, each fitted on its own; none puts all rows into one.
    pub groups: &'a [&'a str],
    /// What is explained.
    pub y: &'a str,
    /// What explains it; may be empty where there is an intercept.
    pub x: &'a [&'a str],
    /// Weights in proportion to one over the variance of a row's y, above zero; without them all
    /// rows weigh the same.
    pub weights: Option<&'a str>,
}

/// The scale between y and x on which the relation is a straight line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// As measured.
    Identity,
    /// The inverse of the normal distribution function, of y and every x: for shares of successes
    /// such as the accuracies of models on two test sets.
    Probit,
    /// The logarithm of the odds, of y and every x.
    Logit,
}

impl Scale {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Probit => "probit",
            Self::Logit => "logit",
        }
    }

    /// A number on this scale; infinite or NaN for shares outside (0, 1) that have no probit or logit.
    pub fn to(self, value: f64) -> f64 {
        match self {
            Self::Identity => value,
            Self::Probit => normal::quantile(value),
            Self::Logit => value.ln() - (-value).ln_1p(),
        }
    }

    fn from(self, value: f64) -> f64 {
        match self {
            Self::Identity => value,
            Self::Probit => normal::cdf(value),
            Self::Logit => 1.0 / (1.0 + (-value).exp()),
        }
    }
}

/// What happens to shares of exactly 0 and 1, which have neither probit nor logit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Boundary {
    /// They are an error.
    Refuse,
    /// Shares below this number are raised to it and those above one minus it lowered, a continuity
    /// correction; in (0, 0.5). Half of one over the number of trials behind a share is customary.
    /// The rows that it changed are counted in `clipped`.
    Clip(f64),
}

/// How a regression is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegressionOptions {
    /// Whether there is a constant beside the predictors.
    pub intercept: bool,
    /// The scale of the fit.
    pub scale: Scale,
    /// What happens at the ends of a scale for shares.
    pub boundary: Boundary,
    /// Probability that an interval is meant to cover, in (0, 1).
    pub level: f64,
}

impl Default for RegressionOptions {
    /// With an intercept, as measured, level 0.95; shares of 0 and 1 are an error where they matter.
    fn default() -> Self {
        Self { intercept: true, scale: Scale::Identity, boundary: Boundary::Refuse, level: 0.95 }
    }
}

/// Fits a straight line, or a plane of more dimensions, per group.
///
/// One row a group and term, groups in the order of their columns, the intercept first and then the
/// predictors as they were named: the group columns, then
///
/// | column | meaning |
/// |---|---|
/// | `term` | `(intercept)` or the predictor |
/// | `estimate` | the coefficient: y (on the scale of the fit) per unit of x (on that scale) |
/// | `standard_error`, `t`, `p_value`, `low`, `high` | classical: two-sided test against 0, interval |
/// | `robust_standard_error`, `robust_t`, `robust_p_value`, `robust_low`, `robust_high` | the same with HC3 standard errors |
/// | `n`, `missing` | rows that entered; rows without y, an x or a weight |
/// | `clipped` | rows that [`Boundary::Clip`] changed |
/// | `degrees_of_freedom` | `n` minus the number of terms |
/// | `residual_sd` | root of the (weighted) residual sum of squares per degree of freedom, on the scale of the fit |
/// | `r_squared`, `adjusted_r_squared` | share of the (weighted) sum of squares explained: around the mean with an intercept, around zero without |
/// | `f`, `f_terms`, `f_p_value` | F test of all predictors together, with `f_terms` and `degrees_of_freedom` degrees of freedom |
/// | `scale` | of the fit |
/// | `estimator`, `interval`, `interval_level`, `resamples` | what the estimate and the intervals are; `resamples` is null |
///
/// Null is what a group does not determine: everything but the counts with fewer rows than terms;
/// errors, tests and intervals with as many rows as terms; robust errors where a row alone
/// determines a coefficient (leverage 1); R² and F of a constant y; t, F and their p where all
/// residuals are zero (the standard errors are 0 then).
///
/// # Errors
/// When a column is absent or of the wrong type, there is no term, a predictor is a linear
/// combination of others within a group, a weight is not positive, a share lies outside [0, 1] or
/// on its boundary, or an option is out of range.
pub fn regress(
    frame: &DataFrame,
    columns: RegressionColumns<'_>,
    options: &RegressionOptions,
) -> Result<DataFrame, AnalysisError> {
    options.check(&columns)?;
    let Groups { keys, rows } = groups(frame, columns.groups)?;
    let data = Data::new(frame, &columns, options)?;
    let terms = columns.terms(options);
    let fits = rows
        .iter()
        .enumerate()
        .map(|(group, rows)| data.fit(rows, &terms, || described(&keys, group)))
        .collect::<Result<Vec<_>, _>>()?;
    let of_group: Vec<IdxSize> =
        (0..fits.len()).flat_map(|group| vec![index(group); terms.len()]).collect();
    let mut table = if columns.groups.is_empty() {
        DataFrame::new(of_group.len(), vec![])?
    } else {
        take(&keys, &of_group)?
    };
    let rows: Vec<(&Fitted, usize)> =
        fits.iter().flat_map(|fit| (0..terms.len()).map(move |term| (fit, term))).collect();
    let floats = |value: &dyn Fn(&LeastSquares, usize) -> Option<f64>| {
        rows.iter()
            .map(|(fitted, term)| value(fitted.fit.as_ref()?, *term).filter(|v| v.is_finite()))
            .collect::<Vec<Option<f64>>>()
    };
    let counts = |value: &dyn Fn(&Fitted) -> usize| {
        rows.iter().map(|(fitted, _)| value(fitted) as u64).collect::<Vec<_>>()
    };
    let names: Vec<&str> = rows.iter().map(|(_, term)| terms[*term]).collect();
    push(&mut table, "term", names)?;
    push(&mut table, "estimate", floats(&|fit, term| Some(fit.coefficients[term])))?;
    for (prefix, robust) in [("", false), ("robust_", true)] {
        let error = |fit: &LeastSquares, term| {
            if robust { fit.robust_error(term) } else { fit.standard_error(term) }
        };
        let t = |fit: &LeastSquares, term| {
            let error = error(fit, term).filter(|error| *error > 0.0)?;
            Some(fit.coefficients[term] / error)
        };
        let end = |fit: &LeastSquares, term, sign: f64| {
            let reach = student::upper_quantile((1.0 - options.level) / 2.0, fit.degrees()?);
            Some(fit.coefficients[term] + sign * reach * error(fit, term)?)
        };
        let p = |fit: &LeastSquares, term| {
            Some(2.0 * student::survival(t(fit, term)?.abs(), fit.degrees()?))
        };
        push(&mut table, &format!("{prefix}standard_error"), floats(&error))?;
        push(&mut table, &format!("{prefix}t"), floats(&t))?;
        push(&mut table, &format!("{prefix}p_value"), floats(&p))?;
        push(&mut table, &format!("{prefix}low"), floats(&|fit, term| end(fit, term, -1.0)))?;
        push(&mut table, &format!("{prefix}high"), floats(&|fit, term| end(fit, term, 1.0)))?;
    }
    push(&mut table, "n", counts(&|fitted| fitted.n))?;
    push(&mut table, "missing", counts(&|fitted| fitted.missing))?;
    push(&mut table, "clipped", counts(&|fitted| fitted.clipped))?;
    let degrees: Vec<Option<u64>> = rows
        .iter()
        .map(|(fitted, _)| fitted.n.checked_sub(terms.len()).map(|degrees| degrees as u64))
        .collect();
    push(&mut table, "degrees_of_freedom", degrees)?;
    push(&mut table, "residual_sd", floats(&|fit, _| fit.variance().map(f64::sqrt)))?;
    push(&mut table, "r_squared", floats(&|fit, _| fit.r_squared()))?;
    push(&mut table, "adjusted_r_squared", floats(&|fit, _| fit.adjusted_r_squared()))?;
    push(&mut table, "f", floats(&|fit, _| Some(fit.f_test()?.0)))?;
    push(&mut table, "f_terms", vec![columns.x.len() as u64; rows.len()])?;
    push(&mut table, "f_p_value", floats(&|fit, _| Some(fit.f_test()?.1)))?;
    append_method(&mut table, &columns, options)?;
    Ok(table)
}

/// Fits as [`regress`] does and reads the line at new points.
///
/// The rows of `new` with all their columns (it needs the group columns, the predictors and, where
/// the fit has them, the weights), then
///
/// | column | meaning |
/// |---|---|
/// | `fitted` | the line |
/// | `standard_error` | classical, of the line on the scale of the fit |
/// | `low`, `high` | interval of the line: of the mean of y, or of its median where the scale is not the identity |
/// | `prediction_low`, `prediction_high` | interval of a single new y, whose variance is the residual one over its weight |
/// | `scale`, `estimator`, `interval`, `interval_level`, `resamples` | as in [`regress`] |
///
/// All but the standard error are on the measured scale: ends of intervals are mapped back one by
/// one, which keeps their level because the scales are monotone. Numbers are null at points without
/// a predictor or of a group that has no fit; intervals are null without a degree of freedom.
///
/// # Errors
/// As [`regress`]; what is said of predictors and weights there holds for `new` too.
pub fn predict(
    frame: &DataFrame,
    columns: RegressionColumns<'_>,
    options: &RegressionOptions,
    new: &DataFrame,
) -> Result<DataFrame, AnalysisError> {
    options.check(&columns)?;
    let data = Data::new(frame, &columns, options)?;
    let points = Data::of_predictors(new, &columns, options)?;
    let terms = columns.terms(options);
    let mut readings = vec![None; new.height()];
    // Grouped together, so that equal keys meet; rows past those of `frame` are the new points.
    let Groups { keys, rows } = if columns.groups.is_empty() {
        let all = if new.height() == 0 {
            vec![]
        } else {
            vec![(0..frame.height() + new.height()).collect()]
        };
        Groups { keys: DataFrame::new(all.len(), vec![])?, rows: all }
    } else {
        let both = frame
            .select(columns.groups.iter().copied())?
            .vstack(&new.select(columns.groups.iter().copied())?)?;
        groups(&both, columns.groups)?
    };
    for (group, rows) in rows.iter().enumerate() {
        let (old, asked): (Vec<usize>, Vec<usize>) =
            rows.iter().partition(|row| **row < frame.height());
        if asked.is_empty() {
            continue;
        }
        let fitted = data.fit(&old, &terms, || described(&keys, group))?;
        let Some(fit) = fitted.fit else { continue };
        for row in asked.iter().map(|row| row - frame.height()) {
            let Some((x, weight)) = points.point(row) else { continue };
            readings[row] = Some(fit.at(&x, weight, options.level));
        }
    }
    let floats = |value: &dyn Fn(&Reading) -> Option<f64>| {
        readings
            .iter()
            .map(|reading| reading.as_ref().and_then(value).filter(|value| value.is_finite()))
            .collect::<Vec<Option<f64>>>()
    };
    let back = |value: f64| options.scale.from(value);
    let mut table = new.clone();
    push(&mut table, "fitted", floats(&|reading| Some(back(reading.fitted))))?;
    push(&mut table, "standard_error", floats(&|reading| reading.error))?;
    push(&mut table, "low", floats(&|reading| Some(back(reading.mean?.low))))?;
    push(&mut table, "high", floats(&|reading| Some(back(reading.mean?.high))))?;
    push(&mut table, "prediction_low", floats(&|reading| Some(back(reading.single?.low))))?;
    push(&mut table, "prediction_high", floats(&|reading| Some(back(reading.single?.high))))?;
    append_method(&mut table, &columns, options)?;
    Ok(table)
}

fn append_method(
    table: &mut DataFrame,
    columns: &RegressionColumns<'_>,
    options: &RegressionOptions,
) -> PolarsResult<()> {
    let rows = table.height();
    let estimator = match columns.weights {
        None => "ordinary least squares",
        Some(_) => "weighted least squares",
    };
    push(table, "scale", vec![options.scale.name(); rows])?;
    push(table, "estimator", vec![estimator; rows])?;
    push(table, "interval", vec!["Student's t"; rows])?;
    push(table, "interval_level", vec![options.level; rows])?;
    push(table, "resamples", vec![None::<u64>; rows])
}

impl<'a> RegressionColumns<'a> {
    fn terms(&self, options: &RegressionOptions) -> Vec<&'a str> {
        options.intercept.then_some(INTERCEPT).into_iter().chain(self.x.iter().copied()).collect()
    }
}

impl RegressionOptions {
    fn check(&self, columns: &RegressionColumns<'_>) -> Result<(), AnalysisError> {
        if !(self.level > 0.0 && self.level < 1.0) {
            return Err(AnalysisError::Level(self.level));
        }
        if let Boundary::Clip(share) = self.boundary
            && !(share > 0.0 && share < 0.5)
        {
            return Err(AnalysisError::Setting {
                name: "the share that others are clipped to",
                value: share.to_string(),
                allowed: "lie strictly between 0 and 0.5",
            });
        }
        if columns.terms(self).is_empty() {
            return Err(AnalysisError::Setting {
                name: "the number of terms",
                value: "0".to_owned(),
                allowed: "be at least 1: name a predictor or allow the intercept",
            });
        }
        Ok(())
    }
}

/// A group as messages name it.
fn described(keys: &DataFrame, group: usize) -> String {
    let values: Vec<String> = keys
        .columns()
        .iter()
        .filter_map(|column| Some(format!("{} = {}", column.name(), column.get(group).ok()?)))
        .collect();
    if values.is_empty() { String::new() } else { format!(" where {}", values.join(", ")) }
}

/// Columns on the scale of the fit.
struct Data {
    /// Empty for new points.
    y: Vec<Option<f64>>,
    x: Vec<Vec<Option<f64>>>,
    weights: Option<Vec<Option<f64>>>,
    intercept: bool,
    /// Whether a row holds a clipped number.
    clipped: Vec<bool>,
}

struct Fitted {
    n: usize,
    missing: usize,
    clipped: usize,
    /// `None` with fewer rows than terms.
    fit: Option<LeastSquares>,
}

impl Data {
    fn new(
        frame: &DataFrame,
        columns: &RegressionColumns<'_>,
        options: &RegressionOptions,
    ) -> Result<Self, AnalysisError> {
        let mut data = Self::of_predictors(frame, columns, options)?;
        data.y = scaled(frame, columns.y, options, &mut data.clipped)?;
        Ok(data)
    }

    fn of_predictors(
        frame: &DataFrame,
        columns: &RegressionColumns<'_>,
        options: &RegressionOptions,
    ) -> Result<Self, AnalysisError> {
        let mut clipped = vec![false; frame.height()];
        let x = columns
            .x
            .iter()
            .map(|column| scaled(frame, column, options, &mut clipped))
            .collect::<Result<_, _>>()?;
        let weights = columns.weights.map(|column| weights(frame, column)).transpose()?;
        Ok(Self { y: vec![], x, weights, intercept: options.intercept, clipped })
    }

    /// The terms of a row and its weight.
    fn point(&self, row: usize) -> Option<(Vec<f64>, f64)> {
        let constant = self.intercept.then_some(Some(1.0)).into_iter();
        let terms = constant.chain(self.x.iter().map(|column| column[row])).collect::<Option<_>>();
        let weight = match &self.weights {
            Some(weights) => weights[row]?,
            None => 1.0,
        };
        Some((terms?, weight))
    }

    fn fit(
        &self,
        rows: &[usize],
        terms: &[&str],
        group: impl Fn() -> String,
    ) -> Result<Fitted, AnalysisError> {
        let mut points: Vec<Point> = Vec::with_capacity(rows.len());
        let mut clipped = 0;
        for &row in rows {
            let (Some((x, weight)), Some(y)) = (self.point(row), self.y[row]) else { continue };
            points.push(Point { x, y, weight });
            clipped += usize::from(self.clipped[row]);
        }
        let n = points.len();
        let fit = if n < terms.len() {
            None
        } else {
            Some(LeastSquares::fit(points, terms.len(), self.intercept).map_err(
                |Dependent { term, on }| AnalysisError::LinearlyDependent {
                    column: terms[term].to_owned(),
                    others: on.iter().map(|other| format!("`{}`", terms[*other])).collect(),
                    group: group(),
                },
            )?)
        };
        Ok(Fitted { n, missing: rows.len() - n, clipped, fit })
    }
}

/// The numbers of a column on the scale of the fit.
fn scaled(
    frame: &DataFrame,
    column: &str,
    options: &RegressionOptions,
    clipped: &mut [bool],
) -> Result<Vec<Option<f64>>, AnalysisError> {
    let mut values = numbers(frame, column)?;
    if options.scale == Scale::Identity {
        return Ok(values);
    }
    for (row, value) in values.iter_mut().enumerate() {
        let Some(share) = value else { continue };
        let refused = |allowed| AnalysisError::OutOfRange {
            column: column.to_owned(),
            row,
            value: *share,
            allowed,
        };
        if !(0.0..=1.0).contains(share) {
            return Err(refused("be a share between 0 and 1 (divide percentages by 100)"));
        }
        let kept = match options.boundary {
            Boundary::Refuse if *share == 0.0 || *share == 1.0 => {
                return Err(refused(
                    "lie strictly between 0 and 1 on this scale (clip shares to half of one over \
                     their number of trials)",
                ));
            }
            Boundary::Refuse => *share,
            Boundary::Clip(least) => share.clamp(least, 1.0 - least),
        };
        #[allow(clippy::float_cmp)] // clamping either keeps a number or changes it
        if kept != *share {
            clipped[row] = true;
        }
        *value = Some(options.scale.to(kept));
    }
    Ok(values)
}

fn weights(frame: &DataFrame, column: &str) -> Result<Vec<Option<f64>>, AnalysisError> {
    let values = numbers(frame, column)?;
    for (row, value) in values.iter().enumerate() {
        if let Some(value) = value
            && *value <= 0.0
        {
            return Err(AnalysisError::OutOfRange {
                column: column.to_owned(),
                row,
                value: *value,
                allowed: "be a weight above 0 (leave out rows that should not count)",
            });
        }
    }
    Ok(values)
}

/// A row of a design.
pub(super) struct Point {
    /// One number a term, the constant included.
    pub(super) x: Vec<f64>,
    pub(super) y: f64,
    pub(super) weight: f64,
}

/// A term that others determine.
#[derive(Debug)]
pub(super) struct Dependent {
    term: usize,
    on: Vec<usize>,
}

/// A least-squares fit with at least as many points as terms.
pub(super) struct LeastSquares {
    pub(super) coefficients: Vec<f64>,
    /// The inverse of R, upper triangular, of the weighted design with columns as given:
    /// its product with its transpose is the inverse of X'WX. Columns of it, by term.
    inverse: Vec<Vec<f64>>,
    /// Standard errors of the coefficients by HC3; `None` where they are not determined.
    robust: Option<Vec<f64>>,
    n: usize,
    intercept: bool,
    /// Weighted sum of squares of the residuals.
    residual: f64,
    /// That of y, around its weighted mean where there is an intercept; 0 where that is rounding.
    total: f64,
}

/// A line read at a point, on the scale of the fit.
#[derive(Clone, Copy)]
struct Reading {
    fitted: f64,
    error: Option<f64>,
    mean: Option<Interval>,
    single: Option<Interval>,
}

impl LeastSquares {
    /// Fits points, of which there are at least as many as terms.
    pub(super) fn fit(
        mut points: Vec<Point>,
        terms: usize,
        intercept: bool,
    ) -> Result<Self, Dependent> {
        // An order of their own, so that the order of rows shows in not even the last bit.
        points.sort_unstable_by(|a, b| {
            let numbers = |point: &Point| [point.y, point.weight].into_iter();
            numbers(a)
                .chain(a.x.iter().copied())
                .zip(numbers(b).chain(b.x.iter().copied()))
                .map(|(a, b)| a.total_cmp(&b))
                .find(|order| order.is_ne())
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        let n = points.len();
        let roots: Vec<f64> = points.iter().map(|point| point.weight.sqrt()).collect();
        let y: Vec<f64> = points.iter().zip(&roots).map(|(point, root)| point.y * root).collect();
        let columns: Vec<Vec<f64>> = (0..terms)
            .map(|term| {
                points.iter().zip(&roots).map(|(point, root)| point.x[term] * root).collect()
            })
            .collect();
        // Powers of two, by which division is exact.
        let lengths: Vec<f64> =
            columns.iter().map(|column| length(column).log2().round().exp2()).collect();
        let mut qr = Householder { reflectors: vec![], r: vec![] };
        for (term, column) in columns.iter().enumerate() {
            let scaled = column.iter().map(|value| value / lengths[term]).collect();
            // A column of zeros has no length to scale by.
            if lengths[term] == 0.0 || !qr.push(scaled) {
                return Err(Dependent { term, on: qr.dependence() });
            }
        }
        let mut rotated = y.clone();
        qr.rotate(&mut rotated);
        let mut coefficients = qr.solve(&rotated[..terms]);
        let residuals_of = |coefficients: &[f64]| -> Vec<f64> {
            let terms = || columns.iter().zip(&lengths).zip(coefficients);
            (0..n)
                .map(|row| {
                    difference(y[row], terms().map(|((column, by), c)| (column[row] / by, *c)))
                })
                .collect()
        };
        // A step of refinement wins back digits that an ill-conditioned design costs.
        let mut correction = residuals_of(&coefficients);
        qr.rotate(&mut correction);
        for (coefficient, step) in coefficients.iter_mut().zip(qr.solve(&correction[..terms])) {
            *coefficient += step;
        }
        let residuals = residuals_of(&coefficients);
        let squares: f64 = y.iter().map(|value| value * value).sum();
        let rounding = EXACT * EXACT * squares;
        let settled = |sum: f64| if sum <= rounding { 0.0 } else { sum };
        let residual = settled(residuals.iter().map(|value| value * value).sum());
        let total = if intercept {
            let weight: f64 = points.iter().map(|point| point.weight).sum();
            let mean = points.iter().map(|point| point.weight * point.y).sum::<f64>() / weight;
            let around = |point: &Point| point.weight * (point.y - mean) * (point.y - mean);
            settled(points.iter().map(around).sum())
        } else {
            squares
        };
        let mut inverse = qr.inverse();
        let robust = if residual == 0.0 {
            (n > terms).then(|| vec![0.0; terms])
        } else {
            // Rows of Q: what leverages and influences need, with no digit lost to R.
            let rows = (0..n).map(|row| {
                let scaled = columns.iter().zip(&lengths).map(|(column, by)| column[row] / by);
                qr.solve_transposed(&scaled.collect::<Vec<f64>>())
            });
            sandwich(rows, &residuals, &inverse)
        };
        // Back to columns as given.
        for column in &mut inverse {
            for (value, length) in column.iter_mut().zip(&lengths) {
                *value /= length;
            }
        }
        let robust = robust.map(|variances| {
            variances.iter().zip(&lengths).map(|(value, length)| value.sqrt() / length).collect()
        });
        for (coefficient, length) in coefficients.iter_mut().zip(&lengths) {
            *coefficient /= length;
        }
        Ok(Self { coefficients, inverse, robust, n, intercept, residual, total })
    }

    /// Residual degrees of freedom; `None` where there are none.
    pub(super) fn degrees(&self) -> Option<f64> {
        let degrees = self.n - self.coefficients.len();
        (degrees > 0).then(|| count(degrees))
    }

    fn variance(&self) -> Option<f64> {
        Some(self.residual / self.degrees()?)
    }

    pub(super) fn standard_error(&self, term: usize) -> Option<f64> {
        let row: Vec<f64> = self.inverse.iter().map(|column| column[term]).collect();
        Some(length(&row) * self.variance()?.sqrt())
    }

    fn robust_error(&self, term: usize) -> Option<f64> {
        self.degrees()?;
        Some(self.robust.as_ref()?[term])
    }

    fn r_squared(&self) -> Option<f64> {
        (self.total > 0.0).then(|| 1.0 - self.residual / self.total)
    }

    fn adjusted_r_squared(&self) -> Option<f64> {
        let all = count(self.n - usize::from(self.intercept));
        Some(1.0 - all / self.degrees()? * (1.0 - self.r_squared()?))
    }

    /// The F statistic of all terms but the intercept, and its probability under none of them.
    fn f_test(&self) -> Option<(f64, f64)> {
        let predictors = self.coefficients.len() - usize::from(self.intercept);
        if predictors == 0 || self.total <= 0.0 || self.residual <= 0.0 {
            return None;
        }
        let (terms, degrees) = (count(predictors), self.degrees()?);
        let f = (self.total - self.residual) / terms / self.variance()?;
        Some((f.max(0.0), student::f_survival(f, terms, degrees)))
    }

    fn at(&self, x: &[f64], weight: f64, level: f64) -> Reading {
        let fitted = x.iter().zip(&self.coefficients).map(|(x, coefficient)| x * coefficient).sum();
        // x' (X'WX)^-1 x as a sum of squares, which cannot be negative.
        let spread: f64 = self
            .inverse
            .iter()
            .map(|column| {
                let along: f64 = column.iter().zip(x).map(|(value, x)| value * x).sum();
                along * along
            })
            .sum();
        let interval = |variance: f64| {
            let reach = student::upper_quantile((1.0 - level) / 2.0, self.degrees()?);
            let half = reach * variance.sqrt();
            Some(Interval { low: fitted - half, high: fitted + half })
        };
        let variance = self.variance();
        Reading {
            fitted,
            error: variance.map(|variance| (variance * spread).sqrt()),
            mean: variance.and_then(|variance| interval(variance * spread)),
            single: variance.and_then(|variance| interval(variance * (spread + 1.0 / weight))),
        }
    }
}

/// Variances of the coefficients by HC3: residuals divided by one minus their leverage; `None`
/// where a leverage is one.
fn sandwich(
    rows: impl Iterator<Item = Vec<f64>>,
    residuals: &[f64],
    inverse: &[Vec<f64>],
) -> Option<Vec<f64>> {
    let terms = inverse.len();
    let mut variances = vec![0.0; terms];
    for (row, residual) in rows.zip(residuals) {
        let leverage: f64 = row.iter().map(|value| value * value).sum();
        let rest = 1.0 - leverage;
        if rest <= 1e-12 {
            return None;
        }
        for (term, variance) in variances.iter_mut().enumerate() {
            let influence: f64 =
                inverse.iter().zip(&row).map(|(column, value)| column[term] * value).sum();
            *variance += (influence * residual / rest).powi(2);
        }
    }
    Some(variances)
}

/// A QR decomposition that grows column by column.
struct Householder {
    /// Unit vectors, zero above their own row.
    reflectors: Vec<Vec<f64>>,
    /// Columns of R down to their diagonal; the last may be one that was refused.
    r: Vec<Vec<f64>>,
}

impl Householder {
    /// Appends a column that is not zero; false where those before it determine it.
    fn push(&mut self, mut column: Vec<f64>) -> bool {
        let term = self.reflectors.len();
        let whole = length(&column);
        self.rotate(&mut column);
        let rest = length(&column[term..]);
        let refused = rest <= DEPENDENT * whole;
        // The sign that adds to the diagonal cancels no digits.
        let diagonal = if column[term] > 0.0 { -rest } else { rest };
        let mut r = column[..term].to_vec();
        if refused {
            self.r.push(r);
            return false;
        }
        r.push(diagonal);
        self.r.push(r);
        column[..term].fill(0.0);
        column[term] -= diagonal;
        let scale = length(&column);
        column.iter_mut().for_each(|value| *value /= scale);
        self.reflectors.push(column);
        true
    }

    /// Multiplies with the transpose of Q.
    fn rotate(&self, vector: &mut [f64]) {
        for reflector in &self.reflectors {
            let along: f64 = reflector.iter().zip(&*vector).map(|(a, b)| a * b).sum();
            for (value, direction) in vector.iter_mut().zip(reflector) {
                *value -= 2.0 * along * direction;
            }
        }
    }

    fn solve(&self, right: &[f64]) -> Vec<f64> {
        let mut solution = right.to_vec();
        for term in (0..solution.len()).rev() {
            solution[term] /= self.r[term][term];
            let (above, at) = solution.split_at_mut(term);
            for (value, r) in above.iter_mut().zip(&self.r[term]) {
                *value -= r * at[0];
            }
        }
        solution
    }

    /// Solves with the transpose of R.
    fn solve_transposed(&self, right: &[f64]) -> Vec<f64> {
        let mut solution: Vec<f64> = Vec::with_capacity(right.len());
        for (r, value) in self.r.iter().zip(right) {
            let known: f64 = r.iter().zip(&solution).map(|(r, value)| r * value).sum();
            solution.push((value - known) / r[solution.len()]);
        }
        solution
    }

    /// Columns of the inverse of R, all of full length.
    fn inverse(&self) -> Vec<Vec<f64>> {
        (0..self.r.len())
            .map(|term| {
                let unit: Vec<f64> =
                    (0..self.r.len()).map(|row| if row == term { 1.0 } else { 0.0 }).collect();
                self.solve(&unit)
            })
            .collect()
    }

    /// The earlier terms that make up the column that was refused.
    fn dependence(&self) -> Vec<usize> {
        let Some(refused) = self.r.get(self.reflectors.len()) else { return vec![] };
        let shares = self.solve(refused);
        (0..shares.len()).filter(|term| shares[*term].abs() > 1e-6).collect()
    }
}

/// The length of a vector, without overflow of its squares.
fn length(vector: &[f64]) -> f64 {
    let most = vector.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    if most == 0.0 {
        return 0.0;
    }
    most * vector.iter().map(|value| (value / most) * (value / most)).sum::<f64>().sqrt()
}

/// A number minus a sum of products, with twice the digits of its terms (Ogita, Rump and Oishi 2005).
fn difference(from: f64, products: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (mut sum, mut lost) = (from, 0.0);
    for (a, b) in products {
        let product = -a * b;
        let next = sum + product;
        let added = next - sum;
        lost += (sum - (next - added)) + (product - added) + (-a).mul_add(b, -product);
        sum = next;
    }
    sum + lost
}
