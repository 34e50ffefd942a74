"""What the checks say of a document: why it is refused, or what is remarked about it."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a document is refused; the words of `RefusalReason` in the contract."""

    # The antivirus found something.
    MALWARE = "MALWARE"
    # The content is not what its media type, or its name, says.
    TYPE_MISMATCH = "TYPE_MISMATCH"
    # A program.
    EXECUTABLE = "EXECUTABLE"
    # Two formats in one file: what is checked is not what another program would open.
    POLYGLOT = "POLYGLOT"
    # An image with a script in it.
    ACTIVE_CONTENT = "ACTIVE_CONTENT"
    # An office document with macros, where the policy refuses them.
    MACROS = "MACROS"
    # An archive that would unpack to too much: bytes, entries or layers.
    ARCHIVE_BOMB = "ARCHIVE_BOMB"
    # An archive with names that lead out of the folder it is unpacked in.
    ARCHIVE_NAMES = "ARCHIVE_NAMES"
    # An archive that cannot be read to its end.
    ARCHIVE_DAMAGED = "ARCHIVE_DAMAGED"
    # Beyond what the antivirus can scan, where the policy refuses that.
    NOT_SCANNED = "NOT_SCANNED"
    # The object store does not give back what was deposited.
    CORRUPTED = "CORRUPTED"
    # The checks failed on it again and again.
    UNCHECKABLE = "UNCHECKABLE"


class Remark(StrEnum):
    """What whoever opens a document should know; the words of `Remark` in the contract."""

    MACROS = "MACROS"
    # Nobody but who has the password knows what is in it: neither the antivirus nor the checks.
    ENCRYPTED = "ENCRYPTED"
    # A PDF or a page with a script, or that starts a program.
    ACTIVE_CONTENT = "ACTIVE_CONTENT"
    # An archive of a kind, or a size, that only the antivirus looked into.
    NOT_OPENED = "NOT_OPENED"
    # Beyond what the antivirus can scan.
    NOT_SCANNED = "NOT_SCANNED"


class Refused(Exception):
    """A check refuses the document.

    `detail` is for the operator's log: it holds nothing that a person typed.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail
