//! What a terminal shows of a run.

use rtune_trainer::metrics::GoldenLine;

use super::*;

#[test]
fn digits_are_grouped_by_three() {
    assert_eq!([0, 12, 123, 1234, 4_884_480].map(grouped), ["0", "12", "123", "1,234", "4,884,480"]);
}

/// One that draws a bar, wherever the tests run.
fn on_a_terminal() -> Reporter {
    Reporter { terminal: true, ..Reporter::new(Lines::None, Arc::default()) }
}

/// The bar that is shown: what it counts, how far it is, of how much, and what it says.
fn shown_by(reporter: &Reporter) -> Option<(Counted, u64, Option<u64>, String)> {
    let bar = reporter.bar.as_ref()?;
    Some((reporter.counted, bar.position(), bar.length(), bar.message()))
}

fn work(done: u64, total: u64, what: &str) -> Option<(Counted, u64, Option<u64>, String)> {
    Some((Counted::Work, done, Some(total), what.to_owned()))
}

fn ready(reporter: &mut Reporter, step: u64) {
    reporter.on(Event::Ready(&Ready {
        trainable: 1,
        parameters: 2,
        base_bytes: 3,
        train_rows: 4,
        validation_rows: 5,
        step,
        steps: 50,
    }));
}

fn step(reporter: &mut Reporter, step: u64) {
    let line = StepLine {
        step,
        epoch: 0.5,
        train_loss_nats: 1.25,
        grad_norm: 2.0,
        lr: 0.1,
        tokens: 10,
        supervised_tokens: 4,
        tokens_per_second: 5.0,
        peak_memory_bytes: None,
        seconds: 2.0,
        loss_spike: false,
    };
    reporter.on(Event::Step { line: &line, steps: 50 });
}

/// Held-out rows, golden rows and general skills follow on one another before anything is said of them.
#[test]
fn each_set_of_an_evaluation_has_its_own_length() {
    let mut reporter = on_a_terminal();
    reporter.on(Event::Loading { done: 3, total: 30 });
    assert_eq!(shown_by(&reporter), work(3, 30, "loading the base"));
    ready(&mut reporter, 0);
    assert_eq!(shown_by(&reporter), None);
    for (done, total) in [(1, 12), (12, 12), (1, 50), (50, 50), (7, 8)] {
        reporter.on(Event::Evaluating { done, total });
        assert_eq!(shown_by(&reporter), work(done as u64, total as u64, "evaluating the base"));
    }
}

/// Without held-out rows there are lines of other rows alone, or none at all.
#[test]
fn steps_are_not_counted_by_the_bar_of_an_evaluation() {
    let (golden_rows, golden) = (12, [("chrf".to_owned(), 0.5)].into());
    let line = GoldenLine { step: 0, golden_rows, golden };
    for is_said in [true, false] {
        let mut reporter = on_a_terminal();
        ready(&mut reporter, 0);
        reporter.on(Event::Evaluating { done: 12, total: 12 });
        if is_said {
            reporter.on(Event::Golden(&line));
            assert_eq!(shown_by(&reporter), None);
        }
        step(&mut reporter, 1);
        let counts = (Counted::Steps, 1, Some(50), "loss 1.2500 5 tokens/s".to_owned());
        assert_eq!(shown_by(&reporter), Some(counts.clone()));
        // Evaluations on the way leave it as it is.
        reporter.on(Event::Evaluating { done: 3, total: 12 });
        reporter.on(Event::Golden(&line));
        assert_eq!(shown_by(&reporter), Some(counts));
        // A run that goes back reads its base again.
        reporter.on(Event::Loading { done: 3, total: 30 });
        assert_eq!(shown_by(&reporter), work(3, 30, "loading the base"));
    }
}

#[test]
fn what_is_evaluated_when_a_run_goes_on_is_not_the_base() {
    let mut reporter = on_a_terminal();
    ready(&mut reporter, 6);
    reporter.on(Event::Evaluating { done: 1, total: 12 });
    assert_eq!(shown_by(&reporter), work(1, 12, "evaluating after step 6"));
    step(&mut reporter, 7);
    assert_eq!(shown_by(&reporter).map(|(counted, at, ..)| (counted, at)), Some((Counted::Steps, 7)));
}
