//! From a corpus and a configuration to numbers.

use std::collections::{BTreeMap, BTreeSet};

use analysis::annotation::{
    self, ConfusedPair, Confusion, CountTie, DawidSkeneOptions, GladOptions, MainTie, Objects,
    Partition, Stopping, Vote, Votes, VotesError, dawid_skene, expected, glad, leader_confidence,
    main_label, main_object, object_count, objects, pearson, pooled_dawid_skene, votes_needed,
};
use envs::{Purpose, Streams};

use super::config::{
    AnnotationConfig, Candidates, CountTieRule, LabelModel, Labels, MainTieRule, Source, Subset,
};
use super::corpus::{Corpus, Image, Model, Truth};
use super::synthetic::Dice;

/// What streams are for; part of their keys.
const FOLDS: u64 = 1;
const DRAWN: u64 = 2;
const ORDER: u64 = 3;

/// Bins of selection frequencies.
pub(super) const BINS: usize = 5;
/// Most confused pairs that are kept.
const PAIRS: usize = 50;
/// Most confused pairs whose classes are looked at one by one.
const CLASS_PAIRS: usize = 10;
/// Votes beyond which nobody asks.
const MOST_VOTES: u32 = 1000;
/// Numbers of votes that a design is looked at with, beyond those that there are.
const DESIGNS: [u32; 8] = [12, 15, 20, 30, 50, 100, 200, 500];
/// How far no, maybe and yes speak for an invalid and a valid label.
const EVIDENCE: [f64; 6] = [1.0, 0.0, 0.5, 0.5, 0.0, 1.0];

/// What is derived from the votes on an image.
#[derive(Clone, Debug)]
pub(super) struct Derived {
    /// The main label; of an easy image the given one.
    pub(super) main: u32,
    /// Number of objects.
    pub(super) count: usize,
    /// The objects with their labels.
    pub(super) objects: Objects,
    /// The object with most main votes.
    pub(super) main_object: Option<usize>,
    /// The object that the given label describes.
    pub(super) given_object: Option<usize>,
    /// Share of annotators whose main label is the given one.
    pub(super) given_main_share: f64,
    /// Confidence in the main label, and the votes that would raise it to the level.
    pub(super) confidence: Option<f64>,
    pub(super) needed: Option<u32>,
}

/// An image with what an analysis needs of it.
pub(super) struct Case<'a> {
    /// Its position in the corpus.
    pub(super) place: usize,
    pub(super) image: &'a Image,
    pub(super) derived: Option<Derived>,
    /// Labels that count as correct; `None` where the image does not count.
    pub(super) valid: Option<Vec<u32>>,
    /// Share of people who find a label in the image; labels that are not listed have none.
    pub(super) frequency: Option<Vec<(u32, f64)>>,
}

/// What a label model made of the proposals.
pub(super) struct Scores {
    /// Probability of each proposal to be valid.
    score: Vec<f64>,
}

/// Numbers of one model.
pub(super) struct ModelRow {
    pub(super) name: String,
    pub(super) images: u32,
    pub(super) accuracy: Option<f64>,
    pub(super) given_accuracy: Option<f64>,
    pub(super) subset_accuracy: Option<f64>,
    pub(super) top5_accuracy: Option<f64>,
    pub(super) frequency: Option<f64>,
    pub(super) off_superclass: Option<f64>,
    pub(super) superclass_correlation: Option<f64>,
    /// Shares of its errors by the selection frequency of what it predicts.
    pub(super) errors: [Option<f64>; BINS],
}

/// A design: so many votes on every image.
pub(super) struct DesignRow {
    pub(super) votes: u32,
    /// Share of images whose main label after so many votes is the reference.
    pub(super) agreement: Option<f64>,
    /// Mean confidence after so many votes.
    pub(super) confidence: Option<f64>,
    /// Share of images that so many votes decide, were shares to stay.
    pub(super) decided: Option<f64>,
}

/// Everything that a run finds.
pub(super) struct Findings<'a> {
    pub(super) cases: Vec<Case<'a>>,
    pub(super) models: Vec<ModelRow>,
    pub(super) annotators: Confusion,
    pub(super) predictions: Confusion,
    /// Classes of the most confused pairs, those of a pair after each other.
    pub(super) classes: Vec<usize>,
    /// Main votes and predictions by class.
    pub(super) class_votes: Confusion,
    pub(super) class_predictions: Confusion,
    pub(super) pairs: Vec<ConfusedPair>,
    pub(super) designs: Vec<DesignRow>,
    /// One for each of the study's metrics.
    pub(super) metrics: Vec<Option<f64>>,
}

