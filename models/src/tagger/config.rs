//! `config.json` of a BERT token classifier, typed and bounded.

use std::path::Path;

use candle_transformers::models::bert::{Config as BertConfig, HiddenAct, PositionEmbeddingType};
use serde_json::Value;

use super::labels::Labels;
use crate::ModelError;
use crate::config::bounds::{MAX_EPSILON, MAX_HEADS, MAX_LAYERS, MAX_VOCABULARY, MAX_WIDTH};
use crate::config::{Fields, read_json};

/// Most positions of a BERT: they are learnt one by one, and no model has more than a few thousand.
const MAX_BERT_POSITIONS: usize = 1 << 16;
/// Most segment types; BERT has two.
const MAX_TYPES: usize = 1 << 10;
/// Fewest positions that leave room for a word between `[CLS]` and `[SEP]`.
const MIN_POSITIONS: usize = 8;

/// What a classifier computes.
#[derive(Debug)]
pub(super) struct TaggerConfig {
    pub(super) bert: BertConfig,
    pub(super) labels: Labels,
}

impl TaggerConfig {
    /// Reads and checks the file. Errors name the key.
    pub(super) fn from_file(path: &Path) -> Result<Self, ModelError> {
        let fields = fields(path)?;
        let (bert, labels) = (bert_of(&fields)?, Labels::from_fields(&fields)?);
        Ok(Self { bert, labels })
    }

    /// The names and shapes of all tensors, as transformers writes them.
    pub(super) fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let mut tensors = tensors_of(&self.bert);
        tensors.push(("classifier.weight".to_owned(), vec![self.labels.len(), self.bert.hidden_size]));
        tensors.push(("classifier.bias".to_owned(), vec![self.labels.len()]));
        tensors
    }
}

pub(super) fn fields(path: &Path) -> Result<Fields, ModelError> {
    Fields::new(path, read_json(path, "the model's configuration")?)
}

/// How the encoders that compute what a BERT does differ from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kin {
    /// The tokens around every text.
    pub(super) frame: [&'static str; 2],
    /// Rows of the position table before that of the first token.
    pub(super) first_position: usize,
    /// Whether a text is cut into tokens as if a space stood before it.
    pub(super) spaced: bool,
}

/// BERT itself.
pub(super) const BERT: Kin = Kin { frame: ["[CLS]", "[SEP]"], first_position: 0, spaced: false };

/// A BERT, or a RoBERTa, whose positions begin behind that of padding.
pub(super) fn encoder_of(fields: &Fields) -> Result<(BertConfig, Kin), ModelError> {
    let model_type = fields.required_string("model_type")?;
    let kin = match model_type.as_str() {
        "bert" => BERT,
        "roberta" | "xlm-roberta" | "camembert" => {
            let padding = fields.size("pad_token_id", MAX_BERT_POSITIONS)?.unwrap_or(1);
            Kin { frame: ["<s>", "</s>"], first_position: padding + 1, spaced: model_type == "roberta" }
        }
        _ => {
            return Err(fields.unsupported(
                "model_type",
                model_type,
                "bert, roberta, xlm-roberta, camembert",
            ));
        }
    };
    let bert = shape_of(fields, MIN_POSITIONS + kin.first_position)?;
    Ok((bert, kin))
}

/// The BERT under whatever stands on it.
pub(super) fn bert_of(fields: &Fields) -> Result<BertConfig, ModelError> {
    let model_type = fields.required_string("model_type")?;
    if model_type != "bert" {
        return Err(fields.unsupported("model_type", model_type, "bert"));
    }
    shape_of(fields, MIN_POSITIONS)
}

