//! `rtune check`: what would be trained on.

use rtune_data::marked;
use rtune_trainer::config::Config;
use rtune_trainer::error::TrainerError;
use rtune_trainer::inputs::Inputs;

use crate::args::CheckArgs;
use crate::commands::merge::measure::places;
use crate::commands::opened::preparation;
use crate::commands::{data_summary, next, resolve_base};
use crate::failure::DONE;
use crate::reporter::say;

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<u8> {
    let config = Config::load(&args.config, &args.overrides)?;
    let inputs = Inputs::prepare(&config, &resolve_base(&config)?, &preparation(&config)?, None)?;
    if args.json {
        say(&serde_json::to_string_pretty(&inputs.prepared.report)?);
        return Ok(DONE);
    }
    let rows = &inputs.prepared.train;
    for place in places(rows.len(), args.sample) {
        let example = rows.get(place).map_err(TrainerError::from)?;
        let text = marked(&example, &inputs.base.tokenizer).map_err(TrainerError::from)?;
        let (tokens, supervised) = (example.tokens.len(), example.supervised_count());
        say(&format!("--- {} ({}): {tokens} tokens, {supervised} trained", example.origin, example.id));
        say(&text);
    }
    say("--- trained tokens stand between « and »");
    for line in data_summary::lines(&inputs.prepared.report) {
        say(&line);
    }
    say(&next::after_check(&args.config, &args.overrides));
    Ok(DONE)
}
