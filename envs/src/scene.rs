//! What an environment looks like: flat shapes in world coordinates, drawn from back to front.

/// A colour: red, green and blue of sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Color(pub [u8; 3]);

impl Color {
    /// Black.
    pub const BLACK: Self = Self([0, 0, 0]);

    /// The colour mixed with black: 1 leaves it, 0 is black.
    #[must_use]
    pub fn darkened(self, share: f64) -> Self {
        Self(self.0.map(|channel| (f64::from(channel) * share.clamp(0.0, 1.0)).round() as u8))
    }
}

/// A shape. Coordinates and sizes are in the unit of the scene; x grows to the right, y upwards.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A filled polygon.
    Polygon {
        /// Its corners.
        points: Vec<[f64; 2]>,
        /// What fills it.
        color: Color,
    },
    /// A line through points.
    Line {
        /// Where it goes.
        points: Vec<[f64; 2]>,
        /// How thick it is.
        width: f64,
        /// Whether its ends are round; else they are cut at the first and the last point.
        round: bool,
        /// Its colour.
        color: Color,
    },
    /// A filled circle.
    Circle {
        /// Its centre.
        center: [f64; 2],
        /// Its radius.
        radius: f64,
        /// What fills it.
        color: Color,
    },
}

impl Shape {
    /// A line with cut ends.
    pub(crate) fn line(points: impl Into<Vec<[f64; 2]>>, width: f64, color: Color) -> Self {
        Self::Line { points: points.into(), width, round: false, color }
    }

    /// A line with round ends.
    pub(crate) fn rod(points: impl Into<Vec<[f64; 2]>>, width: f64, color: Color) -> Self {
        Self::Line { points: points.into(), width, round: true, color }
    }

    /// A filled circle.
    pub(crate) fn circle(center: [f64; 2], radius: f64, color: Color) -> Self {
        Self::Circle { center, radius, color }
    }

    /// A filled polygon.
    pub(crate) fn polygon(points: impl Into<Vec<[f64; 2]>>, color: Color) -> Self {
        Self::Polygon { points: points.into(), color }
    }
}

/// The part of the world that a picture shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Its middle.
    pub center: [f64; 2],
    /// Width and height; the same in every scene of an environment.
    pub size: [f64; 2],
}

impl Window {
    /// From left to right and from bottom to top.
    pub(crate) fn between([left, right]: [f64; 2], [bottom, top]: [f64; 2]) -> Self {
        Self {
            center: [0.5 * (left + right), 0.5 * (bottom + top)],
            size: [right - left, top - bottom],
        }
    }
}

/// An environment in one state.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// What a picture shows of it.
    pub window: Window,
    /// The shapes, later ones in front of earlier ones; may reach out of the window.
    pub shapes: Vec<Shape>,
}

/// A point turned about the origin, counter-clockwise by an angle in rad, then moved.
pub(crate) fn placed([x, y]: [f64; 2], angle: f64, [to_x, to_y]: [f64; 2]) -> [f64; 2] {
    let (sin, cos) = libm::sincos(angle);
    [to_x + cos * x - sin * y, to_y + sin * x + cos * y]
}
