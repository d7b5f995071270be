//! Malformed input of every kind: no panic, and a clear error.
//!
//! Bounded to a smoke test; `CETERIS_FUZZ=20` tries twenty times as many inputs. Counts are printed with
//! `--nocapture`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use ceteris::cli;
use ceteris::provenance::{Provenance, export};
use ceteris::store::{Results, ResultsDirectory, RunEnvironment, StoreError};
use ceteris::study::{StudyFile, plan};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{TestCaseResult, TestRunner};
use serde_json::{Value, json};
use tempfile::TempDir;

const STUDY: &str = r#"
[study]
kind = "policy-gradient"
name = "fuzz"
seed = 1
replicates = 2

[base]
preset = "cleanrl/ppo"
environment = "CartPole-v1"
total_steps = 1024
evaluation_episodes = 1

[factors]
gamma = [0.9, 0.99]
"#;

/// Tries some inputs, more where the environment asks for it.
fn fuzz<S: Strategy>(what: &str, cases: u32, inputs: &S, test: impl Fn(S::Value)) {
    let times = std::env::var("CETERIS_FUZZ").ok().and_then(|text| text.parse().ok());
    let cases = cases * times.unwrap_or(1);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
    let mut runner = TestRunner::new(config);
    let tried = runner.run(inputs, |input| -> TestCaseResult {
        test(input);
        Ok(())
    });
    if let Err(error) = tried {
        panic!("{error}");
    }
    println!("{what}: {cases} inputs");
}

/// Memory where there is such a place: what is tested does not depend on a disk.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.unwrap()
}

// Changes of bytes.

/// What is done to some bytes.
#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Truncate(Index),
    Remove(Index, Index),
    Repeat(Index, Index),
    SwapLines(Index, Index),
    Splice(Index, Index),
    Insert(Index, &'static str),
    Number(Index, &'static str),
    Nest(Index, u16, char),
}

const TEXTS: [&str; 24] = [
    "\0",
    "\r",
    "\n",
    "\u{feff}",
    "\u{202e}",
    "\u{1f600}",
    "é",
    "\"",
    "\"\"\"",
    "'",
    "\\",
    "\\u{",
    "[",
    "]",
    "{",
    "}",
    "[[",
    "=",
    "#",
    ",",
    ".",
    "= 1",
    "\nx = 1\n",
    "\n[a.b.c]\n",
];

const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "-0.0",
    "nan",
    "-inf",
    "1e400",
    "1e-400",
    "18446744073709551616",
    "9223372036854775807",
    "-9223372036854775808",
    "0xffffffffffffffffff",
    "1_0",
    "00",
    "true",
];

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, bits)| Change::Flip(at, bits)),
        at().prop_map(Change::Truncate),
        (at(), at()).prop_map(|(from, to)| Change::Remove(from, to)),
        (at(), at()).prop_map(|(from, to)| Change::Repeat(from, to)),
        (at(), at()).prop_map(|(a, b)| Change::SwapLines(a, b)),
        (at(), at()).prop_map(|(at, from)| Change::Splice(at, from)),
        (at(), select(TEXTS.to_vec())).prop_map(|(at, text)| Change::Insert(at, text)),
        (at(), select(NUMBERS.to_vec())).prop_map(|(at, text)| Change::Number(at, text)),
        (at(), 1..3000_u16, select(vec!['[', '{', '(', '"']))
            .prop_map(|(at, depth, mark)| Change::Nest(at, depth, mark)),
    ]
}

