//! Words of a text as NLTK's `word_tokenize` finds them (nltk 3.10: the Penn Treebank's conventions,
//! MacIntyre 1995), which HELM's bias metrics and BLEU count.
//!
//! NLTK first finds sentences with a model trained on newspapers (Punkt, Kiss and Strunk 2006). Here a
//! sentence ends at every full stop, question or exclamation mark before white space. Only a full stop
//! inside a text depends on it: "Mr. Low" is two words there and "Mr", ".", "Low" here.

use std::sync::LazyLock;

use regex::Regex;

use super::perturbations::in_word;

/// The words.
pub(super) fn words(text: &str) -> Vec<String> {
    sentences(text).into_iter().flat_map(sentence_words).collect()
}

/// Sentences, without white space around them.
fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    // Closing quotes and brackets belong to the sentence that they follow.
    while let Some(end) = ENDS.find(rest) {
        found.push(rest[..end.end()].trim());
        rest = &rest[end.end()..];
    }
    found.push(rest.trim());
    found.retain(|sentence| !sentence.is_empty());
    found
}

static ENDS: LazyLock<Regex> = LazyLock::new(|| expression(r#"[.?!]["')\]}]*\s+"#));

// A valid literal; an expression that matches nothing would show in every test.
pub(super) fn expression(text: &str) -> Regex {
    Regex::new(text).unwrap_or_else(|error| unreachable!("{error}"))
}

/// Expressions and what they become, in the order in which they are applied.
type Rules = Vec<(Regex, &'static str)>;

fn rules(rules: &[(&str, &'static str)]) -> Rules {
    rules.iter().map(|(pattern, becomes)| (expression(pattern), *becomes)).collect()
}

static STARTING_QUOTES: LazyLock<Rules> = LazyLock::new(|| {
    rules(&[
        ("([«“‘„]|`+)", " $1 "),
        ("^\"", "``"),
        ("(``)", " $1 "),
        (r#"([ (\[{<])("|'{2})"#, "$1 `` "),
    ])
});

static PUNCTUATION: LazyLock<Rules> = LazyLock::new(|| {
    rules(&[
        (r#"([^.])(\.)([\])}>"'»”’ ]*)\s*$"#, "$1 $2 $3 "),
        (r"([:,])([^\d])", " $1 $2"),
        (r"([:,])$", " $1 "),
        (r"\.{2,}", " $0 "),
        (r"[;@#$%&]", " $0 "),
        (r"[\u{2012}-\u{2015}]", " $0 "),
        (r#"([^.])(\.)([\])}>"']*)\s*$"#, "$1 $2$3 "),
        (r"[?!]", " $0 "),
        (r"([^'])' ", "$1 ' "),
        (r"\*", " $0 "),
        (r"[\]\[(){}<>]", " $0 "),
        (r"--", " -- "),
    ])
});

static ENDING_QUOTES: LazyLock<Rules> = LazyLock::new(|| {
    rules(&[
        ("([»”’])", " $1 "),
        ("''", " '' "),
        ("\"", " '' "),
        (r"\s+", " "),
        ("([^' ])('[sS]|'[mM]|'[dD]|') ", "$1 $2 "),
        ("([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", "$1 $2 "),
        (r"(?i)\b(can)(not)\b", " $1 $2 "),
        (r"(?i)\b(d)('ye)\b", " $1 $2 "),
        (r"(?i)\b(gim)(me)\b", " $1 $2 "),
        (r"(?i)\b(gon)(na)\b", " $1 $2 "),
        (r"(?i)\b(got)(ta)\b", " $1 $2 "),
        (r"(?i)\b(lem)(me)\b", " $1 $2 "),
        (r"(?i)\b(more)('n)\b", " $1 $2 "),
        (r"(?i)\b(wan)(na)(\s)", " $1 $2 $3"),
        (r"(?i) ('t)(is)\b", " $1 $2 "),
        (r"(?i) ('t)(was)\b", " $1 $2 "),
    ])
});

fn applied(text: String, rules: &Rules) -> String {
    let once = |text: String, (pattern, becomes): &(Regex, &'static str)| {
        pattern.replace_all(&text, *becomes).into_owned()
    };
    rules.iter().fold(text, once)
}

fn sentence_words(sentence: &str) -> Vec<String> {
    let text = opening_apostrophes(&applied(sentence.to_owned(), &STARTING_QUOTES));
    let text = applied(text, &PUNCTUATION);
    let text = applied(format!(" {text} "), &ENDING_QUOTES);
    text.split_whitespace().map(str::to_owned).collect()
}

/// Sets an apostrophe at the beginning of a word apart, unless the word is the rest of a contraction.
fn opening_apostrophes(text: &str) -> String {
    let mut changed = String::with_capacity(text.len());
    let mut before = None;
    for (place, letter) in text.char_indices() {
        changed.push(letter);
        let rest = &text[place + letter.len_utf8()..];
        let word = &rest[..rest.find(|letter| !in_word(letter)).unwrap_or(rest.len())];
        let opens = letter == '\'' && !before.is_some_and(in_word) && !word.is_empty();
        let rests = ["re", "ve", "ll", "m", "t", "s", "d", "n"];
        if opens && !rests.contains(&word.to_lowercase().as_str()) {
            changed.push(' ');
        }
        before = Some(letter);
    }
    changed
}
