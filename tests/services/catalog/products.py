"""Products for tests, and helpers to insert and list them."""

from datetime import UTC, datetime
from uuid import uuid4

from mesh.database import Database
from mesh.money import Money
from mesh.pagination import read_page
from services.catalog import storage
from services.catalog.domain.product import Details, Product
from services.catalog.listing import Listing

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def product(
    title: str = "Saw",
    hundredths: int = 2490,
    *,
    description: str = "",
    category: str = "garden-tools",
    currency: str = "EUR",
    at: datetime = NOW,
) -> Product:
    """Returns a product at its first version."""
    return Product.create(uuid4(), Details(title, description, category, Money(currency, hundredths)), at)


async def insert(database: Database, *products: Product) -> None:
    """Inserts these products."""
    async with database.transaction() as tx:
        for each in products:
            await storage.insert(tx, each)


async def listed_pages(database: Database, listing: Listing, size: int = 1000) -> list[list[Product]]:
    """Returns all pages of a list."""
    pages, token = [], ""
    while True:
        page = read_page(size, token, query=listing.query, key_types=storage.key_types(listing))
        async with database.transaction() as tx:
            products, token = await storage.list_products(tx, listing, page)
        pages.append(products)
        if not token:
            return pages


async def titles(database: Database, text: str = "", order_by: str = "title", *, show_deleted: bool = False) -> str:
    """Returns the titles of a list, separated by blanks."""
    listing = Listing.read(text, order_by, show_deleted=show_deleted)
    return " ".join(product.details.title for page in await listed_pages(database, listing) for product in page)
