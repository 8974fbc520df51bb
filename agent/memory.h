#pragma once
// The agent's resident memory: it runs beside every pod, so each page counts a thousand times.

namespace skald::agent {

// One heap for the few threads; large buffers go back to the system when they are freed. Before
// any thread.
void limit_heap();
// Unmaps what the process read of its program and libraries so far: most of it was code and tables
// of loading, configuring and starting. The kernel keeps the pages in its cache and maps those that
// are needed again. From any thread.
void drop_idle_pages();

}  // namespace skald::agent
