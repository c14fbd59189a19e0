//! Words of cues, folded.

use std::collections::HashMap;
use std::sync::LazyLock;

const HONORIFICS: &str = "capt captain colonel dame detective dhr doctor dona dott dottor dottoressa dr dra frau fraulein fru herr herrn \
     hr judge lady lieutenant lord lt madame mademoiselle meneer mevr mevrouw miss missus mister mlle mme monsieur \
     mr mrs ms mx officer pani president prof professor rev reverend senator senor senora senorita sergeant sgt \
     signor signora signorina sir sr sra srta";

const GREETINGS: &str = "ahoj beste bonjour caro cher chere ciao czesc dear dearest droga drogi estimada estimado geachte geehrte \
     geehrter gentile hallo hei hej hello hey hi hola kaere kara kare kjaere liebe lieber morning ola prezado \
     querida querido salut";

const SIGN_OFFS: &str = "abraco abracos atenciosamente atentamente cheers cordialement faithfully groet groeten gruss grusse grussen \
     halsningar hilsen hugs kisses love pozdravem pozdrawiam regards respectfully saludos saluti sincerely terveisin \
     thanks truly wishes xoxo you yours";

/// The last word of a field's label.
const FIELDS: &str = "achternaam agent ansprechpartner apellido apellidos applicant assistant attention attn author beneficiary by \
     cardholder client cliente cognome contact customer director doctor employee etunimi father fornamn fornavn \
     guest holder husband imie jmeno kontakt kunde landlord manager mother naam nachname name names namn navn \
     nazwisko nimi nom nombre nome owner participant passenger patient payee physician prenom prijmeni producer \
     recipient representative sender sobrenome spouse starring student sukunimi supervisor surname tenant voornaam \
     vorname wife witness writer";

/// Labels that organisations and places follow as well.
const WEAK_FIELDS: &str =
    "address adresse an bcc cc de direccion from indirizzo memo para signed til to van von";

/// Words before persons: verbs of speech, kin, callings.
const PERSONS: &str = "actor actress answered artist asked asks attorney aunt auntie boss boyfriend brother chairman child coach \
     colleague composer cousin coworker daughter director divorced drummer exclaimed fiance fiancee founder friend \
     girlfriend grandfather grandmother grandson guitarist husband kid lawyer married mayor muttered nephew niece \
     nurse painter poet producer replied roommate said says shouted singer sister son songwriter spouse teacher \
     thanked told uncle whispered wife";

/// Labels of lists of persons.
const GROUPS: &str = "actors attendees authors brothers candidates cast children colleagues daughters directors editors founders \
     friends guests kids members owners participantes participants passengers people players siblings sisters sons \
     speakers students teachers teilnehmer winners witnesses";

/// Words before an agent, who may be a person.
const AGENTS: &str = "am author by called feat featuring i'm im is name named starring this with";

/// Verbs that only a person does, behind a name.
const DONE_BY_PERSONS: &str = "answered asked asks exclaimed laughed muttered replied replies said says shouted smiled told whispered writes \
     wrote";

/// The last words of a phrase that a name follows, and what must stand before them (any of it; nothing: always).
pub(super) const INTRODUCTIONS: &[(&str, &[&str])] = &[
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

/// Words before places, and what must stand before them.
pub(super) const PLACES: &[(&str, &[&str])] = &[
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

/// Labels of places.
const PLACE_FIELDS: &str = "birthplace city country county destination hometown land location ort pais place region stadt state town ville ciudad";

/// Which of the lists a word stands in, as bits.
#[derive(Clone, Copy, Default)]
pub(super) struct Classes(u16);

impl Classes {
    pub(super) const HONORIFICS: u16 = 1;
    pub(super) const GREETINGS: u16 = 2;
    pub(super) const SIGN_OFFS: u16 = 4;
    pub(super) const FIELDS: u16 = 8;
    pub(super) const WEAK_FIELDS: u16 = 16;
    pub(super) const PERSONS: u16 = 32;
    pub(super) const GROUPS: u16 = 64;
    pub(super) const DONE_BY_PERSONS: u16 = 128;
    pub(super) const AGENTS: u16 = 256;
    pub(super) const PLACE_FIELDS: u16 = 512;

    /// Of a folded word.
    pub(super) fn of(word: &str) -> Self {
        Self(CLASSES.get(word).copied().unwrap_or_default())
    }

    pub(super) fn has(self, list: u16) -> bool {
        self.0 & list != 0
    }
}

/// All lists in one table: most words before a name stand in none.
static CLASSES: LazyLock<HashMap<&'static str, u16>> = LazyLock::new(|| {
    let lists = [
        (HONORIFICS, Classes::HONORIFICS),
        (GREETINGS, Classes::GREETINGS),
        (SIGN_OFFS, Classes::SIGN_OFFS),
        (FIELDS, Classes::FIELDS),
        (WEAK_FIELDS, Classes::WEAK_FIELDS),
        (PERSONS, Classes::PERSONS),
        (GROUPS, Classes::GROUPS),
        (DONE_BY_PERSONS, Classes::DONE_BY_PERSONS),
        (AGENTS, Classes::AGENTS),
        (PLACE_FIELDS, Classes::PLACE_FIELDS),
    ];
    let mut classes = HashMap::new();
    for (words, list) in lists {
        for word in words.split(' ') {
            *classes.entry(word).or_default() |= list;
        }
    }
    classes
});
