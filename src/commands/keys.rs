//! `rtune keys`: what the configuration's keys mean.

use rtune_trainer::config::{KEYS, describe, hint, reference};

use crate::args::tools::KeysArgs;
use crate::failure::{BadInput, DONE};
use crate::reporter::say;

/// Where the names stand.
const LIST: &str = "`rtune keys` shows all of them";

pub(crate) fn run(args: &KeysArgs) -> anyhow::Result<u8> {
    if args.keys.is_empty() {
        say(reference().trim_end());
        return Ok(DONE);
    }
    for name in &args.keys {
        // A whole section, or one key.
        let inside = format!("{name}.");
        let keys: Vec<&str> =
            KEYS.iter().copied().filter(|key| key == name || key.starts_with(&inside)).collect();
        if keys.is_empty() {
            let message = format!("there is no key and no section `{name}`");
            return Err(BadInput::new(message).with_hint(hint(name).unwrap_or(LIST.to_owned())).into());
        }
        for key in keys {
            say(&format!("{key}\n\n{}", describe(key).unwrap_or_default()));
        }
    }
    Ok(DONE)
}
