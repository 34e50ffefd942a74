"""The Merkle tree: the known answers of RFC 6962's tests, and that proofs hold for nothing else."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbone.receipts import merkle

# The leaves and the hashes of certificate-transparency's merkle_tree_test.cc (RFC 6962, whose tree
# RFC 9162 keeps).
LEAVES = [
    bytes.fromhex(each)
    for each in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                 "606162636465666768696a6b6c6d6e6f")
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
    (1, 1): [],
}


class Tree:
    """A log in memory: its leaf hashes, and every node."""

    def __init__(self, count: int, *batches: int) -> None:
        self.leaves = [merkle.leaf_hash(number.to_bytes(4)) for number in range(count)]
        self.nodes: dict[merkle.Position, bytes] = {}
        self.peaks: list[bytes] = []
        for start, end in zip((0, *batches), (*batches, count), strict=True):
            new, self.peaks = merkle.append(start, self.peaks, self.leaves[start:end])
            assert not self.nodes.keys() & new.keys()
            self.nodes |= new

    def hash(self, start: int, end: int) -> bytes:
        return merkle.joined([self.nodes[each] for each in merkle.subtrees(start, end)])

    def inclusion(self, index: int, size: int) -> list[bytes]:
        return [self.hash(*each) for each in merkle.inclusion_ranges(index, size)]

    def consistency(self, first: int, second: int) -> list[bytes]:
        return [self.hash(*each) for each in merkle.consistency_ranges(first, second)]


def mth(leaves: list[bytes]) -> bytes:
    """The tree's hash, word for word as RFC 9162, 2.1.1 defines it."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


@pytest.fixture(scope="module")
def known() -> Tree:
    tree = Tree(0)
    tree.leaves = [merkle.leaf_hash(each) for each in LEAVES]
    tree.nodes, tree.peaks = merkle.append(0, [], tree.leaves)
    return tree


def test_the_roots_are_the_known_ones(known: Tree) -> None:
    assert merkle.joined([]) == merkle.EMPTY_ROOT == sha256(b"").digest()
    assert [known.hash(0, size).hex() for size in range(1, 9)] == ROOTS


def test_the_proofs_are_the_known_ones(known: Tree) -> None:
    for (index, size), proof in INCLUSION.items():
        assert [each.hex() for each in known.inclusion(index, size)] == proof
    for (first, second), proof in CONSISTENCY.items():
        assert [each.hex() for each in known.consistency(first, second)] == proof


def test_every_proof_of_every_small_tree_holds_and_is_short() -> None:
    tree = Tree(40)
    for size in range(1, 41):
        root = tree.hash(0, size)
        assert root == mth(tree.leaves[:size])
        for index in range(size):
            proof = tree.inclusion(index, size)
            assert len(proof) <= (size - 1).bit_length()
            assert merkle.includes(tree.leaves[index], index, size, proof, root)
        for first in range(1, size + 1):
            proof = tree.consistency(first, size)
            assert len(proof) <= size.bit_length() + 1
            assert merkle.consistent(first, tree.hash(0, first), size, root, proof)


sizes = st.integers(1, 400)


@given(sizes, st.data())
def test_a_tree_is_the_same_however_it_was_appended(count: int, data: st.DataObject) -> None:
    batches = sorted(data.draw(st.lists(st.integers(0, count), max_size=8)))
    assert Tree(count, *batches).peaks == Tree(count).peaks
    assert Tree(count, *batches).nodes == Tree(count).nodes


@given(sizes, st.data())
def test_an_inclusion_proof_holds_for_its_leaf_its_place_and_its_tree_alone(
    size: int, data: st.DataObject
) -> None:
    tree = Tree(size)
    index = data.draw(st.integers(0, size - 1))
    leaf, root, proof = tree.leaves[index], tree.hash(0, size), tree.inclusion(index, size)
    assert merkle.includes(leaf, index, size, proof, root)
    other = data.draw(st.integers(-1, size + 1))
    if other != index:
        assert not merkle.includes(leaf, other, size, proof, root)
    assert not merkle.includes(flipped(leaf, data), index, size, proof, root)
    assert not merkle.includes(leaf, index, size, proof, flipped(root, data))
    for wrong in tampered(proof, data):
        assert not merkle.includes(leaf, index, size, wrong, root)


@given(sizes, st.data())
def test_a_consistency_proof_holds_for_its_two_trees_alone(size: int, data: st.DataObject) -> None:
    tree = Tree(size)
    first = data.draw(st.integers(1, size))
    old, new, proof = tree.hash(0, first), tree.hash(0, size), tree.consistency(first, size)
    assert merkle.consistent(first, old, size, new, proof)
    assert not merkle.consistent(first, flipped(old, data), size, new, proof)
    assert not merkle.consistent(first, old, size, flipped(new, data), proof)
    for wrong in tampered(proof, data):
        assert not merkle.consistent(first, old, size, new, wrong)
    assert not merkle.consistent(0, merkle.EMPTY_ROOT, size, new, [])
    assert not merkle.consistent(size + 1, old, size, new, proof)


@given(st.integers(2, 400), st.data())
def test_a_log_that_was_rewritten_has_no_proof(size: int, data: st.DataObject) -> None:
    """The honest proof of a rewritten log does not connect it with what it was before."""
    tree = Tree(size)
    first = data.draw(st.integers(1, size - 1))
    altered = data.draw(st.integers(0, first - 1))
    rewritten = Tree(0)
    rewritten.leaves = list(tree.leaves)
    rewritten.leaves[altered] = merkle.leaf_hash(b"another")
    rewritten.nodes, _ = merkle.append(0, [], rewritten.leaves)
    proof = rewritten.consistency(first, size)
    assert not merkle.consistent(first, tree.hash(0, first), size, rewritten.hash(0, size), proof)


def flipped(value: bytes, data: st.DataObject) -> bytes:
    bit = data.draw(st.integers(0, len(value) * 8 - 1))
    return (int.from_bytes(value) ^ 1 << bit).to_bytes(len(value))


def tampered(proof: list[bytes], data: st.DataObject) -> list[list[bytes]]:
    """A proof with a hash too many, one too few, one altered, two exchanged."""
    wrong = [[*proof, bytes(32)], [bytes(32), *proof]]
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        wrong.append(proof[:place] + proof[place + 1 :])
        wrong.append([*proof[:place], flipped(proof[place], data), *proof[place + 1 :]])
        wrong.append([*proof, proof[-1]])
    if len(proof) > 1:
        wrong.append([proof[1], proof[0], *proof[2:]])
    return wrong
