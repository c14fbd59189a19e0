// Attention, forward: causal within segments, grouped queries, a sliding window, softcapped scores, in O(T) memory
// (FlashAttention-2's mathematics, arXiv 2307.08691).
//
// Reads  q [T, heads, E], k, v [T, kv_heads, E]: bf16, head h of token t at t * stride + h * E, strides of their own;
//        tiles: four i32 a tile: first query row, first token of its segment, end of its segment, unused; a tile has the
//        rows first.. first + ROWS that lie before the end. Every row of every segment is in one tile.
// Writes o [T, heads, E]: bf16, o = softmax(mask(z)) v with z = scale * q kᵀ, or cap * tanh(scale * q kᵀ / cap) where
//        cap > 0; token i sees tokens max(segment, i + 1 - window) .. i, all of the segment up to i where window is 0.
//        lse: f32 [heads, T], the logarithm of the sum of e^z.
// Grid   (tiles, heads), 128 threads, SHARED_BYTES of dynamic shared memory.
// Needs  strides multiples of 8, q, k, v, o aligned to 16 bytes, heads a multiple of kv_heads, window >= 0.
// Order  a tile belongs to one block, which walks over keys from first to last: deterministic; the bits of a token depend
//        on its own segment alone, and on where in it its tile of queries begins.
// Sums are in f32; weights are rounded to bf16 for their product with v, and their sum is taken before that.
//
// Work   4 warps of 16 M rows each; tiles of KEYS keys, as many as registers allow. A block's Q stays in shared memory; K of the next tile is copied
//        while weights meet V, and V while scores form.
#include "device.cuh"
#include "mma.cuh"

constexpr int THREADS = 128;

// tanh to a few units in 1e-7, absolutely.
__device__ __forceinline__ float tanh_fast(float x) {
    return 1.0f - 2.0f / (exp2_fast(x * 2.8853900817779268f) + 1.0f);
}

template <int E, int M, int KEYS>
__device__ __forceinline__ void forward(const bf16* q, long long q_stride, const bf16* k, long long k_stride,
                                        const bf16* v, long long v_stride, bf16* o, long long o_stride, float* lse,
                                        const int* tiles, int tokens, int group, float scale, int window, float cap) {
    constexpr int ROWS = 64 * M, BLOCKS = KEYS / 8, COLUMNS = E / 8;
    constexpr float LOG2E = 1.4426950408889634f, LN2 = 0.6931471805599453f;
    DYNAMIC_SHARED(memory);
    bf16* q_tile = reinterpret_cast<bf16*>(memory);
    bf16* k_tile = q_tile + ROWS * E;
    bf16* v_tile = k_tile + KEYS * E;
    const int first = tiles[4 * blockIdx.x], start = tiles[4 * blockIdx.x + 1], end = tiles[4 * blockIdx.x + 2];
    const int head = blockIdx.y, lane = threadIdx.x % 32, warp_row = threadIdx.x / 32 * 16 * M;
    const bf16* keys = k + head / group * E;
    const bf16* values = v + head / group * E;

    const int last = first + ROWS < end ? first + ROWS : end;
    const int low = window > 0 && first + 1 - window > start ? first + 1 - window : start;
    load_tile<E, ROWS, THREADS>(q_tile, q + head * E, q_stride, first, end);
    load_tile<E, KEYS, THREADS>(k_tile, keys, k_stride, low, end);
    commit_copies();

    float out[M][COLUMNS][4] = {}, largest[M][2], sum[M][2] = {};
#pragma unroll
    for (int m = 0; m < M; ++m) largest[m][0] = largest[m][1] = -INFINITY;

    for (int key = low; key < last; key += KEYS) {
        wait_for_copies<0>();
        // K has come, and nobody reads the last V any more.
        __syncthreads();
        load_tile<E, KEYS, THREADS>(v_tile, values, v_stride, key, end);
        commit_copies();
        float scores[M][BLOCKS][4] = {};
        scores_of<E>(scores, q_tile, warp_row, k_tile);

        // In units of log 2 from here on.
        const bool masked = key + KEYS - 1 > first || (window > 0 && key + window <= first + ROWS - 1);
        const float unit = cap > 0.0f ? cap * LOG2E : scale * LOG2E, inner = scale / cap;
        float keep[M][2];
#pragma unroll
        for (int m = 0; m < M; ++m) {
            float most[2] = {largest[m][0], largest[m][1]};
#pragma unroll
            for (int n = 0; n < BLOCKS; ++n)
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    float z = (cap > 0.0f ? tanh_fast(scores[m][n][i] * inner) : scores[m][n][i]) * unit;
                    if (masked) {
                        const int row = first + warp_row + 16 * m + i / 2 * 8 + lane / 4;
                        const int column = key + 8 * n + lane % 4 * 2 + i % 2;
                        if (column > row || (window > 0 && column + window <= row)) z = -INFINITY;
                    }
                    scores[m][n][i] = z;
                    most[i / 2] = fmaxf(most[i / 2], z);
                }
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                // The four lanes that share a row.
                most[half] = fmaxf(most[half], __shfl_xor_sync(0xffffffffu, most[half], 1));
                most[half] = fmaxf(most[half], __shfl_xor_sync(0xffffffffu, most[half], 2));
                // A row that has seen nothing yet keeps its zeros, and makes no infinity less infinity.
                const float base = most[half] == -INFINITY ? 0.0f : most[half];
                keep[m][half] = exp2_fast(largest[m][half] - base);
                largest[m][half] = most[half];
                most[half] = base;
            }
            float added[2] = {};
#pragma unroll
            for (int n = 0; n < BLOCKS; ++n)
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    scores[m][n][i] = exp2_fast(scores[m][n][i] - most[i / 2]);
                    added[i / 2] += scores[m][n][i];
                }
