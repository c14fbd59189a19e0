//! Answers of one model beside what was expected: scored one by one, and summed.

use rtune_metrics::grounded::GroundednessSum;
use rtune_metrics::likelihood::Likelihood;
use rtune_metrics::text::{self, bleu, chrf, rouge, ter};
use rtune_sandbox::Sandbox;

use super::asked::Asked;
use super::asking::{QuestionLoss, Scope};
use super::calls::ToolCalls;
use super::conversation::{Conversations, Remembered, Said, TurnSide};
use super::extraction::Extraction;
use super::figures::{Echo, Grounding, Likely, Rouge, Side, Signatures, Summary};
use super::running;
use crate::error::TrainerError;
use crate::loss::LossSum;

/// How texts of at most `references` references each are compared.
pub(super) fn signatures(references: usize) -> Signatures {
    Signatures {
        chrf_signature: text::signed(&chrf::signature(chrf::Kind::Plain, references)),
        chrf_plus_plus_signature: text::signed(&chrf::signature(chrf::Kind::PlusPlus, references)),
        bleu_signature: text::signed(&bleu::signature(references)),
        ter_signature: text::signed(&ter::signature(references)),
        rouge_signature: text::signed(&rouge::signature(references, false)),
        bert_score_signature: None,
    }
}

/// What repeating the question would come to, where every case is a text of bounded length; of several turns the last.
pub(super) fn echo(asked: &[Asked]) -> Option<Echo> {
    let mut chrf = chrf::ChrfStatistics::default();
    let (mut exact, mut rouge_l, mut weight) = (0.0, 0.0, 0.0);
    for one in asked {
        let question = one.record.prompt().iter().rfind(|message| message.role == "user")?;
        let (said, references) = (question.content.as_str(), one.references(one.turns.len().max(1) - 1));
        if text::count_words(said) > text::MOST_WORDS {
            return None;
        }
        chrf += chrf::statistics_of_best(said, &references, chrf::Kind::Plain);
        let own = one.wanted.weight;
        let same = references.iter().any(|reference| text::exact_match(said, reference));
        exact += if same { own } else { 0.0 };
        rouge_l += own * rouge::scores_of_best(said, &references, false).rouge_l.f1;
        weight += own;
    }
    (weight > 0.0).then(|| Echo {
        exact_match: exact / weight,
        chrf: chrf.score(),
        rouge_l: rouge_l / weight,
    })
}

/// Sums over the cases of one model.
#[derive(Default)]
pub(super) struct Tally {
    texts: Texts,
    answer: LossSum,
    answer_text: Likelihood,
    everything: LossSum,
    everything_text: Likelihood,
    answer_tokens: usize,
    /// Means over answers, each by the weight of its case.
    rouge: Rouge,
    weight_of_answers: f64,
    grounded: GroundednessSum,
    /// The weight of the answers that were held against sources, and of those with something unsupported.
    grounded_weights: [f64; 2],
}

/// Statistics of texts, by which any number of answers is scored.
#[derive(Default)]
struct Texts {
    chrf: chrf::ChrfStatistics,
    /// Of words, too: chrF2 is to be had from it as well, but not over the same best reference.
    chrf_plus_plus: chrf::ChrfStatistics,
    bleu: bleu::BleuStatistics,
    ter: ter::TerStatistics,
    rouge: Rouge,
    answers: usize,
}

impl Texts {
    fn of(answer: &str, references: &[&str]) -> Self {
        Self {
            chrf: chrf::statistics_of_best(answer, references, chrf::Kind::Plain),
            chrf_plus_plus: chrf::statistics_of_best(answer, references, chrf::Kind::PlusPlus),
            bleu: bleu::statistics_of_all(answer, references),
            ter: ter::statistics_of_all(answer, references),
            rouge: Rouge::of(&rouge::scores_of_best(answer, references, false)),
            answers: 1,
        }
    }

    fn add(&mut self, other: &Self) {
        self.chrf += other.chrf;
        self.chrf_plus_plus += other.chrf_plus_plus;
        self.bleu += other.bleu;
        self.ter += other.ter;
        self.rouge.add(&other.rouge, 1.0);
        self.answers += other.answers;
    }
}

