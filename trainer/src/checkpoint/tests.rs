//! Checkpoints on a real disk.

use super::*;

fn state(step: u64, best: Option<u64>) -> State {
    let best = best.map(|step| Best { step, metric: "validation-loss".to_owned(), value: 0.1 + 0.2 });
    State { step, best, ..State::start() }
}

fn write(checkpoints: &Checkpoints, state: &State) -> PathBuf {
    checkpoints
        .write(state, |folder| -> Result<(), TrainerError> {
            Ok(files::write_whole(&folder.join("a.bin"), b"a")?)
        })
        .expect("written")
}

fn newest(checkpoints: &Checkpoints) -> Option<Checkpoint> {
    checkpoints.newest(None).expect("readable").checkpoint
}

#[test]
fn what_is_written_is_read_back_and_pointed_at() {
    let run = tempfile::tempdir().expect("a folder");
    let checkpoints = Checkpoints::of(run.path());
    assert_eq!(newest(&checkpoints), None);
    write(&checkpoints, &state(0, Some(0)));
    let folder = write(&checkpoints, &state(20, Some(0)));
    let last = newest(&checkpoints).expect("there");
    assert_eq!(last, Checkpoint { folder, state: state(20, Some(0)) });
    let link = |name: &str| fs::read_link(run.path().join(name)).expect("a link");
    assert_eq!(link("last"), Path::new("checkpoints/step-000020"));
    assert_eq!(link("best"), Path::new("checkpoints/step-000000"));
}

#[test]
fn pruning_keeps_the_newest_and_the_best() {
    let run = tempfile::tempdir().expect("a folder");
    let checkpoints = Checkpoints::of(run.path());
    for step in 0..6 {
        write(&checkpoints, &state(step, Some(1)));
    }
    checkpoints.prune(2, 1, Some(1), &[]).expect("removed");
    assert_eq!(checkpoints.steps().expect("readable"), [1, 4, 5]);
    checkpoints.prune(1, 1, Some(1), &[4]).expect("removed");
    assert_eq!(checkpoints.steps().expect("readable"), [1, 4, 5], "a run may go back to 4");
    assert_eq!(checkpoints.needed_for(4), [4, 1], "with what is the best there");
    assert_eq!(checkpoints.needed_for(3), [3], "that is gone");
    checkpoints.prune(1, 1, Some(1), &[]).expect("removed");
    assert_eq!(checkpoints.steps().expect("readable"), [1, 5]);
}

#[test]
fn a_damaged_one_costs_no_whole_one_after_it() {
    let run = tempfile::tempdir().expect("a folder");
    let checkpoints = Checkpoints::of(run.path());
    for step in [0, 2, 4, 6] {
        write(&checkpoints, &state(step, Some(0)));
    }
    fs::write(checkpoints.folder(2).join("a.bin"), b"b").expect("written");
    let found = checkpoints.newest(None).expect("readable");
    assert_eq!(found.checkpoint.expect("whole").state.step, 6);
    assert!(matches!(found.damaged.as_slice(), [(2, TrainerError::Altered { .. })]));
    let before =
        |step| checkpoints.newest(Some(step)).expect("readable").checkpoint.map(|one| one.state.step);
    assert_eq!([before(6), before(4), before(0)], [Some(4), Some(0), None]);
    checkpoints.remove(2).expect("removed");
    assert_eq!(checkpoints.steps().expect("readable"), [0, 4, 6]);
}

#[test]
fn another_state_leaves_the_numbers_as_they_are() {
    let run = tempfile::tempdir().expect("a folder");
    let checkpoints = Checkpoints::of(run.path());
    for step in [2, 4] {
        write(&checkpoints, &state(step, Some(2)));
    }
    checkpoints.write_state(&state(4, Some(4))).expect("written");
    let last = newest(&checkpoints).expect("whole");
    assert_eq!(last.state, state(4, Some(4)));
    assert_eq!(fs::read(last.folder.join("a.bin")).expect("there"), b"a");
    let best = || fs::read_link(run.path().join("best"));
    assert_eq!(best().expect("a link"), Path::new("checkpoints/step-000004"));
    checkpoints.write_state(&state(4, None)).expect("written");
    best().expect_err("nothing is the best");
}

