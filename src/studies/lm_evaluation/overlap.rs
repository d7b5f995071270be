//! Scores of texts by the words that they share: ROUGE (Lin 2004) and BLEU (Papineni et al. 2002).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::tokens;

/// F measure of ROUGE-n with stems, as Google's `rouge-score` computes it.
pub(super) fn rouge_n(reference: &str, answer: &str, n: usize) -> f64 {
    let (reference, answer) = (stems(reference), stems(answer));
    let (reference, answer) = (counts(&reference, n), counts(&answer, n));
    f_measure(shared(&reference, &answer), total(&answer), total(&reference))
}

/// F measure of ROUGE-L (longest common subsequence of all words) with stems, as `rouge-score`.
pub(super) fn rouge_l(reference: &str, answer: &str) -> f64 {
    let (reference, answer) = (stems(reference), stems(answer));
    // Row by row: lengths of the longest common subsequences so far.
    let mut longest = vec![0_u32; answer.len() + 1];
    for word in &reference {
        let mut diagonal = 0;
        for (at, other) in answer.iter().enumerate() {
            let above = longest[at + 1];
            longest[at + 1] = if word == other { diagonal + 1 } else { above.max(longest[at]) };
            diagonal = above;
        }
    }
    let common = longest.last().copied().unwrap_or(0);
    f_measure(common, length(&answer), length(&reference))
}

/// BLEU of one text against one reference with uni- to 4-grams, as sacrebleu's `sentence_bleu`: words
/// of mteval-v13a, NIST's smoothing (an n-gram order without a match counts as half a match, the next
/// as a quarter, …), orders that the text is too short for left out. In [0, 1].
pub(super) fn bleu_4(reference: &str, answer: &str) -> f64 {
    let (reference, answer) = (mteval_words(reference), mteval_words(answer));
    let precisions: Vec<(u32, u32)> = (1..=4).map(|n| precision(&reference, &answer, n)).collect();
    if precisions.iter().all(|(matches, _)| *matches == 0) {
        return 0.0;
    }
    let (mut sum, mut orders, mut halved) = (0.0, 0.0, 1.0);
    for (matches, all) in precisions.into_iter().take_while(|(_, all)| *all > 0) {
        let matches = if matches == 0 {
            halved *= 2.0;
            1.0 / halved
        } else {
            f64::from(matches)
        };
        sum += (matches / f64::from(all)).ln();
        orders += 1.0;
    }
    brevity(&reference, &answer) * (sum / orders).exp()
}

/// BLEU of single words, as NLTK's `sentence_bleu` with the weights (1, 0, 0, 0) in HELM.
pub(super) fn bleu_1(reference: &str, answer: &str) -> f64 {
    precision_only(reference, answer, 1)
}

/// HELM's `bleu_4`, which is not BLEU-4: NLTK's `sentence_bleu` with the weights (0, 0, 0, 1), so that
/// the precision of 4-grams alone counts, without smoothing.
pub(super) fn bleu_4_grams(reference: &str, answer: &str) -> f64 {
    precision_only(reference, answer, 4)
}

fn precision_only(reference: &str, answer: &str, n: usize) -> f64 {
    let (reference, answer) = (tokens::words(reference), tokens::words(answer));
    if precision(&reference, &answer, 1).0 == 0 {
        return 0.0;
    }
    let (matches, all) = precision(&reference, &answer, n);
    // NLTK puts the smallest normal number in the place of zero.
    brevity(&reference, &answer) * f64::from(matches) / f64::from(all.max(1))
}

/// Matches of n-grams, each at most as often as the reference has it, and n-grams.
fn precision(reference: &[String], answer: &[String], n: usize) -> (u32, u32) {
    let (reference, answer) = (counts(reference, n), counts(answer, n));
    (shared(&reference, &answer), total(&answer))
}

/// The penalty of an answer that is shorter than the reference.
fn brevity(reference: &[String], answer: &[String]) -> f64 {
    let (reference, answer) = (f64::from(length(reference)), f64::from(length(answer)));
    if answer >= reference {
        1.0
    } else if answer == 0.0 {
        0.0
    } else {
        (1.0 - reference / answer).exp()
    }
}

fn counts(words: &[String], n: usize) -> BTreeMap<&[String], u32> {
    let mut counts = BTreeMap::new();
    for words in words.windows(n) {
        *counts.entry(words).or_insert(0) += 1;
    }
    counts
}

fn shared(reference: &BTreeMap<&[String], u32>, answer: &BTreeMap<&[String], u32>) -> u32 {
    let both = reference.iter().filter_map(|(words, times)| Some(*answer.get(words)?.min(times)));
    both.sum()
}

fn total(counts: &BTreeMap<&[String], u32>) -> u32 {
    counts.values().sum()
}

fn length(words: &[String]) -> u32 {
    u32::try_from(words.len()).unwrap_or(u32::MAX)
}

fn f_measure(common: u32, answer: u32, reference: u32) -> f64 {
    if common == 0 {
        return 0.0;
    }
    let precision = f64::from(common) / f64::from(answer);
    let recall = f64::from(common) / f64::from(reference);
    2.0 * precision * recall / (precision + recall)
}

