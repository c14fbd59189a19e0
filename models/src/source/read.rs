//! Reading elements that stand in a file as they stand in memory.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use bytemuck::Pod;
use half::vec::HalfBitsVecExt;
use half::{bf16, f16};

use crate::ModelError;

/// Elements of a piece: few enough that it stays in a core's cache from reading to quantising, and enough that asking for
/// it costs little beside reading it. A multiple of every block that is quantised here.
pub(crate) const PIECE_ELEMENTS: usize = 1 << 17;

/// Pieces that a thread has at least: to start one for less takes longer than it saves.
const PIECES_PER_THREAD: usize = 4;

/// Threads beyond one a core: while one waits for the disk, the others work.
const WAITING_THREADS: usize = 1;

/// What stands in files as it stands in memory.
pub(super) trait Element: Pod + Send {
    /// So many zeros, in memory that the system has cleared and that is not cleared again.
    fn zeroes(count: usize) -> Vec<Self>;
}

impl Element for f32 {
    fn zeroes(count: usize) -> Vec<Self> {
        vec![0.0; count]
    }
}

impl Element for u32 {
    fn zeroes(count: usize) -> Vec<Self> {
        vec![0; count]
    }
}

impl Element for u8 {
    fn zeroes(count: usize) -> Vec<Self> {
        vec![0; count]
    }
}

impl Element for f16 {
    fn zeroes(count: usize) -> Vec<Self> {
        vec![0_u16; count].reinterpret_into()
    }
}

impl Element for bf16 {
    fn zeroes(count: usize) -> Vec<Self> {
        vec![0_u16; count].reinterpret_into()
    }
}

/// Reads `count` elements from `start_bytes` of the file straight into their vector. The caller has checked that
/// the file has them, which bounds the allocation.
pub(super) fn read_elements<T: Element>(
    path: &Path,
    tensor: &str,
    start_bytes: u64,
    count: usize,
) -> Result<Vec<T>, ModelError> {
    let mut values = T::zeroes(count);
    for_each_piece(values.chunks_mut(PIECE_ELEMENTS), || {
        let mut elements = Elements::open(path, tensor, start_bytes)?;
        Ok(move |first, place: &mut [T]| elements.read(first, place))
    })?;
    Ok(values)
}

/// The same in pieces, which `take` gets with the number of their first element, each on the thread that read it.
pub(super) fn read_pieces<T: Element>(
    path: &Path,
    tensor: &str,
    start_bytes: u64,
    count: usize,
    take: impl Fn(usize, &[T]) -> Result<(), ModelError> + Sync,
) -> Result<(), ModelError> {
    let lengths = (0..count).step_by(PIECE_ELEMENTS).map(|first| PIECE_ELEMENTS.min(count - first));
    let take = &take;
    for_each_piece(lengths, || {
        let mut elements = Elements::open(path, tensor, start_bytes)?;
        let mut buffer: Vec<T> = T::zeroes(PIECE_ELEMENTS.min(count));
        Ok(move |first, length: usize| {
            elements.read(first, &mut buffer[..length])?;
            take(first, &buffer[..length])
        })
    })
}

/// Gives the pieces out, in their order, to threads that each do what `start` returns with the number of a piece's first
/// element and with the piece. Of several errors the one is returned whose piece comes first: pieces before it were given
/// out before.
pub(super) fn for_each_piece<P: Send, W: FnMut(usize, P) -> Result<(), ModelError>>(
    pieces: impl ExactSizeIterator<Item = P> + Send,
    start: impl Fn() -> Result<W, ModelError> + Sync,
) -> Result<(), ModelError> {
    let most = rayon::current_num_threads() + WAITING_THREADS;
    let threads = (pieces.len() / PIECES_PER_THREAD).clamp(1, most);
    let queue = Mutex::new(Some(pieces.enumerate()));
    let problem: Mutex<Option<(usize, ModelError)>> = Mutex::new(None);
    let fail = |number: usize, error: ModelError| {
        *lock(&queue) = None;
        let mut problem = lock(&problem);
        if problem.as_ref().is_none_or(|(first, _)| number < *first) {
            *problem = Some((number, error));
        }
    };
    let run = || {
        let mut work = match start() {
            Ok(work) => work,
            Err(error) => return fail(0, error),
        };
        loop {
            let next = lock(&queue).as_mut().and_then(Iterator::next);
            let Some((number, piece)) = next else { return };
            if let Err(error) = work(number * PIECE_ELEMENTS, piece) {
                return fail(number, error);
            }
        }
    };
    thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(run)));
        run();
    });
    let problem = problem.into_inner().unwrap_or_else(PoisonError::into_inner);
    problem.map_or(Ok(()), |(_, error)| Err(error))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The elements of a tensor in a file.
struct Elements<'a> {
    file: File,
    path: &'a Path,
    tensor: &'a str,
    start_bytes: u64,
}

impl<'a> Elements<'a> {
    fn open(path: &'a Path, tensor: &'a str, start_bytes: u64) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(ModelError::io(path))?;
        Ok(Self { file, path, tensor, start_bytes })
    }

    /// Reads as many as have room in `place`, from number `first` on.
    fn read<T: Pod>(&mut self, first: usize, place: &mut [T]) -> Result<(), ModelError> {
        let start_bytes = self.start_bytes + (first * size_of::<T>()) as u64;
        self.file.seek(SeekFrom::Start(start_bytes)).map_err(ModelError::io(self.path))?;
        self.file.read_exact(bytemuck::cast_slice_mut(place)).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => {
                ModelError::tensor(self.path, self.tensor, "the file has become shorter since it was opened")
            }
            _ => ModelError::io(self.path)(error),
        })
    }
}
