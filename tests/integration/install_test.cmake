# Installs the build into an empty prefix, builds the consumer against it alone, and runs it. Needs BUILD, SOURCE, WORK.
file(REMOVE_RECURSE ${WORK})
function(run)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE text ERROR_VARIABLE text RESULT_VARIABLE code)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "${ARGN}\nended with ${code}:\n${text}")
  endif()
  set(text "${text}" PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
# As on a machine that has no libtorch, and no way to the source tree.
run(${CMAKE_COMMAND} -G Ninja -S ${SOURCE}/tests/integration/consumer -B ${WORK}/build -DCMAKE_PREFIX_PATH=${WORK}/prefix
    -DCMAKE_DISABLE_FIND_PACKAGE_Torch=ON -DCMAKE_BUILD_TYPE=Debug)
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/consumer ${WORK}/prefix/share/reins/boards)
if(NOT text MATCHES "class 1, level 2 of 2, on a[0-9]+x[0-9], 200 ms, in time")
  message(FATAL_ERROR "the consumer said: ${text}")
endif()
run(readelf -d ${WORK}/build/consumer)
if(text MATCHES "torch|c10|zmq|spdlog")
  message(FATAL_ERROR "the consumer needs more than the control room does:\n${text}")
endif()
# The installed program finds its boards beside itself.
run(${WORK}/prefix/bin/reins board --board odroid-xu3)
if(NOT text MATCHES "a15")
  message(FATAL_ERROR "the installed reins said: ${text}")
endif()
foreach(wanted lib/udev/rules.d/99-reins.rules lib/systemd/system/reins-restore.service bin/reins-workload
               include/reins/core/result.hpp include/reins/inference/api/engine.hpp share/reins/examples/client.py)
  if(NOT EXISTS ${WORK}/prefix/${wanted})
    message(FATAL_ERROR "not installed: ${wanted}")
  endif()
endforeach()
# A room that does not exist is refused by name, with the known ones.
file(WRITE ${WORK}/wrong/CMakeLists.txt "cmake_minimum_required(VERSION 3.22)\nproject(wrong LANGUAGES CXX)\nfind_package(reins REQUIRED COMPONENTS kitchen)\n")
execute_process(COMMAND ${CMAKE_COMMAND} -G Ninja -S ${WORK}/wrong -B ${WORK}/wrong/build -DCMAKE_PREFIX_PATH=${WORK}/prefix
                OUTPUT_VARIABLE text ERROR_VARIABLE text RESULT_VARIABLE code)
if(code EQUAL 0 OR NOT text MATCHES "no component 'kitchen'")
  message(FATAL_ERROR "an unknown component was not refused:\n${text}")
endif()