#pragma unroll
            for (int half = 0; half < 2; ++half) sum[m][half] = sum[m][half] * keep[m][half] + added[half];
#pragma unroll
            for (int n = 0; n < COLUMNS; ++n)
#pragma unroll
                for (int i = 0; i < 4; ++i) out[m][n][i] *= keep[m][i / 2];
        }

        wait_for_copies<0>();
        // V has come, and nobody reads this K any more.
        __syncthreads();
        if (key + KEYS < last) load_tile<E, KEYS, THREADS>(k_tile, keys, k_stride, key + KEYS, end);
        commit_copies();
        add_products<E>(out, scores, v_tile, 0);
    }

    float share[M][2];
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float total = sum[m][half];
            total += __shfl_xor_sync(0xffffffffu, total, 1);
            total += __shfl_xor_sync(0xffffffffu, total, 2);
            share[m][half] = 1.0f / total;
            const int row = first + warp_row + 16 * m + 8 * half + lane / 4;
            if (lane % 4 == 0 && row < end)
                lse[static_cast<long long>(head) * tokens + row] = largest[m][half] * LN2 + logf(total);
        }
    // A warp's part of Q is read by that warp alone.
    store_results(out, share, q_tile + warp_row * E, o + head * E, o_stride, first + warp_row, end);
}

#define INSTANCE(E, M, KEYS)                                                                                              \
    KERNEL(THREADS) flash_forward_##E(const bf16* q, long long q_stride, const bf16* k, long long k_stride,          \
                                      const bf16* v, long long v_stride, bf16* o, long long o_stride, float* lse,    \
                                      const int* tiles, int tokens, int group, float scale, int window, float cap) { \
        forward<E, M, KEYS>(q, q_stride, k, k_stride, v, v_stride, o, o_stride, lse, tiles, tokens, group, scale, window,  \
                      cap);                                                                                          \
    }                                                                                                                \
    REGISTER(flash_forward_##E)

INSTANCE(64, 2, 64);
INSTANCE(96, 2, 64);
INSTANCE(128, 2, 32);
INSTANCE(256, 1, 32);
