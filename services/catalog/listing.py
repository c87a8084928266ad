"""The parameters of a list request."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from mesh.errors import InvalidArgument
from services.catalog.filter import AllOf, Comparison, Expression, InCategories, cost_of, parse_filter
from services.catalog.order_by import SortKey, parse_order_by

COST_OF_A_ROW = 5  # of reading a product, in units of a filter's cost
COST_OF_A_PAGE = 100_000


@dataclass(frozen=True, slots=True)
class Listing:
    """A selection of products and their order. `query` holds the texts of the request, to which page tokens are
    bound.
    """

    expression: Expression
    order: tuple[SortKey, ...]
    show_deleted: bool
    query: tuple[str, ...]

    @classmethod
    def read(cls, filter_text: str, order_by: str, *, show_deleted: bool, category: str = "") -> Self:
        """Parses the parameters. `category` only binds page tokens: within() applies it. Raises InvalidArgument with
        the violations of both texts.
        """
        errors: list[InvalidArgument] = []
        try:
            expression = parse_filter(filter_text)
        except InvalidArgument as error:
            errors.append(error)
        try:
            order = parse_order_by(order_by)
        except InvalidArgument as error:
            errors.append(error)
        if errors:
            violations = [violation for error in errors for violation in error.violations]
            raise InvalidArgument(errors[0].message, reason=errors[0].reason, violations=violations)
        return cls(expression, order, show_deleted, query=(filter_text, order_by, str(show_deleted), category))

    def within(self, categories: Sequence[str]) -> Self:
        """Returns the listing of those products that belong to one of these categories."""
        return replace(self, expression=AllOf((InCategories(tuple(categories)), self.expression)))

    @property
    def reads_only_results(self) -> bool:
        """Returns whether a page reads few products beside those it returns, as for all products or one category."""
        match self.expression:
            case AllOf(()) | Comparison("category", "="):
                return True
        return False

    @property
    def rows_examined_max(self) -> int:
        """Returns the most products that one page may examine: fewer, the more the filter costs."""
        return COST_OF_A_PAGE // (COST_OF_A_ROW + cost_of(self.expression))
