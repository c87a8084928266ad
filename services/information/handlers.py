"""The methods of InformationService."""

from meshwright.information.v1.information_grpc import InformationServiceBase
from meshwright.information.v1.information_pb import GetInformationRequest, Information

from mesh.rpc import Call


class InformationHandlers(InformationServiceBase):
    """The handlers of InformationService."""

    async def get_information(self, request: GetInformationRequest, call: Call) -> Information:
        """Returns the same sentence to every caller. The contract requires a valid token."""
        return Information(text="The answer is 42.")
