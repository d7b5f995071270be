//! Runs of HELM: the `scenario_state.json` that `helm-run` leaves in a folder, as questions with recorded
//! answers.
//!
//! What is read depends on how the run put its questions (`adapter_spec.method`). Where one prompt
//! belongs to an option, HELM stores the tokens of prompt and option together; those of the option are
//! found as the fewest last ones whose text holds it, which needs no tokenizer.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::evaluate::Exchange;
use super::perturbed::Change;
use super::sources::{Instance, Recorded, Reference, SourceError, named_file};

/// The file of a run that holds its questions and answers.
pub(super) const STATE: &str = "scenario_state.json";

const AS_WRITTEN: &str = "it must be the file as helm-run wrote it";
const AGAIN: &str = "run helm-run again, which repeats requests that have no result";

/// How a run put its questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// A prompt that is completed with an answer.
    Completion,
    /// A prompt an option, which is scored.
    Options,
    /// Windows of a text, which are scored.
    Text,
}

impl Method {
    fn of(name: &str) -> Option<Self> {
        match name {
            "generation" | "chat" | "multiple_choice_joint" => Some(Self::Completion),
            "multiple_choice_separate_original" | "multiple_choice_separate_calibrated" => {
                Some(Self::Options)
            }
            "language_modeling" => Some(Self::Text),
            _ => None,
        }
    }
}

/// Reads the run in a folder, after comparing its file with the hash.
pub(super) fn read(folder: &str, sha256: &str) -> Result<Vec<Instance>, SourceError> {
    let path = Path::new(folder).join(STATE);
    let path = path.to_string_lossy();
    parse(&path, &named_file("helm_run", &path, sha256)?)
}

/// A request of the run.
#[derive(Clone, Copy)]
struct State<'a> {
    path: &'a str,
    number: usize,
    value: &'a Value,
}

impl<'a> State<'a> {
    fn fault(self, problem: impl Into<String>, remedy: &'static str) -> SourceError {
        SourceError::HelmRun {
            path: self.path.to_owned(),
            state: self.number,
            problem: problem.into(),
            remedy,
        }
    }

