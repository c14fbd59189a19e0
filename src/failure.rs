//! From an error to what the user reads and what the shell gets.

use std::fmt;

use rtune_data::DataError;
use rtune_feedback::FeedbackError;
use rtune_models::ModelError;
use rtune_models::hub::HubError;
use rtune_registry::RegistryError;
use rtune_release::ReleaseError;
use rtune_trainer::config::ConfigError;
use rtune_trainer::error::TrainerError;
use rtune_trainer::gpu::CudaError;

/// Done.
pub(crate) const DONE: u8 = 0;
/// The disk, permissions, the network, or training that diverged.
pub(crate) const FAILED: u8 = 1;
/// The command line, the configuration or the input.
pub(crate) const INPUT: u8 = 2;
/// The gate says no.
pub(crate) const REFUSED: u8 = 3;
/// A process that a signal ended has 128 and the signal's number, so shells and schedulers know.
pub(crate) const BY_SIGNAL: u8 = 128;

/// What the user gave is at fault, and no library found it.
#[derive(Debug)]
pub(crate) struct BadInput {
    problem: String,
    hint: Option<String>,
}

impl BadInput {
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), hint: None }
    }

    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for BadInput {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.problem)
    }
}

impl std::error::Error for BadInput {}

/// An error in the words of the program: the chain of causes, then the hint, apart.
#[derive(Debug, PartialEq)]
pub(crate) struct Failure {
    causes: Vec<String>,
    hint: Option<String>,
    pub(crate) exit_code: u8,
}

impl Failure {
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        let mut causes: Vec<String> = Vec::new();
        for cause in error.chain().map(ToString::to_string) {
            // A library that prints its cause itself would have it said twice.
            if !causes.last().is_some_and(|before| before.ends_with(&cause)) {
                causes.push(cause);
            }
        }
        let (exit_code, hint) = error.chain().find_map(classify).unwrap_or((FAILED, None));
        Self { causes, hint, exit_code }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, cause) in self.causes.iter().enumerate() {
            let label = if index == 0 { "error" } else { "\n  cause" };
            write!(out, "{label}: {cause}")?;
        }
        for line in self.hint.iter().flat_map(|hint| hint.lines()) {
            write!(out, "\n  hint: {line}")?;
        }
        Ok(())
    }
}

fn classify(error: &(dyn std::error::Error + 'static)) -> Option<(u8, Option<String>)> {
    let code = |is_input: bool| if is_input { INPUT } else { FAILED };
    if let Some(error) = error.downcast_ref::<TrainerError>() {
        return Some((code(error.is_input()), error.hint()));
    }
    // As within one of the trainer, wherever they come from.
    if let Some(error) = error.downcast_ref::<ModelError>() {
        return Some((code(TrainerError::is_input_to_models(error)), error.hint()));
    }
    if let Some(error) = error.downcast_ref::<DataError>() {
        return Some((code(TrainerError::is_input_to_data(error)), error.hint()));
    }
    if let Some(error) = error.downcast_ref::<BadInput>() {
        return Some((INPUT, error.hint.clone()));
    }
    if let Some(error) = error.downcast_ref::<RegistryError>() {
        return Some((code(error.is_input()), error.hint()));
    }
    if let Some(error) = error.downcast_ref::<FeedbackError>() {
        return Some((code(error.is_input()), error.hint()));
    }
    if error.is::<ConfigError>() {
        return Some((INPUT, None));
    }
    if let Some(error) = error.downcast_ref::<ReleaseError>() {
        return Some((code(error.is_input()), error.hint()));
    }
    if let Some(error) = error.downcast_ref::<CudaError>() {
        return Some((FAILED, error.hint().map(str::to_owned)));
    }
    let error = error.downcast_ref::<HubError>()?;
    Some((code(is_named_wrongly(error)), error.hint()))
}

/// Whether the base itself is at fault, and not the way to it.
fn is_named_wrongly(error: &HubError) -> bool {
    if let HubError::NoPlace { attempts, .. } = error {
        return !attempts.is_empty() && attempts.iter().all(|(_, error)| is_named_wrongly(error));
    }
    matches!(
        error,
        HubError::UnknownBase { .. }
            | HubError::NoSuchPath { .. }
            | HubError::InvalidRevision { .. }
            | HubError::RevisionWithoutRepository { .. }
            | HubError::NotFound { .. }
            | HubError::WrongFile { .. }
            | HubError::NoWeights { .. }
            | HubError::Wheel { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_stand_in_order_and_the_hint_apart() {
        let error =
            anyhow::Error::from(TrainerError::InUse { folder: "runs/x".into() }).context("cannot train");
        let failure = Failure::of(&error);
        assert_eq!(failure.exit_code, FAILED);
        assert_eq!(
            failure.to_string(),
            "error: cannot train\n  cause: the run folder `runs/x` is in use by another process\n  \
            hint: wait for it, stop it, or choose another `output.dir`"
        );
    }

    #[test]
    fn input_has_a_code_of_its_own() {
        let error = anyhow::Error::from(TrainerError::NotEmpty { folder: "runs/x".into() });
        assert_eq!(Failure::of(&error).exit_code, INPUT);
        assert_eq!(Failure::of(&anyhow::anyhow!("something else")).exit_code, FAILED);
    }
}
