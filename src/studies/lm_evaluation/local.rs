//! Networks that run in this process. The last one stays open, so that cohorts share its weights.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use language_models::llama::{Llama, LlamaOptions};

use super::config::{EvaluationConfig, LanguageModelName};
use super::{SourceError, failed, sources};
use crate::studies::StudyError;

/// What decides a network.
type Key = (PathBuf, String, LlamaOptions);

static OPEN: Mutex<Option<(Key, Llama)>> = Mutex::new(None);

/// The network of a configuration, to be computed with a number of threads.
pub(super) fn network(config: &EvaluationConfig, threads: usize) -> Result<Llama, StudyError> {
    let (path, sha256) = match config.language_model {
        LanguageModelName::Smollm2 => sources::smollm2().map_err(failed)?,
        _ => (Path::new(&config.gguf_file).to_owned(), config.gguf_sha256.clone()),
    };
    let options = LlamaOptions { chat: config.chat_template, context: None };
    let key = (path, sha256, options);
    // Others wait, since what they want is most often the same.
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, network)) = open.as_ref()
        && *known == key
    {
        return Ok(network.with_threads(threads));
    }
    // Two need not be in memory at a time.
    *open = None;
    let (path, sha256, options) = &key;
    let network = Llama::open(path, options).map_err(failed)?;
    if network.sha256() != sha256 {
        return Err(failed(SourceError::Changed {
            field: "gguf",
            path: path.display().to_string(),
            found: network.sha256().to_owned(),
        }));
    }
    *open = Some((key, network.clone()));
    Ok(network.with_threads(threads))
}
