//! Names: every key there is, what other tools call them, and which one a typing error meant.

/// Every key of a configuration, as `section.key`. Documentation and the tests walk this list.
pub const KEYS: &[&str] = &[
    "model.base",
    "model.revision",
    "model.device",
    "quantization.kind",
    "quantization.double",
    "lora.rank",
    "lora.alpha",
    "lora.targets",
    "lora.scaling",
    "lora.rank-pattern",
    "lora.alpha-pattern",
    "lora.from",
    "data.train",
    "data.golden",
    "data.validation",
    "data.template",
    "data.template-date",
    "data.max-tokens",
    "data.over-long",
    "data.train-on",
    "data.shuffle",
    "data.clean.duplicates",
    "train.epochs",
    "train.steps",
    "train.rows-per-step",
    "train.tokens-per-step",
    "train.micro-batch-tokens",
    "train.learning-rate",
    "train.schedule",
    "train.min-learning-rate-ratio",
    "train.warmup",
    "train.weight-decay",
    "train.beta1",
    "train.beta2",
    "train.epsilon",
    "train.max-grad-norm",
    "train.seed",
    "train.save-activations",
    "checkpoint.every",
    "checkpoint.keep",
    "eval.every",
    "output.dir",
];

/// What Axolotl (A), torchtune (T) and transformers or peft (H) call a thing, and what it is here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("base_model", "`model.base`"),
    ("base_model_config", "not needed: the configuration comes with `model.base`"),
    ("model_name_or_path", "`model.base`"),
    ("model_name", "`model.base`"),
    ("tokenizer", "not needed: the tokenizer comes with `model.base`"),
    ("tokenizer_config", "not needed: the tokenizer comes with `model.base`"),
    ("tokenizer_type", "not needed: the tokenizer comes with `model.base`"),
    ("load_in_4bit", "`quantization.kind = \"nf4\"`"),
    ("bnb_4bit_quant_type", "`quantization.kind`"),
    ("bnb_4bit_use_double_quant", "`quantization.double`"),
    ("quantize_base", "`quantization.kind = \"nf4\"`"),
    ("adapter", "not needed: the adapter is LoRA, and `quantization.kind` says how its base is held"),
    ("lora_r", "`lora.rank`"),
    ("lora_rank", "`lora.rank`"),
    ("r", "`lora.rank`"),
    ("lora_alpha", "`lora.alpha`"),
    ("lora_target_modules", "`lora.targets`"),
    ("target_modules", "`lora.targets`"),
    ("lora_attn_modules", "`lora.targets`"),
    ("apply_lora_to_mlp", "`lora.targets`, which names the linears"),
    ("lora_target_linear", "`lora.targets = \"all-linear\"`"),
    ("lora_rank_pattern", "`lora.rank-pattern`"),
    ("lora_alpha_pattern", "`lora.alpha-pattern`"),
    ("peft_use_rslora", "`lora.scaling = \"rank-stabilized\"`"),
    ("use_rslora", "`lora.scaling = \"rank-stabilized\"`"),
    ("lora_model_dir", "`lora.from`"),
    ("lora_dropout", "not here: adapters are trained without dropout, so leave the key out"),
    ("dropout", "not here: adapters are trained without dropout, so leave the key out"),
    ("datasets", "`data.train`"),
    ("dataset", "`data.train`"),
    ("train_file", "`data.train`"),
    ("test_datasets", "`data.validation`, as a list of files"),
    ("eval_dataset", "`data.validation`, as a list of files"),
    ("val_set_size", "`data.validation`, as a fraction"),
    ("val_size", "`data.validation`, as a fraction"),
    ("dataset_exact_deduplication", "`data.clean.duplicates`"),
    ("shuffle_merged_datasets", "`data.shuffle`"),
    ("chat_template", "`data.template`, a file; by default the base's own template is used"),
    ("chat_template_jinja", "`data.template`, a file; by default the base's own template is used"),
    ("train_on_inputs", "`data.train-on`: the loss is on answers"),
    ("train_on_eot", "`data.train-on`: the end-of-turn token is always part of the answer"),
    ("roles_to_train", "`data.train-on`: the loss is on the assistant's turns"),
    ("sequence_len", "`data.max-tokens`"),
    ("max_seq_len", "`data.max-tokens`"),
    ("max_seq_length", "`data.max-tokens`"),
    ("max_length", "`data.max-tokens`"),
    ("cutoff_len", "`data.max-tokens`"),
    ("excess_length_strategy", "`data.over-long`"),
    ("sample_packing", "not needed: rows are always packed, `train.micro-batch-tokens` at most in one"),
    ("packed", "not needed: rows are always packed, `train.micro-batch-tokens` at most in one"),
    ("pad_to_sequence_len", "not needed: rows are packed without padding"),
    ("micro_batch_size", "`train.rows-per-step` for the whole step, `train.micro-batch-tokens` for memory"),
    ("batch_size", "`train.rows-per-step` for the whole step, `train.micro-batch-tokens` for memory"),
    (
        "per_device_train_batch_size",
        "`train.rows-per-step` for the whole step, `train.micro-batch-tokens` for memory",
    ),
    ("gradient_accumulation_steps", "`train.rows-per-step`, which counts the rows of the whole step"),
    ("num_epochs", "`train.epochs`"),
    ("num_train_epochs", "`train.epochs`"),
    ("max_steps", "`train.steps`"),
    ("max_steps_per_epoch", "`train.steps`, which counts the whole run"),
    ("lr", "`train.learning-rate`"),
    ("learning_rate", "`train.learning-rate`"),
    ("lr_scheduler", "`train.schedule`"),
    ("lr_scheduler_type", "`train.schedule`"),
    ("cosine_min_lr_ratio", "`train.min-learning-rate-ratio`"),
    ("warmup_steps", "`train.warmup`, as an integer"),
    ("num_warmup_steps", "`train.warmup`, as an integer"),
    ("warmup_ratio", "`train.warmup`, as a fraction"),
    ("optimizer", "not needed: the optimizer is AdamW"),
    ("optim", "not needed: the optimizer is AdamW"),
    ("adam_beta1", "`train.beta1`"),
    ("adam_beta2", "`train.beta2`"),
    ("adam_epsilon", "`train.epsilon`"),
    ("clip_grad_norm", "`train.max-grad-norm`"),
    ("gradient_checkpointing", "`train.save-activations = \"input-only\"`"),
    ("enable_activation_checkpointing", "`train.save-activations = \"input-only\"`"),
    ("output_dir", "`output.dir`"),
    ("save_steps", "`checkpoint.every`"),
    ("save_total_limit", "`checkpoint.keep`"),
    ("eval_steps", "`eval.every`"),
    ("resume_from_checkpoint", "not a key: it is the option `--resume` of `rtune train`"),
    ("auto_resume_from_checkpoints", "not a key: it is the option `--resume` of `rtune train`"),
    ("logging_steps", "not needed: every step is a line of metrics.jsonl"),
    ("log_every_n_steps", "not needed: every step is a line of metrics.jsonl"),
    ("use_tensorboard", "not needed: the run folder always has TensorBoard files"),
];

