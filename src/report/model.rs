//! What a report shows, computed once for every way to show it.

mod confusion;
mod effects;
mod selection;
mod shares;

use std::collections::BTreeMap;

use polars::prelude::*;

use super::claims::{ClaimRow, judged};
use super::{ReportError, ReportInput};
use crate::analyse::contrasting;
use crate::store::factor_column;
use crate::studies::{Companion, CurveView, ReplicateUnit, Shape};
use crate::study::Arm;
use analysis::{CurveColumns, FactorLevels, SummaryColumns};
use analysis::{curves, summarise};

pub(super) use confusion::Confusions;
pub(super) use effects::{Effect, Effects, Means, Term, places};
use selection::Selection;
pub(super) use shares::{Profiles, Shares};

/// Most points of a drawn curve.
const POINTS: usize = 256;
/// Above this many runs, the small multiples leave out the single runs.
const MOST_SINGLE_RUNS: usize = 400;

/// An estimate with its interval; whatever is undefined is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Estimate {
    pub(super) n: u64,
    pub(super) value: Option<f64>,
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
}

impl Estimate {
    pub(super) fn numbers(&self) -> impl Iterator<Item = f64> {
        [self.value, self.low, self.high].into_iter().flatten()
    }
}

/// A run that ended early.
#[derive(Clone, Debug)]
pub(super) struct DivergedRun {
    pub(super) id: String,
    pub(super) arm: usize,
    pub(super) replicate: u64,
    pub(super) iteration: Option<u64>,
}

/// An arm with its estimates.
pub(super) struct ArmRow {
    /// Its name; also of an arm of the grid.
    pub(super) name: String,
    /// The level of every factor; `None` for a named arm.
    pub(super) levels: Option<Vec<String>>,
    /// Stored runs.
    pub(super) stored: usize,
    pub(super) diverged: usize,
    /// One a metric.
    pub(super) metrics: Vec<Estimate>,
    /// The headline of each run that has one, with its replicate's position in the plan.
    pub(super) seeds: Vec<(usize, f64)>,
}

impl ArmRow {
    /// Its name, so that it can be broken between levels.
    pub(super) fn label(&self) -> String {
        if self.levels.is_some() { self.name.replace(',', ", ") } else { self.name.clone() }
    }
}

/// A curve with its band, and how many runs it is made of.
pub(super) struct Curve {
    pub(super) points: Vec<CurvePoint>,
    pub(super) runs: usize,
}

#[derive(Clone, Copy)]
pub(super) struct CurvePoint {
    pub(super) x: f64,
    pub(super) estimate: Estimate,
}

/// The curves of one level of a factor, pooled over every other factor.
pub(super) struct LevelCurve {
    pub(super) level: String,
    pub(super) curve: Curve,
}

/// The own points of a single run, thinned.
pub(super) type RunPoints = Vec<(f64, f64)>;

/// All curves of a view.
pub(super) struct View {
    pub(super) view: CurveView,
    pub(super) shape: Shape,
    /// One an arm.
    pub(super) arms: Vec<Curve>,
    /// What stands beside the points, one an arm.
    pub(super) companion: Option<(Companion, Vec<Curve>)>,
    /// All arms together.
    pub(super) pooled: Curve,
    /// One list a factor that has two levels or more.
    pub(super) factors: Vec<(String, Vec<LevelCurve>)>,
    /// The single runs of every arm; empty where there are too many to show.
    pub(super) runs: Vec<Vec<RunPoints>>,
    /// The estimated curves of the arms and of the factors as tables.
    pub(super) arms_table: DataFrame,
    pub(super) factors_table: DataFrame,
}

/// What a report shows.
pub(super) struct Model {
    /// The claims of the study file, with their verdicts.
    pub(super) claims: Vec<ClaimRow>,
    pub(super) arms: Vec<ArmRow>,
    /// Names of the study's factors.
    pub(super) factors: Vec<String>,
    pub(super) effects: Effects,
    /// Shares of the runs above a value, by level of each factor.
    pub(super) survival: Option<Shares>,
    /// The same by arm over the tasks, where there are several.
    pub(super) profiles: Option<Profiles>,
    pub(super) views: Vec<View>,
    pub(super) confusions: Vec<Confusions>,
    /// What the study file's `[tuning]` chooses.
    pub(super) selection: Option<Selection>,
    pub(super) diverged: Vec<DivergedRun>,
    /// Runs of arms that diverged and yet have a value of the headline.
    pub(super) diverged_with_value: usize,
    /// Distinct runs of the plan, and how many of them are stored.
    pub(super) planned: usize,
    pub(super) stored: usize,
    /// Replicates an arm has in the plan.
    pub(super) replicates: usize,
    /// What they are.
    pub(super) unit: ReplicateUnit,
    /// Verdicts, estimates of every arm and metric, and every run.
    pub(super) claims_table: DataFrame,
    pub(super) metrics_table: DataFrame,
    pub(super) runs_table: DataFrame,
    /// The runs that ended early.
    pub(super) diverged_table: DataFrame,
}

