"""The names of the Azure ML SDK v1 under its own module paths, carried by Stepwell.

`names` is the table of all of them; modules and names are made when they are first asked for.
"""

from __future__ import annotations

import os
import sys

from azureml.modules import Finder


def _refuse_real_sdk() -> None:
    """Raise ImportError if the Azure ML SDK is installed, too: both bring this package, and would hide parts of each other."""
    for folder in sys.path:
        if os.path.isfile(os.path.join(folder, "azureml", "core", "__init__.py")):
            raise ImportError(
                f"The Azure ML SDK (in {folder}) and stepwell-azureml are both installed, and both bring the package 'azureml'. "
                "Uninstall one: `pip uninstall stepwell-azureml` leaves the name to the SDK, `pip uninstall azureml-core` to Stepwell."
            )


_refuse_real_sdk()
sys.meta_path.append(Finder())
