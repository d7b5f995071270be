//! Derived labels and label models, against published annotations and other implementations.

use analysis::annotation::{
    ClassifyVote, Confusion, CountTie, DawidSkeneOptions, GladOptions, MainTie, Partition,
    PartitionRule, Stopping, Tally, Vote, Votes, VotesError, candidates, cut, dawid_skene,
    expected, glad, main_label, main_object, object_count, objects, offered, partition,
    pooled_dawid_skene,
};

fn vote(main: u32, selected: &[u32]) -> ClassifyVote {
    ClassifyVote { main, selected: selected.to_vec() }
}

fn tally(selected: u32, asked: u32) -> Tally {
    Tally { selected, asked }
}

#[test]
fn contains_votes_sort_images() {
    let rule = PartitionRule::default();
    let of = |label, others: &[Tally]| partition(label, others, &rule);
    assert_eq!(of(tally(8, 9), &[tally(3, 9)]), Partition::Easy);
    // 4/9 is exactly half of 8/9.
    assert_eq!(of(tally(8, 9), &[tally(4, 9)]), Partition::ToClassify);
    assert_eq!(of(tally(0, 9), &[tally(9, 9)]), Partition::Mislabelled);
    assert_eq!(of(tally(4, 4), &[]), Partition::Ambiguous);
    assert_eq!(of(tally(5, 5), &[]), Partition::Easy);
    let strict = PartitionRule { rival_at_tie: false, ..rule };
    assert_eq!(partition(tally(8, 9), &[tally(4, 9)], &strict), Partition::Easy);
    assert_eq!(partition(tally(8, 9), &[tally(5, 9)], &strict), Partition::ToClassify);
    let third = PartitionRule { rival: 1.0 / 3.0, ..rule };
    assert_eq!(partition(tally(8, 9), &[tally(3, 9)], &third), Partition::ToClassify);
    assert_eq!(tally(0, 0).frequency(), None);
    assert_eq!(tally(3, 4).frequency(), Some(0.75));
}

#[test]
fn models_propose_and_classify_offers() {
    // 4 is proposed twice; 2 and 9 once, 9 as the first of a list; 3 and 2 are both second.
    let models: [&[u32]; 3] = [&[4, 2], &[9, 4], &[7, 3]];
    assert_eq!(candidates(7, &models), [7, 4, 9, 2, 3]);
    assert_eq!(candidates(5, &[]), [5]);
    let others = [(1, tally(2, 9)), (2, tally(0, 9)), (3, tally(4, 8)), (4, tally(2, 9))];
    assert_eq!(offered(8, &others, 5), [8, 3, 1, 4]);
    assert_eq!(offered(8, &others, 2), [8, 3, 1]);
}

#[test]
fn ties_have_names() {
    let votes = [vote(7, &[7]), vote(3, &[3, 7]), vote(7, &[7]), vote(3, &[3, 9]), vote(9, &[9])];
    assert_eq!(main_label(&votes, MainTie::FirstVote), Some(7));
    assert_eq!(main_label(&votes, MainTie::LastVote), Some(3));
    assert_eq!(main_label(&votes, MainTie::Prefer(3)), Some(3));
    assert_eq!(main_label(&votes, MainTie::Prefer(9)), Some(7));
    assert_eq!(main_label(&votes, MainTie::Avoid(7)), Some(3));
    assert_eq!(main_label(&[], MainTie::FirstVote), None);
    assert_eq!(object_count(&votes, CountTie::FirstVote), Some(1));
    let even = [vote(1, &[1, 2]), vote(1, &[1])];
    assert_eq!(object_count(&even, CountTie::FirstVote), Some(2));
    assert_eq!(object_count(&even, CountTie::Fewest), Some(1));
    assert_eq!(object_count(&even, CountTie::Most), Some(2));
}

