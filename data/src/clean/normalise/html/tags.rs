//! Which tags stand in a text, and which of them are meant as such.

use std::collections::HashMap;
use std::ops::Range;

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{HtmlString, Token, Tokenizer};

use super::super::lines::Code;
use super::elements::{Element, Kind, Proof, element, stands_alone};

/// So many blocks make a page of a text without `<html>`.
const PAGE_BLOCKS: usize = 3;

/// A tag or comment, as it stands in the text.
#[derive(Debug)]
pub(super) struct Tag {
    pub(super) range: Range<usize>,
    pub(super) name: Vec<u8>,
    /// None for comments.
    pub(super) element: Option<Element>,
    pub(super) closing: bool,
    attributes: bool,
    source: bool,
    /// Whether its attributes are what people write.
    plausible: bool,
}

/// What a text is, seen as HTML.
#[derive(Debug)]
pub(super) struct Markup {
    /// The tags that are meant as such, in order.
    pub(super) tags: Vec<Tag>,
    /// Whether line breaks of the source mean nothing, as in a page.
    pub(super) page: bool,
    /// What of the text is code.
    pub(super) code: Code,
}

/// Finds the tags of `text` outside code; names that HTML does not know, operators and placeholders are none.
///
/// In a page, and in a text that begins with a tag, indentation makes no code: it is that of the source.
pub(super) fn markup(text: &str) -> Markup {
    let mut code = Code::fenced(text);
    let mut tags = scan(text, &code);
    let is_page = |tag: &Tag| match tag.element {
        Some(element) => element.kind == Kind::Page && !mentioned(text, tag),
        None => is_doctype(text, tag),
    };
    let whole_page = tags.iter().any(is_page);
    let starts = tags.first().is_some_and(|tag| text[..tag.range.start].trim().is_empty() && tag.plausible);
    if !whole_page && !starts {
        code = Code::of(text);
        tags.retain(|tag| !code.contains(tag.range.start));
    }
    let proved = prove(text, &tags, whole_page);
    let blocks = tags.iter().zip(&proved).filter(|(tag, proved)| **proved && is_container(tag)).count();
    let page = whole_page || blocks >= PAGE_BLOCKS;
    let proved = if page && !whole_page { prove(text, &tags, true) } else { proved };
    let mut kept = proved.iter();
    tags.retain(|_| kept.next().copied().unwrap_or(false));
    if !page && tags.iter().all(|tag| tag.element.is_none()) {
        tags.clear();
    }
    Markup { tags, page, code }
}

fn is_doctype(text: &str, tag: &Tag) -> bool {
    text[tag.range.clone()].get(..9).is_some_and(|start| start.eq_ignore_ascii_case("<!doctype"))
}

fn is_container(tag: &Tag) -> bool {
    let kinds = [Kind::Paragraph, Kind::Block, Kind::Item, Kind::Cell];
    tag.element.is_some_and(|element| kinds.contains(&element.kind)) && !tag.closing
}

/// All tags of known elements, and comments.
fn scan(text: &str, code: &Code) -> Vec<Tag> {
    let mut tags: Vec<Tag> = Vec::new();
    let mut never_closed: Vec<Vec<u8>> = Vec::new();
    let mut from = 0;
    while let Some(next) = scan_from(text, from, code, &mut tags, &mut never_closed) {
        from = next;
    }
    tags
}

/// Scans on from an index; returns where to go on behind a script or style, in which other rules hold.
fn scan_from(
    text: &str,
    from: usize,
    code: &Code,
    tags: &mut Vec<Tag>,
    never_closed: &mut Vec<Vec<u8>>,
) -> Option<usize> {
    let emitter = DefaultEmitter::<usize>::new_with_span();
    for token in Tokenizer::new_with_emitter(&text[from..], emitter) {
        let tag = match token.ok()? {
            Token::StartTag(start) => {
                let plausible = start.attributes.iter().all(|(name, value)| is_attribute(name, &value.value));
                Some(Tag {
                    range: start.span.start..start.span.end,
                    element: element(&start.name),
                    closing: false,
                    attributes: !start.attributes.is_empty(),
                    source: start.attributes.contains_key(&b"href"[..])
                        || start.attributes.contains_key(&b"src"[..]),
                    plausible,
                    name: start.name.0,
                })
            }
            Token::EndTag(end) => Some(Tag {
                range: end.span.start..end.span.end,
                element: element(&end.name),
                closing: true,
                attributes: false,
                source: false,
                plausible: true,
                name: end.name.0,
            }),
            Token::Comment(comment) => comment_tag(comment.span.start..comment.span.end),
            Token::Doctype(doctype) => comment_tag(doctype.span.start..doctype.span.end),
            Token::String(_) | Token::Error(_) => None,
        };
        let Some(mut tag) = tag else { continue };
        tag.range = from + tag.range.start..from + tag.range.end;
        let Some(raw) = text.get(tag.range.clone()) else { continue };
        let whole = raw.starts_with('<') && raw.ends_with('>');
        if !whole || code.contains(tag.range.start) || (tag.element.is_none() && !tag.name.is_empty()) {
            continue;
        }
        let unread = !tag.closing && matches!(&*tag.name, b"script" | b"style");
        let unread = unread && !never_closed.contains(&tag.name);
        let end = unread.then(|| closing_tag(text, &tag)).flatten();
        if unread && end.is_none() {
            never_closed.push(tag.name.clone());
        }
        tags.push(tag);
        if let Some(end) = end {
            return Some(end);
        }
    }
    None
}

