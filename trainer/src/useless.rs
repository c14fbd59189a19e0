//! Adapters that do nothing: told at the end of a run, not found out by whoever serves them.

use rtune_adapters::Parameters;

/// A part of the base's loss that a tuned model must be better by. Less is what another seed or another split gives.
const LEAST_GAIN: f64 = 0.005;

/// In the name of a matrix that belongs to one expert of several. Experts that all tokens go through are called otherwise.
const OF_AN_EXPERT: &str = ".experts.";

/// Matrices `lora_B` that training left as they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Idle<'a> {
    /// Their names, beside experts and in all other places.
    experts: Vec<&'a str>,
    others: Vec<&'a str>,
    /// How many there are in all, idle or not.
    all: usize,
    steps: u64,
    /// Whether they began as zeros.
    began_zero: bool,
}

/// The matrices `lora_B` of `parameters` that `steps` steps left as they were: all zeros, or as in `initial` where adapters began with
/// something of the base.
pub(crate) fn idle<'a>(
    parameters: &'a Parameters<f32>,
    initial: Option<&Parameters<f32>>,
    steps: u64,
) -> Idle<'a> {
    let is_idle = |name: &str| {
        let numbers = parameters.get(name).unwrap_or_default();
        match initial.and_then(|initial| initial.get(name)) {
            Some(began) => numbers == began,
            None => numbers.iter().all(|one| *one == 0.0),
        }
    };
    let names = parameters.entries().iter().map(|entry| entry.name.as_str());
    let all: Vec<&str> = names.filter(|name| name.contains(".lora_B.")).collect();
    let found = all.iter().copied().filter(|name| steps > 0 && is_idle(name));
    let (experts, others) = found.partition(|name| name.contains(OF_AN_EXPERT));
    Idle { experts, others, all: all.len(), steps, began_zero: initial.is_none() }
}

impl Idle<'_> {
    /// Why the adapter is of no use, if it is of none: every token goes through all that is no expert, so what is idle there has got no
    /// gradient; and where everything is idle, so has all.
    pub(crate) fn reason(&self) -> Option<String> {
        let count = self.experts.len() + self.others.len();
        let first = self.others.first().or(self.experts.first().filter(|_| count == self.all))?;
        Some(format!(
            "{count} of {} matrices `lora_B` are still {} after {} steps, `{first}` first: no gradient reached them, and the adapter does \
            nothing there",
            self.all,
            self.how(),
            self.steps
        ))
    }

    /// What is to be said of experts that got no token, where the others are at work.
    pub(crate) fn of_experts(&self) -> Option<String> {
        let first = self.experts.first().filter(|_| self.reason().is_none())?;
        Some(format!(
            "{} of {} matrices `lora_B` are still {} after {} steps, `{first}` first: no token of the rows chose these experts, and they \
            answer as the base's do",
            self.experts.len(),
            self.all,
            self.how(),
            self.steps
        ))
    }

    fn how(&self) -> &'static str {
        if self.began_zero { "all zeros" } else { "as they began" }
    }
}

/// Why an adapter is of no use whose best evaluation is hardly better than the base. `base_nats` and `best_nats` are the validation losses
/// before the first step and of the best evaluation, in nats a supervised token, where there are any; none before the first of `steps`.
pub(crate) fn no_gain(base_nats: Option<f64>, best_nats: Option<f64>, steps: u64) -> Option<String> {
    let (base, best) = (base_nats?, best_nats?);
    (steps > 0 && best > base * (1.0 - LEAST_GAIN)).then(|| {
        format!(
            "the adapter is of no use on the validation rows: their best loss is {best:.4} nats, {base:.4} before the \
            first step; look at `rtune check`, raise `train.learning-rate` or train longer"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linears by name, each with the second number of its `lora_B`.
    fn parameters(b: &[(&str, f32)]) -> Parameters<f32> {
        let mut parameters = Parameters::new();
        for (linear, number) in b {
            parameters.push(format!("{linear}.lora_A.weight"), vec![1, 2]);
            parameters.push(format!("{linear}.lora_B.weight"), vec![2, 1]);
            parameters.get_mut(&format!("{linear}.lora_B.weight")).expect("there")[1] = *number;
        }
        parameters
    }

    #[test]
    fn zeros_are_told_of_by_name() {
        let told = idle(&parameters(&[("l.0", 0.5), ("l.1", 0.0)]), None, 5).reason().expect("of no use");
        assert!(
            told.starts_with("1 of 2 matrices `lora_B` are still all zeros after 5 steps, `l.1.lora_B"),
            "{told}"
        );
        assert_eq!(idle(&parameters(&[("l.0", 0.0)]), None, 0).reason(), None, "nothing was trained yet");
    }

    #[test]
    fn an_expert_that_no_token_chose_is_told_of_and_no_fault() {
        let some = parameters(&[("l.0.q_proj", 0.5), ("l.0.experts.0.up", 0.0), ("l.0.experts.1.up", 0.5)]);
        let found = idle(&some, None, 5);
        assert_eq!(found.reason(), None);
        let told = found.of_experts().expect("idle");
        assert!(told.starts_with("1 of 3 matrices") && told.contains("`l.0.experts.0.up.lora_B"), "{told}");
        let shared = parameters(&[("l.0.shared_experts.up", 0.0), ("l.0.experts.1.up", 0.5)]);
        assert!(idle(&shared, None, 5).reason().is_some(), "every token goes through these");
        let all = parameters(&[("l.0.experts.0.up", 0.0), ("l.0.experts.1.up", 0.0)]);
        assert!(idle(&all, None, 5).reason().expect("of no use").starts_with("2 of 2"), "nothing learnt");
        assert_eq!(idle(&all, None, 5).of_experts(), None, "that says it");
    }

    /// PiSSA and LoftQ begin with something in both matrices: what did not move is as useless as zeros are.
    #[test]
    fn what_began_with_something_is_compared_with_that() {
        let began = parameters(&[("l.0", 0.5), ("l.1", 0.25)]);
        let told = idle(&began, Some(&began), 3).reason().expect("of no use");
        assert!(told.starts_with("2 of 2 matrices `lora_B` are still as they began after 3 steps"), "{told}");
        assert_eq!(idle(&parameters(&[("l.0", 0.75), ("l.1", 0.0)]), Some(&began), 3).reason(), None);
    }

    #[test]
    fn a_loss_that_is_hardly_lower_is_none() {
        let of = |base, best| no_gain(base, best, 5);
        assert_eq!(of(Some(2.0), Some(1.98)), None);
        assert!(of(Some(2.0), Some(1.995)).expect("of no use").contains("1.9950 nats, 2.0000 before"));
        assert!(of(Some(2.0), Some(2.0)).is_some());
        assert_eq!(of(None, None), None, "nothing was measured");
        assert_eq!(no_gain(Some(2.0), Some(2.0), 0), None, "nothing was trained yet");
    }
}
