//! The adapter as `peft` loads it.

use std::path::Path;

use rtune_adapters::peft;
use rtune_models::BaseModel;
use safetensors::SafeTensors;
use serde_json::{Map, Value};

use crate::card::{Card, Made};
use crate::checkpoint::VerifiedCheckpoint;
use crate::companions::{self, Chat};
use crate::error::ReleaseError;
use crate::folder::{NewFolder, refuse_existing};
use crate::model::INITIAL_FILE;
use crate::serve::Server;
use crate::{plain, settings};

mod experts;
mod seeing;

/// In front of every name of PEFT's.
const PREFIX: &str = "base_model.model.";
/// Settings of an adapter, and its file of weights where that is another one.
type Loadable = (Map<String, Value>, Option<Vec<u8>>);

const CONFIG_FILE: &str = "adapter_config.json";
const TENSORS_FILE: &str = "adapter_model.safetensors";
/// The tokens that the base's tokenizer got.
const NEW_TOKENS_FILE: &str = "new_tokens.json";

/// Writes the adapter of the checkpoint `folder` to the new folder `out`, after comparing its files with their
/// hashes and looking that it was trained; gives the linears whose pair is as it began, which the adapter leaves as they are.
/// The base is named as the card names it. One that stands beside what is left of a base is written as one beside
/// the whole base; for a server, which reads a base as it is and not every scale (`served`), one that makes up for what
/// quantising took too, with scales as all read them. Where the base's repository sees besides (`card.sees`), the names are
/// those of its text part there, or a server's own. With its base at hand, the tokenizer and the chat template go with it,
/// where `AutoTokenizer.from_pretrained` finds them, with the files of the base's licence, and the card as README.md. `out` is
/// whole or not there.
///
/// # Errors
/// As [`VerifiedCheckpoint::open`]; [`ReleaseError::Untrained`] where every `lora_B` is zeros, [`ReleaseError::NoBeginning`],
/// [`ReleaseError::Experts`], [`ReleaseError::Exists`], [`ReleaseError::Io`].
pub fn export_peft(
    folder: &Path,
    out: &Path,
    base: Option<(&BaseModel, Chat<'_>)>,
    card: &Card,
    served: Option<Server>,
) -> Result<Vec<String>, ReleaseError> {
    let began = folder.join(INITIAL_FILE).is_file();
    let mut wanted = vec![CONFIG_FILE, TENSORS_FILE];
    wanted.extend(began.then_some(INITIAL_FILE));
    wanted.extend(folder.join(NEW_TOKENS_FILE).is_file().then_some(NEW_TOKENS_FILE));
    let checkpoint = VerifiedCheckpoint::open(folder, &wanted)?;
    refuse_existing(out)?;
    let idle = idle(&folder.join(TENSORS_FILE), checkpoint.file(TENSORS_FILE))?;
    let keys = settings::keys(&checkpoint, folder)?;
    let (is_residual, makes_up) = (settings::is_residual(&keys), settings::makes_up(&keys));
    if served.is_some() && makes_up && !began {
        return Err(ReleaseError::NoBeginning);
    }
    let converted = match is_residual || (served.is_some() && makes_up) {
        true => Some(plain::converted(&checkpoint, folder)?),
        false => None,
    };
    let (keys, weights) = match &converted {
        Some((keys, weights)) => (keys.clone(), weights.as_slice()),
        None => (keys, checkpoint.file(TENSORS_FILE)),
    };
    let base_model = base.map(|(base, _)| base);
    let names = Names::of(card, served);
    let (keys, renamed) = loadable(folder, keys, weights, base_model, names)?;
    let keys = if served.is_some() { settings::standard(keys) } else { keys };
    let keys = settings::beside(keys, card.address(), card.revision.as_deref());
    let new = NewFolder::begin(out)?;
    companions::write_json(&new, CONFIG_FILE, &Value::Object(keys))?;
    new.write(TENSORS_FILE, renamed.as_deref().unwrap_or(weights))?;
    for (name, bytes) in checkpoint.files().filter(|(name, _)| *name == NEW_TOKENS_FILE) {
        new.write(name, bytes)?;
    }
    if let Some((base, chat)) = base {
        companions::write_tokenizer(&new, base, chat)?;
        companions::write_legal(&new, base)?;
    }
    let whole = makes_up && converted.is_some();
    let notes = notes(card, base_model, served)?;
    card.of_adapter(makes_up, whole || is_residual, &notes).write(&new, Made::Adapter)?;
    new.finish()?;
    Ok(idle)
}

/// What the linears of an adapter are called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// As in a text model, which the base is.
    Text,
    /// As in a text model, though the base's repository sees besides.
    TextBesideWhole,
    /// As in a repository that sees besides.
    Whole,
}

