//! From a study file to a plan: factors, arms, seeds and run identities.
//!
//! Pure: reads the file and computes; nothing here touches a results directory or trains.

mod diagnostics;
#[cfg(test)]
mod fake;
mod file;
mod plan;
mod shard;

pub use diagnostics::{Diagnostic, Diagnostics};
pub use file::{
    Arm, ArmLevel, ArmPair, Claim, ClaimEstimate, ClaimRule, Factor, FactorLevel, MAX_ARMS,
    MAX_RUNS, PresetSetting, Reference, Sign, StudyFile, Tuning, TuningRule, preset_settings,
};
pub use plan::{Cohort, Member, Plan, Position, Run, RunId, cohorts, plan};
pub use shard::{NoShard, SHARDS, Shard};
