//! What a configuration says of single layers: windows, rope, experts.

use rtune_kernels::route::Choice;
use serde_json::Value;

use super::bounds::{MAX_EXPERTS, MAX_LAYERS, MAX_POSITIONS, MAX_WIDTH};
use super::differences::{ExpertsConfig, Layer};
use super::{Fields, keys};
use crate::ModelError;
use crate::families::{Family, LayerWindows};

/// `SmolLM3Config`'s default: every fourth layer is without rope.
const NO_ROPE_INTERVAL: usize = 4;

/// What is particular to each of `count` layers; nothing if nothing is.
pub(super) fn read(
    fields: &Fields,
    family: &Family,
    count: usize,
    experts: bool,
) -> Result<Vec<Layer>, ModelError> {
    let without_rope = without_rope(fields, family, count)?;
    let windows = windows(fields, family, &without_rope)?;
    let with_experts = if experts { layers_with_experts(fields, count)? } else { vec![false; count] };
    let layers = windows.into_iter().zip(without_rope).zip(with_experts);
    let layers: Vec<Layer> =
        layers.map(|((window, without_rope), experts)| Layer { window, without_rope, experts }).collect();
    // Equal models are equal values, however their files say it.
    let plain = layers.iter().all(|layer| *layer == Layer::default());
    Ok(if plain { Vec::new() } else { layers })
}

/// `no_rope_layers` has a 1 for each layer with rope and a 0 for each without.
fn without_rope(fields: &Fields, family: &Family, count: usize) -> Result<Vec<bool>, ModelError> {
    const KEY: &str = "no_rope_layers";
    if !family.keys.layers_without_rope {
        return Ok(vec![false; count]);
    }
    let Some(value) = fields.get(KEY) else {
        let interval = fields.size("no_rope_layer_interval", MAX_LAYERS)?.unwrap_or(NO_ROPE_INTERVAL);
        return Ok((1..=count).map(|layer| layer % interval == 0).collect());
    };
    let expected = format!("a list of {count} numbers, 1 where a layer has rope and 0 where it has none");
    let flags: Option<Vec<bool>> = value.as_array().filter(|list| list.len() == count).and_then(|list| {
        let flag = |value: &Value| match (value.as_u64(), value.as_bool()) {
            (Some(0), _) | (_, Some(false)) => Some(true),
            (Some(1), _) | (_, Some(true)) => Some(false),
            _ => None,
        };
        list.iter().map(flag).collect()
    });
    flags.ok_or_else(|| fields.wrong(KEY, &expected, value))
}

fn windows(
    fields: &Fields,
    family: &Family,
    without_rope: &[bool],
) -> Result<Vec<Option<usize>>, ModelError> {
    const KEY: &str = "sliding_window";
    let count = without_rope.len();
    let rule = family.keys.windows;
    let absent = match rule {
        LayerWindows::All { absent } => absent,
        LayerWindows::AllButEvery { absent, .. } => Some(absent),
        LayerWindows::Never => None,
        // Qwen's classes have a default, but only where the switch is on is it read.
        LayerWindows::AllSwitched | LayerWindows::FromSwitched { .. } => Some(4096),
        LayerWindows::WithoutRopeSwitched => None,
    };
    let mut window = fields.size(KEY, MAX_POSITIONS)?;
    if fields.is_absent(KEY) {
        window = absent;
    }
    let by_type = layer_types(fields, count)?;
    let named = |layer: usize, otherwise: bool| by_type.as_ref().map_or(otherwise, |types| types[layer]);
    let switch = fields.boolean("use_sliding_window", false)?;
    let within: Vec<bool> = match rule {
        LayerWindows::Never => vec![false; count],
        LayerWindows::All { .. } => vec![true; count],
        LayerWindows::AllSwitched => vec![switch; count],
        LayerWindows::FromSwitched { first } => {
            let first = max_window_layers(fields, first)?;
            (0..count).map(|layer| switch && named(layer, layer >= first)).collect()
        }
        LayerWindows::WithoutRopeSwitched => {
            (0..count).map(|layer| switch && named(layer, without_rope[layer])).collect()
        }
        LayerWindows::AllButEvery { every, .. } => {
            let old = fields.size("sliding_window_pattern", MAX_LAYERS)?;
            let every = old.or(fields.size("_sliding_window_pattern", MAX_LAYERS)?).unwrap_or(every);
            (0..count).map(|layer| named(layer, (layer + 1) % every != 0)).collect()
        }
    };
    let windows: Vec<Option<usize>> = within.into_iter().map(|within| window.filter(|_| within)).collect();
    if let Some(types) = &by_type
        && let Some(layer) = types.iter().zip(&windows).position(|(named, window)| *named != window.is_some())
    {
        let found = format!("\"{}\" for layer {layer}", type_name(types[layer]));
        let supported = format!("\"{}\" there, as the other keys say", type_name(!types[layer]));
        return Err(fields.unsupported("layer_types", found, &supported));
    }
    Ok(windows)
}

