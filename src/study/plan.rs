//! From a study file to runs with identities, and from runs to cohorts.

use std::collections::BTreeMap;
use std::fmt;

use flags::{Kind, Value};
use sha2::{Digest, Sha256};

use super::file::{ArmLevel, StudyFile};
use crate::studies::{Configuration, Study};

/// Identity of a run: 20 lower-case hexadecimal digits.
///
/// It is the beginning of a hash over everything that decides a run's numbers: the study's kind
/// and numerics version, the study seed, the replicate and the resolved value of every field. What
/// does not (names of arms, order of keys, titles) is left out, so that editing a study file
/// re-runs only what changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(String);

impl RunId {
    /// The identity of a replicate of a configuration.
    pub fn of(
        study: &dyn Study,
        study_seed: u64,
        replicate: u64,
        configuration: &Configuration,
    ) -> Self {
        let mut text = format!(
            "kind={}\nnumerics_version={}\nseed={study_seed}\nreplicate={replicate}\n",
            study.kind(),
            study.numerics_version(),
        );
        for (field, value) in configuration.iter() {
            text.push_str(field.name);
            text.push('=');
            canonical(field.kind, value, &mut text);
            text.push('\n');
        }
        let mut digits = hex(&Sha256::digest(text.as_bytes()));
        digits.truncate(20);
        Self(digits)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for RunId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Writes a value so that different values give different texts.
fn canonical(kind: Kind, value: &Value, text: &mut String) {
    match value {
        // A whole number in a field of numbers is that number: 1 and 1.0 are one value.
        Value::Integer(integer) if matches!(kind, Kind::Float | Kind::OptionalFloat) => {
            #[allow(clippy::cast_precision_loss)]
            canonical(kind, &Value::Float(*integer as f64), text);
        }
        // Quoted and escaped, so that no string can imitate the next line.
        Value::Text(string) => text.push_str(&format!("{string:?}")),
        Value::List(values) => {
            text.push('[');
            for value in values {
                canonical(kind, value, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Bool(_) | Value::Integer(_) | Value::Float(_) => text.push_str(&value.to_string()),
    }
}

/// Lower-case hexadecimal digits of bytes.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One arm with one seed: the unit that is trained, stored, resumed and verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its identity.
    pub id: RunId,
    /// The arm it belongs to; the first of them where arms share their configuration.
    pub arm: String,
    /// That arm's level of every factor; empty for a named arm.
    pub levels: Vec<ArmLevel>,
    /// Its number, which seeds it together with the study seed.
    pub replicate: u64,
    /// Its resolved configuration.
    pub configuration: Configuration,
}

/// A replicate of an arm, and the run that provides its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Index into [`StudyFile::arms`].
    pub arm: usize,
    /// The replicate.
    pub replicate: u64,
    /// Index into [`Plan::runs`].
    pub run: usize,
}

/// Everything that a study file asks for.
///
/// Runs come replicate by replicate, and within one in the order of the arms: a study that is
/// stopped early then has the same replicates of every arm, which is what paired contrasts need.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The study file.
    pub file: StudyFile,
    /// The runs, each identity once.
    pub runs: Vec<Run>,
    /// Every arm's replicates; arms with equal configurations share runs.
    pub members: Vec<Member>,
}

impl Plan {
    /// The plan of some of the runs, by their position: the same study file, and these runs in their
    /// order with the replicates that they provide.
    pub fn keeping(&self, keep: impl Fn(usize) -> bool) -> Self {
        let kept: Vec<usize> = (0..self.runs.len()).filter(|run| keep(*run)).collect();
        let position: BTreeMap<usize, usize> =
            kept.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        let runs = kept.iter().map(|run| self.runs[*run].clone()).collect();
        let members = self.members.iter().filter_map(|member| {
            position.get(&member.run).map(|run| Member { run: *run, ..*member })
        });
        Self { file: self.file.clone(), runs, members: members.collect() }
    }
}

/// Lists the runs of a study file.
pub fn plan(file: StudyFile) -> Plan {
    let mut runs: Vec<Run> = Vec::new();
    let mut members = Vec::with_capacity(file.arms.len() * file.replicates.len());
    let mut known: BTreeMap<RunId, usize> = BTreeMap::new();
    for &replicate in &file.replicates {
        for (index, arm) in file.arms.iter().enumerate() {
            let id = RunId::of(file.study, file.seed, replicate, &arm.configuration);
            let run = *known.entry(id.clone()).or_insert(runs.len());
            if run == runs.len() {
                runs.push(Run {
                    id,
                    arm: arm.name.clone(),
                    levels: arm.levels.clone(),
                    replicate,
                    configuration: arm.configuration.clone(),
                });
            }
            members.push(Member { arm: index, replicate, run });
        }
    }
    Plan { file, runs, members }
}

/// Runs that execute together as one tensor program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cohort {
    /// What they have in common, see [`Study::cohort_key`].
    pub key: String,
    /// Indices into the runs that were given.
    pub runs: Vec<usize>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// Iterations that are done.
    pub done: u64,
    /// Share of its work that is left.
    pub left: f64,
}

impl Default for Position {
    fn default() -> Self {
        Self { done: 0, left: 1.0 }
    }
}

/// Groups runs into cohorts of at most `width`, enough of them to keep `workers` busy.
///
/// Runs with equal keys that are equally far (`position`) are split evenly, in their order, so the
/// sizes of a group's cohorts differ by at most one. Each group is given a share of the workers by
/// the work that is left of it ([`Study::cost`]), rounded up, and its number of cohorts is a
/// multiple of that share unless it has too few runs: no worker idles through a last round. The
/// result depends on nothing but the arguments, and by the reproducibility contract no number
/// depends on the result.
pub fn cohorts(
    study: &dyn Study,
    runs: &[&Run],
    position: &dyn Fn(&Run) -> Position,
    width: usize,
    workers: usize,
) -> Vec<Cohort> {
    struct Grouped {
        key: String,
        runs: Vec<usize>,
        weight: f64,
    }
    let (width, workers) = (width.max(1), workers.max(1));
    let mut groups: Vec<Grouped> = Vec::new();
    let mut known: BTreeMap<(String, u64), usize> = BTreeMap::new();
    for (index, run) in runs.iter().enumerate() {
        let key = study.cohort_key(&run.configuration);
        let Position { done, left } = position(run);
        let group = *known.entry((key.clone(), done)).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Grouped { key, runs: Vec::new(), weight: 0.0 });
        }
        groups[group].runs.push(index);
        groups[group].weight += left * study.cost(&run.configuration).weight;
    }
    let total: f64 = groups.iter().map(|group| group.weight).sum();
    let mut cohorts = Vec::new();
    for group in groups {
        let size = group.runs.len();
        // Compared rather than divided, so that a study without any cost is no special case; the
        // margin keeps equal groups at equal shares whatever the rounding of their sums.
        let share = (1..workers)
            .find(|&share| group.weight * workers as f64 <= share as f64 * total * (1.0 + 1e-9))
            .unwrap_or(workers);
        let count = size.div_ceil(width).next_multiple_of(share).min(size);
        let (quotient, rest) = (size / count, size % count);
        let mut members = group.runs.into_iter();
        for cohort in 0..count {
            let length = quotient + usize::from(cohort < rest);
            let runs = members.by_ref().take(length).collect();
            cohorts.push(Cohort { key: group.key.clone(), runs });
        }
    }
    cohorts
}

