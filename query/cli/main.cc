#include "query/cli/commands.h"

int main(int argc, char** argv) { return skald::query::cli::run(argc, argv); }
