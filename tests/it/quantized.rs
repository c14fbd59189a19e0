//! Linears in NF4 that are kept between commands.

use std::fs;

use crate::workplace::Workplace;

#[test]
fn answers_come_from_what_training_kept() {
    let place = Workplace::new();
    place.train(&["model.cache-quantized=true"]).succeeds();
    let folder = place.path("cache/quantized");
    let files = || -> Vec<_> {
        fs::read_dir(&folder).expect("there").map(|entry| entry.expect("an entry").path()).collect()
    };
    let [kept] = &files()[..] else { panic!("one base, one file: {:?}", files()) };
    let answer = |set: &str| {
        let arguments = ["generate", "run", "Where is it?", "--max-new-tokens", "8", "--set", set];
        let ran = place.rtune(&arguments);
        ran.succeeds();
        (ran.stdout, ran.stderr)
    };
    let (without, _) = answer("model.cache-quantized=false");
    let (with, said) = answer("model.cache-quantized=true");
    assert_eq!(with, without);
    assert!(!said.contains("note:"), "{said}");
    // A file that is damaged is told of, and made anew.
    let mut bytes = fs::read(kept).expect("there");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(kept, &bytes).expect("written");
    let (again, said) = answer("model.cache-quantized=true");
    assert_eq!(again, without);
    assert!(said.contains("note: the quantised weights in") && said.contains("damaged"), "{said}");
    bytes[last] ^= 1;
    assert_eq!((fs::read(kept).expect("there"), files().len()), (bytes, 1));
}
