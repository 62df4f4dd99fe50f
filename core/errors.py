"""Errors that clients may branch on. The API renders them as RFC 9457 problems."""

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of a request, without repeating its value."""

    field: str
    code: str
    message: str


class DomainError(Exception):
    """A refusal with a stable code. Subclasses live beside the function that raises them."""

    code: ClassVar[str] = "domain-error"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The request conflicts with the current state."

    def __init__(
        self,
        detail: str = "",
        *,
        errors: tuple[FieldError, ...] = (),
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = errors
        self.extra = extra or {}


class PreconditionFailed(DomainError):
    """The thing is no longer as `If-Match` says."""

    code = "precondition-failed"
    status = 412
    title = "This has changed since you read it. Please look at it again."


class NotFound(DomainError):
    """The thing is absent or out of the viewer's reach; the answer is the same."""

    code = "not-found"
    status = 404
    title = "Not found."


class Forbidden(DomainError):
    """This role or scope may never call this operation."""

    code = "forbidden"
    status = 403
    title = "You may not do this."


class InvalidInput(DomainError):
    """The request is readable but its content is not acceptable."""

    code = "invalid"
    status = 422
    title = "Some of the values sent cannot be accepted."


class Unavailable(DomainError):
    """A part the request needs is not answering."""

    code = "unavailable"
    status = 503
    title = "This part is not available at the moment. Please try again."
