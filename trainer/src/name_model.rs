//! A token classifier as a finder of names: its labels become entities, its parts of names and addresses whole ones.

use std::path::Path;

use rtune_models::ModelError;
use rtune_models::tagger::{Tag, Tagger};
use rtune_privacy::{Entity, Finding, NameFinder, NameFinderError};

/// A model that finds names, as the scrubber wants it.
pub struct NameModel {
    tagger: Tagger,
}

impl NameModel {
    /// Opens a folder with a token classifier.
    ///
    /// # Errors
    /// [`ModelError`] as of [`Tagger::open`].
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        Ok(Self { tagger: Tagger::open(folder)? })
    }
}

impl NameFinder for NameModel {
    fn find(&self, texts: &[&str]) -> Result<Vec<Vec<Finding>>, NameFinderError> {
        let tags = self.tagger.tag(texts).map_err(|error| NameFinderError { reason: error.to_string() })?;
        Ok(texts.iter().zip(&tags).map(|(text, tags)| findings(text, tags)).collect())
    }

    fn identity(&self) -> &str {
        self.tagger.identity()
    }
}

/// What a label is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A part of a person's name.
    Name,
    /// A road, a house, a flat.
    Road,
    /// A town or a region, which belongs to an address beside a road.
    Town,
    /// A postal code, likewise.
    Code,
    /// Something else, whole as it is.
    Whole(Entity),
}

/// What a label means, whatever its case, signs and numbers: `GIVEN_NAME`, `GIVENNAME1`, `PER`. `None` for labels of no
/// personal data and for those that say too little.
fn kind(label: &str) -> Option<Kind> {
    let letters: String =
        label.chars().filter(char::is_ascii_alphabetic).map(|letter| letter.to_ascii_uppercase()).collect();
    Some(match letters.as_str() {
        "PER" | "PERSON" | "NAME" | "FULLNAME" | "GIVENNAME" | "FIRSTNAME" | "MIDDLENAME" | "SURNAME"
        | "LASTNAME" | "FAMILYNAME" | "PATIENT" | "STAFF" | "DOCTOR" => Kind::Name,
        "STREET" | "STREETNAME" | "STREETADDRESS" | "ADDRESS" | "BUILDINGNUMBER" | "BUILDINGNUM"
        | "BUILDING" | "SECONDARYADDRESS" | "SECADDRESS" => Kind::Road,
        "CITY" | "STATE" | "COUNTY" | "COUNTRY" | "LOC" | "LOCATION" | "GPE" => Kind::Town,
        "ZIPCODE" | "ZIP" | "POSTCODE" | "POSTALCODE" => Kind::Code,
        "ORG" | "ORGANIZATION" | "ORGANISATION" | "COMPANY" | "COMPANYNAME" => {
            Kind::Whole(Entity::Organization)
        }
        "EMAIL" | "EMAILADDRESS" => Kind::Whole(Entity::EmailAddress),
        "PHONE" | "PHONENUMBER" | "PHONENUM" | "TEL" | "TELEPHONE" | "TELEPHONENUM" | "TELEPHONENUMBER" => {
            Kind::Whole(Entity::PhoneNumber)
        }
        "URL" => Kind::Whole(Entity::Url),
        "USERNAME" => Kind::Whole(Entity::Username),
        "PASSWORD" | "PASS" => Kind::Whole(Entity::Password),
        "DATEOFBIRTH" | "DOB" | "BOD" => Kind::Whole(Entity::DateOfBirth),
        "CREDITCARD" | "CREDITCARDNUMBER" => Kind::Whole(Entity::CreditCard),
        "IBAN" => Kind::Whole(Entity::IbanCode),
        "IP" | "IPADDRESS" | "IPV" => Kind::Whole(Entity::IpAddress),
        "SSN" | "SOCIALNUM" | "SOCIALNUMBER" => Kind::Whole(Entity::UsSsn),
        "BANKACCOUNT" | "ACCOUNTNUMBER" | "ACCOUNTNUM" => Kind::Whole(Entity::UsBankNumber),
        "ROUTINGNUMBER" => Kind::Whole(Entity::AbaRoutingNumber),
        "PASSPORT" | "PASSPORTNUM" => Kind::Whole(Entity::UsPassport),
        "DRIVERSLICENSE" | "DRIVERLICENSE" | "DRIVERLICENSENUM" => Kind::Whole(Entity::UsDriverLicense),
        "TAXID" | "TAXNUM" | "GOVERNMENTID" | "IDCARD" | "IDCARDNUM" => Kind::Whole(Entity::Other),
        _ => return None,
    })
}

/// Neighbouring tags that become one finding.
struct Group {
    start: usize,
    end: usize,
    kind: Kind,
    has_road: bool,
    scores: Vec<f32>,
}

/// Tags to findings: names side by side are one person; a road with what stands beside it, but for white space and
/// commas, is one address; a town or code on its own is that.
fn findings(text: &str, tags: &[Tag]) -> Vec<Finding> {
    let mut groups: Vec<Group> = Vec::new();
    for tag in tags {
        let Some(kind) = kind(&tag.label) else { continue };
        let (start, end) =
            if kind == Kind::Name { whole_word(text, tag.start, tag.end) } else { (tag.start, tag.end) };
        let has_road = kind == Kind::Road;
        if let Some(last) = groups
            .last_mut()
            .filter(|last| start >= last.end && belong(&text[last.end..start], last.kind, kind))
        {
            last.end = end;
            last.has_road |= has_road;
            last.scores.push(tag.score);
            continue;
        }
        let start = groups.last().map_or(start, |last| start.max(last.end));
        if start < end {
            groups.push(Group { start, end, kind, has_road, scores: vec![tag.score] });
        }
    }
    groups.into_iter().map(finding).collect()
}

