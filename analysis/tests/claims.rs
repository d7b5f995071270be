//! Verdicts on hypotheses through the public interface: their numbers against scipy and
//! statsmodels, and how often they err.
//!
//! Numbers without another source were printed by `analysis/tests/fixtures/claims.py` (scipy 1.17.1,
//! statsmodels 0.15.0).

use analysis::{
    AnalysisError, Bootstrap, Criterion, Estimand, Hypothesis, Interval, PublishedNumber, Verdict,
    VerdictColumns, verdicts,
};
use polars::df;
use polars::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const A: [f64; 5] = [5.1, 7.3, 6.2, 8.8, 4.9];
const B: [f64; 5] = [4.0, 6.1, 5.9, 6.5, 4.4];
const C: [f64; 4] = [1.5, 3.1, 2.2, 9.0];
const COLUMNS: VerdictColumns<'static> =
    VerdictColumns { group: "arm", replicate: "replicate", exact: &[] };

/// Rows of groups, replicates counted from a number.
#[derive(Default)]
struct Rows {
    arms: Vec<String>,
    replicates: Vec<u64>,
    values: Vec<Option<f64>>,
}

impl Rows {
    fn add(mut self, arm: &str, first: u64, values: impl IntoIterator<Item = f64>) -> Self {
        for (replicate, value) in (first..).zip(values) {
            self.arms.push(arm.to_owned());
            self.replicates.push(replicate);
            self.values.push(Some(value));
        }
        self
    }

    fn frame(self) -> DataFrame {
        df!("arm" => self.arms, "replicate" => self.replicates, "value" => self.values).unwrap()
    }
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

fn contrast(weights: &[(&str, f64)]) -> Estimand {
    Estimand::Contrast(weights.iter().map(|(arm, weight)| ((*arm).to_owned(), *weight)).collect())
}

fn mean_of(arm: &str) -> Estimand {
    contrast(&[(arm, 1.0)])
}

fn difference(a: &str, b: &str) -> Estimand {
    contrast(&[(a, 1.0), (b, -1.0)])
}

fn sign(estimand: Estimand, criterion: Criterion) -> Hypothesis<'static> {
    Hypothesis { name: "claim", value: "value", estimand, criterion, reference: None }
}

fn positive(estimand: Estimand) -> Hypothesis<'static> {
    sign(estimand, Criterion::Positive)
}

fn published(value: f64, interval: Option<(f64, f64)>, margin: f64) -> Option<PublishedNumber> {
    let interval = interval.map(|(low, high)| Interval { low, high });
    Some(PublishedNumber { value, interval, margin })
}

fn equal(estimand: Estimand, reference: Option<PublishedNumber>) -> Hypothesis<'static> {
    Hypothesis { reference, ..sign(estimand, Criterion::Equal) }
}

/// As many resamples as tests can afford: all but one of them look at other intervals.
fn at(level: f64) -> Bootstrap {
    Bootstrap { resamples: 10, level, ..Bootstrap::tables() }
}

/// One row of the table.
struct Row(DataFrame);

impl Row {
    fn of(frame: &DataFrame, hypothesis: Hypothesis<'_>) -> Self {
        Self(verdicts(frame, COLUMNS, &[hypothesis], &at(0.95)).unwrap())
    }

    fn float(&self, column: &str) -> Option<f64> {
        self.0.column(column).unwrap().f64().unwrap().get(0)
    }

    fn whole(&self, column: &str) -> Option<u64> {
        self.0.column(column).unwrap().u64().unwrap().get(0)
    }

    fn text(&self, column: &str) -> &str {
        self.0.column(column).unwrap().str().unwrap().get(0).unwrap_or_default()
    }

    #[track_caller]
    fn is(&self, column: &str, expected: f64) {
        let found = self.float(column).unwrap();
        assert!((found - expected).abs() <= 1e-11 * expected.abs().max(1.0), "{column} {found}");
    }

    #[track_caller]
    fn interval_is(&self, low: f64, high: f64) {
        self.is("low", low);
        self.is("high", high);
    }
}

