//! Linear regression against statsmodels, exact arithmetic and closed forms.
//!
//! Golden numbers: statsmodels 0.15.0 and scipy 1.17.1, printed by `fixtures/regression.py`.

mod published;

use analysis::{
    AnalysisError, Boundary, RegressionColumns, RegressionOptions, Scale, predict, regress,
};
use polars::df;
use polars::prelude::*;

const X: [f64; 10] = [1.0, 2.5, 3.0, 4.2, 5.9, 7.1, 8.0, 9.6, 10.4, 12.0];
const Z: [f64; 10] = [3.0, 1.0, 4.0, 1.5, 5.0, 9.0, 2.0, 6.0, 5.5, 3.5];
const Y: [f64; 10] = [2.1, 3.9, 5.2, 4.8, 9.9, 14.2, 9.1, 15.3, 14.8, 15.9];
const W: [f64; 10] = [1.0, 2.0, 0.5, 4.0, 1.0, 3.0, 2.5, 0.25, 1.0, 2.0];
/// Shares of successes on two test sets.
const A: [f64; 8] = [0.55, 0.62, 0.70, 0.735, 0.76, 0.81, 0.85, 0.90];
const B: [f64; 8] = [0.43, 0.50, 0.57, 0.625, 0.64, 0.70, 0.745, 0.82];

const CLASSICAL: [&str; 6] = ["estimate", "standard_error", "t", "p_value", "low", "high"];
const ROBUST: [&str; 6] = [
    "estimate",
    "robust_standard_error",
    "robust_t",
    "robust_p_value",
    "robust_low",
    "robust_high",
];

fn frame() -> DataFrame {
    df!("x" => X, "z" => Z, "y" => Y, "w" => W).unwrap()
}

fn columns<'a>(x: &'a [&'a str]) -> RegressionColumns<'a> {
    RegressionColumns { groups: &[], y: "y", x, weights: None }
}

fn float(table: &DataFrame, column: &str, row: usize) -> Option<f64> {
    table.column(column).unwrap().f64().unwrap().get(row)
}

fn count(table: &DataFrame, column: &str, row: usize) -> Option<u64> {
    table.column(column).unwrap().u64().unwrap().get(row)
}

fn text<'a>(table: &'a DataFrame, column: &str, row: usize) -> &'a str {
    table.column(column).unwrap().str().unwrap().get(row).unwrap()
}

/// Holds numbers of a row against expected ones, by their relative difference.
fn close<const N: usize>(
    table: &DataFrame,
    row: usize,
    columns: [&str; N],
    expected: [f64; N],
    tolerance: f64,
) {
    for (column, expected) in columns.into_iter().zip(expected) {
        let found = float(table, column, row).unwrap();
        let error = (found - expected).abs() / expected.abs();
        assert!(error <= tolerance, "{column} in row {row}: {found} is not {expected}: {error}");
    }
}

const FIT: [&str; 5] = ["r_squared", "adjusted_r_squared", "residual_sd", "f", "f_p_value"];

