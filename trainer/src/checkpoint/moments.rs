//! optimizer.safetensors: both moments of AdamW, a tensor for each parameter, in f32.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors};

use crate::error::TrainerError;
use crate::files::{self, At};
use crate::tensors::floats;

/// A named part of the flat vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedSlice {
    /// The parameter's name, as `peft` has it without the prefix.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its place.
    pub range: Range<usize>,
}

const FIRST: &str = "first_moment.";
const SECOND: &str = "second_moment.";

/// Writes `first` and `second`, each as long as the slices together, as `first_moment.NAME` and `second_moment.NAME`.
///
/// # Errors
/// [`TrainerError::File`] when the file cannot be written.
pub fn write_moments(
    path: &Path,
    slices: &[NamedSlice],
    first: &[f32],
    second: &[f32],
) -> Result<(), TrainerError> {
    let unreadable = |error: SafeTensorError| TrainerError::Unreadable {
        file: path.to_owned(),
        problem: error.to_string(),
    };
    let mut views = BTreeMap::new();
    for (prefix, flat) in [(FIRST, first), (SECOND, second)] {
        for slice in slices {
            views.insert(format!("{prefix}{}", slice.name), floats(slice, flat));
        }
    }
    let metadata = std::collections::HashMap::from([("format".to_owned(), super::FORMAT.to_string())]);
    // Tensor by tensor: a copy of all of them beside what is trained would be the most memory that a run takes.
    files::write_whole_by(path, |beside| {
        match safetensors::serialize_to_file(views, Some(metadata), beside) {
            Err(SafeTensorError::IoError(error)) => Ok(Err(error)),
            done => done.map(Ok),
        }
    })
    .map_err(unreadable)??;
    Ok(())
}

/// Reads what [`write_moments`] wrote, for the same parameters: `(first, second)`.
///
/// # Errors
/// [`TrainerError::Unreadable`] for a tensor too many, too few, of another shape or type, or with a number that no moment is.
pub fn read_moments(path: &Path, slices: &[NamedSlice]) -> Result<(Vec<f32>, Vec<f32>), TrainerError> {
    let unreadable = |problem: String| TrainerError::Unreadable { file: path.to_owned(), problem };
    let bytes = fs::read(path).at("read", path)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| unreadable(error.to_string()))?;
    if file.len() != 2 * slices.len() {
        return Err(unreadable(format!("expected {} tensors, found {}", 2 * slices.len(), file.len())));
    }
    let length = slices.last().map_or(0, |slice| slice.range.end);
    // The root of the second is divided by: a number below zero would make none of every parameter it belongs to.
    let read = |prefix: &str, least: f32, expected: &str| -> Result<Vec<f32>, TrainerError> {
        let mut flat = vec![0.0; length];
        for slice in slices {
            let name = format!("{prefix}{}", slice.name);
            let tensor = file.tensor(&name).map_err(|error| unreadable(format!("`{name}`: {error}")))?;
            if tensor.dtype() != Dtype::F32 || tensor.shape() != slice.shape {
                let found = format!("{:?} {:?}", tensor.dtype(), tensor.shape());
                return Err(unreadable(format!("`{name}`: expected F32 {:?}, found {found}", slice.shape)));
            }
            let (numbers, _) = tensor.data().as_chunks::<4>();
            for (place, number) in flat[slice.range.clone()].iter_mut().zip(numbers) {
                let number = f32::from_le_bytes(*number);
                if !number.is_finite() || number < least {
                    return Err(unreadable(format!("`{name}` holds {number}, not {expected}")));
                }
                *place = number;
            }
        }
        Ok(flat)
    };
    Ok((read(FIRST, f32::MIN, "a finite number")?, read(SECOND, 0.0, "a finite number from 0 on")?))
}
