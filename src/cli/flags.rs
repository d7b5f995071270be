//! `ceteris flags`: every field of a study, as text, as the manual's page, as JSON.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};

use clap::builder::styling::{AnsiColor, Style};
use clap::{Args, ValueEnum};
use flags::{Field, Kind, Value, nearest};
use serde_json::json;

use crate::studies::{Layer, Preset, Study, find, registry};
use crate::study::{Diagnostics, PresetSetting, preset_settings};

/// Arguments of `ceteris flags`.
#[derive(Args, Clone, Debug)]
pub struct FlagsArgs {
    /// Only what has this in its name, group, meaning, source or levels
    pub filter: Option<String>,
    /// The kind of study; every kind where not given
    #[arg(long)]
    pub kind: Option<String>,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    pub format: FlagsFormat,
    /// List the presets instead
    #[arg(long, conflicts_with = "preset")]
    pub presets: bool,
    /// Print the settings of this preset instead, as TOML
    #[arg(long, value_name = "NAME", conflicts_with_all = ["filter", "format"])]
    pub preset: Option<String>,
}

/// A way to write the list of fields.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlagsFormat {
    /// For reading in a terminal
    #[default]
    Text,
    /// The manual's page
    Markdown,
    /// For programs
    Json,
}

/// Runs `ceteris flags`.
///
/// # Errors
/// When there is no such kind or preset, nothing matches the filter, or `out` cannot be written.
pub fn execute(args: &FlagsArgs, out: &mut dyn Write) -> Result<(), Box<dyn Error + Send + Sync>> {
    let studies: Vec<&'static dyn Study> = match &args.kind {
        None => registry().to_vec(),
        Some(kind) => {
            let kinds = registry().iter().map(|study| study.kind());
            vec![find(kind).ok_or_else(|| unknown("kind", kind, kinds))?]
        }
    };
    if let Some(name) = &args.preset {
        let presets = || {
            studies
                .iter()
                .copied()
                .flat_map(|study| study.presets().iter().map(move |preset| (study, preset)))
        };
        let (study, preset) = presets()
            .find(|(_, preset)| preset.name == name)
            .ok_or_else(|| unknown("preset", name, presets().map(|(_, preset)| preset.name)))?;
        out.write_all(preset_toml(study, preset)?.as_bytes())?;
        return Ok(());
    }
    let selection: Vec<Selection> =
        studies.iter().map(|study| Selection::new(*study, args)).collect();
    if let Some(filter) = &args.filter
        && selection.iter().all(Selection::is_empty)
    {
        let names = studies.iter().flat_map(|study| study.fields()).map(|field| field.name);
        return Err(unknown("field", filter, names).into());
    }
    let text = match args.format {
        FlagsFormat::Text => {
            let terminal = std::io::stdout().is_terminal();
            let colours = terminal && std::env::var_os("NO_COLOR").is_none();
            let width = comfy_table::Table::new().width().map_or(100, usize::from);
            text(&selection, Look { width: width.clamp(40, 110), colours })
        }
        FlagsFormat::Markdown => markdown(&selection),
        FlagsFormat::Json => format!("{:#}\n", json(&selection)?),
    };
    out.write_all(text.as_bytes())?;
    Ok(())
}

/// A preset as the TOML of a study file's base: what its layers say of themselves, then each value with
/// the layer that decides it.
fn preset_toml(study: &'static dyn Study, preset: &Preset) -> Result<String, Diagnostics> {
    let mut introduction = vec![
        format!("{}: {}.", preset.name, one_line(preset.about)),
        "Layers, later ones win:".to_owned(),
    ];
    let layers = preset.layers.iter();
    introduction.extend(layers.map(|layer| format!("- {}: {}", layer.name, source(layer))));
    let mut page = String::new();
    for paragraph in introduction {
        for line in wrapped(&paragraph, 0, 0, 104).lines() {
            page.push_str(&format!("# {line}\n"));
        }
    }
    let mut group = "";
    for PresetSetting { field, value, layer } in preset_settings(study, preset)? {
        if field.group != group {
            group = field.group;
            page.push_str(&format!("\n# {group}\n"));
        }
        let assignment = format!("{} = {}", field.name, toml(&value));
        page.push_str(&format!("{assignment:<50} # {}\n", preset.layers[layer].name));
    }
    Ok(page)
}

