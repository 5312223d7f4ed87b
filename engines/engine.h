/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of a kind of store. A format is a codec (three functions over bytes), a device is an engine (seven functions);
 * one generic engine in file/ serves all codecs. A NULL slot lets the store say why not. docs/adding-a-store.md walks through.
 */
#ifndef KS_ENGINE_H
#define KS_ENGINE_H

#include "disk.h"
#include "plan.h"
#include "where.h"

enum ks_can {
	KS_CAN_KEYS = 1,	/* holds private keys */
	KS_CAN_CERTIFICATES = 2,
	KS_CAN_ANCHORS = 4,	/* can mark a certificate as trusted */
	KS_CAN_REQUESTS = 8,
	KS_CAN_SECRETS = 16,	/* holds secret keys */
	KS_CAN_LABELS = 32,
	KS_CAN_IDS = 64,
	KS_CAN_WRITE = 128,
	KS_CAN_ATOMIC = 256,	/* apply is all or nothing */
	KS_CAN_GENERATE = 512,
	KS_CAN_ADMIN = 1024,
	KS_CAN_MANY = 2048,	/* more than one item */
	KS_CAN_SEAL = 4096,	/* protects keys with a password */
	KS_CAN_MAC = 8192,	/* its integrity rests on a password, so a new one has one even without keys */
	KS_CAN_WRAP = 16384,	/* private keys leave it, and come into it, wrapped under another key */
	KS_TRUSTS_ALL = 32768,	/* a certificate without its key is trusted there, whether it was before or not */
	KS_WANTS_CERTIFICATE = 65536, /* a private key has its place beside its certificate, and nowhere else */
	KS_CAN_ALIASES = 131072,	/* its labels are Java's aliases: written in lower case, and each of them once */
	KS_CAN_CHAINS = 262144,	/* a certificate in it is an anchor or lies in a key's chain; there are no others */
	KS_CAN_KEY_SECRETS = 524288,	/* a key in it may have a password of its own, which passwd leaves alone */
};

/* ---- codecs: bytes in, items out; no file names, no prompts, no globals ---- */

struct ks_codec {
	const char *name;	/* also the scheme: "p12" */
	size_t ceiling;		/* largest file it writes */
	/* 0 = surely not, 100 = surely; from the first bytes (at least 4 KiB of them, or all). */
	int (*probe)(struct ks_bytes head);
	/*
	 * Adds what is in `file` to `into`, which owns the file's bytes already, so items may borrow from them and encrypted
	 * parts may be decrypted in place once the secret is known to be right; facts are set.
	 * `secret` NULL: whatever can be seen without; KS_ENOSECRET when nothing at all can. With a secret: KS_EPASSWORD,
	 * KS_EALTERED, KS_EALGORITHM as DESIGN 5 tells them apart. Keeps the secret in the set when items need it for unsealing.
	 */
	int (*decode)(struct ks_ctx *ctx, struct ks_set *into, struct ks_bytes file, struct ks_secret *secret);
	/*
	 * Writes all items of `from` (ks_plan_result) as a new file. `have` is the set as it was read (NULL for a new store): the
	 * codec keeps what it can of its protection and unknown parts; items whose raw is present and belongs to this format are
	 * carried over byte for byte. `secret` seals keys and makes the MAC; NULL = none. `changed` tells that `secret` is not
	 * the one that `have` was opened with, so sealed items must be sealed anew. Where the format has to give an item another
	 * label or trust, it says so and gives the item of `from` the same.
	 */
	int (*encode)(struct ks_ctx *ctx, struct ks_buffer *out, struct ks_set *from, const struct ks_set *have,
		      struct ks_secret *secret, bool changed);
	/* What becomes of a label in this format: itself where it fits, else kept in `keep`; absent without memory. NULL: every
	 * label fits. */
	struct ks_bytes (*label)(struct ks_set *keep, struct ks_bytes label);
};

/* ---- engines ---- */

/* What a caller looks for; a hint that an engine may use to read less. NULL or all zero = everything. */
struct ks_only {
	const struct ks_where *where;
	bool public_only;	/* no login, even if private objects stay unseen */
};

/* What a private key is for; bits. */
enum ks_use { KS_USE_SIGN = 1, KS_USE_DECRYPT = 2, KS_USE_DERIVE = 4, KS_USE_WRAP = 8 };

