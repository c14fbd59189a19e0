//! A secret by its name: `api_key = "..."`, `password: ...`.

use super::entropy::{entropy_bits, is_placeholder, is_typed};

/// Parts of a name behind which a key stands.
pub(super) const KEY_NAMES: &[&str] = &[
    "api_key",
    "apikey",
    "api-key",
    "api key",
    "access_key",
    "accesskey",
    "access-key",
    "secret",
    "token",
    "auth_key",
    "authkey",
    "private_key",
    "privatekey",
    "signing_key",
    "encryption_key",
    "credential",
    "account_key",
    "client_key",
    "app_key",
    "appkey",
    "service_key",
    "master_key",
    "license_key",
    "subscription-key",
    "x-functions-key",
];

/// Parts of a name behind which a password stands.
pub(super) const PASSWORD_NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pass_word",
    "pwd",
    "pass",
    "passwort",
    "kennwort",
    "contraseña",
    "contrasena",
    "mot de passe",
    "motdepasse",
    "senha",
    "wachtwoord",
    "hasło",
    "lösenord",
    "пароль",
    "密码",
    "パスワード",
];

/// How far a name goes on behind the word, as in `SECRET_KEY_BASE`.
const TAIL_BYTES: usize = 24;
const KEY_BYTES: std::ops::RangeInclusive<usize> = 12..=256;
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 4..=64;
/// No value is looked at further: a longer one is no key.
const VALUE_BYTES: usize = 300;
/// Twelve random letters and digits have 3.3 bits a byte; words and names of functions have about 3.
const KEY_FLOOR_BITS: f32 = 3.1;

/// What stands behind a name.
struct Value<'a> {
    start: usize,
    text: &'a str,
    quoted: bool,
    operator: Operator,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equals,
    Colon,
    Is,
}

/// The span of the key whose name has its word end at `end`.
pub(super) fn key(text: &str, end: usize) -> Option<(usize, usize)> {
    let value = value(text, end)?;
    let bytes = value.text.as_bytes();
    let signs = bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"+/=_-.~!@#$%^&*:".contains(&byte));
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = bytes.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let random = KEY_BYTES.contains(&bytes.len())
        && entropy_bits(bytes) >= KEY_FLOOR_BITS
        && digits >= 2
        && letters >= 2;
    let real = signs
        && random
        && !is_placeholder(value.text)
        && !is_typed(value.text)
        && !is_code(&value)
        && value.operator != Operator::Is;
    real.then_some((value.start, value.start + value.text.len()))
}

/// The span of the password whose name, a word that begins at `start`, ends at `end`.
pub(super) fn password(text: &str, start: usize, end: usize) -> Option<(usize, usize)> {
    let short = end - start <= 4;
    // `pass` and `pwd` are names when they are words: `bypass: 12` is none, nor `pass_by_value = 1`.
    let joined = |c: char| c.is_alphanumeric() || c == '_';
    if short && (text[..start].ends_with(char::is_alphanumeric) || text[end..].starts_with(joined)) {
        return None;
    }
    let value = value(text, end)?;
    let plain = value.text.chars().all(char::is_alphabetic);
    // A word behind a colon is prose or a type: `password: string`; a random one has a digit, a sign or a capital within.
    let enough = value.quoted || !plain || value.operator == Operator::Equals && value.text.len() >= 6;
    let numeral = value.text.len() < 6 && value.text.bytes().all(|byte| byte.is_ascii_digit());
    let real = PASSWORD_BYTES.contains(&value.text.len())
        && enough
        && !numeral
        && !is_placeholder(value.text)
        && !is_code(&value)
        && !is_stand_in(value.text);
    real.then_some((value.start, value.start + value.text.len()))
}

