//! HTML to the text that a reader sees.

use html5gum::{Token, Tokenizer};

/// Elements that begin and end a line.
const BLOCKS: [&[u8]; 16] = [
    b"address",
    b"article",
    b"blockquote",
    b"div",
    b"footer",
    b"h1",
    b"h2",
    b"h3",
    b"h4",
    b"header",
    b"ol",
    b"pre",
    b"section",
    b"table",
    b"tr",
    b"ul",
];

/// Elements whose text nobody sees.
const HIDDEN: [&[u8]; 4] = [b"head", b"script", b"style", b"title"];

/// The text of HTML: paragraphs apart by an empty line, blocks and breaks on lines of their own, entities resolved.
pub(super) fn text_of(html: &str) -> String {
    let mut text = Text::default();
    for Ok(token) in Tokenizer::new(html) {
        match token {
            Token::StartTag(tag) => {
                let hides = HIDDEN.contains(&tag.name.as_slice()) && !tag.self_closing;
                text.hidden += usize::from(hides);
                text.tag(&tag.name);
            }
            Token::EndTag(tag) => {
                text.hidden = text.hidden.saturating_sub(usize::from(HIDDEN.contains(&tag.name.as_slice())));
                text.tag(&tag.name);
            }
            Token::String(said) => text.add(&String::from_utf8_lossy(&said)),
            _ => {}
        }
    }
    text.written.trim().to_owned()
}

#[derive(Default)]
struct Text {
    written: String,
    hidden: usize,
    /// Line breaks to write before the next word.
    breaks: usize,
    /// Whether white space stood before the next word.
    space: bool,
}

impl Text {
    fn tag(&mut self, name: &[u8]) {
        match name {
            b"p" => self.breaks = self.breaks.max(2),
            b"br" => self.breaks += 1,
            b"li" => self.breaks = self.breaks.max(1),
            name if BLOCKS.contains(&name) => self.breaks = self.breaks.max(1),
            b"td" | b"th" => self.space = true,
            _ => {}
        }
    }

    fn add(&mut self, said: &str) {
        if self.hidden > 0 {
            return;
        }
        let is_space = |c: char| c.is_whitespace() && c != '\u{a0}';
        for word in said.split_inclusive(is_space) {
            let core = word.trim_end_matches(is_space);
            if !core.is_empty() {
                if self.breaks > 0 && !self.written.is_empty() {
                    // Two at most: more would be the layout's, not the text's.
                    self.written.push_str(&"\n\n"[..self.breaks.min(2)]);
                } else if self.space && !self.written.is_empty() {
                    self.written.push(' ');
                }
                (self.breaks, self.space) = (0, false);
                self.written.push_str(core);
            }
            self.space |= core.len() < word.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::text_of;

    #[test]
    fn what_a_reader_sees() {
        let cases = [
            ("<p>Hello &amp; <b>welcome</b>!</p>\n<p>Bye</p>", "Hello & welcome!\n\nBye"),
            ("one<br>two<br/><br>three<div>four</div>", "one\ntwo\n\nthree\nfour"),
            ("<ul><li>a</li><li>b</li></ul>", "a\nb"),
            ("<style>p {}</style><script>x()</script> plain  text ", "plain text"),
            ("a < b &lt;c&gt;", "a < b <c>"),
            ("<td>1</td><td>2</td>", "1 2"),
            ("", ""),
        ];
        for (html, expected) in cases {
            assert_eq!(text_of(html), expected, "{html}");
        }
    }
}
