//! Which checkpoint is the best, and when a run has waited long enough for a better one.

use rtune_metrics::compare::Better;

use crate::checkpoint::{Best, State, Waiting};
use crate::config::EvalSection;
use crate::evaluate::by_name;

/// By how much `value` is better than `other`; below zero where it is worse.
fn gain(metric: &str, value: f64, other: f64) -> f64 {
    match by_name::better(metric) {
        Some(Better::Lower) => other - value,
        _ => value - other,
    }
}

/// Whether `one` is better than `other`.
pub(super) fn is_better(metric: &str, one: f64, other: f64) -> bool {
    gain(metric, one, other) > 0.0
}

/// Takes the value that an evaluation after `state.step` steps has in the metric `eval.best`; whether it is the best.
pub(super) fn take(state: &mut State, eval: &EvalSection, value: f64) -> bool {
    let metric = eval.best.as_str();
    let is_best = state.best.as_ref().is_none_or(|best| is_better(metric, value, best.value));
    if is_best {
        state.best = Some(Best { step: state.step, metric: metric.to_owned(), value });
    }
    let waited = state.waiting.as_ref();
    let improved = waited.is_none_or(|waited| gain(metric, value, waited.value) > eval.least_improvement);
    state.waiting = Some(match waited {
        Some(waited) if !improved => Waiting { value: waited.value, evaluations: waited.evaluations + 1 },
        _ => Waiting { value, evaluations: 0 },
    });
    is_best
}

/// Whether the run ends here, however many steps are left.
pub(super) fn is_over(state: &State, eval: &EvalSection) -> bool {
    let waited = state.waiting.as_ref().map_or(0, |waiting| waiting.evaluations);
    eval.patience > 0 && waited >= eval.patience
}

/// Why it does.
pub(super) fn farewell(state: &State, eval: &EvalSection) -> String {
    let evaluations = state.waiting.as_ref().map_or(0, |waiting| waiting.evaluations);
    let least = match eval.least_improvement {
        0.0 => String::new(),
        least => format!(" by more than {least}"),
    };
    let best = state.best.as_ref().map_or_else(String::new, |best| {
        format!("; the best is that of step {}, with {} {:.4}", best.step, best.metric, best.value)
    });
    format!(
        "the run ends early, after step {}: {evaluations} evaluations in a row did not improve `{}`{least}{best}",
        state.step, eval.best
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn eval(more: &str) -> EvalSection {
        let text = format!(
            "[model]\nbase='m'\n[data]\ntrain='t'\ngolden='g'\nvalidation=0.1\n[output]\ndir='r'\n[eval]\n{more}\n"
        );
        Config::parse("c.toml", &text, &[]).expect("valid").eval
    }

    /// Feeds values until the run is over: at which evaluation, and which was the best.
    fn run(eval: &EvalSection, values: &[f64]) -> (Option<u64>, u64) {
        let mut state = State::start();
        for (step, value) in values.iter().enumerate() {
            state.step = step as u64;
            take(&mut state, eval, *value);
            if is_over(&state, eval) {
                return (Some(state.step), state.best.expect("a best").step);
            }
        }
        (None, state.best.expect("a best").step)
    }

    #[test]
    fn patience_counts_evaluations_without_improvement() {
        let losses = [3.0, 2.0, 2.5, 1.9, 1.95, 1.9, 1.8];
        assert_eq!(run(&eval("patience = 0"), &losses), (None, 6));
        assert_eq!(run(&eval("patience = 1"), &losses), (Some(2), 1));
        assert_eq!(run(&eval("patience = 2"), &losses), (Some(5), 3), "an equal one is no improvement");
        assert_eq!(run(&eval("patience = 3"), &losses), (None, 6));
    }

    #[test]
    fn little_steps_add_up_and_the_best_is_the_best_all_the_same() {
        let eval = eval("patience = 2\nleast-improvement = 0.5");
        assert_eq!(run(&eval, &[3.0, 2.8, 2.4, 2.2, 1.85, 1.8, 1.7]), (Some(6), 6), "1.85 improves on 2.4");
    }

    #[test]
    fn more_is_better_where_it_is() {
        let eval = eval("golden-rows = 4\nbest = 'chrf'\npatience = 2");
        assert_eq!(run(&eval, &[10.0, 20.0, 15.0, 12.0, 30.0]), (Some(3), 1));
        let mut state = State { step: 3, ..State::start() };
        take(&mut state, &eval, 10.0);
        take(&mut state, &eval, 9.0);
        take(&mut state, &eval, 8.0);
        assert_eq!(
            farewell(&state, &eval),
            "the run ends early, after step 3: 2 evaluations in a row did not improve `chrf`; the best is that of step \
            3, with chrf 10.0000"
        );
    }
}
