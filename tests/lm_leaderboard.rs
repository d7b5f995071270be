//! Published leaderboards, aggregated again, and tables of a user's own.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ceteris::data::Presence;
use ceteris::studies::{CohortOutcome, Study, StudyError, find};
use ceteris::study::{Plan, StudyFile};
use polars::prelude::*;
use sha2::{Digest, Sha256};

use common::{column_numbers, column_texts};

fn study() -> &'static dyn Study {
    find("lm-leaderboard").unwrap()
}

/// Whether the published tables are here; says that the test is skipped where they are not.
fn present() -> bool {
    let here = study()
        .data()
        .iter()
        .flat_map(|set| set.presence())
        .all(|(_, presence)| matches!(presence, Presence::Here(_)));
    if !here {
        eprintln!(
            "skipped: leaderboards of HELM are missing; `ceteris data` says where to get them"
        );
    }
    here
}

fn planned(replicates: usize, rest: &str) -> Plan {
    common::planned("lm-leaderboard", replicates, rest)
}

fn outcome(plan: &Plan) -> Result<CohortOutcome, StudyError> {
    common::cohort(plan, &plan.runs.iter().collect::<Vec<_>>())
}

/// The metrics of the first run of a configuration, by name, and its tables.
fn alone(base: &str) -> (BTreeMap<&'static str, Option<f64>>, CohortOutcome) {
    let outcome = outcome(&planned(1, &format!("[base]\n{base}"))).unwrap();
    let names = study().metrics().iter().map(|metric| metric.name);
    (names.zip(outcome.runs[0].metrics.iter().copied()).collect(), outcome)
}

fn table<'a>(outcome: &'a CohortOutcome, name: &str) -> &'a DataFrame {
    common::table(study(), outcome, name)
}

#[test]
fn published_aggregates_come_out() {
    if !present() {
        return;
    }
    // Published values, and how many come out: with the contamination rule, and without it 93 fewer
    // (18 + 14 + 24 + 20 + 17 by table, computed apart from this program).
    let few = "resamples = 10\n";
    for (base, published, reproduced) in [
        ("leaderboard = \"helm-classic\"", 275.0, 275.0),
        ("leaderboard = \"helm-classic\"\ncontamination = \"ignored\"", 275.0, 182.0),
        ("leaderboard = \"helm-classic-accuracy\"\ncontamination = \"ignored\"", 67.0, 49.0),
        ("leaderboard = \"helm-lite\"", 91.0, 91.0),
        ("leaderboard = \"helm-capabilities\"\naggregation = \"mean-score\"", 65.0, 65.0),
    ] {
        let (metrics, _) = alone(&format!("{base}\n{few}"));
        assert_eq!(metrics["published_values"], Some(published), "{base}");
        assert_eq!(metrics["reproduced_values"], Some(reproduced), "{base}");
        assert_eq!(metrics["reproduced"], Some(reproduced / published), "{base}");
    }
    // Win rates are no mean scores.
    let (metrics, _) = alone(&format!("leaderboard = \"helm-capabilities\"\n{few}"));
    assert!(metrics["reproduced_values"].unwrap() < 10.0);
}

#[test]
fn coverage_names_the_holes() {
    if !present() {
        return;
    }
    let (metrics, outcome) = alone("leaderboard = \"helm-classic-accuracy\"\nresamples = 10");
    assert_eq!((metrics["results"], metrics["cells"]), (Some(876.0), Some(1072.0)));
    assert_eq!(metrics["coverage"], Some(876.0 / 1072.0));
    let coverage = table(&outcome, "coverage");
    assert_eq!(coverage.height(), 16);
    // The file: HellaSwag has results of 32 models, the first row of which has none.
    let row =
        column_texts(coverage, "scenario").iter().position(|of| of == "HellaSwag - EM").unwrap();
    assert_eq!(column_numbers(coverage, "results")[row], Some(32.0));
    let holes = &column_texts(coverage, "holes")[row];
    assert_eq!(holes.split("; ").count(), 67 - 32);
    assert!(holes.starts_with("Llama 2 (70B); LLaMA (65B); "), "{holes}");
}

