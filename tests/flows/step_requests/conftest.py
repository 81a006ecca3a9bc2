"""A test's own process as a step that may ask."""

from __future__ import annotations

import uuid
from contextlib import closing

import pytest
from stepwell.blocks.processes.step_channel import listening
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.step_requests.session import Session
from stepwell.script import channel


@pytest.fixture
def context(project):
    with closing(RunContext(project.workspace, str(uuid.uuid4()))) as made:
        yield made


@pytest.fixture
def call(project, context):
    pipeline = project.pipeline(project.step("s.py", "pass"))
    return context.call(pipeline.definition.steps[0], {}, {})


@pytest.fixture
def session(context, call, tmp_path, monkeypatch):
    """Let this process be a step that may ask."""
    made = Session(context, call, "step-run")
    place = tmp_path / "job" / "channel"
    place.parent.mkdir()
    monkeypatch.setenv(channel.SOCKET, str(place))
    monkeypatch.setenv(channel.TOKEN, made.token)
    with listening(made.serve, place, same_files=False), closing(made):
        yield made
