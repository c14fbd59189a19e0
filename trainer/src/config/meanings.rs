//! What every key is for, in a sentence or two. Types, ranges and defaults are not here: the readers know them.

use super::meanings_data::DATA;

/// A key's meaning.
pub(super) struct Meaning {
    pub(super) key: &'static str,
    /// Sentences, in Markdown.
    pub(super) text: &'static str,
    /// What holds where the key is left out, for keys that then have no value of their own.
    pub(super) unset: &'static str,
}

pub(super) const fn key(key: &'static str, text: &'static str) -> Meaning {
    Meaning { key, text, unset: "" }
}

/// A key that can be left out without having a value then.
pub(super) const fn unset(key: &'static str, unset: &'static str, text: &'static str) -> Meaning {
    Meaning { key, text, unset }
}

/// What a key is for; empty for a key that is none.
pub fn meaning(key: &str) -> &'static str {
    meanings().find(|one| one.key == key).map_or("", |one| one.text)
}

/// What each section is about.
pub(super) const SECTIONS: &[(&str, &str)] = &[
    ("model", "What is trained on, and where."),
    ("quantization", "How the frozen base is held in memory."),
    ("lora", "The matrices that are trained beside the base."),
    ("data", "What is learnt and what is held back."),
    ("data.normalise", "What is changed in the texts, each step on by name. Steps run in a fixed order."),
    ("data.normalise.quoted-replies", "Settings of that step."),
    ("data.normalise.boilerplate", "Settings of that step."),
    ("data.normalise.terminology", "Settings of that step."),
    ("data.normalise.spelling", "Settings of that step."),
    ("data.privacy", "What becomes of personal data and secrets."),
    (
        "data.filters",
        "Which rows are too poor. A filter is on where one of its keys stands; `symbols = {}` turns one on with its defaults.",
    ),
    ("data.filters.symbols", "Symbols and digits in place of words."),
    ("data.filters.repetition", "The same again and again."),
    ("data.filters.languages", "Other languages."),
    ("data.filters.refusals", "Refusals, and \"as a language model\"."),
    ("data.filters.toxicity", "Words of a list."),
    ("data.filters.max-perplexity", "Rows that the base finds incoherent."),
    ("data.clean", "What becomes of rows that equal or resemble others."),
    ("data.labels", "How many rows of one label stay, in sets where the answers are labels."),
    ("data.leaks", "What becomes of rows on both sides of the examination."),
    ("train", "The steps."),
    ("checkpoint", "What is saved, and how often."),
    ("eval", "When the held-out rows are looked at."),
    ("watchdog", "What becomes of steps that are not like the others. Their rows stand in metrics.jsonl."),
    (
        "gate",
        "What a model must be before `rtune promote` puts it in the place of the version in use. Training reads none of it but `sealed`.",
    ),
    ("output", "Where the run is written."),
];

/// Every key's meaning, in the order of the configuration.
pub(super) fn meanings() -> impl Iterator<Item = &'static Meaning> {
    BEFORE_DATA.iter().chain(DATA).chain(AFTER_DATA)
}

