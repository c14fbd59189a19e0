// The activations of an MLP, plain f(e) and gated f(e) * g, forward, and backward in place.
//
// Matrices are bf16 [rows, columns] with strides of their own, so that e and g may be halves of one product and h may
// have LoRA's columns behind it. f is SiLU, GELU by the error function, or GELU by tanh; arithmetic in f32.
// Needs  columns and strides multiples of 8, matrices aligned to 16 bytes.
// Order  every element stands alone: deterministic.
//
// ..._gated           h = bf16(f(e) * g). Reads e, g; writes h.
// ..._gated_backward  Reads d = dL/dh, e, g and writes, in place, d = h again, e = dL/de = d g f'(e), g = dL/dg = d f(e),
//                     each rounded from the f32 of the old values: what the gradients of the next products need.
// ..._plain           h = bf16(f(e)). Reads e; writes h.
// ..._plain_backward  Reads d, e and writes, in place, d = h again, e = dL/de = d f'(e).
#include "device.cuh"

constexpr int THREADS = 256;

struct Curve { float value, slope; };

__device__ __forceinline__ float exponential(float x) { return exp2_fast(x * 1.4426950408889634f); }

struct Silu {
    static __device__ __forceinline__ Curve at(float x) {
        const float s = 1.0f / (1.0f + exponential(-x));
        return {x * s, s * (1.0f + x * (1.0f - s))};
    }
};
struct Gelu {
    static __device__ __forceinline__ Curve at(float x) {
        const float normal = 0.5f * (1.0f + erff(x * 0.70710678118654752f));
        return {x * normal, normal + x * 0.3989422804014327f * exponential(-0.5f * x * x)};
    }
};
struct GeluTanh {
    static __device__ __forceinline__ Curve at(float x) {
        constexpr float SCALE = 0.7978845608028654f, CUBE = 0.044715f;
        const float t = tanhf(SCALE * (x + CUBE * x * x * x));
        const float inner = SCALE * (1.0f + 3.0f * CUBE * x * x);
        return {0.5f * x * (1.0f + t), 0.5f * (1.0f + t + x * (1.0f - t * t) * inner)};
    }
};

// Where a thread works: eight columns of a row, and so on by whole grids.
#define FOR_EACH_EIGHT(row, column)                                                                            \
    const int per_row = columns / 8;                                                                           \
    const long long all = static_cast<long long>(rows) * per_row, step = static_cast<long long>(gridDim.x) * THREADS; \
    for (long long work = static_cast<long long>(blockIdx.x) * THREADS + threadIdx.x, row = work / per_row,    \
                   column = (work - row * per_row) * 8;                                                        \
         work < all; work += step, row = work / per_row, column = (work - row * per_row) * 8)

template <class F, bool GATED>
__device__ __forceinline__ void forward(const bf16* e, long long e_stride, const bf16* g, long long g_stride, bf16* h,
                                        long long h_stride, int rows, int columns) {
    FOR_EACH_EIGHT(row, column) {
        const Eight x = load8(e + row * e_stride + column);
        Eight gate, out;
        if (GATED) gate = load8(g + row * g_stride + column);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const float f = F::at(x.at[i]).value;
            out.at[i] = GATED ? f * gate.at[i] : f;
        }
        store8(h + row * h_stride + column, out);
    }
}

template <class F, bool GATED>
__device__ __forceinline__ void backward(bf16* d, long long d_stride, bf16* e, long long e_stride, bf16* g,
                                         long long g_stride, int rows, int columns) {
    FOR_EACH_EIGHT(row, column) {
        Eight up = load8(d + row * d_stride + column), x = load8(e + row * e_stride + column), gate;
        if (GATED) gate = load8(g + row * g_stride + column);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const Curve f = F::at(x.at[i]);
            const float dh = up.at[i];
            if (GATED) {
                const float old = gate.at[i];
                up.at[i] = f.value * old;
                x.at[i] = dh * old * f.slope;
                gate.at[i] = dh * f.value;
            } else {
                up.at[i] = f.value;
                x.at[i] = dh * f.slope;
            }
        }
        store8(d + row * d_stride + column, up), store8(e + row * e_stride + column, x);
        if (GATED) store8(g + row * g_stride + column, gate);
    }
}

#define INSTANCE(name, curve)                                                                                         \
    KERNEL(THREADS) name##_gated(const bf16* e, long long e_stride, const bf16* g, long long g_stride, bf16* h,       \
                                 long long h_stride, int rows, int columns) {                                         \
        forward<curve, true>(e, e_stride, g, g_stride, h, h_stride, rows, columns);                                   \
    }                                                                                                                 \
    REGISTER(name##_gated);                                                                                           \
    KERNEL(THREADS) name##_plain(const bf16* e, long long e_stride, bf16* h, long long h_stride, int rows,            \
                                 int columns) {                                                                       \
        forward<curve, false>(e, e_stride, nullptr, 0, h, h_stride, rows, columns);                                   \
    }                                                                                                                 \
    REGISTER(name##_plain);                                                                                           \
    KERNEL(THREADS) name##_gated_backward(bf16* d, long long d_stride, bf16* e, long long e_stride, bf16* g,          \
                                          long long g_stride, int rows, int columns) {                                \
        backward<curve, true>(d, d_stride, e, e_stride, g, g_stride, rows, columns);                                  \
    }                                                                                                                 \
    REGISTER(name##_gated_backward);                                                                                  \
    KERNEL(THREADS) name##_plain_backward(bf16* d, long long d_stride, bf16* e, long long e_stride, int rows,         \
                                          int columns) {                                                              \
        backward<curve, false>(d, d_stride, e, e_stride, nullptr, 0, rows, columns);                                  \
    }                                                                                                                 \
    REGISTER(name##_plain_backward)

INSTANCE(silu, Silu);
INSTANCE(gelu, Gelu);
INSTANCE(gelu_tanh, GeluTanh);
