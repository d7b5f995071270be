//! The report as one HTML file.

mod claims;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use polars::prelude::DataFrame;

use super::figure::{Axis, Ink, Line, Panel, Strip, curve_axes, panel, strip, strip_labels};
use super::model::{ArmRow, Curve, Estimate, Model, View};
use super::numbers::{decimals, fixed, grouped, plural, signed};
use super::{ReportError, ReportInput, csv};
use analysis::Bootstrap;

const STYLE: &str = include_str!("style.css");
const SORT: &str = include_str!("sort.js");

/// Arms that get a panel of their own at most; the tables have all of them.
const MOST_PANELS: usize = 64;

type Part = Result<Markup, ReportError>;

/// Renders the page.
pub(super) fn page(input: &ReportInput<'_>, model: &Model) -> Result<String, ReportError> {
    Page { input, model, figures: 0, tables: 0 }.render()
}

struct Page<'a> {
    input: &'a ReportInput<'a>,
    model: &'a Model,
    /// Figures and tables so far, for their numbers.
    figures: usize,
    tables: usize,
}

impl Page<'_> {
    fn render(mut self) -> Result<String, ReportError> {
        let file = &self.input.plan.file;
        let headline = self.input.metrics.first().map(|metric| metric.name);
        let claims = if self.model.claims.is_empty() { None } else { Some(self.claims()?) };
        let effects = if self.model.effects.is_empty() || headline.is_none() {
            None
        } else {
            Some(self.effects()?)
        };
        let mut curves = Vec::new();
        for view in &self.model.views {
            curves.push(self.curves(view)?);
        }
        let metrics = if headline.is_some() { Some(self.metrics()?) } else { None };
        let runs = self.runs()?;
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
                    (self.head())
                    main #main .wrap {
                        @if let Some(claims) = &claims { (claims) }
                        @if let Some(effects) = &effects { (effects) }
                        @for curves in &curves { (curves) }
                        @if let Some(metrics) = &metrics { (metrics) }
                        (runs)
                    }
                    footer.wrap {
                        "Made by ceteris " (env!("CARGO_PKG_VERSION")) " with "
                        code { (self.input.command) } "."
                    }
                    script { (PreEscaped(SORT)) }
                }
            }
        };
        Ok(page.into_string())
    }

    fn head(&self) -> Markup {
        let (file, model) = (&self.input.plan.file, self.model);
        let missing = model.planned - model.stored;
        html! {
            header.wrap {
                h1 { (file.title) }
                @for paragraph in file.description.split("\n\n").filter(|p| !p.trim().is_empty()) {
                    p.lead { (paragraph.trim()) }
                }
                dl.stats {
                    div { dt { "Arms" } dd { (grouped(model.arms.len() as u64)) } }
                    div { dt { "Seeds per arm" } dd { (grouped(model.replicates as u64)) } }
                    div { dt { "Runs stored" } dd {
                        (grouped(model.stored as u64))
                        @if missing > 0 { " of " (grouped(model.planned as u64)) }
                    } }
                    div { dt { "Runs diverged" } dd { (grouped(model.diverged.len() as u64)) } }
                }
                @if missing > 0 {
                    p.warning {
                        "The study is not complete: " (plural(missing, "run")) " of its plan "
                        @if missing == 1 { "is" } @else { "are" }
                        " not stored. Every number below is of the runs that are."
                    }
                }
                nav aria-label="Sections" {
                    ul {
                        @if !model.claims.is_empty() { li { a href="#claims" { "Claims" } } }
                        @if !model.effects.is_empty() && !self.input.metrics.is_empty() {
                            li { a href="#effects" { "Effects" } }
                        }
                        @for view in &model.views {
                            li {
                                a href={ "#" (curve_id(view)) } {
                                    "Curves: " (view.view.y_label)
                                }
                            }
                        }
                        @if !self.input.metrics.is_empty() {
                            li { a href="#metrics" { "Final metrics" } }
                        }
                        li { a href="#runs" { "What was run" } }
                    }
                }
            }
        }
    }

    fn effects(&mut self) -> Part {
        let (input, model) = (self.input, self.model);
        let Some(headline) = input.metrics.first() else { return Ok(html! {}) };
        let estimates: Vec<Estimate> =
            model.effects.iter().map(|effect| effect.metrics[0]).collect();
        let figure =
            match Axis::around(estimates.iter().flat_map(Estimate::numbers).chain([0.0]), 0.05) {
                Some(axis) if estimates.iter().any(|estimate| estimate.value.is_some()) => {
                    let decimals = decimals(estimates.iter().flat_map(Estimate::numbers));
                    let mut rows = Vec::new();
                    let mut said = Vec::new();
                    for (effect, estimate) in model.effects.iter().zip(&estimates) {
                        let row = Strip {
                            axis,
                            estimate: *estimate,
                            dots: &[],
                            zero: true,
                            ink: Ink::Series(0),
                        };
                        let number = shown(estimate, |number| signed(number, decimals));
                        said.push(format!(
                            "{} from {} to {}: {}",
                            effect.factor, effect.from, effect.to, number.said
                        ));
                        rows.push(html! {
                            div {
                                span.name {
                                    b { (breakable(&effect.factor)) } ": " (breakable(&effect.from))
                                    " → " (breakable(&effect.to))
                                }
                                span.plot { (PreEscaped(strip(&row)?)) }
                                span.number { (number.value) " " small { (number.interval) } }
                            }
                        });
                    }
                    let label =
                        format!("Effect of each factor on {}. {}.", headline.name, said.join(". "));
                    let drawn = html! {
                        div.strips role="img" aria-label=(label) {
                            @for row in &rows { (row) }
                            (strip_axis(axis))
                        }
                    };
                    let runs = self.runs_with_headline();
                    self.figure(
                    drawn,
                    html! {
                        "Effect of each factor on " code { (headline.name) }
                        ": the mean of all runs at the second level minus the mean of all runs at "
                        "the first, pooled over every other factor; the upright line marks no "
                        "effect. " (runs)
                        @match self.interval(input.options.tables()) {
                            Some(interval) => {
                                ". Bar: " (interval) "; every arm contributes the same resampled "
                                "replicates, because arms share their seeds' random draws. The "
                                "intervals are not simultaneous, and with few replicates a "
                                "percentile bootstrap covers less than its level says."
                            }
                            None => { (ONE_REPLICATE) }
                        }
                    },
                    html! {},
                )
                }
                _ => html! { p { "No run has a value of " code { (headline.name) } " yet." } },
            };
        let table = self.effects_table()?;
        Ok(html! {
            section #effects aria-labelledby="effects-title" {
                h2 #effects-title { "Effect of each factor" }
                (figure)
                (table)
            }
        })
    }

    fn effects_table(&mut self) -> Part {
        let (input, model) = (self.input, self.model);
        let decimals: Vec<usize> = (0..input.metrics.len())
            .map(|place| decimals(model.effects.iter().flat_map(|e| e.metrics[place].numbers())))
            .collect();
        let caption = html! {
            "Effect of each factor on every metric: difference of pooled means"
            (with_interval(self.interval(input.options.tables())))
        };
        let head = html! {
            th scope="col" { "Factor" } th scope="col" { "From" } th scope="col" { "To" }
            th.n scope="col" { "Runs from" } th.n scope="col" { "Runs to" }
            @for metric in &input.metrics { th.n scope="col" { (breakable(metric.name)) } }
        };
        let rows = html! {
            @for effect in &model.effects {
                tr {
                    th scope="row" { (breakable(&effect.factor)) }
                    td { (breakable(&effect.from)) } td { (breakable(&effect.to)) }
                    td.n { (effect.n_from) }
                    td.n { (effect.metrics.first().map_or(0, |estimate| estimate.n)) }
                    @for (estimate, decimals) in effect.metrics.iter().zip(&decimals) {
                        (cell(estimate, |number| signed(number, *decimals)))
                    }
                }
            }
        };
        self.table(head, rows, caption, &[("effects", &model.effects_table)])
    }

    fn curves(&mut self, view: &View) -> Part {
        let drawn = view.arms.iter().flat_map(|curve| &curve.points);
        let any = drawn.filter_map(|point| point.estimate.value).next().is_some();
        let axes =
            if any {
                // The axes follow the estimates; single runs are cut at their edge.
                curve_axes(view.arms.iter().chain(
                    view.factors.iter().flat_map(|(_, levels)| levels.iter().map(|l| &l.curve)),
                ))
            } else {
                None
            };
        let figures = match axes {
            Some(axes) => html! {
                @if !view.factors.is_empty() { (self.factor_curves(view)?) }
                @else if (2..=Ink::SERIES).contains(&view.arms.len()) {
                    (self.overlaid_curves(view, axes)?)
                }
                (self.arm_curves(view, axes)?)
            },
            None => html! { p { "No run has a value of " code { (view.view.y) } " yet." } },
        };
        let id = curve_id(view);
        Ok(html! {
            section #(id) aria-labelledby={ (id) "-title" } {
                h2 #{ (id) "-title" } { "Curves: " (view.view.y_label) }
                (figures)
            }
        })
    }

    fn factor_curves(&mut self, view: &View) -> Part {
        let levels = view.factors.iter().flat_map(|(_, levels)| levels.iter().map(|l| &l.curve));
        let Some((x, y)) = curve_axes(levels) else { return Ok(html! {}) };
        let mut panels = Vec::new();
        for (factor, levels) in &view.factors {
            let lines = levels.iter().enumerate().map(|(place, level)| Line {
                curve: &level.curve,
                ink: Ink::Series(place),
                band: true,
            });
            let names: Vec<(&str, &Curve)> =
                levels.iter().map(|level| (level.level.as_str(), &level.curve)).collect();
            let drawn = panel(&Panel {
                width: 350,
                height: 225,
                x,
                y,
                runs: &[],
                lines: lines.collect(),
                label: said_of_curves(view, &format!("by level of {factor}"), &names),
            })?;
            panels.push(html! {
                div.panel {
                    h4 { (breakable(factor)) }
                    (legend(&names))
                    (framed(view, &drawn))
                }
            });
        }
        Ok(self.figure(
            html! { div.panels { @for panel in &panels { (panel) } } },
            html! {
                (capitalised(view.view.y_label)) " against " (view.view.x_label)
                ", one panel a factor, one line a level, pooled over every other factor. "
                (self.curve_method(view))
            },
            self.downloads(&[(&format!("{}-by-factor", view.view.y), &view.factors_table)])?,
        ))
    }

    fn overlaid_curves(&mut self, view: &View, (x, y): (Axis, Axis)) -> Part {
        let lines = view.arms.iter().enumerate().map(|(place, curve)| Line {
            curve,
            ink: Ink::Series(place),
            band: true,
        });
        let names: Vec<(&str, &Curve)> = self
            .model
            .arms
            .iter()
            .zip(&view.arms)
            .map(|(arm, curve)| (arm.name.as_str(), curve))
            .collect();
        let drawn = panel(&Panel {
            width: 440,
            height: 270,
            x,
            y,
            runs: &[],
            lines: lines.collect(),
            label: said_of_curves(view, "by arm", &names),
        })?;
        Ok(self.figure(
            html! {
                div.panels.single { div.panel { (legend(&names)) (framed(view, &drawn)) } }
            },
            html! {
                (capitalised(view.view.y_label)) " against " (view.view.x_label)
                ", one line an arm. " (self.curve_method(view))
            },
            html! {},
        ))
    }

    fn arm_curves(&mut self, view: &View, (x, y): (Axis, Axis)) -> Part {
        let single = view.arms.len() == 1;
        // The one run of an arm is its curve.
        let singles_shown = view.runs.iter().any(|runs| runs.len() > 1);
        let size = if single { (440, 270) } else { (300, 180) };
        let mut panels = Vec::new();
        let arms = self.model.arms.iter().zip(view.arms.iter().zip(&view.runs));
        for (number, (arm, (curve, runs))) in arms.enumerate().take(MOST_PANELS) {
            let mut lines = vec![Line { curve, ink: Ink::Series(0), band: true }];
            if !single {
                lines.insert(0, Line { curve: &view.pooled, ink: Ink::Reference, band: false });
            }
            let name = arm.label();
            let drawn = panel(&Panel {
                width: size.0,
                height: size.1,
                x,
                y,
                runs,
                lines,
                label: said_of_curves(
                    view,
                    if single { "of the study" } else { "of one arm" },
                    &[(&name, curve)],
                ),
            })?;
            panels.push(html! {
                div.panel {
                    @if single {
                        (framed(view, &drawn))
                    } @else {
                        h4 { b { (number + 1) ". " } (breakable(&name)) }
                        (PreEscaped(&drawn))
                    }
                }
            });
        }
        let hidden = self.model.arms.len().saturating_sub(MOST_PANELS);
        let estimator = self.input.options.estimator;
        let drawn = html! {
            @if !single {
                p.axis-name {
                    "Vertical: " (view.view.y_label) ". Horizontal: " (view.view.x_label) "."
                }
            }
            ul.legend {
                li { span.swatch.s0 aria-hidden="true" {} (estimator.words()) }
                @if singles_shown { li { span.swatch.thin aria-hidden="true" {} "single run" } }
                @if !single { li { span.swatch.reference aria-hidden="true" {} "all arms pooled" } }
            }
            div class={ "panels " (if single { "single" } else { "small" }) } {
                @for panel in &panels { (panel) }
            }
        };
        Ok(self.figure(
            drawn,
            html! {
                (capitalised(view.view.y_label)) " against " (view.view.x_label)
                @if single { ". " } @else { ", one panel an arm, all with the same axes. " }
                @if singles_shown { "Thin lines are single runs, cut at the edge of the axes. " }
                @if hidden > 0 {
                    "The first " (MOST_PANELS) " of " (self.model.arms.len())
                    " arms are drawn; the download has all. "
                }
                (self.curve_method(view))
            },
            self.downloads(&[(&format!("{}-by-arm", view.view.y), &view.arms_table)])?,
        ))
    }

    /// Method, numbers of runs and level, as a caption of curves states them.
    fn curve_method(&self, view: &View) -> Markup {
        let diverged = self.model.diverged.len();
        html! {
            "Line: " (self.input.options.estimator.words())
            @match self.interval(self.input.options.curves()) {
                Some(interval) => { "; band: its " (interval) " at each point. " }
                None => { (ONE_REPLICATE) " " }
            }
            (plural(view.pooled.runs, "run"))
            @if diverged > 0 {
                ", of which " (diverged) " diverged and "
                @if diverged == 1 { "counts" } @else { "count" } " until then"
            }
            ". Where a run has no value, the line between its neighbouring values is read."
        }
    }

    fn metrics(&mut self) -> Part {
        let table = self.metrics_table()?;
        let seeds = self.seeds()?;
        let input = self.input;
        Ok(html! {
            section #metrics aria-labelledby="metrics-title" {
                h2 #metrics-title { "Final metrics" }
                (table)
                (seeds)
                h3 { "What the metrics are" }
                dl.facts {
                    @for metric in &input.metrics {
                        dt { code { (breakable(metric.name)) } }
                        dd {
                            (prose(&capitalised(metric.meaning.trim_end_matches('.')))) "."
                            @if !metric.unit.is_empty() { " Unit: " (metric.unit) "." }
                        }
                    }
                }
            }
        })
    }

    fn metrics_table(&mut self) -> Part {
        let (input, model) = (self.input, self.model);
        let by_levels = model.arms.iter().all(|arm| arm.levels.is_some());
        let decimals: Vec<usize> = (0..input.metrics.len())
            .map(|place| decimals(model.arms.iter().flat_map(|arm| arm.metrics[place].numbers())))
            .collect();
        let caption = html! {
            (capitalised(input.options.estimator.words())) " of every metric over the runs of each "
            "arm" (with_interval(self.interval(input.options.tables())))
            " n: runs with a value of the first metric"
            @if model.diverged_with_value > 0 {
                "; a diverged run counts with what it had by then"
            }
            "."
        };
        let head = html! {
            th.n scope="col" { "Arm" }
            @if by_levels {
                @for factor in &model.factors { th scope="col" { (breakable(factor)) } }
            } @else {
                th scope="col" { "Name" }
            }
            th.n scope="col" { "n" }
            th.n scope="col" { "Diverged" }
            @for metric in &input.metrics { th.n scope="col" { (breakable(metric.name)) } }
        };
        let rows = html! {
            @for (number, arm) in model.arms.iter().enumerate() {
                tr {
                    th.n scope="row" { (number + 1) }
                    @match &arm.levels {
                        Some(levels) if by_levels => {
                            @for level in levels { td { (breakable(level)) } }
                        }
                        _ => td { (breakable(&arm.label())) }
                    }
                    td.n { (arm.metrics.first().map_or(0, |estimate| estimate.n)) }
                    td.n { (arm.diverged) }
                    @for (estimate, decimals) in arm.metrics.iter().zip(&decimals) {
                        (cell(estimate, |number| fixed(number, *decimals)))
                    }
                }
            }
        };
        self.table(
            head,
            rows,
            caption,
            &[("metrics", &model.metrics_table), ("runs", &model.runs_table)],
        )
    }

    /// Every run as a dot.
    fn seeds(&mut self) -> Part {
        let (input, model) = (self.input, self.model);
        let Some(headline) = input.metrics.first() else { return Ok(html! {}) };
        let numbers = model
            .arms
            .iter()
            .flat_map(|arm| arm.seeds.iter().map(|seed| seed.1).chain(arm.metrics[0].numbers()));
        let Some(axis) = Axis::around(numbers, 0.02) else { return Ok(html! {}) };
        let last = model.replicates.saturating_sub(1).max(1);
        let decimals = decimals(model.arms.iter().flat_map(|arm| arm.metrics[0].numbers()));
        let mut rows = Vec::new();
        for (number, arm) in model.arms.iter().enumerate() {
            // Both are small.
            #[allow(clippy::cast_precision_loss)]
            let height = |place: usize| {
                if model.replicates > 1 { 1.0 - place as f64 / last as f64 } else { 0.5 }
            };
            let dots: Vec<(f64, f64)> =
                arm.seeds.iter().map(|&(place, value)| (value, height(place))).collect();
            let row = Strip {
                axis,
                estimate: arm.metrics[0],
                dots: &dots,
                zero: false,
                ink: Ink::Series(0),
            };
            let value = arm.metrics[0].value.map(|value| minus(fixed(value, decimals)));
            rows.push(html! {
                div {
                    span.name {
                        @if model.arms.len() > 1 { (number + 1) ". " }
                        (breakable(&arm.label()))
                    }
                    span.plot { (PreEscaped(strip(&row)?)) }
                    span.number {
                        (value.unwrap_or_else(|| "no value".into()))
                        @if arm.diverged > 0 { br; small { (arm.diverged) " diverged" } }
                    }
                }
            });
        }
        let label = format!(
            "{} of every run, one row an arm. {}.",
            headline.name,
            model
                .arms
                .iter()
                .map(|arm| said_of_seeds(arm, decimals))
                .collect::<Vec<_>>()
                .join(". ")
        );
        let drawn = html! {
            div.strips role="img" aria-label=(label) {
                @for row in &rows { (row) }
                (strip_axis(axis))
            }
        };
        let runs = self.runs_with_headline();
        Ok(self.figure(
            drawn,
            html! {
                code { (headline.name) } " of every run, one dot a run; the height of a dot within "
                "its row is its seed, the same in every row. Upright mark and number: "
                (input.options.estimator.words())
                @match self.interval(input.options.tables()) {
                    Some(interval) => { "; shade: its " (interval) ". " }
                    None => { (ONE_REPLICATE) " " }
                }
                (runs) "."
            },
            self.downloads(&[("runs", &model.runs_table)])?,
        ))
    }

    fn runs(&mut self) -> Part {
        let (input, model) = (self.input, self.model);
        let file = &input.plan.file;
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
        let diverged = if model.diverged.is_empty() {
            html! {}
        } else {
            let head = html! {
                th scope="col" { "Run" } th.n scope="col" { "Arm" } th scope="col" { "Name" }
                th.n scope="col" { "Replicate" } th.n scope="col" { "Iteration" }
            };
            let rows = html! {
                @for run in &model.diverged {
                    tr {
                        th scope="row" { code { (run.id) } }
                        td.n { (run.arm + 1) }
                        td { (breakable(&model.arms[run.arm].label())) }
                        td.n { (run.replicate) }
                        td.n { @if let Some(iteration) = run.iteration { (iteration) } }
                    }
                }
            };
            let caption = html! {
                "Runs in which a number became non-finite, with the iteration (counted from 0) in "
                "which it did."
            };
            self.table(head, rows, caption, &[])?
        };
        Ok(html! {
            section #runs aria-labelledby="runs-title" {
                h2 #runs-title { "What was run" }
                dl.facts { @for (name, value) in &facts { dt { (name) } dd { (value) } } }
                (diverged)
                details {
                    summary { "The study file" }
                    pre tabindex="0" aria-label="Study file" { code { (file.text) } }
                }
            }
        })
    }

    /// A figure with its caption; every caption ends with the command.
    fn figure(&mut self, drawn: Markup, caption: Markup, downloads: Markup) -> Markup {
        self.figures += 1;
        html! {
            figure {
                (drawn)
                figcaption {
                    b { "Figure " (self.figures) ". " } (caption) " Made by "
                    code { (self.input.command) } "."
                }
                (downloads)
            }
        }
    }

    fn table(
        &mut self,
        head: Markup,
        rows: Markup,
        caption: Markup,
        downloads: &[(&str, &DataFrame)],
    ) -> Part {
        self.tables += 1;
        let name = format!("Table {}", self.tables);
        Ok(html! {
            // Scrolls sideways where it is too wide, also by keyboard.
            div.scroll tabindex="0" role="region" aria-label=(name) {
                table.sortable {
                    caption {
                        b { (name) ". " } (caption) " Made by " code { (self.input.command) } "."
                    }
                    thead { tr { (head) } }
                    tbody { (rows) }
                }
            }
            (self.downloads(downloads)?)
        })
    }

    fn downloads(&self, tables: &[(&str, &DataFrame)]) -> Part {
        let mut links = Vec::new();
        for (name, table) in tables {
            if table.width() == 0 {
                continue;
            }
            let file = format!("{}-{name}.csv", self.input.plan.file.name);
            links.push((file, csv::link(table)?));
        }
        Ok(html! {
            @if !links.is_empty() {
                p.downloads {
                    "Download: "
                    @for (place, (file, link)) in links.iter().enumerate() {
                        @if place > 0 { ", " }
                        a href=(link) download=(file) { (file) }
                    }
                }
            }
        })
    }

    /// What the intervals are; `None` where there can be none.
    fn interval(&self, bootstrap: Bootstrap) -> Option<String> {
        (self.model.replicates > 1).then(|| {
            format!(
                "{} interval ({}, {} resamples)",
                percent(bootstrap.level),
                bootstrap.method.words(),
                grouped(bootstrap.resamples as u64)
            )
        })
    }

    /// How many runs the headline is made of, and what diverged runs have to do with it.
    fn runs_with_headline(&self) -> String {
        let runs: usize = self.model.arms.iter().map(|arm| arm.seeds.len()).sum();
        let runs = plural(runs, "run");
        match (self.model.diverged.len(), self.model.diverged_with_value) {
            (0, _) => runs,
            (_, 0) => format!("{runs} with a value; diverged runs have none"),
            (_, 1) => format!("{runs}, of which 1 diverged and counts with what it had by then"),
            (_, counted) => {
                format!("{runs}, of which {counted} diverged and count with what they had by then")
            }
        }
    }
}

