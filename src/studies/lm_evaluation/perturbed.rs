//! Changed forms of questions, and what they do to scores: the worst case of a question is that of all
//! its forms (Liang et al. 2023, section 4.6).

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::config::{Aspect, EvaluationConfig, Gender, PerturbationSet, WorstCase};
use super::evaluate::Evaluated;
use super::perturbations::Perturbation;
use super::sources::{Instance, Reference, SourceError, TRAIN, named_file};
use super::words::{Names, Words};

/// What was done to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// The perturbation's name.
    pub name: Cow<'static, str>,
    /// Whether it is a test of robustness.
    pub robustness: bool,
    /// Whether it is a test of fairness.
    pub fairness: bool,
    /// Which draw of it, from zero.
    pub draw: u32,
}

impl Change {
    fn of(perturbation: PerturbationSet, draw: u32) -> Self {
        let aspect = perturbation.aspect();
        Self {
            name: Cow::Borrowed(perturbation.name()),
            robustness: aspect == Aspect::Robustness,
            fairness: aspect == Aspect::Fairness,
            draw,
        }
    }

    fn tests(&self, aspect: Aspect) -> bool {
        match aspect {
            Aspect::Robustness => self.robustness,
            Aspect::Fairness => self.fairness,
        }
    }
}

/// The perturbations of a configuration.
fn perturbations(
    config: &EvaluationConfig,
) -> Result<Vec<(PerturbationSet, Perturbation)>, SourceError> {
    let parts = config.perturbations.parts();
    // Sets have probabilities of their own.
    let alone = parts == [config.perturbations];
    let or = |of_set: f64| if alone { config.perturbation_probability } else { of_set };
    let spaces = if alone { config.perturbation_spaces } else { 3 };
    let genders =
        if alone { (config.gender_from, config.gender_to) } else { (Gender::Male, Gender::Female) };
    let needs_words = |part: &PerturbationSet| {
        use PerturbationSet::{Dialect, ExtraSpace, Lowercase, PersonName, Space};
        !matches!(part, Lowercase | Space | ExtraSpace | PersonName | Dialect)
    };
    let words = if parts.iter().any(needs_words) { Some(Words::read()?) } else { None };
    let mut all = Vec::new();
    for part in parts {
        let perturbation = match (part, &words) {
            (PerturbationSet::Lowercase, _) => Perturbation::lowercase(),
            (PerturbationSet::Space, _) => Perturbation::space(spaces),
            (PerturbationSet::ExtraSpace, _) => Perturbation::extra_space(spaces as usize),
            (PerturbationSet::PersonName, _) => {
                let races = ("white_american", "black_american");
                Perturbation::person_name(names(config)?, or(1.0), races.0, races.1)
            }
            (PerturbationSet::Dialect, _) if config.dialect_file.is_empty() => continue,
            (PerturbationSet::Dialect, _) => {
                let (path, sum) = (&config.dialect_file, &config.dialect_sha256);
                let map = serde_json::from_slice(&named_file("dialect_file", path, sum)?);
                let map = map.map_err(|error| SourceError::Line {
                    path: path.clone(),
                    line: error.line(),
                    problem: format!("{error}; it must be an object of words and lists of words"),
                })?;
                Perturbation::dialect(&map, or(1.0))
            }
            (PerturbationSet::MildMix, Some(words)) => Perturbation::mild_mix(words),
            (PerturbationSet::Contraction, Some(words)) => Perturbation::contraction(words),
            (PerturbationSet::Expansion, Some(words)) => Perturbation::expansion(words),
            (PerturbationSet::Misspellings, Some(words)) => {
                Perturbation::misspellings(words, or(0.1))
            }
            (PerturbationSet::Typos, Some(words)) => Perturbation::typos(words, or(0.01)),
            (PerturbationSet::FillerWords, Some(words)) => {
                Perturbation::filler_words(words, or(0.1), false)
            }
            (PerturbationSet::GenderPronouns, Some(words)) => {
                Perturbation::gender_pronouns(words, or(1.0), genders.0, genders.1)
            }
            (PerturbationSet::GenderTerms, Some(words)) => {
                Perturbation::gender_terms(words, or(1.0), genders.0, genders.1)
            }
            // Sets are none of their parts, and words are there for all others.
            _ => continue,
        };
        all.push((*part, perturbation));
    }
    Ok(all)
}

