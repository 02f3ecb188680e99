# allot_library(NAME SRCS … DEPS …)    one static library per folder
# allot_program(NAME SRCS … DEPS …)
# allot_test(NAME [SERIAL] SRCS … DEPS … [LABELS …])   a GoogleTest program; tests/main is linked. To CTest each of its
#   tests is one, but with a sanitizer all of a program of unit tests are.
#   SERIAL: beside no other test, for what it measures
include(CMakeParseArguments)

function(allot_library name)
  cmake_parse_arguments(A "" "" "SRCS;DEPS" ${ARGN})
  if(A_SRCS)
    add_library(${name} STATIC ${A_SRCS})
    target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
    target_link_libraries(${name} PUBLIC ${A_DEPS} PRIVATE allot_warnings)
    target_precompile_headers(${name} REUSE_FROM allot_precompiled)
  else()
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
    target_link_libraries(${name} INTERFACE ${A_DEPS})
  endif()
endfunction()

function(allot_program name)
  cmake_parse_arguments(A "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${A_SRCS})
  target_link_libraries(${name} PRIVATE ${A_DEPS} allot_warnings)
endfunction()

function(allot_test name)
  if(NOT ALLOT_TESTS)
    return()
  endif()
  cmake_parse_arguments(A "SERIAL" "" "SRCS;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${A_SRCS})
  target_link_libraries(${name} PRIVATE ${A_DEPS} allot_test_main GTest::gmock GTest::gtest allot_warnings)
  target_compile_options(${name} PRIVATE ${ALLOT_TEST_OPTIONS})
  target_precompile_headers(${name} REUSE_FROM allot_precompiled_tests)
  allot_unity(${name} TESTS)
  target_compile_definitions(${name} PRIVATE ALLOT_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                                             ALLOT_BINARY_DIR="${CMAKE_BINARY_DIR}")
  if(NOT A_LABELS)
    set(A_LABELS unit)
  endif()
  if(ALLOT_SANITIZE AND A_LABELS STREQUAL unit AND NOT A_SERIAL)
    # A process for each of a thousand short tests is mostly the sanitizer's start.
    add_test(NAME ${name} COMMAND ${name} --gtest_brief=1)
    set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 900)
    return()
  endif()
  # It ends what hangs. README trains a model, which takes several times as long under a sanitizer.
  set(patience 300)
  if(ALLOT_SANITIZE)
    set(patience 900)
  endif()
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES LABELS "${A_LABELS}" TIMEOUT ${patience}
                                                            RUN_SERIAL ${A_SERIAL})
endfunction()

# allot_folder(NAME DEPS …): the library of the current folder: every .cc in it but main.cc.
function(allot_folder name)
  cmake_parse_arguments(A "RECURSE" "" "DEPS" ${ARGN})
  if(A_RECURSE)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  else()
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  endif()
  list(FILTER sources EXCLUDE REGEX "(^|/|_)main\\.cc$")
  allot_library(${name} SRCS ${sources} DEPS ${A_DEPS})
endfunction()

# allot_test_folder(NAME DEPS …): one GoogleTest program of every .cc in the current folder.
function(allot_test_folder name)
  cmake_parse_arguments(A "" "" "DEPS;LABELS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  if(sources)
    allot_test(${name} SRCS ${sources} DEPS ${A_DEPS} LABELS ${A_LABELS})
  endif()
endfunction()