/// 0 is a number of layers like any other here.
fn max_window_layers(fields: &Fields, default: usize) -> Result<usize, ModelError> {
    const KEY: &str = "max_window_layers";
    match fields.get(KEY) {
        Some(value) if value.as_u64() == Some(0) => Ok(0),
        _ => Ok(fields.size(KEY, MAX_LAYERS)?.unwrap_or(default)),
    }
}

fn type_name(within: bool) -> &'static str {
    if within { "sliding_attention" } else { "full_attention" }
}

/// Which layers have a window, where `layer_types` says it.
fn layer_types(fields: &Fields, count: usize) -> Result<Option<Vec<bool>>, ModelError> {
    const KEY: &str = "layer_types";
    let Some(value) = fields.get(KEY) else { return Ok(None) };
    let Some(list) = value.as_array().filter(|list| list.len() == count) else {
        return Err(fields.wrong(KEY, &format!("a list of {count} kinds of attention"), value));
    };
    let within = list.iter().map(|kind| match kind.as_str() {
        Some("sliding_attention") => Ok(true),
        Some("full_attention") => Ok(false),
        _ => Err(fields.unsupported(KEY, kind.to_string(), "full_attention, sliding_attention")),
    });
    Ok(Some(within.collect::<Result<_, _>>()?))
}

/// How many MLPs there are, how wide they are, and how they are chosen.
pub(super) fn experts(fields: &Fields, family: &Family) -> Result<Option<ExpertsConfig>, ModelError> {
    const PER_TOKEN: &str = "num_experts_per_tok";
    if !family.has_experts() {
        return Ok(None);
    }
    let keys = &family.keys;
    let experts = fields.required_size(keys.expert_count, MAX_EXPERTS)?;
    let per_token = fields.required_size(PER_TOKEN, MAX_EXPERTS)?;
    if per_token > experts {
        let expected = format!("at most {experts}, the number of experts");
        return Err(fields.wrong(PER_TOKEN, &expected, &Value::from(per_token)));
    }
    let normalized = keys::flag(fields, keys.normalized_experts)?;
    let width = fields.required_size(keys.expert_width, MAX_WIDTH)?;
    let choice = Choice { experts, per_token, normalized };
    let auxiliary_loss = fields.boolean("output_router_logits", false)?;
    Ok(Some(ExpertsConfig { choice, width, auxiliary_loss }))
}

/// Qwen3-MoE may have layers with a single MLP among the others.
fn layers_with_experts(fields: &Fields, count: usize) -> Result<Vec<bool>, ModelError> {
    const KEY: &str = "mlp_only_layers";
    let step = fields.size("decoder_sparse_step", MAX_LAYERS)?.unwrap_or(1);
    let single: Vec<u64> = match fields.get(KEY) {
        None => Vec::new(),
        Some(value) => {
            let list = value.as_array().and_then(|list| list.iter().map(Value::as_u64).collect());
            list.ok_or_else(|| fields.wrong(KEY, "a list of numbers of layers", value))?
        }
    };
    Ok((0..count).map(|layer| !single.contains(&(layer as u64)) && (layer + 1) % step == 0).collect())
}
