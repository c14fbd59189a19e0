//! Linears in NF4 kept between runs, so that the next one need not quantise them again.
//!
//! A file is named by a hash over the base's files, over how they are quantised and by what, and over the version of this program. Its
//! header and each of its matrices carry their own hash, which is compared when they are read: a file that is cut short or
//! altered is made anew, and what was wrong with it is told.

mod state;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use rtune_adapters::{Magnitudes, Nf4, Weight};
use rtune_kernels::nf4::{self, Nested};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{BaseModel, Decoder, HostTensor, ModelError, Precision, Quantization, Take, WeightSource};

/// The largest header that is read: 200 bytes for each of the linears of the largest models, several times over.
const MOST_HEADER_BYTES: u64 = 64 << 20;
/// Bytes of a file that one thread hashes at a time.
const HASHED_BYTES: u64 = 16 << 20;
/// The first bytes of a file; the digit grows with the layout.
const MAGIC: &[u8; 8] = b"rtuneQ\x001";
/// The quantiser: the number grows whenever its codes or magnitudes come out otherwise, so that none of an earlier one are used. A
/// test holds what it gives.
const QUANTISER: u32 = 1;
const EXTENSION: &str = "nf4";
const HASH_BYTES: usize = 32;

/// A folder of quantised linears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantizedCache {
    folder: PathBuf,
}

/// One matrix of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    name: String,
    rows: usize,
    columns: usize,
    /// Of its bytes, in hex.
    sha256: String,
    /// Where its bytes begin behind the header.
    #[serde(skip)]
    start: u64,
}

impl Entry {
    fn bytes(&self, double: bool) -> Option<usize> {
        let count = self.rows.checked_mul(self.columns)?;
        let blocks = count.div_ceil(nf4::BLOCK);
        let magnitudes = match double {
            true => blocks.checked_add((blocks.div_ceil(nf4::NESTED_BLOCK) + 1) * size_of::<f32>())?,
            false => blocks.checked_mul(size_of::<f32>())?,
        };
        count.div_ceil(2).checked_add(magnitudes)
    }
}

