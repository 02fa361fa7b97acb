"""Random requests as raw bytes: some right, most wrong, each made of its seed alone."""

import json
import random
from collections.abc import Callable
from typing import Final

API: Final = "/api/v1"
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ODD_METHODS: Final = ("TRACE", "CONNECT", "BREW", "get", "WEBSOCKET", "PRI", "G\x00T", "", "A" * 300)
TEXTS: Final = (
    *(
        "",
        "a",
        "love",
        "Beyoncé",
        "君が代",
        "\u202e",
        "\x00",
        "\ufeff",
        "%",
        "_",
        "*",
        "' or 1=1 --",
        "$ne",
        "../..",
        "null",
    ),
    *(
        "a" * 1_024,
        "a" * 1_025,
        "a" * 9_000,
        "\u0301" * 500,
        "\ufdfa" * 200,
        "{{7*7}}",
        "\r\nX: y",
        "<script>",
        "\ud7ff",
    ),
)
NUMBERS: Final = (
    *("0", "1", "3", "5", "6", "-1", "100", "101", "1.5", "3.0", "1e2", "1e309", "-0", "0.0001", "NaN", "Infinity"),
    *("9" * 30, "9" * 5_000, "1e-400", "01", "+1", "0x1", "1_000", "٣", "true", '"3"', "1e999999999"),
)
JSON_TEXTS: Final = (
    *(
        "",
        "{",
        "[]",
        "null",
        "{}",
        '"\\ud800"',
        "[" * 40 + "]" * 40,
        "[" * 20_000,
        '{"a":' * 5_000,
        '{"rating":1,"rating":2}',
    ),
    *(
        "{}{}",
        "\ufeff{}",
        "{'a':1}",
        '{"__proto__":{}}',
        '{"a":1,}',
        "\x00",
        '"' + "a" * 70_000 + '"',
        "[1" + ",1" * 40_000 + "]",
    ),
)
HEADERS: Final = (
    *(
        "X-Request-ID: a",
        "X_Request_ID: b",
        "Authorization: Bearer x",
        "Authorization: Basic YTpi",
        "Content-Encoding: gzip",
    ),
    *(
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Content-Length: 5",
        "Content-Length: 99999999999",
    ),
    *(
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Expect: 100-continue",
        "Expect: x",
        "Connection: close",
        "Upgrade: h2c",
    ),
    *(
        "If-Match: *",
        'If-Match: "x"',
        "If-Match: W/",
        "If-None-Match: *",
        'If-None-Match: "' + '",' * 999,
        "Range: bytes=0-1",
    ),
    *(
        "Idempotency-Key: k",
        "Idempotency-Key: ",
        "Idempotency-Key: " + "k" * 256,
        "Idempotency-Key: \xe9",
        "Accept: text/html",
    ),
    *(
        "Origin: null",
        "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Host: x",
        "Cookie: a=b",
        "Host: evil",
        "Host: ",
        "X-Long: " + "a" * 7_000,
    ),
    *("X-HTTP-Method-Override: DELETE", "Content-Type: text/plain", "Content-Type: application/json; charset=utf-16"),
    *(
        "no colon",
        " folded",
        ": no name",
        "Bad Name: x",
        "X-Null: a\x00b",
        "X-High: \xff\xfe",
        "X-Cr: a\rb",
        "Sec-WebSocket-Key: x",
    ),
)
_FEW: Final = 20
SONG: Final = {"artist": "Anon.", "title": "Greensleeves", "difficulty": 3.5, "level": 2, "released": "1580-09-03"}


