//! Pictures: panels and rows of plots, without what surrounds them.
//!
//! plotters draws with colours that stand for others: those of the page, as CSS variables, so that
//! one picture serves light, dark and print; or fixed ones, in a file of its own. Everything is
//! drawn at four times its size, because plotters rounds to whole pixels.

use std::fmt::Display;
use std::sync::Arc;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;

use super::ReportError;
use super::model::{CurvePoint, Estimate, RunPoints};
use super::numbers::tick;

/// Units of a picture in one CSS pixel of its natural size.
pub(super) const SCALE: i32 = 4;
/// Size of labels in CSS pixels.
const LABEL: i32 = 11;
/// More points than this make a line restless.
const MANY_POINTS: usize = 64;

/// A colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    /// Labels of axes.
    Label,
    /// Axes.
    Axis,
    /// Lines of the grid.
    Grid,
    /// What is there to compare with.
    Reference,
    /// The background.
    Page,
    /// A series by its number; they repeat after [`Ink::SERIES`].
    Series(usize),
}

impl Ink {
    /// How many series have a colour of their own.
    pub(super) const SERIES: usize = 6;

    fn number(self) -> u8 {
        match self {
            Self::Label => 0,
            Self::Axis => 1,
            Self::Grid => 2,
            Self::Reference => 3,
            Self::Page => 4,
            // Below 16 after the remainder.
            #[allow(clippy::cast_possible_truncation)]
            Self::Series(series) => 16 + (series % Self::SERIES) as u8,
        }
    }

    /// As the page's style sheet names it.
    fn variable(self) -> String {
        match self {
            Self::Label => "var(--label)".into(),
            Self::Axis => "var(--axis)".into(),
            Self::Grid => "var(--grid)".into(),
            Self::Reference => "var(--reference)".into(),
            Self::Page => "var(--page)".into(),
            Self::Series(series) => format!("var(--series-{})", series % Self::SERIES),
        }
    }

