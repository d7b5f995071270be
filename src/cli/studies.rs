//! `ceteris studies`: what can be studied.

use std::error::Error;
use std::io::Write;

use crate::data::Presence;
use crate::studies::registry;

/// Lists the kinds of studies: what each is about, its fields and presets, its tables, its data.
///
/// # Errors
/// When nothing can be printed.
pub fn execute(out: &mut dyn Write) -> Result<(), Box<dyn Error + Send + Sync>> {
    for study in registry() {
        writeln!(out, "{}", study.kind())?;
        writeln!(out, "  {}", study.about())?;
        let (fields, presets) = (study.fields().len(), study.presets().len());
        let tables: Vec<&str> = study.tables().iter().map(|table| table.name).collect();
        writeln!(
            out,
            "  {fields} fields and {presets} presets: ceteris flags --kind {}",
            study.kind()
        )?;
        writeln!(out, "  tables   runs, {}", tables.join(", "))?;
        for data in study.data() {
            let missing =
                data.presence().iter().filter(|(_, is)| !matches!(is, Presence::Here(_))).count();
            let state = match missing {
                0 => "here".to_owned(),
                _ => format!("{missing} of {} files missing: ceteris data", data.files.len()),
            };
            writeln!(out, "  data     {} ({state})", data.name)?;
        }
    }
    Ok(())
}
