//! Weights as operations of an ONNX file keep them, to matrices of 32-bit floats.

use super::proto::Node;
use super::tensor::{Constant, Values};

/// A block of fewer elements, or one that is no power of two, is outside the operation's definition.
const MIN_BLOCK: usize = 16;
/// Largest block; onnxruntime writes 16 to 256.
const MAX_BLOCK: usize = 1 << 16;

/// Compares the shape that is wanted with that of the file, before anything is unpacked.
///
/// Errors say both.
pub(super) fn fits(wanted: &[usize], found: &[usize]) -> Result<(), String> {
    if wanted == found {
        return Ok(());
    }
    Err(format!("config.json asks for the shape {wanted:?}, the file has {found:?}"))
}

/// `MatMulNBits` of `com.microsoft`: `B` holds N rows of blocks, each of `block_size` numbers of 4 or 8 bits, the low
/// bits first; a number q means (q - zero point) * scale. The result has N rows of K, row-major, as a linear layer has them.
///
/// Errors say what does not fit.
pub(super) fn matmul_n_bits(
    node: &Node,
    wanted: &[usize],
    packed: &Constant<'_>,
    scales: &Constant<'_>,
    zeros: Option<&Constant<'_>>,
) -> Result<Vec<f32>, String> {
    let size = |name: &str| {
        let value = node.integer(name).ok_or_else(|| format!("the attribute `{name}` is missing"))?;
        usize::try_from(value).ok().filter(|&value| value > 0).ok_or_else(|| format!("`{name}` is {value}"))
    };
    let (columns, rows, block) = (size("K")?, size("N")?, size("block_size")?);
    let bits = size("bits").unwrap_or(4);
    if !matches!(bits, 4 | 8) {
        return Err(format!("numbers of {bits} bits are not read (read: 4, 8)"));
    }
    if !(MIN_BLOCK..=MAX_BLOCK).contains(&block) || !block.is_power_of_two() {
        return Err(format!(
            "`block_size` is {block}: expected a power of two from {MIN_BLOCK} to {MAX_BLOCK}"
        ));
    }
    let blocks = columns.div_ceil(block);
    let block_bytes = block * bits / 8;
    let elements = rows.checked_mul(columns).ok_or_else(|| format!("{rows} rows of {columns}"))?;
    fits(wanted, &[rows, columns])?;
    let Values::Unsigned(bytes) = &packed.values else {
        return Err("the packed numbers are no bytes".to_owned());
    };
    let expect = |what: &str, found: usize, expected: Option<usize>| match expected == Some(found) {
        true => Ok(()),
        false => {
            Err(format!("{what}: expected {expected:?} for {rows} rows of {blocks} blocks, found {found}"))
        }
    };
    let all_blocks = rows.checked_mul(blocks);
    expect("bytes", bytes.len(), all_blocks.and_then(|count| count.checked_mul(block_bytes)))?;
    expect("scales", scales.len(), all_blocks)?;
    let Values::Float(scales) = &scales.values else { return Err("the scales are no floats".to_owned()) };
    // Packed zero points begin anew in each row.
    let zero_bytes = (blocks * bits).div_ceil(8);
    let zero_of: Box<dyn Fn(usize, usize) -> f32> = match zeros.map(|zeros| &zeros.values) {
        None => Box::new(move |_, _| if bits == 4 { 8.0 } else { 128.0 }),
        Some(Values::Unsigned(zeros)) => {
            expect("bytes of zero points", zeros.len(), rows.checked_mul(zero_bytes))?;
            Box::new(move |row, at| f32::from(number(&zeros[row * zero_bytes..], at, bits)))
        }
        Some(Values::Float(zeros)) => {
            expect("zero points", zeros.len(), all_blocks)?;
            Box::new(move |row, at| zeros[row * blocks + at])
        }
        Some(_) => return Err("the zero points are neither bytes nor floats".to_owned()),
    };
    let mut values = Vec::with_capacity(elements);
    for row in 0..rows {
        for at in 0..blocks {
            let first = (row * blocks + at) * block_bytes;
            let (scale, zero) = (scales[row * blocks + at], zero_of(row, at));
            let count = block.min(columns - at * block);
            let block = &bytes[first..first + block_bytes];
            values.extend((0..count).map(|index| (f32::from(number(block, index, bits)) - zero) * scale));
        }
    }
    Ok(values)
}

/// The number at `at` among numbers of 4 or 8 bits, the low bits first.
fn number(bytes: &[u8], at: usize, bits: usize) -> u8 {
    if bits == 8 { bytes[at] } else { (bytes[at / 2] >> (4 * (at % 2))) & 15 }
}

/// `DequantizeLinear`: (q - zero point) * scale, with one scale for all, or one for each place along `axis`.
pub(super) fn dequantize_linear(
    node: &Node,
    wanted: &[usize],
    packed: &Constant<'_>,
    scale: &Constant<'_>,
    zero: Option<&Constant<'_>>,
) -> Result<Vec<f32>, String> {
    fits(wanted, &packed.shape)?;
    if let Some(zero) = zero
        && zero.len() != scale.len()
    {
        return Err(format!("{} scales, but {} zero points", scale.len(), zero.len()));
    }
    let shape = packed.shape.clone();
    let place: Box<dyn Fn(usize) -> usize> = if scale.len() == 1 {
        Box::new(|_| 0)
    } else {
        let axis = node.integer("axis").unwrap_or(1);
        let axis = if axis < 0 { axis + shape.len() as i64 } else { axis };
        let axis = usize::try_from(axis).ok().filter(|&axis| axis < shape.len());
        let axis = axis.ok_or_else(|| format!("no such axis of the shape {shape:?}"))?;
        if scale.shape.len() > 1 || shape[axis] != scale.len() {
            return Err(format!("{} scales for axis {axis} of the shape {shape:?}", scale.len()));
        }
        let (inner, size) = (shape[axis + 1..].iter().product::<usize>().max(1), shape[axis]);
        Box::new(move |at| at / inner % size)
    };
    let value = |at: usize| {
        let place = place(at);
        (packed.number(at) - zero.map_or(0.0, |zero| zero.number(place))) * scale.number(place)
    };
    Ok((0..packed.len()).map(value).collect())
}

/// A plain matrix of K rows of N, as `MatMul` multiplies by it, turned into N rows of K.
pub(super) fn transposed(wanted: &[usize], matrix: &Constant<'_>) -> Result<Vec<f32>, String> {
    let (Values::Float(values), [rows, columns]) = (&matrix.values, matrix.shape.as_slice()) else {
        return Err(format!("expected a matrix of floats, found the shape {:?}", matrix.shape));
    };
    fits(wanted, &[*columns, *rows])?;
    let turned = (0..*columns).flat_map(|column| (0..*rows).map(move |row| values[row * columns + column]));
    Ok(turned.collect())
}
