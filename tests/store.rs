//! The results directory: what it stores, and that no kill, damage or second writer breaks it.
//!
//! The study is a toy with its own fields and tables, so nothing here depends on a published one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ceteris::cli::status::{StatusFormat, print};
use ceteris::store::{
    Failpoint, Fault, Results, ResultsDirectory, RunEnvironment, StoreError, content_hash,
    schema_page,
};
use ceteris::studies::{
    CohortContext, CohortOutcome, Column, ColumnType, Configuration, Cost, CurveView, Device,
    Preset, Problem, RunOutcome, RunStatus, Study, StudyError, Table, registry,
};
use ceteris::study::{Arm, ArmLevel, Factor, FactorLevel, Plan, Run, StudyFile, plan};
use flags::{Field, Flags, SetError, Value};
use polars::prelude::*;
use sha2::{Digest, Sha256};

flags::levels! {
    /// How a walk moves.
    pub enum Walk {
        /// To the left.
        Left = "left",
        /// To the right.
        Right = "right",
    }
}

flags::flags! {
    /// A walk.
    pub struct WalkConfig {
        /// Length of a step.
        #[flag(group = "Walk", unit = "m", source = "toy")]
        pub pace: f64 = 0.5,
        /// Where it turns, | or off.
        #[flag(group = "Walk", unit = "m", source = "toy")]
        pub turn: Option<f64> = None,
        /// Its direction.
        #[flag(group = "Walk", unit = "", source = "toy")]
        pub walk: Walk = Walk::Left,
        /// Sizes of the boots.
        #[flag(group = "Walk", unit = "", source = "toy")]
        pub boots: Vec<usize> = vec![40, 41],
        /// Steps.
        #[flag(group = "Walk", unit = "steps", source = "toy")]
        pub length: u64 = 5,
        /// Whether it rains.
        #[flag(group = "Walk", unit = "", source = "toy")]
        pub rain: bool = false,
        /// A remark.
        #[flag(group = "Walk", unit = "", source = "toy")]
        pub remark: String = "über | quer".into(),
    }
}

const LABELS: [Column; 3] = [
    Column { name: "run_id", kind: ColumnType::Text, unit: "", meaning: "The run." },
    Column { name: "arm", kind: ColumnType::Text, unit: "", meaning: "The arm." },
    Column { name: "replicate", kind: ColumnType::UInt64, unit: "", meaning: "The replicate." },
];

const fn column(name: &'static str, kind: ColumnType, unit: &'static str) -> Column {
    Column { name, kind, unit, meaning: "What the toy measured." }
}

static TABLES: [Table; 2] = [
    Table {
        name: "places",
        row: "a step of a run",
        key: &["run_id", "step"],
        reproducible: true,
        tolerance: None,
        columns: &[
            LABELS[0],
            LABELS[1],
            LABELS[2],
            column("step", ColumnType::UInt32, "steps"),
            column("place", ColumnType::Float64, "m"),
            column("wet", ColumnType::Bool, ""),
        ],
    },
    Table {
        name: "rests",
        row: "a rest of a run",
        key: &["run_id", "rest"],
        reproducible: false,
        tolerance: None,
        columns: &[
            LABELS[0],
            LABELS[1],
            LABELS[2],
            column("rest", ColumnType::Int64, ""),
            column("sights", ColumnType::Int64List, ""),
        ],
    },
];

static METRICS: [Column; 2] = [
    Column { name: "distance", kind: ColumnType::Float64, unit: "m", meaning: "Final place." },
    Column { name: "joy", kind: ColumnType::Float64, unit: "1", meaning: "Null in the rain." },
];

struct Toy;

impl Study for Toy {
    fn kind(&self) -> &'static str {
        "toy"
    }
    fn about(&self) -> &'static str {
        "A walk."
    }
    fn numerics_version(&self) -> u32 {
        1
    }
    fn fields(&self) -> &'static [Field] {
        WalkConfig::FIELDS
    }
    fn defaults(&self) -> Configuration {
        configuration(&WalkConfig::default())
    }
    fn presets(&self) -> &'static [Preset] {
        &[]
    }
    fn set(&self, _: &mut Configuration, _: &str, _: &Value) -> Result<(), SetError> {
        Ok(())
    }
    fn check(&self, _: &Configuration) -> Vec<Problem> {
        Vec::new()
    }
    fn cost(&self, _: &Configuration) -> Cost {
        Cost { steps: 5, weight: 1.0 }
    }
    fn cohort_key(&self, _: &Configuration) -> String {
        String::new()
    }
    fn cohort_width(&self, _: &Device) -> usize {
        2
    }
    fn step_unit(&self) -> &'static str {
        "steps"
    }
    fn metrics(&self) -> &'static [Column] {
        &METRICS
    }
    fn tables(&self) -> &'static [Table] {
        &TABLES
    }
    fn calibration(&self, configuration: &Configuration) -> Configuration {
        configuration.clone()
    }
    fn run_cohort(
        &self,
        runs: &[&Run],
        _: &CohortContext<'_>,
    ) -> Result<CohortOutcome, StudyError> {
        Ok(outcome(runs))
    }
    fn views(&self) -> &'static [CurveView] {
        &[]
    }
}

