"""A step as a job of a Databricks workspace: its forms, its data, its log, and all that can go wrong."""

import json

import pytest

from stepwell.blocks.processes.runner import StopSignal
from stepwell.errors import ComputeTargetException, StepFailedException
from stepwell.script.events import read_events

SCRIPT = """
import sys
from helper import greet
from stepwell import Run
run = Run.get_context()
run.log("rows", 3)
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
text = open(given["-raw"]).read()
open("outputs/note.txt", "w").write("kept")
print(greet(text), given["--size"], run.id, given["--AZUREML_RUN_ID"])
open(given["-table"], "w").write(text.upper())
"""
FILES = {"main.py": SCRIPT, "helper.py": "def greet(text):\n    return 'read ' + text\n", "outputs/old.txt": "old"}


@pytest.fixture
def script_job(job):
    def make(**more):
        given = {"script": "main.py", "settings": {"python_script_name": "main.py"}, "files": FILES, **more}
        return job(arguments=("--size", "7"), inputs=("raw",), outputs=("table",), **given)

    return make


def test_a_script_runs_with_its_folder_its_data_and_its_run(dbx, run, script_job):
    job = script_job()
    done = run(job)
    assert done.finished.exit.ok and done.finished.outputs["table"].read_text() == "THE RAW"
    assert "read the raw 7 11111111-2222 11111111-2222\n" in done.log
    assert "Databricks run 1000: https://dbx.example/#job/runs/1000\n" in done.log
    assert done.finished.facts == {"Databricks run": "https://dbx.example/#job/runs/1000", "cluster": "0101-cluster"}
    events = read_events(job.control)
    assert [(event["name"], event["value"]) for event in events if event["type"] == "metric"] == [("rows", 3)]
    assert (job.record / "outputs/note.txt").read_text() == "kept" and not (job.record / "outputs/old.txt").exists()
    assert done.log.count("read the raw") == (job.logs / "70_driver_log.txt").read_text().count("read the raw") == 1
    assert list((dbx.root / "dbfs").rglob("*.*")) == []  # nothing of it is left


def test_the_same_through_a_volume(dbx, run, script_job):
    done = run(script_job(), files_folder="/Volumes/main/default/stepwell")
    assert done.finished.outputs["table"].read_text() == "THE RAW"
    assert [path for path in (dbx.root / "Volumes").rglob("*") if path.is_file()] == []
    assert list((dbx.root / "Volumes/main/default/stepwell").iterdir()) == []
    assert dbx.submitted[0]["tasks"][0]["new_cluster"]["data_security_mode"] == "SINGLE_USER"


def test_a_notebook_of_the_workspace_gets_its_parameters_and_what_it_returns_is_told(dbx, run, job):
    def ran(task):
        dbx.dbfs(task["base_parameters"]["table"]).write_text("x")
        return "42 rows"

    dbx.on_notebook = ran
    given = job(
        "spark_notebook",
        {"notebook_path": "/Users/me/demo", "param.myparam": "testparam", "run_name": "demo"},
        outputs=("table",),
    )
    done = run(given)
    task = dbx.submitted[0]["tasks"][0]["notebook_task"]
    assert dbx.submitted[0]["run_name"] == "demo" and task["notebook_path"] == "/Users/me/demo"
    assert (
        task["base_parameters"]["myparam"] == "testparam"
        and task["base_parameters"]["AZUREML_RUN_ID"] == given.step_run_id
    )
    assert "The notebook returned: 42 rows\n" in done.log
    assert (given.record / "outputs/demo.html").read_text() == "<p>as it ran</p>"


def test_a_notebook_of_this_machine_is_imported_for_the_run_with_what_it_depends_on(dbx, run, job):
    seen = {}
    dbx.on_notebook = lambda task: seen.update(dbx.notebooks)
    files = {"work/demo.ipynb": "{}", "work/helper.py": "x = 1", "other.txt": "no"}
    given = job(
        "spark_notebook",
        {"notebook_path": "work/demo"},
        "work/demo.ipynb",
        files=files,
        declared=("work/demo.ipynb", "work/helper.py"),
    )
    run(given)
    folder = dbx.submitted[0]["tasks"][0]["notebook_task"]["notebook_path"].removesuffix("/work/demo")
    assert sorted(path.removeprefix(folder) for path in seen) == ["/work/demo", "/work/helper.py"]
    assert folder.startswith("/Shared/stepwell/11111111-2222-") and dbx.notebooks == {}


