//! From a checkpoint to a decoder in memory, one tensor at a time.

use std::collections::BTreeSet;

use rayon::prelude::*;
use rtune_adapters::{Int8Quantizer, Linear, Quantizer, Weight};
use rtune_kernels::nf4::Number;

use super::Decoder;
use super::block::attention::Attention;
use super::block::experts::Experts;
use super::block::mlp::Mlp;
use super::block::{Block, MlpKind, Norms};
use super::norm::Norm;
use super::table::Table;
use crate::families::{AttentionSpec, BlockSpec, MlpShape, NormKind, QueryKeyNorm};
use crate::layout::LinearPart;
use crate::{DecoderSpec, HostTensor, ModelConfig, ModelError, Piece, WeightSource};

/// How the linears of the blocks are kept in memory. Embedding, head, routers and norms are never quantised, as in
/// transformers. Those that the checkpoint has in NF4 are kept so whatever this says: quantising them again would change
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantization {
    /// As the checkpoint has them: bfloat16 stays, everything else becomes float32.
    None,
    /// Eight bits a number and a magnitude a row, as bitsandbytes keeps weights loaded in 8 bit.
    Int8,
    /// NF4 in blocks of 64; `double` quantises the magnitudes too.
    Nf4 {
        /// Double quantisation.
        double: bool,
    },
}

/// Elements that one thread looks through or quantises at a time.
const TOGETHER: usize = 1 << 17;
// Threads that read pieces quantise them: a piece that were cut for the pool would wait for a thread of it that waits for the readers.
const _: () = assert!(crate::source::PIECE_ELEMENTS <= TOGETHER);

impl Decoder {
    /// Reads a checkpoint, quantising while it goes: beside the decoder, one tensor of it is in memory at most, and of
    /// one that is quantised here a piece.
    ///
    /// `progress` is called with (tensors read, tensors in all).
    ///
    /// # Errors
    /// If a tensor is missing, has another shape than the configuration says or holds a number that is not finite; those of
    /// [`DecoderSpec::refuse_unread`] and of [`WeightSource::read`].
    pub fn load(
        config: &ModelConfig,
        weights: &dyn WeightSource,
        quantization: Quantization,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, ModelError> {
        let spec = DecoderSpec::new(config);
        let mut loader =
            Loader { weights, quantization, unused: unused(&spec, weights), progress, read: 0, total: 0 };
        loader.total = loader.unused.len();
        let names = spec.names;
        let embedding = loader.table(names.embedding, &spec)?;
        let blocks = (0..spec.blocks.len()).map(|i| loader.block(&spec, i)).collect::<Result<_, _>>()?;
        let final_norm = loader.norm(&spec, names.final_norm.to_owned(), spec.width)?;
        let head = match spec.tied_head {
            true => None,
            false => Some(loader.table(names.head, &spec)?),
        };
        spec.refuse_unread(weights)?;
        Ok(Self { spec, embedding, blocks, final_norm, head })
    }
}

impl Decoder {
    /// Everything but the blocks, as the checkpoint has it.
    pub(super) fn load_frame(spec: &DecoderSpec, weights: &dyn WeightSource) -> Result<Self, ModelError> {
        let progress: &mut dyn FnMut(usize, usize) = &mut |_, _| {};
        let mut loader = Loader::plain(weights, progress);
        let embedding = loader.table(spec.names.embedding, spec)?;
        let final_norm = loader.norm(spec, spec.names.final_norm.to_owned(), spec.width)?;
        let head = match spec.tied_head {
            true => None,
            false => Some(loader.table(spec.names.head, spec)?),
        };
        Ok(Self { spec: spec.clone(), embedding, blocks: Vec::new(), final_norm, head })
    }

    /// One block, as the checkpoint has it.
    pub(super) fn load_block(
        spec: &DecoderSpec,
        weights: &dyn WeightSource,
        index: usize,
    ) -> Result<Block, ModelError> {
        let progress: &mut dyn FnMut(usize, usize) = &mut |_, _| {};
        Loader::plain(weights, progress).block(spec, index)
    }
}

/// The names of all tensors that will be read.
fn unused(spec: &DecoderSpec, weights: &dyn WeightSource) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = spec.tensors().into_iter().map(|tensor| tensor.name).collect();
    names.retain(|name| weights.shape(name).is_some());
    names
}

struct Loader<'a> {
    weights: &'a dyn WeightSource,
    quantization: Quantization,
    unused: BTreeSet<String>,
    progress: &'a mut dyn FnMut(usize, usize),
    read: usize,
    total: usize,
}

impl<'a> Loader<'a> {
    /// For parts of a checkpoint, whose other tensors are not asked for.
    fn plain(weights: &'a dyn WeightSource, progress: &'a mut dyn FnMut(usize, usize)) -> Self {
        let (quantization, unused) = (Quantization::None, BTreeSet::new());
        Self { weights, quantization, unused, progress, read: 0, total: 0 }
    }
}

