/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow request: a certificate request for a key, wherever it lives.
 */
#include "request.h"
#include "commands.h"
#include "pem.h"
#include "stores.h"
#include "where.h"
#include "wishes.h"

static int make(struct ks_buffer **out, struct run *run, struct ks_item *key)
{
	ks_auto_ssl(X509_NAME) subject = NULL;
	struct ks_altnames names = { 0 };
	int rc;

	rc = wishes_subject(&subject, run);
	if (rc == 0)
		rc = wishes_names(&names, run);
	if (rc == 0)
		rc = ks_request_make(out, run->ctx, key, subject, names.count ? &names : NULL);
	ks_altnames_free(&names);
	return rc;
}

static int request(struct run *run, struct ks_store *store, void *user)
{
	ks_auto(buffer) der = NULL;
	ks_auto(buffer) pem = ks_buffer_new(1u << 20);
	const struct ks_entry *entry;
	int rc;

	(void)user;
	rc = ks_store_entry(&entry, store, store->where);
	if (rc < 0)
		return rc;
	if (!entry->key || entry->key->kind != KS_PRIVATE_KEY)
		return ks_hint(run->ctx,
			       ks_fail(run->ctx, KS_ENOTFOUND, "%s is no private key, so it cannot sign a request",
				       ks_where_text(store->where)),
			       "keystow generate makes a key");
	rc = make(&der, run, entry->key);
	if (rc < 0)
		return rc;
	if (!pem || pem_put(pem, "CERTIFICATE REQUEST", ks_buffer_bytes(der)) < 0)
		return ks_nomem(run->ctx);
	rc = pem_send(run, run->options->output, ks_buffer_bytes(pem));
	if (rc == 0 && !run->out.json && pem_to_file(run->options->output))
		run_say(run, "the certificate request is in %s", run->options->output);
	return rc;
}

int request_run(struct run *run)
{
	ks_auto(where) where = NULL;
	int rc;

	rc = stores_entry_where(&where, run, run_operand(run, 0), run->options->pin_source);
	if (rc < 0)
		return rc;
	return stores_only(run, where, KS_READ | (ks_where_is_token(where) ? KS_LOGIN : 0), request, NULL);
}
