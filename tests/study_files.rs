//! Study files through the public interface: what they resolve to, and what is said about
//! mistakes in them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use analysis::Estimator;
use ceteris::studies::{Configuration, registry};
use ceteris::study::{
    ArmPair, ClaimEstimate, ClaimRule, Diagnostic, Diagnostics, MAX_ARMS, MAX_RUNS, Reference, Run,
    Sign, StudyFile, Tuning, TuningRule, plan,
};
use flags::{Kind, Value};
use proptest::prelude::*;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/study-files").join(name)
}

fn good(name: &str) -> StudyFile {
    StudyFile::read(folder("good").join(name)).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// One mistake in one line, as the files under `bad/` state them after `#!`.
fn stated(diagnostics: &Diagnostics, diagnostic: &Diagnostic) -> String {
    let (line, column) = diagnostics.location(diagnostic).unwrap();
    let mut text = format!("{line}:{column} {}", diagnostic.message);
    if let Some(expected) = &diagnostic.expected {
        text.push_str(&format!(" // expected {expected}"));
    }
    if let Some(help) = &diagnostic.help {
        text.push_str(&format!(" // help: {help}"));
    }
    text
}

#[test]
fn every_mistake_of_every_bad_file_is_reported_with_its_place() {
    let mut checked = BTreeSet::new();
    for entry in std::fs::read_dir(folder("bad")).unwrap() {
        let path = entry.unwrap().path();
        // Every registered kind, so that a new one changes no file.
        let kinds: Vec<String> =
            registry().iter().map(|study| format!("{:?}", study.kind())).collect();
        let text = std::fs::read_to_string(&path).unwrap().replace("KINDS", &kinds.join(", "));
        let expected: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("#! ")).collect();
        let diagnostics = StudyFile::read(&path).unwrap_err();
        let found: Vec<String> =
            diagnostics.iter().map(|diagnostic| stated(&diagnostics, diagnostic)).collect();
        assert_eq!(found, expected, "{}", path.display());
        checked.insert(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    let expected = [
        "arms.toml",
        "claims.toml",
        "empty-lists.toml",
        "factors.toml",
        "missing-keys.toml",
        "missing-sections.toml",
        "names.toml",
        "other-kind.toml",
        "shapes.toml",
        "syntax.toml",
        "too-many.toml",
        "tuning.toml",
        "values.toml",
    ];
    assert_eq!(checked, expected.map(str::to_owned).into());
}

#[test]
fn mistakes_are_rendered_with_line_carets_and_help() {
    let text = "[study]\nkind = \"policy-gradient\"\nname = \"t\"\nseed = 1\nreplicates = 1\n\n\
                [base]\ngama = 0.9 # ÄÖ\nvalue_clip = \"maxx\"\n";
    let diagnostics = StudyFile::parse("studies/t.toml", text).unwrap_err();
    let expected = "\
error: unknown field `gama`
 --> studies/t.toml:8:1
  |
8 | gama = 0.9 # ÄÖ
  | ^^^^ expected a field of policy-gradient
  |
help: did you mean `gamma`?

error: `value_clip` has no level \"maxx\"
 --> studies/t.toml:9:14
  |
9 | value_clip = \"maxx\"
  |              ^^^^^^ expected one of \"none\", \"max\", \"min\", \"square-after-max\"
  |
help: did you mean \"max\"?

error: 2 mistakes in studies/t.toml; nothing was run";
    assert_eq!(diagnostics.to_string(), expected);
    assert!(diagnostics.render(true).contains("\u{1b}["));
    assert_eq!(diagnostics.len(), 2);
}

#[test]
fn unreadable_files_are_reported() {
    let diagnostics = StudyFile::read("no/such/file.toml").unwrap_err();
    let only = diagnostics.iter().next().unwrap();
    assert!(only.message.starts_with("cannot read no/such/file.toml: "), "{}", only.message);
    assert_eq!(diagnostics.location(only), None);

    let diagnostics = StudyFile::from_bytes("t.toml", b"[study]\nname = \"\xff\"\n").unwrap_err();
    let only = diagnostics.iter().next().unwrap();
    assert_eq!(only.message, "the file is not UTF-8 text");
    assert_eq!(diagnostics.location(only), Some((2, 9)));
    assert!(diagnostics.render(false).contains("t.toml:2:9"));
}

#[test]
fn unknown_environments_are_found_wherever_they_are_set() {
    let header = "[study]\nkind = \"policy-gradient\"\nname = \"t\"\nseed = 1\nreplicates = 1\n";
    let cases = [
        ("[base]\nenvironment = \"Pendulm-v1\"\n", (7, 15)),
        ("[base]\n[factors]\nenvironment = [\"Pendulum-v1\", \"Pendulm-v1\"]\n", (8, 31)),
        ("[base]\n[[arms]]\nname = \"a\"\nenvironment = \"Pendulm-v1\"\n", (9, 15)),
    ];
    for (rest, place) in cases {
        let diagnostics = StudyFile::parse("t.toml", &format!("{header}{rest}")).unwrap_err();
        assert_eq!(diagnostics.len(), 1, "{diagnostics}");
        let only = diagnostics.iter().next().unwrap();
        assert_eq!(diagnostics.location(only), Some(place), "{diagnostics}");
        assert!(diagnostics.to_string().contains("Pendulum-v1"), "{diagnostics}");
    }
}

#[test]
fn a_factorial_is_crossed_in_order_of_declaration() {
    let file = good("factorial.toml");
    assert_eq!(file.study.kind(), "policy-gradient");
    assert_eq!(file.name, "factorial");
    assert_eq!(file.title, "Value clipping and initialisation");
    assert_eq!(file.seed, 20_200_504);
    assert_eq!(file.replicates, [0, 1, 2, 3, 4]);
    assert_eq!(file.sha256.len(), 64);
    let names: Vec<&str> = file.arms.iter().map(|arm| arm.name.as_str()).collect();
    let expected = [
        "value_clip=none,initialisation=orthogonal",
        "value_clip=none,initialisation=xavier",
        "value_clip=max,initialisation=orthogonal",
        "value_clip=max,initialisation=xavier",
        "no-observation-normalization",
    ];
    assert_eq!(names, expected);
    let value = |arm: usize, field: &str| file.arms[arm].configuration.get(field).cloned();
    assert_eq!(value(1, "total_steps"), Some(Value::Integer(50_000)));
    assert_eq!(value(1, "value_clip"), Some(Value::from("none")));
    assert_eq!(value(1, "initializer"), Some(Value::from("xavier-uniform")));
    assert_eq!(value(1, "hidden_scale"), Some(Value::Float(1.0)));
    assert_eq!(value(1, "observation_normalization"), Some(Value::from("release")));
    assert_eq!(value(4, "observation_normalization"), Some(Value::from("none")));
    assert_eq!(value(4, "initializer"), Some(Value::from("orthogonal")));
    assert_eq!(file.arms[1].levels[1].factor, "initialisation");
    assert_eq!(file.arms[1].levels[1].level, "xavier");
    assert!(file.arms[4].levels.is_empty());

    let plan = plan(file);
    assert_eq!(plan.members.len(), 25);
    // The base has value_clip "max" and an orthogonal initialiser, but no other arm leaves the
    // observations as they are: nothing is shared.
    assert_eq!(plan.runs.len(), 25);
    let first: Vec<(&str, u64)> =
        plan.runs.iter().take(6).map(|run| (run.arm.as_str(), run.replicate)).collect();
    assert_eq!(first[4], ("no-observation-normalization", 0));
    assert_eq!(first[5], ("value_clip=none,initialisation=orthogonal", 1));
}

#[test]
fn a_base_alone_is_one_arm() {
    let file = good("base-only.toml");
    assert_eq!(file.title, "base-only");
    assert_eq!(file.seed, u64::MAX);
    assert_eq!(file.replicates, [0, 3, 7]);
    assert_eq!(file.arms.len(), 1);
    assert_eq!(file.arms[0].name, "base");
    let configuration = &file.arms[0].configuration;
    assert_eq!(configuration.get("observation_clip"), Some(&Value::from("off")));
    let widths = Value::List(vec![Value::Integer(32), Value::Integer(16)]);
    assert_eq!(configuration.get("policy_hidden"), Some(&widths));
}

#[test]
fn named_arms_replace_the_base() {
    let file = good("named-arms.toml");
    assert_eq!(file.seed, 16);
    let names: Vec<&str> = file.arms.iter().map(|arm| arm.name.as_str()).collect();
    assert_eq!(names, ["base", "small.net+relu"]);
}

#[test]
fn claims_name_an_estimate_and_a_rule() {
    let file = good("claims.toml");
    let pair = |arm: &str, minus: &str| ArmPair { arm: arm.to_owned(), minus: minus.to_owned() };
    let activations = pair("pendulum/tanh", "pendulum/relu");
    let gamma = |clip: &str| {
        pair(&format!("gamma=0.9,value_clip={clip}"), &format!("gamma=1.0,value_clip={clip}"))
    };
    let effect = |factor: &str, from: &str, to: &str| ClaimEstimate::Effect {
        factor: factor.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
    };
    let estimates: Vec<&ClaimEstimate> = file.claims.iter().map(|claim| &claim.estimate).collect();
    assert_eq!(
        estimates,
        [
            &ClaimEstimate::Mean("pendulum/relu".to_owned()),
            &ClaimEstimate::Difference(activations.clone()),
            &ClaimEstimate::LargestDifference(vec![activations.clone(), gamma("max")]),
            &ClaimEstimate::Excess {
                of: vec![activations],
                over: vec![gamma("none"), gamma("max")]
            },
            // Levels may be written as values.
            &effect("gamma", "0.9", "1.0"),
            &effect("value_clip", "none", "max"),
        ]
    );
    let reference = |value, interval| Reference { value, interval };
    let rules: Vec<ClaimRule> = file.claims.iter().map(|claim| claim.rule).collect();
    assert_eq!(
        rules,
        [
            ClaimRule::Equal { reference: reference(-150.0, Some((-160.0, -140.5))), margin: 0.15 },
            ClaimRule::Sign { expected: Sign::Positive, reference: None },
            ClaimRule::Equal { reference: reference(20.0, None), margin: 1.0 },
            ClaimRule::Sign { expected: Sign::Negative, reference: Some(reference(-3.0, None)) },
            ClaimRule::Sign { expected: Sign::Negative, reference: None },
            ClaimRule::Sign {
                expected: Sign::Positive,
                reference: Some(reference(2.0, Some((1.0, 3.0))))
            },
        ]
    );
    // The headline, unless the claim names another.
    assert_eq!(file.claims[0].metric, "return_last_5");
    assert_eq!(file.claims[1].metric, "return_max");
    assert_eq!(file.claims[0].statement, "The mean return is -150.");
    assert_eq!(file.claims[0].source, "Somebody 2020, Table 1");
}

#[test]
fn claims_do_not_enter_identities() {
    let text = std::fs::read_to_string(folder("good").join("claims.toml")).unwrap();
    let without = &text[..text.find("[[claims]]").unwrap()];
    let ids = |text: &str| ids(&plan(StudyFile::parse("t.toml", text).unwrap()).runs);
    assert_eq!(ids(&text), ids(without));
}

#[test]
fn tuning_names_a_factor_and_the_seeds_that_choose() {
    let factors = "[factors]\ngamma = [0.9, 1]\nvalue_clip = [\"none\"]\n[tuning]\n";
    let tuning = |rest: &str| study("gamma = 0.99", &format!("{factors}{rest}")).tuning.unwrap();
    let fresh = Tuning {
        factor: "gamma".into(),
        metric: "return_last_5",
        by: Estimator::Mean,
        rule: TuningRule::FreshSeeds { replicates: 1 },
    };
    assert_eq!(tuning("factor = \"gamma\"\nrule = \"fresh-seeds\"\nreplicates = 1"), fresh);
    let nested = Tuning {
        metric: "return_max",
        by: Estimator::Iqm,
        rule: TuningRule::NestedBootstrap,
        ..fresh
    };
    assert_eq!(
        tuning(
            "factor = \"gamma\"\nrule = \"nested-bootstrap\"\nmetric = \"return_max\"\nby = \"iqm\""
        ),
        nested
    );
    let mistakes = |rest: &str| {
        let text = format!(
            "[study]\nkind = \"policy-gradient\"\nname = \"t\"\nseed = 1\nreplicates = 2\n[base]\n\
             {factors}{rest}"
        );
        let diagnostics = StudyFile::parse("t.toml", &text).unwrap_err();
        diagnostics.iter().map(|mistake| stated(&diagnostics, mistake)).collect::<Vec<_>>()
    };
    assert_eq!(
        mistakes("factor = \"value_clip\"\nrule = \"naive\"\nreplicates = 1"),
        [
            "11:10 the factor \"value_clip\" has one level, nothing to choose from \
             // expected a factor with two levels at least",
            "13:1 `replicates` has no meaning with the rule \"naive\" \
             // expected it left out, or the rule \"fresh-seeds\"",
        ]
    );
    assert_eq!(
        mistakes("factor = \"gamma\"\nrule = \"fresh-seeds\""),
        ["12:8 `replicates` is missing beside the rule \"fresh-seeds\" \
          // expected how many of the first replicates choose"]
    );
    assert_eq!(
        mistakes("factor = \"gamma\"\nrule = \"fresh-seeds\"\nreplicates = 2"),
        ["13:14 `replicates` is 2, out of range // expected a whole number in [1, 1]"]
    );
    assert_eq!(
        mistakes("factor = \"gamma\"\nrule = \"fresh\""),
        ["12:8 `rule` is \"fresh\" \
          // expected one of \"fresh-seeds\", \"nested-bootstrap\", \"naive\""]
    );
}

#[test]
fn a_mistake_in_a_factor_or_an_arm_is_not_also_one_of_its_claims() {
    let claims =
        "[[claims]]\nname = \"c\"\nstatement = \"c\"\nsource = \"c\"\nexpect = \"positive\"\n";
    let header =
        "[study]\nkind = \"policy-gradient\"\nname = \"t\"\nseed = 1\nreplicates = 1\n[base]\n";
    let cases = [
        // The level, and with it the names of the arms, are not what was meant.
        (
            "[factors]\ngamma = [0.9, 1.1]\n",
            "{ effect = { factor = \"gamma\", from = 0.9, to = 1 } }",
        ),
        ("[factors]\ngama = [0.9, 1]\n", "{ effect = { factor = \"gamma\", from = 0.9, to = 1 } }"),
        ("[factors]\ngamma = [0.9, 1.1]\n", "{ mean = \"gamma=1.0\" }"),
        ("[[arms]]\nname = \"a b\"\n", "{ mean = \"a-b\" }"),
        ("[[arms]]\n[[arms]]\nname = \"b\"\n", "{ mean = \"a\" }"),
    ];
    for (rest, estimate) in cases {
        let text = format!("{header}{rest}{claims}estimate = {estimate}\n");
        let diagnostics = StudyFile::parse("t.toml", &text).unwrap_err();
        assert_eq!(diagnostics.len(), 1, "{diagnostics}");
    }
}

#[test]
fn arms_with_equal_configurations_share_their_runs() {
    let file = study("gamma = 0.99", "[factors]\ngamma = [0.9, 0.99]\n[[arms]]\nname = \"base\"\n");
    let plan = plan(file);
    let shared: Vec<usize> = plan.members.iter().map(|member| member.run).collect();
    assert_eq!(shared, [0, 1, 1, 2, 3, 3]);
    assert_eq!(plan.runs[1].arm, "gamma=0.99");
    assert_eq!(plan.runs.len(), 4);
}

#[test]
fn a_file_can_be_made_again_from_its_text() {
    let file = good("factorial.toml");
    let again = StudyFile::parse(&file.path, &file.text).unwrap();
    assert_eq!(again.sha256, file.sha256);
    assert_eq!(ids(&plan(again).runs), ids(&plan(file).runs));
}

/// A study with two replicates.
fn study(base: &str, rest: &str) -> StudyFile {
    let text = format!(
        "[study]\nkind = \"policy-gradient\"\nname = \"t\"\nseed = 1\nreplicates = 2\n\
         [base]\n{base}\n{rest}"
    );
    StudyFile::parse("t.toml", &text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn ids(runs: &[Run]) -> Vec<String> {
    runs.iter().map(|run| run.id.to_string()).collect()
}

fn first_id(base: &str) -> String {
    ids(&plan(study(base, "")).runs)[0].clone()
}

#[test]
fn identities_depend_on_values_alone() {
    let id = first_id("gamma = 1.0\nvalue_clip = \"min\"");
    assert_eq!(id.len(), 20);
    assert!(id.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)), "{id}");
    assert_eq!(first_id("value_clip = \"min\"\ngamma = 1"), id);
    assert_eq!(first_id("# a comment\n\"gamma\" = 10e-1\nvalue_clip = 'min'"), id);
    // A default that is written out is still that value.
    assert_eq!(first_id("gae_lambda = 0.95\ngamma = 1\nvalue_clip = \"min\""), id);
    let runs = plan(study("gamma = 1\nvalue_clip = \"min\"", "")).runs;
    assert_ne!(runs[1].id, runs[0].id);
}

#[test]
fn changing_any_field_changes_the_identity() {
    let defaults = study("", "");
    let configuration: &Configuration = &defaults.arms[0].configuration;
    let base = first_id("");
    let mut seen = BTreeSet::from([base]);
    for (field, value) in configuration.iter() {
        let other = match (field.kind, value) {
            (Kind::Bool, Value::Bool(value)) => Value::Bool(!value),
            (Kind::Integer, Value::Integer(value)) => Value::Integer(value + 1),
            (Kind::Float, Value::Float(value)) => Value::Float(value * 0.5 + 0.001),
            (Kind::OptionalFloat, Value::Float(_)) => Value::from("off"),
            (Kind::OptionalFloat, _) => Value::Float(0.5),
            (Kind::Level(levels), Value::Text(text)) => {
                Value::from(levels.iter().find(|level| level.name != text).unwrap().name)
            }
            (Kind::Text, _) => Value::from("CartPole-v1"),
            (Kind::Integers, _) => Value::List(vec![Value::Integer(32)]),
            (kind, value) => panic!("{kind:?} {value:?}"),
        };
        // Set through the study, since some fields can only change together with others.
        let mut changed = configuration.clone();
        defaults.study.set(&mut changed, field.name, &other).unwrap();
        let id = ceteris::study::RunId::of(defaults.study, 1, 0, &changed).to_string();
        assert!(seen.insert(id), "{} does not enter the identity", field.name);
    }
    assert_eq!(seen.len(), configuration.iter().count() + 1);
}

#[test]
fn the_committed_page_on_flags_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/flags.md");
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(
        committed == ceteris::cli::flags::manual_page(),
        "run `ceteris flags --format markdown > docs/flags.md`"
    );
}

/// Whatever the text, there is a study file, or mistakes that lie inside the text.
fn holds(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match StudyFile::from_bytes("t.toml", bytes) {
        Ok(file) => {
            assert!((1..=MAX_ARMS).contains(&file.arms.len()));
            assert!((1..=MAX_RUNS).contains(&file.members()));
        }
        Err(diagnostics) => {
            assert!(diagnostics.len() > 0);
            for diagnostic in &diagnostics {
                let span = diagnostic.span.clone().unwrap();
                assert!(text.get(span.clone()).is_some(), "{span:?}: {diagnostics}");
                assert!(diagnostics.location(diagnostic).is_some());
            }
            assert!(diagnostics.render(false).contains("t.toml"));
        }
    }
}

const VALID: [&str; 2] =
    [include_str!("study-files/good/factorial.toml"), include_str!("study-files/good/claims.toml")];

#[derive(Clone, Debug)]
enum Edit {
    Delete(f64, f64),
    Duplicate(f64, f64),
    Replace(f64, f64, String),
}

fn edits() -> impl Strategy<Value = Edit> {
    let place = || (0.0..1.0f64, 0.0..0.1f64);
    let piece = prop_oneof![
        "\\PC{0,6}",
        prop::sample::select(vec![
            "[",
            "]",
            "[[",
            "]]",
            "{",
            "}",
            "=",
            "\"",
            "'''",
            "\n",
            ",",
            ".",
            "#",
            "study",
            "base",
            "factors",
            "arms",
            "name",
            "preset",
            "gamma",
            "1",
            "-1",
            "1e400",
            "nan",
            "inf",
            "true",
            "1979-05-27",
            "07:32:00",
            "0xff",
            "99999999999999999999",
            "\u{feff}",
            "\r\n",
            "\u{0}",
        ])
        .prop_map(str::to_owned),
    ];
    prop_oneof![
        place().prop_map(|(at, length)| Edit::Delete(at, length)),
        place().prop_map(|(at, length)| Edit::Duplicate(at, length)),
        (place(), piece).prop_map(|((at, length), piece)| Edit::Replace(at, length, piece)),
    ]
}

fn edited(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for edit in edits {
        let (Edit::Delete(at, length) | Edit::Duplicate(at, length) | Edit::Replace(at, length, _)) =
            edit;
        let start = (at * bytes.len() as f64) as usize;
        let end = (start + (length * bytes.len() as f64) as usize).min(bytes.len());
        let piece = match edit {
            Edit::Delete(..) => Vec::new(),
            Edit::Duplicate(..) => bytes[start..end].repeat(2),
            Edit::Replace(_, _, piece) => piece.clone().into_bytes(),
        };
        bytes.splice(start..end, piece);
    }
    bytes
}

/// Keys that mean something somewhere, and some that do not.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "study",
            "base",
            "factors",
            "arms",
            "claims",
            "estimate",
            "mean",
            "excess",
            "effect",
            "reference",
            "margin",
            "expect",
            "kind",
            "name",
            "seed",
            "replicates",
            "title",
            "preset",
            "gamma",
            "value_clip",
            "policy_hidden",
            "observation_clip",
            "environment",
            "total_steps",
            "minibatches",
        ])
        .prop_map(str::to_owned),
        "[a-z]{1,4}",
    ]
}

