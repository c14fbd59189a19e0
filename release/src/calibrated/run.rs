//! A model, block by block, while it is written.

use std::collections::BTreeMap;

use candle_core::quantized::GgmlDType;
use rayon::prelude::*;
use rtune_adapters::merge::dense;
use rtune_kernels::int4::{self, Grid};
use rtune_models::{GgufSource, GgufTensor, Readers, RowView, Staged, StagedBlock, TensorSpec};
use serde::Serialize;

use super::codes::Codes;
use super::folds::Divisor;
use super::gram::Gram;
use super::plan::{Plan, clips, read_weight, scaled_weight};
use super::sample::Sample;
use super::{Calibrated, CalibrationRow, Method, awq, blocks, gptq};
use crate::dtype::Dtype;
use crate::error::ReleaseError;
use crate::gguf::grid::Grid as BlockGrid;
use crate::packing::Stored;
use crate::summed::Summed;

/// What rounding did to what a linear gives for the rows of the calibration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoundingError {
    /// The linear.
    pub name: String,
    /// The squared error over the squares of what it gives, summed over tokens and outputs.
    pub error: f64,
    /// The same where each number is rounded to the nearest, on a grid of the same kind.
    pub to_nearest: f64,
}

/// What linears of the blocks become.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// Codes of 4 bits, as GPTQ or AWQ pack them, in a model that is computed in this element type.
    Packed(Calibrated, Dtype),
    /// Blocks of a GGUF file, by the name of the tensor; others stay as they are.
    Blocks(BTreeMap<String, GgmlDType>),
}

impl Target {
    fn packed(&self) -> Option<Calibrated> {
        match self {
            Self::Packed(settings, _) => Some(*settings),
            Self::Blocks(_) => None,
        }
    }

    fn is_awq(&self) -> bool {
        self.packed().is_some_and(|settings| settings.method == Method::Awq)
    }
}

/// Calibrates each block when its first tensor is asked for.
pub(crate) struct Calibrator<'a> {
    target: Target,
    summed: &'a Summed<'a>,
    staged: Staged<'a>,
    rows: Vec<RowView<'a>>,
    /// What AWQ compares scales on.
    sample: Option<Sample>,
    /// What the next block reads of each row, `[T, D]`.
    hidden: Vec<Vec<f32>>,
    next: usize,
    parts: BTreeMap<String, Vec<Vec<u8>>>,
    divisors: BTreeMap<String, Divisor>,
    pub(crate) errors: Vec<RoundingError>,
}

impl<'a> Calibrator<'a> {
    /// Reads the embedding and takes the rows through it.
    ///
    /// # Errors
    /// Those of reading.
    pub(crate) fn begin(
        summed: &'a Summed<'a>,
        target: Target,
        rows: &'a [CalibrationRow],
    ) -> Result<Self, ReleaseError> {
        let positions = rows.iter().flat_map(|row| &row.positions);
        let longest = positions.max().map_or(0, |&last| last as usize + 1);
        let staged = Staged::new(summed.config(), summed, longest);
        let sample = target.is_awq().then(|| Sample::of(rows));
        let rows: Vec<RowView<'a>> = rows.iter().map(CalibrationRow::view).collect();
        let hidden = staged.embed(&rows)?;
        let (parts, divisors, errors) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Ok(Self { target, summed, staged, rows, sample, hidden, next: 0, parts, divisors, errors })
    }

    /// What is written of a tensor. Tensors are asked for in the order of the model, each once.
    ///
    /// # Errors
    /// Those of reading; [`ReleaseError::Uncalibrated`] for what the rows make no numbers of, or no file can hold.
    pub(crate) fn stored(&mut self, tensor: &TensorSpec) -> Result<Stored, ReleaseError> {
        while self.block_of(tensor).is_some_and(|block| block >= self.next) {
            self.calibrate()?;
        }
        if let Some(parts) = self.parts.remove(&tensor.name) {
            return Ok(Stored::Parts(parts));
        }
        let mut values = self.summed.values(tensor)?;
        if let Some(divisor) = self.divisors.remove(&tensor.name) {
            divisor.divide(&mut values);
        }
        self.summed.count(&values);
        Ok(Stored::Numbers(values))
    }

