#!/bin/bash
# Synapse refuses a request between servers whose scheme is written `x-matrix`, as if it were not signed. Names of schemes are the
# same in any case (RFC 9110, 11.1), and libraries of HTTP may write them in small letters.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check matrix-synapse==1.163.2
cat > "$folder/peer.py" <<'PYTHON'
import datetime, http.server, importlib.metadata, json, pathlib, ssl, subprocess, sys, threading, time, urllib.error, urllib.request
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from signedjson.key import encode_verify_key_base64, generate_signing_key, get_verify_key
from signedjson.sign import sign_json

FOLDER = pathlib.Path(sys.argv[1])
print("matrix-synapse", importlib.metadata.version("matrix-synapse"))
KEY = generate_signing_key("peer")
KEY_ID = f"{KEY.alg}:{KEY.version}"


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
settings = {
    "server_name": "synapse.test", "signing_key_path": str(FOLDER / "signing.key"), "media_store_path": str(FOLDER / "media"),
    "pid_file": str(FOLDER / "pid"), "report_stats": False, "trusted_key_servers": [], "suppress_key_server_warning": True,
    "listeners": [{"port": PORT, "type": "http", "x_forwarded": True, "bind_addresses": ["127.0.0.1"],
                   "resources": [{"names": ["client", "federation"]}]}],
    "database": {"name": "sqlite3", "args": {"database": str(FOLDER / "synapse.db")}}, "federation_custom_ca_list": [str(FOLDER / "ca.pem")],
    "ip_range_blacklist": [], "macaroon_secret_key": "m", "form_secret": "f",
}
(FOLDER / "hs.yaml").write_text(json.dumps(settings))
command = [sys.executable, "-m", "synapse.app.homeserver", "-c", str(FOLDER / "hs.yaml")]
subprocess.run([*command, "--generate-keys"], check=True, cwd=FOLDER, capture_output=True)
synapse = subprocess.Popen(command, cwd=FOLDER, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ask(scheme):
    """The status of a signed request."""
    path = "/_matrix/federation/v1/query/profile?user_id=%40nobody%3Asynapse.test"
    signed = {"method": "GET", "uri": path, "origin": NAME, "destination": "synapse.test"}
    signature = sign_json(signed, NAME, KEY)["signatures"][NAME][KEY_ID]
    authorization = f'{scheme} origin="{NAME}",key="{KEY_ID}",sig="{signature}",destination="synapse.test"'
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", headers={"authorization": authorization})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


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
    versions = f"http://127.0.0.1:{PORT}/_matrix/client/versions"
    until("Synapse answers", lambda: urllib.request.urlopen(versions).status, 60)
    seen = {scheme: ask(scheme) for scheme in ("X-Matrix", "x-matrix")}
    for scheme, status in seen.items():
        print(f"{scheme}: {status}")
    # 404: the signature is good, and there is no such user.
    sys.exit(0 if seen == {"X-Matrix": 404, "x-matrix": 401} else "the behaviour has changed")
finally:
    synapse.kill()
PYTHON
"$folder/venv/bin/python" "$folder/peer.py" "$folder"
