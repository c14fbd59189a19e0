//! Answers that are the prompt.

use std::collections::HashSet;

/// Characters a shingle has.
const SHINGLE: usize = 5;
/// Shorter texts are compared for being equal only: two shingles say nothing.
const MIN_CHARACTERS: usize = 20;
/// Of longer texts the beginnings are compared: a copy is one from the start, and shingles of all would take much memory.
const MAX_CHARACTERS: usize = 1 << 16;

/// How alike two texts are (0 to 1): 1 if they are equal but for case, spaces and punctuation, else the Jaccard
/// similarity of their groups of five characters. Short ones are alike if they are the same but for case: a label may
/// well be `activate_my_card`, and a prompt "Activate my card".
pub(super) fn likeness(one: &str, other: &str) -> f64 {
    let same = one.trim().to_lowercase() == other.trim().to_lowercase();
    let (one, other) = (letters(one), letters(other));
    if same || (one == other && one.len() >= MIN_CHARACTERS) {
        return f64::from(u8::from(!one.is_empty()));
    }
    let (shorter, longer) = (one.len().min(other.len()), one.len().max(other.len()));
    if shorter < MIN_CHARACTERS || longer > 4 * shorter {
        return 0.0;
    }
    let (one, other) = (&one[..one.len().min(MAX_CHARACTERS)], &other[..other.len().min(MAX_CHARACTERS)]);
    let (one, other): (HashSet<&[char]>, HashSet<&[char]>) =
        (one.windows(SHINGLE).collect(), other.windows(SHINGLE).collect());
    let both = one.intersection(&other).count();
    both as f64 / (one.len() + other.len() - both) as f64
}

/// Letters and digits in lower case, and what joins them in names.
fn letters(text: &str) -> Vec<char> {
    text.chars().filter(|c| c.is_alphanumeric() || *c == '_').flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likenesses() {
        assert_eq!(likeness("What is the balance of it?", "what is the BALANCE of it"), 1.0);
        assert_eq!(likeness("ham", "spam"), 0.0);
        assert_eq!(likeness("Activate my card", "activate_my_card"), 0.0);
        assert_eq!(likeness("Activate my card", "activate my card "), 1.0);
        assert_eq!(likeness("!!!", "???"), 0.0);
        let prompt = "I would like to know where my new card is, as it has not come yet.";
        assert!(likeness(prompt, "I would like to know where my new card is, as it has not come.") > 0.9);
        assert!(likeness(prompt, "It was sent on Monday and should be with you by Friday.") < 0.1);
    }
}
