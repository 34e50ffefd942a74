"""Words that can be found without being written down; folders, labels and metadata."""

import hashlib
import hmac
import unicodedata

import pytest

from backbone.errors import InvalidInput
from services.documents.domain import words
from services.documents.domain.order import clean_folder, clean_labels, clean_metadata, renamed
from services.documents.domain.words import Blinder, Vector, fold, moved, terms


@pytest.fixture
def blinder() -> Blinder:
    return Blinder(b"k" * words.KEY_BYTES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("L’impôt d'Été", "l impôt d été"),
        ("Avis_imposition-2026.PDF", "avis imposition 2026 pdf"),
        ("a@b.example https://c.example/d", "a b example https c example d"),
        (unicodedata.normalize("NFD", "été"), "été"),
        ("a\0b\u2028c", "a b c"),
    ],
)
def test_a_text_becomes_words_and_spaces(text: str, expected: str) -> None:
    assert words.words(text).split() == expected.split()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("l'impôt -revenu", "l impôt -revenu"),
        ('"Avis d’imposition" or CAF', '"avis d imposition" or caf'),
        ("sous-préfecture", "sous préfecture"),
        ('-"deux mots" acte.pdf', '-"deux mots" acte pdf'),
        ("a - b & !c <-> 'd':*", "a b c d"),
    ],
)
def test_a_query_keeps_its_quotes_and_its_minus(query: str, expected: str) -> None:
    assert terms(query).split() == expected.split()


@pytest.mark.parametrize(
    ("lexeme", "folded"), [("impôt", "impot"), ("œuvr", "oeuvr"), ("ça", "ca"), ("2026", "2026")]
)
def test_accents_and_ligatures_make_no_difference(
    lexeme: str, folded: str, blinder: Blinder
) -> None:
    assert fold(lexeme) == folded
    assert blinder.blind(lexeme) == blinder.blind(folded)


def test_a_word_is_blinded_by_its_owners_key_alone(blinder: Blinder) -> None:
    blinded = blinder.blind("impôt")
    assert blinded == blinder.blind("impôt") != blinder.blind("impots")
    assert blinded != Blinder(b"l" * words.KEY_BYTES).blind("impôt")
    assert len(blinded) == 16
    assert blinded.isalnum()
    digest = hmac.digest(b"k" * words.KEY_BYTES, b"impot", hashlib.sha256)
    assert Blinder(b"k" * words.KEY_BYTES).blind("impot")[0] in "abcdefghijklmnopqrstuvwxyz234567"
    assert int(digest[0] >> 3) == "abcdefghijklmnopqrstuvwxyz234567".index(blinded[0])


def test_a_query_keeps_its_structure_and_none_of_its_words(blinder: Blinder) -> None:
    blinded = blinder.query("'impôt' & !( 'avis' <-> 'caf' ) | 'l''an'")
    assert blinded == (
        f"'{blinder.blind('impôt')}' & !( '{blinder.blind('avis')}' <-> '{blinder.blind('caf')}' )"
        f" | '{blinder.blind(chr(108) + chr(39) + 'an')}'"
    )


def test_a_vector_is_a_tsvector_and_bounded() -> None:
    vector = Vector()
    vector.add("abc", [1, 2], "A")
    vector.add("abc", [2, 9, 99_999], "D")
    vector.add("def", [3], "B")
    assert str(vector) == f"'abc':1A,2A,9D,{words.LAST_POSITION}D 'def':3B"
    for number in range(words.MAX_LEXEMES + 10):
        vector.add(f"w{number}", [1], "D")
    assert str(vector).count("'") == 2 * words.MAX_LEXEMES
    assert moved([1, 5, 900], 200, 300) == [200, 204, 300]


@pytest.mark.parametrize(
    ("given", "cleaned"),
    [
        ("Impôts/2026", "Impôts/2026"),
        (" /Impôts// 2026 /", "Impôts/2026"),
        (unicodedata.normalize("NFD", "Été"), "Été"),
        ("a\u202eb", "ab"),
        ("", ""),
        ("/", ""),
    ],
)
def test_a_folder_is_cleaned(given: str, cleaned: str) -> None:
    assert clean_folder(given) == cleaned


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("a/../b", "NAME"),
        ("\u200b", "NAME"),
        ("/".join("abcdefghi"), "DEPTH"),
        ("a" * 65, "MAX_LENGTH"),
    ],
)
def test_a_folder_that_can_be_none_is_refused(given: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        clean_folder(given)
    assert [(item.field, item.reason) for item in refused.value.fields] == [("folder", reason)]


def test_labels_and_metadata_are_cleaned_and_each_is_there_once() -> None:
    assert clean_labels([" à  payer", "à payer", "CAF"]) == ["à payer", "CAF"]
    assert clean_metadata([("année", " 2026 "), ("vide", "")]) == {"année": "2026", "vide": ""}
    for call in (
        lambda: clean_labels(["\u200b"]),
        lambda: clean_metadata([("a", "1"), ("a ", "2")]),
        lambda: clean_metadata([("\u200b", "1")]),
    ):
        with pytest.raises(InvalidInput):
            call()


def test_a_new_name_keeps_the_extension() -> None:
    assert renamed("acte.pdf", "Acte de naissance.PDF") == "Acte de naissance.PDF"
    for new in ("acte.exe", "acte", ".pdf"):
        with pytest.raises(InvalidInput):
            renamed("acte.pdf", new)
