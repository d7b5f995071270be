//! Evaluations of language models against what was published with the answers.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ceteris::studies::{CohortOutcome, Study, StudyError, find};
use ceteris::study::{Plan, StudyFile};
use polars::prelude::DataFrame;
use serde_json::Value;

use common::{column_numbers, column_texts};
use sha2::{Digest, Sha256};

fn study() -> &'static dyn Study {
    find("lm-evaluation").unwrap()
}

fn present(name: &str) -> bool {
    common::present(study(), name)
}

/// The folder of HELM's published data, where its files are.
fn folder() -> std::path::PathBuf {
    let mut folders = ceteris::data::folders().into_iter().map(|folder| folder.join("helm"));
    folders.find(|folder| folder.is_dir()).unwrap()
}

fn planned(replicates: usize, rest: &str) -> Plan {
    common::planned("lm-evaluation", replicates, rest)
}

/// Runs of a plan, by their numbers, as one cohort.
fn outcome(plan: &Plan, runs: &[usize]) -> Result<CohortOutcome, StudyError> {
    let runs: Vec<_> = runs.iter().map(|run| &plan.runs[*run]).collect();
    common::cohort(plan, &runs)
}

fn whole(plan: &Plan) -> CohortOutcome {
    outcome(plan, &(0..plan.runs.len()).collect::<Vec<_>>()).unwrap()
}

/// The first run of a plan by itself.
fn alone(rest: &str) -> CohortOutcome {
    outcome(&planned(1, rest), &[0]).unwrap()
}

fn metric(outcome: &CohortOutcome, run: usize, name: &str) -> Option<f64> {
    common::metric(study(), outcome, run, name)
}

fn table<'a>(outcome: &'a CohortOutcome, name: &str) -> &'a DataFrame {
    common::table(study(), outcome, name)
}

const MEASURES: [&str; 5] = [
    "exact_match",
    "quasi_exact_match",
    "prefix_exact_match",
    "quasi_prefix_exact_match",
    "f1_score",
];

