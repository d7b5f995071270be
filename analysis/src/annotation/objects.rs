//! From CONTAINS and CLASSIFY votes to what an image shows.
//!
//! The rules are those by which the annotations of Tsipras et al. 2020 were made; the paper's release
//! has the results without the code, and the tie rules were found by matching all 6,761 images.

use std::collections::{BTreeMap, BTreeSet};

/// Answers to one CONTAINS question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Annotators who said that the image contains an object of the class.
    pub selected: u32,
    /// Annotators who were asked.
    pub asked: u32,
}

impl Tally {
    /// The selection frequency; `None` where nobody was asked.
    pub fn frequency(self) -> Option<f64> {
        (self.asked > 0).then(|| f64::from(self.selected) / f64::from(self.asked))
    }
}

/// What CONTAINS votes make of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Partition {
    /// The given label is the only confident one: no other reaches half its selection frequency.
    Easy,
    /// Nobody selected the given label.
    Mislabelled,
    /// Too few annotators were asked about the given label.
    Ambiguous,
    /// Everything else: annotators classify it.
    ToClassify,
}

impl Partition {
    /// Every part.
    pub const ALL: [Self; 4] = [Self::Easy, Self::Mislabelled, Self::Ambiguous, Self::ToClassify];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Easy => "easy",
            Self::Mislabelled => "mislabelled",
            Self::Ambiguous => "ambiguous",
            Self::ToClassify => "to-classify",
        }
    }
}

/// What `models` propose for an image: the given label first, then the union of their predictions,
/// each a list with the most likely class first. Of the others, those that more models propose come
/// first, of equally many those that any has higher in its list, then the smaller class.
pub fn candidates(given: u32, models: &[&[u32]]) -> Vec<u32> {
    let mut proposed: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    for predictions in models {
        for (rank, class) in predictions.iter().enumerate() {
            let (count, best) = proposed.entry(*class).or_insert((0, rank));
            *count += 1;
            *best = rank.min(*best);
        }
    }
    proposed.remove(&given);
    let mut others: Vec<(u32, (usize, usize))> = proposed.into_iter().collect();
    others.sort_by_key(|(class, (count, best))| (std::cmp::Reverse(*count), *best, *class));
    std::iter::once(given).chain(others.into_iter().map(|(class, _)| class)).collect()
}

/// The labels that CLASSIFY offers: the given one and the `most` others with the largest selection
/// frequencies, of equal ones those that come first. Labels that nobody selected are not offered.
pub fn offered(given: u32, others: &[(u32, Tally)], most: usize) -> Vec<u32> {
    let mut selected: Vec<&(u32, Tally)> =
        others.iter().filter(|(_, tally)| tally.selected > 0).collect();
    // a / b against c / d as whole numbers; the sort is stable.
    selected.sort_by(|(_, a), (_, b)| {
        let (a, b) = (
            u64::from(a.selected) * u64::from(b.asked),
            u64::from(b.selected) * u64::from(a.asked),
        );
        b.cmp(&a)
    });
    let others = selected.into_iter().take(most).map(|(label, _)| *label);
    std::iter::once(given).chain(others).collect()
}

/// By which thresholds images are sorted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PartitionRule {
    /// Annotators of the given label below which an image is ambiguous.
    pub fewest: u32,
    /// Another label is a rival from this share of the given label's selection frequency on.
    pub rival: f64,
    /// Whether a label that has exactly this share is one.
    pub rival_at_tie: bool,
}

impl Default for PartitionRule {
    /// Those of Tsipras et al. 2020: five annotators; a label that reaches half is a rival.
    fn default() -> Self {
        Self { fewest: 5, rival: 0.5, rival_at_tie: true }
    }
}

/// Sorts an image by its CONTAINS votes. `label` is the given label's tally, `others` those of the
/// other candidates. Too few annotators come before nobody who selects the label.
pub fn partition(label: Tally, others: &[Tally], rule: &PartitionRule) -> Partition {
    if label.asked < rule.fewest {
        return Partition::Ambiguous;
    }
    if label.selected == 0 {
        return Partition::Mislabelled;
    }
    // other / asked >= rival * label / asked without division: exact for a rival of one half.
    let rivals = others.iter().filter(|other| other.asked > 0).any(|other| {
        let own = rule.rival * f64::from(label.selected) * f64::from(other.asked);
        let its = f64::from(other.selected) * f64::from(label.asked);
        if rule.rival_at_tie { its >= own } else { its > own }
    });
    if rivals { Partition::ToClassify } else { Partition::Easy }
}