/// Why an analysis could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// There is no such model.
    #[error("there is no model `{name}`{}; set `model` to \"all\" or one of {}",
        nearest.as_ref().map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default(), known.join(", "))]
    Model {
        /// The name.
        name: String,
        /// One like it.
        nearest: Option<String>,
        /// Those that there are.
        known: Vec<String>,
    },
    /// A replicate has no part of the images.
    #[error(
        "replicate {replicate} (counted from zero) has no part of its own: the images are dealt into \
         {folds}; raise `folds`, or lower `replicates`"
    )]
    Fold {
        /// The replicate.
        replicate: u64,
        /// Parts.
        folds: u64,
    },
    /// Votes are not as they should be: a defect of this program.
    #[error(transparent)]
    Votes(#[from] VotesError),
}

fn share(part: usize, whole: usize) -> Option<f64> {
    // Far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The share of items, among those of which it is known, that have something.
fn share_of(values: impl Iterator<Item = Option<bool>>) -> Option<f64> {
    let (mut yes, mut all) = (0, 0);
    for value in values.flatten() {
        all += 1;
        yes += usize::from(value);
    }
    share(yes, all)
}

fn mean_of(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let values: Vec<f64> = values.flatten().collect();
    analysis::mean(&values)
}

/// Draws as many votes as there shall be, in their order.
fn limited<T: Clone>(votes: &[T], most: u32, dice: &mut Dice<impl rand::Rng>) -> Vec<T> {
    if votes.len() <= most as usize {
        return votes.to_vec();
    }
    let mut chosen = dice.sample(votes.len(), most as usize);
    chosen.sort_unstable();
    chosen.into_iter().map(|place| votes[place].clone()).collect()
}

impl Derived {
    /// What the votes on an image say; of an easy one, what its label says. `None` of all others.
    pub(super) fn new(image: &Image, config: &AnnotationConfig) -> Option<Self> {
        let label = image.label;
        if image.partition == Some(Partition::Easy) {
            let objects =
                Objects { groups: vec![vec![label]], dropped: Vec::new(), cut: 0, optima: 1 };
            return Some(Self {
                main: label,
                count: 1,
                objects,
                main_object: Some(0),
                given_object: Some(0),
                given_main_share: 1.0,
                confidence: None,
                needed: None,
            });
        }
        let votes = &image.votes;
        let tie = match config.main_tie {
            MainTieRule::FirstVote => MainTie::FirstVote,
            MainTieRule::LastVote => MainTie::LastVote,
            MainTieRule::PreferGiven => MainTie::Prefer(label),
            MainTieRule::AvoidGiven => MainTie::Avoid(label),
        };
        let count_tie = match config.count_tie {
            CountTieRule::FirstVote => CountTie::FirstVote,
            CountTieRule::Fewest => CountTie::Fewest,
            CountTieRule::Most => CountTie::Most,
        };
        let (main, count) = (main_label(votes, tie)?, object_count(votes, count_tie)?);
        let objects = objects(votes, count);
        let (_, main_object) = main_object(votes, &objects.groups);
        let given_object = objects.groups.iter().position(|group| group.contains(&label));
        let given = votes.iter().filter(|vote| vote.main == label).count();
        let (leader, runner_up) = leaders(votes.iter().map(|vote| vote.main));
        let all = u32::try_from(votes.len()).unwrap_or(u32::MAX);
        Some(Self {
            main,
            count,
            objects,
            main_object,
            given_object,
            given_main_share: share(given, votes.len()).unwrap_or_default(),
            confidence: Some(leader_confidence(leader, runner_up)),
            needed: votes_needed(leader, runner_up, all, config.confidence, MOST_VOTES),
        })
    }
}

/// Votes for the leading label and the one after it.
fn leaders(mains: impl Iterator<Item = u32>) -> (f64, f64) {
    let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
    for main in mains {
        *counts.entry(main).or_default() += 1;
    }
    let mut counts: Vec<u32> = counts.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let at = |place: usize| counts.get(place).copied().map_or(0.0, f64::from);
    (at(0), at(1))
}

/// Fits the label model; `None` where nothing asks for it.
pub(super) fn scores(
    corpus: &Corpus,
    config: &AnnotationConfig,
    streams: Streams,
) -> Result<Option<Scores>, EvaluateError> {
    let proposals = &corpus.proposals;
    if config.label_model == LabelModel::Published {
        return Ok(None);
    }
    let mut votes = proposals.votes.clone();
    let most = usize::try_from(config.votes).unwrap_or(usize::MAX);
    let mut by_item: Vec<Vec<Vote>> = vec![Vec::new(); proposals.image.len()];
    for vote in &votes {
        by_item[vote.item as usize].push(*vote);
    }
    if by_item.iter().any(|votes| votes.len() > most) {
        let mut dice = Dice(streams.rng(Purpose::Evaluation, ORDER));
        votes = by_item.iter().flat_map(|votes| limited(votes, config.votes, &mut dice)).collect();
    }
    let known: &[(u32, u32)] = if config.golden { &proposals.golden } else { &[] };
    if config.golden {
        votes.extend(&proposals.golden_votes);
    }
    let pairs = proposals.image.len();
    let items = pairs + known.len();
    let raters = proposals.raters;
    let all = Votes { items, raters, answers: 3, votes: &votes };
    let options = DawidSkeneOptions {
        classes: 2,
        evidence: &EVIDENCE,
        smoothing: config.smoothing,
        known,
        stopping: Stopping::default(),
    };
    let posterior = match config.label_model {
        LabelModel::Published => return Ok(None),
        LabelModel::Majority => expected(&all, 2, &EVIDENCE)?,
        LabelModel::DawidSkene => dawid_skene(&all, &options)?.posterior,
        LabelModel::PooledDawidSkene => pooled_dawid_skene(&all, &options)?.posterior,
        LabelModel::Glad => {
            let decided: Vec<Vote> = votes
                .iter()
                .filter(|vote| vote.answer != 1)
                .map(|vote| Vote { answer: vote.answer / 2, ..*vote })
                .collect();
            let decided = Votes { answers: 2, votes: &decided, ..all };
            let stopping = Stopping { tolerance: 1e-4, ..Stopping::default() };
            glad(&decided, &GladOptions { stopping, ..GladOptions::default() })?.posterior
        }
    };
    let score = posterior.chunks_exact(2).take(pairs).map(|row| row[1]).collect();
    Ok(Some(Scores { score }))
}

/// Valid labels of every image: the published ones; or those above the threshold, and the given label
/// where nothing was asked.
fn real_labels(corpus: &Corpus, scores: Option<&Scores>, threshold: f64) -> Vec<Vec<u32>> {
    let proposals = &corpus.proposals;
    let Some(scores) = scores else { return corpus.published.clone().unwrap_or_default() };
    let mut asked = vec![false; corpus.images.len()];
    let mut valid = vec![Vec::new(); corpus.images.len()];
    for (pair, score) in scores.score.iter().enumerate() {
        let image = proposals.image[pair] as usize;
        asked[image] = true;
        if *score > threshold {
            valid[image].push(proposals.label[pair]);
        }
    }
    for ((asked, valid), image) in asked.iter().zip(&mut valid).zip(&corpus.images) {
        if !asked {
            valid.push(image.label);
        }
    }
    valid
}

/// Shares of yes among the answers about every proposed label; an image of which nothing was asked has
/// its given label.
fn yes_shares(corpus: &Corpus) -> Vec<Vec<(u32, f64)>> {
    let proposals = &corpus.proposals;
    let mut counts = vec![(0_u32, 0_u32); proposals.image.len()];
    for vote in &proposals.votes {
        let (yes, all) = &mut counts[vote.item as usize];
        *yes += u32::from(vote.answer == 2);
        *all += 1;
    }
    let mut shares = vec![Vec::new(); corpus.images.len()];
    for (pair, (yes, all)) in counts.iter().enumerate().filter(|(_, (_, all))| *all > 0) {
        let image = proposals.image[pair] as usize;
        shares[image].push((proposals.label[pair], f64::from(*yes) / f64::from(*all)));
    }
    for (shares, image) in shares.iter_mut().zip(&corpus.images) {
        if shares.is_empty() {
            shares.push((image.label, 1.0));
        }
    }
    shares
}

/// The share of annotators who selected each label.
fn selected_shares(image: &Image) -> Option<Vec<(u32, f64)>> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for class in image.votes.iter().flat_map(|vote| &vote.selected) {
        *counts.entry(*class).or_default() += 1;
    }
    let of = |(class, count)| Some((class, share(count, image.votes.len())?));
    (!image.votes.is_empty()).then(|| counts.into_iter().filter_map(of).collect())
}

