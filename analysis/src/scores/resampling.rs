//! Resamples of runs within tasks, as counts of how often each run was drawn.
//!
//! A statistic of a resample needs no copy of the scores: it is a weighted statistic of the
//! original ones, whose weights are these counts. That is what makes tens of thousands of
//! resamples of thousands of scores affordable, in memory too.

use multiversion::multiversion;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::bootstrap::parallel_map;
use crate::{AnalysisError, Bootstrap, Interval, IntervalMethod};

/// What is resampled with replacement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resampled {
    /// Runs, within each task on its own: what other seeds would have given on these tasks.
    #[default]
    Runs,
    /// Tasks, and runs within each drawn task (a task drawn twice draws its runs twice): what
    /// other seeds on other tasks of the same kind would have given.
    RunsAndTasks,
}

impl Resampled {
    /// The interval's method as tables and captions name it.
    pub fn words(self, method: IntervalMethod) -> String {
        let method = match method {
            IntervalMethod::Bca => "BCa",
            method => method.name(),
        };
        match self {
            Self::Runs => format!("{method} bootstrap over runs, stratified by task"),
            Self::RunsAndTasks => {
                format!("{method} bootstrap over tasks and over runs within them")
            }
        }
    }
}

/// How many runs each task has, and what is resampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Design {
    runs: Vec<usize>,
    resampled: Resampled,
}

impl Design {
    pub(super) fn new(runs: Vec<usize>, resampled: Resampled) -> Self {
        Self { runs, resampled }
    }

    /// Whether resamples can differ from one another.
    pub(super) fn varies(&self) -> bool {
        self.runs.iter().any(|&runs| runs > 1)
            || (self.resampled == Resampled::RunsAndTasks && self.runs.len() > 1)
    }
}

/// One resample. Cells are a method's scores, ordered by task; a slot is a drawn task.
pub(super) struct Resample<'a> {
    /// How often each cell was drawn.
    pub(super) cells: &'a [i32],
    /// Scores drawn in total.
    pub(super) total: i64,
    tasks: &'a [usize],
    slots: &'a [i32],
    runs: &'a [usize],
    sizes: &'a [usize],
}

impl<'a> Resample<'a> {
    /// How many scores of a task each of its slots has: as many as the task, unless one was left
    /// out.
    #[inline(always)]
    pub(super) fn size(&self, task: usize) -> usize {
        self.sizes[task]
    }

    /// The drawn tasks, each with how often its runs were drawn (in that slot alone).
    #[inline(always)]
    pub(super) fn slots(&self) -> impl Iterator<Item = (usize, &'a [i32])> {
        let (mut rest, runs) = (self.slots, self.runs);
        self.tasks.iter().map(move |&task| {
            let (slot, after) = rest.split_at(runs[task]);
            rest = after;
            (task, slot)
        })
    }
}

/// The sample itself, or all of it but one unit, in the form of a resample.
pub(super) struct Sample<'a> {
    runs: &'a [usize],
    sizes: Vec<usize>,
    tasks: Vec<usize>,
    cells: Vec<i32>,
    slots: Vec<i32>,
}

impl<'a> Sample<'a> {
    pub(super) fn whole(design: &'a Design) -> Self {
        let cells = vec![1; design.runs.iter().sum()];
        let tasks = (0..design.runs.len()).collect();
        let sizes = design.runs.clone();
        Self { runs: &design.runs, sizes, tasks, slots: cells.clone(), cells }
    }

    fn without_run(design: &'a Design, task: usize, run: usize) -> Self {
        let mut sample = Self::whole(design);
        let cell = design.runs[..task].iter().sum::<usize>() + run;
        sample.cells[cell] = 0;
        sample.slots[cell] = 0;
        sample.sizes[task] -= 1;
        sample
    }

    fn without_task(design: &'a Design, task: usize) -> Self {
        let mut sample = Self::whole(design);
        let first = design.runs[..task].iter().sum::<usize>();
        sample.cells[first..first + design.runs[task]].fill(0);
        sample.slots.truncate(sample.slots.len() - design.runs[task]);
        sample.tasks.remove(task);
        sample
    }

