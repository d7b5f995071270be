//! Policy-gradient agents on a leading agent axis.
//!
//! The networks of policy-gradient studies are tiny, so one agent leaves a device idle. Here every
//! tensor carries a leading agent axis (weights `[agents, inputs, outputs]`, activations
//! `[agents, batch, features]`) and a whole cohort of agents, each with its own configuration, is
//! one tensor program. The loss is the sum over agents of each agent's own mean loss, so gradients
//! never mix; optimiser steps, norms and normalisation act per agent. On the CPU an agent's
//! numbers are the same bits alone and in any cohort.
//!
//! Acting and learning are separate: actors step environments on the host with plain loops
//! ([`network`]), learners update parameters on a device behind [`policy_gradient::Learner`].

pub mod device;
pub mod math;
pub mod network;
pub mod policy_gradient;
