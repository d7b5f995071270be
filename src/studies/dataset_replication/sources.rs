//! The published data that the study reads, and what it makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use analysis::replication::{
    BetaComponent, BetaPopulation, FinitePopulation, Images, ReplicationError,
};
use polars::prelude::{CsvReadOptions, CsvReader, DataFrame, DataType, PolarsError, SerReader};

use super::config::{Config, Data, SyntheticModel};
use super::votes::{self, VotesError};
use crate::data::{DataError, DataFile, DataSet, parquet};

const VALIDATION: &str = "replication/imagenet_val_top1.parquet";
const MATCHED_FREQUENCY: &str = "replication/imagenetv2_matched_frequency_top1.parquet";
const THRESHOLD: &str = "replication/imagenetv2_threshold07_top1.parquet";
const TOP_IMAGES: &str = "replication/imagenetv2_top_images_top1.parquet";
const CIFAR10: &str = "replication/cifar10_test_predictions.parquet";
const CIFAR10_1_V4: &str = "replication/cifar10_1_v4_predictions.parquet";
const CIFAR10_1_V6: &str = "replication/cifar10_1_v6_predictions.parquet";
const CIFAR10H: &str = "replication/cifar10h_counts.csv";
const TIMM_VALIDATION: &str = "replication/timm_2020-05-03_imagenet.csv";
const TIMM_V2: &str = "replication/timm_2020-05-03_imagenetv2_mf.csv";
const NOTEBOOK: &str = "replication/engstrom_notebook_rows.csv";

const IMAGENET_V2: DataSet = DataSet {
    name: "imagenet-v2-predictions",
    about: "top-1 predictions of 64 models on ImageNet's validation set and three variants of \
            ImageNet-v2, from the repository's data/predictions and data/datasets converted to Parquet",
    source: "https://github.com/modestyachts/ImageNetV2 at 0b0c3fe",
    licence: "MIT",
    files: &[
        DataFile {
            path: VALIDATION,
            sha256: "41cfb494a1797ad766e6b6962d9cb0708292484b215a6f77ccd77b93fa0aace7",
        },
        DataFile {
            path: MATCHED_FREQUENCY,
            sha256: "285ad8688321ec38d9c57eec0bf2bacfb69f58e2ce49fea6085da0d593cf032b",
        },
        DataFile {
            path: THRESHOLD,
            sha256: "ec8aca76e52be2a9f617fa82d58738c5f96f5b794b05bf000c3c55a879a8aceb",
        },
        DataFile {
            path: TOP_IMAGES,
            sha256: "f537eb5a86d87152d5c817fa36aec53a53c9f10304a164aa530191c4317a644f",
        },
    ],
};

const CIFAR_10_1: DataSet = DataSet {
    name: "cifar10.1-predictions",
    about: "predictions of 30 models on the CIFAR-10 test set and on CIFAR-10.1 v4 and v6, from the \
            repository's model_predictions converted to Parquet",
    source: "https://github.com/modestyachts/CIFAR-10.1 at d9982ab",
    licence: "MIT",
    files: &[
        DataFile {
            path: CIFAR10,
            sha256: "174278d9772fd874b9e0109a79bcf274f3486559ab391f291fdfd0cdabd8c89f",
        },
        DataFile {
            path: CIFAR10_1_V4,
            sha256: "2bbd1a5a07e666d5ae5fc308a57882759b3a0c704cfc5c24db6bc7187576e634",
        },
        DataFile {
            path: CIFAR10_1_V6,
            sha256: "449d0da9ec0e7b11d10439db96f988b866326cb4522e15ec78791f21c5733611",
        },
    ],
};

const CIFAR_10H: DataSet = DataSet {
    name: "cifar10h-counts",
    about: "labels that 47 to 63 people gave each image of the CIFAR-10 test set (Peterson, Battleday, \
            Griffiths and Russakovsky 2019), with CIFAR-10's labels",
    source: "https://github.com/jcpeterson/cifar-10h at 48da312; labels from \
             https://github.com/cleanlab/label-errors at 6d5d6b3 (Apache-2.0)",
    licence: "CC BY-NC-SA 4.0",
    files: &[DataFile {
        path: CIFAR10H,
        sha256: "ebec73eb3fe15141a5a72f515a975edb7c1502303c2e656230a4ecc5e8ad0f86",
    }],
};

