//! Whether confidences are met by outcomes: calibration errors, Brier score, Platt scaling.
//!
//! **Binning.** Confidences are compared with outcomes bin by bin. A bin holds what lies above its
//! lower edge and at or below its upper one; the first also holds 0. Equal confidences therefore
//! never part.
//!
//! - [`Binning::EqualWidth`]: edge `m` of `M` is `m / M` (Naeini, Cooper and Hauskrecht 2015, AAAI;
//!   Guo et al. 2017, ICML).
//! - [`Binning::EqualMass`]: sorted confidences are cut into `min(M, n)` runs whose sizes differ by
//!   at most one, the longer ones first; an edge lies midway between the last of a run and the
//!   first of the next, the last edge is 1, equal edges count once (`get_equal_bins` of the
//!   package `uncertainty-calibration` 0.1.4, with which HELM computes its `ece_10_bin`).
//!
//! The expected calibration error is the mean over rows of the distance between mean confidence
//! and share of successes of the row's bin; the maximum calibration error is the largest such
//! distance. Both are biased upward where bins hold few rows, a resample more so than the sample: the
//! bootstrap's interval of a small error can lie above the estimate.
//!
//! **Brier score** (Brier 1950): the mean squared distance of confidence and outcome. With bins, it
//! is reliability minus resolution plus uncertainty (Murphy 1973), which is exact where
//! confidences do not vary within bins; what their variation adds is the two within-bin terms of
//! Stephenson, Coelho and Jolliffe (2008, Weather and Forecasting 23, 752-757), here as one number.
//!
//! **Platt scaling** (Platt 1999): logistic regression of the outcome on the logit of the
//! confidence, which is first clipped to `[1e-12, 1 - 1e-12]` as `uncertainty-calibration` does.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::bootstrap::parallel_map;
use super::estimator::count;
use super::frames::{Groups, groups, index, numbers, replicates, take};
use super::tables::push;
use super::{AnalysisError, Bootstrap, Interval, normal};

/// Confidences nearer to 0 or 1 have their logits taken here.
const CLIP: f64 = 1e-12;
/// Newton's steps at most; a dozen are usual.
const MOST_STEPS: usize = 200;

/// How confidences are cut into bins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binning {
    /// Bins of the same width.
    EqualWidth,
    /// Bins with about the same number of rows.
    EqualMass,
}

impl Binning {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::EqualWidth => "equal-width",
            Self::EqualMass => "equal-mass",
        }
    }
}

/// What Platt scaling is fitted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlattTargets {
    /// The outcomes themselves, by maximum likelihood, as HELM does. There is no fit where all
    /// outcomes are equal or a confidence separates them.
    Outcomes,
    /// `(N1 + 1) / (N1 + 2)` for the N1 successes and `1 / (N0 + 2)` for the N0 failures, as Platt
    /// proposed and scikit-learn does. There is a fit unless all confidences are equal.
    Smoothed,
}

/// The columns that [`calibration`] and [`reliability`] read.
#[derive(Clone, Copy, Debug)]
pub struct CalibrationColumns<'a> {
    /// Columns whose values make the groups; none puts all rows into one group.
    pub groups: &'a [&'a str],
    /// What is resampled as a block: usually the instance that was answered.
    pub replicate: &'a str,
    /// The probability that was given to a success, in [0, 1].
    pub confidence: &'a str,
    /// Whether there was a success: 0, 1 or Boolean.
    pub outcome: &'a str,
}

/// How calibration is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalibrationOptions {
    /// How bins are cut.
    pub binning: Binning,
    /// Bins at most; at least 1.
    pub bins: usize,
    /// What Platt scaling is fitted to.
    pub targets: PlattTargets,
}

impl Default for CalibrationOptions {
    /// Ten bins of equal mass, Platt scaling to the outcomes: what HELM reports.
    fn default() -> Self {
        Self { binning: Binning::EqualMass, bins: 10, targets: PlattTargets::Outcomes }
    }
}

impl CalibrationOptions {
    fn check(&self) -> Result<(), AnalysisError> {
        if self.bins == 0 {
            return Err(AnalysisError::Setting {
                name: "the number of bins",
                value: "0".to_owned(),
                allowed: "be at least 1",
            });
        }
        Ok(())
    }

    fn words(&self) -> String {
        format!("{} {} bins", self.bins, self.binning.name())
    }
}

