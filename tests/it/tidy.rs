//! What ARCHITECTURE.md and CONTRIBUTING.md say of the sources, read off the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rtune_trainer::files::sha256_of_file;

/// Which crate may use which, by folder; `.` is the program. An arrow that comes or goes changes ARCHITECTURE.md too.
const ARROWS: [(&str, &[&str]); 14] = [
    (
        ".",
        &[
            "adapters", "data", "feedback", "metrics", "models", "privacy", "registry", "release", "sandbox",
            "trainer",
        ],
    ),
    ("adapters", &["kernels"]),
    ("data", &["metrics", "privacy", "tokens"]),
    ("feedback", &["data", "privacy", "trainer"]),
    ("fuzz", &["data", "models", "privacy", "registry", "trainer"]),
    ("kernels", &[]),
    ("metrics", &[]),
    ("models", &["adapters", "kernels", "tokens"]),
    ("privacy", &[]),
    ("registry", &["data", "metrics", "trainer"]),
    ("release", &["adapters", "kernels", "models", "tokens"]),
    ("sandbox", &[]),
    ("tokens", &[]),
    ("trainer", &["adapters", "data", "kernels", "metrics", "models", "privacy", "sandbox"]),
];

/// A longer file holds more than one subject, and is not read in one go.
const MOST_LINES: usize = 400;

#[test]
fn arrows_between_crates_are_those_of_the_table() {
    let mut wrong = Vec::new();
    for folder in crates() {
        let used = our_dependencies(&root().join(&folder).join("Cargo.toml"));
        let arrows = ARROWS.iter().find(|(name, _)| *name == folder);
        let Some((_, allowed)) = arrows else {
            wrong.push(format!("{folder}: not in the table"));
            continue;
        };
        let allowed: BTreeSet<String> = allowed.iter().map(|&name| name.to_owned()).collect();
        if used != allowed {
            wrong.push(format!("{folder}: uses {used:?}, the table has {allowed:?}"));
        }
    }
    none(&wrong, "arrows that are not those of the table");
}

#[test]
fn only_kernels_has_unsafe_code() {
    let kernels = root().join("kernels");
    let elsewhere = sources().into_iter().filter(|path| !path.starts_with(&kernels));
    none(&lines_with(elsewhere, is_unsafe), "`unsafe` outside kernels");
}

/// The page is a reading of these very bytes. Whoever changes one of the files reads what of it is unsafe again, and whom it trusts,
/// brings the page up to date, and only then the hash on it.
#[test]
fn the_review_of_unsafe_code_is_of_these_sources() {
    let page = read(&root().join("docs/unsafe.md"));
    let (_, list) = page.split_once("\n## What was read\n").expect("the files that were read");
    let lines = list.lines().filter_map(|line| line.strip_prefix("    "));
    let read_then: BTreeMap<&str, &str> = lines.filter_map(|line| line.split_once(' ')).collect();
    let mut wrong = Vec::new();
    for (name, hash) in &read_then {
        let found = sha256_of_file(&root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        if !found.starts_with(hash) || hash.len() != 8 {
            wrong.push(format!("{name}: read as {hash}, and is {} now", &found[..8]));
        }
    }
    let unread = sources().into_iter().filter(|path| !read_then.contains_key(shown(path).as_str()));
    wrong.extend(unread.filter(|path| code_of(&read(path)).lines().any(is_unsafe)).map(|path| shown(&path)));
    none(
        &wrong,
        "unsafe code that docs/unsafe.md is no review of: read it again, then bring page and hash up to date",
    );
}

/// At some texts and tokenizers the library panics; the guard of `tokens` makes that an error. Fuzz targets look for such panics.
#[test]
fn only_tokens_asks_the_tokenizers_library() {
    let guard = root().join("tokens");
    let is_test = |path: &Path| {
        let shown = shown(path);
        shown.split('/').any(|part| part == "tests" || part.ends_with("tests.rs") || part == "fuzz_targets")
    };
    let elsewhere = sources().into_iter().filter(|path| !path.starts_with(&guard) && !is_test(path));
    let calls = ["encode(", "decode(", "encode_fast(", "encode_batch(", "decode_batch("];
    let wrong =
        lines_with(elsewhere, |line| calls.iter().any(|call| line.contains(&format!("tokenizer.{call}"))));
    none(&wrong, "calls of a tokenizer that nothing guards");
}

#[test]
fn files_are_short_enough_to_be_read() {
    let mut wrong = Vec::new();
    for path in sources() {
        let lines = read(&path).lines().count();
        if lines > MOST_LINES {
            wrong.push(format!("{}: {lines} lines", shown(&path)));
        }
    }
    none(&wrong, "files that are too long");
}

#[test]
fn nothing_is_left_for_later() {
    let needles = [concat!("to", "do!("), concat!("un", "implemented!("), concat!("#[", "ignore")];
    let wrong = lines_with(sources(), |line| needles.iter().any(|needle| line.contains(needle)));
    none(&wrong, "code that is not there, or tests that do not run");
}

#[test]
fn every_library_says_what_it_is() {
    let libraries = crates().into_iter().map(|folder| root().join(folder).join("src/lib.rs"));
    let silent = libraries.filter(|path| path.is_file() && !read(path).starts_with("//!"));
    let wrong: Vec<String> = silent.map(|path| shown(&path)).collect();
    none(&wrong, "libraries without a first word");
}

#[test]
fn comments_and_strings_are_not_code() {
    let text = "a // b\n/* c /* d */\ne */ f \"g\\\" // h\" 'i' '\\'' '\"' <'j> br#\"k \" l\"# r#m\n";
    let words: Vec<String> = code_of(text).split_whitespace().map(str::to_owned).collect();
    assert_eq!(words, ["a", "f", "<'j>", "b", "r#m"]);
    assert_eq!(code_of(text).lines().count(), 3, "lines keep their numbers");
}

#[track_caller]
fn none(wrong: &[String], what: &str) {
    assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Files and folders in `folder`, in order, without build artefacts and what is hidden.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name != "target" && !name.starts_with('.') && !path.is_symlink()
    });
    paths.sort();
    paths
}

