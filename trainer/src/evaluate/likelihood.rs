//! How likely the expected answers are to a base, in bits a byte of their text: a figure that bases with different tokenizers
//! share, where loss a token is not.

use rtune_data::{Form, Half, Source, read_golden, stream, uniform_below};
use rtune_models::generate::Sampling;

use super::asked::{Asked, ask};
use super::asking::{Asking, Question, Scope};
use super::plain::{Text, weigh_both};
use crate::error::TrainerError;
use crate::talk::{Settings, Speaker};

/// Draws of a bootstrap: the ends of its interval then vary by some hundredths of its length.
const DRAWS: usize = 2000;
/// What is left out on either side of an interval.
const TAIL: f64 = 0.025;

/// The expected answer of one golden row, under one model.
#[derive(Clone, Debug, PartialEq)]
pub struct RowLikelihood {
    /// The row's id.
    pub id: String,
    /// Its file.
    pub file: String,
    /// Its line.
    pub line: u64,
    /// Bits of the answer's tokens, without the one that ends it.
    pub bits: f64,
    /// Those tokens.
    pub tokens: u64,
    /// Bytes of the answer in UTF-8.
    pub bytes: usize,
}

/// Bits a byte over all rows: the sum of the bits over the sum of the bytes.
#[must_use]
pub fn bits_per_byte(rows: &[RowLikelihood]) -> f64 {
    let (bits, bytes) = sums(rows.iter());
    bits / bytes
}

/// The standard error of [`bits_per_byte`] over rows, as of a ratio of two sums; none for a single row.
#[must_use]
pub fn standard_error(rows: &[RowLikelihood]) -> Option<f64> {
    if rows.len() < 2 {
        return None;
    }
    let (count, ratio) = (rows.len() as f64, bits_per_byte(rows));
    let residuals: f64 = rows.iter().map(|row| (row.bits - ratio * row.bytes as f64).powi(2)).sum();
    let (_, bytes) = sums(rows.iter());
    Some((count / (count - 1.0) * residuals).sqrt() / bytes)
}

/// By how much `other` needs more bits a byte than `one` for the same rows: a 95% interval of a paired bootstrap over rows,
/// the same for the same rows.
///
/// # Panics
/// If the two have not as many rows.
#[must_use]
pub fn difference_interval(one: &[RowLikelihood], other: &[RowLikelihood]) -> [f64; 2] {
    assert_eq!(one.len(), other.len(), "likelihood: rows");
    let mut random = stream(0, "bootstrap", "bits-per-byte", 0);
    let mut differences: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let drawn: Vec<usize> =
                one.iter().map(|_| uniform_below(&mut random, one.len() as u64) as usize).collect();
            let of = |rows: &[RowLikelihood]| {
                let (bits, bytes) = sums(drawn.iter().map(|&index| &rows[index]));
                bits / bytes
            };
            of(other) - of(one)
        })
        .collect();
    differences.sort_by(f64::total_cmp);
    let at = |share: f64| differences[((DRAWS - 1) as f64 * share).round() as usize];
    [at(TAIL), at(1.0 - TAIL)]
}

fn sums<'a>(rows: impl Iterator<Item = &'a RowLikelihood>) -> (f64, f64) {
    rows.fold((0.0, 0.0), |(bits, bytes), row| (bits + row.bits, bytes + row.bytes as f64))
}

