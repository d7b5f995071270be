//! `ceteris status`: how far a study is.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle};
use serde_json::json;

use crate::store::{Manifest, Results, ResultsDirectory, StoreError, Writer, describe_progress};
use crate::studies::CheckpointInfo;
use crate::study::{Plan, Shard};
use crate::submit::{Jobs, Queue, ShardState, Sharded, Task};

/// Shows how far a study is, and what wrote its results.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// The results directory.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = StatusFormat::Text)]
    pub format: StatusFormat,
}

/// How the status is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatusFormat {
    /// A table for people.
    Text,
    /// One JSON object for programs.
    Json,
}

/// A rule under the header and nothing else, which also reads well in a log.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::new('─', '─', '─', '─'));

/// Prints the status of a results directory.
///
/// # Errors
/// When the directory cannot be read, or nothing can be printed.
pub fn execute(args: &StatusArgs, out: &mut dyn Write) -> Result<(), Box<dyn Error + Send + Sync>> {
    match Sharded::read(&args.directory)? {
        Some(sharded) => {
            let queue = Queue::ask(&sharded.jobs);
            print_sharded(&sharded, &queue, args.format, out)
        }
        None => print(&ResultsDirectory::read(&args.directory)?, args.format, out),
    }
}

/// Prints the status of a study that was split into shards: all of them together, and each.
///
/// # Errors
/// When a part of `runs` is damaged, or nothing can be printed.
pub fn print_sharded(
    sharded: &Sharded,
    queue: &Queue,
    format: StatusFormat,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let statuses = sharded.statuses()?;
    let whole = sharded.whole.as_ref();
    let status = Status::of(
        &sharded.plan,
        &statuses,
        whole.map(Results::writing).transpose()?.flatten(),
        &sharded.all().collect::<Vec<_>>(),
    )?;
    let lines: Vec<ShardLine> = sharded
        .shards
        .iter()
        .map(|state| ShardLine::of(state, &statuses, queue, &sharded.jobs))
        .collect::<Result<_, StoreError>>()?;
    let mut writers: Vec<&Writer> = Vec::new();
    for writer in sharded.all().flat_map(|results| &results.manifest.writers) {
        if !writers.contains(&writer) {
            writers.push(writer);
        }
    }
    match format {
        StatusFormat::Text => {
            status.write_counts(&sharded.plan, out)?;
            if whole.is_none() {
                writeln!(out, "Nothing is merged yet.")?;
            }
            ShardLine::write_table(&lines, queue, out)?;
            if let Some(submission) = sharded.jobs.submissions.last() {
                let (array, shards) = (submission.array, &submission.shards);
                let after =
                    submission.finish.map(|job| format!(", then job {job} to merge and report"));
                let after = after.unwrap_or_default();
                writeln!(out, "Submitted last: job {array} for the shards {shards}{after}.")?;
            }
            if let Queue::Silent(said) = queue {
                writeln!(out, "Slurm does not answer: {said}")?;
            }
            for writer in writers {
                write_writer("Written by", writer, out)?;
            }
        }
        StatusFormat::Json => {
            let mut page = status.json(&sharded.plan, whole.map(|results| &results.manifest));
            page["shards"] = lines.iter().map(ShardLine::json).collect();
            page["writers"] = serde_json::to_value(&writers)?;
            page["submissions"] = serde_json::to_value(&sharded.jobs.submissions)?;
            writeln!(out, "{}", serde_json::to_string_pretty(&page)?)?;
        }
    }
    Ok(())
}

/// Prints the status of results.
///
/// # Errors
/// When a part of `runs` is damaged, or nothing can be printed.
pub fn print(
    results: &Results,
    format: StatusFormat,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let status = Status::of(&results.plan, &results.statuses()?, results.writing()?, &[results])?;
    match format {
        StatusFormat::Text => status.write_text(results, out)?,
        StatusFormat::Json => {
            let page = status.json(&results.plan, Some(&results.manifest));
            writeln!(out, "{}", serde_json::to_string_pretty(&page)?)?;
        }
    }
    Ok(())
}

/// Runs by how they stand.
#[derive(Clone, Copy, Default)]
struct Count {
    finished: usize,
    diverged: usize,
    to_do: usize,
}