/// One annotator's CLASSIFY answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassifyVote {
    /// The label of the main object.
    pub main: u32,
    /// One label for every distinct object.
    pub selected: Vec<u32>,
}

/// Which of the labels with most main votes is the main label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MainTie {
    /// The one that was voted for first: the published annotations.
    FirstVote,
    /// The one whose first vote came last.
    LastVote,
    /// This one where it is among them, otherwise the one that was voted for first.
    Prefer(u32),
    /// This one only where no other is among them, otherwise the first of the others.
    Avoid(u32),
}

/// Which of the most frequent numbers of objects counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountTie {
    /// The one that was voted for first: the published annotations.
    FirstVote,
    /// The smallest.
    Fewest,
    /// The largest.
    Most,
}

/// Values with how often each occurs, in the order in which they first do.
fn tallied<T: PartialEq + Copy>(values: impl Iterator<Item = T>) -> Vec<(T, u32)> {
    let mut counts: Vec<(T, u32)> = Vec::new();
    for value in values {
        match counts.iter_mut().find(|(known, _)| *known == value) {
            Some((_, count)) => *count += 1,
            None => counts.push((value, 1)),
        }
    }
    counts
}

/// The most frequent values, in the order in which they first occur.
fn modes<T: PartialEq + Copy>(values: impl Iterator<Item = T>) -> Vec<T> {
    let counts = tallied(values);
    let most = counts.iter().map(|(_, count)| *count).max();
    counts.into_iter().filter(|(_, count)| Some(*count) == most).map(|(value, _)| value).collect()
}

/// The label that most annotators took for the main object's; `None` without votes.
pub fn main_label(votes: &[ClassifyVote], tie: MainTie) -> Option<u32> {
    let modes = modes(votes.iter().map(|vote| vote.main));
    let first = modes.first().copied();
    match tie {
        MainTie::FirstVote => first,
        MainTie::LastVote => modes.last().copied(),
        MainTie::Prefer(label) => modes.iter().copied().find(|mode| *mode == label).or(first),
        MainTie::Avoid(label) => modes.iter().copied().find(|mode| *mode != label).or(first),
    }
}

/// The number of distinct objects that most annotators saw; `None` without votes.
pub fn object_count(votes: &[ClassifyVote], tie: CountTie) -> Option<usize> {
    let modes = modes(votes.iter().map(|vote| vote.selected.len()));
    match tie {
        CountTie::FirstVote => modes.first().copied(),
        CountTie::Fewest => modes.iter().copied().min(),
        CountTie::Most => modes.iter().copied().max(),
    }
}

/// Labels by the object that they describe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objects {
    /// The labels of each object, in the order in which they were first selected.
    pub groups: Vec<Vec<u32>>,
    /// Labels that belong to no object.
    pub dropped: Vec<u32>,
    /// Pairs of selections by one annotator that fall into different objects: what is maximised.
    pub cut: u64,
    /// Groupings with this cut; the first of them was taken.
    pub optima: u64,
}

/// How many annotators selected both labels, in the order of first selection.
fn co_selections(votes: &[ClassifyVote]) -> (Vec<u32>, Vec<Vec<u64>>) {
    let labels: Vec<u32> = tallied(votes.iter().flat_map(|vote| vote.selected.iter().copied()))
        .into_iter()
        .map(|(label, _)| label)
        .collect();
    let mut weights = vec![vec![0; labels.len()]; labels.len()];
    for vote in votes {
        let places: BTreeSet<usize> = vote
            .selected
            .iter()
            .filter_map(|label| labels.iter().position(|known| known == label))
            .collect();
        for &a in &places {
            for &b in &places {
                if a != b {
                    weights[a][b] += 1;
                }
            }
        }
    }
    (labels, weights)
}

