//! The adapter as `peft` loads it.

use std::path::Path;

use rtune_models::BaseModel;
use safetensors::SafeTensors;

use crate::card::{Card, Made};
use crate::checkpoint::VerifiedCheckpoint;
use crate::companions::{self, Chat};
use crate::error::ReleaseError;
use crate::folder::{NewFolder, refuse_existing};
use crate::model::INITIAL_FILE;
use crate::plain;

const CONFIG_FILE: &str = "adapter_config.json";
const TENSORS_FILE: &str = "adapter_model.safetensors";
/// The tokens that the base's tokenizer got.
const NEW_TOKENS_FILE: &str = "new_tokens.json";

/// Copies the adapter of the checkpoint `folder` to the new folder `out`, after comparing its files with their
/// hashes and looking that every pair was trained. One that stands beside what is left of a base is written as one beside
/// the whole base. With its base at hand, the tokenizer and the chat template go with it, where
/// `AutoTokenizer.from_pretrained` finds them, and the card as README.md. `out` is whole or not there.
///
/// # Errors
/// As [`VerifiedCheckpoint::open`]; [`ReleaseError::Untrained`] for a `lora_B` of zeros, [`ReleaseError::Exists`],
/// [`ReleaseError::Io`].
pub fn export_peft(
    folder: &Path,
    out: &Path,
    base: Option<(&BaseModel, Chat<'_>)>,
    card: &Card,
) -> Result<(), ReleaseError> {
    let changed = folder.join(INITIAL_FILE).is_file();
    let mut wanted = vec![CONFIG_FILE, TENSORS_FILE];
    wanted.extend(changed.then_some(INITIAL_FILE));
    wanted.extend(folder.join(NEW_TOKENS_FILE).is_file().then_some(NEW_TOKENS_FILE));
    let checkpoint = VerifiedCheckpoint::open(folder, &wanted)?;
    refuse_existing(out)?;
    for (name, bytes) in checkpoint.files() {
        if name == TENSORS_FILE {
            refuse_untrained(&folder.join(name), bytes)?;
        }
    }
    let new = NewFolder::begin(out)?;
    if changed {
        plain::write(&new, &checkpoint, folder)?;
    }
    for (name, bytes) in checkpoint.files().filter(|(name, _)| !changed || *name == NEW_TOKENS_FILE) {
        new.write(name, bytes)?;
    }
    if let Some((base, chat)) = base {
        companions::write_tokenizer(&new, base, chat)?;
    }
    card.write(&new, Made::Adapter)?;
    new.finish()
}

fn refuse_untrained(path: &Path, bytes: &[u8]) -> Result<(), ReleaseError> {
    let unreadable = |problem: String| ReleaseError::Unreadable { path: path.to_owned(), problem };
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| unreadable(error.to_string()))?;
    let mut names: Vec<&str> = tensors.names().into_iter().filter(|name| name.contains("lora_B")).collect();
    names.sort_unstable();
    if names.is_empty() {
        return Err(unreadable("expected tensors named `lora_B`, found none".to_owned()));
    }
    for name in names {
        let tensor = tensors.tensor(name).map_err(|error| unreadable(error.to_string()))?;
        if tensor.data().iter().all(|byte| *byte == 0) {
            return Err(ReleaseError::Untrained { path: path.to_owned(), tensor: name.to_owned() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fs;

    use safetensors::tensor::{Dtype, TensorView};
    use sha2::{Digest, Sha256};

    use super::*;

    fn checkpoint(folder: &Path, second: f32) {
        let bytes: Vec<u8> = [0.0f32, second].iter().flat_map(|number| number.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F32, vec![2, 1], &bytes).expect("a tensor");
        let tensors = HashMap::from([("base_model.model.x.lora_B.weight", view)]);
        let tensors = safetensors::serialize(tensors, None).expect("a file");
        let sha256 = |bytes: &[u8]| -> String {
            Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let manifest = serde_json::json!({"format": 1, "files": {
            CONFIG_FILE: sha256(b"{}"), TENSORS_FILE: sha256(&tensors)}});
        fs::create_dir_all(folder).expect("made");
        fs::write(folder.join(CONFIG_FILE), "{}").expect("written");
        fs::write(folder.join(TENSORS_FILE), tensors).expect("written");
        fs::write(folder.join("manifest.json"), manifest.to_string()).expect("written");
    }

    fn card() -> Card {
        Card {
            base: "base".to_owned(),
            repository: None,
            licence: rtune_models::Licence::default(),
            training: None,
        }
    }

    #[test]
    fn a_whole_checkpoint_is_copied() {
        let home = tempfile::tempdir().expect("a folder");
        let (from, out) = (home.path().join("c"), home.path().join("out"));
        checkpoint(&from, 1.0);
        export_peft(&from, &out, None, &card()).expect("exported");
        for name in [CONFIG_FILE, TENSORS_FILE] {
            assert_eq!(fs::read(out.join(name)).expect("there"), fs::read(from.join(name)).expect("there"));
        }
        assert!(matches!(export_peft(&from, &out, None, &card()), Err(ReleaseError::Exists { .. })));
    }

    #[test]
    fn altered_untrained_and_missing_ones_are_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let (from, out) = (home.path().join("c"), home.path().join("out"));
        assert!(matches!(export_peft(&from, &out, None, &card()), Err(ReleaseError::NoCheckpoint { .. })));
        checkpoint(&from, 0.0);
        assert!(matches!(export_peft(&from, &out, None, &card()), Err(ReleaseError::Untrained { .. })));
        fs::write(from.join(CONFIG_FILE), "{ }").expect("written");
        assert!(matches!(export_peft(&from, &out, None, &card()), Err(ReleaseError::Altered { .. })));
        assert!(!out.exists());
    }

    #[test]
    fn a_run_means_its_best_checkpoint_then_its_last() {
        let home = tempfile::tempdir().expect("a folder");
        assert!(crate::find(home.path()).is_err());
        checkpoint(&home.path().join("last"), 1.0);
        assert_eq!(crate::find(home.path()).expect("last"), home.path().join("last"));
        checkpoint(&home.path().join("best"), 1.0);
        assert_eq!(crate::find(home.path()).expect("best"), home.path().join("best"));
        assert_eq!(crate::find(&home.path().join("last")).expect("itself"), home.path().join("last"));
    }
}
