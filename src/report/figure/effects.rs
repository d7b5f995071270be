//! The effect of every factor, their interactions, and the means behind them.

use super::super::ReportError;
use super::super::draw::{self, Axis, Ink, Line, Spread, Strip, strip};
use super::super::model::{CurvePoint, Effect, Estimate, Means, Term, places};
use super::super::numbers::{decimals, fixed, grouped, percent, signed};
use super::{
    Body, Figure, Group, Key, Made, Maker, Mark, ONE_REPLICATE, Panel, PanelSize, Panels, Row,
    Section, shown,
};
use crate::studies::ReplicateUnit;

/// Panels of pairs of factors at most; the download has all.
const MOST_PAIRS: usize = 36;

impl<'a> Maker<'a, '_> {
    pub(super) fn effects(&self) -> Made<'a> {
        let Some(headline) = self.input.metrics.first() else { return Ok(None) };
        let said = format!("Effect of each factor on {}", headline.name);
        let caption = format!(
            "Effect of each factor on `{}`: the mean at a level minus the mean at the factor's first \
             level, every combination of the other factors weighing the same; the upright line marks \
             no effect.",
            headline.name
        );
        self.contrasts(
            "effects",
            &self.model.effects.main,
            said,
            caption,
            &self.model.effects.main_table,
        )
    }

    pub(super) fn interactions(&self) -> Made<'a> {
        let Some(headline) = self.input.metrics.first() else { return Ok(None) };
        let said = format!("Interaction of every pair of factors on {}", headline.name);
        let caption = format!(
            "Interaction of every pair of factors on `{}`: how much more the step of the second \
             factor changes after the step of the first (a difference of differences), every \
             combination of the other factors weighing the same; the upright line marks effects that \
             add up.",
            headline.name
        );
        self.contrasts(
            "interactions",
            &self.model.effects.interactions,
            said,
            caption,
            &self.model.effects.interactions_table,
        )
    }

    fn contrasts(
        &self,
        id: &str,
        effects: &'a [Effect],
        said: String,
        caption: String,
        data: &'a super::DataFrame,
    ) -> Made<'a> {
        let estimates: Vec<Estimate> = effects.iter().map(|effect| effect.metrics[0]).collect();
        let wider = effects.iter().flat_map(|effect| effect.wider[0]);
        let numbers = estimates.iter().flat_map(Estimate::numbers);
        let numbers = numbers.chain(wider.flat_map(|(low, high)| [low, high]));
        let axis = match Axis::around(numbers.chain([0.0]), 0.05) {
            Some(axis) if estimates.iter().any(|estimate| estimate.value.is_some()) => axis,
            _ => return Ok(None),
        };
        let decimals = decimals(estimates.iter().flat_map(Estimate::numbers));
        let (mut rows, mut words) = (Vec::new(), Vec::new());
        for (effect, estimate) in effects.iter().zip(&estimates) {
            let picture = strip(&Strip {
                axis: &axis,
                estimate: *estimate,
                wider: effect.wider[0],
                dots: &[],
                zero: true,
                ink: Ink::Series(0),
            })?;
            let number = shown(estimate, |number| signed(number, decimals));
            let (strong, name) = named(&effect.terms);
            words.push(format!("{strong}, {name}: {}", number.said));
            rows.push(Row {
                strong,
                name,
                number: number.value,
                small: vec![number.interval],
                picture,
            });
        }
        Ok(Some(Figure {
            id: id.into(),
            section: Section::Effects,
            title: said.clone(),
            caption: format!(
                "{caption} {}{}",
                self.runs_with_headline(),
                self.contrast_method(effects.len())
            ),
            body: Body::Rows {
                key: Vec::new(),
                groups: vec![Group { heading: String::new(), axis, rows }],
                said: format!("{said}. {}.", words.join(". ")),
            },
            data: vec![(id.into(), data)],
        }))
    }

    /// How effects get their intervals, after what was said before.
    fn contrast_method(&self, effects: usize) -> String {
        let all = &self.model.effects;
        let family = all.main.len() + all.interactions.len();
        if self.model.replicates < 2 {
            return ONE_REPLICATE.into();
        }
        let bootstrap = self.input.options.tables();
        let resampled = match all.simultaneous.contains("max") {
            true => format!(
                ", {} resamples, seed {}",
                grouped(bootstrap.resamples as u64),
                bootstrap.seed
            ),
            false => String::new(),
        };
        let together =
            if effects < family { "effects and interactions together" } else { "effects together" };
        let shared = match all.method.contains("paired") {
            true if self.model.unit == ReplicateUnit::SEEDS => {
                "; arms share their seeds' random draws, so that a contrast is formed within each seed"
                    .to_owned()
            }
            true => {
                let ReplicateUnit { one, many } = self.model.unit;
                format!("; arms have the same {many}, so that a contrast is formed within each {one}")
            }
            false => format!(
                "; arms lack different {}, so that their runs are taken as independent",
                self.model.unit.many
            ),
        };
        format!(
            ". Thick bar and square brackets: {} interval ({}){shared}. Thin bar: the interval that holds for all \
             {family} {together} ({}{resampled}).",
            percent(bootstrap.level),
            all.method,
            all.simultaneous,
        )
    }

    /// Means by the levels of two factors: parallel lines have no interaction.
    pub(super) fn pairs(&self) -> Made<'a> {
        let Some(headline) = self.input.metrics.first() else { return Ok(None) };
        let pairs = &self.model.effects.pairs;
        let shown = &pairs[..pairs.len().min(MOST_PAIRS)];
        let hidden = match pairs.len() - shown.len() {
            0 => String::new(),
            _ => format!("The first {MOST_PAIRS} of {} pairs are drawn. ", pairs.len()),
        };
        let caption = format!(
            "Mean of `{}` by the levels of two factors, one panel a pair, over equally weighted \
             combinations of the others. Parallel lines: the effects add up. {hidden}",
            headline.name
        );
        let title = format!("Mean of {} by two factors", headline.name);
        self.means(
            "interaction-plots",
            Section::Effects,
            title,
            caption,
            shown,
            &self.model.effects.pairs_table,
        )
    }

    /// Means along the levels of a factor of numbers.
    pub(super) fn sensitivity(&self) -> Made<'a> {
        let Some(headline) = self.input.metrics.first() else { return Ok(None) };
        let means = &self.model.effects.sensitivity;
        let logarithmic = means.iter().any(|means| places(&means.levels).1);
        let caption = format!(
            "Sensitivity of `{}` to factors whose levels are numbers: its mean at each level, over \
             equally weighted combinations of the other factors; then the same with one line for \
             each level of another factor. {}",
            headline.name,
            if logarithmic { "Levels that span much have a logarithmic axis. " } else { "" },
        );
        let title = format!("Sensitivity of {} to numbers", headline.name);
        self.means(
            "sensitivity",
            Section::Sensitivity,
            title,
            caption,
            means,
            &self.model.effects.sensitivity_table,
        )
    }

    fn means(
        &self,
        id: &str,
        section: Section,
        title: String,
        caption: String,
        means: &'a [Means],
        data: &'a super::DataFrame,
    ) -> Made<'a> {
        let Some(headline) = self.input.metrics.first() else { return Ok(None) };
        let estimates = means
            .iter()
            .flat_map(|means| &means.lines)
            .flat_map(|(_, points)| points.iter().flat_map(|point| point.estimate.numbers()));
        let Some(y) = Axis::around(estimates, 0.05) else { return Ok(None) };
        let panels = means.iter().map(|means| panel(means, &y)).collect::<Result<Vec<_>, _>>()?;
        let interval = match self.model.replicates {
            0 | 1 => format!("{}{ONE_REPLICATE}", self.runs_with_headline()),
            _ => format!(
                "{}. Bar: {} interval of each mean ({}), not simultaneous; lines of one panel share \
                 their {}, so that overlapping bars may still differ clearly.",
                self.runs_with_headline(),
                percent(self.input.options.level),
                self.model.effects.means_method(),
                self.model.unit.many
            ),
        };
        Ok(Some(Figure {
            id: id.into(),
            section,
            title,
            caption: format!("{caption}{interval}"),
            body: Body::Panels(Panels {
                size: PanelSize::Wide,
                key: Vec::new(),
                x_name: String::new(),
                y_name: format!("mean of {}", headline.name),
                panels,
            }),
            data: vec![(id.into(), data)],
        }))
    }
}

