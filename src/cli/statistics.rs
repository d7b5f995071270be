//! Arguments on statistics that several subcommands share.

use std::num::NonZeroUsize;

use analysis::{
    Alternative, Bootstrap, ComparisonOptions, ComparisonTest, Correction, DifferenceInterval,
    Estimator, IntervalMethod,
};
use clap::{Args, ValueEnum};

/// Resampling.
#[derive(Args, Clone, Debug)]
pub struct BootstrapArgs {
    /// How bootstrap intervals are made.
    #[arg(long, value_enum, value_name = "METHOD", default_value_t, global = true)]
    interval: IntervalArg,
    /// Bootstrap resamples; by default 10000, along curves 2000.
    #[arg(long, value_name = "N", global = true)]
    resamples: Option<NonZeroUsize>,
    /// Level of the intervals, between 0 and 1.
    #[arg(long, default_value_t = Bootstrap::tables().level, value_parser = super::level, global = true)]
    level: f64,
    /// Seed of the resampling.
    #[arg(long, default_value_t = Bootstrap::tables().seed, global = true)]
    seed: u64,
}

impl BootstrapArgs {
    /// The defaults of an analysis with what was asked for.
    pub fn over(&self, default: Bootstrap) -> Bootstrap {
        let resamples = self.resamples.map_or(default.resamples, NonZeroUsize::get);
        let method = self.interval.into();
        Bootstrap { method, resamples, level: self.level, seed: self.seed, ..default }
    }
}

/// Tests of pairs.
#[derive(Args, Clone, Debug)]
pub struct TestArgs {
    /// What tests a difference.
    #[arg(long, value_enum, default_value_t)]
    test: TestArg,
    /// Whether replicates are paired; auto pairs them where they have the same random draws.
    #[arg(long, value_enum, default_value_t)]
    paired: PairedArg,
    /// What is held against "no difference".
    #[arg(long, value_enum, default_value_t)]
    alternative: AlternativeArg,
    /// How p values are corrected for the number of pairs.
    #[arg(long, value_enum, default_value_t)]
    correction: CorrectionArg,
    /// How intervals of differences are made.
    #[arg(long, value_enum, default_value_t)]
    difference_interval: DifferenceIntervalArg,
}

impl TestArgs {
    /// Whether replicates are paired, if that was said.
    pub fn paired(&self) -> Option<bool> {
        match self.paired {
            PairedArg::Auto => None,
            PairedArg::Yes => Some(true),
            PairedArg::No => Some(false),
        }
    }

    /// All options together.
    pub fn options(&self, bootstrap: Bootstrap, paired: bool) -> ComparisonOptions {
        ComparisonOptions {
            paired,
            bootstrap,
            test: match self.test {
                TestArg::T => ComparisonTest::T,
                TestArg::Rank => ComparisonTest::Rank,
                TestArg::Permutation => ComparisonTest::Permutation,
            },
            alternative: self.alternative.into(),
            correction: match self.correction {
                CorrectionArg::Holm => Correction::Holm,
                CorrectionArg::Bonferroni => Correction::Bonferroni,
                CorrectionArg::BenjaminiHochberg => Correction::BenjaminiHochberg,
            },
            interval: match self.difference_interval {
                DifferenceIntervalArg::T => DifferenceInterval::T,
                DifferenceIntervalArg::Bootstrap => DifferenceInterval::Bootstrap,
            },
            ..ComparisonOptions::default()
        }
    }
}

/// A test on the command line.
#[derive(ValueEnum, Clone, Copy, Debug, Default)]
enum TestArg {
    /// Welch's t, or the paired t.
    #[default]
    T,
    /// Mann-Whitney's U, or Wilcoxon's signed ranks.
    Rank,
    /// The difference of means against permutations, or against flipped signs of pairs.
    Permutation,
}

/// Pairing on the command line.
#[derive(ValueEnum, Clone, Copy, Debug, Default)]
enum PairedArg {
    /// Where replicates have the same random draws.
    #[default]
    Auto,
    /// Always.
    Yes,
    /// Never.
    No,
}

/// An alternative on the command line.
#[derive(ValueEnum, Clone, Copy, Debug, Default)]
pub enum AlternativeArg {
    /// A difference.
    #[default]
    TwoSided,
    /// The second is less than the first.
    Less,
    /// The second is greater than the first.
    Greater,
}

impl From<AlternativeArg> for Alternative {
    fn from(alternative: AlternativeArg) -> Self {
        match alternative {
            AlternativeArg::TwoSided => Self::TwoSided,
            AlternativeArg::Less => Self::Less,
            AlternativeArg::Greater => Self::Greater,
        }
    }
}

/// A correction on the command line.
#[derive(ValueEnum, Clone, Copy, Debug, Default)]
enum CorrectionArg {
    /// Holm's: the chance of any false finding.
    #[default]
    Holm,
    /// Bonferroni's: the same, more simply and with less power.
    Bonferroni,
    /// Benjamini and Hochberg's: the share of false findings.
    BenjaminiHochberg,
}

/// An interval of a difference on the command line.
#[derive(ValueEnum, Clone, Copy, Debug, Default)]
enum DifferenceIntervalArg {
    /// Welch's, or that of the paired t test.
    #[default]
    T,
    /// The bootstrap's, of the method that --interval names.
    Bootstrap,
}

/// An estimator on the command line.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EstimatorArg {
    /// The arithmetic mean.
    #[default]
    Mean,
    /// The interquartile mean: the mean without the lowest and the highest quarter.
    Iqm,
    /// The median.
    Median,
}

impl From<EstimatorArg> for Estimator {
    fn from(estimator: EstimatorArg) -> Self {
        match estimator {
            EstimatorArg::Mean => Self::Mean,
            EstimatorArg::Iqm => Self::Iqm,
            EstimatorArg::Median => Self::Median,
        }
    }
}

/// A method of bootstrap intervals on the command line.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IntervalArg {
    /// Quantiles of the resampled estimates.
    #[default]
    Percentile,
    /// The percentile interval mirrored at the estimate.
    Basic,
    /// Bias-corrected and accelerated.
    Bca,
    /// The bootstrap-t; covers best, at some cost.
    Studentized,
    /// Quantiles of the estimates under random Dirichlet weights.
    Bayesian,
}

impl From<IntervalArg> for IntervalMethod {
    fn from(method: IntervalArg) -> Self {
        match method {
            IntervalArg::Percentile => Self::Percentile,
            IntervalArg::Basic => Self::Basic,
            IntervalArg::Bca => Self::Bca,
            IntervalArg::Studentized => Self::Studentized,
            IntervalArg::Bayesian => Self::Bayesian,
        }
    }
}
