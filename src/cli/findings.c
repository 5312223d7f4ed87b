/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Findings of verify and lint in the document.
 */
#include "findings.h"
#include "out.h"

json_t *findings_json(const struct ks_findings *findings)
{
	json_t *list = json_array();

	for (size_t i = 0; i < findings->count; i++) {
		const struct ks_finding *finding = &findings->findings[i];
		json_t *object = json_object();

		out_set_text(object, "check", finding->check);
		out_set_text(object, "code", finding->code);
		json_object_set_new(object, "ok", json_boolean(finding->status == 0));
		out_set_text(object, "text", finding->text);
		out_set_text(object, "hint", finding->hint && *finding->hint ? finding->hint : NULL);
		json_array_append_new(list, object);
	}
	return list;
}