fn toml_value() -> impl Strategy<Value = toml::Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(toml::Value::Boolean),
        any::<i64>().prop_map(toml::Value::Integer),
        (0..10i64).prop_map(toml::Value::Integer),
        any::<f64>().prop_map(toml::Value::Float),
        prop::sample::select(vec!["policy-gradient", "none", "max", "off", "Pendulum-v1", "a", ""])
            .prop_map(toml::Value::from),
        Just("1979-05-27T07:32:00Z".parse().map(toml::Value::Datetime).unwrap()),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(toml::Value::Array),
            prop::collection::btree_map(key(), inner, 0..6)
                .prop_map(|map| toml::Value::Table(map.into_iter().collect())),
        ]
    })
}

/// Fields with levels that go with every other choice.
const FACTORS: [(&str, &[&str]); 6] = [
    ("gamma", &["0.9", "0.95", "0.99", "1"]),
    ("value_clip", &["\"none\"", "\"max\"", "\"min\""]),
    ("observation_clip", &["\"off\"", "5", "10.0"]),
    ("activation", &["\"tanh\"", "\"relu\""]),
    ("policy_hidden", &["[64, 64]", "[32, 32]", "[8, 8]"]),
    ("policy_annealing", &["\"none\"", "\"linear\""]),
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn arbitrary_bytes_are_handled(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        holds(&bytes);
    }

    #[test]
    fn arbitrary_text_is_handled(text in "(\\[{0,2}[a-z]{0,5}\\]{0,2}|[a-z.]{1,9} ?= ?|[\"'0-9\\[{},\n\r\t é]){0,40}") {
        holds(text.as_bytes());
    }

    #[test]
    fn mutated_study_files_are_handled(edits in prop::collection::vec(edits(), 1..6)) {
        for valid in VALID {
            holds(&edited(valid.as_bytes().to_vec(), &edits));
        }
    }

    #[test]
    fn arbitrary_structures_are_handled(table in prop::collection::btree_map(key(), toml_value(), 0..6)) {
        let table: toml::Table = table.into_iter().collect();
        holds(toml::to_string(&table).unwrap().as_bytes());
    }

    #[test]
    fn arbitrary_sections_of_a_study_are_handled(
        sections in prop::collection::btree_map(
            prop::sample::select(vec!["base", "factors", "arms", "claims"]), toml_value(), 0..5)
    ) {
        let mut table = toml::Table::new();
        let header = "kind = \"policy-gradient\"\nname = \"t\"\nseed = 1\nreplicates = 1";
        table.insert("study".into(), toml::Value::Table(header.parse().unwrap()));
        table.extend(sections.into_iter().map(|(key, value)| (key.to_owned(), value)));
        holds(toml::to_string(&table).unwrap().as_bytes());
    }
}

