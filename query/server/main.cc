#include "query/server/server.h"

int main(int argc, char** argv) { return skald::query::server::run(argc, argv); }