fn panel(means: &Means, y: &Axis) -> Result<Panel, ReportError> {
    let (places, logarithmic) = places(&means.levels);
    let names = means.levels.iter().map(|level| short(level));
    let marks = places.iter().copied().zip(names).collect();
    let Some(x) = Axis::marked(marks, 0.15) else {
        return Err(ReportError::Figure("a factor has no levels".into()));
    };
    let (width, height) = PanelSize::Wide.pixels();
    let beside = beside(&means.lines, &places);
    let mut lines = Vec::new();
    for (place, points) in beside.iter().enumerate() {
        lines.push(Line { points, ink: Ink::Series(place), spread: Spread::Bars });
    }
    let picture = draw::panel(&draw::Panel { width, height, x, y: y.clone(), runs: &[], lines })?;
    let alone = means.lines_of.is_empty();
    let values = means.lines.iter().flat_map(|(_, points)| points);
    let decimals = decimals(values.filter_map(|point| point.estimate.value));
    let mut said = format!("Mean along {}", means.along);
    if !alone {
        said.push_str(&format!(" by level of {}", means.lines_of));
    }
    for (level, points) in &means.lines {
        let values = points.iter().map(|point| match point.estimate.value {
            Some(value) => fixed(value, decimals),
            None => "no value".into(),
        });
        let values = values.collect::<Vec<_>>().join(", ");
        let level = if alone { String::new() } else { format!("{level}: ") };
        said.push_str(&format!(". {level}{values}"));
    }
    said.push('.');
    let key = means.lines.iter().enumerate().map(|(place, (level, _))| Key {
        mark: Mark::Series(place % Ink::SERIES),
        text: format!("{} = {level}", means.lines_of),
    });
    Ok(Panel {
        strong: match alone {
            true => means.along.clone(),
            false => format!("{} \u{d7} {}", means.lines_of, means.along),
        },
        title: String::new(),
        key: if alone { Vec::new() } else { key.collect() },
        x_name: Some(match logarithmic {
            true => format!("{} (logarithmic)", means.along),
            false => means.along.clone(),
        }),
        said,
        picture,
    })
}

