//! `rtune why`: the training rows behind the answer to a golden case, and a run without them as the proof.

mod answer;
mod prove;
mod show;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rtune_data::Source;
use rtune_trainer::checkpoint::Checkpoint;
use rtune_trainer::config::Config;
use rtune_trainer::error::TrainerError;
use rtune_trainer::evaluate::contrast::Contrast;
use rtune_trainer::files::write_named;
use rtune_trainer::influence::{Trace, Traced, enough, influences};
use rtune_trainer::inputs::Preparation;
use rtune_trainer::verify::{Verification, locate_base};
use serde::Serialize;

use self::answer::{Answered, answers};
use self::prove::Proof;
use crate::args::why::WhyArgs;
use crate::commands::out::refuse_unwritable;
use crate::commands::{opened, train, verify};
use crate::failure::{BY_SIGNAL, BadInput, DONE};
use crate::reporter::{Work, complain, say};

/// What was found of all cases.
#[derive(Serialize)]
struct Found {
    format: u64,
    run: PathBuf,
    /// The step of the checkpoint that answered.
    step: u64,
    cases: Vec<OfCase>,
}

/// What was found of one case.
#[derive(Serialize)]
struct OfCase {
    case: String,
    /// What was answered and expected.
    #[serde(flatten)]
    answered: Answered,
    /// Rows that were looked at.
    rows: usize,
    /// By how much the answer that was given is likelier than the other one, in nats a token; `None` where there is no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    margin_nats: Option<f64>,
    /// What the rows that speak for the answer that was given come to, and those that speak for the other one, in nats a token.
    sums_nats: [f64; 2],
    /// How many of the first rows together come to the margin; `None` where all come to less.
    #[serde(skip_serializing_if = "Option::is_none")]
    enough: Option<usize>,
    /// The rows whose steps led most nearly to the answer that was given, the first ones first.
    first: Vec<Row>,
    /// What training without them came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<Proof>,
}

/// A row, and what it did.
#[derive(Clone, Serialize)]
struct Row {
    id: String,
    file: PathBuf,
    line: u64,
    steps: Vec<u64>,
    /// By how many nats a token the steps with it moved the answer towards what it is.
    nats: f64,
    /// The greatest cosine, over the checkpoints that were looked at, between a step with it and the way to that answer.
    alignment: f64,
    /// The step of the checkpoint at which it is that great.
    alignment_step: u64,
    prompt: String,
    answer: String,
}

/// The run, its inputs and its golden rows.
struct Asked<'a> {
    args: &'a WhyArgs,
    config: Config,
    golden: Vec<Source>,
    base: PathBuf,
    /// The step of the checkpoint that answered.
    step: u64,
}

