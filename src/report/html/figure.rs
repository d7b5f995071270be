//! Figures on the page.

use maud::{Markup, PreEscaped, html};

use super::super::claims::{ClaimRow, symbol};
use super::super::draw::{Axis, Picture, strip_labels};
use super::super::figure::{Body, Figure, Group, Key, Mark, PanelSize, Panels, Shown, shown};
use super::super::model::Estimate;
use super::super::numbers::grouped;
use super::{Page, Part, breakable, command_line, prose};
use analysis::Verdict;

impl Page<'_> {
    /// A figure with its caption; every caption ends with the command.
    pub(super) fn figure(&self, number: usize, figure: &Figure<'_>) -> Part {
        let drawn = match &figure.body {
            Body::Rows { key, groups, said } => rows(key, groups, said),
            Body::Panels(of) => panels(of),
            Body::Claims { key, plots } => self.claims(key, plots),
        };
        // A table of the same numbers has the download.
        let table = self.tables.iter().enumerate().find(|(_, table)| {
            let same = |name: &String| figure.data.iter().any(|(known, _)| known == name);
            table.id == figure.id || table.data.iter().any(|(name, _)| same(name))
        });
        let data: Vec<_> = match table {
            Some(_) => Vec::new(),
            None => figure.data.iter().collect(),
        };
        let downloads = self.downloads(&data, &[])?;
        Ok(html! {
            figure id={ "figure-" (figure.id) } {
                (drawn)
                figcaption {
                    b { "Figure " (number) ". " } (prose(&figure.caption)) " Made by "
                    (command_line(&self.input.figure_command(&figure.id))) "."
                    @if let Some((place, table)) = table {
                        " Numbers: "
                        a href={ "#table-" (table.id) } { "Table " (place + 1) } "."
                    }
                }
                (downloads)
            }
        })
    }

    fn claims(&self, key: &[Key], plots: &[Option<(Axis, Picture)>]) -> Markup {
        html! {
            (legend(key))
            ol.claims {
                @for (number, (row, plot)) in self.model.claims.iter().zip(plots).enumerate() {
                    li {
                        div.statement {
                            (verdict(row.verdict))
                            @if let (Verdict::Inconclusive, Some(more @ 1..)) =
                                (row.verdict, row.more_seeds)
                            {
                                ": needs about " (grouped(more)) " more "
                                (self.model.unit.of(more)) " an arm"
                            }
                            p { b { (number + 1) ". " } (row.claim.statement) }
                        }
                        div.plot {
                            @if let Some((axis, picture)) = plot {
                                (PreEscaped(picture.on_page(None))) (strip_axis(axis))
                            }
                        }
                        dl {
                            @if let Some(published) = row.published() {
                                dt { "published" } dd { (number_of(row, &published)) }
                            }
                            dt { "ours" } dd { (number_of(row, &row.ours)) }
                        }
                    }
                }
            }
        }
    }
}

/// A verdict with its mark.
pub(super) fn verdict(verdict: Verdict) -> Markup {
    html! {
        span class={ "verdict " (verdict_class(verdict)) } {
            span aria-hidden="true" { (symbol(verdict)) " " }
            (verdict.name())
        }
    }
}

/// How the style sheet calls a verdict.
pub(super) fn verdict_class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Reproduced => "reproduced",
        Verdict::NotReproduced => "not-reproduced",
        Verdict::Inconclusive => "inconclusive",
        Verdict::NotRun => "not-run",
    }
}

fn number_of(row: &ClaimRow, estimate: &Estimate) -> Markup {
    let Shown { value, interval, .. } = shown(estimate, |number| row.shown(number));
    html! { (value) " " small { (interval) } }
}

fn rows(key: &[Key], groups: &[Group], said: &str) -> Markup {
    html! {
        (legend(key))
        div.strips role="img" aria-label=(said) {
            @for group in groups {
                @if !group.heading.is_empty() { p.group { (breakable(&group.heading)) } }
                @for row in &group.rows {
                    div {
                        span.name {
                            @if !row.strong.is_empty() { b { (breakable(&row.strong)) } ": " }
                            (breakable(&row.name))
                        }
                        span.plot { (PreEscaped(row.picture.on_page(None))) }
                        span.number {
                            (row.number)
                            @for small in &row.small { " " small { (small) } }
                        }
                    }
                }
                (strip_axis(&group.axis))
            }
        }
    }
}

fn panels(of: &Panels) -> Markup {
    let small = of.size == PanelSize::Small;
    let class = match of.size {
        PanelSize::Single => "panels single",
        PanelSize::Wide => "panels",
        PanelSize::Small => "panels small",
    };
    html! {
        @if small { p.axis-name { "Vertical: " (of.y_name) ". Horizontal: " (of.x_name) "." } }
        (legend(&of.key))
        div class=(class) {
            @for panel in &of.panels {
                div.panel {
                    @if !(panel.strong.is_empty() && panel.title.is_empty()) {
                        div.title {
                            @if small { b { (panel.strong) } } @else { (breakable(&panel.strong)) }
                            @if !panel.title.is_empty() { " " (breakable(&panel.title)) }
                        }
                    }
                    (legend(&panel.key))
                    @if !small { div.axis-name.y aria-hidden="true" { (of.y_name) } }
                    (PreEscaped(panel.picture.on_page(Some(&panel.said))))
                    @if !small {
                        div.axis-name.x aria-hidden="true" {
                            (panel.x_name.as_ref().unwrap_or(&of.x_name))
                        }
                    }
                }
            }
        }
    }
}

fn legend(key: &[Key]) -> Markup {
    html! {
        @if !key.is_empty() {
            ul.legend {
                @for entry in key {
                    li {
                        span class=(mark_class(entry.mark)) aria-hidden="true" {}
                        span { (breakable(&entry.text)) }
                    }
                }
            }
        }
    }
}

fn mark_class(mark: Mark) -> String {
    match mark {
        Mark::Series(series) => format!("swatch s{series}"),
        Mark::Thin => "swatch thin".into(),
        Mark::Reference => "swatch reference".into(),
        Mark::Even => "swatch even".into(),
        Mark::Gap => "mark gap".into(),
        Mark::Published => "mark published".into(),
        Mark::Dot | Mark::Ours => "mark ours".into(),
        Mark::Equal => "mark equal".into(),
    }
}

/// The axis below the rows of a dot plot; as text of the page it keeps its size on any screen.
fn strip_axis(axis: &Axis) -> Markup {
    html! {
        span.end {
            @for (place, label) in strip_labels(axis) {
                span style={ "left:" (format!("{:.2}%", place * 100.0)) } { (label) }
            }
        }
    }
}
