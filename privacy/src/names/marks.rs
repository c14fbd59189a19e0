//! Words that make of a run of capitalised words something other than a person. All are folded.

use std::sync::LazyLock;

use super::sets::{Set, list, set};

/// Legal forms and kinds of organisations: a name directly before one is the organisation's.
static ORGANISATIONS: Set = LazyLock::new(|| {
    set(
        "academy ag agency airlines airways analytics associates association bancorp bank bros brothers capital church \
     clinic club co college committee communications company consulting corp corporation council enterprises \
     foundation gmbh group holding holdings hospital hotel inc incorporated industries institute insurance \
     international kg lab laboratories labs library limited llc llp logistics ltd ltda magazine media ministry \
     motors museum network ohg orchestra partners plc press properties records restaurant sarl school services \
     software solutions sons stadium stiftung studio studios systems technologies technology theater theatre trust \
     union universitat university university's ventures weekly",
    )
});

/// Legal forms: what stands before one is an organisation, whatever it looks like.
static LEGAL_FORMS: Set = LazyLock::new(|| {
    set(
        "ag bv corp corporation gmbh inc incorporated kg limited llc llp ltd ltda ohg oy oyj plc sarl spa srl",
    )
});

/// Kinds of roads, and what else ends the name of a place.
static ROADS: Set = LazyLock::new(|| {
    set(
        "airport alley ave avenue bay beach blvd boulevard bridge building bypass causeway center centre circle city \
     county court creek crescent crossing district drive estate estates expressway falls field fields flats freeway \
     garden gardens harbor harbour heights highway hwy island islands isle junction lake lakes lane ln lodge mall \
     manor meadow meadows mews mount mountain mountains ocean park parkway pass path pike pkwy place plain plains \
     plaza point port prairie province ranch rapids rd ridge river road route row sea shore shores square st station \
     stravenue stream street summit terrace throughway trafficway trail tunnel turnpike valley viaduct view village \
     villages ville vista walk way",
    )
});

/// Kinds of roads that people are called too: they count where a number stands before the run.
static ROADS_OR_SURNAMES: Set = LazyLock::new(|| {
    set(
        "brook brooks burg cliff cliffs corner cove curve dale dam extension ferry ford forest forge fork forks fort \
     glen green greens grove groves haven hill hills hollow inlet key keys knoll land light loaf locks loop mill \
     mills mission neck orchard oval pine pines radial rest run shoal spring springs spur squares track tree union \
     well wells",
    )
});

/// What begins the name of a road in languages where the kind comes first.
static ROADS_BEFORE: Set = LazyLock::new(|| {
    set(
        "aleja allee av avda avenida avenue boulevard bulevar calle camino carrera chemin corso cours impasse largo \
     osiedle paseo piazza plac placa place plaza praca quai route rua rue strada travessa ul ulica ulitsa via viale \
     vicolo",
    )
});

/// What begins the name of a place.
static PLACES_BEFORE: Set = LazyLock::new(|| {
    set("camp cape fort isla lake monte mount port porto puerto saint san sankt santa santo sao villa")
});

/// What ends one.
static COMPASS: Set = LazyLock::new(|| set("beach central east falls junction north south upon west"));

/// Kinds of roads behind a name, in small letters.
static ROADS_BEHIND: Set = LazyLock::new(|| {
    set(
        "allee avenue cad caddesi drive gade gata gatan gate gaten katu laan lane plads plass platz road sok sokak \
     straat strasse street ter tie u ulica ut utca utja vag vagen vei veien vej weg",
    )
});

/// Whether a name directly before this word, in small letters, is a road's.
pub(super) fn ends_road(folded: &str) -> bool {
    ROADS_BEHIND.contains(folded)
}

/// Whether what follows this word is a place's name.
pub(super) fn begins_place(folded: &str) -> bool {
    PLACES_BEFORE.contains(folded)
}

/// Whether the pair of words is a place: `San Giovanni`, `Hamilton East`.
pub(super) fn is_place(first: &str, last: &str) -> bool {
    PLACES_BEFORE.contains(first) || COMPASS.contains(last)
}

/// Endings of words that are roads.
static ROAD_ENDINGS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    list(
        "strasse str gasse platz allee vagen gatan gade vej veien gata gaten straat laan plein katu tie kuja polku utca \
     utja ulice ulitsa",
    )
});

