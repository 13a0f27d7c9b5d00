"""Which programs stand ready before they are needed."""

from __future__ import annotations

from functory.sandbox.ahead_stock import AheadStock, Program

SMALL: Program = (("/usr/bin/python3", False), ("node", "--max-old-space-size=96"))
LARGE: Program = (("/usr/bin/python3", False), ("node", "--max-old-space-size=768"))


def _filled(stock: AheadStock[str]) -> None:
    number = 0
    while (program := stock.missing()) is not None:
        number += 1
        stock.add(program, f"{program[1][1][-3:]}/{number}")


def test_nothing_is_kept_before_it_was_used() -> None:
    stock: AheadStock[str] = AheadStock()
    assert stock.missing() is None
    assert stock.take(SMALL) is None


def test_what_is_used_is_kept_and_replaced_when_it_is_taken() -> None:
    stock: AheadStock[str] = AheadStock(each=2)
    stock.want(SMALL)
    _filled(stock)
    assert len(list(stock)) == 2
    assert stock.take(SMALL) is not None
    assert stock.missing() == SMALL


def test_the_program_used_last_is_filled_first_and_the_one_used_first_goes() -> None:
    stock: AheadStock[str] = AheadStock(each=1, programs=1)
    assert stock.want(SMALL) == []
    _filled(stock)
    assert stock.want(LARGE) == ["=96/1"]
    assert stock.missing() == LARGE
    assert stock.take(SMALL) is None


def test_a_program_that_cannot_be_made_is_not_tried_until_it_is_used_again() -> None:
    stock: AheadStock[str] = AheadStock(each=2)
    stock.want(SMALL)
    stock.add(SMALL, "one")
    assert stock.give_up(SMALL) == ["one"]
    assert stock.missing() is None
    stock.want(SMALL)
    assert stock.missing() == SMALL
