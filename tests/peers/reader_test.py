#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""verify --for says of each entry what the real program does with it: keytool and jarsigner, certutil and pk12util, openssl with its
engine and with keystow's provider, ssh-keygen, GnuTLS. Each looks at the same token, where something is wrong with most entries."""
import os
import re
import shutil
import subprocess
import sys
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "cli"))
from story import DATA, PIN, SOFTHSM, Skip, claim, tell  # noqa: E402

P = ("--pin-source", "file:pin")
A = ("--pin-source", "file:a.pin")
KINDS = {"good": "ec:P-256", "rsa": "rsa:2048", "p521": "ec:P-521", "koblitz": "ec:secp256k1", "noid": "ec:P-256", "differ": "ec:P-384",
         "called": "ec:P-256", "mixed": "ec:P-256", "wrong": "ec:P-256", "stray": "ec:P-256", "alone": "ec:P-256", "half": "ec:P-256"}


def quiet(story, *argv, env=None):
    """What a program says and whether it ended well; some of these end by a signal."""
    if not shutil.which(argv[0]):
        raise Skip(f"{argv[0]} is not installed")
    done = subprocess.run(argv, capture_output=True, cwd=story.dir, env={**story.env, **(env or {})}, timeout=120, check=False)
    return done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")


def make(story, name, kind):
    """NAME.key, NAME.crt and the same as DER."""
    what, size = kind.split(":")
    how = ["rsa:" + size] if what == "rsa" else [what] if size == "" else ["ec", "-pkeyopt", "ec_paramgen_curve:" + size]
    story.tool("openssl", "req", "-x509", "-newkey", *how, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "365",
               "-subj", f"/CN={name}")
    os.chmod(story.path(f"{name}.key"), 0o600)
    story.tool("openssl", "pkey", "-in", f"{name}.key", "-outform", "DER", "-out", f"{name}.privkey")
    story.tool("openssl", "pkey", "-in", f"{name}.key", "-pubout", "-outform", "DER", "-out", f"{name}.pubkey")
    story.tool("openssl", "x509", "-in", f"{name}.crt", "-outform", "DER", "-out", f"{name}.cert")


def put(story, token, name, what, ident=None, label=None):
    story.tool("pkcs11-tool", "--module", SOFTHSM, "--token-label", token, "--login", "--pin", PIN, "--write-object", f"{name}.{what}",
               "--type", what, "--label", label or name, *(["--id", ident] if ident else []))


def odd_token(story, label="odd"):
    """A token as people have them: pkcs11-tool writes what it is told."""
    token = story.token(label)
    for number, (name, kind) in enumerate(KINDS.items(), 1):
        make(story, name, kind)
        ident = None if name == "noid" else f"{number:02x}"
        if name not in ("wrong", "stray"):
            put(story, label, name, "privkey", ident)
        if name not in ("wrong", "stray", "half"):
            put(story, label, name, "pubkey", ident)
        if name not in ("wrong", "alone", "mixed", "half"):
            put(story, label, name, "cert", "dd" if name == "differ" else ident, "named-otherwise" if name == "called" else None)
    put(story, label, "wrong", "cert", f"{list(KINDS).index('mixed') + 1:02x}")
    return token


def used(story, program, store, *more, key=None):
    """The labels of the entries that keystow says the program can use, and all labels."""
    document = story.run("verify", store, "--for", program, "--json", *more).json()
    entries = [e for s in document["stores"] for e in s["entries"] if key is None or e["kind"] == key]
    return {e.get("label") for e in entries if e["used_by"] == [program]}, {e.get("label") for e in entries}


def java_options(story, token):
    slots = story.tool("softhsm2-util", "--show-slots")
    slot = re.search(r"Slot (\d+)\n(?:(?!Slot \d).*\n)*?\s+Label:\s+" + token + r"\s", slots).group(1)
    story.write(f"{token}.cfg", f"name = {token}\nlibrary = {SOFTHSM}\nslot = {slot}\n")
    return ["-keystore", "NONE", "-storetype", "PKCS11", "-addprovider", "SunPKCS11", "-providerArg", f"{token}.cfg", "-storepass", PIN]


def java_lists(story, options):
    """What keytool lists: each alias, and how it has it."""
    said = quiet(story, "keytool", "-list", *options)[1]
    return dict(re.findall(r"(?m)^([^,\n]+), (?:\w+ \d+, \d+, )?(\w+Entry)", said))


