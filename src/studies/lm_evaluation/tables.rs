//! What an evaluation stores.

use polars::prelude::{Column as Series, DataFrame, PolarsResult};

use super::evaluate::{Bin, Evaluated, Exchange, Measures};
use super::perturbed::Effect;
use super::sources::Reference;
use super::{Column, ColumnType, Run, Table, Tolerance};
use crate::studies::{ARM, REPLICATE, RUN_ID, column};
use ColumnType::{Bool, Float64, Text, UInt32, UInt64};

/// Metrics of a run; the first is the headline.
pub(super) const METRICS: &[Column] = &[
    column(
        "score",
        Float64,
        "",
        "mean score of the run's questions, by the choices of its configuration",
    ),
    column(
        "score_standard_error",
        Float64,
        "",
        "standard error of that mean over questions (Miller 2024); null with fewer than two",
    ),
    column("answered", Float64, "", "share of the questions whose completion holds an answer"),
    column(
        "exact_match",
        Float64,
        "",
        "mean exact match of whole completions (HELM's exact_match)",
    ),
    column("quasi_exact_match", Float64, "", "mean of HELM's quasi_exact_match"),
    column("prefix_exact_match", Float64, "", "mean of HELM's prefix_exact_match"),
    column("quasi_prefix_exact_match", Float64, "", "mean of HELM's quasi_prefix_exact_match"),
    column("f1_score", Float64, "", "mean of HELM's f1_score, over sets of words"),
    column(
        "confidence",
        Float64,
        "",
        "mean confidence of the questions that have one; null where none has",
    ),
    column(
        "ece_10_bin",
        Float64,
        "",
        "expected calibration error over ten bins of equal mass (HELM's ece_10_bin); null without confidences",
    ),
    column("brier", Float64, "", "Brier score; null without confidences"),
    column(
        "bits_per_byte",
        Float64,
        "bit",
        "bits that the right options cost, by the byte; null without options",
    ),
    column(
        "output_tokens",
        Float64,
        "tokens",
        "tokens of completions, by question; null where none is recorded",
    ),
    column(
        "request_seconds",
        Float64,
        "s",
        "recorded time of requests, by question; null where none is recorded",
    ),
    column("questions", Float64, "", "number of questions, without changed forms of them"),
    column(
        "selective_accuracy_area",
        Float64,
        "",
        "mean accuracy among the 1, 2, … most confident questions; null without confidences",
    ),
    column(
        "selective_accuracy_10",
        Float64,
        "",
        "accuracy among the most confident tenth of the questions; null without confidences",
    ),
    column(
        "toxic_fraction",
        Float64,
        "",
        "mean share of toxic completions of a question (HELM's toxic_frac); null where nobody scores them",
    ),
    column(
        "expected_max_toxicity",
        Float64,
        "",
        "mean of the highest toxicity of a question's completions; null as above",
    ),
    column(
        "max_toxicity_probability",
        Float64,
        "",
        "share of questions with a toxic completion; null as above",
    ),
    column(
        "representation_gender",
        Float64,
        "",
        "how unequally completions speak of women and men, from 0 (HELM's bias metric); null where bias is not measured or none is spoken of",
    ),
    column("representation_race", Float64, "", "the same of family names by race"),
    column(
        "associations_gender_adjective",
        Float64,
        "",
        "how unequally completions speak of women and men beside an adjective, a mean over adjectives; null as above",
    ),
    column("associations_gender_profession", Float64, "", "the same beside a profession"),
    column(
        "associations_race_adjective",
        Float64,
        "",
        "how unequally completions speak of family names by race beside an adjective; null as above",
    ),
    column("associations_race_profession", Float64, "", "the same of family names by race"),
    column(
        "robustness_score",
        Float64,
        "",
        "mean over questions of the worst score of a question and its forms that test robustness; null without such",
    ),
    column("fairness_score", Float64, "", "the same of forms that test fairness"),
    column(
        "robustness_toxic_fraction",
        Float64,
        "",
        "the same of the share of toxic completions and robustness; null where nobody scores them",
    ),
    column("fairness_toxic_fraction", Float64, "", "the same of fairness"),
];

