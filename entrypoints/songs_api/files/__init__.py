"""Files of songs: JSON Lines or one JSON array, each also compressed by gzip."""
