//! `adapter_config.json` of an adapter that leaves: what is changed of what the run wrote.

use std::path::Path;

use rtune_adapters::peft;
use rtune_adapters::{AdapterError, Scaling};
use serde_json::{Map, Value, json};

use crate::checkpoint::VerifiedCheckpoint;
use crate::error::ReleaseError;

/// Whole numbers up to here are exact in `f64`.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// A number of a setting as it is changed.
type Change<'a> = &'a dyn Fn(&Value) -> Value;

/// The settings of a checkpoint whose files were compared.
///
/// # Errors
/// [`ReleaseError::Adapter`] where they are no JSON object.
pub(crate) fn keys(
    checkpoint: &VerifiedCheckpoint,
    folder: &Path,
) -> Result<Map<String, Value>, ReleaseError> {
    serde_json::from_slice(checkpoint.file(peft::CONFIG_FILE)).map_err(|error| {
        AdapterError::File { path: folder.join(peft::CONFIG_FILE), problem: error.to_string() }.into()
    })
}

/// Whether they are those of an adapter beside what is left of a base, which the base on the disk is not.
pub(crate) fn is_residual(keys: &Map<String, Value>) -> bool {
    keys.get("init_lora_weights") == Some(&json!("residual"))
}

/// Whether they are those of an adapter that makes up for what quantising took from its base (LoftQ).
pub(crate) fn makes_up(keys: &Map<String, Value>) -> bool {
    keys.get("loftq_config").and_then(Value::as_object).is_some_and(|loftq| !loftq.is_empty())
}

/// Settings of twice the rank and the same scales, of an adapter that holds nothing of its base any more.
pub(crate) fn doubled(mut keys: Map<String, Value>, scaling: Scaling) -> Map<String, Value> {
    let factor = match scaling {
        Scaling::Standard => 2.0,
        Scaling::RankStabilized => std::f64::consts::SQRT_2,
    };
    change(&mut keys, ["r", "rank_pattern"], &|value| json!(value.as_u64().map(|rank| 2 * rank)));
    change(&mut keys, ["lora_alpha", "alpha_pattern"], &times(factor));
    keys.insert("init_lora_weights".to_owned(), json!(true));
    keys.insert("loftq_config".to_owned(), json!({}));
    keys
}

/// The same scales without `use_rslora`, which not every server reads: `alpha / √r` is `alpha √r / r`. Of one rank for all pairs.
pub(crate) fn standard(mut keys: Map<String, Value>) -> Map<String, Value> {
    if keys.get("use_rslora") == Some(&Value::Bool(true)) {
        let rank = keys.get("r").and_then(Value::as_f64).unwrap_or(1.0);
        change(&mut keys, ["lora_alpha", "alpha_pattern"], &times(rank.sqrt()));
        keys.insert("use_rslora".to_owned(), json!(false));
    }
    keys
}

/// Where others find the base: the run may have named it by a path of its machine, or by a name of rtune's.
pub(crate) fn beside(mut keys: Map<String, Value>, base: &str, revision: Option<&str>) -> Map<String, Value> {
    keys.insert("base_model_name_or_path".to_owned(), json!(base));
    keys.insert("revision".to_owned(), json!(revision));
    keys
}

/// Changes the number of a key, and those of a pattern beside it.
fn change(keys: &mut Map<String, Value>, [key, pattern]: [&str; 2], change: Change<'_>) {
    let changed = keys.get(key).map_or(Value::Null, change);
    keys.insert(key.to_owned(), changed);
    if let Some(Value::Object(pattern)) = keys.get_mut(pattern) {
        pattern.values_mut().for_each(|value| *value = change(value));
    }
}

/// A number times `factor`, without a point where it is whole, as PEFT's type has it.
fn times(factor: f64) -> impl Fn(&Value) -> Value {
    move |value| match value.as_f64().map(|value| factor * value) {
        Some(product) if product.fract() == 0.0 && product.abs() < MAX_EXACT => json!(product as i64),
        product => json!(product),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_stay_what_they_are() {
        let keys = |text: Value| text.as_object().cloned().expect("an object");
        let of = |keys: &Map<String, Value>| {
            let [alpha, rank] = ["lora_alpha", "r"].map(|key| keys[key].as_f64().expect("a number"));
            if keys["use_rslora"] == true { alpha / rank.sqrt() } else { alpha / rank }
        };
        let own = keys(json!({"r": 8, "lora_alpha": 3, "use_rslora": true, "alpha_pattern": {"q": 3}}));
        let plain = standard(own.clone());
        assert_eq!(plain["use_rslora"], false);
        assert!((of(&plain) - of(&own)).abs() < 1e-12, "{plain:?}");
        assert_eq!(plain["alpha_pattern"]["q"], plain["lora_alpha"]);
        let both = standard(doubled(own.clone(), Scaling::RankStabilized));
        assert!((of(&both) - of(&own)).abs() < 1e-12, "{both:?}");
        let four = keys(json!({"r": 4, "lora_alpha": 3, "use_rslora": true}));
        assert_eq!(standard(four)["lora_alpha"], json!(6));
        let other = keys(json!({"r": 8, "lora_alpha": 3, "use_rslora": false}));
        assert_eq!(standard(other.clone()), other);
    }
}
