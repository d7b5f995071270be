//! Pictures of environments: where things are drawn in states whose geometry is known.

use envs::{
    Acrobot, Action, ActionSpace, CartPole, EnvError, Environment, MountainCar, Pendulum, Scene,
    Shape, make, registry,
};

fn close(found: [f64; 2], expected: [f64; 2]) {
    let distance = (found[0] - expected[0]).hypot(found[1] - expected[1]);
    assert!(distance < 1e-12, "{found:?} instead of {expected:?}");
}

fn points(shape: &Shape) -> &[[f64; 2]] {
    match shape {
        Shape::Polygon { points, .. } | Shape::Line { points, .. } => points,
        Shape::Circle { center, .. } => std::slice::from_ref(center),
    }
}

/// Gymnasium 1.4.0, `cartpole.py`: the axle is 0.06 m (7.5 of 125 pixels a metre) above the track, and
/// the pole ends 1 m - 0.04 m from it, turned clockwise by the angle.
/// sin 0.1 = 0.09983341664682815, cos 0.1 = 0.9950041652780258.
#[test]
fn the_pole_of_cartpole_leans_to_the_right_for_positive_angles() {
    let mut environment = CartPole::new();
    environment.set_physics([1.0, 0.0, 0.1, 0.0]);
    let scene = environment.scene(None).unwrap();
    let [track, cart, pole, axle] = &scene.shapes[..] else { panic!("{scene:?}") };
    assert_eq!(points(track), [[-2.4, 0.0], [2.4, 0.0]]);
    close(points(cart)[0], [0.8, -0.12]);
    close(points(cart)[2], [1.2, 0.12]);
    close(points(axle)[0], [1.0, 0.06]);
    let corners = points(pole);
    let tip = std::array::from_fn(|i| 0.5 * (corners[2][i] + corners[3][i]));
    close(tip, [1.095_840_079_980_955, 1.015_203_998_666_904_7]);
    // 0.08 m wide: the left corner of the tip is 0.04 m from it, across the pole.
    close(corners[3], [tip[0] - 0.039_800_166_611_121_03, tip[1] + 0.003_993_336_665_873_126]);
    close(scene.window.size, [4.8, 2.4]);
}

/// Gymnasium 1.4.0, `pendulum.py`: the rod of 1 m is drawn at the angle plus a right angle.
/// sin 0.5 = 0.479425538604203, cos 0.5 = 0.8775825618903728.
#[test]
fn the_pendulum_turns_counter_clockwise_with_its_angle_and_its_torque() {
    let mut environment = Pendulum::new();
    environment.set_physics([0.5, 0.0]);
    let scene = environment.scene(Some(Action::Continuous(&[1.0]))).unwrap();
    let [rod, _, arrow, _] = &scene.shapes[..] else { panic!("{scene:?}") };
    close(points(rod)[1], [-0.479_425_538_604_203, 0.877_582_561_890_372_8]);
    // Half of the largest torque: 3/8 of a turn about straight down, from its left to its right.
    let (first, last) = (points(arrow)[0], points(arrow)[24]);
    let (sin, cos) = (0.35 * 0.923_879_532_511_286_7, 0.35 * 0.382_683_432_365_089_8);
    close(first, [-sin, -cos]);
    close(last, [sin, -cos]);

    let scene = environment.scene(None).unwrap();
    assert!(points(&scene.shapes[2]).iter().all(|point| *point == points(&scene.shapes[2])[0]));
}

/// Sutton and Barto's angles: from hanging down, the second one relative to the first.
/// sin 0.3, cos 0.3 and sin 0.7, cos 0.7.
#[test]
fn the_links_of_acrobot_hang_from_each_other() {
    let mut environment = Acrobot::new();
    environment.set_physics([0.3, 0.4, 0.0, 0.0]);
    let scene = environment.scene(None).unwrap();
    let [line, first, _, second, _] = &scene.shapes[..] else { panic!("{scene:?}") };
    assert_eq!(points(line), [[-2.2, 1.0], [2.2, 1.0]]);
    let elbow = [0.295_520_206_661_339_55, -0.955_336_489_125_606];
    close(points(first)[1], elbow);
    close(points(second)[0], elbow);
    close(points(second)[1], [0.939_737_893_899_030_6, -1.720_178_676_410_094_5]);
}

