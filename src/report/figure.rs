//! The figures of a report: what each draws, says and is made by, before a page or a file shows it.

mod claims;
mod confusion;
mod curves;
mod effects;
mod estimates;
mod shares;

use polars::prelude::DataFrame;

pub(super) use effects::named;

use super::draw::{Axis, Ink, Picture};
use super::model::{Curve, Estimate, Model};
use super::numbers::{decimals, fixed, grouped, percent, plural};
use super::{ReportError, ReportInput};
use analysis::Bootstrap;

/// Arms that get a panel of their own at most; the tables have all of them.
const MOST_PANELS: usize = 64;

/// Where in a report a figure or table belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Claims,
    Metrics,
    Effects,
    /// Shares of runs above a value.
    Survival,
    /// Factors of numbers.
    Sensitivity,
    /// Curves of a view, by its place.
    Curves(usize),
    /// Matrices of a view, by its place.
    Confusion(usize),
    /// What was run.
    Runs,
}

/// A figure.
pub(super) struct Figure<'a> {
    /// What the command line calls it.
    pub(super) id: String,
    pub(super) section: Section,
    /// In a few words.
    pub(super) title: String,
    /// Full sentences with method, number of runs and level; backticks mark code.
    pub(super) caption: String,
    pub(super) body: Body,
    /// The numbers behind it, by the name of their file.
    pub(super) data: Vec<(String, &'a DataFrame)>,
}

/// What a figure draws.
pub(super) enum Body {
    /// Rows of plots above common axes.
    Rows {
        key: Vec<Key>,
        groups: Vec<Group>,
        /// What a screen reader says.
        said: String,
    },
    /// Panels of lines.
    Panels(Panels),
    /// One plot a claim, in the order of the claims.
    Claims { key: Vec<Key>, plots: Vec<Option<(Axis, Picture)>> },
}

/// Rows that share an axis.
pub(super) struct Group {
    /// Empty where there is one group only.
    pub(super) heading: String,
    pub(super) axis: Axis,
    pub(super) rows: Vec<Row>,
}

/// A row of plots with what stands on either side.
pub(super) struct Row {
    /// The part of its name that stands out; may be empty.
    pub(super) strong: String,
    pub(super) name: String,
    pub(super) number: String,
    pub(super) small: Vec<String>,
    pub(super) picture: Picture,
}

/// Panels of lines.
pub(super) struct Panels {
    pub(super) size: PanelSize,
    /// What lines mean in every panel.
    pub(super) key: Vec<Key>,
    pub(super) x_name: String,
    pub(super) y_name: String,
    pub(super) panels: Vec<Panel>,
}

/// How large panels are, and whether each has the names of its axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PanelSize {
    /// One alone.
    Single,
    /// A few, with names of axes.
    Wide,
    /// Many; the names of axes stand above all of them.
    Small,
}

impl PanelSize {
    /// In CSS pixels.
    fn pixels(self) -> (i32, i32) {
        match self {
            Self::Single => (396, 248),
            Self::Wide => (350, 225),
            Self::Small => (300, 180),
        }
    }
}

/// One panel.
pub(super) struct Panel {
    /// The part of its title that stands out; may be empty.
    pub(super) strong: String,
    pub(super) title: String,
    pub(super) key: Vec<Key>,
    /// Names of its axes, where they differ from those of all.
    pub(super) x_name: Option<String>,
    /// What a screen reader says.
    pub(super) said: String,
    pub(super) picture: Picture,
}

/// An entry of a legend.
pub(super) struct Key {
    pub(super) mark: Mark,
    pub(super) text: String,
}

/// What a legend explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Series(usize),
    /// A single run.
    Thin,
    /// What is there to compare with.
    Reference,
    /// A point.
    Dot,
    /// Where both axes have the same value.
    Even,
    /// A bin without a bar.
    Gap,
    Published,
    Ours,
    /// What counts as equal to the published number.
    Equal,
}

