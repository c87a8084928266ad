"""The methods of NotificationPreferencesService."""

import secrets
from collections.abc import Mapping, Set
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from meshwright.notifications.v1.notifications_pb import Channel as ChannelMessage
from meshwright.notifications.v1.notifications_pb import NotificationKind
from meshwright.notifications.v1.preferences_grpc import NotificationPreferencesServiceBase
from meshwright.notifications.v1.preferences_pb import (
    GetNotificationPreferencesRequest,
    KindPreference,
    SendPhoneCodeRequest,
    UpdateNotificationPreferencesRequest,
    VerifyPhoneNumberRequest,
)
from meshwright.notifications.v1.preferences_pb import NotificationPreferences as PreferencesMessage
from protobuf.wkt import Empty, Timestamp

from mesh.database import Database
from mesh.errors import FailedPrecondition, Unavailable
from mesh.field_mask import apply_update
from mesh.rpc import Call
from services.notifications.domain.keyed_hash import KeyedHash
from services.notifications.domain.notification import Channel, Kind
from services.notifications.domain.phone_code import PhoneCode, too_many_codes, wrong_code
from services.notifications.domain.preferences import CHOOSABLE, Preferences, own_user
from services.notifications.handlers.erased_caller import check_not_erased
from services.notifications.senders.sms import SENDER, SmsGateway
from services.notifications.storage import phone_codes, preferences, user_lock

UPDATABLE: Final = frozenset({"kinds", "phone_number"})


class PreferencesHandlers(NotificationPreferencesServiceBase):
    """The handlers of NotificationPreferencesService."""

    def __init__(self, database: Database, hashes: KeyedHash, gateway: SmsGateway | None) -> None:
        self._database = database
        self._hashes = hashes
        self._gateway = gateway

    async def get_notification_preferences(
        self, request: GetNotificationPreferencesRequest, call: Call
    ) -> PreferencesMessage:
        """Returns the caller's preferences."""
        user = own_user(request.name, call.caller.subject)
        async with self._database.transaction() as tx:
            return _message(await preferences.find(tx, user))

    async def update_notification_preferences(
        self, request: UpdateNotificationPreferencesRequest, call: Call
    ) -> PreferencesMessage:
        """Changes the fields that the mask names."""
        patch = request.notification_preferences or PreferencesMessage()
        user = own_user(patch.name, call.caller.subject)
        async with self._database.transaction() as tx:
            await user_lock.take(tx, user)
            await check_not_erased(tx, self._hashes, user)
            current = await preferences.find(tx, user)
            wanted = apply_update(_message(current), patch, request.update_mask, updatable=UPDATABLE)
            changed = current.update(_channels(wanted), wanted.phone_number, etag=patch.etag, now=datetime.now(UTC))
            if changed is not current:
                await preferences.write(tx, changed)
        return _message(changed)

    async def send_phone_code(self, request: SendPhoneCodeRequest, call: Call) -> Empty:
        """Sends a code. What counts against the limits is stored before, so that a failure can't be used to send more
        codes than allowed.
        """
        user = own_user(request.name, call.caller.subject)
        if self._gateway is None:
            raise FailedPrecondition("The shop sends no SMS.", reason="SMS_NOT_AVAILABLE")
        code, number = f"{secrets.randbelow(10**6):06}", request.phone_number
        async with self._database.transaction() as tx:
            await user_lock.share(tx, user)
            await check_not_erased(tx, self._hashes, user)
            for key in (self._hashes.of_user(user), self._hashes.of_phone_number(number)):
                if not await phone_codes.claim(tx, key):
                    raise too_many_codes()
            code_hash = self._hashes.of_code(user, code)
            await phone_codes.write(tx, PhoneCode.create(user, number, code_hash, datetime.now(UTC)))
        try:
            await self._gateway.send(number, f"{SENDER}: your code is {code}", message_id=str(uuid4()))
        except Exception as error:
            raise Unavailable("The code could not be sent. Try again.", reason="SMS_UNAVAILABLE") from error
        return Empty()

    async def verify_phone_number(self, request: VerifyPhoneNumberRequest, call: Call) -> PreferencesMessage:
        """Sets the phone number if the code is right. A wrong code is counted in a transaction that commits."""
        user, now = own_user(request.name, call.caller.subject), datetime.now(UTC)
        async with self._database.transaction() as tx:
            await user_lock.take(tx, user)
            await check_not_erased(tx, self._hashes, user)
            code = await phone_codes.find(tx, user)
            right = code is not None and code.accepts(self._hashes.of_code(user, request.code), now)
            if code is not None and right:
                verified = (await preferences.find(tx, user)).with_phone_number(code.phone_number, now)
                await preferences.write(tx, verified)
                await phone_codes.delete_of(tx, user)
                return _message(verified)
            if code is not None:
                await phone_codes.write(tx, code.failed())
        raise wrong_code()


def _channels(message: PreferencesMessage) -> Mapping[Kind, Set[Channel]]:
    return {
        Kind[preference.kind.name]: frozenset(Channel[channel.name] for channel in preference.channels)
        for preference in message.kinds
    }


def _message(current: Preferences) -> PreferencesMessage:
    return PreferencesMessage(
        name=current.name,
        kinds=[_preference(kind, current) for kind in CHOOSABLE],
        phone_number=current.phone_number,
        update_time=None if current.update_time is None else Timestamp.from_datetime(current.update_time),
        etag=current.etag,
    )


def _preference(kind: Kind, current: Preferences) -> KindPreference:
    chosen = current.chosen(kind)
    channels = [ChannelMessage[channel.name] for channel in Channel if channel in chosen]
    return KindPreference(kind=NotificationKind[kind.name], channels=channels)
