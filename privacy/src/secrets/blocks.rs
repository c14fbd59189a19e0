//! Secrets with a syntax of their own: PEM blocks, JSON Web Tokens, credentials in an address.

use super::entropy::{Alphabet, is_placeholder};

pub(super) const PEM_KEYWORD: &str = "-----BEGIN ";
pub(super) const TOKEN_KEYWORD: &str = "eyJ";
pub(super) const ADDRESS_KEYWORD: &str = "://";

/// The label between the dashes: `OPENSSH ENCRYPTED PRIVATE KEY` and the like are shorter.
const LABEL_BYTES: usize = 64;
/// No key is longer: 16,384 bits of RSA are 12 KiB in base64.
const PEM_BYTES: usize = 16 << 10;
/// No host, port and path of an address is longer that holds a password.
const ADDRESS_BYTES: usize = 512;

/// RFC 7468: the end of the block that begins at `start`, if its label says that it is a private key. One that is cut off
/// ends with its last line.
pub(super) fn private_key(text: &str, start: usize) -> Option<usize> {
    let rest = &text[start..text.floor_char_boundary(text.len().min(start + PEM_BYTES))];
    let label_at = PEM_KEYWORD.len();
    let label_end = label_at + rest.bytes().skip(label_at).take(LABEL_BYTES).position(|byte| byte == b'-')?;
    let label = rest.get(label_at..label_end)?;
    if !rest[label_end..].starts_with("-----") || !label.to_ascii_uppercase().contains("PRIVATE KEY") {
        return None;
    }
    let body_at = label_end + "-----".len();
    let body = &rest[body_at..];
    let dashes = body.find("-----");
    let closed = dashes
        .and_then(|at| Some((at, at + body[at..].strip_prefix("-----END ").map(|_| "-----END ".len())?)));
    if let Some((end_at, behind)) = closed {
        let label = body.as_bytes()[behind..].iter().take(LABEL_BYTES).position(|&byte| byte == b'-');
        let closing = label.filter(|&label| body[behind + label..].starts_with("-----"));
        let end = body_at + closing.map_or(end_at, |label| behind + label + "-----".len());
        return (!is_placeholder(body[..end_at].trim())).then_some(start + end);
    }
    let body = &body[..dashes.unwrap_or(body.len())];
    let signs =
        |byte: u8| byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || b"+/=:,\\-".contains(&byte);
    let length = body.bytes().position(|byte| !signs(byte)).unwrap_or(body.len());
    Some(start + body_at + body[..length].trim_end().len())
}

/// RFC 7519: header, payload and signature in base64url; the header is a JSON object that names an algorithm.
pub(super) fn json_web_token(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    if start.checked_sub(1).is_some_and(|before| Alphabet::Dotted.has(bytes[before])) {
        return None;
    }
    let run = Alphabet::Dotted.run(&bytes[start..]);
    let mut parts = text[start..start + run].split('.');
    let (header, payload) = (parts.next()?, parts.next()?);
    let decoded: serde_json::Value = serde_json::from_slice(&base64url(header)?).ok()?;
    decoded.get("alg").or_else(|| decoded.get("enc")).or_else(|| decoded.get("typ"))?;
    // A signature, or the three more parts of an encrypted token (RFC 7516); without, `alg` is none.
    let rest: usize = parts.take(3).map(|part| part.len() + 1).sum();
    (payload.len() >= 4).then_some(start + header.len() + 1 + payload.len() + rest)
}

fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut buffer, mut bits) = (0_u32, 0);
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        buffer = (buffer << 6 | u32::from(value)) & 0xff_ffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits) as u8);
        }
    }
    Some(bytes)
}

/// RFC 3986: the span of the address whose `://` stands at `at`, if a password stands before its host.
pub(super) fn credential_address(text: &str, at: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let scheme = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let start = at - bytes[..at].iter().rev().take_while(|&byte| scheme(byte)).count();
    if start == at || !bytes[start].is_ascii_alphabetic() {
        return None;
    }
    let after = at + ADDRESS_KEYWORD.len();
    let rest = &text[after..text.floor_char_boundary(text.len().min(after + ADDRESS_BYTES))];
    memchr::memchr(b'@', rest.as_bytes())?;
    let ends = |c: char| c.is_whitespace() || c.is_control() || "\"'<>`|^".contains(c);
    let length = rest.find(ends).unwrap_or(rest.len());
    let address = rest[..length].trim_end_matches(['.', ',', ';', ')', ']', '}', '!', '?']);
    // A password may hold `/`, `?` or `#` where it should be escaped; what stands behind the first `/` of a path may hold
    // `:` and `@`, and digits behind `:` are a port.
    let slash = address.find(['/', '?', '#']).unwrap_or(address.len());
    let port = address[..slash]
        .split_once(':')
        .is_none_or(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let authority = if address[..slash].contains('@') { slash } else { address.len() };
    if authority > slash && port {
        return None;
    }
    let address_end = after + address.len();
    let address = &address[..authority];
    let (user_info, host) = address.rsplit_once('@')?;
    let (_, password) = user_info.split_once(':')?;
    let named = host.starts_with(|c: char| c.is_alphanumeric() || "[$".contains(c));
    let real = !password.is_empty()
        && !is_placeholder(password)
        && !STANDINS.contains(&password.to_ascii_lowercase().as_str());
    (named && real).then_some((start, address_end))
}

/// Passwords that documentation writes.
const STANDINS: &[&str] = &["password", "pass", "passwd", "pwd", "secret", "pw"];
