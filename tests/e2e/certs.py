"""A certificate authority of a test's own, made with openssl; and password hashes."""
import crypt
import os
import subprocess

import harness

EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def _openssl(*argv):
    done = subprocess.run(["openssl", *argv], capture_output=True, text=True, timeout=60, check=False)
    harness.check(done.returncode == 0, f"openssl {argv[0]}: {done.stderr}")


class Authority:
    """`ca_file` is what its friends trust."""

    def __init__(self, name="ca"):
        self.name, self.serial = name, 0
        self.directory = os.path.join(harness.WORK, "certs-" + name)
        os.makedirs(self.directory)
        self.ca_file = self._path("ca.pem")
        _openssl("req", "-x509", *EC, "-days", "2", "-subj", f"/CN=test {name}",
                 "-keyout", self._path("ca.key"), "-out", self.ca_file)

    def _path(self, name):
        return os.path.join(self.directory, name)

    def issue(self, name):
        """Paths of a certificate for loopback (also as a client's) and of its key."""
        cert, key, request = (self._path(name + suffix) for suffix in (".pem", ".key", ".csr"))
        extensions = self._path(name + ".ext")
        with open(extensions, "w", encoding="ascii") as f:
            f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n"
                    "extendedKeyUsage=serverAuth,clientAuth\n")
        self.serial += 1
        _openssl("req", *EC, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.ca_file, "-CAkey",
                 self._path("ca.key"), "-set_serial", str(self.serial), "-days", "2",
                 "-extfile", extensions, "-out", cert)
        return cert, key


def bcrypt(password):
    """As in the Prometheus family's web configurations; few rounds, because this is a test."""
    return crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=2**4))
