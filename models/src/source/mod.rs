//! Where weights come from: one tensor at a time, under the names that transformers gives them.

pub(crate) mod extended;
pub(crate) mod gguf;
mod quantized;
mod random;
mod read;
mod safetensors;
mod stored;

pub(crate) use self::read::PIECE_ELEMENTS;
use std::path::Path;

use half::{bf16, f16};
use rtune_adapters::Weight;

pub use self::gguf::GgufFile;
pub use self::quantized::open_weights;
pub use self::random::RandomWeights;
pub use self::safetensors::SafetensorsFolder;
pub(crate) use self::stored::{Headers, Stored};

use crate::ModelError;

#[cfg(target_endian = "big")]
compile_error!("checkpoints are little-endian and are read into memory as they stand");

/// A checkpoint on disk. Names are those of transformers (`model.layers.0.self_attn.q_proj.weight`), whatever
/// the file calls them; tensors are row-major, as in transformers.
///
/// Everything in the headers was checked when the source was opened; only [`WeightSource::read`] touches the
/// tensors' bytes, and it holds one tensor.
pub trait WeightSource: Send + Sync {
    /// The folder or file, for messages.
    fn path(&self) -> &Path;

    /// The names of all tensors, sorted.
    fn names(&self) -> Vec<String>;

    /// The shape of a tensor, or `None` if there is no such tensor. Nothing is read.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// What the checkpoint keeps the elements of a tensor as, or `None` if there is no such tensor. Nothing is read.
    fn precision(&self, name: &str) -> Option<Precision>;

    /// Reads one tensor.
    ///
    /// Errors when there is no such tensor, when its element type is not supported, and when the file cannot be
    /// read or has become shorter since it was opened.
    fn read(&self, name: &str) -> Result<HostTensor, ModelError>;

    /// Reads one tensor piece by piece: `take` gets each once, with the number of its first element, which is a multiple of
    /// 4096, from several threads at a time and in no certain order. Where a checkpoint keeps a tensor so that pieces cannot
    /// be read, there is one piece, which is all of it.
    ///
    /// Errors as [`Self::read`], and what `take` returns; of several errors that of the first piece.
    fn read_pieces(&self, name: &str, take: &Take<'_>) -> Result<(), ModelError> {
        take(0, self.read(name)?.view())
    }

    /// Whether the checkpoint has a matrix in NF4, so that [`Self::read_nf4`] gives it.
    fn is_nf4(&self, _name: &str) -> bool {
        false
    }

    /// Reads a matrix with its codes and scales as they are, where the checkpoint has it in NF4, else `None`.
    /// [`Self::read`] gives the same numbers in `f32`.
    ///
    /// Errors as [`Self::read`], and when a scale is not finite.
    fn read_nf4(&self, _name: &str) -> Result<Option<Weight>, ModelError> {
        Ok(None)
    }
}

/// What is done with a piece of a tensor.
pub type Take<'a> = dyn Fn(usize, Piece<'_>) -> Result<(), ModelError> + Sync + 'a;

/// Some elements of a tensor in the precision of the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Piece<'a> {
    /// 32-bit floats; also what quantised tensors dequantise to.
    F32(&'a [f32]),
    /// IEEE half precision.
    F16(&'a [f16]),
    /// bfloat16.
    Bf16(&'a [bf16]),
}

/// What the elements of a tensor are in a checkpoint; of one that was quantised there, what they were or what its scales
/// are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
    /// Blocks of few bits, which are read as 32-bit floats, or a type that is not read.
    Other,
}

/// The elements of one tensor in memory, row-major, in the precision of the checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub enum HostTensor {
    /// 32-bit floats; also what quantised tensors dequantise to.
    F32(Vec<f32>),
    /// IEEE half precision.
    F16(Vec<f16>),
    /// bfloat16.
    Bf16(Vec<bf16>),
}

impl HostTensor {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
            Self::Bf16(values) => values.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All elements.
    pub fn view(&self) -> Piece<'_> {
        match self {
            Self::F32(values) => Piece::F32(values),
            Self::F16(values) => Piece::F16(values),
            Self::Bf16(values) => Piece::Bf16(values),
        }
    }

    /// The elements as `f32`; exact for every type, and free of cost for `f32`.
    pub fn into_f32(self) -> Vec<f32> {
        match self {
            Self::F32(values) => values,
            Self::F16(values) => values.into_iter().map(f16::to_f32).collect(),
            Self::Bf16(values) => values.into_iter().map(bf16::to_f32).collect(),
        }
    }
}
