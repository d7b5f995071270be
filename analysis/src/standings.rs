//! Standings of a leaderboard: what an aggregation makes of it, what the rounding of its cells leaves
//! open, and which places the choice of scenarios decides.

use polars::prelude::*;

use super::comparison::Alternative;
use super::correlation::Correlation;
use super::estimator::{count, mean, median};
use super::frames::numbers;
use super::leaderboard::{Board, directions, intervals, present};
use super::{AnalysisError, Better, Bootstrap, IntervalMethod, LeaderboardColumns, Ties};

/// How a model's results on several scenarios become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregation {
    /// The mean over scenarios of the share of the other models that it beats (HELM Classic, Lite).
    MeanWinRate,
    /// The median of these shares, which one scenario does not move much.
    MedianWinRate,
    /// The mean of its scores (HELM Capabilities). Scenarios need one scale and direction.
    MeanScore,
    /// The mean of its scores after each scenario's are brought to one scale: its worst model has 0,
    /// its best 1. A scenario on which all are equal counts for nobody.
    MeanScaledScore,
}

impl Aggregation {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::MeanWinRate => "mean win rate",
            Self::MedianWinRate => "median win rate",
            Self::MeanScore => "mean score",
            Self::MeanScaledScore => "mean scaled score",
        }
    }

    fn of(self) -> fn(&[f64]) -> Option<f64> {
        match self {
            Self::MedianWinRate => median,
            Self::MeanWinRate | Self::MeanScore | Self::MeanScaledScore => mean,
        }
    }

    fn compares(self) -> bool {
        matches!(self, Self::MeanWinRate | Self::MedianWinRate)
    }
}

/// What becomes of a model without a result on a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingResults {
    /// It does not compete there, and is aggregated over the others (HELM): models are then compared
    /// by different scenarios.
    Skipped,
    /// Only scenarios on which every model has a result count.
    CompleteScenarios,
    /// Only models with a result on every scenario compete.
    CompleteModels,
    /// It loses against every model with a result; its score is the scenario's worst.
    Worst,
}

/// How standings are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StandingRules {
    /// How results on several scenarios become one number.
    pub aggregation: Aggregation,
    /// What becomes of equal results.
    pub ties: Ties,
    /// What becomes of missing ones.
    pub missing: MissingResults,
    /// The unit of the last digit to which cells and published aggregates are rounded; 0 where they
    /// are exact.
    pub rounding: f64,
}

/// What each model has on each scenario, and what that aggregates to.
struct Ranked {
    models: Vec<String>,
    /// By model, then by scenario.
    rows: Vec<Vec<Option<f64>>>,
    /// The same if ties are lost, and if they are won.
    bounds: Option<[Vec<Vec<Option<f64>>>; 2]>,
    /// By model; higher is better.
    aggregates: Vec<Option<f64>>,
    /// By which an aggregate is multiplied where it is shown.
    sign: f64,
    board: Board,
}

