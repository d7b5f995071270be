//! Images with their votes and predictions, read from published data or simulated.

use std::collections::BTreeMap;

use analysis::annotation::{ClassifyVote, Partition, Vote};
use polars::prelude::{DataFrame, DataType};
use serde::Deserialize;

use crate::data::{self, DataError, DataFile, DataSet};

/// Annotations of 10,000 ImageNet images.
pub const MULTILABEL: DataSet = DataSet {
    name: "imagenet-multilabel",
    about: "CLASSIFY annotations of 6,761 ImageNet validation images, the partition of 10,000, and 11 superclasses; converted to JSON and CSV",
    source: "MadryLab/ImageNetMultiLabel @f939d1f: data/annotations_classify_task.pkl, image_info.pkl, superclasses",
    licence: "MIT",
    files: &[
        DataFile {
            path: CLASSIFY,
            sha256: "5894a843011fe1e7c1aca6a85554e6d258b1743643188acc7fa72abb4be8f6fe",
        },
        DataFile {
            path: PARTITION,
            sha256: "3a64394cb3a2c1e9ac7a5d2192952e8b6dea0ef1e8d09f23a6e07f6b80e790b7",
        },
        DataFile {
            path: NAMES,
            sha256: "18fbc4a5f1ed16968e53f59eaab22a8713ac0e5cab1f09b99ca55bc4117ebdb7",
        },
        DataFile {
            path: SUPERCLASSES,
            sha256: "5fd45d7857b6eca1b666b283fa69a9d54c18a7443c980e8358e0ed0ab512be77",
        },
    ],
};

/// Reassessed labels of ImageNet's validation images.
pub const REAL: DataSet = DataSet {
    name: "imagenet-real",
    about: "ReaL labels of 50,000 ImageNet validation images, the raters' votes behind them, golden items, and the published Dawid-Skene scores; votes converted to Parquet",
    source: "google-research/reassessed-imagenet @bcd006f: real.json, raters.npz, scores.npz",
    licence: "Apache-2.0",
    files: &[
        DataFile {
            path: REAL_LABELS,
            sha256: "d83e9bff374c631aae8439eb064c7019acc56e1b3bc3f56b8380c2a710b0220b",
        },
        DataFile {
            path: REAL_VOTES,
            sha256: "52483b1edafe0e4d55f93abb95a82b36eebe04c1d97a36efa3f285e22f051eb1",
        },
        DataFile {
            path: REAL_GOLDEN,
            sha256: "50b3c22672353e5b81646211846065d3c5a3c2254d1b3fd78c1705f77bfc00f6",
        },
        DataFile {
            path: REAL_EXPERTS,
            sha256: "b66150ff8ae4d191366bfb78513b063bd3887c84e8b3d16771ff1c03c0438422",
        },
        DataFile {
            path: REAL_SCORES,
            sha256: "d97d1fee5d71584928b060cd40d68d5736f0a54d91d172e3ed3ac052428faf0f",
        },
    ],
};

/// Predictions of 64 models on ImageNet's validation images.
pub const PREDICTIONS: DataSet = DataSet {
    name: "imagenet-validation-predictions",
    about: "top-1 predictions of 64 models on the 50,000 ImageNet validation images, and whether the label is among the top 5; converted to Parquet",
    source: "modestyachts/ImageNetV2 @0b0c3fe: data/predictions/imagenet-validation-original",
    licence: "MIT",
    files: &[DataFile {
        path: TOP1,
        sha256: "41cfb494a1797ad766e6b6962d9cb0708292484b215a6f77ccd77b93fa0aace7",
    }],
};

