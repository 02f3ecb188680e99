# Compiler settings of the whole project.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(ALLOT_CCACHE ccache)
if(ALLOT_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${ALLOT_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${ALLOT_CCACHE})
endif()
find_program(ALLOT_MOLD mold)
if(ALLOT_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# The cores give the same bytes on every compiler, so no fused multiply-add.
add_compile_options(-ffp-contract=off -fno-omit-frame-pointer)

# What is tested also checks that no container is read past its end and no empty one for its front. Not under sanitizers,
# which see most of that themselves and are slow to compile as it is.
if(NOT ALLOT_SANITIZE)
  add_compile_options($<$<CONFIG:Debug>:-D_GLIBCXX_ASSERTIONS>)
endif()

# Lets ccache see through precompiled headers.
add_compile_options(-fpch-preprocess)

# Memory for less time: the compiler collects its garbage at 128 MB else, which takes a tenth of a build. Not under
# sanitizers, whose code takes the compiler twice the memory as it is.
cmake_host_system_information(RESULT allot_memory_mib QUERY TOTAL_PHYSICAL_MEMORY)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND NOT ALLOT_SANITIZE AND allot_memory_mib GREATER 12000)
  add_compile_options("SHELL:--param ggc-min-expand=100" "SHELL:--param ggc-min-heapsize=786432")
endif()

# What the code of tests says runs once, so that optimizing it costs more than it saves; what they test is optimized as
# ever. Not under sanitizers, whose checks are dear without.
set(ALLOT_TEST_OPTIONS)
if(ALLOT_WERROR AND NOT ALLOT_SANITIZE)
  set(ALLOT_TEST_OPTIONS -O0)
endif()

# Several files of a folder are compiled as one, where what they share (templates of the tests' libraries, the command
# line's) costs more than they do: a third of a build from scratch. TESTS: only tests; ALL: what else asks for it too. A
# file that leans on its neighbour's includes, or takes its neighbour's names, is found by the presets that have less.
set(ALLOT_UNITY OFF CACHE STRING "Compile several files at once: OFF, TESTS or ALL")
function(allot_unity name)
  if(ALLOT_UNITY STREQUAL ALL OR (ALLOT_UNITY STREQUAL TESTS AND ARGN STREQUAL TESTS))
    set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
      # It warns of classes with private parts in any file that is not the first.
      target_compile_options(${name} PRIVATE -Wno-subobject-linkage)
    endif()
  endif()
endfunction()

# Warnings live on an interface target, so that generated code is spared them.
add_library(allot_warnings INTERFACE)
target_compile_options(allot_warnings INTERFACE -Wall -Wextra -Wnon-virtual-dtor -Woverloaded-virtual
                                                -Wno-missing-field-initializers)
if(ALLOT_WERROR)
  target_compile_options(allot_warnings INTERFACE -Werror)
endif()

# With "fuzzer-no-link" among the sanitizers (Clang) the code tells libFuzzer where it has been: tests/fuzz.
set(ALLOT_FUZZ OFF)
if(ALLOT_SANITIZE MATCHES fuzzer-no-link)
  set(ALLOT_FUZZ ON)
endif()
if(ALLOT_SANITIZE)
  add_compile_options(-fsanitize=${ALLOT_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${ALLOT_SANITIZE})
  if(ALLOT_SANITIZE STREQUAL "thread")
    # Protobuf's map fields have other members where this macro is defined, and the library that Debian built has not.
    # The one thing of the standard library that asks for it (bits/shared_ptr_base.h) is told by its own name.
    add_compile_options(-U__SANITIZE_THREAD__ -D_GLIBCXX_TSAN=1)
  endif()
endif()
