// Tensor cores and asynchronous copies, and tiles of shared memory that both read without conflicts of banks.
//
// A tile has rows of WIDTH bf16, cut into chunks of 16 bytes; chunk c of row r stands at place c ^ (r & 7), or for 96
// columns, whose rows are 1.5 times 128 bytes, at c ^ (r / 2 & 3): any 8 rows of one column of chunks then lie in 8
// different groups of banks, as ldmatrix wants them.
#pragma once
#include "device.cuh"

// 16 bytes to shared memory, without waiting; zeros where it is not valid, and then `from` is not read.
__device__ __forceinline__ void copy_async(bf16* to, const bf16* from, bool valid) {
#if ON_GPU
    const unsigned place = static_cast<unsigned>(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(place), "l"(from), "r"(valid ? 16 : 0) : "memory");
#else
    emulate::copy_async(to, from, valid);
#endif
}
// Closes the group of copies that this thread began since the last call.
__device__ __forceinline__ void commit_copies() {
#if ON_GPU
    asm volatile("cp.async.commit_group;" ::: "memory");
#else
    emulate::commit();
#endif
}
// Waits until at most the PENDING latest groups of this thread are under way.
template <int PENDING> __device__ __forceinline__ void wait_for_copies() {
#if ON_GPU
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
#else
    emulate::wait(PENDING);
#endif
}

struct Quad { unsigned at[4]; };

// Four 8x8 matrices; lane i gives the address of row i % 8 of matrix i / 8.
__device__ __forceinline__ Quad load_matrices(const bf16* row) {
    Quad q;
#if ON_GPU
    const unsigned place = static_cast<unsigned>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(q.at[0]), "=r"(q.at[1]), "=r"(q.at[2]), "=r"(q.at[3]) : "r"(place) : "memory");
#else
    emulate::load_matrices(q.at, row, false);
#endif
    return q;
}
__device__ __forceinline__ Quad load_matrices_transposed(const bf16* row) {
    Quad q;
#if ON_GPU
    const unsigned place = static_cast<unsigned>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(q.at[0]), "=r"(q.at[1]), "=r"(q.at[2]), "=r"(q.at[3]) : "r"(place) : "memory");
#else
    emulate::load_matrices(q.at, row, true);
#endif
    return q;
}

// d[16, 8] += a[16, 16] b[16, 8]; lane l holds rows l / 4 and l / 4 + 8, columns 2 (l % 4) and the next of d.
__device__ __forceinline__ void multiply_add(float (&d)[4], const Quad& a, unsigned b0, unsigned b1) {
#if ON_GPU
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(b0), "r"(b1));
#else
    const unsigned b[2] = {b0, b1};
    emulate::multiply_add(d, a.at, b);
#endif
}

template <int WIDTH> __device__ __forceinline__ bf16* chunk_of(bf16* tile, int row, int chunk) {
    const int place = WIDTH == 96 ? chunk ^ (row / 2 & 3) : chunk ^ (row & 7);
    return tile + row * WIDTH + place * 8;
}

// Begins to copy rows first.. of a matrix to a tile; rows from `end` on become zeros.
template <int WIDTH, int ROWS, int THREADS>
__device__ __forceinline__ void load_tile(bf16* tile, const bf16* from, long long stride, int first, int end) {
    constexpr int CHUNKS = WIDTH / 8;
    static_assert(ROWS * CHUNKS % THREADS == 0, "every thread has as many chunks");
#pragma unroll
    for (int i = 0; i < ROWS * CHUNKS / THREADS; ++i) {
        const int work = i * THREADS + threadIdx.x, row = work / CHUNKS, chunk = work % CHUNKS;
        const bool valid = first + row < end;
        copy_async(chunk_of<WIDTH>(tile, row, chunk), valid ? from + (first + row) * stride + chunk * 8 : from, valid);
    }
}

