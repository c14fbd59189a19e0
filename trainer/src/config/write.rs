//! A configuration as TOML, complete.

use std::fmt::Write;

use rtune_adapters::{Biases, Start};
use toml::Value;

use super::*;

/// Lines of a TOML document, a section at a time.
struct Document(String);

impl Document {
    fn section(&mut self, name: &str) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{gap}[{name}]");
    }

    fn line(&mut self, key: &str, value: impl Into<Value>) {
        let _ = writeln!(self.0, "{key} = {}", value.into());
    }

    fn count(&mut self, key: &str, value: u64) {
        // The reader admits no integer beyond TOML's.
        self.line(key, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn sources(&mut self, key: &str, sources: &[Source]) {
        self.line(key, sources.iter().map(source).collect::<Vec<Value>>());
    }

    fn typed<T: serde::Serialize + Default>(&mut self, section: &str, options: &T) {
        let lines = typed::lines(section, options);
        if !lines.is_empty() {
            self.section(section);
        }
        for (key, value) in lines {
            self.line(&key, value);
        }
    }
}

/// See [`Config::to_toml`].
pub(super) fn to_toml(config: &Config) -> String {
    let mut out = Document(String::new());
    model(&mut out, config);
    lora(&mut out, &config.lora, &config.tokens);
    data(&mut out, &config.data);
    train(&mut out, &config.train);
    out.section("checkpoint");
    out.count("every", config.checkpoint.every);
    out.count("keep", config.checkpoint.keep as u64);
    eval(&mut out, &config.eval);
    // Runs that were never to be promoted have the configuration that they had.
    if config.watchdog != WatchdogSection::default() {
        out.typed("watchdog", &config.watchdog);
    }
    if config.gate != GateSection::default() {
        out.typed("gate", &config.gate);
    }
    out.section("output");
    out.line("dir", config.output.dir.display().to_string());
    out.0
}

fn eval(out: &mut Document, eval: &EvalSection) {
    out.section("eval");
    out.count("every", eval.every);
    out.count("samples", eval.samples as u64);
    out.count("sample-tokens", eval.sample_tokens as u64);
    out.count("golden-rows", eval.golden_rows as u64);
    out.count("golden-tokens", eval.golden_tokens as u64);
    if !eval.labels.is_empty() {
        out.line("labels", eval.labels.clone());
    }
    out.line("general", eval.general);
    out.line("best", eval.best.clone());
    out.count("patience", eval.patience);
    out.line("least-improvement", eval.least_improvement);
}

fn model(out: &mut Document, config: &Config) {
    out.section("model");
    out.line("base", config.model.base.clone());
    if let Some(revision) = &config.model.revision {
        out.line("revision", revision.clone());
    }
    if !config.model.licences.is_empty() {
        out.line("licences", config.model.licences.clone());
    }
    out.line(
        "device",
        match config.model.device {
            Device::Auto => "auto",
            Device::Cpu => "cpu",
            Device::Cuda => "cuda",
        },
    );
    out.line(
        "embeddings",
        match config.model.embeddings {
            Embeddings::OnDevice => "device",
            Embeddings::OnHost => "host",
        },
    );
    out.line("cache-quantized", config.model.cache_quantized);
    out.section("quantization");
    match config.quantization {
        QuantizationSection::None => out.line("kind", "none"),
        QuantizationSection::Int8 => out.line("kind", "int8"),
        QuantizationSection::Nf4 { double } => {
            out.line("kind", "nf4");
            out.line("double", double);
        }
    }
}

fn lora(out: &mut Document, lora: &LoraSection, tokens: &TokensSection) {
    out.section("lora");
    if !tokens.new.is_empty() {
        out.line("new-tokens", tokens.new.clone());
    }
    let shape = match lora {
        LoraSection::From(from) => return out.line("from", from.display().to_string()),
        LoraSection::Full => return out.line("method", "full"),
        LoraSection::New(shape) => shape,
    };
    if !tokens.trainable.is_empty() {
        out.line("trainable-tokens", tokens.trainable.clone());
    }
    out.line("method", if shape.dora { "dora" } else { "lora" });
    out.count("rank", shape.rank as u64);
    out.line("alpha", shape.alpha);
    match &shape.targets {
        Targets::AllLinear => out.line("targets", "all-linear"),
        Targets::Names(names) => out.line("targets", names.clone()),
        Targets::Pattern(pattern) => out.line("targets", pattern.clone()),
    }
    if let Some(layers) = &shape.layers {
        // The reader admits no number of a block beyond TOML's.
        let layers: Vec<i64> = layers.iter().filter_map(|&layer| i64::try_from(layer).ok()).collect();
        out.line("layers", layers);
    }
    out.line(
        "scaling",
        match shape.scaling {
            Scaling::Standard => "standard",
            Scaling::RankStabilized => "rank-stabilized",
        },
    );
    out.line("dropout", shape.dropout);
    out.line(
        "init",
        match shape.start {
            Start::Drawn => "default",
            Start::Pissa => "pissa",
            Start::Loftq => "loftq",
        },
    );
    out.line(
        "bias",
        match shape.alongside.biases {
            Biases::None => "none",
            Biases::Adapted => "lora-only",
            Biases::All => "all",
        },
    );
    if !shape.alongside.modules.is_empty() {
        out.line("modules-to-save", shape.alongside.modules.clone());
    }
    let quoted = |name: &String| Value::String(name.clone()).to_string();
    out.section("lora.rank-pattern");
    for (name, rank) in &shape.rank_pattern {
        out.count(&quoted(name), *rank as u64);
    }
    out.section("lora.alpha-pattern");
    for (name, alpha) in &shape.alpha_pattern {
        out.line(&quoted(name), *alpha);
    }
}

fn data(out: &mut Document, data: &DataSection) {
    out.section("data");
    out.sources("train", &data.train);
    if !data.golden.is_empty() {
        out.sources("golden", &data.golden);
    }
    match &data.validation {
        Validation::None => out.line("validation", 0.0),
        Validation::Fraction(part) => out.line("validation", *part),
        Validation::Rows(rows) => out.count("validation", *rows as u64),
        Validation::Files(files) => out.sources("validation", files),
    }
    if let Some(template) = &data.template {
        out.line("template", template.display().to_string());
    }
    if let Some(date) = &data.template_date {
        out.line("template-date", date.clone());
    }
    out.count("max-tokens", data.max_tokens as u64);
    out.line(
        "over-long",
        match data.over_long {
            OverLong::Error => "error",
            OverLong::Drop => "drop",
            OverLong::TruncatePrompt => "truncate-prompt",
        },
    );
    out.line(
        "train-on",
        match data.train_on {
            TrainOn::All => "all",
            TrainOn::Last => "last",
        },
    );
    out.line("shuffle", data.shuffle);
    out.line(
        "bad-rows",
        match data.bad_rows {
            BadRows::Error => "error",
            BadRows::Drop => "drop",
        },
    );
    out.typed("data.normalise", &data.normalise);
    out.typed("data.privacy", &data.privacy);
    out.typed("data.filters", &data.filters);
    out.typed("data.clean", &data.clean);
    out.typed("data.labels", &data.labels);
    out.typed("data.leaks", &data.leaks);
}

/// A path where there is nothing else to say, else a table.
fn source(source: &Source) -> Value {
    let Source { path, format, fields, weight, share, licence, agents } = source;
    let path = Value::String(path.display().to_string());
    let mut table = toml::Table::from_iter([("path".to_owned(), path.clone())]);
    if let Some(format) = format {
        table.insert("format".to_owned(), format.name().into());
    }
    if !fields.is_empty() {
        table.insert(
            "fields".to_owned(),
            toml::Table::from_iter(fields.iter().map(|(k, v)| (k.clone(), v.clone().into()))).into(),
        );
    }
    if *weight != 1.0 {
        table.insert("weight".to_owned(), (*weight).into());
    }
    if *share != 1.0 {
        table.insert("share".to_owned(), (*share).into());
    }
    if let Some(licence) = licence {
        table.insert("licence".to_owned(), licence.clone().into());
    }
    if !agents.is_empty() {
        table.insert("agents".to_owned(), agents.clone().into());
    }
    if table.len() == 1 { path } else { table.into() }
}

fn train(out: &mut Document, train: &TrainSection) {
    out.section("train");
    match train.length {
        Length::Epochs(epochs) => out.count("epochs", epochs),
        Length::Steps(steps) => out.count("steps", steps),
    }
    match train.step_size {
        StepSize::Rows(rows) => out.count("rows-per-step", rows as u64),
        StepSize::Tokens(tokens) => out.count("tokens-per-step", tokens as u64),
    }
    out.count("micro-batch-tokens", train.micro_batch_tokens as u64);
    out.line("share-prefixes", train.share_prefixes);
    out.line("learning-rate", train.learning_rate);
    out.line("lora-plus-ratio", train.lora_plus_ratio);
    match train.schedule {
        Schedule::Linear => out.line("schedule", "linear"),
        Schedule::Constant => out.line("schedule", "constant"),
        Schedule::Cosine { minimum_ratio } => {
            out.line("schedule", "cosine");
            out.line("min-learning-rate-ratio", minimum_ratio);
        }
    }
    match train.warmup {
        Warmup::Steps(steps) => out.count("warmup", steps),
        Warmup::Fraction(part) => out.line("warmup", part),
    }
    out.line("weight-decay", train.weight_decay);
    out.line("beta1", train.beta1);
    out.line("beta2", train.beta2);
    out.line("epsilon", train.epsilon);
    out.line("max-grad-norm", train.max_grad_norm);
    out.line("neftune-alpha", train.neftune_alpha);
    out.count("seed", train.seed);
    match train.save_activations {
        SaveActivations::Auto => out.line("save-activations", "auto"),
        SaveActivations::All => out.line("save-activations", "all"),
        SaveActivations::InputOnly => out.line("save-activations", "input-only"),
        SaveActivations::Offloaded => out.line("save-activations", "offloaded"),
        SaveActivations::Last(last) => out.count("save-activations", last as u64),
    }
    if !train.without.is_empty() {
        out.line("without", train.without.clone());
    }
}
