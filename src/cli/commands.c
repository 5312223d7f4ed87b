/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands, one row each, in the order of help.
 */
#include "commands.h"

#include <string.h>

#define MANY ((size_t)-1)

const struct command commands[] = {
	[VERB_LIST] = { "list", "what is in stores", "[STORE[#LABEL]...]", VALUE_STORE, false, 0, MANY,
			"Lists the entries of each STORE, or the one that is named; without STORE those of every store in the configuration and "
			"of every token. Then "
			"trusted CAs are only counted, unless --all is given.\n"
			"Tokens are not logged in to unless --pin-source is given or the address names a source.",
			"keystow list p12:alice.p12\n"
			"keystow list --expires-within 30d -q || echo renew something\n"
			"keystow list --json pkcs11:token=usbhsm",
			list_run },
	[VERB_SHOW] = { "show", "everything about an entry", "STORE[#LABEL]...", VALUE_STORE, false, 1, MANY,
			"Shows each entry with its parts, its chain and where its key lives. Without #LABEL every "
			"entry of the store is shown.",
			"keystow show p12:alice.p12#web\n"
			"keystow show request.csr\n"
			"keystow show 'pkcs11:token=usbhsm;object=my_key3'",
			show_run },
	[VERB_FIND] = { "find", "search stores", "TEXT [STORE...]", VALUE_STORE, false, 1, MANY,
			"Looks for TEXT in labels, subjects, issuers, serial numbers, digests and alternative names; "
			"case is ignored. Without STORE "
			"it looks where list looks. Exit 1 when nothing matches.",
			"keystow find example.org\n"
			"keystow find ab12cd34 p12:alice.p12\n"
			"keystow find --json 'CN=SSSCA' ca-bundle.pem",
			find_run },
	[VERB_DIFF] = { "diff", "what differs between two stores", "LEFT RIGHT", VALUE_STORE, false, 2, 2,
			"Compares entry by entry. + is only in RIGHT, - only in LEFT, ~ has the same key or label and "
			"something else changed. Exit "
			"1 when anything differs.",
			"keystow diff p12:old.p12 p12:new.p12\n"
			"keystow diff bundle.pem dir.pem --json\n"
			"keystow diff p12:a.p12 p12:b.p12 --pin-source file:a.pin --to-pin-source file:b.pin",
			diff_run },
	[VERB_VERIFY] = { "verify", "whether entries hold together", "STORE[#LABEL]...", VALUE_STORE, false, 1, MANY,
			  "Checks that key and certificate belong together, that the chain holds up to an anchor, "
			  "dates, and key strength. With a PIN or "
			  "password source the key also makes a signature that is verified. Exit 1 when a check fails.\n"
			  "With --for it tells of each entry whether that program sees it and can use it, why not, and what to do: "
			  "java (17), nss (3.87), openssl (with keystow's provider), openssl-engine (libp11 0.4.12), ssh (9.2), gnutls "
			  "(3.7). A token is logged in to then, because its private objects count. Exit 1 when one is of no use there.",
			  "keystow verify p12:alice.p12\n"
			  "keystow verify @hsm --for java --for nss\n"
			  "keystow verify p12:alice.p12#web --anchors /etc/ssl/certs/ca-certificates.crt\n"
			  "keystow verify 'pkcs11:token=usbhsm;object=my_key3' --pin-source file:usb.pin",
			  verify_run },
	[VERB_LINT] = { "lint", "what in stores makes trouble, and repairing it", "STORE...", VALUE_STORE, false, 1, MANY,
			"Looks for keys without id, certificates and public keys with another id or label than their key, one id with "
			"different keys, labels that two keys share, certificates without key, weak keys and expired certificates. With "
			"--fix ids and labels are repaired: the private key's count, a key without id gets its certificate's or the SHA-1 of "
			"its public key. Keys are never touched, and what was changed is read back. A token is logged in to. Exit 1 when "
			"something is left.",
			"keystow lint @hsm\n"
			"keystow lint @hsm --fix --dry-run\n"
			"keystow lint p12:alice.p12 --fix --pin-source file:alice.pin",
			lint_run },
	[VERB_NEW] = { "new", "make an empty store", "STORE", VALUE_STORE, false, 1, 1,
		       "Makes a store of the named kind. A store that can be sealed asks for its password twice.",
		       "keystow new p12:alice.p12\n"
		       "keystow new p12:alice.p12 --pin-source file:alice.pin\n"
		       "keystow new pem:anchors.pem",
		       new_run },
	[VERB_GENERATE] = { "generate", "make a key pair", "STORE#LABEL", VALUE_STORE, false, 1, 1,
			    "Makes a key pair: in a token inside the device, which never gives it away; in a file "
			    "store in software. The kind of key is "
			    "P-256 unless --type says otherwise.\n"
			    "What the key is for is told by --usage; in a token it can do nothing else. What a token did not "
			    "make of the wish is told after the key was read back; a key in a token is always sensitive, "
			    "and one that could be taken out is refused unless --allow-extractable is given.",
			    "keystow generate 'pkcs11:token=usbhsm;object=my_key3'\n"
			    "keystow generate p12:alice.p12#web --type rsa:3072\n"
			    "keystow generate @hsm#signer --type p384 --pin-source file:usb.pin\n"
			    "keystow generate @hsm#mail --type rsa:3072 --usage sign,decrypt --always-authenticate",
			    generate_run },
	[VERB_REQUEST] = { "request", "ask a CA for a certificate", "STORE#LABEL", VALUE_STORE, false, 1, 1,
			   "Writes a certificate request (PKCS#10) signed by the key, wherever it lives.",
			   "keystow request @hsm#my_key3 --subject CN=colinpaice,O=HW,C=GB -o hw.csr\n"
			   "keystow request p12:web.p12#web --subject CN=www.example.org --san dns:www.example.org -o "
			   "web.csr\n"
			   "keystow request p12:web.p12#web --subject CN=web >web.csr",
			   request_run },
	[VERB_ENROLL] = { "enroll", "key, request, certificate and writing back in one step", "STORE#LABEL",
			  VALUE_STORE, false, 1, 1,
			  "Makes the key if there is none, requests, signs with the CA of --ca, verifies, writes the "
			  "certificate back beside the key and "
			  "lists the result. Run again it goes on where it stopped, or says that there is nothing to "
			  "do.\n"
			  "With --from the operand is a store without #LABEL, and every line of the list is enrolled.",
			  "keystow enroll @hsm#my_key3 --ca ./ca --subject CN=colinpaice,O=HW,C=GB --profile client\n"
			  "keystow enroll p12:web.p12#web --ca ./ca --subject CN=www --san dns:www.example.org "
			  "--profile server\n"
			  "keystow enroll @hsm --from machines.list --ca ./ca --profile mutual",
			  enroll_run },
	[VERB_COPY] = { "copy", "copy entries into another store", "FROM[#LABEL] TO[#LABEL]", VALUE_STORE, false, 2, 2,
			"Copies one entry or a whole store. What the target cannot hold is said; --strict refuses "
			"instead. A key in a device cannot be "
			"copied; --as-uri writes a PEM file with its address, which openssl, nginx and curl can use as a key "
			"file. The target is made when it is absent. A private key that is copied into a token was known "
			"outside of it, which is said; the token proves with a signature that it has it. A token's address "
			"with type=data names a data object: any file is copied into one and out of it.",
			"keystow copy p12:alice.p12 pem:alice.pem\n"
			"keystow copy p12:alice.p12#web p12:web.p12#www\n"
			"keystow copy p12:alice.p12#web pkcs11:token=usbhsm --to-pin-source file:usb.pin\n"
			"keystow copy bundle.pem p12:anchors.p12 --to-pin-source file:new.pin\n"
			"keystow copy @hsm#web pem:web.key --as-uri\n"
			"keystow copy notes.txt 'pkcs11:token=usbhsm;object=notes;type=data'",
			copy_run },
	[VERB_INSTALL] = { "install", "put a certificate beside its key", "CERTIFICATE STORE", VALUE_STORE, false, 2, 2,
			   "Writes a certificate that a CA sent, and its chain, beside the key it belongs to; the key "
			   "is found by its public key.",
			   "keystow install hw.pem @hsm\n"
			   "keystow install web.p7b p12:web.p12\n"
			   "keystow install renewed.pem p12:web.p12 --replace",
			   install_run },
	[VERB_REMOVE] = { "remove", "remove an entry", "STORE#LABEL", VALUE_STORE, false, 1, 1,
			  "Removes the entry: its key, and its certificate with it. There is no way back; an earlier "
			  "copy (.old) goes too when a private "
			  "key is removed.",
			  "keystow remove p12:alice.p12#web\n"
			  "keystow remove p12:alice.p12#sha256:ab12cd34 --dry-run\n"
			  "keystow remove 'pkcs11:token=usbhsm;object=old_key'",
			  remove_run },
	[VERB_RENAME] = { "rename", "change a label", "STORE#LABEL NEW-LABEL", VALUE_STORE, false, 2, 2,
			  "Gives an entry another label; key and certificate keep belonging together.",
			  "keystow rename p12:alice.p12#web www\n"
			  "keystow rename p12:alice.p12#sha256:ab12cd34 anchor-1 --dry-run\n"
			  "keystow rename 'pkcs11:token=usbhsm;object=my_key3' colin",
			  rename_run },
	[VERB_PASSWD] = { "passwd", "change a store's password", "STORE", VALUE_STORE, false, 1, 1,
			  "Seals the store with a new password. An earlier copy (.old) is deleted, because the old "
			  "password opens it. The PIN of a token "
			  "is changed by token pin.",
			  "keystow passwd p12:alice.p12\n"
			  "keystow passwd p12:alice.p12 --pin-source file:old.pin --new-pin-source file:new.pin\n"
			  "keystow passwd p12:alice.p12 --new-pin-source fd:3 3<new.pin\n"
			  "keystow passwd kdb:key.kdb --stash",
			  passwd_run },
	[VERB_MERGE] = { "merge", "keep stores in step with a bundle", "BUNDLE STORE...", VALUE_STORE, false, 2, MANY,
			 "Adds the certificates of BUNDLE to each STORE and removes those that an earlier merge added "
			 "and that left the bundle. Private "
			 "keys, their chains and what you added yourself stay as they are, byte for byte.\n"
			 "All stores are tried; the exit code is that of the first failure in the order of the stores.",
			 "keystow merge bundle.pem p12:alice.p12 p12:bob.p12\n"
			 "keystow merge bundle.pem p12:alice.p12 --dry-run\n"
			 "keystow merge bundle.p7b pem:anchors.pem --allow-shrink",
			 merge_run },
	[VERB_ROLLBACK] = { "rollback", "go back to the copy before the last change", "STORE", VALUE_STORE, false, 1, 1,
			    "Exchanges the store with its earlier copy (.old); run twice it is back where it was. "
			    "Refused when the present store holds a "
			    "private key that the earlier copy lacks.",
			    "keystow rollback p12:alice.p12\n"
			    "keystow rollback pem:anchors.pem --json\n"
			    "keystow rollback p12:alice.p12 --pin-source file:alice.pin",
			    rollback_run },
	[VERB_CA_INIT] = { "ca init", "make a CA", "DIR", VALUE_FOLDER, false, 1, 1,
			   "Makes a folder with a CA's key, certificate and database. The key is sealed with a "
			   "password; without one (--no-password, or no "
			   "terminal and no source) it stays in the clear at mode 0600, and that is said. With --key "
			   "it lives in a token.",
			   "keystow ca init ./ca --subject CN=SSSCA,O=HW,C=GB\n"
			   "keystow ca init ./ca --subject CN=SSSCA --type p384 --days 3650 --pin-source file:ca.pin\n"
			   "keystow ca init ./ca --subject CN=SSSCA --key 'pkcs11:token=usbhsm;object=ca'",
			   ca_init_run },
	[VERB_CA_SIGN] = { "ca sign", "sign requests", "REQUEST...", VALUE_FILE, false, 1, MANY,
			   "Signs certificate requests. Each must prove that it holds its key, and what it asks for "
			   "must pass the profile. All requests "
			   "are signed, or none. Several requests need -o with a folder; a certificate is then named "
			   "after its request.",
			   "keystow ca sign hw.csr --ca ./ca --profile client -o hw.pem\n"
			   "keystow ca sign web.csr --ca ./ca --profile server --days 90 -o -\n"
			   "keystow ca sign *.csr --ca ./ca --profile mutual -o certs/",
			   ca_sign_run },
	[VERB_CA_LIST] = { "ca list", "what a CA has signed", "", VALUE_NONE, false, 0, 0,
			   "Lists the CA's database: every certificate, and every serial number whose signature may "
			   "have been made.",
			   "keystow ca list --ca ./ca\n"
			   "keystow ca list --ca @home\n"
			   "keystow ca list --ca ./ca --json",
			   ca_list_run },
	[VERB_TOKEN_LIST] = { "token list", "which tokens are there", "", VALUE_NONE, false, 0, 0,
			      "Lists the tokens of the configured PKCS#11 modules, or of --module.",
			      "keystow token list\n"
			      "keystow token list --module /usr/lib/softhsm/libsofthsm2.so\n"
			      "keystow token list --json",
			      token_list_run },
	[VERB_TOKEN_INFO] = { "token info", "what a token says of itself", "TOKEN", VALUE_STORE, false, 1, 1,
			      "Shows a token's make, PIN state, what it can do, and half-made objects with the command "
			      "that removes each.",
			      "keystow token info pkcs11:token=usbhsm\n"
			      "keystow token info @hsm\n"
			      "keystow token info pkcs11:serial=ea5a01 --json",
			      token_info_run },
	[VERB_TOKEN_INIT] = { "token init", "initialise a token", "TOKEN", VALUE_STORE, false, 1, 1,
			      "Gives a token a label, a security officer's PIN and a user PIN. Everything on the token "
			      "is lost, so a token that is "
			      "initialised already needs its security officer's PIN.",
			      "keystow token init 'pkcs11:slot-id=0' --label usbhsm\n"
			      "keystow token init 'pkcs11:slot-id=0' --label usbhsm --so-pin-source file:so.pin "
			      "--pin-source file:usb.pin\n"
			      "keystow token init pkcs11:serial=ea5a01 --label fresh",
			      token_init_run },
	[VERB_TOKEN_PIN] = { "token pin", "change, unblock or set a PIN", "TOKEN", VALUE_STORE, false, 1, 1,
			     "Changes the user PIN; with --unblock, and on a token that has no user PIN yet, the security "
			     "officer's PIN sets a new one; with --officer the security officer's own PIN is changed. A "
			     "length that the token does not take is not sent, and a PIN that is easy to guess is told. "
			     "A token with a pad of its own asks there.",
			     "keystow token pin pkcs11:token=usbhsm\n"
			     "keystow token pin @hsm --unblock\n"
			     "keystow token pin @hsm --officer --so-pin-source file:so.pin --new-pin-source file:new.pin\n"
			     "keystow token pin @hsm --pin-source file:old.pin --new-pin-source file:new.pin",
			     token_pin_run },
	[VERB_TOKEN_DOCTOR] = { "token doctor", "examine a token", "[TOKEN]", VALUE_STORE, false, 0, 1,
				"Tells the module and its version, the rules and state of the PIN, mechanisms, kinds of key, "
				"sessions, known quirks, what is on the token, and what needs care: keys without id, half "
				"pairs, keys that can be taken out, what Java and libp11 will not see. No secret is in it, so "
				"that it can be pasted into a report. Without TOKEN every token is examined. Private objects "
				"are looked at when a source of the PIN is named. With --write a key of each kind is made and "
				"removed again. Exit 1 when something needs care.",
				"keystow token doctor\n"
				"keystow token doctor --module /usr/lib/softhsm/libsofthsm2.so\n"
				"keystow token doctor @hsm --pin-source file:usb.pin --write --json",
				token_doctor_run },
	[VERB_TOKEN_BENCH] = { "token bench", "how fast a token is", "TOKEN[;object=LABEL]", VALUE_STORE, false, 1, 1,
			       "Logs in and lists the token, and measures signatures in one session: with the key that the "
			       "address names, or with --write by a key of each kind, which is made for it and removed again. "
			       "A few signatures go before those that count.",
			       "keystow token bench 'pkcs11:token=usbhsm;object=my_key3'\n"
			       "keystow token bench @hsm --write --seconds 5\n"
			       "keystow token bench @hsm --write --json",
			       token_bench_run },
	[VERB_TOKEN_BACKUP] = { "token backup", "wrap a token's keys and share out the key that opens them", "TOKEN", VALUE_STORE,
				false, 1, 1,
				"Writes a backup of the token, or of the entry that is named: its private keys as the token wraps "
				"them, and their public keys and certificates. The key that opens it is split: each custodian gets "
				"one share file (-o FILE gives FILE.share-1 and so on, or name each with --share), any --threshold of "
				"them open the backup together, and fewer give nothing. Each key is tried out before the backup "
				"counts.\n"
				"Only keys made with --allow-extractable can leave their token, and only wrapped; all others stay "
				"where they are, and each is named. Beside such a key put a second one on a second device: keystow token twin.",
				"keystow token backup pkcs11:token=usbhsm -o usbhsm.backup --shares 5 --threshold 3\n"
				"keystow token backup 'pkcs11:token=usbhsm;object=my_key3' -o my_key3.backup --dry-run\n"
				"keystow token backup @hsm -o hsm.backup --shares 2 --threshold 2 --share /media/ann/hsm --share "
				"/media/bob/hsm",
				token_backup_run },
	[VERB_TOKEN_RESTORE] = { "token restore", "put a backup's keys into a token", "FILE", VALUE_FILE, false, 1, 1,
				 "Restores the keys and certificates of a backup into the token of --to. Shares come from the files "
				 "of --share; those that are missing are typed at the terminal, each the long line of its file. The "
				 "backup and every share are checked first, and each key has signed something before the next one is "
				 "restored. What is there already stays; run again, it goes on where it stopped.\n"
				 "A restored key cannot be taken out of the new token any more, unless --allow-extractable is given; "
				 "the backup goes on to restore it elsewhere.",
				 "keystow token restore usbhsm.backup --to pkcs11:token=spare --share a.share --share b.share --share "
				 "c.share\n"
				 "keystow token restore usbhsm.backup --to pkcs11:token=spare\n"
				 "keystow token restore usbhsm.backup --to @spare --dry-run",
				 token_restore_run },
	[VERB_TOKEN_TWIN] = { "token twin", "what a second token lacks to stand in for the first", "FIRST[;object=LABEL] SECOND", VALUE_STORE, false,
			      2, 2,
			      "A private key cannot leave its device, so two devices that stand in for each other have two keys, each certified "
			      "for the same names. Compares the keys of FIRST, or the one that is named, with those of SECOND by label: kind, uses "
			      "and guards, subject, names, CA, validity and chain. Tells what SECOND lacks, what differs, what only it has, and the "
			      "commands that make it.\n"
			      "With --ca it makes what is lacking: the key inside SECOND, a request, a certificate by the profile that the CA's "
			      "database has for the one on FIRST (--profile for those it does not have), and puts it beside the key. What is "
			      "there under the same label and is no twin stays, unless its certificate may go: --replace. FIRST is only read. "
			      "Each token has a source of its own for its PIN. Exit 1 while SECOND is no twin of FIRST.",
			      "keystow token twin pkcs11:token=left pkcs11:token=right\n"
			      "keystow token twin @left @right --ca ./ca\n"
			      "keystow token twin 'pkcs11:token=left;object=web?pin-source=file:left.pin' pkcs11:token=right "
			      "--to-pin-source file:right.pin --ca ./ca --days 90\n"
			      "keystow token twin @left @right --ca ./ca --dry-run --json",
			      token_twin_run },
	[VERB_TOKEN_REGISTER] = { "token register", "make a token known to other programs", "TOKEN[;object=LABEL]", VALUE_STORE, false, 1, 1,
				  "Prints what Java, NSS (Chrome, Firefox), p11-kit, OpenSSL, nginx, curl and ssh have to be told before "
				  "they use the token, and the lines to type then; with -o DIR files are written there. For nginx and curl "
				  "each key with a certificate gets LABEL.key, which holds its address, and LABEL.pem. --nss DIR puts the "
				  "module into an NSS database while its browser is closed. What a program cannot use is told.\n"
				  "No PIN is written; a pin-source that is a file is named where a program takes one. With a source the "
				  "token's private keys are looked at, without one only what is public. Run again it has nothing to do; a "
				  "file that says something else is replaced only with --replace, and stays as FILE.old.",
				  "keystow token register pkcs11:token=usbhsm\n"
				  "keystow token register @hsm --for openssl,nginx,curl -o /etc/keystow/usbhsm --pin-source file:usb.pin\n"
				  "keystow token register @hsm --nss ~/.pki/nssdb\n"
				  "keystow token register 'pkcs11:token=usbhsm;object=web' --for nginx -o web --dry-run",
				  token_register_run },
	[VERB_HELP] = { "help", "explain a command, a code or a word",
			"[COMMAND | CODE | profiles | types | stores]", VALUE_COMMAND, true, 0, 2,
			"Explains a command, the code at the end of a message (KS-0402) or of PKCS#11 (CKR_PIN_INCORRECT, "
			"0xa0), the profiles, the kinds of key, or the kinds of store.",
			"keystow help enroll\n"
			"keystow help KS-0402\n"
			"keystow help CKR_PIN_INCORRECT\n"
			"keystow help profiles",
			help_run },
	[VERB_COMPLETION] = { "completion", "completions for a shell", "bash|zsh|fish", VALUE_SHELL, true, 1, 1,
			      "Prints the completions for a shell, to be sourced or installed.",
			      "source <(keystow completion bash)\n"
			      "keystow completion zsh >~/.zfunc/_keystow\n"
			      "keystow completion fish >~/.config/fish/completions/keystow.fish",
			      completion_run },
	[VERB_COUNT] = { NULL },
};

static size_t group_length(const char *name)
{
	const char *blank = strchr(name, ' ');

	return blank ? (size_t)(blank - name) : 0;
}

bool command_is_group(const char *word)
{
	for (const struct command *command = commands; command->name; command++) {
		size_t length = group_length(command->name);

		if (length && strlen(word) == length && memcmp(word, command->name, length) == 0)
			return true;
	}
	return false;
}

const struct command *command_named(const char *first, const char *second)
{
	for (const struct command *command = commands; command->name; command++) {
		size_t length = group_length(command->name);

		if (!second && !length && strcmp(command->name, first) == 0)
			return command;
		if (second && length && strlen(first) == length && memcmp(command->name, first, length) == 0 &&
		    strcmp(command->name + length + 1, second) == 0)
			return command;
	}
	return NULL;
}
