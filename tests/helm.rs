//! Runs of HELM as a source of answers, and evaluations as runs of HELM.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ceteris::data::Presence;
use ceteris::studies::{CohortOutcome, Study, StudyError, find};
use ceteris::study::{StudyFile, plan};
use polars::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

fn study() -> &'static dyn Study {
    find("lm-evaluation").unwrap()
}

/// The folders of the three recorded runs, each with the task that has its answers built in; none where
/// they are not here.
fn recorded() -> Vec<(&'static str, PathBuf)> {
    let sets = study().data().iter().filter(|set| set.name == "helm-raw-runs");
    let files: Vec<_> = sets.flat_map(|set| set.presence()).collect();
    let tasks = ["helm-mmlu-philosophy", "helm-hellaswag", "helm-narrative-qa"];
    let folder = |presence: &Presence| match presence {
        Presence::Here(path) => Some(path.parent().unwrap().to_owned()),
        _ => None,
    };
    let folders: Option<Vec<PathBuf>> =
        files.iter().map(|(_, presence)| folder(presence)).collect();
    let Some(folders) = folders else {
        eprintln!("skipped: no helm-raw-runs; `ceteris data` says where to get them");
        return Vec::new();
    };
    tasks.into_iter().zip(folders).collect()
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn configuration(choices: &str) -> String {
    let base = format!("[base]\nlanguage_model = \"recorded\"\n{choices}\n");
    common::study_text("lm-evaluation", 1, &base)
}

fn outcome(choices: &str) -> Result<CohortOutcome, StudyError> {
    let file = StudyFile::parse("t.toml", &configuration(choices));
    let plan = plan(file.unwrap_or_else(|mistakes| panic!("{mistakes}")));
    common::cohort(&plan, &plan.runs.iter().collect::<Vec<_>>())
}

/// What names a run in a folder.
fn naming(folder: &Path) -> String {
    let state = fs::read(folder.join("scenario_state.json")).unwrap();
    format!(
        "evaluation_task = \"helm-run\"\nhelm_run = \"{}\"\nhelm_run_sha256 = \"{}\"\n",
        folder.display(),
        hash(&state)
    )
}

fn metric(outcome: &CohortOutcome, name: &str) -> Option<f64> {
    let place = study().metrics().iter().position(|metric| metric.name == name).unwrap();
    outcome.runs[0].metrics[place]
}

/// A table without the columns that name its run.
fn table(outcome: &CohortOutcome, name: &str) -> DataFrame {
    let place = study().tables().iter().position(|table| table.name == name).unwrap();
    outcome.tables[place].drop_many(["run_id", "arm", "replicate"])
}

#[test]
fn a_run_in_a_folder_is_the_recorded_one() {
    for (task, folder) in recorded() {
        let copy = TempDir::new().unwrap();
        // A folder's name may hold what a pattern would read otherwise.
        let to = copy.path().join("mmlu:subject=[1],model=x");
        fs::create_dir(&to).unwrap();
        fs::copy(folder.join("scenario_state.json"), to.join("scenario_state.json")).unwrap();
        for choices in ["", "answer_score = \"f1-set\"\nanswer_normalization = \"quasi\"\n"] {
            let ours = outcome(&format!("{}{choices}", naming(&to))).unwrap();
            let built_in = outcome(&format!("evaluation_task = \"{task}\"\n{choices}")).unwrap();
            assert_eq!(ours.runs[0].metrics, built_in.runs[0].metrics, "{task}");
            for name in ["instances", "references", "requests"] {
                assert!(
                    table(&ours, name).equals_missing(&table(&built_in, name)),
                    "{task}: {name}"
                );
            }
        }
    }
}

/// Writes a run into a folder.
fn written(folder: &Path, state: &Value) {
    fs::write(folder.join("scenario_state.json"), state.to_string()).unwrap();
}

#[test]
fn damaged_runs_are_refused_with_the_place_and_what_to_do() {
    let Some((_, folder)) = recorded().into_iter().next() else { return };
    let state: Value =
        serde_json::from_slice(&fs::read(folder.join("scenario_state.json")).unwrap()).unwrap();
    let copy = TempDir::new().unwrap();
    let refused = |change: &dyn Fn(&mut Value), words: &[&str]| {
        let mut state = state.clone();
        change(&mut state);
        written(copy.path(), &state);
        let error = outcome(&naming(copy.path())).unwrap_err().to_string();
        for word in words.iter().chain(&["scenario_state.json"]) {
            assert!(error.contains(word), "{word}: {error}");
        }
    };
    let third = |state: &mut Value| state["request_states"][3].take();
    refused(
        &|state| {
            let mut of = third(state);
            of["result"] = Value::Null;
            state["request_states"][3] = of;
        },
        &["request state 3 (counted from zero): no result", "run helm-run again"],
    );
    refused(
        &|state| {
            state["request_states"][3]["result"]["success"] = json!(false);
            state["request_states"][3]["result"]["error"] = json!("429 Too Many Requests");
        },
        &["request state 3", "the request failed: 429 Too Many Requests", "run helm-run again"],
    );
    refused(
        &|state| state["request_states"][0]["result"]["completions"] = json!([]),
        &["request state 0", "no result.completions"],
    );
    refused(
        &|state| {
            state["request_states"][1]["instance"].as_object_mut().unwrap().remove("id");
        },
        &["request state 1", "no text instance.id", "as helm-run wrote it"],
    );
    refused(
        &|state| state["request_states"][2]["instance"]["references"][0]["tags"] = json!("correct"),
        &["request state 2", "a reference without text and tags"],
    );
    refused(
        &|state| state["request_states"][2]["instance"]["input"] = json!({ "multimedia": 1 }),
        &["request state 2", "no text instance.input.text"],
    );
    refused(
        &|state| state["adapter_spec"]["method"] = json!("ranking_binary"),
        &["its adapter method \"ranking_binary\" is not read", "choose a run by generation"],
    );
    refused(&|state| state["request_states"] = json!([]), &["no request_states"]);

    // Cut short, changed behind the hash, not there.
    let text = state.to_string();
    fs::write(copy.path().join("scenario_state.json"), &text[..text.len() / 2]).unwrap();
    let error = outcome(&naming(copy.path())).unwrap_err().to_string();
    assert!(error.contains("it must be the file as it was written"), "{error}");
    let before = naming(copy.path());
    written(copy.path(), &state);
    let error = outcome(&before).unwrap_err().to_string();
    assert!(error.contains("not that in `helm_run_sha256`"), "{error}");
    fs::remove_file(copy.path().join("scenario_state.json")).unwrap();
    let error = outcome(&before).unwrap_err().to_string();
    assert!(error.contains("which `helm_run` names"), "{error}");

    let text = configuration("evaluation_task = \"helm-run\"");
    let mistakes = StudyFile::parse("t.toml", &text).unwrap_err().to_string();
    assert!(mistakes.contains("no run of HELM is named"), "{mistakes}");
    assert!(mistakes.contains("the run of HELM has no SHA-256"), "{mistakes}");
}

/// An instance of a made-up run.
fn question(id: &str, options: &[&str]) -> Value {
    let reference = |(place, text): (usize, &&str)| {
        let tags = if place == 0 { json!(["correct"]) } else { json!([]) };
        json!({ "output": { "text": text }, "tags": tags })
    };
    let references: Vec<Value> = options.iter().enumerate().map(reference).collect();
    json!({ "input": { "text": "Q" }, "references": references, "split": "test", "id": id })
}

fn tokens(tokens: &[(&str, f64)]) -> Value {
    let list: Vec<Value> =
        tokens.iter().map(|(text, logprob)| json!({ "text": text, "logprob": logprob })).collect();
    let text: String = tokens.iter().map(|(text, _)| *text).collect();
    let sum: f64 = tokens.iter().map(|(_, logprob)| logprob).sum();
    json!({
        "success": true, "embedding": [], "cached": false,
        "completions": [{ "text": text, "logprob": sum, "tokens": list }],
    })
}

fn of_run(method: &str, states: Vec<Value>) -> Result<CohortOutcome, StudyError> {
    of_run_with(method, states, "")
}

fn of_run_with(
    method: &str,
    states: Vec<Value>,
    choices: &str,
) -> Result<CohortOutcome, StudyError> {
    let folder = TempDir::new().unwrap();
    let state = json!({ "adapter_spec": { "method": method }, "request_states": states });
    written(folder.path(), &state);
    outcome(&format!("{}{choices}", naming(folder.path())))
}

#[test]
fn scored_options_are_those_of_helm() {
    // HELM scores " blue sky" by its last two tokens, (-1 - 1) / 2, and " sea" by its last, -1.5.
    let state = |option: usize, mode: Option<&str>, list: &[(&str, f64)]| {
        let mut state = json!({
            "instance": question("id1", &["blue sky", "sea"]),
            "reference_index": option,
            "train_trial_index": 0,
            "request": { "prompt": "" },
            "result": tokens(list),
        });
        if let Some(mode) = mode {
            state["request_mode"] = json!(mode);
        }
        state
    };
    let original = || {
        vec![
            state(0, Some("original"), &[("Q", -9.0), (" blue", -1.0), (" sky", -1.0)]),
            state(1, Some("original"), &[("Q", -9.0), (" sea", -1.5)]),
        ]
    };
    let by_token = "choice_length = \"tokens\"";
    let separate = "multiple_choice_separate_original";
    let found = of_run_with(separate, original(), by_token).unwrap();
    assert_eq!(metric(&found, "score"), Some(1.0));
    // By their sums the wrong option, -1.5, is likelier than the right one, -2.
    assert_eq!(metric(&of_run(separate, original()).unwrap(), "score"), Some(0.0));
    // Two bits of 2 / (9 ln 2) for " blue sky".
    let bits = metric(&found, "bits_per_byte").unwrap();
    assert!((bits - 2.0 / (9.0 * std::f64::consts::LN_2)).abs() < 1e-12, "{bits}");

    // Calibrated: -2 - (-4) = 2 against -1.5 - (-1) = -0.5.
    let mut calibrated = original();
    calibrated.push(state(0, Some("calibration"), &[("Answer:", 0.0), (" blue sky", -4.0)]));
    calibrated.push(state(1, Some("calibration"), &[("Answer:", 0.0), (" sea", -1.0)]));
    let found = of_run("multiple_choice_separate_calibrated", calibrated.clone()).unwrap();
    assert_eq!(metric(&found, "score"), Some(1.0));
    let confidence = metric(&found, "confidence").unwrap();
    assert!((confidence - 1.0 / (1.0 + (-2.5_f64).exp())).abs() < 1e-12, "{confidence}");

    let error = of_run(separate, original()[..1].to_vec()).unwrap_err().to_string();
    assert!(error.contains("request state 0") && error.contains("1 of 2 options"), "{error}");
    let odd = vec![state(0, None, &[("Q", -9.0), (" blues", -1.0)]), original()[1].clone()];
    let error = of_run(separate, odd).unwrap_err().to_string();
    assert!(error.contains("do not end with the option \"blue sky\""), "{error}");
}

#[test]
fn texts_are_scored_window_by_window() {
    // The second window has seen "b c" already. Of AI21's empty first token nothing is counted.
    let window = |given: u64, list: &[(&str, f64)]| {
        json!({
            "instance": question("id1", &[]),
            "train_trial_index": 0,
            "num_conditioning_tokens": given,
            "request": { "prompt": "a b c d" },
            "result": tokens(list),
        })
    };
    let windows = vec![
        window(0, &[("a", -1.0), (" b", -2.0), (" c", -3.0)]),
        window(2, &[("", -7.0), (" b", -9.0), (" c", -9.0), ("bytes:\\xc3\\xa9", -4.0)]),
    ];
    let found = of_run("language_modeling", windows).unwrap();
    // 10 nats over 5 + 2 bytes.
    assert_eq!(metric(&found, "score"), Some(-10.0 / 7.0));
    let bits = metric(&found, "bits_per_byte").unwrap();
    assert!((bits - 10.0 / (7.0 * std::f64::consts::LN_2)).abs() < 1e-12, "{bits}");
}

/// Two questions; the first has a copy for robustness that is answered wrongly, and one for fairness that
/// is answered rightly.
fn perturbed() -> Vec<Value> {
    let state = |id: &str, perturbation: Option<Value>, text: &str| {
        let mut instance = question(id, &["yes"]);
        if let Some(perturbation) = perturbation {
            instance["perturbation"] = perturbation;
        }
        json!({
            "instance": instance,
            "train_trial_index": 0,
            "request": { "prompt": "Q" },
            "result": tokens(&[(text, -0.5)]),
        })
    };
    let robustness = json!({ "name": "mild_mix", "robustness": true, "fairness": false });
    let fairness = json!({ "name": "dialect", "robustness": false, "fairness": true });
    vec![
        state("id1", None, "yes"),
        state("id2", None, "yes"),
        state("id1", Some(robustness), "no"),
        state("id1", Some(fairness), "yes"),
    ]
}

#[test]
fn copies_of_questions_count_in_the_worst_case_alone() {
    let found = of_run("generation", perturbed()).unwrap();
    assert_eq!((metric(&found, "score"), metric(&found, "questions")), (Some(1.0), Some(2.0)));
    assert_eq!(metric(&found, "robustness_score"), Some(0.5));
    assert_eq!(metric(&found, "fairness_score"), Some(1.0));
    let instances = table(&found, "instances");
    let names: Vec<Option<&str>> =
        instances.column("perturbation").unwrap().str().unwrap().iter().collect();
    assert_eq!(names, [None, None, Some("mild_mix"), Some("dialect")]);
    let originals = of_run("generation", perturbed()[..2].to_vec()).unwrap();
    assert_eq!(metric(&originals, "robustness_score"), None);
    assert_eq!(metric(&originals, "score"), Some(1.0));

    // A question and its copies belong to one part.
    let folder = TempDir::new().unwrap();
    let state =
        json!({ "adapter_spec": { "method": "generation" }, "request_states": perturbed() });
    written(folder.path(), &state);
    let part = outcome(&format!("{}evaluation_parts = 2\n", naming(folder.path()))).unwrap();
    let height = table(&part, "instances").height();
    assert!(height == 1 || height == 3, "{height}");
}

#[test]
fn completions_are_chosen_from_as_helm_does() {
    let states = || {
        vec![json!({
            "instance": question("id1", &["yes"]),
            "train_trial_index": 0,
            "request": { "prompt": "Q" },
            "output_mapping": { "A": "no", "B": "yes" },
            "result": { "success": true, "embedding": [], "cached": false, "completions": [
                { "text": " A", "logprob": -2.0, "tokens": [] },
                { "text": " B", "logprob": -1.0, "tokens": [] },
            ] },
        })]
    };
    let joint = "multiple_choice_joint";
    assert_eq!(metric(&of_run(joint, states()).unwrap(), "score"), Some(0.0));
    let likeliest = "completion_choice = \"likeliest\"";
    let found = of_run_with(joint, states(), likeliest).unwrap();
    assert_eq!(metric(&found, "score"), Some(1.0));
}

fn ceteris(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ceteris")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Two questions with options, for models that are asked.
const QUESTIONS: &str = r#"{"id": "a", "input": "The sky is", "options": ["blue", "a very green thing"], "correct": 0}
{"id": "b", "input": "Grass is", "options": ["red", "green"], "correct": 1}
"#;

/// Evaluates, exports and reads what was exported: every arm again, by its own folder.
fn round_trip(folder: &Path, arms: &[(&str, &str)]) {
    let study = folder.join("study.toml");
    let mut text = "[study]\nkind = \"lm-evaluation\"\nname = \"t\"\ntitle = \"t\"\nseed = 5\n\
                    replicates = 1\n[base]\n"
        .to_owned();
    for (name, choices) in arms {
        text.push_str(&format!("[[arms]]\nname = \"{name}\"\n{choices}\n"));
    }
    fs::write(&study, text).unwrap();
    let (results, exported) = (folder.join("results"), folder.join("helm"));
    let shown = |path: &Path| path.display().to_string();
    ceteris(&["run", &shown(&study), "--out", &shown(&results)]);
    let said = ceteris(&["export", &shown(&results), "--helm", &shown(&exported)]);
    assert!(said.contains("helm-summarize --suite ceteris"), "{said}");
    let suite = exported.join("runs/ceteris");
    let mut names: Vec<PathBuf> =
        fs::read_dir(&suite).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert_eq!(names.len(), arms.len(), "{names:?}");
    for (name, choices) in arms {
        let found = names.iter().find(|path| {
            let file = path.file_name().unwrap().to_str().unwrap();
            file.contains(&format!("arm={name},"))
        });
        let found = found.unwrap_or_else(|| panic!("{name}: {names:?}"));
        // The way of scoring is not the run's, and is given again.
        let scoring: Vec<&str> = choices
            .lines()
            .filter(|line| {
                ["answer_", "choice_", "completion_choice"].iter().any(|of| line.starts_with(of))
            })
            .collect();
        let again = outcome(&format!("{}{}", naming(found), scoring.join("\n"))).unwrap();
        let stats: Value =
            serde_json::from_slice(&fs::read(found.join("stats.json")).unwrap()).unwrap();
        let stats = stats.as_array().unwrap();
        let exported = |name: &str| {
            let of = |stat: &&Value| stat["name"] == json!({ "name": name, "split": "all" });
            stats.iter().find(of).map(|stat| stat["mean"].as_f64().unwrap())
        };
        let metrics = [
            "score",
            "score_standard_error",
            "answered",
            "exact_match",
            "quasi_exact_match",
            "prefix_exact_match",
            "quasi_prefix_exact_match",
            "f1_score",
            "confidence",
            "ece_10_bin",
            "brier",
            "bits_per_byte",
            "questions",
            "robustness_score",
            "fairness_score",
        ];
        let mut compared = 0;
        for metric_name in metrics {
            assert_eq!(metric(&again, metric_name), exported(metric_name), "{name}: {metric_name}");
            compared += usize::from(exported(metric_name).is_some());
        }
        assert!(compared >= 4, "{name}: {compared}");
    }
}

#[test]
fn what_is_exported_gives_the_same_scores_again() {
    let folder = TempDir::new().unwrap();
    let questions = folder.path().join("questions.jsonl");
    fs::write(&questions, QUESTIONS).unwrap();
    let asked = format!(
        "evaluation_task = \"questions\"\nquestions_file = \"{}\"\nquestions_sha256 = \"{}\"\n\
         language_model = \"uniform\"\n",
        questions.display(),
        hash(QUESTIONS.as_bytes())
    );
    let of = |choices: &str| format!("{asked}{choices}");
    let perturbed_run = folder.path().join("perturbed");
    fs::create_dir(&perturbed_run).unwrap();
    let state =
        json!({ "adapter_spec": { "method": "generation" }, "request_states": perturbed() });
    written(&perturbed_run, &state);
    let copies = format!("language_model = \"recorded\"\n{}", naming(&perturbed_run));
    let arms = [
        ("separate", of("adapter = \"separate\"")),
        ("by-token", of("adapter = \"separate\"\nchoice_length = \"tokens\"")),
        ("calibrated", of("adapter = \"separate-calibrated\"")),
        ("joint", of("adapter = \"joint\"")),
        (
            "several",
            of(
                "adapter = \"generation\"\ncompletions = 3\ntemperature = 1.0\ncompletion_choice = \"likeliest\"",
            ),
        ),
        ("text", of("adapter = \"language-modeling\"")),
        ("copies", copies),
    ];
    let arms: Vec<(&str, &str)> = arms.iter().map(|(name, of)| (*name, of.as_str())).collect();
    round_trip(folder.path(), &arms);
}

#[test]
fn recorded_runs_of_helm_go_out_and_come_in_again() {
    let recorded = recorded();
    if recorded.is_empty() {
        return;
    }
    let choices = |task: &str| {
        format!(
            "evaluation_task = \"{task}\"\nlanguage_model = \"recorded\"\n\
             answer_normalization = \"quasi\"\nanswer_score = \"f1\""
        )
    };
    let arms: Vec<(&str, String)> =
        recorded.iter().map(|(task, _)| (*task, choices(task))).collect();
    let arms: Vec<(&str, &str)> = arms.iter().map(|(name, of)| (*name, of.as_str())).collect();
    let folder = TempDir::new().unwrap();
    round_trip(folder.path(), &arms);
}

/// HELM's own tables of an export have the numbers of `ceteris analyse`. `CETERIS_HELM_SUMMARIZE` names
/// the program, of crfm-helm 0.5.16 (`pip install crfm-helm==0.5.16`).
#[test]
fn tables_by_helm_have_our_numbers() {
    let Some(program) = std::env::var_os("CETERIS_HELM_SUMMARIZE") else {
        eprintln!(
            "skipped: CETERIS_HELM_SUMMARIZE does not name helm-summarize of crfm-helm 0.5.16"
        );
        return;
    };
    if recorded().is_empty() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let (results, exported) = (folder.path().join("results"), folder.path().join("helm"));
    let study = Path::new(env!("CARGO_MANIFEST_DIR")).join("ablations/lm-evaluation/helm-raw.toml");
    let shown = |path: &Path| path.display().to_string();
    ceteris(&["run", &shown(&study), "--out", &shown(&results)]);
    ceteris(&["export", &shown(&results), "--helm", &shown(&exported)]);
    let schema = exported.join("schema.json");
    let made = Command::new(program)
        .args(["--suite", "ceteris", "--output-path", &shown(&exported)])
        .args(["--schema-path", &shown(&schema)])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    // By arm and metric: the name of a row ends with the arm's.
    let mut cells: Vec<(String, String, Option<f64>)> = Vec::new();
    for task in ["helm-mmlu-philosophy", "helm-hellaswag", "helm-narrative-qa"] {
        let path = exported.join(format!("runs/ceteris/groups/{task}.json"));
        let tables: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        for table in tables.as_array().unwrap() {
            let header = table["header"].as_array().unwrap();
            for row in table["rows"].as_array().unwrap() {
                let arm = row[0]["value"].as_str().unwrap();
                for (place, head) in header.iter().enumerate().skip(1) {
                    let head = head["value"].as_str().unwrap();
                    let metric = head.rsplit(" - ").next().unwrap();
                    cells.push((arm.to_owned(), metric.to_owned(), row[place]["value"].as_f64()));
                }
            }
        }
    }
    let mut compared = 0;
    for metric in ["score", "exact_match", "f1_score", "ece_10_bin", "bits_per_byte", "questions"] {
        let table = folder.path().join(format!("{metric}.csv"));
        let arguments = ["--resamples", "1", "--metric", metric, "--out", &shown(&table)];
        ceteris(&[&["analyse", &shown(&results), "summary"][..], &arguments].concat());
        let ours = CsvReadOptions::default()
            .try_into_reader_with_file_path(Some(table))
            .unwrap()
            .finish()
            .unwrap();
        let arms = ours.column("arm").unwrap().str().unwrap().clone();
        let estimates = ours.column("estimate").unwrap().cast(&DataType::Float64).unwrap();
        for (arm, estimate) in arms.iter().zip(estimates.f64().unwrap().iter()) {
            let arm = arm.unwrap().replace('/', "_");
            let mut of_arm = cells.iter().filter(|(row, of, _)| {
                of == metric && (*row == arm || row.ends_with(&format!("/{arm}")))
            });
            // Arms that score letters are not there.
            let Some((_, _, value)) = of_arm.next() else { continue };
            assert_eq!(*value, estimate, "{arm}: {metric}");
            compared += 1;
        }
    }
    // 42 of 44 arms; two score letters.
    assert_eq!(compared, 6 * 42);
}
