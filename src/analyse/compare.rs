//! Two results directories against each other.

use std::collections::BTreeMap;

use analysis::{ComparisonColumns, ComparisonOptions, Pairs, compare_groups};
use flags::nearest;
use polars::prelude::*;

use super::source::check_metric;
use super::{AnalyseError, REPLICATE, RUN, headline};
use crate::store::{RUNS, Results};

/// How two results directories are compared.
#[derive(Clone, Debug)]
pub struct Contrast<'a> {
    /// The metric of a run; by default the study's headline.
    pub metric: Option<&'a str>,
    /// Arms of the first and the second directory that belong together; by default those of equal
    /// names.
    pub arms: &'a [(String, String)],
    /// Whether replicates are paired; by default where both have the same study seed, so that
    /// replicate `k` of either has the same random draws.
    pub paired: Option<bool>,
    /// Test, correction and interval; `paired` is not read.
    pub options: ComparisonOptions,
}

/// What a comparison of two results directories says.
#[derive(Clone, Debug)]
pub struct Contrasted {
    /// One row a pair of arms, in the order of the first study file: `arm_a`, `arm_b`; `same_runs`
    /// (replicates whose run has the same identity in both) and `identical` (those of them whose metric
    /// has the same bits); then the columns of [`compare_groups`] with `_a` and `_b` for *from* and *to*.
    pub table: DataFrame,
    /// The metric.
    pub metric: String,
    /// Whether replicates were paired.
    pub paired: bool,
    /// Arms of the first directory that the second does not have.
    pub only_a: Vec<String>,
    /// Arms of the second directory that the first does not have.
    pub only_b: Vec<String>,
}

/// The metric of each replicate, with the identity of its run.
type Replicates = BTreeMap<String, (String, Option<f64>)>;

