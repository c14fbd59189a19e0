//! Falcon's keys, which say the same things by other means.

use serde_json::Value;

use super::Fields;
use super::bounds::{MAX_HEADS, MAX_WIDTH};
use crate::ModelError;
use crate::families::{FALCON_ONE_NORM, Family};

/// Width of the MLP over that of the residual, where no key says it.
const MLP_FACTOR: usize = 4;

/// Puts in what other families write, and chooses between the two rows of the table; other families stay as they are.
pub(super) fn plain_keys(
    fields: &mut Fields,
    family: &'static Family,
    model_type: &str,
) -> Result<&'static Family, ModelError> {
    if !family.model_types.contains(&"falcon") {
        return Ok(family);
    }
    if fields.boolean("alibi", false)? {
        return Err(fields.unsupported("alibi", "true".to_owned(), "false: rotary position embedding"));
    }
    if !fields.boolean("parallel_attn", true)? {
        return Err(fields.unsupported("parallel_attn", "false".to_owned(), "true"));
    }
    let new = fields.boolean("new_decoder_architecture", model_type == "RefinedWeb")?;
    let heads = fields.required_size("num_attention_heads", MAX_HEADS)?;
    let kv_heads = match (new, fields.boolean("multi_query", true)?) {
        (true, _) => fields.size("num_kv_heads", MAX_HEADS)?.unwrap_or(heads),
        (false, true) => 1,
        (false, false) => heads,
    };
    let width = fields.required_size("hidden_size", MAX_WIDTH)?;
    let inner = fields.size("ffn_hidden_size", MAX_WIDTH)?.unwrap_or(MLP_FACTOR * width);
    fields.set("num_key_value_heads", Value::from(kv_heads));
    fields.set("intermediate_size", Value::from(inner));
    let norms = fields.size("num_ln_in_parallel_attn", 2)?.unwrap_or(2);
    Ok(if new && norms == 2 { family } else { &FALCON_ONE_NORM })
}
