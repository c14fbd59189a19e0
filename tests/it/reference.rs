//! The cases that transformers and peft computed (`tests/fixtures/reference`, or the folder `RTUNE_REFERENCE`).

use std::path::{Path, PathBuf};

use rtune_adapters::lora::MAGNITUDE_SUFFIX;
use rtune_adapters::{LoraConfig, Parameters, Targets, peft};
use rtune_data::{PackedRow, Segment};
use rtune_kernels::arena::Arena;
use rtune_models::{Compiled, Decoder, ModelConfig, Quantization, RowView, SavePolicy, open_weights};
use safetensors::SafeTensors;

/// A case in memory.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) decoder: Decoder,
    pub(crate) parameters: Parameters<f32>,
    expected: Vec<u8>,
}

/// The folder of cases.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os("RTUNE_REFERENCE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reference"), PathBuf::from)
}

/// The cases of the families that the decoder computes, by name, and the names of the others.
pub(crate) fn cases() -> (Vec<PathBuf>, Vec<String>) {
    let folder = folder();
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> =
        entries.map(|e| e.expect("an entry").path()).filter(|p| p.is_dir()).collect();
    paths.sort();
    let (ours, others): (Vec<_>, Vec<_>) = paths.into_iter().partition(|p| is_supported(p));
    let name = |p: &PathBuf| p.file_name().unwrap_or_default().to_string_lossy().into_owned();
    (ours, others.iter().map(name).collect())
}

/// All cases, and those of families with experts a second time with adapters beside the experts alone.
pub(crate) fn opened(quantization: Quantization) -> impl Iterator<Item = Case> {
    cases().0.into_iter().flat_map(move |path| {
        let case = Case::open(&path, quantization);
        let experts = case.decoder.spec().names.experts;
        let adapted = experts.map(|names| Case::open(&path, quantization).adapted(&names.linears));
        [Some(case), adapted].into_iter().flatten()
    })
}

/// Whether the family and the adapter are among those that are computed; what is refused is refused by name.
fn is_supported(case: &Path) -> bool {
    ModelConfig::from_file(&case.join("config.json")).is_ok() && peft::read(&case.join("adapter")).is_ok()
}

impl Case {
    pub(crate) fn open(path: &Path, quantization: Quantization) -> Self {
        let config = ModelConfig::from_file(&path.join("config.json")).expect("config.json");
        let (weights, _) = open_weights(path).expect("weights");
        let mut decoder =
            Decoder::load(&config, weights.as_ref(), quantization, &mut |_, _| {}).expect("a decoder");
        let adapter = peft::read(&path.join("adapter")).expect("an adapter");
        let mut parameters = decoder.attach_lora(&adapter.config).expect("adapters");
        adapter.load_into(&mut parameters, path).expect("the adapter's tensors");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let expected = std::fs::read(path.join("expected.safetensors")).expect("expected.safetensors");
        Self { name, decoder, parameters, expected }
    }

    /// The tensors that the peers wrote.
    pub(crate) fn names(&self) -> Vec<String> {
        let file = SafeTensors::deserialize(&self.expected).expect("safetensors");
        file.names().into_iter().map(str::to_owned).collect()
    }

    /// Other adapters in place of the case's: beside the linears called `targets`, no element of them zero.
    fn adapted(mut self, targets: &[&str]) -> Self {
        let targets = Targets::Names(targets.iter().map(|&target| target.to_owned()).collect());
        let config = LoraConfig { targets, ..LoraConfig::new(2, 4.0) };
        for linear in self.decoder.linears_mut() {
            linear.lora = None;
        }
        self.parameters = self.decoder.attach_lora(&config).expect("adapters");
        for (index, value) in self.parameters.flat_mut().iter_mut().enumerate() {
            *value = 0.1 * (index as f32 + 0.5).sin();
        }
        self.name += " with adapted experts";
        self
    }

