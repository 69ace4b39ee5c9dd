# The build of a native module: one source, compiled once for each instruction set, of which the module selects one at
# run time. Used by charloom_codec and by charloom.
option(CHARLOOM_EMULATE_TILES "Run the AMX kernels on emulated tiles, for tests on processors without AMX" OFF)
option(CHARLOOM_STRICT "Treat warnings as errors" OFF)
option(CHARLOOM_SANITIZE "Build with the address and undefined-behavior sanitizers" OFF)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS ON) # vector extensions, and contraction of a * b + c to one instruction
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(CHARLOOM_STRICT)
  set(strict -Werror)
endif()
if(CHARLOOM_SANITIZE)
  # Without object-size: it takes the compiler hours on the unrolled loops.
  add_compile_options(-fsanitize=address,undefined -fno-sanitize=object-size -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  add_link_options(-fsanitize=address,undefined)
endif()

include(CheckCXXCompilerFlag)
# From Python 3.12 on, the modules use the stable ABI: one build serves all later versions.
find_package(Python 3.11 COMPONENTS Interpreter Development.Module ${SKBUILD_SABI_COMPONENT} REQUIRED)
find_package(nanobind CONFIG REQUIRED)

set(warnings -Wall -Wextra ${strict})
set(no_errno -fno-math-errno)
if(MSVC) # clang-cl, whose -Wall enables every warning of the compiler
  set(warnings /W3)
  set(no_errno /clang:-fno-math-errno)
endif()
# -O3 in every build, because the loops are written to be unrolled. With sanitizers, -O3 would take the compiler hours.
set(optimize -O3)
if(CHARLOOM_SANITIZE)
  set(optimize -O1)
elseif(MSVC)
  set(optimize /clang:-O3)
endif()

# Instruction sets and their flags, from the slowest to the fastest, because a module prefers the last one that the
# processor supports.
set(instruction_sets scalar)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(gcc_quiet -Wno-maybe-uninitialized -Wno-uninitialized) # false positives in GCC's AVX-512 headers (GCC bug 105593)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(avx512 ${gcc_quiet} -march=x86-64-v4 -mprefer-vector-width=512)
  set(flags_scalar -march=x86-64)
  set(flags_avx2 -march=x86-64-v3)
  set(flags_avx512 ${avx512})
  set(flags_avx512bf16 ${avx512} -mavx512bf16 -mavx512vnni)
  set(flags_avx512vnni ${avx512} -mavx512vnni)
  if(NOT CHARLOOM_SANITIZE) # one vector width is enough for sanitizers, and compilation takes long
    list(APPEND instruction_sets avx2 avx512 avx512bf16 avx512vnni)
  endif()
  check_cxx_compiler_flag("-mamx-tile -mamx-bf16 -mamx-int8" has_amx)
  if(CHARLOOM_EMULATE_TILES)
    set(tiles -DCHARLOOM_TILES -DCHARLOOM_EMULATED_TILES)
  elseif(has_amx)
    set(tiles -DCHARLOOM_TILES)
    set(amx -mamx-tile -mamx-bf16 -mamx-int8)
  endif()
  if(tiles)
    list(APPEND instruction_sets amx)
    set(flags_amx ${flags_avx512bf16} ${tiles} ${amx})
  endif()
endif()

# Adds a module.
#   SOURCES: bindings, compiled once
#   VARIANT: source that is compiled for each instruction set
#   INSTRUCTION_SETS: those of the module, as far as the compiler has them
#   INCLUDES: folders of headers
#   LIBRARIES: libraries of the variants
function(add_native_module module)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "VARIANT" "SOURCES;INSTRUCTION_SETS;INCLUDES;LIBRARIES")
  nanobind_add_module(${module} STABLE_ABI NB_STATIC NOMINSIZE ${arg_SOURCES})
  target_compile_options(${module} PRIVATE ${optimize} ${warnings} ${tiles})
  target_include_directories(${module} PRIVATE ${arg_INCLUDES})
  set(variants)
  foreach(name ${arg_INSTRUCTION_SETS})
    if(NOT name IN_LIST instruction_sets)
      continue()
    endif()
    add_library(${module}_${name} OBJECT ${arg_VARIANT})
    target_include_directories(${module}_${name} PRIVATE ${arg_INCLUDES})
    target_compile_definitions(${module}_${name} PRIVATE CHARLOOM_VARIANT=${name})
    target_compile_options(${module}_${name} PRIVATE ${optimize} ${warnings} ${no_errno} ${flags_${name}})
    target_link_libraries(${module}_${name} PRIVATE ${arg_LIBRARIES})
    target_link_libraries(${module} PRIVATE ${module}_${name} ${arg_LIBRARIES})
    list(APPEND variants ${name})
  endforeach()
  list(JOIN variants "," variants)
  target_compile_definitions(${module} PRIVATE CHARLOOM_VARIANTS=${variants})
endfunction()
