//! `ceteris submit`: train a study on a cluster.

use std::error::Error;
use std::io::Write;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{DeviceArg, plan::estimate, run::every};
use crate::execute::{CheckpointOptions, Options, schedule};
use crate::studies::Device;
use crate::study::{Plan, Position, Run, Shard, StudyFile, cohorts, plan};
use crate::submit::{self, Prepared, Request, Resources};

/// Arguments of `ceteris submit`.
#[derive(Args, Debug)]
pub struct SubmitArgs {
    #[command(subcommand)]
    engine: Engine,
}

#[derive(Debug, Subcommand)]
enum Engine {
    /// Submit a study to Slurm: an array job of shards, then a job that merges and reports
    #[command(long_about = SLURM)]
    Slurm(SlurmArgs),
}

const SLURM: &str = "\
Submits a study to Slurm: an array job with one task a shard, then a job that merges the shards \
into DIR and writes the report when every task has ended well.

The scripts, a copy of the study file, the ids of the jobs and their logs are in DIR/slurm; the \
shards are in DIR/shards. DIR and the ceteris program must be on a file system that the nodes \
share. A task that is pre-empted, loses its node or comes near its time limit goes back into the \
queue and continues from what it has stored. Submitting again submits the shards that are neither \
complete nor in the queue. `ceteris status DIR` shows all shards and what Slurm says of them.";

/// Arguments of `ceteris submit slurm`.
#[derive(Args, Debug)]
pub struct SlurmArgs {
    /// Study file
    pub file: PathBuf,
    /// Results directory; by default `out/NAME` with the study's name
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Shards, one a task; by default as many as before, or as the study has cohorts, at most 1000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub tasks: Option<u32>,
    /// Processors of a task, each for one worker
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub cpus_per_task: u16,
    /// Memory of a task; by default 1 GiB and half a GiB for each processor
    #[arg(long, value_name = "SIZE", value_parser = word)]
    pub mem: Option<String>,
    /// Time limit of a task, such as 12:00:00; by default three times what a short measurement here
    /// makes the largest shard to need, and ten minutes
    #[arg(long, value_name = "TIME", value_parser = word)]
    pub time: Option<String>,
    /// Partition
    #[arg(long, value_parser = word)]
    pub partition: Option<String>,
    /// Account
    #[arg(long, value_parser = word)]
    pub account: Option<String>,
    /// GPUs of a task; goes with --device wgpu
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub gpus: Option<u16>,
    /// How many tasks may run at the same time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub array_limit: Option<u32>,
    /// A further argument of sbatch for both jobs, such as --sbatch-arg=--qos=low
    #[arg(long, value_name = "ARG", value_parser = line, allow_hyphen_values = true)]
    pub sbatch_arg: Vec<String>,
    /// Where tasks train: cpu, wgpu, wgpu:N or auto
    #[arg(long, default_value_t = DeviceArg::Cpu)]
    pub device: DeviceArg,
    /// Most runs in one tensor program; by default what suits the device
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub cohort_width: Option<u16>,
    /// How often runs in training are kept, as in `ceteris run`
    #[arg(long, value_name = "TIME", value_parser = every_text)]
    pub checkpoint_every: Option<String>,
    /// Keep every trained run, as in `ceteris run`
    #[arg(long)]
    pub keep_checkpoints: bool,
    /// Write the scripts and show how they would be submitted, but do not submit them
    #[arg(long)]
    pub dry_run: bool,
}

/// A value without spaces, because it becomes part of a line of a script.
fn word(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(|letter: char| letter.is_whitespace() || letter == '#') {
        return Err("expected a value without spaces".into());
    }
    Ok(text.to_owned())
}

/// A time that `ceteris run` takes.
fn every_text(text: &str) -> Result<String, String> {
    every(text).map(|_| text.to_owned())
}

fn line(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(char::is_control) {
        return Err("expected one line".into());
    }
    Ok(text.to_owned())
}

/// Runs the subcommand.
///
/// # Errors
/// When the study file is not valid, the directory holds something else, or Slurm refuses.
pub fn execute(args: &SubmitArgs, out: &mut dyn Write) -> Result<(), Box<dyn Error + Send + Sync>> {
    let Engine::Slurm(args) = &args.engine;
    if args.gpus.is_some() && args.device == DeviceArg::Cpu {
        return Err("--gpus asks for GPUs that --device cpu does not use; add --device wgpu".into());
    }
    let plan = plan(StudyFile::read(&args.file)?);
    let results = args.out.clone().unwrap_or_else(|| PathBuf::from("out").join(&plan.file.name));
    let tasks = match args.tasks.and_then(NonZeroU32::new) {
        Some(tasks) => tasks,
        None => submit::split_before(&results)?.unwrap_or_else(|| default_tasks(&plan, args)),
    };
    let time = match &args.time {
        Some(time) => time.clone(),
        None => default_time(&plan, tasks, args)?,
    };
    let memory = 1024 + 512 * u32::from(args.cpus_per_task);
    let resources = Resources {
        cpus: args.cpus_per_task,
        memory: args.mem.clone().unwrap_or_else(|| format!("{memory}M")),
        time,
        partition: args.partition.clone(),
        account: args.account.clone(),
        gpus: args.gpus,
        array_limit: args.array_limit,
        further: args.sbatch_arg.clone(),
    };
    let mut arguments = Vec::new();
    if args.device != DeviceArg::Cpu {
        arguments.extend(["--device".to_owned(), args.device.to_string()]);
    }
    if let Some(width) = args.cohort_width {
        arguments.extend(["--cohort-width".to_owned(), width.to_string()]);
    }
    if let Some(every) = &args.checkpoint_every {
        arguments.extend(["--checkpoint-every".to_owned(), every.clone()]);
    }
    if args.keep_checkpoints {
        arguments.push("--keep-checkpoints".to_owned());
    }
    let program = std::env::current_exe()?;
    let request = Request {
        plan: &plan,
        results: &results,
        tasks,
        resources: &resources,
        arguments: &arguments,
        program: &program,
    };
    let prepared = submit::prepare(&request, !args.dry_run)?;
    finish(prepared, tasks, &resources, args.dry_run, out)
}

