//! What the paper and its sibling measure beside training.
//!
//! Trust regions (Engstrom et al. 2020, figures 2-4), and the errors of value functions, the quality
//! of gradient estimates, the use of baselines and the landscapes around an update (Ilyas et al.
//! 2020, "A Closer Look at Deep Policy Gradients").
//!
//! Everything is measured on frozen copies: fresh environments, the normalisers as they stand after
//! the iteration's rollout, parameters from before and after its update, and streams of
//! [`Purpose::Diagnostics`]. Training never notices; the copies always compute on the host.

use envs::{EnvError, Purpose, Streams};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::learner::LearnerError;
use super::rollout::{ActError, Agent, Rollout};
use super::train::TrainError;
use super::update::UpdateState;
use super::validate::ValidAgentConfig;
use crate::network::Parameters;

mod gradients;
mod landscapes;
mod probe;
mod updates;

pub use gradients::{Baseline, BaselineRow, GradientRow};
pub use landscapes::LandscapeRow;
pub use updates::{Distance, TrustRegionRow, ValueError, ValueErrorRow};

/// Measurements of one agent, in order of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Diagnostics {
    /// How far updates moved the policy.
    pub trust_region: Vec<TrustRegionRow>,
    /// How far the value function is from what it should say.
    pub value_errors: Vec<ValueErrorRow>,
    /// How well gradient estimates agree.
    pub gradients: Vec<GradientRow>,
    /// The same with different baselines.
    pub baselines: Vec<BaselineRow>,
    /// Objectives around an update.
    pub landscapes: Vec<LandscapeRow>,
}

impl Diagnostics {
    pub(super) fn append(&mut self, mut later: Self) {
        self.trust_region.append(&mut later.trust_region);
        self.value_errors.append(&mut later.value_errors);
        self.gradients.append(&mut later.gradients);
        self.baselines.append(&mut later.baselines);
        self.landscapes.append(&mut later.landscapes);
    }
}

/// One agent's iteration, seen from outside.
pub(super) struct Moment<'a> {
    pub(super) iteration: usize,
    pub(super) agent: &'a Agent,
    pub(super) rollout: &'a Rollout,
    /// Parameters that the rollout was drawn with.
    pub(super) before: &'a Parameters,
    /// Parameters after the update.
    pub(super) after: &'a Parameters,
    pub(super) state_before: UpdateState,
    pub(super) state_after: UpdateState,
}

/// What a stream of diagnostics is for. The numbers are part of its index: never change or reuse one.
#[derive(Clone, Copy)]
#[repr(u64)]
enum Use {
    Heldout = 0,
    Gradients = 1,
    Reference = 2,
    Baselines = 3,
    BaselineFit = 4,
    Direction = 5,
    Surrogate = 6,
    Return = 7,
}

/// Why a measurement stopped.
enum Halt {
    /// The policy's output is not finite: there is nothing to measure.
    NonFinite,
    Failed(TrainError),
}

impl From<ActError> for Halt {
    fn from(error: ActError) -> Self {
        match error {
            ActError::NonFinite => Self::NonFinite,
            ActError::Environment(error) => error.into(),
        }
    }
}

impl From<EnvError> for Halt {
    fn from(error: EnvError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<LearnerError> for Halt {
    fn from(error: LearnerError) -> Self {
        Self::Failed(error.into())
    }
}

/// Whether an iteration has anything to measure.
pub(super) fn due(config: &ValidAgentConfig, iteration: usize) -> bool {
    updates_due(config, iteration) || estimates_due(config, iteration)
}

fn updates_due(config: &ValidAgentConfig, iteration: usize) -> bool {
    (config.diagnose_trust_region || config.diagnose_value_error)
        && iteration.is_multiple_of(config.diagnose_every)
}

fn estimates_due(config: &ValidAgentConfig, iteration: usize) -> bool {
    (config.diagnose_gradients || config.diagnose_baselines || config.diagnose_landscapes)
        && config.diagnostic_iterations.contains(&iteration)
}

/// Measures what the agent's configuration asks for in this iteration.
///
/// # Errors
/// When an environment or the device fails. Of a policy that is not finite nothing more is
/// measured.
pub(super) fn measure(moment: &Moment<'_>) -> Result<Diagnostics, TrainError> {
    let mut found = Diagnostics::default();
    match moment.measure(&mut found) {
        Ok(()) | Err(Halt::NonFinite) => Ok(found),
        Err(Halt::Failed(error)) => Err(error),
    }
}

impl Moment<'_> {
    fn measure(&self, found: &mut Diagnostics) -> Result<(), Halt> {
        let config = self.config();
        if updates_due(config, self.iteration) {
            self.update(found)?;
        }
        if estimates_due(config, self.iteration) {
            if config.diagnose_gradients {
                self.gradients(found)?;
            }
            if config.diagnose_baselines {
                self.baselines(found)?;
            }
            if config.diagnose_landscapes {
                self.landscapes(found)?;
            }
        }
        Ok(())
    }

    fn config(&self) -> &ValidAgentConfig {
        self.agent.config()
    }

    /// The iteration as tables hold it.
    fn label(&self) -> u32 {
        // Iterations are far fewer than 2^32.
        #[allow(clippy::cast_possible_truncation)]
        let label = self.iteration as u32;
        label
    }

    fn rng(&self, use_: Use, counter: u64) -> impl Rng + use<> {
        let streams: &Streams = self.agent.streams();
        // Counters stay below 2^32 and iterations below 2^24, so the fields never overlap.
        let index = (use_ as u64) << 56 | (self.iteration as u64) << 32 | counter;
        streams.rng(Purpose::Diagnostics, index)
    }

    /// Fresh data of the policy from before the update, in segments like the agent's own rollouts;
    /// each is handed to `take`.
    fn draw(
        &self,
        samples: usize,
        mut rng: impl Rng,
        mut take: impl FnMut(Rollout) -> Result<(), Halt>,
    ) -> Result<(), Halt> {
        let mut copy = self.agent.frozen_copy(rng.random())?;
        let mut left = samples;
        while left > 0 {
            let length = left.min(self.config().rollout_length);
            left -= length;
            take(copy.roll_steps(&self.before.policy, length, &mut rng)?)?;
        }
        Ok(())
    }
}

/// Discounted sum of a segment's scaled rewards from each sample to the end of its episode, however
/// that ends; `None` where the segment ends first.
fn returns(gamma: f64, rollout: &Rollout, length: usize) -> Vec<Option<f64>> {
    let mut result = vec![None; rollout.rewards.len()];
    for (segment, first) in (0..rollout.rewards.len()).step_by(length).enumerate() {
        let mut sum = None;
        for index in (first..(segment + 1) * length).rev() {
            if rollout.terminated[index] || rollout.truncated[index] {
                sum = Some(0.0);
            }
            sum = sum.map(|sum: f64| f64::from(rollout.rewards[index]) + gamma * sum);
            result[index] = sum;
        }
    }
    result
}

fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value;
        count += 1.0;
    }
    (count > 0.0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use super::returns;
    use crate::policy_gradient::rollout::Rollout;

    /// Two segments of three; by hand.
    #[test]
    fn returns_end_with_the_episode_and_are_unknown_after_the_last_one() {
        let rollout = Rollout {
            rewards: vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
            terminated: vec![false, true, false, false, false, false],
            truncated: vec![false, false, false, false, false, true],
            ..Rollout::default()
        };
        let found = returns(0.5, &rollout, 3);
        assert_eq!(found, [Some(2.0), Some(2.0), None, Some(24.0), Some(32.0), Some(32.0)]);
    }
}
