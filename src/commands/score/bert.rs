//! BERTScore: the encoder's vectors, matched.

use rtune_models::tagger::TextEncoder;
use rtune_trainer::error::TrainerError;
use rtune_trainer::evaluate::similarity::{bert_scores, signature};
use rtune_trainer::evaluate::text::bert_score::BertScore;
use rtune_trainer::evaluate::text::signed;

use super::Scored;
use crate::args::tools::ScoreArgs;
use crate::failure::BadInput;

pub(super) fn score(
    args: &ScoreArgs,
    pairs: &[(&str, Vec<&str>)],
    references: usize,
) -> anyhow::Result<Scored> {
    let folder = args.encoder.as_deref().ok_or_else(|| {
        BadInput::new("BERTScore needs an encoder")
            .with_hint("name a folder with a BERT: `--encoder FOLDER --encoder-layer 9`")
    })?;
    let encoder = TextEncoder::open(folder, args.encoder_layer).map_err(TrainerError::from)?;
    let scores = bert_scores(&encoder, pairs, args.idf)?;
    let percent = |of: fn(&BertScore) -> f64| 100.0 * scores.iter().map(of).sum::<f64>() / pairs.len() as f64;
    Ok(Scored {
        name: "BERTScore F1",
        score: percent(|one| one.f1),
        signature: signed(&signature(&encoder, references, args.idf)),
        parts: Some([percent(|one| one.precision), percent(|one| one.recall)]),
    })
}
