//! GLAD: raters of different ability and items of different difficulty.

use super::votes::{Stopping, Votes, VotesError, softmax};

/// Steps of Newton's method for one parameter in one M-step at most; the next M-step goes on.
const NEWTON_STEPS: usize = 3;
/// A parameter that moves less has arrived.
const ARRIVED: f64 = 1e-10;

/// How [`glad`] estimates.
#[derive(Clone, Copy, Debug)]
pub struct GladOptions {
    /// When to end.
    pub stopping: Stopping,
    /// Mean of the normal distribution, of variance one, that abilities are drawn from.
    pub ability_mean: f64,
    /// The same of the logarithms of the items' easiness.
    pub easiness_mean: f64,
}

impl Default for GladOptions {
    fn default() -> Self {
        Self { stopping: Stopping::default(), ability_mean: 1.0, easiness_mean: 1.0 }
    }
}

/// What [`glad`] finds.
#[derive(Clone, Debug)]
pub struct Glad {
    /// Probability of every answer of every item to be the true one, `[items × answers]`.
    pub posterior: Vec<f64>,
    /// Ability of every rater; 0 answers at random, negative ones are adversaries.
    pub ability: Vec<f64>,
    /// Logarithm of every item's easiness.
    pub easiness: Vec<f64>,
    /// Iterations that were made.
    pub iterations: usize,
    /// Whether it ended by the tolerance.
    pub converged: bool,
}

/// Estimates true answers, raters' abilities and items' easiness together (GLAD; Whitehill et al.
/// 2009, "Whose vote should count more", NeurIPS): a rater of ability a answers an item of easiness
/// e^b truly with probability 1 / (1 + exp(-a e^b)), and otherwise by any other answer alike.
///
/// All answers are equally likely beforehand. Expectation-maximisation, whose M-step goes by Newton's
/// method over one ability or easiness at a time: given the others, these do not depend on each
/// other.
///
/// # Errors
/// When votes name what does not exist, or there are fewer than two answers.
pub fn glad(votes: &Votes<'_>, options: &GladOptions) -> Result<Glad, VotesError> {
    votes.check()?;
    let answers = votes.answers;
    if answers < 2 {
        return Err(VotesError::Classes(answers));
    }
    let by_rater = grouped(votes.raters, votes.votes.iter().map(|vote| vote.rater));
    let by_item = grouped(votes.items, votes.votes.iter().map(|vote| vote.item));
    let mut ability = vec![options.ability_mean; votes.raters];
    let mut easiness = vec![options.easiness_mean; votes.items];
    let mut posterior = posteriors(votes, &ability, &easiness);
    let (mut iterations, mut converged) = (0, false);
    while iterations < options.stopping.iterations && !converged {
        iterations += 1;
        let right: Vec<f64> = votes
            .votes
            .iter()
            .map(|vote| posterior[vote.item as usize * answers + vote.answer as usize])
            .collect();
        for (value, group) in ability.iter_mut().zip(by_rater.groups()) {
            let terms = group.iter().map(|&vote| {
                let item = votes.votes[vote as usize].item as usize;
                (right[vote as usize], easiness[item].exp())
            });
            // Evaluated several times, so that exponentials are taken once.
            let terms: Vec<(f64, f64)> = terms.collect();
            *value = ascend(*value, options.ability_mean, |at| {
                terms.iter().fold(Local::default(), |sum, &(right, slope)| {
                    sum.plus(right, at * slope, slope)
                })
            });
        }
        for (value, group) in easiness.iter_mut().zip(by_item.groups()) {
            *value = ascend(*value, options.easiness_mean, |at| {
                let scale = at.exp();
                group.iter().fold(Local::default(), |sum, &vote| {
                    let rater = votes.votes[vote as usize].rater as usize;
                    let odds = ability[rater] * scale;
                    sum.plus(right[vote as usize], odds, odds)
                })
            });
        }
        let next = posteriors(votes, &ability, &easiness);
        let change = posterior.iter().zip(&next).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        posterior = next;
        converged = change <= options.stopping.tolerance;
    }
    Ok(Glad { posterior, ability, easiness, iterations, converged })
}

/// Sums over votes of what one parameter's objective needs.
#[derive(Clone, Copy, Default)]
struct Local {
    value: f64,
    slope: f64,
    /// Expected curvature, not negative.
    curvature: f64,
}

impl Local {
    /// Adds a vote that is right with a probability, where the log odds that it is are `odds` and
    /// move with the parameter by `rate`.
    fn plus(self, right: f64, odds: f64, rate: f64) -> Self {
        let sigma = 1.0 / (1.0 + (-odds).exp());
        Self {
            value: self.value - right * softplus(-odds) - (1.0 - right) * softplus(odds),
            slope: self.slope + (right - sigma) * rate,
            curvature: self.curvature + sigma * (1.0 - sigma) * rate * rate,
        }
    }
}

/// The maximum of a sum over votes and a normal prior of variance one, by Fisher's scoring with
/// halved steps.
fn ascend(start: f64, mean: f64, at: impl Fn(f64) -> Local) -> f64 {
    let objective = |x: f64, local: Local| local.value - 0.5 * (x - mean).powi(2);
    let mut x = start;
    let mut here = at(x);
    for _ in 0..NEWTON_STEPS {
        let mut step = (here.slope - (x - mean)) / (here.curvature + 1.0);
        let mut next = at(x + step);
        while objective(x + step, next) < objective(x, here) && step.abs() > ARRIVED {
            step *= 0.5;
            next = at(x + step);
        }
        if step.abs() <= ARRIVED {
            break;
        }
        x += step;
        here = next;
    }
    x
}

/// ln(1 + e^x) without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn posteriors(votes: &Votes<'_>, ability: &[f64], easiness: &[f64]) -> Vec<f64> {
    let answers = votes.answers;
    let mut joint = vec![0.0; votes.items * answers];
    // A handful of answers.
    #[allow(clippy::cast_precision_loss)]
    let others = ((answers - 1) as f64).ln();
    for vote in votes.votes {
        let item = vote.item as usize;
        let odds = ability[vote.rater as usize] * easiness[item].exp();
        let (right, wrong) = (-softplus(-odds), -softplus(odds) - others);
        for answer in 0..answers {
            let given = answer == vote.answer as usize;
            joint[item * answers + answer] += if given { right } else { wrong };
        }
    }
    for row in joint.chunks_exact_mut(answers) {
        softmax(row);
    }
    joint
}

/// Positions of votes by what they belong to, in the order of the votes.
struct Grouped {
    starts: Vec<usize>,
    positions: Vec<u32>,
}

impl Grouped {
    fn groups(&self) -> impl Iterator<Item = &[u32]> {
        self.starts.windows(2).map(|ends| &self.positions[ends[0]..ends[1]])
    }
}

fn grouped(groups: usize, of: impl Iterator<Item = u32> + Clone) -> Grouped {
    let mut starts = vec![0; groups + 1];
    for group in of.clone() {
        starts[group as usize + 1] += 1;
    }
    for group in 0..groups {
        starts[group + 1] += starts[group];
    }
    let mut next = starts.clone();
    let mut positions = vec![0; starts[groups]];
    for (position, group) in (0_u32..).zip(of) {
        positions[next[group as usize]] = position;
        next[group as usize] += 1;
    }
    Grouped { starts, positions }
}
