/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One loading of the provider into one OpenSSL library context, and the one ks_ctx behind it.
 *
 * The context is made when the first address is opened, because many programs load every provider of openssl.cnf and use none.
 * Everything that borrows from it (keys, operations in flight) is a holder: at the end of the process holders are emptied first, so
 * that the token is logged out, its sessions are closed and its module is finalised while libcrypto still lives.
 */
#ifndef OPENSSL_INSTANCE_H
#define OPENSSL_INSTANCE_H

#include <keystow/store.h>

#include <openssl/core.h>
#include <openssl/core_dispatch.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

struct instance;

/* Something of ours that OpenSSL keeps: `empty` gives back what it borrowed from the ks_ctx, and it fails from then on. */
struct holder {
	struct instance *instance;
	struct holder *next, *before;
	void (*empty)(struct holder *holder);
};

struct instance {
	const OSSL_CORE_HANDLE *core;
	OSSL_FUNC_core_new_error_fn *new_error;
	OSSL_FUNC_core_set_error_debug_fn *set_error_debug;
	OSSL_FUNC_core_vset_error_fn *vset_error;
	OSSL_LIB_CTX *bios; /* empty, but for knowing how to read the host's BIOs */
	char *module, *config, *state_dir, *pin_source; /* of the section in openssl.cnf; NULL = not set */
	unsigned call_deadline_ms, long_deadline_ms;
	char *pin_token; /* which token the section's pin-source went to; no other gets it */
	struct ks_ctx *ctx; /* NULL until the first address */
	pthread_mutex_t opening; /* the ks_ctx belongs to one thread at a time; recursive, for an address opened while a PIN is asked for */
	pthread_rwlock_t life; /* read: somebody is inside; write: the end */
	bool ended; /* under `life` */
	atomic_bool forked; /* a child that has not used a key yet */
	pthread_mutex_t held;
	struct holder *holders;
	struct instance *next;
};

struct instance *instance_new(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in);
/* Ends what still lives, unless libcrypto is being taken apart already: then the module is left as it is. */
void instance_free(struct instance *instance);

/* Every function that uses a key stands between these two. false, and said, after the end. */
bool instance_enter(struct instance *instance);
void instance_leave(struct instance *instance);
/* The context for one's own until instance_close; NULL, and said, when there is none. Inside instance_enter. */
struct ks_ctx *instance_open(struct instance *instance);
void instance_close(struct instance *instance);
/* A token's module has been loaded: from now on the process must not end without saying good-bye to it. */
void instance_reached(void);

void holder_add(struct holder *holder, struct instance *instance, void (*empty)(struct holder *holder));
void holder_remove(struct holder *holder);

#endif
