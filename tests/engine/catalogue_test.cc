// Stores by name: making, finding, renaming, listing; many of them; after a reopen.
#include "engine/catalogue.h"

#include <gtest/gtest.h>

#include "tests/engine/engine_test_util.h"

namespace tuff::test {
namespace {

TEST(CatalogueTest, Names) {
  PoolFixture fixture;
  Pool& pool = fixture.pool();
  EXPECT_CODE(pool.CreateStore(""), Code::kInvalidArgument);
  EXPECT_CODE(pool.CreateStore("a/b"), Code::kInvalidArgument);
  EXPECT_CODE(pool.CreateStore(std::string_view("a\0b", 3)), Code::kInvalidArgument);
  EXPECT_CODE(pool.CreateStore(std::string(kStoreNameSizeMax + 1, 'n')), Code::kTooLarge);
  EXPECT_OK(pool.CreateStore(std::string(kStoreNameSizeMax, 'n')));
  EXPECT_OK(pool.CreateStore("\xc3\xa4 b\xff"));
  EXPECT_CODE(pool.CreateStore("store"), Code::kExists);
  EXPECT_CODE(pool.OpenStore("Store"), Code::kNotFound);
  EXPECT_CODE(pool.OpenStore(""), Code::kNotFound);
  auto once = pool.OpenStore("store");
  ASSERT_OK(once);
  EXPECT_EQ(*once, &fixture.store()) << "one object for one store";
  EXPECT_EQ((*once)->name(), "store");
}

TEST(CatalogueTest, StoresAreApart) {
  PoolFixture fixture;
  std::vector<Store*> stores;
  for (int i = 0; i < 300; i++) {
    auto store = fixture.pool().CreateStore("store " + std::to_string(i));
    ASSERT_OK(store);
    stores.push_back(*store);
  }
  for (int round = 0; round < 20; round++) {
    for (int i = 0; i < 300; i++) {
      ASSERT_OK(stores[i]->Put("key" + std::to_string(round), std::to_string(i)));
    }
  }
  EXPECT_EQ(Problems(fixture.pool()), "");
  fixture.Reopen();
  auto list = fixture.pool().ListStores();
  ASSERT_OK(list);
  ASSERT_EQ(list->size(), 301u);
  std::set<uint32_t> ids;
  std::set<uint64_t> anchors;
  for (size_t i = 0; i < list->size(); i++) {
    const StoreInfo& info = (*list)[i];
    if (i > 0) {
      EXPECT_LT((*list)[i - 1].name, info.name);
    }
    EXPECT_TRUE(ids.insert(info.object_id).second);
    EXPECT_TRUE(anchors.insert(info.anchor_pfn).second);
    EXPECT_GT(info.created_ns, 0u);
    EXPECT_GE(info.modified_ns, info.created_ns);
    if (info.name == "store") continue;
    auto store = fixture.pool().OpenStore(info.name);
    ASSERT_OK(store);
    std::string value;
    ASSERT_OK((*store)->Get("key7", &value));
    EXPECT_EQ("store " + value, info.name);
  }
  EXPECT_EQ(Problems(fixture.pool()), "");
}

TEST(CatalogueTest, Rename) {
  PoolFixture fixture;
  Pool& pool = fixture.pool();
  ASSERT_OK(fixture.store().Put("key", "value"));
  ASSERT_OK(pool.CreateStore("other"));
  EXPECT_CODE(pool.RenameStore("no", "new"), Code::kNotFound);
  EXPECT_CODE(pool.RenameStore("store", "other"), Code::kExists);
  EXPECT_CODE(pool.RenameStore("store", "a/b"), Code::kInvalidArgument);
  EXPECT_CODE(pool.RenameStore("store", ""), Code::kInvalidArgument);
  EXPECT_OK(pool.RenameStore("store", "store"));
  EXPECT_OK(pool.RenameStore("store", "new"));
  EXPECT_EQ(fixture.store().name(), "new");
  EXPECT_CODE(pool.OpenStore("store"), Code::kNotFound);
  EXPECT_OK(pool.CreateStore("store"));  // the name is free again
  fixture.Reopen();
  auto store = fixture.pool().OpenStore("new");
  ASSERT_OK(store);
  std::string value;
  EXPECT_OK((*store)->Get("key", &value));
  EXPECT_EQ(value, "value");
  EXPECT_EQ(fixture.pool().ListStores()->size(), 3u);
  EXPECT_EQ(Problems(fixture.pool()), "");
}

TEST(CatalogueTest, ModifiedTimeFollowsChangesOnly) {
  PoolFixture fixture;
  ASSERT_OK(fixture.store().Put("key", "value"));
  fixture.Reopen();
  const auto first = fixture.pool().ListStores();
  EXPECT_GT(first->front().modified_ns, first->front().created_ns);
  std::string value;
  ASSERT_OK(fixture.store().Get("key", &value));
  EXPECT_CODE(fixture.store().Delete("no such key"), Code::kNotFound);
  fixture.Reopen();
  const auto second = fixture.pool().ListStores();
  EXPECT_EQ(second->front().modified_ns, first->front().modified_ns);
  ASSERT_OK(fixture.store().Delete("key"));
  fixture.Reopen();
  const auto third = fixture.pool().ListStores();
  EXPECT_GT(third->front().modified_ns, second->front().modified_ns);
}

TEST(CatalogueTest, ParseRefusesWhatIsNoRecord) {
  ObjectInfo info;
  const std::string key = CatalogueKey(0x01020304);
  EXPECT_EQ(key, "\x01\x02\x03\x04");
  const CatalogueEntry entry{77, 2, 0};
  const std::string head(reinterpret_cast<const char*>(&entry), sizeof entry);
  ASSERT_TRUE(ParseCatalogueRecord(key, head + "name", &info));
  EXPECT_EQ(info.id, 0x01020304u);
  EXPECT_EQ(info.anchor, 77u);
  EXPECT_EQ(info.kind, ObjectKind::kStore);
  EXPECT_EQ(info.name, "name");
  EXPECT_FALSE(ParseCatalogueRecord(key, head, &info)) << "no name";
  EXPECT_FALSE(ParseCatalogueRecord(key, head.substr(1), &info));
  EXPECT_FALSE(ParseCatalogueRecord(key, "", &info));
  EXPECT_FALSE(ParseCatalogueRecord(key, head + std::string(256, 'n'), &info));
  EXPECT_FALSE(ParseCatalogueRecord(key + "x", head + "name", &info));
  EXPECT_FALSE(ParseCatalogueRecord("", head + "name", &info));
}

}  // namespace
}  // namespace tuff::test
