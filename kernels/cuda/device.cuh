// What every kernel of this folder uses: bf16, 16-byte accesses, sums over warps and blocks, and, each in one function
// with two bodies, the few instructions that C++ has no words for. Under NVRTC the bodies are PTX; under a C++ compiler
// they are emulator.hpp's, so that the same files run in tests on a CPU.
//
// All files are compiled without contraction of products and sums (--fmad=false): a fused one is written `fmaf`.
#pragma once
#ifdef __CUDACC_RTC__
#define KERNEL(...) extern "C" __global__ void __launch_bounds__(__VA_ARGS__)
#define REGISTER(name)
#define SHARED(type, name, count) __shared__ __align__(16) type name[count]
#define DYNAMIC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]
#define INFINITY __int_as_float(0x7f800000)
#define ON_GPU 1
#else
#include "emulator.hpp"
#define ON_GPU 0
#endif

// The upper half of an f32.
struct bf16 { unsigned short bits; };

__device__ __forceinline__ float wide(bf16 x) { return __uint_as_float(static_cast<unsigned>(x.bits) << 16); }

// Two f32 rounded to the nearest bf16 (ties to even), the first in the low half.
__device__ __forceinline__ unsigned narrow2(float low, float high) {
#if ON_GPU
    unsigned both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
#else
    const float values[2] = {low, high};
    unsigned halves[2];
    for (int i = 0; i < 2; ++i) {
        const unsigned bits = __float_as_uint(values[i]);
        halves[i] = values[i] != values[i] ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    }
    return halves[0] | halves[1] << 16;
#endif
}

__device__ __forceinline__ bf16 narrow(float x) { return {static_cast<unsigned short>(narrow2(x, 0.0f))}; }
__device__ __forceinline__ float low_of(unsigned both) { return __uint_as_float(both << 16); }
__device__ __forceinline__ float high_of(unsigned both) { return __uint_as_float(both & 0xffff0000u); }

// Eight neighbouring elements, in registers as f32.
struct Eight { float at[8]; };

template <class T> __device__ __forceinline__ T load_whole(const void* from) {
#if !ON_GPU
    emulate::check_aligned(from, sizeof(T));
#endif
    return *static_cast<const T*>(from);
}
template <class T> __device__ __forceinline__ void store_whole(void* to, T value) {
#if !ON_GPU
    emulate::check_aligned(to, sizeof(T));
#endif
    *static_cast<T*>(to) = value;
}
__device__ __forceinline__ Eight unpack(uint4 v) {
    return {{low_of(v.x), high_of(v.x), low_of(v.y), high_of(v.y), low_of(v.z), high_of(v.z), low_of(v.w), high_of(v.w)}};
}
__device__ __forceinline__ uint4 pack(const Eight& v) {
    uint4 out;
    out.x = narrow2(v.at[0], v.at[1]), out.y = narrow2(v.at[2], v.at[3]);
    out.z = narrow2(v.at[4], v.at[5]), out.w = narrow2(v.at[6], v.at[7]);
    return out;
}
// One access of 16 bytes.
__device__ __forceinline__ Eight load8(const bf16* from) { return unpack(load_whole<uint4>(from)); }
__device__ __forceinline__ void store8(bf16* to, const Eight& v) { store_whole(to, pack(v)); }
// Two accesses of 16 bytes.
__device__ __forceinline__ Eight load8(const float* from) {
    const uint4 a = load_whole<uint4>(from), b = load_whole<uint4>(from + 4);
    return {{__uint_as_float(a.x), __uint_as_float(a.y), __uint_as_float(a.z), __uint_as_float(a.w),
             __uint_as_float(b.x), __uint_as_float(b.y), __uint_as_float(b.z), __uint_as_float(b.w)}};
}
__device__ __forceinline__ void store8(float* to, const Eight& v) {
    uint4 a, b;
    a.x = __float_as_uint(v.at[0]), a.y = __float_as_uint(v.at[1]);
    a.z = __float_as_uint(v.at[2]), a.w = __float_as_uint(v.at[3]);
    b.x = __float_as_uint(v.at[4]), b.y = __float_as_uint(v.at[5]);
    b.z = __float_as_uint(v.at[6]), b.w = __float_as_uint(v.at[7]);
    store_whole(to, a), store_whole(to + 4, b);
}

// The sum over a warp, in every lane; the order is fixed, and the same in every lane since addition commutes.
__device__ __forceinline__ float warp_sum(float x) {
    for (int mask = 16; mask > 0; mask >>= 1) x += __shfl_xor_sync(0xffffffffu, x, mask);
    return x;
}
__device__ __forceinline__ float warp_max(float x) {
    for (int mask = 16; mask > 0; mask >>= 1) {
        const float other = __shfl_xor_sync(0xffffffffu, x, mask);
        x = other > x ? other : x;
    }
    return x;
}

// The sum over a block of whole warps, in every thread; `room` is 32 floats of shared memory, free again on return.
__device__ __forceinline__ float block_sum(float x, float* room) {
    x = warp_sum(x);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    if (lane == 0) room[warp] = x;
    __syncthreads();
    x = warp_sum(lane < warps ? room[lane] : 0.0f);
    __syncthreads();
    return x;
}

// 2^x, within 2 ulp, subnormal results zero.
__device__ __forceinline__ float exp2_fast(float x) {
#if ON_GPU
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#else
    const float y = exp2f(x);
    return y < 1.17549435e-38f ? 0.0f : y;
#endif
}
