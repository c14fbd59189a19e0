//! Times the products of a training step when it is asked to, so that another library can be timed in turn with it:
//! `tests/peers/products.py` starts it, reads the shapes from its first lines, and writes a number and milliseconds a line.
//! Each answer is the fewest seconds that a product took: on one thread of that thread's own time, which other programs do
//! not lengthen, else by the clock.

#[path = "../benches/shapes.rs"]
mod shapes;

use std::io::{self, BufRead, Write};
use std::time::{Duration, Instant};

use shapes::{Kind, Product, SHAPES};

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

unsafe extern "C" {
    safe fn clock_gettime(clock: i32, time: &mut Timespec) -> i32;
}

/// Processor time of this thread on 64-bit Linux.
fn thread_time() -> Duration {
    const THREAD_CLOCK: i32 = 3;
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    clock_gettime(THREAD_CLOCK, &mut time);
    Duration::new(time.seconds as u64, time.nanoseconds as u32)
}

fn main() -> io::Result<()> {
    // As the program runs its steps: on a thread of the pool, which hands nothing over.
    rayon::scope(|_| answer())
}

fn answer() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for shape in SHAPES {
        let turned = match shape.kind {
            Kind::Transposed | Kind::Nf4Transposed => "right",
            Kind::LeftTransposed => "left",
            Kind::Plain | Kind::Nf4 => "none",
        };
        let (adds, alone) = (u8::from(shape.adds), u8::from(shape.alone));
        writeln!(out, "{}\t{}\t{}\t{}\t{turned}\t{adds}\t{alone}", shape.name, shape.m, shape.k, shape.n)?;
    }
    writeln!(out)?;
    out.flush()?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split_whitespace().map(str::parse);
        let (Some(Ok(number)), Some(Ok(milliseconds))) = (words.next(), words.next()) else { continue };
        let Some(&shape) = SHAPES.get(number as usize) else { continue };
        let mut product = Product::new(shape);
        product.run();
        let (begin, slice) = (Instant::now(), Duration::from_millis(milliseconds));
        let alone = shape.alone || std::env::var("RAYON_NUM_THREADS").is_ok_and(|threads| threads == "1");
        let mut least = Duration::MAX;
        while begin.elapsed() < slice {
            let (start, start_alone) = (Instant::now(), thread_time());
            product.run();
            let took = if alone { thread_time() - start_alone } else { start.elapsed() };
            least = least.min(took);
        }
        writeln!(out, "{:e}", least.as_secs_f64())?;
        out.flush()?;
    }
    Ok(())
}
