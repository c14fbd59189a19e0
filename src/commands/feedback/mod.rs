//! `rtune feedback`: from what users said to rows that a person accepted.

mod decide;
mod import;
mod list;

use rtune_feedback::Entry;
use rtune_trainer::config::Config;
use rtune_trainer::verify::Verification;

use crate::args::feedback::{AgainstArgs, FeedbackArgs, FeedbackVerb};
use crate::failure::BadInput;

pub(crate) fn run(args: &FeedbackArgs) -> anyhow::Result<u8> {
    match &args.what {
        FeedbackVerb::Import(args) => import::run(args),
        FeedbackVerb::Review(args) => decide::run(args),
        FeedbackVerb::List(args) => list::run(args),
    }
}

/// The configuration that counts; `None` where none is named.
fn config(args: &AgainstArgs) -> anyhow::Result<Option<Config>> {
    match (&args.config, &args.run) {
        (Some(path), _) => Ok(Some(Config::load(path, &args.overrides)?)),
        (None, Some(run)) => {
            let own = Verification::open(run, &mut |_| {})?.config;
            Ok(Some(Config::parse(
                &run.join("config.toml").display().to_string(),
                &own.to_toml(),
                &args.overrides,
            )?))
        }
        (None, None) if !args.overrides.is_empty() => {
            Err(BadInput::new("--set overrides a configuration, and none is named")
                .with_hint("`--config CONFIG` or `--run RUN`")
                .into())
        }
        (None, None) => Ok(None),
    }
}

/// What a terminal makes no sense or mischief of: control characters, and marks that turn the direction, by their numbers.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let hidden = matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        );
        match character {
            '\n' => shown.push('\n'),
            _ if hidden || character.is_control() => {
                shown.push_str(&format!("⟨U+{:04X}⟩", u32::from(character)))
            }
            _ => shown.push(character),
        }
    }
    shown
}

/// What a user thought of the answer, in a word or two.
fn rating(entry: &Entry) -> String {
    let thumbs = entry.rating.map(|rating| match rating {
        1 => "liked".to_owned(),
        -1 => "disliked".to_owned(),
        _ => "neither liked nor disliked".to_owned(),
    });
    let stars = entry.stars.map(|stars| format!("{stars} of 5 stars"));
    let all: Vec<String> = thumbs.into_iter().chain(stars).collect();
    if all.is_empty() { "not rated".to_owned() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn a_terminal_is_told_no_tricks() {
        assert_eq!(visible("a\x1b[31m\u{202e}b\n\u{7f}é"), "a⟨U+001B⟩[31m⟨U+202E⟩b\n⟨U+007F⟩é");
    }
}
