//! The run that wants to be promoted: verified, with what it was made of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rtune_data::Source;
use rtune_trainer::checkpoint::{Checkpoint, State, read_json};
use rtune_trainer::config::{Config, GateSection};
use rtune_trainer::error::TrainerError;
use rtune_trainer::evaluate::reviews::{self, Review};
use rtune_trainer::files::{sha256_of, sha256_of_file};
use rtune_trainer::inputs::{Inputs, Preparation};
use rtune_trainer::manifest::Manifest;
use rtune_trainer::verify::Verification;

use crate::args::registry::PromoteArgs;
use crate::commands::{opened, verify};
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
    /// What people said, where they were asked.
    pub(super) reviews: Option<Vec<Review>>,
    pub(super) manifest: Manifest,
    pub(super) manifest_sha256: String,
    pub(super) run_files: Vec<(&'static str, Vec<u8>)>,
    pub(super) inputs: Inputs,
    pub(super) state: State,
    pub(super) checkpoint_sha256: String,
    pub(super) checkpoint_files: BTreeMap<String, String>,
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
        let gate = Config::load(&args.run.join("config.toml"), &args.overrides)?.gate;
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
        let reviews = args.reviews.as_deref().map(reviews::read).transpose()?;
        let base = verify::base_of(&verification)?;
        let preparation = Preparation { cache: None, ..opened::preparation(&config)? };
        let inputs = verification.inputs(&base, &preparation, &mut |_| {})?;
        verification.outputs(&mut |_| {})?;
        let checkpoint: PathBuf = rtune_release::find(&args.run)?;
        let state = Checkpoint::open(&checkpoint)?.state;
        let checkpoint_manifest = checkpoint.join("manifest.json");
        let CheckpointManifest { files } = read_json(&checkpoint_manifest)?;
        let mut run_files = Vec::new();
        for name in RUN_FILES {
            let path = args.run.join(name);
            let bytes = std::fs::read(&path)
                .map_err(|source| rtune_trainer::files::FileError { action: "read", path, source })
                .map_err(TrainerError::from)?;
            run_files.push((name, bytes));
        }
        Ok(Self {
            run: args.run.display().to_string(),
            gate,
            golden,
            reviews,
            manifest_sha256: sha256_of(&run_files[1].1),
            manifest: verification.manifest,
            config,
            run_files,
            inputs,
            state,
            checkpoint_sha256: sha256_of_file(&checkpoint_manifest).map_err(TrainerError::from)?,
            checkpoint_files: files,
        })
    }

    /// The base in words, where nothing is in use yet.
    pub(super) fn base_name(&self) -> String {
        format!("the base {}", self.config.model.base)
    }
}