impl Ranked {
    fn new(
        frame: &DataFrame,
        columns: &LeaderboardColumns<'_>,
        rules: &StandingRules,
    ) -> Result<Self, AnalysisError> {
        let lower = columns.scenarios.iter().filter(|(_, better)| *better == Better::Lower).count();
        let reversed = lower > 0 && lower == columns.scenarios.len();
        if rules.aggregation == Aggregation::MeanScore && lower > 0 && !reversed {
            return Err(directions());
        }
        // What is left out by a rule is no hole.
        let whole = Board::read(frame, &LeaderboardColumns { excluded: &[], ..*columns })?;
        let mut board = Board::read(frame, columns)?;
        let hole = |scenario: usize, model: usize| whole.columns[scenario][model].is_none();
        let all = 0..board.models.len();
        match rules.missing {
            MissingResults::Skipped => {}
            MissingResults::CompleteScenarios => {
                for (scenario, column) in board.columns.iter_mut().enumerate() {
                    if all.clone().any(|model| hole(scenario, model)) {
                        column.fill(None);
                    }
                }
            }
            MissingResults::CompleteModels => {
                let scenarios = board.columns.len();
                for model in all.filter(|&model| (0..scenarios).any(|of| hole(of, model))) {
                    for column in &mut board.columns {
                        column[model] = None;
                    }
                }
            }
            MissingResults::Worst => {
                for (scenario, column) in board.columns.iter_mut().enumerate() {
                    let worst = column.iter().flatten().copied().reduce(f64::min);
                    // Below the worst of those that have a result.
                    let worst = match rules.aggregation.compares() {
                        true => worst.map(|_| f64::NEG_INFINITY),
                        false => worst,
                    };
                    for model in all.clone().filter(|&model| hole(scenario, model)) {
                        column[model] = worst;
                    }
                }
            }
        }
        let scaled: Vec<Vec<Option<f64>>> = board.columns.iter().map(|of| scaled(of)).collect();
        let by_model = |number: &dyn Fn(usize, usize) -> Option<f64>| -> Vec<Vec<Option<f64>>> {
            let row = |model| (0..board.columns.len()).map(|of| number(of, model)).collect();
            (0..board.models.len()).map(row).collect()
        };
        let won = |ties: Ties| by_model(&|of, model| board.win_rate(of, model, ties));
        let rows = match rules.aggregation {
            Aggregation::MeanScore => by_model(&|of, model| board.columns[of][model]),
            Aggregation::MeanScaledScore => by_model(&|of, model| scaled[of][model]),
            Aggregation::MeanWinRate | Aggregation::MedianWinRate => won(rules.ties),
        };
        let bounds = rules.aggregation.compares().then(|| [Ties::Lost, Ties::Won].map(won));
        let aggregate = |row: &Vec<Option<f64>>| rules.aggregation.of()(&present(row));
        let sign = if reversed && rules.aggregation == Aggregation::MeanScore { -1.0 } else { 1.0 };
        Ok(Self {
            models: board.models.clone(),
            aggregates: rows.iter().map(aggregate).collect(),
            rows,
            bounds,
            sign,
            board,
        })
    }

    /// The place of a model, from 1; models that are equal share the best of theirs.
    fn rank(&self, model: usize) -> Option<u64> {
        let own = self.aggregates[model]?;
        Some(1 + self.aggregates.iter().flatten().filter(|other| **other > own).count() as u64)
    }

    /// The models that have a place, the best first, equal ones in the order of the frame.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<(usize, f64)> =
            self.aggregates.iter().enumerate().filter_map(|(at, of)| Some((at, (*of)?))).collect();
        order.sort_by(|one, other| other.1.total_cmp(&one.1));
        order.into_iter().map(|(model, _)| model).collect()
    }
}