    /// On paper; as the page has it in light.
    pub(super) fn fixed(self) -> &'static str {
        const SERIES: [&str; Ink::SERIES] =
            ["#0072b2", "#d55e00", "#00855f", "#b0578d", "#a87900", "#2b8fc9"];
        match self {
            Self::Label => "#565d66",
            Self::Axis => "#8b929b",
            Self::Grid => "#e3e6ea",
            Self::Reference => "#9aa1aa",
            Self::Page => "#ffffff",
            Self::Series(series) => SERIES[series % Self::SERIES],
        }
    }

    /// How the lines of a series are broken, so that they differ not by colour alone.
    pub(super) fn dashes(self) -> Option<&'static str> {
        match self {
            Self::Series(series) => match series % Self::SERIES {
                1 | 4 => Some("28 14"),
                2 | 5 => Some("8 12"),
                _ => None,
            },
            _ => None,
        }
    }

    fn every() -> impl Iterator<Item = Self> {
        let fixed = [Self::Label, Self::Axis, Self::Grid, Self::Reference, Self::Page];
        fixed.into_iter().chain((0..Self::SERIES).map(Self::Series))
    }

    /// The colour that stands for it while drawing.
    fn rgb(self) -> RGBColor {
        RGBColor(1, 2, self.number())
    }

    /// The colour that stands for its broken line while drawing.
    fn broken(self) -> RGBColor {
        RGBColor(1, 3, self.number())
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn = Result<(), ReportError>;

fn failed(error: impl Display) -> ReportError {
    ReportError::Figure(error.to_string())
}

/// A picture of a size in CSS pixels, drawn at [`SCALE`] times it, its colours still to be chosen.
pub(super) struct Picture {
    pub(super) width: i32,
    pub(super) height: i32,
    inner: String,
}

impl Picture {
    /// For the page, with its colours. The label is what a screen reader says; without one, the
    /// picture is hidden from it.
    pub(super) fn on_page(&self, label: Option<&str>) -> String {
        let label = match label {
            Some(label) => format!("role=\"img\" aria-label=\"{}\"", escaped(label)),
            None => "aria-hidden=\"true\"".into(),
        };
        let (width, height) = (self.width * SCALE, self.height * SCALE);
        let inner = self.coloured(Ink::variable);
        format!("<svg viewBox=\"0 0 {width} {height}\" {label}>{inner}</svg>")
    }

    /// The elements with fixed colours.
    pub(super) fn on_paper(&self) -> String {
        self.coloured(|ink| ink.fixed().to_owned())
    }

    fn coloured(&self, colour: impl Fn(Ink) -> String) -> String {
        let mut inner = self.inner.clone();
        for ink in Ink::every() {
            let hex = |RGBColor(r, g, b)| format!("\"#{r:02X}{g:02X}{b:02X}\"");
            let colour = colour(ink);
            inner = inner.replace(&hex(ink.rgb()), &format!("\"{colour}\""));
            let broken = match ink.dashes() {
                Some(dashes) => format!("\"{colour}\" stroke-dasharray=\"{dashes}\""),
                None => format!("\"{colour}\""),
            };
            inner = inner.replace(&hex(ink.broken()), &broken);
        }
        inner
    }
}

/// A picture of a size in CSS pixels.
fn picture(
    width: i32,
    height: i32,
    draw: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<Picture, ReportError> {
    let size = (width * SCALE, height * SCALE);
    let mut text = String::new();
    {
        let unsigned = (size.0.unsigned_abs(), size.1.unsigned_abs());
        let area = SVGBackend::with_string(&mut text, unsigned).into_drawing_area();
        draw(&area)?;
        area.present().map_err(failed)?;
    }
    let inner = text
        .split_once('>')
        .and_then(|(_, rest)| rest.rsplit_once("</svg>"))
        .map(|(inner, _)| inner)
        .ok_or_else(|| failed("the drawing is not complete"))?;
    let inner = inner
        .replace(" font-family=\"sans-serif\"", "")
        .replace(" opacity=\"1\"", "")
        .replace(" \"/>", "\"/>")
        .replace(">\n", ">");
    Ok(Picture { width, height, inner })
}

/// Text as an attribute or an element of HTML and SVG holds it.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

/// An axis with given ends, and ticks at round numbers or where it is told.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    marks: Option<Arc<[(f64, String)]>>,
}

impl Axis {
    /// From the smallest to the largest number with a margin; `None` without numbers.
    pub(super) fn around(numbers: impl Iterator<Item = f64>, margin: f64) -> Option<Self> {
        let (low, high) = numbers.fold(None, |ends: Option<(f64, f64)>, number| {
            let (low, high) = ends.unwrap_or((number, number));
            Some((low.min(number), high.max(number)))
        })?;
        let width = high - low;
        // All equal: something around it, so that there is an axis at all.
        let margin = if width > 0.0 { width * margin } else { (high.abs() * 0.1).max(0.5) };
        Some(Self { low: low - margin, high: high + margin, marks: None })
    }

    /// From one number to another.
    pub(super) fn between(low: f64, high: f64) -> Self {
        Self { low, high, marks: None }
    }

    /// With ticks at these places alone, and something around them.
    pub(super) fn marked(marks: Vec<(f64, String)>, margin: f64) -> Option<Self> {
        let axis = Self::around(marks.iter().map(|(at, _)| *at), margin)?;
        Some(Self { marks: Some(marks.into()), ..axis })
    }

    fn clamp(&self, number: f64) -> f64 {
        number.clamp(self.low, self.high)
    }

    fn label(&self, at: f64) -> String {
        let marked = self.marks.iter().flat_map(|marks| marks.iter());
        match marked.into_iter().find(|(place, _)| *place == at) {
            Some((_, label)) => label.clone(),
            None => tick(at, self.low.abs().max(self.high.abs())),
        }
    }

    /// Round numbers inside, at most so many; or its marks.
    fn ticks(&self, most: usize) -> Vec<f64> {
        if let Some(marks) = &self.marks {
            return marks.iter().map(|(at, _)| *at).collect();
        }
        // A handful of ticks.
        #[allow(clippy::cast_precision_loss)]
        let rough = (self.high - self.low) / most.max(1) as f64;
        let magnitude = 10f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 2.5, 5.0, 10.0, 20.0].map(|step| step * magnitude);
        for step in steps {
            let (first, last) = ((self.low / step).ceil(), (self.high / step).floor());
            // At most a handful, whichever step is taken.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let count = (last - first).max(-1.0) as usize + 1;
            if step >= rough && (count <= most) {
                #[allow(clippy::cast_precision_loss)]
                return (0..count).map(|index| (first + index as f64) * step).collect();
            }
        }
        Vec::new()
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.low) / (self.high - self.low);
        // Within the drawing's pixels.
        #[allow(clippy::cast_possible_truncation)]
        let offset = (share * f64::from(limit.1 - limit.0)).round() as i32;
        limit.0 + offset
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        self.ticks(hint.max_num_points())
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.label(*value)
    }
}