fn belongs(subset: Subset, image: &Image, derived: Option<&Derived>) -> bool {
    let classified = derived.filter(|_| image.partition == Some(Partition::ToClassify));
    match subset {
        Subset::Validation => true,
        Subset::Sample => image.partition.is_some(),
        Subset::Labelled => derived.is_some(),
        Subset::ToClassify => classified.is_some(),
        Subset::Easy => image.partition == Some(Partition::Easy),
        Subset::MultiObject => classified.is_some_and(|derived| derived.count > 1),
        Subset::SingleObject => derived.is_some_and(|derived| derived.count == 1),
    }
}

/// The part of every image: those of a class, in the annotated sample or not, are dealt out in an
/// order that the study seed decides.
fn folds(corpus: &Corpus, folds: u64, study_seed: u64) -> Vec<u64> {
    let streams = Streams { study_seed, replicate: 0 };
    let mut dice = Dice(streams.rng(Purpose::Evaluation, FOLDS));
    let mut groups: BTreeMap<(u32, bool), Vec<usize>> = BTreeMap::new();
    for (place, image) in corpus.images.iter().enumerate() {
        groups.entry((image.label, image.partition.is_some())).or_default().push(place);
    }
    let mut parts = vec![0; corpus.images.len()];
    // Goes on where the last class ended, so that parts stay equal where classes do not divide.
    let mut next = 0;
    for group in groups.values() {
        for position in dice.sample(group.len(), group.len()) {
            parts[group[position]] = next % folds;
            next += 1;
        }
    }
    parts
}

