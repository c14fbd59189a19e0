//! `rtune promote`: whether a run takes the place of the version in use, by the rules of its `[gate]`.

pub(super) mod artefact;
mod ask;
mod attack;
mod candidate;
mod leaks;
mod seeds;

use std::path::Path;

use anyhow::Context;
use rtune_data::{GoldenRow, Half, read_golden};
use rtune_registry::gate::{Asked, Chosen, Decision, Finding, Weighed, judge, preferred};
use rtune_registry::{
    Lineage, Look, Registry, Sealed, Staged, Version, Writer, gained_by_choosing, proved, rows_of,
};
use rtune_trainer::checkpoint::{FORMAT, to_json};
use rtune_trainer::error::TrainerError;
use rtune_trainer::files::{sha256_of, write_whole};

use self::artefact::Artefact;
use self::ask::{Report, ask, finite};
use self::candidate::Candidate;
use super::out::refuse_unmakeable;
use super::unix_seconds;
use crate::args::registry::PromoteArgs;
use crate::failure::{DONE, REFUSED};
use crate::reporter::{complain, say};

pub(crate) fn run(args: &PromoteArgs) -> anyhow::Result<u8> {
    args.answers.iter().try_for_each(|folder| refuse_unmakeable(folder))?;
    let candidate = Candidate::open(args)?;
    let writer = Registry::at(&args.place.registry).write()?;
    let staged = writer.stage()?;
    match decided(args, &candidate, &writer, &staged) {
        Ok((decision, lineage)) => close(args, &decision, lineage, &writer, staged),
        Err(error) => {
            // The error is the one to tell; what is left of the candidate is no version, and the next writer removes it.
            let _ = writer.drop_staged(staged);
            Err(error)
        }
    }
}

/// Asks, weighs, and writes everything into the folder in the making but for version.json.
fn decided(
    args: &PromoteArgs,
    candidate: &Candidate,
    writer: &Writer,
    staged: &Staged,
) -> anyhow::Result<(Decision, Lineage)> {
    let current = writer.registry().current()?;
    if let Some(version) = &current {
        // What a candidate is held against must be what was let in.
        proved(writer.registry(), version)?;
    }
    let against = current.as_ref().map_or_else(|| candidate.base_name(), |version| version.name().to_owned());
    let mut decision = Decision::begin(args.run.display().to_string(), against, &candidate.gate);
    decision.red_team = candidate.suite.as_ref().map(|suite| (suite.name.clone(), suite.sha256.clone()));
    decision.add([leaks::finding(candidate)?]);
    let artefact = Artefact::write(&candidate.checkpoint, candidate.gate.ships, staged.path(), staged.name());
    // A run that goes on is the reason, whatever else went wrong.
    candidate.refuse_other_checkpoint()?;
    let artefact = artefact?;
    let before = Artefact::in_use(current.as_ref(), candidate)?;
    let seeds = seeds::write(candidate, staged)?;
    let models = Models { before: &before, candidate: &artefact, seeds: &seeds };
    // What cannot be let in any more is asked all the same: every reason is said at once. Sealed rows stay closed then.
    let (open, seen) = judged(candidate, &models, staged, Half::open_if(candidate.sealed))?;
    decision.golden = open.files.clone();
    if let Some(folder) = &args.answers {
        keep_answers(staged, folder)?;
    }
    decision.add(seen.findings);
    decision.weighed.extend(seen.weighed);
    decision.add(attack::findings(candidate, [&before, &artefact], staged)?);
    if candidate.sealed && decision.promoted {
        sealed(args, candidate, &models, (writer, staged), &mut decision)?;
    }
    seeds::remove(staged)?;
    decision.decided_unix_seconds = unix_seconds();
    let lineage = describe(args, candidate, &artefact, staged, &decision)?;
    Ok((decision, lineage))
}

