//! What stands before a name and says that it is one. All words are folded and sorted.

use super::fold::fold_into;

/// What the text before a word says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cue {
    /// Nothing.
    None,
    /// `Mr`, `Dr.`, `Señora`: whatever follows is a surname or a name.
    Honorific,
    /// `my name is`, `je m'appelle`: whatever follows is a name, if it is no common word.
    Introduction,
    /// `Name:`, `Directed by:`: the same.
    Field,
    /// `Dear`, `Hi`: a name if the greeting ends behind it.
    Greeting,
    /// `Regards,` and a line break: a name if the line ends behind it.
    SignOff,
    /// `said`, `married`, `my wife`: what follows is a person.
    Person,
    /// A name by a cue and a comma or `and`.
    List,
    /// `in`, `moved to`: what follows is a place, if it is one word.
    Place,
    /// `by`, `with`, `I'm`, `From:`: a person or something else.
    Agent,
}

/// Bytes before a word that are looked at: a cue of the longest kind (`Mit freundlichen Grüßen`) and some space.
const WINDOW_BYTES: usize = 48;

const HONORIFICS: &[&str] = &[
    "capt",
    "captain",
    "colonel",
    "dame",
    "detective",
    "dhr",
    "doctor",
    "dona",
    "dott",
    "dottor",
    "dottoressa",
    "dr",
    "dra",
    "frau",
    "fraulein",
    "fru",
    "herr",
    "herrn",
    "hr",
    "judge",
    "lady",
    "lieutenant",
    "lord",
    "lt",
    "madame",
    "mademoiselle",
    "meneer",
    "mevr",
    "mevrouw",
    "miss",
    "missus",
    "mister",
    "mlle",
    "mme",
    "monsieur",
    "mr",
    "mrs",
    "ms",
    "mx",
    "officer",
    "pani",
    "president",
    "prof",
    "professor",
    "rev",
    "reverend",
    "senator",
    "senor",
    "senora",
    "senorita",
    "sergeant",
    "sgt",
    "signor",
    "signora",
    "signorina",
    "sir",
    "sr",
    "sra",
    "srta",
];

/// The last words of a phrase that a name follows, and what must stand before them (any of it; nothing: always).
const INTRODUCTIONS: &[(&str, &[&str])] = &[
    ("appelle", &[]),
    ("ar", &["namn"]),
    ("e", &["nome"]),
    ("er", &["navn"]),
    ("es", &["nombre"]),
    ("est", &["nom", "prenom"]),
    ("hedder", &[]),
    ("heet", &[]),
    ("heisse", &[]),
    ("heisst", &[]),
    ("heiße", &[]),
    ("heter", &[]),
    ("her", &["named"]),
    ("him", &["named"]),
    ("is", &["naam", "name", "names", "surname"]),
    ("ist", &["name", "nachname", "vorname"]),
    ("jmenuji", &[]),
    ("llama", &[]),
    ("llamo", &[]),
    ("me", &["call", "calls"]),
    ("name's", &["my"]),
    ("nazywam", &[]),
    ("nimeni", &[]),
    ("on", &["nimeni", "nimi"]),
    ("s'appelle", &[]),
    ("m'appelle", &[]),
    ("se", &["jmenuji"]),
    ("sie", &["nazywam"]),
];

const GREETINGS: &[&str] = &[
    "ahoj", "beste", "bonjour", "caro", "cher", "chere", "ciao", "czesc", "dear", "dearest", "droga",
    "drogi", "estimada", "estimado", "geachte", "geehrte", "geehrter", "gentile", "hallo", "hei", "hej",
    "hello", "hey", "hi", "hola", "kaere", "kara", "kare", "kjaere", "liebe", "lieber", "morning", "ola",
    "prezado", "querida", "querido", "salut",
];

