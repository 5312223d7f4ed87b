#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that know nothing of keystow use keys in a token through its OpenSSL provider: openssl, Python, nginx, curl.

One token with an RSA, an EC and an Ed25519 key, each with a certificate of a local CA; servers stand on the loopback at a
port of the kernel's choice or on a Unix socket in the test's folder, and are ended by their own ids.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tokens"))
from stand import PIN, SOFTHSM, Stand, Tap, need  # noqa: E402

KEYS = {"rsa": "rsa:2048", "p256": "p256", "ed25519": "ed25519"}
LIMIT = 60  # seconds after which a program counts as hanging
PROVIDER = os.environ["KEYSTOW_PROVIDER"]


def listens(place):
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(place) == 0


def find_nginx():
    places = [shutil.which("nginx"), "/usr/sbin/nginx", os.environ.get("KEYSTOW_DEVICES", "") + "/usr/sbin/nginx"]
    return next((place for place in places if place and os.path.exists(place)), None)


class Peers:
    """The stand, openssl.cnf with the provider in it, and programs run in that environment."""

    def __init__(self, stand):
        self.stand = stand
        self.env = {**stand.env, "OPENSSL_MODULES": os.path.dirname(PROVIDER), "OPENSSL_CONF": self.conf("openssl.cnf", "pin")}
        self.running = []

    def conf(self, name, pin=None, module=SOFTHSM):
        source = f"pin-source = file:{self.stand.path(pin)}\n" if pin else ""
        return self.stand.write(name, "openssl_conf = init\n[init]\nproviders = all\n[all]\ndefault = plain\nkeystow = keystow\n"
                                "[plain]\nactivate = 1\n[keystow]\nactivate = 1\n"
                                f"pkcs11-module = {module}\n{source}[req]\ndistinguished_name = dn\n[dn]\n")

    def run(self, *argv, env=None, text=None):
        done = subprocess.run([str(a) for a in argv], env={**self.env, **(env or {})}, cwd=self.stand.dir, capture_output=True,
                              timeout=LIMIT, check=False, input=text.encode() if text is not None else b"")
        done.out, done.err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        done.said = f"exit {done.returncode}\n{done.out}\n{done.err}"
        return done

    def openssl(self, *argv, **more):
        return self.run("openssl", *argv, **more)

    def keystow(self, *argv):
        done = self.run(self.stand.keystow, *argv, "--module", SOFTHSM, "--pin-source", "file:" + self.stand.path("pin"))
        if done.returncode:
            sys.exit(f"keystow {argv}: {done.said}")
        return done

    def start(self, *argv, log, ready):
        """A server whose words go to the file `log`; back when `ready` says so, or when it ended."""
        with open(self.stand.path(log), "wb") as file:
            server = subprocess.Popen([str(a) for a in argv], env=self.env, cwd=self.stand.dir, stdin=subprocess.PIPE, stdout=file,
                                      stderr=file)  # s_server ends with its standard input
        self.running.append(server)
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline and server.poll() is None and not ready():
            time.sleep(0.05)
        return server

    def stop(self, server):
        """Its exit code after being asked to end."""
        if server.poll() is None:
            server.send_signal(signal.SIGTERM)
        try:
            code = server.wait(LIMIT)
        except subprocess.TimeoutExpired:
            server.kill()
            code = server.wait()
        server.stdin.close()
        self.running.remove(server)
        return code

    def end(self):
        for server in list(self.running):
            self.stop(server)


def uri(key):
    return f"pkcs11:token=hsm;object={key}"


def prepare(peers):
    stand = peers.stand
    peers.keystow("ca", "init", "ca", "--subject", "CN=Test CA")
    for name, kind in KEYS.items():
        more = ["--decrypt"] if name == "rsa" else []
        peers.keystow("generate", uri(name), "--type", kind, *more)
        peers.keystow("enroll", uri(name), "--ca", "ca", "--subject", f"CN={name}", "--san", "dns:localhost", "--profile", "mutual")
        peers.keystow("copy", uri(name), f"pem:{stand.path(name)}.key", "--as-uri")
        made = peers.openssl("storeutl", "-certs", "-out", f"{name}.all", uri(name))
        if made.returncode:
            sys.exit(made.said)
        peers.openssl("x509", "-in", f"{name}.all", "-out", f"{name}.pem")
    peers.keystow("generate", "pkcs11:token=other;object=p256", "--type", "p256")
    stand.write("leaf.ext", "basicConstraints = CA:FALSE\n")  # openssl 4 takes openssl.cnf itself without one
    stand.write("message", "hello\n")


