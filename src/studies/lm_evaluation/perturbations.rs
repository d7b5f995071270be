//! Changes of a question that should not change its answer, as HELM makes them: the draws are Python's,
//! so that the same words change in the same way (Liang et al. 2023, section 4.6 and appendix D;
//! crfm-helm 0.5.16).
//!
//! HELM's dialect and its list of person names are not part of its package. Person names here are those
//! of Bertrand and Mullainathan (2004) unless a user gives HELM's own file; a dialect is always a user's
//! file.

use std::collections::BTreeMap;

use super::config::Gender;
use super::python_random::Random;
use super::words::{Names, Ordered, Words};

/// A change of texts.
#[derive(Clone, Debug)]
pub(super) struct Perturbation {
    kind: Kind,
    /// Whether the possible answers change as well.
    references: bool,
}

/// A question after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Perturbed {
    pub input: String,
    pub references: Vec<String>,
}

#[derive(Clone, Debug)]
enum Kind {
    Lowercase,
    /// Phrases are replaced wherever they stand as words; with `space`, only before a space.
    Rewrite {
        phrases: Phrases,
        forms: BTreeMap<String, String>,
        space: bool,
    },
    Misspellings {
        phrases: Phrases,
        forms: BTreeMap<String, Vec<String>>,
        probability: f64,
    },
    Typos {
        neighbours: BTreeMap<char, Vec<char>>,
        probability: f64,
    },
    /// Every run of spaces becomes one to so many.
    Space {
        most: u32,
    },
    /// Every space becomes so many.
    ExtraSpace {
        spaces: usize,
    },
    FillerWords {
        fillers: Vec<String>,
        probability: f64,
    },
    /// One after the other.
    Mix(Vec<Kind>),
    Gender {
        pairs: Vec<(Phrases, String)>,
        probability: f64,
    },
    PersonName {
        names: Names,
        from: String,
        to: String,
        probability: f64,
    },
    Dialect {
        phrases: Phrases,
        forms: BTreeMap<String, Vec<String>>,
        probability: f64,
    },
}

impl Perturbation {
    fn of_input(kind: Kind) -> Self {
        Self { kind, references: false }
    }

    fn of_all(kind: Kind) -> Self {
        Self { kind, references: true }
    }

    /// Lower case.
    pub(super) fn lowercase() -> Self {
        Self::of_input(Kind::Lowercase)
    }

    /// "do not" becomes "don't", where a space follows.
    pub(super) fn contraction(words: &Words) -> Self {
        Self::of_input(contraction(words))
    }

    /// "don't" becomes "do not".
    pub(super) fn expansion(words: &Words) -> Self {
        let pairs = words.contractions.0.iter();
        Self::of_input(Kind::Rewrite {
            phrases: Phrases::new(pairs.clone().map(|(short, _)| short.as_str()), true),
            forms: pairs.cloned().collect(),
            space: false,
        })
    }

    /// Words with a known misspelling get one with this probability.
    pub(super) fn misspellings(words: &Words, probability: f64) -> Self {
        Self::of_input(misspellings(words, probability))
    }

    /// Letters become a neighbour on the keyboard with this probability.
    pub(super) fn typos(words: &Words, probability: f64) -> Self {
        let keys = words.keyboard.0.iter();
        let neighbours =
            keys.filter_map(|(key, near)| Some((key.chars().next()?, near.chars().collect())));
        Self::of_input(Kind::Typos { neighbours: neighbours.collect(), probability })
    }

    /// Runs of spaces become one to so many spaces.
    pub(super) fn space(most: u32) -> Self {
        Self::of_input(Kind::Space { most: most.max(1) })
    }

    /// Every space becomes so many.
    pub(super) fn extra_space(spaces: usize) -> Self {
        Self::of_input(Kind::ExtraSpace { spaces })
    }