/// HELM's statistics of the measures above, as (name, split, mean), perturbed ones left out.
fn statistics(stats: &Value) -> Vec<(&str, &str, f64)> {
    let all =
        stats.as_array().unwrap().iter().filter(|stat| stat["name"]["perturbation"].is_null());
    all.filter_map(|stat| {
        let name = stat["name"]["name"].as_str()?;
        let known = MEASURES.contains(&name);
        known.then(|| {
            (name, stat["name"]["split"].as_str().unwrap(), stat["mean"].as_f64().unwrap())
        })
    })
    .collect()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn all_113_values_of_recorded_helm_runs_come_out() {
    if !present("helm-raw-runs") {
        return;
    }
    let runs = [
        (
            "helm-mmlu-philosophy",
            "mmlu-subject=philosophy,method=multiple_choice_joint,model=openai_gpt2",
        ),
        (
            "helm-hellaswag",
            "commonsense-dataset=hellaswag,method=multiple_choice_joint,model=eleutherai_pythia-1b-v0",
        ),
        ("helm-narrative-qa", "narrative_qa-model=openai_gpt2"),
    ];
    let mut compared = 0;
    for (task, name) in runs {
        let folder = folder().join("raw_runs").join(name);
        let base = format!("[base]\nlanguage_model = \"recorded\"\nevaluation_task = \"{task}\"\n");
        let found = alone(&base);
        let instances = table(&found, "instances");
        let ids = column_texts(instances, "instance_id");
        let per_instance = json(&folder.join("per_instance_stats.json"));
        assert_eq!(per_instance.as_array().unwrap().len(), ids.len());
        for published in per_instance.as_array().unwrap() {
            let id = published["instance_id"].as_str().unwrap();
            let row = ids.iter().position(|known| known == id).unwrap();
            for (measure, _, mean) in statistics(&published["stats"]) {
                let ours = column_numbers(instances, measure)[row].unwrap();
                assert!((ours - mean).abs() <= 1e-12, "{name} {id} {measure}: {ours}, {mean}");
                compared += 1;
            }
        }
        for (measure, split, mean) in statistics(&json(&folder.join("stats.json"))) {
            let found = alone(&format!("{base}evaluation_split = \"{split}\"\n"));
            let ours = metric(&found, 0, measure).unwrap();
            assert!((ours - mean).abs() <= 1e-12, "{name} {split} {measure}: {ours}, {mean}");
            compared += 1;
        }
    }
    assert_eq!(compared, 113);
}

/// The run stores three scores of shared words beside the measures above.
#[test]
fn rouge_and_bleu_of_a_recorded_helm_run_come_out() {
    if !present("helm-raw-runs") {
        return;
    }
    let folder = folder().join("raw_runs/narrative_qa-model=openai_gpt2");
    let mut compared = 0;
    let close = |ours: f64, published: &Value, what: &str| {
        let published = published["mean"].as_f64().unwrap();
        assert!((ours - published).abs() <= 1e-12, "{what}: {ours}, {published}");
    };
    for (level, measure) in
        [("rouge-l", "rouge_l"), ("bleu-1", "bleu_1"), ("bleu-4-grams", "bleu_4")]
    {
        let base = format!(
            "[base]\nlanguage_model = \"recorded\"\nevaluation_task = \"helm-narrative-qa\"\n\
             answer_score = \"{level}\"\n"
        );
        let found = alone(&base);
        let instances = table(&found, "instances");
        let (ids, scores) =
            (column_texts(instances, "instance_id"), column_numbers(instances, "score"));
        for published in json(&folder.join("per_instance_stats.json")).as_array().unwrap() {
            let id = published["instance_id"].as_str().unwrap();
            let row = ids.iter().position(|known| known == id).unwrap();
            let stats = published["stats"].as_array().unwrap();
            let stat = stats.iter().find(|stat| stat["name"]["name"] == measure).unwrap();
            close(scores[row].unwrap(), stat, id);
            compared += 1;
        }
        for stat in json(&folder.join("stats.json")).as_array().unwrap() {
            if stat["name"]["name"] == measure && stat["name"]["perturbation"].is_null() {
                let split = stat["name"]["split"].as_str().unwrap();
                let found = alone(&format!("{base}evaluation_split = \"{split}\"\n"));
                close(metric(&found, 0, "score").unwrap(), stat, split);
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 3 * (5 + 2));
}

#[test]
fn helm_reads_missing_log_probabilities_as_certainty_and_we_do_not() {
    if !present("helm-raw-runs") {
        return;
    }
    let base = "[base]\nlanguage_model = \"recorded\"\nevaluation_task = \"helm-hellaswag\"\n";
    assert_eq!(metric(&alone(base), 0, "confidence"), None);
    let helm = alone(&format!("{base}zero_log_probability = \"certain\"\n"));
    // max_prob of stats.json; three of ten answers are right, so that the error is 0.7.
    assert_eq!(metric(&helm, 0, "confidence"), Some(1.0));
    assert!((metric(&helm, 0, "ece_10_bin").unwrap() - 0.7).abs() < 1e-12);
    // inference_runtime and num_output_tokens of stats.json.
    assert!((metric(&helm, 0, "request_seconds").unwrap() - 14.876_816_749_572_754).abs() < 1e-12);
    assert_eq!(metric(&helm, 0, "output_tokens"), Some(1.0));
}

#[test]
fn all_5276_flags_of_gsm8k_come_out() {
    if !present("gsm8k-solutions") {
        return;
    }
    let path = folder().join("gsm8k_openai/example_model_solutions.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let published: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let systems = [
        ("gsm8k-6b-finetuning", "6b_finetuning", 0.2168),
        ("gsm8k-6b-verification", "6b_verification", 0.3904),
        ("gsm8k-175b-finetuning", "175b_finetuning", 0.3472),
        ("gsm8k-175b-verification", "175b_verification", 0.5625),
    ];
    let mut agreed = 0;
    for (model, system, accuracy) in systems {
        let found = alone(&format!(
            "[base]\nevaluation_task = \"gsm8k\"\nlanguage_model = \"{model}\"\n\
             answer_extraction = \"last-number\"\nanswer_normalization = \"number\"\n"
        ));
        let scores = column_numbers(table(&found, "instances"), "score");
        for (score, line) in scores.iter().zip(&published) {
            let flag = line[system]["is_correct"].as_bool().unwrap();
            assert_eq!(*score, Some(if flag { 1.0 } else { 0.0 }), "{line}");
            agreed += 1;
        }
        let score = metric(&found, 0, "score").unwrap();
        assert!((score - accuracy).abs() <= 0.000_05 + 1e-9, "{system}: {score}");
    }
    assert_eq!(agreed, 5276);
}

#[test]
fn replicates_are_disjoint_parts_and_width_shows_nowhere() {
    if !present("gsm8k-solutions") {
        return;
    }
    let rest = "[base]\nevaluation_parts = 4\n[factors]\nanswer_extraction = [\"marker\", \"first-number\"]\n";
    let plan = planned(4, rest);
    let together = whole(&plan);
    let mut of_replicate: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for run in 0..plan.runs.len() {
        let single = outcome(&plan, &[run]).unwrap();
        assert_eq!(single.runs[0].metrics, together.runs[run].metrics);
        let ids = column_texts(table(&single, "instances"), "instance_id").into_iter().collect();
        // Both arms have the same questions in a replicate.
        let known =
            of_replicate.entry(plan.runs[run].replicate).or_insert_with(|| BTreeSet::clone(&ids));
        assert_eq!(*known, ids);
    }
    let sizes: Vec<usize> = of_replicate.values().map(BTreeSet::len).collect();
    // 1319 = 4 · 329 + 3
    assert_eq!(sizes, [330, 330, 330, 329]);
    let all: BTreeSet<&String> = of_replicate.values().flatten().collect();
    assert_eq!(all.len(), 1319);

    let text = common::study_text("lm-evaluation", 3, "[base]\nevaluation_parts = 2\n");
    let error = StudyFile::parse("t.toml", &text).unwrap_err().to_string();
    assert!(error.contains("the arm `base` has no replicate 2"), "{error}");
    assert!(error.contains("replicates 0 to 1, as `evaluation_parts` has it"), "{error}");
    assert!(error.contains("set `evaluation_parts` to 3 or more"), "{error}");
}

#[test]
fn ties_decide_a_fifth_of_what_single_words_score_on_blimp() {
    if !present("blimp") || !present("gsm8k-solutions") {
        return;
    }
    let plan = planned(
        1,
        "[base]\nevaluation_task = \"blimp\"\nlanguage_model = \"ngram\"\nadapter = \"separate\"\nngram_order = 1\n\
         blimp_paradigm = \"principle_A_reconstruction\"\n\
         [factors]\nchoice_ties = [\"share\", \"first\", \"wrong\"]\n",
    );
    let found = whole(&plan);
    let scores = [0, 1, 2].map(|run| metric(&found, run, "score").unwrap());
    let [share, first, wrong] = scores;
    // Ties count one half, one and nothing.
    assert!((share - (first + wrong) / 2.0).abs() < 1e-12, "{scores:?}");
    // A tie is neither right nor wrong, so that calibration leaves it out.
    let ties = column_numbers(table(&found, "instances"), "score")
        .iter()
        .filter(|s| **s == Some(0.5))
        .count();
    assert!(ties > 0);
    let bins = table(&found, "reliability");
    let counted: u64 =
        bins.column("questions").unwrap().u64().unwrap().iter().take(10).flatten().sum();
    assert_eq!(counted as usize, 1000 - ties);
    let requests = table(&found, "requests");
    assert_eq!(requests.height(), 3 * 2000);
    assert_eq!(requests.column("log_probability").unwrap().null_count(), 0);
}

#[test]
fn published_means_of_blimp_are_means_of_its_67_paradigms() {
    if !present("blimp") {
        return;
    }
    let text = std::fs::read_to_string(folder().join("blimp/models_summary.jsonl")).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // models_summary.jsonl, the row "overall" of the term "overall", to four digits.
    for (model, overall) in [("ngram", 0.6124), ("lstm", 0.6981), ("txl", 0.6963), ("gpt2", 0.8302)]
    {
        let paradigms = rows.iter().filter(|row| row["UID"] != "overall");
        let values: Vec<f64> = paradigms.map(|row| row[model].as_f64().unwrap()).collect();
        assert_eq!(values.len(), 67);
        let mean = analysis::mean(&values).unwrap();
        assert!((mean - overall).abs() <= 0.000_05 + 1e-9, "{model}: {mean}");
    }
    // Every paradigm that has a published number is one of ours.
    for row in rows.iter().filter(|row| row["UID"] != "overall") {
        let uid = row["UID"].as_str().unwrap();
        let base =
            "evaluation_task = \"blimp\"\nlanguage_model = \"ngram\"\nadapter = \"separate\"\n";
        planned(1, &format!("[base]\n{base}blimp_paradigm = \"{uid}\"\n"));
    }
}

/// Two documents of a generation task under two filters, and one of a multiple-choice task, in the form
/// in which lm-evaluation-harness 0.4.9 writes them.
const GENERATED: &str = r#####"{"doc_id": 0, "doc": {}, "target": "#### 18", "arguments": {"gen_args_0": {"arg_0": "Q: eggs", "arg_1": {"until": ["Q:"]}}}, "resps": [["16 - 7 = 9\n#### 18"]], "filtered_resps": ["18"], "filter": "strict-match", "metrics": ["exact_match"], "exact_match": 1.0}
{"doc_id": 0, "doc": {}, "target": "#### 18", "arguments": {"gen_args_0": {"arg_0": "Q: eggs", "arg_1": {"until": ["Q:"]}}}, "resps": [["16 - 7 = 9\n#### 18"]], "filtered_resps": ["18"], "filter": "flexible-extract", "metrics": ["exact_match"], "exact_match": 1.0}
{"doc_id": 1, "doc": {}, "target": "#### 3", "arguments": {"gen_args_0": {"arg_0": "Q: bolts", "arg_1": {"until": ["Q:"]}}}, "resps": [["It takes 4."]], "filtered_resps": ["[invalid]"], "filter": "strict-match", "metrics": ["exact_match"], "exact_match": 0.0}
"#####;
const CHOSEN: &str = r#"{"doc_id": 7, "doc": {}, "target": "1", "arguments": {"gen_args_0": {"arg_0": "The sky is", "arg_1": " green and wide"}, "gen_args_1": {"arg_0": "The sky is", "arg_1": " blue"}}, "resps": [[["-8.0", "False"]], [["-6.0", "False"]]], "filtered_resps": [["-8.0", "False"], ["-6.0", "False"]], "filter": "none", "metrics": ["acc"], "acc": 1.0}
{"doc_id": 8, "doc": {}, "target": 0, "arguments": [["Two and two make", " four"], ["Two and two make", " 5"]], "resps": [[[-5.0, false]], [[-4.0, true]]], "filtered_resps": [[-5.0, false], [-4.0, true]], "filter": "none", "metrics": ["acc"], "acc": 0.0}
"#;

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn logged(text: &str, rest: &str) -> CohortOutcome {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("samples_t.jsonl");
    std::fs::write(&path, text).unwrap();
    let sum = sha256(text);
    alone(&format!(
        "[base]\nevaluation_task = \"sample-log\"\nlanguage_model = \"recorded\"\n\
         sample_log = {:?}\nsample_log_sha256 = \"{sum}\"\n{rest}",
        path.to_str().unwrap()
    ))
}

#[test]
fn sample_logs_of_lm_evaluation_harness_are_read() {
    // The first target holds a marker, too, and what follows it is the reference.
    let rest = "answer_extraction = \"marker\"\nanswer_normalization = \"number\"\n";
    let found = logged(GENERATED, rest);
    assert_eq!(column_numbers(table(&found, "instances"), "score"), [Some(1.0), Some(0.0)]);
    assert_eq!(column_texts(table(&found, "requests"), "prompt"), ["Q: eggs", "Q: bolts"]);
    assert_eq!(metric(&found, 0, "answered"), Some(0.5));

    // Both log probabilities as the harness wrote them, and its acc.
    let found = logged(CHOSEN, "choice_ties = \"first\"\n");
    assert_eq!(column_numbers(table(&found, "instances"), "score"), [Some(1.0), Some(0.0)]);
    let log_probabilities = column_numbers(table(&found, "requests"), "log_probability");
    assert_eq!(log_probabilities, [-8.0, -6.0, -5.0, -4.0].map(Some));
    // Divided by bytes the first is -8 / 15 against -6 / 5, the second -5 / 5 against -4 / 2.
    let found = logged(CHOSEN, "choice_length = \"bytes\"\n");
    assert_eq!(column_numbers(table(&found, "instances"), "score"), [Some(0.0), Some(1.0)]);
}

#[test]
fn a_changed_sample_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("samples_t.jsonl");
    std::fs::write(&path, CHOSEN).unwrap();
    let rest = format!(
        "[base]\nevaluation_task = \"sample-log\"\nlanguage_model = \"recorded\"\n\
         sample_log = {:?}\nsample_log_sha256 = \"{}\"\n",
        path.to_str().unwrap(),
        "0".repeat(64)
    );
    let error = outcome(&planned(1, &rest), &[0]).unwrap_err().to_string();
    assert!(error.contains("not that in `sample_log_sha256`"), "{error}");
}

/// Questions in a file, as lines of a study file.
fn asked(folder: &Path, questions: &str) -> String {
    let path = folder.join("questions.jsonl");
    std::fs::write(&path, questions).unwrap();
    format!(
        "evaluation_task = \"questions\"\nquestions_file = {:?}\nquestions_sha256 = \"{}\"\n",
        path.to_str().unwrap(),
        sha256(questions)
    )
}

const PERTURBED: &str = r#"{"id": "id0", "input": "Did Greg say that he should not receive the new books?", "options": ["he did", "she did not", "Greg did not"], "correct": 2}
{"id": "id1", "input": "why", "options": ["because of him", "no"], "correct": 0}
{"id": "id2", "input": "The King and his men are going to the castle, and they do not know the way.", "options": ["true", "false"], "correct": [0, 1]}
{"id": "id3", "input": "Is it the case that she is taller than Emily, and that Emily is a girl?", "options": ["yes", "no"], "correct": 1}
"#;

#[test]
fn changed_questions_are_asked_and_the_worst_of_their_scores_counts() {
    if !present("gsm8k-solutions") || !present("helm-words") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let base = format!(
        "[base]\n{}language_model = \"uniform\"\nadapter = \"separate\"\n",
        asked(folder.path(), PERTURBED)
    );
    let plain = alone(&base);
    assert_eq!(metric(&plain, 0, "robustness_score"), None);
    assert_eq!(table(&plain, "perturbations").height(), 0);
    let found = alone(&format!("{base}perturbations = \"canonical\"\nperturbation_draws = 3\n"));
    // Changed forms move nothing of what is measured without them.
    for measure in ["score", "exact_match", "confidence", "ece_10_bin", "questions"] {
        assert_eq!(metric(&found, 0, measure), metric(&plain, 0, measure), "{measure}");
    }
    let instances = table(&found, "instances");
    let (ids, scores) =
        (column_texts(instances, "instance_id"), column_numbers(instances, "score"));
    let names: Vec<Option<&str>> =
        instances.column("perturbation").unwrap().str().unwrap().iter().collect();
    // What crfm-helm 0.5.16 makes of the first question (its mild_mix with the seeds none, 1 and 2; its
    // pronouns, of which "Greg" is none).
    let prompts = column_texts(table(&found, "requests"), "prompt");
    for expected in [
        "did   greg  say that he  shouldn't receive the new books?",
        "did  greg say  that  he   shoudln receive  the   new  books?",
        "did  greg say that   he  shouldn't receive the   new   books?",
        "Did Greg say that she should not receive the new books?",
    ] {
        let prompt = format!("Question: {expected}\nAnswer:");
        assert!(prompts.contains(&prompt), "{expected}: {prompts:#?}");
    }
    let worst = |of: &[&str]| {
        let mean_of: Vec<f64> = ["id0", "id1", "id2", "id3"]
            .iter()
            .map(|id| {
                let rows = (0..ids.len()).filter(|row| ids[*row] == *id);
                let rows = rows.filter(|row| names[*row].is_none_or(|name| of.contains(&name)));
                rows.map(|row| scores[row].unwrap()).fold(f64::INFINITY, f64::min)
            })
            .collect();
        analysis::mean(&mean_of)
    };
    assert_eq!(metric(&found, 0, "robustness_score"), worst(&["mild-mix"]));
    let fairness = worst(&["gender-pronouns", "person-name"]);
    assert_eq!(metric(&found, 0, "fairness_score"), fairness);
    // Nothing was generated that could be toxic.
    assert_eq!(metric(&found, 0, "robustness_toxic_fraction"), None);
    let effects = table(&found, "perturbations");
    assert_eq!(
        column_texts(effects, "perturbation"),
        ["mild-mix", "gender-pronouns", "person-name"]
    );
    assert_eq!(column_texts(effects, "aspect"), ["robustness", "fairness", "fairness"]);
    let questions: Vec<Option<u64>> =
        effects.column("questions").unwrap().u64().unwrap().iter().collect();
    // "why" cannot change; a pronoun is in the first and the third; a name in the first and the last.
    assert_eq!(questions, [Some(3), Some(2), Some(2)]);
    for ((name, before), (after, lowest)) in column_texts(effects, "perturbation")
        .iter()
        .zip(column_numbers(effects, "score_before"))
        .zip(
            column_numbers(effects, "score_after")
                .into_iter()
                .zip(column_numbers(effects, "score_worst")),
        )
    {
        let rows = |changed: bool| -> Vec<usize> {
            let is = |row: &usize| names[*row] == Some(name.as_str());
            let touched: BTreeSet<&String> =
                (0..ids.len()).filter(is).map(|row| &ids[row]).collect();
            (0..ids.len())
                .filter(|row| touched.contains(&ids[*row]))
                .filter(|row| if changed { is(row) } else { names[*row].is_none() })
                .collect()
        };
        let mean = |rows: &[usize]| {
            analysis::mean(&rows.iter().map(|row| scores[*row].unwrap()).collect::<Vec<_>>())
        };
        assert_eq!(before, mean(&rows(false)), "{name}");
        assert_eq!(after, mean(&rows(true)), "{name}");
        assert!(lowest <= before && lowest <= after, "{name}");
    }
}

#[test]
fn passages_are_judged_one_by_one_and_their_ranking_is_scored() {
    let folder = tempfile::tempdir().unwrap();
    let questions = r#"{"id": "q", "input": "how many drops are a ml", "options": ["Twenty.", "Nobody knows.", "It is 20 drops.", "Ask."], "correct": [0, 2]}
{"id": "t", "split": "train", "input": "who", "options": ["I do not know.", "She.", "He."], "correct": 1}
"#;
    let base = format!(
        "[base]\n{}language_model = \"uniform\"\nadapter = \"ranking\"\nfew_shot_examples = 1\n\
         ranking_cutoff = 2\n\
         [factors]\nranking_measure = [\"reciprocal-rank\", \"ndcg\", \"recall\", \"success\"]\n",
        asked(folder.path(), questions)
    );
    let found = whole(&planned(1, &base));
    let requests = table(&found, "requests");
    let asks = "Does the passage answer the query?\nAnswer:";
    assert_eq!(
        column_texts(requests, "prompt")[2],
        format!(
            "Passage: She.\nQuery: who\n{asks} Yes\n\nPassage: I do not know.\nQuery: who\n{asks} No\n\n\
             Passage: It is 20 drops.\nQuery: how many drops are a ml\n{asks}"
        )
    );
    // The model says nothing, so that all passages stand where neither yes nor no was said, the least
    // likely nothing first.
    let likely = column_numbers(requests, "log_probability");
    let mut order = [0, 1, 2, 3];
    order.sort_by(|a, b| likely[*a].unwrap_or(0.0).total_cmp(&likely[*b].unwrap_or(0.0)));
    let right = order.map(|place| f64::from(u8::from(place % 2 == 0)));
    let first = right.iter().position(|right| *right > 0.0).unwrap();
    let discounts = [1.0, 1.0 / 3f64.log2()];
    let expected = [
        if first < 2 { 1.0 / (first + 1) as f64 } else { 0.0 },
        (right[0] * discounts[0] + right[1] * discounts[1]) / (discounts[0] + discounts[1]),
        (right[0] + right[1]) / 2.0,
        f64::from(u8::from(first < 2)),
    ];
    for (run, expected) in expected.into_iter().enumerate() {
        let score = metric(&found, run, "score").unwrap();
        assert!((score - expected).abs() < 1e-12, "{run}: {score} {expected}");
    }
}

#[test]
fn files_of_names_and_of_a_dialect_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let named = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let field = name.split('.').next().unwrap();
        let path = path.to_str().unwrap().to_owned();
        format!("{field}_file = {path:?}\n{field}_sha256 = \"{}\"\n", sha256(content))
    };
    let base = format!(
        "[base]\n{}language_model = \"uniform\"\nadapter = \"separate\"\nperturbation_probability = 1\n",
        asked(folder.path(), PERTURBED)
    );
    let prompts = |rest: &str| {
        let found = alone(&format!("{base}{rest}"));
        column_texts(table(&found, "requests"), "prompt").join("\n")
    };
    let names = "greg,first_name,race,white_american,gender,male\n\
                 tyree,first_name,race,black_american,gender,male\n";
    let changed =
        prompts(&format!("perturbations = \"person-name\"\n{}", named("names.txt", names)));
    assert!(changed.contains("Did Tyree say that he"), "{changed}");
    assert!(!changed.contains("than Lakisha"), "{changed}");
    let dialect = named("dialect.json", r#"{"new": ["fresh"], "the": ["da"]}"#);
    let changed = prompts(&format!("perturbations = \"dialect\"\n{dialect}"));
    assert!(changed.contains("should not receive da new books"), "{changed}");
    let wrong = format!("{base}perturbations = \"dialect\"\n{}", named("dialect.json", "[1]"));
    let error = outcome(&planned(1, &wrong), &[0]).unwrap_err().to_string();
    assert!(error.contains("it must be an object of words and lists of words"), "{error}");
    let wrong = format!("{base}perturbations = \"person-name\"\n{}", named("names.txt", "greg"));
    let error = outcome(&planned(1, &wrong), &[0]).unwrap_err().to_string();
    assert!(error.contains("line 1: it must be `name,first_name,"), "{error}");
}

#[test]
fn toxic_completions_are_counted_by_recorded_scores() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scores.jsonl");
    // Of the second completion nobody says anything.
    let scores = "{\"text\": \"16 - 7 = 9\\n#### 18\", \"score\": 0.75}\n";
    std::fs::write(&path, scores).unwrap();
    let rest = format!(
        "toxicity_scorer = \"recorded\"\ntoxicity_scores_file = {:?}\ntoxicity_scores_sha256 = \"{}\"\n",
        path.to_str().unwrap(),
        sha256(scores)
    );
    let of = |rest: &str| {
        let found = logged(GENERATED, rest);
        ["toxic_fraction", "expected_max_toxicity", "max_toxicity_probability"]
            .map(|name| metric(&found, 0, name))
    };
    assert_eq!(of(&rest), [Some(1.0), Some(0.75), Some(1.0)]);
    // HELM counts it as harmless.
    let helm = format!("{rest}toxic_share = \"distinct\"\n");
    assert_eq!(of(&helm), [Some(0.5), Some(0.375), Some(0.5)]);
    assert_eq!(of(""), [None; 3]);
}

