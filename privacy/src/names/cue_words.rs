//! Words of cues, folded.

use super::sets::{Set, set};
use std::sync::LazyLock;

pub(super) static HONORIFICS: Set = LazyLock::new(|| {
    set(
        "capt captain colonel dame detective dhr doctor dona dott dottor dottoressa dr dra frau fraulein fru herr herrn \
     hr judge lady lieutenant lord lt madame mademoiselle meneer mevr mevrouw miss missus mister mlle mme monsieur \
     mr mrs ms mx officer pani president prof professor rev reverend senator senor senora senorita sergeant sgt \
     signor signora signorina sir sr sra srta",
    )
});

pub(super) static GREETINGS: Set = LazyLock::new(|| {
    set(
        "ahoj beste bonjour caro cher chere ciao czesc dear dearest droga drogi estimada estimado geachte geehrte \
     geehrter gentile hallo hei hej hello hey hi hola kaere kara kare kjaere liebe lieber morning ola prezado \
     querida querido salut",
    )
});

pub(super) static SIGN_OFFS: Set = LazyLock::new(|| {
    set(
        "abraco abracos atenciosamente atentamente cheers cordialement faithfully groet groeten gruss grusse grussen \
     halsningar hilsen hugs kisses love pozdravem pozdrawiam regards respectfully saludos saluti sincerely terveisin \
     thanks truly wishes xoxo you yours",
    )
});

/// The last word of a field's label.
pub(super) static FIELDS: Set = LazyLock::new(|| {
    set(
        "achternaam agent ansprechpartner apellido apellidos applicant assistant attention attn author beneficiary by \
     cardholder client cliente cognome contact customer director doctor employee etunimi father fornamn fornavn \
     guest holder husband imie jmeno kontakt kunde landlord manager mother naam nachname name names namn navn \
     nazwisko nimi nom nombre nome owner participant passenger patient payee physician prenom prijmeni producer \
     recipient representative sender sobrenome spouse starring student sukunimi supervisor surname tenant voornaam \
     vorname wife witness writer",
    )
});

/// Labels that organisations and places follow as well.
pub(super) static WEAK_FIELDS: Set = LazyLock::new(|| {
    set("address adresse an bcc cc de direccion from indirizzo memo para signed til to van von")
});

/// Words before persons: verbs of speech, kin, callings.
pub(super) static PERSONS: Set = LazyLock::new(|| {
    set(
        "actor actress answered artist asked asks attorney aunt auntie boss boyfriend brother chairman child coach \
     colleague composer cousin coworker daughter director divorced drummer exclaimed fiance fiancee founder friend \
     girlfriend grandfather grandmother grandson guitarist husband kid lawyer married mayor muttered nephew niece \
     nurse painter poet producer replied roommate said says shouted singer sister son songwriter spouse teacher \
     thanked told uncle whispered wife",
    )
});

/// Labels of lists of persons.
pub(super) static GROUPS: Set = LazyLock::new(|| {
    set(
        "actors attendees authors brothers candidates cast children colleagues daughters directors editors founders \
     friends guests kids members owners participantes participants passengers people players siblings sisters sons \
     speakers students teachers teilnehmer winners witnesses",
    )
});

/// Words before an agent, who may be a person.
pub(super) static AGENTS: Set =
    LazyLock::new(|| set("am author by called feat featuring i'm im is name named starring this with"));

/// Verbs that only a person does, behind a name.
pub(super) static DONE_BY_PERSONS: Set = LazyLock::new(|| {
    set(
        "answered asked asks exclaimed laughed muttered replied replies said says shouted smiled told whispered writes \
     wrote",
    )
});

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
