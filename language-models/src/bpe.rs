//! Byte-level byte-pair encoding, with the vocabulary and the merges of a GGUF file.
//!
//! A text is split into pieces by the rules that a file names (`tokenizer.ggml.pre`), a piece into
//! bytes, and neighbours are merged, the earliest merge of the list first. Those rules are read that
//! SmolLM's and GPT-2's files name: a scanner by hand, for the pattern of GPT-2 looks ahead, which
//! the `regex` crate does not.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::gguf::{Gguf, GgufError, Value};

/// A token's number.
pub type Token = u32;

/// Tokens that steer and stand for no text, in `tokenizer.ggml.token_type`.
const CONTROL: u64 = 3;

/// Why a file's tokeniser cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BpeError {
    /// The file lacks something, or cannot be read.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A kind that is not known here.
    #[error("{path} has {key} \"{found}\", and only {known} are known")]
    Unknown {
        /// The file.
        path: String,
        /// What names the kind.
        key: &'static str,
        /// The kind.
        found: String,
        /// What is known.
        known: &'static str,
    },
    /// Lists that do not fit each other.
    #[error("{path} is damaged: {what}; download it again")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        what: String,
    },
}

/// How a text is split before bytes are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Split {
    /// Digits one by one, what is between them as GPT-2 does.
    SmolLm,
    /// GPT-2's pattern.
    Gpt2,
}

/// Splits texts into tokens and puts them together again.
#[derive(Debug)]
pub struct Bpe {
    split: Split,
    letters: Letters,
    /// Each token's bytes; none of control tokens.
    bytes: Vec<Vec<u8>>,
    control: Vec<bool>,
    /// Control tokens by name.
    named: HashMap<String, Token>,
    /// Tokens of single bytes. What has none is left out, as elsewhere.
    single: Vec<Option<Token>>,
    /// Neighbours that merge: the place in the list, and what they become.
    merges: HashMap<(Token, Token), (u32, Token)>,
}