// Rows row.. row + 15, columns 16 k.. of a tile as the left factor.
template <int WIDTH> __device__ __forceinline__ Quad left_of(bf16* tile, int row, int k) {
    const int lane = threadIdx.x % 32;
    return load_matrices(chunk_of<WIDTH>(tile, row + lane % 16, 2 * k + lane / 16));
}
// Rows row.. row + 15, columns 16 k.. of a tile as two right factors that are its rows turned over: at[0], at[1] for the
// first 8 rows, at[2], at[3] for the others.
template <int WIDTH> __device__ __forceinline__ Quad right_of_rows(bf16* tile, int row, int k) {
    const int lane = threadIdx.x % 32;
    return load_matrices(chunk_of<WIDTH>(tile, row + lane / 16 * 8 + lane % 8, 2 * k + lane / 8 % 2));
}
// Rows row.. row + 15, columns 16 n.. of a tile as two right factors that are its columns: at[0], at[1] for the first 8
// columns, at[2], at[3] for the others.
template <int WIDTH> __device__ __forceinline__ Quad right_of_columns(bf16* tile, int row, int n) {
    const int lane = threadIdx.x % 32;
    return load_matrices_transposed(chunk_of<WIDTH>(tile, row + lane % 16, 2 * n + lane / 16));
}

// Two neighbouring blocks [16, 8] of a result as a left factor [16, 16], rounded to bf16.
__device__ __forceinline__ Quad left_of_results(const float (&first)[4], const float (&second)[4]) {
    return {{narrow2(first[0], first[1]), narrow2(first[2], first[3]), narrow2(second[0], second[1]),
             narrow2(second[2], second[3])}};
}

// scores[m][n] += left[16 m.., :] right[8 n.., :]ᵀ over all columns of two tiles; `row` is this warp's first in left.
template <int WIDTH, int M, int N>
__device__ __forceinline__ void scores_of(float (&scores)[M][N][4], bf16* left, int row, bf16* right) {
    // Unrolled in part: all at once, addresses and fragments loaded ahead do not fit the registers.
    [[maybe_unused]] constexpr int UNROLLED = WIDTH % 64 == 0 ? 4 : 3;
#pragma unroll UNROLLED
    for (int k = 0; k < WIDTH / 16; ++k) {
        Quad a[M];
#pragma unroll
        for (int m = 0; m < M; ++m) a[m] = left_of<WIDTH>(left, row + 16 * m, k);
#pragma unroll
        for (int n = 0; n < N; n += 2) {
            const Quad b = right_of_rows<WIDTH>(right, 8 * n, k);
#pragma unroll
            for (int m = 0; m < M; ++m) {
                multiply_add(scores[m][n], a[m], b.at[0], b.at[1]);
                multiply_add(scores[m][n + 1], a[m], b.at[2], b.at[3]);
            }
        }
    }
}

// sums[m][n] += weights[m] (rounded) right[:, 8 (first + n)..], weights [16 M, 8 K] over the rows of a tile.
template <int WIDTH, int M, int K, int N>
__device__ __forceinline__ void add_products(float (&sums)[M][N][4], const float (&weights)[M][K][4], bf16* right,
                                             int first) {
#pragma unroll
    for (int k = 0; k < K; k += 2) {
        Quad a[M];
#pragma unroll
        for (int m = 0; m < M; ++m) a[m] = left_of_results(weights[m][k], weights[m][k + 1]);
#pragma unroll
        for (int n = 0; n < N; n += 2) {
            const Quad b = right_of_columns<WIDTH>(right, 8 * k, first / 2 + n / 2);
#pragma unroll
            for (int m = 0; m < M; ++m) {
                multiply_add(sums[m][n], a[m], b.at[0], b.at[1]);
                multiply_add(sums[m][n + 1], a[m], b.at[2], b.at[3]);
            }
        }
    }
}

// Writes a warp's results [16 M, 8 N] times a factor a row (factors[m][0] for the upper 8 rows, [1] for the lower) to
// rows of a matrix below `end`, in 16-byte stores by way of `room`, shared memory of 16 M rows of 8 N bf16 that is this
// warp's alone.
template <int M, int N>
__device__ __forceinline__ void store_results(const float (&results)[M][N][4], const float (&factors)[M][2], bf16* room,
                                              bf16* to, long long stride, int first, int end) {
    constexpr int WIDTH = 8 * N;
    const int lane = threadIdx.x % 32;
    __syncwarp();
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
        for (int n = 0; n < N; ++n)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                bf16* chunk = chunk_of<WIDTH>(room, 16 * m + 8 * half + lane / 4, n);
                store_whole(chunk + lane % 4 * 2, narrow2(results[m][n][2 * half] * factors[m][half],
                                                          results[m][n][2 * half + 1] * factors[m][half]));
            }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 16 * M * N / 32; ++i) {
        const int work = i * 32 + lane, row = work / N, chunk = work % N;
        if (first + row < end)
            store_whole(to + (first + row) * stride + chunk * 8, load_whole<uint4>(chunk_of<WIDTH>(room, row, chunk)));
    }
}