const BEFORE_DATA: &[Meaning] = &[
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
    unset(
        "model.licences",
        "any licence, and none",
        "The licences that a base may have, as the hub writes them: `[\"apache-2.0\", \"mit\"]`. A base with another one is refused before it is loaded, and so is one that says none, unless `\"unknown\"` is in the list.",
    ),
    key(
        "model.device",
        "Where the arithmetic is done: `cuda` (the first NVIDIA GPU; which one that is, CUDA_VISIBLE_DEVICES says), `cpu`, or `auto`: a GPU where there is one that does all that is asked for, else the processor.",
    ),
    key(
        "model.embeddings",
        "Where the embedding's rows are while a GPU computes: in its memory (`device`), or in the host's (`host`), of which each pass gets those of its tokens: a gigabyte less for a vocabulary of 128,000. An embedding that is the head too stays on the device. The bits are the same; the processor has them at hand anyway.",
    ),
    key(
        "model.cache-quantized",
        "Keep the base's linears once they are quantised to NF4, for the next run of the same base: in rtune's cache folder, named and checked by hash, the four newest. Pays with large bases, which take longer to quantise than to read.",
    ),
    key(
        "quantization.kind",
        "How the frozen base is held: `nf4` (4 bits a weight, QLoRA), `int8` (8 bits a weight and a scale a row, as bitsandbytes' 8-bit weights; inputs are not quantised) or `none` (as it is in the file).",
    ),
    key("quantization.double", "Quantise the scales of NF4 too: 0.4 bits a weight less."),
    key(
        "lora.method",
        "`lora` trains two narrow matrices beside each weight; `dora` the lengths of the rows of weight and matrices too (DoRA), which often learns more at a small rank and takes longer. `full` trains every number of the base and no adapter, which takes 16 bytes a number and needs `quantization.kind = \"none\"`: for small models.",
    ),
    key("lora.rank", "Inner width of the trained matrices: more learns more and costs more."),
    key("lora.alpha", "The adapter's output is scaled by alpha / rank. Left out, it is twice the rank."),
    key(
        "lora.targets",
        "Which linears get an adapter: all of the blocks, a list such as `[\"q_proj\", \"v_proj\"]`, or a regular expression for whole names such as `'.*(q|v)_proj'`. Experts are adapted only where they are named.",
    ),
    unset(
        "lora.layers",
        "all blocks",
        "Which blocks get adapters, from 0: `[0, 1, 2]`, or both ends of a range such as `\"16-31\"`.",
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
    key(
        "lora.dropout",
        "Probability that a number which the trained matrices read is left out while training: against learning by heart.",
    ),
    key(
        "lora.init",
        "How the matrices begin: `default` draws A and leaves B zero; `pissa` takes the largest singular values of each weight, off the base that is then quantised (PiSSA); `loftq` those of what quantising took from it (LoftQ). Both read every adapted weight once more before the first step.",
    ),
    key(
        "lora.bias",
        "Which biases of the base are trained too: `none`, `lora-only` (of the adapted linears) or `all` (those of norms as well).",
    ),
    unset(
        "lora.modules-to-save",
        "none",
        "Modules of the base that are trained whole beside the adapters, and saved with them, by name as in PEFT: `[\"embed_tokens\", \"lm_head\"]`, or a norm's.",
    ),
    unset(
        "lora.trainable-tokens",
        "none",
        "Tokens whose rows of embedding and head are trained, where all of both would be too much: `[\"<|im_start|>\"]`. The tokenizer has them.",
    ),
    unset(
        "lora.new-tokens",
        "none",
        "Special tokens that the tokenizer gets, and their rows, which begin as the mean of all rows and are trained: `[\"<|ticket|>\"]`. Beside `lora.from` those that its adapter was trained with, in the same order.",
    ),
    unset(
        "lora.from",
        "fresh matrices",
        "Start from an adapter that rtune or PEFT wrote, which also says rank, scale and targets: a folder such as `runs/last-quarter/best`.",
    ),
];

const AFTER_DATA: &[Meaning] = &[
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
    key(
        "train.share-prefixes",
        "Compute once what examples of a step begin with alike, up to what is learnt: losses and gradients are the same but for last bits. With `lora.dropout` or `train.neftune-alpha`, whose draws differ from row to row, nothing is shared.",
    ),
    key("train.learning-rate", "The highest learning rate. Small models bear more than large ones."),
    key(
        "train.lora-plus-ratio",
        "The learning rate of the matrices B (and of DoRA's lengths) over that of A (LoRA+, which takes 16 with half the learning rate).",
    ),
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
    key(
        "train.weight-decay",
        "AdamW's decoupled weight decay; biases and norms that are trained do not decay.",
    ),
    key("train.beta1", "AdamW's decay of the first moment."),
    key("train.beta2", "AdamW's decay of the second moment."),
    key("train.epsilon", "AdamW adds it to the root of the second moment."),
    key("train.max-grad-norm", "Longest gradient: longer ones are scaled down to it. 0 does not clip."),
    key(
        "train.neftune-alpha",
        "Uniform noise on the embeddings while training, up to alpha / sqrt(tokens x width) of a row (NEFTune, where 5 is usual). 0 is none.",
    ),
    key(
        "train.seed",
        "Every random draw comes from it. The same configuration, data and seed give the same bytes.",
    ),
    key(
        "train.save-activations",
        "What a layer keeps for its backward pass: everything (fast), its input only (less memory, one forward more), the same in the host's memory while a GPU computes (`offloaded`, least of its own), everything in so many of the last layers and the input in the others (a number), or what the memory there is has room for (`auto`). Gradients are the same to the bit.",
    ),
    unset(
        "train.without",
        "every row takes part",
        "Ids of training rows that take no part: their steps go on without them, and all else is as it was (what `rtune why --prove` trains with).",
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
    key(
        "eval.golden-rows",
        "Golden rows that are asked at every evaluation, a sample of `data.golden`: the figures of `rtune eval` while the run is under way. 0 is none.",
    ),
    key("eval.golden-tokens", "Most tokens of their answers."),
    unset(
        "eval.labels",
        "those that the golden rows say, if any",
        "The labels that the golden answers are chosen from: `[\"ham\", \"spam\"]`.",
    ),
    key(
        "eval.general",
        "Measure some 50 general skills that come with the program (arithmetic, facts, instructions, formats) at every evaluation, and warn where the model forgets them.",
    ),
    key(
        "eval.best",
        "The metric that chooses the best checkpoint: `validation-loss`, or of the golden rows any that `rtune eval` shows: `checks`, `exact-match`, `chrf`, `rouge-l`, `answer-nats` (the logarithm of the perplexity) and so on, `field-f1` where rows expect fields, `hallucination-rate` where they have a context, and of labels accuracies (`greedy-label`, `likeliest-label`), averages, and `f1-LABEL`, `recall-LABEL`, `precision-LABEL` of each.",
    ),
    key(
        "eval.patience",
        "The run ends early after so many evaluations in a row that did not improve that metric; the best checkpoint stays. 0 never ends early.",
    ),
    key(
        "eval.least-improvement",
        "What counts as an improvement there: more than this, in the unit of the metric.",
    ),
    unset(
        "watchdog.not-finite",
        "`\"stop\"`",
        "What becomes of a step whose loss or gradient is no number: the run stops (`stop`), the step is left out (`skip`), or it is left out and, where the next one is odd as well, what led there is undone, too (`roll-back`): the run goes back to a checkpoint and leaves out the step before them, then two, four and so on each time that it returns, as far as the last multiple of `checkpoint.every`. More than eight odd steps in a row end the run, and so does going back more than sixteen times; `--resume` counts on.",
    ),
    unset(
        "watchdog.spike",
        "`\"warn\"`",
        "What becomes of a step whose loss jumps (four standard deviations and a quarter above the mean of up to 32 steps before), or whose gradient is ten times as long as their median: `warn` says it, `stop`, `skip` and `roll-back` are as above.",
    ),
    unset(
        "gate.limits",
        "no limit",
        "The least value of a metric over the golden rows, or the most where less is better: `{ checks = 0.9, ter = 40 }`. The names are those of `eval.best`.",
    ),
    unset(
        "gate.must-improve",
        "none must",
        "Metrics that must be better than those of the version in use, by more than chance (`alpha`). The names are those of `rtune compare`.",
    ),
    unset(
        "gate.non-inferior",
        "none is looked at",
        "How much worse than the version in use a metric may be, in its unit: the whole interval of the difference must lie within, so that a few cases prove nothing: `{ chrf = 1.0 }`.",
    ),
    unset(
        "gate.slices",
        "`true`",
        "No slice of the golden rows may be worse by more than chance, by the first metric of the gate; one that is too small for that may not lose more than half.",
    ),
    unset(
        "gate.preferred",
        "nobody is asked",
        "The share of cases in which reviewers must prefer the candidate (`rtune promote --reviews FILE`), ties as half. The lower bound of its interval must reach it: `0.5` wants the candidate preferred by more than chance, `0.4` not much less liked.",
    ),
    unset(
        "gate.accept-leaks",
        "`0`",
        "Golden rows that may also be trained on. Whatever `data.leaks` was, training rows are held against the golden rows once more.",
    ),
    unset(
        "gate.red-team",
        "no suite is asked",
        "A suite of `rtune redteam`, or `starter` for the one that comes with the program: no item may fail that the version in use passes, and no canary may stand in a training row. A path leads, as those of data files, from where the program is started or from where the run was.",
    ),
    unset(
        "gate.sealed",
        "`false`",
        "Keeps one half of the golden rows, by a hash of what they ask, from every verb but `promote`, which counts how often it looks. A seal beside each golden file, `FILE.seal`, tells the other verbs; `train` and `promote` write it where there is none.",
    ),
    unset(
        "gate.ships",
        "`\"merged\"`",
        "What leaves, and is therefore what is asked: `merged` (a folder for transformers), `adapter` (beside the base as the run held it, by default in 4 bits), or a GGUF file such as `gguf-q4_k_m`.",
    ),
    unset("gate.alpha", "`0.05`", "How often two equal models may be called different."),
    unset(
        "gate.max-new-tokens",
        "`256`",
        "Most tokens of an answer to a golden row or an item of the suite.",
    ),
    unset(
        "output.dir",
        "",
        "The run folder: checkpoints, metrics, the resolved configuration, a manifest of hashes.",
    ),
];
