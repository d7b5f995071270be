//! `ceteris envs`: every environment with its spaces, limits and arguments, as text or JSON.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write;

use clap::{Args, ValueEnum};
use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use envs::{ActionSpace, Argument, EnvError, EnvSpec};
use serde_json::json;

use super::flags::unknown;

/// Arguments of `ceteris envs`.
#[derive(Args, Clone, Debug)]
pub struct EnvsArgs {
    /// Only this environment, with bounds, arguments and differences between versions
    pub id: Option<String>,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    pub format: EnvsFormat,
}

/// A way to write the list of environments.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EnvsFormat {
    /// For reading in a terminal
    #[default]
    Text,
    /// For programs
    Json,
}

const HOW_TO_GET_MUJOCO: &str = "Hopper-v4, Walker2d-v5 and the other MuJoCo tasks are not in this build: run \
     scripts/setup-mujoco.sh and build with `--features mujoco`.";

/// What the versions of a MuJoCo task differ in, beside what their specs show. Versions 2 and 3 ran
/// on a simulator that Gymnasium no longer has; published results are often theirs.
const VERSIONS: [(&str, &[&str]); 10] = [
    ("InvertedPendulum", &[FINAL_REWARD]),
    (
        "InvertedDoublePendulum",
        &[FINAL_REWARD, "v5 does not observe the constraint forces on the poles, always zero"],
    ),
    (
        "Reacher",
        &[
            "the distance that is paid for is that before the step up to v4, that after it in v5",
            "v5 does not observe the third axis, always zero",
        ],
    ),
    ("Swimmer", &[ALIKE]),
    ("Hopper", &[FINAL_REWARD]),
    ("HalfCheetah", &[ALIKE]),
    (
        "Walker2d",
        &[FINAL_REWARD, "friction of the feet: 0.9 right and 1.9 left up to v4, 1.9 both in v5"],
    ),
    (
        "Ant",
        &[
            FINAL_REWARD,
            "contact forces are observed and cost reward in v2, v3 and v5, in v4 only with use_contact_forces",
        ],
    ),
    (
        "Humanoid",
        &[
            FINAL_REWARD,
            "contact forces cost reward in v2, v3 and v5, not in v4; with MuJoCo 2.0 and later they were zero in v2 and v3",
            "v5 does not observe values that are always zero",
            "results of v2 from before gym 0.21 are of another model",
        ],
    ),
    ("HumanoidStandup", &["v5 does not observe values that are always zero"]),
];
const FINAL_REWARD: &str =
    "the step that ends an episode pays for being healthy up to v4, not in v5";
const ALIKE: &str = "v2 to v5 have the same observations, rewards and terminations";

/// Runs `ceteris envs`.
///
/// # Errors
/// When there is no such environment in this build, or `out` cannot be written.
pub fn execute(args: &EnvsArgs, out: &mut dyn Write) -> Result<(), Box<dyn Error + Send + Sync>> {
    let specs: Vec<&'static EnvSpec> = match &args.id {
        None => envs::registry().to_vec(),
        Some(id) => vec![envs::spec(id).map_err(|error| match error {
            EnvError::UnknownEnvironment { id, known } => {
                unknown("environment", &id, known.into_iter())
            }
            other => other.to_string(),
        })?],
    };
    let page = match args.format {
        EnvsFormat::Json => format!("{:#}\n", json(&specs)),
        EnvsFormat::Text => match (&args.id, specs.as_slice()) {
            (Some(_), [spec]) => details(spec),
            _ => list(&specs),
        },
    };
    out.write_all(page.as_bytes())?;
    Ok(())
}

fn list(specs: &[&EnvSpec]) -> String {
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let rows = specs.iter().map(|spec| {
        vec![
            Cell::new(spec.id),
            right(spec.observation_dim.to_string()),
            Cell::new(match &spec.action_space {
                ActionSpace::Discrete { n } => format!("one of {n}"),
                ActionSpace::Box { low, high } => {
                    format!("{} in {}", reals(low.len()), hull(low, high))
                }
            }),
            right(spec.max_episode_steps.to_string()),
            right(spec.reward_threshold.map_or_else(|| "-".to_owned(), |value| value.to_string())),
            Cell::new(spec.engine),
            Cell::new(spec.description),
        ]
    });
    let header = ["id", "observations", "actions", "steps", "solved at", "engine", "task"];
    let mut page = table(&header, rows);
    page.push_str(
        "\n`ceteris envs ID` shows bounds, arguments and what differs between versions.\n",
    );
    if !cfg!(feature = "mujoco") {
        page.push_str(HOW_TO_GET_MUJOCO);
        page.push('\n');
    }
    page
}

/// A rule under the header and nothing else, which also reads well in a log.
fn table(header: &[&str], rows: impl Iterator<Item = Vec<Cell>>) -> String {
    let mut table = Table::new();
    let rule = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().header_separator(rule));
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    let lines: Vec<String> =
        table.to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect();
    lines.concat()
}