#[test]
fn labels_that_are_selected_together_are_different_objects() {
    // Nobody selects 1 with 2, or 3 with 4; 5 is never selected with another.
    let votes =
        [vote(1, &[1, 3]), vote(2, &[2, 3]), vote(1, &[1, 4]), vote(2, &[2, 4]), vote(5, &[5])];
    let found = objects(&votes, 2);
    assert_eq!(found.groups, [vec![1, 2], vec![3, 4]]);
    assert_eq!((found.dropped, found.cut, found.optima), (vec![5], 4, 1));
    assert_eq!(main_object(&votes, &found.groups), (vec![4, 0], Some(0)));
    let one = objects(&votes, 1);
    assert_eq!((one.groups, one.dropped), (vec![vec![1, 3, 2, 4, 5]], vec![]));
    // Three labels of one annotator in two objects: three groupings cut two of three pairs.
    let found = objects(&[vote(1, &[1, 2, 3])], 2);
    assert_eq!((found.groups, found.cut, found.optima), (vec![vec![1, 2], vec![3]], 2, 3));
}

/// The votes of fixtures/annotation.py.
fn made(answers: u32) -> Vec<Vote> {
    let mut state: u64 = 12345;
    let mut votes = Vec::new();
    for item in 0..40 {
        let truth = item % answers;
        for rater in 0..6 {
            state = (state * 1_103_515_245 + 12345) % (1 << 31);
            #[allow(clippy::cast_precision_loss)]
            let share = state as f64 / f64::from(1_u32 << 31);
            let right = share > 0.1 + 0.08 * f64::from(rater);
            let answer = if right { truth } else { (truth + 1 + item / 7) % answers };
            votes.push(Vote { item, rater, answer });
        }
    }
    votes
}

fn close(found: &[f64], expected: &[f64], within: f64) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= within, "{found:?}, expected {expected:?}");
    }
}

const IDENTITY: [f64; 9] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];

fn options(evidence: &[f64], classes: usize, smoothing: f64) -> DawidSkeneOptions<'_> {
    let stopping = Stopping { tolerance: 0.0, iterations: 3000 };
    DawidSkeneOptions { classes, evidence, smoothing, known: &[], stopping }
}

#[test]
fn dawid_skene_agrees_with_crowd_kit() {
    let votes = made(3);
    let votes = Votes { items: 40, raters: 6, answers: 3, votes: &votes };
    let found = dawid_skene(&votes, &options(&IDENTITY, 3, 0.0)).unwrap();
    // crowd-kit 1.4.2, see fixtures/annotation.py.
    close(&found.posterior[27 * 3..28 * 3], &[0.999_973, 0.0, 0.000_027], 1e-5);
    close(&found.prior, &[0.349_999, 0.325_024, 0.324_978], 1e-5);
    let rater =
        [0.785713, 0.214287, 0.0, 0.230753, 0.538423, 0.230825, 0.076932, 0.153857, 0.769211];
    close(&found.confusion[5 * 9..], &rater, 1e-5);
    let rises = found.log_likelihoods.windows(2).all(|two| two[1] >= two[0] - 1e-9);
    assert!(rises, "{:?}", found.log_likelihoods);
}

#[test]
fn glad_agrees_with_crowd_kit() {
    let votes = made(2);
    let votes = Votes { items: 40, raters: 6, answers: 2, votes: &votes };
    let stopping = Stopping { tolerance: 1e-10, iterations: 5000 };
    let found = glad(&votes, &GladOptions { stopping, ..GladOptions::default() }).unwrap();
    assert!(found.converged);
    // crowd-kit 1.4.2, see fixtures/annotation.py.
    let of = |item: usize| found.posterior[item * 2 + 1];
    close(&[0, 8, 15, 27, 39].map(of), &[0.00923, 0.0, 0.49207, 1.0, 1.0], 2e-5);
    let ability = [1.34882, 1.15069, 0.59246, 0.65999, 0.77226, 0.47398];
    close(&found.ability, &ability, 2e-5);
    let easiness = [0, 8, 15, 27, 39].map(|item: usize| found.easiness[item]);
    close(&easiness, &[0.53807, 1.59143, -0.02813, 1.59143, 1.59143], 2e-5);
}

