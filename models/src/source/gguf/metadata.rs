//! GGUF metadata: typed values by key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::cursor::Cursor;
use crate::ModelError;

/// Most elements of all arrays of a file together, of which each takes 32 bytes in memory and strings their length besides: a
/// byte of a file must not become 32 without a bound. The largest vocabularies have 262,144 tokens, each with a type and a score,
/// and 514,906 merges: a sixth of this.
pub(super) const MAX_ELEMENTS: u64 = 1 << 23;

/// A metadata value. Whole numbers of all widths are one variant, and so are the two floats.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Integer(i128),
    Float(f64),
    Boolean(bool),
    String(String),
    Array(Vec<Value>),
}

impl Value {
    fn describe(&self) -> String {
        match self {
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Boolean(value) => value.to_string(),
            Self::String(text) => crate::config::excerpt(&serde_json::Value::from(text.as_str())),
            Self::Array(values) => format!("an array of {} values", values.len()),
        }
    }
}

const TYPE_ARRAY: u32 = 9;

/// Bytes of one value of a type at least; `None` for a number that is no type.
fn min_bytes(type_number: u32) -> Option<u64> {
    match type_number {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        8 | 10..=12 => Some(8),
        _ => None,
    }
}

/// Reads the type and the value of `key`; `left` is how many elements arrays may have yet.
pub(super) fn read_value(cursor: &mut Cursor, key: &str, left: &mut u64) -> Result<Value, ModelError> {
    let what = format!("the value of `{key}`");
    let type_number = cursor.u32(&what)?;
    if type_number != TYPE_ARRAY {
        return read_scalar(cursor, &what, type_number);
    }
    let element_type = cursor.u32(&what)?;
    let Some(each_bytes) = min_bytes(element_type) else {
        return Err(cursor.damaged(format!("{what} is an array of type {element_type}, which is not read")));
    };
    let count = cursor.u64(&what)?;
    cursor.expect(count, each_bytes, &what)?;
    *left = left.checked_sub(count).ok_or_else(|| {
        cursor.damaged(format!(
            "{what} should have {count} elements; all arrays together may have {MAX_ELEMENTS}, and {left} are left of them"
        ))
    })?;
    let values = (0..count).map(|_| read_scalar(cursor, &what, element_type)).collect::<Result<_, _>>()?;
    Ok(Value::Array(values))
}

fn read_scalar(cursor: &mut Cursor, what: &str, type_number: u32) -> Result<Value, ModelError> {
    Ok(match type_number {
        0 => Value::Integer(cursor.u8(what)?.into()),
        1 => Value::Integer(cursor.u8(what)?.cast_signed().into()),
        2 => Value::Integer(cursor.u16(what)?.into()),
        3 => Value::Integer(cursor.u16(what)?.cast_signed().into()),
        4 => Value::Integer(cursor.u32(what)?.into()),
        5 => Value::Integer(cursor.u32(what)?.cast_signed().into()),
        6 => Value::Float(decimal(f32::from_bits(cursor.u32(what)?))),
        7 => match cursor.u8(what)? {
            byte @ (0 | 1) => Value::Boolean(byte == 1),
            byte => return Err(cursor.damaged(format!("{what} is a boolean of {byte}"))),
        },
        8 => {
            let bytes = cursor.string(what)?;
            let text = String::from_utf8(bytes);
            Value::String(text.map_err(|_| cursor.damaged(format!("{what} is not valid UTF-8")))?)
        }
        10 => Value::Integer(cursor.u64(what)?.into()),
        11 => Value::Integer(cursor.u64(what)?.cast_signed().into()),
        12 => Value::Float(f64::from_bits(cursor.u64(what)?)),
        other => {
            return Err(cursor.damaged(format!("{what} has type {other}, which the format does not know")));
        }
    })
}

/// The shortest decimal that rounds to this `f32`: an epsilon of 1e-5 was written into `config.json` as a decimal
/// and is meant as one, not as 9.99999975e-6.
fn decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

