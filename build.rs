//! Records what a results directory's manifest says about the code that wrote it: commit, target,
//! the hash of `Cargo.lock` and the versions of the dependencies that touch numbers.
//!
//! Everything degrades to `unknown`, so that the crate also builds from an archive.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use sha2::{Digest, Sha256};

/// Crates whose version can change a number that a study stores.
const NUMERIC: &[&str] = &[
    "burn",
    "burn-autodiff",
    "burn-cubecl",
    "burn-cubecl-fusion",
    "burn-cuda",
    "burn-flex",
    "burn-fusion",
    "burn-optim",
    "burn-tensor",
    "burn-wgpu",
    "cubecl",
    "cubecl-cuda",
    "cubecl-wgpu",
    "gemm",
    "gemm-common",
    "gemm-f32",
    "gemm-f64",
    "libm",
    "macerator",
    "matrixmultiply",
    "mujoco-rs",
    "naga",
    "num-traits",
    "polars",
    "pulp",
    "rand",
    "rand_chacha",
    "rand_core",
    "rand_distr",
    "rand_pcg",
    "wgpu",
];

/// What decides how the program computes; nothing else makes a working tree dirty.
const SOURCES: &[&str] =
    &["Cargo.toml", "Cargo.lock", "build.rs", "src", "flags", "envs", "algorithms"];

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    for source in SOURCES.iter().filter(|source| root.join(source).exists()) {
        println!("cargo::rerun-if-changed={source}");
    }

    let (commit, dirty) = revision(&root);
    set("CETERIS_COMMIT", &commit);
    set("CETERIS_DIRTY", &dirty);
    set("CETERIS_TARGET", &env::var("TARGET").unwrap_or_else(|_| "unknown".into()));

    if env::var_os("CARGO_FEATURE_MUJOCO").is_some() {
        // So that the program also starts without Cargo.
        let library = root.join("third-party/mujoco/lib");
        println!("cargo::rustc-link-arg-bins=-Wl,-rpath,{}", library.display());
    }

    let lock = fs::read(root.join("Cargo.lock")).ok();
    let hash = lock.as_deref().map_or_else(|| "unknown".into(), sha256);
    set("CETERIS_LOCK_SHA256", &hash);
    let text = lock.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    set("CETERIS_DEPENDENCIES", &numeric_versions(&text));
}

fn set(name: &str, value: &str) {
    println!("cargo::rustc-env={name}={value}");
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The commit and whether the sources differ from it, or `unknown` for both.
fn revision(root: &Path) -> (String, String) {
    let unknown = || ("unknown".to_owned(), "unknown".to_owned());
    // An archive unpacked inside somebody else's repository must not report that one's commit.
    let ours = git(root, &["rev-parse", "--show-toplevel"])
        .and_then(|top| fs::canonicalize(top).ok())
        .zip(fs::canonicalize(root).ok())
        .is_some_and(|(top, root)| top == root);
    if !ours {
        return unknown();
    }
    for file in ["HEAD", "refs/heads", "packed-refs"] {
        watch_git(root, file);
    }
    let Some(commit) = git(root, &["rev-parse", "HEAD"]) else {
        return unknown();
    };
    let mut status = vec!["--no-optional-locks", "status", "--porcelain", "--"];
    status.extend(SOURCES);
    let dirty =
        git(root, &status).map_or_else(|| "unknown".into(), |text| (!text.is_empty()).to_string());
    (commit, dirty)
}

/// Builds again when a file of the repository changes; naming one that is not there would build
/// again every time.
fn watch_git(root: &Path, file: &str) {
    if let Some(path) = git(root, &["rev-parse", "--git-path", file]).map(|path| root.join(path))
        && path.exists()
    {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

/// What a git command prints, trimmed; `None` without git or when it fails.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// `name=version[,version…];…` for the numeric crates of a lock file.
fn numeric_versions(lock: &str) -> String {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut name = "";
    for line in lock.lines() {
        let value = |key: &str| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"');
        if let Some(found) = value("name") {
            name = found;
        } else if let Some(version) = value("version")
            && NUMERIC.contains(&name)
        {
            versions.entry(name).or_default().push(version);
        }
    }
    let entries: Vec<String> =
        versions.iter().map(|(name, versions)| format!("{name}={}", versions.join(","))).collect();
    entries.join(";")
}
