//! Rotary position embedding: what the configuration says about it.

use serde_json::Value;

use super::Fields;
use super::bounds::{MAX_FACTOR, MAX_POSITIONS, MAX_THETA};
use crate::ModelError;
use crate::families::Keys;

const SUPPORTED: &str = "default, linear, llama3, yarn, longrope";

/// Keys that stand beside the scaling; another one would say something that is not computed.
const KNOWN: &[&str] = &[
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "factor",
    "finetuned",
    "high_freq_factor",
    "long_factor",
    "low_freq_factor",
    "mscale",
    "mscale_all_dim",
    "original_max_position_embeddings",
    "partial_rotary_factor",
    "rope_theta",
    "rope_type",
    "short_factor",
    "truncate",
    "type",
];

/// Rotary position embedding: frequency `i` of a head is `theta^(-2i / width)`, then scaled, `width` being the part of
/// the head that is turned.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// The part of a head that is turned, from its beginning.
    pub fraction: f64,
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
    /// YaRN (arXiv 2309.00071): pairs that turn often in the original context stay, those that turn seldom are divided
    /// by `factor`, those between are interpolated.
    Yarn {
        /// The divisor of the low frequencies.
        factor: f64,
        /// Factor on cosines and sines.
        attention_factor: f64,
        /// Turns in the original context at which pairs stay, and at which they are divided.
        bounds: [f64; 2],
        /// Context of the training before the scaling, in tokens.
        original_max_position_embeddings: usize,
        /// Whether the bounds are rounded to whole pairs.
        truncate: bool,
    },
    /// LongRoPE (arXiv 2402.13753): frequency `i` is divided by element `i`, of one list in documents up to the original
    /// context and of another in longer ones.
    LongRope {
        /// For documents up to the original context.
        short: Vec<f32>,
        /// For longer ones.
        long: Vec<f32>,
        /// Factor on cosines and sines.
        attention_factor: f64,
        /// Context of the training before the scaling, in tokens.
        original_max_position_embeddings: usize,
    },
}

impl Rope {
    /// Rope without scaling on whole heads.
    #[must_use]
    pub fn plain(theta: f64) -> Self {
        Self { theta, fraction: 1.0, scaling: RopeScaling::None }
    }

    /// Elements of a head that are turned.
    #[must_use]
    pub fn rotary_width(&self, head_dim: usize) -> usize {
        (head_dim as f64 * self.fraction) as usize
    }

    /// Whether heads of this width can be turned so.
    pub(super) fn check(&self, fields: &Fields, head_dim: usize) -> Result<(), ModelError> {
        let width = self.rotary_width(head_dim);
        if !width.is_multiple_of(2) || width == 0 {
            let expected = format!("an even number of elements to turn (rope turns pairs), not {width}");
            return Err(fields.wrong("head_dim", &expected, &Value::from(head_dim)));
        }
        if let RopeScaling::LongRope { short, long, .. } = &self.scaling {
            for (key, list) in [("short_factor", short), ("long_factor", long)] {
                if list.len() != width / 2 {
                    let expected = format!("{} numbers, one for each pair", width / 2);
                    return Err(fields.wrong(key, &expected, &Value::from(list.len())));
                }
            }
        }
        Ok(())
    }
}

/// Reads `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (transformers 4): the rope of all layers,
/// and that of the layers with a window, where the family has one of its own.
///
/// Transformers takes `rope_scaling` where both stand there, and of what the other one says sometimes a part: two that say
/// different things are refused.
pub(super) fn read(
    fields: &Fields,
    keys: &Keys,
    positions: usize,
) -> Result<(Rope, Option<Rope>), ModelError> {
    let reader = Reader { fields, keys, positions };
    // An empty object says nothing, as in transformers.
    let given = |key: &str| -> Result<Option<Fields>, ModelError> {
        Ok(fields.nested(key)?.filter(|block| block.keys().next().is_some()))
    };
    match (given("rope_parameters")?, given("rope_scaling")?) {
        (Some(new), Some(old)) => {
            let said = reader.ropes(Some(&old))?;
            if said != reader.ropes(Some(&new))? {
                let found = fields.get("rope_scaling").unwrap_or(&Value::Null);
                let expected = "what `rope_parameters` beside it says, or one of the two alone";
                return Err(fields.wrong("rope_scaling", expected, found));
            }
            Ok(said)
        }
        (new, old) => reader.ropes(new.or(old).as_ref()),
    }
}

