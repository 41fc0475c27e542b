// Everything a program needs to embed tuff.
#pragma once

#include "tuff/bulk_loader.h"  // IWYU pragma: export
#include "tuff/iterator.h"     // IWYU pragma: export
#include "tuff/options.h"      // IWYU pragma: export
#include "tuff/pool.h"         // IWYU pragma: export
#include "tuff/scrub.h"        // IWYU pragma: export
#include "tuff/snapshot.h"     // IWYU pragma: export
#include "tuff/statistics.h"   // IWYU pragma: export
#include "tuff/status.h"       // IWYU pragma: export
#include "tuff/store.h"        // IWYU pragma: export
#include "tuff/transaction.h"  // IWYU pragma: export
#include "tuff/version.h"      // IWYU pragma: export
#include "tuff/write_batch.h"  // IWYU pragma: export
