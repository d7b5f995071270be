//! `ceteris status`: how far a study is.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle};
use serde_json::json;

use crate::store::{Results, ResultsDirectory, Writer, describe_progress};
use crate::studies::CheckpointInfo;

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
    print(&ResultsDirectory::read(&args.directory)?, args.format, out)
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
    let status = Status::of(results)?;
    match format {
        StatusFormat::Text => status.write_text(results, out)?,
        StatusFormat::Json => {
            writeln!(out, "{}", serde_json::to_string_pretty(&status.json(results))?)?;
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
}

struct Status {
    /// One an arm, in the order of the study file.
    arms: Vec<Count>,
    /// Runs that arms share count once.
    total: Count,
    not_in_study: usize,
    in_training: Vec<CheckpointInfo>,
    writing: Option<String>,
}

impl Status {
    fn of(results: &Results) -> Result<Self, crate::store::StoreError> {
        let statuses = results.statuses()?;
        let plan = &results.plan;
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
        let in_training = results.in_training()?.into_iter().map(|(_, info)| info).collect();
        Ok(Self { arms, total, not_in_study, in_training, writing: results.writing()? })
    }

    fn write_text(&self, results: &Results, out: &mut dyn Write) -> std::io::Result<()> {
        let manifest = &results.manifest;
        let study = &manifest.study;
        writeln!(out, "{} ({}, kind {})", study.title, study.name, study.kind)?;
        let mut table = Table::new();
        table.load_style(STYLE);
        let right = |count: usize| Cell::new(count).set_alignment(CellAlignment::Right);
        let row = |name: &str, count: &Count| {
            vec![Cell::new(name), right(count.finished), right(count.diverged), right(count.to_do)]
        };
        table.set_header(["arm", "finished", "diverged", "to do"]);
        for (arm, count) in results.plan.file.arms.iter().zip(&self.arms) {
            table.add_row(row(&arm.name, count));
        }
        table.add_row(row("all runs", &self.total));
        writeln!(out, "{table}")?;

        let shared = results.plan.members.len() - results.plan.runs.len();
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
        if results.incomplete() > 0 && self.writing.is_none() {
            let sets = results.incomplete();
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

    fn json(&self, results: &Results) -> serde_json::Value {
        let manifest = &results.manifest;
        let count = |count: &Count| {
            json!({
                "finished": count.finished,
                "diverged": count.diverged,
                "to_do": count.to_do,
            })
        };
        let arms: Vec<serde_json::Value> = results
            .plan
            .file
            .arms
            .iter()
            .zip(&self.arms)
            .map(|(arm, counted)| {
                let mut arm = json!({ "arm": arm.name });
                if let (Some(arm), serde_json::Value::Object(counts)) =
                    (arm.as_object_mut(), count(counted))
                {
                    arm.extend(counts);
                }
                arm
            })
            .collect();
        json!({
            "study": {
                "kind": manifest.study.kind,
                "name": manifest.study.name,
                "title": manifest.study.title,
                "sha256": manifest.study.sha256,
            },
            "arms": arms,
            "runs": count(&self.total),
            "in_training": self.in_training.iter().map(|info| json!({
                "iterations_done": info.done,
                "iterations": info.total,
            })).collect::<Vec<_>>(),
            "not_in_study": self.not_in_study,
            "incomplete_part_sets": results.incomplete(),
            "writing": self.writing,
            "created": manifest.created,
            "modified": manifest.modified,
            "writers": manifest.writers,
        })
    }
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
