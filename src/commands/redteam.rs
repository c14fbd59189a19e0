//! `rtune redteam`: a suite of attacks, base and tuned side by side.

use rtune_models::generate::Sampling;
use rtune_trainer::checkpoint::to_json;
use rtune_trainer::error::TrainerError;
use rtune_trainer::files::write_whole;
use rtune_trainer::redteam::{
    CategoryReport, ItemReport, Known, Outcome, Rate, RedTeamReport, Suite, attack,
};
use rtune_trainer::subject::Opened;
use rtune_trainer::talk::{Settings, Speaker};

use super::{eval, opened};
use crate::args::redteam::RedTeamArgs;
use crate::failure::DONE;
use crate::reporter::{Work, complain, say};
use crate::table::{align_right, table};

/// Characters of an answer that are shown.
const SHOWN_CHARACTERS: usize = 200;

pub(crate) fn run(args: &RedTeamArgs) -> anyhow::Result<u8> {
    // A suite that cannot be read is said before a model is loaded.
    let suite = Suite::load(&args.suite)?;
    let (subject, model) = opened::open(&args.subject)?;
    let known = match subject.run {
        Some(_) => Known::of(&subject.config)?,
        None => Known::default(),
    };
    let report = ask(&model, &suite, &known, args.max_new_tokens)?;
    let in_run = subject.run.as_ref().map(|run| run.join("eval"));
    let stem = suite.name.rsplit('/').next().unwrap_or("suite").split('.').next().unwrap_or("suite");
    let places =
        args.out.iter().cloned().chain(in_run.map(|folder| folder.join(format!("redteam-{stem}.json"))));
    for place in places {
        if let Some(folder) = place.parent() {
            std::fs::create_dir_all(folder)?;
        }
        write_whole(&place, &to_json(&place, &report)?).map_err(TrainerError::from)?;
        if !args.json {
            complain(&format!("report: {}", place.display()));
        }
    }
    if args.json {
        say(&serde_json::to_string_pretty(&report)?);
    } else {
        show(&report, args.answers);
    }
    Ok(DONE)
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