impl Count {
    fn add(&mut self, status: Option<&str>) {
        match status {
            None => self.to_do += 1,
            Some("diverged") => self.diverged += 1,
            Some(_) => self.finished += 1,
        }
    }

    fn json(&self) -> serde_json::Value {
        json!({ "finished": self.finished, "diverged": self.diverged, "to_do": self.to_do })
    }
}

struct Status {
    /// One an arm, in the order of the study file.
    arms: Vec<Count>,
    /// Runs that arms share count once.
    total: Count,
    not_in_study: usize,
    in_training: Vec<CheckpointInfo>,
    writing: Option<String>,
    incomplete: usize,
}

impl Status {
    fn of(
        plan: &Plan,
        statuses: &BTreeMap<String, String>,
        writing: Option<String>,
        of: &[&Results],
    ) -> Result<Self, StoreError> {
        let status = |run: usize| statuses.get(plan.runs[run].id.as_ref()).map(String::as_str);
        let mut arms = vec![Count::default(); plan.file.arms.len()];
        for member in &plan.members {
            arms[member.arm].add(status(member.run));
        }
        let mut total = Count::default();
        for run in 0..plan.runs.len() {
            total.add(status(run));
        }
        let not_in_study = statuses.len() - total.finished - total.diverged;
        let mut in_training = Vec::new();
        for results in of {
            in_training.extend(results.in_training()?.into_iter().map(|(_, info)| info));
        }
        let incomplete = of.iter().map(|results| results.incomplete()).sum();
        Ok(Self { arms, total, not_in_study, in_training, writing, incomplete })
    }

    fn write_counts(&self, plan: &Plan, out: &mut dyn Write) -> std::io::Result<()> {
        let file = &plan.file;
        writeln!(out, "{} ({}, kind {})", file.title, file.name, file.study.kind())?;
        let mut table = Table::new();
        table.load_style(STYLE);
        let right = |count: usize| Cell::new(count).set_alignment(CellAlignment::Right);
        let row = |name: &str, count: &Count| {
            vec![Cell::new(name), right(count.finished), right(count.diverged), right(count.to_do)]
        };
        table.set_header(["arm", "finished", "diverged", "to do"]);
        for (arm, count) in file.arms.iter().zip(&self.arms) {
            table.add_row(row(&arm.name, count));
        }
        table.add_row(row("all runs", &self.total));
        writeln!(out, "{table}")?;

        let shared = plan.members.len() - plan.runs.len();
        if shared > 0 {
            writeln!(
                out,
                "{shared} replicates share their run with another arm's; `all runs` counts it once."
            )?;
        }
        if let Some(line) =
            describe_progress(["has a checkpoint", "have a checkpoint"], &self.in_training)
        {
            writeln!(out, "{line}.")?;
        }
        if self.not_in_study > 0 {
            writeln!(
                out,
                "{} more stored runs are not in this study file as this version reads it.",
                self.not_in_study
            )?;
        }
        Ok(())
    }

    fn write_text(&self, results: &Results, out: &mut dyn Write) -> std::io::Result<()> {
        let manifest = &results.manifest;
        self.write_counts(&results.plan, out)?;
        if self.incomplete > 0 && self.writing.is_none() {
            let sets = self.incomplete;
            writeln!(
                out,
                "{sets} incomplete part sets are left out; the next `ceteris run` clears them up."
            )?;
        }
        for file in results.foreign() {
            writeln!(out, "{} was not written by ceteris and is not read.", file.display())?;
        }
        match &self.writing {
            Some(holder) => writeln!(out, "Being written by {holder}.")?,
            None => writeln!(out, "No process is writing.")?,
        }
        writeln!(out, "Created {}, last modified {}.", manifest.created, manifest.modified)?;
        for (index, writer) in manifest.writers.iter().enumerate() {
            let heading = if index == manifest.last_writer { "Written by" } else { "Before by" };
            write_writer(heading, writer, out)?;
        }
        Ok(())
    }