/// The pairs of selections by one annotator that a grouping puts into different objects; labels in
/// no group cut nothing.
pub fn cut(votes: &[ClassifyVote], groups: &[Vec<u32>]) -> u64 {
    let object = |label: u32| groups.iter().position(|group| group.contains(&label));
    let mut pairs = 0;
    for vote in votes {
        let places: Vec<usize> = vote.selected.iter().filter_map(|l| object(*l)).collect();
        for (done, place) in places.iter().enumerate() {
            pairs += places[..done].iter().filter(|other| *other != place).count() as u64;
        }
    }
    pairs
}

/// Groups the labels that annotators selected into `count` objects: labels that one annotator
/// selected together describe different objects, so the groups are an exact maximum cut of the
/// co-selection graph into `count` parts.
///
/// With several objects, a label that nobody selected together with another tells of no object and is
/// dropped, as in the published annotations. Groups are never empty, so there are fewer than `count`
/// where there are fewer labels. Where several groupings have the largest cut, the first is taken:
/// labels in the order of first selection, each put into the earliest group that allows for it.
pub fn objects(votes: &[ClassifyVote], count: usize) -> Objects {
    let (labels, weights) = co_selections(votes);
    if count <= 1 {
        let groups = if labels.is_empty() { Vec::new() } else { vec![labels] };
        return Objects { groups, dropped: Vec::new(), cut: 0, optima: 1 };
    }
    let (kept, dropped): (Vec<usize>, Vec<usize>) =
        (0..labels.len()).partition(|&place| weights[place].iter().any(|weight| *weight > 0));
    let mut search = Search {
        kept: &kept,
        weights: &weights,
        parts: count.min(kept.len()),
        assigned: Vec::with_capacity(kept.len()),
        best: None,
        optima: 0,
    };
    search.descend(0, 0);
    let (uncut, assigned) = search.best.unwrap_or_default();
    let optima = search.optima.max(1);
    let mut groups = vec![Vec::new(); count.min(kept.len())];
    for (place, group) in kept.iter().zip(&assigned) {
        groups[*group].push(labels[*place]);
    }
    let all: u64 = weights.iter().flatten().sum::<u64>() / 2;
    let dropped = dropped.into_iter().map(|place| labels[place]).collect();
    Objects { groups, dropped, cut: all - uncut, optima }
}

/// A search through all groupings, each once, that leaves a branch where too much is uncut already.
struct Search<'a> {
    kept: &'a [usize],
    weights: &'a [Vec<u64>],
    parts: usize,
    assigned: Vec<usize>,
    /// What the best grouping leaves uncut, and the grouping.
    best: Option<(u64, Vec<usize>)>,
    optima: u64,
}

impl Search<'_> {
    fn descend(&mut self, used: usize, uncut: u64) {
        if self.best.as_ref().is_some_and(|(best, _)| uncut > *best) {
            return;
        }
        let done = self.assigned.len();
        // Each group that is still empty needs a label.
        if self.kept.len() - done < self.parts - used {
            return;
        }
        let Some(&label) = self.kept.get(done) else {
            match &self.best {
                Some((best, _)) if *best == uncut => self.optima += 1,
                _ => {
                    self.best = Some((uncut, self.assigned.clone()));
                    self.optima = 1;
                }
            }
            return;
        };
        // A label may join a group that has labels or open the next one: no grouping comes twice.
        for group in 0..self.parts.min(used + 1) {
            let within: u64 = self
                .assigned
                .iter()
                .zip(self.kept)
                .filter(|(other, _)| **other == group)
                .map(|(_, &other)| self.weights[label][other])
                .sum();
            self.assigned.push(group);
            self.descend(used.max(group + 1), uncut + within);
            self.assigned.pop();
        }
    }
}

/// Main votes for the labels of each object, and the first object that has most; `None` without
/// objects.
pub fn main_object(votes: &[ClassifyVote], groups: &[Vec<u32>]) -> (Vec<u32>, Option<usize>) {
    let mains: BTreeMap<u32, u32> =
        tallied(votes.iter().map(|vote| vote.main)).into_iter().collect();
    let of_label = |label: &u32| mains.get(label).copied().unwrap_or_default();
    let counts: Vec<u32> = groups.iter().map(|group| group.iter().map(of_label).sum()).collect();
    let most = counts.iter().copied().max();
    let first = counts.iter().position(|count| Some(*count) == most);
    (counts, first)
}
