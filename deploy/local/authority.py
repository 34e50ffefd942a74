"""The time-stamping authority of the local stack: `openssl ts` behind HTTP (RFC 3161, section 3.4).

Its certificates are made once, with the data of the stack: they prove nothing to anybody else. A
reply holds the signer's alone: several, `openssl ts` writes in an order that is not DER's.
"""

import subprocess
import tempfile
import threading

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from deploy.local.errors import StackError
from deploy.local.paths import DATA
from deploy.local.serving import serve

FOLDER = DATA / "authority"
ROOT_CERTIFICATE = FOLDER / "root.pem"
MAX_BODY = 64 * 1024

CONFIGURATION = """
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[stamper]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[tsa]
default_tsa = local
[local]
dir = .
serial = $dir/serial
crypto_device = builtin
signer_cert = $dir/stamper.pem
signer_key = $dir/stamper.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256,sha384,sha512
accuracy = secs:1
ordering = no
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def prepare() -> None:
    """Make the certificates, unless they are there."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "openssl.cnf").write_text(CONFIGURATION)
    if ROOT_CERTIFICATE.exists():
        return
    (FOLDER / "serial").write_text("01\n")
    name = "/O=Administration (développement)/CN="
    common = ("req", "-config", "openssl.cnf", "-utf8", "-x509", "-days", "3650", *_NEW_KEY)
    root = ("-keyout", "root.key", "-extensions", "root", "-subj", f"{name}Racine d’horodatage")
    _openssl(*common, *root, "-out", "root.new")
    stamper = ("-keyout", "stamper.key", "-extensions", "stamper", "-subj", f"{name}Horodatage")
    issuer = ("-CA", "root.new", "-CAkey", "root.key")
    _openssl(*common, *stamper, *issuer, "-out", "stamper.pem")
    # Last, and whole: it says that all of them are there.
    (FOLDER / "root.new").rename(ROOT_CERTIFICATE)


def application() -> Starlette:
    """`POST /` (a query, answered with a reply), `GET /healthz`."""
    # `openssl ts` numbers its replies in a file.
    one_at_a_time = threading.Lock()

    def reply(query: bytes) -> bytes:
        with one_at_a_time, tempfile.NamedTemporaryFile(dir=FOLDER) as file:
            file.write(query)
            file.flush()
            arguments = ("-config", "openssl.cnf", "-section", "local", "-queryfile", file.name)
            return _openssl("ts", "-reply", *arguments)

    async def stamp(request: Request) -> Response:
        query = await request.body()
        if len(query) > MAX_BODY:
            return PlainTextResponse(f"more than {MAX_BODY} bytes", status_code=413)
        try:
            answer = await run_in_threadpool(reply, query)
        except StackError as error:
            return PlainTextResponse(str(error), status_code=400)
        return Response(answer, media_type="application/timestamp-reply")

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok")

    return Starlette(routes=[Route("/", stamp, methods=["POST"]), Route("/healthz", health)])


def _openssl(*arguments: str) -> bytes:
    done = subprocess.run(
        ("openssl", *arguments), cwd=FOLDER, check=False, capture_output=True, timeout=30
    )
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()
        raise StackError(f"openssl {arguments[0]} failed: {words}", "see its words")
    return done.stdout


if __name__ == "__main__":
    serve(application(), __doc__)