/// Computes the expected answers of all rows of `sources`, and rows that are texts, under the base; nothing is generated. Rows without a text to
/// expect, such as answers that only call tools, are left out, and so are sealed rows; `sealed` is `gate.sealed`. `progress` is called with (rows done, rows in all).
///
/// # Errors
/// Those of the files, the template and the model; [`TrainerError::NoGolden`] where no row is left.
pub fn weigh(
    speaker: &Speaker<'_>,
    (sources, sealed): (&[Source], bool),
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<RowLikelihood>, TrainerError> {
    let (mut asked, mut texts): (Vec<Asked>, Vec<Text>) = (Vec::new(), Vec::new());
    for file in read_golden(sources, sealed)? {
        for row in file.rows.into_iter().filter(|row| Half::Open.has(row)) {
            if row.record.form() == Form::Text {
                texts.push(Text::read(speaker, row.record, &row.extra)?);
                continue;
            }
            asked.push(ask(speaker, row.record, &row.extra)?);
        }
    }
    asked.retain(|asked| asked.record.answer().is_some_and(|answer| !answer.is_empty()));
    if asked.is_empty() && texts.is_empty() {
        let named = sources.iter().map(|source| source.path.display().to_string()).collect::<Vec<_>>();
        return Err(TrainerError::NoGolden { subject: named.join(", ") });
    }
    for one in asked.iter_mut().filter(|one| one.ended) {
        // What ends an answer is no text: a base that never saw this template could not know it.
        if let Some(last) = one.scored.supervised.last_mut() {
            *last = false;
        }
    }
    let settings = Settings { sampling: Sampling::GREEDY, seed: 0, max_new_tokens: 1, batch: 1 };
    let questions = asked.iter().map(|asked| Question { prompt: &asked.prompt, scored: &asked.scored });
    let mut asking = Asking::new(speaker, questions.collect(), &settings, false, Scope::Answer);
    let mut done = 0;
    while asking.next().is_some() {
        done += 1;
        progress(done, asked.len() + texts.len());
    }
    let losses = asking.losses()?.into_iter().map(|loss| loss.of_answer());
    let rows = asked.iter().zip(losses).map(|(asked, loss)| RowLikelihood {
        id: asked.record.id.clone(),
        file: asked.record.origin.file.display().to_string(),
        line: asked.record.origin.line,
        bits: loss.nats / std::f64::consts::LN_2,
        tokens: loss.supervised_tokens,
        // Those of reasoning too, where its tokens are weighed.
        bytes: asked.own.len(),
    });
    let mut rows: Vec<RowLikelihood> = rows.collect();
    let mut on_text = |_, done, all| progress(asked.len() + done, asked.len() + all);
    let weighed = weigh_both(speaker, &texts, None, &mut on_text)?;
    rows.extend(weighed.into_iter().flat_map(|all| all.rows).map(|text| RowLikelihood {
        id: text.id,
        file: text.file,
        line: text.line,
        bits: text.base.nats / std::f64::consts::LN_2,
        tokens: text.tokens,
        bytes: text.bytes as usize,
    }));
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(figures: &[(f64, usize)]) -> Vec<RowLikelihood> {
        let row = |(line, &(bits, bytes)): (usize, &(f64, usize))| RowLikelihood {
            id: line.to_string(),
            file: "g.jsonl".to_owned(),
            line: line as u64,
            bits,
            tokens: 1,
            bytes,
        };
        figures.iter().enumerate().map(row).collect()
    }

    #[test]
    fn long_answers_count_by_their_bytes() {
        let rows = rows(&[(10.0, 10), (60.0, 30)]);
        assert!((bits_per_byte(&rows) - 70.0 / 40.0).abs() < 1e-12);
        // Residuals of 10 - 17.5 and 60 - 52.5 bits.
        let expected = (2.0 * (7.5_f64.powi(2) * 2.0)).sqrt() / 40.0;
        assert!((standard_error(&rows).expect("two rows") - expected).abs() < 1e-12);
        assert_eq!(standard_error(&rows[..1]), None);
    }

    #[test]
    fn a_difference_that_every_row_has_is_certain_and_one_of_noise_is_not() {
        let noise = |index: usize| ((index * 7919) % 13) as f64;
        let one = rows(&(0..40).map(|i| (20.0 + noise(i), 10)).collect::<Vec<_>>());
        let other = rows(&(0..40).map(|i| (25.0 + noise(i), 10)).collect::<Vec<_>>());
        let [low, high] = difference_interval(&one, &other);
        assert!((low - 0.5).abs() < 1e-9 && (high - 0.5).abs() < 1e-9, "{low} {high}");
        let mixed = rows(&(0..40).map(|i| (20.0 + noise(i + 5), 10)).collect::<Vec<_>>());
        let [low, high] = difference_interval(&one, &mixed);
        assert!(low < 0.0 && high > 0.0, "{low} {high}");
        assert_eq!(difference_interval(&one, &mixed), [low, high], "the same draws each time");
        assert_eq!(difference_interval(&one, &one), [0.0, 0.0]);
    }
}
