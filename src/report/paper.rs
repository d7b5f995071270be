//! Figures as SVG files for papers: fixed colours, real text.

use skrifa::MetadataProvider;
use skrifa::instance::{LocationRef, Size};

use super::claims::ClaimRow;
use super::draw::{Axis, Ink, Picture, SCALE, STRIP_MARGIN, escaped, strip_labels};
use super::figure::{Body, Figure, Group, Key, Mark, PanelSize, Panels, Row, shown};
use super::model::{Estimate, Model};
use super::png::FONT;

/// Fonts of about the same widths follow the first one.
const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";
/// The colour of text.
const TEXT: &str = "#1a1d21";
/// The colour of what is less important.
const QUIET: &str = "#565d66";

const MARGIN: f64 = 12.0;
/// Sizes of text in CSS pixels.
const NORMAL: f64 = 11.0;
const SMALL: f64 = 9.5;
const LINE: f64 = 14.0;

/// Renders a figure as an SVG file.
pub(super) fn svg(figure: &Figure<'_>, model: &Model, command: &str) -> String {
    let mut sheet = Sheet::default();
    match &figure.body {
        Body::Rows { key, groups, .. } => sheet.rows(key, groups),
        Body::Panels(panels) => sheet.panels(panels),
        Body::Claims { key, plots } => sheet.claims(key, plots, &model.claims),
    }
    let (width, height) = (sheet.width, sheet.y + MARGIN);
    let described = [plain(&figure.caption), figure.said(), format!("Made by {command}")];
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-labelledby=\"title description\" \
         font-family=\"{FAMILY}\" font-size=\"{NORMAL}\">\n<title id=\"title\">{}</title>\n\
         <desc id=\"description\">{}</desc>\n<rect width=\"100%\" height=\"100%\" \
         fill=\"{}\"/>\n{}</svg>\n",
        escaped(&figure.title),
        escaped(described.join(" ").trim()),
        Ink::Page.fixed(),
        sheet.body,
    )
}

/// Prose without the backticks that mark code.
fn plain(text: &str) -> String {
    text.replace('`', "")
}

/// The width of a line of text.
fn width(text: &str, size: f64) -> f64 {
    let Ok(font) = skrifa::FontRef::new(FONT) else {
        return 0.6 * size * many(text.chars().count());
    };
    let metrics = font.glyph_metrics(Size::new(1.0), LocationRef::default());
    let letters = font.charmap();
    let of = |letter: char| letters.map(letter).and_then(|glyph| metrics.advance_width(glyph));
    text.chars().map(|letter| of(letter).map_or(0.6, f64::from) * size).sum()
}

// Of letters or lines, which are few.
#[allow(clippy::cast_precision_loss)]
fn many(number: usize) -> f64 {
    number as f64
}

/// Breaks text into lines of a width, at spaces or else after joints of names.
pub(crate) fn wrapped(text: &str, size: f64, limit: f64) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_inclusive([' ', '_', ',', '-', '=']) {
        let last = lines.last_mut().filter(|line| {
            line.is_empty() || width(&format!("{line}{}", word.trim_end()), size) <= limit
        });
        match last {
            Some(line) => line.push_str(word),
            None => lines.push(word.to_owned()),
        }
    }
    lines.into_iter().map(|line| line.trim_end().to_owned()).collect()
}

#[derive(Clone, Copy)]
enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing that grows downwards.
struct Sheet {
    width: f64,
    y: f64,
    body: String,
}

impl Default for Sheet {
    fn default() -> Self {
        Self { width: 720.0, y: MARGIN, body: String::new() }
    }
}