fn label_style(ink: Ink) -> TextStyle<'static> {
    // The SVG backend writes the size divided by 1.24.
    let size = f64::from(LABEL * SCALE) * 1.24;
    let mut style = TextStyle::from(("sans-serif", size).into_font());
    style.color = ink.rgb().to_backend_color();
    style
}

fn stroke(ink: Ink, opacity: f64, width: f64) -> ShapeStyle {
    // A few pixels.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let width = (width * f64::from(SCALE)).round() as u32;
    ShapeStyle { color: ink.rgb().mix(opacity), filled: false, stroke_width: width }
}

fn fill(ink: Ink, opacity: f64) -> ShapeStyle {
    ShapeStyle { color: ink.rgb().mix(opacity), filled: true, stroke_width: 0 }
}

/// How the interval of a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    /// Not at all.
    None,
    /// As a band along the line.
    Band,
    /// As a bar at each point, which has a mark.
    Bars,
    /// Not at all, and points have marks that nothing joins.
    Marks,
    /// Not at all, and the line is thin.
    Thin,
    /// Not at all, and points are bars from zero: this one of so many beside each other.
    Columns { place: u32, of: u32 },
    /// Not at all, and each point says that a bar is missing there.
    Gaps,
}

/// A line in a panel.
pub(super) struct Line<'a> {
    pub(super) points: &'a [CurvePoint],
    pub(super) ink: Ink,
    pub(super) spread: Spread,
}

/// A panel of curves.
pub(super) struct Panel<'a> {
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// Single runs, drawn thin below the curves.
    pub(super) runs: &'a [RunPoints],
    pub(super) lines: Vec<Line<'a>>,
}

/// The common axes of curves and their bands, with a margin at either end of the horizontal one.
pub(super) fn curve_axes<'a>(
    points: impl Iterator<Item = &'a CurvePoint> + Clone,
    margin: f64,
) -> Option<(Axis, Axis)> {
    let x = Axis::around(points.clone().map(|point| point.x), margin)?;
    let y = Axis::around(points.flat_map(|point| point.estimate.numbers()), 0.05)?;
    Some((x, y))
}

/// Draws a panel of curves.
pub(super) fn panel(panel: &Panel<'_>) -> Result<Picture, ReportError> {
    picture(panel.width, panel.height, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin_top(8 * SCALE)
            .margin_right(14 * SCALE)
            .x_label_area_size(22 * SCALE)
            .y_label_area_size(46 * SCALE)
            .build_cartesian_2d(panel.x.clone(), panel.y.clone())
            .map_err(failed)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .max_light_lines(0)
            .bold_line_style(stroke(Ink::Grid, 1.0, 1.0))
            .axis_style(stroke(Ink::Axis, 1.0, 1.0))
            .x_labels(5)
            .y_labels(5)
            .label_style(label_style(Ink::Label))
            .set_all_tick_mark_size(3 * SCALE)
            .draw()
            .map_err(failed)?;
        for run in panel.runs {
            let points = run.iter().map(|&(x, y)| (panel.x.clamp(x), panel.y.clamp(y)));
            let style = stroke(Ink::Series(0), 0.3, 1.0);
            chart.draw_series(LineSeries::new(points, style)).map_err(failed)?;
        }
        for line in &panel.lines {
            if line.spread == Spread::Band {
                for band in bands(line.points) {
                    let polygon = Polygon::new(
                        band,
                        fill(line.ink, if panel.lines.len() > 3 { 0.1 } else { 0.18 }),
                    );
                    chart.draw_series(std::iter::once(polygon)).map_err(failed)?;
                }
            }
        }
        for line in &panel.lines {
            if let Spread::Columns { place, of } = line.spread {
                let columns = columns(line.points, place, of).map(|(left, right, value)| {
                    Rectangle::new([(left, 0.0), (right, value)], fill(line.ink, 1.0))
                });
                chart.draw_series(columns).map_err(failed)?;
                continue;
            }
            if line.spread == Spread::Gaps {
                let height = panel.y.low + 0.03 * (panel.y.high - panel.y.low);
                let gaps = line.points.iter().map(|point| {
                    TriangleMarker::new((point.x, height), 4 * SCALE, fill(line.ink, 1.0))
                });
                chart.draw_series(gaps).map_err(failed)?;
                continue;
            }
            if line.spread == Spread::Marks {
                let marks = line.points.iter().filter_map(|point| {
                    let value = point.estimate.value?;
                    Some(Circle::new((point.x, value), 2 * SCALE, fill(line.ink, 0.7)))
                });
                chart.draw_series(marks).map_err(failed)?;
                continue;
            }
            for stretch in stretches(line.points) {
                if let ([(x, y)], false) = (&stretch[..], line.spread == Spread::Bars) {
                    let dot = Circle::new((*x, *y), 3 * SCALE, fill(line.ink, 1.0));
                    chart.draw_series(std::iter::once(dot)).map_err(failed)?;
                } else {
                    // Many restless lines hide each other.
                    let crowded = panel.lines.len() > 3 && stretch.len() > MANY_POINTS;
                    let width = match (line.spread, crowded) {
                        (Spread::Thin, _) => 1.0,
                        (_, true) => 1.25,
                        (_, false) => 2.0,
                    };
                    let style = ShapeStyle {
                        color: line.ink.broken().to_rgba(),
                        ..stroke(line.ink, 1.0, width)
                    };
                    chart.draw_series(LineSeries::new(stretch, style)).map_err(failed)?;
                }
            }
            if line.spread == Spread::Bars {
                for point in line.points {
                    if let (Some(low), Some(high)) = (point.estimate.low, point.estimate.high) {
                        let ends = [(point.x, low), (point.x, high)];
                        let bar = PathElement::new(ends, stroke(line.ink, 1.0, 1.5));
                        chart.draw_series(std::iter::once(bar)).map_err(failed)?;
                    }
                    let dot = point
                        .estimate
                        .value
                        .map(|value| Circle::new((point.x, value), 4 * SCALE, fill(line.ink, 1.0)));
                    chart.draw_series(dot).map_err(failed)?;
                }
            }
        }
        Ok(())
    })
}

