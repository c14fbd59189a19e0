//! Answers that the template itself marks, by `{% generation %}`.
//!
//! An answer may have several blocks: its reasoning, its calls, its text and what ends it may each stand in one.

use std::ops::Range;

use super::seen;
use super::spans::{Located, Rendered, Span, Talk, common, last_end, locate};
use crate::options::TrainOn;
use crate::problem::ProblemKind;
use crate::template::ChatTemplate;

/// What the template marks, each block up to the end-of-turn token: the last special token inside if nothing but whitespace
/// comes after it, else the one that follows at once.
pub(super) fn render(
    template: &ChatTemplate,
    ends: &[String],
    talk: Talk<'_>,
    train_on: TrainOn,
) -> Result<Rendered, ProblemKind> {
    let (text, blocks) = template.render_with_answers(talk.messages, talk.tools, false)?;
    seen::marked(template, ends, talk, train_on, &text, &blocks)?;
    seen::question(template, talk, &text)?;
    let blocks = blocks.into_iter().filter(|block| !text[block.clone()].trim().is_empty());
    let mut spans: Vec<Span> = blocks.map(|block| span(&text, block, ends)).collect();
    let contents = locate(template, talk, &text);
    let located = Located { text, contents };
    let answers: Vec<usize> =
        (0..talk.messages.len()).filter(|&index| talk.messages[index].is_answer()).collect();
    let all_trained = answers.iter().all(|&index| talk.messages[index].trained);
    // All are trained and each has its own: nothing is to be told apart.
    if train_on == TrainOn::All && all_trained && spans.len() == answers.len() {
        return Ok(located.cut(spans));
    }
    // A row ends with its last trained answer.
    let last = talk.messages.len() - 1;
    let asked = match train_on {
        TrainOn::Last => &answers[answers.len() - 1..],
        TrainOn::All => &answers,
    };
    let owners = owners(template, talk, &located, asked, &spans);
    for index in 1..spans.len() {
        // An answer ends where its last block does.
        spans[index - 1].ended |= owners[index - 1].is_some() && owners[index - 1] == owners[index];
    }
    let is_trained = |owner: Option<usize>| match train_on {
        TrainOn::Last => owner == Some(last),
        TrainOn::All => all_trained || owner.is_some_and(|owner| talk.messages[owner].trained),
    };
    // Where an answer has no block of its own, another's may be taken for its.
    let placed = || answers.iter().all(|answer| owners.contains(&Some(*answer)));
    if train_on == TrainOn::All && !all_trained && !placed() {
        return Err(ProblemKind::UntrainedNotPlaced);
    }
    let mut trained = owners.iter().map(|owner| is_trained(*owner));
    spans.retain(|_| trained.next().unwrap_or(false));
    Ok(located.cut(spans))
}

fn span(text: &str, block: Range<usize>, ends: &[String]) -> Span {
    let trimmed = block.start + text[block.clone()].trim_end().len();
    let inside = last_end(&text[..trimmed], block.start, ends).filter(|&end| end == trimmed);
    let following =
        || ends.iter().filter(|end| text[block.end..].starts_with(end.as_str())).map(String::len).max();
    let end = inside.or_else(|| Some(block.end + following()?));
    Span { range: block.start..end.unwrap_or(trimmed), ended: end.is_some() }
}

/// The answer, of `answers`, that each span belongs to: the last that begins before it.
fn owners(
    template: &ChatTemplate,
    talk: Talk<'_>,
    located: &Located,
    answers: &[usize],
    spans: &[Span],
) -> Vec<Option<usize>> {
    let begins: Vec<(usize, usize)> =
        answers.iter().map(|&answer| (begin(template, talk, located, answer, spans), answer)).collect();
    let before = |span: &Span| begins.iter().rev().find(|(begin, _)| *begin <= span.range.start);
    spans.iter().map(|span| before(span).map(|(_, answer)| *answer)).collect()
}

/// Where in the whole text the answer `index` begins, with its header: where what stands before it ends.
///
/// That is as much as the conversation up to it, rendered alone, has in common with the whole. It may be too much where the
/// answer begins like what the template puts at an end, and too little where the template shows earlier turns otherwise
/// there; the contents, where their places are known, say better.
fn begin(template: &ChatTemplate, talk: Talk<'_>, located: &Located, index: usize, spans: &[Span]) -> usize {
    let alone = talk.upto(index).render(template, false);
    let shared = alone.map_or(0, |alone| common(&alone, &located.text));
    let Some(contents) = &located.contents else { return shared };
    let own = contents[index].start;
    let around = spans.iter().find(|span| span.range.start <= own && own < span.range.end);
    let before = index.checked_sub(1).map_or(0, |previous| contents[previous].end);
    shared.min(around.map_or(own, |span| span.range.start)).max(before)
}
