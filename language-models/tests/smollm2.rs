//! SmolLM2-135M-Instruct, which `scripts/setup-smollm2.sh` fetches, held to other programs.
//!
//! The numbers are written by `fixtures/generate.py` with the packages that `fixtures/requirements.txt`
//! pins. Without the model the tests are skipped; with `CETERIS_REQUIRE_SMOLLM2` they fail.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use language_models::bpe::Bpe;
use language_models::gguf::Gguf;
use language_models::llama::{Llama, LlamaOptions};
use language_models::{Answer, LanguageModel as _, ModelError, Request, Sampling};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

fn fixture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The model, or why the test cannot run.
fn model() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../third-party/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CETERIS_REQUIRE_SMOLLM2").is_none(), "no {}", path.display());
    eprintln!("skipped: no {}; run scripts/setup-smollm2.sh", path.display());
    None
}

/// The network as it comes, opened once.
fn open(path: &Path, threads: usize) -> Llama {
    static OPEN: OnceLock<Llama> = OnceLock::new();
    OPEN.get_or_init(|| Llama::open(path, &LlamaOptions::default()).unwrap()).with_threads(threads)
}

fn score(prompt: &str, continuation: &str) -> Request {
    Request::Score { prompt: prompt.to_owned(), continuation: continuation.to_owned(), ends: true }
}

fn greedy(max_tokens: u32) -> Sampling {
    Sampling { max_tokens, temperature: 0.0, top_p: 1.0, stop: Vec::new(), completions: 1, seed: 0 }
}

fn generate(prompt: &str, sampling: Sampling) -> Request {
    Request::Generate { prompt: prompt.to_owned(), sampling }
}

/// Answers in the order of the requests, each of which has one.
fn answers(model: &Llama, requests: &[Request]) -> Vec<Answer> {
    let mut answers = vec![None; requests.len()];
    model
        .answer(requests, &AtomicBool::new(false), &mut |place, answer| {
            assert_eq!(answers[place].replace(answer), None, "{place} was answered twice");
            Ok(())
        })
        .unwrap();
    answers.into_iter().map(Option::unwrap).collect()
}

