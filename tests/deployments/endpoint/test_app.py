from __future__ import annotations

import concurrent.futures
import io
import json
import logging
import zipfile
from urllib.parse import quote

import httpx
import prefect_api
import pytest
from prefect.exceptions import PrefectHTTPStatusError
from projects import Project
from published import BASE, bearer, endpoint, every_kind, path_of, work

from stepwell import PipelineData, PipelineEndpoint, PipelineParameter, PublishedPipeline, Workspace
from stepwell.blocks.access import tokens
from stepwell.deployments.access.registry import Registry
from stepwell.errors import ServerException


@pytest.fixture
def published(project):
    return every_kind(project).publish("every kind", "All that there is")


@pytest.fixture
def anybody():
    return endpoint()


def post(client, target, body=None, **more):
    address = target.endpoint if isinstance(target, PublishedPipeline) else target
    return client.post(path_of(address), json={"ExperimentName": "e", **(body or {})}, **more)


def error(response):
    return response.status_code, response.json()["error"].get("field"), response.json()["error"]["code"]


def assign(**values):
    return {"ParameterAssignments": values}


def test_a_call_is_answered_as_by_v1_and_the_run_gets_what_was_sent(anybody, published):
    sent = assign(
        whole="7", real=1, flag="true", text="$(id) \"; rm -rf / '\n--help", maybe=4, colour="green", sizes=[5]
    )
    response = post(anybody, published, {**sent, "Tags": {"who": "me"}, "RunSource": "test"})
    assert response.status_code == 202
    answer = response.json()
    assert (answer["PipelineId"], answer["RunHistoryExperimentName"]) == (published.id, "e")
    assert response.headers["location"] == f"{BASE}/runs/{answer['Id']}"
    waiting = anybody.get(f"/runs/{answer['Id']}").json()
    assert (waiting["status"], waiting["steps"]) == ("NotStarted", [{"name": "tell.py", "status": "waiting"}])
    assert work(answer["Id"]) == "Completed"
    run = anybody.get(f"/runs/{answer['Id']}").json()
    assert (run["status"], run["experiment"], run["tags"]) == ("Finished", "e", {"who": "me"})
    (output,) = run["steps"][0]["outputs"]
    told = json.loads(anybody.get(path_of(output["url"])).content)
    values = dict(zip(told[::2], told[1::2], strict=True))
    assert values.pop("--data").endswith("a.csv")
    assert values == {
        "--whole": "7",
        "--real": "1.0",
        "--flag": "True",
        "--text": "$(id) \"; rm -rf / '\n--help",
        "--maybe": "4",
        "--colour": "green",
        "--sizes": "[5]",
    }


def test_data_paths_are_confined(anybody, published, project):
    (project.folder / "outside").mkdir()
    (project.folder / "outside" / "secret").write_text("s")
    (project.folder / "data" / "way-out").symlink_to(project.folder / "outside")
    (project.folder / "data" / "file-out").symlink_to("../outside/secret")
    (project.folder / "data" / "alias.csv").symlink_to("a.csv")

    def data(store, path):
        return error(
            post(anybody, published, {"DataPathAssignments": {"data": {"DataStoreName": store, "RelativePath": path}}})
        )

    for path in ("../outside", "/etc/passwd", "way-out", "way-out/secret", "file-out", "missing.csv", "a/../../x"):
        assert data("given", path)[0] == 400, path
    assert data("nowhere", "a.csv")[0] == 400
    for value in ("given/../x", "given/way-out", "given/way-out/secret"):
        assert error(post(anybody, published, assign(data=value)))[0] == 400, value
    for value in ("given/a.csv", "given/alias.csv"):
        assert post(anybody, published, assign(data=value)).status_code == 202, value


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"Experiment": "x"}, "Experiment"),
        ({"ExperimentName": None}, "ExperimentName"),
        ({"ExperimentName": "a b"}, "ExperimentName"),
        (assign(nope=1), "ParameterAssignments.nope"),
        (assign(whole=10), "ParameterAssignments.whole"),
        (assign(whole="ten"), "ParameterAssignments.whole"),
        (assign(whole="٣"), "ParameterAssignments.whole"),
        (assign(whole="1_0"), "ParameterAssignments.whole"),
        (assign(whole=True), "ParameterAssignments.whole"),
        (assign(whole=None), "ParameterAssignments.whole"),
        (assign(real="nan"), "ParameterAssignments.real"),
        (assign(real="٣.5"), "ParameterAssignments.real"),
        (assign(flag="yes"), "ParameterAssignments.flag"),
        (assign(text=5), "ParameterAssignments.text"),
        (assign(colour="blue"), "ParameterAssignments.colour"),
        (assign(sizes=[1, "x"]), "ParameterAssignments.sizes"),
        (
            {"DataPathAssignments": {"text": {"DataStoreName": "given", "RelativePath": "a.csv"}}},
            "DataPathAssignments.text",
        ),
        ({"DataPathAssignments": {"data": {"DataStoreName": "given"}}}, "DataPathAssignments.data.RelativePath"),
        ({"Tags": {"a": 1}}, "Tags.a"),
        ({"Tags": {"a": "1"}, "tags": {}}, "tags"),
        ({"RegenerateOutputs": "yes"}, "RegenerateOutputs"),
        ({"DataSetDefinitionValueAssignments": {"a": {}}}, "DataSetDefinitionValueAssignments.a"),
    ],
)
def test_what_is_not_right_is_refused_by_its_name(anybody, shared_published, body, field):
    assert error(post(anybody, shared_published, body))[:2] == (400, field)


