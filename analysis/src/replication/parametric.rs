//! The parametric estimate (Section 5.3 of the paper): true frequencies as a mixture of beta
//! distributions, a model's accuracy given the frequency as a spline.

use clarabel::algebra::CscMatrix;
use clarabel::solver::{
    DefaultSettingsBuilder, DefaultSolver, IPSolver, NonnegativeConeT, SolverStatus, ZeroConeT,
};

use super::{Counts, ReplicationError, small};
use crate::student::incomplete_beta;
use crate::{BetaBinomial, FittedMixture, MixtureOptions, fit_mixture};

/// Where the third derivative of a spline may jump.
const KNOTS: [f64; 3] = [0.5, 0.7, 0.9];
/// Coefficients of a spline: a cubic, and one for each knot.
const TERMS: usize = 4 + KNOTS.len();
/// Least accuracy at a frequency, as in the released code.
const LEAST: f64 = 2e-6;
/// Intervals between the frequencies at which a spline is held between its bounds.
const GRID: u32 = 500;
/// Residuals are of the order of a thousandth: this brings their squares to the solver's scale.
const SCALE: f64 = 1e3;

/// A model's accuracy as a function of the true selection frequency: a cubic spline with knots at 0.5,
/// 0.7 and 0.9, in truncated powers `1, s, s^2, s^3, (s - .5)+^3, (s - .7)+^3, (s - .9)+^3`.
#[derive(Clone, Debug, PartialEq)]
pub struct Spline {
    /// Its coefficients, in that order.
    pub coefficients: [f64; TERMS],
    /// Sum of the squared residuals that it leaves.
    pub residual: f64,
}

impl Spline {
    /// Its value at a frequency.
    pub fn at(&self, frequency: f64) -> f64 {
        basis(frequency).iter().zip(self.coefficients).map(|(term, c)| term * c).sum()
    }
}

fn basis(s: f64) -> [f64; TERMS] {
    let above = KNOTS.map(|knot| (s - knot).max(0.0).powi(3));
    [1.0, s, s * s, s.powi(3), above[0], above[1], above[2]]
}

/// How the parametric estimate is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParametricOptions {
    /// How the mixtures are fitted.
    pub mixture: MixtureOptions,
}

/// The parametric estimate.
#[derive(Clone, Debug, PartialEq)]
pub struct Parametric {
    /// True frequencies of the reference.
    pub reference: FittedMixture,
    /// True frequencies of the replication.
    pub replication: FittedMixture,
    /// By model, its accuracy on the replication given the true frequency.
    pub splines: Vec<Spline>,
    /// By model, the adjusted accuracy: the spline's mean over the reference's frequencies.
    pub accuracy: Vec<f64>,
}

impl Parametric {
    /// What a number of annotators would see of the reference and of the replication, in expectation
    /// under the fit; also of more annotators than it was made from. Accuracy given the frequency is
    /// the replication's for both, so that the reference's is the adjusted one.
    pub fn counts(&self, annotators: usize) -> (Counts, Counts) {
        let of = |mixture: &FittedMixture| {
            let terms = design(mixture, annotators);
            let right = |spline: &Spline| {
                let value = |row: &[f64; TERMS]| {
                    row.iter().zip(spline.coefficients).map(|(term, c)| term * c).sum()
                };
                terms.iter().map(value).collect()
            };
            Counts {
                // The first term is the constant.
                probability: terms.iter().map(|row| row[0]).collect(),
                correct: self.splines.iter().map(right).collect(),
            }
        };
        (of(&self.reference), of(&self.replication))
    }
}

/// The parametric estimate of every model's adjusted accuracy.
///
/// Both mixtures are fitted by their marginal likelihood, of several starts the best; the released
/// code keeps the start with the best weighted complete-data likelihood instead. A spline is fitted to
/// the numbers of selections of correctly predicted images by least squares, held within
/// `[2e-6, 1]` on a grid. Integrals over frequencies are exact sums of incomplete beta functions where
/// the released code sums over a grid of 1000 points, which densities that are infinite at 0 or 1 upset.
///
/// # Errors
/// When a dataset is empty, or a quadratic programme is not solved.
pub fn parametric(
    reference: &Counts,
    replication: &Counts,
    options: &ParametricOptions,
) -> Result<Parametric, ReplicationError> {
    let fit = |counts: &Counts, name: &'static str| {
        let n = counts.annotators() as u64;
        let histogram: Vec<((u64, u64), f64)> =
            (0..).zip(&counts.probability).map(|(k, p)| ((n, k), *p)).collect();
        fit_mixture(&histogram, &options.mixture).ok_or(ReplicationError::Empty(name))
    };
    let reference = fit(reference, "the reference")?;
    let mixture = fit(replication, "the replication")?;
    let design = design(&mixture, replication.annotators());
    let splines = replication
        .correct
        .iter()
        .enumerate()
        .map(|(model, correct)| spline(&design, correct, model))
        .collect::<Result<Vec<Spline>, _>>()?;
    let mut means = [0.0; TERMS];
    for (weight, of) in &reference.components {
        let moments = match of.alpha().zip(of.beta()) {
            Some((alpha, beta)) => moments(alpha, beta),
            None => basis(of.mean()),
        };
        for (mean, moment) in means.iter_mut().zip(moments) {
            *mean += weight * moment;
        }
    }
    let accuracy = splines
        .iter()
        .map(|spline| spline.coefficients.iter().zip(means).map(|(c, mean)| c * mean).sum())
        .collect();
    Ok(Parametric { reference, replication: mixture, splines, accuracy })
}

