//! The GPU that a command computes on, if there is one.

use rtune_models::decoder::gpu::GpuError;
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

/// `config` of a run that is to go on where it began: where the device is left to the machine, what trained before trains on.
pub(crate) fn of_run(config: &Config, resume: bool) -> Config {
    let mut config = config.clone();
    if resume && config.model.device == Wanted::Auto {
        // What is wrong with the file is said where the run is opened.
        let before = Config::load(&config.output.dir.join("config.toml"), &[]);
        if before.is_ok_and(|before| before.model.device == Wanted::Cpu) {
            config.model.device = Wanted::Cpu;
        }
    }
    config
}

/// Why the processor is to train what the GPU does not: with `auto`, where the files have something that only the processor computes.
pub(crate) fn left_to_processor<T>(config: &Config, outcome: &Result<T, TrainerError>) -> Option<String> {
    match outcome {
        Err(TrainerError::Gpu(error @ GpuError::Refused { .. })) if config.model.device == Wanted::Auto => {
            Some(format!("note: the processor trains, though a GPU is there: {error}"))
        }
        _ => None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn config(device: &str, folder: &std::path::Path) -> Config {
        let text = "[model]\nbase = \"m\"\n[data]\ntrain = \"t\"\n[output]\ndir = \"r\"\n";
        let overrides =
            [format!("model.device={device}"), format!("output.dir={:?}", folder.display().to_string())];
        Config::parse("c.toml", text, &overrides).expect("valid")
    }

    #[test]
    fn what_a_gpu_refuses_is_left_to_the_processor_where_the_device_is_not_named() {
        let folder = std::path::Path::new("run");
        let refused = || -> Result<(), TrainerError> {
            let (name, problem) = ("q_proj".to_owned(), "DoRA runs on the CPU only".to_owned());
            Err(GpuError::Refused { name, problem }.into())
        };
        let said = left_to_processor(&config("auto", folder), &refused()).expect("left to it");
        assert!(said.ends_with("`q_proj`: DoRA runs on the CPU only"), "{said}");
        assert_eq!(left_to_processor(&config("cuda", folder), &refused()), None);
        assert_eq!(left_to_processor(&config("auto", folder), &Ok(())), None);
        let other: Result<(), TrainerError> = Err(TrainerError::NotMeasured);
        assert_eq!(left_to_processor(&config("auto", folder), &other), None);
    }

    #[test]
    fn a_run_that_the_processor_began_goes_on_there() {
        let home = tempfile::tempdir().expect("a folder");
        let (auto, cuda) = (config("auto", home.path()), config("cuda", home.path()));
        let device = |config: &Config, resume| of_run(config, resume).model.device;
        assert_eq!(device(&auto, true), Wanted::Auto, "it has yet to begin");
        let wrote = |text: &str| std::fs::write(home.path().join("config.toml"), text).expect("written");
        wrote(&config("cpu", home.path()).to_toml());
        assert_eq!((device(&auto, true), device(&auto, false)), (Wanted::Cpu, Wanted::Auto));
        assert_eq!(device(&cuda, true), Wanted::Cuda, "a device that is named is not another");
        wrote(&cuda.to_toml());
        assert_eq!(device(&auto, true), Wanted::Auto);
        wrote("no TOML");
        assert_eq!(device(&auto, true), Wanted::Auto);
    }
}
