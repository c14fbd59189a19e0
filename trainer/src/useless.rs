//! Adapters that do nothing: told at the end of a run, not found out by whoever serves them.

use rtune_adapters::Parameters;

use crate::checkpoint::Best;

/// A part of the base's loss that a tuned model must be better by. Less is what another seed or another split gives.
const LEAST_GAIN: f64 = 0.005;

/// What a number that moved has moved by at the least: less in every number of a `lora_B` changes no weight by more than what f32 rounds
/// away, whatever stands in `lora_A`.
const LEAST_MOVE: f32 = 1e-9;

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
    /// Whether they began as zeros, and whether they still are just that.
    began_zero: bool,
    is_zero: bool,
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
            Some(began) => numbers.iter().zip(began).all(|(one, began)| (one - began).abs() < LEAST_MOVE),
            None => numbers.iter().all(|one| one.abs() < LEAST_MOVE),
        }
    };
    let is_zero = |name: &&str| parameters.get(name).unwrap_or_default().iter().all(|one| *one == 0.0);
    let names = parameters.entries().iter().map(|entry| entry.name.as_str());
    let all: Vec<&str> = names.filter(|name| name.contains(".lora_B.")).collect();
    let found: Vec<&str> = all.iter().copied().filter(|name| steps > 0 && is_idle(name)).collect();
    let is_zero = found.iter().all(is_zero);
    let (experts, others) = found.into_iter().partition(|name| name.contains(OF_AN_EXPERT));
    Idle { experts, others, all: all.len(), steps, began_zero: initial.is_none(), is_zero }
}

impl Idle<'_> {
    /// Why the adapter is of no use, if it is of none: every token goes through all that is no expert, so what is idle there has got no
    /// gradient; and where everything is idle, so has all.
    pub(crate) fn reason(&self) -> Option<String> {
        let count = self.experts.len() + self.others.len();
        let first = self.others.first().or(self.experts.first().filter(|_| count == self.all))?;
        Some(format!(
            "{count} of {} matrices `lora_B` are still {} after {} steps, `{first}` first: {}, and the adapter does nothing there",
            self.all,
            self.how(),
            self.steps,
            if self.is_zero { "no gradient reached them" } else { "no step that counts reached them" }
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
        match (self.began_zero, self.is_zero) {
            (true, true) => "all zeros",
            (true, false) => "as good as zeros",
            (false, _) => "as they began",
        }
    }
}

/// What the trained numbers are known by when they are looked at again: BLAKE3 of their bytes, in hexadecimal.
pub(crate) fn fingerprint(parameters: &Parameters<f32>) -> String {
    const NUMBERS: usize = 1 << 16;
    let mut hash = blake3::Hasher::new();
    let mut bytes = Vec::with_capacity(4 * NUMBERS);
    for numbers in parameters.flat().chunks(NUMBERS) {
        bytes.clear();
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        hash.update(&bytes);
    }
    hash.finalize().to_hex().to_string()
}

/// Why training was of no use that ended where it `began`, of which there is the [`fingerprint`]: also of an adapter that another run
/// trained before, and of weights without adapters.
pub(crate) fn unmoved(parameters: &Parameters<f32>, began: Option<&str>, steps: u64) -> Option<String> {
    (steps > 0 && began? == fingerprint(parameters)).then(|| {
        format!(
            "none of the {} trained numbers is another after {steps} steps than before the first: raise `train.learning-rate`",
            parameters.flat().len()
        )
    })
}

/// Why an adapter is of no use whose run found none better, by the metric that the best one goes by, than what it began with.
pub(crate) fn not_better(best: Option<&Best>, steps: u64) -> Option<String> {
    let Best { step, metric, value } = best?;
    (steps > 0 && *step == 0).then(|| {
        format!(
            "the adapter is of no use by `eval.best`: no evaluation had a better `{metric}` than the one before the first step \
            ({value:.4}), and `best` is what the run began with"
        )
    })
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
    fn what_moved_by_less_than_counts_did_not_move() {
        let told = idle(&parameters(&[("l.0", 1e-20)]), None, 3).reason().expect("of no use");
        assert!(told.contains("are still as good as zeros after 3 steps"), "{told}");
        assert_eq!(idle(&parameters(&[("l.0", 1e-6)]), None, 3).reason(), None);
        let began = fingerprint(&parameters(&[("l.0", 0.5)]));
        let told = unmoved(&parameters(&[("l.0", 0.5)]), Some(&began), 3).expect("of no use");
        assert!(told.starts_with("none of the 4 trained numbers is another after 3 steps"), "{told}");
        assert_eq!(unmoved(&parameters(&[("l.0", 0.25)]), Some(&began), 3), None);
        assert_eq!(unmoved(&parameters(&[("l.0", 0.5)]), Some(&began), 0), None, "nothing was trained yet");
        assert_eq!(unmoved(&parameters(&[("l.0", 0.5)]), None, 3), None, "nobody knows");
    }

    #[test]
    fn a_run_whose_best_is_its_beginning_is_none() {
        let best = |step| Best { step, metric: "chrf".to_owned(), value: 12.0 };
        assert!(not_better(Some(&best(0)), 4).expect("of no use").contains("a better `chrf` than"));
        assert_eq!(not_better(Some(&best(2)), 4), None);
        assert_eq!((not_better(Some(&best(0)), 0), not_better(None, 4)), (None, None));
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
