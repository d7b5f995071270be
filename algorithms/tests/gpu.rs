//! The learner on a GPU agrees with the CPU over a short horizon.
//!
//! Runs on any adapter, a software one included; without one it is skipped, unless
//! `CETERIS_REQUIRE_GPU` is set.

mod common;

use algorithms::device::LearnerDevice;
use algorithms::policy_gradient::AgentConfig;
use algorithms::policy_gradient::config::{
    Algorithm, GradientClip, Networks, UpdateSchedule, ValueClip,
};
use common::{Trained, base, train};

/// Largest deviation allowed after two iterations, 12 optimiser steps each: absolute below one,
/// relative above. Adam divides by the root of the second moment, so early steps turn rounding of
/// tiny gradients into differences of up to a step's length, 3e-3.
const TOLERANCE: f64 = 1e-3;

fn deviation(cpu: &[Trained], gpu: &[Trained]) -> f64 {
    let mut worst = 0.0_f64;
    for (cpu, gpu) in cpu.iter().zip(gpu) {
        let numbers = |trained: &Trained| -> Vec<f64> {
            let parameters =
                trained.parameters.policy.iter().chain(&trained.parameters.value).copied();
            let metrics = trained.metrics.iter().flat_map(|metrics| {
                [metrics.policy_loss, metrics.value_loss, metrics.entropy, metrics.approximate_kl]
            });
            parameters.map(f64::from).chain(metrics).collect()
        };
        for (cpu, gpu) in numbers(cpu).into_iter().zip(numbers(gpu)) {
            let deviation = (cpu - gpu).abs() / cpu.abs().max(1.0);
            assert!(deviation.is_finite(), "{cpu} on the CPU, {gpu} on the GPU");
            worst = worst.max(deviation);
        }
    }
    worst
}

#[test]
fn the_gpu_agrees_with_the_cpu() {
    if !LearnerDevice::has_adapter() {
        assert!(std::env::var_os("CETERIS_REQUIRE_GPU").is_none(), "no adapter found");
        println!("skipped: no adapter for wgpu on this machine");
        return;
    }
    let gpu = LearnerDevice::Gpu { index: None };
    println!("adapter: {:?}", gpu.describe());
    let continuous = base("Pendulum-v1");
    let clipped = AgentConfig {
        value_clip: ValueClip::None,
        gradient_clip: GradientClip::Each,
        ..continuous.clone()
    };
    let shared = AgentConfig {
        networks: Networks::Shared,
        update_schedule: UpdateSchedule::Joint,
        gradient_clip: GradientClip::Joint,
        ..base("CartPole-v1")
    };
    let trust_region = |environment: &str| AgentConfig {
        algorithm: Algorithm::Trpo,
        fisher_fraction: 1.0,
        cg_iterations: 5,
        ..base(environment)
    };
    for configs in [
        vec![continuous.clone(), clipped, continuous],
        vec![shared],
        vec![trust_region("Pendulum-v1"), trust_region("Pendulum-v1")],
        vec![trust_region("CartPole-v1")],
    ] {
        let replicates: Vec<u64> = (0..configs.len() as u64).collect();
        let on_cpu = train(&configs, &replicates, &LearnerDevice::Cpu);
        let on_gpu = train(&configs, &replicates, &gpu);
        let worst = deviation(&on_cpu, &on_gpu);
        println!("{} agents: largest deviation {worst:e}", configs.len());
        assert!(worst <= TOLERANCE, "{worst:e}");
    }
}
