"""A Databricks workspace of the tests' own: the documented REST calls that Stepwell uses, with files on disk and faults on demand.

A job's run goes on each time that somebody asks for it: PENDING, RUNNING, ended. Python files really run, as processes that see
the workspace's files where a cluster would mount them; what notebooks and jars do, a test says with `on_notebook` and `on_jar`.
"""

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

TOKEN = "dapi0123456789abcdef0123456789abcdef"


class Refused(Exception):
    """An answer that is none of the usual ones."""

    def __init__(self, status, code, message, **headers):
        self.status, self.body, self.headers = status, {"error_code": code, "message": message}, headers


@dataclass
class Fault:
    """What happens to the next requests whose method and path fit: an error, or a connection that ends before or after."""

    fits: str
    times: int
    refusal: Refused | None = None
    reset: str = ""


@dataclass
class Workspace:
    """The state of the workspace, and what was asked of it."""

    root: object
    tokens: set = field(default_factory=lambda: {TOKEN})
    requests: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    runs: dict = field(default_factory=dict)
    submitted: list = field(default_factory=list)
    by_token: dict = field(default_factory=dict)
    notebooks: dict = field(default_factory=dict)
    clusters: dict = field(default_factory=dict)
    library_states: dict = field(default_factory=dict)
    permissions: set = field(default_factory=lambda: {"jobs", "files"})
    on_notebook: object = None
    on_jar: object = None
    endless: bool = False
    on_poll: object = None
    handles: dict = field(default_factory=dict)

    def fail(self, fits, status, code="", message="", *, times=1, **headers):
        """Answer the next requests that fit with an error."""
        self.faults.append(Fault(fits, times, Refused(status, code, message, **headers)))

    def cut(self, fits, when, *, times=1):
        """End the connection of the next requests that fit `before` they are dealt with, or `after`, so that the answer is lost."""
        self.faults.append(Fault(fits, times, reset=when))

    def dbfs(self, path):
        """Return where a path of DBFS is on disk."""
        return self.root / "dbfs" / path.removeprefix("dbfs:").lstrip("/")

    def volume(self, path):
        """Return where a path of a volume is on disk."""
        return self.root / "Volumes" / path.removeprefix("/Volumes/")

    def local(self, address):
        """Return where a cluster would mount what an address names, as a text."""
        if address.startswith("dbfs:/"):
            return str(self.dbfs(address))
        return str(self.volume(address)) if address.startswith("/Volumes/") else address

    def calls(self, path):
        """Return the bodies of the requests of a path."""
        return [body for _, asked, body in self.requests if asked.endswith(path)]

    # Runs -----------------------------------------------------------------------------------------------------------

    def submit(self, body):
        self._may("jobs")
        known = self.by_token.get(body["idempotency_token"])
        if known:
            return {"run_id": known}
        task = body["tasks"][0]
        cluster = task.get("existing_cluster_id")
        if cluster and cluster not in self.clusters:
            raise Refused(400, "INVALID_PARAMETER_VALUE", f"Cluster {cluster} does not exist")
        number = 1000 + len(self.runs)
        self.by_token[body["idempotency_token"]] = number
        self.submitted.append(body)
        self.runs[number] = {"body": body, "polls": 0, "state": {"life_cycle_state": "PENDING"}, "output": {}}
        return {"run_id": number}

    def get_run(self, number):
        run = self.runs[number]
        run["polls"] += 1
        if self.on_poll:
            self.on_poll(run)
        if run["polls"] == 2 and run["state"]["life_cycle_state"] == "PENDING":
            run["state"] = {"life_cycle_state": "RUNNING", "state_message": "In run"}
        elif run["polls"] == 3 and run["state"]["life_cycle_state"] == "RUNNING" and not self.endless:
            self._perform(run)
        task = {"task_key": "step", "run_id": number + 5000, "cluster_instance": {"cluster_id": "0101-cluster"}}
        return {
            "run_id": number,
            "state": run["state"],
            "tasks": [task],
            "run_page_url": f"https://dbx.example/#job/runs/{number}",
        }

    def cancel(self, number):
        self.runs[number]["state"] = {
            "life_cycle_state": "TERMINATED",
            "result_state": "CANCELED",
            "state_message": "Run cancelled.",
        }

    def _perform(self, run):
        task = run["body"]["tasks"][0]
        try:
            if "spark_python_task" in task:
                run["output"] = self._python(task["spark_python_task"])
            elif "notebook_task" in task:
                returned = self.on_notebook(task["notebook_task"]) if self.on_notebook else None
                run["output"] = {"notebook_output": {"result": returned, "truncated": False}}
            else:
                printed = self.on_jar(task["spark_jar_task"]) if self.on_jar else None
                run["output"] = {"logs": printed}
            result, message = (
                ("FAILED", "Workload failed, see run output for details")
                if run["output"].get("error")
                else ("SUCCESS", "")
            )
        except Refused as error:
            run["output"] = {}
            result, message = error.body["error_code"], error.body["message"]
        except Exception as error:
            run["output"] = {
                "error": f"{type(error).__name__}: {error}",
                "error_trace": f"Traceback\n{type(error).__name__}: {error}",
            }
            result, message = "FAILED", "Workload failed, see run output for details"
        internal = result == "INTERNAL_ERROR"
        run["state"] = {"life_cycle_state": result if internal else "TERMINATED", "state_message": message}
        run["state"] |= {"result_state": "FAILED" if internal else result}

    def _python(self, task):
        own = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("STEPWELL_", "PREFECT_", "AZUREML_", "PYTHON"))
        }
        argv = [
            sys.executable,
            "-I",
            "-S",
            self.local(task["python_file"]),
            *map(self.local, task.get("parameters", [])),
        ]
        done = subprocess.run(argv, capture_output=True, text=True, env=own, cwd="/", check=False)
        found = {"logs": done.stdout + done.stderr}
        if done.returncode:
            found |= {"error": done.stderr.strip().splitlines()[-1], "error_trace": done.stderr}
        return found

    def _may(self, what):
        if what not in self.permissions:
            raise Refused(403, "PERMISSION_DENIED", f"User does not have permission for {what}")


