//! Which weights a report is of: a run has several checkpoints, and may be asked with its base held otherwise.

use rtune_trainer::error::TrainerError;
use rtune_trainer::files::sha256_of_file;
use rtune_trainer::subject::{Subject, quantization};
use serde_json::{Value, json};

use super::merge::words;

/// The key of a golden report that says it.
pub(super) const KEY: &str = "of";

/// The SHA-256 of the checkpoint's manifest, which has those of its files, how the base is held beside it, and `template`, the SHA-256
/// of the chat template; null where there is no run.
///
/// # Errors
/// Where the manifest cannot be read.
pub(super) fn evaluated(subject: &Subject, template: Option<&str>) -> anyhow::Result<Value> {
    let (Some(_), Some(checkpoint)) = (&subject.run, &subject.adapter) else { return Ok(Value::Null) };
    let manifest = sha256_of_file(&checkpoint.join("manifest.json")).map_err(TrainerError::from)?;
    Ok(json!({
        "checkpoint": manifest,
        "quantization": words(quantization(&subject.config)),
        "template": template,
    }))
}
