//! Proximal and trust-region policy optimisation with every code-level choice a flag.

pub mod advantages;
pub mod autodiff;
pub mod checkpoint;
pub mod config;
pub mod diagnostics;
pub mod learner;
pub mod rollout;
pub mod train;
pub mod trained;
pub mod trust_region;
pub mod update;
pub mod validate;

pub use config::AgentConfig;
pub use learner::Learner;
pub use trained::TrainedPolicy;
pub use validate::ValidAgentConfig;
