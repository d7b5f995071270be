//! Votes of raters on items.

/// A rater's answer to the question of an item; all counted from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The item.
    pub item: u32,
    /// Who answered.
    pub rater: u32,
    /// What was answered.
    pub answer: u32,
}

/// Votes and what they are about.
#[derive(Clone, Copy, Debug)]
pub struct Votes<'a> {
    /// Number of items.
    pub items: usize,
    /// Number of raters.
    pub raters: usize,
    /// Number of possible answers.
    pub answers: usize,
    /// The votes, in any order; a label model adds them up in this one.
    pub votes: &'a [Vote],
}

/// When an iteration ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stopping {
    /// Once no posterior probability moves by more than this.
    pub tolerance: f64,
    /// After so many iterations at the latest.
    pub iterations: usize,
}

impl Default for Stopping {
    fn default() -> Self {
        Self { tolerance: 1e-6, iterations: 1000 }
    }
}

/// Why votes cannot be read by a label model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum VotesError {
    /// A vote names something that does not exist.
    #[error("vote {vote} (counted from zero) names {what} {value}, but there are {count}")]
    Outside {
        /// Its position.
        vote: usize,
        /// The item, the rater or the answer.
        what: &'static str,
        /// The number.
        value: u32,
        /// How many there are.
        count: usize,
    },
    /// A known item does not exist, or its class does not.
    #[error(
        "item {item} is known to be of class {class}, but there are {items} items and {classes} classes"
    )]
    Known {
        /// The item.
        item: u32,
        /// Its class.
        class: u32,
        /// How many items there are.
        items: usize,
        /// How many classes there are.
        classes: usize,
    },
    /// The table of evidence has another shape.
    #[error("the evidence has {found} numbers; {answers} answers and {classes} classes need {}", answers * classes)]
    Evidence {
        /// Numbers given.
        found: usize,
        /// Answers.
        answers: usize,
        /// Classes.
        classes: usize,
    },
    /// There is nothing to tell apart.
    #[error("a label model needs two classes at least, not {0}")]
    Classes(usize),
}

impl Votes<'_> {
    pub(super) fn check(&self) -> Result<(), VotesError> {
        for (vote, given) in self.votes.iter().enumerate() {
            for (what, value, count) in [
                ("item", given.item, self.items),
                ("rater", given.rater, self.raters),
                ("answer", given.answer, self.answers),
            ] {
                if value as usize >= count {
                    return Err(VotesError::Outside { vote, what, value, count });
                }
            }
        }
        Ok(())
    }
}

/// The share of every class among the evidence of an item's votes: `evidence` has a row an answer
/// and a column a class, and says how far an answer speaks for a class. With the identity this is
/// the share of votes, and its largest entry the majority. An item without votes has equal shares.
///
/// Returns `[items × classes]`, row by row.
///
/// # Errors
/// When votes name what does not exist, or the evidence has another shape.
pub fn expected(
    votes: &Votes<'_>,
    classes: usize,
    evidence: &[f64],
) -> Result<Vec<f64>, VotesError> {
    votes.check()?;
    if classes < 2 {
        return Err(VotesError::Classes(classes));
    }
    let answers = votes.answers;
    if evidence.len() != answers * classes {
        return Err(VotesError::Evidence { found: evidence.len(), answers, classes });
    }
    let mut shares = vec![0.0; votes.items * classes];
    for vote in votes.votes {
        let (item, answer) = (vote.item as usize, vote.answer as usize);
        for class in 0..classes {
            shares[item * classes + class] += evidence[answer * classes + class];
        }
    }
    for row in shares.chunks_exact_mut(classes) {
        normalise(row);
    }
    Ok(shares)
}

/// Scales a row to the sum one; equal shares where there is nothing to scale.
pub(super) fn normalise(row: &mut [f64]) {
    let sum: f64 = row.iter().sum();
    // A handful of classes.
    #[allow(clippy::cast_precision_loss)]
    let equal = 1.0 / row.len() as f64;
    for value in row {
        *value = if sum > 0.0 { *value / sum } else { equal };
    }
}

/// Turns logarithms into probabilities in place; returns the logarithm of their sum.
pub(super) fn softmax(row: &mut [f64]) -> f64 {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for value in row.iter_mut() {
        *value = (*value - largest).exp();
        sum += *value;
    }
    for value in row.iter_mut() {
        *value /= sum;
    }
    largest + sum.ln()
}

/// Fixes the rows of items whose class is known.
pub(super) fn clamp(posterior: &mut [f64], classes: usize, known: &[(u32, u32)]) {
    for (item, class) in known {
        let row = &mut posterior[*item as usize * classes..][..classes];
        row.fill(0.0);
        row[*class as usize] = 1.0;
    }
}

pub(super) fn check_known(
    known: &[(u32, u32)],
    items: usize,
    classes: usize,
) -> Result<(), VotesError> {
    let wrong =
        known.iter().find(|(item, class)| *item as usize >= items || *class as usize >= classes);
    match wrong {
        Some(&(item, class)) => Err(VotesError::Known { item, class, items, classes }),
        None => Ok(()),
    }
}
