//! The claims of a study file: published statements, what of the results each is about, and the
//! rule that decides it.

use std::collections::{BTreeMap, BTreeSet};

use flags::nearest;
use toml::de::{DeArray, DeTable, DeValue};

use super::{
    Arm, Diagnostic, DraftFactor, Entry, Reader, Span, convert, described, did_you_mean,
    did_you_mean_text, entries, quoted, try_value,
};
use crate::studies::Study;

/// A published statement that the results can support or contradict.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Short name, unique in the file.
    pub name: String,
    /// What was published, in a sentence.
    pub statement: String,
    /// Where it was published.
    pub source: String,
    /// The metric of a run that it is about, one of [`Study::metrics`].
    pub metric: &'static str,
    /// What is estimated, from the mean of the metric over the runs of an arm.
    pub estimate: ClaimEstimate,
    /// What decides it.
    pub rule: ClaimRule,
}

/// The number that a claim is about. Arms, factors and levels are those of the file, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimEstimate {
    /// The mean of an arm.
    Mean(String),
    /// The difference of two arms' means.
    Difference(ArmPair),
    /// The largest absolute difference of means among some pairs of arms.
    LargestDifference(Vec<ArmPair>),
    /// The largest absolute difference among some pairs minus the largest among others.
    Excess {
        /// The pairs that are expected to differ more.
        of: Vec<ArmPair>,
        /// The pairs that they are compared with.
        over: Vec<ArmPair>,
    },
    /// The difference that a level of a factor makes against another, averaged with equal weight
    /// over all combinations of the other factors' levels.
    Effect {
        /// The factor.
        factor: String,
        /// The level that is subtracted.
        from: String,
        /// The level that it is subtracted from.
        to: String,
    },
}

/// Two arms whose means are subtracted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArmPair {
    /// The arm that is subtracted from.
    pub arm: String,
    /// The arm that is subtracted.
    pub minus: String,
}

/// A published number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reference {
    /// The number.
    pub value: f64,
    /// The ends of its published 95 % interval, which contains it.
    pub interval: Option<(f64, f64)>,
}

/// What decides a claim.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClaimRule {
    /// Our number equals the published one up to a share of it.
    Equal {
        /// The published number; not zero.
        reference: Reference,
        /// The share of its absolute value, in (0, 1].
        margin: f64,
    },
    /// Our number has a sign.
    Sign {
        /// Which.
        expected: Sign,
        /// The published number, to be shown and to size the study by.
        reference: Option<Reference>,
    },
}

impl ClaimRule {
    /// The published number, if the claim has one.
    pub fn reference(&self) -> Option<Reference> {
        match self {
            Self::Equal { reference, .. } => Some(*reference),
            Self::Sign { reference, .. } => *reference,
        }
    }
}

/// The sign that a number is claimed to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Above zero.
    Positive,
    /// Below zero.
    Negative,
}

const KEYS: [&str; 9] = [
    "name",
    "statement",
    "source",
    "metric",
    "estimate",
    "reference",
    "interval",
    "margin",
    "expect",
];
const FORMS: [&str; 5] = ["mean", "difference", "largest_difference", "excess", "effect"];
const SIGNS: [&str; 2] = ["positive", "negative"];

/// What a claim may refer to.
pub(super) struct Subjects<'a> {
    study: &'static dyn Study,
    arms: BTreeSet<&'a str>,
    factors: &'a [DraftFactor],
    /// Whether all arms were read without a mistake, so that a name that is not among them is one.
    arms_known: bool,
    /// The same of the factors.
    factors_known: bool,
}

impl<'a> Subjects<'a> {
    pub(super) fn new(
        study: &'static dyn Study,
        arms: &'a [Arm],
        factors: &'a [DraftFactor],
        arms_known: bool,
        factors_known: bool,
    ) -> Self {
        let arms = arms.iter().map(|arm| arm.name.as_str()).collect();
        Self { study, arms, factors, arms_known, factors_known }
    }

