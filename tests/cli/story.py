# SPDX-License-Identifier: Apache-2.0
"""What the stories share: a folder of their own, the real program, verdicts of peers, golden documents, and TAP.

A test is a function whose name is a claim; it gets a Story. Every test has its own folder and its own tokens.
"""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import traceback

try:
    import pexpect
except ImportError:
    pexpect = None

HERE = os.path.dirname(os.path.abspath(__file__))
KEYSTOW = os.path.abspath(os.environ["KEYSTOW"])
DATA = os.path.join(HERE, "..", "data")
SOFTHSM = next((p for p in ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
                if os.path.exists(p)), None)
PIN, SO_PIN = "246810", "13579135"
KEPT_VARIABLES = ("ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "LD_LIBRARY_PATH", "PATH", "GCOV_PREFIX")


# Control characters but tab and newline, C1 in UTF-8, marks that reorder text: none may reach a terminal raw.
RAW = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]")


class Skip(Exception):
    pass


def ended(child):
    """Exit code and the rest of what a program on a terminal said."""
    text = child.read().decode(errors="replace")
    child.close()
    assert child.exitstatus is not None and child.exitstatus < 128, (child.exitstatus, child.signalstatus, text)
    return child.exitstatus, text


class Result:
    def __init__(self, argv, code, out, err):
        self.argv, self.code, self.raw_out, self.raw_err = argv, code, out, err
        self.out, self.err = out.decode(errors="replace"), err.decode(errors="replace")

    def json(self):
        document = json.loads(self.raw_out)
        assert document["schema"] == 1, self
        return document

    def __str__(self):
        return f"$ keystow {' '.join(self.argv)}\nexit {self.code}\n{self.out}{self.err}"


