/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ground of libkeystow: a context, what can go wrong, secrets, and the three ways the library calls its host.
 *
 * Conventions of every public header:
 *  - a function returns 0, or a negative status from enum ks_status; words for it are then in the context;
 *  - outputs come first; a `**out` is yours to free, a returned pointer is borrowed; outputs are untouched on failure;
 *  - free functions accept NULL; sizes are bytes, times are seconds since 1970 (UTC), text is UTF-8 unless said otherwise.
 *
 * A context and everything made with it belong to one thread at a time, with one exception: an EVP_PKEY that ks_item_pkey gave may
 * be used and freed on any thread, by many at once, also when its private half is in a token. The library never prints, prompts,
 * exits, reads the environment, forks with open sessions, or installs signal handlers.
 */
#ifndef KEYSTOW_KEYSTOW_H
#define KEYSTOW_KEYSTOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)

#ifdef __cplusplus
extern "C" {
#endif

#define KS_VERSION "0.1.0"

/*
 * Every status is minus its public code: KS_EPASSWORD is -402, shown as KS-0402. The hundreds are the exit code of the
 * program, so code, class and exit code cannot disagree. `keystow help KS-0402` explains each of them.
 */
enum ks_status {
	KS_OK = 0,
	/* 1: the question was answered, and the answer is no */
	KS_NO_DIFFERS = -101,
	KS_NO_INVALID = -102,
	KS_NO_EXPIRING = -103,
	KS_NO_MATCH = -104,
	/* 2: the question itself is wrong */
	KS_EUSAGE = -201,
	KS_EADDRESS = -202,
	KS_ECONFIG = -203,
	/* 3: not found, or more than one thing fits */
	KS_ENOTFOUND = -301,
	KS_EAMBIGUOUS = -302,
	KS_ENOTOKEN = -303,
	/* 4: PIN or password */
	KS_EPIN = -401,
	KS_EPASSWORD = -402,
	KS_ENOSECRET = -403,
	KS_ECANCELLED = -404,
	/* 5: locked, or only one try left */
	KS_ELASTTRY = -501,
	KS_ELOCKED = -502,
	/* 6: refused by a rule */
	KS_EMISMATCH = -601,
	KS_ELOSSY = -602,
	KS_EWEAK = -603,
	KS_EEXPIRED = -604,
	KS_EPROFILE = -605,
	KS_ESHRINK = -606,
	KS_EFILEKIND = -607,
	KS_EOWNER = -608,
	KS_EKEYLOSS = -609,
	KS_EUNABLE = -610,
	KS_EPROOF = -611,
	/* 7: damaged or unsupported input */
	KS_EDAMAGED = -701,
	KS_EALGORITHM = -702,
	KS_ELIMIT = -703,
	KS_EALTERED = -704,
	KS_EFORMAT = -705,
	KS_ENEWER = -706,
	/* 8: device or input/output */
	KS_EMODULE = -801,
	KS_EGONE = -802,
	KS_EDEADLINE = -803,
	KS_EIO = -804,
	KS_EFULL = -805,
	KS_ELIES = -806,
	KS_ETOKEN = -807,
	/* 9: exists, busy, or changed meanwhile */
	KS_ECHANGED = -901,
	KS_EEXISTS = -902,
	KS_EBUSY = -903,
	/* 70: our fault */
	KS_EBUG = -7001,
	KS_ENOMEM = -7002,
};

/* The exit code that belongs to `status` (0 for 0). */
int ks_status_exit(int status);
/* One line that names `status`, never NULL; borrowed for ever. */
const char *ks_status_title(int status);
/* What to do about `status`, in a few sentences, never NULL; borrowed for ever. */
const char *ks_status_advice(int status);
/* The n-th status of the table, counted from 0; 0 (KS_OK) behind the last. */
int ks_status_nth(size_t n);

struct ks_ctx;
struct ks_secret;

/* ---- what the library asks of its host ------------------------------------------------------------------------ */

enum ks_ask {
	KS_ASK_PIN,		/* user PIN of a token */
	KS_ASK_SO_PIN,		/* security officer's PIN of a token */
	KS_ASK_CONTEXT_PIN,	/* PIN again, for one signature (CKA_ALWAYS_AUTHENTICATE) */
	KS_ASK_PASSWORD,	/* password of a file store */
	KS_ASK_KEY_PASSWORD,	/* password of one key inside a store */
	KS_ASK_SHARE,		/* a custodian's share of a backup's key */
};

struct ks_question {
	enum ks_ask ask;
	const char *store;	/* canonical address, safe to show */
	const char *label;	/* token label, key label or NULL */
	const char *serial;	/* token serial or NULL */
	const char *source;	/* pin-source that the address or configuration names, or NULL */
	int tries_left;		/* -1 = not known */
	bool last_try;		/* the token says that one more wrong PIN locks it */
	bool fresh;		/* a new secret is being set: ask twice */
};

/* A call into a PKCS#11 module, told before and after. `leave` is false before; `rv` and `microseconds` hold after. */
struct ks_trace {
	const char *function;	/* "C_Sign" */
	const char *module;	/* path or name of the module */
	const char *token;	/* label of the token concerned, or NULL */
	const char *detail;	/* arguments, or after the call results; secrets masked; NULL unless ks_settings.trace_detail */
	unsigned deadline_ms;	/* how long the call may last by the settings */
	bool leave;
	unsigned long rv;	/* CK_RV */
	unsigned long microseconds;
	const char *address;	/* what is being looked for in the module, while `token` is not known; or NULL */
	const char *answer;	/* name of `rv` ("CKR_OK"), or NULL */
};

/*
 * ask: put the secret into `into` and return 0, or return KS_ENOSECRET / KS_ECANCELLED. The library never asks twice for
 * the same try. progress: `total` 0 = not known; non-zero return cancels where that is safe. trace: must not call back.
 * Any of them may be NULL.
 *
 * ask and progress are called by one thread at a time, but not always by the context's: a key that wants its PIN for each signature,
 * or whose token lost its login, asks on the thread that uses the key. ask must not use keys of the token that it is asked for.
 * trace is called on the thread that calls the module, by several at once.
 */
struct ks_hooks {
	int (*ask)(void *user, struct ks_ctx *ctx, const struct ks_question *question, struct ks_secret *into);
	int (*progress)(void *user, const char *doing, uint64_t done, uint64_t total);
	void (*trace)(void *user, const struct ks_trace *event);
	void *user;
};

/* How long a call into a module may last is set by what it does. */
enum ks_deadline {
	KS_DEADLINE_LOOK,	/* what is there: slots, tokens, sessions, searches, attributes */
	KS_DEADLINE_LOGIN,	/* checking a PIN */
	KS_DEADLINE_USE,	/* signing, decrypting, deriving, wrapping */
	KS_DEADLINE_WRITE,	/* objects made, changed, destroyed */
	KS_DEADLINE_END,	/* logging out, closing, finalising */
	KS_DEADLINE_MAKE,	/* keys made in the device */
	KS_DEADLINE_INIT,	/* tokens initialised, PINs set */
	KS_DEADLINE_PAD,	/* a person at the token's own pad */
	KS_DEADLINES
};

/* All zero is a good default. Strings are copied by ks_ctx_new. */
struct ks_settings {
	struct ks_hooks hooks;
	const char *state_dir;		/* what is remembered of tokens; NULL = nothing is remembered */
	const char *module;		/* module used when an address names none; NULL = p11-kit's configured modules */
	const char *engine;		/* for pkcs11: addresses: "pkcs11" (NULL, our own) or "libp11" */
	unsigned wait_seconds;		/* how long a writer waits for another writer; 0 = 30 */
	unsigned call_deadline_ms;	/* ordinary Cryptoki calls; 0 = 30,000 */
	unsigned long_deadline_ms;	/* key generation, initialising, PIN pads; 0 = 600,000 */
	uint64_t max_iterations;	/* key derivation rounds that one context may spend; 0 = 10,000,000 */
	size_t max_file;		/* largest file that is read; 0 = 64 MiB */
	bool follow;			/* a symbolic link as target is followed once */
	bool allow_last_try;		/* the last PIN try may be spent: a person asked for it */
	bool attended;			/* a person sees what happens: a PIN may be sent where few tries are left */
	bool trace_detail;		/* the trace hook is told arguments and results too, which takes time */
	unsigned deadline_ms[KS_DEADLINES];	/* 0 = long_deadline_ms from MAKE on, call_deadline_ms before it */
	/* Once this is not 0, calls into modules fail with KS_ECANCELLED, but for those that put something away; or NULL. A signal
	 * handler may set it. Borrowed for the context's life. */
	const volatile int *stop;
};

/* KS_ENOMEM, or KS_EBUG when locked memory for secrets cannot be set up at all. */
int ks_ctx_new(struct ks_ctx **out, const struct ks_settings *settings);
/*
 * Ends everything made with `ctx`: sessions are logged out, modules finalised. Items, stores and EVP_PKEYs must be freed
 * before; KS_EBUSY, and nothing happens, while one lives.
 */
int ks_ctx_free(struct ks_ctx *ctx);
/*
 * For the child of a fork, where the context of the parent still lives: call it once, on the thread that forked, before anything else
 * with `ctx`. The parent's sessions and logins are left alone, modules are started anew, and keys and stores work again; a
 * token asks for its PIN again where the child is not logged in. Without it keys of tokens fail cleanly in the child (KS_EGONE),
 * and ks_ctx_free ends nothing of the parent's. Fork when no other thread is inside the library. The first failure of a module.
 */
int ks_after_fork(struct ks_ctx *ctx);

/* The last failure: its status (0 = none), its sentence, what to do next ("" = nothing known), and the technical causes
 * ("" = none). Borrowed until the next call with `ctx`. */
int ks_ctx_status(const struct ks_ctx *ctx);
const char *ks_ctx_text(const struct ks_ctx *ctx);
const char *ks_ctx_hint(const struct ks_ctx *ctx);
const char *ks_ctx_causes(const struct ks_ctx *ctx);

/* Something worth saying that did not stop the work. Borrowed until ks_ctx_free. NULL behind the last one. */
struct ks_problem {
	int status;		/* which kind of thing, from enum ks_status */
	const char *text;
	const char *hint;	/* "" = none */
	const char *where;	/* the store or entry it is about; "" = none */
};
const struct ks_problem *ks_ctx_notice(const struct ks_ctx *ctx, size_t n);

/* ---- secrets ------------------------------------------------------------------------------------------------- */

#define KS_SECRET_MAX 1024 /* bytes; longer PINs and passwords are refused */

/* An empty secret in locked memory that is left out of core dumps where the host can do so. KS_ENOMEM. */
int ks_secret_new(struct ks_secret **out, struct ks_ctx *ctx);
/* Adds `size` bytes. KS_ELIMIT beyond KS_SECRET_MAX. */
int ks_secret_append(struct ks_secret *secret, struct ks_ctx *ctx, const void *bytes, size_t size);
/* Wipes and frees. */
void ks_secret_free(struct ks_secret *secret);

#ifdef __cplusplus
}
#endif

#pragma GCC visibility pop

#endif
