// Records: what is written is found; what is not one is refused.
#include "engine/record.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "tests/test_util.h"

namespace tuff::test {
namespace {

constexpr uint64_t kSeed = RecordSeed(0x1234, 77, 128);
constexpr uint64_t kSequence = PackSequence(42, RecordType::kPut);

std::vector<std::byte> Encoded(std::string_view key, std::string_view value,
                               uint64_t sequence = kSequence) {
  std::vector<std::byte> bytes(RecordBytes(key.size(), value.size()), std::byte{0xaa});
  EXPECT_EQ(EncodeRecord(bytes.data(), key, value, sequence, kSeed), bytes.size());
  return bytes;
}

TEST(RecordTest, RoundTrip) {
  Random random(1);
  for (const size_t key_bytes : {1, 2, 7, 8, 9, 100, 1024}) {
    for (const size_t value_bytes : {0, 1, 7, 8, 100, 1000, 15000}) {
      const std::string key = random.Bytes(key_bytes);
      const std::string value = random.Bytes(value_bytes);
      const auto bytes = Encoded(key, value);
      EXPECT_EQ(bytes.size() % 8, 0u);
      RecordView view;
      ASSERT_TRUE(ParseRecord(bytes.data(), 0, bytes.size(), &view));
      EXPECT_EQ(view.key, key);
      EXPECT_EQ(view.value, value);
      EXPECT_EQ(view.bytes, bytes.size());
      EXPECT_EQ(SequenceOf(view.sequence_and_type), 42u);
      EXPECT_EQ(view.type(), RecordType::kPut);
      EXPECT_TRUE(VerifyRecord(view, kSeed));
      EXPECT_FALSE(VerifyRecord(view, RecordSeed(0x1234, 77, 136)));
      EXPECT_FALSE(VerifyRecord(view, RecordSeed(0x1234, 78, 128)));
      EXPECT_FALSE(VerifyRecord(view, RecordSeed(0x1235, 77, 128)));
      for (size_t i = sizeof(RecordHeader) + key_bytes + value_bytes; i < bytes.size(); i++) {
        EXPECT_EQ(bytes[i], std::byte{0}) << "padding";
      }
    }
  }
}

TEST(RecordTest, ACopyHasItsOwnSealAndCleanPadding) {
  auto bytes = Encoded("a key", "and its value");
  bytes.back() = std::byte{0x55};  // padding, which no checksum covers
  RecordView view;
  ASSERT_TRUE(ReadRecord(bytes.data(), 0, bytes.size(), kSeed, &view));
  const RecordView unread = [&] {
    RecordView parsed;
    EXPECT_TRUE(ParseRecord(bytes.data(), 0, bytes.size(), &parsed));
    return parsed;
  }();
  EXPECT_FALSE(ReadRecord(bytes.data(), 0, bytes.size(), kSeed + 1, &view));
  ASSERT_TRUE(ReadRecord(bytes.data(), 0, bytes.size(), kSeed, &view));
  std::vector<std::byte> encoded(bytes.size());
  EncodeRecord(encoded.data(), "a key", "and its value", kSequence, kSeed + 1);
  for (const RecordView& record : {view, unread}) {
    std::vector<std::byte> copy(bytes.size(), std::byte{0xaa});
    EXPECT_EQ(CopyRecord(copy.data(), record, kSeed + 1), copy.size());
    EXPECT_EQ(copy, encoded);
  }
}

TEST(RecordTest, EveryFlippedBitIsNoticed) {
  auto bytes = Encoded("a key", "and its value");
  const size_t used = sizeof(RecordHeader) + 5 + 13;
  for (size_t bit = 0; bit < used * 8; bit++) {
    const auto mask = static_cast<std::byte>(1u << bit % 8);
    bytes[bit / 8] ^= mask;
    EXPECT_FALSE(RecordIsThere(bytes, kSeed, kSequence)) << "bit " << bit;
    RecordView view;
    EXPECT_FALSE(ParseRecord(bytes.data(), 0, bytes.size(), &view) && VerifyRecord(view, kSeed))
        << "bit " << bit;
    bytes[bit / 8] ^= mask;
  }
  EXPECT_TRUE(RecordIsThere(bytes, kSeed, kSequence));
}

TEST(RecordTest, RecordIsThereWantsItsSequenceAndLength) {
  auto bytes = Encoded("key", "value");
  EXPECT_FALSE(RecordIsThere(bytes, kSeed, PackSequence(43, RecordType::kPut)));
  EXPECT_FALSE(RecordIsThere(bytes, kSeed, PackSequence(42, RecordType::kDelete)));
  EXPECT_FALSE(RecordIsThere(std::span(bytes).first(bytes.size() - 8), kSeed, kSequence));
  bytes.resize(bytes.size() + 8);
  EXPECT_FALSE(RecordIsThere(bytes, kSeed, kSequence));
}

TEST(RecordTest, ParseRefusesWhatCannotBeARecord) {
  const auto good = Encoded("key", "value");
  const auto parses = [&](const RecordHeader& header, size_t offset, size_t end) {
    std::vector<std::byte> node(65536);
    if (offset + sizeof header <= node.size()) {
      std::memcpy(node.data() + offset, &header, sizeof header);
    }
    RecordView view;
    return ParseRecord(node.data(), offset, end, &view);
  };
  const RecordHeader sane{0, 3, 5, kSequence};
  EXPECT_TRUE(parses(sane, 64, 64 + good.size()));
  EXPECT_FALSE(parses(sane, 64, 64 + good.size() - 1)) << "over the end";
  EXPECT_FALSE(parses(sane, 60, 4096)) << "unaligned";
  EXPECT_FALSE(parses(sane, 4096, 4096)) << "at the end";
  EXPECT_FALSE(parses(sane, 4104, 4096)) << "behind the end";
  EXPECT_FALSE(parses(sane, 4088, 4096)) << "no room for a header";
  EXPECT_FALSE(parses({0, 0, 5, kSequence}, 64, 4096)) << "no key";
  EXPECT_TRUE(parses({0, 1024, 5, kSequence}, 64, 4096));
  EXPECT_FALSE(parses({0, 1025, 5, kSequence}, 64, 4096)) << "key too long";
  EXPECT_TRUE(parses({0, 3, 16384 - 16 - 3, kSequence}, 64, 65536));
  EXPECT_FALSE(parses({0, 3, 16384 - 16 - 2, kSequence}, 64, 65536)) << "record too large";
  EXPECT_FALSE(parses({0, 3, 65535, kSequence}, 64, 65536)) << "record too large";
  for (const uint64_t type : {0, 3, 4, 255}) {  // 3, by reference, is not written yet
    EXPECT_FALSE(parses({0, 3, 5, 42u << 8 | type}, 64, 4096)) << "type " << type;
  }
}

}  // namespace
}  // namespace tuff::test
