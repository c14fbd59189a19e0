//! What of a base is trained, counted as `decoder/trained.rs` attaches it.

use std::collections::{BTreeMap, BTreeSet};

use rtune_adapters::targets::is_called;
use rtune_adapters::{AdapterError, Alongside, Biases, LoraConfig, Start, low_rank};

use super::{BaseOutline, LinearOutline, elements};
use crate::layout::LinearPart;
use crate::{Quantization, TensorRole};

/// Copies of a matrix in `f32` while an adapter begins with something of it: the matrix, and what is taken off it or held of it.
const MATRICES: usize = 2;

/// What is trained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrainedOutline {
    /// Numbers of the flat vector.
    pub numbers: usize,
    /// Bytes of the base that are not held beside the trained numbers: they are those themselves.
    pub replaced_bytes: usize,
    /// Bytes that the base takes more than as it was loaded: what something was taken off is held in `f32` where nothing is
    /// quantised (PiSSA).
    pub widened_bytes: usize,
    /// What adapters take while they begin with something of the base (PiSSA, LoftQ): a matrix, what is taken off it or held of
    /// it, and the subspace that is sought in it.
    pub starting_bytes: usize,
    /// Bytes beside numbers and base: the squared lengths of rows that DoRA begins with.
    pub beside_bytes: usize,
    /// The ranks of the adapters, one for each of [`BaseOutline::linears`].
    pub ranks: Vec<Option<usize>>,
    /// Whether rows of the linears with adapters have trained lengths.
    pub dora: bool,
    /// Whether elements of what adapters read are left out.
    pub dropout: bool,
    /// Rows of embedding and head that are trained by themselves.
    pub rows: usize,
    /// Whether adapters are all that is trained: no gradient goes below the first of them.
    pub adapters_alone: bool,
}

impl BaseOutline {
    /// What [`crate::Decoder::attach_lora`] would let be trained beside this base, held as `quantization` says; `rows` are
    /// the tokens that [`Alongside::tokens`] will name, of which the ids are not known yet.
    ///
    /// # Errors
    /// [`AdapterError`] for targets, patterns and modules that the base does not have.
    pub fn trained(
        &self,
        lora: &LoraConfig,
        rows: usize,
        quantization: Quantization,
    ) -> Result<TrainedOutline, AdapterError> {
        let linears = self.linears();
        let ranks = lora.ranks(linears.iter().map(|linear| (linear.name.as_str(), linear.only_by_name)))?;
        let mut trained = TrainedOutline {
            dora: lora.dora,
            dropout: lora.dropout > 0.0,
            rows: rows.max(lora.alongside.tokens.len()),
            adapters_alone: rows == 0 && lora.alongside == Alongside::default(),
            ..TrainedOutline::default()
        };
        let mut adapted = BTreeSet::new();
        for (linear, rank) in linears.iter().zip(&ranks) {
            let Some(rank) = rank else { continue };
            adapted.insert(linear.name.as_str());
            trained.numbers += rank * (linear.inputs + linear.outputs);
            if lora.dora {
                trained.numbers += linear.outputs;
                trained.beside_bytes += linear.outputs * size_of::<f64>();
            }
        }
        self.count_start(lora.start, linears.iter().zip(&ranks), quantization, &mut trained);
        self.count_alongside(&lora.alongside, &adapted, quantization, &mut trained)?;
        trained.ranks = ranks;
        Ok(trained)
    }

