//! Jobs under a scheduler, and the container: what of them can be held against the program.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::training::assert_same;
use crate::workplace::{Ran, Workplace};

/// Long enough for a tiny run on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Slurm's script with a scheduler that writes down what it is told.
fn job(place: &Workplace) -> Child {
    let program = Path::new(env!("CARGO_BIN_EXE_rtune"));
    fs::create_dir_all(place.path("bin")).expect("made");
    let scontrol = place.path("bin/scontrol");
    fs::write(&scontrol, "#!/bin/sh\necho \"$@\" >> requeued\n").expect("written");
    fs::set_permissions(&scontrol, fs::Permissions::from_mode(0o755)).expect("set");
    let mut path = OsString::from(place.path("bin"));
    for folder in [
        program.parent().expect("a folder").as_os_str().to_owned(),
        std::env::var_os("PATH").unwrap_or_default(),
    ] {
        path.push(":");
        path.push(folder);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/jobs/slurm.sh");
    let mut command = Command::new("bash");
    place.settle(&mut command);
    command.arg(script).arg("config.toml").env("PATH", path).env("SLURM_JOB_ID", "17");
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &id]).status().expect("kill runs");
    assert!(sent.success(), "{name} to {id}");
}

fn wait_for(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < PATIENCE, "{} does not come", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Stopped by its scheduler after the first checkpoint, queued again, run to the end: the bytes of a run that was not.
#[test]
fn a_job_that_slurm_stops_is_queued_again_and_goes_on() {
    let steps = "steps = 400\n";
    let [place, whole] = [(); 2].map(|()| {
        let place = Workplace::new();
        let config = place.read("config.toml").replace("steps = 6\n", steps);
        place.write("config.toml", config.replace("every = 2\n", "every = 20\nkeep = 3\n"));
        place
    });
    let child = job(&place);
    wait_for(&place.path("run/checkpoints/step-000020"));
    signal(&child, "USR1");
    let ran = Ran::of(child.wait_with_output().expect("ends"));
    assert_eq!(ran.code, 143, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("stopped at step"), "{}", ran.stdout);
    assert_eq!(place.read("requeued"), "requeue 17\n");

    let ran = Ran::of(job(&place).wait_with_output().expect("ends"));
    ran.succeeds();
    assert_eq!(place.read("requeued"), "requeue 17\n", "a job that is done is not queued again");
    whole.train(&[]).succeeds();
    assert_same(&whole.path("run"), &place.path("run"));

    // A mistake is none that another attempt mends.
    place.write("config.toml", "[model]\n");
    assert_eq!(Ran::of(job(&place).wait_with_output().expect("ends")).code, 2);
    assert_eq!(place.read("requeued"), "requeue 17\n");
}

/// A first TERM of Slurm's goes to all processes of the job: the script must not send another, which would end the run unsaved.
#[test]
fn a_signal_to_the_whole_job_is_not_doubled() {
    let place = Workplace::new();
    let config = place.read("config.toml").replace("steps = 6\n", "steps = 4000\n");
    place.write("config.toml", config.replace("every = 2\n", "every = 3000\n"));
    let child = job(&place);
    wait_for(&place.path("run/metrics.jsonl"));
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let program = fs::read_to_string(children).expect("children").trim().to_owned();
    signal(&child, "TERM");
    let sent = Command::new("kill").args(["-s", "TERM", &program]).status().expect("kill runs");
    assert!(sent.success());
    let ran = Ran::of(child.wait_with_output().expect("ends"));
    assert_eq!(ran.code, 143, "{}\n{}", ran.stdout, ran.stderr);
    assert!(place.path("run/last").exists(), "saved: {}\n{}", ran.stdout, ran.stderr);
}

/// What the files say of the program, read off the program.
#[test]
fn container_and_jobs_say_what_the_program_does() {
    let container = file("Containerfile");
    let version = file("Cargo.toml");
    let version = version.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("a version");
    assert!(container.contains(&format!("rust:{}-slim", version.trim_matches('"'))), "{version}");
    let user = container.lines().find_map(|line| line.strip_prefix("USER ")).expect("a user");
    let pod = file("examples/jobs/kubernetes.yaml");
    let (user, group) = user.split_once(':').expect("a group");
    assert_ne!(user, "0");
    for line in [format!("runAsUser: {user}"), format!("runAsGroup: {group}"), format!("fsGroup: {group}")] {
        assert!(pod.contains(&line), "{line}");
    }
    let place = Workplace::new();
    let arguments = pod.lines().find_map(|line| line.trim().strip_prefix("args: [")).expect("arguments");
    let arguments: Vec<&str> = arguments.trim_end_matches(']').split(", ").collect();
    let own = arguments.iter().map(|argument| argument.strip_prefix("/rtune/").unwrap_or(argument));
    place.rtune(&own.collect::<Vec<_>>()).succeeds();
    assert!(place.path("run/last").exists());
    let failing = pod.lines().find_map(|line| line.trim().strip_prefix("values: [")).expect("codes");
    let code: i32 = failing.trim_end_matches(']').parse().expect("a code");
    place.rtune(&["train", "nothing.toml", "--resume"]).fails(code, &["nothing.toml"]);
}
