//! `ceteris data`: the published data that studies read.

use std::error::Error;
use std::io::Write;

use clap::Args;

use crate::data::{Presence, folders};
use crate::studies::registry;

/// Lists the published data that studies read: source, licence, hash, and whether a copy is here.
///
/// Copies are looked for in the folder that CETERIS_DATA names, then in data, in ../shared/data and in
/// third-party, where setup scripts put what they make.
/// Studies compare every file with its hash before they read it.
#[derive(Args, Clone, Debug)]
pub struct DataArgs {
    /// Only the data set of this name
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Runs `ceteris data`.
///
/// # Errors
/// When there is no such data set, or nothing can be printed.
pub fn execute(args: &DataArgs, out: &mut dyn Write) -> Result<(), Box<dyn Error + Send + Sync>> {
    let all: Vec<_> = registry()
        .iter()
        .flat_map(|study| study.data().iter().map(|data| (study.kind(), data)))
        .collect();
    let wanted = |name: &str| args.name.as_ref().is_none_or(|wanted| wanted == name);
    if !all.iter().any(|(_, data)| wanted(data.name)) {
        let Some(name) = &args.name else {
            writeln!(out, "no study reads published data")?;
            return Ok(());
        };
        let near = flags::nearest(name, all.iter().map(|(_, data)| data.name));
        let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        return Err(format!("there is no data set {name:?}{near}").into());
    }
    let places: Vec<String> = folders().iter().map(|path| path.display().to_string()).collect();
    writeln!(out, "looked for in {}\n", places.join(", then "))?;
    for (kind, data) in all.into_iter().filter(|(_, data)| wanted(data.name)) {
        writeln!(out, "{} (study kind {kind})", data.name)?;
        writeln!(out, "  {}", data.about)?;
        writeln!(out, "  source   {}", data.source)?;
        writeln!(out, "  licence  {}", data.licence)?;
        for (file, presence) in data.presence() {
            let state = match presence {
                Presence::Here(path) => format!("here: {}", path.display()),
                Presence::Different(path) => {
                    format!("NOT THE PUBLISHED FILE: {}; get it again", path.display())
                }
                Presence::Missing => "missing: put it there".to_owned(),
            };
            writeln!(out, "  {}\n    SHA-256 {}\n    {state}", file.path, file.sha256)?;
        }
        writeln!(out)?;
    }
    Ok(())
}
