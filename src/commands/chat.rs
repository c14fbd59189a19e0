//! `rtune chat`: a conversation.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use rtune_data::Message;
use rtune_models::generate::{Document, End, Go};
use rtune_trainer::error::TrainerError;
use rtune_trainer::talk::{Settings, Speaker};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use signal_hook::consts::SIGINT;

use crate::args::talk::ChatArgs;
use crate::commands::opened;
use crate::failure::{DONE, Failure};
use crate::reporter::{complain, say, say_piece};

const HELP: &str = "\
/system TEXT   begin anew with this system message (nothing: without one)
/reset         begin anew
/compare       the last question, answered by base and tuned model; the conversation stays as it is
/compare TEXT  the same with another question
/help          this list
/quit          end (so does Ctrl-D)
Ctrl-C ends an answer.";

/// What a line asks for.
#[derive(Debug, PartialEq)]
enum Line<'a> {
    Nothing,
    Say(&'a str),
    System(&'a str),
    Reset,
    Compare(&'a str),
    Help,
    Quit,
    Unknown(&'a str),
}

impl<'a> Line<'a> {
    fn of(text: &'a str) -> Self {
        let text = text.trim();
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        match word {
            "" => Self::Nothing,
            "/system" => Self::System(rest.trim()),
            "/reset" => Self::Reset,
            "/compare" => Self::Compare(rest.trim()),
            "/help" => Self::Help,
            "/quit" | "/exit" => Self::Quit,
            _ if word.starts_with('/') => Self::Unknown(word),
            _ => Self::Say(text),
        }
    }
}

pub(crate) fn run(args: &ChatArgs) -> anyhow::Result<u8> {
    let (subject, model) = opened::open(&args.subject)?;
    let speaker = Speaker::new(&model)?;
    // A model without a template cannot chat: said before the first line is typed.
    speaker.encoder()?;
    let mut lines = Lines::new()?;
    let interrupted = Arc::new(AtomicBool::new(false));
    // Without a person nobody would go on after an answer that was ended: the program ends.
    if lines.is_terminal() {
        signal_hook::flag::register(SIGINT, Arc::clone(&interrupted)).context("cannot listen for signals")?;
    }
    let mut chat = Chat {
        speaker: &speaker,
        settings: opened::settings(&args.sampling),
        system: args.system.clone(),
        messages: Vec::new(),
        document: None,
        interrupted,
    };
    if lines.is_terminal() {
        complain(&format!("{}: /help lists the commands, Ctrl-D ends", subject.name()));
    }
    while let Some(text) = lines.next()? {
        let done = match Line::of(&text) {
            Line::Nothing => Ok(()),
            Line::Quit => break,
            Line::Help => {
                complain(HELP);
                Ok(())
            }
            Line::Unknown(word) => {
                complain(&format!("`{word}` is no command; /help lists them"));
                Ok(())
            }
            Line::Reset => {
                chat.begin_anew();
                Ok(())
            }
            Line::System(text) => {
                chat.system = (!text.is_empty()).then(|| text.to_owned());
                chat.begin_anew();
                Ok(())
            }
            Line::Say(text) => chat.say(text),
            Line::Compare(text) => chat.compare(text),
        };
        // What one question cannot do does not end the conversation; without a person there is nobody to go on.
        match done {
            Err(error) if lines.is_terminal() => complain(&Failure::of(&error.into()).to_string()),
            done => done?,
        }
    }
    Ok(DONE)
}

struct Chat<'a> {
    speaker: &'a Speaker<'a>,
    settings: Settings,
    system: Option<String>,
    messages: Vec<Message>,
    document: Option<Document>,
    interrupted: Arc<AtomicBool>,
}

impl Chat<'_> {
    fn begin_anew(&mut self) {
        self.messages.clear();
        self.document = None;
    }

    fn conversation(&self) -> Vec<Message> {
        let system = self.system.iter().map(|text| Message::new("system", text.as_str()));
        system.chain(self.messages.iter().cloned()).collect()
    }

    fn say(&mut self, text: &str) -> Result<(), TrainerError> {
        self.messages.push(Message::new("user", text));
        let answered = self.speaker.prompt(&self.conversation()).and_then(|prompt| {
            let document = self.document.take();
            self.answer(prompt, self.speaker.opened().tuned, document)
        });
        match answered {
            Ok((answer, document)) => {
                self.messages.push(Message::new("assistant", answer));
                self.document = Some(document);
                Ok(())
            }
            Err(error) => {
                self.messages.pop();
                Err(error)
            }
        }
    }

    /// Base and tuned model answer `text`, or the last question; nothing of it stays in the conversation.
    fn compare(&self, text: &str) -> Result<(), TrainerError> {
        let mut conversation = self.conversation();
        if text.is_empty() {
            while conversation.last().is_some_and(Message::is_answer) {
                conversation.pop();
            }
            if conversation.last().is_none_or(|message| message.role != "user") {
                complain("there is no question yet: /compare TEXT asks one");
                return Ok(());
            }
        } else {
            conversation.push(Message::new("user", text));
        }
        let prompt = self.speaker.prompt(&conversation)?;
        say("--- base");
        self.answer(prompt.clone(), false, None)?;
        if !self.speaker.opened().tuned {
            complain("there is no adapter to compare with: this is a base alone");
            return Ok(());
        }
        say("--- tuned");
        self.answer(prompt, true, None)?;
        say("---");
        Ok(())
    }

    fn answer(
        &self,
        prompt: Vec<u32>,
        tuned: bool,
        document: Option<Document>,
    ) -> Result<(String, Document), TrainerError> {
        self.interrupted.store(false, Ordering::SeqCst);
        let mut on_piece = |piece: &str| {
            say_piece(piece);
            if self.interrupted.load(Ordering::SeqCst) { Go::Enough } else { Go::On }
        };
        let (text, answer) = self.speaker.stream(prompt, &self.settings, tuned, document, &mut on_piece)?;
        say("");
        if answer.end == End::Length {
            complain("(the answer is at its longest; --max-new-tokens sets it)");
        }
        Ok((text, answer.document))
    }
}

/// Lines from a person, with editing and history, or from a file or a pipe.
enum Lines {
    Edited(Box<DefaultEditor>),
    Piped(std::io::Lines<std::io::StdinLock<'static>>),
}

impl Lines {
    fn new() -> anyhow::Result<Self> {
        if std::io::stdin().is_terminal() {
            return Ok(Self::Edited(Box::new(
                DefaultEditor::new().context("cannot read from the terminal")?,
            )));
        }
        Ok(Self::Piped(std::io::stdin().lines()))
    }

    fn is_terminal(&self) -> bool {
        matches!(self, Self::Edited(_))
    }

    fn next(&mut self) -> anyhow::Result<Option<String>> {
        match self {
            Self::Piped(lines) => lines.next().transpose().context("cannot read from standard input"),
            Self::Edited(editor) => match editor.readline("> ") {
                Ok(line) => {
                    // A history that is full forgets the oldest; that is no failure.
                    let _ = editor.add_history_entry(line.as_str());
                    Ok(Some(line))
                }
                Err(ReadlineError::Interrupted) => Ok(Some(String::new())),
                Err(ReadlineError::Eof) => Ok(None),
                Err(error) => Err(error).context("cannot read from the terminal"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        assert_eq!(Line::of("  hello there "), Line::Say("hello there"));
        assert_eq!(Line::of("/system You are  kind."), Line::System("You are  kind."));
        assert_eq!(Line::of("/system"), Line::System(""));
        assert_eq!(Line::of("/compare what now?"), Line::Compare("what now?"));
        assert_eq!(Line::of("/compre x"), Line::Unknown("/compre"));
        assert_eq!(Line::of(" "), Line::Nothing);
        assert_eq!(Line::of("/exit"), Line::Quit);
    }
}
