//! `rtune history`, `rtune rollback`, `rtune diff`: the versions of a model.

use rtune_registry::{Action, Differences, Registry, RegistryError, Row, differences, prove};
use rtune_trainer::evaluate::verdict::word;

use super::unix_seconds;
use crate::args::registry::{DiffArgs, HistoryArgs, RollbackArgs};
use crate::failure::{DONE, Failure};
use crate::reporter::{complain, say};
use crate::table::table;

/// Digits of a hash that a person compares.
const SHOWN_DIGITS: usize = 12;

pub(crate) fn history(args: &HistoryArgs) -> anyhow::Result<u8> {
    let registry = Registry::at(&args.place.registry);
    let (versions, moves, current) = (registry.versions()?, registry.history()?, registry.current_name()?);
    if versions.whole.is_empty() && versions.damaged.is_empty() {
        return Err(RegistryError::NoRegistry { folder: args.place.registry.clone() }.into());
    }
    // They are listed with the others, and named where nobody looks for them, too.
    let mut damaged = Vec::with_capacity(versions.damaged.len());
    for (name, error) in versions.damaged {
        let problem = error.to_string();
        complain(&Failure::of(&error.into()).to_string());
        damaged.push((name, problem));
    }
    if args.json {
        let lineages: Vec<_> = versions.whole.iter().map(|version| &version.lineage).collect();
        let damaged: Vec<_> = damaged
            .iter()
            .map(|(name, problem)| serde_json::json!({"version": name, "problem": problem}))
            .collect();
        let value = serde_json::json!({
            "format": 1, "current": current, "moves": moves, "versions": lineages, "damaged": damaged,
        });
        say(&serde_json::to_string_pretty(&value)?);
        return Ok(DONE);
    }
    let mut shown = table(["version", "", "parent", "run", "step", "rows", "ships", "decided"]);
    let mark = |name: &str| match (current.as_deref() == Some(name), moves.iter().any(|one| one.to == name)) {
        (true, _) => "in use",
        (false, true) => "",
        (false, false) => "never in use",
    };
    for version in &versions.whole {
        let lineage = &version.lineage;
        shown.add_row([
            version.name().to_owned(),
            mark(version.name()).to_owned(),
            lineage.parent.clone().unwrap_or_else(|| "none".to_owned()),
            lineage.run.clone(),
            lineage.step.to_string(),
            lineage.rows.to_string(),
            lineage.ships.clone(),
            time(lineage.decided_unix_seconds),
        ]);
    }
    for (name, _) in &damaged {
        let marks = [mark(name), "damaged"].into_iter().filter(|mark| !mark.is_empty());
        shown.add_row([name.clone(), marks.collect::<Vec<_>>().join(", ")]);
    }
    say(&shown.to_string());
    say("");
    for one in &moves {
        let from = one.from.as_deref().unwrap_or("nothing");
        let verb = match one.action {
            Action::Promote => "promoted",
            Action::Rollback => "rolled back",
        };
        say(&format!("{} {verb}: {from} -> {} ({})", time(one.unix_seconds), one.to, one.reason));
    }
    Ok(DONE)
}

pub(crate) fn roll_back(args: &RollbackArgs) -> anyhow::Result<u8> {
    let registry = Registry::at(&args.place.registry);
    let Some(current) = registry.current_name()? else {
        // What is wrong with one that has versions is said by its history.
        registry.history()?;
        return Err(RegistryError::NoRegistry { folder: args.place.registry.clone() }.into());
    };
    // One goes back from a damaged version like from any other, by history.json.
    if let Err(error) = registry.current() {
        complain(&format!("note: {current}, which is in use, is damaged: {error}"));
    }
    let version = registry.write()?.roll_back(args.version.as_deref(), unix_seconds())?;
    say(&format!("{} is {} now", args.place.registry.join("current").display(), version.name()));
    Ok(DONE)
}

