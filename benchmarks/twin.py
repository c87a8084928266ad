"""GetOrder as a team would write it by hand: FastAPI, pydantic, grpc.aio. `python benchmarks/twin.py BACKEND PORT`."""

import sys
from datetime import datetime
from typing import Annotated

import grpc.aio
import uvicorn
from fastapi import FastAPI, Path
from googleapis.google.type.money_pb import Money as MoneyMessage
from meshwright.orders.v1.orders_pb import GetOrderRequest
from meshwright.orders.v1.orders_pb import Order as OrderMessage
from protobuf.wkt import Timestamp
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A message whose JSON has keys in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Money(Model):
    """An amount; `units` is a string in JSON, as int64 is in ProtoJSON."""

    currency_code: str
    units: str
    nanos: int


class OrderLine(Model):
    """A line of an order."""

    product: str
    quantity: int
    title: str
    unit_price: Money
    amount: Money


class Order(Model):
    """An order."""

    name: str
    uid: str
    customer: str
    lines: list[OrderLine]
    total: Money
    state: str
    create_time: datetime
    update_time: datetime
    etag: str


def to_money(money: MoneyMessage | None) -> Money:
    """Converts an amount."""
    assert money is not None
    return Money(currency_code=money.currency_code, units=str(money.units), nanos=money.nanos)


def to_time(time: Timestamp | None) -> datetime:
    """Converts a timestamp."""
    assert time is not None
    return time.to_datetime()


def to_order(order: OrderMessage) -> Order:
    """Converts an order, field by field."""
    return Order(
        name=order.name,
        uid=order.uid,
        customer=order.customer,
        lines=[
            OrderLine(
                product=line.product,
                quantity=line.quantity,
                title=line.title,
                unit_price=to_money(line.unit_price),
                amount=to_money(line.amount),
            )
            for line in order.lines
        ],
        total=to_money(order.total),
        state=f"STATE_{order.state.name}",
        create_time=to_time(order.create_time),
        update_time=to_time(order.update_time),
        etag=order.etag,
    )


def app(backend: str) -> FastAPI:
    """Returns the application."""
    api = FastAPI()
    get_order = grpc.aio.insecure_channel(backend).unary_unary(
        "/meshwright.orders.v1.OrdersService/GetOrder",
        request_serializer=GetOrderRequest.to_binary,
        response_deserializer=OrderMessage.from_binary,
    )

    @api.get("/v1/orders/{order}", response_model_by_alias=True)
    async def order(order: Annotated[str, Path(min_length=1)]) -> Order:
        return to_order(await get_order(GetOrderRequest(name=f"orders/{order}"), timeout=2))

    return api


async def serve(backend: str, port: int) -> None:
    """Serves until it is killed. The channel is created in the event loop that uses it."""
    config = uvicorn.Config(
        app(backend), port=port, loop="uvloop", http="httptools", access_log=False, log_level="error"
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
