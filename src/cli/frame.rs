//! Frames in the terminal.

use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle};
use polars::prelude::*;

/// A rule under the header and nothing else, which also reads well in a log.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::new('─', '─', '─', '─'));
/// Digits of a number that carry its meaning.
const DIGITS: usize = 5;

/// A frame as aligned text. Columns of text that are equal in all of several rows, as those on method
/// are, stand below the table once.
///
/// # Errors
/// When a column cannot be read as text.
pub fn text(frame: &DataFrame) -> PolarsResult<String> {
    let mut constant = Vec::new();
    let mut shown = Vec::new();
    for column in frame.columns() {
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
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(shown.iter().map(|(name, numeric, _)| cell(name, *numeric)));
    for row in 0..frame.height() {
        table.add_row(shown.iter().map(|(_, numeric, texts)| cell(&texts[row], *numeric)));
    }
    let mut text = table.to_string();
    text.push('\n');
    for (name, value) in constant {
        text.push_str(&format!("{name}: {value}\n"));
    }
    Ok(text)
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
        let text = super::text(&frame).unwrap();
        assert!(text.contains("1.2500") && text.lines().any(|line| line.trim_end().ends_with('-')));
        assert!(text.ends_with("estimator: mean\n"), "{text}");
        assert_eq!(text.matches("mean").count(), 1);
    }
}
