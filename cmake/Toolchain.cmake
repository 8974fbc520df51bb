# Language level, warnings, sanitizers, compiler cache and linker. Included once, by the top.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set_property(GLOBAL PROPERTY USE_FOLDERS ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

find_program(SKALD_CCACHE ccache)
if(SKALD_CCACHE)
  # CCACHE_BASEDIR and NOHASHDIR let build directories of one checkout share results.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}
      CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros ${SKALD_CCACHE})
endif()
find_program(SKALD_MOLD mold)
if(SKALD_MOLD AND NOT CMAKE_CXX_COMPILER_ID MATCHES Clang)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor
                    -Wno-missing-field-initializers -fno-omit-frame-pointer)
option(SKALD_WERROR "warnings are errors" OFF)
if(SKALD_WERROR)
  add_compile_options(-Werror)
endif()

# x86-64-v2 (SSE 4.2) is the floor; wider kernels are chosen at run time.
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  add_compile_options(-march=x86-64-v2)
endif()
# Debug information of the cached objects is large and slow to link; one level is enough for
# back traces and profiles.
string(REPLACE "-g" "-g1" CMAKE_CXX_FLAGS_RELWITHDEBINFO "${CMAKE_CXX_FLAGS_RELWITHDEBINFO}")

# -O1 with a sanitizer: compiles in two thirds of -O2's time and runs the tests about as fast.
set(SKALD_SANITIZE "" CACHE STRING "address, thread or empty")
if(SKALD_SANITIZE)
  add_compile_options(-O1)
endif()
if(SKALD_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=address,undefined)
  if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
    add_compile_options(-fno-sanitize=function)
  endif()
elseif(SKALD_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -Wno-tsan)
  add_link_options(-fsanitize=thread)
endif()
