/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sign MODULE TOKEN PIN-FILE LABEL COUNT [CONFIGURATION]: what a signature costs through an EVP_PKEY of keystow, and what it costs at
 * the least. With an openssl.cnf that loads keystow's provider, the key is what a host program gets from OSSL_STORE.
 *
 * The least is C_SignInit and C_Sign, and one verification with OpenSSL, because a signature that was not verified is worth nothing;
 * keystow verifies each by itself. Both sides hash with OpenSSL, use one session each and one key, and take turns in this process,
 * a few signatures at a time. Prints the seconds of processor time of each side: nothing here waits, and other work on the machine
 * does not count.
 */
#include <keystow/store.h>

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/store.h>
#include <p11-kit/pkcs11.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TURN 25

static void need(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "sign: %s\n", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- keystow ---- */

static int answer(void *user, struct ks_ctx *ctx, const struct ks_question *question, struct ks_secret *into)
{
	char pin[64];
	FILE *file = fopen(user, "r");

	(void)question;
	need(file && fgets(pin, sizeof(pin), file), "the file with the PIN cannot be read");
	fclose(file);
	return ks_secret_append(into, ctx, pin, strcspn(pin, "\n"));
}

static EVP_PKEY *key_of(struct ks_ctx *ctx, const char *token, const char *label)
{
	struct ks_where *where = NULL;
	struct ks_store *store = NULL;
	EVP_PKEY *key = NULL;
	char address[128];

	snprintf(address, sizeof(address), "pkcs11:token=%s", token);
	need(ks_where_parse(&where, ctx, address) == 0 && ks_store_open(&store, ctx, where, KS_LOGIN) == 0,
	     ks_ctx_text(ctx));
	for (size_t i = 0; i < ks_set_count(ks_store_items(store)); i++) {
		struct ks_item *item = ks_set_at(ks_store_items(store), i);
		struct ks_bytes is = ks_item_label(item);

		if (ks_item_kind(item) == KS_PRIVATE_KEY && is.size == strlen(label) && !memcmp(is.data, label, is.size))
			need(ks_item_pkey(&key, item, ctx) == 0, ks_ctx_text(ctx));
	}
	need(key != NULL, "no such key");
	ks_store_close(store);
	ks_where_free(where);
	return key;
}

/* The key that a host program opens by its address: its own library context, and the provider that its configuration loads. */
static EVP_PKEY *host_key_of(OSSL_LIB_CTX *host, const char *configuration, const char *token, const char *label)
{
	OSSL_STORE_CTX *store;
	EVP_PKEY *key = NULL;
	char address[160];

	snprintf(address, sizeof(address), "pkcs11:token=%s;object=%s;type=private", token, label);
	need(OSSL_LIB_CTX_load_config(host, configuration), "the configuration is not taken");
	store = OSSL_STORE_open_ex(address, host, NULL, NULL, NULL, NULL, NULL, NULL);
	need(store != NULL, "the provider opens no store");
	while (!key && !OSSL_STORE_eof(store)) {
		OSSL_STORE_INFO *info = OSSL_STORE_load(store);

		if (info && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY)
			key = OSSL_STORE_INFO_get1_PKEY(info);
		OSSL_STORE_INFO_free(info);
	}
	OSSL_STORE_close(store);
	need(key != NULL, "the store has no such key");
	return key;
}

static void through_keystow(OSSL_LIB_CTX *host, EVP_PKEY *key, EVP_MD_CTX *md, long n)
{
	unsigned char signature[512];
	size_t size = sizeof(signature);

	need(EVP_DigestSignInit_ex(md, NULL, "SHA256", host, NULL, key, NULL) > 0 &&
		     EVP_DigestSign(md, signature, &size, (unsigned char *)&n, sizeof(n)) > 0,
	     "keystow's key does not sign");
}

/* ---- the least ---- */

struct bare {
	CK_FUNCTION_LIST *module;
	CK_SESSION_HANDLE session;
	CK_OBJECT_HANDLE key;
	EVP_MD *sha256;
	EVP_PKEY_CTX *verify;
	int rsa;
};

/* The module is started, and the user logged in, by keystow already. */
static void bare_open(struct bare *bare, const char *path, const char *token, const char *label)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE wanted[] = { { CKA_CLASS, &class, sizeof(class) }, { CKA_LABEL, (void *)label, strlen(label) } };
	CK_RV (*list)(CK_FUNCTION_LIST **) = NULL;
	void *library = dlopen(path, RTLD_NOW);
	CK_SLOT_ID slots[64];
	CK_ULONG count = 64, found = 0;
	CK_TOKEN_INFO info;

	if (library)
		*(void **)&list = dlsym(library, "C_GetFunctionList");
	need(list && list(&bare->module) == CKR_OK, "the module cannot be loaded");
	need(bare->module->C_GetSlotList(CK_TRUE, slots, &count) == CKR_OK, "C_GetSlotList");
	while (count--) {
		if (bare->module->C_GetTokenInfo(slots[count], &info) == CKR_OK &&
		    strncmp((const char *)info.label, token, strlen(token)) == 0)
			break;
	}
	need(bare->module->C_OpenSession(slots[count], CKF_SERIAL_SESSION, NULL, NULL, &bare->session) == CKR_OK,
	     "C_OpenSession");
	need(bare->module->C_FindObjectsInit(bare->session, wanted, 2) == CKR_OK &&
		     bare->module->C_FindObjects(bare->session, &bare->key, 1, &found) == CKR_OK && found == 1,
	     "the key is not found");
	bare->module->C_FindObjectsFinal(bare->session);
}

