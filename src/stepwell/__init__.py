"""Pipelines of script steps on Prefect, with reuse one can trust.

The public names are those of `__init__.pyi`, each loaded when it is first used.
"""

import os

os.environ.setdefault("DO_NOT_TRACK", "1")  # Prefect reads it when it is imported

__version__ = "0.1.0"

if os.environ.get("AZUREML_RUN_ID") and os.environ.get("STEPWELL_CONTROL"):  # a step opens neither the home nor Prefect
    from stepwell.script.workspace.package_init import __dir__, __getattr__
else:

    def _attached() -> None:
        """Take what finds the public names in this function's place, once one is asked for: the command line asks for none."""
        import lazy_loader

        names = globals()
        names["__getattr__"], names["__dir__"], names["__all__"] = lazy_loader.attach_stub(__name__, __file__)

    def __getattr__(name: str) -> object:
        if name.startswith("__") and name != "__all__":  # such as `__path__` of a module that imports ask for
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        _attached()
        return globals()[name] if name in globals() else globals()["__getattr__"](name)

    def _names() -> list[str]:
        _attached()
        return list(globals()["__dir__"]())

    __dir__ = _names
