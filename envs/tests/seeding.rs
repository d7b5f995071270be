//! The generator against NumPy 2.4.6.

mod support;

use envs::{NumpyGenerator, SeedSequence};
use support::{rows, value, values};

/// np.random.SeedSequence(seed).generate_state(4, np.uint64), NumPy 2.4.6.
#[test]
fn seed_sequence_generates_numpys_words() {
    assert_eq!(
        SeedSequence::new(0).generate_state(),
        [
            15_793_235_383_387_715_774,
            12_390_638_538_380_655_177,
            2_361_836_109_651_742_017,
            3_188_717_715_514_472_916
        ]
    );
    assert_eq!(
        SeedSequence::new((1 << 40) + 7).generate_state(),
        [
            974_592_680_304_384_533,
            11_164_224_302_760_304_993,
            11_068_753_026_110_695_683,
            4_650_291_916_314_288_918
        ]
    );
}

/// Fact sheet, section 4d: seed 42, a fresh generator for each kind of draw.
#[test]
#[expect(clippy::excessive_precision, reason = "the digits of the sheet")]
fn first_draws_of_seed_42() {
    let mut generator = NumpyGenerator::new(42);
    let uniform: [f64; 3] = std::array::from_fn(|_| generator.random());
    assert_eq!(uniform, [0.77395604855596334, 0.43887843975205232, 0.85859791991138246]);
    let mut generator = NumpyGenerator::new(42);
    let normal: [f64; 3] = std::array::from_fn(|_| generator.standard_normal());
    assert_eq!(normal, [0.30471707975443135, -1.0399841062404955, 0.75045119580645725]);
}

#[test]
fn draws_have_numpys_bits() {
    for row in rows("draws") {
        let seed: u64 = value(&row[0]);
        let draw = |kind: fn(&mut NumpyGenerator) -> f64| {
            let mut generator = NumpyGenerator::new(seed);
            (0..4).map(|_| kind(&mut generator)).collect::<Vec<_>>()
        };
        assert_eq!(draw(NumpyGenerator::random), values::<f64>(&row[1]), "seed {seed}");
        assert_eq!(draw(|g| g.uniform(-0.3, 1.7)), values::<f64>(&row[2]), "seed {seed}");
        assert_eq!(draw(NumpyGenerator::standard_normal), values::<f64>(&row[3]), "seed {seed}");
    }
}

/// 100 000 draws for each of seven seeds: equal bits, except that a draw in the tail goes through
/// `log1p`, which libm and the C library may round differently (within one unit at 4: 9e-16).
#[test]
fn normals_follow_numpys_ziggurat() {
    for row in rows("normals") {
        let mut generator = NumpyGenerator::new(value(&row[0]));
        let normals: Vec<f64> = (0..100_000).map(|_| generator.standard_normal()).collect();
        let (tail, body): (Vec<f64>, Vec<f64>) =
            normals.iter().partition(|normal| normal.abs() > 3.654_152_885_361_009);
        assert_eq!(tail.len(), value::<usize>(&row[1]));
        let digest = (0_u64..).zip(&body).fold(0_u64, |digest, (position, normal)| {
            digest.wrapping_add(normal.to_bits().wrapping_mul(2 * position + 1))
        });
        assert_eq!(digest, value::<u64>(&row[2]));
        support::assert_close(&tail, &values(&row[3]), 3e-16);
    }
}

#[test]
fn a_stored_generator_continues() {
    let mut generator = NumpyGenerator::new(7);
    generator.random();
    let stored = serde_json::to_string(&generator).unwrap();
    let mut restored: NumpyGenerator = serde_json::from_str(&stored).unwrap();
    assert_eq!(restored, generator);
    assert_eq!(restored.random(), generator.random());
}