    /// As `decoder/start.rs` goes about it.
    fn count_start<'a>(
        &self,
        start: Start,
        linears: impl Iterator<Item = (&'a LinearOutline, &'a Option<usize>)>,
        quantization: Quantization,
        trained: &mut TrainedOutline,
    ) {
        if start == Start::Drawn {
            return;
        }
        let held: BTreeMap<&str, usize> = self
            .tensors
            .iter()
            .filter(|(tensor, _)| tensor.role == TensorRole::BlockLinear)
            .map(|(tensor, stored)| (tensor.name.as_str(), super::held(tensor, *stored, quantization).held))
            .collect();
        for (linear, rank) in linears {
            let Some(rank) = rank else { continue };
            let count = linear.inputs * linear.outputs;
            let subspace = low_rank::working_bytes(linear.outputs, linear.inputs, *rank);
            let starting = MATRICES * size_of::<f32>() * count + subspace;
            trained.starting_bytes = trained.starting_bytes.max(starting);
            if start.changes_base() && quantization == Quantization::None {
                let was = held.get(format!("{}.weight", linear.name).as_str()).copied().unwrap_or(0);
                trained.widened_bytes += (size_of::<f32>() * count).saturating_sub(was);
            }
        }
    }

    /// What [`crate::Decoder::train_all`] would let be trained: every number.
    #[must_use]
    pub fn trained_in_full(&self, quantization: Quantization) -> TrainedOutline {
        let of = |tensor: &&(crate::TensorSpec, super::Stored)| tensor.0.role != TensorRole::Vector;
        let replaced =
            self.tensors.iter().filter(of).map(|(t, stored)| super::held(t, *stored, quantization).held);
        TrainedOutline {
            numbers: self.parameters().total(),
            replaced_bytes: replaced.sum(),
            ranks: vec![None; self.linears().len()],
            ..TrainedOutline::default()
        }
    }

    fn count_alongside(
        &self,
        alongside: &Alongside,
        adapted: &BTreeSet<&str>,
        quantization: Quantization,
        trained: &mut TrainedOutline,
    ) -> Result<(), AdapterError> {
        let biased = self.biased_linears();
        // Every vector that is trained counts once, however it was asked for.
        let mut counted = BTreeSet::new();
        for (tensor, stored) in &self.tensors {
            let (name, part) = tensor.name.rsplit_once('.').unwrap_or((&tensor.name, ""));
            let whole = alongside.modules.iter().any(|module| is_called(name, module));
            let wanted = match tensor.role {
                TensorRole::Embedding | TensorRole::Head => {
                    if whole {
                        trained.replaced_bytes += super::held(tensor, *stored, quantization).held;
                    }
                    whole
                }
                TensorRole::Vector if biased.contains(name) => match alongside.biases {
                    Biases::None => false,
                    Biases::Adapted => adapted.contains(name),
                    Biases::All => true,
                },
                TensorRole::Vector => whole || (part == "bias" && alongside.biases == Biases::All),
                TensorRole::BlockLinear | TensorRole::Router => false,
            };
            if wanted && counted.insert(tensor.name.as_str()) {
                trained.numbers += elements(tensor);
            }
        }
        let names = [self.spec.names.embedding, self.spec.names.head, self.spec.names.final_norm];
        for module in &alongside.modules {
            if !counted.iter().any(|name| is_called(name.trim_end_matches(".weight"), module)) {
                return Err(AdapterError::Config(format!(
                    "no module of the model that can be trained whole is called `{module}`; there are `{}` and the \
                     norms of the blocks",
                    names.join("`, `")
                )));
            }
        }
        let tables = 1 + usize::from(alongside.of_head && !self.spec.tied_head);
        trained.numbers += trained.rows * self.spec.width * tables;
        Ok(())
    }

    /// Names of the linears of the blocks that have a bias.
    fn biased_linears(&self) -> BTreeSet<String> {
        let names = &self.spec.names;
        let mut biased = BTreeSet::new();
        for (index, block) in self.spec.blocks.iter().enumerate() {
            let mut add = |parts: Vec<LinearPart>| {
                let with_bias = parts.into_iter().filter(|part| part.bias);
                biased.extend(with_bias.map(|part| format!("{}.{index}.{}", names.blocks, part.name)));
            };
            add(block.attention_parts(names));
            if block.mlp.experts.is_none() {
                add(block.mlp_parts(names));
            }
        }
        biased
    }
}
