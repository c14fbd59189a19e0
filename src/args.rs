//! The command line: flags say where, the configuration says how.

pub(crate) mod bench;
pub(crate) mod choose;
pub(crate) mod code;
pub(crate) mod compare;
pub(crate) mod feedback;
pub(crate) mod judge;
pub(crate) mod plan;
pub(crate) mod push;
pub(crate) mod redteam;
pub(crate) mod registry;
pub(crate) mod release;
pub(crate) mod report;
pub(crate) mod review;
pub(crate) mod scan;
pub(crate) mod talk;
pub(crate) mod tools;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// QLoRA fine-tuning in one program: clean data in, a measurably better model out.
#[derive(Debug, Parser)]
#[command(name = "rtune", version, about)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Train a LoRA adapter as a configuration says
    Train(TrainArgs),
    /// Compute every hash of a run again, and name the first that differs
    Verify(VerifyArgs),
    /// Clean the data, and write the rows and a report of every row kept, changed or dropped
    Prepare(tools::PrepareArgs),
    /// Show what would be trained on: sample rows with their trained tokens marked, lengths, counts
    Check(CheckArgs),
    /// Compare bases before training: memory, GPUs, licences, and how likely your golden answers are to each
    Choose(choose::ChooseArgs),
    /// Say what a run would take: memory by what it is for, steps, tokens, time, money; and what would fit if it does not
    Plan(plan::PlanArgs),
    /// Measure steps on this machine: tokens a second, where the time goes, memory
    Bench(bench::BenchArgs),
    /// Download a base model ahead of training
    Pull(PullArgs),
    /// Add a run's adapter to its base and measure what that changed: a model that transformers loads
    Merge(release::MergeArgs),
    /// Write a run's adapter, or the model, for another program
    Export(release::ExportArgs),
    /// Upload a folder, or a run's adapter, to a hub
    Push(push::PushArgs),
    /// Answer one prompt
    Generate(talk::GenerateArgs),
    /// Talk with a model
    Chat(talk::ChatArgs),
    /// Examine a model on golden rows, base and tuned side by side
    Eval(Box<talk::EvalArgs>),
    /// Say whether one model is better than another, from their evaluations of the same golden rows
    Compare(compare::CompareArgs),
    /// Let people score two models' answers side by side, not knowing whose they are
    Review(review::ReviewArgs),
    /// Attack a model with a suite: refusals, injections, leaks, promises; base and tuned side by side
    Redteam(redteam::RedTeamArgs),
    /// Put a run in the place of the version in use, if it passes its gate; exit code 3 if not
    Promote(registry::PromoteArgs),
    /// Go back to a version of before
    Rollback(registry::RollbackArgs),
    /// List the versions of a registry, and when each was in use
    History(registry::HistoryArgs),
    /// Compare two versions: configuration, training rows, metrics, changed cases
    Diff(registry::DiffArgs),
    /// Train a version again from its manifest, and compare the bytes
    Rebuild(registry::RebuildArgs),
    /// What users said of answers: import it, decide on it, list it
    Feedback(feedback::FeedbackArgs),
    /// Write a run as one page: curves, data, golden rows with what changed, verdicts, settings
    Report(report::ReportArgs),
    /// Score answers against references: exact match, chrF, chrF++, BLEU, TER, ROUGE
    Score(tools::ScoreArgs),
    /// Show where personal data stands in a file; changes nothing
    Scan(scan::ScanArgs),
    /// Write a configuration and golden rows for data of your own
    Init(tools::InitArgs),
    /// Explain the configuration's keys, or one of them
    Keys(tools::KeysArgs),
    /// Look at what this machine has, and at what would keep rtune from working
    Doctor(tools::DoctorArgs),
    /// Print the completions of a shell
    Completions(tools::CompletionsArgs),
    /// Confine this process and run a program in it; `eval --run-code` starts this
    #[command(hide = true)]
    Confined(code::ConfinedArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct TrainArgs {
    /// The configuration, a TOML file
    #[arg(required_unless_present = "from")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) next: NextArgs,
    /// Go on from the last checkpoint if there is one, else start
    #[arg(long)]
    pub(crate) resume: bool,
    /// Override a key of the configuration, for example train.epochs=1; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// Train so many adapters, one after the other beside one base, each from another seed: `promote` then knows what the seed alone
    /// changes. The others stand beside the run, as NAME-seed-1 and so on
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) seeds: u32,
    /// Write the lines of metrics.jsonl to standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

/// Training after a version that is in use.
#[derive(Debug, clap::Args)]
pub(crate) struct NextArgs {
    /// A version whose training rows are trained on again, such as v0003 or `current`; without a configuration its own counts
    #[arg(long, value_name = "VERSION")]
    pub(crate) from: Option<String>,
    /// The folder with the versions
    #[arg(long, value_name = "FOLDER", default_value = "registry")]
    pub(crate) registry: PathBuf,
    /// The part of that version's rows that is trained on again: the weight of each of its sources is multiplied by it
    #[arg(long, value_name = "SHARE", requires = "from", default_value_t = 1.0, value_parser = talk::probability)]
    pub(crate) replay: f64,
    /// A queue of `rtune feedback` whose accepted rows are added to the training rows; may be repeated
    #[arg(long = "add", value_name = "QUEUE")]
    pub(crate) queues: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// A run folder, one of its checkpoints, or a version's folder in a registry
    pub(crate) run: PathBuf,
    /// List the rows that trained the checkpoint (the run's best, or its last without validation): file, line, id, steps
    #[arg(long)]
    pub(crate) rows: bool,
    /// Write JSON lines to standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The configuration, a TOML file
    pub(crate) config: PathBuf,
    /// Override a key of the configuration, for example data.max-tokens=512; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// How many rows to show
    #[arg(long, value_name = "ROWS", default_value_t = 3)]
    pub(crate) sample: usize,
    /// Write the data report as JSON, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PullArgs {
    /// An alias such as smollm2-135m-instruct, or a Hugging Face repository
    pub(crate) name: String,
    /// Branch, tag or commit of a repository
    #[arg(long)]
    pub(crate) revision: Option<String>,
}
