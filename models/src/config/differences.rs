//! What families have that a Llama does not.

use rtune_kernels::activation::Activation;
use rtune_kernels::route::Choice;

use super::{ModelConfig, Rope};

/// What a configuration says beyond a Llama's keys; the default is a Llama.
#[derive(Debug, Clone, PartialEq)]
pub struct Differences {
    /// Inside the MLP.
    pub activation: Activation,
    /// Whether the projection of attention's output has a bias, where that is not as its inputs.
    pub output_bias: Option<bool>,
    /// What is particular to each layer; layers beyond the list are plain.
    pub layers: Vec<Layer>,
    /// Rope of the layers with a window, where they have their own.
    pub local_rope: Option<Rope>,
    /// Whether attention and MLP read the same residual.
    pub parallel_residual: bool,
    /// Factor on the embedding.
    pub embedding_multiplier: f64,
    /// Factor on attention's scores; `None`: `head_dim^-0.5`.
    pub attention_multiplier: Option<f64>,
    /// Factor on what a block adds to the residual.
    pub residual_multiplier: f64,
    /// What logits are divided by.
    pub logits_scaling: f64,
    /// Cap of attention's scores.
    pub attention_cap: Option<f64>,
    /// Cap of the logits.
    pub logit_cap: Option<f64>,
    /// Where MLPs are several.
    pub experts: Option<ExpertsConfig>,
}

/// What is particular to a layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Layer {
    /// The most tokens that one sees.
    pub window: Option<usize>,
    /// Whether queries and keys are not turned.
    pub without_rope: bool,
    /// Whether the MLP is several.
    pub experts: bool,
}

impl ModelConfig {
    /// What is particular to each layer.
    #[must_use]
    pub fn layers(&self) -> Vec<Layer> {
        let layers = &self.differences.layers;
        (0..self.num_hidden_layers).map(|layer| layers.get(layer).copied().unwrap_or_default()).collect()
    }

    /// What training would take into account elsewhere and does not here, for whoever trains.
    #[must_use]
    pub fn not_trained_on(&self) -> Option<&'static str> {
        self.differences.experts.filter(|experts| experts.auxiliary_loss).map(|_| {
            "`output_router_logits` in the base's config.json asks for the auxiliary loss of routers, which is not added: what is \
             trained on is the loss of the answers alone"
        })
    }
}

/// MLPs of which each token goes through a few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpertsConfig {
    /// How many there are and how they are chosen.
    pub choice: Choice,
    /// Width inside one of them.
    pub width: usize,
    /// Whether the file asks for the loss that keeps experts evenly used, which is not computed here: it pulls where a base trains
    /// and changes no answer.
    pub auxiliary_loss: bool,
}

impl Default for Differences {
    fn default() -> Self {
        Self {
            activation: Activation::Silu,
            output_bias: None,
            layers: Vec::new(),
            local_rope: None,
            parallel_residual: false,
            embedding_multiplier: 1.0,
            attention_multiplier: None,
            residual_multiplier: 1.0,
            logits_scaling: 1.0,
            attention_cap: None,
            logit_cap: None,
            experts: None,
        }
    }
}
