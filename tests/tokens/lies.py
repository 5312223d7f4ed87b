# SPDX-License-Identifier: Apache-2.0
"""What a hostile module says and does: one row each, with the rule that it breaks and the exits that are right for it.

Sections are those of PKCS#11 Cryptographic Token Interface Base Specification v2.40; `process` stands for the rule that a library
leaves the process of its caller alone.
"""
import re


def h(text):
    return (text if isinstance(text, bytes) else text.encode()).hex()


class Lie:
    """
    `schedule`: balky's rows. `codes`: the exits that are right for a command that meets the lie. `good`: what a success has to be:

    never  there is none: the lie has to be found
    same   the answer and the token are as without the lie
    told   as without it, or a sentence on standard error tells of the matter
    shown  what only the token can know is shown as the token says it, and no further claim is made of it
    """

    def __init__(self, name, rule, schedule, codes=(8,), good="never", memory=None):
        self.name, self.rule, self.schedule, self.codes, self.good, self.memory = name, rule, schedule, set(codes), good, memory
        self.calls = [(line.split()[0], line.split()[1]) for line in schedule.splitlines()]

    def meets(self, calls):
        """Would a command that made these calls when nobody lied come to the lie?"""
        made = {}
        for call in calls:
            made[call.name] = made.get(call.name, 0) + 1
        return all(name == "*" or made.get(name, 0) >= int(re.sub(r"\D", "", turn) or 1) for name, turn in self.calls)


LABEL, ID, CLASS, VALUE, KEY_TYPE, CERTIFICATE_TYPE = "0x3", "0x102", "0x0", "0x11", "0x100", "0x80"
SENSITIVE, EXTRACTABLE, MODULUS, EXPONENT, EC_PARAMS, EC_POINT = "0x103", "0x162", "0x120", "0x122", "0x180", "0x181"
READ, FIND, TOKEN, SLOTS, PAIR = "C_GetAttributeValue", "C_FindObjects", "C_GetTokenInfo", "C_GetSlotList", "C_GenerateKeyPair"

ESC, C1, BIDI, NUL, BROKEN = "\033[31m\033]0;owned\007", "\u0085\u009b31m", "\u202ewalnut\u2066", "wal\0nut", b"\xff\xfe\xc0\x80\xed\xa0\x80"


def value(kind, what):
    return f"{READ} * value {kind}={h(what)}"


def field(name, what, width=32):
    return f"{TOKEN} * field {name}={h((what if isinstance(what, bytes) else what.encode())[:width].ljust(width))}"


# What becomes of a command when the things that it names are called otherwise.
LOST = (0, 1, 3, 6, 7, 8, 9)

