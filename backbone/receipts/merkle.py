"""The Merkle tree of RFC 9162, section 2.1: its hashes, what its proofs are made of, their checks.

A tree of `size` leaves is the row of complete subtrees that the bits of `size` say, largest first.
The node at (level, index) is the root of the complete subtree over the leaves
``[index << level, (index + 1) << level)``: it never changes, so a log keeps every one, and any
proof is read from about twice log2(size) of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

# Of a node: how many levels above the leaves, and its place among the nodes of that level.
Position = tuple[int, int]
# Leaves [start, end).
Range = tuple[int, int]


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def subtrees(start: int, end: int) -> Iterator[Position]:
    """The complete subtrees that make up a range of a proof, or a whole tree; largest first."""
    count = end - start
    for level in range(count.bit_length() - 1, -1, -1):
        if count >> level & 1:
            yield level, start >> level
            start += 1 << level


def joined(hashes: Sequence[bytes]) -> bytes:
    """The hash of a range, from those of its `subtrees`."""
    if not hashes:
        return EMPTY_ROOT
    *lefts, result = hashes
    for left in reversed(lefts):
        result = node_hash(left, result)
    return result


def append(
    size: int, peaks: Iterable[bytes], leaves: Iterable[bytes]
) -> tuple[dict[Position, bytes], list[bytes]]:
    """Leaf hashes after a tree of `size`: the nodes that are new, and the peaks afterwards.

    `peaks` are the hashes of ``subtrees(0, size)``; `joined`, they are the root.
    """
    nodes: dict[Position, bytes] = {}
    stack = list(peaks)
    for number, leaf in enumerate(leaves, start=size):
        level, index, result = 0, number, leaf
        nodes[level, index] = result
        while index & 1:
            level, index, result = level + 1, index >> 1, node_hash(stack.pop(), result)
            nodes[level, index] = result
        stack.append(result)
    return nodes, stack


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The ranges whose hashes are the inclusion proof of a leaf (RFC 9162, 2.1.3.1)."""
    start, end, ranges = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def consistency_ranges(first: int, second: int) -> list[Range]:
    """The ranges whose hashes are the consistency proof of two sizes (RFC 9162, 2.1.4.1)."""
    start, end, ranges = 0, second, []
    while first != end:
        middle = start + _split(end - start)
        if first <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:
        ranges.append((start, end))
    return ranges[::-1]


def _split(count: int) -> int:
    """The largest power of two smaller than `count`."""
    return 1 << (count - 1).bit_length() - 1


def includes(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a leaf is at `index` of the tree of `size` with this root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    number, last, result = index, size - 1, leaf
    for item in proof:
        if not last:
            return False
        if number & 1 or number == last:
            result = node_hash(item, result)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            result = node_hash(result, item)
        number, last = number >> 1, last >> 1
    return not last and result == root


def consistent(
    first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the tree of `first` leaves is the beginning of that of `second` (2.1.4.2)."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    # A complete tree is its own first hash, which the proof leaves out.
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        return False
    number, last = first - 1, second - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    old = new = path[0]
    for item in path[1:]:
        if not last:
            return False
        if number & 1 or number == last:
            old, new = node_hash(item, old), node_hash(item, new)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            new = node_hash(new, item)
        number, last = number >> 1, last >> 1
    return not last and old == first_root and new == second_root
