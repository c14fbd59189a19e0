//! From logits to the next token. Tokens are drawn by candle-transformers' sampler; which ones it may draw, [`likely`] says.

use candle_core::{Device, Tensor};
use candle_transformers::generation::{LogitsProcessor, Sampling as Rule};
use candle_transformers::utils::apply_repeat_penalty;

use super::GenerateError;
use super::likely::likely;

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// What logits are divided by; 0 takes the likeliest token.
    pub temperature: f64,
    /// Only so many of the likeliest tokens.
    pub top_k: Option<usize>,
    /// Only the likeliest tokens that together have this probability, above 0.
    pub top_p: Option<f64>,
    /// What the logits of tokens that are there already are divided by (multiplied, where negative); 1 changes nothing.
    pub repetition_penalty: f64,
}

impl Sampling {
    /// The likeliest token each time.
    pub const GREEDY: Self = Self { temperature: 0.0, top_k: None, top_p: None, repetition_penalty: 1.0 };
}

/// Chooses the tokens of one answer.
pub struct Sampler {
    /// `None` takes the likeliest.
    processor: Option<LogitsProcessor>,
    sampling: Sampling,
}

/// Below, logits that are divided by it are beyond f32, and the likeliest token has all the probability long before.
const LEAST_TEMPERATURE: f64 = 1e-30;

impl Sampler {
    /// `seed`: what all draws of this answer come from.
    #[must_use]
    pub fn new(sampling: &Sampling, seed: u64) -> Self {
        let temperature = sampling.temperature;
        let processor = (temperature >= LEAST_TEMPERATURE)
            .then(|| LogitsProcessor::from_sampling(seed, Rule::All { temperature }));
        Self { processor, sampling: *sampling }
    }

    /// The next token behind `before` (prompt and answer so far) from its logits, `[V]`.
    ///
    /// # Errors
    /// [`GenerateError::NotFinite`] for logits that are no numbers, [`GenerateError::Sampling`].
    pub fn choose(&mut self, logits_v: &[f32], before: &[u32]) -> Result<u32, GenerateError> {
        if logits_v.iter().any(|logit| logit.is_nan()) {
            return Err(GenerateError::NotFinite);
        }
        let penalty = self.sampling.repetition_penalty as f32;
        let mut penalised = None;
        if penalty != 1.0 {
            let logits = Tensor::from_slice(logits_v, logits_v.len(), &Device::Cpu)?;
            penalised = Some(apply_repeat_penalty(&logits, penalty, before)?.to_vec1::<f32>()?);
        }
        let logits_v = penalised.as_deref().unwrap_or(logits_v);
        let Some(processor) = &mut self.processor else { return Ok(likeliest(logits_v)) };
        let Sampling { temperature, top_k, top_p, .. } = self.sampling;
        if top_k.is_none() && top_p.is_none() {
            return Ok(processor.sample(&Tensor::from_slice(logits_v, logits_v.len(), &Device::Cpu)?)?);
        }
        let tokens = likely(logits_v, temperature, top_k, top_p).ok_or(GenerateError::NotFinite)?;
        let logits: Vec<f32> = tokens.iter().map(|&token| logits_v[token as usize]).collect();
        let drawn = processor.sample(&Tensor::from_vec(logits, tokens.len(), &Device::Cpu)?)?;
        Ok(tokens[drawn as usize])
    }
}

/// The first of the largest, as `torch.argmax` gives it.
fn likeliest(logits_v: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (token, &logit) in logits_v.iter().enumerate() {
        if logit > best.1 {
            best = (token, logit);
        }
    }
    best.0 as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(sampling: &Sampling, seed: u64, logits: &[f32]) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling, seed);
        (0..200).map(|_| sampler.choose(logits, &[0]).expect("a token")).collect()
    }

    #[test]
    fn next_to_no_temperature_takes_the_likeliest() {
        for temperature in [1e-300, 1e-45, 1e-40, 1e-20] {
            let mut sampler = Sampler::new(&Sampling { temperature, ..Sampling::GREEDY }, 3);
            assert_eq!(sampler.choose(&[-40.0, 12.5, 12.0, 30.0], &[]).expect("drawn"), 3, "{temperature}");
        }
    }

    #[test]
    fn greedy_takes_the_first_of_the_largest() {
        assert_eq!(drawn(&Sampling::GREEDY, 0, &[0.0, 2.0, 2.0, -1.0])[0], 1);
    }

    #[test]
    fn top_k_and_top_p_leave_out_the_unlikely() {
        let logits = [3.0, 2.9, 0.5, 0.4];
        let wide = Sampling { temperature: 1.0, ..Sampling::GREEDY };
        assert!(drawn(&wide, 1, &logits).contains(&3));
        let two = Sampling { top_k: Some(2), ..wide };
        assert!(drawn(&two, 1, &logits).iter().all(|token| *token < 2));
        let half = Sampling { top_p: Some(0.5), ..wide };
        assert!(drawn(&half, 1, &logits).iter().all(|token| *token < 2));
        let one = Sampling { top_k: Some(2), top_p: Some(0.3), ..wide };
        assert!(drawn(&one, 1, &logits).iter().all(|token| *token == 0));
    }

    #[test]
    fn a_seed_fixes_the_draws() {
        let wide = Sampling { temperature: 1.0, ..Sampling::GREEDY };
        let logits = [1.0, 1.1, 0.9, 1.0];
        assert_eq!(drawn(&wide, 7, &logits), drawn(&wide, 7, &logits));
        assert_ne!(drawn(&wide, 7, &logits), drawn(&wide, 8, &logits));
    }

    #[test]
    fn a_repeated_token_becomes_less_likely() {
        let penalised = Sampling { repetition_penalty: 2.0, ..Sampling::GREEDY };
        assert_eq!(drawn(&penalised, 0, &[1.0, 0.9])[0], 1);
        // A negative logit is multiplied, so that it falls too.
        assert_eq!(drawn(&penalised, 0, &[-0.5, -0.9])[0], 1);
    }

    #[test]
    fn no_number_is_refused() {
        let error = Sampler::new(&Sampling::GREEDY, 0).choose(&[0.0, f32::NAN], &[]);
        assert!(matches!(error, Err(GenerateError::NotFinite)));
    }
}
