//! Constructor arguments of environments, as text.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use flags::{Field, FlagValue, Flags, SetError, Value, nearest};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::EnvError;

/// Arguments that an environment is made with, by name; what is not named keeps its default.
///
/// The text form is a list of `name=value`, separated by commas, with values written as in Python
/// or TOML: numbers, `true` or `True`, names, and two numbers in brackets for a range. Displaying
/// sorts by name and writes every value in one way, so that equal arguments have equal texts.
///
/// ```
/// let arguments: envs::Arguments =
///     "healthy_z_range=[0.80, inf], healthy_reward=2.0, terminate_when_unhealthy=False".parse()?;
/// assert_eq!(
///     arguments.to_string(),
///     "healthy_reward=2, healthy_z_range=(0.8, inf), terminate_when_unhealthy=false",
/// );
/// # Ok::<(), envs::ArgumentsError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Arguments {
    values: BTreeMap<String, Value>,
}

/// Why a text is not a list of arguments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentsError {
    /// An item without an equals sign, or with nothing on one side of it.
    #[error("expected `name=value`, found `{item}`")]
    NotAnAssignment {
        /// The item as written.
        item: String,
    },
    /// A name that no argument can have.
    #[error("`{name}` is not a name of an argument")]
    Name {
        /// The name as written.
        name: String,
    },
    /// A value that is none of the forms.
    #[error(
        "`{name}` has the value `{value}`, which is neither a number, true, false, a name nor a \
         range such as (0.8, inf), low end first"
    )]
    Value {
        /// Name of the argument.
        name: String,
        /// The value as written.
        value: String,
    },
    /// A name given twice.
    #[error("`{name}` is given twice")]
    Duplicate {
        /// Name of the argument.
        name: String,
    },
}

impl Arguments {
    /// Whether no argument is given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Names and values, sorted by name. A range is a [`Value::Text`], as [`Range`] writes it.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The value of one argument.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Gives an argument a value, written as in the text form, in place of an earlier one.
    ///
    /// # Errors
    /// When the name or the value cannot be one.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ArgumentsError> {
        let identifier = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && name.starts_with(|c: char| !c.is_ascii_digit());
        if !identifier {
            return Err(ArgumentsError::Name { name: name.to_owned() });
        }
        let parsed = parse_value(value).ok_or_else(|| ArgumentsError::Value {
            name: name.to_owned(),
            value: value.to_owned(),
        })?;
        self.values.insert(name.to_owned(), parsed);
        Ok(())
    }
}

impl FromStr for Arguments {
    type Err = ArgumentsError;

    fn from_str(text: &str) -> Result<Self, ArgumentsError> {
        let mut arguments = Self::default();
        if text.trim().is_empty() {
            return Ok(arguments);
        }
        for item in split_items(text) {
            let item = item.trim();
            let (name, value) = item
                .split_once('=')
                .map(|(name, value)| (name.trim(), value.trim()))
                .filter(|(name, value)| !name.is_empty() && !value.is_empty())
                .ok_or_else(|| ArgumentsError::NotAnAssignment { item: item.to_owned() })?;
            if arguments.get(name).is_some() {
                return Err(ArgumentsError::Duplicate { name: name.to_owned() });
            }
            arguments.set(name, value)?;
        }
        Ok(arguments)
    }
}

impl fmt::Display for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.values.iter().enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            write!(f, "{separator}{name}={value}")?;
        }
        Ok(())
    }
}

impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl FlagValue for Arguments {
    const KIND: flags::Kind = flags::Kind::Text;
    const NOTATION: Option<&'static str> =
        Some("a list such as \"healthy_reward=2, healthy_z_range=(0.8, inf)\"");

    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Text(text) = value { text.parse().ok() } else { None }
    }

    fn to_value(&self) -> Value {
        Value::Text(self.to_string())
    }
}

