//! Plausible stand-ins: of the same kind and form as the original, and nobody's.

mod contact;
mod date;
mod number;
mod person;
mod place;
mod words;

use std::collections::{HashMap, HashSet};

use super::draw::Key;
use crate::entity::Entity;
use person::Persons;

/// How often another stand-in is drawn where one is taken; then a tag stands in.
const TRIES: u32 = 24;

/// The stand-ins of one record.
pub(super) struct StandIns {
    key: Key,
    through_set: bool,
    persons: Persons,
    shift_days: i64,
    /// By entity and value, which attempt gave a stand-in that was free.
    attempts: HashMap<(Entity, String), u32>,
    /// Stand-ins given out, with whose they are.
    taken: HashMap<String, String>,
    /// Values of the record: none stands in for another.
    originals: HashSet<String>,
}

impl StandIns {
    /// For a record with these values, each with the text before it. Through a set a stand-in follows from its value and the key alone, so that two values may,
    /// seldom, share one; within a record none do.
    pub(super) fn new<'a>(
        key: Key,
        through_set: bool,
        values: impl Iterator<Item = (Entity, &'a str, &'a str)> + Clone,
    ) -> Self {
        let mut persons = Persons::new(through_set);
        let names = values.clone().filter(|(entity, ..)| *entity == Entity::Person);
        names.for_each(|(_, name, before)| persons.learn(name, before));
        let shift_days = date::shift_days(&key);
        let originals = values.map(|(_, value, _)| canonical(value)).collect();
        Self {
            key,
            through_set,
            persons,
            shift_days,
            attempts: HashMap::new(),
            taken: HashMap::new(),
            originals,
        }
    }

    /// What stands in for `text`, which follows `before`; none for what has no stand-in, such as a key or a password.
    pub(super) fn of(&mut self, entity: Entity, text: &str, before: &str) -> Option<String> {
        if entity == Entity::Person {
            let renamed = self.persons.rename(&self.key, text, before);
            return (canonical(&renamed) != canonical(text)).then_some(renamed);
        }
        // Of these the signs between digits make the value: 10.0.1.15 is not 10.0.11.5.
        let value = match entity {
            Entity::IpAddress | Entity::Url => text.trim().to_lowercase(),
            _ => canonical(text),
        };
        if let Some(&attempt) = self.attempts.get(&(entity, value.clone())) {
            return self.make(entity, &value, text, attempt);
        }
        for attempt in 0..TRIES {
            let made = self.make(entity, &value, text, attempt)?;
            if canonical(&made) != canonical(text) && self.is_free(&value, &canonical(&made)) {
                self.taken.insert(canonical(&made), value.clone());
                self.attempts.insert((entity, value), attempt);
                return Some(made);
            }
        }
        None
    }

    fn is_free(&self, value: &str, made: &str) -> bool {
        let others =
            self.originals.contains(made) || self.taken.get(made).is_some_and(|whose| whose != value);
        self.through_set || !others
    }

    fn make(&mut self, entity: Entity, value: &str, text: &str, attempt: u32) -> Option<String> {
        let draw = self.key.draw(entity.name(), value, attempt);
        let key = &self.key;
        Some(match entity {
            Entity::EmailAddress => contact::email(&mut self.persons, key, text, attempt)?,
            Entity::PhoneNumber | Entity::TrPhoneNumber | Entity::PhMobileNumber => {
                contact::phone(draw, text)
            }
            Entity::CreditCard => number::card(draw, text),
            Entity::IbanCode => number::iban(draw, text),
            Entity::IpAddress => contact::ip(draw, text),
            Entity::MacAddress => contact::mac(draw, text),
            Entity::Url => contact::url(draw, text),
            Entity::Crypto => number::wallet(draw, text),
            Entity::DateTime | Entity::DateOfBirth => {
                date::shifted(text, self.shift_days + i64::from(attempt))
                    .or_else(|| date::digits(key, value, text, attempt))?
            }
            Entity::StreetAddress => place::address(draw, text),
            Entity::Location => place::place(draw, text),
            Entity::Organization => place::organization(draw, text),
            Entity::Username => place::username(&mut self.persons, key, text, attempt),
            Entity::Password
            | Entity::ApiKey
            | Entity::PrivateKey
            | Entity::JsonWebToken
            | Entity::CredentialUri
            | Entity::Other => return None,
            _ => number::identifier(key, entity, value, text, attempt),
        })
    }
}

#[cfg(test)]
pub(super) fn is_of_a_woman(name: &str) -> bool {
    words::WOMEN.contains(&name)
}

/// What makes two texts one value: small letters and digits, whatever stands between; all of it where there are none.
pub(super) fn canonical(text: &str) -> String {
    let signs: String = text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    if signs.is_empty() { text.trim().to_owned() } else { signs }
}
