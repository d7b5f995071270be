//! Corrections of p values for their number.

use polars::prelude::*;

use super::estimator::count;
use super::frames::{groups, numbers};
use super::tables::push;
use super::{AnalysisError, probability};

/// How p values of one family are corrected for their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correction {
    /// Bonferroni's: the probability of any false rejection is at most alpha.
    Bonferroni,
    /// Holm's (1979, Scandinavian Journal of Statistics 6, 65-70): the same, and it rejects at least
    /// as much.
    Holm,
    /// Benjamini and Hochberg's (1995, Journal of the Royal Statistical Society B 57, 289-300): the
    /// expected share of false rejections among all is at most alpha, for independent or positively
    /// dependent tests.
    BenjaminiHochberg,
}

impl Correction {
    /// Every correction.
    pub const ALL: [Self; 3] = [Self::Bonferroni, Self::Holm, Self::BenjaminiHochberg];

    /// Its name in tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bonferroni => "bonferroni",
            Self::Holm => "holm",
            Self::BenjaminiHochberg => "benjamini-hochberg",
        }
    }

    /// Adjusted p values of one family: a hypothesis is rejected at any alpha that its adjusted p
    /// value does not exceed (`statsmodels.stats.multitest.multipletests`).
    ///
    /// What is null or NaN stays null and does not count: the family is as large as there are p
    /// values.
    ///
    /// # Errors
    /// When a p value lies outside 0 to 1.
    pub fn adjusted(self, p_values: &[Option<f64>]) -> Result<Vec<Option<f64>>, AnalysisError> {
        let mut order: Vec<(usize, f64)> = Vec::with_capacity(p_values.len());
        for (place, p) in p_values.iter().enumerate() {
            match p {
                Some(p) if p.is_nan() => {}
                Some(p) if !(0.0..=1.0).contains(p) => return Err(AnalysisError::PValue(*p)),
                Some(p) => order.push((place, *p)),
                None => {}
            }
        }
        order.sort_unstable_by(|a, b| a.1.total_cmp(&b.1));
        let family = order.len();
        let mut adjusted = vec![None; p_values.len()];
        let mut set = |place: usize, p: f64| adjusted[place] = Some(p.min(1.0));
        match self {
            Self::Bonferroni => {
                order.iter().for_each(|(place, p)| set(*place, p * count(family)));
            }
            Self::Holm => {
                let mut largest = 0.0f64;
                for (rank, (place, p)) in order.iter().enumerate() {
                    largest = largest.max(p * count(family - rank));
                    set(*place, largest);
                }
            }
            Self::BenjaminiHochberg => {
                let mut smallest = 1.0f64;
                for (rank, (place, p)) in order.iter().enumerate().rev() {
                    smallest = smallest.min(p / (count(rank + 1) / count(family)));
                    set(*place, smallest);
                }
            }
        }
        Ok(adjusted)
    }
}

/// Corrects a frame's column of p values for their number within each family.
///
/// Returns the frame with these columns more:
///
/// | column | meaning |
/// |---|---|
/// | `p_adjusted` | as [`Correction::adjusted`]; null where the p value is null, NaN or infinite |
/// | `rejected` | whether that does not exceed `alpha`; null with it |
/// | `correction` | the [`Correction`] by name |
///
/// Families are the rows that are equal in the columns `families`; without any, all rows are one.
///
/// # Errors
/// When a column is absent or of the wrong type, a p value lies outside 0 to 1, or `alpha` does not
/// lie strictly between them.
pub fn correct(
    frame: &DataFrame,
    p_value: &str,
    families: &[&str],
    correction: Correction,
    alpha: f64,
) -> Result<DataFrame, AnalysisError> {
    let p_values = numbers(frame, p_value)?;
    let mut adjusted = vec![None; p_values.len()];
    for rows in groups(frame, families)?.rows {
        let family: Vec<Option<f64>> = rows.iter().map(|&row| p_values[row]).collect();
        for (row, p) in rows.iter().zip(correction.adjusted(&family)?) {
            adjusted[*row] = p;
        }
    }
    let mut table = frame.clone();
    append_adjusted(&mut table, &adjusted, correction.name(), alpha)?;
    Ok(table)
}

/// The columns of [`correct`].
pub(super) fn append_adjusted(
    table: &mut DataFrame,
    adjusted: &[Option<f64>],
    correction: &str,
    alpha: f64,
) -> Result<(), AnalysisError> {
    probability("alpha", alpha)?;
    let rejected: Vec<Option<bool>> = adjusted.iter().map(|p| p.map(|p| p <= alpha)).collect();
    let rows = table.height();
    push(table, "p_adjusted", adjusted)?;
    push(table, "rejected", rejected)?;
    push(table, "correction", vec![correction; rows])?;
    Ok(())
}
