//! Scaling and clipping of rewards.

use serde::{Deserialize, Serialize};

use super::{EPSILON, RunningMeanStd, Welford, clip};

flags::levels! {
    /// How rewards are scaled before they are learned from. All levels but `none` and `rewards-about-mean` divide by the running std of a discounted sum of past rewards, without centring.
    pub enum RewardScaling {
        /// Rewards as they come.
        None = "none",
        /// r / (std + 1e-8) of R = gamma R + r, unbiased; R restarts at every environment reset, forced ones included (release, `returns`).
        DiscountedStdReset = "discounted-std-reset",
        /// The same with an R that never restarts (submission; Engstrom, Algorithm 1).
        DiscountedStd = "discounted-std",
        /// mean + (r - mean) / (std + 1e-8): standardised about the running mean, which is added again (release, `rewards`).
        RewardsAboutMean = "rewards-about-mean",
        /// r / sqrt(var + 1e-8) of R = gamma R (1 - terminated) + r, which survives truncations and resets (Gymnasium `NormalizeReward`, CleanRL).
        Gymnasium = "gymnasium",
        /// r / sqrt(var + 1e-8) of an R that restarts after an episode's last step and at every reset (baselines `VecNormalize`).
        BaselinesVecNormalize = "baselines",
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Statistics {
    None,
    Welford(Welford),
    RunningMeanStd(RunningMeanStd),
}

/// Running scaling of rewards, then clipping. Clipping is independent: it acts without scaling
/// too. (In the release it acts only on scaled rewards.)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RewardNormalizer {
    variant: RewardScaling,
    gamma: f64,
    clip: Option<f64>,
    accumulator: f64,
    statistics: Statistics,
    frozen: bool,
}

impl RewardNormalizer {
    /// A scaler that has seen no reward yet. `gamma` is the discount of the accumulated sum, in
    /// `[0, 1]`; `clip` limits the result to `[-clip, clip]` and must be positive.
    #[must_use]
    pub fn new(variant: RewardScaling, gamma: f64, clip: Option<f64>) -> Self {
        let statistics = match variant {
            RewardScaling::None => Statistics::None,
            RewardScaling::DiscountedStdReset
            | RewardScaling::DiscountedStd
            | RewardScaling::RewardsAboutMean => Statistics::Welford(Welford::new(1)),
            RewardScaling::Gymnasium | RewardScaling::BaselinesVecNormalize => {
                Statistics::RunningMeanStd(RunningMeanStd::new(1))
            }
        };
        Self { variant, gamma, clip, accumulator: 0.0, statistics, frozen: false }
    }

    /// The variant.
    #[must_use]
    pub fn variant(&self) -> RewardScaling {
        self.variant
    }

    /// Scales the reward of one step and takes it into account. `terminated`: the step ended the
    /// task; `done`: it ended the episode, by termination or truncation.
    ///
    /// When frozen the statistics stay as they are; the discounted sum goes on.
    pub fn scale(&mut self, reward: f64, terminated: bool, done: bool) -> f64 {
        let sample = match self.variant {
            RewardScaling::None | RewardScaling::RewardsAboutMean => reward,
            RewardScaling::Gymnasium => {
                let kept = if terminated { 0.0 } else { self.accumulator * self.gamma };
                self.accumulate(kept + reward)
            }
            RewardScaling::DiscountedStdReset
            | RewardScaling::DiscountedStd
            | RewardScaling::BaselinesVecNormalize => {
                self.accumulate(self.accumulator * self.gamma + reward)
            }
        };
        if !self.frozen {
            match &mut self.statistics {
                Statistics::None => {}
                Statistics::Welford(statistics) => statistics.update(&[sample]),
                Statistics::RunningMeanStd(statistics) => statistics.update(&[sample]),
            }
        }
        if done && self.variant == RewardScaling::BaselinesVecNormalize {
            self.accumulator = 0.0;
        }
        clip(self.scaled(reward), self.clip)
    }

    /// To be called at every reset of the environment, forced ones included.
    pub fn reset(&mut self) {
        match self.variant {
            RewardScaling::DiscountedStdReset | RewardScaling::BaselinesVecNormalize => {
                self.accumulator = 0.0;
            }
            RewardScaling::None
            | RewardScaling::DiscountedStd
            | RewardScaling::RewardsAboutMean
            | RewardScaling::Gymnasium => {}
        }
    }

    /// Stops taking rewards into account.
    pub fn freeze(&mut self) {
        self.frozen = true;
    }

    /// Takes rewards into account again.
    pub fn unfreeze(&mut self) {
        self.frozen = false;
    }

    /// Whether rewards are no longer taken into account.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    fn accumulate(&mut self, sum: f64) -> f64 {
        self.accumulator = sum;
        sum
    }

    fn scaled(&self, reward: f64) -> f64 {
        match &self.statistics {
            Statistics::None => reward,
            Statistics::Welford(statistics) => {
                let about_mean = self.variant == RewardScaling::RewardsAboutMean;
                let mean = statistics.mean().iter().copied().next().filter(|_| about_mean);
                let centre = mean.unwrap_or(0.0);
                let std = statistics.std().next().unwrap_or(1.0);
                centre + (reward - centre) / (std + EPSILON)
            }
            Statistics::RunningMeanStd(statistics) => {
                let variance = statistics.variance().iter().copied().next().unwrap_or(1.0);
                reward / (variance + EPSILON).sqrt()
            }
        }
    }
}
