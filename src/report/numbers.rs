//! Numbers as people read them.

/// Fixed decimals for a column, so that its largest number shows four significant digits.
pub(super) fn decimals(numbers: impl IntoIterator<Item = f64>) -> usize {
    let largest = numbers.into_iter().map(f64::abs).filter(|n| n.is_finite()).fold(0.0, f64::max);
    if largest == 0.0 {
        return 1;
    }
    let digits_before = largest.log10().floor() + 1.0;
    // Between 0 and 8 after the clamp.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let decimals = (4.0 - digits_before).clamp(0.0, 8.0) as usize;
    decimals
}

/// A number with fixed decimals; zero has no sign.
pub(super) fn fixed(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.chars().all(|c| c == '0' || c == '.') => digits.to_owned(),
        _ => text,
    }
}

/// As [`fixed`] with the sign always shown.
pub(super) fn signed(number: f64, decimals: usize) -> String {
    let text = fixed(number, decimals);
    if text.starts_with('-') || text.chars().all(|c| c == '0' || c == '.') {
        text
    } else {
        format!("+{text}")
    }
}

/// A whole number in groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The label of a tick of an axis that reaches this far: short, with the same k or M all along.
pub(super) fn tick(number: f64, reach: f64) -> String {
    let short = |scaled: f64, suffix: &str| {
        // Ticks are round numbers; this hides the representation error of their sums.
        let text = format!("{scaled:.6}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        let text = if text == "-0" { "0" } else { text };
        format!("{}{suffix}", text.replace('-', "\u{2212}"))
    };
    match reach.abs() {
        _ if number == 0.0 => "0".into(),
        size if size >= 1e9 => format!("{number:.1e}").replace('-', "\u{2212}"),
        size if size >= 1e6 => short(number / 1e6, "M"),
        size if size >= 1e4 => short(number / 1e3, "k"),
        size if size < 1e-4 => format!("{number:.1e}").replace('-', "\u{2212}"),
        _ => short(number, ""),
    }
}

/// A level as a percentage.
pub(super) fn percent(level: f64) -> String {
    let text = format!("{:.4}", level * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// `1 run`, `2 runs`.
pub(super) fn plural(number: usize, noun: &str) -> String {
    let suffix = if number == 1 { "" } else { "s" };
    format!("{} {noun}{suffix}", grouped(number as u64))
}

#[cfg(test)]
mod tests {
    use super::{decimals, fixed, grouped, plural, signed, tick};

    #[test]
    fn numbers_read_well() {
        assert_eq!(decimals([0.5, -431.25]), 1);
        assert_eq!(decimals([12_345.0]), 0);
        assert_eq!(decimals([0.0123]), 5);
        assert_eq!(decimals([]), 1);
        assert_eq!(fixed(-0.04, 1), "0.0");
        assert_eq!(fixed(-0.05001, 1), "-0.1");
        assert_eq!(signed(2.0, 1), "+2.0");
        assert_eq!(signed(0.0, 1), "0.0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(80), "80");
        assert_eq!(tick(5000.0, 24_576.0), "5k");
        assert_eq!(tick(-1000.0, 1500.0), "\u{2212}1000");
        assert_eq!(tick(500_000.0, 1_500_000.0), "0.5M");
        assert_eq!(tick(-0.30000000000000004, 0.4), "\u{2212}0.3");
        assert_eq!(tick(0.0, 1e12), "0");
        assert_eq!(tick(2.5e9, 3e9), "2.5e9");
        assert_eq!(plural(1, "run"), "1 run");
        assert_eq!(plural(2000, "run"), "2,000 runs");
    }
}
