use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::state::MOST_FILES;
use super::*;

const NF4: Quantization = Quantization::Nf4 { double: true };

fn base() -> BaseModel {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/gguf/qwen2/model.gguf");
    crate::open(&file).expect("a base")
}

fn codes(decoder: &Decoder) -> Vec<Nf4> {
    decoder.linears().map(|linear| linear.weight().nf4().expect("NF4").clone()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn what_is_kept_is_what_was_quantised() {
    let place = tempfile::tempdir().expect("a folder");
    let (base, cache) = (base(), QuantizedCache::new(place.path().join("cache")));
    for quantization in [NF4, Quantization::Nf4 { double: false }] {
        let plain = Decoder::load(&base.config, base.weights.as_ref(), quantization, &mut |_, _| {});
        let plain = codes(&plain.expect("a decoder"));
        for time in 0..2 {
            let mut told = 0;
            let loaded = cache.load(&base, quantization, &mut |done, _| told = done);
            let (decoder, note) = loaded.expect("a decoder");
            assert_eq!(note, None, "time {time}");
            assert!(codes(&decoder) == plain && told > 0, "time {time}");
        }
    }
    assert_eq!(files(&place.path().join("cache")).len(), 2);
    let (_, note) = cache.load(&base, Quantization::None, &mut |_, _| {}).expect("a decoder");
    assert_eq!((note, files(&place.path().join("cache")).len()), (None, 2));
}

#[test]
fn a_damaged_file_is_made_anew_and_that_is_said() {
    let place = tempfile::tempdir().expect("a folder");
    let (base, cache) = (base(), QuantizedCache::new(place.path()));
    let (decoder, _) = cache.load(&base, NF4, &mut |_, _| {}).expect("a decoder");
    let right = codes(&decoder);
    let file = files(place.path()).remove(0);
    let whole = fs::read(&file).expect("read");
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let header_at = MAGIC.len() + 8 + HASH_BYTES;
    for (damaged, expected) in [
        (flipped(0), "no file of quantised weights"),
        (flipped(15), "its header has"),
        (flipped(20), "its header is damaged"),
        (flipped(header_at + 3), "its header is damaged"),
        (flipped(whole.len() - 1), "is damaged"),
        (whole[..whole.len() - 1].to_vec(), "it should have"),
        (whole[..30].to_vec(), "cut short"),
        (Vec::new(), "cut short"),
    ] {
        fs::write(&file, damaged).expect("written");
        let (decoder, note) = cache.load(&base, NF4, &mut |_, _| {}).expect("a decoder");
        let note = note.expect("a note");
        assert!(note.contains(expected) && note.ends_with("they are made anew"), "{expected}: {note}");
        assert!(codes(&decoder) == right, "{expected}");
        assert!(fs::read(&file).expect("read") == whole, "{expected}: the file is whole again");
    }
    assert_eq!(files(place.path()).len(), 1);
}

#[test]
fn another_base_has_another_file_and_few_are_kept() {
    let place = tempfile::tempdir().expect("a folder");
    let mut base = base();
    let cache = QuantizedCache::new(place.path().join("cache"));
    for number in 0..MOST_FILES + 2 {
        let extra = place.path().join("model.safetensors");
        fs::write(&extra, vec![number as u8; 100]).expect("written");
        base.files = vec![extra];
        cache.load(&base, NF4, &mut |_, _| {}).expect("a decoder");
    }
    assert_eq!(files(&place.path().join("cache")).len(), MOST_FILES);
}

/// Sets a file's time to so many days ago.
fn age(path: &Path, days: u64) {
    let file = File::options().append(true).open(path).expect("opened");
    file.set_modified(SystemTime::now() - Duration::from_hours(24 * days)).expect("set");
}

#[test]
fn a_base_that_changes_while_it_is_read_is_not_kept() {
    let place = tempfile::tempdir().expect("a folder");
    let mut base = base();
    let cache = QuantizedCache::new(place.path().join("cache"));
    let extra = place.path().join("model.safetensors");
    for change in [
        &(|| fs::write(&extra, [2; 100]).expect("written")) as &dyn Fn(),
        &|| {
            fs::write(place.path().join("new"), [3; 100]).expect("written");
            fs::rename(place.path().join("new"), &extra).expect("renamed");
        },
        &|| fs::remove_file(&extra).expect("removed"),
    ] {
        fs::write(&extra, [1; 100]).expect("written");
        age(&extra, 1);
        base.files = vec![extra.clone()];
        let loaded = cache.load(&base, NF4, &mut |done, _| {
            if done == 1 {
                change();
            }
        });
        let (_, note) = loaded.expect("a decoder");
        assert!(note.expect("a note").contains("changed while they were read"));
        assert!(!place.path().join("cache").exists());
    }
}

#[test]
fn what_is_used_stays_and_what_was_begun_long_ago_goes() {
    let place = tempfile::tempdir().expect("a folder");
    let mut base = base();
    let cache = QuantizedCache::new(place.path().join("cache"));
    let mut load = |number: usize| {
        let extra = place.path().join("model.safetensors");
        fs::write(&extra, vec![number as u8; 100]).expect("written");
        base.files = vec![extra];
        cache.load(&base, NF4, &mut |_, _| {}).expect("a decoder").1
    };
    let folder = place.path().join("cache");
    assert_eq!(load(0), None);
    let first = files(&folder).remove(0);
    (1..MOST_FILES).for_each(|number| assert_eq!(load(number), None));
    files(&folder).iter().for_each(|path| age(path, 2));
    age(&first, 3);
    for (name, days) in [(".old.partial", 2), (".new.partial", 0)] {
        fs::write(folder.join(name), "x").expect("written");
        age(&folder.join(name), days);
    }
    // The oldest is used, so that another one goes.
    assert_eq!(load(0), None);
    assert_eq!(load(MOST_FILES), None);
    assert!(first.exists() && !folder.join(".old.partial").exists() && folder.join(".new.partial").exists());
    assert_eq!(files(&folder).len(), MOST_FILES + 1);
}

#[test]
fn what_goes_wrong_is_all_told() {
    let place = tempfile::tempdir().expect("a folder");
    let (base, cache) = (base(), QuantizedCache::new(place.path()));
    assert_eq!(cache.load(&base, NF4, &mut |_, _| {}).expect("a decoder").1, None);
    fs::write(files(place.path()).remove(0), "damaged").expect("written");
    // Folders where files are looked for cannot be removed as such.
    (0..=MOST_FILES).for_each(|number| {
        fs::create_dir(place.path().join(format!("{number}.nf4"))).expect("made");
    });
    let note = cache.load(&base, NF4, &mut |_, _| {}).expect("a decoder").1.expect("a note");
    assert!(
        note.contains("they are made anew; old files in `") && note.contains("cannot be removed"),
        "{note}"
    );
    assert!(!note.contains("cannot be written"), "{note}");
}

/// Whoever changes a code or a magnitude of the quantiser raises [`QUANTISER`], and writes the new hashes here: else a cache would go
/// on giving what the earlier one made.
#[test]
fn the_quantiser_is_the_one_that_has_this_number() {
    let (rows, columns) = (96, 320);
    let values: Vec<f32> = (0..rows * columns)
        .map(|at| ((at * 7919 % 1999) as f32 - 999.0) / (256.0 + (at % 77) as f32))
        .collect();
    let hash = |double: bool| {
        let weight = Weight::quantized(rows, columns, &values, double);
        let mut hasher = Sha256::new();
        let mut put = |part: &[u8]| {
            hasher.update(part);
            Ok(())
        };
        parts(weight.nf4().expect("NF4"), &mut put).expect("hashed");
        hex(&hasher.finalize())
    };
    assert_eq!((QUANTISER, hash(false).as_str(), hash(true).as_str()), HELD);
}

const HELD: (u32, &str, &str) = (
    1,
    "420fa753bae40fcb85b7ed98cbb1a2c3265525047d10a31077e742fc9c665d9c",
    "9496b6257b49495f4990439c6e616bd39ecd879656e334657ad1a0fd9295c709",
);
