//! The verb that looks for personal data.

use std::path::PathBuf;

use rtune_data::NamesBy;
use rtune_privacy::{DEFAULT_THRESHOLD, Entity};

#[derive(Debug, clap::Args)]
pub(crate) struct ScanArgs {
    /// A text, or a .jsonl or .json file of whose values every string is looked at; - reads a text from standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// What to look for, such as EMAIL_ADDRESS; may be repeated. By default all but dates, web addresses and places; `all` is
    /// everything
    #[arg(long = "entity", value_name = "ENTITY", value_parser = parse_entity)]
    pub(crate) entities: Vec<Entities>,
    /// The least score of a finding, from 0 to 1
    #[arg(long, value_name = "SCORE", default_value_t = DEFAULT_THRESHOLD)]
    pub(crate) threshold: f32,
    /// How names are found: `off`, `rules` (what stands around them, and lists of names), or rules and a model: an alias such as
    /// `rampart`, a hub repository or a folder with a token classifier
    #[arg(long, value_name = "HOW", default_value = "rules", value_parser = parse_names)]
    pub(crate) names: NamesBy,
    /// A text that is no finding, such as a support address; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub(crate) allow: Vec<String>,
    /// A region whose telephone numbers are known without a calling code, such as AT; may be repeated
    #[arg(long = "region", value_name = "REGION")]
    pub(crate) regions: Vec<String>,
    /// Show what was found too: by default the output can be passed on without the data itself
    #[arg(long)]
    pub(crate) show: bool,
    /// Write one JSON object a finding to standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entities {
    All,
    One(Entity),
}

fn parse_names(name: &str) -> Result<NamesBy, std::convert::Infallible> {
    Ok(NamesBy::from(name.to_owned()))
}

fn parse_entity(name: &str) -> Result<Entities, String> {
    if name.eq_ignore_ascii_case("all") {
        return Ok(Entities::All);
    }
    name.parse().map(Entities::One).map_err(|error: rtune_privacy::UnknownEntity| {
        let names: Vec<&str> = Entity::ALL.iter().map(|entity| entity.name()).collect();
        format!("{error}; expected `all` or one of {}", names.join(", "))
    })
}
