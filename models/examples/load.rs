//! How long a base takes to load into NF4, and how much memory.
//!
//!     cargo run --release -p rtune-models --example load -- FOLDER [none|nf4|double [unread]]
//!
//! Prints the seconds that reading the weights' files takes (unless they are to be left unread, so that loading finds them where
//! they were, on the disk perhaps), those of loading, the bytes of the decoder and the most memory
//! that the process ever held (Linux; elsewhere that line is missing).

#![expect(clippy::print_stdout, reason = "figures are what this example is for")]

use std::error::Error;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use rtune_models::{Decoder, ModelConfig, Quantization, open_weights};

const MIB: f64 = 1024.0 * 1024.0;

/// Reads a file through a small buffer, as it stands on the disk.
fn read(path: &Path) -> std::io::Result<usize> {
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(total),
            count => total += count,
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: load FOLDER [none|nf4|double]")?;
    let folder = Path::new(&folder);
    let quantization = match arguments.next().as_deref() {
        Some("none") => Quantization::None,
        Some("nf4") => Quantization::Nf4 { double: false },
        None | Some("double") => Quantization::Nf4 { double: true },
        Some(other) => return Err(format!("`{other}`: expected none, nf4 or double").into()),
    };
    let config = ModelConfig::from_file(&folder.join("config.json"))?;
    let (weights, files) = open_weights(folder)?;
    let is_read = arguments.next().is_none_or(|last| last != "unread");
    let start = Instant::now();
    let mut total_bytes = 0;
    for file in files.iter().filter(|_| is_read) {
        total_bytes += read(file)?;
    }
    let reading = start.elapsed().as_secs_f64();
    println!("files    {:>8.0} MiB, read in {reading:.2} s", total_bytes as f64 / MIB);
    let start = Instant::now();
    let decoder = Decoder::load(&config, weights.as_ref(), quantization, &mut |_, _| {})?;
    let loading = start.elapsed().as_secs_f64();
    println!("loading  {loading:>8.2} s");
    if is_read {
        println!("ratio    {:>8.2}", loading / reading);
    }
    println!("decoder  {:>8.0} MiB", decoder.size_bytes() as f64 / MIB);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(line) = status.lines().find(|line| line.starts_with("VmHWM")) {
        println!("{line}");
    }
    Ok(())
}