#[test]
fn the_first_models_of_helm_stand_as_in_the_paper() {
    if !present() {
        return;
    }
    let file = StudyFile::read(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("ablations/lm-leaderboard/helm-classic.toml"),
    )
    .unwrap();
    let arm = file.arms.iter().find(|arm| arm.name == "accuracy/helm-2022").unwrap();
    let models = arm.configuration.get("models").unwrap().to_string();
    let models = models.trim_matches('"');
    let (metrics, outcome) = alone(&format!(
        "leaderboard = \"helm-classic-accuracy\"\nmodels = \"{models}\"\ncontamination = \"ignored\"\nresamples = 10"
    ));
    assert_eq!(metrics["competing_models"], Some(28.0));
    let standings = table(&outcome, "standings");
    let (ranks, rates) = (column_numbers(standings, "rank"), column_numbers(standings, "estimate"));
    let names = column_texts(standings, "model");
    // Computed apart from this program with Python from the same table; the paper has the same first
    // three.
    for (rank, name, rate) in [
        (1.0, "text-davinci-002", 0.973),
        (2.0, "TNLG v2 (530B)", 0.909),
        (3.0, "Anthropic-LM v4-s3 (52B)", 0.897),
        (4.0, "OPT (175B)", 0.773),
        (28.0, "YaLM (100B)", 0.148),
    ] {
        let row = names.iter().position(|known| known == name).unwrap();
        assert_eq!(ranks[row], Some(rank), "{name}");
        assert!((rates[row].unwrap() - rate).abs() < 5e-4, "{name}: {:?}", rates[row]);
    }
}

/// A table of a user's with a tie, a hole, and a scenario on which lower is better.
const OWN: &str = "model,accuracy,error,published\na,0.9,,1.0\nb,0.5,0.1,0.6\nc,0.5,0.4,0.1\n,,,\n";

fn own(folder: &Path) -> String {
    let path = folder.join("own.csv");
    fs::write(&path, OWN).unwrap();
    let hash: String =
        Sha256::digest(OWN.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "leaderboard = \"file\"\nleaderboard_file = \"{}\"\nleaderboard_sha256 = \"{hash}\"\n\
         published_column = \"published\"\nlower_is_better = \"err\"\ndecimals = 1\n",
        path.display()
    )
}

#[test]
fn own_tables_are_aggregated_as_counted_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let own = own(folder.path());
    // On accuracy a beats both, b and c tie; on error b beats c and a has nothing.
    let of = |choices: &str| {
        let (_, outcome) = alone(&format!("{own}{choices}"));
        column_numbers(table(&outcome, "standings"), "estimate")
    };
    let some = |values: [f64; 3]| values.map(Some).to_vec();
    assert_eq!(of(""), some([1.0, 0.625, 0.125]));
    assert_eq!(of("ties = \"lost\""), some([1.0, 0.5, 0.0]));
    assert_eq!(of("ties = \"row-order\""), some([1.0, 0.5, 0.25]));
    assert_eq!(of("missing_results = \"complete-scenarios\""), some([1.0, 0.25, 0.25]));
    assert_eq!(of("missing_results = \"complete-models\""), [None, Some(0.75), Some(0.25)]);
    // a loses on error against both.
    assert_eq!(of("missing_results = \"worst\""), some([0.5, 0.625, 0.375]));
    assert_eq!(of("aggregation = \"mean-scaled-score\""), some([1.0, 0.5, 0.0]));
    assert_eq!(of("left_out_scenarios = \"err\""), some([1.0, 0.25, 0.25]));
    assert_eq!(of("models = \"b; c\""), [Some(0.75), Some(0.25)]);
    // On error b is left alone.
    assert_eq!(of("left_out_models = \"c\""), [Some(1.0), Some(0.0)]);

    let (metrics, outcome) = alone(&format!("{own}focus_model = \"b\""));
    let standings = table(&outcome, "standings");
    // The tie leaves b anything from 0.5 to 0.75, and c from 0 to 0.25.
    assert_eq!(column_numbers(standings, "bound_low"), some([1.0, 0.5, 0.0]));
    assert_eq!(column_numbers(standings, "bound_high"), some([1.0, 0.75, 0.25]));
    assert_eq!(metrics["reproduced_values"], Some(3.0));
    assert_eq!((metrics["kendall"], metrics["focus_rank"]), (Some(1.0), Some(2.0)));
    assert_eq!(metrics["focus_aggregate"], Some(0.625));
    // 0.625 is published as 0.6, 0.125 as 0.1.
    assert!((metrics["largest_deviation"].unwrap() - 0.025).abs() < 1e-12);
    let pairs = table(&outcome, "pairs");
    assert_eq!(column_texts(pairs, "model"), ["a", "a", "b"]);
    assert_eq!(column_numbers(pairs, "wins"), some([1.0, 1.0, 0.75]));
    assert_eq!(column_numbers(pairs, "scenarios"), some([1.0, 1.0, 2.0]));
    // Of four equally likely resamples of two scenarios b is level with c in one: accuracy twice. a is
    // ahead wherever it has a result.
    let ahead = column_numbers(pairs, "ahead");
    assert!((ahead[2].unwrap() - 0.75).abs() < 0.02, "{ahead:?}");
    assert_eq!(ahead[0], Some(1.0));
}