/// Bytes after some changes; splices take from the other ones.
fn changed(mut bytes: Vec<u8>, other: &[u8], changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let place = |at: &Index, bytes: &[u8]| at.index(bytes.len() + 1);
        match change {
            Change::Flip(at, bits) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= bits;
            }
            Change::Flip(..) => {}
            Change::Truncate(at) => bytes.truncate(place(at, &bytes)),
            Change::Remove(from, to) => {
                let (a, b) = (place(from, &bytes), place(to, &bytes));
                bytes.drain(a.min(b)..a.max(b));
            }
            Change::Repeat(from, to) => {
                let (a, b) = (place(from, &bytes), place(to, &bytes));
                let part = bytes[a.min(b)..a.max(b)].to_vec();
                bytes.splice(b..b, part);
            }
            Change::SwapLines(a, b) => {
                let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
                let (a, b) = (a.index(lines.len()), b.index(lines.len()));
                lines.swap(a, b);
                bytes = lines.join(&b'\n');
            }
            Change::Splice(at, from) => {
                bytes.truncate(place(at, &bytes));
                bytes.extend(&other[place(from, other)..]);
            }
            Change::Insert(at, text) => {
                let at = place(at, &bytes);
                bytes.splice(at..at, text.bytes());
            }
            Change::Number(which, text) => {
                let starts: Vec<usize> = (0..bytes.len())
                    .filter(|&at| {
                        bytes[at].is_ascii_digit() && (at == 0 || !bytes[at - 1].is_ascii_digit())
                    })
                    .collect();
                if !starts.is_empty() {
                    let from = starts[which.index(starts.len())];
                    let length =
                        bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                    bytes.splice(from..from + length, text.bytes());
                }
            }
            Change::Nest(at, depth, mark) => {
                let at = place(at, &bytes);
                let mut mark = String::from(*mark);
                if mark == "{" {
                    mark.push_str("a=");
                }
                bytes.splice(at..at, mark.repeat(usize::from(*depth)).into_bytes());
            }
        }
    }
    bytes
}

// Study files.

fn study_files() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("ablations")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "toml") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 10, "{found:?}");
    found.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn study_files_give_a_plan_or_mistakes_with_their_places() {
    let files = study_files();
    let (good, bad) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let inputs = (any::<Index>(), any::<Index>(), prop::collection::vec(change(), 0..4));
    fuzz("study files", 1200, &inputs, |(file, other, changes)| {
        let other: &Vec<u8> = other.get(&files);
        let bytes = changed(file.get(&files).clone(), other, &changes);
        match StudyFile::from_bytes("f.toml", &bytes) {
            Ok(file) => {
                good.fetch_add(1, Ordering::Relaxed);
                if file.members() <= 1000 {
                    let plan = plan(file);
                    assert!(!plan.runs.is_empty());
                }
            }
            Err(mistakes) => {
                bad.fetch_add(1, Ordering::Relaxed);
                assert!(mistakes.len() > 0);
                for mistake in &mistakes {
                    let (line, column) = mistakes.location(mistake).unwrap();
                    assert!(line >= 1 && column >= 1, "{mistake:?}");
                }
                assert!(mistakes.render(false).contains("f.toml:"));
                assert!(!mistakes.render(true).is_empty());
            }
        }
    });
    println!("  {good:?} gave a study, {bad:?} gave mistakes");
}

// Results.

/// The files of a small results directory, trained once.
fn trained() -> &'static BTreeMap<PathBuf, Vec<u8>> {
    static FILES: OnceLock<BTreeMap<PathBuf, Vec<u8>>> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = scratch();
        let (study, out) = (folder.path().join("study.toml"), folder.path().join("results"));
        fs::write(&study, STUDY).unwrap();
        let output = ceteris(&[
            "run".into(),
            study.into(),
            "--out".into(),
            out.clone().into(),
            "--no-report".into(),
        ]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut files = BTreeMap::new();
        for table in fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()) {
            let inside = |path: &Path| path.strip_prefix(&out).unwrap().to_owned();
            if table.is_dir() {
                for part in fs::read_dir(&table).unwrap().map(|entry| entry.unwrap().path()) {
                    files.insert(inside(&part), fs::read(&part).unwrap());
                }
            } else if table.ends_with("manifest.json") {
                files.insert(inside(&table), fs::read(&table).unwrap());
            }
        }
        files
    })
}

fn ceteris(arguments: &[OsString]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ceteris")).args(arguments).output().unwrap()
}

