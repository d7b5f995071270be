//! Objectives along an update and a random direction.

use envs::fill_standard_normal;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use super::super::config::AdvantageNormalization;
use super::super::rollout::{ActError, Rollout};
use super::super::update::moments;
use super::probe::{Probe, View};
use super::{Diagnostics, Halt, Moment, Use, mean};
use crate::network::{Parameters, to_f32};

/// Length of both axes: how many updates, and how many random directions.
const LENGTH: f64 = 3.0;
/// Norm of the random direction.
const DIRECTION_NORM: f64 = 2.0;

/// One point of a landscape.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LandscapeRow {
    /// The iteration whose update it surrounds.
    pub iteration: u32,
    /// State-action pairs that each of the two objectives is estimated from.
    pub samples: u64,
    /// Multiple of the update that is added to the parameters from before it.
    pub update: f64,
    /// Multiple of a Gaussian direction of norm 2 that is added.
    pub direction: f64,
    /// Surrogate objective on data of the policy from before the update.
    pub surrogate: f64,
    /// Mean undiscounted return of the episodes that finished; `None` if none did.
    pub return_mean: Option<f64>,
    /// How many those are.
    pub episodes: u32,
}

/// Data that surrogates are estimated from, as the policy before the update sees it.
struct Segment {
    rollout: Rollout,
    view: View,
    advantages: Vec<f64>,
}

impl Moment<'_> {
    pub(super) fn landscapes(&self, found: &mut Diagnostics) -> Result<(), Halt> {
        let config = self.config();
        let update: Vec<f32> =
            self.after.policy.iter().zip(&self.before.policy).map(|(new, old)| new - old).collect();
        let direction = self.direction();
        // At most 1000 points.
        #[allow(clippy::cast_precision_loss)]
        let axis: Vec<f64> = (0..config.landscape_points)
            .map(|point| LENGTH * point as f64 / (config.landscape_points - 1) as f64)
            .collect();
        for (size, samples) in config.landscape_samples.iter().enumerate() {
            let data = self.segments(size, *samples)?;
            let mut points = axis.iter().flat_map(|x| axis.iter().map(move |y| (*x, *y)));
            for (number, (along, across)) in points.by_ref().enumerate() {
                let moved = self.before.policy.iter().zip(&update).zip(&direction);
                let parameters = Parameters {
                    policy: moved
                        .map(|((start, update), direction)| {
                            start + to_f32(along) * update + to_f32(across) * direction
                        })
                        .collect(),
                    value: self.before.value.clone(),
                };
                // At most 2^20 points.
                let stream = (size as u64) << 20 | number as u64;
                let (return_mean, episodes) = self.returns_of(&parameters, *samples, stream)?;
                found.landscapes.push(LandscapeRow {
                    iteration: self.label(),
                    samples: *samples as u64,
                    update: along,
                    direction: across,
                    surrogate: self.surrogate_of(&parameters, &data)?,
                    return_mean,
                    episodes,
                });
            }
        }
        Ok(())
    }

    fn direction(&self) -> Vec<f32> {
        let mut direction = vec![0.0; self.before.policy.len()];
        fill_standard_normal(&mut self.rng(Use::Direction, 0), &mut direction);
        let norm = direction.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        direction.iter_mut().for_each(|x| *x = to_f32(f64::from(*x) * DIRECTION_NORM / norm));
        direction
    }

    /// Fresh data of the policy before the update, advantages normalised over all of it if the agent
    /// normalises at all.
    fn segments(&self, size: usize, samples: usize) -> Result<Vec<Segment>, Halt> {
        let config = self.config();
        let mut probe = Probe::new(config, self.before, self.state_before.target_statistics);
        let mut segments = Vec::new();
        self.draw(samples, self.rng(Use::Surrogate, size as u64), |rollout| {
            let view = probe.look(&rollout)?;
            let advantages = probe.advantages(&rollout, &view, rollout.rewards.len()).advantages;
            segments.push(Segment { rollout, view, advantages });
            Ok(())
        })?;
        if config.advantage_normalization != AdvantageNormalization::None {
            let all: Vec<f64> =
                segments.iter().flat_map(|segment| segment.advantages.iter().copied()).collect();
            let (mean, scale) = moments(&all);
            let entries = segments.iter_mut().flat_map(|segment| &mut segment.advantages);
            entries.for_each(|advantage| *advantage = (*advantage - mean) / scale);
        }
        Ok(segments)
    }

    /// Mean of ratio times advantage.
    fn surrogate_of(&self, parameters: &Parameters, data: &[Segment]) -> Result<f64, Halt> {
        let statistics = self.state_before.target_statistics;
        let mut probe = Probe::new(self.config(), parameters, statistics);
        let mut terms = Vec::new();
        for segment in data {
            let new = probe.look(&segment.rollout)?.log_probs;
            let ratios = new.iter().zip(&segment.view.log_probs);
            let weighted = ratios.zip(&segment.advantages);
            terms.extend(
                weighted
                    .map(|((new, old), advantage)| f64::from(libm::expf(new - old)) * advantage),
            );
        }
        Ok(mean(terms).unwrap_or(f64::NAN))
    }

    /// Mean return of a policy over the episodes that finish within `samples` steps.
    fn returns_of(
        &self,
        parameters: &Parameters,
        samples: usize,
        counter: u64,
    ) -> Result<(Option<f64>, u32), Halt> {
        let mut stream = self.rng(Use::Return, counter);
        let mut copy = self.agent.frozen_copy(stream.random())?;
        let episodes = match copy.roll_steps(&parameters.policy, samples, &mut stream) {
            Ok(rollout) => rollout.episodes,
            // Far from the agent a policy may overflow.
            Err(ActError::NonFinite) => Vec::new(),
            Err(ActError::Environment(error)) => return Err(error.into()),
        };
        // Episodes are at most as many as samples, which fit 32 bits.
        #[allow(clippy::cast_possible_truncation)]
        let count = episodes.len() as u32;
        Ok((mean(episodes.iter().map(|episode| episode.return_)), count))
    }
}