/// Scores between the worst, 0, and the best, 1; none where all are equal.
fn scaled(column: &[Option<f64>]) -> Vec<Option<f64>> {
    let all = || column.iter().flatten().copied();
    let (low, high) =
        (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let of = |value: &Option<f64>| value.filter(|_| high > low).map(|v| (v - low) / (high - low));
    column.iter().map(of).collect()
}

/// The standings of a leaderboard.
///
/// One row a model in the order of the frame:
///
/// | column | meaning |
/// |---|---|
/// | `model` | the model |
/// | `rank` | its place, from 1, equal ones sharing the best; null where it does not compete |
/// | `scenarios` | scenarios on which it has a number |
/// | `estimate` | its aggregate |
/// | `low`, `high` | bootstrap interval over scenarios; null with fewer than two |
/// | `bound_low`, `bound_high` | the smallest and the largest aggregate of any results that round to the cells: of win rates, ties all lost and all won; of mean scores, half a unit of the last digit either way; null where not known |
/// | `published` | the published aggregate; null without one |
/// | `inside` | whether the published aggregate, rounded too, lies between the bounds; null without either |
/// | `estimator`, `interval`, `interval_level`, `resamples` | what they are |
///
/// A resampled scenario keeps its models.
///
/// # Errors
/// When a column is absent, a model has no name, an exclusion names nobody, scores of both directions
/// are to be averaged, or the bootstrap is out of range or the Bayesian one.
pub fn standings(
    frame: &DataFrame,
    columns: &LeaderboardColumns<'_>,
    published: Option<&str>,
    rules: &StandingRules,
    bootstrap: &Bootstrap,
) -> Result<DataFrame, AnalysisError> {
    let ranked = Ranked::new(frame, columns, rules)?;
    let height = ranked.models.len();
    let aggregation = rules.aggregation;
    let signed = |number: Option<f64>| number.map(|number| ranked.sign * number);
    let estimates: Vec<Option<f64>> = ranked.aggregates.iter().copied().map(signed).collect();
    let found = intervals(&ranked.rows, aggregation.of(), bootstrap)?;
    let ends: Vec<(Option<f64>, Option<f64>)> = found
        .iter()
        .map(|interval| {
            let (low, high) = interval.map(|found| (found.low, found.high)).unzip();
            if ranked.sign < 0.0 { (signed(high), signed(low)) } else { (low, high) }
        })
        .collect();
    let half = rules.rounding / 2.0;
    let bound = |end: usize| -> Vec<Option<f64>> {
        let shift = if end == 0 { -half } else { half };
        match (&ranked.bounds, aggregation) {
            (Some(bounds), _) => {
                bounds[end].iter().map(|row| aggregation.of()(&present(row))).collect()
            }
            (None, Aggregation::MeanScore) => {
                estimates.iter().map(|of| of.map(|of| of + shift)).collect()
            }
            (None, _) => vec![None; height],
        }
    };
    let (low, high) = (bound(0), bound(1));
    let published = match published {
        Some(column) => numbers(frame, column)?,
        None => vec![None; height],
    };
    // Sums of a hundred numbers, each rounded in its last bit, err by far less.
    let slack = half + 1e-9;
    let inside = |model: usize| {
        let (low, high) = (low[model]?, high[model]?);
        Some((low - slack..=high + slack).contains(&published[model]?))
    };
    let inside: Vec<Option<bool>> = (0..height).map(inside).collect();
    let estimator = match aggregation.compares() {
        true => format!("{}, {}", aggregation.name(), rules.ties.name()),
        false => aggregation.name().to_owned(),
    };
    let counts = ranked.rows.iter().map(|row| present(row).len() as u64);
    Ok(df!(
        "model" => ranked.models.as_slice(),
        "rank" => (0..height).map(|model| ranked.rank(model)).collect::<Vec<_>>(),
        "scenarios" => counts.collect::<Vec<u64>>(),
        "estimate" => estimates,
        "low" => ends.iter().map(|ends| ends.0).collect::<Vec<_>>(),
        "high" => ends.iter().map(|ends| ends.1).collect::<Vec<_>>(),
        "bound_low" => low,
        "bound_high" => high,
        "published" => published,
        "inside" => inside,
        "estimator" => vec![estimator; height],
        "interval" => vec![format!("{} over scenarios", bootstrap.method.name()); height],
        "interval_level" => vec![bootstrap.level; height],
        "resamples" => vec![bootstrap.resamples as u64; height],
    )?)
}

/// Every two models of the standings, and whether the scenarios decide between them.
///
/// One row a pair, by the place of the first and then of the second:
///
/// | column | meaning |
/// |---|---|
/// | `model`, `other` | the pair; the first has the better place, or stands above where they are equal |
/// | `rank`, `other_rank` | their places |
/// | `adjacent` | whether nobody stands between them |
/// | `scenarios` | scenarios on which both compete |
/// | `wins` | the share of these on which the first is better; null where there are none |
/// | `difference` | the first's aggregate minus the second's, positive where the first is better |
/// | `ahead` | the share of resamples of the scenarios, the same for both, in which the first's aggregate is better; null where none has both |
/// | `separable` | whether that share is at least `1 - (1 - level) / 2`: zero then lies outside the paired percentile interval of the difference |
///
/// # Errors
/// As [`standings`].
pub fn head_to_head_standings(
    frame: &DataFrame,
    columns: &LeaderboardColumns<'_>,
    rules: &StandingRules,
    bootstrap: &Bootstrap,
) -> Result<DataFrame, AnalysisError> {
    bootstrap.check()?;
    if bootstrap.method == IntervalMethod::Bayesian {
        return Err(AnalysisError::NoWeightedForm);
    }
    let ranked = Ranked::new(frame, columns, rules)?;
    let order = ranked.order();
    let places = order.len();
    let pairs: Vec<(usize, usize)> =
        (0..places).flat_map(|one| (one + 1..places).map(move |other| (one, other))).collect();

    // How often the first of a pair was ahead, and in how many resamples both had a number.
    let mut ahead = vec![(0_usize, 0_usize); pairs.len()];
    let scenarios = columns.scenarios.len();
    let draws = bootstrap.draws(0, scenarios);
    let mut aggregates: Vec<Option<f64>> = vec![None; places];
    let mut drawn = Vec::with_capacity(scenarios);
    for resample in 0..bootstrap.resamples {
        for (aggregate, model) in aggregates.iter_mut().zip(&order) {
            drawn.clear();
            let of_drawn = draws.resample(resample).iter();
            drawn.extend(of_drawn.filter_map(|of| ranked.rows[*model][*of as usize]));
            *aggregate = rules.aggregation.of()(&drawn);
        }
        for ((ahead, compared), (one, other)) in ahead.iter_mut().zip(&pairs) {
            if let (Some(one), Some(other)) = (aggregates[*one], aggregates[*other]) {
                *compared += 1;
                *ahead += usize::from(one > other);
            }
        }
    }
    let share = |(ahead, compared): &(usize, usize)| {
        (*compared > 0).then(|| count(*ahead) / count(*compared))
    };
    let shares: Vec<Option<f64>> = ahead.iter().map(share).collect();
    let needed = 1.0 - (1.0 - bootstrap.level) / 2.0;

    let board = &ranked.board;
    let won = |(one, other): &(usize, usize)| -> Vec<f64> {
        let of = |scenario| {
            let theirs = board.entry(scenario, order[*other])?;
            Some(rules.ties.share(board.entry(scenario, order[*one])?, theirs))
        };
        (0..scenarios).filter_map(of).collect()
    };
    let wins: Vec<Vec<f64>> = pairs.iter().map(won).collect();
    let difference = |(one, other): &(usize, usize)| {
        Some(ranked.aggregates[order[*one]]? - ranked.aggregates[order[*other]]?)
    };
    let names = |places: Vec<usize>| -> Vec<&str> {
        places.into_iter().map(|place| ranked.models[order[place]].as_str()).collect()
    };
    let ranks = |places: Vec<usize>| -> Vec<Option<u64>> {
        places.into_iter().map(|place| ranked.rank(order[place])).collect()
    };
    let firsts = || pairs.iter().map(|pair| pair.0).collect::<Vec<usize>>();
    let seconds = || pairs.iter().map(|pair| pair.1).collect::<Vec<usize>>();
    Ok(df!(
        "model" => names(firsts()),
        "other" => names(seconds()),
        "rank" => ranks(firsts()),
        "other_rank" => ranks(seconds()),
        "adjacent" => pairs.iter().map(|(one, other)| one + 1 == *other).collect::<Vec<bool>>(),
        "scenarios" => wins.iter().map(|wins| wins.len() as u64).collect::<Vec<u64>>(),
        "wins" => wins.iter().map(|wins| mean(wins)).collect::<Vec<_>>(),
        "difference" => pairs.iter().map(difference).collect::<Vec<Option<f64>>>(),
        "ahead" => shares.clone(),
        "separable" => shares.iter().map(|of| of.map(|of| of >= needed)).collect::<Vec<_>>(),
    )?)
}

/// How well standings agree with the published ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Models with a published aggregate.
    pub published: u64,
    /// Of these, the ones of which it lies between the bounds.
    pub inside: u64,
    /// The largest distance between an aggregate and the published one; `None` where no model has both.
    pub largest_deviation: Option<f64>,
    /// Kendall's tau-b of the two orders; `None` below two models or where either is constant.
    pub kendall: Option<f64>,
}

