//! Texts of a benchmark as tokens, and answers that are generated.

use std::path::Path;

use rtune_data::{Example, Origin};
use rtune_models::generate::{Answer, Documents, Go, Sampling};

use super::rows::{Item, Items, Task};
use super::{BenchmarkOptions, ItemSide, computed, problem};
use crate::error::TrainerError;
use crate::talk::{Settings, Speaker};

/// What ends the answer to a sum, as the harness's task has it.
const ENDINGS: &[&str] = &["Question:", "</s>", "<|im_end|>"];

/// A context and what continues it, as the harness cuts them: spaces at the end of the context belong to the continuation, and the
/// tokens of both together are divided where the context's own end. A text that is too long loses its beginning.
///
/// # Errors
/// [`TrainerError::Benchmark`] where nothing is left to be scored.
pub(super) fn continued(
    speaker: &Speaker<'_>,
    file: &Items,
    item: &Item,
    context: &str,
    continuation: &str,
) -> Result<Example, TrainerError> {
    let empty = || {
        problem(file, format!("line {}: there is nothing before the choices, or nothing to score", item.line))
    };
    let is_space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    let kept = context.trim_end_matches(is_space);
    let own = speaker.continued(kept)?;
    let mut tokens = speaker.continued(&format!("{context}{continuation}"))?;
    if own.is_empty() || own.len() >= tokens.len() {
        return Err(empty());
    }
    let first = own.len();
    tokens.splice(..first, own);
    // The last token predicts nothing, so that one more fits than the model sees.
    let most = speaker.opened().base.config.max_position_embeddings + 1;
    let cut = tokens.len().saturating_sub(most);
    if cut >= first {
        return Err(problem(
            file,
            format!("line {}: a choice is longer than the model's context", item.line),
        ));
    }
    let tokens = tokens.split_off(cut);
    let supervised = (0..tokens.len()).map(|t| t + cut >= first).collect();
    let origin = Origin { file: Path::new(&file.path).into(), line: item.line };
    Ok(Example { id: item.id.clone(), origin, tokens, supervised })
}

/// Greedy answers to sums.
///
/// # Errors
/// Those of the tokenizer and the model.
pub(super) fn answer(
    speaker: &Speaker<'_>,
    file: &Items,
    contexts: &[String],
    options: &BenchmarkOptions,
    tuned: bool,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<ItemSide>, TrainerError> {
    let settings = Settings {
        sampling: Sampling::GREEDY,
        seed: 0,
        max_new_tokens: options.max_new_tokens,
        batch: options.batch,
    };
    let contexts: Vec<&str> = contexts.iter().map(String::as_str).collect();
    let texts = texts(speaker, &contexts, &settings, ENDINGS, tuned, progress)?;
    let sides = file.items.iter().zip(texts).map(|(item, text)| {
        let scores = match &item.task {
            Task::Compute { target } => computed(&text, target),
            Task::Choose { .. } | Task::Program { .. } => Default::default(),
        };
        ItemSide { answer: Some(text), scores, ..ItemSide::default() }
    });
    Ok(sides.collect())
}

/// How each of `contexts` goes on, up to the first of `endings`. `progress` is called with (texts begun, texts in all).
///
/// # Errors
/// Those of the tokenizer and the model.
pub(super) fn texts(
    speaker: &Speaker<'_>,
    contexts: &[&str],
    settings: &Settings,
    endings: &[&str],
    tuned: bool,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<String>, TrainerError> {
    // As much of the context as leaves room for the longest answer.
    let most =
        speaker.opened().base.config.max_position_embeddings.saturating_sub(settings.max_new_tokens).max(1);
    let mut requests = Vec::with_capacity(contexts.len());
    for (index, context) in contexts.iter().enumerate() {
        let mut prompt = speaker.continued(context)?;
        prompt.drain(..prompt.len().saturating_sub(most));
        requests.push(speaker.request(index, prompt, settings, None));
    }
    let mut answers: Vec<Vec<u32>> = vec![Vec::new(); contexts.len()];
    let mut begun = 0;
    let mut on_token = |index: usize, token: u32| {
        begun += usize::from(answers[index].is_empty());
        progress(begun, contexts.len());
        answers[index].push(token);
        // A failure to decode shows when the whole answer is decoded.
        match speaker.text(&answers[index]) {
            Ok(text) if endings.iter().any(|ending| text.contains(ending)) => Go::Ended,
            _ => Go::On,
        }
    };
    let answers = speaker.generate(requests, settings, tuned, Documents::Dropped, &mut on_token)?;
    let until = |answer: Answer| {
        let mut text = speaker.text(&answer.tokens)?;
        for ending in endings {
            if let Some(at) = text.find(ending) {
                text.truncate(at);
            }
        }
        Ok(text)
    };
    answers.into_iter().map(until).collect()
}