/// Analyses a corpus. `scores` are those of [`scores`].
pub(super) fn evaluate<'a>(
    corpus: &'a Corpus,
    images: &'a [Image],
    config: &AnnotationConfig,
    scores: Option<&Scores>,
    streams: Streams,
) -> Result<Findings<'a>, EvaluateError> {
    let chosen: Vec<&Model> = corpus
        .models
        .iter()
        .filter(|model| config.model == "all" || model.name == config.model)
        .collect();
    if chosen.is_empty() {
        let known: Vec<String> = corpus.models.iter().map(|model| model.name.clone()).collect();
        let nearest = flags::nearest(&config.model, known.iter().map(String::as_str));
        let nearest = nearest.map(str::to_owned);
        return Err(EvaluateError::Model { name: config.model.clone(), nearest, known });
    }
    let fixed = config.data == Source::ImageNet;
    if fixed && streams.replicate >= config.folds {
        let (replicate, folds) = (streams.replicate, config.folds);
        return Err(EvaluateError::Fold { replicate, folds });
    }
    let parts = fixed.then(|| folds(corpus, config.folds, streams.study_seed));
    let here = |place: usize| parts.as_ref().is_none_or(|parts| parts[place] == streams.replicate);
    let real = config.labels == Labels::Real;
    let sets = if real { real_labels(corpus, scores, config.threshold) } else { Vec::new() };
    let mut yes = if real { yes_shares(corpus) } else { Vec::new() };
    let mut whole = Vec::new();
    for (place, image) in images.iter().enumerate().filter(|(place, _)| here(*place)) {
        let derived = Derived::new(image, config);
        let given = || vec![image.label];
        let valid = match config.labels {
            Labels::ImageNet => Some(given()),
            Labels::Main => derived.as_ref().map(|derived| vec![derived.main]),
            Labels::AnyObject => derived.as_ref().map(|derived| derived.objects.groups.concat()),
            Labels::Real => sets.get(place).filter(|set| !set.is_empty()).cloned(),
        };
        let frequency =
            if real { yes.get_mut(place).map(std::mem::take) } else { selected_shares(image) };
        whole.push(Case { place, image, derived, valid, frequency });
    }
    let mut class_images = vec![0.0; corpus.classes.len()];
    for case in whole.iter().filter(|case| case.image.partition.is_some()) {
        if let Some(count) = class_images.get_mut(case.image.label as usize) {
            *count += 1.0;
        }
    }
    let multi_object_share = share_of(
        whole
            .iter()
            .filter(|case| case.image.partition.is_some())
            .map(|case| Some(case.derived.as_ref().is_some_and(|derived| derived.count > 1))),
    );
    let cases: Vec<Case<'a>> = whole
        .into_iter()
        .filter(|case| belongs(config.subset, case.image, case.derived.as_ref()))
        .collect();
    let annotators = annotator_confusion(corpus, &cases);
    let coarse = |fine: &Confusion| fine.coarser(&corpus.superclass, corpus.superclasses.len());
    let annotators_coarse = coarse(&annotators);
    let mut class_predictions = Confusion::new(corpus.classes.len());
    let models: Vec<ModelRow> = chosen
        .iter()
        .map(|model| model_row(corpus, model, &cases, &annotators_coarse, &mut class_predictions))
        .collect();
    let pairs = confused(corpus, &cases, &class_images);
    let designs = designs(&cases, streams);
    let class_votes = vote_confusion(corpus, &cases);
    let mut findings = Findings {
        cases,
        models,
        annotators: annotators_coarse,
        predictions: coarse(&class_predictions),
        classes: confused_classes(corpus),
        class_votes,
        class_predictions,
        pairs,
        designs,
        metrics: Vec::new(),
    };
    findings.metrics = metrics(corpus, &findings, config, scores, multi_object_share);
    Ok(findings)
}

