//! How servers are treated: environment variables, since nothing of it changes an answer.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `CETERIS_ENDPOINT_KEY`, else `OPENAI_API_KEY` | bearer token | none |
//! | `CETERIS_ENDPOINT_CONCURRENCY` | requests under way at a time | 8 |
//! | `CETERIS_ENDPOINT_REQUESTS_PER_MINUTE` | most requests begun in a minute | no limit |
//! | `CETERIS_ENDPOINT_TIMEOUT` | seconds that an answer may take | 120 |
//! | `CETERIS_ENDPOINT_ATTEMPTS` | attempts before a request counts as failed | 8 |
//! | `CETERIS_ENDPOINT_LONGEST_PAUSE` | most seconds between two attempts, unless the server asks for more | 60 |

use std::env;
use std::time::Duration;

use language_models::endpoint::{Key, Settings};

/// A variable that does not hold what it should.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable {name} is {value:?}; expected {expected}")]
pub struct SettingsError {
    name: &'static str,
    value: String,
    expected: &'static str,
}

/// The key for servers; `None` where there is none.
pub(super) fn key() -> Option<Key> {
    let named = |name: &str| env::var(name).ok().filter(|key| !key.trim().is_empty());
    let key = named("CETERIS_ENDPOINT_KEY").or_else(|| named("OPENAI_API_KEY"));
    key.map(|key| Key::new(key.trim().to_owned()))
}

fn number<T: std::str::FromStr>(
    name: &'static str,
    expected: &'static str,
    fits: fn(&T) -> bool,
) -> Result<Option<T>, SettingsError> {
    let Some(value) = env::var_os(name) else { return Ok(None) };
    let value = value.to_string_lossy().trim().to_owned();
    match value.parse::<T>().ok().filter(fits) {
        Some(number) => Ok(Some(number)),
        None => Err(SettingsError { name, value, expected }),
    }
}

/// How servers are treated.
pub(super) fn settings() -> Result<Settings, SettingsError> {
    let positive = |number: &f64| number.is_finite() && *number > 0.0;
    let seconds = "a number of seconds above zero";
    let default = Settings::default();
    let concurrency =
        number("CETERIS_ENDPOINT_CONCURRENCY", "a whole number from 1 to 10000", |number| {
            (1..=10_000).contains(number)
        })?;
    let rate = number(
        "CETERIS_ENDPOINT_REQUESTS_PER_MINUTE",
        "a number of requests above zero",
        positive,
    )?;
    // A day is longer than anybody waits.
    let waited = |number: &f64| *number > 0.0 && *number <= 86_400.0;
    let timeout = number("CETERIS_ENDPOINT_TIMEOUT", seconds, waited)?;
    let longest = number("CETERIS_ENDPOINT_LONGEST_PAUSE", seconds, waited)?;
    let attempts =
        number("CETERIS_ENDPOINT_ATTEMPTS", "a whole number from 1 to 1000", |number| {
            (1..=1000).contains(number)
        })?;
    Ok(Settings {
        concurrency: concurrency.unwrap_or(default.concurrency),
        requests_per_minute: rate.or(default.requests_per_minute),
        timeout: timeout.map_or(default.timeout, Duration::from_secs_f64),
        attempts: attempts.unwrap_or(default.attempts),
        longest_pause: longest.map_or(default.longest_pause, Duration::from_secs_f64),
        ..default
    })
}
