//! AdamW over the flat vector of trainable parameters. The arithmetic is [`rtune_kernels::adamw`]'s.

use std::ops::Range;
use std::path::Path;

use rtune_adapters::lora::MAGNITUDE_SUFFIX;
use rtune_kernels::adamw;

use crate::checkpoint::{self, NamedSlice};
use crate::config::TrainSection;
use crate::error::TrainerError;

/// Both moments, in f32, and the numbers that do not change over a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimizer {
    first: Vec<f32>,
    second: Vec<f32>,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    weight_decay: f64,
    /// 0 does not clip.
    max_grad_norm: f64,
    /// Parts of the flat vector, in order, the factors on their learning rates, and whether their weights decay.
    parts: Vec<(Range<usize>, f64, bool)>,
}

impl Optimizer {
    /// Zero moments for `length` parameters.
    pub fn new(train: &TrainSection, length: usize) -> Self {
        Self {
            first: vec![0.0; length],
            second: vec![0.0; length],
            beta1: train.beta1,
            beta2: train.beta2,
            epsilon: train.epsilon,
            weight_decay: train.weight_decay,
            max_grad_norm: train.max_grad_norm,
            parts: vec![(0..length, 1.0, true)],
        }
    }

    /// Gives the matrices B, and what is no matrix, `ratio` times the learning rate (LoRA+, arXiv 2402.12354, as PEFT has
    /// it), and lets biases and weights of norms not decay, as transformers' trainer does. The `slices` are all of the flat
    /// vector.
    #[must_use]
    pub fn by_parts(mut self, ratio: f64, slices: &[NamedSlice]) -> Self {
        let is_faster = |slice: &NamedSlice| slice.name.contains("lora_B") || slice.shape.len() == 1;
        let decays = |slice: &NamedSlice| slice.shape.len() > 1 || slice.name.ends_with(MAGNITUDE_SUFFIX);
        let part = |slice: &NamedSlice| {
            let rate = if is_faster(slice) { ratio } else { 1.0 };
            (slice.range.clone(), rate, decays(slice))
        };
        self.parts = slices.iter().map(part).collect();
        self
    }

    /// What gradients longer than this are clipped to; 0 does not clip.
    #[must_use]
    pub fn max_grad_norm(&self) -> f64 {
        self.max_grad_norm
    }

    /// Both moments, as long as the flat vector.
    #[must_use]
    pub fn moments(&self) -> (&[f32], &[f32]) {
        (&self.first, &self.second)
    }

    /// Replaces both moments: by those of a device.
    ///
    /// # Panics
    /// If their length differs.
    pub fn set_moments(&mut self, first: Vec<f32>, second: Vec<f32>) {
        assert!(first.len() == self.first.len() && second.len() == self.second.len(), "optimizer: lengths");
        (self.first, self.second) = (first, second);
    }

    /// The parts of the flat vector in order, and what update `step` (from 1) does to each, where the gradients have the
    /// length `norm`. Neighbours that are treated alike are one part.
    #[must_use]
    pub fn updates(&self, norm: f64, learning_rate: f64, step: u64) -> Vec<(Range<usize>, adamw::Update)> {
        let gradient_factor =
            if self.max_grad_norm > 0.0 { adamw::clip_factor(norm, self.max_grad_norm) } else { 1.0 };
        let with = |rate: f64, decays: bool| adamw::Update {
            learning_rate: learning_rate * rate,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            weight_decay: if decays { self.weight_decay } else { 0.0 },
            step,
            gradient_factor,
        };
        let mut merged: Vec<(Range<usize>, f64, bool)> = Vec::new();
        for (range, rate, decays) in &self.parts {
            match merged.last_mut() {
                Some((last, r, d)) if last.end == range.start && r == rate && d == decays => {
                    last.end = range.end;
                }
                _ => merged.push((range.clone(), *rate, *decays)),
            }
        }
        merged.into_iter().map(|(range, rate, decays)| (range, with(rate, decays))).collect()
    }

    /// One update of the parameters by the gradients of update `step` (from 1), which have the length `norm`.
    ///
    /// # Panics
    /// If the slices are not as long as the moments.
    pub fn update(
        &mut self,
        parameters: &mut [f32],
        gradients: &[f32],
        norm: f64,
        learning_rate: f64,
        step: u64,
    ) {
        assert!(
            parameters.len() == self.first.len() && gradients.len() == self.first.len(),
            "optimizer: lengths"
        );
        for (range, update) in self.updates(norm, learning_rate, step) {
            let (first, second) = (&mut self.first[range.clone()], &mut self.second[range.clone()]);
            let (parameters, gradients) = (&mut parameters[range.clone()], &gradients[range]);
            adamw::update(parameters, gradients, first, second, &update);
        }
    }

