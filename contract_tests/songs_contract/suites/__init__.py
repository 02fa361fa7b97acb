"""The suites. Each module names the port that it holds to its clauses; none names an adapter."""