/// The comment at the head of a layer, which names its source.
fn source(layer: &Layer) -> String {
    let comment = layer.toml.lines().map_while(|line| line.strip_prefix('#'));
    comment.map(str::trim).collect::<Vec<_>>().join(" ")
}

/// The manual's page on fields and presets, `docs/flags.md`.
pub fn manual_page() -> String {
    let all = FlagsArgs {
        filter: None,
        kind: None,
        format: FlagsFormat::Markdown,
        presets: false,
        preset: None,
    };
    let selection: Vec<Selection> =
        registry().iter().map(|study| Selection::new(*study, &all)).collect();
    markdown(&selection)
}

/// What to say of a name that is not known.
pub(super) fn unknown<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a str>) -> String {
    let hint = match nearest(name, names) {
        Some(name) => format!("; did you mean {name:?}?"),
        None => String::new(),
    };
    match what {
        "field" => format!("no field matches {name:?}{hint}"),
        _ => format!("unknown {what} {name:?}{hint}"),
    }
}

/// What is to be shown of a study.
struct Selection {
    study: &'static dyn Study,
    fields: Vec<&'static Field>,
    presets: Vec<&'static Preset>,
}

impl Selection {
    fn new(study: &'static dyn Study, args: &FlagsArgs) -> Self {
        let word = args.filter.as_deref().unwrap_or_default().to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&word);
        // The manual's page has both; elsewhere one is asked for.
        let page = args.format == FlagsFormat::Markdown && args.filter.is_none();
        let fields = study.fields().iter().filter(|field| {
            [field.name, field.group, field.meaning, field.source].into_iter().any(has)
                || levels(field).iter().any(|level| has(level.name) || has(level.meaning))
        });
        let presets = study.presets().iter().filter(|preset| has(preset.name) || has(preset.about));
        Self {
            study,
            fields: if args.presets { Vec::new() } else { fields.collect() },
            presets: if args.presets || page { presets.collect() } else { Vec::new() },
        }
    }

    fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.presets.is_empty()
    }

    /// The fields under their headings, headings in the order of first use.
    fn groups(&self) -> Vec<(&'static str, Vec<&'static Field>)> {
        let mut groups: Vec<(&'static str, Vec<&'static Field>)> = Vec::new();
        for field in &self.fields {
            match groups.iter_mut().find(|(group, _)| *group == field.group) {
                Some((_, fields)) => fields.push(field),
                None => groups.push((field.group, vec![field])),
            }
        }
        groups
    }

    /// A field's default as a study file would write it.
    fn default(&self, field: &Field) -> String {
        self.study.defaults().get(field.name).map(toml).unwrap_or_default()
    }
}

fn levels(field: &Field) -> &'static [flags::Level] {
    match field.kind {
        Kind::Level(levels) => levels,
        _ => &[],
    }
}

