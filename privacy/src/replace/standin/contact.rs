//! E-mail addresses, telephone numbers, addresses of networks and of the web.

use super::super::draw::{Draw, Key};
use super::person::{Persons, Role, fold, in_case};
use super::words::SEGMENTS;

/// RFC 2606 keeps these domains for examples.
const DOMAINS: &[&str] = &[
    "example.com",
    "example.org",
    "example.net",
    "mail.example.com",
    "mail.example.org",
    "mail.example.net",
    "post.example.com",
    "post.example.org",
    "office.example.com",
    "office.example.net",
    "team.example.org",
    "home.example.net",
];

/// Local parts that are an office's, not a person's.
const OFFICES: &[&str] = &[
    "info",
    "support",
    "sales",
    "admin",
    "office",
    "contact",
    "kontakt",
    "hello",
    "help",
    "billing",
    "service",
    "noreply",
    "no",
    "reply",
    "team",
    "hr",
    "jobs",
    "press",
    "mail",
    "post",
    "webmaster",
    "postmaster",
    "marketing",
    "accounts",
    "orders",
    "security",
    "abuse",
];

/// The words of the local part by the names of the record, in its signs and digits; a domain for examples.
pub(super) fn email(persons: &mut Persons, key: &Key, text: &str, attempt: u32) -> Option<String> {
    let (local, domain) = text.rsplit_once('@')?;
    let mut digits = key.draw("e-mail digits", &fold(local), attempt);
    let mut renamed = String::with_capacity(text.len());
    let mut position = Role::Given;
    for piece in runs(local) {
        match piece.chars().next() {
            Some(c) if c.is_alphabetic() => {
                renamed.push_str(&local_word(persons, key, position, piece, attempt));
                position = Role::Family;
            }
            Some(c) if c.is_ascii_digit() => piece.chars().for_each(|_| renamed.push(digits.digit())),
            _ => renamed.push_str(piece),
        }
    }
    let domain = key.draw("domain", &domain.to_lowercase(), attempt).pick(DOMAINS);
    Some(format!("{renamed}@{domain}"))
}

/// Runs of letters, of digits and of others; a capital behind a small letter begins another.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    let kind = |c: char| (c.is_alphabetic(), c.is_ascii_digit());
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let mut before = first;
        let ends = |(_, c): &(usize, char)| {
            let turns = before.is_lowercase() && c.is_uppercase();
            before = *c;
            turns || kind(*c) != kind(first)
        };
        let end = rest.char_indices().find(ends).map_or(rest.len(), |(at, _)| at);
        let (run, behind) = rest.split_at(end);
        rest = behind;
        Some(run)
    })
}

/// A word of a local part: an office stays; `aschmidt` and `annaschmidt` fall into the names of the record.
fn local_word(persons: &mut Persons, key: &Key, position: Role, word: &str, attempt: u32) -> String {
    let folded = fold(word);
    if OFFICES.contains(&folded.as_str()) {
        return word.to_owned();
    }
    if !persons.knows(&folded) {
        for known in persons.known().into_iter().filter(|known| known.len() >= 3) {
            let halves = match (folded.strip_suffix(&known), folded.strip_prefix(&known)) {
                (Some(first), _) if is_part(persons, first) => (first.to_owned(), known.clone()),
                (_, Some(second)) if is_part(persons, second) => (known.clone(), second.to_owned()),
                _ => continue,
            };
            let first = persons.word(key, Role::Given, &halves.0);
            let second = persons.word(key, Role::Family, &halves.1);
            return in_case(word, &ascii(&format!("{first}{}", second.to_lowercase())));
        }
    }
    // Another attempt is another word, unless it is a name of the record.
    let asked = if attempt > 0 && !persons.knows(&folded) {
        format!("{word}{}", "x".repeat(attempt as usize))
    } else {
        word.to_owned()
    };
    in_case(word, &ascii(&persons.word(key, position, &asked)))
}

fn is_part(persons: &Persons, folded: &str) -> bool {
    folded.chars().count() == 1 || persons.knows(folded)
}

fn ascii(text: &str) -> String {
    text.chars().filter(char::is_ascii).collect()
}

/// Digits that no subscriber has, in the signs of `text`.
pub(super) fn phone(mut draw: Draw, text: &str) -> String {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).collect();
    let written: String = digits.iter().map(|&digit| char::from(digit)).collect();
    let reserved = reserved(&written, text);
    let fixed: Vec<char> = reserved.chars().collect();
    let filled: Vec<char> = (0..digits.len())
        .map(|place| match fixed.get(place) {
            Some('?') | None => draw.digit(),
            Some(&digit) => digit,
        })
        .collect();
    put_digits(text, &filled)
}

/// The digits of `text` replaced in order.
pub(super) fn put_digits(text: &str, digits: &[char]) -> String {
    let mut next = digits.iter();
    text.chars().map(|c| if c.is_ascii_digit() { next.next().copied().unwrap_or(c) } else { c }).collect()
}

