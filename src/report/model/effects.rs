//! Effects of factors, their interactions, and the means behind them.

use std::collections::BTreeSet;

use polars::prelude::*;

use super::super::{ReportError, ReportInput};
use super::{CurvePoint, Estimate, first_text, labelled, numbers, read_estimates, stacked};
use analysis::{
    FactorLevels, FactorialColumns, FactorialOptions, factorial_effects, factorial_means,
};

/// A step from a factor's first level to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Term {
    pub(in super::super) factor: String,
    pub(in super::super) from: String,
    pub(in super::super) to: String,
}

/// What a step changes; or how much more a step changes after another step.
pub(in super::super) struct Effect {
    /// One of an effect, two of an interaction.
    pub(in super::super) terms: Vec<Term>,
    pub(in super::super) n_from: u64,
    /// One a metric; `n` counts the runs with a positive weight.
    pub(in super::super) metrics: Vec<Estimate>,
    /// The wider interval of each metric, which holds together with those of all others.
    pub(in super::super) wider: Vec<Option<(f64, f64)>>,
    /// The headline's p value, and the same after correction for the number of effects.
    pub(in super::super) p_value: Option<f64>,
    pub(in super::super) p_adjusted: Option<f64>,
}

/// Means of the headline by the levels of one factor or of two.
pub(in super::super) struct Means {
    /// The factor along the axis.
    pub(in super::super) along: String,
    pub(in super::super) levels: Vec<String>,
    /// The factor that has a line a level; empty where there is one line.
    pub(in super::super) lines_of: String,
    /// Its levels, each with one point a level of the other; `x` is the level's place.
    pub(in super::super) lines: Vec<(String, Vec<CurvePoint>)>,
}

/// Everything about the factors of a grid.
#[derive(Default)]
pub(in super::super) struct Effects {
    pub(in super::super) main: Vec<Effect>,
    /// Of two factors.
    pub(in super::super) interactions: Vec<Effect>,
    /// Means by every pair of factors, the later one along the axis unless it has fewer levels.
    pub(in super::super) pairs: Vec<Means>,
    /// Means along every factor of numbers, by itself and with every other factor.
    pub(in super::super) sensitivity: Vec<Means>,
    /// How the intervals of the headline's effects are made, and made to hold together.
    pub(in super::super) method: String,
    pub(in super::super) simultaneous: String,
    means_methods: BTreeSet<String>,
    /// Effects of all metrics, and the means by pairs of factors and along numbers.
    pub(in super::super) main_table: DataFrame,
    pub(in super::super) interactions_table: DataFrame,
    pub(in super::super) pairs_table: DataFrame,
    pub(in super::super) sensitivity_table: DataFrame,
}

impl Effects {
    pub(super) fn new(
        input: &ReportInput<'_>,
        frame: &DataFrame,
        factors: &[FactorLevels],
    ) -> Result<Self, ReportError> {
        let Some(headline) = input.metrics.first() else { return Ok(Self::default()) };
        if factors.is_empty() {
            return Ok(Self::default());
        }
        let options =
            FactorialOptions { bootstrap: input.options.tables(), ..FactorialOptions::tables() };
        let mut effects = Self::default();
        let (mut main, mut interactions) = (Vec::new(), Vec::new());
        for metric in &input.metrics {
            let columns = FactorialColumns { factors, replicate: "replicate", value: metric.name };
            let table = renamed(factorial_effects(frame, columns, &options)?)?;
            if metric == headline {
                effects.method = texts(&table, "interval")?.join(" or ");
                effects.simultaneous = first_text(&table, "simultaneous")?;
            }
            let of_order = |order: u64| -> Result<DataFrame, ReportError> {
                let here = table.column("order")?.cast(&DataType::UInt64)?;
                Ok(table.filter(&here.u64()?.equal(order))?)
            };
            for (order, into, tables) in [
                (1, &mut effects.main, &mut main),
                (2, &mut effects.interactions, &mut interactions),
            ]
            .into_iter()
            // One factor has no interactions, and the table no columns for them.
            .take(factors.len())
            {
                let table = of_order(order)?;
                add(into, &table, usize::try_from(order).unwrap_or(1))?;
                tables.push(labelled(table, 0, metric.name)?);
            }
        }
        effects.main_table = stacked(main)?;
        effects.interactions_table = stacked(interactions)?;
        effects.add_means(frame, factors, headline.name, &options)?;
        Ok(effects)
    }

