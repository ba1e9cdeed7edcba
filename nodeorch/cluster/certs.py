"""Keys and certificates: EC P-256, SHA-256 (RFC 5280). The one module with ``cryptography``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from nodeorch.cluster.errors import ClusterError

CA_LIFE = timedelta(days=3653)
LIFE = timedelta(days=365)
EARLY = timedelta(hours=1)
"""So far back a certificate begins: no clock of another host is right to the second."""
USES = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


class About(Struct, frozen=True):
    name: str
    begins: float
    """Wall time, seconds."""
    ends: float

    def left(self, now: float) -> float:
        """The part of its life that is left; below 0 when it has ended."""
        return (self.ends - now) / (self.ends - self.begins)


def authority(cluster: str, now: float) -> tuple[bytes, bytes]:
    """(key, certificate) of a new CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"nodeorch fleet {cluster}")
    begins = _time(now)
    made = (
        _builder(name, key.public_key(), begins - EARLY, begins + CA_LIFE)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _key_pem(key), _pem(made)


def request(name: str) -> tuple[bytes, bytes]:
    """(key, request for a certificate)."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateSigningRequestBuilder().subject_name(_name(name))
    return _key_pem(key), _pem(made.sign(key, hashes.SHA256()))


def sign(ca_key: bytes, ca: bytes, csr: bytes, name: str, now: float) -> bytes:
    """A host's certificate. Of the request only the key counts. Raises ClusterError."""
    wanted = _wanted(csr)
    issuer = x509.load_pem_x509_certificate(ca)
    begins = _time(now)
    ends = min(begins + LIFE, issuer.not_valid_after_utc)
    if ends <= begins:
        raise ClusterError(
            "cannot sign: the CA's own certificate has ended; make a new fleet with "
            "`nodeorch cluster init`, or set this host's clock",
            "CaEnded",
        )
    authority_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    key_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_id)
    made = (
        _builder(_name(name), wanted, begins - EARLY, ends)
        .issuer_name(issuer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(USES, critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(key_id, critical=False)
    )
    return _pem(made.sign(_ec_key(ca_key), hashes.SHA256()))


def about(certificate: bytes) -> About:
    """Raises ValueError for what is no certificate."""
    read = x509.load_pem_x509_certificate(certificate)
    names = read.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return About(
        str(names[0].value) if names else "",
        read.not_valid_before_utc.timestamp(),
        read.not_valid_after_utc.timestamp(),
    )


def belongs(key: bytes, certificate: bytes, ca: bytes) -> bool:
    """Whether a key is that of a certificate, and this one was signed by that CA."""
    read = x509.load_pem_x509_certificate(certificate)
    try:
        read.verify_directly_issued_by(x509.load_pem_x509_certificate(ca))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return read.public_key() == _ec_key(key).public_key()


def _wanted(csr: bytes) -> ec.EllipticCurvePublicKey:
    try:
        read = x509.load_pem_x509_csr(csr)
        key = read.public_key()
        sound = read.is_signature_valid
    except (ValueError, TypeError, InvalidSignature):
        sound, key = False, None
    if not sound or not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise ClusterError(
            "cannot sign: the request is not one for a key of EC P-256; use `nodeorch cluster`",
            "BadRequest",
        )
    return key


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _time(now: float) -> datetime:
    return datetime.fromtimestamp(int(now), UTC)


def _pem(made: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    return made.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _ec_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ClusterError("cannot sign: the CA's key is not of EC; restore ca.key", "BadKey")
    return key