const ARM: &str = "arm_number";
const MEMBER: &str = "member";

impl Model {
    pub(super) fn new(input: &ReportInput<'_>) -> Result<Self, ReportError> {
        let file = &input.plan.file;
        let members = Members::new(input)?;
        let arm_frame = members.frame(&input.runs, &members.stored_rows, &metric_names(input))?;
        let factors = contrasting(file);
        let (claims, claims_table) = judged(input, &named(input, arm_frame.clone())?)?;
        let (metrics, metrics_table) = arm_metrics(input, &arm_frame)?;
        let effects = Effects::new(input, &arm_frame, &factors)?;
        let survival = Shares::new(input, &arm_frame, &factors)?;
        let headline = match input.metrics.first() {
            Some(metric) => numbers(&arm_frame, metric.name)?,
            None => vec![None; members.stored_rows.len()],
        };
        let mut arms: Vec<ArmRow> = file
            .arms
            .iter()
            .zip(metrics)
            .map(|(arm, metrics)| ArmRow {
                name: arm.name.clone(),
                levels: levels_of(arm),
                stored: 0,
                diverged: 0,
                metrics,
                seeds: Vec::new(),
            })
            .collect();
        let mut diverged: BTreeMap<String, DivergedRun> = BTreeMap::new();
        let mut diverged_with_value = 0;
        for (row, headline) in members.stored_rows.iter().zip(headline) {
            let member = &input.plan.members[row.member];
            let arm = &mut arms[member.arm];
            arm.stored += 1;
            if let Some(iteration) = members.diverged[row.row] {
                arm.diverged += 1;
                diverged_with_value += usize::from(headline.is_some());
                let id = input.plan.runs[member.run].id.to_string();
                diverged.entry(id.clone()).or_insert(DivergedRun {
                    id,
                    arm: member.arm,
                    replicate: member.replicate,
                    iteration,
                });
            }
            if let Some(headline) = headline {
                let place = file.replicates.iter().position(|&r| r == member.replicate);
                arm.seeds.push((place.unwrap_or_default(), headline));
            }
        }
        let mut diverged: Vec<DivergedRun> = diverged.into_values().collect();
        diverged.sort_by_key(|run| (run.arm, run.replicate));
        let views = input
            .views
            .iter()
            .map(|(view, table)| View::new(input, &members, *view, table, &factors))
            .collect::<Result<Vec<_>, _>>()?;
        let confusions = input
            .confusions
            .iter()
            .map(|(view, table)| Confusions::new(input, &members, *view, table))
            .collect::<Result<Vec<_>, _>>()?;
        let mut model = Self {
            claims,
            arms,
            factors: file.factors.iter().map(|factor| factor.name.clone()).collect(),
            effects,
            survival,
            profiles: None,
            views,
            confusions,
            selection: Selection::new(input, &arm_frame)?,
            diverged,
            diverged_with_value,
            planned: input.plan.runs.len(),
            stored: members.stored,
            replicates: file.replicates.len(),
            unit: file.replicate_unit(),
            claims_table,
            metrics_table,
            diverged_table: {
                let runs = members.runs_table(input)?;
                let status = runs.column("status")?.cast(&DataType::String)?;
                runs.filter(&status.str()?.equal("diverged"))?
            },
            runs_table: members.runs_table(input)?,
        };
        model.profiles = Profiles::new(input, &arm_frame, model.tasks())?;
        Ok(model)
    }
}

/// A task with its arms, each with its place among all arms and its name in the task.
pub(super) type TaskArms = (String, Vec<(usize, String)>);

impl Model {
    /// The arms of each task, with their names in it, where all arms are named `task/algorithm`
    /// and there are two tasks at least.
    pub(super) fn tasks(&self) -> Option<Vec<TaskArms>> {
        let mut tasks: Vec<TaskArms> = Vec::new();
        for (place, arm) in self.arms.iter().enumerate() {
            if arm.levels.is_some() {
                return None;
            }
            let (task, name) = arm.name.split_once('/')?;
            let arm = (place, name.to_owned());
            match tasks.iter_mut().find(|(known, _)| known == task) {
                Some((_, arms)) => arms.push(arm),
                None => tasks.push((task.to_owned(), vec![arm])),
            }
        }
        (tasks.len() > 1).then_some(tasks)
    }
}