#[test]
fn the_table_states_what_it_is() {
    let table = verdicts(&DataFrame::empty_with_height(0), COLUMNS, &[], &at(0.95));
    assert!(matches!(table, Err(AnalysisError::Frame(_))));
    let frame = Rows::default().add("a", 0, A).frame();
    let row = Row::of(&frame, positive(mean_of("a")));
    let names: Vec<&str> = row.0.get_column_names().iter().map(|name| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "claim",
            "value",
            "groups",
            "n_min",
            "n_max",
            "missing",
            "estimate",
            "low",
            "high",
            "bootstrap_low",
            "bootstrap_high",
            "estimator",
            "interval",
            "interval_level",
            "criterion",
            "reference",
            "reference_low",
            "reference_high",
            "margin",
            "difference",
            "difference_low",
            "difference_high",
            "p_value",
            "power",
            "verdict",
            "seeds_needed",
            "more_seeds",
            "note",
        ]
    );
    assert_eq!(verdicts(&frame, COLUMNS, &[], &at(0.95)).unwrap().shape(), (0, 28));
    for level in [0.0, 1.0, f64::NAN] {
        let error = verdicts(&frame, COLUMNS, &[], &at(level)).unwrap_err();
        assert!(matches!(error, AnalysisError::Level(_)));
    }
    let lost = df!("arm" => ["a"], "replicate" => [None::<u64>], "value" => [1.0]).unwrap();
    let error = verdicts(&lost, COLUMNS, &[positive(mean_of("a"))], &at(0.95)).unwrap_err();
    assert!(matches!(error, AnalysisError::NoReplicate { .. }));
}

#[test]
fn intervals_and_p_values_are_those_of_scipy() {
    let frame = Rows::default().add("a", 0, A).add("b", 0, B).add("c", 0, C).frame();
    let row = Row::of(&frame, positive(mean_of("a")));
    row.is("estimate", 6.46);
    row.interval_is(4.445_211_243_698_66, 8.474_788_756_301_338);
    assert_eq!(row.text("interval"), "t over replicates");
    assert_eq!((row.text("estimator"), row.text("verdict")), ("mean", "reproduced"));

    // Common replicates: ttest_rel.
    let row = Row::of(&frame, positive(difference("a", "b")));
    row.is("estimate", 1.08);
    row.interval_is(0.108_640_929_174_777_63, 2.051_359_070_825_222_7);
    row.is("p_value", 0.036_681_989_400_441_13);
    assert_eq!(row.text("interval"), "paired t over replicates");
    assert_eq!(row.text("verdict"), "reproduced");
    let row = Row::of(&frame, sign(difference("a", "b"), Criterion::Negative));
    assert_eq!(row.text("verdict"), "not reproduced");
    row.is("p_value", 0.036_681_989_400_441_13);

    // One replicate less: ttest_ind(equal_var=False).
    let row = Row::of(&frame, positive(difference("a", "c")));
    row.is("estimate", 2.51);
    row.interval_is(-2.623_865_096_782_244, 7.643_865_096_782_242);
    row.is("p_value", 0.247_775_912_966_359_73);
    assert_eq!(row.text("interval"), "Welch t");
    assert_eq!(row.text("verdict"), "inconclusive");
    assert_eq!((row.whole("n_min"), row.whole("n_max")), (Some(4), Some(5)));
}

#[test]
fn a_factors_effect_weighs_its_cells_equally() {
    let reversed = A.into_iter().rev();
    let frame = Rows::default()
        .add("on,x", 0, A)
        .add("off,x", 0, B)
        .add("on,y", 0, C.into_iter().chain([3.0]))
        .add("off,y", 0, reversed)
        .frame();
    let cells = [("on,x", 0.5), ("off,x", -0.5), ("on,y", 0.5), ("off,y", -0.5)];
    let row = Row::of(&frame, sign(contrast(&cells), Criterion::Negative));
    row.is("estimate", -0.81);
    row.interval_is(-2.884_638_110_170_641_8, 1.264_638_110_170_640_6);
    row.is("p_value", 0.339_331_505_007_909_6);
    assert_eq!(row.text("estimator"), "difference of means");
    assert_eq!(row.whole("groups"), Some(4));
}

