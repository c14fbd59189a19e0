//! Texts of one record, between zero bytes: findings that lie in the text, and replacements that can be made.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rtune_privacy::{Mode, Replacement, ScanOptions, Scanner, Scope, Scrubber};

static SCANNER: LazyLock<Scanner> = LazyLock::new(scanner);

static SCRUBBERS: LazyLock<Vec<Scrubber>> = LazyLock::new(|| {
    let modes = [Mode::Tag, Mode::Numbered, Mode::Surrogate, Mode::Hash, Mode::Mask, Mode::DropRow];
    let with = |mode| {
        let salt = Some("a salt of more than sixteen bytes".to_owned());
        Scrubber::new(&Replacement { mode, scope: Scope::Set, salt }, scanner(), None).expect("a scrubber")
    };
    modes.map(with).into()
});

fn scanner() -> Scanner {
    Scanner::new(&ScanOptions { names: true, ..ScanOptions::default() }).expect("a scanner")
}

fuzz_target!(|input: &str| {
    for findings in [SCANNER.scan(input), SCANNER.scan_all(input)] {
        for finding in findings {
            assert!(finding.start < finding.end, "{finding:?}");
            assert!(input.get(finding.start..finding.end).is_some(), "{finding:?}");
        }
    }
    let texts: Vec<String> = input.split('\0').map(str::to_owned).collect();
    for scrubber in SCRUBBERS.iter() {
        let mut changed = texts.clone();
        let scrubbed = scrubber.scrub(&mut changed).expect("no model that could fail");
        assert_eq!(changed.len(), texts.len());
        assert!(!scrubbed.drop || changed == texts);
        assert!(scrubbed.replaced > 0 || changed == texts);
    }
});
