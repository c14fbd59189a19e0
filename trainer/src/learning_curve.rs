//! Whether more data would pay: the same run on a quarter, half and all of its rows, measured on the same held-out rows.
//!
//! The parts are nested: a row is in a part by the hash of its own content, as rows of a source with a weight below one
//! are, so that the half holds the quarter. Nothing else differs.

use std::path::{Path, PathBuf};

use rtune_data::{Example, pack};
use rtune_kernels::arena::Arena;
use rtune_metrics::compare::{Better, Cases, Comparison, Ratio, Settings, Summed, Verdict, compare};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{FORMAT, read_json, write_json};
use crate::config::Config;
use crate::error::TrainerError;
use crate::evaluate::verdict::word;
use crate::loss::{self, LossSum};
use crate::talk::{self, Model};

/// The folder of the parts in the run folder.
pub const FOLDER: &str = "curve";
/// What came of it, in that folder.
pub const FILE: &str = "learning-curve.json";
/// The parts that are trained; all rows are the run itself.
pub const PARTS: [(&str, f64); 2] = [("quarter", 0.25), ("half", 0.5)];
/// The metric of the held-out rows.
pub const HELD_OUT: &str = "validation-loss";
/// The part of the loss that as many rows again must take off to be worth their making.
const LEAST_GAIN: f64 = 0.01;

/// A run on a part of the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// `quarter`, `half` or `all`.
    pub part: String,
    /// Its run folder.
    pub folder: PathBuf,
    /// Rows that it learnt from.
    pub rows: usize,
    /// Nats a supervised token of the held-out rows, by its best checkpoint.
    pub validation_loss_nats: Option<f64>,
    /// The golden rows by the metric that decides.
    pub golden: Option<f64>,
}

/// All rows against half of them, by one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// The metric.
    pub metric: String,
    /// Held-out rows or golden cases.
    pub cases: usize,
    /// With half of the rows, and with all.
    pub values: [f64; 2],
    /// The interval of the second less the first.
    pub interval: [f64; 2],
    /// How probable such a difference is between equals.
    pub p: f64,
    /// What all rows are: `better`, `worse`, `equivalent` or `inconclusive`.
    pub verdict: String,
    /// How many cases it would take to tell.
    pub needed_cases: Option<u64>,
}

/// A power law through the three losses.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// What each of the two doublings took off the loss.
    pub gains: [f64; 2],
    /// What as many rows again would take off.
    pub next_gain: f64,
    /// Where it would end with any number of rows; `None` where the gains do not shrink.
    pub floor: Option<f64>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LearningCurve {
    /// [`FORMAT`].
    pub format: u64,
    /// The metric of [`Point::golden`], where golden rows were asked.
    pub golden_metric: Option<String>,
    /// From the fewest rows to all.
    pub points: Vec<Point>,
    /// All rows against half of them; what decides comes first.
    pub gains: Vec<Gain>,
    /// Of the validation loss, where that falls.
    pub forecast: Option<Forecast>,
    /// What it says, in words.
    pub sentence: String,
}

/// The configuration of a part of the run in `run`.
pub fn part(run: &Path, config: &Config, name: &str, share: f64) -> Config {
    let mut config = config.clone();
    for source in &mut config.data.train {
        source.share *= share;
    }
    config.output.dir = run.join(FOLDER).join(name);
    config
}

