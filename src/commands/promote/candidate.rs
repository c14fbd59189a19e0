//! The run that wants to be promoted: verified, with what it was made of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rtune_data::{Source, seals};
use rtune_sandbox::Sandbox;
use rtune_trainer::checkpoint::{Checkpoint, State, read_json};
use rtune_trainer::config::{Config, GateSection};
use rtune_trainer::error::TrainerError;
use rtune_trainer::evaluate::reviews::{self, Review};
use rtune_trainer::files::{FileError, sha256_of, sha256_of_file};
use rtune_trainer::inputs::{Inputs, Preparation};
use rtune_trainer::manifest::Manifest;
use rtune_trainer::redteam::Suite;
use rtune_trainer::run::has_ended;
use rtune_trainer::verify::Verification;

use crate::args::registry::PromoteArgs;
use crate::commands::eval::code;
use crate::commands::rebuild::repeatable;
use crate::commands::{opened, sealing, verify};
use crate::failure::BadInput;

/// The files of a run from which it can be made again.
const RUN_FILES: [&str; 3] = ["config.toml", "manifest.json", "data-report.json"];

/// What is known of the run before anything is asked.
pub(super) struct Candidate {
    /// The run folder, as it was named.
    pub(super) run: String,
    /// The run's configuration, with paths that lead to files from here.
    pub(super) config: Config,
    pub(super) gate: GateSection,
    pub(super) golden: Vec<Source>,
    /// Whether some of them are kept back: by the run's configuration, or by a seal beside their file.
    pub(super) sealed: bool,
    /// The suite of `gate.red-team`.
    pub(super) suite: Option<Suite>,
    /// Where checks are run that are programs; `None` refuses to.
    pub(super) sandbox: Option<Sandbox>,
    /// What people said, where they were asked.
    pub(super) reviews: Option<Vec<Review>>,
    pub(super) manifest: Manifest,
    pub(super) manifest_sha256: String,
    pub(super) run_files: Vec<(&'static str, Vec<u8>)>,
    pub(super) inputs: Inputs,
    /// Its folder, and no link to it: a run that goes on moves `best` and `last`.
    pub(super) checkpoint: PathBuf,
    pub(super) state: State,
    pub(super) checkpoint_sha256: String,
    pub(super) checkpoint_files: BTreeMap<String, String>,
    /// Whether the run had not come to its end.
    pub(super) stopped: bool,
    /// Why it cannot be trained again to the same bytes.
    pub(super) unrepeatable: Vec<String>,
}

#[derive(serde::Deserialize)]
struct CheckpointManifest {
    files: BTreeMap<String, String>,
}

impl Candidate {
    /// Reads the run, and compares all that it was made of and all that it made with its manifest.
    pub(super) fn open(args: &PromoteArgs) -> anyhow::Result<Self> {
        if let Some(other) = args.overrides.iter().find(|one| !one.trim_start().starts_with("gate.")) {
            let problem = format!(
                "--set {other}: a promotion takes the run as it is, and `gate.*` from the command line"
            );
            return Err(BadInput::new(problem).into());
        }
        let verification = Verification::open(&args.run, &mut |_| {})?;
        let mut gate = Config::load(&args.run.join("config.toml"), &args.overrides)?.gate;
        if !args.overrides.iter().any(|one| one.trim_start().starts_with("gate.red-team")) {
            // As the run's other paths, that of the suite leads from here or from where the run was started.
            gate.red_team.clone_from(&verification.config.gate.red_team);
        }
        if gate.metrics().next().is_none() {
            let hint = "for example `--set gate.must-improve=[\"checks\"]` or `--set gate.non-inferior={chrf=1.0}`; \
                        docs/configuration.md, [gate], lists the rules";
            return Err(BadInput::new(
                "the gate has no rule about golden rows, so that any model would pass",
            )
            .with_hint(hint)
            .into());
        }
        let config = verification.config.clone();
        if gate.sealed != config.gate.sealed {
            let problem = format!(
                "expected `gate.sealed` to be {}, as the run was trained, found {}",
                config.gate.sealed, gate.sealed
            );
            let hint =
                "a seal cannot be broken for one promotion, and rows that training has seen cannot be sealed";
            return Err(BadInput::new(problem).with_hint(hint).into());
        }
        let named: Vec<Source> = args.golden.iter().map(Source::new).collect();
        let golden = if named.is_empty() { config.data.golden.clone() } else { named };
        if golden.is_empty() {
            return Err(TrainerError::NoGolden { subject: args.run.display().to_string() }.into());
        }
        if args.reviews.is_some() && gate.preferred.is_none() {
            let problem = "--reviews: the gate has no rule about what people prefer";
            return Err(BadInput::new(problem).with_hint("`--set gate.preferred=0.5`").into());
        }
        if gate.sealed {
            sealing::seal(&golden)?;
        }
        let found = seals(&golden).map_err(TrainerError::from)?;
        let sealed = gate.sealed || found.iter().any(|(_, seal)| seal.is_some());
        // What cannot be read or run is said before anything is asked.
        let suite = gate.red_team.as_deref().map(Suite::load).transpose()?;
        let sandbox = code::sandbox(&args.sandbox)?;
        let reviews = args.reviews.as_deref().map(reviews::read).transpose()?;
        let base = verify::base_of(&verification)?;
        let preparation = Preparation { cache: None, ..opened::preparation(&config)? };
        let inputs = verification.inputs(&base, &preparation, &mut |_| {})?;
        verification.outputs(&mut |_| {})?;
        let checkpoint: PathBuf = rtune_release::find(&args.run)?;
        // First of all: what is read after it is of this manifest, if it is there still when all is read.
        let checkpoint_sha256 = hash_of(&checkpoint).map_err(TrainerError::from)?;
        let state = Checkpoint::open(&checkpoint)?.state;
        let CheckpointManifest { files } = read_json(&manifest_of(&checkpoint))?;
        let last = args.run.join("last");
        let last = Checkpoint::open(&last.canonicalize().unwrap_or(last))?.state;
        let stopped = !has_ended(&config, &inputs.prepared.train, &last).map_err(TrainerError::from)?;
        let unrepeatable = repeatable::against(&verification.manifest, &config, &state, stopped);
        let mut run_files = Vec::new();
        for name in RUN_FILES {
            let path = args.run.join(name);
            let bytes = std::fs::read(&path)
                .map_err(|source| FileError { action: "read", path, source })
                .map_err(TrainerError::from)?;
            run_files.push((name, bytes));
        }
        Ok(Self {
            run: args.run.display().to_string(),
            gate,
            golden,
            sealed,
            suite,
            sandbox,
            reviews,
            manifest_sha256: sha256_of(&run_files[1].1),
            manifest: verification.manifest,
            config,
            run_files,
            inputs,
            checkpoint,
            state,
            checkpoint_sha256,
            checkpoint_files: files,
            stopped,
            unrepeatable,
        })
    }

    /// Looks whether the checkpoint is the one that was read: nobody holds the run, and one that goes on may replace it or remove it.
    pub(super) fn refuse_other_checkpoint(&self) -> anyhow::Result<()> {
        let (expected, folder) = (&self.checkpoint_sha256, self.checkpoint.display());
        let found = hash_of(&self.checkpoint).unwrap_or_else(|_| "no such file".to_owned());
        if found == *expected {
            return Ok(());
        }
        let problem = format!(
            "the checkpoint `{folder}` changed while it was promoted: expected manifest.json with sha256 {expected}, found {found}"
        );
        let hint = "promote the run when it has ended, or a copy of its folder";
        Err(BadInput::new(problem).with_hint(hint).into())
    }

    /// The base in words, where nothing is in use yet.
    pub(super) fn base_name(&self) -> String {
        format!("the base {}", self.config.model.base)
    }
}

/// What says which files a checkpoint has.
fn manifest_of(checkpoint: &Path) -> PathBuf {
    checkpoint.join("manifest.json")
}

fn hash_of(checkpoint: &Path) -> Result<String, FileError> {
    sha256_of_file(&manifest_of(checkpoint))
}