    fn add_means(
        &mut self,
        frame: &DataFrame,
        factors: &[FactorLevels],
        headline: &str,
        options: &FactorialOptions,
    ) -> Result<(), ReportError> {
        let columns = FactorialColumns { factors, replicate: "replicate", value: headline };
        let (mut pairs, mut sensitivity) = (Vec::new(), Vec::new());
        for (place, second) in factors.iter().enumerate() {
            for first in &factors[..place] {
                // Few lines with many points read better than many lines with few.
                let swapped = first.levels.len() > second.levels.len();
                let (lines, along) = if swapped { (second, first) } else { (first, second) };
                let of = [lines.column.as_str(), along.column.as_str()];
                let table = factorial_means(frame, columns, &of, options)?;
                self.add_means_method(&table)?;
                self.pairs.push(means(&table, along, Some(lines))?);
                pairs.push(long(table, &of)?);
            }
        }
        for along in factors.iter().filter(|factor| values(factor).is_some()) {
            let table = factorial_means(frame, columns, &[&along.column], options)?;
            self.add_means_method(&table)?;
            self.sensitivity.push(means(&table, along, None)?);
            sensitivity.push(long(table, &[&along.column])?);
            for lines in factors.iter().filter(|lines| lines.column != along.column) {
                let of = [lines.column.as_str(), along.column.as_str()];
                let table = factorial_means(frame, columns, &of, options)?;
                self.add_means_method(&table)?;
                self.sensitivity.push(means(&table, along, Some(lines))?);
                sensitivity.push(long(table, &of)?);
            }
        }
        self.pairs_table = stacked(pairs)?;
        self.sensitivity_table = stacked(sensitivity)?;
        Ok(())
    }

    fn add_means_method(&mut self, table: &DataFrame) -> Result<(), ReportError> {
        self.means_methods.extend(texts(table, "interval")?);
        Ok(())
    }

    /// How the intervals of means are made.
    pub(in super::super) fn means_method(&self) -> String {
        self.means_methods.iter().cloned().collect::<Vec<_>>().join(" or ")
    }
}

/// The levels of a factor as numbers, where all of them are.
fn values(factor: &FactorLevels) -> Option<Vec<f64>> {
    let values =
        factor.levels.iter().map(|level| level.parse().ok().filter(|x: &f64| x.is_finite()));
    values.collect()
}

/// The places along an axis of a factor's levels: numbers that span a decade by their logarithm,
/// other numbers as they are, names one after another; and whether the axis is logarithmic.
pub(in super::super) fn places(levels: &[String]) -> (Vec<f64>, bool) {
    let numbers: Option<Vec<f64>> =
        levels.iter().map(|level| level.parse().ok().filter(|x: &f64| x.is_finite())).collect();
    let Some(numbers) = numbers else {
        return ((0u32..).zip(levels).map(|(place, _)| f64::from(place)).collect(), false);
    };
    let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match low > 0.0 && high / low >= 8.0 {
        true => (numbers.iter().map(|number| number.log10()).collect(), true),
        false => (numbers, false),
    }
}

/// Takes the prefix of columns from the names of factors.
fn renamed(mut table: DataFrame) -> Result<DataFrame, ReportError> {
    for name in ["effect", "factor", "factor_2"] {
        if table.get_column_index(name).is_none() {
            continue;
        }
        let plain: Vec<Option<String>> = table
            .column(name)?
            .str()?
            .iter()
            .map(|text| {
                let parts = text?.split(" \u{d7} ");
                let plain = parts.map(|part| part.strip_prefix("factor_").unwrap_or(part));
                Some(plain.collect::<Vec<_>>().join(" \u{d7} "))
            })
            .collect();
        table.with_column(Column::new(name.into(), plain))?;
    }
    Ok(table)
}

/// The different texts of a column.
fn texts(table: &DataFrame, column: &str) -> Result<Vec<String>, ReportError> {
    let texts: BTreeSet<&str> = table.column(column)?.str()?.iter().flatten().collect();
    Ok(texts.into_iter().map(str::to_owned).collect())
}

