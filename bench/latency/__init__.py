"""Events on the real PostgreSQL and Kafka: from the commit to the handler, and how many."""
