//! What an aggregation stores.

use polars::prelude::{Column as Series, DataFrame, DataType, PolarsResult};

use super::{Column, ColumnType, Run, Table, Tolerance};
use crate::studies::{ARM, REPLICATE, RUN_ID, column};
use ColumnType::{Bool, Float64, Text, UInt64};

/// Metrics of a run; the first is the headline. Of several tables, counts are sums over them,
/// correlations means.
pub(super) const METRICS: &[Column] = &[
    column(
        "kendall",
        Float64,
        "",
        "Kendall's tau-b of the order of models and the published one; null below two models",
    ),
    column(
        "reproduced",
        Float64,
        "",
        "share of the published aggregates that some results which round to the table's cells would give; null where none is published",
    ),
    column("published_values", Float64, "", "published aggregates, of the models that are shown"),
    column("reproduced_values", Float64, "", "of these, the ones that are reproduced"),
    column(
        "largest_deviation",
        Float64,
        "",
        "largest distance between an aggregate and the published one; null where none is published",
    ),
    column(
        "undecided_adjacent",
        Float64,
        "",
        "share of neighbouring places that the scenarios do not decide: the models are not separable by paired bootstrap",
    ),
    column("undecided_pairs", Float64, "", "the same of all pairs of models"),
    column("coverage", Float64, "", "share of the table's cells that hold a result"),
    column("results", Float64, "", "cells that hold one"),
    column("cells", Float64, "", "cells"),
    column("competing_models", Float64, "", "models that compete"),
    column("counted_scenarios", Float64, "", "scenarios that are not left out"),
    column(
        "focus_aggregate",
        Float64,
        "",
        "aggregate of `focus_model`; null without one, and of several tables",
    ),
    column("focus_low", Float64, "", "lower end of its interval over scenarios"),
    column("focus_high", Float64, "", "upper end of that interval"),
    column("focus_rank", Float64, "", "its place, from 1"),
];

const BOARD: Column = column("board", Text, "", "the table, by the name of its file");

/// Sums are rounded, logarithms and exponentials are not involved.
const ROUNDING: Option<Tolerance> = Some(Tolerance { deviation: 1e-9, horizon: None });

/// Tables beside `runs`.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "standings",
        row: "one model of one table of one run",
        key: &["run_id", "board", "model"],
        reproducible: true,
        tolerance: ROUNDING,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            BOARD,
            column("model", Text, "", "the model"),
            column(
                "rank",
                UInt64,
                "",
                "its place, from 1, equal ones sharing the best; null where it does not compete",
            ),
            column("scenarios", UInt64, "", "scenarios on which it has a number"),
            column("estimate", Float64, "", "its aggregate; null where it does not compete"),
            column(
                "low",
                Float64,
                "",
                "lower end of the interval over scenarios; null with fewer than two",
            ),
            column("high", Float64, "", "upper end of that interval"),
            column(
                "bound_low",
                Float64,
                "",
                "smallest aggregate of any results that round to the cells (of win rates: ties are lost); null where not known",
            ),
            column("bound_high", Float64, "", "the largest one (of win rates: ties are won)"),
            column("published", Float64, "", "the published aggregate; null without one"),
            column(
                "inside",
                Bool,
                "",
                "whether that lies between the bounds, up to its own rounding; null without either",
            ),
        ],
    },
    Table {
        name: "pairs",
        row: "two models of one table of one run",
        key: &["run_id", "board", "model", "other"],
        reproducible: true,
        tolerance: ROUNDING,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            BOARD,
            column("model", Text, "", "the one with the better place"),
            column("other", Text, "", "the other"),
            column("rank", UInt64, "", "place of the first, from 1"),
            column("other_rank", UInt64, "", "place of the other"),
            column("adjacent", Bool, "", "whether nobody stands between them"),
            column("scenarios", UInt64, "", "scenarios on which both have a result"),
            column(
                "wins",
                Float64,
                "",
                "share of these on which the first is better; null where there are none",
            ),
            column("difference", Float64, "", "by how much the first's aggregate is better"),
            column(
                "ahead",
                Float64,
                "",
                "share of resamples of the scenarios in which it is; null where none has both",
            ),
            column(
                "separable",
                Bool,
                "",
                "whether the paired interval of the difference lies above zero",
            ),
        ],
    },
    Table {
        name: "coverage",
        row: "one scenario of one table of one run",
        key: &["run_id", "board", "scenario"],
        reproducible: true,
        tolerance: ROUNDING,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            BOARD,
            column("scenario", Text, "", "the scenario"),
            column("results", UInt64, "", "models with a result"),
            column("cells", UInt64, "", "models"),
            column("coverage", Float64, "", "their ratio"),
            column("holes", Text, "", "models without a result, separated by \"; \""),
        ],
    },
];

/// A frame of one table of a run, with the columns that [`TABLES`] names.
pub(super) struct Part<'a> {
    pub run: &'a Run,
    pub board: String,
    /// In the order of [`TABLES`].
    pub frames: [DataFrame; 3],
}

/// Frames of [`TABLES`], in their order.
pub(super) fn frames(parts: &[Part<'_>]) -> PolarsResult<Vec<DataFrame>> {
    let of_table = |(place, table): (usize, &Table)| -> PolarsResult<DataFrame> {
        let mut all: Option<DataFrame> = None;
        for part in parts {
            let frame = part.frames[place].clone();
            let height = frame.height();
            let text = |name: &str, value: &str| Series::new(name.into(), vec![value; height]);
            let mut columns = vec![
                text("run_id", part.run.id.as_ref()),
                text("arm", &part.run.arm),
                Series::new("replicate".into(), vec![part.run.replicate; height]),
                text("board", &part.board),
            ];
            // The first four are here already.
            for described in table.columns.iter().skip(columns.len()) {
                columns.push(frame.column(described.name)?.clone());
            }
            let frame = DataFrame::new(height, columns)?;
            match &mut all {
                Some(all) => {
                    all.vstack_mut(&frame)?;
                }
                None => all = Some(frame),
            }
        }
        Ok(all.unwrap_or_default())
    };
    TABLES.iter().enumerate().map(of_table).collect()
}

/// The truth values of a column; nulls left out.
pub(super) fn flags(frame: &DataFrame, name: &str) -> PolarsResult<Vec<Option<bool>>> {
    Ok(frame.column(name)?.bool()?.iter().collect())
}

/// The numbers of a column.
pub(super) fn numbers(frame: &DataFrame, name: &str) -> PolarsResult<Vec<Option<f64>>> {
    Ok(frame.column(name)?.cast(&DataType::Float64)?.f64()?.iter().collect())
}