def lists(tap, peers):
    stand = peers.stand
    seen = peers.openssl("storeutl", "-noout", "pkcs11:token=hsm")
    tap.ok(seen.returncode == 0 and seen.out.count(": Pkey") == 3 and seen.out.count(": Certificate") >= 3,
           "storeutl lists the keys and certificates of a token", seen.said)
    public = peers.openssl("storeutl", "-noout", "pkcs11:token=hsm;type=cert", env={"OPENSSL_CONF": peers.conf("asking.cnf")})
    tap.ok(public.returncode == 0 and public.out.count(": Certificate") >= 3 and "Pkey" not in public.out,
           "and its certificates alone without a PIN", public.said)
    tokens = json.loads(peers.run(stand.keystow, "token", "list", "--json", "--module", SOFTHSM).out)["tokens"]
    slot = next(token["slot"] for token in tokens if token["label"] == "hsm")
    seen = peers.openssl("storeutl", "-noout", f"pkcs11:token=hsm;slot-id={slot}")
    tap.ok(seen.returncode == 0 and seen.out.count(": Pkey") == 3, "a slot number is not taken for an id", seen.said)
    made = peers.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "soft.key", "-out", "soft.pem", "-subj", "/CN=soft")
    stand.write("password", "geheim\n")
    made = peers.openssl("pkcs12", "-export", "-inkey", "soft.key", "-in", "soft.pem", "-name", "web", "-out", "soft.p12", "-passout",
                         "file:password")
    here = stand.path("soft.p12")
    seen = peers.openssl("storeutl", "-noout", "-passin", "file:password", f"keystow:p12:{here}")
    tap.ok(seen.returncode == 0 and "Pkey" in seen.out and "Certificate" in seen.out, "storeutl lists a p12 address, its password asked "
           "for by openssl", made.said + seen.said)
    seen = peers.openssl("pkey", "-pubout", "-passin", "file:password", "-in", f"keystow:p12:{here}#web")
    plain = peers.openssl("pkey", "-pubout", "-in", "soft.key")
    tap.ok(seen.returncode == 0 and seen.out == plain.out, "a key of a p12 address is an ordinary key", seen.said)
    seen = peers.openssl("storeutl", "-noout", f"keystow:pem:{stand.path('soft.pem')}")
    tap.ok(seen.returncode == 0 and "Certificate" in seen.out, "storeutl lists a pem address", seen.said)
    os.makedirs(stand.path("home/config/keystow"), exist_ok=True)
    stand.write("home/config/keystow/config", f"[store web]\nuri = p12:{here}\npin-source = file:{stand.path('password')}\n")
    seen = peers.openssl("storeutl", "-noout", "keystow:@web")
    tap.ok(seen.returncode == 0 and "Pkey" in seen.out, "a name of the configuration is opened with its pin-source", seen.said)
    found = peers.openssl("storeutl", "-noout", "-certs", "-subject", "/CN=p256", "pkcs11:token=hsm")
    tap.ok(found.returncode == 0 and "Total found: 1" in found.out, "storeutl finds a certificate by its subject", found.said)
    found = peers.openssl("storeutl", "-noout", "-alias", "p256", "pkcs11:token=hsm")
    tap.ok(found.returncode == 0 and ": Pkey" in found.out and ": Certificate" in found.out and "Total found: 3" in found.out,
           "storeutl finds by label", found.said)


