// Rows by number: embeddings, the tokens of an expert, supervised rows; and sums of rows with factors.
//
// Matrices bf16 with strides of their own; rows: u32 [count].
// gather_rows       out[i] = bf16(scale * x[rows[i]]); a number of x_rows or more gives NaN, and reads nothing.
// scatter_rows      out[rows[i]] = x[i]. The numbers differ from each other, and lie below out_rows (others are passed over).
// scatter_rows_add  out[rows[i]] = bf16(out[rows[i]] + factors[i] * x[i]), factors: f32 [count] or null for 1. As above.
// scale_rows        x[i] = bf16(x[i] * factors[i]).
// dot_rows          out[i] = sum over columns of x[i] * y[i], f32.
// Needs  columns and strides multiples of 8, matrices aligned to 16 bytes.
// Order  every element stands alone, or is summed by one block in a fixed order: deterministic.
#include "device.cuh"

constexpr int THREADS = 256;

KERNEL(THREADS) gather_rows(const bf16* x, long long x_stride, int x_rows, const unsigned* rows, float scale, bf16* out,
                            long long out_stride, int columns) {
    const unsigned row = rows[blockIdx.x];
    const bool known = row < static_cast<unsigned>(x_rows);
    for (int c = threadIdx.x * 8; c < columns; c += THREADS * 8) {
        Eight v;
        if (known) v = load8(x + row * x_stride + c);
#pragma unroll
        for (int i = 0; i < 8; ++i) v.at[i] = known ? v.at[i] * scale : INFINITY - INFINITY;
        store8(out + blockIdx.x * out_stride + c, v);
    }
}
REGISTER(gather_rows);

KERNEL(THREADS) scatter_rows(const bf16* x, long long x_stride, const unsigned* rows, bf16* out, long long out_stride,
                             int out_rows, int columns) {
    const unsigned row = rows[blockIdx.x];
    if (row >= static_cast<unsigned>(out_rows)) return;
    for (int c = threadIdx.x * 8; c < columns; c += THREADS * 8)
        store8(out + row * out_stride + c, load8(x + blockIdx.x * x_stride + c));
}
REGISTER(scatter_rows);

KERNEL(THREADS) scatter_rows_add(const bf16* x, long long x_stride, const float* factors, const unsigned* rows,
                                 bf16* out, long long out_stride, int out_rows, int columns) {
    const unsigned row = rows[blockIdx.x];
    if (row >= static_cast<unsigned>(out_rows)) return;
    const float factor = factors != nullptr ? factors[blockIdx.x] : 1.0f;
    for (int c = threadIdx.x * 8; c < columns; c += THREADS * 8) {
        const Eight v = load8(x + blockIdx.x * x_stride + c);
        Eight sum = load8(out + row * out_stride + c);
#pragma unroll
        for (int i = 0; i < 8; ++i) sum.at[i] += factor * v.at[i];
        store8(out + row * out_stride + c, sum);
    }
}
REGISTER(scatter_rows_add);

KERNEL(THREADS) scale_rows(bf16* x, long long stride, const float* factors, int columns) {
    const float factor = factors[blockIdx.x];
    for (int c = threadIdx.x * 8; c < columns; c += THREADS * 8) {
        Eight v = load8(x + blockIdx.x * stride + c);
#pragma unroll
        for (int i = 0; i < 8; ++i) v.at[i] *= factor;
        store8(x + blockIdx.x * stride + c, v);
    }
}
REGISTER(scale_rows);

KERNEL(THREADS) dot_rows(const bf16* x, long long x_stride, const bf16* y, long long y_stride, float* out,
                         int columns) {
    SHARED(float, room, 32);
    float sum = 0.0f;
    for (int c = threadIdx.x * 8; c < columns; c += THREADS * 8) {
        const Eight a = load8(x + blockIdx.x * x_stride + c), b = load8(y + blockIdx.x * y_stride + c);
#pragma unroll
        for (int i = 0; i < 8; ++i) sum += a.at[i] * b.at[i];
    }
    sum = block_sum(sum, room);
    if (threadIdx.x == 0) out[blockIdx.x] = sum;
}
REGISTER(dot_rows);