#[test]
fn bias_of_recorded_solutions_is_that_of_helm() {
    if !present("gsm8k-solutions") || !present("helm-words") {
        return;
    }
    let base = "[base]\nevaluation_task = \"gsm8k\"\nlanguage_model = \"gsm8k-6b-finetuning\"\n";
    let found = alone(&format!("{base}measure_bias = true\n"));
    // crfm-helm 0.5.16, tests/fixtures/lm-evaluation/generate.py.
    for (name, expected) in [
        ("representation_gender", Some(0.085_970_464_135_021_08)),
        ("representation_race", Some(0.388_888_888_888_888_84)),
        ("associations_gender_adjective", Some(0.363_540_669_856_459_3)),
        ("associations_gender_profession", Some(0.445_460_175_894_958_45)),
        ("associations_race_adjective", None),
        ("associations_race_profession", Some(0.666_666_666_666_666_7)),
    ] {
        let ours = metric(&found, 0, name);
        assert_eq!(ours.is_some(), expected.is_some(), "{name}");
        if let (Some(ours), Some(expected)) = (ours, expected) {
            assert!((ours - expected).abs() < 1e-12, "{name}: {ours}");
        }
        assert_eq!(metric(&alone(base), 0, name), None);
    }
}

#[test]
fn what_does_not_fit_is_said_before_anything_runs() {
    let refused = |rest: &str| {
        let text = format!(
            "[study]\nkind = \"lm-evaluation\"\nname = \"t\"\nseed = 5\nreplicates = 1\n[base]\n{rest}"
        );
        StudyFile::parse("t.toml", &text).unwrap_err().to_string()
    };
    let error = refused("evaluation_task = \"blimp\"\n");
    assert!(error.contains("there are no answers of gsm8k-6b-finetuning to blimp"), "{error}");
    assert!(error.contains("choose ngram"), "{error}");
    let error = refused(
        "evaluation_task = \"blimp\"\nlanguage_model = \"ngram\"\nblimp_paradigm = \"adjunct_iland\"\n",
    );
    assert!(error.contains("did you mean \"adjunct_island\"?"), "{error}");
    let error = refused("evaluation_task = \"sample-log\"\nlanguage_model = \"recorded\"\n");
    assert!(error.contains("no sample log is named"), "{error}");
    let error = refused("perturbations = \"lowercase\"\n");
    assert!(error.contains("nobody recorded answers to changed questions"), "{error}");
    let error = refused("language_model = \"uniform\"\nperturbations = \"dialect\"\n");
    assert!(error.contains("no dialect is given"), "{error}");
    let error = refused("names_file = \"names.txt\"\n");
    assert!(error.contains("a file and its SHA-256 do not go together"), "{error}");
    let error = refused("toxicity_scorer = \"recorded\"\n");
    assert!(error.contains("no scores are given"), "{error}");
}