#[test]
fn largest_differences_take_the_ends_of_their_contrasts() {
    let frame = Rows::default()
        .add("a", 0, A)
        .add("f", 0, B.map(|value| value - 3.0))
        .add("b", 0, B)
        .add("c", 0, C.into_iter().chain([3.0]))
        .frame();
    let (of, over) = (vec![pair("a", "f")], vec![pair("c", "b")]);
    let both =
        Estimand::LargestDifference { of: [of.clone(), over.clone()].concat(), over: vec![] };
    let claim = equal(both, published(4.0, None, 0.5));
    let row = Row(verdicts(&frame, COLUMNS, &[claim], &Bootstrap::tables()).unwrap());
    row.is("estimate", 4.08);
    row.interval_is(2.570_486_888_168_287_6, 5.051_359_070_825_223);
    // The exact quantiles over all 5^5 resamples, which 10,000 draws come near.
    for (column, exact) in [("bootstrap_low", 3.54), ("bootstrap_high", 4.72)] {
        let found = row.float(column).unwrap();
        assert!((found - exact).abs() < 0.1, "{column} {found}");
    }
    assert_eq!(row.text("estimator"), "largest absolute difference of means");
    assert_eq!(row.text("interval"), "union-intersection of paired t");

    let excess = Estimand::LargestDifference { of: of.clone(), over: over.clone() };
    let row = Row::of(&frame, positive(excess));
    row.is("estimate", 2.46);
    row.interval_is(-2.430_571_325_571_277, 7.350_571_325_571_277);
    assert_eq!(row.text("verdict"), "inconclusive");
    // Turned round, everything changes its sign.
    let turned = Estimand::LargestDifference { of: over, over: of };
    let row = Row::of(&frame, sign(turned, Criterion::Negative));
    row.is("estimate", -2.46);
    row.interval_is(-7.350_571_325_571_277, 2.430_571_325_571_277);
}

#[test]
fn a_largest_difference_is_never_negative() {
    let frame = Rows::default().add("a", 0, A).add("r", 0, A.into_iter().rev()).frame();
    let largest = Estimand::LargestDifference { of: vec![pair("a", "r")], over: vec![] };
    let row = Row::of(&frame, equal(largest, published(1.0, None, 1.0)));
    row.is("estimate", 0.0);
    row.is("low", 0.0);
}

#[test]
fn published_intervals_enter_in_quadrature() {
    let frame = Rows::default().add("a", 0, A).frame();
    // Not symmetric: each end of the difference takes the published end that faces it.
    let reference = published(6.0, Some((5.5, 6.8)), 2.6);
    let row = Row::of(&frame, equal(mean_of("a"), reference));
    row.is("difference", 0.46);
    row.is("difference_low", -1.707_803_896_231_922_2);
    row.is("difference_high", 2.535_903_112_507_492_5);
    row.is("reference_low", 5.5);
    row.is("margin", 2.6);
    assert_eq!(row.text("verdict"), "reproduced");
    let row = Row::of(&frame, equal(mean_of("a"), published(6.0, None, 2.5)));
    row.is("difference_low", -1.554_788_756_301_340_5);
    row.is("difference_high", 2.474_788_756_301_338_7);
    assert_eq!(row.text("verdict"), "reproduced");
    // At a level of 99 %, the published interval is as much wider as a normal one.
    let wider = Hypothesis { reference, ..equal(mean_of("a"), reference) };
    let row = Row(verdicts(&frame, COLUMNS, &[wider], &at(0.99)).unwrap());
    // Quantiles 2.575829 and 1.959964 of the normal, 4.604095 and 2.776445 of the t distribution.
    let ours: f64 = (8.474_788_756_301_338 - 6.46) * 4.604_094_871_349_99 / 2.776_445_105_197_79;
    let above: f64 = 0.8 * 2.575_829_303_548_9 / 1.959_963_984_540_05;
    let low = row.float("difference_low").unwrap();
    assert!((low - (0.46 - ours.hypot(above))).abs() < 1e-9, "{low}");
}