fn configuration(config: &WalkConfig) -> Configuration {
    let values = config.fields().iter().map(|field| config.get(field.name).unwrap()).collect();
    Configuration::new(WalkConfig::FIELDS, values)
}

/// Numbers that depend on the run alone, with every value that is easily lost on the way.
fn outcome(runs: &[&Run]) -> CohortOutcome {
    let mut outcomes = Vec::new();
    let (mut ids, mut arms, mut replicates) = (vec![], vec![], vec![]);
    let (mut steps, mut places, mut wets) = (vec![], vec![], vec![]);
    // Backwards, so that sorting is seen to happen.
    for run in runs.iter().rev() {
        let first = Sha256::digest(run.id.as_ref())[0];
        let start = f64::from(first) / 7.0;
        for step in (0..6_u32).rev() {
            ids.push(run.id.to_string());
            arms.push(run.arm.clone());
            replicates.push(run.replicate);
            steps.push(step);
            places.push(match step {
                0 => Some(0.0),
                1 => Some(-0.0),
                2 => Some(f64::NAN),
                3 => Some(f64::from_bits(0x7ff8_0000_dead_beef)),
                4 => None,
                _ => Some(start),
            });
            wets.push((step != 2).then_some(step % 2 == 0));
        }
    }
    for run in runs {
        let diverged = run.replicate == 1;
        outcomes.push(RunOutcome {
            status: if diverged {
                RunStatus::Diverged { iteration: 3 }
            } else {
                RunStatus::Finished
            },
            metrics: vec![Some(0.1 + 0.2), (!diverged).then_some(-0.0)],
        });
    }
    let rests = runs.len();
    let mut sights =
        ListPrimitiveChunkedBuilder::<Int64Type>::new("sights".into(), rests, 3, DataType::Int64);
    for run in runs {
        match run.replicate {
            0 => sights.append_slice(&[]),
            _ => sights.append_slice(&[i64::MIN, 7]),
        }
    }
    let places = DataFrame::new(
        ids.len(),
        vec![
            polars::prelude::Column::new("run_id".into(), ids),
            polars::prelude::Column::new("arm".into(), arms),
            polars::prelude::Column::new("replicate".into(), replicates),
            polars::prelude::Column::new("step".into(), steps),
            polars::prelude::Column::new("place".into(), places),
            polars::prelude::Column::new("wet".into(), wets),
        ],
    )
    .unwrap();
    let label = |of: fn(&Run) -> String| runs.iter().map(|run| of(run)).collect::<Vec<_>>();
    let rests = DataFrame::new(
        rests,
        vec![
            polars::prelude::Column::new("run_id".into(), label(|run| run.id.to_string())),
            polars::prelude::Column::new("arm".into(), label(|run| run.arm.clone())),
            polars::prelude::Column::new(
                "replicate".into(),
                runs.iter().map(|run| run.replicate).collect::<Vec<_>>(),
            ),
            polars::prelude::Column::new("rest".into(), vec![-1_i64; rests]),
            sights.finish().into_column(),
        ],
    )
    .unwrap();
    CohortOutcome { runs: outcomes, tables: vec![places, rests] }
}

/// Two arms of a grid over `pace`, an arm by name and one that repeats the first, for some
/// replicates; the text says how many.
fn toy(text: &str) -> Plan {
    let replicates: u64 = text.strip_prefix("replicates = ").unwrap().parse().unwrap();
    let level = |name: &str| vec![ArmLevel { factor: "pace".into(), level: name.into() }];
    let slow = WalkConfig::default();
    let fast = WalkConfig { pace: 1.5, turn: Some(2.0), ..slow.clone() };
    let wet = WalkConfig { rain: true, walk: Walk::Right, boots: vec![], ..slow.clone() };
    let arm = |name: &str, levels, config: &WalkConfig| Arm {
        name: name.into(),
        levels,
        configuration: configuration(config),
    };
    let factor_level = |name: &str, pace| FactorLevel {
        name: name.into(),
        settings: vec![("pace", Value::from(pace))],
    };
    plan(StudyFile {
        path: "ablations/toy.toml".into(),
        text: text.into(),
        sha256: "0".repeat(64),
        study: &Toy,
        name: "toy".into(),
        title: "A toy".into(),
        description: String::new(),
        seed: 1,
        replicates: (0..replicates).collect(),
        factors: vec![Factor {
            name: "pace".into(),
            levels: vec![factor_level("slow", 0.5), factor_level("fast", 1.5)],
        }],
        arms: vec![
            arm("slow", level("slow"), &slow),
            arm("fast", level("fast"), &fast),
            arm("wet", vec![], &wet),
            arm("slow again", vec![], &slow),
        ],
        claims: Vec::new(),
        tuning: None,
        presets: BTreeMap::new(),
    })
}

fn environment() -> RunEnvironment {
    RunEnvironment::cpu()
}

fn open(path: &Path, plan: &Plan) -> Result<ResultsDirectory, StoreError> {
    ResultsDirectory::open(path, plan, &environment())
}

fn read(path: &Path) -> Result<Results, StoreError> {
    Results::read_with(path, |_, text| Ok(toy(text)))
}

/// A temporary folder, in memory where there is such a place: what is tested is that a process
/// dies, not that the power fails, and waiting for a disk thousands of times takes minutes.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.unwrap()
}

