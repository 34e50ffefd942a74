"""The main job: what happens, in the order in which it happens."""

import hashlib
import json
import subprocess
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from deploy.demo import mailbox, trace
from deploy.demo.gateway import Gateway, Inbox
from deploy.demo.narrator import Narrator, StepError, abridged, expect
from deploy.demo.partner import Listener, may_read
from deploy.demo.realm import Realm, claims, unsigned
from deploy.local.clamav import EICAR
from deploy.local.services import BACKBONE

PDF = Path(__file__).with_name("attestation.pdf")
PUBLIC_TOPIC = "public.documents.v1.Document"
INTERNAL_TOPIC = "administration.documents.v1.Document"


class Story:
    def __init__(self, stack: dict[str, Any], narrator: Narrator) -> None:
        self._stack = stack
        self._narrator = narrator
        self._realm = Realm(stack)
        self._gateway = Gateway(stack["gateway"])
        self._token = ""
        self._document: dict[str, Any] = {}
        self._trace_id = ""

    def tell(self) -> None:
        """Every step; one that fails is told, and the others go on."""
        step, person = self._narrator.step, self._stack["accounts"]["citizen"]
        with step(f"{person['name']} signs in through Keycloak (authorization code + PKCE)"):
            self._sign_in()
        with step("The account, from the token: GET /v1/me"):
            self._me()
        with step("A PDF is deposited while the inbox is open: POST /v1/documents"):
            self._deposit()
        if self._narrator.failed:
            # What follows is about the document.
            return
        with step("A file with a virus is deposited: POST /v1/documents"):
            self._deposit_malware()
        with step("The e-mail, read back from the mailbox"):
            self._mail()
        with step(f"The document is shared; the partner reads it on {PUBLIC_TOPIC}"):
            self._share()
        with step("The partner fetches the document: GET …/content"):
            self._fetch()
        with step("The receipt, checked without the system: backbone verify"):
            self._verify()
        self._refusals()
        with step("The trace of the deposit: every hop"):
            self._trace()

    def _sign_in(self) -> None:
        tokens = self._realm.sign_in("citizen")
        self._token = tokens["access_token"]
        said = claims(self._token)
        self._tell("access token", abridged(self._token))
        self._tell("subject", said["sub"])
        self._tell("audience, level", f"{said['aud']}, acr={said['acr']}")
        self._tell("lives", f"{tokens['expires_in']} s")

    def _me(self) -> None:
        account = self._ok(self._gateway.get("/v1/me", self._token))["account"]
        self._tell("accountId", account["accountId"])
        self._tell("displayName", account["displayName"])
        self._tell("createTime", account["createTime"])

    def _deposit(self) -> None:
        data = PDF.read_bytes()
        with Inbox(self._stack["gateway"], self._token) as inbox:
            sent = time.perf_counter()
            answer = self._gateway.deposit(
                self._token, "Attestation de domicile.pdf", "application/pdf", data
            )
            self._document = self._ok(answer, 201)["document"]
            self._trace_id = answer.headers["traceparent"].split("-")[1]
            self._tell("201", answer.headers["Location"])
            self._tell("sha256", self._document["sha256"])
            expect(
                self._document["sha256"] == hashlib.sha256(data).hexdigest(),
                "the vault computed another SHA-256",
            )
            self._tell("state", self._document["state"])
            entry = inbox.entry("DocumentDeposited", self._document["documentId"], 10)
            self._tell("live inbox", f"« {entry['subject']} »")
            self._tell("", f"{(time.perf_counter() - sent) * 1000:.0f} ms after the deposit began")
        path = f"/v1/documents/{self._document['documentId']}"
        self._tell("checked", self._ok(self._gateway.get(path, self._token))["document"]["state"])

    def _deposit_malware(self) -> None:
        with Inbox(self._stack["gateway"], self._token) as inbox:
            answer = self._gateway.deposit(self._token, "facture.txt", "text/plain", EICAR)
            document_id = self._ok(answer, 201)["document"]["documentId"]
            entry = inbox.entry("DocumentRefused", document_id, 10)
        self._tell("live inbox", f"« {entry['subject']} »")
        self._tell("", entry["body"].splitlines()[0])
        document = self._ok(self._gateway.get(f"/v1/documents/{document_id}", self._token))
        self._tell(
            "checked", f"{document['document']['state']}, {document['document']['refusalReason']}"
        )
        answer = self._gateway.get(f"/v1/documents/{document_id}/content", self._token)
        expect(answer.status_code == 409, f"its content: status {answer.status_code}")
        self._tell("its content", f"409 {answer.json()['reason']}")

    def _mail(self) -> None:
        person = self._stack["accounts"]["citizen"]
        message = mailbox.wait(
            Path(self._stack["mailbox"]), person["email"], self._document["documentId"], 10
        )
        self._tell("To", message["To"])
        self._tell("Subject", message["Subject"])

    def _share(self) -> None:
        partner = self._stack["clients"]["partner-caf"]
        with self._listener("partner-caf", PUBLIC_TOPIC) as listener:
            self._tell("partner", f"{partner['client_id']}, with its own token on OAUTHBEARER")
            end = datetime.now(UTC) + timedelta(days=30)
            share = self._ok(
                self._gateway.post(
                    f"/v1/documents/{self._document['documentId']}/shares",
                    self._token,
                    {
                        "administration": partner["administration"],
                        "purpose": "Demande d’aide au logement",
                        "expireTime": end.isoformat(),
                    },
                )
            )["share"]
            self._tell("shareId", share["shareId"])
            for headers, data in listener.events(15):
                if data.get("shareId") == share["shareId"]:
                    self._tell("ce_type", headers["ce_type"])
                    self._tell("ce_id", headers["ce_id"])
                    self._tell("data", json.dumps(data))
                    return
        raise StepError("the event did not reach the partner within 15 s")

    def _fetch(self) -> None:
        token = self._realm.partner_token("partner-caf")
        answer = self._gateway.get(self._content, token)
        expect(answer.status_code == 200, f"status {answer.status_code}: {answer.text[:200]}")
        self._tell("bytes", f"{len(answer.content)} of {answer.headers['Content-Type']}")
        expect(answer.content == PDF.read_bytes(), "the bytes are not those deposited")
        self._tell("identical", "yes, byte for byte")

    def _verify(self) -> None:
        path = f"/v1/documents/{self._document['documentId']}/receipt"
        receipt = self._ok(self._gateway.get(path, self._token))
        # Where an administration publishes its key, here by its own word.
        key = self._ok(self._gateway.get("/v1/receipts/checkpoint", ""))["key"]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(receipt, file)
            file.flush()
            root = self._stack["authority"]["root"]
            trusted = ("--key", key, "--tsa-certificate", root)
            done = subprocess.run(
                (str(BACKBONE), "verify", file.name, str(PDF), *trusted),
                check=False,
                capture_output=True,
                text=True,
            )
        for line in done.stdout.splitlines():
            self._tell("", line[:100])
        expect(done.returncode == 0, done.stderr or "the receipt is not good")

    def _refusals(self) -> None:
        step = self._narrator.step
        with step("Refused: a stranger"):
            self._refused(self._realm.sign_in("stranger")["access_token"], 404)
        with step("Refused: an unsigned token"):
            self._refused(unsigned(self._token), 401)
        with step("Refused: an expired token"):
            self._refused(self._expired(), 401)
        with step("Refused: a partner without the grant"):
            self._refused(self._realm.partner_token("partner-octroi"), 404)
        with step("Refused: topics without the ACL"):
            self._topic_refused("partner-octroi", PUBLIC_TOPIC)
            self._topic_refused("partner-caf", INTERNAL_TOPIC)

    def _expired(self) -> str:
        token = self._realm.short_lived_token("citizen")
        # The services allow for five seconds of clock difference.
        over = claims(token)["exp"] + 5
        self._tell("waiting", f"{max(0.0, over - time.time()):.0f} s, until it has expired")
        while time.time() <= over:
            time.sleep(0.1)
        return token

    def _refused(self, token: str, status: int) -> None:
        answer = self._gateway.get(self._content, token)
        expect(answer.status_code == status, f"status {answer.status_code}, not {status}")
        problem = answer.json()
        self._tell(str(status), f"{problem['reason']}: {problem['detail']}")

    def _topic_refused(self, client: str, topic: str) -> None:
        address = self._stack["kafka"]["partners"]
        allowed = may_read(address, lambda: self._realm.partner_token(client), topic)
        expect(not allowed, f"{client} could read {topic}")
        self._tell(client, f"may not read {topic}")

    def _trace(self) -> None:
        services = {"gateway", "documents", "notifications", "identity"}
        spans = trace.fetch(self._stack["collector"], self._trace_id, services, 10)
        self._tell("trace", self._trace_id)
        trace.show(spans)

    @property
    def _content(self) -> str:
        return f"/v1/documents/{self._document['documentId']}/content"

    def _listener(self, client: str, topic: str) -> Listener:
        return Listener(
            self._stack["kafka"]["partners"],
            client,
            lambda: self._realm.partner_token(client),
            topic,
        )

    def _ok(self, answer: requests.Response, status: int = 200) -> dict[str, Any]:
        expect(answer.status_code == status, f"status {answer.status_code}: {answer.text[:300]}")
        body: dict[str, Any] = answer.json()
        return body

    def _tell(self, name: str, value: Any) -> None:
        self._narrator.tell(name, value)