impl Loader<'_> {
    fn block(&mut self, spec: &DecoderSpec, index: usize) -> Result<Block, ModelError> {
        let (names, block) = (&spec.names, spec.blocks[index]);
        let prefix = format!("{}.{index}", names.blocks);
        let mut norm = |part: Option<&str>| {
            part.map(|part| self.norm(spec, format!("{prefix}.{part}"), block.width)).transpose()
        };
        let norms = Norms {
            attention: norm(names.attention_norm)?,
            attention_out: norm(names.attention_out_norm)?,
            mlp: norm(names.mlp_norm)?,
            mlp_out: norm(names.mlp_out_norm)?,
        };
        let AttentionSpec { query_key_norm, heads, kv_heads, head_width, .. } = block.attention;
        let [query, key] = names.query_key_norm.map(|part| format!("{prefix}.{part}"));
        let query_key_norms = match query_key_norm {
            QueryKeyNorm::None => None,
            QueryKeyNorm::Head => Some([head_width; 2]),
            QueryKeyNorm::Whole => Some([heads * head_width, kv_heads * head_width]),
        };
        let query_key_norms = match query_key_norms {
            None => None,
            Some([q_row, k_row]) => Some([self.norm(spec, query, q_row)?, self.norm(spec, key, k_row)?]),
        };
        let mut linears = self.linears(block.attention_parts(names), &prefix)?;
        let output = linears.split_off(linears.len() - 1).remove(0);
        let attention =
            Attention { spec: block.attention, projections: linears, output, norms: query_key_norms };
        Ok(Block {
            norms,
            parallel: block.parallel,
            residual_scale: block.residual_scale,
            attention,
            mlp: self.mlp(spec, &block, &prefix)?,
        })
    }

    fn mlp(&mut self, spec: &DecoderSpec, block: &BlockSpec, prefix: &str) -> Result<MlpKind, ModelError> {
        let of = |mut linears: Vec<Linear>| {
            let down = linears.split_off(linears.len() - 1).remove(0);
            let gated = block.mlp.shape != MlpShape::Plain;
            Mlp { activation: block.mlp.activation, gated, inputs: linears, down }
        };
        let Some((names, experts)) = spec.names.experts.zip(block.mlp.experts) else {
            return Ok(MlpKind::One(of(self.linears(block.mlp_parts(&spec.names), prefix)?)));
        };
        let router = format!("{prefix}.{}", names.router);
        let router = self.dense(&router, experts.choice.experts, block.width)?;
        let mlps = (0..experts.choice.experts).map(|expert| {
            let linears = self.linears(block.expert_parts(&names, expert), prefix)?;
            Ok(of(linears.into_iter().map(Linear::only_by_name).collect()))
        });
        let experts_of = mlps.collect::<Result<_, ModelError>>()?;
        Ok(MlpKind::Several(Experts { choice: experts.choice, router, experts: experts_of }))
    }

    fn linears(&mut self, parts: Vec<LinearPart>, prefix: &str) -> Result<Vec<Linear>, ModelError> {
        let load = |LinearPart { name, rows, columns, bias }: LinearPart| {
            self.linear(format!("{prefix}.{name}"), rows, columns, bias)
        };
        parts.into_iter().map(load).collect()
    }

    fn norm(&mut self, spec: &DecoderSpec, name: String, width: usize) -> Result<Norm, ModelError> {
        let weight = self.vector(&format!("{name}.weight"), width)?;
        let plus_one = spec.norm == NormKind::RmsPlusOne;
        let bias = match spec.norm {
            NormKind::Layer => Some(self.vector(&format!("{name}.bias"), width)?),
            NormKind::Rms | NormKind::RmsPlusOne => None,
        };
        Ok(Norm { name, weight, plus_one, bias, epsilon: spec.norm_epsilon, trained: Default::default() })
    }

    fn linear(
        &mut self,
        name: String,
        rows: usize,
        columns: usize,
        bias: bool,
    ) -> Result<Linear, ModelError> {
        let weight_name = format!("{name}.weight");
        let weight = match (self.nf4(&weight_name, &[rows, columns])?, self.quantization) {
            (Some(weight), _) => weight,
            (None, Quantization::None) => self.dense(&name, rows, columns)?,
            (None, Quantization::Int8) => self.in_eight_bits(&weight_name, [rows, columns])?,
            (None, Quantization::Nf4 { double }) => self.quantized(&weight_name, [rows, columns], double)?,
        };
        let bias = if bias { Some(self.vector(&format!("{name}.bias"), rows)?) } else { None };
        Ok(Linear::new(name, weight, bias))
    }

    fn table(&mut self, name: &str, spec: &DecoderSpec) -> Result<Table, ModelError> {
        Ok(Table::new(name.to_owned(), self.dense(name, spec.vocabulary, spec.width)?))
    }

    fn dense(&mut self, name: &str, rows: usize, columns: usize) -> Result<Weight, ModelError> {
        let tensor = self.tensor(&format!("{name}.weight"), &[rows, columns])?;
        Ok(dense(rows, columns, tensor))
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Vec<f32>, ModelError> {
        Ok(self.tensor(name, &[len])?.into_f32())
    }

    /// A matrix that the checkpoint has in NF4.
    fn nf4(&mut self, name: &str, shape: &[usize]) -> Result<Option<Weight>, ModelError> {
        if !self.weights.is_nf4(name) {
            return Ok(None);
        }
        self.check_shape(name, shape)?;
        let weight = self.weights.read_nf4(name)?;
        self.used(name);
        Ok(weight)
    }

    /// A matrix that is quantised here, piece by piece.
    fn quantized(
        &mut self,
        name: &str,
        [rows, columns]: [usize; 2],
        double: bool,
    ) -> Result<Weight, ModelError> {
        self.check_shape(name, &[rows, columns])?;
        let weights = self.weights;
        let weight = Weight::quantized_in_pieces(rows, columns, double, |quantizer| {
            weights.read_pieces(name, &|first, piece| {
                check_finite(weights, name, piece, first)?;
                quantize(quantizer, first, piece);
                Ok(())
            })
        })?;
        self.used(name);
        Ok(weight)
    }

    /// [`Self::quantized`] in eight bits.
    fn in_eight_bits(&mut self, name: &str, [rows, columns]: [usize; 2]) -> Result<Weight, ModelError> {
        let mut quantizer = Int8Quantizer::new(rows, columns);
        match self.tensor(name, &[rows, columns])? {
            HostTensor::F32(values) => quantizer.push(&values),
            HostTensor::F16(values) => quantizer.push(&values),
            HostTensor::Bf16(values) => quantizer.push(&values),
        }
        Ok(quantizer.finish())
    }

    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<HostTensor, ModelError> {
        self.check_shape(name, shape)?;
        let tensor = self.weights.read(name)?;
        check_finite(self.weights, name, tensor.view(), 0)?;
        self.used(name);
        Ok(tensor)
    }

    fn check_shape(&self, name: &str, shape: &[usize]) -> Result<(), ModelError> {
        match self.weights.shape(name).filter(|found| found != shape) {
            None => Ok(()),
            Some(found) => {
                let problem = format!("expected shape {shape:?} as the configuration says, found {found:?}");
                Err(ModelError::tensor(self.weights.path(), name, problem))
            }
        }
    }

    fn used(&mut self, name: &str) {
        // Two norms may share their weights; then they are read twice.
        self.read += usize::from(self.unused.remove(name));
        (self.progress)(self.read, self.total);
    }
}

