//! Where the answers of a rendered conversation stand, in bytes of the text.
//!
//! Spans come from positions, never from token ids, so that a padding token which is also the end-of-turn token does no
//! harm. A template with `{% generation %}` says itself where they are; for the others an answer is what the rendering
//! of the conversation up to it adds to the rendering of its prompt.

use std::ops::Range;

use super::{blocks, seen};
use crate::options::TrainOn;
use crate::problem::ProblemKind;
use crate::record::Message;
use crate::template::{CONTENT_MARKS, ChatTemplate, TemplateError, holds_any, take_marked};

/// What a template renders of a row.
#[derive(Clone, Copy)]
pub(super) struct Talk<'a> {
    pub(super) messages: &'a [Message],
    pub(super) tools: &'a [serde_json::Value],
}

impl Talk<'_> {
    pub(super) fn upto(self, end: usize) -> Self {
        Self { messages: &self.messages[..end], ..self }
    }

    pub(super) fn render(
        self,
        template: &ChatTemplate,
        add_generation_prompt: bool,
    ) -> Result<String, TemplateError> {
        template.render_conversation(self.messages, self.tools, add_generation_prompt)
    }
}

/// One text to tokenize.
pub(super) struct Rendered {
    /// The text up to the end of its last trained answer.
    pub(super) text: String,
    /// The trained answers with their end-of-turn tokens, in order.
    pub(super) trained: Vec<Range<usize>>,
    /// For each message the place of its trimmed content, where the template shows all of them unchanged and in order.
    pub(super) contents: Option<Vec<Range<usize>>>,
    /// Whether each trained answer ends in an end-of-turn token.
    pub(super) ended: bool,
}

/// How much of two texts that should agree is shown, in characters.
const SHOWN_CHARACTERS: usize = 40;

/// The texts a conversation is trained as: one, or, where the template shows an answer otherwise once the conversation
/// goes on, one for each trained answer.
///
/// `ends` are the texts of special tokens. What follows the last answer is left out.
pub(super) fn render(
    template: &ChatTemplate,
    ends: &[String],
    talk: Talk<'_>,
    train_on: TrainOn,
) -> Result<Vec<Rendered>, ProblemKind> {
    let is_target = |message: &Message| message.is_answer() && message.trained;
    let last = talk.messages.iter().rposition(is_target).ok_or(ProblemKind::NothingSupervised)?;
    let talk = talk.upto(last + 1);
    if template.marks_answers() {
        return Ok(vec![blocks::render(template, ends, talk, train_on)?]);
    }
    let whole = Located::render(template, talk)?;
    let targets = (0..=last).filter(|&index| match train_on {
        TrainOn::All => is_target(&talk.messages[index]),
        TrainOn::Last => index == last,
    });
    let mut answers = Vec::new();
    for index in targets {
        let located = match index == last {
            true => None,
            false => Some(Located::render_part(template, talk.upto(index + 1), &whole)?),
        };
        let span = answer_span(template, ends, talk.upto(index + 1), located.as_ref().unwrap_or(&whole))?;
        answers.push((span, located));
    }
    seen::question(template, talk, &whole.text)?;
    let kept = |(span, located): &(Span, Option<Located>)| match located {
        None => true,
        Some(located) => whole.text.starts_with(&located.text[..span.range.end]),
    };
    if answers.iter().all(kept) {
        let spans: Vec<Span> = answers.into_iter().map(|(span, _)| span).collect();
        return Ok(vec![whole.cut(spans)]);
    }
    let mut whole = Some(whole);
    Ok(answers
        .into_iter()
        .filter_map(|(span, located)| Some(located.or_else(|| whole.take())?.cut(vec![span])))
        .collect())
}

/// A trained stretch, and whether it ends in an end-of-turn token.
pub(super) struct Span {
    pub(super) range: Range<usize>,
    pub(super) ended: bool,
}

/// A rendered conversation and where its contents stand.
pub(super) struct Located {
    pub(super) text: String,
    pub(super) contents: Option<Vec<Range<usize>>>,
}

impl Located {
    fn render(template: &ChatTemplate, talk: Talk<'_>) -> Result<Self, ProblemKind> {
        let text = talk.render(template, false)?;
        let contents = locate(template, talk, &text);
        Ok(Self { text, contents })
    }

    /// A conversation that `whole` goes on from. Where both begin alike so do the places of the contents, and a row of many turns
    /// is rendered once less for each.
    fn render_part(template: &ChatTemplate, talk: Talk<'_>, whole: &Self) -> Result<Self, ProblemKind> {
        let text = talk.render(template, false)?;
        let known = whole.contents.as_ref().and_then(|contents| contents.get(..talk.messages.len()));
        let alike = known.filter(|known| {
            let end = known.last().map_or(0, |last| last.end);
            text.as_bytes().get(..end) == whole.text.as_bytes().get(..end)
        });
        let contents = match alike {
            Some(contents) => Some(contents.to_vec()),
            None => locate(template, talk, &text),
        };
        Ok(Self { text, contents })
    }