def keys(tap, peers, name):
    """What each key signs is verified by openssl with the certificate's public key, in software."""
    public = peers.openssl("pkey", "-in", uri(name), "-pubout", "-out", f"{name}.pub")
    shown = peers.openssl("x509", "-in", f"{name}.pem", "-noout", "-pubkey")
    tap.ok(public.returncode == 0 and shown.out.strip() == peers.stand.read(f"{name}.pub").strip(), f"{name}: pkey -pubout", public.said)
    asked = peers.openssl("req", "-new", "-key", uri(name), "-subj", "/CN=asked", "-out", f"{name}.csr")
    checked = peers.openssl("req", "-in", f"{name}.csr", "-verify", "-noout")
    tap.ok(asked.returncode == 0 and "verify OK" in checked.said, f"{name}: req -new", asked.said + checked.said)
    made = peers.openssl("req", "-x509", "-new", "-key", uri(name), "-subj", "/CN=root", "-addext",
                         "basicConstraints=critical,CA:TRUE", "-out", f"{name}.root")
    signed = peers.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{name}.root", "-CAkey", uri(name), "-CAcreateserial", "-extfile",
                           "leaf.ext", "-out", f"{name}.leaf")
    checked = peers.openssl("verify", "-CAfile", f"{name}.root", f"{name}.leaf")
    tap.ok(signed.returncode == 0 and checked.returncode == 0, f"{name}: x509 -req -CAkey", made.said + signed.said + checked.said)
    raw = ["-rawin"] if name == "ed25519" else ["-rawin", "-digest", "sha256"]
    signed = peers.openssl("pkeyutl", "-sign", "-inkey", uri(name), *raw, "-in", "message", "-out", "signature")
    checked = peers.openssl("pkeyutl", "-verify", "-pubin", "-inkey", f"{name}.pub", *raw, "-in", "message", "-sigfile", "signature")
    tap.ok(signed.returncode == 0 and checked.returncode == 0, f"{name}: pkeyutl -sign", signed.said + checked.said)
    refused = peers.openssl("pkey", "-in", uri(name))
    tap.ok(refused.returncode != 0 and "the private key stays in its token" in refused.err and "PRIVATE KEY" not in refused.out,
           f"{name}: pkey refuses to write the private key, and says why", refused.said)
    filed = peers.openssl("pkey", "-in", f"{name}.key", "-pubout")
    tap.ok(filed.returncode == 0 and filed.out == peers.stand.read(f"{name}.pub"), f"{name}: a PEM file with the address is the key",
           filed.said)


def digests_and_mail(tap, peers, name):
    signed = peers.openssl("dgst", "-sha256", "-sign", uri(name), "-out", "signature", "message")
    checked = peers.openssl("dgst", "-sha256", "-verify", f"{name}.pub", "-signature", "signature", "message")
    tap.ok(signed.returncode == 0 and "Verified OK" in checked.out, f"{name}: dgst -sign", signed.said + checked.said)
    signed = peers.openssl("cms", "-sign", "-in", "message", "-signer", f"{name}.pem", "-inkey", uri(name), "-outform", "PEM", "-nodetach",
                           "-out", "signed.cms")
    checked = peers.openssl("cms", "-verify", "-in", "signed.cms", "-inform", "PEM", "-CAfile", "ca/ca.pem", "-purpose", "any", "-out",
                            "back")
    tap.ok(signed.returncode == 0 and checked.returncode == 0, f"{name}: cms -sign", signed.said + checked.said)


def decrypts(tap, peers):
    for padding in ("pkcs1", "oaep"):
        option = ["-pkeyopt", "rsa_padding_mode:" + padding]
        peers.openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", "rsa.pub", "-in", "message", "-out", "secret", *option)
        back = peers.openssl("pkeyutl", "-decrypt", "-inkey", uri("rsa"), "-in", "secret", *option)
        tap.ok(back.returncode == 0 and back.out == "hello\n", f"rsa: pkeyutl -decrypt with {padding}", back.said)
    sealed = peers.openssl("cms", "-encrypt", "-in", "message", "-outform", "PEM", "-out", "sealed.cms", "rsa.pem")
    opened = peers.openssl("cms", "-decrypt", "-in", "sealed.cms", "-inform", "PEM", "-inkey", uri("rsa"), "-recip", "rsa.pem")
    tap.ok(opened.returncode == 0 and opened.out.replace("\r", "") == "hello\n", "rsa: cms -decrypt", sealed.said + opened.said)
    signed = peers.openssl("dgst", "-sha384", "-sign", uri("rsa"), "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1",
                           "-out", "signature", "message")
    checked = peers.openssl("dgst", "-sha384", "-verify", "rsa.pub", "-sigopt", "rsa_padding_mode:pss", "-signature", "signature",
                            "message")
    tap.ok(signed.returncode == 0 and "Verified OK" in checked.out, "rsa: dgst -sign with PSS", signed.said + checked.said)


