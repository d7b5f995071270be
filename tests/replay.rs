//! `ceteris replay`: what it prints, what it draws, how it fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use ceteris::replay::Recorder;
use ceteris::store::{ResultsDirectory, RunEnvironment};
use tempfile::TempDir;
use usvg::roxmltree::{Document, Node};

const STUDY: &str = r#"
[study]
kind = "policy-gradient"
name = "replays"
seed = 1
replicates = 8

[base]
preset = "cleanrl/ppo"
environment = "CartPole-v1"
total_steps = 512
evaluation_episodes = 2

[factors]
gamma = [0.9, 0.99]

[[arms]]
name = "wild"
optimizer = "sgd"
policy_learning_rate = 1e38
value_learning_rate = 1e38
"#;

fn ceteris(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ceteris")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The results of [`STUDY`], trained once for all tests, in a folder of Cargo's for tests.
fn results() -> &'static Path {
    static RESULTS: OnceLock<PathBuf> = OnceLock::new();
    RESULTS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replay");
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(&folder).unwrap();
        let (file, out) = (folder.join("study.toml"), folder.join("results"));
        fs::write(&file, STUDY).unwrap();
        let run = ceteris(&["run", path(&file), "--out", path(&out), "--no-report"]);
        assert!(run.status.success(), "{}", text(&run.stderr));
        out
    })
}

fn replay(arguments: &[&str]) -> String {
    let output = ceteris(&[&["replay", path(results())], arguments].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn a_kept_checkpoint_is_played_without_training() {
    let folder = TempDir::new().unwrap();
    let (file, out) = (folder.path().join("study.toml"), folder.path().join("results"));
    fs::write(&file, STUDY.replace("replicates = 8", "replicates = 1")).unwrap();
    let run = ["run", path(&file), "--out", path(&out), "--no-report", "--keep-checkpoints"];
    assert!(ceteris(&run).status.success());
    let ask = ["replay", path(&out), "--arm", "gamma=0.9"];
    let kept = ceteris(&ask);
    let kept = text(&kept.stdout);
    assert!(kept.contains(", from its final checkpoint\n"), "{kept}");
    assert!(kept.contains("all 2 stored episodes are bit-identical"), "{kept}");
    let again = ceteris(&[&ask[..], &["--retrain"]].concat());
    let again = text(&again.stdout);
    assert!(again.contains(", trained again\n"), "{again}");
    assert_eq!(rows(&kept), rows(&again));

    // One of another run is not played in its place.
    let checkpoint = |id: &str| out.join(format!("checkpoints/{id}-final.safetensors"));
    let id = |printed: &str| printed.split("(run ").nth(1).unwrap()[..20].to_owned();
    let other = ceteris(&["replay", path(&out), "--arm", "gamma=0.99"]);
    let (own, other) = (id(&kept), id(&text(&other.stdout)));
    fs::copy(checkpoint(&other), checkpoint(&own)).unwrap();
    let error = text(&ceteris(&ask).stderr);
    assert!(error.contains("its checkpoint is of another run; remove it"), "{error}");
    fs::write(checkpoint(&own), b"nothing").unwrap();
    assert_eq!(ceteris(&ask).status.code(), Some(1));
}

/// Rows of the printed table: episode, return, steps, and what is stored.
fn rows(printed: &str) -> Vec<(usize, f64, u32, String)> {
    printed
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [episode, return_, steps, stored @ ..] = &words[..] else { return None };
            Some((
                episode.parse().ok()?,
                return_.parse().ok()?,
                steps.parse().ok()?,
                stored.join(" "),
            ))
        })
        .collect()
}

fn fails(arguments: &[&str], parts: &[&str]) {
    let output = ceteris(&[&["replay", path(results())], arguments].concat());
    assert!(!output.status.success(), "{}", text(&output.stdout));
    let error = text(&output.stderr);
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error}");
    }
}

#[test]
fn both_modes_give_the_stored_returns_again() {
    for mode in ["deterministic", "stochastic"] {
        let printed = replay(&["--arm", "gamma=0.9", "--replicate", "3", "--mode", mode]);
        assert!(printed.contains("CartPole-v1: gamma=0.9, replicate 3 (run "), "{printed}");
        assert!(printed.contains("all 2 stored episodes are bit-identical"), "{printed}");
        assert!(printed.contains("add --svg FILE"), "{printed}");
        let rows = rows(&printed);
        assert_eq!(rows.len(), 2, "{printed}");
        for (_, return_, steps, stored) in &rows {
            // Every step of CartPole pays 1.
            assert_eq!((*return_, stored.as_str()), (f64::from(*steps), "the same"));
        }
    }
    let printed = replay(&["--arm", "gamma=0.9", "--episodes", "3"]);
    assert_eq!(rows(&printed)[2].3, "none", "{printed}");
    assert!(printed.contains("all 2 stored episodes are bit-identical"), "{printed}");
}