impl Names {
    fn of(card: &Card, served: Option<Server>) -> Self {
        match (card.sees, served) {
            (false, _) => Self::Text,
            // It looks for the names of a text model also there (`get_attn_weights` in `utils/adapter.py`).
            (true, Some(Server::Tgi)) => Self::TextBesideWhole,
            (true, _) => Self::Whole,
        }
    }
}

/// What whoever loads the adapter is to know of its base, in sentences.
///
/// # Errors
/// Those of the base's configuration.
pub fn notes(
    card: &Card,
    base: Option<&BaseModel>,
    served: Option<Server>,
) -> Result<Vec<String>, ReleaseError> {
    let mut notes = Vec::new();
    match Names::of(card, served) {
        Names::Text => {}
        Names::TextBesideWhole => notes.push(
            "The base's repository is a model that sees besides, and the adapter has the names of a text model, which this server looks for: \
             PEFT finds none of them beside the repository."
                .to_owned(),
        ),
        Names::Whole => notes.push(
            "The base's repository is a model that sees besides, and the adapter has the names of its text part there, as transformers has \
             had them since 4.52: beside a folder of the text part alone PEFT finds none of them. Merge it for that."
                .to_owned(),
        ),
    }
    if let Some(base) = base
        && let Some(rows) = companions::rows_to_be(base)?
    {
        let count = base.new_tokens.len();
        notes.push(format!(
            "It has rows for {count} new tokens, and the base has none for them: call `base.resize_token_embeddings({rows})` before the \
             adapter is loaded."
        ));
    }
    Ok(notes)
}

/// Settings, and weights where they change, that PEFT loads beside what the adapter's base is called, and a server beside what it makes
/// of that.
fn loadable(
    folder: &Path,
    keys: Map<String, Value>,
    weights: &[u8],
    base: Option<&BaseModel>,
    names: Names,
) -> Result<Loadable, ReleaseError> {
    let sees = names == Names::Whole;
    let has_experts = base.is_some_and(|base| base.config.differences.experts.is_some());
    if !sees && !has_experts && !is_on_experts(weights) {
        return Ok((keys, None));
    }
    let text = Value::Object(keys.clone()).to_string();
    let adapter = peft::from_bytes(folder, text.as_bytes(), weights, true)?;
    let keys = experts::settings(keys, &adapter, base)?;
    if !sees {
        return Ok((keys, None));
    }
    let unreadable = |error: safetensors::SafeTensorError| ReleaseError::Unreadable {
        path: folder.join(TENSORS_FILE),
        problem: error.to_string(),
    };
    Ok((seeing::settings(keys, &adapter), Some(seeing::weights(weights).map_err(unreadable)?)))
}

/// Whether a file of weights, which was read before, has a pair of an expert.
fn is_on_experts(weights: &[u8]) -> bool {
    SafeTensors::deserialize(weights)
        .is_ok_and(|file| file.names().iter().any(|name| name.contains(experts::EXPERTS)))
}

