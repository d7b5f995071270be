//! `ceteris analyse`: one table of statistics from a results directory.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

use analysis::{
    Aggregate, Boundary, Effect, Estimator, FactorialEstimator, FactorialInterval,
    FactorialOptions, MissingRuns, Pairs, PowerOptions, ProfileOf, RegressionOptions, Resampled,
    Scale, Simultaneous, Thresholds,
};
use analysis::{Bootstrap, FactorialOptions as Factorial};
use clap::{Args, Subcommand, ValueEnum};

use super::output::Format;
use super::statistics::{BootstrapArgs, EstimatorArg, TestArgs};
use crate::analyse::{Analysis, FigureOnePart, Question, TuningChoice, answer};
use crate::cli::frame;
use crate::store::ResultsDirectory;
use crate::study::{StudyFile, TuningRule};

/// Points of a profile where no thresholds are given.
const THRESHOLDS: usize = 101;

/// Writes a table of statistics with its method beside every number.
#[derive(Args, Clone, Debug)]
pub struct AnalyseArgs {
    /// The results directory.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// What to compute.
    #[command(subcommand)]
    analysis: AnalysisArg,
    /// The column of the value; by default the study's headline metric, or its first curve.
    #[arg(long, value_name = "COLUMN", global = true)]
    metric: Option<String>,
    /// The table that has it; by default `runs`, or for curves the one that has the metric.
    #[arg(long, value_name = "TABLE", global = true)]
    table: Option<String>,
    /// Columns whose values make the groups, separated by commas; by default the arm. A factor may
    /// be named without its prefix.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', global = true)]
    by: Vec<String>,
    /// Rows to keep, as COLUMN=VALUE; several values of one column are alternatives.
    #[arg(long = "where", value_name = "COLUMN=VALUE", value_parser = condition, global = true)]
    keep: Vec<(String, String)>,
    #[command(flatten)]
    bootstrap: BootstrapArgs,
    /// Another version of the study file, with other claims, tuning or texts but the same arms and seeds.
    #[arg(long, value_name = "FILE", global = true)]
    study: Option<PathBuf>,
    /// Where the table goes, as its ending says: .parquet or .csv; by default the terminal.
    #[arg(long, value_name = "FILE", global = true)]
    out: Option<PathBuf>,
}

