// The phases of kv_bench, in the order in which it runs them. Each prints its rows.
// Thread-safety: none.
#pragma once

#include "bench.h"

namespace tuff::bench {

void RunLoad(Bench& bench);
void RunGets(Bench& bench);        ///< one by one, and many at once
void RunOverwrites(Bench& bench);  ///< one by one, in batches, beside a snapshot
void RunScans(Bench& bench);
void RunScansBesideWriter(Bench& bench);
void RunTransactions(Bench& bench);
void RunSharedSyncs(Bench& bench);  ///< under PAGE only
void RunGetsAgain(Bench& bench);
void RunDeletes(Bench& bench);
void RunBulkLoad(Bench& bench);

}  // namespace tuff::bench
