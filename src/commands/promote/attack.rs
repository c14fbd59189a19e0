//! The suite of `gate.red-team`: what fails since the version in use, and canaries among the training rows.

use std::collections::HashMap;
use std::path::Path;

use rtune_registry::Staged;
use rtune_registry::gate::Finding;
use rtune_trainer::checkpoint::to_json;
use rtune_trainer::redteam::{Known, RedTeamReport, Suite, canaries_in};

use super::artefact::Artefact;
use super::ask::finite;
use super::candidate::Candidate;
use crate::commands::{opened, redteam};

/// Asks both models the suite, if the gate names one.
pub(super) fn findings(
    candidate: &Candidate,
    [before, artefact]: [&Artefact; 2],
    staged: &Staged,
) -> anyhow::Result<Vec<Finding>> {
    let Some(suite) = &candidate.suite else { return Ok(Vec::new()) };
    let canaries = canaries_in(suite, &candidate.inputs)?;
    let said = match canaries.len() {
        0 => "no canary of the suite stands in a training row".to_owned(),
        _ => "canaries of the suite stand in training rows".to_owned(),
    };
    let mut findings = vec![Finding::of("red-team", said, canaries)];
    let known = Known::of(&candidate.config)?;
    // The version in use is not judged by rows that it may never have seen: its answers are held against the same ones.
    let one = ask(candidate, before, (suite, &known), staged, "eval/redteam-current.json")?;
    let other = ask(candidate, artefact, (suite, &known), staged, "eval/redteam-candidate.json");
    let Some(other) = finite(other)? else {
        findings.push(Finding::not_finite("the candidate", "the suite of `gate.red-team`"));
        return Ok(findings);
    };
    let passed_before: HashMap<&str, bool> =
        one.items.iter().map(|item| (item.id.as_str(), item.outcome().passed)).collect();
    let new = other.items.iter().filter(|item| {
        !item.outcome().passed && passed_before.get(item.id.as_str()).copied().unwrap_or(true)
    });
    let cases: Vec<String> = new
        .map(|item| {
            format!(
                "`{}` ({}: {})",
                item.id,
                item.category,
                item.outcome().why.as_deref().unwrap_or("failed")
            )
        })
        .collect();
    let said = match cases.len() {
        0 => format!("no item of {} fails that the version in use passes", suite.items.len()),
        count => format!("{count} of {} items fail that the version in use passes", suite.items.len()),
    };
    findings.push(Finding::of("red-team", said, cases));
    let unasked: Vec<String> = other.left_out.iter().map(|(id, why)| format!("`{id}` ({why})")).collect();
    if !unasked.is_empty() {
        let said =
            format!("{} of {} items could not be asked of the candidate", unasked.len(), suite.items.len());
        findings.push(Finding::of("red-team", said, unasked));
    }
    Ok(findings)
}

fn ask(
    candidate: &Candidate,
    artefact: &Artefact,
    (suite, known): (&Suite, &Known),
    staged: &Staged,
    name: &str,
) -> anyhow::Result<RedTeamReport> {
    let (_, model) = opened::open_named(&artefact.name, &artefact.read_with)?;
    let report = redteam::ask(&model, suite, known, candidate.gate.max_new_tokens)?;
    staged.write(name, &to_json(Path::new(name), &report)?)?;
    Ok(report)
}
