"""Runs the real cursive, and the cryptography package under it. Reads one request from standard input, writes one response:

    {keys: {name: PEM}, certificates: {name: PEM}, sign: [{key, keyType, hashMethod, message}],
     verify: [{certificate, message, signature, keyType, hashMethod}], decode: [text],
     keyManager: null | {url, authUrl, username, password, project}}
    → {keyTypes: [name], certificates: {name: PEM}, signatures: [base64], verdicts: [null | why], decoded: [base64 | null]}

Keys come back as certificates of the same name. `message` is base64, `signature` is the property's text as it is. With a key
manager, `certificate` is the id of a secret there, which castellan reads as it does for Cinder.
"""
import base64
import datetime
import json
import sys
import warnings

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

warnings.simplefilter("ignore")
from cursive import signature_utils  # noqa: E402

question = json.load(sys.stdin)
keys = {name: serialization.load_pem_private_key(pem.encode(), None) for name, pem in question["keys"].items()}


def certificate_of(key):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "glance-image-operator tests")])
    # Expired: verification of images ignores the dates.
    start = datetime.datetime(2020, 1, 1)
    return (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    )


certificates = {name: certificate_of(key) for name, key in keys.items()}
known = {name: x509.load_pem_x509_certificate(pem.encode()) for name, pem in question["certificates"].items()}
key_manager = question["keyManager"]
if key_manager is None:
    context = None
    signature_utils.get_certificate = lambda context, name: {**certificates, **known}[name]
else:
    from castellan import options
    from castellan.common.credentials import keystone_password
    from oslo_config import cfg

    options.set_defaults(cfg.CONF, barbican_endpoint=key_manager["url"])
    context = keystone_password.KeystonePassword(
        password=key_manager["password"], username=key_manager["username"], user_domain_id="default",
        project_name=key_manager["project"], project_domain_id="default", auth_url=key_manager["authUrl"],
    )


def sign(case):
    key, message = keys[case["key"]], base64.b64decode(case["message"])
    algorithm = signature_utils.HASH_METHODS[case["hashMethod"]]
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(mgf=padding.MGF1(algorithm), salt_length=padding.PSS.MAX_LENGTH)
        signature = key.sign(message, pss, algorithm)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        signature = key.sign(message, ec.ECDSA(algorithm))
    else:
        signature = key.sign(message, algorithm)
    return base64.b64encode(signature).decode()


def verdict(case):
    try:
        verifier = signature_utils.get_verifier(
            context, case["certificate"], case["hashMethod"], case["signature"], case["keyType"]
        )
        verifier.update(base64.b64decode(case["message"]))
        verifier.verify()
        return None
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def decode(text):
    try:
        return base64.b64encode(base64.b64decode(text)).decode()
    except ValueError:
        return None


json.dump({
    "keyTypes": list(signature_utils.SignatureKeyType.REGISTERED_TYPES),
    "certificates": {
        name: one.public_bytes(serialization.Encoding.PEM).decode() for name, one in certificates.items()
    },
    "signatures": [sign(case) for case in question["sign"]],
    "verdicts": [verdict(case) for case in question["verify"]],
    "decoded": [decode(text) for text in question["decode"]],
}, sys.stdout)
