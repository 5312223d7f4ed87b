/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bare MODULE TOKEN PIN-FILE TYPE COUNT: the least that anybody has to ask of a token to enroll keys.
 *
 * For each key: C_GenerateKeyPair, one C_Sign (what a request needs), one C_CreateObject for a certificate. Nothing is checked,
 * requested, signed by a CA or read back. TYPE is ec (P-256) or rsa (2048 bits). Prints the seconds that the loop took.
 */
#include <p11-kit/pkcs11.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static CK_FUNCTION_LIST *module;

static void need(CK_RV rv, const char *what)
{
	if (rv == CKR_OK)
		return;
	fprintf(stderr, "bare: %s: 0x%lx\n", what, rv);
	exit(1);
}

static void load(const char *path)
{
	void *library = dlopen(path, RTLD_NOW);
	CK_RV (*list)(CK_FUNCTION_LIST **) = NULL;

	if (library)
		*(void **)&list = dlsym(library, "C_GetFunctionList");
	if (!list) {
		fprintf(stderr, "bare: %s: %s\n", path, dlerror());
		exit(1);
	}
	need(list(&module), "C_GetFunctionList");
	need(module->C_Initialize(NULL), "C_Initialize");
}

static CK_SLOT_ID slot_of(const char *label)
{
	CK_SLOT_ID slots[64];
	CK_ULONG count = COUNT(slots);
	CK_TOKEN_INFO info;

	need(module->C_GetSlotList(CK_TRUE, slots, &count), "C_GetSlotList");
	for (CK_ULONG i = 0; i < count; i++) {
		need(module->C_GetTokenInfo(slots[i], &info), "C_GetTokenInfo");
		if (strncmp((const char *)info.label, label, strlen(label)) == 0)
			return slots[i];
	}
	fprintf(stderr, "bare: no token %s\n", label);
	exit(1);
}

static CK_SESSION_HANDLE log_in(CK_SLOT_ID slot, const char *pin_file)
{
	CK_SESSION_HANDLE session;
	char pin[64];
	FILE *file = fopen(pin_file, "r");

	if (!file || !fgets(pin, sizeof(pin), file)) {
		fprintf(stderr, "bare: %s cannot be read\n", pin_file);
		exit(1);
	}
	fclose(file);
	pin[strcspn(pin, "\n")] = '\0';
	need(module->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session), "C_OpenSession");
	need(module->C_Login(session, CKU_USER, (CK_UTF8CHAR *)pin, strlen(pin)), "C_Login");
	return session;
}

#define ID_SIZE 20 /* the number of the key, and zeros */

/* The attributes that enroll sets as well, so that both sides leave the same objects behind. */
static CK_OBJECT_HANDLE make_pair(CK_SESSION_HANDLE session, int rsa, long n)
{
	static CK_BYTE p256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };
	static CK_BYTE exponent[] = { 1, 0, 1 };
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ULONG bits = 2048;
	char label[32], id[ID_SIZE] = { 0 };
	CK_ULONG size = (CK_ULONG)snprintf(label, sizeof(label), "key-%ld", n);
	CK_ATTRIBUTE public_key[] = {
		{ CKA_EC_PARAMS, p256, sizeof(p256) },
		{ CKA_TOKEN, &yes, sizeof(yes) },
		{ CKA_LABEL, label, size },
		{ CKA_ID, id, sizeof(id) },
		{ CKA_PRIVATE, &no, sizeof(no) },
		{ CKA_VERIFY, &yes, sizeof(yes) },
		{ CKA_ENCRYPT, &no, sizeof(no) },
		{ CKA_WRAP, &no, sizeof(no) },
		{ CKA_VERIFY_RECOVER, &no, sizeof(no) },
		{ CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent) },
	};
	CK_ATTRIBUTE private_key[] = {
		{ CKA_TOKEN, &yes, sizeof(yes) },
		{ CKA_LABEL, label, size },
		{ CKA_ID, id, sizeof(id) },
		{ CKA_PRIVATE, &yes, sizeof(yes) },
		{ CKA_SENSITIVE, &yes, sizeof(yes) },
		{ CKA_SIGN, &yes, sizeof(yes) },
		{ CKA_EXTRACTABLE, &no, sizeof(no) },
		{ CKA_DECRYPT, &no, sizeof(no) },
		{ CKA_UNWRAP, &no, sizeof(no) },
		{ CKA_DERIVE, &no, sizeof(no) },
		{ CKA_SIGN_RECOVER, &no, sizeof(no) },
	};
	CK_MECHANISM mechanism = { rsa ? CKM_RSA_PKCS_KEY_PAIR_GEN : CKM_EC_KEY_PAIR_GEN, NULL, 0 };
	CK_OBJECT_HANDLE public_handle, private_handle;

	memcpy(id, &n, sizeof(n));
	if (rsa)
		public_key[0] = (CK_ATTRIBUTE){ CKA_MODULUS_BITS, &bits, sizeof(bits) };
	need(module->C_GenerateKeyPair(session, &mechanism, public_key, COUNT(public_key) - !rsa, private_key,
				       COUNT(private_key), &public_handle, &private_handle),
	     "C_GenerateKeyPair");
	return private_handle;
}

