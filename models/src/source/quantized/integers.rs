//! Weights of GPTQ and AWQ: packed whole numbers, with a scale and a zero point for each group of input features.
//!
//! The weight of output `o` and input `i` is `scales[g][o] * (q[i][o] - zero[g][o])`, `g` being the input's group. Both
//! pack into words of 32 bits. GPTQ packs `q` along the inputs and the zero points along the outputs, each as a stream of
//! bits from the lowest up, and version 1 keeps a zero point less one. AWQ packs both along the outputs, 8 a word, in the
//! order 0, 2, 4, 6, 1, 3, 5, 7.

use rayon::prelude::*;

use super::super::safetensors::SafetensorsFolder;
use super::settings::Gptq;
use super::{FLOATS, shape_of};
use crate::{ModelError, WeightSource};

/// How the name of the packed numbers ends, in place of `weight`.
pub(in super::super) const PACKED: &str = ".qweight";
/// Bits of a word.
const WORD_BITS: usize = 32;
/// Outputs that one parallel task takes: a cache line of words.
const OUTPUTS_PER_TASK: usize = 16;
/// Where in its word AWQ keeps each of 8 neighbouring outputs.
const AWQ_PLACES: [usize; 8] = [0, 4, 1, 5, 2, 6, 3, 7];
const AWQ_BITS: usize = 4;

/// The packed weight of a linear, checked as far as headers go.
#[derive(Debug)]
pub(super) struct Integers {
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    groups: usize,
    bits: usize,
    layout: Layout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// `ordered`: `g_idx` says the group of each input; else groups of `group` follow one another.
    Gptq {
        zero_less_one: bool,
        ordered: bool,
        group: usize,
    },
    Awq {
        group: usize,
    },
}

impl Integers {
    /// Checks the tensors of the GPTQ linear `base`.
    pub(super) fn open_gptq(raw: &SafetensorsFolder, base: &str, settings: Gptq) -> Result<Self, ModelError> {
        let packed = format!("{base}{PACKED}");
        let fault = |problem: String| ModelError::tensor(&raw.path_of(&packed), &packed, problem);
        let shape = shape_of(raw, &packed, 2)?;
        let (words, outputs) = (shape[0], shape[1]);
        raw.expect(&packed, &["I32"], &shape)?;
        let order = format!("{base}.g_idx");
        let ordered = raw.entry(&order).is_some();
        let all_bits = words.saturating_mul(WORD_BITS);
        let (inputs, bits) = match (ordered, settings.bits) {
            (true, _) => {
                let inputs = shape_of(raw, &order, 1)?[0];
                (inputs, all_bits / inputs.max(1))
            }
            (false, Some(bits)) => (all_bits / bits, bits),
            (false, None) => {
                return Err(fault("no `g_idx`, so `dynamic` of the settings hides its width".to_owned()));
            }
        };
        let right = matches!(bits, 2 | 3 | 4 | 8) && inputs.checked_mul(bits) == Some(all_bits);
        if !right || settings.bits.is_some_and(|expected| expected != bits) {
            let expected = settings.bits.map_or("2, 3, 4 or 8".to_owned(), |bits| bits.to_string());
            return Err(fault(format!("shape {shape:?} for {inputs} inputs, expected {expected} bits each")));
        }
        let group = settings.group.unwrap_or(inputs);
        if ordered {
            raw.expect(&order, &["I32"], &[inputs])?;
        }
        let layout = Layout::Gptq { zero_less_one: settings.zero_less_one, ordered, group };
        Self { outputs, inputs, groups: 0, bits, layout }.with_scales(raw, base)
    }

    /// Checks the tensors of the AWQ linear `base`.
    pub(super) fn open_awq(
        raw: &SafetensorsFolder,
        base: &str,
        group: Option<usize>,
    ) -> Result<Self, ModelError> {
        let packed = format!("{base}{PACKED}");
        let shape = shape_of(raw, &packed, 2)?;
        raw.expect(&packed, &["I32"], &shape)?;
        let (inputs, outputs) = (shape[0], shape[1].saturating_mul(WORD_BITS / AWQ_BITS));
        let layout = Layout::Awq { group: group.unwrap_or(inputs) };
        Self { outputs, inputs, groups: 0, bits: AWQ_BITS, layout }.with_scales(raw, base)
    }

    fn with_scales(mut self, raw: &SafetensorsFolder, base: &str) -> Result<Self, ModelError> {
        if self.inputs == 0 || self.outputs == 0 {
            let problem = format!("{} inputs and {} outputs", self.inputs, self.outputs);
            return Err(ModelError::tensor(raw.path(), &format!("{base}{PACKED}"), problem));
        }
        let scales = format!("{base}.scales");
        let zeros = format!("{base}.qzeros");
        let shape = shape_of(raw, &scales, 2)?;
        raw.expect(&scales, FLOATS, &[shape[0], self.outputs])?;
        self.groups = shape[0];
        let expected = match self.layout {
            Layout::Gptq { ordered: true, .. } => self.groups.max(1),
            Layout::Gptq { group, .. } | Layout::Awq { group } => self.inputs.div_ceil(group),
        };
        if self.groups != expected {
            let problem = format!("{} groups, expected {expected} of {} inputs", self.groups, self.inputs);
            return Err(ModelError::tensor(&raw.path_of(&scales), &scales, problem));
        }
        let Some(zero_bits) =
            self.outputs.checked_mul(self.bits).filter(|bits| bits.is_multiple_of(WORD_BITS))
        else {
            let problem = format!("{} outputs of {} bits fill no whole words", self.outputs, self.bits);
            return Err(ModelError::tensor(&raw.path_of(&zeros), &zeros, problem));
        };
        raw.expect(&zeros, &["I32"], &[self.groups, zero_bits / WORD_BITS])?;
        Ok(self)
    }

