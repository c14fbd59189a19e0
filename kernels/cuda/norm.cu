// RMSNorm and LayerNorm by rows, forward with the residual sum, again from saved moments, and backward into the
// residual's gradient.
//
// Rows   row r of a matrix stands at (r / heads) * stride + (r % heads) * width, so that the heads of a projection are
//        rows of their own (qk-norm); `heads` is 1 otherwise. Matrices are bf16, weight and bias f32 [width].
// Needs  width and strides multiples of 8, matrices aligned to 16 bytes, weight and bias to 16.
// Order  a row belongs to one block (or one warp, kernels ..._narrow, 8 rows a block), whose threads sum in a fixed
//        order: deterministic, and the same bits for every number of rows.
//
// norm_forward   x: read; delta: read, or null; with delta, sum = bf16(x + delta) is written to `sum` (which may be x)
//                and normed, else x is. y = bf16(weight * (h - mean) * rho + bias); moments: f32, [rows] of rho for RMS,
//                [rows, 2] of (mean, rho) with mean for LayerNorm; written. rho = 1 / sqrt(mean of squares + epsilon).
// norm_again     y as above from x and moments: the same bits.
// norm_backward  dx[r] = bf16(dx[r] + rho * (g - mean(g) - n * mean(g n))), g = dy * weight, n = (h - mean) * rho; RMS
//                without mean(g). x: what was normed; dy, moments: read; dx: read and written.
#include "device.cuh"

constexpr int THREADS = 256;

// The threads that share a row: all of a block, or a warp.
template <bool WARP> struct Team {
    int row, member, members;
    float* room;
    __device__ Team(float* room) : room(room) {
        row = WARP ? blockIdx.x * (THREADS / 32) + threadIdx.x / 32 : blockIdx.x;
        member = WARP ? threadIdx.x % 32 : threadIdx.x;
        members = WARP ? 32 : THREADS;
    }
    __device__ float sum(float x) const { return WARP ? warp_sum(x) : block_sum(x, room); }
};

__device__ __forceinline__ long long place(int row, int heads, long long stride, int width) {
    return heads == 1 ? row * stride : (row / heads) * stride + static_cast<long long>(row % heads) * width;
}

template <bool CENTRED>
__device__ __forceinline__ void scale_row(const bf16* x, const float* weight, const float* bias, float mean, float rho,
                                          bf16* y, int width, int member, int members) {
    for (int c = member * 8; c < width; c += members * 8) {
        const Eight v = load8(x + c), w = load8(weight + c);
        Eight out;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            out.at[i] = CENTRED ? w.at[i] * ((v.at[i] - mean) * rho) : w.at[i] * (v.at[i] * rho);
        }
        if (CENTRED) {
            const Eight b = load8(bias + c);
#pragma unroll
            for (int i = 0; i < 8; ++i) out.at[i] = out.at[i] + b.at[i];
        }
        store8(y + c, out);
    }
}

template <bool CENTRED, bool WARP>
__device__ __forceinline__ void forward(const bf16* x, long long x_stride, const bf16* delta, long long delta_stride,
                                        bf16* sum, long long sum_stride, const float* weight, const float* bias,
                                        float epsilon, bf16* y, long long y_stride, float* moments, int rows, int heads,
                                        int width) {
    SHARED(float, room, 32);
    const Team<WARP> team(room);
    // Whole warps leave, and with them whole teams.
    if (team.row >= rows) return;
    const bf16* h = x + place(team.row, heads, x_stride, width);
    if (delta != nullptr) {
        const bf16* added = delta + place(team.row, heads, delta_stride, width);
        bf16* out = sum + place(team.row, heads, sum_stride, width);
        for (int c = team.member * 8; c < width; c += team.members * 8) {
            Eight v = load8(h + c);
            const Eight d = load8(added + c);
#pragma unroll
            for (int i = 0; i < 8; ++i) v.at[i] = v.at[i] + d.at[i];
            store8(out + c, v);
        }
        // A thread reads below only what it wrote here.
        h = out;
    }
    float first = 0.0f, squares = 0.0f, mean = 0.0f;
    if (CENTRED) {
        for (int c = team.member * 8; c < width; c += team.members * 8) {
            const Eight v = load8(h + c);
#pragma unroll
            for (int i = 0; i < 8; ++i) first += v.at[i];
        }
        mean = team.sum(first) / width;
    }
    for (int c = team.member * 8; c < width; c += team.members * 8) {
        const Eight v = load8(h + c);
#pragma unroll
        for (int i = 0; i < 8; ++i) squares += (v.at[i] - mean) * (v.at[i] - mean);
    }
    const float rho = 1.0f / sqrtf(team.sum(squares) / width + epsilon);
    if (team.member == 0) {
        if (CENTRED) moments[2ll * team.row] = mean, moments[2ll * team.row + 1] = rho;
        else moments[team.row] = rho;
    }
    scale_row<CENTRED>(h, weight, bias, mean, rho, y + place(team.row, heads, y_stride, width), width, team.member,
                       team.members);
}

