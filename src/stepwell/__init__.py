"""Pipelines of script steps on Prefect, with reuse one can trust. Each public name is loaded when it is first used."""

import os

import lazy_loader

os.environ.setdefault("DO_NOT_TRACK", "1")  # Prefect reads it when it is imported

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
