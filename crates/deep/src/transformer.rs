//! The transformer: BERT through `rust-bert` with the weights that are compiled in, mean pooling and a linear head.

use std::fmt;

use record::Label;
use rust_bert::bert::{BertConfig, BertEmbeddings, BertModel};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use tokenizers::Tokenizer;

use crate::{Model, Probabilities};

static WEIGHTS: &[u8] = include_bytes!("../../../models/deep/weights.safetensors");
static TOKENIZER: &[u8] = include_bytes!("../../../models/deep/tokenizer.json");
static CONFIG: &[u8] = include_bytes!("../../../models/deep/config.json");

/// What `config.json` says of the weights.
#[derive(Debug, Clone, Deserialize)]
struct Config {
    version: String,
    labels: Vec<String>,
    layers: i64,
    hidden: i64,
    heads: i64,
    inner: i64,
    vocabulary: i64,
    positions: i64,
    layer_norm_eps: f64,
    temperature: f64,
    pad: i64,
}

/// Why the transformer cannot be made: the files that were compiled in do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum TransformerError {
    /// `config.json` is not what this program reads.
    #[error("models/deep/config.json: {0}")]
    Config(String),
    /// `tokenizer.json` is not what the tokenizers library reads.
    #[error("models/deep/tokenizer.json: {0}")]
    Tokenizer(String),
    /// `weights.safetensors` lacks a tensor, or has one of another shape.
    #[error("models/deep/weights.safetensors: {0}")]
    Weights(String),
    /// Libtorch refused an operation.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}

/// The model with its tokenizer. Not for more than one thread: each worker makes its own.
pub struct Transformer {
    bert: BertModel<BertEmbeddings>,
    head: Tensor,
    head_bias: Tensor,
    tokenizer: Tokenizer,
    config: Config,
}

impl fmt::Debug for Transformer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transformer").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Transformer {
    /// Below these confidences an item goes to review, by label in the order of [`Label::ALL`]; chosen on the held-out fifth:
    /// see `models/deep/README.md`.
    pub const THRESHOLDS: Probabilities = [0.40, 0.60, 0.60, 0.50, 0.55];

    /// Makes the model of the weights that are compiled in, for the calling thread, which will use one core.
    ///
    /// # Errors
    /// If the files do not fit together.
    pub fn embedded() -> Result<Transformer, TransformerError> {
        // More threads for one model are no gain beside a busy neighbour: they wait for each other at every step.
        tch::set_num_threads(1);
        let config = config()?;
        let wrong = |error: String| TransformerError::Weights(error);
        let tensors = SafeTensors::deserialize(WEIGHTS).map_err(|error| wrong(error.to_string()))?;
        let store = VarStore::new(Device::Cpu);
        let bert = BertModel::<BertEmbeddings>::new_with_optional_pooler(store.root(), &bert_config(&config), false);
        let _unlearning = tch::no_grad_guard();
        for (name, mut variable) in store.variables() {
            let read = read_tensor(&tensors, &name)?;
            if read.size() != variable.size() {
                return Err(wrong(format!("{name} has shape {:?}; {:?} is right", read.size(), variable.size())));
            }
            variable.f_copy_(&read)?;
        }
        Ok(Transformer {
            bert,
            head: read_tensor(&tensors, "classifier.weight")?.f_transpose(0, 1)?,
            head_bias: read_tensor(&tensors, "classifier.bias")?,
            tokenizer: Tokenizer::from_bytes(TOKENIZER)
                .map_err(|error| TransformerError::Tokenizer(error.to_string()))?,
            config,
        })
    }

    /// The version of the weights that are compiled in.
    ///
    /// # Errors
    /// If `config.json` cannot be read.
    pub fn version() -> Result<String, TransformerError> {
        Ok(config()?.version)
    }

    /// The ids of a text's pieces, at most as many as the model has positions.
    ///
    /// # Errors
    /// If the tokenizer refuses the text.
    pub fn pieces(&self, text: &str) -> Result<Vec<(u32, String)>, TransformerError> {
        let encoding =
            self.tokenizer.encode(text, true).map_err(|error| TransformerError::Tokenizer(error.to_string()))?;
        Ok(encoding.get_ids().iter().copied().zip(encoding.get_tokens().iter().cloned()).collect())
    }

    /// Logits of texts given as piece ids, before the temperature.
    ///
    /// # Errors
    /// If libtorch refuses.
    pub fn logits(&self, texts: &[Vec<i64>]) -> Result<Vec<Probabilities>, TransformerError> {
        let _unlearning = tch::no_grad_guard();
        let length = texts.iter().map(Vec::len).max().unwrap_or(0);
        let mut padded = Vec::with_capacity(length * texts.len());
        for ids in texts {
            padded.extend_from_slice(ids);
            padded.resize(padded.len() + length - ids.len(), self.config.pad);
        }
        let ids = Tensor::from_slice(&padded).f_view([texts.len() as i64, length as i64])?;
        let real = ids.f_ne(self.config.pad)?.f_to_kind(Kind::Int64)?;
        let output = self
            .bert
            .forward_t(Some(&ids), Some(&real), None, None, None, None, None, false)
            .map_err(|error| TransformerError::Weights(error.to_string()))?;
        let weight = real.f_to_kind(Kind::Float)?.f_unsqueeze(-1)?;
        let axis = [1_i64].as_slice();
        let sum = (output.hidden_state * &weight).f_sum_dim_intlist(axis, false, Kind::Float)?;
        let pooled = sum / weight.f_sum_dim_intlist(axis, false, Kind::Float)?;
        let logits = pooled.f_matmul(&self.head)?.f_add(&self.head_bias)?;
        let mut rows = Vec::with_capacity(texts.len());
        for row in 0..texts.len() {
            let mut values = Probabilities::default();
            logits.f_get(row as i64)?.f_copy_data(&mut values, Label::ALL.len())?;
            rows.push(values);
        }
        Ok(rows)
    }

    /// Calibrated probabilities of logits.
    pub fn probabilities(&self, logits: &Probabilities) -> Probabilities {
        let scaled = logits.map(|logit| f64::from(logit) / self.config.temperature);
        let largest = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers = scaled.map(|value| (value - largest).exp());
        let sum: f64 = powers.iter().sum();
        powers.map(|power| (power / sum) as f32)
    }

    fn encode(&self, texts: &[String]) -> Result<Vec<Vec<i64>>, TransformerError> {
        let encoded = texts.iter().map(|text| {
            let encoding = self
                .tokenizer
                .encode_fast(text.as_str(), true)
                .map_err(|error| TransformerError::Tokenizer(error.to_string()))?;
            Ok(encoding.get_ids().iter().map(|&id| i64::from(id)).collect())
        });
        encoded.collect()
    }
}