/// An analysis on the command line.
#[derive(Subcommand, Clone, Debug)]
enum AnalysisArg {
    /// Estimate and interval of a metric for every arm, or every group of --by
    Summary {
        #[command(flatten)]
        estimator: EstimatorArgs,
    },
    /// A column of a table against its steps, one curve a group, with bands
    Curves {
        #[command(flatten)]
        estimator: EstimatorArgs,
    },
    /// The mean height of curves (the area under them), estimate and interval a group
    Areas {
        #[command(flatten)]
        estimator: EstimatorArgs,
        /// Where the range starts; by default where the last run starts.
        #[arg(long, value_name = "STEP", requires = "to")]
        from: Option<f64>,
        /// Where it ends; by default where the longest run ends.
        #[arg(long, value_name = "STEP", requires = "from")]
        to: Option<f64>,
    },
    /// Main effects of all factors and their interactions, with simultaneous intervals
    Effects {
        /// Factors in an effect at most: 1 for main effects alone.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
        order: u8,
        #[command(flatten)]
        factorial: FactorialArgs,
    },
    /// Means by the levels of the factors in --by (two of them for an interaction)
    Means {
        #[command(flatten)]
        factorial: FactorialArgs,
    },
    /// Share of the variance that each effect explains, in a balanced design
    Variance {
        /// Factors in an effect at most; the others belong to the residual.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
        order: u8,
    },
    /// Arms (or the values of one column of --by) against each other: difference, interval, test
    Contrasts {
        #[command(flatten)]
        pairs: PairsArgs,
        #[command(flatten)]
        test: TestArgs,
    },
    /// Power of the same pairs, and the seeds that each still needs
    Power {
        #[command(flatten)]
        pairs: PairsArgs,
        /// The difference of means that would matter; by default the one that the results have,
        /// which is too large where it was chosen for its size.
        #[arg(long, value_name = "DIFFERENCE", allow_negative_numbers = true)]
        effect: Option<f64>,
        /// The power that is aimed at.
        #[arg(long, default_value_t = 0.8, value_parser = super::level)]
        power: f64,
        /// Confidence of an upper bound that stands for the standard deviation; by default it
        /// stands for itself, and few seeds often make it too small.
        #[arg(long, value_name = "LEVEL", value_parser = super::level)]
        sd_confidence: Option<f64>,
        #[command(flatten)]
        test: TestArgs,
    },
    /// Mean, median, IQM and optimality gap of every method over all tasks, as rliable has them
    Scores {
        #[command(flatten)]
        tasks: TaskArgs,
        /// The score that counts as reaching the target, for the optimality gap.
        #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
        gamma: f64,
    },
    /// Probability that a run of one method beats a run of another, for every two
    Improvement {
        #[command(flatten)]
        tasks: TaskArgs,
    },
    /// Mean win rate and mean rank of every method over tasks
    WinRates {
        #[command(flatten)]
        tasks: TaskArgs,
    },
    /// Performance profiles: the fraction of a method's scores above every threshold
    Profiles {
        #[command(flatten)]
        tasks: TaskArgs,
        /// Count means of tasks in place of runs.
        #[arg(long)]
        task_means: bool,
        #[command(flatten)]
        thresholds: ThresholdArgs,
    },
    /// The fraction of runs above every threshold, for every group of --by
    Survival {
        #[command(flatten)]
        thresholds: ThresholdArgs,
    },
    /// The best level of the tuned factor for every combination of the others, estimated honestly
    Selection {
        #[command(flatten)]
        tuning: TuningArgs,
    },
    /// Every level of the tuned factor for every combination of the others
    Sensitivity {
        #[command(flatten)]
        tuning: TuningArgs,
    },
    /// The procedure behind Figure 1 of "Implementation Matters": best level per combination, pooled
    FigureOne {
        /// Which of its tables.
        #[arg(long, value_enum, default_value_t)]
        part: PartArg,
        #[command(flatten)]
        tuning: TuningArgs,
        #[command(flatten)]
        thresholds: ThresholdArgs,
    },
    /// Pearson's, Spearman's and Kendall's correlation of the metric with another column
    Correlation {
        /// The other column.
        #[arg(long, value_name = "COLUMN")]
        with: String,
        /// What is held against no correlation.
        #[arg(long, value_enum, default_value_t)]
        alternative: super::statistics::AlternativeArg,
    },
    /// Linear regression of the metric on other columns
    Regression {
        /// The predictors, separated by commas.
        #[arg(long, value_name = "COLUMNS", value_delimiter = ',', required = true)]
        on: Vec<String>,
        /// Scale on which the line is straight; probit and logit take fractions.
        #[arg(long, value_enum, default_value_t)]
        scale: ScaleArg,
    },
}

/// What is estimated.
#[derive(Args, Clone, Debug)]
struct EstimatorArgs {
    /// What is estimated.
    #[arg(long, value_enum, default_value_t)]
    estimator: EstimatorArg,
}

impl EstimatorArgs {
    fn get(&self) -> Estimator {
        self.estimator.into()
    }
}

/// How effects are estimated.
#[derive(Args, Clone, Debug)]
struct FactorialArgs {
    /// How combinations of the other factors are weighed.
    #[arg(long, value_enum, default_value_t)]
    weighing: WeighingArg,
    /// How intervals of effects are made.
    #[arg(long, value_enum, default_value_t)]
    effect_interval: EffectIntervalArg,
    /// How they are made to hold together.
    #[arg(long, value_enum, default_value_t)]
    simultaneous: SimultaneousArg,
}

impl FactorialArgs {
    fn options(&self, order: u8, bootstrap: Bootstrap) -> FactorialOptions {
        Factorial {
            order: usize::from(order),
            estimator: match self.weighing {
                WeighingArg::Unweighted => FactorialEstimator::Unweighted,
                WeighingArg::Pooled => FactorialEstimator::Pooled,
            },
            interval: match self.effect_interval {
                EffectIntervalArg::Automatic => FactorialInterval::Automatic,
                EffectIntervalArg::Paired => FactorialInterval::Paired,
                EffectIntervalArg::Welch => FactorialInterval::Welch,
                EffectIntervalArg::PooledVariance => FactorialInterval::PooledVariance,
                EffectIntervalArg::Bootstrap => FactorialInterval::Bootstrap,
            },
            simultaneous: match self.simultaneous {
                SimultaneousArg::MaxT => Simultaneous::MaxT,
                SimultaneousArg::Bonferroni => Simultaneous::Bonferroni,
            },
            bootstrap,
        }
    }
}

