//! The two layouts: tensors, settings, and what of a model fits into them.

use rtune_models::families::NormKind;
use rtune_models::{DecoderSpec, TensorRole, TensorSpec};
use safetensors::Dtype as Tag;
use serde_json::{Value, json};

use super::codes::CODES_A_WORD;
use crate::dtype::Dtype;
use crate::packing::Part;
use crate::weights::linear_name;

/// The part of the mean of its diagonal that GPTQ adds to the diagonal, so that it has an inverse.
pub(super) const DAMPING: f64 = 0.01;
/// Groups that are looked for, the usual one first. Kernels of servers know these.
const GROUPS: [usize; 4] = [128, 64, 32, 16];

/// How codes are chosen, and the layout that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Column by column: what rounding one does is made up for by those that follow (arXiv 2210.17323).
    Gptq,
    /// Channels that are read with large numbers are enlarged before they are rounded (arXiv 2306.00978).
    Awq,
}

impl Method {
    /// As settings and reports have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gptq => "gptq",
            Self::Awq => "awq",
        }
    }

    /// As people have it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Gptq => "GPTQ",
            Self::Awq => "AWQ",
        }
    }
}

/// Linears of the blocks in whole numbers of 4 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calibrated {
    /// How codes are chosen.
    pub method: Method,
    /// Input features that share a scale.
    pub group: usize,
}

impl Calibrated {
    /// Groups of `group` input features or, where nothing is asked for, of 128 or as many fewer as leave whole groups
    /// everywhere.
    ///
    /// # Errors
    /// What does not fit, in words: a linear whose inputs are no whole groups, or whose outputs fill no whole words.
    pub fn of(method: Method, group: Option<usize>, spec: &DecoderSpec) -> Result<Self, String> {
        let tensors = spec.tensors();
        let linears = || tensors.iter().filter(|tensor| tensor.role == TensorRole::BlockLinear);
        if let Some(tensor) = linears().find(|tensor| !tensor.shape[0].is_multiple_of(CODES_A_WORD)) {
            let (name, outputs) = (linear_name(tensor), tensor.shape[0]);
            return Err(format!("`{name}` has {outputs} outputs, expected a multiple of {CODES_A_WORD}"));
        }
        let broken = |group: usize| linears().find(|tensor| !tensor.shape[1].is_multiple_of(group));
        let fitting = || GROUPS.into_iter().find(|group| broken(*group).is_none());
        let group = match group {
            Some(group) => group,
            None => {
                fitting().ok_or("no group of 16 to 128 input features divides the inputs of all linears")?
            }
        };
        let at_least = GROUPS[GROUPS.len() - 1];
        if group < at_least || !group.is_power_of_two() {
            return Err(format!("groups of {group}, expected a power of two from {at_least} on"));
        }
        match broken(group) {
            None => Ok(Self { method, group }),
            Some(tensor) => {
                let (name, inputs) = (linear_name(tensor), tensor.shape[1]);
                let hint = fitting().map_or_else(String::new, |fits| format!("; {fits} divides all"));
                Err(format!("`{name}` has {inputs} inputs, which are no whole groups of {group}{hint}"))
            }
        }
    }

    /// The element type of all that is not in codes, where nothing is asked for. Kernels for both layouts compute in float16,
    /// some of them (ExLlama's and AWQ's own in vLLM, what transformers runs AWQ by on a GPU) in nothing else. What Gemma's
    /// blocks give is beyond it: vLLM refuses float16 for that family, and Marlin, which it computes by, has bfloat16 too.
    #[must_use]
    pub fn dtype(spec: &DecoderSpec) -> Dtype {
        match spec.norm {
            NormKind::RmsPlusOne => Dtype::Bfloat16,
            NormKind::Rms | NormKind::Layer => Dtype::Float16,
        }
    }

    /// The key of `config.json`, as gptqmodel and AutoAWQ write it.
    pub(crate) fn settings(self) -> Value {
        let group = self.group;
        match self.method {
            Method::Gptq => json!({
                "quant_method": "gptq",
                "bits": 4,
                "group_size": group,
                "desc_act": false,
                "sym": true,
                "static_groups": false,
                "true_sequential": false,
                "lm_head": false,
                "damp_percent": DAMPING,
                // Zero points less one, as AutoGPTQ began.
                "checkpoint_format": "gptq",
                "pack_dtype": "int32",
            }),
            Method::Awq => json!({
                "quant_method": "awq",
                "bits": 4,
                "group_size": group,
                "zero_point": true,
                "version": "gemm",
                "modules_to_not_convert": null,
            }),
        }
    }

    /// The tensors of a linear, in the order of [`super::codes::Codes::encode`].
    pub(crate) fn parts(self, tensor: &TensorSpec) -> Vec<Part> {
        let (outputs, inputs) = (tensor.shape[0], tensor.shape[1]);
        let groups = inputs / self.group;
        let base = tensor.in_files.strip_suffix(".weight").unwrap_or(&tensor.in_files);
        let part = |end: &str, tag, shape: &[usize]| Part {
            name: format!("{base}.{end}"),
            tag,
            shape: shape.to_vec(),
        };
        let packed = match self.method {
            Method::Gptq => [inputs / CODES_A_WORD, outputs],
            Method::Awq => [inputs, outputs / CODES_A_WORD],
        };
        let mut parts = vec![
            part("qweight", Tag::I32, &packed),
            part("qzeros", Tag::I32, &[groups, outputs / CODES_A_WORD]),
            part("scales", Tag::F16, &[groups, outputs]),
        ];
        if self.method == Method::Gptq {
            parts.push(part("g_idx", Tag::I32, &[inputs]));
        }
        parts
    }
}
