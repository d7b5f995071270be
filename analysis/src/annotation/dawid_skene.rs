//! The model of Dawid and Skene, and the same with raters that are drawn from one population.

use statrs::function::gamma::digamma;

use super::votes::{Stopping, Votes, VotesError, check_known, clamp, expected, normalise, softmax};

/// Smallest probability that enters a logarithm.
const SMALLEST: f64 = 1e-10;
/// Steps in which a Dirichlet distribution is fitted, in every iteration.
const DIRICHLET_STEPS: usize = 5;
/// Bounds of a Dirichlet parameter: far more than the data can tell.
const DIRICHLET: (f64, f64) = (1e-3, 1e6);

/// How [`dawid_skene`] and [`pooled_dawid_skene`] estimate.
#[derive(Clone, Copy, Debug)]
pub struct DawidSkeneOptions<'a> {
    /// Number of classes that an item can be of; answers may be others.
    pub classes: usize,
    /// How far an answer speaks for a class, `[answers × classes]`: where the iteration starts, as
    /// [`expected`] has it.
    pub evidence: &'a [f64],
    /// Votes that are added to every cell of every rater's confusion matrix, and items that are
    /// added to every class.
    pub smoothing: f64,
    /// Items whose class is known, with it.
    pub known: &'a [(u32, u32)],
    /// When to end.
    pub stopping: Stopping,
}

/// What [`dawid_skene`] finds.
#[derive(Clone, Debug)]
pub struct DawidSkene {
    /// Probability of every class of every item, `[items × classes]`.
    pub posterior: Vec<f64>,
    /// Share of every class.
    pub prior: Vec<f64>,
    /// Probability of every answer of every rater to an item of every class,
    /// `[raters × classes × answers]`.
    pub confusion: Vec<f64>,
    /// Logarithm of the probability of the votes after every iteration; without smoothing it never
    /// falls.
    pub log_likelihoods: Vec<f64>,
    /// Whether it ended by the tolerance.
    pub converged: bool,
}

/// Estimates classes and raters' confusion matrices together by expectation-maximisation (Dawid and
/// Skene 1979, Applied Statistics 28, 20-28): votes on an item are independent given its class, and
/// each rater answers by a matrix of its own.
///
/// # Errors
/// When votes or known items name what does not exist, or the evidence has another shape.
pub fn dawid_skene(
    votes: &Votes<'_>,
    options: &DawidSkeneOptions<'_>,
) -> Result<DawidSkene, VotesError> {
    let (classes, answers) = (options.classes, votes.answers);
    check_known(options.known, votes.items, classes)?;
    let mut posterior = expected(votes, classes, options.evidence)?;
    clamp(&mut posterior, classes, options.known);
    let (mut prior, mut confusion) = (Vec::new(), Vec::new());
    let mut log_likelihoods = Vec::new();
    for _ in 0..options.stopping.iterations {
        prior = class_counts(&posterior, classes);
        for share in &mut prior {
            *share += options.smoothing;
        }
        normalise(&mut prior);
        confusion = answer_counts(votes, &posterior, classes);
        for row in confusion.chunks_exact_mut(answers) {
            for cell in row.iter_mut() {
                *cell += options.smoothing;
            }
            normalise(row);
        }
        let logs: Vec<f64> = confusion.iter().map(|cell| cell.max(SMALLEST).ln()).collect();
        let starts: Vec<f64> = prior.iter().map(|share| share.max(SMALLEST).ln()).collect();
        let (next, likelihood) = posteriors(votes, &starts, &logs, options.known);
        let change = largest_change(&posterior, &next);
        posterior = next;
        log_likelihoods.push(likelihood);
        if change <= options.stopping.tolerance {
            return Ok(DawidSkene {
                posterior,
                prior,
                confusion,
                log_likelihoods,
                converged: true,
            });
        }
    }
    Ok(DawidSkene { posterior, prior, confusion, log_likelihoods, converged: false })
}

/// What [`pooled_dawid_skene`] finds.
#[derive(Clone, Debug)]
pub struct PooledDawidSkene {
    /// Probability of every class of every item, `[items × classes]`.
    pub posterior: Vec<f64>,
    /// Mean share of every class.
    pub prior: Vec<f64>,
    /// Mean probability of every answer of every rater to an item of every class,
    /// `[raters × classes × answers]`.
    pub confusion: Vec<f64>,
    /// Parameters of the Dirichlet distribution that raters' rows are drawn from,
    /// `[classes × answers]`: a row's direction is the mean rater, its sum how alike raters are.
    pub population: Vec<f64>,
    /// Lower bound on the logarithm of the probability of the votes after every iteration; it never
    /// falls.
    pub lower_bounds: Vec<f64>,
    /// Whether it ended by the tolerance.
    pub converged: bool,
}

