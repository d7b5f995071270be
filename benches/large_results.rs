//! Ten million rows of iterations: mean and interval of every arm, against merely reading the columns.
//!
//! `cargo bench --bench large_results`. The results directory, 80 arms × 25 replicates × 5,000
//! iterations of random returns, is written once, into a temporary folder. `scan` reads the four columns
//! that the summary needs with polars' own reader and aggregates nothing but a sum; `summary` is what
//! `ceteris analyse DIR summary --table iterations --metric return_mean` computes, the reading included;
//! `curves` adds the grid of 256 points with 2,000 resamples at each.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;

use analysis::{Bootstrap, Estimator};
use ceteris::analyse::{Analysis, Question, answer};
use ceteris::store::{Results, ResultsDirectory, RunEnvironment, table_schema};
use ceteris::studies::{CohortOutcome, RunOutcome, RunStatus};
use ceteris::study::{Run, StudyFile, plan};
use criterion::{Criterion, criterion_group, criterion_main};
use polars::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const ITERATIONS: u32 = 5_000;
const STUDY: &str = r#"
[study]
kind = "policy-gradient"
name = "large"
seed = 1
replicates = 25

[base]
environment = "Pendulum-v1"

[factors]
gamma = [0.80, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86, 0.87, 0.88, 0.89,
         0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99]
value_clip = ["none", "max"]
gae_lambda = [0.9, 0.95]
"#;

/// Rows of some runs: what identifies them, steps and a return; all else is null.
fn outcome(runs: &[&Run], generator: &mut ChaCha8Rng) -> PolarsResult<CohortOutcome> {
    let Some(first) = runs.first() else {
        return Ok(CohortOutcome { runs: vec![], tables: vec![] });
    };
    let study = ceteris::studies::find("policy-gradient");
    let tables = study.map_or(&[][..], |study| study.tables());
    let metrics = study.map_or(0, |study| study.metrics().len());
    let rows = runs.len() * ITERATIONS as usize;
    let repeated = |text: fn(&Run) -> &str| {
        let each = |run: &&Run| std::iter::repeat_n(text(run).to_owned(), ITERATIONS as usize);
        runs.iter().flat_map(each).collect::<Vec<String>>()
    };
    let iterations = || runs.iter().flat_map(|_| 0..ITERATIONS);
    let column = |name: &str, kind: &DataType, generator: &mut ChaCha8Rng| match name {
        "run_id" => Column::new(name.into(), repeated(|run| run.id.as_ref())),
        "arm" => Column::new(name.into(), repeated(|run| &run.arm)),
        "replicate" => {
            let each = |run: &&Run| std::iter::repeat_n(run.replicate, ITERATIONS as usize);
            Column::new(name.into(), runs.iter().flat_map(each).collect::<Vec<u64>>())
        }
        "iteration" => Column::new(name.into(), iterations().collect::<Vec<u32>>()),
        "steps" => {
            let steps = iterations().map(|iteration| u64::from(iteration + 1) * 2048);
            Column::new(name.into(), steps.collect::<Vec<u64>>())
        }
        "return_mean" => {
            let value = |_| f64::from(generator.next_u32()) / 65_536.0;
            Column::new(name.into(), (0..rows).map(value).collect::<Vec<f64>>())
        }
        _ => Column::full_null(name.into(), rows, kind),
    };
    let mut frames = Vec::new();
    for table in tables {
        let schema = table_schema(table);
        let frame = if table.name == "iterations" {
            let columns =
                schema.iter().map(|(name, kind)| column(name, kind, generator)).collect::<Vec<_>>();
            DataFrame::new(rows, columns)?
        } else {
            DataFrame::empty_with_schema(&schema)
        };
        frames.push(frame);
    }
    debug_assert!(!first.arm.is_empty());
    let outcome = || RunOutcome { status: RunStatus::Finished, metrics: vec![Some(1.0); metrics] };
    Ok(CohortOutcome { runs: runs.iter().map(|_| outcome()).collect(), tables: frames })
}

fn write(path: &Path) -> Result<(), Box<dyn Error>> {
    let plan = plan(StudyFile::parse("large.toml", STUDY)?);
    let mut directory = ResultsDirectory::open(path, &plan, &RunEnvironment::cpu())?;
    let mut generator = ChaCha8Rng::seed_from_u64(1);
    let runs: Vec<&Run> = plan.runs.iter().collect();
    for cohort in runs.chunks(40) {
        directory.commit(cohort, outcome(cohort, &mut generator)?)?;
    }
    Ok(directory.finish()?)
}

fn question(analysis: Analysis, bootstrap: Bootstrap) -> Question<'static> {
    Question {
        analysis,
        table: Some("iterations"),
        metric: Some("return_mean"),
        by: &[],
        task: None,
        keep: &[],
        bootstrap,
    }
}

fn scan(results: &Results) -> Result<DataFrame, Box<dyn Error>> {
    let columns = ["run_id", "replicate", "arm", "return_mean"];
    let read = results.scan("iterations")?.select(columns.map(col)).collect()?;
    Ok(read.lazy().select([col("return_mean").sum()]).collect()?)
}

fn large(criterion: &mut Criterion) {
    // Kept between calls where the environment names a folder: writing takes longer than reading.
    let temporary = tempfile::tempdir();
    let path = match (std::env::var_os("CETERIS_LARGE_RESULTS"), &temporary) {
        (Some(path), _) => path.into(),
        (None, Ok(folder)) => folder.path().to_owned(),
        (None, Err(error)) => panic!("no temporary folder: {error}"),
    };
    if !path.join("manifest.json").exists() {
        write(&path).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }
    let results = ResultsDirectory::read(&path).unwrap_or_else(|error| panic!("{error}"));
    let mut group = criterion.benchmark_group("ten million rows");
    group.sample_size(10);
    group.bench_function("scan", |bencher| {
        bencher.iter(|| black_box(scan(&results).is_ok_and(|frame| frame.height() == 1)));
    });
    group.bench_function("summary", |bencher| {
        let question = question(Analysis::Summary(Estimator::Mean), Bootstrap::tables());
        bencher.iter(|| black_box(answer(&results, &question).is_ok_and(|t| t.height() == 80)));
    });
    group.bench_function("curves", |bencher| {
        let question = question(Analysis::Curves(Estimator::Mean), Bootstrap::curves());
        bencher.iter(|| black_box(answer(&results, &question).is_ok_and(|t| t.height() > 0)));
    });
    group.finish();
}

criterion_group!(benches, large);
criterion_main!(benches);
