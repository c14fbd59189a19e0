//! What the keys of `[data]` and below are for.

use super::meanings::{Meaning, key, unset};

/// In the order of the configuration.
pub(super) const DATA: &[Meaning] = &[
    unset(
        "data.train",
        "",
        "Training rows: a path, a table, or a list of them. A path is a file, a folder or a pattern such as `data/**/*.jsonl.gz`; rows are `{\"instruction\", \"input\", \"output\"}`, `{\"messages\": [...]}` or another known form (docs/data.md), in JSONL, JSON, CSV, TSV, text, mbox, Zendesk or Intercom exports, plain, .gz or .zst. A table has a `path` and, as needed, `format`, `fields` (our field = theirs), `weight` (how often its rows count in an epoch), `share` (the part of its rows that is taken), `licence` and `agents` (whose mail is an answer).",
    ),
    unset(
        "data.golden",
        "no golden rows",
        "Rows that judge the model later, in any of the forms above. A golden row that is trained on is an error.",
    ),
    key(
        "data.validation",
        "What the loss is measured on: a part of the training rows (a share, or at the most so many: 2000), chosen by the hash of their content with near copies kept together, or files. 0.0 is no validation.",
    ),
    unset(
        "data.template",
        "the base's own template",
        "A chat template (Jinja) in place of the one that comes with the base.",
    ),
    unset(
        "data.template-date",
        "such a template has a date of its own",
        "The date that a template prints if it prints one (Llama 3.1's does). The template that is saved prints the same on every day.",
    ),
    key("data.max-tokens", "Longest row, in tokens."),
    key(
        "data.over-long",
        "What happens to a longer row: `error` names them all, `drop` leaves them out and counts them, `truncate-prompt` cuts the front of the prompt. An answer is never cut.",
    ),
    key("data.train-on", "Which answers of a conversation are learnt: every one or the last."),
    key("data.shuffle", "Give every epoch an order of its own; `false` keeps the order of the file."),
    key(
        "data.bad-rows",
        "What happens to a row that cannot be read: `error` names them all, `drop` leaves them out and counts them.",
    ),
    unset(
        "data.normalise.steps",
        "no step",
        "The steps that are on, whatever their order here: `html`, `control-characters`, `unicode`, `typography`, `quoted-replies`, `signatures`, `boilerplate`, `filler`, `contractions`, `terminology`, `spelling`, `white-space`.",
    ),
    unset(
        "data.normalise.parts",
        "each step's usual parts",
        "Where a step works (`system`, `input`, `answer`), in place of where it usually does: `{ html = [\"answer\"] }`.",
    ),
    key(
        "data.normalise.contractions",
        "With the step `contractions`: `expand` makes \"do not\" of \"don't\", `contract` the other way.",
    ),
    key(
        "data.normalise.quoted-replies.every-quote",
        "With the step `quoted-replies`: every line that begins with `>` goes, not only quotations of earlier mails.",
    ),
    key(
        "data.normalise.boilerplate.min-share",
        "With the step `boilerplate`: a line that stands in at least this share of the rows goes.",
    ),
    key(
        "data.normalise.boilerplate.max-share",
        "With the step `boilerplate`: a line that stands in more than this share of the rows is the set's own template, and stays.",
    ),
    key(
        "data.normalise.boilerplate.min-rows",
        "With the step `boilerplate`: a line that stands in fewer rows stays.",
    ),
    key(
        "data.normalise.boilerplate.leading-lines",
        "With the step `boilerplate`: the shared lines that a text begins with go as well; an instruction usually stands there.",
    ),
    unset(
        "data.normalise.terminology.file",
        "no terms",
        "With the step `terminology`: a CSV, TSV, TOML or JSONL file of terms and their preferred forms.",
    ),
    unset(
        "data.normalise.spelling.dictionary",
        "no dictionary",
        "With the step `spelling`: a Hunspell dictionary (words.dic, with words.aff beside it), or a list with a word a line.",
    ),
    key(
        "data.normalise.spelling.min-rows",
        "With the step `spelling`: a word that stands in at least so many rows is one of the set's own.",
    ),
    key(
        "data.privacy.mode",
        "What becomes of personal data and secrets: `off` looks for none, `report` counts them, `tag` writes `<EMAIL_ADDRESS>`, `numbered` `[EMAIL_1]`, `surrogate` a stand-in of the same kind, `hash` a salted hash, `mask` stars, `drop-row` drops the row.",
    ),
    key(
        "data.privacy.names",
        "Who finds names of persons: `off`, `rules`, or a model beside the rules: the alias `rampart`, a hub repository or a folder with a BERT token classifier.",
    ),
    unset(
        "data.privacy.entities",
        "those that are on by default",
        "What is looked for, by name: `[\"EMAIL_ADDRESS\", \"IBAN_CODE\"]`.",
    ),
    unset(
        "data.privacy.threshold",
        "`0.4`",
        "The least score of a finding, from 0 to 1: 1 takes what has a right checksum only.",
    ),
    unset(
        "data.privacy.allow",
        "nothing is allowed",
        "Texts that are nobody's: `[\"support@example.com\"]`.",
    ),
    unset(
        "data.privacy.context",
        "the built-in words",
        "Words that raise the score of an entity when they stand before it: `{ US_BANK_NUMBER = [\"payout\"] }`.",
    ),
    unset(
        "data.privacy.phone-regions",
        "US GB DE FR IL IN CA BR",
        "More regions whose phone numbers are known without a country code: `[\"ES\"]`.",
    ),
    key(
        "data.privacy.scope",
        "How far the same stand-in stands for the same text: through one row (`record`) or through all (`set`, which needs a salt).",
    ),
    unset(
        "data.privacy.salt-file",
        "no salt",
        "A file with the secret that hashes and stand-ins through the set are keyed by.",
    ),
    key("data.filters.empty-answer", "Drop rows whose answer shows nothing."),
    unset(
        "data.filters.min-prompt-characters",
        "the filter is off",
        "Drop rows whose prompt has fewer characters.",
    ),
    unset(
        "data.filters.max-prompt-characters",
        "the filter is off",
        "Drop rows whose prompt has more characters.",
    ),
    unset(
        "data.filters.min-answer-characters",
        "the filter is off",
        "Drop rows whose last answer has fewer characters.",
    ),
    unset(
        "data.filters.max-answer-characters",
        "the filter is off",
        "Drop rows whose last answer has more characters.",
    ),
    unset(
        "data.filters.mojibake",
        "the filter is off",
        "Drop rows with so many places of text read in the wrong encoding, or lost.",
    ),
    unset(
        "data.filters.symbols.max-symbols",
        "`0.5` where the filter is on",
        "Drop rows with a larger share of characters that are neither letters nor digits, in texts of 24 characters and more.",
    ),
    unset(
        "data.filters.symbols.max-digits",
        "`0.6` where the filter is on",
        "Drop rows with a larger share of digits.",
    ),
    unset(
        "data.filters.repetition.max-duplicate-lines",
        "`0.3` where the filter is on",
        "Drop rows where more of the characters stand in lines that stood before.",
    ),
    unset(
        "data.filters.repetition.max-top-words",
        "`0.2` where the filter is on",
        "Drop rows where one group of words makes up more of the characters.",
    ),
    unset(
        "data.filters.repetition.max-duplicate-words",
        "`0.3` where the filter is on",
        "Drop rows where more of the words stand in groups of five that stood before.",
    ),
    unset(
        "data.filters.repetition.max-run",
        "`0.4` where the filter is on",
        "Drop rows where one character or word in a row makes up more of the text.",
    ),
    unset(
        "data.filters.languages.allowed",
        "the filter is off",
        "Drop rows in other languages, by codes of two or three letters: `[\"en\", \"de\"]`. Short or doubtful texts stay.",
    ),
    unset(
        "data.filters.languages.min-letters",
        "`60` where the filter is on",
        "A text of fewer letters is of no certain language.",
    ),
    unset(
        "data.filters.languages.min-confidence",
        "`0.9` where the filter is on",
        "A text whose language is less sure, from 0 to 1, is of no certain language.",
    ),
    unset(
        "data.filters.copied-answer",
        "the filter is off",
        "Drop rows whose answer is like the prompt, from this likeness on (0 to 1).",
    ),
    unset(
        "data.filters.refusals.phrases",
        "the filter is off",
        "Drop rows that refuse or speak as a language model, by built-in phrases and these.",
    ),
    unset("data.filters.refusals.file", "no file", "A file with more such phrases, one a line."),
    unset(
        "data.filters.toxicity.built-in",
        "`true` where the filter is on",
        "Drop rows with words of the short list of slurs that comes with the program.",
    ),
    unset("data.filters.toxicity.file", "no file", "A file with more words or phrases, one a line."),
    unset(
        "data.filters.toxicity.min-words",
        "`1` where the filter is on",
        "So many of the words in one row drop it.",
    ),
    unset(
        "data.filters.toxicity.prompts",
        "`true` where the filter is on",
        "Whether what users write counts as well as the answers.",
    ),
    unset(
        "data.filters.max-perplexity.above",
        "the filter is off",
        "Drop rows on which the base's own perplexity is higher. It reads the base before training.",
    ),
    unset(
        "data.filters.max-perplexity.percentile",
        "the filter is off",
        "Keep the rows of least perplexity, so many of a hundred.",
    ),
    key(
        "data.clean.duplicates",
        "Rows that equal an earlier one, white space, case and punctuation aside, are removed or kept; they are counted either way.",
    ),
    unset(
        "data.clean.near-duplicates",
        "near duplicates stay",
        "The similarity (Jaccard index of character 5-grams, 0.5 to 1) from which one of two training rows goes; 0.8 is a good start.",
    ),
    key("data.clean.near-duplicates-keep", "Which of near duplicates stays: the `first` or the `longest`."),
    unset(
        "data.labels.max-share",
        "no label is capped",
        "In a set of labels: the largest share of the training rows that one label may have.",
    ),
    unset(
        "data.labels.max-rows-per-label",
        "no label is capped",
        "In a set of labels: the most training rows of one label.",
    ),
    key(
        "data.leaks.check",
        "Look for held-out rows that are trained on: golden rows, and validation rows from files.",
    ),
    key("data.leaks.similarity", "From which similarity a held-out prompt counts as trained on."),
    key("data.leaks.accept", "Held-out rows that may be trained on before it is an error."),
];
