//! The embedding, and a head: a matrix with a row for every token, of which rows may be trained.
//!
//! Legend: N rows of activations, D width, V vocabulary, K trained rows.

use std::ops::Range;

use rtune_adapters::peft::TOKENS_SUFFIX;
use rtune_adapters::{Parameters, Weight};
use rtune_kernels::arena::Arena;
use rtune_kernels::gemm::{Mat, MatMut, multiply};
use rtune_kernels::real::Real;

/// A row for every token, `[V, D]`.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// In the checkpoint, without `.weight`.
    name: String,
    pub(super) weight: Weight,
    trained: Trained,
}

/// Which rows are trained, and where they stand in the flat vector.
#[derive(Clone, Debug)]
enum Trained {
    None,
    All(Range<usize>),
    /// Token ids in order, and their rows, `[K, D]`.
    Rows(Vec<u32>, Range<usize>),
}

impl Table {
    pub(super) fn new(name: String, weight: Weight) -> Self {
        Self { name, weight, trained: Trained::None }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_trained(&self) -> bool {
        !matches!(self.trained, Trained::None)
    }

    pub(super) fn freeze(&mut self) {
        self.trained = Trained::None;
    }

    /// Lets every row be trained: the numbers go over to `parameters`, called `NAME.weight`.
    pub(super) fn train<R: Real>(&mut self, parameters: &mut Parameters<R>) {
        self.trained = Trained::All(parameters.push_values(format!("{}.weight", self.name), &self.weight));
        self.weight = Weight::elsewhere(self.weight.rows(), self.weight.columns());
    }

    /// Lets the rows of `tokens`, in order, be trained, which begin as they are.
    pub(super) fn train_rows<R: Real>(&mut self, tokens: &[u32], parameters: &mut Parameters<R>) {
        let width = self.weight.columns();
        let range = parameters.push(format!("{}{TOKENS_SUFFIX}", self.name), vec![tokens.len(), width]);
        for (&token, out) in tokens.iter().zip(parameters.flat_mut()[range.clone()].chunks_exact_mut(width)) {
            self.weight.row(token as usize, out);
        }
        self.trained = Trained::Rows(tokens.to_vec(), range);
    }

    /// Numbers that are trained and not frozen.
    pub(super) fn trained_whole(&self) -> usize {
        match &self.trained {
            Trained::All(range) => range.len(),
            Trained::Rows(..) | Trained::None => 0,
        }
    }

    /// The row of `token` into `out`, `[D]`.
    pub(super) fn row<R: Real>(&self, parameters: &[R], token: usize, out: &mut [R]) {
        let width = self.weight.columns();
        match self.place(token).filter(|_| !parameters.is_empty()) {
            Some(place) => out.copy_from_slice(&parameters[place..place + width]),
            None => self.weight.row(token, out),
        }
    }

    /// Where the row of a token begins in the flat vector, if it is trained.
    fn place(&self, token: usize) -> Option<usize> {
        let (number, range) = match &self.trained {
            Trained::None => return None,
            Trained::All(range) => (token, range),
            Trained::Rows(tokens, range) => {
                (tokens.binary_search_by(|&trained| (trained as usize).cmp(&token)).ok()?, range)
            }
        };
        Some(range.start + number * self.weight.columns())
    }

    /// Adds the gradient `dx_d` of a token's row to `gradients`, if that is trained.
    pub(super) fn add_row_gradient<R: Real>(&self, token: usize, dx_d: &[R], gradients: &mut [R]) {
        if let Some(place) = self.place(token) {
            let row = &mut gradients[place..place + dx_d.len()];
            row.iter_mut().zip(dx_d).for_each(|(sum, &dx)| *sum += dx);
        }
    }

    /// `y_nv = x_nd · tableᵀ`.
    pub(super) fn project<R: Real>(&self, parameters: &[R], x_nd: &[R], y_nv: &mut [R], arena: &Arena<R>) {
        let (vocabulary, width) = (self.weight.rows(), self.weight.columns());
        let rows = x_nd.len() / width;
        let x = Mat::new(x_nd, rows, width);
        match &self.trained {
            Trained::All(range) => {
                let w = Mat::new(&parameters[range.clone()], vocabulary, width);
                multiply(MatMut::new(y_nv, rows, vocabulary), R::zero(), R::one(), x, w.t());
            }
            Trained::Rows(tokens, range) if !parameters.is_empty() => {
                self.weight.project(x_nd, y_nv, R::zero(), None, arena);
                let mut y_nk = arena.take(rows * tokens.len());
                let w = Mat::new(&parameters[range.clone()], tokens.len(), width);
                multiply(MatMut::new(&mut y_nk, rows, tokens.len()), R::zero(), R::one(), x, w.t());
                for (y_v, y_k) in y_nv.chunks_exact_mut(vocabulary).zip(y_nk.chunks_exact(tokens.len())) {
                    tokens.iter().zip(y_k).for_each(|(&token, &y)| y_v[token as usize] = y);
                }
            }
            Trained::Rows(..) | Trained::None => self.weight.project(x_nd, y_nv, R::zero(), None, arena),
        }
    }

    /// `dx_nd = dy_nv · table`; adds `dyᵀ x` of what is trained to `gradients`. `dy_nv` is used up.
    pub(super) fn project_back<R: Real>(
        &self,
        parameters: &[R],
        x_nd: &[R],
        dy_nv: &mut [R],
        gradients: &mut [R],
        dx_nd: &mut [R],
        arena: &Arena<R>,
    ) {
        let (vocabulary, width) = (self.weight.rows(), self.weight.columns());
        let rows = x_nd.len() / width;
        let x = Mat::new(x_nd, rows, width);
        let dx = |dx_nd| MatMut::new(dx_nd, rows, width);
        match &self.trained {
            Trained::None => self.weight.project_back(dy_nv, dx_nd, R::zero(), None, arena),
            Trained::All(range) => {
                let dy = Mat::new(dy_nv, rows, vocabulary);
                let w = Mat::new(&parameters[range.clone()], vocabulary, width);
                multiply(dx(dx_nd), R::zero(), R::one(), dy, w);
                let dw = MatMut::new(&mut gradients[range.clone()], vocabulary, width);
                multiply(dw, R::one(), R::one(), dy.t(), x);
            }
            Trained::Rows(tokens, range) => {
                let count = tokens.len();
                let mut dy_nk = arena.take(rows * count);
                for (dy_v, dy_k) in dy_nv.chunks_exact_mut(vocabulary).zip(dy_nk.chunks_exact_mut(count)) {
                    // The frozen rows of these tokens are not used, so nothing goes back through them.
                    for (&token, dy) in tokens.iter().zip(dy_k) {
                        *dy = std::mem::replace(&mut dy_v[token as usize], R::zero());
                    }
                }
                self.weight.project_back(dy_nv, dx_nd, R::zero(), None, arena);
                let dy = Mat::new(&dy_nk, rows, count);
                let w = Mat::new(&parameters[range.clone()], count, width);
                multiply(dx(dx_nd), R::one(), R::one(), dy, w);
                let dw = MatMut::new(&mut gradients[range.clone()], count, width);
                multiply(dw, R::one(), R::one(), dy.t(), x);
            }
        }
    }
}
