"""The start of every Python that a watched script starts: it is watched too, then the user's own `sitecustomize` runs.

Any Python may find this file, however old: it has to be understood by all of them.
"""

import os
import sys


def _watch():  # type: ignore[no-untyped-def]  # noqa: ANN202
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [folder for folder in sys.path if folder != here]
    sys.path_importer_cache.pop(here, None)
    sys.modules.pop("sitecustomize", None)
    inherited = os.environ.get("STEPWELL_WATCH")
    if not inherited or sys.version_info < (3, 8):
        return
    try:
        import marshal

        path = os.path.dirname(here) + "/watch.py"
        loader = sys.modules["_frozen_importlib_external"].SourceFileLoader("stepwell_watch", path)
        watch = type(sys)("stepwell_watch")
        loader.exec_module(watch)
        watch.start(*marshal.loads(bytes.fromhex(inherited)))  # noqa: S302  (who sets it may run anything)
    except Exception:  # noqa: BLE001, S110  (watching must not change what a script does)
        pass


_watch()  # type: ignore[no-untyped-call]
import sitecustomize  # type: ignore[import-not-found, unused-ignore]  # noqa: E402, F401  (what is missing then, is missing)
