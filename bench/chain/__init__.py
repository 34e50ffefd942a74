"""A unary call through the whole chain, beside a bare grpcio server with the same handler."""
