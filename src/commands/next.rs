//! What to do next: every verb that leaves something says which command goes on from there.

use std::path::Path;

pub(super) use rtune_release::for_shell;
use rtune_trainer::config::Config;

/// After a run: talking, the golden rows if there are any, taking the adapter out.
pub(super) fn after_training(config: &Config) -> String {
    let run = for_shell(&config.output.dir.display().to_string());
    let mut commands = vec![format!("rtune chat {run}")];
    if !config.data.golden.is_empty() {
        commands.push(format!("rtune eval {run}"));
    }
    commands.push(format!("rtune merge {run} OUT"));
    commands.push(format!("rtune export {run} OUT"));
    lines(&commands)
}

/// After a look at the rows: training on them, with the same overrides.
pub(super) fn after_check(config: &Path, overrides: &[String]) -> String {
    let mut command = format!("rtune train {}", for_shell(&config.display().to_string()));
    for argument in overrides {
        command.push_str(&format!(" --set {}", for_shell(argument)));
    }
    lines(&[command])
}

fn lines(commands: &[String]) -> String {
    format!("next:\n  {}", commands.join("\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_survive_a_shell() {
        let overrides = ["train.epochs=1", "data.train=[\"a b\"]", "model.base=it's"].map(str::to_owned);
        assert_eq!(
            after_check(Path::new("c.toml"), &overrides),
            "next:\n  rtune train c.toml --set train.epochs=1 --set 'data.train=[\"a b\"]' --set 'model.base=it'\\''s'"
        );
    }
}