impl QuantizedCache {
    /// A cache in `folder`, which is made with the first file.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// [`Decoder::load`], with the linears that are quantised here read from the cache where they are there, and kept there
    /// where they are not. A note says what went wrong with the cache; the decoder is the same to the bit all the same.
    ///
    /// # Errors
    /// Those of [`Decoder::load`].
    pub(crate) fn load(
        &self,
        base: &BaseModel,
        quantization: Quantization,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(Decoder, Option<String>), ModelError> {
        let Quantization::Nf4 { double } = quantization else {
            return Ok((Decoder::load(&base.config, base.weights.as_ref(), quantization, progress)?, None));
        };
        let named = state::of(&base.files).and_then(|before| Ok((before, name_of(base, double)?)));
        let (before, path) = match named {
            Ok((before, name)) => (before, self.folder.join(format!("{name}.{EXTENSION}"))),
            Err(error) => {
                let decoder = Decoder::load(&base.config, base.weights.as_ref(), quantization, progress)?;
                return Ok((decoder, Some(format!("quantised weights are not kept: {error}"))));
            }
        };
        let mut notes = Vec::new();
        let mut unused = |problem: String| {
            notes.push(format!(
                "the quantised weights in `{}` are not used: {problem}; they are made anew",
                path.display()
            ));
        };
        match Kept::open(&path, double, base.weights.as_ref()) {
            Ok(None) => {}
            Ok(Some(kept)) => match Decoder::load(&base.config, &kept, quantization, progress) {
                Ok(decoder) => {
                    state::touch(&path);
                    return Ok((decoder, None));
                }
                Err(error) => unused(kept.problem().ok_or(error)?),
            },
            Err(problem) => unused(problem),
        }
        let decoder = Decoder::load(&base.config, base.weights.as_ref(), quantization, progress)?;
        // What was read by the way of files that changed would stand under the hash of what they were.
        if !state::of(&base.files).is_ok_and(|after| after == before) {
            notes.push(
                "the base's files changed while they were read: quantised weights are not kept".to_owned(),
            );
        } else if let Err(error) = self.keep(&path, &decoder, base.weights.as_ref()) {
            notes.push(format!("`{}` cannot be written: {error}", path.display()));
        } else if let Err(error) = state::prune(&self.folder) {
            notes.push(format!("old files in `{}` cannot be removed: {error}", self.folder.display()));
        }
        Ok((decoder, (!notes.is_empty()).then(|| notes.join("; "))))
    }

    /// Writes the linears beside their place, syncs, renames.
    fn keep(&self, path: &Path, decoder: &Decoder, weights: &dyn WeightSource) -> io::Result<()> {
        let mut matrices = Vec::new();
        for linear in decoder.linears() {
            let name = format!("{}.weight", linear.name());
            if let (false, Some(values)) = (weights.is_nf4(&name), linear.weight().nf4()) {
                matrices.push((name, linear.weight(), values));
            }
        }
        let entries: Vec<Entry> = matrices
            .par_iter()
            .map(|(name, weight, values)| {
                let mut hasher = Sha256::new();
                parts(values, &mut |part| {
                    hasher.update(part);
                    Ok(())
                })?;
                let (rows, columns) = (weight.rows(), weight.columns());
                Ok(Entry { name: name.clone(), rows, columns, sha256: hex(&hasher.finalize()), start: 0 })
            })
            .collect::<io::Result<_>>()?;
        let header = serde_json::to_vec(&entries).map_err(io::Error::other)?;
        fs::create_dir_all(&self.folder)?;
        let beside = tempfile::Builder::new().prefix(".").suffix(state::PARTIAL).tempfile_in(&self.folder)?;
        {
            let mut out = BufWriter::new(beside.as_file());
            out.write_all(MAGIC)?;
            out.write_all(&(header.len() as u64).to_le_bytes())?;
            out.write_all(&Sha256::digest(&header))?;
            out.write_all(&header)?;
            for (_, _, values) in &matrices {
                parts(values, &mut |part| out.write_all(part))?;
            }
            out.flush()?;
        }
        beside.as_file().sync_all()?;
        beside.persist(path).map_err(|error| error.error)?;
        File::open(&self.folder)?.sync_all()
    }
}

/// What decides the quantised linears of a base, as a hash in hex.
fn name_of(base: &BaseModel, double: bool) -> io::Result<String> {
    let mut hasher = Sha256::new();
    hasher.update(MAGIC);
    hasher.update(QUANTISER.to_le_bytes());
    hasher.update(env!("CARGO_PKG_VERSION"));
    hasher.update([u8::from(double)]);
    for path in &base.files {
        let bytes = fs::metadata(path)?.len();
        hasher.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        hasher.update(bytes.to_le_bytes());
        let hashes: Vec<[u8; HASH_BYTES]> = (0..bytes.div_ceil(HASHED_BYTES))
            .into_par_iter()
            .map(|part| {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(part * HASHED_BYTES))?;
                let mut hasher = Sha256::new();
                io::copy(&mut file.take(HASHED_BYTES), &mut Hashing(&mut hasher))?;
                Ok(hasher.finalize().into())
            })
            .collect::<io::Result<_>>()?;
        hashes.iter().for_each(|hash| hasher.update(hash));
    }
    Ok(hex(&hasher.finalize()))
}

/// What is written goes into a hash.
struct Hashing<'a>(&'a mut Sha256);

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a matrix in the order of a file.
fn parts(values: &Nf4, put: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    put(&values.codes)?;
    match &values.magnitudes {
        Magnitudes::Plain(absmax) => put(bytemuck::cast_slice(absmax)),
        Magnitudes::Nested(nested) => {
            put(&nested.codes)?;
            put(bytemuck::cast_slice(&nested.absmax))?;
            put(&nested.offset.to_le_bytes())
        }
    }
}

/// A base whose linears are read from a file of the cache.
struct Kept<'a> {
    source: &'a dyn WeightSource,
    entries: BTreeMap<String, Entry>,
    double: bool,
    file: Mutex<File>,
    /// What was wrong with the file.
    problem: Mutex<Option<String>>,
}

