//! Bootstrap intervals of every method and design against other software and closed forms.
//!
//! Expected numbers are printed by `fixtures/bootstrap.py` (numpy 2.2.6, scipy 1.17.1, arch 7.2.0)
//! where nothing else is said. Distributions of all resamples are compared in
//! `src/bootstrap/tests.rs`.

#[allow(dead_code)]
#[path = "../examples/coverage/simulation.rs"]
mod simulation;

use analysis::{
    AnalysisError, Bootstrap, CurveColumns, Estimator, FactorLevels, Hierarchy, Interval,
    IntervalMethod, SummaryColumns, curves, factor_effects, mean, summarise,
};
use polars::df;
use polars::prelude::*;
use simulation::{Method, Population, coverage};

const ESTIMATORS: [Estimator; 3] = [Estimator::Mean, Estimator::Iqm, Estimator::Median];

/// Fifteen skewed values.
const SAMPLE: [f64; 15] =
    [0.31, 0.42, 0.55, 0.61, 0.77, 0.90, 1.02, 1.18, 1.35, 1.61, 1.94, 2.40, 2.95, 3.90, 6.20];

fn by(method: IntervalMethod, resamples: usize) -> Bootstrap {
    Bootstrap { method, resamples, ..Bootstrap::tables() }
}

fn close(found: Interval, low: f64, high: f64, tolerance: f64) {
    let error = (found.low - low).abs().max((found.high - high).abs());
    assert!(error <= tolerance, "{found:?} is not [{low}, {high}] ± {tolerance}");
}

#[test]
fn one_sample_has_the_intervals_of_scipy_and_arch() {
    use IntervalMethod::{Basic, Bca, Percentile, Studentized};
    let of = |estimator, method| by(method, 100_000).sample(&SAMPLE, estimator).unwrap().unwrap();
    // Their loops drew 400,000 and 200,000 resamples. Standard errors of the ends are below 0.004,
    // of the studentized interval's upper end 0.01. arch: [1.0500, 2.5973], [0.8840, 2.4313],
    // [1.15, 2.834].
    close(of(Estimator::Mean, Percentile), 1.0507, 2.5973, 0.015);
    close(of(Estimator::Mean, Basic), 0.8840, 2.4307, 0.015);
    close(of(Estimator::Mean, Bca), 1.1518, 2.8393, 0.02);
    close(of(Estimator::Mean, Studentized), 1.0863, 3.2801, 0.04);
    close(of(Estimator::Iqm, Percentile), 0.8144, 2.2211, 0.015);
    close(of(Estimator::Iqm, Basic), 0.3967, 1.8033, 0.015);
    close(of(Estimator::Iqm, Bca), 0.8100, 2.2067, 0.02);
    // The ends are sample values.
    close(of(Estimator::Median, Percentile), 0.61, 2.40, 1e-12);
    close(of(Estimator::Median, Basic), -0.04, 1.75, 1e-12);
    close(of(Estimator::Median, Bca), 0.61, 2.40, 1e-12);
}

#[test]
fn percentile_intervals_keep_their_bits() {
    // As they were when there was no other method.
    let of = |strata: &[&[f64]], estimator| {
        let bootstrap = Bootstrap { seed: 7, ..by(IntervalMethod::Percentile, 999) };
        let interval = bootstrap.stratified(strata, estimator).unwrap().unwrap();
        (interval.low, interval.high)
    };
    assert_eq!(of(&[&SAMPLE], Estimator::Mean), (1.079_300_000_000_000_6, 2.597_533_333_333_333_2));
    assert_eq!(of(&[&SAMPLE], Estimator::Iqm), (0.834_444_444_444_444_5, 2.211_111_111_111_111));
    assert_eq!(of(&[&SAMPLE], Estimator::Median), (0.77, 2.4));
    let (low, high) = SAMPLE.split_at(7);
    assert_eq!(of(&[low, high], Estimator::Iqm), (1.061, 1.892_555_555_555_555_3));
}

