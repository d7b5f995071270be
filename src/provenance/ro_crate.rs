//! The description of exported results: `ro-crate-metadata.json`.
//!
//! After RO-Crate 1.1 (<https://w3id.org/ro/crate/1.1>) and Process Run Crate 0.5
//! (<https://w3id.org/ro/wfrun/process/0.5>), whose context defines `sha256`: the results are the root
//! dataset, every table is a dataset of its parts, and each program on a machine is an action that made
//! parts out of the study file.

use serde_json::{Value, json};

use super::export::File;
use super::{Provenance, ProvenanceError, citation};
use crate::store::{Results, Writer};

/// Name of the description.
pub(super) const FILE: &str = "ro-crate-metadata.json";
const PROFILE: &str = "https://w3id.org/ro/wfrun/process/0.5";
const CRATE: &str = "https://w3id.org/ro/crate/1.1";
/// Name of the study file.
pub(super) const STUDY: &str = "study.toml";
/// Name of the list of hashes.
pub(super) const SUMS: &str = "SHA256SUMS";

/// A licence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct License {
    /// Its SPDX identifier, or its address.
    pub name: String,
    /// Its address.
    pub url: String,
}

impl std::str::FromStr for License {
    type Err = ProvenanceError;

    /// Reads an SPDX identifier, which is not looked up, or an address.
    fn from_str(text: &str) -> Result<Self, ProvenanceError> {
        let name = text.to_owned();
        let in_identifier = |c: char| c.is_ascii_alphanumeric() || "-.+".contains(c);
        let in_address = |c: char| c.is_ascii_graphic() && !"<>\"\\^`{|}".contains(c);
        let web = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        if web.is_some_and(|rest| !rest.is_empty()) && text.chars().all(in_address) {
            Ok(Self { url: name.clone(), name })
        } else if !text.is_empty() && text.chars().all(in_identifier) {
            Ok(Self { url: format!("https://spdx.org/licenses/{text}"), name })
        } else {
            Err(ProvenanceError::License { text: name })
        }
    }
}

/// The description of these files.
pub(super) fn metadata(
    results: &Results,
    provenance: &Provenance,
    files: &[File],
    license: Option<&License>,
) -> Value {
    let manifest = &results.manifest;
    let mut graph = vec![
        json!({
            "@id": FILE,
            "@type": "CreativeWork",
            "conformsTo": reference(CRATE),
            "about": reference("./"),
        }),
        root(results, provenance, files, license),
        json!({
            "@id": PROFILE,
            "@type": "CreativeWork",
            "name": "Process Run Crate",
            "version": "0.5",
        }),
    ];
    if let Some(license) = license {
        graph.push(json!({
            "@id": license.url,
            "@type": "CreativeWork",
            "name": license.name,
        }));
    }
    if let Some(publication) = provenance.study.publication {
        let authors: Vec<String> = (1..=publication.authors.len()).map(author_id).collect();
        graph.push(json!({
            "@id": publication.url,
            "@type": "ScholarlyArticle",
            "name": publication.title,
            "author": references(&authors),
            "datePublished": publication.year.to_string(),
        }));
        for (id, name) in authors.iter().zip(publication.authors) {
            let name = match name.split_once(", ") {
                Some((family, given)) => format!("{given} {family}"),
                None => (*name).to_owned(),
            };
            graph.push(json!({ "@id": id, "@type": "Person", "name": name }));
        }
    }
    let mut known: Vec<String> = Vec::new();
    for (index, writer) in manifest.writers.iter().enumerate() {
        let made: Vec<String> = super::parts(results)
            .filter(|part| part.writer == index)
            .map(|part| part.file.clone())
            .collect();
        if made.is_empty() {
            continue;
        }
        let id = program_id(writer);
        if !known.contains(&id) {
            graph.push(program(&id, writer));
            known.push(id);
        }
        graph.push(action(results, provenance, index, writer, &made));
    }
    graph.push(json!({
        "@id": SUMS,
        "@type": "File",
        "name": "SHA-256 of every other file, for sha256sum -c",
        "encodingFormat": "text/plain",
    }));
    graph.extend(files.iter().filter(|file| file.table.is_none()).map(file_entity));
    for (name, table) in manifest.tables.iter().filter(|(_, table)| !table.parts.is_empty()) {
        let described = results.plan.file.study.tables().iter().find(|known| known.name == *name);
        let row = described.map_or("a run", |known| known.row.trim_end_matches('.'));
        let hash = match &table.content_sha256 {
            Some(hash) => format!("Its content has the SHA-256 {hash}."),
            None => "It is incomplete.".to_owned(),
        };
        let again = if table.reproducible {
            "Running the study again gives the same rows."
        } else {
            "It is measured anew whenever the study is run."
        };
        let parts: Vec<String> = table.parts.iter().map(|part| part.file.clone()).collect();
        graph.push(json!({
            "@id": format!("{name}/"),
            "@type": "Dataset",
            "name": format!("Table {name}"),
            "description": format!(
                "{} rows; one row is {row}. All Parquet files of this folder are one table, its key \
                 is {}. {again} {hash}",
                table.rows, table.key.join(", ")
            ),
            "hasPart": references(&parts),
        }));
    }
    graph.extend(files.iter().filter(|file| file.table.is_some()).map(file_entity));
    json!({
        "@context": [
            "https://w3id.org/ro/crate/1.1/context",
            "https://w3id.org/ro/terms/workflow-run/context",
        ],
        "@graph": graph,
    })
}

