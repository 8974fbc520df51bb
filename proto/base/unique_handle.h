#pragma once
// Owns a C handle (zstd context, LMDB environment, ...) and frees it once. Move-only.

#include <memory>

namespace skald::base {

template <auto free_fn>
struct HandleDeleter {
  template <typename T>
  void operator()(T* handle) const noexcept {
    static_cast<void>(free_fn(handle));
  }
};

// UniqueHandle<ZSTD_DCtx, ZSTD_freeDCtx>
template <typename T, auto free_fn>
using UniqueHandle = std::unique_ptr<T, HandleDeleter<free_fn>>;

}  // namespace skald::base
