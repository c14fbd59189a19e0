// Loss of rows of logits against targets, and the gradient in their place.
//
// Reads  logits: bf16, row r at r * stride, `columns` of them; targets: u32 [rows], each below `columns` (a row whose
//        target is beyond gives NaN and reads nothing there).
// Writes nats: f32 [rows], logsumexp(z) - z[target]; correct: u32 [rows], 1 where the target is the first of the largest
//        logits; and where `differentiate` is not 0, logits = bf16((softmax(z) - [target]) * scale * dz/dlogit), in place.
//        Columns from `columns` on are neither read nor written.
// z is multiplier * logit, or, with cap > 0, cap * tanh(multiplier * logit / cap).
// Needs  stride a multiple of 8 and rows aligned to 16 bytes; `columns` may be any number.
// Order  a row belongs to one block, whose threads sum in a fixed order: deterministic. The target's gradient is formed
//        from its own logit before the row is overwritten, behind a barrier.
#include "device.cuh"

constexpr int THREADS = 512;

// The largest value so far, where it stood first, and the sum of e^(z - largest).
struct State { float largest; int place; float sum; };

__device__ __forceinline__ float exponential(float x) { return exp2_fast(x * 1.4426950408889634f); }

__device__ __forceinline__ float shaped(float logit, float multiplier, float cap) {
    const float z = multiplier * logit;
    return cap > 0.0f ? cap * tanhf(z / cap) : z;
}

// dz/dlogit from z.
__device__ __forceinline__ float slope(float z, float multiplier, float cap) {
    return cap > 0.0f ? multiplier * (1.0f - (z / cap) * (z / cap)) : multiplier;
}

__device__ __forceinline__ State both(State a, State b) {
    const bool b_leads = b.largest > a.largest || (b.largest == a.largest && b.place < a.place);
    const State lead = b_leads ? b : a, other = b_leads ? a : b;
    // Where both are minus infinity there is nothing to add, and no difference to take.
    const float add = other.sum == 0.0f ? 0.0f : other.sum * exponential(other.largest - lead.largest);
    return {lead.largest, lead.place, lead.sum + add};
}

__device__ __forceinline__ State warp_state(State mine) {
    for (int mask = 16; mask > 0; mask >>= 1) {
        const State other = {__shfl_xor_sync(0xffffffffu, mine.largest, mask),
                             __shfl_xor_sync(0xffffffffu, mine.place, mask),
                             __shfl_xor_sync(0xffffffffu, mine.sum, mask)};
        // The lower lane stands left on both sides, so that all lanes form the same sum.
        mine = threadIdx.x & mask ? both(other, mine) : both(mine, other);
    }
    return mine;
}

__device__ __forceinline__ void take(State& state, float z, int place) {
    if (z > state.largest) {
        state.sum = state.sum * exponential(state.largest - z) + 1.0f;
        state.largest = z, state.place = place;
    } else {
        // A logit that is no number comes here, and makes the sum none.
        state.sum += z == state.largest ? (z > -INFINITY ? 1.0f : 0.0f) : exponential(z - state.largest);
    }
}

KERNEL(THREADS) cross_entropy(bf16* logits, long long stride, const unsigned* targets, float* nats, unsigned* correct,
                              int columns, float multiplier, float cap, float scale, int differentiate) {
    SHARED(State, states, 32);
    bf16* row = logits + blockIdx.x * stride;
    const int target = static_cast<int>(targets[blockIdx.x]);
    const bool known = target >= 0 && target < columns;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, whole = columns / 8 * 8;

    // Below every place that counts, and beyond every one: whoever has a logit leads.
    State state = {-INFINITY, 0x7fffffff, 0.0f};
    for (int c = threadIdx.x * 8; c < whole; c += THREADS * 8) {
        const Eight v = load8(row + c);
#pragma unroll
        for (int i = 0; i < 8; ++i) take(state, shaped(v.at[i], multiplier, cap), c + i);
    }
    for (int c = whole + threadIdx.x; c < columns; c += THREADS) take(state, shaped(wide(row[c]), multiplier, cap), c);
    state = warp_state(state);
    if (lane == 0) states[warp] = state;
    __syncthreads();
    state = lane < THREADS / 32 ? states[lane] : State{-INFINITY, 0x7fffffff, 0.0f};
    state = warp_state(state);

    const float at_target = known ? shaped(wide(row[target]), multiplier, cap) : INFINITY - INFINITY;
    if (threadIdx.x == 0) {
        nats[blockIdx.x] = logf(state.sum) - (at_target - state.largest);
        correct[blockIdx.x] = known && state.place == target;
    }
    if (differentiate == 0) return;
    // Everyone has read the target's logit; from here on the row is overwritten.
    __syncthreads();
    const float share = 1.0f / state.sum;
    for (int c = threadIdx.x * 8; c < whole; c += THREADS * 8) {
        Eight v = load8(row + c);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const float z = shaped(v.at[i], multiplier, cap);
            const float p = exponential(z - state.largest) * share - (c + i == target ? 1.0f : 0.0f);
            v.at[i] = p * scale * slope(z, multiplier, cap);
        }
        store8(row + c, v);
    }
    for (int c = whole + threadIdx.x; c < columns; c += THREADS) {
        const float z = shaped(wide(row[c]), multiplier, cap);
        const float p = exponential(z - state.largest) * share - (c == target ? 1.0f : 0.0f);
        row[c] = narrow(p * scale * slope(z, multiplier, cap));
    }
}
REGISTER(cross_entropy);