fn metric_names<'a>(input: &'a ReportInput<'_>) -> Vec<&'a str> {
    input.metrics.iter().map(|metric| metric.name).collect()
}

fn levels_of(arm: &Arm) -> Option<Vec<String>> {
    let levels: Vec<String> = arm.levels.iter().map(|level| level.level.clone()).collect();
    if levels.is_empty() { None } else { Some(levels) }
}

/// A row of a stored table as a member of the plan (a replicate of an arm) sees it.
#[derive(Clone, Copy)]
struct MemberRow {
    member: usize,
    row: usize,
}

/// Joins stored rows to the plan's members by `run_id`.
struct Members<'a> {
    input: &'a ReportInput<'a>,
    /// Rows of `runs`, in the order of arms and replicates; members without a run are absent.
    stored_rows: Vec<MemberRow>,
    /// By row of `runs`: `Some` of a diverged run, with the iteration where it is known.
    diverged: Vec<Option<Option<u64>>>,
    stored: usize,
}

impl<'a> Members<'a> {
    fn new(input: &'a ReportInput<'a>) -> Result<Self, ReportError> {
        let mut members = Self { input, stored_rows: vec![], diverged: vec![], stored: 0 };
        members.stored_rows = members.rows(&input.runs)?;
        let status = input.runs.column("status")?.cast(&DataType::String)?;
        let iteration = input.runs.column("diverged_iteration")?.cast(&DataType::UInt64)?;
        members.diverged = status
            .str()?
            .iter()
            .zip(iteration.u64()?.iter())
            .map(|(status, iteration)| (status == Some("diverged")).then_some(iteration))
            .collect();
        let mut runs: Vec<usize> = members.stored_rows.iter().map(|row| row.row).collect();
        runs.sort_unstable();
        runs.dedup();
        members.stored = runs.len();
        Ok(members)
    }

    /// The rows of a stored table that members own; those of a shared run once for each.
    fn rows(&self, table: &DataFrame) -> Result<Vec<MemberRow>, ReportError> {
        let mut by_run: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let ids = table.column("run_id")?.str()?;
        for (row, id) in ids.iter().enumerate() {
            if let Some(id) = id {
                by_run.entry(id).or_default().push(row);
            }
        }
        let plan = self.input.plan;
        let mut order: Vec<usize> = (0..plan.members.len()).collect();
        order.sort_by_key(|&member| (plan.members[member].arm, plan.members[member].replicate));
        let mut rows = Vec::new();
        for member in order {
            let id = plan.runs[plan.members[member].run].id.as_ref();
            let of_run = by_run.get(id).map(Vec::as_slice).unwrap_or_default();
            rows.extend(of_run.iter().map(|&row| MemberRow { member, row }));
        }
        Ok(rows)
    }

    /// Columns of a stored table beside arm number, member, replicate and levels.
    fn frame(
        &self,
        table: &DataFrame,
        rows: &[MemberRow],
        columns: &[&str],
    ) -> Result<DataFrame, ReportError> {
        let plan = self.input.plan;
        let indices: Vec<IdxSize> =
            rows.iter().map(|row| IdxSize::try_from(row.row).unwrap_or(IdxSize::MAX)).collect();
        let taken = IdxCa::from_slice(PlSmallStr::EMPTY, &indices);
        let mut frame = table.select(columns.iter().copied())?.take(&taken)?;
        let members = || rows.iter().map(|row| &plan.members[row.member]);
        let arms: Vec<u64> = members().map(|member| member.arm as u64).collect();
        let numbers: Vec<u64> = rows.iter().map(|row| row.member as u64).collect();
        let replicates: Vec<u64> = members().map(|member| member.replicate).collect();
        frame.with_column(Column::new(ARM.into(), arms))?;
        frame.with_column(Column::new(MEMBER.into(), numbers))?;
        frame.with_column(Column::new("replicate".into(), replicates))?;
        for (index, factor) in plan.file.factors.iter().enumerate() {
            let levels: Vec<Option<&str>> = members()
                .map(|member| plan.file.arms[member.arm].levels.get(index))
                .map(|level| level.map(|level| level.level.as_str()))
                .collect();
            frame.with_column(Column::new(factor_column(&factor.name).into(), levels))?;
        }
        Ok(frame)
    }

