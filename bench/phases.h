// The phases of kv_bench, in the order in which it runs them. Each prints its rows.
// Thread-safety: none.
#pragma once

#include "bench.h"

namespace tuff::bench {

void RunLoad(Bench& bench);
void RunGets(Bench& bench);
void RunOverwrites(Bench& bench);  ///< one by one, in batches of neighbours, beside a snapshot
void RunScansBesideWriter(Bench& bench);
void RunTransactions(Bench& bench);
void RunSharedSyncs(Bench& bench);  ///< under PAGE only

}  // namespace tuff::bench