    /// Whether this tensor of a GGUF file consists of linears that are put into blocks.
    pub(crate) fn has(&self, tensor: &GgufTensor) -> bool {
        match (&self.target, &tensor.from) {
            (Target::Blocks(elements), GgufSource::Tensors(names, _)) => {
                names.iter().all(|name| elements.contains_key(name))
            }
            _ => false,
        }
    }

    /// The block that a tensor belongs to.
    fn block_of(&self, tensor: &TensorSpec) -> Option<usize> {
        let rest = tensor.name.strip_prefix(self.staged.spec().names.blocks)?.strip_prefix('.')?;
        rest.split_once('.')?.0.parse().ok()
    }

    /// Quantises the next block, and takes the rows through it as it will be read.
    fn calibrate(&mut self) -> Result<(), ReleaseError> {
        let mut block = self.staged.block(self.next)?;
        let grams = self.watch(&block)?;
        let plan = match (&self.target, &self.sample) {
            (Target::Packed(settings, _), Some(sample)) => {
                let seen = (sample, self.hidden.as_slice());
                Plan::new(&self.staged, self.next, &mut block, &grams, settings.group, seen)
            }
            _ => Plan::default(),
        };
        let names: Vec<String> = block.linears().map(|linear| linear.name().to_owned()).collect();
        for (readers, gram) in Readers::ALL.into_iter().zip(&grams) {
            let columns = plan.columns.get(&readers);
            let scaled = columns.map(|scales| gram.divided(scales));
            let scaled = scaled.as_ref().unwrap_or(gram);
            self.refuse_overflow(scaled.largest(), || {
                format!("`{}` reads", names[block.readers(readers).start])
            })?;
            let factor = match self.target.is_awq() {
                true => None,
                false => Some(gptq::factor(scaled).map_err(|channel| {
                    let first = &names[block.readers(readers).start];
                    let problem = format!("channel {channel} of what it reads gives no positive product");
                    ReleaseError::Uncalibrated { linear: first.clone(), problem }
                })?),
            };
            for index in block.readers(readers) {
                let weight = block.linears().nth(index).map(|linear| dense(linear.weight()));
                let (name, weight) = (&names[index], weight.unwrap_or_default());
                let (columns, rows) = (columns.map(Vec::as_slice), plan.rows.get(&index));
                let (read, to_nearest, parts) = match (&self.target, &factor) {
                    (Target::Blocks(elements), Some(factor)) => {
                        let tensor = format!("{name}.weight");
                        let Some(grid) = elements.get(&tensor).copied().and_then(BlockGrid::of) else {
                            continue;
                        };
                        let problem = |problem| ReleaseError::Uncalibrated { linear: name.clone(), problem };
                        let to_nearest = nearest_blocks(&weight, grid).map_err(problem)?;
                        let blocks =
                            blocks::quantise(weight.clone(), gram.width, factor, grid).map_err(problem)?;
                        (blocks.values, to_nearest, vec![blocks.bytes])
                    }
                    (Target::Packed(settings, _), factor) => {
                        let changed = scaled_weight(&weight, gram.width, columns, rows);
                        let codes = match factor {
                            Some(factor) => gptq::quantise(changed, gram.width, factor, settings.group),
                            None => {
                                let clips = clips(readers, index - block.readers(readers).start, &block);
                                awq::quantise(&changed, scaled, settings.group, clips)
                            }
                        };
                        refuse_too_large(name, &codes)?;
                        let to_nearest = settings.nearest(&weight, gram.width);
                        (read_weight(&codes, columns, rows), to_nearest, codes.encode(settings.method))
                    }
                    (Target::Blocks(_), None) => continue,
                };
                self.errors.push(error_of(name, &weight, [&read, &to_nearest], gram));
                self.parts.insert(format!("{name}.weight"), parts);
                block.set_weight(index, read);
            }
        }
        self.divide(&plan, &names);
        for (row, x_td) in self.rows.iter().zip(&mut self.hidden) {
            *x_td = self.staged.forward(&block, row, x_td);
        }
        let given = self.hidden.iter().flatten().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        self.refuse_overflow(given, || format!("block {} gives", self.next))?;
        self.next += 1;
        Ok(())
    }