/// Writes the trained results into a new folder below another, where nothing else is.
fn lay_out(below: &Path) -> PathBuf {
    let directory = below.join("results");
    for (file, bytes) in trained() {
        let file = directory.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
    directory
}

/// The manifest without its parts, as before a killed process could enter them.
fn unlisted() -> Vec<u8> {
    let mut manifest: Value =
        serde_json::from_slice(&trained()[Path::new("manifest.json")]).unwrap();
    for table in manifest["tables"].as_object_mut().unwrap().values_mut() {
        table["parts"] = json!([]);
        table["rows"] = json!(0);
        table["content_sha256"] = Value::Null;
    }
    manifest.to_string().into_bytes()
}

const TABLES: [&str; 7] =
    ["runs", "iterations", "episodes", "evaluations", "timings", "landscapes", "../runs"];

/// Everything that can be asked of results; the errors that came.
fn ask(results: &Results, below: &Path) -> Vec<StoreError> {
    let mut errors = Vec::new();
    let mut heard = |error: Option<StoreError>| {
        if let Some(error) = error {
            assert!(!error.to_string().is_empty());
            errors.push(error);
        }
    };
    heard(results.statuses().err());
    heard(results.members().err());
    heard(results.writing().err());
    for table in TABLES {
        heard(results.table(table).err());
        heard(results.by_arm(table).map(|frame| drop(frame.collect())).err());
        heard(results.scan(table).map(|frame| drop(frame.collect())).err());
        match results.columns(table) {
            Ok(columns) => {
                let columns: Vec<&str> = columns.iter_names().map(|name| name.as_str()).collect();
                for some in [&columns[..], &columns[..4], &columns[columns.len() / 2..]] {
                    heard(results.columns_by_arm(table, some).err());
                }
            }
            Err(error) => heard(Some(error)),
        }
    }
    let _ = (results.foreign().len(), results.incomplete(), results.unlisted());
    if let Ok(provenance) = Provenance::of(results) {
        assert!(!provenance.paragraph().is_empty() && !provenance.bibtex().is_empty());
    }
    let out = below.join("export");
    if export(results, &out, None).is_ok() {
        fs::remove_dir_all(&out).unwrap();
    }
    errors
}

/// Opens a directory to go on with it, which repairs it or refuses.
fn go_on(directory: &Path) -> Result<(), StoreError> {
    let plan = plan(StudyFile::parse("study.toml", STUDY).unwrap());
    ResultsDirectory::open(directory, &plan, &RunEnvironment::cpu())?.finish()
}

/// A place in JSON and what is put there; `None` takes it out.
type Edit = (Vec<Index>, Option<Value>);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let values = vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(2),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e300),
        json!(0.5),
        json!(""),
        json!("../../x"),
        json!("/etc/passwd"),
        json!("runs"),
        json!("\u{0}\u{202e}é"),
        json!("runs/part-0123456789abcdef.parquet"),
        json!("../runs/part-0123456789abcdef.parquet"),
        json!("x".repeat(100_000)),
        json!([]),
        json!({}),
        json!([[]]),
        json!(["run_id", "run_id"]),
        json!(["iteration"]),
        json!(["none"]),
        json!({ "../x": {} }),
        deep,
    ];
    let value = prop_oneof![4 => select(values).prop_map(Some), 1 => Just(None)];
    prop::collection::vec((prop::collection::vec(any::<Index>(), 1..7), value), 1..3)
}

/// Goes down into JSON, wherever the indices lead, and changes what is there.
fn edit(json: &mut Value, (path, value): &Edit) {
    let Some((first, rest)) = path.split_first() else { return };
    match json {
        Value::Object(map) if !map.is_empty() => {
            let key = first.get(&map.keys().cloned().collect::<Vec<_>>()).clone();
            match (rest.is_empty() || !(map[&key].is_object() || map[&key].is_array()), value) {
                (true, Some(value)) => {
                    map.insert(key, value.clone());
                }
                (true, None) => {
                    map.shift_remove(&key);
                }
                (false, _) => edit(&mut map[&key], &(rest.to_vec(), value.clone())),
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let at = first.index(list.len());
            match (rest.is_empty() || !(list[at].is_object() || list[at].is_array()), value) {
                (true, Some(value)) => list[at] = value.clone(),
                (true, None) => {
                    list.remove(at);
                }
                (false, _) => edit(&mut list[at], &(rest.to_vec(), value.clone())),
            }
        }
        _ => {}
    }
}

fn malformed_manifest(text: &[u8], opened: &AtomicUsize) {
    // Two levels down, so that a path that leaves the directory is seen to make nothing.
    let outer = scratch();
    let below = outer.path().join("below");
    let directory = lay_out(&below);
    fs::write(directory.join("manifest.json"), text).unwrap();
    if let Ok(results) = ResultsDirectory::read(&directory) {
        opened.fetch_add(1, Ordering::Relaxed);
        ask(&results, &below);
    }
    if let Err(error) = go_on(&directory) {
        assert!(!error.to_string().is_empty());
    }
    for (folder, only) in [(outer.path(), "below"), (below.as_path(), "results")] {
        let names: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, [only]);
    }
}

