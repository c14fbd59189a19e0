//! Vocabulary and merges of byte-pair encoding.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A vocabulary, of which is kept how long its longest token is, in bytes.
#[derive(Default)]
pub(super) struct Vocabulary {
    longest: usize,
}

/// What is to be joined: the length of the first, in bytes, and the second.
pub(super) struct Merge(usize, String);

/// Every join fits into the longest token: what is longer is no token, and is written over the end of what the library sets aside.
pub(super) fn check(vocabulary: &Vocabulary, merges: &[Merge], prefix: &str) -> Result<(), String> {
    for (rank, Merge(first, second)) in merges.iter().enumerate() {
        let Some(rest) = second.get(prefix.len()..) else {
            return Err(format!(
                "`model.merges[{rank}]`: expected a second token that begins with {prefix:?}, \
                 `model.continuing_subword_prefix`, found {second:?}"
            ));
        };
        if first + rest.len() > vocabulary.longest {
            return Err(format!(
                "`model.merges[{rank}]`: expected a token of `model.vocab`, found one of {} bytes, where the longest has {}",
                first + rest.len(),
                vocabulary.longest
            ));
        }
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Longest;
        impl<'de> Visitor<'de> for Longest {
            type Value = Vocabulary;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a vocabulary")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocabulary, A::Error> {
                let mut longest = 0;
                while let Some((token, IgnoredAny)) = map.next_entry::<Text, IgnoredAny>()? {
                    longest = longest.max(token.0);
                }
                Ok(Vocabulary { longest })
            }

            /// That of a Unigram model, which has no merges.
            fn visit_seq<A: SeqAccess<'de>>(self, mut tokens: A) -> Result<Vocabulary, A::Error> {
                while tokens.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Vocabulary::default())
            }
        }
        deserializer.deserialize_any(Longest)
    }
}

/// The length of a text, in bytes.
struct Text(usize);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Length;
        impl Visitor<'_> for Length {
            type Value = Text;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.len()))
            }
        }
        deserializer.deserialize_str(Length)
    }
}

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Merge;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("two tokens, in a list or with a space between")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Merge, E> {
                let (first, second) = text.split_once(' ').unwrap_or((text, ""));
                Ok(Merge(first.len(), second.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut tokens: A) -> Result<Merge, A::Error> {
                let (Some(Text(first)), Some(second)) = (tokens.next_element()?, tokens.next_element()?)
                else {
                    return Err(A::Error::invalid_length(0, &self));
                };
                match tokens.next_element::<IgnoredAny>()? {
                    None => Ok(Merge(first, second)),
                    Some(_) => Err(A::Error::invalid_length(3, &self)),
                }
            }
        }
        deserializer.deserialize_any(Pair)
    }
}