proptest! {
    // Each case checks up to some hundred arms.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn a_grid_has_the_product_of_its_levels(
        counts in prop::collection::vec(0..4usize, FACTORS.len()),
        arms in 0..4usize,
        replicates in 1..4u64,
    ) {
        let mut text = format!(
            "[study]\nkind = \"policy-gradient\"\nname = \"t\"\nseed = 1\n\
             replicates = {replicates}\n[base]\n"
        );
        let mut product = 1;
        let mut factors = 0;
        for ((name, levels), count) in FACTORS.iter().zip(counts) {
            let count = count.min(levels.len());
            if count > 0 {
                text.push_str(if factors == 0 { "[factors]\n" } else { "" });
                text.push_str(&format!("{name} = [{}]\n", levels[..count].join(", ")));
                product *= count;
                factors += 1;
            }
        }
        for arm in 0..arms {
            text.push_str(&format!("[[arms]]\nname = \"arm-{arm}\"\ngamma = 0.{}\n", arm + 1));
        }
        let grid = if factors == 0 && arms > 0 { 0 } else { product };
        let file = StudyFile::parse("t.toml", &text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        prop_assert_eq!(file.arms.len(), grid + arms);
        prop_assert!(file.arms.iter().take(grid).all(|arm| arm.levels.len() == factors));
        let names: BTreeSet<&str> = file.arms.iter().map(|arm| arm.name.as_str()).collect();
        prop_assert_eq!(names.len(), grid + arms);
        let plan = plan(file);
        prop_assert_eq!(plan.members.len() as u64, (grid + arms) as u64 * replicates);
    }

    #[test]
    fn the_order_of_keys_does_not_enter_identities(order in Just((0..FACTORS.len()).collect::<Vec<_>>()).prop_shuffle()) {
        let base = |order: &[usize]| {
            let lines = order.iter().map(|at| format!("{} = {}\n", FACTORS[*at].0, FACTORS[*at].1[1]));
            first_id(&lines.collect::<String>())
        };
        let declared: Vec<usize> = (0..FACTORS.len()).collect();
        prop_assert_eq!(base(&order), base(&declared));
    }
}
