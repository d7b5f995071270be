//! Dataset replication against closed forms.
//!
//! Golden numbers of the synthetic mixtures were computed apart from this code,
//! in Python; closed forms are derived beside each test.

use analysis::replication::*;
use analysis::{MixtureOptions, fit_mixture};
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;

fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
}

fn beta_population(components: &[(f64, f64, f64)], models: &[&[f64]]) -> BetaPopulation {
    let components = components
        .iter()
        .map(|(weight, alpha, beta)| BetaComponent { weight: *weight, alpha: *alpha, beta: *beta })
        .collect();
    BetaPopulation::new(components, models.iter().map(|model| model.to_vec()).collect()).unwrap()
}

fn matched<P: Population>(reference: &P, pool: &P, annotators: usize, matching: Matching) -> P {
    let (one, other) = (reference.counts(annotators), pool.counts(annotators));
    let weights = matching_weights(matching, &one, &other).unwrap();
    assert_eq!(weights.unmatched, 0.0);
    pool.reweighted(&weights.weights).unwrap()
}

const FIRST: [&[(f64, f64, f64)]; 2] = [&[(1.0, 8.0, 2.0)], &[(1.0, 2.0, 2.0)]];
const SECOND: [&[(f64, f64, f64)]; 2] = [
    &[(0.70, 9.0, 1.0), (0.20, 4.0, 3.0), (0.10, 1.0, 4.0)],
    &[(0.45, 7.0, 1.2), (0.55, 0.8, 1.4)],
];

#[test]
fn matching_with_few_annotators_regresses_to_the_pool() {
    // A pool Beta(a, b) matched by n annotators to a reference of mean mu has the mean
    // (n mu + a) / (n + a + b), whatever the reference's shape.
    let [reference, pool] = FIRST.map(|parts| beta_population(parts, &[&[0.0, 1.0]]));
    for n in [1, 5, 10, 40] {
        let replication = matched(&reference, &pool, n, Matching::Exact);
        let expected = (n as f64 * 0.8 + 2.0) / (n as f64 + 4.0);
        close(replication.mean_frequency(), expected, 1e-12);
        // Matching does make the observed frequencies equal.
        close(replication.counts(n).mean_frequency(), expected, 1e-12);
    }
    let [reference, pool] = SECOND.map(|parts| beta_population(parts, &[&[0.0, 1.0]]));
    close(reference.mean_frequency(), 0.764286, 5e-7);
    close(pool.mean_frequency(), 0.584146, 5e-7);
    for (n, expected) in
        [(5, 0.724832), (10, 0.740967), (20, 0.751107), (40, 0.757133), (100, 0.761248)]
    {
        let replication = matched(&reference, &pool, n, Matching::Exact);
        close(replication.mean_frequency(), expected, 5e-7);
    }
}

#[test]
fn naive_and_jackknife_biases_have_their_closed_forms() {
    // g(s) = s, replication Beta(a, b): A_n = (n mu + a) / (n + nu), and the delete-1 jackknife's bias is
    // nu^2 (mu2 - mu1) / ((n + nu) (n - 1 + nu)).
    let reference = beta_population(&[(1.0, 8.0, 2.0)], &[&[0.0, 1.0]]);
    let replication = beta_population(&[(1.0, 6.0, 3.0)], &[&[0.0, 1.0]]);
    let counts = |n: usize| (reference.counts(n), replication.counts(n));
    let (one, other) = counts(40);
    let naive = adjusted(&one, &other, EmptyBins::Drop).unwrap().accuracy[0].unwrap();
    close(naive, 0.7755102, 5e-8);
    let jackknife = jackknifed(&one, &other, 1, EmptyBins::Drop).unwrap().accuracy[0].unwrap();
    close(jackknife, 0.7954082, 5e-8);
    close(jackknife, 0.8 + 81.0 * (6.0 / 9.0 - 0.8) / (49.0 * 48.0), 1e-11);
    // Thinning is what fewer annotators would have seen.
    let (fewer, thinned) = (counts(30).1, other.thinned(30).unwrap());
    for k in 0..=30 {
        close(thinned.probability[k], fewer.probability[k], 1e-13);
        close(thinned.correct[0][k], fewer.correct[0][k], 1e-13);
    }
}

