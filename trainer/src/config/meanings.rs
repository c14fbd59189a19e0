//! What every key is for, in a sentence or two. Types, ranges and defaults are not here: the readers know them.

/// A key's meaning.
pub(super) struct Meaning {
    pub(super) key: &'static str,
    /// Sentences, in Markdown.
    pub(super) text: &'static str,
    /// What holds where the key is left out, for keys that then have no value of their own.
    pub(super) unset: &'static str,
}

const fn key(key: &'static str, text: &'static str) -> Meaning {
    Meaning { key, text, unset: "" }
}

/// A key that can be left out without having a value then.
const fn unset(key: &'static str, unset: &'static str, text: &'static str) -> Meaning {
    Meaning { key, text, unset }
}

/// What a key is for; empty for a key that is none.
pub fn meaning(key: &str) -> &'static str {
    MEANINGS.iter().find(|one| one.key == key).map_or("", |one| one.text)
}

/// What each section is about.
pub(super) const SECTIONS: &[(&str, &str)] = &[
    ("model", "What is trained on, and where."),
    ("quantization", "How the frozen base is held in memory."),
    ("lora", "The matrices that are trained beside the base."),
    ("data", "What is learnt and what is held back."),
    ("data.clean", "What is taken out of the rows before they are used."),
    ("train", "The steps."),
    ("checkpoint", "What is saved, and how often."),
    ("eval", "When the held-out rows are looked at."),
    ("output", "Where the run is written."),
];

/// In the order of the configuration.
pub(super) const MEANINGS: &[Meaning] = &[
    unset(
        "model.base",
        "",
        "What is trained on: an alias, a Hugging Face repository such as `HuggingFaceTB/SmolLM2-135M-Instruct`, a folder with config.json, tokenizer.json and *.safetensors, or a .gguf file.",
    ),
    unset(
        "model.revision",
        "the main branch",
        "Branch, tag or commit of a Hugging Face repository. Not for an alias, which is one file.",
    ),
    key(
        "model.device",
        "Where the arithmetic is done: the best device there is (`auto`), or the processor. This version has an engine for the processor only.",
    ),
    key(
        "quantization.kind",
        "How the frozen base is held: `nf4` (4 bits a weight, QLoRA) or `none` (as it is in the file).",
    ),
    key("quantization.double", "Quantise the scales of NF4 too: 0.4 bits a weight less."),
    key("lora.rank", "Inner width of the trained matrices: more learns more and costs more."),
    key("lora.alpha", "The adapter's output is scaled by alpha / rank. Left out, it is twice the rank."),
    key(
        "lora.targets",
        "Which linears get an adapter: all of the blocks, or a list such as `[\"q_proj\", \"v_proj\"]`.",
    ),
    key("lora.scaling", "`standard` scales by alpha / rank, `rank-stabilized` by alpha / sqrt(rank)."),
    unset(
        "lora.rank-pattern",
        "no exceptions",
        "Other ranks for some linears, by name or regular expression as in PEFT: `{ \"down_proj\" = 8 }`.",
    ),
    unset(
        "lora.alpha-pattern",
        "no exceptions",
        "Other alphas for some linears, by name or regular expression as in PEFT: `{ \"down_proj\" = 16 }`.",
    ),
    unset(
        "lora.from",
        "fresh matrices",
        "Start from an adapter that rtune or PEFT wrote, which also says rank, scale and targets: a folder such as `runs/last-quarter/best`.",
    ),
    unset(
        "data.train",
        "",
        "JSONL files, or folders of them: `{\"instruction\", \"input\", \"output\"}` or `{\"messages\": [...]}` a line.",
    ),
    unset(
        "data.golden",
        "no golden rows",
        "Files of rows that judge the model later. A training row that equals one of them is an error.",
    ),
    key(
        "data.validation",
        "What the loss is measured on: a part of the training rows, chosen by the hash of their content, or files. 0.0 is no validation.",
    ),
    unset(
        "data.template",
        "the base's own template",
        "A chat template (Jinja) in place of the one that comes with the base.",
    ),
    unset(
        "data.template-date",
        "such a template has a date of its own",
        "The date that a template prints if it prints one (Llama 3.1's does).",
    ),
    key("data.max-tokens", "Longest row, in tokens."),
    key(
        "data.over-long",
        "What happens to a longer row: `error` names them all, `drop` leaves them out and counts them, `truncate-prompt` cuts the front of the prompt. An answer is never cut.",
    ),
    key("data.train-on", "Which answers of a conversation are learnt: every one or the last."),
    key("data.shuffle", "Give every epoch an order of its own; `false` keeps the order of the file."),
    key(
        "data.clean.duplicates",
        "Exact duplicates are removed, but for the first, or kept; they are counted either way.",
    ),
    key("train.epochs", "Length of the run, in times through the rows."),
    unset(
        "train.steps",
        "`train.epochs` counts",
        "Length of the run in steps, in the place of `train.epochs`.",
    ),
    key("train.rows-per-step", "Rows that a step learns from, whatever fits into memory at once."),
    unset(
        "train.tokens-per-step",
        "`train.rows-per-step` counts",
        "Size of a step in tokens, about, in the place of `train.rows-per-step`.",
    ),
    key(
        "train.micro-batch-tokens",
        "Most tokens in memory at once. A step that has more is done in parts, with the same result.",
    ),
    key("train.learning-rate", "The highest learning rate. Small models bear more than large ones."),
    key(
        "train.schedule",
        "How the learning rate falls after the warm-up: in a line to zero, as half a cosine, or not at all.",
    ),
    unset(
        "train.min-learning-rate-ratio",
        "0.0 with `cosine`",
        "With `train.schedule = \"cosine\"`: the last learning rate as a part of the highest.",
    ),
    key(
        "train.warmup",
        "How long the learning rate rises: an integer is steps, a number such as 0.05 a part of all steps.",
    ),
    key("train.weight-decay", "AdamW's decoupled weight decay."),
    key("train.beta1", "AdamW's decay of the first moment."),
    key("train.beta2", "AdamW's decay of the second moment."),
    key("train.epsilon", "AdamW adds it to the root of the second moment."),
    key("train.max-grad-norm", "Longest gradient: longer ones are scaled down to it. 0 does not clip."),
    key(
        "train.seed",
        "Every random draw comes from it. The same configuration, data and seed give the same bytes.",
    ),
    key(
        "train.save-activations",
        "What a layer keeps for its backward pass: everything (fast), its input only (least memory, one forward more), or one of them by the memory there is (`auto`). Gradients are the same to the bit.",
    ),
    key(
        "checkpoint.every",
        "Steps between checkpoints. There is always one before the first step and one after the last.",
    ),
    key("checkpoint.keep", "Newest checkpoints kept; the best is always kept besides."),
    key(
        "eval.every",
        "Steps between evaluations on the validation rows. The base is always evaluated first.",
    ),
    key(
        "eval.samples",
        "Held-out prompts that are answered at every evaluation, greedily: the answers stand in the log and in TensorBoard. 0 is none.",
    ),
    key("eval.sample-tokens", "Most tokens of such an answer."),
    unset(
        "output.dir",
        "",
        "The run folder: checkpoints, metrics, the resolved configuration, a manifest of hashes.",
    ),
];
