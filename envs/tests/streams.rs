//! The project's own streams.

use std::collections::HashSet;

use envs::{Purpose, Streams, fill_standard_normal};
use rand::Rng;

const STREAMS: Streams = Streams { study_seed: 2020, replicate: 3 };

/// First word of each purpose's stream, which a second implementation of ChaCha12 (written from the
/// specification) confirms for these keys. A change here changes every result ever stored.
#[test]
fn first_words_are_pinned() {
    let words = Purpose::ALL.map(|purpose| STREAMS.rng(purpose, 0).next_u64());
    assert_eq!(
        words,
        [
            3_766_066_888_009_310_751,
            6_072_299_197_945_439_232,
            11_480_148_818_722_841_194,
            1_877_278_170_275_258_723,
            17_032_068_759_828_895_683,
            15_817_735_323_542_378_342,
            16_299_092_032_204_149_580
        ]
    );
}

/// The key of (0, 0, init, 0) is one byte of 1 at offset 16.
#[test]
fn the_key_is_four_little_endian_words() {
    use rand::SeedableRng;
    let mut key = [0; 32];
    key[0] = 0x0d;
    key[1] = 0x0c;
    key[8] = 2;
    key[16] = 4;
    key[24] = 9;
    let mut expected = rand_chacha::ChaCha12Rng::from_seed(key);
    let streams = Streams { study_seed: 0x0c0d, replicate: 2 };
    assert_eq!(streams.rng(Purpose::Minibatch, 9).next_u64(), expected.next_u64());
}

#[test]
fn every_part_of_the_key_separates_streams() {
    let mut seen = HashSet::new();
    for study_seed in [0, 1, u64::MAX] {
        for replicate in [0, 1, 1 << 32] {
            for purpose in Purpose::ALL {
                for index in [0, 1, 1 << 63] {
                    let mut rng = Streams { study_seed, replicate }.rng(purpose, index);
                    assert!(seen.insert(rng.next_u64()));
                }
            }
        }
    }
    assert_eq!(seen.len(), 3 * 3 * 7 * 3);
}

#[test]
fn normals_are_pinned_and_standard() {
    let mut values = vec![0.0; 100_000];
    fill_standard_normal(&mut STREAMS.rng(Purpose::ActionNoise, 0), &mut values);
    assert_eq!(values[..4], [1.3581944_f32, -0.26430315, 0.9200876, 0.6964936]);
    let count = values.len() as f64;
    let mean = values.iter().copied().map(f64::from).sum::<f64>() / count;
    let variance = values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
    // Four standard errors: 4 / sqrt(1e5), 4 sqrt(2 / 1e5).
    assert!(mean.abs() < 0.0127, "{mean}");
    assert!((variance - 1.0).abs() < 0.0179, "{variance}");
}

#[test]
fn filling_in_parts_continues_the_stream() {
    let mut rng = STREAMS.rng(Purpose::Init, 5);
    let mut parts = [0.0; 10];
    let (first, second) = parts.split_at_mut(3);
    fill_standard_normal(&mut rng, first);
    fill_standard_normal(&mut rng, second);
    let mut whole = [0.0; 10];
    fill_standard_normal(&mut STREAMS.rng(Purpose::Init, 5), &mut whole);
    assert_eq!(parts, whole);
}

#[test]
fn purposes_have_stable_names() {
    let names = serde_json::to_string(&Purpose::ALL).unwrap();
    assert_eq!(
        names,
        r#"["init","env-reset","action-noise","minibatch","fisher-subsample","evaluation","diagnostics"]"#
    );
}
