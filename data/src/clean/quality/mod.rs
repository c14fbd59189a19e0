//! Quality filters: named rules with thresholds, each of which says why it drops a row.

mod copied;
mod labels;
mod language;
mod lists;
mod mojibake;
mod options;
mod perplexity;
mod refusals;
mod repetition;
mod symbols;
#[cfg(test)]
mod tests;
mod toxicity;
mod verdict;

pub use labels::{Label, LabelCap, LabelCapOptions, LabelReport, Labels};
pub use options::{
    FilterOptions, LanguageOptions, PerplexityOptions, RefusalOptions, RepetitionOptions, SymbolOptions,
    ToxicityOptions,
};
pub use perplexity::{Perplexity, PerplexityCut, nats_per_token};
pub use verdict::{Dropped, Rule, RuleCount, Tally, Verdict};

use language::Languages;
use refusals::Refusals;
use toxicity::Toxicity;

use crate::clean::CleanError;
use crate::clean::normalise::share;
use crate::record::Record;

/// The rules that are on, with all they need. `max-perplexity` needs a base and is judged apart ([`PerplexityCut`]).
#[derive(Debug)]
pub struct Filters {
    options: FilterOptions,
    languages: Option<Languages>,
    refusals: Option<Refusals>,
    toxicity: Option<Toxicity>,
}

impl Filters {
    /// The rules of these options; files they name are read here.
    ///
    /// # Errors
    /// A setting is out of its range, or a file cannot be used.
    pub fn new(options: &FilterOptions) -> Result<Self, CleanError> {
        check(options)?;
        Ok(Self {
            languages: options.languages.as_ref().map(Languages::new).transpose()?,
            refusals: options.refusals.as_ref().map(Refusals::new).transpose()?,
            toxicity: options.toxicity.as_ref().map(Toxicity::new).transpose()?,
            options: options.clone(),
        })
    }

    /// Why the row is dropped: the first rule that says so, in the order of [`Rule::ALL`].
    pub fn judge(&self, row: &Record) -> Option<Verdict> {
        let view = View::of(row);
        Rule::ALL.into_iter().find_map(|rule| self.ask(rule, &view))
    }

    /// What every rule says on its own, in the same order.
    pub fn all(&self, row: &Record) -> Vec<Verdict> {
        let view = View::of(row);
        Rule::ALL.into_iter().filter_map(|rule| self.ask(rule, &view)).collect()
    }

    fn ask(&self, rule: Rule, view: &View<'_>) -> Option<Verdict> {
        let options = &self.options;
        let detail = match rule {
            Rule::EmptyAnswer => (options.empty_answer && view.answer.trim().is_empty())
                .then(|| "the answer is empty".to_owned()),
            Rule::MinPromptCharacters => {
                too_few(view.prompt_characters(options.min_prompt_characters), options.min_prompt_characters)
            }
            Rule::MaxPromptCharacters => {
                too_many(view.prompt_characters(options.max_prompt_characters), options.max_prompt_characters)
            }
            Rule::MinAnswerCharacters => {
                too_few(view.answer_characters(options.min_answer_characters), options.min_answer_characters)
            }
            Rule::MaxAnswerCharacters => {
                too_many(view.answer_characters(options.max_answer_characters), options.max_answer_characters)
            }
            Rule::Mojibake => options.mojibake.and_then(|least| {
                let places: usize = view.texts().map(mojibake::places).sum();
                (places >= least.max(1))
                    .then(|| format!("{places} characters read in the wrong encoding, or lost"))
            }),
            Rule::Symbols => {
                options.symbols.as_ref().and_then(|options| view.each(|text| symbols::judge(text, options)))
            }
            Rule::Repetition => options
                .repetition
                .as_ref()
                .and_then(|options| view.each(|text| repetition::judge(text, options))),
            Rule::Languages => {
                self.languages.as_ref().and_then(|languages| view.each(|text| languages.judge(text)))
            }
            Rule::CopiedAnswer => options.copied_answer.and_then(|least| {
                let likeness = copied::likeness(view.question, view.answer);
                (likeness >= least)
                    .then(|| format!("the answer is the prompt, with a likeness of {likeness:.2}"))
            }),
            Rule::Refusals => self
                .refusals
                .as_ref()
                .and_then(|refusals| view.answers().find_map(|answer| refusals.judge(answer))),
            Rule::Toxicity => self.toxicity.as_ref().and_then(|toxicity| {
                let prompts = options.toxicity.as_ref().is_none_or(|options| options.prompts);
                toxicity.judge(
                    view.row
                        .messages
                        .iter()
                        .filter(|message| prompts || message.is_answer())
                        .map(|message| message.content.as_str()),
                )
            }),
            Rule::MaxPerplexity => None,
        };
        detail.map(|detail| Verdict { rule, detail })
    }
}

