//! What a run stores.

use analysis::{Correlation, Scale, clopper_pearson};
use polars::prelude::{Column as Series, DataFrame, PolarsResult};

use super::estimate::{EstimateError, Finding, Line, Point};
use super::{Column, ColumnType, Table};
use crate::studies::{ARM, REPLICATE, RUN_ID, column};
use crate::study::Run;
use ColumnType::{Bool, Float64, Text, UInt32};

/// Metrics of a run; the first is the headline. Means are over models.
pub(super) const METRICS: &[Column] = &[
    column(
        "gap_left",
        Float64,
        "pp",
        "mean gap that is left: accuracy on V1 minus the estimate; null if a model has none",
    ),
    column(
        "gap_left_low",
        Float64,
        "pp",
        "lower end of its 95 % bootstrap interval; null without `bootstrap_resamples`",
    ),
    column("gap_left_high", Float64, "pp", "upper end of that interval"),
    column("gap_left_se", Float64, "pp", "standard deviation of the bootstrap's resamples"),
    column("gap_raw", Float64, "pp", "mean accuracy on V1 minus that on V2"),
    column(
        "gap_raw_sd",
        Float64,
        "pp",
        "standard deviation of that over models; null for one model",
    ),
    column("gap_explained", Float64, "pp", "raw gap minus the gap that is left"),
    column("accuracy_v1", Float64, "%", "mean accuracy on the reference"),
    column("accuracy_v2", Float64, "%", "mean accuracy on the replication"),
    column(
        "accuracy_adjusted",
        Float64,
        "%",
        "mean estimate of what accuracy on the replication were with the reference's selection frequencies",
    ),
    column(
        "slope",
        Float64,
        "",
        "of the line of estimates over accuracies on V1, both in percent; null where models do not differ",
    ),
    column("intercept", Float64, "pp", "of that line"),
    column("r_squared", Float64, "", "share of the variance that it explains"),
    column("probit_slope", Float64, "", "of the line between probits"),
    column("probit_intercept", Float64, "", "of that line"),
    column("spearman", Float64, "", "rank correlation of estimates and accuracies on V1"),
    column("kendall", Float64, "", "Kendall's tau-b of the same"),
    column(
        "frequency_v1",
        Float64,
        "",
        "mean selection frequency of the reference: true where it is known, else of all votes but those that were matched; null without annotations",
    ),
    column("frequency_v2", Float64, "", "the same of the replication"),
    column(
        "frequency_matched",
        Float64,
        "",
        "mean frequency of the replication on the annotators who were matched; null where nothing was simulated",
    ),
    column("empty_mass", Float64, "", "share of V1 whose number of selections no image of V2 has"),
    column(
        "unmatched_mass",
        Float64,
        "",
        "share of V1 for which the pool has nothing, or of images that a draw class by class lacks; null where nothing was simulated",
    ),
    column(
        "annotators_needed",
        Float64,
        "annotators",
        "fewest fresh annotators with which the estimator leaves at most `target_gap`, in expectation; of your own votes, with which its bias is within `target_gap` under the parametric fit to them; null where 1000 are too few or there are no votes",
    ),
    column(
        "matching_annotators_needed",
        Float64,
        "annotators",
        "fewest annotators with which matching makes a raw gap of at most `target_gap`; null where 1000 are too few or nothing is simulated",
    ),
    column(
        "images_needed",
        Float64,
        "images",
        "images of each dataset with which the interval's half-width is `target_gap`; null without an interval",
    ),
    column(
        "images_for_power",
        Float64,
        "images",
        "images of each dataset with which a gap of `target_gap` is told from zero with probability `target_power`; null likewise",
    ),
];