/// Splits at the commas that are outside brackets.
fn split_items(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    text.split(move |c| {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
}

fn parse_value(text: &str) -> Option<Value> {
    match text {
        "true" | "True" => return Some(Value::Bool(true)),
        "false" | "False" => return Some(Value::Bool(false)),
        _ => {}
    }
    if text.starts_with(['(', '[']) {
        return text.parse::<Range>().ok().map(|range| range.to_value());
    }
    if let Some(number) = parse_number(text) {
        // 2 and 2.0 are one value with one text. Beyond 2^53 an f64 no longer counts in ones.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let whole = number.fract() == 0.0 && number.abs() <= EXACT;
        return Some(if whole { Value::Integer(number as i64) } else { Value::Float(number) });
    }
    let quoted = |quote| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let name = quoted('"').or_else(|| quoted('\'')).unwrap_or(text);
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    // Quoting does not make a number a name: its text would read back as a number.
    (plain && !name.is_empty() && parse_number(name).is_none())
        .then(|| Value::Text(name.to_owned()))
}

/// A number, infinities included.
fn parse_number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| !number.is_nan())
}

/// Two numbers, the lower first; either may be infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Lower end.
    pub low: f64,
    /// Upper end, at least `low`.
    pub high: f64,
}

impl Range {
    /// Every number.
    pub const UNBOUNDED: Self = Self { low: f64::NEG_INFINITY, high: f64::INFINITY };
}

/// A text that is not a [`Range`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected two numbers, low first, such as (0.8, inf)")]
pub struct RangeError;

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let inside = |open, close| text.strip_prefix(open)?.strip_suffix(close);
        let inside = inside('(', ')').or_else(|| inside('[', ']')).ok_or(RangeError)?;
        let (low, high) = inside.split_once(',').ok_or(RangeError)?;
        let low = parse_number(low.trim()).ok_or(RangeError)?;
        let high = parse_number(high.trim()).ok_or(RangeError)?;
        if low <= high { Ok(Self { low, high }) } else { Err(RangeError) }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.low, self.high)
    }
}

impl FlagValue for Range {
    const KIND: flags::Kind = flags::Kind::Text;
    const NOTATION: Option<&'static str> = Some("two numbers, low first, such as (0.8, inf)");

    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Text(text) = value { text.parse().ok() } else { None }
    }

    fn to_value(&self) -> Value {
        Value::Text(self.to_string())
    }
}

/// One argument that an environment takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    /// Name, unit, meaning and source.
    pub field: &'static Field,
    /// The value without the argument.
    pub default: Value,
}

impl Serialize for Argument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.field.name, &self.default).serialize(serializer)
    }
}

flags::flags! {
    /// What every environment takes, whoever simulates it.
    pub struct CommonArguments {
        /// Steps after which an episode is truncated.
        #[flag(group = "Episode", unit = "steps", within = flags::Within::at_least(1.0), source = "gymnasium.make")]
        pub max_episode_steps: u32 = 1,
    }
}

/// The arguments that are common to all environments, for one with this registered time limit.
pub(crate) fn common_arguments(max_episode_steps: u32) -> Vec<Argument> {
    let common = CommonArguments { max_episode_steps };
    arguments_of(&common, CommonArguments::FIELDS.iter())
}

/// Fields with their values as defaults.
pub(crate) fn arguments_of(
    values: &impl Flags,
    fields: impl Iterator<Item = &'static Field>,
) -> Vec<Argument> {
    fields.filter_map(|field| Some(Argument { field, default: values.get(field.name)? })).collect()
}

/// Applies arguments to the common ones and to those of an environment, `taken` being all that it
/// takes.
pub(crate) fn apply(
    arguments: &Arguments,
    environment: &'static str,
    taken: &[Argument],
    common: &mut CommonArguments,
    own: Option<&mut dyn Flags>,
) -> Result<(), EnvError> {
    let mut own = own;
    for (name, value) in arguments.iter() {
        if !taken.iter().any(|argument| argument.field.name == name) {
            let known: Vec<_> = taken.iter().map(|argument| argument.field.name).collect();
            return Err(EnvError::UnknownArgument {
                environment,
                name: name.to_owned(),
                nearest: nearest(name, known.iter().copied()),
                known,
            });
        }
        let is_common = CommonArguments::FIELDS.iter().any(|field| field.name == name);
        let result = match own.as_deref_mut() {
            Some(own) if !is_common => own.set(name, value),
            _ => common.set(name, value),
        };
        if let Err(SetError::BadValue { expected, .. }) = result {
            return Err(EnvError::BadArgument {
                environment,
                name: name.to_owned(),
                expected,
                found: value.to_string(),
            });
        }
    }
    Ok(())
}
