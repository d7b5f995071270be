//! Statistics: polars frames in, polars frames out; knows no study.
//!
//! The caller names the columns that group rows, the column of the replicate (the seed) and the
//! column of the value. Two ideas run through every function:
//!
//! - **A value that is null, NaN or infinite is missing.** It enters no estimate and is counted in
//!   the column `missing`. Nothing is imputed, except that [`curves`] reads a run's curve between
//!   two of its own points.
//! - **The replicate is what is resampled.** Rows of a group that share a replicate share its
//!   random draws, so an interval resamples replicates as blocks. Where a replicate has one row,
//!   this is the ordinary bootstrap.
//!
//! What a number estimates and how its interval was made stand in columns beside it
//! (`estimator`, `interval`, `interval_level`, `resamples`).

pub mod annotation;
mod area;
mod beta_binomial;
mod bootstrap;
mod calibration;
mod claims;
mod compare;
mod comparison;
mod correction;
mod correlation;
mod error_bars;
mod estimator;
mod factorial;
mod frames;
mod leaderboard;
mod normal;
mod power;
mod proportion;
mod ranks;
mod regression;
pub mod replication;
mod samples;
mod scores;
mod selection;
mod selective;
mod standings;
mod student;
mod tables;

pub use area::areas;
pub use beta_binomial::{
    BetaBinomial, BetaBinomialColumns, FittedMixture, MixtureOptions, beta_binomial,
    beta_binomial_mixture, fit_mixture, thinned,
};
pub use bootstrap::{Bootstrap, Hierarchy, Interval, IntervalMethod, Statistic};
pub use calibration::{
    Binning, CalibrationColumns, CalibrationOptions, PlattTargets, calibration, reliability,
};
pub use claims::{
    Criterion, Estimand, Hypothesis, PublishedNumber, Verdict, VerdictColumns, verdicts,
};
pub use compare::{
    ComparisonColumns, ComparisonOptions, ComparisonTest, DifferenceInterval, Pairs, compare_groups,
};
pub use comparison::{
    Alternative, EffectSize, PermutationResult, Permutations, RankResult, TResult, effect_size,
    mann_whitney_u, paired_permutation, paired_t, permutation, probability_of_superiority, welch,
    wilcoxon,
};
pub use correction::{Correction, correct};
pub use correlation::{Correlation, CorrelationColumns, CorrelationResult, correlations};
pub use error_bars::{QuestionVariance, detectable_difference, questions_needed, standard_error};
pub use estimator::{Estimator, iqm, jackknife, mean, median, quantile, sd};
pub use factorial::{
    FactorLevels, FactorialColumns, FactorialEstimator, FactorialInterval, FactorialOptions,
    Simultaneous, factor_effects, factorial_effects, factorial_means, factorial_variance,
};
pub use leaderboard::{
    LeaderboardColumns, Ties, coverage, head_to_head, mean_scores, mean_win_rates,
};
pub use power::{
    Effect, PowerOptions, TTest, detectable_effect, power, power_table, sd_upper_bound,
    seeds_needed,
};
pub use proportion::clopper_pearson;
pub use regression::{Boundary, RegressionColumns, RegressionOptions, Scale, predict, regress};
pub use scores::{
    Aggregate, ProfileOf, Resampled, ScoreColumns, Scores, TaskReference, Thresholds,
    aggregate_scores, long_scores, normalise_scores, performance_profiles,
    probability_of_improvement, survival, win_rates,
};
pub use selection::{
    Better, FigureOne, FigureOneColumns, MissingRuns, SelectionColumns, SelectionOptions,
    SelectionRule, figure_one, select, tuning_sensitivity,
};
pub use selective::{Selection, SelectiveAccuracy, selective_accuracy};
pub use standings::{
    Aggregation, Agreement, MissingResults, StandingRules, agreement, head_to_head_standings,
    standings,
};
pub use tables::{CurveColumns, SummaryColumns, curves, summarise};

