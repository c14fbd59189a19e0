//! The configuration's own tests.

use super::*;

const LEAST: &str = "[model]\nbase = \"m\"\n[data]\ntrain = \"t.jsonl\"\n[output]\ndir = \"runs/x\"\n";

fn problems(text: &str, overrides: &[&str]) -> String {
    let overrides: Vec<String> = overrides.iter().map(|argument| (*argument).to_owned()).collect();
    Config::parse("c.toml", text, &overrides).expect_err("has problems").to_string()
}

#[test]
fn the_least_configuration_has_defaults() {
    let config = Config::parse("c.toml", LEAST, &[]).expect("is valid");
    assert_eq!(config.train.length, Length::Epochs(3));
    let LoraSection::New(shape) = &config.lora else { panic!("fresh adapters") };
    assert_eq!((shape.rank, shape.alpha), (16, 32.0));
    assert_eq!(config.quantization, QuantizationSection::Nf4 { double: true });
}

#[test]
fn what_is_written_reads_back_to_the_same_value() {
    let rich = "[model]\nbase = \"a\\\"b\"\nrevision = \"main\"\n[quantization]\nkind = \"none\"\n\
        [lora]\nrank = 4\nalpha = 1e-7\ntargets = [\"q_proj\"]\nscaling = \"rank-stabilized\"\n\
        rank-pattern = { '^a\\.b$' = 8 }\nalpha-pattern = { \"x y\" = 0.1 }\n\
        [data]\ntrain = [\"a.jsonl\", \"b.jsonl\"]\ngolden = \"g.jsonl\"\nvalidation = \"v.jsonl\"\n\
        template = \"t.jinja\"\nover-long = \"drop\"\ntrain-on = \"last\"\nshuffle = false\n\
        clean.duplicates = \"keep\"\n[train]\nsteps = 7\ntokens-per-step = 9\nschedule = \"cosine\"\n\
        min-learning-rate-ratio = 0.1\nwarmup = 3\nseed = 9223372036854775807\nlearning-rate = 1\n\
        [output]\ndir = \"r\"\n";
    let counted = LEAST.replace("[data]", "[data]\nvalidation = 2000");
    for text in [LEAST, rich, &counted, &LEAST.replace("[data]", "[lora]\nfrom = \"adapter\"\n[data]")] {
        let config = Config::parse("c.toml", text, &[]).expect("is valid");
        let written = config.to_toml();
        let again = Config::parse("config.toml", &written, &[]).expect("what we write is valid");
        assert_eq!(again, config, "{written}");
        assert_eq!(again.to_toml(), written);
    }
}

#[test]
fn all_problems_are_reported_at_once_with_their_places() {
    let text = "lora_r = 8\n[model]\nbase = 3\n[lora]\nrnak = 4\nalpha = -1\n[train]\nepochs = 1\nsteps = 2\n\
        schedule = \"cosin\"\n[data]\ntrain = []\n[output]\ndir = \"r\"\n";
    assert_eq!(
        problems(text, &[]),
        "the configuration has 7 problems\
        \n  c.toml:1:1: unknown key `lora_r`\
        \n    hint: `lora_r` is `lora.rank` here\
        \n  c.toml:3:8: `model.base`: expected a string that is not empty, found the integer 3\
        \n  c.toml:6:9: `lora.alpha`: expected a number above 0, found the integer -1\
        \n  c.toml:5:1: unknown key `lora.rnak`\
        \n    hint: did you mean `rank`?\
        \n  c.toml:12:9: `data.train`: expected a path, a table with a `path`, or a list of them, found an empty list\
        \n  c.toml:9:1: `train.steps` contradicts `train.epochs`\
        \n    hint: a run is so many epochs or so many steps: leave out one\
        \n  c.toml:10:12: `train.schedule`: expected \"linear\" or \"cosine\" or \"constant\", found the string \"cosin\"\
        \n    hint: did you mean `cosine`?"
    );
}

