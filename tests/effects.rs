//! Effects in committed results, as `results/implementation-matters/README.md` states them.

use analysis::{FactorLevels, FactorialColumns, FactorialOptions, factorial_effects};
use polars::prelude::*;

#[test]
fn effects_of_figure_one_are_those_of_the_readme() {
    let runs = LazyFrame::scan_parquet(
        PlRefPath::new("results/implementation-matters/figure-1-walker2d/runs/*.parquet"),
        ScanArgsParquet::default(),
    )
    .unwrap()
    .collect()
    .unwrap();
    let factor = |name: &str, levels: [&str; 2]| FactorLevels {
        column: format!("factor_{name}"),
        levels: levels.map(str::to_owned).to_vec(),
    };
    let factors = [
        factor("reward_scaling", ["none", "returns"]),
        factor("initialisation", ["xavier", "orthogonal"]),
        factor("annealing", ["off", "on"]),
        factor("value_clip", ["none", "max"]),
    ];
    let columns =
        FactorialColumns { factors: &factors, replicate: "replicate", value: "return_last_5" };
    let table = factorial_effects(&runs, columns, &FactorialOptions::tables()).unwrap();
    let rounded = |column: &str, row: usize| {
        table.column(column).unwrap().f64().unwrap().get(row).unwrap().round()
    };
    // The README's table; rows 0 to 3 are the main effects.
    for (row, expected) in [
        [985.0, 705.0, 1264.0],
        [213.0, -112.0, 539.0],
        [-83.0, -707.0, 541.0],
        [-1454.0, -1665.0, -1242.0],
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(["estimate", "low", "high"].map(|column| rounded(column, row)), expected);
    }
    // Reward scaling is worth 91 without value clipping and 1878 with it; scipy's interval of the
    // difference is [1017, 2557].
    let row = 6;
    assert_eq!(
        table.column("effect").unwrap().str().unwrap().get(row),
        Some("factor_reward_scaling × factor_value_clip")
    );
    assert_eq!(
        ["estimate", "low", "high"].map(|column| rounded(column, row)),
        [1878.0 - 91.0, 1017.0, 2557.0]
    );
}
