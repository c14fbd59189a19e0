//! Letters and digits as asterisks.

use crate::entity::Entity;

/// What stays of a card and a telephone number, as receipts print it.
const KEPT: usize = 4;

/// Letters and digits become `*`; spaces and signs stay. Of cards and telephone numbers the last four digits stay, unless
/// these are half of it or more.
pub(super) fn mask(entity: Entity, text: &str) -> String {
    let phones = [Entity::PhoneNumber, Entity::TrPhoneNumber, Entity::PhMobileNumber];
    let signs = text.chars().filter(|c| c.is_alphanumeric()).count();
    let keeps = (entity == Entity::CreditCard || phones.contains(&entity)) && signs > 2 * KEPT;
    let hidden = if keeps { signs - KEPT } else { signs };
    let mut seen = 0;
    let masked = text.chars().map(|c| {
        if !c.is_alphanumeric() {
            return c;
        }
        seen += 1;
        if seen <= hidden { '*' } else { c }
    });
    masked.collect()
}