/// The ends and heights of the bars of points with a value.
fn columns(
    points: &[CurvePoint],
    place: u32,
    of: u32,
) -> impl Iterator<Item = (f64, f64, f64)> + '_ {
    // What bars of a place leave free of the distance to the next.
    let room = 0.9 * spacing(points);
    let width = room / f64::from(of.max(1));
    points.iter().filter_map(move |point| {
        let left = point.x - room / 2.0 + f64::from(place) * width;
        Some((left, left + width, point.estimate.value?))
    })
}

/// The least distance of two points along the horizontal axis; 1 where there are no two.
fn spacing(points: &[CurvePoint]) -> f64 {
    let mut places: Vec<f64> = points.iter().map(|point| point.x).collect();
    places.sort_by(f64::total_cmp);
    let steps = places.windows(2).map(|two| two[1] - two[0]).filter(|step| *step > 0.0);
    steps.reduce(f64::min).unwrap_or(1.0)
}

/// The common axes of bars, with room for the first and the last.
pub(super) fn bar_axes<'a>(
    curves: impl Iterator<Item = &'a [CurvePoint]> + Clone,
) -> Option<(Axis, Axis)> {
    let points = || curves.clone().flatten();
    let ends = Axis::around(points().map(|point| point.x), 0.0)?;
    let drawn = curves.clone().filter(|points| !points.is_empty());
    let room = drawn.map(spacing).reduce(f64::max)? / 2.0;
    let highest = points().filter_map(|point| point.estimate.value).reduce(f64::max)?;
    let y = Axis::between(0.0, if highest > 0.0 { 1.05 * highest } else { 1.0 });
    Some((Axis::between(ends.low - room, ends.high + room), y))
}

/// The ends of the line along which both axes have the same value; `None` where they share none.
pub(super) fn equality(x: &Axis, y: &Axis) -> Option<[f64; 2]> {
    let (low, high) = (x.low.max(y.low), x.high.min(y.high));
    (low < high).then_some([low, high])
}

/// The outlines of a curve's band, one for each stretch that has an interval.
fn bands(points: &[CurvePoint]) -> Vec<Vec<(f64, f64)>> {
    let ends = points.iter().map(|point| {
        let (low, high) = (point.estimate.low?, point.estimate.high?);
        Some((point.x, low, high))
    });
    unbroken(ends)
        .into_iter()
        .filter(|stretch| stretch.len() > 1)
        .map(|stretch| {
            let upper = stretch.iter().map(|&(x, _, high)| (x, high));
            upper.chain(stretch.iter().rev().map(|&(x, low, _)| (x, low))).collect()
        })
        .collect()
}

