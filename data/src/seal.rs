//! A seal: a small file beside a golden file, by which every verb knows which of its rows are kept for the last examination.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::DataError;
use crate::input::Source;
use crate::record::Record;

/// What the name of a golden file has behind it.
const END: &str = "seal";
/// The format that is written.
const FORMAT: u64 = 1;
/// A seal has three lines that say something.
const MOST_BYTES: u64 = 64 << 10;
/// What the hash is keyed by where nothing else is written: no other use of the hash of a prompt says which half it is in.
const KEY: &str = "rtune 2026-11-22 the sealed half of a golden set";

/// Which rows of a golden file are kept back.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    format: u64,
    /// What the hash of a row is keyed by: another key keeps other rows back.
    key: String,
    /// Which part of the rows is kept back, above 0 and below 1.
    share: f64,
}

impl Default for Seal {
    /// Half of the rows.
    fn default() -> Self {
        Self { format: FORMAT, key: KEY.to_owned(), share: 0.5 }
    }
}

impl Seal {
    /// Where the seal of this golden file lies: `golden.jsonl.seal` for `golden.jsonl`.
    #[must_use]
    pub fn place_of(golden: &Path) -> PathBuf {
        let mut name = golden.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(END);
        golden.with_file_name(name)
    }

    /// Whether this is the file of a seal, by its name: it has no rows.
    pub(crate) fn is_one(path: &Path) -> bool {
        path.extension().is_some_and(|end| end == END)
    }