/// Words of mteval-v13a, which papers on translation count.
fn mteval_words(text: &str) -> Vec<String> {
    static RULES: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
        [
            (tokens::expression(r"([{-~\[-` -&(-+:-@/])"), " $1 "),
            (tokens::expression(r"([^0-9])([.,])"), "$1 $2 "),
            (tokens::expression(r"([.,])([^0-9])"), " $1 $2"),
            (tokens::expression(r"([0-9])(-)"), "$1 $2 "),
        ]
    });
    let text = text.trim_end().replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    let text = text.replace("&quot;", "\"").replace("&amp;", "&");
    let text = format!(" {} ", text.replace("&lt;", "<").replace("&gt;", ">"));
    let once = |text: String, (pattern, becomes): &(Regex, &str)| {
        pattern.replace_all(&text, *becomes).into_owned()
    };
    RULES.iter().fold(text, once).split_whitespace().map(str::to_owned).collect()
}

/// Words of ASCII letters and digits in lower case, those of four and more as stems.
fn stems(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| if word.len() > 3 { stem(word) } else { word.to_owned() })
        .collect()
}

/// The stem of a word of ASCII letters in lower case (Porter 1980), with NLTK's amendments, which
/// `rouge-score` uses.
fn stem(word: &str) -> String {
    let known = match word {
        "sky" | "skies" => "sky",
        "dying" => "die",
        "lying" => "lie",
        "tying" => "tie",
        "innings" | "inning" => "inning",
        "outings" | "outing" => "outing",
        "cannings" | "canning" => "canning",
        "news" | "howe" | "proceed" | "exceed" | "succeed" => word,
        _ => "",
    };
    if !known.is_empty() || word.len() <= 2 {
        return if known.is_empty() { word.to_owned() } else { known.to_owned() };
    }
    let word = plural(word);
    let word = past(&word);
    let word = last_y(&word);
    let word = double_suffix(&word);
    let word = first_rule(&word, SINGLE, |stem, _| measure(stem) > 0);
    let word = first_rule(&word, REST, |stem, suffix| {
        measure(stem) > 1 && (suffix != "ion" || stem.ends_with(['s', 't']))
    });
    let word = match word.strip_suffix('e') {
        Some(stem) if measure(stem) > 1 || (measure(stem) == 1 && !is_short(stem)) => stem,
        _ => &word,
    };
    match word.strip_suffix("ll") {
        Some(stem) if measure(&word[..=stem.len()]) > 1 => format!("{stem}l"),
        _ => word.to_owned(),
    }
}

/// Suffixes and what they become: the first that a word ends with is the one that counts.
type Suffixes = &'static [(&'static str, &'static str)];

const DOUBLE: Suffixes = &[
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("fulli", "ful"),
    ("logi", "log"),
];
const SINGLE: Suffixes = &[
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ful", ""),
    ("ness", ""),
];
const REST: Suffixes = &[
    ("al", ""),
    ("ance", ""),
    ("ence", ""),
    ("er", ""),
    ("ic", ""),
    ("able", ""),
    ("ible", ""),
    ("ant", ""),
    ("ement", ""),
    ("ment", ""),
    ("ent", ""),
    ("ion", ""),
    ("ou", ""),
    ("ism", ""),
    ("ate", ""),
    ("iti", ""),
    ("ous", ""),
    ("ive", ""),
    ("ize", ""),
];

fn first_rule(word: &str, rules: Suffixes, applies: impl Fn(&str, &str) -> bool) -> String {
    let found = rules
        .iter()
        .find_map(|(suffix, becomes)| Some((word.strip_suffix(suffix)?, *suffix, *becomes)));
    match found {
        Some((stem, suffix, becomes)) if applies(stem, suffix) => format!("{stem}{becomes}"),
        _ => word.to_owned(),
    }
}

fn plural(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies") {
        return if word.len() == 4 { format!("{stem}ie") } else { format!("{stem}i") };
    }
    if let Some(stem) = word.strip_suffix("sses") {
        return format!("{stem}ss");
    }
    match word.strip_suffix('s') {
        Some(stem) if !stem.ends_with('s') => stem.to_owned(),
        _ => word.to_owned(),
    }
}

fn past(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ied") {
        return if word.len() == 4 { format!("{stem}ie") } else { format!("{stem}i") };
    }
    if let Some(stem) = word.strip_suffix("eed") {
        return if measure(stem) > 0 { format!("{stem}ee") } else { word.to_owned() };
    }
    let stems = ["ed", "ing"].into_iter().filter_map(|suffix| word.strip_suffix(suffix));
    let Some(stem) = stems.into_iter().find(|stem| consonants(stem).contains(&false)) else {
        return word.to_owned();
    };
    if ["at", "bl", "iz"].iter().any(|end| stem.ends_with(end)) {
        return format!("{stem}e");
    }
    let letters = stem.as_bytes();
    if let [.., before, last] = letters
        && before == last
        && consonants(stem).last() == Some(&true)
    {
        return match last {
            b'l' | b's' | b'z' => stem.to_owned(),
            _ => stem[..stem.len() - 1].to_owned(),
        };
    }
    if measure(stem) == 1 && is_short(stem) { format!("{stem}e") } else { stem.to_owned() }
}