    /// Whether its adapters are DoRA's.
    pub(crate) fn has_dora(&self) -> bool {
        self.parameters.entries().iter().any(|entry| entry.name.ends_with(MAGNITUDE_SUFFIX))
    }

    fn tensor(&self, name: &str) -> (Vec<usize>, Vec<u8>) {
        let file = SafeTensors::deserialize(&self.expected).expect("safetensors");
        let view = file.tensor(name).unwrap_or_else(|e| panic!("{}: {name}: {e}", self.name));
        (view.shape().to_vec(), view.data().to_vec())
    }

    pub(crate) fn floats(&self, name: &str) -> Vec<f32> {
        self.tensor(name).1.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    fn integers(&self, name: &str) -> Vec<i64> {
        let data = self.tensor(name).1;
        data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().expect("eight bytes"))).collect()
    }

    /// The batch as packed rows, one document each.
    pub(crate) fn rows(&self) -> Vec<PackedRow> {
        let length = self.tensor("input_ids").0[1];
        let (ids, labels) = (self.integers("input_ids"), self.integers("labels"));
        ids.chunks(length)
            .zip(labels.chunks(length))
            .map(|(ids, labels)| {
                let tokens: Vec<u32> = ids.iter().map(|&i| u32::try_from(i).expect("an id")).collect();
                let supervised = labels.iter().enumerate().map(|(t, &l)| t > 0 && l >= 0).collect();
                document(tokens, supervised)
            })
            .collect()
    }

    /// The batch as one packed row.
    pub(crate) fn packed(&self) -> PackedRow {
        let row = join(&self.rows());
        let positions = self.integers("packed.position_ids");
        assert!(row.positions.iter().zip(&positions).all(|(&a, &b)| i64::from(a) == b));
        row
    }

    pub(crate) fn supervised_tokens(&self) -> usize {
        self.rows().iter().map(|r| r.supervised.iter().filter(|&&s| s).count()).sum()
    }

    /// Logits of every token of a row, `[T, V]`.
    pub(crate) fn logits(&self, row: &PackedRow) -> Vec<f32> {
        logits(&self.decoder, self.parameters.flat(), row)
    }
}

/// Logits of every token of a row, `[T, V]`.
pub(crate) fn logits<R: Compiled>(decoder: &Decoder, parameters: &[R], row: &PackedRow) -> Vec<R> {
    let arena = Arena::new();
    let bounds = rtune_trainer::loss::bounds(row);
    let view = RowView {
        tokens: &row.tokens,
        positions: &row.positions,
        bounds: &bounds,
        parents: &[],
        noise: None,
    };
    let forward = decoder.forward(parameters, &view, SavePolicy::Nothing, &arena);
    let head = decoder.head_rows(parameters, &forward.output, (0..row.tokens.len()).collect(), &arena);
    let mut logits = vec![R::zero(); row.tokens.len() * decoder.spec().vocabulary];
    decoder.logits(parameters, &head.normed_nd, &mut logits, &arena);
    logits
}

/// One document as a packed row.
pub(crate) fn document(tokens: Vec<u32>, supervised: Vec<bool>) -> PackedRow {
    let end = tokens.len();
    let positions = (0..end as u32).collect();
    let segments = vec![Segment { start: 0, end, parent: None, row_id: "a".to_owned() }];
    PackedRow { tokens, positions, supervised, segments }
}

/// Several packed rows behind one another.
pub(crate) fn join(rows: &[PackedRow]) -> PackedRow {
    let mut joined = PackedRow { tokens: vec![], positions: vec![], supervised: vec![], segments: vec![] };
    for row in rows {
        let at = joined.tokens.len();
        joined.tokens.extend(&row.tokens);
        joined.positions.extend(&row.positions);
        joined.supervised.extend(&row.supervised);
        joined.segments.extend(row.segments.iter().map(|s| Segment {
            start: s.start + at,
            end: s.end + at,
            parent: None,
            row_id: s.row_id.clone(),
        }));
    }
    joined
}
