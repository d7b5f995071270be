//! "From ImageNet to Image Classification: Contextualizing Progress on Benchmarks" (Tsipras et al.,
//! ICML 2020): what annotators see in ImageNet's images, and how models are judged by it.
//!
//! A run is one way to derive labels and to judge predictions. Its choices (tie rules, label systems,
//! label models, thresholds) are fields, so that an ablation of the evaluation is a study file like any
//! other. The labels of Beyer et al. 2020 are a second annotation system of the same images.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use envs::Streams;
use flags::{Field, SetError, Value};

use super::{
    CohortContext, CohortOutcome, Column, Configuration, ConfusionView, Cost, CurveView, Device,
    Problem, Progress, Publication, ReplicateUnit, RunOutcome, RunStatus, Shape, Study, StudyError,
    Table,
};
use crate::data::DataSet;
use crate::study::Run;

mod config;
mod corpus;
mod evaluate;
mod synthetic;
mod tables;

pub use config::{
    AnnotationConfig, Candidates, CountTieRule, LabelModel, Labels, MainTieRule, RivalTie, Source,
    Subset,
};
pub use corpus::{Corpus, CorpusError, Image, Model, Proposals, Truth};
pub use evaluate::EvaluateError;

/// The study.
pub struct MultilabelAnnotation;