/// Tables beside `runs`. Nothing in them is drawn by a device, so that other machines agree but for
/// rounding, and the parametric fit to what its convergence leaves open.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "models",
        row: "one model of one run",
        key: &["run_id", "model"],
        reproducible: true,
        tolerance: Some(super::TOLERANCE),
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            column("model", Text, "", "its name"),
            column("accuracy_v1", Float64, "%", "its accuracy on the reference"),
            column("accuracy_v2", Float64, "%", "its accuracy on the replication"),
            column(
                "accuracy_v1_low",
                Float64,
                "%",
                "lower end of its 95 % Clopper-Pearson interval; null where images are not counted",
            ),
            column("accuracy_v1_high", Float64, "%", "upper end of that interval"),
            column("accuracy_v2_low", Float64, "%", "the same of the accuracy on the replication"),
            column("accuracy_v2_high", Float64, "%", "upper end of that interval"),
            column("accuracy_adjusted", Float64, "%", "the estimate; null where no bin is shared"),
            column("gap_raw", Float64, "pp", "accuracy on V1 minus that on V2"),
            column("gap_left", Float64, "pp", "accuracy on V1 minus the estimate"),
            column(
                "fitted_v2",
                Float64,
                "%",
                "what the straight line of accuracies on V2 over those on V1 gives it; null where models do not differ",
            ),
            column("fitted_adjusted", Float64, "%", "the same of the estimates"),
            column("probit_v1", Float64, "", "probit of its accuracy on V1; null at 0 and 100 %"),
            column(
                "probit_adjusted",
                Float64,
                "",
                "probit of the estimate; null outside (0, 100) %",
            ),
            column(
                "probit_line",
                Float64,
                "",
                "what the line between probits gives it; null where there is none",
            ),
            column("probit_v2", Float64, "", "probit of its accuracy on V2; null at 0 and 100 %"),
            column(
                "probit_line_v2",
                Float64,
                "",
                "what the line between the probits of V1 and V2 gives it; null where there is none",
            ),
        ],
    },
    Table {
        name: "frequencies",
        row: "one number of selections of one run",
        key: &["run_id", "selected"],
        reproducible: true,
        tolerance: Some(super::TOLERANCE),
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            column("selected", UInt32, "", "fresh annotators who select an image"),
            column("frequency", Float64, "", "their share"),
            column("share_v1", Float64, "", "share of the reference that so many select"),
            column("share_v2", Float64, "", "share of the replication"),
            column(
                "accuracy_v1",
                Float64,
                "%",
                "mean accuracy on those of the reference; null without any",
            ),
            column(
                "accuracy_v2",
                Float64,
                "%",
                "mean accuracy on those of the replication; null without any",
            ),
            column("empty", Bool, "", "whether V1 has such images and V2 none"),
        ],
    },
    Table {
        name: "annotators",
        row: "one number of annotators of one run",
        key: &["run_id", "inverse"],
        reproducible: true,
        tolerance: Some(super::TOLERANCE),
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            column(
                "annotators",
                UInt32,
                "",
                "annotators of an image, of all subsets of this size; null for infinitely many, where the line ends",
            ),
            column("inverse", Float64, "", "one over their number"),
            column("accuracy_naive", Float64, "%", "mean naive estimate"),
            column("gap_left", Float64, "pp", "mean gap that it leaves"),
            column(
                "line",
                Float64,
                "%",
                "the estimate on the line through the two largest numbers of annotators, over one over their number; null for one number",
            ),
        ],
    },
];

/// Values of [`METRICS`].
pub(super) fn metrics(found: &Finding) -> Result<Vec<Option<f64>>, EstimateError> {
    let percent = |values: &[f64]| analysis::mean(values).map(|mean| 100.0 * mean);
    let gap_left = found.gap_left();
    let gap_raw = analysis::mean(&found.raw_gaps());
    let linear = found.line(Scale::Identity)?;
    let probit = found.line(Scale::Probit)?;
    let interval = found.interval;
    let accuracy_v1 = percent(&found.reference);
    let needed = |annotators: Option<usize>| annotators.map(whole);
    Ok(vec![
        gap_left,
        interval.map(|gap| gap.interval.low),
        interval.map(|gap| gap.interval.high),
        interval.map(|gap| gap.standard_error),
        gap_raw,
        found.gap_sd(),
        gap_raw.zip(gap_left).map(|(raw, left)| raw - left),
        accuracy_v1,
        percent(&found.replication),
        accuracy_v1.zip(gap_left).map(|(v1, gap)| v1 - gap),
        linear.map(|line| line.slope),
        linear.map(|line| line.intercept),
        linear.and_then(|line| line.r_squared),
        probit.map(|line| line.slope),
        probit.map(|line| line.intercept),
        found.correlation(Correlation::Spearman),
        found.correlation(Correlation::Kendall),
        found.frequencies.map(|(v1, _)| v1),
        found.frequencies.map(|(_, v2)| v2),
        found.matched_frequency,
        found.empty_mass,
        found.unmatched,
        needed(found.annotators_needed),
        needed(found.matching_annotators_needed),
        found.images_needed,
        found.images_for_power,
    ])
}

