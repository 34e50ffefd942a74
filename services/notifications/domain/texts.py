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
    # The person may have no account yet, so no language and no name are known.
    "MemberInvited": {
        "fr": Text(
            "Vous êtes invité(e) à rejoindre {organisation_name}",
            "Bonjour,\n\n"
            "« {organisation_name} » vous invite à agir en son nom sur les services en ligne.\n"
            "Connectez-vous avec cette adresse ({url}), ou créez d’abord votre compte, puis"
            " acceptez l’invitation avant le {until}.\n"
            "Référence : {invitation_id}\n\n"
            "Si vous n’attendiez pas ce message, ignorez-le.\n",
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
    text = by_locale.get(locale, by_locale["fr"])
    # format_map on our own templates; parameters are only ever values.
    return Text(text.subject.format_map(parameters), text.body.format_map(parameters))


def letter(kind: str, parameters: Mapping[str, str], locale: str, name: str) -> Text:
    """The same as an e-mail to a person."""
    text = render(kind, parameters, locale)
    greeting = _GREETING.get(locale, _GREETING["fr"])
    return Text(text.subject, greeting.format(name=name, body=text.body))