#[test]
fn equality_is_decided_by_where_the_interval_lies() {
    let frame = Rows::default().add("a", 0, A).frame();
    // Ours: 6.46 in [4.445, 8.475].
    let verdict = |value: f64, margin: f64| {
        let row = Row::of(&frame, equal(mean_of("a"), published(value, None, margin)));
        (row.text("verdict").to_owned(), row.float("p_value").unwrap() < 0.05)
    };
    assert_eq!(verdict(6.5, 2.1), ("reproduced".into(), true));
    assert_eq!(verdict(6.5, 1.9), ("inconclusive".into(), false));
    assert_eq!(verdict(10.0, 1.5), ("not reproduced".into(), true));
    assert_eq!(verdict(2.0, 2.4), ("not reproduced".into(), true));
    assert_eq!(verdict(2.0, 2.5), ("inconclusive".into(), false));
}

/// Five values with mean 0 and sample standard deviation 1.
fn standard(mean: f64) -> [f64; 5] {
    let step = 0.4f64.sqrt();
    [-2.0, -1.0, 0.0, 1.0, 2.0].map(|rank| mean + rank * step)
}

#[test]
fn seeds_for_a_sign_are_those_of_statsmodels() {
    let seeds = |frame: &DataFrame, hypothesis: Hypothesis<'_>| {
        let row = Row::of(frame, hypothesis);
        assert_eq!(row.text("verdict"), "inconclusive");
        (row.whole("seeds_needed"), row.whole("more_seeds"))
    };
    // TTestPower: 89.149, 33.367 and 9.938.
    for (effect, needed) in [(0.3, 90), (0.5, 34), (1.0, 10)] {
        let frame = Rows::default().add("a", 0, standard(effect)).frame();
        let found = seeds(&frame, positive(mean_of("a")));
        assert_eq!(found, (Some(needed), Some(needed - 5)));
        let frame = Rows::default().add("a", 0, standard(-effect)).frame();
        let found = seeds(&frame, sign(mean_of("a"), Criterion::Negative));
        assert_eq!(found, (Some(needed), Some(needed - 5)));
    }
    // TTestIndPower: 175.385, 63.766 and 16.715.
    for (effect, needed) in [(0.3, 176), (0.5, 64), (1.0, 17)] {
        let rows = Rows::default().add("a", 0, standard(effect)).add("b", 100, standard(0.0));
        let found = seeds(&rows.frame(), positive(difference("a", "b")));
        assert_eq!(found, (Some(needed), Some(needed - 5)));
    }
    // A published size decides, whatever ours is.
    let frame = Rows::default().add("a", 0, standard(-0.1)).frame();
    let sized =
        |size| Hypothesis { reference: published(size, None, 0.0), ..positive(mean_of("a")) };
    assert_eq!(seeds(&frame, sized(0.5)), (Some(34), Some(29)));
    // 4.22: these five would have shown it.
    assert_eq!(seeds(&frame, sized(2.0)), (Some(5), Some(0)));
    assert!(
        Row::of(&frame, sized(2.0)).text("note").starts_with("these replicates would have shown")
    );
    // Without one, the other sign asks for no number of seeds.
    let row = Row::of(&frame, positive(mean_of("a")));
    assert_eq!(row.whole("seeds_needed"), None);
    assert!(row.text("note").starts_with("the estimate does not have the expected sign"));
}

#[test]
fn power_is_that_of_the_published_number() {
    let power = |frame: &DataFrame, estimand, criterion, reference| {
        Row::of(frame, Hypothesis { criterion, reference, ..positive(estimand) }).float("power")
    };
    let near = |actual: Option<f64>, expected: f64| {
        assert!((actual.unwrap() - expected).abs() < 1e-9, "{actual:?} is not {expected}");
    };
    let one = Rows::default().add("a", 0, standard(0.1)).frame();
    let of = |size| published(size, None, 0.0);
    near(power(&one, mean_of("a"), Criterion::Positive, of(1.0)), 0.401_320_285_199_504_8);
    near(power(&one, mean_of("a"), Criterion::Positive, of(2.0)), 0.908_884_864_211_023_9);
    near(power(&one, mean_of("a"), Criterion::Negative, of(-1.0)), 0.401_320_285_199_504_8);
    let two = Rows::default().add("a", 0, standard(0.1)).add("b", 100, standard(0.0)).frame();
    near(power(&two, difference("a", "b"), Criterion::Positive, of(1.0)), 0.285_927_597_694_043_4);
    let frame = Rows::default().add("a", 0, A).frame();
    let paper = published(6.0, Some((5.5, 6.2)), 3.0);
    near(power(&frame, mean_of("a"), Criterion::Equal, paper), 0.795_938_205_710_663_8);
    // The interval alone is wider than the margin.
    let strict = published(6.0, Some((5.5, 6.2)), 1.0);
    near(power(&frame, mean_of("a"), Criterion::Equal, strict), 0.0);
    // Without a published number there is nothing to have power for.
    assert_eq!(power(&frame, mean_of("a"), Criterion::Positive, None), None);
}

