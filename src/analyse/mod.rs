//! Named analyses of a results directory: which table, which rows, which function of [`analysis`].
//!
//! Nothing here computes a statistic; it finds the columns that a question is about, says what is
//! wrong with the question, and hands the rows on.

mod compare;
mod source;

use std::path::PathBuf;

use analysis::{
    Aggregate, Alternative, AnalysisError, Better, Bootstrap, ComparisonColumns, ComparisonOptions,
    Correlation, CorrelationColumns, CurveColumns, Estimator, FactorLevels, FactorialColumns,
    FactorialOptions, FigureOneColumns, MissingRuns, Pairs, PowerOptions, ProfileOf,
    RegressionColumns, RegressionOptions, Resampled, ScoreColumns, SelectionColumns,
    SelectionOptions, SelectionRule, SummaryColumns, Thresholds, aggregate_scores, areas,
    compare_groups, correlations, curves, factorial_effects, factorial_means, factorial_variance,
    figure_one, performance_profiles, power_table, probability_of_improvement, regress, select,
    summarise, survival, tuning_sensitivity, win_rates,
};
use polars::prelude::*;

use crate::store::{RUNS, Results, StoreError, factor_column};
use crate::study::{StudyFile, Tuning, TuningRule};
pub use compare::{Contrast, Contrasted, contrast};
use source::Source;
use source::{METHOD, TASK};

/// Most points of a curve.
const POINTS: usize = 256;
/// The replicate of a row.
const REPLICATE: &str = "replicate";
/// The run of a row.
const RUN: &str = "run_id";
/// The arm of a row.
const ARM: &str = "arm";

/// What can be asked.
#[derive(Clone, Debug)]
pub enum Analysis {
    /// An estimate with its interval for every group ([`summarise`]).
    Summary(Estimator),
    /// Curves against steps ([`curves`]).
    Curves(Estimator),
    /// The mean height of every group's curves ([`areas`], then [`summarise`]).
    Areas {
        /// What is estimated of the runs' areas.
        estimator: Estimator,
        /// From where to where.
        range: Option<(f64, f64)>,
    },
    /// Main effects and interactions ([`factorial_effects`]).
    Effects(FactorialOptions),
    /// Means by the levels of the factors in [`Question::by`] ([`factorial_means`]).
    Means(FactorialOptions),
    /// Shares of variance ([`factorial_variance`]).
    Variance {
        /// Factors in an effect at most.
        order: usize,
    },
    /// Pairs of groups against each other ([`compare_groups`]).
    Contrasts {
        /// Which pairs.
        pairs: Pairs,
        /// How; `paired` counts.
        options: ComparisonOptions,
    },
    /// Power and seeds of the same pairs ([`power_table`]).
    Power {
        /// Which pairs.
        pairs: Pairs,
        /// For which effect, with which power.
        options: PowerOptions,
    },
    /// Aggregates over tasks ([`aggregate_scores`]).
    Scores {
        /// Of each method, over all tasks.
        aggregates: Vec<Aggregate>,
        /// What is resampled.
        resampled: Resampled,
    },
    /// Probability of improvement of every two methods ([`probability_of_improvement`]).
    Improvement(Resampled),
    /// Mean win rate and mean rank of every method ([`win_rates`]).
    WinRates(Resampled),
    /// Performance profiles of every method over tasks ([`performance_profiles`]).
    Profiles {
        /// Runs or means of tasks.
        of: ProfileOf,
        /// Where.
        thresholds: Thresholds,
        /// What is resampled.
        resampled: Resampled,
    },
    /// The fraction of runs above thresholds ([`survival`]).
    Survival(Thresholds),
    /// The best level of the tuned factor for every combination of the others ([`select`]).
    Selection(TuningChoice),
    /// Every level of the tuned factor ([`tuning_sensitivity`]).
    Sensitivity(TuningChoice),
    /// The procedure behind the paper's Figure 1 ([`figure_one`]).
    FigureOne {
        /// What of it.
        part: FigureOnePart,
        /// Where survival curves are read.
        thresholds: Thresholds,
        /// Which factor is tuned.
        tuning: TuningChoice,
    },
    /// Correlations of two columns ([`correlations`]).
    Correlation {
        /// The other column.
        with: String,
        /// What the tests hold against no correlation.
        alternative: Alternative,
    },
    /// A linear regression on other columns ([`regress`]).
    Regression {
        /// The predictors.
        on: Vec<String>,
        /// How.
        options: RegressionOptions,
    },
}

