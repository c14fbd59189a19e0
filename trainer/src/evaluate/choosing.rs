//! Several continuations of the same text, such as labels or the choices of a question: what they have in common is computed once.

use rtune_data::Example;
use rtune_kernels::arena::Arena;
use rtune_kernels::cross_entropy::{self, RowLoss};
use rtune_models::Decoder;
use rtune_models::decoder::{Fresh, KvCache, Positions};

use crate::error::TrainerError;
use crate::gpu::Voice;
use crate::talk::{BATCH_TOKENS, Speaker};

/// Keys and values of one pass over continuations are copies for each of them: this many tokens of them, as multiples of a pass.
pub(super) const COPIES: usize = 4;

/// The losses of all continuations: for each group, for each of its texts, the supervised tokens in order. `progress` is called with
/// (groups done, groups in all). What a speaker with [`Speaker::until`] cut short has no losses.
///
/// # Errors
/// [`TrainerError::Gpu`].
///
/// # Panics
/// If a text's first supervised token has none before it.
pub(super) fn losses(
    speaker: &Speaker<'_>,
    groups: &[Vec<Example>],
    tuned: bool,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Vec<Vec<RowLoss>>>, TrainerError> {
    if let Some(voice) = speaker.opened().voice {
        return losses_on(speaker, voice, groups, tuned, progress);
    }
    let longest = groups.iter().flatten().map(|text| text.tokens.len()).max().unwrap_or(0);
    let mut chooser = Chooser {
        decoder: speaker.opened().decoder,
        parameters: speaker.parameters(tuned),
        arena: speaker.arena(),
        positions: speaker.opened().decoder.positions(longest),
        beginning: speaker.opened().decoder.empty_cache(),
    };
    let shared: Vec<usize> = groups.iter().map(|group| shared(group)).collect();
    chooser.begin(groups, &shared);
    let mut all = Vec::with_capacity(groups.len());
    while all.len() < groups.len() {
        if speaker.has_enough() {
            all.extend(groups[all.len()..].iter().map(|group| vec![Vec::new(); group.len()]));
            break;
        }
        let (groups, shared) = (&groups[all.len()..], &shared[all.len()..]);
        let count = chooser.fitting(groups, shared);
        all.extend(chooser.losses(&groups[..count], &shared[..count]));
        chooser.arena.give_back();
        progress(all.len(), all.len() + groups.len() - count);
    }
    Ok(all)
}

/// [`losses`] on a GPU, where every text is read whole.
fn losses_on(
    speaker: &Speaker<'_>,
    voice: Voice<'_>,
    groups: &[Vec<Example>],
    tuned: bool,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Vec<Vec<RowLoss>>>, TrainerError> {
    let texts: Vec<&Example> = groups.iter().flatten().collect();
    let group_of: Vec<usize> =
        groups.iter().enumerate().flat_map(|(group, texts)| texts.iter().map(move |_| group)).collect();
    let mut of_texts = |done: usize, _| {
        let begun = group_of.get(done).map_or(groups.len(), |group| *group);
        progress(begun, groups.len());
        !speaker.has_enough()
    };
    let mut losses = voice.losses(&texts, BATCH_TOKENS, tuned, &mut of_texts)?;
    losses.resize_with(texts.len(), Vec::new);
    let mut losses = losses.into_iter();
    Ok(groups.iter().map(|group| losses.by_ref().take(group.len()).collect()).collect())
}

struct Chooser<'a> {
    decoder: &'a Decoder,
    parameters: &'a [f32],
    arena: &'a Arena<f32>,
    positions: Positions<f32>,
    /// The tokens that all groups begin with, computed once.
    beginning: KvCache<f32>,
}

/// Where a token is predicted.
#[derive(Clone, Copy)]
enum Place {
    /// In the last row of what the group shares.
    Shared,
    /// In a row of the text's own tokens.
    Own(usize),
}

impl Chooser<'_> {
    /// Computes what all groups begin with, leaving each a token of what it shares.
    fn begin(&mut self, groups: &[Vec<Example>], shared: &[usize]) {
        let mut firsts =
            groups.iter().zip(shared).filter_map(|(group, shared)| Some(&group.first()?.tokens[..*shared]));
        let Some(first) = firsts.next() else { return };
        let common = firsts.fold(first.len(), |common, tokens| {
            common.min(tokens.len()).min(same(&first[..common.min(tokens.len())], tokens))
        });
        let most = shared.iter().copied().min().unwrap_or(0).saturating_sub(1);
        let common = if groups.len() > 1 { common.min(most) } else { 0 };
        if common > 0 {
            let fresh = vec![Fresh { tokens: &first[..common], cache: &mut self.beginning }];
            drop(self.decoder.forward_cached(self.parameters, fresh, &self.positions, self.arena));
        }
    }

    /// How many groups one pass takes, at least one.
    fn fitting(&self, groups: &[Vec<Example>], shared: &[usize]) -> usize {
        let (mut fresh, mut copies) = (0, 0);
        let fits = |(group, shared): &(&Vec<Example>, &usize)| {
            fresh += **shared - self.beginning.tokens();
            copies += group.iter().map(end).sum::<usize>();
            fresh <= BATCH_TOKENS && copies <= COPIES * BATCH_TOKENS
        };
        groups.iter().zip(shared).take_while(fits).count().max(1)
    }

    fn losses(&self, groups: &[Vec<Example>], shared: &[usize]) -> Vec<Vec<Vec<RowLoss>>> {
        let begun = self.beginning.tokens();
        let mut caches: Vec<KvCache<f32>> = groups.iter().map(|_| self.beginning.clone()).collect();
        let fresh = groups.iter().zip(shared).zip(&mut caches).filter_map(|((group, &shared), cache)| {
            let tokens = &group.first()?.tokens[begun..shared.max(begun)];
            (!tokens.is_empty()).then_some(Fresh { tokens, cache })
        });
        let fresh: Vec<Fresh<'_, f32>> = fresh.collect();
        // Texts that have not even their first token in common share nothing.
        let output = match fresh.is_empty() {
            true => self.arena.take(0),
            false => self.decoder.forward_cached(self.parameters, fresh, &self.positions, self.arena),
        };
        let (mut rows, mut targets, mut row) = (Vec::new(), Vec::new(), 0);
        for (group, &shared) in groups.iter().zip(shared) {
            row += shared - begun;
            for text in group.iter().filter(|text| text.supervised[shared]) {
                rows.push(row - 1);
                targets.push(text.tokens[shared]);
            }
        }
        let mut of_shared = self.row_losses(&output, rows, &targets).into_iter();
        drop(output);
        let mut of_own = self.own(groups, shared, caches).into_iter();
        let mut loss = |place| match place {
            Place::Shared => of_shared.next(),
            Place::Own(_) => of_own.next(),
        };
        groups
            .iter()
            .zip(shared)
            .map(|(group, &shared)| {
                group.iter().map(|text| places(text, shared).filter_map(&mut loss).collect()).collect()
            })
            .collect()
    }

    /// The losses of tokens that rows of their own predict, text by text.
    fn own(&self, groups: &[Vec<Example>], shared: &[usize], caches: Vec<KvCache<f32>>) -> Vec<RowLoss> {
        let (mut texts, mut copies) = (Vec::new(), Vec::new());
        for ((group, &shared), cache) in groups.iter().zip(shared).zip(caches) {
            // The last token predicts nothing that is asked for.
            let long = group.iter().filter(|text| end(text) > shared + 1);
            for text in long {
                texts.push((text, shared));
                copies.push(cache.clone());
            }
        }
        if texts.is_empty() {
            return Vec::new();
        }
        let fresh = texts.iter().zip(&mut copies);
        let fresh = fresh
            .map(|((text, shared), cache)| Fresh { tokens: &text.tokens[*shared..end(text) - 1], cache });
        let output =
            self.decoder.forward_cached(self.parameters, fresh.collect(), &self.positions, self.arena);
        let (mut rows, mut targets, mut start) = (Vec::new(), Vec::new(), 0);
        for (text, shared) in texts {
            for place in places(text, shared) {
                if let Place::Own(row) = place {
                    rows.push(start + row);
                    targets.push(text.tokens[shared + row + 1]);
                }
            }
            start += end(text) - 1 - shared;
        }
        self.row_losses(&output, rows, &targets)
    }

    fn row_losses(&self, output_td: &[f32], rows: Vec<usize>, targets: &[u32]) -> Vec<RowLoss> {
        row_losses(self.decoder, self.parameters, output_td, rows, targets, self.arena)
    }
}

