//! How a task is looked at: MuJoCo's geoms, projected in parallel onto a picture.

use mujoco_rs::wrappers::mj_model::MjtGeomBase;

use super::rules::Data;
use crate::scene::{Color, Scene, Shape, Window};

type Point = [f64; 3];

/// Where a task is looked at from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Camera {
    /// From the right-hand side of a robot that walks forward: x to the right, z upwards.
    Side,
    /// From above: x to the right, y upwards.
    Top,
    /// From its right, a little from the front and from above.
    Oblique,
}

/// What a picture of a task shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) camera: Camera,
    /// Height of what is in the middle of the picture, m.
    pub(super) height: f64,
    /// Width and height of the picture, m.
    pub(super) size: [f64; 2],
    /// Whether the picture moves with the first body.
    pub(super) follows: bool,
    /// Distance of marks on the floor, m, by which one sees motion; `None` where no floor is seen.
    pub(super) marks: Option<f64>,
}

/// Directions of a parallel projection.
struct Axes {
    right: Point,
    up: Point,
    /// Towards the viewer.
    near: Point,
}

const FLOOR: Color = Color([236, 239, 242]);
const MARK: Color = Color([190, 197, 205]);
const SHADOW: Color = Color([214, 219, 225]);
/// Colour of outlines, as a share of the fill's.
const DARK: f64 = 0.55;
/// Width of outlines, as a share of the picture's width.
const OUTLINE: f64 = 0.003;
/// Every how many marks on the ground of a side view a longer one comes.
const LONG: i64 = 4;

fn dot(a: Point, b: Point) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

impl Camera {
    fn axes(self) -> Axes {
        const X: Point = [1.0, 0.0, 0.0];
        match self {
            Self::Side => Axes { right: X, up: [0.0, 0.0, 1.0], near: [0.0, -1.0, 0.0] },
            Self::Top => Axes { right: X, up: [0.0, 1.0, 0.0], near: [0.0, 0.0, 1.0] },
            Self::Oblique => {
                let (sin_a, cos_a) = libm::sincos(30.0_f64.to_radians());
                let (sin_e, cos_e) = libm::sincos(25.0_f64.to_radians());
                Axes {
                    right: [cos_a, sin_a, 0.0],
                    up: [-sin_e * sin_a, sin_e * cos_a, cos_e],
                    near: [cos_e * sin_a, -cos_e * cos_a, sin_e],
                }
            }
        }
    }
}

impl Axes {
    fn project(&self, point: Point) -> [f64; 2] {
        [dot(point, self.right), dot(point, self.up)]
    }
}

/// A geom: a thick line between two points, which are the same for a sphere.
struct Limb {
    ends: [Point; 2],
    radius: f64,
    color: Color,
    /// Nearness in micrometres: rounded, so that limbs in one plane keep their order.
    nearness: i64,
}

/// Capsules, spheres and cylinders are all that these models have beside planes; a cylinder is
/// drawn as the capsule of the same length.
fn limbs(data: &Data, axes: &Axes) -> Vec<Limb> {
    let model = data.model();
    let geoms = model.geom_type().iter().zip(model.geom_size()).zip(model.geom_rgba());
    let poses = data.geom_xpos().iter().zip(data.geom_xmat());
    let mut limbs = Vec::new();
    for (((kind, [radius, half, _]), [red, green, blue, _]), (center, turn)) in geoms.zip(poses) {
        let half = match *kind {
            MjtGeomBase::mjGEOM_SPHERE => 0.0,
            MjtGeomBase::mjGEOM_CAPSULE => *half,
            MjtGeomBase::mjGEOM_CYLINDER => (half - radius).max(0.0),
            _ => continue,
        };
        // The length is along the geom's own z.
        let along = [turn[2], turn[5], turn[8]].map(|component| half * component);
        limbs.push(Limb {
            ends: [1.0, -1.0].map(|side| std::array::from_fn(|i| center[i] + side * along[i])),
            radius: *radius,
            color: Color([*red, *green, *blue].map(|channel| (channel * 255.0).round() as u8)),
            nearness: (dot(*center, axes.near) * 1e6).round() as i64,
        });
    }
    limbs.sort_by_key(|limb| limb.nearness);
    limbs
}