/// A table of Figure 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FigureOnePart {
    /// The chosen level of every combination.
    Chosen,
    /// Survival curves of the pooled runs by level of each factor.
    Survival,
    /// Differences of the pooled runs' means.
    Effects,
    /// The pooled runs.
    Runs,
}

/// Which factor is tuned, and how; what is not said is as the study file has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TuningChoice {
    /// The factor.
    pub factor: Option<String>,
    /// The rule.
    pub rule: Option<TuningRule>,
    /// What a level is chosen by.
    pub by: Option<Estimator>,
    /// Whether lower values are better.
    pub lower_is_better: bool,
    /// What a run without a value means.
    pub missing: Option<MissingRuns>,
}

/// A question to a results directory.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// What is asked.
    pub analysis: Analysis,
    /// The table; by default `runs`, or for curves the first that has the metric.
    pub table: Option<&'a str>,
    /// The column of the value; by default the study's headline.
    pub metric: Option<&'a str>,
    /// Columns whose values make the groups; by default the arm.
    pub by: &'a [String],
    /// The column that tells tasks apart, of analyses over tasks: a method is then what the columns of
    /// `by` say, or the other factors, or the arm where there are none. `None` takes tasks from arms
    /// that are named `task/method`, or else from the column `environment` where there is one.
    pub task: Option<&'a str>,
    /// Rows to keep: a column and the values that it may have, as text.
    pub keep: &'a [(String, Vec<String>)],
    /// How intervals are made where the analysis does not say it itself.
    pub bootstrap: Bootstrap,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnalyseError {
    /// The results could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The statistics could not be computed.
    #[error(transparent)]
    Analysis(#[from] AnalysisError),
    /// A table could not be handled.
    #[error(transparent)]
    Frame(#[from] PolarsError),
    /// There is no such column.
    #[error("table `{table}` has no column `{column}`{}", hint(nearest.as_deref(), known))]
    UnknownColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// A name like it.
        nearest: Option<String>,
        /// Columns that would do.
        known: Vec<String>,
    },
    /// The column holds no numbers.
    #[error("column `{column}` of table `{table}` holds {kind}, not numbers{}", hint(None, known))]
    NotNumeric {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type.
        kind: String,
        /// Columns that would do.
        known: Vec<String>,
    },
    /// No row has one of the values asked for.
    #[error("no row of table `{table}` has {column} = {value}{}", hint(nearest.as_deref(), known))]
    UnknownValue {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The value.
        value: String,
        /// A value like it.
        nearest: Option<String>,
        /// Values that occur.
        known: Vec<String>,
    },
    /// The results have no such arm.
    #[error("{} has no arm `{arm}`{}", path.display(), hint(nearest.as_deref(), known))]
    UnknownArm {
        /// The results directory.
        path: PathBuf,
        /// The arm.
        arm: String,
        /// A name like it.
        nearest: Option<String>,
        /// Arms that there are.
        known: Vec<String>,
    },
    /// The study has nothing of this kind.
    #[error("{0}")]
    NothingToAnalyse(String),
}

/// Names that a message lists at most.
const MOST_NAMES: usize = 24;

fn hint(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None if known.is_empty() => String::new(),
        None => {
            let names = known[..known.len().min(MOST_NAMES)].join(", ");
            let more = known.len().saturating_sub(MOST_NAMES);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("; there are {names}{more}")
        }
    }
}