/// The images of a corpus with as many votes as there shall be.
pub(super) fn limited_images(
    corpus: &Corpus,
    config: &AnnotationConfig,
    streams: Streams,
) -> Vec<Image> {
    let mut dice = Dice(streams.rng(Purpose::Evaluation, DRAWN));
    corpus
        .images
        .iter()
        .map(|image| {
            let votes = limited(&image.votes, config.votes, &mut dice);
            Image { votes, ..image.clone() }
        })
        .collect()
}

/// What annotators take for what: the main label against the given one.
fn annotator_confusion(corpus: &Corpus, cases: &[Case<'_>]) -> Confusion {
    let mut confusion = Confusion::new(corpus.classes.len());
    for case in cases {
        if let Some(derived) = &case.derived {
            confusion.add(case.image.label as usize, derived.main as usize, 1.0);
        }
    }
    confusion
}

/// Main votes against the given label; an image counts once, an easy one for its label.
fn vote_confusion(corpus: &Corpus, cases: &[Case<'_>]) -> Confusion {
    let mut confusion = Confusion::new(corpus.classes.len());
    for case in cases {
        let label = case.image.label as usize;
        if case.image.partition == Some(Partition::Easy) {
            confusion.add(label, label, 1.0);
        }
        for vote in &case.image.votes {
            let weight = share(1, case.image.votes.len()).unwrap_or_default();
            confusion.add(label, vote.main as usize, weight);
        }
    }
    confusion
}

/// Classes of the most confused pairs of the whole corpus, by all of its votes and the published tie
/// rules, so that every run of a study looks at the same ones.
fn confused_classes(corpus: &Corpus) -> Vec<usize> {
    let config = AnnotationConfig::default();
    let mut class_images = vec![0.0; corpus.classes.len()];
    let mut cases = Vec::new();
    for (place, image) in corpus.images.iter().enumerate() {
        if image.partition.is_some() {
            if let Some(count) = class_images.get_mut(image.label as usize) {
                *count += 1.0;
            }
            let derived = Derived::new(image, &config);
            cases.push(Case { place, image, derived, valid: None, frequency: None });
        }
    }
    let mut classes = Vec::new();
    for pair in confused(corpus, &cases, &class_images).into_iter().take(CLASS_PAIRS) {
        for class in [pair.first, pair.second] {
            if !classes.contains(&class) {
                classes.push(class);
            }
        }
    }
    classes
}

/// Pairs of classes between which main votes on images of one object are split, as shares of the
/// images of a class.
fn confused(corpus: &Corpus, cases: &[Case<'_>], class_images: &[f64]) -> Vec<ConfusedPair> {
    let mut votes = Confusion::new(corpus.classes.len());
    for case in cases {
        let single = case.derived.as_ref().is_some_and(|derived| derived.count == 1);
        for vote in case.image.votes.iter().filter(|_| single) {
            let weight = share(1, case.image.votes.len()).unwrap_or_default();
            votes.add(case.image.label as usize, vote.main as usize, weight);
        }
    }
    votes.confused_pairs(class_images, PAIRS)
}

fn model_row(
    corpus: &Corpus,
    model: &Model,
    cases: &[Case<'_>],
    annotators: &Confusion,
    predictions: &mut Confusion,
) -> ModelRow {
    let predicted = |case: &Case<'_>| model.top1[case.place];
    let counted: Vec<&Case<'_>> = cases.iter().filter(|case| case.valid.is_some()).collect();
    let right = |case: &Case<'_>| case.valid.as_ref().map(|valid| valid.contains(&predicted(case)));
    let frequency_of = |case: &Case<'_>, class: u32| {
        let shares = case.frequency.as_ref()?;
        Some(shares.iter().find(|(known, _)| *known == class).map_or(0.0, |(_, share)| *share))
    };
    let mut errors = [0_usize; BINS];
    for case in cases.iter().filter(|case| predicted(case) != case.image.label) {
        if let Some(frequency) = frequency_of(case, predicted(case)) {
            // A frequency lies in 0..=1; fifths of whole counts are exact enough with a hair added.
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss
            )]
            let bin = (frequency * BINS as f64 + 1e-9) as usize;
            errors[bin.min(BINS - 1)] += 1;
        }
    }
    let all: usize = errors.iter().sum();
    let mut own = Confusion::new(corpus.superclasses.len());
    for case in cases {
        let of = |class: u32| corpus.superclass.get(class as usize).copied();
        if let (Some(from), Some(to)) = (of(case.image.label), of(predicted(case))) {
            own.add(from, to, 1.0);
        }
        predictions.add(case.image.label as usize, predicted(case) as usize, 1.0);
    }
    ModelRow {
        name: model.name.clone(),
        images: u32::try_from(counted.len()).unwrap_or(u32::MAX),
        accuracy: share_of(cases.iter().map(right)),
        given_accuracy: share_of(
            counted.iter().map(|case| Some(predicted(case) == case.image.label)),
        ),
        subset_accuracy: share_of(
            cases.iter().map(|case| Some(predicted(case) == case.image.label)),
        ),
        top5_accuracy: share_of(counted.iter().map(|case| Some(model.top5[case.place]))),
        frequency: mean_of(cases.iter().map(|case| frequency_of(case, predicted(case)))),
        off_superclass: own.off_diagonal(),
        superclass_correlation: own.off_diagonal_correlation(annotators),
        errors: errors.map(|count| share(count, all)),
    }
}

/// How the main label settles as votes come in, in a random order.
fn designs(cases: &[Case<'_>], streams: Streams) -> Vec<DesignRow> {
    let mut dice = Dice(streams.rng(Purpose::Evaluation, ORDER + 1));
    let classified: Vec<(&Case<'_>, Vec<u32>)> = cases
        .iter()
        .filter(|case| !case.image.votes.is_empty())
        .map(|case| {
            let mains: Vec<u32> = case.image.votes.iter().map(|vote| vote.main).collect();
            let order = dice.sample(mains.len(), mains.len());
            (case, order.into_iter().map(|place| mains[place]).collect())
        })
        .collect();
    let reference = |case: &Case<'_>| match (&case.image.truth, &case.derived) {
        (Some(truth), _) => truth.objects.first().copied(),
        (None, derived) => derived.as_ref().map(|derived| derived.main),
    };
    let leader = |mains: &[u32]| {
        // The first of those with most votes.
        let count = |label: u32| mains.iter().filter(|main| **main == label).count();
        let most = mains.iter().map(|main| count(*main)).max();
        mains.iter().copied().find(|main| Some(count(*main)) == most)
    };
    let longest = classified.iter().map(|(_, mains)| mains.len()).max().unwrap_or_default();
    let there = u32::try_from(longest).unwrap_or(u32::MAX);
    let further = DESIGNS.into_iter().filter(|votes| *votes > there);
    (1..=there)
        .chain(further)
        .map(|votes| {
            let first = votes as usize;
            let enough = || classified.iter().filter(move |(_, mains)| mains.len() >= first);
            DesignRow {
                votes,
                agreement: share_of(
                    enough().map(|(case, mains)| Some(leader(&mains[..first]) == reference(case))),
                ),
                confidence: mean_of(enough().map(|(_, mains)| {
                    let (leader, runner_up) = leaders(mains[..first].iter().copied());
                    Some(leader_confidence(leader, runner_up))
                })),
                decided: (votes >= there)
                    .then(|| {
                        share_of(classified.iter().map(|(case, _)| {
                            let needed = case.derived.as_ref().map(|derived| derived.needed);
                            Some(needed.flatten().is_some_and(|needed| needed <= votes))
                        }))
                    })
                    .flatten(),
            }
        })
        .collect()
}

/// Slope, intercept and correlation of a least-squares line.
fn line(x: &[f64], y: &[f64]) -> [Option<f64>; 3] {
    let r = pearson(x, y);
    let slope = r.zip(analysis::sd(x).zip(analysis::sd(y))).map(|(r, (sx, sy))| r * sy / sx);
    let intercept =
        slope.zip(analysis::mean(x).zip(analysis::mean(y))).map(|(slope, (x, y))| y - slope * x);
    [slope, intercept, r]
}

fn metrics(
    corpus: &Corpus,
    findings: &Findings<'_>,
    config: &AnnotationConfig,
    scores: Option<&Scores>,
    multi_object_share: Option<f64>,
) -> Vec<Option<f64>> {
    let (cases, models) = (&findings.cases, &findings.models);
    let of_models = |pick: fn(&ModelRow) -> Option<f64>| mean_of(models.iter().map(pick));
    let points: Vec<(f64, f64)> =
        models.iter().filter_map(|row| row.subset_accuracy.zip(row.accuracy)).collect();
    let (x, y): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
    let [slope, intercept, correlation] = line(&x, &y);
    let counted = cases.iter().filter(|case| case.valid.is_some()).count();
    let classified = || cases.iter().filter(|case| !case.image.votes.is_empty());
    let derived = |case: &Case<'_>, pick: &dyn Fn(&Derived) -> Option<bool>| {
        case.derived.as_ref().and_then(pick)
    };
    let of_label = |case: &Case<'_>| {
        let shares = case.frequency.as_ref()?;
        let own = shares.iter().find(|(class, _)| *class == case.image.label);
        Some(own.map_or(0.0, |(_, share)| *share))
    };
    let rival = |case: &Case<'_>| {
        let (shares, own) = (case.frequency.as_ref()?, of_label(case)?);
        Some(shares.iter().any(|(class, share)| *class != case.image.label && *share >= own))
    };
    // Far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let count = counted as f64;
    let mut metrics = vec![
        of_models(|row| row.accuracy),
        of_models(|row| row.given_accuracy),
        of_models(|row| row.subset_accuracy),
        of_models(|row| row.top5_accuracy),
        slope,
        intercept,
        correlation,
        Some(count),
        multi_object_share,
        share_of(
            cases
                .iter()
                .map(|case| derived(case, &|derived| Some(derived.main != case.image.label))),
        ),
        share_of(classified().map(|case| {
            derived(case, &|derived| Some(derived.main_object != derived.given_object))
        })),
        mean_of(
            classified().map(|case| case.derived.as_ref().map(|derived| derived.given_main_share)),
        ),
        mean_of(cases.iter().map(of_label)),
        of_models(|row| row.frequency),
        share_of(cases.iter().map(rival)),
        share_of(
            cases
                .iter()
                .map(|case| case.valid.as_ref().map(|valid| valid.contains(&case.image.label))),
        ),
        findings.annotators.off_diagonal(),
        of_models(|row| row.off_superclass),
        of_models(|row| row.superclass_correlation),
        mean_of(classified().map(|case| case.derived.as_ref()?.confidence)),
        share_of(classified().map(|case| {
            derived(case, &|derived| {
                let votes = u32::try_from(case.image.votes.len()).unwrap_or(u32::MAX);
                Some(derived.needed.is_none_or(|needed| needed > votes))
            })
        })),
    ];
    metrics.extend(agreement(corpus, scores, config.threshold));
    metrics.extend(recovery(cases));
    metrics.extend(proposed(corpus, config, cases));
    metrics
}

