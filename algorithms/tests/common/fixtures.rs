//! PyTorch's fixtures as the learner takes them, and how far it deviates from them.

use algorithms::network::NetworkShape;
use algorithms::policy_gradient::config::ActionTransform;
use algorithms::policy_gradient::rollout::Rollout;
use algorithms::policy_gradient::{AgentConfig, ValidAgentConfig};
use flags::Value as FlagValue;
use serde_json::Value;

pub fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        Value::Number(number) => vec![number.as_f64().unwrap()],
        Value::Bool(flag) => vec![f64::from(u8::from(*flag))],
        Value::Null => vec![f64::NAN],
        other => panic!("not a number: {other}"),
    }
}

#[allow(clippy::cast_possible_truncation)]
pub fn floats(value: &Value) -> Vec<f32> {
    numbers(value).into_iter().map(|number| number as f32).collect()
}

pub fn flags(value: &Value) -> Vec<bool> {
    numbers(value).into_iter().map(|number| number != 0.0).collect()
}

pub fn config(case: &Value) -> AgentConfig {
    let mut config = AgentConfig::default();
    for (name, value) in case["config"].as_object().unwrap() {
        let value: FlagValue = serde_json::from_value(value.clone()).unwrap();
        config.set(name, &value).unwrap_or_else(|error| panic!("{name} = {value}: {error:?}"));
    }
    if case["discrete"].as_bool().unwrap() {
        // Presets for continuous actions clip them, which has no meaning here.
        config.action_transform = ActionTransform::Raw;
    }
    config
}

pub fn rollout(update: &Value, config: &ValidAgentConfig, shape: &NetworkShape) -> Rollout {
    // The two networks' inputs are stored together: the observation, then the time.
    let dim = shape.observation_dim;
    let with_time = |observations: Vec<f32>, time: &dyn Fn(usize) -> f32| -> Vec<f32> {
        observations
            .chunks(dim)
            .enumerate()
            .flat_map(|(row, observation)| {
                let time = shape.value_time_input.then(|| time(row));
                observation.iter().copied().chain(time).collect::<Vec<_>>()
            })
            .collect()
    };
    #[allow(clippy::cast_precision_loss)]
    let fraction = |step: usize| step as f32 / config.rollout_length as f32;
    let data = update.get("rollout").unwrap_or(update);
    let observations =
        with_time(floats(&data["observations"]), &|row| fraction(row % config.rollout_length));
    let actions = floats(&data["actions"]);
    let stored = shape.stored_observation_dim();
    let features = observations
        .chunks(stored)
        .zip(actions.chunks(shape.action_dim))
        .flat_map(|(observation, action)| observation.iter().chain(action).copied())
        .collect();
    let truncated = flags(&data["truncated"]);
    let terminated = flags(&data["terminated"]);
    let mut cuts = Vec::new();
    let mut cut_observations = Vec::new();
    for cut in data["cut_observations"].as_array().unwrap() {
        let index = usize::try_from(cut["index"].as_u64().unwrap()).unwrap();
        if terminated[index] {
            continue;
        }
        cuts.push(u32::try_from(index).unwrap());
        cut_observations.extend(with_time(floats(&cut["observation"]), &|_| {
            fraction(index % config.rollout_length + 1)
        }));
    }
    Rollout {
        features,
        rewards: floats(&data["rewards"]),
        terminated,
        truncated,
        final_observations: with_time(floats(&data["final_observations"]), &|_| 1.0),
        cuts,
        cut_observations,
        episodes: Vec::new(),
    }
}

/// Largest deviation found so far, with its place.
#[derive(Default)]
pub struct Worst {
    pub deviation: f64,
    pub place: String,
}

impl Worst {
    pub fn compare(&mut self, place: &str, found: impl IntoIterator<Item = f64>, expected: &[f64]) {
        let found: Vec<f64> = found.into_iter().collect();
        assert_eq!(found.len(), expected.len(), "{place}");
        let scale = expected.iter().fold(1.0_f64, |scale, number| scale.max(number.abs()));
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            let deviation = (found - expected).abs() / scale;
            // NaN counts as a deviation, and the largest one.
            if deviation.is_nan() || deviation > self.deviation {
                self.deviation = deviation;
                self.place = format!("{place}[{index}]: {found} instead of {expected}");
            }
        }
    }
}
