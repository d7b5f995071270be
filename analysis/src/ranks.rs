//! Ranks with ties, and the counts behind exact tests on them.

use super::estimator::count;

/// Ranks from 1, values that are equal sharing the mean of their ranks (`scipy.stats.rankdata`),
/// and how many values there are of each distinct one.
pub(super) fn midranks(values: &[f64]) -> (Vec<f64>, Vec<usize>) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut sizes = Vec::new();
    let mut first = 0;
    // Compared with ==, so that zeros of either sign are one value.
    #[allow(clippy::float_cmp)]
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        for &place in tied {
            ranks[place] = count(2 * first + tied.len() + 1) / 2.0;
        }
        first += tied.len();
        sizes.push(tied.len());
    }
    (ranks, sizes)
}

/// The sum of `t³ - t` over the sizes t of ties, which corrects the variances of rank statistics.
pub(super) fn tie_term(sizes: &[usize]) -> f64 {
    sizes.iter().map(|&size| count(size)).map(|t| t * t * t - t).sum()
}

/// How many outcomes lie at or below an observed one, at or above it, and altogether.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tails {
    pub(super) at_or_below: u128,
    pub(super) at_or_above: u128,
    pub(super) all: u128,
}

impl Tails {
    /// Of counts of outcomes by their value; `None` where the counts overflow.
    fn of(counts: &[u128], observed: usize) -> Option<Self> {
        let sum = |counts: &[u128]| counts.iter().try_fold(0u128, |sum, &c| sum.checked_add(c));
        let (below, above) = counts.split_at_checked(observed)?;
        let at = above.first().copied().unwrap_or_default();
        let (below, above) = (sum(below)?, sum(above)?);
        Some(Self {
            at_or_below: below.checked_add(at)?,
            at_or_above: above,
            all: below.checked_add(above)?,
        })
    }
}

/// Outcomes of the Mann-Whitney statistic U of samples of `n` and `m` values without ties;
/// `None` where their number takes more than 128 bits.
///
/// The numbers by U are the coefficients of a Gaussian binomial, built as a product of ratios
/// `(1 - q^(m + i)) / (1 - q^i)`.
pub(super) fn mann_whitney(n: usize, m: usize, u: usize) -> Option<Tails> {
    let (n, m) = (n.min(m), n.max(m));
    let mut all = 1u128;
    for i in 1..=n {
        // Exact at every step: a product of i consecutive numbers over i factorial.
        all = all.checked_mul((m + i) as u128)? / i as u128;
    }
    // Symmetric about the middle, so half of the coefficients are enough.
    let mirrored = n * m - u.min(n * m);
    let half = u.min(mirrored);
    let mut counts = vec![0u128; half + 1];
    counts[0] = 1;
    for i in 1..=n {
        // On the way to each ratio there are negative numbers; modulo 2^128 they do no harm, since
        // every ratio's coefficients are smaller than that.
        for k in (m + i..=half).rev() {
            counts[k] = counts[k].wrapping_sub(counts[k - m - i]);
        }
        for k in i..=half {
            counts[k] = counts[k].wrapping_add(counts[k - i]);
        }
    }
    let tail: u128 = counts.iter().sum();
    let beyond = all - tail + counts[half];
    let (at_or_below, at_or_above) = if u <= mirrored { (tail, beyond) } else { (beyond, tail) };
    Some(Tails { at_or_below, at_or_above, all })
}

/// Outcomes of a sum of `ranks` over all choices of which of them count (the signed-rank statistic,
/// ties or not); `None` where their number takes more than 128 bits.
pub(super) fn signed_ranks(ranks: &[f64], sum: f64) -> Option<Tails> {
    if ranks.len() > 120 {
        return None;
    }
    // Midranks are multiples of one half and far below 2^53.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let doubled = |rank: f64| (2.0 * rank).round() as usize;
    let mut counts = vec![1u128];
    for &rank in ranks {
        let rank = doubled(rank);
        counts.resize(counts.len() + rank, 0);
        for k in (rank..counts.len()).rev() {
            counts[k] += counts[k - rank];
        }
    }
    Tails::of(&counts, doubled(sum))
}

