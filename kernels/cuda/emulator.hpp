// CUDA's model on a CPU, for tests alone: the kernels of this folder compile as C++ under this header and run block
// by block, every thread a fibre, so that indices, masks, fragment layouts and barriers can be held against the
// kernels' twins where there is no GPU.
//
// What it finds: results that are wrong; barriers that some threads do not reach (reported, not hung); missing
// barriers and waits, since a test runs each kernel under several schedules (order of warps and lanes, copies done at
// once or as late as they may be); reads of shared memory that nobody wrote (it is filled with NaN); vector accesses
// that are not aligned. What it cannot find: how fast anything is, and what a compiler for GPUs makes of it.
#pragma once
#include <csetjmp>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>
#include <ucontext.h>

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define KERNEL(...) extern "C" void
#define REGISTER(name) static emulate::Registration register_##name(#name, &name)
#define SHARED(type, name, count) \
    type* name = static_cast<type*>(emulate::shared(__COUNTER__, sizeof(type) * (count)))
#define DYNAMIC_SHARED(name) unsigned char* name = emulate::run.dynamic

struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };

namespace emulate {

struct Dimensions { unsigned x, y, z; };
enum class State { Ready, AtWarp, AtBlock, Done };
struct Copy { void* to; const void* from; bool valid; };
struct Fibre {
    ucontext_t start;
    jmp_buf at;
    bool begun = false;
    State state = State::Ready;
    unsigned operation = 0;  // Which warp operation comes next: even and odd ones use different slots.
    std::vector<std::vector<Copy>> groups;
    std::vector<Copy> open;
};
union Slot { unsigned word[8]; float number[8]; const void* address; };
struct Warp { Slot slot[2][32]; int arrived = 0; };

constexpr size_t STACK_BYTES = 64 * 1024;
constexpr size_t GUARD_BYTES = 64;

struct Run {
    std::vector<Fibre> fibres;
    std::vector<Warp> warps;
    std::vector<unsigned char> stacks, dynamic_storage;
    std::map<int, std::vector<unsigned char>> shared;
    unsigned char* dynamic = nullptr;
    size_t dynamic_bytes = 0;
    jmp_buf scheduler;
    unsigned current = 0, schedule = 0, random = 1;
    void (*body)() = nullptr;
    std::string error;
};
inline Run run;
inline Dimensions thread_index, block_index, block_size, grid_size;

// Bit 0: warps and lanes from the last to the first. Bit 1: asynchronous copies happen at the wait, not at once.
// Bit 2: warps take turns at every warp operation, in a random order.
inline bool backwards() { return run.schedule & 1; }
inline bool late_copies() { return run.schedule & 2; }
inline bool turns() { return run.schedule & 4; }

inline void fail(const std::string& what) {
    if (run.error.empty()) {
        char where[96];
        snprintf(where, sizeof where, " (block %u,%u, thread %u)", block_index.x, block_index.y, run.current);
        run.error = what + where;
    }
    _longjmp(run.scheduler, 2);
}

inline void* shared(int place, size_t bytes) {
    auto& storage = run.shared[place];
    if (storage.empty()) storage.assign(bytes + GUARD_BYTES + 16, 0xff);
    return reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(storage.data()) + 15) / 16 * 16);
}

inline void pause(State state) {
    Fibre& fibre = run.fibres[run.current];
    fibre.state = state;
    if (_setjmp(fibre.at) == 0) _longjmp(run.scheduler, 1);
}

inline void entry() {
    run.body();
    run.fibres[run.current].state = State::Done;
    _longjmp(run.scheduler, 1);
}

// Leaves a value for the warp, waits for all 32 lanes, and gives their values.
inline const Slot* exchange(const Slot& mine) {
    Warp& warp = run.warps[run.current / 32];
    const unsigned parity = run.fibres[run.current].operation++ & 1;
    warp.slot[parity][run.current % 32] = mine;
    if (++warp.arrived == 32) {
        warp.arrived = 0;
        for (unsigned lane = 0; lane < 32; ++lane) run.fibres[run.current / 32 * 32 + lane].state = State::Ready;
    } else {
        pause(State::AtWarp);
    }
    return warp.slot[parity];
}

inline void resume(unsigned thread) {
    Fibre& fibre = run.fibres[thread];
    run.current = thread;
    thread_index = {thread % block_size.x, thread / block_size.x % block_size.y, thread / block_size.x / block_size.y};
    if (_setjmp(run.scheduler) == 0) {
        if (fibre.begun) _longjmp(fibre.at, 1);
        fibre.begun = true;
        setcontext(&fibre.start);
    }
}

inline unsigned next_random() { return run.random = run.random * 1664525u + 1013904223u, run.random >> 8; }

