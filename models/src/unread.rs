//! Tensors of a checkpoint that the decoder does not read: which of them change nothing.

use std::collections::BTreeMap;

use crate::{DecoderSpec, ModelError, Piece, TensorRole, WeightSource};

impl DecoderSpec {
    /// Looks that nothing in a checkpoint which the decoder does not read would change what it computes. Besides what
    /// [`Self::passes_over`] there may be biases of zeros beside linears of blocks: earlier versions of AutoGPTQ wrote one for
    /// each linear. A tied head that is written out has to be the embedding: transformers 5 does not tie one that is not.
    ///
    /// Only such tensors are read, and to compare a head the embedding, which is in memory meanwhile.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] for a tensor that the configuration has no place for; [`ModelError::Key`] for a head that is not the
    /// embedding; those of [`WeightSource::read`].
    pub fn refuse_unread(&self, weights: &dyn WeightSource) -> Result<(), ModelError> {
        let tensors = self.tensors();
        let read: BTreeMap<&str, TensorRole> =
            tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.role)).collect();
        let is_linear =
            |linear: &str| read.get(format!("{linear}.weight").as_str()) == Some(&TensorRole::BlockLinear);
        let head = format!("{}.weight", self.names.head);
        for name in weights.names().iter().filter(|name| !read.contains_key(name.as_str())) {
            if self.tied_head && *name == head {
                refuse_other_head(weights, &format!("{}.weight", self.names.embedding), name)?;
            } else if !self.passes_over(name) && !adds_nothing(weights, name, is_linear)? {
                let problem = "the configuration has no place for it: the model would compute something else";
                return Err(ModelError::tensor(weights.path(), name, problem));
            }
        }
        Ok(())
    }
}

/// Whether a tensor is a bias of zeros.
fn adds_nothing(
    weights: &dyn WeightSource,
    name: &str,
    is_linear: impl Fn(&str) -> bool,
) -> Result<bool, ModelError> {
    if !name.strip_suffix(".bias").is_some_and(is_linear) {
        return Ok(false);
    }
    Ok(weights.read(name)?.into_f32().iter().all(|value| *value == 0.0))
}

/// Compares a head with the embedding that it is tied to.
fn refuse_other_head(weights: &dyn WeightSource, embedding: &str, head: &str) -> Result<(), ModelError> {
    let other = |place: &str| {
        let expected = format!(
            "false, as the weights have a `{head}` that is not `{embedding}`, to which true ties the head: {place} differs"
        );
        let (path, key) = (weights.path().join("config.json"), "tie_word_embeddings".to_owned());
        ModelError::Key { path, key, expected, found: "true".to_owned() }
    };
    let shape = weights.shape(head);
    // Where there is no embedding, that is what is missed.
    if weights.shape(embedding).is_some_and(|other| Some(other) != shape) {
        return Err(other("its shape"));
    }
    let table = weights.read(embedding)?;
    weights.read_pieces(head, &|first, piece| match first_difference(table.view(), first, piece) {
        None => Ok(()),
        Some(place) => Err(other(&format!("element {place}"))),
    })
}

