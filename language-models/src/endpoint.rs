//! Servers that speak OpenAI's protocol: vLLM, llama.cpp, Ollama, hosted models.
//!
//! A server is asked several things at a time, no more of them a minute than it is told to allow, and
//! again where it was too busy, failed, or did not answer in time. What cannot succeed (no key, no such
//! model, a request that it does not understand) is not tried twice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use reqwest::header::HeaderMap;
use reqwest::{Client, StatusCode};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use crate::{Answer, Completion, LanguageModel, ModelError, Request, Sampling, Take};

/// Which of the protocol's two forms a server is asked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// `/chat/completions`: the prompt is the message of a user, in the model's own chat template.
    Chat,
    /// `/completions`: the text as it is. Servers that echo a prompt with its log probabilities can
    /// score texts, too.
    Completions,
}

/// How a server is treated; nothing of it changes an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Requests under way at a time.
    pub concurrency: usize,
    /// Most requests begun in a minute; `None` for no limit but the server's own.
    pub requests_per_minute: Option<f64>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How often a request is tried before it counts as failed.
    pub attempts: u32,
    /// The pause before the second attempt; it doubles with each further one, unless the server says
    /// how long to wait.
    pub first_pause: Duration,
    /// No pause is longer, unless the server asks for one.
    pub longest_pause: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency: 8,
            requests_per_minute: None,
            timeout: Duration::from_secs(120),
            attempts: 8,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// How long requests that are under way may take once it was asked to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Why a server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// It refused.
    #[error("{url} answered {status}: {message}; {remedy}")]
    Refused {
        /// What was asked.
        url: String,
        /// Its status.
        status: StatusCode,
        /// What it said.
        message: String,
        /// What may help.
        remedy: &'static str,
    },
    /// It was tried often enough.
    #[error(
        "{url} gave no answer in {attempts} attempts, the last time: {last}; look after the server \
         and run again, which asks only for what is missing"
    )]
    GaveUp {
        /// What was asked.
        url: String,
        /// How often.
        attempts: u32,
        /// How the last attempt failed.
        last: String,
    },
    /// It cannot do what was asked for.
    #[error("{url} {what}")]
    Unable {
        /// What was asked.
        url: String,
        /// What it cannot do, and what may help.
        what: String,
    },
    /// The connection cannot be set up.
    #[error("cannot ask {url}: {source}")]
    Client {
        /// What was to be asked.
        url: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A server and its name for a model.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its address up to `/chat/completions`, such as `https://api.openai.com/v1`.
    pub url: String,
    /// Its name for the model.
    pub model: String,
    /// The form.
    pub api: Api,
    /// Whether it is asked for the log probabilities of what it generates.
    pub log_probabilities: bool,
    /// Sent as bearer token; never shown.
    pub key: Option<Key>,
    /// How it is treated.
    pub settings: Settings,
}

/// A secret that does not show.
#[derive(Clone)]
pub struct Key(String);

