//! Running normalisers against Gymnasium 1.4.0 and against hand computation.

mod support;

use envs::{
    ObservationNormalization, ObservationNormalizer, RewardNormalizer, RewardScaling,
    RunningMeanStd, StatisticsOrder, Welford,
};
use support::{assert_close, rows, value, values, widened};

const VARIANTS: [RewardScaling; 6] = [
    RewardScaling::None,
    RewardScaling::DiscountedStdReset,
    RewardScaling::DiscountedStd,
    RewardScaling::RewardsAboutMean,
    RewardScaling::Gymnasium,
    RewardScaling::BaselinesVecNormalize,
];

fn scaled(variant: RewardScaling, rewards: &[f64]) -> Vec<f64> {
    let mut normalizer = RewardNormalizer::new(variant, 0.99, None);
    rewards.iter().map(|&reward| normalizer.scale(reward, false, false)).collect()
}

fn observations(normalizer: &mut ObservationNormalizer, observations: &[f64]) -> Vec<f32> {
    let mut out = [0.0];
    let observe = |&observation: &f64| {
        normalizer.observe(&[observation], &mut out);
        out[0]
    };
    observations.iter().map(observe).collect()
}

/// The statistics are f64: equal bits with Gymnasium's `RunningMeanStd` in f64. Its wrapper keeps
/// f32 statistics for f32 observations, which drift; the largest difference measured is
/// 2.5e-6.
#[test]
fn gymnasium_observations() {
    let mut normalizer = ObservationNormalizer::new(
        ObservationNormalization::Gymnasium,
        StatisticsOrder::UpdateThenUse,
        None,
        3,
    );
    let mut worst = 0.0_f64;
    for row in rows("normalize_observation") {
        let mut out = [0.0; 3];
        normalizer.observe(&widened(&row[0]), &mut out);
        let exact: Vec<f32> = values::<f64>(&row[2]).into_iter().map(|x| x as f32).collect();
        assert_eq!(out[..], exact);
        worst = worst.max(support::difference(&out.map(f64::from), &widened(&row[1])));
    }
    assert!(worst < 3e-6, "{worst:e}");
}

#[test]
fn gymnasium_and_baselines_rewards_have_equal_bits() {
    for name in ["normalize_reward_Pendulum-v1", "normalize_reward_MountainCarContinuous-v0"] {
        let mut gymnasium = RewardNormalizer::new(RewardScaling::Gymnasium, 0.99, None);
        let mut baselines = RewardNormalizer::new(RewardScaling::BaselinesVecNormalize, 0.99, None);
        let mut ends = 0;
        for (index, row) in rows(name).into_iter().enumerate() {
            let (terminated, truncated) = (row[1] == "1", row[2] == "1");
            let done = terminated || truncated;
            let reward = value(&row[0]);
            let found = gymnasium.scale(reward, terminated, done);
            assert_eq!(found, value::<f64>(&row[3]), "{name}, row {index}");
            let found = baselines.scale(reward, terminated, done);
            assert_eq!(found, value::<f64>(&row[4]), "{name}, row {index}");
            if done {
                gymnasium.reset();
                baselines.reset();
                ends += 1;
            }
        }
        assert!(ends > 0);
    }
}

/// Fact sheet on "Implementation Matters", section 1.2 row 2, executed from the release.
#[test]
fn release_returns() {
    let found = scaled(RewardScaling::DiscountedStdReset, &[2.0; 4]);
    assert_close(&found, &[1.0, 1.4285, 1.0152, 0.7903], 5e-5);
}

