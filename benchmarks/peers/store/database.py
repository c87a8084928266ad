"""The database of a service: its base class of tables, and the sessions of requests."""

from collections.abc import AsyncIterator
from typing import Annotated, TypeAlias

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

Sessions: TypeAlias = async_sessionmaker[AsyncSession]


class Base(DeclarativeBase):
    """The base class of tables. Each service is a process that imports its own tables only."""


def create_engine(url: str) -> AsyncEngine:
    """Returns the engine of a service, with SQLAlchemy's own pool settings."""
    return create_async_engine(url)


async def create_tables(engine: AsyncEngine) -> None:
    """Creates the tables that don't exist yet."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    sessions: Sessions = request.app.state.sessions
    async with sessions() as session:
        yield session


SessionDependency: TypeAlias = Annotated[AsyncSession, Depends(_session)]
