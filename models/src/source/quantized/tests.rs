use std::path::Path;

use half::f16;
use rtune_kernels::nf4::{self, CODE};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

type Tensor = (String, Dtype, Vec<usize>, Vec<u8>);

fn floats(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    (name.to_owned(), Dtype::F32, shape.to_vec(), bytes)
}

fn bytes(name: &str, dtype: Dtype, shape: &[usize], values: &[u8]) -> Tensor {
    (name.to_owned(), dtype, shape.to_vec(), values.to_vec())
}

fn words(name: &str, shape: &[usize], values: &[u32]) -> Tensor {
    bytes(name, Dtype::I32, shape, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

/// The tensors of a weight `[4, 96]` in blocks of 64, as bitsandbytes writes them.
fn nf4_tensors() -> (Vec<f32>, Vec<Tensor>) {
    let values: Vec<f32> = (0..384).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.01).collect();
    let (mut codes, mut absmax) = (vec![0; 192], vec![0.0; 6]);
    nf4::quantize(&values, &mut codes, &mut absmax);
    let mut numbers = vec![0.0; 384];
    nf4::dequantize(&codes, nf4::Absmax::Plain(&absmax), 64, 0, &mut numbers);
    let state =
        json!({"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [4, 96]}).to_string();
    let tensors = vec![
        bytes("a.weight", Dtype::U8, &[192, 1], &codes),
        floats("a.weight.absmax", &[6], &absmax),
        floats("a.weight.quant_map", &[16], &CODE),
        bytes("a.weight.quant_state.bitsandbytes__nf4", Dtype::U8, &[state.len()], state.as_bytes()),
        floats("norm.weight", &[2], &[1.0, 2.0]),
    ];
    (numbers, tensors)
}

fn folder(tensors: &[Tensor], settings: Value) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let config = json!({ "quantization_config": settings }).to_string();
    std::fs::write(folder.path().join("config.json"), config).expect("written");
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).expect("a tensor"))
    });
    safetensors::serialize_to_file(views, None, &folder.path().join("model.safetensors")).expect("written");
    folder
}

fn refusal(tensors: &[Tensor], settings: Value) -> String {
    let folder = folder(tensors, settings);
    let refused = open_weights(folder.path())
        .and_then(|(weights, _)| weights.names().iter().try_for_each(|name| weights.read(name).map(drop)));
    refused.expect_err("must be refused").to_string()
}

fn bitsandbytes() -> Value {
    json!({"quant_method": "bitsandbytes", "load_in_4bit": true})
}

/// `tensors` with the one called `name` replaced, or left out.
fn with(tensors: &[Tensor], name: &str, tensor: Option<Tensor>) -> Vec<Tensor> {
    let others = tensors.iter().filter(|(other, ..)| other != name).cloned();
    others.chain(tensor).collect()
}

#[test]
fn nf4_is_read_with_its_own_codes() {
    let (numbers, tensors) = nf4_tensors();
    let folder = folder(&tensors, bitsandbytes());
    let (weights, files) = open_weights(folder.path()).expect("valid");
    assert_eq!((weights.names(), files.len()), (vec!["a.weight".to_owned(), "norm.weight".to_owned()], 1));
    assert_eq!(weights.shape("a.weight"), Some(vec![4, 96]));
    assert_eq!((weights.shape("a.weight.absmax"), weights.is_nf4("norm.weight")), (None, false));
    assert_eq!(weights.read("a.weight").expect("read"), HostTensor::F32(numbers));
    let weight = weights.read_nf4("a.weight").expect("read").expect("in NF4");
    assert_eq!(weight.nf4().expect("in NF4").codes, tensors[0].3);
    assert!(weights.read("a.weight.absmax").expect_err("a part").to_string().contains("is missing"));
}