/// What is asked.
struct Models<'a> {
    before: &'a Artefact,
    candidate: &'a Artefact,
    /// The candidate from other seeds.
    seeds: &'a [Artefact],
}

/// What the rules came to on one half.
struct Seen {
    findings: Vec<Finding>,
    weighed: Option<Weighed>,
}

/// Asks the models the rows of one half, and applies the rules. With the report on what is in use.
fn judged(
    candidate: &Candidate,
    models: &Models<'_>,
    staged: &Staged,
    half: Half,
) -> anyhow::Result<(Report, Seen)> {
    let suffix = if half == Half::Sealed { "-sealed" } else { "" };
    let one = ask(candidate, models.before, staged, &format!("eval/current{suffix}.json"), half)?;
    let refused = |whose: &str| {
        let finding = Finding { half: Some(half.name()), ..Finding::not_finite(whose, "golden rows") };
        Seen { findings: vec![finding], weighed: None }
    };
    let name = format!("eval/candidate{suffix}.json");
    let Some(other) = finite(ask(candidate, models.candidate, staged, &name, half))? else {
        return Ok((one, refused("the candidate")));
    };
    let mut reports = Vec::with_capacity(models.seeds.len());
    for (seed, number) in models.seeds.iter().zip(1..) {
        let name = format!("eval/seed-{number}{suffix}.json");
        match finite(ask(candidate, seed, staged, &name, half))? {
            Some(report) => reports.push(report),
            None => return Ok((one, refused(&format!("its seed {number}")))),
        }
    }
    let seeds: Vec<_> = reports.iter().map(Report::model).collect();
    let asked = Asked { half, current: one.model(), candidate: other.model(), seeds: &seeds };
    let (mut findings, weighed) = judge(&candidate.gate, &asked)?;
    findings.extend(preferred(&candidate.gate, &asked, candidate.reviews.as_deref())?);
    Ok((one, Seen { findings, weighed }))
}

/// Copies the reports on rows that may be seen to where people can review them.
fn keep_answers(staged: &Staged, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    for name in ["current.json", "candidate.json"] {
        let path = staged.path().join("eval").join(name);
        if !path.is_file() {
            // A candidate that computes no numbers has no report.
            continue;
        }
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        write_whole(&folder.join(name), &bytes).map_err(TrainerError::from)?;
    }
    Ok(())
}

/// Opens the sealed half: the look is counted first, whatever comes of it.
fn sealed(
    args: &PromoteArgs,
    candidate: &Candidate,
    models: &Models<'_>,
    (writer, staged): (&Writer, &Staged),
    decision: &mut Decision,
) -> anyhow::Result<()> {
    let hashes: Vec<&str> = decision.golden.iter().map(|(_, hash)| hash.as_str()).collect();
    let files = read_golden(&candidate.golden, candidate.gate.sealed).map_err(TrainerError::from)?;
    let rows = files.iter().flat_map(|file| &file.rows).filter(|row| Half::Sealed.has(row));
    let rows = rows.map(GoldenRow::asks).collect();
    let sealed = Sealed { rows, files: sha256_of(hashes.join("\n").as_bytes()) };
    let look = Look {
        unix_seconds: unix_seconds(),
        run: args.run.display().to_string(),
        candidate: candidate.checkpoint_sha256.clone(),
    };
    let looks = writer.look(&sealed, look)?;
    let (_, seen) = judged(candidate, models, staged, Half::Sealed)?;
    decision.add(seen.findings);
    if let Some(first) = seen.weighed.as_ref().and_then(|weighed| weighed.compared.metrics.first()) {
        let (candidates, gained) = gained_by_choosing(&looks, first.standard_error);
        decision.chosen = Some(Chosen {
            looks: looks.len(),
            candidates,
            metric: first.metric.clone(),
            gained_by_choosing: gained,
        });
    }
    decision.weighed.extend(seen.weighed);
    Ok(())
}

