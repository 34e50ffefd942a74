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
    "DocumentRefused": {
        "fr": Text(
            "Votre document a été refusé",
            "Votre document n’a pas été placé dans votre coffre-fort : {reason}.\n"
            "Personne n’a pu le lire, et son contenu a été effacé.\nRéférence : {document_id}\n",
        ),
        "en": Text(
            "Your document was refused",
            "Your document was not placed in your vault: {reason}.\n"
            "Nobody could read it, and its content was erased.\nReference: {document_id}\n",
        ),
    },
    "VersionDeposited": {
        "fr": Text(
            "La nouvelle version de votre document est dans votre coffre",
            "La version {version} de votre document a été vérifiée et placée dans votre"
            " coffre-fort ; les versions précédentes y restent.\nRéférence : {document_id}\n",
        ),
        "en": Text(
            "The new version of your document is in your vault",
            "Version {version} of your document was checked and placed in your vault; the earlier"
            " versions stay there.\nReference: {document_id}\n",
        ),
    },
    "VersionRefused": {
        "fr": Text(
            "La nouvelle version de votre document a été refusée",
            "La version {version} de votre document n’a pas été placée dans votre coffre-fort :"
            " {reason}.\nVotre document reste tel qu’il était.\nRéférence : {document_id}\n",
        ),
        "en": Text(
            "The new version of your document was refused",
            "Version {version} of your document was not placed in your vault: {reason}.\n"
            "Your document stays as it was.\nReference: {document_id}\n",
        ),
    },
    "DocumentDamaged": {
        "fr": Text(
            "Un document de votre coffre est abîmé",
            "En relisant votre coffre-fort, nous avons constaté que la version {version} d’un de"
            " vos documents n’est plus telle que vous l’aviez déposée. Si vous en avez une copie,"
            " déposez-la de nouveau ; nos équipes en sont averties.\nRéférence : {document_id}\n",
        ),
        "en": Text(
            "A document in your vault is damaged",
            "While reading your vault again we found that version {version} of one of your"
            " documents is no longer what you deposited. If you have a copy, deposit it again; our"
            " teams have been told.\nReference: {document_id}\n",
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
    "RetentionEnded": {
        "fr": Text(
            "La durée de conservation de votre document est terminée",
            "Rien n’oblige plus à conserver ce document : {disposition}.\n"
            "Il reste dans votre coffre-fort jusque-là.\nRéférence : {document_id}\n",
        ),
        "en": Text(
            "The retention of your document has ended",
            "Nothing asks any longer that this document be kept: {disposition}.\n"
            "It stays in your vault until then.\nReference: {document_id}\n",
        ),
    },
    "DocumentDestroyed": {
        "fr": Text(
            "Votre document a été détruit",
            "La durée de conservation de ce document est terminée : il a été détruit. Le"
            " certificat de sa destruction est à votre disposition.\nRéférence : {document_id}\n",
        ),
        "en": Text(
            "Your document was destroyed",
            "The retention of this document has ended: it was destroyed. You can get the"
            " certificate of its destruction.\nReference: {document_id}\n",
        ),
    },
    "DocumentSharedWithMe": {
        "fr": Text(
            "Un document est partagé avec vous",
            "Une personne a partagé un document avec vous : vous pouvez le consulter"
            " jusqu’au {until}.\nRéférence : {document_id}\n",
        ),
        "en": Text(
            "A document is shared with you",
            "A person shared a document with you: you may read it until {until}.\n"
            "Reference: {document_id}\n",
        ),
    },
    "DocumentSharedWithPerson": {
        "fr": Text(
            "Votre document est partagé avec une personne",
            "La personne que vous avez désignée peut consulter votre document jusqu’au {until}."
            " Si ce partage n’est pas de vous, révoquez-le sans attendre.\n"
            "Référence : {document_id}\n",
        ),
        "en": Text(
            "Your document is shared with a person",
            "The person whom you named may read your document until {until}. If it was not you who"
            " shared it, revoke it at once.\nReference: {document_id}\n",
        ),
    },
    "BoxOpened": {
        "fr": Text(
            "Des pièces vous sont demandées",
            "L’administration « {administration} » vous demande de déposer des pièces avant le"
            " {until}.\nRéférence : {box_id}\n",
        ),
        "en": Text(
            "You are asked for documents",
            "The administration “{administration}” asks you to hand in documents before {until}.\n"
            "Reference: {box_id}\n",
        ),
    },
    "DepositorReminded": {
        "fr": Text(
            "Il manque des pièces à votre dossier",
            "Il manque {missing} pièce(s) parmi celles que l’administration « {administration} »"
            " vous a demandées. Vous pouvez les déposer avant le {until}.\n"
            "Référence : {box_id}\n",
        ),
        "en": Text(
            "Documents are missing",
            "{missing} of the documents that the administration “{administration}” asked you for"
            " are missing. You can hand them in before {until}.\nReference: {box_id}\n",
        ),
    },
    "HandInRefused": {
        "fr": Text(
            "Une pièce que vous avez déposée est refusée",
            "L’administration « {administration} » n’a pas accepté une pièce que vous avez déposée,"
            " et ne peut plus la consulter. Le motif est indiqué dans votre espace.\n"
            "Document : {document_id}\nRéférence : {box_id}\n",
        ),
        "en": Text(
            "A document that you handed in is refused",
            "The administration “{administration}” did not accept a document that you handed in,"
            " and cannot read it any more. The reason is shown in your space.\n"
            "Document: {document_id}\nReference: {box_id}\n",
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
