//! Bases by how likely the expected answers are to them, nothing trained.

use rtune_models::generate::Sampling;
use rtune_trainer::evaluate::golden::{ExamOptions, examine};
use rtune_trainer::evaluate::likelihood::{self, bits_per_byte, difference_interval};
use rtune_trainer::subject::Subject;
use rtune_trainer::talk::{Settings, Speaker};

use super::Wish;
use super::look::Found;
use crate::commands::{eval, resolve_base};
use crate::reporter::Work;

/// Loads a base that is left, weighs the golden rows and lets it go again.
pub(super) fn weigh(found: &mut Found, wish: &Wish) {
    if !found.is_left() {
        return;
    }
    if let Err(error) = try_weigh(found, wish) {
        found.fail(error);
    }
}

fn try_weigh(found: &mut Found, wish: &Wish) -> anyhow::Result<()> {
    let name = found.candidate.name();
    let subject = Subject { config: found.candidate.config(wish), run: None, adapter: None, quantized: None };
    let base = resolve_base(&subject.config)?;
    let mut work = Work::new(&format!("loading {name}"));
    let mut opened = subject.open(&base, &mut |done, total| work.show(done, total))?;
    if wish.answer_tokens.is_some() {
        opened.unpack_for_answers();
    }
    let speaker = Speaker::new(&opened)?;
    work.rename(&format!("weighing the answers under {name}"));
    let sealed = wish.config.gate.sealed;
    let mut show = |done, total| work.show(done, total);
    found.likelihood = Some(likelihood::weigh(&speaker, (&wish.golden, sealed), &mut show)?);
    if let Some(max_new_tokens) = wish.answer_tokens {
        work.rename(&format!("asking {name}"));
        let batch = eval::batch(&opened);
        let settings = Settings { sampling: Sampling::GREEDY, seed: 0, max_new_tokens, batch };
        let options = ExamOptions { sealed, ..ExamOptions::default() };
        let report = examine(&speaker, &wish.golden, &settings, &options, &mut |progress| {
            work.show(progress.done, progress.total);
        })?;
        found.answers = Some(report.base);
    }
    work.finish();
    Ok(())
}

/// The places of those that were weighed, best first.
pub(super) fn order(found: &[Found]) -> Vec<usize> {
    let figure = |index: &usize| found[*index].likelihood.as_deref().map_or(f64::INFINITY, bits_per_byte);
    let mut order: Vec<usize> = (0..found.len()).filter(|&index| found[index].likelihood.is_some()).collect();
    order.sort_by(|one, other| figure(one).total_cmp(&figure(other)));
    order
}

/// By how many bits a byte a base is behind the best, with a 95% interval where the rows have one; `None` for the best itself.
pub(super) fn behind(found: &[Found], order: &[usize], place: usize) -> Option<(f64, Option<[f64; 2]>)> {
    if place == 0 {
        return None;
    }
    let rows = |place: usize| found[order[place]].likelihood.as_deref().unwrap_or_default();
    let (best, own) = (rows(0), rows(place));
    Some((bits_per_byte(own) - bits_per_byte(best), difference_interval(best, own)))
}

/// What the order means, in a sentence or two.
pub(super) fn meaning(found: &[Found], order: &[usize]) -> String {
    let name = |place: usize| found[order[place]].candidate.name();
    let rows = found[order[0]].likelihood.as_ref().map_or(0, Vec::len);
    let (these, tell) = match rows {
        1 => ("this row".to_owned(), "does not tell"),
        _ => (format!("these {rows} rows"), "do not tell"),
    };
    let alike: Vec<String> = (1..order.len())
        .filter(|&place| {
            behind(found, order, place)
                .is_some_and(|(_, interval)| interval.is_none_or(|[low, _]| low <= 0.0))
        })
        .map(name)
        .collect();
    let untrained =
        "It says which base is nearest to these answers before training, not which is best after it.";
    let verdict = match (order.len(), alike.as_slice()) {
        (1, _) => format!("Only {} was weighed, on {these}: a figure to compare others with.", name(0)),
        (_, []) => {
            format!("The expected answers are likeliest to {}, on {these} and beyond chance.", name(0))
        }
        (_, alike) => format!(
            "The expected answers are likeliest to {}, but {these} {tell} it from {}.",
            name(0),
            alike.join(", ")
        ),
    };
    format!("{verdict} {untrained}")
}