#[test]
fn synthetic_mixtures_have_their_known_answers() {
    let cases: [(usize, &[f64], [f64; 8]); 6] = [
        (
            1,
            &[0.0, 1.0],
            [0.800000, 0.714286, 0.766267, 0.778946, 0.787972, 0.785761, 0.794554, 0.798243],
        ),
        (
            1,
            &[0.15, 0.7],
            [0.710000, 0.650000, 0.686387, 0.695262, 0.701581, 0.700033, 0.706188, 0.708770],
        ),
        (
            1,
            &[0.3, 0.1, 0.5],
            [0.707273, 0.640260, 0.680218, 0.690262, 0.697502, 0.695537, 0.702709, 0.705783],
        ),
        (
            2,
            &[0.15, 0.7],
            [0.685000, 0.668677, 0.681277, 0.682605, 0.683576, 0.683367, 0.684242, 0.684715],
        ),
        (
            2,
            &[0.3, 0.1, 0.5],
            [0.701840, 0.682999, 0.696507, 0.698344, 0.699738, 0.699312, 0.700659, 0.701394],
        ),
        (
            2,
            &[0.25, 0.2, -0.15, 0.6],
            [0.650519, 0.627368, 0.642899, 0.645444, 0.647439, 0.646681, 0.648712, 0.649834],
        ),
    ];
    for (which, model, expected) in cases {
        let [reference, pool] =
            if which == 1 { FIRST } else { SECOND }.map(|parts| beta_population(parts, &[model]));
        let replication = matched(&reference, &pool, 10, Matching::Exact);
        close(reference.accuracy()[0], expected[0], 6e-7);
        close(replication.accuracy()[0], expected[1], 6e-7);
        for (place, m) in [10, 20, 40].into_iter().enumerate() {
            let (one, other) = (reference.counts(m), replication.counts(m));
            let naive = adjusted(&one, &other, EmptyBins::Renormalise).unwrap();
            close(naive.accuracy[0].unwrap(), expected[2 + place], 6e-7);
            let jackknife = jackknifed(&one, &other, 1, EmptyBins::Renormalise).unwrap();
            close(jackknife.accuracy[0].unwrap(), expected[5 + place], 6e-7);
        }
    }
}

#[test]
fn empty_bins_are_reported() {
    let reference =
        Counts { probability: vec![0.1, 0.2, 0.3, 0.4], correct: vec![vec![0.0, 0.1, 0.2, 0.4]] };
    let replication =
        Counts { probability: vec![0.5, 0.0, 0.0, 0.5], correct: vec![vec![0.1, 0.0, 0.0, 0.4]] };
    // Accuracies 0.2 and 0.8 in the outer bins, whose reference shares are 0.1 and 0.4.
    for (empty, expected) in [
        (EmptyBins::Drop, 0.1 * 0.2 + 0.4 * 0.8),
        (EmptyBins::Renormalise, (0.1 * 0.2 + 0.4 * 0.8) / 0.5),
        (EmptyBins::Nearest, 0.3 * 0.2 + 0.7 * 0.8),
    ] {
        let found = adjusted(&reference, &replication, empty).unwrap();
        close(found.accuracy[0].unwrap(), expected, 1e-15);
        assert_eq!(found.empty_bins, [1, 2]);
        close(found.empty_mass, 0.5, 1e-15);
    }
    let nothing = Counts { probability: vec![0.0; 4], correct: vec![vec![0.0; 4]] };
    let found = adjusted(&reference, &nothing, EmptyBins::Renormalise).unwrap();
    assert_eq!(found.accuracy, [None]);
    let fewer = Counts { probability: vec![1.0], correct: vec![] };
    assert!(adjusted(&reference, &fewer, EmptyBins::Drop).is_err());
    for deleted in [0, 3, 4] {
        assert!(jackknifed(&reference, &reference, deleted, EmptyBins::Drop).is_err());
    }
}

#[test]
fn drawn_images_agree_with_their_expectation() {
    let [reference, pool] = SECOND.map(|parts| beta_population(parts, &[&[0.3, 0.1, 0.5]]));
    let replication = matched(&reference, &pool, 10, Matching::Exact);
    let mut rng = ChaCha12Rng::from_seed([7; 32]);
    let v1 = reference.draw(200_000, 40, &mut rng);
    let v2 = replication.draw(200_000, 40, &mut rng);
    assert_eq!((v1.len(), v1.fewest_annotators()), (200_000, 40));
    // Four standard errors: sd of a frequency is below 0.3.
    close(v1.mean_frequency(), 0.764286, 4.0 * 0.3 / 447.0);
    close(v2.mean_frequency(), 0.740967, 4.0 * 0.3 / 447.0);
    let (one, other) = (v1.counts(40).unwrap(), v2.counts(40).unwrap());
    let naive = adjusted(&one, &other, EmptyBins::Renormalise).unwrap();
    close(naive.accuracy[0].unwrap(), 0.699738, 4.0 * 0.00084);
    let ten = jackknifed(&one, &other, 10, EmptyBins::Renormalise).unwrap();
    close(ten.accuracy[0].unwrap(), 0.701394, 4.0 * 0.0009);
    // The released form draws subsets: around the exact one, with noise of its own.
    let drawn =
        Images::jackknifed_by_sampling(&v1, &v2, 10, 20, EmptyBins::Renormalise, &mut rng).unwrap();
    close(drawn.accuracy[0].unwrap(), ten.accuracy[0].unwrap(), 0.0012);
    let options = ParametricOptions { mixture: MixtureOptions { starts: 3, ..Default::default() } };
    let fitted = parametric(&one, &other, &options).unwrap();
    close(fitted.accuracy[0], 0.701840, 0.004);
}

