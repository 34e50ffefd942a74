"""Deposits and contents through the gateway, beside a bare client of the same object store."""
