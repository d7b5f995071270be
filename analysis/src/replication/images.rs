//! Images with their votes.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;

use super::population::binomial_pmf;
use super::selection::Candidate;
use super::{
    Adjusted, Counts, EmptyBins, ReplicationError, adjusted, extrapolated, kept, small, thinned,
};
use crate::bootstrap::parallel_map;
use crate::{Interval, normal, quantile};

/// Images of a dataset: the votes of their annotators and whether each model is right.
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    selected: Vec<u64>,
    annotators: Vec<u64>,
    correct: Vec<Vec<bool>>,
}

impl Images {
    /// From selections and annotators of every image and, by model and image, whether its prediction
    /// is right.
    ///
    /// # Errors
    /// When there is no image, votes are impossible, or lengths differ; the first such image or
    /// model is named.
    pub fn new(
        selected: Vec<u64>,
        annotators: Vec<u64>,
        correct: Vec<Vec<bool>>,
    ) -> Result<Self, ReplicationError> {
        if selected.is_empty() || annotators.len() != selected.len() {
            return Err(ReplicationError::Empty("a dataset, or a column of its votes,"));
        }
        for (image, (&selected, &annotators)) in selected.iter().zip(&annotators).enumerate() {
            if annotators == 0 || selected > annotators {
                return Err(ReplicationError::Votes { image, selected, annotators });
            }
        }
        for (model, predictions) in correct.iter().enumerate() {
            let (found, images) = (predictions.len(), selected.len());
            if found != images {
                return Err(ReplicationError::Predictions { model, found, images });
            }
        }
        Ok(Self { selected, annotators, correct })
    }

    /// Images that all have so many annotators.
    pub(super) fn of_equal(selected: Vec<u64>, annotators: u64, correct: Vec<Vec<bool>>) -> Self {
        Self { annotators: vec![annotators; selected.len()], selected, correct }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.selected.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.selected.is_empty()
    }

    /// The fewest annotators of an image.
    pub fn fewest_annotators(&self) -> u64 {
        self.annotators.iter().copied().min().unwrap_or(0)
    }

    /// Mean over the images of the share of all their annotators that select them.
    pub fn mean_frequency(&self) -> f64 {
        let shares = self.votes().map(|(annotators, selected)| wide(selected) / wide(annotators));
        shares.sum::<f64>() / small(self.len())
    }

    /// Accuracy of every model.
    pub fn accuracy(&self) -> Vec<f64> {
        let right = |model: &Vec<bool>| small(model.iter().filter(|right| **right).count());
        self.correct.iter().map(|model| right(model) / small(self.len())).collect()
    }

    /// Annotators and selections of every image.
    fn votes(&self) -> impl Iterator<Item = (u64, u64)> {
        self.annotators.iter().copied().zip(self.selected.iter().copied())
    }

    /// Selections and annotators of every image as a candidate of a class, which `class` gives by its
    /// place.
    pub fn candidates(&self, class: impl Fn(usize) -> u32) -> Vec<Candidate> {
        let of = |(image, (annotators, selected))| Candidate {
            class: class(image),
            selected,
            annotators,
        };
        self.votes().enumerate().map(of).collect()
    }

    /// The images at these places, in their order.
    ///
    /// # Errors
    /// When there is none.
    pub fn at(&self, places: &[usize]) -> Result<Self, ReplicationError> {
        let of = |values: &[u64]| places.iter().map(|place| values[*place]).collect();
        let correct = self.correct.iter().map(|model| places.iter().map(|p| model[*p]).collect());
        Self::new(of(&self.selected), of(&self.annotators), correct.collect())
    }

    /// The images of several datasets with the same models, one after the other.
    ///
    /// # Errors
    /// When there is none, or they have different numbers of models.
    pub fn joined(parts: &[Self]) -> Result<Self, ReplicationError> {
        let models = parts.first().map_or(0, |part| part.correct.len());
        let model = |model: usize| {
            parts
                .iter()
                .flat_map(move |part| part.correct.get(model).into_iter().flatten())
                .copied()
        };
        Self::new(
            parts.iter().flat_map(|part| &part.selected).copied().collect(),
            parts.iter().flat_map(|part| &part.annotators).copied().collect(),
            (0..models).map(|number| model(number).collect()).collect(),
        )
    }

