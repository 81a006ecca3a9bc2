"""Pipelines of script steps on Prefect, with reuse one can trust.

The public names are those of `__init__.pyi`, each loaded when it is first used.
"""

import os

os.environ.setdefault("DO_NOT_TRACK", "1")  # Prefect reads it when it is imported

__version__ = "0.1.0"

if os.environ.get("AZUREML_RUN_ID") and os.environ.get("STEPWELL_CONTROL"):  # a step opens neither the home nor Prefect
    from stepwell.script.workspace.package_init import __dir__, __getattr__
else:
    import lazy_loader

    __getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
