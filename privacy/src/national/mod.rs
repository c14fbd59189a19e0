//! National identifiers as data: how they are written, and what their check digits say.
//!
//! One file a country. Each form comes from the definition of its identifier; a check answers [`Check::Invalid`] only where
//! no issued identifier could look so, and [`Check::Unknown`] where the form is all there is to go by.
//!
//! [`Check::Invalid`]: crate::check::Check::Invalid
//! [`Check::Unknown`]: crate::check::Check::Unknown

use crate::form::Form;

pub(crate) mod checksums;

mod au;
mod ca;
mod de;
mod es;
mod fi;
mod india;
mod it;
mod kr;
mod ng;
mod ph;
mod pl;
mod se;
mod sg;
mod th;
mod tr;
mod uk;
mod us;
mod za;

#[cfg(test)]
mod tests;

/// Every form of every country.
pub(crate) fn forms() -> impl Iterator<Item = &'static Form> {
    let western = [
        us::FORMS,
        uk::FORMS,
        de::FORMS,
        es::FORMS,
        it::FORMS,
        pl::FORMS,
        fi::FORMS,
        se::FORMS,
        au::FORMS,
        ca::FORMS,
    ];
    let others = [india::FORMS, kr::FORMS, sg::FORMS, th::FORMS, tr::FORMS, za::FORMS, ng::FORMS, ph::FORMS];
    western.into_iter().chain(others).flatten()
}