class Requests:
    """Makes requests. The same seed makes the same requests.

    Args:
        seed: Of everything random.
        token: Goes with most requests; no answer may repeat it.
        song_ids: Songs that are there.
    """

    def __init__(self, seed: int, token: str, song_ids: list[str]) -> None:
        self._random = random.Random(seed)
        self.token = token
        self._song_ids = song_ids
        self._kinds: tuple[tuple[Callable[[], bytes], int], ...] = (
            (self._plausible, 30),
            (self._well_formed, 20),
            (self._mutated, 25),
            (self._chunked, 10),
            (self._cut_off, 8),
            (self._noise, 7),
        )

    def next(self) -> bytes:
        """Return one request, or what stands for one."""
        makers, weights = zip(*self._kinds, strict=True)
        made: bytes = self._random.choices(makers, weights)[0]()
        return made

    def _one(self, *choices: str) -> str:
        return self._random.choice(choices)

    def _id(self) -> str:
        return self._one(*self._song_ids, "none", *TEXTS) if self._random.random() < 0.5 else self._one(*self._song_ids)

    def _target(self) -> str:
        paths = (
            *(
                "/songs",
                "/songs/search",
                "/songs/difficulty/average",
                "/songs/ratings",
                f"/songs/{_quoted(self._id())}",
            ),
            *(
                f"/songs/{_quoted(self._id())}/ratings",
                "/auth/login",
                "/auth/register",
                "/auth/refresh",
                "/users",
            ),
            *(
                f"/users/{_quoted(self._one(*TEXTS))}",
                "/health",
                "/health/ready",
                "/nothing",
                "//songs",
                "/songs/../health",
            ),
        )
        path = API + self._one(*paths)
        names = ("message", "page", "page_size", "cursor", "artist", "level", "after", "x", "%", "message")
        values = (*TEXTS, *NUMBERS)
        query = "&".join(
            f"{self._one(*names)}={self._value(self._one(*values))}"
            for _ in range(self._random.choice((0, 0, 1, 1, 2, 9)))
        )
        return f"{path}?{query}" if query else path

    def _value(self, text: str) -> str:
        return _quoted(text) if self._random.random() < 0.9 else self._one("%", "%zz", "%ff", "%00", "+", "%c0%af", "")

    def _body(self) -> str:
        rated = {"song_id": self._id(), "rating": self._random.randint(0, 6)}
        account = {"username": self._one(*TEXTS, "ada", "editor"), "password": self._one(*TEXTS)}
        value: dict[str, object] = dict(self._random.choice((SONG, rated, account, {"level": 3}, {"role": "admin"})))
        if self._random.random() < 0.5:
            value[self._one(*SONG, "rating", "id", *TEXTS)] = self._one(*TEXTS)
        text = json.dumps(value, ensure_ascii=self._random.random() < 0.5)
        if self._random.random() < 0.2:
            text = text.replace("2", self._one(*NUMBERS), 1)
        return text if self._random.random() < 0.8 else self._one(*JSON_TEXTS)

    def _head(self, method: str, target: str, *headers: str) -> bytes:
        sent = ["Host: localhost", *headers]
        if self._random.random() < 0.9:
            sent.append(f"Authorization: Bearer {self.token}")
        if self._random.random() < 0.3:
            sent += self._random.sample(HEADERS, self._random.randint(1, 4))
        return "\r\n".join([f"{method} {target} HTTP/1.1", *sent, "", ""]).encode("latin-1", "replace")

    def _with_body(self, *headers: str) -> tuple[bytes, bytes]:
        body = self._body().encode("utf-8", "surrogatepass")
        media_type = self._one("application/json", "application/json", "application/merge-patch+json")
        method, target = self._one("POST", "PUT", "PATCH", "DELETE"), self._target()
        extra = ["If-Match: *"] if self._random.random() < 0.5 else []
        return self._head(method, target, f"Content-Type: {media_type}", *extra, *headers), body

    def _plausible(self) -> bytes:
        """Return what a client might well send: it reaches the storage."""
        n, song_id = self._random.randint(0, 9_999), self._one(*self._song_ids)
        # Few songs, so that a long run does not grow what is stored.
        changed = SONG | {"title": f"{self._one(*TEXTS[:8])}{n % _FEW}", "difficulty": n / 1_000, "level": n % 100}
        method, path, body = self._random.choice(
            (
                ("GET", f"/songs?page={n % 9 + 1}&page_size={n % 99 + 1}", None),
                ("GET", f"/songs?cursor=&level={n % 100}", None),
                ("GET", f"/songs/search?message={_quoted(self._one(*TEXTS[1:8]))}", None),
                ("GET", f"/songs/difficulty/average?level={n % 100}", None),
                ("GET", f"/songs/{song_id}", None),
                ("HEAD", f"/songs/{song_id}/ratings", None),
                ("GET", f"/songs/{song_id}/ratings", None),
                ("POST", "/songs", changed),
                ("POST", "/songs/ratings", {"song_id": song_id, "rating": n % 5 + 1}),
                ("PUT", f"/songs/{song_id}", changed),
                ("PATCH", f"/songs/{song_id}", {"level": n % 100}),
                ("POST", "/auth/login", {"username": "editor", "password": f"wrong {n}"}),
                ("DELETE", f"/songs/{song_id if n < _FEW else n}", None),
            )
        )
        head = f"{method} {API}{path} HTTP/1.1\r\nHost: localhost\r\nIf-Match: *\r\n"
        head += f"Authorization: Bearer {self.token}\r\n"
        if body is None:
            return f"{head}\r\n".encode()
        text = json.dumps(body)
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()

    def _well_formed(self) -> bytes:
        if self._random.random() < 0.5:
            return self._head(self._one(*METHODS, *METHODS, *ODD_METHODS[:5]), self._target())
        head, body = self._with_body()
        return head[:-2] + b"Content-Length: %d\r\n\r\n" % len(body) + body

    def _chunked(self) -> bytes:
        head, body = self._with_body("Transfer-Encoding: chunked")
        size = self._random.choice((1, 7, 4_096))
        chunks = [body[start : start + size] for start in range(0, min(len(body), 9_000), size)]
        return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"

    def _cut_off(self) -> bytes:
        whole = self._random.choice((self._well_formed, self._chunked))()
        return whole[: self._random.randint(1, len(whole))]

    def _mutated(self) -> bytes:
        whole = bytearray(self._random.choice((self._plausible, self._well_formed, self._chunked))())
        for _ in range(self._random.choice((1, 1, 2, 5, 40))):
            at = self._random.randrange(len(whole))
            match self._random.randrange(4):
                case 0:
                    whole[at] = self._random.randrange(256)
                case 1:
                    del whole[at : at + self._random.randint(1, 9)]
                case 2:
                    whole[at:at] = self._random.randbytes(self._random.randint(1, 9))
                case _:
                    whole[at:at] = whole[max(0, at - 20) : at]
            if not whole:
                return b"\r\n"
        return bytes(whole)

    def _noise(self) -> bytes:
        target = self._one("*", "", "http://x/", "/" + "a" * 9_000, "/%")
        odd = f"{self._one(*ODD_METHODS)} {target} {self._one('HTTP/1.0', 'HTTP/2.0', 'X')}\r\n\r\n"
        return self._random.choice(
            (
                self._random.randbytes(self._random.randint(1, 3_000)),
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + self._random.randbytes(200),
                b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 150 + b"\r\n",
                odd.encode("latin-1", "replace"),
            )
        )


def _quoted(text: str) -> str:
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"%{byte:02X}" for byte in text.encode())