impl Tally {
    /// Scores the answers to one case, one a turn. `marked` is the text of its tokens but for the first, where their likelihood was taken.
    ///
    /// # Errors
    /// [`TrainerError::Sandbox`], where a program was not run.
    pub(super) fn add(
        &mut self,
        asked: &Asked,
        mut said: Vec<Said>,
        loss: &QuestionLoss,
        marked: Option<&str>,
        sandbox: Option<&Sandbox>,
    ) -> Result<Side, TrainerError> {
        let turns = self.turns(asked, &said, sandbox)?;
        let mut texts = Texts::default();
        for (turn, said) in said.iter().enumerate() {
            texts.add(&Texts::of(&said.text, &asked.references(turn)));
        }
        self.texts.add(&texts);
        self.rouge.add(&texts.rouge, asked.wanted.weight);
        self.weight_of_answers += asked.wanted.weight * texts.answers as f64;
        self.answer_tokens += said.iter().map(|said| said.tokens).sum::<usize>();
        let (answer_loss, text_loss) = (loss.of_answer(), loss.of_text(asked.ended));
        self.answer += answer_loss;
        let own = asked.own.as_str();
        self.answer_text += Likelihood::of(own, text_loss.nats, text_loss.supervised_tokens);
        if let Some(marked) = marked {
            let LossSum { nats, supervised_tokens, .. } = loss.everything;
            self.everything += loss.everything;
            self.everything_text += Likelihood::of(marked, nats, supervised_tokens);
        }
        let all = |same: fn(&str, &str) -> bool| {
            said.iter().enumerate().all(|(turn, said)| {
                asked.references(turn).iter().any(|reference| same(&said.text, reference))
            })
        };
        let (exact_match, normalised_match) = (all(text::exact_match), all(text::normalised_match));
        let (failed_checks, remembered) = (failed(asked, &turns), remembered(asked, &said, sandbox)?);
        let last = said.pop().unwrap_or_else(|| Said { text: String::new(), ended: false, tokens: 0 });
        Ok(Side {
            ended: last.ended,
            exact_match,
            normalised_match,
            failed_checks,
            chrf: texts.chrf.score(),
            chrf_plus_plus: texts.chrf_plus_plus.score_of(chrf::Kind::PlusPlus),
            bleu: texts.bleu.sentence_score(),
            ter: texts.ter.score(),
            rouge: texts.rouge.over(texts.answers as f64),
            similarity: None,
            nats: answer_loss.nats,
            tokens: answer_loss.supervised_tokens,
            correct_tokens: answer_loss.correct_tokens,
            perplexity: answer_loss.perplexity(),
            text_nats: text_loss.nats,
            text_bytes: own.len() as u64,
            label_nats: None,
            grounded: turns.last().and_then(|turn| turn.grounded.clone()),
            extracted: asked.json.as_ref().map(|json| json.extract(&last.text)),
            called: asked.calls.as_ref().map(|calls| calls.read(&last.text)),
            turns: if turns.len() > 1 { turns } else { Vec::new() },
            remembered,
            answer: last.text,
        })
    }

    /// Each turn's own checks and claims.
    fn turns(
        &mut self,
        asked: &Asked,
        said: &[Said],
        sandbox: Option<&Sandbox>,
    ) -> Result<Vec<TurnSide>, TrainerError> {
        let of = |(index, said): (usize, &Said)| {
            let checks = asked.wanted.checks.iter().filter(|check| check.is_of(index + 1, asked.turns.len()));
            let grounded = asked.sources.as_ref().map(|sources| sources.ground(&said.text));
            if let Some(grounded) = &grounded {
                self.grounded += grounded;
                let [all, unsupported] = &mut self.grounded_weights;
                *all += asked.wanted.weight;
                *unsupported += if grounded.is_grounded() { 0.0 } else { asked.wanted.weight };
            }
            let mut failed_checks = Vec::new();
            for check in checks {
                failed_checks.extend(running::failure(check, &said.text, sandbox)?);
            }
            Ok(TurnSide {
                answer: said.text.clone(),
                ended: said.ended,
                exact_match: asked
                    .references(index)
                    .iter()
                    .any(|reference| text::exact_match(&said.text, reference)),
                failed_checks,
                grounded,
            })
        };
        said.iter().enumerate().map(of).collect()
    }