/// Measures the calibration of confidences per group.
///
/// One row a group and measure, groups in the order of their columns: the group columns, then
///
/// | column | meaning |
/// |---|---|
/// | `measure` | see below |
/// | `n`, `replicates`, `missing` | rows that entered, distinct replicates among them, rows without confidence or outcome |
/// | `estimate` | null where `n` is 0 or the note says why |
/// | `low`, `high` | bootstrap over replicates; null below two of them and for the measures that have none |
/// | `note` | why there is no Platt scaling, or null |
/// | `estimator`, `interval`, `interval_level`, `resamples` | what the estimate and the interval are |
///
/// | measure | interval | meaning |
/// |---|---|---|
/// | `accuracy` | yes | share of successes |
/// | `confidence` | yes | mean confidence |
/// | `overconfidence` | yes | mean confidence minus share of successes: signed, one bin |
/// | `ece` | yes | expected calibration error |
/// | `mce` | yes | maximum calibration error |
/// | `brier` | yes | Brier score; the sum `reliability - resolution + uncertainty + within_bins` |
/// | `reliability` | | mean squared distance of mean confidence and share of successes of the bins |
/// | `resolution` | | variance of the bins' shares of successes |
/// | `uncertainty` | | variance of the outcomes |
/// | `within_bins` | | what the variation of confidences within bins adds |
/// | `platt_slope`, `platt_intercept` | | log odds of a success per logit of confidence, and at a logit of zero |
/// | `platt_ece`, `platt_brier` | | after Platt scaling, on the rows that it was fitted to |
///
/// Where outcomes are all equal, confidences are all equal, or a confidence separates failures from
/// successes, the likelihood of Platt scaling has no maximum: its measures are null and the note
/// says so. (HELM stores zeros.)
///
/// # Errors
/// When a column is absent or of the wrong type, a row has no replicate, a confidence lies outside
/// [0, 1], an outcome is neither 0 nor 1, there are no bins, or the bootstrap is out of range or the
/// Bayesian one, for which these measures have no weighted form.
pub fn calibration(
    frame: &DataFrame,
    columns: CalibrationColumns<'_>,
    options: &CalibrationOptions,
    bootstrap: &Bootstrap,
) -> Result<DataFrame, AnalysisError> {
    options.check()?;
    bootstrap.check()?;
    let (keys, samples) = samples(frame, &columns)?;
    let measured =
        parallel_map(&samples, bootstrap.threads, |sample| sample.measures(options, bootstrap))
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
    let of_group: Vec<IdxSize> =
        (0..).zip(&measured).flat_map(|(g, rows)| vec![index(g); rows.len()]).collect();
    let mut table = repeated(&keys, &of_group, columns.groups)?;
    let rows: Vec<(&Sample, &Measure)> = samples
        .iter()
        .zip(&measured)
        .flat_map(|(sample, measures)| measures.iter().map(move |measure| (sample, measure)))
        .collect();
    let counts = |value: &dyn Fn(&Sample) -> usize| {
        rows.iter().map(|(sample, _)| value(sample) as u64).collect::<Vec<_>>()
    };
    let floats = |value: &dyn Fn(&Measure) -> Option<f64>| {
        rows.iter().map(|(_, measure)| value(measure)).collect::<Vec<Option<f64>>>()
    };
    let resampled = |measure: &Measure| measure.resampled;
    push(&mut table, "measure", rows.iter().map(|(_, m)| m.name).collect::<Vec<_>>())?;
    push(&mut table, "n", counts(&|sample| sample.rows.len()))?;
    push(&mut table, "replicates", counts(&|sample| sample.blocks.len()))?;
    push(&mut table, "missing", counts(&|sample| sample.missing))?;
    push(&mut table, "estimate", floats(&|measure| measure.estimate))?;
    push(&mut table, "low", floats(&|measure| measure.interval.map(|i| i.low)))?;
    push(&mut table, "high", floats(&|measure| measure.interval.map(|i| i.high)))?;
    push(&mut table, "note", rows.iter().map(|(_, m)| m.note).collect::<Vec<_>>())?;
    let words = |measure: &Measure| {
        if measure.binned {
            format!("{}, {}", measure.words, options.words())
        } else {
            measure.words.to_owned()
        }
    };
    push(&mut table, "estimator", rows.iter().map(|(_, m)| words(m)).collect::<Vec<_>>())?;
    let of_bootstrap = |measure: &Measure| resampled(measure).then_some(bootstrap.method.words());
    push(&mut table, "interval", rows.iter().map(|(_, m)| of_bootstrap(m)).collect::<Vec<_>>())?;
    push(&mut table, "interval_level", floats(&|m| resampled(m).then_some(bootstrap.level)))?;
    let resamples = |measure: &Measure| resampled(measure).then_some(bootstrap.resamples as u64);
    push(&mut table, "resamples", rows.iter().map(|(_, m)| resamples(m)).collect::<Vec<_>>())?;
    Ok(table)
}

