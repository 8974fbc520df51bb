#pragma once
// The Block of a part: rows of one shape in columns.

#include <memory>

#include "store/part/block_context.h"
#include "store/part/group_spec.h"
#include "store/scan.h"

namespace skald::store::part {

// `owner` keeps the mapping alive; `block` is an index into group->blocks.
std::unique_ptr<Block> make_column_block(std::shared_ptr<const void> owner,
                                         std::shared_ptr<const GroupSpec> group, std::size_t block,
                                         std::shared_ptr<const BlockContext> context);

}  // namespace skald::store::part
