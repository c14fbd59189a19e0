// Softmax over strips of scores, and its gradient: attention for head widths that flash_forward.cu has no instance of,
// and an oracle for it. Products are cuBLAS'.
//
// A strip has, for each of `heads` heads, `rows` rows of `keys` scores: element (h, r, c) at (h * rows + r) * stride + c.
// Row r is token first + r, column c is token low + c; it is seen if it is at most the row's token and, where window is
// not 0, more than token - window. z = scale * score, or cap * tanh(scale * score / cap) where cap > 0.
//
// softmax_forward   Reads scores: f32. Writes p = bf16(softmax(z)), unseen columns 0, all `keys` of them; lse: f32, the
//                   logarithm of the sum of e^z of head h and token t at (lse_head + h * lse_step) * tokens + t.
// softmax_backward  Reads scores, d (dL/dp): f32; lse and delta (same places). Writes p = bf16(e^(z - lse)) and
//                   ds = bf16(p (d - delta) dz/d(scale * score)), unseen columns 0.
// p and ds are bf16 strips of the same layout, with a stride of their own (`out_stride`).
// Needs  every row to see at least one column.
// Order  a row belongs to one block, whose threads sum in a fixed order: deterministic.
#include "device.cuh"

constexpr int THREADS = 256;

__device__ __forceinline__ float exponential(float x) { return exp2_fast(x * 1.4426950408889634f); }

__device__ __forceinline__ float shaped(float score, float scale, float cap) {
    const float z = score * scale;
    return cap > 0.0f ? cap * tanhf(z / cap) : z;
}

// Which columns of a row are seen, and where its numbers stand.
struct Row {
    int begin, end;
    long long at, out, number;
    __device__ Row(long long stride, long long out_stride, int rows, int first, int low, int window, int lse_head,
                   int lse_step, int tokens) {
        const int row = blockIdx.x, head = blockIdx.y, token = first + row;
        end = token + 1 - low;
        begin = window > 0 && token + 1 - window > low ? token + 1 - window - low : 0;
        at = (static_cast<long long>(head) * rows + row) * stride;
        out = (static_cast<long long>(head) * rows + row) * out_stride;
        number = static_cast<long long>(lse_head + head * lse_step) * tokens + token;
    }
};

KERNEL(THREADS) softmax_forward(const float* scores, long long stride, bf16* p, long long out_stride, float* lse,
                                int rows, int keys, int first, int low, int window, int lse_head, int lse_step,
                                int tokens, float scale, float cap) {
    SHARED(float, room, 32);
    const Row row(stride, out_stride, rows, first, low, window, lse_head, lse_step, tokens);
    float most = -INFINITY;
    for (int c = row.begin + threadIdx.x; c < row.end; c += THREADS) {
        const float z = shaped(scores[row.at + c], scale, cap);
        most = z > most ? z : most;
    }
    most = warp_max(most);
    if (threadIdx.x % 32 == 0) room[threadIdx.x / 32] = most;
    __syncthreads();
    most = warp_max(threadIdx.x % 32 < THREADS / 32 ? room[threadIdx.x % 32] : -INFINITY);
    __syncthreads();
    float sum = 0.0f;
    for (int c = row.begin + threadIdx.x; c < row.end; c += THREADS)
        sum += exponential(shaped(scores[row.at + c], scale, cap) - most);
    sum = block_sum(sum, room);
    const float share = 1.0f / sum;
    for (int c = threadIdx.x; c < keys; c += THREADS) {
        const bool seen = c >= row.begin && c < row.end;
        p[row.out + c] = narrow(seen ? exponential(shaped(scores[row.at + c], scale, cap) - most) * share : 0.0f);
    }
    if (threadIdx.x == 0) lse[row.number] = most + logf(sum);
}
REGISTER(softmax_forward);

KERNEL(THREADS) softmax_backward(const float* scores, const float* d, long long stride, bf16* p, bf16* ds,
                                 long long out_stride, const float* lse, const float* delta, int rows, int keys,
                                 int first, int low, int window, int lse_head, int lse_step, int tokens, float scale,
                                 float cap) {
    const Row row(stride, out_stride, rows, first, low, window, lse_head, lse_step, tokens);
    const float total = lse[row.number], mean = delta[row.number];
    for (int c = threadIdx.x; c < keys; c += THREADS) {
        float weight = 0.0f, slope = 0.0f;
        if (c >= row.begin && c < row.end) {
            const float z = shaped(scores[row.at + c], scale, cap);
            weight = exponential(z - total);
            slope = weight * (d[row.at + c] - mean) * (cap > 0.0f ? 1.0f - (z / cap) * (z / cap) : 1.0f);
        }
        p[row.out + c] = narrow(weight);
        ds[row.out + c] = narrow(slope);
    }
}
REGISTER(softmax_backward);
