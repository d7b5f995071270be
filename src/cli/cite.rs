//! `ceteris cite`: where results come from.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::provenance::Provenance;
use crate::store::ResultsDirectory;

/// Says where results come from, to cite and to check them.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
The content hash is the SHA-256 of one line for each reproducible table that has rows, \
`<table> <content_sha256>`, sorted by table, with the content_sha256 of manifest.json.")]
pub struct CiteArgs {
    /// The results directory.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// What is printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: CiteFormat,
}

/// What `ceteris cite` prints.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CiteFormat {
    /// A paragraph for a methods section, how to check it, and BibTeX.
    #[default]
    Text,
    /// BibTeX alone.
    Bibtex,
    /// Every fact as JSON.
    Json,
}

/// Runs `ceteris cite`.
///
/// # Errors
/// When the results cannot be read or a file is not what the manifest says.
pub fn execute(args: &CiteArgs, out: &mut dyn Write) -> Result<(), Box<dyn Error + Send + Sync>> {
    let provenance = Provenance::of(&ResultsDirectory::read(&args.directory)?)?;
    match args.format {
        CiteFormat::Text => {
            writeln!(out, "{}\n\nTo check it:", provenance.paragraph())?;
            let checks = provenance.checks();
            let width = checks.iter().map(|(command, _)| command.chars().count()).max();
            for (command, what) in checks {
                writeln!(out, "  {command:<width$}  {what}", width = width.unwrap_or(0))?;
            }
            write!(out, "\n{}", provenance.bibtex())?;
        }
        CiteFormat::Bibtex => write!(out, "{}", provenance.bibtex())?,
        CiteFormat::Json => {
            let mut page = serde_json::to_value(&provenance)?;
            if let serde_json::Value::Object(page) = &mut page {
                page.insert("paragraph".into(), json!(provenance.paragraph()));
                let checks = provenance.checks().into_iter().map(|(command, _)| command);
                page.insert("checks".into(), checks.collect());
                page.insert("bibtex".into(), json!(provenance.bibtex()));
            }
            writeln!(out, "{page:#}")?;
        }
    }
    Ok(())
}
