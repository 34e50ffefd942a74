"""What checking a token costs, and a call through the gateway beside the same call by gRPC."""
