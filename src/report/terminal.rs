//! The summary for the terminal.

use std::io::Write;

use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle};

use super::claims::{symbol, tally};
use super::model::{Estimate, Model};
use super::numbers::{decimals, fixed, plural, signed};
use super::{FILE, ReportError, ReportInput};

/// Arms that are shown at most; the report has all of them.
const MOST_ARMS: usize = 64;
/// Letters in a line of a column's heading.
const HEADER_WIDTH: usize = 14;

/// Diverged runs that are named at most; the report has all of them.
const MOST_DIVERGED: usize = 10;

/// Prints the summary. Where it must fit a width, metrics beyond the headline are left out.
pub(super) fn print(
    input: &ReportInput<'_>,
    model: &Model,
    width: Option<usize>,
    out: &mut dyn Write,
) -> Result<(), ReportError> {
    out.write_all(text(input, model, width).as_bytes()).map_err(ReportError::Print)
}

/// Width of the terminal that standard output is; `None` where it is none.
pub(super) fn width() -> Option<usize> {
    Table::new().width().map(usize::from)
}

fn text(input: &ReportInput<'_>, model: &Model, width: Option<usize>) -> String {
    let mut text = format!("{}\n", input.plan.file.title);
    text.push_str(&format!(
        "{}, {}, {} of {} stored, {} diverged\n",
        plural(model.arms.len(), "arm"),
        plural(model.replicates, "replicate"),
        model.stored,
        plural(model.planned, "run"),
        model.diverged.len(),
    ));
    for run in model.diverged.iter().take(MOST_DIVERGED) {
        let iteration = run.iteration.map_or(String::new(), |i| format!(" in iteration {i}"));
        let arm = &model.arms[run.arm].name;
        text.push_str(&format!(
            "  diverged{iteration}: {} ({arm}, replicate {})\n",
            run.id, run.replicate
        ));
    }
    if model.diverged.len() > MOST_DIVERGED {
        let more = plural(model.diverged.len() - MOST_DIVERGED, "diverged run");
        text.push_str(&format!("  {more} more: see {FILE}\n"));
    }
    if !model.claims.is_empty() {
        text.push_str(&format!("\nClaims: {}\n", tally(&model.claims)));
        text.push_str(&claims(input, model));
    }
    if let Some(headline) = input.metrics.first() {
        text.push_str(&format!(
            "\nFinal metrics: {}; interval of {}: {}\n",
            input.options.estimator.words(),
            headline.name,
            method(input),
        ));
        text.push_str(&fitting_metrics(input, model, width));
        if let Some(caveat) =
            input.options.interval.caveat(input.options.estimator, model.replicates)
            && model.replicates > 1
        {
            text.push_str(&format!("{caveat}\n"));
        }
        if model.diverged_with_value > 0 {
            text.push_str("a diverged run counts with the metrics it had by then\n");
        }
        if !model.effects.main.is_empty() {
            text.push_str(&format!(
                "\nEffect of each factor on {}: difference of means; interval: {}, level {}\n",
                headline.name, model.effects.method, input.options.level,
            ));
            text.push_str(&effects(model));
        }
    }
    text
}

fn method(input: &ReportInput<'_>) -> String {
    format!("{}, level {}", input.options.interval.words(), input.options.level)
}

/// The table with as many metrics as fit the width, one at least.
fn fitting_metrics(input: &ReportInput<'_>, model: &Model, width: Option<usize>) -> String {
    let fits = |text: &str| {
        width.is_none_or(|width| text.lines().all(|line| line.chars().count() <= width))
    };
    let mut shown = input.metrics.len();
    let mut text = metrics(input, model, shown);
    while shown > 1 && !fits(&text) {
        shown -= 1;
        text = metrics(input, model, shown);
    }
    if shown < input.metrics.len() {
        let more = plural(input.metrics.len() - shown, "metric");
        text.push_str(&format!("{more} more: see {FILE}\n"));
    }
    text
}