/// Orders of `n` values with so many discordant pairs as given; `None` where their number takes
/// more than 128 bits (beyond 34 values).
pub(super) fn discordant(n: usize, pairs: usize) -> Option<Tails> {
    if n > 34 {
        return None;
    }
    let mut counts = vec![1u128];
    for j in 2..=n {
        // Inserting the j-th value adds 0 to j - 1 discordant pairs.
        let mut next = vec![0u128; counts.len() + j - 1];
        for (k, count) in counts.iter().enumerate() {
            for added in &mut next[k..k + j] {
                *added += count;
            }
        }
        counts = next;
    }
    Tails::of(&counts, pairs)
}

#[cfg(test)]
mod tests {
    use super::{Tails, discordant, mann_whitney, midranks, signed_ranks, tie_term};

    #[test]
    fn ranks_share_what_ties_share() {
        let (ranks, sizes) = midranks(&[3.0, 1.0, 0.0, 3.0, -0.0]);
        assert_eq!(ranks, [4.5, 3.0, 1.5, 4.5, 1.5]);
        assert_eq!(sizes, [2, 1, 2]);
        assert_eq!(tie_term(&sizes), 12.0);
        assert_eq!(midranks(&[]), (vec![], vec![]));
    }

    /// Every outcome counted one by one.
    fn counted(outcomes: impl Iterator<Item = usize> + Clone, observed: usize) -> Tails {
        Tails {
            at_or_below: outcomes.clone().filter(|&o| o <= observed).count() as u128,
            at_or_above: outcomes.clone().filter(|&o| o >= observed).count() as u128,
            all: outcomes.count() as u128,
        }
    }

    #[test]
    fn mann_whitney_counts_are_those_of_enumeration() {
        for (n, m) in [(1, 1), (1, 5), (3, 4), (5, 5), (6, 3)] {
            // Bit k of a choice says that the k-th smallest value is of the first sample; U counts,
            // for each, the values of the other below it.
            let u_of = |choice: u32| {
                let of_first = |k: &u32| choice >> k & 1 == 1;
                (0..n + m).filter(of_first).map(|k| (0..k).filter(|j| !of_first(j)).count()).sum()
            };
            let choices = (0..1u32 << (n + m)).filter(|choice| choice.count_ones() == n);
            let outcomes: Vec<usize> = choices.map(u_of).collect();
            for u in 0..=(n * m) as usize {
                let tails = mann_whitney(n as usize, m as usize, u).unwrap();
                assert_eq!(tails, counted(outcomes.iter().copied(), u), "{n} {m} {u}");
            }
        }
    }

    #[test]
    fn large_mann_whitney_counts_are_exact_or_none() {
        // 8 of 1008: binomial(1008, 8) by Python's math.comb; half lies on either side of the middle.
        let tails = mann_whitney(8, 1000, 4000).unwrap();
        assert_eq!(tails.all, 25_708_099_169_553_626_826);
        assert_eq!(tails.at_or_below, tails.at_or_above);
        assert!(mann_whitney(100, 100, 5000).is_none());
    }

    #[test]
    fn signed_rank_counts_are_those_of_enumeration() {
        for ranks in [vec![1.0, 2.0, 3.0, 4.0], vec![1.5, 1.5, 3.0, 4.5, 4.5], vec![]] {
            let sum_of = |signs: u32| {
                let positive = ranks.iter().enumerate().filter(|(k, _)| signs >> k & 1 == 1);
                positive.map(|(_, rank)| (2.0 * rank) as usize).sum()
            };
            let outcomes: Vec<usize> = (0..1u32 << ranks.len()).map(sum_of).collect();
            for doubled in 0..=*outcomes.iter().max().unwrap() {
                let tails = signed_ranks(&ranks, doubled as f64 / 2.0).unwrap();
                assert_eq!(tails, counted(outcomes.iter().copied(), doubled));
            }
        }
    }

    #[test]
    fn orders_by_discordant_pairs_are_the_mahonian_numbers() {
        // 1, 4, 9, 15, 20, 22, 20, 15, 9, 4, 1 orders of five values (OEIS A008302).
        let tails = |pairs| discordant(5, pairs).unwrap();
        assert_eq!(tails(0), Tails { at_or_below: 1, at_or_above: 120, all: 120 });
        assert_eq!(tails(4), Tails { at_or_below: 49, at_or_above: 91, all: 120 });
        assert_eq!(tails(10), Tails { at_or_below: 120, at_or_above: 1, all: 120 });
        assert!(discordant(34, 100).is_some());
        assert!(discordant(35, 100).is_none());
    }
}
