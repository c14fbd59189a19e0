//! What a GGUF file says about rope.

use serde_json::{Map, Value, json};

use super::config::Said;
use crate::config::bounds::{MAX_FACTOR, MAX_HEAD_DIM, MAX_POSITIONS, MAX_THETA};
use crate::config::{llama3_divisor, yarn_factor};
use crate::{ModelConfig, ModelError, RopeScaling};

/// Divisors of the rope frequencies, which is how llama.cpp keeps Llama 3's rope scaling.
pub(super) const FREQUENCIES: &str = "rope_freqs.weight";
/// The divisors of LongRoPE for documents up to the original context, and for longer ones.
const SHORT: &str = "rope_factors_short.weight";
const LONG: &str = "rope_factors_long.weight";

/// Tensors that say how rope turns, and are not of the model's weights.
pub(super) const TENSORS: [&str; 3] = [FREQUENCIES, SHORT, LONG];

/// `GGMLRoPEFreqBase`'s default in llama.cpp.
const DEFAULT_THETA: f64 = 10_000.0;

const SUPPORTED: &str = "none, linear, yarn, longrope, rope_freqs.weight";

/// The tensors of divisors of a configuration, by their names in a file.
pub(super) fn divisors_of(config: &ModelConfig) -> Vec<(&'static str, Vec<f32>)> {
    let rope = &config.rope;
    match &rope.scaling {
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        } => {
            let (width, context) =
                (rope.rotary_width(config.head_dim), *original_max_position_embeddings as f64);
            let bounds = [*low_freq_factor, *high_freq_factor];
            let divisor = |pair: usize| {
                let wavelength = std::f64::consts::TAU * rope.theta.powf(2.0 * pair as f64 / width as f64);
                llama3_divisor(wavelength, *factor, context, bounds) as f32
            };
            vec![(FREQUENCIES, (0..width / 2).map(divisor).collect())]
        }
        RopeScaling::Divisors(divisors) => vec![(FREQUENCIES, divisors.clone())],
        RopeScaling::LongRope { short, long, .. } => vec![(LONG, long.clone()), (SHORT, short.clone())],
        RopeScaling::None | RopeScaling::Linear { .. } | RopeScaling::Yarn { .. } => Vec::new(),
    }
}

/// Writes what `config.json` would say of rope, and gives the divisors that it has no key for.
pub(super) fn read(said: &Said, keys: &mut Map<String, Value>) -> Result<Option<Vec<f32>>, ModelError> {
    let theta = said.metadata().positive(&said.key("rope.freq_base"), MAX_THETA)?.unwrap_or(DEFAULT_THETA);
    keys.insert(said.family.keys.theta.0.to_owned(), theta.into());
    let width = width(said, keys)?;
    let divisors = said.divisors(FREQUENCIES, width / 2)?;
    let scaling = scaling(said, width)?;
    if let (Some(_), Some(scaling)) = (&divisors, &scaling) {
        let found =
            format!("\"{}\", given beside {FREQUENCIES}", scaling["rope_type"].as_str().unwrap_or("?"));
        return Err(said.metadata().unsupported(&said.key("rope.scaling.type"), found, "one of the two"));
    }
    keys.extend(scaling.map(|scaling| ("rope_scaling".to_owned(), scaling)));
    Ok(divisors)
}

/// The elements of a head that are turned.
fn width(said: &Said, keys: &mut Map<String, Value>) -> Result<usize, ModelError> {
    let head = said.head_dim()?;
    let turned = said.size("rope.dimension_count", MAX_HEAD_DIM)?.unwrap_or(head);
    let key = said.key("rope.dimension_count");
    if !turned.is_multiple_of(2) || turned > head {
        let supported = format!("even widths up to {head}, the width of a head");
        return Err(said.metadata().unsupported(&key, turned.to_string(), &supported));
    }
    match said.family.keys.rotary_fraction {
        None if turned != head => {
            let supported = format!("{head}, the width of a head");
            return Err(said.metadata().unsupported(&key, turned.to_string(), &supported));
        }
        None => {}
        Some((name, _)) => {
            // The width is the product, rounded down: the nearest number below would give a pair too few.
            let fraction = turned as f64 / head as f64;
            let fraction = if turned == head { 1.0 } else { fraction.next_up() };
            keys.insert(name.to_owned(), fraction.into());
        }
    }
    Ok(turned)
}

/// `rope_scaling` of a `config.json`.
fn scaling(said: &Said, width: usize) -> Result<Option<Value>, ModelError> {
    let metadata = said.metadata();
    let number = |suffix: &str| metadata.positive(&said.key(suffix), MAX_FACTOR);
    let factor = number("rope.scaling.factor")?;
    let context = said.size("rope.scaling.original_context_length", MAX_POSITIONS)?;
    let key = said.key("rope.scaling.type");
    let kind = match metadata.string(&key)? {
        Some(kind) => kind,
        None if said.divisors(LONG, width / 2)?.is_some() => "longrope",
        None => {
            let factor = number("rope.scale_linear")?.filter(|factor| *factor != 1.0);
            return Ok(factor.map(|factor| json!({"rope_type": "linear", "factor": factor})));
        }
    };
    let mut found = match kind {
        "none" => return Ok(None),
        "linear" if factor.is_none_or(|factor| factor == 1.0) => return Ok(None),
        "linear" => json!({"rope_type": kind, "factor": factor}),
        "yarn" => json!({
            "rope_type": kind, "factor": factor, "attention_factor": yarn_attention(&number, factor)?,
            "beta_fast": number("rope.scaling.yarn_beta_fast")?, "beta_slow": number("rope.scaling.yarn_beta_slow")?,
        }),
        "longrope" => json!({
            "rope_type": kind, "attention_factor": number("rope.scaling.attn_factor")?,
            "short_factor": list(said, SHORT, width)?, "long_factor": list(said, LONG, width)?,
        }),
        other => return Err(metadata.unsupported(&key, format!("\"{other}\""), SUPPORTED)),
    };
    if kind != "linear" {
        found["original_max_position_embeddings"] = context.into();
    }
    Ok(Some(found))
}

/// The factor on cosines and sines of YaRN, where the file says one: as such, or as a multiple of the one that follows from `factor`.
fn yarn_attention(
    number: &impl Fn(&str) -> Result<Option<f64>, ModelError>,
    factor: Option<f64>,
) -> Result<Option<f64>, ModelError> {
    let times =
        number("rope.scaling.attn_factor")?.map(|times| times * yarn_factor(factor.unwrap_or(1.0), 1.0));
    Ok(times.or(number("rope.scaling.yarn_attn_factor")?))
}

fn list(said: &Said, tensor: &str, width: usize) -> Result<Vec<f32>, ModelError> {
    let (path, tensor) = (said.path.to_owned(), tensor.to_owned());
    said.divisors(&tensor, width / 2)?.ok_or(ModelError::MissingTensor { path, tensor })
}
