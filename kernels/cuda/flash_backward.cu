// Attention, backward: the gradients of flash_forward.cu, without atomics.
//
// Layouts and masks as there; dq like q, dk and dv like k, each with a stride of its own; do like o; delta: f32 [heads, T].
//
// attention_delta     delta[h][t] = sum over E of do * o. Grid: one warp for each of T * heads, 8 a block.
// flash_backward_kv_E dk, dv, of tiles of 64 keys (tiles: first key, first token of its segment, end, unused). A block
//                     owns a tile in one key-value head and walks over the query heads that share it and over their rows
//                     from the first key's on, so sums over a group need no second buffer. Grid (tiles, kv_heads).
// flash_backward_q_E  dq, of tiles of 64 query rows. Grid (tiles, heads).
//
// With P = exp(z - lse), dP = do vᵀ, dS = P (dP - delta) dz/d(scale q kᵀ): dv = Pᵀ do, dk = scale dSᵀ q, dq = scale dS k.
// P and dS are rounded to bf16 for these products; all sums are in f32, scaled and rounded at the end.
// Reads q, k, v, do, lse, delta; writes every row of its tile that lies before its segment's end, and nothing else.
// Needs as flash_forward.cu.
// Order  every sum belongs to one block and has a fixed order: deterministic.
//
// Work   4 warps of 16 rows (keys, or queries); for dk and dv of 256 columns 8 warps, of which two share 16 keys and
//        take half of the columns each. What streams by is copied a tile ahead where shared memory allows (STAGES 2).
#include "device.cuh"
#include "mma.cuh"

constexpr int ROWS = 64;
constexpr float LOG2E = 1.4426950408889634f;

__device__ __forceinline__ float tanh_fast(float x) {
    return 1.0f - 2.0f / (exp2_fast(x * 2.8853900817779268f) + 1.0f);
}

// From a score (unscaled), dP and delta of one pair: the weight, and dS.
__device__ __forceinline__ void differentiate(float& score, float& d, bool seen, float lse, float delta, float scale,
                                              float cap) {
    float z = score * scale, slope = 1.0f;
    if (cap > 0.0f) {
        const float t = tanh_fast(z / cap);
        z = cap * t, slope = 1.0f - t * t;
    }
    const float p = seen ? exp2_fast((z - lse) * LOG2E) : 0.0f;
    score = p;
    d = seen ? p * (d - delta) * slope : 0.0f;
}

KERNEL(256) attention_delta(const bf16* o, long long o_stride, const bf16* d_o, long long do_stride, float* delta,
                            int tokens, int heads, int width) {
    const long long work = static_cast<long long>(blockIdx.x) * 8 + threadIdx.x / 32;
    if (work >= static_cast<long long>(tokens) * heads) return;
    const int token = static_cast<int>(work / heads), head = static_cast<int>(work - static_cast<long long>(token) * heads);
    const bf16* a = o + token * o_stride + static_cast<long long>(head) * width;
    const bf16* b = d_o + token * do_stride + static_cast<long long>(head) * width;
    float sum = 0.0f;
    for (int c = threadIdx.x % 32 * 8; c < width; c += 32 * 8) {
        const Eight x = load8(a + c), y = load8(b + c);
#pragma unroll
        for (int i = 0; i < 8; ++i) sum += x.at[i] * y.at[i];
    }
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) delta[static_cast<long long>(head) * tokens + token] = sum;
}
REGISTER(attention_delta);

