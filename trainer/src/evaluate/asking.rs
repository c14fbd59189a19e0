//! The questions of a golden set, made ready a few at a time: each is read once, together with its expected answer, whose
//! loss is taken on the way; the keys and values of the prompt then serve the answer.

use std::collections::VecDeque;

use rtune_data::Example;
use rtune_kernels::cross_entropy::RowLoss;
use rtune_models::decoder::{Fresh, KvCache, Positions};
use rtune_models::generate::{Document, Request};

use super::choosing::row_losses;
use crate::error::TrainerError;
use crate::gpu::Voice;
use crate::loss::LossSum;
use crate::talk::{BATCH_TOKENS, Settings, Speaker};

/// One question.
pub(super) struct Question<'a> {
    /// What is asked, `[P]`.
    pub(super) prompt: &'a [u32],
    /// Prompt and expected answer, which is supervised.
    pub(super) scored: &'a Example,
}

/// What of a question has its likelihood taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The expected answer.
    Answer,
    /// The prompt too.
    Everything,
}

impl Scope {
    /// Whether token `t` of a text, which has one before it, is taken.
    fn takes(self, text: &Example, t: usize) -> bool {
        self == Self::Everything || text.supervised[t]
    }
}

/// How likely the tokens of one question are.
#[derive(Clone, Debug, Default)]
pub(super) struct QuestionLoss {
    /// Of each token of the expected answer, in order.
    pub(super) answer: Vec<RowLoss>,
    /// Of all tokens that have one before them; of those of the answer, where the scope is that.
    pub(super) everything: LossSum,
}

impl QuestionLoss {
    /// Of the whole answer, with the token that ends it.
    pub(super) fn of_answer(&self) -> LossSum {
        LossSum::of(&self.answer)
    }

    /// Of the answer's text: without its last token, where that ends it.
    pub(super) fn of_text(&self, ended: bool) -> LossSum {
        LossSum::of(&self.answer[..self.answer.len() - usize::from(ended && !self.answer.is_empty())])
    }
}

