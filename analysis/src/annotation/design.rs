//! Which items need more votes.

use statrs::function::beta::beta_reg;

/// The probability that a label with most votes is ahead of the runner-up among all people who could
/// be asked.
///
/// With a uniform prior on the share of the leader among the votes for the leader and the runner-up,
/// this is the probability that the leader is ahead among all people who could be asked:
/// P(share > 1/2) for a beta distribution with parameters `leader + 1` and `runner_up + 1`. It is one
/// half where both have as many votes.
pub fn leader_confidence(leader: f64, runner_up: f64) -> f64 {
    1.0 - beta_reg(leader + 1.0, runner_up + 1.0, 0.5)
}

/// Votes on an item, those that there are included, at which the leader would have a confidence of
/// at least `level` were the shares of the `votes` so far to stay; `None` beyond `most`, as for a tie.
pub fn votes_needed(leader: f64, runner_up: f64, votes: u32, level: f64, most: u32) -> Option<u32> {
    let enough = |all: u32| {
        let scale = f64::from(all) / f64::from(votes);
        leader_confidence(leader * scale, runner_up * scale) >= level
    };
    if votes == 0 || votes > most || !enough(most) {
        return None;
    }
    // More votes of the same shares only raise the confidence, so halving finds the fewest.
    let (mut low, mut high) = (votes, most);
    while low < high {
        let middle = low + (high - low) / 2;
        if enough(middle) { high = middle } else { low = middle + 1 }
    }
    Some(low)
}

#[cfg(test)]
mod tests {
    use super::{leader_confidence, votes_needed};

    #[test]
    fn confidence_is_a_binomial_tail() {
        // Of a + b + 1 fair coins at most a are heads: (1 + 10 + 45 + 120 + 210 + 252 + 210) / 1024
        // for 6 to 3, 1023 / 1024 for 9 to 0.
        assert!((leader_confidence(6.0, 3.0) - 848.0 / 1024.0).abs() < 1e-12);
        assert!((leader_confidence(9.0, 0.0) - 1023.0 / 1024.0).abs() < 1e-12);
        assert!((leader_confidence(4.0, 4.0) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn votes_are_counted_until_the_level_is_met() {
        // 4 to 0: 31/32 = 0.969 already.
        assert_eq!(votes_needed(4.0, 0.0, 4, 0.95, 100), Some(4));
        // Of shares 2 to 1; SciPy 1.17.1: betainc(2n/3 + 1, n/3 + 1, 1/2) is 0.05018 for n = 25 and
        // 0.04675 for n = 26.
        assert_eq!(votes_needed(2.0, 1.0, 3, 0.95, 100), Some(26));
        assert_eq!(votes_needed(4.0, 4.0, 9, 0.95, 1000), None);
    }
}
