//! Study files: TOML checked against the fields of a study, every mistake with its place.
//!
//! ```toml
//! [study]
//! kind = "policy-gradient"
//! name = "quickstart"          # letters, digits, - and _
//! title = "Value clipping and initialisation"
//! description = "What they change on a short task."
//! seed = 20200504              # of the study; every run's seed is derived from it
//! replicates = 5               # numbers 0 to 4; or a list of numbers, [0, 3, 7]
//!
//! [base]                       # what every arm starts from
//! preset = "release-5ee6ecb/ppo"
//! environment = "Pendulum-v1"  # any field, see `ceteris flags`
//! total_steps = 50000
//!
//! [factors]                    # full factorial, the last factor varies fastest
//! value_clip = ["none", "max"] # a field and its values
//!
//! [factors.initialisation]     # or a name and levels that set several fields (or a preset) each
//! orthogonal = { initializer = "orthogonal", policy_head_scale = 0.01 }
//! xavier = { initializer = "xavier-uniform", hidden_scale = 1.0, policy_head_scale = 1.0 }
//!
//! [[arms]]                     # single arms beside the grid: the base plus these settings
//! name = "no-observation-normalization"
//! observation_normalization = "none"
//!
//! [[claims]]                   # published statements, judged by the report
//! name = "clipping-helps"      # letters, digits, - and _
//! statement = "Value clipping raises the return."
//! source = "Somebody 2020, Table 1"
//! metric = "return_last_5"     # of a run; the study's headline where left out
//! estimate = { effect = { factor = "value_clip", from = "none", to = "max" } }
//! expect = "positive"          # or "negative"; or `margin`, see below
//! reference = 120              # the published number, optional with `expect`
//! interval = [80, 160]         # its published 95 % interval, optional
//!
//! [tuning]                     # a level of one factor is chosen for every combination of the others
//! factor = "policy_learning_rate"
//! rule = "fresh-seeds"         # or "nested-bootstrap"; "naive" only to show its bias
//! replicates = 2               # of "fresh-seeds": so many first replicates choose, the others estimate
//! by = "mean"                  # of a metric over the seeds that choose; or "median", "iqm"
//! metric = "return_last_5"     # the study's headline where left out
//! ```
//!
//! Settings apply in this order, later ones win: the study's defaults, the base's preset, the
//! base's fields; then for each factor, in order of declaration, its level's preset and fields; or,
//! for a named arm, its preset and fields. A preset only fills in: whatever the file itself sets stays,
//! wherever the preset is named. Arms of the grid are named by their levels,
//! `value_clip=none,initialisation=xavier`. Without factors and arms the base is the one arm,
//! `base`. Two factors may not set the same field: their effects could not be told apart.
//!
//! A claim names one estimand on the means of arms:
//!
//! | `estimate` | what it is |
//! |---|---|
//! | `{ mean = "a" }` | the mean of an arm |
//! | `{ difference = ["a", "b"] }` | mean of `a` minus mean of `b` |
//! | `{ largest_difference = [["a", "b"], ["c", "d"]] }` | the largest absolute difference of the pairs |
//! | `{ excess = { of = [["a", "b"]], over = [["c", "d"]] } }` | the largest absolute difference of the first pairs minus that of the second |
//! | `{ effect = { factor = "f", from = "x", to = "y" } }` | the difference between two levels, averaged over all combinations of the other factors |
//!
//! and one rule: `expect` (the sign), or `margin` beside `reference`, in whose place
//! `margin = 0.15` says that a number within 15 % of the reference equals it. Claims and tuning change no
//! run: they do not enter run identities, and may be added after the runs.

mod claims;
mod tuning;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flags::{Field, Kind, SetError, Value, nearest};
use sha2::{Digest, Sha256};
use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::diagnostics::{Diagnostic, Diagnostics};
use super::plan::hex;
use crate::studies::{Configuration, Preset, ReplicateUnit, Study, registry};
use claims::Subjects;
pub use claims::{ArmPair, Claim, ClaimEstimate, ClaimRule, Reference, Sign};
pub use tuning::{Tuning, TuningRule};

/// Most arms that a study file may define.
pub const MAX_ARMS: usize = 10_000;

/// Most runs (arms times replicates) that a study file may define.
pub const MAX_RUNS: usize = 1_000_000;

const SECTIONS: [&str; 6] = ["study", "base", "factors", "arms", "claims", "tuning"];
const STUDY_KEYS: [&str; 6] = ["kind", "name", "title", "description", "seed", "replicates"];

/// A checked study file.
#[derive(Clone)]
pub struct StudyFile {
    /// The file, as it was named by the caller.
    pub path: PathBuf,
    /// Its text, from which everything else can be made again.
    pub text: String,
    /// SHA-256 of the text, in hexadecimal digits.
    pub sha256: String,
    /// The study.
    pub study: &'static dyn Study,
    /// Short name, fit for a folder.
    pub name: String,
    /// One line for people; the name where the file gives none.
    pub title: String,
    /// More for people; may be empty.
    pub description: String,
    /// Seed of the study.
    pub seed: u64,
    /// Numbers of the replicates, as written.
    pub replicates: Vec<u64>,
    /// The factors of the grid, in order of declaration.
    pub factors: Vec<Factor>,
    /// The arms: the grid first, its last factor varying fastest, then the named ones.
    pub arms: Vec<Arm>,
    /// The published statements that it judges, in order of declaration.
    pub claims: Vec<Claim>,
    /// How a hyper-parameter is chosen, if the file says so.
    pub tuning: Option<Tuning>,
    /// The presets that it names, by name, each as the TOML of every field that it sets.
    pub presets: BTreeMap<String, String>,
}

/// What a study varies.
#[derive(Clone, Debug, PartialEq)]
pub struct Factor {
    /// The field it varies, or the name the file gives to a factor of several fields.
    pub name: String,
    /// Its levels, in order of declaration.
    pub levels: Vec<FactorLevel>,
}

/// One level of a factor.
#[derive(Clone, Debug, PartialEq)]
pub struct FactorLevel {
    /// The value of the field, or the name the file gives.
    pub name: String,
    /// The fields it sets, presets resolved, in the order of assignment.
    pub settings: Vec<(&'static str, Value)>,
}

/// One combination of levels, or one named deviation from the base.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// Its name, unique in the file.
    pub name: String,
    /// The level of every factor, in their order; empty for named arms.
    pub levels: Vec<ArmLevel>,
    /// Its resolved configuration.
    pub configuration: Configuration,
}

/// The level of one factor in an arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArmLevel {
    /// The factor's name.
    pub factor: String,
    /// The level's name.
    pub level: String,
}

impl StudyFile {
    /// Reads and checks a study file.
    ///
    /// # Errors
    /// When it cannot be read, is not UTF-8, or holds mistakes; all of them are listed.
    pub fn read(path: impl Into<PathBuf>) -> Result<Self, Diagnostics> {
        let path = path.into();
        match std::fs::read(&path) {
            Ok(bytes) => Self::from_bytes(path, &bytes),
            Err(error) => {
                let mistake = Diagnostic::new(format!("cannot read {}: {error}", path.display()));
                Err(Diagnostics::new(path, String::new(), vec![mistake]))
            }
        }
    }

