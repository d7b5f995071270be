//! `ceteris export`: results as an RO-Crate.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::provenance::{License, export};
use crate::store::ResultsDirectory;

/// Writes results as an RO-Crate with checksums, which every command reads as a results directory.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// The results directory.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Where the export goes: a zip file where the name ends in .zip, else a folder. It must not exist.
    #[arg(long, value_name = "PATH")]
    pub to: PathBuf,
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
    let exported = export(&results, &args.to, args.license.as_ref())?;
    if !exported.incomplete.is_empty() {
        writeln!(out, "The results are incomplete: {}.", exported.incomplete.join("; "))?;
    }
    writeln!(
        out,
        "{}: {} files, {} bytes; `sha256sum -c SHA256SUMS` checks them where they are unpacked",
        args.to.display(),
        exported.files,
        exported.bytes
    )?;
    Ok(())
}