#[test]
fn manifests_whose_bytes_were_changed() {
    let text = &trained()[Path::new("manifest.json")];
    let opened = AtomicUsize::new(0);
    let inputs = prop::collection::vec(change(), 1..3);
    fuzz("manifests, by bytes", 250, &inputs, |changes| {
        malformed_manifest(&changed(text.clone(), text, &changes), &opened);
    });
    println!("  {opened:?} could be read");
}

#[test]
fn manifests_whose_values_were_changed() {
    let text = &trained()[Path::new("manifest.json")];
    let manifest: Value = serde_json::from_slice(text).unwrap();
    let opened = AtomicUsize::new(0);
    fuzz("manifests, by values", 250, &edits(), |edits| {
        let mut changed = manifest.clone();
        edits.iter().for_each(|one| edit(&mut changed, one));
        malformed_manifest(changed.to_string().as_bytes(), &opened);
    });
    println!("  {opened:?} could be read");
}

// Parquet.

/// What is done to a Parquet file.
#[derive(Clone, Debug)]
enum Harm {
    Bytes(Vec<Change>),
    /// Bits of the footer, counted from the end of the file.
    Footer(Vec<(Index, u8)>),
    /// The length that the file says its footer has.
    FooterLength(u32),
    /// A run of equal bytes.
    Fill(Index, u8, u8),
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        2 => prop::collection::vec(change(), 1..3).prop_map(Harm::Bytes),
        4 => prop::collection::vec((any::<Index>(), 1..=u8::MAX), 1..5).prop_map(Harm::Footer),
        1 => any::<u32>().prop_map(Harm::FooterLength),
        1 => (0..400_u32).prop_map(Harm::FooterLength),
        2 => (any::<Index>(), any::<u8>(), any::<u8>())
            .prop_map(|(at, byte, length)| Harm::Fill(at, byte, length)),
    ]
}

fn harmed(bytes: &[u8], harm: &Harm) -> Vec<u8> {
    let mut harmed = bytes.to_vec();
    let size = bytes.len();
    let length = u32::from_le_bytes(bytes[size - 8..size - 4].try_into().unwrap()) as usize;
    match harm {
        Harm::Bytes(changes) => return changed(harmed, bytes, changes),
        Harm::Footer(flips) => {
            for (at, bits) in flips {
                harmed[size - 8 - length + at.index(length)] ^= bits;
            }
        }
        Harm::FooterLength(length) => {
            harmed[size - 8..size - 4].copy_from_slice(&length.to_le_bytes());
        }
        Harm::Fill(at, byte, length) => {
            let at = at.index(size);
            let end = size.min(at + usize::from(*length));
            harmed[at..end].fill(*byte);
        }
    }
    harmed
}

