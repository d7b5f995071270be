//! Questions of the user's own: a JSON Lines file, one question a line.
//!
//! ```json
//! {"id": "capital-1", "input": "What is the capital of France?", "references": ["Paris"]}
//! {"input": "2 + 2 =", "options": ["3", "4"], "correct": 1, "split": "test", "cluster": "sums"}
//! {"input": "3 + 4 =", "references": ["7"], "solution": "3 and 4 are 7. A: 7", "split": "train"}
//! ```
//!
//! `references` are right answers, `options` all possible ones with the places of the `correct` ones,
//! from zero; to rank passages (`adapter = "ranking"`), they are the options. Questions of the split `train` are examples for prompts. Questions with the same `cluster`
//! (a passage, a template) are drawn together.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::sources::{Instance, Reference, SourceError, named_file};

/// A line of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    id: Option<String>,
    input: String,
    #[serde(default)]
    references: Vec<String>,
    #[serde(default)]
    options: Vec<String>,
    correct: Option<Correct>,
    solution: Option<String>,
    split: Option<String>,
    cluster: Option<String>,
}

/// The places of right options.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Correct {
    One(usize),
    Several(Vec<usize>),
}

/// Reads the questions after comparing the file with its hash.
pub(super) fn read(path: &str, sha256: &str) -> Result<Vec<Instance>, SourceError> {
    let bytes = named_file("questions_file", path, sha256)?;
    let wrong = |line: usize, problem: String| SourceError::Line {
        path: path.to_owned(),
        line: line + 1,
        problem,
    };
    let mut all: Vec<Instance> = Vec::new();
    let mut clusters: BTreeMap<String, usize> = BTreeMap::new();
    let mut lines_of: BTreeMap<String, usize> = BTreeMap::new();
    for (line, text) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if text.trim_ascii().is_empty() {
            continue;
        }
        let question: Question = serde_json::from_slice(text).map_err(|error| {
            // The position within the line; serde counts lines of its own.
            let error = error.to_string().replace(" at line 1 column ", ", column ");
            wrong(line, format!("{error}; a question has `input` and `references` or `options`"))
        })?;
        let split = question.split.unwrap_or_else(|| "test".to_owned());
        if !matches!(split.as_str(), "train" | "valid" | "test") {
            return Err(wrong(
                line,
                format!("no split {split:?}; there are train, valid and test"),
            ));
        }
        let references =
            references(&question.references, &question.options, question.correct.as_ref())
                .map_err(|problem| wrong(line, problem))?;
        let id = question.id.unwrap_or_else(|| format!("line-{}", line + 1));
        if let Some(first) = lines_of.insert(id.clone(), line) {
            let problem =
                format!("the id {id:?} is that of line {}, too; each needs its own", first + 1);
            return Err(wrong(line, problem));
        }
        let next = clusters.len();
        // A question without a cluster is one of its own; ids do not begin with a zero byte.
        let cluster = question.cluster.unwrap_or_else(|| format!("\0{id}"));
        let cluster = *clusters.entry(cluster).or_insert(next);
        all.push(Instance {
            id,
            input: question.input,
            references,
            split,
            cluster,
            solution: question.solution,
            change: None,
            recorded: None,
        });
    }
    Ok(all)
}

fn references(
    right: &[String],
    options: &[String],
    correct: Option<&Correct>,
) -> Result<Vec<Reference>, String> {
    match (right, options, correct) {
        (right, [], None) => {
            let right = right.iter().map(|text| Reference { text: text.clone(), correct: true });
            Ok(right.collect())
        }
        (_, [], Some(_)) => Err("`correct` belongs to `options`, and there are none".to_owned()),
        ([], options, Some(correct)) => {
            let places: &[usize] = match correct {
                Correct::One(place) => std::slice::from_ref(place),
                Correct::Several(places) => places,
            };
            if let Some(place) = places.iter().find(|place| **place >= options.len()) {
                return Err(format!(
                    "`correct` names option {place} of {}; they are counted from zero",
                    options.len()
                ));
            }
            let option = |(place, text): (usize, &String)| Reference {
                text: text.clone(),
                correct: places.contains(&place),
            };
            Ok(options.iter().enumerate().map(option).collect())
        }
        ([], _, None) => Err("`options` without `correct`, the places of right ones".to_owned()),
        (..) => Err("both `references` and `options`; a question has one of them".to_owned()),
    }
}
