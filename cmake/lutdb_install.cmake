# What `cmake --install` puts in place: the program, the public headers, one static library per layer
# and a package file. Users link lutdb::lutdb, which stands for all layers in the right order.
include(CMakePackageConfigHelpers)

add_library(lutdb INTERFACE)
add_library(lutdb::lutdb ALIAS lutdb)
target_link_libraries(lutdb INTERFACE lutdb_engine lutdb_ingest lutdb_query)

set(lutdb_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/lutdb")
install(TARGETS lutdb lutdb_base lutdb_schemas lutdb_coding lutdb_kernels lutdb_db lutdb_query
                lutdb_ingest lutdb_engine
        EXPORT lutdb_targets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(EXPORT lutdb_targets NAMESPACE lutdb:: DESTINATION "${lutdb_package_dir}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/lutdb" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/lutdb-config.cmake.in"
  "${PROJECT_BINARY_DIR}/lutdb-config.cmake" INSTALL_DESTINATION "${lutdb_package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/lutdb-config-version.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/lutdb-config.cmake"
              "${PROJECT_BINARY_DIR}/lutdb-config-version.cmake"
        DESTINATION "${lutdb_package_dir}")