    /// Checks the bytes of a study file; `path` only names it in messages.
    ///
    /// # Errors
    /// When they are not UTF-8, or hold mistakes; all of them are listed.
    pub fn from_bytes(path: impl Into<PathBuf>, bytes: &[u8]) -> Result<Self, Diagnostics> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::parse(path, text),
            Err(error) => {
                let at = error.valid_up_to();
                let mistake = Diagnostic::at(at..at + 1, "the file is not UTF-8 text")
                    .expected("UTF-8 from here on")
                    .help("save the file with the encoding UTF-8");
                let text = String::from_utf8_lossy(bytes).into_owned();
                Err(Diagnostics::new(path.into(), text, vec![mistake]))
            }
        }
    }

    /// Checks the text of a study file; `path` only names it in messages.
    ///
    /// # Errors
    /// When it holds mistakes; all of them are listed.
    pub fn parse(path: impl Into<PathBuf>, text: &str) -> Result<Self, Diagnostics> {
        Self::parse_among(registry(), path.into(), text, &BTreeMap::new())
    }

    /// [`Self::parse`] with presets that were kept, as in [`Self::presets`]: they stand in for the
    /// program's of the same names, so that an old file goes on to mean what it meant.
    ///
    /// # Errors
    /// See there; also when a preset that the file names does not fit the study any more.
    pub fn parse_with_presets(
        path: impl Into<PathBuf>,
        text: &str,
        presets: &BTreeMap<String, String>,
    ) -> Result<Self, Diagnostics> {
        Self::parse_among(registry(), path.into(), text, presets)
    }

    fn parse_among(
        registry: &[&'static dyn Study],
        path: PathBuf,
        text: &str,
        presets: &BTreeMap<String, String>,
    ) -> Result<Self, Diagnostics> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut reader = Reader { kept_presets: Some(presets), ..Reader::new(text, errors) };
        match reader.file(registry, root.get_ref(), &path) {
            Some(file) if reader.diagnostics.is_empty() => Ok(file),
            _ => Err(Diagnostics::new(path, text.to_owned(), reader.diagnostics)),
        }
    }

    /// What the replicates of its arms are, where they differ at all.
    pub fn replicate_unit(&self) -> ReplicateUnit {
        let drawn = self.arms.iter().filter(|arm| !self.study.exact(&arm.configuration));
        let mut units = drawn.map(|arm| self.study.replicate_unit(&arm.configuration));
        match units.next() {
            Some(first) if units.all(|unit| unit == first) => first,
            _ => ReplicateUnit::REPLICATES,
        }
    }

    /// How many runs the file asks for, runs that arms share counted once for each of them.
    pub fn members(&self) -> usize {
        self.arms.len() * self.replicates.len()
    }
}

impl fmt::Debug for StudyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StudyFile")
            .field("path", &self.path)
            .field("sha256", &self.sha256)
            .field("study", &self.study.kind())
            .field("name", &self.name)
            .field("seed", &self.seed)
            .field("replicates", &self.replicates)
            .field("factors", &self.factors)
            .field("arms", &self.arms)
            .field("claims", &self.claims)
            .field("tuning", &self.tuning)
            .finish_non_exhaustive()
    }
}

/// What a preset sets, its layers merged.
#[derive(Clone, Debug, PartialEq)]
pub struct PresetSetting {
    /// The field.
    pub field: &'static Field,
    /// Its value.
    pub value: Value,
    /// Index of the layer that decides it, into [`Preset::layers`].
    pub layer: usize,
}

/// The fields that a preset sets, in the order of the study's fields; of its layers, the last one
/// that sets a field decides.
///
/// # Errors
/// When a layer's text does not fit the study, which is a defect of the study.
pub fn preset_settings(
    study: &'static dyn Study,
    preset: &Preset,
) -> Result<Vec<PresetSetting>, Diagnostics> {
    let mut decided: BTreeMap<&'static str, (Value, usize)> = BTreeMap::new();
    for (index, layer) in preset.layers.iter().enumerate() {
        let path = Path::new("preset layer").join(layer.name);
        for (field, value) in layer_settings(study, path, layer.toml)? {
            decided.insert(field, (value, index));
        }
    }
    let settings = study.fields().iter().filter_map(|field| {
        let (value, layer) = decided.remove(field.name)?;
        Some(PresetSetting { field, value, layer })
    });
    Ok(settings.collect())
}

/// The fields that a text of plain assignments sets, in its order.
fn layer_settings(
    study: &'static dyn Study,
    path: PathBuf,
    toml: &str,
) -> Result<Vec<(&'static str, Value)>, Diagnostics> {
    let (root, errors) = DeTable::parse_recoverable(toml);
    let mut reader = Reader::new(toml, errors);
    let mut settings = Vec::new();
    for entry in entries(root.get_ref()) {
        for assignment in reader.field(study, &entry, &[]) {
            settings.extend(assignment.value.map(|value| (assignment.field, value)));
        }
    }
    if reader.diagnostics.is_empty() {
        Ok(settings)
    } else {
        Err(Diagnostics::new(path, toml.to_owned(), reader.diagnostics))
    }
}

/// Settings as TOML, one a line: what [`layer_settings`] reads.
fn as_toml(settings: &[(&'static str, Value)]) -> String {
    settings.iter().map(|(field, value)| format!("{field} = {}\n", toml_value(value))).collect()
}

fn toml_value(value: &Value) -> toml::Value {
    match value {
        Value::Bool(bool) => toml::Value::Boolean(*bool),
        Value::Integer(integer) => toml::Value::Integer(*integer),
        Value::Float(float) => toml::Value::Float(*float),
        Value::Text(text) => toml::Value::String(text.clone()),
        Value::List(values) => toml::Value::Array(values.iter().map(toml_value).collect()),
    }
}

type Span = Range<usize>;

/// A key of a table with its value and the places of both.
struct Entry<'a> {
    key: &'a str,
    key_span: Span,
    value: &'a DeValue<'a>,
    span: Span,
}

/// The entries of a table in the order of the text; the table itself sorts by key.
fn entries<'a>(table: &'a DeTable<'a>) -> Vec<Entry<'a>> {
    let mut list: Vec<Entry<'a>> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref(),
            key_span: key.span(),
            value: value.get_ref(),
            span: value.span(),
        })
        .collect();
    list.sort_by_key(|entry| entry.key_span.start);
    list
}

/// One field set by one place of the file.
#[derive(Clone, Debug)]
struct Assignment {
    field: &'static str,
    /// `None` where the place holds a mistake: whatever depends on the field is not judged.
    value: Option<Value>,
    span: Span,
    preset: Option<Rc<str>>,
}

/// Where the value of a field in an arm comes from.
#[derive(Clone, Debug)]
enum Origin {
    Default,
    Mistake,
    At { span: Span, preset: Option<Rc<str>> },
}

/// An arm while it is put together.
#[derive(Clone)]
struct Draft {
    name: String,
    levels: Vec<ArmLevel>,
    configuration: Configuration,
    origins: BTreeMap<&'static str, Origin>,
}

impl Draft {
    fn apply(&mut self, study: &dyn Study, assignments: &[Assignment]) {
        for assignment in assignments {
            let explicit = matches!(self.origin(assignment.field), Origin::At { preset: None, .. });
            if explicit && assignment.preset.is_some() {
                continue;
            }
            let set = assignment.value.as_ref().is_some_and(|value| {
                study.set(&mut self.configuration, assignment.field, value).is_ok()
            });
            let origin = if set {
                Origin::At { span: assignment.span.clone(), preset: assignment.preset.clone() }
            } else {
                Origin::Mistake
            };
            self.origins.insert(assignment.field, origin);
        }
    }

    fn origin(&self, field: &str) -> &Origin {
        self.origins.get(field).unwrap_or(&Origin::Default)
    }
}

struct DraftFactor {
    name: String,
    levels: Vec<DraftLevel>,
}

struct DraftLevel {
    name: String,
    settings: Vec<Assignment>,
}

/// What `[study]` says; `None` where it says it wrongly or not at all.
#[derive(Default)]
struct Header {
    kind: Option<&'static dyn Study>,
    name: Option<String>,
    title: Option<String>,
    description: Option<String>,
    seed: Option<u64>,
    replicates: Option<Vec<u64>>,
    /// Where they are said.
    replicates_at: Span,
}