/// The parts of a curve that have an estimate.
fn stretches(points: &[CurvePoint]) -> Vec<Vec<(f64, f64)>> {
    unbroken(points.iter().map(|point| Some((point.x, point.estimate.value?))))
}

fn unbroken<T>(points: impl Iterator<Item = Option<T>>) -> Vec<Vec<T>> {
    let mut stretches = vec![Vec::new()];
    for point in points {
        match (point, stretches.last_mut()) {
            (Some(point), Some(stretch)) => stretch.push(point),
            (Some(point), None) => stretches.push(vec![point]),
            (None, _) => stretches.push(Vec::new()),
        }
    }
    stretches.retain(|stretch| !stretch.is_empty());
    stretches
}

/// A confusion matrix with names of its rows; columns have the rows' numbers.
pub(super) struct Matrix<'a> {
    /// Names of rows and columns.
    pub(super) names: &'a [String],
    /// Shares, row by row.
    pub(super) cells: &'a [Option<f64>],
    /// The share off the diagonal that has the full colour.
    pub(super) full: f64,
}

/// Width of a matrix in CSS pixels, and of what its names take of it; it scales with the page.
const MATRIX: (i32, i32) = (520, 190);
/// Height of a row, and of the numbers of columns.
const MATRIX_ROW: i32 = 22;
/// Letters of a name that fit.
const MATRIX_NAME: usize = 30;
/// Width of a cell that has room for a decimal.
const MATRIX_DECIMAL: i32 = 28;
/// The largest opacity below text.
const SHADE: f64 = 0.55;

/// Draws a confusion matrix. The diagonal is grey, so that the shades are left to confusion; every share
/// that does not round to zero is written in its cell, in percent.
pub(super) fn matrix(matrix: &Matrix<'_>) -> Result<Picture, ReportError> {
    let size = i32::try_from(matrix.names.len()).unwrap_or(i32::MAX).max(1);
    picture(MATRIX.0, MATRIX_ROW * (size + 1), |area| {
        let cell = (MATRIX.0 - MATRIX.1) * SCALE / size;
        let decimals = usize::from(cell >= MATRIX_DECIMAL * SCALE);
        let (left, row_height) = (MATRIX.1 * SCALE, MATRIX_ROW * SCALE);
        let anchored = |horizontal| {
            let vertical = plotters::style::text_anchor::VPos::Center;
            let anchor = plotters::style::text_anchor::Pos::new(horizontal, vertical);
            label_style(Ink::Label).pos(anchor)
        };
        let (right, centre) = (
            anchored(plotters::style::text_anchor::HPos::Right),
            anchored(plotters::style::text_anchor::HPos::Center),
        );
        let write = |text: &str, style: &TextStyle<'_>, at| area.draw_text(text, style, at);
        for ((place, name), cells) in
            (0..).zip(matrix.names).zip(matrix.cells.chunks(matrix.names.len().max(1)))
        {
            let top = row_height * (place + 1);
            let middle = top + row_height / 2;
            let number = (place + 1).to_string();
            let short: String = name.chars().take(MATRIX_NAME).collect();
            let named = format!("{short} {number}");
            write(&named, &right, (left - 6 * SCALE, middle)).map_err(failed)?;
            let head = (left + cell * place + cell / 2, row_height / 2);
            write(&number, &centre, head).map_err(failed)?;
            for (column, share) in (0..).zip(cells) {
                let x = left + cell * column;
                let shade = match share {
                    _ if column == place => fill(Ink::Reference, 0.25),
                    Some(share) if matrix.full > 0.0 => {
                        fill(Ink::Series(1), SHADE * (share / matrix.full).clamp(0.0, 1.0))
                    }
                    _ => fill(Ink::Page, 1.0),
                };
                let corners = [(x, top), (x + cell, top + row_height)];
                area.draw(&Rectangle::new(corners, shade)).map_err(failed)?;
                area.draw(&Rectangle::new(corners, stroke(Ink::Grid, 1.0, 1.0))).map_err(failed)?;
                let shown = share.map(|share| format!("{:.decimals$}", share * 100.0));
                if let Some(text) = shown.filter(|text| !text.starts_with("0.0") && text != "0") {
                    write(&text, &centre, (x + cell / 2, middle)).map_err(failed)?;
                }
            }
        }
        Ok(())
    })
}

