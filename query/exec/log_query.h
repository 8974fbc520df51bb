#pragma once
// Runs a log query: the entries that pass a pipeline, newest or oldest first, up to a limit.

#include "query/exec/query_context.h"
#include "query/logql/ast.h"
#include "store/store.h"

namespace skald::query {

base::Status run_log_query(store::Store& store, QueryContext& context,
                           const logql::LogSelector& selector, QueryResult& result);

}  // namespace skald::query