impl<'a> Kept<'a> {
    /// `None` where there is no such file; else what is wrong with it.
    fn open(path: &Path, double: bool, source: &'a dyn WeightSource) -> Result<Option<Self>, String> {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|error| error.to_string())?,
        };
        let said = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => "it is cut short".to_owned(),
            _ => error.to_string(),
        };
        let length = file.metadata().map_err(said)?.len();
        let (mut magic, mut size, mut hash) = ([0; MAGIC.len()], [0; 8], [0; HASH_BYTES]);
        file.read_exact(&mut magic).map_err(said)?;
        if &magic != MAGIC {
            return Err("it is no file of quantised weights".to_owned());
        }
        file.read_exact(&mut size).map_err(said)?;
        file.read_exact(&mut hash).map_err(said)?;
        let size = u64::from_le_bytes(size);
        if size > MOST_HEADER_BYTES.min(length) {
            return Err(format!("its header has {size} bytes"));
        }
        let mut header = vec![0; size as usize];
        file.read_exact(&mut header).map_err(said)?;
        if Sha256::digest(&header)[..] != hash {
            return Err("its header is damaged".to_owned());
        }
        let listed: Vec<Entry> = serde_json::from_slice(&header).map_err(|error| error.to_string())?;
        let mut start = (MAGIC.len() + 8 + HASH_BYTES) as u64 + size;
        let mut entries = BTreeMap::new();
        for mut entry in listed {
            entry.start = start;
            let end = entry.bytes(double).and_then(|bytes| start.checked_add(bytes as u64));
            start = end.ok_or_else(|| format!("the shape of `{}` is no shape", entry.name))?;
            entries.insert(entry.name.clone(), entry);
        }
        if start != length {
            return Err(format!("it should have {start} bytes and has {length}"));
        }
        Ok(Some(Self { source, entries, double, file: Mutex::new(file), problem: Mutex::default() }))
    }

    fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn matrix(&self, entry: &Entry) -> Result<Weight, String> {
        let count = entry.rows * entry.columns;
        let blocks = count.div_ceil(nf4::BLOCK);
        let mut hasher = Sha256::new();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(entry.start)).map_err(|error| error.to_string())?;
        let mut part = |bytes: &mut [u8]| {
            file.read_exact(bytes).map_err(|error| error.to_string())?;
            hasher.update(&*bytes);
            Ok::<_, String>(())
        };
        let mut codes = vec![0; count.div_ceil(2)];
        part(&mut codes)?;
        let magnitudes = if self.double {
            let mut nested = Nested {
                codes: vec![0; blocks],
                map: nf4::dynamic_map(),
                absmax: vec![0.0; blocks.div_ceil(nf4::NESTED_BLOCK)],
                block: nf4::NESTED_BLOCK,
                offset: 0.0,
            };
            part(&mut nested.codes)?;
            part(bytemuck::cast_slice_mut(&mut nested.absmax))?;
            part(bytemuck::bytes_of_mut(&mut nested.offset))?;
            Magnitudes::Nested(nested)
        } else {
            let mut absmax = vec![0.0_f32; blocks];
            part(bytemuck::cast_slice_mut(&mut absmax))?;
            Magnitudes::Plain(absmax)
        };
        if hex(&hasher.finalize()) != entry.sha256 {
            return Err(format!("`{}` is damaged", entry.name));
        }
        Ok(Weight::from_nf4(entry.rows, entry.columns, Nf4 { codes, magnitudes, block: nf4::BLOCK }))
    }
}

impl WeightSource for Kept<'_> {
    fn path(&self) -> &Path {
        self.source.path()
    }
    fn names(&self) -> Vec<String> {
        self.source.names()
    }
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.source.shape(name)
    }
    fn precision(&self, name: &str) -> Option<Precision> {
        self.source.precision(name)
    }
    fn read(&self, name: &str) -> Result<HostTensor, ModelError> {
        self.source.read(name)
    }
    fn read_pieces(&self, name: &str, take: &Take<'_>) -> Result<(), ModelError> {
        self.source.read_pieces(name, take)
    }
    fn is_nf4(&self, name: &str) -> bool {
        self.entries.contains_key(name) || self.source.is_nf4(name)
    }
    fn read_nf4(&self, name: &str) -> Result<Option<Weight>, ModelError> {
        let Some(entry) = self.entries.get(name) else { return self.source.read_nf4(name) };
        let shape_differs = self.shape(name).is_none_or(|shape| shape != [entry.rows, entry.columns]);
        let read = match shape_differs {
            true => Err(format!("`{name}` has another shape in it")),
            false => self.matrix(entry),
        };
        read.map(Some).map_err(|problem| {
            *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem.clone());
            ModelError::tensor(self.path(), name, problem)
        })
    }
}

#[cfg(test)]
mod tests;