const TIMM: DataSet = DataSet {
    name: "timm-results-2020-05-03",
    about: "accuracies of 203 timm models on ImageNet and ImageNet-v2 MatchedFrequency",
    source: "https://github.com/huggingface/pytorch-image-models at 31f4c126",
    licence: "Apache-2.0",
    files: &[
        DataFile {
            path: TIMM_VALIDATION,
            sha256: "aa37194e01af263fb069caa47bbeac6a09cabf765c297d0e69e7b213e14c4621",
        },
        DataFile {
            path: TIMM_V2,
            sha256: "2946272b42e99354fd8ae7764c7e58732f52ca6c68137351786d8ea140795303",
        },
    ],
};

const ENGSTROM: DataSet = DataSet {
    name: "engstrom-notebook-rows",
    about: "ten models with their accuracies and adjusted accuracies, as the output of the authors' \
            notebook shows them",
    source: "https://github.com/MadryLab/dataset-replication-analysis at f06ee16",
    licence: "MIT",
    files: &[DataFile {
        path: NOTEBOOK,
        sha256: "d50399764f72f1c9b3506a6768e13cd7125041bca5e237d5b379ada22ada1ee4",
    }],
};

/// What the study reads.
pub(super) const DATA: &[DataSet] = &[IMAGENET_V2, CIFAR_10_1, CIFAR_10H, TIMM, ENGSTROM];

