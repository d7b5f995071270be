//! Statistical bias in dataset replication (Engstrom et al., ICML 2020).
//!
//! A replication of a dataset is often drawn from a pool of candidates so that a noisy statistic
//! matches: of ImageNet-v2 the *selection frequency*, the share of annotators who say that an image
//! shows its class. An image has a true frequency `s`, and `n` annotators select it `k` times with
//! `k` binomial. Matching `k / n` instead of `s` draws images whose true frequencies regress to the
//! pool's mean, so that models lose accuracy on them for no other reason.
//!
//! Here are:
//! - [`Counts`]: what `n` annotators see of a dataset, as shares or as exact expectations, and the
//!   estimators that need nothing else: [`adjusted`] and [`jackknifed`];
//! - [`Images`]: images with their votes, subsets of annotators, and [`bootstrap`] intervals;
//! - [`Population`]: where votes come from, [`FinitePopulation`] and [`BetaPopulation`], with exact
//!   expectations in place of simulation, and [`matching_weights`];
//! - [`parametric`]: the estimate from a mixture of beta distributions and a spline;
//! - [`draw_imagenet_v2`]: how the three variants of ImageNet-v2 were drawn.

mod images;
mod parametric;
mod population;
mod selection;

use super::{jackknife, thinned};

pub use images::{BootstrapOptions, GapInterval, Images, bootstrap, uniform};
pub use parametric::{Parametric, ParametricOptions, Spline, parametric};
pub use population::{
    BetaComponent, BetaPopulation, FinitePopulation, Matching, MatchingWeights, Population,
    matching_weights,
};
pub use selection::{
    Candidate, Drawn, Variant, draw_imagenet_v2, frequency_bin, largest_remainder,
};

/// Why a replication could not be analysed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ReplicationError {
    /// An image has more selections than annotators, or none of the latter.
    #[error(
        "image {image} (counted from zero) has {selected} selections by {annotators} annotators; \
         it needs at least one annotator and at most as many selections"
    )]
    Votes {
        /// Its place.
        image: usize,
        /// Its selections.
        selected: u64,
        /// Its annotators.
        annotators: u64,
    },
    /// Images and predictions do not fit together.
    #[error("model {model} (counted from zero) has {found} predictions for {images} images")]
    Predictions {
        /// The model's place.
        model: usize,
        /// Its predictions.
        found: usize,
        /// The images.
        images: usize,
    },
    /// More annotators are asked for than an image has.
    #[error("{asked} annotators are asked for, and an image has only {fewest}; ask for fewer")]
    TooFewAnnotators {
        /// How many are asked for.
        asked: usize,
        /// The fewest of any image.
        fewest: u64,
    },
    /// There is nothing to estimate from.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// A parameter is out of range.
    #[error("{name} must {allowed}, not be {value}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it must do.
        allowed: &'static str,
    },
    /// The quadratic programme of a spline was not solved.
    #[error("the spline of model {model} (counted from zero) was not found: {status}")]
    Spline {
        /// The model's place.
        model: usize,
        /// What the solver says.
        status: String,
    },
}

/// What a number of annotators see of a dataset: how often an image is selected by `k` of them, and
/// how often each model is then right.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    /// Probability of `0, 1, ..., n` selections; sums to 1.
    pub probability: Vec<f64>,
    /// By model, probability of `k` selections and a correct prediction.
    pub correct: Vec<Vec<f64>>,
}

/// What becomes of reference images in bins that hold no image of the replication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyBins {
    /// They are lost, as in the released code: the adjusted accuracy is too small by their share.
    Drop,
    /// The other bins make up the whole.
    Renormalise,
    /// They take the accuracy of the nearest bin with images, of two the one with more selections.
    Nearest,
}

/// An adjusted accuracy with what it had nothing to say about.
#[derive(Clone, Debug, PartialEq)]
pub struct Adjusted {
    /// By model; `None` where no bin is shared.
    pub accuracy: Vec<Option<f64>>,
    /// Numbers of selections that reference images have and no image of the replication.
    pub empty_bins: Vec<usize>,
    /// Share of the reference images in those.
    pub empty_mass: f64,
}

impl Counts {
    /// The number of annotators.
    pub fn annotators(&self) -> usize {
        self.probability.len().saturating_sub(1)
    }

    /// Mean observed selection frequency.
    pub fn mean_frequency(&self) -> f64 {
        let selections: f64 = self.probability.iter().enumerate().map(|(k, p)| small(k) * p).sum();
        selections / small(self.annotators())
    }

    /// Accuracy of every model.
    pub fn accuracy(&self) -> Vec<f64> {
        self.correct.iter().map(|by_count| by_count.iter().sum()).collect()
    }

