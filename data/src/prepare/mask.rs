//! Examples as a report may show them: without personal data, whatever becomes of the rows.

use std::collections::BTreeMap;

use rtune_privacy::{Entity, Mode, NameFinderError, Replacement, ReplacementError, Scanner, Scope, Scrubber};

/// Characters of an example that are shown.
const MOST_CHARACTERS: usize = 200;

/// Characters of an example that are looked at: what is personal is longer than its name as a rule.
const MOST_LOOKED_AT: usize = 4_000;

/// What stands in the place of a digit: even half of a number, cut off at the edge of an example, says nothing then.
const DIGIT: char = '#';

/// What stands for something left out.
const ELLIPSIS: char = '…';

/// A word of a name or an address that has fewer letters says nothing alone.
const LEAST_LETTERS: usize = 2;

/// Hides personal data in parts of a record's texts.
pub(super) struct Mask {
    /// What is found by default, names by rules among it, whatever the options say.
    by_default: Scrubber,
}

/// What is personal in one record: what it says, and what it is.
pub(super) struct Hidden(BTreeMap<String, Entity>);

impl Mask {
    pub(super) fn new(scanner: Scanner) -> Result<Self, ReplacementError> {
        let unused = Replacement { mode: Mode::Tag, scope: Scope::Record, salt: None };
        Ok(Self { by_default: Scrubber::new(&unused, scanner, None)? })
    }

    /// What is personal in the texts of a record, to this and to what scrubs the rows; an example shows a part of a text, in
    /// which less can be found than in all of them.
    pub(super) fn hidden(
        &self,
        texts: &[String],
        scrubber: Option<&Scrubber>,
    ) -> Result<Hidden, NameFinderError> {
        let mut hidden = BTreeMap::new();
        for scrubber in scrubber.into_iter().chain([&self.by_default]) {
            for (text, findings) in texts.iter().zip(scrubber.find(texts)?) {
                for finding in findings {
                    let value = &text[finding.start..finding.end];
                    hidden.insert(value.to_owned(), finding.entity);
                    for word in value.split(|c: char| !c.is_alphanumeric()) {
                        if word.chars().filter(|c| c.is_alphabetic()).count() >= LEAST_LETTERS {
                            hidden.insert(word.to_owned(), finding.entity);
                        }
                    }
                }
            }
        }
        Ok(Hidden(hidden))
    }
}

impl Hidden {
    /// `text`, cut to a length that is read, with everything that is personal replaced by its name, digits hidden, and words
    /// that were cut in two left out.
    pub(super) fn masked(&self, text: &str) -> String {
        let mut values: Vec<_> = self.0.iter().collect();
        values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        let mut out = String::new();
        let cut = text.char_indices().nth(MOST_LOOKED_AT).map_or(text.len(), |(at, _)| at);
        let mut rest = &text[..cut];
        let mut before = None;
        while let Some(next) = rest.chars().next() {
            let starts = before.is_none_or(|before: char| !before.is_alphanumeric());
            let here = values.iter().find(|(value, _)| {
                let behind = || rest[value.len()..].chars().next();
                starts && rest.starts_with(value.as_str()) && behind().is_none_or(|c| !c.is_alphanumeric())
            });
            let taken = match here {
                Some((value, entity)) => {
                    out.push_str(&format!("<{entity}>"));
                    value.len()
                }
                None => {
                    out.push(if next.is_ascii_digit() { DIGIT } else { next });
                    next.len_utf8()
                }
            };
            before = rest[..taken].chars().next_back();
            rest = &rest[taken..];
        }
        out.extend((cut < text.len()).then_some(ELLIPSIS));
        without_halves(&out)
    }
}

/// Without the words at the edges of a cut, which may be half of a name.
fn without_halves(text: &str) -> String {
    let mut text = text.to_owned();
    if text.chars().count() > MOST_CHARACTERS {
        text = text.chars().take(MOST_CHARACTERS).collect::<String>() + &ELLIPSIS.to_string();
    }
    if let Some(rest) = text.strip_prefix(ELLIPSIS) {
        text = format!("{ELLIPSIS}{}", &rest[rest.find(char::is_whitespace).unwrap_or(rest.len())..]);
    }
    if let Some(rest) = text.strip_suffix(ELLIPSIS) {
        text = format!("{}{ELLIPSIS}", &rest[..rest.rfind(char::is_whitespace).map_or(0, |space| space + 1)]);
    }
    text
}

#[cfg(test)]
mod tests {
    use rtune_privacy::ScanOptions;

    use super::*;

    #[test]
    fn a_part_hides_what_the_record_tells() {
        let scanner = Scanner::new(&ScanOptions::default()).expect("a scanner");
        let texts = [
            "I'm Miriam Okafor, mail m.okafor@firma.de, born on 3.4.1980; password: hunter2xyz!9".to_owned(),
            "Dear Ms Okafor, your order 48213 is late.".to_owned(),
        ];
        let hidden = Mask::new(scanner).expect("a mask").hidden(&texts, None).expect("no model");
        assert_eq!(hidden.masked("Regards,\n-- \nMiriam …"), "Regards,\n-- \n<PERSON> …");
        assert_eq!(hidden.masked("…iam Okafor, order 48213"), "… <PERSON>, order #####");
        assert_eq!(hidden.masked("mail m.okafor@firma.de"), "mail <EMAIL_ADDRESS>");
        assert_eq!(hidden.masked("password: hunter2xyz!9"), "password: <PASSWORD>");
        assert_eq!(hidden.masked("…for"), "…");
        assert_eq!(hidden.masked("Okafors"), "Okafors");
        let long = hidden.masked(&"Ünder the bridge ".repeat(40));
        assert!(long.chars().count() <= MOST_CHARACTERS + 1 && long.ends_with(" …"), "{long}");
    }
}
