use std::path::PathBuf;

use prost::Message;

use super::proto::{Attribute, Graph, Model, Node, TensorProto};
use super::*;
use crate::tagger::{Tagger, TextEncoder};
use crate::{SafetensorsFolder, WeightSource};

const FLOAT: i32 = 1;
const UINT8: i32 = 2;
const INT8: i32 = 3;

fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    TensorProto { name: name.into(), dims: dims.into(), data_type: FLOAT, raw_data, ..TensorProto::default() }
}

fn bytes(name: &str, dims: &[i64], data_type: i32, raw_data: Vec<u8>) -> TensorProto {
    TensorProto { name: name.into(), dims: dims.into(), data_type, raw_data, ..TensorProto::default() }
}

fn node(op_type: &str, name: &str, input: &[&str], output: &str, integers: &[(&str, i64)]) -> Node {
    let attribute = integers.iter().map(|&(name, i)| Attribute { name: name.into(), i });
    let input = input.iter().map(|&name| name.into()).collect();
    Node {
        op_type: op_type.into(),
        name: name.into(),
        input,
        output: vec![output.into()],
        attribute: attribute.collect(),
    }
}

/// A packed matrix of 2 rows of 20, in blocks of 16 numbers; row 0 counts up from 0, row 1 is all 15.
fn packed() -> Vec<u8> {
    let number = |row: usize, at: usize| if row == 0 { (at % 16) as u8 } else { 15 };
    (0..2)
        .flat_map(|row| (0..16).map(move |pair| number(row, 2 * pair) | number(row, 2 * pair + 1) << 4))
        .collect()
}

fn matmul(zeros: &str, initializer: Vec<TensorProto>, attributes: &[(&str, i64)]) -> Graph {
    let input: &[&str] = if zeros.is_empty() { &["x", "q", "s"] } else { &["x", "q", "s", zeros] };
    Graph {
        node: vec![node("MatMulNBits", "/bert/layer.0/dense/MatMul_Q4", input, "y", attributes)],
        initializer,
    }
}

const ATTRIBUTES: &[(&str, i64)] = &[("K", 20), ("N", 2), ("bits", 4), ("block_size", 16)];

fn open(graph: Graph, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, Model { graph: Some(graph) }.encode_to_vec()).expect("written");
    let mut found = unpack(&path, &[(name.to_owned(), shape.to_vec())])?;
    Ok(found.tensors.remove(name).expect("the tensor"))
}

