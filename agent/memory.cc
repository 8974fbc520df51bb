#include "agent/memory.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>

namespace skald::agent {

void limit_heap() {
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_MMAP_THRESHOLD, 64 << 10);
  ::mallopt(M_TRIM_THRESHOLD, 128 << 10);
}

void drop_idle_pages() {
  ::dl_iterate_phdr(
      [](dl_phdr_info* object, std::size_t, void*) {
        const auto page = static_cast<ElfW(Addr)>(::sysconf(_SC_PAGESIZE));
        for (int i = 0; i < object->dlpi_phnum; ++i) {
          const ElfW(Phdr)& segment = object->dlpi_phdr[i];
          if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
          const ElfW(Addr) start = (object->dlpi_addr + segment.p_vaddr) & ~(page - 1);
          const ElfW(Addr) end = object->dlpi_addr + segment.p_vaddr + segment.p_memsz;
          // Fails on what is no file (the kernel's own object): nothing is lost.
          // NOLINTNEXTLINE(performance-no-int-to-ptr): headers give addresses as numbers
          ::madvise(reinterpret_cast<void*>(start), end - start, MADV_DONTNEED);
        }
        return 0;
      },
      nullptr);
  ::malloc_trim(0);
}

}  // namespace skald::agent
