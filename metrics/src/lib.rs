//! Arithmetic on texts, labels and scores: how good answers are, and whether one model's are better than another's.
//!
//! | module | takes | gives |
//! | --- | --- | --- |
//! | [`text`] | an answer and its references | BLEU, chrF, TER, ROUGE, exact match, with signatures |
//! | [`classify`] | gold and predicted labels, probabilities | a report, curves, calibration, baselines, limits in words |
//! | [`checks`], [`extract`] | an answer and what it must be | passes or the reason; fields that are right |
//! | [`grounded`] | an answer and its sources | what no source supports, with spans |
//! | [`likelihood`], [`pass_at_k`] | nats, counts of samples | perplexities, pass@k |
//! | [`final_answer`] | the answer to a sum | the number it comes to |
//! | [`judge`] | what a judge is shown, what it replies | prompts, scores, preferences that the order does not decide |
//! | [`compare`] | scores of two models on the same cases | tests, intervals, a verdict |
//! | [`vary`] | a text | the same with slips and in other case |
//! | [`rank`] | a metric's scores and people's | rank correlations |
//! | [`agreement`] | several people's scores of the same | Krippendorff's alpha, Cohen's kappa |
//!
//! A metric over many answers is computed from statistics of each ([`compare::CorpusMetric`]), so that draws of answers are
//! scored as the whole is. Nothing here reads a file, a clock or a network, and nothing knows what a model is. Every draw
//! comes from a stream that is keyed by what it is for ([`stream`]), so that figures are the same for any number of threads.

pub mod agreement;
pub mod checks;
pub mod classify;
pub mod compare;
pub mod extract;
pub mod final_answer;
pub mod grounded;
pub mod judge;
pub mod likelihood;
mod pass_at_k;
pub mod rank;
pub mod stream;
pub mod text;
pub mod vary;

pub use pass_at_k::{mean_pass_at_k, pass_at_k};