/// The bins of a reliability diagram per group.
///
/// One row a group and bin, bins ascending: the group columns, then
///
/// | column | meaning |
/// |---|---|
/// | `bin` | its number from 1 |
/// | `low`, `high` | its edges: above the lower (the first bin also at it), at or below the upper |
/// | `n` | rows in it |
/// | `missing` | of the group: rows without confidence or outcome |
/// | `confidence` | mean confidence; null where `n` is 0, like all that follow |
/// | `accuracy` | share of successes |
/// | `accuracy_low`, `accuracy_high` | Wilson's score interval of that share, which takes rows as independent |
/// | `gap` | mean confidence minus share of successes |
/// | `estimator`, `interval`, `interval_level`, `resamples` | what the share and its interval are; `resamples` is null |
///
/// A group without a row that has both confidence and outcome has no bins of equal mass.
///
/// # Errors
/// As [`calibration`].
pub fn reliability(
    frame: &DataFrame,
    columns: CalibrationColumns<'_>,
    options: &CalibrationOptions,
    level: f64,
) -> Result<DataFrame, AnalysisError> {
    options.check()?;
    if !(level > 0.0 && level < 1.0) {
        return Err(AnalysisError::Level(level));
    }
    let (keys, samples) = samples(frame, &columns)?;
    let mut of_group = Vec::new();
    let mut missing = Vec::new();
    let mut bins = Vec::new();
    for (group, sample) in samples.iter().enumerate() {
        for (number, bin) in (1u64..).zip(sample.bins(options)) {
            of_group.push(index(group));
            missing.push(sample.missing as u64);
            bins.push((number, bin));
        }
    }
    let floats = |value: &dyn Fn(&Bin) -> Option<f64>| {
        bins.iter().map(|(_, bin)| value(bin)).collect::<Vec<Option<f64>>>()
    };
    let mut table = repeated(&keys, &of_group, columns.groups)?;
    push(&mut table, "bin", bins.iter().map(|(number, _)| *number).collect::<Vec<_>>())?;
    push(&mut table, "low", floats(&|bin| Some(bin.low)))?;
    push(&mut table, "high", floats(&|bin| Some(bin.high)))?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // sums of ones
    push(&mut table, "n", bins.iter().map(|(_, bin)| bin.n as u64).collect::<Vec<_>>())?;
    push(&mut table, "missing", missing)?;
    push(&mut table, "confidence", floats(&Bin::confidence))?;
    push(&mut table, "accuracy", floats(&Bin::accuracy))?;
    let z = -normal::quantile((1.0 - level) / 2.0);
    push(&mut table, "accuracy_low", floats(&|bin| Some(wilson(bin.successes, bin.n, z)?.low)))?;
    push(&mut table, "accuracy_high", floats(&|bin| Some(wilson(bin.successes, bin.n, z)?.high)))?;
    push(&mut table, "gap", floats(&|bin| Some(bin.confidence()? - bin.accuracy()?)))?;
    let rows = bins.len();
    push(&mut table, "estimator", vec![format!("share of successes, {}", options.words()); rows])?;
    push(&mut table, "interval", vec!["Wilson score"; rows])?;
    push(&mut table, "interval_level", vec![level; rows])?;
    push(&mut table, "resamples", vec![None::<u64>; rows])?;
    Ok(table)
}

fn repeated(keys: &DataFrame, of_group: &[IdxSize], columns: &[&str]) -> PolarsResult<DataFrame> {
    if columns.is_empty() { DataFrame::new(of_group.len(), vec![]) } else { take(keys, of_group) }
}

