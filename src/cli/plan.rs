//! `ceteris plan`: what a study file asks for, and about how long it takes.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::io::Write;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use serde_json::json;

use super::{DeviceArg, default_workers};
use crate::execute::{CheckpointOptions, Options, schedule};
use crate::studies::{CohortContext, Device, Study, StudyError};
use crate::study::{Cohort, Plan, Run, RunId, Shard, StudyFile, plan};

/// Arguments of `ceteris plan`.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// Study file
    pub file: PathBuf,
    /// Where it would be trained: cpu, wgpu, wgpu:N or auto
    #[arg(long, default_value_t = DeviceArg::Cpu)]
    pub device: DeviceArg,
    /// Most runs in one tensor program; by default what suits the device
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub cohort_width: Option<u16>,
    /// Threads; by default one a processor
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub workers: Option<u16>,
    /// Show what every shard of a split into N would train, see `ceteris run --shard`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub shards: Option<u32>,
    /// Leave out the short measurement behind the estimated time
    #[arg(long)]
    pub no_calibration: bool,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    pub format: PlanFormat,
}

/// A way to write a plan.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlanFormat {
    /// For reading in a terminal
    #[default]
    Text,
    /// For programs
    Json,
}

/// Runs `ceteris plan`.
///
/// # Errors
/// When the study file holds mistakes ([`crate::study::Diagnostics`]), or `out` cannot be written.
/// A calibration that fails is told in the output instead.
pub fn execute(args: &PlanArgs, out: &mut dyn Write) -> Result<(), Box<dyn Error + Send + Sync>> {
    let plan = plan(StudyFile::read(&args.file)?);
    let options = Options {
        device: args.device.resolve(),
        workers: args.workers.map_or_else(default_workers, usize::from),
        cohort_width: args.cohort_width.map(usize::from),
        checkpoints: CheckpointOptions::default(),
        repeats: None,
    };
    let runs: Vec<&Run> = plan.runs.iter().collect();
    let cohorts = schedule(plan.file.study, &runs, &options);
    let time = if args.no_calibration {
        Time::NotAsked
    } else {
        match estimate(&plan, &cohorts, &options) {
            Ok(estimate) => Time::Estimated(estimate),
            Err(error) => Time::Failed(error.to_string()),
        }
    };
    let overview = Overview {
        plan: &plan,
        cohorts: &cohorts,
        options,
        time,
        shards: shards(&plan, args.shards),
    };
    let page = match args.format {
        PlanFormat::Text => overview.text(),
        PlanFormat::Json => format!("{:#}\n", overview.json()),
    };
    out.write_all(page.as_bytes())?;
    Ok(())
}

/// About how long all calibration together may take.
const CALIBRATION_BUDGET: Duration = Duration::from_secs(4);

/// The estimated time of a plan.
pub(super) struct Estimate {
    pub(super) seconds: f64,
    /// How many of the cohort keys were measured; the others are taken to be as fast as these.
    measured: usize,
    keys: usize,
}

enum Time {
    NotAsked,
    Estimated(Estimate),
    Failed(String),
}

/// Measures a short cohort of each key and scales it by cost.
pub(super) fn estimate(
    plan: &Plan,
    cohorts: &[Cohort],
    options: &Options,
) -> Result<Estimate, StudyError> {
    let study = plan.file.study;
    let weight = |run: &Run| study.cost(&run.configuration).weight;
    // As execution does it: cohorts side by side on the processor, one by one on a GPU.
    let lanes = match options.device {
        Device::Cpu => options.workers.clamp(1, cohorts.len().max(1)),
        Device::Gpu { .. } => 1,
    };
    let threads = (options.workers / lanes).max(1);
    let mut firsts: Vec<&Cohort> = Vec::new();
    for cohort in cohorts {
        // Cohorts of a group follow each other.
        if firsts.last().is_none_or(|first| first.key != cohort.key) {
            firsts.push(cohort);
        }
    }
    let start = Instant::now();
    let mut rates: Vec<Option<f64>> = Vec::with_capacity(firsts.len());
    for (index, cohort) in firsts.iter().enumerate() {
        let left = CALIBRATION_BUDGET.saturating_sub(start.elapsed());
        if index > 0 && left.is_zero() {
            rates.push(None);
            continue;
        }
        let share = left.as_secs_f64() / (firsts.len() - index) as f64;
        let runs: Vec<Run> = cohort
            .runs
            .iter()
            .map(|run| calibration_run(&plan.runs[*run], study, plan.file.seed))
            .collect();
        rates.push(Some(measure(study, &runs, plan.file.seed, &options.device, threads, share)?));
    }
    let known: Vec<f64> = rates.iter().flatten().copied().collect();
    let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
    let mut total = 0.0;
    let mut longest: f64 = 0.0;
    let mut key = 0;
    for (index, cohort) in cohorts.iter().enumerate() {
        if index > 0 && cohorts[index - 1].key != cohort.key {
            key += 1;
        }
        let rate = rates.get(key).copied().flatten().unwrap_or(mean);
        let seconds: f64 = cohort.runs.iter().map(|run| rate * weight(&plan.runs[*run])).sum();
        total += seconds;
        longest = longest.max(seconds);
    }
    // However many lanes there are, the longest cohort runs on one of them.
    let seconds = (total / lanes as f64).max(longest);
    Ok(Estimate { seconds, measured: known.len(), keys: firsts.len() })
}

