//! The columns of every table.

use std::collections::BTreeSet;

use flags::{Kind, Value};
use polars::prelude::*;

use super::{RUNS, StoreError};
use crate::studies::{ColumnType, RunOutcome, RunStatus, Study, Table};
use crate::study::{Factor, Run};

/// Key of the `runs` table.
pub(super) const RUNS_KEY: &[&str] = &["run_id"];

/// What every study's `runs` table begins with; the factors' levels, the configuration and the
/// metrics follow.
pub(super) const RUN_COLUMNS: &[crate::studies::Column] = &[
    crate::studies::Column {
        name: "run_id",
        kind: ColumnType::Text,
        unit: "",
        meaning: "Identity of the run: 20 hexadecimal digits of a hash over its resolved \
                  configuration, replicate, study seed and numerics version.",
    },
    crate::studies::Column {
        name: "arm",
        kind: ColumnType::Text,
        unit: "",
        meaning: "Arm of the study file at the time of writing; the first one where arms share \
                  the run.",
    },
    crate::studies::Column {
        name: "replicate",
        kind: ColumnType::UInt64,
        unit: "",
        meaning: "Replicate, which seeds the run together with the study seed.",
    },
    crate::studies::Column {
        name: "status",
        kind: ColumnType::Text,
        unit: "",
        meaning: "`finished`, or `diverged` when a number became non-finite.",
    },
    crate::studies::Column {
        name: "diverged_iteration",
        kind: ColumnType::UInt32,
        unit: "iteration",
        meaning: "The iteration in which it diverged, from zero; null when finished.",
    },
];

/// The polars type of a column.
pub fn data_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Text => DataType::String,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::UInt32 => DataType::UInt32,
        ColumnType::UInt64 => DataType::UInt64,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Int64List => DataType::List(Box::new(DataType::Int64)),
    }
}

/// The column type that stores a flag.
pub(super) fn flag_type(kind: Kind) -> ColumnType {
    match kind {
        Kind::Bool => ColumnType::Bool,
        Kind::Integer => ColumnType::Int64,
        Kind::Float | Kind::OptionalFloat => ColumnType::Float64,
        Kind::Level(_) | Kind::Text => ColumnType::Text,
        Kind::Integers => ColumnType::Int64List,
    }
}

/// Name of the column that holds a factor's level.
pub(crate) fn factor_column(factor: &str) -> String {
    format!("factor_{factor}")
}

/// The schema of a study's table.
pub fn table_schema(table: &Table) -> Schema {
    table.columns.iter().map(|column| (column.name.into(), data_type(column.kind))).collect()
}

/// The schema of a study's `runs` table.
pub fn runs_schema(study: &dyn Study, factors: &[Factor]) -> Schema {
    let described = |column: &crate::studies::Column| (column.name.into(), data_type(column.kind));
    let own = RUN_COLUMNS.iter().map(described);
    let factors =
        factors.iter().map(|factor| (factor_column(&factor.name).into(), DataType::String));
    let fields =
        study.fields().iter().map(|field| (field.name.into(), data_type(flag_type(field.kind))));
    own.chain(factors).chain(fields).chain(study.metrics().iter().map(described)).collect()
}

/// The rows of `runs`, sorted by key.
pub(super) fn runs_frame(
    study: &dyn Study,
    factors: &[Factor],
    runs: &[&Run],
    outcomes: &[RunOutcome],
) -> Result<DataFrame, StoreError> {
    let wrong = |detail: String| StoreError::Outcome { table: RUNS.into(), detail };
    if outcomes.len() != runs.len() {
        return Err(wrong(format!("{} outcomes for {} runs", outcomes.len(), runs.len())));
    }
    let metrics = study.metrics();
    if let Some(outcome) = outcomes.iter().find(|outcome| outcome.metrics.len() != metrics.len()) {
        let found = outcome.metrics.len();
        return Err(wrong(format!("{found} metrics instead of {}", metrics.len())));
    }

    let text = |name: &str, values: Vec<Option<&str>>| Column::new(name.into(), values);
    let status = |outcome: &RunOutcome| match outcome.status {
        RunStatus::Finished => ("finished", None),
        RunStatus::Diverged { iteration } => ("diverged", Some(iteration)),
    };
    let mut columns = vec![
        text("run_id", runs.iter().map(|run| Some(run.id.as_ref())).collect()),
        text("arm", runs.iter().map(|run| Some(run.arm.as_str())).collect()),
        Column::new("replicate".into(), runs.iter().map(|run| run.replicate).collect::<Vec<_>>()),
        text("status", outcomes.iter().map(|outcome| Some(status(outcome).0)).collect()),
        Column::new(
            "diverged_iteration".into(),
            outcomes.iter().map(|outcome| status(outcome).1).collect::<Vec<_>>(),
        ),
    ];
    for factor in factors {
        let levels = runs
            .iter()
            .map(|run| {
                let level = run.levels.iter().find(|level| level.factor == factor.name);
                level.map(|level| level.level.as_str())
            })
            .collect();
        columns.push(text(&factor_column(&factor.name), levels));
    }
    for field in study.fields() {
        let values: Vec<Option<&Value>> =
            runs.iter().map(|run| run.configuration.get(field.name)).collect();
        columns.push(flag_column(field.name, field.kind, &values));
    }
    for (index, metric) in metrics.iter().enumerate() {
        let values: Vec<Option<f64>> =
            outcomes.iter().map(|outcome| outcome.metrics[index]).collect();
        columns.push(Column::new(metric.name.into(), values));
    }
    let frame = DataFrame::new(runs.len(), columns).map_err(StoreError::frame("assemble", RUNS))?;
    sorted(&frame, RUNS, RUNS_KEY)
}