    pub(super) fn resample(&self) -> Resample<'_> {
        Resample {
            cells: &self.cells,
            total: self.slots.iter().map(|&copies| i64::from(copies)).sum(),
            tasks: &self.tasks,
            slots: &self.slots,
            runs: self.runs,
            sizes: &self.sizes,
        }
    }
}

/// A statistic with each resampled unit left out in turn, by stratum.
pub(super) type Jackknife = Vec<Vec<f64>>;

/// The jackknife of every statistic of designs that are resampled together. Units are runs, a task
/// of a design being a stratum; or tasks, which all designs have in common, where these are
/// resampled, too.
pub(super) fn jackknife(
    designs: &[&Design],
    statistics: usize,
    mut measure: impl FnMut(&[Resample<'_>], &mut [f64]),
) -> Vec<Jackknife> {
    let mut of_statistics: Vec<Jackknife> = vec![vec![]; statistics];
    let mut numbers = vec![f64::NAN; statistics];
    let mut visit = |samples: &[Sample<'_>], of_statistics: &mut [Jackknife]| {
        let resamples: Vec<Resample<'_>> = samples.iter().map(Sample::resample).collect();
        measure(&resamples, &mut numbers);
        for (strata, &number) in of_statistics.iter_mut().zip(&numbers) {
            if let Some(stratum) = strata.last_mut() {
                stratum.push(number);
            }
        }
    };
    let tasks = designs.first().map_or(0, |design| design.runs.len());
    if designs.iter().any(|design| design.resampled == Resampled::RunsAndTasks) {
        of_statistics.iter_mut().for_each(|strata| strata.push(vec![]));
        for task in (0..tasks).filter(|_| tasks > 1) {
            let samples: Vec<Sample<'_>> =
                designs.iter().copied().map(|design| Sample::without_task(design, task)).collect();
            visit(&samples, &mut of_statistics);
        }
        return of_statistics;
    }
    let mut samples: Vec<Sample<'_>> = designs.iter().copied().map(Sample::whole).collect();
    for (place, &design) in designs.iter().enumerate() {
        for (task, &runs) in design.runs.iter().enumerate() {
            of_statistics.iter_mut().for_each(|strata| strata.push(vec![]));
            // A task's only run is in every resample.
            for run in (0..runs).filter(|_| runs > 1) {
                samples[place] = Sample::without_run(design, task, run);
                visit(&samples, &mut of_statistics);
            }
        }
        samples[place] = Sample::whole(design);
    }
    of_statistics
}

/// Draws the resamples of a design, one after another, into the same memory.
pub(super) struct Sampler<'a> {
    design: &'a Design,
    /// First cell of every task, and the number of cells.
    offsets: Vec<usize>,
    words: Words,
    task_words: Words,
    tasks: Vec<usize>,
    slots: Vec<i32>,
    cells: Vec<i32>,
    drawn: Vec<u16>,
}

/// Runs of one task up to which an index is drawn from 16 bits: fewer than one draw in 256 is
/// then rejected.
const NARROW: usize = 256;

impl<'a> Sampler<'a> {
    /// Resample `r` draws from ChaCha streams keyed by *(seed, stratum, r)*; the tasks' stream
    /// leaves out the stratum, so that all strata of one analysis draw the same tasks.
    pub(super) fn new(design: &'a Design, seed: u64, stratum: u64) -> Self {
        let offsets: Vec<usize> = std::iter::once(0)
            .chain(design.runs.iter().scan(0, |end, runs| {
                *end += runs;
                Some(*end)
            }))
            .collect();
        let cells = offsets.last().copied().unwrap_or(0);
        Self {
            design,
            words: Words::new(seed, stratum, b"ceteris/scorerun", 2 * cells),
            task_words: Words::new(seed, 0, b"ceteris/scoretsk", 4 * design.runs.len()),
            tasks: (0..design.runs.len()).collect(),
            slots: vec![0; cells],
            cells: vec![0; cells],
            drawn: vec![0; NARROW],
            offsets,
        }
    }

    pub(super) fn draw(&mut self, resample: u64) -> Resample<'_> {
        let runs = &self.design.runs;
        if self.design.resampled == Resampled::RunsAndTasks {
            self.task_words.start(resample);
            for task in &mut self.tasks {
                *task = self.task_words.index(runs.len());
            }
            self.slots.resize(self.tasks.iter().map(|&task| runs[task]).sum(), 0);
        }
        self.slots.fill(0);
        self.words.start(resample);
        let mut rest = self.slots.as_mut_slice();
        for &task in &self.tasks {
            let (slot, after) = rest.split_at_mut(runs[task]);
            rest = after;
            self.words.count_draws(slot, &mut self.drawn);
        }
        let cells = match self.design.resampled {
            Resampled::Runs => &self.slots,
            Resampled::RunsAndTasks => {
                self.cells.fill(0);
                let mut rest = self.slots.as_slice();
                for &task in &self.tasks {
                    let (slot, after) = rest.split_at(runs[task]);
                    rest = after;
                    for (cell, count) in self.cells[self.offsets[task]..].iter_mut().zip(slot) {
                        *cell += count;
                    }
                }
                &self.cells
            }
        };
        #[allow(clippy::cast_possible_wrap)] // a number of things in memory
        let total = self.slots.len() as i64;
        Resample { cells, total, tasks: &self.tasks, slots: &self.slots, runs, sizes: runs }
    }
}

