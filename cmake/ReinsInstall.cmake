# What `cmake --install` puts where: programs, libraries and headers per room, boards, assets, shipped policies, the
# package configuration behind find_package(reins COMPONENTS ...), and what packaging/ adds to a machine.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/reins)

set(programs reins)
if(REINS_SERVING)
  list(APPEND programs reins-workload)
endif()
install(TARGETS ${programs} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)

get_property(rooms GLOBAL PROPERTY REINS_ROOMS)
foreach(room IN LISTS rooms)
  string(REPLACE "/" "_" name "${room}")
  install(TARGETS reins_${name} EXPORT reins-targets
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
  # A room's own headers; those of rooms inside it go with them.
  set(others "")
  foreach(other IN LISTS rooms)
    if(other MATCHES "^${room}/")
      string(REGEX REPLACE "^${room}/([^/]+).*" "\\1" inner "${other}")
      list(APPEND others PATTERN ${inner} EXCLUDE)
    endif()
  endforeach()
  if(room STREQUAL "inference" AND NOT REINS_TRAINING)
    list(APPEND others PATTERN torch EXCLUDE)
  endif()
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/${room}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/reins/${room}
          COMPONENT development FILES_MATCHING PATTERN "*.hpp" ${others})
endforeach()
install(EXPORT reins-targets NAMESPACE reins:: DESTINATION ${package_dir} COMPONENT development)

string(REPLACE "/" "_" REINS_COMPONENTS "${rooms}")
configure_package_config_file(cmake/reins-config.cmake.in ${CMAKE_BINARY_DIR}/package/reins-config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/reins-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/package/reins-config.cmake ${CMAKE_BINARY_DIR}/package/reins-config-version.cmake
        cmake/FindOneDNN.cmake
        DESTINATION ${package_dir} COMPONENT development)

# Where `reins` looks for them: ../share/reins beside its own folder.
set(share ${CMAKE_INSTALL_DATADIR}/reins)
install(DIRECTORY boards/ DESTINATION ${share}/boards COMPONENT runtime FILES_MATCHING PATTERN "*.toml")
install(DIRECTORY assets/ DESTINATION ${share}/assets COMPONENT runtime OPTIONAL)
install(DIRECTORY policies/shipped/ DESTINATION ${share}/policies/shipped COMPONENT runtime OPTIONAL)
install(FILES examples/client.py DESTINATION ${share}/examples COMPONENT runtime)

foreach(name reins-restore reins-serve)
  file(READ packaging/${name}.service unit)
  string(REPLACE "/usr/bin/reins" "${CMAKE_INSTALL_FULL_BINDIR}/reins" unit "${unit}")
  file(WRITE ${CMAKE_BINARY_DIR}/package/${name}.service "${unit}")
  install(FILES ${CMAKE_BINARY_DIR}/package/${name}.service DESTINATION lib/systemd/system COMPONENT runtime)
endforeach()
install(FILES packaging/reins.sysusers DESTINATION lib/sysusers.d COMPONENT runtime RENAME reins.conf)
install(FILES packaging/99-reins.rules DESTINATION lib/udev/rules.d COMPONENT runtime)
install(FILES packaging/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime RENAME packaging.md)
