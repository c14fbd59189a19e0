//! Adapters that do nothing: told at the end of a run, not found out by whoever serves them.

use rtune_adapters::Parameters;

/// A part of the base's loss that a tuned model must be better by. Less is what another seed or another split gives.
const LEAST_GAIN: f64 = 0.005;

/// Why an adapter is of no use after `steps` steps; none if there is nothing to say. `base_nats` and `best_nats` are
/// the validation losses before the first step and of the best evaluation, where there are any.
pub fn reason(
    parameters: &Parameters<f32>,
    base_nats: Option<f64>,
    best_nats: Option<f64>,
    steps: u64,
) -> Option<String> {
    if steps == 0 {
        return None;
    }
    let all = || parameters.entries().iter().filter(|entry| entry.name.contains(".lora_B."));
    let is_zero =
        |name: &str| parameters.get(name).is_some_and(|numbers| numbers.iter().all(|one| *one == 0.0));
    let zero: Vec<&str> = all().map(|entry| entry.name.as_str()).filter(|name| is_zero(name)).collect();
    if let Some(first) = zero.first() {
        return Some(format!(
            "{} of {} matrices `lora_B` are still all zeros after {steps} steps, `{first}` first: no gradient reached \
            them, and the adapter does nothing there",
            zero.len(),
            all().count()
        ));
    }
    let (base, best) = (base_nats?, best_nats?);
    (best > base * (1.0 - LEAST_GAIN)).then(|| {
        format!(
            "the adapter is of no use on the validation rows: their best loss is {best:.4} nats, {base:.4} before the \
            first step; look at `rtune check`, raise `train.learning-rate` or train longer"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(b: &[f32]) -> Parameters<f32> {
        let mut parameters = Parameters::new();
        for (layer, number) in b.iter().enumerate() {
            parameters.push(format!("l.{layer}.lora_A.weight"), vec![1, 2]);
            parameters.push(format!("l.{layer}.lora_B.weight"), vec![2, 1]);
            parameters.get_mut(&format!("l.{layer}.lora_B.weight")).expect("there")[1] = *number;
        }
        parameters
    }

    #[test]
    fn zeros_are_told_of_by_name() {
        let told = reason(&parameters(&[0.5, 0.0]), Some(2.0), Some(1.0), 5).expect("of no use");
        assert!(
            told.starts_with("1 of 2 matrices `lora_B` are still all zeros after 5 steps, `l.1.lora_B"),
            "{told}"
        );
        assert_eq!(reason(&parameters(&[0.0]), None, None, 0), None, "nothing was trained yet");
    }

    #[test]
    fn a_loss_that_is_hardly_lower_is_none() {
        let of = |base, best| reason(&parameters(&[0.5]), base, best, 5);
        assert_eq!(of(Some(2.0), Some(1.98)), None);
        assert!(of(Some(2.0), Some(1.995)).expect("of no use").contains("1.9950 nats, 2.0000 before"));
        assert!(of(Some(2.0), Some(2.0)).is_some());
        assert_eq!(of(None, None), None, "nothing was measured");
    }
}
