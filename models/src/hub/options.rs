//! Where to download from and to. The only place that reads the environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rtune_kernels::cuda::Places;

/// The hub that is meant when `HF_ENDPOINT` is not set.
const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// Commands that may be pip, the likeliest first; the first one that starts is used.
const PIP_COMMANDS: &[&[&str]] =
    &[&["python3", "-m", "pip"], &["python", "-m", "pip"], &["py", "-m", "pip"], &["pip3"], &["pip"]];

/// Everything that decides where a base comes from.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// The hub's address.
    pub endpoint: String,
    /// What the hub knows the user by.
    pub token: Option<String>,
    /// The hub's cache, shared with other programs.
    pub hub_cache: PathBuf,
    /// rtune's own cache.
    pub rtune_cache: PathBuf,
    /// Whether the network is forbidden.
    pub offline: bool,
    /// The proxy that the system names, for messages; the connection itself finds it in the same variables.
    pub proxy: Option<String>,
    /// How pip may be called, each with its first arguments, in the order of trial.
    pub pip_commands: Vec<Vec<OsString>>,
    /// How often a failed request is repeated.
    pub retries: usize,
    /// Where cuBLAS may lie.
    pub places: Places,
}

impl HubOptions {
    /// Reads `HF_ENDPOINT`, `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_DISABLE_IMPLICIT_TOKEN`, `HF_HOME`,
    /// `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HUB_OFFLINE`, `RTUNE_CACHE`, `XDG_CACHE_HOME`, `HOME` (or
    /// `USERPROFILE`) and the proxy variables, with the meaning that `huggingface_hub` gives them, `~` and `$NAME` in paths
    /// among it; and `CUDA_HOME`, `CUDA_PATH` and `VIRTUAL_ENV`.
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var_os(name).filter(|value| !value.is_empty()))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
        let plain_path = |name: &str| variable(name).map(PathBuf::from);
        let known_home = plain_path("HOME").or_else(|| plain_path("USERPROFILE"));
        let home = known_home.clone().unwrap_or_else(|| PathBuf::from("."));
        let path = |name: &str| {
            variable(name).map(|given| match given.to_str() {
                Some(given) => written_out(given, &home, &text),
                None => PathBuf::from(given),
            })
        };
        let first_path = |names: &[&str]| names.iter().find_map(|name| path(name));
        let caches = path("XDG_CACHE_HOME").unwrap_or_else(|| home.join(".cache"));
        let hub_home = path("HF_HOME").unwrap_or_else(|| caches.join("huggingface"));
        let token_file = path("HF_TOKEN_PATH").unwrap_or_else(|| hub_home.join("token"));
        let stored_token = || match is_true(text("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
            true => None,
            false => text("HF_TOKEN")
                .or_else(|| text("HUGGING_FACE_HUB_TOKEN"))
                .or_else(|| std::fs::read_to_string(token_file).ok()),
        };
        let proxies = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"];
        Self {
            endpoint: text("HF_ENDPOINT")
                .map_or_else(|| DEFAULT_ENDPOINT.to_owned(), |url| url.trim_end_matches('/').to_owned()),
            token: stored_token().map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()),
            hub_cache: first_path(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"])
                .unwrap_or_else(|| hub_home.join("hub")),
            rtune_cache: path("RTUNE_CACHE").unwrap_or_else(|| caches.join("rtune")),
            offline: is_true(text("HF_HUB_OFFLINE")),
            proxy: proxies.iter().find_map(|name| text(name)),
            pip_commands: PIP_COMMANDS
                .iter()
                .map(|command| command.iter().map(OsString::from).collect())
                .collect(),
            retries: DEFAULT_RETRIES,
            places: Places {
                cuda_home: first_path(&["CUDA_HOME", "CUDA_PATH"]),
                virtual_env: path("VIRTUAL_ENV"),
                home: known_home,
            },
        }
    }
}

/// A path as a shell would have it, which reads no file of a service or a container: a leading `~` is the home folder, `$NAME` and
/// `${NAME}` are variables. One that is not set is left as it stands.
fn written_out(path: &str, home: &Path, variable: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    let mut out = String::new();
    let mut rest = path;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        let (name, length) = match from.strip_prefix("${").and_then(|inner| inner.split_once('}')) {
            Some((name, _)) => (name, name.len() + "${}".len()),
            None => {
                let end = from[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let length = 1 + end.unwrap_or(from.len() - 1);
                (&from[1..length], length)
            }
        };
        out.push_str(before);
        match variable(name).filter(|_| !name.is_empty()) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&from[..length]),
        }
        rest = &from[length..];
    }
    out.push_str(rest);
    match out.strip_prefix('~').filter(|_| path.starts_with('~')) {
        Some("") => home.to_owned(),
        Some(below) if below.starts_with('/') => home.join(below.trim_start_matches('/')),
        _ => PathBuf::from(out),
    }
}

