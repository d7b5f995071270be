//! What an analysis of annotations stores.

use polars::prelude::{Column as Series, DataFrame, PolarsResult};

use super::super::{ARM, Column, ColumnType, REPLICATE, RUN_ID, Table, Tolerance, column};
use super::corpus::Corpus;
use super::evaluate::{BINS, Findings};
use crate::study::Run;
use ColumnType::{Bool, Float64, Text, UInt32};

/// Sums are made in one order everywhere; other machines may round logarithms differently.
const CLOSE: Option<Tolerance> = Some(Tolerance { deviation: 1e-6, horizon: None });

/// Metrics of a run; the first is the headline.
pub(super) const METRICS: &[Column] = &[
    column(
        "accuracy",
        Float64,
        "1",
        "mean over models of the share of images whose prediction is among the labels that count as correct; images without such labels are left out",
    ),
    column(
        "given_accuracy",
        Float64,
        "1",
        "mean over models of the share of the same images whose prediction is the data set's label",
    ),
    column(
        "subset_accuracy",
        Float64,
        "1",
        "mean over models of the share of all images of the subset, with labels that count or not, whose prediction is the data set's label",
    ),
    column(
        "top5_accuracy",
        Float64,
        "1",
        "mean over models of the share of the same images whose data set's label is among the five most likely classes",
    ),
    column(
        "slope",
        Float64,
        "1",
        "slope of the least-squares line of models' `accuracy` against their `subset_accuracy`; null for one model",
    ),
    column("intercept", Float64, "1", "intercept of that line; null for one model"),
    column("correlation", Float64, "1", "Pearson's correlation of the same; null for one model"),
    column("images", Float64, "images", "images with labels that count as correct"),
    column(
        "multi_object_share",
        Float64,
        "1",
        "share of the annotated sample that was classified and has several objects",
    ),
    column(
        "main_differs",
        Float64,
        "1",
        "share of images with a main label that is not the data set's; of easy images the two are taken to be the same",
    ),
    column(
        "main_object_differs",
        Float64,
        "1",
        "share of classified images whose main object is not the one that the data set's label describes",
    ),
    column(
        "given_main_share",
        Float64,
        "1",
        "mean share of annotators of classified images whose main label is the data set's",
    ),
    column(
        "label_frequency",
        Float64,
        "1",
        "mean share of annotators who find the data set's label in the image: of CLASSIFY votes who selected it; with `labels = \"real\"` of raters who said yes, 1 where nobody was asked",
    ),
    column(
        "prediction_frequency",
        Float64,
        "1",
        "mean over models of the same of the predicted label; 0 where it was not offered",
    ),
    column(
        "rival_share",
        Float64,
        "1",
        "share of images in which as many annotators find another label as the data set's",
    ),
    column(
        "label_valid",
        Float64,
        "1",
        "share of images whose data set's label is among the labels that count as correct",
    ),
    column(
        "annotators_off_superclass",
        Float64,
        "1",
        "share of images with a main label of another superclass than the data set's",
    ),
    column(
        "models_off_superclass",
        Float64,
        "1",
        "mean over models of the share of images with a prediction of another superclass than the data set's label",
    ),
    column(
        "superclass_correlation",
        Float64,
        "1",
        "mean over models of Pearson's correlation of the off-diagonal shares of their superclass confusion with the annotators'",
    ),
    column(
        "main_confidence",
        Float64,
        "1",
        "mean probability that the main label of a classified image is ahead among all people who could be asked",
    ),
    column(
        "undecided",
        Float64,
        "1",
        "share of classified images whose confidence is below the configured one, so that they need more votes",
    ),
    column(
        "score_correlation",
        Float64,
        "1",
        "Pearson's correlation of the label model's scores with the published ones",
    ),
    column(
        "score_same_side",
        Float64,
        "1",
        "share of proposed labels whose score and published score are on the same side of the threshold",
    ),
    column(
        "score_accuracy",
        Float64,
        "1",
        "simulation: share of proposed labels whose score is on the right side of one half",
    ),
    column(
        "score_log_loss",
        Float64,
        "nat",
        "simulation: mean negative logarithm of the probability that the label model gives the truth",
    ),
    column("true_multi_object", Float64, "1", "simulation: share of images with several objects"),
    column(
        "true_main_differs",
        Float64,
        "1",
        "simulation: share of images whose main object's class is not the given label",
    ),
    column(
        "main_right",
        Float64,
        "1",
        "simulation: share of images with a main label that is the main object's class",
    ),
    column(
        "count_right",
        Float64,
        "1",
        "simulation: share of classified images whose number of objects is right",
    ),
    column(
        "grouping_right",
        Float64,
        "1",
        "simulation: share of classified images with several derived objects whose labels are grouped exactly as the true objects are",
    ),
    column(
        "grouping_right_of_count",
        Float64,
        "1",
        "simulation: the same of the images whose number of objects is right",
    ),
    column(
        "candidate_count",
        Float64,
        "labels",
        "mean number of candidates of an image, the given label among them; of classified images where nothing is simulated",
    ),
    column(
        "candidate_recall",
        Float64,
        "1",
        "share of labels that are candidates: in a simulation of the classes of objects, else of all labels that annotators of a classified image selected",
    ),
];

