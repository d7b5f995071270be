//! Statistics of a resample, from the counts of its scores.

use multiversion::multiversion;

use super::resampling::{Design, Resample, Resampled, Sample};
use super::{Aggregate, Scores};
use crate::estimator::{count, median_of};
use crate::mean;

/// A method's scores, laid out for sums weighted by counts: a cell is a score, cells are ordered by
/// task and within a task by value.
///
/// Sums run over deviations from an origin: zero, or where all scores are equal that score. Their
/// mean is then exactly that score in every resample.
pub(super) struct Weighted {
    runs: Vec<usize>,
    /// First cell of every task.
    offsets: Vec<usize>,
    /// The origin of every task.
    origins: Vec<f64>,
    /// Of every cell, from the origin of its task.
    deviations: Vec<f64>,
    /// The origin of all scores together.
    origin: f64,
    /// Of every cell, from the origin of all.
    from_origin: Vec<f64>,
    /// Cells by value.
    ranked: Vec<u32>,
    values: Vec<f64>,
    core: Core,
}

/// The ranks that the interquartile mean of nearly every resample keeps.
#[derive(Default)]
struct Core {
    /// First rank, and the one past the last; equal where there are too few scores.
    ranks: (usize, usize),
    /// The same as cells: of every task the first cell, the first of the core, the one past it.
    cells: Vec<(usize, usize, usize)>,
}

impl Core {
    /// Four standard deviations of the number of copies below a quartile narrower than the
    /// quartiles. That number varies most where scores do not cluster by task: then it is
    /// binomial, with variance 3n/16.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // below n for n > 48
    fn new(ranked: &[u32], offsets: &[usize], runs: &[usize]) -> Self {
        let n = ranked.len();
        let first = n / 4 + (4.0 * (3.0 * count(n) / 16.0).sqrt()).ceil() as usize;
        let Some(last) = n.checked_sub(first).filter(|&last| last > first) else {
            return Self::default();
        };
        let mut rank_of = vec![0; n];
        for (rank, &cell) in ranked.iter().enumerate() {
            rank_of[cell as usize] = rank;
        }
        let cells = offsets.iter().zip(runs).map(|(&start, runs)| {
            // Within a task, ranks ascend.
            let ranks = &rank_of[start..start + runs];
            let of = |limit| start + ranks.partition_point(|&rank| rank < limit);
            (start, of(first), of(last))
        });
        Self { ranks: (first, last), cells: cells.collect() }
    }
}

impl Weighted {
    pub(super) fn new(scores: &Scores) -> Self {
        let tasks = &scores.tasks;
        let runs: Vec<usize> = tasks.iter().map(|task| task.values.len()).collect();
        let offsets: Vec<usize> = runs
            .iter()
            .scan(0, |end, runs| {
                *end += runs;
                Some(*end - runs)
            })
            .collect();
        let origins: Vec<f64> = tasks.iter().map(|task| origin(&task.values)).collect();
        let values: Vec<f64> = tasks.iter().flat_map(|task| task.values.iter().copied()).collect();
        let deviations = tasks
            .iter()
            .zip(&origins)
            .flat_map(|(task, origin)| task.values.iter().map(move |value| value - origin))
            .collect();
        #[allow(clippy::cast_possible_truncation)] // a cell's counter alone takes four bytes
        let mut ranked: Vec<u32> = (0..values.len() as u32).collect();
        ranked.sort_by(|&a, &b| values[a as usize].total_cmp(&values[b as usize]));
        let origin = origin(&values);
        let from_origin = values.iter().map(|value| value - origin).collect();
        let core = Core::new(&ranked, &offsets, &runs);
        Self { runs, offsets, origins, deviations, origin, from_origin, ranked, values, core }
    }

    pub(super) fn design(&self, resampled: Resampled) -> Design {
        Design::new(self.runs.clone(), resampled)
    }

