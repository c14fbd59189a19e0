//! How likely the expected answers are to a base, in bits a byte of their text: a figure that bases with different tokenizers
//! share, where loss a token is not.

use rtune_data::{Form, Half, Source, read_golden};
use rtune_metrics::compare::{Better, Cases, Ratio, Settings, Summed, compare};
use rtune_models::generate::Sampling;

use super::asked::{Asked, ask};
use super::asking::{Asking, Question, Scope};
use super::plain::{Text, weigh_both};
use crate::error::TrainerError;
use crate::talk::{self, Speaker};

/// Draws of a bootstrap: the ends of its interval then vary by some hundredths of its length.
const DRAWS: usize = 2000;

/// The expected answer of one golden row, under one model.
#[derive(Clone, Debug, PartialEq)]
pub struct RowLikelihood {
    /// The row's id.
    pub id: String,
    /// Its file.
    pub file: String,
    /// Its line.
    pub line: u64,
    /// What it belongs together with.
    pub cluster: Option<String>,
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

/// By how much `other` needs more bits a byte than `one` for the same rows: a 95% interval of a paired bootstrap over clusters of rows, widened
/// for their number as `rtune compare` widens it, the same for the same rows. `None` where all rows are of one cluster, which says nothing of
/// any other.
///
/// # Panics
/// If the two have not as many rows.
#[must_use]
pub fn difference_interval(one: &[RowLikelihood], other: &[RowLikelihood]) -> Option<[f64; 2]> {
    assert_eq!(one.len(), other.len(), "likelihood: rows");
    // A row that stands twice is answered twice alike.
    let key = |row: &RowLikelihood| match &row.cluster {
        Some(cluster) => Some(format!("cluster {cluster}")),
        None => Some(format!("row {}", row.id)),
    };
    let cases = Cases::clustered(&one.iter().map(key).collect::<Vec<_>>());
    if cases.clusters().len() < 2 {
        return None;
    }
    let ratio = |row: &RowLikelihood| Ratio { over: row.bits, under: row.bytes as f64 };
    let [first, second] =
        [one, other].map(|rows| Summed::new(rows.iter().map(ratio).collect(), Ratio::value));
    // The interval is all that is wanted: nothing is exchanged.
    let settings = Settings { draws: DRAWS, trials: 1, ..Settings::default() };
    let compared = compare("bits-per-byte", Better::Lower, &first, &second, &cases, &settings);
    // What is no number is no nearer to one base than to another.
    Some(compared.map_or([f64::NEG_INFINITY, f64::INFINITY], |compared| compared.interval))
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
    let settings = talk::Settings { sampling: Sampling::GREEDY, seed: 0, max_new_tokens: 1, batch: 1 };
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
        cluster: asked.wanted.cluster.clone(),
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
        cluster: text.cluster,
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
            cluster: None,
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
        let [low, high] = difference_interval(&one, &other).expect("many rows");
        assert!((low - 0.5).abs() < 1e-9 && (high - 0.5).abs() < 1e-9, "{low} {high}");
        let mixed = rows(&(0..40).map(|i| (20.0 + noise(i + 5), 10)).collect::<Vec<_>>());
        let [low, high] = difference_interval(&one, &mixed).expect("many rows");
        assert!(low < 0.0 && high > 0.0, "{low} {high}");
        assert_eq!(difference_interval(&one, &mixed), Some([low, high]), "the same draws each time");
        assert_eq!(difference_interval(&one, &one), Some([0.0, 0.0]));
    }

    #[test]
    fn few_rows_say_little_and_one_nothing() {
        let (one, other) =
            (rows(&[(10.0, 10), (20.0, 10), (30.0, 10)]), rows(&[(11.0, 10), (23.0, 10), (35.0, 10)]));
        // The draws of three rows lie between the least and the largest difference of one: 0.1 and 0.5.
        let [low, high] = difference_interval(&one, &other).expect("three rows");
        assert!(low < 0.0 && high > 0.6, "{low} {high}");
        assert_eq!(difference_interval(&one[..1], &other[..1]), None);
        // Three rows of one text, or one row three times, are one.
        let together = |rows: &[RowLikelihood], change: fn(&mut RowLikelihood)| {
            let mut rows = rows.to_vec();
            rows.iter_mut().for_each(change);
            rows
        };
        let changes: [fn(&mut RowLikelihood); 2] =
            [|row| row.cluster = Some("a".to_owned()), |row| row.id = "a".to_owned()];
        for change in changes {
            assert_eq!(difference_interval(&together(&one, change), &together(&other, change)), None);
        }
    }
}
