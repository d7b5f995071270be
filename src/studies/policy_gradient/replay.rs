//! Replays: what a run learned, shown by the episodes of its final evaluation.

use algorithms::policy_gradient::TrainedPolicy;
use algorithms::policy_gradient::rollout::{ActError, EvaluationMode, Moment};

use super::{PolicyGradient, agent_config, agent_spec, invalid, trainings, undiagnosed};
use crate::replay::{Mode, Outcome, Played, Recorder, Replayable, Request, StoredEpisodes};
use crate::studies::{CohortContext, StudyError};
use crate::study::Run;

impl Replayable for PolicyGradient {
    fn stored(&self) -> StoredEpisodes {
        StoredEpisodes {
            table: "evaluations",
            mode: "mode",
            episode: "episode",
            return_: "return",
            length: "length",
        }
    }

    fn play(
        &self,
        run: &Run,
        request: &Request,
        context: &CohortContext<'_>,
    ) -> Result<Played, StudyError> {
        let own = agent_config(&run.configuration).map_err(|problems| invalid(&problems))?;
        // Neither diagnostics nor evaluations leave a trace in what a run learns.
        let bare = Run { configuration: undiagnosed(&run.configuration), ..run.clone() };
        let specs = [agent_spec(context.study_seed, &bare)?];
        let trained = trainings(&[&bare], &specs, context)?
            .pop()
            .and_then(|training| training.policy)
            .ok_or_else(|| StudyError::Failed("it diverged and has no final policy".into()))?;
        play(&trained, request, own.evaluation_episodes)
    }
}

/// Plays episodes with a trained policy and films one of them.
///
/// # Errors
/// When the policy's output is not finite, or an environment fails.
pub fn play(
    trained: &TrainedPolicy,
    request: &Request,
    stored: usize,
) -> Result<Played, StudyError> {
    let mode = match request.mode {
        Mode::Deterministic => EvaluationMode::Deterministic,
        Mode::Stochastic => EvaluationMode::Stochastic,
    };
    let mut recorder = None;
    let mut watch = |moment: &Moment<'_>| -> Result<(), ActError> {
        if request.filmed == Some(moment.episode) {
            let recorder =
                recorder.get_or_insert_with(|| Recorder::new(moment.environment.step_seconds()));
            if recorder.wants(moment.step, moment.done) {
                let scene = moment.environment.scene(moment.action)?;
                recorder.take(moment.step, moment.return_, scene);
            }
        }
        Ok(())
    };
    let episodes = trained
        .play(mode, request.count(stored), &mut watch)
        .map_err(|error| StudyError::Failed(Box::new(error)))?;
    Ok(Played {
        environment: trained.config.env().id.to_owned(),
        episodes: episodes
            .into_iter()
            .map(|(return_, length)| Outcome { return_, length })
            .collect(),
        recording: recorder.map(Recorder::finish),
    })
}