#[test]
fn a_line_is_that_of_statsmodels() {
    let table = regress(&frame(), columns(&["x"]), &RegressionOptions::default()).unwrap();
    assert_eq!(table.height(), 2);
    assert_eq!((text(&table, "term", 0), text(&table, "term", 1)), ("(intercept)", "x"));
    #[rustfmt::skip]
    let expected = [
        (CLASSICAL, [0.890_464_487_387_082_4, 1.243_127_534_170_362_3, 0.716_309_841_838_842_4, 0.494_176_387_997_632_86, -1.976_192_746_995_931, 3.757_121_721_770_096]),
        (CLASSICAL, [1.354_715_151_116_628_2, 0.171_172_215_361_950_32, 7.914_340_234_786_529, 4.718_285_408_405_785_5e-5, 0.959_991_314_659_912_7, 1.749_438_987_573_343_6]),
        (ROBUST, [0.890_464_487_387_082_4, 0.690_220_194_594_940_1, 1.290_116_537_244_548_2, 0.233_049_634_276_519_56, -0.701_186_135_550_273_5, 2.482_115_110_324_438_3]),
        (ROBUST, [1.354_715_151_116_628_2, 0.119_588_724_750_837_79, 11.328_117_712_929_602, 3.321_679_099_314_788e-6, 1.078_943_057_317_403_5, 1.630_487_244_915_853]),
    ];
    for (row, (columns, expected)) in expected.into_iter().enumerate() {
        close(&table, row % 2, columns, expected, 1e-11);
    }
    let fit = [
        0.886_744_556_491_914_3,
        0.872_587_626_053_403_6,
        1.888_030_311_381_478_7,
        62.636_781_351_960_83,
        4.718_285_408_405_803e-5,
    ];
    close(&table, 1, FIT, fit, 1e-11);
    assert_eq!(count(&table, "n", 0), Some(10));
    assert_eq!(count(&table, "missing", 0), Some(0));
    assert_eq!(count(&table, "clipped", 0), Some(0));
    assert_eq!(count(&table, "degrees_of_freedom", 0), Some(8));
    assert_eq!(count(&table, "f_terms", 0), Some(1));
    assert_eq!(count(&table, "resamples", 0), None);
    assert_eq!(text(&table, "estimator", 0), "ordinary least squares");
    assert_eq!(text(&table, "interval", 0), "Student's t");
    assert_eq!(text(&table, "scale", 0), "identity");
    assert_eq!(float(&table, "interval_level", 0), Some(0.95));
}

#[test]
fn two_predictors_with_and_without_weights_are_those_of_statsmodels() {
    let ordinary = regress(&frame(), columns(&["x", "z"]), &RegressionOptions::default()).unwrap();
    #[rustfmt::skip]
    let expected = [
        (0, CLASSICAL, [-0.910_929_540_249_255_4, 0.490_577_435_190_998_83, -1.856_851_691_302_513_5, 0.105_698_847_442_764_99, -2.070_960_840_786_078_4, 0.249_101_760_287_567_6]),
        (2, CLASSICAL, [0.758_884_519_787_680_7, 0.098_431_199_567_228_03, 7.709_796_519_033_238_5, 0.000_115_313_804_184_502_8, 0.526_131_718_177_644_1, 0.991_637_321_397_717_2]),
        (0, ROBUST, [-0.910_929_540_249_255_4, 0.782_412_610_130_388_2, -1.164_257_232_635_156_6, 0.282_460_893_061, -2.761_041_372_915_581_6, 0.939_182_292_417_070_5]),
        (1, ROBUST, [1.155_015_264_538_327_4, 0.068_321_313_588_969_31, 16.905_636_087_254_74, 6.206_581_249_945_654e-7, 0.993_461_029_525_174_9, 1.316_569_499_551_479_8]),
    ];
    for (row, columns, expected) in expected {
        close(&ordinary, row, columns, expected, 1e-11);
    }
    let fit = [
        0.988_067_781_134_737_8,
        0.984_658_575_744_662_9,
        0.655_142_839_539_326_4,
        289.823_483_211_443_03,
        1.855_770_375_688_133_3e-7,
    ];
    close(&ordinary, 0, FIT, fit, 1e-11);
    let by_weight = RegressionColumns { weights: Some("w"), ..columns(&["x", "z"]) };
    let weighted = regress(&frame(), by_weight, &RegressionOptions::default()).unwrap();
    #[rustfmt::skip]
    let expected = [
        (0, CLASSICAL, [-0.799_447_869_765_445_2, 0.472_677_298_604_473_1, -1.691_318_521_379_651, 0.134_616_517_470_789_5, -1.917_152_073_222_946_3, 0.318_256_333_692_055_86]),
        (1, CLASSICAL, [1.121_876_641_439_081_3, 0.068_788_932_014_027_05, 16.308_970_187_388_788, 7.937_458_008_747_532e-7, 0.959_216_664_557_545_6, 1.284_536_618_320_616_8]),
        (0, ROBUST, [-0.799_447_869_765_445_2, 0.848_057_891_233_281_9, -0.942_680_774_543_414_8, 0.377_232_290_825_812_8, -2.804_786_126_130_299, 1.205_890_386_599_408_6]),
        (2, ROBUST, [0.776_034_929_462_520_8, 0.089_143_453_621_011_06, 8.705_461_791_527_56, 5.293_669_232_839_144e-5, 0.565_244_157_159_541_5, 0.986_825_701_765_500_2]),
    ];
    for (row, columns, expected) in expected {
        close(&weighted, row, columns, expected, 1e-11);
    }
    let fit = [
        0.987_373_920_700_459,
        0.983_766_469_472_018_7,
        0.847_157_997_696_725_3,
        273.704_024_857_285_05,
        2.261_724_977_554_748_2e-7,
    ];
    close(&weighted, 2, FIT, fit, 1e-11);
    assert_eq!(text(&weighted, "estimator", 0), "weighted least squares");
}