/// What follows the name: quotes, `=`, `:`, `=>`, `:=` or `is`, then a value in quotes or up to a space.
fn value(text: &str, end: usize) -> Option<Value<'_>> {
    let tail = text[end..]
        .bytes()
        .take_while(|&byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        .count();
    if tail > TAIL_BYTES {
        return None;
    }
    let mut rest = &text[end + tail..];
    rest = rest.strip_prefix(['"', '\'', '`', ']', ')']).unwrap_or(rest);
    rest = rest.strip_prefix(']').unwrap_or(rest);
    let spaced = rest.trim_start_matches([' ', '\t']);
    let (operator, behind) = operator(spaced, rest.len() != spaced.len())?;
    let value = behind.trim_start_matches([' ', '\t']);
    let opened = value.chars().next().filter(|c| "\"'`".contains(*c));
    let inside = opened.map_or(value, |quote| &value[quote.len_utf8()..]);
    let start = text.len() - inside.len();
    let inside = &inside[..inside.floor_char_boundary(VALUE_BYTES)];
    let length = match opened {
        Some(quote) => inside.find(quote).filter(|&length| !inside[..length].contains('\n'))?,
        None => inside.find(|c: char| c.is_whitespace() || "\"'`,;<>|".contains(c)).unwrap_or(inside.len()),
    };
    let mut found = &inside[..length];
    if opened.is_none() {
        found = found.trim_end_matches(['.', ')', ']', '}', '?', ':']);
        // In an address the next parameter follows.
        let next = found.find('&').filter(|&at| found[at..].contains('='));
        found = next.map_or(found, |at| &found[..at]);
    }
    (!found.is_empty()).then_some(Value { start, text: found, quoted: opened.is_some(), operator })
}

fn operator(text: &str, spaced: bool) -> Option<(Operator, &str)> {
    for (sign, operator) in
        [(":=", Operator::Equals), ("=>", Operator::Equals), ("：", Operator::Colon), (":", Operator::Colon)]
    {
        if let Some(rest) = text.strip_prefix(sign) {
            return Some((operator, rest));
        }
    }
    if let Some(rest) = text.strip_prefix('=') {
        // `==` compares.
        return (!rest.starts_with(['=', '~'])).then_some((Operator::Equals, rest));
    }
    let words = ["is ", "ist ", "es ", "est ", "är ", "to "];
    let rest = words.iter().find_map(|word| spaced.then(|| text.strip_prefix(word)).flatten())?;
    Some((Operator::Is, rest.strip_prefix(": ").unwrap_or(rest)))
}

/// A variable, a call, a path in an object: the secret is elsewhere.
fn is_code(value: &Value<'_>) -> bool {
    let text = value.text;
    let opens = text.starts_with(['$', '%', '{', '(', '[', '&', '*']) && !value.quoted;
    let called = !value.quoted && (text.contains('(') || text.contains('['));
    let path = text.contains('.')
        && text.split('.').all(|part| part.chars().all(|c| c.is_ascii_alphabetic() || c == '_'));
    let constant = text.len() > 6
        && text.contains('_')
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let small = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let variable = !value.quoted && text.contains('_') && text.bytes().all(small);
    opens
        || called
        || path
        || variable
        || constant
        || text.contains("::")
        || text.contains("://")
        || text.starts_with("//")
}

/// Words in the place of a password.
fn is_stand_in(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "password",
        "passwort",
        "passwd",
        "secret",
        "required",
        "string",
        "none",
        "null",
        "true",
        "false",
        "test",
        "optional",
        "text",
        "varchar",
        "number",
        "value",
        "incorrect",
        "correct",
        "wrong",
        "invalid",
        "expired",
        "reset",
        "changed",
        "empty",
        "blank",
        "missing",
        "input",
        "field",
        "hidden",
        "default",
        "admin",
        "user",
        "username",
        "email",
        "enter",
        "forgot",
        "str",
        "bool",
        "boolean",
        "object",
        "unknown",
        "n/a",
        "self.password",
        "the",
        "too",
        "not",
        "same",
        "case-sensitive",
        "case",
    ];
    let small = text.to_lowercase();
    WORDS.contains(&small.trim_matches(|c: char| !c.is_alphanumeric()))
}