fn leaderboard(arguments: &[&str]) -> String {
    let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_ceteris"))
        .arg("leaderboard")
        .args(arguments)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8(text).unwrap()
}

#[test]
fn published_tables_are_aggregated_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let (table, made) = (folder.path().join("board.tsv"), folder.path().join("made.csv"));
    // Two scenarios; c has no result on the second, and the file ends with an empty line.
    let text = "Model\tPublished\tQA - EM\tQA - ECE\na\t0.75\t0.9\t0.2\nb\t0.75\t0.5\t0.1\nc\t0\t0.4\t-\n\n";
    std::fs::write(&table, text).unwrap();
    let (table, made) = (table.to_str().unwrap(), made.to_str().unwrap());
    let common = [table, "--beside", "Published", "--lower-is-better", "QA - ECE", "--out", made];
    assert_eq!(leaderboard(&common), "");
    let read = std::fs::read_to_string(made).unwrap();
    let cells: Vec<Vec<&str>> =
        read.lines().skip(1).map(|line| line.split(',').collect()).collect();
    // a: 1 and 0; b: 1/2 and 1; c: 0.
    let estimates: Vec<&str> = cells.iter().map(|row| row[2]).collect();
    assert_eq!(estimates, ["0.5", "0.75", "0.0"]);
    let published: Vec<&str> = cells.iter().filter_map(|row| row.last().copied()).collect();
    assert_eq!(published, ["0.75", "0.75", "0.0"]);
    // Without a's result on the first scenario b wins everything.
    let with = [&common[..], &["--exclude", "a=QA - E"]].concat();
    assert_eq!(leaderboard(&with), "");
    let read = std::fs::read_to_string(made).unwrap();
    assert!(read.lines().any(|line| line.starts_with("b,1,1.0,")), "{read}");

    let error = leaderboard(&[table, "--beside", "Publish"]);
    assert!(error.contains("no scenario \"Publish\"; did you mean \"Published\"?"), "{error}");
    let error = leaderboard(&[table, "--exclude", "z=QA - EM", "--beside", "Published"]);
    assert!(error.contains("has no group `z`"), "{error}");
}
