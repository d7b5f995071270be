//! Simulated annotations whose truth is known.
//!
//! Classes come in pairs that are taken for each other. An image has objects of different pairs, each
//! with a salience. Its given label is found as a search query finds it: an image that holds an object
//! of the class, however salient. Annotators are asked of a few proposed labels whether the image
//! contains them (CONTAINS; careless ones answer at random); where that does not settle the label,
//! they name every object that they notice and the main one, which is the one that seems most salient
//! to them (CLASSIFY).

use analysis::annotation::{
    ClassifyVote, Partition, PartitionRule, Tally, Vote, candidates, offered, partition,
};
use envs::{Purpose, Streams};
use rand::Rng;

use super::config::{AnnotationConfig, Candidates, RivalTie};
use super::corpus::{Corpus, Image, Model, Proposals, Truth};

/// Most objects of an image.
const MOST_OBJECTS: usize = 5;
/// Share of answers that are undecided.
const MAYBE: f64 = 0.06;
/// Classes a superclass.
const SUPERCLASS: usize = 10;

/// What streams are for; part of their keys.
const IMAGES: u64 = 101;
const RATERS: u64 = 102;
const CONTAINS: u64 = 103;
const CLASSIFY: u64 = 104;
const MODELS: u64 = 105;
const RANKS: u64 = 106;

/// Classes that a model proposes.
const DEPTH: usize = 5;

/// Draws uniform numbers.
pub(super) struct Dice<R>(pub(super) R);

impl<R: Rng> Dice<R> {
    /// A number in [0, 1).
    pub(super) fn uniform(&mut self) -> f64 {
        // 53 bits are exact in a double.
        #[allow(clippy::cast_precision_loss)]
        let number = (self.0.next_u64() >> 11) as f64;
        number / (1_u64 << 53) as f64
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// A number below a count.
    pub(super) fn below(&mut self, count: usize) -> usize {
        // Counts are far below 2^53, and the product is below the count.
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let number = (self.uniform() * count as f64) as usize;
        number.min(count.saturating_sub(1))
    }

    /// The first `count` of a random order of `0..of`.
    pub(super) fn sample(&mut self, of: usize, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..of).collect();
        for place in 0..count.min(of) {
            let other = place + self.below(of - place);
            all.swap(place, other);
        }
        all.truncate(count);
        all
    }

    fn gumbel(&mut self) -> f64 {
        let uniform = self.uniform().max(f64::MIN_POSITIVE);
        -(-uniform.ln()).ln()
    }
}

/// How a rater answers CONTAINS questions.
struct Rater {
    sees: f64,
    invents: f64,
}

/// The class that a class is taken for.
fn sibling(class: u32, classes: u32) -> u32 {
    let other = class ^ 1;
    if other < classes { other } else { class }
}

/// Objects of an image with their saliences, which sum to one.
struct Scene {
    objects: Vec<u32>,
    salience: Vec<f64>,
    /// Probability that an annotator takes an object for its sibling.
    confusion: f64,
}

fn scene<R: Rng>(dice: &mut Dice<R>, class: u32, config: &AnnotationConfig) -> Scene {
    let mut objects = vec![class];
    while objects.len() < MOST_OBJECTS && dice.chance(config.sim_further_object) {
        let other = dice.below(config.sim_classes as usize);
        let other = u32::try_from(other).unwrap_or_default();
        if objects.iter().all(|known| known / 2 != other / 2) {
            objects.push(other);
        }
    }
    // Exponential numbers that are scaled to one: a uniform draw of shares.
    let draws: Vec<f64> = objects.iter().map(|_| -(1.0 - dice.uniform()).ln() + 0.05).collect();
    let sum: f64 = draws.iter().sum();
    let mut order: Vec<usize> = (0..objects.len()).collect();
    order.sort_by(|a, b| draws[*b].total_cmp(&draws[*a]));
    Scene {
        objects: order.iter().map(|place| objects[*place]).collect(),
        salience: order.iter().map(|place| draws[*place] / sum).collect(),
        // The square of a uniform number has a mean of a third: most images are easy, some are hard.
        confusion: (3.0 * config.sim_confusion * dice.uniform().powi(2)).min(0.95),
    }
}