/// Reads one text and gathers its mistakes.
struct Reader<'a> {
    text: &'a str,
    diagnostics: Vec<Diagnostic>,
    /// Starts and ends of lines that are not TOML: what is read there is a guess.
    broken_lines: Vec<Span>,
    /// Presets that stand in for the program's, see [`StudyFile::parse_with_presets`].
    kept_presets: Option<&'a BTreeMap<String, String>>,
    /// The presets that the text names, as [`StudyFile::presets`] has them.
    presets: BTreeMap<String, String>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, errors: Vec<toml::de::Error>) -> Self {
        let mut reader = Self {
            text,
            diagnostics: Vec::new(),
            broken_lines: Vec::new(),
            kept_presets: None,
            presets: BTreeMap::new(),
        };
        let mut syntax = Vec::new();
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let mut line = reader.line_of(&span);
            // Below a broken header, keys belong to a section that is not known.
            while reader.source(&line).trim_start().starts_with('[') && line.end < text.len() {
                let next = reader.line_of(&(line.end + 1..line.end + 1));
                if reader.source(&next).trim_start().starts_with('[') {
                    break;
                }
                line.end = next.end;
            }
            reader.broken_lines.push(line);
            syntax.push(reader.syntax_error(&error, span));
        }
        reader.diagnostics = syntax;
        reader
    }

    fn syntax_error(&self, error: &toml::de::Error, span: Span) -> Diagnostic {
        let (found, expected) = match error.message().split_once(", expected ") {
            Some((found, expected)) => (found, Some(expected)),
            None => (error.message(), None),
        };
        // The parser's words for these two do not say what people did.
        let unquoted = found == "string values must be quoted";
        match expected {
            _ if found == "duplicate key" => {
                let key = self.source(&span);
                Diagnostic::at(span, format!("`{key}` is given twice")).expected("every key once")
            }
            _ if unquoted && span.is_empty() => {
                Diagnostic::at(span, "a value is missing").expected("a value")
            }
            _ if unquoted => Diagnostic::at(span, "this is not TOML: a string without quotes")
                .expected("a string in quotes, a number or another value"),
            Some(expected) => {
                Diagnostic::at(span, format!("this is not TOML: {found}")).expected(expected)
            }
            None => Diagnostic::at(span, format!("this is not TOML: {found}")),
        }
    }

    /// The text of a span, if it is one.
    fn source(&self, span: &Span) -> &'a str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    fn line_of(&self, span: &Span) -> Span {
        let start = span.start.min(self.text.len());
        let bytes = self.text.as_bytes();
        let line_start =
            bytes[..start].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line_end = bytes[start..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(bytes.len(), |length| start + length);
        line_start..line_end.max(span.end)
    }

    /// Records a mistake, unless its line is not TOML in the first place.
    fn report(&mut self, diagnostic: Diagnostic) {
        let on_broken_line = diagnostic.span.as_ref().is_some_and(|span| {
            self.broken_lines.iter().any(|line| line.start <= span.start && span.start <= line.end)
        });
        if !on_broken_line {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Records that something is missing, unless it may be hidden by a line that is not TOML.
    fn report_missing(&mut self, diagnostic: Diagnostic) {
        if self.broken_lines.is_empty() {
            self.report(diagnostic);
        }
    }

    fn file(
        &mut self,
        registry: &[&'static dyn Study],
        root: &DeTable<'_>,
        path: &Path,
    ) -> Option<StudyFile> {
        let sections = entries(root);
        // A misspelt section is one mistake; what it holds is read as what was probably meant.
        let meant = |entry: &Entry<'_>| match entry.value {
            DeValue::Table(_) | DeValue::Array(_) => nearest(entry.key, SECTIONS),
            _ => None,
        };
        let find = |name: &str| {
            let exact = sections.iter().find(|entry| entry.key == name);
            exact.or_else(|| sections.iter().find(|entry| meant(entry) == Some(name)))
        };

        let header = match find("study") {
            Some(entry) => match self.table(entry, "[study]") {
                Some(table) => self.header(registry, table, &entry.span),
                None => Header::default(),
            },
            None => {
                self.report_missing(
                    Diagnostic::at(0..0, "the section `[study]` is missing")
                        .expected("a section `[study]` with kind, name, seed and replicates"),
                );
                Header::default()
            }
        };
        let study = header.kind;
        for entry in &sections {
            if !SECTIONS.contains(&entry.key) {
                self.unknown_section(entry, study);
            }
        }
        let base_entry = find("base");
        if base_entry.is_none() {
            self.report_missing(
                Diagnostic::at(0..0, "the section `[base]` is missing")
                    .expected("a section `[base]` with the fields that all arms share")
                    .help("an empty `[base]` starts from the study's defaults"),
            );
        }
        let base = base_entry.and_then(|entry| self.table(entry, "[base]"));
        let factors = find("factors").and_then(|entry| self.factors_table(entry));
        let arms = find("arms").and_then(|entry| self.arms_list(entry));
        let claims = find("claims").and_then(|entry| self.claims_list(entry));
        let tuning = find("tuning").and_then(|entry| {
            self.table(entry, "[tuning]").map(|table| (table, entry.span.clone()))
        });

        // Without the study's fields, nothing below can be judged.
        let study = study?;
        let base = base.map(|table| self.settings(study, table, &[])).unwrap_or_default();
        // Claims refer to factors and arms by name; where one of these may be misread, they cannot be
        // judged by it.
        let toml = self.broken_lines.is_empty();
        let factors_read = factors.is_some() == find("factors").is_some();
        let before = self.diagnostics.len();
        let factors = factors.map(|table| self.factors(study, table)).unwrap_or_default();
        let factors_known = toml && factors_read && self.diagnostics.len() == before;
        let arms_read = arms.is_some() == find("arms").is_some();
        let declared = arms.map_or(0, |items| items.len());
        let arms = arms.map(|items| self.named_arms(study, items)).unwrap_or_default();
        let arms_known = toml && arms_read && arms.len() == declared;
        self.clashing_factors(&factors);

        let grid = match factors.as_slice() {
            [] => usize::from(arms.is_empty()),
            factors => factors
                .iter()
                .fold(1usize, |product, factor| product.saturating_mul(factor.levels.len())),
        };
        let total = arms.len().saturating_add(grid);
        let replicates = header.replicates.as_ref().map_or(1, Vec::len);
        if total > MAX_ARMS || total.saturating_mul(replicates) > MAX_RUNS {
            let place = find("factors").or(find("arms")).map_or(0..0, |entry| entry.span.clone());
            self.report(
                Diagnostic::at(
                    place,
                    format!("{total} arms with {replicates} replicates are too many"),
                )
                .expected(format!("at most {MAX_ARMS} arms and {MAX_RUNS} runs"))
                .help("split the study into several files"),
            );
            return None;
        }

        let fallback = base_entry.map_or(0..0, |entry| entry.span.clone());
        let drafts = self.drafts(study, &base, &factors, arms, fallback);
        let arms: Vec<Arm> = drafts
            .into_iter()
            .map(|draft| Arm {
                name: draft.name,
                levels: draft.levels,
                configuration: draft.configuration,
            })
            .collect();
        self.limited_replicates(study, &header, &arms);
        let subjects = Subjects::new(study, &arms, &factors, arms_known, factors_known);
        let claims = claims.map(|items| self.claims(&subjects, items)).unwrap_or_default();
        let replicates = header.replicates.as_ref().map(Vec::len);
        let tuning =
            tuning.and_then(|(table, span)| self.tuning(&subjects, replicates, table, &span));
        let factors = factors.into_iter().map(DraftFactor::finish).collect();
        let name = header.name?;
        Some(StudyFile {
            path: path.to_owned(),
            text: self.text.to_owned(),
            sha256: hex(&Sha256::digest(self.text.as_bytes())),
            study,
            title: header.title.unwrap_or_else(|| name.clone()),
            name,
            description: header.description.unwrap_or_default(),
            seed: header.seed?,
            replicates: header.replicates?,
            factors,
            arms,
            claims,
            tuning,
            presets: std::mem::take(&mut self.presets),
        })
    }

    fn unknown_section(&mut self, entry: &Entry<'_>, study: Option<&'static dyn Study>) {
        let is_table = entry.value.is_table() || entry.value.is_array();
        let what = if is_table { "section" } else { "key" };
        let diagnostic =
            Diagnostic::at(entry.key_span.clone(), format!("unknown {what} `{}`", entry.key))
                .expected("one of the sections study, base, factors, arms, claims and tuning");
        let known_field =
            study.is_some_and(|study| study.fields().iter().any(|field| field.name == entry.key));
        let help = if STUDY_KEYS.contains(&entry.key) {
            Some(format!("`{}` belongs under `[study]`", entry.key))
        } else if known_field {
            Some(format!("`{}` is a field: write it under `[base]`", entry.key))
        } else {
            nearest(entry.key, SECTIONS).map(did_you_mean)
        };
        self.report(Diagnostic { help, ..diagnostic });
    }

    fn table<'b>(&mut self, entry: &Entry<'b>, header: &str) -> Option<&'b DeTable<'b>> {
        let table = entry.value.as_table();
        if table.is_none() {
            self.report(
                Diagnostic::at(
                    entry.span.clone(),
                    format!("`{}` is {}", entry.key, described(entry.value)),
                )
                .expected(format!("a section `{header}`")),
            );
        }
        table
    }

    fn header(
        &mut self,
        registry: &[&'static dyn Study],
        table: &DeTable<'_>,
        span: &Span,
    ) -> Header {
        let mut header = Header::default();
        let list = entries(table);
        // A misspelt key is not also a missing one.
        let mut meant = Vec::new();
        for entry in &list {
            match entry.key {
                "kind" => header.kind = self.kind(registry, entry),
                "name" => {
                    header.name =
                        self.string(entry).filter(|name| self.named(name, entry, "name", "-_"));
                }
                "title" => header.title = self.string(entry),
                "description" => header.description = self.string(entry),
                "seed" => {
                    header.seed = self.whole(entry.key, entry.value, &entry.span, 0, u64::MAX)
                }
                "replicates" => {
                    header.replicates = self.replicates(entry);
                    header.replicates_at = entry.span.clone();
                }
                _ => {
                    let field = registry
                        .iter()
                        .any(|study| study.fields().iter().any(|field| field.name == entry.key));
                    let help = if field || entry.key == "preset" {
                        Some(format!("write `{}` under `[base]`", entry.key))
                    } else {
                        meant.extend(nearest(entry.key, STUDY_KEYS));
                        nearest(entry.key, STUDY_KEYS).map(did_you_mean)
                    };
                    let diagnostic = Diagnostic::at(
                        entry.key_span.clone(),
                        format!("unknown key `{}` in `[study]`", entry.key),
                    )
                    .expected(format!("one of {}", STUDY_KEYS.join(", ")));
                    self.report(Diagnostic { help, ..diagnostic });
                }
            }
        }
        for (key, example) in [
            ("kind", "kind = \"policy-gradient\""),
            ("name", "name = \"my-study\""),
            ("seed", "seed = 1"),
            ("replicates", "replicates = 5"),
        ] {
            if !list.iter().any(|entry| entry.key == key) && !meant.contains(&key) {
                self.report_missing(
                    Diagnostic::at(span.clone(), format!("`{key}` is missing in `[study]`"))
                        .expected(format!("`{key}` in this section, such as `{example}`")),
                );
            }
        }
        // A file that names no kind is still judged if there is only one that it can mean.
        if let [only] = registry
            && !list.iter().any(|entry| entry.key == "kind")
        {
            header.kind = Some(*only);
        }
        header
    }

    /// The study of a kind, or else the one that was probably meant, to judge the rest by.
    fn kind(
        &mut self,
        registry: &[&'static dyn Study],
        entry: &Entry<'_>,
    ) -> Option<&'static dyn Study> {
        let kind = self.string(entry)?;
        let of_kind = |kind: &str| registry.iter().copied().find(|study| study.kind() == kind);
        if let Some(study) = of_kind(&kind) {
            return Some(study);
        }
        let kinds: Vec<&str> = registry.iter().map(|study| study.kind()).collect();
        let meant = nearest(&kind, kinds.iter().copied());
        let diagnostic = Diagnostic::at(entry.span.clone(), format!("unknown kind {kind:?}"))
            .expected(match kinds.as_slice() {
                [only] => format!("{only:?}"),
                kinds => format!("one of {}", quoted(kinds)),
            });
        let help = meant.map(did_you_mean_text);
        self.report(Diagnostic { help, ..diagnostic });
        of_kind(meant?)
    }

    fn string(&mut self, entry: &Entry<'_>) -> Option<String> {
        let string = entry.value.as_str();
        if string.is_none() {
            self.report(
                Diagnostic::at(
                    entry.span.clone(),
                    format!("`{}` is {}", entry.key, described(entry.value)),
                )
                .expected("a string"),
            );
        }
        string.map(str::to_owned)
    }

    /// Checks a name that becomes part of folders, columns or arm names.
    fn named(&mut self, name: &str, entry: &Entry<'_>, what: &str, marks: &str) -> bool {
        let is_key = std::ptr::eq(name, entry.key);
        let fits = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
        let good = !name.is_empty() && name.chars().all(fits);
        if !good {
            let span = if is_key { &entry.key_span } else { &entry.span };
            let marks: Vec<String> = marks.chars().map(String::from).collect();
            let (last, others) = match marks.split_last() {
                Some((last, others)) => (last.as_str(), others.join(", ")),
                None => ("", String::new()),
            };
            self.report(
                Diagnostic::at(span.clone(), format!("the {what} {name:?} cannot be used"))
                    .expected(format!("letters, digits, {others} and {last}")),
            );
        }
        good
    }

    fn whole(
        &mut self,
        key: &str,
        value: &DeValue<'_>,
        span: &Span,
        low: u64,
        high: u64,
    ) -> Option<u64> {
        let number = match value {
            DeValue::Integer(integer) => unsigned(integer),
            _ => None,
        };
        let number = number.filter(|number| (low..=high).contains(number));
        if number.is_none() {
            let found = match value {
                DeValue::Integer(_) => format!("`{key}` is {}, out of range", self.source(span)),
                _ => format!("`{key}` is {}", described(value)),
            };
            self.report(
                Diagnostic::at(span.clone(), found)
                    .expected(format!("a whole number in [{low}, {high}]")),
            );
        }
        number
    }

    fn replicates(&mut self, entry: &Entry<'_>) -> Option<Vec<u64>> {
        let most = MAX_RUNS as u64;
        let Some(array) = entry.value.as_array() else {
            if entry.value.is_integer() {
                let count = self.whole(entry.key, entry.value, &entry.span, 1, most)?;
                return Some((0..count).collect());
            }
            self.report(
                Diagnostic::at(
                    entry.span.clone(),
                    format!("`replicates` is {}", described(entry.value)),
                )
                .expected("how many there are, or a list of their numbers such as [0, 3, 7]"),
            );
            return None;
        };
        if array.is_empty() {
            self.report(
                Diagnostic::at(entry.span.clone(), "`replicates` is an empty list")
                    .expected("at least one number"),
            );
            return None;
        }
        let mut first_at: BTreeMap<u64, Span> = BTreeMap::new();
        let mut numbers = Vec::with_capacity(array.len());
        let mut good = true;
        for item in array.iter() {
            let read = self.whole("replicates", item.get_ref(), &item.span(), 0, u64::MAX);
            let Some(number) = read else {
                good = false;
                continue;
            };
            if let Some(first) = first_at.get(&number) {
                self.report(
                    Diagnostic::at(item.span(), format!("replicate {number} is listed twice"))
                        .expected("every number once")
                        .related(first.clone(), "first here"),
                );
                good = false;
                continue;
            }
            first_at.insert(number, item.span());
            numbers.push(number);
        }
        good.then_some(numbers)
    }

    /// Reports the first arm that has fewer replicates than are asked for.
    fn limited_replicates(&mut self, study: &'static dyn Study, header: &Header, arms: &[Arm]) {
        let highest = header.replicates.iter().flatten().max();
        // Limits are those of valid configurations.
        let Some(highest) = highest.filter(|_| self.diagnostics.is_empty()) else { return };
        let limited = arms.iter().find_map(|arm| {
            let limit = study.replicate_limit(&arm.configuration)?;
            (*highest >= limit.0).then_some((arm, limit))
        });
        let Some((arm, (limit, field))) = limited else { return };
        let which = if limit == 1 { "number 0".to_owned() } else { format!("0 to {}", limit - 1) };
        self.report(
            Diagnostic::at(
                header.replicates_at.clone(),
                format!("the arm `{}` has no replicate {highest}", arm.name),
            )
            .expected(format!("replicates {which}, as `{field}` has it"))
            .help(format!("set `{field}` to {} or more, or ask for fewer replicates", highest + 1)),
        );
    }

    /// Reads a table of settings: a preset first, then fields, `skipped` keys left to the caller.
    fn settings(
        &mut self,
        study: &'static dyn Study,
        table: &DeTable<'_>,
        skipped: &[&'static str],
    ) -> Vec<Assignment> {
        let list = entries(table);
        let mut assignments = Vec::new();
        if let Some(entry) = list.iter().find(|entry| entry.key == "preset") {
            assignments = self.preset(study, entry);
        }
        let mut others = vec!["preset"];
        others.extend(skipped);
        for entry in list.iter().filter(|entry| !others.contains(&entry.key)) {
            assignments.extend(self.field(study, entry, &others));
        }
        assignments
    }

    fn preset(&mut self, study: &'static dyn Study, entry: &Entry<'_>) -> Vec<Assignment> {
        // After a mistake, the preset might have set any field: judge none that is not set later.
        let unjudged = || {
            let fields = study.fields().iter();
            fields
                .map(|field| Assignment {
                    field: field.name,
                    value: None,
                    span: entry.span.clone(),
                    preset: None,
                })
                .collect()
        };
        let Some(name) = self.string(entry) else { return unjudged() };
        let presets = study.presets();
        let kept = self.kept_presets.and_then(|kept| kept.get(&name));
        let preset = presets.iter().find(|preset| preset.name == name);
        let (settings, help) = if let Some(toml) = kept {
            let path = Path::new("preset").join(&name);
            let help = "the preset was kept beside the file: it was edited, or another version of \
                        Ceteris wrote it";
            (layer_settings(study, path, toml), help)
        } else if let Some(preset) = preset {
            let settings = preset_settings(study, preset).map(|settings| {
                settings.into_iter().map(|setting| (setting.field.name, setting.value)).collect()
            });
            (settings, "this is a defect of Ceteris, not of the study file")
        } else {
            let names: Vec<&str> = presets.iter().map(|preset| preset.name).collect();
            let diagnostic = Diagnostic::at(entry.span.clone(), format!("unknown preset {name:?}"))
                .expected(format!("a preset of {}", study.kind()));
            let help = match nearest(&name, names) {
                Some(name) => did_you_mean_text(name),
                None => "`ceteris flags --presets` lists the presets".to_owned(),
            };
            self.report(diagnostic.help(help));
            return unjudged();
        };
        match settings {
            Ok(settings) => {
                self.presets.insert(name.clone(), as_toml(&settings));
                let name: Rc<str> = name.into();
                settings
                    .into_iter()
                    .map(|(field, value)| Assignment {
                        field,
                        value: Some(value),
                        span: entry.span.clone(),
                        preset: Some(Rc::clone(&name)),
                    })
                    .collect()
            }
            Err(diagnostics) => {
                let first = diagnostics.iter().next().map_or("", |first| first.message.as_str());
                self.report(
                    Diagnostic::at(
                        entry.span.clone(),
                        format!("the preset {name:?} is defective: {first}"),
                    )
                    .help(help),
                );
                unjudged()
            }
        }
    }

    /// Reads one field; empty where no field can have been meant.
    fn field(
        &mut self,
        study: &'static dyn Study,
        entry: &Entry<'_>,
        others: &[&'static str],
    ) -> Vec<Assignment> {
        let assign =
            |field, value| Assignment { field, value, span: entry.span.clone(), preset: None };
        match study.fields().iter().find(|field| field.name == entry.key) {
            Some(field) => {
                let value = self.value(study, field, entry.value, &entry.span);
                vec![assign(field.name, value)]
            }
            None => {
                let meant = self.unknown_field(study, entry, others);
                meant.map(|field| assign(field, None)).into_iter().collect()
            }
        }
    }

    /// Reports an unknown field and returns the one that was probably meant.
    fn unknown_field(
        &mut self,
        study: &'static dyn Study,
        entry: &Entry<'_>,
        others: &[&'static str],
    ) -> Option<&'static str> {
        let fields = || study.fields().iter().map(|field| field.name);
        let help = match nearest(entry.key, fields().chain(others.iter().copied())) {
            Some(name) => did_you_mean(name),
            None if STUDY_KEYS.contains(&entry.key) => {
                format!("`{}` belongs under `[study]`", entry.key)
            }
            None => "`ceteris flags` lists the fields".to_owned(),
        };
        self.report(
            Diagnostic::at(entry.key_span.clone(), format!("unknown field `{}`", entry.key))
                .expected(format!("a field of {}", study.kind()))
                .help(help),
        );
        nearest(entry.key, fields())
    }

    /// Checks a value against its field and returns it as the configuration holds it.
    fn value(
        &mut self,
        study: &'static dyn Study,
        field: &Field,
        value: &DeValue<'_>,
        span: &Span,
    ) -> Option<Value> {
        match try_value(study, field, value) {
            Ok(value) => Some(value),
            Err(near) => {
                // In a list, point at the elements that do not fit rather than at all of it.
                if let (Kind::Integers, DeValue::Array(items)) = (field.kind, value) {
                    let alone = |item: &Spanned<DeValue<'_>>| {
                        let value = convert(item.get_ref())?;
                        set_alone(study, field, &Value::List(vec![value])).ok()
                    };
                    let bad: Vec<_> = items.iter().filter(|item| alone(item).is_none()).collect();
                    for item in &bad {
                        let found = match convert(item.get_ref()) {
                            Some(Value::Integer(number)) => {
                                format!("`{}` contains {number}, out of range", field.name)
                            }
                            _ => {
                                format!("`{}` contains {}", field.name, described(item.get_ref()))
                            }
                        };
                        self.report(Diagnostic::at(item.span(), found).expected(field.expected()));
                    }
                    if !bad.is_empty() {
                        return None;
                    }
                }
                let diagnostic = self.bad_value(field, value, span, near);
                self.report(diagnostic);
                None
            }
        }
    }

    fn bad_value(
        &self,
        field: &Field,
        value: &DeValue<'_>,
        span: &Span,
        near: Option<&str>,
    ) -> Diagnostic {
        let name = field.name;
        let source = self.source(span);
        let converted = convert(value);
        let number = converted.as_ref().and_then(Value::as_f64);
        let (message, help) = match (field.kind, &converted) {
            (Kind::Level(_), Some(Value::Text(text))) => {
                (format!("`{name}` has no level {text:?}"), near.map(did_you_mean_text))
            }
            (Kind::Integer, Some(Value::Float(float))) => {
                let help = (float.fract() == 0.0 && float.abs() < 9e15)
                    .then(|| format!("write the whole number {float:.0}"));
                (format!("`{name}` is {source}, not written as a whole number"), help)
            }
            (Kind::Integer | Kind::Float | Kind::OptionalFloat, Some(_)) if number.is_some() => {
                (format!("`{name}` is {source}, out of range"), None)
            }
            (Kind::OptionalFloat, Some(Value::Text(text))) if text.parse::<f64>().is_err() => {
                let help = format!("write {:?} to go without it", Value::OFF);
                (format!("`{name}` is the string {text:?}"), Some(help))
            }
            (Kind::Text | Kind::Level(_), _) | (_, None) => {
                (format!("`{name}` is {}", described(value)), None)
            }
            (_, Some(Value::Text(text))) => {
                let bare = text.parse::<f64>().is_ok() || text.parse::<bool>().is_ok();
                let help = bare.then(|| format!("write {text} without quotes"));
                (format!("`{name}` is the string {text:?}"), help)
            }
            _ => (format!("`{name}` is {}", described(value)), None),
        };
        let diagnostic = Diagnostic::at(span.clone(), message).expected(field.expected());
        Diagnostic { help, ..diagnostic }
    }

    fn factors_table<'b>(&mut self, section: &Entry<'b>) -> Option<&'b DeTable<'b>> {
        let table = self.table(section, "[factors]")?;
        if table.is_empty() {
            self.report(
                Diagnostic::at(section.span.clone(), "`[factors]` is empty")
                    .expected("at least one factor, such as value_clip = [\"none\", \"max\"]")
                    .help("leave the section out to run the base alone"),
            );
        }
        Some(table)
    }

    fn factors(&mut self, study: &'static dyn Study, table: &DeTable<'_>) -> Vec<DraftFactor> {
        let mut factors = Vec::new();
        for entry in &entries(table) {
            if !self.named(entry.key, entry, "factor name", "-_") {
                continue;
            }
            let levels = match entry.value {
                DeValue::Array(_) => self.field_levels(study, entry),
                DeValue::Table(levels) => self.named_levels(study, entry, levels),
                other => {
                    self.report(
                        Diagnostic::at(
                            entry.span.clone(),
                            format!("factor `{}` is {}", entry.key, described(other)),
                        )
                        .expected("a list of values, or a table of named levels")
                        .help("a field with one value for all arms goes under `[base]`"),
                    );
                    continue;
                }
            };
            factors.push(DraftFactor { name: entry.key.to_owned(), levels });
        }
        factors
    }

    /// Levels of a factor that is one field.
    fn field_levels(&mut self, study: &'static dyn Study, entry: &Entry<'_>) -> Vec<DraftLevel> {
        let Some(items) = entry.value.as_array() else { return Vec::new() };
        let field = match study.fields().iter().find(|field| field.name == entry.key) {
            Some(field) => field,
            None => {
                let meant = self.unknown_field(study, entry, &[]);
                let field = meant.map(|field| Assignment {
                    field,
                    value: None,
                    span: entry.span.clone(),
                    preset: None,
                });
                let name = "?".to_owned();
                return vec![DraftLevel { name, settings: field.into_iter().collect() }];
            }
        };
        if items.is_empty() {
            self.report(
                Diagnostic::at(entry.span.clone(), format!("factor `{}` has no levels", entry.key))
                    .expected("at least one value"),
            );
        }
        let mut first_at: Vec<(Value, Span)> = Vec::new();
        let mut levels = Vec::new();
        for item in items.iter() {
            let span = item.span();
            let value = self.value(study, field, item.get_ref(), &span);
            let name = match &value {
                Some(value) => value.to_string(),
                None => self.source(&span).to_owned(),
            };
            if let Some(value) = &value {
                if let Some((_, first)) = first_at.iter().find(|(other, _)| other == value) {
                    self.report(
                        Diagnostic::at(
                            span,
                            format!("factor `{}` lists the level {name} twice", entry.key),
                        )
                        .expected("every level once")
                        .related(first.clone(), "first here"),
                    );
                    continue;
                }
                first_at.push((value.clone(), span.clone()));
            }
            let settings = vec![Assignment { field: field.name, value, span, preset: None }];
            levels.push(DraftLevel { name, settings });
        }
        levels
    }

    /// Levels of a factor that sets several fields at once.
    fn named_levels(
        &mut self,
        study: &'static dyn Study,
        factor: &Entry<'_>,
        table: &DeTable<'_>,
    ) -> Vec<DraftLevel> {
        let list = entries(table);
        if list.is_empty() {
            self.report(
                Diagnostic::at(
                    factor.span.clone(),
                    format!("factor `{}` has no levels", factor.key),
                )
                .expected("at least one level, such as large = { policy_hidden = [256, 256] }"),
            );
        }
        let mut levels = Vec::new();
        for entry in &list {
            if !self.named(entry.key, entry, "level name", "-_.+") {
                continue;
            }
            let settings = match entry.value {
                DeValue::Table(settings) => self.settings(study, settings, &[]),
                other => {
                    let diagnostic = Diagnostic::at(
                        entry.span.clone(),
                        format!(
                            "level `{}` of factor `{}` is {}",
                            entry.key,
                            factor.key,
                            described(other)
                        ),
                    )
                    .expected("a table of settings, such as { gamma = 0.9 }");
                    let field = study.fields().iter().any(|field| field.name == entry.key);
                    let help = field
                        .then(|| "each level is named: name = { field = value, ... }".to_owned());
                    self.report(Diagnostic { help, ..diagnostic });
                    continue;
                }
            };
            levels.push(DraftLevel { name: entry.key.to_owned(), settings });
        }
        levels
    }

    fn clashing_factors(&mut self, factors: &[DraftFactor]) {
        let sets = |factor: &DraftFactor| {
            let mut fields: Vec<(&'static str, Span)> = Vec::new();
            for assignment in factor.levels.iter().flat_map(|level| &level.settings) {
                if assignment.value.is_some()
                    && !fields.iter().any(|(field, _)| *field == assignment.field)
                {
                    fields.push((assignment.field, assignment.span.clone()));
                }
            }
            fields
        };
        let all: Vec<_> =
            factors.iter().map(|factor| (factor.name.as_str(), sets(factor))).collect();
        for (later, (later_name, later_fields)) in all.iter().enumerate() {
            for (earlier_name, earlier_fields) in &all[..later] {
                let common: Vec<(&str, &Span, &Span)> = later_fields
                    .iter()
                    .filter_map(|(field, span)| {
                        let (_, other) = earlier_fields.iter().find(|(other, _)| other == field)?;
                        Some((*field, span, other))
                    })
                    .collect();
                let Some((_, span, other)) = common.first() else { continue };
                let mut names: Vec<String> =
                    common.iter().take(3).map(|(field, _, _)| format!("`{field}`")).collect();
                if common.len() > 3 {
                    names.push(format!("{} more fields", common.len() - 3));
                }
                self.report(
                    Diagnostic::at(
                        (*span).clone(),
                        format!(
                            "the factors `{earlier_name}` and `{later_name}` both set {}",
                            listed(&names)
                        ),
                    )
                    .expected("factors that set different fields")
                    .help("make them one factor with named levels, or name the arms one by one")
                    .related((*other).clone(), format!("`{earlier_name}` sets it here")),
                );
            }
        }
    }

    fn arms_list<'b>(&mut self, section: &Entry<'b>) -> Option<&'b DeArray<'b>> {
        let Some(items) = section.value.as_array() else {
            self.report(
                Diagnostic::at(
                    section.span.clone(),
                    format!("`arms` is {}", described(section.value)),
                )
                .expected("a list of arms, each under its own header `[[arms]]`"),
            );
            return None;
        };
        if items.is_empty() {
            self.report(
                Diagnostic::at(section.span.clone(), "`arms` is an empty list")
                    .expected("at least one arm")
                    .help("leave it out to run the base alone"),
            );
        }
        Some(items)
    }

    fn named_arms(
        &mut self,
        study: &'static dyn Study,
        items: &DeArray<'_>,
    ) -> Vec<(String, Span, Vec<Assignment>)> {
        let mut first_at: BTreeMap<String, Span> = BTreeMap::new();
        let mut arms = Vec::new();
        for item in items.iter() {
            let DeValue::Table(table) = item.get_ref() else {
                self.report(
                    Diagnostic::at(item.span(), format!("an arm is {}", described(item.get_ref())))
                        .expected("a table with a name and settings"),
                );
                continue;
            };
            let list = entries(table);
            let name = match list.iter().find(|entry| entry.key == "name") {
                Some(entry) => self
                    .string(entry)
                    .filter(|name| self.named(name, entry, "arm name", "-_.+/="))
                    .map(|name| (name, entry.span.clone())),
                None => {
                    self.report_missing(
                        Diagnostic::at(item.span(), "an arm has no name")
                            .expected("`name` in this section, such as `name = \"no-clipping\"`"),
                    );
                    None
                }
            };
            let settings = self.settings(study, table, &["name"]);
            let Some((name, span)) = name else { continue };
            if let Some(first) = first_at.get(&name) {
                self.report(
                    Diagnostic::at(span, format!("two arms are named {name:?}"))
                        .expected("a name of its own for every arm")
                        .related(first.clone(), "first here"),
                );
                continue;
            }
            first_at.insert(name.clone(), span);
            arms.push((name, item.span(), settings));
        }
        arms
    }

    /// Puts the arms together and reports settings that do not go with each other.
    fn drafts(
        &mut self,
        study: &'static dyn Study,
        base: &[Assignment],
        factors: &[DraftFactor],
        arms: Vec<(String, Span, Vec<Assignment>)>,
        base_span: Span,
    ) -> Vec<Draft> {
        let mut base_draft = Draft {
            name: String::new(),
            levels: Vec::new(),
            configuration: study.defaults(),
            origins: BTreeMap::new(),
        };
        base_draft.apply(study, base);

        let mut grid = Vec::new();
        if !factors.is_empty() {
            grid.push(base_draft.clone());
        } else if arms.is_empty() {
            grid.push(Draft { name: "base".to_owned(), ..base_draft.clone() });
        }
        for factor in factors {
            let mut crossed = Vec::with_capacity(grid.len() * factor.levels.len());
            for draft in &grid {
                for level in &factor.levels {
                    let mut draft = draft.clone();
                    let comma = if draft.name.is_empty() { "" } else { "," };
                    draft.name = format!("{}{comma}{}={}", draft.name, factor.name, level.name);
                    draft
                        .levels
                        .push(ArmLevel { factor: factor.name.clone(), level: level.name.clone() });
                    draft.apply(study, &level.settings);
                    crossed.push(draft);
                }
            }
            grid = crossed;
        }
        let mut places = vec![base_span; grid.len()];
        let mut drafts = grid;
        let crossed = drafts.len();
        for (name, span, settings) in arms {
            if drafts[..crossed].iter().any(|arm| arm.name == name) {
                self.report(
                    Diagnostic::at(span.clone(), format!("two arms are named {name:?}"))
                        .expected("a name that no arm of the grid has"),
                );
            }
            let mut draft = Draft { name, ..base_draft.clone() };
            draft.apply(study, &settings);
            drafts.push(draft);
            places.push(span);
        }
        // A line that is not TOML may have held any of the settings.
        if self.broken_lines.is_empty() {
            self.problems(study, &drafts, &places);
        }
        drafts
    }

    fn problems(&mut self, study: &'static dyn Study, drafts: &[Draft], places: &[Span]) {
        // One mistake in the base is a problem of every arm: report it once, and count the arms.
        let mut found: Vec<(Diagnostic, usize, &str)> = Vec::new();
        for (draft, place) in drafts.iter().zip(places) {
            for problem in study.check(&draft.configuration) {
                let origins: Vec<_> =
                    problem.fields.iter().map(|field| (*field, draft.origin(field))).collect();
                if origins.iter().any(|(_, origin)| matches!(origin, Origin::Mistake)) {
                    continue;
                }
                let mut labels: Vec<(Span, String)> = Vec::new();
                for (field, origin) in origins {
                    let Origin::At { span, preset } = origin else { continue };
                    let value = draft.configuration.get(field).map(shown).unwrap_or_default();
                    let label = match preset {
                        Some(preset) => format!("the preset {preset:?} sets `{field}` to {value}"),
                        None => format!("`{field}` is {value} here"),
                    };
                    labels.push((span.clone(), label));
                }
                let span = labels.first().map_or(place, |(span, _)| span).clone();
                let diagnostic = Diagnostic {
                    help: Some(problem.help).filter(|help| !help.is_empty()),
                    related: labels,
                    ..Diagnostic::at(span, problem.message)
                };
                match found.iter_mut().find(|(known, _, _)| {
                    known.message == diagnostic.message && known.span == diagnostic.span
                }) {
                    Some((_, count, _)) => *count += 1,
                    None => found.push((diagnostic, 1, draft.name.as_str())),
                }
            }
        }
        for (mut diagnostic, count, first) in found {
            if count < drafts.len() {
                let arms = match count {
                    1 => format!("in the arm `{first}`"),
                    _ => format!("in {count} of {} arms, the first is `{first}`", drafts.len()),
                };
                diagnostic.message = format!("{} ({arms})", diagnostic.message);
            }
            self.report(diagnostic);
        }
    }
}

impl DraftFactor {
    fn finish(self) -> Factor {
        let level = |level: DraftLevel| FactorLevel {
            name: level.name,
            settings: level
                .settings
                .into_iter()
                .filter_map(|assignment| Some((assignment.field, assignment.value?)))
                .collect(),
        };
        Factor { name: self.name, levels: self.levels.into_iter().map(level).collect() }
    }
}

/// The value as the configuration would hold it, or the nearest level name.
fn try_value(
    study: &'static dyn Study,
    field: &Field,
    value: &DeValue<'_>,
) -> Result<Value, Option<&'static str>> {
    match convert(value) {
        Some(value) => set_alone(study, field, &value),
        None => Err(None),
    }
}