/// Writes what a version has beside its artefact, and says what it is made of.
fn describe(
    args: &PromoteArgs,
    candidate: &Candidate,
    artefact: &Artefact,
    staged: &Staged,
    decision: &Decision,
) -> anyhow::Result<Lineage> {
    let path = staged.path().join("decision.json");
    let decision_bytes = to_json(&path, decision)?;
    staged.write("decision.json", &decision_bytes)?;
    for (name, bytes) in &candidate.run_files {
        staged.write(&format!("run/{name}"), bytes)?;
    }
    let rows = rows_of(&candidate.inputs.prepared.train, &candidate.config, &candidate.state)
        .map_err(TrainerError::from)?;
    let rows_sha256 = staged.write_rows(&rows)?;
    let manifest = &candidate.manifest;
    Ok(Lineage {
        format: FORMAT,
        // Name, parent and files are the registry's to say.
        name: String::new(),
        parent: None,
        files: std::collections::BTreeMap::new(),
        run: args.run.display().to_string(),
        manifest: candidate.manifest_sha256.clone(),
        config: manifest.config.clone(),
        base: manifest.base.clone(),
        data: manifest.data.clone(),
        rows: rows.len(),
        rows_sha256,
        step: candidate.state.step,
        stopped: candidate.stopped,
        unrepeatable: candidate.unrepeatable.clone(),
        checkpoint: candidate.checkpoint_files.clone(),
        ships: decision.ships.clone(),
        artefact: artefact.inside.clone(),
        read_with: artefact.read_with.clone(),
        red_team: candidate.suite.as_ref().map(|suite| suite.sha256.clone()),
        decision: sha256_of(&decision_bytes),
        decided_unix_seconds: decision.decided_unix_seconds,
    })
}

/// Lets the candidate in or keeps the decision against it, and says so.
fn close(
    args: &PromoteArgs,
    decision: &Decision,
    lineage: Lineage,
    writer: &Writer,
    staged: Staged,
) -> anyhow::Result<u8> {
    let place = &args.place.registry;
    if decision.promoted {
        let reason = format!("{} passed {} rules", decision.candidate, decision.findings.len());
        let version: Version = writer.promote(&staged, lineage, &reason)?;
        show(args, decision)?;
        let name = version.name();
        if !args.json {
            let (link, artefact) = (place.join("current"), version.artefact());
            say(&format!("{} is {name} now: {}", link.display(), artefact.display()));
        }
        let unrepeatable = &version.lineage.unrepeatable;
        if !unrepeatable.is_empty() {
            complain(&format!(
                "note: `rtune rebuild {name}` cannot make it again to the same bytes, so keep a copy of it: {}",
                unrepeatable.join("; ")
            ));
        }
        return Ok(DONE);
    }
    let bytes = to_json("decision.json".as_ref(), decision)?;
    let kept = writer.refuse(staged, &bytes)?;
    show(args, decision)?;
    complain(&format!("refused: {} does not take the place of {}", decision.candidate, decision.against));
    for reason in decision.reasons() {
        complain(&format!("  {}: {}", reason.rule, reason.line()));
    }
    complain(&format!("  every number: {}", kept.display()));
    Ok(REFUSED)
}

fn show(args: &PromoteArgs, decision: &Decision) -> anyhow::Result<()> {
    if args.json {
        say(&serde_json::to_string_pretty(decision)?);
        return Ok(());
    }
    say(&format!("{} against {}, as it ships: {}", decision.candidate, decision.against, decision.ships));
    for one in &decision.findings {
        say(&format!("  {} {}: {}", if one.passed { "passed " } else { "refused" }, one.rule, one.said));
    }
    if let Some(chosen) = &decision.chosen {
        say(&format!(
            "the sealed rows were looked at {} times, for {} candidates: the best of so many that are no better would seem better by \
             {:.4} in {}",
            chosen.looks, chosen.candidates, chosen.gained_by_choosing, chosen.metric
        ));
    }
    Ok(())
}