/// About six seconds in all with hf-hub's doubling delays: enough for a hiccup, little when there is no network.
const DEFAULT_RETRIES: usize = 5;

/// The words that `huggingface_hub` takes for true.
fn is_true(value: Option<String>) -> bool {
    value.is_some_and(|value| matches!(value.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> HubOptions {
        HubOptions::from_variables(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn defaults_stand_under_the_home_folder() {
        let options = read(&[("HOME", "/home/me")]);
        assert_eq!(options.endpoint, "https://huggingface.co");
        assert_eq!(options.hub_cache, PathBuf::from("/home/me/.cache/huggingface/hub"));
        assert_eq!(options.rtune_cache, PathBuf::from("/home/me/.cache/rtune"));
        assert_eq!((options.token, options.offline, options.proxy), (None, false, None));
    }

    #[test]
    fn every_variable_is_honoured() {
        let options = read(&[
            ("HF_HOME", "/hf"),
            ("HF_ENDPOINT", "http://mirror/"),
            ("HF_TOKEN", " secret\n"),
            ("HF_HUB_OFFLINE", "yes"),
            ("RTUNE_CACHE", "/rt"),
            ("HTTPS_PROXY", "http://proxy:1"),
        ]);
        assert_eq!((options.endpoint.as_str(), options.token.as_deref()), ("http://mirror", Some("secret")));
        assert_eq!(
            (options.hub_cache, options.rtune_cache),
            (PathBuf::from("/hf/hub"), PathBuf::from("/rt"))
        );
        assert!(options.offline);
        assert_eq!(options.proxy.as_deref(), Some("http://proxy:1"));
        let options = read(&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/c"), ("XDG_CACHE_HOME", "/x")]);
        assert_eq!(
            (options.hub_cache, options.rtune_cache),
            (PathBuf::from("/c"), PathBuf::from("/x/rtune"))
        );
        let options =
            read(&[("HF_TOKEN", "secret"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"), ("HF_HUB_OFFLINE", "0")]);
        assert_eq!((options.token, options.offline), (None, false));
        let options = read(&[("HUGGING_FACE_HUB_TOKEN", "old")]);
        assert_eq!(options.token.as_deref(), Some("old"));
        let options = read(&[("HUGGING_FACE_HUB_TOKEN", "old"), ("HF_TOKEN", "new")]);
        assert_eq!(options.token.as_deref(), Some("new"));
    }

    /// No shell reads the files of services and containers.
    #[test]
    fn paths_are_written_out() {
        let hub =
            |given: &str| read(&[("HOME", "/home/me"), ("DATA", "/data"), ("HF_HUB_CACHE", given)]).hub_cache;
        for (given, expected) in [
            ("~/hf", "/home/me/hf"),
            ("~", "/home/me"),
            ("~other/hf", "~other/hf"),
            ("/a/~/b", "/a/~/b"),
            ("$DATA/hf", "/data/hf"),
            ("${DATA}hf", "/datahf"),
            ("$HOME/hf/$NONE/${NONE}/$", "/home/me/hf/$NONE/${NONE}/$"),
            ("${DATA", "${DATA"),
            ("/größe/$DATA", "/größe//data"),
        ] {
            assert_eq!(hub(given), PathBuf::from(expected), "{given}");
        }
        let options = read(&[("HOME", "/home/me"), ("HF_HOME", "~/hf"), ("RTUNE_CACHE", "~/rt")]);
        assert_eq!(
            (options.hub_cache, options.rtune_cache),
            (PathBuf::from("/home/me/hf/hub"), PathBuf::from("/home/me/rt"))
        );
    }

    #[test]
    fn a_stored_token_is_read() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("token"), "stored\n").expect("write");
        let home = folder.path().to_str().expect("a path in UTF-8");
        assert_eq!(read(&[("HF_HOME", home)]).token.as_deref(), Some("stored"));
        let file = folder.path().join("token");
        assert_eq!(
            read(&[("HF_TOKEN_PATH", file.to_str().expect("UTF-8"))]).token.as_deref(),
            Some("stored")
        );
    }
}