/// The committed results were written by another commit, perhaps on another kind of processor: then,
/// and only then, they may differ, and the reason is said.
#[test]
fn a_committed_run_gives_its_stored_returns_again() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/quickstart");
    let output = ceteris(&["replay", path(&directory), "--run", "0427c10961"]);
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(printed.contains("Pendulum-v1: value_clip=none,reward_scaling=returns"), "{printed}");
    assert_eq!(rows(&printed).len(), 10, "{printed}");
    let writers = ResultsDirectory::read(&directory).unwrap().manifest.writers;
    let here = RunEnvironment::cpu().cpu.features;
    if writers.iter().all(|writer| writer.environment.cpu.features == here) {
        assert!(printed.contains("all 10 stored episodes are bit-identical"), "{printed}");
    } else if !printed.contains("all 10 stored episodes are bit-identical") {
        assert!(printed.contains("results of another kind of processor"), "{printed}");
    }
}

fn film(folder: &Path) -> (String, Vec<u8>, Vec<u8>, PathBuf) {
    let file = |name: &str| folder.join(name);
    let (svg, gif, frames) = (file("film.svg"), file("film.gif"), file("frames"));
    let printed = replay(&[
        "--arm",
        "gamma=0.99",
        "--episode",
        "1",
        "--svg",
        path(&svg),
        "--gif",
        path(&gif),
        "--frames",
        path(&frames),
    ]);
    (printed, fs::read(svg).unwrap(), fs::read(gif).unwrap(), frames)
}

fn lists<'a>(node: Node<'a, '_>) -> impl Iterator<Item = Vec<&'a str>> {
    node.descendants()
        .filter_map(|node| node.attribute("values"))
        .map(|list| list.split(';').collect())
}

