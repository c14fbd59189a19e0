//! Texts of anyone made harmless: for HTML, and for Markdown as a forge shows it.

/// Characters of a text that a page shows; the whole stands in the files that the page is made of.
const MOST_CHARACTERS: usize = 4000;

/// Blocks of a sparkline, from low to high.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Characters of a sparkline.
const SPARKS: usize = 32;

/// A text in HTML, also inside quotation marks.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// A text as a page shows it: cut where it is very long, with control characters made visible.
pub(super) fn visible(text: &str) -> String {
    let mut out: String = text.chars().take(MOST_CHARACTERS).map(pictured).collect();
    let left = text.chars().count().saturating_sub(MOST_CHARACTERS);
    if left > 0 {
        out.push_str(&format!("… ({left} more characters)"));
    }
    out
}

/// Control characters as their pictures; those that turn the direction of what follows as a replacement.
fn pictured(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        _ => c,
    }
}

/// A text inside a line of Markdown, such as a cell of a table: no character of it means anything, nobody is notified by it, and
/// nothing in it becomes a link.
pub(super) fn plain_markdown(text: &str) -> String {
    let mut out = String::with_capacity(2 * text.len());
    for c in visible(text).chars() {
        match c {
            '\n' => out.push_str("<br>"),
            '\t' => out.push(' '),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A comment parts what a forge would take for a name or a number of an issue.
            '@' | '#' => {
                out.push('\\');
                out.push(c);
                out.push_str("<!-- -->");
            }
            _ if c.is_ascii_punctuation() => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// A text that stands in a fence of Markdown: one that is longer than any in it.
pub(super) fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    let shown: String = text.chars().map(pictured).collect();
    format!("{fence}\n{}\n{fence}", shown.trim_end())
}

/// A number with four digits that matter, as short as it can be.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value.is_finite() { "0".to_owned() } else { "none".to_owned() };
    }
    let size = value.abs().log10().floor();
    if !(-4.0..7.0).contains(&size) {
        return format!("{value:.3e}");
    }
    let text = format!("{value:.*}", (3.0 - size).clamp(0.0, 7.0) as usize);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A line of blocks for numbers, their means where they are many; empty where there are fewer than two.
pub(super) fn sparkline(values: &[f64]) -> String {
    let values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    if values.len() < 2 {
        return String::new();
    }
    let mean = |group: &[f64]| group.iter().sum::<f64>() / group.len() as f64;
    let means: Vec<f64> = values.chunks(values.len().div_ceil(SPARKS)).map(mean).collect();
    let low = means.iter().copied().fold(f64::INFINITY, f64::min);
    let high = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let block = |value: &f64| {
        let part = if high > low { (value - low) / (high - low) } else { 0.5 };
        BLOCKS[((part * 8.0) as usize).min(7)]
    };
    means.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_means_anything() {
        assert_eq!(escaped("<a href='x' b=\"&\">"), "&lt;a href=&#39;x&#39; b=&quot;&amp;&quot;&gt;");
        let hostile = "| [x](https://a.b) <img src=x> @owner #12 `c`\n# head\n\u{202e}\u{0}";
        let found = plain_markdown(hostile);
        assert_eq!(
            found,
            "\\| \\[x\\]\\(https\\:\\/\\/a\\.b\\) &lt;img src\\=x&gt; \\@<!-- -->owner \\#<!-- -->12 \\`c\\`<br>\\#<!-- --> head<br>\u{fffd}\u{2400}"
        );
        assert_eq!(fenced("a ```` b"), "`````\na ```` b\n`````");
        assert_eq!(fenced("a"), "```\na\n```");
    }

    #[test]
    fn long_texts_are_cut() {
        let text = visible(&"ä".repeat(5000));
        assert!(text.ends_with("… (1000 more characters)") && text.starts_with('ä'));
    }

    #[test]
    fn numbers_have_four_digits() {
        let found = [0.0, 1.0, 3.03894, 0.000_123_4, 123_456.0, 12.5, 1e-7, -0.25].map(number);
        assert_eq!(found, ["0", "1", "3.039", "0.0001234", "123456", "12.5", "1.000e-7", "-0.25"]);
    }

    #[test]
    fn sparks_go_from_low_to_high() {
        assert_eq!(sparkline(&[1.0, 2.0, 3.0]), "▁▅█");
        assert_eq!(sparkline(&[2.0, 2.0]), "▅▅");
        assert_eq!(sparkline(&[1.0, f64::NAN]), "");
        assert_eq!(sparkline(&[0.5; 1000]).chars().count(), 32);
    }
}