    /// What a random subset of the annotators of every image would see, in expectation: the exact
    /// form of drawing subsets. `None` where more are to be kept than there are.
    pub fn thinned(&self, kept: usize) -> Option<Self> {
        let n = self.annotators();
        let subsets = (0..=n)
            .map(|k| thinned(k as u64, n as u64, kept as u64))
            .collect::<Option<Vec<Vec<f64>>>>()?;
        let thin = |by_count: &[f64]| -> Vec<f64> {
            let mut thin = vec![0.0; kept + 1];
            for (value, subset) in by_count.iter().zip(&subsets) {
                for (sum, share) in thin.iter_mut().zip(subset) {
                    *sum += value * share;
                }
            }
            thin
        };
        Some(Self {
            probability: thin(&self.probability),
            correct: self.correct.iter().map(|by_count| thin(by_count)).collect(),
        })
    }
}

/// The selection-adjusted accuracy of every model (Section 5.1 of the paper): the accuracy on the
/// replication within each bin of equal observed frequency, averaged with the reference's shares of
/// the bins. Both sides have the same number of annotators. Biased towards the raw accuracy of the
/// replication, by O(1/n).
///
/// # Errors
/// When the numbers of annotators differ.
pub fn adjusted(
    reference: &Counts,
    replication: &Counts,
    empty: EmptyBins,
) -> Result<Adjusted, ReplicationError> {
    if reference.annotators() != replication.annotators() {
        return Err(ReplicationError::Setting {
            name: "the replication's number of annotators",
            value: replication.annotators().to_string(),
            allowed: "equal the reference's",
        });
    }
    let filled: Vec<usize> =
        (0..=replication.annotators()).filter(|k| replication.probability[*k] > 0.0).collect();
    let mut weights = vec![0.0; replication.probability.len()];
    let mut empty_bins = Vec::new();
    let mut empty_mass = 0.0;
    for (k, share) in reference.probability.iter().enumerate() {
        if *share <= 0.0 {
            continue;
        }
        if replication.probability[k] > 0.0 {
            weights[k] += share;
            continue;
        }
        empty_bins.push(k);
        empty_mass += share;
        if empty == EmptyBins::Nearest
            && let Some(nearest) =
                filled.iter().min_by_key(|other| (other.abs_diff(k), usize::MAX - **other))
        {
            weights[*nearest] += share;
        }
    }
    let total: f64 = weights.iter().sum();
    let scale = if empty == EmptyBins::Renormalise { total.recip() } else { 1.0 };
    let accuracy = |correct: &Vec<f64>| {
        let sum: f64 =
            filled.iter().map(|k| weights[*k] * correct[*k] / replication.probability[*k]).sum();
        (total > 0.0).then_some(sum * scale)
    };
    let accuracy = replication.correct.iter().map(accuracy).collect();
    Ok(Adjusted { accuracy, empty_bins, empty_mass })
}

/// The adjusted accuracy with its bias corrected by the delete-d jackknife (Section 5.2): subsets
/// without `deleted` of the annotators enter through their exact expectation, so that nothing is
/// drawn. Empty bins are those of all annotators.
///
/// # Errors
/// As [`adjusted`], or unless `0 < deleted < n`.
pub fn jackknifed(
    reference: &Counts,
    replication: &Counts,
    deleted: usize,
    empty: EmptyBins,
) -> Result<Adjusted, ReplicationError> {
    let full = adjusted(reference, replication, empty)?;
    let kept = kept(replication.annotators(), deleted)?;
    let (Some(reference), Some(replication)) = (reference.thinned(kept), replication.thinned(kept))
    else {
        return Err(deletion(deleted));
    };
    let reduced = adjusted(&reference, &replication, empty)?.accuracy;
    Ok(extrapolated(full, &reduced, kept + deleted, deleted))
}

/// The jackknife of accuracies from their mean without some annotators.
fn extrapolated(full: Adjusted, reduced: &[Option<f64>], size: usize, deleted: usize) -> Adjusted {
    let accuracy = full
        .accuracy
        .iter()
        .zip(reduced)
        .map(|(full, reduced)| jackknife((*full)?, (*reduced)?, size, deleted))
        .collect();
    Adjusted { accuracy, ..full }
}

fn kept(annotators: usize, deleted: usize) -> Result<usize, ReplicationError> {
    match annotators.checked_sub(deleted) {
        Some(kept) if kept > 0 && deleted > 0 => Ok(kept),
        _ => Err(deletion(deleted)),
    }
}

fn deletion(deleted: usize) -> ReplicationError {
    ReplicationError::Setting {
        name: "the number of deleted annotators",
        value: deleted.to_string(),
        allowed: "be at least 1 and below the number of annotators",
    }
}

/// A count as a number; counts stay far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn small(number: usize) -> f64 {
    number as f64
}