const CLASSIFY: &str = "multilabel/classify_task.jsonl";
const PARTITION: &str = "multilabel/image_partition.csv";
const NAMES: &str = "multilabel/imagenet_labels.csv";
const SUPERCLASSES: &str = "multilabel/superclasses_11.json";
const REAL_LABELS: &str = "multilabel/real.json";
const REAL_VOTES: &str = "multilabel/real_rater_votes.parquet";
const REAL_GOLDEN: &str = "multilabel/real_rater_votes_golden.parquet";
const REAL_EXPERTS: &str = "multilabel/real_expert_golden.parquet";
const REAL_SCORES: &str = "multilabel/real_dawid_skene_scores.parquet";
const TOP1: &str = "replication/imagenet_val_top1.parquet";

/// Images of ImageNet's validation set.
const VALIDATION: u32 = 50_000;

/// An image with what is known of it.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// The data set's label.
    pub label: u32,
    /// What CONTAINS made of it; `None` outside the annotated sample.
    pub partition: Option<Partition>,
    /// CLASSIFY votes, in the order of the annotators; none unless it was classified.
    pub votes: Vec<ClassifyVote>,
    /// What it really shows, where that is known.
    pub truth: Option<Truth>,
}

/// What a simulated image shows.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Classes of its objects, the most salient first.
    pub objects: Vec<u32>,
}

/// A model with its predictions, one an image.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// The predicted class of every image.
    pub top1: Vec<u32>,
    /// Whether the data set's label is among the five most likely classes.
    pub top5: Vec<bool>,
}

/// Questions whether a label is valid for an image, and the answers: 0 no, 1 maybe, 2 yes.
#[derive(Clone, Debug, Default)]
pub struct Proposals {
    /// The image of each question.
    pub image: Vec<u32>,
    /// The proposed label of each.
    pub label: Vec<u32>,
    /// The answers; the items beyond the questions are golden ones.
    pub votes: Vec<Vote>,
    /// Number of raters.
    pub raters: usize,
    /// Golden items: their numbers and whether they are valid.
    pub golden: Vec<(u32, u32)>,
    /// Answers about golden items.
    pub golden_votes: Vec<Vote>,
    /// The published score of each question.
    pub scores: Option<Vec<f64>>,
    /// Whether each label is valid, where that is known.
    pub truth: Option<Vec<bool>>,
}

/// Everything that an analysis reads.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// The images.
    pub images: Vec<Image>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Names of the superclasses.
    pub superclasses: Vec<String>,
    /// The superclass of every class.
    pub superclass: Vec<usize>,
    /// The models.
    pub models: Vec<Model>,
    /// The second annotation system.
    pub proposals: Proposals,
    /// Its published labels of every image.
    pub published: Option<Vec<Vec<u32>>>,
}

/// Why a corpus could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A file is not here.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file is not what it is said to be, though its hash is right: a defect of this program.
    #[error("{path}: {message}")]
    Content {
        /// The file.
        path: &'static str,
        /// What is wrong.
        message: String,
    },
}

fn content(path: &'static str) -> impl Fn(&dyn std::fmt::Display) -> CorpusError {
    move |message| CorpusError::Content { path, message: message.to_string() }
}

/// A line of the CLASSIFY annotations; the fields that the release derives are not read.
#[derive(Deserialize)]
struct Classified {
    image: String,
    main: Vec<u32>,
    selected: Vec<Vec<u32>>,
}

/// The position of an image by its number in the validation set.
fn place(path: &'static str, name: &str) -> Result<usize, CorpusError> {
    name.strip_prefix("ILSVRC2012_val_")
        .and_then(|rest| rest.strip_suffix(".JPEG"))
        .and_then(|number| number.parse::<usize>().ok())
        .filter(|number| (1..=VALIDATION as usize).contains(number))
        .map(|number| number - 1)
        .ok_or_else(|| content(path)(&format!("{name} is no image of the validation set")))
}

fn parquet(path: &'static str, bytes: &[u8]) -> Result<DataFrame, CorpusError> {
    data::parquet(bytes).map_err(|error| content(path)(&error))
}

