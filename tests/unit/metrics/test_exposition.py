import asyncio
import gzip
import threading

from exporter.metrics import definitions
from exporter.metrics.exposition import Exposition
from exporter.metrics.family import RowFamily
from exporter.metrics.render import OPENMETRICS, TEXT
from exporter.metrics.selection import Selection


class Source:
    """Families that block until `go_on` is set; counts the reads."""

    def __init__(self):
        self.reads = 0
        self.go_on = threading.Event()

    def __call__(self, _):
        self.reads += 1
        assert self.go_on.wait(30)
        return [RowFamily(definitions.EXECUTIONS, {(str(n), "", "file"): self.reads for n in range(100)})]


def bodies(source, *requests):
    async def scrape():
        exposition = Exposition(source)
        try:
            waiting = [asyncio.create_task(exposition.body(*request)) for request in requests]
            while not source.reads:
                await asyncio.sleep(0)
            source.go_on.set()
            return await asyncio.gather(*waiting)
        finally:
            exposition.close()

    return asyncio.run(scrape())


def test_scrapes_that_overlap_share_one_reading():
    source = Source()
    plain, same, packed, also = bodies(source, (TEXT, False), (TEXT, False), (TEXT, True), (TEXT, True))
    assert source.reads == 1
    assert plain is same
    assert packed is also
    assert gzip.decompress(packed) == plain


def test_each_format_is_rendered_for_itself():
    source = Source()
    text, openmetrics = bodies(source, (TEXT, False), (OPENMETRICS, False))
    assert source.reads == 2
    assert openmetrics.endswith(b"# EOF\n")
    assert not text.endswith(b"# EOF\n")


def test_each_selection_is_rendered_for_itself():
    source = Source()
    one, other = Selection(names=frozenset({"exec_executions_total"})), Selection(names=frozenset({"nothing"}))
    every, some, again, none, packed = bodies(
        source, (TEXT, False), (TEXT, False, one), (TEXT, False, one), (TEXT, False, other), (TEXT, True, other)
    )
    assert source.reads == 3
    assert every.replace(b" 1.0", b" 2.0") == some
    assert some is again
    assert none == gzip.decompress(packed) == b""


def test_a_finished_selection_leaves_nothing_behind():
    async def scrape():
        source = Source()
        source.go_on.set()
        exposition = Exposition(source)
        for number in range(100):
            await exposition.body(TEXT, True, Selection(names=frozenset({f"exec_{number}"})))
        await asyncio.sleep(0)
        exposition.close()
        return exposition._running

    assert asyncio.run(scrape()) == {}


def test_a_later_scrape_reads_again():
    async def scrape():
        source = Source()
        source.go_on.set()
        exposition = Exposition(source)
        first, second = await exposition.body(TEXT, True), await exposition.body(TEXT, True)
        exposition.close()
        return gzip.decompress(first), gzip.decompress(second)

    first, second = asyncio.run(scrape())
    assert b" 1.0\n" in first
    assert b" 2.0\n" in second


def test_a_failed_reading_fails_only_the_waiting_scrapes():
    async def scrape():
        results = [OSError("the map is gone"), []]

        def families(_):
            result = results.pop(0)
            if isinstance(result, OSError):
                raise result
            return result

        exposition = Exposition(families)
        failed = await asyncio.gather(*(exposition.body(TEXT, True) for _ in range(2)), return_exceptions=True)
        body = await exposition.body(TEXT, False)
        exposition.close()
        return failed, body

    failed, body = asyncio.run(scrape())
    assert [str(error) for error in failed] == ["the map is gone"] * 2
    assert body == b""