/// The losses of `targets`, each predicted from its row of a decoder's output.
pub(super) fn row_losses(
    decoder: &Decoder,
    parameters: &[f32],
    output_td: &[f32],
    rows: Vec<usize>,
    targets: &[u32],
    arena: &Arena<f32>,
) -> Vec<RowLoss> {
    if targets.is_empty() {
        return Vec::new();
    }
    let head = decoder.head_rows(parameters, output_td, rows, arena);
    let (width, vocabulary) = (decoder.spec().width, decoder.spec().vocabulary);
    let chunk = decoder.head_chunk_rows();
    let mut losses = vec![RowLoss::default(); targets.len()];
    let chunks = head.normed_nd.chunks(chunk * width).zip(targets.chunks(chunk));
    for ((normed_cd, targets), losses) in chunks.zip(losses.chunks_mut(chunk)) {
        let mut logits_cv = arena.take(targets.len() * vocabulary);
        decoder.logits(parameters, normed_cd, &mut logits_cv, arena);
        cross_entropy::evaluate(&logits_cv, targets, losses);
    }
    losses
}

/// Where the supervised tokens of a text are predicted, in order.
fn places(text: &Example, shared: usize) -> impl Iterator<Item = Place> + '_ {
    (shared..text.tokens.len()).filter(|&t| text.supervised[t]).map(move |t| match t - shared {
        0 => Place::Shared,
        own => Place::Own(own - 1),
    })
}

