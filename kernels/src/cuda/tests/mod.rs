//! Launchers and kernels against the CPU functions: on a GPU where there is one (`cuda_…`), and emulated.

mod attention;
mod elements;
mod matrices;
mod nf4;
mod norm;
mod training;

use half::bf16;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::device::{Buffer, Device, Facts};
use super::view::{Element, Matrix, MatrixMut, Span, SpanMut};
use super::{Arena, Aside, Leaving, Places, elementwise, emulator, gemm};

/// Two tests of one case: on the GPU, and in the emulator under every schedule; each says so if it cannot run.
macro_rules! cases {
    ($($gpu:ident, $emulated:ident: $case:expr;)*) => {$(
        #[test]
        fn $gpu() {
            $crate::cuda::tests::on_gpu($case);
        }
        #[test]
        fn $emulated() {
            $crate::cuda::tests::in_emulator($case);
        }
    )*};
}
pub(super) use cases;

fn on_gpu(case: impl Fn(&Device)) {
    match Device::open(0, &Places::default()) {
        Ok(device) => case(&device),
        Err(error) => eprintln!("skipped: {error}"),
    }
}

fn in_emulator(case: impl Fn(&Device)) {
    for schedule in emulator::SCHEDULES {
        match emulator::open(schedule) {
            Some(device) => case(&device),
            None => return eprintln!("skipped: no C++ compiler to emulate kernels with"),
        }
    }
}

/// A span of one device is refused by every other, whatever is to be done with it.
#[test]
fn memory_of_another_device_is_refused() {
    let dry = Device::dry(Facts::default());
    let (Some(one), Some(other)) = (emulator::open(0), emulator::open(0)) else {
        return eprintln!("skipped: no C++ compiler to emulate kernels with");
    };
    let values = [1.0_f32; 64];
    for from in [&dry, &one] {
        let refused = |what: &str, work: &mut dyn FnMut()| {
            let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            let said = run.expect_err(what).downcast::<&str>().expect("a message");
            assert_eq!(*said, "memory of another device", "{what}");
        };
        let (mut theirs, mut ours) =
            (from.upload(&values).expect("memory"), other.upload(&values).expect("memory"));
        let mut narrow = from.upload_narrow(&values).expect("memory");
        refused("upload", &mut || _ = theirs.all_mut().upload(&other, &values));
        refused("download", &mut || _ = theirs.all().to_vec(&other));
        refused("fill", &mut || _ = theirs.all_mut().fill(&other, 0));
        refused("from", &mut || _ = ours.all_mut().copy_from(&other, theirs.all()));
        refused("to", &mut || _ = theirs.all_mut().copy_from(&other, ours.all()));
        refused("launch", &mut || _ = elementwise::scale(&other, narrow.all_mut().matrix(8, 8), 2.0));
        refused("product", &mut || {
            let out = ours.all_mut().matrix(8, 8);
            let factor = narrow.all().matrix(8, 8);
            _ = gemm::multiply(&other, out, 0.0, 1.0, factor, factor);
        });
        refused("aside", &mut || drop(Aside::new(&other).put(0, theirs.all())));
        let (aside, arena) = (Aside::new(&other), Arena::new(from, 1 << 10).expect("an arena"));
        aside.put(0, ours.all()).and_then(Leaving::join).expect("put aside");
        refused("aside, and back", &mut || drop(aside.take::<f32>(0, values.len(), &arena)));
        // Its own is taken, and a dry device takes anybody's: nothing is touched there.
        let mut own = other.upload_narrow(&values).expect("memory");
        elementwise::scale(&other, own.all_mut().matrix(8, 8), 2.0).expect("its own");
        assert_eq!(wide(&own.to_vec().expect("its own")), [2.0; 64]);
        elementwise::scale(&dry, narrow.all_mut().matrix(8, 8), 2.0).expect("nothing is done");
    }
}

/// They would be written on a stream that nothing orders with their device's. Were one of these types `Send`, both implementations would be
/// meant, and this would not compile.
#[test]
fn spans_stay_on_their_thread() {
    trait Meant<T> {
        fn by(&self) -> bool {
            true
        }
    }
    impl<T> Meant<()> for std::marker::PhantomData<T> {}
    impl<T: Send> Meant<u8> for std::marker::PhantomData<T> {}
    fn of<T>() -> std::marker::PhantomData<T> {
        std::marker::PhantomData
    }
    assert!(of::<Span<'_, f32>>().by() && of::<SpanMut<'_, f32>>().by());
    assert!(of::<Matrix<'_, f32>>().by() && of::<MatrixMut<'_, f32>>().by());
}

/// Numbers between minus and plus one; another salt gives others.
fn numbers(count: usize, salt: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(salt);
    (0..count).map(|_| random.next_u32() as f32 / (1u64 << 31) as f32 - 1.0).collect()
}

/// The same, rounded to bf16, so that both sides read the same values.
fn narrow_numbers(count: usize, salt: u64) -> Vec<bf16> {
    numbers(count, salt).into_iter().map(bf16::from_f32).collect()
}

fn wide(values: &[bf16]) -> Vec<f32> {
    values.iter().map(|value| value.to_f32()).collect()
}

/// Memory that a kernel has to write: no numbers until it has.
fn poisoned<T: Element>(device: &Device, len: usize) -> Buffer<T> {
    let mut buffer = device.allocate(len).expect("memory");
    buffer.all_mut().fill(device, 0xff).expect("poison");
    buffer
}

/// Whether `got`, rounded to bf16 at the end of a computation in f32, is `want`: within `steps` half steps of bf16 of
/// the value, and `floor` for sums that cancel.
#[track_caller]
fn assert_near(what: &str, got: &[f32], want: &[f32], steps: f32, floor: f32) {
    assert_eq!(got.len(), want.len(), "{what}: lengths");
    let mut worst = (0, 0.0_f32);
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        // Half a step of bf16 is at most this part of a value: 8 bits of significand.
        let allowed = want.abs() * steps / 256.0 + floor;
        let error = (got - want).abs() / allowed.max(f32::MIN_POSITIVE);
        assert!(!got.is_nan() || want.is_nan(), "{what}: element {i} is no number, expected {want}");
        if error > worst.1 {
            worst = (i, error);
        }
    }
    let (i, error) = worst;
    eprintln!("{what}: at most {error:.4} of what is allowed");
    assert!(
        error <= 1.0,
        "{what}: element {i} is {}, expected {}, {error} times what is allowed",
        got[i],
        want[i]
    );
}