    pub(super) fn cut(mut self, spans: Vec<Span>) -> Rendered {
        let end = spans.last().map_or(0, |span| span.range.end);
        self.text.truncate(end);
        let ended = spans.iter().all(|span| span.ended);
        let trained = spans.into_iter().map(|span| span.range).collect();
        Rendered { text: self.text, trained, contents: self.contents, ended }
    }
}

/// Renders once more with a mark on either side of each content, inside its outer whitespace, and believes the places
/// only if the text without the marks is what it was. A message without a content has an empty place.
pub(super) fn locate(template: &ChatTemplate, talk: Talk<'_>, text: &str) -> Option<Vec<Range<usize>>> {
    if holds_any(talk.messages, talk.tools, CONTENT_MARKS) {
        return None;
    }
    let [start, end] = CONTENT_MARKS;
    let mut marked = talk.messages.to_vec();
    for message in marked.iter_mut().filter(|message| has_content(message)) {
        let core = message.content.trim();
        let before = message.content.len() - message.content.trim_start().len();
        let (head, tail) = (&message.content[..before], &message.content[before + core.len()..]);
        message.content = format!("{head}{start}{core}{end}{tail}");
    }
    let rendered = Talk { messages: &marked, ..talk }.render(template, false).ok()?;
    let (clean, found) = take_marked(&rendered, CONTENT_MARKS)?;
    let with_content = || talk.messages.iter().filter(|message| has_content(message));
    if clean != text || found.len() != with_content().count() {
        return None;
    }
    if !found
        .iter()
        .zip(with_content())
        .all(|(place, message)| text[place.clone()] == *message.content.trim())
    {
        return None;
    }
    let mut found = found.into_iter();
    let mut previous_end = 0;
    let place = |message: &Message| {
        let place = if has_content(message) { found.next()? } else { previous_end..previous_end };
        previous_end = place.end;
        Some(place)
    };
    talk.messages.iter().map(place).collect()
}

fn has_content(message: &Message) -> bool {
    message.seen_content().flatten().is_some()
}

/// The last message of `talk`, an answer, in its rendering.
fn answer_span(
    template: &ChatTemplate,
    ends: &[String],
    talk: Talk<'_>,
    located: &Located,
) -> Result<Span, ProblemKind> {
    let index = talk.messages.len() - 1;
    let prompt = talk.upto(index);
    let asked = prompt.render(template, true)?;
    let text = &located.text;
    if !text.starts_with(&asked) {
        return Err(prompt_not_kept(index, &asked, text));
    }
    let content = located.contents.as_ref().map(|contents| contents[index].clone());
    let content = content.filter(|content| content.start >= asked.len());
    let mut start = asked.len();
    // A template that knows no generation prompt leaves the header of the answer to the model's turn: it is scaffolding
    // all the same, unless there is reasoning in it. Whitespace stays with the answer, because its first token holds it.
    let reasons = talk.messages[index].reasoning().is_some();
    if let Some(content) = content.as_ref().filter(|_| !reasons) {
        let scaffold = !text[start..content.start].trim().is_empty();
        if scaffold && prompt.render(template, false).is_ok_and(|plain| plain == asked) {
            start = content.start;
        }
    }
    // Calls stand behind the content, between special tokens of their own: the turn ends with the last.
    let content = content.filter(|_| !talk.messages[index].calls_tools());
    let (end, ended) = match content {
        Some(content) => match first_end(text, content.end, ends) {
            Some(end) => (end, true),
            None => (text.trim_end().len().max(content.end), false),
        },
        None => match last_end(text, start, ends) {
            Some(end) => (end, true),
            None => (text.trim_end().len().max(start), false),
        },
    };
    seen::answer(template, ends, talk, text, &text[start..end])?;
    Ok(Span { range: start..end, ended })
}

/// One past the first special token that begins at `from` or later.
fn first_end(text: &str, from: usize, ends: &[String]) -> Option<usize> {
    let found = ends.iter().filter_map(|end| Some((from + text[from..].find(end.as_str())?, end.len())));
    // Of two that begin at one place the longer is the token.
    found
        .min_by_key(|&(start, length)| (start, std::cmp::Reverse(length)))
        .map(|(start, length)| start + length)
}

/// One past the last special token that begins at `from` or later.
pub(super) fn last_end(text: &str, from: usize, ends: &[String]) -> Option<usize> {
    ends.iter().filter_map(|end| Some(from + text[from..].rfind(end.as_str())? + end.len())).max()
}

/// Bytes of the characters that two texts begin with.
pub(super) fn common(one: &str, other: &str) -> usize {
    let equal = one.chars().zip(other.chars()).take_while(|(one, other)| one == other);
    equal.map(|(one, _)| one.len_utf8()).sum()
}

fn prompt_not_kept(index: usize, asked: &str, answered: &str) -> ProblemKind {
    let common = common(asked, answered);
    let shown = |text: &str| text[common..].chars().take(SHOWN_CHARACTERS).collect();
    ProblemKind::PromptNotKept { answer: index + 1, asked: shown(asked), answered: shown(answered) }
}

impl From<TemplateError> for ProblemKind {
    fn from(error: TemplateError) -> Self {
        Self::Template(error)
    }
}