/// Wilson's score interval (Wilson 1927) of a share; `None` without trials.
fn wilson(successes: f64, trials: f64, z: f64) -> Option<Interval> {
    if trials <= 0.0 {
        return None;
    }
    let share = successes / trials;
    let scale = 1.0 + z * z / trials;
    let centre = (share + z * z / (2.0 * trials)) / scale;
    let half =
        z / scale * (share * (1.0 - share) / trials + z * z / (4.0 * trials * trials)).sqrt();
    Some(Interval {
        // Exact at the ends, where the difference would leave a rounding error.
        low: if successes <= 0.0 { 0.0 } else { centre - half },
        high: if successes >= trials { 1.0 } else { centre + half },
    })
}

/// A confidence and whether it was met.
#[derive(Clone, Copy, Debug)]
struct Row {
    confidence: f64,
    success: bool,
}

impl Row {
    fn outcome(self) -> f64 {
        if self.success { 1.0 } else { 0.0 }
    }
}

/// The rows of a group.
struct Sample {
    /// Ascending in confidence, failures first among equals, so that sums do not depend on the
    /// order of the frame.
    rows: Vec<Row>,
    /// The places in `rows` of each replicate.
    blocks: Vec<Vec<usize>>,
    missing: usize,
}

struct Bin {
    low: f64,
    high: f64,
    n: f64,
    confidences: f64,
    successes: f64,
}

impl Bin {
    fn confidence(&self) -> Option<f64> {
        (self.n > 0.0).then(|| self.confidences / self.n)
    }

    fn accuracy(&self) -> Option<f64> {
        (self.n > 0.0).then(|| self.successes / self.n)
    }

    fn gap(&self) -> f64 {
        if self.n > 0.0 { (self.confidences - self.successes).abs() / self.n } else { 0.0 }
    }
}

/// A row of the table of [`calibration`].
struct Measure {
    name: &'static str,
    words: &'static str,
    binned: bool,
    resampled: bool,
    estimate: Option<f64>,
    interval: Option<Interval>,
    note: Option<&'static str>,
}

/// The groups with their samples.
fn samples(
    frame: &DataFrame,
    columns: &CalibrationColumns<'_>,
) -> Result<(DataFrame, Vec<Sample>), AnalysisError> {
    let Groups { keys, rows } = groups(frame, columns.groups)?;
    let replicates = replicates(frame, columns.replicate)?;
    let confidences = numbers(frame, columns.confidence)?;
    let outcomes = numbers(frame, columns.outcome)?;
    let refused = |column: &str, row, value, allowed| AnalysisError::OutOfRange {
        column: column.to_owned(),
        row,
        value,
        allowed,
    };
    for (row, confidence) in confidences.iter().enumerate() {
        if let Some(value) = confidence.filter(|value| !(0.0..=1.0).contains(value)) {
            let allowed = "be a probability between 0 and 1 (exponentiate logarithms)";
            return Err(refused(columns.confidence, row, value, allowed));
        }
    }
    #[allow(clippy::float_cmp)] // exactly these
    for (row, outcome) in outcomes.iter().enumerate() {
        if let Some(value) = outcome.filter(|value| *value != 0.0 && *value != 1.0) {
            let allowed = "be 0 or 1 (decide first which partial scores count as successes)";
            return Err(refused(columns.outcome, row, value, allowed));
        }
    }
    let samples = rows
        .iter()
        .map(|rows| {
            let mut present: Vec<(Row, usize)> = rows
                .iter()
                .filter_map(|&row| {
                    let success = outcomes[row]? > 0.5;
                    Some((Row { confidence: confidences[row]?, success }, replicates[row]))
                })
                .collect();
            present.sort_unstable_by(|(a, of_a), (b, of_b)| {
                a.confidence
                    .total_cmp(&b.confidence)
                    .then(a.success.cmp(&b.success))
                    .then(of_a.cmp(of_b))
            });
            let mut blocks: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for (place, (_, replicate)) in present.iter().enumerate() {
                blocks.entry(*replicate).or_default().push(place);
            }
            Sample {
                missing: rows.len() - present.len(),
                rows: present.into_iter().map(|(row, _)| row).collect(),
                blocks: blocks.into_values().collect(),
            }
        })
        .collect();
    Ok((keys, samples))
}

impl Sample {
    fn once(&self) -> Vec<u32> {
        vec![1; self.rows.len()]
    }

