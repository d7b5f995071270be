//! `ceteris verify`: are the numbers in a results directory real?

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;

use super::run::{INTERRUPTED, Live, environment, stop_on_interrupt};
use super::{DeviceArg, default_workers, duration};
use crate::execute::{self, CheckpointOptions};
use crate::replay::{self, Choice};
use crate::store::{Difference, Integrity, Results, ResultsDirectory};
use crate::verify::{Outcome, Relation, Request, Sample, Verification, Verified, verify};

/// Checks a results directory: every file against the manifest (hash, size, rows, columns, types,
/// keys), and a sample of the runs by training them again from nothing but the study file that the
/// manifest keeps, comparing every table value by value.
///
/// Where the same program runs on the same kind of machine, every bit must be equal. On another target,
/// instruction set, dependency or device, values are compared within the tolerance that each table
/// states, and the difference is named.
///
/// Exit status: 0 when nothing is wrong, 3 when something is (a file or a number), 1 when it could not
/// be checked, 130 when interrupted.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// Results directory
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Train this many runs again, drawn at random
    #[arg(long, value_name = "N", conflicts_with_all = ["run", "all"],
          value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: Option<u32>,
    /// Train this run again; its first digits suffice. May be given several times
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    pub run: Vec<String>,
    /// Train every run again
    #[arg(long)]
    pub all: bool,
    /// Check the files only, train nothing
    #[arg(long, conflicts_with_all = ["runs", "run", "all", "budget"])]
    pub files_only: bool,
    /// Begin no training that would probably end later than this, such as 90s, 10m or 2h; by default
    /// 10m where neither --runs, --run nor --all is given, else no limit
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub budget: Option<Duration>,
    /// Draws the sample; another seed draws another one
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Where to train: cpu, wgpu, wgpu:N or auto
    #[arg(long, default_value_t = DeviceArg::Cpu)]
    pub device: DeviceArg,
    /// Threads; by default one a processor
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub workers: Option<u16>,
    /// Keep the results of the runs that were trained again in this new directory
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = VerifyFormat::Text)]
    pub format: VerifyFormat,
}

/// How the outcome is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VerifyFormat {
    /// Lines for people
    Text,
    /// One JSON object for programs
    Json,
}

/// Exit status when a file or a number is wrong.
const WRONG: u8 = 3;

/// Where nothing else is said.
const DEFAULT_BUDGET: Duration = Duration::from_secs(600);

/// Runs `ceteris verify`.
///
/// # Errors
/// When the directory cannot be read, a run is unknown, or training fails.
pub fn execute(
    args: &VerifyArgs,
    out: &mut dyn Write,
) -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let results = ResultsDirectory::read(&args.directory)?;
    let text = args.format == VerifyFormat::Text;
    let integrity = results.integrity()?;
    if text {
        print_files(&results, &integrity, out)?;
    }
    let verification = if args.files_only { None } else { Some(train(args, &results)?) };
    match (&verification, text) {
        (Some(verification), true) => print_runs(verification, out)?,
        (None, true) => {}
        (_, false) => {
            let all = json(&results, &integrity, verification.as_ref());
            writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
        }
    }
    let sound =
        integrity.defects.is_empty() && verification.as_ref().is_none_or(Verification::is_sound);
    Ok(if !sound {
        ExitCode::from(WRONG)
    } else if verification.is_some_and(|verification| verification.interrupted) {
        ExitCode::from(INTERRUPTED)
    } else {
        ExitCode::SUCCESS
    })
}

