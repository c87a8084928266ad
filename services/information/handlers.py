"""The methods of InformationService."""

from meshwright.information.v1.information_grpc import InformationServiceBase
from meshwright.information.v1.information_pb import GetInformationRequest, Information

from mesh.rpc import Call


class InformationHandlers(InformationServiceBase):
    """Answers with the answer."""

    async def get_information(self, request: GetInformationRequest, call: Call) -> Information:
        """The same sentence for everybody; the contract asks for a valid token."""
        return Information(text="The answer is 42.")
