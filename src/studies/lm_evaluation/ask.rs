//! Asks a model, and nobody twice: what a model that costs time or money has answered once is taken
//! from the journal, whether this process was told it or one before.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use language_models::{Answer, LanguageModel, ModelError, Request};

use crate::store::{StoreError, journal_key};
use crate::studies::{Claim, Journal, JournalKey, StudyError};

/// Why a model was not asked, or did not answer.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(
        "an answer in the journal cannot be read: {0}; remove the folder `journal` to ask again"
    )]
    Unreadable(#[source] serde_json::Error),
    #[error("an answer cannot be written down: {0}")]
    Unwritable(#[source] serde_json::Error),
    #[error("the model {0} left a request without an answer")]
    Missing(String),
}

/// How answers are kept.
#[derive(Clone, Copy)]
pub(super) struct Keeping<'a> {
    pub journal: Option<&'a dyn Journal>,
    /// Whether the model gives the same answer when it is asked again.
    pub repeatable: bool,
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StudyError {
    StudyError::Failed(error.into())
}

/// What the answer to a request depends on.
pub(super) fn key(identity: &str, request: &Request) -> Result<JournalKey, StudyError> {
    let request =
        serde_json::to_vec(request).map_err(|error| failed(AskError::Unwritable(error)))?;
    Ok(journal_key(&[b"answer 1", identity.as_bytes(), &request]))
}

/// Asks a model that costs next to nothing.
pub(super) fn directly(
    model: &dyn LanguageModel,
    requests: &[Request],
    stop: &AtomicBool,
) -> Result<Vec<Answer>, StudyError> {
    let mut answers = vec![None; requests.len()];
    let mut take = |place: usize, answer| {
        answers[place] = Some(answer);
        Ok(())
    };
    model.answer(requests, stop, &mut take).map_err(of_model)?;
    all(answers, model)
}

fn all(answers: Vec<Option<Answer>>, model: &dyn LanguageModel) -> Result<Vec<Answer>, StudyError> {
    let all: Option<Vec<Answer>> = answers.into_iter().collect();
    all.ok_or_else(|| failed(AskError::Missing(model.identity())))
}

fn of_model(error: ModelError) -> StudyError {
    match error {
        ModelError::Interrupted => StudyError::Interrupted,
        error => failed(error),
    }
}

/// The answers to requests, from the journal as far as it has them. `told` hears of every answer that
/// was not there before.
pub(super) fn once(
    model: &dyn LanguageModel,
    requests: &[Request],
    keeping: Keeping<'_>,
    stop: &AtomicBool,
    told: &mut (dyn FnMut() + Send),
) -> Result<Vec<Answer>, StudyError> {
    let identity = model.identity();
    // Places of equal requests, in the order of the first of each.
    let mut unique: Vec<(JournalKey, Vec<usize>)> = Vec::new();
    let mut known: HashMap<JournalKey, usize> = HashMap::new();
    for (place, request) in requests.iter().enumerate() {
        let key = key(&identity, request)?;
        let at = *known.entry(key).or_insert_with(|| {
            unique.push((key, Vec::new()));
            unique.len() - 1
        });
        unique[at].1.push(place);
    }
    let mut answers: Vec<Option<Answer>> = vec![None; unique.len()];
    // What can be computed again is not taken from whoever is being checked.
    let journal = keeping.journal.filter(|journal| !(journal.is_record() && keeping.repeatable));
    loop {
        let open: Vec<usize> = (0..unique.len()).filter(|at| answers[*at].is_none()).collect();
        if open.is_empty() {
            break;
        }
        if stop.load(Ordering::Relaxed) {
            return Err(StudyError::Interrupted);
        }
        let mut mine = Vec::new();
        for at in open {
            match journal.map(|journal| journal.claim(&unique[at].0)).transpose() {
                Ok(Some(Claim::Known(value))) => {
                    let answer = serde_json::from_slice(&value);
                    answers[at] =
                        Some(answer.map_err(|error| failed(AskError::Unreadable(error)))?);
                }
                Ok(Some(Claim::Elsewhere)) => {}
                Ok(Some(Claim::Yours) | None) => mine.push(at),
                Err(error) => {
                    let keys: Vec<JournalKey> = mine.iter().map(|at| unique[*at].0).collect();
                    journal.iter().for_each(|journal| journal.release(&keys));
                    return Err(failed(error));
                }
            }
        }
        if mine.is_empty() {
            if let (Some(journal), true) = (journal, answers.iter().any(Option::is_none)) {
                journal.wait();
            }
            continue;
        }
        let asked: Vec<Request> =
            mine.iter().map(|at| requests[unique[*at].1[0]].clone()).collect();
        let mut take = |place: usize, answer: Answer| {
            let at = mine[place];
            if let Some(journal) = journal {
                let value = serde_json::to_vec(&answer)?;
                journal.keep(&unique[at].0, &value).map_err(Box::<StoreError>::new)?;
            }
            answers[at] = Some(answer);
            told();
            Ok(())
        };
        let outcome = model.answer(&asked, stop, &mut take);
        let left: Vec<JournalKey> =
            mine.iter().filter(|at| answers[**at].is_none()).map(|at| unique[*at].0).collect();
        if let Some(journal) = journal {
            journal.release(&left);
        }
        outcome.map_err(of_model)?;
        if !left.is_empty() {
            return Err(failed(AskError::Missing(identity)));
        }
    }
    let mut of_request: Vec<Option<Answer>> = vec![None; requests.len()];
    for ((_, places), answer) in unique.iter().zip(answers) {
        for place in places {
            of_request[*place].clone_from(&answer);
        }
    }
    all(of_request, model)
}
