//! The configuration: which leaderboard, what of it, and every choice of its aggregation.

use flags::{Problem, Within};

flags::levels! {
    /// A published leaderboard.
    pub enum Leaderboard {
        /// HELM Classic v0.4.0, core scenarios: accuracy of 67 models on 16 scenarios.
        HelmClassicAccuracy = "helm-classic-accuracy",
        /// The same: calibration error on 12 scenarios; lower is better.
        HelmClassicCalibration = "helm-classic-calibration",
        /// The same: worst case over perturbations that keep the meaning, on 14 scenarios.
        HelmClassicRobustness = "helm-classic-robustness",
        /// The same: worst case over perturbations by dialect, gender and names, on 14 scenarios.
        HelmClassicFairness = "helm-classic-fairness",
        /// The same: denoised inference time on 16 scenarios; lower is better.
        HelmClassicEfficiency = "helm-classic-efficiency",
        /// These five tables, each by itself; metrics of the run count and average over them.
        HelmClassic = "helm-classic",
        /// HELM Lite: 91 models on 10 scenarios.
        HelmLite = "helm-lite",
        /// HELM Capabilities: 65 models on 5 scenarios, published as mean scores.
        HelmCapabilities = "helm-capabilities",
        /// Your own table, which `leaderboard_file` names.
        File = "file",
    }
}

flags::levels! {
    /// How a model's results on several scenarios become one number.
    pub enum Aggregation {
        /// The mean over scenarios of the share of the other models that it beats.
        MeanWinRate = "mean-win-rate",
        /// The median of these shares.
        MedianWinRate = "median-win-rate",
        /// The mean of its scores.
        MeanScore = "mean-score",
        /// The mean of its scores, each scenario's brought to 0 for the worst model and 1 for the best.
        MeanScaledScore = "mean-scaled-score",
    }
}

flags::levels! {
    /// What becomes of two models that are equal on a scenario.
    pub enum Ties {
        /// Each wins one half (HELM since September 2024).
        Half = "half",
        /// The later row wins, or the earlier one where lower is better (HELM before).
        RowOrder = "row-order",
        /// Neither wins.
        Lost = "lost",
        /// Both win.
        Won = "won",
    }
}

flags::levels! {
    /// What becomes of results on scenarios that a model was trained on.
    pub enum Contamination {
        /// As HELM Classic v0.4.0 published it: T0pp does not compete on the six scenarios that it was trained on. The other leaderboards name none.
        Published = "published",
        /// They compete as all others do.
        Ignored = "ignored",
    }
}

flags::levels! {
    /// What becomes of a model without a result on a scenario.
    pub enum MissingResults {
        /// It is aggregated over the scenarios that it has (HELM).
        Skipped = "skipped",
        /// Only scenarios on which every model has a result count.
        CompleteScenarios = "complete-scenarios",
        /// Only models with a result on every scenario compete.
        CompleteModels = "complete-models",
        /// It loses there against every model with a result; its score is the worst.
        Worst = "worst",
    }
}