/// The linears whose `lora_B` is zeros, by their names in the file: an expert that no token was sent to keeps its own.
fn idle(path: &Path, bytes: &[u8]) -> Result<Vec<String>, ReleaseError> {
    let unreadable = |problem: String| ReleaseError::Unreadable { path: path.to_owned(), problem };
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| unreadable(error.to_string()))?;
    let mut names: Vec<&str> = tensors.names().into_iter().filter(|name| name.contains("lora_B")).collect();
    names.sort_unstable();
    let mut idle = Vec::new();
    for name in &names {
        let tensor = tensors.tensor(name).map_err(|error| unreadable(error.to_string()))?;
        if tensor.data().iter().all(|byte| *byte == 0) {
            idle.push((*name).to_owned());
        }
    }
    match (names.first(), idle.len() == names.len()) {
        (None, _) => Err(unreadable("expected tensors named `lora_B`, found none".to_owned())),
        (Some(name), true) => {
            Err(ReleaseError::Untrained { path: path.to_owned(), tensor: (*name).to_owned() })
        }
        _ => Ok(idle.iter().map(|name| linear(name).to_owned()).collect()),
    }
}

/// The linear of half of a pair, as the file names it.
fn linear(name: &str) -> &str {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    name.strip_suffix(".lora_B.weight").unwrap_or(name)
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
        Card::of_base("base".to_owned(), None, rtune_models::Licence::default())
    }

    #[test]
    fn a_whole_checkpoint_is_written_and_names_its_base_as_others_find_it() {
        let home = tempfile::tempdir().expect("a folder");
        let (from, out) = (home.path().join("c"), home.path().join("out"));
        checkpoint(&from, 1.0);
        export_peft(&from, &out, None, &card(), None).expect("exported");
        let read = |folder: &Path, name: &str| fs::read(folder.join(name)).expect("there");
        assert_eq!(read(&out, TENSORS_FILE), read(&from, TENSORS_FILE));
        let keys: Value = serde_json::from_slice(&read(&out, CONFIG_FILE)).expect("JSON");
        assert_eq!(keys, serde_json::json!({"base_model_name_or_path": "base", "revision": null}));
        let mut named = card();
        (named.repository, named.revision) = (Some("o/n".to_owned()), Some("v1".to_owned()));
        export_peft(&from, &home.path().join("named"), None, &named, None).expect("exported");
        let keys: Value =
            serde_json::from_slice(&read(&home.path().join("named"), CONFIG_FILE)).expect("JSON");
        assert_eq!(keys, serde_json::json!({"base_model_name_or_path": "o/n", "revision": "v1"}));
        assert!(matches!(export_peft(&from, &out, None, &card(), None), Err(ReleaseError::Exists { .. })));
    }

    #[test]
    fn altered_untrained_and_missing_ones_are_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let (from, out) = (home.path().join("c"), home.path().join("out"));
        assert!(matches!(
            export_peft(&from, &out, None, &card(), None),
            Err(ReleaseError::NoCheckpoint { .. })
        ));
        checkpoint(&from, 0.0);
        assert!(matches!(export_peft(&from, &out, None, &card(), None), Err(ReleaseError::Untrained { .. })));
        fs::write(from.join(CONFIG_FILE), "{ }").expect("written");
        assert!(matches!(export_peft(&from, &out, None, &card(), None), Err(ReleaseError::Altered { .. })));
        assert!(!out.exists());
    }

    /// An expert that no token was sent to keeps the adapter from nothing; it is named.
    #[test]
    fn linears_that_were_left_as_they_are_are_named() {
        const ZERO: &[u8] = &[0; 8];
        const ONE: &[u8] = &[0, 0, 128, 63, 0, 0, 0, 0];
        let view = |bytes| TensorView::new(Dtype::F32, vec![2, 1], bytes).expect("a tensor");
        let file = |of: [(&str, &'static [u8]); 2]| {
            let tensors =
                of.map(|(name, bytes)| (format!("base_model.model.{name}.lora_B.weight"), view(bytes)));
            safetensors::serialize(tensors, None).expect("a file")
        };
        let path = Path::new("adapter_model.safetensors");
        let found = idle(path, &file([("experts.0.up_proj", ZERO), ("experts.1.up_proj", ONE)]));
        assert_eq!(found.expect("trained"), ["experts.0.up_proj"]);
        let found = idle(path, &file([("experts.0.up_proj", ZERO), ("experts.1.up_proj", ZERO)]));
        assert!(matches!(found, Err(ReleaseError::Untrained { .. })));
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
