// Sums, factors, casts and copies over matrices, and sums over their columns.
//
// Matrices are bf16 (or f32 where it says so) with strides of their own; f32 vectors hold factors, biases, sums.
// add_scaled     y = bf16(y + factor * x).
// sum_into       out = bf16(x + y).
// scale          x = bf16(x * factor).
// scale_columns  x[r][c] = bf16(x[r][c] * factors[c]).
// fill_rows      x[r][c] = bf16(bias[c]), or 0 where bias is null: the start of a product that then adds to it.
// copy           y = x.
// narrow         y = bf16(factor * x), x: f32.          widen   y = x, y: f32.
// column_sums    out[c] += factors[c] * sum over rows of x[r][c] * b, factors 1 where null; b is y[r][c], or 1 where y is
//                null, and with moments (f32, `each` a row: rho, or mean and rho) y[r][c] is (y[r][c] - mean) * rho.
// Needs   columns and strides multiples of 8, matrices aligned to 16 bytes, vectors to 16.
// Order   every element stands alone; a column's sum belongs to one block, in a fixed order: deterministic.
#include "device.cuh"

constexpr int THREADS = 256;

// Where a thread works: eight columns of a row, and so on by whole grids.
#define FOR_EACH_EIGHT(row, column)                                                                            \
    const int per_row = columns / 8;                                                                           \
    const long long all = static_cast<long long>(rows) * per_row, step = static_cast<long long>(gridDim.x) * THREADS; \
    for (long long work = static_cast<long long>(blockIdx.x) * THREADS + threadIdx.x, row = work / per_row,    \
                   column = (work - row * per_row) * 8;                                                        \
         work < all; work += step, row = work / per_row, column = (work - row * per_row) * 8)

KERNEL(THREADS) add_scaled(const bf16* x, long long x_stride, float factor, bf16* y, long long y_stride, int rows,
                           int columns) {
    FOR_EACH_EIGHT(row, column) {
        const Eight a = load8(x + row * x_stride + column);
        Eight b = load8(y + row * y_stride + column);
#pragma unroll
        for (int i = 0; i < 8; ++i) b.at[i] += factor * a.at[i];
        store8(y + row * y_stride + column, b);
    }
}
REGISTER(add_scaled);

KERNEL(THREADS) sum_into(const bf16* x, long long x_stride, const bf16* y, long long y_stride, bf16* out,
                         long long out_stride, int rows, int columns) {
    FOR_EACH_EIGHT(row, column) {
        Eight a = load8(x + row * x_stride + column);
        const Eight b = load8(y + row * y_stride + column);
#pragma unroll
        for (int i = 0; i < 8; ++i) a.at[i] += b.at[i];
        store8(out + row * out_stride + column, a);
    }
}
REGISTER(sum_into);

KERNEL(THREADS) scale(bf16* x, long long x_stride, float factor, int rows, int columns) {
    FOR_EACH_EIGHT(row, column) {
        Eight a = load8(x + row * x_stride + column);
#pragma unroll
        for (int i = 0; i < 8; ++i) a.at[i] *= factor;
        store8(x + row * x_stride + column, a);
    }
}
REGISTER(scale);

KERNEL(THREADS) scale_columns(bf16* x, long long x_stride, const float* factors, int rows, int columns) {
    FOR_EACH_EIGHT(row, column) {
        Eight a = load8(x + row * x_stride + column);
        const Eight b = load8(factors + column);
#pragma unroll
        for (int i = 0; i < 8; ++i) a.at[i] *= b.at[i];
        store8(x + row * x_stride + column, a);
    }
}
REGISTER(scale_columns);

KERNEL(THREADS) fill_rows(bf16* x, long long x_stride, const float* bias, int rows, int columns) {
    FOR_EACH_EIGHT(row, column) store8(x + row * x_stride + column, bias != nullptr ? load8(bias + column) : Eight{});
}
REGISTER(fill_rows);

KERNEL(THREADS) copy(const bf16* x, long long x_stride, bf16* y, long long y_stride, int rows, int columns) {
    FOR_EACH_EIGHT(row, column)
        store_whole(y + row * y_stride + column, load_whole<uint4>(x + row * x_stride + column));
}
REGISTER(copy);

KERNEL(THREADS) narrow_to(const float* x, long long x_stride, float factor, bf16* y, long long y_stride, int rows,
                          int columns) {
    FOR_EACH_EIGHT(row, column) {
        Eight a = load8(x + row * x_stride + column);
#pragma unroll
        for (int i = 0; i < 8; ++i) a.at[i] *= factor;
        store8(y + row * y_stride + column, a);
    }
}
REGISTER(narrow_to);

KERNEL(THREADS) widen_to(const bf16* x, long long x_stride, float* y, long long y_stride, int rows, int columns) {
    FOR_EACH_EIGHT(row, column) store8(y + row * y_stride + column, load8(x + row * x_stride + column));
}
REGISTER(widen_to);

// 32 threads side by side take 8 columns each, and 8 such rows of threads every eighth row.
KERNEL(THREADS) column_sums(const bf16* x, long long x_stride, const bf16* y, long long y_stride, const float* moments,
                            int each, const float* factors, float* out, int rows, int columns) {
    SHARED(float, room, THREADS * 8);
    const int lane = threadIdx.x % 32, line = threadIdx.x / 32, column = (blockIdx.x * 32 + lane) * 8;
    Eight sum = {};
    if (column < columns) {
        for (int row = line; row < rows; row += THREADS / 32) {
            const Eight a = load8(x + row * x_stride + column);
            Eight b;
            if (y != nullptr) b = load8(y + row * y_stride + column);
            const float mean = each == 2 ? moments[2ll * row] : 0.0f;
            const float rho = each == 2 ? moments[2ll * row + 1] : each == 1 ? moments[row] : 1.0f;
#pragma unroll
            for (int i = 0; i < 8; ++i) sum.at[i] += y != nullptr ? a.at[i] * ((b.at[i] - mean) * rho) : a.at[i];
        }
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) room[(line * 32 + lane) * 8 + i] = sum.at[i];
    __syncthreads();
    if (line == 0 && column < columns) {
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            float total = 0.0f;
            for (int other = 0; other < THREADS / 32; ++other) total += room[(other * 32 + lane) * 8 + i];
            out[column + i] += factors != nullptr ? factors[column + i] * total : total;
        }
    }
}
REGISTER(column_sums);