    /// A filler stands before a word with this probability; opinions ("I think") only if wanted. (The
    /// augmentations by name in HELM leave opinions out.)
    pub(super) fn filler_words(words: &Words, probability: f64, opinions: bool) -> Self {
        let lists = &words.fillers;
        let speaker = lists.speaker.iter().filter(|_| opinions);
        let fillers = speaker.chain(&lists.uncertain).chain(&lists.fill).cloned().collect();
        Self::of_input(Kind::FillerWords { fillers, probability })
    }

    /// HELM's canonical robustness perturbation: lower case, contractions, misspellings with
    /// probability 0.1, one to three spaces for each run.
    pub(super) fn mild_mix(words: &Words) -> Self {
        Self::of_input(Kind::Mix(vec![
            Kind::Lowercase,
            contraction(words),
            misspellings(words, 0.1),
            Kind::Space { most: 3 },
        ]))
    }

    /// Nouns of one gender become those of another with this probability.
    pub(super) fn gender_terms(words: &Words, probability: f64, from: Gender, to: Gender) -> Self {
        Self::of_all(gender(&words.gender_terms, probability, from, to))
    }

    /// Pronouns of one gender become those of another with this probability. "Her" stands for "his"
    /// and "him" and always becomes the first, "him", whatever was meant, as in HELM.
    pub(super) fn gender_pronouns(
        words: &Words,
        probability: f64,
        from: Gender,
        to: Gender,
    ) -> Self {
        Self::of_all(gender(&words.gender_pronouns, probability, from, to))
    }

    /// First names of one race become those of another with this probability, of the same gender
    /// where it is known, and the same name throughout a question and its answers.
    pub(super) fn person_name(names: Names, probability: f64, from: &str, to: &str) -> Self {
        let (from, to) = (from.to_owned(), to.to_owned());
        Self::of_all(Kind::PersonName { names, from, to, probability })
    }

    /// Words become those of a dialect with this probability.
    pub(super) fn dialect(map: &Ordered<Vec<String>>, probability: f64) -> Self {
        Self::of_all(Kind::Dialect {
            phrases: Phrases::new(map.0.iter().map(|(word, _)| word.as_str()), true),
            forms: map.0.iter().cloned().collect(),
            probability,
        })
    }

    /// A question after this change. Draws begin from the question's name and the seed; HELM's first
    /// has none. (HELM gives person names no seed: there, all seeds change them alike.)
    pub(super) fn apply(
        &self,
        id: &str,
        seed: Option<u32>,
        input: &str,
        references: &[&str],
    ) -> Perturbed {
        let seed = seed.map(|seed| seed.to_string()).unwrap_or_default();
        let mut random = Random::new(&format!("{seed}{id}"));
        let mut names = Substitutes::default();
        let mut change = |text: &str| self.kind.apply(text, &mut random, &mut names);
        // Possible answers come first, as in HELM.
        let references = references
            .iter()
            .map(|text| if self.references { change(text) } else { (*text).to_owned() });
        let references = references.collect();
        Perturbed { references, input: change(input) }
    }
}

fn contraction(words: &Words) -> Kind {
    // A phrase that two contractions stand for keeps the place of the first and becomes the last.
    let mut phrases: Vec<&str> = Vec::new();
    let mut forms = BTreeMap::new();
    for (short, long) in &words.contractions.0 {
        if forms.insert(long.clone(), short.clone()).is_none() {
            phrases.push(long);
        }
    }
    Kind::Rewrite { phrases: Phrases::new(phrases, true), forms, space: true }
}

fn misspellings(words: &Words, probability: f64) -> Kind {
    let pairs = words.misspellings.0.iter();
    Kind::Misspellings {
        phrases: Phrases::new(pairs.clone().map(|(word, _)| word.as_str()), false),
        forms: pairs.cloned().collect(),
        probability,
    }
}

