//! What tells a random string from a word, a placeholder or a piece of code.

/// Shannon's entropy of the bytes, in bits a byte; 0 for nothing.
pub(super) fn entropy_bits(bytes: &[u8]) -> f32 {
    let mut counts = [0_u32; 256];
    bytes.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    let total = bytes.len() as f32;
    let shares = counts.iter().filter(|&&count| count > 0).map(|&count| count as f32 / total);
    shares.map(|share| -share * share.log2()).sum()
}

/// Words that stand where a key will: documentation and templates, not keys.
const PLACEHOLDERS: &[&str] = &[
    "example",
    "placeholder",
    "changeme",
    "change-me",
    "change_me",
    "redacted",
    "your-",
    "your_",
    "yourapi",
    "yourkey",
    "yourtoken",
    "yoursecret",
    "yourpass",
    "insert",
    "replace",
    "dummy",
    "sample",
    "xxxx",
    "todo",
    "fixme",
    "not-a-real",
    "lorem",
    "undefined",
    "<",
    ">",
    "${",
    "{{",
    "%(",
    "$(",
    "...",
    "****",
    "••••",
    "____",
    "----",
];

/// Whether the text says that it stands for a secret instead of being one.
pub(super) fn is_placeholder(text: &str) -> bool {
    let small = text.to_ascii_lowercase();
    PLACEHOLDERS.iter().any(|placeholder| small.contains(placeholder))
}

/// Whether a key of these signs was typed, not drawn. A password may well be so.
pub(super) fn is_typed(text: &str) -> bool {
    few_signs(text.as_bytes()) || in_order(&text.to_ascii_lowercase())
}

/// Fewer different signs than a random string of its length would have: `0000000000`, `abababab`.
fn few_signs(bytes: &[u8]) -> bool {
    /// A key of eight signs with at most three different ones is not random: one in 10,000 of hexadecimal ones is so.
    const FEW: usize = 3;
    let mut seen = [false; 256];
    bytes.iter().for_each(|&byte| seen[usize::from(byte)] = true);
    bytes.len() >= 8 && seen.iter().filter(|&&is_seen| is_seen).count() <= FEW
}

/// Mostly typed by running along the alphabet or the digits: `abcdefghijklmnop`, `1234567890123456`.
fn in_order(small: &str) -> bool {
    let bytes = small.as_bytes();
    let steps = bytes.windows(2).filter(|pair| pair[1] == pair[0].wrapping_add(1) || pair == b"90").count();
    bytes.len() >= 8 && steps * 4 >= (bytes.len() - 1) * 3
}

/// Which signs the body of a key is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// 0 to 9, a to f in either case.
    Hexadecimal,
    /// A to Z and digits.
    Capitals,
    /// Letters and digits.
    Alphanumeric,
    /// Letters, digits, `_` and `-`: base64 for addresses.
    Word,
    /// The same and `.`, which does not end it.
    Dotted,
    /// Letters, digits, `+`, `/`, `=`, `_` and `-`.
    Base64,
}

impl Alphabet {
    pub(super) fn has(self, byte: u8) -> bool {
        match self {
            Self::Hexadecimal => byte.is_ascii_hexdigit(),
            Self::Capitals => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Alphanumeric => byte.is_ascii_alphanumeric(),
            Self::Word => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-'),
        }
    }

    /// How many of the first bytes are of the alphabet; a `.` at the end is the sentence's.
    pub(super) fn run(self, bytes: &[u8]) -> usize {
        let length = bytes.iter().take_while(|&&byte| self.has(byte)).count();
        if self != Self::Dotted {
            return length;
        }
        bytes[..length].iter().rposition(|&byte| byte != b'.').map_or(0, |last| last + 1)
    }

    /// The least entropy of a random body of `length`, in bits a byte: about a bit below what is expected, so that fewer
    /// than one key in 10,000 falls under it.
    pub(super) fn floor_bits(self, length: usize) -> f32 {
        let signs: f32 = match self {
            Self::Hexadecimal => 16.0,
            Self::Capitals => 34.0,
            _ => 62.0,
        };
        signs.min(length as f32).log2() - 1.2
    }
}
