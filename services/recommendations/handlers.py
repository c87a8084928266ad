"""The methods of RecommendationsService."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from meshwright.recommendations.v1.recommendations_grpc import RecommendationsServiceBase
from meshwright.recommendations.v1.recommendations_pb import Model as ModelMessage
from meshwright.recommendations.v1.recommendations_pb import Recommendation as RecommendationMessage
from meshwright.recommendations.v1.recommendations_pb import (
    RecommendForMeRequest,
    RecommendForMeResponse,
    RecommendForProductRequest,
    RecommendForProductResponse,
    Treatment,
)
from protobuf.wkt import Timestamp

from mesh.database import Connection, Database
from mesh.resource_name import uid_in
from mesh.rpc import Call
from services.recommendations import basket_storage, exposures, feature_storage, model_storage
from services.recommendations.domain.experiment import Experiment
from services.recommendations.domain.ranking import NEIGHBOURS_MAX, Ranking
from services.recommendations.domain.recommendation import (
    PRODUCT_PREFIX,
    Reason,
    Recommendation,
    for_history,
    for_product,
    results_count,
)
from services.recommendations.exposures import Assignment
from services.recommendations.model_storage import Model

USER_PREFIX: Final = "users/"


class RecommendationsHandlers(RecommendationsServiceBase):
    """The handlers of RecommendationsService."""

    def __init__(self, database: Database, experiment: Experiment) -> None:
        self._database = database
        self._experiment = experiment

    async def recommend_for_product(
        self, request: RecommendForProductRequest, call: Call
    ) -> RecommendForProductResponse:
        """Returns the start of the product's list."""
        product, count = uid_in(request.product, PRODUCT_PREFIX), results_count(request.max_results)
        products = [] if product is None else [product]
        async with self._database.transaction() as tx:
            model = await model_storage.find_model(tx)
            assignment = await self._assign(tx, call)
            found = for_product(await model_storage.find_neighbours(tx, products, self._ranking(assignment), count))
            await _expose(tx, assignment, found)
        return RecommendForProductResponse(
            recommendations=_messages(found), model=_model_message(model), treatment=_treatment(assignment)
        )

    async def recommend_for_me(self, request: RecommendForMeRequest, call: Call) -> RecommendForMeResponse:
        """Returns what goes with the history of the caller."""
        count = results_count(request.max_results)
        async with self._database.transaction() as tx:
            model = await model_storage.find_model(tx)
            assignment = await self._assign(tx, call)
            history = await basket_storage.find_history(tx, call.caller.subject)
            neighbours = await model_storage.find_neighbours(tx, history, self._ranking(assignment), NEIGHBOURS_MAX)
            bestsellers = await feature_storage.find_bestsellers(tx, history, count)
            found = for_history(history, neighbours, bestsellers, count)
            await _expose(tx, assignment, found)
        return RecommendForMeResponse(
            recommendations=_messages(found), model=_model_message(model), treatment=_treatment(assignment)
        )

    async def _assign(self, tx: Connection, call: Call) -> Assignment | None:
        """Returns the assignment of the caller, None if the caller takes part in no experiment."""
        if not (self._experiment.is_running and call.caller.subject.startswith(USER_PREFIX)):
            return None
        return await exposures.assign(tx, self._experiment, call.caller.subject)

    def _ranking(self, assignment: Assignment | None) -> Ranking:
        return self._experiment.default if assignment is None else assignment.variant


async def _expose(tx: Connection, assignment: Assignment | None, found: Sequence[Recommendation]) -> None:
    """Records that the caller sees the variant, unless there is nothing to see."""
    if assignment is not None and found:
        await exposures.expose(tx, assignment, datetime.now(UTC))


def _treatment(assignment: Assignment | None) -> Treatment | None:
    if assignment is None:
        return None
    return Treatment(experiment=assignment.experiment.name, variant=assignment.variant.value)


_REASONS: Final = {
    Reason.BOUGHT_TOGETHER: RecommendationMessage.Reason.BOUGHT_TOGETHER,
    Reason.BESTSELLER: RecommendationMessage.Reason.BESTSELLER,
}


def _messages(found: Sequence[Recommendation]) -> list[RecommendationMessage]:
    return [
        RecommendationMessage(product=f"{PRODUCT_PREFIX}{each.product}", reason=_REASONS[each.reason], score=each.score)
        for each in found
    ]


def _model_message(model: Model | None) -> ModelMessage:
    if model is None:
        return ModelMessage()
    return ModelMessage(version=model.version, train_time=Timestamp.from_datetime(model.train_time))
