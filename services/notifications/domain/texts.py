"""What people read. French first; English; a language without its own text reads French.

A text is told from a kind (the fact's name) and its parameters, which hold no personal data:
entries are stored as facts and worded when they are read.
"""

from collections.abc import Mapping

from services.notifications.domain.document_texts import DOCUMENTS
from services.notifications.domain.text import Text

FRENCH = "fr"

_TEXTS: Mapping[str, Mapping[str, Text]] = {
    **DOCUMENTS,
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
    "ErasureRequested": {
        "fr": Text(
            "Votre compte sera effacé",
            "Vous avez demandé l’effacement de votre compte et de vos données : il est désactivé,"
            " et sera effacé le {until}. D’ici là, le code qui vous a été remis permet d’annuler"
            " cette demande. Si elle n’est pas de vous, signalez-le sans attendre.\n"
            "Référence : {erasure_id}\n",
        ),
        "en": Text(
            "Your account will be erased",
            "You asked that your account and your data be erased: it is disabled, and will be"
            " erased on {until}. Until then, the code that you were given cancels this request. If"
            " it was not you, tell us at once.\nReference: {erasure_id}\n",
        ),
    },
    "ErasureCancelled": {
        "fr": Text(
            "Votre compte est conservé",
            "La demande d’effacement de votre compte est annulée : vous pouvez de nouveau vous"
            " identifier.\nRéférence : {erasure_id}\n",
        ),
        "en": Text(
            "Your account is kept",
            "The request to erase your account is cancelled: you can sign in again.\n"
            "Reference: {erasure_id}\n",
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

# What a parameter's word reads as, by the parameter's name; a word without its own reads OTHER.
_WORDS: dict[str, dict[str, dict[str, str]]] = {
    "reason": {
        "fr": {
            "MALWARE": "l’antivirus y a trouvé un programme malveillant",
            "TYPE_MISMATCH": "son contenu n’est pas du type annoncé, ou son nom en annonce un"
            " autre",
            "EXECUTABLE": "c’est un programme",
            "POLYGLOT": "il contient un second document caché dans le premier",
            "ACTIVE_CONTENT": "c’est une image qui contient un programme",
            "MACROS": "il contient des macros",
            "ARCHIVE_BOMB": "c’est une archive qui contient trop de données, de fichiers ou de"
            " niveaux",
            "ARCHIVE_NAMES": "c’est une archive dont des fichiers sortiraient de leur dossier",
            "ARCHIVE_DAMAGED": "c’est une archive abîmée, que l’on ne peut pas lire en entier",
            "NOT_SCANNED": "il est trop volumineux ou trop imbriqué pour l’antivirus",
            "CORRUPTED": "il a été abîmé pendant son dépôt ; déposez-le de nouveau",
            "OTHER": "il n’a pas pu être vérifié",
        },
        "en": {
            "MALWARE": "the antivirus found malware in it",
            "TYPE_MISMATCH": "its content is not of the type that was announced, or its name"
            " announces another",
            "EXECUTABLE": "it is a program",
            "POLYGLOT": "a second document is hidden in it",
            "ACTIVE_CONTENT": "it is an image with a program in it",
            "MACROS": "it has macros",
            "ARCHIVE_BOMB": "it is an archive of too much data, too many files or layers",
            "ARCHIVE_NAMES": "it is an archive whose files would leave their folder",
            "ARCHIVE_DAMAGED": "it is a damaged archive, which cannot be read to its end",
            "NOT_SCANNED": "it is too large or too nested for the antivirus",
            "CORRUPTED": "it was damaged while it was deposited; deposit it again",
            "OTHER": "it could not be checked",
        },
    },
    "disposition": {
        "fr": {
            "TRANSFER": "il est à verser aux archives",
            "OTHER": "à vous de décider s’il est encore utile",
        },
        "en": {
            "TRANSFER": "it is to go to the archives",
            "OTHER": "decide whether it is still of use",
        },
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
    worded = {name: _worded(name, value, locale) for name, value in parameters.items()}
    # format_map on our own templates; parameters are only ever values.
    return Text(text.subject.format_map(worded), text.body.format_map(worded))


def _worded(name: str, value: str, locale: str) -> str:
    if name not in _WORDS:
        return value
    words = _WORDS[name].get(locale, _WORDS[name]["fr"])
    return words.get(value, words["OTHER"])


def letter(kind: str, parameters: Mapping[str, str], locale: str, name: str) -> Text:
    """The same as an e-mail to a person."""
    text = render(kind, parameters, locale)
    greeting = _GREETING.get(locale, _GREETING[FRENCH])
    return Text(text.subject, greeting.format(name=name, body=text.body))