/// A weighing on the command line.
#[derive(ValueEnum, Clone, Copy, Debug, Default)]
enum WeighingArg {
    /// Every combination alike: the mean of cell means.
    #[default]
    Unweighted,
    /// Every run alike: all runs of a level in one pool.
    Pooled,
}

/// An interval of an effect on the command line.
#[derive(ValueEnum, Clone, Copy, Debug, Default)]
enum EffectIntervalArg {
    /// Paired where all cells have the same replicates, else Welch's.
    #[default]
    Automatic,
    /// Student's t on the contrast within each replicate.
    Paired,
    /// Student's t with the cells' own variances.
    Welch,
    /// Student's t with one variance for all cells.
    PooledVariance,
    /// The percentile bootstrap over replicates.
    Bootstrap,
}

/// Simultaneous intervals on the command line.
#[derive(ValueEnum, Clone, Copy, Debug, Default)]
enum SimultaneousArg {
    /// The resampled distribution of the largest |t|.
    #[default]
    MaxT,
    /// An equal share of the error for each.
    Bonferroni,
}

/// Which groups are compared.
#[derive(Args, Clone, Debug)]
struct PairsArgs {
    /// The group that all others are compared with; by default every two groups are compared.
    #[arg(long, value_name = "GROUP", conflicts_with = "pairs")]
    baseline: Option<String>,
    /// Two groups, "FROM TO" or FROM:TO; may be given several times.
    #[arg(long = "pair", value_name = "FROM:TO", value_parser = pair)]
    pairs: Vec<(String, String)>,
}

impl PairsArgs {
    fn get(&self) -> Pairs {
        match &self.baseline {
            Some(baseline) => Pairs::Baseline(baseline.clone()),
            None if self.pairs.is_empty() => Pairs::All,
            None => Pairs::Named(self.pairs.clone()),
        }
    }
}

/// Two names, which have neither colons nor spaces.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once([':', ' ']) {
        Some((from, to)) if !from.is_empty() && !to.is_empty() => Ok((from.into(), to.into())),
        _ => Err("expected two names, FROM:TO".into()),
    }
}

/// How scores over tasks are resampled.
#[derive(Args, Clone, Debug)]
struct TaskArgs {
    /// The column, or factor, that tells tasks apart; methods are then the values of the columns in
    /// --by, or the levels of the other factors. By default tasks are what stands before the slash in
    /// the names of arms, or the environments.
    #[arg(long, value_name = "COLUMN")]
    task: Option<String>,
    /// Resample tasks too: the interval then speaks of tasks like these.
    #[arg(long)]
    task_bootstrap: bool,
}

impl TaskArgs {
    fn get(&self) -> Resampled {
        if self.task_bootstrap { Resampled::RunsAndTasks } else { Resampled::Runs }
    }
}

/// Where fractions are read.
#[derive(Args, Clone, Debug)]
struct ThresholdArgs {
    /// Thresholds, separated by commas.
    #[arg(
        long,
        value_name = "VALUES",
        value_delimiter = ',',
        allow_negative_numbers = true,
        conflicts_with = "points"
    )]
    at: Vec<f64>,
    /// So many thresholds, evenly from the smallest value to the largest.
    #[arg(long, default_value_t = THRESHOLDS)]
    points: usize,
}

impl ThresholdArgs {
    fn get(&self) -> Thresholds {
        if self.at.is_empty() {
            Thresholds::Even(self.points)
        } else {
            Thresholds::At(self.at.clone())
        }
    }
}

/// Which factor is tuned; by default as the study file says.
#[derive(Args, Clone, Debug)]
struct TuningArgs {
    /// The factor whose level is chosen.
    #[arg(long, value_name = "FACTOR")]
    tune: Option<String>,
    /// Which seeds choose and which estimate; naive where the study file does not say.
    #[arg(long, value_enum)]
    rule: Option<RuleArg>,
    /// With --rule fresh-seeds: so many first replicates choose.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    tuning_replicates: Option<u32>,
    /// What a level is chosen by.
    #[arg(long, value_enum)]
    choose_by: Option<EstimatorArg>,
    /// Lower values are better.
    #[arg(long)]
    lower_is_better: bool,
    /// What a run without a value means.
    #[arg(long, value_enum, default_value_t)]
    missing_runs: MissingArg,
}