/// Answers a question with one table, its method in columns beside the numbers.
///
/// # Errors
/// When the question names a column or value that is not there, asks for factors, tasks or a tuned
/// factor that the study does not have, or the results are damaged.
pub fn answer(results: &Results, question: &Question<'_>) -> Result<DataFrame, AnalyseError> {
    let source = Source::new(results, question)?;
    let (value, bootstrap) = (source.metric(), &question.bootstrap);
    let file = &results.plan.file;
    match &question.analysis {
        Analysis::Summary(estimator) => {
            let by = source.groups(question.by)?;
            let frame = source.rows(question.keep, &by)?;
            let columns = SummaryColumns { groups: &names(&by), replicate: REPLICATE, value };
            Ok(summarise(&frame, columns, *estimator, bootstrap)?)
        }
        Analysis::Curves(estimator) => {
            let by = source.groups(question.by)?;
            let (frame, x) = curve_rows(&source, question, &by)?;
            let groups = names(&by);
            let columns =
                CurveColumns { groups: &groups, run: RUN, replicate: REPLICATE, x, value };
            Ok(curves(&frame, columns, POINTS, *estimator, bootstrap)?)
        }
        Analysis::Areas { estimator, range } => {
            let by = source.groups(question.by)?;
            let (frame, x) = curve_rows(&source, question, &by)?;
            let groups = names(&by);
            let columns =
                CurveColumns { groups: &groups, run: RUN, replicate: REPLICATE, x, value };
            let of_runs = areas(&frame, columns, *range)?;
            // The range is the same for all, and belongs beside the numbers.
            let groups = [&groups[..], &["from", "to"]].concat();
            let columns = SummaryColumns { groups: &groups, replicate: REPLICATE, value: "area" };
            Ok(summarise(&of_runs, columns, *estimator, bootstrap)?)
        }
        Analysis::Effects(options) => {
            let factors = factors(file)?;
            let frame = source.rows(question.keep, &columns_of(&factors))?;
            Ok(factorial_effects(&frame, factorial(&factors, value), options)?)
        }
        Analysis::Means(options) => {
            let factors = factors(file)?;
            let frame = source.rows(question.keep, &columns_of(&factors))?;
            let of = match question.by {
                [] => columns_of(&factors).into_iter().take(2).collect(),
                by => source.groups(by)?,
            };
            Ok(factorial_means(&frame, factorial(&factors, value), &names(&of), options)?)
        }
        Analysis::Variance { order } => {
            let factors = factors(file)?;
            let frame = source.rows(question.keep, &columns_of(&factors))?;
            Ok(factorial_variance(&frame, factorial(&factors, value), *order, true)?)
        }
        Analysis::Contrasts { pairs, options } => {
            let (frame, group) = grouped(&source, question, pairs)?;
            let columns = ComparisonColumns { group: &group, replicate: REPLICATE, value };
            Ok(compare_groups(&frame, columns, pairs, options)?)
        }
        Analysis::Power { pairs, options } => {
            let (frame, group) = grouped(&source, question, pairs)?;
            let columns = ComparisonColumns { group: &group, replicate: REPLICATE, value };
            Ok(power_table(&frame, columns, pairs, *options)?)
        }
        Analysis::Scores { aggregates, resampled } => {
            let frame = source.scores(question)?;
            Ok(aggregate_scores(&frame, scores(value), aggregates, *resampled, bootstrap)?)
        }
        Analysis::Improvement(resampled) => {
            let frame = source.scores(question)?;
            Ok(probability_of_improvement(&frame, scores(value), *resampled, bootstrap)?)
        }
        Analysis::WinRates(resampled) => {
            let frame = source.scores(question)?;
            Ok(win_rates(&frame, scores(value), *resampled, bootstrap)?)
        }
        Analysis::Profiles { of, thresholds, resampled } => {
            let frame = source.scores(question)?;
            let columns = scores(value);
            Ok(performance_profiles(&frame, columns, *of, thresholds, *resampled, bootstrap)?)
        }
        Analysis::Survival(thresholds) => {
            let by = source.groups(question.by)?;
            let frame = source.rows(question.keep, &by)?;
            let columns = SummaryColumns { groups: &names(&by), replicate: REPLICATE, value };
            Ok(survival(&frame, columns, thresholds, bootstrap)?)
        }
        Analysis::Selection(choice) => {
            let tuned = Tuned::new(file, choice, bootstrap)?;
            let frame = source.rows(question.keep, &tuned.columns())?;
            Ok(select(&frame, tuned.selection(&names(&tuned.others), value), &tuned.options)?)
        }
        Analysis::Sensitivity(choice) => {
            let tuned = Tuned::new(file, choice, bootstrap)?;
            let frame = source.rows(question.keep, &tuned.columns())?;
            let others = names(&tuned.others);
            let columns = tuned.selection(&others, value);
            Ok(tuning_sensitivity(&frame, columns, &tuned.options)?)
        }
        Analysis::FigureOne { part, thresholds, tuning } => {
            // The paper's own rule, unless another is asked for.
            let rule = Some(tuning.rule.unwrap_or(TuningRule::Naive));
            let tuned = Tuned::new(file, &TuningChoice { rule, ..tuning.clone() }, bootstrap)?;
            let frame = source.rows(question.keep, &tuned.columns())?;
            let others: Vec<FactorLevels> = factors(file)?
                .into_iter()
                .filter(|factor| factor.column != tuned.factor.column)
                .collect();
            let columns = FigureOneColumns {
                factors: &others,
                tuning: &tuned.factor.column,
                levels: &tuned.factor.levels,
                replicate: REPLICATE,
                value,
            };
            let figure = figure_one(&frame, columns, thresholds, &tuned.options)?;
            Ok(match part {
                FigureOnePart::Chosen => figure.chosen,
                FigureOnePart::Survival => figure.survival,
                FigureOnePart::Effects => figure.effects,
                FigureOnePart::Runs => figure.runs,
            })
        }
        Analysis::Correlation { with, alternative } => {
            let by = source.named_columns(question.by)?;
            let with = source.numeric(with)?;
            let frame =
                source.rows(question.keep, &[&by[..], std::slice::from_ref(&with)].concat())?;
            let columns = CorrelationColumns { groups: &names(&by), x: &with, y: value };
            let kinds = &Correlation::ALL;
            Ok(correlations(&frame, columns, kinds, *alternative, bootstrap.level)?)
        }
        Analysis::Regression { on, options } => {
            let by = source.named_columns(question.by)?;
            let on = on.iter().map(|x| source.numeric(x)).collect::<Result<Vec<_>, _>>()?;
            let frame = source.rows(question.keep, &[&by[..], &on].concat())?;
            let groups = names(&by);
            let columns =
                RegressionColumns { groups: &groups, y: value, x: &names(&on), weights: None };
            Ok(regress(&frame, columns, options)?)
        }
    }
}

