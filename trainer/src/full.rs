//! Full fine-tuning: a checkpoint has every number of the base, under its name in the base.

use std::path::Path;

/// The weights' file, as transformers calls it.
pub(crate) const WEIGHTS_FILE: &str = "model.safetensors";

/// Whether `folder` is a checkpoint of a run that trained every number.
pub(crate) fn is_checkpoint(folder: &Path) -> bool {
    folder.join(WEIGHTS_FILE).is_file() && folder.join("state.json").is_file()
}
