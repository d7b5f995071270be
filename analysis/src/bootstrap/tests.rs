//! Exact bootstrap distributions: every resample once, so that nothing is left to chance. Expected
//! numbers are printed by `tests/fixtures/bootstrap.py` (numpy 2.2.6, scipy 1.17.1).

use super::super::{Estimator, mean, sd};
use super::coverage::ROWS;
use super::designs::Nested;
use super::method::{acceleration, bca, bias};
use super::statistic::{Clustered, Difference, Pooled, Statistic};
use super::{Bootstrap, Design, Draws, Hierarchy, Interval, IntervalMethod};

const A: [f64; 5] = [0.5, 1.25, 2.0, 3.75, 8.0];
const B: [f64; 3] = [1.5, 2.25, 6.0];
const C: [f64; 5] = [0.25, 1.5, 1.0, 3.0, 5.5];

/// Every way to draw as many as there are from each stratum.
fn every(units: &[usize]) -> (Vec<Draws>, usize) {
    let ways: Vec<usize> = units.iter().map(|&n| n.pow(u32::try_from(n).unwrap())).collect();
    let all: usize = ways.iter().product();
    let mut repeat = all;
    let mut draws = Vec::new();
    for (&n, &ways) in units.iter().zip(&ways) {
        repeat /= ways;
        let digit = |way: usize, place: usize| way / n.pow(u32::try_from(place).unwrap()) % n;
        let indices = (0..all)
            .flat_map(|r| (0..n).map(move |place| digit(r / repeat % ways, place)))
            .map(|index| u32::try_from(index).unwrap())
            .collect();
        draws.push(Draws { units: n, indices, weights: vec![] });
    }
    (draws, all)
}

fn exact<T: Copy>(
    strata: &[&[T]],
    statistic: &impl Statistic<T>,
    method: IntervalMethod,
) -> Option<Interval> {
    let (draws, resamples) = every(&strata.iter().map(|items| items.len()).collect::<Vec<_>>());
    let bootstrap = Bootstrap { method, resamples, ..Bootstrap::tables() };
    bootstrap.interval_from(&draws.iter().collect::<Vec<_>>(), strata, statistic).unwrap()
}

fn close(found: Option<Interval>, low: f64, high: f64) {
    let found = found.unwrap();
    let error = (found.low - low).abs().max((found.high - high).abs());
    assert!(error <= 1e-12, "{found:?} is not [{low}, {high}]");
}

#[test]
fn all_resamples_are_there_once() {
    let (draws, all) = every(&[2, 3]);
    assert_eq!(all, 108);
    let mut seen: Vec<(&[u32], &[u32])> =
        (0..all).map(|r| (draws[0].resample(r), draws[1].resample(r))).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 108);
}

#[test]
fn one_sample_has_scipys_intervals() {
    use IntervalMethod::{Basic, Bca, Percentile, Studentized};
    let of =
        |estimator, method| exact(&[&A], &Pooled::new(estimator, 5, method == Studentized), method);
    close(of(Estimator::Mean, Percentile), 1.1, 5.65);
    close(of(Estimator::Mean, Basic), 0.55, 5.1);
    close(of(Estimator::Mean, Bca), 1.4, 6.5);
    close(of(Estimator::Mean, Studentized), 0.526_222_424_481_187_3, 13.299_273_757_733_205);
    close(of(Estimator::Iqm, Percentile), 0.75, 6.583_333_333_333_333);
    close(of(Estimator::Iqm, Basic), -1.916_666_666_666_666, 3.916_666_666_666_667);
    close(of(Estimator::Iqm, Bca), 0.75, 6.583_333_333_333_333);
    // More than a twentieth of the resamples have no winsorised variance.
    assert_eq!(of(Estimator::Iqm, Studentized), None);
    close(of(Estimator::Median, Percentile), 0.5, 8.0);
    close(of(Estimator::Median, Basic), -4.0, 3.5);
    close(of(Estimator::Median, Bca), 0.5, 8.0);
    close(of(Estimator::Median, Studentized), -2.515_541_594_125_151_5, 5.649_382_196_878_995);
}