fn read(configuration: &Configuration) -> Result<AnnotationConfig, Vec<Problem>> {
    let config: AnnotationConfig = configuration.read()?;
    let problems = config.problems();
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> StudyError {
    StudyError::Failed(Box::new(error))
}

impl Study for MultilabelAnnotation {
    fn kind(&self) -> &'static str {
        "multilabel-annotation"
    }

    fn about(&self) -> &'static str {
        "From ImageNet to Image Classification (Tsipras et al., ICML 2020): what annotators see in \
         images, and how models are judged by it"
    }

    fn publication(&self) -> Option<&'static Publication> {
        Some(&Publication {
            key: "tsipras-2020-imagenet",
            authors: &[
                "Tsipras, Dimitris",
                "Santurkar, Shibani",
                "Engstrom, Logan",
                "Ilyas, Andrew",
                "Madry, Aleksander",
            ],
            title: "From ImageNet to Image Classification: \
                    Contextualizing Progress on Benchmarks",
            proceedings: "International Conference on Machine Learning",
            year: 2020,
            url: "https://proceedings.mlr.press/v119/tsipras20a.html",
        })
    }

    fn numerics_version(&self) -> u32 {
        1
    }

    fn fields(&self) -> &'static [Field] {
        AnnotationConfig::FIELDS
    }

    fn defaults(&self) -> Configuration {
        Configuration::of(&AnnotationConfig::default())
    }

    fn set(
        &self,
        configuration: &mut Configuration,
        name: &str,
        value: &Value,
    ) -> Result<(), SetError> {
        configuration.set::<AnnotationConfig>(name, value)
    }

    fn check(&self, configuration: &Configuration) -> Vec<Problem> {
        read(configuration).err().unwrap_or_default()
    }

    fn replicate_unit(&self, configuration: &Configuration) -> ReplicateUnit {
        match configuration.read::<AnnotationConfig>() {
            Ok(config) if config.folds > 1 => {
                ReplicateUnit { one: "part of the images", many: "parts of the images" }
            }
            _ => ReplicateUnit::SEEDS,
        }
    }

    fn replicate_limit(&self, configuration: &Configuration) -> Option<(u64, &'static str)> {
        let config = read(configuration).ok()?;
        (config.data == Source::ImageNet).then_some((config.folds, "folds"))
    }

    fn cost(&self, configuration: &Configuration) -> Cost {
        let Ok(config) = read(configuration) else { return Cost { steps: 0, weight: 0.0 } };
        let (images, models) = match config.data {
            Source::Synthetic => {
                let images = u64::from(config.sim_classes) * u64::from(config.sim_images_per_class);
                (images, u64::from(config.sim_models))
            }
            Source::ImageNet => {
                let images = if config.subset == Subset::Validation { 50_000 } else { 10_000 };
                (images / config.folds, if config.model == "all" { 64 } else { 1 })
            }
        };
        let steps = images * models;
        // Fitting a label model costs about as much as looking at this many predictions.
        let fit = match config.label_model {
            LabelModel::Published | LabelModel::Majority => 0.0,
            _ if config.data == Source::Synthetic => 1e6,
            _ => 1e8,
        };
        // Far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        let weight = steps as f64 + fit + 1e6;
        Cost { steps, weight }
    }

    fn cohort_key(&self, configuration: &Configuration) -> String {
        read(configuration).map(|config| config.data.name().to_owned()).unwrap_or_default()
    }

    fn cohort_width(&self, _: &Device) -> usize {
        // Reading the published data costs as much as several runs.
        32
    }

    fn step_unit(&self) -> &'static str {
        "predictions"
    }

    fn metrics(&self) -> &'static [Column] {
        tables::METRICS
    }

    fn tables(&self) -> &'static [Table] {
        tables::TABLES
    }

    fn run_cohort(
        &self,
        runs: &[&Run],
        context: &CohortContext<'_>,
    ) -> Result<CohortOutcome, StudyError> {
        let mut outcomes = Vec::new();
        let mut stored: Vec<Vec<polars::prelude::DataFrame>> =
            vec![Vec::new(); tables::TABLES.len()];
        let mut published: Option<Corpus> = None;
        // What a label model makes of the same votes does not change from run to run.
        let mut fitted: BTreeMap<String, Option<evaluate::Scores>> = BTreeMap::new();
        for run in runs {
            if context.stop.load(Ordering::Relaxed) {
                return Err(StudyError::Interrupted);
            }
            let config =
                read(&run.configuration).map_err(|problems| StudyError::invalid(&problems))?;
            let streams = Streams { study_seed: context.study_seed, replicate: run.replicate };
            let simulated;
            let corpus = match config.data {
                Source::Synthetic => {
                    simulated = synthetic::simulate(&config, streams);
                    &simulated
                }
                Source::ImageNet => match &mut published {
                    Some(corpus) => &*corpus,
                    none => &*none.insert(Corpus::imagenet().map_err(failed)?),
                },
            };
            let key = fit_key(&config, run.replicate);
            let scores = match fitted.entry(key) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(free) => {
                    free.insert(evaluate::scores(corpus, &config, streams).map_err(failed)?)
                }
            };
            let images = evaluate::limited_images(corpus, &config, streams);
            let findings = evaluate::evaluate(corpus, &images, &config, scores.as_ref(), streams)
                .map_err(failed)?;
            let headline = findings.metrics.first().copied().flatten();
            outcomes.push(RunOutcome {
                status: RunStatus::Finished,
                metrics: findings.metrics.clone(),
            });
            let found = [tables::Found { run, corpus, findings, images: config.image_table }];
            let frames = tables::frames(&found).map_err(failed)?;
            for (all, frame) in stored.iter_mut().zip(frames) {
                all.push(frame);
            }
            let steps = self.cost(&run.configuration).steps;
            (context.progress)(Progress { steps, headline });
        }
        let tables = stored.into_iter().map(stacked).collect::<Result<_, _>>().map_err(failed)?;
        Ok(CohortOutcome { runs: outcomes, tables })
    }

    fn data(&self) -> &'static [DataSet] {
        const { &[corpus::MULTILABEL, corpus::REAL, corpus::PREDICTIONS] }
    }

    fn views(&self) -> &'static [CurveView] {
        const {
            &[
                CurveView {
                    table: "frequencies",
                    x: "frequency",
                    x_label: "share of annotators who find the prediction in the image",
                    y: "share_of_errors",
                    y_label: "share of errors",
                },
                CurveView {
                    table: "design",
                    x: "votes",
                    x_label: "votes on an image",
                    y: "agreement",
                    y_label: "share of images with the right main label",
                },
                CurveView {
                    table: "design",
                    x: "votes",
                    x_label: "votes on an image",
                    y: "decided",
                    y_label: "share of images that so many votes decide",
                },
            ]
        }
    }

    fn shape(&self, view: &CurveView) -> Shape {
        if view.table == "frequencies" { Shape::Bars } else { Shape::Curve }
    }

    fn confusions(&self) -> &'static [ConfusionView] {
        const {
            &[
                ConfusionView {
                    table: "class_confusion",
                    observer: "observer",
                    row: "label",
                    row_label: "the data set's labels",
                    order: Some("place"),
                    column: "taken_for",
                    column_label: "what observers say",
                    share: "share",
                    share_label: "classes that annotators confuse most",
                },
                ConfusionView {
                    table: "confusion",
                    observer: "observer",
                    row: "label",
                    row_label: "superclasses of the data set's label",
                    order: None,
                    column: "taken_for",
                    column_label: "superclasses of what observers say",
                    share: "share",
                    share_label: "superclasses that annotators and models take images for",
                },
            ]
        }
    }
}

/// Groups of fields that decide what is simulated.
const SIMULATED: [&str; 2] = ["Candidates", "Simulation"];

/// What decides the scores of a label model.
fn fit_key(config: &AnnotationConfig, replicate: u64) -> String {
    // All votes on ImageNet are used where five may be, so that replicates share the fit.
    let shared = config.data == Source::ImageNet && config.votes >= 5;
    let replicate = if shared { 0 } else { replicate };
    let votes = if shared { 5 } else { config.votes };
    let model = config.label_model;
    let mut key = format!(
        "{}/{model}/{}/{}/{votes}/{replicate}",
        config.data, config.smoothing, config.golden
    );
    if config.data == Source::Synthetic {
        for field in AnnotationConfig::FIELDS.iter().filter(|f| SIMULATED.contains(&f.group)) {
            if let Some(value) = config.get(field.name) {
                key.push_str(&format!("/{value}"));
            }
        }
    }
    key
}

fn stacked(
    frames: Vec<polars::prelude::DataFrame>,
) -> Result<polars::prelude::DataFrame, polars::error::PolarsError> {
    let mut frames = frames.into_iter();
    let mut all = frames.next().unwrap_or_default();
    for frame in frames {
        all.vstack_mut(&frame)?;
    }
    Ok(all)
}