fn calibration_run(run: &Run, study: &dyn Study, study_seed: u64) -> Run {
    let configuration = study.calibration(&run.configuration);
    let id = RunId::of(study, study_seed, run.replicate, &configuration);
    Run { id, configuration, ..run.clone() }
}

/// Seconds for each unit of cost.
///
/// A single run comes first, which also warms up; as many of the cohort as fit into the seconds
/// that are left then give the measurement.
fn measure(
    study: &dyn Study,
    runs: &[Run],
    study_seed: u64,
    device: &Device,
    threads: usize,
    seconds: f64,
) -> Result<f64, StudyError> {
    let stop = AtomicBool::new(false);
    let context = CohortContext {
        study_seed,
        device: device.clone(),
        threads,
        stop: &stop,
        progress: &|_| {},
        checkpoints: None,
        journal: None,
    };
    let timed = |runs: &[Run]| -> Result<(f64, f64), StudyError> {
        let cohort: Vec<&Run> = runs.iter().collect();
        let weight: f64 = runs.iter().map(|run| study.cost(&run.configuration).weight).sum();
        let start = Instant::now();
        study.run_cohort(&cohort, &context)?;
        Ok((start.elapsed().as_secs_f64(), weight))
    };
    let per_unit =
        |(seconds, weight): (f64, f64)| if weight > 0.0 { seconds / weight } else { 0.0 };
    let first = timed(&runs[..1])?;
    let fit = ((seconds - first.0) / first.0.max(1e-6)) as usize;
    match fit.min(runs.len()) {
        0 => Ok(per_unit(first)),
        count => Ok(per_unit(timed(&runs[..count])?)),
    }
}

/// Everything that is shown.
struct Overview<'a> {
    plan: &'a Plan,
    cohorts: &'a [Cohort],
    options: Options,
    time: Time,
    /// What every shard would train; none unless asked for.
    shards: Vec<ShardWork>,
}

/// What a shard would train.
struct ShardWork {
    shard: Shard,
    runs: usize,
    /// How many different kinds of cohort they form.
    kinds: usize,
    steps: u64,
    /// Its part of the work of all, between 0 and 1.
    share: f64,
}

/// What every shard of a split would train.
fn shards(plan: &Plan, count: Option<u32>) -> Vec<ShardWork> {
    let Some(count) = count.and_then(NonZeroU32::new) else { return Vec::new() };
    let study = plan.file.study;
    let costs: Vec<_> = plan.runs.iter().map(|run| study.cost(&run.configuration)).collect();
    let total: f64 = costs.iter().map(|cost| cost.weight).sum();
    let mut runs: Vec<Vec<usize>> = vec![Vec::new(); count.get() as usize];
    for (run, shard) in plan.shard_of_runs(count).into_iter().enumerate() {
        runs[shard as usize].push(run);
    }
    let described = |(shard, runs): (Shard, Vec<usize>)| {
        let keys = runs.iter().map(|run| study.cohort_key(&plan.runs[*run].configuration));
        let weight: f64 = runs.iter().map(|run| costs[*run].weight).sum();
        ShardWork {
            shard,
            kinds: keys.collect::<BTreeSet<_>>().len(),
            steps: runs.iter().map(|run| costs[*run].steps).sum(),
            share: if total > 0.0 { weight / total } else { 0.0 },
            runs: runs.len(),
        }
    };
    Shard::all(count).zip(runs).map(described).collect()
}