/// Columns of a table beside its run's identity.
struct Rows {
    of_run: Vec<usize>,
    columns: Vec<Values>,
}

enum Values {
    Text(Vec<String>),
    UInt32(Vec<Option<u32>>),
    Bool(Vec<bool>),
    Float64(Vec<Option<f64>>),
}

/// One value of a row.
enum Cell {
    Text(String),
    UInt32(Option<u32>),
    Bool(bool),
    Float64(Option<f64>),
}

impl Rows {
    fn new(table: &Table) -> Self {
        let empty = |column: &Column| match column.kind {
            Text => Values::Text(Vec::new()),
            UInt32 => Values::UInt32(Vec::new()),
            Bool => Values::Bool(Vec::new()),
            _ => Values::Float64(Vec::new()),
        };
        Self { of_run: Vec::new(), columns: table.columns[3..].iter().map(empty).collect() }
    }

    fn push(&mut self, run: usize, cells: impl IntoIterator<Item = Cell>) {
        self.of_run.push(run);
        for (values, cell) in self.columns.iter_mut().zip(cells) {
            match (values, cell) {
                (Values::Text(values), Cell::Text(value)) => values.push(value),
                (Values::UInt32(values), Cell::UInt32(value)) => values.push(value),
                (Values::Bool(values), Cell::Bool(value)) => values.push(value),
                (Values::Float64(values), Cell::Float64(value)) => values.push(value),
                // Polars refuses columns of unequal length, so a slip here cannot go unseen.
                _ => debug_assert!(false, "a cell of another type than its column"),
            }
        }
    }

    fn frame(self, table: &Table, runs: &[&Run]) -> PolarsResult<DataFrame> {
        let of = |text: fn(&Run) -> &str| -> Vec<&str> {
            self.of_run.iter().map(|run| text(runs[*run])).collect()
        };
        let replicates: Vec<u64> = self.of_run.iter().map(|run| runs[*run].replicate).collect();
        let mut columns = vec![
            Series::new("run_id".into(), of(|run| run.id.as_ref())),
            Series::new("arm".into(), of(|run| &run.arm)),
            Series::new("replicate".into(), replicates),
        ];
        for (column, values) in table.columns[3..].iter().zip(self.columns) {
            let name = column.name.into();
            columns.push(match values {
                Values::Text(values) => Series::new(name, values),
                Values::UInt32(values) => Series::new(name, values),
                Values::Bool(values) => Series::new(name, values),
                Values::Float64(values) => Series::new(name, values),
            });
        }
        DataFrame::new(self.of_run.len(), columns)
    }
}

/// Frames of [`TABLES`], in their order.
pub(super) fn frames(runs: &[&Run], found: &[Finding]) -> Result<Vec<DataFrame>, EstimateError> {
    let mut rows = [0, 1, 2].map(|table| Rows::new(&TABLES[table]));
    let [models, frequencies, annotators] = &mut rows;
    for (run, found) in found.iter().enumerate() {
        model_rows(models, run, found)?;
        frequency_rows(frequencies, run, found);
        annotator_rows(annotators, run, found);
    }
    let frames = rows.into_iter().zip(TABLES).map(|(rows, table)| rows.frame(table, runs));
    Ok(frames.collect::<PolarsResult<Vec<DataFrame>>>()?)
}

