"""What a KustoStep runs: a query is sent to a cluster, and its answer written as a file."""

from __future__ import annotations

import csv
import json
import os
import sys
import time

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from stepwell.model.records import Known

VARIABLE = "STEPWELL_KUSTO_CONNECTION"
PAUSES = (1.0, 4.0, 15.0)
"""The seconds before each further try, when the cluster is busy or can't be reached."""

_PARAMETER = "parameter "


def main(script: str, settings: dict[str, str]) -> None:
    """Send the query in the file `script`, and write the rows of its answer to `result.csv` of the output.

    Args:
        script: The file of the query.
        settings: `database`, `output`, and `parameter <name>` for each parameter of the query.
    """
    told = os.environ.pop(VARIABLE, "")
    if not told:
        sys.exit("A query needs a Kusto cluster: name a KustoCompute with its address as the step's `compute_target`")
    try:
        from azure.kusto.data import ClientRequestProperties, KustoClient
        from azure.kusto.data.exceptions import KustoError
    except ImportError:
        sys.exit("A KustoStep needs azure-kusto-data: Install stepwell[kusto]")
    with open(script, encoding="utf-8-sig") as stream:
        query = stream.read()
    properties = ClientRequestProperties()  # type: ignore[no-untyped-call]
    for name, value in settings.items():
        if name.startswith(_PARAMETER):
            properties.set_parameter(name.removeprefix(_PARAMETER), value)
    with KustoClient(_connection(json.loads(told))) as client:
        try:
            answer = _answer(client, settings["database"], query, properties)
        except KustoError as error:
            sys.exit(f"The Kusto cluster did not answer the query: {_reason(error)}")
    tables = answer.primary_results
    if not tables:
        sys.exit("The query has no answer: end it with an expression, not with a `let` or `set`")
    if len(tables) > 1:
        print(f"The query has {len(tables)} answers, of which the first is kept")
    table = tables[0]
    count = _write(settings["output"], [column.column_name for column in table.columns], table.raw_rows)
    print(f"The query answered {count} rows")
    from stepwell.script.run import Run

    Run.get_context().log("rows", count)


def refuse(known: Known) -> None:
    """Raise UserErrorException if the step's compute target is no Kusto cluster."""
    from stepwell.errors import UserErrorException

    if "KustoCompute" not in known.target:
        raise UserErrorException(
            f"The step {known.step!r} needs a Kusto cluster, which its compute target is not",
            {"it is a": known.target[0]},
            "Attach one with `KustoCompute.attach_configuration(kusto_connection_string=...)`, and name that.",
        )


def _connection(told: dict[str, str]) -> Any:
    from azure.kusto.data import KustoConnectionStringBuilder as Builder

    cluster = told["cluster"]
    if told["application_id"]:
        return Builder.with_aad_application_key_authentication(
            cluster, told["application_id"], told["application_key"], told["tenant_id"]
        )
    if cluster.startswith("http://"):
        return Builder.with_no_authentication(cluster)
    return Builder.with_az_cli_authentication(cluster)


def _answer(client: Any, database: str, query: str, properties: Any) -> Any:
    """Return the cluster's answer; a busy one, or one that can't be reached, is asked again after a while."""
    from azure.kusto.data.exceptions import KustoError

    for pause in (*PAUSES, None):
        try:
            return client.execute_query(database, query, properties)
        except KustoError as error:
            if pause is None or not _may_pass(error):
                raise
            print(f"The Kusto cluster did not answer ({_reason(error)}); asking again in {pause:g} s", flush=True)
        time.sleep(pause)
    raise AssertionError


def _may_pass(error: Any) -> bool:
    from azure.kusto.data.exceptions import KustoApiError, KustoNetworkError, KustoThrottlingError

    if isinstance(error, (KustoNetworkError, KustoThrottlingError)):
        return True
    if isinstance(error, KustoApiError):
        return not error.get_api_error().permanent
    status = getattr(getattr(error, "http_response", None), "status_code", 0)
    return status in (408, 429, 500, 502, 503, 504)


def _reason(error: Any) -> str:
    """Return what the cluster said, on one line."""
    try:
        said = str(error.get_api_error().description or error)
    except AttributeError:
        said = str(error.args[0] if error.args else error)
    return " ".join(said.split())[:500]


def _write(folder: str, columns: list[str], rows: Iterable[Any]) -> int:
    os.makedirs(folder, exist_ok=True)
    count = 0
    with open(os.path.join(folder, "result.csv"), "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_text(value) for value in row])
            count += 1
    return count


def _text(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (dict, list, bool)) else value