/// All metadata of one file, with access that checks.
#[derive(Debug)]
pub(crate) struct Metadata {
    path: PathBuf,
    values: BTreeMap<String, Value>,
}

impl Metadata {
    pub(super) fn new(path: &Path, values: BTreeMap<String, Value>) -> Self {
        Self { path: path.to_owned(), values }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    pub(crate) fn string(&self, key: &str) -> Result<Option<&str>, ModelError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(key, "a string", other)),
        }
    }

    pub(crate) fn boolean(&self, key: &str) -> Result<Option<bool>, ModelError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Boolean(value)) => Ok(Some(*value)),
            Some(other) => Err(self.wrong(key, "true or false", other)),
        }
    }

    /// A whole number from 1 to `max`.
    pub(crate) fn size(&self, key: &str, max: usize) -> Result<Option<usize>, ModelError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value {
            Value::Integer(number) => usize::try_from(*number).ok().filter(|size| (1..=max).contains(size)),
            _ => None,
        }
        .map(Some)
        .ok_or_else(|| self.wrong(key, &format!("a whole number from 1 to {max}"), value))
    }

    pub(crate) fn required_size(&self, key: &str, max: usize) -> Result<usize, ModelError> {
        self.size(key, max)?.ok_or_else(|| self.missing(key, &format!("a whole number from 1 to {max}")))
    }

    /// A token id that is below `count`.
    pub(crate) fn token_id(&self, key: &str, count: usize) -> Result<Option<u32>, ModelError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value {
            Value::Integer(number) => u32::try_from(*number).ok().filter(|id| (*id as usize) < count),
            _ => None,
        }
        .map(Some)
        .ok_or_else(|| self.wrong(key, &format!("a token id below {count}"), value))
    }

    /// A finite number above zero and at most `max`.
    pub(crate) fn positive(&self, key: &str, max: f64) -> Result<Option<f64>, ModelError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value {
            Value::Float(number) if *number > 0.0 && *number <= max => Ok(Some(*number)),
            _ => Err(self.wrong(key, &format!("a number above 0 and at most {max}"), value)),
        }
    }

    pub(crate) fn strings(&self, key: &str) -> Result<Option<Vec<&str>>, ModelError> {
        self.array(key, "an array of strings", |value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    pub(crate) fn integers(&self, key: &str) -> Result<Option<Vec<i128>>, ModelError> {
        self.array(key, "an array of whole numbers", |value| match value {
            Value::Integer(number) => Some(*number),
            _ => None,
        })
    }

    /// Numbers, whole or not, all finite.
    pub(crate) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>, ModelError> {
        self.array(key, "an array of numbers", |value| match value {
            Value::Float(number) if number.is_finite() => Some(*number),
            Value::Integer(number) => Some(*number as f64),
            _ => None,
        })
    }

    fn array<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        element: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<Vec<T>>, ModelError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let Value::Array(values) = value else { return Err(self.wrong(key, expected, value)) };
        let elements = values.iter().map(element).collect::<Option<Vec<T>>>();
        elements.map(Some).ok_or_else(|| self.wrong(key, expected, value))
    }

    pub(crate) fn missing(&self, key: &str, expected: &str) -> ModelError {
        self.key_error(key, expected, "no such key".to_owned())
    }

    fn wrong(&self, key: &str, expected: &str, found: &Value) -> ModelError {
        self.key_error(key, expected, found.describe())
    }

    fn key_error(&self, key: &str, expected: &str, found: String) -> ModelError {
        let (path, key, expected) = (self.path.clone(), key.to_owned(), expected.to_owned());
        ModelError::Key { path, key, expected, found }
    }

    pub(crate) fn unsupported(&self, key: &str, found: impl Into<String>, supported: &str) -> ModelError {
        let (path, key, found) = (self.path.clone(), key.to_owned(), found.into());
        ModelError::Unsupported { path, key, found, supported: supported.to_owned() }
    }
}