/// Trains what is not recorded, in cohorts of some width, and finishes.
fn resume(directory: &mut ResultsDirectory, plan: &Plan, width: usize) -> Result<(), StoreError> {
    let missing: Vec<&Run> =
        plan.runs.iter().filter(|run| !directory.recorded().contains(&run.id)).collect();
    for cohort in missing.chunks(width) {
        directory.commit(cohort, outcome(cohort))?;
    }
    directory.finish()
}

fn hashes(path: &Path) -> BTreeMap<String, String> {
    let results = read(path).unwrap();
    let tables = &results.manifest.tables;
    tables
        .iter()
        .map(|(name, table)| {
            let frame = results.table(name).unwrap();
            let key: Vec<&str> = table.key.iter().map(String::as_str).collect();
            let hash = content_hash(&frame, &key).unwrap();
            assert_eq!(table.content_sha256.as_ref(), Some(&hash), "{name}");
            assert_eq!(table.rows, frame.height() as u64, "{name}");
            (name.clone(), hash)
        })
        .collect()
}

/// An undisturbed directory, everything in one cohort.
fn reference(plan: &Plan) -> BTreeMap<String, String> {
    let folder = scratch();
    resume(&mut open(folder.path(), plan).unwrap(), plan, 1000).unwrap();
    hashes(folder.path())
}

/// Every file below a folder with its bytes.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(tree(&path))
        } else {
            drop(files.insert(path.clone(), fs::read(&path).unwrap()))
        }
    }
    files
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = tree(folder)
        .keys()
        .map(|path| path.strip_prefix(folder).unwrap().display().to_string())
        .collect();
    names.sort();
    names
}

#[test]
fn every_column_has_its_type_and_every_bit_survives() {
    let folder = scratch();
    let plan = toy("replicates = 2");
    resume(&mut open(folder.path(), &plan).unwrap(), &plan, 4).unwrap();
    let results = read(folder.path()).unwrap();

    let runs = results.runs().unwrap();
    let columns: Vec<String> =
        runs.schema().iter().map(|(name, dtype)| format!("{name} {dtype}")).collect();
    assert_eq!(
        columns,
        [
            "run_id str",
            "arm str",
            "replicate u64",
            "status str",
            "diverged_iteration u32",
            "factor_pace str",
            "pace f64",
            "turn f64",
            "walk str",
            "boots list[i64]",
            "length i64",
            "rain bool",
            "remark str",
            "distance f64",
            "joy f64",
        ]
    );
    // Three configurations (two arms share one), two replicates.
    assert_eq!(runs.height(), 6);
    let frame =
        runs.lazy().sort(["arm", "replicate"], SortMultipleOptions::default()).collect().unwrap();
    let text =
        |column: &str, row: usize| frame.column(column).unwrap().get(row).unwrap().to_string();
    let row = |row| {
        ["arm", "status", "diverged_iteration", "factor_pace", "pace", "turn", "boots", "joy"]
            .map(|column| text(column, row))
    };
    assert_eq!(
        row(0),
        ["\"fast\"", "\"finished\"", "null", "\"fast\"", "1.5", "2.0", "[40, 41]", "-0.0"]
    );
    assert_eq!(
        row(1),
        ["\"fast\"", "\"diverged\"", "3", "\"fast\"", "1.5", "2.0", "[40, 41]", "null"]
    );
    assert_eq!(row(4)[3..7], ["null", "0.5", "null", "[]"]);

    let places = results.table("places").unwrap();
    let bits: Vec<Option<u64>> = places
        .column("place")
        .unwrap()
        .f64()
        .unwrap()
        .iter()
        .take(5)
        .map(|x| x.map(f64::to_bits))
        .collect();
    assert_eq!(
        bits,
        [
            Some(0),
            Some(0x8000_0000_0000_0000),
            Some(0x7ff8_0000_0000_0000),
            Some(0x7ff8_0000_dead_beef),
            None,
        ]
    );
    let scanned = results.scan("places").unwrap().collect().unwrap();
    assert_eq!(scanned.height(), 36);
    let error = results.table("place").unwrap_err().to_string();
    assert!(error.ends_with("has no table \"place\"; did you mean \"places\"?"), "{error}");
}

#[test]
fn content_does_not_depend_on_cohorts_or_order() {
    let plan = toy("replicates = 3");
    let expected = reference(&plan);
    assert_eq!(expected.len(), 3);
    let folder = scratch();
    let mut directory = open(folder.path(), &plan).unwrap();
    let backwards: Vec<&Run> = plan.runs.iter().rev().collect();
    for cohort in backwards.chunks(2) {
        directory.commit(cohort, outcome(cohort)).unwrap();
    }
    directory.finish().unwrap();
    drop(directory);
    assert_eq!(hashes(folder.path()), expected);
}

#[test]
fn a_run_is_recorded_once() {
    let folder = scratch();
    let plan = toy("replicates = 1");
    let mut directory = open(folder.path(), &plan).unwrap();
    let run = &plan.runs[0];
    directory.commit(&[run], outcome(&[run])).unwrap();
    let error = directory.commit(&[run], outcome(&[run])).unwrap_err();
    assert!(matches!(error, StoreError::AlreadyRecorded { .. }), "{error}");
    let other = &plan.runs[1];
    let error = directory.commit(&[other, other], outcome(&[other, other])).unwrap_err();
    assert!(matches!(error, StoreError::AlreadyRecorded { .. }), "{error}");
    assert_eq!(directory.recorded().len(), 1);
}