/// Why there is no interval, after the end of what was said before.
const ONE_REPLICATE: &str = ". There is one replicate, so there is no interval.";

fn with_interval(interval: Option<String>) -> String {
    match interval {
        Some(interval) => format!(" with its {interval}."),
        None => ONE_REPLICATE.into(),
    }
}

fn curve_id(view: &View) -> String {
    format!("curves-{}-{}", view.view.table, view.view.y)
}

/// A panel between the names of its axes.
fn framed(view: &View, drawn: &str) -> Markup {
    html! {
        div.axis-name.y aria-hidden="true" { (view.view.y_label) }
        (PreEscaped(drawn))
        div.axis-name.x aria-hidden="true" { (view.view.x_label) }
    }
}

/// The axis below the rows of a dot plot; as text of the page it keeps its size on any screen.
fn strip_axis(axis: Axis) -> Markup {
    html! {
        span.end {
            @for (place, label) in strip_labels(axis) {
                span style={ "left:" (format!("{:.2}%", place * 100.0)) } { (label) }
            }
        }
    }
}

fn legend(names: &[(&str, &Curve)]) -> Markup {
    html! {
        ul.legend {
            @for (place, (name, curve)) in names.iter().enumerate() {
                li {
                    span class={ "swatch s" (place % Ink::SERIES) } aria-hidden="true" {}
                    span { (breakable(name)) " (" (plural(curve.runs, "run")) ")" }
                }
            }
        }
    }
}

