# One folder is one layer is one static library; these functions give every target the same flags.

include(GNUInstallDirs)

add_library(lutdb_flags INTERFACE)
target_compile_options(lutdb_flags INTERFACE -Wall -Wextra -Wshadow=local -Wno-unused-parameter
  -ffp-contract=off)  # f32 results must be the same bits on every machine: no fused multiply-add
if(LUTDB_SANITIZE)
  target_compile_options(lutdb_flags INTERFACE -fsanitize=${LUTDB_SANITIZE}
    -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(lutdb_flags INTERFACE -fsanitize=${LUTDB_SANITIZE})
endif()

# lutdb_library(NAME SOURCES ... LINKS ...): LINKS are the layers and packages whose headers this
# layer's own headers use or that its sources need.
function(lutdb_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:lutdb_flags> PUBLIC ${ARG_LINKS})
endfunction()

# lutdb_test(NAME SOURCES ... LINKS ... [LABELS ...] [TIMEOUT seconds]): a GoogleTest program, run
# as one CTest entry.
function(lutdb_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINKS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE lutdb_flags ${ARG_LINKS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE
    LUTDB_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
    LUTDB_BINARY="$<TARGET_FILE_DIR:lutdb_cli>/lutdb")
  add_test(NAME ${name} COMMAND ${name})
  if(NOT ARG_LABELS)
    set(ARG_LABELS fast)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  if(LUTDB_SANITIZE)  # slower by up to 20 times
    math(EXPR ARG_TIMEOUT "${ARG_TIMEOUT} * 10")
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
endfunction()

# lutdb_bench(NAME SOURCES ... LINKS ...)
function(lutdb_bench name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE lutdb_flags ${ARG_LINKS})
endfunction()