#[test]
fn designs_without_an_intercept_or_with_nothing_else_are_those_of_statsmodels() {
    let through = RegressionOptions { intercept: false, ..RegressionOptions::default() };
    let table = regress(&frame(), columns(&["x", "z"]), &through).unwrap();
    #[rustfmt::skip]
    let expected = [
        (0, CLASSICAL, [1.092_861_531_441_330_4, 0.063_406_611_258_184_48, 17.235_766_267_200_8, 1.306_825_835_054_271_6e-7, 0.946_645_623_680_674, 1.239_077_439_201_986_8]),
        (1, ROBUST, [0.671_834_629_213_443_8, 0.120_449_332_865_543_06, 5.577_736_407_750_877, 0.000_523_684_846_365_865_4, 0.394_077_969_542_918_5, 0.949_591_288_883_969_2]),
    ];
    for (row, columns, expected) in expected {
        close(&table, row, columns, expected, 1e-11);
    }
    let fit = [
        0.996_127_825_966_229_7,
        0.995_159_782_457_787_1,
        0.748_695_928_641_036_2,
        1_029.011_420_745_804_1,
        2.248_119_917_251_188_2e-10,
    ];
    close(&table, 0, FIT, fit, 1e-11);
    // A mean has its standard error, and nothing that predictors explain.
    let table = regress(&frame(), columns(&[]), &RegressionOptions::default()).unwrap();
    #[rustfmt::skip]
    close(&table, 0, CLASSICAL, [9.52, 1.672_642_619_728_832_7, 5.691_592_386_629_114, 0.000_297_460_367_278_605_2, 5.736_219_516_978_867, 13.303_780_483_021_132], 1e-11);
    close(&table, 0, ["robust_standard_error"], [1.763_120_129_938_000_8], 1e-11);
    assert!(float(&table, "r_squared", 0).unwrap().abs() < 1e-15);
    assert_eq!(float(&table, "f", 0), None);
    assert_eq!(count(&table, "f_terms", 0), Some(0));
}

const READING: [&str; 6] =
    ["fitted", "standard_error", "low", "high", "prediction_low", "prediction_high"];

#[test]
fn lines_are_read_as_statsmodels_reads_them() {
    let new = df!("name" => ["a", "b", "c", "d"], "x" => [Some(0.0), Some(6.5), Some(20.0), None])
        .unwrap();
    let table = predict(&frame(), columns(&["x"]), &RegressionOptions::default(), &new).unwrap();
    #[rustfmt::skip]
    let expected = [
        [0.890_464_487_387_082_4, 1.243_127_534_170_362_3, -1.976_192_746_995_931, 3.757_121_721_770_096, -4.322_341_649_439_020_6, 6.103_270_624_213_185],
        [9.696_112_969_645_167, 0.597_462_144_776_633_8, 8.318_362_793_162_299, 11.073_863_146_128_035, 5.129_514_709_507_761, 14.262_711_229_782_573],
        [27.984_767_509_719_646, 2.408_259_851_407_850_6, 22.431_310_333_726_973, 33.538_224_685_712_32, 20.928_103_232_153_656, 35.041_431_787_286_43],
    ];
    for (row, expected) in expected.into_iter().enumerate() {
        close(&table, row, READING, expected, 1e-11);
    }
    assert_eq!(text(&table, "name", 2), "c");
    assert_eq!(float(&table, "fitted", 3), None);
    assert_eq!(float(&table, "prediction_high", 3), None);
    // The second point is four times as precise, so its own spread is half as large.
    let by_weight = RegressionColumns { weights: Some("w"), ..columns(&["x", "z"]) };
    let new = df!("x" => [6.0, 20.0], "z" => [2.0, 9.0], "w" => [1.0, 4.0]).unwrap();
    let table = predict(&frame(), by_weight, &RegressionOptions::default(), &new).unwrap();
    #[rustfmt::skip]
    let expected = [
        [7.483_881_837_794_084, 0.241_480_329_154_093_34, 6.912_871_595_193_707, 8.054_892_080_394_461, 5.400_878_143_938_586, 9.566_885_531_649_582],
        [28.622_399_324_178_872, 0.908_400_820_865_426_5, 26.474_372_712_993_663, 30.770_425_935_364_08, 26.252_329_442_250_26, 30.992_469_206_107_483],
    ];
    for (row, expected) in expected.into_iter().enumerate() {
        close(&table, row, READING, expected, 1e-11);
    }
}

