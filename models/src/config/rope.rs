//! Rotary position embedding: what the configuration says about it.

use super::Fields;
use super::bounds::{MAX_FACTOR, MAX_POSITIONS, MAX_THETA};
use crate::ModelError;

const SUPPORTED: &str = "default, linear, llama3";

/// Rotary position embedding: frequency `i` of a head is `theta^(-2i / head_dim)`, then scaled.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// What is done to the frequencies.
    pub scaling: RopeScaling,
}

/// What is done to the frequencies, with the names of transformers' `ROPE_INIT_FUNCTIONS`.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// Nothing.
    None,
    /// Every frequency is divided by `factor`.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3.1: wavelengths above `original / low_freq_factor` are divided by `factor`, those under
    /// `original / high_freq_factor` stay, the ones between are interpolated.
    Llama3 {
        /// The divisor of the low frequencies.
        factor: f64,
        /// Bound of the divided wavelengths.
        low_freq_factor: f64,
        /// Bound of the untouched wavelengths, above `low_freq_factor`.
        high_freq_factor: f64,
        /// Context of the training before the scaling, in tokens.
        original_max_position_embeddings: usize,
    },
    /// Frequency `i` is divided by element `i`; `head_dim / 2` elements. GGUF files carry Llama 3's scaling so,
    /// in the tensor `rope_freqs.weight`.
    Divisors(Vec<f32>),
}

/// Reads `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (transformers 4).
pub(super) fn read(fields: &Fields) -> Result<Rope, ModelError> {
    let outer_theta = fields.positive("rope_theta", MAX_THETA)?;
    let nested = match fields.nested("rope_parameters")? {
        Some(nested) => Some(nested),
        None => fields.nested("rope_scaling")?,
    };
    let Some(nested) = nested else {
        return Ok(Rope { theta: outer_theta.unwrap_or(DEFAULT_THETA), scaling: RopeScaling::None });
    };
    let theta = nested.positive("rope_theta", MAX_THETA)?.or(outer_theta).unwrap_or(DEFAULT_THETA);
    if let Some(value) = nested.get("partial_rotary_factor").or(fields.get("partial_rotary_factor"))
        && value.as_f64() != Some(1.0)
    {
        return Err(nested.unsupported("partial_rotary_factor", value.to_string(), "1.0"));
    }
    Ok(Rope { theta, scaling: read_scaling(&nested)? })
}

/// `LlamaConfig.default_theta` of transformers.
const DEFAULT_THETA: f64 = 10_000.0;

fn read_scaling(nested: &Fields) -> Result<RopeScaling, ModelError> {
    let (key, kind) = match nested.string("rope_type")? {
        Some(kind) => ("rope_type", kind),
        None => ("type", nested.string("type")?.unwrap_or_else(|| "default".to_owned())),
    };
    match kind.as_str() {
        "default" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear { factor: nested.required_positive("factor", MAX_FACTOR)? }),
        "llama3" => read_llama3(nested),
        _ => Err(nested.unsupported(key, format!("\"{kind}\""), SUPPORTED)),
    }
}

fn read_llama3(nested: &Fields) -> Result<RopeScaling, ModelError> {
    let low_freq_factor = nested.required_positive("low_freq_factor", MAX_FACTOR)?;
    let high_freq_factor = nested.required_positive("high_freq_factor", MAX_FACTOR)?;
    if high_freq_factor <= low_freq_factor {
        let expected = format!("a number above low_freq_factor, which is {low_freq_factor}");
        let found = serde_json::Value::from(high_freq_factor);
        return Err(nested.wrong("high_freq_factor", &expected, &found));
    }
    Ok(RopeScaling::Llama3 {
        factor: nested.required_positive("factor", MAX_FACTOR)?,
        low_freq_factor,
        high_freq_factor,
        original_max_position_embeddings: nested
            .required_size("original_max_position_embeddings", MAX_POSITIONS)?,
    })
}
