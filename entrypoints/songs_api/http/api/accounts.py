"""Registration and sessions: signing in and out, and the limits on guessing passwords."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from songs.application import sessions
from songs.application.hashing import FIRST
from songs.application.password_policy import DEFAULT_MIN_PASSWORD, MAX_PASSWORD
from songs.errors import BadCredentials, RateLimited, RefreshRefused, RegistrationClosed, Unavailable, UserExists
from songs.model import name_key
from songs.ports.limiter import RateLimit, Verdict
from songs_api.http.kernel.bodies import CheckedRead, Read
from songs_api.http.kernel.operation import Operation, RequestContext, Resource
from songs_api.http.kernel.rate_limits import OUTAGE_DIVISOR, RateLimits, bucket_of
from songs_api.http.kernel.read_plans import Answer, encode
from songs_api.http.kernel.validation import answer_config, request_config
from songs_api.http.services import AppServices

TRIED: Final = RateLimit(10, 3600)
"""Attempts with one username from one address, while that username is tried more often than its limit allows."""
MAX_KNOWN: Final = 10_000
"""From how many places, each an address and a username, a process remembers that someone signed in."""

Secret = Annotated[str, Field(repr=False, json_schema_extra={"format": "password"})]
NewSecret = Annotated[
    Secret,
    Field(
        description=f"{DEFAULT_MIN_PASSWORD} to {MAX_PASSWORD} characters; the service may require more. Neither a "
        "common password nor the username.",
        json_schema_extra={"format": "password", "minLength": DEFAULT_MIN_PASSWORD},
    ),
]


class Registration(BaseModel):
    """The account to create."""

    model_config = request_config({"username": "ada", "password": "a long pass phrase"})

    username: Annotated[
        str,
        Field(
            description="3 to 50 letters, digits or any of . _ @ + -",
            json_schema_extra={"pattern": r"^[0-9A-Za-z._@+-]{3,50}$"},
        ),
    ]
    password: NewSecret


class Credentials(BaseModel):
    """The username and password of a user."""

    model_config = request_config({"username": "ada", "password": "a long pass phrase"})

    username: Annotated[str, Field(description="The username; case does not matter.")]
    password: Annotated[Secret, Field(description="The password.")]


class RefreshRequest(BaseModel):
    """A refresh token that has not been used yet."""

    model_config = request_config({"refresh_token": "session.secret"})

    refresh_token: Annotated[Secret, Field(description="The refresh token, as it was received.")]


class SignOut(BaseModel):
    """The session to end."""

    model_config = request_config({"refresh_token": "session.secret"})

    refresh_token: Annotated[Secret, Field(description="The refresh token, as it was received.")]
    everywhere: Annotated[bool, Field(description="End all sessions of the user.")] = False


class Registered(BaseModel):
    """The account was created."""

    model_config = answer_config({"message": "The account was made; sign in with it.", "username": "ada"})

    message: Annotated[str, Field(description="A message for people.")]
    username: Annotated[str, Field(description="The username, as it was sent.")]


class SignedIn(BaseModel):
    """An access token, for the Authorization header (`Bearer <access_token>`), and a refresh token for the next one."""

    model_config = answer_config(
        {
            "access_token": "header.claims.signature",
            "token_type": "bearer",
            "expires_in": 600,
            "refresh_token": "session.secret",
        }
    )

    access_token: Annotated[str, Field(description="The token for the Authorization header.")]
    token_type: Annotated[Literal["bearer"], Field(description="The type of the access token.")]
    expires_in: Annotated[int, Field(description="The lifetime of the access token, in seconds.")]
    refresh_token: Annotated[str, Field(description="The token for POST /auth/refresh. It can be used once.")]


class SignInLimits:
    """Counts attempts by address, by username and address, and by username. Thread-safe.

    An attempt is refused beyond the limit of its address, and beyond that of its address with its username. The limit
    of a username refuses no attempt by itself, or anybody could lock a user out: beyond it each address has `TRIED`,
    and no address uses up the attempts of another one. No attempt is delayed: a delay holds a thread, and attackers
    would hold all of them.

    An attempt with the right password is returned to the limit of the username and to `TRIED`, and so is one that was
    not checked (503). A user is known at an address from which they signed in: attempts from there need none of
    `TRIED`, and have their turn at hashing first. Other addresses follow, those with the fewest recent attempts first.

    Usernames are any text that was sent, of any length, so buckets have their hash.
    """

    def __init__(self, services: AppServices) -> None:
        rates, limits = services.settings.limits, RateLimits(services, outage_divisor=OUTAGE_DIVISOR)
        self._by_address = limits.address_limit("sign-in-address", "sign-in-network", rates.limiter_sign_in_address)
        self._by_both = limits.limit("sign-in", rates.limiter_sign_in)
        self._by_user = limits.limit("sign-in-user", rates.limiter_sign_in_user)
        self._tried = limits.limit("sign-in-tried", rates.limiter_sign_in_user and TRIED)
        self._known = KnownPlaces()
        self._trusted = services.settings.http.trusted_proxies

    def charge_address(self, context: RequestContext) -> Verdict | None:
        """Count an attempt by its address alone, and return the verdict.

        Raises:
            RateLimited: The attempt is beyond the limit.
        """
        return self._by_address.charge(context, context.environ)

    @contextmanager
    def attempt(self, context: RequestContext, name: str, from_address: Verdict | None) -> Iterator[int]:
        """Count an attempt with a username, and have it made in the context, which is given its rank at hashing.

        Args:
            context: That of the request.
            name: The username.
            from_address: What `charge_address` returned.

        Raises:
            RateLimited: It is one too many.
        """
        address = bucket_of(context.environ, self._trusted)
        user = blake2b(name_key(name).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        place = f"{user}:{address}"
        is_known = self._known.is_known(place)
        self._by_both.charge(context, place)
        of_user = self._by_user.hit(user)
        tried = None
        if of_user is not None and not of_user.allowed and not is_known:
            tried = self._tried.hit(place)
            if tried is not None and not tried.allowed:
                raise RateLimited(tried.reset_s)
        rank = FIRST if is_known else max(1, self._by_address.addresses.used(from_address), self._tried.used(tried))
        try:
            yield rank
        except Unavailable:
            # It was not checked: no password that is wrong is answered so. The limits of its address and of its place
            # are a minute's, and go on to count it: who does not wait would have all turns otherwise.
            self._by_user.give_back(user, of_user)
            self._tried.give_back(place, tried)
            raise
        self._by_user.give_back(user, of_user)
        self._tried.give_back(place, tried)
        self._known.add(place)


class KnownPlaces:
    """The last `MAX_KNOWN` places from which users signed in with the right password. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: OrderedDict[str, None] = OrderedDict()

    def is_known(self, place: str) -> bool:
        """Return whether someone signed in from a place."""
        return place in self._places

    def add(self, place: str) -> None:
        """Remember a place."""
        with self._lock:
            self._places[place] = None
            self._places.move_to_end(place)
            while len(self._places) > MAX_KNOWN:
                self._places.popitem(last=False)


