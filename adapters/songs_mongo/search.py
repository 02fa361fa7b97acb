"""What a filter asks of the documents."""

from typing import Final

from songs.limits import MAX_LEVEL
from songs.query import SongFilter
from songs_mongo import encoding
from songs_mongo.rarity import Rarity
from songs_mongo.schema import Document

MOST_GRAMS: Final = 12
"""More would narrow the candidates no further, and each of them costs."""


def conditions(song_filter: SongFilter, rarity: Rarity) -> list[Document] | None:
    """Return the conditions that songs which meet the filter meet together; None where no song can.

    A text of up to three characters is a gram itself, and found in the index alone. Of a longer text the index finds
    candidates, in which the text is then looked for: it decides where the grams occur, in other places or another
    order. The rarest gram stands first, as the server looks up the first one of ``$all``.
    """
    found: list[Document] = []
    if song_filter.level is not None:
        if not 0 <= song_filter.level <= MAX_LEVEL:
            return None
        found.append({"level": song_filter.level})
    if song_filter.artist is not None:
        if not encoding.storable(song_filter.artist):
            return None
        found.append({"artist_key": encoding.digest(song_filter.artist)})
    if song_filter.text is not None:
        if not encoding.storable(song_filter.text):
            return None
        found += _contains(song_filter.text, rarity)
    return found


def _contains(text: str, rarity: Rarity) -> list[Document]:
    if len(text) <= encoding.GRAM:
        return [{"grams": {"$all": [text]}}]
    grams = sorted({text[i : i + encoding.GRAM] for i in range(len(text) - encoding.GRAM + 1)})
    # A literal: a text that begins with a dollar sign would be taken for the name of a member.
    places = [{"$indexOfCP": [member, {"$literal": text}]} for member in ("$artist_fold", "$title_fold")]
    return [
        {"grams": {"$all": rarity.rarest_first(grams)[:MOST_GRAMS]}},
        {"$expr": {"$or": [{"$gte": [place, 0]} for place in places]}},
    ]