    /// The numbers, `[outputs, inputs]`: product and difference in `f32`, where both are exact but for the product's
    /// rounding if the scales are `f32`.
    pub(super) fn read(&self, raw: &SafetensorsFolder, base: &str) -> Result<Vec<f32>, ModelError> {
        let words: Vec<u32> = raw.read_words(&format!("{base}{PACKED}"))?;
        let scales = raw.read(&format!("{base}.scales"))?.into_f32();
        let zeros = self.zeros(&raw.read_words(&format!("{base}.qzeros"))?);
        let groups = self.groups_of_inputs(raw, base)?;
        let mut values = vec![0.0_f32; self.outputs * self.inputs];
        values.par_chunks_mut(OUTPUTS_PER_TASK * self.inputs).enumerate().for_each(|(task, tile)| {
            let first = task * OUTPUTS_PER_TASK;
            let count = tile.len() / self.inputs;
            for (input, &group) in groups.iter().enumerate() {
                let scales = &scales[group * self.outputs + first..][..count];
                let zeros = &zeros[group * self.outputs + first..][..count];
                for (place, (scale, zero)) in scales.iter().zip(zeros).enumerate() {
                    let number = self.number(&words, input, first + place);
                    tile[place * self.inputs + input] = scale * (number - zero) as f32;
                }
            }
        });
        Ok(values)
    }

    /// The packed number of an input and an output.
    #[inline]
    fn number(&self, words: &[u32], input: usize, output: usize) -> i32 {
        match self.layout {
            Layout::Gptq { .. } => {
                let bit = input * self.bits;
                let at = |row: usize| words.get(row * self.outputs + output).copied().unwrap_or(0);
                stream(at(bit / WORD_BITS), || at(bit / WORD_BITS + 1), bit % WORD_BITS, self.bits)
            }
            Layout::Awq { .. } => awq(words, input * self.outputs / AWQ_PLACES.len(), output),
        }
    }

    /// The zero points, `[groups, outputs]`.
    fn zeros(&self, words: &[u32]) -> Vec<i32> {
        let row_words = self.outputs * self.bits / WORD_BITS;
        let mask = (1 << self.bits) - 1;
        let mut zeros = Vec::with_capacity(self.groups * self.outputs);
        for row in words.chunks_exact(row_words.max(1)) {
            zeros.extend((0..self.outputs).map(|output| match self.layout {
                Layout::Awq { .. } => awq(row, 0, output),
                Layout::Gptq { zero_less_one, .. } => {
                    let bit = output * self.bits;
                    let at = |word: usize| row.get(word).copied().unwrap_or(0);
                    let kept =
                        stream(at(bit / WORD_BITS), || at(bit / WORD_BITS + 1), bit % WORD_BITS, self.bits);
                    if zero_less_one { (kept + 1) & mask } else { kept }
                }
            }));
        }
        zeros
    }

    fn groups_of_inputs(&self, raw: &SafetensorsFolder, base: &str) -> Result<Vec<usize>, ModelError> {
        let group = match self.layout {
            Layout::Gptq { ordered: false, group, .. } | Layout::Awq { group } => group,
            Layout::Gptq { .. } => {
                let name = format!("{base}.g_idx");
                let groups: Vec<u32> = raw.read_words(&name)?;
                // A negative index is a large one here.
                return groups
                    .iter()
                    .enumerate()
                    .map(|(input, &group)| match group as usize {
                        group if group < self.groups => Ok(group),
                        _ => {
                            let found = group.cast_signed();
                            let problem =
                                format!("input {input} is of group {found}, and there are {}", self.groups);
                            Err(ModelError::tensor(&raw.path_of(&name), &name, problem))
                        }
                    })
                    .collect();
            }
        };
        Ok((0..self.inputs).map(|input| input / group).collect())
    }
}

/// `bits` bits from bit `shift` of a word on, which may reach into the next.
#[inline]
fn stream(word: u32, next: impl Fn() -> u32, shift: usize, bits: usize) -> i32 {
    let mut value = word >> shift;
    if shift + bits > WORD_BITS {
        value |= next() << (WORD_BITS - shift);
    }
    (value & ((1 << bits) - 1)).cast_signed()
}

#[inline]
fn awq(words: &[u32], first: usize, output: usize) -> i32 {
    let word = words[first + output / AWQ_PLACES.len()];
    (word >> (AWQ_BITS * AWQ_PLACES[output % AWQ_PLACES.len()]) & 15).cast_signed()
}
