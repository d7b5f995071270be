//! Normalisation and clipping of observations.

use serde::{Deserialize, Serialize};

use super::{EPSILON, RunningMeanStd, Welford, clip};

flags::levels! {
    /// Running normalisation of observations.
    pub enum ObservationNormalization {
        /// Observations as they come.
        None = "none",
        /// (x - mean) / (std + 1e-8) with the unbiased running variance (release).
        Release = "release",
        /// (x - mean) / sqrt(var + 1e-8), population variance, initial count 1e-4 (Gymnasium `NormalizeObservation`, baselines `VecNormalize`, CleanRL).
        Gymnasium = "gymnasium",
    }
}

flags::levels! {
    /// Whether an observation enters the running statistics before or after it is normalised.
    pub enum StatisticsOrder {
        /// The statistics see the observation first (every published implementation).
        UpdateThenUse = "update-then-use",
        /// The observation is normalised by what was known before it; the first one stays practically unchanged (mean 0, std 1).
        UseThenUpdate = "use-then-update",
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Statistics {
    None,
    Release(Welford),
    Gymnasium(RunningMeanStd),
}

/// Running normalisation of observations, then clipping. Clipping is independent: it acts without
/// normalisation too. (In the release it acts only on normalised observations.)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservationNormalizer {
    statistics: Statistics,
    order: StatisticsOrder,
    clip: Option<f64>,
    frozen: bool,
}

impl ObservationNormalizer {
    /// A normaliser for observations of length `dim` that has seen none yet. `clip` limits each
    /// normalised component to `[-clip, clip]` and must be positive; `None` does not limit.
    #[must_use]
    pub fn new(
        variant: ObservationNormalization,
        order: StatisticsOrder,
        clip: Option<f64>,
        dim: usize,
    ) -> Self {
        let statistics = match variant {
            ObservationNormalization::None => Statistics::None,
            ObservationNormalization::Release => Statistics::Release(Welford::new(dim)),
            ObservationNormalization::Gymnasium => Statistics::Gymnasium(RunningMeanStd::new(dim)),
        };
        Self { statistics, order, clip, frozen: false }
    }

    /// The variant.
    #[must_use]
    pub fn variant(&self) -> ObservationNormalization {
        match self.statistics {
            Statistics::None => ObservationNormalization::None,
            Statistics::Release(_) => ObservationNormalization::Release,
            Statistics::Gymnasium(_) => ObservationNormalization::Gymnasium,
        }
    }

    /// Normalises an observation of the training stream, observations of resets included, and
    /// takes it into account unless frozen.
    pub fn observe(&mut self, observation: &[f64], out: &mut [f32]) {
        let update_first = self.order == StatisticsOrder::UpdateThenUse;
        if update_first {
            self.update(observation);
        }
        self.apply_frozen(observation, out);
        if !update_first {
            self.update(observation);
        }
    }

    /// Normalises an observation with the statistics as they are, whether frozen or not.
    pub fn apply_frozen(&self, observation: &[f64], out: &mut [f32]) {
        let clipped = |value: f64| clip(value, self.clip) as f32;
        let pairs = out.iter_mut().zip(observation);
        match &self.statistics {
            Statistics::None => {
                for (out, &value) in pairs {
                    *out = clipped(value);
                }
            }
            Statistics::Release(statistics) => {
                for ((out, value), (mean, std)) in
                    pairs.zip(statistics.mean().iter().zip(statistics.std()))
                {
                    *out = clipped((value - mean) / (std + EPSILON));
                }
            }
            Statistics::Gymnasium(statistics) => {
                for ((out, value), (mean, variance)) in
                    pairs.zip(statistics.mean().iter().zip(statistics.variance()))
                {
                    *out = clipped((value - mean) / (variance + EPSILON).sqrt());
                }
            }
        }
    }

    /// Mean of each component, and the number that its distance from the mean is divided by (its
    /// epsilon included); `None` where observations are not normalised.
    #[must_use]
    pub fn mean_and_scale(&self) -> Option<(Vec<f64>, Vec<f64>)> {
        match &self.statistics {
            Statistics::None => None,
            Statistics::Release(statistics) => {
                let scale = statistics.std().map(|std| std + EPSILON).collect();
                Some((statistics.mean().to_vec(), scale))
            }
            Statistics::Gymnasium(statistics) => {
                let variance = statistics.variance().iter();
                let scale = variance.map(|variance| (variance + EPSILON).sqrt()).collect();
                Some((statistics.mean().to_vec(), scale))
            }
        }
    }

    /// Stops taking observations into account.
    pub fn freeze(&mut self) {
        self.frozen = true;
    }

    /// Takes observations into account again.
    pub fn unfreeze(&mut self) {
        self.frozen = false;
    }

    /// Whether observations are no longer taken into account.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    fn update(&mut self, observation: &[f64]) {
        if self.frozen {
            return;
        }
        match &mut self.statistics {
            Statistics::None => {}
            Statistics::Release(statistics) => statistics.update(observation),
            Statistics::Gymnasium(statistics) => statistics.update(observation),
        }
    }
}
