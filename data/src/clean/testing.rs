//! Texts of any kind, for what must hold for all of them.

use rand_chacha::ChaCha8Rng;

use crate::stream::{stream, uniform_below};

/// What texts are put together from: what steps and rules look for, and what is like it.
const PIECES: [&str; 118] = [
    "a", "b", "the ", "card ", " ", "  ", "   ", "\n", "\n\n", "\n\n\n", "\t", "\r\n", "\r", ". ", ", ", "!", "?", ":", ";", "'", "’", "\"",
    "“", "—", "…", "ﬁ", "Ａ", "！", "日本語", "한국", "é", "e\u{301}", "Å", "\u{301}", "\0", "\u{8}", "\u{FEFF}", "\u{200B}", "\u{200D}",
    "\u{202E}", "\u{A0}", "\u{85}", "\u{FFFD}", "Ã©", "â€™", "👩", "🏴", "\u{E0067}", "<", ">", "<b>", "</b>", "<p>", "</p>", "<br>",
    "<div>", "</div>", "<a href=\"x\">", "</a>", "<script>", "</script>", "<style>", "</style>", "<html>", "<!--", "-->", "<T>",
    "Vec<", "&", "&amp;", "&lt;", "&gt;", "&#8217;", "&nbsp;", "&am", "p;", "lt;", "`", "``", "```", "```\n", "~~~\n", "    ", "> ", ">> ",
    "On 1 Jan Ann wrote:", "wrote:\n", "-----Original Message-----\n", "From: a\n", "To: b\n", "Subject: c\n", "-- \n", "--\n",
    "Sent from my iPhone", "Regards,\n", "Thanks\n", "Ann Example\n", "____________________\n", "mailing list\n", "um, ", "uh", ", you know,",
    "can't", "I am ", "it's ", "do not", "app", "mobile app", "e-mail", "acount", "payemnt ", "http://x.example/app", "a@b.example",
    "x_y", "12", "as an AI language model", "\n| a | b |\n", "aaaaaaaa",
];

/// A text of up to `most` pieces, among them single characters of all of Unicode.
pub(crate) fn any_text(random: &mut ChaCha8Rng, most: u64) -> String {
    let pieces = uniform_below(random, most + 1);
    let mut text = String::new();
    for _ in 0..pieces {
        match uniform_below(random, 12) {
            0 => text.extend(char::from_u32(uniform_below(random, 0x11_0000) as u32)),
            1 => text.extend(char::from_u32(uniform_below(random, 0x3000) as u32)),
            _ => text.push_str(PIECES[uniform_below(random, PIECES.len() as u64) as usize]),
        }
    }
    text
}

/// Texts to hold a property against.
pub(crate) fn texts(purpose: &str, count: usize) -> impl Iterator<Item = String> {
    let mut random = stream(7, "test", purpose, 0);
    (0..count).map(move |round| any_text(&mut random, [4, 12, 40, 160][round % 4]))
}
