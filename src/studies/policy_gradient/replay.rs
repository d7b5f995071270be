//! Replays: what a run learned, shown by the episodes of its final evaluation.

use algorithms::policy_gradient::TrainedPolicy;
use algorithms::policy_gradient::checkpoint::{Header, read_policy};
use algorithms::policy_gradient::rollout::{ActError, EvaluationMode, Moment};

use super::{PolicyGradient, agent_config, agent_spec, trainings, undiagnosed};
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
        kept: Option<&[u8]>,
        request: &Request,
        context: &CohortContext<'_>,
    ) -> Result<Played, StudyError> {
        let own =
            agent_config(&run.configuration).map_err(|problems| StudyError::invalid(&problems))?;
        let trained = match kept {
            Some(bytes) => kept_policy(run, bytes, context)?,
            None => train_again(run, context)?,
        };
        play(&trained, request, own.evaluation_episodes)
    }
}

/// The policy of a run's final checkpoint.
fn kept_policy(
    run: &Run,
    bytes: &[u8],
    context: &CohortContext<'_>,
) -> Result<TrainedPolicy, StudyError> {
    let failed = |error| StudyError::Failed(Box::new(error));
    let header = Header::read(bytes).map_err(failed)?;
    let unfit = |what: String| StudyError::Failed(format!("its checkpoint {what}").into());
    if header.identity.get("run").map(String::as_str) != Some(run.id.as_ref()) {
        return Err(unfit("is of another run; remove it".into()));
    }
    let (done, all) = (header.iterations_done, header.iterations);
    if done < all {
        return Err(unfit(format!("is of iteration {done} of {all}; remove it")));
    }
    read_policy(bytes, agent_spec(context.study_seed, run)?.streams).map_err(failed)
}

fn train_again(run: &Run, context: &CohortContext<'_>) -> Result<TrainedPolicy, StudyError> {
    // Neither diagnostics nor evaluations leave a trace in what a run learns.
    let bare = Run { configuration: undiagnosed(&run.configuration), ..run.clone() };
    let specs = [agent_spec(context.study_seed, &bare)?];
    trainings(&[&bare], &specs, context)?
        .pop()
        .and_then(|training| training.policy)
        .ok_or_else(|| StudyError::Failed("it diverged and has no final policy".into()))
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