const SIGN_OFFS: &[&str] = &[
    "abraco",
    "abracos",
    "atenciosamente",
    "atentamente",
    "cheers",
    "cordialement",
    "faithfully",
    "groet",
    "groeten",
    "grusse",
    "grussen",
    "gruss",
    "halsningar",
    "hilsen",
    "hugs",
    "kisses",
    "love",
    "pozdrawiam",
    "pozdravem",
    "regards",
    "respectfully",
    "saludos",
    "saluti",
    "sincerely",
    "terveisin",
    "thanks",
    "truly",
    "wishes",
    "xoxo",
    "you",
    "yours",
];

/// The last word of a field's label.
const FIELDS: &[&str] = &[
    "achternaam",
    "agent",
    "ansprechpartner",
    "apellido",
    "apellidos",
    "applicant",
    "assistant",
    "attention",
    "attn",
    "author",
    "beneficiary",
    "by",
    "cardholder",
    "client",
    "cliente",
    "cognome",
    "contact",
    "customer",
    "director",
    "doctor",
    "employee",
    "etunimi",
    "father",
    "fornavn",
    "fornamn",
    "guest",
    "holder",
    "husband",
    "imie",
    "jmeno",
    "kontakt",
    "kunde",
    "landlord",
    "manager",
    "mother",
    "naam",
    "nachname",
    "name",
    "names",
    "namn",
    "navn",
    "nazwisko",
    "nimi",
    "nom",
    "nombre",
    "nome",
    "owner",
    "participant",
    "passenger",
    "patient",
    "payee",
    "physician",
    "prenom",
    "prijmeni",
    "producer",
    "recipient",
    "representative",
    "sender",
    "sobrenome",
    "spouse",
    "starring",
    "student",
    "sukunimi",
    "supervisor",
    "surname",
    "tenant",
    "voornaam",
    "vorname",
    "wife",
    "witness",
    "writer",
];

/// Labels that organisations and places follow as well.
const WEAK_FIELDS: &[&str] = &[
    "address",
    "adresse",
    "bcc",
    "cc",
    "direccion",
    "from",
    "indirizzo",
    "memo",
    "signed",
    "to",
    "de",
    "von",
    "van",
    "an",
    "para",
    "til",
];

/// Words before persons: verbs of speech, kin, callings.
const PERSONS: &[&str] = &[
    "actor",
    "actress",
    "answered",
    "artist",
    "asked",
    "asks",
    "attorney",
    "aunt",
    "auntie",
    "boss",
    "boyfriend",
    "brother",
    "chairman",
    "child",
    "coach",
    "colleague",
    "composer",
    "cousin",
    "coworker",
    "daughter",
    "director",
    "divorced",
    "drummer",
    "exclaimed",
    "fiance",
    "fiancee",
    "founder",
    "friend",
    "girlfriend",
    "grandfather",
    "grandmother",
    "grandson",
    "guitarist",
    "husband",
    "kid",
    "lawyer",
    "married",
    "mayor",
    "muttered",
    "nephew",
    "niece",
    "nurse",
    "painter",
    "poet",
    "producer",
    "replied",
    "roommate",
    "said",
    "says",
    "shouted",
    "singer",
    "sister",
    "son",
    "songwriter",
    "spouse",
    "teacher",
    "thanked",
    "told",
    "uncle",
    "whispered",
    "wife",
];

/// Labels of lists of persons.
const GROUPS: &[&str] = &[
    "actors",
    "attendees",
    "authors",
    "brothers",
    "candidates",
    "cast",
    "children",
    "directors",
    "editors",
    "founders",
    "friends",
    "guests",
    "kids",
    "members",
    "owners",
    "participants",
    "passengers",
    "people",
    "players",
    "siblings",
    "sisters",
    "sons",
    "speakers",
    "students",
    "teachers",
    "winners",
    "witnesses",
    "daughters",
    "colleagues",
    "teilnehmer",
    "participantes",
];

