"""What people read. French first; English; a language without its own text reads French.

A text is told from a kind (the fact's name) and its parameters, which hold no personal data:
entries are stored as facts and worded when they are read.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    subject: str
    body: str


FRENCH = "fr"

_TEXTS: dict[str, dict[str, Text]] = {
    "DocumentDeposited": {
        "fr": Text(
            "Votre document est dans votre coffre",
            "Votre document a été vérifié et placé dans votre coffre-fort.\n"
            "Référence : {document_id}\n",
        ),
        "en": Text(
            "Your document is in your vault",
            "Your document was checked and placed in your vault.\nReference: {document_id}\n",
        ),
    },
    "DocumentShared": {
        "fr": Text(
            "Votre document est partagé",
            "L’administration « {administration} » peut consulter votre document"
            " jusqu’au {until}.\nRéférence : {document_id}\n",
        ),
        "en": Text(
            "Your document is shared",
            "The administration “{administration}” may read your document until {until}.\n"
            "Reference: {document_id}\n",
        ),
    },
    "ExportReady": {
        "fr": Text(
            "Vos données personnelles sont prêtes",
            "Ce que les services de l’administration conservent à votre sujet est réuni dans votre"
            " coffre-fort, en une archive que vous pouvez télécharger jusqu’au {until}.\n"
            "Référence : {document_id}\n",
        ),
        "en": Text(
            "Your personal data is ready",
            "What the administration’s services hold about you is gathered in your vault, as an"
            " archive that you can download until {until}.\nReference: {document_id}\n",
        ),
    },
}

_GREETING = {"fr": "Bonjour {name},\n\n{body}", "en": "Hello {name},\n\n{body}"}


def kinds() -> frozenset[str]:
    """Every kind that has a text."""
    return frozenset(_TEXTS)


def render(kind: str, parameters: Mapping[str, str], locale: str) -> Text:
    """The text of a fact in a language.

    Raises:
        KeyError: the kind is unknown, or a parameter of its text is missing.
    """
    by_locale = _TEXTS[kind]
    text = by_locale.get(locale, by_locale[FRENCH])
    # format_map on our own templates; parameters are only ever values.
    return Text(text.subject.format_map(parameters), text.body.format_map(parameters))


def letter(kind: str, parameters: Mapping[str, str], locale: str, name: str) -> Text:
    """The same as an e-mail to a person."""
    text = render(kind, parameters, locale)
    greeting = _GREETING.get(locale, _GREETING[FRENCH])
    return Text(text.subject, greeting.format(name=name, body=text.body))
