//! Splitting a plan's runs over machines that know nothing of each other.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::plan::Plan;

/// Folder of a results directory that holds a results directory for each shard.
pub const SHARDS: &str = "shards";

/// One of several parts of a study's runs, such as 2/8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    // First, so that shards of one split sort together.
    count: NonZeroU32,
    index: NonZeroU32,
}

/// A text or a pair of numbers that is no shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected i/n with 1 <= i <= n, such as 2/8, not \"{found}\"")]
pub struct NoShard {
    /// What was given.
    pub found: String,
}

impl Shard {
    /// Shard `index`, from 1, of `count`.
    ///
    /// # Errors
    /// When the index is 0 or larger than the count.
    pub fn new(index: u32, count: u32) -> Result<Self, NoShard> {
        match (NonZeroU32::new(index), NonZeroU32::new(count)) {
            (Some(index), Some(count)) if index <= count => Ok(Self { count, index }),
            _ => Err(NoShard { found: format!("{index}/{count}") }),
        }
    }

    /// Every shard of a split into `count`.
    pub fn all(count: NonZeroU32) -> impl Iterator<Item = Self> {
        (1..=count.get()).filter_map(NonZeroU32::new).map(move |index| Self { count, index })
    }

    /// Its number, from 1.
    pub fn index(self) -> u32 {
        self.index.get()
    }

    /// How many shards there are.
    pub fn count(self) -> NonZeroU32 {
        self.count
    }

    /// The results directory of this shard in a study's results directory.
    pub fn directory(self, results: &Path) -> PathBuf {
        results.join(SHARDS).join(format!("{}-of-{}", self.index, self.count))
    }

    /// The shard whose [`directory`](Self::directory) has this name, if it is one.
    pub fn of_folder(name: &str) -> Option<Self> {
        let (index, count) = name.split_once("-of-")?;
        let shard = Self::new(index.parse().ok()?, count.parse().ok()?).ok()?;
        // "01-of-8" and "+1-of-8" are numbers too, but no names that we give.
        (name == format!("{}-of-{}", shard.index, shard.count)).then_some(shard)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = NoShard;
    fn from_str(text: &str) -> Result<Self, NoShard> {
        let no_shard = || NoShard { found: text.to_owned() };
        let (index, count) = text.split_once('/').ok_or_else(no_shard)?;
        match (index.parse(), count.parse()) {
            (Ok(index), Ok(count)) => Self::new(index, count).map_err(|_| no_shard()),
            _ => Err(no_shard()),
        }
    }
}

impl Plan {
    /// The shard, from 0, of every run when the plan is split into `count`.
    ///
    /// Runs are laid out on a line, those with one cohort key ([`cohort_key`]) next to each other,
    /// each as long as its work ([`cost`]); the line is cut into pieces of equal length, and a
    /// run belongs to the piece that its middle lies in. A shard's work therefore differs from
    /// the mean by less than the work of the largest run, and a shard mixes as few kinds of cohort
    /// as that allows, because agents of one kind train together as one tensor program.
    ///
    /// Depends on nothing but the plan and the count.
    ///
    /// [`cohort_key`]: crate::studies::Study::cohort_key
    /// [`cost`]: crate::studies::Study::cost
    pub fn shard_of_runs(&self, count: NonZeroU32) -> Vec<u32> {
        let study = self.file.study;
        let mut groups: BTreeMap<String, usize> = BTreeMap::new();
        let mut line: Vec<Vec<usize>> = Vec::new();
        for (run, described) in self.runs.iter().enumerate() {
            let key = study.cohort_key(&described.configuration);
            let group = *groups.entry(key).or_insert(line.len());
            if group == line.len() {
                line.push(Vec::new());
            }
            line[group].push(run);
        }
        let mut weights: Vec<f64> =
            self.runs.iter().map(|run| study.cost(&run.configuration).weight).collect();
        let mut total: f64 = weights.iter().sum();
        if total <= 0.0 {
            weights.fill(1.0);
            total = weights.iter().sum();
        }
        let last = count.get() - 1;
        let mut shards = vec![0; self.runs.len()];
        let mut before = 0.0;
        for run in line.into_iter().flatten() {
            let middle = before + weights[run] / 2.0;
            before += weights[run];
            // A middle at the very end may round up to the count.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let piece = (middle * f64::from(count.get()) / total) as u32;
            shards[run] = piece.min(last);
        }
        shards
    }

    /// The plan of one shard: the same study file, and only the runs that belong to the shard, in
    /// their order.
    pub fn of_shard(&self, shard: Shard) -> Self {
        let shards = self.shard_of_runs(shard.count);
        self.keeping(|run| shards[run] + 1 == shard.index.get())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::num::NonZeroU32;
    use std::path::Path;

    use flags::Value;
    use proptest::prelude::*;

    use super::super::fake::Fake;
    use super::super::file::StudyFile;
    use super::super::plan::{Plan, Run, RunId, plan};
    use super::{NoShard, Shard};
    use crate::studies::Study;

    /// A plan with one run for each number of samples, which is also its work and its cohort key.
    fn of_samples(samples: &[i64]) -> Plan {
        let runs = samples.iter().enumerate().map(|(replicate, samples)| {
            let mut configuration = Fake.defaults();
            Fake.set(&mut configuration, "samples", &Value::Integer(*samples)).unwrap();
            let replicate = replicate as u64;
            let id = RunId::of(&Fake, 1, replicate, &configuration);
            Run { id, arm: "base".into(), levels: Vec::new(), replicate, configuration }
        });
        let mut file = StudyFile::parse(
            "study.toml",
            "[study]\nkind = \"policy-gradient\"\nname = \"x\"\nseed = 1\nreplicates = 1\n\
             [base]\npreset = \"classic-control/pendulum\"\nenvironment = \"Pendulum-v1\"\n",
        )
        .unwrap();
        file.study = &Fake;
        Plan { file, runs: runs.collect(), members: Vec::new() }
    }

    fn count(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).unwrap()
    }