impl Key {
    /// Takes a secret.
    pub fn new(key: String) -> Self {
        Self(key)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// What the tasks that ask share.
struct Shared {
    client: Client,
    url: String,
    key: Option<Key>,
    settings: Settings,
    /// Raised when no more attempts are to be made.
    ending: AtomicBool,
    /// When the next request may begin.
    next: Mutex<Instant>,
}

/// How an attempt failed.
enum Failure {
    /// It may succeed later, perhaps after a time that the server named.
    Passing(String, Option<Duration>),
    Final(EndpointError),
    Ended,
}

impl LanguageModel for Endpoint {
    fn identity(&self) -> String {
        let api = match self.api {
            Api::Chat => "chat/completions",
            Api::Completions => "completions",
        };
        let logged = if self.log_probabilities { " with log probabilities" } else { "" };
        format!("{} of {}/{api}{logged}", self.model, self.base())
    }

    fn answer(
        &self,
        requests: &[Request],
        stop: &AtomicBool,
        take: &mut Take<'_>,
    ) -> Result<(), ModelError> {
        if requests.is_empty() {
            return Ok(());
        }
        let failed = |error: EndpointError| ModelError::Failed(Box::new(error));
        let broken = |source: Box<dyn std::error::Error + Send + Sync>| {
            failed(EndpointError::Client { url: self.url.clone(), source })
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| broken(Box::new(error)))?;
        let client = Client::builder()
            .timeout(self.settings.timeout)
            .user_agent(concat!("ceteris/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| broken(Box::new(error)))?;
        let path = match self.api {
            Api::Chat => "chat/completions",
            Api::Completions => "completions",
        };
        let shared = Arc::new(Shared {
            client,
            url: format!("{}/{path}", self.base()),
            key: self.key.clone(),
            settings: self.settings,
            ending: AtomicBool::new(false),
            next: Mutex::new(Instant::now()),
        });
        runtime.block_on(self.answer_all(requests, &shared, stop, take))
    }
}

impl Endpoint {
    fn base(&self) -> &str {
        self.url.trim_end_matches('/')
    }

    async fn answer_all(
        &self,
        requests: &[Request],
        shared: &Arc<Shared>,
        stop: &AtomicBool,
        take: &mut Take<'_>,
    ) -> Result<(), ModelError> {
        let mut waiting = requests.iter().enumerate();
        let mut tasks = JoinSet::new();
        let mut outcome = Ok(());
        let mut ended: Option<Instant> = None;
        loop {
            if stop.load(Ordering::Relaxed) && outcome.is_ok() {
                outcome = Err(ModelError::Interrupted);
            }
            if outcome.is_err() {
                shared.ending.store(true, Ordering::Relaxed);
                let since = *ended.get_or_insert_with(Instant::now);
                // What is under way was asked for and may have its price: its answers are kept.
                if since.elapsed() > GRACE {
                    break;
                }
            }
            while outcome.is_ok() && tasks.len() < self.settings.concurrency.max(1) {
                let Some((place, request)) = waiting.next() else { break };
                match self.body(request) {
                    Ok(body) => {
                        let (shared, kind) = (Arc::clone(shared), Expected::of(request));
                        tasks.spawn(async move {
                            (place, attempts(&shared, &body, &kind, place as u64).await)
                        });
                    }
                    Err(what) => {
                        let url = shared.url.clone();
                        let error = EndpointError::Unable { url, what: what.to_owned() };
                        outcome = Err(ModelError::Failed(Box::new(error)));
                    }
                }
            }
            let moment = Duration::from_millis(100);
            match tokio::time::timeout(moment, tasks.join_next()).await {
                // Time to look whether it should stop.
                Err(_) => {}
                Ok(None) => break,
                Ok(Some(Ok((place, Ok(answer))))) => {
                    if let Err(error) = take(place, answer) {
                        outcome = Err(ModelError::Keep(error));
                    }
                }
                Ok(Some(Ok((_, Err(Failure::Final(error)))))) if outcome.is_ok() => {
                    outcome = Err(ModelError::Failed(Box::new(error)));
                }
                Ok(Some(Ok((_, Err(_))))) => {}
                Ok(Some(Err(error))) => {
                    outcome = Err(ModelError::Failed(Box::new(error)));
                }
            }
        }
        tasks.abort_all();
        outcome
    }

    /// The body of a request.
    fn body(&self, request: &Request) -> Result<Value, &'static str> {
        let mut body = Map::new();
        body.insert("model".to_owned(), json!(self.model));
        match (request, self.api) {
            (Request::Generate { prompt, sampling }, Api::Chat) => {
                body.insert("messages".to_owned(), json!([{"role": "user", "content": prompt}]));
                self.sampling(&mut body, sampling);
                if self.log_probabilities {
                    body.insert("logprobs".to_owned(), json!(true));
                }
            }
            (Request::Generate { prompt, sampling }, Api::Completions) => {
                body.insert("prompt".to_owned(), json!(prompt));
                self.sampling(&mut body, sampling);
                if self.log_probabilities {
                    body.insert("logprobs".to_owned(), json!(1));
                }
            }
            (Request::Score { prompt, continuation, .. }, Api::Completions) => {
                body.insert("prompt".to_owned(), json!(format!("{prompt}{continuation}")));
                body.insert("echo".to_owned(), json!(true));
                // Many servers refuse to generate nothing; the extra token is not counted.
                body.insert("max_tokens".to_owned(), json!(1));
                body.insert("temperature".to_owned(), json!(0));
                body.insert("logprobs".to_owned(), json!(1));
            }
            (Request::Score { .. }, Api::Chat) => {
                return Err("cannot score a given text: the chat form of the protocol has no log \
                            probabilities of prompts; use the completions form, or let the model \
                            generate its answer");
            }
        }
        Ok(Value::Object(body))
    }

    #[allow(clippy::unused_self)] // as the other parts of a body
    fn sampling(&self, body: &mut Map<String, Value>, sampling: &Sampling) {
        body.insert("max_tokens".to_owned(), json!(sampling.max_tokens));
        body.insert("temperature".to_owned(), json!(sampling.temperature));
        body.insert("top_p".to_owned(), json!(sampling.top_p));
        body.insert("n".to_owned(), json!(sampling.completions));
        body.insert("seed".to_owned(), json!(sampling.seed));
        if !sampling.stop.is_empty() {
            body.insert("stop".to_owned(), json!(sampling.stop));
        }
    }
}

/// What an answer has to hold.
enum Expected {
    Texts(u32),
    /// The log probabilities of what follows so many characters of a prompt of so many.
    Score {
        text: String,
        prompt: usize,
        whole: usize,
    },
}

impl Expected {
    fn of(request: &Request) -> Self {
        match request {
            Request::Generate { sampling, .. } => Self::Texts(sampling.completions.max(1)),
            Request::Score { prompt, continuation, .. } => {
                let (before, after) = (prompt.chars().count(), continuation.chars().count());
                Self::Score { text: continuation.clone(), prompt: before, whole: before + after }
            }
        }
    }
}

async fn attempts(
    shared: &Shared,
    body: &Value,
    expected: &Expected,
    place: u64,
) -> Result<Answer, Failure> {
    let longest = shared.settings.longest_pause;
    let mut pause = shared.settings.first_pause.min(longest);
    let mut last = String::new();
    let attempts = shared.settings.attempts.max(1);
    // Pauses of requests that failed together differ, so that they do not come back together.
    let mut rng = ChaCha12Rng::seed_from_u64(place);
    for attempt in 1..=attempts {
        turn(shared).await?;
        let begun = Instant::now();
        match once(shared, body).await {
            Ok(value) => {
                let found = read(&shared.url, &value, expected);
                let mut answer = found.map_err(Failure::Final)?;
                answer.seconds = Some(begun.elapsed().as_secs_f64());
                return Ok(answer);
            }
            Err(Failure::Passing(what, wanted)) => {
                last = what;
                if attempt < attempts {
                    let spread = rng.random_range(0.75..1.25);
                    wait(shared, wanted.unwrap_or_else(|| pause.mul_f64(spread))).await?;
                    pause = (pause * 2).min(longest);
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    Err(Failure::Final(EndpointError::GaveUp { url: shared.url.clone(), attempts, last }))
}

/// Waits until the next request may begin.
async fn turn(shared: &Shared) -> Result<(), Failure> {
    let begins = {
        let mut next = shared.next.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = (*next).max(Instant::now());
        if let Some(rate) = shared.settings.requests_per_minute.filter(|rate| *rate > 0.0) {
            *next = begins + Duration::from_secs_f64(60.0 / rate);
        }
        begins
    };
    wait(shared, begins.saturating_duration_since(Instant::now())).await
}

/// Waits, unless no more attempts are to be made.
async fn wait(shared: &Shared, time: Duration) -> Result<(), Failure> {
    let end = Instant::now() + time;
    loop {
        if shared.ending.load(Ordering::Relaxed) {
            return Err(Failure::Ended);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        tokio::time::sleep(left.min(Duration::from_millis(100))).await;
    }
}

async fn once(shared: &Shared, body: &Value) -> Result<Value, Failure> {
    let passing = |error: reqwest::Error| {
        // Without the address, which says nothing new; with the cause, which does.
        let error = error.without_url();
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        Failure::Passing(format!("{error}{}", cause.unwrap_or_default()), None)
    };
    let mut request = shared.client.post(&shared.url).json(body);
    if let Some(Key(key)) = &shared.key {
        request = request.bearer_auth(key);
    }
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) if error.is_builder() => {
            let (url, source) = (shared.url.clone(), Box::new(error.without_url()));
            return Err(Failure::Final(EndpointError::Client { url, source }));
        }
        Err(error) => return Err(passing(error)),
    };
    let (status, wanted) = (response.status(), asked_pause(response.headers()));
    let text = response.text().await.map_err(passing)?;
    if status.is_success() {
        return serde_json::from_str(&text).map_err(|error| {
            Failure::Passing(format!("an answer that is no JSON ({error})"), None)
        });
    }
    let message = message(&text);
    let passes = matches!(status.as_u16(), 408 | 409 | 425 | 429) || status.is_server_error();
    if passes && !text.contains("insufficient_quota") {
        if let Some(pause) = wanted {
            // The server is too busy for all of us.
            let mut next = shared.next.lock().unwrap_or_else(PoisonError::into_inner);
            *next = (*next).max(Instant::now() + pause);
        }
        return Err(Failure::Passing(format!("{status}: {message}"), wanted));
    }
    let remedy = match status.as_u16() {
        401 | 403 => "set the key in CETERIS_ENDPOINT_KEY or OPENAI_API_KEY",
        404 => "check the address, which usually ends in /v1, and the name of the model",
        429 => "the account has no credit left",
        _ => "the server does not accept such a request",
    };
    Err(Failure::Final(EndpointError::Refused { url: shared.url.clone(), status, message, remedy }))
}

/// How long a server wants to be left alone.
fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|ms| ms / 1e3).or_else(|| number("retry-after"))?;
    // An hour is longer than anybody means it.
    (seconds.is_finite() && (0.0..=3600.0).contains(&seconds))
        .then(|| Duration::from_secs_f64(seconds))
}

/// What a server says of a failure, shortened.
fn message(text: &str) -> String {
    let value: Option<Value> = serde_json::from_str(text).ok();
    let found = value.as_ref().and_then(|value| {
        let error = &value["error"];
        error["message"].as_str().or_else(|| error.as_str()).or_else(|| value["message"].as_str())
    });
    let whole = found.unwrap_or(text).trim();
    let mut short: String = whole.chars().take(300).collect();
    if short.len() < whole.len() {
        short.push('…');
    }
    if short.is_empty() { "nothing further".to_owned() } else { short }
}

fn read(url: &str, value: &Value, expected: &Expected) -> Result<Answer, EndpointError> {
    let unable = |what: String| EndpointError::Unable { url: url.to_owned(), what };
    let choices = value["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
    let count = |value: &Value| value.as_u64().and_then(|count| u32::try_from(count).ok());
    let prompt_tokens = count(&value["usage"]["prompt_tokens"]);
    match expected {
        Expected::Texts(wanted) => {
            if choices.len() != *wanted as usize {
                return Err(unable(format!(
                    "gave {} of {wanted} completions; ask for one, with a replicate for each",
                    choices.len()
                )));
            }
            let total = count(&value["usage"]["completion_tokens"]);
            let completions = choices.iter().map(|choice| completion(choice, total, *wanted));
            let completions = completions.collect();
            Ok(Answer { completions, prompt_tokens, seconds: None })
        }
        Expected::Score { text, prompt, whole } => {
            let logged = choices.first().map_or(&Value::Null, |choice| &choice["logprobs"]);
            let (Some(values), Some(offsets)) =
                (logged["token_logprobs"].as_array(), logged["text_offset"].as_array())
            else {
                return Err(unable(
                    "does not echo a prompt with its log probabilities (`echo` with `logprobs`), so \
                     that it cannot score given texts; let the model generate its answers"
                        .to_owned(),
                ));
            };
            let (mut sum, mut tokens, mut known) = (0.0, 0, true);
            for (value, offset) in values.iter().zip(offsets) {
                let offset = offset.as_u64().unwrap_or(u64::MAX);
                if offset < *prompt as u64 || offset >= *whole as u64 {
                    continue;
                }
                tokens += 1;
                // The first token of a text has none, where the server puts nothing before it.
                match value.as_f64() {
                    Some(value) => sum += value,
                    None => known = offset == 0 && known,
                }
            }
            let completion = Completion {
                text: text.clone(),
                log_probability: (known && tokens > 0).then_some(sum),
                tokens: Some(tokens),
                finish_reason: None,
            };
            Ok(Answer { completions: vec![completion], prompt_tokens, seconds: None })
        }
    }
}

/// One of several completions; the server counts the tokens of all of them together.
fn completion(choice: &Value, tokens: Option<u32>, of: u32) -> Completion {
    let text = choice["message"]["content"].as_str().or_else(|| choice["text"].as_str());
    let logged = &choice["logprobs"];
    let chat = logged["content"].as_array().map(|content| {
        content.iter().map(|token| token["logprob"].as_f64()).collect::<Option<Vec<f64>>>()
    });
    let plain = logged["token_logprobs"]
        .as_array()
        .map(|values| values.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>());
    let values = chat.or(plain).flatten();
    let counted = values.as_ref().and_then(|values| u32::try_from(values.len()).ok());
    Completion {
        text: text.unwrap_or_default().to_owned(),
        // An empty list is a server that logs nothing.
        log_probability: values
            .filter(|values| !values.is_empty())
            .map(|values| values.iter().sum()),
        tokens: counted.filter(|count| *count > 0).or(tokens.filter(|_| of == 1)),
        finish_reason: choice["finish_reason"].as_str().map(str::to_owned),
    }
}
