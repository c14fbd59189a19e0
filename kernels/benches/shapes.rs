//! The products of a training step of SmolLM2-135M, shared by the benchmark and the example that is timed beside torch.

use rtune_kernels::gemm::{Mat, MatMut, Right, Term, Unpack, multiply_here, sum};
use rtune_kernels::nf4::{self, Absmax, Nested};
use std::ops::Range;

/// How a right factor is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Rows of numbers.
    Plain,
    /// The transposed matrix in rows of numbers.
    Transposed,
    /// NF4 with nested magnitudes.
    Nf4,
    /// The transposed matrix in NF4.
    Nf4Transposed,
    /// Rows of numbers; the left factor is the one that is transposed.
    LeftTransposed,
}

/// One product `[m, k] [k, n]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) m: usize,
    pub(crate) k: usize,
    pub(crate) n: usize,
    pub(crate) kind: Kind,
    /// Whether it is added to what is there.
    pub(crate) adds: bool,
    /// Whether it runs on one thread, as inside a task.
    pub(crate) alone: bool,
}

const fn of(name: &'static str, m: usize, k: usize, n: usize, kind: Kind) -> Shape {
    Shape { name, m, k, n, kind, adds: false, alone: false }
}

const fn adding(name: &'static str, m: usize, k: usize, n: usize, kind: Kind) -> Shape {
    Shape { adds: true, ..of(name, m, k, n, kind) }
}

const fn alone(name: &'static str, m: usize, k: usize, n: usize, kind: Kind) -> Shape {
    Shape { alone: true, ..of(name, m, k, n, kind) }
}

use Kind::{LeftTransposed, Nf4, Nf4Transposed, Plain, Transposed};

/// Four rows of 256 tokens; LoRA of rank 16; a tile of attention over 256 tokens.
pub(crate) const SHAPES: [Shape; 22] = [
    of("query, forward", 1024, 576, 576, Nf4Transposed),
    of("key, forward", 1024, 576, 192, Nf4Transposed),
    of("gate, forward", 1024, 576, 1536, Nf4Transposed),
    of("down, forward", 1024, 1536, 576, Nf4Transposed),
    of("gate of 512, forward", 512, 576, 1536, Nf4Transposed),
    of("head, forward", 340, 576, 49152, Transposed),
    of("query, backward", 1024, 576, 576, Nf4),
    adding("key, backward", 1024, 192, 576, Nf4),
    adding("gate, backward", 1024, 1536, 576, Nf4),
    of("down, backward", 1024, 576, 1536, Nf4),
    of("head, backward", 340, 49152, 576, Plain),
    of("x A", 1024, 576, 16, Transposed),
    of("x A of down", 1024, 1536, 16, Transposed),
    adding("p B", 1024, 16, 576, Transposed),
    adding("p B of gate", 1024, 16, 1536, Transposed),
    of("dy B of gate", 1024, 1536, 16, Plain),
    adding("dA", 16, 1024, 576, LeftTransposed),
    adding("dB of gate", 1536, 1024, 16, LeftTransposed),
    alone("scores", 64, 64, 256, Transposed),
    alone("values", 64, 256, 64, Plain),
    alone("d values", 256, 64, 64, LeftTransposed),
    alone("square", 384, 384, 384, Plain),
];

/// The factors and the result of a product.
pub(crate) struct Product {
    shape: Shape,
    left: Vec<f32>,
    right: Vec<f32>,
    codes: Vec<u8>,
    nested: Option<Nested>,
    out: Vec<f32>,
}

#[derive(Debug)]
struct Packed<'a> {
    codes: &'a [u8],
    nested: &'a Nested,
    columns: usize,
}

impl Unpack for Packed<'_> {
    fn unpack(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        let first = row * self.columns + columns.start;
        nf4::dequantize_here(self.codes, Absmax::Nested(self.nested), nf4::BLOCK, first, out);
    }
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 % 2003) as f32 - 1001.0) / 1001.0).collect()
}

impl Product {
    pub(crate) fn new(shape: Shape) -> Self {
        let (mut right, mut codes, mut nested) = (numbers(shape.k * shape.n), Vec::new(), None);
        if matches!(shape.kind, Nf4 | Nf4Transposed) {
            codes = vec![0; right.len().div_ceil(2)];
            let mut absmax = vec![0.0; right.len().div_ceil(nf4::BLOCK)];
            nf4::quantize(&right, &mut codes, &mut absmax);
            nested = Some(nf4::quantize_absmax(&absmax));
            right.clear();
        }
        let (left, out) = (numbers(shape.m * shape.k), vec![0.0; shape.m * shape.n]);
        Self { shape, left, right, codes, nested, out }
    }

    pub(crate) fn run(&mut self) {
        let Shape { m, k, n, kind, adds, alone, .. } = self.shape;
        let beta = if adds { 1.0 } else { 0.0 };
        let left = match kind {
            LeftTransposed => Mat::new(&self.left, k, m).t(),
            _ => Mat::new(&self.left, m, k),
        };
        let out = MatMut::new(&mut self.out, m, n);
        let transposed = matches!(kind, Transposed | Nf4Transposed);
        if let Some(nested) = &self.nested {
            let columns = if transposed { k } else { n };
            let matrix = Packed { codes: &self.codes, nested, columns };
            let right = Right::Unpacked { matrix: &matrix, rows: k, columns: n, transposed };
            return sum(out, beta, &[Term { factor: 1.0, left, right }]);
        }
        let right = if transposed { Mat::new(&self.right, n, k).t() } else { Mat::new(&self.right, k, n) };
        if alone {
            multiply_here(out, beta, 1.0, left, right);
        } else {
            sum(out, beta, &[Term::plain(1.0, left, right)]);
        }
    }
}