/// R of the rewards 2, 2 | 2 with gamma .99: 2, 3.98, and then 2 with a reset or 5.9402 without.
/// Sample standard deviations: of (2, 3.98, 2) 1.143153532995459, of (2, 3.98, 5.9402)
/// 1.9701084...; the second is what `release_returns` pins as 2 / 1.0152.
#[test]
fn only_the_release_resets_its_sum() {
    let third = |variant| {
        let mut normalizer = RewardNormalizer::new(variant, 0.99, None);
        normalizer.scale(2.0, false, false);
        normalizer.scale(2.0, false, true);
        normalizer.reset();
        normalizer.scale(2.0, false, false)
    };
    let reset = third(RewardScaling::DiscountedStdReset);
    let kept = third(RewardScaling::DiscountedStd);
    assert_close(&[reset, kept], &[2.0 / 1.143_153_532_995_459, 1.0152], 5e-5);
    assert!((reset - 2.0 / 1.143_153_532_995_459).abs() < 1e-7);
}

/// By hand: after 1 the deviation is |mean| = 1, so 1 + 0 / 1; after 1, 3 the mean is 2 and the
/// deviation sqrt 2, so 2 + 1 / sqrt 2; after 1, 3, 2 the mean is 2, so 2.
#[test]
fn release_rewards_add_the_mean_back() {
    let found = scaled(RewardScaling::RewardsAboutMean, &[1.0, 3.0, 2.0]);
    assert_close(&found, &[1.0, 2.0 + std::f64::consts::FRAC_1_SQRT_2, 2.0], 1e-8);
}

/// By hand, observations 2, 4: with one sample the deviation is the mean; the second has mean 3
/// and deviation sqrt 2. Used before updating, the first meets mean 0 and deviation 1, the second
/// mean 2 and deviation 2.
#[test]
fn release_observations_in_both_orders() {
    let found = |order| {
        let variant = ObservationNormalization::Release;
        let mut normalizer = ObservationNormalizer::new(variant, order, None, 1);
        observations(&mut normalizer, &[2.0, 4.0]).into_iter().map(f64::from).collect::<Vec<_>>()
    };
    let half = std::f64::consts::FRAC_1_SQRT_2;
    assert_close(&found(StatisticsOrder::UpdateThenUse), &[0.0, half], 1e-7);
    assert_close(&found(StatisticsOrder::UseThenUpdate), &[2.0, 1.0], 1e-7);
}

#[test]
fn clipping_needs_no_normalisation() {
    for variant in [ObservationNormalization::None, ObservationNormalization::Gymnasium] {
        let order = StatisticsOrder::UseThenUpdate;
        let mut normalizer = ObservationNormalizer::new(variant, order, Some(5.0), 1);
        assert_eq!(observations(&mut normalizer, &[80.0]), [5.0]);
        let mut out = [0.0];
        normalizer.apply_frozen(&[-1e9], &mut out);
        assert_eq!(out, [-5.0]);
        // A diverged run must stay visible.
        normalizer.apply_frozen(&[f64::NAN], &mut out);
        assert!(out[0].is_nan());
    }
    let mut rewards = RewardNormalizer::new(RewardScaling::None, 0.99, Some(10.0));
    let found = [12.0, -12.0, 3.0].map(|reward| rewards.scale(reward, false, false));
    assert_eq!(found, [10.0, -10.0, 3.0]);
}

#[test]
fn a_frozen_normalizer_does_not_change() {
    for variant in [
        ObservationNormalization::None,
        ObservationNormalization::Release,
        ObservationNormalization::Gymnasium,
    ] {
        for order in [StatisticsOrder::UpdateThenUse, StatisticsOrder::UseThenUpdate] {
            let mut normalizer = ObservationNormalizer::new(variant, order, Some(10.0), 1);
            observations(&mut normalizer, &[1.0, -2.0, 0.5]);
            normalizer.freeze();
            assert!(normalizer.is_frozen());
            let before = normalizer.clone();
            let mut applied = [0.0];
            normalizer.apply_frozen(&[7.0], &mut applied);
            assert_eq!(observations(&mut normalizer, &[7.0, 9.0, 7.0])[2], applied[0]);
            assert_eq!(normalizer, before);
            normalizer.unfreeze();
            observations(&mut normalizer, &[7.0]);
            normalizer.freeze();
            // Without normalisation there is nothing to take into account.
            assert_eq!(normalizer == before, variant == ObservationNormalization::None);
        }
    }
    for variant in VARIANTS {
        let mut normalizer = RewardNormalizer::new(variant, 0.0, None);
        normalizer.scale(1.0, false, false);
        normalizer.scale(-2.0, false, false);
        normalizer.freeze();
        // With gamma 0 the sum is the last reward, so nothing but the statistics could differ.
        normalizer.scale(5.0, false, false);
        let before = normalizer.clone();
        let found = normalizer.scale(5.0, false, false);
        assert_eq!(normalizer, before);
        assert_eq!(normalizer.scale(5.0, false, false), found);
    }
}

