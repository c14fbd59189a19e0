//! Rope frequencies, as transformers computes them (`modeling_rope_utils.py`), in `f32` like it.

use std::f64::consts::PI;

use super::spec::RopeSpec;
use crate::{Rope, RopeScaling};

/// The angles of a head of `head_dim` elements.
pub(super) fn of(rope: &Rope, head_dim: usize) -> RopeSpec {
    let width = rope.rotary_width(head_dim);
    let powers: Vec<f32> =
        (0..width / 2).map(|i| (rope.theta as f32).powf(2.0 * i as f32 / width as f32)).collect();
    let plain = powers.iter().map(|power| 1.0 / power);
    let only = |frequencies: Vec<f32>| RopeSpec { frequencies, scale: 1.0, long: None };
    match &rope.scaling {
        RopeScaling::None => only(plain.collect()),
        RopeScaling::Linear { factor } => only(plain.map(|f| f / *factor as f32).collect()),
        RopeScaling::Divisors(divisors) => only(plain.zip(divisors).map(|(f, d)| f / d).collect()),
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        } => {
            let (factor, low, high) = (*factor as f32, *low_freq_factor as f32, *high_freq_factor as f32);
            let context = *original_max_position_embeddings as f32;
            only(plain.map(|f| llama3(f, factor, low, high, context)).collect())
        }
        RopeScaling::Yarn {
            factor,
            attention_factor,
            bounds,
            original_max_position_embeddings,
            truncate,
        } => {
            let context = *original_max_position_embeddings as f64;
            let range = yarn_range(width, rope.theta, *bounds, context, *truncate);
            RopeSpec { frequencies: yarn(&powers, *factor, range), scale: *attention_factor, long: None }
        }
        RopeScaling::LongRope { short, long, attention_factor, original_max_position_embeddings } => {
            let divided = |by: &[f32]| powers.iter().zip(by).map(|(power, d)| 1.0 / (d * power)).collect();
            let long = (*original_max_position_embeddings, divided(long));
            RopeSpec { frequencies: divided(short), scale: *attention_factor, long: Some(long) }
        }
    }
}

/// Long waves are slowed by `factor`, short ones stay, those between are interpolated.
fn llama3(frequency: f32, factor: f32, low: f32, high: f32, context: f32) -> f32 {
    let wavelength = 2.0 * std::f32::consts::PI / frequency;
    if wavelength > context / low {
        frequency / factor
    } else if wavelength < context / high {
        frequency
    } else {
        let smooth = (context / wavelength - low) / (high - low);
        (1.0 - smooth) * frequency / factor + smooth * frequency
    }
}

/// Between which pairs YaRN (arXiv 2309.00071) goes over from extrapolation to interpolation: those that turn
/// `fast` and `slow` times in the context.
fn yarn_range(width: usize, theta: f64, [fast, slow]: [f64; 2], context: f64, truncate: bool) -> [f64; 2] {
    let pair = |turns: f64| width as f64 * (context / (turns * 2.0 * PI)).ln() / (2.0 * theta.ln());
    let (low, high) = (pair(fast), pair(slow));
    let (low, high) = if truncate { (low.floor(), high.ceil()) } else { (low, high) };
    [low.max(0.0), high.min(width as f64 - 1.0)]
}

fn yarn(powers: &[f32], factor: f64, [low, high]: [f64; 2]) -> Vec<f32> {
    // Where both ends meet, transformers moves one by this much.
    const APART: f64 = 0.001;
    let (low, high) = (low as f32, (if low == high { high + APART } else { high }) as f32);
    let mixed = powers.iter().enumerate().map(|(pair, &power)| {
        let kept = 1.0 - ((pair as f32 - low) / (high - low)).clamp(0.0, 1.0);
        1.0 / (factor as f32 * power) * (1.0 - kept) + 1.0 / power * kept
    });
    mixed.collect()
}
