//! "Identifying Statistical Bias in Dataset Replication" (Engstrom et al., ICML 2020): how much of the
//! accuracy that models lose on a replication is left once selection frequencies are adjusted for, and
//! how much of it matching by few annotators makes by itself.

use std::sync::atomic::Ordering;

use envs::Streams;
use flags::{Field, SetError, Value};

use self::config::{Config, Content, Data, Drawing, Estimator, Expectation};
use self::estimate::{EstimateError, find};
use self::sources::Source;
use super::{
    CohortContext, CohortOutcome, Column, ColumnType, Companion, Configuration, Cost, CurveView,
    Device, Problem, Progress, Publication, RunOutcome, RunStatus, Shape, Study, StudyError, Table,
    Tolerance,
};
use crate::data::DataSet;
use crate::study::Run;

mod config;
mod estimate;
pub mod sources;
mod tables;
mod votes;

/// The study.
pub struct DatasetReplication;

/// Another machine's logarithms and exponentials differ in the last bits; the fit of a mixture
/// multiplies that by its condition.
const TOLERANCE: Tolerance = Tolerance { deviation: 1e-6, horizon: None };

fn config(configuration: &Configuration) -> Result<Config, StudyError> {
    configuration.read().map_err(|problems| StudyError::invalid(&problems))
}

fn failed(error: EstimateError) -> StudyError {
    StudyError::Failed(Box::new(error))
}

