//! What Ollama wants beside a GGUF file.

use anyhow::anyhow;
use rtune_data::Message;
use rtune_release::{Card, Content, GgufType, Made, NewFolder, Turn, Turns};

use crate::commands::released::{Released, is_as_trained};
use crate::failure::BadInput;
use crate::reporter::complain;

/// The file of the model, beside the Modelfile.
pub(super) const MODEL: &str = "model.gguf";
pub(super) const MODELFILE: &str = "Modelfile";

/// The chat template as the pieces around its messages.
pub(super) fn turns(released: &Released) -> anyhow::Result<Turns> {
    let Some(template) = &released.template else {
        let problem = "the base has no chat template, and a Modelfile must say how prompts are written";
        let hint = "name one by `--set data.template=FILE`, or take --format gguf";
        return Err(BadInput::new(problem).with_hint(hint).into());
    };
    let render = |conversation: &[Turn<'_>], asks: bool| {
        let messages: Vec<Message> =
            conversation.iter().map(|(role, content)| Message::new(*role, *content)).collect();
        template.render(&messages, asks).map_err(|error| error.to_string())
    };
    let turns = Turns::of(&render, released.base.special.bos.as_deref()).map_err(|problem| {
        let hint =
            "take --format gguf: the file has the template itself, and llama.cpp's server uses it (--jinja)";
        let problem = format!("the chat template cannot be said as Ollama's: {problem}");
        BadInput::new(problem).with_hint(hint)
    })?;
    if turns.trims {
        complain(
            "note: the chat template takes white space off around messages, which Ollama's cannot: a message that begins or ends with a \
             space or a line break is asked otherwise than it was trained",
        );
    }
    Ok(turns)
}

/// The card, and what the base's licence may ask to be passed on. Figures are of numbers as they were trained, not of blocks that
/// round them.
pub(super) fn write_card(
    folder: &NewFolder,
    card: Card,
    released: &Released,
    content: Content<'_>,
    kind: GgufType,
) -> anyhow::Result<()> {
    let is_rounded = !matches!(kind, GgufType::F32 | GgufType::F16 | GgufType::Bf16);
    let mut card = if is_as_trained(content) && !is_rounded { card } else { card.unmeasured() };
    card.gguf = true;
    card.write(folder, if matches!(content, Content::Base) { Made::Base } else { Made::Merged })?;
    Ok(rtune_release::write_legal(folder, &released.base)?)
}

/// The text; `begins` as of the file that was written.
pub(super) fn modelfile(released: &Released, turns: &Turns, begins: bool) -> anyhow::Result<String> {
    let ids = released.chat().stop_tokens;
    let stops: Vec<String> = ids.iter().filter_map(|&id| released.base.tokenizer.id_to_token(id)).collect();
    rtune_release::modelfile(&format!("./{MODEL}"), turns, begins, &stops).map_err(|problem| anyhow!(problem))
}
