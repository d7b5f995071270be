//! With the feature `mujoco`: finds what `scripts/setup-mujoco.sh` fetched, and puts the library
//! where Cargo looks when it runs a program or a test of any crate of the workspace.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// File name under which the dynamic linker looks for the library.
const LIBRARY: &str = "libmujoco.so.3.17.0";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_MUJOCO").is_none() {
        return;
    }
    let variable = |name| env::var_os(name).map(PathBuf::from).unwrap_or_default();
    let mujoco = variable("CARGO_MANIFEST_DIR").join("../third-party/mujoco");
    if let Err(problem) = link(&mujoco, &variable("OUT_DIR")) {
        println!("cargo::error={problem}: run scripts/setup-mujoco.sh, then build again");
    }
}

fn link(mujoco: &Path, out: &Path) -> Result<(), String> {
    let library = mujoco.join("lib").join(LIBRARY);
    let models = mujoco.join("models");
    println!("cargo::rerun-if-changed={}", library.display());
    println!("cargo::rerun-if-changed={}", models.display());
    if !models.is_dir() {
        return Err("the feature `mujoco` needs third-party/mujoco, which is not there".to_owned());
    }
    // Cargo's search path for dynamic libraries has the folders of build scripts inside `target`,
    // and only those.
    fs::copy(&library, out.join(LIBRARY)).map_err(|error| {
        format!("the feature `mujoco` cannot copy {}: {error}", library.display())
    })?;
    println!("cargo::rustc-link-search=native={}", out.display());
    println!("cargo::rustc-env=CETERIS_MUJOCO_MODELS={}", models.display());
    Ok(())
}