fn train(
    args: &VerifyArgs,
    results: &Results,
) -> Result<Verification, Box<dyn Error + Send + Sync>> {
    let sample = if args.all {
        Sample::All
    } else if !args.run.is_empty() {
        let find = |id: &String| replay::find(results, &Choice::Id(id.clone()));
        let found = args.run.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        Sample::These(found.into_iter().map(|found| found.run.id.clone()).collect())
    } else {
        args.runs.map_or(Sample::Budget, |runs| Sample::Some(runs as usize))
    };
    let options = execute::Options {
        device: args.device.resolve(),
        workers: args.workers.map_or_else(default_workers, usize::from),
        cohort_width: None,
        checkpoints: CheckpointOptions::default(),
        repeats: None,
    };
    let environment = environment(&options.device);
    let budget = args.budget.or((sample == Sample::Budget).then_some(DEFAULT_BUDGET));
    let request = Request { sample, seed: args.seed, budget, options, environment };
    let temporary;
    let scratch = match &args.keep {
        Some(path) if path.exists() => {
            return Err(format!("{} exists already; name a new directory", path.display()).into());
        }
        Some(path) => path.as_path(),
        None => {
            temporary = tempfile::tempdir()?;
            temporary.path()
        }
    };
    let stop = stop_on_interrupt()?;
    let live = Live::new(results.plan.file.study);
    let verification = verify(results, &request, scratch, &stop, &live);
    live.close();
    Ok(verification?)
}

fn print_files(results: &Results, found: &Integrity, out: &mut dyn Write) -> std::io::Result<()> {
    let study = &results.manifest.study;
    writeln!(out, "{} ({}, kind {})\n", study.title, study.name, study.kind)?;
    let (parts, tables) = (found.parts, found.tables);
    write!(out, "files     {parts} parts of {tables} tables, {}: ", HumanBytes(found.bytes))?;
    if found.defects.is_empty() {
        writeln!(out, "hashes, rows, columns and keys are as the manifest says")?;
    } else {
        writeln!(out, "WRONG")?;
    }
    for defect in &found.defects {
        writeln!(out, "          {defect}")?;
    }
    for note in &found.notes {
        writeln!(out, "          note: {note}")?;
    }
    let planned = results.plan.runs.len();
    write!(out, "runs      {} of {planned} stored", planned - found.missing)?;
    if found.not_in_study > 0 {
        write!(out, ", and {} that the study file does not ask for", found.not_in_study)?;
    }
    writeln!(out)
}

fn print_runs(found: &Verification, out: &mut dyn Write) -> std::io::Result<()> {
    let mut relations: Vec<&Relation> = Vec::new();
    for run in &found.runs {
        if !relations.contains(&&run.relation) {
            relations.push(&run.relation);
        }
    }
    for relation in &relations {
        print_relation(relation, out)?;
    }
    writeln!(
        out,
        "compared  {}; not {}, of which nothing is promised\n",
        found.tables.join(", "),
        if found.skipped.is_empty() { "others".into() } else { found.skipped.join(", ") }
    )?;
    for run in &found.runs {
        print_run(run, out)?;
    }
    writeln!(out)?;
    let (drawn, of) = (found.runs.len(), found.of);
    let identical = found.runs.iter().filter(|run| run.outcome == Outcome::Identical).count();
    let seconds = found.took.as_secs();
    let share = 100.0 * drawn as f64 / of.max(1) as f64;
    if found.is_sound() {
        write!(
            out,
            "VERIFIED: {drawn} of {of} runs ({share:.0} %) trained again in {seconds} s, "
        )?;
        if identical == drawn {
            writeln!(out, "every value has the same bits")?;
        } else {
            writeln!(
                out,
                "{identical} with the same bits, {} within the stated tolerance",
                drawn - identical
            )?;
        }
    } else {
        let wrong = found
            .runs
            .iter()
            .filter(|run| matches!(run.outcome, Outcome::Different { .. }))
            .count();
        writeln!(out, "NOT VERIFIED: {wrong} of {drawn} runs that were trained again differ")?;
    }
    if drawn < of && drawn > 0 {
        let altered = of.div_ceil(10);
        writeln!(
            out,
            "Had {altered} of the {of} runs been altered, such a sample would have found one with a \
             probability of {:.0} %.",
            100.0 * found.would_find(altered)
        )?;
    }
    if found.interrupted {
        writeln!(out, "Interrupted: what was not finished is not compared.")?;
    } else if found.ended_by_budget {
        writeln!(out, "More did not fit into the time; --budget 1h or --all trains more.")?;
    }
    Ok(())
}