fn names(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

fn scores(value: &str) -> ScoreColumns<'_> {
    ScoreColumns { groups: &[], method: METHOD, task: TASK, replicate: REPLICATE, value }
}

fn factorial<'a>(factors: &'a [FactorLevels], value: &'a str) -> FactorialColumns<'a> {
    FactorialColumns { factors, replicate: REPLICATE, value }
}

fn columns_of(factors: &[FactorLevels]) -> Vec<String> {
    factors.iter().map(|factor| factor.column.clone()).collect()
}

/// The rows of curves, with the column of their steps.
fn curve_rows(
    source: &Source<'_>,
    question: &Question<'_>,
    by: &[String],
) -> Result<(DataFrame, &'static str), AnalyseError> {
    let x = source.steps()?;
    Ok((source.rows(question.keep, &[by, &[RUN.into(), x.into()]].concat())?, x))
}

/// The rows of groups that are compared, with the group's column.
fn grouped(
    source: &Source<'_>,
    question: &Question<'_>,
    pairs: &Pairs,
) -> Result<(DataFrame, String), AnalyseError> {
    let group = match question.by {
        [] => ARM.to_owned(),
        [one] => source.groups(std::slice::from_ref(one))?.remove(0),
        _ => {
            let text = "groups that are compared come from one column: name one with --by";
            return Err(AnalyseError::NothingToAnalyse(text.into()));
        }
    };
    let frame = source.rows(question.keep, std::slice::from_ref(&group))?;
    let named: Vec<&String> = match pairs {
        Pairs::All => vec![],
        Pairs::Baseline(name) => vec![name],
        Pairs::Named(pairs) => pairs.iter().flat_map(|(from, to)| [from, to]).collect(),
    };
    for name in named {
        source.value(&frame, &group, &group, name)?;
    }
    Ok((frame, group))
}

/// The study's factors that have something to compare.
pub(crate) fn contrasting(file: &StudyFile) -> Vec<FactorLevels> {
    file.factors.iter().filter(|factor| factor.levels.len() > 1).map(levels_of).collect()
}