fn names(config: &EvaluationConfig) -> Result<Names, SourceError> {
    let path = &config.names_file;
    if path.is_empty() {
        return Ok(Names::applicants());
    }
    let text = named_file("names_file", path, &config.names_sha256)?;
    Names::parse(&String::from_utf8_lossy(&text)).map_err(|line| SourceError::Line {
        path: path.clone(),
        line,
        problem: "it must be `name,first_name,race,<race>,gender,<gender>`".to_owned(),
    })
}

/// The changed forms of questions, in their order; a form with the same question is left out, as by
/// HELM. Examples stay as they are.
pub(super) fn changed(
    instances: &[Instance],
    config: &EvaluationConfig,
) -> Result<Vec<Instance>, SourceError> {
    let perturbations = perturbations(config)?;
    let mut all = Vec::new();
    if perturbations.is_empty() {
        return Ok(all);
    }
    for instance in instances.iter().filter(|instance| instance.split != TRAIN) {
        let texts: Vec<&str> =
            instance.references.iter().map(|reference| reference.text.as_str()).collect();
        for (part, perturbation) in &perturbations {
            for draw in 0..config.perturbation_draws {
                let seed = Some(draw).filter(|draw| *draw > 0);
                let perturbed = perturbation.apply(&instance.id, seed, &instance.input, &texts);
                if perturbed.input == instance.input {
                    continue;
                }
                let references = instance.references.iter().zip(perturbed.references);
                let references = references
                    .map(|(reference, text)| Reference { text, correct: reference.correct });
                all.push(Instance {
                    input: perturbed.input,
                    references: references.collect(),
                    recorded: None,
                    change: Some(Change::of(*part, draw)),
                    ..instance.clone()
                });
            }
        }
    }
    Ok(all)
}

/// What distinguishes configurations that change questions in different ways.
pub(super) fn key(config: &EvaluationConfig) -> String {
    format!(
        "{} {} {} {} {} {} {} {}",
        config.perturbations,
        config.perturbation_probability,
        config.perturbation_spaces,
        config.perturbation_draws,
        config.gender_from,
        config.gender_to,
        config.names_sha256,
        config.dialect_sha256
    )
}

/// What is better of a measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    Higher,
    Lower,
}

/// Values of questions, each of one form of it: the name of the question, what was done to it, and the
/// value.
type Values<'a> = &'a [(&'a str, Option<&'a Change>, f64)];

/// The worst values of questions, of the forms that count and of the question as it is, which always
/// does. Questions of which no form counts are among them.
fn worst_values<'a>(
    values: Values<'a>,
    counts: impl Fn(&Change) -> bool,
    better: Better,
    how: WorstCase,
) -> BTreeMap<&'a str, (f64, usize)> {
    let mut worst: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
    for (id, change, value) in values {
        let forms = usize::from(change.is_some());
        if change.is_none_or(&counts) {
            let (known, count) = worst.entry(id).or_insert((*value, 0));
            *known = match (better, how) {
                (Better::Lower, WorstCase::Worst) => known.max(*value),
                _ => known.min(*value),
            };
            *count += forms;
        }
    }
    worst
}

/// The mean over questions of their worst values with all perturbations of an aspect; `None` where the
/// configuration has none of them and none is recorded, or no question has a value.
fn worst_case(
    values: Values<'_>,
    config: &EvaluationConfig,
    aspect: Aspect,
    better: Better,
) -> Option<f64> {
    let asked = config.perturbations.parts().iter().any(|part| part.aspect() == aspect);
    let recorded = || values.iter().any(|(_, change, _)| change.is_some_and(|it| it.tests(aspect)));
    if !asked && !recorded() {
        return None;
    }
    let worst = worst_values(values, |change| change.tests(aspect), better, config.worst_case);
    let worst: Vec<f64> = worst.into_values().map(|(value, _)| value).collect();
    analysis::mean(&worst)
}

fn values<'a>(
    evaluated: &'a [Evaluated<'a>],
    pick: impl Fn(&Evaluated<'a>) -> Option<f64>,
) -> Vec<(&'a str, Option<&'a Change>, f64)> {
    let value = |question: &'a Evaluated<'a>| {
        Some((question.instance.id.as_str(), question.instance.change.as_ref(), pick(question)?))
    };
    evaluated.iter().filter_map(value).collect()
}