    /// Splits the annotators of every image at random: `first` of them, and the others.
    ///
    /// # Errors
    /// When an image has no more annotators than `first`.
    pub fn split(
        &self,
        first: u64,
        rng: &mut ChaCha12Rng,
    ) -> Result<(Self, Self), ReplicationError> {
        let fewest = self.fewest_annotators();
        if first == 0 || fewest <= first {
            return Err(ReplicationError::Setting {
                name: "the number of annotators that are split off",
                value: first.to_string(),
                allowed: "be at least 1 and fewer than every image has",
            });
        }
        let of_first: Vec<u64> = self
            .votes()
            .map(|(annotators, selected)| hypergeometric(selected, annotators, first, rng))
            .collect();
        let others = self.selected.iter().zip(&of_first).map(|(all, first)| all - first).collect();
        let left = self.annotators.iter().map(|annotators| annotators - first).collect();
        Ok((
            Self::of_equal(of_first, first, self.correct.clone()),
            Self::new(others, left, self.correct.clone())?,
        ))
    }

    /// What so many annotators see. Of images that have more, each subset of this size counts alike,
    /// through its exact expectation.
    ///
    /// # Errors
    /// When an image has fewer annotators.
    pub fn counts(&self, annotators: usize) -> Result<Counts, ReplicationError> {
        let mut tally: BTreeMap<(u64, u64), (f64, Vec<f64>)> = BTreeMap::new();
        for (image, votes) in self.votes().enumerate() {
            let (images, right) =
                tally.entry(votes).or_insert_with(|| (0.0, vec![0.0; self.correct.len()]));
            *images += 1.0;
            for (right, model) in right.iter_mut().zip(&self.correct) {
                *right += if model[image] { 1.0 } else { 0.0 };
            }
        }
        let mut counts = self.no_counts(annotators);
        for ((total, selected), (images, right)) in tally {
            let subsets = self.subsets(selected, total, annotators)?;
            for (k, share) in subsets.iter().enumerate() {
                let share = share / small(self.len());
                counts.probability[k] += share * images;
                for (by_count, right) in counts.correct.iter_mut().zip(&right) {
                    by_count[k] += share * right;
                }
            }
        }
        Ok(counts)
    }

    fn no_counts(&self, annotators: usize) -> Counts {
        Counts {
            probability: vec![0.0; annotators + 1],
            correct: vec![vec![0.0; annotators + 1]; self.correct.len()],
        }
    }

    fn subsets(
        &self,
        selected: u64,
        total: u64,
        annotators: usize,
    ) -> Result<Vec<f64>, ReplicationError> {
        thinned(selected, total, annotators as u64).ok_or(ReplicationError::TooFewAnnotators {
            asked: annotators,
            fewest: self.fewest_annotators(),
        })
    }

    /// What a random subset of every image's annotators sees, drawn for each image on its own.
    fn drawn_counts(&self, kept: u64, rng: &mut ChaCha12Rng) -> Counts {
        // At most the number of annotators.
        #[allow(clippy::cast_possible_truncation)]
        let mut counts = self.no_counts(kept as usize);
        let share = small(self.len()).recip();
        for (image, (total, selected)) in self.votes().enumerate() {
            let k = index(hypergeometric(selected, total, kept, rng));
            counts.probability[k] += share;
            for (by_count, model) in counts.correct.iter_mut().zip(&self.correct) {
                by_count[k] += if model[image] { share } else { 0.0 };
            }
        }
        counts
    }

    /// The jackknife as released: the mean over `replicates` random subsets without `deleted` of an
    /// image's annotators, drawn for each image on its own, in place of their expectation. Both
    /// datasets have the same number of annotators an image.
    ///
    /// # Errors
    /// When an image has another number of annotators, there is no replicate, or unless
    /// `0 < deleted < n`.
    pub fn jackknifed_by_sampling(
        reference: &Self,
        replication: &Self,
        deleted: usize,
        replicates: usize,
        empty: EmptyBins,
        rng: &mut ChaCha12Rng,
    ) -> Result<Adjusted, ReplicationError> {
        let n = index(reference.fewest_annotators());
        if replicates == 0 {
            return Err(ReplicationError::Empty("the list of jackknife replicates"));
        }
        let all = reference.annotators.iter().chain(&replication.annotators);
        if let Some(other) = all.copied().find(|annotators| index(*annotators) != n) {
            return Err(ReplicationError::Setting {
                name: "every image's number of annotators",
                value: other.to_string(),
                allowed: "be the same",
            });
        }
        let kept = kept(n, deleted)?;
        let full = adjusted(&reference.counts(n)?, &replication.counts(n)?, empty)?;
        let mut sums: Vec<Option<f64>> = vec![Some(0.0); full.accuracy.len()];
        for _ in 0..replicates {
            let one = reference.drawn_counts(kept as u64, rng);
            let other = replication.drawn_counts(kept as u64, rng);
            let reduced = adjusted(&one, &other, empty)?.accuracy;
            for (sum, value) in sums.iter_mut().zip(reduced) {
                *sum = sum.zip(value).map(|(sum, value)| sum + value);
            }
        }
        let means: Vec<Option<f64>> =
            sums.iter().map(|sum| sum.map(|sum| sum / small(replicates))).collect();
        Ok(extrapolated(full, &means, n, deleted))
    }
}

