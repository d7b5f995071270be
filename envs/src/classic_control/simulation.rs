//! What the classic-control tasks keep between steps.

use crate::environment::EnvState;
use crate::error::EnvError;
use crate::seeding::NumpyGenerator;
use crate::spec::EnvSpec;

/// `N` numbers of simulator state and the generator that resets draw from.
#[derive(Debug, Clone)]
pub(super) struct Simulation<const N: usize> {
    spec: &'static EnvSpec,
    physics: Option<[f64; N]>,
    pub(super) generator: NumpyGenerator,
}

impl<const N: usize> Simulation<N> {
    pub(super) fn new(spec: &'static EnvSpec) -> Self {
        Self { spec, physics: None, generator: NumpyGenerator::new(0) }
    }

    pub(super) fn spec(&self) -> &'static EnvSpec {
        self.spec
    }

    pub(super) fn seed(&mut self, seed: Option<u64>) {
        if let Some(seed) = seed {
            self.generator = NumpyGenerator::new(seed);
        }
    }

    pub(super) fn physics(&self) -> Option<[f64; N]> {
        self.physics
    }

    pub(super) fn ready(&self) -> Result<[f64; N], EnvError> {
        self.physics.ok_or(EnvError::NotReset { environment: self.spec.id })
    }

    pub(super) fn set_physics(&mut self, physics: [f64; N]) {
        self.physics = Some(physics);
    }

    pub(super) fn snapshot(&self) -> EnvState {
        EnvState {
            environment: self.spec.id.to_owned(),
            physics: self.physics.map(Vec::from).unwrap_or_default(),
            generator: self.generator.clone(),
            elapsed_steps: 0,
        }
    }

    pub(super) fn restore(&mut self, state: &EnvState) -> Result<(), EnvError> {
        let environment = self.spec.id;
        if state.environment != environment {
            let found = state.environment.clone();
            return Err(EnvError::StateOfOtherEnvironment { environment, found });
        }
        self.physics = match state.physics.as_slice() {
            [] => None,
            values => Some(values.try_into().map_err(|_| EnvError::StateLength {
                environment,
                expected: N,
                found: values.len(),
            })?),
        };
        self.generator = state.generator.clone();
        Ok(())
    }
}

/// Writes an observation as Gymnasium returns it: rounded to `f32`.
pub(super) fn write_single(values: &[f64], observation: &mut [f64]) {
    for (out, value) in observation.iter_mut().zip(values) {
        *out = f64::from(*value as f32);
    }
}
