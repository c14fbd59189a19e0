//! What a golden set came to: a report, a model over all cases, a case, an answer.

use rtune_data::Message;
use rtune_metrics::grounded::{Counts, Groundedness, GroundednessSum, KINDS};
use rtune_metrics::likelihood::Likelihood;
use rtune_metrics::text::rouge::RougeScores;
use serde::Serialize;

use super::calls::{Called, ToolCalls};
use super::conversation::{Conversations, Remembered, TurnSide};
use super::extraction::{Extracted, Extraction};
use super::labels::{Classification, Judged};
use super::people::Human;
use super::plain::PlainTexts;
use super::similarity::Similarity;
use super::stability::Stability;
use super::variants::{Variant, Varied};
use crate::loss::LossSum;

/// What `eval/golden-NAME.json` holds. Nothing in it depends on time or place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GoldenReport {
    /// [`crate::checkpoint::FORMAT`].
    pub format: u64,
    /// The golden files, as they were named, and BLAKE3 of their bytes.
    pub files: Vec<(String, String)>,
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// How texts were compared.
    #[serde(flatten)]
    pub signatures: Signatures,
    /// The labels, where the expected answers are labels.
    pub labels: Option<Vec<String>>,
    /// What copying the label of the nearest training row would come to.
    pub nearest_row: Option<Judged>,
    /// What repeating the question would come to; `None` where answers are labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo: Option<Echo>,
    /// What was left out, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The base over all cases.
    pub base: Summary,
    /// The tuned model over all cases; `None` where there is no adapter.
    pub tuned: Option<Summary>,
    /// One for each golden row that asks something, in order.
    pub cases: Vec<Case>,
    /// The rows that are texts; `None` where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub texts: Option<PlainTexts>,
}

/// How scores were computed: sacreBLEU's words for it, and whose arithmetic it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Signatures {
    /// Of chrF2.
    pub chrf_signature: String,
    /// Of chrF2++.
    pub chrf_plus_plus_signature: String,
    /// Of BLEU.
    pub bleu_signature: String,
    /// Of TER.
    pub ter_signature: String,
    /// Of ROUGE.
    pub rouge_signature: String,
    /// Of BERTScore, where there was an encoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bert_score_signature: Option<String>,
}

/// A model over all cases.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// `e` to the nats a token of the expected answers, over all tokens of all cases.
    pub answer_perplexity: f64,
    /// How likely the expected answers are.
    pub answers: Likely,
    /// How likely prompts and expected answers are together; `None` where it was not asked for.
    pub all_tokens: Option<Likely>,
    /// Part of the cases whose answer is an expected one, turn by turn.
    pub exact_match: f64,
    /// The same without regard to case, ASCII punctuation and the amount of whitespace.
    pub normalised_match: f64,
    /// chrF2 of all answers as one corpus.
    pub chrf: f64,
    /// chrF2++ of all answers as one corpus.
    pub chrf_plus_plus: f64,
    /// BLEU of all answers as one corpus.
    pub bleu: f64,
    /// TER of all answers as one corpus: edits in a hundred words, the fewer the better.
    pub ter: f64,
    /// Means of the answers' F1, each by the weight of its case, from 0 to 1.
    pub rouge: Rouge,
    /// BERTScore and relevancy; `None` without an encoder.
    pub similarity: Option<Similarity>,
    /// Part of the cases with checks whose answers pass them all; `None` where no case has one.
    pub checks_passed: Option<f64>,
    /// Part of the answers that ended by themselves.
    pub ended: f64,
    /// Tokens of all answers.
    pub answer_tokens: usize,
    /// Cases of several turns; `None` where there are none.
    pub conversations: Option<Conversations>,
    /// Whether paraphrases are answered alike; `None` without clusters.
    pub stability: Option<Stability>,
    /// Whether typos and case matter; `None` where nothing was varied.
    pub variants: Option<Varied>,
    /// Whether answers say what their sources say; `None` where no case has a context.
    pub groundedness: Option<Grounding>,
    /// Answers as JSON; `None` where none should be.
    pub extraction: Option<Extraction>,
    /// Calls of tools; `None` where no case has tools.
    pub tool_calls: Option<ToolCalls>,
    /// Answers as labels, where the expected ones are.
    pub classification: Option<Classification>,
}

