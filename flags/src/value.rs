//! Values of flags, independent of any file format.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One value of a flag, as a study file writes it and a table stores it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// A string; also the named levels, and `"off"` for an absent optional number.
    Text(String),
    /// A list of values, for instance layer widths.
    List(Vec<Value>),
}

impl Value {
    /// The word that switches an optional number off.
    pub const OFF: &'static str = "off";

    /// The value's type in words, for error messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
        }
    }

    /// The value as a number, where it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            // Study files hold step counts and widths, far below 2^53.
            #[allow(clippy::cast_precision_loss)]
            Self::Integer(integer) => Some(*integer as f64),
            Self::Float(float) => Some(*float),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    /// Writes the value as TOML would, strings without quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            // Debug prints the shortest text that reads back as the same number.
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(value) => f.write_str(value),
            Self::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{value}")?;
                }
                f.write_str("]")
            }
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}
impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}
impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

/// A named level of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Its name in study files.
    pub name: &'static str,
    /// What it does, with where it comes from.
    pub meaning: &'static str,
}

/// The type of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number, not negative.
    Integer,
    /// A number.
    Float,
    /// A number, or `"off"`.
    OptionalFloat,
    /// One of these names.
    Level(&'static [Level]),
    /// Any string.
    Text,
    /// A list of whole numbers.
    Integers,
}

impl Kind {
    /// What a study file must write, in words.
    pub fn expected(self) -> String {
        match self {
            Self::Bool => "true or false".into(),
            Self::Integer => "a whole number, not negative".into(),
            Self::Float => "a number".into(),
            Self::OptionalFloat => "a number, or \"off\"".into(),
            Self::Level(levels) => {
                let names: Vec<String> =
                    levels.iter().map(|level| format!("\"{}\"", level.name)).collect();
                format!("one of {}", names.join(", "))
            }
            Self::Text => "a string".into(),
            Self::Integers => "a list of whole numbers".into(),
        }
    }
}

/// A type that a flag can have.
pub trait FlagValue: Sized {
    /// Its type as data.
    const KIND: Kind;
    /// How a value is written, in words, where the kind alone does not say.
    const NOTATION: Option<&'static str> = None;
    /// Reads a value; `None` when the type does not fit.
    fn from_value(value: &Value) -> Option<Self>;
    /// Writes the value back; `from_value(&x.to_value())` is `x`.
    fn to_value(&self) -> Value;
}

impl FlagValue for bool {
    const KIND: Kind = Kind::Bool;
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Bool(value) = value { Some(*value) } else { None }
    }
    fn to_value(&self) -> Value {
        Value::Bool(*self)
    }
}

macro_rules! integer_flag {
    ($($type:ty),+) => {$(
        impl FlagValue for $type {
            const KIND: Kind = Kind::Integer;
            fn from_value(value: &Value) -> Option<Self> {
                if let Value::Integer(value) = value { Self::try_from(*value).ok() } else { None }
            }
            fn to_value(&self) -> Value {
                // A flag came from an i64 or a literal, so it fits.
                Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
            }
        }
    )+};
}
integer_flag!(u32, u64, usize);

impl FlagValue for f64 {
    const KIND: Kind = Kind::Float;
    fn from_value(value: &Value) -> Option<Self> {
        value.as_f64()
    }
    fn to_value(&self) -> Value {
        Value::Float(*self)
    }
}

impl FlagValue for Option<f64> {
    const KIND: Kind = Kind::OptionalFloat;
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) if text == Value::OFF => Some(None),
            _ => value.as_f64().map(Some),
        }
    }
    fn to_value(&self) -> Value {
        match self {
            Some(number) => Value::Float(*number),
            None => Value::Text(Value::OFF.to_owned()),
        }
    }
}

impl FlagValue for String {
    const KIND: Kind = Kind::Text;
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Text(text) = value { Some(text.clone()) } else { None }
    }
    fn to_value(&self) -> Value {
        Value::Text(self.clone())
    }
}

impl FlagValue for Vec<usize> {
    const KIND: Kind = Kind::Integers;
    fn from_value(value: &Value) -> Option<Self> {
        let Value::List(values) = value else { return None };
        values.iter().map(usize::from_value).collect()
    }
    fn to_value(&self) -> Value {
        Value::List(self.iter().map(FlagValue::to_value).collect())
    }
}
