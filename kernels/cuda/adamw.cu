// AdamW over one flat buffer, and the global norm that clipping needs, which stays on the device.
//
// squares   partial[b] = sum of squares of gradients[b * CHUNK ..][.. CHUNK], f64; one block a chunk.
// clip      One block: state[0] = norm = sqrt(sum of partial, in order) * scale, f64; state[1] = the factor on the
//           gradients, scale * min(1, most / (norm + 1e-6)) (clip_grad_norm_), or scale where most is 0; f64.
// update    p, g, m, v: f32 [count]; g read, the others read and written, in the operations and the order of the CPU twin
//           (kernels/src/adamw.rs), each rounded to f32: the same bits. shadow: bf16 [count] or null, written, p rounded.
//           A norm that is not finite changes nothing: the host reads it and stops.
// Needs     p, g, m, v, shadow aligned to 16 bytes.
// Order     chunks have a fixed size, and every sum a fixed order: deterministic.
#include "device.cuh"

constexpr int THREADS = 256;
constexpr int CHUNK = 16384;

// The sum over a block in a fixed order, in thread 0.
__device__ __forceinline__ double block_sum_wide(double x, double* room) {
    room[threadIdx.x] = x;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (static_cast<int>(threadIdx.x) < half) room[threadIdx.x] += room[threadIdx.x + half];
    }
    return room[0];
}

KERNEL(THREADS) squares(const float* gradients, long long count, double* partial) {
    SHARED(double, room, THREADS);
    const long long first = static_cast<long long>(blockIdx.x) * CHUNK;
    double sum = 0.0;
    for (long long i = first + threadIdx.x; i < first + CHUNK && i < count; i += THREADS) {
        const double g = gradients[i];
        sum += g * g;
    }
    sum = block_sum_wide(sum, room);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}
REGISTER(squares);

KERNEL(THREADS) clip(const double* partial, int count, float scale, float most, double* state) {
    SHARED(double, room, THREADS);
    double sum = 0.0;
    for (int i = threadIdx.x; i < count; i += THREADS) sum += partial[i];
    sum = block_sum_wide(sum, room);
    if (threadIdx.x == 0) {
        const double norm = sqrt(sum) * scale, ratio = most / (norm + 1e-6);
        state[0] = norm;
        state[1] = most > 0.0f && ratio < 1.0 ? scale * ratio : scale;
    }
}
REGISTER(clip);

struct Rates { float keep, step_size, root2, blend1, beta2, blend2, epsilon, factor; };

__device__ __forceinline__ void one(float& p, float g, float& m, float& v, const Rates& r) {
    g = g * r.factor;
    p = p * r.keep;
    m = m + (g - m) * r.blend1;
    v = v * r.beta2 + g * g * r.blend2;
    p = p - r.step_size * m / (sqrtf(v) / r.root2 + r.epsilon);
}

KERNEL(THREADS) update(float* p, const float* g, float* m, float* v, bf16* shadow, long long count, const double* state,
                       float keep, float step_size, float root2, float blend1, float beta2, float blend2,
                       float epsilon) {
    const double norm = state[0];
    // Neither infinite nor NaN.
    if (!(norm <= 1.7976931348623157e308)) return;
    const Rates rates = {keep, step_size, root2, blend1, beta2, blend2, epsilon, static_cast<float>(state[1])};
    const long long at = (static_cast<long long>(blockIdx.x) * THREADS + threadIdx.x) * 8;
    if (at + 8 <= count) {
        Eight parameter = load8(p + at), first = load8(m + at), second = load8(v + at);
        const Eight gradient = load8(g + at);
#pragma unroll
        for (int i = 0; i < 8; ++i) one(parameter.at[i], gradient.at[i], first.at[i], second.at[i], rates);
        store8(p + at, parameter), store8(m + at, first), store8(v + at, second);
        if (shadow != nullptr) store8(shadow + at, parameter);
    } else {
        for (long long i = at; i < count; ++i) {
            one(p[i], g[i], m[i], v[i], rates);
            if (shadow != nullptr) shadow[i] = narrow(p[i]);
        }
    }
}
REGISTER(update);
