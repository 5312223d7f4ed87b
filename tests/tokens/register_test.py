#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One `token register`, and then programs that know nothing of keystow use the token: nginx, curl, openssl, jarsigner, certutil, ssh
and p11tool. The lines that it tells are typed as they stand. One row of tests/tokens/devices a run."""
import os
import shlex
import shutil
import signal
import subprocess
import sys
import zipfile

import rig
import stand
from devices.device import program, until

tap = stand.Tap()
KEYS = {"web": "rsa:2048", "me": "p256"}
PROVIDER = os.environ["KEYSTOW_PROVIDER"]


def skip(claim, reason):
    tap.count += 1
    print(f"ok {tap.count} - {claim} # SKIP {reason}", flush=True)


class Glue:
    """What the one command said, and its lines typed into a shell."""

    def __init__(self, at):
        self.at, self.dir = at, at.path("glue")
        self.argv = ["token", "register", at.device.uri, "-o", self.dir, "--nss", at.path("nss")]
        self.said = at.json(*self.argv)
        self.use = {one["program"]: one["use"] for one in self.said.get("programs", [])}

    def path(self, name):
        return os.path.join(self.dir, name)

    def line(self, program, word):
        """The line of that program with that word in it, with the key `web` in place of the one that it names."""
        found = [line for line in self.use.get(program, []) if word in line] or ["false"]
        return found[0]

    def type(self, line, **variables):
        env = {"OPENSSL_MODULES": os.path.dirname(PROVIDER), **variables}
        words = [f"{name}={shlex.quote(value)}" for name, value in env.items()]
        return self.at.run("sh", "-c", "export " + " ".join(words) + "; " + line)


def prepare(at):
    at.ks("ca", "init", "ca", "--subject", "CN=Test CA", pin=None)
    for name, kind in KEYS.items():
        made = at.ks("enroll", at.entry(name), "--type", kind, "--ca", "ca", "--subject", f"CN={name}", "--san", "dns:localhost", "--profile",
                     "mutual", *at.device.options)
        if made.rc:
            sys.exit(f"{name}: {made}")
        at.ks("copy", at.entry(name), "pem:" + at.path(name + ".chain"))
    os.mkdir(at.path("nss"))
    at.run("certutil", "-N", "-d", "sql:" + at.path("nss"), "--empty-password")


def written(at, glue):
    before = {name: os.stat(glue.path(name)).st_mtime_ns for name in os.listdir(glue.dir)} if os.path.isdir(glue.dir) else {}
    tap.ok({"java.cfg", "openssl.cnf", "web.key", "web.pem", "me.curlrc", "web.nginx"} <= set(before), "one command writes the files", glue.said)
    again = at.ks(*glue.argv)
    after = {name: os.stat(glue.path(name)).st_mtime_ns for name in os.listdir(glue.dir)}
    tap.ok(again.rc == 0 and "nothing to do" in again.err and before == after, "and has nothing to do when it is run again", again)
    texts = "".join(at.read(os.path.join("glue", name)) for name in before) + at.read("nss/pkcs11.txt")
    tap.ok(at.device.pin not in texts, "no file has the PIN")


def openssl(at, glue):
    for word, passin in (("-key", ""), ("-engine", " -passin file:pin")):
        made = glue.type(next((line for line in glue.use["openssl"] if ("-engine" in line) == (word == "-engine")), "false") + passin)
        at.write("made.csr", made.out)
        checked = at.openssl("req", "-in", "made.csr", "-verify", "-noout")
        how = "libp11's engine" if passin else "the provider"
        tap.ok(made.rc == 0 and "verify OK" in checked.err, f"openssl asks for a certificate through {how}", f"{made}\n{checked}")


def serve(at, glue):
    """nginx with its key in the token, started as a service is: its own environment, OPENSSL_CONF, and what the module reads."""
    conf = at.write("nginx.conf", f"""{'user root;' if os.geteuid() == 0 else ''}