#[test]
fn known_items_stay_and_mistakes_are_named() {
    let votes = made(2);
    let votes = Votes { items: 40, raters: 6, answers: 2, votes: &votes };
    let evidence = [1.0, 0.0, 0.0, 1.0];
    let known = [(3, 0), (4, 1)];
    let with = DawidSkeneOptions { known: &known, ..options(&evidence, 2, 1.0) };
    let found = dawid_skene(&votes, &with).unwrap();
    assert_eq!(found.posterior[6..10], [1.0, 0.0, 0.0, 1.0]);
    let pooled = pooled_dawid_skene(&votes, &with).unwrap();
    assert_eq!(pooled.posterior[6..10], [1.0, 0.0, 0.0, 1.0]);
    let wrong = DawidSkeneOptions { known: &[(40, 0)], ..with };
    assert!(matches!(dawid_skene(&votes, &wrong), Err(VotesError::Known { item: 40, .. })));
    let few = Votes { raters: 5, ..votes };
    let error = glad(&few, &GladOptions::default()).unwrap_err().to_string();
    assert_eq!(error, "vote 5 (counted from zero) names rater 5, but there are 5");
    let error = expected(&votes, 2, &[1.0]).unwrap_err().to_string();
    assert_eq!(error, "the evidence has 1 numbers; 2 answers and 2 classes need 4");
}

#[test]
fn the_bound_of_pooled_raters_rises_and_rare_raters_are_like_the_others() {
    let mut votes = made(3);
    // A seventh rater answers one item, and wrongly.
    votes.push(Vote { item: 0, rater: 6, answer: 1 });
    let votes = Votes { items: 40, raters: 7, answers: 3, votes: &votes };
    let found = pooled_dawid_skene(&votes, &options(&IDENTITY, 3, 1.0)).unwrap();
    assert!(found.lower_bounds.len() > 5);
    let rises = found.lower_bounds.windows(2).all(|two| two[1] >= two[0] - 1e-9);
    assert!(rises, "{:?}", found.lower_bounds);
    // Nearly the mean of the others, where the rater's own answers would say never right.
    let right = found.confusion[6 * 9];
    let plain = dawid_skene(&votes, &options(&IDENTITY, 3, 0.0)).unwrap();
    assert!(right > 0.5 && plain.confusion[6 * 9] < 1e-9, "{right}");
}

#[test]
fn confusion_is_shares_of_rows() {
    let mut fine = Confusion::new(4);
    for (row, column, weight) in
        [(0, 0, 6.0), (0, 1, 2.0), (1, 0, 4.0), (1, 1, 4.0), (2, 3, 1.0), (2, 2, 1.0), (0, 9, 5.0)]
    {
        fine.add(row, column, weight);
    }
    assert_eq!((fine.share(0, 1), fine.share(3, 3)), (Some(0.25), None));
    close(&[fine.off_diagonal().unwrap()], &[7.0 / 18.0], 1e-15);
    let pairs = fine.confused_pairs(&[10.0, 10.0, 10.0, 10.0], 5);
    // 2 and 3 are confused one way only.
    assert_eq!(pairs.len(), 1);
    assert_eq!((pairs[0].first, pairs[0].second), (0, 1));
    assert_eq!((pairs[0].forward, pairs[0].backward), (0.2, 0.4));
    let coarse = fine.coarser(&[0, 0, 1, 1], 2);
    assert_eq!(
        (coarse.weight(0, 0), coarse.weight(1, 1), coarse.off_diagonal()),
        (16.0, 2.0, Some(0.0))
    );
    let r = fine.off_diagonal_correlation(&fine).unwrap();
    assert!((r - 1.0).abs() < 1e-12);
    assert_eq!(cut(&[vote(1, &[1, 2, 3])], &[vec![1, 2], vec![3]]), 2);
}