template <bool CENTRED, bool WARP>
__device__ __forceinline__ void again(const bf16* x, long long x_stride, const float* weight, const float* bias,
                                      const float* moments, bf16* y, long long y_stride, int rows, int heads,
                                      int width) {
    const Team<WARP> team(nullptr);
    if (team.row >= rows) return;
    const float mean = CENTRED ? moments[2ll * team.row] : 0.0f;
    const float rho = CENTRED ? moments[2ll * team.row + 1] : moments[team.row];
    scale_row<CENTRED>(x + place(team.row, heads, x_stride, width), weight, bias, mean, rho,
                       y + place(team.row, heads, y_stride, width), width, team.member, team.members);
}

template <bool CENTRED, bool WARP>
__device__ __forceinline__ void backward(const bf16* x, long long x_stride, const float* weight, const float* moments,
                                         const bf16* dy, long long dy_stride, bf16* dx, long long dx_stride, int rows,
                                         int heads, int width) {
    SHARED(float, room, 32);
    const Team<WARP> team(room);
    if (team.row >= rows) return;
    const float mean = CENTRED ? moments[2ll * team.row] : 0.0f;
    const float rho = CENTRED ? moments[2ll * team.row + 1] : moments[team.row];
    const bf16* h = x + place(team.row, heads, x_stride, width);
    const bf16* d = dy + place(team.row, heads, dy_stride, width);
    bf16* out = dx + place(team.row, heads, dx_stride, width);
    float sum = 0.0f, dot = 0.0f;
    for (int c = team.member * 8; c < width; c += team.members * 8) {
        const Eight v = load8(h + c), g = load8(d + c), w = load8(weight + c);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const float scaled = g.at[i] * w.at[i];
            sum += scaled;
            dot += scaled * ((v.at[i] - mean) * rho);
        }
    }
    const float mean_g = CENTRED ? team.sum(sum) / width : 0.0f;
    const float mean_gn = team.sum(dot) / width;
    for (int c = team.member * 8; c < width; c += team.members * 8) {
        const Eight v = load8(h + c), g = load8(d + c), w = load8(weight + c);
        Eight old = load8(out + c);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const float n = (v.at[i] - mean) * rho;
            old.at[i] += rho * (g.at[i] * w.at[i] - mean_g - n * mean_gn);
        }
        store8(out + c, old);
    }
}

#define INSTANCE(name, centred, warp)                                                                                \
    KERNEL(THREADS) name##_forward(const bf16* x, long long x_stride, const bf16* delta, long long delta_stride,      \
                                   bf16* sum, long long sum_stride, const float* weight, const float* bias,           \
                                   float epsilon, bf16* y, long long y_stride, float* moments, int rows, int heads,   \
                                   int width) {                                                                       \
        forward<centred, warp>(x, x_stride, delta, delta_stride, sum, sum_stride, weight, bias, epsilon, y, y_stride, \
                               moments, rows, heads, width);                                                          \
    }                                                                                                                 \
    REGISTER(name##_forward);                                                                                         \
    KERNEL(THREADS) name##_again(const bf16* x, long long x_stride, const float* weight, const float* bias,           \
                                 const float* moments, bf16* y, long long y_stride, int rows, int heads, int width) { \
        again<centred, warp>(x, x_stride, weight, bias, moments, y, y_stride, rows, heads, width);                    \
    }                                                                                                                 \
    REGISTER(name##_again);                                                                                           \
    KERNEL(THREADS) name##_backward(const bf16* x, long long x_stride, const float* weight, const float* moments,     \
                                    const bf16* dy, long long dy_stride, bf16* dx, long long dx_stride, int rows,     \
                                    int heads, int width) {                                                           \
        backward<centred, warp>(x, x_stride, weight, moments, dy, dy_stride, dx, dx_stride, rows, heads, width);      \
    }                                                                                                                 \
    REGISTER(name##_backward)

INSTANCE(rms_norm, false, false);
INSTANCE(rms_norm_narrow, false, true);
INSTANCE(layer_norm, true, false);
INSTANCE(layer_norm_narrow, true, true);