/// A hint for an unknown key `path` (as written, with its section): another tool's name, the right section, or
/// the nearest name. `siblings` are the keys of the section it stands in.
pub(super) fn hint_for(path: &str, siblings: &[&str]) -> Option<String> {
    let last = path.rsplit('.').next().unwrap_or(path);
    let kebab = last.replace('_', "-").to_lowercase();
    if siblings.contains(&kebab.as_str()) {
        return Some(format!("write `{kebab}`"));
    }
    if let Some((_, ours)) = ELSEWHERE.iter().find(|(theirs, _)| *theirs == last.replace('-', "_")) {
        let says =
            if ours.starts_with('`') { format!("`{last}` is {ours} here") } else { (*ours).to_owned() };
        return Some(says);
    }
    let same_name = KEYS.iter().find(|key| key.rsplit('.').next() == Some(kebab.as_str()));
    if let Some(key) = same_name {
        return Some(format!("this key is `{key}`"));
    }
    let near_sibling = nearest(&kebab, siblings.iter().copied());
    if let Some(name) = near_sibling {
        return Some(format!("did you mean `{name}`?"));
    }
    let near = KEYS.iter().filter_map(|key| Some((distance(&kebab, key.rsplit('.').next()?), key)));
    let (edits, key) = near.min_by_key(|(edits, _)| *edits)?;
    (edits <= allowed(&kebab)).then(|| format!("did you mean `{key}`?"))
}

/// The candidate that a typing error in `word` most likely meant.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.map(|candidate| (distance(word, candidate), candidate));
    let (edits, candidate) = scored.min_by_key(|(edits, _)| *edits)?;
    (edits <= allowed(word)).then_some(candidate)
}

/// A third of the letters, at least one: beyond that a suggestion is noise.
fn allowed(word: &str) -> usize {
    (word.chars().count() / 3).max(1)
}

/// Edit distance in characters: insertions, deletions, replacements, and swaps of neighbours (Damerau 1964, each
/// place edited once).
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_by_hand() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("rank", "rank"), 0);
        assert_eq!(distance("rank", "rnak"), 1);
    }

    #[test]
    fn hints_name_the_key_meant() {
        assert_eq!(hint_for("lora_r", &["model"]).as_deref(), Some("`lora_r` is `lora.rank` here"));
        assert_eq!(hint_for("lora.rnak", &["rank", "alpha"]).as_deref(), Some("did you mean `rank`?"));
        assert_eq!(
            hint_for("train.learning_rate", &["learning-rate"]).as_deref(),
            Some("write `learning-rate`")
        );
        assert_eq!(
            hint_for("learning-rate", &["train"]).as_deref(),
            Some("`learning-rate` is `train.learning-rate` here")
        );
        assert_eq!(hint_for("epochs", &["train"]).as_deref(), Some("this key is `train.epochs`"));
        assert_eq!(hint_for("zzzzzzzzz", &["train"]), None);
    }

    #[test]
    fn every_key_named_in_a_hint_exists() {
        for (theirs, ours) in ELSEWHERE {
            let Some(key) = ours.strip_prefix('`') else { continue };
            let key = key.split(['`', ' ']).next().unwrap_or(key);
            assert!(KEYS.contains(&key), "{theirs} points to {key}");
        }
    }
}
