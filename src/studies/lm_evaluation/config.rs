//! The configuration: what is asked, who answers, and every choice by which answers become numbers.

use flags::{Problem, Within};

use super::sources;

flags::levels! {
    /// What is asked.
    pub enum Task {
        /// The 1,319 test questions of GSM8K (Cobbe et al. 2021).
        Gsm8k = "gsm8k",
        /// Ten questions of MMLU philosophy with five examples, as in a recorded HELM run.
        HelmMmluPhilosophy = "helm-mmlu-philosophy",
        /// Ten questions of HellaSwag with five examples, as in a recorded HELM run.
        HelmHellaswag = "helm-hellaswag",
        /// Five questions of NarrativeQA, as in a recorded HELM run.
        HelmNarrativeQa = "helm-narrative-qa",
        /// Minimal pairs of BLiMP (Warstadt et al. 2020): which of two sentences is grammatical.
        Blimp = "blimp",
        /// The sample log of lm-evaluation-harness (`--log_samples`) that `sample_log` names.
        SampleLog = "sample-log",
    }
}

flags::levels! {
    /// Who answers.
    pub enum LanguageModel {
        /// Whoever answered in the recorded run or log.
        Recorded = "recorded",
        /// Recorded solutions of the 6B model of Cobbe et al., fine-tuned.
        Gsm8k6bFinetuning = "gsm8k-6b-finetuning",
        /// Recorded solutions of their 6B model, chosen by a verifier.
        Gsm8k6bVerification = "gsm8k-6b-verification",
        /// Recorded solutions of their 175B model, fine-tuned.
        Gsm8k175bFinetuning = "gsm8k-175b-finetuning",
        /// Recorded solutions of their 175B model, chosen by a verifier.
        Gsm8k175bVerification = "gsm8k-175b-verification",
        /// The built-in n-gram model, trained in the run.
        Ngram = "ngram",
    }
}

flags::levels! {
    /// The questions that count.
    pub enum Split {
        /// All of them.
        All = "all",
        /// Those that the scenario calls validation.
        Valid = "valid",
        /// Those that the scenario calls test.
        Test = "test",
    }
}

flags::levels! {
    /// How a question with options is put to a model.
    pub enum ChoiceAdapter {
        /// One prompt that lists the options with letters; the model chooses a letter.
        Joint = "joint",
        /// One request an option, which is scored by its log probability after the question.
        Separate = "separate",
        /// As separate, minus the option's log probability after "Answer:" alone.
        SeparateCalibrated = "separate-calibrated",
    }
}

flags::levels! {
    /// What the log probability of an option is divided by.
    pub enum ChoiceLength {
        /// Nothing (`acc` of lm-evaluation-harness).
        None = "none",
        /// Its number of tokens (HELM's separate adapter).
        Tokens = "tokens",
        /// Its number of bytes (`acc_bytes` of lm-evaluation-harness).
        Bytes = "bytes",
    }
}

flags::levels! {
    /// What becomes of options that share the highest score.
    pub enum ChoiceTies {
        /// The share of correct ones among them counts (HELM).
        Share = "share",
        /// The first of them is chosen (lm-evaluation-harness). Where the correct one always comes
        /// first, as in BLiMP, every tie then counts as right.
        First = "first",
        /// A tie is no choice and counts as wrong.
        Wrong = "wrong",
    }
}

flags::levels! {
    /// Which part of a completion is the answer.
    pub enum AnswerExtraction {
        /// All of it, without white space around it.
        Whole = "whole",
        /// What follows the last "####" or "A:"; no answer without one.
        Marker = "marker",
        /// The first number.
        FirstNumber = "first-number",
        /// The last number.
        LastNumber = "last-number",
        /// The last number as HELM's expression finds it, in which the decimal point stands for any
        /// character: "12 34" is one number.
        LastNumberHelm = "last-number-helm",
    }
}

flags::levels! {
    /// How answers are brought into one form before they are compared.
    pub enum AnswerNormalization {
        /// White space around them is taken off (HELM's exact match).
        Strip = "strip",
        /// Lower case, without ASCII punctuation and articles, single spaces (HELM's quasi-exact
        /// match). It deletes decimal points: 2.5 and 25 become equal.
        Quasi = "quasi",
        /// As quasi, with articles.
        QuasiArticles = "quasi-keep-articles",
        /// As numbers where they are some, without currency signs and thousands separators.
        Number = "number",
    }
}

