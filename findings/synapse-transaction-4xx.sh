#!/bin/bash
# A server that answers one transaction of Synapse's with 400 hears nothing from it for ten minutes; one that answers 500 gets the
# same transaction again after seconds. The specification names no difference. So 4xx is no answer to a single bad event.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check matrix-synapse==1.163.2
cat > "$folder/peer.py" <<'PYTHON'
import datetime, http.server, importlib.metadata, json, pathlib, sqlite3, ssl, subprocess, sys, threading, time, urllib.error, urllib.request
from urllib.parse import quote
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from signedjson.key import encode_verify_key_base64, generate_signing_key, get_verify_key
from signedjson.sign import sign_json
from synapse.api.room_versions import RoomVersions
from synapse.crypto.event_signing import add_hashes_and_signatures
from synapse.events import make_event_from_dict

FOLDER = pathlib.Path(sys.argv[1])
print("matrix-synapse", importlib.metadata.version("matrix-synapse"))
KEY = generate_signing_key("peer")
KEY_ID = f"{KEY.alg}:{KEY.version}"
answers, received = [], []  # what the next transactions are answered; (time, transaction id, status)


def certificate(subject, key, issuer_key, extension):
    now = datetime.datetime.now(datetime.timezone.utc)
    name = lambda text: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
    builder = x509.CertificateBuilder(name("authority"), name(subject), key.public_key(), x509.random_serial_number(),
                                      now - datetime.timedelta(hours=1), now + datetime.timedelta(days=1))
    return builder.add_extension(extension, True).sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class Peer(http.server.BaseHTTPRequestHandler):
    def reply(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if not self.path.startswith("/_matrix/key/v2/server"):
            return self.reply(404, {"errcode": "M_UNRECOGNIZED", "error": "?"})
        keys = {"server_name": NAME, "verify_keys": {KEY_ID: {"key": encode_verify_key_base64(get_verify_key(KEY))}},
                "old_verify_keys": {}, "valid_until_ts": int(time.time() * 1000) + 86_400_000}
        self.reply(200, sign_json(keys, NAME, KEY))

    def do_PUT(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        status = answers.pop(0) if answers else 200
        received.append((time.monotonic(), self.path.rsplit("/", 1)[1], status))
        self.reply(status, {"pdus": {}} if status == 200 else {"errcode": "M_UNKNOWN", "error": "?"})

    def log_message(self, *_):
        pass


authority, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
(FOLDER / "ca.pem").write_bytes(certificate("authority", authority, authority, x509.BasicConstraints(True, None)))
(FOLDER / "leaf.pem").write_bytes(certificate("localhost", leaf, authority, x509.SubjectAlternativeName([x509.DNSName("localhost")])))
(FOLDER / "leaf.key").write_bytes(leaf.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Peer)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(FOLDER / "leaf.pem", FOLDER / "leaf.key")
server.socket = tls.wrap_socket(server.socket, server_side=True)
NAME = f"localhost:{server.server_port}"
threading.Thread(target=server.serve_forever, daemon=True).start()

probe = http.server.HTTPServer(("127.0.0.1", 0), Peer)
PORT = probe.server_port
probe.server_close()
DATABASE = FOLDER / "synapse.db"
settings = {
    "server_name": "synapse.test", "signing_key_path": str(FOLDER / "signing.key"), "media_store_path": str(FOLDER / "media"),
    "pid_file": str(FOLDER / "pid"), "report_stats": False, "trusted_key_servers": [], "suppress_key_server_warning": True,
    "listeners": [{"port": PORT, "type": "http", "x_forwarded": True, "bind_addresses": ["127.0.0.1"],
                   "resources": [{"names": ["client", "federation"]}]}],
    "database": {"name": "sqlite3", "args": {"database": str(DATABASE)}}, "federation_custom_ca_list": [str(FOLDER / "ca.pem")],
    "ip_range_blacklist": [], "enable_registration": True, "enable_registration_without_verification": True,
    "macaroon_secret_key": "m", "form_secret": "f",
}
(FOLDER / "hs.yaml").write_text(json.dumps(settings))
command = [sys.executable, "-m", "synapse.app.homeserver", "-c", str(FOLDER / "hs.yaml")]
subprocess.run([*command, "--generate-keys"], check=True, cwd=FOLDER, capture_output=True)
synapse = subprocess.Popen(command, cwd=FOLDER, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ask(method, path, body=None, token=None, by_peer=False):
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", content, method=method)
    if by_peer:
        signed = {"method": method, "uri": path, "origin": NAME, "destination": "synapse.test", **({} if body is None else {"content": body})}
        signature = sign_json(signed, NAME, KEY)["signatures"][NAME][KEY_ID]
        request.add_header("authorization", f'X-Matrix origin="{NAME}",key="{KEY_ID}",sig="{signature}",destination="synapse.test"')
    elif token:
        request.add_header("authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def until(what, check, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if (found := check()) is not None:
                return found
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.1)
    sys.exit(f"{what}: not within {seconds} s")


try:
    until("Synapse answers", lambda: ask("GET", "/_matrix/client/versions"), 60)
    body = {"username": "a", "password": "correct horse", "auth": {"type": "m.login.dummy"}}
    token = ask("POST", "/_matrix/client/v3/register", body)["access_token"]
    room = ask("POST", "/_matrix/client/v3/createRoom", {"preset": "public_chat", "room_version": "10"}, token)["room_id"]
    user = f"@b:{NAME}"
    made = ask("GET", f"/_matrix/federation/v1/make_join/{quote(room)}/{quote(user)}?ver=10", by_peer=True)["event"]
    made.update(origin_server_ts=int(time.time() * 1000))
    add_hashes_and_signatures(RoomVersions.V10, made, NAME, KEY)
    event_id = make_event_from_dict(made, RoomVersions.V10).event_id
    ask("PUT", f"/_matrix/federation/v2/send_join/{quote(room)}/{quote(event_id)}", made, by_peer=True)

    def answered(status):
        """Sends one message whose transaction is answered so: the pause that Synapse notes, and whether the transaction came again."""
        until("the queue is empty", lambda: True if time.monotonic() - max([0, *(at for at, *_ in received)]) > 2 else None, 30)
        answers.append(status)
        before = len(received)
        ask("PUT", f"/_matrix/client/v3/rooms/{quote(room)}/send/m.room.message/{status}", {"msgtype": "m.text", "body": "x"}, token)
        first = until("a transaction", lambda: received[before:] or None, 20)[0]
        time.sleep(12)
        row = sqlite3.connect(DATABASE).execute("SELECT retry_interval FROM destinations WHERE destination = ?", (NAME,)).fetchone()
        again = [round(at - first[0]) for at, transaction, _ in received[before + 1:] if transaction == first[1]]
        return (row[0] or 0 if row else 0), again

    pause, again = answered(500)
    print(f"answered 500: the same transaction again after {again} s, {pause} ms of pause noted")
    kept_500 = len(again) == 1 and pause == 0
    pause, again = answered(400)
    print(f"answered 400: the same transaction again after {again} s, {pause} ms of pause noted")
    sys.exit(0 if kept_500 and not again and pause == 600_000 else "the behaviour has changed")
finally:
    synapse.kill()
PYTHON
"$folder/venv/bin/python" "$folder/peer.py" "$folder"
