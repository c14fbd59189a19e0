// Draws by counters (SplitMix64, one generator a row), as kernels/src/noise.rs draws them: which elements drop, and the
// 32 bits of each, are the same to the bit; nothing is kept between forward and backward.
//
// Element i of row r has bits = mix(mix(keys[r] ^ stream) + (i / 2 + 1) * GAMMA), the low 32 for even i, else the high.
// Matrices bf16 [rows, columns] with strides of their own; keys: u64 [rows].
// drop_out        y = bits < limit ? 0 : bf16(x * factor). Reads x; writes y (which may be x).
// drop_out_back   dx = bits < limit ? dx : bf16(dx + dy * factor). Reads dy; reads and writes dx.
// add_uniform     x = bf16(x + bound * (bits * 2^-31 - 1)), the noise rounded to f32 first. Reads and writes x.
// Needs   columns and strides multiples of 8, matrices aligned to 16 bytes. limit: 0 .. 2^32.
// Order   every element stands alone: deterministic.
#include "device.cuh"

constexpr int THREADS = 256;
constexpr unsigned long long GAMMA = 0x9e3779b97f4a7c15ull;

__device__ __forceinline__ unsigned long long mix(unsigned long long bits) {
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ull;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebull;
    return bits ^ (bits >> 31);
}

// The bits of eight elements from an even one on.
struct Bits { unsigned at[8]; };
__device__ __forceinline__ Bits draw(unsigned long long state, int column) {
    Bits bits;
#pragma unroll
    for (int pair = 0; pair < 4; ++pair) {
        const unsigned long long word = mix(state + static_cast<unsigned long long>(column / 2 + pair + 1) * GAMMA);
        bits.at[2 * pair] = static_cast<unsigned>(word);
        bits.at[2 * pair + 1] = static_cast<unsigned>(word >> 32);
    }
    return bits;
}

#define FOR_EACH_EIGHT_OF_ROW(column) \
    const unsigned long long state = mix(keys[blockIdx.x] ^ stream); \
    for (int column = (blockIdx.y * THREADS + threadIdx.x) * 8; column < columns; column += gridDim.y * THREADS * 8)

KERNEL(THREADS) drop_out(const bf16* x, long long x_stride, bf16* y, long long y_stride,
                         const unsigned long long* keys, unsigned long long stream, unsigned long long limit,
                         float factor, int columns) {
    FOR_EACH_EIGHT_OF_ROW(column) {
        const Bits bits = draw(state, column);
        Eight v = load8(x + blockIdx.x * x_stride + column);
#pragma unroll
        for (int i = 0; i < 8; ++i) v.at[i] = bits.at[i] < limit ? 0.0f : v.at[i] * factor;
        store8(y + blockIdx.x * y_stride + column, v);
    }
}
REGISTER(drop_out);

KERNEL(THREADS) drop_out_back(const bf16* dy, long long dy_stride, bf16* dx, long long dx_stride,
                              const unsigned long long* keys, unsigned long long stream, unsigned long long limit,
                              float factor, int columns) {
    FOR_EACH_EIGHT_OF_ROW(column) {
        const Bits bits = draw(state, column);
        const Eight d = load8(dy + blockIdx.x * dy_stride + column);
        Eight v = load8(dx + blockIdx.x * dx_stride + column);
#pragma unroll
        for (int i = 0; i < 8; ++i) v.at[i] = bits.at[i] < limit ? v.at[i] : v.at[i] + d.at[i] * factor;
        store8(dx + blockIdx.x * dx_stride + column, v);
    }
}
REGISTER(drop_out_back);

KERNEL(THREADS) add_uniform(bf16* x, long long x_stride, const unsigned long long* keys, unsigned long long stream,
                            double bound, int columns) {
    FOR_EACH_EIGHT_OF_ROW(column) {
        const Bits bits = draw(state, column);
        Eight v = load8(x + blockIdx.x * x_stride + column);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            // 32 bits do not fit an f32: in f64, rounded once.
            const double unit = bits.at[i] * (1.0 / 2147483648.0) - 1.0;
            v.at[i] += static_cast<float>(bound * unit);
        }
        store8(x + blockIdx.x * x_stride + column, v);
    }
}
REGISTER(add_uniform);
