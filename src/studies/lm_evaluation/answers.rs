//! From a completion to a score: extraction, normalisation, comparison.

use std::collections::BTreeMap;

use super::config::{AnswerExtraction, AnswerNormalization, AnswerScore};
use super::overlap;

/// The part of a completion that is its answer; `None` where there is none.
pub(super) fn extract(completion: &str, how: AnswerExtraction) -> Option<&str> {
    let found = match how {
        AnswerExtraction::Whole => Some(completion),
        AnswerExtraction::Letter => letter(completion),
        AnswerExtraction::FirstLine => {
            completion.lines().map(str::trim).find(|line| !line.is_empty())
        }
        AnswerExtraction::Marker => {
            let after = ["####", "A:"]
                .into_iter()
                .filter_map(|marker| completion.rfind(marker).map(|place| place + marker.len()));
            after.max().map(|place| &completion[place..])
        }
        AnswerExtraction::FirstNumber => numbers(completion, false).first().copied(),
        AnswerExtraction::LastNumber => numbers(completion, false).last().copied(),
        AnswerExtraction::LastNumberHelm => numbers(completion, true).last().copied(),
    };
    found.map(str::trim).filter(|answer| !answer.is_empty())
}

/// The first capital letter that is a word by itself; the article at the beginning of a sentence is
/// none.
fn letter(text: &str) -> Option<&str> {
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let after = &text[at + c.len_utf8()..];
        let alone = !before.is_alphanumeric() && !after.starts_with(char::is_alphanumeric);
        let article =
            c == 'A' && after.starts_with(' ') && after[1..].starts_with(char::is_lowercase);
        let apostrophe = before == '\'' || after.starts_with('\'');
        if c.is_ascii_uppercase() && alone && !article && !apostrophe {
            return Some(&text[at..=at]);
        }
        before = c;
    }
    None
}

/// The numbers of a text: an optional minus, digits and commas, an optional point with digits.
///
/// With `loose`, HELM's expression `-?[\d,]+(?:.\d+)?`: any character stands for the point, and a
/// comma alone is a number.
fn numbers(text: &str, loose: bool) -> Vec<&str> {
    let bytes = text.as_bytes();
    let is = |at: usize, test: fn(u8) -> bool| bytes.get(at).copied().is_some_and(test);
    let in_number = |byte: u8| byte.is_ascii_digit() || byte == b',';
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let mut end = if is(at, |byte| byte == b'-') { at + 1 } else { at };
        let first = end;
        while is(end, in_number) {
            end += 1;
        }
        // Strict numbers begin with a digit and do not end with a comma.
        let fits = if loose { end > first } else { is(first, |byte| byte.is_ascii_digit()) };
        if !fits {
            at = start + 1;
            continue;
        }
        if !loose {
            while bytes[end - 1] == b',' {
                end -= 1;
            }
        }
        let point = if loose {
            // A character, not a byte; the expression's dot does not match a line's end.
            text[end..].chars().next().filter(|point| *point != '\n').map(char::len_utf8)
        } else {
            is(end, |byte| byte == b'.').then_some(1)
        };
        if let Some(length) = point {
            let mut after = end + length;
            while is(after, |byte| byte.is_ascii_digit()) {
                after += 1;
            }
            if after > end + length {
                end = after;
            }
        }
        found.push(&text[start..end]);
        at = end;
    }
    found
}

/// An answer in the form in which it is compared.
pub(super) fn normalize(answer: &str, how: AnswerNormalization) -> String {
    match how {
        AnswerNormalization::Strip => answer.trim().to_owned(),
        AnswerNormalization::Quasi => quasi(answer, true),
        AnswerNormalization::QuasiArticles => quasi(answer, false),
        AnswerNormalization::Number => {
            let kept: String = answer.chars().filter(|c| !matches!(c, ',' | '$' | '%')).collect();
            let kept = kept.trim().trim_end_matches('.');
            match kept.parse::<f64>() {
                // Adding zero makes a negative zero positive.
                Ok(number) if number.is_finite() => format!("{}", number + 0.0),
                _ => kept.to_owned(),
            }
        }
    }
}

