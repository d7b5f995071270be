//! Error bars of evaluations against numbers that Miller (2024) prints, and against real answers.

use std::fs;

use analysis::{QuestionVariance, detectable_difference, questions_needed, standard_error};

mod published;

fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
}

#[test]
fn standard_errors_are_their_formulas() {
    // Mean 0.5, squares 4 · 0.25, over 4 · 3.
    let scores = [0.0, 1.0, 1.0, 0.0];
    let plain = standard_error::<u8>(&scores, None).unwrap().unwrap();
    close(plain, (1.0_f64 / 12.0).sqrt(), 1e-15);
    // Clusters of one change nothing.
    close(standard_error(&scores, Some(&[0, 1, 2, 3])).unwrap().unwrap(), plain, 1e-15);
    // Two clusters of equal answers: sums -1 and 1, so 2 / 1 · 2 / 16.
    let clustered = standard_error(&scores, Some(&["a", "b", "b", "a"])).unwrap().unwrap();
    close(clustered, 0.5, 1e-15);
    assert_eq!(standard_error::<u8>(&[1.0], None).unwrap(), None);
    assert_eq!(standard_error(&scores, Some(&[7; 4])).unwrap(), None);
    assert!(standard_error(&scores, Some(&[1])).is_err());
    assert!(standard_error::<u8>(&[f64::NAN, 1.0], None).is_err());
}

#[test]
fn the_examples_of_the_paper_come_out() {
    // Section 5: ω² = 1/9, δ = 0.03, α = 0.05, power 0.8 and no variance within questions: 969.
    let alone = QuestionVariance { between: 1.0 / 9.0, within_first: 0.0, within_second: 0.0 };
    close(questions_needed(0.03, alone, 0.05, 0.8).unwrap(), 969.0, 0.1);
    // 198 questions, σ² = 1/6 on both sides: 13.3 points asked once, 7.6 asked ten times (the paper
    // prints 13.2 and 7.5).
    let asked = |times: f64| QuestionVariance {
        between: 1.0 / 9.0,
        within_first: 1.0 / 6.0 / times,
        within_second: 1.0 / 6.0 / times,
    };
    close(detectable_difference(198, asked(1.0), 0.05, 0.8).unwrap(), 0.133, 0.0005);
    close(detectable_difference(198, asked(10.0), 0.05, 0.8).unwrap(), 0.076, 0.0005);
    assert!(questions_needed(0.0, alone, 0.05, 0.8).is_err());
    assert!(questions_needed(0.1, alone, 0.0, 0.8).is_err());
}

#[test]
fn paired_differences_of_recorded_answers_have_smaller_error_bars() {
    let Some(folder) = published::data("helm/gsm8k_openai") else { return };
    let text = fs::read_to_string(folder.join("example_model_solutions.jsonl")).unwrap();
    // One line a question; the flag of a system follows its name.
    let flags = |system: &str| -> Vec<f64> {
        let key = format!("\"{system}\": {{\"is_correct\": ");
        text.lines()
            .map(|line| f64::from(line.split(&key).nth(1).unwrap().starts_with("true")))
            .collect()
    };
    let (first, second) = (flags("175b_verification"), flags("175b_finetuning"));
    assert_eq!(first.len(), 1319);
    let differences: Vec<f64> = first.iter().zip(&second).map(|(a, b)| a - b).collect();
    let error = |scores: &[f64]| standard_error::<u8>(scores, None).unwrap().unwrap();
    let unpaired = error(&first).hypot(error(&second));
    // python3: statistics.stdev(x) / math.sqrt(1319) of the flags and of their differences.
    close(error(&first), 0.013_664, 5e-6);
    close(unpaired, 0.018_939, 5e-6);
    close(error(&differences), 0.014_684, 5e-6);
}
