//! What a comparison comes to, in words.

use rtune_metrics::compare::{Comparison, Verdict};

/// A verdict in a word.
pub fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::Equivalent => "equivalent",
        Verdict::Inconclusive => "inconclusive",
    }
}

/// What the metric that decides comes to, in a sentence or two; `first` and `second` are what the models are called.
pub fn sentence(one: &Comparison, margin: f64, first: &str, second: &str) -> String {
    let begin = format!("By {}, {second} is {}", one.metric, word(one.verdict));
    match one.verdict {
        Verdict::Inconclusive => {
            let more = match one.needed_cases {
                Some(cases) => {
                    format!("about {cases} cases like these would tell, if the difference seen is real")
                }
                None => "there is no difference to be told".to_owned(),
            };
            format!(
                "By {}, the comparison is inconclusive: {} cases cannot tell; {more}.",
                one.metric, one.cases
            )
        }
        Verdict::Equivalent => format!("{begin} to {first}: the difference lies within {margin} either way."),
        Verdict::Better | Verdict::Worse => format!("{begin} than {first}, on {} cases.", one.cases),
    }
}