template <int E, int SPLIT, int QUERIES, int STAGES>
__device__ __forceinline__ void backward_kv(const bf16* q, long long q_stride, const bf16* k, long long k_stride,
                                            const bf16* v, long long v_stride, const bf16* d_o, long long do_stride,
                                            const float* lse, const float* delta, bf16* dk, long long dk_stride,
                                            bf16* dv, long long dv_stride, const int* tiles, int tokens, int group,
                                            float scale, int window, float cap) {
    constexpr int THREADS = 128 * SPLIT, BLOCKS = QUERIES / 8, COLUMNS = E / 8 / SPLIT;
    DYNAMIC_SHARED(memory);
    bf16* k_tile = reinterpret_cast<bf16*>(memory);
    bf16* v_tile = k_tile + ROWS * E;
    bf16* streams = v_tile + ROWS * E;
    float* numbers = reinterpret_cast<float*>(streams + STAGES * 2 * QUERIES * E);
    const int first = tiles[4 * blockIdx.x], end = tiles[4 * blockIdx.x + 2];
    const int kv_head = blockIdx.y, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int warp_row = warp % 4 * 16, part = warp / 4;

    const int last_key = (first + ROWS < end ? first + ROWS : end) - 1;
    const int last_query = window > 0 && last_key + window < end ? last_key + window : end;
    const int tiles_a_head = (last_query - first + QUERIES - 1) / QUERIES, all = tiles_a_head * group;

    const auto load = [&](int i) {
        const int head = kv_head * group + i / tiles_a_head, row = first + i % tiles_a_head * QUERIES;
        bf16* stage = streams + i % STAGES * 2 * QUERIES * E;
        load_tile<E, QUERIES, THREADS>(stage, q + head * E, q_stride, row, end);
        load_tile<E, QUERIES, THREADS>(stage + QUERIES * E, d_o + head * E, do_stride, row, end);
        if (static_cast<int>(threadIdx.x) < QUERIES) {
            const bool valid = row + static_cast<int>(threadIdx.x) < end;
            const long long at = static_cast<long long>(head) * tokens + row + threadIdx.x;
            float* place = numbers + i % STAGES * 2 * QUERIES + threadIdx.x;
            place[0] = valid ? lse[at] : 0.0f;
            place[QUERIES] = valid ? delta[at] : 0.0f;
        }
    };

    load_tile<E, ROWS, THREADS>(k_tile, k + kv_head * E, k_stride, first, end);
    load_tile<E, ROWS, THREADS>(v_tile, v + kv_head * E, v_stride, first, end);
    if (STAGES == 2) load(0);
    commit_copies();

    float sum_k[1][COLUMNS][4] = {}, sum_v[1][COLUMNS][4] = {};
#pragma unroll 1
    for (int i = 0; i < all; ++i) {
        if (STAGES == 1) {
            // Everyone is done with the tile before.
            __syncthreads();
            load(i);
            commit_copies();
        }
        wait_for_copies<0>();
        // The tile has come; with two stages also: everyone is done with the other one.
        __syncthreads();
        if (STAGES == 2 && i + 1 < all) {
            load(i + 1);
            commit_copies();
        }
        bf16* q_tile = streams + i % STAGES * 2 * QUERIES * E;
        bf16* do_tile = q_tile + QUERIES * E;
        const float* row_lse = numbers + i % STAGES * 2 * QUERIES;
        const int row = first + i % tiles_a_head * QUERIES;
        // Keys are rows here, and queries columns.
        float weights[1][BLOCKS][4] = {}, d_scores[1][BLOCKS][4] = {};
        scores_of<E>(weights, k_tile, warp_row, q_tile);
        scores_of<E>(d_scores, v_tile, warp_row, do_tile);
#pragma unroll
        for (int n = 0; n < BLOCKS; ++n)
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                const int key = first + warp_row + j / 2 * 8 + lane / 4, column = 8 * n + lane % 4 * 2 + j % 2;
                const int query = row + column;
                const bool seen = key <= query && query < end && (window <= 0 || key + window > query);
                differentiate(weights[0][n][j], d_scores[0][n][j], seen, row_lse[column], row_lse[QUERIES + column],
                              scale, cap);
            }
        add_products<E>(sum_v, weights, do_tile, part * COLUMNS);
        add_products<E>(sum_k, d_scores, q_tile, part * COLUMNS);
    }

    // The keys' own tile becomes room for results: everyone is done with it.
    __syncthreads();
    bf16* room = k_tile + warp_row * E + part * 16 * 8 * COLUMNS;
    const int column = kv_head * E + part * 8 * COLUMNS;
    const float scales[1][2] = {{scale, scale}}, ones[1][2] = {{1.0f, 1.0f}};
    store_results(sum_k, scales, room, dk + column, dk_stride, first + warp_row, end);
    store_results(sum_v, ones, room, dv + column, dv_stride, first + warp_row, end);
}

