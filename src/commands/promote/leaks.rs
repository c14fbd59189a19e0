//! Golden rows that were trained on, whatever the run made of them.

use std::collections::HashMap;

use rtune_data::{DataError, ProblemKind, ProblemList, read_golden};
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
    match cases(&problems, &ids) {
        Some(cases) => {
            let said = format!("golden rows are trained on ({} are shown)", cases.len());
            Ok(Finding::of("leaks", said, cases))
        }
        None => Err(TrainerError::Data(DataError::Rows(problems)).into()),
    }
}

/// Each leak in words, by the id of its golden row, or by its place where no id is known of it; `None` where something else is wrong. Rows that
/// a run holds out itself were left aside before: whatever leaks is a golden row.
fn cases(problems: &ProblemList, ids: &HashMap<String, String>) -> Option<Vec<String>> {
    let mut cases = Vec::new();
    for problem in problems.shown() {
        let ProblemKind::Leak { train, kind, similarity } = &problem.kind else { return None };
        let place = problem.origin.to_string();
        let id = ids.get(&place).map_or("a golden row without an id", String::as_str);
        cases.push(format!("`{id}` ({place}, given away by {train}: {kind}, similarity {similarity:.2})"));
    }
    (!cases.is_empty()).then_some(cases)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rtune_data::{Origin, RowProblem};

    use super::*;

    fn list(kind: ProblemKind) -> ProblemList {
        let origin = Origin { file: Path::new("golden.jsonl").into(), line: 3 };
        match DataError::from(RowProblem { origin, kind }) {
            DataError::Rows(list) => list,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_leak_counts_wherever_it_stands() {
        let train = Origin { file: Path::new("t.jsonl").into(), line: 7 };
        let leak = list(ProblemKind::Leak { train, kind: "near", similarity: 0.9 });
        let known = HashMap::from([("golden.jsonl:3".to_owned(), "g-3".to_owned())]);
        let said = cases(&leak, &known).expect("a leak");
        assert_eq!(said, ["`g-3` (golden.jsonl:3, given away by t.jsonl:7: near, similarity 0.90)"]);
        let unknown = cases(&leak, &HashMap::new()).expect("a leak all the same");
        assert!(unknown.len() == 1 && unknown[0].contains("golden.jsonl:3"), "{unknown:?}");
        assert_eq!(cases(&list(ProblemKind::ZeroByte), &known), None);
    }
}
