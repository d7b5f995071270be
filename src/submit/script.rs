//! The text of batch scripts.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::path::Path;

use super::{FOLDER, SubmitError};

/// What a task asks Slurm for, in Slurm's own notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Processors, each of which runs one worker.
    pub cpus: u16,
    /// Memory, such as `4G`.
    pub memory: String,
    /// Time limit, such as `12:00:00`.
    pub time: String,
    /// Partition, where the default one will not do.
    pub partition: Option<String>,
    /// Account, where the default one will not do.
    pub account: Option<String>,
    /// GPUs.
    pub gpus: Option<u16>,
    /// How many tasks may run at the same time.
    pub array_limit: Option<u32>,
    /// Further arguments of `sbatch`, such as `--qos=low`.
    pub further: Vec<String>,
}

/// Everything that the scripts of a study depend on.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    /// Name of the study.
    pub study: &'a str,
    /// Its results directory, as an absolute path.
    pub results: &'a Path,
    /// The program that tasks start, as an absolute path.
    pub program: &'a Path,
    /// Into how many shards the study is split.
    pub tasks: NonZeroU32,
    /// What a task asks for.
    pub resources: &'a Resources,
    /// Further arguments of `ceteris run`.
    pub arguments: &'a [String],
}

impl Script<'_> {
    /// The script of the array job: one task a shard.
    ///
    /// The study runs in a job step, because Slurm sends the signal before the time limit to steps
    /// (the batch shell itself would only get it with `--signal=B:`) and, when a job is cancelled
    /// or requeued, ends the shell before it could requeue anything.
    ///
    /// # Errors
    /// When a path cannot be written in a script.
    pub fn array(&self) -> Result<String, SubmitError> {
        let Resources { cpus, memory, time, gpus, array_limit, .. } = self.resources;
        let tasks = self.tasks;
        let mut text = self.heading(&format!(
            "# Trains the study {}, one shard a task. `ceteris submit slurm` wrote this file.",
            self.study
        ));
        directive(&mut text, &format!("--job-name=ceteris-{}", self.study));
        let limit = array_limit.map(|limit| format!("%{limit}")).unwrap_or_default();
        directive(&mut text, &format!("--array=1-{tasks}{limit}"));
        directive(&mut text, "--ntasks=1");
        directive(&mut text, &format!("--cpus-per-task={cpus}"));
        directive(&mut text, &format!("--mem={memory}"));
        directive(&mut text, &format!("--time={time}"));
        if let Some(gpus) = gpus {
            directive(&mut text, &format!("--gpus={gpus}"));
        }
        self.place(&mut text);
        directive(&mut text, "--requeue");
        directive(&mut text, "--open-mode=append");
        directive(&mut text, "--signal=TERM@90");
        directive(&mut text, &format!("--output={}", self.log("%A_%a.log")?));
        text.push_str(&self.variables()?);
        let mut further = String::new();
        for argument in self.arguments {
            let _ = write!(further, " {}", shell(argument));
        }
        let _ = write!(
            text,
            r#"
# srun does not take the number of processors from the job by itself.
srun --ntasks=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" "$ceteris" run "$results/slurm/study.toml" \
    --out "$results" --shard "$SLURM_ARRAY_TASK_ID/{tasks}" --workers "$SLURM_CPUS_PER_TASK"{further}
status=$?

# 130: asked to stop, {GRACE} before the time limit. The task goes back into the queue and then
# continues from what is stored; without the requeue it counts as failed.
if [ "$status" -eq 130 ]; then
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"
fi
exit "$status"
"#
        );
        Ok(text)
    }

    /// The script of the job after the array: merges the shards, and reports.
    ///
    /// # Errors
    /// When a path cannot be written in a script.
    pub fn finish(&self) -> Result<String, SubmitError> {
        let Resources { cpus, memory, .. } = self.resources;
        let mut text = self.heading(&format!(
            "# Merges the shards of the study {}, and reports. `ceteris submit slurm` wrote this file.",
            self.study
        ));
        directive(&mut text, &format!("--job-name=ceteris-{}-finish", self.study));
        directive(&mut text, "--ntasks=1");
        directive(&mut text, &format!("--cpus-per-task={cpus}"));
        directive(&mut text, &format!("--mem={memory}"));
        directive(&mut text, "--time=01:00:00");
        self.place(&mut text);
        directive(&mut text, "--requeue");
        directive(&mut text, "--open-mode=append");
        directive(&mut text, &format!("--output={}", self.log("finish-%j.log")?));
        text.push_str(&self.variables()?);
        text.push_str(
            r#"
"$ceteris" merge --out "$results" && "$ceteris" report "$results"
"#,
        );
        Ok(text)
    }

    fn heading(&self, comment: &str) -> String {
        format!("#!/bin/bash\n{comment}\n")
    }

    /// Where both jobs run.
    fn place(&self, text: &mut String) {
        let Resources { partition, account, further, .. } = self.resources;
        if let Some(partition) = partition {
            directive(text, &format!("--partition={partition}"));
        }
        if let Some(account) = account {
            directive(text, &format!("--account={account}"));
        }
        for argument in further {
            directive(text, argument);
        }
    }

    /// A log file, as a directive names it.
    fn log(&self, name: &str) -> Result<String, SubmitError> {
        let folder = plain(self.results)?.replace('%', "%%").replace('"', "\\\"");
        Ok(format!("\"{folder}/{FOLDER}/{name}\""))
    }

    fn variables(&self) -> Result<String, SubmitError> {
        let (program, results) = (shell(plain(self.program)?), shell(plain(self.results)?));
        Ok(format!("\nceteris={program}\nresults={results}\n"))
    }
}

