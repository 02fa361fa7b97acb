"""Catalogues of any size with realistic names, the same for the same seed: `catalogue.py COUNT [--seed N] > FILE`.

Written as JSON Lines, as `songs import` reads them, in constant memory. No two songs have one artist, title and date.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

SONGS_OF_AN_ARTIST: Final = 16
_FIRST_DAY: Final = date(1950, 1, 1)
_DAYS: Final = 27_000
_STEP: Final = 7_919  # prime to the number of days: an artist's dates repeat after all of them

_WORDS: Final = tuple(
    """
    after again all alone always angel another arms away baby back beautiful before believe better black blue body
    born boy break bright broken burning california candle change child christmas city close cold come crazy cry
    dance dancing dark day dead dear deep devil don't door down dream dreaming drive eyes face fall falling far
    fast feel fight fire first fly forever free friday friend ghost girl give gold gone good goodbye great green
    hand happy hard heart heaven hello here hey high hold home honey house hungry hurt ice just keep king kiss
    know lady last late leave letter life light like little lonely long lost love lover magic make man memory
    midnight mind money moon more morning mother mountain moving name never new night nobody nothing ocean old one
    only open over paradise people perfect place play please power prince queen radio rain rainbow red remember
    ride right ring river road rock roll rose running sad save sea secret shadow shine silence silver simple sing
    sky sleep slow smile snow soldier some song soul spring stand star stay still stone stop storm strange street
    strong summer sun sunday sweet take talk tears tell thing think thunder time together tomorrow tonight touch
    town train true trust try turn under up valley voice waiting walk wall want war watch water way wild wind
    window winter wish without woman wonderful words work world wrong yellow yesterday young
    """.split()  # noqa: SIM905 - readable
)
_SYLLABLES: Final = tuple(
    """
    al an ar bel ben ber bo bri ca ce chan che cor da del di do dra el en er fa fe fi ga gi gor ha he hil il in is
    ja jo ju ka ke kov la le li lo lu ma me mi mo mu na ne ni no nu o or pa pe po qui ra re ri ro ru sa se si so
    sta su ta te ti to tri u ur va ve vi vo wa we wi xa ya yo za zé ñe ö ø ü
    """.split()  # noqa: SIM905 - readable
)
_LEADS: Final = ("The", "DJ", "Los", "Die", "MC", "Les")
_TITLES: Final = (
    "{}",
    "{} {}",
    "{} {}",
    "{} {} {}",
    "{} of {}",
    "The {} {}",
    "{} in the {}",
    "{} ({} Mix)",
    "{} for {}",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One song of a catalogue."""

    artist: str
    title: str
    difficulty: float
    level: int
    released: date

    def line(self) -> str:
        """Return the line of a file for `songs import`."""
        return json.dumps({**self.fields(), "released": self.released.isoformat()}, ensure_ascii=False)

    def fields(self) -> dict[str, object]:
        """Return the members by name."""
        return {name: getattr(self, name) for name in self.__slots__}


def catalogue(count: int, *, seed: int = 1) -> Iterator[Entry]:
    """Yield `count` songs."""
    artists = max(1, count // SONGS_OF_AN_ARTIST)
    for number in range(count):
        nth, artist = divmod(number, artists)
        chance = random.Random(f"{seed}/{number}")
        yield Entry(
            artist=_artist(random.Random(f"{seed}/artist/{artist}"), artist),
            title=_title(chance),
            difficulty=round(chance.triangular(1, 20, 7), 2),
            level=min(13, int(chance.triangular(1, 14, 5))),
            released=_FIRST_DAY + timedelta(days=(artist + nth * _STEP) % _DAYS),
        )


def _artist(chance: random.Random, number: int) -> str:
    name = _name(chance)
    match chance.randrange(4):
        case 0:
            name = f"{chance.choice(_LEADS)} {name}s"
        case 1:
            name = f"{chance.choice(_WORDS).title()} {name}"
        case 2:
            name = f"{name} {_name(chance)}"
    # A few names meet; then a number tells them apart, as it does in real catalogues.
    return name if number % 50 else f"{name} ({number})"


def _title(chance: random.Random) -> str:
    pattern = chance.choice(_TITLES)
    return pattern.format(*(_word(chance) for _ in range(pattern.count("{}"))))


def _word(chance: random.Random) -> str:
    # Few words are frequent and many are rare.
    return _name(chance) if chance.random() < 0.15 else _pick(chance, _WORDS).title()  # noqa: PLR2004


def _pick(chance: random.Random, words: Sequence[str]) -> str:
    return words[int(len(words) * chance.random() ** 2)]


def _name(chance: random.Random) -> str:
    return "".join(chance.choices(_SYLLABLES, k=chance.randrange(2, 5))).title()


def main() -> None:
    """Write a catalogue to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    for entry in catalogue(asked.count, seed=asked.seed):
        sys.stdout.write(entry.line() + "\n")


if __name__ == "__main__":
    main()
