"""Reading claims out of turns with no key and no language model but a parser: a parse and rules."""

from .extractor import OfflineExtractor

__all__ = ["OfflineExtractor"]