/* A wish to make a key pair inside the store. Strings and bytes are borrowed. */
struct ks_generate {
	struct ks_keyspec spec;
	struct ks_bytes label;
	struct ks_bytes id;		/* data NULL = choose a free one */
	bool allow_extractable;
	unsigned uses;			/* enum ks_use; 0 = signing */
	bool always_authenticate;	/* the PIN is wanted for each use */
	bool wrap_with_trusted;		/* leaves the device only under a key that its officer marked as trusted */
	bool signs_next;		/* the caller verifies a signature of it before anybody relies on the pair */
};

enum ks_admin_act { KS_ADMIN_INIT, KS_ADMIN_SET_PIN, KS_ADMIN_CHANGE_PIN, KS_ADMIN_UNBLOCK_PIN, KS_ADMIN_CHANGE_SO_PIN };
struct ks_admin {
	enum ks_admin_act act;
	const char *label;		/* init: new token label */
	struct ks_secret *old_secret;	/* present PIN or SO PIN */
	struct ks_secret *new_secret;	/* PIN that is set */
	struct ks_secret *so_secret;	/* init: SO PIN that is set */
};

/* How a plan is applied. */
struct ks_commit {
	bool keep_old;
	/* Called when the new content is written, synced and read back, and nothing visible has changed yet. `digest` is
	 * SHA-256 of the new file (NULL for stores that are not one file). Failure stops the commit with the old store intact. */
	int (*staged)(void *user, struct ks_ctx *ctx, const unsigned char *digest);
	void *user;
	struct ks_set **fresh;	/* where an engine may leave the store as it read it back; NULL there = load it again */
};

struct ks_engine {
	const char *name;	/* scheme */
	const char *title;	/* "PKCS#12 file" */
	const char *endings;	/* ".p12 .pfx", a hint for people only */
	unsigned can;		/* enum ks_can */
	const struct ks_codec *codec;	/* for the generic file engine; NULL for devices */
	bool stash;	/* programs of that format leave the password in a file beside the store, and read it there */
	size_t state_size;	/* the store allocates this, zeroed */
	int (*open)(void *state, struct ks_ctx *ctx, const struct ks_engine *self, const struct ks_where *where, unsigned mode);
	int (*load)(void *state, struct ks_set *into, const struct ks_only *only);
	/* Adds the new key's private and public items to `into`. Read back and checked; on failure nothing stays, or what stays
	 * is named in the sentence together with the command that removes it. */
	int (*generate)(void *state, struct ks_set *into, const struct ks_generate *wish);
	/* Could it make such a key pair? 0, or KS_EUNABLE with what it makes instead. Nothing is tried. */
	int (*makes)(void *state, const struct ks_generate *wish);
	/* The wish that would make another key like that one: kind, uses and guards, as the device tells them. */
	int (*like)(void *state, struct ks_generate *out, const struct ks_item *key);
	int (*apply)(void *state, struct ks_plan *plan, const struct ks_commit *how);
	int (*admin)(void *state, const struct ks_admin *admin);
	/* Adds the private key to `into` as the device wraps it under an AES-256 key (backup.h), tried out. */
	int (*wrap)(void *state, struct ks_set *into, const struct ks_item *key, const struct ks_secret *transport);
	/* The other way: adds the items of the restored pair to `into`, private first; tried out. On failure nothing stays, or
	 * what may be left is named. */
	int (*unwrap)(void *state, struct ks_set *into, const struct ks_item *wrapped, const struct ks_secret *transport,
		      bool extractable);
	/* Exchanges the store and its earlier copy, and what that copy holds; stores that keep one. */
	int (*exchange)(void *state);
	int (*load_old)(struct ks_set **out, void *state);
	void (*close)(void *state); /* accepts a half-opened state */
	/* Rows that find out by content: which row it turned out to be. NULL elsewhere. */
	const struct ks_engine *(*actual)(const void *state);
};

/* For addresses without a scheme: a file whose content decides. */
extern const struct ks_engine ks_engine_by_content;
/* PKCS#11 tokens. */
extern const struct ks_engine ks_engine_pkcs11;
/* The same tokens through libp11; only where the build has it. */
extern const struct ks_engine ks_engine_libp11;
/* The engine that serves pkcs11: addresses when the host asks for it by name; NULL = not in this build. */
const struct ks_engine *ks_engine_for_tokens(const char *name);
/* Rows of this build, NULL at the end. */
extern const struct ks_engine *const ks_engines[];
/* By scheme; NULL = not in this build. */
const struct ks_engine *ks_engine_named(const char *scheme);
/* By content among the codecs; KS_EFORMAT when nothing fits, KS_EAMBIGUOUS with both names on a tie. */
int ks_engine_probe(const struct ks_engine **out, struct ks_ctx *ctx, struct ks_bytes head, const char *path);

#endif
