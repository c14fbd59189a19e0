//! `rtune review`: people score two models' answers side by side, and do not know whose they are.

mod desk;
mod page;
mod show;

use std::cell::RefCell;
use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;

use rtune_metrics::compare::Settings;
use rtune_trainer::evaluate::compare::{Answered, Answers, Which, answers};
use rtune_trainer::evaluate::reviews::{self, DIMENSIONS, LONGEST_NAME, ReviewLog, hash_of};
use rtune_trainer::files::sha256_of_file;

use self::desk::{Desk, Pair};
use super::compare::report;
use super::train::listen;
use crate::args::review::ReviewArgs;
use crate::failure::{BadInput, DONE};
use crate::reporter::{complain, say};
use crate::web::{self, Guard};

pub(super) use self::show::show;

/// A shorter token could be guessed.
const SHORTEST_TOKEN: usize = 16;
/// More rows than that would not fit on a screen.
const MOST_DIMENSIONS: usize = 12;

pub(crate) fn run(args: &ReviewArgs) -> anyhow::Result<u8> {
    if let Some(file) = &args.summary {
        return show::summary(file, args.json);
    }
    // clap asks for both.
    let (Some(report_args), Some(out)) = (&args.report, &args.out) else {
        return Err(BadInput::new("expected a report, and --out FILE").into());
    };
    let dimensions = dimensions(&args.dimensions)?;
    if let Some(name) = &args.reviewer {
        reviews::check_name(name).map_err(|problem| BadInput::new(format!("--reviewer: {problem}")))?;
    }
    let token = token(args.token.as_deref())?;
    let (pairs, same) = pairs(report_args, args.against.as_deref())?;
    let (log, before) = ReviewLog::open(out)?;
    let count = pairs.len();
    let desk = Desk::new(pairs, dimensions, args.reviewer.clone(), log, before);
    let ready = desk.ready(args.reviewer.as_deref());
    let address = args.listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, args.port)));
    let listener = web::bind(address)?;
    let guard = Guard::new(listener.local_addr()?, token);
    if !address.ip().is_loopback() {
        complain("warning: other machines reach the page, and nothing on the way is encrypted");
    }
    if same > 0 {
        say(&format!("{same} cases have the same answer from both models: nobody is asked about them"));
    }
    say(&format!("{count} cases to review, {ready} of them done -> {}", out.display()));
    say(&format!("open {}", guard.url()));
    say("Ctrl-C ends; what was saved stays, and the same command goes on");
    let signal = listen()?;
    let desk = Rc::new(RefCell::new(desk));
    let site: Rc<RefCell<dyn web::Site>> = desk.clone();
    web::serve(listener, guard, site, &signal)?;
    let done = desk.borrow().saved();
    say(&format!("{done} reviews were saved -> {}", out.display()));
    Ok(DONE)
}

fn dimensions(named: &[String]) -> anyhow::Result<Vec<String>> {
    let all: Vec<String> = match named {
        [] => DIMENSIONS.map(str::to_owned).to_vec(),
        named => named.iter().map(|name| name.trim().to_owned()).collect(),
    };
    let distinct: HashSet<&String> = all.iter().collect();
    let is_name =
        |name: &String| !name.is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control);
    if distinct.len() != all.len() || all.len() > MOST_DIMENSIONS || !all.iter().all(is_name) {
        let problem =
            format!("--dimensions: expected up to {MOST_DIMENSIONS} different names, found {all:?}");
        return Err(BadInput::new(problem).with_hint("with commas between: accuracy,tone").into());
    }
    Ok(all)
}

fn token(given: Option<&str>) -> anyhow::Result<String> {
    let Some(token) = given else { return web::new_token() };
    if token.len() < SHORTEST_TOKEN || !token.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let problem = format!("--token: expected {SHORTEST_TOKEN} letters and digits or more");
        return Err(BadInput::new(problem).with_hint("without --token one is drawn").into());
    }
    Ok(token.to_owned())
}

/// What there is to review, and in how many cases both models say the same. The first model is the one of before: the base, or that of
/// `--against`.
fn pairs(named: &Path, against: Option<&Path>) -> anyhow::Result<(Vec<Pair>, usize)> {
    let path = report(named)?;
    let before = against.map(report).transpose()?;
    let (first, second) = match &before {
        Some(before) => ((before.as_path(), Which::Best), (path.as_path(), Which::Best)),
        None => ((path.as_path(), Which::Base), (path.as_path(), Which::Tuned)),
    };
    let Answers { models, cases } = answers(first, second)?;
    let of = |path: &Path, model: &str| -> anyhow::Result<reviews::Answer> {
        let report = sha256_of_file(path).map_err(rtune_trainer::error::TrainerError::from)?;
        Ok(reviews::Answer { report, model: model.to_owned(), answer: String::new() })
    };
    let from = [of(first.0, models[0])?, of(second.0, models[1])?];
    let all = cases.len();
    let mut seen = HashSet::new();
    let different: Vec<Answered> =
        cases.into_iter().filter(|case| case.answers[0] != case.answers[1]).collect();
    let same = all - different.len();
    let pairs: Vec<Pair> = different
        .into_iter()
        // A row that stands twice, and is answered alike both times, is reviewed once.
        .filter(|case| seen.insert((case.id.clone(), case.answers.clone())))
        .map(|case| {
            let side = |at: usize| reviews::Answer { answer: hash_of(&case.answers[at]), ..from[at].clone() };
            Pair { of: [side(0), side(1)], case }
        })
        .collect();
    if pairs.is_empty() {
        let problem = format!("`{}` has no case that both models answer in different words", path.display());
        let hint = "nothing is there to choose from; `rtune compare` says what the figures are";
        return Err(BadInput::new(problem).with_hint(hint).into());
    }
    Ok((pairs, same))
}

/// How often two equal models may be called different, in what people said.
fn settings(alpha: f64) -> Settings {
    Settings { alpha, ..Settings::default() }
}
