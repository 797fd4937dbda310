/* random: splitmix64 (Steele, Lea and Flood 2014). */
#include "gen/base/random.h"

#define GAMMA UINT64_C(0x9e3779b97f4a7c15)

static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

uint64_t random_next(uint64_t *state)
{
    *state += GAMMA;
    return mix(*state);
}

int64_t random_below(uint64_t *state, int64_t limit)
{
    uint64_t bound  = (uint64_t)limit;
    uint64_t uneven = -bound % bound; /* 2^64 mod bound: so many numbers would come too often */
    uint64_t number = random_next(state);
    while (number < uneven)
        number = random_next(state);
    return (int64_t)(number % bound);
}

double random_unit(uint64_t *state)
{
    return (double)(random_next(state) >> 11) * 0x1p-53;
}

uint64_t random_at(uint64_t seed, uint64_t index)
{
    /* The seed is mixed first: neighbouring seeds must not give the same row, shifted by one. */
    return mix(mix(seed + GAMMA) + (index + 1) * GAMMA);
}
