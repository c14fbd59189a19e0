#!/usr/bin/env python3
"""Names and words with what they are, one a line: `key<TAB>flags`, sorted by the bytes of the key.

    pip download --no-deps names==0.3.0 faker==40.54.0 mimesis==22.2.0 stopwordsiso==0.7.1   (and unpack them into one folder)
    python3 make.py FOLDER /usr/share/dict/american-english-small > gazetteer.tsv
    cargo run --release -p rtune-privacy --example gazetteer -- gazetteer.tsv src/names/gazetteer.fst

README.md beside this file says where each list comes from and under which terms. Keys are folded as `names/fold.rs` does it.
"""

import importlib
import json
import os
import sys
import unicodedata

GIVEN, SURNAME, WORD, PLACE, FREQUENT_GIVEN, FREQUENT_SURNAME, DICTIONARY, MOSTLY_SURNAME = 1, 2, 4, 8, 16, 32, 64, 128

LETTERS = str.maketrans({"ß": "ss", "ø": "o", "ł": "l", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "ħ": "h"})

# Share of the population, in percent, from which a given name of the census is frequent.
FREQUENT_GIVEN_PERCENT = 0.02
# Surnames of the census up to this rank are frequent (8 of 10 people bear one).
FREQUENT_SURNAME_RANK = 20_000
# Share of the population from which a surname that is no given name of the census is one first of all.
COMMON_SURNAME_PERCENT = 0.003
# Rarer surnames of the census than this make the file larger and find hardly anybody.
LAST_SURNAME_RANK = 45_000
# Languages of Latin, Cyrillic or Greek script whose stop words are words.
STOP_WORD_LANGUAGES = "af ca cs da de el en es et eu fi fr ga gl hr hu id it lt lv nl no pl pt ro ru sk sl sv tr uk vi".split()

# In the dictionary for a sense that hardly ever stands in a text: as capitalised words they are names.
RARELY_WORDS = """
peter maria harry mike jack martin victor sally heather matt nick bob ken sherry derrick glen viola iris aline ray jay sue warren
rosemary lee dean carol robin ruby frank gene garret jarred newton walker foster flora patty marina eddy basil abbey
sara sean kim allen ellen ana jim tom tim ella dan sam tanya jo ben andre nora ada kirk kelli della ira ed cara etta elva ina dina nell
darin otto eli hans nola mia ila greta neva ned ali noe fran beau mina errol tera tana olin kira tad andra len kami ena nelle nella meg
leda kaci inga denna mila mika lilla jona jen gia elke alla ute tobie sina sarai sana minta lang kimi karena kamilah kai elli ela deja
alex anna lisa maya erik karl lars nils jens uwe rolf ida ivan
""".split()

# Given names that mean a place first: on their own they are none of a person.
PLACES_FIRST = """
paris london austin charlotte florence victoria sydney jordan chad georgia virginia carolina orlando houston dallas denver madison
lincoln jackson savannah phoenix brooklyn chelsea kent geneva alexandria valencia verona santiago israel kenya india china asia lourdes
cleveland columbus raleigh trenton cheyenne salvador vienna cuba troy dakota montana nevada alberta ireland france italy holland
britain america africa washington lima milan roma rome venice olympia cordoba merced reno memphis boston bristol devon carlisle
chester lancaster richmond york wellington adelaide melbourne perth brisbane malta cyprus odessa sofia kiel essen trier celle nancy
lille tours nice brest vichy como siena modena parma alba argentina colombia bolivia persia florida california
""".split()

# What the dictionary does not have: words of mail, business and the web, and the names of days and months.
MORE_WORDS = """
monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september october november
december email e-mail website web app online login username password wifi internet google facebook twitter instagram youtube amazon
microsoft apple paypal visa mastercard amex iphone ipad android windows linux inc ltd llc gmbh corp plc llp mr mrs ms dr prof
usa uk eu english french german spanish italian russian chinese japanese american british european christmas easter internet
hi hey hello dear thanks thank regards sincerely cheers yours ok okay yes no please sorry sir madam maam mom dad
bot chatbot assistant user admin agent blog app smartphone iban bic swift atm pin ssn isbn url http https html json csv pdf sms mms gps
tv dvd cd usb faq asap fyi ceo cfo cto hr pr qa ui ux api sql wi-fi covid uber netflix spotify whatsapp tiktok linkedin reddit ebay
""".split()


def fold(text):
    text = unicodedata.normalize("NFD", text.lower().translate(LETTERS))
    return "".join(letter for letter in text if not unicodedata.combining(letter))


def is_key(text):
    """At least two letters of a script that has capitals, with hyphens and apostrophes inside."""
    if len(text) < 2 or not text[0].isalpha() or not text[-1].isalpha():
        return False
    return all(c in "-'" or (c.isalpha() and c != c.upper()) for c in text)


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            # Faker maps a name to its weight; mimesis a kind to its names.
            yield from ([key] if isinstance(inner, (int, float)) else strings(inner))
    elif isinstance(value, (list, tuple, set)):
        for inner in value:
            yield from strings(inner)