// One round over the warps; whether any thread moved.
inline bool round() {
    bool moved = false;
    const unsigned warps = run.warps.size(), first = turns() ? next_random() % warps : 0;
    for (unsigned i = 0; i < warps && run.error.empty(); ++i) {
        const unsigned warp = ((backwards() ? warps - 1 - i : i) + first) % warps;
        bool again = true;
        while (again && run.error.empty()) {
            again = false;
            for (unsigned j = 0; j < 32 && run.error.empty(); ++j) {
                const unsigned thread = warp * 32 + (backwards() ? 31 - j : j);
                if (run.fibres[thread].state == State::Ready) resume(thread), moved = true, again = !turns();
            }
        }
    }
    return moved;
}

inline void run_block(unsigned threads) {
    run.shared.clear();
    memset(run.dynamic_storage.data(), 0xff, run.dynamic_storage.size());
    for (auto& warp : run.warps) warp.arrived = 0;
    for (unsigned thread = 0; thread < threads; ++thread) {
        Fibre& fibre = run.fibres[thread];
        fibre.begun = false, fibre.state = State::Ready, fibre.operation = 0;
        fibre.groups.clear(), fibre.open.clear();
        getcontext(&fibre.start);
        fibre.start.uc_stack.ss_sp = run.stacks.data() + thread * STACK_BYTES;
        fibre.start.uc_stack.ss_size = STACK_BYTES;
        fibre.start.uc_link = nullptr;
        makecontext(&fibre.start, entry, 0);
    }
    for (;;) {
        const bool moved = round();
        if (!run.error.empty()) return;
        unsigned done = 0, at_block = 0;
        for (auto& fibre : run.fibres) done += fibre.state == State::Done, at_block += fibre.state == State::AtBlock;
        if (done == threads) break;
        if (at_block == threads) {
            for (auto& fibre : run.fibres) fibre.state = State::Ready;
        } else if (!moved) {
            run.error = "threads wait at a barrier that others do not reach";
            return;
        }
    }
    for (auto& [place, storage] : run.shared)
        for (size_t i = storage.size() - 16; i < storage.size() && run.error.empty(); ++i)
            if (storage[i] != 0xff) run.error = "a write behind a shared array";
    for (size_t i = 0; i < GUARD_BYTES; ++i)
        if (run.dynamic[run.dynamic_bytes + i] != 0xff && run.error.empty())
            run.error = "a write behind the dynamic shared memory";
}

template <class T> struct Kind;
template <class T> struct Kind<T*> { static constexpr char letter = 'p'; };
template <> struct Kind<int> { static constexpr char letter = 'i'; };
template <> struct Kind<unsigned> { static constexpr char letter = 'u'; };
template <> struct Kind<long long> { static constexpr char letter = 'l'; };
template <> struct Kind<unsigned long long> { static constexpr char letter = 'L'; };
template <> struct Kind<float> { static constexpr char letter = 'f'; };
template <> struct Kind<double> { static constexpr char letter = 'd'; };

struct Entry {
    std::string kinds;
    void* kernel;
    void (*call)(void* kernel, void** parameters);
};
inline std::map<std::string, Entry>& entries() { static std::map<std::string, Entry> all; return all; }
inline const Entry* entry_now;
inline void** parameters_now;

struct Registration {
    template <class... T> Registration(const char* name, void (*kernel)(T...)) {
        add(name, kernel, std::index_sequence_for<T...>());
    }
    template <class... T, size_t... I> void add(const char* name, void (*kernel)(T...), std::index_sequence<I...>) {
        entries()[name] = {std::string{Kind<T>::letter...}, reinterpret_cast<void*>(kernel),
                           [](void* kernel, void** parameters) {
                               reinterpret_cast<void (*)(T...)>(kernel)(*static_cast<T*>(parameters[I])...);
                           }};
    }
};

}  // namespace emulate

#define threadIdx emulate::thread_index
#define blockIdx emulate::block_index
#define blockDim emulate::block_size
#define gridDim emulate::grid_size

inline void __syncthreads() { emulate::pause(emulate::State::AtBlock); }
inline void __syncwarp() { emulate::exchange({}); }
inline float __shfl_xor_sync(unsigned, float value, int mask) {
    emulate::Slot mine; mine.number[0] = value;
    const unsigned lane = emulate::run.current % 32;
    return emulate::exchange(mine)[lane ^ mask].number[0];
}
inline int __shfl_xor_sync(unsigned, int value, int mask) {
    emulate::Slot mine; mine.word[0] = value;
    const unsigned lane = emulate::run.current % 32;
    return static_cast<int>(emulate::exchange(mine)[lane ^ mask].word[0]);
}
inline unsigned __ballot_sync(unsigned, bool mine) {
    emulate::Slot slot; slot.word[0] = mine;
    const emulate::Slot* all = emulate::exchange(slot);
    unsigned bits = 0;
    for (unsigned lane = 0; lane < 32; ++lane) bits |= (all[lane].word[0] & 1u) << lane;
    return bits;
}
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline float __uint_as_float(unsigned bits) { float value; memcpy(&value, &bits, 4); return value; }
inline unsigned __float_as_uint(float value) { unsigned bits; memcpy(&bits, &value, 4); return bits; }