/// The first element of the piece, as the whole counts them, that is another number in the table.
fn first_difference(table: Piece<'_>, first: usize, piece: Piece<'_>) -> Option<usize> {
    fn of<A: Copy + Into<f32>, B: Copy + Into<f32>>(table: &[A], piece: &[B]) -> Option<usize> {
        table.iter().zip(piece).position(|(&one, &other)| Into::<f32>::into(one) != Into::<f32>::into(other))
    }
    fn against<N: Copy + Into<f32>>(table: &[N], piece: Piece<'_>) -> Option<usize> {
        match piece {
            Piece::F32(values) => of(table, values),
            Piece::F16(values) => of(table, values),
            Piece::Bf16(values) => of(table, values),
        }
    }
    let place = match table {
        Piece::F32(values) => against(&values[first..], piece),
        Piece::F16(values) => against(&values[first..], piece),
        Piece::Bf16(values) => against(&values[first..], piece),
    };
    place.map(|place| first + place)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use half::bf16;

    use super::*;
    use crate::{Decoder, HostTensor, ModelConfig, Precision, Quantization, SafetensorsFolder};

    /// A checkpoint with one tensor more.
    struct With {
        source: SafetensorsFolder,
        name: String,
        shape: Vec<usize>,
        tensor: HostTensor,
    }

    impl WeightSource for With {
        fn path(&self) -> &Path {
            self.source.path()
        }

        fn names(&self) -> Vec<String> {
            [self.source.names(), vec![self.name.clone()]].concat()
        }

        fn shape(&self, name: &str) -> Option<Vec<usize>> {
            if name == self.name { Some(self.shape.clone()) } else { self.source.shape(name) }
        }

        fn precision(&self, name: &str) -> Option<Precision> {
            self.source.precision(name)
        }

        fn read(&self, name: &str) -> Result<HostTensor, ModelError> {
            if name == self.name { Ok(self.tensor.clone()) } else { self.source.read(name) }
        }
    }

    fn case(name: &str) -> (ModelConfig, SafetensorsFolder, PathBuf) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference").join(name);
        let config = ModelConfig::from_file(&folder.join("config.json")).expect("a configuration");
        (config, SafetensorsFolder::open(&folder).expect("weights"), folder)
    }

    /// What [`Decoder::load`] says of a case with one tensor more, if it refuses it.
    fn refused(
        case_name: &str,
        name: &str,
        tensor: impl Fn(&SafetensorsFolder) -> HostTensor,
    ) -> Option<String> {
        let (config, source, _) = case(case_name);
        let tensor = tensor(&source);
        let shape = match name.ends_with(".bias") {
            true => vec![tensor.len()],
            false => vec![tensor.len() / config.hidden_size, config.hidden_size],
        };
        let weights = With { source, name: name.to_owned(), shape, tensor };
        let said = DecoderSpec::new(&config).refuse_unread(&weights).err().map(|error| error.to_string());
        let mut counts = Vec::new();
        let mut progress = |done, total| counts.push((done, total));
        let loaded = Decoder::load(&config, &weights, Quantization::None, &mut progress);
        assert_eq!(loaded.err().map(|error| error.to_string()), said);
        assert!(counts.last().is_some_and(|(done, total)| done == total), "{:?}", counts.last());
        said
    }

    /// The embedding of Gemma's case as f32, then as bfloat16, with another number at some place.
    #[test]
    fn a_tied_head_that_is_not_the_embedding_is_refused() {
        let (config, source, folder) = case("gemma");
        assert!(config.tie_word_embeddings);
        let embedding = |source: &SafetensorsFolder| source.read("model.embed_tokens.weight").expect("read");
        let refused = |tensor: &dyn Fn(Vec<f32>) -> HostTensor| {
            refused("gemma", "lm_head.weight", |source| tensor(embedding(source).into_f32()))
        };
        assert_eq!(refused(&HostTensor::F32), None);
        let changed = |mut values: Vec<f32>| {
            values[70] += 1.0;
            HostTensor::F32(values)
        };
        let said = refused(&changed).expect("another head");
        let expected = format!(
            "{}: `tie_word_embeddings`: expected false, as the weights have a `lm_head.weight` that is not \
             `model.embed_tokens.weight`, to which true ties the head: element 70 differs, found true",
            folder.join("config.json").display()
        );
        assert_eq!(said, expected);
        let shorter = |mut values: Vec<f32>| {
            values.truncate(values.len() - config.hidden_size);
            HostTensor::F32(values)
        };
        assert!(refused(&shorter).expect("another shape").contains("its shape differs"));
        // Equal numbers in another element type are equal.
        let numbers = embedding(&source).into_f32();
        let rounded: Vec<bf16> = numbers.iter().map(|value| bf16::from_f32(*value)).collect();
        let wide: Vec<f32> = rounded.iter().map(|value| value.to_f32()).collect();
        assert_eq!(first_difference(Piece::F32(&wide), 0, Piece::Bf16(&rounded)), None);
        assert_eq!(first_difference(Piece::Bf16(&rounded), 64, Piece::F32(&wide[65..])), Some(64));
    }

    /// As AutoGPTQ wrote them beside every linear that it packed; Qwen 2 has none there.
    #[test]
    fn biases_of_zeros_are_passed_over() {
        let name = "model.layers.1.mlp.down_proj.bias";
        let bias = |value: f32| {
            move |source: &SafetensorsFolder| {
                let rows = source.shape("model.layers.1.mlp.down_proj.weight").expect("there")[0];
                let mut values = vec![0.0; rows];
                values[rows - 1] = value;
                HostTensor::F32(values)
            }
        };
        assert_eq!(refused("qwen2", name, bias(0.0)), None);
        assert_eq!(refused("qwen2", name, bias(-0.0)), None);
        for value in [0.5, f32::NAN] {
            let said = refused("qwen2", name, bias(value)).expect("it adds something");
            assert!(said.contains(name) && said.contains("no place for it"), "{said}");
        }
        let elsewhere = refused("qwen2", "model.norm.bias", bias(0.0)).expect("no linear");
        assert!(elsewhere.contains("`model.norm.bias`"), "{elsewhere}");
    }
}
