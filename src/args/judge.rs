//! The judge of `rtune eval`.

use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct JudgeArgs {
    /// Have another model judge the answers, through an OpenAI-compatible endpoint such as http://localhost:8080/v1; it gets prompts,
    /// references and answers
    #[arg(long, value_name = "URL", requires = "judge_model", conflicts_with = "benchmark")]
    pub(crate) judge: Option<String>,
    /// The model's name there
    #[arg(long, value_name = "NAME", requires = "judge")]
    pub(crate) judge_model: Option<String>,
    /// What it judges by: support, summary, relevancy, groundedness, or a text file with criteria
    #[arg(long, value_name = "RUBRIC", default_value = "support", requires = "judge")]
    pub(crate) judge_rubric: String,
    /// A file with the key that the endpoint wants
    #[arg(long, value_name = "FILE", requires = "judge")]
    pub(crate) judge_key_file: Option<PathBuf>,
}
