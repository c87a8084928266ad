"""The methods of PagesService."""

from googleapis.google.api.httpbody_pb import HttpBody
from meshwright.identity.v1 import account_pb
from meshwright.identity.v1 import pages_pb as pb
from meshwright.identity.v1.pages_grpc import PagesServiceBase

from mesh.errors import AlreadyExists, InvalidArgument, ResourceExhausted
from mesh.rpc import Call
from services.identity import pages
from services.identity.accounts import Accounts
from services.identity.authorization import (
    Authorization,
    AuthorizationRequest,
    RejectedRequestError,
    UnknownApplicationError,
)

PASSWORD_LENGTH_MIN = 8
PARAMETERS = (
    "client_id",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
)
RESET_PATH = "../account/resetPassword"  # relative, so that the mesh may be below a path


class PagesHandlers(PagesServiceBase):
    """The handlers of PagesService. Errors that a person can act on are pages too."""

    def __init__(self, authorization: Authorization, accounts: Accounts) -> None:
        self._authorization = authorization
        self._accounts = accounts

    async def show_sign_in(self, request: pb.ShowSignInRequest, call: Call) -> HttpBody:
        """Returns the sign-in page, or the answer to a wrong request."""
        return self._refused(request) or _sign_in_page(request)

    async def sign_in(self, request: pb.SignInRequest, call: Call) -> HttpBody:
        """Returns the redirect to the application, or the page again."""
        if (refused := self._refused(request)) is not None:
            return refused
        try:
            location = await self._authorization.sign_in(request, request.username, request.password, call)
        except RejectedRequestError as error:
            return pages.redirect(error.location)
        except ResourceExhausted as error:
            return _sign_in_page(request, request.username, _wait(error), status=429)
        if location is None:
            return _sign_in_page(request, request.username, "The address or the password is wrong.", status=401)
        return pages.redirect(location)

    def _refused(self, request: AuthorizationRequest) -> HttpBody | None:
        try:
            self._authorization.check(request)
        except UnknownApplicationError:
            text = "The application that sent you here is unknown, or wants to lead you to a wrong place."
            return pages.page("You can't sign in here", pages.alert(text), status=400)
        except RejectedRequestError as error:
            return pages.redirect(error.location)
        return None

    async def show_confirm_email(self, request: pb.ShowConfirmEmailRequest, call: Call) -> HttpBody:
        """Returns the page with the button that confirms."""
        return _confirm_page(request.token)

    async def submit_confirm_email(self, request: pb.SubmitConfirmEmailRequest, call: Call) -> HttpBody:
        """Confirms the address."""
        try:
            await self._accounts.confirm_email(account_pb.ConfirmEmailRequest(token=request.token), call)
        except (InvalidArgument, AlreadyExists) as error:
            return pages.page("Confirm your address", pages.alert(error.message), status=400)
        except ResourceExhausted as error:
            return pages.page("Confirm your address", pages.alert(_wait(error)), status=429)
        return pages.page("Your address is confirmed", pages.paragraph("You can close this page."))

    async def show_reset_password(self, request: pb.ShowResetPasswordRequest, call: Call) -> HttpBody:
        """Returns the page that asks for the new password, or for the address."""
        return _password_page(request.token) if request.token else _address_page()

    async def submit_reset_password(self, request: pb.SubmitResetPasswordRequest, call: Call) -> HttpBody:
        """Resets the password, or sends the mail."""
        try:
            return await (self._reset(request, call) if request.token else self._send(request.email, call))
        except ResourceExhausted as error:
            return pages.page("Reset your password", pages.alert(_wait(error)), status=429)

    async def _reset(self, request: pb.SubmitResetPasswordRequest, call: Call) -> HttpBody:
        if len(request.new_password) < PASSWORD_LENGTH_MIN:
            return _password_page(request.token, "Choose a password of 8 to 128 characters.", status=400)
        # Without a request_id a form that is sent again would fail, but nothing repeats it by itself.
        reset = account_pb.ResetPasswordRequest(token=request.token, new_password=request.new_password)
        try:
            await self._accounts.reset_password(reset, call)
        except InvalidArgument as error:
            return _address_page(error.message, status=400)
        return pages.page("Your password is changed", pages.paragraph("You are signed out everywhere."))

    async def _send(self, email: str, call: Call) -> HttpBody:
        await self._accounts.request_reset(email, call)
        text = "If there is an account with this address, a mail with a link is on its way."
        return pages.page("Look into your mail", pages.paragraph(text))


def _sign_in_page(
    request: AuthorizationRequest, username: str = "", problem: str = "", *, status: int = 200
) -> HttpBody:
    fields = "\n".join(
        (
            pages.field("E-mail address", "username", "email", "username", username, ' maxlength="254"'),
            pages.field("Password", "password", "password", "current-password", "", ' maxlength="128"'),
        )
    )
    hidden = {name: getattr(request, name) for name in PARAMETERS}
    body = pages.alert(problem) + pages.form("authorize", fields, "Sign in", hidden)
    body += f'\n<p><a href="{RESET_PATH}">Forgot your password?</a></p>'
    return pages.page("Sign in", body, status=status, redirects_to=request.redirect_uri)


def _confirm_page(token: str) -> HttpBody:
    return pages.page("Confirm your address", pages.form("confirmEmail", "", "Confirm", {"token": token}))


def _password_page(token: str, problem: str = "", *, status: int = 200) -> HttpBody:
    limits = f' minlength="{PASSWORD_LENGTH_MIN}" maxlength="128"'
    fields = pages.field("New password", "new_password", "password", "new-password", "", limits)
    body = pages.alert(problem) + pages.form("resetPassword", fields, "Change the password", {"token": token})
    return pages.page("Choose a new password", body, status=status)


def _address_page(problem: str = "", *, status: int = 200) -> HttpBody:
    fields = pages.field("E-mail address", "email", "email", "username", "", ' maxlength="254"')
    body = pages.alert(problem) + pages.form("resetPassword", fields, "Send me a link", {})
    return pages.page("Reset your password", body, status=status)


def _wait(error: ResourceExhausted) -> str:
    return f"{error.message} Wait {round(error.retry_after_s or 1)} seconds."
