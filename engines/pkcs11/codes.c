/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a module's answer means: one row for each code of the standard and of ours. `keystow help CODE` prints a row.
 */
#include "codes.h"

#include "calls.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

#define ROW(code, status, words, causes, next)                                                                         \
	{                                                                                                              \
		code, #code, status, words, causes, next                                                               \
	}
static const struct ks_p11_code codes[] = {
	ROW(CKR_OK, KS_OK, "did what was asked",
	    "Nothing is wrong.",
	    "nothing"),
	ROW(CKR_CANCEL, KS_ECANCELLED, "says that it was stopped",
	    "A callback of the program, or a person at the device, stopped it.",
	    "run it again when it should go on"),
	ROW(CKR_HOST_MEMORY, KS_ENOMEM, "says that there is not enough memory",
	    "This computer, or a limit of this process, is short of memory; some modules say it of any resource, such "
	    "as a context in a TPM.",
	    "close something or raise the limit; with a TPM run a resource manager (tpm2-abrmd)"),
	ROW(CKR_SLOT_ID_INVALID, KS_EGONE, "is not in its slot any more",
	    "Slots are counted anew when readers or tokens come and go, or when a token is initialised.",
	    "name the token by its serial number, not by its slot: keystow token list"),
	ROW(CKR_GENERAL_ERROR, KS_ETOKEN, "reports a general error",
	    "The module gives no reason. Often: its configuration or daemon is missing, an id or name is in use "
	    "already, or the token is damaged.",
	    "look at the call before it with --trace; check the variables and the daemon that the module needs "
	    "(SOFTHSM2_CONF, pcscd)"),
	ROW(CKR_FUNCTION_FAILED, KS_ETOKEN, "could not do it and does not say why",
	    "The module gives no reason, but the session goes on.",
	    "run it again; with --trace the calls before it may tell more"),
	ROW(CKR_ARGUMENTS_BAD, KS_ETOKEN, "does not accept the arguments",
	    "The module wants other arguments; at C_Initialize it wants its own string, as NSS does.",
	    "set init-args under [module NAME] in the configuration"),
	ROW(CKR_NO_EVENT, KS_ETOKEN, "has no news of its slots",
	    "No token was plugged in or taken out.",
	    "nothing"),
	ROW(CKR_NEED_TO_CREATE_THREADS, KS_EMODULE, "wants to start threads of its own",
	    "The module was forbidden to start threads and cannot work so.",
	    "use it in a process of its own: load = isolated"),
	ROW(CKR_CANT_LOCK, KS_EMODULE, "cannot work in a program with threads",
	    "The module cannot share itself between threads the way it was asked to.",
	    "use it in a process of its own: load = isolated"),
	ROW(CKR_ATTRIBUTE_READ_ONLY, KS_EUNABLE, "does not let this be changed",
	    "Some attributes are fixed when the object is made; some devices fix all of them.",
	    "make the object anew with the attribute as it should be"),
	ROW(CKR_ATTRIBUTE_SENSITIVE, KS_EUNABLE, "keeps this to itself",
	    "A private or secret value was asked for, and the token is there to keep it.",
	    "nothing: use the key inside the token"),
	ROW(CKR_ATTRIBUTE_TYPE_INVALID, KS_EUNABLE, "does not know one of the attributes",
	    "The token or module is older than the attribute, or has no such attribute for this kind of object.",
	    "update the module; keystow leaves out what a token does not know where it can"),
	ROW(CKR_ATTRIBUTE_VALUE_INVALID, KS_EUNABLE, "does not accept one of the values; it may be in use already",
	    "A value is not allowed: a label that is in use, a date that is none, a number out of range.",
	    "choose another label or id: keystow list TOKEN shows those in use"),
	ROW(CKR_ACTION_PROHIBITED, KS_EUNABLE, "forbids this for this object",
	    "The object forbids it (CKA_COPYABLE, CKA_DESTROYABLE false), or a policy of the device does.",
	    "nothing, unless the device has a policy that its security officer can change"),
	ROW(CKR_DATA_INVALID, KS_ETOKEN, "does not accept the data",
	    "The data is not what the mechanism works on.",
	    "-v shows the call; another mechanism or a digest may be needed"),
	ROW(CKR_DATA_LEN_RANGE, KS_ETOKEN, "does not accept data of this length",
	    "Too long for the key: RSA takes its modulus less the padding, ECDSA a digest.",
	    "sign a digest, or use a larger key"),
	ROW(CKR_DEVICE_ERROR, KS_ETOKEN, "reports an error of the device",
	    "The device or the way to it failed: a loose plug, a crashed firmware, a broken reader, a remote HSM out "
	    "of reach.",
	    "take it out and in again; look into the log of its daemon (pcscd)"),
	ROW(CKR_DEVICE_MEMORY, KS_EFULL, "has no room left",
	    "The device is full; smart cards hold a few dozen keys and certificates.",
	    "keystow list TOKEN shows what is on it, keystow remove makes room"),
	ROW(CKR_DEVICE_REMOVED, KS_EGONE, "was removed",
	    "It was pulled out, lost its power, or its reader or server went away.",
	    "plug it in and run the command again"),
	ROW(CKR_ENCRYPTED_DATA_INVALID, KS_EDAMAGED, "cannot decrypt this",
	    "It was encrypted for another key, with another padding, or was changed.",
	    "check which key it was encrypted for"),
	ROW(CKR_ENCRYPTED_DATA_LEN_RANGE, KS_EDAMAGED, "cannot decrypt data of this length",
	    "It was encrypted for a key of another size.",
	    "check which key it was encrypted for"),
	ROW(CKR_FUNCTION_CANCELED, KS_ECANCELLED, "says that its user stopped it",
	    "A person at the device pressed cancel, or the time for it ran out.",
	    "run it again and confirm at the device"),
	ROW(CKR_FUNCTION_NOT_PARALLEL, KS_EUNABLE, "does nothing in parallel",
	    "Functions in parallel were given up long ago.",
	    "nothing"),
	ROW(CKR_FUNCTION_NOT_SUPPORTED, KS_EUNABLE, "cannot do that",
	    "The module lacks the function, or the device has no such ability.",
	    "keystow token info TOKEN lists its mechanisms; make the key inside, instead of importing it"),
	ROW(CKR_KEY_HANDLE_INVALID, KS_ECHANGED, "does not have the key any more",
	    "The key was removed or the session renewed since it was found.",
	    "run it again"),
	ROW(CKR_KEY_SIZE_RANGE, KS_EUNABLE, "does not make or use keys of this size",
	    "The device has limits for each kind of key.",
	    "keystow token info TOKEN lists its mechanisms; choose another --type"),
	ROW(CKR_KEY_TYPE_INCONSISTENT, KS_EUNABLE, "cannot use this kind of key for it",
	    "An EC key was to do what RSA does, or the other way round.",
	    "keystow show ENTRY tells the kind of key"),
	ROW(CKR_KEY_NOT_NEEDED, KS_ETOKEN, "was given a key that it has no use for",
	    "A key was given to a mechanism without one.",
	    "-v shows the call; please report it"),
	ROW(CKR_KEY_CHANGED, KS_ECHANGED, "was given another key than the one that the operation began with",
	    "The operation was saved with another key.",
	    "begin the operation anew"),
	ROW(CKR_KEY_NEEDED, KS_ETOKEN, "wants the key again to go on",
	    "The saved operation does not hold its key.",
	    "begin the operation anew"),
	ROW(CKR_KEY_INDIGESTIBLE, KS_EUNABLE, "does not digest keys of this kind",
	    "The token digests no keys, or not this kind.",
	    "nothing"),
	ROW(CKR_KEY_FUNCTION_NOT_PERMITTED, KS_EUNABLE, "does not allow this use of the key",
	    "The key was made without this use (CKA_SIGN, CKA_DECRYPT, CKA_DERIVE, CKA_WRAP false), and a device may "
	    "allow only one.",
	    "use another key, or make one for this use: keystow help generate"),
	ROW(CKR_KEY_NOT_WRAPPABLE, KS_EUNABLE, "cannot wrap this key",
	    "The key may not leave, or not under this wrapping key (CKA_WRAP_WITH_TRUSTED).",
	    "use a trusted wrapping key, or make the next key so that it may be backed up"),
	ROW(CKR_KEY_UNEXTRACTABLE, KS_EUNABLE, "never gives this key away",
	    "It was made with CKA_EXTRACTABLE false, which cannot be taken back.",
	    "nothing: that is its protection. A second device with a second key is the way to be safe from loss"),
	ROW(CKR_MECHANISM_INVALID, KS_EUNABLE, "does not know this mechanism",
	    "The token does not have this algorithm, or not for this use; remoting by p11-kit hides those it does not "
	    "know.",
	    "keystow token info TOKEN lists its mechanisms; choose another --type"),
	ROW(CKR_MECHANISM_PARAM_INVALID, KS_EUNABLE, "does not accept these parameters",
	    "A hash, salt length or curve that the token does not combine with the mechanism.",
	    "choose another --type or another hash"),
	ROW(CKR_OBJECT_HANDLE_INVALID, KS_ECHANGED, "does not have the object any more",
	    "It was removed, or belongs to a session that ended.",
	    "run it again"),
	ROW(CKR_OPERATION_ACTIVE, KS_EBUSY, "is busy with another operation",
	    "The session has an operation that was begun and not ended.",
	    "run it again; if it stays, restart the program that holds the token"),
	ROW(CKR_OPERATION_NOT_INITIALIZED, KS_ETOKEN, "forgot the operation that was started",
	    "The token forgot what was begun: it was reset, or another program used the session.",
	    "run it again"),
	ROW(CKR_PIN_INCORRECT, KS_EPIN, "says that the PIN is wrong",
	    "A slip of the finger, an old PIN in a file, or the PIN of another token. One try was used.",
	    "stop when unsure: keystow token info TOKEN tells how many tries are left, as far as the token tells"),
	ROW(CKR_PIN_INVALID, KS_EPIN, "does not accept such a PIN",
	    "It has characters that the token does not take; smart cards often want digits.",
	    "choose a PIN of digits"),
	ROW(CKR_PIN_LEN_RANGE, KS_EPIN, "does not accept a PIN of this length",
	    "Too short or too long.",
	    "keystow token info TOKEN shows the lengths that it takes"),
	ROW(CKR_PIN_EXPIRED, KS_EPIN, "says that the PIN has expired",
	    "The PIN was right, but is too old, or is the one the device came with.",
	    "keystow token pin TOKEN sets a new one"),
	ROW(CKR_PIN_LOCKED, KS_ELOCKED, "has its PIN locked",
	    "Too many wrong PINs were sent. The keys are not lost.",
	    "the security officer sets a new PIN: keystow token pin TOKEN --unblock"),
	ROW(CKR_SESSION_CLOSED, KS_EGONE, "closed the session",
	    "The token or the module ended it.",
	    "run it again"),
	ROW(CKR_SESSION_COUNT, KS_EBUSY, "has no session left",
	    "Other programs, or earlier runs that were killed, hold all sessions.",
	    "end the other programs; taking the device out and in ends forgotten sessions"),
	ROW(CKR_SESSION_HANDLE_INVALID, KS_EGONE, "ended the session, as it does when it was removed or reset",
	    "The device was taken out, reset, or slept; or something else in the process closed all sessions.",
	    "run it again"),
	ROW(CKR_SESSION_PARALLEL_NOT_SUPPORTED, KS_ETOKEN, "wants another kind of session",
	    "Sessions in parallel were given up long ago.",
	    "nothing; please report it with --trace"),
	ROW(CKR_SESSION_READ_ONLY, KS_EUNABLE, "may only be read in this session",
	    "The token is write-protected, or its module opens it for reading only.",
	    "keystow token info TOKEN tells whether it is write-protected"),
	ROW(CKR_SESSION_EXISTS, KS_EBUSY, "is in use by another session",
	    "A token is initialised, or its PIN set, only when nobody has a session on it.",
	    "end the other programs that use the token"),
	ROW(CKR_SESSION_READ_ONLY_EXISTS, KS_EBUSY, "is in use by a reading session",
	    "The security officer cannot log in beside a session for reading.",
	    "end the other programs that use the token"),
	ROW(CKR_SESSION_READ_WRITE_SO_EXISTS, KS_EBUSY, "is in use by its security officer",
	    "The security officer is logged in.",
	    "wait until that is over"),
	ROW(CKR_SIGNATURE_INVALID, KS_EPROOF, "says that the signature does not verify",
	    "Other data, another key, or a changed signature.",
	    "check which certificate belongs to it"),
	ROW(CKR_SIGNATURE_LEN_RANGE, KS_EPROOF, "says that no signature of this key has this length",
	    "It was made by a key of another kind or size.",
	    "check which certificate belongs to it"),
	ROW(CKR_TEMPLATE_INCOMPLETE, KS_ETOKEN, "wants more attributes",
	    "The device wants an attribute that was not given, such as an id or a subject.",
	    "give a label; please report it with --trace"),
	ROW(CKR_TEMPLATE_INCONSISTENT, KS_EUNABLE, "does not accept these attributes together",
	    "The device does not do this combination, such as a key that is not sensitive, or the id is in use.",
	    "keystow list TOKEN shows the ids in use; --trace shows the attributes"),
	ROW(CKR_TOKEN_NOT_PRESENT, KS_EGONE, "is not there any more",
	    "It was pulled out, or the slot never had one.",
	    "plug it in: keystow token list shows those present"),
	ROW(CKR_TOKEN_NOT_RECOGNIZED, KS_ETOKEN, "is not recognised by its module; it may be damaged",
	    "The card is of another make than the module is for, or what is stored on it is damaged; SoftHSM says it "
	    "of a token whose file was cut.",
	    "try the module of its maker; restore a backup of the token's folder"),
	ROW(CKR_TOKEN_WRITE_PROTECTED, KS_EUNABLE, "is write-protected",
	    "A switch, a policy, or a module that only reads.",
	    "use the maker's module, or its tool, to write"),
	ROW(CKR_UNWRAPPING_KEY_HANDLE_INVALID, KS_ECHANGED, "does not have the unwrapping key any more",
	    "It was removed since it was found.",
	    "run it again"),
	ROW(CKR_UNWRAPPING_KEY_SIZE_RANGE, KS_EUNABLE, "does not unwrap with a key of this size",
	    "The mechanism wants a key of another size.",
	    "check with which key it was wrapped"),
	ROW(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, KS_EUNABLE, "does not unwrap with this kind of key",
	    "The mechanism wants a key of another kind.",
	    "check with which key it was wrapped"),
	ROW(CKR_USER_ALREADY_LOGGED_IN, KS_ETOKEN, "says that somebody else in this process is logged in, so the PIN was not checked",
	    "Another part of the same program logged in.",
	    "end the other part, or let it do the work"),
	ROW(CKR_USER_NOT_LOGGED_IN, KS_ETOKEN, "wants a login for this",
	    "Private objects need the PIN; some keys want it again for each signature, and some devices forget a "
	    "login.",
	    "give a PIN source: --pin-source"),
	ROW(CKR_USER_PIN_NOT_INITIALIZED, KS_ETOKEN, "has no user PIN yet",
	    "The token is new and only has its security officer's PIN.",
	    "keystow token pin TOKEN --unblock sets the first user PIN"),
	ROW(CKR_USER_TYPE_INVALID, KS_EUNABLE, "does not know this kind of user",
	    "The device has no such user, or not at this moment.",
	    "nothing; please report it with --trace"),
	ROW(CKR_USER_ANOTHER_ALREADY_LOGGED_IN, KS_ETOKEN, "has another user logged in",
	    "User and security officer exclude each other in one program.",
	    "run it again when the other is logged out"),
	ROW(CKR_USER_TOO_MANY_TYPES, KS_ETOKEN, "has too many users logged in",
	    "The device allows fewer kinds of users at a time.",
	    "log the others out"),
	ROW(CKR_WRAPPED_KEY_INVALID, KS_EDAMAGED, "cannot unwrap this",
	    "It was wrapped with another key, is damaged, or is not a wrapped key.",
	    "check with which key it was wrapped"),
	ROW(CKR_WRAPPED_KEY_LEN_RANGE, KS_EDAMAGED, "cannot unwrap a key of this length",
	    "The backup is cut, or of another kind of key.",
	    "check the backup's size"),
	ROW(CKR_WRAPPING_KEY_HANDLE_INVALID, KS_ECHANGED, "does not have the wrapping key any more",
	    "It was removed since it was found.",
	    "run it again"),
	ROW(CKR_WRAPPING_KEY_SIZE_RANGE, KS_EUNABLE, "does not wrap with a key of this size",
	    "The mechanism wants a key of another size.",
	    "keystow token info TOKEN lists its mechanisms"),
	ROW(CKR_WRAPPING_KEY_TYPE_INCONSISTENT, KS_EUNABLE, "does not wrap with this kind of key",
	    "The mechanism wants a key of another kind.",
	    "keystow token info TOKEN lists its mechanisms"),
	ROW(CKR_RANDOM_SEED_NOT_SUPPORTED, KS_EUNABLE, "takes no seed for its random numbers",
	    "It makes its random numbers alone.",
	    "nothing"),
	ROW(CKR_RANDOM_NO_RNG, KS_EUNABLE, "has no random numbers",
	    "The token makes no random numbers, and so no keys.",
	    "make the key elsewhere and import it"),
	ROW(CKR_DOMAIN_PARAMS_INVALID, KS_EUNABLE, "does not accept this curve",
	    "The curve is not one of the device's.",
	    "choose another --type: p256 is known to most"),
	ROW(CKR_CURVE_NOT_SUPPORTED, KS_EUNABLE, "does not know this curve",
	    "The curve is not one of the device's.",
	    "choose another --type: p256 is known to most"),
	ROW(CKR_BUFFER_TOO_SMALL, KS_ELIES, "keeps asking for more room",
	    "The module told a length and then wanted more, again and again.",
	    "update the module"),
	ROW(CKR_SAVED_STATE_INVALID, KS_ECHANGED, "does not recognise the saved operation",
	    "It comes from another token or another version of it.",
	    "begin the operation anew"),
	ROW(CKR_INFORMATION_SENSITIVE, KS_EUNABLE, "keeps this to itself",
	    "The token is there to keep it.",
	    "nothing"),
	ROW(CKR_STATE_UNSAVEABLE, KS_EUNABLE, "cannot save this operation",
	    "Most devices cannot save an operation.",
	    "nothing"),
	ROW(CKR_CRYPTOKI_NOT_INITIALIZED, KS_EGONE, "lost its module, which something else in this process ended",
	    "Another library in the same program ended the module for everybody, or the process was forked.",
	    "let both use p11-kit-proxy.so; a forked process starts its modules anew"),
	ROW(CKR_CRYPTOKI_ALREADY_INITIALIZED, KS_EMODULE, "is in use already by something else in this process",
	    "Another library in the same program uses the module.",
	    "let both use p11-kit-proxy.so"),
	ROW(CKR_MUTEX_BAD, KS_EMODULE, "was given a lock that is none",
	    "A mistake in the program's or the module's locking.",
	    "please report it with --trace"),
	ROW(CKR_MUTEX_NOT_LOCKED, KS_EMODULE, "gave back a lock that it did not hold",
	    "A mistake in the program's or the module's locking.",
	    "please report it with --trace"),
	ROW(CKR_NEW_PIN_MODE, KS_EPIN, "wants a new PIN before anything else",
	    "A one-time password token wants to be set up.",
	    "set its PIN with its maker's tool"),
	ROW(CKR_NEXT_OTP, KS_EPIN, "wants the next one-time password",
	    "A one-time password token lost its step.",
	    "synchronise it with its maker's tool"),
	ROW(CKR_EXCEEDED_MAX_ITERATIONS, KS_ETOKEN, "gave up a search for numbers after too many turns",
	    "Parameters with rare properties were asked for.",
	    "run it again"),
	ROW(CKR_FIPS_SELF_TEST_FAILED, KS_EMODULE, "failed its self test",
	    "The module or device checks itself at the start and found a fault.",
	    "update or replace it; do not use it as it is"),
	ROW(CKR_LIBRARY_LOAD_FAILED, KS_EMODULE, "could not load a library that it needs",
	    "A library that the module needs is missing or of another version.",
	    "ldd MODULE shows what is missing"),
	ROW(CKR_PIN_TOO_WEAK, KS_EPIN, "says that the new PIN is too weak",
	    "The device has rules for PINs: length, kinds of characters, no repetitions.",
	    "choose a longer PIN"),
	ROW(CKR_PUBLIC_KEY_INVALID, KS_ETOKEN, "does not accept the public key",
	    "The point is not on the curve, or the modulus is none.",
	    "check the certificate or key that was given"),
	ROW(CKR_FUNCTION_REJECTED, KS_ECANCELLED, "says that its user refused",
	    "A person at the device, or a policy, said no.",
	    "run it again and confirm at the device"),
	ROW(CKR_VENDOR_DEFINED, KS_ETOKEN, "gives a code of its maker's own",
	    "Codes from 0x80000000 on belong to the maker of the module.",
	    "the maker's documents explain it"),
	{ KS_CKR_LENGTH, "length out of bounds", KS_ELIES, "claims a length that does not fit",
	  "The module or the device is broken, or its server lies.",
	  "update the module. The answer was not used" },
	{ KS_CKR_COUNT, "count out of bounds", KS_ELIES, "gives more than it was asked for",
	  "The module or the device is broken, or its server lies.",
	  "update the module. The answer was not used" },
	{ KS_CKR_HANDLE, "handle 0", KS_ELIES, "reports success but gives no handle",
	  "The module is broken.",
	  "update the module. The answer was not used" },
	{ KS_CKR_FUNCTION, "function missing", KS_ELIES, "lacks a function that every module must have",
	  "It is no whole PKCS#11 module.",
	  "use the module of the device's maker" },
	{ KS_CKR_ENDLESS, "list without end", KS_ELIES, "gives a list that does not end",
	  "The module is broken, or the token changes all the time.",
	  "update the module" },
	{ KS_CKR_VERSION, "version unknown", KS_ELIES, "claims a version of PKCS#11 that does not exist",
	  "It is no PKCS#11 module, or a broken one.",
	  "use the module of the device's maker" },
	{ KS_CKR_FORKED, "started by the parent process", KS_EGONE, "belongs to the process that opened it; its child has to call ks_after_fork first",
	  "The program was forked with its modules in use.",
	  "a forked process has to start them anew: ks_after_fork" },
	{ KS_CKR_VALUE, "other than written", KS_ELIES, "gives back something other than what was written",
	  "The device changed or dropped something, such as a label.",
	  "keystow list TOKEN shows what is there" },
	{ KS_CKR_NOTHING, "nothing given", KS_ELIES, "reports success but gives nothing",
	  "The module is broken.",
	  "update the module" },
	{ KS_CKR_KEPT, "still there", KS_ELIES, "says that it removed something, but still has it",
	  "The device does not remove such objects, or its module does not say why not.",
	  "keystow list TOKEN shows what is there; the tool of the device's maker may remove it" },
	{ KS_CKR_STOPPED, "stopped", KS_ECANCELLED, "was left alone, because the command was told to stop",
	  "A signal told the command to end.",
	  "run it again" },
	{ KS_CKR_SIGNATURE, "signature does not verify", KS_EPROOF, "gave a signature that does not verify with the public key",
	  "The device is broken, or its public key is not the key's.",
	  "do not use what it signs; keystow verify ENTRY checks the pair" },
};

