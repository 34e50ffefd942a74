"""Keys that protect keys: bound to their context, and every change is found."""

import pytest

from backbone.wrapping import WrappingError, new_key, unwrap, wrap

KEY, SECRET, CONTEXT = new_key(), b"a key of a document", b"owner, document"


def test_what_was_wrapped_is_unwrapped_and_never_looks_the_same_twice() -> None:
    wrapped = wrap(KEY, SECRET, CONTEXT)
    assert unwrap(KEY, wrapped, CONTEXT) == SECRET
    assert wrap(KEY, SECRET, CONTEXT) != wrapped
    assert SECRET not in wrapped


def test_another_key_or_another_context_unwraps_nothing() -> None:
    wrapped = wrap(KEY, SECRET, CONTEXT)
    for key, context in ((new_key(), CONTEXT), (KEY, b"owner, documenu"), (KEY, b"")):
        with pytest.raises(WrappingError):
            unwrap(key, wrapped, context)


def test_a_flipped_bit_or_a_cut_is_found_wherever_it_is() -> None:
    wrapped = wrap(KEY, SECRET, CONTEXT)
    for position in range(len(wrapped)):
        flipped = bytearray(wrapped)
        flipped[position] ^= 4
        with pytest.raises(WrappingError):
            unwrap(KEY, bytes(flipped), CONTEXT)
        with pytest.raises(WrappingError):
            unwrap(KEY, wrapped[:position], CONTEXT)