/// Gymnasium 1.4.0, `mountain_car.py`: height 0.45 sin(3 x) + 0.55; 10 of 333 pixels below the car.
/// sin 1.5 = 0.9974949866040544, cos 1.5 = 0.0707372016677029.
#[test]
fn the_mountain_car_stands_on_its_slope_and_the_flag_at_the_goal() {
    let mut environment = MountainCar::new();
    environment.set_physics([0.5, 0.0]);
    let scene = environment.scene(None).unwrap();
    let [track, car, _, _, pole, _] = &scene.shapes[..] else { panic!("{scene:?}") };
    let height = 0.998_872_743_971_824_5;
    close(points(pole)[0], [0.5, height]);
    close(points(track)[0], [-1.2, 0.45 * (-3.6_f64).sin() + 0.55]);
    // Its lower corners are a car's length apart along the slope, 1.35 cos 1.5 to 1.
    let (left, right) = (points(car)[0], points(car)[3]);
    close([0.5 * (left[0] + right[0]), 0.5 * (left[1] + right[1])], [0.5, height + 0.03]);
    let slope = (right[1] - left[1]) / (right[0] - left[0]);
    assert!((slope - 1.35 * 0.070_737_201_667_702_9).abs() < 1e-12, "{slope}");
    assert!(((right[0] - left[0]).hypot(right[1] - left[1]) - 0.12).abs() < 1e-12);
}

fn act<'a>(space: &ActionSpace, values: &'a mut Vec<f32>, step: usize) -> Action<'a> {
    match space {
        ActionSpace::Discrete { n } => Action::Discrete(step % n),
        ActionSpace::Box { high, .. } => {
            *values =
                (0..high.len()).map(|index| high[index] * ((step + index) as f32).sin()).collect();
            Action::Continuous(values)
        }
    }
}

fn check(scene: &Scene, size: [f64; 2], shapes: usize, name: &str) {
    assert_eq!(scene.window.size, size, "{name}");
    assert_eq!(scene.shapes.len(), shapes, "{name}");
    let mut numbers = scene.shapes.iter().flat_map(points).flatten();
    assert!(numbers.all(|number| number.is_finite()), "{name}: {scene:?}");
}

/// Films rely on this: windows of one size, and shapes that keep their places in the order.
#[test]
fn every_environment_is_drawn_alike_in_every_state_and_drawing_changes_nothing() {
    for spec in registry() {
        let (mut drawn, mut left) = (make(spec.id).unwrap(), make(spec.id).unwrap());
        assert_eq!(drawn.scene(None), Err(EnvError::NotReset { environment: spec.id }));
        let mut observations = [vec![0.0; spec.observation_dim], vec![0.0; spec.observation_dim]];
        drawn.reset(Some(3), &mut observations[0]);
        left.reset(Some(3), &mut observations[1]);
        let first = drawn.scene(None).unwrap();
        assert!(!first.shapes.is_empty());
        assert!(drawn.step_seconds() > 0.0 && drawn.step_seconds() <= 0.2);
        for step in 0..30 {
            let (mut values, mut others) = (Vec::new(), Vec::new());
            let action = act(&spec.action_space, &mut values, step);
            let outcome = drawn.step(action, &mut observations[0]).unwrap();
            let scene = drawn.scene(Some(action)).unwrap();
            check(&scene, first.window.size, first.shapes.len(), spec.id);
            let action = act(&spec.action_space, &mut others, step);
            assert_eq!(outcome, left.step(action, &mut observations[1]).unwrap(), "{}", spec.id);
            assert_eq!(observations[0], observations[1], "{}", spec.id);
        }
    }
}

/// Expected numbers from MuJoCo 3.17.0 in Python: after `mj_kinematics`, the ends of a capsule are
/// `geom_xpos` plus and minus `geom_size[1]` times the third column of `geom_xmat`.
#[cfg(feature = "mujoco")]
mod mujoco {
    use envs::mujoco::{Mujoco, Task};
    use envs::{Arguments, Environment, Scene, Shape};

    use super::close;