impl TuningArgs {
    fn get(&self) -> Result<TuningChoice, String> {
        let rule = match (self.rule, self.tuning_replicates) {
            (Some(RuleArg::FreshSeeds), Some(replicates)) => Some(TuningRule::FreshSeeds {
                replicates: usize::try_from(replicates).unwrap_or(usize::MAX),
            }),
            (Some(RuleArg::FreshSeeds), None) => {
                return Err(
                    "--rule fresh-seeds needs --tuning-replicates N: so many first replicates \
                            choose, the others estimate"
                        .into(),
                );
            }
            (_, Some(_)) => {
                return Err("--tuning-replicates goes with --rule fresh-seeds".into());
            }
            (Some(RuleArg::NestedBootstrap), None) => Some(TuningRule::NestedBootstrap),
            (Some(RuleArg::Naive), None) => Some(TuningRule::Naive),
            (None, None) => None,
        };
        Ok(TuningChoice {
            factor: self.tune.clone(),
            rule,
            by: self.choose_by.map(Estimator::from),
            lower_is_better: self.lower_is_better,
            missing: Some(match self.missing_runs {
                MissingArg::Exclude => MissingRuns::Exclude,
                MissingArg::Worst => MissingRuns::Worst,
            }),
        })
    }
}

/// A rule of tuning on the command line.
#[derive(ValueEnum, Clone, Copy, Debug)]
enum RuleArg {
    /// The first replicates choose, the others estimate.
    FreshSeeds,
    /// Every resample of the replicates chooses, those outside it estimate.
    NestedBootstrap,
    /// All replicates do both: biased upward.
    Naive,
}

/// Missing runs on the command line.
#[derive(ValueEnum, Clone, Copy, Debug, Default)]
enum MissingArg {
    /// A level with one is no candidate.
    #[default]
    Exclude,
    /// It counts as the worst value of its group.
    Worst,
}

/// A table of Figure 1 on the command line.
#[derive(ValueEnum, Clone, Copy, Debug, Default)]
enum PartArg {
    /// Differences of the pooled runs' means.
    #[default]
    Effects,
    /// Survival curves by level of each factor.
    Survival,
    /// The chosen level of every combination.
    Chosen,
    /// The pooled runs.
    Runs,
}

/// A scale on the command line.
#[derive(ValueEnum, Clone, Copy, Debug, Default)]
enum ScaleArg {
    /// As it is.
    #[default]
    Linear,
    /// The inverse of the normal distribution function.
    Probit,
    /// Log odds.
    Logit,
}

fn condition(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((column, value)) if !column.is_empty() => Ok((column.into(), value.into())),
        _ => Err("expected COLUMN=VALUE, such as reward_scaling=returns".into()),
    }
}

/// Values by their column, in the order of the first mention.
fn conditions(pairs: &[(String, String)]) -> Vec<(String, Vec<String>)> {
    let mut conditions: Vec<(String, Vec<String>)> = Vec::new();
    for (column, value) in pairs {
        match conditions.iter_mut().find(|(known, _)| known == column) {
            Some((_, values)) => values.push(value.clone()),
            None => conditions.push((column.clone(), vec![value.clone()])),
        }
    }
    conditions
}

