//! What stands in for what.

use super::{SALT, is_valid, marked, replaced, replacer};
use crate::entity::Entity;
use crate::replace::{Mode, Replacement, Replacer, Scope};

fn one(entity: Entity, text: &str) -> String {
    let marked = format!("⟦{text}⟧");
    let made = replaced(Mode::Surrogate, &[&marked], &[entity]).remove(0);
    assert_ne!(made.to_lowercase(), text.to_lowercase());
    made
}

/// Letters as `a`, capitals as `A`, digits as `0`.
fn form(text: &str) -> String {
    let sign = |c: char| match c {
        c if c.is_ascii_digit() => '0',
        c if c.is_uppercase() => 'A',
        c if c.is_alphabetic() => 'a',
        c => c,
    };
    text.chars().map(sign).collect()
}

#[test]
fn one_person_stays_one() {
    let texts = [
        "Dear ⟦Anna Schmidt⟧, ⟦ANNA SCHMIDT⟧ wrote from ⟦anna.schmidt@firma.de⟧ and ⟦aschmidt42@gmail.com⟧.",
        "Thanks, ⟦Anna⟧. Frau ⟦Schmidt⟧, ⟦A. Schmidt⟧, ⟦Schmidt, Anna⟧, ⟦anna⟧",
    ];
    let mut kinds = [Entity::Person; 9];
    kinds[2..4].fill(Entity::EmailAddress);
    let made = replaced(Mode::Surrogate, &texts, &kinds);
    let name = made[0].strip_prefix("Dear ").and_then(|rest| rest.split_once(',')).expect("a name").0;
    let (given, family) = name.split_once(' ').expect("two words");
    let (small_given, small_family) = (given.to_lowercase(), family.to_lowercase());
    let initial = &given[..1];
    assert!(!["Anna", "Schmidt"].contains(&given) && family != "Schmidt");
    assert!(
        made[0].contains(&format!(", {} {} wrote", given.to_uppercase(), family.to_uppercase())),
        "{made:?}"
    );
    assert!(made[0].contains(&format!("{small_given}.{small_family}@")), "{made:?}");
    assert!(made[0].contains(&format!("and {}{small_family}", initial.to_lowercase())), "{made:?}");
    assert!(made[0].matches("example.").count() == 2 && !made[0].contains("42@"), "{made:?}");
    let expected =
        format!("Thanks, {given}. Frau {family}, {initial}. {family}, {family}, {given}, {small_given}");
    assert_eq!(made[1], expected);
}

#[test]
fn a_title_says_which_names_will_do() {
    for title in ["Mr.", "Mrs.", "Herr", "Frau"] {
        let made: Vec<String> = ["Aro", "Belo", "Ciro", "Dalo", "Ero"]
            .iter()
            .map(|name| {
                replaced(Mode::Surrogate, &[&format!("{title} ⟦{name} Xu⟧")], &[Entity::Person]).remove(0)
            })
            .collect();
        let of_women = made.iter().filter(|made| {
            let given = made.split(' ').nth(1).expect("a name");
            crate::replace::standin::is_of_a_woman(given)
        });
        assert_eq!(of_women.count(), if title == "Mrs." || title == "Frau" { 5 } else { 0 }, "{made:?}");
    }
}

#[test]
fn capitals_within_a_local_part_begin_a_name() {
    let made = one(Entity::EmailAddress, "BulatDenisov@teleworm.us");
    let local = made.split('@').next().expect("a local part");
    assert_eq!(local.chars().filter(|c| c.is_uppercase()).count(), 2, "{made}");
}

#[test]
fn two_persons_stay_two_and_none_is_the_other() {
    let names =
        ["Anna", "Clara", "Emma", "Julia", "Laura", "Lena", "Lisa", "Maria", "Sarah", "Sofia", "Nora", "Eva"];
    let text: String = names.iter().map(|name| format!("⟦{name}⟧ ")).collect();
    let made = replaced(Mode::Surrogate, &[&text], &vec![Entity::Person; names.len()]).remove(0);
    let mut words: Vec<&str> = made.split_whitespace().collect();
    assert!(words.iter().all(|word| !names.contains(word)), "{made}");
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), names.len());
}

#[test]
fn names_keep_their_shape() {
    for name in [
        "Dr. Hans-Peter von Thun",
        "O'Brien",
        "maria",
        "LEE",
        "Schmidt, Anna",
        "J. R. Smith",
        "Jean-Luc P. Moreau Jr.",
    ] {
        let made = one(Entity::Person, name);
        assert_eq!(
            made.matches([' ', '-', ',', '.']).count(),
            name.matches([' ', '-', ',', '.']).count(),
            "{made}"
        );
        assert_eq!(made == made.to_lowercase(), name == name.to_lowercase(), "{made}");
        assert_eq!(made == made.to_uppercase(), name == name.to_uppercase(), "{made}");
    }
    assert!(one(Entity::Person, "Dr. Hans-Peter von Thun").starts_with("Dr. "));
    assert!(one(Entity::Person, "Dr. Hans-Peter von Thun").contains(" von "));
}