/// Why there is no data to study.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The published file cannot be had.
    #[error(transparent)]
    Data(#[from] DataError),
    /// It cannot be read, though it is the published one.
    #[error("cannot read {path}: {source}")]
    Frame {
        /// The file.
        path: String,
        /// The cause.
        source: PolarsError,
    },
    /// It does not hold what it should, though it is the published one.
    #[error("{path} holds {what}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// A model is asked for that the data does not have.
    #[error("there is no model {name:?} in {data}; it has {}", known.join(", "))]
    Model {
        /// What was asked for.
        name: String,
        /// The data.
        data: String,
        /// The models.
        known: Vec<String>,
    },
    /// The user's own votes cannot be used.
    #[error(transparent)]
    Votes(#[from] VotesError),
    /// Something does not fit together.
    #[error(transparent)]
    Replication(#[from] ReplicationError),
}

/// The data of a run.
pub(super) enum Source {
    /// A reference with known frequencies and a pool.
    Finite(Finite),
    /// Reference and pool in closed form.
    Beta { reference: BetaPopulation, pool: BetaPopulation, models: Vec<String> },
    /// By model and image, whether predictions on either dataset are right.
    Predictions { models: Vec<String>, reference: Vec<Vec<bool>>, replication: Vec<Vec<bool>> },
    /// Accuracies of every model, and adjusted ones where they were published.
    Accuracies {
        models: Vec<String>,
        reference: Vec<f64>,
        replication: Vec<f64>,
        adjusted: Option<Vec<f64>>,
    },
    /// Images with votes.
    Votes { models: Vec<String>, reference: Images, replication: Images },
}

/// Images with known frequencies.
pub struct Finite {
    /// The models.
    pub models: Vec<String>,
    /// True frequency of every image.
    pub frequencies: Vec<f64>,
    /// Class of every image.
    pub classes: Vec<u32>,
    /// By model and image, whether its prediction is right.
    pub correct: Vec<Vec<bool>>,
}

impl Finite {
    /// The images of each class, in the order of the classes.
    pub fn by_class(&self) -> Vec<Self> {
        let classes: BTreeSet<u32> = self.classes.iter().copied().collect();
        let of = |class: u32| {
            let places: Vec<usize> =
                (0..self.classes.len()).filter(|image| self.classes[*image] == class).collect();
            let correct = |model: &Vec<bool>| places.iter().map(|image| model[*image]).collect();
            Self {
                models: self.models.clone(),
                frequencies: places.iter().map(|image| self.frequencies[*image]).collect(),
                classes: vec![class; places.len()],
                correct: self.correct.iter().map(correct).collect(),
            }
        };
        classes.into_iter().map(of).collect()
    }

    /// The reference: every image alike.
    ///
    /// # Errors
    /// When frequencies and predictions do not fit together.
    pub fn reference(&self) -> Result<FinitePopulation<'_>, ReplicationError> {
        FinitePopulation::new(&self.frequencies, &self.correct)
    }
}

/// Reads what a run needs.
pub(super) fn read(config: &Config) -> Result<Source, SourceError> {
    let data = config.data;
    Ok(match data {
        Data::Cifar10h => {
            let Finite { models, frequencies, classes, correct } = cifar10h()?;
            let (models, [correct, _]) = chosen(config, models, [correct, Vec::new()])?;
            Source::Finite(Finite { models, frequencies, classes, correct })
        }
        Data::SyntheticBeta | Data::SyntheticMixture => synthetic(config)?,
        Data::ImagenetV2MatchedFrequency => imagenet(config, Some(MATCHED_FREQUENCY))?,
        Data::ImagenetV2Threshold07 => imagenet(config, Some(THRESHOLD))?,
        Data::ImagenetV2TopImages => imagenet(config, Some(TOP_IMAGES))?,
        Data::ImagenetVal20k => imagenet(config, None)?,
        Data::Cifar101V4 => cifar10_1(config, CIFAR10_1_V4)?,
        Data::Cifar101V6 => cifar10_1(config, CIFAR10_1_V6)?,
        Data::Timm => timm(config)?,
        Data::EngstromNotebook => notebook(config)?,
        Data::File => {
            let read = votes::read(config)?;
            let (models, [one, other]) =
                chosen(config, read.models, [read.reference.correct, read.replication.correct])?;
            let reference = Images::new(read.reference.selected, read.reference.annotators, one)?;
            let replication =
                Images::new(read.replication.selected, read.replication.annotators, other)?;
            Source::Votes { models, reference, replication }
        }
    })
}

/// Keeps the models that the configuration names, in its order.
fn chosen<T: Clone>(
    config: &Config,
    models: Vec<String>,
    columns: [Vec<T>; 2],
) -> Result<(Vec<String>, [Vec<T>; 2]), SourceError> {
    if config.models.trim() == "all" {
        return Ok((models, columns));
    }
    let places = config
        .models
        .split(',')
        .map(str::trim)
        .map(|name| {
            models.iter().position(|model| model == name).ok_or_else(|| SourceError::Model {
                name: name.to_owned(),
                data: config.data.name().to_owned(),
                known: models.clone(),
            })
        })
        .collect::<Result<Vec<usize>, _>>()?;
    // A column may be empty where a source has one only.
    let columns = columns.map(|column| {
        places.iter().filter_map(|place| column.get(*place).cloned()).collect::<Vec<T>>()
    });
    Ok((places.iter().map(|place| models[*place].clone()).collect(), columns))
}

/// CIFAR-10H: the true frequencies of the CIFAR-10 test images, and 30 models' predictions on them.
///
/// # Errors
/// When the published files are not here.
pub fn cifar10h() -> Result<Finite, SourceError> {
    let counts = csv(CIFAR10H, CIFAR_10H.read(CIFAR10H)?)?;
    let labels = integers(CIFAR10H, &counts, "label")?;
    let choices: Vec<String> = names(&counts, &["image", "label"]);
    let votes = choices
        .iter()
        .map(|name| integers(CIFAR10H, &counts, name))
        .collect::<Result<Vec<Vec<i64>>, _>>()?;
    let frequency = |(image, label): (usize, &i64)| {
        let total: i64 = votes.iter().map(|votes| votes[image]).sum();
        let right = usize::try_from(*label).ok().and_then(|label| votes.get(label))?[image];
        (total > 0).then(|| real(right) / real(total))
    };
    let frequencies =
        labels.iter().enumerate().map(frequency).collect::<Option<Vec<f64>>>().ok_or_else(
            || content(CIFAR10H, "an image without votes, or a label that is no class"),
        )?;
    let predictions = Predictions::read(CIFAR10, &CIFAR_10_1)?;
    if predictions.labels != labels {
        return Err(content(CIFAR10H, "other labels than the predictions' file"));
    }
    let classes = labels.into_iter().map(|label| u32::try_from(label).unwrap_or(u32::MAX));
    Ok(Finite {
        models: predictions.models,
        frequencies,
        classes: classes.collect(),
        correct: predictions.correct,
    })
}

/// Predictions of models, and whether they are right.
struct Predictions {
    frame: DataFrame,
    labels: Vec<i64>,
    models: Vec<String>,
    correct: Vec<Vec<bool>>,
}

impl Predictions {
    fn read(path: &'static str, set: &DataSet) -> Result<Self, SourceError> {
        let frame = parquet(&set.read(path)?).map_err(unreadable(path))?;
        let labels = integers(path, &frame, "label")?;
        let models = names(&frame, &["image", "label", "annotated20k", "top5_hit_bits"]);
        let correct = models
            .iter()
            .map(|model| {
                let predicted = integers(path, &frame, model)?;
                Ok(predicted.iter().zip(&labels).map(|(one, other)| one == other).collect())
            })
            .collect::<Result<Vec<Vec<bool>>, SourceError>>()?;
        Ok(Self { frame, labels, models, correct })
    }
}

/// ImageNet's validation set against a variant of ImageNet-v2, or against its own annotated images.
fn imagenet(config: &Config, variant: Option<&'static str>) -> Result<Source, SourceError> {
    let validation = Predictions::read(VALIDATION, &IMAGENET_V2)?;
    let replication = match variant {
        Some(path) => {
            let replication = Predictions::read(path, &IMAGENET_V2)?;
            same_models(path, &validation.models, &replication.models)?;
            replication.correct
        }
        None => {
            let unreadable = unreadable(VALIDATION);
            let column = validation.frame.column("annotated20k").map_err(&unreadable)?;
            let annotated: Vec<bool> =
                column.bool().map_err(&unreadable)?.iter().map(|flag| flag == Some(true)).collect();
            let keep = |correct: &Vec<bool>| {
                correct
                    .iter()
                    .zip(&annotated)
                    .filter(|(_, kept)| **kept)
                    .map(|(is, _)| *is)
                    .collect()
            };
            validation.correct.iter().map(keep).collect()
        }
    };
    let (models, [reference, replication]) =
        chosen(config, validation.models, [validation.correct, replication])?;
    Ok(Source::Predictions { models, reference, replication })
}

fn cifar10_1(config: &Config, path: &'static str) -> Result<Source, SourceError> {
    let test = Predictions::read(CIFAR10, &CIFAR_10_1)?;
    let replication = Predictions::read(path, &CIFAR_10_1)?;
    same_models(path, &test.models, &replication.models)?;
    let (models, [reference, replication]) =
        chosen(config, test.models, [test.correct, replication.correct])?;
    Ok(Source::Predictions { models, reference, replication })
}

fn same_models(path: &str, one: &[String], other: &[String]) -> Result<(), SourceError> {
    if one == other {
        return Ok(());
    }
    Err(content(path, "other models than the reference's file"))
}

/// The timm models whose name does not tell of more training data than ImageNet.
fn timm(config: &Config) -> Result<Source, SourceError> {
    let accuracies = |path: &'static str| -> Result<BTreeMap<String, f64>, SourceError> {
        let frame = csv(path, TIMM.read(path)?)?;
        let names = texts(path, &frame, "model")?;
        Ok(names.into_iter().zip(numbers(path, &frame, "top1")?).collect())
    };
    let (one, other) = (accuracies(TIMM_VALIDATION)?, accuracies(TIMM_V2)?);
    let extra = ["swsl", "ssl_", "ig_", "_ns", "_l2"];
    let mut models = Vec::new();
    let (mut reference, mut replication) = (Vec::new(), Vec::new());
    for (model, accuracy) in one {
        let Some(v2) = other.get(&model) else { continue };
        if !extra.iter().any(|part| model.contains(part)) {
            models.push(model);
            reference.push(accuracy / 100.0);
            replication.push(v2 / 100.0);
        }
    }
    let (models, [reference, replication]) = chosen(config, models, [reference, replication])?;
    Ok(Source::Accuracies { models, reference, replication, adjusted: None })
}

