"""The end of a command in a fork: as Python's own, but for what was imported before."""

from __future__ import annotations

import subprocess
import sys

import pytest

START = r"""
import atexit, gc, os, sys, threading
class Before:
    def __del__(self):
        os.write(1, b"taken apart\n")
before = Before()
known = frozenset(sys.modules)
"""
ENDS = {
    "own": "import command; command.main()",
    "fork": "from stepwell.deployments.resident.ending import run_to_end\nimport importlib\n"
    "run_to_end(lambda: importlib.import_module('command').main(), known)",
}
COMMANDS = {
    "returns": "def main(): print('done')",
    "code": "import sys\ndef main(): sys.exit(3)",
    "negative": "import sys\ndef main(): sys.exit(-1)",
    "none": "import sys\ndef main(): sys.exit(None)",
    "true": "import sys\ndef main(): sys.exit(True)",
    "text": "import sys\ndef main(): sys.exit('said')",
    "error": "def main(): raise RuntimeError('wrong')",
    "interrupted": "def main(): raise KeyboardInterrupt",
    "atexit": "import atexit\ndef main(): atexit.register(print, 'first'); atexit.register(print, 'second')",
    "thread": "import threading, time\ndef late():\n time.sleep(0.3); print('late')\n"
    "def main(): threading.Thread(target=late).start()",
    "daemon": "import threading, time\ndef main(): threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
    "pool": "from concurrent.futures import ThreadPoolExecutor\nimport time\n"
    "def main(): ThreadPoolExecutor(1).submit(lambda: time.sleep(0.3) or print('of a pool'))",
    "file": "stream = open('written', 'w')\ndef main(): stream.write('all of it')",
    "zip": "import zipfile\nstream = zipfile.ZipFile('written', 'w')\n"
    "def main(): stream.writestr(zipfile.ZipInfo('a'), 'b')",
    "object": "class Ends:\n def __del__(self): print('ended')\nends = Ends(); ends.circle = ends\ndef main(): pass",
    "closed": "import sys\ndef main(): sys.stdout.close()",
    "full": "import sys\ndef main():\n sys.stdout = open('/dev/full', 'w'); print('lost')",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_it_is_as_that_of_a_process_by_itself(name, tmp_path):
    ends = []
    for end in ENDS:
        folder = tmp_path / end
        folder.mkdir()
        (folder / "command.py").write_text(COMMANDS[name])
        code = START + ENDS[end]
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
        said = [line for line in done.stdout.splitlines() if line != "taken apart"]
        last = done.stderr.splitlines()[-1:]
        written = folder / "written"
        ends.append((done.returncode, said, last, written.read_bytes() if written.exists() else None))
    assert ends[0] == ends[1]


def test_what_was_imported_before_is_left_as_it_is(tmp_path):
    (tmp_path / "command.py").write_text(COMMANDS["returns"])
    for end, words in (("own", "done\ntaken apart\n"), ("fork", "done\n")):
        done = subprocess.run([sys.executable, "-c", START + ENDS[end]], cwd=tmp_path, capture_output=True, text=True)
        assert done.stdout == words, done.stderr