    /// Every run of every arm with its metrics, for download.
    fn runs_table(&self, input: &ReportInput<'_>) -> Result<DataFrame, ReportError> {
        let mut columns = vec!["run_id", "status", "diverged_iteration"];
        columns.extend(metric_names(input));
        let frame = self.frame(&input.runs, &self.stored_rows, &columns)?;
        Ok(named(input, frame)?.drop(MEMBER)?)
    }
}

/// Replaces the number of the arm by its name in front.
fn named(input: &ReportInput<'_>, frame: DataFrame) -> Result<DataFrame, ReportError> {
    let arms = &input.plan.file.arms;
    let names: Vec<Option<&str>> = frame
        .column(ARM)?
        .u64()?
        .iter()
        .map(|arm| {
            let arm = arms.get(usize::try_from(arm?).ok()?)?;
            Some(arm.name.as_str())
        })
        .collect();
    let mut frame = frame.drop(ARM)?;
    frame.insert_column(0, Column::new("arm".into(), names))?;
    Ok(frame)
}

/// The estimate of every metric for every arm, arms without a run included.
fn arm_metrics(
    input: &ReportInput<'_>,
    frame: &DataFrame,
) -> Result<(Vec<Vec<Estimate>>, DataFrame), ReportError> {
    let mut estimates =
        vec![vec![Estimate::default(); input.metrics.len()]; input.plan.file.arms.len()];
    let mut tables = Vec::new();
    for (place, metric) in input.metrics.iter().enumerate() {
        let columns = SummaryColumns { groups: &[ARM], replicate: "replicate", value: metric.name };
        let table = summarise(frame, columns, input.options.estimator, &input.options.tables())?;
        for (arm, estimate) in table.column(ARM)?.u64()?.iter().zip(estimates_of(&table)?) {
            if let Some(of_arm) = arm.and_then(|arm| estimates.get_mut(usize::try_from(arm).ok()?))
            {
                of_arm[place] = estimate;
            }
        }
        tables.push(labelled(named(input, table)?, 1, metric.name)?);
    }
    Ok((estimates, stacked(tables)?))
}

fn labelled(mut table: DataFrame, place: usize, metric: &str) -> Result<DataFrame, ReportError> {
    let column = Column::new("metric".into(), vec![metric; table.height()]);
    table.insert_column(place, column)?;
    Ok(table)
}

fn stacked(tables: Vec<DataFrame>) -> Result<DataFrame, ReportError> {
    let mut tables = tables.into_iter();
    let Some(mut all) = tables.next() else { return Ok(DataFrame::empty()) };
    for table in tables {
        all.vstack_mut(&table)?;
    }
    Ok(all)
}

/// The first text of a column that says the same of all rows; empty without rows.
fn first_text(table: &DataFrame, column: &str) -> Result<String, ReportError> {
    Ok(table.column(column)?.str()?.iter().flatten().next().unwrap_or_default().to_owned())
}

fn estimates_of(table: &DataFrame) -> Result<Vec<Estimate>, ReportError> {
    read_estimates(table, table.column("n")?.u64()?)
}

fn read_estimates(table: &DataFrame, n: &UInt64Chunked) -> Result<Vec<Estimate>, ReportError> {
    let (values, low, high) =
        (numbers(table, "estimate")?, numbers(table, "low")?, numbers(table, "high")?);
    Ok(n.iter()
        .zip(values)
        .zip(low.into_iter().zip(high))
        .map(|((n, value), (low, high))| Estimate { n: n.unwrap_or_default(), value, low, high })
        .collect())
}

/// The numbers of a column; missing ones are `None`.
pub(super) fn numbers(frame: &DataFrame, column: &str) -> Result<Vec<Option<f64>>, ReportError> {
    let column = frame.column(column)?.cast(&DataType::Float64)?;
    Ok(column.f64()?.iter().map(|number| number.filter(|number| number.is_finite())).collect())
}

