//! What the verbs that answer share: opening what they were pointed at, and how answers are made.

use rtune_models::generate::Sampling;
use rtune_trainer::subject::{Opened, Subject};
use rtune_trainer::talk::Settings;

use crate::args::talk::{SamplingArgs, SubjectArgs};
use crate::commands::resolve_base;
use crate::reporter::Work;

/// Answers under way at once where a person waits for one.
const ONE: usize = 1;

/// Finds and reads a run or a base, with a bar on a terminal.
pub(crate) fn open(args: &SubjectArgs) -> anyhow::Result<(Subject, Opened)> {
    let subject = Subject::find(&args.subject, &args.overrides)?;
    let base = resolve_base(&subject.config)?;
    let mut work = Work::new("loading the base");
    let mut opened = subject.open(&base, &mut |done, total| work.show(done, total))?;
    opened.unpack_for_answers();
    work.finish();
    Ok((subject, opened))
}

/// The flags as the speaker takes them.
pub(crate) fn settings(args: &SamplingArgs) -> Settings {
    Settings {
        sampling: Sampling {
            temperature: args.temperature,
            top_k: args.top_k.map(|k| k as usize),
            top_p: args.top_p,
            repetition_penalty: args.repetition_penalty,
        },
        seed: args.seed,
        max_new_tokens: args.max_new_tokens as usize,
        batch: ONE,
    }
}