/// Random bytes of one ChaCha stream a resample, made in large pieces.
struct Words {
    generator: ChaCha8Rng,
    bytes: Vec<u8>,
    used: usize,
    expected: usize,
}

/// What the generator makes at once; a whole number of these is filled, so nothing is skipped.
const PIECE: usize = 256;

impl Words {
    fn new(seed: u64, stratum: u64, purpose: &[u8; 16], expected: usize) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&stratum.to_le_bytes());
        key[16..].copy_from_slice(purpose);
        let expected = expected.next_multiple_of(PIECE);
        Self { generator: ChaCha8Rng::from_seed(key), bytes: vec![], used: 0, expected }
    }

    fn start(&mut self, resample: u64) {
        self.generator.set_stream(resample);
        self.generator.set_word_pos(0);
        self.bytes.resize(self.expected, 0);
        self.generator.fill_bytes(&mut self.bytes);
        self.used = 0;
    }

    /// Makes sure that the next `length` bytes are there.
    fn reserve(&mut self, length: usize) {
        if self.used + length > self.bytes.len() {
            self.bytes.drain(..self.used);
            self.used = 0;
            let have = self.bytes.len();
            self.bytes.resize(have + length.next_multiple_of(PIECE), 0);
            self.generator.fill_bytes(&mut self.bytes[have..]);
        }
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        self.reserve(N);
        let mut word = [0; N];
        word.copy_from_slice(&self.bytes[self.used..][..N]);
        self.used += N;
        word
    }

    /// A number below `bound`, exactly uniform (Lemire 2019): the high half of word × bound,
    /// unless the low half falls into the part of the range that is left over.
    #[allow(clippy::cast_possible_truncation)] // the high half is below the bound
    fn index(&mut self, bound: usize) -> usize {
        if bound <= 1 {
            return 0;
        }
        let bound = bound as u64;
        let left_over = (1 << 32) % bound;
        loop {
            let product = u64::from(u32::from_le_bytes(self.take())) * bound;
            if product & 0xffff_ffff >= left_over {
                return (product >> 32) as usize;
            }
        }
    }

    /// Draws as many runs as there are counters, and counts them.
    #[allow(clippy::cast_possible_truncation)] // at most `NARROW` runs, and high halves below it
    fn count_draws(&mut self, counts: &mut [i32], drawn: &mut [u16]) {
        let runs = counts.len();
        match runs {
            0 => {}
            1 => counts[0] += 1,
            2..=NARROW => {
                let bound = runs as u16;
                let left_over = ((1_u32 << 16) % u32::from(bound)) as u16;
                self.reserve(2 * runs);
                let bytes = &self.bytes[self.used..][..2 * runs];
                let drawn = &mut drawn[..runs];
                self.used += 2 * runs;
                if all_accepted(bytes, bound, left_over, drawn) {
                    for &run in drawn.iter() {
                        counts[usize::from(run)] += 1;
                    }
                    return;
                }
                let mut accepted = 0;
                for word in bytes.to_vec().chunks_exact(2) {
                    accepted += count_one([word[0], word[1]], bound, left_over, counts);
                }
                while accepted < runs {
                    accepted += count_one(self.take(), bound, left_over, counts);
                }
            }
            _ => {
                for _ in 0..runs {
                    counts[self.index(runs)] += 1;
                }
            }
        }
    }
}