/// How many labels annotators are asked about, and which share of those that are there is among them.
fn proposed(corpus: &Corpus, config: &AnnotationConfig, cases: &[Case<'_>]) -> [Option<f64>; 2] {
    let mut asked: Vec<Vec<u32>> = corpus.images.iter().map(|image| vec![image.label]).collect();
    if config.data == Source::ImageNet && config.candidates == Candidates::Models {
        let judged = |model: &&Model| config.model == "all" || model.name == config.model;
        let models: Vec<&Model> = corpus.models.iter().filter(judged).collect();
        for (place, labels) in asked.iter_mut().enumerate() {
            let lists: Vec<&[u32]> =
                models.iter().map(|model| &model.top1[place..=place]).collect();
            *labels = annotation::candidates(labels[0], &lists);
        }
    } else {
        for (image, label) in corpus.proposals.image.iter().zip(&corpus.proposals.label) {
            let labels = &mut asked[*image as usize];
            if !labels.contains(label) {
                labels.push(*label);
            }
        }
    }
    let there = |case: &Case<'_>| -> BTreeSet<u32> {
        match &case.image.truth {
            Some(truth) => truth.objects.iter().copied().collect(),
            None => case.image.votes.iter().flat_map(|vote| &vote.selected).copied().collect(),
        }
    };
    let found = cases.iter().flat_map(|case| {
        let asked = &asked[case.place];
        there(case).into_iter().map(|label| Some(asked.contains(&label)))
    });
    // Far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let sizes = cases
        .iter()
        .filter(|case| case.image.truth.is_some() || !case.image.votes.is_empty())
        .map(|case| Some(asked[case.place].len() as f64));
    [mean_of(sizes), share_of(found)]
}

