//! A repository of the hub: whether it is there and who sees it, its branch, and one commit.

use std::fs;

use anyhow::{Context, anyhow, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::files::{File, MAX_REGULAR_BYTES, Mode};
use super::hub::{FIRST_WAIT, Hub, JSON, TRIALS, WAIT, is_failing, value};
use crate::failure::BadInput;
use crate::reporter::say;

/// Files that are asked about in one request, as `huggingface_hub` does.
const FILES_AT_ONCE: usize = 256;

/// What the hub says of a file.
pub(super) struct Wanted {
    pub(super) mode: Mode,
    /// Whether the repository's `.gitignore` names it.
    pub(super) is_ignored: bool,
    /// What stands there already under its name.
    pub(super) there: Option<String>,
}

impl Wanted {
    /// Whether the hub has this content under this name, or will not have any.
    pub(super) fn is_settled(&self, file: &File) -> bool {
        self.is_ignored || self.there.as_deref() == Some(file.id(self.mode))
    }
}

/// Where a branch stands.
#[derive(PartialEq)]
pub(super) struct Head {
    commit: Option<String>,
    /// Its files.
    pub(super) files: Vec<String>,
}

/// What a commit is made of.
pub(super) struct Change<'a> {
    pub(super) message: &'a str,
    pub(super) files: &'a [(&'a File, Mode)],
    /// Files that are taken away.
    pub(super) removed: &'a [String],
}

impl Hub {
    /// Creates the repository if it is not there. A public one is no private one: what was pushed could be read before anybody
    /// noticed.
    pub(super) fn be_there(&self, private: bool) -> anyhow::Result<()> {
        // Some tokens may write to a repository and create none.
        if self.is_there(private)? {
            return Ok(());
        }
        let url = format!("{}/api/repos/create", self.endpoint);
        let asked =
            json!({"type": "model", "name": self.name, "organization": self.owner, "private": private});
        let answer = self.send(&url, || Ok(self.question(&url, &asked, JSON)))?;
        if answer.status().as_u16() == 409 {
            // Another was faster, or it is hidden from this token.
            return match self.is_there(private)? || !private {
                true => Ok(()),
                false => Err(anyhow!("`{}/{}`: whether it is private cannot be seen", self.owner, self.name)),
            };
        }
        self.refused(&url, answer, "create it")?;
        say(&format!("created {}/{}/{}", rtune_models::hub::shown(&self.endpoint), self.owner, self.name));
        Ok(())
    }

    /// Whether it is there, as this token sees it.
    fn is_there(&self, private: bool) -> anyhow::Result<bool> {
        let url = self.api("");
        let answer = self.ask(&url)?;
        if matches!(answer.status().as_u16(), 401 | 403 | 404) {
            return Ok(false);
        }
        let said = value(self.refused(&url, answer, "say whether it is there")?)?;
        if private && said["private"] != true {
            let problem =
                format!("`{}/{}` is there and public, and `--private` was asked for", self.owner, self.name);
            let hint =
                "make it private on its page (settings), name another repository, or leave `--private` out";
            bail!(BadInput::new(problem).with_hint(hint));
        }
        Ok(true)
    }

    /// Where the branch stands; it is made if it is not there.
    pub(super) fn begin(&self) -> anyhow::Result<Head> {
        if let Some(head) = self.head()? {
            return Ok(head);
        }
        let url = self.api(&format!("/branch/{}", self.branch));
        let answer = self.send(&url, || Ok(self.question(&url, &json!({}), JSON)))?;
        if answer.status().as_u16() != 409 {
            self.refused(&url, answer, &format!("make the branch `{}`", self.branch))?;
            say(&format!("made the branch {}", self.branch));
        }
        let missing = || anyhow!("the hub has no branch `{}` after it was made", self.branch);
        self.head()?.ok_or_else(missing)
    }

    /// Where the branch stands now; `None` where there is none.
    fn head(&self) -> anyhow::Result<Option<Head>> {
        let url = self.api(&format!("/revision/{}", self.branch));
        let answer = self.ask(&url)?;
        if answer.status().as_u16() == 404 {
            return Ok(None);
        }
        let said = value(self.refused(&url, answer, "say where its branch stands")?)?;
        let files = said["siblings"].as_array().into_iter().flatten();
        let files = files.filter_map(|file| file["rfilename"].as_str().map(str::to_owned));
        Ok(Some(Head { commit: said["sha"].as_str().map(str::to_owned), files: files.collect() }))
    }

