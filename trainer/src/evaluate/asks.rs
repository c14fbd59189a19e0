//! How much the questions of an evaluation are, so that its memory and its time are known before it is made.
//!
//! An answer is taken to be as long as it may be where memory is concerned: how long it will be nobody knows before.

use std::time::Instant;

use rtune_data::Validation;
use rtune_models::outline::AnswerPass;

use crate::config::Config;
use crate::error::TrainerError;
use crate::talk::BATCH_TOKENS;

/// Tokens of a template around a question, where nobody can render it.
const TEMPLATE_TOKENS: usize = 40;
/// Bytes of a token, at the least of many.
const TOKEN_BYTES: usize = 3;
/// Tokens of an answer by which the time of longer ones is told.
const TIMED_TOKENS: usize = 9;

/// Everything that an evaluation asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// Sets that are asked one after the other.
    pub sets: Vec<AskSet>,
}

/// Questions that are asked together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskSet {
    /// Whether it is a figure of the run; sample answers alone are none.
    pub is_measured: bool,
    /// The questions, in order.
    pub rows: Vec<Ask>,
    /// Texts that are read and ask nothing, in tokens.
    pub texts: Vec<usize>,
    /// Tokens that all questions begin with, which are computed once.
    pub shared: usize,
    /// Labels of which each is weighed as the answer to each question.
    pub labels: usize,
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// Answers under way at once.
    pub batch: usize,
    /// Prompt tokens of one pass.
    pub batch_tokens: usize,
    /// Positions that are made ready.
    pub positions: usize,
}

/// One question, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// What is asked.
    pub prompt: usize,
    /// The same with the expected answer, which is read before; as long as the prompt where that is not.
    pub whole: usize,
    /// Those of the expected answer.
    pub expected: usize,
    /// Answers that are made, each behind those before.
    pub turns: usize,
}

/// How long questions and answers take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timed {
    /// Seconds of a question: it is read, with its expected answer and its labels, and has the first token of its answer.
    pub question_s: f64,
    /// Seconds of a further token of an answer, beside as many others as there are at once.
    pub token_s: f64,
    /// Seconds of a token of a text that asks nothing.
    pub text_token_s: f64,
}

impl Timed {
    /// Times `ask`, which asks so many questions for answers of at most so many tokens and gives their tokens: once for a token
    /// each, and once for some more.
    pub(super) fn by(
        questions: usize,
        max_new_tokens: usize,
        ask: &mut dyn FnMut(usize) -> Result<usize, TrainerError>,
    ) -> Result<Self, TrainerError> {
        if questions == 0 {
            return Ok(Self::default());
        }
        let mut timed = |tokens| -> Result<(f64, usize), TrainerError> {
            let begun = Instant::now();
            let tokens = ask(tokens)?;
            Ok((begun.elapsed().as_secs_f64(), tokens))
        };
        // The first takes memory that the others find there.
        timed(1)?;
        let (first_s, first) = timed(1)?;
        let (more_s, more) = timed(max_new_tokens.min(TIMED_TOKENS))?;
        let token_s = (more_s - first_s).max(0.0) / more.saturating_sub(first).max(1) as f64;
        Ok(Self { question_s: first_s / questions as f64, token_s, text_token_s: 0.0 })
    }
}

/// What a set takes while it is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// Tokens whose keys and values are held at once.
    pub cached_tokens: usize,
    /// The largest pass; none is larger in anything.
    pub pass: AnswerPass,
    /// Positions that are made ready.
    pub positions: usize,
}

impl Asks {
    /// Those of `config` where nobody can tokenize them: golden rows are taken to be as long as `data.max-tokens` allows.
    #[must_use]
    pub fn unknown(config: &Config, max_positions: usize) -> Self {
        let (eval, longest) = (&config.eval, config.data.max_tokens.min(max_positions));
        let set = AskSet {
            is_measured: true,
            batch: super::watch::BATCH,
            batch_tokens: BATCH_TOKENS,
            positions: max_positions,
            ..AskSet::default()
        };
        let ask = |tokens: usize| {
            let most = tokens.saturating_sub(1);
            Ask { prompt: most, whole: tokens, expected: most, turns: 1 }
        };
        let mut sets = Vec::new();
        if eval.golden_rows > 0 && !config.data.golden.is_empty() {
            let rows = vec![ask(longest); eval.golden_rows];
            sets.push(AskSet { rows, max_new_tokens: eval.golden_tokens, ..set.clone() });
        }
        if eval.general {
            let tokens =
                super::watch::general_bytes().map(|bytes| TEMPLATE_TOKENS + bytes.div_ceil(TOKEN_BYTES));
            let max_new_tokens = super::watch::GENERAL_TOKENS;
            sets.push(AskSet { rows: tokens.map(ask).collect(), max_new_tokens, ..set.clone() });
        }
        if eval.samples > 0 && !matches!(config.data.validation, Validation::None) {
            sets.push(AskSet {
                is_measured: false,
                rows: vec![ask(longest); eval.samples],
                max_new_tokens: eval.sample_tokens,
                batch: eval.samples,
                batch_tokens: max_positions,
                ..set
            });
        }
        Self { sets }
    }

