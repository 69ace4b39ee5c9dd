#pragma once
#include <nanobind/nanobind.h>

namespace charloom {

void bind_engines(nanobind::module_ &m);

}  // namespace charloom
