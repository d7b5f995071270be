//! The study of dataset replication: published predictions with a known answer, claims, a user's own files.
//!
//! Golden numbers of the CIFAR-10H study were computed apart from this code, in Python.

mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use analysis::replication::*;
use ceteris::studies::dataset_replication::sources::{self, Finite};
use common::{arg, ceteris, texts};
use polars::df;
use polars::prelude::{ParquetReader, ParquetWriter, SerReader};
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn adjusted_mean(adjusted: &Adjusted) -> f64 {
    let values: Vec<f64> = adjusted.accuracy.iter().map(|value| value.unwrap()).collect();
    mean(&values)
}

fn matched<P: Population>(reference: &P, pool: &P, annotators: usize, matching: Matching) -> P {
    let (one, other) = (reference.counts(annotators), pool.counts(annotators));
    let weights = matching_weights(matching, &one, &other).unwrap();
    assert_eq!(weights.unmatched, 0.0);
    pool.reweighted(&weights.weights).unwrap()
}

/// CIFAR-10H, where it is here.
fn cifar10h() -> Option<Finite> {
    match sources::cifar10h() {
        Ok(found) => Some(found),
        Err(sources::SourceError::Data(missing)) => {
            eprintln!("skipped: {missing}");
            None
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn thirty_models_on_cifar10h_lose_accuracy_to_matching_alone() {
    let Some(Finite { models, frequencies, correct, .. }) = cifar10h() else { return };
    assert_eq!((frequencies.len(), models.len()), (10_000, 30));
    let reference = FinitePopulation::new(&frequencies, &correct).unwrap();
    let pool = reference.tilted(|s| 1.05 - s).unwrap();
    close(reference.mean_frequency(), 0.952346, 5e-7);
    close(pool.mean_frequency(), 0.849593, 5e-7);
    close(100.0 * mean(&reference.accuracy()), 93.0840, 5e-5);
    close(100.0 * mean(&pool.accuracy()), 86.2173, 5e-5);
    for (n, frequency, accuracy, gap) in [
        (5, 0.921252, 90.7302, 2.3538),
        (10, 0.933783, 91.5984, 1.4856),
        (20, 0.941972, 92.2175, 0.8665),
        (40, 0.946859, 92.6133, 0.4707),
        (100, 0.950203, 92.8944, 0.1896),
    ] {
        let replication = matched(&reference, &pool, n, Matching::Exact);
        close(replication.mean_frequency(), frequency, 5.1e-7);
        close(100.0 * mean(&replication.accuracy()), accuracy, 5.1e-5);
        close(93.0840 - 100.0 * mean(&replication.accuracy()), gap, 1e-4);
    }
    let replication = matched(&reference, &pool, 10, Matching::Exact);
    let truth = mean(&reference.accuracy());
    let left = |adjusted: &Adjusted| 100.0 * (truth - adjusted_mean(adjusted));
    for (m, naive, one, ten) in [
        (5, 0.7974, 0.5129, None),
        (10, 0.5727, 0.2700, None),
        (20, 0.3694, 0.1106, Some(0.1661)),
        (30, 0.2716, 0.0545, Some(0.0759)),
        (40, 0.2133, 0.0279, Some(0.0385)),
        (80, 0.1104, -0.0020, Some(-0.0009)),
    ] {
        let (v1, v2) = (reference.counts(m), replication.counts(m));
        close(left(&adjusted(&v1, &v2, EmptyBins::Drop).unwrap()), naive, 5.1e-5);
        close(left(&jackknifed(&v1, &v2, 1, EmptyBins::Drop).unwrap()), one, 5.1e-5);
        if let Some(ten) = ten {
            close(left(&jackknifed(&v1, &v2, 10, EmptyBins::Drop).unwrap()), ten, 5.1e-5);
        }
    }
    let [naive, jackknife] = [
        adjusted(&reference.counts(20), &replication.counts(20), EmptyBins::Drop).unwrap(),
        jackknifed(&reference.counts(40), &replication.counts(40), 1, EmptyBins::Drop).unwrap(),
    ];
    for (name, expected) in [
        ("alexnet_tf_ben", [81.98, 79.4420, 81.2431, 81.9137]),
        ("wrn_28_10", [95.93, 94.7892, 95.6733, 95.9100]),
    ] {
        let model = models.iter().position(|model| model == name).unwrap();
        close(100.0 * reference.accuracy()[model], expected[0], 5e-5);
        close(100.0 * replication.accuracy()[model], expected[1], 5.1e-5);
        close(100.0 * naive.accuracy[model].unwrap(), expected[2], 5.1e-5);
        close(100.0 * jackknife.accuracy[model].unwrap(), expected[3], 5.1e-5);
    }
}

#[test]
fn the_five_bins_of_the_appendix_leave_more_bias() {
    let Some(Finite { frequencies, correct, .. }) = cifar10h() else { return };
    let reference = FinitePopulation::new(&frequencies, &correct).unwrap();
    let pool = reference.tilted(|s| 1.05 - s).unwrap();
    // The pool without what fewer than half of four other annotators select.
    let easier = pool.reweighted(&[0.0, 0.0, 1.0, 1.0, 1.0]).unwrap();
    for (n, accuracy, easier_accuracy, held_out, easier_held_out) in
        [(5, 89.7481, 90.1680, 0.90755, 0.91451), (10, 90.3510, 90.5954, 0.91791, 0.92173)]
    {
        let found = [&pool, &easier].map(|pool| matched(&reference, pool, n, Matching::FiveBins));
        close(100.0 * mean(&found[0].accuracy()), accuracy, 5.1e-5);
        close(100.0 * mean(&found[1].accuracy()), easier_accuracy, 5.1e-5);
        close(found[0].mean_frequency(), held_out, 5.1e-6);
        close(found[1].mean_frequency(), easier_held_out, 5.1e-6);
    }
    let exact = [&pool, &easier].map(|pool| matched(&reference, pool, 5, Matching::Exact));
    close(100.0 * mean(&exact[0].accuracy()), 90.7302, 5.1e-5);
    close(100.0 * mean(&exact[1].accuracy()), 91.0292, 5.1e-5);
    let replication = matched(&reference, &pool, 10, Matching::FiveBins);
    let truth = mean(&reference.accuracy());
    close(100.0 * (truth - mean(&replication.accuracy())), 2.733, 5.1e-4);
    for (m, gap) in [(5, 1.4801), (6, 1.3648), (7, 1.2666), (8, 1.1817), (9, 1.1076), (10, 1.0422)]
    {
        let found =
            adjusted(&reference.counts(m), &replication.counts(m), EmptyBins::Drop).unwrap();
        close(100.0 * (truth - adjusted_mean(&found)), gap, 5.1e-5);
    }
}

#[test]
fn the_variants_of_imagenet_v2_share_images() {
    let study = ceteris::studies::find("dataset-replication").unwrap();
    let set = study.data().iter().find(|set| set.name == "imagenet-v2-predictions").unwrap();
    let images = |variant: &str| -> Option<BTreeSet<String>> {
        let bytes = set.read(&format!("replication/imagenetv2_{variant}_top1.parquet")).ok()?;
        let names = Some(vec!["image".to_owned()]);
        let frame = ParquetReader::new(Cursor::new(bytes)).with_columns(names).finish().unwrap();
        let images = frame.column("image").unwrap().str().unwrap();
        Some(images.iter().map(|name| name.unwrap().to_owned()).collect())
    };
    let Some(matched) = images("matched_frequency") else {
        eprintln!("skipped: no copy of ImageNet-v2's predictions");
        return;
    };
    let (threshold, top) = (images("threshold07").unwrap(), images("top_images").unwrap());
    // Counted apart from this code in the repository's lists of images.
    assert_eq!([matched.len(), threshold.len(), top.len()], [10_000; 3]);
    assert_eq!(matched.intersection(&threshold).count(), 3186);
    assert_eq!(matched.intersection(&top).count(), 3070);
    assert_eq!(threshold.intersection(&top).count(), 4996);
}

/// A column of the runs in a results directory.
fn of_runs(out: &Path, column: &str) -> Vec<f64> {
    let mut values = Vec::new();
    for part in fs::read_dir(out.join("runs")).unwrap() {
        let file = fs::File::open(part.unwrap().path()).unwrap();
        let frame = ParquetReader::new(file).finish().unwrap();
        values.extend(frame.column(column).unwrap().f64().unwrap().iter().flatten());
    }
    values
}

#[test]
fn as_many_images_as_planned_give_the_interval_that_was_wanted() {
    if cifar10h().is_none() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let study = |name: &str, replicates: usize, settings: &str| {
        let text = format!(
            "[study]\nkind = \"dataset-replication\"\nname = \"{name}\"\nseed = 5\n\
             replicates = {replicates}\n\n[base]\ndata = \"cifar10h\"\n\
             expectation = \"sampled\"\nestimator = \"naive\"\nannotators = 20\n{settings}"
        );
        let file = folder.path().join(format!("{name}.toml"));
        fs::write(&file, text).unwrap();
        let out = folder.path().join(name);
        reported(&file, &out);
        out
    };
    let pilot = study(
        "pilot",
        4,
        "images = 4000\nbootstrap_resamples = 200\nbootstrap_annotators = false\ntarget_gap = 1.0\n",
    );
    let needed = mean(&of_runs(&pilot, "images_needed"));
    let for_power = mean(&of_runs(&pilot, "images_for_power"));
    // (1.95996 + 0.84162)^2 / 1.95996^2, the normal quantiles of 97.5 % and 80 %.
    close(for_power / needed, 2.0433, 0.002);
    let planned = study("planned", 80, &format!("images = {}\n", needed.round()));
    let gaps = of_runs(&planned, "gap_left");
    assert_eq!(gaps.len(), 80);
    // The half-width of a 95 % interval, from the spread of 80 studies; known to 8 %.
    let half_width = 1.959964 * analysis::sd(&gaps).unwrap();
    close(half_width, 1.0, 0.2);
}

#[test]
fn a_pilot_tells_how_many_annotators_are_needed() {
    const IMAGES: usize = 30_000;
    // Frequencies Beta(8, 2) and a pool Beta(2, 2) that was matched by ten annotators; accuracy is
    // the frequency.
    let population = |alpha: f64, beta: f64| {
        let part = BetaComponent { weight: 1.0, alpha, beta };
        BetaPopulation::new(vec![part], vec![vec![0.0, 1.0]]).unwrap()
    };
    let one = population(8.0, 2.0);
    let other = matched(&one, &population(2.0, 2.0), 10, Matching::Exact);
    let mut rng = ChaCha12Rng::seed_from_u64(11);
    let mut text = "dataset,image,selected,total,correct_x\n".to_owned();
    for (dataset, population) in [("v1", &one), ("v2", &other)] {
        let images = population.draw(IMAGES, 20, &mut rng);
        for (place, votes) in images.candidates(|_| 0).iter().enumerate() {
            let right = images.at(&[place]).unwrap().accuracy()[0];
            writeln!(text, "{dataset},{dataset}-{place},{},20,{right}", votes.selected).unwrap();
        }
    }
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("pilot.csv");
    fs::write(&data, text).unwrap();
    let file = study_of(folder.path(), &data);
    let settings = fs::read_to_string(&file).unwrap().replace("annotators = 3", "annotators = 20");
    fs::write(&file, format!("{settings}target_gap = 1.0\n")).unwrap();
    let out = folder.path().join("results");
    reported(&file, &out);
    let found = of_runs(&out, "annotators_needed")[0];
    let naive = |n: usize| {
        let found = adjusted(&one.counts(n), &other.counts(n), EmptyBins::Drop).unwrap();
        found.accuracy[0].unwrap()
    };
    let truth = 0.8;
    let needed = (1..200).find(|n| 100.0 * (truth - naive(*n)).abs() <= 1.0).unwrap();
    eprintln!("by the pilot {found}, in truth {needed}");
    close(found, needed as f64, 0.25 * needed as f64);
}

/// Runs a study file and returns its report.
fn reported(file: &Path, out: &Path) -> String {
    let output = ceteris(&["run", arg(file), "--out", arg(out)]).output().unwrap();
    let (text, error) = texts(&output);
    assert!(output.status.success(), "{text}{error}");
    text
}

#[test]
fn the_claims_with_known_answers_are_reproduced() {
    if cifar10h().is_none() {
        return;
    }
    let folder = TempDir::new().unwrap();
    for (name, expected) in [
        ("cifar10h", "Claims: 43 reproduced\n"),
        ("imagenet-v2", "Claims: 39 reproduced\n"),
        ("cifar10.1", "Claims: 11 reproduced\n"),
        ("synthetic", "Claims: 48 reproduced\n"),
        ("appendix-d", "Claims: 8 reproduced\n"),
        ("draw", "Claims: 2 reproduced\n"),
    ] {
        let file = Path::new("ablations/dataset-replication").join(format!("{name}.toml"));
        let text = reported(&file, &folder.path().join(name));
        assert!(text.contains(expected), "{name}: {text}");
    }
    let out = folder.path().join("cifar10h");
    let output = ceteris(&["verify", arg(&out), "--runs", "6"]).output().unwrap();
    let (text, error) = texts(&output);
    assert!(text.contains("VERIFIED: 6 of 27 runs"), "{text}{error}");
}

/// Two images of V1 and three of V2, each with votes and the predictions of two models.
const IMAGES: [(&str, &str, u64, u64, [bool; 2]); 5] = [
    ("v1", "a", 2, 3, [true, false]),
    ("v1", "b", 3, 3, [true, true]),
    ("v2", "c", 2, 3, [true, false]),
    ("v2", "d", 3, 3, [false, true]),
    ("v2", "e", 1, 3, [true, true]),
];

fn study_of(folder: &Path, data: &Path) -> std::path::PathBuf {
    let hash: String =
        Sha256::digest(fs::read(data).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!(
        "[study]\nkind = \"dataset-replication\"\nname = \"own\"\nseed = 1\nreplicates = 1\n\n\
         [base]\ndata = \"file\"\npath = {data:?}\nsha256 = \"{hash}\"\nannotators = 3\n\
         estimator = \"naive\"\n"
    );
    let file = folder.join("own.toml");
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn own_annotations_mean_the_same_in_every_form() {
    let folder = TempDir::new().unwrap();
    let mut counts = "dataset,image,selected,total,correct_x,correct_y\n".to_owned();
    let mut votes = "image,url,dataset,correct_x,correct_y,selected\n".to_owned();
    let mut lines = String::new();
    for (dataset, image, selected, total, [x, y]) in IMAGES {
        writeln!(counts, "{dataset},{image},{selected},{total},{x},{y}").unwrap();
        for vote in 0..total {
            let vote = vote < selected;
            writeln!(votes, "{image},\"a, \"\"b\"\"\",{dataset},{x},{},{vote}", u8::from(y))
                .unwrap();
            writeln!(
                lines,
                "{{\"image\": \"{image}\", \"dataset\": \"{dataset}\", \"selected\": {vote}, \
                 \"correct_x\": {x}, \"correct_y\": {y}}}"
            )
            .unwrap();
        }
    }
    for (name, text) in [("counts.csv", counts), ("votes.csv", votes), ("votes.jsonl", lines)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let mut table = df!(
        "dataset" => IMAGES.map(|image| image.0),
        "image" => IMAGES.map(|image| image.1),
        "selected" => IMAGES.map(|image| image.2),
        "total" => IMAGES.map(|image| image.3),
        "correct_x" => IMAGES.map(|image| image.4[0]),
        "correct_y" => IMAGES.map(|image| u64::from(image.4[1])),
    )
    .unwrap();
    let parquet = fs::File::create(folder.path().join("counts.parquet")).unwrap();
    ParquetWriter::new(parquet).finish(&mut table).unwrap();
    for name in ["counts.csv", "votes.csv", "votes.jsonl", "counts.parquet"] {
        let data = folder.path().join(name);
        let out = folder.path().join(format!("{name}-results"));
        reported(&study_of(folder.path(), &data), &out);
        let table = folder.path().join(format!("{name}.summary.csv"));
        for (metric, expected) in [
            // Model x: 1 and 2/3, model y: 1/2 and 2/3.
            ("accuracy_v1", 75.0),
            ("accuracy_v2", 200.0 / 3.0),
            // Both bins of V1 are of one image; of V2, those are c (x right) and d (y right).
            ("accuracy_adjusted", 50.0),
            ("gap_left", 25.0),
            ("empty_mass", 0.0),
        ] {
            let arguments =
                ["analyse", arg(&out), "summary", "--metric", metric, "--out", arg(&table)];
            let output = ceteris(&arguments).output().unwrap();
            assert!(output.status.success(), "{}", texts(&output).1);
            let text = fs::read_to_string(&table).unwrap();
            let mut rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
            let place = rows.next().unwrap().iter().position(|name| *name == "estimate").unwrap();
            let found: f64 = rows.next().unwrap()[place].parse().unwrap();
            close(found, expected, 1e-9);
        }
    }
}

#[test]
fn wrong_rows_are_named() {
    let folder = TempDir::new().unwrap();
    let header = "dataset,image,selected,correct_x\n";
    let good = "v1,a,true,1\nv2,b,false,0\n";
    for (rows, expected) in [
        ("v3,a,true,1\n", "row 3: dataset is \"v3\", not \"v1\" or \"v2\""),
        ("v1,a,2,1\n", "row 3: selected is neither true nor false"),
        ("v1,,true,1\n", "row 3: there is no image"),
        ("v1,a,true,\n", "row 3: correct_x is neither true nor false"),
        ("v1,a,true,0\n", "row 3: correct_x differs from an earlier row of a"),
    ] {
        let data = folder.path().join("votes.csv");
        fs::write(&data, format!("{header}{good}{rows}")).unwrap();
        let file = study_of(folder.path(), &data);
        let out = folder.path().join("results");
        let output = ceteris(&["run", arg(&file), "--out", arg(&out)]).output().unwrap();
        let (text, error) = texts(&output);
        assert!(!output.status.success(), "{text}");
        assert!(error.contains(expected), "{error}");
    }
    // Another file than the one that was meant.
    let data = folder.path().join("votes.csv");
    fs::write(&data, format!("{header}{good}")).unwrap();
    let file = study_of(folder.path(), &data);
    fs::write(&data, format!("{header}{good}{good}")).unwrap();
    let out = folder.path().join("results");
    let output = ceteris(&["run", arg(&file), "--out", arg(&out)]).output().unwrap();
    assert!(texts(&output).1.contains("has the SHA-256"), "{}", texts(&output).1);
}