template <int E, int KEYS, int STAGES>
__device__ __forceinline__ void backward_q(const bf16* q, long long q_stride, const bf16* k, long long k_stride,
                                           const bf16* v, long long v_stride, const bf16* d_o, long long do_stride,
                                           const float* lse, const float* delta, bf16* dq, long long dq_stride,
                                           const int* tiles, int tokens, int group, float scale, int window, float cap) {
    constexpr int THREADS = 128, BLOCKS = KEYS / 8, COLUMNS = E / 8;
    DYNAMIC_SHARED(memory);
    bf16* q_tile = reinterpret_cast<bf16*>(memory);
    bf16* do_tile = q_tile + ROWS * E;
    bf16* streams = do_tile + ROWS * E;
    const int first = tiles[4 * blockIdx.x], start = tiles[4 * blockIdx.x + 1], end = tiles[4 * blockIdx.x + 2];
    const int head = blockIdx.y, lane = threadIdx.x % 32, warp_row = threadIdx.x / 32 * 16;
    const bf16* keys = k + head / group * E;
    const bf16* values = v + head / group * E;

    const int last = first + ROWS < end ? first + ROWS : end;
    const int low = window > 0 && first + 1 - window > start ? first + 1 - window : start;
    const int all = (last - low + KEYS - 1) / KEYS;
    const auto load = [&](int i) {
        bf16* stage = streams + i % STAGES * 2 * KEYS * E;
        load_tile<E, KEYS, THREADS>(stage, keys, k_stride, low + i * KEYS, end);
        load_tile<E, KEYS, THREADS>(stage + KEYS * E, values, v_stride, low + i * KEYS, end);
    };

    load_tile<E, ROWS, THREADS>(q_tile, q + head * E, q_stride, first, end);
    load_tile<E, ROWS, THREADS>(do_tile, d_o + head * E, do_stride, first, end);
    if (STAGES == 2) load(0);
    commit_copies();

    float row_lse[2], row_delta[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int row = first + warp_row + 8 * half + lane / 4;
        const long long at = static_cast<long long>(head) * tokens + row;
        row_lse[half] = row < end ? lse[at] : 0.0f;
        row_delta[half] = row < end ? delta[at] : 0.0f;
    }
    float sum[1][COLUMNS][4] = {};
#pragma unroll 1
    for (int i = 0; i < all; ++i) {
        if (STAGES == 1) {
            __syncthreads();
            load(i);
            commit_copies();
        }
        wait_for_copies<0>();
        __syncthreads();
        if (STAGES == 2 && i + 1 < all) {
            load(i + 1);
            commit_copies();
        }
        bf16* k_tile = streams + i % STAGES * 2 * KEYS * E;
        float scores[1][BLOCKS][4] = {}, d_scores[1][BLOCKS][4] = {};
        scores_of<E>(scores, q_tile, warp_row, k_tile);
        scores_of<E>(d_scores, do_tile, warp_row, k_tile + KEYS * E);
#pragma unroll
        for (int n = 0; n < BLOCKS; ++n)
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                const int query = first + warp_row + j / 2 * 8 + lane / 4;
                const int key = low + i * KEYS + 8 * n + lane % 4 * 2 + j % 2;
                const bool seen = key <= query && query < end && (window <= 0 || key + window > query);
                differentiate(scores[0][n][j], d_scores[0][n][j], seen, row_lse[j / 2], row_delta[j / 2], scale, cap);
            }
        add_products<E>(sum, d_scores, k_tile, 0);
    }
    // A warp's part of Q is read by that warp alone.
    const float scales[1][2] = {{scale, scale}};
    store_results(sum, scales, q_tile + warp_row * E, dq + head * E, dq_stride, first + warp_row, end);
}

#define INSTANCE(E, SPLIT, QUERIES, KEYS, STAGES)                                                                    \
    KERNEL(128 * SPLIT) flash_backward_kv_##E(                                                                        \
        const bf16* q, long long q_stride, const bf16* k, long long k_stride, const bf16* v, long long v_stride,      \
        const bf16* d_o, long long do_stride, const float* lse, const float* delta, bf16* dk, long long dk_stride,    \
        bf16* dv, long long dv_stride, const int* tiles, int tokens, int group, float scale, int window, float cap) { \
        backward_kv<E, SPLIT, QUERIES, STAGES>(q, q_stride, k, k_stride, v, v_stride, d_o, do_stride, lse, delta,    \
                                                dk, dk_stride, dv, dv_stride, tiles, tokens, group, scale, window,    \
                                                cap);                                                                 \
    }                                                                                                                 \
    REGISTER(flash_backward_kv_##E);                                                                                  \
    KERNEL(128, 2) flash_backward_q_##E(                                                                              \
        const bf16* q, long long q_stride, const bf16* k, long long k_stride, const bf16* v, long long v_stride,      \
        const bf16* d_o, long long do_stride, const float* lse, const float* delta, bf16* dq, long long dq_stride,    \
        const int* tiles, int tokens, int group, float scale, int window, float cap) {                                \
        backward_q<E, KEYS, STAGES>(q, q_stride, k, k_stride, v, v_stride, d_o, do_stride, lse, delta, dq,        \
                                        dq_stride, tiles, tokens, group, scale, window, cap);                         \
    }                                                                                                                 \
    REGISTER(flash_backward_q_##E)

INSTANCE(64, 1, 64, 64, 2);
INSTANCE(96, 1, 64, 64, 2);
INSTANCE(128, 1, 32, 64, 2);
INSTANCE(256, 2, 32, 32, 1);