#[test]
fn bayesian_intervals_are_those_of_dirichlet_weights() {
    let seven = [0, 3, 5, 8, 10, 12, 14].map(|place| SAMPLE[place]);
    let of = |estimator| {
        by(IntervalMethod::Bayesian, 100_000).sample(&seven, estimator).unwrap().unwrap()
    };
    close(of(Estimator::Mean), 1.0302, 3.6254, 0.02);
    close(of(Estimator::Iqm), 0.7371, 3.7245, 0.03);
    close(of(Estimator::Median), 0.61, 2.95, 1e-12);
    // The weight of one of two values is uniform.
    let two = |estimator| {
        by(IntervalMethod::Bayesian, 100_000).sample(&[0.0, 1.0], estimator).unwrap().unwrap()
    };
    close(two(Estimator::Mean), 0.025, 0.975, 0.003);
    close(two(Estimator::Median), 0.0, 1.0, 0.0);
}

#[test]
fn designs_resample_what_they_say() {
    let interval = |level, hierarchy: &Hierarchy| {
        let bootstrap = Bootstrap { level, ..Bootstrap::tables() };
        bootstrap.hierarchical(hierarchy, Estimator::Mean).unwrap().unwrap()
    };
    // Three levels; means of 0 and 1 are 0, 1/2, 1 with probability 1/4, 1/2, 1/4.
    let one = |value| Hierarchy::Groups(vec![Hierarchy::Values(vec![value; 3])]);
    let hierarchy = Hierarchy::Groups(vec![one(0.0), one(1.0)]);
    close(interval(0.95, &hierarchy), 0.0, 1.0, 0.0);
    close(interval(0.4, &hierarchy), 0.5, 0.5, 0.0);
    // Two groups that each hold 0 and 2: members are drawn too. Were groups alone, nothing varied.
    let group = Hierarchy::Values(vec![0.0, 2.0]);
    let hierarchy = Hierarchy::Groups(vec![group.clone(), group.clone()]);
    // Four draws of 0 or 2: both ends lie beyond 1/16.
    close(interval(0.95, &hierarchy), 0.0, 2.0, 0.0);
    let clusters: [&[f64]; 2] = [&[0.0, 2.0], &[0.0, 2.0]];
    let clustered = Bootstrap::tables().clustered(&clusters, Estimator::Mean).unwrap().unwrap();
    close(clustered, 1.0, 1.0, 0.0);
    // One level of values is a plain sample; how one group differs from others nobody knows.
    let plain = Bootstrap::tables().sample(&SAMPLE, Estimator::Mean).unwrap();
    let values = Hierarchy::Values(SAMPLE.to_vec());
    let of = |hierarchy: &Hierarchy| {
        Bootstrap::tables().hierarchical(hierarchy, Estimator::Mean).unwrap()
    };
    assert_eq!(of(&values), plain);
    assert_eq!(of(&Hierarchy::Groups(vec![values])), None);
    assert_eq!(of(&Hierarchy::Groups(vec![])), None);
    // A pair's constant difference has no width; unpaired it has.
    let shifted = SAMPLE.map(|value| value - 3.0);
    for method in IntervalMethod::ALL {
        for estimator in ESTIMATORS {
            let bootstrap = by(method, 500);
            let paired = bootstrap.paired(&SAMPLE, &shifted, estimator).unwrap().unwrap();
            close(paired, 3.0, 3.0, 1e-12);
            let unpaired = bootstrap.unpaired(&SAMPLE, &shifted, estimator).unwrap().unwrap();
            assert!(unpaired.low < 2.5 && unpaired.high > 3.5, "{method:?}: {unpaired:?}");
        }
    }
}