#[test]
fn a_histogram_has_the_mixture_that_scipy_finds() {
    let histogram: Vec<((u64, u64), f64)> = [1, 0, 2, 1, 3, 2, 5, 8, 10, 20, 48]
        .into_iter()
        .enumerate()
        .map(|(k, images)| ((10, k as u64), f64::from(images)))
        .collect();
    let options = MixtureOptions { components: 1, starts: 1, ..Default::default() };
    let fit = fit_mixture(&histogram, &options).unwrap();
    let (_, of) = fit.components[0];
    close(of.alpha().unwrap(), 2.32714792, 5e-7);
    close(of.beta().unwrap(), 0.40399539, 5e-8);
    close(fit.log_likelihood, -163.49043420, 5e-8);
    assert_eq!(fit_mixture(&[], &options), None);
}

#[test]
fn a_cubic_in_the_span_of_the_spline_is_recovered() {
    let cubic: &[f64] = &[0.25, 0.2, -0.15, 0.6];
    let reference = beta_population(&[(1.0, 6.0, 2.0)], &[cubic]);
    let replication = beta_population(&[(1.0, 3.0, 2.0)], &[cubic]);
    let options = ParametricOptions {
        mixture: MixtureOptions { components: 1, starts: 1, ..Default::default() },
    };
    let fitted = parametric(&reference.counts(40), &replication.counts(40), &options).unwrap();
    let spline = &fitted.splines[0];
    assert!(spline.residual < 1e-12, "{}", spline.residual);
    for point in 0..=20 {
        let s = f64::from(point) / 20.0;
        close(spline.at(s), 0.25 + 0.2 * s - 0.15 * s * s + 0.6 * s * s * s, 1e-3);
    }
    close(fitted.accuracy[0], reference.accuracy()[0], 1e-5);
}

#[test]
fn the_bootstrap_covers_image_noise() {
    let [reference, pool] = FIRST.map(|parts| beta_population(parts, &[&[0.0, 1.0]]));
    let replication = matched(&reference, &pool, 10, Matching::Exact);
    let mut rng = ChaCha12Rng::from_seed([8; 32]);
    let (v1, v2) = (reference.draw(2000, 20, &mut rng), replication.draw(2000, 20, &mut rng));
    let raw = |one: &Counts, other: &Counts| Some(one.accuracy()[0] - other.accuracy()[0]);
    let options =
        BootstrapOptions { resamples: 400, level: 0.95, annotators: true, seed: 3, threads: 2 };
    let found = bootstrap(&v1, &v2, 20, &options, raw).unwrap().unwrap();
    // Two independent proportions of 2000: sqrt((.8 .2 + .714 .286) / 2000) = 0.01349.
    close(found.standard_error, 0.01349, 0.0015);
    let gap = v1.accuracy()[0] - v2.accuracy()[0];
    assert!(found.interval.low < gap && gap < found.interval.high);
    let threads = BootstrapOptions { threads: 1, ..options };
    assert_eq!(bootstrap(&v1, &v2, 20, &threads, raw).unwrap(), Some(found));
    assert!(bootstrap(&v1, &v2, 21, &options, raw).is_err());
}