impl View {
    fn new(
        input: &ReportInput<'_>,
        members: &Members<'_>,
        view: CurveView,
        table: &DataFrame,
        factors: &[FactorLevels],
    ) -> Result<Self, ReportError> {
        let rows = members.rows(table)?;
        let frame = members.frame(table, &rows, &[view.x, view.y])?;
        let columns = CurveColumns {
            groups: &[ARM],
            run: MEMBER,
            replicate: "replicate",
            x: view.x,
            value: view.y,
        };
        let (estimator, bootstrap) = (input.options.estimator, input.options.curves());
        let estimated = |frame: &DataFrame, groups: &[&str]| {
            curves(frame, CurveColumns { groups, ..columns }, POINTS, estimator, &bootstrap)
        };
        let by_arm = estimated(&frame, &[ARM])?;
        let split = |by_arm: &DataFrame| {
            (0..input.plan.file.arms.len() as u64)
                .map(|arm| {
                    let of_arm = by_arm.filter(&by_arm.column(ARM)?.u64()?.equal(arm))?;
                    let runs =
                        rows.iter().filter(|row| input.plan.members[row.member].arm as u64 == arm);
                    curve(&of_arm, view.x, distinct(runs))
                })
                .collect::<Result<Vec<_>, ReportError>>()
        };
        let arms = split(&by_arm)?;
        let companion = match input.plan.file.study.companion(&view) {
            None => None,
            Some(line) => {
                // Where both axes are the same, the line is that of equality.
                let read = [view.x, line.column];
                let read = if view.x == line.column { &read[..1] } else { &read[..] };
                let frame = members.frame(table, &rows, read)?;
                let columns = CurveColumns { value: line.column, ..columns };
                Some((line, split(&curves(&frame, columns, POINTS, estimator, &bootstrap)?)?))
            }
        };
        let pooled = curve(&estimated(&frame, &[])?, view.x, distinct(rows.iter()))?;
        let mut of_factors = Vec::new();
        let mut tables = Vec::new();
        for (factor, levels) in
            input.plan.file.factors.iter().filter(|factor| factor.levels.len() > 1).zip(factors)
        {
            let mut of_levels = Vec::new();
            for level in &levels.levels {
                let here = frame.column(&levels.column)?.str()?.equal(level.as_str());
                let of_level = frame.filter(&here)?;
                let table = estimated(&of_level, &[&levels.column])?;
                let numbers = of_level.column(MEMBER)?.u64()?.n_unique()?;
                let curve = curve(&table, view.x, numbers)?;
                of_levels.push(LevelCurve { level: level.clone(), curve });
                let mut table = table.drop(&levels.column)?;
                let height = table.height();
                let (factor, level) = (factor.name.as_str(), level.as_str());
                table.insert_column(0, Column::new("level".into(), vec![level; height]))?;
                table.insert_column(0, Column::new("factor".into(), vec![factor; height]))?;
                tables.push(table);
            }
            of_factors.push((factor.name.clone(), of_levels));
        }
        Ok(Self {
            view,
            shape: input.plan.file.study.shape(&view),
            arms,
            companion,
            pooled,
            factors: of_factors,
            runs: single_runs(input, members, &rows, &frame, view)?,
            arms_table: named(input, by_arm)?,
            factors_table: stacked(tables)?,
        })
    }
}

fn distinct<'a>(rows: impl Iterator<Item = &'a MemberRow>) -> usize {
    let mut members: Vec<usize> = rows.map(|row| row.member).collect();
    members.dedup();
    members.len()
}

fn curve(table: &DataFrame, x: &str, runs: usize) -> Result<Curve, ReportError> {
    let points = numbers(table, x)?
        .into_iter()
        .zip(estimates_of(table)?)
        .filter_map(|(x, estimate)| Some(CurvePoint { x: x?, estimate }))
        .collect();
    Ok(Curve { points, runs })
}

/// The own points of every run by arm, thinned.
fn single_runs(
    input: &ReportInput<'_>,
    members: &Members<'_>,
    rows: &[MemberRow],
    frame: &DataFrame,
    view: CurveView,
) -> Result<Vec<Vec<RunPoints>>, ReportError> {
    let mut arms = vec![Vec::new(); input.plan.file.arms.len()];
    if members.stored_rows.len() > MOST_SINGLE_RUNS {
        return Ok(arms);
    }
    let (x, y) = (numbers(frame, view.x)?, numbers(frame, view.y)?);
    let mut runs: BTreeMap<usize, RunPoints> = BTreeMap::new();
    for (row, (x, y)) in rows.iter().zip(x.into_iter().zip(y)) {
        if let (Some(x), Some(y)) = (x, y) {
            runs.entry(row.member).or_default().push((x, y));
        }
    }
    for (member, mut points) in runs {
        points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let (last, step) = (points.len() - 1, points.len().div_ceil(POINTS));
        let thinned = points
            .iter()
            .enumerate()
            .filter(|(index, _)| index % step == 0 || *index == last)
            .map(|(_, point)| *point);
        arms[input.plan.members[member].arm].push(thinned.collect());
    }
    Ok(arms)
}
