/* CRC-32C. The hardware instruction takes three cycles but one may begin each cycle, so long inputs
 * are cut into three streams that run side by side; their results are joined by shifting one over
 * the length of the next, which is multiplication by a power of x modulo the polynomial, kept in
 * tables. */
#include "broker/base/crc32c.h"

#include <pthread.h>
#include <string.h>

#include "broker/base/attributes.h"

#define POLYNOMIAL  0x82f63b78u /* reflected */
#define LONG_BYTES  4096        /* of each of the three streams */
#define SHORT_BYTES 256

static uint32_t table[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

#if defined(__x86_64__)
#define HARDWARE_TARGET __attribute__((target("sse4.2")))
#include <nmmintrin.h>
#define STEP_8(crc, word) ((uint32_t)_mm_crc32_u64((crc), (word)))
#define STEP_1(crc, byte) _mm_crc32_u8((crc), (byte))
static bool hardware_is_there(void)
{
    return __builtin_cpu_supports("sse4.2");
}
#elif defined(__aarch64__)
#define HARDWARE_TARGET __attribute__((target("+crc")))
#include <arm_acle.h>
#include <sys/auxv.h>
#include <asm/hwcap.h>
#define STEP_8(crc, word) __crc32cd((crc), (word))
#define STEP_1(crc, byte) __crc32cb((crc), (byte))
static bool hardware_is_there(void)
{
    return getauxval(AT_HWCAP) & HWCAP_CRC32;
}
#endif

#ifdef HARDWARE_TARGET
static bool has_hardware;
static uint32_t shift_long[4][256], shift_short[4][256]; /* over LONG_BYTES, SHORT_BYTES of zeros */

static uint32_t shift_by(const uint32_t shift[4][256], uint32_t crc)
{
    return shift[0][crc & 0xff] ^ shift[1][crc >> 8 & 0xff] ^ shift[2][crc >> 16 & 0xff] ^
           shift[3][crc >> 24];
}

/* The register after `bytes` zero bytes, which is linear: 32 single bits give all others. */
static void fill_shift(uint32_t shift[4][256], size_t bytes)
{
    uint32_t of_bit[32];
    for (int bit = 0; bit < 32; bit++) {
        uint32_t crc = 1u << bit;
        for (size_t i = 0; i < bytes; i++)
            crc = table[0][crc & 0xff] ^ crc >> 8;
        of_bit[bit] = crc;
    }
    for (int byte = 0; byte < 4; byte++)
        for (uint32_t value = 0; value < 256; value++) {
            uint32_t crc = 0;
            for (int bit = 0; bit < 8; bit++)
                if (value >> bit & 1)
                    crc ^= of_bit[8 * byte + bit];
            shift[byte][value] = crc;
        }
}

static inline uint64_t load(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

/* Three streams of `stride` bytes each. */
HARDWARE_TARGET static inline uint32_t three_streams(uint32_t crc, const uint8_t *p, size_t stride,
                                                     const uint32_t shift[4][256])
{
    uint32_t second = 0, third = 0;
    for (size_t i = 0; i < stride; i += 8) {
        crc = STEP_8(crc, load(p + i));
        second = STEP_8(second, load(p + stride + i));
        third = STEP_8(third, load(p + 2 * stride + i));
    }
    crc = shift_by(shift, crc) ^ second;
    return shift_by(shift, crc) ^ third;
}

HARDWARE_TARGET static uint32_t crc_hardware(uint32_t crc, const uint8_t *p, size_t size)
{
    for (; size >= 3 * LONG_BYTES; p += 3 * LONG_BYTES, size -= 3 * LONG_BYTES)
        crc = three_streams(crc, p, LONG_BYTES, shift_long);
    for (; size >= 3 * SHORT_BYTES; p += 3 * SHORT_BYTES, size -= 3 * SHORT_BYTES)
        crc = three_streams(crc, p, SHORT_BYTES, shift_short);
    for (; size >= 8; p += 8, size -= 8)
        crc = STEP_8(crc, load(p));
    for (; size; p++, size--)
        crc = STEP_1(crc, *p);
    return crc;
}
#endif

static void fill_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
        table[0][i] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (uint32_t i = 0; i < 256; i++)
            table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 0xff];
#ifdef HARDWARE_TARGET
    fill_shift(shift_long, LONG_BYTES);
    fill_shift(shift_short, SHORT_BYTES);
    has_hardware = hardware_is_there();
#endif
}

static uint32_t crc_tables(uint32_t crc, const uint8_t *p, size_t size)
{
    for (; size >= 8; p += 8, size -= 8) {
        uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                              (uint32_t)p[3] << 24);
        crc = table[7][low & 0xff] ^ table[6][low >> 8 & 0xff] ^ table[5][low >> 16 & 0xff] ^
              table[4][low >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^
              table[0][p[7]];
    }
    for (; size; p++, size--)
        crc = table[0][(crc ^ *p) & 0xff] ^ crc >> 8;
    return crc;
}

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size)
{
    pthread_once(&tables_once, fill_tables);
    return ~crc_tables(~crc, data, size);
}

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    pthread_once(&tables_once, fill_tables);
#ifdef HARDWARE_TARGET
    if (LIKELY(has_hardware))
        return ~crc_hardware(~crc, data, size);
#endif
    return ~crc_tables(~crc, data, size);
}