#[test]
fn tables_that_do_not_fit_their_description_are_refused() {
    let folder = scratch();
    let plan = toy("replicates = 1");
    let run = &plan.runs[0];
    let mut directory = open(folder.path(), &plan).unwrap();
    let mut refused = |change: &dyn Fn(&mut CohortOutcome)| {
        let mut changed = outcome(&[run]);
        change(&mut changed);
        let before = tree(folder.path());
        let error = directory.commit(&[run], changed).unwrap_err();
        assert_eq!(tree(folder.path()), before);
        error.to_string()
    };
    let renamed = refused(&|outcome| {
        outcome.tables[0].rename("wet", "dry".into()).unwrap();
    });
    assert!(
        renamed
            .starts_with("the study returned a wrong places table: its columns are (run_id str,"),
        "{renamed}"
    );
    let missing = refused(&|outcome| drop(outcome.tables.pop()));
    assert!(missing.contains("1 tables instead of 2"), "{missing}");
    let metrics = refused(&|outcome| outcome.runs[0].metrics.truncate(1));
    assert!(metrics.contains("1 metrics instead of 2"), "{metrics}");
    let outcomes = refused(&|outcome| outcome.runs.clear());
    assert!(outcomes.contains("0 outcomes for 1 runs"), "{outcomes}");
    let stray = refused(&|changed| changed.tables = outcome(&[&plan.runs[1]]).tables);
    assert!(stray.contains("which is none of the cohort"), "{stray}");
}

/// Checks that a directory that was left in the middle loads, resumes and ends up like any other.
fn recovers(path: &Path, plan: &Plan, expected: &BTreeMap<String, String>, what: &str) {
    if path.join("manifest.json").exists() {
        let results = read(path).unwrap_or_else(|error| panic!("{what}: {error}"));
        let runs = results.runs().unwrap();
        let places = results.table("places").unwrap();
        assert_eq!(places.height(), runs.height() * 6, "{what}");
    }
    let mut directory = open(path, plan).unwrap_or_else(|error| panic!("{what}: {error}"));
    // In other cohorts than before, so that what was left over is not merely overwritten.
    resume(&mut directory, plan, 3).unwrap_or_else(|error| panic!("{what}: {error}"));
    drop(directory);
    assert_eq!(read(path).unwrap().runs().unwrap().height(), plan.runs.len(), "{what}");
    assert_eq!(&hashes(path), expected, "{what}");
    // Nothing is left over: every file but the lock is the manifest or a part that it lists.
    let manifest = read(path).unwrap().manifest;
    let parts = manifest.tables.values().flat_map(|table| &table.parts);
    let mut expected: Vec<String> = parts.map(|part| part.file.clone()).collect();
    expected.extend([".lock".to_owned(), "manifest.json".to_owned()]);
    expected.sort();
    assert_eq!(files(path), expected, "{what}");
}

#[test]
fn a_kill_at_any_step_leaves_a_directory_that_resumes() {
    let plan = toy("replicates = 2");
    let expected = reference(&plan);
    let mut kills = 0;
    for fault in [Fault::Kill, Fault::TornKill, Fault::Full] {
        for after in 0.. {
            let folder = scratch();
            let failpoint = Some(Failpoint { after, fault });
            let path = folder.path();
            let first =
                ResultsDirectory::open_with_failpoint(path, &plan, &environment(), failpoint)
                    .and_then(|mut directory| resume(&mut directory, &plan, 2));
            if first.is_ok() {
                break;
            }
            kills += 1;
            recovers(path, &plan, &expected, &format!("{fault:?} after {after} steps"));
        }
    }
    // 3 folders, 3 cohorts of 3 parts (3 steps to write, 2 to rename) and 5 manifests of 5 steps;
    // every fault stops at each of these 73 steps.
    assert_eq!(kills, 3 * 73);
}

#[test]
fn a_kill_during_recovery_leaves_a_directory_that_resumes() {
    let plan = toy("replicates = 1");
    let expected = reference(&plan);
    let mut kills = 0;
    for after in 0.. {
        let folder = scratch();
        let stop = |after| Some(Failpoint { after, fault: Fault::TornKill });
        let path = folder.path();
        let mut attempt = |after, path: &Path| {
            kills += 1;
            ResultsDirectory::open_with_failpoint(path, &plan, &environment(), stop(after))
                .and_then(|mut directory| resume(&mut directory, &plan, 2))
        };
        if attempt(after, path).is_ok() {
            break;
        }
        for again in 0..12 {
            // The state after the first kill differs from attempt to attempt, as it should.
            if attempt(again, path).is_ok() {
                break;
            }
        }
        recovers(path, &plan, &expected, &format!("killed again and again after {after} steps"));
    }
    assert!(kills > 300, "{kills}");
}