/// Tables beside `runs`.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "models",
        row: "a run and model",
        key: &["run_id", "model"],
        reproducible: true,
        tolerance: CLOSE,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            column("model", Text, "", "the model"),
            column("images", UInt32, "images", "images with labels that count as correct"),
            column("accuracy", Float64, "1", "as in `runs`, of this model"),
            column("given_accuracy", Float64, "1", "as in `runs`, of this model"),
            column("subset_accuracy", Float64, "1", "as in `runs`, of this model"),
            column("top5_accuracy", Float64, "1", "as in `runs`, of this model"),
            column("prediction_frequency", Float64, "1", "as in `runs`, of this model"),
            column(
                "off_superclass",
                Float64,
                "1",
                "as `models_off_superclass` in `runs`, of this model",
            ),
            column("superclass_correlation", Float64, "1", "as in `runs`, of this model"),
        ],
    },
    Table {
        name: "images",
        row: "a run and image; written where `image_table` is set",
        key: &["run_id", "image"],
        reproducible: true,
        tolerance: CLOSE,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            column("image", Text, "", "the image"),
            column("label", UInt32, "class", "the data set's label"),
            column(
                "partition",
                Text,
                "",
                "what CONTAINS made of it: easy, mislabelled, ambiguous, to-classify; null outside the annotated sample",
            ),
            column("votes", UInt32, "votes", "CLASSIFY votes"),
            column("main", UInt32, "class", "the main label; null where there is none"),
            column("objects", UInt32, "objects", "number of objects that most annotators saw"),
            column(
                "object_labels",
                Text,
                "",
                "labels of the objects: classes with spaces between, objects with ` | ` between, in the order of first selection",
            ),
            column("main_object", UInt32, "object", "the object with most main votes, from zero"),
            column(
                "given_object",
                UInt32,
                "object",
                "the object that the data set's label describes, from zero; null where nobody selected it",
            ),
            column("unique_grouping", Bool, "", "whether one grouping alone has the largest cut"),
            column(
                "confidence",
                Float64,
                "1",
                "probability that the main label is ahead among all people who could be asked",
            ),
            column(
                "votes_needed",
                UInt32,
                "votes",
                "votes, those so far included, that would raise it to the configured confidence were the shares to stay; null beyond 1000, as for a tie",
            ),
        ],
    },
    Table {
        name: "confusion",
        row: "a run, observer and pair of superclasses",
        key: &["run_id", "observer", "label", "taken_for"],
        reproducible: true,
        tolerance: CLOSE,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            column(
                "observer",
                Text,
                "",
                "annotators (their main label) or models (predictions of all models of the run)",
            ),
            column("label", Text, "", "superclass of the data set's label"),
            column("taken_for", Text, "", "superclass of what the observer says"),
            column("weight", Float64, "images", "images"),
            column(
                "share",
                Float64,
                "1",
                "share of the images of the label's superclass; null without any",
            ),
        ],
    },
    Table {
        name: "class_confusion",
        row: "a run, observer and pair of classes among the most confused ones",
        key: &["run_id", "observer", "label", "taken_for"],
        reproducible: true,
        tolerance: CLOSE,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            column(
                "observer",
                Text,
                "",
                "annotators (their main votes; of easy images the data set's label) or models (predictions of all models of the run)",
            ),
            column("label", Text, "", "the data set's label, by name and number"),
            column("taken_for", Text, "", "what the observer says, by name and number"),
            column(
                "place",
                UInt32,
                "",
                "place of the label, from zero: classes of the ten pairs that annotators of the whole sample confuse most, those of a pair after each other",
            ),
            column(
                "share",
                Float64,
                "1",
                "share of the label's images; other classes take the rest; null without any",
            ),
        ],
    },
    Table {
        name: "pairs",
        row: "a run and pair of classes, the most confused first",
        key: &["run_id", "rank"],
        reproducible: true,
        tolerance: CLOSE,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            column("rank", UInt32, "", "from one, by the smaller of both shares"),
            column("first", UInt32, "class", "a class"),
            column("first_name", Text, "", "its name"),
            column("second", UInt32, "class", "the class that annotators confuse it with"),
            column("second_name", Text, "", "its name"),
            column(
                "forward",
                Float64,
                "1",
                "main votes for the second on images of the first that show one object, as a share of the first's images in the sample",
            ),
            column("backward", Float64, "1", "the same the other way round"),
        ],
    },
    Table {
        name: "frequencies",
        row: "a run, model and fifth of selection frequencies",
        key: &["run_id", "model", "bin"],
        reproducible: true,
        tolerance: CLOSE,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            column("model", Text, "", "the model"),
            column("bin", UInt32, "", "the fifth, from zero"),
            column("frequency", Float64, "1", "its middle"),
            column(
                "share_of_errors",
                Float64,
                "1",
                "share of the model's errors whose predicted label is found in the image by so many annotators",
            ),
        ],
    },
    Table {
        name: "design",
        row: "a run and number of votes on every classified image",
        key: &["run_id", "votes"],
        reproducible: true,
        tolerance: CLOSE,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            column("votes", UInt32, "votes", "votes on an image"),
            column(
                "agreement",
                Float64,
                "1",
                "share of images whose main label after so many of the votes, in a random order, is that of all of them; in a simulation, the truth",
            ),
            column(
                "confidence",
                Float64,
                "1",
                "mean confidence in the main label after so many of the votes",
            ),
            column(
                "decided",
                Float64,
                "1",
                "share of images that so many votes decide at the configured confidence, were their shares to stay; null for fewer votes than there are",
            ),
        ],
    },
];

