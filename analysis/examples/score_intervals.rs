//! The stratified bootstrap of `benches/peers/rliable_scores.py`: the same scores, aggregates and
//! number of resamples. Prints one line of JSON; `benches/peers/compare_scores.py` reads it.
//!
//! Arguments, all optional and in this order: methods, runs, tasks, resamples, threads.

use std::time::Instant;

use analysis::{Aggregate, AnalysisError, Bootstrap, Resampled, ScoreColumns, aggregate_scores};
use polars::df;
use polars::prelude::*;

const COLUMNS: ScoreColumns<'static> = ScoreColumns {
    groups: &[],
    method: "method",
    task: "task",
    replicate: "replicate",
    value: "value",
};

fn main() -> Result<(), AnalysisError> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u32>());
    let mut next = |default| arguments.next().and_then(Result::ok).unwrap_or(default);
    let (methods, runs, tasks) = (next(4), next(100), next(50));
    let (resamples, threads) = (next(50_000) as usize, next(2) as usize);

    let (mut method, mut task, mut replicate, mut value) = (vec![], vec![], vec![], vec![]);
    for m in 0..methods {
        for run in 0..runs {
            for t in 0..tasks {
                method.push(m);
                task.push(t);
                replicate.push(run);
                let number = (run * 7919 + t * 4729 + m * 1543 + run * t * 31) % 10_007;
                value.push(f64::from(number) / 10_007.0 * (1.0 + 0.1 * f64::from(m)));
            }
        }
    }
    let frame =
        df!("method" => method, "task" => task, "replicate" => replicate, "value" => value)?;
    let bootstrap = Bootstrap { resamples, threads, ..Bootstrap::tables() };

    let began = Instant::now();
    let table = aggregate_scores(&frame, COLUMNS, &Aggregate::ALL, Resampled::Runs, &bootstrap)?;
    let seconds = began.elapsed().as_secs_f64();

    let numbers = |column| -> PolarsResult<Vec<String>> {
        Ok(table.column(column)?.f64()?.iter().flatten().map(|end| end.to_string()).collect())
    };
    println!(
        "{{\"seconds\": {seconds}, \"estimate\": [{}], \"low\": [{}], \"high\": [{}]}}",
        numbers("estimate")?.join(", "),
        numbers("low")?.join(", "),
        numbers("high")?.join(", "),
    );
    Ok(())
}
