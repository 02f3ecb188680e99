# Every library the project uses, all from Debian 12 packages (scripts/deps.sh installs them).
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(ZMQ REQUIRED IMPORTED_TARGET libzmq>=4.3.4)
find_package(Protobuf 3.21 REQUIRED)
find_package(absl REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(spdlog REQUIRED)
find_package(fmt REQUIRED)
find_package(prometheus-cpp REQUIRED COMPONENTS core)
pkg_check_modules(HWLOC REQUIRED IMPORTED_TARGET hwloc)
find_path(CLI11_INCLUDE_DIR CLI/CLI.hpp REQUIRED)
find_package(OpenSSL REQUIRED)  # SHA-256 of tokens; TLS towards endpoints
if(ALLOT_TESTS)
  find_package(GTest REQUIRED)
  find_package(rapidcheck REQUIRED)
endif()
if(ALLOT_BENCHMARKS)
  find_package(benchmark REQUIRED)
endif()

# Asio and Beast are compiled once (common/asio/asio.cc), not in every file.
add_library(allot_boost INTERFACE)
target_link_libraries(allot_boost INTERFACE Boost::headers Threads::Threads)
target_compile_definitions(allot_boost INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ALL_NO_LIB
  BOOST_ASIO_NO_DEPRECATED BOOST_JSON_NO_LIB)