/// One value of a flag a row.
fn flag_column(name: &str, kind: Kind, values: &[Option<&Value>]) -> Column {
    let values = values.iter().copied();
    match flag_type(kind) {
        ColumnType::Bool => {
            let bool = |value: Option<&Value>| match value {
                Some(Value::Bool(value)) => Some(*value),
                _ => None,
            };
            Column::new(name.into(), values.map(bool).collect::<Vec<_>>())
        }
        ColumnType::Int64 | ColumnType::UInt32 | ColumnType::UInt64 => {
            Column::new(name.into(), values.map(integer).collect::<Vec<_>>())
        }
        ColumnType::Float64 => {
            // An optional number that is switched off is text, and so becomes null.
            let number = |value: Option<&Value>| value.and_then(Value::as_f64);
            Column::new(name.into(), values.map(number).collect::<Vec<_>>())
        }
        ColumnType::Text => {
            let text = |value: Option<&Value>| value.map(ToString::to_string);
            Column::new(name.into(), values.map(text).collect::<Vec<_>>())
        }
        ColumnType::Int64List => {
            let mut lists = ListPrimitiveChunkedBuilder::<Int64Type>::new(
                name.into(),
                values.len(),
                0,
                DataType::Int64,
            );
            for value in values {
                match value {
                    Some(Value::List(items)) => {
                        lists.append_iter(items.iter().map(|item| integer(Some(item))));
                    }
                    _ => lists.append_null(),
                }
            }
            lists.finish().into_column()
        }
    }
}

fn integer(value: Option<&Value>) -> Option<i64> {
    if let Some(Value::Integer(value)) = value { Some(*value) } else { None }
}

/// A study's table, checked against its description and sorted by key.
pub(super) fn table_frame(
    table: &Table,
    frame: &DataFrame,
    runs: &[&Run],
) -> Result<DataFrame, StoreError> {
    let wrong = |detail: String| StoreError::Outcome { table: table.name.into(), detail };
    let expected = table_schema(table);
    if **frame.schema() != expected {
        let describe = |schema: &Schema| {
            let columns: Vec<String> =
                schema.iter().map(|(name, dtype)| format!("{name} {dtype}")).collect();
            columns.join(", ")
        };
        return Err(wrong(format!(
            "its columns are ({}), described are ({})",
            describe(frame.schema()),
            describe(&expected)
        )));
    }
    let frame = sorted(frame, table.name, table.key)?;
    let ids: BTreeSet<&str> = runs.iter().map(|run| run.id.as_ref()).collect();
    let column = frame
        .column("run_id")
        .and_then(Column::str)
        .map_err(StoreError::frame("read", table.name))?;
    let stray = column
        .iter()
        .find(|id| id.is_none_or(|id| !ids.contains(id)))
        .map(|id| format!("a row has the run_id {id:?}, which is none of the cohort"));
    stray.map_or(Ok(()), |detail| Err(wrong(detail)))?;
    Ok(frame)
}

/// Sorts rows by key.
pub(super) fn sorted<S: AsRef<str>>(
    frame: &DataFrame,
    table: &str,
    key: &[S],
) -> Result<DataFrame, StoreError> {
    frame
        .sort(
            key.iter().map(AsRef::as_ref),
            SortMultipleOptions::default().with_maintain_order(true),
        )
        .map_err(StoreError::frame("sort", table))
}
