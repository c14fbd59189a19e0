//! `rtune feedback review`: a person accepts, rewrites or rejects.

use std::io::BufRead;

use rtune_feedback::Entry;
use rtune_feedback::queue::{Decision, Queue, State, Verdict, unfit};

use super::{rating, visible};
use crate::args::feedback::FeedbackReviewArgs;
use crate::commands::unix_seconds;
use crate::failure::{BadInput, DONE};
use crate::reporter::{complain, say, say_piece};

/// What stands for every entry that waits and can be accepted.
const ALL: &str = "all";
/// Characters of a text that are shown; more is no reading at a prompt.
const SHOWN_CHARACTERS: usize = 4000;

pub(super) fn run(args: &FeedbackReviewArgs) -> anyhow::Result<u8> {
    let mut queue = Queue::open(&args.place.queue, false)?;
    if args.by.trim().is_empty() || args.by.chars().any(char::is_control) {
        return Err(BadInput::new(format!("--by: expected a name, found {:?}", args.by)).into());
    }
    let decided = if args.accept.is_empty() && args.reject.is_empty() {
        asked(&mut queue, args, &mut std::io::stdin().lock())
    } else {
        named(&mut queue, args)
    };
    // What was decided before something went wrong stands, and is written.
    let frozen = queue.freeze();
    let decided = decided?;
    say(&format!("{} accepted, {} rejected", decided[0], decided[1]));
    if let Some(file) = frozen? {
        say(&format!("rows to train on -> {}", file.display()));
        say(&format!(
            "train: rtune train --from current --add {} --set output.dir=FOLDER",
            args.place.queue.display()
        ));
    }
    Ok(DONE)
}

fn decision(args: &FeedbackReviewArgs, id: &str, decision: Verdict, answer: Option<String>) -> Decision {
    Decision {
        format: 1,
        id: id.to_owned(),
        decision,
        answer,
        by: args.by.clone(),
        unix_seconds: unix_seconds(),
    }
}

/// `--accept` and `--reject`.
fn named(queue: &mut Queue, args: &FeedbackReviewArgs) -> anyhow::Result<[usize; 2]> {
    if let Some(both) = args.accept.iter().find(|id| args.reject.contains(id)) {
        return Err(BadInput::new(format!("`{both}` cannot be accepted and rejected at once")).into());
    }
    let rejected = args.reject.iter().map(|id| (id.clone(), Verdict::Reject));
    let mut accepted: Vec<String> = args.accept.iter().filter(|id| *id != ALL).cloned().collect();
    if accepted.len() < args.accept.len() {
        let named = [args.reject.as_slice(), accepted.as_slice()].concat();
        accepted.extend(all_that_wait(queue, &named));
    }
    let decisions: Vec<_> = rejected.chain(accepted.into_iter().map(|id| (id, Verdict::Accept))).collect();
    // All are known before the first is decided.
    for (id, _) in &decisions {
        queue.entry(id)?;
    }
    let mut counts = [0, 0];
    for (id, verdict) in decisions {
        queue.decide(decision(args, &id, verdict, None))?;
        counts[usize::from(verdict == Verdict::Reject)] += 1;
    }
    Ok(counts)
}

/// What `all` stands for beside those that are named; what has an answer and can be no row all the same is said.
fn all_that_wait(queue: &Queue, named: &[String]) -> Vec<String> {
    let is_asked = |entry: &&Entry| {
        queue.state(entry) == State::Waiting && entry.to_train().is_some() && !named.contains(&entry.id)
    };
    let fits = |entry: &&Entry| {
        let problem = unfit(entry, None);
        if let Some(problem) = &problem {
            complain(&format!("note: `{}` still waits: {problem}", entry.id));
        }
        problem.is_none()
    };
    queue.entries().iter().filter(is_asked).filter(fits).map(|entry| entry.id.clone()).collect()
}

/// Shows what waits, one by one, and reads what is to become of it.
fn asked(
    queue: &mut Queue,
    args: &FeedbackReviewArgs,
    input: &mut dyn BufRead,
) -> anyhow::Result<[usize; 2]> {
    let waiting: Vec<Entry> =
        queue.entries().iter().filter(|entry| queue.state(entry) == State::Waiting).cloned().collect();
    let mut counts = [0, 0];
    for (number, entry) in waiting.iter().enumerate() {
        show(entry, number + 1, waiting.len());
        loop {
            say_piece("[a]ccept  [e]dit  [r]eject  [s]kip  [q]uit > ");
            let mut line = String::new();
            if input.read_line(&mut line)? == 0 {
                say("");
                return Ok(counts);
            }
            let (verdict, answer) = match line.trim() {
                "a" => (Verdict::Accept, None),
                "e" => match edited(input)? {
                    Some(answer) => (Verdict::Accept, Some(answer)),
                    None => continue,
                },
                "r" => (Verdict::Reject, None),
                "s" => break,
                "q" => return Ok(counts),
                _ => continue,
            };
            match queue.decide(decision(args, &entry.id, verdict, answer)) {
                Ok(()) => {
                    counts[usize::from(verdict == Verdict::Reject)] += 1;
                    break;
                }
                // What cannot be accepted as it is can be rewritten.
                Err(error @ rtune_feedback::FeedbackError::Decision { .. }) => complain(&error.to_string()),
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(counts)
}

/// An answer in lines, up to a line that is a dot; `None` for an empty one.
fn edited(input: &mut dyn BufRead) -> anyhow::Result<Option<String>> {
    say("the answer to train on, ended by a line with a dot:");
    let mut answer = String::new();
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 || line.trim_end() == "." {
            let answer = answer.trim();
            return Ok((!answer.is_empty()).then(|| answer.to_owned()));
        }
        answer.push_str(&line);
    }
}

fn show(entry: &Entry, number: usize, count: usize) {
    let short = |text: &str| {
        let mut shown: String = text.chars().take(SHOWN_CHARACTERS).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        visible(&shown).replace('\n', "\n              ")
    };
    say(&format!("\n{number} of {count}  {}  {}:{}", entry.id, visible(&entry.from.file), entry.from.line));
    for turn in &entry.messages {
        say(&format!("  {:<12}{}", visible(&turn.role), short(&turn.content)));
    }
    say(&format!("  answered    {}", entry.answer.as_deref().map_or_else(|| "-".to_owned(), short)));
    say(&format!("  rated       {}", rating(entry)));
    for (name, text) in [("comment", &entry.comment), ("correction", &entry.correction)] {
        if let Some(text) = text {
            say(&format!("  {name:<12}{}", short(text)));
        }
    }
    if let Some(row) = &entry.resembles {
        say(&format!("  note        a training row asks the same: {}", visible(row)));
    }
    if entry.to_train().is_none() {
        say("  note        nobody liked or corrected it: it takes an answer to be accepted ([e]dit)");
    }
}
