"""Names at the endpoint: each belongs to the workspace that had it first, in addresses and in tokens."""

from __future__ import annotations

import uuid

import pytest

from stepwell.blocks.access import tokens
from stepwell.blocks.server import documents
from stepwell.blocks.workspace.publications import PipelineEndpointBlock, PublishedPipelineBlock
from stepwell.deployments.access import registry
from stepwell.deployments.access.http_errors import HttpError
from stepwell.deployments.access.registry import Registry


def published(id, workspace, name="churn", created=1.0, **more):
    return PublishedPipelineBlock(published_id=id, workspace=workspace, name=name, version="1", created=created, **more)


def endpoint(id, workspace, of, name="churn", created=1.0, **more):
    return PipelineEndpointBlock(
        endpoint_id=id, workspace=workspace, name=name, created=created, versions={"0": of}, **more
    )


def may(known, block, *limits):
    token = tokens.TokenBlock(token_id="0" * 12, label="x", digest="", created=0, endpoints=list(limits))
    return tokens.allows(token, "run", known.names_of(block))


def test_the_plain_address_stays_with_the_first_workspace():
    first, second = published("1", "a"), published("2", "b", created=2)
    known = Registry((second, first))
    assert known.by_name("churn", None).published is first
    assert known.by_name("churn", "1").published is first
    assert known.by_name("churn", None, "b").published is second
    for nowhere in ("c", ""):
        with pytest.raises(HttpError):
            known.by_name("churn", None, nowhere)


def test_an_endpoint_elsewhere_does_not_take_the_plain_address_over():
    first, second = published("1", "a"), published("2", "b", created=2)
    known = Registry((second, first), (endpoint("e", "b", "2", created=3),))
    assert known.by_name("churn", None).published is first
    assert known.by_endpoint_name("churn", None).published is second
    both = Registry((second, first), (endpoint("f", "b", "2", created=4), endpoint("e", "a", "1", created=3)))
    assert both.by_endpoint_name("churn", None).published is first
    assert both.by_endpoint_name("churn", None, "b").published is second


def test_a_name_is_not_free_for_others_once_its_owner_disabled_it():
    first, second = published("1", "a", status="Disabled"), published("2", "b", created=2)
    known = Registry((second, first), (endpoint("e", "a", "1", status="Archived"),))
    for find in (known.by_name, known.by_endpoint_name):
        with pytest.raises(HttpError) as raised:
            find("churn", None)
        assert raised.value.status == 410
    assert not may(known, second, "churn")


def test_a_token_for_a_name_is_good_in_one_workspace():
    first, second = published("1", "a"), published("2", "b", created=2)
    known = Registry((second, first), (endpoint("e", "a", "1"), endpoint("f", "b", "2", created=3)))
    assert may(known, first, "churn") and not may(known, second, "churn")
    assert may(known, second, "b/churn") and not may(known, first, "b/churn")
    assert may(known, first, "a/churn") and not may(known, second, "a/churn")
    assert may(known, second, "2") and may(known, second, "f") and may(known, second)
    assert known.names_of_endpoint(known.endpoints[1]) == {"f", "b/churn"}


def test_a_token_for_an_endpoint_is_good_for_what_it_runs_in_its_workspace_alone():
    first, second = published("1", "a", "train"), published("2", "b", "train", created=2)
    foreign = endpoint("f", "b", "1", "mine", created=3)  # no class of ours makes one over another workspace's pipeline
    known = Registry((second, first), (endpoint("e", "a", "1", "stable"), foreign))
    assert may(known, first, "stable") and may(known, first, "a/stable")
    assert not may(known, first, "mine") and not may(known, second, "stable")


def test_the_servers_clock_tells_who_was_first(server):
    name, blocks = f"n-{uuid.uuid4().hex}", []
    for workspace, created in (("a", 2e9), ("b", 1.0)):  # the second caller's clock is wrong
        block = published(str(uuid.uuid4()), workspace, name, created)
        documents.save(block, block.document)
        blocks.append(block)
    assert registry.SHARED.get().by_name(name, None).published.workspace == "a"
    again = documents.load(PublishedPipelineBlock, blocks[0].document)
    documents.save(again.model_copy(update={"description": "changed"}), again.document)
    assert registry.SHARED.get().by_name(name, None).published.workspace == "a"
    for block in blocks:
        documents.delete(PublishedPipelineBlock, block.document)


def test_a_version_that_an_earlier_release_counted_twice_is_refused_and_one_that_is_the_same_is_not():
    first, second = published("1", "a"), published("2", "a", created=2).model_copy(update={"version": "2"})
    over = endpoint("e", "a", "1").model_copy(update={"name": "churn", "versions": {"0": "1", "1": "2", "2": "2"}})
    known = Registry((second, first), (over,))
    with pytest.raises(HttpError, match="Several") as refused:
        known.by_name("churn", "1")
    assert refused.value.status == 409
    assert known.by_name("churn", "2").published is second
    assert known.by_name("churn", "0").published is first
    third = published("3", "a", created=3).model_copy(update={"version": "3"})
    assert Registry((third, second, first), (over,)).by_name("churn", "3").published is third