fn last_y(word: &str) -> String {
    match word.strip_suffix('y') {
        Some(stem) if stem.len() > 1 && consonants(stem).last() == Some(&true) => {
            format!("{stem}i")
        }
        _ => word.to_owned(),
    }
}

fn double_suffix(word: &str) -> String {
    match word.strip_suffix("alli") {
        Some(stem) if measure(stem) > 0 => double_suffix(&format!("{stem}al")),
        _ => first_rule(word, DOUBLE, |stem, suffix| {
            // The l of "logi" belongs to the stem.
            let whole = if suffix == "logi" { &word[..=stem.len()] } else { stem };
            measure(whole) > 0
        }),
    }
}

/// Which letters are consonants: all but a, e, i, o, u and a y after a consonant.
fn consonants(word: &str) -> Vec<bool> {
    let mut flags: Vec<bool> = Vec::with_capacity(word.len());
    for letter in word.bytes() {
        flags.push(match letter {
            b'a' | b'e' | b'i' | b'o' | b'u' => false,
            b'y' => flags.last().is_none_or(|before| !before),
            _ => true,
        });
    }
    flags
}

/// How often a consonant follows a vowel.
fn measure(word: &str) -> usize {
    consonants(word).windows(2).filter(|pair| **pair == [false, true]).count()
}

/// Whether a word ends with consonant, vowel, consonant, the last not w, x or y, or is a vowel and a
/// consonant.
fn is_short(word: &str) -> bool {
    match consonants(word)[..] {
        [false, true] => true,
        [.., true, false, true] => !word.ends_with(['w', 'x', 'y']),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{bleu_1, bleu_4, bleu_4_grams, rouge_l, rouge_n, stem, tokens};

    /// rouge-score 0.1.2, sacrebleu 2.6.0, and NLTK 3.10.4 through crfm-helm 0.5.16, by
    /// `tests/fixtures/lm-evaluation/generate.py`.
    const FIXTURE: &str = include_str!("../../../tests/fixtures/lm-evaluation/overlap.json");

    fn fixture() -> Value {
        serde_json::from_str(FIXTURE).unwrap()
    }

    fn rows<'a>(fixture: &'a Value, name: &str) -> &'a [Value] {
        fixture[name].as_array().unwrap()
    }

    fn compare(reference: &Value, answer: &Value, expected: &Value) {
        let (reference, answer) = (reference.as_str().unwrap(), answer.as_str().unwrap());
        let scores = [
            ("ROUGE-1", rouge_n(reference, answer, 1)),
            ("ROUGE-2", rouge_n(reference, answer, 2)),
            ("ROUGE-L", rouge_l(reference, answer)),
            ("BLEU-4", bleu_4(reference, answer)),
            ("BLEU-1", bleu_1(reference, answer)),
            ("HELM's bleu_4", bleu_4_grams(reference, answer)),
        ];
        for ((name, score), expected) in scores.iter().zip(expected.as_array().unwrap()) {
            let difference = (score - expected.as_f64().unwrap()).abs();
            assert!(difference < 1e-9, "{name} {score} {expected}: {reference} | {answer}");
        }
    }

    #[test]
    fn words_end_where_stems_of_nltk_do() {
        for pair in rows(&fixture(), "stems") {
            assert_eq!(Some(stem(pair[0].as_str().unwrap()).as_str()), pair[1].as_str(), "{pair}");
        }
    }

    #[test]
    fn texts_are_cut_and_scored_as_published_programs_do() {
        for row in rows(&fixture(), "texts") {
            let words = tokens::words(row[1].as_str().unwrap());
            assert_eq!(serde_json::to_value(words).unwrap(), row[2]);
            compare(&row[0], &row[1], &row[3]);
        }
    }

    /// Solutions and questions of GSM8K, of several sentences each.
    #[test]
    fn published_solutions_are_scored_as_published_programs_do() {
        let path = "helm/gsm8k_openai/example_model_solutions.jsonl";
        let mut folders = crate::data::folders().into_iter();
        let Some(file) = folders.find_map(|folder| std::fs::read(folder.join(path)).ok()) else {
            eprintln!("skipped: no {path}; `ceteris data` says where to get it");
            return;
        };
        let lines: Vec<&[u8]> = file.split(|byte| *byte == b'\n').collect();
        let fixture = fixture();
        for pair in rows(&fixture, "solutions").chunks(2) {
            let line = lines[usize::try_from(pair[0][0].as_u64().unwrap()).unwrap()];
            let line: Value = serde_json::from_slice(line).unwrap();
            compare(&line["ground_truth"], &line["175b_verification"]["solution"], &pair[0][1]);
            compare(&line["question"], &line["6b_finetuning"]["solution"], &pair[1][1]);
        }
    }
}
