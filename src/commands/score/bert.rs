//! BERTScore: the encoder's vectors, matched.

use rtune_models::tagger::{TextEncoder, TokenVectors};
use rtune_trainer::error::TrainerError;
use rtune_trainer::evaluate::text::bert_score::{self, BertScore, Encoded, Weights};
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
    let answers: Vec<&str> = pairs.iter().map(|(answer, _)| *answer).collect();
    let wanted: Vec<&str> = pairs.iter().flat_map(|(_, all)| all.iter().copied()).collect();
    let encode = |texts: &[&str]| encoder.encode(texts).map_err(TrainerError::from);
    let (answers, wanted) = (encode(&answers)?, encode(&wanted)?);
    let weights = match args.idf {
        true => Weights::inverse_frequency(&wanted.iter().map(|one| one.ids.as_slice()).collect::<Vec<_>>()),
        false => Weights::even(encoder.frame()),
    };
    let of = |answer: &TokenVectors, wanted: &TokenVectors| {
        bert_score::score(seen(answer), seen(wanted), encoder.width(), &weights)
    };
    let mut sum = BertScore::default();
    for (answer, all) in answers.iter().zip(wanted.chunks(references.max(1))) {
        let best = bert_score::best(all.iter().map(|wanted| of(answer, wanted)));
        sum.precision += best.precision;
        sum.recall += best.recall;
        sum.f1 += best.f1;
    }
    let percent = |sum: f64| 100.0 * sum / pairs.len() as f64;
    let signature = format!(
        "BERTScore|nrefs:{references}|layer:{}|idf:{}|rescaled:no|encoder:{}",
        encoder.layers(),
        if args.idf { "yes" } else { "no" },
        encoder.identity()
    );
    Ok(Scored {
        name: "BERTScore F1",
        score: percent(sum.f1),
        signature: signed(&signature),
        parts: Some([percent(sum.precision), percent(sum.recall)]),
    })
}

fn seen(text: &TokenVectors) -> Encoded<'_> {
    Encoded { ids: &text.ids, vectors_td: &text.vectors_td }
}
