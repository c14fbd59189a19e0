//! Files of trained tensors, f32, under the names of the parameters.

use std::fs;
use std::path::Path;

use rtune_adapters::{Floats, Parameters};
use safetensors::tensor::{Dtype, SafeTensors};

use crate::checkpoint::NamedSlice;
use crate::error::TrainerError;
use crate::files::{self, At};

/// A part of a flat vector as a tensor.
pub(crate) fn floats<'a>(slice: &'a NamedSlice, flat: &'a [f32]) -> Floats<'a> {
    Floats { shape: &slice.shape, values: &flat[slice.range.clone()] }
}

/// Writes the tensors, f32.
///
/// # Errors
/// [`TrainerError::File`] when the file cannot be written.
pub(crate) fn write(path: &Path, slices: &[NamedSlice], flat: &[f32]) -> Result<(), TrainerError> {
    let unreadable = |error: safetensors::SafeTensorError| TrainerError::Unreadable {
        file: path.to_owned(),
        problem: error.to_string(),
    };
    let views = slices.iter().map(|slice| (slice.name.as_str(), floats(slice, flat)));
    let metadata = std::collections::HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let file = safetensors::serialize(views, Some(metadata)).map_err(unreadable)?;
    Ok(files::write_whole(path, &file)?)
}

/// Reads what [`write`] wrote into the parameters of the same model.
///
/// # Errors
/// [`TrainerError::Unreadable`] for a tensor too many, too few, of another shape or type, or with a number that is none.
pub(crate) fn read(path: &Path, parameters: &mut Parameters<f32>) -> Result<(), TrainerError> {
    let unreadable = |problem: String| TrainerError::Unreadable { file: path.to_owned(), problem };
    let bytes = fs::read(path).at("read", path)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| unreadable(error.to_string()))?;
    let entries = parameters.entries().to_vec();
    if file.len() != entries.len() {
        return Err(unreadable(format!("expected {} tensors, found {}", entries.len(), file.len())));
    }
    for entry in entries {
        let name = &entry.name;
        let tensor = file.tensor(name).map_err(|error| unreadable(format!("`{name}`: {error}")))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != entry.shape {
            let found = format!("{:?} {:?}", tensor.dtype(), tensor.shape());
            return Err(unreadable(format!("`{name}`: expected F32 {:?}, found {found}", entry.shape)));
        }
        let numbers = tensor.data().as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number));
        for (place, number) in parameters.flat_mut()[entry.range].iter_mut().zip(numbers) {
            if !number.is_finite() {
                return Err(unreadable(format!("`{name}` holds {number}, not a finite number")));
            }
            *place = number;
        }
    }
    Ok(())
}