#[test]
fn strata_have_scipys_intervals() {
    use IntervalMethod::{Bca, Percentile};
    let of = |estimator, method| exact(&[&A, &B], &Pooled::new(estimator, 8, false), method);
    close(of(Estimator::Mean, Percentile), 1.625, 4.9375);
    close(of(Estimator::Mean, Bca), 1.8125, 5.34375);
    close(of(Estimator::Iqm, Percentile), 1.375, 5.125);
    close(of(Estimator::Iqm, Bca), 1.375, 5.375);
    close(of(Estimator::Median, Percentile), 1.375, 6.0);
    close(of(Estimator::Median, Bca), 1.375, 6.0);
}

#[test]
fn pairs_stay_together() {
    let pairs: Vec<(f64, f64)> = A.into_iter().zip(C).collect();
    let of = |estimator, method| {
        exact(&[&pairs], &Difference([(); 2].map(|()| Pooled::new(estimator, 0, false))), method)
    };
    close(of(Estimator::Mean, IntervalMethod::Percentile), 0.15, 1.75);
    close(
        of(Estimator::Iqm, IntervalMethod::Percentile),
        -0.083_333_333_333_333_33,
        1.916_666_666_666_666_7,
    );
    close(of(Estimator::Median, IntervalMethod::Percentile), -0.25, 2.5);
    close(
        of(Estimator::Mean, IntervalMethod::Studentized),
        -0.032_326_470_191_164_75,
        2.614_652_940_382_329,
    );
    let unpaired = Difference([(); 2].map(|()| Pooled::new(Estimator::Mean, 0, false)));
    let samples: [&[f64]; 2] = [&A, &B];
    close(exact(&samples, &unpaired, IntervalMethod::Percentile), -3.35, 3.1);
}

#[test]
fn clusters_stay_together() {
    let clusters: [&[f64]; 4] = [&[1.0, 2.0], &[4.0], &[5.0, 6.0, 9.0], &[0.5, 7.0]];
    let of = |estimator, method| exact(&[&clusters], &Clustered(estimator), method);
    close(of(Estimator::Mean, IntervalMethod::Percentile), 2.0625, 6.136_363_636_363_637);
    close(of(Estimator::Mean, IntervalMethod::Bca), 2.333_333_333_333_333_5, 6.4);
    close(of(Estimator::Iqm, IntervalMethod::Percentile), 1.5, 6.166_666_666_666_667);
    close(of(Estimator::Iqm, IntervalMethod::Bca), 2.0, 6.285_714_285_714_286);
    close(of(Estimator::Median, IntervalMethod::Percentile), 1.5, 6.0);
    close(of(Estimator::Median, IntervalMethod::Bca), 1.733_840_551_367_035_4, 6.0);
}

#[test]
fn equal_values_have_an_interval_of_no_width() {
    // 0.1 three times sums to something else than 0.3.
    let equal = [0.1; 3];
    for method in IntervalMethod::ALL {
        for estimator in [Estimator::Mean, Estimator::Iqm, Estimator::Median] {
            let bootstrap = Bootstrap { method, resamples: 200, ..Bootstrap::tables() };
            let value = estimator.of(&equal).unwrap();
            let found = bootstrap.sample(&equal, estimator).unwrap().unwrap();
            close(Some(found), value, value);
        }
    }
}

#[test]
fn a_hierarchy_has_the_moments_of_all_its_resamples() {
    // Of every way to draw two groups and then their members.
    let groups = vec![Hierarchy::Values(vec![1.0, 2.0]), Hierarchy::Values(vec![4.0, 8.0, 9.0])];
    let hierarchy = Hierarchy::Groups(groups.clone());
    let mut nested = Nested {
        hierarchy: &hierarchy,
        units: &groups,
        clusters: vec![vec![1.0, 2.0], vec![4.0, 8.0, 9.0]],
        resampled: vec![vec![]; 2],
        generator: Bootstrap::tables().generator(0),
        statistic: Clustered(Estimator::Mean),
    };
    let means: Vec<f64> = (0..100_000).filter_map(|r| nested.resample(r)).collect();
    // Monte-Carlo standard errors: 0.0066 and 0.005.
    let (centre, spread) = (mean(&means).unwrap(), sd(&means).unwrap());
    assert!((centre - 4.525).abs() < 0.02, "{centre}");
    assert!((spread - 2.087_329_500_688_485_8).abs() < 0.02, "{spread}");
    // The first group twice, and 1 all the time; the second group twice, and 9 all the time.
    assert_eq!(means.iter().copied().reduce(f64::min), Some(1.0));
    assert_eq!(means.iter().copied().reduce(f64::max), Some(9.0));
}