fn set_alone(
    study: &'static dyn Study,
    field: &Field,
    value: &Value,
) -> Result<Value, Option<&'static str>> {
    let mut configuration = study.defaults();
    match study.set(&mut configuration, field.name, value) {
        Ok(()) => configuration.get(field.name).cloned().ok_or(None),
        Err(SetError::BadValue { nearest, .. } | SetError::UnknownField { nearest }) => {
            Err(nearest)
        }
    }
}

/// A TOML value as the value of a field; `None` where no field can hold it.
fn convert(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::String(string) => Some(Value::Text(string.to_string())),
        DeValue::Integer(integer) => {
            i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(Value::Integer)
        }
        DeValue::Float(float) => float.as_str().parse().ok().map(Value::Float),
        DeValue::Boolean(boolean) => Some(Value::Bool(*boolean)),
        DeValue::Array(items) => {
            items.iter().map(|item| convert(item.get_ref())).collect::<Option<_>>().map(Value::List)
        }
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

fn unsigned(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A TOML value's type in words.
fn described(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(integer) if convert(value).is_none() && unsigned(integer).is_none() => {
            "an integer of more than 64 bits"
        }
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A value as a study file writes it.
fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

fn did_you_mean_text(name: &str) -> String {
    format!("did you mean {name:?}?")
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// Joins with commas and a final "and".
fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use flags::Value;

    use super::super::fake::Fake;
    use super::{Diagnostics, StudyFile, as_toml, layer_settings, preset_settings};
    use crate::studies::{Study, registry};

    const HEADER: &str = "[study]\nkind = \"fake\"\nname = \"t\"\nseed = 1\nreplicates = 2\n";

    fn parse(rest: &str) -> Result<StudyFile, Diagnostics> {
        parse_with(rest, &BTreeMap::new())
    }

    fn parse_with(
        rest: &str,
        presets: &BTreeMap<String, String>,
    ) -> Result<StudyFile, Diagnostics> {
        StudyFile::parse_among(&[&Fake], "t.toml".into(), &format!("{HEADER}{rest}"), presets)
    }

    /// Lines are counted from the line after the header.
    fn mistakes(rest: &str) -> Vec<(usize, usize, String)> {
        let diagnostics = parse(rest).unwrap_err();
        let at = |diagnostic| {
            let (line, column) = diagnostics.location(diagnostic).unwrap();
            (line - 5, column, diagnostic.message.clone())
        };
        diagnostics.iter().map(at).collect()
    }

    fn settings(file: &StudyFile, arm: usize) -> Vec<String> {
        let fields = file.arms[arm].configuration.iter();
        fields.map(|(_, value)| value.to_string()).collect()
    }

    #[test]
    fn later_settings_win() {
        let file = parse(
            "[base]\nrate = 0.9\npreset = \"slow\"\nlabel = \"b\"\n\
             [factors.how]\nas_base = {}\nsplit = { parts = 3, preset = \"split\" }\n\
             [[arms]]\nname = \"a\"\nlabel = \"a\"\npreset = \"split\"\n",
        )
        .unwrap();
        let names: Vec<&str> = file.arms.iter().map(|arm| arm.name.as_str()).collect();
        assert_eq!(names, ["how=as_base", "how=split", "a"]);
        // samples, parts, rate, limit, label
        assert_eq!(settings(&file, 0), ["10", "2", "0.9", "3.0", "b"]);
        assert_eq!(settings(&file, 1), ["10", "3", "0.9", "3.0", "b"]);
        assert_eq!(settings(&file, 2), ["10", "9", "0.9", "3.0", "a"]);
        assert_eq!(
            file.factors[0].levels[1].settings,
            [
                ("parts", Value::Integer(9)),
                ("rate", Value::Float(0.2)),
                ("parts", Value::Integer(3)),
            ]
        );
    }

    #[test]
    fn impossible_combinations_point_at_what_sets_the_first_field() {
        // In the level of the factor that sets it, counted over the arms it concerns.
        assert_eq!(
            mistakes("[base]\nsamples = 4\n[factors]\nrate = [0.1, 0.2]\nparts = [2, 5]\n"),
            [(
                5,
                13,
                "4 samples cannot be split into 5 (in 2 of 4 arms, the first is \
                      `rate=0.1,parts=5`)"
                    .to_owned()
            )]
        );
        // In the base, where it holds for every arm.
        assert_eq!(
            mistakes("[base]\nparts = 11\n[factors]\nrate = [0.1, 0.2]\n"),
            [(2, 9, "10 samples cannot be split into 11".to_owned())]
        );
        // In the preset.
        assert_eq!(
            mistakes("[base]\nsamples = 4\npreset = \"split\"\n"),
            [(3, 10, "4 samples cannot be split into 9".to_owned())]
        );
        // In the arm; the first field keeps its default there, so the second is pointed at.
        assert_eq!(
            mistakes("[base]\n[[arms]]\nname = \"a\"\n[[arms]]\nname = \"b\"\nsamples = 1\n"),
            [(6, 11, "1 samples cannot be split into 2 (in the arm `b`)".to_owned())]
        );
    }

    #[test]
    fn one_mistake_does_not_cause_another() {
        // 5 samples were meant, so 3 parts are not judged against the default.
        assert_eq!(
            mistakes("[base]\nsamples = 5.0\nparts = 99\n"),
            [(2, 11, "`samples` is 5.0, not written as a whole number".to_owned())]
        );
        assert_eq!(
            mistakes("[base]\nsample = 500\nparts = 99\n"),
            [(2, 1, "unknown field `sample`".to_owned())]
        );
        assert_eq!(
            mistakes("[base]\npreset = \"slwo\"\nparts = 99\n"),
            [(2, 10, "unknown preset \"slwo\"".to_owned())]
        );
    }

    #[test]
    fn combinations_are_rendered_with_both_values() {
        let rendered = parse("[base]\nsamples = 4\nparts = 5\n").unwrap_err().render(false);
        let expected = "\
error: 4 samples cannot be split into 5
 --> t.toml:8:9
  |
7 | samples = 4
  |           - `samples` is 4 here
8 | parts = 5
  |         ^ `parts` is 5 here
  |
help: lower `parts`

error: one mistake in t.toml; nothing was run";
        assert_eq!(rendered, expected);
    }

    #[test]
    fn a_defective_preset_is_told_from_a_mistake_of_the_file() {
        assert_eq!(
            mistakes("[base]\npreset = \"defective\"\n"),
            [(2, 10, "the preset \"defective\" is defective: unknown field `speed`".to_owned())]
        );
        assert!(preset_settings(&Fake, &Fake.presets()[2]).is_err());
    }

    #[test]
    fn of_a_preset_s_layers_the_last_one_decides() {
        let settings = preset_settings(&Fake, &Fake.presets()[1]).unwrap();
        let settings: Vec<(&str, String, usize)> = settings
            .iter()
            .map(|setting| (setting.field.name, setting.value.to_string(), setting.layer))
            .collect();
        assert_eq!(settings, [("parts", "9".to_owned(), 1), ("rate", "0.2".to_owned(), 0)]);
    }

    #[test]
    fn the_presets_of_a_file_are_kept_as_what_they_set() {
        let file = parse("[base]\npreset = \"split\"\n[[arms]]\nname = \"a\"\npreset = \"slow\"\n");
        let expected = [
            ("slow".to_owned(), "rate = 0.1\nlimit = 3.0\n".to_owned()),
            ("split".to_owned(), "parts = 9\nrate = 0.2\n".to_owned()),
        ];
        assert_eq!(file.unwrap().presets, BTreeMap::from(expected));
        assert!(parse("[base]\n").unwrap().presets.is_empty());
    }

    #[test]
    fn kept_presets_stand_in_for_those_of_the_program() {
        let kept = |name: &str, toml: &str| BTreeMap::from([(name.to_owned(), toml.to_owned())]);
        let base = |name: &str| format!("[base]\npreset = \"{name}\"\n");
        // One that the program has otherwise, and one that it does not have at all.
        for name in ["slow", "retired"] {
            let presets = kept(name, "parts = 4\nlabel = \"old\"\n");
            let file = parse_with(&base(name), &presets).unwrap();
            assert_eq!(settings(&file, 0), ["10", "4", "0.5", "off", "old"], "{name}");
            assert_eq!(file.presets, presets);
        }
        // One that was not kept comes from the program.
        let file = parse_with(&base("slow"), &kept("other", "rate = 0.3\n")).unwrap();
        assert_eq!(settings(&file, 0), ["10", "2", "0.1", "3.0", "x"]);
        // One that does not fit is a mistake at the place that names it.
        let mistakes = parse_with(&base("retired"), &kept("retired", "speed = 1\n")).unwrap_err();
        let mistake = mistakes.iter().next().unwrap();
        assert_eq!(mistakes.location(mistake), Some((7, 10)));
        assert_eq!(mistake.message, "the preset \"retired\" is defective: unknown field `speed`");
    }

    #[test]
    fn every_preset_comes_back_from_its_kept_text() {
        for study in registry() {
            for preset in study.presets() {
                let settings: Vec<(&str, Value)> = preset_settings(*study, preset)
                    .unwrap()
                    .into_iter()
                    .map(|setting| (setting.field.name, setting.value))
                    .collect();
                let read = layer_settings(*study, PathBuf::new(), &as_toml(&settings)).unwrap();
                assert_eq!(read, settings, "{}", preset.name);
            }
        }
    }

    #[test]
    fn named_arms_do_not_take_names_of_the_grid() {
        assert_eq!(
            mistakes(
                "[base]\n[factors]\nrate = [0.1]\n\
                 [[arms]]\nname = \"rate=0.1\"\n[[arms]]\nname = \"rate=0.2\"\n"
            ),
            [(4, 1, "two arms are named \"rate=0.1\"".to_owned())]
        );
    }
}
