use std::collections::BTreeSet;
use std::fs;

use super::*;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a folder");
    files.iter().for_each(|(name, text)| fs::write(place.path().join(name), text).expect("written"));
    place
}

fn of(files: &[(&str, &str)]) -> Licence {
    Licence::of(folder(files).path())
}

#[test]
fn cards_say_it_in_several_ways() {
    for (card, ids) in [
        ("---\nlanguage: en\nlicense: apache-2.0\n---\n# A\n", vec!["apache-2.0"]),
        ("\u{feff}---\r\nlicense: \"MIT\"   # as ever\r\n---\r\n", vec!["mit"]),
        ("---\nlicense:\n- cc-by-4.0\n- Gemma\ntags:\n- x\n---\n", vec!["cc-by-4.0", "gemma"]),
        ("---\nlicense: [mit, 'apache-2.0']\n---\n", vec!["mit", "apache-2.0"]),
        (
            "---\nlicense: other\nlicense_name: Qwen-Research\nlicense_link: LICENSE\n---\n",
            vec!["qwen-research"],
        ),
        ("---\nlicense: other\n---\n", vec![]),
        ("---\nlicense: unknown\n---\n", vec![]),
        ("---\ntags:\n  license: mit\n---\n", vec![]),
        ("license: mit\n", vec![]),
        ("# no front matter\n---\nlicense: mit\n---\n", vec![]),
    ] {
        let licence = of(&[("README.md", card)]);
        assert_eq!(licence.ids, ids, "{card:?}");
        assert_eq!(licence.from.is_some(), !ids.is_empty());
    }
    let licence = of(&[(
        "README.md",
        "---\nlicense: other\nlicense_name: x\nlicense_link: https://a.example/b\n---\n",
    )]);
    assert_eq!(licence.link.as_deref(), Some("https://a.example/b"));
}

#[test]
fn where_the_card_is_silent_the_other_files_speak() {
    let apache = "\n                Apache License\n          Version 2.0, January 2004\n";
    let licence = of(&[("README.md", "# A model\n"), ("LICENSE.txt", apache)]);
    assert_eq!((licence.name().as_str(), licence.from.as_deref()), ("apache-2.0", Some("LICENSE.txt")));
    let licence = of(&[("config.json", "{\"license\": \"MIT\"}"), ("LICENSE", apache)]);
    assert_eq!((licence.name().as_str(), licence.from.as_deref()), ("mit", Some("config.json")));
    let llama = "LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\nLlama 3.1 Version Release Date: July 23, 2024\n";
    assert_eq!(of(&[("LICENSE", llama)]).name(), "llama3.1");
    assert_eq!(of(&[("LICENSE", "Do as you please.")]).name(), UNKNOWN);
    assert_eq!(of(&[]).name(), UNKNOWN);
}

#[test]
fn a_list_accepts_what_stands_in_it() {
    let accepted = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let licence = |ids: &[&str]| Licence { ids: accepted(ids), ..Licence::default() };
    assert_eq!(licence(&["apache-2.0"]).refused_by(&accepted(&["MIT", "Apache-2.0"])), None);
    assert_eq!(licence(&["apache-2.0"]).refused_by(&accepted(&["mit"])).as_deref(), Some("apache-2.0"));
    assert_eq!(licence(&["mit", "gemma"]).refused_by(&accepted(&["mit"])).as_deref(), Some("gemma"));
    assert_eq!(licence(&[]).refused_by(&accepted(&["mit"])).as_deref(), Some(UNKNOWN));
    assert_eq!(licence(&[]).refused_by(&accepted(&["unknown"])), None);
    assert_eq!(licence(&["qwen"]).refused_by(&accepted(&["qwen-license"])), None, "another name of the same");
    assert_eq!(licence(&["a-new-one"]).refused_by(&accepted(&["A-New-One"])), None, "it need not be known");
}

#[test]
fn every_licence_is_known_once() {
    let mut seen = BTreeSet::new();
    for duties in KNOWN {
        for name in std::iter::once(&duties.id).chain(duties.names) {
            assert!(seen.insert(*name), "{name} stands twice");
            assert_eq!(name.to_ascii_lowercase(), *name);
            assert_eq!(known(name).map(|found| found.id), Some(duties.id));
        }
        assert!(duties.duties.iter().all(|text| text.ends_with('.')), "{}", duties.id);
    }
    assert_eq!(known("Apache-2.0").map(|duties| duties.commercial), Some(Commercial::Yes));
    assert_eq!(known("no-such"), None);
    // What the aliases come under is known.
    assert!(ALIASES.iter().all(|alias| known(alias.licence).is_some()));
    assert!(KNOWN.iter().filter(|duties| duties.commercial == Commercial::No).count() >= 5);
}