/// Cohorts of one key.
struct CohortGroup<'a> {
    key: &'a str,
    /// Index of its first run.
    first: usize,
    runs: usize,
    cohorts: usize,
    narrowest: usize,
    widest: usize,
}

impl Overview<'_> {
    fn steps(&self) -> u64 {
        let study = self.plan.file.study;
        self.plan.runs.iter().map(|run| study.cost(&run.configuration).steps).sum()
    }

    fn cohort_groups(&self) -> Vec<CohortGroup<'_>> {
        let mut groups: Vec<CohortGroup<'_>> = Vec::new();
        for cohort in self.cohorts {
            let size = cohort.runs.len();
            match groups.last_mut() {
                Some(group) if group.key == cohort.key => {
                    group.runs += size;
                    group.cohorts += 1;
                    group.narrowest = group.narrowest.min(size);
                    group.widest = group.widest.max(size);
                }
                _ => groups.push(CohortGroup {
                    key: &cohort.key,
                    // A cohort holds at least one run.
                    first: cohort.runs.first().copied().unwrap_or_default(),
                    runs: size,
                    cohorts: 1,
                    narrowest: size,
                    widest: size,
                }),
            }
        }
        groups
    }

    /// What tells the groups apart: the fields that fix a cohort and are not the same everywhere.
    fn in_common(&self, groups: &[CohortGroup<'_>]) -> Vec<String> {
        let configuration = |group: &CohortGroup<'_>| &self.plan.runs[group.first].configuration;
        let distinguishing: Vec<&str> = groups.first().map_or(Vec::new(), |first| {
            let fields = configuration(first).iter().filter(|(field, value)| {
                let differs = |group| configuration(group).get(field.name) != Some(*value);
                field.shape && groups.iter().any(differs)
            });
            fields.map(|(field, _)| field.name).collect()
        });
        let described = |group: &CohortGroup<'_>| {
            let of_field = |name: &&str| {
                let value = configuration(group).get(name);
                format!("{name} = {}", value.map(ToString::to_string).unwrap_or_default())
            };
            distinguishing.iter().map(of_field).collect::<Vec<_>>().join(", ")
        };
        match groups {
            [_] => vec!["all that fixes a cohort".to_owned()],
            groups if distinguishing.is_empty() => {
                groups.iter().map(|group| group.key.to_owned()).collect()
            }
            groups => groups.iter().map(described).collect(),
        }
    }

    fn text(&self) -> String {
        let file = &self.plan.file;
        let mut page = String::new();
        // Writing to a string does not fail.
        let _ = writeln!(page, "{}", file.title);
        let _ = writeln!(
            page,
            "{} ({}), study seed {}",
            file.path.display(),
            file.study.kind(),
            file.seed
        );
        if !file.description.is_empty() {
            let _ = writeln!(page, "\n{}", file.description.trim_end());
        }
        self.arms(&mut page);
        self.counts(&mut page);
        if !self.shards.is_empty() {
            let header = ["shard", "runs", "kinds of cohort", "steps", "share of the work"];
            let rows = self.shards.iter().map(|work| {
                vec![
                    work.shard.to_string(),
                    separated(work.runs as u64),
                    separated(work.kinds as u64),
                    separated(work.steps),
                    format!("{:.1} %", 100.0 * work.share),
                ]
            });
            let _ = writeln!(page, "\nShards ({})", separated(self.shards.len() as u64));
            page.push_str(&table(header.map(str::to_owned).to_vec(), rows.collect()));
        }
        page
    }

    fn arms(&self, page: &mut String) {
        let file = &self.plan.file;
        let replicates = file.replicates.len().to_string();
        let (grid, named): (Vec<_>, Vec<_>) =
            file.arms.iter().partition(|arm| !arm.levels.is_empty());
        if !grid.is_empty() {
            let names = file.factors.iter().map(|factor| factor.name.clone());
            let header: Vec<String> = names.chain(["runs".to_owned()]).collect();
            let rows = grid.iter().map(|arm| {
                let levels = arm.levels.iter().map(|level| level.level.clone());
                levels.chain([replicates.clone()]).collect()
            });
            let levels: Vec<String> =
                file.factors.iter().map(|factor| factor.levels.len().to_string()).collect();
            let product = match levels.as_slice() {
                [_] => String::new(),
                levels => format!(" = {}", levels.join(" x ")),
            };
            let count = separated(grid.len() as u64);
            page.push_str(&format!(
                "\nGrid ({count}{product} {})\n",
                plural(grid.len(), "arm", "arms")
            ));
            page.push_str(&table(header, rows.collect()));
        }
        if !named.is_empty() {
            let header = vec!["arm".to_owned(), "runs".to_owned()];
            let rows = named.iter().map(|arm| vec![arm.name.clone(), replicates.clone()]).collect();
            let count = separated(named.len() as u64);
            page.push_str(&format!("\nNamed arms ({count})\n"));
            page.push_str(&table(header, rows));
        }
    }

    fn counts(&self, page: &mut String) {
        let file = &self.plan.file;
        let groups = self.cohort_groups();
        let title = match groups.len() {
            1 => "Cohorts".to_owned(),
            kinds => format!("Cohorts ({} kinds)", separated(kinds as u64)),
        };
        page.push_str(&format!("\n{title}\n"));
        let header = ["runs", "cohorts", "width", "in common"].map(str::to_owned).to_vec();
        let common = self.in_common(&groups);
        let rows = groups.iter().zip(common).map(|(group, common)| {
            let width = if group.narrowest == group.widest {
                group.widest.to_string()
            } else {
                format!("{} to {}", group.narrowest, group.widest)
            };
            vec![separated(group.runs as u64), separated(group.cohorts as u64), width, common]
        });
        page.push_str(&table(header, rows.collect()));

        let arms = file.arms.len();
        let replicates = file.replicates.len();
        let mut lines = vec![(
            "Runs",
            format!(
                "{} = {} {} x {} {}",
                separated(file.members() as u64),
                separated(arms as u64),
                plural(arms, "arm", "arms"),
                separated(replicates as u64),
                plural(replicates, "replicate", "replicates"),
            ),
        )];
        let shared = self.plan.members.len() - self.plan.runs.len();
        if shared > 0 {
            lines.push((
                "",
                format!(
                    "{} to train: {} {} configuration and replicate with another arm's",
                    separated(self.plan.runs.len() as u64),
                    separated(shared as u64),
                    plural(shared, "shares", "share"),
                ),
            ));
        }
        let steps = format!("{} {}", separated(self.steps()), file.study.step_unit());
        lines.push(("Steps", steps));
        if !file.claims.is_empty() {
            lines.push(("Claims", separated(file.claims.len() as u64)));
        }
        let place = format!(
            "on {} with {} {}",
            named(&self.options.device),
            self.options.workers,
            plural(self.options.workers, "worker", "workers")
        );
        match &self.time {
            Time::NotAsked => lines.push(("Time", "not estimated (--no-calibration)".to_owned())),
            Time::Failed(error) => {
                lines.push(("Time", format!("not known: calibration failed {place}: {error}")));
            }
            Time::Estimated(estimate) => {
                let mut line = format!("about {} {place}", duration(estimate.seconds));
                if estimate.measured < estimate.keys {
                    let _ = write!(
                        line,
                        " (measured on {} of {} kinds of cohort)",
                        estimate.measured, estimate.keys
                    );
                }
                lines.push(("Time", line));
            }
        }
        page.push('\n');
        for (name, value) in lines {
            let _ = writeln!(page, "{name:<6} {value}");
        }
    }

    fn json(&self) -> serde_json::Value {
        let file = &self.plan.file;
        let arms: Vec<_> = file
            .arms
            .iter()
            .map(|arm| {
                let levels: serde_json::Map<_, _> = arm
                    .levels
                    .iter()
                    .map(|level| (level.factor.clone(), json!(level.level)))
                    .collect();
                json!({ "name": arm.name, "levels": levels, "runs": file.replicates.len() })
            })
            .collect();
        let cohorts: Vec<_> = self
            .cohorts
            .iter()
            .map(|cohort| {
                let ids: Vec<&str> =
                    cohort.runs.iter().map(|run| self.plan.runs[*run].id.as_ref()).collect();
                json!({ "key": cohort.key, "runs": ids })
            })
            .collect();
        let (seconds, calibration) = match &self.time {
            Time::NotAsked => (None, "not asked for".to_owned()),
            Time::Failed(error) => (None, format!("failed: {error}")),
            Time::Estimated(estimate) => (
                Some(estimate.seconds),
                format!("{} of {} cohort keys measured", estimate.measured, estimate.keys),
            ),
        };
        json!({
            "kind": file.study.kind(),
            "name": file.name,
            "title": file.title,
            "description": file.description,
            "sha256": file.sha256,
            "seed": file.seed,
            "replicates": file.replicates,
            "arms": arms,
            "claims": file.claims.iter().map(|claim| &claim.name).collect::<Vec<_>>(),
            "runs": self.plan.runs.len(),
            "cohorts": cohorts,
            "steps": self.steps(),
            "step_unit": file.study.step_unit(),
            "device": named(&self.options.device),
            "workers": self.options.workers,
            "estimated_seconds": seconds,
            "calibration": calibration,
            "shards": self.shards.iter().map(|work| json!({
                "shard": work.shard.to_string(),
                "runs": work.runs,
                "kinds_of_cohort": work.kinds,
                "steps": work.steps,
                "share": work.share,
            })).collect::<Vec<_>>(),
        })
    }
}