fn shape_of(fields: &Fields, fewest_positions: usize) -> Result<BertConfig, ModelError> {
    let position = fields.string("position_embedding_type")?.unwrap_or_else(|| "absolute".to_owned());
    if position != "absolute" {
        return Err(fields.unsupported("position_embedding_type", position, "absolute"));
    }
    let hidden_size = fields.required_size("hidden_size", MAX_WIDTH)?;
    let num_attention_heads = fields.required_size("num_attention_heads", MAX_HEADS)?;
    if hidden_size % num_attention_heads != 0 {
        let expected = format!("a divisor of `hidden_size` ({hidden_size})");
        return Err(fields.wrong("num_attention_heads", &expected, &Value::from(num_attention_heads)));
    }
    let max_position_embeddings = fields.required_size("max_position_embeddings", MAX_BERT_POSITIONS)?;
    if max_position_embeddings < fewest_positions {
        let expected = format!("at least {fewest_positions}");
        return Err(fields.wrong(
            "max_position_embeddings",
            &expected,
            &Value::from(max_position_embeddings),
        ));
    }
    let bert = BertConfig {
        vocab_size: fields.required_size("vocab_size", MAX_VOCABULARY)?,
        hidden_size,
        num_hidden_layers: fields.required_size("num_hidden_layers", MAX_LAYERS)?,
        num_attention_heads,
        intermediate_size: fields.required_size("intermediate_size", MAX_WIDTH)?,
        hidden_act: activation(fields)?,
        hidden_dropout_prob: 0.0,
        max_position_embeddings,
        type_vocab_size: fields.size("type_vocab_size", MAX_TYPES)?.unwrap_or(2),
        initializer_range: 0.02,
        layer_norm_eps: fields.positive("layer_norm_eps", MAX_EPSILON)?.unwrap_or(1e-12),
        pad_token_id: 0,
        position_embedding_type: PositionEmbeddingType::Absolute,
        use_cache: false,
        classifier_dropout: None,
        model_type: None,
    };
    Ok(bert)
}

/// The table of positions, `[max_position_embeddings, H]`.
pub(super) const POSITIONS: &str = "bert.embeddings.position_embeddings.weight";

/// The names and shapes of a BERT's tensors, as transformers writes them.
pub(super) fn tensors_of(bert: &BertConfig) -> Vec<(String, Vec<usize>)> {
    let BertConfig { hidden_size: hidden, intermediate_size: inner, .. } = *bert;
    let mut tensors = Vec::new();
    let mut put = |name: String, shape: &[usize]| tensors.push((name, shape.to_vec()));
    let embeddings = "bert.embeddings";
    put(format!("{embeddings}.word_embeddings.weight"), &[bert.vocab_size, hidden]);
    put(POSITIONS.to_owned(), &[bert.max_position_embeddings, hidden]);
    put(format!("{embeddings}.token_type_embeddings.weight"), &[bert.type_vocab_size, hidden]);
    put(format!("{embeddings}.LayerNorm.weight"), &[hidden]);
    put(format!("{embeddings}.LayerNorm.bias"), &[hidden]);
    for number in 0..bert.num_hidden_layers {
        let layer = format!("bert.encoder.layer.{number}");
        let linears = [
            ("attention.self.query", hidden, hidden),
            ("attention.self.key", hidden, hidden),
            ("attention.self.value", hidden, hidden),
            ("attention.output.dense", hidden, hidden),
            ("intermediate.dense", inner, hidden),
            ("output.dense", hidden, inner),
        ];
        for (name, rows, columns) in linears {
            put(format!("{layer}.{name}.weight"), &[rows, columns]);
            put(format!("{layer}.{name}.bias"), &[rows]);
        }
        for name in ["attention.output.LayerNorm", "output.LayerNorm"] {
            put(format!("{layer}.{name}.weight"), &[hidden]);
            put(format!("{layer}.{name}.bias"), &[hidden]);
        }
    }
    tensors
}

fn activation(fields: &Fields) -> Result<HiddenAct, ModelError> {
    let name = fields.string("hidden_act")?.unwrap_or_else(|| "gelu".to_owned());
    match name.as_str() {
        // The error function, and its approximation by tanh.
        "gelu" => Ok(HiddenAct::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" => Ok(HiddenAct::GeluApproximate),
        "relu" => Ok(HiddenAct::Relu),
        _ => Err(fields.unsupported("hidden_act", name, "gelu, gelu_new, gelu_pytorch_tanh, relu")),
    }
}