/// Dawid and Skene's model with raters that are drawn from one population, so that a rater with few
/// votes is believed to be like the others.
///
/// The row of a rater's confusion matrix for a class has a Dirichlet distribution that all raters
/// share, and whose parameters are estimated: Carpenter 2008 ("Multilevel Bayesian models of
/// categorical data annotation") pools raters by beta distributions in this way, Paun et al. 2018
/// (TACL 6, 571-585, "HierD&S") by normal distributions of logits.
/// Classes and matrices are integrated over by variational Bayes, as in Bayesian classifier
/// combination (Kim and Ghahramani 2012, AISTATS); the Dirichlet distributions are fitted to the
/// expected logarithms by Minka's fixed point (2000, "Estimating a Dirichlet distribution").
/// `smoothing` is the prior of the shares of classes (at least a tiny one), and where the population
/// starts.
///
/// # Errors
/// As [`dawid_skene`].
pub fn pooled_dawid_skene(
    votes: &Votes<'_>,
    options: &DawidSkeneOptions<'_>,
) -> Result<PooledDawidSkene, VotesError> {
    let (classes, answers) = (options.classes, votes.answers);
    check_known(options.known, votes.items, classes)?;
    let mut posterior = expected(votes, classes, options.evidence)?;
    clamp(&mut posterior, classes, options.known);
    let smoothing = options.smoothing.max(DIRICHLET.0);
    let class_prior = vec![smoothing; classes];
    let mut population = vec![smoothing; classes * answers];
    let mut confusion = Vec::new();
    let mut lower_bounds = Vec::new();
    let mut converged = false;
    while lower_bounds.len() < options.stopping.iterations && !converged {
        let mut shares = class_counts(&posterior, classes);
        add(&mut shares, &class_prior);
        let starts = expected_logs(&shares, classes);
        confusion = answer_counts(votes, &posterior, classes);
        for matrix in confusion.chunks_exact_mut(classes * answers) {
            add(matrix, &population);
        }
        let logs = expected_logs(&confusion, answers);
        fit_population(&mut population, &logs, answers);
        let of_raters: f64 = confusion
            .chunks_exact(classes * answers)
            .zip(logs.chunks_exact(classes * answers))
            .map(|(matrix, logs)| divergence(matrix, logs, &population, answers))
            .sum();
        let (next, likelihood) = posteriors(votes, &starts, &logs, options.known);
        lower_bounds
            .push(likelihood - divergence(&shares, &starts, &class_prior, classes) - of_raters);
        converged = largest_change(&posterior, &next) <= options.stopping.tolerance;
        posterior = next;
    }
    let mut prior = class_counts(&posterior, classes);
    add(&mut prior, &class_prior);
    normalise(&mut prior);
    for row in confusion.chunks_exact_mut(answers) {
        normalise(row);
    }
    Ok(PooledDawidSkene { posterior, prior, confusion, population, lower_bounds, converged })
}

/// Expected number of items of every class.
fn class_counts(posterior: &[f64], classes: usize) -> Vec<f64> {
    let mut counts = vec![0.0; classes];
    for row in posterior.chunks_exact(classes) {
        add(&mut counts, row);
    }
    counts
}

/// Expected number of every answer of every rater to items of every class,
/// `[raters × classes × answers]`.
fn answer_counts(votes: &Votes<'_>, posterior: &[f64], classes: usize) -> Vec<f64> {
    let mut counts = vec![0.0; votes.raters * classes * votes.answers];
    for vote in votes.votes {
        for class in 0..classes {
            let cell = (vote.rater as usize * classes + class) * votes.answers;
            counts[cell + vote.answer as usize] += posterior[vote.item as usize * classes + class];
        }
    }
    counts
}

