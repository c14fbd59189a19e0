//! Sets of which the examples stay on disk: a run of them is the run of any other.

use std::fs;

use rtune_data::PreparationCache;
use rtune_trainer::config::Config;
use rtune_trainer::inputs::{Inputs, Preparation};

use crate::training::{StopAfter, assert_same, run_of, run_until};
use crate::workplace::Workplace;

fn config(place: &Workplace) -> Config {
    let overrides = [
        format!("output.dir={}", place.path("run").display()),
        format!("data.train={}", place.path("train.jsonl").display()),
        "lora.dropout=0.1".to_owned(),
        "train.epochs=3".to_owned(),
        "train.rows-per-step=3".to_owned(),
    ];
    Config::load(&place.path("config.toml"), &overrides).expect("valid")
}

/// Inputs of which no training row stays in memory.
fn on_disk(place: &Workplace, config: &Config) -> Inputs {
    let cache = Some(PreparationCache::new(place.path("prepared")));
    let preparation = Preparation { cache, examples_bytes: Some(0), ..Preparation::default() };
    Inputs::prepare(config, &place.path("model"), &preparation, None).expect("inputs")
}

#[test]
fn a_run_of_rows_on_disk_gives_the_same_bytes() {
    let place = Workplace::new();
    let config = config(&place);
    run_until(&config, &place.path("model"), u64::MAX, false);
    fs::rename(place.path("run"), place.path("whole")).expect("renamed");
    let inputs = on_disk(&place, &config);
    let rows = &inputs.prepared.train;
    assert_eq!(rows.held_bytes(), 24 * rows.len());
    run_of(&inputs, &mut StopAfter { step: 2, done: 0 }, None, &config, false).expect("runs");
    // The second time from the cache.
    let inputs = on_disk(&place, &config);
    run_of(&inputs, &mut StopAfter { step: u64::MAX, done: 0 }, None, &config, true).expect("runs");
    assert_same(&place.path("whole"), &place.path("run"));
}

/// Rows that somebody else overwrites while they are trained on end the run; what was saved stays.
#[test]
fn rows_that_change_under_a_run_end_it() {
    let place = Workplace::new();
    let config = config(&place);
    let inputs = on_disk(&place, &config);
    run_of(&inputs, &mut StopAfter { step: 2, done: 0 }, None, &config, false).expect("runs");
    let file = fs::read_dir(place.path("prepared")).expect("a folder").next().expect("a file").expect("read");
    let bytes = fs::read(file.path()).expect("read");
    fs::write(file.path(), bytes.iter().map(|byte| byte ^ 1).collect::<Vec<_>>()).expect("written");
    let ended = run_of(&inputs, &mut StopAfter { step: u64::MAX, done: 0 }, None, &config, true);
    let error = ended.expect_err("no row is what it was");
    assert!(error.to_string().contains("is not what it was"), "{error}");
    assert!(place.path("run/last").exists());
}