impl AnalysisArg {
    fn analysis(&self, bootstrap: Bootstrap) -> Result<Analysis, String> {
        Ok(match self {
            Self::Summary { estimator } => Analysis::Summary(estimator.get()),
            Self::Curves { estimator } => Analysis::Curves(estimator.get()),
            Self::Areas { estimator, from, to } => {
                Analysis::Areas { estimator: estimator.get(), range: from.zip(*to) }
            }
            Self::Effects { order, factorial } => {
                Analysis::Effects(factorial.options(*order, bootstrap))
            }
            Self::Means { factorial } => Analysis::Means(factorial.options(1, bootstrap)),
            Self::Variance { order } => Analysis::Variance { order: usize::from(*order) },
            Self::Contrasts { pairs, test } => Analysis::Contrasts {
                pairs: pairs.get(),
                // Arms of one study share their random draws.
                options: test.options(bootstrap, test.paired().unwrap_or(true)),
            },
            Self::Power { pairs, effect, power, sd_confidence, test } => {
                let options = test.options(bootstrap, test.paired().unwrap_or(true));
                let effect = effect.map_or(Effect::Pilot, Effect::Difference);
                Analysis::Power {
                    pairs: pairs.get(),
                    options: PowerOptions {
                        power: *power,
                        alpha: 1.0 - bootstrap.level,
                        alternative: options.alternative,
                        paired: options.paired,
                        sd_confidence: *sd_confidence,
                        ..PowerOptions::new(effect)
                    },
                }
            }
            Self::Scores { tasks, gamma } => Analysis::Scores {
                aggregates: vec![
                    Aggregate::Mean,
                    Aggregate::Median,
                    Aggregate::Iqm,
                    Aggregate::OptimalityGap { gamma: *gamma },
                ],
                resampled: tasks.get(),
            },
            Self::Improvement { tasks } => Analysis::Improvement(tasks.get()),
            Self::WinRates { tasks } => Analysis::WinRates(tasks.get()),
            Self::Profiles { tasks, task_means, thresholds } => Analysis::Profiles {
                of: if *task_means { ProfileOf::TaskMeans } else { ProfileOf::Runs },
                thresholds: thresholds.get(),
                resampled: tasks.get(),
            },
            Self::Survival { thresholds } => Analysis::Survival(thresholds.get()),
            Self::Selection { tuning } => Analysis::Selection(tuning.get()?),
            Self::Sensitivity { tuning } => Analysis::Sensitivity(tuning.get()?),
            Self::FigureOne { part, tuning, thresholds } => Analysis::FigureOne {
                part: match part {
                    PartArg::Effects => FigureOnePart::Effects,
                    PartArg::Survival => FigureOnePart::Survival,
                    PartArg::Chosen => FigureOnePart::Chosen,
                    PartArg::Runs => FigureOnePart::Runs,
                },
                thresholds: thresholds.get(),
                tuning: tuning.get()?,
            },
            Self::Correlation { with, alternative } => {
                Analysis::Correlation { with: with.clone(), alternative: (*alternative).into() }
            }
            Self::Regression { on, scale } => Analysis::Regression {
                on: on.clone(),
                options: RegressionOptions {
                    intercept: true,
                    scale: match scale {
                        ScaleArg::Linear => Scale::Identity,
                        ScaleArg::Probit => Scale::Probit,
                        ScaleArg::Logit => Scale::Logit,
                    },
                    boundary: Boundary::Refuse,
                    level: bootstrap.level,
                },
            },
        })
    }

    /// The column of tasks, where there is one.
    fn task(&self) -> Option<&str> {
        match self {
            Self::Scores { tasks, .. }
            | Self::Improvement { tasks }
            | Self::WinRates { tasks }
            | Self::Profiles { tasks, .. } => tasks.task.as_deref(),
            _ => None,
        }
    }

    /// The defaults of the resampling.
    fn resampling(&self) -> Bootstrap {
        match self {
            Self::Curves { .. } | Self::Profiles { .. } | Self::Survival { .. } => {
                Bootstrap::curves()
            }
            _ => Bootstrap::tables(),
        }
    }
}

/// Runs `ceteris analyse`.
///
/// # Errors
/// When the results cannot be read, the question names something that they do not have, or the table
/// cannot be written.
pub fn execute(
    args: &AnalyseArgs,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let format = args.out.as_deref().map(Format::of).transpose()?;
    let mut results = ResultsDirectory::read(&args.directory)?;
    if let Some(study) = &args.study {
        results = results.shown_as(StudyFile::read(study)?)?;
    }
    let bootstrap = args.bootstrap.over(args.analysis.resampling());
    let keep = conditions(&args.keep);
    let question = Question {
        analysis: args.analysis.analysis(bootstrap)?,
        table: args.table.as_deref(),
        metric: args.metric.as_deref(),
        by: &args.by,
        task: args.analysis.task(),
        keep: &keep,
        bootstrap,
    };
    let mut table = answer(&results, &question)?;
    match (&args.out, format) {
        (Some(path), Some(format)) => {
            format.write(&mut table, path)?;
            writeln!(out, "{}: {} rows", path.display(), table.height())?;
        }
        _ => out.write_all(frame::text(&table, frame::width())?.as_bytes())?,
    }
    Ok(())
}
