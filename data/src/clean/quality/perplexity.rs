//! Rows that the base finds incoherent.

use rtune_metrics::likelihood::{perplexity, shown};

use super::options::PerplexityOptions;
use super::verdict::{Rule, Verdict};
use crate::clean::CleanError;
use crate::record::Record;

/// A base that says how surprising rows are. The model behind it lives elsewhere.
pub trait Perplexity {
    /// For each row, the mean of nats over its tokens.
    ///
    /// # Errors
    /// The base cannot say, and why.
    fn nats_per_token(&self, rows: &[&Record]) -> Result<Vec<f64>, String>;

    /// What decides its answers, for caches: the hashes of its weights.
    fn identity(&self) -> &str;
}

/// The nats per token of rows, one finite number each.
///
/// # Errors
/// The base fails, or returns other than one finite number a row.
pub fn nats_per_token(base: &dyn Perplexity, rows: &[&Record]) -> Result<Vec<f64>, CleanError> {
    let wrong = |expected: String, found: String| CleanError::Perplexity { expected, found };
    let nats = base.nats_per_token(rows).map_err(|reason| wrong("nats of each row".into(), reason))?;
    if nats.len() != rows.len() {
        return Err(wrong(format!("{} numbers", rows.len()), nats.len().to_string()));
    }
    match rows.iter().zip(&nats).find(|(_, nats)| !nats.is_finite() || **nats < 0.0) {
        Some((row, nats)) => Err(wrong(format!("a number of nats for {}", row.origin), nats.to_string())),
        None => Ok(nats),
    }
}

/// Above which a row is dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PerplexityCut {
    most_nats: f64,
}

impl PerplexityCut {
    /// The cut for rows of these nats per token; they are looked at for a percentile only. A row takes 4 bytes here.
    ///
    /// # Errors
    /// Neither setting is there, or one is out of its range.
    pub fn new(options: &PerplexityOptions, nats_per_token: &[f32]) -> Result<Self, CleanError> {
        let setting = |setting, expected, found: f64| CleanError::Setting {
            setting,
            expected,
            found: found.to_string(),
        };
        let above = match options.above {
            Some(above) if above >= 1.0 => above.ln(),
            Some(above) => return Err(setting("max-perplexity.above", "at least 1", above)),
            None => f64::INFINITY,
        };
        let percentile = match options.percentile {
            Some(share) if share > 0.0 && share <= 100.0 => percentile(nats_per_token, share),
            Some(share) => {
                return Err(setting("max-perplexity.percentile", "above 0 and at most 100", share));
            }
            None => f64::INFINITY,
        };
        match (options.above, options.percentile) {
            (None, None) => {
                Err(CleanError::Missing { step: "max-perplexity", setting: "above` or `percentile" })
            }
            _ => Ok(Self { most_nats: above.min(percentile) }),
        }
    }

    /// Whether a row of these nats per token is dropped.
    pub fn judge(&self, nats_per_token: f64) -> Option<Verdict> {
        let most = self.most_nats;
        (nats_per_token > most).then(|| Verdict {
            rule: Rule::MaxPerplexity,
            detail: {
                let [found, most] = [nats_per_token, most].map(|nats| shown(perplexity(nats), 1));
                format!("a perplexity of {found}, more than {most}")
            },
        })
    }
}

/// The least number that so many percent of the numbers do not exceed.
fn percentile(numbers: &[f32], percent: f64) -> f64 {
    let mut sorted = numbers.to_vec();
    let place = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    match sorted.len() {
        0 => f64::INFINITY,
        length => {
            let index = place.clamp(1, length) - 1;
            let (_, number, _) = sorted.select_nth_unstable_by(index, f32::total_cmp);
            // The next number up: those it was rounded from are a little larger or smaller than it is.
            f64::from(number.next_up())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{record, talk};

    /// A base that counts words.
    struct Words;

    impl Perplexity for Words {
        fn nats_per_token(&self, rows: &[&Record]) -> Result<Vec<f64>, String> {
            let words = |row: &&Record| row.answer().unwrap_or_default().split_whitespace().count() as f64;
            match rows.len() {
                0 => Err("no rows".into()),
                3 => Ok(vec![f64::NAN; 3]),
                4 => Ok(vec![]),
                _ => Ok(rows.iter().map(words).collect()),
            }
        }

        fn identity(&self) -> &str {
            "words"
        }
    }

    #[test]
    fn cuts() {
        let nats: Vec<f32> = (1..=10).map(|nats| nats as f32).collect();
        let cut = |above, percentile| PerplexityCut::new(&PerplexityOptions { above, percentile }, &nats);
        let dropped =
            |cut: PerplexityCut| nats.iter().filter(|nats| cut.judge(f64::from(**nats)).is_some()).count();
        assert_eq!(dropped(cut(None, Some(90.0)).expect("a cut")), 1);
        assert_eq!(dropped(cut(None, Some(100.0)).expect("a cut")), 0);
        assert_eq!(dropped(cut(Some(3.5_f64.exp()), None).expect("a cut")), 7);
        assert_eq!(dropped(cut(Some(3.5_f64.exp()), Some(10.0)).expect("a cut")), 9);
        for (above, percentile) in
            [(None, None), (Some(0.5), None), (None, Some(0.0)), (None, Some(f64::NAN))]
        {
            assert!(cut(above, percentile).is_err());
        }
        let verdict = cut(Some(100.0), None).expect("a cut").judge(200_f64.ln()).expect("a verdict");
        assert_eq!(verdict.detail, "a perplexity of 200.0, more than 100.0");
    }

    #[test]
    fn a_base_says_one_number_a_row() {
        let row = record(talk(&["question", "three words here"]));
        assert_eq!(nats_per_token(&Words, &[&row, &row]).expect("nats"), [3.0, 3.0]);
        for count in [0, 3, 4] {
            assert!(nats_per_token(&Words, &vec![&row; count]).is_err());
        }
    }
}