daemon off;
worker_processes 2;
pid {at.path('nginx.pid')};
error_log stderr;
{''.join(f'env {name};' for name in at.device.env)}
events {{ }}
http {{
	access_log off;
	client_body_temp_path {at.path('1')}; proxy_temp_path {at.path('2')}; fastcgi_temp_path {at.path('3')};
	uwsgi_temp_path {at.path('4')}; scgi_temp_path {at.path('5')};
	server {{
		listen unix:{at.path('web.socket')} ssl;
		include {glue.path('web.nginx')};
		ssl_client_certificate {at.path('ca/ca.pem')};
		ssl_verify_client on;
		location / {{ return 200 "hello $ssl_client_s_dn\\n"; }}
	}}
}}
""")
    env = {**at.env, "OPENSSL_MODULES": os.path.dirname(PROVIDER), "OPENSSL_CONF": glue.path("openssl.cnf")}
    with open(at.path("nginx.log"), "wb") as log:
        server = subprocess.Popen(at.inside([program("nginx"), "-p", at.dir, "-e", "stderr", "-c", conf]), env=env, cwd=at.dir,
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    until(lambda: os.path.exists(at.path("web.socket")) or server.poll() is not None, "nginx's socket")
    return server


def end(server):
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    try:
        return server.wait(60)
    except subprocess.TimeoutExpired:
        server.kill()
        return server.wait()


def web(at, glue):
    claim = "nginx serves with its key in the token, and curl comes with one of the token"
    if not program("nginx") or not shutil.which("curl"):
        skip(claim, "nginx or curl is not here (tests/devices-packages.sh fetches it)")
        return
    server = serve(at, glue)
    try:
        line = glue.line("curl", "https://HOST/")
        come = f"-sS --unix-socket {at.path('web.socket')} --cacert {at.path('ca/ca.pem')} https://localhost/"
        seen = [glue.type(line.replace("/web.curlrc", "/me.curlrc").replace("https://HOST/", come)) for _ in range(3)]
        without = at.run("sh", "-c", "curl " + come)
    finally:
        code = end(server)
    tap.ok(all(one.rc == 0 and one.out == "hello CN=me\n" for one in seen), claim, f"{seen[0]}\n{at.read('nginx.log')}")
    tap.ok("400" in without.out and "hello" not in without.out, "and without it is not let in", without)
    tap.ok(code == 0 and "signal 11" not in at.read("nginx.log"), "nginx ends in order", f"{code}\n{at.read('nginx.log')}")


def java(at, glue):
    if not shutil.which("keytool"):
        skip("keytool lists the token's keys", "keytool is not installed")
        return
    seen = glue.type(glue.line("java", "keytool"))
    tap.ok(seen.rc == 0 and all(f"{name}, PrivateKeyEntry" in seen.out for name in KEYS), "keytool lists the token's keys", seen)
    if not shutil.which("jarsigner"):
        skip("jarsigner signs a jar", "jarsigner is not installed (default-jdk-headless)")
        return
    with zipfile.ZipFile(at.path("APP.jar"), "w") as jar:
        jar.writestr("hello.txt", "hello\n")
    signed = glue.type(glue.line("java", "jarsigner"))
    checked = at.run("jarsigner", "-verify", "APP.jar")
    tap.ok(signed.rc == 0 and "jar signed" in signed.out, "jarsigner signs a jar", signed)
    tap.ok(checked.rc == 0 and "jar verified" in checked.out, "and verifies it", checked)


def nss(at, glue):
    line = glue.line("nss", "certutil -L") + " -f pin"
    seen = glue.type(line)
    tap.ok(seen.rc == 0 and all(f":{name} " in seen.out for name in KEYS), "NSS lists the token's certificates", seen)
    seen = glue.type(line.replace("certutil -L", "certutil -K"))
    tap.ok(seen.rc == 0 and all(seen.out.rstrip().count(name) for name in KEYS), "and its keys", seen)
    listed = at.run("modutil", "-dbdir", "sql:" + at.path("nss"), "-list")
    tap.ok(listed.rc == 0 and at.device.module in listed.out and "NSS Internal" in listed.out, "modutil lists the module beside NSS itself", listed)


def public_line(at, name):
    """The certificate's key as ssh writes it, by openssl and ssh-keygen."""
    at.write(name + ".spki", at.openssl("x509", "-in", name + ".chain", "-noout", "-pubkey").out)
    return at.run("ssh-keygen", "-i", "-m", "PKCS8", "-f", name + ".spki").out.split()[:2]