def java_signs(story, options, alias):
    if not story.has("plain.jar"):
        with zipfile.ZipFile(story.path("plain.jar"), "w") as jar:
            jar.writestr("x", "x")
    good, said = quiet(story, "jarsigner", *options, "-signedjar", "signed.jar", "plain.jar", alias)
    return good and "jar signed" in said


@claim
def java_uses_of_a_token_what_is_said(story):
    token = odd_token(story)
    story.ok("enroll", f"{token};object=edward", "--type", "ed25519", "--ca", story.ca(), "--subject", "CN=edward", "--profile", "client", *P)
    said, labels = used(story, "java", token, *P)
    options = java_options(story, "odd")
    listed = java_lists(story, options)
    seen = {"called" if alias == "named-otherwise" else alias for alias in listed}
    assert seen - {"wrong"} == {"good", "rsa", "p521", "koblitz", "called", "edward"}, listed
    assert said == {label for label in seen if label in labels and label != "wrong" and
                    java_signs(story, options, "named-otherwise" if label == "called" else label)}, (said, seen)
    assert not java_signs(story, options, "edward") and "edward" not in said
    # Under the alias of a stranger's certificate Java signs with the key that has its id; nobody could verify that.
    assert "wrong" in listed and not {"wrong", "mixed"} & said


@claim
def nss_uses_of_a_token_what_is_said(story):
    token = odd_token(story)
    story.ok("enroll", f"{token};object=edward", "--type", "ed25519", "--ca", story.ca(), "--subject", "CN=edward", "--profile", "client", *P)
    os.mkdir(story.path("nss"))
    story.tool("certutil", "-N", "-d", "sql:nss", "--empty-password")
    story.tool("modutil", "-dbdir", "sql:nss", "-add", "soft", "-libfile", SOFTHSM, "-force")
    certificates = dict(re.findall(r"(?m)^odd:(\S+)\s+(u,u,u|,,)\s*$", story.tool("certutil", "-L", "-d", "sql:nss", "-h", "odd", "-f", "pin")))
    keys = dict(re.findall(r"(?m)^<\s*\d+>\s+(\w+)\s+\S+\s+(\S+)", story.tool("certutil", "-K", "-d", "sql:nss", "-h", "odd", "-f", "pin")))
    assert "null" in keys and certificates["edward"] == "u,u,u", (keys, certificates)
    said = used(story, "nss", token, *P, key="private-key")[0]
    with_keys = {name for name, trust in certificates.items() if trust == "u,u,u"} - {"edward", "wrong"}
    assert said == {"called" if name == "named-otherwise" else name for name in with_keys}, (said, certificates)
    assert {certificates[name] for name in ("noid", "differ", "stray")} == {",,"}, certificates


@claim
def lint_repairs_a_token_so_that_java_and_nss_pair_its_entries(story):
    token = story.token("odd")
    for name in ("noid", "differ", "mixed", "wrong"):
        make(story, name, "rsa:2048")
    for name, ident, other in (("noid", None, None), ("differ", "01", "02"), ("mixed", "03", "04")):
        put(story, "odd", name, "privkey", ident)
        put(story, "odd", name, "pubkey", ident)
        put(story, "odd", name, "cert", other)
    put(story, "odd", "wrong", "cert", "03")
    options = java_options(story, "odd")
    assert set(java_lists(story, options)) == {"wrong"}
    assert story.run("lint", token, *P).code == 1
    story.ok("lint", token, "--fix", *P)
    assert set(java_lists(story, options)) == {"noid", "differ", "mixed"}
    assert all(java_signs(story, options, name) for name in ("noid", "differ", "mixed"))
    os.mkdir(story.path("nss"))
    story.tool("certutil", "-N", "-d", "sql:nss", "--empty-password")
    story.tool("modutil", "-dbdir", "sql:nss", "-add", "soft", "-libfile", SOFTHSM, "-force")
    listed = story.tool("certutil", "-L", "-d", "sql:nss", "-h", "odd", "-f", "pin")
    assert set(re.findall(r"(?m)^odd:(\S+)\s+u,u,u\s*$", listed)) == {"noid", "differ", "mixed"}, listed
    assert used(story, "java", f"{token};object=noid", *P, key="private-key")[0] == {"noid"}


