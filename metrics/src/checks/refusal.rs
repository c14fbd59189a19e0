//! Answers that refuse, or that speak as a language model does of itself.

use super::phrases::{folded, is_whole};

/// Phrases of [`REFUSALS`] must begin within so many bytes: deeper in an answer they are about something else.
pub const OPENING_BYTES: usize = 120;

/// What only a language model says of itself, anywhere in an answer.
pub const SPEAKERS: [&str; 58] = [
    "as an ai language model",
    "as an ai model",
    "as an ai assistant",
    "as an ai chatbot",
    "as an ai,",
    "as an ai i",
    "as an artificial intelligence,",
    "as an artificial intelligence i",
    "as a language model",
    "as a large language model",
    "i am an ai language model",
    "i'm an ai language model",
    "i am just an ai",
    "i'm just an ai",
    "i am only an ai",
    "i'm only an ai",
    "i am a language model",
    "i'm a language model",
    "i am a large language model",
    "i'm a large language model",
    "my knowledge cutoff",
    "my knowledge cut-off",
    "my training data",
    "as of my last update",
    "as of my last knowledge update",
    "my programming does not allow",
    "my programming prohibits",
    "against my programming",
    "trained by openai",
    "created by openai",
    "developed by openai",
    "openai's use policy",
    "openai's content policy",
    "als ki-sprachmodell",
    "als ki-modell",
    "als ki,",
    "als ki kann ich",
    "als ki habe ich",
    "als sprachmodell",
    "en tant qu'ia,",
    "en tant qu'intelligence artificielle",
    "en tant que modèle de langage",
    "en tant que modèle de langue",
    "como modelo de lenguaje",
    "como modelo de ia",
    "como ia, no",
    "como inteligencia artificial,",
    "in quanto modello linguistico",
    "come modello linguistico",
    "in quanto ia,",
    "como modelo de linguagem",
    "como um modelo de linguagem",
    "als ai-taalmodel",
    "als taalmodel",
    "jako model językowy",
    "как языковая модель",
    "как искусственный интеллект",
    "ai 언어 모델로서",
];

/// As before, in scripts without spaces.
pub const SPEAKERS_UNSPACED: [&str; 6] = [
    "作为一个人工智能",
    "作为人工智能语言模型",
    "作为一个ai",
    "作为ai语言模型",
    "ai言語モデルとして",
    "言語モデルとして、",
];

/// What refuses the whole request, at the beginning of an answer. "We cannot refund this" is an agent's answer and not here.
pub const REFUSALS: [&str; 46] = [
    "i cannot assist with",
    "i can't assist with",
    "i am unable to assist with",
    "i'm unable to assist with",
    "i am not able to assist with",
    "i'm not able to assist with",
    "i cannot help with that request",
    "i can't help with that request",
    "i cannot fulfill this request",
    "i can't fulfill this request",
    "i cannot fulfill that request",
    "i can't fulfill that request",
    "i cannot fulfill your request",
    "i can't fulfill your request",
    "i am unable to fulfill",
    "i'm unable to fulfill",
    "i cannot comply with",
    "i can't comply with",
    "i cannot provide assistance",
    "i can't provide assistance",
    "i cannot generate content",
    "i can't generate content",
    "i cannot create content",
    "i can't create content",
    "i cannot engage in",
    "i can't engage in",
    "i do not have personal opinions",
    "i don't have personal opinions",
    "i must decline",
    "i have to decline this request",
    "i'm sorry, but i cannot assist",
    "i'm sorry, but i can't assist",
    "i apologize, but i cannot",
    "i apologize, but i can't",
    "dabei kann ich nicht helfen",
    "dabei kann ich leider nicht helfen",
    "ich kann diese anfrage nicht",
    "je ne peux pas vous aider avec cette demande",
    "je ne peux pas répondre à cette demande",
    "no puedo ayudar con eso",
    "no puedo ayudarte con esa solicitud",
    "no puedo cumplir con esa solicitud",
    "non posso aiutarti con questa richiesta",
    "não posso ajudar com isso",
    "não posso atender a essa solicitação",
    "я не могу помочь с этим",
];

/// The phrase by which an answer refuses or speaks of itself as a model; `None` if it does neither.
#[must_use]
pub fn refusal(answer: &str) -> Option<&'static str> {
    let folded = folded(answer);
    let answer = folded.trim_start();
    let has = |phrase: &str, most: usize| {
        let mut found = answer.match_indices(phrase);
        found.any(|(at, _)| at <= most && is_whole(answer, &(at..at + phrase.len())))
    };
    let mut anywhere = SPEAKERS.into_iter().chain(SPEAKERS_UNSPACED);
    anywhere
        .find(|phrase| has(phrase, usize::MAX))
        .or_else(|| REFUSALS.into_iter().find(|phrase| has(phrase, OPENING_BYTES)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_found_at_the_beginning() {
        assert_eq!(refusal("I’m sorry, but I cannot assist with that."), Some("i cannot assist with"));
        assert_eq!(refusal("作为一个人工智能，我不能。"), Some("作为一个人工智能"));
        for answer in [
            "As an aid, use the table.",
            "I'm sorry, but we cannot refund this order.",
            "The report says that the assistant replied to the first three questions at length, and then, to the surprise of \
             all, it wrote: I cannot assist with this.",
            "",
        ] {
            assert_eq!(refusal(answer), None, "{answer}");
        }
    }
}