impl Study for DatasetReplication {
    fn kind(&self) -> &'static str {
        "dataset-replication"
    }

    fn about(&self) -> &'static str {
        "Identifying Statistical Bias in Dataset Replication (Engstrom et al., ICML 2020): matching a \
         noisy statistic makes replications harder, and estimators that undo it"
    }

    fn publication(&self) -> Option<&'static Publication> {
        Some(&Publication {
            key: "engstrom-2020-identifying",
            authors: &[
                "Engstrom, Logan",
                "Ilyas, Andrew",
                "Santurkar, Shibani",
                "Tsipras, Dimitris",
                "Steinhardt, Jacob",
                "Madry, Aleksander",
            ],
            title: "Identifying Statistical Bias in Dataset Replication",
            proceedings: "International Conference on Machine Learning",
            year: 2020,
            url: "https://proceedings.mlr.press/v119/engstrom20a.html",
        })
    }

    fn numerics_version(&self) -> u32 {
        1
    }

    fn fields(&self) -> &'static [Field] {
        Config::FIELDS
    }

    fn defaults(&self) -> Configuration {
        Configuration::of(&Config::default())
    }

    fn set(&self, target: &mut Configuration, name: &str, value: &Value) -> Result<(), SetError> {
        target.set::<Config>(name, value)
    }

    fn check(&self, configuration: &Configuration) -> Vec<Problem> {
        config(configuration).map(|config| config.problems()).unwrap_or_default()
    }

    fn exact(&self, configuration: &Configuration) -> bool {
        config(configuration).is_ok_and(|config| config.is_exact())
    }

    fn cost(&self, configuration: &Configuration) -> Cost {
        let Ok(config) = config(configuration) else { return Cost { steps: 0, weight: 0.0 } };
        // Images that are looked at, resamples included.
        let images = match (config.data.content(), config.expectation) {
            (Content::Population, Expectation::Exact) => 10_000,
            (Content::Population, Expectation::Sampled) => match (config.drawing, config.data) {
                (Drawing::Independent, _) => 2 * config.images,
                (Drawing::ByClass, Data::Cifar10h) => 10 * config.images_of_class(),
                (Drawing::ByClass, _) => config.synthetic_classes * config.images_of_class(),
            },
            (Content::Predictions, _) if config.data == Data::Cifar101V4 => 12_000,
            (Content::Predictions, _) if config.data == Data::Cifar101V6 => 12_000,
            (Content::Predictions | Content::Votes, _) => 60_000,
            (Content::Accuracies, _) => 200,
        };
        let passes = match config.estimator {
            Estimator::JackknifeSampled => config.jackknife_replicates,
            Estimator::Parametric => 10 * config.mixture_starts,
            _ => 1,
        };
        let steps = (images * (passes + config.bootstrap_resamples)) as u64;
        #[allow(clippy::cast_precision_loss)] // far below 2^53
        Cost { steps, weight: steps as f64 }
    }

    fn cohort_key(&self, configuration: &Configuration) -> String {
        // Runs on the same data read it once.
        config(configuration)
            .map(|config| format!("{}/{}/{}", config.data, config.sha256, config.models))
            .unwrap_or_default()
    }

    fn cohort_width(&self, _: &Device) -> usize {
        8
    }

    fn step_unit(&self) -> &'static str {
        "images"
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
        let mut found = Vec::with_capacity(runs.len());
        let mut outcomes = Vec::with_capacity(runs.len());
        let mut last: Option<(Config, Source)> = None;
        for run in runs {
            if context.stop.load(Ordering::Relaxed) {
                return Err(StudyError::Interrupted);
            }
            let config = config(&run.configuration)?;
            let source = match last.take() {
                Some((before, source)) if same_source(&before, &config) => source,
                _ => sources::read(&config).map_err(|error| failed(error.into()))?,
            };
            let streams = Streams { study_seed: context.study_seed, replicate: run.replicate };
            let finding = find(&config, &source, streams, context.threads).map_err(failed)?;
            let metrics = tables::metrics(&finding).map_err(failed)?;
            let steps = self.cost(&run.configuration).steps;
            (context.progress)(Progress { steps, headline: metrics.first().copied().flatten() });
            outcomes.push(RunOutcome { status: RunStatus::Finished, metrics });
            found.push(finding);
            last = Some((config, source));
        }
        let tables = tables::frames(runs, &found).map_err(failed)?;
        Ok(CohortOutcome { runs: outcomes, tables })
    }

    fn data(&self) -> &'static [DataSet] {
        sources::DATA
    }

    fn views(&self) -> &'static [CurveView] {
        const {
            &[
                CurveView {
                    table: "annotators",
                    x: "inverse",
                    x_label: "one over the number of annotators",
                    y: "accuracy_naive",
                    y_label: "naively adjusted accuracy, %",
                },
                CurveView {
                    table: "models",
                    x: "accuracy_v1",
                    x_label: "accuracy on V1, %",
                    y: "accuracy_v2",
                    y_label: "accuracy on V2, %",
                },
                CurveView {
                    table: "models",
                    x: "probit_v1",
                    x_label: "probit of the accuracy on V1",
                    y: "probit_v2",
                    y_label: "probit of the accuracy on V2",
                },
                CurveView {
                    table: "models",
                    x: "accuracy_v1",
                    x_label: "accuracy on V1, %",
                    y: "accuracy_adjusted",
                    y_label: "adjusted accuracy, %",
                },
                CurveView {
                    table: "models",
                    x: "probit_v1",
                    x_label: "probit of the accuracy on V1",
                    y: "probit_adjusted",
                    y_label: "probit of the adjusted accuracy",
                },
                CurveView {
                    table: "frequencies",
                    x: "frequency",
                    x_label: "observed selection frequency",
                    y: "share_v2",
                    y_label: "share of V2",
                },
            ]
        }
    }

    fn companion(&self, view: &CurveView) -> Option<Companion> {
        let (column, label) = match view.y {
            "accuracy_naive" => ("line", "line through the two largest numbers of annotators"),
            "accuracy_v2" => ("fitted_v2", "straight line through the models"),
            "accuracy_adjusted" => ("fitted_adjusted", "straight line through the models"),
            "probit_v2" => ("probit_line_v2", "straight line through the models"),
            "probit_adjusted" => ("probit_line", "straight line through the models"),
            _ => ("share_v1", "share of V1"),
        };
        Some(Companion { column, label })
    }

    fn shape(&self, view: &CurveView) -> Shape {
        match view.y {
            "share_v2" => Shape::Bars,
            "accuracy_naive" => Shape::Marks,
            _ => Shape::Comparison,
        }
    }
}

/// Whether two configurations read the same.
fn same_source(one: &Config, other: &Config) -> bool {
    let key = |config: &Config| {
        let Config { data, path, sha256, models, synthetic_model, .. } = config.clone();
        (data, path, sha256, models, synthetic_model)
    };
    key(one) == key(other)
}