fn comment_tag(range: Range<usize>) -> Option<Tag> {
    Some(Tag {
        range,
        name: Vec::new(),
        element: None,
        closing: false,
        attributes: false,
        source: false,
        plausible: true,
    })
}

/// Where the end tag of a script or style begins.
fn closing_tag(text: &str, tag: &Tag) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = tag.range.end;
    loop {
        at += text[at..].find("</")?;
        let name = bytes.get(at + 2..at + 2 + tag.name.len())?;
        if name.eq_ignore_ascii_case(&tag.name) {
            return Some(at);
        }
        at += 2;
    }
}

/// Whether this is an attribute as people write them, and no comparison such as `a <b && c> d`.
fn is_attribute(name: &HtmlString, value: &HtmlString) -> bool {
    let letters = name
        .iter()
        .all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b':' | b'_' | b'.' | b'@'));
    let named =
        name.first().is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'@' | b':')) && letters;
    (named && !value.is_empty() && !value.contains(&b'<'))
        || stands_alone(name)
        || (named && name.len() > 2 && is_known_empty(name))
}

/// Attributes that are often written with an empty value.
fn is_known_empty(name: &[u8]) -> bool {
    matches!(
        name,
        b"alt"
            | b"title"
            | b"class"
            | b"style"
            | b"href"
            | b"src"
            | b"target"
            | b"name"
            | b"value"
            | b"color"
            | b"face"
            | b"size"
    )
}

/// Which of the tags are proved to be meant as such.
fn prove<'t>(text: &str, tags: &'t [Tag], page: bool) -> Vec<bool> {
    let mut closings: HashMap<&[u8], usize> = HashMap::new();
    for tag in tags.iter().filter(|tag| tag.closing && !mentioned(text, tag)) {
        *closings.entry(&tag.name).or_default() += 1;
    }
    let mut open: HashMap<&[u8], usize> = HashMap::new();
    let in_page = |tag: &Tag| page && (tag.name.len() > 1 || !is_generic(text, tag));
    let proved = |tag: &'t Tag| {
        let Some(element) = tag.element else {
            let raw = &text[tag.range.clone()];
            return raw.starts_with("<!--") && raw.ends_with("-->") || page;
        };
        if mentioned(text, tag) || !(tag.plausible || page) {
            return false;
        }
        if tag.closing {
            let left = closings.entry(&tag.name).or_default();
            *left = left.saturating_sub(1);
            let open = open.entry(&tag.name).or_default();
            let matched = *open > 0;
            *open = open.saturating_sub(1);
            return matched || page || (element.proof == Proof::Name && element.kind != Kind::Page);
        }
        let paired = closings.get(&*tag.name).is_some_and(|&left| left > 0);
        let proved = match element.proof {
            Proof::Name => paired || tag.attributes || in_page(tag) || !is_generic(text, tag),
            Proof::Pair => paired || in_page(tag) || tag.source || (tag.attributes && tag.name.len() > 1),
            Proof::Attributes => tag.attributes,
            Proof::Page => page,
        };
        if proved {
            *open.entry(&tag.name).or_default() += 1;
        }
        proved
    };
    tags.iter().map(proved).collect()
}

/// `Vec<T>`, `map<a>`, `<TITLE>`: a name without attributes right behind a word, or in capitals.
fn is_generic(text: &str, tag: &Tag) -> bool {
    let before = text[..tag.range.start].chars().next_back();
    let behind_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
    let raw = &text[tag.range.clone()];
    let paragraph = raw == "<p>" && text[tag.range.end..].starts_with(char::is_alphanumeric);
    let void = paragraph || matches!(&*tag.name, b"br" | b"hr" | b"wbr" | b"img" | b"li" | b"tr" | b"td");
    let capitals = !raw.bytes().any(|byte| byte.is_ascii_lowercase());
    !tag.attributes && !void && (behind_word || (capitals && tag.name.len() != 1))
}

/// "the <br> tag", "`<b>`", "'</p>'": a tag that is spoken of.
fn mentioned(text: &str, tag: &Tag) -> bool {
    let (before, after) = (&text[..tag.range.start], &text[tag.range.end..]);
    let quote = before.chars().next_back().filter(|c| matches!(c, '"' | '\'' | '`' | '“' | '‘'));
    if quote.is_some() && after.starts_with(['"', '\'', '`', '”', '’']) {
        return true;
    }
    let Some(next) = after.strip_prefix(' ') else { return false };
    let word = next.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    before.ends_with(' ')
        && matches!(word, "tag" | "tags" | "element" | "elements" | "placeholder" | "attribute")
}