/// The rows that the authors' notebook shows.
fn notebook(config: &Config) -> Result<Source, SourceError> {
    let frame = csv(NOTEBOOK, ENGSTROM.read(NOTEBOOK)?)?;
    let models = texts(NOTEBOOK, &frame, "model")?;
    let columns = [
        numbers(NOTEBOOK, &frame, "v1")?,
        numbers(NOTEBOOK, &frame, "v2")?,
        numbers(NOTEBOOK, &frame, "v2_adj")?,
    ];
    let [reference, replication, adjusted] = columns;
    let pairs = replication.into_iter().zip(adjusted).collect::<Vec<(f64, f64)>>();
    let alone = reference.into_iter().map(|v1| (v1, 0.0)).collect::<Vec<(f64, f64)>>();
    let (models, [reference, pairs]) = chosen(config, models, [alone, pairs])?;
    let (replication, adjusted) = pairs.into_iter().unzip();
    Ok(Source::Accuracies {
        models,
        reference: reference.into_iter().map(|(v1, _)| v1).collect(),
        replication,
        adjusted: Some(adjusted),
    })
}

fn synthetic(config: &Config) -> Result<Source, SourceError> {
    let parts = |parts: &[[f64; 3]]| -> Vec<BetaComponent> {
        let part = |[weight, alpha, beta]: &[f64; 3]| BetaComponent {
            weight: *weight,
            alpha: *alpha,
            beta: *beta,
        };
        parts.iter().map(part).collect()
    };
    let (reference, pool) = if config.data == Data::SyntheticBeta {
        (parts(&[[1.0, 8.0, 2.0]]), parts(&[[1.0, 2.0, 2.0]]))
    } else {
        (
            parts(&[[0.70, 9.0, 1.0], [0.20, 4.0, 3.0], [0.10, 1.0, 4.0]]),
            parts(&[[0.45, 7.0, 1.2], [0.55, 0.8, 1.4]]),
        )
    };
    let model = match config.synthetic_model {
        SyntheticModel::Identity => vec![0.0, 1.0],
        SyntheticModel::Linear => vec![0.15, 0.7],
        SyntheticModel::Quadratic => vec![0.3, 0.1, 0.5],
        SyntheticModel::Cubic => vec![0.25, 0.2, -0.15, 0.6],
    };
    let models = vec![config.synthetic_model.name().to_owned()];
    let (models, [coefficients, _]) = chosen(config, models, [vec![model], Vec::new()])?;
    Ok(Source::Beta {
        reference: BetaPopulation::new(reference, coefficients.clone())?,
        pool: BetaPopulation::new(pool, coefficients)?,
        models,
    })
}