#[test]
fn every_method_and_design_holds_the_estimate_and_repeats_itself() {
    let (low, high) = SAMPLE.split_at(6);
    let clusters: [&[f64]; 5] =
        [&SAMPLE[..2], &SAMPLE[2..6], &SAMPLE[6..9], &SAMPLE[9..13], &SAMPLE[13..]];
    let groups = clusters.iter().map(|cluster| Hierarchy::Values(cluster.to_vec())).collect();
    let hierarchy = Hierarchy::Groups(groups);
    for estimator in ESTIMATORS {
        let estimate = estimator.of(&SAMPLE).unwrap();
        let difference = estimator.of(low).unwrap() - estimator.of(high).unwrap();
        let pairs = estimator.of(&SAMPLE[..6]).unwrap() - estimator.of(&SAMPLE[6..12]).unwrap();
        for method in IntervalMethod::ALL {
            let all = |seed| {
                let bootstrap = Bootstrap { seed, ..by(method, 1_000) };
                [
                    (bootstrap.sample(&SAMPLE, estimator), estimate),
                    (bootstrap.stratified(&[low, high], estimator), estimate),
                    (bootstrap.clustered(&clusters, estimator), estimate),
                    (bootstrap.hierarchical(&hierarchy, estimator), estimate),
                    (bootstrap.unpaired(low, high, estimator), difference),
                    (bootstrap.paired(&SAMPLE[..6], &SAMPLE[6..12], estimator), pairs),
                ]
                .map(|(interval, estimate)| (interval.unwrap(), estimate))
            };
            let found = all(3);
            for (design, (interval, estimate)) in found.iter().enumerate() {
                // Six values do not vary enough for a studentized interquartile mean or median.
                let few = method == IntervalMethod::Studentized && estimator != Estimator::Mean;
                match interval {
                    Some(interval) => assert!(
                        interval.low < *estimate && *estimate < interval.high,
                        "{estimator:?} {method:?} design {design}: {interval:?} without {estimate}"
                    ),
                    None => assert!(few && design >= 2, "{estimator:?} {method:?} {design}"),
                }
            }
            assert_eq!(all(3), found);
            assert_ne!(all(4), found);
        }
    }
}

#[test]
fn what_has_no_interval_says_so() {
    for method in IntervalMethod::ALL {
        let bootstrap = by(method, 1_000);
        for estimator in ESTIMATORS {
            assert_eq!(bootstrap.sample(&[], estimator).unwrap(), None);
            assert_eq!(bootstrap.sample(&[1.0], estimator).unwrap(), None);
            assert_eq!(bootstrap.stratified(&[], estimator).unwrap(), None);
            assert_eq!(bootstrap.stratified(&[&[1.0], &[2.0]], estimator).unwrap(), None);
            assert_eq!(bootstrap.paired(&[1.0], &[2.0], estimator).unwrap(), None);
            assert_eq!(bootstrap.unpaired(&[1.0], &SAMPLE, estimator).unwrap(), None);
            assert_eq!(bootstrap.unpaired(&SAMPLE, &[], estimator).unwrap(), None);
            assert_eq!(bootstrap.clustered(&[&SAMPLE], estimator).unwrap(), None);
            assert_eq!(bootstrap.clustered(&[&[], &[]], estimator).unwrap(), None);
            let error = bootstrap.sample(&[1.0, f64::NAN], estimator).unwrap_err();
            assert!(matches!(error, AnalysisError::NotFiniteAt { position: 1 }));
            let error =
                bootstrap.paired(&[1.0, 2.0], &[f64::INFINITY, 2.0], estimator).unwrap_err();
            assert!(matches!(error, AnalysisError::NotFiniteAt { position: 2 }));
            let error = bootstrap.paired(&SAMPLE, &SAMPLE[1..], estimator).unwrap_err();
            assert!(matches!(error, AnalysisError::Unpaired { first: 15, second: 14 }));
            let none = Bootstrap { resamples: 0, ..bootstrap };
            let error = none.unpaired(&SAMPLE, &[], estimator).unwrap_err();
            assert!(matches!(error, AnalysisError::NoResamples));
        }
    }
    // Every ninth resample of three values has no standard error; every 64th of four.
    let studentized = by(IntervalMethod::Studentized, 10_000);
    assert_eq!(studentized.sample(&[1.0, 2.0, 4.0], Estimator::Mean).unwrap(), None);
    assert!(studentized.sample(&[1.0, 2.0, 4.0, 7.0], Estimator::Mean).unwrap().is_some());
    // No reordering of 25 values is ever drawn: all resamples have fewer distinct ones.
    let distinct = |strata: &[Vec<u32>]| {
        let mut values = strata.concat();
        values.sort_unstable();
        values.dedup();
        mean(&[f64::from(u32::try_from(values.len()).ok()?)])
    };
    let values: Vec<u32> = (0..25).collect();
    let of = |method| by(method, 1_000).interval(&[&values], distinct);
    assert_eq!(of(IntervalMethod::Bca).unwrap(), None);
    assert!(of(IntervalMethod::Percentile).unwrap().is_some());
    assert!(of(IntervalMethod::Studentized).is_ok());
    assert_eq!(
        of(IntervalMethod::Bayesian).unwrap_err().to_string(),
        "this statistic has no weighted form, which the Bayesian bootstrap needs: choose another \
         interval method"
    );
}

