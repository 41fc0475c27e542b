// Checksums: XXH3-64 (xxHash 0.8, https://xxhash.com), made to depend on where the bytes belong.
//
// The seed is mixed in after hashing: a stale copy with a valid checksum of another place fails as
// surely as with a seeded hash, without XXH3's slow seeded path for long inputs.
// Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tuff {

/// A bijective mixer (the finaliser of MurmurHash3).
constexpr uint64_t Mix64(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdull;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ull;
  return x ^ (x >> 33);
}

/// The x for which Mix64(x) is `y`. The factors are the inverses of Mix64's modulo 2^64.
constexpr uint64_t Unmix64(uint64_t y) {
  y ^= y >> 33;
  y *= 0x9cb4b2f8129337dbull;
  y ^= y >> 33;
  y *= 0x4f74430c22a54005ull;
  return y ^ (y >> 33);
}
static_assert(Unmix64(Mix64(0x0123456789abcdefull)) == 0x0123456789abcdefull);

/// XXH3-64 of n bytes.
uint64_t Hash64(const void* data, size_t n);

/// Checksum of bytes with this Hash64 that belong to the place `seed`.
constexpr uint64_t ChecksumOfHash(uint64_t hash, uint64_t seed) {
  return Mix64(hash + Mix64(seed ^ 0x74756666ull));
}
/// The seed with which bytes of this Hash64 have this checksum: how a pool's hash_seed is found
/// again when its superblocks are gone.
constexpr uint64_t SeedOfChecksum(uint64_t hash, uint64_t checksum) {
  return Unmix64(Unmix64(checksum) - hash) ^ 0x74756666ull;
}
inline uint64_t Checksum64(const void* data, size_t n, uint64_t seed) {
  return ChecksumOfHash(Hash64(data, n), seed);
}
inline uint32_t Checksum32(const void* data, size_t n, uint64_t seed) {
  return static_cast<uint32_t>(Checksum64(data, n, seed));
}

}  // namespace tuff
