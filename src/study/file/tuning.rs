//! How a study file chooses a hyper-parameter: which factor is tuned, and what keeps the choice from
//! flattering the result.

use analysis::Estimator;
use flags::nearest;
use toml::de::DeTable;

use super::claims::Subjects;
use super::{Diagnostic, Entry, Reader, Span, did_you_mean, did_you_mean_text, entries, quoted};

/// The choice of one factor's level for every combination of the other factors.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// The factor whose level is chosen.
    pub factor: String,
    /// The metric of a run that decides, one of [`Study::metrics`](crate::studies::Study::metrics).
    pub metric: &'static str,
    /// What is compared between levels.
    pub by: Estimator,
    /// Which seeds choose and which estimate.
    pub rule: TuningRule,
}

/// Which seeds choose a level and which estimate what it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TuningRule {
    /// All seeds do both; the estimate is biased upward.
    Naive,
    /// The first replicates of the file choose, the others estimate.
    FreshSeeds {
        /// How many choose; at least one, and fewer than there are.
        replicates: usize,
    },
    /// Every resample of the replicates chooses, the replicates outside it estimate.
    NestedBootstrap,
}

impl TuningRule {
    /// Its name in study files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::FreshSeeds { .. } => "fresh-seeds",
            Self::NestedBootstrap => "nested-bootstrap",
        }
    }
}

const KEYS: [&str; 5] = ["factor", "rule", "replicates", "by", "metric"];
const RULES: [&str; 3] = ["fresh-seeds", "nested-bootstrap", "naive"];
const ESTIMATORS: [Estimator; 3] = [Estimator::Mean, Estimator::Median, Estimator::Iqm];

impl Reader<'_> {
    /// Reads `[tuning]`; `None` after a mistake.
    pub(super) fn tuning(
        &mut self,
        subjects: &Subjects<'_>,
        replicates: Option<usize>,
        table: &DeTable<'_>,
        span: &Span,
    ) -> Option<Tuning> {
        let list = entries(table);
        let mut meant = Vec::new();
        for entry in list.iter().filter(|entry| !KEYS.contains(&entry.key)) {
            let near = nearest(entry.key, KEYS);
            meant.extend(near);
            let diagnostic = Diagnostic::at(
                entry.key_span.clone(),
                format!("unknown key `{}` in `[tuning]`", entry.key),
            )
            .expected(format!("one of {}", KEYS.join(", ")));
            self.report(Diagnostic { help: near.map(did_you_mean), ..diagnostic });
        }
        let find = |key: &str| list.iter().find(|entry| entry.key == key);
        for (key, example) in
            [("factor", "factor = \"policy_learning_rate\""), ("rule", "rule = \"fresh-seeds\"")]
        {
            if find(key).is_none() && !meant.contains(&key) {
                self.report_missing(
                    Diagnostic::at(span.clone(), format!("`{key}` is missing in `[tuning]`"))
                        .expected(format!("`{key}` in this section, such as `{example}`")),
                );
            }
        }
        let factor = find("factor").and_then(|entry| self.tuned_factor(subjects, entry));
        let metric = match find("metric") {
            Some(entry) => self.metric(subjects.study(), entry),
            None => subjects.study().metrics().first().map(|metric| metric.name),
        };
        let by = find("by").map(|entry| self.chosen_by(entry));
        let rule = find("rule").and_then(|entry| {
            self.tuning_rule(entry, find("replicates"), meant.contains(&"replicates"), replicates)
        });
        let by = match by {
            Some(by) => by?,
            None => Estimator::Mean,
        };
        Some(Tuning { factor: factor?, metric: metric?, by, rule: rule? })
    }

    /// A factor of the file with something to choose from.
    fn tuned_factor(&mut self, subjects: &Subjects<'_>, entry: &Entry<'_>) -> Option<String> {
        let name = self.string(entry)?;
        let names: Vec<&str> = subjects.factors().collect();
        match subjects.levels(&name) {
            Some(levels) if levels >= 2 => Some(name),
            Some(_) => {
                self.report(
                    Diagnostic::at(
                        entry.span.clone(),
                        format!("the factor {name:?} has one level, nothing to choose from"),
                    )
                    .expected("a factor with two levels at least"),
                );
                None
            }
            None => {
                if subjects.factors_known() {
                    let diagnostic =
                        Diagnostic::at(entry.span.clone(), format!("unknown factor {name:?}"))
                            .expected(match names.as_slice() {
                                [] => "a factor of this file, which has none".to_owned(),
                                names => format!("one of {}", quoted(names)),
                            });
                    let help = nearest(&name, names).map(did_you_mean_text);
                    self.report(Diagnostic { help, ..diagnostic });
                }
                None
            }
        }
    }

    fn chosen_by(&mut self, entry: &Entry<'_>) -> Option<Estimator> {
        let name = self.string(entry)?;
        let found = ESTIMATORS.into_iter().find(|estimator| estimator.name() == name);
        if found.is_none() {
            let names = ESTIMATORS.map(Estimator::name);
            let diagnostic = Diagnostic::at(entry.span.clone(), format!("`by` is {name:?}"))
                .expected(format!("one of {}", quoted(&names)));
            let help = nearest(&name, names).map(did_you_mean_text);
            self.report(Diagnostic { help, ..diagnostic });
        }
        found
    }

    fn tuning_rule(
        &mut self,
        entry: &Entry<'_>,
        count: Option<&Entry<'_>>,
        count_misspelt: bool,
        replicates: Option<usize>,
    ) -> Option<TuningRule> {
        let name = self.string(entry)?;
        if name != "fresh-seeds"
            && RULES.contains(&name.as_str())
            && let Some(count) = count
        {
            self.report(
                Diagnostic::at(
                    count.key_span.clone(),
                    format!("`replicates` has no meaning with the rule {name:?}"),
                )
                .expected("it left out, or the rule \"fresh-seeds\"")
                .related(entry.span.clone(), "the rule is here"),
            );
            return None;
        }
        match name.as_str() {
            "naive" => Some(TuningRule::Naive),
            "nested-bootstrap" => Some(TuningRule::NestedBootstrap),
            "fresh-seeds" => {
                let Some(count) = count else {
                    if !count_misspelt {
                        self.report_missing(
                            Diagnostic::at(
                                entry.span.clone(),
                                "`replicates` is missing beside the rule \"fresh-seeds\"",
                            )
                            .expected("how many of the first replicates choose"),
                        );
                    }
                    return None;
                };
                let most = replicates.map_or(u64::MAX, |all| all.saturating_sub(1) as u64);
                if most == 0 {
                    self.report(
                        Diagnostic::at(
                            entry.span.clone(),
                            "with one replicate none is left to estimate with",
                        )
                        .expected("two replicates or more in `[study]`"),
                    );
                    return None;
                }
                let read = self.whole(count.key, count.value, &count.span, 1, most)?;
                usize::try_from(read).ok().map(|replicates| TuningRule::FreshSeeds { replicates })
            }
            _ => {
                let diagnostic = Diagnostic::at(entry.span.clone(), format!("`rule` is {name:?}"))
                    .expected(format!("one of {}", quoted(&RULES)));
                let help = nearest(&name, RULES).map(did_you_mean_text);
                self.report(Diagnostic { help, ..diagnostic });
                None
            }
        }
    }
}
