"""The resources: one module for each part of the API, thin over the services."""