flags::levels! {
    /// How an answer is compared with the references; the best reference counts.
    pub enum AnswerScore {
        /// Equal.
        Match = "match",
        /// It begins with the reference.
        PrefixMatch = "prefix-match",
        /// Harmonic mean of precision and recall of words, each as often as it occurs (Rajpurkar et
        /// al. 2016).
        F1 = "f1",
        /// The same of sets of words (HELM): a word counts once, however often it occurs.
        F1Set = "f1-set",
    }
}

flags::levels! {
    /// What a recorded log probability of exactly zero for every token means.
    pub enum ZeroLogProbability {
        /// That none was recorded.
        Missing = "missing",
        /// Certainty (HELM, which then reports a confidence and a perplexity of 1).
        Certain = "certain",
    }
}

flags::levels! {
    /// What confidences are compared with.
    pub enum CalibrationOutcome {
        /// The score of the run. Questions with partial credit are neither right nor wrong and are left
        /// out.
        Score = "score",
        /// The exact match rounded down, whatever the score (HELM): ties between options count as wrong.
        ExactMatch = "exact-match",
    }
}

flags::levels! {
    /// What the n-gram model is trained on.
    pub enum NgramText {
        /// The 1,319 questions of GSM8K's test set: ordinary English of another kind.
        Gsm8kQuestions = "gsm8k-questions",
        /// The grammatical sentences of all BLiMP paradigms of other linguistic terms: the same
        /// generator and vocabulary, other constructions.
        BlimpOtherTerms = "blimp-other-terms",
    }
}

flags::flags! {
    /// An evaluation.
    pub struct EvaluationConfig {
        /// What is asked.
        #[flag(group = "LM evaluation: questions and models", unit = "", source = "Liang et al. 2023", shape)]
        pub evaluation_task: Task = Task::Gsm8k,
        /// Who answers.
        #[flag(group = "LM evaluation: questions and models", unit = "", source = "Liang et al. 2023", shape)]
        pub language_model: LanguageModel = LanguageModel::Gsm8k6bFinetuning,
        /// The BLiMP paradigm, by its UID, or "all": all 67.
        #[flag(group = "LM evaluation: questions and models", unit = "", source = "Warstadt et al. 2020")]
        pub blimp_paradigm: String = "all".to_owned(),
        /// The sample log, by its path; empty where the task is another.
        #[flag(group = "LM evaluation: questions and models", unit = "", source = "lm-evaluation-harness", shape)]
        pub sample_log: String = String::new(),
        /// SHA-256 of the sample log, so that what it holds is part of the run's identity; empty where
        /// the task is another.
        #[flag(group = "LM evaluation: questions and models", unit = "", source = "this project", shape)]
        pub sample_log_sha256: String = String::new(),
        /// The questions that count.
        #[flag(group = "LM evaluation: questions and models", unit = "", source = "HELM")]
        pub evaluation_split: Split = Split::All,
        /// Into how many parts the questions are cut at random, of equal size up to one. Replicate r
        /// (from 0) answers part r, so that replicates are disjoint samples of questions and the spread
        /// between them is that of the questions. 1: every replicate answers all of them.
        #[flag(group = "LM evaluation: questions and models", unit = "", within = Within::at_least(1.0), source = "this project")]
        pub evaluation_parts: u32 = 1,
        /// How a question with options is put to the n-gram model.
        #[flag(group = "LM evaluation: options", unit = "", source = "HELM, adapters")]
        pub choice_adapter: ChoiceAdapter = ChoiceAdapter::Separate,
        /// What the log probability of an option is divided by.
        #[flag(group = "LM evaluation: options", unit = "", source = "HELM; lm-evaluation-harness")]
        pub choice_length: ChoiceLength = ChoiceLength::None,
        /// What becomes of options that share the highest score.
        #[flag(group = "LM evaluation: options", unit = "", source = "HELM; lm-evaluation-harness")]
        pub choice_ties: ChoiceTies = ChoiceTies::Share,
        /// Which part of a completion is the answer.
        #[flag(group = "LM evaluation: answers", unit = "", source = "HELM; Cobbe et al. 2021")]
        pub answer_extraction: AnswerExtraction = AnswerExtraction::Whole,
        /// How answers are brought into one form before they are compared.
        #[flag(group = "LM evaluation: answers", unit = "", source = "HELM")]
        pub answer_normalization: AnswerNormalization = AnswerNormalization::Strip,
        /// How an answer is compared with the references.
        #[flag(group = "LM evaluation: answers", unit = "", source = "HELM; Rajpurkar et al. 2016")]
        pub answer_score: AnswerScore = AnswerScore::Match,
        /// What a recorded log probability of exactly zero for every token means.
        #[flag(group = "LM evaluation: calibration", unit = "", source = "HELM")]
        pub zero_log_probability: ZeroLogProbability = ZeroLogProbability::Missing,
        /// What confidences are compared with.
        #[flag(group = "LM evaluation: calibration", unit = "", source = "HELM")]
        pub calibration_outcome: CalibrationOutcome = CalibrationOutcome::Score,
        /// What the n-gram model is trained on.
        #[flag(group = "LM evaluation: n-gram model", unit = "", source = "this project", shape)]
        pub ngram_text: NgramText = NgramText::Gsm8kQuestions,
        /// Words of an n-gram, the predicted one included.
        #[flag(group = "LM evaluation: n-gram model", unit = "words", within = Within::closed(1.0, 5.0), source = "Chen and Goodman 1999", shape)]
        pub ngram_order: u32 = 3,
        /// Discount of interpolated Kneser-Ney smoothing.
        #[flag(group = "LM evaluation: n-gram model", unit = "", within = Within::above_up_to(0.0, 1.0), source = "Chen and Goodman 1999", shape)]
        pub ngram_discount: f64 = 0.75,
    }
}

