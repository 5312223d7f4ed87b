/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that were typed.
 */
#include "wishes.h"

int wishes_subject(X509_NAME **out, struct run *run)
{
	if (!run->options->subject)
		return ks_hint(run->ctx, ks_fail(run->ctx, KS_EUSAGE, "%s wants a --subject", run->args.command->name),
			       "as in --subject CN=name,O=organisation,C=GB");
	return ks_name_parse(out, run->ctx, run->options->subject);
}

int wishes_names(struct ks_altnames *names, struct run *run)
{
	const struct words *typed = &run->options->san;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < typed->count; i++)
		rc = ks_altnames_add(names, run->ctx, typed->words[i]);
	return rc;
}