fn details(spec: &EnvSpec) -> String {
    let solved = match spec.reward_threshold {
        Some(value) => format!("a mean return of {value}"),
        None => "no threshold is registered".to_owned(),
    };
    let actions = match &spec.action_space {
        ActionSpace::Discrete { n } => format!("one of 0 to {}", n - 1),
        ActionSpace::Box { low, high } => numbers(low, high),
    };
    let observations = numbers(&spec.observation_low, &spec.observation_high);
    let mut page = format!("{}: {}\n\n", spec.id, spec.description);
    for (what, value) in [
        ("Engine", spec.engine.to_owned()),
        ("Time limit", format!("{} steps", spec.max_episode_steps)),
        ("Solved at", solved),
        ("Actions", actions),
        ("Observations", observations),
    ] {
        // Writing to a string does not fail.
        let _ = writeln!(page, "{what:<13} {value}");
    }
    page.push_str("\nArguments, as in environment_arguments = \"name=value, name=value\"\n");
    page.push_str(&arguments(&spec.arguments));
    let versions = versions(spec);
    if !versions.is_empty() {
        page.push_str("\nVersions\n");
        for difference in versions {
            let _ = writeln!(page, "- {difference}");
        }
    }
    page
}

fn arguments(arguments: &[Argument]) -> String {
    let rows = arguments.iter().map(|argument| {
        let field = argument.field;
        let unit = match field.unit {
            "" | "1" => "-",
            unit => unit,
        };
        vec![
            Cell::new(field.name),
            Cell::new(&argument.default),
            Cell::new(unit),
            Cell::new(format!("{} Takes {}.", field.summary(), field.expected())),
        ]
    });
    table(&["name", "default", "unit", "meaning"], rows)
}

/// What is known of the differences to other versions of the same task.
fn versions(spec: &EnvSpec) -> Vec<String> {
    let family = |id: &'static str| id.rsplit_once("-v").map_or(id, |(family, _)| family);
    let of_family = family(spec.id);
    let mut differences = Vec::new();
    let others = envs::registry().iter().filter(|other| family(other.id) == of_family);
    for other in others.filter(|other| other.id != spec.id) {
        if other.observation_dim != spec.observation_dim {
            differences.push(format!(
                "{} observes {} values, {} {}",
                spec.id, spec.observation_dim, other.id, other.observation_dim
            ));
        }
        for (taker, lacking) in [(spec, *other), (*other, spec)] {
            let names: Vec<&str> = taker
                .arguments
                .iter()
                .map(|argument| argument.field.name)
                .filter(|name| !lacking.arguments.iter().any(|known| known.field.name == *name))
                .collect();
            if !names.is_empty() {
                differences.push(format!("only {} takes {}", taker.id, names.join(", ")));
            }
        }
        for argument in &spec.arguments {
            let same = |known: &&Argument| known.field.name == argument.field.name;
            if let Some(there) = other.arguments.iter().find(same)
                && there.default != argument.default
            {
                differences.push(format!(
                    "{} is {} by default in {}, {} in {}",
                    argument.field.name, argument.default, spec.id, there.default, other.id
                ));
            }
        }
    }
    let known = VERSIONS.iter().find(|(name, _)| *name == of_family);
    differences
        .extend(known.into_iter().flat_map(|(_, notes)| *notes).map(|&note| note.to_owned()));
    differences
}

/// Bounds in words, neighbours with equal bounds together.
fn numbers(low: &[f32], high: &[f32]) -> String {
    let mut parts: Vec<(usize, usize, String)> = Vec::new();
    for (index, (low, high)) in low.iter().zip(high).enumerate() {
        let bounds = interval(*low, *high);
        match parts.last_mut() {
            Some((_, last, same)) if *same == bounds => *last = index,
            _ => parts.push((index, index, bounds)),
        }
    }
    let count = reals(low.len());
    match parts.as_slice() {
        [(_, _, bounds)] => format!("{count} in {bounds}"),
        parts => {
            let parts: Vec<String> = parts
                .iter()
                .map(|(first, last, bounds)| {
                    if first == last {
                        format!("{first} in {bounds}")
                    } else {
                        format!("{first} to {last} in {bounds}")
                    }
                })
                .collect();
            format!("{count}, of which {}", parts.join(", "))
        }
    }
}

fn reals(count: usize) -> String {
    format!("{count} {}", if count == 1 { "real" } else { "reals" })
}

/// The smallest interval that holds all components.
fn hull(low: &[f32], high: &[f32]) -> String {
    let least = low.iter().copied().fold(f32::INFINITY, f32::min);
    let most = high.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    interval(least, most)
}

fn interval(low: f32, high: f32) -> String {
    let open = if low.is_finite() { '[' } else { '(' };
    let close = if high.is_finite() { ']' } else { ')' };
    format!("{open}{low}, {high}{close}")
}

