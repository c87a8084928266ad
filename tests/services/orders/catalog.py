"""A stand-in for the catalog, which serves products from a dictionary over gRPC and can be made to fail."""

from meshwright.catalog.v1.catalog_grpc import CatalogServiceBase
from meshwright.catalog.v1.catalog_pb import BatchGetProductsRequest, BatchGetProductsResponse, Product

from mesh.errors import FieldViolation, MeshError, NotFound
from mesh.rpc import Call
from tests.services.calls import standing_in_for


class CatalogStandIn:
    """The stand-in. It holds products by name; while `failure` is set, every call ends with it."""

    def __init__(self) -> None:
        self.products: dict[str, Product] = {}
        self.failure: MeshError | None = None
        self.calls = 0
        self.service = standing_in_for(CatalogServiceBase, batch_get_products=self._batch_get_products)

    async def _batch_get_products(self, request: BatchGetProductsRequest, call: Call) -> BatchGetProductsResponse:
        """Returns all products or none, by the contract."""
        self.calls += 1
        if self.failure is not None:
            raise self.failure
        unknown = [index for index, name in enumerate(request.names) if name not in self.products]
        if unknown:
            violations = [FieldViolation(f"names[{index}]", "does not exist") for index in unknown]
            raise NotFound("Some products do not exist.", reason="PRODUCT_NOT_FOUND", violations=violations)
        return BatchGetProductsResponse(products=[self.products[name] for name in request.names])