fn model_rows(rows: &mut Rows, run: usize, found: &Finding) -> Result<(), EstimateError> {
    let raw = Finding {
        reference: found.reference.clone(),
        adjusted: found.replication.iter().copied().map(Some).collect(),
        ..Finding::default()
    };
    let (raw_line, line) = (raw.line(Scale::Identity)?, found.line(Scale::Identity)?);
    let (probit_line_v2, probit_line) = (raw.line(Scale::Probit)?, found.line(Scale::Probit)?);
    let probit = |share: f64| Some(Scale::Probit.to(share)).filter(|probit| probit.is_finite());
    for (place, model) in found.models.iter().enumerate() {
        let v1 = 100.0 * found.reference[place];
        let v2 = 100.0 * found.replication[place];
        let adjusted = found.adjusted[place].map(|share| 100.0 * share);
        let interval = |share: f64, images: Option<usize>| {
            let Some(images) = images else { return Ok([None; 2]) };
            // A share of whole images, far below 2^53.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let right = (share * whole(images)).round() as u64;
            let ends = clopper_pearson(right, images as u64, 0.95)?;
            Ok::<_, EstimateError>([
                ends.map(|ends| 100.0 * ends.low),
                ends.map(|ends| 100.0 * ends.high),
            ])
        };
        let ends_v1 = interval(found.reference[place], found.images.map(|images| images.0))?;
        let ends_v2 = interval(found.replication[place], found.images.map(|images| images.1))?;
        let on = |line: Option<Line>| {
            let v1 = probit(found.reference[place]);
            line.zip(v1).map(|(line, v1)| line.intercept + line.slope * v1)
        };
        let numbers = [
            Some(v1),
            Some(v2),
            ends_v1[0],
            ends_v1[1],
            ends_v2[0],
            ends_v2[1],
            adjusted,
            Some(v1 - v2),
            adjusted.map(|adjusted| v1 - adjusted),
            raw_line.map(|line| line.intercept + line.slope * v1),
            line.map(|line| line.intercept + line.slope * v1),
            probit(found.reference[place]),
            found.adjusted[place].and_then(probit),
            on(probit_line),
            probit(found.replication[place]),
            on(probit_line_v2),
        ];
        let cells = std::iter::once(Cell::Text(model.clone()));
        rows.push(run, cells.chain(numbers.map(Cell::Float64)));
    }
    Ok(())
}

fn frequency_rows(rows: &mut Rows, run: usize, found: &Finding) {
    let Some((reference, replication)) = &found.counts else { return };
    let n = reference.annotators();
    for (selected, k) in (0_u32..).zip(0..=n) {
        let accuracy = |counts: &analysis::replication::Counts| {
            let right: Vec<f64> = counts.correct.iter().map(|by_count| by_count[k]).collect();
            let share = counts.probability[k];
            let right = analysis::mean(&right).filter(|_| share > 0.0)?;
            Some(100.0 * right / share)
        };
        let (v1, v2) = (reference.probability[k], replication.probability[k]);
        rows.push(
            run,
            [
                Cell::UInt32(Some(selected)),
                Cell::Float64(Some(f64::from(selected) / whole(n))),
                Cell::Float64(Some(v1)),
                Cell::Float64(Some(v2)),
                Cell::Float64(accuracy(reference)),
                Cell::Float64(accuracy(replication)),
                Cell::Bool(v1 > 0.0 && v2 <= 0.0),
            ],
        );
    }
}

fn annotator_rows(rows: &mut Rows, run: usize, found: &Finding) {
    let line = match found.curve.as_slice() {
        [.., before, last] => {
            let (x0, x1) = (whole(before.annotators).recip(), whole(last.annotators).recip());
            let slope = (before.adjusted - last.adjusted) / (x0 - x1);
            Some((slope, last.adjusted - slope * x1))
        }
        _ => None,
    };
    let mut push = |annotators: Option<u32>, inverse: f64, point: Option<&Point>| {
        let on_line = line.map(|(slope, intercept)| 100.0 * (intercept + slope * inverse));
        rows.push(
            run,
            [
                Cell::UInt32(annotators),
                Cell::Float64(Some(inverse)),
                Cell::Float64(point.map(|point| 100.0 * point.adjusted)),
                Cell::Float64(point.map(|point| point.gap_left)),
                Cell::Float64(on_line),
            ],
        );
    };
    for point in &found.curve {
        // At most 1000.
        let annotators = u32::try_from(point.annotators).unwrap_or(u32::MAX);
        push(Some(annotators), whole(point.annotators).recip(), Some(point));
    }
    if line.is_some() {
        push(None, 0.0, None);
    }
}

/// Counts stay far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn whole(number: usize) -> f64 {
    number as f64
}