#[track_caller]
fn assert_refused(graph: Graph, shape: &[usize], expected: &str) {
    let error = open(graph, "bert.layer.0.dense.weight", shape).expect_err("refused").to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn four_bits_are_unpacked_block_by_block() {
    let constants = vec![bytes("q", &[2, 2, 8], UINT8, packed()), floats("s", &[4], &[1.0, 10.0, 0.5, 2.0])];
    let values = open(matmul("", constants.clone(), ATTRIBUTES), "bert.layer.0.dense.weight", &[2, 20])
        .expect("unpacked");
    let first: Vec<f32> =
        (0..16).map(|at| at as f32 - 8.0).chain((0..4).map(|at| (at as f32 - 8.0) * 10.0)).collect();
    assert_eq!(values[..20], first);
    assert_eq!(values[20..], [vec![3.5; 16], vec![14.0; 4]].concat());

    // With zero points, packed: 1 and 2 in the first row, 3 and 4 in the second.
    let mut with = constants;
    with.push(bytes("z", &[2], UINT8, vec![0x21, 0x43]));
    let values =
        open(matmul("z", with, ATTRIBUTES), "bert.layer.0.dense.weight", &[2, 20]).expect("unpacked");
    assert_eq!((values[0], values[16], values[20], values[39]), (-1.0, -20.0, 6.0, 22.0));
}

#[test]
fn bytes_are_dequantised_through_a_gather() {
    let graph = Graph {
        node: vec![
            node("Gather", "/bert/embeddings/Gather", &["bert.word.weight_quantized", "ids"], "rows", &[]),
            node("DequantizeLinear", "d", &["rows", "s", "z"], "out", &[]),
        ],
        initializer: vec![
            bytes("bert.word.weight_quantized", &[2, 2], INT8, vec![0, 255, 127, 128]),
            floats("s", &[], &[0.5]),
            TensorProto { name: "z".into(), data_type: INT8, int32_data: vec![1], ..TensorProto::default() },
        ],
    };
    assert_eq!(open(graph, "bert.word.weight", &[2, 2]).expect("unpacked"), [-0.5, -1.0, 63.0, -64.5]);
}

#[test]
fn plain_matrices_are_turned_and_vectors_taken_as_they_are() {
    let graph = Graph {
        node: vec![node("MatMul", "/classifier/MatMul", &["x", "onnx::MatMul_1"], "y", &[])],
        initializer: vec![
            floats("onnx::MatMul_1", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            TensorProto {
                name: "b".into(),
                dims: vec![2],
                data_type: FLOAT,
                float_data: vec![7.0, 8.0],
                ..TensorProto::default()
            },
        ],
    };
    assert_eq!(
        open(graph.clone(), "classifier.weight", &[3, 2]).expect("taken"),
        [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]
    );
    assert_eq!(open(graph.clone(), "b", &[2]).expect("taken"), [7.0, 8.0]);
    let twice = Graph { node: [graph.node.clone(), graph.node.clone()].concat(), ..graph.clone() };
    let error = open(twice, "classifier.weight", &[3, 2]).expect_err("twice").to_string();
    assert!(error.contains("`classifier.weight`: stands in the file twice"), "{error}");
    let error = open(graph.clone(), "classifier.weight", &[2, 3]).expect_err("another shape").to_string();
    assert!(error.contains("asks for the shape [2, 3], the file has [3, 2]"), "{error}");
    assert!(matches!(open(graph, "c", &[2]), Err(ModelError::MissingTensor { tensor, .. }) if tensor == "c"));
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    let q = |length: usize| bytes("q", &[2, 2, 8], UINT8, vec![0; length]);
    let s = |count: usize| floats("s", &[count as i64], &vec![1.0; count]);
    let shape = [2, 20];
    assert_refused(matmul("", vec![q(31), s(4)], ATTRIBUTES), &shape, "asks for 32 bytes, there are 31");
    assert_refused(matmul("", vec![q(32), s(3)], ATTRIBUTES), &shape, "scales: expected Some(4)");
    assert_refused(matmul("", vec![q(32)], ATTRIBUTES), &shape, "`s` is missing");
    assert_refused(
        matmul("z", vec![q(32), s(4), bytes("z", &[3], UINT8, vec![0; 3])], ATTRIBUTES),
        &shape,
        "zero points",
    );
    for (name, value, expected) in [
        ("bits", 3, "3 bits"),
        ("block_size", 24, "`block_size` is 24"),
        ("block_size", 0, "`block_size` is 0"),
        ("K", -1, "`K` is -1"),
        ("N", i64::MAX, "rows of"),
    ] {
        let attributes: Vec<_> =
            ATTRIBUTES.iter().map(|&(key, was)| (key, if key == name { value } else { was })).collect();
        assert_refused(matmul("", vec![q(32), s(4)], &attributes), &shape, expected);
    }
    let huge = TensorProto {
        name: "q".into(),
        dims: vec![1 << 40, 1 << 40],
        data_type: UINT8,
        ..TensorProto::default()
    };
    assert_refused(matmul("", vec![huge, s(4)], ATTRIBUTES), &shape, "elements");
    // Nothing, any number of times.
    let empty = Graph {
        node: vec![node("MatMul", "/bert/layer.0/dense/MatMul", &["x", "m"], "y", &[])],
        initializer: vec![floats("m", &[0, 1 << 62], &[])],
    };
    assert_refused(empty, &shape, "a dimension of 0");
    assert_refused(matmul("", vec![q(32), s(4)], ATTRIBUTES), &[2, 21], "asks for the shape [2, 21]");
    let elsewhere = TensorProto { data_location: 1, ..q(32) };
    assert_refused(matmul("", vec![elsewhere, s(4)], ATTRIBUTES), &shape, "in another file");
}

#[test]
fn files_that_are_no_onnx_files_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.onnx");
    let whole = Model { graph: Some(matmul("", vec![bytes("q", &[2, 2, 8], UINT8, packed())], ATTRIBUTES)) }
        .encode_to_vec();
    for (bytes, expected) in [
        (b"".to_vec(), "no graph"),
        (b"\x7fELF not an ONNX file".to_vec(), "no ONNX file"),
        (whole[..whole.len() / 2].to_vec(), "no ONNX file"),
        // A graph that says it is longer than the file.
        (vec![0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f], "no ONNX file"),
    ] {
        std::fs::write(&path, bytes).expect("written");
        let error = unpack(&path, &[]).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_is_unpacked_is_kept_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    let expected = [("a".to_owned(), vec![2])];
    let unpacked = |values: [f32; 2], sha256: &str| Unpacked {
        tensors: HashMap::from([("a".to_owned(), values.to_vec())]),
        sha256: sha256.to_owned(),
    };
    let read = || {
        let kept = SafetensorsFolder::open(folder.path()).expect("whole");
        kept.read("a").expect("read").into_f32()
    };
    for (values, sha256) in [([1.0, 2.0], "one"), ([3.0, 4.0], "other")] {
        keep(&path, &expected, &unpacked(values, sha256));
        assert_eq!((read().as_slice(), source_of(&path).as_deref()), (&values[..], Some(sha256)));
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 1, "nothing else is left");
    // One that somebody else wrote stays.
    let theirs = safetensors::serialize(
        [("a", TensorView::new(Dtype::F32, vec![2], &[0; 8]).expect("a tensor"))],
        None,
    );
    std::fs::write(&path, theirs.expect("a file")).expect("written");
    keep(&path, &expected, &unpacked([1.0, 2.0], "one"));
    assert_eq!((read(), source_of(&path)), (vec![0.0; 2], None));
    // A folder that is not there is no error: the next reader unpacks again.
    keep(&folder.path().join("none/model.safetensors"), &expected, &unpacked([1.0, 2.0], "one"));
}

/// A folder with the fixture's classifier as an ONNX file; `change` may alter what it holds.
fn tagger_folder(change: impl FnOnce(&mut Vec<TensorProto>)) -> tempfile::TempDir {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tagger");
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["config.json", "vocab.txt"] {
        std::fs::copy(fixture.join(name), folder.path().join(name)).expect("copied");
    }
    let weights = SafetensorsFolder::open(&fixture).expect("weights");
    let mut initializer: Vec<TensorProto> = weights
        .names()
        .iter()
        .map(|name| {
            let shape = weights.shape(name).expect("a shape");
            let dims: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
            floats(name, &dims, &weights.read(name).expect("read").into_f32())
        })
        .collect();
    change(&mut initializer);
    write_onnx(folder.path(), initializer);
    folder
}

fn write_onnx(folder: &Path, initializer: Vec<TensorProto>) -> PathBuf {
    let path = folder.join("model.onnx");
    let graph = Graph { node: Vec::new(), initializer };
    std::fs::write(&path, Model { graph: Some(graph) }.encode_to_vec()).expect("written");
    path
}

/// Of an encoder that is computed up to a layer all is kept, and what a classifier has besides is found when it is asked for.
#[test]
fn a_part_that_was_asked_for_is_not_kept_for_the_whole() {
    let folder = tagger_folder(|_| ());
    TextEncoder::open(folder.path(), Some(1)).expect("one layer");
    TextEncoder::open(folder.path(), None).expect("all layers");
    let first = Tagger::open(folder.path()).expect("a classifier").identity().to_owned();
    let kept =
        std::fs::metadata(folder.path().join("model.safetensors")).expect("kept").modified().expect("a time");
    let again = Tagger::open(folder.path()).expect("a classifier");
    assert_eq!(again.identity(), first);
    TextEncoder::open(folder.path(), Some(1)).expect("one layer");
    let unchanged = std::fs::metadata(folder.path().join("model.safetensors")).expect("kept").modified();
    assert_eq!(unchanged.expect("a time"), kept, "what is whole is used");
}

#[test]
fn another_onnx_file_is_unpacked_again() {
    let folder = tagger_folder(|_| ());
    let hash = |tagger: Tagger| tagger.identity().rsplit_once(':').expect("a hash").1.to_owned();
    let first = hash(Tagger::open(folder.path()).expect("opens"));
    let other = tagger_folder(|tensors| {
        let bias = tensors.iter_mut().find(|tensor| tensor.name == "classifier.bias").expect("a bias");
        bias.raw_data[0] ^= 1;
    });
    std::fs::copy(other.path().join("model.onnx"), folder.path().join("model.onnx")).expect("copied");
    let second = hash(Tagger::open(folder.path()).expect("opens"));
    assert_ne!(first, second);
    assert_eq!(second, hash(Tagger::open(other.path()).expect("opens")));
}

/// As they are exported for browsers: what is quantised on the way has matrices under other names.
#[test]
fn a_file_that_is_quantised_on_the_way_does_not_stand_before_the_plain_one() {
    let folder = tagger_folder(|_| ());
    let quantised = tagger_folder(|tensors| {
        for tensor in tensors.iter_mut().filter(|tensor| tensor.name.ends_with("query.weight")) {
            tensor.name = format!("onnx::MatMul_{}_quantized", tensor.name.len());
        }
    });
    assert!(Tagger::open(quantised.path()).is_err(), "alone it is not read");
    let browsers = folder.path().join("onnx");
    std::fs::create_dir(&browsers).expect("made");
    std::fs::rename(folder.path().join("model.onnx"), browsers.join("model.onnx")).expect("moved");
    let aside = browsers.join("model_quantized.onnx");
    std::fs::copy(quantised.path().join("model.onnx"), aside).expect("copied");
    let hash = |tagger: Tagger| tagger.identity().rsplit_once(':').expect("a hash").1.to_owned();
    let alone = tagger_folder(|_| ());
    let plain = hash(Tagger::open(alone.path()).expect("opens"));
    assert_eq!(hash(Tagger::open(folder.path()).expect("the plain one")), plain);
}

#[test]
fn weights_that_are_no_numbers_are_named() {
    let folder = tagger_folder(|tensors| {
        let bias = tensors.iter_mut().find(|tensor| tensor.name == "classifier.bias").expect("a bias");
        bias.raw_data[4..8].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    for _ in 0..2 {
        let Err(error) = Tagger::open(folder.path()) else { panic!("opens") };
        assert!(error.to_string().contains("`classifier.bias`: element 1 is not a finite number"), "{error}");
    }
}