/// Width of a strip in CSS pixels; it scales with the page.
const STRIP: (i32, i32) = (420, 26);

/// One row of a dot plot.
pub(super) struct Strip<'a> {
    pub(super) axis: &'a Axis,
    /// The estimate with its interval.
    pub(super) estimate: Estimate,
    /// A wider interval, drawn thin.
    pub(super) wider: Option<(f64, f64)>,
    /// Single values with a height in 0..=1, so that the same seed is at the same height.
    pub(super) dots: &'a [(f64, f64)],
    /// Whether a line marks zero.
    pub(super) zero: bool,
    pub(super) ink: Ink,
}

/// Draws one row of a dot plot, without axis.
pub(super) fn strip(strip: &Strip<'_>) -> Result<Picture, ReportError> {
    picture(STRIP.0, STRIP.1, |area| {
        let mut chart = strip_chart(area, strip.axis)?;
        let mut line = |points: [(f64, f64); 2], style| {
            chart
                .draw_series(std::iter::once(PathElement::new(points, style)))
                .map(|_| ())
                .map_err(failed)
        };
        for tick in strip.axis.ticks(5) {
            line([(tick, 0.0), (tick, 1.0)], stroke(Ink::Grid, 1.0, 1.0))?;
        }
        if strip.zero {
            line([(0.0, 0.0), (0.0, 1.0)], stroke(Ink::Label, 1.0, 1.5))?;
        }
        if let Some((low, high)) = strip.wider {
            line([(low, 0.5), (high, 0.5)], stroke(strip.ink, 1.0, 1.0))?;
            for end in [low, high] {
                line([(end, 0.35), (end, 0.65)], stroke(strip.ink, 1.0, 1.0))?;
            }
        }
        if let (Some(low), Some(high)) = (strip.estimate.low, strip.estimate.high) {
            if strip.dots.is_empty() {
                line([(low, 0.5), (high, 0.5)], stroke(strip.ink, 1.0, 3.5))?;
            } else {
                line([(low, 0.5), (high, 0.5)], stroke(strip.ink, 0.25, 18.0))?;
            }
        }
        if let (Some(value), false) = (strip.estimate.value, strip.dots.is_empty()) {
            line([(value, 0.12), (value, 0.88)], stroke(strip.ink, 1.0, 2.5))?;
        }
        let dots = strip.dots.iter().map(|&(x, height)| {
            Circle::new((x, 0.2 + 0.6 * height), 3 * SCALE, fill(Ink::Label, 0.75))
        });
        chart.draw_series(dots).map_err(failed)?;
        if let (Some(value), true) = (strip.estimate.value, strip.dots.is_empty()) {
            let dot = Circle::new((value, 0.5), 5 * SCALE, fill(strip.ink, 1.0));
            chart.draw_series(std::iter::once(dot)).map_err(failed)?;
        }
        Ok(())
    })
}

/// Size of a claim's plot in CSS pixels; it scales with the page.
const FOREST: (i32, i32) = (420, 36);

/// A published number above ours.
pub(super) struct Forest<'a> {
    pub(super) axis: &'a Axis,
    pub(super) published: Option<Estimate>,
    pub(super) ours: Estimate,
    /// What counts as equal to the published number.
    pub(super) equal: Option<(f64, f64)>,
    /// Whether a line marks zero.
    pub(super) zero: bool,
}