fn gender(list: &[[String; 3]], probability: f64, from: Gender, to: Gender) -> Kind {
    let place = |gender| match gender {
        Gender::Neutral => 0,
        Gender::Female => 1,
        Gender::Male => 2,
    };
    let (from, to) = (place(from), place(to));
    let pairs =
        list.iter().map(|words| (Phrases::new([words[from].as_str()], true), words[to].clone()));
    Kind::Gender { pairs: pairs.collect(), probability }
}

/// Names and what they became, or that they stay.
type Substitutes = BTreeMap<String, Option<String>>;

impl Kind {
    fn apply(&self, text: &str, random: &mut Random, substitutes: &mut Substitutes) -> String {
        match self {
            Kind::Lowercase => text.to_lowercase(),
            Kind::Rewrite { phrases, forms, space } => phrases.replace(text, *space, |phrase| {
                let form = forms.get(phrase).or_else(|| forms.get(&phrase.to_lowercase()));
                form.map(|form| match_case(phrase, form))
            }),
            Kind::Misspellings { phrases, forms, probability } => {
                phrases.replace(text, false, |word| {
                    if random.random() >= *probability {
                        return None;
                    }
                    Some(match_case(word, random.choice(forms.get(word)?)?))
                })
            }
            Kind::Typos { neighbours, probability } => {
                text.chars().map(|letter| typo(letter, neighbours, *probability, random)).collect()
            }
            Kind::Space { most } => {
                let mut changed = String::with_capacity(text.len());
                let mut rest = text;
                while let Some(start) = rest.find(' ') {
                    changed.push_str(&rest[..start]);
                    let spaces = 1 + random.below(*most);
                    changed.extend((0..spaces).map(|_| ' '));
                    rest = rest[start..].trim_start_matches(' ');
                }
                changed + rest
            }
            Kind::ExtraSpace { spaces } => text.replace(' ', &" ".repeat(*spaces)),
            Kind::FillerWords { fillers, probability } => {
                let mut words = Vec::new();
                for word in text.split(' ') {
                    if random.random() <= *probability {
                        words.extend(random.choice(fillers).map(String::as_str));
                    }
                    words.push(word);
                }
                words.join(" ")
            }
            Kind::Mix(kinds) => kinds
                .iter()
                .fold(text.to_owned(), |text, kind| kind.apply(&text, random, substitutes)),
            Kind::Gender { pairs, probability } => {
                let mut text = text.to_owned();
                for (phrases, other) in pairs {
                    text = phrases.replace_between(
                        &text,
                        |_| false,
                        |word| (random.random() < *probability).then(|| match_case(word, other)),
                    );
                }
                text
            }
            Kind::PersonName { names, from, to, probability } => {
                words_and_rest(text)
                    .map(|part| {
                        let lower = part.to_lowercase();
                        if !substitutes.contains_key(&lower) && names.is(&lower, from) {
                            let drawn = random.random() < *probability;
                            // A name without a counterpart is drawn for again.
                            match drawn.then(|| names.other(&lower, to, random)) {
                                Some(None) => {}
                                Some(other) => drop(substitutes.insert(lower.clone(), other)),
                                None => drop(substitutes.insert(lower.clone(), None)),
                            }
                        }
                        match substitutes.get(&lower) {
                            Some(Some(other)) => match_case(part, other),
                            _ => part.to_owned(),
                        }
                    })
                    .collect()
            }
            Kind::Dialect { phrases, forms, probability } => phrases.replace_between(
                text,
                |c| c == '-',
                |word| {
                    if random.random() >= *probability {
                        return None;
                    }
                    Some(match_case(word, random.choice(forms.get(&word.to_lowercase())?)?))
                },
            ),
        }
    }
}

impl Names {
    fn is(&self, name: &str, race: &str) -> bool {
        self.0.iter().any(|known| known.name == name && known.race == race)
    }