#define ANY NULL

/*
 * What a code means in one call, or of one make of token, where that is more than what it always means. `maker` is a part of the
 * token's manufacturer or model. The first row that fits counts.
 */
static const struct advice_row {
	const char *function; /* ANY = all */
	CK_RV rv;
	const char *maker; /* ANY = all */
	const char *words; /* NULL = those of the code */
	const char *next;
} advice[] = {
	/* OpenSC 0.23 with a SmartCard-HSM answers a second key of one id so (OpenSC/OpenSC#1613). */
	{ "C_GenerateKeyPair", CKR_GENERAL_ERROR, "CardContact",
	  "reports a general error, as it does when the id is already used on this card",
	  "keystow list TOKEN shows the ids in use; choose another one, or remove what has it" },
	{ "C_CreateObject", CKR_FUNCTION_NOT_SUPPORTED, "CardContact",
	  "takes in no private keys: a SmartCard-HSM only unwraps those that were wrapped for it",
	  "make the key inside: keystow generate" },
	/* NSS 3.87: one certificate for each issuer and serial number; one key for each nickname. */
	{ "C_CreateObject", CKR_GENERAL_ERROR, "Mozilla",
	  "reports a general error, as NSS does when it has a certificate with this issuer and serial number",
	  "keystow list TOKEN shows it; remove the other one first" },
	{ "C_SetAttributeValue", CKR_ATTRIBUTE_VALUE_INVALID, "Mozilla",
	  "does not accept the label; NSS allows each only once", "choose another label" },
	{ "C_Initialize", CKR_ARGUMENTS_BAD, ANY, "does not start without a string of its own, or not with this one",
	  "set init-args under [module NAME] in the configuration; NSS wants configdir='sql:FOLDER' and more" },
	{ "C_Initialize", CKR_GENERAL_ERROR, ANY, "does not start; its configuration or its daemon may be missing",
	  "check the variables and the daemon that it needs (SOFTHSM2_CONF, pcscd)" },
	{ "C_Initialize", CKR_DEVICE_ERROR, ANY, "does not start; its configuration or its daemon may be missing",
	  "check the variables and the daemon that it needs (SOFTHSM2_CONF, pcscd)" },
	{ "C_GenerateKeyPair", CKR_MECHANISM_INVALID, ANY, "does not make this kind of key",
	  "keystow token info TOKEN lists its mechanisms; choose another --type" },
	{ "C_GenerateKeyPair", CKR_FUNCTION_NOT_SUPPORTED, ANY, "makes no keys",
	  "make the key elsewhere and import it, or use its maker's tool" },
	{ "C_InitToken", CKR_PIN_INCORRECT, ANY, "says that its security officer's PIN is wrong",
	  "the PIN that was set when it was initialised is needed; keystow token info TOKEN tells whether it locks" },
	{ "C_SetPIN", CKR_PIN_LEN_RANGE, ANY, "does not accept a new PIN of this length",
	  "keystow token info TOKEN shows the lengths that it takes" },
	{ "C_SetPIN", CKR_PIN_INVALID, ANY, "does not accept such a new PIN", "choose a PIN of digits" },
	{ "C_InitPIN", CKR_PIN_LEN_RANGE, ANY, "does not accept a new PIN of this length",
	  "keystow token info TOKEN shows the lengths that it takes" },
	{ "C_Sign", CKR_USER_NOT_LOGGED_IN, ANY, "wants its PIN for each signature of this key",
	  "give a PIN source that can be asked each time: --pin-source" },
	{ "C_SignInit", CKR_KEY_FUNCTION_NOT_PERMITTED, ANY, "does not allow this key to sign",
	  "use another key; keystow show ENTRY tells what a key is for" },
	{ "C_DecryptInit", CKR_KEY_FUNCTION_NOT_PERMITTED, ANY, "does not allow this key to decrypt",
	  "make one that may: keystow generate --decrypt" },
};