    /// Whether something of the run is measured by questions.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.sets.iter().any(|set| set.is_measured)
    }
}

impl AskSet {
    /// What it takes while it is asked, with so many threads.
    #[must_use]
    pub fn asking(&self, threads: usize) -> Asking {
        let (single, several): (Vec<Ask>, Vec<Ask>) = self.rows.iter().partition(|ask| ask.turns <= 1);
        let mut cached = self.cached(&single).max(self.cached_talks(&several)) + self.shared;
        let texts: Vec<Ask> = self.texts.iter().map(|&whole| Ask { whole, ..Ask::default() }).collect();
        cached = cached.max(self.groups(&texts).map(whole).max().unwrap_or(0));
        let weighed = self.rows.iter().map(|ask| ask.prompt + ask.expected);
        if self.labels > 0 {
            // What a question's labels share, and a copy of it for each of them, as `choosing.rs` has them.
            let copies = weighed.clone().map(|tokens| self.labels * tokens);
            let most = copies.clone().max().unwrap_or(0).max(super::choosing::COPIES * BATCH_TOKENS);
            let shared = weighed.clone().sum::<usize>().min(BATCH_TOKENS.max(weighed.max().unwrap_or(0)));
            cached = cached.max(copies.sum::<usize>().min(most) + shared);
        }
        Asking {
            cached_tokens: cached,
            pass: self.pass(&single, &several, &texts, threads),
            positions: self.positions,
        }
    }

    /// Seconds of all of it: where each answer is as long as it may be, as those of a base may be that was not trained, and where
    /// each is as long as the expected one.
    #[must_use]
    pub fn seconds(&self, timed: &Timed) -> [f64; 2] {
        let questions: usize = self.rows.iter().map(|ask| ask.turns.max(1)).sum();
        let read_s = questions as f64 * timed.question_s;
        let texts_s = self.texts.iter().sum::<usize>() as f64 * timed.text_token_s;
        self.answer_tokens()
            .map(|tokens| read_s + texts_s + tokens.saturating_sub(questions as u64) as f64 * timed.token_s)
    }

    /// Tokens of all answers: where each is as long as it may be, and where each is as long as the expected one.
    #[must_use]
    pub fn answer_tokens(&self) -> [u64; 2] {
        let most = self.max_new_tokens;
        let sum = |of: &dyn Fn(&Ask) -> usize| {
            self.rows.iter().map(|ask| (ask.turns.max(1) * of(ask)) as u64).sum::<u64>()
        };
        [sum(&|_| most), sum(&|ask| ask.expected.clamp(1, most.max(1)))]
    }

    /// A document with as long an answer as may be.
    fn answered(&self, ask: &Ask) -> usize {
        (ask.prompt + ask.turns.max(1) * self.max_new_tokens).min(self.positions).max(ask.whole)
    }