fn integers(path: &'static str, frame: &DataFrame, column: &str) -> Result<Vec<u32>, CorpusError> {
    let read = || -> polars::prelude::PolarsResult<Vec<u32>> {
        let column = frame.column(column)?.cast(&DataType::UInt32)?;
        Ok(column.u32()?.iter().map(Option::unwrap_or_default).collect())
    };
    read().map_err(|error| content(path)(&error))
}

/// Columns of the predictions that are no model.
const NO_MODELS: [&str; 4] = ["image", "label", "annotated20k", "top5_hit_bits"];

fn predictions() -> Result<(Vec<u32>, Vec<Model>), CorpusError> {
    let frame = parquet(TOP1, &PREDICTIONS.read(TOP1)?)?;
    let fails = content(TOP1);
    let read = |name: &str| frame.column(name).map_err(|error| fails(&error));
    let names = read("image")?.str().map_err(|error| fails(&error))?.clone();
    let places = names
        .iter()
        .map(|name| place(TOP1, name.unwrap_or_default()))
        .collect::<Result<Vec<_>, _>>()?;
    let sorted = |values: Vec<u32>| {
        let mut by_image = vec![0; VALIDATION as usize];
        for (place, value) in places.iter().zip(values) {
            by_image[*place] = value;
        }
        by_image
    };
    let bits = read("top5_hit_bits")?.u64().map_err(|error| fails(&error))?.clone();
    let mut models = Vec::new();
    let columns = frame.get_column_names();
    for name in columns.iter().filter(|name| !NO_MODELS.contains(&name.as_str())) {
        let hit = |bits: Option<u64>| bits.unwrap_or_default() >> models.len() & 1 == 1;
        let mut top5 = vec![false; VALIDATION as usize];
        for (place, bits) in places.iter().zip(bits.iter()) {
            top5[*place] = hit(bits);
        }
        let top1 = sorted(integers(TOP1, &frame, name)?);
        models.push(Model { name: name.to_string(), top1, top5 });
    }
    Ok((sorted(integers(TOP1, &frame, "label")?), models))
}

fn proposals() -> Result<Proposals, CorpusError> {
    let frame = parquet(REAL_VOTES, &REAL.read(REAL_VOTES)?)?;
    let column = |name: &str| integers(REAL_VOTES, &frame, name);
    let (pair, image, label) = (column("pair")?, column("image")?, column("label")?);
    let (rater, answer) = (column("rater")?, column("answer")?);
    let pairs = pair.iter().max().map_or(0, |last| *last as usize + 1);
    let mut proposals =
        Proposals { image: vec![0; pairs], label: vec![0; pairs], ..Proposals::default() };
    // Raters have identifiers; models count them.
    let mut raters: BTreeMap<u32, u32> = rater.iter().map(|rater| (*rater, 0)).collect();
    for (number, place) in (0_u32..).zip(raters.values_mut()) {
        *place = number;
    }
    proposals.raters = raters.len();
    for (row, &item) in pair.iter().enumerate() {
        proposals.image[item as usize] = image[row].saturating_sub(1);
        proposals.label[item as usize] = label[row];
        proposals.votes.push(Vote { item, rater: raters[&rater[row]], answer: answer[row] });
    }
    let scores = parquet(REAL_SCORES, &REAL.read(REAL_SCORES)?)?;
    let of_score = integers(REAL_SCORES, &scores, "pair")?;
    let values = scores.column("score").and_then(|column| column.f64().cloned());
    let values = values.map_err(|error| content(REAL_SCORES)(&error))?;
    let mut by_pair = vec![0.0; pairs];
    for (pair, score) in of_score.iter().zip(values.iter()) {
        by_pair[*pair as usize] = score.unwrap_or_default();
    }
    proposals.scores = Some(by_pair);
    // Experts decide: the sum of their answers above the middle.
    let experts = parquet(REAL_EXPERTS, &REAL.read(REAL_EXPERTS)?)?;
    let mut judged: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
    let of_expert = integers(REAL_EXPERTS, &experts, "pair")?;
    for (item, answer) in of_expert.iter().zip(integers(REAL_EXPERTS, &experts, "answer")?) {
        let (sum, count) = judged.entry(*item).or_default();
        *sum += answer;
        *count += 1;
    }
    let first = u32::try_from(pairs).unwrap_or(u32::MAX);
    proposals.golden =
        judged.iter().map(|(item, (sum, count))| (first + item, u32::from(sum > count))).collect();
    let golden = parquet(REAL_GOLDEN, &REAL.read(REAL_GOLDEN)?)?;
    let column = |name: &str| integers(REAL_GOLDEN, &golden, name);
    let (pair, rater, answer) = (column("pair")?, column("rater")?, column("answer")?);
    for (row, &item) in pair.iter().enumerate() {
        if let Some(rater) = raters.get(&rater[row]) {
            let vote = Vote { item: first + item, rater: *rater, answer: answer[row] };
            proposals.golden_votes.push(vote);
        }
    }
    Ok(proposals)
}