fn root(
    results: &Results,
    provenance: &Provenance,
    files: &[File],
    license: Option<&License>,
) -> Value {
    let manifest = &results.manifest;
    let of_no_table = files.iter().filter(|file| file.table.is_none());
    let mut contents: Vec<String> = of_no_table.map(|file| file.path.clone()).collect();
    contents.push(SUMS.to_owned());
    let tables = manifest.tables.iter().filter(|(_, table)| !table.parts.is_empty());
    contents.extend(tables.map(|(name, _)| format!("{name}/")));
    let actions: Vec<String> = (0..manifest.writers.len())
        .filter(|index| super::parts(results).any(|part| part.writer == *index))
        .map(action_id)
        .collect();
    let mut root = json!({
        "@id": "./",
        "@type": "Dataset",
        "conformsTo": reference(PROFILE),
        "name": provenance.study.title,
        "description": provenance.paragraph(),
        "datePublished": provenance.modified,
        "license": match license {
            Some(license) => reference(&license.url),
            None => json!("No licence was stated when these results were exported."),
        },
        "hasPart": references(&contents),
        "mentions": references(&actions),
    });
    if let (Some(publication), Value::Object(root)) = (provenance.study.publication, &mut root) {
        root.insert("citation".into(), reference(publication.url));
    }
    root
}

fn program(id: &str, writer: &Writer) -> Value {
    let build = &writer.build;
    json!({
        "@id": id,
        "@type": "SoftwareApplication",
        "name": "Ceteris",
        "description": env!("CARGO_PKG_DESCRIPTION"),
        "softwareVersion": citation::program(build),
        "softwareRequirements": build
            .dependencies
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect::<Vec<_>>()
            .join(", "),
    })
}

/// What a program on a machine did.
fn action(
    results: &Results,
    provenance: &Provenance,
    index: usize,
    writer: &Writer,
    made: &[String],
) -> Value {
    let mut action = json!({
        "@id": action_id(index),
        "@type": "CreateAction",
        "name": format!("ceteris run {}", provenance.study.file),
        "description": format!("Trained on {}.", citation::machine(writer)),
        "instrument": reference(&program_id(writer)),
        "object": reference(STUDY),
        "result": references(made),
    });
    if let Value::Object(action) = &mut action {
        // The manifest knows when the first began and when the last ended.
        if index == 0 {
            action.insert("startTime".into(), json!(with_offset(&provenance.created)));
        }
        if index == results.manifest.last_writer {
            action.insert("endTime".into(), json!(with_offset(&provenance.modified)));
        }
        if provenance.incomplete.is_empty() {
            let status = "http://schema.org/CompletedActionStatus";
            action.insert("actionStatus".into(), json!(status));
        }
    }
    action
}

/// A timestamp with UTC as an offset, the only way that the profile's validator knows.
fn with_offset(timestamp: &str) -> String {
    timestamp.replace('Z', "+00:00")
}

fn file_entity(file: &File) -> Value {
    json!({
        "@id": file.path,
        "@type": "File",
        "name": file.name,
        "encodingFormat": file.format,
        "contentSize": file.bytes.to_string(),
        "sha256": file.sha256,
    })
}

fn program_id(writer: &Writer) -> String {
    let build = &writer.build;
    let dirty = match build.dirty {
        Some(false) => "",
        Some(true) => "-with-changes",
        None => "-unknown",
    };
    let plain = |c: &char| c.is_ascii_alphanumeric() || ".-".contains(*c);
    let commit: String = build.commit.chars().filter(plain).collect();
    let version: String = build.ceteris_version.chars().filter(plain).collect();
    format!("#ceteris-{version}-{commit}{dirty}")
}

fn action_id(index: usize) -> String {
    format!("#run-{}", index + 1)
}

fn author_id(number: usize) -> String {
    format!("#author-{number}")
}

fn reference(id: &str) -> Value {
    json!({ "@id": id })
}

/// References to several; flattened JSON-LD writes a single one without a list.
fn references(ids: &[String]) -> Value {
    match ids {
        [only] => reference(only),
        ids => ids.iter().map(|id| reference(id)).collect(),
    }
}
