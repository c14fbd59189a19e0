//! What an adapter adds to a weight, or several made one.

use std::path::Path;

use rtune_adapters::combine::{Combination, combine};
use rtune_adapters::merge::delta;
use rtune_adapters::peft::PeftAdapter;
use rtune_adapters::{Biases, Linear, LoraConfig, Start, Targets, Weight, lora};

use crate::error::ReleaseError;
use crate::model::VerifiedAdapter;
use crate::weights::{Onto, norm};

/// Several adapters of one base, and how they become one.
#[derive(Clone, Copy, Debug)]
pub struct Combined<'a> {
    /// Each with its factor, as [`refuse_uncombinable`] lets them through.
    pub adapters: &'a [(&'a VerifiedAdapter, f64)],
    /// How.
    pub combination: Combination,
}

/// A change of a weight, `[O, I]` row-major.
pub(crate) struct Added {
    pub(crate) values: Vec<f32>,
    /// Of several adapters, the norm of each one's own change; empty of one.
    pub(crate) parts: Vec<f64>,
}

impl Combined<'_> {
    /// The change of the linear `name`, `[rows, columns]`: of those adapters that have it, as `peft` has it; `None` where
    /// none has.
    ///
    /// # Errors
    /// As [`added`].
    pub(crate) fn added(
        &self,
        name: &str,
        rows: usize,
        columns: usize,
    ) -> Result<Option<Added>, ReleaseError> {
        let (mut changes, mut factors, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for (VerifiedAdapter { adapter, initial, .. }, factor) in self.adapters {
            let change = trained(name, rows, columns, adapter, initial.as_ref())?;
            parts.push(change.as_deref().map_or(0.0, norm));
            if let Some(change) = change {
                changes.push(change);
                factors.push(*factor);
            }
        }
        let values =
            (!changes.is_empty()).then(|| combine(name, columns, changes, &factors, self.combination));
        Ok(values.map(|values| Added { values, parts }))
    }
}

/// Looks that the adapter of the checkpoint `folder` is a sum of products beside the whole base and nothing else: what stands
/// beside those has no sum with another's. One that makes up for quantisation (LoftQ) has a sum beside the original weights
/// alone, where what it made up for is taken off again: beside others it would be counted once for every adapter.
///
/// # Errors
/// [`ReleaseError::NotPlain`], [`ReleaseError::Correcting`], [`ReleaseError::NoBeginning`].
pub fn refuse_uncombinable(adapter: &VerifiedAdapter, folder: &Path, onto: Onto) -> Result<(), ReleaseError> {
    let start = adapter.adapter.config.start;
    let changed = start.changes_base().then_some("it stands beside what PiSSA left of the base");
    if let Some(found) = changed.or_else(|| beside_products(adapter, folder)) {
        let wanted = "combined with another adapter";
        return Err(ReleaseError::NotPlain { path: folder.to_owned(), wanted, found });
    }
    if start == Start::Loftq && onto == Onto::Dequantized {
        return Err(ReleaseError::Correcting { path: folder.to_owned() });
    }
    beginning(&adapter.adapter, adapter.initial.as_ref()).map(drop)
}

/// What an adapter holds of its base beside what it learnt, for whoever adds it to the original weights; `None` for one that
/// began with nothing.
///
/// # Errors
/// [`ReleaseError::NoBeginning`] where it began with something, and what that was is not known.
pub(crate) fn beginning<'a>(
    adapter: &PeftAdapter,
    initial: Option<&'a PeftAdapter>,
) -> Result<Option<&'a PeftAdapter>, ReleaseError> {
    match (adapter.config.start, initial) {
        (Start::Loftq, None) => Err(ReleaseError::NoBeginning),
        (Start::Loftq, initial) => Ok(initial),
        // What PiSSA took off the base is taken off the weights, not off the change.
        (Start::Drawn | Start::Pissa, _) => Ok(None),
    }
}

/// What the adapter adds to the original weight of the linear `name`, `[rows, columns]`: as [`added`], without what it made up
/// for.
///
/// # Errors
/// As [`added`] and [`beginning`].
pub(crate) fn trained(
    name: &str,
    rows: usize,
    columns: usize,
    adapter: &PeftAdapter,
    initial: Option<&PeftAdapter>,
) -> Result<Option<Vec<f32>>, ReleaseError> {
    let began = beginning(adapter, initial)?;
    let Some(mut change) = added(name, rows, columns, adapter)? else { return Ok(None) };
    if let Some(began) = began {
        subtract(&mut change, added(name, rows, columns, began)?.as_deref());
    }
    Ok(Some(change))
}

/// Takes the one off the other, number by number.
pub(crate) fn subtract(values: &mut [f32], others: Option<&[f32]>) {
    values.iter_mut().zip(others.unwrap_or_default()).for_each(|(value, other)| *value -= other);
}

/// What a checkpoint has besides products of `A` and `B`, in words; `None` for plain LoRA.
pub(crate) fn beside_products(adapter: &VerifiedAdapter, folder: &Path) -> Option<&'static str> {
    let alongside = &adapter.adapter.config.alongside;
    let found = [
        (crate::model::is_full(folder), "every number of the base was trained"),
        (adapter.adapter.config.dora, "it has lengths of rows (DoRA)"),
        (alongside.biases != Biases::None, "biases were trained beside it"),
        (!alongside.modules.is_empty(), "whole modules were trained beside it (`lora.modules-to-save`)"),
        (!alongside.tokens.is_empty(), "rows of tokens were trained beside it"),
    ];
    found.into_iter().find_map(|(is_there, what)| is_there.then_some(what))
}

/// What the adapter adds to the weight of the linear `name`, `[rows, columns]`; `None` where it has no pair for it.
///
/// # Errors
/// [`ReleaseError::Adapter`] for a rank or a scale that cannot be.
pub(crate) fn added(
    name: &str,
    rows: usize,
    columns: usize,
    adapter: &PeftAdapter,
) -> Result<Option<Vec<f32>>, ReleaseError> {
    let halves = ["lora_A", "lora_B"].map(|half| adapter.tensors.get(&format!("{name}.{half}.weight")));
    let [Some(a), Some(b)] = halves else { return Ok(None) };
    let placeholder = Weight::from_f32(rows, columns, vec![0.0; rows * columns]);
    let mut linear = Linear::new(name.to_owned(), placeholder, None);
    // Lengths of rows are put on afterwards, when the sum is there.
    let targets = Targets::Names(vec![name.to_owned()]);
    let config = LoraConfig { targets, layers: None, dora: false, ..adapter.config.clone() };
    let mut parameters = lora::attach::<f32>([&mut linear], &config)?;
    let places: Vec<_> = parameters.entries().iter().map(|entry| entry.range.clone()).collect();
    for (place, half) in places.into_iter().zip([a, b]) {
        parameters.flat_mut()[place].copy_from_slice(&half.values);
    }
    Ok(delta(&linear, parameters.flat()))
}
