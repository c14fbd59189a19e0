//! Every mode over records made of pieces, and what stands in for what.

use std::collections::BTreeMap;

use super::{Mode, Replacement, ReplacementError, Replacer, Scope, Scrubbed};
use crate::entity::Entity;
use crate::finding::Finding;
use crate::national;

mod properties;
mod scrubber;
mod standins;

const SALT: &str = "0123456789abcdef";

fn replacer(mode: Mode, scope: Scope) -> Replacer {
    Replacer::new(&Replacement { mode, scope, salt: Some(SALT.to_owned()) }).expect("a salt of 16 bytes")
}

fn finding(entity: Entity, start: usize, end: usize) -> Finding {
    Finding { start, end, entity, score: 1.0, rule: "test" }
}

/// Texts whose findings stand between `⟦` and `⟧`, with their entities in order.
fn marked(texts: &[&str], entities: &[Entity]) -> (Vec<String>, Vec<Vec<Finding>>) {
    let mut entities = entities.iter();
    let mut plain = Vec::new();
    let mut all = Vec::new();
    for text in texts {
        let (mut without, mut findings, mut start) = (String::new(), Vec::new(), 0);
        for c in text.chars() {
            match c {
                '⟦' => start = without.len(),
                '⟧' => {
                    findings.push(finding(*entities.next().expect("an entity a span"), start, without.len()))
                }
                c => without.push(c),
            }
        }
        plain.push(without);
        all.push(findings);
    }
    (plain, all)
}

fn replaced(mode: Mode, texts: &[&str], entities: &[Entity]) -> Vec<String> {
    let (mut texts, findings) = marked(texts, entities);
    let scrubbed = replacer(mode, Scope::Record).replace(&mut texts, &findings);
    assert_eq!(scrubbed.replaced, entities.len());
    texts
}

#[test]
fn tags_name_the_kind() {
    let texts = ["⟦Ümit Özil⟧ <⟦u@x.de⟧>", "👩‍👩‍👧⟦Ümit Özil⟧⟦4111 1111 1111 1111⟧"];
    let kinds = [Entity::Person, Entity::EmailAddress, Entity::Person, Entity::CreditCard];
    assert_eq!(
        replaced(Mode::Tag, &texts, &kinds),
        ["<PERSON> <<EMAIL_ADDRESS>>", "👩‍👩‍👧<PERSON><CREDIT_CARD>"]
    );
}

#[test]
fn numbers_follow_the_value_in_order_of_appearance() {
    let texts = ["⟦Anna Schmidt⟧ an ⟦Bob⟧", "⟦ANNA  schmidt⟧, ⟦a@x.de⟧, ⟦bob⟧, ⟦A@X.DE⟧ [NAME_7]"];
    let kinds = [
        Entity::Person,
        Entity::Person,
        Entity::Person,
        Entity::EmailAddress,
        Entity::Person,
        Entity::EmailAddress,
    ];
    // A number that the text has already is not given again.
    assert_eq!(
        replaced(Mode::Numbered, &texts, &kinds),
        ["[NAME_8] an [NAME_9]", "[NAME_8], [EMAIL_1], [NAME_9], [EMAIL_1] [NAME_7]"]
    );
}

#[test]
fn hashes_are_the_salts() {
    let texts = ["⟦a@x.de⟧ ⟦A@x.de ⟧ ⟦b@x.de⟧"];
    let made = replaced(Mode::Hash, &texts, &[Entity::EmailAddress; 3]);
    let parts: Vec<&str> = made[0].split(' ').collect();
    assert_eq!(parts[0], parts[1]);
    assert_ne!(parts[0], parts[2]);
    assert!(parts[0].starts_with("<EMAIL_ADDRESS:") && parts[0].len() == "<EMAIL_ADDRESS:3f9a1c2b>".len());
    let (mut again, findings) = marked(&texts, &[Entity::EmailAddress; 3]);
    let other = Replacement {
        mode: Mode::Hash,
        scope: Scope::Set,
        salt: Some("another salt of 26 bytes".to_owned()),
    };
    Replacer::new(&other).expect("a salt").replace(&mut again, &findings);
    assert_ne!(again[0], made[0]);
}

#[test]
fn masks_keep_the_form() {
    let texts = ["⟦4111-1111 1111 1234⟧ ⟦+49 30 1234567⟧ ⟦12345⟧ ⟦jürgen@x.de⟧"];
    let kinds = [Entity::CreditCard, Entity::PhoneNumber, Entity::PhoneNumber, Entity::EmailAddress];
    assert_eq!(
        replaced(Mode::Mask, &texts, &kinds),
        ["****-**** **** 1234 +** ** ***4567 ***** ******@*.**"]
    );
}

#[test]
fn a_row_is_dropped_only_if_something_is_found() {
    let (mut texts, findings) = marked(&["Hallo ⟦Anna⟧", ""], &[Entity::Person]);
    let scrubbed = replacer(Mode::DropRow, Scope::Record).replace(&mut texts, &findings);
    let counts = BTreeMap::from([(Entity::Person, 1)]);
    assert_eq!(scrubbed, Scrubbed { counts, drop: true, ..Scrubbed::default() });
    assert_eq!(texts, ["Hallo Anna", ""]);
    let scrubbed = replacer(Mode::DropRow, Scope::Record).replace(&mut texts, &[Vec::new(), Vec::new()]);
    assert_eq!(scrubbed, Scrubbed::default());
}

#[test]
fn a_salt_is_asked_for_where_it_counts() {
    let new = |mode, scope, salt: Option<&str>| {
        Replacer::new(&Replacement { mode, scope, salt: salt.map(str::to_owned) }).map(|_| ())
    };
    assert!(matches!(new(Mode::Hash, Scope::Record, None), Err(ReplacementError::SaltMissing { .. })));
    assert!(matches!(new(Mode::Surrogate, Scope::Set, None), Err(ReplacementError::SaltMissing { .. })));
    assert_eq!(
        new(Mode::Hash, Scope::Record, Some("short")),
        Err(ReplacementError::SaltTooShort { bytes: 5 })
    );
    assert_eq!(new(Mode::Surrogate, Scope::Record, None), Ok(()));
    let shown =
        format!("{:?}", Replacement { mode: Mode::Hash, scope: Scope::Set, salt: Some(SALT.to_owned()) });
    assert!(!shown.contains(SALT), "{shown}");
}

#[test]
fn findings_that_overlap_or_hold_nothing_are_left() {
    let text = "ab cd ef <PERSON> [EMAIL_1]".to_owned();
    let findings = vec![
        finding(Entity::Person, 3, 8),
        finding(Entity::Person, 0, 5),
        finding(Entity::Url, 5, 6),
        finding(Entity::Person, 10, 16),
        finding(Entity::EmailAddress, 18, 27),
        finding(Entity::Url, 90, 99),
        finding(Entity::Url, 2, 2),
    ];
    let mut texts = [text];
    let scrubbed = replacer(Mode::Tag, Scope::Record).replace(&mut texts, &[findings]);
    assert_eq!(texts[0], "<PERSON> ef <PERSON> [EMAIL_1]");
    assert_eq!(scrubbed.replaced, 1);
}

/// What a check of the entity says of the text: whether some form would take it for sure.
fn is_valid(entity: Entity, text: &str) -> bool {
    let checks = national::forms().filter(|form| form.entity == entity).filter_map(|form| form.check);
    checks.into_iter().any(|check| check(text).is_right())
}
