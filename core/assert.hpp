// core/assert.hpp: REINS_ASSERT, for our own mistakes; no input can reach one.
#pragma once

#include <cstdio>
#include <cstdlib>

#ifdef REINS_ASSERTS
#define REINS_ASSERT(condition)                                                              \
  do {                                                                                       \
    if (!(condition)) {                                                                      \
      std::fprintf(stderr, "%s:%d: assertion failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)
#else
#define REINS_ASSERT(condition) static_cast<void>(0)
#endif
