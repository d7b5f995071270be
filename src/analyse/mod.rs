//! Named analyses of a results directory: which table, which rows, which function of [`analysis`].
//!
//! Nothing here computes a statistic; it finds the columns that a question is about, says what is
//! wrong with the question, and hands the rows on.

use analysis::{
    AnalysisError, Bootstrap, CurveColumns, Estimator, FactorLevels, SummaryColumns, curves,
    factor_effects, summarise,
};
use flags::nearest;
use polars::prelude::*;

use crate::store::{RUNS, Results, StoreError};

/// Most points of a curve.
const POINTS: usize = 256;

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Analysis {
    /// An estimate with its interval for every group of runs.
    Summary,
    /// The effect of every level of every factor.
    Effects,
    /// Curves against steps.
    Curves,
}

/// A question to a results directory.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// What is asked.
    pub analysis: Analysis,
    /// The table; by default `runs`, or for curves the first that has the metric.
    pub table: Option<&'a str>,
    /// The column of the value; by default the study's headline.
    pub metric: Option<&'a str>,
    /// Columns whose values make the groups; by default the arm.
    pub by: &'a [String],
    /// Rows to keep: a column and the values that it may have, as text.
    pub keep: &'a [(String, Vec<String>)],
    /// What is estimated.
    pub estimator: Estimator,
    /// How intervals are made.
    pub bootstrap: Bootstrap,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnalyseError {
    /// The results could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The statistics could not be computed.
    #[error(transparent)]
    Analysis(#[from] AnalysisError),
    /// A table could not be handled.
    #[error(transparent)]
    Frame(#[from] PolarsError),
    /// There is no such column.
    #[error("table `{table}` has no column `{column}`{}", hint(nearest.as_deref(), known))]
    UnknownColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// A name like it.
        nearest: Option<String>,
        /// Columns that would do.
        known: Vec<String>,
    },
    /// The column holds no numbers.
    #[error("column `{column}` of table `{table}` holds {kind}, not numbers{}", hint(None, known))]
    NotNumeric {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type.
        kind: String,
        /// Columns that would do.
        known: Vec<String>,
    },
    /// No row has one of the values asked for.
    #[error("no row of table `{table}` has {column} = {value}{}", hint(nearest.as_deref(), known))]
    UnknownValue {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The value.
        value: String,
        /// A value like it.
        nearest: Option<String>,
        /// Values that occur.
        known: Vec<String>,
    },
    /// The study has nothing of this kind.
    #[error("{0}")]
    NothingToAnalyse(String),
}

/// Names that a message lists at most.
const MOST_NAMES: usize = 24;

fn hint(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None if known.is_empty() => String::new(),
        None => {
            let names = known[..known.len().min(MOST_NAMES)].join(", ");
            let more = known.len().saturating_sub(MOST_NAMES);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("; there are {names}{more}")
        }
    }
}

/// Answers a question with one table, its method in columns beside the numbers.
///
/// # Errors
/// When the question names a column or value that is not there, or the results are damaged.
pub fn answer(results: &Results, question: &Question<'_>) -> Result<DataFrame, AnalyseError> {
    match question.analysis {
        Analysis::Summary => {
            let asked = Asked::new(results, question)?;
            let by = asked.groups(question.by)?;
            let by: Vec<&str> = by.iter().map(String::as_str).collect();
            let columns =
                SummaryColumns { groups: &by, replicate: "replicate", value: &asked.metric };
            Ok(summarise(&asked.frame, columns, question.estimator, &question.bootstrap)?)
        }
        Analysis::Effects => {
            let asked = Asked::new(results, question)?;
            let factors = factors(results)?;
            let table = factor_effects(
                &asked.frame,
                &factors,
                "replicate",
                &asked.metric,
                &question.bootstrap,
            )?;
            Ok(table)
        }
        Analysis::Curves => {
            let asked = Asked::new(results, question)?;
            let by = asked.groups(question.by)?;
            let by: Vec<&str> = by.iter().map(String::as_str).collect();
            let x = asked.step(results)?;
            let columns = CurveColumns {
                groups: &by,
                run: "run_id",
                replicate: "replicate",
                x: &x,
                value: &asked.metric,
            };
            Ok(curves(&asked.frame, columns, POINTS, question.estimator, &question.bootstrap)?)
        }
    }
}

/// The study's factors that have something to compare.
fn factors(results: &Results) -> Result<Vec<FactorLevels>, AnalyseError> {
    let factors: Vec<FactorLevels> = results
        .plan
        .file
        .factors
        .iter()
        .filter(|factor| factor.levels.len() > 1)
        .map(|factor| FactorLevels {
            column: format!("factor_{}", factor.name),
            levels: factor.levels.iter().map(|level| level.name.clone()).collect(),
        })
        .collect();
    if factors.is_empty() {
        let text = "the study has named arms and no factors with two levels; ask for contrasts";
        return Err(AnalyseError::NothingToAnalyse(text.into()));
    }
    Ok(factors)
}

/// The rows that a question is about.
struct Asked {
    table: String,
    metric: String,
    /// Every row of the table once for each arm that it belongs to.
    frame: DataFrame,
}

