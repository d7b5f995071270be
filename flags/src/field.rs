//! Fields of a configuration as data.

use std::fmt;

use crate::{Kind, Value};

/// The interval of numbers that a flag may take. Non-finite numbers are never allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Within {
    low: f64,
    low_open: bool,
    high: f64,
    high_open: bool,
}

impl Within {
    /// `[low, high]`.
    pub const fn closed(low: f64, high: f64) -> Self {
        Self { low, low_open: false, high, high_open: false }
    }

    /// `(low, high]`.
    pub const fn above_up_to(low: f64, high: f64) -> Self {
        Self { low, low_open: true, high, high_open: false }
    }

    /// `[low, ∞)`.
    pub const fn at_least(low: f64) -> Self {
        Self { low, low_open: false, high: f64::INFINITY, high_open: true }
    }

    /// `(0, ∞)`.
    pub const fn positive() -> Self {
        Self { low: 0.0, low_open: true, high: f64::INFINITY, high_open: true }
    }

    /// Whether a number lies inside.
    pub fn contains(&self, number: f64) -> bool {
        let above = if self.low_open { number > self.low } else { number >= self.low };
        let below = if self.high_open { number < self.high } else { number <= self.high };
        above && below
    }
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.low_open { "(" } else { "[" })?;
        write!(f, "{}, ", self.low)?;
        if self.high.is_infinite() {
            f.write_str("∞")?
        } else {
            write!(f, "{}", self.high)?
        }
        f.write_str(if self.high_open { ")" } else { "]" })
    }
}

/// One field of a configuration, described.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field {
    /// Its name in study files, tables and on the command line.
    pub name: &'static str,
    /// The heading it is listed under.
    pub group: &'static str,
    /// Unit of its value; empty where there is none.
    pub unit: &'static str,
    /// Where the choice comes from.
    pub source: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// Its type.
    pub kind: Kind,
    /// How its value is written, in words, where the kind alone does not say.
    pub notation: Option<&'static str>,
    /// Bounds on a number, or on each number of a list.
    pub within: Option<Within>,
    /// Whether it fixes tensor shapes or loop structure, and so the cohort.
    pub shape: bool,
}

impl Field {
    /// What a study file must write, in words, bounds included.
    pub fn expected(&self) -> String {
        if let Some(notation) = self.notation {
            return notation.to_owned();
        }
        match (self.within, self.kind) {
            (None, kind) => kind.expected(),
            (Some(within), Kind::Integer) => format!("a whole number in {within}"),
            (Some(within), Kind::OptionalFloat) => format!("a number in {within}, or \"off\""),
            (Some(within), kind) => format!("{} in {within}", kind.expected()),
        }
    }

    /// The field's meaning as one line of text.
    pub fn summary(&self) -> String {
        self.meaning.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn admits(&self, value: &Value) -> bool {
        match value {
            Value::List(values) => values.iter().all(|value| self.admits(value)),
            _ => value.as_f64().is_none_or(|number| {
                number.is_finite() && self.within.is_none_or(|within| within.contains(number))
            }),
        }
    }
}

/// Why a field could not be set.
#[derive(Clone, Debug, PartialEq)]
pub enum SetError {
    /// No field has this name; the nearest one that exists, if any is near.
    UnknownField {
        /// The nearest valid name.
        nearest: Option<&'static str>,
    },
    /// The value has the wrong type, is out of range or names no level.
    BadValue {
        /// What the field takes, in words.
        expected: String,
        /// The nearest named level, where the value is a string.
        nearest: Option<&'static str>,
    },
}

/// Why fields that are fine one by one do not fit together.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The fields involved; the first is the one to point at.
    pub fields: Vec<&'static str>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// A configuration whose fields can be read and written by name.
pub trait Flags {
    /// Every field, in the order of declaration.
    fn fields(&self) -> &'static [Field];
    /// The value of one field.
    fn get(&self, name: &str) -> Option<Value>;
    /// Stores a value of the right type; `false` when there is no such field or the type is wrong.
    fn assign(&mut self, name: &str, value: &Value) -> bool;

    /// Sets one field by name, with its range checked.
    ///
    /// # Errors
    /// When no field has this name, or the value has the wrong type or is out of range.
    fn set(&mut self, name: &str, value: &Value) -> Result<(), SetError> {
        let Some(field) = self.fields().iter().find(|field| field.name == name) else {
            let names = self.fields().iter().map(|field| field.name);
            return Err(SetError::UnknownField { nearest: nearest(name, names) });
        };
        if field.admits(value) && self.assign(name, value) {
            return Ok(());
        }
        let nearest = match (field.kind, value) {
            (Kind::Level(levels), Value::Text(text)) => {
                nearest(text, levels.iter().map(|level| level.name))
            }
            _ => None,
        };
        Err(SetError::BadValue { expected: field.expected(), nearest })
    }
}

/// The name most like a misspelt one, if any is near enough to be meant.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    names
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(&word, &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity >= 0.5)
        // The first of equals wins, so that the suggestion does not depend on iteration tricks.
        .fold(None, |best: Option<(f64, &str)>, candidate| match best {
            Some(best) if best.0 >= candidate.0 => Some(best),
            _ => Some(candidate),
        })
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::{Field, Within, nearest};
    use crate::Kind;

    #[test]
    fn a_notation_says_more_than_the_kind() {
        let field = Field {
            name: "range",
            group: "",
            unit: "",
            source: "",
            meaning: "",
            kind: Kind::Text,
            notation: None,
            within: None,
            shape: false,
        };
        assert_eq!(field.expected(), "a string");
        let field = Field { notation: Some("two numbers"), ..field };
        assert_eq!(field.expected(), "two numbers");
    }

    #[test]
    fn intervals_know_their_ends() {
        assert!(Within::closed(0.0, 1.0).contains(1.0));
        assert!(!Within::positive().contains(0.0));
        assert!(Within::at_least(0.0).contains(0.0));
        assert!(!Within::above_up_to(0.0, 1.0).contains(0.0));
        assert!(!Within::closed(0.0, 1.0).contains(f64::NAN));
        assert_eq!(Within::above_up_to(0.0, 1.0).to_string(), "(0, 1]");
        assert_eq!(Within::at_least(1.0).to_string(), "[1, ∞)");
    }

    #[test]
    fn misspellings_find_the_name_that_was_meant() {
        let names = ["gae_lambda", "gamma", "value_clip", "value_clip_epsilon"];
        assert_eq!(nearest("gama", names), Some("gamma"));
        assert_eq!(nearest("value-clip", names), Some("value_clip"));
        assert_eq!(nearest("Gae_Lambda", names), Some("gae_lambda"));
        assert_eq!(nearest("zzzz", names), None);
    }
}
