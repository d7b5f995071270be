//! How right answers are when only the most confident ones are given (El-Yaniv and Wiener 2010): what
//! HELM calls selective accuracy.

use super::AnalysisError;
use super::estimator::count;

/// What is counted as most confident, and in which order equal confidences come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// Answers of equal confidence count with their share of right ones, as if they came in all
    /// orders; the most confident tenth is `ceil(n / 10)` answers.
    #[default]
    Expected,
    /// As HELM, through `uncertainty-calibration` 0.1.4: answers of equal confidence come in the order
    /// in which they are given (there in none that is defined), and `floor(n / 10) + 1` answers are the
    /// most confident tenth, which is one too many where 10 divides `n`.
    GivenOrder,
}

/// Selective accuracy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelectiveAccuracy {
    /// The mean of the accuracies among the 1, 2, …, n most confident answers: the area under the curve
    /// of accuracy over coverage.
    pub area: f64,
    /// The accuracy among the most confident tenth.
    pub most_confident: f64,
}

/// Selective accuracy of answers, each with its confidence and whether it is right; `None` without any.
///
/// # Errors
/// When a confidence is not a number.
pub fn selective_accuracy(
    answers: &[(f64, bool)],
    selection: Selection,
) -> Result<Option<SelectiveAccuracy>, AnalysisError> {
    if answers.iter().any(|(confidence, _)| confidence.is_nan()) {
        return Err(AnalysisError::Setting {
            name: "a confidence",
            value: "NaN".to_owned(),
            allowed: "be a number",
        });
    }
    let mut sorted = answers.to_vec();
    // Stable, so that equals keep their order. Adding zero makes a negative zero positive.
    sorted.sort_by(|(one, _), (other, _)| (other + 0.0).total_cmp(&(one + 0.0)));
    let tenth = match selection {
        Selection::Expected => sorted.len().div_ceil(10),
        Selection::GivenOrder => sorted.len() / 10 + 1,
    };
    #[allow(clippy::float_cmp)] // a tie is equality
    let tied = |one: &(f64, bool), other: &(f64, bool)| {
        selection == Selection::Expected && one.0 == other.0
    };
    let right = |answers: &[(f64, bool)]| count(answers.iter().filter(|(_, right)| *right).count());
    let (mut before, mut before_right, mut sum, mut most_confident) = (0, 0.0, 0.0, None);
    for equals in sorted.chunk_by(tied) {
        let share = right(equals) / count(equals.len());
        for among in 1..=equals.len() {
            let accuracy = (before_right + count(among) * share) / count(before + among);
            sum += accuracy;
            if before + among == tenth {
                most_confident = Some(accuracy);
            }
        }
        before += equals.len();
        before_right += right(equals);
    }
    let area = sum / count(before);
    Ok(most_confident.map(|most_confident| SelectiveAccuracy { area, most_confident }))
}
