//! The tables of a report, and how they read in Markdown and LaTeX.

use polars::prelude::DataFrame;

use super::ReportInput;
use super::claims::ClaimRow;
use super::figure::{
    Maker, ONE_REPLICATE, Section, Shown, capitalised, minus, named, shown, with_interval,
};
use super::model::{Effect, Estimate, Model};
use super::numbers::{decimals, fixed, grouped, percent, signed};
use crate::studies::ReplicateUnit;
use analysis::{Interval, Verdict};

/// A table.
pub(super) struct Table<'a> {
    /// The name of its files.
    pub(super) id: String,
    pub(super) section: Section,
    /// Full sentences; backticks mark code.
    pub(super) caption: String,
    pub(super) heads: Vec<Head>,
    /// As many cells a row as heads; the first one names the row.
    pub(super) rows: Vec<Vec<Cell>>,
    /// The numbers behind it, by the name of their file.
    pub(super) data: Vec<(String, &'a DataFrame)>,
}

/// The head of a column.
pub(super) struct Head {
    pub(super) text: String,
    pub(super) number: bool,
}

/// A cell.
#[derive(Default)]
pub(super) struct Cell {
    pub(super) text: String,
    /// Shown smaller; empty where there is none.
    pub(super) interval: String,
    /// More lines, shown smaller; backticks mark code.
    pub(super) small: Vec<String>,
    /// What it is sorted by; its text where there is none.
    pub(super) sort: Option<String>,
    /// Whether it holds prose, which needs width.
    pub(super) long: bool,
    pub(super) verdict: Option<Verdict>,
    /// Whether it is no word.
    pub(super) code: bool,
}

impl Cell {
    fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    fn number(number: u64) -> Self {
        Self { text: grouped(number), sort: Some(number.to_string()), ..Self::default() }
    }

    fn missing() -> Self {
        Self { text: "\u{2013}".into(), sort: Some(String::new()), ..Self::default() }
    }

    fn estimate(estimate: &Estimate, show: impl Fn(f64) -> String) -> Self {
        let Some(number) = estimate.value else { return Self::missing() };
        let Shown { value, interval, .. } = shown(estimate, show);
        Self { text: value, interval, sort: Some(number.to_string()), ..Self::default() }
    }
}

fn head(text: &str) -> Head {
    Head { text: text.into(), number: false }
}

fn number(text: &str) -> Head {
    Head { text: text.into(), number: true }
}

/// All tables, in the order of a report.
pub(super) fn all<'a>(input: &'a ReportInput<'_>, model: &'a Model) -> Vec<Table<'a>> {
    let maker = Maker { input, model };
    let tables = [
        maker.claims_table(),
        maker.metrics_table(),
        maker.effects_table(),
        maker.interactions_table(),
        maker.selection_table(),
        maker.diverged_table(),
    ];
    tables.into_iter().flatten().collect()
}