#[test]
fn seeds_for_equality_shorten_the_interval_until_it_decides() {
    let frame = Rows::default().add("a", 0, A).frame();
    let seeds = |reference| {
        let row = Row::of(&frame, equal(mean_of("a"), reference));
        assert_eq!(row.text("verdict"), "inconclusive");
        row.whole("seeds_needed")
    };
    // One below the reference: 0.1 and 1 inside the margin, 0.1 outside.
    assert_eq!(seeds(published(7.46, None, 1.1)), Some(1014));
    assert_eq!(seeds(published(7.46, None, 2.0)), Some(13));
    assert_eq!(seeds(published(7.46, None, 0.9)), Some(1014));
    // The published interval alone is wider than that.
    assert_eq!(seeds(published(7.46, Some((6.46, 8.46)), 1.1)), None);
    let row = Row::of(&frame, equal(mean_of("a"), published(7.46, Some((6.46, 8.46)), 1.1)));
    assert!(row.text("note").starts_with("more replicates alone would not decide"));
}

#[test]
fn what_is_missing_is_said() {
    let rows = Rows::default().add("a", 0, A).add("one", 0, [3.0]).frame();
    let none = df!(
        "arm" => ["lost", "lost", "b", "b", "b"],
        "replicate" => [0u64, 1, 0, 1, 2],
        "value" => [None, Some(f64::NAN), Some(1.0), Some(f64::INFINITY), Some(2.0)],
    )
    .unwrap();
    let frame = rows.vstack(&none).unwrap();

    // An arm that was not run at all, and one whose runs have no value.
    let row = Row::of(&frame, positive(difference("a", "absent")));
    assert_eq!((row.text("verdict"), row.text("note")), ("not run", "no value: `absent`"));
    assert_eq!((row.float("estimate"), row.float("p_value")), (None, None));
    assert_eq!((row.whole("n_min"), row.whole("n_max")), (Some(0), Some(5)));
    let row = Row::of(&frame, positive(difference("lost", "absent")));
    assert_eq!((row.text("verdict"), row.text("note")), ("not run", "no value: `absent`, `lost`"));
    assert_eq!(row.whole("missing"), Some(2));
    let four = contrast(&[("d", 1.0), ("e", 1.0), ("f", 1.0), ("g", 1.0)]);
    let row = Row::of(&frame, positive(four));
    assert_eq!(row.text("note"), "no value: `d`, `e` and 2 more");

    // One seed.
    let row = Row::of(&frame, positive(difference("a", "one")));
    assert_eq!(row.text("verdict"), "inconclusive");
    assert_eq!(row.text("note"), "one replicate gives no interval: `one`");
    row.is("estimate", 3.46);
    assert_eq!((row.float("low"), row.whole("seeds_needed")), (None, None));

    // Some values are missing: the others count.
    let row = Row::of(&frame, positive(mean_of("b")));
    row.is("estimate", 1.5);
    assert_eq!((row.whole("n_min"), row.whole("missing")), (Some(2), Some(1)));
}

#[test]
fn ties_decide_nothing_but_equality() {
    // Arms that share their runs, and a metric that is at its maximum in every run.
    let frame = Rows::default().add("a", 0, A).add("same", 0, A).add("full", 0, [500.0; 5]).frame();
    let row = Row::of(&frame, positive(difference("a", "same")));
    assert_eq!((row.float("low"), row.float("high")), (Some(0.0), Some(0.0)));
    assert_eq!((row.text("verdict"), row.whole("seeds_needed")), ("inconclusive", None));
    row.is("p_value", 1.0);
    let row = Row::of(&frame, equal(mean_of("full"), published(500.0, None, 5.0)));
    assert_eq!(row.text("verdict"), "reproduced");
    let row = Row::of(&frame, equal(mean_of("full"), published(480.0, None, 5.0)));
    assert_eq!(row.text("verdict"), "not reproduced");
    let pairs = |a: &str| vec![pair("a", a)];
    let excess = Estimand::LargestDifference { of: pairs("full"), over: pairs("same") };
    let row = Row::of(&frame, positive(excess));
    assert_eq!(row.text("verdict"), "reproduced");
}

