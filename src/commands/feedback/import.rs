//! `rtune feedback import`.

use rtune_data::{PrivacyMode, PrivacyOptions, scrubber};
use rtune_feedback::forms::read;
use rtune_feedback::intake::{Account, Against, take_in};
use rtune_feedback::queue::Queue;
use serde_json::json;

use super::config;
use crate::args::feedback::ImportArgs;
use crate::commands::opened::preparation;
use crate::failure::{BadInput, DONE};
use crate::reporter::{complain, say};

/// What becomes of personal data where the configuration only counts it: what users wrote is kept by no queue as it was.
const AT_LEAST: PrivacyMode = PrivacyMode::Numbered;

pub(super) fn run(args: &ImportArgs) -> anyhow::Result<u8> {
    let config = config(&args.against)?.ok_or_else(|| {
        BadInput::new("expected a configuration: what is personal, golden and trained already stands there")
            .with_hint("`--config CONFIG` or `--run RUN`")
    })?;
    let data = &config.data;
    let mut privacy: PrivacyOptions = data.privacy.clone();
    match privacy.mode {
        PrivacyMode::Report => {
            privacy.mode = AT_LEAST;
            complain(&format!(
                "note: `data.privacy.mode` is report: personal data is replaced as {} would, before anything is kept",
                AT_LEAST.name()
            ));
        }
        PrivacyMode::Off => {
            complain(
                "warning: `data.privacy.mode` is off: what users wrote is kept as they wrote it, personal data too",
            );
        }
        _ => {}
    }
    let names = preparation(&config)?.names;
    let scrubber = scrubber(&privacy, names.as_ref())?;
    // Read before the queue is opened, and written when all was scrubbed and compared: what is at fault leaves no entry behind.
    let found = read(&args.files, args.from.map(crate::args::feedback::FormName::form), &args.keys)?;
    let mut queue = Queue::open(&args.place.queue, true)?;
    let salt = queue.salt()?;
    let folder = std::env::temp_dir();
    let against = Against {
        scrubber: scrubber.as_ref(),
        golden: &data.golden,
        train: &data.train,
        similarity: data.leaks.similarity,
        per_user: args.per_user as usize,
        salt: &salt,
        folder: &folder,
    };
    let (entries, account) = take_in(found, queue.entries(), &against)?;
    let file = queue.add(entries)?;
    if args.json {
        let account = json!({"format": 1, "file": file, "account": account});
        say(&serde_json::to_string_pretty(&account)?);
        return Ok(DONE);
    }
    show(&account);
    if let Some(file) = file {
        say(&format!("-> {}", file.display()));
        say(&format!("decide: rtune feedback review --queue {}", args.place.queue.display()));
    }
    Ok(DONE)
}

fn show(account: &Account) {
    say(&format!("{} read, {} kept", account.read, account.kept));
    let left_out = [
        (account.in_queue, "are in the queue already"),
        (account.trained, "are training rows already"),
        (account.empty, "ask nothing, or say nothing of the answer"),
        (account.personal, "hold personal data, and `data.privacy.mode` is drop-row"),
        (account.over_cap, "are of users who have said enough (--per-user)"),
        (account.calls, "call tools, and a queue keeps texts alone"),
    ];
    for (count, why) in left_out.into_iter().filter(|(count, _)| *count > 0) {
        say(&format!("  {count} not kept: they {why}"));
    }
    if account.not_users > 0 {
        say(&format!(
            "  {} left out: evaluators say them and not users (--key KEY names a key of users)",
            account.not_users
        ));
    }
    if account.off_scale > 0 {
        say(&format!(
            "  {} ratings left out: they are of another scale than thumbs and five stars",
            account.off_scale
        ));
    }
    if account.leaks > 0 {
        say(&format!("  {} resemble golden rows: they are kept apart, and never trained on", account.leaks));
    }
    if !account.replaced.is_empty() {
        let kinds: Vec<String> =
            account.replaced.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        say(&format!("  replaced: {}", kinds.join(", ")));
    }
}