/// Simulates one replicate.
pub(super) fn simulate(config: &AnnotationConfig, streams: Streams) -> Corpus {
    let stream = |index: u64| Dice(streams.rng(Purpose::Evaluation, index));
    let classes = config.sim_classes;
    let mut dice = stream(IMAGES);
    let (mut scenes, mut labels) = (Vec::new(), Vec::new());
    for class in 0..classes {
        for _ in 0..config.sim_images_per_class {
            // The images of a class are those that a query for it finds.
            let mut scene = scene(&mut dice, class, config);
            if !dice.chance(config.sim_query) {
                // Not by the query: the class is the most salient object's.
                let found = scene.objects.iter().position(|object| *object == class);
                scene.objects.swap(0, found.unwrap_or_default());
            }
            let mislabelled = dice.chance(config.sim_mislabelled);
            labels.push(if mislabelled { sibling(class, classes) } else { class });
            scenes.push(scene);
        }
    }
    let models = models(config, &scenes, &labels, stream(MODELS));
    let proposed = match config.candidates {
        Candidates::Known => None,
        Candidates::Models => Some(proposed(config, &scenes, &labels, &models, stream(RANKS))),
    };
    let dice = (stream(RATERS), stream(CONTAINS));
    let proposals = contains(config, &scenes, &labels, proposed.as_deref(), dice);
    let contained = contained(&proposals, labels.len());
    let partitions = partitions(config, &contained, &labels);
    let mut dice = stream(CLASSIFY);
    let mut images = Vec::new();
    for (number, (scene, label)) in scenes.iter().zip(&labels).enumerate() {
        let votes = match partitions[number] {
            Partition::ToClassify => {
                let offer = proposed.as_ref().map(|_| {
                    let others: Vec<(u32, Tally)> = contained[number]
                        .iter()
                        .filter(|(other, _)| other != label)
                        .copied()
                        .collect();
                    offered(*label, &others, config.offered as usize)
                });
                (0..config.votes)
                    .map(|_| classify(&mut dice, scene, offer.as_deref(), config))
                    .collect()
            }
            _ => Vec::new(),
        };
        images.push(Image {
            name: format!("image-{number:06}"),
            label: *label,
            partition: Some(partitions[number]),
            votes,
            truth: Some(Truth { objects: scene.objects.clone() }),
        });
    }
    let superclass: Vec<usize> = (0..classes as usize).map(|class| class / SUPERCLASS).collect();
    let last = superclass.last().copied().unwrap_or_default();
    Corpus {
        models,
        images,
        classes: (0..classes).map(|class| format!("class {class}")).collect(),
        superclasses: (0..=last).map(|place| format!("superclass {place}")).collect(),
        superclass,
        proposals,
        published: None,
    }
}

/// Labels that models propose for every image: the five most likely classes of each, the better a model,
/// the more often the objects among them.
fn proposed<R: Rng>(
    config: &AnnotationConfig,
    scenes: &[Scene],
    labels: &[u32],
    models: &[Model],
    mut dice: Dice<R>,
) -> Vec<Vec<u32>> {
    let mut of_models: Vec<Vec<Vec<u32>>> = vec![Vec::new(); scenes.len()];
    for (number, model) in (0_u32..).zip(models) {
        let skill = skill(number, config.sim_models);
        for (place, (scene, label)) in scenes.iter().zip(labels).enumerate() {
            let mut ranked = vec![model.top1[place]];
            if model.top5[place] && !ranked.contains(label) {
                ranked.push(*label);
            }
            let sees = |class: u32, ranked: &mut Vec<u32>| {
                // What is not the label is so at every rank where the label is not among the five.
                if class != *label && !ranked.contains(&class) && ranked.len() < DEPTH {
                    ranked.push(class);
                }
            };
            for object in &scene.objects {
                if dice.chance(skill) {
                    sees(*object, &mut ranked);
                }
                if dice.chance(0.5) {
                    sees(sibling(*object, config.sim_classes), &mut ranked);
                }
            }
            // As many draws for every image, so that images do not depend on each other.
            for _ in 0..DEPTH {
                let class = dice.below(config.sim_classes as usize);
                sees(u32::try_from(class).unwrap_or_default(), &mut ranked);
            }
            of_models[place].push(ranked);
        }
    }
    let of = |(label, lists): (&u32, &Vec<Vec<u32>>)| {
        let lists: Vec<&[u32]> = lists.iter().map(Vec::as_slice).collect();
        candidates(*label, &lists)
    };
    labels.iter().zip(&of_models).map(of).collect()
}

