//! Names that an e-mail address of the same record repeats.

use std::sync::LazyLock;

use super::capitals::Capital;
use super::fold::fold;
use super::gazetteer::Gazetteer;
use super::judge::Name;
use super::sets::{Set, set};
use crate::entity::Entity;
use crate::finding::Finding;

/// A record with more addresses is a list of them; each is held against every word.
const MAX_ADDRESSES: usize = 32;
/// A shorter part of an address says nothing.
const MIN_PART_BYTES: usize = 3;
/// A part of an address is a word on its own from this length on; a shorter one only beside another.
const MIN_WORD_BYTES: usize = 4;

/// Local parts that are offices, not persons.
static OFFICES: Set = LazyLock::new(|| {
    set(
        "abuse account accounts admin billing booking bookings careers client contact customer customers enquiries \
     feedback finance hello help helpdesk info jobs kontakt legal mail marketing media newsletter noreply office \
     orders payment payments postmaster press privacy reply reservations returns root sales security service \
     services shipping shop support team test user webmaster",
    )
});

/// The local parts of the e-mail addresses among the findings of all texts, folded, each with its parts.
pub(super) fn local_parts(texts: &[&str], known: &[Vec<Finding>]) -> Vec<(String, Vec<String>)> {
    let mut parts: Vec<(String, Vec<String>)> = Vec::new();
    for (text, known) in texts.iter().zip(known) {
        for finding in known.iter().filter(|finding| finding.entity == Entity::EmailAddress) {
            let Some((local, _)) =
                text.get(finding.start..finding.end).and_then(|address| address.split_once('@'))
            else {
                continue;
            };
            let folded = fold(local);
            let pieces = folded.split(|sign: char| !sign.is_alphabetic());
            let pieces: Vec<String> = pieces
                .filter(|piece| piece.len() >= MIN_PART_BYTES && !OFFICES.contains(piece))
                .map(str::to_owned)
                .collect();
            let letters: String = folded.chars().filter(|sign| sign.is_alphabetic()).collect();
            if parts.len() < MAX_ADDRESSES
                && !pieces.is_empty()
                && !parts.iter().any(|(known, _)| *known == letters)
            {
                parts.push((letters, pieces));
            }
        }
    }
    parts
}

/// Adds the capitalised words that an address repeats: two neighbours that make up a local part (`johnsmith`, `jsmith`,
/// `john.s`), or one that is a part of it and no common word.
pub(super) fn find(
    gazetteer: &Gazetteer,
    text: &str,
    capitals: &[Capital],
    parts: &[(String, Vec<String>)],
    out: &mut Vec<Name>,
) {
    if parts.is_empty() {
        return;
    }
    let words: Vec<String> =
        capitals.iter().map(|capital| fold(capital.of(text)).replace(['-', '\''], "")).collect();
    let mut at = 0;
    while at < words.len() {
        let pair = capitals.get(at + 1).filter(|next| is_neighbour(text, &capitals[at], next));
        if let Some(next) =
            pair.filter(|_| parts.iter().any(|(local, _)| is_made_of(local, &words[at], &words[at + 1])))
        {
            out.push(Name::person(capitals[at].start, next.end, 0.9, "name-echo"));
            at += 2;
            continue;
        }
        let is_part = parts.iter().any(|(_, pieces)| pieces.contains(&words[at]));
        if is_part && words[at].len() >= MIN_WORD_BYTES && !gazetteer.folded(&words[at]).is_word() {
            out.push(Name::person(capitals[at].start, capitals[at].end, 0.7, "name-echo"));
        }
        at += 1;
    }
}

/// Whether at most an initial and spaces stand between two words.
fn is_neighbour(text: &str, left: &Capital, right: &Capital) -> bool {
    left.whole_end == left.end
        && text[left.end..right.start].trim_matches([' ', '.']).is_empty()
        && !text[left.end..right.start].is_empty()
}

fn is_made_of(local: &str, first: &str, last: &str) -> bool {
    let initial = |word: &str| word.chars().next().map(String::from).unwrap_or_default();
    let both = first.len() >= 2 && last.len() >= 2 && first.len() + last.len() >= 6;
    let joined = [
        format!("{first}{last}"),
        format!("{last}{first}"),
        format!("{}{last}", initial(first)),
        format!("{first}{}", initial(last)),
    ];
    both && joined.iter().any(|joined| joined == local)
}
