"""The HTTP application: `songs_api.http.app.create_app` builds it from given parts, without reading any setting."""
