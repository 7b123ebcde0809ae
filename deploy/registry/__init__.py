"""Versions of bundles, and which of them are served: see `deploy.registry.registry`."""

from deploy.registry.registry import Registry, open_registry

__all__ = ["Registry", "open_registry"]