/// Two arms of two runs a replicate, in each of which the second is 3 higher; and an arm of one run.
fn runs() -> DataFrame {
    let replicates: Vec<u64> = (0..6).flat_map(|k| [k; 4]).chain([0]).collect();
    let arms: Vec<&str> = (0..6).flat_map(|_| ["a", "a", "b", "b"]).chain(["c"]).collect();
    let (mut values, mut names) = (vec![], vec![]);
    for k in 0..6 {
        for (arm, run) in [(0.0, 0.0), (0.0, 0.25), (3.0, 0.0), (3.0, 0.25)] {
            values.push(Some(SAMPLE[2 * k] + arm + run));
        }
    }
    values.push(None);
    for run in 0..values.len() {
        names.push(format!("run {run}"));
    }
    df!("arm" => arms, "replicate" => replicates, "value" => values, "run" => names,
        "step" => [1u64; 25])
    .unwrap()
}

fn tables(frame: &DataFrame, estimator: Estimator, bootstrap: &Bootstrap) -> [DataFrame; 3] {
    let columns = SummaryColumns { groups: &["arm"], replicate: "replicate", value: "value" };
    let along = CurveColumns {
        groups: &["arm"],
        run: "run",
        replicate: "replicate",
        x: "step",
        value: "value",
    };
    let factor = FactorLevels { column: "arm".into(), levels: vec!["a".into(), "b".into()] };
    [
        summarise(frame, columns, estimator, bootstrap).unwrap(),
        curves(frame, along, 10, estimator, bootstrap).unwrap(),
        factor_effects(frame, &[factor], "replicate", "value", bootstrap).unwrap(),
    ]
}

#[test]
fn tables_take_every_method_and_name_it() {
    let names = [
        "percentile bootstrap over replicates",
        "basic bootstrap over replicates",
        "BCa bootstrap over replicates",
        "studentized bootstrap over replicates",
        "Bayesian bootstrap over replicates",
    ];
    let end = |table: &DataFrame, column: &str, row| {
        table.column(column).unwrap().f64().unwrap().get(row)
    };
    let mut seen = Vec::new();
    for (method, name) in IntervalMethod::ALL.into_iter().zip(names) {
        let [summary, curve, effects] = tables(&runs(), Estimator::Mean, &by(method, 2_000));
        for table in [&summary, &curve, &effects] {
            assert_eq!(table.column("interval").unwrap().str().unwrap().get(0), Some(name));
        }
        // Two rows a replicate are a cluster, and a curve's point is what a summary is.
        let clusters: Vec<Vec<f64>> =
            (0..6).map(|k| vec![SAMPLE[2 * k], SAMPLE[2 * k] + 0.25]).collect();
        let clusters: Vec<&[f64]> = clusters.iter().map(Vec::as_slice).collect();
        let expected = by(method, 2_000).clustered(&clusters, Estimator::Mean).unwrap().unwrap();
        for table in [&summary, &curve] {
            // Tables add up the sums of clusters instead of values: equal but for rounding.
            let (low, high) = (end(table, "low", 0).unwrap(), end(table, "high", 0).unwrap());
            close(Interval { low, high }, expected.low, expected.high, 1e-12);
            assert_eq!(end(table, "low", 2), None);
        }
        seen.push((expected.low, expected.high));
        // Every replicate has the same difference.
        let (low, high) = (end(&effects, "low", 0).unwrap(), end(&effects, "high", 0).unwrap());
        close(Interval { low, high }, 3.0, 3.0, 1e-9);
    }
    seen.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    seen.dedup();
    assert_eq!(seen.len(), 5, "each method has its own ends: {seen:?}");
}

