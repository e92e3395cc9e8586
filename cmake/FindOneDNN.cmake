# OneDNN::OneDNN, from its header and library. Not from its own package file: Debian's asks for OpenCL's development
# files, which nothing here uses. With the OpenMP runtime that the library was built for, if it was.
find_path(OneDNN_INCLUDE_DIR oneapi/dnnl/dnnl.hpp)
find_library(OneDNN_LIBRARY dnnl)
mark_as_advanced(OneDNN_INCLUDE_DIR OneDNN_LIBRARY)
set(OneDNN_needed OneDNN_LIBRARY OneDNN_INCLUDE_DIR)
if(OneDNN_INCLUDE_DIR)
  file(STRINGS ${OneDNN_INCLUDE_DIR}/oneapi/dnnl/dnnl_config.h OneDNN_runtime
       REGEX "define DNNL_CPU_RUNTIME DNNL_RUNTIME_OMP")
  if(OneDNN_runtime)
    find_package(OpenMP QUIET COMPONENTS CXX)
    list(APPEND OneDNN_needed OpenMP_CXX_FOUND)
  endif()
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OneDNN REQUIRED_VARS ${OneDNN_needed})
if(OneDNN_FOUND AND NOT TARGET OneDNN::OneDNN)
  add_library(OneDNN::OneDNN UNKNOWN IMPORTED)
  set_target_properties(OneDNN::OneDNN PROPERTIES IMPORTED_LOCATION ${OneDNN_LIBRARY}
                        INTERFACE_INCLUDE_DIRECTORIES ${OneDNN_INCLUDE_DIR})
  if(OneDNN_runtime)
    set_property(TARGET OneDNN::OneDNN PROPERTY INTERFACE_LINK_LIBRARIES OpenMP::OpenMP_CXX)
  endif()
endif()
