"""Writes ca.pem, leaf.pem and leaf.key into a folder: an authority of this run, and a certificate of it for localhost."""
import datetime
import ipaddress
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

folder = pathlib.Path(sys.argv[1])
now = datetime.datetime.now(datetime.timezone.utc)


def named(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject, key, issuer, issuer_key, *extensions):
    builder = x509.CertificateBuilder(
        issuer_name=named(issuer),
        subject_name=named(subject),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - datetime.timedelta(hours=1),
        not_valid_after=now + datetime.timedelta(days=1),
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


authority_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
authority = certificate(
    "authority of a test", authority_key, "authority of a test", authority_key, (x509.BasicConstraints(ca=True, path_length=None), True)
)
names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
leaf = certificate("localhost", leaf_key, "authority of a test", authority_key, (x509.SubjectAlternativeName(names), False))
(folder / "ca.pem").write_bytes(authority)
(folder / "leaf.pem").write_bytes(leaf)
(folder / "leaf.key").write_bytes(
    leaf_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
)