#[test]
fn stored_normalizers_continue() {
    for variant in VARIANTS {
        let mut normalizer = RewardNormalizer::new(variant, 0.99, Some(10.0));
        for reward in [0.1, -0.7, 3.3] {
            normalizer.scale(reward, false, false);
        }
        let stored = serde_json::to_string(&normalizer).unwrap();
        let mut restored: RewardNormalizer = serde_json::from_str(&stored).unwrap();
        assert_eq!(restored, normalizer);
        assert_eq!(restored.scale(0.3, true, true), normalizer.scale(0.3, true, true));
    }
    for variant in [ObservationNormalization::Release, ObservationNormalization::Gymnasium] {
        let order = StatisticsOrder::UpdateThenUse;
        let mut normalizer = ObservationNormalizer::new(variant, order, None, 1);
        observations(&mut normalizer, &[0.1, -0.7, 3.3]);
        let stored = serde_json::to_string(&normalizer).unwrap();
        let mut restored: ObservationNormalizer = serde_json::from_str(&stored).unwrap();
        assert_eq!(restored, normalizer);
        assert_eq!(observations(&mut restored, &[0.3]), observations(&mut normalizer, &[0.3]));
        assert_eq!(restored.variant(), variant);
    }
}

#[test]
fn names_are_stable() {
    assert_eq!(
        serde_json::to_string(&VARIANTS).unwrap(),
        concat!(
            r#"["none","discounted-std-reset","discounted-std","rewards-about-mean","#,
            r#""gymnasium","baselines"]"#
        )
    );
    let variants = [
        ObservationNormalization::None,
        ObservationNormalization::Release,
        ObservationNormalization::Gymnasium,
    ];
    assert_eq!(serde_json::to_string(&variants).unwrap(), r#"["none","release","gymnasium"]"#);
    let orders = [StatisticsOrder::UpdateThenUse, StatisticsOrder::UseThenUpdate];
    assert_eq!(serde_json::to_string(&orders).unwrap(), r#"["update-then-use","use-then-update"]"#);
}

/// A merged batch equals its samples one by one, up to rounding. Samples 1, 2, 3, 6: mean 3,
/// population variance 3.5, unbiased 14 / 3.
#[test]
fn statistics_of_four_samples() {
    let samples = [1.0, 2.0, 3.0, 6.0];
    let mut one_by_one = RunningMeanStd::new(1);
    let mut welford = Welford::new(1);
    for sample in samples {
        one_by_one.update(&[sample]);
        welford.update(&[sample]);
    }
    let mut merged = RunningMeanStd::new(1);
    merged.merge(&[3.0], &[3.5], 4.0);
    assert_close(merged.mean(), one_by_one.mean(), 1e-15);
    assert_close(merged.variance(), one_by_one.variance(), 1e-15);
    assert_eq!(merged.count(), 4.0001);
    // The initial mean 0 and variance 1 weigh 1e-4 of a sample:
    // mean 12 / 4.0001, variance (1e-4 + 14 + 9 * 4e-4 / 4.0001) / 4.0001.
    assert_close(merged.mean(), &[2.999_925_001_874_953], 1e-15);
    assert_close(merged.variance(), &[3.500_162_490_312_882_7], 1e-15);
    assert_eq!(welford.mean(), [3.0]);
    assert_close(&welford.std().collect::<Vec<_>>(), &[(14.0_f64 / 3.0).sqrt()], 1e-15);
    assert_eq!(welford.count(), 4);
}
