/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands at an address, as OpenSSL wants it: a list of objects that can outlive the store.
 */
#ifndef OPENSSL_ADDRESS_H
#define OPENSSL_ADDRESS_H

#include "key.h"

struct object {
	int type; /* OSSL_OBJECT_PKEY, OSSL_OBJECT_CERT, OSSL_OBJECT_CRL; OSSL_OBJECT_UNKNOWN: `why` it cannot be given */
	bool private_key;
	unsigned char *der; /* of what is no key in a token; wiped when freed */
	size_t size;
	const char *structure; /* of `der`, for keys */
	struct key *key; /* in a token */
	char *label; /* NULL = none */
	int status;
	char *why;
};

struct objects {
	struct object *list;
	size_t count, room;
};

/*
 * Opens `text` (a pkcs11: URI, keystow:ADDRESS) and reads what of it `expected` (an OSSL_STORE_INFO_..., 0 = all) wants. Logs in
 * only where a private key is wanted. Asks through `callback`. false, and said, on failure. Inside instance_enter.
 */
bool address_read(struct objects *out, struct instance *instance, const char *text, int expected,
		  OSSL_PASSPHRASE_CALLBACK *callback, void *arg);
void objects_clear(struct objects *objects);
/* Hands one over; false when OpenSSL does not take it. */
bool object_give(struct object *object, OSSL_CALLBACK *callback, void *arg);

#endif