#[cfg(test)]
mod tests {
    use flags::Value;

    use super::super::fake::Fake;
    use super::{Cohort, Position, Run, RunId, cohorts};
    use crate::studies::Study;

    /// One run for each number of samples.
    fn runs(samples: &[i64]) -> Vec<Run> {
        let run = |(replicate, samples): (usize, &i64)| {
            let mut configuration = Fake.defaults();
            Fake.set(&mut configuration, "samples", &Value::Integer(*samples)).unwrap();
            let id = RunId::of(&Fake, 1, replicate as u64, &configuration);
            let replicate = replicate as u64;
            Run { id, arm: "base".into(), levels: Vec::new(), replicate, configuration }
        };
        samples.iter().enumerate().map(run).collect()
    }

    fn split(samples: &[i64], width: usize, workers: usize) -> Vec<Cohort> {
        let runs = runs(samples);
        cohorts(&Fake, &runs.iter().collect::<Vec<_>>(), &|_| Position::default(), width, workers)
    }

    fn sizes(cohorts: &[Cohort]) -> Vec<usize> {
        cohorts.iter().map(|cohort| cohort.runs.len()).collect()
    }

    #[test]
    fn cohorts_are_even_and_keep_the_workers_busy() {
        assert_eq!(sizes(&split(&[10; 16], 16, 1)), [16]);
        assert_eq!(sizes(&split(&[10; 16], 16, 2)), [8, 8]);
        assert_eq!(sizes(&split(&[10; 17], 8, 1)), [6, 6, 5]);
        // Three cohorts would leave one of two workers idle for a whole round.
        assert_eq!(sizes(&split(&[10; 40], 16, 2)), [10, 10, 10, 10]);
        assert_eq!(sizes(&split(&[10; 3], 16, 8)), [1, 1, 1]);
        assert_eq!(sizes(&split(&[10; 3], 0, 0)), [1, 1, 1]);
        assert_eq!(split(&[], 16, 2), []);
    }

    #[test]
    fn groups_share_the_workers_by_their_work() {
        let mixed = split(&[10, 20, 10, 20, 10, 20, 10, 20], 16, 2);
        // 40 and 80 units of 120: one worker for the first group, two for the second.
        assert_eq!(
            mixed,
            [
                Cohort { key: "10/2".into(), runs: vec![0, 2, 4, 6] },
                Cohort { key: "20/2".into(), runs: vec![1, 3] },
                Cohort { key: "20/2".into(), runs: vec![5, 7] },
            ]
        );
    }

    #[test]
    fn runs_that_are_not_equally_far_do_not_share_a_cohort() {
        let runs = runs(&[10; 6]);
        let position = |run: &Run| match run.replicate {
            1 | 4 => Position { done: 7, left: 0.3 },
            2 => Position { done: 8, left: 0.2 },
            _ => Position::default(),
        };
        let runs: Vec<&Run> = runs.iter().collect();
        let found = cohorts(&Fake, &runs, &position, 16, 1);
        let members: Vec<Vec<usize>> = found.into_iter().map(|cohort| cohort.runs).collect();
        assert_eq!(members, [vec![0, 3, 5], vec![1, 4], vec![2]]);
    }

    #[test]
    fn an_identity_is_the_hash_of_the_canonical_text() {
        // printf 'kind=fake\nnumerics_version=1\nseed=1\nreplicate=0\nsamples=10\nparts=2\n
        // rate=0.5\nlimit="off"\nlabel="x"\n' | sha256sum | cut -c 1-20
        assert_eq!(runs(&[10])[0].id.to_string(), "1fd1455882ab9eba0e04");
    }

    #[test]
    fn texts_cannot_imitate_other_fields() {
        let id = |label: &str| {
            let mut configuration = Fake.defaults();
            Fake.set(&mut configuration, "label", &Value::from(label)).unwrap();
            RunId::of(&Fake, 1, 0, &configuration)
        };
        assert_ne!(id("x\nlabel=\"y\""), id("x"));
        assert_ne!(id("x"), id("\"x\""));
    }
}
