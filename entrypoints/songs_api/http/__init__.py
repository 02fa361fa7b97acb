"""The HTTP application: `songs_api.http.app.create_app` makes it of ready parts, without reading any setting."""
