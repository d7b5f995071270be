//! Faults injected into the real program: kills, full disks, directories without permission, damage,
//! clocks that jump, second writers, machines that disappear. After each, running again ends with
//! tables that are bit for bit those of an undisturbed run, or an error names the file and the remedy.
//!
//! `CETERIS_FAULTS=10` multiplies the number of kills by ten.

#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ceteris::store::ResultsDirectory;
use common::{arg, ceteris, hashes, parts, succeeds, texts, trained, tree};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Any spread of instants will do: xorshift.
struct Instants(u64);

impl Instants {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn times(count: u32) -> u32 {
    let factor = std::env::var("CETERIS_FAULTS").ok().and_then(|factor| factor.parse().ok());
    count * factor.unwrap_or(1)
}

fn start(arguments: &[&str]) -> Child {
    ceteris(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Kills a process at an instant after its start, unless it ends before.
fn killed_at(child: &mut Child, instant: Duration) -> bool {
    let started = Instant::now();
    while started.elapsed() < instant {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1).min(instant - started.elapsed().min(instant)));
    }
    let _ = child.kill();
    !child.wait().unwrap().success()
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

/// Every run once, in every table, and each as in the undisturbed directory.
fn is_undisturbed(out: &Path, expected: &Path) {
    let results = ResultsDirectory::read(out).unwrap();
    assert_eq!(results.runs().unwrap().height(), 8);
    assert_eq!(results.incomplete(), 0);
    assert_eq!(hashes(out), hashes(expected));
    let integrity = results.integrity().unwrap();
    assert_eq!(integrity.defects, Vec::<String>::new());
}

#[test]
fn kills_at_random_instants_lose_and_double_nothing() {
    let folder = TempDir::new().unwrap();
    let (study, whole) = trained(folder.path());
    // How long it takes here says which instants are inside.
    let alone = folder.path().join("alone");
    let started = Instant::now();
    let arguments =
        ["run", arg(&study), "--out", arg(&alone), "--no-report", "--cohort-width", "1"];
    succeeds(&arguments);
    let lasts = u64::try_from(started.elapsed().as_millis()).unwrap();
    let mut instants = Instants(88_172_645_463_325_252);
    let (mut kills, mut half_written) = (0, 0);
    let wanted = times(40);
    for round in 0.. {
        if kills >= wanted {
            break;
        }
        let out = folder.path().join(format!("killed-{round}"));
        let width = (round % 3 + 1).to_string();
        let arguments =
            ["run", arg(&study), "--out", arg(&out), "--no-report", "--cohort-width", &width];
        let mut stored = 0;
        for _ in 0..6 {
            let mut child = start(&arguments);
            let instant = Duration::from_millis(10 + instants.below(lasts));
            kills += u32::from(killed_at(&mut child, instant));
            if out.join("manifest.json").exists() {
                let runs = ResultsDirectory::read(&out).unwrap().runs().unwrap().height();
                assert!(runs >= stored, "{runs} of {stored} runs are left");
                half_written += u32::from(runs > stored && runs < 8);
                stored = runs;
            }
        }
        succeeds(&arguments);
        is_undisturbed(&out, &whole);
    }
    println!(
        "{kills} kills, {half_written} of them left a study that had grown and was not finished"
    );
    assert!(half_written > 0);
}

#[test]
fn kills_during_a_merge_lose_and_double_nothing() {
    let folder = TempDir::new().unwrap();
    let (study, whole) = trained(folder.path());
    let canonical = folder.path().join("canonical");
    succeeds(&["merge", arg(&whole), "--out", arg(&canonical)]);
    let shards = folder.path().join("sharded");
    for shard in ["1/3", "2/3", "3/3"] {
        succeeds(&["run", arg(&study), "--out", arg(&shards), "--shard", shard]);
    }
    let shards = shards.join("shards");
    let mut instants = Instants(2_463_534_242);
    let (mut kills, mut unfinished) = (0, 0);
    let wanted = times(40);
    for round in 0.. {
        if kills >= wanted {
            break;
        }
        let out = folder.path().join(format!("merged-{round}"));
        // Shard by shard, so that later merges replace what earlier ones wrote.
        for shard in ["1-of-3", "2-of-3", "3-of-3"] {
            let source = shards.join(shard);
            let arguments = ["merge", arg(&source), "--out", arg(&out)];
            for _ in 0..3 {
                let mut child = start(&arguments);
                let instant = Duration::from_micros(instants.below(60_000));
                if killed_at(&mut child, instant) {
                    kills += 1;
                    unfinished += u32::from(out.join("manifest.json").exists());
                }
            }
            succeeds(&arguments);
        }
        is_undisturbed(&out, &whole);
        assert!(parts(&out) == parts(&canonical));
    }
    println!("{kills} kills of a merge, {unfinished} after it had begun to write");
    assert!(unfinished > 0);
}

#[test]
fn a_full_disk_is_named_and_the_study_goes_on_when_there_is_room() {
    let folder = TempDir::new().unwrap();
    let (study, whole) = trained(folder.path());
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = |options: &str| {
        let arguments = ["-t", "tmpfs", "-o", options, "tmpfs", arg(&disk)];
        Command::new("mount").args(arguments).output().is_ok_and(|output| output.status.success())
    };
    if !mount("size=200k") {
        println!("skipped: this user may not mount a small tmpfs");
        return;
    }
    let out = disk.join("out");
    let arguments = ["run", arg(&study), "--out", arg(&out), "--no-report", "--cohort-width", "1"];
    let mut refusals = 0;
    for size in ["size=200k", "size=240k", "size=300k"] {
        assert!(mount(&format!("remount,{size}")));
        let output = ceteris(&arguments).output().unwrap();
        if output.status.success() {
            break;
        }
        let (_, error) = texts(&output);
        assert!(
            error.contains("no space is left to write ") && error.contains(arg(&disk)),
            "{error}"
        );
        refusals += 1;
    }
    assert!(refusals > 0);
    assert!(mount("remount,size=50m"));
    succeeds(&arguments);
    is_undisturbed(&out, &whole);
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    println!("{refusals} times full");
}

#[test]
fn flipped_bits_and_truncations_are_named_and_mended() {
    let folder = TempDir::new().unwrap();
    let (study, whole) = trained(folder.path());
    let mut instants = Instants(521_288_629);
    let mut damaged = 0;
    for round in 0..times(12) {
        let out = folder.path().join(format!("damaged-{round}"));
        let arguments =
            ["run", arg(&study), "--out", arg(&out), "--no-report", "--cohort-width", "2"];
        succeeds(&arguments);
        let files: Vec<String> =
            tree(&out).into_keys().filter(|name| name.ends_with(".parquet")).collect();
        let file = out.join(&files[instants.below(files.len() as u64) as usize]);
        let mut bytes = fs::read(&file).unwrap();
        let at = instants.below(bytes.len() as u64) as usize;
        if round % 2 == 0 {
            bytes[at] ^= 1 << instants.below(8);
        } else {
            bytes.truncate(at);
        }
        fs::write(&file, bytes).unwrap();
        let output = ceteris(&["verify", arg(&out), "--files-only"]).output().unwrap();
        assert!(!output.status.success());
        let (text, error) = texts(&output);
        let all = text + &error;
        assert!(all.contains(&format!("{} is damaged", file.display())), "{all}");
        // What the message says to do.
        fs::rename(&file, folder.path().join(format!("moved-{round}"))).unwrap();
        succeeds(&arguments);
        is_undisturbed(&out, &whole);
        damaged += 1;
    }
    println!("{damaged} damaged parts");
}

/// The lease of a process on another machine.
fn lease(seconds: u64, beat: u64) -> Value {
    json!({
        "holder": "process 7 on node5",
        "machine": "another",
        "nonce": "0123456789abcdef0123456789abcdef",
        "seconds": seconds,
        "beat": format!("{beat:012}"),
    })
}

#[test]
fn a_machine_that_disappears_in_mid_shard_is_waited_for_and_then_succeeded() {
    let folder = TempDir::new().unwrap();
    let (study, whole) = trained(folder.path());
    let out = folder.path().join("out");
    let shard = |index: &str| {
        ["run", arg(&study), "--out", arg(&out), "--cohort-width", "1", "--shard", index]
            .map(str::to_owned)
    };
    for index in ["1/2", "2/2"] {
        let arguments = shard(index);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let own = out.join("shards").join(index.replace('/', "-of-"));
        let mut child = start(&arguments);
        while !own.join("runs").exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // Nobody of this machine can see whether that process still runs.
        fs::write(own.join(".lease"), lease(1, 3).to_string()).unwrap();
        let output = ceteris(&arguments).output().unwrap();
        let (text, error) = texts(&output);
        assert!(output.status.success(), "{text}{error}");
        assert!(error.contains("was being written by process 7 on node5"), "{error}");
        assert!(!own.join(".lease").exists());
    }
    succeeds(&["merge", "--out", arg(&out)]);
    is_undisturbed(&out, &whole);
}

#[test]
fn a_writer_on_another_machine_that_is_alive_is_named() {
    let folder = TempDir::new().unwrap();
    let (study, out) = trained(folder.path());
    let path = out.join(".lease");
    fs::write(&path, lease(20, 0).to_string()).unwrap();
    let before = parts(&out);
    let child = ceteris(&["run", arg(&study), "--out", arg(&out), "--no-report"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(400));
    fs::write(&path, lease(20, 1).to_string()).unwrap();
    let output = child.wait_with_output().unwrap();
    let (_, error) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("is being written by process 7 on node5; wait for it"), "{error}");
    assert!(parts(&out) == before);
    let status = succeeds(&["status", arg(&out)]);
    assert!(status.contains("process 7 on node5, unless its lease ended"), "{status}");
}

#[test]
fn a_paused_writer_that_was_succeeded_writes_nothing_more() {
    let folder = TempDir::new().unwrap();
    let (study, whole) = trained(folder.path());
    let out = folder.path().join("out");
    let arguments = ["run", arg(&study), "--out", arg(&out), "--no-report", "--cohort-width", "1"];
    let child = ceteris(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    while !out.join("runs").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    signal(&child, "-STOP");
    let heir = folder.path().join("heir");
    fs::write(&heir, lease(60, 0).to_string()).unwrap();
    fs::rename(&heir, out.join(".lease")).unwrap();
    let before = parts(&out);
    signal(&child, "-CONT");
    let output = child.wait_with_output().unwrap();
    let (_, error) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("was taken over by process 7 on node5"), "{error}");
    assert!(error.contains("run the same command again to continue"), "{error}");
    // At most the set that it was just renaming when it was paused.
    let grown = parts(&out).len() - before.len();
    assert!(grown <= 4, "{grown} parts more");
    fs::remove_file(out.join(".lease")).unwrap();
    succeeds(&arguments);
    is_undisturbed(&out, &whole);
}

#[test]
fn what_a_succeeded_writer_leaves_all_the_same_is_not_counted_twice() {
    let folder = TempDir::new().unwrap();
    let (study, whole) = trained(folder.path());
    let out = folder.path().join("out");
    let arguments = ["run", arg(&study), "--out", arg(&out), "--no-report"];
    succeeds(&arguments);
    let other = folder.path().join("other");
    succeeds(&["run", arg(&study), "--out", arg(&other), "--no-report", "--cohort-width", "1"]);
    let late = parts(&other);
    for (name, bytes) in &late {
        assert!(!out.join(name).exists());
        fs::write(out.join(name), bytes).unwrap();
    }
    // Readers leave it out, and the next writer moves it away.
    let results = ResultsDirectory::read(&out).unwrap();
    assert_eq!((results.runs().unwrap().height(), results.incomplete()), (8, 8));
    assert_eq!(hashes(&out), hashes(&whole));
    succeeds(&arguments);
    is_undisturbed(&out, &whole);
    assert_eq!(tree(&out.join("set-aside")).len(), late.len());
}

#[test]
fn two_processes_on_one_directory_do_not_mix() {
    let folder = TempDir::new().unwrap();
    let (study, whole) = trained(folder.path());
    let mut refused = 0;
    for round in 0..times(4) {
        let out = folder.path().join(format!("two-{round}"));
        let arguments = ["run", arg(&study), "--out", arg(&out), "--no-report"];
        let both: Vec<Child> = (0..2)
            .map(|_| {
                ceteris(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for child in both {
            let output = child.wait_with_output().unwrap();
            if !output.status.success() {
                let (_, error) = texts(&output);
                assert!(error.contains(" is being written by process "), "{error}");
                refused += 1;
            }
        }
        succeeds(&arguments);
        is_undisturbed(&out, &whole);
    }
    assert!(refused > 0);
    println!("{refused} of {} second writers were told to wait", times(4));
}

#[test]
fn clocks_that_jump_do_not_matter() {
    let folder = TempDir::new().unwrap();
    let (study, whole) = trained(folder.path());
    let out = folder.path().join("out");
    let at = |date: &str| {
        let mut command = Command::new("faketime");
        command.arg("-f").arg(date).arg(env!("CARGO_BIN_EXE_ceteris")).args([
            "run",
            arg(&study),
            "--out",
            arg(&out),
            "--no-report",
            "--cohort-width",
            "1",
        ]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    if !Command::new("faketime").arg("--version").output().is_ok_and(|o| o.status.success()) {
        assert!(std::env::var_os("CETERIS_REQUIRE_FAULTS").is_none(), "faketime is not installed");
        println!("skipped: faketime is not installed (scripts/setup-faults.sh)");
        return;
    }
    // Into the future, back before what was written, and a clock that runs a thousand times too fast.
    for date in ["@2038-01-19 03:14:00", "@1999-12-31 23:59:59", "@2020-01-01 00:00:00 x1000"] {
        let mut child = at(date).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        let _ = child.kill();
        child.wait().unwrap();
    }
    assert!(at("@1970-01-02 00:00:00").status().unwrap().success());
    is_undisturbed(&out, &whole);
}