/// How long before the time limit a task is asked to stop; the same as in `--signal=TERM@90`.
const GRACE: &str = "90 seconds";

fn directive(text: &mut String, argument: &str) {
    let _ = writeln!(text, "#SBATCH {argument}");
}

/// The text of a path that a directive can name.
fn plain(path: &Path) -> Result<&str, SubmitError> {
    match path.to_str() {
        Some(text) if !text.contains(['\n', '\r', '\\']) => Ok(text),
        _ => Err(SubmitError::Path { path: path.into() }),
    }
}

/// A word that the shell takes as it is.
fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::path::Path;

    use super::{Resources, Script, shell};

    fn resources() -> Resources {
        Resources {
            cpus: 4,
            memory: "3G".into(),
            time: "02:30:00".into(),
            partition: None,
            account: None,
            gpus: None,
            array_limit: None,
            further: Vec::new(),
        }
    }

    fn script<'a>(
        results: &'a Path,
        resources: &'a Resources,
        further: &'a [String],
    ) -> Script<'a> {
        Script {
            study: "reward-scaling",
            results,
            program: Path::new("/opt/ceteris/bin/ceteris"),
            tasks: NonZeroU32::new(8).unwrap(),
            resources,
            arguments: further,
        }
    }

    #[test]
    fn the_script_of_the_array_job() {
        let further = ["--device".to_owned(), "wgpu".to_owned()];
        let resources = Resources {
            partition: Some("gpu".into()),
            account: Some("lab".into()),
            gpus: Some(1),
            array_limit: Some(3),
            further: vec!["--qos=low".into()],
            ..resources()
        };
        let results = Path::new("/scratch/it's \"100%\" mine/results");
        assert_eq!(
            script(results, &resources, &further).array().unwrap(),
            r#"#!/bin/bash
# Trains the study reward-scaling, one shard a task. `ceteris submit slurm` wrote this file.
#SBATCH --job-name=ceteris-reward-scaling
#SBATCH --array=1-8%3
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=3G
#SBATCH --time=02:30:00
#SBATCH --gpus=1
#SBATCH --partition=gpu
#SBATCH --account=lab
#SBATCH --qos=low
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@90
#SBATCH --output="/scratch/it's \"100%%\" mine/results/slurm/%A_%a.log"

ceteris='/opt/ceteris/bin/ceteris'
results='/scratch/it'\''s "100%" mine/results'

# srun does not take the number of processors from the job by itself.
srun --ntasks=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" "$ceteris" run "$results/slurm/study.toml" \
    --out "$results" --shard "$SLURM_ARRAY_TASK_ID/8" --workers "$SLURM_CPUS_PER_TASK" '--device' 'wgpu'
status=$?

# 130: asked to stop, 90 seconds before the time limit. The task goes back into the queue and then
# continues from what is stored; without the requeue it counts as failed.
if [ "$status" -eq 130 ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit "$status"
"#
        );
    }

    #[test]
    fn the_script_of_the_job_after_it() {
        assert_eq!(
            script(Path::new("/scratch/results"), &resources(), &[]).finish().unwrap(),
            r#"#!/bin/bash
# Merges the shards of the study reward-scaling, and reports. `ceteris submit slurm` wrote this file.
#SBATCH --job-name=ceteris-reward-scaling-finish
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=3G
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output="/scratch/results/slurm/finish-%j.log"

ceteris='/opt/ceteris/bin/ceteris'
results='/scratch/results'

"$ceteris" merge --out "$results" && "$ceteris" report "$results"
"#
        );
    }

    #[test]
    fn paths_that_a_script_cannot_name_are_refused() {
        for path in ["/a\nb", "/a\\b"] {
            let error = script(Path::new(path), &resources(), &[]).array().unwrap_err();
            assert!(error.to_string().contains("choose another path"), "{error}");
        }
    }

    #[test]
    fn the_shell_takes_words_as_they_are() {
        let words = ["", "a b", "it's", "$HOME `id` \"x\" \\", "*"];
        for word in words {
            let command = format!("printf %s {}", shell(word));
            let output = std::process::Command::new("sh").args(["-c", &command]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
