//! The first values of fresh adapters.

use rand_core::Rng;
use rtune_adapters::Parameters;
use rtune_data::stream;

/// Draws every `lora_A` from U(-1/sqrt(in), 1/sqrt(in)), as PEFT does (Kaiming's uniform with a = sqrt(5)), and leaves
/// `lora_B` zero, so that the model begins as its base. Each tensor has a stream of its own, keyed by its name.
pub(crate) fn draw(parameters: &mut Parameters<f32>, seed: u64) {
    let fresh: Vec<(String, usize)> = parameters
        .entries()
        .iter()
        .filter(|entry| entry.name.contains(".lora_A."))
        .map(|entry| (entry.name.clone(), entry.shape[1]))
        .collect();
    for (name, inputs) in fresh {
        let mut random = stream(seed, "lora-init", &name, 0);
        let bound = 1.0 / (inputs as f64).sqrt();
        for number in parameters.get_mut(&name).unwrap_or_default() {
            // 53 random bits are every value of [0, 1) that an f64 spaces evenly.
            let unit = (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
            *number = (bound * (2.0 * unit - 1.0)) as f32;
        }
    }
}

/// The directions that the search for a weight's singular vectors begins with, from U(-1, 1).
pub(crate) fn draw_start(seed: u64, name: &str, out: &mut [f32]) {
    let mut random = stream(seed, "singular-vectors", name, 0);
    for number in out {
        let unit = (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        *number = (2.0 * unit - 1.0) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64) -> Parameters<f32> {
        let mut parameters = Parameters::new();
        for layer in 0..2 {
            parameters.push(format!("l.{layer}.lora_A.weight"), vec![8, 64]);
            parameters.push(format!("l.{layer}.lora_B.weight"), vec![4, 8]);
        }
        draw(&mut parameters, seed);
        parameters
    }

    #[test]
    fn a_is_uniform_within_its_bound_and_b_is_zero() {
        let parameters = drawn(3);
        let a = parameters.get("l.0.lora_A.weight").expect("there");
        assert!(a.iter().all(|number| number.abs() <= 0.125));
        let mean = a.iter().map(|number| f64::from(*number)).sum::<f64>() / 512.0;
        let variance = a.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>() / 512.0;
        // U(-b, b) has the variance b^2 / 3; 512 draws are within a tenth of it but once in many thousands.
        assert!(
            mean.abs() < 0.01 && (variance / (0.125f64.powi(2) / 3.0) - 1.0).abs() < 0.15,
            "{mean} {variance}"
        );
        assert!(parameters.get("l.0.lora_B.weight").expect("there").iter().all(|number| *number == 0.0));
    }

    #[test]
    fn tensors_and_seeds_have_streams_of_their_own() {
        assert_eq!(drawn(3), drawn(3));
        assert_ne!(drawn(3), drawn(4));
        let parameters = drawn(3);
        assert_ne!(parameters.get("l.0.lora_A.weight"), parameters.get("l.1.lora_A.weight"));
    }
}