/// A value as TOML.
fn toml(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

/// Type and range in a few words.
fn type_of(field: &Field) -> String {
    let range = field.within.map(|within| format!(" in {within}"));
    format!("{}{}", type_words(field.kind), range.unwrap_or_default())
}

fn type_words(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "true or false",
        Kind::Integer => "whole number",
        Kind::Float => "number",
        Kind::OptionalFloat => "number or \"off\"",
        Kind::Level(_) => "level",
        Kind::Text => "string",
        Kind::Integers => "list of whole numbers",
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How text looks.
#[derive(Clone, Copy)]
struct Look {
    width: usize,
    colours: bool,
}

impl Look {
    fn paint(self, style: Style, text: &str) -> String {
        if self.colours { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

const TITLE: Style = Style::new().bold().underline();
const HEADING: Style = AnsiColor::Yellow.on_default().bold();
const NAME: Style = AnsiColor::Cyan.on_default().bold();
const FAINT: Style = Style::new().dimmed();

fn text(selection: &[Selection], look: Look) -> String {
    let mut page = String::new();
    for part in selection.iter().filter(|part| !part.is_empty()) {
        let title = part.study.kind();
        page.push_str(&look.paint(TITLE, title));
        page.push('\n');
        page.push_str(&wrapped(&one_line(part.study.about()), 0, 0, look.width));
        for (group, fields) in part.groups() {
            let rule = "─".repeat(look.width.saturating_sub(group.chars().count() + 4));
            page.push('\n');
            page.push_str(&look.paint(HEADING, &format!("── {group} {rule}")));
            page.push('\n');
            for field in fields {
                page.push('\n');
                field_text(&mut page, part, field, look);
            }
        }
        if !part.presets.is_empty() {
            page.push('\n');
        }
        for preset in &part.presets {
            page.push_str(&look.paint(NAME, preset.name));
            page.push('\n');
            page.push_str(&wrapped(&one_line(preset.about), 4, 4, look.width));
        }
        if !part.presets.is_empty() {
            let hint = "`ceteris flags --preset NAME` prints the settings of a preset.";
            page.push('\n');
            page.push_str(&look.paint(FAINT, hint));
            page.push('\n');
        }
    }
    page
}

fn field_text(page: &mut String, part: &Selection, field: &Field, look: Look) {
    let default = part.default(field);
    let mut facts = vec![type_of(field)];
    if !field.unit.is_empty() && field.unit != "1" {
        facts.push(format!("unit: {}", field.unit));
    }
    if field.shape {
        facts.push("fixes the cohort".to_owned());
    }
    let assignment = format!("{} = {default}", field.name);
    page.push_str(&look.paint(NAME, field.name));
    page.push_str(&format!(" = {default}"));
    // The facts stand at the right where there is room, below otherwise.
    let facts = facts.join(", ");
    let used = assignment.chars().count() + facts.chars().count();
    if used + 2 <= look.width {
        page.push_str(&" ".repeat(look.width - used));
        page.push_str(&look.paint(FAINT, &facts));
    } else {
        page.push('\n');
        page.push_str(&look.paint(FAINT, wrapped(&facts, 4, 4, look.width).trim_end()));
    }
    page.push('\n');
    page.push_str(&wrapped(&field.summary(), 4, 4, look.width));
    let longest = levels(field).iter().map(|level| level.name.len()).max().unwrap_or(0);
    let indent = 8 + longest + 2;
    for level in levels(field) {
        let mark = if default == format!("{:?}", level.name) { '*' } else { ' ' };
        let meaning = wrapped(&one_line(level.meaning), 0, indent, look.width.max(indent + 20));
        // The first line was wrapped for the room that is left beside the name.
        let name = format!("{:width$}", level.name, width = longest);
        page.push_str(&format!("      {mark} {}  ", look.paint(NAME, &name)));
        page.push_str(&meaning);
    }
    let source = wrapped(&format!("Source: {}.", one_line(field.source)), 4, 12, look.width);
    page.push_str(&look.paint(FAINT, source.trim_end()));
    page.push('\n');
}

/// Breaks text into lines of at most `width` characters, indented, each ended by a newline.
///
/// With `first` zero and `rest` not, the first line follows text that fills its indent.
fn wrapped(text: &str, first: usize, rest: usize, width: usize) -> String {
    let mut lines = String::from(&" ".repeat(first));
    let mut column = first.max(rest);
    let mut at_start = true;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !at_start && column + 1 + length > width {
            lines.push('\n');
            lines.push_str(&" ".repeat(rest));
            column = rest;
            at_start = true;
        }
        if !at_start {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
        at_start = false;
    }
    lines.push('\n');
    lines
}

fn markdown(selection: &[Selection]) -> String {
    let mut page = String::from(
        "# Fields of a configuration\n\n\
         <!-- Generated by `ceteris flags --format markdown`; do not edit. -->\n\n\
         A study file sets these under `[base]`, in the levels of a factor and in `[[arms]]`. A field\n\
         that is set nowhere keeps its default. Runs that differ in a field which fixes the cohort\n\
         (tensor shapes or loop structure) are trained in different cohorts; the numbers do not depend\n\
         on it.\n",
    );
    // Writing to a string does not fail.
    for part in selection.iter().filter(|part| !part.is_empty()) {
        let _ = write!(page, "\n## {}\n\n{}\n", part.study.kind(), one_line(part.study.about()));
        for (group, fields) in part.groups() {
            let _ = write!(page, "\n### {group}\n");
            for field in fields {
                field_markdown(&mut page, part, field);
            }
        }
        if !part.presets.is_empty() {
            page.push_str(
                "\n### Presets\n\n`ceteris flags --preset NAME` prints the settings of one.\n\n",
            );
            for preset in &part.presets {
                let _ = writeln!(page, "- `{}`: {}", preset.name, escaped(&one_line(preset.about)));
            }
        }
    }
    page
}

fn field_markdown(page: &mut String, part: &Selection, field: &Field) {
    let default = part.default(field);
    let range = field.within.map(|within| format!(" in `{within}`")).unwrap_or_default();
    let mut facts =
        vec![format!("Default `{default}`"), format!("{}{range}", type_words(field.kind))];
    if !field.unit.is_empty() && field.unit != "1" {
        facts.push(format!("unit: {}", field.unit));
    }
    if field.shape {
        facts.push("fixes the cohort".to_owned());
    }
    let _ = write!(
        page,
        "\n#### `{}`\n\n{}\n\n{}. Source: {}.\n",
        field.name,
        escaped(&field.summary()),
        escaped(&facts.join("; ")),
        escaped(&one_line(field.source)),
    );
    if !levels(field).is_empty() {
        page.push('\n');
    }
    for level in levels(field) {
        let _ = writeln!(page, "- `{:?}`: {}", level.name, escaped(&one_line(level.meaning)));
    }
}

/// Escapes what Markdown would read as markup, code spans left as they are.
fn escaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut in_code = false;
    for c in text.chars() {
        if c == '`' {
            in_code = !in_code;
        } else if !in_code && matches!(c, '*' | '_' | '<' | '>' | '[' | ']' | '\\' | '|') {
            result.push('\\');
        }
        result.push(c);
    }
    result
}

fn json(selection: &[Selection]) -> Result<serde_json::Value, Diagnostics> {
    let parts = selection.iter().filter(|part| !part.is_empty());
    let studies = parts.map(study_json).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({ "studies": studies }))
}

fn study_json(part: &Selection) -> Result<serde_json::Value, Diagnostics> {
    let defaults = part.study.defaults();
    let fields: Vec<_> = part
        .fields
        .iter()
        .map(|field| {
            let levels: Vec<_> = levels(field)
                .iter()
                .map(|level| json!({ "name": level.name, "meaning": one_line(level.meaning) }))
                .collect();
            json!({
                "name": field.name,
                "group": field.group,
                "type": type_name(field.kind),
                "levels": levels,
                "range": field.within.map(|within| within.to_string()),
                "default": defaults.get(field.name),
                "unit": field.unit,
                "fixes_cohort": field.shape,
                "meaning": field.summary(),
                "source": one_line(field.source),
            })
        })
        .collect();
    let presets = part.presets.iter().map(|preset| preset_json(part.study, preset));
    Ok(json!({
        "kind": part.study.kind(),
        "about": one_line(part.study.about()),
        "fields": fields,
        "presets": presets.collect::<Result<Vec<_>, _>>()?,
    }))
}

fn preset_json(
    study: &'static dyn Study,
    preset: &Preset,
) -> Result<serde_json::Value, Diagnostics> {
    let layers: Vec<&str> = preset.layers.iter().map(|layer| layer.name).collect();
    let settings: serde_json::Map<_, _> = preset_settings(study, preset)?
        .into_iter()
        .map(|setting| (setting.field.name.to_owned(), json!(setting.value)))
        .collect();
    Ok(json!({
        "name": preset.name,
        "about": one_line(preset.about),
        "layers": layers,
        "settings": settings,
    }))
}

fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "bool",
        Kind::Integer => "integer",
        Kind::Float => "float",
        Kind::OptionalFloat => "optional-float",
        Kind::Level(_) => "level",
        Kind::Text => "text",
        Kind::Integers => "integers",
    }
}

#[cfg(test)]
mod tests {
    use super::{FlagsArgs, FlagsFormat, Look, Selection, execute, source, text, wrapped};
    use crate::studies::registry;
    use crate::study::{PresetSetting, preset_settings};

    fn args() -> FlagsArgs {
        FlagsArgs {
            filter: None,
            kind: None,
            format: FlagsFormat::Text,
            presets: false,
            preset: None,
        }
    }

    fn output(args: &FlagsArgs) -> Result<String, String> {
        let mut out = Vec::new();
        match execute(args, &mut out) {
            Ok(()) => Ok(String::from_utf8(out).unwrap()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn text_is_wrapped_with_a_hanging_indent() {
        assert_eq!(
            wrapped("one two three four", 2, 4, 10),
            "  one\n    two\n    three\n    four\n"
        );
        assert_eq!(wrapped("one two three", 0, 0, 7), "one two\nthree\n");
        assert_eq!(wrapped("incomprehensibilities", 0, 0, 5), "incomprehensibilities\n");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_every_field_is_there() {
        for width in [60, 80, 110] {
            // Kinds may have fields of the same name.
            for study in registry() {
                let selection = [Selection::new(*study, &args())];
                let page = text(&selection, Look { width, colours: false });
                let wide: Vec<_> =
                    page.lines().filter(|line| line.chars().count() > width).collect();
                assert!(wide.is_empty(), "wider than {width}: {wide:#?}");
                for field in study.fields() {
                    let start = format!("\n{} = ", field.name);
                    assert_eq!(page.matches(&start).count(), 1, "{}", field.name);
                }
            }
        }
    }

    #[test]
    fn a_filter_selects_by_name_and_by_meaning() {
        let page = output(&FlagsArgs { filter: Some("GAE".into()), ..args() }).unwrap();
        assert!(page.contains("gae_lambda = 0.95"), "{page}");
        assert!(!page.contains("value_clip"), "{page}");
        let error = output(&FlagsArgs { filter: Some("gae_lamda".into()), ..args() }).unwrap_err();
        assert_eq!(error, "no field matches \"gae_lamda\"; did you mean \"gae_lambda\"?");
    }

    #[test]
    fn unknown_kinds_and_presets_name_the_nearest() {
        let error = output(&FlagsArgs { kind: Some("policy-gradent".into()), ..args() });
        assert_eq!(
            error.unwrap_err(),
            "unknown kind \"policy-gradent\"; did you mean \"policy-gradient\"?"
        );
        let error = output(&FlagsArgs { preset: Some("zzzz".into()), ..args() });
        assert_eq!(error.unwrap_err(), "unknown preset \"zzzz\"");
    }

    #[test]
    fn json_holds_types_levels_and_defaults() {
        let page = output(&FlagsArgs { format: FlagsFormat::Json, ..args() }).unwrap();
        let page: serde_json::Value = serde_json::from_str(&page).unwrap();
        let study = &page["studies"][0];
        assert_eq!(study["kind"], "policy-gradient");
        let field = |name: &str| {
            let fields = study["fields"].as_array().unwrap();
            fields.iter().find(|field| field["name"] == name).unwrap().clone()
        };
        assert_eq!(field("gamma")["default"], 0.99);
        assert_eq!(field("gamma")["range"], "[0, 1]");
        assert_eq!(field("target_kl")["type"], "optional-float");
        assert_eq!(field("target_kl")["default"], "off");
        assert_eq!(field("value_clip")["levels"][1]["name"], "max");
        assert_eq!(field("policy_hidden")["default"], serde_json::json!([64, 64]));
    }

    #[test]
    fn every_preset_is_printed_as_the_base_of_a_study_file() {
        for study in registry() {
            for preset in study.presets() {
                let page = output(&FlagsArgs { preset: Some(preset.name.into()), ..args() });
                let page = page.unwrap();
                let printed: toml::Table = page.parse().unwrap();
                let settings = preset_settings(*study, preset).unwrap();
                assert_eq!(printed.len(), settings.len(), "{}", preset.name);
                for layer in preset.layers {
                    assert!(page.contains(&format!("\n# - {}: ", layer.name)), "{page}");
                    assert!(!source(layer).is_empty(), "{} names no source", layer.name);
                }
                for PresetSetting { field, value, layer } in settings {
                    let assignment = format!("{} = {}", field.name, super::toml(&value));
                    let line = page.lines().find(|line| line.starts_with(&assignment)).unwrap();
                    assert!(line.ends_with(&format!("# {}", preset.layers[layer].name)), "{line}");
                }
            }
        }
    }
}
