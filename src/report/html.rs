//! The report as one HTML file.

mod figure;
mod table;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::claims::{symbol, tally};
use super::figure::{Figure, Section, capitalised};
use super::model::Model;
use super::numbers::{grouped, plural};
use super::table::Table;
use super::{ReportError, ReportInput};
use analysis::Verdict;

const STYLE: &str = include_str!("style.css");
const SORT: &str = include_str!("sort.js");
const UNPACK: &str = include_str!("unpack.js");

type Part = Result<Markup, ReportError>;

/// Renders the page.
pub(super) fn page(
    input: &ReportInput<'_>,
    model: &Model,
    figures: &[Figure<'_>],
    tables: &[Table<'_>],
) -> Result<String, ReportError> {
    Page { input, model, figures, tables }.render()
}

struct Page<'a> {
    input: &'a ReportInput<'a>,
    model: &'a Model,
    figures: &'a [Figure<'a>],
    tables: &'a [Table<'a>],
}

/// A part of the page with a heading.
struct Chapter {
    id: String,
    title: String,
    body: Markup,
}

impl Page<'_> {
    fn render(self) -> Result<String, ReportError> {
        let file = &self.input.plan.file;
        let chapters = self.chapters()?;
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="generator" content={ "ceteris " (env!("CARGO_PKG_VERSION")) };
                    // Without it a browser asks for a file beside the page.
                    link rel="icon" href="data:,";
                    title { (file.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    a.skip href="#main" { "Skip to the results" }
                    (self.head(&chapters))
                    main #main .wrap {
                        @for chapter in &chapters {
                            section id=(chapter.id) aria-labelledby={ (chapter.id) "-title" } {
                                h2 id={ (chapter.id) "-title" } { (chapter.title) }
                                (chapter.body)
                            }
                        }
                    }
                    footer.wrap {
                        "Made by ceteris " (env!("CARGO_PKG_VERSION")) " with "
                        (command_line(&self.input.page_command())) "."
                    }
                    script { (PreEscaped(SORT)) (PreEscaped(UNPACK)) }
                }
            }
        };
        Ok(page.into_string())
    }

    fn chapters(&self) -> Result<Vec<Chapter>, ReportError> {
        let mut chapters = Vec::new();
        let fixed = [
            (Section::Claims, "claims", "Claims"),
            (Section::Metrics, "metrics", "Final metrics"),
            (Section::Effects, "effects", "Effects and interactions"),
            (Section::Survival, "survival", "Share of runs above a value"),
            (Section::Sensitivity, "sensitivity", "Sensitivity"),
        ];
        for (section, id, title) in fixed {
            let body = self.section(section)?;
            let body = match section {
                _ if body.0.is_empty() => continue,
                Section::Claims => html! {
                    p.lead {
                        "Of " (grouped(self.model.claims.len() as u64)) ": "
                        (tally(&self.model.claims)) "."
                    }
                    (body)
                },
                Section::Metrics => html! { (body) (self.meanings()) },
                _ => body,
            };
            chapters.push(Chapter { id: id.into(), title: title.into(), body });
        }
        for (place, view) in self.model.views.iter().enumerate() {
            let body = self.section(Section::Curves(place))?;
            let body = match body.0.is_empty() {
                true => html! { p { "No run has a value of " code { (view.view.y) } " yet." } },
                false => body,
            };
            chapters.push(Chapter {
                id: format!("curves-{}-{}", view.view.table, view.view.y),
                title: format!("Curves: {}", view.view.y_label),
                body,
            });
        }
        for (place, confusions) in self.model.confusions.iter().enumerate() {
            let body = self.section(Section::Confusion(place))?;
            if !body.0.is_empty() {
                let view = confusions.view;
                chapters.push(Chapter {
                    id: format!("confusion-{}", view.table),
                    title: format!("Confusion: {}", view.share_label),
                    body,
                });
            }
        }
        chapters.push(Chapter {
            id: "runs".into(),
            title: "What was run".into(),
            body: self.runs()?,
        });
        Ok(chapters)
    }

    /// The figures of a section, and below them its tables; a table of estimates without a figure
    /// says by itself that there is nothing yet.
    fn section(&self, section: Section) -> Part {
        let mut parts = Vec::new();
        let several = self.figures.iter().filter(|figure| figure.section == section).count() > 1;
        for (place, figure) in self.figures.iter().enumerate() {
            if figure.section == section {
                if several {
                    parts.push(html! { h3 { (figure.title) } });
                }
                parts.push(self.figure(place + 1, figure)?);
            }
        }
        for (place, table) in self.tables.iter().enumerate() {
            if table.section == section {
                parts.push(self.table(place + 1, table)?);
            }
        }
        Ok(html! { @for part in &parts { (part) } })
    }

    fn head(&self, chapters: &[Chapter]) -> Markup {
        let (file, model) = (&self.input.plan.file, self.model);
        let missing = model.planned - model.stored;
        html! {
            header.wrap {
                h1 { (file.title) }
                @for paragraph in file.description.split("\n\n").filter(|p| !p.trim().is_empty()) {
                    p.lead { (paragraph.trim()) }
                }
                (self.glance())
                @if missing > 0 {
                    p.warning {
                        "The study is not complete: " (plural(missing, "run")) " of its plan "
                        @if missing == 1 { "is" } @else { "are" }
                        " not stored. Every number below is of the runs that are."
                    }
                }
                nav aria-label="Contents" {
                    ul {
                        @for chapter in chapters {
                            li { a href={ "#" (chapter.id) } { (chapter.title) } }
                        }
                    }
                }
            }
        }
    }

    /// The study in a few numbers.
    fn glance(&self) -> Markup {
        let model = self.model;
        let missing = model.planned - model.stored;
        let claims = Verdict::ALL.map(|verdict| {
            (verdict, model.claims.iter().filter(|row| row.verdict == verdict).count())
        });
        let fact = |name: &str| {
            let mut values: Vec<&str> = self
                .input
                .facts
                .iter()
                .filter(|(fact, _)| fact == name || fact.starts_with(&format!("{name} (")))
                .map(|(_, value)| value.as_str())
                .collect();
            values.sort_unstable();
            values.dedup();
            values.join("; ")
        };
        // The whole hash stands below.
        let commit = fact("Commit");
        let hash = commit.chars().take_while(char::is_ascii_hexdigit).count();
        let commit = match hash {
            40.. => format!("{}{}", &commit[..12], &commit[hash..]),
            _ => commit,
        };
        let written = [("Device", fact("Device")), ("Commit", commit)];
        html! {
            dl.stats {
                @for (verdict, count) in claims {
                    @if count > 0 {
                        div {
                            dt { "Claims " (verdict.name()) }
                            dd class={ "verdict " (figure::verdict_class(verdict)) } {
                                span aria-hidden="true" { (symbol(verdict)) " " }
                                (count) small { " of " (model.claims.len()) }
                            }
                        }
                    }
                }
                div { dt { "Arms" } dd { (grouped(model.arms.len() as u64)) } }
                div { dt { (capitalised(model.unit.many)) " per arm" } dd { (grouped(model.replicates as u64)) } }
                div { dt { "Runs stored" } dd {
                    (grouped(model.stored as u64))
                    @if missing > 0 { small { " of " (grouped(model.planned as u64)) } }
                } }
                div { dt { "Runs diverged" } dd { (grouped(model.diverged.len() as u64)) } }
                @for (name, value) in &written {
                    @if !value.is_empty() { div.text { dt { (name) } dd { (value) } } }
                }
            }
        }
    }

    fn meanings(&self) -> Markup {
        html! {
            h3 { "What the metrics are" }
            dl.facts {
                @for metric in &self.input.metrics {
                    dt { code { (breakable(metric.name)) } }
                    dd {
                        (prose(&capitalised(metric.meaning.trim_end_matches('.')))) "."
                        @if !metric.unit.is_empty() { " Unit: " (metric.unit) "." }
                    }
                }
            }
        }
    }

    fn runs(&self) -> Part {
        let (input, model) = (self.input, self.model);
        let mut facts = input.facts.clone();
        facts.push((
            "Runs".into(),
            format!(
                "{} stored of {} planned ({}, {})",
                grouped(model.stored as u64),
                grouped(model.planned as u64),
                plural(model.arms.len(), "arm"),
                plural(model.replicates, "replicate"),
            ),
        ));
        facts.push(("Runs diverged".into(), grouped(model.diverged.len() as u64)));
        let section = self.section(Section::Runs)?;
        Ok(html! {
            dl.facts { @for (name, value) in &facts { dt { (name) } dd { (value) } } }
            (section)
            details {
                summary { "The study file" }
                pre tabindex="0" aria-label="Study file" { code { (input.plan.file.text) } }
            }
        })
    }
}

/// Prose in which backticks mark code.
fn prose(text: &str) -> Markup {
    html! {
        @for (place, part) in text.split('`').enumerate() {
            @if place % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// A command, whose options are not broken.
fn command_line(text: &str) -> Markup {
    html! {
        code {
            @for (place, word) in text.split(' ').enumerate() {
                @if place > 0 { " " }
                @if word.starts_with("--") { span.word { (word) } } @else { (word) }
            }
        }
    }
}

/// Text whose long names may be broken after their joints.
fn breakable(text: &str) -> Markup {
    html! {
        @for word in text.split_inclusive(' ') {
            @if word.len() < 14 {
                (word)
            } @else {
                @for part in word.split_inclusive(['_', ',', '=']) {
                    (part) @if part.ends_with(['_', ',', '=']) { wbr; }
                }
            }
        }
    }
}