#[test]
fn equal_records_are_equal_others_are_not() {
    let record = |text: &str| replaced(Mode::Surrogate, &[text], &[Entity::Person, Entity::UsSsn]).remove(0);
    let text = "⟦Anna Schmidt⟧ 1 ⟦536-90-4399⟧";
    assert_eq!(record(text), record(text));
    assert_ne!(record(text), record(&text.replace('1', "2")).replace(" 2 ", " 1 "));
}

#[test]
fn through_a_set_a_value_keeps_its_stand_in() {
    let scrub = |texts: &[&str], kinds: &[Entity], salt: &str| {
        let (mut texts, findings) = marked(texts, kinds);
        let replacement =
            Replacement { mode: Mode::Surrogate, scope: Scope::Set, salt: Some(salt.to_owned()) };
        Replacer::new(&replacement).expect("a salt").replace(&mut texts, &findings);
        texts.remove(0)
    };
    let alone = scrub(&["⟦Anna Schmidt⟧"], &[Entity::Person], SALT);
    let beside = scrub(&["⟦Anna Schmidt⟧ und ⟦Bob Meyer⟧"], &[Entity::Person; 2], SALT);
    assert!(beside.starts_with(&alone), "{alone} {beside}");
    assert_ne!(alone, scrub(&["⟦Anna Schmidt⟧"], &[Entity::Person], "a salt other than that"));
    let number = scrub(&["⟦536-90-4399⟧"], &[Entity::UsSsn], SALT);
    assert_eq!(
        scrub(&["x ⟦536 90 4399⟧"], &[Entity::UsSsn], SALT),
        format!("x {}", number.replace('-', " "))
    );
}

#[test]
fn telephone_numbers_are_those_of_films() {
    let cases = [
        ("+1 (212) 736-5000", "+1 (212) 555-01"),
        ("212-736-5000", "212-555-01"),
        ("736-5000", "555-01"),
        ("+44 20 7219 3000", "+44 20 7946 0"),
        ("07911 123456", "07700 900"),
        ("01483 123456", "01632 960"),
        ("+44 (0)7911 123456", "+44 (0)7700 900"),
        ("+49 171 5551234", "+49 171 39200"),
        ("0171 5551234", "0171 39200"),
        ("+49 30 227 32152", "+49 30 231 25"),
        ("+33 6 12 34 56 78", "+33 6 39 98 "),
        ("01 42 34 56 78", "01 99 00 "),
        ("+61 412 345 678", "+61 491 570 "),
        ("+48 601 123 456", "+48 600 0"),
    ];
    for (number, front) in cases {
        let made = one(Entity::PhoneNumber, number);
        assert!(made.starts_with(front), "{number}: {made}");
        assert_eq!(form(&made), form(number));
    }
}

#[test]
fn numbers_with_a_check_digit_are_nobodys() {
    let cases = [
        (Entity::UsNpi, "1245319599"),
        (Entity::AbaRoutingNumber, "021000021"),
        (Entity::UkNhs, "943 476 5919"),
        (Entity::DeTaxId, "86 095 742 719"),
        (Entity::DeVatId, "DE136695976"),
        (Entity::DeHealthInsurance, "A123456780"),
        (Entity::EsNif, "12345678Z"),
        (Entity::ItFiscalCode, "RSSMRA85T10A562S"),
        (Entity::PlPesel, "44051401359"),
        (Entity::FiPersonalIdentityCode, "131052-308T"),
        (Entity::SePersonnummer, "811228-9874"),
        (Entity::InAadhaar, "2341 2341 2346"),
        (Entity::KrBrn, "220-81-62517"),
        (Entity::AuAbn, "51 824 753 556"),
        (Entity::CaSin, "046 454 286"),
        (Entity::SgNricFin, "S1234567D"),
    ];
    for (entity, number) in cases {
        assert!(is_valid(entity, number));
        let made = one(entity, number);
        assert_eq!(form(&made), form(number));
        assert!(!is_valid(entity, &made), "{entity}: {made}");
    }
    let made = one(Entity::UsSsn, "536-90-4399");
    assert!(
        ["9", "666", "000"].iter().any(|area| made.starts_with(area))
            || made.contains("-00-")
            || made.ends_with("0000"),
        "{made}"
    );
    assert!(one(Entity::UsPassport, "C12345678").contains("0000"));
}

#[test]
fn cards_and_accounts_keep_brand_and_country() {
    let card = one(Entity::CreditCard, "4111 1111 1111 1111");
    let digits: Vec<u8> = card.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect();
    assert!(card.starts_with('4') && form(&card) == "0000 0000 0000 0000");
    assert!(!crate::national::checksums::luhn(&digits));
    let iban = one(Entity::IbanCode, "GB82 WEST 1234 5698 7654 32");
    assert!(iban.starts_with("GB00 "), "{iban}");
    assert_eq!(form(&iban), "AA00 AAAA 0000 0000 0000 00");
}

