//! The citation: a paragraph for a methods section, and BibTeX.

use super::Provenance;
use crate::store::{Build, Writer};
use crate::studies::Publication;

impl Provenance {
    /// A paragraph for a methods section: what was run, with which code, on which machine, and the
    /// hashes.
    pub fn paragraph(&self) -> String {
        let study = &self.study;
        let name = if study.title == study.name {
            format!("The study \"{}\"", study.name)
        } else {
            format!("The study \"{}\" ({})", one_line(&study.title), study.name)
        };
        let builds = distinct(&self.writers, |writer| program(&writer.build));
        let was_run = if builds.is_empty() && self.finished + self.diverged > 0 {
            format!("{name} has results that its manifest does not list yet.")
        } else if builds.is_empty() {
            format!("{name} has no results yet.")
        } else {
            format!("{name} was run with {}.", listed(&builds))
        };
        let kind = format!(
            "It is of the kind {}, numerics version {}: {}.",
            study.kind,
            study.numerics_version,
            study.about.trim_end_matches('.')
        );
        let each = if self.arms == 1 { "" } else { " each" };
        let mut runs = format!(
            "It has {} with {}{each}, {} in all: {} finished and {} diverged.",
            count(self.arms, "arm"),
            count(self.replicates, "replicate"),
            count(self.runs, "run"),
            self.finished,
            self.diverged
        );
        if self.not_in_study > 0 {
            runs.push_str(&format!(
                " The tables also hold {} that the study file does not ask for.",
                count(self.not_in_study, "run")
            ));
        }
        let mut sentences = vec![was_run, kind, runs];
        let machines = distinct(&self.writers, machine);
        if !machines.is_empty() {
            sentences.push(format!("It was computed on {}.", listed(&machines)));
        }
        let file = format!("The study file {} has the SHA-256 {}", study.file, study.sha256);
        sentences.push(match &self.content_sha256 {
            Some(hash) => {
                let tables: Vec<String> = self
                    .tables
                    .iter()
                    .filter(|table| table.reproducible)
                    .map(|table| table.name.clone())
                    .collect();
                format!(
                    "{file}; the content of the reproducible tables ({}) has the SHA-256 {hash}.",
                    listed(&tables)
                )
            }
            None => format!("{file}. {}", self.is_incomplete()),
        });
        sentences.join(" ")
    }

    /// Says that there is no content hash, and why.
    fn is_incomplete(&self) -> String {
        format!(
            "THESE RESULTS ARE INCOMPLETE ({}) and therefore have no content hash.",
            self.incomplete.join("; ")
        )
    }

    /// The commands with which a reader checks the results, each with what it does.
    pub fn checks(&self) -> Vec<(String, &'static str)> {
        let directory = quoted(&self.directory);
        vec![
            (
                format!("ceteris verify {directory}"),
                "trains a sample of the runs again and compares every number",
            ),
            (
                format!("ceteris cite {directory}"),
                "compares every file with its hash and prints the content hash",
            ),
        ]
    }

    /// BibTeX entries: the results, the programs that computed them, and the publication that the
    /// study reproduces.
    pub fn bibtex(&self) -> String {
        let mut entries = vec![self.results_entry()];
        let mut builds: Vec<&Build> = Vec::new();
        for writer in &self.writers {
            let same = |known: &&Build| program(known) == program(&writer.build);
            if !builds.iter().any(same) {
                builds.push(&writer.build);
            }
        }
        entries.extend(builds.into_iter().map(program_entry));
        entries.extend(self.study.publication.map(publication_entry));
        entries.join("\n")
    }

    fn results_entry(&self) -> String {
        let study = &self.study;
        let hash = match &self.content_sha256 {
            Some(hash) => format!("content SHA-256 {hash}"),
            None => self.is_incomplete(),
        };
        let short: String = match &self.content_sha256 {
            Some(hash) => hash.chars().take(12).collect(),
            None => "incomplete".into(),
        };
        let note = format!(
            "{}, {}, {}; study file SHA-256 {}; {hash}",
            count(self.arms, "arm"),
            count(self.replicates, "replicate"),
            count(self.runs, "run"),
            study.sha256
        );
        let title = format!("Results of the study {}: {}", study.name, one_line(&study.title));
        entry(
            "misc",
            &format!("{}-{short}", study.name),
            &[
                ("title", format!("{{{}}}", escaped(&title))),
                // Bibliographies sort an entry without authors by this.
                ("key", escaped(&study.name)),
                ("year", year(&self.modified).into()),
                ("howpublished", "Results directory of Ceteris".into()),
                ("note", escaped(&note)),
            ],
        )
    }
}