    /// The statistics of the scores as they are, by the same arithmetic as those of a resample.
    pub(super) fn of_sample<R>(&self, statistic: impl FnOnce(&Self, &Resample<'_>) -> R) -> R {
        statistic(self, &Sample::whole(&self.design(Resampled::Runs)).resample())
    }

    /// The mean score of every drawn task; NaN for a task without scores.
    pub(super) fn task_means(&self, resample: &Resample<'_>, means: &mut Vec<f64>) {
        means.clear();
        slot_means(self, resample, means);
    }

    /// The interquartile mean of all drawn scores, each copy a value of its own: what
    /// [`crate::iqm`] says of the resample written out.
    fn iqm(&self, resample: &Resample<'_>) -> f64 {
        let cut = resample.total / 4;
        let kept = resample.total - 2 * cut;
        let sum = self.core_sum(resample, cut).unwrap_or_else(|| {
            let (mut skip, mut keep, mut sum) = (cut, kept, 0.0);
            for &cell in &self.ranked {
                let copies = i64::from(resample.cells[cell as usize]);
                let skipped = copies.min(skip);
                let taken = (copies - skipped).min(keep);
                sum += exact(taken) * self.from_origin[cell as usize];
                skip -= skipped;
                keep -= taken;
            }
            sum
        });
        self.origin + sum / exact(kept)
    }

    /// The sum of deviations between the quartiles: of the core, cell by cell, then outwards rank
    /// by rank until the quartiles. `None` where a quartile lies inside the core: taking copies
    /// away again would lose digits.
    fn core_sum(&self, resample: &Resample<'_>, cut: i64) -> Option<f64> {
        let (first, last) = self.core.ranks;
        if first == last {
            return None;
        }
        let (below, within, mut sum) = core_totals(self, resample.cells);
        let mut walk = |ranks: &mut dyn Iterator<Item = &u32>, mut keep: i64| {
            while keep > 0 {
                let Some(&cell) = ranks.next() else { break };
                let taken = i64::from(resample.cells[cell as usize]).min(keep);
                sum += exact(taken) * self.from_origin[cell as usize];
                keep -= taken;
            }
        };
        let (low, high) = (below - cut, resample.total - below - within - cut);
        if low < 0 || high < 0 {
            return None;
        }
        walk(&mut self.ranked[..first].iter().rev(), low);
        walk(&mut self.ranked[last..].iter(), high);
        Some(sum)
    }

    /// For each rank limit (ascending), how many drawn scores have that rank or a higher one.
    pub(super) fn above(&self, resample: &Resample<'_>, limits: &[usize], above: &mut [f64]) {
        let (mut rank, mut below) = (0, 0);
        for (&limit, above) in limits.iter().zip(above) {
            for &cell in &self.ranked[rank..limit] {
                below += i64::from(resample.cells[cell as usize]);
            }
            rank = limit;
            *above = exact(resample.total - below);
        }
    }

    /// The rank of the first score above a threshold.
    pub(super) fn rank_above(&self, threshold: f64) -> usize {
        self.ranked.partition_point(|&cell| self.values[cell as usize] <= threshold)
    }
}

/// Aggregates of a method's resamples.
pub(super) struct Aggregator<'a> {
    scores: &'a Weighted,
    aggregates: &'a [Aggregate],
    /// For each optimality gap, every cell's score cut off at the target, from the origin.
    cut_off: Vec<Vec<f64>>,
    means: Vec<f64>,
    /// The same in another order.
    reordered: Vec<f64>,
}

impl<'a> Aggregator<'a> {
    pub(super) fn new(scores: &'a Weighted, aggregates: &'a [Aggregate]) -> Self {
        let cut_off = aggregates
            .iter()
            .map(|aggregate| match *aggregate {
                Aggregate::OptimalityGap { gamma } => {
                    let origin = scores.origin.min(gamma);
                    scores.values.iter().map(|value| value.min(gamma) - origin).collect()
                }
                _ => vec![],
            })
            .collect();
        Self { scores, aggregates, cut_off, means: vec![], reordered: vec![] }
    }