#[test]
fn scenarios_are_cut_into_disjoint_parts() {
    if !present() {
        return;
    }
    let base =
        "[base]\nleaderboard = \"helm-classic-accuracy\"\nscenario_parts = 3\nresamples = 10";
    let plan_of = |replicates| planned(replicates, base);
    let three = outcome(&plan_of(3)).unwrap();
    let coverage = table(&three, "coverage");
    let mut scenarios = column_texts(coverage, "scenario");
    assert_eq!(scenarios.len(), 16);
    scenarios.sort_unstable();
    scenarios.dedup();
    assert_eq!(scenarios.len(), 16);
    let counts = |replicate: f64| {
        column_numbers(coverage, "replicate").iter().filter(|of| **of == Some(replicate)).count()
    };
    assert_eq!([counts(0.0), counts(1.0), counts(2.0)], [6, 5, 5]);
    // More parts than scenarios.
    let many = planned(17, "[base]\nscenario_parts = 17\n");
    let error = outcome(&many).unwrap_err().to_string();
    assert!(error.contains("set `scenario_parts` to the number of replicates"), "{error}");
    // What replicates are is said, and nothing is drawn where there is one part.
    let file = plan_of(3).file;
    assert_eq!(file.replicate_unit().many, "parts of the scenarios");
    assert!(!study().exact(&file.arms[0].configuration));
    assert!(study().exact(&planned(1, "[base]").file.arms[0].configuration));
}

#[test]
fn slips_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let own = own(folder.path());
    let error = |choices: &str| {
        let plan = planned(1, &format!("[base]\n{own}{choices}"));
        outcome(&plan).unwrap_err().to_string()
    };
    let says = |choices: &str, words: &str| {
        let error = error(choices);
        assert!(error.contains(words), "{choices}: {error}");
    };
    says("models = \"a; bb\"", "own.csv has no model \"bb\"; did you mean \"b\"?");
    says("left_out_scenarios = \"acuracy\"", "no scenario \"acuracy\"; did you mean \"accuracy\"?");
    says("left_out_models = \"a;b;c\"", "no model is left; leave out fewer");
    says("focus_model = \"d\"", "`focus_model` is \"d\", which does not compete");
    says("aggregation = \"mean-score\"", "must be higher for all of them");
    fs::write(folder.path().join("own.csv"), "model,accuracy\na,0.9\n").unwrap();
    says("", "not that in `leaderboard_sha256`");
    let wrong = StudyFile::parse(
        "t.toml",
        "[study]\nkind = \"lm-leaderboard\"\nname = \"t\"\nseed = 5\nreplicates = 1\n\
         [base]\nleaderboard = \"file\"\n",
    );
    let mistakes = wrong.unwrap_err().to_string();
    assert!(mistakes.contains("no table is named"), "{mistakes}");
    assert!(mistakes.contains("no SHA-256"), "{mistakes}");
    let given = "[base]\nlower_is_better = \"all\"\n";
    let text = format!(
        "[study]\nkind = \"lm-leaderboard\"\nname = \"t\"\nseed = 5\nreplicates = 1\n{given}"
    );
    let mistakes = StudyFile::parse("t.toml", &text).unwrap_err().to_string();
    assert!(mistakes.contains("brings its columns with it"), "{mistakes}");
}
