//! Where votes come from, with exact expectations: matching and its bias need no simulation.

use std::collections::BTreeMap;

use rand_chacha::ChaCha12Rng;

use super::images::{Images, beta, binomial, choose, uniform};
use super::selection::frequency_bin;
use super::{Counts, ReplicationError, small};
use crate::BetaBinomial;

/// A distribution of images: their true selection frequencies, and how often each model is right.
pub trait Population: Sized {
    /// What a number of annotators see of it, in expectation.
    fn counts(&self, annotators: usize) -> Counts;
    /// Mean true selection frequency.
    fn mean_frequency(&self) -> f64;
    /// Accuracy of every model.
    fn accuracy(&self) -> Vec<f64>;
    /// The distribution after images that `k` of so many annotators select are given the weight
    /// `weights[k]`: what is left is what a draw with these weights comes from. `None` where no
    /// image has any weight.
    fn reweighted(&self, weights: &[f64]) -> Option<Self>;
    /// Images drawn from it, each with the votes of fresh annotators.
    fn draw(&self, images: usize, annotators: usize, rng: &mut ChaCha12Rng) -> Images;
}

/// Which images of a pool are drawn, given what annotators see of the pool and of the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Matching {
    /// All alike: the pool itself.
    None,
    /// So that every number of selections is as frequent as in the reference.
    Exact,
    /// So that the bins `[0, .2)`, `[.2, .4)`, ..., `[.8, 1]` of the observed frequency are: of
    /// ImageNet-v2 the variant `MatchedFrequency`.
    FiveBins,
    /// Those with at least this observed frequency: the variant `Threshold0.7`.
    Threshold(f64),
    /// The share of the pool with the highest observed frequencies, at random among equal ones: the
    /// variant `TopImages`, of a pool this many times as large as the replication.
    Top(f64),
}

/// Weights of a draw.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchingWeights {
    /// Weight of an image by its number of selections.
    pub weights: Vec<f64>,
    /// Share of the reference that the pool has nothing for.
    pub unmatched: f64,
}

/// The weights with which images are drawn from a pool.
///
/// # Errors
/// When the numbers of annotators differ, or a threshold or share is not in `(0, 1]`.
pub fn matching_weights(
    matching: Matching,
    reference: &Counts,
    pool: &Counts,
) -> Result<MatchingWeights, ReplicationError> {
    let n = pool.annotators();
    if reference.annotators() != n || n == 0 {
        return Err(ReplicationError::Setting {
            name: "the pool's number of annotators",
            value: n.to_string(),
            allowed: "be at least 1 and equal the reference's",
        });
    }
    let inside = |name: &'static str, value: f64| {
        if value > 0.0 && value <= 1.0 {
            return Ok(());
        }
        let (value, allowed) = (value.to_string(), "lie in (0, 1]");
        Err(ReplicationError::Setting { name, value, allowed })
    };
    let binned = |bin: &dyn Fn(usize) -> usize, bins: usize| {
        let sums = |probability: &[f64]| {
            let mut sums = vec![0.0; bins];
            for (k, p) in probability.iter().enumerate() {
                sums[bin(k)] += p;
            }
            sums
        };
        let (wanted, there) = (sums(&reference.probability), sums(&pool.probability));
        let missing = wanted.iter().zip(&there).filter(|(_, there)| **there <= 0.0);
        let ratio = |k: usize| {
            let bin = bin(k);
            if there[bin] > 0.0 { wanted[bin] / there[bin] } else { 0.0 }
        };
        MatchingWeights {
            weights: (0..=n).map(ratio).collect(),
            unmatched: missing.map(|(wanted, _)| wanted).sum(),
        }
    };
    Ok(match matching {
        Matching::None => MatchingWeights { weights: vec![1.0; n + 1], unmatched: 0.0 },
        Matching::Exact => binned(&|k| k, n + 1),
        Matching::FiveBins => binned(&|k| frequency_bin(k as u64, n as u64), 5),
        Matching::Threshold(least) => {
            inside("a threshold", least)?;
            // As counts: 7 of 10 is 0.7 however 0.7 is rounded.
            let enough = |k: usize| small(k) >= least * small(n) - 1e-9;
            let weights = (0..=n).map(|k| if enough(k) { 1.0 } else { 0.0 }).collect();
            MatchingWeights { weights, unmatched: 0.0 }
        }
        Matching::Top(share) => {
            inside("the share of top images", share)?;
            let mut left = share;
            let mut weights = vec![0.0; n + 1];
            for k in (0..=n).rev() {
                let there = pool.probability[k];
                if there > 0.0 && left > 0.0 {
                    weights[k] = (left / there).min(1.0);
                    left -= there;
                }
            }
            MatchingWeights { weights, unmatched: 0.0 }
        }
    })
}