@pytest.fixture(scope="module")
def shared_published(server, tmp_path_factory):
    from projects import Project

    from stepwell import Workspace

    project = Project(tmp_path_factory.mktemp("shared"), Workspace.create("shared-endpoint"))
    return every_kind(project).publish("shared")


@pytest.mark.parametrize(
    ("raw", "kind", "expected"),
    [
        (b'{"ExperimentName": "e", "ParameterAssignments": {"real": NaN}}', "application/json", 400),
        (b'{"ExperimentName": "e", "ParameterAssignments": {"real": 1e400}}', "application/json", 400),
        (b'{"ExperimentName": "e", "ExperimentName": "f"}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"{", "application/json", 400),
        ('{"ExperimentName": "e", "ParameterAssignments": {"whole": ٣}}'.encode(), "application/json", 400),
        (b"\xff", "application/json", 400),
        (b" " * 10_000_000, "application/json", 413),
        (b'{"ExperimentName": "e"}', "text/plain", 415),
        (b"ExperimentName=e", "application/x-www-form-urlencoded", 415),
    ],
)
def test_what_is_no_json_is_refused(anybody, shared_published, raw, kind, expected):
    address = path_of(shared_published.endpoint)
    assert anybody.post(address, content=raw, headers={"Content-Type": kind}).status_code == expected


def test_queries_are_strict(anybody, shared_published):
    address = path_of(shared_published.endpoint)
    assert error(anybody.get(f"{address}?token=x"))[:2] == (400, "?token")
    assert error(anybody.get("/pipelines/shared?version=1&version=1"))[:2] == (400, "?version")
    assert error(anybody.get("/PipelineEndpoints/Name"))[:2] == (400, "?name")


def test_versions_defaults_and_what_is_no_more(anybody, project):
    def publish(text):
        step = project.step(f"{text}.py", "print(1)")
        return project.pipeline(step, name="p").publish("p")

    first, second = publish("one"), publish("two")
    name = f"e-{project.workspace.name}"
    stable = PipelineEndpoint.publish(project.workspace, name, "", first)
    stable.add(second)

    def called(way):
        response = anybody.post(way, json={"ExperimentName": "e"})
        return response.json()["PipelineId"] if response.status_code == 202 else response.status_code

    by_id, by_name = f"/PipelineEndpoints/Id/{stable.id}", f"/PipelineEndpoints/Name?name={name}"
    for way in (by_id, by_name, f"/pipelines/{name}", f"{by_id}/0", f"{by_name}&pipelineVersion=0"):
        assert called(way) == first.id
    for way in (f"{by_id}/1", f"{by_id}?version=1", f"/pipelines/{name}?version=1"):
        assert called(way) == second.id
    stable.set_default(second)
    assert [called(by_id), called(by_name)] == [second.id, second.id]
    assert called(f"/pipelines/p?version=1&workspace={project.workspace.name}") == first.id
    first.disable()
    assert called(path_of(first.endpoint)) == 403
    assert called(f"{by_id}/0") == 410
    assert called(f"{by_id}/7") == called("/pipelines/nobody") == called("/PipelineRuns/PipelineSubmit/x") == 404
    stable.disable()
    assert called(by_id) == 403
    stable.archive()
    assert called(by_id) == 410


def test_tokens_open_what_they_are_for(published, project):
    client = endpoint(with_token=True)
    assert error(post(client, published))[::2] == (401, "Unauthorized")
    assert client.get("/openapi.json").status_code == client.get("/pipelines").status_code == 401
    assert client.get("/health").status_code == client.get("/docs").status_code == 200
    block, text = tokens.create("test")
    good = {"Authorization": f"Bearer {text}"}
    for wrong in (text[:-1], text[:-1] + ("A" if text[-1] != "A" else "B"), text.upper(), "", "stw_x", text + "\u00e9"):
        assert post(client, published, headers={"Authorization": f"Bearer {wrong}".encode()}).status_code == 401
    assert post(client, published, headers={"Authorization": f"Basic {text}"}).status_code == 401
    run_id = post(client, published, headers=good).json()["Id"]
    assert client.get(f"/runs/{run_id}", headers=bearer(run=False)).status_code == 200
    assert client.get(f"/runs/{run_id}", headers=bearer(read=False)).status_code == 403
    assert post(client, published, headers=bearer(run=False)).status_code == 403
    assert post(client, published, headers=bearer(endpoints=["other"])).status_code == 403
    assert post(client, published, headers=bearer(endpoints=[published.id])).status_code == 202
    assert client.get("/pipelines", headers=bearer(endpoints=["other"])).json() == {"Pipelines": [], "Endpoints": []}
    tokens.revoke(block.token_id)
    assert post(client, published, headers=good).status_code == 401
    assert post(client, published, headers=bearer(days=1e-9)).status_code == 401


def test_guessing_tokens_is_slow(published):
    client = endpoint(lambda: 1000.0, with_token=True)
    good, wrong = bearer(), {"Authorization": f"Bearer stw_{'0' * 12}_{'A' * 43}"}
    codes = [client.get("/pipelines", headers=wrong).status_code for _ in range(40)]
    assert codes == [401] * 30 + [429] * 10
    assert client.get("/pipelines", headers=good).status_code == 200


def test_rates_and_waiting_runs_are_bounded(published):
    slow = endpoint(lambda: 1000.0, rate=1)
    answers = [slow.get("/pipelines") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429] * 2
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert post(endpoint(most_waiting=100_000), published).status_code == 202
    full = post(endpoint(most_waiting=1), published)
    assert error(full)[::2] == (429, "TooManyWaiting")
    assert int(full.headers["retry-after"]) >= 1


def test_other_machines_names_and_other_sites_are_refused(anybody):
    assert anybody.get("/pipelines", headers={"Host": "evil.example"}).status_code == 421
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        assert anybody.get("/pipelines", headers={"Origin": origin}).status_code == 403
    answer = anybody.get("/pipelines", headers={"Origin": BASE, "Host": "127.0.0.1:4280"})
    assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (200, False)
    assert anybody.options("/pipelines", headers={"Origin": BASE}).status_code == 405


def test_a_key_submits_one_run(anybody, published, project):
    def call(key, **values):
        return post(anybody, published, assign(**values), headers={"Idempotency-Key": key})

    with concurrent.futures.ThreadPoolExecutor(4) as several:
        answers = list(several.map(lambda _: call("k1", whole=2), range(4)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["Id"] for answer in answers}) == 1
    assert [answer.headers.get("idempotency-replayed") for answer in answers].count("true") == 3
    assert error(call("k1", whole=3)) == (422, "Idempotency-Key", "KeyUsedTwice")
    assert call("k2", whole=2).json()["Id"] != answers[0].json()["Id"]
    assert error(call("k" * 201))[:2] == (400, "Idempotency-Key")


def test_a_key_holds_across_a_switched_default_and_is_its_callers_own(project):
    client = endpoint(with_token=True)
    first, second = (project.pipeline(project.step(f"{n}.py", "pass"), name=n).publish() for n in ("one", "two"))
    stable = PipelineEndpoint.publish(project.workspace, "stable", "", first)
    way, mine, yours = f"/PipelineEndpoints/Id/{stable.id}", bearer(), bearer()

    def call(who):
        return client.post(way, json={"ExperimentName": "e"}, headers={**who, "Idempotency-Key": "k"}).json()["Id"]

    run_id = call(mine)
    stable.add_default(second)
    assert call(mine) == run_id
    assert call(yours) != run_id


def test_secrets_are_seen_by_the_step_alone(anybody, server, project, caplog):
    caplog.set_level(logging.INFO)
    out = PipelineData("out")
    step = project.step(
        "secret.py",
        "import os\nopen(args[0], 'w').write(str(len(os.environ['AML_PARAMETER_token'])))",
        arguments=[out],
        params={"token": PipelineParameter("token", "default-s3cret")},
        outputs=[out],
    )
    published = project.pipeline(step, name="secret").publish()
    response = post(anybody, published, assign(token="s3cret-of-the-call"))
    run_id = response.json()["Id"]
    assert error(post(anybody, published, assign(token=5)))[:2] == (400, "ParameterAssignments.token")
    said = [response.text, prefect_api.get(f"{server}/flow_runs/{run_id}").text]
    assert work(run_id) == "Completed"
    run = anybody.get(f"/runs/{run_id}")
    said += [
        run.text,
        caplog.text,
        prefect_api.get(f"{server}/flow_runs/{run_id}").text,
        anybody.get("/openapi.json").text,
    ]
    folder = project.workspace.store.run_folder(run_id)
    said += [path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file()]
    assert not [text for text in said if "s3cret" in text]
    output = run.json()["steps"][0]["outputs"][0]
    assert anybody.get(path_of(output["url"])).text == str(len("s3cret-of-the-call"))
    asked = {"block_types": {"slug": {"any_": ["stepwell-run-secrets"]}}, "include_secrets": True}
    left = prefect_api.post(f"{server}/block_documents/filter", json=asked).text
    assert "s3cret-of-the-call" not in left


def test_outputs_are_downloaded_as_they_were_made(anybody, project):
    out = PipelineData("out", is_directory=True)
    names = ["a.txt", "b/c d.txt", "ü.txt"]
    body = "import pathlib\n" + "".join(
        f"p = pathlib.Path(args[0]) / {name!r}; p.parent.mkdir(parents=True, exist_ok=True); p.write_text({name!r})\n"
        for name in names
    )
    published = project.pipeline(project.step("make.py", body, arguments=[out], outputs=[out]), name="make").publish()
    run_id = post(anybody, published).json()["Id"]
    assert anybody.get(f"/runs/{run_id}/outputs?step=make.py&output=out").status_code == 404
    work(run_id)
    way = f"/runs/{run_id}/outputs?step=make.py&output=out"
    with zipfile.ZipFile(io.BytesIO(anybody.get(way).content)) as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == {name: name for name in names}
    assert anybody.get(way + "&path=b/c%20d.txt").text == "b/c d.txt"
    for path in ("..", "../x", "b", "%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", "%00", ""):
        assert anybody.get(f"{way}&path={path}").status_code == 404, path
    assert anybody.get(f"/runs/{run_id}/outputs?step=make.py").status_code == 400
    kept = next(iter(project.workspace.get_run(run_id).get_steps())).get_outputs()["out"].local_path
    (kept / "a.txt").chmod(0o644)
    (kept / "a.txt").write_text("forged")
    assert anybody.get(way).status_code == 410


def test_runs_are_cancelled_before_they_begin_and_unknown_ones_are_unknown(anybody, published):
    run_id = post(anybody, published).json()["Id"]
    assert anybody.post(f"/runs/{run_id}/cancel").json() == {"id": run_id, "status": "Canceled"}
    assert anybody.post(f"/runs/{run_id}/cancel").json()["status"] == "Canceled"
    unusual = (f"{{{run_id}}}", f"urn:uuid:{run_id}", run_id.replace("-", ""), f"{run_id[:-1]}٣")
    for unknown in ("x", "00000000-0000-4000-8000-000000000000", *map(quote, unusual)):
        assert anybody.get(f"/runs/{unknown}").status_code == anybody.post(f"/runs/{unknown}/cancel").status_code == 404


def test_everything_is_listed_and_described(anybody, published, project):
    found = [one for one in anybody.get("/pipelines").json()["Pipelines"] if one["Id"] == published.id]
    assert [(one["Name"], one["Version"], one["Steps"]) for one in found] == [("every kind", "1", ["tell.py"])]
    described = anybody.get(path_of(published.endpoint)).json()
    assert {one["name"]: one["type"] for one in described["Parameters"]}["sizes"] == "list[int]"
    ways = anybody.get("/openapi.json").json()["paths"]
    schema = ways[path_of(published.endpoint)]["post"]["requestBody"]["content"]["application/json"]["schema"]
    whole = schema["properties"]["ParameterAssignments"]["properties"]["whole"]
    assert whole == {"type": "integer", "minimum": 1, "maximum": 9, "default": 3, "description": "How many."}
    page = anybody.get("/docs").text
    assert "swagger-ui-bundle.js" in page and "<code>stepwell token create" in page
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "page.js"):
        assert anybody.get(f"/docs/{name}").status_code == 200
    assert anybody.get("/docs/index.html").status_code == 404
    assert anybody.get("/", follow_redirects=False).status_code == 307