def test_a_script_of_dbfs_and_a_jar_with_libraries_of_the_source_folder(dbx, run, job):
    dbx.dbfs("dbfs:/code").mkdir()
    dbx.dbfs("dbfs:/code/a.py").write_text("import sys; print('arguments', sys.argv[1:3])")
    done = run(job(settings={"python_script_path": "dbfs:/code/a.py"}, arguments=("--n", "1")))
    assert "arguments ['--n', '1']" in done.log
    libraries = json.dumps(
        [{"jar": "lib/app.jar"}, {"jar": "dbfs:/b.jar"}, {"egg": "lib/x.whl"}, {"pypi": {"package": "six"}}]
    )
    seen = {}
    dbx.on_jar = lambda task: (
        seen.update({str(p): p.read_text() for p in dbx.root.rglob("app.jar")}) or "from the jar\n"
    )
    files = {"lib/app.jar": "bytes", "lib/x.whl": "w"}
    done = run(job("spark_jar", {"main_class_name": "com.App", "libraries": libraries}, arguments=("a",), files=files))
    task = dbx.submitted[1]["tasks"][0]
    assert task["spark_jar_task"]["main_class_name"] == "com.App" and task["spark_jar_task"]["parameters"][0] == "a"
    sent = [next(iter(library.items())) for library in task["libraries"]]
    assert [kind for kind, _ in sent] == ["jar", "jar", "whl", "pypi"] and sent[1][1] == "dbfs:/b.jar"
    assert sent[0][1].startswith("dbfs:/tmp/stepwell/11111111-2222-") and list(seen.values()) == ["bytes"]
    assert "from the jar\n" in done.log


def test_the_cluster_is_that_of_the_step_of_the_target_or_the_usual_one(dbx, run, job):
    notebook = {"notebook_path": "/n"}
    done = run(job("spark_notebook", {**notebook, "num_workers": 1}))
    cluster = dbx.submitted[0]["tasks"][0]["new_cluster"]
    assert cluster == {"spark_version": "16.4.x-scala2.12", "node_type_id": "Standard_DS3_v2", "num_workers": 1}
    assert "16.4.x-scala2.12" in done.log
    run(
        job("spark_notebook", {**notebook, "instance_pool_id": "pool", "min_workers": 1, "max_workers": 4}),
        spark_version="15.4.x-scala2.12",
    )
    cluster = dbx.submitted[1]["tasks"][0]["new_cluster"]
    autoscale = {"min_workers": 1, "max_workers": 4}
    assert cluster == {"spark_version": "15.4.x-scala2.12", "instance_pool_id": "pool", "autoscale": autoscale}
    dbx.clusters["0923-abc"] = "RUNNING"
    run(job("spark_notebook", {**notebook, "existing_cluster_id": "0923-abc"}))
    assert dbx.submitted[2]["tasks"][0]["existing_cluster_id"] == "0923-abc"


def test_the_drivers_log_is_kept_where_the_clusters_logs_go_to_a_folder(dbx, run, job):
    (dbx.root / "dbfs/logs/0101-cluster/driver").mkdir(parents=True)
    (dbx.root / "dbfs/logs/0101-cluster/driver/stdout").write_text("printed")
    given = job("spark_notebook", {"notebook_path": "/n", "cluster_log_dbfs_path": "dbfs:/logs"})
    run(given)
    assert (given.record / "user_logs/driver/stdout.txt").read_text() == "printed"
    assert not (given.record / "user_logs/driver/stderr.txt").exists()


@pytest.mark.parametrize("permitted", ["true", "false"])
def test_a_cluster_is_restarted_for_its_libraries_only_if_that_is_permitted(dbx, run, job, permitted):
    dbx.clusters["c"] = "RUNNING"
    dbx.library_states["c"] = [{"library": {"pypi": {"package": "six"}}, "status": "UNINSTALL_ON_RESTART"}]
    settings = {"notebook_path": "/n", "existing_cluster_id": "c", "permit_cluster_restart": permitted}
    done = run(job("spark_notebook", {**settings, "libraries": '[{"pypi": {"package": "six"}}]'}))
    assert len(dbx.calls("/clusters/restart")) == (permitted == "true")
    assert ("permit_cluster_restart=True" in done.log) == (permitted == "false")


# What goes wrong ------------------------------------------------------------------------------------------------------


def test_a_busy_workspace_is_asked_again_when_it_says(dbx, run, job, clock):
    dbx.fail("GET .*runs/get$", 429, "REQUEST_LIMIT_EXCEEDED", "Too many requests", Retry_After=17)
    dbx.fail("GET .*runs/get$", 503, "TEMPORARILY_UNAVAILABLE", "Down", Retry_After=23)
    dbx.cut("GET .*runs/get$", "before")
    done = run(job("spark_notebook", {"notebook_path": "/n", "existing_cluster_id": ""}))
    assert done.finished.exit.ok and any(17 <= s < 18 for s in clock.slept) and any(23 <= s < 24 for s in clock.slept)
    assert "Databricks asks for patience: the next try follows in" in done.log