/// How the label model's scores agree with the published ones and with the truth.
fn agreement(corpus: &Corpus, scores: Option<&Scores>, threshold: f64) -> [Option<f64>; 4] {
    let Some(Scores { score }) = scores else { return [None; 4] };
    let proposals = &corpus.proposals;
    let (mut correlation, mut same_side) = (None, None);
    if let Some(published) = &proposals.scores {
        correlation = pearson(score, published);
        let sides = score.iter().zip(published);
        same_side = share_of(sides.map(|(a, b)| Some((*a > threshold) == (*b > threshold))));
    }
    let (mut accuracy, mut log_loss) = (None, None);
    if let Some(truth) = &proposals.truth {
        let judged = || score.iter().zip(truth);
        accuracy = share_of(judged().map(|(score, truth)| Some((*score > 0.5) == *truth)));
        log_loss = mean_of(judged().map(|(score, truth)| {
            let right = if *truth { *score } else { 1.0 - score };
            Some(-right.max(1e-10).ln())
        }));
    }
    [correlation, same_side, accuracy, log_loss]
}

/// Whether the derived objects are the true ones: labels of one pair of classes describe one object.
fn grouped(derived: &Derived, truth: &Truth) -> bool {
    let object = |label: u32| truth.objects.iter().find(|o| **o / 2 == label / 2);
    let groups = &derived.objects.groups;
    let pure =
        groups.iter().all(|group| group.windows(2).all(|two| object(two[0]) == object(two[1])));
    let firsts: Vec<_> = groups.iter().filter_map(|group| object(*group.first()?)).collect();
    let distinct = firsts.iter().enumerate().all(|(at, o)| !firsts[..at].contains(o));
    pure && distinct && groups.len() == truth.objects.len()
}

