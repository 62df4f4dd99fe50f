"""What one request or job carries along: its id and the calling client. Never patient data."""

from contextvars import ContextVar

current_request_id: ContextVar[str] = ContextVar("linden_request_id", default="")
current_client: ContextVar[str] = ContextVar("linden_client", default="")
