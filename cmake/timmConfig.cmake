include("${CMAKE_CURRENT_LIST_DIR}/timmTargets.cmake")
