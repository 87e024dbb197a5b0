"""What the integration tests of a plane share."""

import asyncio

import pytest
import uvloop


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request):
    """Runs a scenario, with asyncio's own checks for callbacks that block."""

    def bounded(scenario):
        async def main():
            async with asyncio.timeout(20):
                await scenario

        request.param(main())

    return bounded
