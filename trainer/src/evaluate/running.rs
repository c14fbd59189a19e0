//! Checks that run what a model wrote.

use rtune_sandbox::{Outcome, Sandbox};

use super::asked::Asked;
use super::wanted::TurnCheck;
use crate::error::TrainerError;

/// Why `text` fails the check; `None` where it passes.
///
/// # Errors
/// [`TrainerError::CodeNotRun`], and [`TrainerError::Sandbox`] where a program was not run.
pub(super) fn failure(
    check: &TurnCheck,
    text: &str,
    sandbox: Option<&Sandbox>,
) -> Result<Option<String>, TrainerError> {
    let Some(program) = check.checker.program(text) else { return Ok(check.checker.check(text).err()) };
    let Some(sandbox) = sandbox else {
        return Err(TrainerError::CodeNotRun { place: "a check of the kind `python`".to_owned() });
    };
    Ok(match sandbox.run(&program)? {
        Outcome::Passed => None,
        Outcome::Failed(reason) => Some(format!("the program fails: {reason}")),
        Outcome::TimedOut => Some("the program takes too long".to_owned()),
    })
}

/// Whether the checks of all rows can be made.
///
/// # Errors
/// [`TrainerError::CodeNotRun`], with the first row that has a program to be run where none may be.
pub(super) fn may(asked: &[Asked], sandbox: Option<&Sandbox>) -> Result<(), TrainerError> {
    match asked.iter().find(|asked| runs(asked)) {
        Some(asked) if sandbox.is_none() => {
            Err(TrainerError::CodeNotRun { place: asked.record.origin.to_string() })
        }
        _ => Ok(()),
    }
}

/// Whether a check of the row runs what the model wrote.
pub(super) fn runs(asked: &Asked) -> bool {
    asked.wanted.checks.iter().any(|check| check.checker.program("").is_some())
}
