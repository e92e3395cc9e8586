# bench_inference_peers: the peers are those that are found; none is fetched. One elsewhere than where the compiler looks:
# -DCMAKE_PREFIX_PATH=DIR, with DIR/include and DIR/lib.
find_path(ONNXRUNTIME_INCLUDE_DIR onnxruntime_cxx_api.h PATH_SUFFIXES onnxruntime onnxruntime/core/session)
find_library(ONNXRUNTIME_LIBRARY onnxruntime)
find_package(ncnn QUIET)

set(peers peers/static_network.cpp peers/libtorch.cpp)
set(packages torch benchmark::benchmark CLI11::CLI11)
set(present)
if(OneDNN_FOUND)
  list(APPEND peers peers/onednn.cpp)
  list(APPEND packages OneDNN::OneDNN)
  list(APPEND present REINS_PEER_ONEDNN)
endif()
if(ONNXRUNTIME_INCLUDE_DIR AND ONNXRUNTIME_LIBRARY)
  add_library(peer_onnxruntime UNKNOWN IMPORTED)
  set_target_properties(peer_onnxruntime PROPERTIES IMPORTED_LOCATION ${ONNXRUNTIME_LIBRARY}
                        INTERFACE_INCLUDE_DIRECTORIES ${ONNXRUNTIME_INCLUDE_DIR})
  list(APPEND peers peers/onnxruntime.cpp)
  list(APPEND packages peer_onnxruntime)
  list(APPEND present REINS_PEER_ONNXRUNTIME)
endif()
if(ncnn_FOUND)
  list(APPEND peers peers/ncnn.cpp)
  list(APPEND packages ncnn)
  list(APPEND present REINS_PEER_NCNN)
endif()
# It calls and is not called: libtorch's headers take long enough to compile as it is.
set_source_files_properties(peers/libtorch.cpp PROPERTIES COMPILE_OPTIONS "-O1")
reins_program(bench_inference_peers USES inference inference/api core
              SOURCES inference_peers.cpp fma_peak.cpp machine.cpp peers/threads.cpp ${peers} PACKAGES ${packages})
target_include_directories(bench_inference_peers PRIVATE ${CMAKE_SOURCE_DIR})
target_compile_definitions(bench_inference_peers PRIVATE REINS_SOURCE_DIR="${CMAKE_SOURCE_DIR}" ${present})
