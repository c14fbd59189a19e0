//! Whether an adapter is one of a model, and was trained: looked at before anything is written.

use std::path::Path;

use rtune_adapters::AdapterError;
use rtune_adapters::lora::MAGNITUDE_SUFFIX;
use rtune_adapters::peft::{self, PeftAdapter, TOKENS_SUFFIX};
use rtune_models::{DecoderSpec, TensorRole, TensorSpec};

use crate::error::ReleaseError;
use crate::weights::linear_name;

const B_SUFFIX: &str = ".lora_B.weight";

/// Looks that every pair of the adapter has a linear of its shape in the model, and that one was trained.
///
/// # Errors
/// [`ReleaseError::Adapter`] for a pair of another model, [`ReleaseError::Untrained`] where none was trained.
pub(crate) fn check_adapter(
    adapter: &PeftAdapter,
    spec: &DecoderSpec,
    folder: &Path,
) -> Result<(), ReleaseError> {
    let path = folder.join(peft::WEIGHTS_FILE);
    let tensors = spec.tensors();
    for (name, tensor) in &adapter.tensors {
        let wrong = |problem: String| {
            let tensor = format!("base_model.model.{name}");
            ReleaseError::from(AdapterError::Tensor { path: path.clone(), tensor, problem })
        };
        if let Some(expected) = alongside(name, adapter, &tensors) {
            if tensor.shape != expected {
                return Err(wrong(format!("expected shape {expected:?}, found {:?}", tensor.shape)));
            }
            continue;
        }
        let kinds = [".lora_A.weight", B_SUFFIX, MAGNITUDE_SUFFIX].into_iter();
        let found = kinds.enumerate().find_map(|(kind, end)| Some((name.strip_suffix(end)?, kind)));
        let Some((linear, kind)) = found else {
            return Err(wrong("expected `lora_A` or `lora_B`".to_owned()));
        };
        let place = tensors.iter().find(|t| t.role == TensorRole::BlockLinear && linear_name(t) == linear);
        let Some(place) = place else {
            return Err(wrong("in the file, but the model has no place for it".to_owned()));
        };
        let (rank, _) = adapter.config.of(linear)?;
        let expected = match kind {
            0 => vec![rank, place.shape[1]],
            1 => vec![place.shape[0], rank],
            _ => vec![place.shape[0]],
        };
        if tensor.shape != expected {
            return Err(wrong(format!("expected shape {expected:?}, found {:?}", tensor.shape)));
        }
    }
    let halves: Vec<&String> = adapter.tensors.keys().filter(|name| name.ends_with(B_SUFFIX)).collect();
    match halves.first() {
        Some(first) if idle(adapter).len() == halves.len() => {
            Err(ReleaseError::Untrained { path, tensor: (*first).clone() })
        }
        _ => Ok(()),
    }
}

/// The linears whose `lora_B` is zeros, which the adapter leaves as they are: those of an expert that no token was sent to.
pub(crate) fn idle(adapter: &PeftAdapter) -> Vec<&str> {
    let halves = adapter.tensors.iter().filter_map(|(name, half)| Some((name.strip_suffix(B_SUFFIX)?, half)));
    halves.filter(|(_, half)| half.values.iter().all(|value| *value == 0.0)).map(|(name, _)| name).collect()
}

/// The shape of a tensor that is trained beside the adapters, if it is one that the model has.
fn alongside(name: &str, adapter: &PeftAdapter, tensors: &[TensorSpec]) -> Option<Vec<usize>> {
    if let Some(table) = name.strip_suffix(TOKENS_SUFFIX) {
        let tokens = &adapter.config.alongside.tokens;
        let place = tensors.iter().find(|tensor| linear_name(tensor) == table)?;
        let fits = tokens.last().is_some_and(|&last| (last as usize) < place.shape[0]);
        return fits.then(|| vec![tokens.len(), place.shape[1]]);
    }
    tensors.iter().find(|tensor| tensor.name == *name).map(|tensor| tensor.shape.clone())
}