#[test]
fn networks_are_those_of_documentation() {
    assert!(
        ["192.0.2.", "198.51.100.", "203.0.113."]
            .iter()
            .any(|net| one(Entity::IpAddress, "8.8.8.8").starts_with(net))
    );
    assert!(one(Entity::IpAddress, "10.0.0.0/8").ends_with("/8"));
    assert!(one(Entity::IpAddress, "fe80::1%eth0").starts_with("2001:db8:"));
    let made = one(Entity::IpAddress, "2a00:1450:4001:81a::200e");
    assert!(made.parse::<std::net::Ipv6Addr>().is_ok(), "{made}");
    assert!(one(Entity::MacAddress, "3C:22:FB:1A:2B:3C").starts_with("02:"));
    let url = one(Entity::Url, "https://www.firma.de/kunden/anna-schmidt?id=7");
    assert!(
        url.starts_with("https://www.") && url.contains("example.") && url.matches('/').count() == 4,
        "{url}"
    );
    assert!(!url.contains("schmidt") && !url.contains("id=7"));
    assert!(one(Entity::EmailAddress, "info@firma.de").starts_with("info@"));
}

/// The signs between their digits make addresses: without them two may be one.
#[test]
fn two_addresses_of_a_record_stay_two() {
    for (entity, one, other) in [
        (Entity::IpAddress, "10.0.1.15", "10.0.11.5"),
        (Entity::IpAddress, "192.168.1.11", "192.168.11.1"),
        (Entity::IpAddress, "fe80::1:2", "fe80::12"),
        (Entity::Url, "https://x.de/ab/c", "https://x.de/a/bc"),
    ] {
        let marked = format!("⟦{one}⟧ cannot reach ⟦{other}⟧, says ⟦{one}⟧");
        let text = replaced(Mode::Surrogate, &[&marked], &[entity; 3]).remove(0);
        let (before, last) = text.split_once(", says ").expect("still there");
        let (stand_in, another) = before.split_once(" cannot reach ").expect("still there");
        assert_ne!(stand_in, another, "{text}");
        assert_eq!(stand_in, last, "{text}");
    }
}

#[test]
fn dates_move_together() {
    let kinds = [Entity::DateTime, Entity::DateOfBirth, Entity::DateTime, Entity::DateTime];
    let made = replaced(
        Mode::Surrogate,
        &["⟦2024-03-15⟧|⟦16.03.2024⟧|⟦March 17, 2024⟧|⟦18 Mar 2024 10:30⟧"],
        &kinds,
    )
    .remove(0);
    let parts: Vec<&str> = made.split('|').collect();
    assert!(
        parts[3].ends_with(" 10:30") && form(parts[0]) == "0000-00-00" && form(parts[1]) == "00.00.0000",
        "{made}"
    );
    let (year, day) = (&parts[0][..4], parts[0][8..].parse::<u32>().expect("a day"));
    let next = parts[1][..2].parse::<u32>().expect("a day");
    assert!(next == day + 1 || next == 1, "{made}");
    assert!(parts[1].ends_with(year) || parts[1].starts_with("01.01."), "{made}");
    for date in [
        "31/12/99",
        "12/31/1999",
        "3.4.85",
        "1st of May 2001",
        "15. März 1990",
        "May 2020",
        "1984",
        "le 3 février 2021",
        "10:30",
    ] {
        let made = one(Entity::DateTime, date);
        assert_eq!(
            made.chars().filter(|c| c.is_ascii_punctuation()).count(),
            date.chars().filter(|c| c.is_ascii_punctuation()).count()
        );
    }
    assert_eq!(one(Entity::DateTime, "yesterday"), "<DATE_TIME>");
}

#[test]
fn places_and_others_keep_their_kind() {
    let street = one(Entity::StreetAddress, "1600 Pennsylvania Ave NW, Apt 4b");
    assert!(street.contains(" Ave NW, Apt ") && form(&street).starts_with("0000 A"), "{street}");
    assert!(one(Entity::StreetAddress, "Hauptstraße 12").contains("straße "));
    assert!(one(Entity::Organization, "Müller Bau GmbH").ends_with(" GmbH"));
    assert!(one(Entity::Username, "@anna_schmidt77").starts_with('@'));
    assert_eq!(form(&one(Entity::PostalCode, "10115")), "00000");
    for entity in
        [Entity::ApiKey, Entity::Password, Entity::PrivateKey, Entity::JsonWebToken, Entity::CredentialUri]
    {
        assert_eq!(one(entity, "whatever 1"), format!("<{entity}>"));
    }
    let mut texts = [String::new()];
    assert_eq!(replacer(Mode::Surrogate, Scope::Record).replace(&mut texts, &[Vec::new()]).replaced, 0);
}