/// How likely texts are to a model. Units of text, unlike tokens, are the same for all models.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Likely {
    /// The negative logarithm of their probability, to the base e, with the tokens that end answers.
    pub nats: f64,
    /// Their tokens, with those.
    pub tokens: u64,
    /// Part of them that the model holds for the likeliest.
    pub token_accuracy: f64,
    /// `e` to the nats a token.
    pub token_perplexity: f64,
    /// Nats of the texts alone.
    pub text_nats: f64,
    /// Their words, as lm-evaluation-harness counts them.
    pub words: u64,
    /// Their bytes in UTF-8.
    pub bytes: u64,
    /// `e` to the nats of text a word; like all perplexities at most the largest number there is.
    pub word_perplexity: f64,
    /// `e` to the nats of text a byte.
    pub byte_perplexity: f64,
    /// Bits of text a byte.
    pub bits_per_byte: f64,
}

impl Likely {
    pub(super) fn new(tokens: LossSum, text: Likelihood) -> Self {
        Self {
            nats: tokens.nats,
            tokens: tokens.supervised_tokens,
            token_accuracy: tokens.token_accuracy(),
            token_perplexity: tokens.perplexity(),
            text_nats: text.nats,
            words: text.words,
            bytes: text.bytes,
            word_perplexity: text.word_perplexity(),
            byte_perplexity: text.byte_perplexity(),
            bits_per_byte: text.bits_per_byte(),
        }
    }
}

/// A mean over items, and how far off it may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error: the deviation of a sample over the root of its size; `None` for a single item.
    pub standard_error: Option<f64>,
}

impl Estimate {
    pub(super) fn of(scores: &[f64]) -> Self {
        let count = scores.len() as f64;
        let mean = scores.iter().sum::<f64>() / count.max(1.0);
        let squares: f64 = scores.iter().map(|score| (score - mean).powi(2)).sum();
        let standard_error = (scores.len() > 1).then(|| (squares / (count - 1.0) / count).sqrt());
        Self { mean, standard_error }
    }
}

/// What an answer that repeats the question comes to: what a model has to be better than.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Echo {
    /// Part of the cases whose expected answer it is.
    pub exact_match: f64,
    /// chrF2 over all cases.
    pub chrf: f64,
    /// F1 of ROUGE-L, the mean over cases, from 0 to 1.
    #[serde(rename = "rougeL")]
    pub rouge_l: f64,
}

/// F1 of ROUGE, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rouge {
    /// Words.
    pub rouge1: f64,
    /// Pairs of words.
    pub rouge2: f64,
    /// The longest common subsequence of the texts.
    #[serde(rename = "rougeL")]
    pub rouge_l: f64,
    /// The union of those of lines.
    #[serde(rename = "rougeLsum")]
    pub rouge_lsum: f64,
}

impl Rouge {
    pub(super) fn of(scores: &RougeScores) -> Self {
        Self {
            rouge1: scores.rouge1.f1,
            rouge2: scores.rouge2.f1,
            rouge_l: scores.rouge_l.f1,
            rouge_lsum: scores.rouge_lsum.f1,
        }
    }

    pub(super) fn add(&mut self, other: &Self, weight: f64) {
        self.rouge1 += weight * other.rouge1;
        self.rouge2 += weight * other.rouge2;
        self.rouge_l += weight * other.rouge_l;
        self.rouge_lsum += weight * other.rouge_lsum;
    }

    /// The mean of a sum over answers of this weight.
    pub(super) fn over(self, weight: f64) -> Self {
        let mean = |sum: f64| if weight > 0.0 { sum / weight } else { 0.0 };
        Self {
            rouge1: mean(self.rouge1),
            rouge2: mean(self.rouge2),
            rouge_l: mean(self.rouge_l),
            rouge_lsum: mean(self.rouge_lsum),
        }
    }
}

/// Answers beside their sources.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Grounding {
    /// Answers that were held against sources.
    pub answers: u64,
    /// Part of them, each by the weight of its case, with something that no source supports.
    pub hallucination_rate: f64,
    /// Part of all claims that no source supports.
    pub unsupported_rate: f64,
    /// Claims by kind.
    pub claims: Vec<(rtune_metrics::grounded::ClaimKind, Counts)>,
}