/// The folders that hold a crate, the root first.
fn crates() -> Vec<String> {
    let members = entries(root()).into_iter().filter(|path| path.join("Cargo.toml").is_file());
    std::iter::once(".".to_owned()).chain(members.map(|path| shown(&path))).collect()
}

fn sources() -> Vec<PathBuf> {
    let mut folders = vec![root().to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 50, "{} files: not the sources", files.len());
    files
}

/// The crates of this workspace under `[dependencies]`. Tests and benchmarks may use what they like.
fn our_dependencies(manifest: &Path) -> BTreeSet<String> {
    let text = read(manifest);
    let section = text.lines().skip_while(|line| line.trim() != "[dependencies]").skip(1);
    let keys = section.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once('='));
    let names = keys.map(|(key, _)| key.split('.').next().unwrap_or(key).trim());
    names.filter_map(|name| name.strip_prefix("rtune-")).map(str::to_owned).collect()
}

fn lines_with(paths: impl IntoIterator<Item = PathBuf>, is_wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for path in paths {
        let code = code_of(&read(&path));
        let wrong = code.lines().enumerate().filter(|(_, line)| is_wrong(line));
        found.extend(wrong.map(|(index, _)| format!("{}:{}", shown(&path), index + 1)));
    }
    found
}

fn is_unsafe(line: &str) -> bool {
    line.split(|c| !is_word(c)).any(|word| word == concat!("un", "safe"))
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// `text` with a space in place of each comment and literal; line breaks stay.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let literal = || raw_string(rest).or_else(|| string(rest)).or_else(|| character(rest));
        let length = match comment(rest).or_else(literal) {
            Some(length) => {
                code.push(' ');
                code.extend(rest[..length].chars().filter(|&c| c == '\n'));
                length
            }
            None => {
                code.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    code
}

/// The length of the comment at the start of `text`. Blocks nest.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0, 0);
    loop {
        let next = at + text[at..].find(['/', '*'])?;
        let step = match &text.as_bytes()[next..] {
            [b'/', b'*', ..] => 1,
            [b'*', b'/', ..] => -1,
            _ => 0,
        };
        depth += step;
        at = next + if step == 0 { 1 } else { 2 };
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The length of the raw string at the start of `text`; `r#name` is none.
fn raw_string(text: &str) -> Option<usize> {
    let marked = text.strip_prefix('r')?;
    let inner = marked.trim_start_matches('#').strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(marked.len() - inner.len() - 1));
    Some(text.len() - inner.len() + inner.find(&end)? + end.len())
}

fn string(text: &str) -> Option<usize> {
    let mut characters = text.strip_prefix('"')?.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => drop(characters.next()),
            '"' => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// The length of the character literal at the start of `text`; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    if inner.starts_with('\\') {
        return Some(3 + text.get(3..)?.find('\'')? + 1);
    }
    let first = inner.chars().next()?;
    inner[first.len_utf8()..].starts_with('\'').then_some(first.len_utf8() + 2)
}