fn metrics(input: &ReportInput<'_>, model: &Model, shown: usize) -> String {
    let by_levels = model.arms.iter().all(|arm| arm.levels.is_some());
    let mut header = vec![left("#")];
    if by_levels {
        header.extend(model.factors.iter().map(|factor| left(&folded(factor))));
    } else {
        header.push(left("arm"));
    }
    header.extend([right("n"), right("diverged")]);
    for (place, metric) in input.metrics.iter().enumerate().take(shown) {
        header.push(right(&folded(metric.name)));
        if place == 0 {
            header.push(right("interval"));
        }
    }
    let mut table = table(header);
    let decimals: Vec<usize> = (0..input.metrics.len())
        .map(|place| decimals(model.arms.iter().flat_map(|arm| arm.metrics[place].numbers())))
        .collect();
    for (index, arm) in model.arms.iter().enumerate().take(MOST_ARMS) {
        let mut row = vec![left(&(index + 1).to_string())];
        match &arm.levels {
            Some(levels) if by_levels => row.extend(levels.iter().map(|level| left(level))),
            _ => row.push(left(&arm.label())),
        }
        let n = arm.metrics.first().map_or(0, |estimate| estimate.n);
        row.extend([right(&n.to_string()), right(&arm.diverged.to_string())]);
        for (place, estimate) in arm.metrics.iter().enumerate().take(shown) {
            let decimals = decimals[place];
            let value = estimate.value.map(|value| fixed(value, decimals));
            row.push(right(&value.unwrap_or_else(|| "-".into())));
            if place == 0 {
                row.push(right(&interval(estimate, |number| fixed(number, decimals))));
            }
        }
        table.add_row(row);
    }
    let mut text = finished(&table);
    if model.arms.len() > MOST_ARMS {
        text.push_str(&format!(
            "{} more: see {FILE}\n",
            plural(model.arms.len() - MOST_ARMS, "arm")
        ));
    }
    text
}

/// The verdicts; the report has the statements and their sources.
fn claims(input: &ReportInput<'_>, model: &Model) -> String {
    let header = [left("verdict"), left("claim")];
    let (seeds, more) = (model.unit.many, format!("more {}", model.unit.many));
    let columns = ["published", "ours", "interval", seeds, &more].map(right);
    let mut table = table(header.into_iter().chain(columns).collect());
    for row in &model.claims {
        let show = |number| row.shown(number);
        let value = |estimate: &Estimate| estimate.value.map_or_else(|| "-".into(), show);
        let published = row.published().map_or_else(
            || "-".into(),
            |published| match interval(&published, show).as_str() {
                "-" => value(&published),
                interval => format!("{} {interval}", value(&published)),
            },
        );
        let more = row.seeds_needed().map_or_else(|| "-".into(), |seeds| seeds.to_string());
        table.add_row(vec![
            left(&format!("{} {}", symbol(row.verdict), row.verdict.name())),
            left(&row.claim.name),
            right(&published),
            right(&value(&row.ours)),
            right(&interval(&row.ours, show)),
            right(&row.seeds()),
            right(&more),
        ]);
    }
    let mut text = finished(&table);
    for row in &model.claims {
        if let Some(note) = &row.note {
            text.push_str(&format!("  {}: {note}\n", row.claim.name));
        }
    }
    let mut methods: Vec<&str> = model
        .claims
        .iter()
        .filter(|row| row.ours.low.is_some())
        .map(|row| row.method.as_str())
        .collect();
    methods.sort_unstable();
    methods.dedup();
    if !methods.is_empty() {
        let (methods, level) = (methods.join(", "), input.options.level);
        text.push_str(&format!("interval: {methods}; level {level}; statements: see {FILE}\n"));
    }
    text
}

fn effects(model: &Model) -> String {
    let header = [left("factor"), left("from"), left("to")];
    let numbers = ["n from", "n to", "effect", "interval"].map(right);
    let mut table = table(header.into_iter().chain(numbers).collect());
    let main = &model.effects.main;
    let of_headline: Vec<Estimate> =
        main.iter().filter_map(|effect| effect.metrics.first().copied()).collect();
    let decimals = decimals(of_headline.iter().flat_map(Estimate::numbers));
    for (effect, estimate) in main.iter().zip(&of_headline) {
        let Some(term) = effect.terms.first() else { continue };
        let value = estimate.value.map(|value| signed(value, decimals));
        table.add_row(vec![
            left(&term.factor),
            left(&term.from),
            left(&term.to),
            right(&effect.n_from.to_string()),
            right(&estimate.n.to_string()),
            right(&value.unwrap_or_else(|| "-".into())),
            right(&interval(estimate, |number| signed(number, decimals))),
        ]);
    }
    finished(&table)
}

fn interval(estimate: &Estimate, show: impl Fn(f64) -> String) -> String {
    match (estimate.low, estimate.high) {
        (Some(low), Some(high)) => format!("[{}, {}]", show(low), show(high)),
        _ => "-".into(),
    }
}

fn table(header: Vec<Cell>) -> Table {
    let mut table = Table::new();
    let rule = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().header_separator(rule));
    // What is printed does not depend on what standard output happens to be.
    table.force_no_tty();
    table.set_header(header);
    table
}

/// Breaks the name of a metric over lines, so that its column is not wider than its numbers need.
fn folded(name: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for part in name.split_inclusive('_') {
        match lines.last_mut() {
            Some(line) if line.len() + part.len() <= HEADER_WIDTH => line.push_str(part),
            _ => lines.push(part.to_owned()),
        }
    }
    lines.join("\n")
}

fn finished(table: &Table) -> String {
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

fn left(text: &str) -> Cell {
    Cell::new(text)
}

fn right(text: &str) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}
