"""Prices, checked against sums done by hand."""

from __future__ import annotations

import pytest

from functory.metering import rates
from functory.model.usage import RateCard
from functory.testing.edge import make_function


def test_a_second_of_one_vcpu_and_a_gigabyte_costs_its_compute_units() -> None:
    price = rates.pricer(RateCard())
    function = make_function(cpu=1.0, memory_mb=1024)
    # 1 vCPU s = 1 CU, 1 GB s = 0.15 CU, one call = 0.0075 CU; a CU is 20,000 nano-USD.
    assert price(function, 1000) == round((1 + 0.15 + 0.0075) * 20_000)


def test_a_call_that_is_over_at_once_still_costs_the_call() -> None:
    assert rates.pricer(RateCard())(make_function(), 0) == 150


def test_only_disk_over_the_free_512_mb_costs() -> None:
    free = rates.nano_usd_per_ms(RateCard(), cpu=1, memory_mb=1024, disk_mb=512)
    large = rates.nano_usd_per_ms(RateCard(), cpu=1, memory_mb=1024, disk_mb=10240)
    assert large - free == pytest.approx(9.5 * 0.05 * 20_000 / 1000)


def test_a_changed_size_changes_the_price() -> None:
    price = rates.pricer(RateCard())
    small = price(make_function(memory_mb=512), 10_000)
    assert price(make_function(memory_mb=1024, epoch=2), 10_000) > small
