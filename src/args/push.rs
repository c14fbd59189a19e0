//! `rtune push`.

use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct PushArgs {
    /// A folder that `rtune export` or `rtune merge` wrote, or a run, whose adapter is exported for it
    pub(crate) folder: PathBuf,
    /// The repository, `owner/name`; it is created if it is not there
    #[arg(value_parser = parse_repository)]
    pub(crate) repository: (String, String),
    /// Make the repository private, if it is created
    #[arg(long)]
    pub(crate) private: bool,
    /// The branch to commit to
    #[arg(long, value_name = "BRANCH", default_value = "main", value_parser = parse_branch)]
    pub(crate) branch: String,
    /// The first line of the commit
    #[arg(long, default_value = "Upload by rtune")]
    pub(crate) message: String,
    /// Override a key of the run's configuration, for example model.base=DIR; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}

/// What the hub takes for a name: letters, digits, `-`, `_` and `.`, neither of these at an end, nor two dots or dashes.
fn parse_repository(text: &str) -> Result<(String, String), String> {
    let is_name = |name: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let at_end = |byte: Option<&u8>| byte.is_some_and(|byte| !b"-.".contains(byte));
        let bytes = name.as_bytes();
        bytes.len() <= 96
            && bytes.iter().copied().all(inner)
            && at_end(bytes.first())
            && at_end(bytes.last())
            && !name.contains("..")
            && !name.contains("--")
    };
    match text.split_once('/') {
        Some((owner, name)) if is_name(owner) && is_name(name) => Ok((owner.to_owned(), name.to_owned())),
        _ => Err("expected `owner/name`, each of letters, digits, `-`, `_` and `.`".to_owned()),
    }
}

fn parse_branch(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_branch = !text.is_empty() && text.bytes().all(is_plain) && !text.starts_with(['-', '.']);
    is_branch.then(|| text.to_owned()).ok_or_else(|| "expected a branch such as main".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_hub() {
        assert_eq!(parse_repository("me/my-model_1.0"), Ok(("me".to_owned(), "my-model_1.0".to_owned())));
        for text in ["model", "a/b/c", "/b", "a/", "a/..", "a/b c", "a/-b", "a/b.", "a/b--c", "a/b?x"] {
            assert!(parse_repository(text).is_err(), "{text}");
        }
        assert!(
            parse_branch("main").is_ok() && parse_branch("../x").is_err() && parse_branch("a/b").is_err()
        );
    }
}