    /// A name of another race and the same gender.
    fn other(&self, name: &str, race: &str, random: &mut Random) -> Option<String> {
        let of = |gender: &&str| {
            self.0.iter().any(|known| known.name == name && known.gender == **gender)
        };
        let gender = ["female", "male", "neutral"].iter().find(|gender| of(gender)).copied();
        // By names, not by entries: a name may have several.
        let fits = |other: &str| {
            gender.is_none_or(|gender| {
                self.0.iter().any(|known| known.name == other && known.gender == gender)
            })
        };
        let others: Vec<&str> = self
            .0
            .iter()
            .filter(|known| known.race == race && fits(&known.name))
            .map(|known| known.name.as_str())
            .collect();
        random.choice(&others).map(|name| (*name).to_owned())
    }
}

fn typo(
    letter: char,
    neighbours: &BTreeMap<char, Vec<char>>,
    probability: f64,
    random: &mut Random,
) -> String {
    let original = letter.to_string();
    let lower = original.to_lowercase();
    let mut characters = lower.chars();
    let known = characters.next().filter(|_| characters.next().is_none());
    let near = known.and_then(|letter| neighbours.get(&letter));
    let drawn = near.filter(|_| random.random() < probability);
    let new = match drawn.and_then(|near| random.choice(near)) {
        Some(new) => new.to_string(),
        None => lower.clone(),
    };
    if lower == original { new } else { new.to_uppercase() }
}

/// Phrases to look for: at a place, the first in their order that stands there.
#[derive(Clone, Debug)]
struct Phrases {
    by_first: BTreeMap<char, Vec<Vec<char>>>,
    /// Whether case is ignored.
    folds: bool,
}

impl Phrases {
    fn new<'a>(phrases: impl IntoIterator<Item = &'a str>, folds: bool) -> Self {
        let mut by_first: BTreeMap<char, Vec<Vec<char>>> = BTreeMap::new();
        for phrase in phrases {
            let letters = phrase.chars().map(|letter| if folds { fold(letter) } else { letter });
            let letters: Vec<char> = letters.collect();
            if let Some(first) = letters.first() {
                by_first.entry(*first).or_default().push(letters);
            }
        }
        Self { by_first, folds }
    }

    /// The end of the first phrase that begins at a place and ends where it may.
    fn at(&self, text: &[char], start: usize, may_end: impl Fn(usize) -> bool) -> Option<usize> {
        let same = |place: usize| {
            text.get(place).map(|letter| if self.folds { fold(*letter) } else { *letter })
        };
        let candidates = self.by_first.get(&same(start)?)?;
        let ends = candidates.iter().filter(|phrase| {
            phrase.iter().zip(start..).all(|(letter, place)| same(place) == Some(*letter))
        });
        ends.map(|phrase| start + phrase.len()).find(|end| may_end(*end))
    }

    /// Replaces phrases that begin and end at edges of words; with `space`, only before a space.
    fn replace(
        &self,
        text: &str,
        space: bool,
        mut form: impl FnMut(&str) -> Option<String>,
    ) -> String {
        let letters: Vec<char> = text.chars().collect();
        let edge = |place: usize| {
            let is = |place: Option<usize>| {
                place.and_then(|place| letters.get(place)).is_some_and(|letter| in_word(*letter))
            };
            is(place.checked_sub(1)) != is(Some(place))
        };
        let may_end = |end: usize| edge(end) && (!space || letters.get(end) == Some(&' '));
        let mut changed = String::with_capacity(text.len());
        let mut place = 0;
        while let Some(letter) = letters.get(place) {
            let found = if edge(place) { self.at(&letters, place, may_end) } else { None };
            let Some(end) = found else {
                changed.push(*letter);
                place += 1;
                continue;
            };
            let phrase: String = letters[place..end].iter().collect();
            changed.push_str(&form(&phrase).unwrap_or(phrase));
            place = end;
            // The space belongs to what was found: nothing can begin in it.
            if space {
                changed.push(' ');
                place += 1;
            }
        }
        changed
    }

    /// Replaces phrases between two characters that are in no word. Those belong to what was found, so
    /// that a phrase at either end of a text, and the second of two that share one, stay (HELM #1958).
    fn replace_between(
        &self,
        text: &str,
        joins: fn(char) -> bool,
        mut form: impl FnMut(&str) -> Option<String>,
    ) -> String {
        let letters: Vec<char> = text.chars().collect();
        let apart = |place: usize| {
            letters.get(place).is_some_and(|letter| !in_word(*letter) && !joins(*letter))
        };
        let mut changed = String::with_capacity(text.len());
        let mut place = 0;
        while let Some(letter) = letters.get(place) {
            changed.push(*letter);
            let found = if apart(place) { self.at(&letters, place + 1, apart) } else { None };
            place += 1;
            let Some(end) = found else { continue };
            let phrase: String = letters[place..end].iter().collect();
            changed.push_str(&form(&phrase).unwrap_or(phrase));
            changed.extend(letters.get(end));
            place = end + 1;
        }
        changed
    }
}