/// Multiples of a distance over a stretch, a little more of them than fit; their number depends on
/// the stretch's length alone.
fn multiples(distance: f64, middle: f64, length: f64) -> impl Iterator<Item = (i64, f64)> {
    let first = ((middle - 0.5 * length) / distance).floor() as i64;
    let count = (length / distance).ceil() as i64 + 1;
    (first..first + count).map(move |index| (index, index as f64 * distance))
}

impl View {
    /// The picture of a state whose kinematics are computed.
    pub(super) fn scene(&self, data: &Data) -> Scene {
        let axes = self.camera.axes();
        let [x, y, _] = match data.xpos().get(1) {
            Some(first) if self.follows => *first,
            _ => [0.0; 3],
        };
        let center = axes.project([x, y, self.height]);
        let window = Window { center, size: self.size };
        let mut shapes = Vec::new();
        if let Some(distance) = self.marks {
            match self.camera {
                Camera::Side => ground(&window, distance, &mut shapes),
                Camera::Top | Camera::Oblique => {
                    floor(&window, &axes, [x, y], distance, &mut shapes)
                }
            }
        }
        let limbs = limbs(data, &axes);
        if self.camera == Camera::Oblique {
            for limb in &limbs {
                let ends = limb.ends.map(|[x, y, _]| axes.project([x, y, 0.0]));
                shapes.push(Shape::rod(ends, 1.4 * limb.radius, SHADOW));
            }
        }
        let outline = OUTLINE * self.size[0];
        for limb in &limbs {
            let ends = limb.ends.map(|end| axes.project(end));
            let width = 2.0 * limb.radius;
            let inside = (width - 2.0 * outline).max(0.5 * width);
            shapes.push(Shape::rod(ends, width, limb.color.darkened(DARK)));
            shapes.push(Shape::rod(ends, inside, limb.color));
        }
        Scene { window, shapes }
    }
}

/// Solid ground up to a height of zero, with marks that pass by.
fn ground(window: &Window, distance: f64, shapes: &mut Vec<Shape>) {
    let ([x, z], [width, height]) = (window.center, window.size);
    let (left, right, bottom) = (x - 0.5 * width, x + 0.5 * width, z - 0.5 * height);
    let thin = 2.0 * OUTLINE * width;
    shapes
        .push(Shape::polygon([[left, bottom], [right, bottom], [right, 0.0], [left, 0.0]], FLOOR));
    for (index, at) in multiples(distance, x, width) {
        let depth = if index.rem_euclid(LONG) == 0 { bottom } else { 0.3 * bottom };
        shapes.push(Shape::line([[at, 0.0], [at, depth]], thin, MARK));
    }
    shapes.push(Shape::line([[left, 0.0], [right, 0.0]], thin, MARK.darkened(DARK)));
}

/// A floor with a grid, seen from above.
fn floor(window: &Window, axes: &Axes, [x, y]: [f64; 2], distance: f64, shapes: &mut Vec<Shape>) {
    let ([center_x, center_y], [width, height]) = (window.center, window.size);
    let corner = |side_x: f64, side_y: f64| {
        [center_x + 0.5 * side_x * width, center_y + 0.5 * side_y * height]
    };
    shapes.push(Shape::polygon(
        [corner(-1.0, -1.0), corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0)],
        FLOOR,
    ));
    // Seen at a low angle, more of the floor fits into the picture than its height.
    let reach = width + height / axes.up[1].abs().max(0.2);
    let mut line = |ends: [Point; 2]| {
        let ends = ends.map(|end| axes.project(end));
        shapes.push(Shape::line(ends, OUTLINE * width, MARK));
    };
    for (_, at) in multiples(distance, x, reach) {
        line([[at, y - 0.5 * reach, 0.0], [at, y + 0.5 * reach, 0.0]]);
    }
    for (_, at) in multiples(distance, y, reach) {
        line([[x - 0.5 * reach, at, 0.0], [x + 0.5 * reach, at, 0.0]]);
    }
}
