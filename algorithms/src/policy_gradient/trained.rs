//! What a training leaves to act with.

use envs::{ObservationNormalizer, Streams};

use super::rollout::{ActError, Actor, EvaluationMode, Moment, play};
use super::validate::ValidAgentConfig;
use crate::network::Parameters;

/// A trained agent: all that its final evaluation depends on.
#[derive(Clone, Debug)]
pub struct TrainedPolicy {
    /// Its configuration.
    pub config: ValidAgentConfig,
    /// The streams of its replicate.
    pub streams: Streams,
    /// The parameters of its networks.
    pub parameters: Parameters,
    /// The statistics of its first environment's observations.
    pub observations: ObservationNormalizer,
}

impl TrainedPolicy {
    /// Plays whole episodes, the same ones as the final evaluation of the training; `watch` sees
    /// every state. Returns each episode's return and length.
    ///
    /// An episode depends on those before it, whose draws it continues, not on how many follow.
    ///
    /// # Errors
    /// When the policy's output is not finite, or an environment refuses an action.
    pub fn play(
        &self,
        mode: EvaluationMode,
        episodes: usize,
        watch: &mut dyn FnMut(&Moment<'_>) -> Result<(), ActError>,
    ) -> Result<Vec<(f64, u32)>, ActError> {
        let mut actor = Actor::new(&self.config);
        let normalizer = &self.observations;
        let policy = &self.parameters.policy;
        play(&mut actor, policy, normalizer, &self.streams, mode, episodes, watch)
    }
}
