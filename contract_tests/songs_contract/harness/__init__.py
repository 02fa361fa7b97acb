"""How the suites hold an adapter: private places, fixtures, time, processes and samples."""