/// The front of a number that its country keeps for films and books, `?` for any digit; elsewhere zeros behind the area, with
/// which no subscriber's number begins.
///
/// Sources: North American Numbering Plan, 555-0100 to 0199; Ofcom, numbers for drama use; Bundesnetzagentur, Rufnummern für
/// Medienproduktionen; Arcep, décision 2018-0881; Australian Communications and Media Authority.
fn reserved(digits: &str, text: &str) -> String {
    let international = text.trim_start().starts_with('+');
    let codes = if international { &["44", "49", "33", "61", "1"][..] } else { &[][..] };
    let code = codes.iter().find(|code| digits.starts_with(**code)).copied();
    // `+44 (0)20`: the trunk's 0 is written too.
    let trunk = if text.contains("(0)") { "0" } else { "" };
    let front = code.map_or("0".to_owned(), |code| format!("{code}{trunk}"));
    let rest = digits.get(front.len()..).unwrap_or_default();
    let country = code.or_else(|| (!international).then(|| country_by_shape(digits)).flatten());
    match (country, rest.as_bytes().first()) {
        (Some("1"), _) if code.is_none() => american(digits),
        (Some("1"), _) => format!("1{}", american(&digits[1..])),
        (Some("44"), Some(b'7')) => front + "7700900???",
        (Some("44"), Some(b'2')) => front + "2079460???",
        (Some("44"), _) => front + "1632960???",
        (Some("49"), Some(b'1')) => front + "17139200?????",
        (Some("49"), _) => front + "3023125?????",
        (Some("33"), Some(b'6' | b'7')) => front + "63998????",
        (Some("33"), _) => front + "19900????",
        (Some("61"), Some(b'4')) => front + "491570???",
        (Some("61"), _) => front + "25550????",
        _ => format!("{}000", digits.get(..3).unwrap_or_default()),
    }
}

/// Whose number it looks like when no country is named.
fn country_by_shape(digits: &str) -> Option<&'static str> {
    let german_mobile = ["015", "016", "017"].iter().any(|area| digits.starts_with(area));
    match (digits.len(), digits.as_bytes().first()?) {
        (11 | 12, b'0') if german_mobile => Some("49"),
        (11, b'0') => Some("44"),
        (10, b'0') if digits.starts_with("04") => Some("61"),
        (10, b'0') => Some("33"),
        (7 | 10, b'2'..=b'9') | (11, b'1') => Some("1"),
        _ => None,
    }
}

fn american(digits: &str) -> String {
    match digits.len() {
        10 => format!("{}55501??", &digits[..3]),
        11 => format!("{}55501??", &digits[..4]),
        _ => "55501??".to_owned(),
    }
}

/// RFC 5737 and RFC 3849: addresses for documentation; a prefix length, zone or port stays.
pub(super) fn ip(mut draw: Draw, text: &str) -> String {
    let end = text.find(['/', '%']).unwrap_or(text.len());
    let (address, rest) = text.split_at(end);
    if !address.contains(':')
        || address.contains('.') && !address.contains("::") && address.matches(':').count() == 1
    {
        let network = draw.pick(&["192.0.2", "198.51.100", "203.0.113"]);
        let port = address.find(':').map_or("", |at| &address[at..]);
        return format!("{network}.{}{port}{rest}", 1 + draw.below(254));
    }
    let group = |draw: &mut Draw| format!("{:x}", 1 + draw.below(0xffff));
    format!("2001:db8:{}:{}::{}{rest}", group(&mut draw), group(&mut draw), group(&mut draw))
}

/// A locally administered address, which no maker has; separators and case stay.
pub(super) fn mac(mut draw: Draw, text: &str) -> String {
    let capital = text.bytes().any(|byte| byte.is_ascii_uppercase());
    let mut place = 0;
    let replaced = text.chars().map(|c| {
        if !c.is_ascii_hexdigit() {
            return c;
        }
        place += 1;
        let digit = match place {
            1 => 0,
            2 => 2,
            _ => draw.below(16) as u32,
        };
        let digit = char::from_digit(digit, 16).unwrap_or('0');
        if capital { digit.to_ascii_uppercase() } else { digit }
    });
    replaced.collect()
}

/// The scheme and the number of segments stay; host and path are made up, what stands behind `?` or `#` goes.
pub(super) fn url(mut draw: Draw, text: &str) -> String {
    let (scheme, rest) = text.find("://").map_or(("", text), |at| text.split_at(at + "://".len()));
    let path = rest.split(['?', '#']).next().unwrap_or(rest);
    let mut segments = path.split('/');
    let host = segments.next().unwrap_or_default();
    let www = if host.to_ascii_lowercase().starts_with("www.") { "www." } else { "" };
    let mut made = format!("{scheme}{www}{}", draw.pick(DOMAINS));
    for segment in segments {
        made.push('/');
        if !segment.is_empty() {
            made.push_str(draw.pick(SEGMENTS));
            made.push_str(&format!("-{}", draw.below(1_000)));
        }
    }
    made
}