    /// Writes a number for each aggregate.
    pub(super) fn measure(&mut self, resample: &Resample<'_>, numbers: &mut [f64]) {
        let scores = self.scores;
        let by_task = |aggregate: &_| matches!(aggregate, Aggregate::Mean | Aggregate::Median);
        if self.aggregates.iter().any(by_task) {
            scores.task_means(resample, &mut self.means);
        }
        let pairs = self.aggregates.iter().zip(&self.cut_off);
        for ((aggregate, cut_off), number) in pairs.zip(numbers) {
            *number = match *aggregate {
                Aggregate::Mean => mean(&self.means).unwrap_or(f64::NAN),
                Aggregate::Median => {
                    self.reordered.clone_from(&self.means);
                    median_of(&mut self.reordered).unwrap_or(f64::NAN)
                }
                Aggregate::Iqm => scores.iqm(resample),
                Aggregate::OptimalityGap { gamma } => {
                    let mean = weighted_sum(resample.cells, cut_off) / exact(resample.total);
                    gamma - (scores.origin.min(gamma) + mean)
                }
            };
        }
    }
}

/// The numbers of runs of two methods on one task, as a Mann-Whitney statistic needs them.
pub(super) struct Improvement {
    /// For each run of the first method, how many of the second score less, and at most as much.
    places: Vec<Vec<(usize, usize)>>,
    /// Copies of the second method's runs, cumulated.
    cumulated: Vec<i64>,
}

impl Improvement {
    /// `x` and `y` have the same tasks, each with scores.
    pub(super) fn new(x: &Scores, y: &Scores) -> Self {
        let places = x.tasks.iter().zip(&y.tasks).map(|(x, y)| {
            let place = |x: &f64| {
                (y.values.partition_point(|y| y < x), y.values.partition_point(|y| y <= x))
            };
            x.values.iter().map(place).collect()
        });
        Self { places: places.collect(), cumulated: vec![] }
    }

    /// The mean over tasks of U / (n of x · n of y), where U counts the pairs in which x scores
    /// more, and half of those in which both score the same.
    pub(super) fn probability(&mut self, x: &Resample<'_>, y: &Resample<'_>) -> f64 {
        let (mut sum, mut tasks) = (0.0, 0);
        for ((task, x_counts), (_, y_counts)) in x.slots().zip(y.slots()) {
            self.cumulated.clear();
            self.cumulated.push(0);
            let mut copies = 0;
            for &count in y_counts {
                copies += i64::from(count);
                self.cumulated.push(copies);
            }
            let twice_u: i64 = x_counts
                .iter()
                .zip(&self.places[task])
                .map(|(&count, &(below, up_to))| {
                    i64::from(count) * (self.cumulated[below] + self.cumulated[up_to])
                })
                .sum();
            sum += exact(twice_u) / (2.0 * count(x.size(task)) * count(y.size(task)));
            tasks += 1;
        }
        sum / count(tasks)
    }
}

/// The score from which deviations are taken.
fn origin(scores: &[f64]) -> f64 {
    let first = scores.first().copied().unwrap_or(0.0);
    #[allow(clippy::float_cmp)] // constant to the last bit
    let constant = scores.iter().all(|&score| score == first);
    if constant { first } else { 0.0 }
}

// Counts of copies in memory are far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn exact(copies: i64) -> f64 {
    copies as f64
}

/// Accumulators of a sum. They are part of its definition: with wider vectors or narrower ones, the
/// order of additions and hence every bit stays the same.
const LANES: usize = 8;

#[inline(always)]
fn sum_of_products(counts: &[i32], values: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (count_chunks, value_chunks) = (counts.chunks_exact(LANES), values.chunks_exact(LANES));
    let rest = count_chunks.remainder().iter().zip(value_chunks.remainder());
    let rest: f64 = rest.map(|(&count, value)| f64::from(count) * value).sum();
    for (counts, values) in count_chunks.zip(value_chunks) {
        for lane in 0..LANES {
            lanes[lane] += f64::from(counts[lane]) * values[lane];
        }
    }
    lanes.iter().sum::<f64>() + rest
}