#[test]
fn parquet_that_was_damaged() {
    let parts: Vec<&PathBuf> =
        trained().keys().filter(|file| file.extension().is_some_and(|e| e == "parquet")).collect();
    assert!(parts.len() >= 5, "{parts:?}");
    let folder = scratch();
    let directory = lay_out(folder.path());
    let listed = trained()[Path::new("manifest.json")].clone();
    let unlisted = unlisted();
    let (damaged, whole_still) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let inputs = (any::<Index>(), harm(), any::<bool>());
    fuzz("Parquet files", 500, &inputs, |(part, harm, is_listed)| {
        let part = *part.get(&parts);
        let whole = &trained()[part];
        let bytes = harmed(whole, &harm);
        let file = directory.join(part);
        fs::write(&file, &bytes).unwrap();
        let manifest = if is_listed { &listed } else { &unlisted };
        fs::write(directory.join("manifest.json"), manifest).unwrap();
        let mut errors = match ResultsDirectory::read(&directory) {
            Ok(results) => ask(&results, folder.path()),
            Err(error) => vec![error],
        };
        errors.retain(|error| !matches!(error, StoreError::UnknownTable { .. }));
        errors.extend(go_on(&directory).err());
        let of_file = errors.iter().filter(|error| {
            matches!(error, StoreError::Damaged { path, .. } if *path == file)
                && error.to_string().contains("move it away and run the study again")
        });
        let of_file = of_file.count();
        // The hash, in the manifest or else in the part, finds every change before polars sees it.
        assert_eq!(of_file > 0, bytes != *whole, "{errors:?}");
        let counted = if of_file > 0 { &damaged } else { &whole_still };
        counted.fetch_add(1, Ordering::Relaxed);
        // As it was, what going on has entered or cleared up included.
        fs::remove_dir_all(&directory).unwrap();
        lay_out(folder.path());
    });
    println!("  {damaged:?} damaged, {whole_still:?} as they were");
}

// Command lines.

/// What stands behind a flag or alone.
fn words() -> impl Strategy<Value = OsString> {
    let words = [
        "",
        "-",
        "--",
        "-1",
        "0",
        "1",
        "99999999999999999999",
        "0.95",
        "1e400",
        "nan",
        "auto",
        "cpu",
        "wgpu:",
        "wgpu:99999999999999999999",
        "a:b",
        ":",
        "a:b:c",
        "..",
        "/dev/null",
        "\u{202e}é\u{1f600}",
        "a\nb",
        "json",
        "parquet",
        "summary",
        "mean",
        "x.csv",
        "--help",
        "-h",
        "--version",
        "=",
        "--=",
        "CC-BY-4.0",
        "1/2",
        "0/0",
    ];
    prop_oneof![
        4 => select(words.to_vec()).prop_map(OsString::from),
        1 => ".{0,12}".prop_map(OsString::from),
        1 => prop::collection::vec(any::<u8>(), 0..9).prop_map(not_utf_8),
    ]
}

#[cfg(unix)]
fn not_utf_8(bytes: Vec<u8>) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

