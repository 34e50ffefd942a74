"""From here on this process computes, and nothing else (seccomp, Linux).

A filter of system calls (kernel documentation, userspace-api/seccomp_filter) lets memory, time, and
reading and writing what is open through. All else fails with EPERM: opening a file (so neither
another process's secrets nor anything stored), a socket, a process. It cannot be taken off.
"""

import codecs
import ctypes
import errno
import platform
import signal
import struct

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2
_KILL, _ALLOW, _EPERM = 0x8000_0000, 0x7FFF_0000, 0x0005_0000 | errno.EPERM
# Classic BPF: load a word of seccomp_data, jump if equal, return.
_LOAD, _JUMP, _RETURN = 0x20, 0x15, 0x06
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4

# The architecture's AUDIT_ARCH, and the numbers of its system calls (asm/unistd.h).
_ALLOWED = {
    "x86_64": (
        0xC000_003E,
        {
            "read": 0, "write": 1, "close": 3, "fstat": 5, "lseek": 8, "mmap": 9, "mprotect": 10,
            "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15,
            "pread64": 17, "writev": 20, "sched_yield": 24, "mremap": 25, "madvise": 28,
            "getpid": 39, "exit": 60, "gettimeofday": 96, "sigaltstack": 131, "gettid": 186,
            "futex": 202, "clock_gettime": 228, "exit_group": 231, "getrandom": 318,
        },
    ),
    "aarch64": (
        0xC000_00B7,
        {
            "read": 63, "write": 64, "close": 57, "fstat": 80, "lseek": 62, "mmap": 222,
            "mprotect": 226, "munmap": 215, "brk": 214, "rt_sigaction": 134, "rt_sigprocmask": 135,
            "rt_sigreturn": 139, "pread64": 67, "writev": 66, "sched_yield": 124, "mremap": 216,
            "madvise": 233, "getpid": 172, "exit": 93, "gettimeofday": 169, "sigaltstack": 132,
            "gettid": 178, "futex": 98, "clock_gettime": 113, "exit_group": 94, "getrandom": 278,
        },
    ),
}  # fmt: skip

# Python opens a module for each encoding when it is first used, which it could not do later: those
# of texts, of names in archives, of PDFium's strings.
_ENCODINGS = ("ascii", "latin-1", "cp1252", "cp437", "utf-8-sig", "utf-16", "utf-16-le")


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def enter() -> None:
    """Raises:
    OSError: the kernel refuses. KeyError: the architecture is not known. Nothing may be read then.
    """
    for name in _ENCODINGS:
        codecs.lookup(name)
    architecture, calls = _ALLOWED[platform.machine()]
    program = [
        _step(_LOAD, _ARCHITECTURE_AT),
        _step(_JUMP, architecture, if_equal=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER_AT),
        # Over what is left of the list, and over the refusal.
        *(_step(_JUMP, n, if_equal=len(calls) - i) for i, n in enumerate(calls.values())),
        _step(_RETURN, _EPERM),
        _step(_RETURN, _ALLOW),
    ]
    raw = b"".join(program)
    held = ctypes.create_string_buffer(raw, len(raw))
    filter_ = _Program(len(program), ctypes.cast(held, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        # Whoever reads the answer is gone: nobody needs it.
        (_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0),
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(filter_), 0, 0),
    ):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def _step(code: int, value: int, *, if_equal: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_equal, 0, value)