/// Compares two results directories arm by arm.
///
/// # Errors
/// When the studies differ in kind, a metric or arm is not there, no arm is in both, or a part is
/// damaged.
pub fn contrast(
    a: &Results,
    b: &Results,
    contrast: &Contrast<'_>,
) -> Result<Contrasted, AnalyseError> {
    let (file_a, file_b) = (&a.plan.file, &b.plan.file);
    let kinds = (file_a.study.kind(), file_b.study.kind());
    if kinds.0 != kinds.1 {
        let text =
            format!("{} and {} share no metrics: compare studies of one kind", kinds.0, kinds.1);
        return Err(AnalyseError::NothingToAnalyse(text));
    }
    let metric = contrast.metric.or(headline(a)).unwrap_or_default();
    for results in [a, b] {
        check_metric(RUNS, metric, &results.columns(RUNS)?)?;
    }
    let names = |results: &Results| {
        results.plan.file.arms.iter().map(|arm| arm.name.clone()).collect::<Vec<String>>()
    };
    let (names_a, names_b) = (names(a), names(b));
    let pairs: Vec<(String, String)> = if contrast.arms.is_empty() {
        let shared = names_a.iter().filter(|name| names_b.contains(name));
        shared.map(|name| (name.clone(), name.clone())).collect()
    } else {
        for (name_a, name_b) in contrast.arms {
            known(a, &names_a, name_a)?;
            known(b, &names_b, name_b)?;
        }
        contrast.arms.to_vec()
    };
    if pairs.is_empty() {
        let text = format!(
            "no arm has the same name in both ({} and {}); say which belong together with --arms A:B",
            names_a.join(", "),
            names_b.join(", ")
        );
        return Err(AnalyseError::NothingToAnalyse(text));
    }

    let paired = contrast.paired.unwrap_or(file_a.seed == file_b.seed);
    let (rows_a, rows_b) = (rows(a, metric)?, rows(b, metric)?);
    let (mut groups, mut replicates, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let (mut same, mut identical) = (Vec::new(), Vec::new());
    let mut named = Vec::new();
    let none = Replicates::new();
    for (place, (arm_a, arm_b)) in pairs.iter().enumerate() {
        // Groups of their own for every pair: an arm may be in several.
        let (from, to) = (format!("a {place}"), format!("b {place}"));
        let (of_a, of_b) = (rows_a.get(arm_a).unwrap_or(&none), rows_b.get(arm_b).unwrap_or(&none));
        for (group, of) in [(&from, of_a), (&to, of_b)] {
            // A group without runs is there all the same, and has no value.
            if of.is_empty() {
                groups.push(group.clone());
                replicates.push("0".to_owned());
                values.push(None);
            }
            for (replicate, (_, value)) in of {
                groups.push(group.clone());
                replicates.push(replicate.clone());
                values.push(*value);
            }
        }
        let shared =
            || of_a.iter().filter_map(|(replicate, in_a)| Some((in_a, of_b.get(replicate)?)));
        let same_run = || shared().filter(|((run_a, _), (run_b, _))| run_a == run_b);
        let bits = |value: &Option<f64>| value.map(f64::to_bits);
        same.push(same_run().count() as u64);
        identical.push(same_run().filter(|((_, a), (_, b))| bits(a) == bits(b)).count() as u64);
        named.push((from, to));
    }
    let frame = df!("group" => groups, REPLICATE => replicates, "value" => values)?;
    let columns = ComparisonColumns { group: "group", replicate: REPLICATE, value: "value" };
    let options = ComparisonOptions { paired, ..contrast.options };
    let mut table = compare_groups(&frame, columns, &Pairs::Named(named), &options)?;
    for (name, new) in
        [("n_from", "n_a"), ("n_to", "n_b"), ("mean_from", "mean_a"), ("mean_to", "mean_b")]
    {
        table.rename(name, new.into())?;
    }
    let mut whole = df!(
        "arm_a" => pairs.iter().map(|pair| pair.0.as_str()).collect::<Vec<_>>(),
        "arm_b" => pairs.iter().map(|pair| pair.1.as_str()).collect::<Vec<_>>(),
        "metric" => vec![metric; pairs.len()],
        "same_runs" => same,
        "identical" => identical,
    )?;
    whole.hstack_mut(table.drop_many(["from", "to"]).columns())?;
    let without = |names: Vec<String>, used: &dyn Fn(&(String, String)) -> &String| {
        names.into_iter().filter(|name| !pairs.iter().any(|pair| used(pair) == name)).collect()
    };
    Ok(Contrasted {
        table: whole,
        metric: metric.to_owned(),
        paired,
        only_a: without(names_a, &|pair| &pair.0),
        only_b: without(names_b, &|pair| &pair.1),
    })
}

fn known(results: &Results, names: &[String], name: &String) -> Result<(), AnalyseError> {
    if names.contains(name) {
        return Ok(());
    }
    Err(AnalyseError::UnknownArm {
        path: results.path().to_owned(),
        arm: name.clone(),
        nearest: nearest(name, names.iter().map(String::as_str)).map(str::to_owned),
        known: names.to_vec(),
    })
}

/// The metric of every run, by arm and replicate.
fn rows(results: &Results, metric: &str) -> Result<BTreeMap<String, Replicates>, AnalyseError> {
    let frame = results.columns_by_arm(RUNS, &["arm", REPLICATE, RUN, metric])?;
    let text = |name: &str| frame.column(name)?.cast(&DataType::String);
    let (arms, replicates, runs) = (text("arm")?, text(REPLICATE)?, text(RUN)?);
    let values = frame.column(metric)?.cast(&DataType::Float64)?;
    let (arms, replicates, runs) = (arms.str()?, replicates.str()?, runs.str()?);
    let mut rows: BTreeMap<String, Replicates> = BTreeMap::new();
    let all = arms.iter().zip(replicates.iter()).zip(runs.iter().zip(values.f64()?.iter()));
    for ((arm, replicate), (run, value)) in all {
        let (Some(arm), Some(replicate), Some(run)) = (arm, replicate, run) else { continue };
        let of_arm = rows.entry(arm.to_owned()).or_default();
        of_arm.insert(replicate.to_owned(), (run.to_owned(), value));
    }
    Ok(rows)
}
