"""Finding a document among many, through the gateway."""