fn program_entry(build: &Build) -> String {
    let commit: String = build.commit.chars().take(12).collect();
    entry(
        "misc",
        &format!("ceteris-{}-{commit}", build.ceteris_version),
        &[
            (
                "title",
                format!("{{{}}}", escaped(&format!("Ceteris: {}", env!("CARGO_PKG_DESCRIPTION")))),
            ),
            ("key", "Ceteris".into()),
            ("howpublished", "Computer program".into()),
            ("note", escaped(&format!("Version {}, {}", build.ceteris_version, commit_of(build)))),
        ],
    )
}

fn publication_entry(publication: &Publication) -> String {
    entry(
        "inproceedings",
        publication.key,
        &[
            ("author", escaped(&publication.authors.join(" and "))),
            ("title", format!("{{{}}}", escaped(publication.title))),
            ("booktitle", escaped(publication.proceedings)),
            ("year", publication.year.to_string()),
            ("url", publication.url.into()),
        ],
    )
}

fn entry(kind: &str, key: &str, fields: &[(&str, String)]) -> String {
    let fields: String =
        fields.iter().map(|(name, value)| format!("  {name} = {{{value}}},\n")).collect();
    format!("@{kind}{{{key},\n{fields}}}\n")
}

/// Text as BibTeX and LaTeX take it.
///
/// BibTeX counts braces even after a backslash, so a brace is written by its name.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\textbackslash{}"),
            '{' => escaped.push_str("\\textbraceleft{}"),
            '}' => escaped.push_str("\\textbraceright{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '<' => escaped.push_str("\\textless{}"),
            '>' => escaped.push_str("\\textgreater{}"),
            '|' => escaped.push_str("\\textbar{}"),
            '&' | '%' | '$' | '#' | '_' => {
                escaped.push('\\');
                escaped.push(character);
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// A program with its commit.
pub(super) fn program(build: &Build) -> String {
    format!("Ceteris {} ({})", build.ceteris_version, commit_of(build))
}

fn commit_of(build: &Build) -> String {
    let dirty = match build.dirty {
        Some(false) => "",
        Some(true) => " with changes that were not committed",
        None => ", possibly with changes",
    };
    format!("commit {}{dirty}", build.commit)
}

/// A machine with the device that computed.
pub(super) fn machine(writer: &Writer) -> String {
    let environment = &writer.environment;
    let device = &environment.device;
    let driver = device.driver.as_ref().map(|driver| format!(", {driver}")).unwrap_or_default();
    let kind = device.kind.to_uppercase();
    let processor = if device.kind == "cpu" {
        String::new()
    } else {
        format!(" beside the processor {}", environment.cpu.model)
    };
    format!(
        "the {kind} {}{driver}{processor} (target {}, {}, instruction sets {})",
        device.name,
        writer.build.target,
        environment.operating_system,
        environment.cpu.features.join(" ")
    )
}

/// The different texts of some writers, in their order.
fn distinct(writers: &[Writer], text: impl Fn(&Writer) -> String) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for text in writers.iter().map(text) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

fn listed(texts: &[String]) -> String {
    match texts {
        [] => String::new(),
        [only] => only.clone(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

/// A number with its noun.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The year of a timestamp.
fn year(timestamp: &str) -> &str {
    timestamp.split('-').next().unwrap_or_default()
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@".contains(c);
    if !path.is_empty() && !path.starts_with('-') && path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use biblatex::{Bibliography, ChunksExt};

    use super::{entry, escaped, quoted};

    #[test]
    fn a_parser_gives_every_character_back() {
        let text = r#"50 % of {A & B}: a_b, $x^2$ ~ #1 \ "c" <d> |e| ü @f"#;
        let written = entry("misc", "key", &[("title", escaped(text)), ("note", "last".into())]);
        let parsed = Bibliography::parse(&written).unwrap();
        let found = parsed.get("key").unwrap();
        assert_eq!(found.get("title").unwrap().format_verbatim(), text);
        assert_eq!(found.get("note").unwrap().format_verbatim(), "last");
        // With braces of one side alone, too.
        for text in ["a } b", "a { b", "}}", "\\{"] {
            let written = entry("misc", "key", &[("title", escaped(text))]);
            let parsed = Bibliography::parse(&written).unwrap();
            assert_eq!(parsed.get("key").unwrap().get("title").unwrap().format_verbatim(), text);
        }
    }

    #[test]
    fn paths_are_quoted_where_a_shell_needs_it() {
        assert_eq!(quoted("results/quick-start_1"), "results/quick-start_1");
        assert_eq!(quoted("my results"), "'my results'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("-n"), "'-n'");
    }
}