def census(folder):
    """US Census 1990, by the package `names`: share in percent of a given name, rank of a surname."""
    given, surnames, shares = {}, {}, {}
    base = os.path.join(folder, "names-0.3.0", "names")
    for name in ("dist.female.first", "dist.male.first"):
        for line in open(os.path.join(base, name)):
            key, share, *_ = line.split()
            given[key.lower()] = max(given.get(key.lower(), 0.0), float(share))
    for line in open(os.path.join(base, "dist.all.last")):
        key, share, _, rank = line.split()
        shares[key.lower()] = float(share)
        if int(rank) <= LAST_SURNAME_RANK:
            surnames[key.lower()] = int(rank)
    common = {key for key, share in shares.items() if share >= COMMON_SURNAME_PERCENT and key in surnames}
    mostly = {key for key in common | set(given) if shares.get(key, 0.0) > given.get(key, 0.0)}
    return given, surnames, mostly


def faker(folder):
    sys.path.insert(0, folder)
    given, surnames = set(), set()
    people = os.path.join(folder, "faker", "providers", "person")
    for locale in sorted(os.listdir(people)):
        if not os.path.isfile(os.path.join(people, locale, "__init__.py")):
            continue
        provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
        for attribute in sorted(dir(provider)):
            value = getattr(provider, attribute)
            if callable(value):
                continue
            if attribute.startswith("first_names"):
                given.update(map(fold, strings(value)))
            elif attribute.startswith("last_names"):
                surnames.update(map(fold, strings(value)))
    return given, surnames


def mimesis(folder):
    given, surnames, places, nations, regions = set(), set(), set(), set(), set()
    base = os.path.join(folder, "mimesis", "datasets")
    for locale in sorted(os.listdir(base)):
        person = os.path.join(base, locale, "person.json")
        if os.path.isfile(person):
            data = json.load(open(person, encoding="utf-8"))
            given.update(map(fold, strings(data.get("names", {}))))
            surnames.update(map(fold, strings(data.get("surnames", {}))))
            if locale.startswith("en"):
                nations.update(map(fold, strings(data.get("nationality", {}))))
                nations.update(map(fold, strings(data.get("language", {}))))
        address = os.path.join(base, locale, "address.json")
        if os.path.isfile(address):
            data = json.load(open(address, encoding="utf-8"))
            for kind in ("city", "state", "country"):
                places.update(map(fold, strings(data.get(kind, {}))))
            if locale.startswith("en"):
                regions.update(map(fold, strings(data.get("state", {}))))
                regions.update(map(fold, strings(data.get("country", {}))))
    return given, surnames, places, nations, regions


def main(folder, dictionary):
    census_given, census_surnames, mostly_surnames = census(folder)
    faker_given, faker_surnames = faker(folder)
    mimesis_given, mimesis_surnames, places, nations, regions = mimesis(folder)
    stop = json.load(open(os.path.join(folder, "stopwordsiso", "stopwords-iso.json"), encoding="utf-8"))
    lines = [line.strip() for line in open(dictionary, encoding="utf-8") if "'" not in line]
    words = {fold(line) for line in lines if line[0].islower()} | set(MORE_WORDS)
    capitals = {fold(line) for line in lines if line[0].isupper()}
    given = set(census_given) | faker_given | mimesis_given
    surnames = set(census_surnames) | faker_surnames | mimesis_surnames
    # Adjectives of nations, days, months and letters, which the dictionary writes with a capital.
    words |= capitals - given - set(census_surnames)
    stops = {fold(word) for language in STOP_WORD_LANGUAGES for word in stop[language]}
    words |= stops | nations
    dictionary_words = set(words)
    words -= set(RARELY_WORDS)

    flags = {}

    def put(keys, flag):
        for key in keys:
            # Names of several words come apart; a name of one or two letters is seldom one.
            for part in key.split():
                if is_key(part):
                    flags[part] = flags.get(part, 0) | flag

    put((key for key in given if " " not in key), GIVEN)
    put(surnames, SURNAME)
    put((key for key in words if " " not in key), WORD)
    put((key for key in dictionary_words & (given | surnames) if " " not in key), DICTIONARY)
    put((key for key in places if " " not in key and key not in given and key.isascii()), PLACE)
    put(PLACES_FIRST, PLACE)
    often = {key for key, share in census_given.items() if share >= FREQUENT_GIVEN_PERCENT}
    put((key for key in regions if " " not in key and key.isascii() and len(key) > 3 and key not in often), PLACE)
    put((key for key, share in census_given.items() if share >= FREQUENT_GIVEN_PERCENT), FREQUENT_GIVEN)
    put(faker_given & mimesis_given, FREQUENT_GIVEN)
    put((key for key, rank in census_surnames.items() if rank <= FREQUENT_SURNAME_RANK), FREQUENT_SURNAME)
    put(mostly_surnames, MOSTLY_SURNAME)
    # Function words and adjectives of nations are no names, though somebody bears them.
    unnamed = ((stops | nations) - (faker_given & mimesis_given) - set(RARELY_WORDS)) | set(MORE_WORDS)
    for key in (unnamed - often) & set(flags):
        flags[key] &= WORD | PLACE | DICTIONARY
    for key in sorted(flags, key=lambda key: key.encode()):
        print(f"{key}\t{flags[key]}")
    count = lambda flag: sum(1 for value in flags.values() if value & flag)
    print(f"{len(flags)} keys: {count(GIVEN)} given, {count(SURNAME)} surnames, {count(WORD)} words, {count(PLACE)} places", file=sys.stderr)


main(*sys.argv[1:])
