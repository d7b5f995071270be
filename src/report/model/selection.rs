//! The hyper-parameter that the study file chooses.

use polars::prelude::*;

use super::super::{ReportError, ReportInput};
use super::{Estimate, first_text, numbers, read_estimates};
use crate::analyse::{AnalyseError, chosen};
use crate::store::factor_column;
use analysis::AnalysisError;

/// The choice for every combination of the other factors.
pub(in super::super) struct Selection {
    pub(in super::super) rows: Vec<Choice>,
    /// What the estimates and their intervals are; empty without rows.
    pub(in super::super) estimator: String,
    pub(in super::super) interval: String,
    /// Why nothing could be chosen.
    pub(in super::super) note: Option<String>,
    pub(in super::super) table: DataFrame,
}

/// The choice for one combination.
pub(in super::super) struct Choice {
    /// Levels of the other factors, in their order.
    pub(in super::super) levels: Vec<String>,
    pub(in super::super) chosen: String,
    /// Share of the resamples that choose it.
    pub(in super::super) share: Option<f64>,
    /// What it is worth, by the file's rule.
    pub(in super::super) estimate: Estimate,
    /// What the naive rule would report.
    pub(in super::super) naive: Option<f64>,
    pub(in super::super) bias: Option<f64>,
}

impl Selection {
    /// `None` where the study file tunes nothing, or no run has the metric.
    pub(super) fn new(
        input: &ReportInput<'_>,
        frame: &DataFrame,
    ) -> Result<Option<Self>, ReportError> {
        let file = &input.plan.file;
        let Some(tuning) = &file.tuning else { return Ok(None) };
        if frame.height() == 0 || frame.get_column_index(tuning.metric).is_none() {
            return Ok(None);
        }
        let table = match chosen(file, frame, &input.options.tables()) {
            Ok(table) => table.unwrap_or_default(),
            // Results may be incomplete; the rest of the report does not hang on this.
            Err(AnalyseError::Analysis(
                error
                @ (AnalysisError::NoCandidate { .. } | AnalysisError::TuningReplicates { .. }),
            )) => {
                return Ok(Some(Self {
                    rows: vec![],
                    estimator: String::new(),
                    interval: String::new(),
                    note: Some(error.to_string()),
                    table: DataFrame::empty(),
                }));
            }
            Err(AnalyseError::Analysis(error)) => return Err(error.into()),
            Err(AnalyseError::Frame(error)) => return Err(error.into()),
            Err(AnalyseError::Store(error)) => return Err(error.into()),
            // The study file was checked when it was read.
            Err(_) => return Ok(None),
        };
        let others = file.factors.iter().filter(|factor| factor.name != tuning.factor);
        let mut levels = Vec::new();
        for factor in others {
            levels.push(texts(&table, &factor_column(&factor.name))?);
        }
        let chosen = texts(&table, "chosen")?;
        let (shares, naive) =
            (numbers(&table, "chosen_share")?, numbers(&table, "naive_estimate")?);
        let bias = numbers(&table, "selection_bias")?;
        let rows = read_estimates(&table, table.column("n_estimate")?.u64()?)?
            .into_iter()
            .enumerate()
            .map(|(row, estimate)| Choice {
                levels: levels.iter().map(|column| column[row].clone()).collect(),
                chosen: chosen[row].clone(),
                share: shares[row],
                estimate,
                naive: naive[row],
                bias: bias[row],
            })
            .collect();
        Ok(Some(Self {
            rows,
            estimator: first_text(&table, "estimator")?,
            interval: first_text(&table, "interval")?,
            note: None,
            table,
        }))
    }
}

/// A column as text; empty where it is null.
fn texts(table: &DataFrame, column: &str) -> Result<Vec<String>, ReportError> {
    let column = table.column(column)?.cast(&DataType::String)?;
    Ok(column.str()?.iter().map(|text| text.unwrap_or_default().to_owned()).collect())
}
