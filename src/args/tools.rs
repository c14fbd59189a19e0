//! The verbs around a run: before it, and beside it.

use std::path::PathBuf;

use clap::ValueEnum;

#[derive(Debug, clap::Args)]
pub(crate) struct ScoreArgs {
    /// The answers: one a line, or a .jsonl file whose rows have `answer`, `output` or `messages`
    #[arg(value_name = "SYS")]
    pub(crate) system: PathBuf,
    /// The references, line by line for the same questions; several files are several references
    #[arg(value_name = "REF", required = true)]
    pub(crate) references: Vec<PathBuf>,
    /// What to compute; may be repeated. By default everything
    #[arg(long = "metric", value_enum, value_name = "METRIC")]
    pub(crate) metrics: Vec<Metric>,
    /// A folder with a BERT or RoBERTa, config.json, tokenizer.json or vocab.txt, and model.safetensors, for BERTScore
    #[arg(long, value_name = "FOLDER")]
    pub(crate) encoder: Option<PathBuf>,
    /// The layer of it whose vectors are compared; by default the last. bert-score takes 9 of bert-base-uncased
    #[arg(long, value_name = "LAYER", requires = "encoder")]
    pub(crate) encoder_layer: Option<usize>,
    /// Weigh tokens of BERTScore by how rare they are in the references
    #[arg(long, requires = "encoder")]
    pub(crate) idf: bool,
    /// Take the endings off English words before ROUGE, as rouge-score does with `use_stemmer`
    #[arg(long)]
    pub(crate) stem: bool,
    /// Write the scores as JSON, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Metric {
    /// Part of the answers that equal a reference, whitespace around them aside
    Exact,
    /// The same without regard to case, ASCII punctuation and the amount of whitespace
    Normalised,
    /// chrF2 as sacreBLEU computes it
    Chrf,
    /// chrF2++ as sacreBLEU computes it
    #[value(name = "chrf++")]
    ChrfPlusPlus,
    /// BLEU as sacreBLEU computes it: 13a, exp
    Bleu,
    /// TER as sacreBLEU computes it: edits in a hundred words, the fewer the better
    Ter,
    /// The mean F1 of ROUGE-1 as rouge-score computes it, in percent
    #[value(name = "rouge-1")]
    Rouge1,
    /// ROUGE-2
    #[value(name = "rouge-2")]
    Rouge2,
    /// ROUGE-L
    #[value(name = "rouge-l")]
    RougeL,
    /// ROUGE-Lsum: lines are sentences
    #[value(name = "rouge-lsum")]
    RougeLsum,
    /// The mean F1 of BERTScore as bert-score computes it, in percent and not rescaled; needs --encoder
    #[value(name = "bertscore")]
    BertScore,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PrepareArgs {
    /// The configuration, a TOML file
    pub(crate) config: PathBuf,
    /// Override a key of the configuration, for example data.privacy.mode=tag; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// The folder to write; by default prepared/NAME, by the name of the run folder, or of the one above where that is `run`
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Count only, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Write the data report as JSON, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// The data, JSONL; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Vec<PathBuf>,
    /// What the model will do, in a word or two; by default the name of the data file
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The language of the data, such as en or de
    #[arg(long)]
    pub(crate) language: Option<String>,
    /// An alias, a Hugging Face repository, a folder or a .gguf file
    #[arg(long)]
    pub(crate) base: Option<String>,
    /// Memory that training may take, in GiB; by default what is free
    #[arg(long, value_name = "GIB")]
    pub(crate) memory: Option<f64>,
    /// Where the arithmetic is done: auto or cpu
    #[arg(long)]
    pub(crate) device: Option<String>,
    /// The folder to write into; by default one of that name
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Ask nothing: what is not given has its default
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct KeysArgs {
    /// Keys or sections, such as lora.rank or train; by default all, as docs/configuration.md
    #[arg(value_name = "KEY")]
    pub(crate) keys: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// Ask the hub for an answer too; without it no network is used
    #[arg(long)]
    pub(crate) online: bool,
    /// Write what was found as JSON, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}