/// How many tokens the texts of a group begin with, none of them supervised, leaving each text one more.
fn shared(group: &[Example]) -> usize {
    let Some(first) = group.first() else { return 0 };
    let room = |text: &Example| {
        let target = text.supervised.iter().position(|&supervised| supervised);
        target.unwrap_or(text.tokens.len()).min(text.tokens.len() - 1)
    };
    group
        .iter()
        .fold(room(first), |shared, text| shared.min(room(text)).min(same(&first.tokens, &text.tokens)))
}

/// Behind the last token that is asked for: what comes after it changes nothing.
fn end(text: &Example) -> usize {
    text.supervised.iter().rposition(|&supervised| supervised).map_or(0, |last| last + 1)
}

fn same(one: &[u32], other: &[u32]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rtune_data::Origin;

    use super::*;

    fn text(tokens: &[u32], first: usize) -> Example {
        let origin = Origin { file: Path::new("a").into(), line: 1 };
        let supervised = (0..tokens.len()).map(|t| t >= first).collect();
        Example { id: "a".into(), origin, tokens: tokens.to_vec(), supervised }
    }

    #[test]
    fn what_a_group_shares_ends_before_what_is_asked() {
        assert_eq!(shared(&[text(&[1, 2, 3, 4], 3), text(&[1, 2, 3, 5, 6], 3)]), 3);
        assert_eq!(shared(&[text(&[1, 2, 3, 4], 3), text(&[1, 2, 7, 5], 3)]), 2);
        // Both continuations begin with 9, which is asked for all the same.
        assert_eq!(shared(&[text(&[1, 2, 9, 4], 2), text(&[1, 2, 9, 5], 2)]), 2);
        let of = |text: &Example, shared| -> Vec<Option<usize>> {
            let own = |place| if let Place::Own(row) = place { Some(row) } else { None };
            places(text, shared).map(own).collect()
        };
        assert_eq!(of(&text(&[1, 2, 9, 4], 2), 2), [None, Some(0)]);
        assert_eq!(of(&text(&[1, 2, 9, 4], 2), 1), [Some(0), Some(1)]);
    }
}
