//! Frames in the terminal.

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use polars::prelude::*;

/// A rule under the header and nothing else, which also reads well in a log.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::new('─', '─', '─', '─'));
/// Digits of a number that carry its meaning.
const DIGITS: usize = 5;

/// Columns that a narrow terminal can do without, the first to go first.
const DETAILS: [&str; 29] = [
    "exact",
    "permutations",
    "statistic",
    "df",
    "rejected",
    "unpaired",
    "combinations_missing",
    "combinations",
    "family",
    "degrees_of_freedom",
    "standard_error",
    "hedges_g",
    "cohens_d",
    "order",
    "factor",
    "factor_2",
    "from_2",
    "excluded",
    "naive_chosen",
    "chosen_share",
    "missing",
    "replicates",
    "min",
    "max",
    "sd",
    "same_runs",
    "identical",
    "simultaneous_low",
    "simultaneous_high",
];

/// A frame as aligned text. Columns of text that are equal in all of several rows, as those on method
/// are, stand below the table once; columns without any value are left out. Where the table is wider
/// than `width`, details go first, and it says how many.
///
/// # Errors
/// When a column cannot be read as text.
pub fn text(frame: &DataFrame, width: Option<usize>) -> PolarsResult<String> {
    let mut constant = Vec::new();
    let mut shown = Vec::new();
    for column in frame.columns() {
        if column.null_count() == column.len() && !column.is_empty() {
            continue;
        }
        let texts = texts(column)?;
        let numeric = column.dtype().is_primitive_numeric();
        let all_equal = texts.windows(2).all(|pair| pair[0] == pair[1]);
        match texts.first() {
            Some(value) if all_equal && frame.height() > 1 && column.name().as_str() != "arm" => {
                constant.push((column.name().to_string(), value.clone()));
            }
            _ => shown.push((column.name().to_string(), numeric, texts)),
        }
    }
    let wide = |(name, _, texts): &(String, bool, Vec<String>)| {
        let cells = texts.iter().map(|text| text.chars().count());
        // A space on either side, as the table sets them.
        cells.chain([name.len()]).max().unwrap_or_default() + 2
    };
    let mut left_out = 0;
    for detail in DETAILS {
        let total: usize = shown.iter().map(wide).sum();
        if width.is_none_or(|width| total <= width) {
            break;
        }
        let before = shown.len();
        shown.retain(|(name, ..)| name != detail);
        left_out += before - shown.len();
    }
    let mut table = Table::new();
    table.load_style(STYLE);
    if let Some(width) = width.and_then(|width| u16::try_from(width).ok()) {
        table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
    }
    table.set_header(shown.iter().map(|(name, numeric, _)| cell(name, *numeric)));
    for row in 0..frame.height() {
        table.add_row(shown.iter().map(|(_, numeric, texts)| cell(&texts[row], *numeric)));
    }
    let mut text = table.to_string();
    text.push('\n');
    for (name, value) in constant {
        text.push_str(&format!("{name}: {value}\n"));
    }
    if left_out > 0 {
        text.push_str(&format!("{left_out} more columns with --out FILE\n"));
    }
    Ok(text)
}

/// The width of the terminal, where there is one.
pub fn width() -> Option<usize> {
    Table::new().width().map(usize::from)
}

fn cell(text: &str, numeric: bool) -> Cell {
    let alignment = if numeric { CellAlignment::Right } else { CellAlignment::Left };
    Cell::new(text).set_alignment(alignment)
}

fn texts(column: &Column) -> PolarsResult<Vec<String>> {
    if column.dtype().is_float() {
        let numbers = column.cast(&DataType::Float64)?;
        return Ok(numbers.f64()?.iter().map(|n| n.map_or("-".into(), number)).collect());
    }
    let texts = column.cast(&DataType::String)?;
    Ok(texts.str()?.iter().map(|text| text.unwrap_or("-").to_owned()).collect())
}

/// A number with five digits, or all of them where it is whole.
fn number(number: f64) -> String {
    let size = number.abs();
    if number.fract() == 0.0 && size < 1e15 {
        return format!("{number:.0}");
    }
    if !(1e-4..1e15).contains(&size) {
        return format!("{number:.*e}", DIGITS - 1);
    }
    // Between -4 and 15.
    #[allow(clippy::cast_possible_truncation)]
    let before = size.log10().floor() as i32 + 1;
    let decimals = i32::try_from(DIGITS).unwrap_or_default().saturating_sub(before).max(0);
    format!("{number:.*}", usize::try_from(decimals).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use polars::df;

    #[test]
    fn numbers_have_the_digits_that_matter() {
        for (number, text) in [
            (0.0, "0"),
            (-3.0, "-3"),
            (1234.5678, "1234.6"),
            (123_456.78, "123457"),
            (0.012_345_678, "0.012346"),
            (-0.5, "-0.50000"),
            (1.5e-7, "1.5000e-7"),
        ] {
            assert_eq!(super::number(number), text);
        }
    }

    #[test]
    fn what_all_rows_share_is_said_once() {
        let frame = df!(
            "arm" => ["a", "b"],
            "estimate" => [Some(1.25), None],
            "estimator" => ["mean", "mean"],
        )
        .unwrap();
        let text = super::text(&frame, None).unwrap();
        assert!(text.contains("1.2500") && text.lines().any(|line| line.trim_end().ends_with('-')));
        assert!(text.ends_with("estimator: mean\n"), "{text}");
        assert_eq!(text.matches("mean").count(), 1);
    }
}
