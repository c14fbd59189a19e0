//! Products with frozen matrices.

use std::ops::Range;

use rtune_kernels::arena::Arena;
use rtune_kernels::gemm::{self, Mat, MatMut, Right, Term, Unpack, multiply};
use rtune_kernels::nf4;
use rtune_kernels::real::Real;

use super::{Nf4, Storage, Weight};

impl Unpack for Weight {
    fn unpack(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        let first = row * self.columns + columns.start;
        match &self.storage {
            // A thread of its own calls this for each of its rows.
            Storage::Nf4(Nf4 { codes, magnitudes, block }) => {
                nf4::dequantize_here(codes, magnitudes.view(), *block, first, out);
            }
            _ => Weight::unpack(self, first, out),
        }
    }
}

impl Weight {
    /// `y = beta y + x Wᵀ + also`: `x_ti` is `[T, columns]`, `y_to` is `[T, rows]`.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn project<R: Real>(
        &self,
        x_ti: &[R],
        y_to: &mut [R],
        beta: R,
        also: Option<Term<'_, R>>,
        arena: &Arena<R>,
    ) {
        let (inputs, outputs) = (self.columns, self.rows);
        let tokens = x_ti.len() / inputs;
        assert_eq!(y_to.len(), tokens * outputs, "weight: lengths");
        let x = Mat::new(x_ti, tokens, inputs);
        if let Some(right) = self.factor(true) {
            return add(MatMut::new(y_to, tokens, outputs), beta, x, right, also);
        }
        for rows in self.panels() {
            let panel = self.panel(rows.clone(), arena);
            let y = MatMut::strided(&mut y_to[rows.start..], tokens, rows.len(), outputs);
            multiply(y, beta, R::one(), x, Mat::new(&panel, rows.len(), inputs).t());
        }
        if let Some(term) = also {
            gemm::sum(MatMut::new(y_to, tokens, outputs), R::one(), &[term]);
        }
    }

    /// `dx = beta dx + dy W + also`: `dy_to` is `[T, rows]`, `dx_ti` is `[T, columns]`.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn project_back<R: Real>(
        &self,
        dy_to: &[R],
        dx_ti: &mut [R],
        beta: R,
        also: Option<Term<'_, R>>,
        arena: &Arena<R>,
    ) {
        let (inputs, outputs) = (self.columns, self.rows);
        let tokens = dy_to.len() / outputs;
        assert_eq!(dx_ti.len(), tokens * inputs, "weight: lengths");
        if let Some(right) = self.factor(false) {
            let dy = Mat::new(dy_to, tokens, outputs);
            return add(MatMut::new(dx_ti, tokens, inputs), beta, dy, right, also);
        }
        let mut beta = beta;
        for rows in self.panels() {
            let panel = self.panel(rows.clone(), arena);
            let dy = Mat::strided(&dy_to[rows.start..], tokens, rows.len(), outputs);
            let w = Mat::new(&panel, rows.len(), inputs);
            multiply(MatMut::new(dx_ti, tokens, inputs), beta, R::one(), dy, w);
            beta = R::one();
        }
        if let Some(term) = also {
            gemm::sum(MatMut::new(dx_ti, tokens, inputs), R::one(), &[term]);
        }
    }

    /// The matrix as the right factor of a product, or nothing where products take numbers alone.
    fn factor<R: Real>(&self, transposed: bool) -> Option<Right<'_, R>> {
        if !gemm::unpacks::<R>() || matches!(self.storage, Storage::Elsewhere) {
            return None;
        }
        if let Storage::F32(values) = &self.storage
            && let Some(view) = R::view_f32(values)
        {
            let mat = Mat::new(view, self.rows, self.columns);
            return Some(Right::Plain(if transposed { mat.t() } else { mat }));
        }
        let (rows, columns) = if transposed { (self.columns, self.rows) } else { (self.rows, self.columns) };
        Some(Right::Unpacked { matrix: self, rows, columns, transposed })
    }
}

/// `out = beta out + left right + also`.
fn add<R: Real>(
    out: MatMut<'_, R>,
    beta: R,
    left: Mat<'_, R>,
    right: Right<'_, R>,
    also: Option<Term<'_, R>>,
) {
    let first = Term { factor: R::one(), left, right };
    match also {
        Some(also) => gemm::sum(out, beta, &[first, also]),
        None => gemm::sum(out, beta, &[first]),
    }
}
