//! `rtune feedback list`.

use std::collections::{BTreeMap, HashSet};

use rtune_data::{Half, read_golden};
use rtune_feedback::Entry;
use rtune_feedback::queue::{Queue, State};
use rtune_feedback::topics::{Topic, uncovered};
use rtune_trainer::error::TrainerError;
use serde_json::json;

use super::{config, rating, visible};
use crate::args::feedback::{ListArgs, StateName};
use crate::failure::DONE;
use crate::reporter::say;
use crate::table::table;

/// Characters of a prompt in a row.
const SHOWN_CHARACTERS: usize = 60;
/// Topics that are shown.
const SHOWN_TOPICS: usize = 20;

pub(super) fn run(args: &ListArgs) -> anyhow::Result<u8> {
    let queue = Queue::open(&args.place.queue, false)?;
    let config = config(&args.against)?;
    let wanted = args.state.map(|state| match state {
        StateName::Waiting => State::Waiting,
        StateName::Accepted => State::Accepted,
        StateName::Rejected => State::Rejected,
        StateName::Golden => State::Golden,
    });
    let all: Vec<(&Entry, State)> = queue.entries().iter().map(|entry| (entry, queue.state(entry))).collect();
    let shown: Vec<&(&Entry, State)> =
        all.iter().filter(|(_, state)| wanted.is_none_or(|wanted| wanted == *state)).collect();
    // Without golden rows nobody can say which of them are missing.
    let topics = match &config {
        Some(config) => {
            let golden = read_golden(&config.data.golden, config.gate.sealed).map_err(TrainerError::from)?;
            // What sealed rows ask, nobody is told here, nor that they ask it.
            let (open, sealed): (Vec<_>, Vec<_>) =
                golden.into_iter().flat_map(|file| file.rows).partition(|row| Half::Open.has(row));
            let prompts: Vec<String> = open.iter().map(|row| row.record.users_text()).collect();
            let sealed: HashSet<String> = sealed.iter().map(|row| row.record.origin.to_string()).collect();
            // What resembles an open golden row is covered by it.
            let is_covered =
                |entry: &Entry| entry.leak.as_ref().is_some_and(|leak| !sealed.contains(&leak.golden));
            let low = |entry: &&Entry| entry.is_low() && !is_covered(entry);
            let low: Vec<&Entry> = queue.entries().iter().filter(low).collect();
            Some(uncovered(&low, &prompts))
        }
        None => None,
    };
    if args.json {
        let entries: Vec<_> =
            shown.iter().map(|(entry, state)| json!({"state": state, "entry": entry})).collect();
        let value = json!({"format": 1, "entries": entries, "topics_without_golden_rows": topics});
        say(&serde_json::to_string_pretty(&value)?);
        return Ok(DONE);
    }
    let mut table = table(["entry", "state", "rated", "corrected", "asked"]);
    for (entry, state) in shown {
        table.add_row([
            entry.id.clone(),
            state.name().to_owned(),
            rating(entry),
            if entry.correction.is_some() { "yes".to_owned() } else { String::new() },
            short(&entry.asked()),
        ]);
    }
    say(&table.to_string());
    let mut counts: BTreeMap<State, usize> = BTreeMap::new();
    for (_, state) in &all {
        *counts.entry(*state).or_default() += 1;
    }
    let counts: Vec<String> =
        counts.iter().map(|(state, count)| format!("{count} {}", state.name())).collect();
    say(&format!("\n{} entries: {}", all.len(), counts.join(", ")));
    match topics {
        Some(topics) => show_topics(&topics),
        None => say("name a configuration (--config) to see what fails that no golden row asks about"),
    }
    Ok(DONE)
}

fn show_topics(topics: &[Topic]) {
    if topics.is_empty() {
        say("every prompt that was rated low resembles a golden row");
        return;
    }
    say("\nrated low, and no golden row asks the like:");
    for topic in topics.iter().take(SHOWN_TOPICS) {
        say(&format!(
            "  {:>4}  {}  ({}; {})",
            topic.entries.len(),
            visible(&topic.words.join(" ")),
            short(&topic.example),
            topic.entries.iter().take(3).cloned().collect::<Vec<_>>().join(" ")
        ));
    }
    if topics.len() > SHOWN_TOPICS {
        say(&format!("  and {} more topics", topics.len() - SHOWN_TOPICS));
    }
}

fn short(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut shown: String = line.chars().take(SHOWN_CHARACTERS).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    visible(&shown)
}