fn finding(group: Group) -> Finding {
    let Group { start, end, kind, has_road, scores } = group;
    let (entity, rule) = match kind {
        Kind::Name => (Entity::Person, "model-name"),
        _ if has_road => (Entity::StreetAddress, "model-address"),
        Kind::Road | Kind::Town => (Entity::Location, "model-place"),
        Kind::Code => (Entity::PostalCode, "model-postal-code"),
        Kind::Whole(entity) => (entity, "model-other"),
    };
    let score = scores.iter().sum::<f32>() / scores.len() as f32;
    Finding { start, end, entity, score, rule }
}

/// Whether two tags are parts of one thing, by what lies between them.
fn belong(gap: &str, left: Kind, right: Kind) -> bool {
    let is_place = |kind: Kind| matches!(kind, Kind::Road | Kind::Town | Kind::Code);
    match (left, right) {
        (Kind::Name, Kind::Name) => is_within_name(gap),
        _ if is_place(left) && is_place(right) => gap.chars().all(|sign| sign.is_whitespace() || sign == ','),
        _ => false,
    }
}

/// Nothing, a space, a hyphen, or an initial between spaces; a line break ends a name.
fn is_within_name(gap: &str) -> bool {
    let inner = gap.trim_matches([' ', '\u{a0}']);
    let mut letters = inner.trim_end_matches('.').chars();
    let is_initial = letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none();
    matches!(inner, "" | "-" | "'" | "’" | ".") || (is_initial && gap.starts_with(' ') && gap.ends_with(' '))
}

/// The span, widened to the ends of the words that it cuts: of `Jean-Luc` or `O'Neil` a model may tag one half. A
/// possessive `'s` is none of the name.
fn whole_word(text: &str, mut start: usize, mut end: usize) -> (usize, usize) {
    let is_join = |sign: char| matches!(sign, '-' | '\'' | '’');
    loop {
        let mut before = text[..start].chars().rev();
        match (before.next(), before.next()) {
            (Some(letter), _) if letter.is_alphabetic() => start -= letter.len_utf8(),
            (Some(join), Some(letter)) if is_join(join) && letter.is_alphabetic() => start -= join.len_utf8(),
            _ => break,
        }
    }
    loop {
        let mut behind = text[end..].chars();
        match (behind.next(), behind.next()) {
            (Some(letter), _) if letter.is_alphabetic() => end += letter.len_utf8(),
            (Some(join), Some('s')) if is_join(join) && !behind.next().is_some_and(char::is_alphabetic) => {
                break;
            }
            (Some(join), Some(letter)) if is_join(join) && letter.is_alphabetic() => end += join.len_utf8(),
            _ => break,
        }
    }
    (start, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tags of the parts of `text` that stand in brackets, with the labels in order.
    #[track_caller]
    fn assert_found(marked: &str, labels: &[&str], expected: &[(&str, Entity)]) {
        let (mut text, mut tags, mut labels) = (String::new(), Vec::new(), labels.iter());
        for part in marked.split('[') {
            match part.split_once(']') {
                Some((inner, rest)) => {
                    let (start, end) = (text.len(), text.len() + inner.len());
                    text.push_str(inner);
                    text.push_str(rest);
                    let label = (*labels.next().expect("a label")).to_owned();
                    tags.push(Tag { start, end, label, score: 0.8 });
                }
                None => text.push_str(part),
            }
        }
        let found = findings(&text, &tags);
        let found: Vec<(&str, Entity)> =
            found.iter().map(|one| (&text[one.start..one.end], one.entity)).collect();
        assert_eq!(found, expected, "{marked}");
    }

    #[test]
    fn parts_of_a_name_are_one_person() {
        let person = |name: &'static str| (name, Entity::Person);
        assert_found("I am [Anna] [Jensen].", &["GIVEN_NAME", "SURNAME"], &[person("Anna Jensen")]);
        assert_found("[Nikolaj] N. [Møller]", &["GIVENNAME1", "LASTNAME2"], &[person("Nikolaj N. Møller")]);
        assert_found("[Anna], [Bo]", &["PER", "PER"], &[person("Anna"), person("Bo")]);
        assert_found("[Anna]\n[Bo]", &["PER", "PER"], &[person("Anna"), person("Bo")]);
        assert_found(
            "Jean-[Luc] met [O]'Neil's cat",
            &["PER", "PER"],
            &[person("Jean-Luc"), person("O'Neil")],
        );
    }

    #[test]
    fn a_road_with_its_neighbours_is_one_address() {
        let labels = ["BUILDING_NUMBER", "STREET_NAME", "CITY", "ZIP_CODE"];
        let address = "12 Main Street, Springfield\n 62701";
        assert_found(
            "at [12] [Main Street], [Springfield]\n [62701].",
            &labels,
            &[(address, Entity::StreetAddress)],
        );
        let apart = [("Springfield, Illinois", Entity::Location), ("62701", Entity::PostalCode)];
        assert_found("[Springfield], [Illinois] code [62701]", &["CITY", "STATE", "ZIP"], &apart);
        assert_found(
            "[Springfield] and [Main Street]",
            &["CITY", "STREET"],
            &[("Springfield", Entity::Location), ("Main Street", Entity::StreetAddress)],
        );
    }

    #[test]
    fn other_labels_are_what_they_say_or_nothing() {
        let expected = [("555 0199", Entity::PhoneNumber), ("Acme", Entity::Organization)];
        assert_found("[555 0199] [Acme] [tall]", &["TELEPHONENUM", "ORG", "HEIGHT"], &expected);
    }
}
