//! Words that raise the score of the entities of every country.

use crate::entity::Entity;

/// The words, in lower case, of an entity; none of those that are found by words of their own.
pub(crate) fn of(entity: Entity) -> &'static [&'static str] {
    match entity {
        Entity::EmailAddress => &["email", "e-mail", "mail", "correo"],
        Entity::PhoneNumber => &PHONE,
        Entity::CreditCard => {
            &["credit", "card", "visa", "mastercard", "amex", "debit", "kreditkarte", "tarjeta", "carte"]
        }
        Entity::IbanCode => &["iban", "bank", "account", "konto", "transfer"],
        Entity::IpAddress => &["ip", "ipv4", "ipv6", "host", "server", "gateway", "subnet"],
        Entity::MacAddress => &["mac", "hardware", "physical", "ethernet"],
        Entity::Url => &["url", "website", "link", "site", "homepage", "domain", "webseite"],
        Entity::Crypto => &["wallet", "btc", "bitcoin", "crypto", "eth", "ethereum"],
        Entity::DateTime => &["date", "birthday", "datum", "fecha"],
        _ => &[],
    }
}

/// Words before the number of a telephone; `number` alone says nothing of what is counted.
const PHONE: [&str; 42] = [
    "phone",
    "telephone",
    "tel",
    "mobile",
    "cell",
    "cellphone",
    "fax",
    "call",
    "calling",
    "called",
    "dial",
    "ring",
    "sms",
    "text me",
    "whatsapp",
    "telefon",
    "téléphone",
    "teléfono",
    "telefono",
    "telefone",
    "telephon",
    "handy",
    "mobil",
    "móvil",
    "celular",
    "cellulare",
    "portable",
    "hotline",
    "contact number",
    "my number",
    "us number",
    "phone number",
    "answering",
    "messages to",
    "message on",
    "desk",
    "voicemail",
    "pager",
    "pager duty",
    "reach me at",
    "rufnummer",
    "puhelin",
];

/// Words before a date of birth, in several languages.
pub(crate) const BIRTH: [&str; 22] = [
    "born",
    "birth",
    "birthday",
    "birthdate",
    "dob",
    "d o b",
    "geboren",
    "geburtsdatum",
    "geburtstag",
    "geb",
    "né le",
    "née le",
    "naissance",
    "nacido",
    "nacida",
    "nacimiento",
    "nato il",
    "nata il",
    "nascita",
    "nascimento",
    "urodzony",
    "född",
];