    fn split(samples: &[i64], shards: u32) -> Vec<u32> {
        of_samples(samples).shard_of_runs(count(shards))
    }

    #[test]
    fn equal_runs_are_split_into_equal_shards() {
        assert_eq!(split(&[10; 6], 3), [0, 0, 1, 1, 2, 2]);
        assert_eq!(split(&[10; 7], 3), [0, 0, 1, 1, 1, 2, 2]);
        assert_eq!(split(&[10; 4], 1), [0; 4]);
        // Some of ten shards are empty.
        assert_eq!(split(&[10; 3], 10), [1, 5, 8]);
        assert!(split(&[], 4).is_empty());
    }

    #[test]
    fn kinds_of_cohort_stay_together() {
        // As a plan lists them: replicate by replicate, every arm in each.
        assert_eq!(split(&[10, 11, 10, 11, 10, 11, 10, 11], 2), [0, 1, 0, 1, 0, 1, 0, 1]);
        // 40 and 80 units of work: 40 for each of three.
        assert_eq!(split(&[10, 20, 10, 20, 10, 20, 10, 20], 3), [0, 1, 0, 1, 0, 2, 0, 2]);
        // A large run has a shard for itself.
        assert_eq!(split(&[100, 10, 10, 10, 10, 10], 2), [0, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn a_plan_of_a_shard_keeps_arms_and_members_right() {
        // Two arms share their configuration, so the study has four members and two runs.
        let text = "[study]\nkind = \"policy-gradient\"\nname = \"x\"\nseed = 1\nreplicates = 2\n\
                    [base]\npreset = \"classic-control/pendulum\"\nenvironment = \"Pendulum-v1\"\n\
                    [[arms]]\nname = \"a\"\n[[arms]]\nname = \"b\"\n";
        let whole = plan(StudyFile::parse("study.toml", text).unwrap());
        assert_eq!((whole.members.len(), whole.runs.len()), (4, 2));
        for shard in Shard::all(count(2)) {
            let part = whole.of_shard(shard);
            assert_eq!(part.runs, [whole.runs[shard.index() as usize - 1].clone()]);
            assert_eq!(part.members.len(), 2);
            for member in &part.members {
                assert_eq!(part.runs[member.run].replicate, member.replicate);
            }
        }
    }

    #[test]
    fn shards_are_named_i_of_n() {
        let shard: Shard = "2/8".parse().unwrap();
        assert_eq!((shard.index(), shard.count().get()), (2, 8));
        assert_eq!(shard.to_string(), "2/8");
        assert_eq!(shard.directory(Path::new("results")), Path::new("results/shards/2-of-8"));
        assert_eq!(Shard::of_folder("2-of-8"), Some(shard));
        for name in ["02-of-8", "+2-of-8", "9-of-8", "0-of-8", "2-of", "2/8", ""] {
            assert_eq!(Shard::of_folder(name), None, "{name}");
        }
        for text in ["0/8", "9/8", "0/0", "2", "2/", "/8", "-1/8", "a/b", "2/8/1", "1/99999999999"]
        {
            assert_eq!(text.parse::<Shard>(), Err(NoShard { found: text.into() }));
        }
        let said = "9/8".parse::<Shard>().unwrap_err().to_string();
        assert_eq!(said, "expected i/n with 1 <= i <= n, such as 2/8, not \"9/8\"");
    }

    proptest! {
        #[test]
        fn every_run_is_in_one_shard_and_shards_are_even(
            samples in prop::collection::vec(1_i64..200, 0..60),
            shards in 1_u32..40,
        ) {
            let whole = of_samples(&samples);
            let parts: Vec<Plan> =
                Shard::all(count(shards)).map(|shard| whole.of_shard(shard)).collect();
            let ids: Vec<&RunId> =
                parts.iter().flat_map(|part| &part.runs).map(|run| &run.id).collect();
            let unique: BTreeSet<&RunId> = ids.iter().copied().collect();
            prop_assert_eq!(unique.len(), ids.len());
            prop_assert_eq!(unique, whole.runs.iter().map(|run| &run.id).collect());

            let weight = |plan: &Plan| -> f64 {
                plan.runs.iter().map(|run| Fake.cost(&run.configuration).weight).sum()
            };
            let largest = samples.iter().copied().max().unwrap_or(0) as f64;
            let mean = weight(&whole) / f64::from(shards);
            for part in &parts {
                prop_assert!((weight(part) - mean).abs() <= largest, "{} of {mean}", weight(part));
            }

            // Cutting a line of k kinds n - 1 times gives at most k + n - 1 pieces of one kind.
            let kinds = |plan: &Plan| {
                let keys = plan.runs.iter().map(|run| Fake.cohort_key(&run.configuration));
                keys.collect::<BTreeSet<_>>().len()
            };
            let pieces: usize = parts.iter().map(kinds).sum();
            prop_assert!(pieces < kinds(&whole) + shards as usize);
        }
    }
}