impl Bpe {
    /// The tokeniser of a file.
    ///
    /// # Errors
    /// When the file has none, or one of another kind.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self, BpeError> {
        let path = || gguf.path().display().to_string();
        let get = |key: &'static str| {
            gguf.metadata(key).ok_or_else(|| GgufError::Missing {
                path: gguf.path().to_owned(),
                what: format!("metadata {key}"),
                remedy: "convert the model with its tokeniser",
            })
        };
        let text = |key| Ok::<_, GgufError>(get(key)?.as_str().unwrap_or_default());
        let model = text("tokenizer.ggml.model")?;
        if model != "gpt2" {
            return Err(BpeError::Unknown {
                path: path(),
                key: "tokenizer.ggml.model",
                found: model.to_owned(),
                known: "byte-level tokenisers (\"gpt2\")",
            });
        }
        let split = match text("tokenizer.ggml.pre")? {
            "smollm" => Split::SmolLm,
            "gpt-2" => Split::Gpt2,
            other => {
                return Err(BpeError::Unknown {
                    path: path(),
                    key: "tokenizer.ggml.pre",
                    found: other.to_owned(),
                    known: "\"smollm\" and \"gpt-2\"",
                });
            }
        };
        let list = |key| Ok::<_, GgufError>(get(key)?.as_array().unwrap_or_default());
        let texts: Vec<&str> = list("tokenizer.ggml.tokens")?
            .iter()
            .map(|value| value.as_str().unwrap_or_default())
            .collect();
        let merges: Vec<&str> = list("tokenizer.ggml.merges")?
            .iter()
            .map(|value| value.as_str().unwrap_or_default())
            .collect();
        let types = list("tokenizer.ggml.token_type")?;
        Self::new(split, &texts, types, &merges)
            .map_err(|what| BpeError::Damaged { path: path(), what })
    }

    fn new(split: Split, texts: &[&str], types: &[Value], merges: &[&str]) -> Result<Self, String> {
        if types.len() != texts.len() {
            return Err(format!("{} tokens have {} types", texts.len(), types.len()));
        }
        let alphabet = alphabet();
        let byte_of: HashMap<char, u8> =
            alphabet.iter().zip(0..=u8::MAX).map(|(&letter, byte)| (letter, byte)).collect();
        let mut number = HashMap::new();
        let mut named = HashMap::new();
        let mut control = Vec::with_capacity(texts.len());
        let mut bytes = Vec::with_capacity(texts.len());
        for ((token, &text), kind) in (0..).zip(texts).zip(types) {
            let steers = kind.as_u64() == Some(CONTROL);
            control.push(steers);
            if steers {
                named.insert(text.to_owned(), token);
                bytes.push(Vec::new());
                continue;
            }
            number.insert(text, token);
            // Tokens that users added are written as they are.
            let spelt = text.chars().map(|letter| byte_of.get(&letter).copied()).collect();
            bytes.push(Option::<Vec<u8>>::unwrap_or_else(spelt, || text.as_bytes().to_vec()));
        }
        let single = alphabet
            .iter()
            .map(|&letter| number.get(letter.encode_utf8(&mut [0; 4]) as &str).copied())
            .collect();
        let mut table = HashMap::with_capacity(merges.len());
        for (rank, merge) in (0..).zip(merges) {
            let place = || format!("merge {rank}, \"{merge}\", is not of tokens");
            let (left, right) = merge.split_once(' ').ok_or_else(place)?;
            let find = |text: &str| number.get(text).copied().ok_or_else(place);
            let merged = (rank, find(&format!("{left}{right}"))?);
            // The earlier one counts.
            table.entry((find(left)?, find(right)?)).or_insert(merged);
        }
        Ok(Self { split, letters: Letters::new(), bytes, control, named, single, merges: table })
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// A control token by its name, such as `<|im_start|>`.
    pub fn control(&self, name: &str) -> Option<Token> {
        self.named.get(name).copied()
    }

    /// The tokens of a text. Names of control tokens in it are text as any other, so that no question
    /// can end a turn.
    pub fn encode(&self, text: &str) -> Vec<Token> {
        let mut tokens = Vec::new();
        for piece in self.pieces(text) {
            self.merge(piece.as_bytes(), &mut tokens);
        }
        tokens
    }

    /// The bytes that a token stands for; none for control tokens and numbers that are no token's.
    pub fn bytes(&self, token: Token) -> &[u8] {
        self.bytes.get(token as usize).map_or(&[], Vec::as_slice)
    }

    /// Whether a token steers and stands for no text.
    pub fn is_control(&self, token: Token) -> bool {
        self.control.get(token as usize).copied().unwrap_or(false)
    }

    /// The text of tokens; bytes that are no UTF-8 become U+FFFD.
    pub fn decode(&self, tokens: &[Token]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|&token| self.bytes(token)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn pieces<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let mut pieces = Vec::new();
        match self.split {
            Split::Gpt2 => self.gpt2(text, &mut pieces),
            Split::SmolLm => {
                let mut rest = text;
                while let Some((at, digit)) =
                    rest.char_indices().find(|(_, letter)| letter.is_numeric())
                {
                    let end = at + digit.len_utf8();
                    self.gpt2(&rest[..at], &mut pieces);
                    pieces.push(&rest[at..end]);
                    rest = &rest[end..];
                }
                self.gpt2(rest, &mut pieces);
            }
        }
        pieces
    }

    /// Splits as `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
    fn gpt2<'a>(&self, text: &'a str, pieces: &mut Vec<&'a str>) {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let end = self.gpt2_piece(rest, first);
            let (piece, others) = rest.split_at(end);
            pieces.push(piece);
            rest = others;
        }
    }

    /// Where the first piece of a text ends, which begins with `first`.
    fn gpt2_piece(&self, text: &str, first: char) -> usize {
        const SUFFIXES: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
        if let Some(suffix) = SUFFIXES.iter().find(|suffix| text.starts_with(**suffix)) {
            return suffix.len();
        }
        let space = usize::from(first == ' ');
        let word = &text[space..];
        if let Some(kind) = word.chars().next().map(|letter| self.letters.kind(letter))
            && kind != Kind::Space
        {
            let end = word.find(|letter| self.letters.kind(letter) != kind).unwrap_or(word.len());
            return space + end;
        }
        // Spaces; the last one before something else begins the next piece.
        match text.find(|letter: char| !letter.is_whitespace()) {
            None => text.len(),
            Some(end) => {
                let last = text[..end].chars().next_back().map_or(0, char::len_utf8);
                if end > last { end - last } else { end }
            }
        }
    }

    /// Merges the bytes of a piece.
    fn merge(&self, piece: &[u8], tokens: &mut Vec<Token>) {
        // A list whose links are places; merged away places have no token.
        let mut parts: Vec<Option<Token>> =
            piece.iter().filter_map(|&byte| self.single[usize::from(byte)]).map(Some).collect();
        let mut next: Vec<usize> = (1..=parts.len()).collect();
        let mut previous: Vec<Option<usize>> =
            (0..parts.len()).map(|place| place.checked_sub(1)).collect();
        let mut waiting = BinaryHeap::new();
        let candidate = |parts: &[Option<Token>], left: usize, right: usize| {
            let pair = (*parts.get(left)?, *parts.get(right)?);
            let (Some(first), Some(second)) = pair else { return None };
            let &(rank, merged) = self.merges.get(&(first, second))?;
            Some(Reverse((rank, left, right, first, second, merged)))
        };
        for left in 0..parts.len() {
            waiting.extend(candidate(&parts, left, left + 1));
        }
        while let Some(Reverse((_, left, right, first, second, merged))) = waiting.pop() {
            // Another merge may have come before.
            if parts[left] != Some(first) || parts[right] != Some(second) || next[left] != right {
                continue;
            }
            parts[left] = Some(merged);
            parts[right] = None;
            next[left] = next[right];
            if let Some(back) = previous.get_mut(next[left]) {
                *back = Some(left);
            }
            waiting.extend(candidate(&parts, left, next[left]));
            if let Some(before) = previous[left] {
                waiting.extend(candidate(&parts, before, left));
            }
        }
        tokens.extend(parts.into_iter().flatten());
    }
}

