//! `ceteris merge`: shards of a study become one results directory.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::store::{Merged, merge};

/// Unites results directories of one study, such as its shards, without losing or doubling a run.
///
/// Refuses directories of different study files, and runs that two directories hold with different
/// numbers. Merging again adds what is new and changes nothing else. The same runs give the same
/// files, however they were split.
#[derive(Args, Clone, Debug)]
pub struct MergeArgs {
    /// Results directories; by default every one under `shards/` of the output
    #[arg(value_name = "DIR")]
    pub sources: Vec<PathBuf>,
    /// Results directory to write or to add to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Runs `ceteris merge`.
///
/// # Errors
/// When the directories do not fit together, one is damaged, or the file system refuses.
pub fn execute(args: &MergeArgs, out: &mut dyn Write) -> Result<(), Box<dyn Error + Send + Sync>> {
    let sources = if args.sources.is_empty() { shards(&args.out)? } else { args.sources.clone() };
    let Merged { added, shared, stored, missing } = merge(&args.out, &sources)?;
    write!(out, "{added} runs added")?;
    if shared > 0 {
        write!(out, ", {shared} found more than once with the same numbers")?;
    }
    writeln!(out, "; {} holds {stored} runs", args.out.display())?;
    if missing > 0 {
        writeln!(out, "{missing} runs of the study are in none of the directories yet")?;
    }
    Ok(())
}

/// The shards of a directory that were begun.
fn shards(directory: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    let folder = directory.join("shards");
    let mut shards = Vec::new();
    if folder.is_dir() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.join("manifest.json").is_file() {
                shards.push(path);
            }
        }
    }
    shards.sort();
    Ok(shards)
}