/// Whether a character belongs to a word, as Python's `\w`.
pub(super) fn in_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// A letter without its case, as Python's expressions compare them.
fn fold(letter: char) -> char {
    match letter {
        '\u{17f}' => 's',
        '\u{131}' | '\u{130}' => 'i',
        _ => {
            let mut lower = letter.to_lowercase();
            match (lower.next(), lower.next()) {
                (Some(lower), None) => lower,
                _ => letter,
            }
        }
    }
}

/// Words, and every character between them by itself.
fn words_and_rest(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = if in_word(first) {
            rest.find(|letter| !in_word(letter)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (part, after) = rest.split_at(end);
        rest = after;
        Some(part)
    })
}

/// A word in the case of another: all lower, all upper, or with a capital; else as it is. A phrase with
/// a space or an apostrophe is neither all lower nor all upper, as in HELM.
fn match_case(like: &str, word: &str) -> String {
    let mut letters = like.chars();
    if letters.clone().all(char::is_lowercase) {
        return word.to_lowercase();
    }
    if letters.clone().all(char::is_uppercase) {
        return word.to_uppercase();
    }
    if letters.next().is_some_and(char::is_uppercase) {
        let mut rest = word.chars();
        let first: String = rest.next().into_iter().flat_map(char::to_uppercase).collect();
        return first + &rest.as_str().to_lowercase();
    }
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use sha2::{Digest, Sha256};

    use super::super::words::{Names, Ordered, Words, given};
    use super::{Gender, Perturbation};

    /// crfm-helm 0.5.16, by `tests/fixtures/lm-evaluation/generate.py`.
    const FIXTURE: &str = include_str!("../../../tests/fixtures/lm-evaluation/perturbations.json");

    fn perturbations(words: &Words, dialect: &Value) -> Vec<(Perturbation, Option<u32>)> {
        use Gender::{Female, Male, Neutral};
        let dialect: Ordered<Vec<String>> = serde_json::from_value(dialect.clone()).unwrap();
        let names = |probability| {
            let races = ("white_american", "black_american");
            Perturbation::person_name(Names::applicants(), probability, races.0, races.1)
        };
        vec![
            (Perturbation::lowercase(), None),
            (Perturbation::contraction(words), None),
            (Perturbation::expansion(words), None),
            (Perturbation::misspellings(words, 1.0), None),
            (Perturbation::misspellings(words, 0.1), None),
            (Perturbation::typos(words, 0.01), None),
            (Perturbation::typos(words, 0.1), None),
            (Perturbation::typos(words, 0.1), Some(1)),
            (Perturbation::space(3), None),
            (Perturbation::extra_space(2), None),
            (Perturbation::filler_words(words, 0.1, false), None),
            (Perturbation::filler_words(words, 0.333, true), None),
            (Perturbation::mild_mix(words), None),
            (Perturbation::mild_mix(words), Some(2)),
            (Perturbation::gender_terms(words, 1.0, Male, Female), None),
            (Perturbation::gender_terms(words, 0.5, Female, Neutral), None),
            (Perturbation::gender_pronouns(words, 1.0, Male, Female), None),
            (Perturbation::gender_pronouns(words, 0.3, Female, Male), None),
            (names(1.0), None),
            (names(0.5), None),
            (Perturbation::dialect(&dialect, 1.0), None),
            (Perturbation::dialect(&dialect, 0.5), Some(3)),
        ]
    }

    fn apply(
        (perturbation, seed): &(Perturbation, Option<u32>),
        id: &str,
        texts: &[&str],
    ) -> Vec<String> {
        let perturbed = perturbation.apply(id, *seed, texts[0], &texts[1..]);
        [perturbed.input].into_iter().chain(perturbed.references).collect()
    }

    #[test]
    fn texts_change_as_in_helm() {
        let Some(words) = given() else { return };
        let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
        let perturbations = perturbations(&words, &fixture["dialect"]);
        let names = fixture["names"].as_array().unwrap();
        assert_eq!(names.len(), perturbations.len());
        for (number, case) in fixture["hand"].as_array().unwrap().iter().enumerate() {
            let texts: Vec<&str> =
                case[0].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
            for ((perturbation, name), expected) in
                perturbations.iter().zip(names).zip(case[1].as_array().unwrap())
            {
                let perturbed = apply(perturbation, &format!("id{number}"), &texts);
                assert_eq!(serde_json::to_value(&perturbed).unwrap(), *expected, "{number} {name}");
            }
        }
    }

    /// Sixty questions of GSM8K with two solutions each, and a minimal pair of each paradigm of BLiMP.
    #[test]
    fn published_questions_change_as_in_helm() {
        let folders = crate::data::folders();
        let find = |path: &str| {
            let found = folders.iter().find_map(|folder| std::fs::read(folder.join(path)).ok());
            if found.is_none() {
                eprintln!("skipped: no {path}; `ceteris data` says where to get it");
            }
            found
        };
        let (Some(words), Some(questions), Some(pairs)) = (
            given(),
            find("helm/gsm8k_openai/example_model_solutions.jsonl"),
            find("helm/blimp/BLiMP.zip"),
        ) else {
            return;
        };
        let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
        let perturbations = perturbations(&words, &fixture["dialect"]);
        let names = fixture["names"].as_array().unwrap();
        let line = |file: &[u8], number: usize| -> Value {
            serde_json::from_slice(file.split(|byte| *byte == b'\n').nth(number).unwrap()).unwrap()
        };
        let mut compared = 0;
        let mut compare = |case: &Value, id: &str, texts: &[&Value]| {
            let texts: Vec<&str> = texts.iter().map(|text| text.as_str().unwrap()).collect();
            for ((perturbation, name), expected) in
                perturbations.iter().zip(names).zip(case[2].as_array().unwrap())
            {
                let joined = apply(perturbation, id, &texts).join("\u{1f}");
                let hash = Sha256::digest(joined.as_bytes());
                let digits: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(expected.as_str(), Some(digits.as_str()), "{id} {name}: {joined}");
                compared += 1;
            }
        };
        for case in fixture["gsm8k"].as_array().unwrap() {
            let value = line(&questions, usize::try_from(case[0].as_u64().unwrap()).unwrap());
            let solution = &value["6b_finetuning"]["solution"];
            let texts = [&value["question"], &value["ground_truth"], solution];
            compare(case, case[1].as_str().unwrap(), &texts);
        }
        for case in fixture["blimp"].as_array().unwrap() {
            let (number, name) = (case[0].as_u64().unwrap(), case[1].as_str().unwrap());
            let file = super::super::unzip::file(&pairs, &format!("data/{name}.jsonl")).unwrap();
            let value = line(&file, 7 * usize::try_from(number).unwrap());
            compare(case, name, &[&value["sentence_good"], &value["sentence_bad"]]);
        }
        assert_eq!(compared, 22 * (60 + 67));
    }
}
