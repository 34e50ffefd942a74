"""What people read about documents, versions, shares and boxes (`texts.py`)."""

from collections.abc import Mapping

from services.notifications.domain.text import Text

DOCUMENTS: Mapping[str, Mapping[str, Text]] = {
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
    "DocumentUnpacked": {
        "fr": Text(
            "Les fichiers de votre archive ont été déposés",
            "Fichiers de votre archive déposés dans votre coffre-fort : {documents} ; fichiers"
            " qui n’ont pas pu l’être : {problems}. Le détail est indiqué dans votre espace.\n"
            "Référence : {document_id}\n",
        ),
        "en": Text(
            "The files of your archive were deposited",
            "Files of your archive that were deposited in your vault: {documents}; files that could"
            " not be: {problems}. Your space shows the details.\nReference: {document_id}\n",
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
}
