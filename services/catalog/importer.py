"""The import of products from a file of JSON lines."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from enum import Enum, auto
from uuid import UUID

from meshwright.catalog.v1.catalog_pb import ImportProductsRequest, ImportProductsResponse
from meshwright.catalog.v1.events_pb import ProductChanged

from mesh.database import Connection, Database, busy
from mesh.errors import InvalidArgument, MeshError
from mesh.events import publish_all
from mesh.silence import until_silent
from mesh.validation import Validator
from services.catalog import storage
from services.catalog.categories import AvailableCategories, find_available, hold_categories
from services.catalog.domain.product import Details, Product
from services.catalog.imported_line import ImportedLine, InvalidLine, LineReader
from services.catalog.line_splitter import Line, LineSplitter
from services.catalog.pauses import with_pauses
from services.catalog.pricing import priced_now
from services.catalog.product_cache import ProductCache
from services.catalog.product_message import SOURCE, product_message

IMPORTS_MAX = 2  # each holds a group of lines in memory, and a connection of the pool while it writes
IMPORTS_OF_CALLER_MAX = 8
PLACE_WAIT_S = 20.0
PAUSE_S = 0.5  # after it a group is written although it is not full, and makes room
GROUP_AGE_S = 1.0  # a group of this age is written when the next piece arrives
SILENCE_S = 30.0
LINES_MAX = 1_000_000
LINES_PER_TRANSACTION = 500
LINES_PER_TURN = 20  # lines that are read before other calls have their turn
REJECTED_LINES_MAX = 1000
DESCRIPTION_LENGTH_MAX = 500


class Gap(Enum):
    """The reasons why a stream has no line for now."""

    PAUSE = auto()  # nothing arrives
    PIECE = auto()  # a piece has arrived in which no line ends


class Importer:
    """The imports of this process."""

    def __init__(self, database: Database, cache: ProductCache) -> None:
        self._database = database
        self._cache = cache
        self._validator = Validator()
        self._places = asyncio.Semaphore(IMPORTS_MAX)
        self._calls = Counter[str]()

    async def import_products(
        self, requests: AsyncIterator[ImportProductsRequest], subject: str
    ) -> ImportProductsResponse:
        """Imports the products of a file, for the caller `subject`. Memory is constant: a group of lines is written
        before the next is read. A call has a place while it has lines: it waits for one, and writes its lines when no
        more arrive. Raises ResourceExhausted if there is no place for too long, the caller has too many imports in
        progress, or the client sends nothing for too long; InvalidArgument if the file has too many lines.
        """
        async with self._admitted(subject), aclosing(with_pauses(until_silent(requests, SILENCE_S), PAUSE_S)) as pieces:
            first = await _first(pieces)
            reader = LineReader(self._validator, subject, first.request_id)
            outcome, lines = ImportProductsResponse(), _lines(first, pieces)
            async for line in lines:
                if isinstance(line, Line):
                    async with self._place():
                        await self._write(await _group(line, lines, reader), outcome)
            return outcome

    @asynccontextmanager
    async def _admitted(self, subject: str) -> AsyncIterator[None]:
        if self._calls[subject] >= IMPORTS_OF_CALLER_MAX:
            raise busy(f"You have {IMPORTS_OF_CALLER_MAX} imports in progress. Try again.", "TOO_MANY_CALLS")
        self._calls[subject] += 1
        try:
            yield
        finally:
            self._calls[subject] -= 1
            if not self._calls[subject]:
                del self._calls[subject]

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Waits for one of the places. Meanwhile the stream is not read, so that its client waits too."""
        try:
            async with asyncio.timeout(PLACE_WAIT_S):
                await self._places.acquire()
        except TimeoutError:
            raise busy("Too many imports are running. Try again.", "TOO_MANY_CALLS") from None
        try:
            yield
        finally:
            self._places.release()

    async def _write(self, lines: list[ImportedLine | InvalidLine], outcome: ImportProductsResponse) -> None:
        """Writes the products of a group of lines, with their events, in one transaction."""
        uids = {line.uid for line in lines if isinstance(line, ImportedLine)}
        if not uids:
            _merge(lines, {}, AvailableCategories(), outcome)
            return
        async with self._database.transaction() as tx:
            stored = {each.uid: each for each in await priced_now(tx, await storage.lock_all(tx, uids))}
            categories = await find_available(tx, _possible(lines, stored))
            await _store(tx, stored, _merge(lines, stored, categories, outcome), categories)
        for uid in stored:
            self._cache.drop(uid)


