/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow as a module of OpenSSL: what `-provider keystow` or a section of openssl.cnf loads.
 */
#include "instance.h"
#include "loader.h"
#include "operation.h"
#include "pem_uri.h"
#include "told.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include <string.h>

static const OSSL_ALGORITHM *module_query(void *provider, int operation, int *no_cache)
{
	(void)provider;
	*no_cache = 0;
	switch (operation) {
	case OSSL_OP_KEYMGMT:
		return key_algorithms;
	case OSSL_OP_SIGNATURE:
		return operation_signatures;
	case OSSL_OP_ASYM_CIPHER:
		return operation_ciphers;
	case OSSL_OP_KEYEXCH:
		return operation_exchanges;
	case OSSL_OP_STORE:
		return store_loaders;
	case OSSL_OP_DECODER:
		return pem_uri_decoders;
	default:
		return NULL;
	}
}

static const OSSL_PARAM *module_gettable(void *provider)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_DEFN(OSSL_PROV_PARAM_NAME, OSSL_PARAM_UTF8_PTR, NULL, 0),
		OSSL_PARAM_DEFN(OSSL_PROV_PARAM_VERSION, OSSL_PARAM_UTF8_PTR, NULL, 0),
		OSSL_PARAM_DEFN(OSSL_PROV_PARAM_BUILDINFO, OSSL_PARAM_UTF8_PTR, NULL, 0),
		OSSL_PARAM_DEFN(OSSL_PROV_PARAM_STATUS, OSSL_PARAM_INTEGER, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)provider;
	return params;
}

static int module_get(void *provider, OSSL_PARAM params[])
{
	OSSL_PARAM *param = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_NAME);

	(void)provider;
	if (param && !OSSL_PARAM_set_utf8_ptr(param, "keystow"))
		return 0;
	param = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_VERSION);
	if (param && !OSSL_PARAM_set_utf8_ptr(param, KS_VERSION))
		return 0;
	param = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_BUILDINFO);
	if (param && !OSSL_PARAM_set_utf8_ptr(param, "keystow " KS_VERSION))
		return 0;
	param = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);
	return !param || OSSL_PARAM_set_int(param, 1);
}

static const OSSL_ITEM *module_reasons(void *provider)
{
	(void)provider;
	return told_reasons();
}

static void module_end(void *provider)
{
	instance_free(provider);
}

#define FUNCTION(id, function)                                                                                         \
	{                                                                                                              \
		id, (void (*)(void))(function)                                                                         \
	}

static const OSSL_DISPATCH module_functions[] = {
	FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, module_query),
	FUNCTION(OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, module_gettable),
	FUNCTION(OSSL_FUNC_PROVIDER_GET_PARAMS, module_get),
	FUNCTION(OSSL_FUNC_PROVIDER_GET_REASON_STRINGS, module_reasons),
	FUNCTION(OSSL_FUNC_PROVIDER_TEARDOWN, module_end),
	{ 0, NULL },
};

__attribute__((visibility("default"))) OSSL_provider_init_fn OSSL_provider_init;

int OSSL_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **provider)
{
	struct instance *instance = instance_new(handle, in);

	if (!instance)
		return 0;
	*provider = instance;
	*out = module_functions;
	return 1;
}
