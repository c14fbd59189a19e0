//! `rtune compare`: whether one model is better than another.

use std::path::{Path, PathBuf};

use comfy_table::Table;
use rtune_metrics::compare::{Comparison, Settings};
use rtune_trainer::evaluate::compare::{Answered, Compared, Flip, Part, Which, answers, compare_reports};
use rtune_trainer::evaluate::reviews::{self, Reviewed, matched, sum};
use rtune_trainer::evaluate::verdict::{sentence, word};

use super::review;
use crate::args::compare::CompareArgs;
use crate::failure::{BadInput, DONE};
use crate::reporter::{complain, say};
use crate::table::{align_right, table};

/// Reviews of other answers that are named.
const SHOWN_UNMATCHED: usize = 5;
/// Characters of a text that a flip shows.
const SHOWN_CHARACTERS: usize = 240;

pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<u8> {
    let first = report(&args.first)?;
    let second = args.second.as_deref().map(report).transpose()?;
    let settings = Settings { alpha: args.alpha, margin: args.margin, ..Settings::default() };
    let (one, other) = match &second {
        Some(second) => ((first.as_path(), Which::Best), (second.as_path(), Which::Best)),
        None => ((first.as_path(), Which::Base), (first.as_path(), Which::Tuned)),
    };
    let compared = compare_reports(one, other, args.metric.as_deref(), &args.key_classes, &settings)?;
    let reviewed = args.reviews.as_deref().map(|file| reviewed(file, (one, other), &settings)).transpose()?;
    if args.json {
        let mut value = serde_json::to_value(&compared)?;
        if let Some(reviewed) = &reviewed {
            value["reviewed"] = serde_json::to_value(reviewed)?;
        }
        say(&serde_json::to_string_pretty(&value)?);
    } else {
        let names = match &args.second {
            Some(second) => [args.first.display().to_string(), second.display().to_string()],
            None => ["base".to_owned(), "tuned".to_owned()],
        };
        show(&compared, &names, args.flips);
        if let Some(reviewed) = &reviewed {
            say("");
            review::show(reviewed, settings.alpha);
        }
    }
    Ok(DONE)
}

/// What people said of these answers; reviews of others are named and left out.
fn reviewed(
    file: &Path,
    (one, other): ((&Path, Which), (&Path, Which)),
    settings: &Settings,
) -> anyhow::Result<Reviewed> {
    let cases = answers(one, other)?.cases;
    let found = matched(reviews::read(file)?, &cases);
    for unmatched in found.unmatched.iter().take(SHOWN_UNMATCHED) {
        complain(&format!("note: {}: {unmatched}", file.display()));
    }
    if found.unmatched.len() > SHOWN_UNMATCHED {
        complain(&format!("note: and {} more", found.unmatched.len() - SHOWN_UNMATCHED));
    }
    let keys: Vec<String> = cases.iter().map(Answered::key).collect();
    sum(&found.reviews, &keys, settings).ok_or_else(|| {
        let problem = format!("`{}` has no review of these answers", file.display());
        BadInput::new(problem).with_hint("`rtune review` of the same two reports writes them").into()
    })
}

/// The report itself, or the only one in a run's folder.
pub(super) fn report(named: &Path) -> anyhow::Result<PathBuf> {
    if !named.is_dir() {
        return Ok(named.to_owned());
    }
    let folder = named.join("eval");
    let is_golden = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("golden-") && name.ends_with(".json")
    };
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = entries.filter(is_golden).collect();
    found.sort();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(BadInput::new(format!("`{}` has no golden report", named.display()))
            .with_hint(format!("make one: `rtune eval {} --golden FILE`", named.display()))
            .into()),
        several => {
            let names: Vec<String> = several.iter().map(|path| path.display().to_string()).collect();
            Err(BadInput::new(format!("`{}` has {} golden reports", named.display(), several.len()))
                .with_hint(format!("name one: {}", names.join(", ")))
                .into())
        }
    }
}

fn show(compared: &Compared, names: &[String; 2], flips: usize) {
    say(&format!("A: {}\nB: {}\n", names[0], names[1]));
    let confidence = 1.0 - compared.settings.alpha;
    say(&comparison_table(&compared.metrics, ["metric", "p"], confidence, |one| one.metric.clone())
        .to_string());
    if let Some(decides) = compared.metrics.first() {
        if compared.metrics.len() > 1 {
            say(&format!(
                "p of {}, which decides, is its own; those of the others are corrected after Holm",
                decides.metric
            ));
        }
        say(&format!("\n{}", sentence(decides, compared.settings.margin, "A", "B")));
        for warning in &decides.warnings {
            say(&format!("note: {warning}"));
        }
    }
    if !compared.slices.is_empty() {
        say("");
        let name = |one: &Comparison| one.slice.clone().unwrap_or_default();
        say(&comparison_table(&compared.slices, ["slice", "p, Holm"], confidence, name).to_string());
    }
    let gained = compared.flips.iter().filter(|flip| flip.gained).count();
    say(&format!("\n{gained} cases gained, {} lost", compared.flips.len() - gained));
    // What was lost is read first.
    let lost_first = compared
        .flips
        .iter()
        .filter(|flip| !flip.gained)
        .chain(compared.flips.iter().filter(|flip| flip.gained));
    lost_first.take(flips).for_each(show_flip);
}

fn comparison_table(
    comparisons: &[Comparison],
    [header, probability]: [&str; 2],
    confidence: f64,
    name: impl Fn(&Comparison) -> String,
) -> Table {
    let interval = format!("{:.0}% interval", 100.0 * confidence);
    let mut table = table([header, "cases", "A", "B", "B - A", &interval, probability, "B is"]);
    for one in comparisons {
        let percent = one.outcomes.is_some();
        let number =
            |value: f64| if percent { format!("{:.1}%", 100.0 * value) } else { format!("{value:.3}") };
        let signed =
            |value: f64| if percent { format!("{:+.1}", 100.0 * value) } else { format!("{value:+.3}") };
        let [low, high] = one.interval;
        table.add_row([
            name(one),
            one.cases.to_string(),
            number(one.first),
            number(one.second),
            signed(one.difference),
            format!("{} to {}", signed(low), signed(high)),
            format!("{:.3}", one.adjusted_p),
            word(one.verdict).to_owned(),
        ]);
    }
    align_right(&mut table, 1);
    table
}

fn show_flip(flip: &Flip) {
    let short = |text: &str| {
        let mut shown: String = text.chars().take(SHOWN_CHARACTERS).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        shown.replace('\n', "\n             ")
    };
    say(&format!("\n{} {}", if flip.gained { "gained" } else { "lost" }, flip.id));
    say(&format!("  asked      {}", short(&flip.asked)));
    say(&format!(
        "  expected   {}",
        flip.expected.iter().map(|text| short(text)).collect::<Vec<_>>().join(" | ")
    ));
    say(&format!("  A          {}", short(&flip.first)));
    say(&format!("  B          {}", short(&flip.second)));
    if let Some(parts) = &flip.diff {
        let part = |part: &Part| match part {
            Part::Same(text) => text.clone(),
            Part::Removed(text) => format!("[-{text}-]"),
            Part::Added(text) => format!("{{+{text}+}}"),
        };
        say(&format!("  A to B     {}", short(&parts.iter().map(part).collect::<Vec<_>>().join(" "))));
    }
}
