//! The rows that a question is about.

use flags::nearest;
use polars::prelude::*;

use super::{ARM, AnalyseError, Analysis, Question, REPLICATE, TABLE, headline};
use crate::store::{RUNS, Results, factor_column};
use crate::studies::{CurveView, Table};
use crate::study::StudyFile;

/// Column of the method in a frame of scores.
pub(super) const METHOD: &str = "method";
/// Column of the task in a frame of scores.
pub(super) const TASK: &str = "task";
/// The runs' column that tells tasks apart where neither the question nor the arms' names do.
const ENVIRONMENT: &str = "environment";

/// The table that a question is about.
pub(super) struct Source<'a> {
    results: &'a Results,
    table: String,
    metric: String,
    /// What the table has, the labels of the study file included.
    columns: Schema,
}

impl<'a> Source<'a> {
    pub(super) fn new(results: &'a Results, question: &Question<'_>) -> Result<Self, AnalyseError> {
        let (table, metric) = match question.analysis {
            Analysis::Curves(_) | Analysis::Areas { .. } => {
                curve(results, question.table, question.metric)?
            }
            _ => {
                let metric = question.metric.or(headline(results)).unwrap_or_default();
                (question.table.unwrap_or(TABLE), metric)
            }
        };
        let columns = results.columns(table)?;
        check_metric(table, metric, &columns)?;
        Ok(Self { results, table: table.into(), metric: metric.into(), columns })
    }

    pub(super) fn metric(&self) -> &str {
        &self.metric
    }

    fn unknown(&self, column: &str, known: Vec<String>) -> AnalyseError {
        AnalyseError::UnknownColumn {
            table: self.table.clone(),
            column: column.to_owned(),
            nearest: nearest(column, known.iter().map(String::as_str)).map(str::to_owned),
            known,
        }
    }

    /// The column that a user means: a factor may be named without its prefix.
    fn named(&self, column: &str) -> Result<String, AnalyseError> {
        let factor = factor_column(column);
        if self.columns.contains(&factor) {
            Ok(factor)
        } else if self.columns.contains(column) {
            Ok(column.to_owned())
        } else {
            let known = self.columns.iter_names().map(ToString::to_string).collect();
            Err(self.unknown(column, known))
        }
    }

    /// A column that holds numbers.
    pub(super) fn numeric(&self, column: &str) -> Result<String, AnalyseError> {
        // A field of the configuration, not the factor's labels of it.
        check_metric(&self.table, column, &self.columns)?;
        Ok(column.to_owned())
    }

    /// The columns that users mean.
    pub(super) fn named_columns(&self, columns: &[String]) -> Result<Vec<String>, AnalyseError> {
        columns.iter().map(|column| self.named(column)).collect()
    }

    /// The same, the arm where none is named.
    pub(super) fn groups(&self, by: &[String]) -> Result<Vec<String>, AnalyseError> {
        match by {
            [] => Ok(vec![ARM.to_owned()]),
            by => self.named_columns(by),
        }
    }

    /// The metric, the replicate and some columns of the rows to keep.
    pub(super) fn rows(
        &self,
        keep: &[(String, Vec<String>)],
        columns: &[String],
    ) -> Result<DataFrame, AnalyseError> {
        let mut read: Vec<String> = vec![self.metric.clone(), REPLICATE.to_owned()];
        read.extend(columns.iter().cloned());
        let mut conditions = Vec::new();
        for (column, values) in keep {
            let name = self.named(column)?;
            read.push(name.clone());
            conditions.push((name, column, values));
        }
        read.sort_unstable();
        read.dedup();
        let read: Vec<&str> = read.iter().map(String::as_str).collect();
        let mut frame = self.results.columns_by_arm(&self.table, &read)?;
        for (name, column, values) in conditions {
            frame = self.kept(&frame, &name, column, values)?;
        }
        Ok(frame)
    }

    /// The rows with their methods and tasks.
    pub(super) fn scores(&self, question: &Question<'_>) -> Result<DataFrame, AnalyseError> {
        let file = &self.results.plan.file;
        let Some(task) = question.task else {
            let environment = self.columns.contains(ENVIRONMENT).then(|| ENVIRONMENT.to_owned());
            let columns: Vec<String> = [ARM.to_owned()].into_iter().chain(environment).collect();
            let frame = self.rows(question.keep, &columns)?;
            return Ok(with_tasks(frame, file)?);
        };
        let task = self.named(task)?;
        let methods = match question.by {
            [] => {
                let factors = file.factors.iter().map(|factor| factor_column(&factor.name));
                let others: Vec<String> = factors.filter(|factor| *factor != task).collect();
                if others.is_empty() { vec![ARM.to_owned()] } else { others }
            }
            by => self.named_columns(by)?,
        };
        let columns: Vec<String> = methods.iter().cloned().chain([task.clone()]).collect();
        let frame = self.rows(question.keep, &columns)?;
        by_task(frame, &methods, &task)
    }

    /// The rows that have one of some values.
    fn kept(
        &self,
        frame: &DataFrame,
        name: &str,
        column: &str,
        values: &[String],
    ) -> Result<DataFrame, AnalyseError> {
        for value in values {
            self.value(frame, name, column, value)?;
        }
        let texts = frame.column(name)?.cast(&DataType::String)?;
        let kept: BooleanChunked = texts
            .str()?
            .iter()
            .map(|text| text.is_some_and(|text| values.iter().any(|value| value == text)))
            .collect();
        Ok(frame.filter(&kept)?)
    }