def agrees(tap, peers):
    """An EC key of the token and one of a file come to the same secret, each with the other's public half."""
    option = ["-pkeyopt", "ec_paramgen_curve:P-256"]
    made = peers.run("pkcs11-tool", "--module", SOFTHSM, "--token-label", "hsm", "--login", "--pin", PIN, "--keypairgen", "--key-type",
                     "EC:prime256v1", "--usage-derive", "--label", "agree", "--id", "77")
    peers.openssl("genpkey", "-algorithm", "EC", *option, "-out", "own.key")
    peers.openssl("pkey", "-in", "own.key", "-pubout", "-out", "own.pub")
    peers.openssl("pkey", "-in", uri("agree"), "-pubout", "-out", "agree.pub")
    there = peers.openssl("pkeyutl", "-derive", "-inkey", uri("agree"), "-peerkey", "own.pub", "-hexdump")
    here = peers.openssl("pkeyutl", "-derive", "-inkey", "own.key", "-peerkey", "agree.pub", "-hexdump")
    tap.ok(there.returncode == 0 and there.out == here.out, "ec: pkeyutl -derive", made.said + there.said + here.said)


def tls(tap, peers, name, version):
    log = f"{name}-{version}.log"

    def port():
        told = re.search(r"ACCEPT \S*:(\d+)", peers.stand.read(log))
        return told and told[1]

    server = peers.start("openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", f"{name}.pem", "-key", uri(name), "-" + version,
                         log=log, ready=port)
    seen = peers.openssl("s_client", "-connect", f"127.0.0.1:{port()}", "-CAfile", "ca/ca.pem", "-verify_return_error", "-" + version,
                         "-brief")
    code = peers.stop(server)
    tap.ok(seen.returncode == 0 and "Verification: OK" in seen.err, f"{name}: s_server and s_client speak {version}",
           seen.said + peers.stand.read(log) + f"server: {code}")


def pins(tap, peers):
    """One wrong PIN is one try, as a module that counts sees it. It goes to a token of its own, which then wants a person."""
    stand, other = peers.stand, "pkcs11:token=other;object=p256"
    stand.write("wrong", "99999999\n")
    env = {"OPENSSL_CONF": peers.conf("wrong.cnf", "wrong", stand.balky), "BALKY_LOG": stand.write("log", "")}
    refused = peers.openssl("req", "-new", "-key", other, "-subj", "/CN=x", env=env)
    told = [line for line in stand.read("log").splitlines() if line.startswith(">") and "C_Login" in line]
    tap.ok(refused.returncode != 0 and "the PIN for token other is wrong" in refused.err, "a wrong PIN is told", refused.said)
    tap.ok(len(told) == 1, "a wrong PIN is sent once", stand.read("log"))
    stand.write("log", "")
    again = peers.openssl("req", "-new", "-key", other, "-subj", "/CN=x", env=env)
    told = [line for line in stand.read("log").splitlines() if line.startswith(">") and "C_Login" in line]
    tap.ok(again.returncode != 0 and not told, "and not at all by the next program", again.said)
    env = {"OPENSSL_CONF": peers.conf("asking.cnf")}
    given = peers.openssl("req", "-new", "-key", uri("p256"), "-passin", "file:pin", "-subj", "/CN=x", env=env)
    tap.ok(given.returncode == 0 and "CERTIFICATE REQUEST" in given.out, "openssl's own -passin gives the PIN", given.said)
    given = peers.openssl("req", "-new", "-key", uri("p256") + f"?pin-source=file:{stand.path('pin')}", "-subj", "/CN=x", env=env)
    tap.ok(given.returncode == 0, "a pin-source in the address gives the PIN", given.said)
    os.chmod(stand.path("pin"), 0o644)
    refused = peers.openssl("req", "-new", "-key", uri("p256") + f"?pin-source=file:{stand.path('pin')}", "-subj", "/CN=x", env=env)
    os.chmod(stand.path("pin"), 0o600)
    tap.ok(refused.returncode != 0 and "chmod 600" in refused.err, "a PIN file that others may read is refused", refused.said)
    env = {"OPENSSL_CONF": peers.conf("counted.cnf", "pin", stand.balky), "BALKY_LOG": stand.write("log", "")}
    done = peers.openssl("req", "-new", "-key", uri("p256"), "-subj", "/CN=x", env=env)
    calls = [line.split()[3] for line in stand.read("log").splitlines() if line.startswith(">")]
    tap.ok(done.returncode == 0 and calls[-1:] == ["C_Finalize"] and "C_Logout" in calls and "C_CloseSession" in calls,
           "at the end it logs out, closes its sessions and finalises the module", done.said + " ".join(calls))


