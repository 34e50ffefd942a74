"""``backbone doctor storage``: what a given S3 server really does, tried on it."""
