"""A catalog that answers over gRPC from a dictionary, and can be made to fail."""

from meshwright.catalog.v1.catalog_grpc import CatalogServiceBase
from meshwright.catalog.v1.catalog_pb import (
    BatchGetProductsRequest,
    BatchGetProductsResponse,
    CreateProductRequest,
    DeleteProductRequest,
    GetProductRequest,
    ListProductsRequest,
    ListProductsResponse,
    Product,
    SearchProductsRequest,
    SearchProductsResponse,
    UndeleteProductRequest,
    UpdateProductRequest,
)

from mesh.errors import FieldViolation, MeshError, NotFound, Unimplemented
from mesh.rpc import Call


class CatalogStandIn(CatalogServiceBase):
    """The products to sell, by name; `failure` is what every call ends with while it is set."""

    def __init__(self) -> None:
        self.products: dict[str, Product] = {}
        self.failure: MeshError | None = None
        self.calls = 0

    async def batch_get_products(self, request: BatchGetProductsRequest, call: Call) -> BatchGetProductsResponse:
        """All or none, as the contract has it."""
        self.calls += 1
        if self.failure is not None:
            raise self.failure
        unknown = [index for index, name in enumerate(request.names) if name not in self.products]
        if unknown:
            violations = [FieldViolation(f"names[{index}]", "does not exist") for index in unknown]
            raise NotFound("Some products do not exist.", reason="PRODUCT_NOT_FOUND", violations=violations)
        return BatchGetProductsResponse(products=[self.products[name] for name in request.names])

    async def create_product(self, request: CreateProductRequest, call: Call) -> Product:
        """Not needed here."""
        raise Unimplemented("not needed")

    async def get_product(self, request: GetProductRequest, call: Call) -> Product:
        """Not needed here."""
        raise Unimplemented("not needed")

    async def list_products(self, request: ListProductsRequest, call: Call) -> ListProductsResponse:
        """Not needed here."""
        raise Unimplemented("not needed")

    async def search_products(self, request: SearchProductsRequest, call: Call) -> SearchProductsResponse:
        """Not needed here."""
        raise Unimplemented("not needed")

    async def update_product(self, request: UpdateProductRequest, call: Call) -> Product:
        """Not needed here."""
        raise Unimplemented("not needed")

    async def delete_product(self, request: DeleteProductRequest, call: Call) -> Product:
        """Not needed here."""
        raise Unimplemented("not needed")

    async def undelete_product(self, request: UndeleteProductRequest, call: Call) -> Product:
        """Not needed here."""
        raise Unimplemented("not needed")