/// HELM's `normalize_text`: lower case, no ASCII punctuation, articles as spaces, single spaces.
fn quasi(text: &str, without_articles: bool) -> String {
    let lower = text.to_lowercase();
    let bare: String = lower.chars().filter(|c| !c.is_ascii_punctuation()).collect();
    let mut kept = String::with_capacity(bare.len());
    let mut rest = bare.as_str();
    while let Some(first) = rest.chars().next() {
        let in_word = |c: char| c.is_alphanumeric() || c == '_';
        let end = rest.find(|c| in_word(c) != in_word(first)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        let article = without_articles && matches!(run, "a" | "an" | "the");
        kept.push_str(if article { " " } else { run });
        rest = after;
    }
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How well a normalised answer agrees with a normalised reference, in [0, 1].
pub(super) fn agreement(reference: &str, answer: &str, how: AnswerScore) -> f64 {
    let yes = |is: bool| if is { 1.0 } else { 0.0 };
    match how {
        AnswerScore::Match => yes(reference == answer),
        AnswerScore::PrefixMatch => yes(answer.starts_with(reference)),
        AnswerScore::F1 => f1(reference, answer, false),
        AnswerScore::F1Set => f1(reference, answer, true),
        AnswerScore::Rouge1 => overlap::rouge_n(reference, answer, 1),
        AnswerScore::Rouge2 => overlap::rouge_n(reference, answer, 2),
        AnswerScore::RougeL => overlap::rouge_l(reference, answer),
        AnswerScore::Bleu1 => overlap::bleu_1(reference, answer),
        AnswerScore::Bleu4 => overlap::bleu_4(reference, answer),
        AnswerScore::Bleu4Grams => overlap::bleu_4_grams(reference, answer),
    }
}

fn f1(reference: &str, answer: &str, as_sets: bool) -> f64 {
    let words = |text: &str| -> BTreeMap<String, u32> {
        let mut words = BTreeMap::new();
        for word in text.split_whitespace() {
            let times = words.entry(word.to_owned()).or_insert(0);
            *times = if as_sets { 1 } else { *times + 1 };
        }
        words
    };
    let (reference, answer) = (words(reference), words(answer));
    let total = |words: &BTreeMap<String, u32>| f64::from(words.values().sum::<u32>());
    let shared = |(word, times): (&String, &u32)| answer.get(word).map(|other| *other.min(times));
    let common = f64::from(reference.iter().filter_map(shared).sum::<u32>());
    if common == 0.0 {
        return 0.0;
    }
    let (precision, recall) = (common / total(&answer), common / total(&reference));
    2.0 * precision * recall / (precision + recall)
}

/// The best agreement of an answer with any of the references; 0 without an answer.
pub(super) fn score<'a>(
    references: impl IntoIterator<Item = &'a str>,
    answer: Option<&str>,
    normalization: AnswerNormalization,
    how: AnswerScore,
) -> f64 {
    let Some(answer) = answer.filter(|answer| !answer.is_empty()) else { return 0.0 };
    let answer = normalize(answer, normalization);
    references
        .into_iter()
        .map(|reference| agreement(&normalize(reference, normalization), &answer, how))
        .fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::{AnswerExtraction, AnswerNormalization, AnswerScore, extract, normalize, score};

    #[test]
    fn answers_are_found() {
        use AnswerExtraction::{FirstNumber, LastNumber, LastNumberHelm, Marker, Whole};
        let solution = "She sells 16 - 7 = <<16-7=9>>9 eggs.\nA: 1,018";
        assert_eq!(extract(solution, Marker), Some("1,018"));
        assert_eq!(extract(solution, FirstNumber), Some("16"));
        assert_eq!(extract(solution, LastNumber), Some("1,018"));
        assert_eq!(extract(" B\n", Whole), Some("B"));
        assert_eq!(extract("no end in sight 5 * 1", Marker), None);
        assert_eq!(extract("words", LastNumber), None);
        assert_eq!(extract("  ", Whole), None);
        assert_eq!(extract("-3.50, or so", LastNumber), Some("-3.50"));
        assert_eq!(extract("5, 6,", LastNumber), Some("6"));
        // Python: re.findall(r"-?[\d,]+(?:.\d+)?", text)[-1]
        assert_eq!(extract("12 34", LastNumberHelm), Some("12 34"));
        assert_eq!(extract("12 34", LastNumber), Some("34"));
        assert_eq!(extract("it is 7, I think", LastNumberHelm), Some("7,"));
        assert_eq!(extract("yes, 5", LastNumberHelm), Some(", 5"));
        assert_eq!(extract("1\n2", LastNumberHelm), Some("2"));
        assert_eq!(extract("3\u{d7}4", LastNumberHelm), Some("3\u{d7}4"));
    }

    #[test]
    fn forms_are_those_of_helm() {
        use AnswerNormalization::{Number, Quasi, QuasiArticles};
        assert_eq!(normalize(" The  School's mascot, a bee! ", Quasi), "schools mascot bee");
        assert_eq!(normalize("The bee", QuasiArticles), "the bee");
        // "theatre" holds no article.
        assert_eq!(normalize("An theatre", Quasi), "theatre");
        assert_eq!(normalize("2.5", Quasi), normalize("25", Quasi));
        assert_ne!(normalize("2.5", Number), normalize("25", Number));
        assert_eq!(normalize("$1,200.00", Number), "1200");
        assert_eq!(normalize("-0", Number), "0");
        assert_eq!(normalize("twelve.", Number), "twelve");
    }

    #[test]
    fn scores_take_the_best_reference() {
        use AnswerScore::{F1, F1Set, Match, PrefixMatch};
        let of = |references: &[&str], answer, how| {
            score(references.iter().copied(), Some(answer), AnswerNormalization::Strip, how)
        };
        assert_eq!(of(&["yes", "no"], "no", Match), 1.0);
        assert_eq!(of(&["no"], "no way", Match), 0.0);
        assert_eq!(of(&["no"], "no way", PrefixMatch), 1.0);
        // Two of three words and two of two; as sets one of two and one of one.
        assert!((of(&["ha ha"], "ha ha no", F1) - 0.8).abs() < 1e-15);
        assert!((of(&["ha ha"], "ha ha no", F1Set) - 2.0 / 3.0).abs() < 1e-15);
        assert_eq!(of(&["x"], "y", F1), 0.0);
        assert_eq!(score(["x"], None, AnswerNormalization::Strip, Match), 0.0);
    }
}