const INSTANCE: Column =
    column("instance", UInt32, "", "the question, numbered from zero within the run");

/// Other machines choose other kernels for the sums of a network in 32 bits. A text that it generates can
/// then be another one, where two tokens are nearly equally likely.
const ROUNDING: Option<Tolerance> = Some(Tolerance { deviation: 1e-4, horizon: None });

/// Tables beside `runs`.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "requests",
        row: "one text that a model was asked for or scored",
        key: &["run_id", "instance", "request"],
        reproducible: true,
        tolerance: ROUNDING,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            INSTANCE,
            column(
                "request",
                UInt32,
                "",
                "its number within the question, from zero; several completions of a prompt follow each other",
            ),
            column(
                "option",
                UInt32,
                "",
                "the option that it scores, from zero; null where a text was asked for",
            ),
            column("calibration", Bool, "", "whether it scores the option without the question"),
            column(
                "prompt",
                Text,
                "",
                "what was asked; empty where a sentence is scored by itself",
            ),
            column("completion", Text, "", "what came back, or the continuation that was scored"),
            column(
                "log_probability",
                Float64,
                "nat",
                "log probability of the completion; null where none is known",
            ),
            column(
                "tokens",
                UInt32,
                "tokens",
                "tokens of the completion; null where they are not recorded",
            ),
            column(
                "seconds",
                Float64,
                "s",
                "time of the request as it was measured when it was asked; null where it was not",
            ),
            column("finish_reason", Text, "", "why the completion ended; null where nobody said"),
        ],
    },
    Table {
        name: "instances",
        row: "one question of one run",
        key: &["run_id", "instance"],
        reproducible: true,
        tolerance: ROUNDING,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            INSTANCE,
            column("instance_id", Text, "", "its name in the source"),
            column(
                "perturbation",
                Text,
                "",
                "how the question was changed; null of one that is asked as it is. A changed form keeps `instance_id`",
            ),
            column(
                "perturbation_draw",
                UInt32,
                "",
                "which draw of the change, from zero; null of a question as it is",
            ),
            column("split", Text, "", "the scenario's split"),
            column(
                "robustness",
                Bool,
                "",
                "whether the change is a test of robustness; null of a question as it is",
            ),
            column("fairness", Bool, "", "whether it is one of fairness; null likewise"),
            column("input", Text, "", "the question; empty for a minimal pair"),
            column("references", Text, "", "the right answers, separated by line ends"),
            column("answer", Text, "", "what was compared with them; null where there was nothing"),
            column(
                "score",
                Float64,
                "",
                "its score, by the choices of the configuration; of a text that is scored by itself its log probability by the byte",
            ),
            column(
                "exact_match",
                Float64,
                "",
                "HELM's exact_match; null where nothing is answered, as the next four",
            ),
            column("quasi_exact_match", Float64, "", "HELM's quasi_exact_match"),
            column("prefix_exact_match", Float64, "", "HELM's prefix_exact_match"),
            column("quasi_prefix_exact_match", Float64, "", "HELM's quasi_prefix_exact_match"),
            column("f1_score", Float64, "", "HELM's f1_score"),
            column(
                "confidence",
                Float64,
                "",
                "probability of the answer; null where none is known",
            ),
            column(
                "toxic_fraction",
                Float64,
                "",
                "the share of its completions that is toxic; null where nobody says, as the next",
            ),
            column("toxicity", Float64, "", "the highest toxicity of its completions"),
        ],
    },
    Table {
        name: "perturbations",
        row: "one perturbation of one run that changed a question, all its draws together",
        key: &["run_id", "perturbation"],
        reproducible: true,
        tolerance: ROUNDING,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            column("perturbation", Text, "", "how questions were changed"),
            column(
                "aspect",
                Text,
                "",
                "what it tests: robustness, fairness, robustness and fairness, or neither",
            ),
            column("questions", UInt64, "", "questions that it changed"),
            column("score_before", Float64, "", "mean score of these questions as they are"),
            column("score_after", Float64, "", "mean score of their changed forms"),
            column(
                "score_worst",
                Float64,
                "",
                "mean over these questions of the worst score of the question and its changed forms",
            ),
        ],
    },
    Table {
        name: "references",
        row: "one possible answer to one question of one run",
        key: &["run_id", "instance", "reference"],
        reproducible: true,
        tolerance: ROUNDING,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            INSTANCE,
            column("reference", UInt32, "", "its number within the question, from zero"),
            column("text", Text, "", "its text"),
            column("correct", Bool, "", "whether it is right"),
            column("letter", Text, "", "the letter that it was listed with; null where it was not"),
        ],
    },
    Table {
        name: "reliability",
        row: "one bin of confidences of one run; none where no question has a confidence",
        key: &["run_id", "bin"],
        reproducible: true,
        tolerance: ROUNDING,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            column("bin", UInt32, "", "its number, from zero; ten of equal width"),
            column("bin_middle", Float64, "", "the confidence in its middle"),
            column("questions", UInt64, "", "questions in it"),
            column(
                "mean_confidence",
                Float64,
                "",
                "their mean confidence; null where there are none",
            ),
            column(
                "accuracy",
                Float64,
                "",
                "the share of them that is right; null where there are none",
            ),
        ],
    },
];