impl Grounding {
    /// `weights` are those of all answers, and of the answers with something unsupported.
    pub(super) fn new(sum: &GroundednessSum, [all, unsupported]: [f64; 2]) -> Option<Self> {
        (sum.answers > 0).then(|| Self {
            answers: sum.answers,
            hallucination_rate: if all > 0.0 { unsupported / all } else { 0.0 },
            unsupported_rate: sum.unsupported_rate(),
            claims: KINDS.into_iter().zip(sum.counts).collect(),
        })
    }
}

/// A golden row and its answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    /// The row's id.
    pub id: String,
    /// Its file.
    pub file: String,
    /// Its line.
    pub line: u64,
    /// What the row says before its last answer.
    pub prompt: Vec<Message>,
    /// What was expected last: the row's answer, then its `references`.
    pub expected: Vec<String>,
    /// What was expected turn by turn, the last turn too; empty where there is only one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<String>,
    /// Where in the row the answers stand that the model made; empty where there is only one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) places: Vec<usize>,
    /// What the answer may draw on beside the prompt; empty where the row has no context.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<String>,
    /// The part of the set that it belongs to.
    pub slice: Option<String>,
    /// What it says much the same with.
    pub cluster: Option<String>,
    /// How much it counts where a mean over cases is taken.
    pub weight: f64,
    /// How people like the answers, where the row says it.
    #[serde(skip)]
    pub human: Human,
    /// How many checks its answers have to pass.
    pub checks: usize,
    /// BLAKE3 of the checks as JSON, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks_hash: Option<String>,
    /// The same question with slips and in other case, and what was answered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<Variant>,
    /// The base.
    pub base: Side,
    /// The tuned model.
    pub tuned: Option<Side>,
}

impl Case {
    /// Roles and texts of the conversation before the last answer, with the model's own answers where it made them.
    #[must_use]
    pub fn asked_of<'a>(&'a self, side: &'a Side) -> Vec<(&'a str, &'a str)> {
        let mut own = self.places.iter().zip(&side.turns).peekable();
        let with_own = |(index, message): (usize, &'a Message)| {
            let said = own.next_if(|(place, _)| **place == index);
            (message.role.as_str(), said.map_or(message.content.as_str(), |(_, turn)| turn.answer.as_str()))
        };
        self.prompt.iter().enumerate().map(with_own).collect()
    }

    /// How many messages stand before the first answer that the model made.
    #[must_use]
    pub fn shared_messages(&self) -> usize {
        self.places.first().map_or(self.prompt.len(), |first| (*first).min(self.prompt.len()))
    }
}

/// One model's answer to one case; of several turns the last one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// The greedy answer.
    pub answer: String,
    /// Whether it ended by itself, and not at its longest.
    pub ended: bool,
    /// Whether it is an expected one, spaces around it aside; of several turns, whether all are.
    pub exact_match: bool,
    /// The same without regard to case, ASCII punctuation and the amount of whitespace.
    pub normalised_match: bool,
    /// Why it fails its checks, those of all turns; empty where it passes them all or has none.
    pub failed_checks: Vec<String>,
    /// chrF2 against the nearest expected answer, over all turns.
    pub chrf: f64,
    /// The same of chrF2++.
    pub chrf_plus_plus: f64,
    /// BLEU of these answers alone, with effective order.
    pub bleu: f64,
    /// TER, over all turns.
    pub ter: f64,
    /// ROUGE against the best of the expected answers, the mean over turns.
    pub rouge: Rouge,
    /// BERTScore and relevancy, the mean over turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<Similarity>,
    /// Nats of the row's own answer, under this model.
    pub nats: f64,
    /// Its tokens, with the one that ends it.
    pub tokens: u64,
    /// Those of them that the model holds for the likeliest.
    pub correct_tokens: u64,
    /// `e` to the nats a token.
    pub perplexity: f64,
    /// Nats of the row's own answer without the token that ends it.
    pub text_nats: f64,
    /// Bytes of the row's own answer.
    pub text_bytes: u64,
    /// Nats of each label as the answer, where the set has labels.
    pub label_nats: Option<Vec<f64>>,
    /// All turns; empty where there is only one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<TurnSide>,
    /// Facts that an earlier turn gave, and whether they were known later.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remembered: Vec<Remembered>,
    /// What of the answer its sources support, where the row has a context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grounded: Option<Groundedness>,
    /// The answer as JSON, where it should be that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extracted: Option<Extracted>,
    /// The tools it calls, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub called: Option<Called>,
}