    /// The seal of a golden file, if it has one: beside the name that was given, or beside the file that a link of this name leads to.
    ///
    /// # Errors
    /// [`DataError::Seal`] for a seal that cannot be read or says nothing: rows are not opened because of that.
    pub fn of(golden: &Path) -> Result<Option<Self>, DataError> {
        let target = fs::canonicalize(golden).ok().map(|target| Self::place_of(&target));
        for place in std::iter::once(Self::place_of(golden)).chain(target) {
            let broken = |problem: String| DataError::Seal { path: place.clone(), problem };
            match fs::symlink_metadata(&place) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(broken(format!("cannot be read: {error}"))),
                Ok(_) => {}
            }
            let size = fs::metadata(&place).map_err(|error| broken(format!("cannot be read: {error}")))?;
            if !size.is_file() || size.len() > MOST_BYTES {
                return Err(broken(format!("expected a file of at most {} KiB", MOST_BYTES >> 10)));
            }
            let text = fs::read_to_string(&place);
            let text = text.map_err(|error| broken(format!("cannot be read: {error}")))?;
            return Self::parse(&text).map(Some).map_err(broken);
        }
        Ok(None)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let seal: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().map_or("", |span| text.get(..span.start).unwrap_or_default());
            format!("line {}: {}", before.matches('\n').count() + 1, error.message())
        })?;
        if seal.format != FORMAT {
            return Err(format!("expected `format` {FORMAT}, found {}", seal.format));
        }
        if seal.key.is_empty() {
            return Err("`key`: expected a text, found none".to_owned());
        }
        if !(seal.share > 0.0 && seal.share < 1.0) {
            return Err(format!("`share`: expected a number above 0 and below 1, found {}", seal.share));
        }
        Ok(seal)
    }

    /// As a file has it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let key = toml::Value::String(self.key.clone());
        format!(
            "# Of the golden file beside this one, so great a part of the rows is read by `rtune promote` alone; every other verb leaves them out.\n\
             # A guard against accident: whoever removes this file, or copies the golden file without it, has opened the rows.\n\
             format = {FORMAT}\nkey = {key}\nshare = {:?}\n",
            self.share
        )
    }

    /// Whether a row is kept back. What it asks decides that, or the cluster that it belongs to: neither its place in a file nor a
    /// correction of its answer moves it, and paraphrases stay together.
    pub(crate) fn keeps(&self, record: &Record, extra: &Map<String, Value>) -> bool {
        let mut hash = blake3::Hasher::new_derive_key(&self.key);
        // A number is meant as its text, as an evaluation reads it.
        let cluster = extra.get("cluster").and_then(|cluster| match cluster {
            Value::String(name) => Some(name.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        match cluster {
            Some(cluster) => hash.update(cluster.as_bytes()),
            None => hash.update(&record.prompt_hash()),
        };
        let mut first = [0; 8];
        first.copy_from_slice(&hash.finalize().as_bytes()[..8]);
        // The lowest bit of the first byte weighs most: half of the rows are those in which it is set.
        let place = u64::from_le_bytes(first).reverse_bits() as f64 / 2.0_f64.powi(64);
        place >= 1.0 - self.share
    }
}

/// The files of golden sources, each with its seal, if it has one.
///
/// # Errors
/// Those of [`Source::files`], and [`DataError::Seal`].
pub fn seals(sources: &[Source]) -> Result<Vec<(PathBuf, Option<Seal>)>, DataError> {
    let mut found = Vec::new();
    for source in sources {
        for file in source.files()? {
            let seal = Seal::of(&file)?;
            found.push((file, seal));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Message, Origin};

    fn record(prompt: &str) -> Record {
        let origin = Origin { file: Path::new("g.jsonl").into(), line: 1 };
        Record::new(None, origin, vec![Message::new("user", prompt), Message::new("assistant", "yes")])
    }

    fn kept(seal: &Seal) -> Vec<bool> {
        (0..1000).map(|number| seal.keeps(&record(&format!("question {number}")), &Map::new())).collect()
    }

    #[test]
    fn a_share_is_kept_back_and_another_key_keeps_others() {
        let count = |seal: &Seal| kept(seal).into_iter().filter(|kept| *kept).count();
        let half = Seal::default();
        assert!((440..560).contains(&count(&half)), "{}", count(&half));
        let fifth = Seal { share: 0.2, ..Seal::default() };
        assert!((160..240).contains(&count(&fifth)), "{}", count(&fifth));
        assert!(kept(&fifth).iter().zip(kept(&half)).all(|(small, large)| !small || large), "a part of it");
        let other = Seal { key: "another".to_owned(), ..Seal::default() };
        let moved = kept(&half).iter().zip(kept(&other)).filter(|(one, other)| *one != other).count();
        assert!((400..600).contains(&moved), "{moved}");
    }

    /// Runs and registries of before go by this very half.
    #[test]
    fn half_of_the_rows_is_the_half_that_it_always_was() {
        let always = |record: &Record| {
            let mut hash = blake3::Hasher::new_derive_key(KEY);
            hash.update(&record.prompt_hash());
            hash.finalize().as_bytes()[0] & 1 == 1
        };
        let rows = (0..1000).map(|number| record(&format!("question {number}")));
        let before: Vec<bool> = rows.map(|record| always(&record)).collect();
        assert_eq!(before, kept(&Seal::default()));
    }

    #[test]
    fn a_seal_lies_beside_its_file_or_where_a_link_leads() {
        let home = tempfile::tempdir().expect("a folder");
        let golden = home.path().join("golden.jsonl");
        fs::write(&golden, "{}").expect("written");
        assert_eq!(Seal::of(&golden).expect("readable"), None);
        let seal = Seal { share: 0.25, key: "a \"key\"".to_owned(), ..Seal::default() };
        fs::write(home.path().join("golden.jsonl.seal"), seal.to_text()).expect("written");
        assert_eq!(Seal::of(&golden).expect("readable"), Some(seal.clone()));
        let link = home.path().join("other.jsonl");
        std::os::unix::fs::symlink("golden.jsonl", &link).expect("linked");
        assert_eq!(Seal::of(&link).expect("readable"), Some(seal));
        let pattern = Source::new(home.path().join("golden*"));
        assert_eq!(pattern.files().expect("found"), [golden], "a seal has no rows");
    }

    #[test]
    fn a_seal_that_says_nothing_opens_nothing() {
        let home = tempfile::tempdir().expect("a folder");
        let golden = home.path().join("golden.jsonl");
        let text = Seal::default().to_text();
        for (text, said) in [
            (String::new(), "missing field"),
            (text.replace("format = 1", "format = 2"), "expected `format` 1, found 2"),
            (text.replace("share = 0.5", "share = 1.0"), "`share`: expected a number above 0 and below 1"),
            (text.replace("share = 0.5", "share = nan"), "`share`: expected a number above 0 and below 1"),
            (text.replace("key =", "keys ="), "unknown field"),
        ] {
            fs::write(home.path().join("golden.jsonl.seal"), &text).expect("written");
            let error = Seal::of(&golden).expect_err(&text);
            assert!(error.to_string().contains(said), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains("share")));
        }
        fs::remove_file(home.path().join("golden.jsonl.seal")).expect("removed");
        fs::create_dir(home.path().join("golden.jsonl.seal")).expect("made");
        assert!(matches!(Seal::of(&golden), Err(DataError::Seal { .. })));
    }
}
