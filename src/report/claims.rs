//! What the results say of the study file's claims.

use polars::prelude::*;

use super::model::{Estimate, numbers};
use super::numbers::{decimals, fixed, signed};
use super::{ReportError, ReportInput};
use crate::study::{ArmPair, Claim, ClaimEstimate, ClaimRule, Reference, Sign, StudyFile};
use analysis::{
    Criterion, Estimand, Hypothesis, Interval, PublishedNumber, Verdict, VerdictColumns, verdicts,
};

/// A claim with its verdict.
pub(super) struct ClaimRow {
    pub(super) claim: Claim,
    /// Ours; `n` counts the seeds of the arm that has fewest.
    pub(super) ours: Estimate,
    /// The percentile bootstrap's interval, of a largest difference.
    pub(super) bootstrapped: Option<Interval>,
    /// Seeds of the arm that has most.
    pub(super) most: u64,
    /// Stored runs without a value.
    pub(super) missing: u64,
    pub(super) verdict: Verdict,
    pub(super) p_value: Option<f64>,
    /// Probability that these seeds would reproduce the claim, were the published number the truth.
    pub(super) power: Option<f64>,
    pub(super) more_seeds: Option<u64>,
    pub(super) note: Option<String>,
    /// How the interval was made.
    pub(super) method: String,
}

impl ClaimRow {
    /// The published number, `n` left at zero.
    pub(super) fn published(&self) -> Option<Estimate> {
        let Reference { value, interval } = self.claim.rule.reference()?;
        let (low, high) = interval.unzip();
        Some(Estimate { n: 0, value: Some(value), low, high })
    }

    /// The range that counts as equal to the published number.
    pub(super) fn equal_range(&self) -> Option<(f64, f64)> {
        match self.claim.rule {
            ClaimRule::Equal { reference, margin } => {
                let margin = margin * reference.value.abs();
                Some((reference.value - margin, reference.value + margin))
            }
            ClaimRule::Sign { .. } => None,
        }
    }

    /// What is estimated, in words.
    pub(super) fn estimand(&self) -> String {
        let difference = |pair: &ArmPair| format!("{} \u{2212} {}", pair.arm, pair.minus);
        let largest = |pairs: &[ArmPair]| {
            let pairs: Vec<String> =
                pairs.iter().map(|pair| format!("|{}|", difference(pair))).collect();
            match pairs.as_slice() {
                [only] => only.clone(),
                pairs => format!("largest of {}", pairs.join(", ")),
            }
        };
        match &self.claim.estimate {
            ClaimEstimate::Mean(arm) => format!("mean of {arm}"),
            ClaimEstimate::Difference(pair) => difference(pair),
            ClaimEstimate::LargestDifference(pairs) => largest(pairs),
            ClaimEstimate::Excess { of, over } => {
                format!("{}, minus {}", largest(of), largest(over))
            }
            ClaimEstimate::Effect { factor, from, to } => {
                format!("effect of {factor}: {from} \u{2192} {to}")
            }
        }
    }

    /// What would reproduce it, in words.
    pub(super) fn rule(&self) -> String {
        match self.claim.rule {
            ClaimRule::Equal { margin, .. } => {
                // As many digits as the study file can be expected to give.
                let percent = format!("{:.4}", margin * 100.0);
                let percent = percent.trim_end_matches('0').trim_end_matches('.');
                format!("within {percent}% of the published number")
            }
            ClaimRule::Sign { expected: Sign::Positive, .. } => "above 0".to_owned(),
            ClaimRule::Sign { expected: Sign::Negative, .. } => "below 0".to_owned(),
        }
    }

    /// A number of this row, with as many digits as all its numbers need.
    pub(super) fn shown(&self, number: f64) -> String {
        let published = self.published();
        let all = self.ours.numbers().chain(published.iter().flat_map(Estimate::numbers));
        let decimals = decimals(all);
        match self.claim.estimate {
            ClaimEstimate::Mean(_) | ClaimEstimate::LargestDifference(_) => fixed(number, decimals),
            _ => signed(number, decimals),
        }
    }

    /// `5`, or `4 to 5` where arms have different numbers.
    pub(super) fn seeds(&self) -> String {
        if self.ours.n == self.most {
            self.most.to_string()
        } else {
            format!("{} to {}", self.ours.n, self.most)
        }
    }

    /// Seeds that each arm still needs; `None` where that is not known.
    pub(super) fn seeds_needed(&self) -> Option<u64> {
        match self.verdict {
            Verdict::Reproduced | Verdict::NotReproduced => Some(0),
            Verdict::Inconclusive | Verdict::NotRun => self.more_seeds,
        }
    }
}

/// A mark for each verdict, so that it does not hang on a colour.
pub(super) fn symbol(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Reproduced => "\u{2713}",
        Verdict::NotReproduced => "\u{2717}",
        Verdict::Inconclusive => "?",
        Verdict::NotRun => "\u{2013}",
    }
}