#[multiversion(targets("x86_64+avx2"))]
fn weighted_sum(counts: &[i32], values: &[f64]) -> f64 {
    sum_of_products(counts, values)
}

#[multiversion(targets("x86_64+avx2"))]
fn slot_means(scores: &Weighted, resample: &Resample, means: &mut Vec<f64>) {
    for (task, counts) in resample.slots() {
        let deviations = &scores.deviations[scores.offsets[task]..][..counts.len()];
        let sum = sum_of_products(counts, deviations);
        means.push(scores.origins[task] + sum / count(resample.size(task)));
    }
}

/// Copies below the core, copies in it, and the sum of the latter's deviations.
#[multiversion(targets("x86_64+avx2"))]
fn core_totals(scores: &Weighted, counts: &[i32]) -> (i64, i64, f64) {
    let (mut below, mut within, mut sum) = (0, 0, 0.0);
    for &(start, first, last) in &scores.core.cells {
        below += i64::from(counts[start..first].iter().sum::<i32>());
        let counts = &counts[first..last];
        within += i64::from(counts.iter().sum::<i32>());
        sum += sum_of_products(counts, &scores.from_origin[first..last]);
    }
    (below, within, sum)
}

#[cfg(test)]
mod tests {
    use super::super::resampling::Sampler;
    use super::*;
    use crate::iqm;

    /// Every resample written out, against the statistics from counts.
    #[test]
    fn counts_say_what_the_copies_would_say() {
        let value = |run: u32, task: u32| f64::from((run * run * 31 + task * 17) % 97) / 7.0;
        let like = |task: u32| (0..40).map(|run| value(run, task)).collect::<Vec<f64>>();
        let far: Vec<f64> = (0..25).map(|run| value(run, 5) * 1e12).collect();
        let tasks = [like(0), like(1), like(2)[..30].to_vec(), far];
        let names = ["a", "b", "c", "d"];
        let scores = Scores::new(names.into_iter().zip(tasks.iter().map(Vec::as_slice)));
        let weighted = Weighted::new(&scores);
        let (first, last) = weighted.core.ranks;
        assert!(first < last, "the core must take part");
        let (mut by_core, mut by_walk) = (0, 0);
        for resampled in [Resampled::Runs, Resampled::RunsAndTasks] {
            let design = weighted.design(resampled);
            let mut sampler = Sampler::new(&design, 3, 0);
            for number in 0..500 {
                let resample = sampler.draw(number);
                let mut copies = vec![];
                let mut means = vec![];
                for (task, counts) in resample.slots() {
                    let begin = copies.len();
                    for (&count, &score) in counts.iter().zip(&scores.tasks[task].values) {
                        copies.extend((0..count).map(|_| score));
                    }
                    means.push(mean(&copies[begin..]).unwrap());
                }
                assert_eq!(i64::try_from(copies.len()).unwrap(), resample.total);
                match weighted.core_sum(&resample, resample.total / 4) {
                    Some(_) => by_core += 1,
                    None => by_walk += 1,
                }
                let gap = Aggregate::OptimalityGap { gamma: 5.0 };
                let aggregates = [Aggregate::Iqm, Aggregate::Mean, Aggregate::Median, gap];
                let mut found = [0.0; 4];
                Aggregator::new(&weighted, &aggregates).measure(&resample, &mut found);
                let cut_off: Vec<f64> = copies.iter().map(|score| score.min(5.0)).collect();
                let expected = [
                    iqm(&copies).unwrap(),
                    mean(&means).unwrap(),
                    crate::median(&means).unwrap(),
                    5.0 - mean(&cut_off).unwrap(),
                ];
                for (found, expected) in found.into_iter().zip(expected) {
                    let error = (found - expected).abs();
                    assert!(error <= 1e-12 * (1.0 + expected.abs()), "{found} is not {expected}");
                }
            }
        }
        assert!(by_core > 400 && by_walk > 50, "{by_core} by the core, {by_walk} rank by rank");
    }
}
