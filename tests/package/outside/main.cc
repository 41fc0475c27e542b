// A program that embeds tuff and knows nothing of its tree: the one that README.md shows.
#include <tuff/tuff.h>

#include <iostream>

int Fail(const tuff::Status& s) { return std::cerr << s.ToString() << '\n', 1; }

int main(int argc, char** argv) {
  auto pool = tuff::Pool::Create(argc > 1 ? argv[1] : "users.pool", {.size_bytes = 64 << 20});
  if (!pool.ok()) return Fail(pool.status());
  auto users = (*pool)->OpenOrCreateStore("users");
  if (!users.ok()) return Fail(users.status());
  tuff::Status s = (*users)->Put("ada", "1815");  // durable when it returns
  if (!s.ok()) return Fail(s);

  auto it = (*users)->NewIterator();
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    std::cout << it->key() << ' ' << it->value() << '\n';
  }
  return it->status().ok() ? 0 : 1;
}