#[test]
fn probits_and_logits_of_shares_are_fitted_and_mapped_back() {
    let shares = df!("x" => A, "y" => B).unwrap();
    let new = df!("x" => [0.6, 0.95]).unwrap();
    #[rustfmt::skip]
    let expected = [
        (
            Scale::Probit,
            [[-0.293_354_464_534_771_8, 0.012_463_914_211_889_863, -23.536_303_246_930_92, 3.860_034_956_799_413_7e-7, -0.323_852_563_931_499_47, -0.262_856_365_138_044_17],
             [0.933_792_741_461_197_6, 0.016_150_457_512_665_063, 57.818_346_057_932_08, 1.798_313_665_756_712_3e-9, 0.894_273_995_572_044, 0.973_311_487_350_351_2]],
            [[0.477_359_912_860_782_94, 0.009_025_706_903_975_876, 0.468_569_648_167_703_1, 0.486_161_207_096_813_43, 0.459_337_361_381_889_4, 0.495_428_896_157_104_34],
             [0.892_991_980_332_201_3, 0.016_512_336_535_796_587, 0.885_355_751_529_805_8, 0.900_254_337_713_033_9, 0.882_196_611_047_422_2, 0.903_054_890_407_502]],
        ),
        (
            Scale::Logit,
            [[-0.446_807_492_610_722_3, 0.019_618_324_069_359_24, -22.775_008_254_072_315, 4.692_877_961_179_852e-7, -0.494_811_802_275_640_2, -0.398_803_182_945_804_36],
             [0.890_481_949_151_204_6, 0.015_211_681_128_547_748, 58.539_351_543_468_655, 1.669_636_735_275_907_8e-9, 0.853_260_306_321_922_7, 0.927_703_591_980_486_5]],
            [[0.478_576_092_223_561_84, 0.014_479_552_005_168_548, 0.469_742_436_523_078_3, 0.487_423_167_133_118_8, 0.460_319_487_636_195_9, 0.496_890_107_177_574_7],
             [0.897_996_795_349_9, 0.029_022_752_703_928_904, 0.891_305_510_091_177_9, 0.904_320_380_399_707_4, 0.888_889_066_947_877_2, 0.906_436_547_914_372_7]],
        ),
    ];
    for (scale, terms, readings) in expected {
        let options = RegressionOptions { scale, ..RegressionOptions::default() };
        let table = regress(&shares, columns(&["x"]), &options).unwrap();
        for (row, expected) in terms.into_iter().enumerate() {
            close(&table, row, CLASSICAL, expected, 1e-11);
        }
        assert_eq!(text(&table, "scale", 0), scale.name());
        let table = predict(&shares, columns(&["x"]), &options, &new).unwrap();
        for (row, expected) in readings.into_iter().enumerate() {
            close(&table, row, READING, expected, 1e-11);
        }
    }
}

