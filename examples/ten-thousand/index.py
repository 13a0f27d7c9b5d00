"""A little work: the sum of the digits of a number, after a pause as if somebody were asked."""

import asyncio


async def handler(event, context):
    """`event` is the number as text."""
    await asyncio.sleep(0.005)
    return str(sum(int(digit) for digit in event.decode()))