@claim
def openssl_s_engine_uses_of_a_token_what_is_said(story):
    if "[ available ]" not in quiet(story, "openssl", "engine", "-t", "pkcs11")[1]:
        raise Skip("libp11's engine is not installed")
    token = odd_token(story)
    story.write("data", "data")

    def signs(label):
        return quiet(story, "openssl", "dgst", "-engine", "pkcs11", "-keyform", "engine", "-sign", f"{token};object={label};pin-value={PIN}",
                     "-sha256", "-out", "signature", "data", env={"PKCS11_MODULE_PATH": SOFTHSM})[0]

    said, labels = used(story, "openssl-engine", token, *P, key="private-key")
    assert said == {label for label in labels if signs(label)} == labels, said
    story.ok("generate", f"{token};object=edward", "--type", "ed25519", *P)
    said, labels = used(story, "openssl-engine", token, *P, key="private-key")
    assert said == {label for label in ("good", "rsa", "edward") if signs(label)} == set(), said


@claim
def openssl_with_the_provider_uses_all(story):
    token = odd_token(story)
    story.ok("generate", f"{token};object=edward", "--type", "ed25519", *P)
    provider = os.environ["KEYSTOW_PROVIDER"]
    story.write("openssl.cnf", "openssl_conf = init\n[init]\nproviders = all\n[all]\ndefault = plain\nkeystow = keystow\n[plain]\nactivate = 1\n"
                f"[keystow]\nactivate = 1\npkcs11-module = {SOFTHSM}\npin-source = file:{story.path('pin')}\n")
    env = {"OPENSSL_CONF": story.path("openssl.cnf"), "OPENSSL_MODULES": os.path.dirname(provider)}
    story.write("data", "data")
    said, labels = used(story, "openssl", token, *P, key="private-key")
    assert said == labels - {"half", "noid"} and "edward" in said, (said, labels)
    for label in labels:
        how = ["-rawin"] if label == "edward" else ["-rawin", "-digest", "sha256"]
        good, words = quiet(story, "openssl", "pkeyutl", "-sign", "-inkey", f"{token};object={label};type=private", *how, "-in", "data", "-out",
                            "signature", env=env)
        assert good == (label in said), (label, words)


@claim
def ssh_uses_of_a_token_what_is_said(story):
    token = odd_token(story)
    story.ok("generate", f"{token};object=edward", "--type", "ed25519", *P)
    listed = quiet(story, "ssh-keygen", "-D", SOFTHSM)[1]
    keys = {label for kind, label in re.findall(r"(?m)^(ssh-\w+|ecdsa-\S+) \S+ (\S+)$", listed) if kind != "ssh-unknown"}
    said, labels = used(story, "ssh", token, *P, key="private-key")
    assert said == {label for label in labels if label in keys}, (said, listed)
    assert not {"koblitz", "edward", "half"} & said and "noid" in said


@claim
def gnutls_uses_of_a_token_what_is_said(story):
    token = odd_token(story)

    def signs(label):
        return quiet(story, "p11tool", "--provider", SOFTHSM, "--login", "--test-sign", f"{token};object={label}", env={"GNUTLS_PIN": PIN})[0]

    said, labels = used(story, "gnutls", token, *P, key="private-key")
    labels -= {"half"}
    assert said - {"half"} == {label for label in labels if signs(label)}, said
    assert "koblitz" not in said and "good" in said


# ---- files ----

def p12(story, name, *options, pin="a.pin"):
    story.tool("openssl", "pkcs12", "-export", *options, "-out", name, "-passout", f"file:{pin}")
    return "p12:" + name


def java_file(story, name, pin="a.pin"):
    password = story.read(pin).decode().strip()
    return ["-keystore", name, "-storepass", password]


@claim
def java_uses_of_files_what_is_said(story):
    for name, kind in (("good", "ec:P-256"), ("koblitz", "ec:secp256k1"), ("ed25519", "ed25519:")):
        make(story, name, kind)
        store = p12(story, f"{name}.p12", "-inkey", f"{name}.key", "-in", f"{name}.crt", "-name", name)
        options = java_file(story, f"{name}.p12")
        said = used(story, "java", store, *A)[0]
        assert list(java_lists(story, options)) == [name]
        assert said == ({name} if java_signs(story, options, name) else set()), (name, said)
    store = p12(story, "stray.p12", "-nokeys", "-in", "good.crt", "-name", "good")
    assert java_lists(story, java_file(story, "stray.p12")) == {} and used(story, "java", store, *A) == (set(), {None})
    story.ok("new", "p12:trusted.p12", *A)
    story.ok("merge", "good.crt", "p12:trusted.p12", "--to-pin-source", "file:a.pin")
    listed, said = java_lists(story, java_file(story, "trusted.p12")), used(story, "java", "p12:trusted.p12", *A)[0]
    assert listed and said, (listed, said)