/// Probabilities of `0, 1, ..., n` successes of `n` independent trials.
pub(super) fn binomial_pmf(n: usize, probability: f64) -> Vec<f64> {
    if probability <= 0.0 || probability >= 1.0 {
        let sure = if probability <= 0.0 { 0 } else { n };
        return (0..=n).map(|k| if k == sure { 1.0 } else { 0.0 }).collect();
    }
    let (up, down) = (probability.ln(), (-probability).ln_1p());
    let all = libm::lgamma(small(n) + 1.0);
    let log = |k: usize| {
        all - libm::lgamma(small(k) + 1.0) - libm::lgamma(small(n - k) + 1.0)
            + small(k) * up
            + small(n - k) * down
    };
    (0..=n).map(|k| log(k).exp()).collect()
}

/// Images with known true frequencies. Those that share one are alike but for the predictions.
#[derive(Clone, Debug)]
pub struct FinitePopulation<'a> {
    /// By model and image, whether the prediction is right.
    correct: &'a [Vec<bool>],
    groups: Vec<Group>,
}

/// Images with one true frequency.
#[derive(Clone, Debug)]
struct Group {
    frequency: f64,
    weight: f64,
    correct: Vec<f64>,
    images: Vec<usize>,
}

impl<'a> FinitePopulation<'a> {
    /// Equally likely images from their true frequencies and, by model and image, whether
    /// predictions are right.
    ///
    /// # Errors
    /// When there is no image, a frequency is outside `[0, 1]`, or a model has another number of
    /// predictions.
    pub fn new(frequencies: &[f64], correct: &'a [Vec<bool>]) -> Result<Self, ReplicationError> {
        if frequencies.is_empty() {
            return Err(ReplicationError::Empty("a population"));
        }
        for (model, predictions) in correct.iter().enumerate() {
            let (found, images) = (predictions.len(), frequencies.len());
            if found != images {
                return Err(ReplicationError::Predictions { model, found, images });
            }
        }
        if let Some(value) = frequencies.iter().find(|s| !(0.0..=1.0).contains(*s)) {
            let (name, allowed) = ("a selection frequency", "lie in [0, 1]");
            return Err(ReplicationError::Setting { name, value: value.to_string(), allowed });
        }
        // Bits of numbers in [0, 1] are in the numbers' order.
        let mut by_frequency: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (image, frequency) in frequencies.iter().enumerate() {
            by_frequency.entry((frequency + 0.0).to_bits()).or_default().push(image);
        }
        let group = |(bits, images): (u64, Vec<usize>)| {
            let size = small(images.len());
            let right = |model: &Vec<bool>| {
                small(images.iter().filter(|image| model[**image]).count()) / size
            };
            Group {
                frequency: f64::from_bits(bits),
                weight: size / small(frequencies.len()),
                correct: correct.iter().map(right).collect(),
                images,
            }
        };
        Ok(Self { correct, groups: by_frequency.into_iter().map(group).collect() })
    }