#[test]
fn a_full_disk_lets_the_same_commit_be_tried_again() {
    let plan = toy("replicates = 1");
    let runs: Vec<&Run> = plan.runs.iter().take(2).collect();
    let folder = scratch();
    let mut directory = open(folder.path(), &plan).unwrap();
    // Nine steps write the parts, the tenth renames the first.
    for after in 0..13 {
        directory.set_failpoint(Some(Failpoint { after, fault: Fault::Full }));
        let error = directory.commit(&runs, outcome(&runs)).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("no space is left to write ")
                && text.contains("free some and run the study again"),
            "{text}"
        );
        assert_eq!(directory.recorded().len(), 0);
    }
    directory.set_failpoint(None);
    directory.commit(&runs, outcome(&runs)).unwrap();
    assert_eq!(directory.recorded().len(), 2);
    resume(&mut directory, &plan, 2).unwrap();
    drop(directory);
    assert_eq!(hashes(folder.path()), reference(&plan));
}

const CHILD: &str = "CETERIS_STORE_TEST_CHILD";

/// Runs this very test program as another process that executes one of the `child_*` functions.
fn child(program: &Path, name: &str, argument: &Path) -> Command {
    let mut command = Command::new(program);
    command.args([name, "--exact", "--nocapture"]).env(CHILD, argument);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn this_program() -> PathBuf {
    std::env::current_exe().unwrap()
}

const KILLED: &str = "replicates = 30";

#[test]
fn child_that_writes() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let plan = toy(KILLED);
    resume(&mut open(Path::new(&path), &plan).unwrap(), &plan, 2).unwrap();
}

#[test]
fn a_real_kill_at_any_instant_leaves_a_directory_that_resumes() {
    let plan = toy(KILLED);
    let expected = reference(&plan);
    let start = |path: &Path| child(&this_program(), "child_that_writes", path).spawn().unwrap();
    let (mut kills, mut partial, mut draw) = (0, 0, 88_172_645_463_325_252_u64);
    let mut random = |below: u64| {
        // Xorshift: any spread of instants will do.
        draw ^= draw << 13;
        draw ^= draw >> 7;
        draw ^= draw << 17;
        draw % below
    };
    while kills < 60 {
        let folder = scratch();
        let mut before = 0;
        for _ in 0..8 {
            let mut process = start(folder.path());
            // Some commits more, and then any instant of the next ones; none at all every fourth
            // time, which hits the start and the recovery.
            let runs = folder.path().join("runs");
            let commits = || fs::read_dir(&runs).map_or(0, Iterator::count) as u64;
            let enough = commits() + if random(4) > 0 { random(6) + 1 } else { 0 };
            while commits() < enough && process.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_micros(200));
            }
            std::thread::sleep(Duration::from_micros(random(20_000)));
            process.kill().unwrap();
            let ended = process.wait().unwrap();
            kills += u32::from(!ended.success());
            if !folder.path().join("manifest.json").exists() {
                continue;
            }
            let runs = read(folder.path()).unwrap().runs().unwrap().height();
            assert!(runs >= before, "{runs} < {before}");
            partial += u32::from(runs > before && runs < plan.runs.len());
            before = runs;
        }
        recovers(folder.path(), &plan, &expected, "killed with a signal");
    }
    // The instants must hit the writing itself, not only the start of the program.
    assert!(partial >= 20, "{partial} of {kills} kills interrupted a half-written study");
}

#[test]
fn child_that_finds_a_writer() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let error = open(Path::new(&path), &toy("replicates = 1")).unwrap_err();
    println!("refused: {error}");
}

