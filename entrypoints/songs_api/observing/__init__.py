"""What the service tells of itself while it runs: lines of a log, an audit trail among them, and metrics."""