/* A software key with the same public half, and a context that verifies again and again. */
static void bare_verifier(struct bare *bare, EVP_PKEY *key)
{
	unsigned char *der = NULL;
	int size = i2d_PUBKEY(key, &der);
	const unsigned char *at = der;
	EVP_PKEY *plain = size > 0 ? d2i_PUBKEY(NULL, &at, size) : NULL;

	OPENSSL_free(der);
	bare->rsa = EVP_PKEY_is_a(key, "RSA");
	bare->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	bare->verify = plain ? EVP_PKEY_CTX_new(plain, NULL) : NULL;
	need(bare->verify && EVP_PKEY_verify_init(bare->verify) > 0 &&
		     EVP_PKEY_CTX_set_signature_md(bare->verify, bare->sha256) > 0,
	     "no verifier");
	EVP_PKEY_free(plain);
}

static size_t ecdsa_der(unsigned char *out, const unsigned char *raw, size_t size)
{
	ECDSA_SIG *signature = ECDSA_SIG_new();
	int length;

	ECDSA_SIG_set0(signature, BN_bin2bn(raw, (int)size / 2, NULL),
		       BN_bin2bn(raw + size / 2, (int)size / 2, NULL));
	length = i2d_ECDSA_SIG(signature, &out);
	ECDSA_SIG_free(signature);
	return (size_t)length;
}

static void through_nothing(struct bare *bare, EVP_MD_CTX *md, long n)
{
	static const unsigned char prefix[] = { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
						0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20 };
	CK_MECHANISM mechanism = { bare->rsa ? CKM_RSA_PKCS : CKM_ECDSA, NULL, 0 };
	unsigned char text[sizeof(prefix) + 32], *hash = text + sizeof(prefix), raw[512], der[512];
	CK_ULONG size = sizeof(raw);
	size_t der_size;

	memcpy(text, prefix, sizeof(prefix));
	need(EVP_DigestInit_ex2(md, bare->sha256, NULL) > 0 && EVP_DigestUpdate(md, &n, sizeof(n)) > 0 &&
		     EVP_DigestFinal_ex(md, hash, NULL) > 0,
	     "no hash");
	need(bare->module->C_SignInit(bare->session, &mechanism, bare->key) == CKR_OK &&
		     bare->module->C_Sign(bare->session, bare->rsa ? text : hash, bare->rsa ? sizeof(text) : 32, raw,
					  &size) == CKR_OK,
	     "C_Sign");
	der_size = bare->rsa ? size : ecdsa_der(der, raw, size);
	need(EVP_PKEY_verify(bare->verify, bare->rsa ? raw : der, der_size, hash, 32) == 1, "the signature is wrong");
}

int main(int argc, char **argv)
{
	struct ks_settings settings = { .hooks = { .ask = answer } };
	double ours = 0, theirs = 0, start;
	EVP_MD_CTX *one = EVP_MD_CTX_new(), *other = EVP_MD_CTX_new();
	OSSL_LIB_CTX *host = NULL;
	struct ks_ctx *ctx = NULL;
	struct bare bare = { 0 };
	EVP_PKEY *key;
	long count;

	if (argc != 6 && argc != 7) {
		fprintf(stderr, "sign MODULE TOKEN PIN-FILE LABEL COUNT [CONFIGURATION]\n");
		return 2;
	}
	settings.module = argv[1];
	settings.hooks.user = argv[3];
	need(ks_ctx_new(&ctx, &settings) == 0, "no context");
	if (argc == 7)
		need((host = OSSL_LIB_CTX_new()) != NULL, "no library context");
	key = host ? host_key_of(host, argv[6], argv[2], argv[4]) : key_of(ctx, argv[2], argv[4]);
	bare_open(&bare, argv[1], argv[2], argv[4]);
	bare_verifier(&bare, key);
	through_keystow(host, key, one, 0);
	through_nothing(&bare, other, 0);
	count = strtol(argv[5], NULL, 10);
	for (long n = 0; n < count; n += TURN) {
		start = now();
		for (long i = 0; i < TURN; i++)
			through_keystow(host, key, one, n + i);
		ours += now() - start;
		start = now();
		for (long i = 0; i < TURN; i++)
			through_nothing(&bare, other, n + i);
		theirs += now() - start;
	}
	printf("%.6f %.6f\n", ours, theirs);
	EVP_MD_CTX_free(one);
	EVP_MD_CTX_free(other);
	EVP_PKEY_CTX_free(bare.verify);
	EVP_MD_free(bare.sha256);
	EVP_PKEY_free(key);
	bare.module->C_CloseSession(bare.session);
	OSSL_LIB_CTX_free(host);
	return ks_ctx_free(ctx) == 0 ? 0 : 1;
}
