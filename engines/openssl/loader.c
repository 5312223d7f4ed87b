/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OSSL_STORE loader: `pkcs11:...` and `keystow:ADDRESS` wherever OpenSSL takes a URI.
 *
 * The address is read when the first object is asked for, because only then OpenSSL lends its way of asking for a PIN and has told
 * what it expects. A failure is told once; the next look finds the end.
 */
#include "loader.h"

#include "address.h"
#include "told.h"

#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/params.h>
#include <openssl/x509.h>

#include <stdlib.h>
#include <string.h>

struct loader {
	struct instance *instance;
	char *address;
	int expected;
	X509_NAME *subject; /* only certificates of that name; NULL = all */
	char *alias; /* only what has that label; NULL = all */
	bool looked;
	struct objects objects;
	size_t next;
};

static int loader_close(void *state)
{
	struct loader *loader = state;

	if (!loader)
		return 1;
	objects_clear(&loader->objects);
	X509_NAME_free(loader->subject);
	free(loader->alias);
	free(loader->address);
	free(loader);
	return 1;
}

static void *loader_open(void *provider, const char *address)
{
	struct loader *loader = calloc(1, sizeof(*loader));

	if (!loader)
		return NULL;
	loader->instance = provider;
	loader->address = strdup(address);
	if (loader->address)
		return loader;
	loader_close(loader);
	return NULL;
}

/* ---- what is looked for ---- */

static const OSSL_PARAM *loader_settable(void *provider)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_int(OSSL_STORE_PARAM_EXPECT, NULL),
		OSSL_PARAM_octet_string(OSSL_STORE_PARAM_SUBJECT, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_STORE_PARAM_ALIAS, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)provider;
	return params;
}

static bool choose_subject(struct loader *loader, const OSSL_PARAM *param)
{
	const unsigned char *der = param->data;

	if (param->data_type != OSSL_PARAM_OCTET_STRING)
		return false;
	X509_NAME_free(loader->subject);
	loader->subject = d2i_X509_NAME(NULL, &der, (long)param->data_size);
	return loader->subject;
}

static int loader_set(void *state, const OSSL_PARAM params[])
{
	const OSSL_PARAM *param = OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_EXPECT);
	struct loader *loader = state;

	if (param && !OSSL_PARAM_get_int(param, &loader->expected))
		return 0;
	param = OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_SUBJECT);
	if (param && !choose_subject(loader, param))
		return 0;
	param = OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_ALIAS);
	if (!param)
		return 1;
	free(loader->alias);
	loader->alias = NULL;
	return OSSL_PARAM_get_utf8_string(param, &loader->alias, 0);
}

static bool has_subject(const struct object *object, const X509_NAME *subject)
{
	const unsigned char *der = object->der;
	X509 *x509 = object->type == OSSL_OBJECT_CERT ? d2i_X509(NULL, &der, (long)object->size) : NULL;
	bool same = x509 && X509_NAME_cmp(X509_get_subject_name(x509), subject) == 0;

	X509_free(x509);
	return same;
}

static bool wanted(const struct loader *loader, const struct object *object)
{
	if (loader->alias && (!object->label || strcmp(object->label, loader->alias) != 0))
		return false;
	return !loader->subject || has_subject(object, loader->subject);
}

static void skip_unwanted(struct loader *loader)
{
	while (loader->next < loader->objects.count && !wanted(loader, &loader->objects.list[loader->next]))
		loader->next++;
}

/* ---- loading ---- */

static bool look(struct loader *loader, OSSL_PASSPHRASE_CALLBACK *ask, void *ask_arg)
{
	bool ok = address_read(&loader->objects, loader->instance, loader->address, loader->expected, ask, ask_arg);

	loader->looked = true;
	skip_unwanted(loader);
	return ok;
}

static int give_next(struct loader *loader, OSSL_CALLBACK *callback, void *arg)
{
	struct object *object;

	if (loader->next == loader->objects.count)
		return 0;
	object = &loader->objects.list[loader->next++];
	skip_unwanted(loader);
	if (object->type != OSSL_OBJECT_UNKNOWN)
		return object_give(object, callback, arg);
	told_sentence(loader->instance, object->status, "%s: %s", object->label ? object->label : "a key", object->why);
	return 0;
}

static int loader_load(void *state, OSSL_CALLBACK *callback, void *arg, OSSL_PASSPHRASE_CALLBACK *ask, void *ask_arg)
{
	struct loader *loader = state;
	int ok;

	if (!instance_enter(loader->instance))
		return 0;
	ok = (loader->looked || look(loader, ask, ask_arg)) && give_next(loader, callback, arg);
	instance_leave(loader->instance);
	return ok;
}

static int loader_eof(void *state)
{
	const struct loader *loader = state;

	return loader->looked && loader->next == loader->objects.count;
}

#define FUNCTION(id, function)                                                                                         \
	{                                                                                                              \
		id, (void (*)(void))(function)                                                                         \
	}

static const OSSL_DISPATCH loader_functions[] = {
	FUNCTION(OSSL_FUNC_STORE_OPEN, loader_open),
	FUNCTION(OSSL_FUNC_STORE_SETTABLE_CTX_PARAMS, loader_settable),
	FUNCTION(OSSL_FUNC_STORE_SET_CTX_PARAMS, loader_set),
	FUNCTION(OSSL_FUNC_STORE_LOAD, loader_load),
	FUNCTION(OSSL_FUNC_STORE_EOF, loader_eof),
	FUNCTION(OSSL_FUNC_STORE_CLOSE, loader_close),
	{ 0, NULL },
};

const OSSL_ALGORITHM store_loaders[] = {
	{ "pkcs11", "provider=keystow", loader_functions, "tokens by their URIs (RFC 7512)" },
	{ "keystow", "provider=keystow", loader_functions, "every store that keystow knows" },
	{ NULL, NULL, NULL, NULL },
};