fn print_relation(relation: &Relation, out: &mut dyn Write) -> std::io::Result<()> {
    if relation.is_same_code() {
        writeln!(out, "code      the same as then")?;
    } else {
        let code = relation.code.join("; ");
        writeln!(
            out,
            "code      {code}; numerics of the same version, so nothing may differ by it"
        )?;
    }
    if relation.allows_other_bits() {
        for difference in &relation.machine {
            writeln!(out, "machine   {difference}")?;
        }
        writeln!(
            out,
            "          bits may differ: values are compared within each table's tolerance"
        )
    } else {
        writeln!(
            out,
            "machine   the same target, instruction sets and numeric dependencies: every bit must be \
             equal"
        )
    }
}

fn print_run(run: &Verified, out: &mut dyn Write) -> std::io::Result<()> {
    let rows = HumanCount(run.rows as u64);
    let name = format!("{} {}, replicate {}", run.run, run.arm, run.replicate);
    match &run.outcome {
        Outcome::Identical => writeln!(out, "  same bits   {name}: {rows} rows"),
        Outcome::Within { first } => {
            writeln!(
                out,
                "  in tolerance {name}: {rows} rows; first other bits: {}",
                described(first)
            )
        }
        Outcome::Different { differences } => {
            writeln!(out, "  DIFFERENT   {name}")?;
            for difference in differences {
                writeln!(
                    out,
                    "              {} of {} rows of {} differ, first {}",
                    difference.rows,
                    difference.of,
                    difference.table,
                    described(difference)
                )?;
            }
            let meaning = if run.relation.allows_other_bits() {
                "beyond what is promised of other machines: a defect, or an altered number"
            } else if run.relation.is_same_code() {
                "same program, same kind of machine: a defect of ceteris, or an altered number"
            } else {
                "the code is another: build the commit of then and verify again, to tell an altered \
                 number from a change of the code"
            };
            writeln!(out, "              {meaning}")
        }
    }
}

/// A difference in a line.
fn described(difference: &Difference) -> String {
    let Difference { table, row, column, left, right, .. } = difference;
    match column {
        Some(column) => format!("{table}.{column} at {row}: {left} stored, {right} now"),
        None => format!("{table} at {row}: {left} stored, {right} now"),
    }
}

fn json(
    results: &Results,
    integrity: &Integrity,
    verification: Option<&Verification>,
) -> serde_json::Value {
    let difference = |found: &Difference| {
        json!({
            "table": found.table,
            "row": found.row,
            "column": found.column,
            "stored": found.left,
            "now": found.right,
            "rows": found.rows,
            "of": found.of,
        })
    };
    let run = |run: &Verified| {
        let (outcome, differences) = match &run.outcome {
            Outcome::Identical => ("identical", Vec::new()),
            Outcome::Within { first } => ("within tolerance", vec![difference(first)]),
            Outcome::Different { differences } => {
                ("different", differences.iter().map(difference).collect())
            }
        };
        json!({
            "run_id": run.run.to_string(),
            "arm": run.arm,
            "replicate": run.replicate,
            "outcome": outcome,
            "differences": differences,
            "rows": run.rows,
            "code": run.relation.code,
            "machine": run.relation.machine,
        })
    };
    let trained = verification.map(|found| {
        json!({
            "runs": found.runs.iter().map(run).collect::<Vec<_>>(),
            "of": found.of,
            "tables": found.tables,
            "not_compared": found.skipped,
            "sound": found.is_sound(),
            "ended_by_budget": found.ended_by_budget,
            "interrupted": found.interrupted,
            "seconds": found.took.as_secs_f64(),
        })
    });
    json!({
        "study": { "kind": results.manifest.study.kind, "name": results.manifest.study.name },
        "files": {
            "parts": integrity.parts,
            "bytes": integrity.bytes,
            "stored": integrity.stored,
            "missing": integrity.missing,
            "not_in_study": integrity.not_in_study,
            "defects": integrity.defects,
            "notes": integrity.notes,
        },
        "trained": trained,
    })
}
