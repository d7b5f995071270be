//! Scores of rankings: passages, each judged by a yes or no, in the order of the judgements (HELM's
//! `ranking_binary`), against what trec_eval computes.

/// A passage with what a model said of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judged<'a> {
    /// The answer, such as "Yes".
    pub answer: &'a str,
    /// Natural logarithm of its probability.
    pub log_probability: f64,
    /// How relevant the passage is; 0 for not at all.
    pub relevance: u32,
}

/// The passages from best to worst, as places in the list that is given: those answered `yes` by
/// falling probability, those answered `no` by rising probability, then all others by rising
/// probability. Case and white space around an answer do not count; of equals the first comes first.
pub(super) fn order(passages: &[Judged<'_>], yes: &str, no: &str) -> Vec<usize> {
    let plain = |answer: &str| answer.trim().to_lowercase();
    let (yes, no) = (plain(yes), plain(no));
    let key = |passage: &Judged<'_>| {
        let answer = plain(passage.answer);
        if answer == yes {
            (2, passage.log_probability)
        } else {
            (u8::from(answer == no), -passage.log_probability)
        }
    };
    let mut order: Vec<usize> = (0..passages.len()).collect();
    order.sort_by(|one, other| {
        let (one, other) = (key(&passages[*one]), key(&passages[*other]));
        other.0.cmp(&one.0).then(other.1.total_cmp(&one.1))
    });
    order
}

/// One over the place of the first passage whose relevance is at least `least`, 0 where none is among
/// the first `k` (RR@k). HELM, as TREC's track of deep learning, asks for 2 where relevances are graded
/// from 0 to 3, in all measures but NDCG.
pub(super) fn reciprocal_rank(ranked: &[u32], least: u32, k: usize) -> f64 {
    let first = ranked.iter().take(k).position(|relevance| *relevance >= least);
    // Lists are far shorter than 2^53.
    first.map_or(0.0, |place| 1.0 / (place + 1) as f64)
}

/// Discounted cumulative gain of the first `k` in proportion to the best possible (NDCG@k): relevance
/// is the gain, the logarithm to base 2 of the place plus one the discount. `relevant` holds the
/// relevances of all passages there are, ranked or not; 0 where none is relevant.
pub(super) fn ndcg(ranked: &[u32], relevant: &[u32], k: usize) -> f64 {
    let gain = |relevances: &[u32]| -> f64 {
        let gains = relevances.iter().take(k).enumerate();
        gains.map(|(place, gain)| f64::from(*gain) / ((place + 2) as f64).log2()).sum()
    };
    let mut ideal = relevant.to_vec();
    ideal.sort_unstable_by(|one, other| other.cmp(one));
    let ideal = gain(&ideal);
    if ideal > 0.0 { gain(ranked) / ideal } else { 0.0 }
}

/// The share of all passages of at least that relevance that are among the first `k` (Recall@k); 0 where
/// there are none.
pub(super) fn recall(ranked: &[u32], relevant: &[u32], least: u32, k: usize) -> f64 {
    let count =
        |relevances: &[u32]| relevances.iter().filter(|relevance| **relevance >= least).count();
    let all = count(relevant);
    if all == 0 { 0.0 } else { count(&ranked[..k.min(ranked.len())]) as f64 / all as f64 }
}

/// Whether a passage of at least that relevance is among the first `k` (Success@k).
pub(super) fn success(ranked: &[u32], least: u32, k: usize) -> bool {
    ranked.iter().take(k).any(|relevance| *relevance >= least)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Judged, ndcg, order, recall, reciprocal_rank, success};

    /// crfm-helm 0.5.16 with pytrec_eval-terrier 0.5.11, by
    /// `tests/fixtures/lm-evaluation/generate.py`.
    const FIXTURE: &str = include_str!("../../../tests/fixtures/lm-evaluation/ranking.json");

    #[test]
    fn rankings_are_those_of_helm_and_trec_eval() {
        let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
        let cases = fixture.as_array().unwrap();
        assert_eq!(cases.len(), 40);
        for case in cases {
            let passages: Vec<Judged<'_>> = case[0]
                .as_array()
                .unwrap()
                .iter()
                .map(|passage| Judged {
                    answer: passage[0].as_str().unwrap(),
                    log_probability: passage[1].as_f64().unwrap(),
                    relevance: u32::try_from(passage[2].as_u64().unwrap()).unwrap(),
                })
                .collect();
            // The second list holds only the passages that a first ranking put among its best ones.
            let near: Vec<bool> =
                case[0].as_array().unwrap().iter().map(|passage| passage[3] == true).collect();
            let order = order(&passages, "Yes", "No");
            let places: Vec<usize> = (0..order.len())
                .map(|at| order.iter().position(|place| *place == at).unwrap())
                .collect();
            assert_eq!(serde_json::to_value(places).unwrap(), case[2], "{case}");
            let least = u32::try_from(case[1].as_u64().unwrap()).unwrap();
            let relevant: Vec<u32> = passages.iter().map(|passage| passage.relevance).collect();
            let near: Vec<usize> = order.iter().copied().filter(|at| near[*at]).collect();
            for (ranked, expected) in [(order, &case[3]), (near, &case[4])] {
                let ranked: Vec<u32> = ranked.iter().map(|at| passages[*at].relevance).collect();
                let yes = |is: bool| if is { 1.0 } else { 0.0 };
                let found = [
                    reciprocal_rank(&ranked, least, usize::MAX),
                    reciprocal_rank(&ranked, least, 3),
                    reciprocal_rank(&ranked, least, 10),
                    ndcg(&ranked, &relevant, 3),
                    ndcg(&ranked, &relevant, 10),
                    recall(&ranked, &relevant, least, 3),
                    recall(&ranked, &relevant, least, 10),
                    yes(success(&ranked, least, 3)),
                    yes(success(&ranked, least, 10)),
                ];
                for (at, (found, expected)) in
                    found.iter().zip(expected.as_array().unwrap()).enumerate()
                {
                    let expected = expected.as_f64().unwrap();
                    assert!((found - expected).abs() < 1e-9, "{at} {found} {expected}: {case}");
                }
            }
        }
    }

    #[test]
    fn nothing_relevant_scores_nothing() {
        assert_eq!(order(&[], "Yes", "No"), Vec::<usize>::new());
        for k in [1, 10] {
            assert_eq!(ndcg(&[0, 0], &[0, 0], k), 0.0);
            assert_eq!(recall(&[0, 0], &[0, 0], 1, k), 0.0);
            assert_eq!(reciprocal_rank(&[], 1, k), 0.0);
            assert!(!success(&[0, 0], 1, k));
        }
    }
}