#[test]
fn the_bytes_of_nf4_may_be_called_something_else() {
    let (numbers, tensors) = nf4_tensors();
    let codes = tensors[0].3.clone();
    for (dtype, count) in [(Dtype::BF16, 96), (Dtype::F16, 96), (Dtype::F32, 48), (Dtype::U8, 192)] {
        let renamed = with(&tensors, "a.weight", Some(bytes("a.weight", dtype, &[1, count], &codes)));
        let folder = folder(&renamed, bitsandbytes());
        let (weights, _) = open_weights(folder.path()).expect("valid");
        assert_eq!(weights.read("a.weight").expect("read"), HostTensor::F32(numbers.clone()), "{dtype:?}");
    }
}

#[test]
fn nf4_that_contradicts_itself_is_named() {
    let (_, tensors) = nf4_tensors();
    let state = |key: &str, value: Value| {
        let mut state = json!({"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [4, 96]});
        state[key] = value;
        let name = "a.weight.quant_state.bitsandbytes__nf4";
        let text = state.to_string();
        with(&tensors, name, Some(bytes(name, Dtype::U8, &[text.len()], text.as_bytes())))
    };
    let part = |name: &str, tensor: Tensor| with(&tensors, name, Some(tensor));
    let mut spoilt = [0.5_f32; 6];
    spoilt[4] = f32::NAN;
    for (tensors, expected) in [
        (state("quant_type", json!("fp4")), "`quant_type` is \"fp4\""),
        (state("blocksize", json!(48)), "`blocksize` is 48"),
        (state("shape", json!([4, 97])), "expected 194 bytes of packed numbers, found 192"),
        (state("shape", json!([usize::MAX, 4])), "`shape` is"),
        (state("shape", json!([])), "expected 1 bytes"),
        (state("dtype", json!("int8")), "`dtype` is \"int8\""),
        (state("blocksize", json!(128)), "expected the shape [3] of F32"),
        (state("shape", Value::Null), "expected JSON of quantisation"),
        (with(&tensors, "a.weight.absmax", None), "tensor `a.weight.absmax` is missing"),
        (
            part("a.weight.absmax", floats("a.weight.absmax", &[6], &spoilt)),
            "element 4 is not a finite number",
        ),
        (part("a.weight.quant_map", floats("a.weight.quant_map", &[16], &[0.5; 16])), "not those of NF4"),
        (
            [tensors.clone(), vec![floats("a.weight.nested_absmax", &[1], &[1.0])]].concat(),
            "expected `nested_blocksize`",
        ),
    ] {
        let text = refusal(&tensors, bitsandbytes());
        assert!(text.contains(expected) && text.contains("a.weight"), "{text}");
    }
    let mut fp4 = tensors.clone();
    fp4[3].0 = "a.weight.quant_state.bitsandbytes__fp4".to_owned();
    assert!(refusal(&fp4, bitsandbytes()).contains("is fp4, which is not supported (supported: nf4)"));
}

#[test]
fn eight_bits_of_bitsandbytes_are_rows_times_scales() {
    let tensors = [
        bytes("a.weight", Dtype::I8, &[2, 3], &[127, 0, 129, 64, 255, 1]),
        floats("a.SCB", &[2], &[1.0, 0.5]),
        bytes("a.weight_format", Dtype::U8, &[], &[0]),
    ];
    let settings = json!({"quant_method": "bitsandbytes", "load_in_8bit": true});
    let folder = folder(&tensors, settings.clone());
    let (weights, _) = open_weights(folder.path()).expect("valid");
    assert_eq!(weights.names(), ["a.weight"]);
    let found = weights.read("a.weight").expect("read").into_f32();
    let expected = [1.0, 0.0, -1.0, 32.0 / 127.0, -0.5 / 127.0, 0.5 / 127.0];
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    let laid_out = with(&tensors, "a.weight_format", Some(bytes("a.weight_format", Dtype::U8, &[], &[1])));
    assert!(refusal(&laid_out, settings).contains("expected 0 (row-major)"));
}

/// A GPTQ linear of 32 inputs and 8 outputs in groups of 16: every number is its input's place modulo 16.
fn gptq_tensors() -> Vec<Tensor> {
    let column: Vec<u32> = (0..4)
        .map(|word| (0..8).fold(0, |packed, place| packed | ((word * 8 + place) % 16) << (4 * place)))
        .collect();
    let numbers: Vec<u32> = column.iter().flat_map(|&word| [word; 8]).collect();
    let scales: Vec<u8> =
        (0..16).flat_map(|i| f16::from_f32(1.0 + f32::from(i as u8)).to_le_bytes()).collect();
    vec![
        words("a.qweight", &[4, 8], &numbers),
        words("a.qzeros", &[2, 1], &[0x7777_7777, 0x0765_4321]),
        bytes("a.scales", Dtype::F16, &[2, 8], &scales),
        floats("a.bias", &[8], &[0.5; 8]),
    ]
}

fn gptq(keys: Value) -> Value {
    let mut settings = json!({"quant_method": "gptq", "bits": 4, "group_size": 16});
    for (key, value) in keys.as_object().expect("an object") {
        settings[key] = value.clone();
    }
    settings
}

#[test]
fn gptq_is_scale_times_number_less_zero() {
    let tensors = gptq_tensors();
    let read = |tensors: &[Tensor], settings: Value| {
        let folder = folder(tensors, settings);
        let (weights, _) = open_weights(folder.path()).expect("valid");
        assert_eq!(weights.names(), ["a.bias", "a.weight"]);
        assert_eq!(weights.precision("a.weight"), Some(Precision::F16));
        weights.read("a.weight").expect("read").into_f32()
    };
    let found = read(&tensors, gptq(json!({})));
    for (place, &found) in found.iter().enumerate() {
        let (output, input) = (place / 32, place % 32);
        // Each of the packed zero points and one.
        let zero = match (input / 16, output) {
            (0, _) => 8.0,
            (_, 7) => 1.0,
            (_, output) => output as f32 + 2.0,
        };
        let scale = 1.0 + (input / 16 * 8 + output) as f32;
        assert_eq!(found, scale * ((input % 16) as f32 - zero), "output {output}, input {input}");
    }
    let second = read(&tensors, gptq(json!({"checkpoint_format": "gptq_v2"})));
    assert_eq!((second[3], second[32 + 3]), (3.0 - 7.0, 2.0 * (3.0 - 7.0)));
    let order: Vec<u32> = (0..32).map(|input| 1 - input % 2).collect();
    let ordered = [tensors.clone(), vec![words("a.g_idx", &[32], &order)]].concat();
    let ordered = read(&ordered, gptq(json!({"desc_act": true})));
    assert_eq!((ordered[0], ordered[1]), (9.0 * (0.0 - 2.0), 1.0 - 8.0));
}

#[test]
fn packed_numbers_that_contradict_themselves_are_named() {
    let tensors = gptq_tensors();
    let part = |name: &str, tensor: Tensor| with(&tensors, name, Some(tensor));
    let order = |group: u32| [tensors.clone(), vec![words("a.g_idx", &[32], &[group; 32])]].concat();
    for (tensors, settings, expected) in [
        (with(&tensors, "a.scales", None), gptq(json!({})), "tensor `a.scales` is missing"),
        (tensors.clone(), gptq(json!({"group_size": 8})), "2 groups, expected 4 of 32 inputs"),
        (tensors.clone(), gptq(json!({"bits": 8})), "2 groups, expected 1 of 16 inputs"),
        (
            part("a.scales", floats("a.scales", &[2, 4], &[1.0; 8])),
            gptq(json!({})),
            "expected the shape [2, 8]",
        ),
        (order(2), gptq(json!({})), "input 0 is of group 2, and there are 2"),
        (order(u32::MAX), gptq(json!({})), "input 0 is of group -1"),
        (order(0), gptq(json!({"bits": 8})), "expected 8 bits each"),
        (
            part("a.qweight", words("a.qweight", &[0, 8], &[])),
            gptq(json!({"group_size": -1})),
            "0 inputs and 8 outputs",
        ),
        (tensors.clone(), gptq(json!({"dynamic": {"+:.*": {"bits": 8}}})), "`dynamic`"),
        (part("a.qweight", words("a.qweight", &[32], &[0; 32])), gptq(json!({})), "expected 2 dimensions"),
        (
            part("a.qweight", floats("a.qweight", &[4, 8], &[0.0; 32])),
            gptq(json!({})),
            "of I32, found [4, 8] of F32",
        ),
        (part("a.qzeros", words("a.qzeros", &[1, 1], &[0])), gptq(json!({})), "expected the shape [2, 1]"),
        (tensors.clone(), Value::Null, "neither `quantization_config` of config.json nor"),
        (tensors.clone(), bitsandbytes(), "neither `quantization_config`"),
    ] {
        let text = refusal(&tensors, settings);
        assert!(text.contains(expected) && text.contains("a."), "{text}");
    }
}

#[test]
fn other_quantisations_are_refused_by_name() {
    let tensors = gptq_tensors();
    for (settings, expected) in [
        (json!({"quant_method": "exl2"}), "`quantization_config.quant_method` is \"exl2\""),
        (json!({}), "`quantization_config.quant_method` is not given"),
        (
            gptq(json!({"checkpoint_format": "marlin"})),
            "`quantization_config.checkpoint_format` is \"marlin\"",
        ),
        (gptq(json!({"is_marlin_format": true})), "`quantization_config.is_marlin_format` is true"),
        (gptq(json!({"bits": 5})), "`quantization_config.bits` is 5"),
        (gptq(json!({"pack_dtype": "int8"})), "`quantization_config.pack_dtype` is \"int8\""),
        (json!({"quant_method": "awq", "version": "gemv"}), "`quantization_config.version` is \"gemv\""),
        (json!({"quant_method": "awq", "bits": 3}), "`quantization_config.bits` is 3"),
        (
            json!({"quant_method": "awq", "bits": 4, "zero_point": false}),
            "`quantization_config.zero_point` is false",
        ),
    ] {
        let text = refusal(&tensors, settings);
        assert!(text.contains(expected) && text.contains("not supported"), "{text}");
    }
}

#[test]
fn the_settings_of_autogptq_stand_in_a_file_of_their_own() {
    let folder = folder(&gptq_tensors(), Value::Null);
    let path = folder.path().join("quantize_config.json");
    std::fs::write(&path, json!({"bits": 4, "group_size": 16, "desc_act": false}).to_string())
        .expect("written");
    let (weights, files) = open_weights(folder.path()).expect("valid");
    assert_eq!(weights.shape("a.weight"), Some(vec![8, 32]));
    assert!(files.iter().any(|file| Path::new(file) == path));
}

/// Every byte of the header changed in four ways, and the file cut at every place: numbers or an error, and no panic.
#[test]
fn altered_files_are_read_or_refused() {
    let nf4 = (nf4_tensors().1, bitsandbytes());
    for (tensors, settings) in [nf4, (gptq_tensors(), gptq(json!({})))] {
        let folder = folder(&tensors, settings);
        let path = folder.path().join("model.safetensors");
        let whole = std::fs::read(&path).expect("read");
        let header = 8 + usize::from(u16::from_le_bytes([whole[0], whole[1]]));
        let try_with = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("written");
            let Ok((weights, _)) = open_weights(folder.path()) else { return 0 };
            let names = weights.names();
            names.iter().filter(|name| weights.read(name).is_ok()).count()
        };
        let all = try_with(&whole);
        assert_eq!(all, 2);
        for place in 0..header {
            for change in [0x01_u8, 0x80, 0x0f, 0xff] {
                let mut bytes = whole.clone();
                bytes[place] ^= change;
                assert!(try_with(&bytes) <= tensors.len());
            }
        }
        assert!((0..whole.len()).step_by(3).all(|end| try_with(&whole[..end]) == 0));
    }
}
