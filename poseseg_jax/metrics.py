"""Means that merge: a sum and a count, divided at the very end."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Float

from poseseg_jax.structs import Array

# What a mean of nothing is divided by.
SMALLEST_COUNT = 1e-6


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Mean:
    """A weighted mean in the making.

    Merging the means of two halves gives the mean of the whole, whatever their sizes.
    """

    total: Float[Array, ""]
    count: Float[Array, ""]

    @classmethod
    def from_values(
        cls, values: Float[Array, "*shape"], weights: Float[Array, "*shape"]
    ) -> "Mean":
        """The mean of `values`, each counted `weights` times; equal shapes."""
        if values.shape != weights.shape:
            raise ValueError(f"Values are {values.shape}, weights {weights.shape}.")
        # A value that does not count must not matter, not even if it is NaN.
        kept = jnp.where(weights > 0, values, 0.0)
        return cls(jnp.sum(kept * weights), jnp.sum(weights))

    def merge(self, other: "Mean") -> "Mean":
        return Mean(self.total + other.total, self.count + other.count)

    def compute(self) -> Float[Array, ""]:
        """The mean, 0 of nothing."""
        return self.total / jnp.maximum(self.count, SMALLEST_COUNT)
