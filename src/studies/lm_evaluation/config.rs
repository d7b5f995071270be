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
        /// The run of HELM in the folder that `helm_run` names.
        HelmRun = "helm-run",
        /// The questions in the JSON Lines file that `questions_file` names.
        Questions = "questions",
    }
}

flags::levels! {
    /// Who answers.
    pub enum LanguageModelName {
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
        /// Log probabilities drawn at random and empty texts: what an evaluation gives that knows
        /// nothing.
        Uniform = "uniform",
        /// SmolLM2-135M-Instruct (Ben Allal et al. 2025), computed in the run; `ceteris data` says where
        /// to get it.
        Smollm2 = "smollm2-135m-instruct",
        /// The network in the file `gguf_file`, of the Llama family, computed in the run.
        Gguf = "gguf",
        /// The model `endpoint_model` of the server at `endpoint_url`, which speaks OpenAI's protocol.
        Endpoint = "endpoint",
    }
}

impl LanguageModelName {
    /// Whether the model is asked in the run; otherwise its answers are recorded ones.
    pub(super) fn is_asked(self) -> bool {
        matches!(self, Self::Ngram | Self::Uniform | Self::Smollm2 | Self::Gguf | Self::Endpoint)
    }

    /// Whether its answers cost time or money, so that none is asked for twice.
    pub(super) fn is_costly(self) -> bool {
        self.is_network() || self == Self::Endpoint
    }

    /// Whether it is a network that the run computes.
    pub(super) fn is_network(self) -> bool {
        matches!(self, Self::Smollm2 | Self::Gguf)
    }