fn dense(rows: usize, columns: usize, tensor: HostTensor) -> Weight {
    match tensor {
        HostTensor::Bf16(values) => Weight::from_bf16(rows, columns, values),
        other => Weight::from_f32(rows, columns, other.into_f32()),
    }
}

/// Quantises a piece. Most are small; one that is all of a tensor is cut, so that every thread has some of it.
fn quantize(quantizer: &Quantizer<'_>, first: usize, piece: Piece<'_>) {
    fn put<N: Number>(quantizer: &Quantizer<'_>, first: usize, values: &[N]) {
        if values.len() <= TOGETHER {
            return quantizer.put(first, values);
        }
        values.par_chunks(TOGETHER).enumerate().for_each(|(number, values)| {
            quantizer.put(first + number * TOGETHER, values);
        });
    }
    match piece {
        Piece::F32(values) => put(quantizer, first, values),
        Piece::F16(values) => put(quantizer, first, values),
        Piece::Bf16(values) => put(quantizer, first, values),
    }
}

/// `before` elements of the tensor came before this piece.
fn check_finite(
    weights: &dyn WeightSource,
    name: &str,
    piece: Piece<'_>,
    before: usize,
) -> Result<(), ModelError> {
    let place = match piece {
        Piece::F32(values) => first(values, |value| !value.is_finite()),
        Piece::F16(values) => first(values, |value| !value.is_finite()),
        Piece::Bf16(values) => first(values, |value| !value.is_finite()),
    };
    match place {
        None => Ok(()),
        Some(place) => {
            let problem = format!("element {} is not a finite number", before + place);
            Err(ModelError::tensor(weights.path(), name, problem))
        }
    }
}

/// The first place where `wrong` holds, which is nowhere as a rule.
fn first<T: Sync>(values: &[T], wrong: impl Fn(&T) -> bool + Sync) -> Option<usize> {
    let of = |values: &[T]| {
        // Without a way out of it the loop is one of vectors.
        let any = values.iter().fold(false, |any, value| any | wrong(value));
        if any { values.iter().position(&wrong) } else { None }
    };
    if values.len() <= TOGETHER {
        return of(values);
    }
    values
        .par_chunks(TOGETHER)
        .enumerate()
        .find_map_first(|(number, chunk)| of(chunk).map(|place| number * TOGETHER + place))
}
