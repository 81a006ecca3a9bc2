"""Kinds of storage: one module each, found by the schemes of their URLs."""

from __future__ import annotations

import inspect
import pkgutil

import pytest

from stepwell.blocks.remote import storage_drivers
from stepwell.blocks.remote.storage_drivers.driver import driver_of, kinds, versions_of
from stepwell.blocks.remote.storage_drivers.any_filesystem import AnyFilesystem
from stepwell.blocks.remote.storage_drivers.s3_bucket import S3Bucket


def test_each_kind_has_a_module_of_the_folder_and_no_scheme_has_two():
    homes = [kind.__module__.rpartition(".")[2] for kind in kinds()]
    assert len(set(homes)) == len(homes) >= 5
    assert set(homes) < {module.name for module in pkgutil.iter_modules(storage_drivers.__path__)}
    schemes = [scheme for kind in kinds() for scheme in kind.schemes]
    assert len(schemes) == len(set(schemes))
    assert not any(inspect.isabstract(kind) for kind in kinds())


def test_a_kind_is_found_by_scheme():
    assert driver_of("s3a") is S3Bucket and driver_of("gs") is AnyFilesystem
    assert driver_of("ftp") is None


@pytest.mark.parametrize(
    ("schemes", "versions"),
    [
        (("file", "local"), "times"),
        (("s3", "s3a"), "tags"),
        (("unheard-of", "abfs"), "unique tags"),
        (("gs", "gcs"), "unique tags"),
        (("ftp",), "times"),
        ((), "times"),
    ],
)
def test_what_tells_versions_apart_is_known_by_scheme(schemes, versions):
    assert versions_of(schemes) == versions