#[test]
fn the_order_of_rows_shows_nowhere() {
    let frame = Rows::default().add("a", 0, A).add("b", 0, B).add("c", 0, C).frame();
    let order = IdxCa::from_slice("".into(), &[7, 2, 11, 0, 5, 3, 13, 9, 1, 12, 10, 4, 8, 6]);
    let shuffled = frame.take(&order).unwrap();
    let hypotheses = [
        positive(difference("a", "b")),
        positive(difference("a", "c")),
        positive(Estimand::LargestDifference {
            of: vec![pair("a", "b"), pair("b", "c")],
            over: vec![pair("a", "c")],
        }),
    ];
    let table = verdicts(&frame, COLUMNS, &hypotheses, &at(0.9)).unwrap();
    assert!(table.equals_missing(&verdicts(&shuffled, COLUMNS, &hypotheses, &at(0.9)).unwrap()));
    assert_eq!(table.column("interval_level").unwrap().f64().unwrap().get(2), Some(0.9));
}

#[test]
fn rows_of_a_replicate_are_averaged() {
    let frame = df!(
        "arm" => ["a", "a", "a", "a"],
        "replicate" => [0u64, 0, 1, 1],
        "value" => [1.0, 3.0, 4.0, 8.0],
    )
    .unwrap();
    let row = Row::of(&frame, positive(mean_of("a")));
    row.is("estimate", 4.0);
    // Two values, 2 and 6: 4 ± 12.706 * 2.
    row.interval_is(4.0 - 2.0 * 12.706_204_736_174_705, 4.0 + 2.0 * 12.706_204_736_174_705);
}

/// Seeded normal numbers.
struct Normal(ChaCha8Rng);