    /// A text in it, by the names on the way to it.
    fn text(self, way: &[&str]) -> Result<&'a str, SourceError> {
        let value = way.iter().fold(self.value, |value, name| &value[*name]);
        value.as_str().ok_or_else(|| self.fault(format!("no text {}", way.join(".")), AS_WRITTEN))
    }

    /// What came back.
    fn completions(self) -> Result<&'a [Value], SourceError> {
        let result = &self.value["result"];
        if result.is_null() {
            return Err(self.fault("no result", AGAIN));
        }
        if result["success"] == false {
            let said = result["error"].as_str().unwrap_or("HELM does not say why");
            return Err(self.fault(format!("the request failed: {said}"), AGAIN));
        }
        let completions = result["completions"].as_array().map(Vec::as_slice).unwrap_or_default();
        if completions.is_empty() {
            return Err(self.fault("no result.completions", AGAIN));
        }
        Ok(completions)
    }

    /// The tokens of a completion, each with its log probability.
    fn tokens(self, completion: &'a Value) -> Result<Vec<(&'a str, f64)>, SourceError> {
        let tokens = completion["tokens"].as_array().map(Vec::as_slice).unwrap_or_default();
        let token = |value: &'a Value| {
            let logprob = value["logprob"].as_f64();
            let parts = value["text"].as_str().zip(logprob);
            parts.ok_or_else(|| self.fault("a token without text and logprob", AS_WRITTEN))
        };
        tokens.iter().map(token).collect()
    }

    fn exchange(self, completion: &Value) -> Result<Exchange, SourceError> {
        let tokens = completion["tokens"].as_array().map(Vec::len).filter(|count| *count > 0);
        let text = completion["text"].as_str();
        let text = text.ok_or_else(|| self.fault("a completion without text", AS_WRITTEN))?;
        let reason = &completion["finish_reason"]["reason"];
        Ok(Exchange {
            option: None,
            calibration: false,
            prompt: self.text(&["request", "prompt"])?.to_owned(),
            completion: text.to_owned(),
            log_probability: completion["logprob"].as_f64(),
            tokens: tokens.and_then(|count| u32::try_from(count).ok()),
            seconds: self.value["result"]["request_time"].as_f64(),
            finish_reason: reason.as_str().map(str::to_owned),
        })
    }

    /// The completions of a prompt; what they took counts once.
    fn completed(self) -> Result<Vec<Exchange>, SourceError> {
        let exchange = |(place, completion): (usize, &Value)| {
            let exchange = self.exchange(completion)?;
            Ok(Exchange { seconds: exchange.seconds.filter(|_| place == 0), ..exchange })
        };
        self.completions()?.iter().enumerate().map(exchange).collect()
    }

    /// The option of a prompt and its log probability.
    fn option(self, references: &[Reference]) -> Result<Exchange, SourceError> {
        let option = self.value["reference_index"].as_u64();
        let found = option.and_then(|option| {
            Some((u32::try_from(option).ok()?, references.get(usize::try_from(option).ok()?)?))
        });
        let (option, reference) =
            found.ok_or_else(|| self.fault("no reference_index of a reference", AS_WRITTEN))?;
        let [completion] = self.completions()? else {
            return Err(self.fault("several completions of a scored option", AS_WRITTEN));
        };
        let tokens = self.tokens(completion)?;
        let count = last_tokens(&tokens, reference.text.trim());
        let count = count.ok_or_else(|| {
            let problem = format!("the tokens do not end with the option {:?}", reference.text);
            self.fault(problem, "only runs whose server echoes prompts have scored options")
        })?;
        let of_option = &tokens[tokens.len() - count..];
        let alone = match self.value["request_mode"].as_str() {
            Some("calibration") => true,
            Some("original") | None => false,
            Some(other) => {
                return Err(self.fault(format!("the request_mode is {other:?}"), AS_WRITTEN));
            }
        };
        // The space before an option belongs to its first token where the tokenizer has it so.
        let held: String = of_option.iter().map(|(text, _)| *text).collect();
        let text = if held.trim() == reference.text.trim() { held } else { reference.text.clone() };
        // HELM's prompt holds the option, too.
        let prompt = self.text(&["request", "prompt"])?;
        Ok(Exchange {
            option: Some(option),
            calibration: alone,
            prompt: prompt.strip_suffix(&text).unwrap_or(prompt).to_owned(),
            completion: text,
            log_probability: Some(of_option.iter().map(|(_, logprob)| logprob).sum()),
            tokens: u32::try_from(count).ok(),
            ..self.exchange(completion)?
        })
    }

    /// A window of a text: what follows the tokens that are only there to condition on.
    fn window(self) -> Result<Exchange, SourceError> {
        let completion = &self.completions()?[0];
        let mut tokens = self.tokens(completion)?;
        let given = self.value["num_conditioning_tokens"].as_u64().unwrap_or(0);
        let given = usize::try_from(given).unwrap_or(usize::MAX);
        // AI21's tokenizer puts an empty token first; HELM leaves it out where it is conditioned on.
        if given > 0 && tokens.first().is_some_and(|(text, _)| text.is_empty()) {
            tokens.remove(0);
        }
        let scored = tokens.get(given..).unwrap_or_default();
        if scored.is_empty() {
            return Err(self.fault("no tokens are scored", AS_WRITTEN));
        }
        let bytes: Vec<u8> = scored.iter().flat_map(|(text, _)| token_bytes(text)).collect();
        Ok(Exchange {
            completion: String::from_utf8_lossy(&bytes).into_owned(),
            log_probability: Some(scored.iter().map(|(_, logprob)| logprob).sum()),
            tokens: u32::try_from(scored.len()).ok(),
            ..self.exchange(completion)?
        })
    }
}

/// How many of the last tokens hold a text, at least.
fn last_tokens(tokens: &[(&str, f64)], text: &str) -> Option<usize> {
    let mut held = String::new();
    for (count, (token, _)) in (1..).zip(tokens.iter().rev()) {
        held.insert_str(0, token);
        let trimmed = held.trim();
        if trimmed == text || trimmed.len() > text.len() {
            return trimmed.ends_with(text).then_some(count);
        }
    }
    None
}

/// The bytes of a token, some of which OpenAI's servers write as `bytes:\xe2\x80`.
fn token_bytes(text: &str) -> Vec<u8> {
    let written = text.strip_prefix("bytes:").and_then(|escapes| {
        let mut bytes = Vec::new();
        for escape in escapes.split("\\x").skip(1) {
            bytes.push(u8::from_str_radix(escape.get(..2)?, 16).ok()?);
        }
        (!bytes.is_empty()).then_some(bytes)
    });
    written.unwrap_or_else(|| text.as_bytes().to_vec())
}