    /// The population with an image's weight multiplied by a function of its true frequency. `None`
    /// where no image has any weight.
    pub fn tilted(&self, weight: impl Fn(f64) -> f64) -> Option<Self> {
        let mut tilted = self.clone();
        for group in &mut tilted.groups {
            group.weight *= weight(group.frequency);
        }
        let total: f64 = tilted.groups.iter().map(|group| group.weight).sum();
        if !(total > 0.0 && total.is_finite()) {
            return None;
        }
        for group in &mut tilted.groups {
            group.weight /= total;
        }
        Some(tilted)
    }

    fn average(&self, value: impl Fn(&Group) -> f64) -> f64 {
        self.groups.iter().map(|group| group.weight * value(group)).sum()
    }
}

impl Population for FinitePopulation<'_> {
    fn counts(&self, annotators: usize) -> Counts {
        let mut counts = Counts {
            probability: vec![0.0; annotators + 1],
            correct: vec![vec![0.0; annotators + 1]; self.correct.len()],
        };
        for group in &self.groups {
            let seen = binomial_pmf(annotators, group.frequency);
            for (k, p) in seen.iter().enumerate() {
                let p = group.weight * p;
                counts.probability[k] += p;
                for (by_count, right) in counts.correct.iter_mut().zip(&group.correct) {
                    by_count[k] += p * right;
                }
            }
        }
        counts
    }

    fn mean_frequency(&self) -> f64 {
        self.average(|group| group.frequency)
    }

    fn accuracy(&self) -> Vec<f64> {
        (0..self.correct.len()).map(|model| self.average(|group| group.correct[model])).collect()
    }

    fn reweighted(&self, weights: &[f64]) -> Option<Self> {
        let annotators = weights.len().checked_sub(1)?;
        self.tilted(|frequency| {
            let seen = binomial_pmf(annotators, frequency);
            seen.iter().zip(weights).map(|(p, weight)| p * weight).sum()
        })
    }

    fn draw(&self, images: usize, annotators: usize, rng: &mut ChaCha12Rng) -> Images {
        let weights: Vec<f64> = self.groups.iter().map(|group| group.weight).collect();
        let mut selected = Vec::with_capacity(images);
        let mut correct: Vec<Vec<bool>> = vec![Vec::with_capacity(images); self.correct.len()];
        for _ in 0..images {
            let group = &self.groups[choose(&weights, rng)];
            // Far fewer images than 2^53, and a uniform number below 1.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let place = (uniform(rng) * small(group.images.len())) as usize;
            let image = group.images[place.min(group.images.len() - 1)];
            selected.push(binomial(annotators, group.frequency, rng));
            for (drawn, model) in correct.iter_mut().zip(self.correct) {
                drawn.push(model[image]);
            }
        }
        Images::of_equal(selected, annotators as u64, correct)
    }
}

/// A component of a mixture of beta distributions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BetaComponent {
    /// Its weight.
    pub weight: f64,
    /// First parameter.
    pub alpha: f64,
    /// Second parameter.
    pub beta: f64,
}

/// Frequencies from a mixture of beta distributions, and models whose accuracy is a polynomial of the
/// frequency: every expectation is a finite sum of beta-binomial probabilities and beta moments.
#[derive(Clone, Debug, PartialEq)]
pub struct BetaPopulation {
    components: Vec<BetaComponent>,
    models: Vec<Vec<f64>>,
}

