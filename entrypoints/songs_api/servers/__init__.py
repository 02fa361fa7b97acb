"""The HTTP servers, configured so that both behave alike."""