@pytest.mark.parametrize(
    "fault",
    [
        lambda dbx: dbx.cut("runs/submit", "after"),
        lambda dbx: dbx.cut("runs/submit", "before", times=2),
        lambda dbx: dbx.fail("runs/submit", 503, "TEMPORARILY_UNAVAILABLE", "Down", Retry_After=1),
    ],
)
def test_a_job_is_started_once_though_its_request_is_sent_again(dbx, run, job, fault):
    fault(dbx)
    assert run(job("spark_notebook", {"notebook_path": "/n"})).finished.exit.ok
    assert len(dbx.submitted) == 1 and len(dbx.calls("/runs/submit")) > 1
    assert len({body["idempotency_token"] for body in dbx.calls("/runs/submit")}) == 1


def test_another_attempt_is_another_job(dbx, run, job):
    dbx.on_notebook = lambda task: 1 / 0
    for _ in range(2):
        with pytest.raises(StepFailedException):
            run(job("spark_notebook", {"notebook_path": "/n"}))
    assert len(dbx.submitted) == 2


def test_a_cancelled_step_cancels_its_job(dbx, run, job):
    stop, dbx.endless = StopSignal(), True
    dbx.on_poll = lambda run: stop.stop() if run["polls"] == 5 else None
    done = run(job("spark_notebook", {"notebook_path": "/n"}), stop=stop)
    assert done.finished.exit.cancelled and len(dbx.calls("/runs/cancel")) == 1
    assert dbx.runs[1000]["state"]["result_state"] == "CANCELED" and "Cancelled the Databricks run 1000\n" in done.log


def test_a_job_whose_answer_was_lost_is_cancelled_too(dbx, run, job, clock):
    stop = StopSignal()
    dbx.cut("runs/submit", "after")
    wait = clock.wait
    clock.wait = lambda self, seconds: (stop.stop(), wait(self, seconds))
    done = run(job("spark_notebook", {"notebook_path": "/n"}), stop=stop)
    assert done.finished.exit.cancelled and len(dbx.submitted) == 1
    assert dbx.runs[1000]["state"]["result_state"] == "CANCELED"


def test_a_job_that_never_ends_is_cancelled_when_the_time_is_up(dbx, run, job, clock):
    dbx.endless = True
    done = run(job("spark_notebook", {"notebook_path": "/n"}, timeout_seconds=90))
    assert done.finished.exit.timed_out and not done.finished.exit.cancelled
    assert dbx.submitted[0]["timeout_seconds"] == 90 and len(dbx.calls("/runs/cancel")) == 1
    assert max(clock.slept) <= 30


def test_a_step_that_databricks_itself_ended_in_time_is_timed_out(dbx, run, job):
    import databricks_workspace

    def late(task):
        raise databricks_workspace.Refused(200, "TIMEDOUT", "Run timed out")

    dbx.on_notebook = late
    assert run(job("spark_notebook", {"notebook_path": "/n"}, timeout_seconds=90)).finished.exit.timed_out


def test_the_jobs_own_error_is_the_steps(dbx, run, script_job):
    job = script_job(files={**FILES, "main.py": "print('before')\nraise ValueError('no such column: age')"})
    with pytest.raises(StepFailedException) as failure:
        run(job)
    error = failure.value
    assert error.title == "The Databricks job of step 'clean' ended as failed"
    assert error.facts["error"] == "ValueError: no such column: age" and "Traceback" in error.facts["last lines"]
    assert error.facts["run"] == "https://dbx.example/#job/runs/1000"
    assert "before\n" in run.log and "no such column" in (job.logs / "stderr.txt").read_text()
    assert list((dbx.root / "dbfs").rglob("*.*")) == []


def test_a_script_that_exits_with_zero_succeeds_and_with_another_number_fails(run, script_job):
    outputs = {"main.py": "import sys\nopen(sys.argv[sys.argv.index('-table') + 1], 'w').close()\nsys.exit(0)"}
    assert run(script_job(files={**FILES, **outputs})).finished.exit.ok
    with pytest.raises(StepFailedException):
        run(script_job(files={**FILES, "main.py": "import sys\nsys.exit(3)"}))


def test_what_databricks_says_of_a_run_that_it_could_not_begin(dbx, run, job):
    import databricks_workspace

    def unlucky(task):
        raise databricks_workspace.Refused(
            200, "INTERNAL_ERROR", "Cluster terminated. Reason: Cloud provider launch failure"
        )

    dbx.on_notebook = unlucky
    with pytest.raises(StepFailedException, match="could not run the job") as failure:
        run(job("spark_notebook", {"notebook_path": "/n"}))
    assert failure.value.facts["error"] == "Cluster terminated. Reason: Cloud provider launch failure"


