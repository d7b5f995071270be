//! How the images of ImageNet-v2 were drawn from its candidates (Recht et al., ICML 2019), as in the
//! code that was released with it.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha12Rng;

use super::images::uniform;
use super::{ReplicationError, small};

/// Bins of the observed frequency.
const BINS: usize = 5;

/// An annotated image of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its class.
    pub class: u32,
    /// Annotators who say that it shows its class.
    pub selected: u64,
    /// All annotators who saw it; at least 1.
    pub annotators: u64,
}

/// A variant of ImageNet-v2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Variant {
    /// In every class the reference's histogram over five bins of the frequency, scaled to the number
    /// of images by largest remainder. Where a bin has too few candidates, the next higher one gives
    /// more.
    MatchedFrequency,
    /// At random among the candidates of a class with at least this observed frequency.
    Threshold(f64),
    /// The candidates of a class with the highest observed frequencies, of equal ones those with more
    /// annotators, then those that come first.
    TopImages,
}

/// The images that were drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// Their places in the pool, class by class.
    pub images: Vec<usize>,
    /// Classes for which the pool had too few candidates, with how many images are missing.
    pub short: Vec<(u32, usize)>,
}

/// The bin of an observed frequency: `[0, .2)`, `[.2, .4)`, `[.4, .6)`, `[.6, .8)`, `[.8, 1]`, from 0.
pub fn frequency_bin(selected: u64, annotators: u64) -> usize {
    let fifths = (BINS as u64 * selected).checked_div(annotators).unwrap_or(0);
    usize::try_from(fifths).unwrap_or(BINS).min(BINS - 1)
}

/// Scales a histogram to whole numbers with a given sum: the largest remainders are rounded up, of
/// equal ones those of later bins. All zero where the histogram is.
pub fn largest_remainder(histogram: &[u64], sum: usize) -> Vec<usize> {
    let total: u64 = histogram.iter().sum();
    if total == 0 {
        return vec![0; histogram.len()];
    }
    // Whole numbers throughout, so that equal remainders are equal.
    let share = |count: &u64| (count * sum as u64 / total, count * sum as u64 % total);
    let shares: Vec<(u64, u64)> = histogram.iter().map(share).collect();
    let mut scaled: Vec<usize> =
        shares.iter().map(|(whole, _)| usize::try_from(*whole).unwrap_or(sum)).collect();
    let mut order: Vec<usize> = (0..histogram.len()).collect();
    order.sort_by_key(|bin| std::cmp::Reverse((shares[*bin].1, *bin)));
    let missing = sum - scaled.iter().sum::<usize>();
    for bin in order.into_iter().take(missing) {
        scaled[bin] += 1;
    }
    scaled
}

/// Draws a variant of ImageNet-v2 from a pool: `per_class` images of every class of the pool.
///
/// # Errors
/// When an image has no annotator or more selections than annotators.
pub fn draw_imagenet_v2(
    reference: &[Candidate],
    pool: &[Candidate],
    variant: Variant,
    per_class: usize,
    rng: &mut ChaCha12Rng,
) -> Result<Drawn, ReplicationError> {
    for (image, candidate) in reference.iter().chain(pool).enumerate() {
        let Candidate { selected, annotators, .. } = *candidate;
        if annotators == 0 || selected > annotators {
            return Err(ReplicationError::Votes { image, selected, annotators });
        }
    }
    let classes: BTreeSet<u32> = pool.iter().map(|candidate| candidate.class).collect();
    let mut histograms: BTreeMap<u32, [u64; BINS]> = BTreeMap::new();
    for candidate in reference {
        let histogram = histograms.entry(candidate.class).or_default();
        histogram[frequency_bin(candidate.selected, candidate.annotators)] += 1;
    }
    let mut drawn = Drawn { images: Vec::new(), short: Vec::new() };
    for class in classes {
        let mut members: Vec<usize> =
            (0..pool.len()).filter(|image| pool[*image].class == class).collect();
        let images = match variant {
            Variant::MatchedFrequency => {
                let histogram = histograms.get(&class).copied().unwrap_or_default();
                let wanted = largest_remainder(&histogram, per_class);
                let bins = (0..BINS).map(|bin| {
                    let in_bin = |image: &usize| {
                        frequency_bin(pool[*image].selected, pool[*image].annotators) == bin
                    };
                    members.iter().copied().filter(in_bin).collect::<Vec<usize>>()
                });
                let mut images = Vec::new();
                let mut carried = 0;
                for (members, wanted) in bins.zip(wanted) {
                    let found = sample(members, wanted + carried, rng);
                    carried = wanted + carried - found.len();
                    images.extend(found);
                }
                images
            }
            Variant::Threshold(least) => {
                members.retain(|image| {
                    let Candidate { selected, annotators, .. } = pool[*image];
                    frequency(selected) >= least * frequency(annotators) - 1e-9
                });
                sample(members, per_class, rng)
            }
            Variant::TopImages => {
                members.sort_by(|one, other| {
                    let (a, b) = (pool[*one], pool[*other]);
                    // k/n against l/m as whole numbers: k m against l n.
                    let shares = (b.selected * a.annotators).cmp(&(a.selected * b.annotators));
                    shares.then(b.annotators.cmp(&a.annotators)).then(one.cmp(other))
                });
                members.truncate(per_class);
                members
            }
        };
        if images.len() < per_class {
            drawn.short.push((class, per_class - images.len()));
        }
        drawn.images.extend(images);
    }
    Ok(drawn)
}

/// A number of annotators, far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn frequency(number: u64) -> f64 {
    number as f64
}

/// So many of the members, or all, in their order.
fn sample(mut members: Vec<usize>, number: usize, rng: &mut ChaCha12Rng) -> Vec<usize> {
    let number = number.min(members.len());
    for place in 0..number {
        // The first part of a Fisher-Yates shuffle.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let other = place + (uniform(rng) * small(members.len() - place)) as usize;
        let last = members.len() - 1;
        members.swap(place, other.min(last));
    }
    members.truncate(number);
    members.sort_unstable();
    members
}