/// Words before places, and what must stand before them.
const PLACES: &[(&str, &[&str])] = &[
    ("at", &["arrive", "arrived", "arrives", "live", "lives", "living", "staying"]),
    (
        "from",
        &[
            "originally",
            "is",
            "am",
            "come",
            "comes",
            "came",
            "moved",
            "here",
            "travelled",
            "flight",
            "flights",
        ],
    ),
    ("in", &[]),
    ("near", &[]),
    (
        "to",
        &[
            "back",
            "flight",
            "flights",
            "go",
            "going",
            "moved",
            "moving",
            "return",
            "returned",
            "trip",
            "travel",
            "travelled",
            "went",
        ],
    ),
];

/// Words before an agent, who may be a person.
const AGENTS: &[&str] = &[
    "am",
    "author",
    "by",
    "called",
    "feat",
    "featuring",
    "i'm",
    "im",
    "name",
    "named",
    "starring",
    "this",
    "is",
    "with",
];

/// What stands before the word at `start` of `text`.
pub(super) fn before(text: &str, start: usize) -> Cue {
    let mut from = start.saturating_sub(WINDOW_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let window = &text[from..start];
    let trimmed =
        window.trim_end_matches([' ', '\t', '\n', '\r', '"', '“', '„', '«', '*', '(', '\u{a0}', '>']);
    let has_break = window[trimmed.len()..].contains('\n');
    let Some(last) = trimmed.chars().next_back() else { return Cue::None };
    if !(last.is_alphabetic() || matches!(last, ':' | '.' | ',' | '!' | '-' | '?')) {
        return Cue::None;
    }
    let mut folded = String::with_capacity(trimmed.len() + 8);
    fold_into(trimmed, &mut folded);
    match last {
        '?' if asks_for_name(trimmed) => Cue::Introduction,
        '?' => Cue::None,
        ':' => field(folded.trim_end_matches([':', ' '])),
        '.' if !has_break => of_abbreviation(folded.trim_end_matches('.')),
        ',' | '.' | '!' | '-' if has_break || last == ',' => {
            sign_off(folded.trim_end_matches([',', '.', '!', '-', ' ']))
        }
        '.' | ',' | '!' | '-' => Cue::None,
        _ if has_break => sign_off(&folded),
        _ => of_words(&folded),
    }
}

/// Whether a text ends with a question for a name, so that what follows is one.
pub(super) fn asks_for_name(text: &str) -> bool {
    let Some(question) = text.trim_end().strip_suffix('?') else { return false };
    let word = question.trim_end().rsplit(|letter: char| !letter.is_alphabetic()).next().unwrap_or_default();
    ["name", "nombre", "nom", "nome", "naam", "namn", "navn", "nimi", "heissen", "heißen", "surname"]
        .iter()
        .any(|one| word.eq_ignore_ascii_case(one))
}

fn is_in(words: &[&str], word: &str) -> bool {
    words.contains(&word)
}

/// The last two words of `text`, the last first.
fn last_words(text: &str) -> (&str, &str) {
    let is_apart = |letter: char| !(letter.is_alphanumeric() || matches!(letter, '\'' | '-'));
    let mut words = text.rsplit(is_apart).filter(|word| !word.is_empty());
    (words.next().unwrap_or_default(), words.next().unwrap_or_default())
}

fn field(label: &str) -> Cue {
    let (last, before) = last_words(label);
    if is_in(GROUPS, last) {
        Cue::Field
    } else if is_in(FIELDS, last)
        && !(last == "name"
            && is_in(&["company", "domain", "file", "host", "product", "user", "business"], before))
    {
        Cue::Field
    } else if is_in(WEAK_FIELDS, last) {
        Cue::Agent
    } else {
        Cue::None
    }
}

fn of_abbreviation(text: &str) -> Cue {
    let (last, _) = last_words(text);
    // Longer words end a sentence.
    if last.len() <= 5 && is_in(HONORIFICS, last) { Cue::Honorific } else { Cue::None }
}

fn sign_off(line: &str) -> Cue {
    let (last, before) = last_words(line);
    let is_thanks = last != "you" || is_in(&["thank", "thanking"], before);
    if is_in(SIGN_OFFS, last) && is_thanks { Cue::SignOff } else { Cue::None }
}

fn of_words(text: &str) -> Cue {
    let (last, before) = last_words(text);
    let introduces =
        |&(word, needed): &(&str, &[&str])| word == last && (needed.is_empty() || is_in(needed, before));
    if is_in(HONORIFICS, last) {
        Cue::Honorific
    } else if INTRODUCTIONS.iter().any(introduces) {
        Cue::Introduction
    } else if is_in(GREETINGS, last) {
        Cue::Greeting
    } else if is_in(PERSONS, last)
        || (is_in(&["with", "to"], last)
            && is_in(
                &["spoke", "speak", "speaking", "talk", "talked", "talking", "married", "engaged"],
                before,
            ))
    {
        Cue::Person
    } else if is_in(AGENTS, last) {
        Cue::Agent
    } else if PLACES.iter().any(introduces) {
        Cue::Place
    } else {
        Cue::None
    }
}

/// Verbs that only a person does, behind a name.
const DONE_BY_PERSONS: &[&str] = &[
    "answered",
    "asked",
    "asks",
    "exclaimed",
    "laughed",
    "muttered",
    "replied",
    "replies",
    "said",
    "says",
    "shouted",
    "smiled",
    "told",
    "whispered",
    "wrote",
    "writes",
];

/// Whether what follows a name is done by persons only.
pub(super) fn is_done_by_person(text: &str, end: usize) -> bool {
    let rest = text[end..].strip_prefix(' ').unwrap_or_default();
    let word = rest.split(|letter: char| !letter.is_ascii_lowercase()).next().unwrap_or_default();
    is_in(DONE_BY_PERSONS, word)
}

#[cfg(test)]
mod tests {
    use super::{Cue, before};

    #[track_caller]
    fn assert_cue(text: &str, expected: Cue) {
        assert_eq!(before(text, text.len()), expected, "{text:?}");
    }

    #[test]
    fn cues_are_seen_in_several_languages() {
        assert_cue("Please ask Mr. ", Cue::Honorific);
        assert_cue("an Herrn ", Cue::Honorific);
        assert_cue("Estimada Sra. ", Cue::Honorific);
        assert_cue("Hello, my name is ", Cue::Introduction);
        assert_cue("Guten Tag, ich heiße ", Cue::Introduction);
        assert_cue("Je m'appelle ", Cue::Introduction);
        assert_cue("Me llamo ", Cue::Introduction);
        assert_cue("Full name: ", Cue::Field);
        assert_cue("Directed By:    ", Cue::Field);
        assert_cue("File name: ", Cue::None);
        assert_cue("From: ", Cue::Agent);
        assert_cue("Sehr geehrte ", Cue::Greeting);
        assert_cue("Best regards,\n\n", Cue::SignOff);
        assert_cue("Mit freundlichen Grüßen\n", Cue::SignOff);
        assert_cue("Thank you,\n", Cue::SignOff);
        assert_cue("I'll see you,\n", Cue::None);
        assert_cue("\"Never!\" said ", Cue::Person);
        assert_cue("a song by ", Cue::Agent);
        assert_cue("What's your last name? ", Cue::Introduction);
        assert_cue("our three founders: ", Cue::Field);
        assert_cue("She lives in ", Cue::Place);
        assert_cue("he came back to ", Cue::Place);
    }

    #[test]
    fn other_words_are_no_cues() {
        assert_cue("", Cue::None);
        assert_cue("We went to ", Cue::None);
        assert_cue("He is a doctor. ", Cue::None);
        assert_cue("€", Cue::None);
    }
}
