//! Configuration as data.
//!
//! A study compares configurations, so a configuration has to be more than a Rust struct: the
//! command line lists its fields, the manual prints them, a study file is checked against them
//! with spans, and the results store one typed column a field. [`flags!`] declares a struct once
//! and derives all of that from the declaration; [`levels!`] declares an enumeration whose
//! variants are the named levels of such a field.
//!
//! ```
//! flags::levels! {
//!     /// How the value loss is clipped.
//!     pub enum ValueClip {
//!         /// Plain squared error.
//!         None = "none",
//!         /// The larger of both squared errors.
//!         Max = "max",
//!     }
//! }
//! flags::flags! {
//!     /// A small configuration.
//!     pub struct Config {
//!         /// Discount factor of the return.
//!         #[flag(group = "Returns", unit = "1", within = flags::Within::closed(0.0, 1.0), source = "textbook")]
//!         pub gamma: f64 = 0.99,
//!         /// Variant of the value loss.
//!         #[flag(group = "Value loss", unit = "", source = "ppo2")]
//!         pub value_clip: ValueClip = ValueClip::None,
//!     }
//! }
//! let mut config = Config::default();
//! config.set("value_clip", &flags::Value::from("max")).unwrap();
//! assert_eq!(config.value_clip, ValueClip::Max);
//! assert_eq!(Config::FIELDS[0].name, "gamma");
//! assert!(config.set("gamma", &flags::Value::from(1.5)).is_err());
//! ```

mod field;
mod value;

pub use field::{Field, Flags, Problem, SetError, Within, nearest};
pub use value::{FlagValue, Kind, Level, Value};

/// Declares an enumeration whose variants are the named levels of a flag.
///
/// Each variant carries a doc comment (its meaning) and the name it has in study files, which is also
/// its serde form; the calling crate depends on `serde`.
#[macro_export]
macro_rules! levels {
    ($(#[doc = $doc:literal])+ pub enum $name:ident {
        $($(#[doc = $variant_doc:literal])+ $variant:ident = $text:literal),+ $(,)?
    }) => {
        $(#[doc = $doc])+
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord,
            ::serde::Serialize, ::serde::Deserialize,
        )]
        pub enum $name {
            $($(#[doc = $variant_doc])+ #[serde(rename = $text)] $variant),+
        }
        impl $name {
            /// Every level, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            const LEVELS: &'static [$crate::Level] = &[
                $($crate::Level { name: $text, meaning: concat!($($variant_doc),+) }),+
            ];
            /// The level's name in study files, tables and on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.name())
            }
        }
        impl $crate::FlagValue for $name {
            const KIND: $crate::Kind = $crate::Kind::Level(Self::LEVELS);
            fn from_value(value: &$crate::Value) -> Option<Self> {
                let $crate::Value::Text(text) = value else { return None };
                match text.as_str() { $($text => Some(Self::$variant),)+ _ => None }
            }
            fn to_value(&self) -> $crate::Value {
                $crate::Value::Text(self.name().to_owned())
            }
        }
    };
}

/// Declares a configuration struct whose fields are flags.
///
/// Every field states its doc comment, group, unit, source and default; `within` bounds a number
/// and `shape` marks a field that fixes tensor shapes or loop structure, so that runs which differ
/// in it cannot share a cohort.
#[macro_export]
macro_rules! flags {
    ($(#[doc = $doc:literal])+ pub struct $name:ident {
        $($(#[doc = $field_doc:literal])+
          #[flag(group = $group:literal, unit = $unit:literal $(, within = $within:expr)?
                 , source = $source:literal $(, $shape:ident)?)]
          pub $field:ident : $type:ty = $default:expr),+ $(,)?
    }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[doc = $field_doc])+
              #[doc = ""]
              #[doc = concat!(" Source: ", $source, ".")]
              pub $field: $type),+
        }
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),+ }
            }
        }
        impl $name {
            /// Every field, in the order of declaration.
            pub const FIELDS: &'static [$crate::Field] = &[$($crate::Field {
                name: stringify!($field),
                group: $group,
                unit: $unit,
                source: $source,
                meaning: concat!($($field_doc),+),
                kind: <$type as $crate::FlagValue>::KIND,
                notation: <$type as $crate::FlagValue>::NOTATION,
                within: $crate::flags!(@within $($within)?),
                shape: $crate::flags!(@shape $($shape)?),
            }),+];
            /// Sets one field by name.
            ///
            /// # Errors
            /// When no field has this name, or the value has the wrong type or is out of range.
            pub fn set(&mut self, name: &str, value: &$crate::Value) -> Result<(), $crate::SetError> {
                <Self as $crate::Flags>::set(self, name, value)
            }
            /// The value of one field by name.
            pub fn get(&self, name: &str) -> Option<$crate::Value> {
                <Self as $crate::Flags>::get(self, name)
            }
        }
        impl $crate::Flags for $name {
            fn fields(&self) -> &'static [$crate::Field] {
                Self::FIELDS
            }
            fn get(&self, name: &str) -> Option<$crate::Value> {
                match name {
                    $(stringify!($field) => Some($crate::FlagValue::to_value(&self.$field)),)+
                    _ => None,
                }
            }
            fn assign(&mut self, name: &str, value: &$crate::Value) -> bool {
                match name {
                    $(stringify!($field) => match $crate::FlagValue::from_value(value) {
                        Some(parsed) => { self.$field = parsed; true }
                        None => false,
                    },)+
                    _ => false,
                }
            }
        }
    };
    (@within) => { None };
    (@within $within:expr) => { Some($within) };
    (@shape) => { false };
    (@shape shape) => { true };
}