LIES = [
    # ---- the function list and the start ----
    Lie("function list of version 0.0", "3.1 CK_VERSION: 2.x or 3.x", "C_Initialize * version 0.0"),
    Lie("function list of version 99.1", "3.1 CK_VERSION: 2.x or 3.x", "C_Initialize * version 99.1"),
    Lie("C_FindObjects is missing", "3.6: a function that is not supported has a stub", "C_FindObjects * null"),
    Lie("C_GetInfo is missing", "3.6: a function that is not supported has a stub", "C_GetInfo * null"),
    Lie("C_Initialize says general error", "5.4 C_Initialize", "C_Initialize * answer GENERAL_ERROR"),
    Lie("C_Initialize gives a code of its own", "3.1: vendors' codes may come from any call", "C_Initialize * answer 0x80000123"),
    # ---- slots ----
    Lie("slot list grows between calls", "5.5 C_GetSlotList: no more than there was room for", f"{SLOTS} 2 length 100000"),
    Lie("100,000 slots", "5.5: a computer has not so many", f"{SLOTS} * made-up 100000"),
    Lie("100 slots that are not there", "5.5: each slot ID is good for C_GetTokenInfo", f"{SLOTS} * made-up 100"),
    Lie("a slot ID of all ones", "3.2: CK_UNAVAILABLE_INFORMATION is no slot", f"{SLOTS} * first 0xffffffffffffffff", (0, 1, 3, 8), "told"),
    Lie("slot list without end", "5.5: the second call has the room that the first one named",
        f"{SLOTS} * answer BUFFER_TOO_SMALL"),
    Lie("slot count of all ones", "5.5: a count is a number of slots", f"{SLOTS} 1+ length 0xffffffffffffffff"),
    Lie("C_GetSlotList says OK and gives nothing", "5.5: CKR_OK means that the count was told", f"{SLOTS} * answer OK", (3, 8)),
    # ---- what a token says of itself ----
    Lie("C_GetTokenInfo says OK and gives nothing", "5.5: CKR_OK means that the structure was filled", f"{TOKEN} * answer OK",
        (0, 1, 3, 8), "shown"),
    Lie("token label with escape sequences", "3.2: UTF-8 text for people", field("label", ESC), (0, 1, 3, 8), "shown"),
    Lie("token label with C1 controls", "3.2: UTF-8 text for people", field("label", C1), (0, 1, 3, 8), "shown"),
    Lie("token label that turns the writing round", "3.2: UTF-8 text for people", field("label", BIDI), (0, 1, 3, 8), "shown"),
    Lie("token label with NUL", "3.2: blank-padded, not ended by NUL", field("label", NUL), (0, 1, 3, 8), "shown"),
    Lie("token label that is not UTF-8", "3.2: UTF-8", field("label", BROKEN), (0, 1, 3, 8), "shown"),
    Lie("token label without padding", "3.2: blank-padded", field("label", "x" * 32), (0, 1, 3, 8), "shown"),
    Lie("model, maker and serial with escape sequences", "3.2: UTF-8 text for people",
        "\n".join([field("model", ESC, 16), field("manufacturer", ESC), field("serial", ESC, 16)]), (0, 1, 4, 5, 8), "shown"),
    Lie("serial number of NULs", "3.2: characters, blank-padded", field("serial", "\0" * 16, 16), (0, 1), "shown"),
    Lie("all flags at once", "3.2 CK_TOKEN_INFO flags contradict each other", f"{TOKEN} * flags 0xffffffffffffffff",
        (0, 1, 3, 4, 5, 6, 8), "shown"),
    Lie("no flag at all", "3.2: an initialised token says so", f"{TOKEN} * clear 0xffffffffffffffff", (0, 1, 3, 6, 8), "shown"),
    Lie("no login required, though it is", "3.2 CKF_LOGIN_REQUIRED", f"{TOKEN} * clear LOGIN_REQUIRED", (0, 1, 3, 6, 8), "shown"),
    Lie("another token after the first look", "5.5: a token's label stays while it is present",
        f"{TOKEN} 3+ field label={h('acorn'.ljust(32))}", (0, 1, 3, 8), "shown"),
    # ---- mechanisms ----
    Lie("mechanism list grows between calls", "5.5 C_GetMechanismList", "C_GetMechanismList 2+ length 100000"),
    Lie("100,000 mechanisms", "5.5 C_GetMechanismList", "C_GetMechanismList * made-up 100000"),
    Lie("3,000 mechanisms that nobody knows", "2.x: vendors' mechanisms have the top bit", "C_GetMechanismList * made-up 3000",
        (0, 6), "shown"),
    # ---- sessions and logins ----
    Lie("session handle 0", "3.3: 0 is no session", "C_OpenSession * first 0"),
    Lie("C_OpenSession says OK and gives nothing", "5.6: CKR_OK means a handle", "C_OpenSession * answer OK"),
    Lie("a session that does not exist", "5.6: the handle is good", "C_OpenSession * first 0x7fffffffffffffff"),
    Lie("login that is none", "5.6: after C_Login the session is the user's", "C_Login * answer OK"),
    Lie("login that the session does not show", "5.6 C_GetSessionInfo: CKS_RW_USER_FUNCTIONS", "C_GetSessionInfo * state 2"),
    Lie("session state that does not exist", "3.3 CK_STATE", "C_GetSessionInfo * state 99"),
    Lie("somebody is logged in already, says the session", "5.6 C_GetSessionInfo", "C_GetSessionInfo * state 3", (0, 1, 3, 6, 8), "shown"),
    Lie("login without a known answer", "5.6: the answers of C_Login are listed", "C_Login * answer 0x7fff"),
    # ---- searches ----
    Lie("search gives one more than asked", "5.7 C_FindObjects: at most ulMaxObjectCount", f"{FIND} * over 1"),
    Lie("search claims 2^63 objects", "5.7 C_FindObjects", f"{FIND} * length 0x8000000000000000"),
    Lie("search without end", "5.7: a search ends with 0 objects", f"{FIND} * endless"),
    Lie("search gives everything twice", "5.7: each object once", f"{FIND} * twice", (0, 1), "same"),
    Lie("search gives handle 0", "3.4: 0 is no object", f"{FIND} * first 0"),
    Lie("search gives a handle of nothing", "5.7: each handle is an object", f"{FIND} * first 0x7ffffffffffffff0",
        (0, 1, 3, 6, 7, 8, 9), "shown"),
    Lie("search backwards", "5.7 promises no order", f"{FIND} * backwards", (0, 1), "same"),
    Lie("search ignores what is looked for", "5.7: only objects that match", "C_FindObjectsInit * wide", (0, 1), "same"),
    Lie("C_FindObjects says OK and gives nothing", "5.7", f"{FIND} * answer OK", (0, 1, 3, 6, 8), "shown"),
    # ---- lengths of attributes ----
    Lie("length -1 for all, with CKR_OK", "5.7: -1 goes with an error code", f"{READ} * length 0xffffffffffffffff", LOST, "shown"),
    Lie("length 2^63", "5.7: a length within the room", f"{READ} * length 0x8000000000000000"),
    Lie("length 4 GiB", "5.7: a length within the room", f"{READ} * length 0x100000000"),
    Lie("length one more than there is room for", "5.7: CKR_BUFFER_TOO_SMALL then", f"{READ} * size {LABEL}=260"),
    Lie("lengths grow from call to call", "5.7: the second call has room for what the first one named", f"{READ} * grow 64"),
    Lie("class of 4 bytes", "4.1: CK_OBJECT_CLASS is a CK_ULONG", f"{READ} * size {CLASS}=4"),
    Lie("key type of 7 bytes", "4.7: CK_KEY_TYPE is a CK_ULONG", f"{READ} * size {KEY_TYPE}=7"),
    Lie("truth of 2 bytes", "4.1: CK_BBOOL is one byte", f"{READ} * size {SENSITIVE}=2", good="same"),
    Lie("everything is too small for ever", "5.7", f"{READ} * answer BUFFER_TOO_SMALL"),
    Lie("C_GetAttributeValue says OK and gives nothing", "5.7: CKR_OK means that the values were given", f"{READ} * answer OK",
        LOST, "shown"),
    # ---- what attributes say ----
    Lie("label with escape sequences", "4.4 CKA_LABEL: UTF-8 text for people", value(LABEL, ESC), LOST, "shown"),
    Lie("label with C1 controls", "4.4", value(LABEL, C1), LOST, "shown"),
    Lie("label that turns the writing round", "4.4", value(LABEL, BIDI), LOST, "shown"),
    Lie("label with NUL and newline", "4.4", value(LABEL, "a\0b\nkeystow: all is well\r"), LOST, "shown"),
    Lie("label that is not UTF-8", "4.4", value(LABEL, BROKEN), LOST, "shown"),
    Lie("label of 500 bytes", "4.4: any length", value(LABEL, "x" * 500), LOST, "shown"),
    Lie("no label and no id", "4.4: both may be empty", value(LABEL, "") + "\n" + value(ID, ""), LOST, "shown"),
    Lie("one id for all", "4.6: an id belongs to one key", value(ID, "same"), LOST, "shown"),
    Lie("id of 500 bytes", "4.6: any length", value(ID, b"\x1b" * 500), LOST, "shown"),
    Lie("class that nobody knows", "4.1 CKA_CLASS", f"{READ} * value {CLASS}=4242424242424242", LOST, "shown"),
    Lie("all are certificates", "4.1 CKA_CLASS", f"{READ} * value {CLASS}=0100000000000000", LOST, "shown"),
    Lie("key type that nobody knows", "4.7 CKA_KEY_TYPE", f"{READ} * value {KEY_TYPE}=4242424242424242", LOST, "shown"),
    Lie("truth that is neither", "4.1: CK_TRUE or CK_FALSE", f"{READ} * value {SENSITIVE}=7f", LOST, "shown"),
    Lie("certificate that is no DER", "4.6.3 CKA_VALUE: BER-encoding", value(VALUE, "not a certificate"), LOST, "told"),
    Lie("certificate of one long length", "4.6.3", f"{READ} * value {VALUE}=3084ffffffff", LOST, "told"),
    Lie("EC point of garbage", "4.3.3 CKA_EC_POINT: DER of a point", value(EC_POINT, "garbage"), LOST, "shown"),
    Lie("EC point off the curve", "4.3.3: a point of the curve", f"{READ} * value {EC_POINT}=044104" + "01" * 64, LOST, "shown"),
    Lie("EC point raw, of another key", "4.3.3", f"{READ} * value {EC_POINT}="
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5", LOST, "shown"),
    Lie("curve that is no OID", "4.3.3 CKA_EC_PARAMS: DER of parameters", value(EC_PARAMS, "\x06\x7fx"), LOST, "shown"),
    Lie("modulus of zero", "4.1.1 CKA_MODULUS", f"{READ} * value {MODULUS}=00", LOST, "shown"),
    Lie("modulus that is even", "4.1.1 CKA_MODULUS", f"{READ} * value {MODULUS}=" + "c0" * 256, LOST, "shown"),
    Lie("modulus that is tiny", "4.1.1 CKA_MODULUS", f"{READ} * value {MODULUS}=0f", LOST, "shown"),
    Lie("public exponent of one", "4.1.1 CKA_PUBLIC_EXPONENT", f"{READ} * value {EXPONENT}=01", LOST, "shown"),
    # ---- making keys ----
    Lie("a pair without handles", "5.13: CKR_OK means two handles", f"{PAIR} * answer OK"),
    Lie("public half of another pair", "5.13: the halves belong together", f"{PAIR} * other", (6,)),
    Lie("half a pair", "5.13: both or none", f"{PAIR} * half public"),
    Lie("a new key that can be taken out", "4.9 CKA_EXTRACTABLE as asked", f"{READ} * value {EXTRACTABLE}=01", (0, 1, 6), "shown"),
    Lie("a new key that is not sensitive", "4.9 CKA_SENSITIVE as asked", f"{READ} * value {SENSITIVE}=00", (0, 1), "shown"),
    # ---- storing ----
    Lie("C_CreateObject stores nothing", "5.7 C_CreateObject", "C_CreateObject * pretend"),
    Lie("C_CreateObject gives handle 0", "5.7 C_CreateObject", "C_CreateObject * first 0"),
    Lie("C_CreateObject alters the label", "5.7: the template's values", f"C_CreateObject * alter {LABEL}"),
    Lie("C_CreateObject alters the id", "5.7: the template's values", f"C_CreateObject * alter {ID}"),
    Lie("C_CreateObject alters the certificate", "5.7: the template's values", f"C_CreateObject * alter {VALUE}"),
    Lie("C_DestroyObject destroys nothing", "5.7 C_DestroyObject", "C_DestroyObject * answer OK"),
    Lie("C_SetAttributeValue sets nothing", "5.7 C_SetAttributeValue", "C_SetAttributeValue * answer OK"),
    Lie("C_InitToken initialises nothing", "5.5 C_InitToken", "C_InitToken * answer OK"),
    # ---- signatures ----
    Lie("signature of garbage", "5.11 C_Sign", "C_Sign * garbage", (6,)),
    Lie("signature of zeros", "5.11 C_Sign", "C_Sign * zero", (6, 8)),
    Lie("signature of another text", "5.11 C_Sign", "C_Sign * other", (6,)),
    Lie("signature that is empty", "5.11 C_Sign", "C_Sign * length 0", (6, 8)),
    Lie("signature longer than the room", "5.11 C_Sign", "C_Sign * length 1000000"),
    Lie("signature one byte short", "5.11 C_Sign", "C_Sign * length 63", (6, 8)),
    Lie("signature in DER", "4.3.1: r and s, not DER", "C_Sign * der", (6, 8), "same"),
    Lie("C_Sign says OK and gives nothing", "5.11 C_Sign", "C_Sign * answer OK", (6, 8)),
    Lie("second signature is wrong", "5.11 C_Sign", "C_Sign 2+ garbage", (6,)),
    # ---- what a library must not do to its process ----
    Lie("crash in C_Initialize", "process", "C_Initialize * crash"),
    Lie("crash in C_GetTokenInfo", "process", f"{TOKEN} 2 crash"),
    Lie("crash in C_Login", "process", "C_Login * crash"),
    Lie("crash in C_FindObjects", "process", f"{FIND} 1 crash"),
    Lie("crash in C_GetAttributeValue", "process", f"{READ} 1 crash"),
    Lie("crash in C_Sign", "process", "C_Sign 1 crash"),
    Lie("crash in C_GenerateKeyPair", "process", f"{PAIR} 1 crash"),
    Lie("crash in C_CreateObject", "process", "C_CreateObject 1 crash"),
    Lie("crash in C_CloseSession", "process", "C_CloseSession 1 crash", (0, 1, 8), "same"),
    Lie("crash in C_Finalize", "process", "C_Finalize * crash", (0, 1), "same"),
    Lie("abort() in a call", "process", f"{TOKEN} 1 deed abort"),
    Lie("stack that is run out of", "process", f"{TOKEN} 1 deed recursion"),
    Lie("stack that is smashed", "process", f"{TOKEN} 1 deed smash"),
    Lie("memory that is freed twice", "process", f"{TOKEN} 1 deed free-twice"),
    Lie("division by zero", "process", f"{TOKEN} 1 deed divide"),
    Lie("exit(0) in a call", "process", f"{TOKEN} 1 exit 0"),
    Lie("exit(0) in C_Sign", "process", "C_Sign 1 exit 0"),
    Lie("exit(77) in C_Finalize", "process", "C_Finalize * exit 77", (0, 1), "same"),
    Lie("signal handlers taken away, then a crash", "process", f"C_Initialize * deed signals\n{TOKEN} 1 crash"),
    Lie("signal handlers taken away", "process", "C_Initialize * deed signals", (0, 1), "same"),
    Lie("words on standard error", "process", "C_Initialize * deed print-error", (0, 1), "same"),
    Lie("words on standard output", "process: they come out, but nothing else may change", "C_Initialize * deed print", (0, 1), "same"),
    Lie("another locale", "process", "C_Initialize * deed locale", (0, 1), "same"),
    Lie("umask of 0", "process", "C_Initialize * deed umask", (0, 1), "same"),
    Lie("another working folder", "process", "C_Initialize * deed folder", (0, 1), "same"),
    Lie("standard input closed", "process", "C_Initialize * deed close-input", (0, 1), "same"),
    Lie("standard output closed", "process", "C_Initialize * deed close-output", (0, 1), "same"),
    Lie("a child that ends at once", "process", "C_Initialize * deed child", (0, 1), "same"),
    Lie("a thread of its own", "process", "C_Initialize * deed thread", (0, 1), "same"),
    Lie("all memory eaten", "process", f"{TOKEN} 1 deed eat", (8, 9, 70), "same", memory=256),
    # ---- hanging and going away ----
    Lie("hang in C_Initialize", "deadline", "C_Initialize * hang"),
    Lie("hang in C_GetTokenInfo", "deadline", f"{TOKEN} 1 hang"),
    Lie("hang in C_OpenSession", "deadline", "C_OpenSession 1 hang"),
    Lie("hang in C_Login", "deadline", "C_Login * hang"),
    Lie("hang in C_FindObjects", "deadline", f"{FIND} 1 hang"),
    Lie("hang in C_Sign", "deadline", "C_Sign 1 hang"),
    Lie("hang in C_Finalize", "deadline", "C_Finalize * hang", (0, 1), "same"),
    Lie("a slow trickle", "deadline: each call is in time", f"{READ} 1 sleep 60\n{FIND} 1 sleep 60", (0, 1), "same"),
    Lie("removed from the third call on", "5.1.2 CKR_DEVICE_REMOVED", "* 3+ answer DEVICE_REMOVED"),
    Lie("removed at the search", "5.1.2 CKR_DEVICE_REMOVED", f"{FIND} 1+ answer DEVICE_REMOVED"),
    Lie("an answer that is not in the standard", "3.1: CKR codes", f"{READ} 1 answer 0x1234567", LOST, "shown"),
]