/// The columns that name a run, gathered with the rows.
#[derive(Default)]
struct Identity<'a> {
    ids: Vec<&'a str>,
    arms: Vec<&'a str>,
    replicates: Vec<u64>,
}

impl<'a> Identity<'a> {
    fn push(&mut self, run: &'a Run) {
        self.ids.push(run.id.as_ref());
        self.arms.push(&run.arm);
        self.replicates.push(run.replicate);
    }

    fn frame(self, columns: Vec<Series>) -> PolarsResult<DataFrame> {
        let height = self.ids.len();
        let mut all = vec![
            Series::new("run_id".into(), self.ids),
            Series::new("arm".into(), self.arms),
            Series::new("replicate".into(), self.replicates),
        ];
        all.extend(columns);
        DataFrame::new(height, all)
    }
}

/// A run with what it found.
pub(super) struct Found<'a> {
    pub(super) run: &'a Run,
    pub(super) corpus: &'a Corpus,
    pub(super) findings: Findings<'a>,
    /// Whether its images are stored.
    pub(super) images: bool,
}

macro_rules! series {
    ($($name:literal => $values:expr),+ $(,)?) => {
        vec![$(Series::new($name.into(), $values)),+]
    };
}

/// Frames of [`TABLES`], in their order.
pub(super) fn frames(found: &[Found<'_>]) -> PolarsResult<Vec<DataFrame>> {
    Ok(vec![
        models(found)?,
        images(found)?,
        confusion(found)?,
        class_confusion(found)?,
        pairs(found)?,
        frequencies(found)?,
        design(found)?,
    ])
}

fn models(found: &[Found<'_>]) -> PolarsResult<DataFrame> {
    let mut identity = Identity::default();
    let mut rows = Vec::new();
    for one in found {
        for row in &one.findings.models {
            identity.push(one.run);
            rows.push(row);
        }
    }
    let numbers = |pick: fn(&super::evaluate::ModelRow) -> Option<f64>| -> Vec<Option<f64>> {
        rows.iter().map(|row| pick(row)).collect()
    };
    identity.frame(series! {
        "model" => rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(),
        "images" => rows.iter().map(|row| row.images).collect::<Vec<_>>(),
        "accuracy" => numbers(|row| row.accuracy),
        "given_accuracy" => numbers(|row| row.given_accuracy),
        "subset_accuracy" => numbers(|row| row.subset_accuracy),
        "top5_accuracy" => numbers(|row| row.top5_accuracy),
        "prediction_frequency" => numbers(|row| row.frequency),
        "off_superclass" => numbers(|row| row.off_superclass),
        "superclass_correlation" => numbers(|row| row.superclass_correlation),
    })
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn images(found: &[Found<'_>]) -> PolarsResult<DataFrame> {
    let mut identity = Identity::default();
    let mut cases = Vec::new();
    for one in found.iter().filter(|one| one.images) {
        for case in &one.findings.cases {
            identity.push(one.run);
            cases.push(case);
        }
    }
    let derived = || cases.iter().map(|case| case.derived.as_ref());
    let text = |groups: &[Vec<u32>]| {
        let of_group =
            |group: &Vec<u32>| group.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        groups.iter().map(of_group).collect::<Vec<_>>().join(" | ")
    };
    identity.frame(series! {
        "image" => cases.iter().map(|case| case.image.name.as_str()).collect::<Vec<_>>(),
        "label" => cases.iter().map(|case| case.image.label).collect::<Vec<_>>(),
        "partition" => cases
            .iter()
            .map(|case| case.image.partition.map(|part| part.name()))
            .collect::<Vec<_>>(),
        "votes" => cases.iter().map(|case| small(case.image.votes.len())).collect::<Vec<_>>(),
        "main" => derived().map(|d| d.map(|d| d.main)).collect::<Vec<_>>(),
        "objects" => derived().map(|d| d.map(|d| small(d.count))).collect::<Vec<_>>(),
        "object_labels" => derived()
            .map(|d| d.map(|d| text(&d.objects.groups)))
            .collect::<Vec<_>>(),
        "main_object" => derived()
            .map(|d| d.and_then(|d| d.main_object).map(small))
            .collect::<Vec<_>>(),
        "given_object" => derived()
            .map(|d| d.and_then(|d| d.given_object).map(small))
            .collect::<Vec<_>>(),
        "unique_grouping" => derived()
            .map(|d| d.map(|d| d.objects.optima == 1))
            .collect::<Vec<_>>(),
        "confidence" => derived().map(|d| d.and_then(|d| d.confidence)).collect::<Vec<_>>(),
        "votes_needed" => derived().map(|d| d.and_then(|d| d.needed)).collect::<Vec<_>>(),
    })
}

fn confusion(found: &[Found<'_>]) -> PolarsResult<DataFrame> {
    let mut identity = Identity::default();
    let (mut observers, mut labels, mut taken) = (Vec::new(), Vec::new(), Vec::new());
    let (mut weights, mut shares) = (Vec::new(), Vec::new());
    for one in found {
        let names = &one.corpus.superclasses;
        let both =
            [("annotators", &one.findings.annotators), ("models", &one.findings.predictions)];
        for (observer, table) in both {
            for (row, label) in names.iter().enumerate() {
                for (column, other) in names.iter().enumerate() {
                    identity.push(one.run);
                    observers.push(observer);
                    labels.push(label.as_str());
                    taken.push(other.as_str());
                    weights.push(table.weight(row, column));
                    shares.push(table.share(row, column));
                }
            }
        }
    }
    identity.frame(series! {
        "observer" => observers,
        "label" => labels,
        "taken_for" => taken,
        "weight" => weights,
        "share" => shares,
    })
}

fn class_confusion(found: &[Found<'_>]) -> PolarsResult<DataFrame> {
    let mut identity = Identity::default();
    let (mut observers, mut labels, mut taken) = (Vec::new(), Vec::new(), Vec::new());
    let (mut places, mut shares) = (Vec::new(), Vec::new());
    for one in found {
        let findings = &one.findings;
        // Names of ImageNet's classes are not unique.
        let name = |class: usize| {
            let name = one.corpus.classes.get(class).map_or("", String::as_str);
            format!("{name} ({class})")
        };
        let both = [("annotators", &findings.class_votes), ("models", &findings.class_predictions)];
        for (observer, table) in both {
            for (place, row) in (0_u32..).zip(&findings.classes) {
                let whole = table.row(*row);
                for column in &findings.classes {
                    identity.push(one.run);
                    observers.push(observer);
                    labels.push(name(*row));
                    taken.push(name(*column));
                    places.push(place);
                    shares.push((whole > 0.0).then(|| table.weight(*row, *column) / whole));
                }
            }
        }
    }
    identity.frame(series! {
        "observer" => observers,
        "label" => labels,
        "taken_for" => taken,
        "place" => places,
        "share" => shares,
    })
}

fn pairs(found: &[Found<'_>]) -> PolarsResult<DataFrame> {
    let mut identity = Identity::default();
    let (mut ranks, mut rows, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for one in found {
        let name = |class: usize| one.corpus.classes.get(class).map(String::as_str);
        for (place, pair) in one.findings.pairs.iter().enumerate() {
            identity.push(one.run);
            ranks.push(small(place + 1));
            names.push((name(pair.first), name(pair.second)));
            rows.push(pair);
        }
    }
    identity.frame(series! {
        "rank" => ranks,
        "first" => rows.iter().map(|pair| small(pair.first)).collect::<Vec<_>>(),
        "first_name" => names.iter().map(|(first, _)| *first).collect::<Vec<_>>(),
        "second" => rows.iter().map(|pair| small(pair.second)).collect::<Vec<_>>(),
        "second_name" => names.iter().map(|(_, second)| *second).collect::<Vec<_>>(),
        "forward" => rows.iter().map(|pair| pair.forward).collect::<Vec<_>>(),
        "backward" => rows.iter().map(|pair| pair.backward).collect::<Vec<_>>(),
    })
}

fn frequencies(found: &[Found<'_>]) -> PolarsResult<DataFrame> {
    let mut identity = Identity::default();
    let (mut models, mut bins) = (Vec::new(), Vec::new());
    let (mut middles, mut shares) = (Vec::new(), Vec::new());
    for one in found {
        for model in &one.findings.models {
            for (bin, share) in (0_u32..).zip(model.errors) {
                identity.push(one.run);
                models.push(model.name.as_str());
                bins.push(bin);
                middles.push((f64::from(bin) + 0.5) / f64::from(small(BINS)));
                shares.push(share);
            }
        }
    }
    identity.frame(series! {
        "model" => models,
        "bin" => bins,
        "frequency" => middles,
        "share_of_errors" => shares,
    })
}

fn design(found: &[Found<'_>]) -> PolarsResult<DataFrame> {
    let mut identity = Identity::default();
    let mut rows = Vec::new();
    for one in found {
        for row in &one.findings.designs {
            identity.push(one.run);
            rows.push(row);
        }
    }
    identity.frame(series! {
        "votes" => rows.iter().map(|row| row.votes).collect::<Vec<_>>(),
        "agreement" => rows.iter().map(|row| row.agreement).collect::<Vec<_>>(),
        "confidence" => rows.iter().map(|row| row.confidence).collect::<Vec<_>>(),
        "decided" => rows.iter().map(|row| row.decided).collect::<Vec<_>>(),
    })
}
