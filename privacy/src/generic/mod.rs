//! Entities of every country: matched exactly, each at the places where it can start.

mod address;
mod card;
mod credential;
pub(crate) mod crypto;
pub(crate) mod cues;
pub(crate) mod date;
mod domain;
pub(crate) mod email;
mod groups;
pub(crate) mod iban;
pub(crate) mod ip;
mod keywords;
mod months;
pub(crate) mod phone;
mod regions;
pub(crate) mod url;

use crate::entity::Entity;
use crate::generic::keywords::{Keyword, Sought};
use crate::generic::phone::Phones;
use crate::scanner::ScanError;
use crate::scanner::context::Phrases;
use crate::scanner::sink::Sink;
use crate::scanner::text::{CLASSES, class};

/// What is looked for.
#[derive(Debug)]
pub(crate) struct Generic {
    email: bool,
    url: bool,
    ip: bool,
    mac: bool,
    iban: bool,
    card: bool,
    crypto: bool,
    date: bool,
    street: bool,
    birth: Phrases,
    phones: Option<Phones>,
    keywords: Vec<Sought>,
}

impl Generic {
    /// For the entities that `wants` says; `phone_cues` are the words that raise a telephone's number.
    pub(crate) fn new(
        wants: impl Fn(Entity) -> bool,
        phone_regions: &[String],
        phone_cues: Phrases,
    ) -> Result<Self, ScanError> {
        let phones = match wants(Entity::PhoneNumber) {
            true => Some(Phones::new(phone_regions, phone_cues)?),
            false => None,
        };
        let keywords = keywords::sought(|keyword| match keyword {
            Keyword::User => wants(Entity::Username),
            Keyword::Password => wants(Entity::Password),
            Keyword::Postal => wants(Entity::PostalCode),
            _ => wants(Entity::StreetAddress),
        });
        Ok(Self {
            email: wants(Entity::EmailAddress),
            url: wants(Entity::Url),
            ip: wants(Entity::IpAddress),
            mac: wants(Entity::MacAddress),
            iban: wants(Entity::IbanCode),
            card: wants(Entity::CreditCard),
            crypto: wants(Entity::Crypto),
            date: wants(Entity::DateTime) || wants(Entity::DateOfBirth),
            street: wants(Entity::StreetAddress),
            birth: Phrases::new(cues::BIRTH),
            phones,
            keywords,
        })
    }

    /// At a word that starts with a digit.
    pub(crate) fn at_number(&self, sink: &mut Sink<'_>, start: usize, end: usize) {
        let bytes = sink.text.as_bytes();
        let follows = bytes.get(end).copied();
        let joins_digit = || bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
        if self.ip && follows == Some(b'.') && end - start <= 3 && joins_digit() {
            ip::find_v4(sink, start);
        }
        if self.date && (end - start <= 4 || bytes.get(start + 8).is_some_and(|byte| *byte == b'T')) {
            date::find(sink, start, &self.birth);
        }
        // Most numbers stand alone and are short: they are parts of no longer number.
        let is_long = end - start >= 6 || bytes[end..].iter().take(3).any(u8::is_ascii_digit);
        let is_inner = start > 0 && bytes[start - 1] == b'-';
        if self.card && !is_inner && is_long && end - start >= 3 {
            card::find(sink, start);
        }
        if is_long {
            self.at_phone(sink, start);
        }
        if self.street && end - start <= 6 && follows == Some(b' ') {
            address::behind_number(sink, end);
        }
    }

    /// At a digit, a `+` or a bracket that a telephone's number can start with.
    pub(crate) fn at_phone(&self, sink: &mut Sink<'_>, start: usize) {
        if let Some(phones) = &self.phones
            && !sink.covers(Entity::PhoneNumber, start)
        {
            phones.find(sink, start);
        }
    }

