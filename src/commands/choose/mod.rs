//! `rtune choose`: bases beside one another, before one is trained.

mod look;
mod rank;
mod show;

use anyhow::Context as _;
use rtune_data::Source;
use rtune_trainer::config::Config;
use rtune_trainer::error::TrainerError;

use crate::args::choose::ChooseArgs;
use crate::failure::{BadInput, DONE, Failure, INPUT};
use crate::reporter::{complain, say};
use look::{Candidate, Found};

/// What is asked of every base.
struct Wish {
    config: Config,
    gpu_bytes: f64,
    context: usize,
    sequences: usize,
    /// Empty where nothing is to be ranked.
    golden: Vec<Source>,
    /// Most tokens of an answer; `None` where none is wanted.
    answer_tokens: Option<usize>,
}

pub(crate) fn run(args: &ChooseArgs) -> anyhow::Result<u8> {
    let wish = wish(args)?;
    let mut candidates: Vec<Candidate> = Vec::new();
    for candidate in named(args, &wish.config) {
        if !candidates.contains(&candidate) {
            candidates.push(candidate);
        }
    }
    let mut found: Vec<Found> =
        candidates.into_iter().map(|candidate| look::look(candidate, &wish)).collect();
    if !wish.golden.is_empty() {
        for one in &mut found {
            rank::weigh(one, &wish);
        }
    }
    let order = rank::order(&found);
    let code = exit_code(&found);
    for one in &found {
        if let Some(problem) = one.problem() {
            complain(&problem.to_string());
        }
    }
    if args.json {
        say(&serde_json::to_string_pretty(&show::json(&found, &order, &wish))?);
    } else {
        show::tables(&found, &order, &wish);
    }
    Ok(code)
}

/// What was looked at in vain decides; where every base is stopped by its licence, none is left to choose.
fn exit_code(found: &[Found]) -> u8 {
    let failed = found.iter().filter_map(Found::problem).map(|failure: &Failure| failure.exit_code).max();
    let all_stopped = found.iter().all(|one| one.stopped.is_some());
    failed.unwrap_or(if all_stopped { INPUT } else { DONE })
}

fn wish(args: &ChooseArgs) -> anyhow::Result<Wish> {
    let config = match (&args.config, args.bases.first()) {
        (Some(path), _) => Config::load(path, &args.overrides)?,
        (None, first) => Config::of_base(first.map_or("", |name| name), &args.overrides)?,
    };
    let golden = match args.rank {
        true => config.data.golden.clone(),
        false => args.golden.iter().map(Source::new).collect(),
    };
    if args.rank && golden.is_empty() {
        return Err(TrainerError::NoGolden { subject: "the configuration".to_owned() }.into());
    }
    if args.answers && golden.is_empty() {
        let problem = "`--answers` asks golden rows, and there are none";
        return Err(BadInput::new(problem).with_hint("name them by `--golden FILE`").into());
    }
    // Rows that cannot be read are said before a base is fetched for them.
    rtune_data::read_golden(&golden, false).map_err(TrainerError::from).context("golden rows")?;
    Ok(Wish {
        config,
        gpu_bytes: args.gpu_memory_gib * f64::from(1 << 30),
        context: args.context as usize,
        sequences: args.sequences as usize,
        answer_tokens: (args.answers && !golden.is_empty()).then_some(args.max_new_tokens as usize),
        golden,
    })
}

fn named(args: &ChooseArgs, config: &Config) -> Vec<Candidate> {
    if args.bases.is_empty() {
        let model = &config.model;
        return vec![Candidate { base: model.base.clone(), revision: model.revision.clone() }];
    }
    args.bases.iter().map(|name| Candidate::named(name)).collect()
}
