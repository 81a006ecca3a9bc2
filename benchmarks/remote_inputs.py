"""Requests and bytes of inputs in a bucket: `python benchmarks/remote_inputs.py [--objects N] [--megabytes M] [--team]`.

A bucket of moto's, in a process of its own on this machine, holds 5 objects of M / 5 MB, N objects of 1 KB, and one byte
beside them. A step reads each of the three; planned and run, first and again, each time in a new process. With `--team` the bucket is what
two homes share, and the second one comes after the first has read all of it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""

WORKER = """
import json, logging, sys, time
from collections import Counter
import s3fs
requests, received, PART = Counter(), 0, s3fs.S3FileSystem.default_block_size
connect = s3fs.S3FileSystem.set_session

async def counted(self, *args, **kwargs):
    client = await connect(self, *args, **kwargs)
    if not getattr(client, "_counted", False):
        client._counted = True
        client.meta.events.register("before-send.s3", sent)
        client.meta.events.register("after-call.s3", answered)
    return client

def sent(request, **facts):
    requests[facts["event_name"].rpartition(".")[2]] += 1

def answered(http_response, **facts):
    global received
    size = int(http_response.headers.get("content-length", 0))
    # Of a large object s3fs asks for the whole only to learn its size, then for its parts.
    if facts["event_name"].endswith("GetObject") and (http_response.status_code == 206 or size <= PART):
        received += size

s3fs.S3FileSystem.set_session = counted
from stepwell import Datastore, Pipeline, PythonScriptStep, Workspace
ws = Workspace.get("bench")
data = Datastore(ws, "far").path(sys.argv[1])
step = PythonScriptStep(sys.argv[3], name=sys.argv[1], source_directory="source", arguments=[data], inputs=[data])
pipeline = Pipeline(ws, [step], description=sys.argv[1])
from stepwell.blocks.server.connection import client_settings
started = time.perf_counter()
if sys.argv[2] == "plan":
    pipeline.plan()
else:
    with client_settings():
        pipeline.flow()
seconds = time.perf_counter() - started
lists = requests["ListObjectsV2"]
print("measured", json.dumps([sum(requests.values()), lists, received, seconds]), file=sys.stderr)
"""


def main() -> None:
    """Measure, and print a line of a table for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--team", action="store_true")
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as server,
    ):
        assert server.stdout
        assert server.stdin
        try:
            measure(Path(name), int(server.stdout.readline()), chosen)
        finally:
            server.stdin.close()
            from stepwell.blocks.server.connection import stop

            stop()


def measure(folder: Path, port: int, chosen: argparse.Namespace) -> None:
    """Fill a bucket and print what plans and runs ask of it."""
    os.environ.update(
        STEPWELL_HOME=str(folder / "home"),
        PREFECT_HOME=str(folder / "prefect"),
        PREFECT_LOGGING_LEVEL="ERROR",
        STEPWELL_RESIDENT="0",
    )
    from stepwell import Datastore, Workspace

    options = {"key": "someone", "secret": "hidden", "endpoint_url": f"http://127.0.0.1:{port}"}
    far = Datastore.register(Workspace.create("bench"), "far", "s3://bench/data", options)
    far.filesystem.mkdir("bench")
    place = far.locate("")
    part = chosen.megabytes * 1_000_000 // 5
    for number in range(5):
        far.filesystem.pipe_file(
            f"{place}/large/{number}", b"%d" % number + (os.urandom(1 << 20) * (part // (1 << 20) + 1))[: part - 1]
        )
    for start in range(0, chosen.objects, 500):
        many = range(start, min(chosen.objects, start + 500))
        far.filesystem.pipe({f"{place}/many/{number}": b"%d " % number + bytes(1000) for number in many})
    far.filesystem.pipe_file(f"{place}/one/byte", b"1")
    (folder / "source").mkdir()
    for script in ("a.py", "b.py"):
        (folder / "source" / script).write_text(f"print({script!r})\n")
    time.sleep(3)  # until the versions may be believed
    print("| input | what | requests | of these LIST | MB received | seconds |\n|---|---|---|---|---|---|")
    cases = [
        ("plan", "a.py", "plan, cold", {}),
        ("run", "a.py", "run", {}),
        ("run", "a.py", "run, reused", {}),
        ("plan", "a.py", "plan, warm", {}),
        ("run", "b.py", "run of another step", {}),
    ]
    if chosen.team:
        far.set_as_default()
        other = second_home(folder)
        cases = [
            *((what, script, f"{shown}, first home", {}) for what, script, shown, _ in cases[:2]),
            ("plan", "a.py", "plan, second home", other),
            ("run", "a.py", "run, reused, second home", other),
            ("plan", "a.py", "plan, unchanged, second home", other),
            ("run", "a.py", "run, unchanged, second home", other),
            ("run", "b.py", "run of another step, second home", other),
        ]
    for data in ("large", "many", "one"):
        for what, script, shown, environment in cases:
            done = subprocess.run(
                [sys.executable, "-c", WORKER, data, what, script],
                cwd=folder,
                env={**os.environ, **environment},
                stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(done.stderr[-3000:])
            requests, lists, received, seconds = json.loads(done.stderr.rpartition("measured ")[2].splitlines()[0])
            print(f"| {data} | {shown} | {requests} | {lists} | {received / 1e6:.1f} | {seconds:.1f} |", flush=True)


def second_home(folder: Path) -> dict[str, str]:
    """Return the environment of a second home, which works with the first one's Prefect server."""
    from stepwell.blocks.server import connection

    own = {"STEPWELL_HOME": str(folder / "second"), "STEPWELL_MACHINE": "someone@second"}
    return {**own, **connection.variables(lambda _: None)}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
    main()