    fn bins(&self, options: &CalibrationOptions) -> Vec<Bin> {
        bins(&self.rows, &self.once(), options)
    }

    fn measures(
        &self,
        options: &CalibrationOptions,
        bootstrap: &Bootstrap,
    ) -> Result<Vec<Measure>, AnalysisError> {
        let blocks: Vec<usize> = (0..self.blocks.len()).collect();
        let mut measures = Vec::new();
        for (name, words, binned, statistic) in RESAMPLED {
            let statistic = |times: &[u32]| statistic(&self.rows, times, options);
            // How often each row is drawn says all, and keeps rows sorted.
            let interval = bootstrap.interval(&[&blocks], |drawn| {
                let mut times = vec![0; self.rows.len()];
                for block in drawn.iter().flatten() {
                    for &place in &self.blocks[*block] {
                        times[place] += 1;
                    }
                }
                statistic(&times)
            })?;
            let estimate = statistic(&self.once());
            let resampled = true;
            measures.push(Measure {
                name,
                words,
                binned,
                resampled,
                estimate,
                interval,
                note: None,
            });
        }
        let plain = |name, words, binned, estimate, note| Measure {
            name,
            words,
            binned,
            resampled: false,
            estimate,
            interval: None,
            note,
        };
        let parts = self.decomposition(options);
        for (part, (name, words)) in [
            ("reliability", "reliability of the Brier score"),
            ("resolution", "resolution of the Brier score"),
            ("uncertainty", "uncertainty of the Brier score"),
            ("within_bins", "within-bin terms of the Brier score"),
        ]
        .into_iter()
        .enumerate()
        {
            measures.push(plain(name, words, true, parts.map(|parts| parts[part]), None));
        }
        let platt = Platt::fit(&self.rows, options.targets);
        let note = platt.as_ref().err().copied().flatten();
        let platt = platt.ok();
        let scaled = platt.map(|platt| platt.scaled(&self.rows));
        let of_scaled = |statistic: Statistic| {
            scaled.as_ref().and_then(|rows| statistic(rows, &self.once(), options))
        };
        let fit = match options.targets {
            PlattTargets::Outcomes => "Platt scaling by maximum likelihood",
            PlattTargets::Smoothed => "Platt scaling to smoothed targets",
        };
        measures.push(plain("platt_slope", fit, false, platt.map(|p| p.slope), note));
        measures.push(plain("platt_intercept", fit, false, platt.map(|p| p.intercept), note));
        let after = "expected calibration error after Platt scaling";
        measures.push(plain("platt_ece", after, true, of_scaled(ece), note));
        let after = "Brier score after Platt scaling";
        measures.push(plain("platt_brier", after, false, of_scaled(brier), note));
        Ok(measures)
    }

    /// Reliability, resolution, uncertainty and the within-bin terms; `None` of no rows.
    fn decomposition(&self, options: &CalibrationOptions) -> Option<[f64; 4]> {
        let n = count(self.rows.len());
        let overall = accuracy(&self.rows, &self.once(), options)?;
        let (mut reliability, mut resolution, mut within) = (0.0, 0.0, 0.0);
        let mut rows = self.rows.iter().peekable();
        for bin in self.bins(options) {
            let (Some(confidence), Some(share)) = (bin.confidence(), bin.accuracy()) else {
                continue;
            };
            reliability += bin.n * (confidence - share) * (confidence - share);
            resolution += bin.n * (share - overall) * (share - overall);
            while let Some(row) = rows.next_if(|row| row.confidence <= bin.high) {
                let off = row.confidence - confidence;
                within += off * off - 2.0 * off * (row.outcome() - share);
            }
        }
        Some([reliability / n, resolution / n, overall * (1.0 - overall), within / n])
    }
}

/// Statistic of sorted rows, of which each counts some number of times.
type Statistic = fn(&[Row], &[u32], &CalibrationOptions) -> Option<f64>;

/// Name, words, whether it needs bins, and value of the measures that are resampled.
const RESAMPLED: [(&str, &str, bool, Statistic); 6] = [
    ("accuracy", "share of successes", false, accuracy),
    ("confidence", "mean confidence", false, confidence),
    ("overconfidence", "mean confidence minus share of successes", false, overconfidence),
    ("ece", "expected calibration error", true, ece),
    ("mce", "maximum calibration error", true, mce),
    ("brier", "Brier score", false, brier),
];

