/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels of records are VisibleStrings: ASCII from the space to the tilde (X.680 41). What else is in a label becomes one
 * underscore a character; who calls tells that, and keeps labels apart that are the same afterwards.
 */
#include "kdb.h"

#include "certificate.h"
#include "name.h"
#include "text.h"

static bool visible(unsigned char byte)
{
	return byte >= ' ' && byte <= '~';
}

struct ks_bytes ks_kdb_label(struct ks_set *keep, struct ks_bytes label)
{
	ks_auto(buffer) fitting = NULL;
	uint32_t point;
	size_t size, at = 0;

	while (at < label.size && visible(label.data[at]))
		at++;
	if (at == label.size)
		return label;
	fitting = ks_buffer_new(label.size);
	if (!fitting)
		return KS_NONE;
	for (at = 0; at < label.size; at += size ? size : 1) {
		size = ks_utf8_next(&point, label.data + at, label.size - at);
		ks_buffer_put(fitting, visible(label.data[at]) ? (const void *)(label.data + at) : "_", 1);
	}
	return ks_set_bytes(keep, fitting->data, fitting->size);
}

struct ks_bytes ks_kdb_label_for(struct ks_item *certificate, struct ks_set *keep)
{
	struct ks_bytes issuer, subject;
	ks_auto_mem char *common = NULL;
	const char *label;
	char digits[9];

	if (ks_certificate_names(&issuer, &subject, certificate->der) == 0)
		common = ks_name_common(subject);
	ks_hex(digits, KS_BYTES(ks_item_sha256(certificate), 4));
	label = ks_set_text(keep, "%s %s", common && common[0] ? common : "certificate", digits);
	return label ? ks_kdb_label(keep, ks_bytes_of(label)) : KS_NONE;
}
