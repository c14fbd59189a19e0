//! Where the tensors of a text model stand in a model that sees besides, whose text part it is.
//!
//! Source: Gemma 3 in transformers, `Gemma3ForConditionalGeneration`, whose `base_model_prefix` changed with 4.52.

/// What the names of the text part's tensors begin with in models that see besides, and in text models: as transformers up to 4.51 had
/// them and files on the hub have them, and as its classes have them since.
const TEXT_PARTS: [(&str, &str); 3] =
    [("language_model.model.", "model."), ("language_model.lm_head.", "lm_head."), (SINCE, "model.")];
/// What a text model's `model.` is called since 4.52.
const SINCE: &str = "model.language_model.";

/// What the names of the parts that see begin with, in both.
const OTHER_PARTS: [&str; 4] =
    ["vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."];

/// Whether a tensor is one of the parts that see, which compute nothing where there are no pictures.
#[must_use]
pub fn is_of_other_part(name: &str) -> bool {
    OTHER_PARTS.iter().any(|part| name.starts_with(part))
}

/// The name that a tensor or module of the text part has in a text model; `None` for what is called so nowhere else.
#[must_use]
pub fn in_text_model(name: &str) -> Option<String> {
    TEXT_PARTS.iter().find_map(|(part, plain)| Some(format!("{plain}{}", name.strip_prefix(part)?)))
}

/// The name that a tensor or module of a text model has in the classes of transformers 4.52 and later that see besides; the head's is
/// the same there.
#[must_use]
pub fn in_whole_model(name: &str) -> String {
    name.strip_prefix("model.").map_or_else(|| name.to_owned(), |rest| format!("{SINCE}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for name in ["model.layers.0.self_attn.q_proj.lora_A.weight", "model.norm.weight"] {
            let there = in_whole_model(name);
            assert!(there.starts_with("model.language_model."), "{there}");
            assert_eq!(in_text_model(&there).as_deref(), Some(name));
        }
        assert_eq!(in_whole_model("lm_head.weight"), "lm_head.weight");
        assert_eq!(in_text_model("lm_head.weight"), None);
        assert_eq!(in_text_model("model.layers.0.mlp.up_proj"), None);
        assert_eq!(in_text_model("language_model.model.norm").as_deref(), Some("model.norm"));
        assert_eq!(in_text_model("model.vision_tower.encoder.layers.0"), None);
        assert!(is_of_other_part("model.vision_tower.encoder.layers.0"));
        assert!(!is_of_other_part("model.layers.0"));
    }
}