@claim
def java_folds_the_case_of_labels_as_is_said(story):
    for name, label in (("one", "Web"), ("two", "web")):
        make(story, name, "ec:P-256")
        story.write("both.pem", story.read(f"{name}.crt") + story.read(f"{name}.key"))
        story.ok("copy", "both.pem", f"p12:fold.p12#{label}", "--to-pin-source", "file:a.pin")
    assert len(java_lists(story, java_file(story, "fold.p12"))) == 1
    found = story.run("verify", "p12:fold.p12", "--for", "java", *A)
    assert found.code == 1 and found.out.count("differs in case alone") == 2, found


@claim
def java_takes_of_odd_files_what_is_said(story):
    for name in ("good", "second"):
        make(story, name, "ec:P-256")
    key, pair = ("-inkey", "good.key", "-nocerts", "-name", "good"), ("-inkey", "good.key", "-in", "good.crt")
    found = story.run("verify", p12(story, "bare.p12", *key), "--for", "java", *A)
    assert "Java cannot use it without" in found.out and not java_signs(story, java_file(story, "bare.p12"), "good"), found
    found = story.run("verify", p12(story, "unnamed.p12", *pair), "--for", "java", *A)
    assert "calls it by a number" in found.out and list(java_lists(story, java_file(story, "unnamed.p12"))) == ["1"], found
    story.write("umlaut.pin", "größe\n")
    found = story.run("verify", p12(story, "umlaut.p12", *pair, "-name", "good", pin="umlaut.pin"), "--for", "java", "--pin-source",
                      "file:umlaut.pin")
    good, said = quiet(story, "keytool", "-list", *java_file(story, "umlaut.p12", "umlaut.pin"))
    assert "characters beyond ASCII" in found.out and not good and "password" in said, (found, said)
    found = story.run("verify", p12(story, "endless.p12", *pair, "-name", "good", "-iter", "5000001"), "--for", "java", "--max-iterations", "20000000",
                      *A)
    assert "more than 5,000,000 rounds" in found.out and not java_lists(story, java_file(story, "endless.p12")), found


@claim
def nss_calls_what_has_no_label_null_as_is_said(story):
    token = story.token("odd")
    make(story, "good", "rsa:2048")
    for what in ("privkey", "cert"):
        story.tool("pkcs11-tool", "--module", SOFTHSM, "--token-label", "odd", "--login", "--pin", PIN, "--write-object", f"good.{what}",
                   "--type", what, "--label", "", "--id", "01")
    os.mkdir(story.path("nss"))
    story.tool("certutil", "-N", "-d", "sql:nss", "--empty-password")
    story.tool("modutil", "-dbdir", "sql:nss", "-add", "soft", "-libfile", SOFTHSM, "-force")
    assert re.search(r"(?m)^\(NULL\) +u,u,u", story.tool("certutil", "-L", "-d", "sql:nss", "-h", "odd", "-f", "pin"))
    assert "so NSS shows it as (NULL)" in story.run("verify", token, "--for", "nss", *P).out


@claim
def java_finds_no_capitals_in_its_own_stores_as_is_said(story):
    shutil.copyfile(os.path.join(DATA, "jks-capitals-and-equal-aliases.jks"), story.path("capitals.jks"))
    story.write("sample.pin", "sample\n")
    S = ("--pin-source", "file:sample.pin")
    at = ("-keystore", story.path("capitals.jks"), "-storepass", "sample")
    found = story.run("verify", "capitals.jks", "--for", "java", *S)
    assert found.out.count("Java finds one of them") == 4, found
    assert "contains 4 entries" in quiet(story, "keytool", "-J-Duser.language=en", "-list", *at)[1]
    story.ok("remove", "capitals.jks#serverca", *S)
    for command in (("-list",), ("-exportcert", "-alias", "ServerCA")):
        good, said = quiet(story, "keytool", "-J-Duser.language=en", *command, *at)
        assert not good and "Alias <ServerCA> does not exist" in said, said
    found = story.run("verify", "capitals.jks#ServerCA", "--for", "java", *S)
    assert found.code == 1 and "has capital letters" in found.out, found
    story.ok("rename", "capitals.jks#ServerCA", "serverca", *S)
    assert quiet(story, "keytool", "-exportcert", "-alias", "ServerCA", *at)[0]
    story.ok("verify", "capitals.jks#serverca", "--for", "java", *S)


