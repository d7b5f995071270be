//! Error bars of evaluations (Miller 2024, "Adding Error Bars to Evals", arXiv:2411.00640).
//!
//! An evaluation is a mean over questions, which are a sample of the questions that could have been
//! asked. Its standard error is that of a mean; questions that belong together (several about one
//! passage) are no independent draws and have to be clustered. Two models that answered the same
//! questions are compared by the differences of their scores, question by question: the standard
//! error of those differences, clustered or not, is [`standard_error`] of them.

use std::collections::BTreeMap;

use super::estimator::{count, mean};
use super::{AnalysisError, normal};

/// The standard error of the mean of scores: the square root of `Σ (s - mean)² / (n (n - 1))`.
///
/// With `clusters`, one a score, deviations are summed within clusters before they are squared:
/// `C / (C - 1) · Σ_c (Σ_(i in c) (s_i - mean))² / n²` for `C` clusters, which is the formula above
/// where every score is a cluster of its own.
///
/// `None` with fewer than two scores or clusters.
///
/// # Errors
/// When a score is not finite, or there is not one cluster a score.
pub fn standard_error<C: Ord>(
    scores: &[f64],
    clusters: Option<&[C]>,
) -> Result<Option<f64>, AnalysisError> {
    if !scores.iter().all(|score| score.is_finite()) {
        return Err(AnalysisError::NotFinite("a standard error"));
    }
    let Some(centre) = mean(scores) else { return Ok(None) };
    let deviations = scores.iter().map(|score| score - centre);
    let sums: Vec<f64> = match clusters {
        None => deviations.collect(),
        Some(clusters) if clusters.len() != scores.len() => {
            let (first, second) = (scores.len(), clusters.len());
            return Err(AnalysisError::Unpaired { first, second });
        }
        Some(clusters) => {
            let mut sums: BTreeMap<&C, f64> = BTreeMap::new();
            for (cluster, deviation) in clusters.iter().zip(deviations) {
                *sums.entry(cluster).or_default() += deviation;
            }
            sums.into_values().collect()
        }
    };
    if sums.len() < 2 {
        return Ok(None);
    }
    let (n, c) = (count(scores.len()), count(sums.len()));
    let squares: f64 = sums.iter().map(|sum| sum * sum).sum();
    Ok(Some((c / (c - 1.0) * squares).sqrt() / n))
}

/// What the variance of the difference of two models' scores on a question is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuestionVariance {
    /// Variance over questions of the difference of both models' expected scores.
    pub between: f64,
    /// Mean over questions of the variance of the first model's answers to a question, divided by how
    /// often each question is asked.
    pub within_first: f64,
    /// The same of the second model.
    pub within_second: f64,
}

impl QuestionVariance {
    fn total(self) -> Result<f64, AnalysisError> {
        for value in [self.between, self.within_first, self.within_second] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(AnalysisError::Negative { what: "a variance of scores", value });
            }
        }
        Ok(self.between + self.within_first + self.within_second)
    }
}

fn deviates(alpha: f64, power: f64) -> Result<f64, AnalysisError> {
    super::probability("alpha", alpha)?;
    super::probability("the power", power)?;
    Ok(normal::quantile(1.0 - alpha / 2.0) + normal::quantile(power))
}

/// How many questions a paired comparison of two models needs so that a two-sided test at `alpha`
/// finds a `difference` with a `power`: `(z_(α/2) + z_β)² (ω² + σ_A²/K_A + σ_B²/K_B) / δ²`, as a real
/// number.
///
/// # Errors
/// When a variance is negative or not finite, the difference is not positive, or `alpha` or `power`
/// is not in (0, 1).
pub fn questions_needed(
    difference: f64,
    variance: QuestionVariance,
    alpha: f64,
    power: f64,
) -> Result<f64, AnalysisError> {
    if !(difference > 0.0 && difference.is_finite()) {
        let what = "a difference that is to be found";
        return Err(AnalysisError::Negative { what, value: difference });
    }
    let deviates = deviates(alpha, power)?;
    Ok(deviates * deviates * variance.total()? / (difference * difference))
}

/// The smallest difference of two models that a two-sided test at `alpha` finds with a `power` on so
/// many `questions`: [`questions_needed`], solved for the difference.
///
/// # Errors
/// When a variance is negative or not finite, there are no questions, or `alpha` or `power` is not in
/// (0, 1).
pub fn detectable_difference(
    questions: usize,
    variance: QuestionVariance,
    alpha: f64,
    power: f64,
) -> Result<f64, AnalysisError> {
    if questions == 0 {
        return Err(AnalysisError::TooFew { what: "an evaluation", needed: 1, found: 0 });
    }
    Ok(deviates(alpha, power)? * (variance.total()? / count(questions)).sqrt())
}
