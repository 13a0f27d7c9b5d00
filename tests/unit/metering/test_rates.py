"""Prices, checked against sums done by hand."""

from __future__ import annotations

import pytest

from functory.metering import rates
from functory.model.usage import Mode, RateCard
from functory.testing.edge import make_function


def test_a_second_of_one_vcpu_and_a_gigabyte_costs_its_compute_units() -> None:
    price = rates.pricer(RateCard())
    function = make_function(cpu=1.0, memory_mb=1024)
    # 1 vCPU s = 1 CU, 1 GB s = 0.15 CU, one call = 0.0075 CU; a CU is 20,000 nano-USD.
    assert price(function, 1000, Mode.ON_DEMAND) == round((1 + 0.15 + 0.0075) * 20_000)


def test_a_call_that_is_over_at_once_still_costs_the_call() -> None:
    assert rates.pricer(RateCard())(make_function(), 0, Mode.ON_DEMAND) == 150


def test_only_disk_over_the_free_512_mb_costs() -> None:
    free = rates.nano_usd_per_ms(RateCard(), cpu=1, memory_mb=1024, disk_mb=512)
    large = rates.nano_usd_per_ms(RateCard(), cpu=1, memory_mb=1024, disk_mb=10240)
    assert large - free == pytest.approx(9.5 * 0.05 * 20_000 / 1000)


def test_a_changed_size_changes_the_price() -> None:
    price = rates.pricer(RateCard())
    small = price(make_function(memory_mb=512), 10_000, Mode.ON_DEMAND)
    assert price(make_function(memory_mb=1024, epoch=2), 10_000, Mode.ON_DEMAND) > small


def test_a_call_on_a_kept_instance_pays_for_processors_only_and_not_if_they_are_its_always() -> None:
    price = rates.pricer(RateCard(provisioned_cu_per_idle_vcpu_s=0.25))
    function = make_function(cpu=2.0, memory_mb=4096)
    assert price(function, 1000, Mode.PROVISIONED) == round((2 * 0.75 + 0.0075) * 20_000)
    assert price(function, 1000, Mode.ALWAYS) == 150


def test_standing_has_a_rate_of_its_own_idle_and_with_processors() -> None:
    card = RateCard(provisioned_cu_per_gb_s=0.1, provisioned_cu_per_disk_gb_s=0.02)
    function = make_function(cpu=2.0, memory_mb=2048, disk_mb=512 + 1024)
    idle = rates.standing_nano_usd_per_ms(card, function, always=False)
    assert idle == pytest.approx((2 * 0.1 + 0.02) * 20)
    assert rates.standing_nano_usd_per_ms(card, function, always=True) - idle == pytest.approx(2 * 1.0 * 20)


def test_a_kept_instance_that_always_runs_costs_as_much_with_processors_as_idle_and_active() -> None:
    card, function = RateCard(provisioned_cu_per_idle_vcpu_s=0.1), make_function(cpu=1.0)
    active = rates.standing_nano_usd_per_ms(card, function, always=False) + rates.active_nano_usd_per_ms(card, cpu=1.0)
    assert active == pytest.approx(rates.standing_nano_usd_per_ms(card, function, always=True))


def test_revisions_and_versions_of_one_function_have_prices_of_their_own() -> None:
    price = rates.pricer(RateCard())
    latest, version = make_function(epoch=3), make_function(epoch=1, version="1", memory_mb=2048)
    first = [price(one, 1000, Mode.ON_DEMAND) for one in (latest, version)]
    assert [price(one, 1000, Mode.ON_DEMAND) for one in (latest, version)] == first
    assert first[0] < first[1]
