//! What a model thinks before it answers: no part of the answer that is compared.

use rtune_data::{ChatTemplate, Message};

use crate::error::TrainerError;
use crate::wording::Wording;

/// What stands for reasoning and for an answer, to see what a template puts between them.
const THOUGHT: &str = "thought-of-before";
const SAID: &str = "said-in-the-end";

/// What `template` puts between reasoning and an answer, such as `</think>`; `None` where it shows no reasoning.
pub(crate) fn closing(template: &ChatTemplate) -> Option<String> {
    let mut answer = Message::new("assistant", SAID);
    answer.extra.insert("reasoning_content".to_owned(), THOUGHT.into());
    let text = template.render(&[Message::new("user", "a"), answer], false).ok()?;
    let (_, behind) = text.split_once(THOUGHT)?;
    let (between, _) = behind.split_once(SAID)?;
    let closing = between.trim();
    (!closing.is_empty()).then(|| closing.to_owned())
}

/// The text of an answer: what follows `closing`, where that is there. An answer that ends before it is all reasoning, and stays as it is.
///
/// # Errors
/// [`TrainerError::Data`] if the tokenizer fails.
pub(crate) fn text_behind(
    wording: &Wording<'_>,
    tokens: &[u32],
    closing: Option<&str>,
) -> Result<String, TrainerError> {
    let Some(closing) = closing else { return wording.text(tokens) };
    // A special token is no part of the text: it is looked for among the tokens.
    let id = wording.base().tokenizer.token_to_id(closing);
    let end = id.and_then(|id| tokens.iter().rposition(|token| *token == id));
    match end {
        Some(end) => Ok(wording.text(&tokens[end + 1..])?.trim_start().to_owned()),
        None => Ok(behind(&wording.text(tokens)?, closing).to_owned()),
    }
}

/// As templates take the answer out of a text: behind the last `closing`.
fn behind<'t>(text: &'t str, closing: &str) -> &'t str {
    text.rfind(closing).map_or(text, |at| text[at + closing.len()..].trim_start())
}

#[cfg(test)]
mod tests {
    use rtune_data::SpecialTokens;

    use super::*;

    const WITH: &str = "{% for m in messages %}<|{{ m.role }}|>{% if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n\n\
        {% endif %}{{ m.content }}<|end|>{% endfor %}";

    #[test]
    fn the_template_says_what_ends_reasoning() {
        let of = |source: &str| {
            let template = ChatTemplate::new(source, SpecialTokens::default(), None).expect("a template");
            closing(&template)
        };
        assert_eq!(of(WITH).as_deref(), Some("</think>"));
        assert_eq!(of("{% for m in messages %}{{ m.content }}{% endfor %}"), None);
    }

    #[test]
    fn the_answer_stands_behind_the_reasoning() {
        assert_eq!(behind("<think>\nIs it 4?\n</think>\n\nspam", "</think>"), "spam");
        assert_eq!(behind("<think>\nIs it", "</think>"), "<think>\nIs it");
        assert_eq!(behind("a</think>b</think>c", "</think>"), "c");
    }
}