static void sign(CK_SESSION_HANDLE session, int rsa, CK_OBJECT_HANDLE key)
{
	CK_MECHANISM mechanism = { rsa ? CKM_SHA256_RSA_PKCS : CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 42 }, signature[512];
	CK_ULONG size = sizeof(signature);

	need(module->C_SignInit(session, &mechanism, key), "C_SignInit");
	need(module->C_Sign(session, digest, sizeof(digest), signature, &size), "C_Sign");
}

static void write_certificate(CK_SESSION_HANDLE session, long n)
{
	CK_OBJECT_CLASS class = CKO_CERTIFICATE;
	CK_CERTIFICATE_TYPE type = CKC_X_509;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_BYTE value[445] = { 0x30, 0x82, 0x01, 0xb9 }, subject[40] = { 0x30, 0x26 }, issuer[40] = { 0x30, 0x26 };
	CK_BYTE serial[18] = { 0x02, 0x10, 0x42 };
	char label[32], id[ID_SIZE] = { 0 };
	CK_ULONG size = (CK_ULONG)snprintf(label, sizeof(label), "key-%ld", n);
	CK_ATTRIBUTE certificate[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_CERTIFICATE_TYPE, &type, sizeof(type) },
		{ CKA_TOKEN, &yes, sizeof(yes) },
		{ CKA_PRIVATE, &no, sizeof(no) },
		{ CKA_LABEL, label, size },
		{ CKA_ID, id, sizeof(id) },
		{ CKA_SUBJECT, subject, sizeof(subject) },
		{ CKA_ISSUER, issuer, sizeof(issuer) },
		{ CKA_SERIAL_NUMBER, serial, sizeof(serial) },
		{ CKA_VALUE, value, sizeof(value) },
	};
	CK_OBJECT_HANDLE handle;

	memcpy(id, &n, sizeof(n));
	need(module->C_CreateObject(session, certificate, COUNT(certificate), &handle), "C_CreateObject");
}

int main(int argc, char **argv)
{
	struct timespec start, end;
	CK_SESSION_HANDLE session;
	long count;
	int rsa;

	if (argc != 6) {
		fprintf(stderr, "bare MODULE TOKEN PIN-FILE ec|rsa COUNT\n");
		return 2;
	}
	rsa = strcmp(argv[4], "rsa") == 0;
	count = strtol(argv[5], NULL, 10);
	clock_gettime(CLOCK_MONOTONIC, &start);
	load(argv[1]);
	session = log_in(slot_of(argv[2]), argv[3]);
	for (long n = 0; n < count; n++) {
		sign(session, rsa, make_pair(session, rsa, n));
		write_certificate(session, n);
	}
	need(module->C_Finalize(NULL), "C_Finalize");
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%.6f\n", (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9);
	return 0;
}