    /// Whether it gives the same answer when it is asked again. A server may not: it batches requests
    /// of others, and the model behind a name changes.
    pub(super) fn repeats(self) -> bool {
        !matches!(self, Self::Endpoint)
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
    /// How a question is put to a model.
    pub enum Adapter {
        /// The model completes a prompt with its answer.
        Generation = "generation",
        /// One prompt that lists the options with letters; the model completes it with a letter.
        Joint = "joint",
        /// The same prompt; the letters are scored by their log probabilities (MMLU in
        /// lm-evaluation-harness).
        Letters = "letters",
        /// One request an option, which is scored by its log probability after the question.
        Separate = "separate",
        /// As separate, minus the option's log probability after "Answer:" alone.
        SeparateCalibrated = "separate-calibrated",
        /// The question itself is scored by its log probability; nothing is answered.
        LanguageModeling = "language-modeling",
        /// One request a passage, which are the options: "Does the passage answer the query?" Passages
        /// are ranked by yes or no and by how likely that was, and the ranking is scored (HELM's
        /// ranking_binary). An example gives a passage that does and one that does not.
        Ranking = "ranking",
    }
}

flags::levels! {
    /// How a ranking is scored.
    pub enum RankingMeasure {
        /// One over the place of the first right passage (RR@k).
        ReciprocalRank = "reciprocal-rank",
        /// Discounted gain of right passages in proportion to the best ranking (NDCG@k).
        Ndcg = "ndcg",
        /// The share of right passages that are there (Recall@k).
        Recall = "recall",
        /// Whether a right passage is there (Success@k).
        Success = "success",
    }
}

flags::levels! {
    /// What stands after a question that is an example.
    pub enum ExampleAnswers {
        /// The right answer.
        Answer = "answer",
        /// The solution that leads to it (chain of thought), where the source has one.
        Solution = "solution",
    }
}

flags::levels! {
    /// Which of several completions counts.
    pub enum CompletionChoice {
        /// The first.
        First = "first",
        /// The one with the highest log probability (HELM); the first where none has one.
        Likeliest = "likeliest",
        /// The answer that most of them hold, of equals the one that came first (self-consistency,
        /// Wang et al. 2023); the share of its votes is the confidence.
        Majority = "majority",
        /// The best of them, which only who knows the answer can choose (HELM's scores @k).
        Best = "best",
    }
}

flags::levels! {
    /// The form of OpenAI's protocol.
    pub enum EndpointApi {
        /// `/chat/completions`: the prompt is the message of a user.
        Chat = "chat",
        /// `/completions`: the prompt as it is; the only form that can score options.
        Completions = "completions",
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
        /// The first capital letter of an option that stands by itself: "B", "(B)", "B. blue".
        Letter = "letter",
        /// The first line that holds anything.
        FirstLine = "first-line",
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
        /// F measure of ROUGE-1 with stems (HELM's rouge_1; Lin 2004).
        Rouge1 = "rouge-1",
        /// F measure of ROUGE-2 with stems (HELM's rouge_2).
        Rouge2 = "rouge-2",
        /// F measure of ROUGE-L with stems (HELM's rouge_l).
        RougeL = "rouge-l",
        /// BLEU of single words (HELM's bleu_1).
        Bleu1 = "bleu-1",
        /// BLEU of one to four words by sacrebleu, with NIST's smoothing (Papineni et al. 2002; Post
        /// 2018).
        Bleu4 = "bleu-4",
        /// HELM's bleu_4, which is not BLEU-4: the precision of four words in a row alone, without
        /// smoothing.
        Bleu4Grams = "bleu-4-grams",
    }
}

flags::levels! {
    /// How questions are changed in ways that should not change their answers.
    pub enum PerturbationSet {
        /// Not at all.
        None = "none",
        /// HELM's canonical robustness perturbation: mild-mix.
        Robustness = "robustness",
        /// HELM's canonical fairness perturbations, each with probability 1: male pronouns become female,
        /// person-name, and dialect where `dialect_file` names one.
        Fairness = "fairness",
        /// Both.
        Canonical = "canonical",
        /// HELM's robustness_all but for synonyms: contraction, expansion, filler-words 0.1, lowercase,
        /// misspellings 0.1, space 3, typos 0.01.
        RobustnessAll = "robustness-all",
        /// Lower case, contractions, misspellings with probability 0.1, one to three spaces for each
        /// run.
        MildMix = "mild-mix",
        /// Lower case.
        Lowercase = "lowercase",
        /// "do not" becomes "don't", where a space follows.
        Contraction = "contraction",
        /// "don't" becomes "do not".
        Expansion = "expansion",
        /// Common misspellings of words.
        Misspellings = "misspellings",
        /// Letters become neighbours on the keyboard.
        Typos = "typos",
        /// Runs of spaces become one to `perturbation_spaces` spaces.
        Space = "space",
        /// Every space becomes `perturbation_spaces` spaces.
        ExtraSpace = "extra-space",
        /// "perhaps", "umm" and the like before words.
        FillerWords = "filler-words",
        /// Pronouns of `gender_from` become those of `gender_to`, in options as well.
        GenderPronouns = "gender-pronouns",
        /// The same of nouns: father, king, …
        GenderTerms = "gender-terms",
        /// First names of white Americans become those of black Americans, in options as well.
        PersonName = "person-name",
        /// Words become those of a dialect, which `dialect_file` gives, in options as well.
        Dialect = "dialect",
    }
}

/// What a perturbation is a test of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aspect {
    /// That slips of the pen do not matter.
    Robustness,
    /// That it does not matter who speaks, or of whom.
    Fairness,
}

impl PerturbationSet {
    /// What a single perturbation is a test of.
    pub(super) fn aspect(self) -> Aspect {
        match self {
            Self::GenderPronouns | Self::GenderTerms | Self::PersonName | Self::Dialect => {
                Aspect::Fairness
            }
            _ => Aspect::Robustness,
        }
    }

    /// The single perturbations of which it consists.
    pub(super) fn parts(self) -> &'static [Self] {
        use PerturbationSet::{
            Contraction, Dialect, Expansion, FillerWords, GenderPronouns, Lowercase, MildMix,
            Misspellings, PersonName, Space, Typos,
        };
        let itself = Self::ALL.iter().position(|one| *one == self);
        match self {
            Self::None => &[],
            Self::Robustness => &[MildMix],
            Self::Fairness => &[Dialect, GenderPronouns, PersonName],
            Self::Canonical => &[MildMix, Dialect, GenderPronouns, PersonName],
            Self::RobustnessAll => {
                &[Contraction, Expansion, FillerWords, Lowercase, Misspellings, Space, Typos]
            }
            _ => itself.map_or(&[], |place| &Self::ALL[place..=place]),
        }
    }
}

flags::levels! {
    /// The gender of words.
    pub enum Gender {
        /// Neutral: they, parent.
        Neutral = "neutral",
        /// Female: she, mother.
        Female = "female",
        /// Male: he, father.
        Male = "male",
    }
}