fn finish(
    prepared: Prepared,
    tasks: NonZeroU32,
    resources: &Resources,
    dry_run: bool,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let results = prepared.results.display().to_string();
    if prepared.complete > 0 || prepared.in_queue > 0 {
        let (complete, in_queue) = (prepared.complete, prepared.in_queue);
        writeln!(out, "of {tasks} shards, {complete} are complete, {in_queue} are in the queue")?;
    }
    if prepared.shards.is_empty() {
        writeln!(out, "nothing to submit")?;
        if prepared.in_queue == 0 {
            writeln!(
                out,
                "`ceteris merge --out {results}` and `ceteris report {results}` show the results"
            )?;
        }
        return Ok(());
    }
    let asked = format!(
        "{} of {tasks} shards, each with {} {}, {} of memory and {} of time",
        prepared.shards.len(),
        resources.cpus,
        if resources.cpus == 1 { "processor" } else { "processors" },
        resources.memory,
        resources.time
    );
    if dry_run {
        let line = |arguments: Vec<String>, script: &std::path::Path| {
            format!("sbatch {} {:?}", arguments.join(" "), script)
        };
        writeln!(out, "would submit {asked}:")?;
        writeln!(out, "  {}", line(prepared.array_arguments(), &prepared.array))?;
        writeln!(out, "  {}", line(prepared.finish_arguments("ARRAY"), &prepared.finish))?;
        writeln!(out, "where ARRAY is the id that the first command prints")?;
        return Ok(());
    }
    let submission = prepared.submit()?;
    writeln!(out, "submitted {asked}: job {}", submission.array)?;
    if let Some(job) = submission.finish {
        writeln!(out, "job {job} merges and reports after them")?;
    }
    writeln!(out, "`ceteris status {results}` shows how far they are; logs in {results}/slurm")?;
    Ok(())
}

/// A shard for each cohort, so that a task trains whole tensor programs; no more than the largest
/// array that Slurm takes unless its administrator changes that.
fn default_tasks(plan: &Plan, args: &SlurmArgs) -> NonZeroU32 {
    let study = plan.file.study;
    let runs: Vec<&Run> = plan.runs.iter().collect();
    let device = args.device.on_a_node();
    let width = args.cohort_width.map_or_else(|| study.cohort_width(&device), usize::from);
    let count = cohorts(study, &runs, &|_| Position::default(), width, 1).len().clamp(1, 1000);
    u32::try_from(count).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}

/// Three times the estimated time of the largest shard, and ten minutes: nodes are slower than
/// login nodes, or shared. A limit that is too short costs no result, because tasks that come near
/// it go back into the queue.
fn default_time(
    plan: &Plan,
    tasks: NonZeroU32,
    args: &SlurmArgs,
) -> Result<String, Box<dyn Error + Send + Sync>> {
    if args.device.on_a_node() != Device::Cpu {
        return Err("the time on a GPU cannot be estimated here; give --time".into());
    }
    let study = plan.file.study;
    let mut work = vec![0.0; tasks.get() as usize];
    for (run, shard) in plan.runs.iter().zip(plan.shard_of_runs(tasks)) {
        work[shard as usize] += study.cost(&run.configuration).weight;
    }
    let largest = Shard::all(tasks)
        .zip(work)
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
        .map(|(shard, _)| plan.of_shard(shard));
    let Some(shard) = largest.filter(|shard| !shard.runs.is_empty()) else {
        return Ok("00:20:00".into());
    };
    let options = Options {
        device: Device::Cpu,
        workers: usize::from(args.cpus_per_task),
        cohort_width: args.cohort_width.map(usize::from),
        checkpoints: CheckpointOptions::default(),
        repeats: None,
    };
    let runs: Vec<&Run> = shard.runs.iter().collect();
    let seconds = estimate(&shard, &schedule(study, &runs, &options), &options)
        .map_err(|error| format!("the time cannot be estimated ({error}); give --time"))?
        .seconds;
    Ok(time_limit(seconds))
}

/// Three times as many seconds and ten minutes, rounded up to ten minutes, as `hours:minutes:00`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn time_limit(seconds: f64) -> String {
    let minutes = ((3.0 * seconds / 600.0).ceil() as u64 + 1) * 10;
    format!("{:02}:{:02}:00", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::{line, time_limit, word};

    #[test]
    fn time_limits_are_generous_and_round() {
        assert_eq!(time_limit(0.0), "00:10:00");
        assert_eq!(time_limit(1.0), "00:20:00");
        assert_eq!(time_limit(200.0), "00:20:00");
        assert_eq!(time_limit(201.0), "00:30:00");
        assert_eq!(time_limit(36_000.0), "30:10:00");
    }

    #[test]
    fn values_cannot_break_a_script() {
        assert!(word("4G").is_ok());
        for text in ["", "4 G", "4G\n#SBATCH --x", "a#b"] {
            assert!(word(text).is_err(), "{text}");
        }
        assert!(line("--constraint=a b").is_ok());
        for text in ["", "a\nrm -rf"] {
            assert!(line(text).is_err(), "{text}");
        }
    }
}