pub(crate) fn diff(args: &DiffArgs) -> anyhow::Result<u8> {
    let registry = Registry::at(&args.place.registry);
    let (first, second) = (registry.find(&args.first)?, registry.find(&args.second)?);
    let Differences { config, files, rows, compared } = differences(&first, &second)?;
    say(&format!("A: {}\nB: {}", first.name(), second.name()));
    say(&format!("\nconfiguration: {} keys stand otherwise", config.len()));
    config.iter().for_each(|change| say(&format!("  {change}")));
    for (role, name, both) in &files {
        let [one, other] = both
            .each_ref()
            .map(|hash| hash.as_deref().map_or("nothing", |hash| &hash[..SHOWN_DIGITS.min(hash.len())]));
        say(&format!("{role} `{name}`: {one} -> {other}"));
    }
    say(&format!("\nrows: {} came, {} went, {} stayed", rows.came.len(), rows.went.len(), rows.stayed));
    let list = |sign: &str, rows: &[Row]| {
        for row in rows.iter().take(args.rows) {
            say(&format!("  {sign} {}:{} {}", row.file, row.line, row.id));
        }
        if rows.len() > args.rows {
            say(&format!("  {sign} … and {} more", rows.len() - args.rows));
        }
    };
    list("+", &rows.came);
    list("-", &rows.went);
    say("");
    match compared {
        Err(why) => say(&format!("metrics: {why}")),
        Ok(compared) => {
            for one in &compared.metrics {
                say(&format!(
                    "  {}: {:.4} -> {:.4}, B is {}",
                    one.metric,
                    one.first,
                    one.second,
                    word(one.verdict)
                ));
            }
            let gained = compared.flips.iter().filter(|flip| flip.gained).count();
            say(&format!("{gained} cases gained, {} lost", compared.flips.len() - gained));
            for flip in compared.flips.iter().take(args.rows) {
                say(&format!("  {} {}", if flip.gained { "gained" } else { "lost  " }, flip.id));
            }
        }
    }
    Ok(DONE)
}

/// Whether a folder is a version: by its file or, where that is lost, by its place in a registry.
pub(super) fn is_version(folder: &std::path::Path) -> bool {
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let above = whole.parent().filter(|above| above.file_name().is_some_and(|name| name == "versions"));
    let is_in_registry =
        above.and_then(std::path::Path::parent).map(|home| home.join("history.json").is_file());
    folder.join("version.json").is_file() || is_in_registry.unwrap_or(false)
}

/// `rtune verify` of a version: every file that is not what it was is named.
pub(super) fn verify(folder: &std::path::Path, json: bool) -> anyhow::Result<u8> {
    // `current` is a link: the registry is above what it points at. Another link is no version.
    let whole = |folder: &std::path::Path| folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let named = |folder: &std::path::Path| {
        let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
        Some(whole(above.unwrap_or(std::path::Path::new("."))).join(folder.file_name()?))
    };
    let is_current = folder.file_name().is_some_and(|name| name == "current");
    let other = Some(folder).filter(|folder| folder.is_symlink() && !is_current);
    let folder = other.and_then(named).unwrap_or_else(|| whole(folder));
    let registry = Registry::at(folder.parent().and_then(std::path::Path::parent).unwrap_or(&folder));
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let version = registry.find(&name)?;
    let faults = prove(&registry, &version)?;
    if json {
        say(&serde_json::to_string_pretty(
            &serde_json::json!({"version": version.name(), "faults": faults}),
        )?);
    } else if faults.is_empty() {
        say(&format!("{}: {} files, all as they were", version.name(), version.lineage.files.len()));
    }
    match faults.first() {
        None => Ok(DONE),
        Some(_) => {
            let fault = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            Err(RegistryError::Faulty { version: version.name().to_owned(), fault }.into())
        }
    }
}

/// Seconds of Unix time as a day and a time, in UTC (Hinnant, chrono-compatible low-level date algorithms).
fn time(unix_seconds: u64) -> String {
    let (days, seconds) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_date() {
        assert_eq!(time(0), "1970-01-01 00:00 UTC");
        assert_eq!(time(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(time(1_795_338_000), "2026-11-22 09:00 UTC");
    }
}
