//! `cargo bench -p rtune-kernels --bench products [NAME]`: the matrix products of a training step.

mod shapes;

use criterion::{Criterion, Throughput};
use shapes::{Product, SHAPES};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("products");
    for shape in SHAPES {
        let mut product = Product::new(shape);
        // An element is a multiplication and an addition.
        group.throughput(Throughput::Elements((2 * shape.m * shape.k * shape.n) as u64));
        group.bench_function(shape.name, |bencher| bencher.iter(|| product.run()));
    }
    group.finish();
    criterion.final_summary();
}