#[test]
fn an_ill_conditioned_design_keeps_its_digits() {
    // Longley's data: the condition number of the design is 5e9. Expected is the solution in
    // rational arithmetic, which has NIST's certified values.
    #[rustfmt::skip]
    let data = df!(
        "employed" => [60323.0, 61122.0, 60171.0, 61187.0, 63221.0, 63639.0, 64989.0, 63761.0, 66019.0, 67857.0, 68169.0, 66513.0, 68655.0, 69564.0, 69331.0, 70551.0],
        "deflator" => [83.0, 88.5, 88.2, 89.5, 96.2, 98.1, 99.0, 100.0, 101.2, 104.6, 108.4, 110.8, 112.6, 114.2, 115.7, 116.9],
        "gnp" => [234289.0, 259426.0, 258054.0, 284599.0, 328975.0, 346999.0, 365385.0, 363112.0, 397469.0, 419180.0, 442769.0, 444546.0, 482704.0, 502601.0, 518173.0, 554894.0],
        "unemployed" => [2356.0, 2325.0, 3682.0, 3351.0, 2099.0, 1932.0, 1870.0, 3578.0, 2904.0, 2822.0, 2936.0, 4681.0, 3813.0, 3931.0, 4806.0, 4007.0],
        "armed" => [1590.0, 1456.0, 1616.0, 1650.0, 3099.0, 3594.0, 3547.0, 3350.0, 3048.0, 2857.0, 2798.0, 2637.0, 2552.0, 2514.0, 2572.0, 2827.0],
        "population" => [107608.0, 108632.0, 109773.0, 110929.0, 112075.0, 113270.0, 115094.0, 116219.0, 117388.0, 118734.0, 120445.0, 121950.0, 123366.0, 125368.0, 127852.0, 130081.0],
        "year" => [1947.0, 1948.0, 1949.0, 1950.0, 1951.0, 1952.0, 1953.0, 1954.0, 1955.0, 1956.0, 1957.0, 1958.0, 1959.0, 1960.0, 1961.0, 1962.0],
    )
    .unwrap();
    let x = ["deflator", "gnp", "unemployed", "armed", "population", "year"];
    let columns = RegressionColumns { y: "employed", ..columns(&x) };
    let table = regress(&data, columns, &RegressionOptions::default()).unwrap();
    #[rustfmt::skip]
    let expected = [
        [-3_482_258.634_595_818_4, 890_420.383_607_372_5, 1_799_477.230_661_816_2],
        [15.061_872_271_373_295, 84.914_925_774_766_94, 91.119_386_601_139_28],
        [-0.035_819_179_292_591_014, 0.033_491_007_772_243_19, 0.055_623_988_388_393_59],
        [-2.020_229_803_816_825, 0.488_399_681_651_699_45, 0.822_133_502_016_58],
        [-1.033_226_867_173_592, 0.214_274_163_161_675_27, 0.298_789_257_590_541_53],
        [-0.051_104_105_653_580_714, 0.226_073_200_069_370_34, 0.324_905_821_136_016_6],
        [1_829.151_464_613_551_8, 455.478_499_142_212, 922.807_841_715_404],
    ];
    for (row, expected) in expected.into_iter().enumerate() {
        let columns = ["estimate", "standard_error", "robust_standard_error"];
        close(&table, row, columns, expected, 1e-11);
    }
    let expected = [304.854_073_561_964_8, 0.995_479_004_577_295_7];
    close(&table, 0, ["residual_sd", "r_squared"], expected, 1e-12);
}

#[test]
fn units_show_in_nothing_but_the_units() {
    let whole = regress(&frame(), columns(&["x"]), &RegressionOptions::default()).unwrap();
    for unit in [1e180, 1e-180] {
        let x: Vec<f64> = X.iter().map(|x| x * unit).collect();
        let scaled = df!("x" => x, "y" => Y).unwrap();
        let table = regress(&scaled, columns(&["x"]), &RegressionOptions::default()).unwrap();
        for column in ["t", "p_value", "robust_t", "r_squared", "f"] {
            close(&table, 1, [column], [float(&whole, column, 1).unwrap()], 1e-12);
        }
        close(&table, 1, ["estimate"], [float(&whole, "estimate", 1).unwrap() / unit], 1e-13);
    }
}