/// How many claims have each verdict, as `2 reproduced, 1 not run`.
pub(super) fn tally(rows: &[ClaimRow]) -> String {
    let counted = Verdict::ALL.map(|verdict| {
        let count = rows.iter().filter(|row| row.verdict == verdict).count();
        (count > 0).then(|| format!("{count} {}", verdict.name()))
    });
    counted.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Judges every claim of the study file. The frame has the arm's name, `replicate` and the metrics,
/// one row a run of an arm.
pub(super) fn judged(
    input: &ReportInput<'_>,
    frame: &DataFrame,
) -> Result<(Vec<ClaimRow>, DataFrame), ReportError> {
    let file = &input.plan.file;
    let hypotheses: Vec<Hypothesis<'_>> =
        file.claims.iter().map(|claim| hypothesis(file, claim)).collect();
    let exact: Vec<&str> = file
        .arms
        .iter()
        .filter(|arm| file.study.exact(&arm.configuration))
        .map(|arm| arm.name.as_str())
        .collect();
    let columns = VerdictColumns { group: "arm", replicate: "replicate", exact: &exact };
    let mut table = verdicts(frame, columns, &hypotheses, &input.options.tables())?;

    let (fewest, most) = (table.column("n_min")?.u64()?, table.column("n_max")?.u64()?);
    let (missing, more) = (table.column("missing")?.u64()?, table.column("more_seeds")?.u64()?);
    let (names, notes) = (table.column("verdict")?.str()?, table.column("note")?.str()?);
    let methods = table.column("interval")?.str()?;
    let (value, low, high) =
        (numbers(&table, "estimate")?, numbers(&table, "low")?, numbers(&table, "high")?);
    let (bootstrap_low, bootstrap_high) =
        (numbers(&table, "bootstrap_low")?, numbers(&table, "bootstrap_high")?);
    let (p_values, powers) = (numbers(&table, "p_value")?, numbers(&table, "power")?);
    let row = |(index, claim): (usize, &Claim)| ClaimRow {
        claim: claim.clone(),
        ours: Estimate {
            n: fewest.get(index).unwrap_or_default(),
            value: value[index],
            low: low[index],
            high: high[index],
        },
        bootstrapped: match claim.estimate {
            ClaimEstimate::LargestDifference(_) | ClaimEstimate::Excess { .. } => bootstrap_low
                [index]
                .zip(bootstrap_high[index])
                .map(|(low, high)| Interval { low, high }),
            _ => None,
        },
        most: most.get(index).unwrap_or_default(),
        missing: missing.get(index).unwrap_or_default(),
        verdict: Verdict::ALL
            .into_iter()
            .find(|verdict| names.get(index) == Some(verdict.name()))
            .unwrap_or(Verdict::NotRun),
        p_value: p_values[index],
        power: powers[index],
        more_seeds: more.get(index),
        note: notes.get(index).map(str::to_owned),
        method: methods.get(index).unwrap_or_default().to_owned(),
    };
    let rows: Vec<ClaimRow> = file.claims.iter().enumerate().map(row).collect();

    table.rename("value", "metric".into())?;
    let texts = |text: fn(&ClaimRow) -> String| rows.iter().map(text).collect::<Vec<_>>();
    let columns = [
        ("statement", texts(|row| row.claim.statement.clone())),
        ("source", texts(|row| row.claim.source.clone())),
        ("estimand", texts(ClaimRow::estimand)),
    ];
    for (place, (name, values)) in columns.into_iter().enumerate() {
        table.insert_column(1 + place, Column::new(name.into(), values))?;
    }
    Ok((rows, table))
}

/// A claim as the statistics understand it.
fn hypothesis<'a>(file: &StudyFile, claim: &'a Claim) -> Hypothesis<'a> {
    let pairs = |pairs: &[ArmPair]| {
        pairs.iter().map(|pair| (pair.arm.clone(), pair.minus.clone())).collect::<Vec<_>>()
    };
    let estimand = match &claim.estimate {
        ClaimEstimate::Mean(arm) => Estimand::Contrast(vec![(arm.clone(), 1.0)]),
        ClaimEstimate::Difference(pair) => {
            Estimand::Contrast(vec![(pair.arm.clone(), 1.0), (pair.minus.clone(), -1.0)])
        }
        ClaimEstimate::LargestDifference(of) => {
            Estimand::LargestDifference { of: pairs(of), over: Vec::new() }
        }
        ClaimEstimate::Excess { of, over } => {
            Estimand::LargestDifference { of: pairs(of), over: pairs(over) }
        }
        ClaimEstimate::Effect { factor, from, to } => effect(file, factor, from, to),
    };
    let (criterion, margin) = match claim.rule {
        ClaimRule::Equal { reference, margin } => {
            (Criterion::Equal, margin * reference.value.abs())
        }
        ClaimRule::Sign { expected: Sign::Positive, .. } => (Criterion::Positive, 0.0),
        ClaimRule::Sign { expected: Sign::Negative, .. } => (Criterion::Negative, 0.0),
    };
    let reference = claim.rule.reference().map(|reference| PublishedNumber {
        value: reference.value,
        interval: reference.interval.map(|(low, high)| Interval { low, high }),
        margin,
    });
    Hypothesis { name: &claim.name, value: claim.metric, estimand, criterion, reference }
}

/// The mean over the other factors' combinations of the difference between two levels.
fn effect(file: &StudyFile, factor: &str, from: &str, to: &str) -> Estimand {
    let at = |level: &str| {
        let has = |arm: &&crate::study::Arm| {
            arm.levels.iter().any(|of| of.factor == factor && of.level == level)
        };
        file.arms.iter().filter(has).map(|arm| arm.name.clone()).collect::<Vec<_>>()
    };
    let weighted = |level: &str, sign: f64| {
        let arms = at(level);
        // Of at most ten thousand arms.
        #[allow(clippy::cast_precision_loss)]
        let weight = sign / arms.len() as f64;
        arms.into_iter().map(move |arm| (arm, weight))
    };
    Estimand::Contrast(weighted(to, 1.0).chain(weighted(from, -1.0)).collect())
}
