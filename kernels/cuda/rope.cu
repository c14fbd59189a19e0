// Rotary position embedding in place, half-split pairs (i, i + pairs) of every head.
//
// Reads  x: bf16, head h of token t at t * stride + h * width; cosines, sines: f32 [positions, pairs]; positions: u32
//        [tokens], each below the table's number of positions (a token beyond it becomes NaN: nothing is read there).
// Writes x[i] = bf16(x[i] c - x[i + pairs] s), x[i + pairs] = bf16(x[i + pairs] c + x[i] s), s times `sign`: 1 forth,
//        -1 back. Elements from 2 * pairs on stay as they are (partial rope).
// Needs  2 * pairs <= width. rope_eight: pairs, width and stride multiples of 8, x aligned to 16 bytes, the table to 16.
// Order  every pair stands alone: deterministic.
// Work   rope_eight: a thread turns 8 pairs with 16-byte accesses; rope_one: a thread turns one pair.
#include "device.cuh"

constexpr int THREADS = 256;

template <int N>
__device__ __forceinline__ void turn(bf16* x, long long stride, const float* cosines, const float* sines,
                                     const unsigned* positions, int table_positions, float sign, int tokens, int heads,
                                     int width, int pairs) {
    const int parts = pairs / N, a_token = heads * parts;
    // Blocks walk on by a whole grid, so that a token's index needs no more than 32 bits.
    for (int token = blockIdx.x; token < tokens; token += gridDim.x) {
        const unsigned position = positions[token];
        const bool known = position < static_cast<unsigned>(table_positions);
        for (int work = threadIdx.x; work < a_token; work += THREADS) {
            const int head = work / parts, pair = (work - head * parts) * N;
            bf16* low = x + token * stride + static_cast<long long>(head) * width + pair;
            const long long at = known ? static_cast<long long>(position) * pairs + pair : pair;
            const float nothing = known ? 0.0f : INFINITY - INFINITY;
            if (N == 8) {
                Eight a = load8(low), b = load8(low + pairs);
                const Eight c = load8(cosines + at), s = load8(sines + at);
#pragma unroll
                for (int i = 0; i < 8; ++i) {
                    const float x0 = a.at[i], x1 = b.at[i], sine = s.at[i] * sign;
                    a.at[i] = x0 * c.at[i] - x1 * sine + nothing;
                    b.at[i] = x1 * c.at[i] + x0 * sine + nothing;
                }
                store8(low, a), store8(low + pairs, b);
            } else {
                const float x0 = wide(low[0]), x1 = wide(low[pairs]), c = cosines[at], sine = sines[at] * sign;
                low[0] = narrow(x0 * c - x1 * sine + nothing);
                low[pairs] = narrow(x1 * c + x0 * sine + nothing);
            }
        }
    }
}

KERNEL(THREADS) rope_eight(bf16* x, long long stride, const float* cosines, const float* sines,
                           const unsigned* positions, int table_positions, float sign, int tokens, int heads, int width,
                           int pairs) {
    turn<8>(x, stride, cosines, sines, positions, table_positions, sign, tokens, heads, width, pairs);
}
REGISTER(rope_eight);

KERNEL(THREADS) rope_one(bf16* x, long long stride, const float* cosines, const float* sines,
                         const unsigned* positions, int table_positions, float sign, int tokens, int heads, int width,
                         int pairs) {
    turn<1>(x, stride, cosines, sines, positions, table_positions, sign, tokens, heads, width, pairs);
}
REGISTER(rope_one);
