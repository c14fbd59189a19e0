//! Constants of an ONNX file: shape and length checked before an element is looked at.

use std::path::Path;

use half::f16;

use super::proto::TensorProto;
use crate::ModelError;

/// Most dimensions: a classifier's tensors have two, packed ones three.
const MAX_DIMENSIONS: usize = 4;
/// Most elements: an embedding of 2^24 tokens by 64.
const MAX_ELEMENTS: usize = 1 << 30;

/// Element types by their numbers in `TensorProto.DataType`.
mod data_type {
    pub(super) const FLOAT: i32 = 1;
    pub(super) const UINT8: i32 = 2;
    pub(super) const INT8: i32 = 3;
    pub(super) const FLOAT16: i32 = 10;
}

/// The file's bytes hold the elements, not another file's.
const LOCATION_DEFAULT: i32 = 0;

/// A constant, checked.
pub(super) struct Constant<'m> {
    pub(super) shape: Vec<usize>,
    pub(super) values: Values<'m>,
}

/// Its elements.
pub(super) enum Values<'m> {
    /// 32-bit floats, converted from halves where the file has those.
    Float(Vec<f32>),
    /// Unsigned bytes.
    Unsigned(&'m [u8]),
    /// Small numbers that stand in a list of 32-bit ones.
    Listed(Vec<i32>),
    /// Signed bytes.
    Signed(&'m [u8]),
}

impl<'m> Constant<'m> {
    pub(super) fn new(path: &Path, proto: &'m TensorProto) -> Result<Self, ModelError> {
        let fault = |problem: String| ModelError::tensor(path, &proto.name, problem);
        if proto.data_location != LOCATION_DEFAULT {
            return Err(fault("its elements stand in another file, which is not read".to_owned()));
        }
        if proto.dims.len() > MAX_DIMENSIONS {
            return Err(fault(format!("{} dimensions, at most {MAX_DIMENSIONS} are read", proto.dims.len())));
        }
        let mut shape = Vec::with_capacity(proto.dims.len());
        let mut count: usize = 1;
        for &dimension in &proto.dims {
            // None of zero: a matrix without elements might have any number of columns.
            let size = usize::try_from(dimension).ok().filter(|&size| size > 0);
            let size = size.ok_or_else(|| fault(format!("a dimension of {dimension}")))?;
            count = count.checked_mul(size).filter(|&count| count <= MAX_ELEMENTS).ok_or_else(|| {
                fault(format!("the shape {:?} has more than {MAX_ELEMENTS} elements", proto.dims))
            })?;
            shape.push(size);
        }
        let values = values(path, proto, count)?;
        Ok(Self { shape, values })
    }

    pub(super) fn len(&self) -> usize {
        match &self.values {
            Values::Float(values) => values.len(),
            Values::Listed(values) => values.len(),
            Values::Unsigned(values) | Values::Signed(values) => values.len(),
        }
    }

    /// The element at `at` as a number.
    pub(super) fn number(&self, at: usize) -> f32 {
        match &self.values {
            Values::Float(values) => values[at],
            Values::Listed(values) => values[at] as f32,
            Values::Unsigned(values) => f32::from(values[at]),
            Values::Signed(values) => f32::from(values[at].cast_signed()),
        }
    }
}

fn values<'m>(path: &Path, proto: &'m TensorProto, count: usize) -> Result<Values<'m>, ModelError> {
    let fault = |problem: String| ModelError::tensor(path, &proto.name, problem);
    let raw = proto.raw_data.as_slice();
    let expect = |found: usize, expected: usize, what: &str| match found == expected {
        true => Ok(()),
        false => {
            Err(fault(format!("the shape {:?} asks for {expected} {what}, there are {found}", proto.dims)))
        }
    };
    match proto.data_type {
        data_type::FLOAT if !raw.is_empty() => {
            expect(raw.len(), count * 4, "bytes")?;
            let (elements, _) = raw.as_chunks::<4>();
            Ok(Values::Float(elements.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()))
        }
        data_type::FLOAT => {
            expect(proto.float_data.len(), count, "floats")?;
            Ok(Values::Float(proto.float_data.clone()))
        }
        data_type::FLOAT16 => {
            expect(raw.len(), count * 2, "bytes")?;
            let (elements, _) = raw.as_chunks::<2>();
            Ok(Values::Float(elements.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect()))
        }
        data_type::UINT8 | data_type::INT8 if raw.is_empty() => {
            expect(proto.int32_data.len(), count, "numbers")?;
            Ok(Values::Listed(proto.int32_data.clone()))
        }
        data_type::UINT8 => expect(raw.len(), count, "bytes").map(|()| Values::Unsigned(raw)),
        data_type::INT8 => expect(raw.len(), count, "bytes").map(|()| Values::Signed(raw)),
        other => {
            Err(fault(format!("elements of type {other} are not read (read: FLOAT, FLOAT16, UINT8, INT8)")))
        }
    }
}
