//! Talking with Slurm: submitting, and what the queue says of submitted jobs.

use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::{FOLDER, SubmitError, replace};
use crate::study::Shard;

/// Name of the record of what was submitted.
const FILE: &str = "jobs.json";

/// The jobs of a results directory, in the order of their submission.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jobs {
    /// What every `ceteris submit slurm` submitted.
    pub submissions: Vec<Submission>,
}

/// What one `ceteris submit slurm` submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// Id of the array job.
    pub array: u64,
    /// Id of the job that merges and reports; null when Slurm refused it.
    pub finish: Option<u64>,
    /// Into how many shards the study is split.
    pub tasks: NonZeroU32,
    /// The shards that the array trains, such as `3,5-7`.
    pub shards: String,
}

impl Jobs {
    /// Reads the record of a results directory; an empty one where nothing was submitted.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn read(results: &Path) -> Result<Self, SubmitError> {
        let path = results.join(FOLDER).join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(SubmitError::file("read", &path)(error)),
        };
        serde_json::from_slice(&text)
            .map_err(|error| SubmitError::Jobs { path, detail: error.to_string() })
    }

    pub(super) fn write(&self, results: &Path) -> Result<(), SubmitError> {
        let path = results.join(FOLDER).join(FILE);
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| SubmitError::file("write", &path)(error.into()))?;
        replace(&path, &format!("{text}\n"))
    }
}

/// What Slurm says of a task of an array job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Id of the array job.
    pub array: u64,
    /// Its number in the array: that of its shard.
    pub index: u32,
    /// Its state, such as `RUNNING`.
    pub state: String,
    /// The nodes it runs or ran on; empty while it waits.
    pub nodes: String,
    /// Why it waits, such as `Priority`; empty where Slurm gives no reason.
    pub reason: String,
}

impl Task {
    /// Whether it waits or runs, so that its shard needs no other task.
    pub fn is_active(&self) -> bool {
        !matches!(
            self.state.as_str(),
            "COMPLETED"
                | "FAILED"
                | "CANCELLED"
                | "TIMEOUT"
                | "NODE_FAIL"
                | "BOOT_FAIL"
                | "DEADLINE"
                | "OUT_OF_MEMORY"
                | "PREEMPTED"
                | "REVOKED"
        )
    }
}

/// What Slurm says of the tasks of submitted jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queue {
    /// There are no submitted jobs, or no `squeue` to ask.
    Unknown,
    /// Slurm was asked and did not answer; with what it said instead.
    Silent(String),
    /// The tasks it knows, the latest of each shard.
    Tasks(Vec<Task>),
}

impl Queue {
    /// Asks `squeue`, and `sacct` for tasks that have left the queue where that is set up.
    pub fn ask(jobs: &Jobs) -> Self {
        let ids: Vec<String> = jobs.submissions.iter().map(|job| job.array.to_string()).collect();
        if ids.is_empty() {
            return Self::Unknown;
        }
        let ids = ids.join(",");
        let squeue = Command::new("squeue")
            .args(["--noheader", "--array", "--states=all", "--format=%F|%K|%T|%N|%r"])
            .arg(format!("--jobs={ids}"))
            .output();
        let mut tasks = match squeue {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::Unknown,
            Err(error) => return Self::Silent(error.to_string()),
            Ok(output) if output.status.success() => {
                parse_squeue(&String::from_utf8_lossy(&output.stdout))
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                // So it says when it has forgotten all of them.
                if !said.contains("Invalid job id") {
                    return Self::Silent(said);
                }
                Vec::new()
            }
        };
        // Without an accounting database this fails, and what is known is known.
        let sacct = Command::new("sacct")
            .args(["--noheader", "--parsable2", "--allocations", "--array"])
            .args(["--format=JobID,State,NodeList", &format!("--jobs={ids}")])
            .output();
        if let Ok(output) = sacct
            && output.status.success()
        {
            for task in parse_sacct(&String::from_utf8_lossy(&output.stdout)) {
                let same = |known: &Task| (known.array, known.index) == (task.array, task.index);
                if !tasks.iter().any(same) {
                    tasks.push(task);
                }
            }
        }
        Self::Tasks(latest(tasks, jobs))
    }

    /// What it says of a shard.
    pub fn task(&self, shard: Shard, jobs: &Jobs) -> Option<&Task> {
        let Self::Tasks(tasks) = self else { return None };
        // A task of another split has the number of the shard, but not its runs.
        let of_split = |task: &&Task| {
            jobs.submissions.iter().any(|submission| {
                submission.array == task.array && submission.tasks == shard.count()
            })
        };
        tasks.iter().filter(of_split).find(|task| task.index == shard.index())
    }
}

/// The task of the latest submission for every shard, in the order of the shards.
fn latest(tasks: Vec<Task>, jobs: &Jobs) -> Vec<Task> {
    let submitted =
        |task: &Task| jobs.submissions.iter().position(|submission| submission.array == task.array);
    let mut tasks: Vec<(Option<usize>, Task)> =
        tasks.into_iter().map(|task| (submitted(&task), task)).collect();
    tasks.sort_by_key(|(submission, task)| (task.index, std::cmp::Reverse(*submission)));
    tasks.dedup_by_key(|(_, task)| task.index);
    tasks.into_iter().map(|(_, task)| task).collect()
}

