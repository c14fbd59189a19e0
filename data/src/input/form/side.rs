//! Talks of two sides: those who ask, and the agents who answer.

use crate::problem::ProblemKind;
use crate::record::Message;

/// Whose mail and comments are answers.
#[derive(Clone, Debug, Default)]
pub(in crate::input) struct Agents(Vec<String>);

impl Agents {
    /// Addresses (`ann@example.org`), domains (`example.org`, `@example.org`) and ids.
    pub(in crate::input) fn new(named: &[String]) -> Self {
        let clean = |name: &String| name.trim().trim_start_matches('@').to_lowercase();
        Self(named.iter().map(clean).filter(|name| !name.is_empty()).collect())
    }

    pub(in crate::input) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address or an id is an agent's, by itself or by its domain or one above it.
    pub(in crate::input) fn has(&self, who: &str) -> bool {
        let who = who.trim().to_lowercase();
        let domain = who.rsplit_once('@').map(|(_, domain)| domain);
        let below = |name: &String| {
            let of_domain = |domain: &str| {
                domain.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            !name.contains('@') && domain.is_some_and(of_domain)
        };
        self.0.iter().any(|name| *name == who || below(name))
    }
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::input) enum Side {
    /// The one who asks.
    Customer,
    /// The one who answers.
    Agent,
}

/// What stands between two turns of one side, and between a subject and its text.
const BETWEEN: &str = "\n\n";

/// The messages of a talk: turns of one side that follow each other are one, and the subject stands before the first.
pub(in crate::input) fn dialogue(
    subject: Option<&str>,
    turns: impl IntoIterator<Item = (Side, String)>,
) -> Result<Vec<Message>, ProblemKind> {
    let mut messages: Vec<Message> = Vec::new();
    for (side, text) in turns {
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let role = if side == Side::Agent { "assistant" } else { "user" };
        match messages.last_mut() {
            Some(last) if last.role == role => last.content = format!("{}{BETWEEN}{text}", last.content),
            _ => messages.push(Message::new(role, text)),
        }
    }
    if !messages.iter().any(Message::is_answer) {
        return Err(ProblemKind::NoAnswer { found: "no agent has answered" });
    }
    let first = messages.first_mut().filter(|first| !first.is_answer()).ok_or(ProblemKind::AnswerFirst)?;
    let subject = subject.map(str::trim).filter(|subject| !subject.is_empty());
    // Help desks take the beginning of the text for the subject where none was given.
    if let Some(subject) =
        subject.filter(|subject| !first.content.starts_with(subject.trim_end_matches(['.', '…'])))
    {
        first.content = format!("{subject}{BETWEEN}{}", first.content);
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_known_by_address_domain_and_id() {
        let agents = Agents::new(&["Ann@Shop.example".into(), "@help.example".into(), "17".into()]);
        for who in ["ann@shop.example", "bob@help.example", "bob@eu.HELP.example", "17"] {
            assert!(agents.has(who), "{who}");
        }
        for who in ["bob@shop.example", "bob@myhelp.example", "help.example.org", "170", ""] {
            assert!(!agents.has(who), "{who}");
        }
    }

    #[test]
    fn turns_of_a_side_are_one() {
        let turn = |side, text: &str| (side, text.to_owned());
        let (asks, answers) = (Side::Customer, Side::Agent);
        let talk = [turn(asks, " a "), turn(asks, "b"), turn(asks, " "), turn(answers, "c"), turn(asks, "d")];
        let messages = dialogue(Some("Subject"), talk.clone()).expect("a talk");
        let texts: Vec<_> = messages.iter().map(|message| message.content.as_str()).collect();
        assert_eq!(texts, ["Subject\n\na\n\nb", "c", "d"]);
        let messages = dialogue(Some("a…"), talk).expect("a talk");
        assert_eq!(messages[0].content, "a\n\nb");
        assert_eq!(dialogue(None, [turn(answers, "c"), turn(asks, "d")]), Err(ProblemKind::AnswerFirst));
        assert!(matches!(dialogue(None, [turn(asks, "c")]), Err(ProblemKind::NoAnswer { .. })));
    }
}