/// Means of the spline's terms under a beta distribution.
fn moments(alpha: f64, beta: f64) -> [f64; TERMS] {
    let mut raw = [1.0; 4];
    for degree in 1..4 {
        let before = small(degree - 1);
        raw[degree] = raw[degree - 1] * (alpha + before) / (alpha + beta + before);
    }
    let above = KNOTS.map(|knot| {
        // (s - t)^3 = s^3 - 3 t s^2 + 3 t^2 s - t^3, each power over s > t alone.
        let factors = [-knot.powi(3), 3.0 * knot * knot, -3.0 * knot, 1.0];
        let mean: f64 = (0..4)
            .map(|degree| {
                let tail = incomplete_beta(beta, alpha + small(degree), 1.0 - knot, knot);
                factors[degree] * raw[degree] * tail
            })
            .sum();
        mean.max(0.0)
    });
    [raw[0], raw[1], raw[2], raw[3], above[0], above[1], above[2]]
}

/// By number of selections, what each term of a spline adds to the share of images that are selected
/// so often and predicted correctly.
fn design(mixture: &FittedMixture, annotators: usize) -> Vec<[f64; TERMS]> {
    (0..=annotators)
        .map(|k| {
            let mut row = [0.0; TERMS];
            for (weight, of) in &mixture.components {
                let share = weight * BetaBinomial::log_pmf(*of, k as u64, annotators as u64).exp();
                let terms = match of.alpha().zip(of.beta()) {
                    Some((alpha, beta)) => moments(alpha + small(k), beta + small(annotators - k)),
                    None => basis(of.mean()),
                };
                for (sum, term) in row.iter_mut().zip(terms) {
                    *sum += share * term;
                }
            }
            row
        })
        .collect()
}

/// The spline that is closest to a histogram, within its bounds: variables are its coefficients and the
/// residuals, whose sum of squares is minimised.
fn spline(
    design: &[[f64; TERMS]],
    correct: &[f64],
    model: usize,
) -> Result<Spline, ReplicationError> {
    let failed = |status: String| ReplicationError::Spline { model, status };
    let rows = design.len();
    let variables = TERMS + rows;
    let (mut row_of, mut column_of, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut entry = |row: usize, column: usize, value: f64| {
        if value != 0.0 {
            row_of.push(row);
            column_of.push(column);
            values.push(value);
        }
    };
    let mut bounds = Vec::new();
    for (k, (terms, target)) in design.iter().zip(correct).enumerate() {
        for (column, term) in terms.iter().enumerate() {
            entry(k, column, term * SCALE);
        }
        entry(k, TERMS + k, -1.0);
        bounds.push(target * SCALE);
    }
    for point in 0..=GRID {
        let terms = basis(f64::from(point) / f64::from(GRID));
        let row = bounds.len();
        for (column, term) in terms.iter().enumerate() {
            entry(row, column, *term);
            entry(row + 1, column, -term);
        }
        bounds.extend([1.0, -LEAST]);
    }
    let constraints =
        CscMatrix::new_from_triplets(bounds.len(), variables, row_of, column_of, values);
    let diagonal: Vec<usize> = (TERMS..variables).collect();
    let objective = CscMatrix::new_from_triplets(
        variables,
        variables,
        diagonal.clone(),
        diagonal,
        vec![1.0; rows],
    );
    let cones = [ZeroConeT(rows), NonnegativeConeT(bounds.len() - rows)];
    let settings = DefaultSettingsBuilder::default()
        .verbose(false)
        .tol_gap_abs(1e-10)
        .tol_gap_rel(1e-10)
        .tol_feas(1e-10)
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let linear = vec![0.0; variables];
    let mut solver =
        DefaultSolver::new(&objective, &linear, &constraints, &bounds, &cones, settings)
            .map_err(|error| failed(error.to_string()))?;
    solver.solve();
    if !matches!(solver.solution.status, SolverStatus::Solved | SolverStatus::AlmostSolved) {
        return Err(failed(format!("{:?}", solver.solution.status)));
    }
    let found = solver.solution.x.split_at(TERMS);
    let mut coefficients = [0.0; TERMS];
    coefficients.copy_from_slice(found.0);
    let residual = found.1.iter().map(|residual| (residual / SCALE).powi(2)).sum();
    Ok(Spline { coefficients, residual })
}