/// What a kill between two system calls leaves when a checkpoint is replaced: each is a state to go on from.
#[test]
fn a_checkpoint_is_replaced_without_a_half() {
    let run = tempfile::tempdir().expect("a folder");
    let checkpoints = Checkpoints::of(run.path());
    write(&checkpoints, &state(4, None));
    let folder = write(&checkpoints, &state(4, Some(4)));
    assert_eq!(newest(&checkpoints).expect("whole").state, state(4, Some(4)));
    assert_eq!(fs::read_dir(run.path().join("checkpoints")).expect("there").count(), 1);
    let aside = run.path().join("checkpoints/.step-000004.replaced.partial");
    let half = run.path().join("checkpoints/.step-000004.partial");
    let names = || fs::read_dir(run.path().join("checkpoints")).expect("there").count();
    // Before the other one has its place.
    fs::rename(&folder, &aside).expect("moved");
    fs::create_dir(&half).expect("made");
    assert_eq!(newest(&checkpoints), None, "moved aside, it is none");
    checkpoints.put_back().expect("renamed");
    assert_eq!(newest(&checkpoints).expect("whole").state, state(4, Some(4)));
    assert!(!aside.exists() && half.exists());
    // After that, before it is removed: the one in its place is what counts, and is replaced again.
    fs::rename(&half, &aside).expect("moved");
    fs::write(aside.join(MANIFEST_FILE), b"{}").expect("written");
    checkpoints.put_back().expect("nothing to do");
    assert_eq!(newest(&checkpoints).expect("whole").state, state(4, Some(4)));
    write(&checkpoints, &state(4, Some(2)));
    assert_eq!(newest(&checkpoints).expect("whole").state, state(4, Some(2)));
    assert_eq!(names(), 1);
    // Half of one is put back by nobody.
    fs::rename(&folder, &aside).expect("moved");
    fs::remove_file(aside.join(MANIFEST_FILE)).expect("removed");
    checkpoints.put_back().expect("nothing to do");
    assert_eq!(newest(&checkpoints), None);
    checkpoints.clear_after(None).expect("removed");
    assert_eq!(fs::read_dir(run.path().join("checkpoints")).expect("there").count(), 0);
    write(&checkpoints, &state(4, None));
    write(&checkpoints, &state(2, None));
    checkpoints.clear_after(None).expect("removed");
    assert_eq!(newest(&checkpoints), None);
}

/// Whatever else was saved on the way, the same steps are left.
#[test]
fn a_stop_leaves_no_checkpoint_behind() {
    for extra in [&[][..], &[1], &[13, 27], &[9, 11, 19, 21, 29, 31]] {
        let run = tempfile::tempdir().expect("a folder");
        let checkpoints = Checkpoints::of(run.path());
        let mut steps: Vec<u64> = [0, 10, 20, 30, 33].into_iter().chain(extra.iter().copied()).collect();
        steps.sort_unstable();
        for step in steps {
            write(&checkpoints, &state(step, Some(0)));
            checkpoints.prune(3, 10, Some(0), &[]).expect("removed");
        }
        assert_eq!(checkpoints.steps().expect("readable"), [0, 20, 30, 33], "{extra:?}");
    }
}

#[test]
fn halves_and_later_ones_go_when_a_run_goes_on() {
    let run = tempfile::tempdir().expect("a folder");
    let checkpoints = Checkpoints::of(run.path());
    for step in [0, 2, 4, 6] {
        write(&checkpoints, &state(step, Some(0)));
    }
    fs::remove_file(checkpoints.folder(0).join(MANIFEST_FILE)).expect("removed");
    fs::write(checkpoints.folder(6).join("a.bin"), b"b").expect("written");
    fs::create_dir(run.path().join("checkpoints/.step-000008.partial")).expect("made");
    let found = checkpoints.newest(None).expect("readable");
    assert_eq!(found.checkpoint.as_ref().expect("whole").state.step, 4);
    assert!(matches!(found.damaged.as_slice(), [(6, TrainerError::Altered { .. })]));
    assert_eq!(checkpoints.whole_steps().expect("readable"), [2, 4]);
    checkpoints.restore(&state(4, Some(2))).expect("restored");
    assert_eq!(fs::read_dir(run.path().join("checkpoints")).expect("there").count(), 2);
    let link = |name: &str| fs::read_link(run.path().join(name)).expect("a link");
    assert_eq!(link("last"), Path::new("checkpoints/step-000004"));
    assert_eq!(link("best"), Path::new("checkpoints/step-000002"));
}

#[test]
fn a_folder_without_a_manifest_is_not_a_checkpoint() {
    let run = tempfile::tempdir().expect("a folder");
    let checkpoints = Checkpoints::of(run.path());
    write(&checkpoints, &state(1, None));
    let second = write(&checkpoints, &state(2, None));
    fs::remove_file(second.join(MANIFEST_FILE)).expect("removed");
    assert_eq!(newest(&checkpoints).expect("the first").state.step, 1);
    assert!(matches!(Checkpoint::open(&second), Err(TrainerError::NotACheckpoint { .. })));
    write(&checkpoints, &state(2, None));
    assert_eq!(newest(&checkpoints).expect("replaced").state.step, 2);
}

