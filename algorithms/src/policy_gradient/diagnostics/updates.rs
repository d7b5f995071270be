//! What an update did: to the policy, and to the value function.

use serde::{Deserialize, Serialize};

use super::super::advantages::TargetStatistics;
use super::super::autodiff::read;
use super::super::rollout::Rollout;
use super::super::trust_region::mean_kl;
use super::probe::{Probe, View};
use super::{Diagnostics, Halt, Moment, Use, mean, returns};
use crate::network::Parameters;

/// How far one update moved the policy on some data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// Mean KL(before || after), nats.
    pub kl: f64,
    /// Largest probability ratio of any sample.
    pub max_ratio: f64,
    /// Share of samples whose ratio is farther from one than the clip's half-width.
    pub outside: f64,
}

/// How far an update moved the policy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrustRegionRow {
    /// The iteration.
    pub iteration: u32,
    /// On the data of the update.
    pub train: Distance,
    /// On fresh data of the policy from before it, equally many samples.
    pub heldout: Distance,
}

/// How far values are from what they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ValueError {
    /// Mean of |value - truth| / |truth|; `None` without samples whose truth is known.
    pub relative: Option<f64>,
    /// Root of the mean squared error, scaled return.
    pub root_mean_square: Option<f64>,
}

impl ValueError {
    fn of(pairs: &[(f64, f64)]) -> Self {
        let relative = pairs.iter().filter(|(_, truth)| *truth != 0.0);
        let squares = pairs.iter().map(|(value, truth)| (value - truth) * (value - truth));
        Self {
            relative: mean(relative.map(|(value, truth)| ((value - truth) / truth).abs())),
            root_mean_square: mean(squares).map(f64::sqrt),
        }
    }
}

/// The error of the value function after an update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValueErrorRow {
    /// The iteration.
    pub iteration: u32,
    /// Against the targets of the update, on its data.
    pub train_target: ValueError,
    /// Against targets made in the same way, on fresh data.
    pub heldout_target: ValueError,
    /// Against discounted returns, on the update's data.
    pub train_return: ValueError,
    /// Against discounted returns, on fresh data.
    pub heldout_return: ValueError,
}

impl Moment<'_> {
    /// Policy and value function after the update, on its data and on fresh data.
    pub(super) fn update(&self, found: &mut Diagnostics) -> Result<(), Halt> {
        let config = self.config();
        let probe = |parameters: &Parameters, statistics: TargetStatistics| {
            Probe::new(config, parameters, statistics)
        };
        let mut before = probe(self.before, self.state_before.target_statistics);
        let mut after = probe(self.after, self.state_after.target_statistics);
        let mut heldout = Vec::new();
        self.draw(config.samples(), self.rng(Use::Heldout, 0), |segment| {
            heldout.push(segment);
            Ok(())
        })?;
        let mut sides = [Side::default(), Side::default()];
        for (side, rollouts) in
            sides.iter_mut().zip([std::slice::from_ref(self.rollout), heldout.as_slice()])
        {
            for rollout in rollouts {
                self.compare(rollout, &mut before, &mut after, side)?;
            }
        }
        let [train, heldout] = sides;
        let iteration = self.label();
        if config.diagnose_value_error {
            found.value_errors.push(ValueErrorRow {
                iteration,
                train_target: ValueError::of(&train.targets),
                heldout_target: ValueError::of(&heldout.targets),
                train_return: ValueError::of(&train.returns),
                heldout_return: ValueError::of(&heldout.returns),
            });
        }
        if config.diagnose_trust_region {
            found.trust_region.push(TrustRegionRow {
                iteration,
                train: train.distance(),
                heldout: heldout.distance(),
            });
        }
        Ok(())
    }

    fn compare(
        &self,
        rollout: &Rollout,
        before: &mut Probe,
        after: &mut Probe,
        side: &mut Side,
    ) -> Result<(), Halt> {
        let config = self.config();
        // Segments of fresh data are a single environment's, and no longer than a rollout.
        let length = rollout.rewards.len().min(config.rollout_length);
        let old = before.look(rollout)?;
        let new = after.look(rollout)?;
        if config.diagnose_trust_region {
            let (p, q) = (before.learner.distributions(), after.learner.distributions());
            let kl = read(mean_kl(&before.learner.density, &p, &q), "reading KL")?;
            let half_width =
                config.annealed(config.clip_epsilon, config.clip_epsilon_annealing, self.iteration);
            side.add(f64::from(kl[0]), &old, &new, half_width);
        }
        if config.diagnose_value_error {
            let targets = before.advantages(rollout, &old, length);
            let kept = targets.targets.iter().zip(&targets.weights).zip(&new.values);
            side.targets.extend(
                kept.filter(|((_, weight), _)| **weight > 0.0)
                    .map(|((target, _), value)| (*value, *target)),
            );
            let truths = returns(config.gamma, rollout, length);
            side.returns.extend(
                new.values.iter().zip(truths).filter_map(|(value, truth)| Some((*value, truth?))),
            );
        }
        Ok(())
    }
}

/// Sums over the rollouts of one side, training or held-out.
#[derive(Default)]
struct Side {
    samples: f64,
    kl: f64,
    max_ratio: f64,
    outside: f64,
    /// Values after the update and the targets, of the samples that the value loss counts.
    targets: Vec<(f64, f64)>,
    /// Values after the update and returns, where known.
    returns: Vec<(f64, f64)>,
}

impl Side {
    fn add(&mut self, kl: f64, old: &View, new: &View, half_width: f64) {
        // Batches are far smaller than 2^53.
        #[allow(clippy::cast_precision_loss)]
        let samples = old.log_probs.len() as f64;
        self.samples += samples;
        self.kl += kl * samples;
        for (old, new) in old.log_probs.iter().zip(&new.log_probs) {
            let ratio = f64::from(libm::expf(new - old));
            self.max_ratio = self.max_ratio.max(ratio);
            self.outside += f64::from(u8::from((ratio - 1.0).abs() > half_width));
        }
    }

    fn distance(&self) -> Distance {
        Distance {
            kl: self.kl / self.samples,
            max_ratio: self.max_ratio,
            outside: self.outside / self.samples,
        }
    }
}