/// Why an analysis could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    /// A column is absent or has a type that cannot be used.
    #[error(transparent)]
    Frame(#[from] polars::error::PolarsError),
    /// A row has no replicate, so it cannot be resampled.
    #[error("column `{column}` has no replicate in row {row} (counted from zero)")]
    NoReplicate {
        /// The replicate column.
        column: String,
        /// The first such row.
        row: usize,
    },
    /// A row has no method or task, so its score belongs nowhere.
    #[error("column `{column}` is empty in row {row} (counted from zero)")]
    NoLabel {
        /// The column.
        column: String,
        /// The first such row.
        row: usize,
    },
    /// A method has two scores of one task and replicate.
    #[error(
        "row {row} (counted from zero) is a second score of method `{method}` on task `{task}` with \
         the same replicate; aggregate repeated rows first"
    )]
    RepeatedScore {
        /// The method.
        method: String,
        /// The task.
        task: String,
        /// The later row.
        row: usize,
    },
    /// Scores of a task cannot be normalised.
    #[error("task `{task}` has no reference scores to normalise by")]
    NoReference {
        /// The task.
        task: String,
    },
    /// Reference scores between which nothing can be placed.
    #[error("the reference scores of task `{task}` must be two different finite numbers")]
    Reference {
        /// The task.
        task: String,
    },
    /// The target of an optimality gap.
    #[error("the target of an optimality gap must be finite, not {0}")]
    Target(f64),
    /// A threshold of a profile.
    #[error("a threshold must be finite, not {0}")]
    Threshold(f64),
    /// The level of an interval is not a probability.
    #[error("the level of an interval must lie strictly between 0 and 1, not {0}")]
    Level(f64),
    /// A range of curves has no length.
    #[error(
        "a range from {from} to {to} has no length; name one that runs upwards and that the curves cover"
    )]
    Range {
        /// Where it starts.
        from: f64,
        /// Where it ends.
        to: f64,
    },
    /// The rows of a run differ in their replicate.
    #[error("the rows of run `{run}` have several replicates; a run has one")]
    SeveralReplicates {
        /// The run.
        run: String,
    },
    /// A number that the analysis has no meaning for.
    #[error("column `{column}` holds {value} in row {row} (counted from zero); it must {allowed}")]
    OutOfRange {
        /// The column.
        column: String,
        /// The first such row.
        row: usize,
        /// What it holds.
        value: f64,
        /// What it must do, and the remedy.
        allowed: &'static str,
    },
    /// A predictor adds nothing to those before it, so that coefficients are not determined.
    #[error(
        "predictor `{column}` is {}{group}, so that their coefficients are not determined; leave \
         one of them out",
        combination(.others)
    )]
    LinearlyDependent {
        /// The predictor.
        column: String,
        /// Earlier terms that make it up, in backticks; none where it is zero throughout.
        others: Vec<String>,
        /// The group, as an addition to a sentence; may be empty.
        group: String,
    },
    /// An option that has no meaning.
    #[error("{name} must {allowed}, not be {value}")]
    Setting {
        /// What it sets.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it must do.
        allowed: &'static str,
    },
    /// An interval needs resamples.
    #[error("an interval needs at least one resample, and a permutation test one permutation")]
    NoResamples,
    /// No method of intervals has this name.
    #[error(
        "there is no interval method `{0}`: choose percentile, basic, bca, studentized or bayesian"
    )]
    UnknownIntervalMethod(String),
    /// The Bayesian bootstrap weighs values, which the statistic cannot.
    #[error(
        "this statistic has no weighted form, which the Bayesian bootstrap needs: choose another \
         interval method"
    )]
    NoWeightedForm,
    /// A method of intervals that scores of several tasks do not have.
    #[error("scores have percentile, basic and bca intervals, not {0}")]
    NoScoreInterval(&'static str),
    /// Paired samples belong to the same replicates.
    #[error(
        "paired samples need a value of every replicate on both sides, but there are {first} and \
         {second}: leave out replicates that one of them lacks"
    )]
    Unpaired {
        /// Values of the first.
        first: usize,
        /// Values of the second.
        second: usize,
    },
    /// A sample is too small.
    #[error("{what} needs at least {needed} values on either side, not {found}")]
    TooFew {
        /// What needs more.
        what: &'static str,
        /// How many.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// Nothing varies, so that there is no scale to hold a difference against.
    #[error("{0} needs values that vary, and these are constant")]
    NoVariance(&'static str),
    /// A value is NaN or infinite, or so large that its square is.
    #[error("{0} takes finite numbers only: leave missing values out first")]
    NotFinite(&'static str),
    /// A sample holds NaN or an infinite value.
    #[error(
        "value {position} (counted from zero) is NaN or infinite: leave missing values out and \
         count them"
    )]
    NotFiniteAt {
        /// Its place among all values.
        position: usize,
    },
    /// A named group does not occur.
    #[error("column `{column}` has no group `{group}`")]
    NoGroup {
        /// The column of groups.
        column: String,
        /// The name.
        group: String,
    },
    /// A probability is out of range.
    #[error("{what} must lie strictly between 0 and 1, not {value}")]
    Probability {
        /// What it is.
        what: &'static str,
        /// The number.
        value: f64,
    },
    /// A p value is out of range.
    #[error("a p value lies between 0 and 1, not at {0}")]
    PValue(f64),
    /// A number is negative that must not be, or not finite.
    #[error("{what} cannot be {value}")]
    Negative {
        /// What it is.
        what: &'static str,
        /// The number.
        value: f64,
    },
    /// A factor is named twice.
    #[error("factor `{0}` is named twice; name each once")]
    RepeatedFactor(String),
    /// A level is named twice.
    #[error("level `{level}` of column `{column}` is named twice; name each once")]
    RepeatedLevel {
        /// The column.
        column: String,
        /// The level.
        level: String,
    },
    /// What is asked for is not a factor of the design.
    #[error("`{factor}` is no factor of the design; there are {}", known.join(", "))]
    UnknownFactor {
        /// What was asked for.
        factor: String,
        /// The factors.
        known: Vec<String>,
    },
    /// Sums of squares are those of a balanced design.
    #[error(
        "the design is not balanced: the cell {cell} has {found} replicates with a value, or other \
         ones, where the first has {expected}; leave out the replicates or levels that are \
         incomplete, or ask for effects, which need no balance"
    )]
    Unbalanced {
        /// The first cell that differs, as `factor = level, …`.
        cell: String,
        /// Its replicates.
        found: usize,
        /// Those of the first cell.
        expected: usize,
    },
    /// A design without factors or without runs has no variance to explain.
    #[error("the design has no cells: name factors with levels that occur")]
    NoCells,
    /// No level of the tuned hyper-parameter can be chosen.
    #[error("no level of `{tuning}` can be chosen for {group}: {reason}")]
    NoCandidate {
        /// The tuned column.
        tuning: String,
        /// The group, as `column = value, …`.
        group: String,
        /// Why, and what helps.
        reason: &'static str,
    },
    /// The nested bootstrap chooses anew in every resample.
    #[error(
        "the nested bootstrap chooses anew in every resample and has no chosen runs to pool; choose by \
         the naive rule, as the paper does, or by fresh seeds"
    )]
    NothingToPool,
    /// Too many or too few replicates are asked to choose.
    #[error(
        "{group} has {present} replicates and {asked} are to choose: at least one has to choose and \
         at least one other to estimate; ask for fewer, or add seeds"
    )]
    TuningReplicates {
        /// The group, as `column = value, …`.
        group: String,
        /// Replicates that are to choose.
        asked: usize,
        /// Replicates that there are.
        present: usize,
    },
}

fn probability(what: &'static str, value: f64) -> Result<(), AnalysisError> {
    if value > 0.0 && value < 1.0 {
        Ok(())
    } else {
        Err(AnalysisError::Probability { what, value })
    }
}

fn combination(others: &[String]) -> String {
    if others.is_empty() {
        "zero in every row".to_owned()
    } else {
        format!("a linear combination of {}", others.join(", "))
    }
}
