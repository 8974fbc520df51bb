#include <malloc.h>

#include "query/server/server.h"

int main(int argc, char** argv) {
  // An arena per thread keeps each thread's peak for good; two are enough for two to eight cores,
  // since the big buffers are mapped one by one. Measured on an ingest of 1.3 GB: 109 MB resident
  // instead of 142 MB, at the same CPU.
  ::mallopt(M_ARENA_MAX, 2);
  return skald::query::server::run(argc, argv);
}