    /// The questions as they are made ready: as many as one pass takes.
    fn groups<'a>(&self, rows: &'a [Ask]) -> impl Iterator<Item = &'a [Ask]> + use<'a> {
        let (shared, most) = (self.shared, self.batch_tokens);
        let mut rest = rows;
        std::iter::from_fn(move || {
            let mut tokens = 0;
            let fits = |ask: &&Ask| {
                let own = ask.whole.saturating_sub(shared);
                tokens += own;
                tokens <= most || tokens == own
            };
            let count = rest.iter().take_while(fits).count();
            let (group, behind) = rest.split_at(count.min(rest.len()));
            rest = behind;
            (!group.is_empty()).then_some(group)
        })
    }

    /// Tokens that are cached while questions of one turn are asked: those made ready, and those of the answers under way. A
    /// group is made ready as soon as there is room for another answer.
    fn cached(&self, rows: &[Ask]) -> usize {
        let (mut most, mut before) = (0, 0_usize);
        let answered: Vec<usize> = rows.iter().map(|ask| self.answered(ask)).collect();
        for group in self.groups(rows) {
            let under_way = &answered[before.saturating_sub(self.batch.saturating_sub(1))..before];
            most = most.max(under_way.iter().sum::<usize>() + whole(group));
            let begun = group.len().min(self.batch);
            most = most.max(answered[before..before + begun].iter().sum::<usize>() + whole(&group[begun..]));
            before += group.len();
        }
        most
    }

    /// The same of questions of several turns, which are read first and then asked, a batch after the other.
    fn cached_talks(&self, rows: &[Ask]) -> usize {
        let talks =
            rows.chunks(self.batch.max(1)).map(|group| group.iter().map(|ask| self.answered(ask)).sum());
        talks.chain(self.groups(rows).map(whole)).max().unwrap_or(0)
    }

    fn pass(&self, single: &[Ask], several: &[Ask], texts: &[Ask], threads: usize) -> AnswerPass {
        let own =
            |group: &[Ask]| group.iter().map(|ask| ask.whole.saturating_sub(self.shared)).sum::<usize>();
        // Of a question that is not read only the answer is predicted, token by token.
        let read = |ask: &&Ask| ask.whole > ask.prompt;
        let predicted = |group: &[Ask]| group.iter().filter(read).map(|ask| ask.expected).sum::<usize>();
        let groups = || self.groups(single).chain(self.groups(several)).chain(self.groups(texts));
        let tokens = groups().map(own).max().unwrap_or(0).max(self.shared);
        let of_texts = self.groups(texts).map(whole).max().unwrap_or(0);
        let longest = self.rows.iter().map(|ask| self.answered(ask)).chain(self.texts.iter().copied());
        AnswerPass {
            tokens: tokens.max(self.batch.min(self.rows.len())),
            predicted: groups()
                .map(predicted)
                .max()
                .unwrap_or(0)
                .max(of_texts)
                .max(self.batch.min(self.rows.len())),
            longest: longest.max().unwrap_or(0),
            threads,
        }
    }
}

fn whole(group: &[Ask]) -> usize {
    group.iter().map(|ask| ask.whole).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(rows: usize, batch: usize, batch_tokens: usize) -> AskSet {
        AskSet {
            is_measured: true,
            rows: vec![Ask { prompt: 10, whole: 12, expected: 2, turns: 1 }; rows],
            max_new_tokens: 5,
            batch,
            batch_tokens,
            positions: 100,
            ..AskSet::default()
        }
    }

    #[test]
    fn what_is_ready_and_what_is_under_way_are_cached() {
        // Three are made ready and two of them answered: two of 15 tokens and one of 12.
        assert_eq!(set(3, 2, 40).asking(1).cached_tokens, 15 + 15 + 12);
        // Two groups of three: one answer is under way when the second is made ready.
        assert_eq!(set(6, 2, 40).asking(1).cached_tokens, 15 + 3 * 12);
        assert_eq!(set(6, 4, 40).asking(1).cached_tokens, 3 * 15 + 3 * 12);
        let of_talks =
            AskSet { rows: vec![Ask { prompt: 10, whole: 12, expected: 2, turns: 3 }; 4], ..set(0, 2, 40) };
        assert_eq!(of_talks.asking(1).cached_tokens, 2 * (10 + 3 * 5));
        assert_eq!(AskSet { texts: vec![30, 30], ..set(0, 2, 40) }.asking(1).cached_tokens, 30);
        assert_eq!(AskSet { labels: 4, ..set(2, 2, 40) }.asking(1).cached_tokens, 2 * 4 * 12 + 2 * 12);
    }

    #[test]
    fn a_pass_has_what_one_group_has() {
        let pass = set(6, 2, 40).asking(3).pass;
        assert_eq!(pass, AnswerPass { tokens: 36, predicted: 6, longest: 15, threads: 3 });
        let shared = AskSet { shared: 8, ..set(6, 2, 40) }.asking(3);
        assert_eq!((shared.pass.tokens, shared.cached_tokens), (24, 15 + 15 + 4 * 12 + 8));
        let long =
            AskSet { rows: vec![Ask { prompt: 90, whole: 90, expected: 90, turns: 1 }], ..set(0, 2, 40) };
        assert_eq!((long.asking(1).pass.tokens, long.asking(1).cached_tokens), (90, 95));
    }

    #[test]
    fn answers_are_as_long_as_they_may_be_or_as_expected() {
        assert_eq!(set(6, 2, 40).answer_tokens(), [30, 12]);
        // The first token of each comes with its question.
        let timed = Timed { question_s: 1.0, token_s: 0.5, text_token_s: 0.25 };
        let set = AskSet { texts: vec![8], ..set(6, 2, 40) };
        assert_eq!(set.seconds(&timed), [6.0 + 2.0 + 24.0 * 0.5, 6.0 + 2.0 + 6.0 * 0.5]);
    }
}