fn mean_of(rows: &[Row], times: &[u32], value: impl Fn(Row) -> f64) -> Option<f64> {
    let (mut sum, mut n) = (0.0, 0.0);
    for (row, &times) in rows.iter().zip(times) {
        sum += f64::from(times) * value(*row);
        n += f64::from(times);
    }
    (n > 0.0).then(|| sum / n)
}

fn accuracy(rows: &[Row], times: &[u32], _: &CalibrationOptions) -> Option<f64> {
    mean_of(rows, times, Row::outcome)
}

fn confidence(rows: &[Row], times: &[u32], _: &CalibrationOptions) -> Option<f64> {
    mean_of(rows, times, |row| row.confidence)
}

fn overconfidence(rows: &[Row], times: &[u32], _: &CalibrationOptions) -> Option<f64> {
    mean_of(rows, times, |row| row.confidence - row.outcome())
}

fn brier(rows: &[Row], times: &[u32], _: &CalibrationOptions) -> Option<f64> {
    mean_of(rows, times, |row| (row.confidence - row.outcome()).powi(2))
}

fn ece(rows: &[Row], times: &[u32], options: &CalibrationOptions) -> Option<f64> {
    let bins = bins(rows, times, options);
    let n: f64 = bins.iter().map(|bin| bin.n).sum();
    (n > 0.0).then(|| bins.iter().map(|bin| bin.n * bin.gap()).sum::<f64>() / n)
}

fn mce(rows: &[Row], times: &[u32], options: &CalibrationOptions) -> Option<f64> {
    let bins = bins(rows, times, options);
    bins.iter().filter(|bin| bin.n > 0.0).map(Bin::gap).reduce(f64::max)
}

fn bins(rows: &[Row], times: &[u32], options: &CalibrationOptions) -> Vec<Bin> {
    let edges = match options.binning {
        Binning::EqualWidth => {
            (1..=options.bins).map(|edge| count(edge) / count(options.bins)).collect()
        }
        Binning::EqualMass => equal_mass(rows, times, options.bins),
    };
    let mut rows = rows.iter().zip(times).peekable();
    let mut low = 0.0;
    edges
        .into_iter()
        .map(|high| {
            let mut bin = Bin { low, high, n: 0.0, confidences: 0.0, successes: 0.0 };
            while let Some((row, times)) = rows.next_if(|(row, _)| row.confidence <= high) {
                let times = f64::from(*times);
                bin.n += times;
                bin.confidences += times * row.confidence;
                bin.successes += times * row.outcome();
            }
            low = high;
            bin
        })
        .collect()
}

/// Upper edges of bins of equal mass.
fn equal_mass(rows: &[Row], times: &[u32], bins: usize) -> Vec<f64> {
    let n: usize = times.iter().map(|times| *times as usize).sum();
    let bins = bins.min(n);
    if bins == 0 {
        return vec![];
    }
    let (size, longer) = (n / bins, n % bins);
    let mut ends = (1..bins).map(|run| run * size + run.min(longer)).peekable();
    let mut edges = Vec::with_capacity(bins);
    let mut before = 0;
    let mut last = None;
    for (row, times) in rows.iter().zip(times).filter(|(_, times)| **times > 0) {
        // Runs that end right before this row, then those that end among its repetitions.
        while let Some(end) = ends.next_if(|end| *end < before + *times as usize) {
            let below = if end == before { last.unwrap_or(row.confidence) } else { row.confidence };
            edges.push((below + row.confidence) / 2.0);
        }
        before += *times as usize;
        last = Some(row.confidence);
    }
    edges.push(1.0);
    edges.dedup();
    edges
}

/// A logistic line through the logits of confidences.
#[derive(Clone, Copy, Debug)]
struct Platt {
    slope: f64,
    intercept: f64,
}