/// Looks that every linear that `target_modules` names has its pair: PEFT only warns, and serves the base there.
///
/// # Errors
/// [`ReleaseError::Adapter`] for the first that has none.
pub(crate) fn refuse_missing(
    settings: &[u8],
    adapter: &PeftAdapter,
    spec: &DecoderSpec,
    folder: &Path,
) -> Result<(), ReleaseError> {
    // The file was read as JSON before; names that are no list are a regular expression, of which only the tensors say
    // what it selected.
    let settings: serde_json::Value = serde_json::from_slice(settings).unwrap_or_default();
    let (Some(targets), true) =
        (settings["target_modules"].as_array(), settings["exclude_modules"].is_null())
    else {
        return Ok(());
    };
    if adapter.config.layers.is_none() && settings["layers_to_transform"].is_array() {
        return Ok(());
    }
    let is_target = |linear: &str| {
        let names = targets.iter().filter_map(serde_json::Value::as_str);
        adapter.config.is_in_layers(linear)
            && names
                .filter_map(|name| linear.strip_suffix(name))
                .any(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let tensors = spec.tensors();
    let linears = tensors.iter().filter(|t| t.role == TensorRole::BlockLinear).map(linear_name);
    for linear in linears.filter(|linear| is_target(linear)) {
        let name = format!("{linear}.lora_B.weight");
        if !adapter.tensors.contains_key(&name) {
            let (path, tensor) = (folder.join(peft::WEIGHTS_FILE), format!("base_model.model.{name}"));
            let problem = "asked for by `target_modules`, not in the file".to_owned();
            return Err(AdapterError::Tensor { path, tensor, problem }.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An adapter of the fixture `llama`, in memory.
    fn fixture() -> (PeftAdapter, DecoderSpec, Vec<u8>) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference/llama");
        let config = rtune_models::ModelConfig::from_file(&folder.join("config.json")).expect("read");
        let settings = std::fs::read(folder.join("adapter").join(peft::CONFIG_FILE)).expect("read");
        (peft::read(&folder.join("adapter")).expect("read"), DecoderSpec::new(&config), settings)
    }

    fn refused(adapter: &PeftAdapter, spec: &DecoderSpec, settings: &[u8]) -> String {
        let folder = Path::new("c");
        let checked = check_adapter(adapter, spec, folder)
            .and_then(|()| refuse_missing(settings, adapter, spec, folder));
        checked.map_or_else(|error| error.to_string(), |()| "nothing".to_owned())
    }

    #[test]
    fn adapters_that_would_do_less_than_they_say_are_refused() {
        let (whole, spec, settings) = fixture();
        assert_eq!(refused(&whole, &spec, &settings), "nothing");
        let name = "model.layers.1.mlp.up_proj.lora_B.weight";
        let mut zero = whole.clone();
        zero.tensors.get_mut(name).expect("there").values.fill(0.0);
        assert_eq!(refused(&zero, &spec, &settings), "nothing", "no token may have been sent to it");
        assert_eq!(idle(&zero), ["model.layers.1.mlp.up_proj"]);
        assert_eq!(idle(&whole), Vec::<&str>::new());
        let halves = zero.tensors.iter_mut().filter(|(name, _)| name.ends_with(B_SUFFIX));
        halves.for_each(|(_, half)| half.values.fill(0.0));
        assert!(
            refused(&zero, &spec, &settings).contains("all zeros"),
            "{}",
            refused(&zero, &spec, &settings)
        );
        let mut missing = whole.clone();
        missing.tensors.retain(|tensor, _| !tensor.contains("layers.1.mlp.up_proj"));
        assert!(refused(&missing, &spec, &settings).contains("asked for by `target_modules`"));
        let mut other = whole.clone();
        let moved = other.tensors.remove(name).expect("there");
        other.tensors.insert(name.replace("layers.1", "layers.7"), moved);
        assert!(refused(&other, &spec, &settings).contains("the model has no place for it"));
        let mut wide = whole;
        wide.tensors.get_mut(name).expect("there").shape[0] += 1;
        assert!(refused(&wide, &spec, &settings).contains("expected shape [160, 4], found [161, 4]"));
    }
}