def python(tap, peers):
    """A program that knows nothing but PEM files."""
    stand = peers.stand
    script = stand.write("serve.py", """
import ssl, sys, threading

def meet(server, client):
    a, b, c, d = (ssl.MemoryBIO() for _ in range(4))
    one = server.wrap_bio(a, b, server_side=True)
    other = client.wrap_bio(c, d, server_hostname="localhost")
    for _ in range(8):
        for side in (other, one):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
            a.write(d.read())
            c.write(b.read())
    return other.version()

def work(server, client, met):
    for _ in range(5):
        met.append(meet(server, client))

for name in sys.argv[1:]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(name + ".pem", name + ".key")
    client = ssl.create_default_context(cafile="ca/ca.pem")
    met = []
    threads = [threading.Thread(target=work, args=(server, client, met)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(name, met.count("TLSv1.3"))
""")
    done = peers.run(sys.executable, script, *KEYS)
    tap.ok(done.returncode == 0 and done.out.split() == ["rsa", "100", "p256", "100", "ed25519", "100"],
           "Python's ssl serves with each key, on 20 threads at once", done.said)


def nginx(tap, peers, name):
    """nginx loads the key in its master and signs in workers, which it forks; curl comes with a key of the token, too."""
    stand, program = peers.stand, find_nginx()
    if not program or not shutil.which("curl"):
        print(f"ok {tap.count + 1} - {name}: nginx serves # SKIP nginx or curl is not here (tests/devices-packages.sh fetches it)")
        tap.count += 1
        return
    place = stand.path("web-" + name)
    user = "user root;\n" if os.geteuid() == 0 else ""
    conf = stand.write("nginx.conf", f"""{user}daemon off;
worker_processes 2;
pid {place}.pid;
error_log stderr;
env SOFTHSM2_CONF;
events {{ }}
http {{
	access_log off;
	client_body_temp_path {place}.1; proxy_temp_path {place}.2; fastcgi_temp_path {place}.3;
	uwsgi_temp_path {place}.4; scgi_temp_path {place}.5;
	server {{
		listen unix:{place} ssl;
		ssl_certificate {stand.path(name)}.pem;
		ssl_certificate_key {stand.path(name)}.key;
		ssl_client_certificate {stand.path("ca/ca.pem")};
		ssl_verify_client on;
		location / {{ return 200 "hello $ssl_client_s_dn\\n"; }}
	}}
}}
""")
    server = peers.start(program, "-p", stand.dir, "-e", "stderr", "-c", conf, log=f"web-{name}.log", ready=lambda: listens(place))
    come = ["curl", "-sS", "--unix-socket", place, "--cacert", "ca/ca.pem", "https://localhost/"]
    seen = [peers.run(*come, "--cert", "p256.pem", "--key", "p256.key") for _ in range(4)]
    without = peers.run(*come)
    server.send_signal(signal.SIGHUP)
    after = peers.run(*come, "--cert", "rsa.pem", "--key", "rsa.key")
    code = peers.stop(server)
    log = stand.read(f"web-{name}.log")
    tap.ok(all(one.out == "hello CN=p256\n" for one in seen), f"{name}: nginx serves with a key in the token, and curl comes with one",
           seen[0].said + log)
    tap.ok("hello" not in without.out and "400" in without.out, f"{name}: without a certificate curl is not let in", without.said)
    tap.ok(after.out == "hello CN=rsa\n", f"{name}: nginx goes on after a reload", after.said + log)
    tap.ok(code == 0 and "signal 11" not in log, f"{name}: nginx ends in order", f"{code}\n{log}")


def main():
    need("openssl", "pkcs11-tool")
    tap = Tap()
    with Stand("hsm", "other") as stand:
        peers = Peers(stand)
        try:
            prepare(peers)
            lists(tap, peers)
            for name in KEYS:
                keys(tap, peers, name)
                for version in ("tls1_2", "tls1_3"):
                    tls(tap, peers, name, version)
            for name in ("rsa", "p256"):
                digests_and_mail(tap, peers, name)
            decrypts(tap, peers)
            agrees(tap, peers)
            pins(tap, peers)
            python(tap, peers)
            for name in ("rsa", "p256"):
                nginx(tap, peers, name)
        finally:
            peers.end()
    tap.done()


main()