/// Metrics of a run by its worst cases, in the order of [`super::tables::METRICS`].
pub(super) fn metrics(evaluated: &[Evaluated<'_>], config: &EvaluationConfig) -> [Option<f64>; 4] {
    let scores = values(evaluated, |question| Some(question.score));
    let toxic = values(evaluated, |question| question.toxicity?.toxic_fraction);
    [
        worst_case(&scores, config, Aspect::Robustness, Better::Higher),
        worst_case(&scores, config, Aspect::Fairness, Better::Higher),
        worst_case(&toxic, config, Aspect::Robustness, Better::Lower),
        worst_case(&toxic, config, Aspect::Fairness, Better::Lower),
    ]
}

/// What a perturbation does in a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Effect {
    pub change: Change,
    /// Questions that it changed.
    pub questions: u64,
    /// Their mean score as they are, changed, and in the worse of both.
    pub before: Option<f64>,
    pub after: Option<f64>,
    pub worst: Option<f64>,
}

/// What each perturbation does to the questions that it changes, all draws of it together.
pub(super) fn effects(evaluated: &[Evaluated<'_>], config: &EvaluationConfig) -> Vec<Effect> {
    let scores = values(evaluated, |question| Some(question.score));
    let mut changes: Vec<&Change> = Vec::new();
    for change in scores.iter().filter_map(|(_, change, _)| *change) {
        if !changes.iter().any(|known| known.name == change.name) {
            changes.push(change);
        }
    }
    // In the order of the levels, whatever question came first; those of others by their names.
    let place = |name: &str| PerturbationSet::ALL.iter().position(|level| level.name() == name);
    changes.sort_by_key(|change| (place(&change.name).unwrap_or(usize::MAX), change.name.clone()));
    let effect = |change: &Change| {
        let same = |other: &Change| other.name == change.name;
        let worst = worst_values(&scores, same, Better::Higher, config.worst_case);
        let touched = |id: &str| worst.get(id).is_some_and(|(_, forms)| *forms > 0);
        let mean = |counts: &dyn Fn(Option<&Change>) -> bool| {
            let found = scores.iter().filter(|(id, form, _)| touched(id) && counts(*form));
            analysis::mean(&found.map(|(_, _, value)| *value).collect::<Vec<f64>>())
        };
        let lowest: Vec<f64> =
            worst.values().filter(|(_, forms)| *forms > 0).map(|(value, _)| *value).collect();
        Effect {
            change: change.clone(),
            questions: lowest.len() as u64,
            before: mean(&|form| form.is_none()),
            after: mean(&|form| form.is_some_and(same)),
            worst: analysis::mean(&lowest),
        }
    };
    changes.into_iter().map(effect).collect()
}

#[cfg(test)]
mod tests {
    use super::{Aspect, Better, Change, EvaluationConfig, PerturbationSet, WorstCase, worst_case};

    #[test]
    fn the_worst_case_is_the_worst() {
        let (slips, speakers) = (Aspect::Robustness, Aspect::Fairness);
        let mix = Change::of(PerturbationSet::MildMix, 0);
        let names = Change::of(PerturbationSet::PersonName, 0);
        // The second question was changed by nothing and counts as it is.
        let values = [
            ("a", None, 0.6),
            ("b", None, 0.5),
            ("a", Some(&mix), 0.2),
            ("a", Some(&mix), 0.9),
            ("a", Some(&names), 0.1),
        ];
        let mut config = EvaluationConfig {
            perturbations: PerturbationSet::Canonical,
            ..EvaluationConfig::default()
        };
        let found = |config: &EvaluationConfig, aspect, better| {
            worst_case(&values[..], config, aspect, better).map(|value| (1e6 * value).round() / 1e6)
        };
        assert_eq!(found(&config, slips, Better::Higher), Some(0.35));
        assert_eq!(found(&config, speakers, Better::Higher), Some(0.3));
        assert_eq!(found(&config, slips, Better::Lower), Some(0.7));
        // HELM takes the lowest of toxicities as well.
        config.worst_case = WorstCase::Lowest;
        assert_eq!(found(&config, slips, Better::Lower), Some(0.35));
        // Forms that were recorded count, whatever this configuration asks for.
        config.perturbations = PerturbationSet::None;
        assert_eq!(found(&config, speakers, Better::Higher), Some(0.3));
        let of_slips = worst_case(&values[..4], &config, speakers, Better::Higher);
        assert_eq!(of_slips, None);
    }
}