impl<'a> Maker<'a, '_> {
    fn claims_table(&self) -> Option<Table<'a>> {
        let model = self.model;
        if model.claims.is_empty() {
            return None;
        }
        let seeds = capitalised(model.unit.many);
        let heads = vec![
            number("Claim"),
            head("Verdict"),
            head("Statement"),
            number("Published"),
            number("Ours"),
            number("p"),
            number(&seeds),
            number("Power"),
            number(&format!("{seeds} still needed")),
            head("Reproduced if"),
            head("Estimate"),
        ];
        let rows = model.claims.iter().enumerate().map(|(place, row)| claim(place, row)).collect();
        Some(Table {
            id: "claims".into(),
            section: Section::Claims,
            caption: claims_caption(model.unit),
            heads,
            rows,
            data: vec![("claims".into(), &model.claims_table)],
        })
    }

    fn metrics_table(&self) -> Option<Table<'a>> {
        let (input, model) = (self.input, self.model);
        input.metrics.first()?;
        let by_levels = model.arms.iter().all(|arm| arm.levels.is_some());
        let decimals: Vec<usize> = (0..input.metrics.len())
            .map(|place| decimals(model.arms.iter().flat_map(|arm| arm.metrics[place].numbers())))
            .collect();
        let mut heads = vec![number("Arm")];
        if by_levels {
            heads.extend(model.factors.iter().map(|factor| head(factor)));
        } else {
            heads.push(head("Name"));
        }
        heads.extend([number("n"), number("Diverged")]);
        heads.extend(input.metrics.iter().map(|metric| number(metric.name)));
        let mut rows = Vec::new();
        for (place, arm) in model.arms.iter().enumerate() {
            let mut row = vec![Cell::number(place as u64 + 1)];
            match &arm.levels {
                Some(levels) if by_levels => row.extend(levels.iter().map(Cell::text)),
                _ => row.push(Cell::text(arm.label())),
            }
            row.push(Cell::number(arm.metrics.first().map_or(0, |estimate| estimate.n)));
            row.push(Cell::number(arm.diverged as u64));
            for (estimate, decimals) in arm.metrics.iter().zip(&decimals) {
                row.push(Cell::estimate(estimate, |number| fixed(number, *decimals)));
            }
            rows.push(row);
        }
        let diverged = match model.diverged_with_value {
            0 => "",
            _ => "; a diverged run counts with what it had by then",
        };
        Some(Table {
            id: "metrics".into(),
            section: Section::Metrics,
            caption: format!(
                "{} of every metric over the runs of each arm{} n: runs with a value of the first \
                 metric{diverged}.",
                capitalised(input.options.estimator.words()),
                with_interval(self.interval(input.options.tables())),
            ),
            heads,
            rows,
            data: vec![
                ("metrics".into(), &model.metrics_table),
                ("runs".into(), &model.runs_table),
            ],
        })
    }

    fn effects_table(&self) -> Option<Table<'a>> {
        let effects = &self.model.effects;
        let what = "Effect of each factor on every metric: the mean at a level minus the mean at the \
                    first level, every combination of the other factors weighing the same";
        self.contrasts_table("effects", what, &effects.main, &effects.main_table)
    }

    fn interactions_table(&self) -> Option<Table<'a>> {
        let effects = &self.model.effects;
        let what = "Interaction of every pair of factors on every metric: difference of differences, \
                    every combination of the other factors weighing the same";
        self.contrasts_table(
            "interactions",
            what,
            &effects.interactions,
            &effects.interactions_table,
        )
    }

    fn contrasts_table(
        &self,
        id: &str,
        what: &str,
        effects: &'a [Effect],
        data: &'a DataFrame,
    ) -> Option<Table<'a>> {
        let (input, model) = (self.input, self.model);
        let headline = input.metrics.first()?;
        effects.first()?;
        let decimals: Vec<usize> = (0..input.metrics.len())
            .map(|place| decimals(effects.iter().flat_map(|e| e.metrics[place].numbers())))
            .collect();
        let mut heads = vec![
            head(if id == "effects" { "Factor" } else { "Factors" }),
            head("Step"),
            number("Runs from"),
            number("Runs to"),
            number("p"),
            number("p, Holm"),
        ];
        heads.extend(input.metrics.iter().map(|metric| number(metric.name)));
        let mut rows = Vec::new();
        for effect in effects {
            let (factors, step) = named(&effect.terms);
            let p = |p: Option<f64>| match p {
                Some(p) => Cell { sort: Some(p.to_string()), ..Cell::text(p_value(p)) },
                None => Cell::missing(),
            };
            let mut row = vec![
                Cell::text(factors),
                Cell::text(step),
                Cell::number(effect.n_from),
                Cell::number(effect.metrics.first().map_or(0, |estimate| estimate.n)),
                p(effect.p_value),
                p(effect.p_adjusted),
            ];
            for (estimate, decimals) in effect.metrics.iter().zip(&decimals) {
                row.push(Cell::estimate(estimate, |number| signed(number, *decimals)));
            }
            rows.push(row);
        }
        let interval = match model.replicates {
            0 | 1 => ONE_REPLICATE.into(),
            _ => format!(
                ", with its {} interval ({}). The download has the simultaneous intervals too",
                percent(input.options.level),
                model.effects.method
            ),
        };
        Some(Table {
            id: id.into(),
            section: Section::Effects,
            caption: format!(
                "{what}{interval}. p: of no effect on `{}`, two-sided; Holm: corrected for all {} \
                 effects and interactions.",
                headline.name,
                model.effects.main.len() + model.effects.interactions.len(),
            ),
            heads,
            rows,
            data: vec![(id.into(), data)],
        })
    }

    /// What the tuned factor is worth, with the bias of choosing and estimating by the same seeds.
    fn selection_table(&self) -> Option<Table<'a>> {
        let file = &self.input.plan.file;
        let (tuning, selection) = (file.tuning.as_ref()?, self.model.selection.as_ref()?);
        let decimals =
            decimals(selection.rows.iter().flat_map(|row| row.estimate.numbers().chain(row.naive)));
        let others = file.factors.iter().filter(|factor| factor.name != tuning.factor);
        let mut heads: Vec<Head> = others.map(|factor| head(&factor.name)).collect();
        heads.extend([
            number("Chosen"),
            number("Chosen in"),
            number("n"),
            number(tuning.metric),
            number("Naive estimate"),
            number("Selection bias"),
        ]);
        let rows = selection.rows.iter().map(|row| {
            let plain = |value: Option<f64>, show: fn(f64, usize) -> String| match value {
                Some(value) => Cell {
                    sort: Some(value.to_string()),
                    ..Cell::text(minus(show(value, decimals)))
                },
                None => Cell::missing(),
            };
            let mut cells: Vec<Cell> = row.levels.iter().map(Cell::text).collect();
            cells.push(Cell { sort: Some(row.chosen.clone()), ..Cell::text(&row.chosen) });
            cells.push(match row.share {
                Some(share) => Cell { sort: Some(share.to_string()), ..Cell::text(percent(share)) },
                None => Cell::missing(),
            });
            cells.push(Cell::number(row.estimate.n));
            cells.push(Cell::estimate(&row.estimate, |number| fixed(number, decimals)));
            cells.push(plain(row.naive, fixed));
            cells.push(plain(row.bias, signed));
            cells
        });
        let how = match &selection.note {
            Some(note) => format!("nothing could be chosen: {note}"),
            None => format!(
                "estimate: {}; {} interval: {}. Chosen in: share of the resamples of the {seeds} that \
                 choose. Naive estimate: what the same {seeds} report of their own choice; its excess is \
                 the selection bias",
                selection.estimator,
                percent(self.input.options.level),
                selection.interval,
                seeds = self.model.unit.many,
            ),
        };
        Some(Table {
            id: "selection".into(),
            section: Section::Sensitivity,
            caption: format!(
                "The level of `{}` that every combination of the other factors chooses by the {} of \
                 `{}`, rule `{}` of the study file; {how}.",
                tuning.factor,
                tuning.by.name(),
                tuning.metric,
                tuning.rule.name(),
            ),
            heads,
            rows: rows.collect(),
            data: match selection.note {
                Some(_) => vec![],
                None => vec![("selection".into(), &selection.table)],
            },
        })
    }

    fn diverged_table(&self) -> Option<Table<'a>> {
        let model = self.model;
        if model.diverged.is_empty() {
            return None;
        }
        let row = |run: &super::model::DivergedRun| {
            vec![
                Cell { code: true, ..Cell::text(&run.id) },
                Cell::number(run.arm as u64 + 1),
                Cell::text(model.arms[run.arm].label()),
                Cell::number(run.replicate),
                run.iteration.map_or_else(Cell::missing, Cell::number),
            ]
        };
        Some(Table {
            id: "diverged".into(),
            section: Section::Runs,
            caption: "Runs in which a number became non-finite, with the iteration (counted from \
                      0) in which it did."
                .into(),
            heads: vec![
                head("Run"),
                number("Arm"),
                head("Name"),
                number("Replicate"),
                number("Iteration"),
            ],
            rows: model.diverged.iter().map(row).collect(),
            data: vec![("diverged".into(), &model.diverged_table)],
        })
    }
}