impl Sheet {
    fn text(&mut self, (x, y): (f64, f64), size: f64, colour: &str, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        self.body.push_str(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{colour}\"{anchor}>{}</text>\n",
            escaped(text)
        ));
    }

    /// A picture of a width, its left upper corner at a place; returns its height.
    fn place(&mut self, picture: &Picture, (x, y): (f64, f64), width: f64) -> f64 {
        let scale = width / f64::from(picture.width);
        self.body.push_str(&format!(
            "<g transform=\"translate({x:.1} {y:.1}) scale({:.5})\">\n{}</g>\n",
            scale / f64::from(SCALE),
            picture.on_paper()
        ));
        f64::from(picture.height) * scale
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str) {
        self.body.push_str(&format!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>\n",
            from.0, from.1, to.0, to.1
        ));
    }

    /// A legend from a place on, in as many lines as it needs; returns its height.
    fn key(&mut self, key: &[Key], (left, top): (f64, f64), limit: f64) -> f64 {
        let (mut x, mut y) = (left, top);
        for entry in key {
            let room = 30.0 + width(&entry.text, SMALL) + 14.0;
            if x > left && x + room - 14.0 > left + limit {
                (x, y) = (left, y + LINE);
            }
            self.mark(entry.mark, (x, y + 5.0));
            for (place, line) in wrapped(&entry.text, SMALL, limit - 30.0).iter().enumerate() {
                if place > 0 {
                    y += 12.0;
                }
                self.text((x + 30.0, y + 8.5), SMALL, TEXT, Anchor::Start, line);
            }
            x += room;
        }
        if key.is_empty() { 0.0 } else { y + LINE - top }
    }

    fn mark(&mut self, mark: Mark, (x, y): (f64, f64)) {
        let line = |ink: Ink, wide: f64, opacity: f64| {
            // A picture's units are finer.
            let dashes = ink.dashes().unwrap_or_default().split(' ');
            let dashes: Vec<String> = dashes
                .filter_map(|dash| dash.parse::<f64>().ok())
                .map(|dash| (dash / f64::from(SCALE)).to_string())
                .collect();
            let dashes = match dashes.is_empty() {
                true => String::new(),
                false => format!(" stroke-dasharray=\"{}\"", dashes.join(" ")),
            };
            format!(
                "<line x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"{}\" \
                 stroke-width=\"{wide}\" opacity=\"{opacity}\"{dashes}/>\n",
                x + 24.0,
                ink.fixed()
            )
        };
        let dot = |attributes: String| {
            format!("<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\" {attributes}/>\n", x + 18.0)
        };
        let drawn = match mark {
            Mark::Series(series) => line(Ink::Series(series), 2.5, 1.0),
            Mark::Thin => line(Ink::Series(0), 1.0, 0.55),
            Mark::Reference => line(Ink::Reference, 2.5, 1.0),
            Mark::Even => line(Ink::Label, 1.0, 1.0),
            Mark::Dot | Mark::Ours => dot(format!("fill=\"{}\"", Ink::Series(0).fixed())),
            Mark::Gap => format!(
                "<path d=\"M{:.1} {:.1}l5 9h-10z\" fill=\"{}\"/>\n",
                x + 18.0,
                y - 4.5,
                Ink::Series(1).fixed()
            ),
            Mark::Published => {
                dot(format!("fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\"", Ink::Label.fixed()))
            }
            Mark::Equal => format!(
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"12\" height=\"9\" fill=\"{}\" \
                 opacity=\"0.3\"/>\n",
                x + 12.0,
                y - 4.5,
                Ink::Reference.fixed()
            ),
        };
        self.body.push_str(&drawn);
    }

    /// The axis below rows of plots; returns its height.
    fn axis(&mut self, axis: &Axis, (x, y): (f64, f64), width: f64) -> f64 {
        let (left, right) = (x + width * STRIP_MARGIN, x + width * (1.0 - STRIP_MARGIN));
        self.line((left, y), (right, y), Ink::Axis.fixed());
        for (place, label) in strip_labels(axis) {
            let at = left + (right - left) * place;
            self.line((at, y), (at, y + 3.0), Ink::Axis.fixed());
            self.text((at, y + 13.0), SMALL, QUIET, Anchor::Middle, &label);
        }
        20.0
    }

    fn rows(&mut self, key: &[Key], groups: &[Group]) {
        let inside = self.width - 2.0 * MARGIN;
        let rows = || groups.iter().flat_map(|group| &group.rows);
        let name = |row: &Row| match row.strong.is_empty() {
            true => row.name.clone(),
            false => format!("{}: {}", row.strong, row.name),
        };
        let widest = |of: &dyn Fn(&Row) -> f64| rows().map(of).fold(0.0, f64::max);
        let names = widest(&|row| width(&name(row), NORMAL)).clamp(60.0, 0.4 * inside);
        let numbers = widest(&|row| width(&row.number, NORMAL));
        let smalls = widest(&|row| width(row.small.join(" ").trim(), SMALL));
        let plot = inside - names - numbers - smalls - 24.0;
        let (left, right) = (MARGIN + names + 8.0, self.width - MARGIN);
        self.y += self.key(key, (left, self.y), plot);
        for group in groups {
            if !group.heading.is_empty() {
                self.text((MARGIN, self.y + 11.0), NORMAL, TEXT, Anchor::Start, &group.heading);
                self.y += 18.0;
            }
            let quiet = !group.heading.is_empty();
            let height_of = |row: &Row| {
                let lines = wrapped(&name(row), NORMAL, names);
                let drawn = f64::from(row.picture.height) * plot / f64::from(row.picture.width);
                drawn.max(LINE * many(lines.len()) + 3.0)
            };
            // Behind the rows, so that they run on between them.
            let all: f64 = group.rows.iter().map(height_of).sum();
            for (place, _) in strip_labels(&group.axis) {
                let inside = plot * (1.0 - 2.0 * STRIP_MARGIN);
                let x = left + plot * STRIP_MARGIN + inside * place;
                self.line((x, self.y), (x, self.y + all), Ink::Grid.fixed());
            }
            for row in &group.rows {
                let lines = wrapped(&name(row), NORMAL, names);
                let height = height_of(row);
                let drawn = f64::from(row.picture.height) * plot / f64::from(row.picture.width);
                self.place(&row.picture, (left, self.y + (height - drawn) / 2.0), plot);
                let colour = if quiet { QUIET } else { TEXT };
                // Baselines around the middle of the row.
                let middle = self.y + height / 2.0 + 4.0;
                let first = middle - LINE * (many(lines.len()) - 1.0) / 2.0;
                for (place, line) in (0u8..).zip(&lines) {
                    let y = first + f64::from(place) * LINE;
                    self.text((MARGIN, y), NORMAL, colour, Anchor::Start, line);
                }
                let y = middle;
                let number = (right - smalls - 8.0, y);
                self.text(number, NORMAL, TEXT, Anchor::End, &row.number);
                let small = row.small.join(" ");
                self.text((right, y), SMALL, QUIET, Anchor::End, small.trim());
                self.y += height;
            }
            self.y += self.axis(&group.axis, (left, self.y), plot) + 4.0;
        }
    }

    fn panels(&mut self, panels: &Panels) {
        let many = panels.panels.len();
        let columns: u8 = match panels.size {
            PanelSize::Single => 1,
            PanelSize::Wide => {
                if many == 1 {
                    1
                } else {
                    2
                }
            }
            PanelSize::Small if many <= 4 => 2,
            PanelSize::Small if many <= 12 => 3,
            PanelSize::Small => 4,
        };
        self.width = if columns == 1 { 480.0 } else { self.width };
        let gap = 16.0;
        let inside = self.width - 2.0 * MARGIN;
        let each = (inside - gap * f64::from(columns - 1)) / f64::from(columns);
        let small = panels.size == PanelSize::Small;
        if small {
            let names = format!("Vertical: {}. Horizontal: {}.", panels.y_name, panels.x_name);
            self.text((MARGIN, self.y + 10.0), SMALL, QUIET, Anchor::Start, &names);
            self.y += 18.0;
        }
        self.y += self.key(&panels.key, (MARGIN, self.y), inside);
        if small || !panels.key.is_empty() {
            self.y += 6.0;
        }
        for row in panels.panels.chunks(usize::from(columns)) {
            // Heads first, so that plots of a row stand at the same height.
            let (top, mut bottom) = (self.y, self.y);
            for (column, panel) in (0u8..).zip(row) {
                let x = MARGIN + f64::from(column) * (each + gap);
                let title = format!("{} {}", panel.strong, panel.title);
                let mut y = top;
                for line in wrapped(title.trim(), NORMAL, each) {
                    if !line.is_empty() {
                        self.text((x, y + 11.0), NORMAL, TEXT, Anchor::Start, &line);
                        y += LINE;
                    }
                }
                if !panel.key.is_empty() {
                    y += 3.0;
                    y += self.key(&panel.key, (x, y), each);
                }
                if !small {
                    self.text((x, y + 12.0), SMALL, QUIET, Anchor::Start, &panels.y_name);
                    y += LINE;
                }
                bottom = y.max(bottom);
            }
            self.y = bottom;
            let mut height: f64 = 0.0;
            for (column, panel) in (0u8..).zip(row) {
                let x = MARGIN + f64::from(column) * (each + gap);
                let drawn = self.place(&panel.picture, (x, bottom), each);
                height = height.max(drawn);
                if !small {
                    let name = panel.x_name.as_ref().unwrap_or(&panels.x_name);
                    let middle = (x + each * 0.56, bottom + drawn + 9.0);
                    self.text(middle, SMALL, QUIET, Anchor::Middle, name);
                }
            }
            self.y += height + if small { 10.0 } else { 24.0 };
        }
    }

    fn claims(&mut self, key: &[Key], plots: &[Option<(Axis, Picture)>], claims: &[ClaimRow]) {
        let names = 250.0;
        let number = |row: &ClaimRow, estimate: &Estimate| {
            let number = shown(estimate, |number| row.shown(number));
            format!("{} {}", number.value, number.interval)
        };
        let numbers: Vec<Vec<(&str, String)>> = claims
            .iter()
            .map(|row| {
                let published = row.published().map(|p| ("published", number(row, &p)));
                published.into_iter().chain([("ours", number(row, &row.ours))]).collect()
            })
            .collect();
        let widest = numbers.iter().flatten().map(|(_, text)| width(text, SMALL));
        let widest = widest.fold(0.0, f64::max) + 58.0;
        let (left, right) = (MARGIN + names + 12.0, self.width - MARGIN - widest);
        let plot = right - left - 12.0;
        self.y += self.key(key, (MARGIN, self.y), self.width - 2.0 * MARGIN) + 4.0;
        for (place, (row, drawn)) in claims.iter().zip(plots).enumerate() {
            self.line((MARGIN, self.y), (self.width - MARGIN, self.y), Ink::Grid.fixed());
            let top = self.y + 6.0;
            let mut y = top + 10.0;
            self.text((MARGIN, y), NORMAL, QUIET, Anchor::Start, row.verdict.name());
            for line in wrapped(&format!("{}. {}", place + 1, row.claim.statement), NORMAL, names) {
                y += LINE;
                self.text((MARGIN, y), NORMAL, TEXT, Anchor::Start, &line);
            }
            let mut height = y - top;
            if let Some((axis, picture)) = drawn {
                let drawn = self.place(picture, (left, top), plot);
                height = height.max(drawn + self.axis(axis, (left, top + drawn), plot));
            }
            for (line, (name, text)) in (0u8..).zip(&numbers[place]) {
                let y = top + 11.0 + LINE * f64::from(line);
                self.text((right, y), SMALL, QUIET, Anchor::Start, name);
                self.text((right + 58.0, y), SMALL, TEXT, Anchor::Start, text.trim());
            }
            self.y = top + height + 8.0;
        }
    }
}