/// The probability of every class of every item, and the logarithm of that of all votes. Items whose
/// class is known have no choice.
fn posteriors(
    votes: &Votes<'_>,
    starts: &[f64],
    logs: &[f64],
    known: &[(u32, u32)],
) -> (Vec<f64>, f64) {
    let classes = starts.len();
    let mut joint: Vec<f64> = starts.iter().copied().cycle().take(votes.items * classes).collect();
    for vote in votes.votes {
        for class in 0..classes {
            let cell = (vote.rater as usize * classes + class) * votes.answers;
            joint[vote.item as usize * classes + class] += logs[cell + vote.answer as usize];
        }
    }
    for (item, class) in known {
        let row = &mut joint[*item as usize * classes..][..classes];
        for (other, value) in row.iter_mut().enumerate() {
            if other != *class as usize {
                *value = f64::NEG_INFINITY;
            }
        }
    }
    let likelihood = joint.chunks_exact_mut(classes).map(softmax).sum();
    (joint, likelihood)
}

fn largest_change(before: &[f64], after: &[f64]) -> f64 {
    before.iter().zip(after).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn add(to: &mut [f64], what: &[f64]) {
    for (sum, value) in to.iter_mut().zip(what) {
        *sum += value;
    }
}

/// Expected logarithms of the probabilities of Dirichlet distributions, each with `width`
/// parameters.
fn expected_logs(parameters: &[f64], width: usize) -> Vec<f64> {
    let mut logs = Vec::with_capacity(parameters.len());
    for row in parameters.chunks_exact(width) {
        let whole = digamma(row.iter().sum());
        logs.extend(row.iter().map(|parameter| digamma(*parameter) - whole));
    }
    logs
}

/// The Kullback-Leibler divergence of Dirichlet distributions from others, summed; `logs` are the
/// former's expected logarithms.
fn divergence(parameters: &[f64], logs: &[f64], from: &[f64], width: usize) -> f64 {
    let log_normaliser = |row: &[f64]| {
        row.iter().map(|parameter| libm::lgamma(*parameter)).sum::<f64>()
            - libm::lgamma(row.iter().sum())
    };
    let rows = parameters.chunks_exact(width).zip(logs.chunks_exact(width));
    rows.zip(from.chunks_exact(width))
        .map(|((row, logs), from)| {
            let moved: f64 =
                row.iter().zip(from).zip(logs).map(|((a, b), log)| (a - b) * log).sum();
            log_normaliser(from) - log_normaliser(row) + moved
        })
        .sum()
}

/// Fits the distribution that raters' rows are drawn from to their expected logarithms.
fn fit_population(population: &mut [f64], logs: &[f64], answers: usize) {
    let mut means = vec![0.0; population.len()];
    let matrices = logs.chunks_exact(population.len());
    let raters = super::super::estimator::count(matrices.len());
    for matrix in matrices {
        add(&mut means, matrix);
    }
    for (row, means) in population.chunks_exact_mut(answers).zip(means.chunks_exact(answers)) {
        for _ in 0..DIRICHLET_STEPS {
            let whole = digamma(row.iter().sum());
            for (parameter, mean) in row.iter_mut().zip(means) {
                *parameter = inverse_digamma(whole + mean / raters).clamp(DIRICHLET.0, DIRICHLET.1);
            }
        }
    }
}

/// Minka 2000, appendix C: a start that is nearly right, and five of Newton's steps.
fn inverse_digamma(y: f64) -> f64 {
    let mut x = if y >= -2.22 { y.exp() + 0.5 } else { -1.0 / (y - digamma(1.0)) };
    for _ in 0..5 {
        x -= (digamma(x) - y) / trigamma(x);
    }
    x
}

/// The derivative of the digamma function, for positive numbers: recurrence up to 10, then the
/// asymptotic series (Abramowitz and Stegun 6.4.6, 6.4.12).
fn trigamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 10.0 {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = 1.0 / 6.0 - square * (1.0 / 30.0 - square * (1.0 / 42.0 - square / 30.0));
    sum + 1.0 / x + square / 2.0 + square / x * series
}

#[cfg(test)]
mod tests {
    use super::{digamma, inverse_digamma, trigamma};

    #[test]
    fn trigamma_and_the_inverse_of_digamma() {
        // pi^2 / 6 and pi^2 / 2.
        assert!((trigamma(1.0) - 1.644_934_066_848_226_4).abs() < 1e-12);
        assert!((trigamma(0.5) - 4.934_802_200_544_679).abs() < 1e-12);
        for x in [0.01, 0.3, 1.0, 7.5, 400.0] {
            assert!((inverse_digamma(digamma(x)) / x - 1.0).abs() < 1e-9, "{x}");
        }
    }
}
