//! Ceteris: a harness for machine-learning studies whose results others can check.
//!
//! A study file says what to compare; [`study`] turns it into a plan of runs, [`execute`] trains
//! them cohort by cohort, [`store`] keeps what they wrote as Parquet beside a manifest,
//! [`analysis`] turns those tables into estimates and [`report`] shows them; [`provenance`] says where
//! they come from, to cite and to hand on. A published study is one module under [`studies`].

pub mod analyse;
pub use analysis;
pub mod cli;
pub mod data;
pub mod execute;
pub mod provenance;
pub mod replay;
pub mod report;
pub mod store;
pub mod studies;
pub mod study;
pub mod submit;
pub mod verify;