class Story:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="keystow-story-")
        self.env = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        self.env.update(HOME=self.dir, LC_ALL="C.UTF-8", TZ="UTC", XDG_STATE_HOME=self.path("state"),
                        XDG_CONFIG_HOME=self.path("config"))
        for name in ("a.pin", "ca.pin"):
            self.write(name, "correct horse\n")
        self.write("b.pin", "battery staple\n")

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text, mode=0o600):
        with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        return self.path(name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def has(self, name):
        return os.path.lexists(self.path(name))

    def run(self, *argv, stdin=b"", env=None, pass_fds=(), stdout=subprocess.PIPE):
        argv = [os.fspath(a) for a in argv]
        done = subprocess.run([KEYSTOW, *argv], input=stdin, stdout=stdout, stderr=subprocess.PIPE, cwd=self.dir, timeout=60,
                              env={**self.env, **(env or {})}, start_new_session=True, pass_fds=pass_fds)
        result = Result([os.fsdecode(a) for a in argv], done.returncode, done.stdout or b"", done.stderr)
        assert 0 <= result.code < 128, result
        assert not RAW.search(result.raw_out + result.raw_err), (result.raw_out, result.raw_err)
        return result

    def terminal(self, *argv, env=None):
        """The program on a terminal of its own, to be talked to; see ended()."""
        if not pexpect:
            raise Skip("python3-pexpect is not installed")
        return pexpect.spawn(KEYSTOW, list(argv), cwd=self.dir, env={**self.env, "TERM": "xterm", **(env or {})}, timeout=30)

    def ok(self, *argv, **how):
        result = self.run(*argv, **how)
        assert result.code == 0, result
        return result

    def fails(self, code, status, *argv, **how):
        """The command ends with that exit code and KS code, in words, and as JSON with the same exit code."""
        result = self.run(*argv, **how)
        assert result.code == code, (f"expected exit {code}", str(result))
        assert f"[KS-{status:04d}]" in result.err, (f"expected KS-{status:04d}", str(result))
        assert result.err.startswith("keystow: "), result
        again = self.run("--json", *argv, **how)
        document = again.json()
        assert again.code == code, again
        assert f"KS-{status:04d}" in [p["code"] for p in document["problems"]], again
        return result

    @staticmethod
    def next(said):
        """The command that a message names as the next one, as a shell would split it."""
        words = shlex.split(re.search("  next: keystow (.*)", said).group(1))
        return words[:words.index(next(w for w in words if w in ("seals", "gives", "prepares", "changes")))]

    def tool(self, *argv, stdin=None):
        if not shutil.which(argv[0]):
            raise Skip(f"{argv[0]} is not installed")
        done = subprocess.run(argv, input=stdin, capture_output=True, cwd=self.dir, env=self.env, timeout=120)
        assert done.returncode == 0, (argv, done.returncode, done.stdout, done.stderr)
        return done.stdout.decode(errors="replace")

    # ---- things to work on ----

    def openssl_key(self, name="web", subject="/CN=www.example.org"):
        """NAME.key, NAME.crt and NAME.csr made by openssl."""
        self.tool("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                  f"{name}.key", "-out", f"{name}.crt", "-days", "365", "-subj", subject)
        self.tool("openssl", "req", "-new", "-key", f"{name}.key", "-subj", subject, "-out", f"{name}.csr")
        os.chmod(self.path(f"{name}.key"), 0o600)

    def p12(self, file="a.p12", label="web", pin="a.pin", **how):
        """A PKCS#12 file with one key and its certificate, made by openssl."""
        self.openssl_key(label, **how)
        self.tool("openssl", "pkcs12", "-export", "-inkey", f"{label}.key", "-in", f"{label}.crt", "-name", label, "-out", file,
                  "-passout", f"file:{pin}")
        return f"p12:{file}"

    def bundle(self, file="bundle.pem", names=("One", "Two", "Three")):
        blocks = b""
        for name in names:
            if not self.has(f"{name}.crt"):
                self.openssl_key(name, f"/O=Roots/CN={name}")
            blocks += self.read(f"{name}.crt")
        self.write(file, blocks, 0o644)
        return file

    def ca(self, name="ca"):
        self.ok("ca", "init", name, "--subject", "CN=Story CA,O=Stories", "--no-password", "-q")
        return name

    def token(self, label="story"):
        if not SOFTHSM:
            raise Skip("SoftHSM is not installed")
        if not self.has("tokens"):
            os.mkdir(self.path("tokens"))
            self.write("softhsm2.conf", f"directories.tokendir = {self.path('tokens')}\nlog.level = ERROR\n")
            self.env["SOFTHSM2_CONF"] = self.path("softhsm2.conf")
            self.write("pin", PIN + "\n")
            self.write("so.pin", SO_PIN + "\n")
            os.makedirs(self.path("config/keystow"))
            self.write("config/keystow/config", f"[defaults]\nmodule = {SOFTHSM}\n")
        if label:
            self.tool("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", PIN)
        return f"pkcs11:token={label}"

    # ---- golden documents ----

    def golden(self, verb, *argv, code=0, **how):
        """The command's document, with what changes from run to run put aside, is the one in golden/VERB.json."""
        result = self.run(*argv, "--json", **how)
        assert result.code == code, result
        document = json.dumps(settled(result.json(), self.dir), indent=1, ensure_ascii=True) + "\n"
        file = os.path.join(HERE, "golden", verb.replace(" ", "-") + ".json")
        if os.environ.get("KEYSTOW_GOLDEN") == "write":
            with open(file, "w", encoding="ascii") as out:
                out.write(document)
        with open(file, encoding="ascii") as expected:
            wanted = expected.read()
        assert document == wanted, f"{file}\n--- got\n{document}\n{result.err}"
        return result


def settled(value, folder, key=""):
    """Serial numbers, digests, ids, dates and folders become words; so does what token doctor measured."""
    if isinstance(value, dict):
        loose = ("mechanisms", "firmware", "hardware") + (("text",) if "level" in value else ()) + (
            ("count", "seconds", "per_second") if "per_second" in value else ())
        return {k: "..." if k in loose else settled(v, folder, k) for k, v in value.items()}
    if isinstance(value, list):
        return [settled(v, folder, key) for v in value]
    if not isinstance(value, str):
        return 0 if key in ("slot",) else value
    if key in ("serial", "id", "new_id") or (key == "sha256" and re.fullmatch(r"[0-9a-f]+", value)):
        return key.upper()
    if key == "pem":
        return "PEM"
    if key == "module":
        return os.path.basename(value)
    value = value.replace(folder, "FOLDER").replace(SOFTHSM or folder, "MODULE")
    value = re.sub(r"(slot(?: =)?) \d+", r"\1 ...", value)
    value = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "TIME", value)
    value = re.sub(r"\d{4}-\d\d-\d\d", "DATE", value)
    value = re.sub(r"(serial=|id=)[^;&]+", r"\1...", value)
    return re.sub(r"\b[0-9a-f]{8,}\b", "HEX", value)


def tell(module):
    """Runs every claim of the module, in order; names on the command line choose some."""
    claims = [f for n, f in vars(module).items() if callable(f) and getattr(f, "claim", False)]
    wanted, failed = sys.argv[1:], 0
    for count, claim in enumerate(claims, 1):
        if wanted and claim.__name__ not in wanted:
            continue
        name, story = claim.__name__.replace("_", " "), Story()
        try:
            claim(story)
            print(f"ok {count} - {name}", flush=True)
        except Skip as reason:
            print(f"ok {count} - {name} # SKIP {reason}", flush=True)
        except Exception as trouble:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {count} - {name}", flush=True)
            text = "".join(traceback.format_exception(trouble))[-6000:]
            print("\n".join("# " + line.replace("\\n", "\n# ") for line in text.splitlines()), flush=True)
        finally:
            shutil.rmtree(story.dir, ignore_errors=True)
    print(f"1..{len(claims)}")
    sys.exit(1 if failed else 0)


def claim(function):
    function.claim = True
    return function
