//! Figures that are no numbers. Weights that are too large give them, and so does a form that cannot hold them; nothing can be compared
//! with one, and no such model ships.

use rtune_trainer::error::TrainerError;
use rtune_trainer::evaluate::golden::{GoldenReport, Side};

use super::{Asked, Finding, Model};
use crate::error::RegistryError;

/// What speaks against the candidate, or against its recipe: rows whose answers it, or another seed of it, gives no finite probability.
///
/// # Errors
/// [`RegistryError::Trainer`] where what is in use is such a model: nothing can be weighed against it.
pub(super) fn fault(asked: &Asked<'_>) -> Result<Option<Finding>, RegistryError> {
    let of_current = rows(&asked.current);
    if let Some(first) = of_current.first() {
        let problem = format!(
            "what is in use has no finite figures on {} golden rows, `{first}` first: `{}`",
            of_current.len(),
            asked.current.path.display()
        );
        return Err(TrainerError::NotComparable { problem }.into());
    }
    let candidate = std::iter::once(("the candidate".to_owned(), &asked.candidate));
    let seeds = asked.seeds.iter().zip(1..).map(|(seed, number)| (format!("its seed {number}"), seed));
    for (name, model) in candidate.chain(seeds) {
        let cases = rows(model);
        if !cases.is_empty() {
            let said = format!(
                "{name} has no finite figures on {} golden rows: how likely the expected answers are is no number",
                cases.len()
            );
            return Ok(Some(Finding { half: Some(asked.half.name()), ..Finding::of("finite", said, cases) }));
        }
    }
    Ok(None)
}

/// The rows on which a figure of this model is no number, by their ids.
fn rows(model: &Model<'_>) -> Vec<String> {
    let is_whole = |side: &Side| {
        let figures = [side.nats, side.text_nats, side.chrf, side.bleu, side.ter];
        let of_labels = side.label_nats.iter().flatten();
        figures.iter().chain(of_labels).all(|figure| figure.is_finite())
    };
    let GoldenReport { cases, texts, .. } = model.report;
    let of_cases = cases.iter().filter(|case| !is_whole(model.side(case))).map(|case| case.id.clone());
    let of_texts = texts.iter().flat_map(|texts| &texts.rows);
    let of_texts = of_texts.filter(|row| !model.side_of_text(row).nats.is_finite());
    of_cases.chain(of_texts.map(|row| row.id.clone())).collect()
}