impl EvaluationConfig {
    /// What does not fit together.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut report = |fields: &[&'static str], message: String, help: &str| {
            let (fields, help) = (fields.to_vec(), help.to_owned());
            problems.push(Problem { fields, message, help });
        };
        let (task, model) = (self.evaluation_task, self.language_model);
        let models: &[LanguageModel] = match task {
            Task::Gsm8k => &[
                LanguageModel::Gsm8k6bFinetuning,
                LanguageModel::Gsm8k6bVerification,
                LanguageModel::Gsm8k175bFinetuning,
                LanguageModel::Gsm8k175bVerification,
            ],
            Task::HelmMmluPhilosophy | Task::HelmHellaswag => {
                &[LanguageModel::Recorded, LanguageModel::Ngram]
            }
            Task::HelmNarrativeQa | Task::SampleLog => &[LanguageModel::Recorded],
            Task::Blimp => &[LanguageModel::Ngram],
        };
        if !models.contains(&model) {
            let names: Vec<&str> = models.iter().map(|model| model.name()).collect();
            report(
                &["language_model", "evaluation_task"],
                format!("there are no answers of {model} to {task}"),
                &format!("choose {}", names.join(", ")),
            );
        }
        let paradigm = self.blimp_paradigm.as_str();
        if paradigm != "all" && sources::term(paradigm).is_none() {
            let names = sources::paradigms().chain(["all"]);
            let near = flags::nearest(paradigm, names).unwrap_or("all");
            report(
                &["blimp_paradigm"],
                format!("BLiMP has no paradigm {paradigm:?}"),
                &format!("did you mean {near:?}?"),
            );
        }
        if task == Task::Blimp && self.choice_adapter != ChoiceAdapter::Separate {
            report(
                &["choice_adapter", "evaluation_task"],
                "a minimal pair has no question that options could be listed under".to_owned(),
                "choose separate",
            );
        }
        if task == Task::SampleLog {
            let digits = self
                .sample_log_sha256
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
            if self.sample_log.is_empty() {
                report(
                    &["sample_log"],
                    "no sample log is named".to_owned(),
                    "set it to the path of a samples_*.jsonl file",
                );
            }
            if self.sample_log_sha256.len() != 64 || !digits {
                report(
                    &["sample_log_sha256"],
                    "the sample log has no SHA-256".to_owned(),
                    "set it to the 64 lower-case digits that sha256sum prints for the file",
                );
            }
        }
        problems
    }

    /// About how many requests a run has.
    pub(super) fn requests(&self) -> u64 {
        let all = match self.evaluation_task {
            Task::Gsm8k | Task::SampleLog => 1319,
            Task::HelmMmluPhilosophy | Task::HelmHellaswag => 10,
            Task::HelmNarrativeQa => 5,
            Task::Blimp if self.blimp_paradigm == "all" => 134_000,
            Task::Blimp => 2_000,
        };
        u64::max(all / u64::from(self.evaluation_parts), 1)
    }
}
