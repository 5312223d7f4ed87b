#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""JKS and JCEKS between keystow and Java: keytool reads what we write, key by key, and we read what it writes."""
import json
import os
import re
import shutil
import tempfile

from rows import end, must, ok, run

KEYSTOW = os.environ["KEYSTOW"]
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
PASSWORD, OWN, NEW = "sample1", "sample-of-its-own", "ganz-neu-2"
ANCHOR = "Wurzel \u00fc \u03a9 \U0001f511".lower()
ENTRIES = re.compile(r"(?m)^(.*), .*\d{4}, (\w+Entry)")


class Room:
    """A folder with the passwords in files, and the two programs in it."""

    def __init__(self, folder):
        self.folder = folder
        for name, secret in (("password", PASSWORD), ("own", OWN), ("new", NEW)):
            with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
                file.write(secret + "\n")
        os.environ.update(HOME=folder, XDG_CONFIG_HOME=folder, XDG_STATE_HOME=folder, LC_ALL="C.UTF-8")

    def path(self, name):
        return os.path.join(self.folder, name)

    def keystow(self, *words, secret="password"):
        return run(KEYSTOW, *words, "--no-input", "--pin-source", "file:" + self.path(secret))

    def told(self, store, secret="password"):
        """The first store of keystow's list, as it tells it."""
        return json.loads(self.keystow("list", store, "--json", secret=secret).stdout)["stores"][0]

    def java(self, *words):
        return run("keytool", "-J-Duser.language=en", "-J-Djdk.jceks.iterationCount=10000", *words)

    def make(self, *words):
        return must("keytool", "-J-Duser.language=en", "-J-Djdk.jceks.iterationCount=10000", "-noprompt", *words)


def at(kind, store, password=PASSWORD):
    return ["-keystore", store, "-storetype", kind, "-storepass", password]


def java_entries(room, kind, store, password=PASSWORD):
    """Alias and kind of each entry that keytool lists, with a digest that fits."""
    done = room.java("-list", *at(kind, store, password))
    return sorted(ENTRIES.findall(done.text)) if done.returncode == 0 else done.text


def kinds(entries):
    return {kind: sum(kind == other for _, other in entries) for _, kind in entries} if isinstance(entries, list) else entries


def java_uses(room, kind, store, alias, password=PASSWORD, key_password=PASSWORD):
    """Java takes the key out into PKCS#12, and openssl finds that it signs what the certificate verifies."""
    out, data = room.path("taken-out.p12"), room.path("password")
    if os.path.exists(out):
        os.unlink(out)
    done = room.java("-importkeystore", "-noprompt", "-srckeystore", store, "-srcstoretype", kind, "-srcstorepass", password, "-srcalias",
                     alias, "-srckeypass", key_password, "-destkeystore", out, "-deststoretype", "pkcs12", "-deststorepass", PASSWORD)
    if done.returncode:
        return done.text
    done = run("sh", "-e", "-c", 'cd "$1"; openssl pkcs12 -in taken-out.p12 -passin file:password -nodes -nocerts -out k.pem; '
               "openssl pkcs12 -in taken-out.p12 -passin file:password -nokeys -clcerts -out c.pem; openssl x509 -in c.pem -pubkey -noout -out "
               'p.pem; openssl dgst -sha256 -sign k.pem -out s "$2"; openssl dgst -sha256 -verify p.pem -signature s "$2"', "-", room.folder,
               data)
    return True if "Verified OK" in done.text else done.text


