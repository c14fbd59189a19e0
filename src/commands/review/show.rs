//! What reviews come to, for people.

use std::collections::BTreeMap;
use std::path::Path;

use rtune_trainer::evaluate::reviews::{self, Answer, Review, Reviewed, sum};
use rtune_trainer::evaluate::verdict::word;
use serde_json::json;

use super::settings;
use crate::failure::{BadInput, DONE};
use crate::reporter::say;
use crate::table::{align_right, table};

/// Under this reviewers agree hardly more than chance would have it; Krippendorff takes nothing below for granted.
const POOR_ALPHA: f64 = 0.667;
/// As far from a half, choices are of a place and not of an answer, if they are many.
const LEANING: f64 = 0.15;
/// Fewer choices lean by chance.
const FEW_CHOICES: usize = 40;
/// Characters of a hash that tell reports apart.
const SHORT_HASH: usize = 12;

/// Two models that were reviewed, by report and name.
type Models = [(String, String); 2];

/// `--summary FILE`.
pub(super) fn summary(file: &Path, as_json: bool) -> anyhow::Result<u8> {
    let reviews = reviews::read(file)?;
    if reviews.is_empty() {
        let problem = format!("`{}` has no review", file.display());
        return Err(BadInput::new(problem).with_hint("`rtune review REPORT --out FILE` writes them").into());
    }
    let mut by_models: BTreeMap<Models, Vec<Review>> = BTreeMap::new();
    for review in reviews {
        let of = |answer: &Answer| (answer.report.clone(), answer.model.clone());
        by_models.entry([of(&review.first), of(&review.second)]).or_default().push(review);
    }
    let mut all = Vec::new();
    for (models, reviews) in by_models {
        // What belongs together is known to the reports alone: here a case is what is alone.
        let mut keys: Vec<String> = reviews.iter().map(|review| review.case.clone()).collect();
        keys.sort();
        keys.dedup();
        let numbered: Vec<(usize, Review)> =
            reviews.into_iter().filter_map(|one| Some((keys.binary_search(&one.case).ok()?, one))).collect();
        if let Some(found) = sum(&numbered, &keys, &settings(0.05)) {
            all.push((models, found));
        }
    }
    if as_json {
        let value: Vec<_> = all
            .iter()
            .map(|(models, found)| {
                let model = |at: usize| json!({"report": models[at].0, "model": models[at].1});
                json!({"first": model(0), "second": model(1), "reviewed": found})
            })
            .collect();
        say(&serde_json::to_string_pretty(&value)?);
        return Ok(DONE);
    }
    for (models, found) in &all {
        let name = |at: usize| {
            let (report, model) = &models[at];
            format!("{model} of {}", report.get(..SHORT_HASH).unwrap_or(report))
        };
        say(&format!("A: {}\nB: {}\n", name(0), name(1)));
        show(found, 0.05);
    }
    Ok(DONE)
}

/// What people said of A and B.
pub(crate) fn show(found: &Reviewed, alpha: f64) {
    let one = &found.preference;
    say(&format!(
        "reviewers prefer B in {:.1}% of {} cases, ties as half ({:.0}% interval {:.1}% to {:.1}%; {} reviews: A {}, B {}, neither {}; \
         sign test over {} cases p = {:.3})",
        100.0 * one.share,
        one.cases,
        100.0 * (1.0 - alpha),
        100.0 * one.interval[0],
        100.0 * one.interval[1],
        one.reviews,
        one.first,
        one.second,
        one.ties,
        one.clusters_for[0] + one.clusters_for[1],
        one.sign_p,
    ));
    if !found.dimensions.is_empty() {
        let interval = format!("{:.0}% interval", 100.0 * (1.0 - alpha));
        let mut table = table(["score, 1 to 5", "cases", "A", "B", "B - A", &interval, "p, Holm", "B is"]);
        for one in &found.dimensions {
            table.add_row([
                one.metric.clone(),
                one.cases.to_string(),
                format!("{:.2}", one.first),
                format!("{:.2}", one.second),
                format!("{:+.2}", one.difference),
                format!("{:+.2} to {:+.2}", one.interval[0], one.interval[1]),
                format!("{:.3}", one.adjusted_p),
                word(one.verdict).to_owned(),
            ]);
        }
        align_right(&mut table, 1);
        say(&format!("\n{table}"));
    }
    if !found.agreement.is_empty() {
        let mut table = table(["agreement", "seen by several", "Krippendorff's alpha", "Cohen's kappa", ""]);
        let number =
            |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:+.3}"));
        for one in &found.agreement {
            let doubt = one.alpha.is_some_and(|alpha| alpha < POOR_ALPHA);
            table.add_row([
                one.what.clone(),
                one.seen_by_several.to_string(),
                number(one.alpha),
                number(one.kappa),
                if doubt {
                    "reviewers do not agree enough to be relied on".to_owned()
                } else {
                    String::new()
                },
            ]);
        }
        align_right(&mut table, 1);
        say(&format!("\n{table}"));
    }
    let decided = one.first + one.second;
    if let Some(left) = found.left.filter(|left| decided >= FEW_CHOICES && (left - 0.5).abs() > LEANING) {
        say(&format!(
            "note: {:.0}% of the choices fell on the left answer; sides are drawn, so that a half is expected",
            100.0 * left
        ));
    }
    let names: Vec<String> =
        found.reviewers.iter().map(|one| format!("{} ({} cases)", one.name, one.cases)).collect();
    say(&format!("\nreviewed by {}; {} answers were corrected", names.join(", "), found.corrections));
}
