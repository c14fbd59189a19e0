//! Whether a run that starts anew comes to the same bytes: not where it was changed on its way.

use rtune_trainer::checkpoint::State;
use rtune_trainer::config::Config;
use rtune_trainer::manifest::Manifest;
use rtune_trainer::run::{CONTINUATION_RULES, Rule};

/// Keys that may change on the way, since the steps that are done stay what they are, and by which a run that has them from its first step on
/// is another one: which checkpoint is the best, and which steps are left out.
const FROM_THE_START: [&str; 4] =
    ["eval.every", "eval.least-improvement", "watchdog.not-finite", "watchdog.spike"];

/// What was changed after a step, of all that a run from its first step on cannot repeat; empty where nothing was. A run is trained again by
/// the configuration that it ended with.
pub(in crate::commands) fn changed(manifest: &Manifest) -> Vec<String> {
    let after_a_step = manifest.continuations.iter().filter(|one| one.step > 0);
    let changes = after_a_step.flat_map(|one| one.changes.iter().map(|change| (one.step, change)));
    let changes = changes.filter(|(_, change)| key_of(change).is_some_and(decides));
    changes.map(|(step, change)| format!("{change} after step {step}")).collect()
}

/// Everything that stands against it: [`changed`], and of a run that had not come to its end when its checkpoint was in `state`, what it knew of
/// later steps or had not yet measured.
pub(in crate::commands) fn against(
    manifest: &Manifest,
    config: &Config,
    state: &State,
    stopped: bool,
) -> Vec<String> {
    let mut against = changed(manifest);
    let step = state.step;
    let left_out = state.remembered.as_ref().and_then(|remembered| remembered.left_out.last().copied());
    if let Some(later) = left_out.filter(|later| stopped && *later > step) {
        against.push(format!(
            "step {step} knows of step {later}, which the run had gone back for when it was stopped"
        ));
    }
    let evaluated = state.evaluated.filter(|evaluated| *evaluated < step);
    if stopped && evaluated.is_some() && step.is_multiple_of(config.eval.every) {
        against.push(format!("the run was stopped while it was evaluated after step {step}"));
    }
    against
}

/// The key in a change, as a configuration says it: `` `train.steps` was 6, is 10``. What else may have changed has no key.
fn key_of(change: &str) -> Option<&str> {
    let (key, _) = change.strip_prefix('`')?.split_once("` was ")?;
    Some(key)
}

fn decides(key: &str) -> bool {
    let is_length = CONTINUATION_RULES.iter().any(|(known, rule, _)| *known == key && *rule == Rule::Length);
    is_length || FROM_THE_START.contains(&key)
}

#[cfg(test)]
mod tests {
    use rtune_trainer::config::Change;

    use super::*;

    #[test]
    fn a_change_has_its_key() {
        let change = |key: &str| {
            let (was, is) = (Some("6".to_owned()), None);
            Change { key: key.to_owned(), was, is }.to_string()
        };
        let decided = |key: &str| key_of(&change(key)).is_some_and(decides);
        for key in ["train.steps", "train.epochs", "eval.patience"].into_iter().chain(FROM_THE_START) {
            assert!(decided(key), "{key}");
        }
        for key in ["checkpoint.every", "checkpoint.keep", "gate.ships", "output.dir", "model.base"] {
            assert!(!decided(key), "{key}");
        }
        assert_eq!(key_of("the device was A, is B: the last bits may differ from here on"), None);
        assert_eq!(key_of("the data file `a` was 1, is 2; the rows are the same"), None);
    }

    /// A key that is no longer free to change would have another rule, and one that is called otherwise none.
    #[test]
    fn keys_from_the_start_may_change_on_the_way() {
        for key in FROM_THE_START {
            let rule = CONTINUATION_RULES.iter().find(|(known, ..)| *known == key).map(|(_, rule, _)| *rule);
            assert_eq!(rule, Some(Rule::Free), "{key}");
        }
    }
}