impl Asked {
    fn new(results: &Results, question: &Question<'_>) -> Result<Self, AnalyseError> {
        let study = results.plan.file.study;
        let (table, metric) = match (question.analysis, question.table, question.metric) {
            (Analysis::Curves, table, metric) => {
                let views = study.views();
                let fits = |view: &&crate::studies::CurveView| {
                    table.is_none_or(|table| view.table == table)
                        && metric.is_none_or(|metric| view.y == metric)
                };
                match (views.iter().find(fits), table, metric) {
                    (Some(view), ..) => (view.table.to_owned(), view.y.to_owned()),
                    (None, Some(table), Some(metric)) => (table.to_owned(), metric.to_owned()),
                    (None, Some(table), None) => {
                        let text = format!("say which column of `{table}` with --metric");
                        return Err(AnalyseError::NothingToAnalyse(text));
                    }
                    (None, None, metric) => {
                        let holds = |table: &&crate::studies::Table| {
                            table.columns.iter().any(|column| Some(column.name) == metric)
                        };
                        let table = study.tables().iter().find(holds);
                        let table = table.or(study.tables().first()).map_or(RUNS, |t| t.name);
                        (table.to_owned(), metric.unwrap_or_default().to_owned())
                    }
                }
            }
            (_, table, metric) => {
                let headline = study.metrics().first().map_or("", |metric| metric.name);
                (table.unwrap_or(RUNS).to_owned(), metric.unwrap_or(headline).to_owned())
            }
        };
        let frame = results.by_arm(&table)?.collect()?;
        let mut asked = Self { table, metric, frame };
        asked.check_metric()?;
        for (column, values) in question.keep {
            asked.keep(column, values)?;
        }
        Ok(asked)
    }

    fn columns(&self) -> Vec<String> {
        self.frame.get_column_names().into_iter().map(|name| name.to_string()).collect()
    }

    fn unknown(&self, column: &str, known: Vec<String>) -> AnalyseError {
        AnalyseError::UnknownColumn {
            table: self.table.clone(),
            column: column.to_owned(),
            nearest: nearest(column, known.iter().map(String::as_str)).map(str::to_owned),
            known,
        }
    }

    fn check_metric(&self) -> Result<(), AnalyseError> {
        let numeric: Vec<String> = self
            .frame
            .columns()
            .iter()
            .filter(|column| column.dtype().is_primitive_numeric())
            .map(|column| column.name().to_string())
            .collect();
        let Ok(column) = self.frame.column(&self.metric) else {
            return Err(self.unknown(&self.metric, numeric));
        };
        if column.dtype().is_primitive_numeric() || column.dtype().is_bool() {
            return Ok(());
        }
        Err(AnalyseError::NotNumeric {
            table: self.table.clone(),
            column: self.metric.clone(),
            kind: column.dtype().to_string(),
            known: numeric,
        })
    }

    /// The column that a user means: a factor may be named without its prefix.
    fn named(&self, column: &str) -> Result<String, AnalyseError> {
        let factor = format!("factor_{column}");
        if self.frame.get_column_index(&factor).is_some() {
            Ok(factor)
        } else if self.frame.get_column_index(column).is_some() {
            Ok(column.to_owned())
        } else {
            Err(self.unknown(column, self.columns()))
        }
    }

    fn groups(&self, by: &[String]) -> Result<Vec<String>, AnalyseError> {
        if by.is_empty() {
            return Ok(vec!["arm".to_owned()]);
        }
        by.iter().map(|column| self.named(column)).collect()
    }

    fn keep(&mut self, column: &str, values: &[String]) -> Result<(), AnalyseError> {
        let name = self.named(column)?;
        let texts = self.frame.column(&name)?.cast(&DataType::String)?;
        let texts = texts.str()?;
        let mut known: Vec<String> = texts.unique()?.iter().flatten().map(str::to_owned).collect();
        known.sort_unstable();
        for value in values {
            if !known.contains(value) {
                return Err(AnalyseError::UnknownValue {
                    table: self.table.clone(),
                    column: column.to_owned(),
                    value: value.clone(),
                    nearest: nearest(value, known.iter().map(String::as_str)).map(str::to_owned),
                    known,
                });
            }
        }
        let kept: BooleanChunked = texts
            .iter()
            .map(|text| text.is_some_and(|text| values.iter().any(|value| value == text)))
            .collect();
        self.frame = self.frame.filter(&kept)?;
        Ok(())
    }

    /// The column of the steps of a table that has curves.
    fn step(&self, results: &Results) -> Result<String, AnalyseError> {
        let views = results.plan.file.study.views();
        let view = views
            .iter()
            .find(|view| view.table == self.table && view.y == self.metric)
            .or_else(|| views.iter().find(|view| view.table == self.table));
        match view {
            Some(view) => Ok(view.x.to_owned()),
            None => {
                let mut tables: Vec<&str> = views.iter().map(|view| view.table).collect();
                tables.dedup();
                Err(AnalyseError::NothingToAnalyse(format!(
                    "table `{}` has no curves; those of this study are in {}",
                    self.table,
                    tables.join(", ")
                )))
            }
        }
    }
}
