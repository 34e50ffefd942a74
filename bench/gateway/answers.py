"""What the service behind both edges answers: the same to every call, so no work of its own."""

from administration.documents.v1 import deposits_pb2
from administration.documents.v1 import documents_pb2 as pb

SERVICE = "administration.documents.v1.DocumentsService"
DOCUMENT = pb.Document(
    document_id="0b8f3c52-6f0e-4a55-9d6c-2a3f5b1c7e90",
    owner_id="f4f1a1de-22d4-4b7f-8f9a-54b1f1f0a6f7",
    name="Avis d'imposition 2025.pdf",
    media_type="application/pdf",
    size_bytes=183_204,
    sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    state=deposits_pb2.DOCUMENT_STATE_AVAILABLE,
    version=1,
    folder="Impôts/2026",
    labels=["fiscal"],
)
DOCUMENT.create_time.FromJsonString("2026-11-24T09:30:00.123456Z")
DOCUMENT.version_time.CopyFrom(DOCUMENT.create_time)
SHARE = pb.Share(
    share_id="7b1c0a5e-5a4d-4d3e-9c55-0e1f8a2b3c4d",
    document_id=DOCUMENT.document_id,
    administration="caf-martinique",
    purpose="Demande d'aide au logement",
    create_time=DOCUMENT.create_time,
)
SHARE.expire_time.FromJsonString("2027-01-01T00:00:00Z")
ANSWERS = {
    f"/{SERVICE}/GetDocument": pb.GetDocumentResponse(document=DOCUMENT),
    f"/{SERVICE}/ShareDocument": pb.ShareDocumentResponse(share=SHARE),
}


def arguments() -> list[str]:
    """The answers as the program `backend` takes them."""
    return [f"{path}={answer.SerializeToString().hex()}" for path, answer in ANSWERS.items()]
