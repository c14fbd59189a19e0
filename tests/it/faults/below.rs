//! Files that are cut while a verb reads or fetches them.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use super::disk::{files, is_large};
use super::strike::Struck;
use super::verbs::behind;
use super::written::{differing, remove, written};
use super::{ended, place, place_with_run};
use crate::workplace::Workplace;

/// Cuts a file that is read, and brings it back in the end. Whoever comes to an end read the one or the other and no mixture: the output is
/// that of the whole file, or of one that was cut before.
pub(super) fn input_is_cut(struck: &Struck<'_>, wait: Duration, draw: &mut dyn FnMut(u64) -> u64) -> bool {
    let (verb, what) = (struck.verb, &struck.what);
    let name = verb.reads[draw(verb.reads.len() as u64) as usize];
    let before = fs::read(struck.place.path(name)).expect("there");
    let kept_bytes = kept_bytes(name, &before, draw);
    // In one go: nobody finds it empty.
    let cut = |place: &Workplace| {
        let file = File::options().write(true).open(place.path(name));
        file.and_then(|file| file.set_len(kept_bytes)).expect("cut");
    };
    let mut child = struck.start("");
    std::thread::sleep(wait);
    let alive = child.try_wait().expect("a child").is_none();
    cut(struck.place);
    let ran = ended(child, what);
    fs::write(struck.place.path(name), &before).expect("written");
    // By a signal nobody ends for it, as those would who map a file.
    assert!((0..=3).contains(&ran.code), "{what}: `{name}`: {} {}", ran.code, ran.stderr);
    let found = written(struck.place, verb);
    // A run that is of no use and a refused candidate are no errors, whatever the exit code.
    let is_done = !ran.stderr.contains("error:");
    if is_done && (ran.code != 0 || found != *struck.expected) {
        let other = if verb.of_run { place_with_run(struck.finished) } else { place() };
        cut(&other);
        let alone = ended(behind(&other, "", verb).spawn().expect("started"), what);
        let differ = differing(&found, &written(&other, verb));
        assert!(
            alone.code == ran.code && differ.is_empty(),
            "{what}: neither of `{name}` nor of its first {kept_bytes} bytes: {} and {}, {differ:?}\n{}",
            ran.code,
            alone.code,
            ran.stderr
        );
        // It is of another input than what is asked for next.
        remove(struck.place, verb);
    }
    alive
}

/// Any number of a file's bytes; of a file of lines half of the time whole lines, so that what is left is valid.
fn kept_bytes(name: &str, bytes: &[u8], draw: &mut dyn FnMut(u64) -> u64) -> u64 {
    let at = draw(bytes.len() as u64);
    if !name.ends_with(".jsonl") || draw(2) == 0 {
        return at;
    }
    bytes[..at as usize].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end as u64 + 1)
}

/// Cuts what is there of a download whose hash is known; nobody can tell it of another.
pub(super) fn download_is_cut(struck: &Struck<'_>, wait: Duration) -> bool {
    let mut child = struck.start("");
    std::thread::sleep(wait);
    let begun = files(&struck.place.path(struck.verb.out)).into_iter().filter(|file| is_large(file));
    // It is gone as soon as it is whole.
    let cut = |file: &PathBuf| {
        let file = File::options().write(true).open(file)?;
        file.set_len(file.metadata()?.len() / 2)
    };
    let cut = begun.filter(|file| cut(file).is_ok()).count();
    let alive = child.try_wait().expect("a child").is_none();
    struck.ended(child);
    alive && cut > 0
}
