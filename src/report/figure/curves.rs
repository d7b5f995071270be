//! Curves against steps.

use super::super::draw::{self, Axis, Ink, Line, Spread, bar_axes, curve_axes};
use super::super::model::{Curve, CurvePoint, Estimate, View};
use super::super::numbers::plural;
use super::{
    Body, Figure, Key, MOST_PANELS, Made, Maker, Mark, ONE_REPLICATE, Panel, PanelSize, Panels,
    Section, capitalised, ends_of, key_of,
};
use crate::studies::Shape;

/// Share of the horizontal axis that is free on either side of marks.
const MARK_MARGIN: f64 = 0.04;

impl<'a> Maker<'a, '_> {
    /// One panel a factor, one line a level; or, of a few arms without factors, one line an arm.
    pub(super) fn curves_by_factor(&self, place: usize) -> Made<'a> {
        let view = &self.model.views[place];
        // Marks and bars of several arms in one panel cannot be told apart.
        if !drawable(view) || view.shape != Shape::Curve {
            return Ok(None);
        }
        if view.factors.is_empty() {
            return self.curves_overlaid(place);
        }
        let levels = view.factors.iter().flat_map(|(_, levels)| levels.iter().map(|l| &l.curve));
        let Some((x, y)) = curve_axes(levels.flat_map(|curve| &curve.points), 0.0) else {
            return Ok(None);
        };
        let size = PanelSize::Wide;
        let mut panels = Vec::new();
        for (factor, levels) in &view.factors {
            let names: Vec<(&str, &Curve)> =
                levels.iter().map(|level| (level.level.as_str(), &level.curve)).collect();
            panels.push(Panel {
                strong: factor.clone(),
                title: String::new(),
                key: key_of(&names),
                x_name: None,
                said: said_of(view, &format!("by level of {factor}"), &names),
                picture: lines(size, &x, &y, &names)?,
            });
        }
        Ok(Some(Figure {
            id: format!("{}-by-factor", id(view)),
            section: Section::Curves(place),
            title: format!("{} by level of each factor", capitalised(view.view.y_label)),
            caption: format!(
                "{} against {}, one panel a factor, one line a level, pooled over every other \
                 factor. {}",
                capitalised(view.view.y_label),
                view.view.x_label,
                self.curve_method(view)
            ),
            body: Body::Panels(of(view, size, Vec::new(), panels)),
            data: vec![(format!("{}-by-factor", view.view.y), &view.factors_table)],
        }))
    }

    fn curves_overlaid(&self, place: usize) -> Made<'a> {
        let view = &self.model.views[place];
        let points = view.arms.iter().flat_map(|curve| &curve.points);
        let Some((x, y)) = curve_axes(points, 0.0) else { return Ok(None) };
        let (size, title) = match self.model.tasks() {
            // A task has its own panel; axes are shared, so that no panel misleads.
            Some(_) => (PanelSize::Wide, "one panel a task, one line an arm"),
            None => (PanelSize::Single, "one line an arm"),
        };
        let groups = self.model.tasks().unwrap_or_else(|| {
            let arms = self.model.arms.iter().enumerate();
            vec![(String::new(), arms.map(|(arm, row)| (arm, row.name.clone())).collect())]
        });
        if view.arms.len() < 2 || groups.iter().any(|(_, arms)| arms.len() > Ink::SERIES) {
            return Ok(None);
        }
        let mut panels = Vec::new();
        for (task, arms) in &groups {
            let names: Vec<(&str, &Curve)> =
                arms.iter().map(|(arm, name)| (name.as_str(), &view.arms[*arm])).collect();
            let which =
                if task.is_empty() { "by arm".to_owned() } else { format!("by arm of {task}") };
            panels.push(Panel {
                strong: task.clone(),
                title: String::new(),
                key: key_of(&names),
                x_name: None,
                said: said_of(view, &which, &names),
                picture: lines(size, &x, &y, &names)?,
            });
        }
        Ok(Some(Figure {
            id: format!("{}-together", id(view)),
            section: Section::Curves(place),
            title: format!("{} of all arms", capitalised(view.view.y_label)),
            caption: format!(
                "{} against {}, {title}. {}",
                capitalised(view.view.y_label),
                view.view.x_label,
                self.curve_method(view)
            ),
            body: Body::Panels(of(view, size, Vec::new(), panels)),
            data: Vec::new(),
        }))
    }

    /// One panel an arm, with its single runs.
    pub(super) fn curves_by_arm(&self, place: usize) -> Made<'a> {
        let view = &self.model.views[place];
        if !drawable(view) {
            return Ok(None);
        }
        let Some((x, y)) = axes_of_arms(view) else { return Ok(None) };
        let single = view.arms.len() == 1;
        // The one run of an arm is its curve.
        let singles_shown =
            view.shape == Shape::Curve && view.runs.iter().any(|runs| runs.len() > 1);
        let size = if single { PanelSize::Single } else { PanelSize::Small };
        let even = if view.shape == Shape::Comparison { draw::equality(&x, &y) } else { None };
        let even = even.map(|ends| ends.map(|end| point(end, end)));
        let mut panels = Vec::new();
        let mut gaps_shown = false;
        let arms = self.model.arms.iter().zip(view.arms.iter().zip(&view.runs)).enumerate();
        // Things of their own are not there at all in arms that have none.
        let arms = arms.filter(|(_, (_, (curve, _)))| view.shape == Shape::Curve || valued(curve));
        for (number, (arm, (curve, runs))) in arms.take(MOST_PANELS) {
            let beside = view.companion.as_ref().map(|(_, arms)| &arms[number].points[..]);
            let gaps = if view.shape == Shape::Bars { gaps(curve, beside) } else { Vec::new() };
            gaps_shown |= !gaps.is_empty();
            let mut lines = Vec::new();
            let mut add = |points, ink, spread| lines.push(Line { points, ink, spread });
            match (view.shape, beside) {
                (Shape::Curve, _) => {
                    if !single {
                        add(&view.pooled.points[..], Ink::Reference, Spread::None);
                    }
                    add(&curve.points, Ink::Series(0), Spread::Band);
                }
                (Shape::Marks | Shape::Comparison, beside) => {
                    if let Some(even) = &even {
                        add(even, Ink::Label, Spread::Thin);
                    }
                    add(beside.unwrap_or_default(), Ink::Reference, Spread::None);
                    add(&curve.points, Ink::Series(0), Spread::Marks);
                }
                (Shape::Bars, None) => {
                    add(&curve.points, Ink::Series(0), Spread::Columns { place: 0, of: 1 });
                }
                (Shape::Bars, Some(beside)) => {
                    add(beside, Ink::Reference, Spread::Columns { place: 0, of: 2 });
                    add(&curve.points, Ink::Series(0), Spread::Columns { place: 1, of: 2 });
                    add(&gaps, Ink::Series(1), Spread::Gaps);
                }
            }
            let (width, height) = size.pixels();
            let (x, y) = (x.clone(), y.clone());
            let name = arm.label();
            let which = if single { "of the study" } else { "of one arm" };
            let mut said = said_of(view, which, &[(&name, curve)]);
            if !gaps.is_empty() {
                said.push_str(&format!(" {} empty.", plural(gaps.len(), "bin")));
            }
            panels.push(Panel {
                strong: if single { String::new() } else { format!("{}.", number + 1) },
                title: if single { String::new() } else { name.clone() },
                key: Vec::new(),
                x_name: None,
                said,
                picture: draw::panel(&draw::Panel {
                    width,
                    height,
                    x,
                    y,
                    runs: if view.shape == Shape::Curve { runs } else { &[] },
                    lines,
                })?,
            });
        }
        let hidden = self.model.arms.len().saturating_sub(MOST_PANELS);
        let y_label = || view.view.y_label.to_owned();
        let mut key = vec![match view.shape {
            Shape::Curve => {
                Key { mark: Mark::Series(0), text: self.input.options.estimator.words().to_owned() }
            }
            Shape::Bars => Key { mark: Mark::Series(0), text: y_label() },
            Shape::Marks | Shape::Comparison => Key { mark: Mark::Dot, text: y_label() },
        }];
        if singles_shown {
            key.push(Key { mark: Mark::Thin, text: "single run".into() });
        }
        if let Some((line, _)) = &view.companion {
            key.push(Key { mark: Mark::Reference, text: line.label.to_owned() });
        } else if !single && view.shape == Shape::Curve {
            key.push(Key { mark: Mark::Reference, text: "all arms pooled".into() });
        }
        if even.is_some() {
            key.push(Key { mark: Mark::Even, text: "equal on both axes".into() });
        }
        if gaps_shown {
            key.push(Key { mark: Mark::Gap, text: "empty bin".into() });
        }
        let mut caption =
            format!("{} against {}", capitalised(view.view.y_label), view.view.x_label);
        caption.push_str(match single {
            true => ". ",
            false => ", one panel an arm, all with the same axes. ",
        });
        if singles_shown {
            caption.push_str("Thin lines are single runs, cut at the edge of the axes. ");
        }
        if let (true, Some((line, _))) = (gaps_shown, &view.companion) {
            caption.push_str(&format!(
                "A triangle stands where the {} is above zero and the {} is zero. ",
                line.label, view.view.y_label
            ));
        }
        if hidden > 0 {
            caption.push_str(&format!(
                "The first {MOST_PANELS} of {} arms are drawn; the download has all. ",
                self.model.arms.len()
            ));
        }
        caption.push_str(&self.curve_method(view));
        Ok(Some(Figure {
            id: format!("{}-by-arm", id(view)),
            section: Section::Curves(place),
            title: format!("{} of every arm", capitalised(view.view.y_label)),
            caption,
            body: Body::Panels(of(view, size, key, panels)),
            data: vec![(format!("{}-by-arm", view.view.y), &view.arms_table)],
        }))
    }

    /// Method, numbers of runs and level, as a caption of curves states them.
    fn curve_method(&self, view: &View) -> String {
        if view.shape != Shape::Curve {
            let what = if view.shape == Shape::Bars { "Bar" } else { "Mark" };
            let runs = plural(view.pooled.runs, "run");
            return format!("{what}: {} of {runs}.", self.input.options.estimator.words());
        }
        let interval = match self.interval(self.input.options.curves()) {
            Some(interval) => {
                let caveat = match self.caveat().as_str() {
                    "" => "",
                    _ => " Of how often such intervals cover, see the figure of every run.",
                };
                format!("; band: its {interval} at each point, not simultaneous.{caveat} ")
            }
            None => format!("{ONE_REPLICATE} "),
        };
        let diverged = match self.model.diverged.len() {
            0 => String::new(),
            1 => ", of which 1 diverged and counts until then".into(),
            diverged => format!(", of which {diverged} diverged and count until then"),
        };
        format!(
            "Line: {}{interval}{}{diverged}. Where a run has no value, the line between its \
             neighbouring values is read.",
            self.input.options.estimator.words(),
            plural(view.pooled.runs, "run"),
        )
    }
}

