//! Word lists of HELM, which `scripts/setup-lm-evaluation.sh` takes out of its published package, and
//! lists of a user's own.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::sources::SourceError;
use crate::data::{DataFile, DataSet};

/// The lists of HELM, as the script leaves them.
pub(super) const WORDS: DataSet = DataSet {
    name: "helm-words",
    about: "Word lists of HELM's perturbations and bias metrics",
    source: "the PyPI package crfm-helm 0.5.16; scripts/setup-lm-evaluation.sh makes it",
    licence: "Apache-2.0",
    files: &[DataFile {
        path: "lm-evaluation/words.json",
        sha256: "0382e41173e96f4ef117fccfb8bfc455c36727ecfd4af433fb9b199718712422",
    }],
};

/// The lists.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Words {
    /// Contractions and what they stand for.
    pub contractions: Ordered<String>,
    /// Words and their common misspellings, from a list of Wikipedia's.
    pub misspellings: Ordered<Vec<String>>,
    /// Letters and the letters next to them on a keyboard.
    pub keyboard: Ordered<String>,
    pub fillers: Fillers,
    /// Neutral, female and male nouns.
    pub gender_terms: Vec<[String; 3]>,
    /// Neutral, female and male pronouns.
    pub gender_pronouns: Vec<[String; 3]>,
    pub bias: BiasWords,
}

impl Words {
    /// Reads them.
    ///
    /// # Errors
    /// When they are not here, or are not the published ones.
    pub(super) fn read() -> Result<Self, SourceError> {
        json(&WORDS)
    }
}

/// The content of a data set that is one JSON file.
pub(super) fn json<T: serde::de::DeserializeOwned>(set: &DataSet) -> Result<T, SourceError> {
    let path = set.files.first().map_or("", |file| file.path);
    serde_json::from_slice(&set.read(path)?).map_err(|source| SourceError::Json {
        path: path.to_owned(),
        line: source.line(),
        source,
    })
}

/// The lists where they are here.
#[cfg(test)]
pub(super) fn given() -> Option<Words> {
    given_as(&WORDS)
}

/// What a script makes, where it has; says that the test is skipped where it has not.
#[cfg(test)]
pub(super) fn given_as<T: serde::de::DeserializeOwned>(set: &DataSet) -> Option<T> {
    let content = json(set);
    if let Err(error) = &content {
        assert!(std::env::var_os("CETERIS_REQUIRE_WORDS").is_none(), "{error}");
        eprintln!("skipped: {error}");
    }
    content.ok()
}

/// Phrases that a speaker puts between words.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Fillers {
    /// Opinions: "I think".
    pub speaker: Vec<String>,
    /// Doubts: "perhaps".
    pub uncertain: Vec<String>,
    /// Sounds and habits: "umm".
    pub fill: Vec<String>,
}

/// What bias is measured by.
#[derive(Debug, serde::Deserialize)]
pub(super) struct BiasWords {
    /// Words of each gender (Bolukbasi et al. 2016).
    pub gender: Ordered<Vec<String>>,
    /// Family names by race (Garg et al. 2018).
    pub race: Ordered<Vec<String>>,
    pub adjectives: Vec<String>,
    pub professions: Vec<String>,
}

/// A JSON object in its own order, which decides between phrases that begin alike.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ordered<T>(pub Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }
        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}

/// First names and what is associated with them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Names(pub(super) Vec<Name>);

/// A first name, in lower case.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Name {
    pub name: String,
    /// `white_american`, `black_american`, …
    pub race: String,
    /// `female`, `male` or `neutral`; empty where it is not known.
    pub gender: String,
}

/// The names of Bertrand and Mullainathan (2004, table 8): female and male ones that employers were
/// found to take for those of white and of black Americans.
const APPLICANTS: [(&str, &str, [&str; 9]); 4] = [
    (
        "white_american",
        "female",
        ["emily", "anne", "jill", "allison", "sarah", "meredith", "laurie", "carrie", "kristen"],
    ),
    (
        "black_american",
        "female",
        ["aisha", "keisha", "tamika", "lakisha", "tanisha", "latoya", "kenya", "latonya", "ebony"],
    ),
    (
        "white_american",
        "male",
        ["neil", "geoffrey", "brett", "brendan", "greg", "todd", "matthew", "jay", "brad"],
    ),
    (
        "black_american",
        "male",
        [
            "rasheed", "tremayne", "kareem", "darnell", "tyrone", "jamal", "hakim", "leroy",
            "jermaine",
        ],
    ),
];

impl Names {
    /// The 36 first names of Bertrand and Mullainathan (2004). HELM uses those of Greenwald et al.
    /// (1998), which are not part of its package.
    pub(super) fn applicants() -> Self {
        let groups = APPLICANTS.iter().flat_map(|(race, gender, names)| {
            names.iter().map(|name| Name {
                name: (*name).to_owned(),
                race: (*race).to_owned(),
                gender: (*gender).to_owned(),
            })
        });
        Self(groups.collect())
    }

    /// First names from lines as in HELM's `person_names.txt`: a name, `first_name`, and pairs of a
    /// category and a value. Last names and other categories are passed over.
    ///
    /// # Errors
    /// The first line that is none, from 1.
    pub(super) fn parse(text: &str) -> Result<Self, usize> {
        let mut names = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let mut fields = line.split(',');
            let (Some(name), Some(kind)) = (fields.next(), fields.next()) else {
                return Err(number);
            };
            let fields: Vec<&str> = fields.collect();
            if !fields.len().is_multiple_of(2) {
                return Err(number);
            }
            let value = |category: &str| {
                let pair = fields.chunks(2).find(|pair| pair[0] == category);
                pair.map(|pair| pair[1].to_owned()).unwrap_or_default()
            };
            if kind == "first_name" {
                let name = name.trim().to_lowercase();
                names.push(Name { name, race: value("race"), gender: value("gender") });
            }
        }
        Ok(Self(names))
    }
}

#[cfg(test)]
mod tests {
    use super::{Name, Names, Ordered};

    #[test]
    fn objects_keep_their_order() {
        let object: Ordered<u8> = serde_json::from_str(r#"{"z": 1, "a": 2}"#).unwrap();
        assert_eq!(object, Ordered(vec![("z".to_owned(), 1), ("a".to_owned(), 2)]));
    }

    #[test]
    fn lists_of_names_are_read() {
        let names =
            Names::parse("Li ,last_name,race,chinese\nAiesha,first_name,gender,female,race,b");
        let name = |name: &str, race: &str, gender: &str| Name {
            name: name.to_owned(),
            race: race.to_owned(),
            gender: gender.to_owned(),
        };
        assert_eq!(names, Ok(Names(vec![name("aiesha", "b", "female")])));
        assert_eq!(Names::parse("a,first_name\nb"), Err(2));
        assert_eq!(Names::parse("a,first_name,race"), Err(1));
        let applicants = Names::applicants();
        assert_eq!(applicants.0.len(), 36);
        assert!(applicants.0.contains(&name("lakisha", "black_american", "female")));
    }
}
