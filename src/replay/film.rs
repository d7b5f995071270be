//! An episode as a film: titles above, the scene, and below it how far the episode is.

use std::fmt::Write as _;

use envs::{Color, Scene, Shape, Window};
use tiny_skia::Pixmap;

use super::Mode;
use crate::report::{self, ReportError, escaped, wrapped};

/// A filmed episode with what its pictures say.
#[derive(Clone, Debug)]
pub struct Film {
    /// The environment's name.
    pub environment: String,
    /// The arm's name.
    pub arm: String,
    /// The replicate.
    pub replicate: u64,
    /// How actions were chosen.
    pub mode: Mode,
    /// The episode's number, from zero.
    pub episode: usize,
    /// Time from one frame to the next, s.
    pub frame_seconds: f64,
    /// The frames.
    pub frames: Vec<Frame>,
}

/// One state of an episode.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Steps so far.
    pub step: u32,
    /// Sum of the rewards so far.
    pub return_: f64,
    /// What it looks like.
    pub scene: Scene,
}

/// Width of the picture, px.
pub(super) const WIDTH: f64 = 480.0;
/// Least height of the scene, px, and most.
const SCENE_HEIGHT: (f64, f64) = (160.0, 420.0);
const MARGIN: f64 = 12.0;
/// Sizes of text, px.
const LARGE: f64 = 15.0;
const SMALL: f64 = 11.0;
pub(super) const CAPTION: f64 = 13.0;
/// Height of a line of small text, px.
const LINE: f64 = 15.0;
/// Height of the line below the scene, px.
pub(super) const FOOT: f64 = 28.0;
/// Where text stands in that line, px from its top.
pub(super) const BASE: f64 = 19.0;
const TEXT: &str = "#1a1d21";
const QUIET: &str = "#565d66";
/// How long a film stays on its last frame, s.
pub(super) const REST: f64 = 1.0;
/// Dots of a PNG file a pixel.
const FINE: f32 = 2.0;

/// A painted path: what its attributes are, in the order of [`Paint::NAMES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Paint(pub(super) [String; 5]);

impl Paint {
    /// Names of the attributes.
    pub(super) const NAMES: [&'static str; 5] =
        ["d", "fill", "stroke", "stroke-width", "stroke-linecap"];

    /// A path that shows nothing.
    pub(super) fn nothing() -> Self {
        Self(["M0 0", "none", "none", "1", "butt"].map(str::to_owned))
    }

    fn filled(path: String, color: Color) -> Self {
        Self([path, hex(color), "none".into(), "1".into(), "butt".into()])
    }

    fn stroked(path: String, color: Color, width: f64, round: bool) -> Self {
        let ends = if round { "round" } else { "butt" };
        Self([path, "none".into(), hex(color), number(width), ends.into()])
    }
}

fn hex(Color([red, green, blue]): Color) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// A length in pixels, to a tenth.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    let short = text.strip_suffix(".0").unwrap_or(&text);
    if short == "-0" { "0".into() } else { short.into() }
}

/// From the world to the picture.
struct Place {
    window: Window,
    scale: f64,
    top: f64,
    height: f64,
}

impl Place {
    fn of(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [
            0.5 * WIDTH + (x - self.window.center[0]) * self.scale,
            self.top + 0.5 * self.height - (y - self.window.center[1]) * self.scale,
        ]
    }

    /// The points of a path, without its closing.
    fn path(&self, points: &[[f64; 2]]) -> String {
        let mut path = String::from("M");
        for (index, point) in points.iter().enumerate() {
            let [x, y] = self.of(*point).map(number);
            let space = if index == 0 { "" } else { " " };
            let _ = write!(path, "{space}{x} {y}");
        }
        path
    }

    fn paint(&self, shape: &Shape) -> Paint {
        match shape {
            Shape::Polygon { points, color } => Paint::filled(self.path(points) + "z", *color),
            Shape::Line { points, width, round, color } => {
                let path = match points.first() {
                    // A round dot; without a length, some renderers leave it out.
                    Some(first)
                        if *round && points.iter().all(|point| self.near(*point, *first)) =>
                    {
                        self.path(&[*first]) + "h.1"
                    }
                    _ => self.path(points),
                };
                Paint::stroked(path, *color, width * self.scale, *round)
            }
            Shape::Circle { center, radius, color } => {
                let path = self.path(&[*center]) + "h.1";
                Paint::stroked(path, *color, 2.0 * radius * self.scale, true)
            }
        }
    }

    fn near(&self, a: [f64; 2], b: [f64; 2]) -> bool {
        self.of(a).map(number) == self.of(b).map(number)
    }
}

/// Sizes of a film's pictures, px.
pub(super) struct Layout {
    /// Lines that say which run it is.
    lines: Vec<String>,
    /// Height of the titles.
    pub(super) head: f64,
    /// Height of the scene.
    scene: f64,
    scale: f64,
}

impl Layout {
    /// Height of a picture.
    pub(super) fn height(&self) -> f64 {
        self.head + self.scene + FOOT
    }

    /// Where the line below the scene begins.
    pub(super) fn foot(&self) -> f64 {
        self.head + self.scene
    }
}

