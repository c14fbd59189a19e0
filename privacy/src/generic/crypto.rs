//! Addresses of wallets.

use sha2::{Digest, Sha256};
use tiny_keccak::{Hasher, Keccak};

use crate::entity::Entity;
use crate::scanner::sink::Sink;

/// The shortest and the longest word that can be one: a short Base58Check address, a segwit address (BIP 173).
pub(crate) const LEAST_BYTES: usize = 25;
const MOST_BYTES: usize = 90;

/// Version bytes of 25-byte Base58Check addresses: Bitcoin (0, 5; test 111, 196), Litecoin (48, 50), Dogecoin (30, 22), Dash (76,
/// 16), Tron (65).
const BASE58_VERSIONS: [u8; 11] = [0, 5, 111, 196, 48, 50, 30, 22, 76, 16, 65];

/// Payload of such an address: its version and a hash of 20 bytes.
const BASE58_BYTES: usize = 21;

/// What stands before segwit addresses: Bitcoin and Litecoin, main and test networks.
const SEGWIT_PREFIXES: [&str; 5] = ["bc", "tb", "bcrt", "ltc", "tltc"];

/// An Ethereum address of one case has no checksum: the words before must say what it is.
const SCORE_UNCHECKED: f32 = 0.3;

/// Looks at the word `start..end`, of letters and digits, for the address of a wallet.
pub(crate) fn find(sink: &mut Sink<'_>, start: usize, end: usize) {
    let word = &sink.text[start..end];
    if word.len() > MOST_BYTES {
        return;
    }
    let score = if let Some(hex) = word.strip_prefix("0x") {
        match ethereum(hex) {
            Some(score) => score,
            None => return,
        }
    } else if is_segwit(word) || is_base58(word) {
        1.0
    } else {
        return;
    };
    sink.add(start, end, Entity::Crypto, score, "wallet");
}

fn is_base58(word: &str) -> bool {
    if word.len() > 35 || word.bytes().any(|byte| matches!(byte, b'0' | b'O' | b'I' | b'l' | b'_')) {
        return false;
    }
    let Ok(bytes) = bs58::decode(word).into_vec() else { return false };
    let Some((payload, check)) = bytes.split_at_checked(BASE58_BYTES) else { return false };
    BASE58_VERSIONS.contains(&payload[0])
        && Sha256::digest(Sha256::digest(payload)).starts_with(check)
        && check.len() == 4
}

fn is_segwit(word: &str) -> bool {
    let Some(one) = word.rfind('1') else { return false };
    let prefix = &word[..one];
    SEGWIT_PREFIXES.iter().any(|known| prefix.eq_ignore_ascii_case(known))
        && bech32::segwit::decode(word).is_ok()
}

/// The score of an Ethereum address, by the mixed case of EIP-55; none where that is wrong.
fn ethereum(hex: &str) -> Option<f32> {
    if hex.len() != 40 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let has = |test: fn(&u8) -> bool| hex.bytes().any(|byte| test(&byte));
    if !has(u8::is_ascii_lowercase) || !has(u8::is_ascii_uppercase) {
        return Some(SCORE_UNCHECKED);
    }
    let mut hash = [0_u8; 32];
    let mut keccak = Keccak::v256();
    keccak.update(hex.to_ascii_lowercase().as_bytes());
    keccak.finalize(&mut hash);
    let is_right = hex.bytes().enumerate().all(|(index, byte)| {
        let nibble = hash[index / 2] >> (4 * (1 - index % 2)) & 15;
        byte.is_ascii_digit() || byte.is_ascii_uppercase() == (nibble >= 8)
    });
    is_right.then_some(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_decide() {
        // The addresses of EIP-55's text, and one with a letter's case turned.
        assert_eq!(ethereum("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"), Some(1.0));
        assert_eq!(ethereum("fB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"), Some(1.0));
        assert_eq!(ethereum("FB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"), None);
        // Of BIP 173 and BIP 350; a checksum of the wrong kind is refused.
        assert!(is_segwit("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4"));
        assert!(is_segwit("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"));
        assert!(!is_segwit("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd"));
        assert!(is_base58("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"));
        assert!(is_base58("3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"));
        assert!(!is_base58("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb"));
    }
}
