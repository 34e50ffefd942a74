"""Partner administrations: their client of the realm, their access to Kafka, what they start from.

Operators drive it with ``backbone partner``; nothing that serves imports it.
"""