/// Draws a published number and ours with their intervals, without axis. The two differ in shape,
/// not in colour alone.
pub(super) fn forest(forest: &Forest<'_>) -> Result<Picture, ReportError> {
    picture(FOREST.0, FOREST.1, |area| {
        let mut chart = strip_chart(area, forest.axis)?;
        if let Some((low, high)) = forest.equal {
            let band = Rectangle::new([(low, 0.0), (high, 1.0)], fill(Ink::Reference, 0.22));
            chart.draw_series(std::iter::once(band)).map_err(failed)?;
        }
        let mut line = |points: [(f64, f64); 2], style| {
            chart
                .draw_series(std::iter::once(PathElement::new(points, style)))
                .map(|_| ())
                .map_err(failed)
        };
        for tick in forest.axis.ticks(5) {
            line([(tick, 0.0), (tick, 1.0)], stroke(Ink::Grid, 1.0, 1.0))?;
        }
        if forest.zero {
            line([(0.0, 0.0), (0.0, 1.0)], stroke(Ink::Label, 1.0, 1.5))?;
        }
        let published = forest.published.unwrap_or_default();
        for (estimate, height, style) in [
            (published, 0.72, stroke(Ink::Label, 1.0, 1.5)),
            (forest.ours, 0.28, stroke(Ink::Series(0), 1.0, 2.5)),
        ] {
            if let (Some(low), Some(high)) = (estimate.low, estimate.high) {
                line([(low, height), (high, height)], style)?;
            }
        }
        if let Some(value) = published.value {
            let at = (value, 0.72);
            let dot = Circle::new(at, 5 * SCALE, fill(Ink::Page, 1.0));
            chart.draw_series(std::iter::once(dot)).map_err(failed)?;
            let ring = Circle::new(at, 5 * SCALE, stroke(Ink::Label, 1.0, 1.5));
            chart.draw_series(std::iter::once(ring)).map_err(failed)?;
        }
        let ours = forest.ours.value;
        let dot =
            ours.map(|value| Circle::new((value, 0.28), 5 * SCALE, fill(Ink::Series(0), 1.0)));
        chart.draw_series(dot).map_err(failed)?;
        Ok(())
    })
}

/// The labels of the axis below the rows of a dot plot, each with its place along it in 0..=1.
pub(super) fn strip_labels(axis: &Axis) -> Vec<(f64, String)> {
    let place = |at: f64| (at - axis.low) / (axis.high - axis.low);
    axis.ticks(5).into_iter().map(|at| (place(at), axis.label(at))).collect()
}

type StripChart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

/// What a row leaves free on either side, as a share of its width; the style sheet indents the axis
/// below the rows by the same 3.8 %.
pub(super) const STRIP_MARGIN: f64 = 16.0 / 420.0;

fn strip_chart<'a, 'b>(area: &'a Area<'b>, axis: &Axis) -> Result<StripChart<'a, 'b>, ReportError> {
    ChartBuilder::on(area)
        .margin_left(16 * SCALE)
        .margin_right(16 * SCALE)
        .build_cartesian_2d(axis.clone(), Axis::between(0.0, 1.0))
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::super::model::{CurvePoint, Estimate};
    use super::{Axis, bar_axes, columns, equality};

    fn points(points: &[(f64, f64)]) -> Vec<CurvePoint> {
        let point = |&(x, value)| CurvePoint {
            x,
            estimate: Estimate { value: Some(value), ..Estimate::default() },
        };
        points.iter().map(point).collect()
    }

    #[test]
    fn bars_stand_beside_each_other_within_their_axes() {
        let (one, other) = (points(&[(0.0, 0.25), (0.5, 0.75)]), points(&[(0.0, 1.0)]));
        let drawn: Vec<_> = columns(&one, 1, 2).collect();
        // Nine tenths of the distance, of which the second bar has the right half.
        assert_eq!(drawn, [(0.0, 0.225, 0.25), (0.5, 0.725, 0.75)]);
        let (x, y) = bar_axes([&one[..], &other[..]].into_iter()).unwrap();
        assert_eq!((y.low, y.high), (0.0, 1.05));
        assert!(x.low <= -0.25 && x.high >= 0.75);
        assert!(bar_axes(std::iter::empty()).is_none());
    }

    #[test]
    fn equality_is_where_axes_overlap() {
        let (x, y) = (Axis::between(50.0, 90.0), Axis::between(40.0, 80.0));
        assert_eq!(equality(&x, &y), Some([50.0, 80.0]));
        assert_eq!(equality(&x, &Axis::between(0.0, 1.0)), None);
    }

    #[test]
    fn ticks_are_round_and_few() {
        let axis = Axis::around([0.0, 97.0].into_iter(), 0.0).unwrap();
        assert_eq!(axis.ticks(5), [0.0, 20.0, 40.0, 60.0, 80.0]);
        let axis = Axis::around([-1600.0, -100.0].into_iter(), 0.0).unwrap();
        assert_eq!(axis.ticks(5), [-1500.0, -1000.0, -500.0]);
        let flat = Axis::around([500.0, 500.0].into_iter(), 0.05).unwrap();
        assert_eq!(flat.ticks(5), [460.0, 480.0, 500.0, 520.0, 540.0]);
        assert!(Axis::around(std::iter::empty(), 0.0).is_none());
    }
}
