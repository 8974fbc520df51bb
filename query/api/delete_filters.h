#pragma once
// Turns a delete request's text back into line filters for the store, which calls this after a
// restart. Owns the matchers; lives as long as the store uses the filters.

#include <memory>
#include <mutex>
#include <vector>

#include "store/store.h"

namespace skald::query::api {

class DeleteFilters {
 public:
  base::Result<std::vector<store::LineFilter>> make(const store::DeleteRequest& request);

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<const store::LineMatcher>> matchers_;
};

}  // namespace skald::query::api