#[test]
fn validation_is_a_share_or_a_number_of_rows() {
    let read = |value: &str| Config::parse("c.toml", LEAST, &[format!("data.validation={value}")]);
    for (value, expected) in [
        ("0", Validation::None),
        ("0.0", Validation::None),
        ("0.25", Validation::Fraction(0.25)),
        ("2", Validation::Rows(2)),
        ("2000", Validation::Rows(2000)),
    ] {
        assert_eq!(read(value).expect("it is valid").data.validation, expected, "{value}");
    }
    for value in ["1", "1.0", "-0.1", "-3", "2.5", "nan", "inf", "1e300"] {
        let problem = read(value).expect_err("it is none").to_string();
        assert!(
            problem.contains("`data.validation`: expected a fraction from 0 (none)"),
            "{value}: {problem}"
        );
    }
}

#[test]
fn missing_keys_say_what_to_write() {
    let text = problems("", &[]);
    assert!(text.starts_with("the configuration has 3 problems"), "{text}");
    assert!(
        text.contains("c.toml: expected the key `data.train`, found none\n    hint: for example"),
        "{text}"
    );
}

#[test]
fn syntax_errors_have_places_too() {
    let text = problems("[model]\nbase = \n[data\n", &[]);
    assert!(text.contains("c.toml:2:") && text.contains("c.toml:3:"), "{text}");
}

#[test]
fn overrides_replace_and_are_checked_alike() {
    let set = |argument: &str| Config::parse("c.toml", LEAST, &[argument.to_owned()]);
    assert_eq!(set("model.base=org/name").expect("valid").model.base, "org/name");
    assert_eq!(set("train.learning-rate=1e-3").expect("valid").train.learning_rate, 1e-3);
    assert_eq!(set("data.train=[\"a\", \"b\"]").expect("valid").data.train.len(), 2);
    assert_eq!(
        problems(LEAST, &["train.epochs=many", "train.epohcs=1", "x", "model.base.y=1"]),
        "the configuration has 4 problems\
        \n  --set x: expected `key=value`, found no `=`\
        \n    hint: for example `--set train.steps=20`\
        \n  --set model.base.y=1: `base` is the string \"m\", expected a table\
        \n    hint: leave out what follows the last dot\
        \n  --set train.epochs=many: `train.epochs`: expected an integer from 1 to 100000, found the string \"many\"\
        \n  --set train.epohcs=1: unknown key `train.epohcs`\
        \n    hint: did you mean `epochs`?"
    );
}

#[test]
fn an_override_takes_the_place_of_its_rival_in_the_file() {
    let text = format!("{LEAST}[train]\nepochs = 2\nrows-per-step = 4\n");
    let arguments = ["train.steps=7", "train.tokens-per-step=99"].map(str::to_owned);
    let train = Config::parse("c.toml", &text, &arguments).expect("valid").train;
    assert_eq!((train.length, train.step_size), (Length::Steps(7), StepSize::Tokens(99)));
    let both = problems(&text, &["train.steps=7", "train.epochs=1"]);
    assert!(both.contains("`train.steps` contradicts `train.epochs`"), "{both}");
}

#[test]
fn what_contradicts_is_refused() {
    for (section, line) in [
        ("[quantization]", "kind = \"none\"\ndouble = true"),
        ("[lora]", "from = \"a\"\nrank = 4"),
        ("[train]", "rows-per-step = 1\ntokens-per-step = 1"),
        ("[train]", "min-learning-rate-ratio = 0.1"),
    ] {
        let text = problems(&format!("{LEAST}{section}\n{line}\n"), &[]);
        assert!(text.contains("contradicts"), "{text}");
    }
}

