//! National identifiers as data: how they are written, and what their check digits say.
//!
//! One file a country. Each form comes from the definition of its identifier; a check answers [`Check::Invalid`] only where
//! no issued identifier could look so, and [`Check::Unknown`] where the form is all there is to go by.
//!
//! [`Check::Invalid`]: crate::check::Check::Invalid
//! [`Check::Unknown`]: crate::check::Check::Unknown

use crate::form::Form;

pub(crate) mod checksums;

mod de;
mod uk;
mod us;

#[cfg(test)]
mod tests;

/// Every form of every country.
pub(crate) fn forms() -> impl Iterator<Item = &'static Form> {
    [us::FORMS, uk::FORMS, de::FORMS].into_iter().flatten()
}
