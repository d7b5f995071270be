//! Curves against steps.

use super::super::draw::{self, Axis, Ink, Line, Spread, curve_axes};
use super::super::model::{Curve, View};
use super::super::numbers::plural;
use super::{
    Body, Figure, Key, MOST_PANELS, Made, Maker, Mark, ONE_REPLICATE, Panel, PanelSize, Panels,
    Section, capitalised, ends_of, key_of,
};

impl<'a> Maker<'a, '_> {
    /// One panel a factor, one line a level; or, of a few arms without factors, one line an arm.
    pub(super) fn curves_by_factor(&self, place: usize) -> Made<'a> {
        let view = &self.model.views[place];
        // Marks of several arms in one panel cannot be told apart.
        if !drawable(view) || view.companion.is_some() {
            return Ok(None);
        }
        if view.factors.is_empty() {
            return self.curves_overlaid(place);
        }
        let levels = view.factors.iter().flat_map(|(_, levels)| levels.iter().map(|l| &l.curve));
        let Some((x, y)) = curve_axes(levels.flat_map(|curve| &curve.points)) else {
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
        let Some((x, y)) = curve_axes(points) else { return Ok(None) };
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
        // The axes follow the estimates; single runs are cut at their edge.
        let levels = view.factors.iter().flat_map(|(_, levels)| levels.iter().map(|l| &l.curve));
        let companions = view.companion.iter().flat_map(|(_, arms)| arms);
        let points =
            view.arms.iter().chain(levels).chain(companions).flat_map(|curve| &curve.points);
        let Some((x, y)) = curve_axes(points) else { return Ok(None) };
        let single = view.arms.len() == 1;
        // The one run of an arm is its curve.
        let singles_shown = view.companion.is_none() && view.runs.iter().any(|runs| runs.len() > 1);
        let size = if single { PanelSize::Single } else { PanelSize::Small };
        let mut panels = Vec::new();
        let arms = self.model.arms.iter().zip(view.arms.iter().zip(&view.runs));
        for (number, (arm, (curve, runs))) in arms.enumerate().take(MOST_PANELS) {
            let spread = if view.companion.is_some() { Spread::Marks } else { Spread::Band };
            let mut lines = vec![Line { points: &curve.points, ink: Ink::Series(0), spread }];
            if let Some((_, arms)) = &view.companion {
                let (points, ink) = (&arms[number].points, Ink::Reference);
                lines.insert(0, Line { points, ink, spread: Spread::None });
            } else if !single {
                let (points, ink) = (&view.pooled.points, Ink::Reference);
                lines.insert(0, Line { points, ink, spread: Spread::None });
            }
            let (width, height) = size.pixels();
            let (x, y) = (x.clone(), y.clone());
            let name = arm.label();
            let which = if single { "of the study" } else { "of one arm" };
            panels.push(Panel {
                strong: if single { String::new() } else { format!("{}.", number + 1) },
                title: if single { String::new() } else { name.clone() },
                key: Vec::new(),
                x_name: None,
                said: said_of(view, which, &[(&name, curve)]),
                picture: draw::panel(&draw::Panel {
                    width,
                    height,
                    x,
                    y,
                    runs: if view.companion.is_some() { &[] } else { runs },
                    lines,
                })?,
            });
        }
        let hidden = self.model.arms.len().saturating_sub(MOST_PANELS);
        let mut key = vec![Key {
            mark: Mark::Series(0),
            text: self.input.options.estimator.words().to_owned(),
        }];
        if singles_shown {
            key.push(Key { mark: Mark::Thin, text: "single run".into() });
        }
        if let Some((line, _)) = &view.companion {
            key.push(Key { mark: Mark::Reference, text: line.label.to_owned() });
        } else if !single {
            key.push(Key { mark: Mark::Reference, text: "all arms pooled".into() });
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

fn id(view: &View) -> String {
    format!("curves-{}", view.view.y)
}

/// Whether any curve has a value.
pub(in super::super) fn drawable(view: &View) -> bool {
    let mut points = view.arms.iter().flat_map(|curve| &curve.points);
    points.any(|point| point.estimate.value.is_some())
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
