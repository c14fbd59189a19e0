//! A promotion that is killed leaves the old version in use, wherever it was.

#![expect(clippy::print_stdout, reason = "how often a promotion was killed is for a person to see")]

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rtune_data::{stream, uniform_below};

use super::{LOOSE, current, promote, train, workplace};
use crate::workplace::Workplace;

/// Kills that must hit a living process.
const KILLS: usize = 20;
/// A machine that is so busy that this is not enough has another trouble.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

fn start(place: &Workplace) -> Child {
    let mut command = place.command(&["promote", "no", "--set", LOOSE, "--set", "gate.slices=false"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started")
}

/// `yes` is in use, and `no` may take its place.
fn ready() -> Workplace {
    let place = workplace();
    train(&place, "no", &["gate.non-inferior={checks=1.0}"]);
    promote(&place, "yes", &[]).succeeds();
    place
}

/// What a reader finds is whole, whatever is in use.
fn is_whole(place: &Workplace) -> String {
    let name = current(place);
    place.rtune(&["verify", "registry/current"]).succeeds();
    let ran = place.rtune(&["history"]);
    ran.succeeds();
    assert!(
        ran.stdout.trim_end().lines().last().is_some_and(|last| last.contains(&format!("-> {name} "))),
        "{}",
        ran.stdout
    );
    name
}

#[test]
fn kills_at_random_moments_leave_the_old_version() {
    let place = ready();
    let began = Instant::now();
    start(&place).wait().expect("ends");
    let duration = began.elapsed();
    assert_eq!(current(&place), "v0002");
    place.rtune(&["rollback"]).succeeds();
    let mut random = stream(1, "test", "promotion-kills", 0);
    let (mut kills, mut through) = (0, 0);
    while kills < KILLS {
        let before = current(&place);
        let mut child = start(&place);
        std::thread::sleep(Duration::from_micros(uniform_below(&mut random, duration.as_micros() as u64)));
        let was_alive = child.try_wait().expect("a child").is_none();
        child.kill().expect("killed");
        let status = child.wait().expect("ends");
        let now = is_whole(&place);
        if was_alive && status.code().is_none() {
            kills += 1;
            // The last step may have been done before the process ended.
            if now != before {
                through += 1;
                place.rtune(&["rollback", "v0001"]).succeeds();
            }
        } else {
            assert_eq!(status.code(), Some(0));
            place.rtune(&["rollback", "v0001"]).succeeds();
        }
    }
    start(&place).wait().expect("ends");
    assert_ne!(is_whole(&place), "v0001");
    let begun = fs::read_dir(place.path("registry/versions")).expect("there").flatten();
    assert!(begun.into_iter().all(|entry| !entry.file_name().to_string_lossy().starts_with('.')));
    println!("{KILLS} kills, {through} after the link had moved");
}

/// Kills at the moments that are the hardest: right when something new lies in the registry.
#[test]
fn kills_at_each_write_leave_the_old_version() {
    let place = ready();
    let moments = [
        "versions/.v0002.partial",
        "versions/.v0002.partial/artefact",
        "versions/.v0002.partial/eval/current.json",
        "versions/.v0002.partial/eval/candidate.json",
        "versions/.v0002.partial/decision.json",
        "versions/.v0002.partial/run/config.toml",
        "versions/.v0002.partial/run/manifest.json",
        "versions/.v0002.partial/rows.jsonl",
        "versions/.v0002.partial/version.json",
    ];
    let mut hits = 0;
    for moment in moments {
        let mut child = start(&place);
        let (began, path) = (Instant::now(), place.path("registry").join(moment));
        let mut was_seen = true;
        while fs::symlink_metadata(&path).is_err() {
            assert!(began.elapsed() < LONGEST_WAIT, "{moment} never comes");
            if child.try_wait().expect("a child").is_some() {
                // It was there and gone between two looks.
                was_seen = false;
                break;
            }
            std::hint::spin_loop();
        }
        child.kill().expect("killed");
        child.wait().expect("ends");
        hits += usize::from(was_seen);
        // Where the process was faster than the look, the promotion may be through.
        if is_whole(&place) != "v0001" {
            place.rtune(&["rollback", "v0001"]).succeeds();
        }
        let versions = fs::read_dir(place.path("registry/versions")).expect("there").flatten();
        for entry in versions.filter(|entry| entry.file_name() != "v0001") {
            fs::remove_dir_all(entry.path()).expect("removed");
        }
    }
    assert!(hits >= 5, "{hits} of {} moments were hit", moments.len());
    println!("{hits} of {} moments hit", moments.len());
}