flags::flags! {
    /// An aggregation of a leaderboard.
    pub struct LeaderboardConfig {
        /// Which leaderboard.
        #[flag(group = "Leaderboard: table", unit = "", source = "files as listed by `ceteris data`", shape)]
        pub leaderboard: Leaderboard = Leaderboard::HelmLite,
        /// Your own table, for `leaderboard = "file"`: .tsv or .csv with a header; the first column names models, the others are scenarios; cells that are empty or hold `-` are missing. Empty otherwise.
        #[flag(group = "Leaderboard: table", unit = "", source = "this project", shape)]
        pub leaderboard_file: String = String::new(),
        /// SHA-256 of that file, so that what it holds is part of a run's identity.
        #[flag(group = "Leaderboard: table", unit = "", source = "this project", shape)]
        pub leaderboard_sha256: String = String::new(),
        /// The column of that file with the published aggregate, or "none".
        #[flag(group = "Leaderboard: table", unit = "", source = "this project")]
        pub published_column: String = "none".to_owned(),
        /// Whether lower values of that column are better.
        #[flag(group = "Leaderboard: table", unit = "", source = "this project")]
        pub published_lower_is_better: bool = false,
        /// Scenarios of that file on which lower values are better, by the beginnings of their names, separated by ";"; or "none" or "all".
        #[flag(group = "Leaderboard: table", unit = "", source = "this project")]
        pub lower_is_better: String = "none".to_owned(),
        /// Digits after the point to which that file's numbers are rounded; those of HELM have 3.
        #[flag(group = "Leaderboard: table", unit = "digits", within = Within::closed(0.0, 15.0), source = "this project")]
        pub decimals: u32 = 3,
        /// The models that compete, by their names, separated by ";"; or "all".
        #[flag(group = "Leaderboard: what competes", unit = "", source = "this project")]
        pub models: String = "all".to_owned(),
        /// Models that do not, likewise; or "none".
        #[flag(group = "Leaderboard: what competes", unit = "", source = "this project")]
        pub left_out_models: String = "none".to_owned(),
        /// Scenarios that do not count, by the beginnings of their names, separated by ";"; or "none". As a factor this leaves out one at a time.
        #[flag(group = "Leaderboard: what competes", unit = "", source = "this project")]
        pub left_out_scenarios: String = "none".to_owned(),
        /// Into how many parts the scenarios are cut at random, of equal size up to one. Replicate r (from 0) has part r of every table, so that replicates are disjoint samples of scenarios and the spread between them is that of the scenarios. 1: every replicate has all of them, and all replicates are equal.
        #[flag(group = "Leaderboard: what competes", unit = "", within = Within::at_least(1.0), source = "random groups, Wolter 2007")]
        pub scenario_parts: u32 = 1,
        /// How a model's results on several scenarios become one number.
        #[flag(group = "Leaderboard: aggregation", unit = "", source = "HELM")]
        pub aggregation: Aggregation = Aggregation::MeanWinRate,
        /// What becomes of two models that are equal on a scenario.
        #[flag(group = "Leaderboard: aggregation", unit = "", source = "HELM")]
        pub ties: Ties = Ties::Half,
        /// What becomes of results on scenarios that a model was trained on.
        #[flag(group = "Leaderboard: aggregation", unit = "", source = "HELM v0.4.0, contamination.yaml")]
        pub contamination: Contamination = Contamination::Published,
        /// What becomes of a model without a result on a scenario.
        #[flag(group = "Leaderboard: aggregation", unit = "", source = "HELM")]
        pub missing_results: MissingResults = MissingResults::Skipped,
        /// Resamples of the scenarios, for intervals and for which places they decide.
        #[flag(group = "Leaderboard: intervals", unit = "", within = Within::closed(1.0, 1e6), source = "this project")]
        pub resamples: u32 = 10_000,
        /// Level of these intervals.
        #[flag(group = "Leaderboard: intervals", unit = "", within = Within::closed(0.01, 0.9999), source = "convention")]
        pub interval_level: f64 = 0.95,
        /// The model whose place and aggregate are metrics of the run, or "none".
        #[flag(group = "Leaderboard: intervals", unit = "", source = "this project")]
        pub focus_model: String = "none".to_owned(),
    }
}

impl LeaderboardConfig {
    /// What does not fit together.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut report = |fields: &[&'static str], message: &str, help: &str| {
            let (fields, message, help) = (fields.to_vec(), message.to_owned(), help.to_owned());
            problems.push(Problem { fields, message, help });
        };
        let own = self.leaderboard == Leaderboard::File;
        let digits = |text: &str| {
            text.len() == 64
                && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        if own
            && !(self.leaderboard_file.ends_with(".tsv") || self.leaderboard_file.ends_with(".csv"))
        {
            report(
                &["leaderboard_file"],
                "no table is named",
                "set it to the path of a file that ends in .tsv or .csv",
            );
        }
        if own && !digits(&self.leaderboard_sha256) {
            report(
                &["leaderboard_sha256"],
                "the table has no SHA-256",
                "set it to the 64 lower-case digits that sha256sum prints for the file",
            );
        }
        let given = !(self.leaderboard_file.is_empty()
            && self.leaderboard_sha256.is_empty()
            && self.published_column == "none"
            && !self.published_lower_is_better
            && self.lower_is_better == "none");
        if !own && given {
            report(
                &["leaderboard", "leaderboard_file", "published_column", "lower_is_better"],
                "a published leaderboard brings its columns with it",
                "set leaderboard = \"file\", or leave out what describes a file",
            );
        }
        if self.aggregation == Aggregation::MeanScore
            && self.leaderboard == Leaderboard::HelmClassic
        {
            // Each table has one direction, but published numbers are win rates in all of them.
            report(
                &["aggregation", "leaderboard"],
                "mean scores of five kinds of measures cannot be averaged",
                "choose one of the five tables",
            );
        }
        problems
    }
}