/// The loss of each of `rows` on its own. `progress` is called with (rows done, rows in all).
///
/// # Errors
/// [`TrainerError::Gpu`].
pub fn measure(
    model: &Model<'_>,
    rows: &[Example],
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<LossSum>, TrainerError> {
    if let Some(voice) = model.voice {
        let texts: Vec<&Example> = rows.iter().collect();
        let mut go_on = |done, all| {
            progress(done, all);
            true
        };
        let losses = voice.losses(&texts, talk::BATCH_TOKENS, true, &mut go_on)?;
        return Ok(losses.iter().map(|losses| LossSum::of(losses)).collect());
    }
    let arena = Arena::new();
    let mut losses = Vec::with_capacity(rows.len());
    for row in rows {
        progress(losses.len(), rows.len());
        let mut sum = LossSum::default();
        for packed in pack(&[row], row.tokens.len()) {
            sum += loss::evaluate(model.decoder, model.parameters, &packed, &arena);
        }
        arena.give_back();
        losses.push(sum);
    }
    Ok(losses)
}

/// Nats a supervised token over all rows; none without one.
pub fn mean_nats(losses: &[LossSum]) -> Option<f64> {
    let mut sum = LossSum::default();
    losses.iter().for_each(|loss| sum += *loss);
    (sum.supervised_tokens > 0).then(|| sum.mean_nats())
}

/// Compares the losses of the same rows after training on half of the data and on all of it.
///
/// # Errors
/// [`TrainerError::NotComparable`] for losses of other rows, or none.
pub fn gain(half: &[LossSum], all: &[LossSum]) -> Result<Gain, TrainerError> {
    let ratios = |losses: &[LossSum]| -> Vec<Ratio> {
        losses.iter().map(|loss| Ratio { over: loss.nats, under: loss.supervised_tokens as f64 }).collect()
    };
    let [first, second] = [half, all].map(|losses| Summed::new(ratios(losses), Ratio::value));
    let cases = Cases::independent(half.len());
    let compared = compare(HELD_OUT, Better::Lower, &first, &second, &cases, &Settings::default());
    let compared = compared.map_err(|error| TrainerError::NotComparable { problem: error.to_string() })?;
    Ok(Gain::of(&compared))
}

impl Gain {
    /// What of a comparison is kept.
    pub fn of(compared: &Comparison) -> Self {
        Self {
            metric: compared.metric.clone(),
            cases: compared.cases,
            values: [compared.first, compared.second],
            interval: compared.interval,
            p: compared.adjusted_p,
            verdict: word(compared.verdict).to_owned(),
            needed_cases: compared.needed_cases,
        }
    }
}

/// The power law `floor + b * rows^-c` through three losses at one, two and four times as many rows: gains of doublings
/// then shrink by one factor. Where they do not shrink the last is taken to come again; none without a gain.
pub fn forecast(losses: [f64; 3]) -> Option<Forecast> {
    let gains = [losses[0] - losses[1], losses[1] - losses[2]];
    let [first, second] = gains;
    if second <= 0.0 {
        return None;
    }
    let factor = second / first;
    Some(if first > 0.0 && factor < 1.0 {
        let next_gain = second * factor;
        Forecast { gains, next_gain, floor: Some(losses[2] - next_gain / (1.0 - factor)) }
    } else {
        Forecast { gains, next_gain: second, floor: None }
    })
}

impl LearningCurve {
    /// What the points and the gains come to.
    pub fn new(points: Vec<Point>, gains: Vec<Gain>, golden_metric: Option<String>) -> Self {
        let losses: Vec<f64> = points.iter().filter_map(|point| point.validation_loss_nats).collect();
        let forecast = <[f64; 3]>::try_from(losses).ok().and_then(forecast);
        let sentence = sentence(gains.first(), &points, forecast.as_ref());
        Self { format: FORMAT, golden_metric, points, gains, forecast, sentence }
    }

    /// Writes it into the run folder.
    ///
    /// # Errors
    /// [`TrainerError::File`].
    pub fn write(&self, run: &Path) -> Result<PathBuf, TrainerError> {
        let path = run.join(FOLDER).join(FILE);
        write_json(&path, self)?;
        Ok(path)
    }

    /// Reads that of a run folder; `None` where there is none.
    ///
    /// # Errors
    /// [`TrainerError::File`] or [`TrainerError::Unreadable`].
    pub fn read(run: &Path) -> Result<Option<Self>, TrainerError> {
        let path = run.join(FOLDER).join(FILE);
        if path.is_file() { read_json(&path).map(Some) } else { Ok(None) }
    }
}

fn sentence(gain: Option<&Gain>, points: &[Point], forecast: Option<&Forecast>) -> String {
    let Some(Gain {
        metric, cases, values: [half, all], interval: [low, high], verdict, needed_cases, ..
    }) = gain
    else {
        return "Nothing was held out to measure it on.".to_owned();
    };
    let rows = |part: usize| points.get(part).map_or(0, |point| point.rows);
    let measured = format!(
        "from {} rows to {} `{metric}` went from {half:.4} to {all:.4} ({low:+.4} to {high:+.4} on {cases} cases)",
        rows(1),
        rows(2)
    );
    let next = |forecast: &Forecast| {
        let floor = forecast
            .floor
            .map_or_else(String::new, |floor| format!(", and no number of rows more than to {floor:.4}"));
        format!(
            "by the curve, as many rows again would bring the validation loss down by {:.4}{floor}",
            forecast.next_gain
        )
    };
    let last_loss = points.last().and_then(|point| point.validation_loss_nats);
    let is_little =
        |forecast: &Forecast| last_loss.is_some_and(|loss| forecast.next_gain < LEAST_GAIN * loss);
    match (verdict.as_str(), forecast) {
        ("better", Some(forecast)) if is_little(forecast) => {
            format!("More data of this kind would bring little: {measured}; {}.", next(forecast))
        }
        ("better", Some(forecast)) => format!("More data would pay: {measured}; {}.", next(forecast)),
        ("better", None) => format!("More data would pay: {measured}."),
        ("worse", _) => format!(
            "More rows did not help, they harmed: {measured}; look at duplicates, wrong answers and the number of epochs first."
        ),
        _ => {
            let needed = needed_cases.map_or_else(String::new, |cases| format!("; about {cases} would tell"));
            format!("These held-out rows cannot tell whether more data would pay: {measured}{needed}.")
        }
    }
}

/// Whether a verdict of [`Gain`] is one that more data brought.
pub fn is_better(gain: &Gain) -> bool {
    gain.verdict == word(Verdict::Better)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_law_is_found_again() {
        let law = |rows: f64| 1.2 + 5.0 * rows.powf(-0.5);
        let found = forecast([law(100.0), law(200.0), law(400.0)]).expect("it falls");
        assert!((found.next_gain - (law(400.0) - law(800.0))).abs() < 1e-12);
        assert!((found.floor.expect("an end") - 1.2).abs() < 1e-12);
        assert_eq!(forecast([2.0, 1.5, 1.6]), None, "it rose");
        let straight = forecast([2.0, 1.9, 1.7]).expect("it falls");
        assert_eq!((straight.floor, (straight.next_gain * 10.0).round()), (None, 2.0));
        assert_eq!(forecast([1.9, 2.0, 1.7]).expect("it falls").floor, None);
    }

    fn losses(nats: impl Fn(usize) -> f64) -> Vec<LossSum> {
        let loss = |row| LossSum { nats: nats(row) * 10.0, supervised_tokens: 10, correct_tokens: 0 };
        (0..60).map(loss).collect()
    }

    fn curve(losses_at: [f64; 3], half: &[LossSum], all: &[LossSum]) -> LearningCurve {
        let points =
            losses_at.into_iter().zip(["quarter", "half", "all"]).enumerate().map(|(index, (loss, part))| {
                Point {
                    part: part.to_owned(),
                    folder: part.into(),
                    rows: 100 << index,
                    validation_loss_nats: Some(loss),
                    golden: None,
                }
            });
        LearningCurve::new(points.collect(), vec![gain(half, all).expect("comparable")], None)
    }

    #[test]
    fn words_follow_the_figures() {
        let wave = |row: usize| 1.5 + 0.1 * (row as f64).sin();
        let (half, all) = (losses(wave), losses(|row| wave(row) - 0.2));
        let pays = curve([1.9, 1.5, 1.3], &half, &all);
        assert!(is_better(&pays.gains[0]));
        assert!(
            pays.sentence
                .starts_with("More data would pay: from 200 rows to 400 `validation-loss` went from 1.5")
                && pays.sentence.ends_with("no number of rows more than to 1.1000."),
            "{}",
            pays.sentence
        );
        let little = curve([1.9, 1.4, 1.395], &half, &losses(|row| wave(row) - 0.005));
        assert!(
            little.sentence.starts_with("More data of this kind would bring little"),
            "{}",
            little.sentence
        );
        let noise = curve([1.9, 1.4, 1.39], &half, &losses(|row| wave(row) + 0.1 * (row as f64 * 7.0).cos()));
        assert!(noise.sentence.starts_with("These held-out rows cannot tell"), "{}", noise.sentence);
        let worse = curve([1.9, 1.4, 1.6], &half, &losses(|row| wave(row) + 0.2));
        assert!(worse.sentence.starts_with("More rows did not help"), "{}", worse.sentence);
        assert_eq!(
            LearningCurve::new(Vec::new(), Vec::new(), None).sentence,
            "Nothing was held out to measure it on."
        );
    }
}
