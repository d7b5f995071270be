//! `ceteris export`: results as an RO-Crate, or as runs of HELM.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::provenance::{License, export};
use crate::store::{Results, ResultsDirectory};
use crate::studies::lm_evaluation::export_to_helm;

/// Writes results as an RO-Crate with checksums, which every command reads as a results directory; or an
/// evaluation of language models as runs of HELM, of which helm-summarize makes tables.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// The results directory.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Where the export goes: a zip file where the name ends in .zip, else a folder. It must not exist.
    #[arg(long, value_name = "PATH", required_unless_present = "helm", conflicts_with = "helm")]
    pub to: Option<PathBuf>,
    /// The folder in which runs of HELM are written. It must not exist.
    #[arg(long, value_name = "FOLDER", conflicts_with = "license")]
    pub helm: Option<PathBuf>,
    /// Licence of the results, an SPDX identifier such as CC-BY-4.0 or a URL; by default the crate says
    /// that none was stated.
    #[arg(long, value_name = "LICENCE")]
    pub license: Option<License>,
}

/// Runs `ceteris export`.
///
/// # Errors
/// When something has that name already, the results cannot be read or are not whole, or the export
/// cannot be written.
pub fn execute(args: &ExportArgs, out: &mut dyn Write) -> Result<(), Box<dyn Error + Send + Sync>> {
    let results = ResultsDirectory::read(&args.directory)?;
    if let Some(folder) = &args.helm {
        return to_helm(&results, folder, out);
    }
    let to = args.to.as_deref().ok_or("say where the export goes with --to or --helm")?;
    let exported = export(&results, to, args.license.as_ref())?;
    if !exported.incomplete.is_empty() {
        writeln!(out, "The results are incomplete: {}.", exported.incomplete.join("; "))?;
    }
    writeln!(
        out,
        "{}: {} files, {} bytes; `sha256sum -c SHA256SUMS` checks them where they are unpacked",
        to.display(),
        exported.files,
        exported.bytes
    )?;
    Ok(())
}

fn to_helm(
    results: &Results,
    folder: &Path,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let exported = export_to_helm(results, folder)?;
    for arm in &exported.left_out {
        writeln!(
            out,
            "Left out: arm `{arm}` scores letters of options, for which HELM has no adapter."
        )?;
    }
    if exported.missing > 0 {
        writeln!(out, "The results are incomplete: {} runs are not stored.", exported.missing)?;
    }
    writeln!(
        out,
        "{}: {} runs; tables by HELM: {}",
        folder.display(),
        exported.runs,
        exported.command
    )?;
    Ok(())
}
