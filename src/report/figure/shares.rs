//! Survival curves and performance profiles: the share of runs above a value.

use super::super::ReportError;
use super::super::draw::{self, Axis, Ink, Line, Spread};
use super::super::model::{Curve, CurvePoint};
use super::super::numbers::{decimals, fixed, grouped, percent};
use super::{Body, Figure, Made, Maker, ONE_REPLICATE, Panel, PanelSize, Panels, Section, key_of};

impl<'a> Maker<'a, '_> {
    /// The share of runs above each value, by level of each factor.
    pub(super) fn survival(&self) -> Made<'a> {
        let (Some(headline), Some(shares)) = (self.input.metrics.first(), &self.model.survival)
        else {
            return Ok(None);
        };
        let curves = shares.factors.iter().flat_map(|(_, levels)| levels.iter().map(|l| &l.curve));
        let Some(x) = x_axis(curves) else { return Ok(None) };
        let mut panels = Vec::new();
        for (factor, levels) in &shares.factors {
            let names: Vec<(&str, &Curve)> =
                levels.iter().map(|level| (level.level.as_str(), &level.curve)).collect();
            panels.push(Panel {
                strong: factor.clone(),
                title: String::new(),
                key: key_of(&names),
                x_name: None,
                said: said_of(&format!("Share of runs by level of {factor}"), &names),
                picture: steps(PanelSize::Wide, &x, &names)?,
            });
        }
        Ok(Some(Figure {
            id: "survival".into(),
            section: Section::Survival,
            title: format!("Share of runs above a value of {}", headline.name),
            caption: format!(
                "Survival curves: the share of runs whose `{}` is above a value, by level of each \
                 factor, pooled over every other factor. A curve further to the right is better \
                 where more is better. {}",
                headline.name,
                self.share_method(&shares.method)
            ),
            body: Body::Panels(Panels {
                size: PanelSize::Wide,
                key: Vec::new(),
                x_name: headline.name.to_owned(),
                y_name: "share of runs above".into(),
                panels,
            }),
            data: vec![("survival".into(), &shares.table)],
        }))
    }

    /// The share of runs above each scaled score, over all tasks.
    pub(super) fn profiles(&self) -> Made<'a> {
        let (Some(headline), Some(profiles)) = (self.input.metrics.first(), &self.model.profiles)
        else {
            return Ok(None);
        };
        let Some(x) = x_axis(profiles.arms.iter().map(|(_, curve)| curve)) else {
            return Ok(None);
        };
        let names: Vec<(&str, &Curve)> =
            profiles.arms.iter().map(|(name, curve)| (name.as_str(), curve)).collect();
        let panel = Panel {
            strong: String::new(),
            title: String::new(),
            key: key_of(&names),
            x_name: None,
            said: said_of("Share of runs by arm", &names),
            picture: steps(PanelSize::Single, &x, &names)?,
        };
        Ok(Some(Figure {
            id: "profiles".into(),
            section: Section::Survival,
            title: "Performance profiles over tasks".into(),
            caption: format!(
                "Performance profiles: the share of runs over {} whose scaled `{}` is above a value. \
                 Scores of each task are scaled so that the smallest of all runs stored here is 0 \
                 and the largest 1; the profiles therefore depend on which runs there are, and are \
                 not comparable with those of other studies. {}",
                profiles.tasks.join(", "),
                headline.name,
                self.share_method(&profiles.method)
            ),
            body: Body::Panels(Panels {
                size: PanelSize::Single,
                key: Vec::new(),
                x_name: format!("scaled {}", headline.name),
                y_name: "share of runs above".into(),
                panels: vec![panel],
            }),
            data: vec![("profiles".into(), &profiles.table)],
        }))
    }

    fn share_method(&self, method: &str) -> String {
        let bootstrap = self.input.options.curves();
        let runs = self.runs_with_headline();
        match self.interval(bootstrap) {
            Some(_) => format!(
                "Band: {} interval at each value ({method}, {} resamples, seed {}), not \
                 simultaneous. {runs}.",
                percent(bootstrap.level),
                grouped(bootstrap.resamples as u64),
                bootstrap.seed,
            ),
            None => format!("{runs}{ONE_REPLICATE}"),
        }
    }
}

fn x_axis<'a>(curves: impl Iterator<Item = &'a Curve>) -> Option<Axis> {
    Axis::around(curves.flat_map(|curve| curve.points.iter().map(|point| point.x)), 0.0)
}

fn steps(
    size: PanelSize,
    x: &Axis,
    curves: &[(&str, &Curve)],
) -> Result<draw::Picture, ReportError> {
    let (width, height) = size.pixels();
    let stepped: Vec<Vec<CurvePoint>> =
        curves.iter().map(|(_, curve)| stepped(&curve.points)).collect();
    let mut lines = Vec::new();
    for (place, points) in stepped.iter().enumerate() {
        lines.push(Line { points, ink: Ink::Series(place), spread: Spread::Band });
    }
    let y = Axis::between(0.0, 1.0);
    draw::panel(&draw::Panel { width, height, x: x.clone(), y, runs: &[], lines })
}

/// A share keeps its value until the next value is reached.
fn stepped(points: &[CurvePoint]) -> Vec<CurvePoint> {
    let mut stepped = Vec::new();
    for (place, point) in points.iter().enumerate() {
        stepped.push(*point);
        if let Some(next) = points.get(place + 1) {
            stepped.push(CurvePoint { x: next.x, estimate: point.estimate });
        }
    }
    stepped
}

/// Where curves cross a half, in words.
fn said_of(what: &str, curves: &[(&str, &Curve)]) -> String {
    let half = |curve: &Curve| {
        let below = |point: &&CurvePoint| point.estimate.value.is_some_and(|share| share <= 0.5);
        curve.points.iter().find(below).map(|point| point.x)
    };
    let decimals = decimals(curves.iter().filter_map(|(_, curve)| half(curve)));
    let mut said = format!("{what}.");
    for (name, curve) in curves {
        match half(curve) {
            Some(x) => {
                said.push_str(&format!(
                    " {name}: half of the runs are above {}.",
                    fixed(x, decimals)
                ));
            }
            None => said.push_str(&format!(" {name} has no value.")),
        }
    }
    said
}
