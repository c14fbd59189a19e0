//! The licence of a base: where it is said, and what it asks of who passes a tuned model on.

mod card;
mod known;
#[cfg(test)]
mod tests;
mod text;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use known::{Commercial, Duties, KNOWN, known};

use crate::GgufFile;
use crate::hub::ALIASES;

/// The model card of a folder.
const CARD_FILE: &str = "README.md";
/// What the names of licence files are, without their ends.
const LICENCE_FILES: [&str; 2] = ["LICENSE", "LICENCE"];
/// Longest card or licence that is read, in bytes: the longest licences in use have some 40 KB.
const MAX_TEXT_BYTES: u64 = 4 << 20;
/// What stands for a licence that is said nowhere, in a list of accepted ones too.
pub const UNKNOWN: &str = "unknown";

/// What a base says of its licence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// As the hub writes it, in small letters: `apache-2.0`, or the name that stands for `other`. Several hold together.
    pub ids: Vec<String>,
    /// Where its text is, if that is said.
    pub link: Option<String>,
    /// What said it.
    pub from: Option<String>,
}

impl Licence {
    /// Reads what a base's folder or `.gguf` file says: the card's front matter, `license` of config.json, the text of a licence
    /// file; of a GGUF file `general.license`. What cannot be read says nothing: whoever needs a licence refuses an unknown one.
    #[must_use]
    pub fn of(base: &Path) -> Self {
        if base.is_dir() { Self::of_folder(base) } else { Self::of_file(base) }
    }

    /// What is pinned for an alias, else [`Self::of`] the files of a base.
    #[must_use]
    pub fn of_base(name: &str, files: &Path) -> Self {
        match ALIASES.iter().find(|alias| alias.name == name) {
            Some(alias) => Self {
                ids: vec![alias.licence.to_ascii_lowercase()],
                link: None,
                from: Some(format!("the alias {}", alias.name)),
            },
            None => Self::of(files),
        }
    }

    fn of_folder(folder: &Path) -> Self {
        let card = read(&folder.join(CARD_FILE)).map(|text| card::front_matter(&text)).unwrap_or_default();
        let text = licence_file(folder).and_then(|path| {
            let id = text::recognised(&read(&path)?)?;
            Some((id, path.file_name()?.to_string_lossy().into_owned()))
        });
        let said = |ids: Vec<String>, link: Option<String>, from: &str| Self {
            ids,
            link,
            from: Some(from.to_owned()),
        };
        if !card.ids.is_empty() {
            return said(card.ids, card.link, CARD_FILE);
        }
        if let Some(id) = config_licence(folder) {
            return said(vec![id], card.link, "config.json");
        }
        match text {
            Some((id, file)) => said(vec![id.to_owned()], card.link, &file),
            None => Self { link: card.link, ..Self::default() },
        }
    }

    fn of_file(path: &Path) -> Self {
        let Ok(file) = GgufFile::open(path) else { return Self::default() };
        let text = |key: &str| file.metadata().string(key).ok().flatten().map(str::trim).map(str::to_owned);
        let (Some(id), link) = (text("general.license"), text("general.license.link")) else {
            return Self::default();
        };
        let id = match id.to_ascii_lowercase().as_str() {
            "other" => text("general.license.name").map(|name| name.to_ascii_lowercase()),
            "" | UNKNOWN => None,
            id => Some(id.to_owned()),
        };
        let from = id.is_some().then(|| "general.license".to_owned());
        Self { ids: id.into_iter().collect(), link, from }
    }

    /// Whether nothing says it.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.ids.is_empty()
    }

    /// In a line: `apache-2.0`, or `unknown`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.is_unknown() { UNKNOWN.to_owned() } else { self.ids.join(", ") }
    }

    /// The first of its licences that is not among `accepted`, or `unknown`; `None` where all are.
    #[must_use]
    pub fn refused_by(&self, accepted: &[String]) -> Option<String> {
        let is_accepted = |id: &str| accepted.iter().any(|one| same(one, id));
        if self.is_unknown() {
            return (!is_accepted(UNKNOWN)).then(|| UNKNOWN.to_owned());
        }
        self.ids.iter().find(|id| !is_accepted(id)).cloned()
    }

    /// What is known of its licences.
    pub fn duties(&self) -> impl Iterator<Item = &'static Duties> {
        self.ids.iter().filter_map(|id| known(id))
    }
}

/// Whether two names mean one licence.
fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim().to_ascii_lowercase(), other.trim().to_ascii_lowercase());
    one == other
        || known(&one).is_some_and(|duties| known(&other).is_some_and(|others| duties.id == others.id))
}

fn config_licence(folder: &Path) -> Option<String> {
    let keys: serde_json::Value = serde_json::from_str(&read(&folder.join("config.json"))?).ok()?;
    let id = keys.get("license")?.as_str()?.trim().to_ascii_lowercase();
    (!id.is_empty() && id != "other" && id != UNKNOWN).then_some(id)
}

/// `LICENSE`, `LICENSE.txt`, `LICENSE.md` and the like, the first by name.
fn licence_file(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let is_licence = |path: &PathBuf| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_ascii_uppercase();
        path.is_file() && LICENCE_FILES.contains(&stem.as_str())
    };
    entries.filter(is_licence).min()
}

fn read(path: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(MAX_TEXT_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
