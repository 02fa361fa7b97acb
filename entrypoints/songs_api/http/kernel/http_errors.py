"""Errors of HTTP requests, which the services do not know."""

from typing import Final

from songs.errors import Overloaded, SongsError


class Malformed(SongsError):
    """The request cannot be read: its query string, a header or its body."""

    code = "malformed"
    summary = "The request cannot be read."


class NoSuchRoute(SongsError):
    """No route matches this path."""

    code = "no_such_route"
    summary = "No route matches this path."


class MethodNotAllowed(SongsError):
    """The path does not support this method; `allowed` lists those that it supports."""

    code = "method_not_allowed"
    summary = "This path does not support this method."

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(f"This path supports {', '.join(allowed)}.")
        self.allowed = allowed


class PreconditionRequired(SongsError):
    """A change does not name the version of the record that it applies to."""

    code = "precondition_required"
    summary = "Send If-Match with the ETag of the song as you read it, or * to change any version."


class LengthRequired(SongsError):
    """A body is required, and the request announces none."""

    code = "length_required"
    summary = "Send a body, with a Content-Length header or in chunks."


class BodyTooLarge(SongsError):
    """The body is larger than the limit."""

    code = "body_too_large"
    summary = "The body is too large."


class UnsupportedMediaType(SongsError):
    """The media type or encoding of the body is not supported here."""

    code = "unsupported_media_type"
    summary = "Send the body as application/json, in UTF-8, without Content-Encoding."


class BodyTimeout(SongsError):
    """The body was not received in time."""

    code = "body_timeout"
    summary = "The body was not received in time; send it at once."


class TooManyBodies(Overloaded):
    """The maximum number of bodies is being received; nothing of this one was read."""

    code = "too_many_bodies"
    summary = "Too many requests are sending their bodies; try again soon."


MALFORMED_QUERY: Final = "The query string cannot be read: {}."