impl Platt {
    /// The fit to sorted rows, or why there is none (nothing to say of no rows).
    fn fit(rows: &[Row], targets: PlattTargets) -> Result<Self, Option<&'static str>> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Err(None) };
        let failures = rows.iter().filter(|row| !row.success);
        let successes = rows.iter().filter(|row| row.success);
        let (failed, succeeded) = (failures.clone().count(), successes.clone().count());
        if targets == PlattTargets::Outcomes && (failed == 0 || succeeded == 0) {
            return Err(Some("all outcomes are equal"));
        }
        if logit(first.confidence) >= logit(last.confidence) {
            return Err(Some("all confidences are equal"));
        }
        let reach = |low: Option<&Row>, high: Option<&Row>| {
            Some((logit(low?.confidence), logit(high?.confidence)))
        };
        let ranges = (
            reach(failures.clone().next(), failures.clone().next_back()),
            reach(successes.clone().next(), successes.clone().next_back()),
        );
        if targets == PlattTargets::Outcomes
            && let (Some(failures), Some(successes)) = ranges
            && (failures.1 <= successes.0 || successes.1 <= failures.0)
        {
            return Err(Some("a confidence separates failures from successes"));
        }
        let (low, high) = match targets {
            PlattTargets::Outcomes => (0.0, 1.0),
            PlattTargets::Smoothed => {
                (1.0 / (count(failed) + 2.0), (count(succeeded) + 1.0) / (count(succeeded) + 2.0))
            }
        };
        let points: Vec<(f64, f64)> = rows
            .iter()
            .map(|row| (logit(row.confidence), if row.success { high } else { low }))
            .collect();
        newton(&points).ok_or(Some("the fit did not converge"))
    }

    /// Rows with scaled confidences, sorted again.
    fn scaled(self, rows: &[Row]) -> Vec<Row> {
        let scale = |row: &Row| Row {
            confidence: logistic(self.intercept + self.slope * logit(row.confidence)),
            success: row.success,
        };
        let mut scaled: Vec<Row> = rows.iter().map(scale).collect();
        scaled.sort_unstable_by(|a, b| {
            a.confidence.total_cmp(&b.confidence).then(a.success.cmp(&b.success))
        });
        scaled
    }
}

/// Logistic regression on one predictor, by Newton's method with halved steps where a full one
/// would lower the likelihood, which is concave.
fn newton(points: &[(f64, f64)]) -> Option<Platt> {
    // log(1 + exp(eta)) without overflow.
    let softplus = |eta: f64| eta.max(0.0) + (-eta.abs()).exp().ln_1p();
    let likelihood = |fit: Platt| -> f64 {
        let at = |&(x, target): &(f64, f64)| {
            let eta = fit.intercept + fit.slope * x;
            target * eta - softplus(eta)
        };
        points.iter().map(at).sum()
    };
    let mut fit = Platt { slope: 0.0, intercept: 0.0 };
    let mut current = likelihood(fit);
    // Centred predictors keep the equations well conditioned.
    let centre = points.iter().map(|(x, _)| x).sum::<f64>() / count(points.len());
    for _ in 0..MOST_STEPS {
        let (mut g0, mut g1, mut h00, mut h01, mut h11) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for &(x, target) in points {
            let probability = logistic(fit.intercept + fit.slope * x);
            let weight = probability * (1.0 - probability);
            let x = x - centre;
            g0 += target - probability;
            g1 += (target - probability) * x;
            h00 += weight;
            h01 += weight * x;
            h11 += weight * x * x;
        }
        let determinant = h00 * h11 - h01 * h01;
        if determinant <= 0.0 {
            return None;
        }
        let slope = (h00 * g1 - h01 * g0) / determinant;
        let intercept = (h11 * g0 - h01 * g1) / determinant - slope * centre;
        let small = slope.abs() <= 1e-12 * (1.0 + fit.slope.abs())
            && intercept.abs() <= 1e-12 * (1.0 + fit.intercept.abs());
        if small {
            return Some(Platt { slope: fit.slope + slope, intercept: fit.intercept + intercept });
        }
        let mut share = 1.0;
        loop {
            let tried = Platt {
                slope: fit.slope + share * slope,
                intercept: fit.intercept + share * intercept,
            };
            let reached = likelihood(tried);
            // Close to the maximum, rounding can hide that a step leads upward.
            if reached >= current - 1e-13 * (1.0 + current.abs()) {
                (fit, current) = (tried, reached);
                break;
            }
            share /= 2.0;
            if share < 1e-10 {
                return None;
            }
        }
    }
    None
}

fn logit(confidence: f64) -> f64 {
    let clipped = confidence.clamp(CLIP, 1.0 - CLIP);
    (clipped / (1.0 - clipped)).ln()
}

fn logistic(eta: f64) -> f64 {
    1.0 / (1.0 + (-eta).exp())
}