impl Normal {
    fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// By the polar form of Box and Muller's transformation, one of its two numbers.
    fn draw(&mut self) -> f64 {
        let mut uniform = || (self.0.next_u64() >> 11) as f64 / 2f64.powi(53);
        let radius = (-2.0 * (1.0 - uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * uniform()).cos()
    }

    fn sample(&mut self, n: usize, mean: f64, sd: f64) -> Vec<f64> {
        (0..n).map(|_| mean + sd * self.draw()).collect()
    }
}

/// Shares of verdicts in independent repetitions of one hypothesis.
fn shares(frame: &DataFrame, hypotheses: &[Hypothesis<'_>]) -> [f64; 4] {
    let table = verdicts(frame, COLUMNS, hypotheses, &at(0.95)).unwrap();
    let names = table.column("verdict").unwrap().str().unwrap();
    Verdict::ALL.map(|verdict| {
        let found = names.iter().filter(|name| *name == Some(verdict.name())).count();
        found as f64 / hypotheses.len() as f64
    })
}

const REPETITIONS: usize = 8_000;

/// Repetitions of the difference of two arms with a published size that is easy to see.
fn differences(
    margin: Option<f64>,
    mut draw: impl FnMut() -> (Vec<f64>, (u64, Vec<f64>)),
) -> (DataFrame, Vec<Hypothesis<'static>>) {
    let mut rows = Rows::default();
    let mut hypotheses = Vec::new();
    for repetition in 0..REPETITIONS {
        let names = (format!("a{repetition}"), format!("b{repetition}"));
        let (a, (first, b)) = draw();
        rows = rows.add(&names.0, 0, a).add(&names.1, first, b);
        let estimand = difference(&names.0, &names.1);
        hypotheses.push(match margin {
            Some(margin) => equal(estimand, published(4.0, None, margin)),
            None => Hypothesis { reference: published(4.0, None, 0.0), ..positive(estimand) },
        });
    }
    (rows.frame(), hypotheses)
}

/// Four standard deviations of a share of 2.5 % in the repetitions are 0.7 %.
fn one_tail(share: f64) -> bool {
    (0.018..0.032).contains(&share)
}

#[test]
fn without_an_effect_a_sign_is_reproduced_in_one_of_forty() {
    // Common replicates that move both arms alike.
    let mut normal = Normal::new(1);
    let (frame, hypotheses) = differences(None, || {
        let common = normal.sample(5, 0.0, 3.0);
        let mut arm = || common.iter().map(|common| common + normal.draw()).collect::<Vec<f64>>();
        (arm(), (0, arm()))
    });
    let [reproduced, not_reproduced, inconclusive, not_run] = shares(&frame, &hypotheses);
    assert!(one_tail(reproduced) && one_tail(not_reproduced), "{reproduced} {not_reproduced}");
    assert!(inconclusive > 0.93 && not_run == 0.0);

    // Other replicates, other sizes, other deviations.
    let (frame, hypotheses) =
        differences(None, || (normal.sample(4, 0.0, 1.0), (50, normal.sample(9, 0.0, 3.0))));
    let [reproduced, not_reproduced, _, _] = shares(&frame, &hypotheses);
    assert!(one_tail(reproduced) && one_tail(not_reproduced), "{reproduced} {not_reproduced}");
}

#[test]
fn the_seeds_that_are_asked_for_show_the_effect_in_four_of_five() {
    // An effect of one standard deviation: 10 paired seeds, 17 unpaired ones.
    let mut normal = Normal::new(2);
    let (frame, hypotheses) =
        differences(None, || (normal.sample(10, 1.0, 0.8), (0, normal.sample(10, 0.0, 0.6))));
    let [reproduced, ..] = shares(&frame, &hypotheses);
    assert!((0.78..0.83).contains(&reproduced), "{reproduced}");
    let (frame, hypotheses) =
        differences(None, || (normal.sample(17, 1.0, 1.0), (50, normal.sample(17, 0.0, 1.0))));
    let [reproduced, ..] = shares(&frame, &hypotheses);
    assert!((0.78..0.83).contains(&reproduced), "{reproduced}");
}

#[test]
fn at_the_margin_equality_is_reproduced_in_one_of_forty_at_most() {
    // Published 4, margin 2, truth 6.
    let mut normal = Normal::new(3);
    let (frame, hypotheses) =
        differences(Some(2.0), || (normal.sample(8, 6.0, 1.0), (0, normal.sample(8, 0.0, 1.0))));
    let [reproduced, not_reproduced, ..] = shares(&frame, &hypotheses);
    assert!(one_tail(reproduced) && one_tail(not_reproduced), "{reproduced} {not_reproduced}");
    // Inside and outside of it.
    let (frame, hypotheses) =
        differences(Some(2.0), || (normal.sample(8, 4.0, 1.0), (0, normal.sample(8, 0.0, 1.0))));
    let [reproduced, not_reproduced, ..] = shares(&frame, &hypotheses);
    assert!(reproduced > 0.8 && not_reproduced < 0.001, "{reproduced} {not_reproduced}");
    let (frame, hypotheses) =
        differences(Some(2.0), || (normal.sample(8, 8.5, 1.0), (0, normal.sample(8, 0.0, 1.0))));
    let [reproduced, not_reproduced, ..] = shares(&frame, &hypotheses);
    assert!(not_reproduced > 0.9 && reproduced < 0.001, "{reproduced} {not_reproduced}");
}

/// How often the interval lies above and below the truth, with four arms of some means.
fn misses(
    seed: u64,
    n: usize,
    means: [f64; 4],
    of: &[[usize; 2]],
    over: &[[usize; 2]],
) -> [f64; 2] {
    let mut normal = Normal::new(seed);
    let mut rows = Rows::default();
    let mut hypotheses = Vec::new();
    for repetition in 0..REPETITIONS {
        let name = |arm: usize| format!("{repetition}/{arm}");
        for (arm, mean) in means.into_iter().enumerate() {
            rows = rows.add(&name(arm), 0, normal.sample(n, mean, 1.0));
        }
        let pairs = |pairs: &[[usize; 2]]| {
            pairs.iter().map(|[a, b]| (name(*a), name(*b))).collect::<Vec<_>>()
        };
        let estimand = Estimand::LargestDifference { of: pairs(of), over: pairs(over) };
        // A margin that never decides would search for seeds; this one always does.
        hypotheses.push(equal(estimand, published(1.0, None, 1e6)));
    }
    let largest = |pairs: &[[usize; 2]]| {
        pairs.iter().map(|[a, b]| (means[*a] - means[*b]).abs()).fold(0.0, f64::max)
    };
    let truth = largest(of) - largest(over);
    let table = verdicts(&rows.frame(), COLUMNS, &hypotheses, &at(0.95)).unwrap();
    let share = |column: &str, missed: &dyn Fn(f64) -> bool| {
        let ends = table.column(column).unwrap().f64().unwrap();
        ends.iter().flatten().filter(|end| missed(*end)).count() as f64 / REPETITIONS as f64
    };
    [share("low", &|low| low > truth), share("high", &|high| high < truth)]
}

#[test]
fn intervals_of_maxima_cover_whatever_ties() {
    let (algorithms, steps) = ([[0, 2], [1, 3]], [[0, 1], [2, 3]]);
    let most = 0.032;
    for (seed, means) in [
        (10, [0.0, 0.0, 0.0, 0.0]),
        (11, [1.0, 0.0, 1.0, 0.0]),
        (12, [3.0, 0.0, 1.0, 0.0]),
        (13, [1.0, 1.0, 0.0, 0.0]),
        (14, [5.0, 2.5, 0.0, 0.0]),
    ] {
        let [above, below] = misses(seed, 5, means, &steps, &[]);
        assert!(above < most && below < most, "largest of {means:?}: {above} {below}");
        let [above, below] = misses(seed, 5, means, &algorithms, &steps);
        assert!(above < most && below < most, "excess of {means:?}: {above} {below}");
    }
}

#[test]
fn where_nothing_is_drawn_one_number_decides() {
    let frame = Rows::default()
        .add("formula", 0, [0.25])
        .add("twice", 0, [0.1 + 0.2, 0.1 + 0.2])
        .add("a", 3, A)
        .frame();
    let columns = VerdictColumns { exact: &["formula", "twice"], ..COLUMNS };
    let of = |hypothesis| Row(verdicts(&frame, columns, &[hypothesis], &at(0.95)).unwrap());
    // Without the statement one replicate decides nothing.
    let row = Row::of(&frame, equal(mean_of("formula"), published(0.25, None, 0.0)));
    assert_eq!(row.text("verdict"), "inconclusive");

    let row = of(equal(mean_of("formula"), published(0.25, None, 0.0)));
    assert_eq!((row.text("verdict"), row.text("note")), ("reproduced", ""));
    assert_eq!(row.text("interval"), "none: nothing is drawn");
    row.interval_is(0.25, 0.25);
    assert_eq!((row.float("p_value"), row.float("power")), (None, None));
    assert_eq!((row.whole("n_min"), row.whole("n_max")), (Some(1), Some(1)));
    let row = of(equal(mean_of("formula"), published(0.26, None, 0.009)));
    assert_eq!(row.text("verdict"), "not reproduced");
    assert_eq!(of(positive(difference("formula", "twice"))).text("verdict"), "not reproduced");
    // A published interval can still be too wide to decide by, and zero has no sign.
    let row = of(equal(mean_of("formula"), published(0.26, Some((0.2, 0.32)), 0.05)));
    assert_eq!(row.text("verdict"), "inconclusive");
    assert_eq!(row.text("note"), "nothing is drawn, so that more replicates would not decide");
    assert_eq!(row.whole("seeds_needed"), None);
    let row = of(positive(difference("formula", "formula")));
    assert_eq!(row.text("verdict"), "inconclusive");

    // Beside a group that varies, the number is a constant: it moves the t interval of A.
    let alone = Row::of(&frame, positive(mean_of("a")));
    let row = of(positive(difference("a", "formula")));
    assert_eq!((row.text("interval"), row.whole("n_min")), ("paired t over replicates", Some(5)));
    row.interval_is(alone.float("low").unwrap() - 0.25, alone.float("high").unwrap() - 0.25);
}