impl Figure<'_> {
    /// Everything that it shows, in words.
    pub(super) fn said(&self) -> String {
        match &self.body {
            Body::Rows { said, .. } => said.clone(),
            Body::Panels(panels) => {
                let said: Vec<&str> =
                    panels.panels.iter().map(|panel| panel.said.as_str()).collect();
                said.join(" ")
            }
            Body::Claims { .. } => String::new(),
        }
    }
}

type Made<'a> = Result<Option<Figure<'a>>, ReportError>;

/// All figures, in the order of a report.
pub(super) fn all<'a>(
    input: &'a ReportInput<'_>,
    model: &'a Model,
) -> Result<Vec<Figure<'a>>, ReportError> {
    let maker = Maker { input, model };
    let mut figures = vec![
        maker.claims()?,
        maker.estimates()?,
        maker.effects()?,
        maker.interactions()?,
        maker.pairs()?,
        maker.survival()?,
        maker.profiles()?,
        maker.sensitivity()?,
    ];
    for place in 0..model.views.len() {
        figures.extend([maker.curves_by_factor(place)?, maker.curves_by_arm(place)?]);
    }
    for place in 0..model.confusions.len() {
        figures.push(maker.confusion(place)?);
    }
    Ok(figures.into_iter().flatten().collect())
}

/// Makes figures, and the sentences that their captions share.
pub(super) struct Maker<'a, 'b> {
    pub(super) input: &'a ReportInput<'b>,
    pub(super) model: &'a Model,
}

impl Maker<'_, '_> {
    /// What the intervals are; `None` where there can be none.
    pub(super) fn interval(&self, bootstrap: Bootstrap) -> Option<String> {
        (self.model.replicates > 1).then(|| {
            format!(
                "{} interval ({}, {} resamples, seed {})",
                percent(bootstrap.level),
                bootstrap.method.words(),
                grouped(bootstrap.resamples as u64),
                bootstrap.seed,
            )
        })
    }

    /// What is known of how often intervals like these cover, as a sentence after others; empty
    /// where they keep their promise.
    pub(super) fn caveat(&self) -> String {
        let (options, replicates) = (self.input.options, self.model.replicates);
        match options.interval.caveat(options.estimator, replicates) {
            Some(caveat) if replicates > 1 => format!(" Mind that {caveat}."),
            _ => String::new(),
        }
    }

    /// How many runs the headline is made of, and what diverged runs have to do with it.
    pub(super) fn runs_with_headline(&self) -> String {
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
pub(super) const ONE_REPLICATE: &str = ". There is one replicate, so there is no interval.";

/// The end of a sentence about estimates that have an interval or not.
pub(super) fn with_interval(interval: Option<String>) -> String {
    match interval {
        Some(interval) => format!(" with its {interval}."),
        None => ONE_REPLICATE.into(),
    }
}

/// The legend of curves of several names.
fn key_of(names: &[(&str, &Curve)]) -> Vec<Key> {
    let key = |(place, (name, curve)): (usize, &(&str, &Curve))| Key {
        mark: Mark::Series(place % Ink::SERIES),
        text: format!("{name} ({})", plural(curve.runs, "run")),
    };
    names.iter().enumerate().map(key).collect()
}

/// An estimate in words and numbers.
pub(super) struct Shown {
    pub(super) value: String,
    /// Empty where there is none.
    pub(super) interval: String,
    pub(super) said: String,
}

/// Shows an estimate.
pub(super) fn shown(estimate: &Estimate, show: impl Fn(f64) -> String) -> Shown {
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

/// The sign that belongs to figures instead of the hyphen.
pub(super) fn minus(number: String) -> String {
    number.replace('-', "\u{2212}")
}

/// With its first letter a capital.
pub(super) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// Where curves end, in words.
fn ends_of(curves: &[(&str, &Curve)]) -> String {
    let last = |curve: &Curve| curve.points.iter().rev().find_map(|point| point.estimate.value);
    let decimals = decimals(curves.iter().filter_map(|(_, curve)| last(curve)));
    let mut said = String::new();
    for (name, curve) in curves {
        match last(curve) {
            Some(value) => said.push_str(&format!(" {name} ends at {}.", fixed(value, decimals))),
            None => said.push_str(&format!(" {name} has no value.")),
        }
    }
    said
}