/// Reads lines of `array|index|state|nodes|reason`; the index of what is no array task is `N/A`.
fn parse_squeue(text: &str) -> Vec<Task> {
    let task = |line: &str| {
        let mut fields = line.trim().splitn(5, '|');
        let mut next = || fields.next().map(str::trim);
        let (array, index) = (next()?.parse().ok()?, next()?.parse().ok()?);
        let (state, nodes) = (next()?.to_owned(), next()?.to_owned());
        let reason = next().filter(|reason| *reason != "None").unwrap_or_default().to_owned();
        Some(Task { array, index, state, nodes, reason })
    };
    text.lines().filter_map(task).collect()
}

/// Reads lines of `array_index|state|nodes`; a state may be followed by who caused it.
fn parse_sacct(text: &str) -> Vec<Task> {
    let task = |line: &str| {
        let mut fields = line.trim().split('|');
        let (array, index) = fields.next()?.split_once('_')?;
        let state = fields.next()?.split(' ').next()?.to_owned();
        let nodes = fields.next().filter(|nodes| *nodes != "None assigned").unwrap_or_default();
        Some(Task {
            array: array.parse().ok()?,
            index: index.parse().ok()?,
            state,
            nodes: nodes.to_owned(),
            reason: String::new(),
        })
    };
    text.lines().filter_map(task).collect()
}

/// Submits a script, and gives the id of the job.
pub(super) fn sbatch(arguments: &[String], script: &Path) -> Result<u64, SubmitError> {
    let program = "sbatch";
    let output = match Command::new(program).args(arguments).arg(script).output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SubmitError::NoSlurm { program });
        }
        Err(error) => return Err(SubmitError::file("start", Path::new(program))(error)),
    };
    let printed = String::from_utf8_lossy(&output.stdout);
    // `id` or `id;cluster`.
    let id = printed.trim().split(';').next().and_then(|id| id.parse().ok());
    match id {
        Some(id) if output.status.success() => Ok(id),
        _ => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(SubmitError::Refused { program, said })
        }
    }
}

/// Numbers as Slurm lists them: `3,5-7`, with `%limit` where only so many tasks may run at once.
pub(super) fn task_list(numbers: &[u32], limit: Option<u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let written = ranges.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    });
    let mut list = written.collect::<Vec<_>>().join(",");
    if let Some(limit) = limit {
        list.push_str(&format!("%{limit}"));
    }
    list
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::{
        Jobs, Queue, Shard, Submission, Task, latest, parse_sacct, parse_squeue, task_list,
    };

    #[test]
    fn tasks_are_listed_as_ranges() {
        assert_eq!(task_list(&[1, 2, 3, 4, 5, 6, 7, 8], None), "1-8");
        assert_eq!(task_list(&[3, 5, 6, 7], Some(4)), "3,5-7%4");
        assert_eq!(task_list(&[1], None), "1");
        assert_eq!(task_list(&[1, 3, 4, 9], None), "1,3-4,9");
        assert_eq!(task_list(&[], None), "");
    }

    fn task(array: u64, index: u32, state: &str, nodes: &str, reason: &str) -> Task {
        let (state, nodes, reason) = (state.into(), nodes.into(), reason.into());
        Task { array, index, state, nodes, reason }
    }

    #[test]
    fn the_queue_is_read() {
        // What squeue 22.05 printed.
        let text = "1|2|PENDING||BeginTime\n1|1|RUNNING|n1|None\n1|3|CANCELLED|n2|None\n\
                    7|N/A|PENDING||Dependency\n";
        let tasks = parse_squeue(text);
        assert_eq!(
            tasks,
            [
                task(1, 2, "PENDING", "", "BeginTime"),
                task(1, 1, "RUNNING", "n1", ""),
                task(1, 3, "CANCELLED", "n2", ""),
            ]
        );
        assert_eq!(tasks.iter().map(Task::is_active).collect::<Vec<_>>(), [true, true, false]);
    }

    #[test]
    fn the_accounting_is_read() {
        // In the form that sacct's manual describes for --parsable2.
        let text = "12_1|COMPLETED|n1\n12_2|CANCELLED by 1000|None assigned\n13|COMPLETED|n1\n";
        assert_eq!(
            parse_sacct(text),
            [task(12, 1, "COMPLETED", "n1", ""), task(12, 2, "CANCELLED", "", "")]
        );
    }

    #[test]
    fn the_latest_submission_of_a_shard_counts() {
        let submission = |array| Submission {
            array,
            finish: None,
            tasks: NonZeroU32::new(2).unwrap(),
            shards: String::new(),
        };
        // Ids may start again at 1.
        let jobs = Jobs { submissions: vec![submission(9), submission(2)] };
        let tasks = vec![
            task(9, 1, "COMPLETED", "n1", ""),
            task(9, 2, "FAILED", "n1", ""),
            task(2, 2, "RUNNING", "n2", ""),
        ];
        let queue = Queue::Tasks(latest(tasks, &jobs));
        let array = |index, count| {
            queue.task(Shard::new(index, count).unwrap(), &jobs).map(|task| task.array)
        };
        assert_eq!((array(1, 2), array(2, 2)), (Some(9), Some(2)));
        // Of another split.
        assert_eq!(array(1, 3), None);
    }
}