/// What the characters of a piece have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Letter,
    Number,
    Space,
    Other,
}

/// Which characters are letters: general category L, which the standard library does not tell from
/// marks that count as alphabetic.
#[derive(Debug)]
struct Letters {
    /// First and last characters, ascending.
    ranges: Vec<(char, char)>,
}

impl Letters {
    fn new() -> Self {
        let ranges = match regex_syntax::parse(r"\p{L}").map(regex_syntax::hir::Hir::into_kind) {
            Ok(regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class))) => {
                class.iter().map(|range| (range.start(), range.end())).collect()
            }
            // The pattern is a constant, and a test looks whether it is understood.
            _ => Vec::new(),
        };
        Self { ranges }
    }

    fn kind(&self, letter: char) -> Kind {
        let is_letter = || {
            let after = self.ranges.partition_point(|&(first, _)| first <= letter);
            after > 0 && self.ranges[after - 1].1 >= letter
        };
        if letter.is_ascii_alphabetic() {
            Kind::Letter
        } else if letter.is_whitespace() {
            Kind::Space
        } else if letter.is_numeric() {
            Kind::Number
        } else if !letter.is_ascii() && is_letter() {
            Kind::Letter
        } else {
            Kind::Other
        }
    }
}

/// The printable characters that stand for bytes in GPT-2's vocabularies: Latin-1's where it has a
/// printable one, the characters from U+0100 on for the others, in order.
fn alphabet() -> [char; 256] {
    let mut alphabet = ['\0'; 256];
    let mut substitute = '\u{100}'..;
    for (byte, letter) in (0..=u8::MAX).zip(&mut alphabet) {
        *letter = match byte {
            0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => Some(char::from(byte)),
            _ => substitute.next(),
        }
        .unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    alphabet
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(split: Split, text: &str) -> Vec<String> {
        let bpe = Bpe::new(split, &[], &[], &[]).unwrap();
        bpe.pieces(text).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn bytes_stand_for_the_characters_of_gpt2() {
        // "Ġ", "Ċ" and "ł" of GPT-2's vocabulary.
        assert_eq!(alphabet()[0x20], '\u{120}');
        assert_eq!(alphabet()[0x0a], '\u{10a}');
        assert_eq!(alphabet()[0xa0], '\u{142}');
        let mut letters = alphabet().to_vec();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), 256);
    }

    #[test]
    fn letters_are_those_of_unicode() {
        let letters = Letters::new();
        for letter in ['a', 'é', 'Ж', '漢', 'א', 'ª', '𝒜'] {
            assert_eq!(letters.kind(letter), Kind::Letter, "{letter}");
        }
        // Marks, which Rust calls alphabetic where they are vowels, and circled letters.
        for other in ['\u{301}', '\u{93f}', 'ⓐ', '!', '€', '😀'] {
            assert_eq!(letters.kind(other), Kind::Other, "{other}");
        }
        for number in ['7', '²', '½', 'Ⅷ', '٣'] {
            assert_eq!(letters.kind(number), Kind::Number, "{number}");
        }
    }

    #[test]
    fn texts_are_split_as_the_pattern_says() {
        let text = "I'll pay  $12,  don't\n\n you?  ";
        assert_eq!(
            pieces(Split::Gpt2, text),
            [
                "I", "'ll", " pay", " ", " $", "12", ",", " ", " don", "'t", "\n\n", " you", "?",
                "  "
            ]
        );
        assert_eq!(
            pieces(Split::SmolLm, text),
            [
                "I", "'ll", " pay", " ", " $", "1", "2", ",", " ", " don", "'t", "\n\n", " you",
                "?", "  "
            ]
        );
        assert_eq!(pieces(Split::SmolLm, "a  1 b"), ["a", "  ", "1", " b"]);
        assert_eq!(pieces(Split::Gpt2, "a  1 b"), ["a", " ", " 1", " b"]);
        assert_eq!(pieces(Split::Gpt2, ""), [""; 0]);
    }
}
