//! The presets: which layers each is made of, later ones win. A layer is a file in this folder, as short
//! as its source's own override. `neutral` lies below all of them.

use super::super::{Layer, Preset};

macro_rules! layer {
    ($name:literal) => {
        Layer { name: $name, toml: include_str!(concat!("presets/", $name, ".toml")) }
    };
}

macro_rules! presets {
    ($($name:literal: [$($layer:literal),+], $about:literal;)+) => {
        &[$(Preset {
            name: $name,
            about: $about,
            layers: &[layer!("neutral"), $(layer!($layer)),+],
        }),+]
    };
}

pub(super) const PRESETS: &[Preset] = presets! {
    "paper/ppo": [
        "release-5ee6ecb/base", "paper/value-clip", "paper/accumulator", "paper/gradient-clip"
    ],
        "PPO as the paper's text describes it; what the text leaves open follows the release";
    "paper/ppo-m": ["release-5ee6ecb/base", "paper/ppo-m", "paper/gradient-clip"],
        "PPO-M as the paper's text describes it: no value clipping, reward scaling, initialisation scheme or annealing";
    "paper/ppo-noclip": [
        "release-5ee6ecb/base", "release-5ee6ecb/ppo-noclip", "paper/value-clip",
        "paper/accumulator", "paper/gradient-clip"
    ],
        "PPO-NoClip as the paper's text describes it: every optimization, no clipping of the ratio";
    "paper/trpo": ["release-5ee6ecb/base", "release-5ee6ecb/trpo", "paper/minimal"],
        "TRPO as the paper's text describes it: no code-level optimization at all";
    "paper/trpo-plus": [
        "release-5ee6ecb/base", "release-5ee6ecb/trpo-plus", "paper/value-clip",
        "paper/accumulator", "paper/kl-schedule", "paper/gradient-clip-trpo"
    ],
        "TRPO+ as the paper's text describes it: every optimization, the trust region on a schedule";
    "paper/hopper/ppo": [
        "release-5ee6ecb/base", "release-5ee6ecb/hopper-ppo", "paper/accumulator",
        "paper/gradient-clip"
    ],
        "PPO on Hopper: its tuned configuration with the paper's text where text and code differ";
    "paper/hopper/ppo-m": ["release-5ee6ecb/base", "release-5ee6ecb/hopper-ppo-m", "paper/minimal"],
        "PPO-M on Hopper as the text describes it: no code-level optimization at all, the tuned numbers";
    "paper/hopper/ppo-noclip": [
        "release-5ee6ecb/base", "release-5ee6ecb/hopper-ppo-noclip", "paper/gradient-clip"
    ],
        "PPO-NoClip on Hopper: its tuned configuration with the paper's text where text and code differ";
    "paper/hopper/trpo": ["release-5ee6ecb/base", "release-5ee6ecb/hopper-trpo", "paper/minimal"],
        "TRPO on Hopper as the text describes it: no code-level optimization at all, the tuned numbers";
    "paper/hopper/trpo-plus": [
        "release-5ee6ecb/base", "release-5ee6ecb/hopper-trpo-plus", "paper/accumulator",
        "paper/kl-schedule", "paper/gradient-clip-trpo"
    ],
        "TRPO+ on Hopper: its tuned configuration with the paper's text where text and code differ";
    "paper/walker2d/ppo": [
        "release-5ee6ecb/base", "release-5ee6ecb/walker2d-ppo", "paper/value-clip",
        "paper/accumulator", "paper/gradient-clip"
    ],
        "PPO on Walker2d: its tuned configuration with the paper's text where text and code differ";
    "paper/walker2d/ppo-m": [
        "release-5ee6ecb/base", "release-5ee6ecb/walker2d-ppo-m", "paper/minimal"
    ],
        "PPO-M on Walker2d as the text describes it: no code-level optimization at all, the tuned numbers";
    "paper/walker2d/ppo-noclip": [
        "release-5ee6ecb/base", "release-5ee6ecb/walker2d-ppo-noclip", "paper/gradient-clip"
    ],
        "PPO-NoClip on Walker2d: its tuned configuration with the paper's text where text and code differ";
    "paper/walker2d/trpo": [
        "release-5ee6ecb/base", "release-5ee6ecb/walker2d-trpo", "paper/minimal"
    ],
        "TRPO on Walker2d as the text describes it: no code-level optimization at all, the tuned numbers";
    "paper/walker2d/trpo-plus": [
        "release-5ee6ecb/base", "release-5ee6ecb/walker2d-trpo-plus", "paper/accumulator",
        "paper/kl-schedule", "paper/gradient-clip-trpo"
    ],
        "TRPO+ on Walker2d: its tuned configuration with the paper's text where text and code differ";
    "paper/humanoid/ppo": [
        "release-5ee6ecb/base", "release-5ee6ecb/humanoid-ppo", "paper/value-clip",
        "paper/accumulator", "paper/gradient-clip"
    ],
        "PPO on Humanoid: its tuned configuration with the paper's text where text and code differ";
    "paper/humanoid/ppo-m": [
        "release-5ee6ecb/base", "release-5ee6ecb/humanoid-ppo-m", "paper/minimal"
    ],
        "PPO-M on Humanoid as the text describes it: no code-level optimization at all, the tuned numbers";
    "paper/humanoid/ppo-noclip": [
        "release-5ee6ecb/base", "release-5ee6ecb/humanoid-ppo-noclip", "paper/value-clip",
        "paper/accumulator", "paper/gradient-clip"
    ],
        "PPO-NoClip on Humanoid: its tuned configuration with the paper's text where text and code differ";
    "paper/humanoid/trpo": [
        "release-5ee6ecb/base", "release-5ee6ecb/humanoid-trpo", "paper/minimal"
    ],
        "TRPO on Humanoid as the text describes it: no code-level optimization at all, the tuned numbers";
    "paper/humanoid/trpo-plus": [
        "release-5ee6ecb/base", "release-5ee6ecb/humanoid-trpo-plus", "paper/value-clip",
        "paper/accumulator", "paper/kl-schedule", "paper/gradient-clip-trpo"
    ],
        "TRPO+ on Humanoid: its tuned configuration with the paper's text where text and code differ";
    "release-5ee6ecb/ppo": ["release-5ee6ecb/base"],
        "PPO in the paper's released code with its base configuration file";
    "release-5ee6ecb/ppo-m": ["release-5ee6ecb/base", "release-5ee6ecb/ppo-m"],
        "PPO-M in the paper's released code";
    "release-5ee6ecb/ppo-noclip": ["release-5ee6ecb/base", "release-5ee6ecb/ppo-noclip"],
        "PPO-NoClip in the paper's released code";
    "release-5ee6ecb/trpo": ["release-5ee6ecb/base", "release-5ee6ecb/trpo"],
        "TRPO in the paper's released code";
    "release-5ee6ecb/trpo-plus": ["release-5ee6ecb/base", "release-5ee6ecb/trpo-plus"],
        "TRPO+ in the paper's released code";
    "release-5ee6ecb/hopper/ppo": ["release-5ee6ecb/base", "release-5ee6ecb/hopper-ppo"],
        "PPO on Hopper in the paper's released code, with its tuned configuration";
    "release-5ee6ecb/hopper/ppo-m": ["release-5ee6ecb/base", "release-5ee6ecb/hopper-ppo-m"],
        "PPO-M on Hopper in the paper's released code, with its tuned configuration";
    "release-5ee6ecb/hopper/ppo-noclip": [
        "release-5ee6ecb/base", "release-5ee6ecb/hopper-ppo-noclip"
    ],
        "PPO-NoClip on Hopper in the paper's released code, with its tuned configuration";
    "release-5ee6ecb/hopper/trpo": ["release-5ee6ecb/base", "release-5ee6ecb/hopper-trpo"],
        "TRPO on Hopper in the paper's released code, with its tuned configuration";
    "release-5ee6ecb/hopper/trpo-plus": [
        "release-5ee6ecb/base", "release-5ee6ecb/hopper-trpo-plus"
    ],
        "TRPO+ on Hopper in the paper's released code, with its tuned configuration";
    "release-5ee6ecb/walker2d/ppo": ["release-5ee6ecb/base", "release-5ee6ecb/walker2d-ppo"],
        "PPO on Walker2d in the paper's released code, with its tuned configuration";
    "release-5ee6ecb/walker2d/ppo-m": ["release-5ee6ecb/base", "release-5ee6ecb/walker2d-ppo-m"],
        "PPO-M on Walker2d in the paper's released code, with its tuned configuration";
    "release-5ee6ecb/walker2d/ppo-noclip": [
        "release-5ee6ecb/base", "release-5ee6ecb/walker2d-ppo-noclip"
    ],
        "PPO-NoClip on Walker2d in the paper's released code, with its tuned configuration";
    "release-5ee6ecb/walker2d/trpo": ["release-5ee6ecb/base", "release-5ee6ecb/walker2d-trpo"],
        "TRPO on Walker2d in the paper's released code, with its tuned configuration";
    "release-5ee6ecb/walker2d/trpo-plus": [
        "release-5ee6ecb/base", "release-5ee6ecb/walker2d-trpo-plus"
    ],
        "TRPO+ on Walker2d in the paper's released code, with its tuned configuration";
    "release-5ee6ecb/humanoid/ppo": ["release-5ee6ecb/base", "release-5ee6ecb/humanoid-ppo"],
        "PPO on Humanoid in the paper's released code, with its tuned configuration";
    "release-5ee6ecb/humanoid/ppo-m": ["release-5ee6ecb/base", "release-5ee6ecb/humanoid-ppo-m"],
        "PPO-M on Humanoid in the paper's released code, with its tuned configuration";
    "release-5ee6ecb/humanoid/ppo-noclip": [
        "release-5ee6ecb/base", "release-5ee6ecb/humanoid-ppo-noclip"
    ],
        "PPO-NoClip on Humanoid in the paper's released code, with its tuned configuration";
    "release-5ee6ecb/humanoid/trpo": ["release-5ee6ecb/base", "release-5ee6ecb/humanoid-trpo"],
        "TRPO on Humanoid in the paper's released code, with its tuned configuration";
    "release-5ee6ecb/humanoid/trpo-plus": [
        "release-5ee6ecb/base", "release-5ee6ecb/humanoid-trpo-plus"
    ],
        "TRPO+ on Humanoid in the paper's released code, with its tuned configuration";
    "submission-094994f/ppo": ["submission-094994f/base"],
        "PPO in the code of the submitted version, its slips included";
    "submission-094994f/ppo-m": ["submission-094994f/base", "submission-094994f/ppo-m"],
        "PPO-M in the code of the submitted version";
    "submission-094994f/ppo-noclip": ["submission-094994f/base", "submission-094994f/ppo-noclip"],
        "PPO-NoClip in the code of the submitted version";
    "submission-094994f/trpo": ["submission-094994f/base", "submission-094994f/trpo"],
        "TRPO in the code of the submitted version";
    "submission-094994f/trpo-plus": ["submission-094994f/base", "submission-094994f/trpo-plus"],
        "TRPO+ in the code of the submitted version";
    "submission-094994f/humanoid/case-study": [
        "submission-094994f/base", "submission-094994f/humanoid-case-study"
    ],
        "PPO on Humanoid as the submission's case study configures it, all four optimizations on";
    "submission-094994f/humanoid/ppo-noclip": [
        "submission-094994f/base", "submission-094994f/humanoid-ppo-noclip"
    ],
        "PPO-NoClip on Humanoid as the submission's reward experiment configures it";
    "submission-094994f/walker2d/ppo": [
        "submission-094994f/base", "submission-094994f/walker2d-ppo"
    ],
        "PPO on Walker2d as the submission's trust-region experiment configures it";
    "closer-look/hopper/ppo": [
        "release-5ee6ecb/base", "release-5ee6ecb/hopper-ppo", "closer-look/ppo", "closer-look/hopper-ppo"
    ],
        "PPO on Hopper with the settings of A Closer Look at Deep Policy Gradients (ICLR 2020); what it leaves open follows the release";
    "closer-look/hopper/trpo": [
        "release-5ee6ecb/base", "release-5ee6ecb/hopper-trpo", "closer-look/trpo",
        "closer-look/hopper-trpo"
    ],
        "TRPO on Hopper with the settings of A Closer Look at Deep Policy Gradients (ICLR 2020); what it leaves open follows the release";
    "closer-look/walker2d/ppo": [
        "release-5ee6ecb/base", "release-5ee6ecb/walker2d-ppo", "closer-look/ppo",
        "closer-look/walker2d-ppo"
    ],
        "PPO on Walker2d with the settings of A Closer Look at Deep Policy Gradients (ICLR 2020); what it leaves open follows the release";
    "closer-look/walker2d/trpo": [
        "release-5ee6ecb/base", "release-5ee6ecb/walker2d-trpo", "closer-look/trpo",
        "closer-look/walker2d-trpo"
    ],
        "TRPO on Walker2d with the settings of A Closer Look at Deep Policy Gradients (ICLR 2020); what it leaves open follows the release";
    "closer-look/humanoid/ppo": [
        "release-5ee6ecb/base", "release-5ee6ecb/humanoid-ppo", "closer-look/ppo",
        "closer-look/humanoid-ppo"
    ],
        "PPO on Humanoid with the settings of A Closer Look at Deep Policy Gradients (ICLR 2020); what it leaves open follows the release";
    "closer-look/humanoid/trpo": [
        "release-5ee6ecb/base", "release-5ee6ecb/humanoid-trpo", "closer-look/trpo",
        "closer-look/humanoid-trpo"
    ],
        "TRPO on Humanoid with the settings of A Closer Look at Deep Policy Gradients (ICLR 2020); what it leaves open follows the release";
    "what-matters/base": ["what-matters/base"],
        "PPO in the code of What Matters for On-Policy Deep Actor-Critic Methods? (Andrychowicz et al., ICLR 2021), as far as it is known";
    "baselines-ppo2/ppo": ["baselines-ppo2/ppo"],
        "OpenAI Baselines' ppo2 at ea25b9e with its MuJoCo defaults";
    "cleanrl/ppo-continuous": ["cleanrl/ppo-continuous"],
        "CleanRL's ppo_continuous_action.py with its defaults";
    "cleanrl/ppo": ["cleanrl/ppo"],
        "CleanRL's ppo.py (discrete actions) with its defaults";
    "classic-control/pendulum": ["classic-control/pendulum"],
        "PPO that learns Pendulum-v1 in 100,000 steps";
};