def made_by_java(room, kind):
    """Every kind of entry that keytool makes; the CA's key lies in a store of its own."""
    store, ca = room.path("java." + kind), room.path("ca." + kind)
    room.make("-genkeypair", "-alias", "ca", "-keyalg", "EC", "-groupname", "secp256r1", "-dname", "CN=CA", "-ext", "bc:c", *at(kind, ca))
    room.make("-genkeypair", "-alias", "web", "-keyalg", "RSA", "-keysize", "2048", "-dname", "CN=web", *at(kind, store))
    room.make("-genkeypair", "-alias", "own", "-keyalg", "EC", "-groupname", "secp256r1", "-dname", "CN=own", "-keypass", OWN,
              *at(kind, store))
    room.make("-certreq", "-alias", "web", "-file", room.path("web.csr"), *at(kind, store))
    room.make("-gencert", "-alias", "ca", "-infile", room.path("web.csr"), "-outfile", room.path("web.pem"), "-rfc", *at(kind, ca))
    room.make("-exportcert", "-alias", "ca", "-rfc", "-file", room.path("ca.pem"), *at(kind, ca))
    room.make("-importcert", "-alias", ANCHOR, "-file", room.path("ca.pem"), *at(kind, store))
    with open(room.path("chain.pem"), "w", encoding="ascii") as chain:
        chain.writelines(open(room.path(name), encoding="ascii").read() for name in ("web.pem", "ca.pem"))
    room.make("-importcert", "-alias", "web", "-file", room.path("chain.pem"), *at(kind, store))
    if kind == "jceks":
        room.make("-genseckey", "-alias", "aes", "-keyalg", "AES", "-keysize", "256", *at(kind, store))
        room.make("-genseckey", "-alias", "mac", "-keyalg", "HmacSHA256", "-keysize", "256", *at(kind, store))
    return store


def read(room, kind, store):
    told = room.told(store)
    wanted = {"keys": 2, "certificates": 4, "anchors": 1, "secret_keys": 2 if kind == "jceks" else 0}
    ok(told["format"] == kind and told["integrity"] == "verified" and {name: told["counts"][name] for name in wanted} == wanted,
       kind + ": every entry of keytool's store is read", told)
    ok(ANCHOR in [entry["label"] for entry in told["entries"]], kind + ": an alias beyond ASCII is read", told["entries"])
    done = room.keystow("verify", store + "#web")
    ok(done.returncode == 0, kind + ": its key and certificate belong together", done.text)
    ok(room.keystow("verify", store + "#own").returncode == 4, kind + ": a key with its own password does not open with the store's")
    done = room.keystow("verify", store + "#own", "--key-pin-source", "file:" + room.path("own"))
    ok(done.returncode == 0, kind + ": it opens with --key-pin-source", done.text)
    bare = run(KEYSTOW, "list", store, "--json", "--no-input")
    ok(bare.returncode == 4, kind + ": a store with keys wants its password", bare.text)


def changed(room, kind, store):
    """What a week does to a store, each step seen by keytool."""
    bundle = open(BUNDLE, encoding="ascii").read().count("BEGIN CERTIFICATE")
    before, secrets = java_entries(room, kind, store), ["SecretKeyEntry"] * 2 if kind == "jceks" else []
    done = room.keystow("merge", BUNDLE, store)
    after = java_entries(room, kind, store)
    ok(done.returncode == 0 and kinds(after) == {**kinds(before), "trustedCertEntry": 1 + bundle},
       kind + ": keytool lists every merged certificate as trusted, and the rest as it was", done.text + str(kinds(after)))
    ok(java_uses(room, kind, store, "web") is True, kind + ": Java uses a key after a merge", java_uses(room, kind, store, "web"))
    done = room.keystow("rollback", store)
    ok(done.returncode == 0 and java_entries(room, kind, store) == before, kind + ": rollback brings the store back", done.text)
    done = room.keystow("rename", store + "#WEB", "www")
    ok(java_uses(room, kind, store, "WWW") is True, kind + ": Java finds a renamed key, whatever the case", done.text)
    done = room.keystow("passwd", store, "--new-pin-source", "file:" + room.path("new"))
    ok(done.returncode == 0 and "keeps its password" in done.text, kind + ": passwd says which key keeps its password", done.text)
    ok(java_uses(room, kind, store, "www", NEW, NEW) is True, kind + ": Java opens store and key with the new password",
       java_uses(room, kind, store, "www", NEW, NEW))
    ok(java_uses(room, kind, store, "own", NEW, OWN) is True, kind + ": and the other key with its own")
    ok("incorrect" in str(java_entries(room, kind, store)), kind + ": the old password opens nothing", java_entries(room, kind, store))
    done = room.keystow("remove", store + "#www", secret="new")
    ok(done.returncode == 0 and sorted(name for _, name in java_entries(room, kind, store, NEW)) ==
       sorted(["PrivateKeyEntry", "trustedCertEntry"] + secrets), kind + ": a removed key is gone with its chain, and nothing else",
       java_entries(room, kind, store, NEW))