pub(crate) fn run(args: &WhyArgs) -> anyhow::Result<u8> {
    if let Some(twice) =
        args.cases.iter().enumerate().find(|(place, case)| args.cases[..*place].contains(case))
    {
        return Err(BadInput::new(format!("the case `{}` is named twice", twice.1)).into());
    }
    if let Some(folder) =
        args.out.as_deref().and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty())
        && !folder.is_dir()
    {
        let problem = format!("`--out`: the folder `{}` is not there", folder.display());
        return Err(BadInput::new(problem)
            .with_hint("make it first: what is found is written at the end")
            .into());
    }
    args.out.iter().try_for_each(|file| refuse_unwritable(file, &args.golden))?;
    let verification = Verification::open(&args.run, &mut |_| {})?;
    let mut config = verification.config.clone();
    locate_base(&mut config, &args.run);
    let named: Vec<Source> = args.golden.iter().map(Source::new).collect();
    let golden = if named.is_empty() { config.data.golden.clone() } else { named };
    if golden.is_empty() {
        return Err(TrainerError::NoGolden { subject: args.run.display().to_string() }.into());
    }
    let base = verify::base_of(&verification)?;
    let step = Checkpoint::open(&rtune_release::find(&args.run)?)?.state.step;
    let asked = Asked { args, config, golden, base, step };
    let signal = train::listen()?;
    let answered = answers(&asked, &args.run.display().to_string())?;
    let preparation = Preparation { cache: None, ..opened::preparation(&asked.config)? };
    let inputs = verification.inputs(&asked.base, &preparation, &mut |_| {})?;
    // Tracing takes long: what cannot be is said before.
    prove::refuse_most(args.prove.unwrap_or(0) as usize, inputs.prepared.train.len())?;
    let trace = Trace {
        run: &args.run,
        config: &asked.config,
        inputs: &inputs,
        step: asked.step,
        checkpoints: args.checkpoints as usize,
    };
    let contrasts: Vec<Contrast> = answered.iter().map(|(contrast, _)| contrast.clone()).collect();
    let mut work = Work::new("tracing rows");
    let is_enough = || signal.load(Ordering::SeqCst) != 0;
    let found = influences(&trace, &contrasts, &is_enough, &mut |done, total| work.show(done, total))?;
    work.finish();
    let Some(traced) = found else {
        return Ok(BY_SIGNAL + signal.load(Ordering::SeqCst) as u8);
    };
    let mut cases = Vec::new();
    for (place, (contrast, answered)) in answered.into_iter().enumerate() {
        let mut of_case = of_case(&asked, &inputs, &traced, place, answered, &contrast)?;
        if !args.json {
            show::found(&of_case);
        }
        if let Some(count) = args.prove {
            let Some(without) = prove::how_many(&of_case, count as usize)? else {
                complain(&show::nothing_to_prove(&of_case));
                cases.push(of_case);
                continue;
            };
            let Some(proof) = prove::prove(&asked, &inputs, &traced, &of_case, without, &signal)? else {
                return Ok(BY_SIGNAL + signal.load(Ordering::SeqCst) as u8);
            };
            if !args.json {
                show::proof(&of_case, &proof);
            }
            of_case.proof = Some(proof);
        }
        cases.push(of_case);
    }
    cases.iter_mut().for_each(|of_case| of_case.first.truncate(args.top as usize));
    let found = Found { format: 4, run: args.run.clone(), step: asked.step, cases };
    let text = serde_json::to_string_pretty(&found)?;
    if args.json {
        say(&text);
    }
    if let Some(out) = &args.out {
        write_named(out, (text + "\n").as_bytes()).map_err(TrainerError::from)?;
    }
    Ok(DONE)
}

/// The rows in the order of how nearly their steps led to the answer that was given.
fn of_case(
    asked: &Asked<'_>,
    inputs: &rtune_trainer::inputs::Inputs,
    traced: &Traced<'_>,
    place: usize,
    answered: Answered,
    contrast: &Contrast,
) -> anyhow::Result<OfCase> {
    // What is right was brought about by what lowered the margin.
    let sign = if answered.tuned_is_right { -1.0 } else { 1.0 };
    let values: Vec<f64> = traced.rows.iter().map(|one| sign * one.margin_nats[place]).collect();
    let margin_nats = traced.margins_nats[place].map(|nats| sign * nats);
    let sum = |above: bool| values.iter().filter(|value| (**value > 0.0) == above).sum();
    let alignments: Vec<(f64, usize)> = traced.rows.iter().map(|one| one.alignment(place, sign)).collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|one, other| alignments[*other].0.total_cmp(&alignments[*one].0));
    let in_order: Vec<f64> = order.iter().map(|index| values[*index]).collect();
    let enough = margin_nats.and_then(|margin| enough(&in_order, margin));
    let left_out = asked.args.prove.map_or(0, |count| prove::most(values.len(), enough, count as usize));
    let most = (asked.args.top as usize).max(left_out);
    let first = order.into_iter().take(most).map(|index| {
        let one = &traced.rows[index];
        let (prompt, answer) = answer::texts(&inputs.base, &one.example)?;
        Ok(Row {
            id: one.row.id.clone(),
            file: one.row.file.clone(),
            line: one.row.line,
            steps: one.row.steps.clone(),
            nats: values[index],
            alignment: alignments[index].0,
            alignment_step: traced.steps[alignments[index].1],
            prompt,
            answer,
        })
    });
    Ok(OfCase {
        case: contrast.case.clone(),
        answered,
        rows: values.len(),
        margin_nats,
        sums_nats: [sum(true), sum(false)],
        enough,
        first: first.collect::<anyhow::Result<_>>()?,
        proof: None,
    })
}