/// A row as rules see it.
struct View<'a> {
    row: &'a Record,
    /// The last turn before the last answer that is no answer.
    question: &'a str,
    /// The last answer.
    answer: &'a str,
}

impl<'a> View<'a> {
    fn of(row: &'a Record) -> Self {
        let question = row.prompt().iter().rfind(|message| !message.is_answer() && message.role != "system");
        let question = question.map_or("", |message| message.content.as_str());
        Self { row, question, answer: row.answer().unwrap_or_default() }
    }

    fn texts(&self) -> impl Iterator<Item = &'a str> {
        self.row.messages.iter().map(|message| message.content.as_str())
    }

    fn answers(&self) -> impl Iterator<Item = &'a str> {
        self.row.messages.iter().filter(|message| message.is_answer()).map(|message| message.content.as_str())
    }

    /// What `judge` says of the first turn, system turns aside, that it says something of.
    fn each(&self, judge: impl Fn(&str) -> Option<String>) -> Option<String> {
        let turns = self.row.messages.iter().filter(|message| message.role != "system");
        turns.into_iter().find_map(|message| {
            let side = if message.is_answer() { "answer" } else { "prompt" };
            judge(&message.content).map(|detail| format!("{side}: {detail}"))
        })
    }

    /// Counted only where a limit asks for it.
    fn prompt_characters(&self, limit: Option<usize>) -> usize {
        limit.map_or(0, |_| self.row.prompt().iter().map(|message| message.content.chars().count()).sum())
    }

    fn answer_characters(&self, limit: Option<usize>) -> usize {
        limit.map_or(0, |_| self.answer.chars().count())
    }
}

fn too_few(characters: usize, least: Option<usize>) -> Option<String> {
    let least = least.filter(|&least| characters < least)?;
    Some(format!("{characters} characters, fewer than {least}"))
}

fn too_many(characters: usize, most: Option<usize>) -> Option<String> {
    let most = most.filter(|&most| characters > most)?;
    Some(format!("{characters} characters, more than {most}"))
}

fn check(options: &FilterOptions) -> Result<(), CleanError> {
    if let Some(likeness) = options.copied_answer {
        share("copied-answer", likeness)?;
    }
    if let Some(symbols) = &options.symbols {
        share("symbols.max-symbols", symbols.max_symbols)?;
        share("symbols.max-digits", symbols.max_digits)?;
    }
    if let Some(repetition) = &options.repetition {
        share("repetition.max-duplicate-lines", repetition.max_duplicate_lines)?;
        share("repetition.max-top-words", repetition.max_top_words)?;
        share("repetition.max-duplicate-words", repetition.max_duplicate_words)?;
        share("repetition.max-run", repetition.max_run)?;
    }
    if let Some(languages) = &options.languages {
        share("languages.min-confidence", languages.min_confidence)?;
    }
    let pairs = [
        ("max-prompt-characters", options.min_prompt_characters, options.max_prompt_characters),
        ("max-answer-characters", options.min_answer_characters, options.max_answer_characters),
    ];
    for (setting, least, most) in pairs {
        if let (Some(least), Some(most)) = (least, most)
            && most < least
        {
            return Err(CleanError::Setting {
                setting,
                expected: "at least the minimum",
                found: most.to_string(),
            });
        }
    }
    Ok(())
}
