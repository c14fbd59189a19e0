//! Servers, and what each of them loads: looked at before something is written for one.
//!
//! The rules are those of the servers' own documentation and of the code that reads an adapter, as of November 2026:
//! vLLM `docs/models/supported_models.md`, `vllm/config/lora.py`, `vllm/lora/peft_helper.py`; text-generation-inference
//! `adapters/lora.py`; SGLang `srt/lora/lora_config.py`, `srt/lora/lora.py`, `docs/supported_models`; TensorRT-LLM `lora_helper.py`,
//! `docs/source/models/supported-models.md`, `LlmArgs`; mlx-lm `mlx_lm/models`; LM Studio's page on importing models.

mod command;
mod rules;

use rtune_models::ModelConfig;

use crate::model::VerifiedAdapter;
use rules::Rules;

pub use command::{Place, command, for_shell};

/// Where a model may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// vLLM.
    Vllm,
    /// Text Generation Inference.
    Tgi,
    /// SGLang.
    Sglang,
    /// Inference Endpoints of the Hugging Face hub.
    HfEndpoints,
    /// SageMaker's containers for Hugging Face models.
    Sagemaker,
    /// TensorRT-LLM with its PyTorch backend.
    TensorrtLlm,
    /// LM Studio.
    LmStudio,
    /// mlx-lm.
    Mlx,
}

impl Server {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Vllm,
        Self::Tgi,
        Self::Sglang,
        Self::HfEndpoints,
        Self::Sagemaker,
        Self::TensorrtLlm,
        Self::LmStudio,
        Self::Mlx,
    ];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vllm => "vllm",
            Self::Tgi => "tgi",
            Self::Sglang => "sglang",
            Self::HfEndpoints => "hf-endpoints",
            Self::Sagemaker => "sagemaker",
            Self::TensorrtLlm => "tensorrt-llm",
            Self::LmStudio => "lmstudio",
            Self::Mlx => "mlx",
        }
    }

    /// What it is given where nothing is said: an adapter, if it loads one.
    #[must_use]
    pub fn usual(self) -> Form {
        Rules::of(self).forms[0]
    }
}

/// What is written for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A folder with an adapter.
    Adapter,
    /// A folder with a whole model.
    Model,
    /// A folder with a model in bitsandbytes' 4 bits.
    FourBits,
    /// A folder with a model in GPTQ's or AWQ's 4 bits.
    Packed,
    /// A GGUF file of a whole model, or a folder for Ollama.
    Gguf,
    /// An adapter as a GGUF file.
    GgufAdapter,
}

/// One thing that a server would not load, or would compute otherwise, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// In words.
    pub problem: String,
    /// What to change.
    pub change: &'static str,
}

const MERGE: &str = "write the merged model: `--format safetensors`, or `rtune merge`, which measures it";
const AS_GGUF: &str = "write a GGUF file: `--format gguf`";
const ANOTHER_SERVER: &str =
    "serve it elsewhere: llama.cpp and what is built on it (`--format gguf`), or transformers";

/// What `server` would not take of what is to be written; nothing where it fits. `adapter` is there for an adapter's forms.
#[must_use]
pub fn misfits(
    server: Server,
    form: Form,
    config: &ModelConfig,
    adapter: Option<&VerifiedAdapter>,
) -> Vec<Misfit> {
    let rules = Rules::of(server);
    let mut misfits = Vec::new();
    let mut misfit = |problem: String, change| misfits.push(Misfit { problem, change });
    if !rules.forms.contains(&form) {
        let change = if rules.forms.contains(&Form::Gguf) { AS_GGUF } else { MERGE };
        misfit(format!("{} does not load {}", rules.name, words(form)), change);
    }
    let family = config.model_type.as_str();
    if rules.not_served.contains(&family) {
        misfit(format!("{} has no models of the family `{family}`", rules.name), ANOTHER_SERVER);
    }
    if form == Form::Packed && rules.unpacked.contains(&family) {
        misfit(format!("{} loads no GPTQ and no AWQ of the family `{family}`", rules.name), MERGE);
    }
    if let (Form::Adapter, Some(adapter)) = (form, adapter)
        && rules.forms.contains(&form)
    {
        for problem in rules.of_adapter(family, config.num_hidden_layers, adapter) {
            misfit(format!("{} {problem}", rules.name), MERGE);
        }
    }
    misfits
}

fn words(form: Form) -> &'static str {
    match form {
        Form::Adapter => "an adapter as PEFT has it",
        Form::Model => "a folder of safetensors",
        Form::FourBits => "a folder in bitsandbytes' 4 bits",
        Form::Packed => "a folder in GPTQ's or AWQ's 4 bits",
        Form::Gguf => "a GGUF file",
        Form::GgufAdapter => "an adapter as a GGUF file",
    }
}

#[cfg(test)]
mod tests;
