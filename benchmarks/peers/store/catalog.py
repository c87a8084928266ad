"""The catalog: products."""

from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import DateTime, func, select
from sqlalchemy.orm import Mapped, mapped_column

from benchmarks.peers.store.database import Base, SessionDependency
from benchmarks.peers.store.service import Service
from benchmarks.peers.store.tokens import StaffUser

router = APIRouter()


class Product(Base):
    """A product on sale."""

    __tablename__ = "products"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    title: Mapped[str]
    description: Mapped[str]
    category: Mapped[str]
    currency: Mapped[str]
    price_cents: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now()
    )


class ProductIn(BaseModel):
    """A product that staff creates."""

    title: str = Field(min_length=1, max_length=200)
    description: str = Field("", max_length=10_000)
    category: str = Field(pattern="^[a-z0-9-]{1,64}$")
    currency: str = Field(pattern="^[A-Z]{3}$")
    price_cents: int = Field(ge=0)


class ProductOut(ProductIn):
    """A product."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    created_at: datetime
    updated_at: datetime


@router.post("/products", status_code=201)
async def create_product(body: ProductIn, session: SessionDependency, _: StaffUser) -> ProductOut:
    """Creates a product."""
    product = Product(**body.model_dump())
    session.add(product)
    await session.commit()
    await session.refresh(product)
    return ProductOut.model_validate(product)


@router.get("/products/{product_id}")
async def get_product(product_id: UUID, session: SessionDependency) -> ProductOut:
    """Returns a product."""
    product = await session.get(Product, product_id)
    if product is None:
        raise HTTPException(404, "There is no such product.")
    return ProductOut.model_validate(product)


@router.get("/products")
async def get_products(
    product_ids: Annotated[list[UUID], Query(alias="id", max_length=100)], session: SessionDependency
) -> list[ProductOut]:
    """Returns those of these products that exist."""
    products = await session.scalars(select(Product).where(Product.id.in_(product_ids)))
    return [ProductOut.model_validate(product) for product in products]


service = Service("catalog", router, lambda _sessions, _broker: {})