/// Asks of every image about the labels that models propose for it; or else about the objects, what they
/// are taken for, the given label and two classes at random.
fn contains<R: Rng>(
    config: &AnnotationConfig,
    scenes: &[Scene],
    labels: &[u32],
    of_models: Option<&[Vec<u32>]>,
    (mut of_raters, mut dice): (Dice<R>, Dice<R>),
) -> Proposals {
    let raters: Vec<Rater> = (0..config.sim_raters)
        .map(|_| {
            if of_raters.chance(config.sim_careless) {
                let yes = 0.2 + 0.6 * of_raters.uniform();
                Rater { sees: yes, invents: yes }
            } else {
                let sees = 0.75 + 0.23 * of_raters.uniform();
                Rater { sees, invents: 0.01 + 0.09 * of_raters.uniform() }
            }
        })
        .collect();
    let mut proposals = Proposals { raters: raters.len(), ..Proposals::default() };
    let mut truth = Vec::new();
    for (number, (scene, label)) in (0_u32..).zip(scenes.iter().zip(labels)) {
        let place = number as usize;
        let mut proposed = of_models.map_or_else(|| vec![*label], |of| of[place].clone());
        let siblings = scene.objects.iter().map(|object| sibling(*object, config.sim_classes));
        let random = (0..2).map(|_| dice.below(config.sim_classes as usize));
        let random: Vec<u32> = random.map(|c| u32::try_from(c).unwrap_or_default()).collect();
        for class in scene.objects.iter().copied().chain(siblings).chain(random) {
            if of_models.is_none() && !proposed.contains(&class) {
                proposed.push(class);
            }
        }
        for class in proposed {
            let item = u32::try_from(proposals.image.len()).unwrap_or(u32::MAX);
            proposals.image.push(number);
            proposals.label.push(class);
            truth.push(scene.objects.contains(&class));
            // How plausible the class looks: an object by its salience, its sibling by confusion.
            let place = |of: u32| scene.objects.iter().position(|object| *object == of);
            let shown = match (place(class), place(sibling(class, config.sim_classes))) {
                (Some(place), _) => (0.5 + scene.salience[place]).min(1.0),
                (None, Some(_)) => scene.confusion,
                (None, None) => 0.0,
            };
            for place in dice.sample(raters.len(), config.votes as usize) {
                let rater = &raters[place];
                let yes = rater.invents + shown * (rater.sees - rater.invents);
                let answer = match () {
                    () if dice.chance(MAYBE) => 1,
                    () if dice.chance(yes) => 2,
                    () => 0,
                };
                let rater = u32::try_from(place).unwrap_or_default();
                proposals.votes.push(Vote { item, rater, answer });
            }
        }
    }
    proposals.truth = Some(truth);
    proposals
}

/// What was asked of every image and how many selected it; of the answers only yes selects.
fn contained(proposals: &Proposals, images: usize) -> Vec<Vec<(u32, Tally)>> {
    let mut tallies = vec![Tally::default(); proposals.image.len()];
    for vote in &proposals.votes {
        let tally = &mut tallies[vote.item as usize];
        tally.asked += 1;
        tally.selected += u32::from(vote.answer == 2);
    }
    let mut of_images = vec![Vec::new(); images];
    for ((image, label), tally) in proposals.image.iter().zip(&proposals.label).zip(tallies) {
        of_images[*image as usize].push((*label, tally));
    }
    of_images
}