#[cfg(not(unix))]
fn not_utf_8(bytes: Vec<u8>) -> OsString {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// Every subcommand with the flags that it knows and the values that they name.
fn subcommands() -> Vec<(String, Vec<String>)> {
    let known = |command: &clap::Command| {
        let flags = command.get_arguments().flat_map(|argument| {
            let name = argument.get_long().map(|long| format!("--{long}"));
            let values = argument.get_possible_values();
            name.into_iter().chain(values.into_iter().map(|value| value.get_name().to_owned()))
        });
        flags.collect::<Vec<_>>()
    };
    let command = cli::command();
    command.get_subcommands().map(|sub| (sub.get_name().to_owned(), known(sub))).collect()
}

#[test]
fn command_lines_are_parsed_or_refused() {
    let subcommands = subcommands();
    assert!(subcommands.iter().any(|(name, flags)| name == "run" && flags.len() > 3));
    let parsed = AtomicUsize::new(0);
    let word = (any::<Index>(), words(), 0..4_u8);
    let inputs = (any::<Index>(), prop::collection::vec(word, 0..10));
    fuzz("command lines", 4000, &inputs, |(subcommand, words)| {
        let (name, flags) = subcommand.get(&subcommands);
        let mut line: Vec<OsString> = vec!["ceteris".into(), name.into()];
        for (flag, word, kind) in words {
            let known = || flags.get(flag.index(flags.len().max(1))).cloned().unwrap_or_default();
            match kind {
                0 => line.push(word),
                1 => line.push(known().into()),
                2 => {
                    let mut joined = OsString::from(known() + "=");
                    joined.push(word);
                    line.push(joined);
                }
                _ => line.extend([known().into(), word]),
            }
        }
        match cli::check(&line) {
            Ok(()) => {
                parsed.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
    println!("  {parsed:?} are valid");
}

/// Files and folders that no command expects.
fn odd_paths(folder: &Path) -> Vec<OsString> {
    let at = |name: &str| folder.join(name);
    let manifest = |name: &str, text: &[u8]| {
        let directory = at(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("manifest.json"), text).unwrap();
        directory.into_os_string()
    };
    fs::write(at("empty"), "").unwrap();
    fs::write(at("noise.toml"), (0..=255).cycle().take(5000).collect::<Vec<u8>>()).unwrap();
    fs::write(at("deep.toml"), "a = ".to_owned() + &"[".repeat(100_000)).unwrap();
    fs::write(at("line\nbreak é.toml"), STUDY.replace("gamma", "gama")).unwrap();
    fs::create_dir(at("folder.toml")).unwrap();
    fs::create_dir_all(at("manifest-folder/manifest.json")).unwrap();
    let mut paths = [
        at("empty"),
        at("noise.toml"),
        at("deep.toml"),
        at("line\nbreak é.toml"),
        at("folder.toml"),
        at("manifest-folder"),
        at("nothing"),
        at("empty/below"),
        PathBuf::from("/dev/null"),
        PathBuf::new(),
        PathBuf::from("-"),
    ]
    .into_iter()
    .map(PathBuf::into_os_string)
    .collect::<Vec<_>>();
    paths.push(manifest("no-json", b"\xff\xfe"));
    paths.push(manifest("deep-json", "[".repeat(100_000).as_bytes()));
    paths.push(manifest("null", b"null"));
    // Parts that no manifest vouches for.
    let odd = lay_out(folder);
    fs::write(odd.join("manifest.json"), unlisted()).unwrap();
    for (number, part) in trained().keys().filter(|file| file.starts_with("runs")).enumerate() {
        let mut bytes = trained()[part].clone();
        let at = bytes.len() - 40 - number;
        bytes[at..at + 20].fill(0x7f);
        fs::write(odd.join(part), bytes).unwrap();
    }
    paths.push(odd.into_os_string());
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        paths.push(at("loop").into_os_string());
        paths.push(not_utf_8(b"\xff\xfe.toml".to_vec()));
    }
    paths
}

#[test]
fn programs_end_in_order_whatever_they_are_given() {
    let folder = scratch();
    let paths = odd_paths(folder.path());
    let out = folder.path().join("out");
    let commands: [&[&str]; 11] = [
        &["run", "PATH", "--out", "OUT"],
        &["run", "ablations/quickstart.toml", "--out", "PATH/below"],
        &["plan", "PATH", "--no-calibration"],
        &["status", "PATH", "--format", "json"],
        &["report", "PATH"],
        &["report", "results/quickstart", "--study", "PATH"],
        &["analyse", "PATH", "summary"],
        &["compare", "PATH", "results/quickstart"],
        &["cite", "PATH"],
        &["export", "PATH", "--to", "OUT"],
        &["flags", "PATH"],
    ];
    let mut count = 0;
    for path in &paths {
        for command in commands {
            // Where a folder can be made, training would begin.
            if command.contains(&"PATH/below") && !Path::new(path).is_file() {
                continue;
            }
            let arguments: Vec<OsString> = command
                .iter()
                .map(|word| match *word {
                    "PATH" => path.clone(),
                    "PATH/below" => Path::new(path).join("below").into_os_string(),
                    "OUT" => out.clone().into_os_string(),
                    word => word.into(),
                })
                .collect();
            let output = ceteris(&arguments);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(matches!(output.status.code(), Some(0..=2)), "{arguments:?}: {output:?}");
            assert!(!said.contains("panicked"), "{arguments:?}: {said}");
            if output.status.code() != Some(0) {
                assert!(said.starts_with("error"), "{arguments:?}: {said}");
            }
            count += 1;
        }
    }
    println!("{count} processes");
    assert!(count > 150, "{count}");
}
