//! The GPU that a command computes on, if there is one.

use rtune_models::hub::HubOptions;
use rtune_trainer::config::{Config, Device as Wanted};
use rtune_trainer::error::TrainerError;
use rtune_trainer::gpu::{CudaError, Device};
use rtune_trainer::plan;
use rtune_trainer::subject::Opened;

use crate::failure::BadInput;
use crate::reporter::complain;

/// Opens the GPU that `model.device` asks for: with `cuda` there must be one, with `auto` the processor takes its place,
/// and why is said.
pub(crate) fn open(config: &Config) -> anyhow::Result<Option<Device>> {
    if config.model.device == Wanted::Cpu {
        return Ok(None);
    }
    let wanted = config.model.device == Wanted::Cuda;
    if let Err(reason) = plan::fits_gpu(config) {
        if wanted {
            let error = BadInput::new(format!("model.device is \"cuda\", and {reason}"));
            return Err(error.with_hint("train on the CPU: device = \"cpu\"").into());
        }
        if is_there() {
            complain(&format!("note: {reason}, so the processor trains, though a GPU is there"));
        }
        return Ok(None);
    }
    device(wanted, "trains")
}

/// Has answers made on a GPU, if there is one and it computes all of the model; where `--set model.device` asks for it,
/// there must be. What a run was trained on says nothing of the machine that it is asked on.
pub(crate) fn answer(opened: &mut Opened, config: &Config, overrides: &[String]) -> anyhow::Result<()> {
    let is_said = overrides.iter().any(|argument| argument.replace(' ', "").starts_with("model.device="));
    let wanted = is_said && config.model.device == Wanted::Cuda;
    let device =
        if is_said && config.model.device == Wanted::Cpu { None } else { device(wanted, "answers")? };
    let Some(device) = device else {
        opened.unpack_for_answers();
        return Ok(());
    };
    match opened.answer_on(&device) {
        Err(TrainerError::Gpu(error)) if !wanted => {
            complain(&format!("note: the processor answers, though a GPU is there: {error}"));
            opened.unpack_for_answers();
            Ok(())
        }
        done => Ok(done?),
    }
}

/// The first GPU; without one, what `does` is done by the processor, and why is said.
fn device(wanted: bool, does: &str) -> anyhow::Result<Option<Device>> {
    match Device::open(0, &HubOptions::from_env().places) {
        Ok(device) => Ok(Some(device)),
        Err(error) if wanted => Err(anyhow::Error::new(error).context("model.device is \"cuda\"")),
        // A machine without a GPU is the usual case, and nothing to speak of.
        Err(CudaError::NoDriver | CudaError::NoDevice { .. }) => Ok(None),
        Err(error) => {
            let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
            complain(&format!("note: the processor {does}: {error}{hint}"));
            Ok(None)
        }
    }
}

/// Whether there is a GPU that could be opened.
fn is_there() -> bool {
    Device::open(0, &HubOptions::from_env().places).is_ok()
}
