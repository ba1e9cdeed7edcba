"""The client of the API, for the CLI and for tests."""
