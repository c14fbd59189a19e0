//! Functions of the language that are not the engine's own: what they make is neither too deep nor too long.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State};

use super::attributes::{is_changed, is_loop};
use super::bounds::sum_of;
use super::date::Date;
use super::needs::argument_of;
use super::room::{STANDS_ALONE, left, parts_of, take, text_bytes};

/// Functions that hold what they are called with.
const HOLDERS: [&str; 2] = ["namespace", "dict"];
/// The longest range in the sandbox of Jinja (`MAX_RANGE`).
const MOST_RANGE: i128 = 100_000;

/// Gives an environment the functions under the names of the engine's: whatever a template calls them, they are these.
pub(super) fn add(environment: &mut Environment<'_>) {
    for name in HOLDERS {
        let original = environment.globals().find(|(other, _)| *other == name).map(|(_, value)| value);
        let Some(original) = original else { continue };
        environment.add_function(name, move |state: &mut State<'_, '_>, values: Rest<ValueOrKwargs>| {
            let made = original.call(state, &values.into_values())?;
            text_bytes(&made, &left(state))?;
            Ok::<_, Error>(made)
        });
    }
    environment.add_function("range", range);
}

fn wrong(problem: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem)
}

/// `range(stop)`, `range(start, stop, step)`.
fn range(start: i64, stop: Option<i64>, step: Option<i64>) -> Result<Value, Error> {
    let (start, stop) = stop.map_or((0, start), |stop| (start, stop));
    let (start, stop, step) = (i128::from(start), i128::from(stop), i128::from(step.unwrap_or(1)));
    let far = if step < 0 { start - stop } else { stop - start };
    let count = match step.abs() {
        0 => return Err(wrong("cannot create range with step of 0")),
        width if far > 0 => (far - 1) / width + 1,
        _ => 0,
    };
    if count > MOST_RANGE {
        return Err(wrong("range has too many elements"));
    }
    let count = usize::try_from(count).unwrap_or(0);
    // Each lies between the start and the end, which are no larger than 64 bits.
    let at = move |index: usize| i64::try_from(start + index as i128 * step).unwrap_or(i64::MAX);
    Ok(Value::make_iterable(move || (0..count).map(at)))
}

/// `value.cycle(values)`: the engine's loops divide by how many values there are.
pub(super) fn cycled(
    state: &mut State<'_, '_>,
    value: &Value,
    values: Rest<ValueOrKwargs>,
) -> Result<Value, Error> {
    let values = values.into_values();
    if !is_loop(value) {
        return value.call_method(state, "cycle", &values);
    }
    if values.is_empty() {
        return Err(wrong("no items for cycling given"));
    }
    if values.iter().any(Value::is_kwargs) {
        return Err(wrong("a cycle has no names"));
    }
    let index = value.get_attr("index0")?.as_usize().unwrap_or(0);
    Ok(values[index % values.len()].clone())
}

/// The bytes of a date, or of what stands for a part of one.
const DATE_BYTES: usize = 64;

/// `strftime_now(format)`.
pub(super) fn dated(state: &mut State<'_, '_>, date: Date, format: &str) -> Result<String, Error> {
    let room = left(state);
    room.spend(parts_of(format.len()))?;
    let places = format.bytes().filter(|byte| *byte == b'%').count();
    let bytes = format.len().saturating_add(places.saturating_mul(DATE_BYTES));
    room.fits(bytes)?;
    let made = date.format(format)?;
    take(state, made.len())?;
    Ok(made)
}

/// `-value`; true is a number, too.
pub(super) fn negative(value: &Value) -> Result<Value, Error> {
    let problem =
        || Error::new(ErrorKind::InvalidOperation, format!("bad operand for `-`: {}", value.kind()));
    match value.kind() {
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::Bool => Ok(Value::from(-i64::from(value.is_true()))),
        ValueKind::Number if value.is_integer() => {
            let number = i128::try_from(value.clone())?.checked_neg().ok_or_else(problem)?;
            Ok(i64::try_from(number).map_or_else(|_| Value::from(number), Value::from))
        }
        ValueKind::Number => Ok(Value::from(-f64::try_from(value.clone())?)),
        _ => Err(problem()),
    }
}

/// What is set on a namespace.
pub(super) fn held(value: &Value) -> Result<Value, Error> {
    if is_changed(value) { Err(wrong(STANDS_ALONE)) } else { Ok(value.clone()) }
}

/// `items | sum(attribute, start)` where the start is no number.
pub(super) fn summed(
    state: &mut State<'_, '_>,
    value: &Value,
    arguments: &[Value],
    start: Value,
) -> Result<Value, Error> {
    if start.as_str().is_some() {
        return Err(wrong("sum() can't sum strings [use ''.join(seq) instead]"));
    }
    let attribute = argument_of(arguments, 0, "attribute");
    let items = match attribute.is_undefined() || attribute.is_none() {
        true => value.clone(),
        false => {
            let named = Kwargs::from_iter([("attribute", attribute)]);
            state.apply_filter("map", &[value.clone(), Value::from(named)])?
        }
    };
    let mut sum = start;
    for item in items.try_iter()?.checked() {
        sum = sum_of(state, sum, &item?)?;
    }
    Ok(sum)
}

/// The groups of `groupby`, as pairs that hold nothing but what they show.
pub(super) fn groups(made: &Value) -> Result<Value, Error> {
    let group = |pair: Value| {
        let list = pair.get_attr("list")?.try_iter()?.collect();
        Ok(Value::from_object(Group { grouper: pair.get_attr("grouper")?, list }))
    };
    made.try_iter()?.map(group).collect::<Result<Vec<_>, Error>>().map(Value::from)
}

/// One group.
#[derive(Debug)]
struct Group {
    grouper: Value,
    list: Value,
}

impl Object for Group {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match (key.as_usize(), key.as_str()) {
            (Some(0), None) | (None, Some("grouper")) => Some(self.grouper.clone()),
            (Some(1), None) | (None, Some("list")) => Some(self.list.clone()),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(2)
    }

    fn render(self: &Arc<Self>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "({:?}, {:?})", self.grouper, self.list)
    }
}