#[test]
fn groups_are_fitted_on_their_own_and_the_order_of_rows_shows_nowhere() {
    let mut both = frame();
    both.with_column(Column::new("set".into(), ["b"; 10])).unwrap();
    let other = df!(
        "x" => [0.0, 1.0, 2.0, 3.0], "z" => [1.0, 0.0, 0.0, 5.0], "y" => [1.0, 3.5, 4.5, 7.0],
        "w" => [1.0; 4], "set" => ["a"; 4],
    )
    .unwrap();
    both.vstack_mut(&other).unwrap();
    let by = RegressionColumns { groups: &["set"], weights: Some("w"), ..columns(&["x"]) };
    let options = RegressionOptions::default();
    let table = regress(&both, by, &options).unwrap();
    let sets: Vec<&str> = (0..4).map(|row| text(&table, "set", row)).collect();
    assert_eq!(sets, ["a", "a", "b", "b"]);
    // Closed form: x - mean is -1.5, -0.5, 0.5, 1.5.
    close(&table, 1, ["estimate", "r_squared"], [1.9, 361.0 / 370.0], 1e-14);
    assert_eq!(count(&table, "n", 2), Some(10));
    let reversed = both.reverse();
    assert!(regress(&reversed, by, &options).unwrap().equals_missing(&table));
    let new = df!("set" => ["b", "c", "a"], "x" => [1.0, 1.0, 1.0], "w" => [1.0; 3]).unwrap();
    let read = predict(&both, by, &options, &new).unwrap();
    close(&read, 2, ["fitted"], [3.05], 1e-14);
    assert_eq!(float(&read, "fitted", 1), None);
    let alone = RegressionColumns { groups: &[], ..by };
    let expected = predict(&frame(), alone, &options, &new).unwrap();
    for column in READING {
        assert_eq!(float(&read, column, 0), float(&expected, column, 0));
    }
    assert!(predict(&reversed, by, &options, &new).unwrap().equals_missing(&read));
}

#[test]
fn rows_without_a_number_are_left_out_and_counted() {
    let mut holes = frame();
    let hole = df!(
        "x" => [Some(1.0), None, Some(2.0), Some(3.0)],
        "z" => [Some(1.0), Some(1.0), Some(f64::INFINITY), Some(1.0)],
        "y" => [Some(f64::NAN), Some(1.0), Some(2.0), Some(1.0)],
        "w" => [Some(1.0), Some(1.0), Some(1.0), None],
    )
    .unwrap();
    holes.vstack_mut(&hole).unwrap();
    let by_weight = RegressionColumns { weights: Some("w"), ..columns(&["x", "z"]) };
    let options = RegressionOptions::default();
    let table = regress(&holes, by_weight, &options).unwrap();
    let whole = regress(&frame(), by_weight, &options).unwrap();
    assert_eq!(count(&table, "missing", 0), Some(4));
    assert_eq!(count(&table, "n", 0), Some(10));
    assert_eq!(float(&table, "low", 2), float(&whole, "low", 2));
}

#[test]
fn what_rows_do_not_determine_is_null() {
    let options = RegressionOptions::default();
    let of = |x: &[f64], y: &[f64]| {
        let frame = df!("x" => x, "y" => y).unwrap();
        regress(&frame, columns(&["x"]), &options).unwrap()
    };
    let ends = ["standard_error", "low", "robust_standard_error", "residual_sd", "f"];
    // One row, two terms.
    let table = of(&[1.0], &[2.0]);
    assert_eq!(float(&table, "estimate", 0), None);
    assert_eq!(count(&table, "n", 0), Some(1));
    assert_eq!(count(&table, "degrees_of_freedom", 0), None);
    // Two rows fix the line and leave nothing to judge it by.
    let table = of(&[1.0, 2.0], &[2.0, 5.0]);
    close(&table, 1, ["estimate", "r_squared"], [3.0, 1.0], 1e-14);
    for column in ends {
        assert_eq!(float(&table, column, 1), None, "{column}");
    }
    // An exact line: errors are zero, and nothing can be divided by them.
    let table = of(&[0.1, 0.2, 0.3, 0.7], &[0.3, 0.6, 0.9, 2.1]);
    assert_eq!(float(&table, "standard_error", 1), Some(0.0));
    assert_eq!(float(&table, "robust_standard_error", 1), Some(0.0));
    assert_eq!(float(&table, "t", 1), None);
    assert_eq!(float(&table, "f", 1), None);
    assert_eq!(float(&table, "low", 1), float(&table, "estimate", 1));
    // A constant y: nothing to explain.
    let table = of(&[1.0, 2.0, 4.0], &[0.1, 0.1, 0.1]);
    assert_eq!(float(&table, "r_squared", 1), None);
    assert!(float(&table, "estimate", 1).unwrap().abs() < 1e-15);
    // One row alone fixes the slope: HC3 divides by one minus its leverage, which is zero.
    let table = of(&[0.0, 0.0, 0.0, 1.0], &[1.0, 2.0, 4.0, 9.0]);
    assert!(float(&table, "standard_error", 1).unwrap() > 0.0);
    assert_eq!(float(&table, "robust_standard_error", 1), None);
    // No rows: no groups.
    let empty = df!("x" => Vec::<f64>::new(), "y" => Vec::<f64>::new()).unwrap();
    assert_eq!(regress(&empty, columns(&["x"]), &options).unwrap().height(), 0);
    let read = predict(&empty, columns(&["x"]), &options, &df!("x" => [1.0]).unwrap()).unwrap();
    assert_eq!(float(&read, "fitted", 0), None);
    assert_eq!(predict(&frame(), columns(&["x"]), &options, &empty).unwrap().height(), 0);
}

