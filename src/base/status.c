/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row for each status: what it is called, and what a person can do about it. `keystow help KS-0402` prints a row.
 */
#include <keystow/keystow.h>

struct status_row {
	int status;
	const char *title;
	const char *advice;
};

static const struct status_row rows[] = {
	{ KS_NO_DIFFERS, "the two stores differ",
	  "The comparison worked and found differences; they are listed. Nothing was changed." },
	{ KS_NO_INVALID, "the entry does not hold together",
	  "A key, certificate or chain fails a check; the finding names it. keystow show ENTRY shows its parts." },
	{ KS_NO_EXPIRING, "something expires within the time asked about",
	  "Renew the certificates that are listed: keystow enroll ENTRY --replace makes a new one for the same key." },
	{ KS_NO_MATCH, "nothing matches", "The search worked and found no entry. Searching ignores case." },
	{ KS_EUSAGE, "the command line is wrong", "keystow help COMMAND shows the options and three examples." },
	{ KS_EADDRESS, "an address cannot be understood",
	  "Stores are SCHEME:PATH, a path, @name or a pkcs11: URI (RFC 7512); quote it in a shell. keystow help lists the "
	  "schemes." },
	{ KS_ECONFIG, "the configuration is wrong",
	  "The sentence names file and line. Keys are written `key = value`; unknown keys are errors, so that a slip of the "
	  "finger is not silently ignored." },
	{ KS_ENOTFOUND, "there is no such thing", "keystow list STORE shows what is there." },
	{ KS_EAMBIGUOUS, "more than one thing fits",
	  "Name one of the candidates exactly: by serial, id or sha256. No PIN was sent anywhere." },
	{ KS_ENOTOKEN, "no such token",
	  "keystow token list shows the tokens that are present. Is the device plugged in, and its module installed?" },
	{ KS_EPIN, "the PIN is wrong",
	  "One try was used. If you are unsure, stop: after the last try the token locks. keystow token info tells how many "
	  "tries are left, when the token tells." },
	{ KS_EPASSWORD, "the password is wrong, or the file was changed",
	  "Nothing in the file opens with this password. Length and structure are fine, so most likely it is the password." },
	{ KS_ENOSECRET, "a PIN or password is needed and none could be had",
	  "Run it in a terminal, or name a source: --pin-source file:PATH, fd:N, env:NAME or cmd:COMMAND." },
	{ KS_ECANCELLED, "stopped on request", "Nothing was changed, or the sentence says what was done before." },
	{ KS_ELASTTRY, "few PIN tries are left, and they are not spent without a person",
	  "Run the command in a terminal; the right PIN makes the count full again. The very last try is only spent with "
	  "--allow-last-try, because a wrong PIN then locks the token." },
	{ KS_ELOCKED, "the token is locked",
	  "Its security officer can set a new PIN: keystow token pin TOKEN --unblock. The keys are not lost." },
	{ KS_EMISMATCH, "these do not belong together",
	  "The certificate's public key is not the key's. keystow find shows where the certificate's key lives." },
	{ KS_ELOSSY, "the target cannot hold everything",
	  "--strict refuses to lose anything. Without it the loss is only said. Another format may hold it." },
	{ KS_EWEAK, "weaker than asked, or weaker than is safe",
	  "Choose a stronger key or protection; --allow-extractable accepts a token key that can be taken out." },
	{ KS_EEXPIRED, "expired, or would outlive its issuer",
	  "Renew the issuing CA first, or ask for fewer days: --days." },
	{ KS_EPROFILE, "the profile does not allow this",
	  "Choose a profile that does (keystow help profiles), ask for less, or add one under the CA's profiles/ folder." },
	{ KS_ESHRINK, "the bundle lost too much since last time",
	  "A truncated download looks like this. When the bundle really shrank, add --allow-shrink." },
	{ KS_EFILEKIND, "not a regular file",
	  "Symbolic links are followed with --follow; FIFOs, devices and folders are refused." },
	{ KS_EOWNER, "the owner of the file could not be kept",
	  "Run it as the owner of the file, or as root. Nothing was written." },
	{ KS_EKEYLOSS, "a private key would be lost",
	  "The other copy lacks a private key that the present store holds. Copy that key out first." },
	{ KS_EUNABLE, "this kind of store cannot do that", "keystow help stores lists what each kind can hold and do." },
	{ KS_EPROOF, "a signature does not verify",
	  "A request must be signed by the key in it (proof of possession), and what a token signs is checked before use." },
	{ KS_EDAMAGED, "the input is damaged", "The sentence names the place. A fresh copy of the file is needed." },
	{ KS_EALGORITHM, "an algorithm is not supported",
	  "The sentence names it. Convert the file with a program that has the algorithm, into AES and SHA-256." },
	{ KS_ELIMIT, "a limit was reached before anything was spent",
	  "The sentence names the limit; --max-iterations raises the one for key derivation." },
	{ KS_EALTERED, "the password is right, but the file was changed",
	  "The integrity check fails while a sealed part opens: the file was edited or damaged after it was written." },
	{ KS_EFORMAT, "not a kind of file that keystow knows",
	  "The type is found by content, never by name. keystow help stores lists the kinds." },
	{ KS_ENEWER, "written by a newer keystow", "Use that version; an older one will not guess." },
	{ KS_EMODULE, "a PKCS#11 module cannot be used",
	  "The sentence names the file and the reason. Set --module, or path= under [module NAME] in the configuration." },
	{ KS_EGONE, "the device was removed",
	  "Plug it in and run the command again. What was finished before is listed." },
	{ KS_EDEADLINE, "a device did not answer in time",
	  "Another process may hold it, or it hangs. Stores change in one step, so nothing is half written. call-deadline-ms "
	  "in the configuration sets the limit, use-deadline-ms and its like those of single kinds of call." },
	{ KS_EIO, "reading or writing failed", "The cause names the system's reason." },
	{ KS_EFULL, "the disk or the quota is full", "Free some room and run it again; the old file is untouched." },
	{ KS_ELIES, "a token gave an impossible answer",
	  "Its answer was not believed and not used. The module or the device is broken." },
	{ KS_ETOKEN, "a token refused", "The cause names its answer (CKR_...)." },
	{ KS_ECHANGED, "changed meanwhile by somebody else", "Nothing was written. Run it again." },
	{ KS_EEXISTS, "it exists already", "Choose another name, or --replace." },
	{ KS_EBUSY, "somebody else is using it", "Wait for the other writer, or give more time: --wait SECONDS." },
	{ KS_EBUG, "a fault in keystow itself", "Please report it with the output of -v." },
	{ KS_ENOMEM, "no memory", "Close something, or raise the limit of this process." },
};

static const size_t row_count = sizeof(rows) / sizeof(rows[0]);

static const struct status_row *row_of(int status)
{
	for (size_t i = 0; i < row_count; i++) {
		if (rows[i].status == status)
			return &rows[i];
	}
	return NULL;
}

int ks_status_exit(int status)
{
	return status < 0 ? -status / 100 : 0;
}

const char *ks_status_title(int status)
{
	const struct status_row *row = row_of(status);

	return row ? row->title : "done";
}

const char *ks_status_advice(int status)
{
	const struct status_row *row = row_of(status);

	return row ? row->advice : "";
}

int ks_status_nth(size_t n)
{
	return n < row_count ? rows[n].status : KS_OK;
}
