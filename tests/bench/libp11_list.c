/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libp11_list MODULE TOKEN PIN-FILE: what libp11 needs to know what is on a token.
 *
 * Logs in, enumerates certificates, private and public keys, and prints a line for each with its label and id. Nothing is paired.
 */
#include <libp11.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void need(int held, const char *what)
{
	if (held)
		return;
	fprintf(stderr, "libp11_list: %s\n", what);
	exit(1);
}

static PKCS11_SLOT *slot_of(PKCS11_CTX *ctx, const char *label)
{
	PKCS11_SLOT *slots;
	unsigned int count;

	need(PKCS11_enumerate_slots(ctx, &slots, &count) == 0, "no slots");
	for (unsigned int i = 0; i < count; i++) {
		if (slots[i].token && strcmp(slots[i].token->label, label) == 0)
			return &slots[i];
	}
	need(0, "no such token");
	return NULL;
}

static void log_in(PKCS11_SLOT *slot, const char *pin_file)
{
	char pin[64];
	FILE *file = fopen(pin_file, "r");

	need(file && fgets(pin, sizeof(pin), file), "the PIN cannot be read");
	fclose(file);
	pin[strcspn(pin, "\n")] = '\0';
	need(PKCS11_open_session(slot, 1) == 0 && PKCS11_login(slot, 0, pin) == 0, "login");
}

static void show(const char *kind, const char *label, const unsigned char *id, size_t size)
{
	printf("%s\t%s\t", kind, label);
	for (size_t i = 0; i < size; i++)
		printf("%02x", id[i]);
	putchar('\n');
}

int main(int argc, char **argv)
{
	PKCS11_CTX *ctx = PKCS11_CTX_new();
	PKCS11_SLOT *slot;
	PKCS11_CERT *certificates;
	PKCS11_KEY *keys;
	unsigned int count;

	need(argc == 4, "MODULE TOKEN PIN-FILE");
	need(PKCS11_CTX_load(ctx, argv[1]) == 0, "the module cannot be loaded");
	slot = slot_of(ctx, argv[2]);
	log_in(slot, argv[3]);
	need(PKCS11_enumerate_certs(slot->token, &certificates, &count) == 0, "no certificates");
	for (unsigned int i = 0; i < count; i++)
		show("certificate", certificates[i].label, certificates[i].id, certificates[i].id_len);
	need(PKCS11_enumerate_keys(slot->token, &keys, &count) == 0, "no private keys");
	for (unsigned int i = 0; i < count; i++)
		show("private-key", keys[i].label, keys[i].id, keys[i].id_len);
	need(PKCS11_enumerate_public_keys(slot->token, &keys, &count) == 0, "no public keys");
	for (unsigned int i = 0; i < count; i++)
		show("public-key", keys[i].label, keys[i].id, keys[i].id_len);
	need(fflush(stdout) == 0, "the output cannot be written");
	return 0;
}