    pub(super) fn summary(&self, asked: &[Asked], sides: &[Side], scope: Scope) -> Summary {
        // Shares are means over cases, each by its weight.
        let share = |among: &dyn Fn(&Asked) -> bool, counts: &dyn Fn(&Side) -> bool| {
            let cases = || asked.iter().zip(sides).filter(|(asked, _)| among(asked));
            // From zero: the sum of no numbers at all is the negative one.
            let weigh = |sum: f64, (asked, _): (&Asked, &Side)| sum + asked.wanted.weight;
            let all = cases().fold(0.0, weigh);
            cases().filter(|(_, side)| counts(side)).fold(0.0, weigh) / if all > 0.0 { all } else { 1.0 }
        };
        let all = |_: &Asked| true;
        let is_checked = |asked: &Asked| !asked.wanted.checks.is_empty();
        let talks = asked.iter().zip(sides).filter(|(asked, _)| asked.turns.len() > 1);
        let extracted = asked.iter().zip(sides);
        let extracted =
            extracted.filter_map(|(asked, side)| Some((side.extracted.as_ref()?, asked.wanted.weight)));
        let called = asked.iter().zip(sides).filter_map(|(asked, side)| {
            Some((asked.calls.as_ref()?.any(), side.called.as_ref()?, asked.wanted.weight))
        });
        let in_json = asked.iter().filter_map(|asked| asked.calls.as_ref()).any(|calls| calls.in_json());
        Summary {
            answer_perplexity: self.answer.perplexity(),
            answers: Likely::new(self.answer, self.answer_text),
            all_tokens: (scope == Scope::Everything)
                .then(|| Likely::new(self.everything, self.everything_text)),
            exact_match: share(&all, &|side| side.exact_match),
            normalised_match: share(&all, &|side| side.normalised_match),
            chrf: self.texts.chrf.score(),
            chrf_plus_plus: self.texts.chrf_plus_plus.score_of(chrf::Kind::PlusPlus),
            bleu: self.texts.bleu.score(),
            ter: self.texts.ter.score(),
            rouge: self.rouge.over(self.weight_of_answers),
            similarity: None,
            checks_passed: asked
                .iter()
                .any(is_checked)
                .then(|| share(&is_checked, &|side| side.failed_checks.is_empty())),
            ended: share(&all, &|side| side.ended),
            answer_tokens: self.answer_tokens,
            conversations: Conversations::new(talks.map(|(asked, side)| {
                let passed = is_checked(asked).then_some(side.failed_checks.is_empty());
                (asked.turns.len(), asked.wanted.weight, passed, side.remembered.as_slice())
            })),
            stability: None,
            variants: None,
            groundedness: Grounding::new(&self.grounded, self.grounded_weights),
            extraction: Extraction::of(extracted),
            tool_calls: ToolCalls::of(called, in_json),
            classification: None,
        }
    }
}

/// The failed checks of all turns; of several turns each says which.
fn failed(asked: &Asked, turns: &[TurnSide]) -> Vec<String> {
    let of = |(index, turn): (usize, &TurnSide)| -> Vec<String> {
        let named = |reason: &String| match asked.turns.len() {
            1 => reason.clone(),
            _ => format!("turn {}: {reason}", index + 1),
        };
        turn.failed_checks.iter().map(named).collect()
    };
    turns.iter().enumerate().flat_map(of).collect()
}

/// The checks about what an earlier turn gave.
fn remembered(
    asked: &Asked,
    said: &[Said],
    sandbox: Option<&Sandbox>,
) -> Result<Vec<Remembered>, TrainerError> {
    let mut all = Vec::new();
    for (said, turn) in said.iter().zip(1..) {
        for check in asked.wanted.checks.iter().filter(|check| check.is_of(turn, asked.turns.len())) {
            if let Some(given) = check.given {
                let passed = running::failure(check, &said.text, sandbox)?.is_none();
                all.push(Remembered { turn, given, passed });
            }
        }
    }
    Ok(all)
}