fn unreadable(path: &str) -> impl Fn(PolarsError) -> SourceError {
    let path = path.to_owned();
    move |source| SourceError::Frame { path: path.clone(), source }
}

fn content(path: &str, what: &str) -> SourceError {
    SourceError::Content { path: path.to_owned(), what: what.to_owned() }
}

fn csv(path: &str, bytes: Vec<u8>) -> Result<DataFrame, SourceError> {
    CsvReader::new(Cursor::new(bytes))
        .with_options(CsvReadOptions::default().with_has_header(true))
        .finish()
        .map_err(unreadable(path))
}

/// Names of the columns but some.
fn names(frame: &DataFrame, without: &[&str]) -> Vec<String> {
    let names = frame.get_column_names();
    names.iter().map(|name| name.to_string()).filter(|name| !without.contains(&&**name)).collect()
}

fn integers(path: &str, frame: &DataFrame, name: &str) -> Result<Vec<i64>, SourceError> {
    let unreadable = unreadable(path);
    let column = frame.column(name).map_err(&unreadable)?;
    let column = column.cast(&DataType::Int64).map_err(&unreadable)?;
    let values = column.i64().map_err(&unreadable)?;
    values.iter().collect::<Option<Vec<i64>>>().ok_or_else(|| content(path, "an empty cell"))
}

fn numbers(path: &str, frame: &DataFrame, name: &str) -> Result<Vec<f64>, SourceError> {
    let unreadable = unreadable(path);
    let column = frame.column(name).map_err(&unreadable)?;
    let column = column.cast(&DataType::Float64).map_err(&unreadable)?;
    let values = column.f64().map_err(&unreadable)?;
    values.iter().collect::<Option<Vec<f64>>>().ok_or_else(|| content(path, "an empty cell"))
}

fn texts(path: &str, frame: &DataFrame, name: &str) -> Result<Vec<String>, SourceError> {
    let unreadable = unreadable(path);
    let values = frame.column(name).map_err(&unreadable)?.str().map_err(&unreadable)?;
    values
        .iter()
        .map(|value| value.map(str::to_owned))
        .collect::<Option<Vec<String>>>()
        .ok_or_else(|| content(path, "an empty cell"))
}

/// Votes are far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn real(number: i64) -> f64 {
    number as f64
}