/// Names of firms that read like a person's, as their last words after the first.
const FIRMS: &[(&str, &str)] = &[
    ("abercrombie", "fitch"),
    ("aston", "martin"),
    ("calvin", "klein"),
    ("charles", "schwab"),
    ("christian", "dior"),
    ("dean", "deluca"),
    ("eli", "lilly"),
    ("ernst", "young"),
    ("estee", "lauder"),
    ("goldman", "sachs"),
    ("harley", "davidson"),
    ("hugo", "boss"),
    ("jack", "daniels"),
    ("john", "deere"),
    ("johnnie", "walker"),
    ("johnson", "johnson"),
    ("lehman", "brothers"),
    ("louis", "vuitton"),
    ("marks", "spencer"),
    ("mary", "kay"),
    ("merrill", "lynch"),
    ("morgan", "chase"),
    ("morgan", "stanley"),
    ("ralph", "lauren"),
    ("raymond", "james"),
    ("rolls", "royce"),
    ("tommy", "hilfiger"),
    ("wells", "fargo"),
];

/// Whether a run that ends with this word is an organisation.
pub(super) fn is_organisation(folded: &str) -> bool {
    ORGANISATIONS.contains(folded)
}

/// Whether a run with this word behind its first is reported as an organisation.
pub(super) fn is_legal_form(folded: &str) -> bool {
    LEGAL_FORMS.contains(folded)
}

/// Whether a run with this word behind its first is a road or a place. `has_number`: a number stands before the run.
pub(super) fn is_road(folded: &str, has_number: bool) -> bool {
    let singular = folded.strip_suffix('s').unwrap_or(folded);
    ROADS.contains(folded)
        || (has_number && ROADS_OR_SURNAMES.contains(singular))
        || (has_number && ROADS_OR_SURNAMES.contains(folded))
        || ROAD_ENDINGS.iter().any(|ending| {
            folded.len() > ending.len() + 3
                && folded.ends_with(ending)
                && !matches!(*ending, "str" | "tie" | "gata")
        })
}

/// Whether what follows this word is a road's or a place's name.
pub(super) fn begins_road(folded: &str) -> bool {
    ROADS_BEFORE.contains(folded)
}

/// Names of ships of state begin with one of these.
static SHIPS: Set = LazyLock::new(|| set("hmas hmcs hms mv rms ss uscgc usns usnv uss"));

/// Whether what follows is a ship.
pub(super) fn begins_ship(folded: &str) -> bool {
    SHIPS.contains(folded)
}

/// Parts of addresses that stand behind a name without a comma.
static UNITS: Set = LazyLock::new(|| {
    set("apartment apt box building fax flat floor mobile office phone po room suite tel unit")
});

/// Whether a name ends before this word.
pub(super) fn ends_name(folded: &str) -> bool {
    UNITS.contains(folded)
}

/// Whether the two words are a firm.
pub(super) fn is_firm(first: &str, last: &str) -> bool {
    FIRMS.contains(&(first, last))
}

/// Words inside a name that are written small.
static PARTICLES: Set = LazyLock::new(|| {
    set(
        "af al av ben bin bint da dal das de degli dei del della den der di do dos du el ibn la le ten ter van von zu \
     zum zur",
    )
});

/// Whether the small words between two capitalised ones belong to a name: `van der`, `de la`.
pub(super) fn are_particles(gap: &str) -> bool {
    gap.len() <= 12
        && !gap.contains('\n')
        && gap.split(' ').filter(|word| !word.is_empty()).all(|word| PARTICLES.contains(word))
}

/// Endings of surnames by language: patronymics and the like. At least this many letters stand before one.
static SURNAME_ENDINGS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    list(
        "ovic evic avic ic ov ev yov ova eva ovna evna ovich evich skiy skyy sky ski ska skaya cki cka wicz czyk czak \
     enko chuk shvili dze yan ian idis akis poulos poulou escu sson sdottir dottir sen nen lainen nova ovy ukh aitis \
     auskas iene oglu zadeh quist strom gren berg stein mann baum huizen stra sma inga ez",
    )
});
const LETTERS_BEFORE_ENDING: usize = 3;

/// Whether an unknown word has the ending of a surname.
pub(super) fn is_like_surname(folded: &str) -> bool {
    SURNAME_ENDINGS.iter().any(|ending| {
        folded
            .strip_suffix(ending)
            .is_some_and(|stem| stem.len() >= LETTERS_BEFORE_ENDING && !stem.contains('-'))
    })
}

/// Endings that hardly any other word has: a word with one is a surname on its own.
static SURE_ENDINGS: LazyLock<Vec<&str>> =
    LazyLock::new(|| list("ovic evic dottir shvili poulos escu enko czyk wicz sson ovich evich nova"));

/// Whether an unknown word is a surname without anything beside it.
pub(super) fn is_surely_surname(folded: &str) -> bool {
    SURE_ENDINGS
        .iter()
        .any(|ending| folded.strip_suffix(ending).is_some_and(|stem| stem.len() >= LETTERS_BEFORE_ENDING))
}