impl Film {
    /// Sizes that fit the scene; every scene of an environment has a window of one size.
    pub(super) fn layout(&self) -> Layout {
        let run = format!("{}, replicate {}", self.arm, self.replicate);
        let lines = wrapped(&run, SMALL, WIDTH - 2.0 * MARGIN);
        let size = self.frames.first().map_or([1.0, 1.0], |frame| frame.scene.window.size);
        let scene = (WIDTH * size[1] / size[0]).clamp(SCENE_HEIGHT.0, SCENE_HEIGHT.1).round();
        // A run's name has a few lines.
        #[allow(clippy::cast_precision_loss)]
        let head = 30.0 + LINE * lines.len() as f64 + 6.0;
        Layout { lines, head, scene, scale: (WIDTH / size[0]).min(scene / size[1]) }
    }

    /// The scene of a frame.
    pub(super) fn paints(&self, layout: &Layout, frame: &Frame) -> Vec<Paint> {
        let place = Place {
            window: frame.scene.window,
            scale: layout.scale,
            top: layout.head,
            height: layout.scene,
        };
        frame.scene.shapes.iter().map(|shape| place.paint(shape)).collect()
    }

    /// What stands below the scene.
    pub(super) fn caption(&self, frame: &Frame) -> String {
        format!("step {}, return {:.1}", frame.step, frame.return_ + 0.0)
    }

    /// Opens a picture: its title and a white ground.
    pub(super) fn open(&self, layout: &Layout) -> String {
        let height = number(layout.height());
        let (mode, episode) = (self.mode.name(), self.episode);
        let (environment, arm) = (escaped(&self.environment), escaped(&self.arm));
        let last = self.frames.last().map(|frame| self.caption(frame)).unwrap_or_default();
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"title description\" \
             font-family=\"DejaVu Sans, Verdana, sans-serif\">\n\
             <title id=\"title\">{environment}: {arm}, replicate {}</title>\n\
             <desc id=\"description\">{mode} policy, evaluation episode {episode}; at the end: \
             {last}</desc>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
            self.replicate,
        )
    }

    /// Titles, on grounds of their own that cover what reaches out of the scene.
    pub(super) fn titles(&self, layout: &Layout) -> String {
        let (head, foot) = (number(layout.head), number(layout.foot()));
        let right = number(WIDTH - MARGIN);
        let mut text = format!(
            "<path d=\"M0 0H{WIDTH}V{head}H0zM0 {foot}h{WIDTH}v{FOOT}H0z\" fill=\"#fff\"/>\n\
             <text x=\"{MARGIN}\" y=\"24\" font-size=\"{LARGE}\" fill=\"{TEXT}\">{}</text>\n\
             <text x=\"{right}\" y=\"24\" font-size=\"{SMALL}\" fill=\"{QUIET}\" \
             text-anchor=\"end\">{}, episode {}</text>\n",
            escaped(&self.environment),
            self.mode.name(),
            self.episode,
        );
        let mut y = 41.0;
        for line in &layout.lines {
            let _ = writeln!(
                text,
                "<text x=\"{MARGIN}\" y=\"{}\" font-size=\"{SMALL}\" fill=\"{QUIET}\">{}</text>",
                number(y),
                escaped(line.trim_end()),
            );
            y += LINE;
        }
        text
    }

    /// A text below the scene at a height.
    pub(super) fn caption_at(&self, frame: &Frame, y: f64) -> String {
        format!("<text x=\"{MARGIN}\" y=\"{}\">{}</text>", number(y), self.caption(frame))
    }

    /// Attributes of all texts below the scene.
    pub(super) fn caption_style() -> String {
        format!("font-size=\"{CAPTION}\" fill=\"{TEXT}\"")
    }

    /// One frame as a picture that does not move.
    fn still(&self, layout: &Layout, frame: &Frame) -> String {
        let mut text = self.open(layout);
        for paint in self.paints(layout, frame) {
            text.push_str("<path");
            for (name, value) in Paint::NAMES.iter().zip(&paint.0) {
                let _ = write!(text, " {name}=\"{value}\"");
            }
            text.push_str("/>\n");
        }
        text.push_str(&self.titles(layout));
        let caption = self.caption_at(frame, layout.foot() + BASE);
        let _ = writeln!(text, "<g {}>{caption}</g>\n</svg>", Self::caption_style());
        text
    }

    /// The pixels of a frame, so many a pixel of the picture.
    pub(super) fn pixels(
        &self,
        layout: &Layout,
        index: usize,
        scale: f32,
    ) -> Result<Pixmap, ReportError> {
        let frame = self.frames.get(index).ok_or_else(|| ReportError::Figure("no frame".into()))?;
        report::pixels(&self.still(layout, frame), scale)
    }

    /// A frame as a PNG file.
    ///
    /// # Errors
    /// When there is no such frame, or it cannot be drawn.
    pub fn png(&self, index: usize) -> Result<Vec<u8>, ReportError> {
        report::encoded(&self.pixels(&self.layout(), index, FINE)?)
            .map_err(|error| ReportError::Figure(error.to_string()))
    }
}
