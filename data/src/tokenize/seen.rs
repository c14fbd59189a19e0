//! Whether a rendering shows the answers that are trained, and what they answer.
//!
//! A template that reads contents as lists of parts shows nothing of a text, and says nothing of it. To look for the text is
//! cheap; only where it is not found, since templates may change it, the conversation is rendered with another one.

use std::ops::Range;

use super::spans::Talk;
use crate::options::TrainOn;
use crate::problem::ProblemKind;
use crate::record::Message;
use crate::template::ChatTemplate;

/// Refuses a rendering without the last thing that a user says before the last answer.
///
/// Templates may leave out instructions, and what was said earlier.
pub(super) fn question(template: &ChatTemplate, talk: Talk<'_>, text: &str) -> Result<(), ProblemKind> {
    let Some(index) = talk.messages.iter().rposition(|message| message.role == "user") else {
        return Ok(());
    };
    if is_in(&talk.messages[index], text) {
        return Ok(());
    }
    match with_others(talk, |other| other == index, |other| other.render(template, false)) {
        Ok(other) if other == text => Err(ProblemKind::QuestionNotShown { message: index + 1 }),
        _ => Ok(()),
    }
}

/// Refuses a rendering, `text`, in which the last message, an answer trained as `trained`, is not shown.
pub(super) fn answer(
    template: &ChatTemplate,
    ends: &[String],
    talk: Talk<'_>,
    text: &str,
    trained: &str,
) -> Result<(), ProblemKind> {
    let last = talk.messages.len() - 1;
    if is_in(&talk.messages[last], without_ends(trained, ends)) {
        return Ok(());
    }
    match with_others(talk, |other| other == last, |other| other.render(template, false)) {
        Ok(other) if other == text => Err(ProblemKind::NothingSupervised),
        _ => Ok(()),
    }
}

/// Refuses blocks that show none of the trained answers. Which of them it marks is the template's to say.
pub(super) fn marked(
    template: &ChatTemplate,
    ends: &[String],
    talk: Talk<'_>,
    train_on: TrainOn,
    text: &str,
    blocks: &[Range<usize>],
) -> Result<(), ProblemKind> {
    let last = talk.messages.len() - 1;
    let is_target = |index: usize| match train_on {
        TrainOn::All => talk.messages[index].is_answer() && talk.messages[index].trained,
        TrainOn::Last => index == last,
    };
    let inside = |block: &Range<usize>| without_ends(&text[block.clone()], ends);
    let shown = |index| blocks.iter().any(|block| is_in(&talk.messages[index], inside(block)));
    if (0..=last).any(|index| is_target(index) && shown(index)) {
        return Ok(());
    }
    let rendered = with_others(talk, is_target, |other| {
        template.render_with_answers(other.messages, other.tools, false)
    });
    match rendered {
        Ok((other, others)) => {
            let ours = blocks.iter().map(|block| &text[block.clone()]);
            match ours.eq(others.iter().map(|block| &other[block.clone()])) {
                true => Err(ProblemKind::NothingSupervised),
                false => Ok(()),
            }
        }
        Err(_) => Ok(()),
    }
}

/// Whether a rendering holds what a message says; one that says nothing, or that calls tools besides, may leave it out.
fn is_in(message: &Message, text: &str) -> bool {
    message.calls_tools() || text.contains(message.content.trim())
}

/// What is trained, without the special tokens that end it: a short answer may be written in one of them.
fn without_ends<'a>(trained: &'a str, ends: &[String]) -> &'a str {
    let mut text = trained.trim_end();
    while let Some(rest) = ends.iter().find_map(|end| text.strip_suffix(end.as_str())) {
        text = rest.trim_end();
    }
    text
}

/// Does something with the conversation in which some messages say more, at both ends.
fn with_others<T>(talk: Talk<'_>, is_other: impl Fn(usize) -> bool, render: impl Fn(Talk<'_>) -> T) -> T {
    let mut messages = talk.messages.to_vec();
    for (_, message) in messages.iter_mut().enumerate().filter(|(index, _)| is_other(*index)) {
        message.content = format!("x{}x", message.content);
    }
    render(Talk { messages: &messages, ..talk })
}
