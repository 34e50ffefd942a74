"""The realm as code: what `deploy/keycloak` says, compared with the live realm and brought back.

Operators drive it with ``backbone realm``; nothing that serves imports it.
"""