impl Corpus {
    /// Reads what was published of ImageNet's validation images.
    ///
    /// # Errors
    /// When a file is not here, or is not the published one.
    pub fn imagenet() -> Result<Self, CorpusError> {
        let (labels, models) = predictions()?;
        let mut images: Vec<Image> = labels
            .into_iter()
            .enumerate()
            .map(|(place, label)| Image {
                name: format!("ILSVRC2012_val_{:08}.JPEG", place + 1),
                label,
                partition: None,
                votes: Vec::new(),
                truth: None,
            })
            .collect();
        let partition = MULTILABEL.read(PARTITION)?;
        for line in String::from_utf8_lossy(&partition).lines().skip(1) {
            let fails = content(PARTITION);
            let (name, part) =
                line.split_once(',').ok_or_else(|| fails(&format!("no comma in {line}")))?;
            let part = match part {
                "easy" => Partition::Easy,
                "mis" => Partition::Mislabelled,
                "amb" => Partition::Ambiguous,
                "fu" => Partition::ToClassify,
                other => return Err(fails(&format!("no part is called {other}"))),
            };
            images[place(PARTITION, name)?].partition = Some(part);
        }
        let classified = MULTILABEL.read(CLASSIFY)?;
        for line in String::from_utf8_lossy(&classified).lines() {
            let row: Classified =
                serde_json::from_str(line).map_err(|error| content(CLASSIFY)(&error))?;
            let votes = row.main.into_iter().zip(row.selected);
            images[place(CLASSIFY, &row.image)?].votes =
                votes.map(|(main, selected)| ClassifyVote { main, selected }).collect();
        }
        let names = MULTILABEL.read(NAMES)?;
        let classes: Vec<String> = String::from_utf8_lossy(&names)
            .lines()
            .skip(1)
            .filter_map(|line| line.splitn(3, ',').nth(2))
            .map(|name| {
                let name = name.trim_matches('"');
                name.split(',').next().unwrap_or(name).to_owned()
            })
            .collect();
        let superclasses = MULTILABEL.read(SUPERCLASSES)?;
        let superclasses: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&superclasses).map_err(|error| content(SUPERCLASSES)(&error))?;
        let mut superclass = vec![0; classes.len()];
        for (place, members) in superclasses.values().enumerate() {
            for class in members.as_array().into_iter().flatten() {
                let class = class.as_u64().and_then(|class| usize::try_from(class).ok());
                if let Some(of) = class.and_then(|class| superclass.get_mut(class)) {
                    *of = place;
                }
            }
        }
        let published: Vec<Vec<u32>> = serde_json::from_slice(&REAL.read(REAL_LABELS)?)
            .map_err(|error| content(REAL_LABELS)(&error))?;
        Ok(Self {
            images,
            classes,
            superclasses: superclasses.keys().cloned().collect(),
            superclass,
            models,
            proposals: proposals()?,
            published: Some(published),
        })
    }
}
