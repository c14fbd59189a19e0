// Attention of new tokens over the keys and values that are kept of what came before them: answering.
//
// cached_attention  Reads q: bf16, row i with `heads` heads of `width` elements at i * q_stride; keys and values: bf16, a
//                   row a token of the cache, key-value head h at row * stride + h * width; first, count: int, of token i:
//                   the cache row of the earliest key of its document, and how many it sees up to itself; NaN where those are
//                   not among the `rows` of the cache. Writes o: bf16,
//                   row i at i * o_stride. z = scale * q · k, or cap * tanh(scale * q · k / cap) where cap > 0; with
//                   window > 0 the last `window` keys are seen.
// Needs  width a multiple of 8, at most 256; rows at 16 bytes; count at least 1; heads a multiple of kv_heads.
// Order  a block has one token and one head; it sums over keys in their order in chunks: deterministic, and the same
//        whatever else is in the batch.
#include "device.cuh"

constexpr int THREADS = 128;
// Keys whose scores stand in shared memory at a time.
constexpr int CHUNK = 256;
constexpr int WIDEST = 256;

__device__ __forceinline__ float exponential(float x) { return exp2_fast(x * 1.4426950408889634f); }

KERNEL(THREADS) cached_attention(const bf16* q, long long q_stride, const bf16* keys, const bf16* values, long long stride, int rows,
                                 const int* first, const int* count, bf16* o, long long o_stride, int heads, int kv_heads,
                                 int width, int window, float scale, float cap) {
    SHARED(float, query, WIDEST);
    SHARED(float, weights, CHUNK);
    SHARED(float, room, 32);
    const int token = blockIdx.x, head = blockIdx.y, thread = threadIdx.x;
    const long long column = static_cast<long long>(head / (heads / kv_heads)) * width;
    const bf16* const own = q + token * q_stride + static_cast<long long>(head) * width;
    for (int e = thread; e < width; e += THREADS) query[e] = wide(own[e]);
    __syncthreads();
    const long long row = first[token];
    // Of keys that are not in the cache none is read: the sum of no weights makes the result NaN.
    const int seen = row >= 0 && count[token] >= 1 && row + count[token] <= rows ? count[token] : 0;
    const int begin = window > 0 && seen > window ? seen - window : 0;
    float most = -INFINITY, sum = 0.0f, out[WIDEST / THREADS];
    for (int part = 0; part < WIDEST / THREADS; ++part) out[part] = 0.0f;
    for (int start = begin; start < seen; start += CHUNK) {
        const int chunk = seen - start < CHUNK ? seen - start : CHUNK;
        float highest = -INFINITY;
        for (int j = thread; j < chunk; j += THREADS) {
            const bf16* const key = keys + (row + start + j) * stride + column;
            float score = 0.0f;
            for (int e = 0; e < width; e += 8) {
                const Eight k = load8(key + e);
                for (int i = 0; i < 8; ++i) score = fmaf(query[e + i], k.at[i], score);
            }
            score *= scale;
            if (cap > 0.0f) score = cap * tanhf(score / cap);
            weights[j] = score;
            highest = score > highest ? score : highest;
        }
        highest = warp_max(highest);
        if (thread % 32 == 0) room[thread / 32] = highest;
        __syncthreads();
        highest = warp_max(thread % 32 < THREADS / 32 ? room[thread % 32] : -INFINITY);
        const float now = highest > most ? highest : most;
        const float factor = exponential(most - now);
        most = now;
        __syncthreads();
        float added = 0.0f;
        for (int j = thread; j < chunk; j += THREADS) {
            const float weight = exponential(weights[j] - most);
            weights[j] = weight;
            added += weight;
        }
        sum = sum * factor + block_sum(added, room);
        for (int part = 0; part < WIDEST / THREADS; ++part) {
            const int e = thread + part * THREADS;
            if (e >= width) break;
            float total = out[part] * factor;
#pragma unroll 4
            for (int j = 0; j < chunk; ++j)
                total = fmaf(weights[j], wide(values[(row + start + j) * stride + column + e]), total);
            out[part] = total;
        }
        __syncthreads();
    }
    bf16* const to = o + token * o_stride + static_cast<long long>(head) * width;
    for (int part = 0; part < WIDEST / THREADS; ++part) {
        const int e = thread + part * THREADS;
        if (e < width) to[e] = narrow(out[part] / sum);
    }
}
REGISTER(cached_attention);
