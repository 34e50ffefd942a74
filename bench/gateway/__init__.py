"""JSON over HTTP to gRPC: the project's gateway beside a FastAPI route written by hand."""