def _possible(lines: list[ImportedLine | InvalidLine], stored: dict[UUID, Product]) -> list[Details]:
    """Returns the details in the lines that are not certain to be rejected."""
    deleted = {each.uid for each in stored.values() if each.delete_time is not None}
    return [line.details for line in lines if isinstance(line, ImportedLine) and line.uid not in deleted]


def _merge(
    lines: list[ImportedLine | InvalidLine],
    stored: dict[UUID, Product],
    categories: AvailableCategories,
    outcome: ImportProductsResponse,
) -> dict[UUID, Product]:
    """Returns the products after the lines, which are applied in their order, and counts what they do."""
    now, products = datetime.now(UTC), dict(stored)
    for line in lines:
        if isinstance(line, InvalidLine):
            _reject(outcome, line)
            continue
        before = products.get(line.uid)
        try:
            after = _applied(before, line, categories, now)
        except MeshError as error:
            _reject(outcome, InvalidLine(line.number, error))
            continue
        products[line.uid] = after
        if before is None:
            outcome.created_count += 1
        elif after is before:
            outcome.unchanged_count += 1
        else:
            outcome.updated_count += 1
    return products


def _applied(product: Product | None, line: ImportedLine, categories: AvailableCategories, now: datetime) -> Product:
    """Returns the product after a line. Raises FailedPrecondition if it is deleted, or as AvailableCategories.check()
    does.
    """
    details = line.details
    changed = Product.create(line.uid, details, now) if product is None else product.update(details, "", now)
    if changed is not product:
        categories.check(details)
    return changed


async def _store(
    tx: Connection, stored: dict[UUID, Product], products: dict[UUID, Product], categories: AvailableCategories
) -> None:
    """Writes the products that are not stored like this, in the order of their identifiers, so that concurrent imports
    don't deadlock.
    """
    changed = sorted((each for uid, each in products.items() if each is not stored.get(uid)), key=lambda each: each.uid)
    if changed:
        await hold_categories(tx, changed, changed[0].update_time, categories.new)
    await storage.insert_all(tx, [each for each in changed if each.uid not in stored])
    await storage.update_all(tx, [each for each in changed if each.uid in stored])
    await publish_all(
        tx, ((each.name, ProductChanged(product=product_message(each))) for each in changed), source=SOURCE
    )


async def _first(pieces: AsyncIterator[ImportProductsRequest | None]) -> ImportProductsRequest:
    async for piece in pieces:
        if piece is not None:
            return piece
    return ImportProductsRequest()


async def _lines(
    first: ImportProductsRequest, rest: AsyncIterator[ImportProductsRequest | None]
) -> AsyncIterator[Line | Gap]:
    """Yields the lines of a file, and the gaps between them."""
    splitter = LineSplitter()
    for line in splitter.feed(_bytes(first)):
        yield line
    async for request in rest:
        if request is None:
            yield Gap.PAUSE
            continue
        lines = splitter.feed(_bytes(request))
        yield next(lines, Gap.PIECE)
        for line in lines:
            yield line
    for line in splitter.end():
        yield line


async def _group(first: Line, rest: AsyncIterator[Line | Gap], reader: LineReader) -> list[ImportedLine | InvalidLine]:
    """Reads the lines of a transaction: as many as it may have, or those before the stream pauses or ends, or until
    they are too old. Raises InvalidArgument if the file has too many lines.
    """
    clock = asyncio.get_running_loop().time
    began, group = clock(), list[ImportedLine | InvalidLine]()
    following: Line | Gap = first
    while following is not Gap.PAUSE:
        if isinstance(following, Line):
            if following.number > LINES_MAX:
                raise InvalidArgument(f"The file has more than {LINES_MAX} lines.", reason="STREAM_TOO_LONG")
            group.append(reader.read(following))
            if following.number % LINES_PER_TURN == 0:
                await asyncio.sleep(0)
        if len(group) == LINES_PER_TRANSACTION or clock() - began > GROUP_AGE_S:
            break
        following = await anext(rest, Gap.PAUSE)
    return group


def _bytes(request: ImportProductsRequest) -> bytes:
    return b"" if request.lines is None else request.lines.data


def _reject(outcome: ImportProductsResponse, line: InvalidLine) -> None:
    """Counts a rejected line, and describes it unless there are too many of them."""
    outcome.rejected_count += 1
    if len(outcome.rejected_lines) == REJECTED_LINES_MAX:
        return
    error = line.error
    violations = [f"{each.field.removeprefix('product.')} {each.description}" for each in error.violations]
    description = ("; ".join(violations) or error.message)[:DESCRIPTION_LENGTH_MAX]
    outcome.rejected_lines.append(
        ImportProductsResponse.RejectedLine(line=line.number, reason=error.reason, description=description)
    )
