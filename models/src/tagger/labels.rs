//! What a classifier's outputs mean, and how the words of a window become spans.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde_json::Value;

use super::Tag;
use crate::ModelError;
use crate::config::Fields;

/// Most labels; the largest sets in use have some hundreds.
const MAX_LABELS: usize = 4096;

/// Where a label stands in a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// `B-`, `S-`, `U-`: a span begins.
    First,
    /// `I-`, `E-`, `L-`, or no prefix: it goes on, or begins where none is open.
    Inner,
}

/// The labels of a classifier: BIO, BIOES, BILOU or plain ones.
#[derive(Debug)]
pub(super) struct Labels {
    /// For each output which kind it is, and where in a span; `None` is outside.
    outputs: Vec<Option<(usize, Place)>>,
    /// The kinds, without prefixes.
    kinds: Vec<String>,
}

/// One word of a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word {
    /// First byte in the text.
    pub(super) start: usize,
    /// One past its last byte.
    pub(super) end: usize,
}

impl Labels {
    /// Reads `id2label`, whose keys are 0, 1, 2 and so on as strings.
    pub(super) fn from_fields(fields: &Fields) -> Result<Self, ModelError> {
        let value =
            fields.get("id2label").ok_or_else(|| fields.missing("id2label", "the names of the labels"))?;
        let expected = format!("an object from \"0\", \"1\" and so on to labels, at most {MAX_LABELS}");
        let wrong = || fields.wrong("id2label", &expected, value);
        let Value::Object(object) = value else { return Err(wrong()) };
        if object.is_empty() || object.len() > MAX_LABELS {
            return Err(wrong());
        }
        let names: Option<Vec<&str>> =
            (0..object.len()).map(|id| object.get(&id.to_string()).and_then(Value::as_str)).collect();
        Ok(Self::new(&names.ok_or_else(wrong)?))
    }

    fn new(names: &[&str]) -> Self {
        let mut kinds: Vec<String> = Vec::new();
        let outputs = names.iter().map(|name| {
            let (place, kind) = split(name)?;
            let at = kinds.iter().position(|known| known == kind).unwrap_or_else(|| {
                kinds.push(kind.to_owned());
                kinds.len() - 1
            });
            Some((at, place))
        });
        Self { outputs: outputs.collect(), kinds }
    }

    /// Number of outputs.
    pub(super) fn len(&self) -> usize {
        self.outputs.len()
    }

    /// The spans of one window. `probabilities` has a row of [`Self::len`] for each word.
    ///
    /// The probability of a kind is the sum over its prefixes; a word is of the likeliest kind if that has at least
    /// `threshold`. Words of a kind are joined over white space unless the second begins a span of its own; the score of a
    /// span is the mean over its words.
    pub(super) fn spans(
        &self,
        text: &str,
        words: &[Word],
        probabilities: &[Vec<f32>],
        threshold: f32,
    ) -> Vec<Tag> {
        let mut tags: Vec<Tag> = Vec::new();
        let mut open: Option<(usize, usize, f32)> = None;
        for (word, row) in words.iter().zip(probabilities) {
            let Some((kind, place, score)) = self.kind(row).filter(|&(_, _, score)| score >= threshold)
            else {
                open = None;
                continue;
            };
            if let (Some((open_kind, count, sum)), Some(last)) = (open, tags.last_mut()) {
                let gap = &text[last.end..word.start.max(last.end)];
                // Nothing between: one word to the eye, whatever the tokenizer thinks.
                let joins = gap.is_empty() || (place == Place::Inner && gap.chars().all(char::is_whitespace));
                if open_kind == kind && joins {
                    last.end = last.end.max(word.end);
                    open = Some((kind, count + 1, sum + score));
                    last.score = (sum + score) / (count + 1) as f32;
                    continue;
                }
            }
            tags.push(Tag { start: word.start, end: word.end, label: self.kinds[kind].clone(), score });
            open = Some((kind, 1, score));
        }
        tags
    }

    /// The likeliest kind of a word with its place and probability; `None` is outside.
    fn kind(&self, row: &[f32]) -> Option<(usize, Place, f32)> {
        let mut sums = vec![0.0; self.kinds.len()];
        let (mut firsts, mut outside) = (vec![0.0; self.kinds.len()], 0.0);
        for (output, &probability) in self.outputs.iter().zip(row) {
            match output {
                None => outside += probability,
                Some((kind, place)) => {
                    sums[*kind] += probability;
                    if *place == Place::First {
                        firsts[*kind] += probability;
                    }
                }
            }
        }
        let (kind, &score) = sums.iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1))?;
        let place = if firsts[kind] * 2.0 > score { Place::First } else { Place::Inner };
        (score > outside).then_some((kind, place, score))
    }
}

