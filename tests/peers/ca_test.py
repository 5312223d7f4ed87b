# SPDX-License-Identifier: Apache-2.0
"""What the CA issues, judged by OpenSSL (strict), GnuTLS, NSS and Java; and what a crowd or a full disk does to it."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from story import KEYSTOW, Skip, claim, tell  # noqa: E402  pylint: disable=wrong-import-position

KINDS = {"rsa": ["-newkey", "rsa:2048"], "p256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
         "p384": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"], "ed25519": ["-newkey", "ed25519"]}
# profile: alternative names asked for, purposes of openssl verify, usages of certutil -V
PROFILES = {"client": ("", ["sslclient"], "C"), "server": ("DNS:www.example.org,IP:10.0.0.1", ["sslserver"], "V"),
            "mutual": ("DNS:www.example.org", ["sslserver", "sslclient"], "V"), "mq": ("", ["sslserver", "sslclient"], "V")}

JAVA = """
import java.io.*; import java.security.cert.*; import java.util.*;
public class Chains {
  public static void main(String[] a) throws Exception {
    CertificateFactory f = CertificateFactory.getInstance("X.509");
    X509Certificate ca = (X509Certificate) f.generateCertificate(new FileInputStream(a[0]));
    PKIXParameters p = new PKIXParameters(Collections.singleton(new TrustAnchor(ca, null)));
    p.setRevocationEnabled(false);
    for (int i = 1; i < a.length; i++) {
      X509Certificate c = (X509Certificate) f.generateCertificate(new FileInputStream(a[i]));
      CertPathValidator.getInstance("PKIX").validate(f.generateCertPath(List.of(c)), p);
      System.out.println("good " + a[i]);
    }
  }
}
"""


def request(story, name, kind, names=""):
    extra = ["-addext", f"subjectAltName={names}"] if names else []
    story.tool("openssl", "req", "-new", *KINDS[kind], "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj",
               f"/CN={name}/O=Stories/C=GB", *extra)
    return f"{name}.csr"


def issue_all(story, ca_type="p256"):
    """A certificate for every profile and kind of key; [(profile, file)]."""
    story.ok("ca", "init", "ca", "--subject", "CN=Story CA,O=Stories", "--type", ca_type, "--no-password", "-q")
    issued = []
    for profile, (names, _, _) in PROFILES.items():
        for kind in KINDS:
            name = f"{profile}-{kind}"
            story.ok("ca", "sign", request(story, name, kind, names), "--ca", "ca", "--profile", profile, "-o", f"{name}.pem")
            issued.append((profile, f"{name}.pem"))
    return issued


@claim
def openssl_verifies_every_profile_and_key_strictly(story):
    for profile, file in issue_all(story):
        for purpose in PROFILES[profile][1]:
            said = story.tool("openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca/ca.pem", file)
            assert said == f"{file}: OK\n", said


@claim
def openssl_verifies_what_every_kind_of_ca_signs(story):
    for kind in ("rsa:2048", "p384", "p521", "ed25519"):
        name = kind.replace(":", "")
        story.ok("ca", "init", name, "--subject", f"CN={name}", "--type", kind, "--no-password", "-q")
        story.ok("ca", "sign", request(story, f"leaf-{name}", "p256"), "--ca", name, "--profile", "client", "-o", f"{name}.pem")
        story.tool("openssl", "verify", "-x509_strict", "-CAfile", f"{name}/ca.pem", f"{name}.pem")


@claim
def gnutls_verifies_every_profile_and_key(story):
    for _, file in issue_all(story):
        said = story.tool("certtool", "--verify", "--verify-profile", "medium", "--load-ca-certificate", "ca/ca.pem", "--infile", file)
        assert "Chain verification output: Verified" in said, said


@claim
def nss_verifies_every_profile(story):
    issued = [(p, f) for p, f in issue_all(story) if "ed25519" not in f]  # NSS 3.87 knows no Ed25519 certificates
    os.mkdir(story.path("nss"))
    story.tool("certutil", "-N", "-d", "sql:nss", "--empty-password")
    story.tool("certutil", "-A", "-d", "sql:nss", "-n", "ca", "-t", "CT,C,C", "-i", "ca/ca.pem", "-a")
    for profile, file in issued:
        story.tool("certutil", "-A", "-d", "sql:nss", "-n", file, "-t", ",,", "-i", file, "-a")
        said = story.tool("certutil", "-V", "-d", "sql:nss", "-n", file, "-u", PROFILES[profile][2])
        assert "certificate is valid" in said, said


@claim
def java_validates_every_profile_and_key(story):
    issued = issue_all(story)
    story.write("Chains.java", JAVA)
    said = story.tool("java", "Chains.java", "ca/ca.pem", *[file for _, file in issued])
    assert said.count("good ") == len(issued), said


@claim
def keytool_requests_are_signed_and_the_answer_is_imported(story):
    story.ca()
    story.tool("keytool", "-genkeypair", "-alias", "java", "-keyalg", "RSA", "-keysize", "2048", "-dname", "CN=java,O=Stories",
               "-keystore", "java.p12", "-storepass", "changeit")
    story.tool("keytool", "-certreq", "-alias", "java", "-file", "java.csr", "-keystore", "java.p12", "-storepass", "changeit")
    story.ok("ca", "sign", "java.csr", "--ca", "ca", "--profile", "client", "-o", "java.pem")
    story.tool("keytool", "-importcert", "-alias", "ca", "-file", "ca/ca.pem", "-noprompt", "-keystore", "java.p12", "-storepass",
               "changeit")
    said = story.tool("keytool", "-importcert", "-alias", "java", "-file", "java.pem", "-noprompt", "-keystore", "java.p12",
                      "-storepass", "changeit")
    assert said is not None
    assert "Certificate chain length: 2" in story.tool("keytool", "-list", "-v", "-alias", "java", "-keystore", "java.p12",
                                                       "-storepass", "changeit")


@claim
def certtool_requests_are_signed(story):
    story.ca()
    story.write("t.cfg", 'cn = "gnutls"\norganization = "Stories"\n')
    story.tool("certtool", "--generate-privkey", "--key-type", "ecdsa", "--outfile", "g.key")
    story.tool("certtool", "--generate-request", "--load-privkey", "g.key", "--template", "t.cfg", "--outfile", "g.csr")
    story.ok("ca", "sign", "g.csr", "--ca", "ca", "--profile", "client", "-o", "g.pem")
    story.tool("openssl", "verify", "-x509_strict", "-CAfile", "ca/ca.pem", "g.pem")


@claim
def nss_requests_are_signed(story):
    story.ca()
    os.mkdir(story.path("nss"))
    story.write("noise", os.urandom(64))
    story.tool("certutil", "-N", "-d", "sql:nss", "--empty-password")
    story.tool("certutil", "-R", "-d", "sql:nss", "-k", "rsa", "-g", "2048", "-s", "CN=nss,O=Stories", "-o", "n.csr", "-z", "noise")
    story.ok("ca", "sign", "n.csr", "--ca", "ca", "--profile", "client", "-o", "n.pem")
    story.tool("openssl", "verify", "-x509_strict", "-CAfile", "ca/ca.pem", "n.pem")


@claim
def a_ca_below_the_ca_makes_chains_that_verify(story):
    story.ca()
    story.ok("ca", "sign", request(story, "sub", "p256"), "--ca", "ca", "--profile", "ca", "-o", "sub.pem")
    said = story.tool("openssl", "x509", "-in", "sub.pem", "-noout", "-ext", "basicConstraints,keyUsage")
    assert "CA:TRUE, pathlen:0" in said and "Certificate Sign, CRL Sign" in said, said
    story.tool("openssl", "verify", "-x509_strict", "-CAfile", "ca/ca.pem", "sub.pem")


@claim
def a_request_with_a_forged_signature_is_refused(story):
    """openssl req -verify says so too, and exits 0 all the same."""
    story.ca()
    request(story, "a", "p256")
    story.tool("openssl", "req", "-in", "a.csr", "-outform", "DER", "-out", "a.der")
    der = bytearray(story.read("a.der"))
    der[-1] ^= 1
    story.write("a.der", bytes(der))
    story.fails(6, 611, "ca", "sign", "a.der", "--ca", "ca", "--profile", "client", "-o", "a.pem")
    assert not story.has("a.pem")


@claim
def eight_signers_at_once_lose_no_certificate(story):
    """openssl ca lost 53 of 117 here."""
    story.ca()
    request(story, "a", "p256")
    running = [subprocess.Popen([KEYSTOW, "ca", "sign", "a.csr", "--ca", "ca", "--profile", "client", "-o", f"a{i}.pem"],
                                cwd=story.dir, env=story.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for i in range(8)]
    for process in running:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    outside = {story.tool("openssl", "x509", "-in", f"a{i}.pem", "-noout", "-serial").strip().split("=")[1].lower() for i in range(8)}
    inside = {row["serial"] for row in story.ok("ca", "list", "--ca", "ca", "--json").json()["certificates"]}
    assert len(outside) == 8 and outside == inside, (outside, inside)


@claim
def a_full_disk_refuses_before_anything_leaves(story):
    if os.geteuid() != 0:
        raise Skip("mounting a small file system needs root")
    os.mkdir(story.path("small"))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", story.path("small")], capture_output=True).returncode:
        raise Skip("no tmpfs can be mounted here")
    try:
        story.ok("ca", "init", "small/ca", "--subject", "CN=small", "--no-password", "-q")
        request(story, "a", "p256")
        signed = 0
        for i in range(400):
            result = story.run("ca", "sign", "a.csr", "--ca", "small/ca", "--profile", "client", "-o", f"a{i}.pem")
            if result.code:
                break
            signed += 1
            with open(story.path("small/filling"), "ab") as filling:
                try:
                    filling.write(b"x" * 8192)
                except OSError:
                    pass
        assert result.code == 8 and "KS-0805" in result.err, result
        assert not story.has(f"a{signed}.pem")
        os.unlink(story.path("small/filling"))
        rows = story.ok("ca", "list", "--ca", "small/ca", "--json").json()["certificates"]
        assert len([row for row in rows if row["state"] == "issued"]) >= signed, (signed, rows)
    finally:
        subprocess.run(["umount", story.path("small")], check=True)


if __name__ == "__main__":
    tell(sys.modules[__name__])
