//! A token classifier as a finder of names: its labels become entities, its parts of names and addresses whole ones.

use std::path::Path;

use rtune_models::ModelError;
use rtune_models::tagger::{Tag, Tagger};
use rtune_privacy::{Entity, Finding, NameFinder, NameFinderError, Names};

/// A model that finds names, as the scrubber wants it.
pub struct NameModel {
    tagger: Tagger,
    /// Rules that a model's persons are held against: it takes firms and roads that are called after somebody for persons.
    names: Names,
}

impl NameModel {
    /// Opens a folder with a token classifier.
    ///
    /// # Errors
    /// [`ModelError`] as of [`Tagger::open`].
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        Ok(Self { tagger: Tagger::open(folder)?, names: Names::new() })
    }
}

impl NameFinder for NameModel {
    fn find(&self, texts: &[&str]) -> Result<Vec<Vec<Finding>>, NameFinderError> {
        let tags = self.tagger.tag(texts).map_err(|error| NameFinderError { reason: error.to_string() })?;
        let found = texts.iter().zip(&tags).map(|(text, tags)| {
            let mut findings = findings(text, tags);
            self.names.confirm(text, &mut findings);
            findings
        });
        Ok(found.collect())
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

/// What a model says of numbers counts less than what rules say, which know their forms and checksums.
const NUMBER_WEIGHT: f32 = 0.6;
/// A number of fewer digits is none that a person is known by.
const LEAST_DIGITS: usize = 4;

/// Neighbouring tags that become one finding.
struct Group {
    start: usize,
    end: usize,
    kind: Kind,
    has_road: bool,
    has_town: bool,
    has_code: bool,
    scores: Vec<f32>,
}

impl Group {
    fn add(&mut self, end: usize, kind: Kind, score: f32) {
        self.end = end;
        self.has_road |= kind == Kind::Road;
        self.has_town |= kind == Kind::Town;
        self.has_code |= kind == Kind::Code;
        self.scores.push(score);
    }
}

/// Tags to findings: names side by side are one person; a road with what stands beside it is one address, and so is a
/// town with its postal code; a town or a code on its own is that.
fn findings(text: &str, tags: &[Tag]) -> Vec<Finding> {
    let mut groups: Vec<Group> = Vec::new();
    for tag in tags {
        let Some(kind) = kind(&tag.label) else { continue };
        let (start, end) = match kind {
            Kind::Name => whole_word(text, tag.start, tag.end),
            Kind::Road => (with_unit(text, tag.start), with_number(text, tag.end)),
            _ => (tag.start, tag.end),
        };
        let last_end = groups.last().map_or(0, |last| last.end);
        let (start, end) = (start.max(last_end), end.max(last_end));
        let joins = groups.last().is_some_and(|last| belong(&text[last.end..start], last.kind, kind));
        match groups.last_mut().filter(|_| joins) {
            Some(last) => last.add(end, kind, tag.score),
            None if start < end => {
                let mut group = Group {
                    start,
                    end,
                    kind,
                    has_road: false,
                    has_town: false,
                    has_code: false,
                    scores: Vec::new(),
                };
                group.add(end, kind, tag.score);
                groups.push(group);
            }
            None => {}
        }
    }
    groups.into_iter().filter_map(|group| finding(text, &group)).collect()
}

fn finding(text: &str, group: &Group) -> Option<Finding> {
    let &Group { start, end, kind, has_road, has_town, has_code, .. } = group;
    let (entity, rule, weight) = match kind {
        Kind::Name => (Entity::Person, "model-name", 1.0),
        _ if has_road || (has_town && has_code) => (Entity::StreetAddress, "model-address", 1.0),
        Kind::Road | Kind::Town => (Entity::Location, "model-place", 1.0),
        Kind::Code => (Entity::PostalCode, "model-postal-code", 1.0),
        Kind::Whole(Entity::Organization) => (Entity::Organization, "model-organisation", 1.0),
        Kind::Whole(entity) => {
            let is_number =
                !matches!(entity, Entity::Username | Entity::Password | Entity::Url | Entity::EmailAddress);
            let digits = text[start..end].chars().filter(char::is_ascii_digit).count();
            if is_number && digits < LEAST_DIGITS {
                return None;
            }
            (entity, "model-other", NUMBER_WEIGHT)
        }
    };
    let score = weight * group.scores.iter().sum::<f32>() / group.scores.len() as f32;
    Some(Finding { start, end, entity, score, rule })
}

/// Whether two tags are parts of one thing, by what lies between them.
fn belong(gap: &str, left: Kind, right: Kind) -> bool {
    let is_place = |kind: Kind| matches!(kind, Kind::Road | Kind::Town | Kind::Code);
    match (left, right) {
        (Kind::Name, Kind::Name) => is_within_name(gap),
        _ if is_place(left) && is_place(right) => is_within_address(gap),
        _ => false,
    }
}

/// Words of an address that say what the number behind them is.
const UNITS: &[&str] = &[
    "apartment",
    "apt",
    "box",
    "building",
    "flat",
    "floor",
    "no",
    "nr",
    "p.o",
    "po",
    "postbox",
    "postfach",
    "room",
    "suite",
    "unit",
];

fn is_unit(word: &str) -> bool {
    UNITS.contains(&word.trim_end_matches(['.', ',', '#']).to_ascii_lowercase().as_str())
}

/// White space and commas, with words such as `Apt.` or the two letters of a state between them.
fn is_within_address(gap: &str) -> bool {
    let is_state = |word: &str| word.len() == 2 && word.bytes().all(|letter| letter.is_ascii_uppercase());
    let mut words =
        gap.split(|sign: char| sign.is_whitespace() || sign == ',').filter(|word| !word.is_empty());
    words.all(|word| matches!(word, "." | "#") || is_unit(word) || is_state(word))
}

/// The start of a part of an address with the words before it that say what it is: `Suite 12`, `P.O. Box 3`.
fn with_unit(text: &str, start: usize) -> usize {
    let mut start = start;
    loop {
        let before = text[..start].trim_end_matches(' ');
        let word_start = before
            .rfind(|sign: char| sign.is_whitespace() || sign == ',')
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let word = &before[word_start..];
        if before.len() == start || !is_unit(word) {
            return start;
        }
        start = word_start;
    }
}

/// The end of a road with the house number behind it.
fn with_number(text: &str, end: usize) -> usize {
    let Some(rest) = text[end..].strip_prefix(' ') else { return end };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let is_number = (1..=MAX_HOUSE_DIGITS).contains(&digits)
        && !rest[digits..]
            .starts_with(|next: char| next.is_alphanumeric() || matches!(next, '-' | '.' | '/' | ':'));
    if is_number { end + 1 + digits } else { end }
}

/// Digits of the longest house number.
const MAX_HOUSE_DIGITS: usize = 5;

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
            "[12 Elm Road] Suite [4], [Gander], NL [A1V 1W1]",
            &["STREET_NAME", "SECONDARY_ADDRESS", "CITY", "ZIP_CODE"],
            &[("12 Elm Road Suite 4, Gander, NL A1V 1W1", Entity::StreetAddress)],
        );
        assert_found(
            "at [Elm Road] 12, Apt. [4]!",
            &["STREET", "SECADDRESS"],
            &[("Elm Road 12, Apt. 4", Entity::StreetAddress)],
        );
        assert_found(
            "[Denmark] [35018]",
            &["STATE", "ZIP_CODE"],
            &[("Denmark 35018", Entity::StreetAddress)],
        );
        assert_found(
            "[Springfield] and [Main Street]",
            &["CITY", "STREET"],
            &[("Springfield", Entity::Location), ("Main Street", Entity::StreetAddress)],
        );
    }

    #[test]
    fn other_labels_are_what_they_say_or_nothing() {
        let expected = [("555 0199", Entity::PhoneNumber), ("Acme", Entity::Organization)];
        assert_found(
            "[555 0199] [Acme] [tall] [.]",
            &["TELEPHONENUM", "ORG", "HEIGHT", "PASSPORT"],
            &expected,
        );
    }
}