#[test]
fn one_row_a_replicate_is_a_plain_sample() {
    let frame = df!("replicate" => (0..15).collect::<Vec<u64>>(), "value" => SAMPLE).unwrap();
    let columns = SummaryColumns { groups: &[], replicate: "replicate", value: "value" };
    // Replicates are numbered in the order of their text: 0, 1, 10, 11, ..., 2, ...
    let order = [0, 1, 10, 11, 12, 13, 14, 2, 3, 4, 5, 6, 7, 8, 9];
    let values = order.map(|place: usize| SAMPLE[place]);
    for method in IntervalMethod::ALL {
        for estimator in ESTIMATORS {
            let bootstrap = by(method, 1_000);
            let table = summarise(&frame, columns, estimator, &bootstrap).unwrap();
            let expected = bootstrap.sample(&values, estimator).unwrap().unwrap();
            let end = |column| table.column(column).unwrap().f64().unwrap().get(0);
            assert_eq!((end("low"), end("high")), (Some(expected.low), Some(expected.high)));
        }
    }
}

#[test]
fn effects_of_unequal_arms_have_intervals_of_every_method() {
    // Replicates 0 to 7, but b lacks the last two, and its difference is not constant.
    let frame = df!(
        "arm" => ["a", "a", "a", "a", "a", "a", "a", "a", "b", "b", "b", "b", "b", "b"],
        "replicate" => [0u64, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5],
        "value" => [1.0, 2.0, 4.0, 3.0, 2.5, 3.5, 1.5, 2.25, 2.0, 2.5, 5.5, 3.25, 4.0, 4.75],
    )
    .unwrap();
    let factor = FactorLevels { column: "arm".into(), levels: vec!["a".into(), "b".into()] };
    for method in IntervalMethod::ALL {
        let bootstrap = by(method, 4_000);
        let table =
            factor_effects(&frame, std::slice::from_ref(&factor), "replicate", "value", &bootstrap)
                .unwrap();
        let of = |column| table.column(column).unwrap().f64().unwrap().get(0).unwrap();
        let (low, estimate, high) = (of("low"), of("estimate"), of("high"));
        // 22 / 6 - 19.75 / 8; its jackknife error is near 0.4.
        assert!((estimate - 1.197_916_666_666_666_7).abs() < 1e-12);
        assert!(low < estimate && estimate < high, "{method:?}: [{low}, {high}]");
        assert!(high - low > 0.8 && high - low < 4.0, "{method:?}: [{low}, {high}]");
    }
}

#[test]
fn threads_and_row_order_show_in_no_method() {
    let frame = runs();
    let reversed = frame.reverse();
    for method in IntervalMethod::ALL {
        for estimator in ESTIMATORS {
            let with = |frame: &DataFrame, threads| {
                tables(frame, estimator, &Bootstrap { threads, ..by(method, 300) })
            };
            let reference = with(&frame, 1);
            for other in [with(&frame, 3), with(&reversed, 1), with(&reversed, 4)] {
                for (reference, other) in reference.iter().zip(&other) {
                    assert!(reference.equals_missing(other), "{reference} is not {other}");
                }
            }
        }
    }
}