#[test]
fn an_episode_becomes_a_film_and_the_same_bytes_again() {
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let (printed, svg, gif, frames) = film(folders[0].path());
    let (_, svg_again, gif_again, frames_again) = film(folders[1].path());
    assert!(svg == svg_again && gif == gif_again);

    // 0.02 s a step: every second state is shown, and the last one.
    let length = rows(&printed)[1].2;
    let expected = length.div_ceil(2) as usize + 1;

    let svg = text(&svg);
    let document = Document::parse(&svg).unwrap();
    let captions: Vec<&str> = document
        .descendants()
        .filter(|node| node.has_tag_name("text"))
        .filter_map(|node| node.text())
        .filter(|text| text.starts_with("step "))
        .collect();
    assert_eq!(captions.len(), expected);
    assert_eq!(captions[0], "step 0, return 0.0");
    assert_eq!(captions[1], "step 2, return 2.0");
    assert_eq!(captions[expected - 1], format!("step {length}, return {length}.0"));
    // Cart, pole, axle and the strip of captions move; each list ends with a second of rest.
    let lists: Vec<Vec<&str>> = lists(document.root()).collect();
    assert_eq!(lists.len(), 4);
    assert!(lists.iter().all(|list| list.len() == expected + 25));
    let seconds = 0.04 * (expected + 25) as f64;
    assert_eq!(svg.matches(&format!("dur=\"{seconds:.3}s\"")).count(), 4);
    assert!(svg.contains("gamma=0.99, replicate 0"));
    usvg::Tree::from_str(&svg, &usvg::Options::default()).unwrap();

    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let mut decoder = options.read_info(&gif[..]).unwrap();
    assert_eq!((decoder.width(), decoder.height()), (480, 319));
    assert_eq!(decoder.repeat(), gif::Repeat::Infinite);
    let mut delays = Vec::new();
    while let Some(frame) = decoder.read_next_frame().unwrap() {
        if delays.is_empty() {
            assert_eq!((frame.width, frame.height), (480, 319));
            // The cart starts within 0.05 m of the middle and reaches 0.2 m to either side and
            // 0.12 m below the track, which is 0.4 m below the middle of the scene: black, at 100
            // pixels a metre, below titles of 51 pixels. The corner is white.
            let pixel = |x: usize, y: usize| &frame.buffer[4 * (480 * y + x)..][..4];
            assert_eq!(pixel(240, 51 + 120 + 40 + 8), [0, 0, 0, 255]);
            assert_eq!(pixel(0, 0), [255, 255, 255, 255]);
        }
        delays.push(frame.delay);
    }
    assert_eq!(delays.len(), expected);
    assert!(delays[..expected - 1].iter().all(|delay| *delay == 4));
    assert_eq!(delays[expected - 1], 104);

    let names = |folder: &Path| {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let files = names(&frames);
    assert_eq!(files.len(), expected);
    assert_eq!(files[0], "frame-0000.png");
    assert_eq!(files, names(&frames_again));
    for file in files {
        let bytes = fs::read(frames.join(&file)).unwrap();
        assert_eq!(bytes, fs::read(frames_again.join(&file)).unwrap());
        // Width and height in the header of a PNG file.
        assert_eq!(bytes[16..24], [0, 0, 3, 192, 0, 0, 2, 126]);
    }

    let new = folders[0].path().join("frames");
    let new = path(&new);
    fails(&["--arm", "gamma=0.99", "--frames", new], &["frames: the folder is not empty"]);
}

/// Chromium's drawing of the SVG at a time is the frame of that time, which usvg and tiny-skia drew.
#[test]
fn a_browser_shows_the_frame_of_each_time() {
    if !Path::new("tests/browser/node_modules/complete").exists() {
        let said = "scripts/setup-browser.sh has not been run";
        assert!(std::env::var_os("CETERIS_REQUIRE_BROWSER").is_none(), "{said}");
        println!("skipped: {said}");
        return;
    }
    let folder = TempDir::new().unwrap();
    let (printed, _, _, frames) = film(folder.path());
    let length = rows(&printed)[1].2;
    let last = length.div_ceil(2);
    let frame = |index: u32| frames.join(format!("frame-{index:04}.png"));
    let at = |seconds: f64, index: u32| format!("{seconds}={}", path(&frame(index)));
    // 25 frames a second; the last one is shown for a second more. The last comparison is with
    // another frame than the one that is shown.
    let end = 0.04 * f64::from(last) + 0.5;
    let output = Command::new("node")
        .args(["tests/browser/film.mjs", path(&folder.path().join("film.svg")), "51", "240"])
        .args([at(0.0, 0), at(0.13, 3), at(end, last), at(end, 0)])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let captions = ["step 0, return 0.0".to_owned(), "step 6, return 6.0".to_owned()];
    let end = format!("step {length}, return {length}.0");
    for (moment, caption) in captions.iter().chain([&end]).enumerate() {
        assert_eq!(found[moment]["caption"], *caption, "{found}");
        assert!(found[moment]["share"].as_f64().unwrap() < 0.001, "{found}");
    }
    assert!(found[3]["share"].as_f64().unwrap() > 0.005, "{found}");
}

#[test]
fn mistakes_are_named_with_what_would_be_right() {
    let results_of = ResultsDirectory::read(results()).unwrap();
    let ids: Vec<String> = results_of.plan.runs.iter().map(|run| run.id.to_string()).collect();
    fails(&[], &["--run <ID>", "--arm <NAME>"]);
    fails(&["--run", "x", "--arm", "y"], &["cannot be used with"]);
    fails(&["--run", "", "--svg", "a.svg"], &["24 runs have an id that begins with", "and 4 more"]);
    let near = format!("{}x", ids[4]);
    fails(&["--run", &near], &[&format!("did you mean {}?", ids[4])]);
    fails(&["--arm", "gama=0.9"], &["did you mean `gamma=0.9`?", "gamma=0.99"]);
    fails(&["--arm", "gamma=0.9", "--replicate", "8"], &["it has 0, 1, 2, 3, 4, 5, 6, 7"]);
    fails(&["--run", &ids[0], "--svg", "no-such-folder/a.svg"], &["there is no folder"]);
    fails(&["--run", &ids[0], "--gif", path(results())], &["this is a folder; name a file"]);
    fails(&["--arm", "wild"], &["diverged when it was trained", "no final policy"]);
    let printed = replay(&["--run", &ids[4][..12]]);
    let run = &results_of.plan.runs[4];
    assert!(printed.contains(&format!("{}, replicate {}", run.arm, run.replicate)), "{printed}");
}

/// At most 30 frames a second, in real time: steps of 0.008 s (Hopper) give 25, 0.015 s (Humanoid)
/// 22.2, 1/30 s (MountainCar) 30, 0.05 s (Pendulum) 20.
#[test]
fn frames_keep_time() {
    for (step_seconds, every) in [(0.008, 5), (0.015, 3), (1.0 / 30.0, 1), (0.05, 1), (0.02, 2)] {
        let recorder = Recorder::new(step_seconds);
        let wanted: Vec<u32> = (0..=10).filter(|step| recorder.wants(*step, *step == 10)).collect();
        let mut expected: Vec<u32> = (0..=10).step_by(every).collect();
        if expected.last() != Some(&10) {
            expected.push(10);
        }
        assert_eq!(wanted, expected, "{step_seconds}");
        let frame_seconds = recorder.finish().frame_seconds;
        assert!((frame_seconds - step_seconds * every as f64).abs() < 1e-12, "{frame_seconds}");
    }
}