def test_logs_hold_no_query_and_no_second_line(anybody, caplog):
    caplog.set_level(logging.INFO, logger="stepwell.endpoint")
    anybody.get("/pipelines/a%0AINFO forged?token=stw_s3cret")
    assert len(caplog.messages) == 1
    assert "\n" not in caplog.messages[0]
    assert "s3cret" not in caplog.messages[0]


def test_a_server_that_is_away_is_told_so(anybody, monkeypatch):
    def away():
        raise ServerException("Prefect's server does not answer", {"url": "http://user:pass@host"})

    monkeypatch.setattr("stepwell.deployments.access.authentication.SHARED.get", away)
    response = anybody.get("/pipelines")
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert "pass" not in response.text


def test_a_name_in_two_workspaces_is_called_in_the_first_and_by_its_own_tokens(project, tmp_path_factory):
    other = Project(tmp_path_factory.mktemp("other"), Workspace.create(f"{project.workspace.name}-2"))
    name = f"churn-{project.workspace.name}"
    first, second = (one.pipeline(one.step("x.py", "pass")).publish(name) for one in (project, other))
    client, limited = endpoint(with_token=True), bearer(endpoints=[name])
    called = post(client, f"/pipelines/{name}", headers=limited)
    assert (called.status_code, called.json()["PipelineId"]) == (202, first.id)
    elsewhere = f"/pipelines/{name}?workspace={other.workspace.name}"
    assert post(client, elsewhere, headers=limited).status_code == 403
    assert post(client, second, headers=limited).status_code == 403
    own = bearer(endpoints=[f"{other.workspace.name}/{name}"])
    assert post(client, elsewhere, headers=own).json()["PipelineId"] == second.id
    assert post(client, f"/pipelines/{name}", headers=own).status_code == 403
    listed = [client.get("/pipelines", headers=header).json()["Pipelines"] for header in (limited, own)]
    assert [[one["Id"] for one in pipelines] for pipelines in listed] == [[first.id], [second.id]]
    run = post(client, elsewhere, headers=own).json()["Id"]
    assert client.get(f"/runs/{run}", headers=limited).status_code == 403


