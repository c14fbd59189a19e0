//! `rtune redteam`: a suite of attacks, base and tuned side by side.

use std::path::{Path, PathBuf};

use rtune_models::generate::Sampling;
use rtune_trainer::files::sha256_of;
use rtune_trainer::redteam::{
    CategoryReport, ItemReport, Known, Outcome, Rate, RedTeamReport, Suite, attack,
};
use rtune_trainer::subject::Opened;
use rtune_trainer::talk::{Settings, Speaker};
use serde::Deserialize;

use super::out::{refuse_unwritable, write};
use super::{eval, opened};
use crate::args::redteam::RedTeamArgs;
use crate::failure::DONE;
use crate::reporter::{Work, complain, say};
use crate::table::{align_right, table};

/// Characters of an answer that are shown.
const SHOWN_CHARACTERS: usize = 200;
/// Digits of a hash that tell suites of one name apart.
const HASH_DIGITS: usize = 8;

pub(crate) fn run(args: &RedTeamArgs) -> anyhow::Result<u8> {
    // A suite that cannot be read is said before a model is loaded.
    let suite = Suite::load(&args.suite)?;
    args.out.iter().try_for_each(|file| refuse_unwritable(file, &[PathBuf::from(&args.suite)]))?;
    let (subject, model) = opened::open(&args.subject)?;
    let known = match subject.run {
        Some(_) => Known::of(&subject.config)?,
        None => Known::default(),
    };
    let report = ask(&model, &suite, &known, args.max_new_tokens)?;
    let in_run = subject.run.as_ref().map(|run| in_folder(&run.join("eval"), &suite.name));
    let places: Vec<PathBuf> = in_run.into_iter().chain(args.out.clone()).collect();
    let text = serde_json::to_string_pretty(&report)?;
    if args.json {
        say(&text);
    } else {
        show(&report, args.answers);
    }
    write(&places, &(text + "\n"))?;
    if !args.json {
        places.iter().for_each(|place| complain(&format!("report: {}", place.display())));
    }
    Ok(DONE)
}

/// The report's place by the name of its suite; with a hash of it, where that of another suite stands there already.
fn in_folder(folder: &Path, suite: &str) -> PathBuf {
    #[derive(Deserialize)]
    struct Known {
        suite: String,
    }
    let stem = Path::new(suite).file_stem().unwrap_or("suite".as_ref()).to_string_lossy();
    let plain = folder.join(format!("redteam-{stem}.json"));
    // One that cannot be read is none that is worth keeping.
    let known = std::fs::read(&plain).ok().and_then(|bytes| serde_json::from_slice::<Known>(&bytes).ok());
    match known {
        Some(known) if known.suite != suite => {
            let hash = sha256_of(suite.as_bytes());
            folder.join(format!("redteam-{stem}-{}.json", &hash[..HASH_DIGITS.min(hash.len())]))
        }
        _ => plain,
    }
}

/// Asks a model the items of a suite.
pub(super) fn ask(
    model: &Opened,
    suite: &Suite,
    known: &Known,
    max_new_tokens: u32,
) -> anyhow::Result<RedTeamReport> {
    let speaker = Speaker::new(model)?;
    let (sampling, batch) = (Sampling::GREEDY, eval::batch(model));
    let settings = Settings { sampling, seed: 0, max_new_tokens: max_new_tokens as usize, batch };
    let mut work = Work::new("attacking");
    let report = attack(&speaker, suite, known, &settings, &mut |done, total| work.show(done, total))?;
    work.finish();
    Ok(report)
}

fn show(report: &RedTeamReport, answers: bool) {
    let mut shown = table(["category", "items", "base", "95%", "tuned", "95%", "tuned - base"]);
    for one in report.categories.iter().chain([&report.all]) {
        shown.add_row(row(one));
    }
    align_right(&mut shown, 1);
    say(&shown.to_string());
    for (id, why) in &report.left_out {
        say(&format!("not asked: {id}: {why}"));
    }
    let failures = |of: &dyn Fn(&ItemReport) -> Option<&Outcome>, title: &str| {
        let failed: Vec<(&ItemReport, &Outcome)> =
            report.items.iter().filter_map(|item| Some((item, of(item)?))).collect();
        if !failed.is_empty() {
            say(&format!("\n{title}:"));
        }
        for (item, outcome) in failed {
            let severity = serde_json::to_value(item.severity).unwrap_or_default();
            let severity = severity.as_str().unwrap_or_default();
            let why = outcome.why.as_deref().unwrap_or_default();
            say(&format!("  {} ({}, {severity}): {why}", item.id, item.category));
            if answers {
                let text: String = outcome.answer.chars().take(SHOWN_CHARACTERS).collect();
                say(&format!("    {}", text.replace('\n', "\n    ")));
            }
        }
    };
    if report.all.tuned.is_none() {
        failures(&|item| Some(&item.base).filter(|one| !one.passed), "failed");
        return;
    }
    let failed = |item: &ItemReport| item.tuned.as_ref().is_some_and(|one| !one.passed);
    failures(
        &|item| item.tuned.as_ref().filter(|_| failed(item) && item.base.passed),
        "failed since the tuning",
    );
    failures(
        &|item| item.tuned.as_ref().filter(|_| failed(item) && !item.base.passed),
        "failed before and after",
    );
}

fn row(one: &CategoryReport) -> Vec<String> {
    let percent = |value: f64| format!("{:.0}%", 100.0 * value);
    let interval = |rate: &Rate| format!("{} to {}", percent(rate.interval[0]), percent(rate.interval[1]));
    let mut cells =
        vec![one.category.clone(), one.base.of.to_string(), percent(one.base.share), interval(&one.base)];
    match &one.tuned {
        Some(tuned) => {
            let difference = format!("{:+.0}", 100.0 * (tuned.share - one.base.share));
            cells.extend([percent(tuned.share), interval(tuned), difference]);
        }
        None => cells.extend(["-", "-", "-"].map(str::to_owned)),
    }
    cells
}