    /// Checks that a value occurs in a column.
    pub(super) fn value(
        &self,
        frame: &DataFrame,
        name: &str,
        column: &str,
        value: &str,
    ) -> Result<(), AnalyseError> {
        let texts = frame.column(name)?.cast(&DataType::String)?;
        let mut known: Vec<String> =
            texts.str()?.unique()?.iter().flatten().map(str::to_owned).collect();
        known.sort_unstable();
        if known.iter().any(|known| known == value) {
            return Ok(());
        }
        Err(AnalyseError::UnknownValue {
            table: self.table.clone(),
            column: column.to_owned(),
            value: value.to_owned(),
            nearest: nearest(value, known.iter().map(String::as_str)).map(str::to_owned),
            known,
        })
    }

    /// The column of the steps of a table that has curves.
    pub(super) fn steps(&self) -> Result<&'static str, AnalyseError> {
        let views = self.results.plan.file.study.views();
        match views.iter().find(|view| view.table == self.table) {
            Some(view) => Ok(view.x),
            None => {
                let mut tables: Vec<&str> = views.iter().map(|view| view.table).collect();
                tables.dedup();
                Err(AnalyseError::NothingToAnalyse(format!(
                    "table `{}` has no curves; tables with curves are {}",
                    self.table,
                    tables.join(", ")
                )))
            }
        }
    }
}

/// Checks that a column is there and holds numbers.
pub(super) fn check_metric(
    table: &str,
    metric: &str,
    columns: &Schema,
) -> Result<(), AnalyseError> {
    let countable = |kind: &DataType| kind.is_primitive_numeric() || kind.is_bool();
    let numeric = columns.iter().filter(|(_, kind)| countable(kind));
    let known: Vec<String> = numeric.map(|(name, _)| name.to_string()).collect();
    match columns.get(metric) {
        None => Err(AnalyseError::UnknownColumn {
            table: table.to_owned(),
            column: metric.to_owned(),
            nearest: nearest(metric, known.iter().map(String::as_str)).map(str::to_owned),
            known,
        }),
        Some(kind) if countable(kind) => Ok(()),
        Some(kind) => Err(AnalyseError::NotNumeric {
            table: table.to_owned(),
            column: metric.to_owned(),
            kind: kind.to_string(),
            known,
        }),
    }
}

/// Adds [`METHOD`] and [`TASK`] to rows of arms.
///
/// Where every arm is named `task/method`, these are its parts. Otherwise the method is the arm and the
/// task the environment, if the frame has that, or one task for all.
fn with_tasks(mut frame: DataFrame, file: &StudyFile) -> PolarsResult<DataFrame> {
    let in_parts = file.arms.iter().all(|arm| arm.levels.is_empty() && arm.name.contains('/'));
    let arms = frame.column(ARM)?.cast(&DataType::String)?;
    let arms = arms.str()?;
    let (methods, tasks): (StringChunked, Column) = if in_parts {
        let part = |last: bool| {
            let of = |arm: Option<&str>| {
                let (task, method) = arm?.split_once('/')?;
                Some(if last { method } else { task }.to_owned())
            };
            arms.iter().map(of).collect::<StringChunked>()
        };
        (part(true), part(false).into_column())
    } else {
        let tasks = match frame.column(ENVIRONMENT) {
            Ok(environment) => environment.clone(),
            Err(_) => Column::new(TASK.into(), vec!["all"; frame.height()]),
        };
        (arms.clone(), tasks)
    };
    frame.with_column(methods.with_name(METHOD.into()).into_column())?;
    frame.with_column(tasks.with_name(TASK.into()))?;
    Ok(frame)
}

/// Adds [`METHOD`] and [`TASK`] to rows: the values of some columns, with commas between, and of one.
/// Rows without one of them are left out, such as those of named arms beside factors.
fn by_task(frame: DataFrame, methods: &[String], task: &str) -> Result<DataFrame, AnalyseError> {
    let columns: Vec<&str> = methods.iter().map(String::as_str).chain([task]).collect();
    let mut frame = frame.drop_nulls(Some(columns.as_slice()))?;
    let texts = |column: &str| -> PolarsResult<Vec<String>> {
        let column = frame.column(column)?.cast(&DataType::String)?;
        Ok(column.str()?.iter().flatten().map(str::to_owned).collect())
    };
    let mut names = vec![String::new(); frame.height()];
    for column in methods {
        for (name, text) in names.iter_mut().zip(texts(column)?) {
            if !name.is_empty() {
                name.push(',');
            }
            name.push_str(&text);
        }
    }
    let tasks = texts(task)?;
    frame.with_column(Column::new(METHOD.into(), names))?;
    frame.with_column(Column::new(TASK.into(), tasks))?;
    Ok(frame)
}

/// Table and column of a curve: the first of the study's views that fits what was said of them.
fn curve<'a>(
    results: &Results,
    table: Option<&'a str>,
    metric: Option<&'a str>,
) -> Result<(&'a str, &'a str), AnalyseError> {
    let study = results.plan.file.study;
    let fits = |view: &&CurveView| {
        table.is_none_or(|table| view.table == table)
            && metric.is_none_or(|metric| view.y == metric)
    };
    if let Some(view) = study.views().iter().find(fits) {
        return Ok((view.table, view.y));
    }
    let Some(metric) = metric else {
        let table = table.unwrap_or(RUNS);
        let text = format!("say which column of `{table}` with --metric");
        return Err(AnalyseError::NothingToAnalyse(text));
    };
    let holds = |table: &&Table| table.columns.iter().any(|column| column.name == metric);
    let with_curves = |table: &&Table| study.views().iter().any(|view| view.table == table.name);
    let tables = || study.tables().iter().filter(with_curves);
    let found = tables().find(holds).or_else(|| tables().next());
    Ok((table.or(found.map(|table| table.name)).unwrap_or(RUNS), metric))
}