/// Hands out requests, and keeps the losses of the expected answers.
pub(super) struct Asking<'a> {
    speaker: &'a Speaker<'a>,
    settings: &'a Settings,
    tuned: bool,
    scope: Scope,
    questions: Vec<Question<'a>>,
    positions: Positions<f32>,
    /// The tokens that all questions begin with, computed once.
    beginning: KvCache<f32>,
    /// The losses of those tokens, but for the first, and of the token behind them in each question; where the scope is everything.
    begun: LossSum,
    behind: Vec<RowLoss>,
    /// Questions made ready so far.
    done: usize,
    ready: VecDeque<Request>,
    losses: Vec<QuestionLoss>,
    /// Why nothing more is handed out.
    failed: Option<TrainerError>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(
        speaker: &'a Speaker<'a>,
        questions: Vec<Question<'a>>,
        settings: &'a Settings,
        tuned: bool,
        scope: Scope,
    ) -> Self {
        let opened = speaker.opened();
        let longest = questions.iter().map(|question| question.scored.tokens.len()).max().unwrap_or(0);
        let positions = opened.decoder.positions(longest);
        let beginning = opened.decoder.empty_cache();
        // A GPU reads every question whole; and where positions turn otherwise in a long text, what is scored of its beginning does too.
        let is_apart = scope == Scope::Everything && !opened.decoder.spec().shares_prefixes();
        let shared = if opened.voice.is_some() || is_apart { 0 } else { shared(&questions) };
        let losses = Vec::with_capacity(questions.len());
        let mut asking = Self {
            speaker,
            settings,
            tuned,
            scope,
            questions,
            positions,
            beginning,
            begun: LossSum::default(),
            behind: Vec::new(),
            done: 0,
            ready: VecDeque::new(),
            losses,
            failed: None,
        };
        if shared > 0 {
            asking.begin(shared);
        }
        asking
    }

    /// Computes what all questions begin with.
    fn begin(&mut self, shared: usize) {
        let first: &'a Example = self.questions[0].scored;
        let tokens = &first.tokens[..shared];
        let fresh = vec![Fresh { tokens, cache: &mut self.beginning }];
        let (parameters, arena) = (self.speaker.parameters(self.tuned), self.speaker.arena());
        let output = self.speaker.opened().decoder.forward_cached(parameters, fresh, &self.positions, arena);
        if self.scope == Scope::Everything {
            // The last row predicts another token in each question.
            let rows = (0..shared - 1).chain(std::iter::repeat_n(shared - 1, self.questions.len()));
            let behind = self.questions.iter().map(|question| question.scored.tokens[shared]);
            let targets: Vec<u32> = tokens[1..].iter().copied().chain(behind).collect();
            let losses = self.row_losses(&output, rows.collect(), &targets);
            let (begun, behind) = losses.split_at(shared - 1);
            (self.begun, self.behind) = (LossSum::of(begun), behind.to_vec());
        }
    }

    /// The losses of every question, in order, once all requests are handed out. Questions that came after the speaker had enough have none.
    ///
    /// # Errors
    /// [`TrainerError::Gpu`].
    pub(super) fn losses(self) -> Result<Vec<QuestionLoss>, TrainerError> {
        self.failed.map_or(Ok(self.losses), Err)
    }

    /// Makes all questions ready on the GPU.
    fn prepare_on(&mut self, voice: Voice<'_>) -> Result<(), TrainerError> {
        let everything = self.scope == Scope::Everything;
        let read = |question: &Question<'_>| {
            let mut text = question.scored.clone();
            if everything {
                text.supervised.fill(true);
                // Nothing predicts it.
                text.supervised[..1].fill(false);
            }
            text
        };
        let texts: Vec<Example> = self.questions.iter().map(read).collect();
        let texts: Vec<&Example> = texts.iter().collect();
        let mut go_on = |_, _| !self.speaker.has_enough();
        let losses = voice.losses(&texts, BATCH_TOKENS, self.tuned, &mut go_on)?;
        for (index, (question, losses)) in self.questions.iter().zip(losses).enumerate() {
            let everything = LossSum::of(&losses);
            let read = (1..question.scored.tokens.len()).filter(|&t| self.scope.takes(question.scored, t));
            let answer = read.zip(losses).filter(|(t, _)| question.scored.supervised[*t]);
            let answer = answer.map(|(_, loss)| loss).collect();
            self.losses.push(QuestionLoss { answer, everything });
            let prompt = question.prompt.to_vec();
            self.ready.push_back(self.speaker.request(index, prompt, self.settings, None));
        }
        self.done = self.losses.len();
        self.leave_rest();
        Ok(())
    }

    /// Makes the rest ready without computing anything: whoever wants no more takes no answers either, and counts them all the same.
    fn leave_rest(&mut self) {
        for (index, question) in self.questions.iter().enumerate().skip(self.done) {
            self.losses.push(QuestionLoss::default());
            let prompt = question.prompt.to_vec();
            self.ready.push_back(self.speaker.request(index, prompt, self.settings, None));
        }
        self.done = self.questions.len();
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
        let everything = self.scope == Scope::Everything;
        for Question { scored, .. } in &group {
            for t in (shared + 1..scored.tokens.len()).filter(|&t| self.scope.takes(scored, t)) {
                rows.push(start + t - 1 - shared);
                targets.push((scored.tokens[t], scored.supervised[t]));
            }
            start += scored.tokens.len() - shared;
        }
        let tokens: Vec<u32> = targets.iter().map(|(token, _)| *token).collect();
        let losses = self.row_losses(&output, rows, &tokens);
        let mut rest = losses.into_iter().zip(targets).map(|(loss, (_, supervised))| (loss, supervised));
        for (question, mut cache) in group.into_iter().zip(caches) {
            let scored = question.scored;
            let own = scored.tokens.len() - shared - 1;
            let count = if everything { own } else { scored.supervised_count() };
            let mut loss = QuestionLoss::default();
            for (row, supervised) in rest.by_ref().take(count) {
                loss.everything += LossSum::of(&[row]);
                if supervised {
                    loss.answer.push(row);
                }
            }
            loss.everything += self.begun;
            if let Some(behind) = self.behind.get(self.done) {
                loss.everything += LossSum::of(&[*behind]);
            }
            self.losses.push(loss);
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
        row_losses(decoder, parameters, output_td, rows, targets, arena)
    }
}

impl Iterator for Asking<'_> {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        if self.ready.is_empty() && self.done < self.questions.len() && self.failed.is_none() {
            match self.speaker.opened().voice {
                _ if self.speaker.has_enough() => self.leave_rest(),
                Some(voice) => self.failed = self.prepare_on(voice).err(),
                None => self.prepare(),
            }
        }
        self.ready.pop_front()
    }
}

/// How many tokens all questions begin with, leaving each a token of its prompt and every target a row.
pub(super) fn shared(questions: &[Question<'_>]) -> usize {
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
