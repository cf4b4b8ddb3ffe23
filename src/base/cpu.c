/* cpu.c - processor features by cpuid and xgetbv. */
#include "base/cpu.h"
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __x86_64__
#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif
#endif

static cpu_info info;

#ifdef __x86_64__
static uint64_t enabled_state(void)     /* XCR0: which registers the system saves */
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static bool tiles_allowed(void)
{
#if defined(__linux__) && defined(SYS_arch_prctl)
    enum { REQUEST_XSTATE = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_XSTATE, TILE_DATA) == 0;
#else
    return false;
#endif
}

static void features(void)
{
    uint32_t a, b, c, d, max = __get_cpuid_max(0, NULL), brand[12];
    if (max < 7)
        return;
    __cpuid(1, a, b, c, d);
    bool saves = c >> 27 & 1, fma = c >> 12 & 1, f16c = c >> 29 & 1, avx = c >> 28 & 1;
    uint64_t state = saves ? enabled_state() : 0;
    __cpuid_count(7, 0, a, b, c, d);
    bool ymm = (state & 6) == 6, zmm = (state & 0xe6) == 0xe6, tiles = (state >> 17 & 3) == 3;
    bool avx512 = (b >> 16 & 1) && (b >> 17 & 1) && (b >> 30 & 1) && (b >> 31 & 1);
    if (ymm && avx && fma && f16c && (b >> 5 & 1))
        info.isa = zmm && avx512 ? ISA_AVX512 : ISA_AVX2;
    if (info.isa == ISA_AVX512) {
        info.vnni = c >> 11 & 1;
        bool amx = tiles && (d >> 22 & 1) && (d >> 24 & 1);
        if (a >= 1) {
            __cpuid_count(7, 1, a, b, c, d);
            info.bf16 = a >> 5 & 1;
        }
        info.amx = amx && info.bf16 && tiles_allowed();      /* packs by AVX512-BF16; no processor has AMX alone */
    }
    __cpuid(0x80000000, a, b, c, d);
    if (a >= 0x80000004) {
        for (uint32_t i = 0; i < 3; i++)
            __cpuid(0x80000002 + i, brand[4 * i], brand[4 * i + 1], brand[4 * i + 2], brand[4 * i + 3]);
        memcpy(info.name, brand, sizeof brand);
    }
}
#else
static void features(void) {}
#endif

static size_t cache(int name, size_t otherwise)
{
    long n = sysconf(name);
    return n > 0 ? (size_t)n : otherwise;
}

static void look(void)
{
    static const char *const names[] = { "plain", "avx2", "avx512" };
    const char *wanted = getenv("TIMM_ISA");

    features();
    for (int i = 0; wanted && i <= (int)info.isa; i++)
        if (!strcmp(wanted, names[i])) {
            info.isa = (cpu_isa)i;
            info.vnni = info.bf16 = info.amx = false;
        }
#ifdef _SC_LEVEL1_DCACHE_SIZE
    info.l1 = cache(_SC_LEVEL1_DCACHE_SIZE, 32 << 10);
    info.l2 = cache(_SC_LEVEL2_CACHE_SIZE, 512 << 10);
#else
    info.l1 = 32 << 10, info.l2 = 512 << 10;
#endif
}

const cpu_info *cpu(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, look);
    return &info;
}
