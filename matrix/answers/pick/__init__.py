"""The pinned toolchain for a model: constraints and evidence in, conversions to try out, the first that is proven."""
