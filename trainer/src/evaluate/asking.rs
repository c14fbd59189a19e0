//! The questions of a golden set, made ready a few at a time: each is read once, together with its expected answer, whose
//! loss is taken on the way; the keys and values of the prompt then serve the answer.

use std::collections::VecDeque;

use rtune_data::Example;
use rtune_kernels::cross_entropy::{self, RowLoss};
use rtune_models::decoder::{Fresh, KvCache, Positions};
use rtune_models::generate::{Document, Request};

use crate::loss::LossSum;
use crate::talk::{BATCH_TOKENS, Settings, Speaker};

/// One question.
pub(super) struct Question<'a> {
    /// What is asked, `[P]`.
    pub(super) prompt: &'a [u32],
    /// Prompt and expected answer, which is supervised.
    pub(super) scored: &'a Example,
}

/// Hands out requests, and keeps the losses of the expected answers.
pub(super) struct Asking<'a> {
    speaker: &'a Speaker<'a>,
    settings: &'a Settings,
    tuned: bool,
    questions: Vec<Question<'a>>,
    positions: Positions<f32>,
    /// The tokens that all questions begin with, computed once.
    beginning: KvCache<f32>,
    /// Questions made ready so far.
    done: usize,
    ready: VecDeque<Request>,
    losses: Vec<LossSum>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(
        speaker: &'a Speaker<'a>,
        questions: Vec<Question<'a>>,
        settings: &'a Settings,
        tuned: bool,
    ) -> Self {
        let opened = speaker.opened();
        let longest = questions.iter().map(|question| question.scored.tokens.len()).max().unwrap_or(0);
        let positions = opened.decoder.positions(longest);
        let mut beginning = opened.decoder.empty_cache();
        let shared = shared(&questions);
        if shared > 0 {
            let tokens = &questions[0].scored.tokens[..shared];
            let fresh = vec![Fresh { tokens, cache: &mut beginning }];
            let parameters = speaker.parameters(tuned);
            drop(opened.decoder.forward_cached(parameters, fresh, &positions, speaker.arena()));
        }
        let losses = Vec::with_capacity(questions.len());
        let ready = VecDeque::new();
        Self { speaker, settings, tuned, questions, positions, beginning, done: 0, ready, losses }
    }

    /// The loss of every expected answer, in order, once all requests are handed out.
    pub(super) fn losses(self) -> Vec<LossSum> {
        self.losses
    }

    /// Makes the next questions ready, as many as one pass takes.
    fn prepare(&mut self) {
        let shared = self.beginning.tokens();
        let mut tokens = 0;
        let fits = |question: &&Question<'_>| {
            let own = question.scored.tokens.len() - shared;
            tokens += own;
            tokens <= BATCH_TOKENS || tokens == own
        };
        let group: Vec<&Question<'_>> = self.questions[self.done..].iter().take_while(fits).collect();
        let mut caches: Vec<KvCache<f32>> = group.iter().map(|_| self.beginning.clone()).collect();
        let fresh = group.iter().zip(&mut caches);
        let fresh = fresh.map(|(question, cache)| Fresh { tokens: &question.scored.tokens[shared..], cache });
        let opened = self.speaker.opened();
        let (parameters, arena) = (self.speaker.parameters(self.tuned), self.speaker.arena());
        let output = opened.decoder.forward_cached(parameters, fresh.collect(), &self.positions, arena);
        let (mut rows, mut targets, mut start) = (Vec::new(), Vec::new(), 0);
        for Question { scored, .. } in &group {
            for t in (shared + 1..scored.tokens.len()).filter(|&t| scored.supervised[t]) {
                rows.push(start + t - 1 - shared);
                targets.push(scored.tokens[t]);
            }
            start += scored.tokens.len() - shared;
        }
        let losses = self.row_losses(&output, rows, &targets);
        let mut rest = &losses[..];
        for (question, mut cache) in group.into_iter().zip(caches) {
            let (own, behind) = rest.split_at(question.scored.supervised_count());
            rest = behind;
            self.losses.push(LossSum::of(own));
            let prompt = question.prompt.to_vec();
            // A template may end a conversation otherwise than it begins an answer.
            let document = question.scored.tokens.starts_with(&prompt).then(|| {
                cache.truncate(prompt.len());
                Document::new(prompt.clone(), cache)
            });
            self.ready.push_back(self.speaker.request(self.done, prompt, self.settings, document));
            self.done += 1;
        }
    }

    fn row_losses(&self, output_td: &[f32], rows: Vec<usize>, targets: &[u32]) -> Vec<RowLoss> {
        let (opened, arena) = (self.speaker.opened(), self.speaker.arena());
        let (decoder, parameters) = (opened.decoder, self.speaker.parameters(self.tuned));
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
}

impl Iterator for Asking<'_> {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        if self.ready.is_empty() && self.done < self.questions.len() {
            self.prepare();
        }
        self.ready.pop_front()
    }
}

/// How many tokens all questions begin with, leaving each a token of its prompt and every target a row.
fn shared(questions: &[Question<'_>]) -> usize {
    let [first, rest @ ..] = questions else { return 0 };
    let room = |question: &Question<'_>| {
        let target = question.scored.supervised.iter().position(|&supervised| supervised);
        (question.prompt.len() - 1).min(target.map_or(0, |target| target - 1))
    };
    rest.iter().fold(if rest.is_empty() { 0 } else { room(first) }, |shared, question| {
        let same =
            first.scored.tokens.iter().zip(&question.scored.tokens).take_while(|(a, b)| a == b).count();
        shared.min(room(question)).min(same)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rtune_data::Origin;

    use super::*;

    fn example(tokens: &[u32], prompt: usize) -> Example {
        let origin = Origin { file: Path::new("a").into(), line: 1 };
        let supervised = (0..tokens.len()).map(|t| t >= prompt).collect();
        Example { id: "a".into(), origin, tokens: tokens.to_vec(), supervised }
    }

    #[test]
    fn what_all_begin_with_leaves_each_its_last_token() {
        let rows = [example(&[1, 2, 3, 4, 9], 4), example(&[1, 2, 3, 9], 3), example(&[1, 2, 3, 4, 5, 9], 5)];
        let prompts = [&rows[0].tokens[..4], &rows[1].tokens[..3], &rows[2].tokens[..5]];
        let question = |index: usize| Question { prompt: prompts[index], scored: &rows[index] };
        assert_eq!(shared(&[question(0), question(1), question(2)]), 2);
        assert_eq!(shared(&[question(0), question(2)]), 3);
        assert_eq!((shared(&[question(0)]), shared(&[])), (0, 0));
    }
}
