//! `rtune compare`.

use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct CompareArgs {
    /// The evaluation of the model in use: a report of `rtune eval`, or a run with one
    #[arg(value_name = "A")]
    pub(crate) first: PathBuf,
    /// That of the new one; without it, the tuned model of A is compared with its base
    #[arg(value_name = "B")]
    pub(crate) second: Option<PathBuf>,
    /// The metric that decides: checks, greedy-label, likeliest-label, f1-LABEL, chrf, bleu, exact-match, normalised-match,
    /// answer-nats; by default the first of these that the cases have. Only where asked for: chrf++, ter, rouge-1, rouge-2, rouge-l,
    /// rouge-lsum, token-accuracy, bits-per-byte, field-f1, grounded, bert-score, relevancy, judge, greedy-macro-f1, greedy-mcc,
    /// likeliest-macro-f1, likeliest-mcc
    #[arg(long, value_name = "METRIC")]
    pub(crate) metric: Option<String>,
    /// A label whose F1 is compared, too; may be repeated
    #[arg(long = "key-class", value_name = "LABEL")]
    pub(crate) key_classes: Vec<String>,
    /// Differences up to this do not matter, in the unit of the deciding metric: 0.02 is two cases in a hundred
    #[arg(long, value_name = "DIFFERENCE", default_value_t = 0.0, value_parser = super::talk::not_negative)]
    pub(crate) margin: f64,
    /// How often two equal models may be called different
    #[arg(long, value_name = "PROBABILITY", default_value_t = 0.05, value_parser = super::talk::probability)]
    pub(crate) alpha: f64,
    /// People's reviews of both models' answers: a file of `rtune review`
    #[arg(long, value_name = "FILE")]
    pub(crate) reviews: Option<PathBuf>,
    /// Most changed cases that are shown
    #[arg(long, value_name = "CASES", default_value_t = 10)]
    pub(crate) flips: usize,
    /// Write the comparison as JSON, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}