    /// How each file is to come, and what is there of it.
    pub(super) fn modes(&self, files: &[File]) -> anyhow::Result<Vec<Wanted>> {
        let url = self.api(&format!("/preupload/{}", self.branch));
        let mut wanted = Vec::with_capacity(files.len());
        for files in files.chunks(FILES_AT_ONCE) {
            let asked: Vec<Value> = files
                .iter()
                .map(|file| {
                    let sample = BASE64.encode(&file.sample);
                    json!({"path": file.path, "size": file.size_bytes, "sample": sample})
                })
                .collect();
            let asked = json!({"files": asked});
            let answer = self.send(&url, || Ok(self.question(&url, &asked, JSON)))?;
            let answer = value(self.refused(&url, answer, "say how files are to come")?)?;
            for file in files {
                let mut all = answer["files"].as_array().into_iter().flatten();
                let said = all.find(|said| said["path"] == file.path.as_str());
                let said = said.ok_or_else(|| anyhow!("the hub says nothing of `{}`", file.path))?;
                let is_lfs = said["uploadMode"] == "lfs" && file.size_bytes > 0;
                if !is_lfs && file.size_bytes > MAX_REGULAR_BYTES {
                    let most = MAX_REGULAR_BYTES >> 20;
                    return Err(anyhow!(
                        "the hub wants `{}` beside the commit's text, where at most {most} MiB go",
                        file.path
                    ));
                }
                wanted.push(Wanted {
                    mode: if is_lfs { Mode::Lfs } else { Mode::Regular },
                    is_ignored: said["shouldIgnore"] == true,
                    there: said["oid"].as_str().map(str::to_owned),
                });
            }
        }
        Ok(wanted)
    }

    /// Makes one commit on top of `head`; gives its address. `all` are the files of the folder. A commit whose answer is lost may
    /// have been made: the branch is asked before it is sent again.
    pub(super) fn commit(&self, change: &Change<'_>, head: &Head, all: &[File]) -> anyhow::Result<String> {
        let lines = lines(change, head)?;
        let url = self.api(&format!("/commit/{}", self.branch));
        let mut wait = FIRST_WAIT;
        for trial in 1..=TRIALS {
            let request = self.authorized(self.client.post(&url)).timeout(WAIT);
            let answer = request.header("content-type", "application/x-ndjson").body(lines.clone()).send();
            // 412: the branch is not where it was.
            let is_elsewhere = answer.as_ref().is_ok_and(|answer| answer.status().as_u16() == 412);
            if !is_failing(&answer) && !is_elsewhere {
                let answer = value(self.refused(&url, self.came(&url, answer)?, "commit")?)?;
                let said = answer["commitUrl"].as_str().or_else(|| answer["commitOid"].as_str());
                return Ok(said.unwrap_or("without an address").to_owned());
            }
            let now = self.head()?.ok_or_else(|| anyhow!("the branch `{}` is gone", self.branch))?;
            if self.is_made(change, &now, all)? {
                return Ok(now.commit.unwrap_or_else(|| "without an address".to_owned()));
            }
            if is_elsewhere || now.commit != head.commit {
                let Self { owner, name, branch, .. } = self;
                bail!("`{owner}/{name}`: the branch `{branch}` has moved while this was pushed: push again");
            }
            if trial == TRIALS {
                self.refused(&url, self.came(&url, answer)?, "commit")?;
            }
            std::thread::sleep(wait);
            wait *= 2;
        }
        Err(anyhow!("`{}/{}`: the commit was not made", self.owner, self.name))
    }

    /// Whether the branch has what was to be committed.
    fn is_made(&self, change: &Change<'_>, now: &Head, all: &[File]) -> anyhow::Result<bool> {
        if change.removed.iter().any(|path| now.files.contains(path)) {
            return Ok(false);
        }
        Ok(self.modes(all)?.iter().zip(all).all(|(wanted, file)| wanted.is_settled(file)))
    }
}

/// The body of a commit: a header, then a line a file.
fn lines(change: &Change<'_>, head: &Head) -> anyhow::Result<String> {
    let mut header = json!({"summary": change.message, "description": ""});
    if let Some(parent) = &head.commit {
        header["parentCommit"] = Value::from(parent.as_str());
    }
    let mut lines = json!({"key": "header", "value": header}).to_string();
    for (file, mode) in change.files {
        lines.push('\n');
        let line = match mode {
            Mode::Regular => {
                let content = fs::read(&file.place)
                    .with_context(|| format!("cannot read `{}`", file.place.display()))?;
                json!({"key": "file", "value": {"path": file.path, "encoding": "base64",
                    "content": BASE64.encode(content)}})
            }
            Mode::Lfs => json!({"key": "lfsFile", "value": {"path": file.path, "algo": "sha256",
                "oid": file.sha256, "size": file.size_bytes}}),
        };
        lines += &line.to_string();
    }
    for path in change.removed {
        lines.push('\n');
        lines += &json!({"key": "deletedFile", "value": {"path": path}}).to_string();
    }
    Ok(lines)
}