def test_a_job_that_succeeds_without_its_output_says_so(run, script_job):
    job = script_job(files={**FILES, "main.py": "print('done')"})
    with pytest.raises(StepFailedException, match="succeeded and did not write 'table'") as failure:
        run(job)
    assert failure.value.facts["looked for at"].endswith("/outputs/table")


@pytest.mark.parametrize(
    ("spoil", "title", "fact"),
    [
        (lambda dbx: dbx.tokens.clear(), "does not take the access token: it is wrong or has expired", "expired"),
        (
            lambda dbx: dbx.permissions.discard("jobs"),
            "may not run jobs in its Databricks workspace",
            "PERMISSION_DENIED",
        ),
        (
            lambda dbx: dbx.permissions.discard("files"),
            "may not write to its files in its Databricks workspace",
            "PERMISSION",
        ),
    ],
)
def test_one_clear_error_each(dbx, run, script_job, spoil, title, fact):
    spoil(dbx)
    with pytest.raises(ComputeTargetException, match=title) as failure:
        run(script_job())
    assert fact in failure.value.facts["reason"] and "Config:" not in str(failure.value)
    assert "dapi" not in str(failure.value) + run.log


def test_an_invalid_token_is_told_from_a_missing_permission_and_from_other_words_of_tokens(dbx, run, job):
    dbx.fail("runs/submit", 403, "", "Invalid access token.")
    with pytest.raises(ComputeTargetException, match="does not take the access token"):
        run(job("spark_notebook", {"notebook_path": "/n"}))
    dbx.fail("runs/submit", 400, "INVALID_PARAMETER_VALUE", "Invalid idempotency token")
    with pytest.raises(ComputeTargetException, match="could not run jobs"):
        run(job("spark_notebook", {"notebook_path": "/n"}))


def test_an_unknown_cluster_is_named(dbx, run, job):
    with pytest.raises(ComputeTargetException, match="has no cluster 'gone'"):
        run(job("spark_notebook", {"notebook_path": "/n", "existing_cluster_id": "gone"}))
    assert dbx.submitted == [] and "may go on" not in run.log


def test_a_refused_job_is_not_asked_for_again(dbx, run, job):
    dbx.fail("runs/submit", 400, "INVALID_PARAMETER_VALUE", "Invalid spark version y", times=9)
    with pytest.raises(ComputeTargetException, match="could not run jobs") as failure:
        run(job("spark_notebook", {"notebook_path": "/n", "node_type": "x", "spark_version": "y"}))
    assert "Invalid spark version y" in failure.value.facts["reason"] and len(dbx.calls("/runs/submit")) == 1


def test_a_token_that_expires_while_the_job_runs_is_told_with_the_runs_page(dbx, run, job):
    dbx.on_poll = lambda run: dbx.tokens.clear() if run["polls"] == 2 else None
    with pytest.raises(ComputeTargetException, match="has expired") as failure:
        run(job("spark_notebook", {"notebook_path": "/n"}))
    assert failure.value.facts["run"] == "https://dbx.example/#job/runs/1000"
    assert "The Databricks run 1000 may go on, as it can't be cancelled" in run.log


def test_a_job_that_nobody_follows_any_more_is_cancelled(dbx, run, job, monkeypatch):
    dbx.endless = True
    monkeypatch.setattr(
        "stepwell.blocks.compute.databricks.job_log.JobLog.say", lambda *_: 1 / 0
    )  # a full disk, for one
    with pytest.raises(ZeroDivisionError):
        run(job("spark_notebook", {"notebook_path": "/n", "node_type": "x", "spark_version": "y"}))
    assert dbx.runs[1000]["state"]["result_state"] == "CANCELED"


def test_a_workspace_without_machines_to_choose_from_is_told(dbx, run, job, monkeypatch):
    monkeypatch.setattr("databricks_workspace.clusters", lambda *_: {"versions": []})
    with pytest.raises(ComputeTargetException, match="could not") as failure:
        run(job("spark_notebook", {"notebook_path": "/n"}))
    assert "spark versions" in failure.value.facts["reason"]


def test_a_workspace_that_is_nowhere_is_told(run, job, dbx, clock):
    dbx.address = "http://127.0.0.1:9"  # nobody listens there
    with pytest.raises(ComputeTargetException, match="does not answer") as failure:
        run(job("spark_notebook", {"notebook_path": "/n"}))
    assert failure.value.facts["host"] == "http://127.0.0.1:9" and clock.now > 600


def test_secrets_are_masked_in_what_the_job_prints(run, script_job):
    files = {
        **FILES,
        "main.py": FILES["main.py"].replace("text.upper()", "text.upper()") + "\nprint('key s3cr3t-value')",
    }
    job = script_job(files=files)
    done = run(job, redact=lambda text: text.replace("s3cr3t-value", "***"))
    assert "key ***" in done.log and "s3cr3t-value" not in (job.logs / "70_driver_log.txt").read_text()