/// What a screen reader says of a panel: where its curves end.
fn said_of_curves(view: &View, which: &str, curves: &[(&str, &Curve)]) -> String {
    let mut said =
        format!("{} against {}, {which}.", capitalised(view.view.y_label), view.view.x_label);
    let last = |curve: &Curve| curve.points.iter().rev().find_map(|point| point.estimate.value);
    let decimals = decimals(curves.iter().filter_map(|(_, curve)| last(curve)));
    for (name, curve) in curves {
        match last(curve) {
            Some(value) => said.push_str(&format!(" {name} ends at {}.", fixed(value, decimals))),
            None => said.push_str(&format!(" {name} has no value.")),
        }
    }
    said
}

fn said_of_seeds(arm: &ArmRow, decimals: usize) -> String {
    let values: Vec<String> = arm.seeds.iter().map(|&(_, value)| fixed(value, decimals)).collect();
    if values.is_empty() {
        format!("{}: no value", arm.name)
    } else {
        format!("{}: {}", arm.name, values.join(", "))
    }
}

/// An estimate in words and numbers.
struct Shown {
    value: String,
    interval: String,
    said: String,
}

fn shown(estimate: &Estimate, show: impl Fn(f64) -> String) -> Shown {
    let Some(value) = estimate.value.map(&show) else {
        return Shown {
            value: "no value".into(),
            interval: String::new(),
            said: "no value".into(),
        };
    };
    match (estimate.low.map(&show), estimate.high.map(&show)) {
        (Some(low), Some(high)) => Shown {
            said: format!("{value}, interval {low} to {high}"),
            interval: minus(format!("[{low}, {high}]")),
            value: minus(value),
        },
        _ => Shown { said: value.clone(), interval: String::new(), value: minus(value) },
    }
}

/// A cell of a table with an estimate.
fn cell(estimate: &Estimate, show: impl Fn(f64) -> String) -> Markup {
    let Some(value) = estimate.value else {
        return html! { td.n data-sort="" { "–" } };
    };
    let shown = shown(estimate, show);
    html! {
        td.n data-sort=(value) {
            (shown.value)
            @if !shown.interval.is_empty() { span.interval { (shown.interval) } }
        }
    }
}

/// The sign that belongs to figures instead of the hyphen.
fn minus(number: String) -> String {
    number.replace('-', "\u{2212}")
}

fn percent(level: f64) -> String {
    let text = format!("{:.4}", level * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
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

/// A long name that may be broken after its joints; one with spaces breaks there.
fn breakable(name: &str) -> Markup {
    if name.len() < 14 || name.contains(' ') {
        return html! { (name) };
    }
    html! {
        @for part in name.split_inclusive(['_', ',']) {
            (part) @if part.ends_with(['_', ',']) { wbr; }
        }
    }
}
