//! `ceteris compare`: one results directory against another.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

use analysis::Bootstrap;
use clap::Args;

use super::output::Format;
use super::statistics::{BootstrapArgs, TestArgs};
use crate::analyse::{Contrast, Contrasted, contrast};
use crate::cli::frame;
use crate::store::{Results, ResultsDirectory};

/// Compares two results directories arm by arm: difference, interval and test of every pair.
#[derive(Args, Clone, Debug)]
pub struct CompareArgs {
    /// The results directory that is compared with.
    #[arg(value_name = "DIR_A")]
    pub a: PathBuf,
    /// The results directory that is compared; differences are this one minus the other.
    #[arg(value_name = "DIR_B")]
    pub b: PathBuf,
    /// The metric of a run; by default the study's headline.
    #[arg(long, value_name = "COLUMN")]
    pub metric: Option<String>,
    /// An arm of the first directory and the one of the second that it is compared with; by default
    /// those of equal names. May be given several times.
    #[arg(long = "arms", value_name = "A:B", value_parser = super::analyse::pair)]
    pub arms: Vec<(String, String)>,
    #[command(flatten)]
    test: TestArgs,
    #[command(flatten)]
    bootstrap: BootstrapArgs,
    /// Where the table goes, as its ending says: .parquet or .csv; by default the terminal.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Runs `ceteris compare`.
///
/// # Errors
/// When results cannot be read or have nothing to compare, or the table cannot be written.
pub fn execute(
    args: &CompareArgs,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let format = args.out.as_deref().map(Format::of).transpose()?;
    let (a, b) = (ResultsDirectory::read(&args.a)?, ResultsDirectory::read(&args.b)?);
    let question = Contrast {
        metric: args.metric.as_deref(),
        arms: &args.arms,
        paired: args.test.paired(),
        // Whether replicates are paired is decided by the two studies, where it was not said.
        options: args.test.options(args.bootstrap.over(Bootstrap::tables()), false),
    };
    let mut contrasted = contrast(&a, &b, &question)?;
    match (&args.out, format) {
        (Some(path), Some(format)) => {
            format.write(&mut contrasted.table, path)?;
            writeln!(out, "{}: {} rows", path.display(), contrasted.table.height())?;
        }
        _ => print(&a, &b, &contrasted, out)?,
    }
    Ok(())
}

fn print(
    a: &Results,
    b: &Results,
    contrasted: &Contrasted,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    for (letter, results) in [("A", a), ("B", b)] {
        let builds: Vec<String> = results
            .manifest
            .writers
            .iter()
            .map(|writer| {
                format!("{} at {}", writer.build.ceteris_version, short(&writer.build.commit))
            })
            .collect();
        writeln!(
            out,
            "{letter}: {} ({}; ceteris {})",
            results.path().display(),
            results.plan.file.name,
            builds.join(", ")
        )?;
    }
    let how = if contrasted.paired {
        "replicates paired: replicate k of both has the same random draws"
    } else {
        "replicates not paired"
    };
    writeln!(out, "{}, B minus A; {how}\n", contrasted.metric)?;
    // The metric stands above, and arms of equal names have one.
    let mut table = contrasted.table.drop("metric")?;
    if table.column("arm_a")?.equals_missing(table.column("arm_b")?) {
        table = table.drop("arm_b")?;
        table.rename("arm_a", "arm".into())?;
    }
    out.write_all(frame::text(&table, frame::width())?.as_bytes())?;
    for (letter, arms) in [("A", &contrasted.only_a), ("B", &contrasted.only_b)] {
        if !arms.is_empty() {
            writeln!(out, "only in {letter}: {}", arms.join(", "))?;
        }
    }
    Ok(())
}

/// The first digits of a commit, as git shows them.
fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}