impl BetaPopulation {
    /// From its components and, for each model, the coefficients of its accuracy as a polynomial of
    /// the frequency, lowest degree first.
    ///
    /// # Errors
    /// When there is no component, a parameter is not positive and finite, or an accuracy leaves
    /// `[0, 1]` at one of 1001 points.
    pub fn new(
        components: Vec<BetaComponent>,
        models: Vec<Vec<f64>>,
    ) -> Result<Self, ReplicationError> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        if components.is_empty() {
            return Err(ReplicationError::Empty("a population"));
        }
        for part in &components {
            for value in [part.weight, part.alpha, part.beta] {
                if !positive(value) {
                    let (name, allowed) = ("a mixture's parameter", "be positive and finite");
                    return Err(ReplicationError::Setting {
                        name,
                        value: value.to_string(),
                        allowed,
                    });
                }
            }
        }
        for model in &models {
            for point in 0..=1000 {
                let value = polynomial(model, f64::from(point) / 1000.0);
                if !(-1e-12..=1.0 + 1e-12).contains(&value) {
                    return Err(ReplicationError::Setting {
                        name: "a model's accuracy",
                        value: value.to_string(),
                        allowed: "lie in [0, 1] for every frequency",
                    });
                }
            }
        }
        let mut population = Self { components, models };
        population.normalise();
        Ok(population)
    }

    /// Its components.
    pub fn components(&self) -> &[BetaComponent] {
        &self.components
    }

    fn normalise(&mut self) {
        let total: f64 = self.components.iter().map(|part| part.weight).sum();
        for part in &mut self.components {
            part.weight /= total;
        }
    }

    /// Components and their weights after `k` of `n` annotators select.
    fn posterior(&self, n: usize, k: usize) -> impl Iterator<Item = BetaComponent> {
        self.components.iter().filter_map(move |part| {
            let seen = BetaBinomial::new(part.alpha, part.beta)?.log_pmf(k as u64, n as u64).exp();
            Some(BetaComponent {
                weight: part.weight * seen,
                alpha: part.alpha + small(k),
                beta: part.beta + small(n - k),
            })
        })
    }
}

/// A polynomial, coefficients of the lowest degree first.
fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

impl BetaComponent {
    /// Expectation of a polynomial.
    fn expectation(&self, coefficients: &[f64]) -> f64 {
        let mut moment = 1.0;
        let mut sum = 0.0;
        for (degree, coefficient) in coefficients.iter().enumerate() {
            sum += coefficient * moment;
            let degree = small(degree);
            moment *= (self.alpha + degree) / (self.alpha + self.beta + degree);
        }
        sum
    }
}

impl Population for BetaPopulation {
    fn counts(&self, annotators: usize) -> Counts {
        let mut counts = Counts {
            probability: vec![0.0; annotators + 1],
            correct: vec![vec![0.0; annotators + 1]; self.models.len()],
        };
        for k in 0..=annotators {
            for part in self.posterior(annotators, k) {
                counts.probability[k] += part.weight;
                for (by_count, model) in counts.correct.iter_mut().zip(&self.models) {
                    by_count[k] += part.weight * part.expectation(model);
                }
            }
        }
        counts
    }

    fn mean_frequency(&self) -> f64 {
        self.components.iter().map(|part| part.weight * part.alpha / (part.alpha + part.beta)).sum()
    }

    fn accuracy(&self) -> Vec<f64> {
        let of = |model: &Vec<f64>| {
            self.components.iter().map(|part| part.weight * part.expectation(model)).sum()
        };
        self.models.iter().map(of).collect()
    }

    fn reweighted(&self, weights: &[f64]) -> Option<Self> {
        let annotators = weights.len().checked_sub(1)?;
        let mut components = Vec::new();
        for (k, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            let weighted = self
                .posterior(annotators, k)
                .map(|part| BetaComponent { weight: part.weight * weight, ..part });
            components.extend(weighted.filter(|part| part.weight > 0.0));
        }
        let mut population = Self { components, models: self.models.clone() };
        population.normalise();
        (!population.components.is_empty()).then_some(population)
    }

    fn draw(&self, images: usize, annotators: usize, rng: &mut ChaCha12Rng) -> Images {
        let weights: Vec<f64> = self.components.iter().map(|part| part.weight).collect();
        let mut selected = Vec::with_capacity(images);
        let mut correct: Vec<Vec<bool>> = vec![Vec::with_capacity(images); self.models.len()];
        for _ in 0..images {
            let part = self.components[choose(&weights, rng)];
            let frequency = beta(part.alpha, part.beta, rng);
            selected.push(binomial(annotators, frequency, rng));
            for (drawn, model) in correct.iter_mut().zip(&self.models) {
                drawn.push(uniform(rng) < polynomial(model, frequency));
            }
        }
        Images::of_equal(selected, annotators as u64, correct)
    }
}
