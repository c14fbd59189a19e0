//! What can go wrong between this program and a GPU.

use std::path::PathBuf;

/// A call to the GPU that failed, or a GPU that is not there.
#[derive(Debug, thiserror::Error)]
pub enum CudaError {
    /// No driver library on this machine.
    #[error("no NVIDIA driver was found (libcuda.so.1)")]
    NoDriver,
    /// A driver, and no GPU under that number.
    #[error("the NVIDIA driver knows {found} GPUs; number {wanted} is not among them")]
    NoDevice {
        /// The number asked for, from 0.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// A GPU older than the kernels' instructions.
    #[error("{name} has compute capability {major}.{minor}; the kernels need 8.0 (Ampere) or later")]
    TooOld {
        /// The GPU's name.
        name: String,
        /// Of its compute capability.
        major: i32,
        /// Of its compute capability.
        minor: i32,
    },
    /// A driver that does not know the kernels' PTX.
    #[error("the NVIDIA driver knows CUDA {}.{}; the kernels need 12.8", .found / 1000, .found % 1000 / 10)]
    OldDriver {
        /// The driver's version of CUDA, 12040 for 12.4.
        found: i32,
    },
    /// A driver and no cuBLAS.
    #[error("a GPU is there, but no cuBLAS (libcublas.so.12 or .13) in the system's library folders{}", looked(.searched))]
    NoCublas {
        /// The folders looked into besides those of the system.
        searched: Vec<PathBuf>,
    },
    /// A cuBLAS that the products were not written for.
    #[error("cuBLAS is {}.{}; the products need 12.0", .found / 10_000, .found / 100 % 100)]
    OldCublas {
        /// Its version, 110501 for 11.5.1.
        found: i32,
    },
    /// A driver call failed.
    #[error("{what}: the driver says {message}")]
    Driver {
        /// What was being done.
        what: String,
        /// The driver's words.
        message: String,
    },
    /// A cuBLAS call failed.
    #[error("{what}: cuBLAS says {message}")]
    Cublas {
        /// What was being done.
        what: String,
        /// The library's words.
        message: String,
    },
    /// The GPU's memory is full.
    #[error("{wanted_bytes} bytes of GPU memory could not be had ({free_bytes} are free)")]
    OutOfMemory {
        /// The size asked for.
        wanted_bytes: usize,
        /// What the driver says is free.
        free_bytes: usize,
    },
    /// The host has not as much memory that could be page-locked.
    #[error("{wanted_bytes} bytes of this machine's memory could not be page-locked for copies from the GPU")]
    Unpinned {
        /// The size asked for.
        wanted_bytes: usize,
    },
    /// An arena has no part that is large enough.
    #[error(
        "{wanted_bytes} bytes do not fit beside the {lent_bytes} in use of {arena_bytes} bytes of GPU memory"
    )]
    ArenaFull {
        /// The size asked for.
        wanted_bytes: usize,
        /// What is in use.
        lent_bytes: usize,
        /// The size of the arena.
        arena_bytes: usize,
    },
}

fn looked(searched: &[PathBuf]) -> String {
    let folders: Vec<String> = searched.iter().map(|folder| folder.display().to_string()).collect();
    if folders.is_empty() { String::new() } else { format!(", nor in {}", folders.join(", ")) }
}

impl CudaError {
    /// What to do about it, where there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoDriver => {
                Some("install NVIDIA's driver, 570 or later, or train on the CPU: device = \"cpu\"")
            }
            Self::NoCublas { .. } | Self::OldCublas { .. } => Some(
                "install cuBLAS: `pip install nvidia-cublas-cu12`, or the CUDA toolkit, and set CUDA_HOME",
            ),
            Self::OldDriver { .. } => Some("install NVIDIA's driver, 570 or later"),
            Self::TooOld { .. } => Some("train on the CPU: device = \"cpu\""),
            Self::Unpinned { .. } => {
                Some("fewer tokens a micro-batch, or train.save-activations = \"input-only\"")
            }
            Self::OutOfMemory { .. } | Self::ArenaFull { .. } => {
                Some("fewer tokens a micro-batch, or a save policy that keeps less")
            }
            _ => None,
        }
    }
}

/// What the calls of this module give.
pub type Result<T> = std::result::Result<T, CudaError>;