    pub(super) fn study(&self) -> &'static dyn Study {
        self.study
    }

    /// Whether a name that is not among the factors is a mistake.
    pub(super) fn factors_known(&self) -> bool {
        self.factors_known
    }

    pub(super) fn factors(&self) -> impl Iterator<Item = &'a str> {
        self.factors.iter().map(|factor| factor.name.as_str())
    }

    /// How many levels a factor has; `None` where there is no such factor.
    pub(super) fn levels(&self, factor: &str) -> Option<usize> {
        let found = self.factors.iter().find(|known| known.name == factor);
        found.map(|factor| factor.levels.len())
    }
}

/// A claim as far as it could be read; what is `None` was reported or is not there.
#[derive(Default)]
struct Parts<'a> {
    reference: Option<Entry<'a>>,
    interval: Option<Entry<'a>>,
    margin: Option<Entry<'a>>,
    expect: Option<Entry<'a>>,
}

impl Reader<'_> {
    pub(super) fn claims_list<'b>(&mut self, section: &Entry<'b>) -> Option<&'b DeArray<'b>> {
        let items = section.value.as_array();
        if items.is_none() {
            self.report(
                Diagnostic::at(
                    section.span.clone(),
                    format!("`claims` is {}", described(section.value)),
                )
                .expected("a list of claims, each under its own header `[[claims]]`"),
            );
        }
        items
    }

    /// Reads the claims; those that hold a mistake are reported and left out.
    pub(super) fn claims(&mut self, subjects: &Subjects<'_>, items: &DeArray<'_>) -> Vec<Claim> {
        let mut first_at: BTreeMap<String, Span> = BTreeMap::new();
        let mut claims = Vec::new();
        for item in items.iter() {
            let DeValue::Table(table) = item.get_ref() else {
                self.report(
                    Diagnostic::at(
                        item.span(),
                        format!("a claim is {}", described(item.get_ref())),
                    )
                    .expected("a table with name, statement, source and estimate"),
                );
                continue;
            };
            claims.extend(self.claim(subjects, table, &item.span(), &mut first_at));
        }
        claims
    }

    fn claim(
        &mut self,
        subjects: &Subjects<'_>,
        table: &DeTable<'_>,
        span: &Span,
        first_at: &mut BTreeMap<String, Span>,
    ) -> Option<Claim> {
        let mut name = None;
        let mut statement = None;
        let mut source = None;
        let mut metric = subjects.study.metrics().first().map(|metric| metric.name);
        let mut estimate = None;
        let mut parts = Parts::default();
        // A misspelt key is not also a missing one.
        let mut given = Vec::new();
        let mut meant = Vec::new();
        for entry in entries(table) {
            given.push(entry.key);
            match entry.key {
                "name" => name = self.claim_name(&entry, first_at),
                "statement" => statement = self.sentence(&entry),
                "source" => source = self.sentence(&entry),
                "metric" => metric = self.metric(subjects.study, &entry),
                "estimate" => estimate = self.estimate(subjects, &entry),
                "reference" => parts.reference = Some(entry),
                "interval" => parts.interval = Some(entry),
                "margin" => parts.margin = Some(entry),
                "expect" => parts.expect = Some(entry),
                _ => {
                    let near = nearest(entry.key, KEYS);
                    meant.extend(near);
                    let diagnostic = Diagnostic::at(
                        entry.key_span.clone(),
                        format!("unknown key `{}` in a claim", entry.key),
                    )
                    .expected(format!("one of {}", KEYS.join(", ")));
                    self.report(Diagnostic { help: near.map(did_you_mean), ..diagnostic });
                }
            }
        }
        let missing = |key: &str| !given.contains(&key) && !meant.contains(&key);
        for (key, example) in [
            ("name", "name = \"hopper-ppo\""),
            ("statement", "statement = \"clipping the value loss changes nothing\""),
            ("source", "source = \"Engstrom et al. 2020, Table 2\""),
            ("estimate", "estimate = { mean = \"base\" }"),
        ] {
            if missing(key) {
                self.report_missing(
                    Diagnostic::at(span.clone(), format!("a claim has no {key}"))
                        .expected(format!("`{key}` in this section, such as `{example}`")),
                );
            }
        }
        if subjects.study.metrics().is_empty() {
            self.report(
                Diagnostic::at(span.clone(), "a claim needs a metric of the runs")
                    .expected(format!("a study with metrics; {} has none", subjects.study.kind())),
            );
        }
        let undecided = ["margin", "expect"].iter().all(|key| missing(key));
        if undecided {
            self.report_missing(
                Diagnostic::at(span.clone(), "nothing decides this claim")
                    .expected("`expect`, or `margin` beside a `reference`"),
            );
        }
        let never_negative = matches!(estimate, Some(ClaimEstimate::LargestDifference(_)));
        let rule = self.rule(&parts, never_negative, missing("reference"));
        Some(Claim {
            name: name?,
            statement: statement?,
            source: source?,
            metric: metric?,
            estimate: estimate?,
            rule: rule?,
        })
    }

    fn claim_name(
        &mut self,
        entry: &Entry<'_>,
        first_at: &mut BTreeMap<String, Span>,
    ) -> Option<String> {
        let name = self.string(entry)?;
        if !self.named(&name, entry, "claim name", "-_") {
            return None;
        }
        if let Some(first) = first_at.get(&name) {
            self.report(
                Diagnostic::at(entry.span.clone(), format!("two claims are named {name:?}"))
                    .expected("a name of its own for every claim")
                    .related(first.clone(), "first here"),
            );
            return None;
        }
        first_at.insert(name.clone(), entry.span.clone());
        Some(name)
    }

    /// A string with something in it.
    fn sentence(&mut self, entry: &Entry<'_>) -> Option<String> {
        let text = self.string(entry)?;
        if text.trim().is_empty() {
            self.report(
                Diagnostic::at(entry.span.clone(), format!("`{}` is empty", entry.key))
                    .expected("a string that says something"),
            );
            return None;
        }
        Some(text)
    }

    pub(super) fn metric(
        &mut self,
        study: &'static dyn Study,
        entry: &Entry<'_>,
    ) -> Option<&'static str> {
        let name = self.string(entry)?;
        let metrics: Vec<&str> = study.metrics().iter().map(|metric| metric.name).collect();
        let found = metrics.iter().copied().find(|metric| *metric == name);
        if found.is_none() {
            let diagnostic = Diagnostic::at(entry.span.clone(), format!("unknown metric {name:?}"))
                .expected(format!("one of {}", quoted(&metrics)));
            let help = nearest(&name, metrics).map(did_you_mean_text);
            self.report(Diagnostic { help, ..diagnostic });
        }
        found
    }

    fn estimate(&mut self, subjects: &Subjects<'_>, entry: &Entry<'_>) -> Option<ClaimEstimate> {
        let expected = "one form, such as { difference = [\"arm a\", \"arm b\"] }";
        let Some(table) = entry.value.as_table() else {
            self.report(
                Diagnostic::at(
                    entry.span.clone(),
                    format!("`estimate` is {}", described(entry.value)),
                )
                .expected(expected),
            );
            return None;
        };
        let list = entries(table);
        let mut forms = Vec::new();
        for form in &list {
            if FORMS.contains(&form.key) {
                forms.push(form);
            } else {
                let help = nearest(form.key, FORMS).map(did_you_mean);
                let diagnostic = Diagnostic::at(
                    form.key_span.clone(),
                    format!("unknown form of estimate `{}`", form.key),
                )
                .expected(format!("one of {}", FORMS.join(", ")));
                self.report(Diagnostic { help, ..diagnostic });
            }
        }
        match forms.as_slice() {
            [] if list.is_empty() => {
                self.report(
                    Diagnostic::at(entry.span.clone(), "`estimate` is empty").expected(expected),
                );
                None
            }
            [] => None,
            [form] => self.form(subjects, form),
            [first, second, ..] => {
                self.report(
                    Diagnostic::at(second.key_span.clone(), "a claim estimates two things")
                        .expected(expected)
                        .help("make it two claims")
                        .related(first.key_span.clone(), "the first here"),
                );
                None
            }
        }
    }

    fn form(&mut self, subjects: &Subjects<'_>, form: &Entry<'_>) -> Option<ClaimEstimate> {
        match form.key {
            "mean" => self.arm(subjects, form.key, form.value, &form.span).map(ClaimEstimate::Mean),
            "difference" => {
                self.pair(subjects, form.key, form.value, &form.span).map(ClaimEstimate::Difference)
            }
            "largest_difference" => {
                self.pairs(subjects, form).map(ClaimEstimate::LargestDifference)
            }
            "excess" => self.excess(subjects, form),
            _ => self.effect(subjects, form),
        }
    }

    fn arm(
        &mut self,
        subjects: &Subjects<'_>,
        key: &str,
        value: &DeValue<'_>,
        span: &Span,
    ) -> Option<String> {
        let Some(name) = value.as_str() else {
            self.report(
                Diagnostic::at(
                    span.clone(),
                    format!("`{key}` has {} for an arm", described(value)),
                )
                .expected("the name of an arm, a string"),
            );
            return None;
        };
        if subjects.arms.contains(name) {
            return Some(name.to_owned());
        }
        if subjects.arms_known && subjects.factors_known {
            let help = match nearest(name, subjects.arms.iter().copied()) {
                Some(name) => did_you_mean_text(name),
                None => "`ceteris plan` lists the arms".to_owned(),
            };
            self.report(
                Diagnostic::at(span.clone(), format!("unknown arm {name:?}"))
                    .expected("an arm of this file")
                    .help(help),
            );
        }
        None
    }

    fn pair(
        &mut self,
        subjects: &Subjects<'_>,
        key: &str,
        value: &DeValue<'_>,
        span: &Span,
    ) -> Option<ArmPair> {
        let found = match value.as_array() {
            Some(items) if items.len() == 2 => {
                let mut arms = items
                    .iter()
                    .map(|item| self.arm(subjects, key, item.get_ref(), &item.span()))
                    .collect::<Vec<_>>();
                let (minus, arm) = (arms.pop().flatten()?, arms.pop().flatten()?);
                if arm == minus {
                    self.report(
                        Diagnostic::at(
                            span.clone(),
                            format!("the arm {arm:?} is compared with itself"),
                        )
                        .expected("two arms"),
                    );
                    return None;
                }
                return Some(ArmPair { arm, minus });
            }
            Some(items) => format!("`{key}` has a list of {} where a pair goes", items.len()),
            None => format!("`{key}` has {} where a pair goes", described(value)),
        };
        self.report(
            Diagnostic::at(span.clone(), found)
                .expected("two names of arms, such as [\"arm a\", \"arm b\"]"),
        );
        None
    }

    fn pairs(&mut self, subjects: &Subjects<'_>, entry: &Entry<'_>) -> Option<Vec<ArmPair>> {
        let items = entry.value.as_array().filter(|items| !items.is_empty());
        let Some(items) = items else {
            let found = match entry.value {
                DeValue::Array(_) => "an empty list",
                other => described(other),
            };
            self.report(
                Diagnostic::at(entry.span.clone(), format!("`{}` is {found}", entry.key))
                    .expected("a list of pairs of arms, such as [[\"a\", \"b\"], [\"c\", \"d\"]]"),
            );
            return None;
        };
        let pairs: Vec<_> = items
            .iter()
            .map(|item| self.pair(subjects, entry.key, item.get_ref(), &item.span()))
            .collect();
        pairs.into_iter().collect()
    }

    fn excess(&mut self, subjects: &Subjects<'_>, form: &Entry<'_>) -> Option<ClaimEstimate> {
        let parts = self.keys_of(form, ["of", "over"], "pairs of arms")?;
        let [of, over] = parts.map(|entry| entry.and_then(|entry| self.pairs(subjects, &entry)));
        Some(ClaimEstimate::Excess { of: of?, over: over? })
    }

    fn effect(&mut self, subjects: &Subjects<'_>, form: &Entry<'_>) -> Option<ClaimEstimate> {
        let [factor, from, to] =
            self.keys_of(form, ["factor", "from", "to"], "a factor and two of its levels")?;
        let factor = factor?;
        let name = self.string(&factor)?;
        let Some(known) = subjects.factors.iter().find(|known| known.name == name) else {
            if subjects.factors_known {
                let names = subjects.factors.iter().map(|factor| factor.name.as_str());
                let diagnostic =
                    Diagnostic::at(factor.span.clone(), format!("unknown factor {name:?}"))
                        .expected(match subjects.factors {
                            [] => "a study with `[factors]`".to_owned(),
                            [only] => format!("{:?}", only.name),
                            _ => format!("one of {}", quoted(&names.clone().collect::<Vec<_>>())),
                        });
                let help = nearest(&name, names).map(did_you_mean_text);
                self.report(Diagnostic { help, ..diagnostic });
            }
            return None;
        };
        let mut level = |entry: &Option<Entry<'_>>| {
            entry.as_ref().and_then(|entry| self.level(subjects, known, entry))
        };
        let levels = (level(&from), level(&to));
        let (from_level, to_level) = (levels.0?, levels.1?);
        let (from, to) = (from?, to?);
        if from_level == to_level {
            self.report(
                Diagnostic::at(
                    to.span.clone(),
                    format!("the level {to_level:?} is compared with itself"),
                )
                .expected("another level than `from`")
                .related(from.span.clone(), "`from` is here"),
            );
            return None;
        }
        Some(ClaimEstimate::Effect { factor: name, from: from_level, to: to_level })
    }

    /// The name of a level, which may also be written as the field's value.
    fn level(
        &mut self,
        subjects: &Subjects<'_>,
        factor: &DraftFactor,
        entry: &Entry<'_>,
    ) -> Option<String> {
        let fields = subjects.study.fields();
        let field = fields.iter().find(|field| field.name == factor.name);
        let text = match (entry.value.as_str(), field) {
            (Some(text), _) => text.to_owned(),
            (None, Some(field)) => match try_value(subjects.study, field, entry.value) {
                Ok(value) => value.to_string(),
                Err(_) => self.source(&entry.span).to_owned(),
            },
            (None, None) => self.source(&entry.span).to_owned(),
        };
        if factor.levels.iter().any(|level| level.name == text) {
            return Some(text);
        }
        if subjects.factors_known {
            let names: Vec<&str> = factor.levels.iter().map(|level| level.name.as_str()).collect();
            let diagnostic = Diagnostic::at(
                entry.span.clone(),
                format!("factor `{}` has no level {text:?}", factor.name),
            )
            .expected(format!("one of {}", quoted(&names)));
            let help = nearest(&text, names).map(did_you_mean_text);
            self.report(Diagnostic { help, ..diagnostic });
        }
        None
    }

    /// The entries of a table that should have exactly these keys; `None` where one is missing.
    fn keys_of<'b, const N: usize>(
        &mut self,
        form: &Entry<'b>,
        keys: [&'static str; N],
        what: &str,
    ) -> Option<[Option<Entry<'b>>; N]> {
        let expected = || format!("a table with {} ({what})", keys.join(", "));
        let Some(table) = form.value.as_table() else {
            self.report(
                Diagnostic::at(
                    form.span.clone(),
                    format!("`{}` is {}", form.key, described(form.value)),
                )
                .expected(expected()),
            );
            return None;
        };
        let list = entries(table);
        let mut meant = Vec::new();
        for entry in list.iter().filter(|entry| !keys.contains(&entry.key)) {
            let near = nearest(entry.key, keys);
            meant.extend(near);
            let diagnostic = Diagnostic::at(
                entry.key_span.clone(),
                format!("unknown key `{}` in `{}`", entry.key, form.key),
            )
            .expected(format!("one of {}", keys.join(", ")));
            self.report(Diagnostic { help: near.map(did_you_mean), ..diagnostic });
        }
        for key in keys {
            if !list.iter().any(|entry| entry.key == key) && !meant.contains(&key) {
                self.report_missing(
                    Diagnostic::at(
                        form.span.clone(),
                        format!("`{key}` is missing in `{}`", form.key),
                    )
                    .expected(expected()),
                );
            }
        }
        Some(keys.map(|key| entries(table).into_iter().find(|entry| entry.key == key)))
    }

    /// What decides a claim; `None` after a mistake.
    fn rule(
        &mut self,
        parts: &Parts<'_>,
        never_negative: bool,
        no_reference: bool,
    ) -> Option<ClaimRule> {
        if let (Some(margin), Some(expect)) = (&parts.margin, &parts.expect) {
            self.report(
                Diagnostic::at(margin.key_span.clone(), "a claim has both `expect` and `margin`")
                    .expected("one of them")
                    .help("`expect` tests the sign, `margin` tests equality with `reference`")
                    .related(expect.key_span.clone(), "`expect` is here"),
            );
        }
        for entry in [&parts.interval, &parts.margin].into_iter().flatten() {
            if no_reference {
                self.report_missing(
                    Diagnostic::at(
                        entry.key_span.clone(),
                        format!("`{}` without `reference`", entry.key),
                    )
                    .expected("the published number as `reference` beside it"),
                );
            }
        }
        let value = parts.reference.as_ref().map(|entry| self.finite(entry));
        let interval = parts.interval.as_ref().map(|entry| self.interval(entry, value.flatten()));
        let margin = parts.margin.as_ref().map(|entry| self.margin(entry));
        let expected = parts.expect.as_ref().map(|entry| self.sign(entry, never_negative));
        if let (Some(entry), Some(Some(_)), Some(Some(0.0))) = (&parts.margin, margin, value) {
            self.report(
                Diagnostic::at(
                    entry.span.clone(),
                    "`margin` is a share of `reference`, which is 0",
                )
                .expected("a `reference` that is not 0, or `expect` in its place"),
            );
            return None;
        }
        let contradicted = match (expected.flatten(), value.flatten()) {
            (Some(Sign::Positive), Some(value)) => value <= 0.0,
            (Some(Sign::Negative), Some(value)) => value >= 0.0,
            _ => false,
        };
        if let (Some(reference), Some(expect), true) =
            (&parts.reference, &parts.expect, contradicted)
        {
            let source = self.source(&reference.span);
            self.report(
                Diagnostic::at(
                    reference.span.clone(),
                    format!("the reference {source} does not have the sign that is expected"),
                )
                .expected("the published number of the same estimate")
                .help("turn the arms of the estimate round, or the sign that is expected")
                .related(expect.span.clone(), "`expect` is here"),
            );
            return None;
        }
        // Whatever was given must have been read.
        let reference = match (value, interval) {
            (Some(value), None) => Some(Reference { value: value?, interval: None }),
            (Some(value), Some(interval)) => {
                Some(Reference { value: value?, interval: Some(interval?) })
            }
            (None, _) => None,
        };
        match (margin, expected) {
            (Some(margin), None) => {
                Some(ClaimRule::Equal { reference: reference?, margin: margin? })
            }
            (None, Some(expected)) => Some(ClaimRule::Sign { expected: expected?, reference }),
            _ => None,
        }
    }

    /// A number that is neither infinite nor NaN.
    fn finite(&mut self, entry: &Entry<'_>) -> Option<f64> {
        self.finite_value(entry.key, entry.value, &entry.span)
    }

    fn finite_value(&mut self, key: &str, value: &DeValue<'_>, span: &Span) -> Option<f64> {
        let number = match value {
            DeValue::Integer(_) | DeValue::Float(_) => convert(value).and_then(|v| v.as_f64()),
            _ => None,
        };
        let finite = number.filter(|number| number.is_finite());
        if finite.is_none() {
            let found = match number {
                Some(_) => self.source(span),
                None => described(value),
            };
            self.report(
                Diagnostic::at(span.clone(), format!("`{key}` is {found}"))
                    .expected("a finite number"),
            );
        }
        finite
    }

    fn interval(&mut self, entry: &Entry<'_>, reference: Option<f64>) -> Option<(f64, f64)> {
        let items = entry.value.as_array().filter(|items| items.len() == 2);
        let Some(items) = items else {
            let found = match entry.value {
                DeValue::Array(items) => format!("a list of {}", items.len()),
                other => described(other).to_owned(),
            };
            self.report(
                Diagnostic::at(entry.span.clone(), format!("`interval` is {found}"))
                    .expected("its lower and its upper end, such as [2391, 2632]"),
            );
            return None;
        };
        let mut ends = items
            .iter()
            .map(|item| self.finite_value(entry.key, item.get_ref(), &item.span()))
            .collect::<Vec<_>>();
        let (high, low) = (ends.pop().flatten()?, ends.pop().flatten()?);
        if low > high {
            self.report(
                Diagnostic::at(entry.span.clone(), format!("`interval` runs from {low} to {high}"))
                    .expected("the lower end first")
                    .help(format!("write [{high}, {low}]")),
            );
            return None;
        }
        if let Some(reference) = reference.filter(|value| !(low..=high).contains(value)) {
            self.report(
                Diagnostic::at(
                    entry.span.clone(),
                    format!("`interval` does not contain the reference {reference}"),
                )
                .expected("the published interval of the published number"),
            );
            return None;
        }
        Some((low, high))
    }

    fn margin(&mut self, entry: &Entry<'_>) -> Option<f64> {
        let margin = self.finite(entry)?;
        if margin > 0.0 && margin <= 1.0 {
            return Some(margin);
        }
        let source = self.source(&entry.span);
        let diagnostic =
            Diagnostic::at(entry.span.clone(), format!("`margin` is {source}, out of range"))
                .expected("a share of the reference in (0, 1]");
        let percent = (1.0..100.0).contains(&margin);
        let help = percent.then(|| format!("write {} for {margin} %", margin / 100.0));
        self.report(Diagnostic { help, ..diagnostic });
        None
    }

    fn sign(&mut self, entry: &Entry<'_>, never_negative: bool) -> Option<Sign> {
        let sign = match self.string(entry)?.as_str() {
            "positive" => Sign::Positive,
            "negative" => Sign::Negative,
            other => {
                let diagnostic =
                    Diagnostic::at(entry.span.clone(), format!("`expect` is {other:?}"))
                        .expected(format!("one of {}", quoted(&SIGNS)));
                let help = nearest(other, SIGNS).map(did_you_mean_text);
                self.report(Diagnostic { help, ..diagnostic });
                return None;
            }
        };
        if never_negative {
            self.report(
                Diagnostic::at(
                    entry.span.clone(),
                    "a largest difference is never negative, so its sign says nothing",
                )
                .expected("`reference` and `margin` in place of `expect`")
                .help("`excess` compares it with another largest difference"),
            );
            return None;
        }
        Some(sign)
    }
}