    /// Divides a gradient as the update after `step` steps would: by the root of the second moment; parts with a learning rate of their
    /// own take its factor. A number that had no gradient up to here has no such root, and what it would be divided by says nothing
    /// about other steps: it becomes zero.
    pub(crate) fn precondition(&self, gradient: &mut [f32], step: u64) {
        let kept = 1.0 - self.beta2.powi(i32::try_from(step).unwrap_or(i32::MAX));
        for (range, rate, _) in &self.parts {
            for (one, second) in gradient[range.clone()].iter_mut().zip(&self.second[range.clone()]) {
                let root = (f64::from(*second) / kept).sqrt() + self.epsilon;
                *one = if *second == 0.0 { 0.0 } else { (f64::from(*one) * rate / root) as f32 };
            }
        }
    }

    /// Writes both moments to the checkpoint folder.
    ///
    /// # Errors
    /// As [`checkpoint::write_moments`].
    pub fn save(&self, folder: &Path, slices: &[NamedSlice]) -> Result<(), TrainerError> {
        checkpoint::write_moments(&folder.join(checkpoint::OPTIMIZER_FILE), slices, &self.first, &self.second)
    }

    /// Takes both moments from the checkpoint folder.
    ///
    /// # Errors
    /// As [`checkpoint::read_moments`].
    pub fn restore(&mut self, folder: &Path, slices: &[NamedSlice]) -> Result<(), TrainerError> {
        let path = folder.join(checkpoint::OPTIMIZER_FILE);
        (self.first, self.second) = checkpoint::read_moments(&path, slices)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn section(extra: &str) -> TrainSection {
        let text = format!("[model]\nbase='m'\n[data]\ntrain='t'\n[output]\ndir='r'\n[train]\n{extra}\n");
        Config::parse("c.toml", &text, &[]).expect("valid").train
    }

    #[test]
    fn clipping_scales_the_gradient_before_the_moments() {
        let mut clipped = Optimizer::new(&section("max-grad-norm = 1.0"), 2);
        let mut free = Optimizer::new(&section("max-grad-norm = 0.0"), 2);
        let (mut a, mut b) = ([0.0; 2], [0.0; 2]);
        clipped.update(&mut a, &[3.0, 4.0], 5.0, 0.1, 1);
        free.update(&mut b, &[3.0, 4.0], 5.0, 0.1, 1);
        let factor = 1.0 / (5.0 + 1e-6);
        assert!((clipped.first[0] - 0.3 * factor).abs() < 1e-6, "{:?}", clipped.first);
        assert!((free.first[0] - 0.3).abs() < 1e-6, "{:?}", free.first);
    }

    #[test]
    fn b_has_a_learning_rate_of_its_own_and_all_else_stays_as_it_was() {
        let slice = |name: &str, shape: &[usize], range| NamedSlice {
            name: name.to_owned(),
            shape: shape.to_vec(),
            range,
        };
        let slices = [
            slice("l.lora_A.weight", &[1, 2], 0..2),
            slice("l.lora_B.weight", &[2, 1], 2..4),
            slice("l.lora_magnitude_vector", &[1], 4..5),
        ];
        let train = section("weight-decay = 0.1");
        let updated = |ratio: f64, learning_rate: f64| {
            let mut optimizer = Optimizer::new(&train, 5).by_parts(ratio, &slices);
            let mut parameters = [0.5, -0.25, 1.0, 2.0, 3.0];
            optimizer.update(&mut parameters, &[0.1, -0.2, 0.3, 0.4, -0.5], 0.7, learning_rate, 1);
            parameters
        };
        let (plain, fast, both) = (updated(1.0, 0.01), updated(1.0, 0.08), updated(8.0, 0.01));
        assert_eq!(both[..2], plain[..2]);
        assert_eq!(both[2..], fast[2..]);
    }

    #[test]
    fn biases_and_norms_do_not_decay() {
        let slice = |name: &str, shape: &[usize], range| NamedSlice {
            name: name.to_owned(),
            shape: shape.to_vec(),
            range,
        };
        let slices = [
            slice("l.weight", &[1, 1], 0..1),
            slice("l.bias", &[1], 1..2),
            slice("norm.weight", &[1], 2..3),
            slice("l.lora_magnitude_vector", &[1], 3..4),
        ];
        let mut optimizer = Optimizer::new(&section("weight-decay = 0.5"), 4).by_parts(1.0, &slices);
        let mut parameters = [1.0; 4];
        optimizer.update(&mut parameters, &[0.0; 4], 0.0, 0.1, 1);
        assert_eq!(parameters, [0.95, 1.0, 1.0, 0.95]);
    }

    #[test]
    fn saved_moments_continue_bit_for_bit() {
        let folder = tempfile::tempdir().expect("a folder");
        let slices = [NamedSlice { name: "a".to_owned(), shape: vec![2], range: 0..2 }];
        let train = section("weight-decay = 0.1");
        let mut whole = Optimizer::new(&train, 2);
        let mut parameters = [0.5, -0.25];
        whole.update(&mut parameters, &[1.0, 0.125], 1.0078, 0.1, 1);
        whole.save(folder.path(), &slices).expect("saved");
        let mut resumed = Optimizer::new(&train, 2);
        resumed.restore(folder.path(), &slices).expect("restored");
        assert_eq!(resumed, whole);
    }
}
