"""Receipts of deposits: their format, and their verification without the system.

What a service writes and what `backbone verify` reads is the same code: an append-only Merkle log
(RFC 9162), its signed checkpoints (C2SP tlog-checkpoint) and their time stamps (RFC 3161).
"""