fn of(view: &View, size: PanelSize, key: Vec<Key>, panels: Vec<Panel>) -> Panels {
    let (x_name, y_name) = (view.view.x_label.to_owned(), view.view.y_label.to_owned());
    Panels { size, key, x_name, y_name, panels }
}

/// The axes of one panel an arm. They follow the estimates; single runs are cut at their edge.
fn axes_of_arms(view: &View) -> Option<(Axis, Axis)> {
    let levels = view.factors.iter().flat_map(|(_, levels)| levels.iter().map(|l| &l.curve));
    let companions = view.companion.iter().flat_map(|(_, arms)| arms);
    let drawn = view.arms.iter().chain(companions);
    match view.shape {
        Shape::Bars => bar_axes(drawn.map(|curve| &curve.points[..])),
        Shape::Curve => curve_axes(drawn.chain(levels).flat_map(|curve| &curve.points), 0.0),
        Shape::Marks | Shape::Comparison => {
            curve_axes(drawn.flat_map(|curve| &curve.points), MARK_MARGIN)
        }
    }
}

fn point(x: f64, y: f64) -> CurvePoint {
    CurvePoint { x, estimate: Estimate { value: Some(y), ..Estimate::default() } }
}

/// The bins in which the companion has something and the curve nothing.
fn gaps(curve: &Curve, beside: Option<&[CurvePoint]>) -> Vec<CurvePoint> {
    let value = |point: &CurvePoint| point.estimate.value.unwrap_or_default();
    let there =
        |x: f64| beside.unwrap_or_default().iter().any(|other| other.x == x && value(other) > 0.0);
    curve.points.iter().filter(|own| value(own) <= 0.0 && there(own.x)).copied().collect()
}

/// Whether a curve has any value.
fn valued(curve: &Curve) -> bool {
    curve.points.iter().any(|point| point.estimate.value.is_some())
}

fn id(view: &View) -> String {
    format!("curves-{}", view.view.y)
}

/// Whether any curve has a value.
pub(in super::super) fn drawable(view: &View) -> bool {
    view.arms.iter().any(valued)
}

fn lines(
    size: PanelSize,
    x: &Axis,
    y: &Axis,
    curves: &[(&str, &Curve)],
) -> Result<draw::Picture, super::ReportError> {
    let (width, height) = size.pixels();
    let mut lines = Vec::new();
    for (place, (_, curve)) in curves.iter().enumerate() {
        let (points, ink) = (&curve.points[..], Ink::Series(place));
        lines.push(Line { points, ink, spread: Spread::Band });
    }
    draw::panel(&draw::Panel { width, height, x: x.clone(), y: y.clone(), runs: &[], lines })
}

/// What a screen reader says of a panel: where its curves end.
fn said_of(view: &View, which: &str, curves: &[(&str, &Curve)]) -> String {
    let (y, x) = (capitalised(view.view.y_label), view.view.x_label);
    format!("{y} against {x}, {which}.{}", ends_of(curves))
}
