//! Golden rows that were trained on, whatever the run made of them.

use std::collections::HashMap;

use rtune_data::{DataError, ProblemKind, read_golden};
use rtune_registry::gate::Finding;
use rtune_trainer::config::{LeakPolicy, Validation};
use rtune_trainer::error::TrainerError;
use rtune_trainer::inputs::{self, Preparation};

use super::candidate::Candidate;
use crate::commands::opened;

/// Holds the rows that the run was trained on against the golden rows of the promotion, sealed ones too: nothing is asked of them.
pub(super) fn finding(candidate: &Candidate) -> anyhow::Result<Finding> {
    let mut config = candidate.config.clone();
    let similarity = config.data.leaks.similarity;
    config.data.golden.clone_from(&candidate.golden);
    config.data.leaks = LeakPolicy { check: true, similarity, accept: candidate.gate.accept_leaks };
    if let Validation::Files(_) = config.data.validation {
        // Held-out rows are no golden ones.
        config.data.validation = Validation::None;
    }
    let preparation = Preparation { cache: None, ..opened::preparation(&config)? };
    let found = inputs::outline(&config, &candidate.inputs.base_path, &preparation, None);
    let problems = match found {
        Ok(_) => {
            let said = match candidate.gate.accept_leaks {
                0 => "no golden row is trained on".to_owned(),
                most => format!("at most {most} golden rows are trained on"),
            };
            return Ok(Finding::of("leaks", said, Vec::new()));
        }
        Err(TrainerError::Data(DataError::Rows(problems))) => problems,
        Err(error) => return Err(error.into()),
    };
    let ids: HashMap<String, String> = read_golden(&candidate.golden, candidate.gate.sealed)
        .map_err(TrainerError::from)?
        .into_iter()
        .flat_map(|file| file.rows)
        .map(|row| (row.record.origin.to_string(), row.record.id))
        .collect();
    let mut cases = Vec::new();
    for problem in problems.shown() {
        match (&problem.kind, ids.get(&problem.origin.to_string())) {
            (ProblemKind::Leak { train, kind, similarity }, Some(id)) => cases.push(format!(
                "`{id}` ({}, given away by {train}: {kind}, similarity {similarity:.2})",
                problem.origin
            )),
            // A held-out row that resembles a training row is the run's own affair.
            (ProblemKind::Leak { .. }, None) => {}
            _ => return Err(TrainerError::Data(DataError::Rows(problems)).into()),
        }
    }
    Ok(match cases.len() {
        0 => Finding::of("leaks", "no golden row is trained on".to_owned(), cases),
        count => Finding::of("leaks", format!("golden rows are trained on ({count} are shown)"), cases),
    })
}
