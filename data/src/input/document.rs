//! Objects that are no row, but hold a list of them: what the interfaces of help desks answer.

use std::collections::{HashMap, VecDeque};

use serde_json::{Map, Value};

use super::Found;
use super::scan::Scanner;

/// Fields that hold the rows of a document, if it has no form of its own.
const LISTS: [&str; 3] = ["tickets", "conversations", "data"];

/// Fields that make an object a row, so that what lists it has are its own.
const ROW_FIELDS: [&str; 5] = ["instruction", "messages", "prompt", "text", "conversation_parts"];

/// The rows of an object, which stands at `line`: those of its list with lines of their own, or itself.
pub(super) fn rows(mut fields: Map<String, Value>, text: &[u8], line: u64) -> VecDeque<Found> {
    let Some(name) = list_of(&fields) else {
        return VecDeque::from([Found { line, row: Ok(fields) }]);
    };
    let elements = match fields.remove(name) {
        Some(Value::Array(elements)) => elements,
        _ => Vec::new(),
    };
    let lines = lines_of(text, name, line);
    let beside = Beside::of(&mut fields);
    let with_line = elements.into_iter().zip(lines.into_iter().chain(std::iter::repeat(line)));
    let found = with_line.map(|(element, line)| match element {
        Value::Object(mut row) => {
            beside.add_to(&mut row);
            Found { line, row: Ok(row) }
        }
        other => {
            let found = super::kind_of(&other);
            Found { line, row: Err(crate::problem::ProblemKind::NotAnObject { found }) }
        }
    });
    found.collect()
}

fn list_of(fields: &Map<String, Value>) -> Option<&'static str> {
    if ROW_FIELDS.iter().any(|name| fields.contains_key(*name)) {
        return None;
    }
    LISTS.into_iter().find(|name| match fields.get(*name) {
        Some(Value::Array(elements)) => {
            // Turns of ShareGPT are objects too: they say whom they are from.
            let is_turn = |row: &Map<String, Value>| row.contains_key("from") || row.contains_key("role");
            !elements.is_empty()
                && elements.iter().all(|element| element.as_object().is_some_and(|row| !is_turn(row)))
        }
        _ => false,
    })
}

/// The lines of the elements of the list `name` of an object that was parsed before.
fn lines_of(text: &[u8], name: &str, line: u64) -> Vec<u64> {
    let mut scanner = Scanner::new(text);
    let quoted = Value::from(name).to_string();
    scanner.take();
    // Reading from memory does not fail, and the text is whole: whatever goes wrong, the lines that are known stand.
    let mut lines = Vec::new();
    while let Ok(Some(b'"' | b',')) = scanner.peek() {
        if matches!(scanner.peek(), Ok(Some(b','))) {
            scanner.take();
            continue;
        }
        let is_it = scanner.value().is_ok_and(|key| key.bytes == Some(quoted.as_bytes()));
        if !matches!(scanner.peek(), Ok(Some(b':'))) {
            break;
        }
        scanner.take();
        if !is_it {
            if scanner.value().is_err() {
                break;
            }
            continue;
        }
        if !matches!(scanner.peek(), Ok(Some(b'['))) {
            break;
        }
        scanner.take();
        // A name that stands twice: the last one counts, as for the parser.
        lines.clear();
        while let Ok(Some(next)) = scanner.peek() {
            match next {
                b',' => scanner.take(),
                b']' => {
                    scanner.take();
                    break;
                }
                _ => match scanner.value() {
                    Ok(piece) => lines.push(line + piece.line - 1),
                    Err(_) => break,
                },
            }
        }
    }
    lines
}

/// What stands beside a list of tickets and belongs into them: comments by ticket, people by id.
struct Beside {
    comments: HashMap<String, Vec<Value>>,
    people: HashMap<String, Map<String, Value>>,
}

/// What is to be known of a person.
const OF_A_PERSON: [&str; 3] = ["id", "role", "email"];

impl Beside {
    fn of(fields: &mut Map<String, Value>) -> Self {
        let mut comments: HashMap<String, Vec<Value>> = HashMap::new();
        if let Some(Value::Array(all)) = fields.remove("comments") {
            for comment in all {
                if let Some(ticket) = comment.get("ticket_id").filter(|ticket| !ticket.is_null()) {
                    comments.entry(ticket.to_string()).or_default().push(comment);
                }
            }
        }
        let mut people = HashMap::new();
        if let Some(Value::Array(users)) = fields.remove("users") {
            for mut user in users.into_iter().filter_map(|user| match user {
                Value::Object(user) => Some(user),
                _ => None,
            }) {
                user.retain(|name, _| OF_A_PERSON.contains(&name.as_str()));
                if let Some(id) = user.get("id").map(Value::to_string) {
                    people.insert(id, user);
                }
            }
        }
        Self { comments, people }
    }

    fn add_to(&self, ticket: &mut Map<String, Value>) {
        let id = ticket.get("id").map(Value::to_string);
        if let Some(comments) =
            id.and_then(|id| self.comments.get(&id)).filter(|_| !ticket.contains_key("comments"))
        {
            ticket.insert("comments".to_owned(), Value::Array(comments.clone()));
        }
        let comments = ticket.get_mut("comments").and_then(Value::as_array_mut);
        for comment in comments.into_iter().flatten().filter_map(Value::as_object_mut) {
            let author = comment.get("author_id").and_then(|id| self.people.get(&id.to_string()));
            if let Some(author) = author.filter(|_| !comment.contains_key("author")) {
                comment.insert("author".to_owned(), Value::Object(author.clone()));
            }
        }
    }
}
