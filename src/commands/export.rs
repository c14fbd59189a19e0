//! `rtune export`: a run's adapter for another program.

use crate::args::{ExportArgs, Format};
use crate::failure::DONE;
use crate::reporter::say;

pub(crate) fn run(args: &ExportArgs) -> anyhow::Result<u8> {
    let checkpoint = rtune_release::find(&args.run)?;
    match args.format {
        Format::Peft => rtune_release::export_peft(&checkpoint, &args.out)?,
    }
    say(&format!("{} -> {}", checkpoint.display(), args.out.display()));
    Ok(DONE)
}