@claim
def pbmac1_is_told_for_those_who_do_not_know_it(story):
    name = os.path.join(DATA, "p12-pbmac1.p12")
    story.write("sample.pin", "sample\n")
    S = ("--pin-source", "file:sample.pin")
    for program, argv in (("java", ("keytool", "-list", "-keystore", name, "-storepass", "sample")),
                          ("nss", ("pk12util", "-l", name, "-W", "sample"))):
        said, labels = used(story, program, f"p12:{name}", *S)
        assert not quiet(story, *argv)[0] and said == set() != labels, program
    remarked = story.run("verify", f"p12:{name}", "--for", "openssl", *S)
    version = tuple(map(int, re.match(r"OpenSSL (\d+)\.(\d+)", story.tool("openssl", "version")).groups()))
    opened = quiet(story, "openssl", "pkcs12", "-in", name, "-passin", "pass:sample", "-noout")[0]
    assert remarked.code == 0 and "from 3.4 on" in remarked.out and opened == (version >= (3, 4)), (remarked, version)


@claim
def nss_imports_of_files_what_is_said(story):
    os.mkdir(story.path("nss"))
    story.tool("certutil", "-N", "-d", "sql:nss", "--empty-password")
    for name, kind in (("good", "ec:P-256"), ("ed25519", "ed25519:")):
        make(story, name, kind)
    for file, options in (("good", ("-inkey", "good.key", "-in", "good.crt", "-name", "good")),
                          ("ed25519", ("-inkey", "ed25519.key", "-in", "ed25519.crt", "-name", "ed25519")),
                          ("no-mac", ("-inkey", "good.key", "-in", "good.crt", "-name", "good", "-nomac")),
                          ("key-only", ("-inkey", "good.key", "-nocerts", "-name", "good")),
                          ("certificate-only", ("-nokeys", "-in", "good.crt", "-name", "good"))):
        store = p12(story, f"{file}.p12", *options)
        imported = quiet(story, "pk12util", "-i", f"{file}.p12", "-d", "sql:nss", "-W", "correct horse")[0]
        assert (story.run("verify", store, "--for", "nss", *A).code == 0) == imported, (file, imported)
    for file in ("good.key", "good.privkey"):
        assert not quiet(story, "pk12util", "-i", file, "-d", "sql:nss", "-W", "correct horse")[0]
        assert "only from PKCS#12 files" in story.run("verify", file, "--for", "nss").out, file


@claim
def programs_that_do_not_open_a_kind_of_file_are_named(story):
    make(story, "good", "ec:P-256")
    for program, argv in (("java", ("keytool", "-list", "-keystore", "good.key", "-storepass", "correct horse")),):
        found = story.run("verify", "good.key", "--for", program)
        assert not quiet(story, *argv)[0] and found.code == 1 and "does not read a PEM file" in found.out, found
    story.ok("copy", "good.key", "p12:good.p12", "--to-pin-source", "file:a.pin")
    for program in ("openssl-engine", "ssh"):
        assert "does not read a PKCS#12 file" in story.run("verify", "p12:good.p12", "--for", program, *A).out


@claim
def ssh_uses_of_files_what_is_said(story):
    for name, kind in (("good", "ec:P-256"), ("rsa", "rsa:2048"), ("koblitz", "ec:secp256k1"), ("ed25519", "ed25519:")):
        make(story, name, kind)
        reads = quiet(story, "ssh-keygen", "-y", "-f", f"{name}.key")[0]
        assert (story.run("verify", f"{name}.key", "--for", "ssh").code == 0) == reads, name
    assert not quiet(story, "ssh-keygen", "-y", "-f", "good.crt")[0] and story.run("verify", "good.crt", "--for", "ssh").code == 1


if __name__ == "__main__":
    tell(sys.modules[__name__])