def test_names_that_need_quoting_are_found(anybody, project):
    name = f'naïve "q" ?#+ {project.workspace.name}'
    published = project.pipeline(project.step("x.py", "pass")).publish(name)
    response = anybody.post(f"/pipelines/{quote(name, safe='')}", json={"ExperimentName": "e"})
    assert (response.status_code, response.json()["PipelineId"]) == (202, published.id)


def test_an_empty_registry_knows_nothing():
    with pytest.raises(Exception, match="There is no pipeline 'x'"):
        Registry().by_name("x", None)


def test_a_server_that_is_at_fault_is_told_so(anybody, monkeypatch):
    def fault():
        response = httpx.Response(500, request=httpx.Request("GET", "http://x"))
        raise PrefectHTTPStatusError("no", request=response.request, response=response)

    monkeypatch.setattr("stepwell.deployments.access.authentication.SHARED.get", fault)
    assert anybody.get("/pipelines").status_code == 503


def test_a_lenient_pipeline_names_what_it_passes_over_and_a_key_stands_for_one_request_as_ever(anybody, project):
    pipeline = project.pipeline(project.step("a.py", "", arguments=[PipelineParameter("rate", 1)]), rules="v1")
    lenient, strict = pipeline.publish("lenient"), pipeline.publish("strict", lenient=False)
    assert (lenient.lenient, strict.lenient) == (True, False)
    sent, key = {"ParameterAssignments": {"1": "united", "rate": 2}, "Other": 1}, {"Idempotency-Key": "k"}
    assert error(post(anybody, strict, sent))[:2] == (400, "Other")
    first = post(anybody, lenient, sent, headers=key)
    assert first.status_code == 202 and first.json()["ParameterAssignments"] == {"rate": "2"}
    assert first.json()["Ignored"] == ["Other", "ParameterAssignments.1"]
    again = post(anybody, lenient, sent, headers=key)
    assert again.headers["Idempotency-Replayed"] == "true" and again.json()["Id"] == first.json()["Id"]
    for other in (assign(rate=3), assign(rate=2), assign(rate=2, more=1)):
        assert post(anybody, lenient, other, headers=key).status_code == 422
    assert work(first.json()["Id"]) == "Completed" and post(anybody, lenient, assign(rate=2)).json()["Ignored"] == []
    described = {one.name: anybody.get(path_of(one.endpoint)).json() for one in (lenient, strict)}
    for name, may in {"lenient": True, "strict": False}.items():
        schema = described[name]["BodySchema"]
        assert described[name]["Lenient"] is may and schema["additionalProperties"] is may
        assert schema["properties"]["ParameterAssignments"]["additionalProperties"] is may
        assert ("passed over" in schema.get("description", "")) is may


