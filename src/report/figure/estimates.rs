//! Every run as a dot, with the estimate and interval of its arm.

use super::super::ReportError;
use super::super::draw::{Axis, Ink, Strip, strip};
use super::super::model::{ArmRow, Estimate};
use super::super::numbers::{decimals, fixed};
use super::{Body, Figure, Group, Made, Maker, ONE_REPLICATE, Row, Section, minus, shown};

/// More arms than this are grouped by the levels of their first factors.
const MOST_TOGETHER: usize = 8;
/// More arms than this in a group are grouped by one more factor.
const MOST_IN_A_GROUP: usize = 16;
/// Groups have no fewer arms than this.
const LEAST_IN_A_GROUP: usize = 4;

/// Arms that stand together, with what is left of their names.
struct Together {
    heading: String,
    arms: Vec<(usize, String)>,
}

impl<'a> Maker<'a, '_> {
    pub(super) fn estimates(&self) -> Made<'a> {
        let (input, model) = (self.input, self.model);
        let Some(headline) = input.metrics.first() else { return Ok(None) };
        let (groups, own_axes) = self.together();
        let all: Vec<usize> = (0..model.arms.len()).collect();
        let mut drawn = Vec::new();
        for group in groups {
            let here: Vec<usize> = group.arms.iter().map(|(arm, _)| *arm).collect();
            let Some(axis) = self.axis_of(if own_axes { &here } else { &all }) else { continue };
            let decimals = self.decimals_of(if own_axes { &here } else { &all });
            let rows = group
                .arms
                .iter()
                .map(|(arm, name)| self.row(*arm, name, &axis, decimals))
                .collect::<Result<Vec<_>, _>>()?;
            drawn.push(Group { heading: group.heading, axis, rows });
        }
        if drawn.is_empty() {
            return Ok(None);
        }
        let decimals = self.decimals_of(&all);
        let said: Vec<String> = model.arms.iter().map(|arm| said_of(arm, decimals)).collect();
        let interval = match self.interval(input.options.tables()) {
            Some(interval) => {
                format!("; shade and square brackets: its {interval}.{} ", self.caveat())
            }
            None => format!("{ONE_REPLICATE} "),
        };
        let axes = if own_axes { "Tasks have axes of their own. " } else { "" };
        Ok(Some(Figure {
            id: "estimates".into(),
            section: Section::Metrics,
            title: format!("{} of every run", headline.name),
            caption: format!(
                "`{}` of every run, one dot a run; the height of a dot within its row is its {}, \
                 the same in every row. Upright mark and number: {}{interval}{axes}{}.",
                headline.name,
                model.unit.one,
                input.options.estimator.words(),
                self.runs_with_headline(),
            ),
            body: Body::Rows {
                key: Vec::new(),
                groups: drawn,
                said: format!(
                    "{} of every run, one row an arm. {}.",
                    headline.name,
                    said.join(". ")
                ),
            },
            data: vec![("runs".into(), &model.runs_table)],
        }))
    }

    /// Groups by task where arms are named `task/algorithm`, by the first factor where there are
    /// many arms; and whether groups have axes of their own.
    fn together(&self) -> (Vec<Together>, bool) {
        let model = self.model;
        if let Some(tasks) = model.tasks() {
            let group =
                |(task, arms): (String, Vec<(usize, String)>)| Together { heading: task, arms };
            return (tasks.into_iter().map(group).collect(), true);
        }
        let number = |arm: usize, name: &str| match model.arms.len() {
            1 => name.to_owned(),
            _ => format!("{}. {name}", arm + 1),
        };
        let leading = self.leading_factors();
        if leading == 0 {
            let arms = model.arms.iter().enumerate();
            let arms = arms.map(|(place, arm)| (place, number(place, &arm.label()))).collect();
            return (vec![Together { heading: String::new(), arms }], false);
        }
        let mut groups: Vec<Together> = Vec::new();
        for (place, arm) in model.arms.iter().enumerate() {
            let (heading, name) = match &arm.levels {
                Some(levels) => {
                    let levels: Vec<(&String, &String)> =
                        model.factors.iter().zip(levels).collect();
                    let join = |levels: &[(&String, &String)], is: &str| {
                        let level =
                            |(factor, level): &(&String, &String)| format!("{factor}{is}{level}");
                        levels.iter().map(level).collect::<Vec<_>>().join(", ")
                    };
                    let (first, others) = levels.split_at(leading);
                    (join(first, " = "), join(others, "="))
                }
                None => ("not of the grid".to_owned(), arm.label()),
            };
            // The grid's last factor varies fastest, so that groups follow each other.
            match groups.last_mut() {
                Some(group) if group.heading == heading => {
                    group.arms.push((place, number(place, &name)));
                }
                _ => groups.push(Together { heading, arms: vec![(place, number(place, &name))] }),
            }
        }
        (groups, false)
    }

    /// How many of the first factors make the groups: few enough arms in each to compare at a
    /// glance, and not so few that groups stand alone.
    fn leading_factors(&self) -> usize {
        let factors = &self.input.plan.file.factors;
        let mut arms: usize = factors.iter().map(|factor| factor.levels.len()).product();
        let mut leading = 0;
        for factor in factors {
            let left = arms / factor.levels.len().max(1);
            let most = if leading == 0 { MOST_TOGETHER } else { MOST_IN_A_GROUP };
            if arms <= most || left < LEAST_IN_A_GROUP {
                break;
            }
            (arms, leading) = (left, leading + 1);
        }
        leading
    }

    fn axis_of(&self, arms: &[usize]) -> Option<Axis> {
        let arms = arms.iter().map(|&arm| &self.model.arms[arm]);
        let numbers = arms
            .flat_map(|arm| arm.seeds.iter().map(|seed| seed.1).chain(arm.metrics[0].numbers()));
        Axis::around(numbers, 0.02)
    }

    fn decimals_of(&self, arms: &[usize]) -> usize {
        decimals(arms.iter().flat_map(|&arm| self.model.arms[arm].metrics[0].numbers()))
    }

    fn row(
        &self,
        arm: usize,
        name: &str,
        axis: &Axis,
        decimals: usize,
    ) -> Result<Row, ReportError> {
        let arm = &self.model.arms[arm];
        let last = self.model.replicates.saturating_sub(1).max(1);
        // Both are small.
        #[allow(clippy::cast_precision_loss)]
        let height = |place: usize| {
            if self.model.replicates > 1 { 1.0 - place as f64 / last as f64 } else { 0.5 }
        };
        let dots: Vec<(f64, f64)> =
            arm.seeds.iter().map(|&(place, value)| (value, height(place))).collect();
        let estimate: Estimate = arm.metrics[0];
        let picture = strip(&Strip {
            axis,
            estimate,
            wider: None,
            dots: &dots,
            zero: false,
            ink: Ink::Series(0),
        })?;
        let number = shown(&estimate, |number| fixed(number, decimals));
        let mut small = Vec::new();
        if !number.interval.is_empty() {
            small.push(number.interval);
        }
        if arm.diverged > 0 {
            small.push(format!("{} diverged", arm.diverged));
        }
        let (strong, name) = (String::new(), name.to_owned());
        Ok(Row { strong, name, number: number.value, small, picture })
    }
}

fn said_of(arm: &ArmRow, decimals: usize) -> String {
    if arm.seeds.is_empty() {
        return format!("{}: no value", arm.name);
    }
    let estimate = shown(&arm.metrics[0], |number| fixed(number, decimals));
    let values: Vec<String> =
        arm.seeds.iter().map(|&(_, value)| minus(fixed(value, decimals))).collect();
    format!("{}: {}; runs {}", arm.name, estimate.said, values.join(", "))
}
