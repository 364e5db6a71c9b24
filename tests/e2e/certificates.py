"""Certificates for the tests of TLS, made by the openssl command; they live for a day."""
import pathlib
import subprocess

LOOPBACK = "DNS:localhost,IP:127.0.0.1"


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Pair:
    """The PEM files of a certificate and its key."""

    def __init__(self, folder, name):
        self.cert, self.key = folder / f"{name}.pem", folder / f"{name}.key"

    def install(self, cert, key):
        """Puts copies where a server reads them, each replaced as a whole; the certificate first."""
        for source, target in ((self.cert, cert), (self.key, key)):
            replace(target, source.read_bytes())


def replace(path, content):
    new = path.with_suffix(".new")
    new.write_bytes(content if isinstance(content, bytes) else content.encode())
    new.chmod(0o600)
    new.rename(path)


class Authority:
    def __init__(self, folder, name="authority"):
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir()
        self.pair = Pair(self.folder, "ca")
        self.cert = self.pair.cert
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                "-keyout", str(self.pair.key), "-out", str(self.cert), "-subj", f"/CN={name}")

    def issue(self, name, alternative=LOOPBACK, days=1):
        pair, request, extension = Pair(self.folder, name), self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extension.write_text(f"subjectAltName={alternative}\n" if alternative else "")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(pair.key),
                "-out", str(request), "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", str(request), "-CA", str(self.cert), "-CAkey", str(self.pair.key),
                "-CAcreateserial", "-days", str(days), "-extfile", str(extension), "-out", str(pair.cert))
        return pair