fn json(specs: &[&EnvSpec]) -> serde_json::Value {
    let environments: Vec<_> = specs
        .iter()
        .map(|spec| {
            let arguments: Vec<_> = spec
                .arguments
                .iter()
                .map(|argument| {
                    json!({
                        "name": argument.field.name,
                        "default": argument.default,
                        "expected": argument.field.expected(),
                        "unit": argument.field.unit,
                        "meaning": argument.field.summary(),
                        "source": argument.field.source,
                    })
                })
                .collect();
            // An infinite bound is null.
            json!({
                "id": spec.id,
                "description": spec.description,
                "engine": spec.engine,
                "observations": {
                    "length": spec.observation_dim,
                    "low": spec.observation_low,
                    "high": spec.observation_high,
                },
                "actions": spec.action_space,
                "max_episode_steps": spec.max_episode_steps,
                "reward_threshold": spec.reward_threshold,
                "arguments": arguments,
                "versions": versions(spec),
            })
        })
        .collect();
    json!({ "mujoco": cfg!(feature = "mujoco"), "environments": environments })
}

#[cfg(test)]
mod tests {
    use super::{EnvsArgs, EnvsFormat, execute, numbers};

    fn output(id: Option<&str>, format: EnvsFormat) -> Result<String, String> {
        let mut out = Vec::new();
        match execute(&EnvsArgs { id: id.map(str::to_owned), format }, &mut out) {
            Ok(()) => Ok(String::from_utf8(out).unwrap()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn neighbours_with_equal_bounds_are_told_together() {
        let infinite = f32::INFINITY;
        assert_eq!(numbers(&[-1.0; 3], &[1.0; 3]), "3 reals in [-1, 1]");
        assert_eq!(
            numbers(&[-1.0, -1.0, -infinite, 0.5], &[1.0, 1.0, infinite, 2.0]),
            "4 reals, of which 0 to 1 in [-1, 1], 2 in (-inf, inf), 3 in [0.5, 2]"
        );
    }

    #[test]
    fn one_environment_is_shown_with_bounds_and_arguments() {
        let page = output(Some("Pendulum-v1"), EnvsFormat::Text).unwrap();
        for line in [
            "Engine        built in",
            "Time limit    200 steps",
            "Solved at     no threshold is registered",
            "Actions       1 real in [-2, 2]",
            "Observations  3 reals, of which 0 to 1 in [-1, 1], 2 in [-8, 8]",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert!(page.contains("max_episode_steps"), "{page}");
        assert!(!page.contains("Versions"), "{page}");
    }

    #[test]
    fn unknown_environments_name_the_nearest() {
        let error = output(Some("Pendulm-v1"), EnvsFormat::Text).unwrap_err();
        assert_eq!(error, "unknown environment \"Pendulm-v1\"; did you mean \"Pendulum-v1\"?");
    }

    #[test]
    fn programs_read_the_same_facts() {
        let page = output(Some("CartPole-v1"), EnvsFormat::Json).unwrap();
        let page: serde_json::Value = serde_json::from_str(&page).unwrap();
        let task = &page["environments"][0];
        assert_eq!(task["id"], "CartPole-v1");
        assert_eq!(task["actions"], serde_json::json!({ "kind": "discrete", "n": 2 }));
        assert_eq!(task["observations"]["length"], 4);
        assert_eq!(task["observations"]["high"][1], serde_json::Value::Null);
        assert_eq!(task["max_episode_steps"], 500);
        assert_eq!(task["reward_threshold"], 475.0);
        assert_eq!(task["arguments"][0]["name"], "max_episode_steps");
        assert_eq!(task["arguments"][0]["default"], 500);
    }

    #[cfg(feature = "mujoco")]
    #[test]
    fn versions_of_a_task_are_compared() {
        let page = output(Some("Hopper-v4"), EnvsFormat::Text).unwrap();
        assert!(page.contains("Actions       3 reals in [-1, 1]"), "{page}");
        assert!(page.contains("only Hopper-v5 takes frame_skip"), "{page}");
        assert!(page.contains("pays for being healthy up to v4"), "{page}");
        let page = output(Some("Humanoid-v5"), EnvsFormat::Text).unwrap();
        assert!(page.contains("Humanoid-v5 observes 348 values, Humanoid-v4 376"), "{page}");
    }

    #[cfg(not(feature = "mujoco"))]
    #[test]
    fn a_build_without_mujoco_says_how_to_get_it() {
        let page = output(None, EnvsFormat::Text).unwrap();
        assert!(page.contains("scripts/setup-mujoco.sh"), "{page}");
        let error = output(Some("Hopper-v4"), EnvsFormat::Text).unwrap_err();
        assert!(error.contains("--features mujoco"), "{error}");
    }
}