def test_mapped_steps_and_keys_of_files_are_published_and_called(anybody, project):
    project.write("params.yaml", "train: {rate: 0.1}\nnames: [a, b]\n")
    parts, out = PipelineData("parts"), PipelineData("out")
    body = "import os\nos.mkdir(args[0])\nfor name in ('a', 'b'): open(os.path.join(args[0], name), 'w').write(name)\n"
    split = project.step("split.py", body, name="split", arguments=[parts], outputs=[parts])
    body = "open(args[1], 'w').write(open(args[0]).read() + open('params.yaml').read())\n"
    train = project.step(
        "train.py", body, name="train", arguments=[parts, out], inputs=[parts], outputs=[out], params=["train.rate"]
    )
    published = project.pipeline(split, train.map(parts), name="mapped").publish()
    project.write("params.yaml", "train: {rate: 9}\n")  # the published one is frozen
    assert error(post(anybody, published, assign(**{"train.rat": 1})))[0] == 400
    run_id = post(anybody, published, assign(**{"train.rate": 0.3})).json()["Id"]
    waiting = [step["name"] for step in anybody.get(f"/runs/{run_id}").json()["steps"]]
    assert waiting == ["split", "train"]
    assert work(run_id) == "Completed"
    run = anybody.get(f"/runs/{run_id}").json()
    assert {step["name"]: step["status"] for step in run["steps"]} == dict.fromkeys(
        ["split", "train[a]", "train[b]", "train"], "ran"
    )
    way = f"/runs/{run_id}/outputs?step={quote('train[a]')}&output=out"
    assert anybody.get(way).text == "atrain:\n  rate: 0.3\n"
    with zipfile.ZipFile(io.BytesIO(anybody.get(f"/runs/{run_id}/outputs?step=train&output=out").content)) as archive:
        assert sorted(archive.namelist()) == ["a", "b"]