impl Model for Transformer {
    fn judge(&mut self, texts: &[String]) -> Result<Vec<Probabilities>, String> {
        let ids = self.encode(texts).map_err(|error| error.to_string())?;
        let logits = self.logits(&ids).map_err(|error| error.to_string())?;
        Ok(logits.iter().map(|logits| self.probabilities(logits)).collect())
    }
}

fn config() -> Result<Config, TransformerError> {
    let config: Config = serde_json::from_slice(CONFIG).map_err(|error| TransformerError::Config(error.to_string()))?;
    let known: Vec<&str> = Label::ALL.iter().map(|label| label.as_str()).collect();
    if config.labels != known {
        return Err(TransformerError::Config(format!("labels are {:?}; {known:?} are right", config.labels)));
    }
    Ok(config)
}

fn bert_config(config: &Config) -> BertConfig {
    let text = serde_json::json!({
        "hidden_act": "gelu",
        "attention_probs_dropout_prob": 0.0,
        "hidden_dropout_prob": 0.0,
        "hidden_size": config.hidden,
        "initializer_range": 0.02,
        "intermediate_size": config.inner,
        "max_position_embeddings": config.positions,
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.layers,
        "type_vocab_size": 1,
        "vocab_size": config.vocabulary,
        "layer_norm_eps": config.layer_norm_eps,
    });
    // Every field that the library asks for is there.
    serde_json::from_value(text).unwrap_or_else(|error| unreachable!("the configuration of BERT: {error}"))
}

/// A tensor as 32-bit floats: 8-bit rows are multiplied by their scale.
fn read_tensor(tensors: &SafeTensors<'_>, name: &str) -> Result<Tensor, TransformerError> {
    let find = |name: &str| {
        let view = tensors.tensor(name).map_err(|error| TransformerError::Weights(format!("{name}: {error}")))?;
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        let kind = match view.dtype() {
            Dtype::I8 => Kind::Int8,
            Dtype::F16 => Kind::Half,
            Dtype::F32 => Kind::Float,
            other => return Err(TransformerError::Weights(format!("{name} is of type {other:?}"))),
        };
        Ok(Tensor::f_from_data_size(view.data(), &shape, kind)?)
    };
    let tensor = find(name)?;
    if tensor.kind() != Kind::Int8 {
        return Ok(tensor.f_to_kind(Kind::Float)?);
    }
    let scale = find(&format!("{name}.scale"))?.f_to_kind(Kind::Float)?.f_unsqueeze(1)?;
    Ok(tensor.f_to_kind(Kind::Float)?.f_mul(&scale)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the training's own forward pass said of texts, in `models/deep/reference.jsonl`.
    #[derive(Deserialize)]
    struct Reference {
        text: String,
        ids: Vec<i64>,
        logits: Probabilities,
    }

    #[test]
    fn pieces_and_logits_are_those_of_the_training() {
        let transformer = Transformer::embedded().unwrap();
        let references: Vec<Reference> = include_str!("../../../models/deep/reference.jsonl")
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(references.len() >= 10);
        let texts: Vec<String> = references.iter().map(|reference| reference.text.clone()).collect();
        let ids = transformer.encode(&texts).unwrap();
        for (reference, ids) in references.iter().zip(&ids) {
            assert_eq!(reference.ids, *ids, "{}", reference.text);
        }
        // In one batch, so that padding is shown to change nothing.
        for (reference, logits) in references.iter().zip(transformer.logits(&ids).unwrap()) {
            for (expected, found) in reference.logits.iter().zip(logits) {
                assert!((expected - found).abs() < 2e-3, "{}: {:?} {logits:?}", reference.text, reference.logits);
            }
        }
    }

    #[test]
    fn texts_of_every_kind_are_judged() {
        let mut transformer = Transformer::embedded().unwrap();
        let texts = ["", " ", "🙂", "\u{202e}abc", &"a".repeat(1_000_000), "สวัสดี", "a\u{200d}b"].map(str::to_owned);
        let answers = transformer.judge(&texts).unwrap();
        assert_eq!(answers.len(), texts.len());
        for probabilities in answers {
            assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{probabilities:?}");
        }
    }
}