fn claims_caption(unit: ReplicateUnit) -> String {
    let (many, first) = (unit.many, capitalised(unit.many));
    format!(
        "Every claim of the study file, about means over the runs of arms. A claim is reproduced where \
         the whole interval supports it, and not reproduced where the whole interval contradicts it: for \
         a sign, our interval and zero; for equality, the interval of ours minus the published number, \
         to which the published interval adds in quadrature, and the margin. Where nothing is drawn, the \
         number itself stands for the interval. p: one minus the highest level at which the interval \
         would decide, either way. {first}: replicates with a value in every arm of the claim. Power: \
         probability that so many {many} would reproduce the claim, were the published number the truth \
         and our variances too. {first} still needed, an arm: for a sign, until a test of this level has \
         a power of 80% for the published size or, without one, for ours; for equality, until the \
         interval decides if the difference stays as it is. The verdicts are not corrected for their \
         number."
    )
}

fn claim(place: usize, row: &ClaimRow) -> Vec<Cell> {
    let show = |number: f64| row.shown(number);
    let published = row.published();
    let seeds_missing = match row.missing {
        0 => Vec::new(),
        missing => vec![format!("{missing} missing")],
    };
    let mut estimand = Vec::new();
    if let Some(Interval { low, high }) = row.bootstrapped {
        let interval = minus(format!("[{}, {}]", show(low), show(high)));
        estimand.push(format!("percentile bootstrap {interval}"));
    }
    estimand.push(format!("`{}`", row.claim.metric));
    vec![
        Cell::number(place as u64 + 1),
        Cell {
            text: row.verdict.name().into(),
            small: row.note.clone().into_iter().collect(),
            verdict: Some(row.verdict),
            ..Cell::default()
        },
        Cell {
            text: row.claim.statement.clone(),
            small: vec![row.claim.source.clone(), format!("`{}`", row.claim.name)],
            long: true,
            ..Cell::default()
        },
        published.map_or_else(Cell::missing, |published| Cell::estimate(&published, show)),
        Cell::estimate(&row.ours, show),
        match row.p_value {
            Some(p) => Cell { sort: Some(p.to_string()), ..Cell::text(p_value(p)) },
            None => Cell::missing(),
        },
        Cell {
            text: row.seeds(),
            small: seeds_missing,
            sort: Some(row.ours.n.to_string()),
            ..Cell::default()
        },
        match row.power {
            Some(power) => Cell { sort: Some(power.to_string()), ..Cell::text(fixed(power, 2)) },
            None => Cell::missing(),
        },
        row.seeds_needed().map_or_else(Cell::missing, Cell::number),
        Cell::text(row.rule()),
        Cell { text: row.estimand(), small: estimand, long: true, ..Cell::default() },
    ]
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "<\u{a0}0.001".to_owned() } else { minus(format!("{p:.3}")) }
}

