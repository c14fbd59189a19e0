//! `rtune generate`: one answer.

use std::io::Read;

use anyhow::{Context, bail};
use rtune_data::Message;
use rtune_models::generate::{End, Go};
use rtune_trainer::talk::Speaker;

use crate::args::talk::GenerateArgs;
use crate::commands::opened;
use crate::failure::{BadInput, DONE};
use crate::reporter::{say, say_piece};

pub(crate) fn run(args: &GenerateArgs) -> anyhow::Result<u8> {
    let text = prompt_text(&args.prompt)?;
    if text.is_empty() {
        bail!(BadInput::new("the prompt is empty"));
    }
    let (_, model) = opened::open(&args.subject)?;
    let speaker = Speaker::new(&model)?;
    let tokens = if args.raw {
        speaker.continued(&text)?
    } else {
        let system = args.system.iter().map(|text| Message::new("system", text.as_str()));
        let messages: Vec<Message> = system.chain([Message::new("user", text.as_str())]).collect();
        speaker.prompt(&messages)?
    };
    let prompt_token_ids = tokens.clone();
    let tuned = model.tuned && !args.base;
    let mut on_piece = |piece: &str| {
        if !args.json {
            say_piece(piece);
        }
        Go::On
    };
    let settings = opened::settings(&args.sampling);
    let (whole, answer) = speaker.stream(tokens, &settings, tuned, None, &mut on_piece)?;
    if args.json {
        let object = serde_json::json!({
            "prompt": text,
            "answer": whole,
            "tuned": tuned,
            "prompt_tokens": prompt_token_ids.len(),
            "prompt_token_ids": prompt_token_ids,
            "answer_tokens": answer.tokens.len(),
            "token_ids": answer.tokens,
            "end": if answer.end == End::Stop { "stop" } else { "length" },
        });
        say(&object.to_string());
    } else {
        say("");
    }
    Ok(DONE)
}

fn prompt_text(argument: &str) -> anyhow::Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read the prompt from standard input")?;
    Ok(text.trim_end_matches('\n').to_owned())
}