#[test]
fn coverage_is_what_the_documentation_says() {
    // Of the mean, the table of `IntervalMethod`, from 4,000 samples with 2,000 resamples each; here
    // fewer of those samples (of many values yet fewer) with 300 resamples.
    use Population::{Bimodal, Exponential, Lognormal, Normal};
    let documented = [
        (Normal, 10, [95.7, 91.2, 91.2, 90.9, 95.4, 89.6]),
        (Normal, 30, [95.2, 93.3, 93.2, 93.4, 95.0, 92.8]),
        (Normal, 100, [94.8, 94.4, 94.2, 94.4, 94.6, 94.0]),
        (Bimodal, 10, [93.1, 90.6, 85.8, 93.6, 96.4, 90.5]),
        (Bimodal, 30, [94.4, 93.3, 91.6, 95.0, 97.4, 93.5]),
        (Bimodal, 100, [94.9, 94.6, 94.2, 95.0, 95.5, 94.8]),
        (Exponential, 10, [89.8, 86.2, 84.2, 87.6, 94.0, 85.1]),
        (Exponential, 30, [92.4, 91.5, 90.0, 92.2, 94.5, 91.2]),
        (Exponential, 100, [94.0, 93.8, 93.2, 94.2, 95.0, 93.7]),
        (Lognormal, 10, [84.7, 81.5, 78.0, 83.7, 91.5, 80.2]),
        (Lognormal, 30, [88.0, 87.6, 84.6, 89.6, 92.6, 87.6]),
    ];
    let mean = Estimator::Mean;
    for (population, n, percents) in documented {
        let methods = [Method::T].into_iter().chain(IntervalMethod::ALL.map(Method::Bootstrap));
        for (method, documented) in methods.zip(percents) {
            let found =
                coverage(population, mean, method, n, 300, if n < 100 { 1_000 } else { 400 });
            // Three standard errors of the difference of two samples' coverage (they share what
            // makes them alike), and what the fewer resamples cost.
            let tolerance = 3.0 * found.error + 0.7;
            assert!(
                (found.percent - documented).abs() <= tolerance,
                "{population:?}, n = {n}, {method:?}: {found:?} is not {documented} %"
            );
            assert!(found.none < 0.1, "{population:?}, n = {n}, {method:?}: {found:?}");
            // What does not cover what it says, says so.
            if let Method::Bootstrap(method) = method {
                let kept = found.percent + 3.0 * found.error >= 93.0
                    && found.percent - 3.0 * found.error <= 97.0;
                assert!(kept || method.caveat(mean, n).is_some(), "{method:?}, n = {n}: {found:?}");
            }
        }
    }
}

#[test]
fn interquartile_means_and_medians_cover_as_documented() {
    let of = |estimator, method, population| {
        coverage(population, estimator, Method::Bootstrap(method), 30, 300, 1_000)
    };
    for population in Population::ALL {
        for method in [IntervalMethod::Percentile, IntervalMethod::Bca] {
            for estimator in [Estimator::Iqm, Estimator::Median] {
                let found = of(estimator, method, population);
                assert!(
                    found.percent > 93.0 - 3.0 * found.error && found.percent < 97.0,
                    "{estimator:?} {method:?} {population:?}: {found:?}"
                );
                assert_eq!(method.caveat(estimator, 30), None);
            }
        }
    }
    // Mirrored where failures and successes mix: documented as 80.4 %.
    let found = of(Estimator::Iqm, IntervalMethod::Basic, Population::Bimodal);
    assert!((found.percent - 80.4).abs() < 3.0 * found.error + 0.7, "{found:?}");
}

#[test]
fn a_caveat_says_how_far_from_its_promise_an_interval_is() {
    let percentile = IntervalMethod::Percentile;
    assert_eq!(
        percentile.caveat(Estimator::Mean, 12).unwrap(),
        "nominal 95 % percentile intervals of the mean of 10 replicates covered 91.2 % (normal), \
         90.6 % (bimodal), 86.2 % (exponential), 81.5 % (lognormal) in simulation: it allows \
         neither for an estimated spread, as Student's t does, nor for skewness"
    );
    // Fewer than were simulated are no better than five.
    let five = percentile.caveat(Estimator::Mean, 5).unwrap();
    assert!(five.contains("of 5 replicates covered 84.3 % (normal)"), "{five}");
    assert_eq!(percentile.caveat(Estimator::Mean, 2).unwrap(), five);
    assert_eq!(percentile.caveat(Estimator::Mean, 9).unwrap(), five);
    assert_eq!(percentile.caveat(Estimator::Mean, 1_000), None);
    assert_eq!(percentile.caveat(Estimator::Iqm, 30), None);
    assert_eq!(percentile.caveat(Estimator::Median, 5), None);
    // Inside on every population, with 100 replicates.
    assert_eq!(IntervalMethod::Studentized.caveat(Estimator::Mean, 100), None);
    assert_eq!(
        IntervalMethod::Studentized.caveat(Estimator::Iqm, 5).unwrap(),
        "a studentized interval of the interquartile mean (IQM) takes ten replicates: fewer give \
         resamples without a standard error"
    );
}