/// Taken for none at all, they would be removed by a run that begins anew.
#[test]
fn checkpoints_that_have_all_lost_their_manifests_are_not_taken_for_none() {
    for weights in ["adapter_model.safetensors", "model.safetensors"] {
        let run = tempfile::tempdir().expect("a folder");
        let checkpoints = Checkpoints::of(run.path());
        for step in [2, 4] {
            let folder = write(&checkpoints, &state(step, None));
            fs::write(folder.join(weights), b"a").expect("written");
        }
        fs::remove_file(checkpoints.folder(4).join(MANIFEST_FILE)).expect("removed");
        assert_eq!(newest(&checkpoints).expect("the first").state.step, 2, "the rest of a removal");
        fs::remove_file(checkpoints.folder(2).join(MANIFEST_FILE)).expect("removed");
        let error = checkpoints.newest(None).expect_err("both are there");
        let said = "step-000002` has trained numbers, and no manifest.json";
        assert!(error.to_string().ends_with(said) && error.hint().is_some() && error.is_input(), "{error}");
        for step in [2, 4] {
            fs::remove_file(checkpoints.folder(step).join(weights)).expect("removed");
        }
        assert_eq!(newest(&checkpoints), None, "the rest of a removal");
    }
}

#[test]
fn altered_files_and_unknown_formats_are_refused() {
    let run = tempfile::tempdir().expect("a folder");
    let checkpoints = Checkpoints::of(run.path());
    let folder = write(&checkpoints, &state(1, None));
    fs::write(folder.join("a.bin"), b"b").expect("written");
    let error = checkpoints.newest(None).expect_err("the first is not whole");
    assert!(
        matches!(error, TrainerError::NoneWhole { .. }) && error.to_string().contains("a.bin"),
        "{error}"
    );
    fs::write(folder.join(MANIFEST_FILE), "{\"format\": 2, \"files\": {}}").expect("written");
    let error = checkpoints.newest(None).expect_err("another format");
    assert!(error.to_string().ends_with("expected `format` 1, found 2"), "{error}");
}

#[test]
fn a_failed_write_leaves_nothing_and_the_one_before() {
    let run = tempfile::tempdir().expect("a folder");
    let checkpoints = Checkpoints::of(run.path());
    write(&checkpoints, &state(1, None));
    let failing = |folder: &Path| -> Result<(), TrainerError> {
        Err(TrainerError::InUse { folder: folder.to_owned() })
    };
    checkpoints.write(&state(2, None), failing).expect_err("fails");
    assert_eq!(fs::read_dir(run.path().join("checkpoints")).expect("there").count(), 1);
    assert_eq!(newest(&checkpoints).expect("there").state.step, 1);
}

#[test]
fn moments_are_read_back_and_strangers_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(OPTIMIZER_FILE);
    let slices = [
        NamedSlice { name: "b".to_owned(), shape: vec![2, 1], range: 0..2 },
        NamedSlice { name: "a".to_owned(), shape: vec![1], range: 2..3 },
    ];
    let (first, second) = (vec![1.0, f32::MIN_POSITIVE, 3.0], vec![4.0, 5.0, 6.0]);
    write_moments(&path, &slices, &first, &second).expect("written");
    assert_eq!(read_moments(&path, &slices).expect("read"), (first, second));
    let error = read_moments(&path, &slices[..1]).expect_err("one parameter fewer");
    assert!(error.to_string().ends_with("expected 2 tensors, found 4"), "{error}");
}

#[test]
fn moments_that_are_no_numbers_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(OPTIMIZER_FILE);
    let slices = [NamedSlice { name: "a".to_owned(), shape: vec![2], range: 0..2 }];
    for (first, second, problem) in [
        ([0.0, f32::NAN], [0.0, 0.0], "`first_moment.a` holds NaN, not a finite number"),
        ([0.0, 0.0], [f32::INFINITY, 0.0], "`second_moment.a` holds inf, not a finite number from 0 on"),
        ([0.0, 0.0], [0.0, -1.0], "`second_moment.a` holds -1, not a finite number from 0 on"),
    ] {
        write_moments(&path, &slices, &first, &second).expect("written");
        let error = read_moments(&path, &slices).expect_err(problem).to_string();
        assert!(error.ends_with(problem), "{error}");
    }
    write_moments(&path, &slices, &[-1.0, -0.0], &[0.0, -0.0]).expect("written");
    assert_eq!(read_moments(&path, &slices).expect("read"), (vec![-1.0, -0.0], vec![0.0, -0.0]));
}