def ssh(at, glue):
    seen = glue.type(glue.line("ssh", "ssh-keygen -D"))
    lines = [line.split()[:2] for line in seen.out.splitlines()]
    tap.ok(seen.rc == 0 and all(public_line(at, name) in lines for name in KEYS), "ssh-keygen -D reads the certificates' keys", seen)
    tap.ok(all(at.read(f"glue/{name}.pub").split()[:2] == public_line(at, name) for name in KEYS), "and the .pub files are the same keys")
    agent = subprocess.Popen(at.inside(["ssh-agent", "-D", "-a", at.path("agent"), "-P", at.device.module]), env=at.env, cwd=at.dir,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: os.path.exists(at.path("agent")) or agent.poll() is not None, "ssh-agent's socket")
        ask = at.write("ask", "#!/bin/sh\ncat " + shlex.quote(at.path("pin")) + "\n")
        os.chmod(ask, 0o700)
        at.write("message", "hello\n")
        sign = f" && ssh-keygen -q -Y sign -n test -f {shlex.quote(glue.path('me.pub'))} message"
        done = glue.type(glue.line("ssh", "ssh-add -s") + sign, SSH_AUTH_SOCK=at.path("agent"), SSH_ASKPASS=ask, SSH_ASKPASS_REQUIRE="force")
    finally:
        end(agent)
    at.write("allowed", "me " + at.read("glue/me.pub"))
    checked = at.run("sh", "-c", "ssh-keygen -Y verify -n test -I me -f allowed -s message.sig <message")
    tap.ok(done.rc == 0 and checked.rc == 0, "ssh-agent signs with a key of the token, chosen by its .pub file", f"{done}\n{checked}")


def p11_kit(at, glue):
    """p11-kit's folder of modules is the test's own in a mount namespace."""
    claim = "p11-kit loads the token's module by the file for it"
    if os.geteuid() != 0 or not shutil.which("p11tool") or not os.path.isdir("/usr/share/p11-kit/modules"):
        skip(claim, "needs root, p11-kit and p11tool")
        return
    os.mkdir(at.path("modules"))
    name = next(name for name in os.listdir(glue.dir) if name.endswith(".module"))
    shutil.copy(glue.path(name), at.path("modules"))
    mount = f"mount --bind {shlex.quote(at.path('modules'))} /usr/share/p11-kit/modules && "
    seen = at.run("unshare", "-m", "sh", "-c", mount + "p11-kit list-modules")
    tap.ok(seen.rc == 0 and f"token: {at.device.label}" in seen.out, claim, seen)
    if at.device.init_args:
        return  # GnuTLS 3.7 shows no token of softoken
    seen = at.run("unshare", "-m", "sh", "-c", mount + f"GNUTLS_PIN={at.device.pin} " + glue.line("p11-kit", "p11tool"))
    tap.ok(seen.rc == 0 and all(f"Label: {key}" in seen.out for key in KEYS), "and p11tool finds its keys", seen)


def no_ssh(at, glue):
    told = next(one for one in glue.said["programs"] if one["program"] == "ssh")
    tap.ok(not told["use"] and "init-args" in told["cannot"][0], "ssh cannot use a module with init-args, which is told", told)


PARTS = {"softhsm": (openssl, web, java, nss, ssh, p11_kit), "vhsm": (openssl, web, java, nss, ssh, p11_kit),
         "nss-sql": (openssl, java, p11_kit, no_ssh)}


def main():
    stand.need("openssl", "certutil", "modutil", "ssh-keygen", "ssh-agent")
    with rig.Rig(sys.argv[1]) as at:
        prepare(at)
        glue = Glue(at)
        written(at, glue)
        for part in PARTS[sys.argv[1]]:
            part(at, glue)
    tap.done()


main()
