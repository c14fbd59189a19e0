//! What a run answers to the golden cases that are asked about.

use rtune_data::{Example, Half};
use rtune_models::BaseModel;
use rtune_models::generate::Sampling;
use rtune_trainer::evaluate::contrast::{Contrast, contrasts};
use rtune_trainer::evaluate::golden::{ExamOptions, examine};
use rtune_trainer::evaluate::labels::LabelOptions;
use rtune_trainer::talk::{Settings, Speaker};
use serde::Serialize;

use super::Asked;
use crate::commands::{eval, opened};
use crate::failure::BadInput;
use crate::reporter::Work;

/// What a run and its base say to a case.
#[derive(Clone, Serialize)]
pub(super) struct Answered {
    pub(super) expected: String,
    pub(super) base: String,
    pub(super) base_is_right: bool,
    pub(super) tuned: String,
    pub(super) tuned_is_right: bool,
}

/// Asks `run`, a checkpoint or the best one of a run, and its base, the cases; in the order in which they were named.
pub(super) fn answers(asked: &Asked<'_>, run: &str) -> anyhow::Result<Vec<(Contrast, Answered)>> {
    let (_, model) = opened::open_named(run, &[])?;
    let speaker = Speaker::new(&model)?;
    let settings = Settings {
        sampling: Sampling::GREEDY,
        seed: 0,
        max_new_tokens: asked.args.max_new_tokens as usize,
        batch: eval::batch(&model),
    };
    let labels = LabelOptions { labels: asked.config.eval.labels.clone(), ..LabelOptions::default() };
    let sealed = asked.config.gate.sealed;
    let known = |id: &String| {
        let unknown = BadInput::new(format!("no golden row that may be asked has the id `{id}`"));
        unknown.with_hint("`rtune eval RUN` writes a report with the id of every case; a row without one has an id of its content")
    };
    let only = asked.args.cases.clone();
    let sandbox = eval::code::sandbox(&asked.args.sandbox)?;
    let half = Half::open_if(sealed);
    let options = ExamOptions { labels, half, sealed, only, sandbox, ..ExamOptions::default() };
    let mut work = Work::new("asking the cases");
    let report = examine(&speaker, &asked.golden, &settings, &options, &mut |progress| {
        work.show(progress.done, progress.total);
    });
    work.finish();
    let report = match report {
        // None of the ids is there.
        Err(rtune_trainer::error::TrainerError::EmptyHalf { .. }) => {
            return Err(known(&asked.args.cases[0]).into());
        }
        report => report?,
    };
    let found = contrasts(&speaker, &asked.golden, sealed, &report)?;
    let one = |id: &String| -> anyhow::Result<(Contrast, Answered)> {
        let contrast = found.iter().find(|one| one.case == *id).ok_or_else(|| known(id))?;
        let case = report.cases.iter().find(|case| case.id == *id).ok_or_else(|| known(id))?;
        let answered = Answered {
            expected: case.expected.first().cloned().unwrap_or_default(),
            base: case.base.answer.clone(),
            base_is_right: contrast.base_is_right,
            tuned: case.tuned.as_ref().map(|tuned| tuned.answer.clone()).unwrap_or_default(),
            tuned_is_right: contrast.tuned_is_right,
        };
        Ok((contrast.clone(), answered))
    };
    asked.args.cases.iter().map(one).collect()
}

/// What of a row is the prompt and what is learnt, as text.
pub(super) fn texts(base: &BaseModel, row: &Example) -> anyhow::Result<(String, String)> {
    let text = |supervised: bool| -> anyhow::Result<String> {
        let tokens: Vec<u32> = row
            .tokens
            .iter()
            .zip(&row.supervised)
            .filter(|(_, is)| **is == supervised)
            .map(|(token, _)| *token)
            .collect();
        let text = rtune_data::decode_guarded(&base.tokenizer, &tokens, true);
        text.map_err(|error| anyhow::anyhow!("the tokens of row `{}` are no text: {error}", row.id))
    };
    Ok((text(false)?.trim().to_owned(), text(true)?.trim().to_owned()))
}
