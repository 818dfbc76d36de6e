"""Pick a pinned toolchain for a model: rank candidates by evidence within constraints, convert until one is proven."""