static const struct ks_p11_code *code_row(CK_RV rv)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (codes[i].rv == rv)
			return &codes[i];
	}
	return NULL;
}

const struct ks_p11_code *ks_p11_code_nth(size_t n)
{
	return n < sizeof(codes) / sizeof(codes[0]) ? &codes[n] : NULL;
}

static bool made_by(const struct ks_p11_on *on, const char *maker)
{
	return maker == ANY || (on->maker && strstr(on->maker, maker));
}

static const struct advice_row *advice_row(const struct ks_p11_on *on, const char *function, CK_RV rv)
{
	for (size_t i = 0; i < sizeof(advice) / sizeof(advice[0]); i++) {
		const struct advice_row *row = &advice[i];

		if (row->rv == rv && (row->function == ANY || strcmp(row->function, function) == 0) && made_by(on, row->maker))
			return row;
	}
	return NULL;
}

const char *ks_p11_code_name(CK_RV rv)
{
	const struct ks_p11_code *row = code_row(rv);

	return row && rv != CKR_VENDOR_DEFINED ? row->name : NULL;
}

int ks_p11_status(CK_RV rv)
{
	const struct ks_p11_code *row = code_row(rv);

	return row ? row->status : KS_ETOKEN;
}

int ks_p11_sentence(char *out, size_t room, const struct ks_p11_on *on, CK_RV rv)
{
	const struct advice_row *special = advice_row(on, ks_p11_last_call(), rv);
	const struct ks_p11_code *row = code_row(rv);

	if (on->module->isolated && (rv == CKR_DEVICE_REMOVED || rv == CKR_DEVICE_ERROR)) {
		snprintf(out, room, "module %s, which runs isolated, has ended or lost its device in %s", on->module->shown,
			 ks_p11_last_call());
		return ks_p11_status(rv);
	}
	snprintf(out, room, "%s %s %s", on->token ? "token" : "module", on->token ? on->token : on->module->shown,
		 special && special->words ? special->words
		 : row			   ? row->words
					   : "gives an answer that is not in the standard");
	return ks_p11_status(rv);
}

/* What to do, with the address in place of TOKEN; nothing for a token that has none, or where there is nothing to do. */
void ks_p11_next(char *out, size_t room, const struct ks_p11_on *on, CK_RV rv)
{
	const struct advice_row *special = advice_row(on, ks_p11_last_call(), rv);
	const struct ks_p11_code *row = code_row(rv);
	const char *next = special ? special->next : row ? row->next : "", *place = strstr(next, "TOKEN");
	ks_auto_mem char *word = on->uri ? ks_text_word(on->uri) : NULL;

	*out = '\0';
	if (strncmp(next, "nothing", 7) == 0 || strstr(next, "ENTRY") || (place && !word))
		return;
	if (place)
		snprintf(out, room, "%.*s%s%s", (int)(place - next), next, word, place + 5);
	else
		snprintf(out, room, "%s", next);
}