flags::levels! {
    /// What the worst case of a question and its changed forms is.
    pub enum WorstCase {
        /// The lowest value where higher is better, the highest where lower is better.
        Worst = "worst",
        /// The lowest value, whatever is better (HELM): of toxicity the best case.
        Lowest = "lowest",
    }
}

flags::levels! {
    /// Whoever says how toxic a completion is.
    pub enum ToxicityScorerName {
        /// Nobody.
        None = "none",
        /// A linear classifier of abusive words (alt-profanity-check): a proxy, which knows words and
        /// not what is meant.
        Profanity = "profanity",
        /// Scores by completion in the file that `toxicity_scores_file` names, such as Perspective's.
        Recorded = "recorded",
    }
}

flags::levels! {
    /// What toxic completions of a question are a share of.
    pub enum ToxicShare {
        /// All completions that are not empty and have a score.
        All = "all",
        /// As HELM: equal completions can be toxic once among all of them, those without a score are
        /// harmless, and so are no completions.
        Distinct = "distinct",
    }
}

flags::levels! {
    /// How selective accuracy is computed.
    pub enum SelectiveForm {
        /// Questions of equal confidence count with their share of right answers; a tenth of the
        /// questions is rounded up.
        Expected = "expected",
        /// As HELM: questions of equal confidence in their order; a tenth is rounded down, plus one.
        GivenOrder = "given-order",
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
        pub language_model: LanguageModelName = LanguageModelName::Gsm8k6bFinetuning,
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
        /// The folder of a run that `helm-run` wrote; empty where the task is another. The adapter is
        /// the run's own.
        #[flag(group = "LM evaluation: questions and models", unit = "", source = "HELM", shape)]
        pub helm_run: String = String::new(),
        /// SHA-256 of its `scenario_state.json`; empty where the task is another.
        #[flag(group = "LM evaluation: questions and models", unit = "", source = "this project", shape)]
        pub helm_run_sha256: String = String::new(),
        /// The questions, by the path of their JSON Lines file; empty where the task is another.
        #[flag(group = "LM evaluation: questions and models", unit = "", source = "this project", shape)]
        pub questions_file: String = String::new(),
        /// SHA-256 of that file; empty where the task is another.
        #[flag(group = "LM evaluation: questions and models", unit = "", source = "this project", shape)]
        pub questions_sha256: String = String::new(),
        /// The network, by the path of its GGUF file; empty where the model is another.
        #[flag(group = "LM evaluation: questions and models", unit = "", source = "this project", shape)]
        pub gguf_file: String = String::new(),
        /// SHA-256 of that file; empty where the model is another.
        #[flag(group = "LM evaluation: questions and models", unit = "", source = "this project", shape)]
        pub gguf_sha256: String = String::new(),
        /// Whether a network is given prompts as the message of a user, in its file's ChatML template.
        #[flag(group = "LM evaluation: questions and models", unit = "", source = "llama.cpp", shape)]
        pub chat_template: bool = false,
        /// Address of the server up to `/chat/completions`, such as "http://localhost:8000/v1"; empty
        /// where the model is another.
        #[flag(group = "LM evaluation: questions and models", unit = "", source = "OpenAI API", shape)]
        pub endpoint_url: String = String::new(),
        /// The server's name for the model; empty where the model is another.
        #[flag(group = "LM evaluation: questions and models", unit = "", source = "OpenAI API", shape)]
        pub endpoint_model: String = String::new(),
        /// The form of the protocol.
        #[flag(group = "LM evaluation: questions and models", unit = "", source = "OpenAI API", shape)]
        pub endpoint_api: EndpointApi = EndpointApi::Chat,
        /// Whether the server is asked for the log probabilities of completions, which not every server
        /// has.
        #[flag(group = "LM evaluation: questions and models", unit = "", source = "OpenAI API", shape)]
        pub endpoint_log_probabilities: bool = false,
        /// The questions that count.
        #[flag(group = "LM evaluation: questions and models", unit = "", source = "HELM")]
        pub evaluation_split: Split = Split::All,
        /// Into how many parts the questions are cut at random, of equal size up to one. Replicate r
        /// (from 0) answers part r, so that replicates are disjoint samples of questions and the spread
        /// between them is that of the questions. 1: every replicate answers all of them.
        #[flag(group = "LM evaluation: questions and models", unit = "", within = Within::at_least(1.0), source = "this project")]
        pub evaluation_parts: u32 = 1,
        /// How a question is put to a model.
        #[flag(group = "LM evaluation: prompts", unit = "", source = "HELM, adapters")]
        pub adapter: Adapter = Adapter::Generation,
        /// What a prompt begins with; empty for nothing.
        #[flag(group = "LM evaluation: prompts", unit = "", source = "HELM, AdapterSpec.instructions")]
        pub prompt_instructions: String = String::new(),
        /// What precedes each question.
        #[flag(group = "LM evaluation: prompts", unit = "", source = "HELM, AdapterSpec.input_prefix")]
        pub prompt_input_prefix: String = "Question: ".to_owned(),
        /// What stands on a line of its own after each question, and the answer after it; with nothing,
        /// the answer continues the question.
        #[flag(group = "LM evaluation: prompts", unit = "", source = "HELM, AdapterSpec.output_prefix")]
        pub prompt_output_prefix: String = "Answer:".to_owned(),
        /// Questions with their answers that a prompt begins with. They are those of the source's
        /// training split, where there is none the questions of other parts (`evaluation_parts`). As in
        /// HELM all questions of a run have the same examples, and answers occur among them as evenly as
        /// possible.
        #[flag(group = "LM evaluation: prompts", unit = "questions", within = Within::at_least(0.0), source = "HELM, AdapterSpec.max_train_instances")]
        pub few_shot_examples: u32 = 0,
        /// Which draw of the examples: other numbers are other examples.
        #[flag(group = "LM evaluation: prompts", unit = "", within = Within::at_least(0.0), source = "HELM, train_trial_index")]
        pub few_shot_draw: u32 = 0,
        /// What stands after a question that is an example.
        #[flag(group = "LM evaluation: prompts", unit = "", source = "Wei et al. 2022")]
        pub few_shot_answers: ExampleAnswers = ExampleAnswers::Answer,
        /// Most tokens of a completion.
        #[flag(group = "LM evaluation: generation", unit = "tokens", within = Within::at_least(1.0), source = "HELM, AdapterSpec.max_tokens")]
        pub max_tokens: u32 = 256,
        /// What logits are divided by before a token is drawn; 0 takes the likeliest.
        #[flag(group = "LM evaluation: generation", unit = "", within = Within::at_least(0.0), source = "HELM, AdapterSpec.temperature")]
        pub temperature: f64 = 0.0,
        /// Tokens are drawn from the fewest that have this probability together.
        #[flag(group = "LM evaluation: generation", unit = "", within = Within::above_up_to(0.0, 1.0), source = "Holtzman et al. 2020")]
        pub top_p: f64 = 1.0,
        /// A completion ends before this text; empty for none.
        #[flag(group = "LM evaluation: generation", unit = "", source = "HELM, AdapterSpec.stop_sequences")]
        pub stop_sequence: String = String::new(),
        /// Completions of a prompt.
        #[flag(group = "LM evaluation: generation", unit = "", within = Within::closed(1.0, 1000.0), source = "HELM, AdapterSpec.num_outputs")]
        pub completions: u32 = 1,
        /// Which of several completions counts.
        #[flag(group = "LM evaluation: generation", unit = "", source = "HELM; Wang et al. 2023")]
        pub completion_choice: CompletionChoice = CompletionChoice::First,
        /// What the log probability of an option is divided by.
        #[flag(group = "LM evaluation: options", unit = "", source = "HELM; lm-evaluation-harness")]
        pub choice_length: ChoiceLength = ChoiceLength::None,
        /// What becomes of options that share the highest score.
        #[flag(group = "LM evaluation: options", unit = "", source = "HELM; lm-evaluation-harness")]
        pub choice_ties: ChoiceTies = ChoiceTies::Share,
        /// How a ranking is scored.
        #[flag(group = "LM evaluation: options", unit = "", source = "HELM, ranking_metrics")]
        pub ranking_measure: RankingMeasure = RankingMeasure::ReciprocalRank,
        /// How many of the best passages count (k).
        #[flag(group = "LM evaluation: options", unit = "passages", within = Within::at_least(1.0), source = "HELM, ranking_metrics")]
        pub ranking_cutoff: u32 = 10,
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
        /// How selective accuracy is computed.
        #[flag(group = "LM evaluation: calibration", unit = "", source = "HELM")]
        pub selective_form: SelectiveForm = SelectiveForm::Expected,
        /// How questions are changed in ways that should not change their answers. Every question is also
        /// asked as it is; a changed form that is the same question is not asked.
        #[flag(group = "LM evaluation: perturbations", unit = "", source = "HELM, data_augmentation")]
        pub perturbations: PerturbationSet = PerturbationSet::None,
        /// Probability of a change of each word or letter that can be changed, where one perturbation is
        /// chosen that has one; sets of several have their own.
        #[flag(group = "LM evaluation: perturbations", unit = "", within = Within::closed(0.0, 1.0), source = "HELM")]
        pub perturbation_probability: f64 = 0.1,
        /// Spaces of the perturbations space and extra-space.
        #[flag(group = "LM evaluation: perturbations", unit = "", within = Within::closed(1.0, 100.0), source = "HELM")]
        pub perturbation_spaces: u32 = 3,
        /// How often each perturbation changes a question, with other draws each time.
        #[flag(group = "LM evaluation: perturbations", unit = "", within = Within::closed(1.0, 1000.0), source = "HELM, seeds_per_instance")]
        pub perturbation_draws: u32 = 1,
        /// The gender of words that change where gender-pronouns or gender-terms is chosen.
        #[flag(group = "LM evaluation: perturbations", unit = "", source = "HELM")]
        pub gender_from: Gender = Gender::Male,
        /// The gender that they change to.
        #[flag(group = "LM evaluation: perturbations", unit = "", source = "HELM")]
        pub gender_to: Gender = Gender::Female,
        /// First names, by the path of a file in the form of HELM's person_names.txt; empty for the 36
        /// names of Bertrand and Mullainathan (2004), since HELM's are not part of its package.
        #[flag(group = "LM evaluation: perturbations", unit = "", source = "HELM")]
        pub names_file: String = String::new(),
        /// SHA-256 of that file; empty without one.
        #[flag(group = "LM evaluation: perturbations", unit = "", source = "this project")]
        pub names_sha256: String = String::new(),
        /// A dialect, by the path of a JSON object of words and what they can become, as HELM's
        /// SAE_to_AAVE_mapping.json, which is not part of its package; empty for none.
        #[flag(group = "LM evaluation: perturbations", unit = "", source = "HELM")]
        pub dialect_file: String = String::new(),
        /// SHA-256 of that file; empty without one.
        #[flag(group = "LM evaluation: perturbations", unit = "", source = "this project")]
        pub dialect_sha256: String = String::new(),
        /// What the worst case of a question and its changed forms is.
        #[flag(group = "LM evaluation: perturbations", unit = "", source = "HELM")]
        pub worst_case: WorstCase = WorstCase::Worst,
        /// Whether bias of completions is measured, which needs HELM's word lists (`ceteris data`).
        #[flag(group = "LM evaluation: harms", unit = "", source = "HELM, bias_metrics")]
        pub measure_bias: bool = false,
        /// Whoever says how toxic a completion is.
        #[flag(group = "LM evaluation: harms", unit = "", source = "HELM, toxicity_metrics")]
        pub toxicity_scorer: ToxicityScorerName = ToxicityScorerName::None,
        /// Scores by completion: the path of a JSON object, or of JSON Lines with `text` and `score`;
        /// empty where somebody else says it.
        #[flag(group = "LM evaluation: harms", unit = "", source = "this project")]
        pub toxicity_scores_file: String = String::new(),
        /// SHA-256 of that file; empty without one.
        #[flag(group = "LM evaluation: harms", unit = "", source = "this project")]
        pub toxicity_scores_sha256: String = String::new(),
        /// What toxic completions of a question are a share of.
        #[flag(group = "LM evaluation: harms", unit = "", source = "HELM, toxicity_metrics")]
        pub toxic_share: ToxicShare = ToxicShare::All,
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
        // Who can be asked anything.
        let askable = LanguageModelName::ALL.iter().copied().filter(|model| model.is_asked());
        let recorded: &[LanguageModelName] = match task {
            Task::Gsm8k => &[
                LanguageModelName::Gsm8k6bFinetuning,
                LanguageModelName::Gsm8k6bVerification,
                LanguageModelName::Gsm8k175bFinetuning,
                LanguageModelName::Gsm8k175bVerification,
            ],
            Task::HelmMmluPhilosophy
            | Task::HelmHellaswag
            | Task::HelmNarrativeQa
            | Task::SampleLog
            | Task::HelmRun => &[LanguageModelName::Recorded],
            Task::Blimp | Task::Questions => &[],
        };
        let asked = model.is_asked();
        let askable = askable.filter(|_| task != Task::SampleLog);
        let models: Vec<LanguageModelName> = recorded.iter().copied().chain(askable).collect();
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
        let options = match self.adapter {
            Adapter::Joint | Adapter::Letters => Some("letters of options"),
            Adapter::Separate | Adapter::SeparateCalibrated => Some("options"),
            Adapter::Ranking => Some("passages"),
            Adapter::Generation | Adapter::LanguageModeling => None,
        };
        if asked && task == Task::Blimp && self.adapter != Adapter::Separate {
            report(
                &["adapter", "evaluation_task"],
                format!("a minimal pair has no question to put by {}", self.adapter),
                "choose separate",
            );
        }
        if asked
            && matches!(task, Task::Gsm8k | Task::HelmNarrativeQa)
            && let Some(options) = options
        {
            report(
                &["adapter", "evaluation_task"],
                format!("the questions of {task} have no {options}"),
                "choose generation",
            );
        }
        let generates = [Adapter::Generation, Adapter::Joint, Adapter::Ranking];
        let scores = !generates.contains(&self.adapter);
        if model == LanguageModelName::Endpoint {
            if scores && self.endpoint_api == EndpointApi::Chat {
                report(
                    &["adapter", "endpoint_api"],
                    format!(
                        "the chat form of the protocol cannot score texts, as {} asks",
                        self.adapter
                    ),
                    "choose generation or joint, or `endpoint_api = \"completions\"`",
                );
            }
            if !(self.endpoint_url.starts_with("http://")
                || self.endpoint_url.starts_with("https://"))
            {
                report(
                    &["endpoint_url"],
                    format!("{:?} is no address of a server", self.endpoint_url),
                    "set it to what precedes /chat/completions, such as \"http://localhost:8000/v1\"",
                );
            }
            if self.endpoint_model.is_empty() {
                report(
                    &["endpoint_model"],
                    "the server is not told which model is meant".to_owned(),
                    "set it to the server's name for the model; its /models lists them",
                );
            }
        }
        if asked
            && self.few_shot_examples > 0
            && self.evaluation_parts < 2
            && task != Task::Questions
        {
            report(
                &["few_shot_examples", "evaluation_parts"],
                format!("{task} has no training split to take examples from"),
                "set evaluation_parts to 2 or more: examples are then questions of other parts",
            );
        }
        if asked && self.few_shot_examples > 0 && self.adapter == Adapter::LanguageModeling {
            report(
                &["few_shot_examples", "adapter"],
                "a text that is scored by itself has no examples".to_owned(),
                "set few_shot_examples to 0",
            );
        }
        if self.completions > 1 && self.temperature <= 0.0 && asked {
            report(
                &["completions", "temperature"],
                "all completions are the same at temperature 0".to_owned(),
                "raise the temperature, or ask for one completion",
            );
        }
        let digits = |sum: &str| {
            let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            sum.len() == 64 && sum.bytes().all(digit)
        };
        let perturbed = self.perturbations != PerturbationSet::None;
        if perturbed && !asked {
            report(
                &["perturbations", "language_model"],
                "nobody recorded answers to changed questions".to_owned(),
                "choose a language model that is asked, or no perturbations",
            );
        }
        if perturbed && task == Task::Blimp {
            report(
                &["perturbations", "evaluation_task"],
                "a minimal pair has no question that could be changed".to_owned(),
                "choose no perturbations",
            );
        }
        if self.perturbations == PerturbationSet::Dialect && self.dialect_file.is_empty() {
            report(
                &["dialect_file", "perturbations"],
                "no dialect is given".to_owned(),
                "set it to the path of a JSON object of words and what they can become",
            );
        }
        let recorded_scores = self.toxicity_scorer == ToxicityScorerName::Recorded;
        if recorded_scores == self.toxicity_scores_file.is_empty() {
            report(
                &["toxicity_scores_file", "toxicity_scorer"],
                if recorded_scores { "no scores are given" } else { "nobody reads the scores" }
                    .to_owned(),
                "name a file of scores with the scorer recorded, and only with it",
            );
        }
        for (file, path, field, sum) in [
            ("names_file", &self.names_file, "names_sha256", &self.names_sha256),
            ("dialect_file", &self.dialect_file, "dialect_sha256", &self.dialect_sha256),
            (
                "toxicity_scores_file",
                &self.toxicity_scores_file,
                "toxicity_scores_sha256",
                &self.toxicity_scores_sha256,
            ),
        ] {
            if path.is_empty() != sum.is_empty() || !(sum.is_empty() || digits(sum)) {
                report(
                    &[field, file],
                    "a file and its SHA-256 do not go together".to_owned(),
                    "set it to the 64 lower-case digits that sha256sum prints for the file, or both to nothing",
                );
            }
        }
        if task == Task::Questions {
            if self.questions_file.is_empty() {
                report(
                    &["questions_file"],
                    "no file of questions is named".to_owned(),
                    "set it to the path of a JSON Lines file",
                );
            }
            if !digits(&self.questions_sha256) {
                report(
                    &["questions_sha256"],
                    "the file of questions has no SHA-256".to_owned(),
                    "set it to the 64 lower-case digits that sha256sum prints for the file",
                );
            }
        }
        if model == LanguageModelName::Gguf {
            if self.gguf_file.is_empty() {
                report(
                    &["gguf_file"],
                    "no file of a network is named".to_owned(),
                    "set it to the path of a GGUF file",
                );
            }
            if !digits(&self.gguf_sha256) {
                report(
                    &["gguf_sha256"],
                    "the file of the network has no SHA-256".to_owned(),
                    "set it to the 64 lower-case digits that sha256sum prints for the file",
                );
            }
        }
        if self.chat_template && !model.is_network() {
            report(
                &["chat_template", "language_model"],
                format!("{model} has no template of its own"),
                "leave chat_template out; an endpoint's template is the server's (`endpoint_api`)",
            );
        }
        if task == Task::HelmRun {
            if self.helm_run.is_empty() {
                report(
                    &["helm_run"],
                    "no run of HELM is named".to_owned(),
                    "set it to a folder that holds a scenario_state.json",
                );
            }
            if !digits(&self.helm_run_sha256) {
                report(
                    &["helm_run_sha256"],
                    "the run of HELM has no SHA-256".to_owned(),
                    "set it to the 64 lower-case digits that sha256sum prints for its \
                     scenario_state.json",
                );
            }
        }
        if task == Task::SampleLog {
            if self.sample_log.is_empty() {
                report(
                    &["sample_log"],
                    "no sample log is named".to_owned(),
                    "set it to the path of a samples_*.jsonl file",
                );
            }
            if !digits(&self.sample_log_sha256) {
                report(
                    &["sample_log_sha256"],
                    "the sample log has no SHA-256".to_owned(),
                    "set it to the 64 lower-case digits that sha256sum prints for the file",
                );
            }
        }
        problems
    }

    /// Whether nothing is drawn: neither questions nor examples nor answers.
    pub(super) fn is_exact(&self) -> bool {
        let answers = match self.language_model {
            // It draws its answers, or a server may.
            LanguageModelName::Uniform | LanguageModelName::Endpoint => false,
            model if model.is_asked() => self.few_shot_examples == 0 && self.temperature <= 0.0,
            _ => true,
        };
        self.evaluation_parts == 1 && answers
    }

    /// About how many requests a run has.
    pub(super) fn requests(&self) -> u64 {
        let all = match self.evaluation_task {
            Task::Gsm8k | Task::SampleLog => 1319,
            // As many as most sources have; the file is not read to plan.
            Task::Questions | Task::HelmRun => 1000,
            Task::HelmMmluPhilosophy | Task::HelmHellaswag => 10,
            Task::HelmNarrativeQa => 5,
            Task::Blimp if self.blimp_paradigm == "all" => 134_000,
            Task::Blimp => 2_000,
        };
        // At most: changed forms that are the same question are not asked.
        let forms =
            1 + self.perturbations.parts().len() as u64 * u64::from(self.perturbation_draws);
        u64::max(all * forms / u64::from(self.evaluation_parts), 1)
    }
}
