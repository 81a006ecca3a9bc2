"""The start of every Python that a script starts: it is watched too, and imports the same code, as the script's own is.

The user's own `sitecustomize` runs in between. Any Python may find this file, however old: it has to be understood by all
of them.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _begin(variable, name, function):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Call the function of the file `name` beside this folder with what the variable hands down; nothing if there is none."""
    inherited = os.environ.get(variable)
    if not inherited or sys.version_info < (3, 8):
        return
    try:
        import marshal

        path = os.path.dirname(_HERE) + "/" + name + ".py"
        loader = sys.modules["_frozen_importlib_external"].SourceFileLoader("stepwell_" + name, path)
        module = type(sys)("stepwell_" + name)
        module.__file__ = path
        loader.exec_module(module)
        getattr(module, function)(*marshal.loads(bytes.fromhex(inherited)))  # noqa: S302  (who sets it may run anything)
    except Exception:  # noqa: BLE001, S110  (this must not change what a script does)
        pass


sys.path[:] = [folder for folder in sys.path if folder != _HERE]
sys.path_importer_cache.pop(_HERE, None)
sys.modules.pop("sitecustomize", None)
_begin("STEPWELL_WATCH", "watch", "start")  # type: ignore[no-untyped-call]
try:
    import sitecustomize  # type: ignore[import-not-found, unused-ignore]  # noqa: F401  (what is missing then, is missing)
finally:
    _begin("STEPWELL_OWN_CODE", "own_code", "begin")  # type: ignore[no-untyped-call]