    fn scene(id: &str, qpos: &[f64], velocities: usize) -> Scene {
        let mut task = Mujoco::new(Task::find(id).unwrap(), &Arguments::default()).unwrap();
        task.set_physics(qpos, &vec![0.0; velocities]).unwrap();
        task.scene(None).unwrap()
    }

    /// Ends and widths of the lines with round ends.
    fn rods(scene: &Scene) -> Vec<([[f64; 2]; 2], f64)> {
        let rods = scene.shapes.iter().filter_map(|shape| match shape {
            Shape::Line { points, width, round: true, .. } => {
                Some(([points[0], points[1]], *width))
            }
            _ => None,
        });
        rods.collect()
    }

    fn is_rod(found: &([[f64; 2]; 2], f64), ends: [[f64; 2]; 2], radius: f64) {
        close(found.0[0], ends[0]);
        close(found.0[1], ends[1]);
        assert!((found.1 - 2.0 * radius).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn hopper_from_the_side() {
        let rods_of = |qpos: [f64; 6]| {
            let scene = scene("Hopper-v4", &qpos, 6);
            assert_eq!(scene.window.center, [qpos[0], 0.85]);
            let rods = rods(&scene);
            // An outline and its inside for each of torso, thigh, leg and foot.
            assert_eq!(rods.len(), 8);
            rods
        };
        let rods = rods_of([0.0, 1.25, 0.0, 0.0, 0.0, 0.0]);
        is_rod(&rods[0], [[0.0, 1.45], [0.0, 1.05]], 0.05);
        is_rod(&rods[2], [[0.0, 1.05], [0.0, 0.6]], 0.05);
        is_rod(&rods[4], [[0.0, 0.6], [0.0, 0.1]], 0.04);
        is_rod(&rods[6], [[-0.13, 0.1], [0.26, 0.1]], 0.06);

        let rods = rods_of([2.0, 1.1, 0.2, -0.3, -0.5, 0.4]);
        let hip = [1.960_266_133_840_987_7, 0.903_986_684_431_751_8];
        let knee = [1.744_524_641_469_096_2, 0.509_074_531_581_083_8];
        let ankle = [1.323_789_149_065_147_9, 0.238_923_378_647_014_07];
        is_rod(&rods[0], [[2.039_733_866_159_012, 1.296_013_315_568_248_3], hip], 0.05);
        is_rod(&rods[2], [hip, knee], 0.05);
        is_rod(&rods[4], [knee, ankle], 0.04);
        let foot = [
            [1.216_495_519_126_889_8, 0.312_326_900_188_368_73],
            [1.538_376_408_941_664_3, 0.092_116_335_564_304_83],
        ];
        is_rod(&rods[6], foot, 0.06);
    }

    /// The camera's axes by cross products in NumPy, from 30 degrees to the front and 25 degrees above
    /// the robot's right-hand side.
    #[test]
    fn ant_from_above_with_near_limbs_in_front() {
        let half = 0.2_f64;
        let qpos = [
            3.0,
            -1.0,
            0.6,
            half.cos(),
            0.0,
            0.0,
            half.sin(),
            0.1,
            0.9,
            0.2,
            -0.8,
            -0.1,
            -0.7,
            0.3,
            0.6,
        ];
        let scene = scene("Ant-v4", &qpos, 14);
        close(scene.window.center, [2.098_076_211_353_316, -0.546_771_649_863_391]);
        let rods = rods(&scene);
        // A shadow, an outline and an inside for each of 13 geoms.
        assert_eq!(rods.len(), 39);
        let outline = |rank: usize| &rods[13 + 2 * rank];
        let farthest = [
            [1.709_576_844_363_008_8, -0.284_015_921_869_345_5],
            [1.410_436_130_463_415_9, -0.543_350_394_659_234_5],
        ];
        is_rod(outline(0), farthest, 0.08);
        let torso = [2.098_076_211_353_316, -0.456_140_871_159_726_07];
        is_rod(outline(6), [torso, torso], 0.25);
        let nearest = [
            [2.503_887_504_813_189_7, -0.618_819_278_830_681_3],
            [2.886_833_126_955_740_3, -1.021_174_498_310_670_8],
        ];
        is_rod(outline(12), nearest, 0.08);
    }
}