/// Sorts images by the answers.
fn partitions(
    config: &AnnotationConfig,
    contained: &[Vec<(u32, Tally)>],
    labels: &[u32],
) -> Vec<Partition> {
    let rule = PartitionRule {
        fewest: config.fewest_annotators,
        rival: config.rival,
        rival_at_tie: config.rival_tie == RivalTie::Rival,
    };
    let of = |(answers, label): (&Vec<(u32, Tally)>, &u32)| {
        let own = answers.iter().find(|(class, _)| class == label);
        let others = answers.iter().filter(|(class, _)| class != label).map(|(_, tally)| *tally);
        let own = own.map(|(_, tally)| *tally).unwrap_or_default();
        partition(own, &others.collect::<Vec<Tally>>(), &rule)
    };
    contained.iter().zip(labels).map(of).collect()
}

/// An annotator's answer. Who is not offered what they see takes the class that it is taken for, or leaves
/// the object out; who is offered nothing of what they see names the given label, which is always first.
fn classify<R: Rng>(
    dice: &mut Dice<R>,
    scene: &Scene,
    offered: Option<&[u32]>,
    config: &AnnotationConfig,
) -> ClassifyVote {
    let mut seen: Vec<(f64, u32)> = Vec::new();
    let named = |class: u32| match offered {
        Some(labels) if !labels.contains(&class) => {
            Some(sibling(class, config.sim_classes)).filter(|other| labels.contains(other))
        }
        _ => Some(class),
    };
    for (object, salience) in scene.objects.iter().zip(&scene.salience) {
        let appeal = salience.ln() + config.sim_salience_noise * dice.gumbel();
        let noticed = dice.chance((0.6 + salience).min(1.0));
        let taken = dice.chance(scene.confusion);
        let class = if taken { sibling(*object, config.sim_classes) } else { *object };
        let last = seen.is_empty() && object == scene.objects.last().unwrap_or(object);
        // Somebody who is asked what is there sees something.
        if let (true, Some(class)) = (noticed || last, named(class)) {
            seen.push((appeal, class));
        }
    }
    if let (true, Some(given)) = (seen.is_empty(), offered.and_then(<[u32]>::first)) {
        seen.push((0.0, *given));
    }
    let most = seen.iter().max_by(|a, b| a.0.total_cmp(&b.0)).map_or(0, |(_, class)| *class);
    let order = dice.sample(seen.len(), seen.len());
    ClassifyVote { main: most, selected: order.iter().map(|place| seen[*place].1).collect() }
}

/// How good a model is.
fn skill(number: u32, models: u32) -> f64 {
    0.5 + 0.45 * f64::from(number + 1) / f64::from(models)
}

/// Models from poor to good. A better model knows the given label more often, because it has learned
/// what queries find; otherwise it names the main object, its sibling, or anything.
fn models<R: Rng>(
    config: &AnnotationConfig,
    scenes: &[Scene],
    labels: &[u32],
    mut dice: Dice<R>,
) -> Vec<Model> {
    let count = config.sim_models;
    (0..count)
        .map(|number| {
            let skill = skill(number, count);
            let (mut top1, mut top5) = (Vec::new(), Vec::new());
            for (scene, label) in scenes.iter().zip(labels) {
                let anything = dice.below(config.sim_classes as usize);
                let predicted = match () {
                    () if dice.chance(skill * 0.8) => *label,
                    () if dice.chance(skill) => scene.objects[0],
                    () if dice.chance(0.5) => sibling(scene.objects[0], config.sim_classes),
                    () => u32::try_from(anything).unwrap_or_default(),
                };
                top5.push(predicted == *label || dice.chance(skill));
                top1.push(predicted);
            }
            Model { name: format!("model-{number:02}"), top1, top5 }
        })
        .collect()
}
