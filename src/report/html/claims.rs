//! The claims and their verdicts, which the page begins with.

use maud::{Markup, PreEscaped, html};

use super::super::claims::{ClaimRow, symbol, tally};
use super::super::figure::{Axis, Forest, forest};
use super::super::model::Estimate;
use super::super::numbers::grouped;
use super::{Page, Part, Shown, breakable, minus, percent, prose, shown, strip_axis};
use analysis::{Interval, Verdict};

impl Page<'_> {
    pub(super) fn claims(&mut self) -> Part {
        let model = self.model;
        let mut rows = Vec::new();
        for (number, row) in model.claims.iter().enumerate() {
            rows.push(html! {
                li {
                    div.statement {
                        (verdict(row))
                        @if let (Verdict::Inconclusive, Some(seeds @ 1..)) =
                            (row.verdict, row.more_seeds)
                        {
                            ": needs about " (grouped(seeds)) " more seeds an arm"
                        }
                        p { b { (number + 1) ". " } (row.claim.statement) }
                    }
                    div.plot { (plot(row)?) }
                    dl {
                        @if let Some(published) = row.published() {
                            dt { "published" } dd { (number_of(row, &published)) }
                        }
                        dt { "ours" } dd { (number_of(row, &row.ours)) }
                    }
                }
            });
        }
        let drawn = html! {
            ul.legend {
                li { span.mark.published aria-hidden="true" {} "published" }
                li { span.mark.ours aria-hidden="true" {} "ours" }
                @if model.claims.iter().any(|row| row.equal_range().is_some()) {
                    li { span.mark.equal aria-hidden="true" {} "counts as equal" }
                }
            }
            ol.claims { @for row in &rows { (row) } }
        };
        let level = percent(self.input.options.level);
        let figure = self.figure(
            drawn,
            html! {
                "Published numbers and ours, each claim on an axis of its own; the upright line marks "
                "zero. Bars: published intervals as published, ours at " (level) ", " (METHOD)
            },
            html! {},
        );
        let table = self.claims_table()?;
        Ok(html! {
            section #claims aria-labelledby="claims-title" {
                h2 #claims-title { "Claims" }
                p.lead { "Of " (grouped(model.claims.len() as u64)) ": " (tally(&model.claims)) "." }
                (figure)
                (table)
            }
        })
    }

    fn claims_table(&mut self) -> Part {
        let model = self.model;
        let caption = html! {
            "Every claim of the study file, about means over the runs of arms. A claim is reproduced "
            "where the whole interval supports it, and not reproduced where the whole interval "
            "contradicts it: for a sign, our interval and zero; for equality, the interval of ours "
            "minus the published number, to which the published interval adds in quadrature, and the "
            "margin. p: one minus the highest level at which the interval would decide, either way. "
            "Seeds: replicates with a value in every arm of the claim. Seeds still needed, an arm: "
            "for a sign, until a test of this level has a power of 80% for the published size or, "
            "without one, for ours; for equality, until the interval decides if the difference stays "
            "as it is. The verdicts are not corrected for their number."
        };
        let head = html! {
            th.n scope="col" { "Claim" } th scope="col" { "Verdict" }
            th scope="col" { "Statement" }
            th.n scope="col" { "Published" } th.n scope="col" { "Ours" }
            th.n scope="col" { "p" } th.n scope="col" { "Seeds" }
            th.n scope="col" { "Seeds still needed" }
            th scope="col" { "Reproduced if" } th scope="col" { "Estimate" }
        };
        let rows = html! {
            @for (number, row) in model.claims.iter().enumerate() {
                tr {
                    th.n scope="row" { (number + 1) }
                    td data-sort=(row.verdict.name()) {
                        (verdict(row))
                        @if let Some(note) = &row.note { small { (prose(note)) } }
                    }
                    td.long {
                        (row.claim.statement)
                        small { (row.claim.source) }
                        small { code { (row.claim.name) } }
                    }
                    @match row.published() {
                        Some(published) => (cell(row, &published)),
                        None => td.n data-sort="" { "–" },
                    }
                    (cell(row, &row.ours))
                    @match row.p_value {
                        Some(p) => td.n data-sort=(p) { (p_value(p)) },
                        None => td.n data-sort="" { "–" },
                    }
                    td.n data-sort=(row.ours.n) {
                        (row.seeds())
                        @if row.missing > 0 { small { (row.missing) " missing" } }
                    }
                    @match row.seeds_needed() {
                        Some(seeds) => td.n data-sort=(seeds) { (grouped(seeds)) },
                        None => td.n data-sort="" { "–" },
                    }
                    td { (row.rule()) }
                    td.long {
                        @for word in row.estimand().split(' ') { (breakable(word)) " " }
                        @if let Some(Interval { low, high }) = row.bootstrapped {
                            small {
                                "percentile bootstrap "
                                (minus(format!("[{}, {}]", row.shown(low), row.shown(high))))
                            }
                        }
                        small { code { (breakable(row.claim.metric)) } }
                    }
                }
            }
        };
        self.table(head, rows, caption, &[("claims", &model.claims_table)])
    }
}

/// How our intervals are made, as the end of a sentence.
const METHOD: &str = "from Student's t over replicates, paired where all arms of a claim have the \
    same replicates and Welch's elsewhere. Largest differences take the ends of all their contrasts' \
    intervals, with a share of the level each (union-intersection), because the estimate of a \
    largest difference is biased upward. The percentile bootstrap's interval, which that bias makes too \
    high and too narrow, is given for comparison in the last column.";

fn verdict(row: &ClaimRow) -> Markup {
    let class = match row.verdict {
        Verdict::Reproduced => "reproduced",
        Verdict::NotReproduced => "not-reproduced",
        Verdict::Inconclusive => "inconclusive",
        Verdict::NotRun => "not-run",
    };
    html! {
        span class={ "verdict " (class) } {
            span aria-hidden="true" { (symbol(row.verdict)) " " }
            (row.verdict.name())
        }
    }
}

fn plot(row: &ClaimRow) -> Part {
    let published = row.published();
    let sign = row.equal_range().is_none();
    let numbers = row.ours.numbers().chain(published.iter().flat_map(Estimate::numbers));
    let bounds = row.equal_range().into_iter().flat_map(|(low, high)| [low, high]);
    let Some(axis) = Axis::around(numbers.chain(bounds).chain(sign.then_some(0.0)), 0.06) else {
        return Ok(html! {});
    };
    if row.ours.value.is_none() && published.is_none() {
        return Ok(html! {});
    }
    let drawn =
        forest(&Forest { axis, published, ours: row.ours, equal: row.equal_range(), zero: sign })?;
    Ok(html! { (PreEscaped(drawn)) (strip_axis(axis)) })
}

fn number_of(row: &ClaimRow, estimate: &Estimate) -> Markup {
    let Shown { value, interval, .. } = shown(estimate, |number| row.shown(number));
    html! { (value) " " small { (interval) } }
}

/// A cell with a number that may have an interval.
fn cell(row: &ClaimRow, estimate: &Estimate) -> Markup {
    super::cell(estimate, |number| row.shown(number))
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "<\u{a0}0.001".to_owned() } else { minus(format!("{p:.3}")) }
}