/// A label without its prefix; `None` is outside.
fn split(name: &str) -> Option<(Place, &str)> {
    if name.eq_ignore_ascii_case("o") {
        return None;
    }
    let prefix = name.get(..2).unwrap_or_default();
    let kind = name.get(2..).unwrap_or_default();
    match prefix {
        "B-" | "S-" | "U-" | "b-" | "B_" | "S_" => Some((Place::First, kind)),
        "I-" | "E-" | "L-" | "i-" | "I_" | "E_" => Some((Place::Inner, kind)),
        _ => Some((Place::Inner, name)),
    }
}

/// Spans of overlapping windows of `text` made one: those of a label that overlap are united; where two labels overlap the
/// surer one has the words that both have, and the other one keeps its others, since a word that some window labels stays
/// labelled. Sorted by start, without overlaps.
pub(super) fn united(text: &str, mut tags: Vec<Tag>) -> Vec<Tag> {
    tags.sort_by(|one, other| {
        one.label.cmp(&other.label).then(one.start.cmp(&other.start)).then(other.end.cmp(&one.end))
    });
    let mut whole: Vec<Tag> = Vec::with_capacity(tags.len());
    for tag in tags {
        match whole.last_mut() {
            Some(last) if tag.start < last.end && last.label == tag.label => {
                last.end = last.end.max(tag.end);
                last.score = last.score.max(tag.score);
            }
            _ => whole.push(tag),
        }
    }
    // The surest first: each takes what no surer one has.
    whole.sort_by(|one, other| other.score.total_cmp(&one.score).then(one.start.cmp(&other.start)));
    let mut kept: BTreeMap<usize, Tag> = BTreeMap::new();
    for tag in whole {
        for (start, end) in free(&kept, tag.start, tag.end) {
            // What is left of a span that was joined over white space.
            let part = &text[start..end];
            let start = end - part.trim_start().len();
            let end = start + part.trim().len();
            if start < end {
                kept.insert(start, Tag { start, end, ..tag.clone() });
            }
        }
    }
    kept.into_values().collect()
}