/// Maps 16-bit words to numbers below `bound`; whether none of them has to be rejected.
#[multiversion(targets("x86_64+avx2"))]
#[allow(clippy::cast_possible_truncation)] // both halves are wanted
fn all_accepted(bytes: &[u8], bound: u16, left_over: u16, numbers: &mut [u16]) -> bool {
    let mut rejected = 0;
    for (word, number) in bytes.chunks_exact(2).zip(numbers) {
        let product = u32::from(u16::from_le_bytes([word[0], word[1]])) * u32::from(bound);
        *number = (product >> 16) as u16;
        rejected |= u16::from((product as u16) < left_over);
    }
    rejected == 0
}

#[allow(clippy::cast_possible_truncation)] // both halves are wanted
fn count_one(word: [u8; 2], bound: u16, left_over: u16, counts: &mut [i32]) -> usize {
    let product = u32::from(u16::from_le_bytes(word)) * u32::from(bound);
    if (product as u16) < left_over {
        return 0;
    }
    counts[(product >> 16) as usize] += 1;
    1
}

/// Statistics of every resample, each statistic a vector in ascending order. A statistic that a
/// resample leaves undefined is NaN there and left out.
///
/// `worker` makes what one thread needs; it is then called with a resample's number and writes
/// `statistics` numbers.
pub(super) fn distributions<W: FnMut(u64, &mut [f64])>(
    bootstrap: &Bootstrap,
    statistics: usize,
    worker: impl Fn() -> W + Sync,
) -> Vec<Vec<f64>> {
    let threads = bootstrap.threads.clamp(1, bootstrap.resamples.max(1));
    let chunk = bootstrap.resamples.div_ceil(threads).max(1);
    let starts: Vec<usize> = (0..bootstrap.resamples).step_by(chunk).collect();
    let parts: Vec<Vec<f64>> = parallel_map(&starts, threads, |&start| {
        let resamples = start..(start + chunk).min(bootstrap.resamples);
        let mut part = vec![f64::NAN; resamples.len() * statistics];
        let mut measure = worker();
        for (resample, row) in resamples.zip(part.chunks_exact_mut(statistics.max(1))) {
            measure(resample as u64, row);
        }
        part
    });
    let columns: Vec<usize> = (0..statistics).collect();
    parallel_map(&columns, threads, |&column| {
        let mut values: Vec<f64> = parts
            .iter()
            .flat_map(|part| part.iter().skip(column).step_by(statistics).copied())
            .filter(|value| !value.is_nan())
            .collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    })
}

/// Whether scores have intervals of a bootstrap's method.
pub(super) fn check(bootstrap: &Bootstrap) -> Result<(), AnalysisError> {
    bootstrap.check()?;
    bootstrap.ends(&[], 0.0, &[]).map(|_| ())
}

/// The interval of every statistic, from the estimates and, where the method asks for it, their
/// jackknife. `None` where the estimate or every resample has no value.
pub(super) fn intervals<W: FnMut(u64, &mut [f64])>(
    bootstrap: &Bootstrap,
    estimates: &[f64],
    jackknife: impl FnOnce() -> Vec<Jackknife>,
    worker: impl Fn() -> W + Sync,
) -> Result<Vec<Option<Interval>>, AnalysisError> {
    check(bootstrap)?;
    let jackknife = if bootstrap.method == IntervalMethod::Bca {
        jackknife()
    } else {
        vec![vec![]; estimates.len()]
    };
    distributions(bootstrap, estimates.len(), worker)
        .iter()
        .zip(estimates)
        .zip(&jackknife)
        .map(
            |((values, &estimate), jackknife)| {
                if estimate.is_nan() {
                    Ok(None)
                } else {
                    bootstrap.ends(values, estimate, jackknife)
                }
            },
        )
        .collect()
}