/// The same, one at least.
fn factors(file: &StudyFile) -> Result<Vec<FactorLevels>, AnalyseError> {
    let factors = contrasting(file);
    if factors.is_empty() {
        let text = "the study has named arms and no factors with two levels; ask for contrasts";
        return Err(AnalyseError::NothingToAnalyse(text.into()));
    }
    Ok(factors)
}

fn levels_of(factor: &crate::study::Factor) -> FactorLevels {
    FactorLevels {
        column: factor_column(&factor.name),
        levels: factor.levels.iter().map(|level| level.name.clone()).collect(),
    }
}

/// What the study file's `[tuning]` chooses, as [`select`] has it, from rows with the columns of all
/// factors, `replicate` and the metric; `None` without that section.
pub(crate) fn chosen(
    file: &StudyFile,
    frame: &DataFrame,
    bootstrap: &Bootstrap,
) -> Result<Option<DataFrame>, AnalyseError> {
    let Some(tuning) = &file.tuning else { return Ok(None) };
    let tuned = Tuned::new(file, &TuningChoice::default(), bootstrap)?;
    let others = names(&tuned.others);
    let columns = tuned.selection(&others, tuning.metric);
    Ok(Some(select(frame, columns, &tuned.options)?))
}

/// A tuned factor with everything that [`select`] asks.
struct Tuned {
    factor: FactorLevels,
    /// Columns of the other factors.
    others: Vec<String>,
    options: SelectionOptions,
}

impl Tuned {
    fn new(
        file: &StudyFile,
        choice: &TuningChoice,
        bootstrap: &Bootstrap,
    ) -> Result<Self, AnalyseError> {
        let of_file = file.tuning.as_ref();
        let named = choice.factor.as_deref().or(of_file.map(|tuning| tuning.factor.as_str()));
        let Some(name) = named else {
            let text = "the study file has no section [tuning]: name the factor whose level is chosen \
                        with --tune";
            return Err(AnalyseError::NothingToAnalyse(text.into()));
        };
        let found = file.factors.iter().find(|factor| factor.name == name);
        let Some(factor) = found else {
            let known: Vec<String> = file.factors.iter().map(|f| f.name.clone()).collect();
            let nearest = flags::nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
            let text =
                format!("the study has no factor `{name}`{}", hint(nearest.as_deref(), &known));
            return Err(AnalyseError::NothingToAnalyse(text));
        };
        let others = file.factors.iter().filter(|other| other.name != name);
        Ok(Self {
            factor: levels_of(factor),
            others: others.map(|factor| factor_column(&factor.name)).collect(),
            options: options(choice, of_file, bootstrap),
        })
    }

    fn columns(&self) -> Vec<String> {
        self.others.iter().chain([&self.factor.column]).cloned().collect()
    }

    fn selection<'a>(&'a self, groups: &'a [&'a str], value: &'a str) -> SelectionColumns<'a> {
        SelectionColumns {
            groups,
            tuning: &self.factor.column,
            levels: &self.factor.levels,
            replicate: REPLICATE,
            value,
        }
    }
}

/// What is asked for, then what the study file says, then the paper's procedure.
fn options(
    choice: &TuningChoice,
    of_file: Option<&Tuning>,
    bootstrap: &Bootstrap,
) -> SelectionOptions {
    let rule = choice.rule.or(of_file.map(|tuning| tuning.rule)).unwrap_or(TuningRule::Naive);
    let by = choice.by.or(of_file.map(|tuning| tuning.by)).unwrap_or(Estimator::Mean);
    SelectionOptions {
        choose_by: by,
        better: if choice.lower_is_better { Better::Lower } else { Better::Higher },
        missing: choice.missing.unwrap_or(MissingRuns::Exclude),
        bootstrap: *bootstrap,
        ..SelectionOptions::of(match rule {
            TuningRule::Naive => SelectionRule::Naive,
            TuningRule::FreshSeeds { replicates } => {
                SelectionRule::FreshSeeds { tuning: replicates }
            }
            TuningRule::NestedBootstrap => SelectionRule::NestedBootstrap,
        })
    }
}

/// The headline of a study's runs.
fn headline(results: &Results) -> Option<&'static str> {
    results.plan.file.study.metrics().first().map(|metric| metric.name)
}

/// The default table of what is not a curve.
const TABLE: &str = RUNS;
