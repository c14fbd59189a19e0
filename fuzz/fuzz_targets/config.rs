//! A configuration and, behind a zero byte, `--set` arguments, one a line: a configuration or problems, and one that is written reads as
//! the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rtune_trainer::config::{Config, ConfigError};

fuzz_target!(|input: &str| {
    let (text, arguments) = input.split_once('\0').unwrap_or((input, ""));
    let arguments: Vec<String> = arguments.lines().map(str::to_owned).collect();
    let config = match Config::parse("config.toml", text, &arguments) {
        Ok(config) => config,
        Err(error) => {
            let ConfigError::Problems(problems) = &error else { panic!("of a text: {error}") };
            assert!(!problems.0.is_empty() && !problems.to_string().is_empty());
            return;
        }
    };
    let written = config.to_toml();
    let again = Config::parse("config.toml", &written, &[]);
    let again = again.unwrap_or_else(|error| panic!("what was written is not read: {error}\n{written}"));
    assert_eq!(again, config, "{written}");
    assert_eq!(again.to_toml(), written);
    assert!(again.changes(&config).is_empty());
});