class RegistrationResource(Resource):
    """Registration."""

    paths = ("/auth/register",)

    def __init__(self, services: AppServices) -> None:
        self._accounts = services.accounts
        self._open = services.settings.accounts.registration == "open"
        limits = RateLimits(services, outage_divisor=OUTAGE_DIVISOR)
        self._limit = limits.address_limit("register", "register-network", services.settings.limits.limiter_register)

    @Operation(
        needs=None,
        operation_id="register",
        tag="accounts",
        summary="Create an account",
        request=Registration,
        answers={201: Registered},
        audited=True,
        problems=(UserExists, RegistrationClosed),
    )
    def on_post(self, context: RequestContext, *, read: CheckedRead[Registration]) -> Answer:
        """Make an account with the role of a user."""
        if not self._open:
            raise RegistrationClosed
        self._limit.charge(context, context.environ)
        faults = self._accounts.registration_faults
        body = read(lambda sent: faults(sent.get("username"), sent.get("password")))
        user = self._accounts.register(body.username, body.password, deadline=context.deadline)
        message = {"message": "The account was made; sign in with it.", "username": user.name}
        return Answer(201, encode(message), about=user.id)


class SignIn(Resource):
    """Signing in."""

    paths = ("/auth/login",)

    def __init__(self, services: AppServices, limits: SignInLimits) -> None:
        self._accounts = services.accounts
        self._limits = limits

    @Operation(
        needs=None,
        operation_id="sign_in",
        tag="accounts",
        summary="Sign in",
        description="Send the access token with every other request: `Authorization: Bearer <access_token>`.",
        request=Credentials,
        answers={200: SignedIn},
        audited=True,
        problems=(BadCredentials,),
    )
    def on_post(self, context: RequestContext, *, read: Read[Credentials]) -> Answer:
        """Answer with the tokens of a new session."""
        from_address = self._limits.charge_address(context)
        body = read()
        with self._limits.attempt(context, body.username, from_address) as rank:
            signed_in = self._accounts.sign_in(body.username, body.password, rank=rank, deadline=context.deadline)
        return Answer(200, tokens_bytes(signed_in), about=signed_in.user.id)