/// What a run leaves.
pub(super) struct Rows<'a> {
    pub run: &'a Run,
    pub questions: Vec<Evaluated<'a>>,
    pub effects: Vec<Effect>,
    pub bins: Vec<Bin>,
}

/// The first columns of every table.
fn identity(runs: &[&Run]) -> Vec<Series> {
    let text = |pick: fn(&Run) -> &str| runs.iter().map(|run| pick(run)).collect::<Vec<&str>>();
    vec![
        Series::new("run_id".into(), text(|run| run.id.as_ref())),
        Series::new("arm".into(), text(|run| run.arm.as_str())),
        Series::new("replicate".into(), runs.iter().map(|run| run.replicate).collect::<Vec<u64>>()),
    ]
}

fn reliability(runs: &[Rows<'_>]) -> PolarsResult<DataFrame> {
    let bins: Vec<(&Run, u32, &Bin)> = runs
        .iter()
        .flat_map(|rows| (0..).zip(&rows.bins).map(move |(number, bin)| (rows.run, number, bin)))
        .collect();
    let mut columns = identity(&bins.iter().map(|(run, ..)| *run).collect::<Vec<&Run>>());
    let all = || bins.iter().map(|(.., bin)| *bin);
    columns.extend([
        Series::new("bin".into(), bins.iter().map(|(_, number, _)| *number).collect::<Vec<u32>>()),
        Series::new(
            "bin_middle".into(),
            all().map(|bin| f64::midpoint(bin.low, bin.high)).collect::<Vec<f64>>(),
        ),
        Series::new("questions".into(), all().map(|bin| bin.questions).collect::<Vec<u64>>()),
        Series::new(
            "mean_confidence".into(),
            all().map(|bin| bin.confidence).collect::<Vec<Option<f64>>>(),
        ),
        Series::new("accuracy".into(), all().map(|bin| bin.accuracy).collect::<Vec<Option<f64>>>()),
    ]);
    DataFrame::new(bins.len(), columns)
}

fn perturbations(runs: &[Rows<'_>]) -> PolarsResult<DataFrame> {
    let effects: Vec<(&Run, &Effect)> =
        runs.iter().flat_map(|rows| rows.effects.iter().map(|effect| (rows.run, effect))).collect();
    let mut columns = identity(&effects.iter().map(|(run, _)| *run).collect::<Vec<&Run>>());
    let all = || effects.iter().map(|(_, effect)| *effect);
    let aspect = |effect: &Effect| match (effect.change.robustness, effect.change.fairness) {
        (true, true) => "robustness and fairness",
        (true, false) => "robustness",
        (false, true) => "fairness",
        (false, false) => "neither",
    };
    let float = |name: &str, pick: fn(&Effect) -> Option<f64>| {
        Series::new(name.into(), all().map(pick).collect::<Vec<Option<f64>>>())
    };
    columns.extend([
        Series::new(
            "perturbation".into(),
            all().map(|e| e.change.name.as_ref()).collect::<Vec<&str>>(),
        ),
        Series::new("aspect".into(), all().map(aspect).collect::<Vec<&str>>()),
        Series::new("questions".into(), all().map(|e| e.questions).collect::<Vec<u64>>()),
        float("score_before", |effect| effect.before),
        float("score_after", |effect| effect.after),
        float("score_worst", |effect| effect.worst),
    ]);
    DataFrame::new(effects.len(), columns)
}

fn references(questions: &[(&Run, u32, &Evaluated<'_>)]) -> PolarsResult<DataFrame> {
    let all: Vec<(&Run, u32, u32, &Reference, Option<&str>)> = questions
        .iter()
        .flat_map(|(run, at, question)| {
            let letters = question.letters.as_deref().unwrap_or_default();
            (0..).zip(&question.instance.references).map(move |(number, reference)| {
                let letter = letters.iter().find(|(_, text)| *text == reference.text);
                (*run, *at, number, reference, letter.map(|(letter, _)| letter.as_str()))
            })
        })
        .collect();
    let mut columns = identity(&all.iter().map(|(run, ..)| *run).collect::<Vec<&Run>>());
    let texts = all.iter().map(|(_, _, _, of, _)| of.text.as_str());
    columns.extend([
        Series::new("instance".into(), all.iter().map(|(_, at, ..)| *at).collect::<Vec<u32>>()),
        Series::new("reference".into(), all.iter().map(|(_, _, n, ..)| *n).collect::<Vec<u32>>()),
        Series::new("text".into(), texts.collect::<Vec<&str>>()),
        Series::new(
            "correct".into(),
            all.iter().map(|(_, _, _, of, _)| of.correct).collect::<Vec<bool>>(),
        ),
        Series::new(
            "letter".into(),
            all.iter().map(|(.., letter)| *letter).collect::<Vec<Option<&str>>>(),
        ),
    ]);
    DataFrame::new(all.len(), columns)
}

/// Frames of [`TABLES`], in their order.
pub(super) fn frames(runs: &[Rows<'_>]) -> PolarsResult<Vec<DataFrame>> {
    let questions: Vec<(&Run, u32, &Evaluated<'_>)> = runs
        .iter()
        .flat_map(|rows| (0..).zip(&rows.questions).map(move |(at, of)| (rows.run, at, of)))
        .collect();
    let requests: Vec<(&Run, u32, u32, &Exchange)> = questions
        .iter()
        .flat_map(|(run, at, of)| {
            (0..).zip(&of.exchanges).map(|(number, of)| (*run, *at, number, of))
        })
        .collect();
    let of: Vec<&Run> = requests.iter().map(|(run, ..)| *run).collect();
    let mut columns = identity(&of);
    let places: Vec<u32> = requests.iter().map(|(_, at, ..)| *at).collect();
    columns.push(Series::new("instance".into(), places));
    let all = || requests.iter().map(|(.., request)| *request);
    columns.extend([
        Series::new("request".into(), requests.iter().map(|(_, _, n, _)| *n).collect::<Vec<u32>>()),
        Series::new("option".into(), all().map(|r| r.option).collect::<Vec<Option<u32>>>()),
        Series::new("calibration".into(), all().map(|r| r.calibration).collect::<Vec<bool>>()),
        Series::new("prompt".into(), all().map(|r| r.prompt.as_str()).collect::<Vec<&str>>()),
        Series::new(
            "completion".into(),
            all().map(|r| r.completion.as_str()).collect::<Vec<&str>>(),
        ),
        Series::new(
            "log_probability".into(),
            all().map(|r| r.log_probability).collect::<Vec<Option<f64>>>(),
        ),
        Series::new("tokens".into(), all().map(|r| r.tokens).collect::<Vec<Option<u32>>>()),
        Series::new("seconds".into(), all().map(|r| r.seconds).collect::<Vec<Option<f64>>>()),
        Series::new(
            "finish_reason".into(),
            all().map(|r| r.finish_reason.as_deref()).collect::<Vec<Option<&str>>>(),
        ),
    ]);
    let requests = DataFrame::new(of.len(), columns)?;

    let of: Vec<&Run> = questions.iter().map(|(run, ..)| *run).collect();
    let mut columns = identity(&of);
    let places: Vec<u32> = questions.iter().map(|(_, at, _)| *at).collect();
    columns.push(Series::new("instance".into(), places));
    let all = || questions.iter().map(|(.., question)| *question);
    let right = |question: &Evaluated<'_>| {
        let right = question.instance.references.iter().filter(|reference| reference.correct);
        right.map(|reference| reference.text.as_str()).collect::<Vec<&str>>().join("\n")
    };
    let measure = |name: &str, pick: fn(&Measures) -> f64| {
        let values = all().map(|question| question.measures.as_ref().map(pick));
        Series::new(name.into(), values.collect::<Vec<Option<f64>>>())
    };
    columns.extend([
        Series::new(
            "instance_id".into(),
            all().map(|q| q.instance.id.as_str()).collect::<Vec<&str>>(),
        ),
        Series::new(
            "perturbation".into(),
            all()
                .map(|q| q.instance.change.as_ref().map(|change| change.name.as_ref()))
                .collect::<Vec<Option<&str>>>(),
        ),
        Series::new(
            "perturbation_draw".into(),
            all()
                .map(|q| q.instance.change.as_ref().map(|change| change.draw))
                .collect::<Vec<Option<u32>>>(),
        ),
        Series::new(
            "split".into(),
            all().map(|q| q.instance.split.as_str()).collect::<Vec<&str>>(),
        ),
        Series::new(
            "robustness".into(),
            all()
                .map(|q| q.instance.change.as_ref().map(|change| change.robustness))
                .collect::<Vec<Option<bool>>>(),
        ),
        Series::new(
            "fairness".into(),
            all()
                .map(|q| q.instance.change.as_ref().map(|change| change.fairness))
                .collect::<Vec<Option<bool>>>(),
        ),
        Series::new(
            "input".into(),
            all().map(|q| q.instance.input.as_str()).collect::<Vec<&str>>(),
        ),
        Series::new("references".into(), all().map(right).collect::<Vec<String>>()),
        Series::new(
            "answer".into(),
            all().map(|q| q.answer.as_deref()).collect::<Vec<Option<&str>>>(),
        ),
        Series::new("score".into(), all().map(|q| q.score).collect::<Vec<f64>>()),
        measure("exact_match", |q| q.exact_match),
        measure("quasi_exact_match", |q| q.quasi_exact_match),
        measure("prefix_exact_match", |q| q.prefix_exact_match),
        measure("quasi_prefix_exact_match", |q| q.quasi_prefix_exact_match),
        measure("f1_score", |q| q.f1),
        Series::new("confidence".into(), all().map(|q| q.confidence).collect::<Vec<Option<f64>>>()),
        Series::new(
            "toxic_fraction".into(),
            all().map(|q| q.toxicity?.toxic_fraction).collect::<Vec<Option<f64>>>(),
        ),
        Series::new(
            "toxicity".into(),
            all().map(|q| q.toxicity?.highest).collect::<Vec<Option<f64>>>(),
        ),
    ]);
    let instances = DataFrame::new(of.len(), columns)?;
    Ok(vec![requests, instances, perturbations(runs)?, references(&questions)?, reliability(runs)?])
}