namespace emulate {
inline void check_aligned(const void* address, size_t bytes) {
    if (reinterpret_cast<uintptr_t>(address) % bytes != 0) fail("an access that is not aligned");
}
inline void perform(const Copy& copy) {
    if (copy.valid) memcpy(copy.to, copy.from, 16); else memset(copy.to, 0, 16);
}
inline void copy_async(void* to, const void* from, bool valid) {
    check_aligned(to, 16);
    if (valid) check_aligned(from, 16);
    if (late_copies()) run.fibres[run.current].open.push_back({to, from, valid}); else perform({to, from, valid});
}
inline void commit() {
    Fibre& fibre = run.fibres[run.current];
    fibre.groups.push_back(std::move(fibre.open));
    fibre.open.clear();
}
inline void wait(size_t pending) {
    auto& groups = run.fibres[run.current].groups;
    while (groups.size() > pending) {
        for (const Copy& copy : groups.front()) perform(copy);
        groups.erase(groups.begin());
    }
}

// ldmatrix: lane i's address is row i % 8 of matrix i / 8; lane l gets elements 2 (l % 4) and the next of row l / 4, or,
// transposed, of column l / 4.
inline void load_matrices(unsigned* out, const void* row, bool transposed) {
    check_aligned(row, 16);
    Slot mine;
    mine.address = row;
    const Slot* all = exchange(mine);
    const unsigned lane = run.current % 32, group = lane / 4, pair = lane % 4 * 2;
    for (unsigned matrix = 0; matrix < 4; ++matrix) {
        const auto at = [&](unsigned i, unsigned j) {
            return static_cast<unsigned>(static_cast<const unsigned short*>(all[matrix * 8 + i].address)[j]);
        };
        out[matrix] = transposed ? at(pair, group) | at(pair + 1, group) << 16 : at(group, pair) | at(group, pair + 1) << 16;
    }
}

// mma.m16n8k16: d += a b in f32, a [16, 16] by rows, b [16, 8] by columns, as PTX's manual lays their fragments out.
inline void multiply_add(float* d, const unsigned* a, const unsigned* b) {
    Slot mine;
    for (int i = 0; i < 4; ++i) mine.word[i] = a[i];
    mine.word[4] = b[0], mine.word[5] = b[1];
    const Slot* all = exchange(mine);
    const unsigned lane = run.current % 32, group = lane / 4, pair = lane % 4 * 2;
    const auto half = [](unsigned word, unsigned k) { return __uint_as_float(k % 2 ? word & 0xffff0000u : word << 16); };
    for (unsigned i = 0; i < 4; ++i) {
        const unsigned row = group + i / 2 * 8, column = pair + i % 2;
        float sum = 0.0f;
        for (unsigned k = 0; k < 16; ++k) {
            const unsigned holder = k % 8 / 2;
            sum += half(all[row % 8 * 4 + holder].word[row / 8 + k / 8 * 2], k) * half(all[column * 4 + holder].word[4 + k / 8], k);
        }
        d[i] += sum;
    }
}
}  // namespace emulate

// Gives nothing, or what went wrong. `kinds` says what the caller takes the parameters for, letter by letter.
extern "C" __attribute__((visibility("default"))) const char* emulate_launch(const char* kernel, const unsigned* grid, const unsigned* block,
                                      unsigned long long shared_bytes, void** parameters, const char* kinds,
                                      unsigned schedule) {
    using namespace emulate;
    static std::string message;
    const auto found = entries().find(kernel);
    if (found == entries().end()) return (message = std::string("no such kernel: ") + kernel).c_str();
    if (found->second.kinds != kinds)
        return (message = std::string(kernel) + " takes " + found->second.kinds + ", not " + kinds).c_str();
    const unsigned threads = block[0] * block[1] * block[2];
    if (threads == 0 || threads % 32 != 0 || threads > 1024) return "a block is 1 to 32 whole warps";
    entry_now = &found->second, parameters_now = parameters;
    run.body = [] { entry_now->call(entry_now->kernel, parameters_now); };
    run.schedule = schedule, run.random = schedule + 1, run.error.clear();
    run.fibres.resize(threads), run.warps.resize(threads / 32), run.stacks.resize(threads * STACK_BYTES);
    run.dynamic_storage.resize(shared_bytes + 2 * GUARD_BYTES);
    const auto begin = reinterpret_cast<uintptr_t>(run.dynamic_storage.data());
    run.dynamic = reinterpret_cast<unsigned char*>((begin + GUARD_BYTES - 1) / GUARD_BYTES * GUARD_BYTES);
    run.dynamic_bytes = shared_bytes;
    block_size = {block[0], block[1], block[2]}, grid_size = {grid[0], grid[1], grid[2]};
    for (unsigned z = 0; z < grid[2]; ++z)
        for (unsigned y = 0; y < grid[1]; ++y)
            for (unsigned x = 0; x < grid[0]; ++x) {
                block_index = {x, y, z};
                run_block(threads);
                if (!run.error.empty()) return (message = std::string(kernel) + ": " + run.error).c_str();
            }
    return nullptr;
}