    /// What the linears of a block read of all rows.
    fn watch(&self, block: &StagedBlock) -> Result<Vec<Gram>, ReleaseError> {
        let linears: Vec<_> = block.linears().collect();
        let width = |readers: Readers| linears[block.readers(readers).start].in_features();
        let mut grams: Vec<Gram> = Readers::ALL.into_iter().map(|of| Gram::new(width(of))).collect();
        for (row, x_td) in self.rows.iter().zip(&self.hidden) {
            self.staged.watch(block, row, x_td, &mut |readers, x_ti| grams[readers as usize].add(x_ti));
        }
        match grams.iter().position(|gram| !gram.is_finite()) {
            None => Ok(grams),
            Some(place) => {
                let linear = linears[block.readers(Readers::ALL[place]).start].name().to_owned();
                let problem = "it reads numbers that are not finite".to_owned();
                Err(ReleaseError::Uncalibrated { linear, problem })
            }
        }
    }

    /// What a server would compute in an element type that does not hold it comes out as no number there.
    fn refuse_overflow(&self, largest: f32, place: impl FnOnce() -> String) -> Result<(), ReleaseError> {
        match self.target {
            Target::Packed(_, dtype) if !dtype.round(largest).is_finite() => {
                Err(ReleaseError::Overflow { place: place(), largest, dtype })
            }
            _ => Ok(()),
        }
    }

    /// Keeps what vectors of the block are divided by.
    fn divide(&mut self, plan: &Plan, names: &[String]) {
        let spec = self.staged.spec();
        for (norm, scales) in &plan.norms {
            let bias = Divisor { first: 0, scales: scales.clone(), less_one: false };
            self.divisors.insert(format!("{norm}.weight"), Divisor::of_norm(spec, scales.clone()));
            self.divisors.insert(format!("{norm}.bias"), bias);
        }
        for (linear, divisor) in &plan.rows {
            self.divisors.insert(format!("{}.bias", names[*linear]), divisor.clone());
        }
    }
}

fn error_of(name: &str, weight: &[f32], [read, to_nearest]: [&[f32]; 2], gram: &Gram) -> RoundingError {
    let mut work = Vec::new();
    let whole = gram.energy(weight, &mut work).max(f64::MIN_POSITIVE);
    let mut of = |read: &[f32]| gram.error(weight, read, &mut work) / whole;
    RoundingError { name: name.to_owned(), error: of(read), to_nearest: of(to_nearest) }
}

/// What blocks of the nearest codes are read as.
fn nearest_blocks(weight: &[f32], grid: BlockGrid) -> Result<Vec<f32>, String> {
    let one = |values: &[f32]| {
        let steps = grid.steps(&grid.begin(values, None)?);
        let nearest = |(at, value): (usize, &f32)| {
            let steps = steps[at / grid.group()];
            steps.value(steps.code(*value))
        };
        Ok(values.iter().enumerate().map(nearest).collect::<Vec<f32>>())
    };
    let blocks: Result<Vec<Vec<f32>>, String> = weight.par_chunks(grid.block()).map(one).collect();
    Ok(blocks?.concat())
}

impl Calibrated {
    /// `weight`, `[.., columns]`, with each number rounded to the nearest of its group's grid.
    pub(crate) fn nearest(self, weight: &[f32], columns: usize) -> Vec<f32> {
        let mut out = vec![0.0; weight.len()];
        let grid = |values: &[f32]| match self.method {
            Method::Gptq => Grid::symmetric(values),
            Method::Awq => Grid::asymmetric(values, 1.0),
        };
        int4::round_to_nearest(weight, columns, self.group, grid, &mut out);
        out
    }
}

fn refuse_too_large(name: &str, codes: &Codes) -> Result<(), ReleaseError> {
    match codes.too_large() {
        None => Ok(()),
        Some((row, group)) => {
            let problem = format!("the scale of output {row}, group {group} is beyond those of 16 bits");
            Err(ReleaseError::Uncalibrated { linear: name.to_owned(), problem })
        }
    }
}
