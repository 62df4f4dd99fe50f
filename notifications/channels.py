"""How a message leaves: e-mail over SMTP. The in-app inbox is the ledger row itself.

What went wrong is sorted by what it means for a second try: later, never, or nobody knows.
"""

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend

from notifications.wording import Message


class TryLater(Exception):
    """This row was not accepted now; it may be later. `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Refused(Exception):
    """This row will never be accepted. `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class OutcomeUnknown(Exception):
    """The provider may have taken the message: it must not be repeated blindly."""


class _WatchedSMTP(smtplib.SMTP):
    """Remembers whether the message itself was handed over."""

    data_begun = False

    def data(self, msg: object) -> tuple[int, bytes]:
        self.data_begun = True
        return super().data(msg)  # type: ignore[arg-type]


class _WatchedSMTPOverTLS(smtplib.SMTP_SSL):
    data_begun = False

    def data(self, msg: object) -> tuple[int, bytes]:
        self.data_begun = True
        return super().data(msg)  # type: ignore[arg-type]


class WatchedBackend(EmailBackend):
    """Django's SMTP backend that can tell "surely not sent" from "may have gone"."""

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        return _WatchedSMTPOverTLS if self.use_ssl else _WatchedSMTP


def message_id(row_id: UUID) -> str:
    """Return the Message-ID of a ledger row: the same for every try, so receivers can fold."""
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].rstrip(">").strip()
    return f"<{row_id}@{domain}>"


class Mailer:
    """One SMTP connection for a batch, opened when first needed and again after a break."""

    def __init__(self) -> None:
        self._backend = WatchedBackend(fail_silently=False)

    def is_open(self) -> bool:
        """Open the connection unless it is; False when the server cannot be reached."""
        if self._backend.connection is not None and self._backend.connection.sock is None:
            self._drop()
        try:
            self._backend.open()
        except (OSError, smtplib.SMTPException):
            self._drop()
            return False
        return True

    def send(self, *, row_id: UUID, to: str, message: Message) -> str:
        """Hand one message over; return the provider's reference (the Message-ID).

        Raises: TryLater, Refused, OutcomeUnknown.
        """
        if not self.is_open():
            raise TryLater("server-down")
        connection = cast(_WatchedSMTP | _WatchedSMTPOverTLS, self._backend.connection)
        connection.data_begun = False
        reference = message_id(row_id)
        mail = EmailMessage(
            message.subject,
            message.body,
            settings.DEFAULT_FROM_EMAIL,
            [to],
            headers={"Message-ID": reference, "Auto-Submitted": "auto-generated"},
        )
        try:
            self._backend.send_messages([mail])
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise _refusal(max(codes), "recipient") from error
        except smtplib.SMTPSenderRefused as error:
            raise TryLater(f"sender-{error.smtp_code}") from error
        except smtplib.SMTPDataError as error:
            raise _refusal(error.smtp_code, "message") from error
        except (OSError, smtplib.SMTPException) as error:
            self._drop()
            if connection.data_begun:
                raise OutcomeUnknown() from error
            raise TryLater("connection-lost") from error
        except ValueError as error:
            # A header with a line break, or an address that cannot be written in one.
            raise Refused("address-invalid") from error
        return reference

    def _drop(self) -> None:
        if self._backend.connection is not None:
            self._backend.connection.close()
            self._backend.connection = None

    def close(self) -> None:
        """Say goodbye; a server that hung up already is no failure."""
        with suppress(OSError, smtplib.SMTPException):
            self._backend.close()


def _refusal(code: int, what: str) -> TryLater | Refused:
    return Refused(f"{what}-{code}") if code >= 500 else TryLater(f"{what}-{code}")


@contextmanager
def mailer() -> Iterator[Mailer]:
    """Give a batch its mailer and close it afterwards."""
    made = Mailer()
    try:
        yield made
    finally:
        made.close()
