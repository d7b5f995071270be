//! A run: its data, what annotators see of it, and the gap that is left.

use analysis::replication::{
    BootstrapOptions, Counts, EmptyBins, GapInterval, Images, Matching, Parametric,
    ParametricOptions, Population, ReplicationError, Variant, adjusted, bootstrap,
    draw_imagenet_v2, jackknifed, matching_weights, parametric,
};
use analysis::{
    Alternative, AnalysisError, Boundary, Correlation, MixtureOptions, RegressionColumns,
    RegressionOptions, Scale, regress, sd,
};
use envs::Streams;
use envs::streams::Purpose;
use polars::df;

use super::config::{Config, Drawing, EmptyBinRule, Estimator, Expectation, MatchingRule};
use super::sources::{Source, SourceError};

/// Standard errors on either side of an interval that covers 95 %.
const TWO_SIDED: f64 = 1.959_963_984_540_054;
/// No more annotators than these are considered for a design.
const MOST_ANNOTATORS: usize = 1000;

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub enum EstimateError {
    /// Its data cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Its replication cannot be analysed.
    #[error(transparent)]
    Replication(#[from] ReplicationError),
    /// A statistic failed.
    #[error(transparent)]
    Analysis(#[from] AnalysisError),
    /// A frame could not be made.
    #[error(transparent)]
    Frame(#[from] polars::error::PolarsError),
    /// Matching leaves nothing.
    #[error("no image of the pool matches the reference: choose another rule or threshold")]
    NothingMatches,
    /// The configuration asks for an estimate that its data does not have; checked before.
    #[error("{0} has no estimate of this kind")]
    NoEstimate(&'static str),
}

/// A straight line through the models.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) slope: f64,
    pub(super) intercept: f64,
    pub(super) r_squared: Option<f64>,
}

/// A point of the adjusted accuracy against the number of annotators.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) annotators: usize,
    /// Mean over the models of the naive estimate.
    pub(super) adjusted: f64,
    /// Mean gap that it leaves, pp.
    pub(super) gap_left: f64,
}

/// What a run found. Accuracies are shares, gaps percentage points.
#[derive(Clone, Debug, Default)]
pub(super) struct Finding {
    pub(super) models: Vec<String>,
    pub(super) reference: Vec<f64>,
    pub(super) replication: Vec<f64>,
    pub(super) adjusted: Vec<Option<f64>>,
    /// True or, of votes, observed mean frequencies.
    pub(super) frequencies: Option<(f64, f64)>,
    /// Mean frequency of the replication as the matching annotators saw it.
    pub(super) matched_frequency: Option<f64>,
    pub(super) empty_mass: Option<f64>,
    pub(super) unmatched: Option<f64>,
    pub(super) counts: Option<(Counts, Counts)>,
    pub(super) curve: Vec<Point>,
    pub(super) interval: Option<GapInterval>,
    pub(super) annotators_needed: Option<usize>,
    pub(super) matching_annotators_needed: Option<usize>,
    pub(super) images_needed: Option<f64>,
    pub(super) images_for_power: Option<f64>,
    pub(super) images: Option<(usize, usize)>,
}

impl Finding {
    /// The mean gap that is left, in percentage points; `None` where a model has no estimate.
    pub(super) fn gap_left(&self) -> Option<f64> {
        let gaps = self.reference.iter().zip(&self.adjusted);
        let gaps: Vec<f64> =
            gaps.map(|(v1, adjusted)| Some(100.0 * (v1 - (*adjusted)?))).collect::<Option<_>>()?;
        analysis::mean(&gaps)
    }

    /// The raw gap of every model, in percentage points.
    pub(super) fn raw_gaps(&self) -> Vec<f64> {
        self.reference.iter().zip(&self.replication).map(|(v1, v2)| 100.0 * (v1 - v2)).collect()
    }

    /// The adjusted accuracies, where every model has one.
    fn estimates(&self) -> Option<Vec<f64>> {
        self.adjusted.iter().copied().collect()
    }

    /// The line of adjusted accuracies over the reference's, in percent or between probits. `None`
    /// where fewer than two models differ.
    pub(super) fn line(&self, scale: Scale) -> Result<Option<Line>, EstimateError> {
        let Some(estimates) = self.estimates() else { return Ok(None) };
        let varied = self.reference.iter().any(|v1| (v1 - self.reference[0]).abs() > 1e-12);
        if !varied {
            return Ok(None);
        }
        let unit = if scale == Scale::Identity { 100.0 } else { 1.0 };
        let scaled = |values: &[f64]| values.iter().map(|value| unit * value).collect::<Vec<_>>();
        let frame = df!("v1" => scaled(&self.reference), "v2" => scaled(&estimates))?;
        // Jackknifed accuracies can leave [0, 1].
        let inside =
            estimates.iter().chain(&self.reference).all(|value| (0.0..=1.0).contains(value));
        if scale != Scale::Identity && !inside {
            return Ok(None);
        }
        let columns = RegressionColumns { groups: &[], y: "v2", x: &["v1"], weights: None };
        let boundary = Boundary::Clip(1e-6);
        let options = RegressionOptions { scale, boundary, ..RegressionOptions::default() };
        let table = regress(&frame, columns, &options)?;
        let estimate = table.column("estimate")?.f64()?;
        let r_squared = table.column("r_squared")?.f64()?.get(0);
        Ok(estimate.get(0).zip(estimate.get(1)).map(|(intercept, slope)| Line {
            slope,
            intercept,
            r_squared,
        }))
    }

    /// The rank correlation of adjusted accuracies and the reference's; `None` where it does not exist.
    pub(super) fn correlation(&self, correlation: Correlation) -> Option<f64> {
        let estimates = self.estimates()?;
        let result = correlation.of(&self.reference, &estimates, Alternative::TwoSided, 0.95);
        result.ok().map(|result| result.estimate)
    }

    /// Standard deviation over the models of the raw gap, in percentage points.
    pub(super) fn gap_sd(&self) -> Option<f64> {
        sd(&self.raw_gaps())
    }
}

impl Config {
    fn empty(&self) -> EmptyBins {
        match self.empty_bins {
            EmptyBinRule::Drop => EmptyBins::Drop,
            EmptyBinRule::Renormalise => EmptyBins::Renormalise,
            EmptyBinRule::Nearest => EmptyBins::Nearest,
        }
    }

    fn rule(&self) -> Matching {
        match self.matching {
            MatchingRule::Exact => Matching::Exact,
            MatchingRule::FiveBins => Matching::FiveBins,
            MatchingRule::Threshold => Matching::Threshold(self.matching_threshold),
            MatchingRule::Top => Matching::Top(self.matching_top),
            MatchingRule::None => Matching::None,
        }
    }

    /// Adjusted accuracies from what annotators see.
    fn estimates(
        &self,
        reference: &Counts,
        replication: &Counts,
    ) -> Result<Vec<Option<f64>>, ReplicationError> {
        Ok(match self.estimator {
            Estimator::Raw | Estimator::Published => {
                replication.accuracy().into_iter().map(Some).collect()
            }
            Estimator::Naive => adjusted(reference, replication, self.empty())?.accuracy,
            Estimator::Jackknife | Estimator::JackknifeSampled => {
                jackknifed(reference, replication, self.jackknife_deleted, self.empty())?.accuracy
            }
            Estimator::Parametric => {
                self.fitted(reference, replication)?.accuracy.into_iter().map(Some).collect()
            }
        })
    }

    fn fitted(
        &self,
        reference: &Counts,
        replication: &Counts,
    ) -> Result<Parametric, ReplicationError> {
        let mixture = MixtureOptions {
            components: self.mixture_components,
            starts: self.mixture_starts,
            rounds: self.mixture_rounds,
            seed: 0,
        };
        parametric(reference, replication, &ParametricOptions { mixture })
    }
}

/// Where a run's randomness comes from, one stream a use.
#[derive(Clone, Copy)]
enum Use {
    Reference = 0,
    Replication = 1,
    Subsets = 2,
    Split = 3,
    Variant = 4,
}

/// Executes a run.
pub(super) fn find(
    config: &Config,
    source: &Source,
    streams: Streams,
    threads: usize,
) -> Result<Finding, EstimateError> {
    match source {
        Source::Finite(finite) => {
            let reference = finite.reference()?;
            let pool = reference.tilted(|s| config.pool_tilt - s);
            let pool = pool.ok_or(EstimateError::NothingMatches)?;
            if config.drawing == Drawing::Independent {
                return simulated(config, &finite.models, &reference, &pool, streams, threads);
            }
            let classes = finite.by_class();
            let mut pools = Vec::new();
            for class in &classes {
                let reference = class.reference()?;
                let pool = reference.tilted(|s| config.pool_tilt - s);
                pools.push((reference, pool.ok_or(EstimateError::NothingMatches)?));
            }
            let pools: Vec<_> = pools.iter().map(|(reference, pool)| (reference, pool)).collect();
            drawn_by_class(config, &finite.models, &pools, streams, threads)
        }
        Source::Beta { reference, pool, models } => {
            if config.drawing == Drawing::Independent {
                return simulated(config, models, reference, pool, streams, threads);
            }
            let pools = vec![(reference, pool); config.synthetic_classes];
            drawn_by_class(config, models, &pools, streams, threads)
        }
        Source::Votes { models, reference, replication } => {
            let mut found = annotated(config, models, reference, replication, streams, threads)?;
            found.frequencies = Some((reference.mean_frequency(), replication.mean_frequency()));
            found.annotators_needed = needed_by_pilot(config, &found)?;
            Ok(found)
        }
        Source::Predictions { models, reference, replication } => {
            // Nobody was asked: one vote each stands for none, and only raw gaps are taken from it.
            let images = |correct: &Vec<Vec<bool>>| {
                let size = correct.first().map_or(0, Vec::len);
                Images::new(vec![1; size], vec![1; size], correct.clone())
            };
            let (reference, replication) = (images(reference)?, images(replication)?);
            let mut found = Finding {
                models: models.clone(),
                reference: reference.accuracy(),
                replication: replication.accuracy(),
                images: Some((reference.len(), replication.len())),
                ..Finding::default()
            };
            found.adjusted = found.replication.iter().copied().map(Some).collect();
            found.interval = interval(config, &reference, &replication, 1, streams, threads)?;
            images_needed(config, &mut found);
            Ok(found)
        }
        Source::Accuracies { models, reference, replication, adjusted } => {
            let estimates = match (config.estimator, adjusted) {
                (Estimator::Published, Some(adjusted)) => adjusted,
                (Estimator::Raw, _) => replication,
                _ => return Err(EstimateError::NoEstimate(config.data.name())),
            };
            Ok(Finding {
                models: models.clone(),
                reference: reference.clone(),
                replication: replication.clone(),
                adjusted: estimates.iter().copied().map(Some).collect(),
                ..Finding::default()
            })
        }
    }
}

/// A replication that is drawn from a pool, and annotated anew.
fn simulated<P: Population>(
    config: &Config,
    models: &[String],
    reference: &P,
    pool: &P,
    streams: Streams,
    threads: usize,
) -> Result<Finding, EstimateError> {
    let easier = || pool.reweighted(&[0.0, 0.0, 1.0, 1.0, 1.0]);
    let easier =
        if config.easy_pool { Some(easier().ok_or(EstimateError::NothingMatches)?) } else { None };
    let pool = easier.as_ref().unwrap_or(pool);
    let matched = |annotators: usize| -> Result<(P, f64), EstimateError> {
        let counts = (reference.counts(annotators), pool.counts(annotators));
        let weights = matching_weights(config.rule(), &counts.0, &counts.1)?;
        let replication = pool.reweighted(&weights.weights);
        Ok((replication.ok_or(EstimateError::NothingMatches)?, weights.unmatched))
    };
    let (replication, unmatched) = matched(config.matching_annotators)?;
    let truth = reference.accuracy();
    let mut found = match config.expectation {
        Expectation::Exact => {
            let counts =
                (reference.counts(config.annotators), replication.counts(config.annotators));
            let mut found = Finding {
                models: models.to_vec(),
                reference: truth.clone(),
                replication: replication.accuracy(),
                adjusted: config.estimates(&counts.0, &counts.1)?,
                ..Finding::default()
            };
            seen(config, &mut found, counts)?;
            found
        }
        Expectation::Sampled => {
            let draw = |of: &P, number: Use| {
                let mut rng = streams.rng(Purpose::Evaluation, number as u64);
                of.draw(config.images, config.annotators, &mut rng)
            };
            let (v1, v2) = (draw(reference, Use::Reference), draw(&replication, Use::Replication));
            annotated(config, models, &v1, &v2, streams, threads)?
        }
    };
    found.frequencies = Some((reference.mean_frequency(), replication.mean_frequency()));
    found.unmatched = Some(unmatched);
    found.matched_frequency = Some(matched_frequency(config, reference, pool)?);
    if let Some(target) = config.target_gap {
        let gap = |estimates: &[Option<f64>]| {
            let gaps = truth.iter().zip(estimates);
            let gaps: Option<Vec<f64>> =
                gaps.map(|(v1, estimate)| Some(100.0 * (v1 - (*estimate)?))).collect();
            gaps.as_deref().and_then(analysis::mean).is_some_and(|gap| gap.abs() <= target)
        };
        found.annotators_needed = fewest(|annotators| {
            let one = reference.counts(annotators);
            let other = replication.counts(annotators);
            config.estimates(&one, &other).is_ok_and(|estimates| gap(&estimates))
        });
        found.matching_annotators_needed = fewest(|annotators| {
            matched(annotators).is_ok_and(|(replication, _)| {
                let raw: Vec<Option<f64>> = replication.accuracy().into_iter().map(Some).collect();
                gap(&raw)
            })
        });
    }
    Ok(found)
}

/// The mean frequency of the replication on the annotators who were matched.
fn matched_frequency<P: Population>(
    config: &Config,
    reference: &P,
    pool: &P,
) -> Result<f64, EstimateError> {
    let n = config.matching_annotators;
    let counts = pool.counts(n);
    let weights = matching_weights(config.rule(), &reference.counts(n), &counts)?.weights;
    let weighted: Vec<f64> =
        counts.probability.iter().zip(&weights).map(|(p, weight)| p * weight).collect();
    let total: f64 = weighted.iter().sum();
    let probability = weighted.into_iter().map(|share| share / total).collect();
    Ok(Counts { probability, correct: Vec::new() }.mean_frequency())
}

/// The smallest number of annotators that is enough, by doubling and bisection; `None` where
/// [`MOST_ANNOTATORS`] are not.
fn fewest(enough: impl Fn(usize) -> bool) -> Option<usize> {
    let (mut low, mut high) = (0, 1);
    while !enough(high) {
        if high == MOST_ANNOTATORS {
            return None;
        }
        low = high;
        high = (2 * high).min(MOST_ANNOTATORS);
    }
    while high - low > 1 {
        let middle = low.midpoint(high);
        if enough(middle) { high = middle } else { low = middle }
    }
    Some(high)
}

/// Images with votes.
fn annotated(
    config: &Config,
    models: &[String],
    reference: &Images,
    replication: &Images,
    streams: Streams,
    threads: usize,
) -> Result<Finding, EstimateError> {
    let counts = (reference.counts(config.annotators)?, replication.counts(config.annotators)?);
    let estimates = if config.estimator == Estimator::JackknifeSampled {
        Images::jackknifed_by_sampling(
            reference,
            replication,
            config.jackknife_deleted,
            config.jackknife_replicates,
            config.empty(),
            &mut streams.rng(Purpose::Evaluation, Use::Subsets as u64),
        )?
        .accuracy
    } else {
        config.estimates(&counts.0, &counts.1)?
    };
    let mut found = Finding {
        models: models.to_vec(),
        reference: reference.accuracy(),
        replication: replication.accuracy(),
        adjusted: estimates,
        images: Some((reference.len(), replication.len())),
        ..Finding::default()
    };
    seen(config, &mut found, counts)?;
    found.interval = interval(config, reference, replication, config.annotators, streams, threads)?;
    images_needed(config, &mut found);
    Ok(found)
}

/// Adds what annotators see: empty bins, and the naive estimate of fewer annotators.
fn seen(
    config: &Config,
    found: &mut Finding,
    counts: (Counts, Counts),
) -> Result<(), EstimateError> {
    let all = adjusted(&counts.0, &counts.1, config.empty())?;
    found.empty_mass = Some(all.empty_mass);
    // From all annotators down to a quarter of them, where the bias is one over their number; of 40 these
    // are the released code's 10, 15, ..., 40.
    let step = if config.annotators <= 10 { 1 } else { 5 };
    let fewest = config.annotators.div_ceil(4);
    let steps = (config.annotators - fewest) / step;
    for annotators in (0..=steps).rev().map(|back| config.annotators - back * step) {
        let (Some(one), Some(other)) = (counts.0.thinned(annotators), counts.1.thinned(annotators))
        else {
            continue;
        };
        let naive = adjusted(&one, &other, config.empty())?.accuracy;
        let naive: Option<Vec<f64>> = naive.into_iter().collect();
        let (Some(adjusted), Some(truth)) =
            (naive.as_deref().and_then(analysis::mean), analysis::mean(&found.reference))
        else {
            continue;
        };
        found.curve.push(Point { annotators, adjusted, gap_left: 100.0 * (truth - adjusted) });
    }
    found.counts = Some(counts);
    Ok(())
}

/// The bootstrap interval of the gap that is left, in percentage points.
fn interval(
    config: &Config,
    reference: &Images,
    replication: &Images,
    annotators: usize,
    streams: Streams,
    threads: usize,
) -> Result<Option<GapInterval>, EstimateError> {
    if config.bootstrap_resamples == 0 {
        return Ok(None);
    }
    let options = BootstrapOptions {
        resamples: config.bootstrap_resamples,
        level: 0.95,
        annotators: config.bootstrap_annotators,
        seed: streams.study_seed.rotate_left(32) ^ streams.replicate,
        threads,
    };
    let gap = |one: &Counts, other: &Counts| {
        let truth = one.accuracy().first().copied()?;
        let estimate = config.estimates(one, other).ok()?.first().copied()??;
        Some(100.0 * (truth - estimate))
    };
    Ok(bootstrap(reference, replication, annotators, &options, gap)?)
}

/// Images of each dataset with which the half-width of the gap's 95 % interval would be the target, and
/// with which a gap of that size would be told from zero as often as wanted. Noise falls as one over
/// the root of their number.
fn images_needed(config: &Config, found: &mut Finding) {
    let (Some((one, other)), Some(interval), Some(target)) =
        (found.images, found.interval, config.target_gap)
    else {
        return;
    };
    // The smaller dataset's noise prevails; with equal sizes this is exact.
    #[allow(clippy::cast_precision_loss)] // far below 2^53
    let images = one.min(other) as f64;
    let with = |errors: f64| (images * (errors * interval.standard_error / target).powi(2)).ceil();
    found.images_needed = Some(with(TWO_SIDED));
    found.images_for_power = Some(with(TWO_SIDED + Scale::Probit.to(config.target_power)));
}

/// The fewest fresh annotators with which the estimator's bias is within the target, were frequencies
/// and accuracies those that the parametric estimate finds in these votes.
fn needed_by_pilot(config: &Config, found: &Finding) -> Result<Option<usize>, EstimateError> {
    let (Some(target), Some((reference, replication))) = (config.target_gap, &found.counts) else {
        return Ok(None);
    };
    // The others have no bias that depends on the number of annotators, or draw.
    if !matches!(config.estimator, Estimator::Naive | Estimator::Jackknife) {
        return Ok(None);
    }
    let fitted = config.fitted(reference, replication)?;
    let truth = analysis::mean(&fitted.accuracy);
    Ok(fewest(|annotators| {
        let (one, other) = fitted.counts(annotators);
        let estimates: Option<Vec<f64>> =
            config.estimates(&one, &other).ok().and_then(|found| found.into_iter().collect());
        let mean = estimates.as_deref().and_then(analysis::mean);
        truth.zip(mean).is_some_and(|(truth, mean)| 100.0 * (truth - mean).abs() <= target)
    }))
}

/// A replication that is drawn class by class from candidates, and what annotators see of it who took
/// no part in matching.
fn drawn_by_class<P: Population>(
    config: &Config,
    models: &[String],
    classes: &[(&P, &P)],
    streams: Streams,
    threads: usize,
) -> Result<Finding, EstimateError> {
    let rng = |number: Use| streams.rng(Purpose::Evaluation, number as u64);
    let (mut of_reference, mut of_pool, mut split) =
        (rng(Use::Reference), rng(Use::Replication), rng(Use::Split));
    let matching = config.matching_annotators;
    // Of the pool's images, four more annotators say which are easy.
    let (easy, easy_at_least) = if config.easy_pool { (4, 2) } else { (0, 0) };
    let (mut references, mut candidates) = (Vec::new(), Vec::new());
    let (mut reference_classes, mut candidate_classes) = (Vec::new(), Vec::new());
    for (number, (reference, pool)) in (0_u32..).zip(classes) {
        let annotators = matching + config.annotators;
        references.push(reference.draw(config.reference_per_class, annotators, &mut of_reference));
        reference_classes.extend(vec![number; config.reference_per_class]);
        candidates.push(pool.draw(config.candidates_per_class, annotators + easy, &mut of_pool));
        candidate_classes.extend(vec![number; config.candidates_per_class]);
    }
    let reference = Images::joined(&references)?;
    let mut pool = Images::joined(&candidates)?;
    if easy > 0 {
        let (judged, rest) = pool.split(easy as u64, &mut split)?;
        let candidates = judged.candidates(|image| candidate_classes[image]);
        let kept: Vec<usize> = (0..candidates.len())
            .filter(|image| candidates[*image].selected >= easy_at_least)
            .collect();
        candidate_classes = kept.iter().map(|image| candidate_classes[*image]).collect();
        pool = rest.at(&kept)?;
    }
    let (seen_reference, fresh_reference) = reference.split(matching as u64, &mut split)?;
    let (seen_pool, fresh_pool) = pool.split(matching as u64, &mut split)?;
    let variant = match config.matching {
        MatchingRule::Threshold => Variant::Threshold(config.matching_threshold),
        MatchingRule::Top => Variant::TopImages,
        // The configuration allows for no other.
        _ => Variant::MatchedFrequency,
    };
    let drawn = draw_imagenet_v2(
        &seen_reference.candidates(|image| reference_classes[image]),
        &seen_pool.candidates(|image| candidate_classes[image]),
        variant,
        config.images_per_class,
        &mut rng(Use::Variant),
    )?;
    if drawn.images.is_empty() {
        return Err(EstimateError::NothingMatches);
    }
    let replication = fresh_pool.at(&drawn.images)?;
    let mut found = annotated(config, models, &fresh_reference, &replication, streams, threads)?;
    found.frequencies = Some((fresh_reference.mean_frequency(), replication.mean_frequency()));
    found.matched_frequency = Some(seen_pool.at(&drawn.images)?.mean_frequency());
    let short: usize = drawn.short.iter().map(|(_, missing)| missing).sum();
    // Far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let (short, all) = (short as f64, (classes.len() * config.images_per_class) as f64);
    found.unmatched = Some(short / all);
    Ok(found)
}