class Handler(BaseHTTPRequestHandler):
    """Deals with one request after the other of a connection."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _deal(self):
        workspace, url = self.server.workspace, urlsplit(self.path)
        path, query = unquote(url.path), dict(parse_qsl(url.query))
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_json = "json" in (self.headers.get("Content-Type") or "") and not path.startswith("/api/2.0/fs/")
        body = json.loads(data) if data and is_json else data
        with workspace_lock:
            workspace.requests.append((self.command, path, body or query))
            fault = next((f for f in workspace.faults if f.times and re.search(f.fits, f"{self.command} {path}")), None)
            if fault:
                fault.times -= 1
            if fault and fault.reset == "before":
                return self._cut()
            try:
                if self.headers.get("Authorization", "").removeprefix("Bearer ") not in workspace.tokens:
                    raise Refused(401, "UNAUTHENTICATED", "Invalid access token. Token is expired.")
                if fault and fault.refusal:
                    raise fault.refusal
                answer = route(workspace, self.command, path, query, body)
                if fault and fault.reset == "after":
                    return self._cut()
                return self._answer(200, answer, {})
            except Refused as error:
                return self._answer(error.status, error.body, error.headers)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _deal

    def _cut(self):
        self.close_connection = True
        self.connection.close()

    def _answer(self, status, answer, headers):
        data = answer if isinstance(answer, bytes) else json.dumps(answer or {}).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.send_header(
            "Content-Type", "application/octet-stream" if isinstance(answer, bytes) else "application/json"
        )
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


workspace_lock = threading.RLock()


def route(workspace, method, path, query, body):
    """Return the answer to a request."""
    area, _, call = re.sub(r"^/api/2\.\d/", "", path).partition("/")
    if area == "fs":
        return files(workspace, method, *call.partition("/")[::2], body)
    if path.endswith("/scim/v2/Me"):
        return {"userName": "someone@example.com"}
    areas = {"jobs": jobs, "dbfs": dbfs, "workspace": notebooks, "libraries": libraries}
    return areas.get(area, clusters)(workspace, call, {**query, **(body or {})})


def jobs(workspace, call, told):
    number = int(told.get("run_id", 0))
    if call == "runs/submit":
        return workspace.submit(told)
    if call == "runs/get":
        return workspace.get_run(number)
    if call == "runs/get-output":
        return workspace.runs[number - 5000]["output"]
    if call == "runs/cancel":
        return workspace.cancel(number)
    task = workspace.runs[number - 5000]["body"]["tasks"][0]
    return {
        "views": [
            {
                "name": os.path.basename(task["notebook_task"]["notebook_path"]),
                "type": "NOTEBOOK",
                "content": "<p>as it ran</p>",
            }
        ]
    }


def dbfs(workspace, call, told):
    workspace._may("files")
    place = workspace.dbfs(told["path"]) if "path" in told else None
    if call == "create":
        place.parent.mkdir(parents=True, exist_ok=True)
        handle = 1 + len(workspace.handles)
        workspace.handles[handle] = open(place, "wb")
        return {"handle": handle}
    if call == "add-block":
        block = base64.b64decode(told["data"])
        assert len(block) <= 1 << 20
        workspace.handles[told["handle"]].write(block)
    elif call == "close":
        workspace.handles[told["handle"]].close()
    elif call == "mkdirs":
        place.mkdir(parents=True, exist_ok=True)
    elif call == "delete":
        shutil.rmtree(place, ignore_errors=True)
    elif not place.exists():
        raise Refused(404, "RESOURCE_DOES_NOT_EXIST", f"No file or directory exists on path {told['path']}.")
    elif call == "get-status":
        return _status(workspace, place)
    elif call == "list":
        return {"files": [_status(workspace, inner) for inner in sorted(place.iterdir())]}
    elif call == "read":
        start = int(told["offset"])
        part = place.read_bytes()[start : start + int(told["length"])]
        return {"bytes_read": len(part), "data": base64.b64encode(part).decode()}
    return {}


def _status(workspace, place):
    path = "/" + str(place.relative_to(workspace.root / "dbfs"))
    return {"path": path, "is_dir": place.is_dir(), "file_size": 0 if place.is_dir() else place.stat().st_size}


def files(workspace, method, kind, path, body):
    workspace._may("files")
    place = workspace.root / path
    if kind == "directories" and method == "PUT":
        place.mkdir(parents=True, exist_ok=True)
    elif method == "PUT":
        if not place.parent.is_dir():
            raise Refused(404, "NOT_FOUND", f"The folder of {path} does not exist")
        place.write_bytes(body or b"")
    elif not (place.is_dir() if kind == "directories" else place.is_file()):
        raise Refused(404, "NOT_FOUND", f"The path {path} does not exist")
    elif method == "DELETE":
        place.rmdir() if kind == "directories" else place.unlink()
    elif kind == "directories":
        found = sorted(place.iterdir()) if method == "GET" else []
        return {"contents": [_entry(workspace, inner) for inner in found]}
    elif method in ("GET", "HEAD"):
        return place.read_bytes()
    return {}


def _entry(workspace, place):
    path = "/" + str(place.relative_to(workspace.root))
    return {"path": path, "is_directory": place.is_dir(), "file_size": None if place.is_dir() else place.stat().st_size}


def notebooks(workspace, call, told):
    if call == "import":
        workspace.notebooks[told["path"]] = {**told, "content": base64.b64decode(told["content"]).decode()}
    elif call == "delete":
        gone = [path for path in workspace.notebooks if f"{path}/".startswith(f"{told['path']}/")]
        if not gone:
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST", f"Path ({told['path']}) doesn't exist.")
        for path in gone:
            del workspace.notebooks[path]
    elif call == "export":
        if told["path"] not in workspace.notebooks:
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST", f"Path ({told['path']}) doesn't exist.")
        return {"content": base64.b64encode(workspace.notebooks[told["path"]]["content"].encode()).decode()}
    return {}


def clusters(workspace, call, told):
    if call == "spark-versions":
        return {
            "versions": [
                {"key": "16.4.x-scala2.12", "name": "16.4 LTS (includes Apache Spark 3.5.2, Scala 2.12)"},
                {"key": "17.0.x-scala2.13", "name": "17.0 (includes Apache Spark 4.0.0, Scala 2.13)"},
            ]
        }
    if call == "list-node-types":
        kind = {
            "memory_mb": 14336,
            "num_cores": 4.0,
            "category": "General Purpose",
            "is_deprecated": False,
            "instance_type_id": "Standard_DS3_v2",
        }
        return {
            "node_types": [
                {
                    "node_type_id": "Standard_DS3_v2",
                    "description": "Standard_DS3_v2",
                    "node_instance_type": {
                        "instance_type_id": "Standard_DS3_v2",
                        "local_disks": 1,
                        "local_disk_size_gb": 28,
                    },
                    **kind,
                }
            ]
        }
    cluster = told["cluster_id"]
    if cluster not in workspace.clusters:
        raise Refused(400, "INVALID_PARAMETER_VALUE", f"Cluster {cluster} does not exist")
    return {"cluster_id": cluster, "state": workspace.clusters[cluster]} if call == "get" else {}


def libraries(workspace, call, told):
    return {"cluster_id": told["cluster_id"], "library_statuses": workspace.library_states.get(told["cluster_id"], [])}


@contextlib.contextmanager
def serving(workspace):
    """Serve the workspace, and yield its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.workspace = workspace
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
