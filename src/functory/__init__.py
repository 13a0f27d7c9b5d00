"""Functory: an open Function Compute, compatible with the API of Alibaba Cloud Function Compute 3.0."""

__version__ = "0.1.0"

__all__ = ["__version__"]