/// How a gap is bootstrapped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BootstrapOptions {
    /// Number of resamples.
    pub resamples: usize,
    /// Probability that the interval is meant to cover.
    pub level: f64,
    /// Whether the annotators of a drawn image are drawn with replacement, too. An image's votes
    /// come with it either way; drawing them again adds their noise a second time, which moves an
    /// adjusted gap as fewer annotators would.
    pub annotators: bool,
    /// Seed of the resampling.
    pub seed: u64,
    /// Threads; shows in no number.
    pub threads: usize,
}

/// A bootstrap interval of a gap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GapInterval {
    /// Its ends.
    pub interval: Interval,
    /// Standard deviation of the resamples.
    pub standard_error: f64,
    /// Resamples that had a value.
    pub resamples: usize,
}

/// What the bootstrap needs of a dataset: correctness averaged over the models.
struct Resampled<'a> {
    images: &'a Images,
    annotators: usize,
    right: Vec<f64>,
    /// By number of annotators and selections: probabilities of the selections after drawing
    /// annotators again, as running sums, and what subsets then see.
    redrawn: BTreeMap<(u64, u64), Vec<f64>>,
    seen: BTreeMap<(u64, u64), Vec<f64>>,
}

impl<'a> Resampled<'a> {
    fn new(images: &'a Images, annotators: usize) -> Result<Self, ReplicationError> {
        let models = small(images.correct.len());
        let right = |image: usize| {
            small(images.correct.iter().filter(|model| model[image]).count()) / models
        };
        let mut redrawn = BTreeMap::new();
        let mut seen = BTreeMap::new();
        for votes @ (total, selected) in images.votes() {
            redrawn.entry(votes).or_insert_with(|| {
                let pmf = binomial_pmf(index(total), wide(selected) / wide(total));
                let mut sum = 0.0;
                pmf.iter()
                    .map(|p| {
                        sum += p;
                        sum
                    })
                    .collect()
            });
        }
        for total in images.annotators.iter().copied() {
            if seen.contains_key(&(total, 0)) {
                continue;
            }
            for k in 0..=total {
                seen.insert((total, k), images.subsets(k, total, annotators)?);
            }
        }
        let right = (0..images.len()).map(right).collect();
        Ok(Self { images, annotators, right, redrawn, seen })
    }

    fn draw(&self, annotators_too: bool, rng: &mut ChaCha12Rng) -> Counts {
        let size = self.images.len();
        let mut counts = Counts {
            probability: vec![0.0; self.annotators + 1],
            correct: vec![vec![0.0; self.annotators + 1]],
        };
        for _ in 0..size {
            // Below the number of images.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let image = ((uniform(rng) * small(size)) as usize).min(size - 1);
            let mut votes = (self.images.annotators[image], self.images.selected[image]);
            if annotators_too && let Some(sums) = self.redrawn.get(&votes) {
                let at = uniform(rng);
                let k = sums.partition_point(|sum| *sum <= at).min(index(votes.0));
                votes.1 = k as u64;
            }
            let right = self.right[image] / small(size);
            let mut add = |k: usize, share: f64| {
                counts.probability[k] += share / small(size);
                counts.correct[0][k] += share * right;
            };
            if index(votes.0) == self.annotators {
                add(index(votes.1), 1.0);
            } else if let Some(seen) = self.seen.get(&votes) {
                for (k, share) in seen.iter().enumerate() {
                    add(k, *share);
                }
            }
        }
        counts
    }
}