class Refresh(Resource):
    """Refreshing a session."""

    paths = ("/auth/refresh",)

    def __init__(self, services: AppServices) -> None:
        self._sessions = services.sessions

    @Operation(
        needs=None,
        operation_id="refresh",
        tag="accounts",
        summary="Exchange a refresh token for new tokens",
        description="A refresh token can be used once. If the response was lost, sign in again. A token that is used "
        "again more than 10 s after the first time ends its session.",
        request=RefreshRequest,
        answers={200: SignedIn},
        audited=True,
        problems=(RefreshRefused,),
    )
    def on_post(self, context: RequestContext, *, read: Read[RefreshRequest]) -> Answer:
        """Answer with the next tokens of a session."""
        signed_in = self._sessions.refresh(read().refresh_token, deadline=context.deadline)
        return Answer(200, tokens_bytes(signed_in), about=signed_in.user.id)


class SignOutResource(Resource):
    """Signing out."""

    paths = ("/auth/logout",)

    def __init__(self, services: AppServices) -> None:
        self._accounts = services.accounts

    @Operation(
        needs=None,
        operation_id="sign_out",
        tag="accounts",
        summary="Sign out",
        description="Ends the session of the refresh token, or every session of its user, and revokes all access "
        "tokens of the user: other sessions refresh theirs. Expired tokens are accepted silently.",
        request=SignOut,
        answers={204: None},
        audited=True,
    )
    def on_post(self, context: RequestContext, *, read: Read[SignOut]) -> Answer:
        """End a session, or all of a user."""
        body = read()
        user = self._accounts.sign_out(body.refresh_token, everywhere=body.everywhere, deadline=context.deadline)
        return Answer(204, about=user.id if user else None)


RESOURCES: Final = (RegistrationResource, SignIn, Refresh, SignOutResource)


def resources(services: AppServices, limits: SignInLimits) -> Sequence[Resource]:
    """Return the resources of registration and sessions."""
    return [
        RegistrationResource(services),
        SignIn(services, limits),
        Refresh(services),
        SignOutResource(services),
    ]


def tokens_bytes(signed_in: sessions.SignedIn) -> bytes:
    """Return the tokens of a session."""
    return encode(
        {
            "access_token": signed_in.access_token,
            "token_type": "bearer",
            "expires_in": signed_in.expires_in_s,
            "refresh_token": signed_in.refresh_token,
        }
    )
