// NF4 to bf16 in one launch, double quantisation decoded on the way.
//
// Reads  codes: u8, two elements a byte, the first in the high half, row-major [.., columns];
//        the magnitudes of blocks of 2^block_log2 consecutive elements, either plain (f32, one a block) or nested:
//        map[nested_codes[b]] * nested_absmax[b >> nested_log2] + offset, product and sum rounded apart as the CPU's.
// Writes out[r * stride + c], bf16, r < rows, c < columns: elements first + r * columns + c of the tensor, each
//        bf16(CODE[index] * magnitude), the product rounded to f32 first: bit for bit what the CPU twin
//        (kernels/src/nf4) gives, rounded. Nothing else of `out` is touched.
// Needs  columns, first and stride multiples of 8, blocks of at least 8 elements, `out` aligned to 16 bytes, `codes` to 4.
// Order  every element stands alone: deterministic.
// Work   a thread turns 4 bytes into one 16-byte store, GROUPS of them with all loads in flight at once; the threads
//        of a warp stand side by side, so both sides are coalesced. Bound: 2.516 bytes an element of memory traffic.
#include "device.cuh"

constexpr int THREADS = 256;
constexpr int GROUPS = 4;

__device__ const float CODE[16] = {
    -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
    -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
    0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
    0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f};

KERNEL(THREADS) nf4_dequantize(const unsigned char* codes, const float* plain, const unsigned char* nested_codes,
                               const float* nested_absmax, const float* map, float offset, int block_log2,
                               int nested_log2, long long first, int columns, int groups, bf16* out,
                               long long stride) {
    SHARED(float, code, 16);
    SHARED(float, magnitudes, 256);
    if (threadIdx.x < 16) code[threadIdx.x] = CODE[threadIdx.x];
    if (plain == nullptr) magnitudes[threadIdx.x] = map[threadIdx.x];
    __syncthreads();
    const int begin = blockIdx.x * THREADS * GROUPS + threadIdx.x;
    unsigned packed[GROUPS];
    float scale[GROUPS];
#pragma unroll
    for (int i = 0; i < GROUPS; ++i) {
        const int group = begin + i * THREADS;
        if (group >= groups) continue;
        const long long element = first + group * 8ll, block = element >> block_log2;
        packed[i] = load_whole<unsigned>(codes + element / 2);
        scale[i] = plain != nullptr ? plain[block]
                                    : magnitudes[nested_codes[block]] * nested_absmax[block >> nested_log2] + offset;
    }
#pragma unroll
    for (int i = 0; i < GROUPS; ++i) {
        const int group = begin + i * THREADS;
        if (group >= groups) continue;
        Eight value;
#pragma unroll
        for (int j = 0; j < 8; ++j) {
            // Byte j / 2 of the word; its high half is the even element.
            const unsigned index = packed[i] >> (j / 2 * 8 + (j % 2 == 0 ? 4 : 0)) & 15;
            value.at[j] = code[index] * scale[i];
        }
        const int per_row = columns / 8, row = group / per_row;
        store8(out + row * stride + (group - row * per_row) * 8, value);
    }
}
REGISTER(nf4_dequantize);
