//! The results that the project stands behind can be had again: of every committed results directory,
//! every file is checked, and a sample of the runs is trained again and compared.
//!
//! `CETERIS_VERIFY_SEED` draws another sample; `.ci/run` draws one a commit.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{arg, ceteris, texts};

/// Every results directory below a folder.
fn directories(folder: &Path) -> Vec<PathBuf> {
    if folder.join("manifest.json").exists() {
        return vec![folder.to_owned()];
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(directories(&path));
        }
    }
    found.sort();
    found
}

#[test]
fn every_committed_directory_is_verified() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    let all = directories(&root);
    // quickstart, and three of the paper's study.
    assert!(all.len() >= 4, "{all:?}");
    let seed = std::env::var("CETERIS_VERIFY_SEED").unwrap_or_else(|_| "0".into());
    // One run is one thread's work, so two directories are verified at a time.
    let verify = |directory: &PathBuf| {
        let study = fs::read_to_string(directory.join("manifest.json")).unwrap();
        if !cfg!(feature = "mujoco") && study.contains("Hopper-v4") | study.contains("Walker2d-v4")
        {
            println!("skipped: {} needs the feature mujoco", directory.display());
            return;
        }
        let arguments = ["verify", arg(directory), "--runs", "1", "--seed", &seed];
        let output = ceteris(&arguments).output().unwrap();
        let (text, error) = texts(&output);
        assert!(output.status.success(), "{}\n{text}{error}", directory.display());
        assert!(text.contains("VERIFIED: 1 of "), "{text}");
        println!("{text}");
    };
    let queue = std::sync::Mutex::new(all.iter());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(directory) = queue.lock().unwrap().next() else { break };
                    verify(directory);
                }
            });
        }
    });
}
