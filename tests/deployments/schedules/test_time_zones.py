from __future__ import annotations

import pytest

from stepwell import TimeZone
from stepwell.deployments.schedules.time_zones import zone_name
from stepwell.errors import UserErrorException


def test_zones_go_by_windows_names_and_the_worlds():
    assert zone_name(TimeZone.CentralEuropeanStandardTime) == "Europe/Warsaw"
    assert zone_name("Tokyo Standard Time") == zone_name("Asia/Tokyo") == "Asia/Tokyo"
    assert zone_name(None) == zone_name("UTC") == "UTC"
    assert len(TimeZone) > 130


@pytest.mark.parametrize("name", ["Mars", "../etc/passwd", "", "\0"])
def test_what_is_no_zone_is_refused(name):
    if name:
        with pytest.raises(UserErrorException):
            zone_name(name)
    else:
        assert zone_name(name) == "UTC"