/// Adds the estimates of one more metric to effects.
fn add(effects: &mut Vec<Effect>, table: &DataFrame, order: usize) -> Result<(), ReportError> {
    let (n_from, n_to) = (table.column("n_from")?.u64()?, table.column("n_to")?.u64()?);
    if effects.is_empty() {
        let mut texts = Vec::new();
        for place in 1..=order {
            let suffix = if place == 1 { String::new() } else { format!("_{place}") };
            let text = |name: &str| -> Result<Vec<String>, ReportError> {
                let column = table.column(&format!("{name}{suffix}"))?.str()?;
                Ok(column.iter().map(|text| text.unwrap_or_default().to_owned()).collect())
            };
            texts.push((text("factor")?, text("from")?, text("to")?));
        }
        let (p_value, p_adjusted) = (numbers(table, "p_value")?, numbers(table, "p_adjusted")?);
        for row in 0..table.height() {
            let term = |(factor, from, to): &(Vec<String>, Vec<String>, Vec<String>)| Term {
                factor: factor[row].clone(),
                from: from[row].clone(),
                to: to[row].clone(),
            };
            effects.push(Effect {
                terms: texts.iter().map(term).collect(),
                n_from: n_from.get(row).unwrap_or_default(),
                metrics: Vec::new(),
                wider: Vec::new(),
                p_value: p_value[row],
                p_adjusted: p_adjusted[row],
            });
        }
    }
    let low = numbers(table, "simultaneous_low")?;
    let high = numbers(table, "simultaneous_high")?;
    let estimates = read_estimates(table, n_to)?;
    for ((effect, estimate), wider) in
        effects.iter_mut().zip(estimates).zip(low.into_iter().zip(high))
    {
        effect.metrics.push(estimate);
        effect.wider.push(wider.0.zip(wider.1));
    }
    Ok(())
}

/// Means as lines: the table's rows come in the order of the factors' levels.
fn means(
    table: &DataFrame,
    along: &FactorLevels,
    lines: Option<&FactorLevels>,
) -> Result<Means, ReportError> {
    let estimates = read_estimates(table, table.column("n")?.u64()?)?;
    let (places, _) = places(&along.levels);
    let points = |estimates: &[Estimate]| {
        let point = |(x, estimate): (&f64, &Estimate)| CurvePoint { x: *x, estimate: *estimate };
        let mut points: Vec<CurvePoint> = places.iter().zip(estimates).map(point).collect();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        points
    };
    let name = |factor: &FactorLevels| {
        factor.column.strip_prefix("factor_").unwrap_or(&factor.column).to_owned()
    };
    let names = lines.map_or_else(|| vec![String::new()], |lines| lines.levels.clone());
    let chunks = estimates.chunks(along.levels.len());
    Ok(Means {
        along: name(along),
        levels: along.levels.clone(),
        lines_of: lines.map(name).unwrap_or_default(),
        lines: names.into_iter().zip(chunks.map(points)).collect(),
    })
}

/// Replaces the columns of levels by names and levels, so that tables of other factors fit below.
fn long(mut table: DataFrame, of: &[&str]) -> Result<DataFrame, ReportError> {
    let mut columns = Vec::new();
    for place in 0..2 {
        let suffix = if place == 0 { String::new() } else { format!("_{}", place + 1) };
        let (names, levels) = match of.get(place) {
            Some(column) => {
                let name = column.strip_prefix("factor_").unwrap_or(column);
                let levels =
                    table.column(column)?.clone().with_name(format!("level{suffix}").into());
                (vec![Some(name); table.height()], levels)
            }
            None => {
                let name = format!("level{suffix}").into();
                (
                    vec![None; table.height()],
                    Column::full_null(name, table.height(), &DataType::String),
                )
            }
        };
        columns.push(Column::new(format!("factor{suffix}").into(), names));
        columns.push(levels);
    }
    for column in of {
        table = table.drop(column)?;
    }
    for (place, column) in columns.into_iter().enumerate() {
        table.insert_column(place, column)?;
    }
    Ok(table)
}