    fn json(&self, plan: &Plan, manifest: Option<&Manifest>) -> serde_json::Value {
        let arms: Vec<serde_json::Value> = plan
            .file
            .arms
            .iter()
            .zip(&self.arms)
            .map(|(arm, counted)| {
                let mut arm = json!({ "arm": arm.name });
                if let (Some(arm), serde_json::Value::Object(counts)) =
                    (arm.as_object_mut(), counted.json())
                {
                    arm.extend(counts);
                }
                arm
            })
            .collect();
        json!({
            "study": {
                "kind": plan.file.study.kind(),
                "name": plan.file.name,
                "title": plan.file.title,
                "sha256": plan.file.sha256,
            },
            "arms": arms,
            "runs": self.total.json(),
            "in_training": self.in_training.iter().map(|info| json!({
                "iterations_done": info.done,
                "iterations": info.total,
            })).collect::<Vec<_>>(),
            "not_in_study": self.not_in_study,
            "incomplete_part_sets": self.incomplete,
            "writing": self.writing,
            "created": manifest.map(|manifest| &manifest.created),
            "modified": manifest.map(|manifest| &manifest.modified),
            "writers": manifest.map(|manifest| &manifest.writers),
        })
    }
}

/// How far a shard is.
struct ShardLine {
    shard: Shard,
    count: Count,
    begun: bool,
    writing: Option<String>,
    task: Option<Task>,
}

impl ShardLine {
    fn of(
        state: &ShardState,
        statuses: &BTreeMap<String, String>,
        queue: &Queue,
        jobs: &Jobs,
    ) -> Result<Self, StoreError> {
        let mut count = Count::default();
        for run in &state.plan.runs {
            count.add(statuses.get(run.id.as_ref()).map(String::as_str));
        }
        let results = state.results.as_ref();
        Ok(Self {
            shard: state.shard,
            count,
            begun: results.is_some(),
            writing: results.map(Results::writing).transpose()?.flatten(),
            task: queue.task(state.shard, jobs).cloned(),
        })
    }

    fn write_table(lines: &[Self], queue: &Queue, out: &mut dyn Write) -> std::io::Result<()> {
        let mut table = Table::new();
        table.load_style(STYLE);
        let mut header = vec!["shard", "finished", "diverged", "to do", "written by"];
        // The column tells nothing where there is no Slurm.
        let with_slurm = matches!(queue, Queue::Tasks(_));
        if with_slurm {
            header.push("Slurm");
        }
        table.set_header(header);
        let right = |count: usize| Cell::new(count).set_alignment(CellAlignment::Right);
        for line in lines {
            let count = &line.count;
            let writing = match &line.writing {
                Some(holder) => holder.clone(),
                None if line.begun || count.to_do == 0 => "nobody".to_owned(),
                None => "not begun".to_owned(),
            };
            let mut row = vec![
                Cell::new(line.shard),
                right(count.finished),
                right(count.diverged),
                right(count.to_do),
                Cell::new(writing),
            ];
            if with_slurm {
                row.push(Cell::new(line.task.as_ref().map(told).unwrap_or_default()));
            }
            table.add_row(row);
        }
        writeln!(out, "{table}")
    }

    fn json(&self) -> serde_json::Value {
        let task = self.task.as_ref().map(|task| {
            json!({
                "job": task.array,
                "task": task.index,
                "state": task.state,
                "nodes": task.nodes,
                "reason": task.reason,
            })
        });
        json!({
            "shard": self.shard.to_string(),
            "begun": self.begun,
            "runs": self.count.json(),
            "writing": self.writing,
            "slurm": task,
        })
    }
}

/// What Slurm says of a task, in a few words.
fn told(task: &Task) -> String {
    let mut text = format!("{}_{} {}", task.array, task.index, task.state);
    if !task.nodes.is_empty() {
        text.push_str(&format!(" on {}", task.nodes));
    }
    if !task.reason.is_empty() {
        text.push_str(&format!(" ({})", task.reason));
    }
    text
}

fn write_writer(heading: &str, writer: &Writer, out: &mut dyn Write) -> std::io::Result<()> {
    let (build, environment) = (&writer.build, &writer.environment);
    let dirty = if build.dirty == Some(true) { ", with changes" } else { "" };
    let driver =
        environment.device.driver.as_ref().map(|name| format!(", {name}")).unwrap_or_default();
    writeln!(
        out,
        "{heading} ceteris {} (commit {}{dirty}) for {}",
        build.ceteris_version, build.commit, build.target
    )?;
    writeln!(out, "  device  {}: {}{driver}", environment.device.kind, environment.device.name)?;
    writeln!(
        out,
        "  machine {}, {} ({})",
        environment.operating_system,
        environment.cpu.model,
        environment.cpu.features.join(" ")
    )
}