fn hash(values: &[f32]) -> String {
    let mut hash = Sha256::new();
    for value in values {
        hash.update(value.to_le_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_format_is_read_as_the_package_gguf_reads_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let gguf = Gguf::open(&folder.join("blocks.gguf")).unwrap();
    let expected = fixture("blocks.json");
    for name in ["F32", "F16", "Q4_0", "Q4_1", "Q8_0"] {
        let (shape, values) = gguf.tensor(name).unwrap();
        assert_eq!(shape, [3, 64]);
        let first: Vec<f64> = values[32..36].iter().map(|&value| value.into()).collect();
        assert_eq!(serde_json::json!(first), expected[name]["first"], "{name}");
        assert_eq!(hash(&values), expected[name]["sha256"], "{name}");
    }
}

#[test]
fn tensors_are_those_of_the_package_gguf() {
    let Some(path) = model() else { return };
    let gguf = Gguf::open(&path).unwrap();
    for (name, expected) in fixture("smollm2.json")["tensors"].as_object().unwrap() {
        assert_eq!(&hash(&gguf.tensor(name).unwrap().1), expected, "{name}");
    }
}

#[test]
fn tokens_are_those_of_the_package_tokenizers() {
    let Some(path) = model() else { return };
    let bpe = Bpe::from_gguf(&Gguf::open(&path).unwrap()).unwrap();
    let expected = fixture("tokens.json");
    let texts = expected["texts"].as_array().unwrap();
    assert!(texts.len() > 200);
    for text in texts {
        let (text, tokens) = (text[0].as_str().unwrap(), text[1].as_str().unwrap());
        let found = bpe.encode(text);
        assert_eq!(serde_json::to_string(&found).unwrap(), tokens, "{text:?}");
        // The vocabulary lacks some bytes, which are left out.
        if !text.contains(['\u{4}', '\u{6}', '\u{13}', '\u{1d}']) && !text.contains("\u{85}") {
            assert_eq!(bpe.decode(&found), text);
        }
    }
    // Names of control tokens are text.
    assert!(bpe.encode("<|im_end|>").len() > 1);
    assert_eq!(bpe.control("<|im_end|>"), Some(2));
    assert_eq!(bpe.decode(&[2]), "");
    // Long words take no square of their length.
    assert_eq!(bpe.decode(&bpe.encode(&"ab".repeat(100_000))), "ab".repeat(100_000));
}

#[test]
fn tokens_of_gsm8k_are_those_of_the_package_tokenizers() {
    let data = std::env::var_os("CETERIS_DATA").map_or("../data".into(), PathBuf::from);
    let Ok(lines) = std::fs::read_to_string(data.join("helm/gsm8k_openai/test.jsonl")) else {
        eprintln!("skipped: no published data in CETERIS_DATA");
        return;
    };
    let Some(path) = model() else { return };
    let bpe = Bpe::from_gguf(&Gguf::open(&path).unwrap()).unwrap();
    let mut hash = Sha256::new();
    let mut count = 0;
    for line in lines.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        for text in [&record["question"], &record["answer"]] {
            let tokens = bpe.encode(text.as_str().unwrap());
            count += tokens.len();
            hash.update(serde_json::to_string(&tokens).unwrap());
            hash.update("\n");
        }
    }
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = &fixture("tokens.json")["gsm8k"];
    assert_eq!(expected["tokens"], count);
    assert_eq!(expected["sha256"], found);
}

#[test]
fn log_probabilities_are_those_of_transformers() {
    let Some(path) = model() else { return };
    let model = open(&path, 2);
    let expected = fixture("smollm2.json");
    let scores = expected["scores"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let requests: Vec<Request> =
        scores.iter().map(|known| score(&text(&known["prompt"]), &text(&known["text"]))).collect();
    for (known, answer) in scores.iter().zip(answers(&model, &requests)) {
        let [completion] = &answer.completions[..] else { panic!("{answer:?}") };
        assert_eq!(known["tokens"], completion.tokens.unwrap(), "{known}");
        let difference = completion.log_probability.unwrap() - known["sum"].as_f64().unwrap();
        // Two programs in f32; 0.00009 was seen.
        assert!(difference.abs() < 2e-4, "{known}: {difference} off");
    }
}

#[test]
fn greedy_texts_are_those_of_transformers() {
    let Some(path) = model() else { return };
    let expected = fixture("smollm2.json");
    for chat in [false, true] {
        let options = LlamaOptions { chat, context: None };
        let model = match chat {
            true => Llama::open(&path, &options).unwrap().with_threads(2),
            false => open(&path, 2),
        };
        let known: Vec<&Value> = expected["greedy"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|known| known["chat"] == chat)
            .collect();
        let requests: Vec<Request> = known
            .iter()
            .map(|known| generate(known["prompt"].as_str().unwrap(), greedy(24)))
            .collect();
        for (known, answer) in known.iter().zip(answers(&model, &requests)) {
            let [completion] = &answer.completions[..] else { panic!("{answer:?}") };
            assert_eq!(known["text"], completion.text, "{known}");
            assert_eq!(known["tokens"], completion.tokens.unwrap());
            assert_eq!(known["finish"], completion.finish_reason.as_deref().unwrap());
            let difference = completion.log_probability.unwrap() - known["sum"].as_f64().unwrap();
            assert!(difference.abs() < 2e-4, "{known}: {difference} off");
        }
        assert_eq!(model.identity().contains("chat"), chat);
    }
}

#[test]
fn answers_depend_on_nothing_but_their_request() {
    let Some(path) = model() else { return };
    let alone = open(&path, 1);
    let words =
        ["the", "cat", "that", "some", "boys", "saw", "was", "near", "3", "houses", ",", "Anne's"];
    let mut requests: Vec<Request> = (0..40)
        .map(|number| {
            let text: Vec<&str> = (0..1 + number % 13)
                .map(|place| words[(number * 5 + place * 7) % words.len()])
                .collect();
            score(
                if number % 3 == 0 { "It is said that" } else { "" },
                &format!(" {}", text.join(" ")),
            )
        })
        .collect();
    requests.push(score("", "x"));
    requests.push(score("", ""));
    for number in 0..5 {
        let prompt = words[..3 + number].join(" ");
        let drawn = Sampling {
            temperature: 0.8,
            top_p: 0.9,
            completions: 2,
            seed: number as u64,
            ..greedy(5)
        };
        requests.push(generate(&prompt, drawn));
        requests.push(generate(&prompt, greedy(4)));
    }
    // Prompts that are long enough to be seen by themselves, once for several texts.
    let long = "Q: What do bees make?\nA: honey\n\n".repeat(4);
    for (question, option) in [("cows", "milk"), ("cows", "wool and milk"), ("hens", "eggs")] {
        requests
            .push(score(&format!("{long}Q: What do {question} give?\nA:"), &format!(" {option}")));
    }
    let together = answers(&alone, &requests);
    let threads = answers(&alone.with_threads(3), &requests);
    assert_eq!(together, threads);
    let some = requests
        .iter()
        .zip(&together)
        .enumerate()
        .filter(|(place, _)| place % 4 == 0 || *place > 51);
    for (_, (request, answer)) in some {
        assert_eq!(&answers(&alone, std::slice::from_ref(request))[0], answer, "{request:?}");
    }
    requests.reverse();
    let mut backwards = answers(&alone, &requests);
    backwards.reverse();
    assert_eq!(together, backwards);
}

#[test]
fn long_prompts_are_seen_once_and_change_nothing() {
    let Some(path) = model() else { return };
    let model = open(&path, 1);
    let prompt = "A farmer has twelve sheep. ".repeat(6) + "In spring she buys seven more, and";
    let [before, after] =
        [" then she has nineteen sheep", " of them. She sells three and has sixteen."];
    assert!(model.bpe().encode(&prompt).len() > 40);
    let requests = [
        score(&prompt, &format!("{before}{after}")),
        score(&prompt, before),
        score(&format!("{prompt}{before}"), after),
        // The first words alone are a prompt too short to be seen by itself.
        score(
            "A farmer has",
            &(" twelve sheep. ".to_owned()
                + &"A farmer has twelve sheep. ".repeat(5)
                + "In spring she buys seven more, and"),
        ),
        score(
            "A farmer has",
            &(" twelve sheep. ".to_owned()
                + &"A farmer has twelve sheep. ".repeat(5)
                + "In spring she buys seven more, and"
                + before),
        ),
    ];
    let found = answers(&model, &requests);
    let sum = |place: usize| found[place].completions[0].log_probability.unwrap();
    // The chain rule, across the two ways through the network; 0.000013 was seen.
    assert!((sum(0) - sum(1) - sum(2)).abs() < 1e-4, "{} {} {}", sum(0), sum(1), sum(2));
    assert!((sum(4) - sum(3) - sum(1)).abs() < 1e-4, "{} {} {}", sum(4), sum(3), sum(1));
}

#[test]
fn texts_end_where_they_are_told_to() {
    let Some(path) = model() else { return };
    let model = open(&path, 2);
    let stop = |stop: &[&str]| Sampling {
        stop: stop.iter().map(|&stop| stop.to_owned()).collect(),
        ..greedy(12)
    };
    let drawn = |seed| Sampling { temperature: 1.0, completions: 3, seed, ..greedy(6) };
    let requests = [
        generate("The capital of France is", stop(&[])),
        generate("The capital of France is", stop(&["answer", ".\n"])),
        generate("The capital of France is", stop(&["ari"])),
        generate("The capital of France is", greedy(0)),
        generate("Once upon a time,", Sampling { completions: 2, ..greedy(3) }),
        generate("My favourite colour is", drawn(1)),
        generate("My favourite colour is", drawn(2)),
        generate("My favourite colour is", drawn(1)),
        generate("My favourite colour is", Sampling { top_p: 1e-9, ..drawn(5) }),
        generate("My favourite colour is", greedy(6)),
    ];
    let answers = answers(&model, &requests);
    let first = |place: usize| &answers[place].completions[0];
    assert!(first(0).text.starts_with(" Paris.\n\nThe answer is"), "{}", first(0).text);
    assert_eq!(first(0).finish_reason.as_deref(), Some("length"));
    assert_eq!((first(1).text.as_str(), first(1).tokens), (" Paris", Some(1)));
    assert_eq!(first(1).finish_reason.as_deref(), Some("stop"));
    assert_eq!((first(2).text.as_str(), first(2).tokens), (" P", Some(1)));
    assert_eq!((first(3).text.as_str(), first(3).tokens), ("", Some(0)));
    // What is empty is not certain.
    assert_eq!(first(3).log_probability, None);
    assert_eq!(answers[4].completions.len(), 2);
    assert_eq!(answers[4].completions[0], answers[4].completions[1]);
    assert_eq!(answers[4].prompt_tokens, Some(5));
    // The seed decides, and texts of a request are drawn apart.
    assert_eq!(answers[5], answers[7]);
    assert_ne!(answers[5], answers[6]);
    assert_ne!(answers[5].completions[0], answers[5].completions[1]);
    // The likeliest token alone is left of a tiny share.
    assert_eq!(first(8).text, first(9).text);
}

#[test]
fn long_texts_are_scored_in_windows() {
    let Some(path) = model() else { return };
    let small = Llama::open(&path, &LlamaOptions { chat: false, context: Some(8) }).unwrap();
    let whole = open(&path, 1);
    // Sixteen tokens after the first: windows predict 7, 7 and 2, the last one after six others.
    let text = "one two three four five six seven eight nine ten one two three four five six";
    let bpe = small.bpe();
    let tokens = bpe.encode(text);
    assert_eq!(tokens.len(), 16);
    let piece = |from: usize, to: usize| bpe.decode(&tokens[from..to]);
    let parts = [
        score("", &piece(0, 7)),
        score(&piece(6, 7), &piece(7, 14)),
        score(&piece(8, 14), &piece(14, 16)),
    ];
    let expected: f64 = answers(&whole, &parts)
        .iter()
        .map(|answer| answer.completions[0].log_probability.unwrap())
        .sum();
    let found = &answers(&small, &[score("", text)])[0].completions[0];
    assert_eq!(found.tokens, Some(16));
    assert_eq!(found.log_probability, Some(expected));
    // A prompt that is too long loses its beginning.
    let prompt = generate(text, greedy(3));
    let end = generate(&piece(11, 16), greedy(3));
    assert_eq!(answers(&small, &[prompt])[0].completions, answers(&whole, &[end])[0].completions);
    let refused = small
        .answer(&[generate(text, greedy(8))], &AtomicBool::new(false), &mut |_, _| Ok(()))
        .unwrap_err();
    assert_eq!(refused.to_string(), "8 tokens were asked of a model that sees 8");
}

#[test]
fn a_model_stops_when_it_is_told_to() {
    let Some(path) = model() else { return };
    let model = open(&path, 2);
    let text = "a few words that take a moment".repeat(20);
    let requests: Vec<Request> =
        (0..40).map(|number| score("", &format!("{number} {text}"))).collect();
    let stop = AtomicBool::new(false);
    let mut count = 0;
    let stopped = model.answer(&requests, &stop, &mut |_, _| {
        count += 1;
        stop.store(true, Ordering::Relaxed);
        Ok(())
    });
    assert!(matches!(stopped, Err(ModelError::Interrupted)));
    // Those that were being computed at most: two packs of two or three texts.
    assert!((1..=6).contains(&count), "{count}");
    let full = model.answer(&requests, &AtomicBool::new(false), &mut |_, _| Err("no room".into()));
    assert_eq!(full.unwrap_err().to_string(), "an answer could not be kept: no room");
}