#[test]
fn a_second_writer_is_told_who_writes() {
    let folder = scratch();
    let plan = toy("replicates = 1");
    let first = open(folder.path(), &plan).unwrap();
    let output =
        child(&this_program(), "child_that_finds_a_writer", folder.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = format!(
        "refused: {} is being written by process {} on ",
        folder.path().display(),
        std::process::id()
    );
    assert!(text.contains(&expected), "{text}");
    // Reading goes on meanwhile.
    let results = read(folder.path()).unwrap();
    assert!(results.writing().unwrap().unwrap().starts_with("process "));
    drop(first);
    assert_eq!(results.writing().unwrap(), None);
    open(folder.path(), &plan).unwrap();
}

/// A finished directory.
fn finished(plan: &Plan) -> tempfile::TempDir {
    let folder = scratch();
    resume(&mut open(folder.path(), plan).unwrap(), plan, 2).unwrap();
    folder
}

fn first_part(folder: &Path, table: &str) -> PathBuf {
    let mut parts: Vec<PathBuf> =
        fs::read_dir(folder.join(table)).unwrap().map(|entry| entry.unwrap().path()).collect();
    parts.sort();
    parts.remove(0)
}

/// Opening to write and to read both fail, and neither changes a file.
fn refused(path: &Path, plan: &Plan) -> String {
    let before = tree(path);
    let error = open(path, plan).unwrap_err().to_string();
    assert_eq!(tree(path), before);
    error
}

#[test]
fn opening_a_finished_study_again_changes_nothing() {
    let plan = toy("replicates = 1");
    let folder = finished(&plan);
    let before = tree(folder.path());
    let mut directory = open(folder.path(), &plan).unwrap();
    assert_eq!(directory.recorded().len(), 3);
    directory.finish().unwrap();
    drop(directory);
    assert_eq!(tree(folder.path()), before);
}

#[test]
fn damaged_parts_are_named_and_can_be_moved_away() {
    let plan = toy("replicates = 2");
    let expected = reference(&plan);
    for table in ["runs", "places"] {
        for truncate in [true, false] {
            let folder = finished(&plan);
            let part = first_part(folder.path(), table);
            let mut bytes = fs::read(&part).unwrap();
            let length = bytes.len();
            let detail = if truncate {
                bytes.truncate(length / 2);
                format!("it has {} bytes of {length}", length / 2)
            } else {
                bytes[length / 3] ^= 4;
                "its content is not what the manifest says".to_owned()
            };
            fs::write(&part, &bytes).unwrap();
            let message = format!(
                "{} is damaged ({detail}); move it away and run the study again: its runs are \
                 then trained again",
                part.display()
            );
            // A flipped bit of another table shows when that table is read.
            if truncate || table == "runs" {
                assert_eq!(refused(folder.path(), &plan), message);
            }
            let before = tree(folder.path());
            let error = read(folder.path()).and_then(|results| results.table(table));
            assert_eq!(error.unwrap_err().to_string(), message);
            let error = read(folder.path()).and_then(|results| results.scan(table));
            assert_eq!(error.err().unwrap().to_string(), message);
            assert_eq!(tree(folder.path()), before);

            let elsewhere = scratch();
            fs::rename(&part, elsewhere.path().join("damaged.parquet")).unwrap();
            let results = read(folder.path()).unwrap();
            assert_eq!((results.runs().unwrap().height(), results.incomplete()), (4, 1));
            let mut directory = open(folder.path(), &plan).unwrap();
            assert_eq!(directory.recorded().len(), 4);
            resume(&mut directory, &plan, 2).unwrap();
            drop(directory);
            assert_eq!(hashes(folder.path()), expected);
            // The two sound parts of the set were not thrown away.
            let aside = files(&folder.path().join("set-aside"));
            assert_eq!(aside.len(), 2, "{aside:?}");
        }
    }
}

#[test]
fn manifests_that_cannot_be_trusted_are_refused() {
    let plan = toy("replicates = 1");
    let refuse = |change: &dyn Fn(&str) -> String, expected: &str| {
        let folder = finished(&plan);
        let manifest = folder.path().join("manifest.json");
        let text = fs::read_to_string(&manifest).unwrap();
        let changed = change(&text);
        assert_ne!(text, changed);
        fs::write(&manifest, changed).unwrap();
        let error = refused(folder.path(), &plan);
        let part = first_part(folder.path(), "places").file_name().unwrap().to_owned();
        let error_at_m = error
            .replace(&manifest.display().to_string(), "M")
            .replace(part.to_str().unwrap(), "PART");
        assert_eq!(error_at_m, expected);
        assert_eq!(read(folder.path()).unwrap_err().to_string(), error);
    };
    refuse(
        &|_| "garbage\n".into(),
        "M is not valid JSON (expected value at line 1 column 1); restore it from a copy, or \
         write to a new directory",
    );
    refuse(
        &|text| text[..text.find("\"created\"").unwrap()].into(),
        "M is not valid JSON (EOF while parsing a value at line 4 column 2); restore it from a \
         copy, or write to a new directory",
    );
    refuse(
        &|text| text.replace("\"schema_version\": 1", "\"schema_version\": 7"),
        "M has results schema 7, this ceteris reads and writes schema 1; use the ceteris that \
         wrote it (0.1.0), or write to a new directory",
    );
    refuse(
        &|text| text.replace("\"schema_version\": 1,", ""),
        "M is incomplete or was edited (missing field `schema_version`); restore it from a copy, \
         or write to a new directory",
    );
    refuse(
        &|text| {
            text.replacen("\"ceteris_version\": \"0.1.0\"", "\"ceteris_version\": \"0.10.0\"", 1)
        },
        "M was written by ceteris 0.10.0, which is newer than this one (0.1.0); update ceteris, \
         or write to a new directory",
    );
    refuse(
        &|text| text.replace("\"created\"", "\"creation\""),
        "M is incomplete or was edited (missing field `created`); restore it from a copy, or \
         write to a new directory",
    );
    refuse(
        &|text| text.replacen("\"places/part-", "\"../part-", 1),
        "M is incomplete or was edited (\"../PART\" is no part of the table `places`); restore it from \
         a copy, or write to a new directory",
    );
}

#[test]
fn another_study_is_refused() {
    let plan = toy("replicates = 1");
    let folder = finished(&plan);
    let mut file = plan.file.clone();
    file.name = "stroll".into();
    let other = ceteris::study::plan(file);
    assert_eq!(
        refused(folder.path(), &other),
        format!(
            "{} holds the study \"toy\" (kind toy), not \"stroll\" (kind toy); choose another \
             directory for the results",
            folder.path().display()
        )
    );
}

#[test]
fn a_folder_that_ceteris_did_not_write_is_left_alone() {
    let plan = toy("replicates = 1");
    let folder = scratch();
    fs::write(folder.path().join("thesis.tex"), "years of work").unwrap();
    let path = folder.path().display();
    assert_eq!(
        refused(folder.path(), &plan),
        format!(
            "{path} holds other files (such as thesis.tex) and no manifest.json, so ceteris did \
             not write it; choose a new or an empty directory for the results"
        )
    );
    assert_eq!(
        read(folder.path()).unwrap_err().to_string(),
        format!(
            "{path} is no results directory: it holds no manifest.json; name the directory that \
             `ceteris run` wrote"
        )
    );
    let file = folder.path().join("thesis.tex");
    let expected =
        format!("{} is not a directory; choose another path for the results", file.display());
    assert_eq!(open(&file, &plan).unwrap_err().to_string(), expected);
    assert_eq!(read(&file).unwrap_err().to_string(), expected);
    let below = file.join("results");
    let error = open(&below, &plan).unwrap_err().to_string();
    assert!(error.contains(&below.display().to_string()), "{error}");
}

#[test]
fn foreign_files_beside_the_parts_are_neither_read_nor_removed() {
    let plan = toy("replicates = 1");
    let folder = finished(&plan);
    let expected = hashes(folder.path());
    let notes = folder.path().join("notes.txt");
    let mine = folder.path().join("runs/mine.parquet");
    let near = folder.path().join("runs/.part-0123.parquet.tmp");
    for file in [&notes, &mine, &near] {
        fs::write(file, "mine").unwrap();
    }
    drop(open(folder.path(), &plan).unwrap());
    for file in [&notes, &mine, &near] {
        assert_eq!(fs::read_to_string(file).unwrap(), "mine");
    }
    let results = read(folder.path()).unwrap();
    assert_eq!(results.foreign(), [near, mine]);
    assert_eq!(hashes(folder.path()), expected);
}

#[test]
fn a_changed_study_file_keeps_every_run() {
    let folder = finished(&toy("replicates = 3"));
    let fewer = toy("replicates = 2");
    let directory = open(folder.path(), &fewer).unwrap();
    assert_eq!((directory.recorded().len(), directory.not_in_study()), (6, 3));
    assert_eq!(directory.manifest().study.text, "replicates = 2");
    drop(directory);
    let results = read(folder.path()).unwrap();
    assert_eq!(results.runs().unwrap().height(), 9);
    // Four arms of two replicates, of which two share their runs.
    let arms = results.by_arm("runs").unwrap().collect().unwrap();
    assert_eq!(arms.height(), 8);
    let names: Vec<Option<&str>> = arms.column("arm").unwrap().str().unwrap().iter().collect();
    assert_eq!(
        names.into_iter().flatten().collect::<Vec<_>>(),
        ["slow", "slow", "fast", "fast", "wet", "wet", "slow again", "slow again"]
    );
    let places = results.by_arm("places").unwrap().collect().unwrap();
    assert_eq!(places.height(), 8 * 6);
    // The same rows part by part, in an order of their own.
    let chosen = ["replicate", "step", "arm", "place"];
    let order = |frame: DataFrame| frame.sort(chosen, SortMultipleOptions::default()).unwrap();
    let part_by_part = results.columns_by_arm("places", &chosen).unwrap();
    assert!(order(part_by_part).equals_missing(&order(places.select(chosen).unwrap())));
    assert!(results.columns_by_arm("places", &["plaice"]).is_err());

    let more = toy("replicates = 4");
    let mut directory = open(folder.path(), &more).unwrap();
    assert_eq!((directory.recorded().len(), directory.not_in_study()), (9, 0));
    resume(&mut directory, &more, 2).unwrap();
    drop(directory);
    assert_eq!(hashes(folder.path()), reference(&more));
}

#[test]
fn the_manifest_says_what_wrote_it() {
    let folder = finished(&toy("replicates = 1"));
    let text = fs::read_to_string(folder.path().join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(manifest["study"]["kind"], "toy");
    assert_eq!(manifest["study"]["file"], "toy.toml");
    assert_eq!(manifest["study"]["text"], "replicates = 1");
    let writer = &manifest["writers"][0];
    assert_eq!(writer["ceteris_version"], "0.1.0");
    assert_eq!(writer["dependencies"]["burn"], "0.22.1");
    assert_eq!(writer["dependencies"]["polars"], "0.55.2");
    assert_eq!(writer["device"]["kind"], "cpu");
    assert_eq!(writer["cargo_lock_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(writer["target"].as_str().unwrap().split('-').next(), Some(std::env::consts::ARCH));
    let created = manifest["created"].as_str().unwrap();
    assert!(
        created.len() == 20 && created.starts_with("20") && created.ends_with('Z'),
        "{created}"
    );
    assert_eq!(manifest["tables"]["runs"]["rows"], 3);
    assert_eq!(manifest["tables"]["places"]["rows"], 18);
    assert_eq!(manifest["tables"]["rests"]["reproducible"], false);
}

#[test]
fn status_counts_runs_of_every_arm() {
    let folder = scratch();
    let plan = toy("replicates = 2");
    let mut directory = open(folder.path(), &plan).unwrap();
    let some: Vec<&Run> = plan.runs.iter().filter(|run| run.arm != "wet").collect();
    directory.commit(&some, outcome(&some)).unwrap();
    let status = |format| {
        let mut out = Vec::new();
        print(&read(folder.path()).unwrap(), format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let json: serde_json::Value = serde_json::from_str(&status(StatusFormat::Json)).unwrap();
    assert_eq!(
        json["arms"][0].to_string(),
        r#"{"arm":"slow","finished":1,"diverged":1,"to_do":0}"#
    );
    assert_eq!(json["arms"][2].to_string(), r#"{"arm":"wet","finished":0,"diverged":0,"to_do":2}"#);
    assert_eq!(json["runs"].to_string(), r#"{"finished":2,"diverged":2,"to_do":2}"#);
    assert!(json["writing"].as_str().unwrap().starts_with("process "));
    drop(directory);
    let text = status(StatusFormat::Text);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "A toy (toy, kind toy)");
    let cells = |name: &str| {
        let line = lines.iter().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(cells("fast"), ["fast", "1", "1", "0"]);
    assert_eq!(cells("all runs"), ["all", "runs", "2", "2", "2"]);
    assert!(lines.contains(&"No process is writing."), "{text}");
    assert!(lines.iter().any(|line| line.starts_with("2 replicates share their run")), "{text}");
}

#[test]
fn the_page_on_results_describes_every_column() {
    let page = schema_page(&[&Toy]);
    for row in [
        "| `factor_<name>` | string |  |",
        "| `turn` | double | m | Where it turns, \\| or off. Null when off. |",
        "| `boots` | list of int64 |  | Sizes of the boots. |",
        "| `joy` | double | 1 | Null in the rain. |",
        "| `place` | double | m | What the toy measured. |",
        "One row is a rest of a run. Key: `run_id`, `rest`. Not part of the reproducibility contract.",
    ] {
        assert!(page.contains(row), "{row}\n{page}");
    }
}

/// `docs/results.md` is the generated page; `CETERIS_UPDATE_DOCS=1` writes it again.
#[test]
fn the_manual_has_the_generated_page() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/results.md");
    let page = schema_page(registry());
    if std::env::var_os("CETERIS_UPDATE_DOCS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &page).unwrap();
    }
    assert!(
        fs::read_to_string(&file).unwrap_or_default() == page,
        "docs/results.md is out of date: CETERIS_UPDATE_DOCS=1 cargo test --test store"
    );
}

#[cfg(unix)]
mod permissions {
    use std::io::ErrorKind;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn child_that_may_not_write() {
        let Some(path) = std::env::var_os(CHILD) else { return };
        let path = Path::new(&path);
        let plan = toy("replicates = 1");
        println!("finished: {}", open(&path.join("finished"), &plan).unwrap_err());
        println!("empty: {}", open(&path.join("empty"), &plan).unwrap_err());
        println!("new: {}", open(&path.join("empty/new"), &plan).unwrap_err());
        println!("read: {} runs", read(&path.join("finished")).unwrap().runs().unwrap().height());
    }

    #[test]
    fn a_directory_without_permission_to_write_is_named() {
        let folder = scratch();
        let root = folder.path();
        let plan = toy("replicates = 1");
        let (done, empty) = (root.join("finished"), root.join("empty"));
        resume(&mut open(&done, &plan).unwrap(), &plan, 2).unwrap();
        fs::create_dir(&empty).unwrap();
        // Root may write everywhere, so the child becomes somebody else, who must be able to run
        // the test program; a folder in memory may not allow that.
        let bin = tempfile::tempdir().unwrap();
        let program = bin.path().join("program");
        fs::copy(this_program(), &program).unwrap();
        for path in [root, bin.path(), &program] {
            set(path, 0o755);
        }
        if cfg!(feature = "mujoco") {
            // The library beside it, since a checkout may be closed to others.
            let name = "libmujoco.so.3.17.0";
            let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("third-party/mujoco/lib");
            fs::copy(lib.join(name), bin.path().join(name)).unwrap();
            set(&bin.path().join(name), 0o644);
        }
        for (path, mode) in [(&done.join(".lock"), 0o444), (&done, 0o555), (&empty, 0o555)] {
            set(path, mode);
        }
        let before = tree(&done);
        let mut command = child(&program, "permissions::child_that_may_not_write", root);
        command.env("LD_LIBRARY_PATH", bin.path());
        let is_root = fs::metadata("/proc/self")
            .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        if is_root {
            command.uid(65_534).gid(65_534);
        }
        let output = loop {
            match command.output() {
                // A child of another test may hold the copy open for writing until it starts.
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                other => break other.unwrap(),
            }
        };
        for path in [&done, &empty] {
            set(path, 0o755);
        }
        let text =
            String::from_utf8_lossy(&output.stdout).replace(&root.display().to_string(), "R");
        let remedy = "change its permissions or its file system, or choose another directory";
        for line in [
            format!("finished: no permission to write R/finished/.lock; {remedy}"),
            format!("empty: no permission to write R/empty/.lock; {remedy}"),
            format!("new: no permission to create R/empty/new; {remedy}"),
            "read: 3 runs".to_owned(),
        ] {
            assert!(
                text.contains(&line),
                "{line}\n{text}{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        assert_eq!(tree(&done), before);
        assert_eq!(files(&empty), Vec::<String>::new());
    }
}

#[test]
fn no_metric_has_the_name_of_a_field() {
    // Both are columns of `runs`.
    for study in ceteris::studies::registry() {
        let fields: Vec<&str> = study.fields().iter().map(|field| field.name).collect();
        let both = study.metrics().iter().find(|metric| fields.contains(&metric.name));
        assert!(both.is_none(), "{}: {}", study.kind(), both.unwrap().name);
    }
}
