//! How adapters begin that begin with something of the base: PiSSA and LoftQ.

use rtune_adapters::low_rank::{self, Factors};
use rtune_adapters::merge::dense;
use rtune_adapters::{AdapterError, Int8Quantizer, Linear, Parameters, Start, Weight, merge};

use super::{Decoder, Quantization};
use crate::{ModelError, WeightSource};

impl Decoder {
    /// Gives fresh adapters the first values that `start` asks for; what they hold then was taken off the base where
    /// [`Start::changes_base`] says so, so that the model is what it was but for the quantisation. `draw` fills a slice
    /// with numbers for the linear that it is told.
    ///
    /// `weights` is what the decoder was loaded from, with `quantization`. One tensor of it is in memory at a time.
    ///
    /// # Errors
    /// [`ModelError::Adapter`] for LoftQ where nothing is quantised, and for PiSSA where the files have the base quantised;
    /// those of reading.
    pub fn begin(
        &mut self,
        start: Start,
        weights: &dyn WeightSource,
        quantization: Quantization,
        parameters: &mut Parameters<f32>,
        draw: &dyn Fn(&str, &mut [f32]),
    ) -> Result<(), ModelError> {
        for linear in self.linears_mut() {
            let Some(lora) = linear.lora.clone() else { continue };
            let (rows, columns) = (linear.out_features(), linear.in_features());
            let tensor = format!("{}.weight", linear.name());
            let kept = linear.weight().nf4().is_some() || linear.weight().int8().is_some();
            let refused = |problem: &str| {
                let problem = format!("`{tensor}`: {problem}");
                Err(ModelError::from(AdapterError::Config(problem)))
            };
            let mut values = match start {
                Start::Drawn => return Ok(()),
                Start::Loftq if !kept => {
                    return refused("LoftQ makes up for quantisation, and the base is not quantised");
                }
                Start::Pissa if weights.is_nf4(&tensor) => {
                    return refused(
                        "PiSSA takes from weights what is then quantised, and the base came quantised",
                    );
                }
                Start::Loftq | Start::Pissa => weights.read(&tensor)?.into_f32(),
            };
            if start == Start::Loftq {
                values.iter_mut().zip(dense(linear.weight())).for_each(|(value, held)| *value -= held);
            }
            let mut drawn = vec![0.0; low_rank::draws(rows, columns, lora.rank)];
            draw(linear.name(), &mut drawn);
            let Factors { a, b } = low_rank::factors(&values, rows, columns, lora.rank, &drawn);
            // The adapter is scaled; half of that is taken out of each factor.
            let half = (1.0 / lora.scale).sqrt() as f32;
            for (range, factor) in [(lora.a, a), (lora.b, b)] {
                let places = parameters.flat_mut()[range].iter_mut();
                places.zip(factor).for_each(|(place, value)| *place = half * value);
            }
            if start.changes_base() {
                take_off(linear, values, quantization, parameters.flat());
            }
        }
        Ok(())
    }

    /// Takes `initial`, the adapters' numbers as they began, off the base once more.
    ///
    /// # Errors
    /// Those of reading.
    pub fn take_off(
        &mut self,
        initial: &[f32],
        weights: &dyn WeightSource,
        quantization: Quantization,
    ) -> Result<(), ModelError> {
        for linear in self.linears_mut().filter(|linear| linear.lora.is_some()) {
            let values = weights.read(&format!("{}.weight", linear.name()))?.into_f32();
            take_off(linear, values, quantization, initial);
        }
        Ok(())
    }
}

/// Holds `values` less what the adapter adds as the weight.
fn take_off(linear: &mut Linear, mut values: Vec<f32>, quantization: Quantization, parameters: &[f32]) {
    let (rows, columns) = (linear.out_features(), linear.in_features());
    if let Some(delta) = merge::delta(linear, parameters) {
        values.iter_mut().zip(delta).for_each(|(value, delta)| *value -= delta);
    }
    linear.set_weight(held(rows, columns, values, quantization));
}

/// A matrix, row-major, as `quantization` has it held.
#[must_use]
pub fn held(rows: usize, columns: usize, values: Vec<f32>, quantization: Quantization) -> Weight {
    match quantization {
        Quantization::None => Weight::from_f32(rows, columns, values),
        Quantization::Int8 => {
            let mut quantizer = Int8Quantizer::new(rows, columns);
            quantizer.push(&values);
            quantizer.finish()
        }
        Quantization::Nf4 { double } => Weight::quantized(rows, columns, &values, double),
    }
}
