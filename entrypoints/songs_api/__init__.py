"""The service: settings, wiring, the HTTP application, its servers and the command line."""