impl Table<'_> {
    /// As a table of GitHub's Markdown, with its caption and the command that makes it again.
    pub(super) fn markdown(&self, command: &str) -> String {
        let mut text = format!("{}\n\n", self.caption);
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        text.push_str(&line(self.heads.iter().map(|head| markdown(&head.text)).collect()));
        let rule = |head: &Head| if head.number { "---:" } else { ":---" }.to_owned();
        text.push_str(&line(self.heads.iter().map(rule).collect()));
        for row in &self.rows {
            let cell = |cell: &Cell| {
                let mut parts = vec![match cell.code {
                    true => format!("`{}`", cell.text),
                    false => markdown(&cell.text),
                }];
                if !cell.interval.is_empty() {
                    parts.push(markdown(&cell.interval));
                }
                // Backticks mean the same there.
                parts.extend(cell.small.iter().map(|small| small.replace('|', "\\|")));
                match cell.long {
                    true => parts.join("<br>"),
                    false => parts.join(" "),
                }
            };
            text.push_str(&line(row.iter().map(cell).collect()));
        }
        text.push_str(&format!("\nMade by `{command}`.\n"));
        text
    }

    /// As a LaTeX table with the rules of the package booktabs; the command that makes it again is
    /// a comment.
    pub(super) fn latex(&self, command: &str) -> String {
        let columns: String =
            self.heads.iter().map(|head| if head.number { 'r' } else { 'l' }).collect();
        let line = |cells: Vec<String>| format!("{} \\\\\n", cells.join(" & "));
        let heads = line(self.heads.iter().map(|head| latex(&head.text)).collect());
        let mut rows = String::new();
        for row in &self.rows {
            let cell = |cell: &Cell| {
                let mut text = match cell.code {
                    true => format!("\\texttt{{{}}}", latex(&cell.text)),
                    false => latex(&cell.text),
                };
                for small in [&cell.interval].into_iter().chain(&cell.small) {
                    if !small.is_empty() {
                        text.push_str(&format!(" {{\\footnotesize {}}}", latex_prose(small)));
                    }
                }
                text
            };
            rows.push_str(&line(row.iter().map(cell).collect()));
        }
        format!(
            "% Needs \\usepackage{{booktabs}}. Made by: {command}\n\\begin{{table}}\n\\centering\n\
             \\caption{{{}}}\n\\label{{tab:{}}}\n\\begin{{tabular}}{{{columns}}}\n\\toprule\n\
             {heads}\\midrule\n{rows}\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n",
            latex_prose(&self.caption),
            self.id,
        )
    }
}

/// Text in which nothing is markup of Markdown.
fn markdown(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        if "\\`*_|<>[]".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// Text in which nothing is markup of LaTeX.
fn latex(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '\\' => escaped.push_str("\\textbackslash{}"),
            '{' | '}' | '$' | '&' | '#' | '%' | '_' => escaped.extend(['\\', letter]),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '<' | '>' | '|' => escaped.extend(['$', letter, '$']),
            '\u{2212}' => escaped.push_str("$-$"),
            '\u{2013}' => escaped.push_str("--"),
            '\u{2192}' => escaped.push_str("$\\to$"),
            '\u{d7}' => escaped.push_str("$\\times$"),
            '\u{a0}' => escaped.push('~'),
            other => escaped.push(other),
        }
    }
    // A bracket after a line break would be its argument.
    match escaped.strip_prefix('[') {
        Some(rest) => format!("{{[}}{rest}"),
        None => escaped,
    }
}

/// As [`latex`], with code between backticks.
fn latex_prose(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let part = |(place, part): (usize, &str)| match place % 2 {
        1 => format!("\\texttt{{{}}}", latex(part)),
        _ => latex(part),
    };
    parts.map(part).collect()
}