/// The questions and answers in a `scenario_state.json`.
pub(super) fn parse(path: &str, text: &[u8]) -> Result<Vec<Instance>, SourceError> {
    let run: Value = serde_json::from_slice(text).map_err(|source| SourceError::Json {
        path: path.to_owned(),
        line: source.line(),
        source,
    })?;
    let whole = State { path, number: 0, value: &run };
    let name = whole.text(&["adapter_spec", "method"])?;
    let method = Method::of(name).ok_or_else(|| {
        whole.fault(
            format!("its adapter method {name:?} is not read"),
            "choose a run by generation, multiple_choice_joint, multiple_choice_separate_original, \
             multiple_choice_separate_calibrated or language_modeling",
        )
    })?;
    let states = run["request_states"].as_array().map(Vec::as_slice).unwrap_or_default();
    if states.is_empty() {
        return Err(whole.fault("no request_states", AGAIN));
    }
    // Requests about one question follow each other in most files, but need not.
    let mut groups: Vec<Vec<State<'_>>> = Vec::new();
    let mut known: BTreeMap<(u64, &str, String), usize> = BTreeMap::new();
    for (number, value) in states.iter().enumerate() {
        let state = State { path, number, value };
        let trial = value["train_trial_index"].as_u64().unwrap_or(0);
        let instance = &value["instance"];
        let key = (trial, state.text(&["instance", "id"])?, instance["perturbation"].to_string());
        let group = *known.entry(key).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Vec::new());
        }
        groups[group].push(state);
    }
    let mut clusters: BTreeMap<&str, usize> = BTreeMap::new();
    let mut all = Vec::with_capacity(groups.len());
    for group in &groups {
        let Some(first) = group.first() else { continue };
        let id = first.text(&["instance", "id"])?;
        let cluster = clusters.len();
        let cluster = *clusters.entry(id).or_insert(cluster);
        all.push(instance(group, *first, id, method, cluster)?);
    }
    Ok(all)
}

fn instance(
    group: &[State<'_>],
    first: State<'_>,
    id: &str,
    method: Method,
    cluster: usize,
) -> Result<Instance, SourceError> {
    let of = &first.value["instance"];
    let references = of["references"].as_array().map(Vec::as_slice).unwrap_or_default();
    let reference = |value: &Value| -> Result<Reference, SourceError> {
        let text = value["output"]["text"].as_str();
        let tags = value["tags"].as_array();
        let (text, tags) = text
            .zip(tags)
            .ok_or_else(|| first.fault("a reference without text and tags", AS_WRITTEN))?;
        let correct = tags.iter().any(|tag| tag == "correct");
        Ok(Reference { text: text.to_owned(), correct })
    };
    let references = references.iter().map(reference).collect::<Result<Vec<_>, _>>()?;
    let recorded = match method {
        Method::Completion => {
            let mut exchanges = Vec::new();
            for state in group {
                exchanges.extend(state.completed()?);
            }
            let letters = first.value["output_mapping"].as_object().map(|mapping| {
                let pair = |(letter, text): (&String, &Value)| {
                    (letter.clone(), text.as_str().unwrap_or_default().to_owned())
                };
                mapping.iter().map(pair).collect()
            });
            Recorded::Completions { exchanges, letters }
        }
        Method::Options => {
            let options = group.iter().map(|state| state.option(&references));
            let exchanges = options.collect::<Result<Vec<_>, _>>()?;
            let scored = exchanges.iter().filter(|exchange| !exchange.calibration).count();
            if scored != references.len() {
                let problem = format!("{scored} of {} options are scored", references.len());
                return Err(first.fault(problem, AGAIN));
            }
            Recorded::ScoredOptions { exchanges }
        }
        Method::Text => {
            let windows = group.iter().map(|state| state.window());
            Recorded::ScoredText { exchanges: windows.collect::<Result<_, _>>()? }
        }
    };
    let trial = first.value["train_trial_index"].as_u64().unwrap_or(0);
    let perturbation = &of["perturbation"];
    let flag = |name: &str| perturbation[name] == true;
    Ok(Instance {
        // Copies of a question share its name, and trials do not.
        id: if trial == 0 { id.to_owned() } else { format!("{id}/trial-{trial}") },
        input: first.text(&["instance", "input", "text"])?.to_owned(),
        references,
        split: of["split"].as_str().unwrap_or_default().to_owned(),
        cluster,
        solution: None,
        change: perturbation["name"].as_str().map(|name| Change {
            name: Cow::Owned(name.to_owned()),
            draw: 0,
            robustness: flag("robustness"),
            fairness: flag("fairness"),
        }),
        recorded: Some(recorded),
    })
}

#[cfg(test)]
mod tests {
    use super::{last_tokens, token_bytes};

    #[test]
    fn the_tokens_of_an_option_are_the_fewest_that_hold_it() {
        let of = |tokens: &[&str], text| {
            let tokens: Vec<(&str, f64)> = tokens.iter().map(|token| (*token, -1.0)).collect();
            last_tokens(&tokens, text)
        };
        assert_eq!(of(&["Q: a", " blue", " sky"], "blue sky"), Some(2));
        assert_eq!(of(&["Q: a blue", " sky"], "blue sky"), Some(2));
        assert_eq!(of(&["Q", " sky", ""], "sky"), Some(2));
        assert_eq!(of(&["s", "ky"], "ky"), Some(1));
        assert_eq!(of(&["Q", " sea"], "sky"), None);
        assert_eq!(of(&[], "sky"), None);
    }

    #[test]
    fn escaped_bytes_of_tokens_are_bytes() {
        assert_eq!(token_bytes("bytes:\\xe2\\x80"), [0xe2, 0x80]);
        assert_eq!(token_bytes(" \u{e9}"), [b' ', 0xc3, 0xa9]);
        assert_eq!(token_bytes("bytes: not"), b"bytes: not");
    }
}
