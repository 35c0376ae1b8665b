import asyncio
import gzip
import threading

from exporter.metrics import definitions
from exporter.metrics.exposition import Exposition
from exporter.metrics.family import RowFamily
from exporter.metrics.render import OPENMETRICS, TEXT


class Source:
    """Families that can be held back, and how often they were asked for."""

    def __init__(self):
        self.asked = 0
        self.go_on = threading.Event()

    def __call__(self):
        self.asked += 1
        assert self.go_on.wait(30)
        return [RowFamily(definitions.EXECUTIONS, {(str(n), "", "file"): self.asked for n in range(100)})]


def bodies(source, *asked):
    async def ask():
        exposition = Exposition(source)
        try:
            waiting = [asyncio.create_task(exposition.body(*what)) for what in asked]
            while not source.asked:
                await asyncio.sleep(0)
            source.go_on.set()
            return await asyncio.gather(*waiting)
        finally:
            exposition.close()

    return asyncio.run(ask())


def test_scrapes_that_overlap_share_one_reading():
    source = Source()
    plain, same, packed, also = bodies(source, (TEXT, False), (TEXT, False), (TEXT, True), (TEXT, True))
    assert source.asked == 1
    assert plain is same
    assert packed is also
    assert gzip.decompress(packed) == plain


def test_each_format_is_rendered_for_itself():
    source = Source()
    text, openmetrics = bodies(source, (TEXT, False), (OPENMETRICS, False))
    assert source.asked == 2
    assert openmetrics.endswith(b"# EOF\n")
    assert not text.endswith(b"# EOF\n")


def test_a_scrape_that_comes_later_reads_anew():
    async def ask():
        source = Source()
        source.go_on.set()
        exposition = Exposition(source)
        first, second = await exposition.body(TEXT, True), await exposition.body(TEXT, True)
        exposition.close()
        return gzip.decompress(first), gzip.decompress(second)

    first, second = asyncio.run(ask())
    assert b" 1.0\n" in first
    assert b" 2.0\n" in second


def test_a_reading_that_fails_fails_for_those_who_wait_and_for_nobody_else():
    async def ask():
        results = [OSError("the map is gone"), []]

        def families():
            result = results.pop(0)
            if isinstance(result, OSError):
                raise result
            return result

        exposition = Exposition(families)
        failed = await asyncio.gather(*(exposition.body(TEXT, True) for _ in range(2)), return_exceptions=True)
        body = await exposition.body(TEXT, False)
        exposition.close()
        return failed, body

    failed, body = asyncio.run(ask())
    assert [str(error) for error in failed] == ["the map is gone"] * 2
    assert body == b""
