//! How two writers relate: whether their numbers must have the same bits.

use crate::store::Writer;

/// How the program and machine that stored a run relate to those that trained it again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relation {
    /// What differs about the code: commits, or that sources had changed; empty for the same code.
    pub code: Vec<String>,
    /// What differs of that by which bits may differ: target, numeric dependencies, instruction
    /// sets, device. Empty where equal bits are promised.
    pub machine: Vec<String>,
    /// Whether either computed on a GPU, of which only a tolerance is promised.
    pub on_gpu: bool,
}

impl Relation {
    /// Compares the writer of a run with the present one; a run whose part was not entered into the
    /// manifest yet has an unknown writer.
    pub fn between(stored: Option<&Writer>, own: &Writer) -> Self {
        let Some(stored) = stored else {
            return Self { code: vec!["the writer is unknown".into()], ..Self::default() };
        };
        let mut relation = Self {
            on_gpu: [stored, own].iter().any(|writer| writer.environment.device.kind != "cpu"),
            ..Self::default()
        };
        let (a, b) = (&stored.build, &own.build);
        if a.commit != b.commit {
            relation.code.push(format!(
                "commit {} then, {} now",
                short(&a.commit),
                short(&b.commit)
            ));
        }
        for (when, build) in [("then", a), ("now", b)] {
            if build.dirty != Some(false) {
                relation.code.push(format!("sources {when} may differ from their commit"));
            }
        }
        let mut differ = |what: &str, then: &str, now: &str| {
            if then != now {
                relation.machine.push(format!("{what} {then} then, {now} now"));
            }
        };
        differ("target", &a.target, &b.target);
        let names = a.dependencies.keys().chain(b.dependencies.keys());
        for name in names.collect::<std::collections::BTreeSet<_>>() {
            let version = |of: &crate::store::Build| {
                of.dependencies.get(name).cloned().unwrap_or("none".into())
            };
            differ(name, &version(a), &version(b));
        }
        let (a, b) = (&stored.environment, &own.environment);
        differ("instruction sets", &a.cpu.features.join(" "), &b.cpu.features.join(" "));
        differ("device", &a.device.kind, &b.device.kind);
        if relation.on_gpu {
            let driver = |of: &crate::store::RunEnvironment| {
                format!(
                    "{} ({})",
                    of.device.name,
                    of.device.driver.as_deref().unwrap_or("no driver")
                )
            };
            let (then, now) = (driver(a), driver(b));
            if then != now {
                relation.machine.push(format!("{then} then, {now} now"));
            }
        }
        relation
    }

    /// Whether bits may differ without anything being wrong.
    pub fn allows_other_bits(&self) -> bool {
        self.on_gpu || !self.machine.is_empty()
    }

    /// Whether the code is known to be the same.
    pub fn is_same_code(&self) -> bool {
        self.code.is_empty()
    }
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
