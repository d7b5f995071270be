//! Running mean and variance, one per component.

use serde::{Deserialize, Serialize};

/// Gymnasium's and OpenAI Baselines' `RunningMeanStd`: starts at mean 0 and variance 1 with the
/// weight of 1e-4 samples, keeps the population variance, and merges batches by the parallel
/// formula of Chan, Golub and LeVeque. Always `f64`; Gymnasium keeps the statistics of `f32`
/// observations in `f32`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunningMeanStd {
    mean: Vec<f64>,
    variance: Vec<f64>,
    count: f64,
}

impl RunningMeanStd {
    /// Samples that the initial mean and variance weigh.
    const INITIAL_COUNT: f64 = 1e-4;

    /// Statistics of `dim` components before any sample.
    #[must_use]
    pub fn new(dim: usize) -> Self {
        Self { mean: vec![0.0; dim], variance: vec![1.0; dim], count: Self::INITIAL_COUNT }
    }

    /// Takes one sample into account: a batch of one, whose own variance is 0.
    pub fn update(&mut self, sample: &[f64]) {
        self.merge_moments(sample.iter().map(|&value| (value, 0.0)), 1.0);
    }

    /// Takes a batch into account, given the mean and population variance of each component.
    pub fn merge(&mut self, batch_mean: &[f64], batch_variance: &[f64], batch_count: f64) {
        let moments = batch_mean.iter().copied().zip(batch_variance.iter().copied());
        self.merge_moments(moments, batch_count);
    }

    fn merge_moments(&mut self, moments: impl Iterator<Item = (f64, f64)>, batch_count: f64) {
        let total = self.count + batch_count;
        let running = self.mean.iter_mut().zip(&mut self.variance);
        for ((mean, variance), (batch_mean, batch_variance)) in running.zip(moments) {
            let delta = batch_mean - *mean;
            *mean += delta * batch_count / total;
            let sum_of_squares = *variance * self.count
                + batch_variance * batch_count
                + delta * delta * self.count * batch_count / total;
            *variance = sum_of_squares / total;
        }
        self.count = total;
    }

    /// Mean of each component.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Population variance of each component.
    #[must_use]
    pub fn variance(&self) -> &[f64] {
        &self.variance
    }

    /// Samples seen, plus the initial 1e-4.
    #[must_use]
    pub fn count(&self) -> f64 {
        self.count
    }
}

/// Welford's running mean and unbiased variance, as in the code released with "Implementation
/// Matters" (Engstrom et al. 2020): with a single sample the variance is the square of the mean.
/// Before the first sample the mean is 0 and the standard deviation 1, which the release never
/// asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welford {
    count: u64,
    mean: Vec<f64>,
    sum_of_squares: Vec<f64>,
}

impl Welford {
    /// Statistics of `dim` components before any sample.
    #[must_use]
    pub fn new(dim: usize) -> Self {
        Self { count: 0, mean: vec![0.0; dim], sum_of_squares: vec![0.0; dim] }
    }

    /// Takes one sample into account.
    pub fn update(&mut self, sample: &[f64]) {
        self.count += 1;
        let count = self.count as f64;
        let running = self.mean.iter_mut().zip(&mut self.sum_of_squares);
        for ((mean, sum_of_squares), &value) in running.zip(sample) {
            if self.count == 1 {
                *mean = value;
            } else {
                let delta = value - *mean;
                *mean += delta / count;
                *sum_of_squares += delta * (value - *mean);
            }
        }
    }

    /// Samples seen.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Mean of each component.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Standard deviation of each component.
    pub fn std(&self) -> impl Iterator<Item = f64> + '_ {
        self.mean.iter().zip(&self.sum_of_squares).map(|(mean, sum_of_squares)| match self.count {
            0 => 1.0,
            1 => (mean * mean).sqrt(),
            count => (sum_of_squares / (count - 1) as f64).sqrt(),
        })
    }
}