/// How much of the truth the pipeline finds.
fn recovery(cases: &[Case<'_>]) -> [Option<f64>; 6] {
    let known = || {
        cases
            .iter()
            .filter_map(|case| Some((case, case.derived.as_ref()?, case.image.truth.as_ref()?)))
    };
    let classified = || known().filter(|(case, ..)| !case.image.votes.is_empty());
    let several = || classified().filter(|(_, derived, _)| derived.count > 1);
    let truths = || cases.iter().filter_map(|case| Some((case, case.image.truth.as_ref()?)));
    [
        share_of(truths().map(|(_, truth)| Some(truth.objects.len() > 1))),
        share_of(
            truths()
                .map(|(case, truth)| truth.objects.first().map(|main| *main != case.image.label)),
        ),
        share_of(
            known()
                .map(|(_, derived, truth)| truth.objects.first().map(|main| *main == derived.main)),
        ),
        share_of(
            classified().map(|(_, derived, truth)| Some(derived.count == truth.objects.len())),
        ),
        share_of(several().map(|(_, derived, truth)| Some(grouped(derived, truth)))),
        share_of(
            several()
                .filter(|(_, derived, truth)| derived.count == truth.objects.len())
                .map(|(_, derived, truth)| Some(grouped(derived, truth))),
        ),
    ]
}