def made_by_us(room, kind):
    """A store from nothing: a key, its certificate from a CA, a trusted certificate, and secret keys of a Java store."""
    store, source = room.path("ours." + kind), room.path("java." + kind)
    address = kind + ":" + store
    must(KEYSTOW, "ca", "init", room.path("authority." + kind), "--subject", "CN=Authority")
    done = room.keystow("enroll", address + "#client", "--ca", room.path("authority." + kind), "--subject", "CN=client", "--profile", "client")
    ok(done.returncode == 0 and os.stat(store).st_mode & 0o777 == 0o600, kind + ": enroll makes a store, for its owner only", done.text)
    ok(java_uses(room, kind, store, "client") is True, kind + ": Java uses the enrolled key", java_uses(room, kind, store, "client"))
    text = room.java("-list", "-v", "-alias", "client", *at(kind, store)).text
    ok("Certificate chain length: 2" in text, kind + ": with its chain", text)
    done = room.keystow("copy", room.path("ca.pem"), address, "--to-pin-source", "file:" + room.path("password"), "--strict")
    ok(done.returncode == 6, kind + ": --strict makes nothing trusted that was not", done.text)
    done = run(KEYSTOW, "copy", room.path("ca.pem"), address, "--no-input", "--to-pin-source", "file:" + room.path("password"))
    ok(done.returncode == 0 and "is trusted there" in done.text, kind + ": without it, that is said", done.text)
    ok(kinds(java_entries(room, kind, store)) == {"PrivateKeyEntry": 1, "trustedCertEntry": 1}, kind + ": keytool lists both",
       java_entries(room, kind, store))
    if kind == "jceks":
        done = room.keystow("copy", source, address, "--to-pin-source", "file:" + room.path("password"), "--key-pin-source",
                            "file:" + room.path("own"), secret="new")
        ok(kinds(java_entries(room, kind, store)).get("SecretKeyEntry") == 2, "jceks: secret keys are copied", done.text)
        done = room.java("-importkeystore", "-noprompt", "-srckeystore", store, "-srcstoretype", kind, "-srcstorepass", PASSWORD,
                         "-srcalias", "aes", "-destkeystore", room.path("secret.p12"), "-deststoretype", "pkcs12", "-deststorepass", PASSWORD)
        ok(done.returncode == 0, "jceks: Java opens a secret key that was sealed here", done.text)


def both_ways(room, kind):
    """Through PKCS#12 and back nothing differs but what that format cannot say."""
    store, other, back = room.path("ours." + kind), room.path(kind + ".p12"), room.path("back." + kind)
    to = ("--to-pin-source", "file:" + room.path("password"))
    first = room.keystow("copy", store, "p12:" + other, *to)
    second = room.keystow("copy", other, kind + ":" + back, *to)
    same = room.keystow("diff", store, back, *to)
    ok(first.returncode == second.returncode == same.returncode == 0, kind + ": to PKCS#12 and back, nothing differs",
       first.text + second.text + same.text)
    ok(java_entries(room, kind, back) == java_entries(room, kind, store), kind + ": nor for keytool", java_entries(room, kind, back))


def main():
    missing = [name for name in ("keytool", "openssl") if not shutil.which(name)]
    if missing or not os.path.exists(BUNDLE):
        print("1..0 # SKIP %s not here" % ", ".join(missing or [BUNDLE]))
        return
    with tempfile.TemporaryDirectory() as folder:
        room = Room(folder)
        for kind in ("jks", "jceks"):
            store = made_by_java(room, kind)
            read(room, kind, store)
            changed(room, kind, store)
            made_by_us(room, kind)
            both_ways(room, kind)
    end()


main()
