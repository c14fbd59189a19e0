//! Golden rows, asked of what ships.

use std::path::PathBuf;

use rtune_data::Half;
use rtune_models::generate::{GenerateError, Sampling};
use rtune_registry::Staged;
use rtune_registry::gate::Model;
use rtune_trainer::checkpoint::to_json;
use rtune_trainer::error::TrainerError;
use rtune_trainer::evaluate::compare::Which;
use rtune_trainer::evaluate::golden::{ExamOptions, GoldenReport, examine};
use rtune_trainer::evaluate::labels::LabelOptions;
use rtune_trainer::talk::{Settings, Speaker};

use super::artefact::Artefact;
use super::candidate::Candidate;
use crate::commands::{eval, opened};
use crate::reporter::Work;

/// A report and where it lies.
pub(super) struct Report {
    path: PathBuf,
    report: GoldenReport,
    /// The golden files and their hashes.
    pub(super) files: Vec<(String, String)>,
}

impl Report {
    pub(super) fn model(&self) -> Model<'_> {
        Model { path: &self.path, which: Which::Best, report: &self.report }
    }
}

/// `None` where a model computes no numbers: that speaks against it, and is no fault of what was given.
pub(super) fn finite<T>(asked: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    let is_no_number = |error: &anyhow::Error| {
        let found = error.downcast_ref::<TrainerError>();
        matches!(found, Some(TrainerError::Generate(GenerateError::NotFinite)))
    };
    match asked {
        Err(error) if is_no_number(&error) => Ok(None),
        asked => asked.map(Some),
    }
}

/// Reads `artefact` and asks it the rows of one half; the report goes into the folder in the making, under `name`.
pub(super) fn ask(
    candidate: &Candidate,
    artefact: &Artefact,
    staged: &Staged,
    name: &str,
    half: Half,
) -> anyhow::Result<Report> {
    let (_, model) = opened::open_named(&artefact.name, &artefact.read_with)?;
    let speaker = Speaker::new(&model)?;
    let settings = Settings {
        sampling: Sampling::GREEDY,
        seed: 0,
        max_new_tokens: candidate.gate.max_new_tokens as usize,
        batch: eval::batch(&model),
    };
    let labels = LabelOptions { labels: candidate.config.eval.labels.clone(), ..LabelOptions::default() };
    let (sealed, sandbox) = (candidate.gate.sealed, candidate.sandbox.clone());
    let options = ExamOptions { labels, half, sealed, sandbox, ..ExamOptions::default() };
    let mut work = Work::new("asking golden rows");
    let report = examine(&speaker, &candidate.golden, &settings, &options, &mut |progress| {
        work.show(progress.done, progress.total);
    })?;
    work.finish();
    let path = staged.path().join(name);
    // As `rtune eval` writes it.
    staged.write(name, &to_json(&path, &serde_json::to_value(&report)?)?)?;
    Ok(Report { path, files: report.files.clone(), report })
}