/// Compares the table of [`standings`] with its published aggregates, of which the named ones are
/// better.
///
/// # Errors
/// When the table is not one of [`standings`].
pub fn agreement(standings: &DataFrame, better: Better) -> Result<Agreement, AnalysisError> {
    let published = numbers(standings, "published")?;
    let (estimates, ranks) = (numbers(standings, "estimate")?, numbers(standings, "rank")?);
    let both = estimates.iter().zip(&published);
    let distances = both.filter_map(|(own, of)| Some(((*own)? - (*of)?).abs()));
    let sign = if better == Better::Higher { -1.0 } else { 1.0 };
    let both = ranks.iter().zip(&published);
    let places: Vec<(f64, f64)> =
        both.filter_map(|(rank, of)| Some(((*rank)?, sign * (*of)?))).collect();
    let (own, theirs): (Vec<f64>, Vec<f64>) = places.into_iter().unzip();
    // Below two pairs, or without variance, there is no order to compare.
    let kendall = Correlation::Kendall.of(&own, &theirs, Alternative::TwoSided, 0.95).ok();
    Ok(Agreement {
        published: published.iter().flatten().count() as u64,
        inside: standings.column("inside")?.bool()?.iter().filter(|is| *is == Some(true)).count()
            as u64,
        largest_deviation: distances.reduce(f64::max),
        kendall: kendall.map(|found| found.estimate),
    })
}