#[test]
fn variants_of_imagenet_v2_are_drawn_by_their_rules() {
    assert_eq!([0, 1, 2, 3, 4, 5].map(|k| frequency_bin(k, 5)), [0, 1, 2, 3, 4, 4]);
    assert_eq!([0, 1, 2, 7, 8, 10].map(|k| frequency_bin(k, 10)), [0, 0, 1, 3, 4, 4]);
    // Shares 0.4, 0.8, 0, 0.8, 2: the two largest remainders are equal, and the next is 0.4.
    assert_eq!(largest_remainder(&[2, 4, 0, 4, 10], 4), [0, 1, 0, 1, 2]);
    // Equal remainders: the later bin.
    assert_eq!(largest_remainder(&[1, 1, 0, 0, 0], 3), [1, 2, 0, 0, 0]);
    assert_eq!(largest_remainder(&[0; 5], 3), [0; 5]);
    let image =
        |class: u32, selected: u64, annotators: u64| Candidate { class, selected, annotators };
    let reference: Vec<Candidate> = [1, 3, 10, 10].map(|k| image(0, k, 10)).into();
    // No candidate in [0, .2): its image comes from the next higher bin.
    let pool = [3, 2, 7, 9, 8, 10].map(|k| image(0, k, 10));
    let mut rng = ChaCha12Rng::from_seed([9; 32]);
    let drawn =
        draw_imagenet_v2(&reference, &pool, Variant::MatchedFrequency, 4, &mut rng).unwrap();
    assert_eq!(&drawn.images[..2], [0, 1]);
    assert!(drawn.images[2..].iter().all(|image| [3, 4, 5].contains(image)));
    assert_eq!(drawn.short, []);
    let drawn = draw_imagenet_v2(&[], &pool, Variant::Threshold(0.7), 5, &mut rng).unwrap();
    assert_eq!((drawn.images, drawn.short), (vec![2, 3, 4, 5], vec![(0, 1)]));
    let pool = [image(4, 9, 10), image(4, 18, 20), image(4, 10, 10), image(3, 1, 2)];
    let drawn = draw_imagenet_v2(&[], &pool, Variant::TopImages, 2, &mut rng).unwrap();
    assert_eq!((drawn.images, drawn.short), (vec![3, 2, 1], vec![(3, 1)]));
}

#[test]
fn impossible_votes_are_named() {
    let wrong = Images::new(vec![1, 5], vec![3, 4], vec![]).unwrap_err().to_string();
    assert!(wrong.starts_with("image 1 (counted from zero) has 5 selections by 4 annotators"));
    let wrong = Images::new(vec![1, 2], vec![3, 4], vec![vec![true]]).unwrap_err().to_string();
    assert_eq!(wrong, "model 0 (counted from zero) has 1 predictions for 2 images");
    let images = Images::new(vec![1, 2], vec![3, 4], vec![]).unwrap();
    let wrong = images.counts(4).unwrap_err().to_string();
    assert!(wrong.contains("an image has only 3"), "{wrong}");
}

#[test]
fn annotators_of_an_image_are_split_without_replacement() {
    let mut rng = ChaCha12Rng::seed_from_u64(3);
    let correct = vec![(0..4000).map(|image| image % 3 == 0).collect::<Vec<bool>>()];
    let images = Images::new(vec![6; 4000], vec![8; 4000], correct).unwrap();
    let (first, others) = images.split(3, &mut rng).unwrap();
    let candidates = |images: &Images| images.candidates(|_| 0);
    let mut selected = [0_u32; 4];
    for (one, other) in candidates(&first).iter().zip(candidates(&others)) {
        assert_eq!((one.annotators, other.annotators), (3, 5));
        assert_eq!(one.selected + other.selected, 6);
        selected[one.selected as usize] += 1;
    }
    // Hypergeometric probabilities of 1, 2 and 3 among 3 of 8, of which 6 select: 3/28, 15/28, 10/28.
    assert_eq!(selected[0], 0);
    for (count, expected) in selected[1..].iter().zip([3.0, 15.0, 10.0]) {
        close(f64::from(*count) / 4000.0, expected / 28.0, 0.03);
    }
    assert!(images.split(8, &mut rng).is_err());

    let chosen = images.at(&[3, 1]).unwrap();
    assert_eq!((chosen.len(), chosen.accuracy()), (2, vec![0.5]));
    let joined = Images::joined(&[chosen, images]).unwrap();
    assert_eq!((joined.len(), joined.fewest_annotators()), (4002, 8));
}

#[test]
fn the_parametric_fit_foresees_the_bias_of_more_annotators() {
    // 0.70 Beta(9, 1) + 0.20 Beta(4, 3) + 0.10 Beta(1, 4) against a pool, accuracy 0.3 + 0.1 s + 0.5 s^2:
    // the naive estimates of 10, 20 and 40 annotators in closed form, computed apart from this code.
    let [reference, pool] = SECOND.map(|parts| beta_population(parts, &[&[0.3, 0.1, 0.5]]));
    let replication = matched(&reference, &pool, 10, Matching::Exact);
    let mixture = MixtureOptions { components: 3, starts: 5, rounds: 1000, seed: 0 };
    // A pilot of twenty annotators.
    let fitted =
        parametric(&reference.counts(20), &replication.counts(20), &ParametricOptions { mixture })
            .unwrap();
    for (annotators, expected) in [(10, 0.696507), (20, 0.698344), (40, 0.699738)] {
        let (one, other) = fitted.counts(annotators);
        close(one.probability.iter().sum(), 1.0, 1e-9);
        let naive = adjusted(&one, &other, EmptyBins::Drop).unwrap().accuracy[0].unwrap();
        close(naive, expected, 5e-4);
    }
}