struct Reader<'a> {
    fields: &'a Fields,
    keys: &'a Keys,
    positions: usize,
}

impl Reader<'_> {
    /// The rope of all layers and that of the layers with a window, as one of the two blocks says it.
    fn ropes(&self, nested: Option<&Fields>) -> Result<(Rope, Option<Rope>), ModelError> {
        let keys = self.keys;
        let by_type = nested.filter(|nested| nested.get("full_attention").is_some());
        let Some((local_key, local_default)) = keys.local_theta else {
            return match by_type {
                Some(nested) => {
                    Err(nested.unsupported("full_attention", "given".to_owned(), "one rope for all layers"))
                }
                None => Ok((self.rope(nested, keys.theta)?, None)),
            };
        };
        let Some(by_type) = by_type else {
            let local = Rope::plain(self.fields.positive(local_key, MAX_THETA)?.unwrap_or(local_default));
            return Ok((self.rope(nested, keys.theta)?, Some(local)));
        };
        let global = by_type.nested("full_attention")?;
        let local = by_type.nested("sliding_attention")?;
        let local = self.rope(local.as_ref(), (local_key, local_default))?;
        Ok((self.rope(global.as_ref(), keys.theta)?, Some(local)))
    }

    fn rope(
        &self,
        nested: Option<&Fields>,
        (theta_key, default_theta): (&str, f64),
    ) -> Result<Rope, ModelError> {
        let outer_theta = self.fields.positive(theta_key, MAX_THETA)?;
        let Some(nested) = nested else {
            let theta = outer_theta.unwrap_or(default_theta);
            return Ok(Rope { fraction: self.fraction(None)?, ..Rope::plain(theta) });
        };
        if let Some(key) = nested.keys().find(|key| !KNOWN.contains(key) && nested.get(key).is_some()) {
            return Err(nested.unsupported(key, "given".to_owned(), "rope without this key"));
        }
        let theta = nested.positive("rope_theta", MAX_THETA)?.or(outer_theta).unwrap_or(default_theta);
        Ok(Rope { theta, fraction: self.fraction(Some(nested))?, scaling: self.scaling(nested)? })
    }

    /// The part of a head that is turned.
    fn fraction(&self, nested: Option<&Fields>) -> Result<f64, ModelError> {
        const KEY: &str = "partial_rotary_factor";
        let Some((own_key, default)) = self.keys.rotary_fraction else {
            return match nested.and_then(|nested| nested.get(KEY).map(|value| (nested, value))) {
                Some((nested, value)) if value.as_f64() != Some(1.0) => {
                    Err(nested.unsupported(KEY, value.to_string(), "1.0"))
                }
                _ => Ok(1.0),
            };
        };
        let inner = nested.map(|nested| nested.positive(KEY, 1.0)).transpose()?.flatten();
        let given = match inner.or(self.fields.positive(own_key, 1.0)?) {
            Some(fraction) => Some(fraction),
            None => self.fields.positive(KEY, 1.0)?,
        };
        Ok(given.unwrap_or(default))
    }

    fn scaling(&self, nested: &Fields) -> Result<RopeScaling, ModelError> {
        let (key, kind) = match nested.string("rope_type")? {
            Some(kind) => ("rope_type", kind),
            None => ("type", nested.string("type")?.unwrap_or_else(|| "default".to_owned())),
        };
        match kind.as_str() {
            "default" => Ok(RopeScaling::None),
            "linear" => Ok(RopeScaling::Linear { factor: nested.required_positive("factor", MAX_FACTOR)? }),
            "llama3" => self.llama3(nested),
            "longrope" => self.longrope(nested),
            // Phi-3's first names for it.
            "su" | "yarn" if self.keys.original_positions.is_some() => self.longrope(nested),
            "yarn" => self.yarn(nested),
            _ => Err(nested.unsupported(key, format!("\"{kind}\""), SUPPORTED)),
        }
    }

    /// Context of the training before the scaling: the outer key counts before the inner one, as in transformers.
    fn original(&self, nested: &Fields) -> Result<usize, ModelError> {
        const KEY: &str = "original_max_position_embeddings";
        let outer = self.fields.size(KEY, MAX_POSITIONS)?;
        let inner = nested.size(KEY, MAX_POSITIONS)?;
        Ok(outer.or(inner).or(self.keys.original_positions).unwrap_or(self.positions))
    }

    fn llama3(&self, nested: &Fields) -> Result<RopeScaling, ModelError> {
        let low_freq_factor = nested.required_positive("low_freq_factor", MAX_FACTOR)?;
        let high_freq_factor = nested.required_positive("high_freq_factor", MAX_FACTOR)?;
        if high_freq_factor <= low_freq_factor {
            let expected = format!("a number above low_freq_factor, which is {low_freq_factor}");
            return Err(nested.wrong("high_freq_factor", &expected, &Value::from(high_freq_factor)));
        }
        Ok(RopeScaling::Llama3 {
            factor: nested.required_positive("factor", MAX_FACTOR)?,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings: self.original(nested)?,
        })
    }

    fn yarn(&self, nested: &Fields) -> Result<RopeScaling, ModelError> {
        let original = self.original(nested)?;
        let factor = match nested.positive("factor", MAX_FACTOR)? {
            Some(factor) => factor,
            None => self.positions as f64 / original as f64,
        };
        let scale = |times: f64| yarn_factor(factor, times);
        let given = nested.positive("attention_factor", MAX_FACTOR)?;
        let times = [nested.positive("mscale", MAX_FACTOR)?, nested.positive("mscale_all_dim", MAX_FACTOR)?];
        let attention_factor = match (given, times) {
            (Some(given), _) => given,
            (None, [Some(over), Some(under)]) => scale(over) / scale(under),
            (None, _) => scale(1.0),
        };
        let [fast, slow] = YARN_BOUNDS;
        let fast = nested.positive("beta_fast", MAX_FACTOR)?.unwrap_or(fast);
        let slow = nested.positive("beta_slow", MAX_FACTOR)?.unwrap_or(slow);
        if fast < slow {
            return Err(nested.wrong(
                "beta_fast",
                &format!("at least beta_slow, {slow}"),
                &Value::from(fast),
            ));
        }
        Ok(RopeScaling::Yarn {
            factor,
            attention_factor,
            bounds: [fast, slow],
            original_max_position_embeddings: original,
            truncate: nested.boolean("truncate", true)?,
        })
    }

    fn longrope(&self, nested: &Fields) -> Result<RopeScaling, ModelError> {
        let original = self.original(nested)?;
        let factor = match nested.positive("factor", MAX_FACTOR)? {
            Some(factor) => factor,
            None => self.positions as f64 / original as f64,
        };
        let attention_factor = match nested.positive("attention_factor", MAX_FACTOR)? {
            Some(given) => given,
            None => longrope_factor(factor, original),
        };
        Ok(RopeScaling::LongRope {
            short: divisors(nested, "short_factor")?,
            long: divisors(nested, "long_factor")?,
            attention_factor,
            original_max_position_embeddings: original,
        })
    }
}

/// Turns in the original context at which pairs stay, and at which they are divided, as YaRN's paper has them.
pub(crate) const YARN_BOUNDS: [f64; 2] = [32.0, 1.0];

/// The factor on cosines and sines of YaRN where no key says it.
pub(crate) fn yarn_factor(factor: f64, times: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * times * factor.ln() + 1.0 }
}

/// The factor on cosines and sines of LongRoPE where no key says it.
pub(super) fn longrope_factor(factor: f64, original: usize) -> f64 {
    if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / (original as f64).ln()).sqrt() }
}

fn divisors(nested: &Fields, key: &str) -> Result<Vec<f32>, ModelError> {
    const EXPECTED: &str = "a list of numbers above 0, one for each pair";
    let value = nested.get(key).ok_or_else(|| nested.missing(key, EXPECTED))?;
    let number = |value: &Value| {
        value.as_f64().filter(|number| *number > 0.0 && *number <= MAX_FACTOR).map(|number| number as f32)
    };
    let list = value.as_array().and_then(|list| list.iter().map(number).collect());
    list.ok_or_else(|| nested.wrong(key, EXPECTED, value))
}