#[test]
fn bca_has_an_answer_where_its_formula_has_none() {
    // A jackknife without variance: no acceleration, so the bias-corrected percentiles.
    assert_eq!(acceleration(&[vec![1.0, 1.0, 1.0, 1.0]]), 0.0);
    assert_eq!(acceleration(&[]), 0.0);
    // Leaving out any one of these leaves the median 1.
    let bootstrap = Bootstrap { method: IntervalMethod::Bca, ..Bootstrap::tables() };
    let found = bootstrap.sample(&[0.0, 1.0, 1.0, 2.0], Estimator::Median).unwrap().unwrap();
    assert_eq!((found.low, found.high), (0.0, 2.0));
    // All resamples below the estimate: an infinite bias, so no interval. (All equal to it: none.)
    assert_eq!(bca(&[1.0, 2.0], 3.0, &[vec![0.0, 1.0]], 0.025), None);
    assert_eq!(bca(&[1.0, 2.0], 0.0, &[vec![0.0, 1.0]], 0.025), None);
    let equal = bca(&[1.0, 1.0], 1.0, &[vec![1.0, 1.0]], 0.025);
    assert_eq!(equal, Some(Interval { low: 1.0, high: 1.0 }));
    assert_eq!(bca(&[], 1.0, &[], 0.025), None);
    // Beyond the pole of the formula, at a level of all but 1e-60: the largest resample.
    let skewed = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -10.0];
    let far = bca(&[1.0, 2.0, 3.0, 4.0], 2.5, &[skewed.to_vec()], 1e-60).unwrap();
    assert_eq!(far.high, 4.0);
    assert!((far.low - 1.0).abs() < 1e-5, "{far:?}");
}

#[test]
fn rounding_takes_no_side() {
    let equal = bias(&[1.0, 1.0, 1.0, 2.0], 1.0);
    assert_eq!(bias(&[1.0 - 4e-16, 1.0 - 4e-16, 1.0, 2.0], 1.0), equal);
    assert_eq!(bias(&[1.0, 1.0 + 4e-16, 1.0 + 4e-16, 2.0], 1.0), equal);
    assert_ne!(bias(&[0.9, 0.9, 1.0, 2.0], 1.0), equal);
}

#[test]
fn a_method_is_found_by_its_name() {
    for method in IntervalMethod::ALL {
        assert_eq!(method.name().parse::<IntervalMethod>().unwrap(), method);
    }
    assert_eq!(
        "BCa".parse::<IntervalMethod>().unwrap_err().to_string(),
        "there is no interval method `BCa`: choose percentile, basic, bca, studentized or bayesian"
    );
}

#[test]
fn the_documented_table_is_the_one_that_caveats_quote() {
    let table = include_str!("coverage.md");
    let documented: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| ["| mean", "| iqm", "| median"].iter().any(|name| line.starts_with(name)))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(documented.len(), 48);
    assert_eq!(ROWS.len(), 48);
    for (row, cells) in ROWS.iter().zip(documented) {
        let name = [row.estimator.name(), row.population, &row.replicates.to_string()].join(" ");
        assert_eq!(cells[..3].join(" "), name);
        for (percent, cell) in row.percent.iter().zip(&cells[4..]) {
            let kept = percent.is_none_or(|percent| (93.0..=97.0).contains(&percent));
            let text = percent.map_or("-".to_owned(), |percent| format!("{percent:.1}"));
            assert_eq!(*cell, if kept { text } else { format!("**{text}**") }, "{name}");
        }
    }
}
