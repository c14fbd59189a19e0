//! Templates of a Modelfile, read as Go's `text/template` reads them: the actions that are written into one, and no others.

use rtune_data::Message;

enum Node {
    Text(String),
    Content,
    Messages(Vec<Node>),
    /// Each condition with what follows it; the first that holds is taken.
    Choice(Vec<(Condition, Vec<Node>)>),
}

enum Condition {
    NoSystem,
    Role(String),
}

enum Token {
    Text(String),
    Action(String),
}

/// The template of a Modelfile.
pub(super) fn template_of(modelfile: &str) -> &str {
    let (_, rest) = modelfile.split_once("TEMPLATE \"\"\"").expect("a template");
    rest.split_once("\"\"\"").expect("its end").0
}

/// What Ollama renders: the conversation, and where the next answer begins.
pub(super) fn render(template: &str, messages: &[Message]) -> String {
    let tokens = tokens(template);
    let mut rest = tokens.as_slice();
    let nodes = nodes(&mut rest);
    assert!(rest.is_empty(), "`{{{{ end }}}}` without a beginning");
    let mut text = String::new();
    write(&nodes, messages, None, &mut text);
    text
}

fn tokens(mut template: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    while let Some((text, rest)) = template.split_once("{{") {
        tokens.push(Token::Text(text.to_owned()));
        let (mut is_quoted, mut is_escaped) = (false, false);
        let end = rest.char_indices().find(|&(at, letter)| {
            let ends = !is_quoted && rest[at..].starts_with("}}");
            is_quoted ^= letter == '"' && !is_escaped;
            is_escaped = letter == '\\' && !is_escaped;
            ends
        });
        let (end, _) = end.expect("an action ends");
        tokens.push(Token::Action(rest[..end].trim().to_owned()));
        template = &rest[end + 2..];
    }
    tokens.push(Token::Text(template.to_owned()));
    tokens
}

/// Nodes up to an `else` or an `end`, which stays.
fn nodes(rest: &mut &[Token]) -> Vec<Node> {
    let mut nodes = Vec::new();
    while let Some((token, behind)) = rest.split_first() {
        match token {
            Token::Action(action) if action == "end" || action.starts_with("else") => break,
            _ => *rest = behind,
        }
        nodes.push(match token {
            Token::Text(text) => Node::Text(text.clone()),
            Token::Action(action) if action == ".Content" => Node::Content,
            Token::Action(action) if action == "range .Messages" => Node::Messages(inside(rest)),
            Token::Action(action) if action.starts_with("if ") => choice(action, rest),
            // A string of Go's with these escapes is one of JSON's.
            Token::Action(action) => Node::Text(serde_json::from_str(action).expect("a known action")),
        });
    }
    nodes
}

fn inside(rest: &mut &[Token]) -> Vec<Node> {
    let inside = nodes(rest);
    let (end, behind) = rest.split_first().expect("an end");
    assert!(matches!(end, Token::Action(action) if action == "end"));
    *rest = behind;
    inside
}

fn choice(first: &str, rest: &mut &[Token]) -> Node {
    let mut ways = vec![(condition(first), nodes(rest))];
    loop {
        let (token, behind) = rest.split_first().expect("an end");
        *rest = behind;
        match token {
            Token::Action(action) if action == "end" => return Node::Choice(ways),
            Token::Action(action) => {
                let next = action.strip_prefix("else ").expect("another condition");
                ways.push((condition(next), nodes(rest)));
            }
            Token::Text(_) => unreachable!("nodes go on to an action"),
        }
    }
}

fn condition(action: &str) -> Condition {
    match action.strip_prefix("if eq .Role ") {
        Some(role) => Condition::Role(serde_json::from_str(role).expect("a role")),
        None => {
            assert_eq!(action, "if not .System");
            Condition::NoSystem
        }
    }
}

fn write(nodes: &[Node], messages: &[Message], current: Option<&Message>, text: &mut String) {
    let holds = |condition: &Condition| match condition {
        Condition::NoSystem => messages.iter().all(|message| message.role != "system"),
        Condition::Role(role) => current.is_some_and(|message| message.role == *role),
    };
    for node in nodes {
        match node {
            Node::Text(piece) => text.push_str(piece),
            Node::Content => text.push_str(&current.expect("inside a message").content),
            Node::Messages(inside) => {
                messages.iter().for_each(|message| write(inside, messages, Some(message), text));
            }
            Node::Choice(ways) => {
                if let Some((_, inside)) = ways.iter().find(|(condition, _)| holds(condition)) {
                    write(inside, messages, current, text);
                }
            }
        }
    }
}

#[test]
fn templates_are_read_as_go_reads_them() {
    let template = "{{ if not .System }}none {{ end }}{{ range .Messages }}{{ if eq .Role \"system\" }}S{{ \"{{\" }}{{ .Content }}\
        {{ else if eq .Role \"user\" }}<{{ .Content }}>{{ \"\\\"}}\" }}{{ end }}{{ end }}A:";
    let said = [Message::new("user", "{{ .Content }}"), Message::new("assistant", "b")];
    assert_eq!(render(template, &said), "none <{{ .Content }}>\"}}A:");
    assert_eq!(
        render(template, &[Message::new("system", "s"), said[0].clone()]),
        "S{{s<{{ .Content }}>\"}}A:"
    );
}