    /// At a word with the classes `seen`, whatever it starts with.
    pub(crate) fn at_word(&self, sink: &mut Sink<'_>, start: usize, end: usize, seen: u8) {
        let bytes = sink.text.as_bytes();
        let is_hex = seen & (class::UNDERSCORE | class::WIDE) == 0
            && (seen & class::LETTER == 0
                || seen & class::HEX_LETTER != 0
                    && end - start <= 4
                    && bytes[start..end].iter().all(u8::is_ascii_hexdigit));
        if let Some(separator) = bytes.get(end).copied().filter(|_| is_hex) {
            if self.ip && separator == b':' && end - start <= 4 {
                ip::find_v6(sink, start);
            }
            let size = if separator == b'.' { 4 } else { 2 };
            if self.mac && end - start == size {
                ip::find_mac(sink, start, separator);
            }
        }
        if seen & class::DIGIT == 0 {
            return;
        }
        if self.iban
            && end - start >= 4
            && bytes[start..start + 2].iter().all(u8::is_ascii_alphabetic)
            && bytes[start + 2..start + 4].iter().all(u8::is_ascii_digit)
        {
            iban::find(sink, start);
        }
        if self.crypto && end - start >= crypto::LEAST_BYTES {
            crypto::find(sink, start, end);
        }
    }

    /// At a word of letters `start..end` with a digit near.
    pub(crate) fn at_letters(&self, sink: &mut Sink<'_>, start: usize, end: usize) {
        // ` 5`, `. 5`, `-2021`, ` de 2021`.
        let behind = sink.text.as_bytes()[end..].iter().take(5);
        if self.date
            && (3..=months::LONGEST_BYTES).contains(&(end - start))
            && behind.copied().any(|byte| byte.is_ascii_digit())
        {
            date::find(sink, start, &self.birth);
        }
    }

    /// At a word `start..end` with a dot behind it; returns where the dotted name ends.
    pub(crate) fn at_dotted(&self, sink: &mut Sink<'_>, start: usize, end: usize) -> usize {
        let bytes = sink.text.as_bytes();
        let goes_on = bytes.get(end + 1).is_some_and(|byte| {
            CLASSES[usize::from(*byte)] & (class::LETTER | class::DIGIT | class::WIDE) != 0
        });
        let is_inner =
            start > 0 && matches!(bytes[start - 1], b'.' | b'@' | b'-' | b'/' | b'_' | b'%' | b'+');
        match self.url && goes_on && !is_inner {
            true => url::find_bare(sink, start),
            false => end,
        }
    }

    /// At a mark: `@`, `:`.
    pub(crate) fn at_mark(&self, sink: &mut Sink<'_>, at: usize) {
        let bytes = sink.text.as_bytes();
        match bytes[at] {
            b'@' if self.email => email::find(sink, at),
            b':' if self.url && bytes[at..].starts_with(b"://") => url::find_with_scheme(sink, at),
            b':' if self.ip && bytes.get(at + 1) == Some(&b':') => {
                let is_inner =
                    at > 0 && CLASSES[usize::from(bytes[at - 1])] & (class::WORD | class::WIDE) != 0;
                if !is_inner {
                    ip::find_v6(sink, at);
                }
            }
            _ => {}
        }
    }

    /// Words that announce, numbered in this order; [`Self::at_keyword`] is to be told where they stand.
    pub(crate) fn keywords(&self) -> impl Iterator<Item = &'static str> {
        self.keywords.iter().map(|sought| sought.word)
    }

    /// What keyword `index` at `start..end` announces.
    pub(crate) fn at_keyword(&self, sink: &mut Sink<'_>, index: usize, start: usize, end: usize) {
        if let Some(found) = self.keywords[index].at(sink.text, start, end) {
            address::find(sink, found);
            credential::find(sink, found);
        }
    }

    /// Whether names of hosts without a scheme are looked for.
    pub(crate) fn wants_names(&self) -> bool {
        self.url
    }
}