#[test]
fn dependent_predictors_are_named() {
    let options = RegressionOptions::default();
    let message = |frame: &DataFrame, columns| match regress(frame, columns, &options) {
        Err(error) => error.to_string(),
        Ok(table) => panic!("{table}"),
    };
    let sum: Vec<f64> = X.iter().zip(Z).map(|(x, z)| 0.1 * x + 0.7 * z - 3.0).collect();
    let mut dependent = frame();
    dependent.with_column(Column::new("sum".into(), sum)).unwrap();
    dependent.with_column(Column::new("constant".into(), vec![0.1; 10])).unwrap();
    dependent.with_column(Column::new("zero".into(), vec![0.0; 10])).unwrap();
    dependent.with_column(Column::new("set".into(), vec!["a"; 10])).unwrap();
    assert_eq!(
        message(&dependent, columns(&["x", "z", "sum"])),
        "predictor `sum` is a linear combination of `(intercept)`, `x`, `z`, so that their \
         coefficients are not determined; leave one of them out"
    );
    let by = RegressionColumns { groups: &["set"], ..columns(&["x", "constant"]) };
    assert_eq!(
        message(&dependent, by),
        "predictor `constant` is a linear combination of `(intercept)` where set = \"a\", so that \
         their coefficients are not determined; leave one of them out"
    );
    assert_eq!(
        message(&dependent, columns(&["zero"])),
        "predictor `zero` is zero in every row, so that their coefficients are not determined; \
         leave one of them out"
    );
    // The same predictor twice.
    assert!(
        message(&dependent, columns(&["x", "x"])).contains("`x` is a linear combination of `x`")
    );
}

