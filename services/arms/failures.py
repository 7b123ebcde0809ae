"""Why a bundle could not be loaded, in a word that can be counted."""

from __future__ import annotations

from deploy.registry.errors import RegistryError, UntrustedError
from detectors.errors import BundleError, DetectorsError, ProviderError


def reason_of(error: BaseException) -> str:
    """One of the reasons of `plumbline_bundle_load_failures`."""
    match error:
        case BundleError():
            return "bundle"
        case ProviderError():
            return "provider"
        case UntrustedError():
            return "signature"
        case RegistryError():
            return "registry"
        case _:
            return "other"


def told(error: BaseException) -> str:
    """What may be logged of it: our own errors say what is wrong, and quote nothing; of others their kind alone."""
    kind = type(error).__name__
    return f"{kind}: {error}" if isinstance(error, RegistryError | DetectorsError) else kind