/// Rows that are shown of a long table: so many from its start and its end.
const HEAD_ROWS: usize = 14;
const TAIL_ROWS: usize = 2;

/// A table; a long one loses its middle, with a note.
fn table(header: Vec<String>, rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    let rule = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().header_separator(rule));
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    let hidden = rows.len().saturating_sub(HEAD_ROWS + TAIL_ROWS);
    let tail = rows.len() - rows.len().min(TAIL_ROWS);
    for (index, row) in rows.iter().enumerate() {
        // One hidden row would take the same line as the dots.
        if hidden <= 1 || index < HEAD_ROWS || index >= tail {
            table.add_row(row);
        } else if index == HEAD_ROWS {
            table.add_row(vec!["…"; row.len()]);
        }
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    if hidden > 1 {
        text.push_str(&format!(
            "{} of {} rows are not shown; --format json lists all\n",
            separated(hidden as u64),
            separated(rows.len() as u64)
        ));
    }
    text
}

fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

fn named(device: &Device) -> String {
    match device {
        Device::Cpu => "cpu".to_owned(),
        Device::Gpu { index: None } => "wgpu".to_owned(),
        Device::Gpu { index: Some(index) } => format!("wgpu:{index}"),
    }
}

/// A number with a comma before every three digits.
fn separated(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds in units that suit an estimate.
fn duration(seconds: f64) -> String {
    let whole = seconds.ceil() as u64;
    let minutes = whole.div_ceil(60);
    match whole {
        0..=99 => format!("{whole} s"),
        100..=5_999 => format!("{minutes} min"),
        6_000..=172_799 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} days {} h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::{HEAD_ROWS, TAIL_ROWS, duration, separated, table};

    #[test]
    fn numbers_are_separated_by_thousands() {
        assert_eq!(separated(0), "0");
        assert_eq!(separated(999), "999");
        assert_eq!(separated(1_000), "1,000");
        assert_eq!(separated(999_424_000), "999,424,000");
    }

    #[test]
    fn durations_use_the_unit_that_fits() {
        assert_eq!(duration(0.2), "1 s");
        assert_eq!(duration(99.0), "99 s");
        assert_eq!(duration(150.0), "3 min");
        assert_eq!(duration(9_000.0), "2 h 30 min");
        assert_eq!(duration(200_000.0), "2 days 7 h");
    }

    #[test]
    fn long_tables_lose_their_middle_with_a_note() {
        let rows = |count: usize| (0..count).map(|row| vec![format!("row {row}")]).collect();
        let short = table(vec!["arm".into()], rows(HEAD_ROWS + TAIL_ROWS + 1));
        assert!(!short.contains('…') && short.contains("row 16"), "{short}");
        let long = table(vec!["arm".into()], rows(100));
        assert!(long.contains("row 13\n") && !long.contains("row 14\n"), "{long}");
        assert!(!long.contains("row 97") && long.contains("row 98") && long.contains("row 99"));
        assert!(long.ends_with("84 of 100 rows are not shown; --format json lists all\n"));
    }
}