/// What a run wrote says every key: an override takes back what it leaves no meaning.
#[test]
fn an_override_takes_back_what_contradicts_it_in_the_file() {
    let written = |overrides: &[&str]| {
        let overrides: Vec<String> = overrides.iter().map(|&one| one.to_owned()).collect();
        Config::parse("c.toml", LEAST, &overrides).expect("valid").to_toml()
    };
    let with = |text: &str, argument: &str| {
        Config::parse("run/config.toml", text, &[argument.to_owned()])
            .unwrap_or_else(|error| panic!("{argument}: {error}"))
    };
    let run = written(&["train.schedule=cosine", "train.min-learning-rate-ratio=0.1"]);
    assert_eq!(with(&run, "quantization.kind=none").quantization, QuantizationSection::None);
    assert_eq!(with(&run, "quantization.kind=int8").quantization, QuantizationSection::Int8);
    let held = written(&["quantization.double=false"]);
    assert_eq!(with(&held, "quantization.kind=nf4").quantization, QuantizationSection::Nf4 { double: false });
    assert_eq!(with(&run, "train.schedule=linear").train.schedule, Schedule::Linear);
    let kept = with(&run, "train.schedule=cosine").train.schedule;
    assert_eq!(kept, Schedule::Cosine { minimum_ratio: 0.1 });
    assert_eq!(with(&run, "lora.from=a").lora, LoraSection::From("a".into()));
    assert_eq!(with(&written(&["quantization.kind=none"]), "lora.method=full").lora, LoraSection::Full);
    // Of two overrides neither is taken back.
    let both = problems(&run, &["quantization.double=true", "quantization.kind=none"]);
    assert!(both.contains("`quantization.double` contradicts `quantization.kind"), "{both}");
}

#[test]
fn the_list_of_keys_is_what_the_readers_take() {
    for key in KEYS {
        let table = format!("{key}=[[]]");
        let text = problems(LEAST, &[&table]);
        assert!(!text.contains("unknown key"), "{key}: {text}");
    }
}

#[test]
fn differences_name_the_keys() {
    let began = Config::parse("c.toml", LEAST, &[]).expect("valid");
    let arguments = ["output.dir=elsewhere", "train.seed=7", "quantization.kind=none"].map(str::to_owned);
    let now = Config::parse("c.toml", LEAST, &arguments).expect("valid");
    assert_eq!(
        now.differences(&began),
        [
            "`quantization.double` was true, is nothing",
            "`quantization.kind` was \"nf4\", is \"none\"",
            "`train.seed` was 0, is 7"
        ]
    );
    assert!(began.differences(&began).is_empty());
}

#[test]
fn every_configuration_of_the_project_loads_and_names_its_command() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("there") {
        let path = entry.expect("readable").path();
        let text = std::fs::read_to_string(&path).expect("readable");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        Config::load(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
        let command = format!("# cargo run --release -- train configs/{name}\n");
        assert!(text.starts_with(&command), "{name} begins with its command");
        count += 1;
    }
    assert!(count >= 2);
}

/// The commented example is the reference of the keys: it shows each, and what it does not say of a default is one.
#[test]
fn the_example_shows_every_key_and_its_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/support-bot.toml");
    let text = std::fs::read_to_string(&path).expect("readable");
    let mut section = String::new();
    let mut shown = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        }
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some((key, _)) = line.split_once(" = ") {
            shown.push(format!("{section}.{key}"));
        }
    }
    for key in KEYS {
        assert!(shown.iter().any(|name| name == key), "{key} is not shown");
    }
    let example = Config::load(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
    let least = LEAST
        .replace("\"m\"", "\"smollm2-135m-instruct\"")
        .replace("t.jsonl", "examples/support-bot/train.jsonl");
    let golden = "data.golden=examples/support-bot/golden.jsonl".to_owned();
    let defaults = Config::parse("c.toml", &least, &[golden]).expect("valid");
    assert_eq!(
        example.differences(&defaults),
        ["`train.epochs` was 3, is 1", "`train.learning-rate` was 0.0002, is 0.001"]
    );
}