/// Percentile bootstrap interval of a gap, averaged over the models: images are drawn with replacement
/// within each dataset, and annotators within each image where asked for. `gap` receives what
/// `annotators` annotators see of the reference and of the replication, with the average of the
/// models as their only one. `None` where no resample has a value.
///
/// # Errors
/// When an image has fewer annotators, there is no model, or the level is not in (0, 1).
pub fn bootstrap(
    reference: &Images,
    replication: &Images,
    annotators: usize,
    options: &BootstrapOptions,
    gap: impl Fn(&Counts, &Counts) -> Option<f64> + Sync,
) -> Result<Option<GapInterval>, ReplicationError> {
    if !(options.level > 0.0 && options.level < 1.0) {
        let (name, allowed) = ("the level of an interval", "lie in (0, 1)");
        return Err(ReplicationError::Setting { name, value: options.level.to_string(), allowed });
    }
    if reference.correct.is_empty() || replication.correct.is_empty() {
        return Err(ReplicationError::Empty("the list of models"));
    }
    let strata = [Resampled::new(reference, annotators)?, Resampled::new(replication, annotators)?];
    let numbers: Vec<u64> = (0..options.resamples as u64).collect();
    let value = |number: &u64| {
        let draw = |stratum: usize| {
            let mut key = [0; 32];
            let words = [options.seed, *number, stratum as u64, 0x626f_6f74_7374_7261];
            for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            strata[stratum].draw(options.annotators, &mut ChaCha12Rng::from_seed(key))
        };
        gap(&draw(0), &draw(1)).filter(|value| value.is_finite())
    };
    let mut values: Vec<f64> =
        parallel_map(&numbers, options.threads, value).into_iter().flatten().collect();
    values.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - options.level) / 2.0;
    let ends = quantile(&values, tail).zip(quantile(&values, 1.0 - tail));
    Ok(ends.map(|(low, high)| GapInterval {
        interval: Interval { low, high },
        standard_error: crate::sd(&values).unwrap_or(0.0),
        resamples: values.len(),
    }))
}

/// A number of annotators as an index. Annotators of an image are few.
#[allow(clippy::cast_possible_truncation)]
fn index(number: u64) -> usize {
    number as usize
}

/// Counts stay far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn wide(number: u64) -> f64 {
    number as f64
}

/// A uniform number in `[0, 1)` with 53 bits.
pub fn uniform(rng: &mut ChaCha12Rng) -> f64 {
    wide(rng.next_u64() >> 11) / wide(1 << 53)
}

/// A place with a probability in proportion to its weight.
pub(super) fn choose(weights: &[f64], rng: &mut ChaCha12Rng) -> usize {
    let mut left = uniform(rng) * weights.iter().sum::<f64>();
    for (place, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return place;
        }
    }
    weights.iter().rposition(|weight| *weight > 0.0).unwrap_or(0)
}

/// Successes of independent trials, one draw each.
pub(super) fn binomial(trials: usize, probability: f64, rng: &mut ChaCha12Rng) -> u64 {
    (0..trials).map(|_| u64::from(uniform(rng) < probability)).sum()
}

/// Successes among `kept` of `total` trials, drawn without replacement. The fewer of kept and deleted
/// trials are drawn one by one.
fn hypergeometric(successes: u64, total: u64, kept: u64, rng: &mut ChaCha12Rng) -> u64 {
    let deleted = total.saturating_sub(kept);
    let (mut left, mut of, mut taken) = (successes, total, 0);
    for _ in 0..kept.min(deleted) {
        if uniform(rng) * wide(of) < wide(left) {
            left -= 1;
            taken += 1;
        }
        of -= 1;
    }
    if kept <= deleted { taken } else { successes - taken }
}

/// A beta variate from two gamma variates.
pub(super) fn beta(alpha: f64, beta: f64, rng: &mut ChaCha12Rng) -> f64 {
    let (one, other) = (log_gamma_variate(alpha, rng), log_gamma_variate(beta, rng));
    // 1 / (1 + other / one), in logarithms because small parameters underflow.
    (1.0 + (other - one).exp()).recip()
}

/// Logarithm of a gamma variate: Marsaglia and Tsang 2000 (ACM Transactions on Mathematical Software
/// 26, 363-372), with their boost below 1.
fn log_gamma_variate(shape: f64, rng: &mut ChaCha12Rng) -> f64 {
    // In (0, 1): never a logarithm of zero.
    let open = |rng: &mut ChaCha12Rng| uniform(rng) + 0.5 / wide(1 << 53);
    if shape < 1.0 {
        let boost = open(rng).ln() / shape;
        return log_gamma_variate(shape + 1.0, rng) + boost;
    }
    let d = shape - 1.0 / 3.0;
    let c = (9.0 * d).sqrt().recip();
    loop {
        let x = normal::quantile(open(rng));
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && open(rng).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return (d * v).ln();
        }
    }
}