#[test]
fn numbers_without_a_meaning_are_refused() {
    let options = RegressionOptions::default();
    let probit = RegressionOptions { scale: Scale::Probit, ..options };
    let shares =
        |last: f64| df!("x" => [0.2, 0.3, 0.6, 0.9], "y" => [0.1, 0.25, 0.5, last]).unwrap();
    let error = regress(&shares(1.0), columns(&["x"]), &probit).unwrap_err();
    assert_eq!(
        error.to_string(),
        "column `y` holds 1 in row 3 (counted from zero); it must lie strictly between 0 and 1 on \
         this scale (clip shares to half of one over their number of trials)"
    );
    let error = regress(&shares(76.0), columns(&["x"]), &probit).unwrap_err();
    assert!(error.to_string().contains("(divide percentages by 100)"), "{error}");
    // As measured, both are numbers like others.
    assert!(regress(&shares(76.0), columns(&["x"]), &options).is_ok());
    // Clipped, 1 is the same as the share that it is lowered to.
    let clip = RegressionOptions { boundary: Boundary::Clip(0.01), ..probit };
    let clipped = regress(&shares(1.0), columns(&["x"]), &clip).unwrap();
    let written = regress(&shares(0.99), columns(&["x"]), &clip).unwrap();
    assert_eq!(float(&clipped, "estimate", 1), float(&written, "estimate", 1));
    assert_eq!((count(&clipped, "clipped", 0), count(&written, "clipped", 0)), (Some(1), Some(0)));
    for share in [0.0, 0.5, -0.1, f64::NAN] {
        let clip = RegressionOptions { boundary: Boundary::Clip(share), ..probit };
        let error = regress(&shares(0.5), columns(&["x"]), &clip).unwrap_err();
        assert!(matches!(error, AnalysisError::Setting { .. }), "{error}");
    }
    let light = df!("x" => [1.0, 2.0], "y" => [1.0, 2.0], "w" => [1.0, 0.0]).unwrap();
    let by_weight = RegressionColumns { weights: Some("w"), ..columns(&["x"]) };
    let error = regress(&light, by_weight, &options).unwrap_err();
    assert!(matches!(error, AnalysisError::OutOfRange { row: 1, .. }), "{error}");
    let none = RegressionOptions { intercept: false, ..options };
    let error = regress(&frame(), columns(&[]), &none).unwrap_err();
    assert!(error.to_string().contains("name a predictor"), "{error}");
    let sure = RegressionOptions { level: 1.0, ..options };
    let error = regress(&frame(), columns(&["x"]), &sure).unwrap_err();
    assert!(matches!(error, AnalysisError::Level(_)), "{error}");
    let error = regress(&frame(), columns(&["absent"]), &options).unwrap_err();
    assert!(matches!(error, AnalysisError::Frame(_)), "{error}");
}

#[test]
fn no_column_is_overwritten_unseen() {
    let mut named = frame();
    named.with_column(Column::new("n".into(), ["a"; 10])).unwrap();
    let by = RegressionColumns { groups: &["n"], ..columns(&["x"]) };
    let error = regress(&named, by, &RegressionOptions::default()).unwrap_err();
    assert!(matches!(error, AnalysisError::Frame(PolarsError::Duplicate(_))), "{error}");
    let new = df!("x" => [1.0], "low" => [2.0]).unwrap();
    let error = predict(&frame(), columns(&["x"]), &RegressionOptions::default(), &new);
    assert!(matches!(error, Err(AnalysisError::Frame(PolarsError::Duplicate(_)))));
}

#[test]
fn accuracies_on_two_imagenet_test_sets_lie_on_the_lines_of_statsmodels() {
    let Some(folder) = published::data("replication") else {
        return;
    };
    // 64 models of the ImageNet-v2 repository.
    let text = std::fs::read_to_string(folder.join("accuracy_counts.csv")).unwrap();
    let mut of = std::collections::BTreeMap::<String, [f64; 2]>::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let column = match fields[0] {
            "imagenet_val" => 0,
            "imagenetv2_matched_frequency" => 1,
            _ => continue,
        };
        let [n, correct] = [2, 3].map(|field: usize| fields[field].parse::<f64>().unwrap());
        of.entry(fields[1].to_owned()).or_default()[column] = correct / n;
    }
    let pairs: Vec<[f64; 2]> = of.into_values().collect();
    let frame = df!(
        "x" => pairs.iter().map(|pair| pair[0]).collect::<Vec<_>>(),
        "y" => pairs.iter().map(|pair| pair[1]).collect::<Vec<_>>(),
    )
    .unwrap();
    let table = regress(&frame, columns(&["x"]), &RegressionOptions::default()).unwrap();
    assert_eq!(count(&table, "n", 0), Some(64));
    let expected = [-0.202_632_430_807_981, 0.991_330_917_934_101_2];
    close(&table, 0, ["estimate", "r_squared"], expected, 1e-10);
    let expected = [1.109_751_577_794_719, 0.026_985_286_144_566_786];
    close(&table, 1, ["estimate", "robust_standard_error"], expected, 1e-10);
    let probit = RegressionOptions { scale: Scale::Probit, ..RegressionOptions::default() };
    let table = regress(&frame, columns(&["x"]), &probit).unwrap();
    #[rustfmt::skip]
    close(&table, 1, CLASSICAL, [0.968_003_522_141_694_8, 0.008_387_502_744_748_606, 115.410_218_225_890_82, 4.440_634_208_427_071e-74, 0.951_237_143_055_903_1, 0.984_769_901_227_486_5], 1e-9);
}