/// The parts of `start..end` that lie in no span of `kept`, which are by their start and do not overlap.
fn free(kept: &BTreeMap<usize, Tag>, start: usize, end: usize) -> Vec<(usize, usize)> {
    let before = kept.range(..=start).next_back().map_or(start, |(_, tag)| tag.end.max(start));
    let (mut from, mut parts) = (before, Vec::new());
    for (&next, tag) in kept.range((Bound::Excluded(start), Bound::Unbounded)) {
        if next >= end {
            break;
        }
        parts.push((from, next));
        from = tag.end;
    }
    parts.push((from, end));
    parts.retain(|(from, end)| from < end);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(labels: &Labels, output: usize, probability: f32) -> Vec<f32> {
        let rest = (1.0 - probability) / (labels.len() - 1) as f32;
        (0..labels.len()).map(|at| if at == output { probability } else { rest }).collect()
    }

    fn words(text: &str) -> Vec<Word> {
        let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
        text.split(' ').map(|word| Word { start: start(word), end: start(word) + word.len() }).collect()
    }

    fn shown(labels: &Labels, text: &str, outputs: &[usize]) -> Vec<String> {
        let rows: Vec<_> = outputs.iter().map(|&output| row(labels, output, 0.9)).collect();
        let spans = labels.spans(text, &words(text), &rows, 0.5);
        spans.iter().map(|tag| format!("{}={}", &text[tag.start..tag.end], tag.label)).collect()
    }

    #[test]
    fn bio_labels_make_spans() {
        let labels = Labels::new(&["O", "B-PER", "I-PER", "B-LOC"]);
        assert_eq!(shown(&labels, "Anna Lee met Bo", &[1, 2, 0, 1]), ["Anna Lee=PER", "Bo=PER"]);
        assert_eq!(shown(&labels, "Anna Bo Rome", &[1, 1, 3]), ["Anna=PER", "Bo=PER", "Rome=LOC"]);
        assert_eq!(
            shown(&labels, "met Anna Lee", &[0, 2, 2]),
            ["Anna Lee=PER"],
            "a span without a beginning"
        );
    }

    #[test]
    fn bioes_and_plain_labels_make_spans() {
        let labels = Labels::new(&["O", "B-PER", "I-PER", "E-PER", "S-PER"]);
        assert_eq!(shown(&labels, "Anna van Lee Bo", &[1, 2, 3, 4]), ["Anna van Lee=PER", "Bo=PER"]);
        let labels = Labels::new(&["O", "PER"]);
        assert_eq!(shown(&labels, "Anna Lee met Bo", &[1, 1, 0, 1]), ["Anna Lee=PER", "Bo=PER"]);
    }

    #[test]
    fn scores_are_means_and_the_threshold_holds() {
        let labels = Labels::new(&["O", "B-PER", "I-PER"]);
        let text = "Anna Lee";
        let rows = [vec![0.1, 0.8, 0.1], vec![0.4, 0.2, 0.4]];
        let spans = labels.spans(text, &words(text), &rows, 0.5);
        assert_eq!(spans.len(), 1);
        assert!((spans[0].score - 0.75).abs() < 1e-6, "{spans:?}");
        assert!(labels.spans(text, &words(text), &rows, 0.95).is_empty());
    }

    fn tag(start: usize, end: usize, label: &str, score: f32) -> Tag {
        Tag { start, end, label: label.to_owned(), score }
    }

    #[test]
    fn windows_are_united() {
        let text = "it was seen by Maria Lee of Rome at VI";
        let tags = vec![
            tag(15, 20, "PER", 0.9),
            tag(15, 24, "PER", 0.8),
            tag(21, 32, "LOC", 0.7),
            tag(36, 38, "LOC", 0.6),
        ];
        let expected = [tag(15, 24, "PER", 0.9), tag(25, 32, "LOC", 0.7), tag(36, 38, "LOC", 0.6)];
        assert_eq!(united(text, tags), expected);
    }

    /// A window that begins at a word does not see what stood before it: of two readings of that word one stands, and what
    /// else they label stays labelled.
    #[test]
    fn of_two_labels_that_overlap_no_word_is_lost() {
        let text = "Anna Maria Lee";
        for (one, other, expected) in [
            (
                tag(0, 10, "GIVEN", 0.8),
                tag(5, 10, "SURNAME", 0.9),
                vec![tag(0, 4, "GIVEN", 0.8), tag(5, 10, "SURNAME", 0.9)],
            ),
            (
                tag(5, 10, "GIVEN", 0.9),
                tag(5, 14, "SURNAME", 0.8),
                vec![tag(5, 10, "GIVEN", 0.9), tag(11, 14, "SURNAME", 0.8)],
            ),
            (
                tag(0, 14, "GIVEN", 0.7),
                tag(5, 10, "SURNAME", 0.9),
                vec![tag(0, 4, "GIVEN", 0.7), tag(5, 10, "SURNAME", 0.9), tag(11, 14, "GIVEN", 0.7)],
            ),
            (tag(5, 10, "GIVEN", 0.8), tag(0, 14, "SURNAME", 0.9), vec![tag(0, 14, "SURNAME", 0.9)]),
        ] {
            assert_eq!(united(text, vec![one.clone(), other.clone()]), expected);
            assert_eq!(united(text, vec![other, one]), expected);
        }
    }

    #[test]
    fn every_word_of_a_span_is_in_one_afterwards() {
        let text = "ab cd ef gh ij kl mn op";
        let words: Vec<(usize, usize)> = (0..8).map(|word| (3 * word, 3 * word + 2)).collect();
        let mut state = 1_u64;
        let mut draw = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % below
        };
        for _ in 0..2000 {
            let tags: Vec<Tag> = (0..1 + draw(5))
                .map(|_| {
                    let first = draw(8);
                    let last = first + draw(8 - first);
                    let score = 0.5 + draw(5) as f32 / 10.0;
                    tag(words[first].0, words[last].1, ["A", "B", "C"][draw(3)], score)
                })
                .collect();
            let found = united(text, tags.clone());
            assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start), "{tags:?}: {found:?}");
            for &(start, end) in &words {
                let within = |tags: &[Tag]| tags.iter().any(|tag| tag.start <= start && end <= tag.end);
                assert_eq!(within(&found), within(&tags), "{tags:?}: {found:?}");
            }
        }
    }
}
