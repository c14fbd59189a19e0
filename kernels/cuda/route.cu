// Which experts a token goes to, and with which weight; and which tokens an expert gets.
//
// route_forward   logits: f32 [tokens, experts], become the probabilities in place; chosen: u32 [tokens, per_token] and
//                 weights: f32 [tokens, per_token], written: the largest, the first of equal ones first; weights are
//                 divided by their sum where `normalized` is not 0. As the CPU twin (kernels/src/route.rs), one thread a
//                 token, in its order of sums.
// route_backward  d_logits: f32 [tokens, experts], written, from p, chosen, weights as route_forward wrote them and
//                 d_weights: f32 [tokens, per_token]. Which experts are chosen is taken as given.
// route_lists     For expert e: rows[e * tokens ..]: u32, the tokens that chose it, ascending; places[e * tokens ..]: u32,
//                 where in `chosen` each stands; counts[e]: u32. One warp an expert; what lies behind a count stays.
// Needs   1 <= per_token <= experts; a token chooses an expert at most once.
// Order   a token, or an expert, belongs to one thread, or warp: deterministic.
#include "device.cuh"

constexpr int THREADS = 128;

KERNEL(THREADS) route_forward(float* logits, unsigned* chosen, float* weights, int tokens, int experts, int per_token,
                              int normalized) {
    const int token = blockIdx.x * THREADS + threadIdx.x;
    if (token >= tokens) return;
    float* p = logits + static_cast<long long>(token) * experts;
    unsigned* mine = chosen + static_cast<long long>(token) * per_token;
    float* weight = weights + static_cast<long long>(token) * per_token;
    float most = -INFINITY, sum = 0.0f;
    for (int e = 0; e < experts; ++e) most = p[e] > most ? p[e] : most;
    for (int e = 0; e < experts; ++e) p[e] = expf(p[e] - most), sum += p[e];
    for (int e = 0; e < experts; ++e) p[e] /= sum;
    float kept = 0.0f;
    for (int place = 0; place < per_token; ++place) {
        int best = -1;
        for (int e = 0; e < experts; ++e) {
            bool taken = false;
            for (int i = 0; i < place; ++i) taken = taken || mine[i] == static_cast<unsigned>(e);
            if (!taken && (best < 0 || p[e] > p[best])) best = e;
        }
        mine[place] = best;
        weight[place] = p[best];
        kept += p[best];
    }
    if (normalized != 0)
        for (int place = 0; place < per_token; ++place) weight[place] /= kept;
}
REGISTER(route_forward);

KERNEL(THREADS) route_backward(const float* probabilities, const unsigned* chosen, const float* weights,
                               const float* d_weights, float* d_logits, int tokens, int experts, int per_token,
                               int normalized) {
    const int token = blockIdx.x * THREADS + threadIdx.x;
    if (token >= tokens) return;
    const float* p = probabilities + static_cast<long long>(token) * experts;
    float* d = d_logits + static_cast<long long>(token) * experts;
    const long long first = static_cast<long long>(token) * per_token;
    float kept = 1.0f, mean = 0.0f, dot = 0.0f;
    // An expert that there is not would be a place in another token's row: what comes of it is no number instead.
    bool known = true;
    for (int i = 0; i < per_token; ++i) known = known && chosen[first + i] < static_cast<unsigned>(experts);
    if (!known) {
        for (int e = 0; e < experts; ++e) d[e] = INFINITY - INFINITY;
        return;
    }
    if (normalized != 0) {
        kept = 0.0f;
        for (int i = 0; i < per_token; ++i) {
            kept += p[chosen[first + i]];
            mean += weights[first + i] * d_weights[first + i];
        }
    }
    for (int e = 0; e < experts; ++e) d[e] = 0.0f;
    for (int i = 0; i < per_token; ++i) d[chosen[first + i]] = (d_weights[first + i] - mean) / kept;
    for (int e = 0; e < experts; ++e) dot += p[e] * d[e];
    for (int e = 0; e < experts; ++e) d[e] = p[e] * (d[e] - dot);
}
REGISTER(route_backward);

KERNEL(32) route_lists(const unsigned* chosen, unsigned* rows, unsigned* places, unsigned* counts, int tokens,
                       int per_token) {
    const unsigned expert = blockIdx.x, lane = threadIdx.x;
    unsigned* my_rows = rows + static_cast<long long>(expert) * tokens;
    unsigned* my_places = places + static_cast<long long>(expert) * tokens;
    const int all = tokens * per_token;
    unsigned count = 0;
    for (int first = 0; first < all; first += 32) {
        const int place = first + lane;
        const bool mine = place < all && chosen[place] == expert;
        const unsigned who = __ballot_sync(0xffffffffu, mine);
        if (mine) {
            const unsigned at = count + __popc(who & ((1u << lane) - 1));
            // A token that chose an expert twice must not write into the next expert's list.
            if (at < static_cast<unsigned>(tokens)) {
                my_rows[at] = place / per_token;
                my_places[at] = place;
            }
        }
        count += __popc(who);
    }
    if (lane == 0) counts[expert] = count;
}
REGISTER(route_lists);