/// Lines a little beside each other, so that the bars of one hide no other.
fn beside(lines: &[(String, Vec<CurvePoint>)], places: &[f64]) -> Vec<Vec<CurvePoint>> {
    let mut sorted = places.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let gaps = sorted.windows(2).map(|pair| pair[1] - pair[0]);
    let gap = gaps.fold(f64::INFINITY, f64::min);
    let step = if gap.is_finite() { gap * 0.035 } else { 0.0 };
    // There are few lines.
    #[allow(clippy::cast_precision_loss)]
    let offset = |place: usize| (place as f64 - (lines.len() as f64 - 1.0) / 2.0) * step;
    let moved = |(place, (_, points)): (usize, &(String, Vec<CurvePoint>))| {
        let moved = points.iter().map(|point| CurvePoint { x: point.x + offset(place), ..*point });
        moved.collect()
    };
    lines.iter().enumerate().map(moved).collect()
}

/// A level as a tick's label, which has little room.
fn short(level: &str) -> String {
    const MOST: usize = 16;
    if level.chars().count() <= MOST {
        return level.to_owned();
    }
    level.chars().take(MOST - 1).chain(['\u{2026}']).collect()
}

/// The factors of an effect, and its levels.
pub(in super::super) fn named(terms: &[Term]) -> (String, String) {
    let factors: Vec<&str> = terms.iter().map(|term| term.factor.as_str()).collect();
    let steps: Vec<String> =
        terms.iter().map(|term| format!("{} \u{2192} {}", term.from, term.to)).collect();
    (factors.join(" \u{d7} "), steps.join(" \u{d7} "))
}
