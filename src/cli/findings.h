/* SPDX-License-Identifier: Apache-2.0 */
/* What was found out about entries, as a list of the schema. */
#ifndef CLI_FINDINGS_H
#define CLI_FINDINGS_H

#include "check.h"

#include <jansson.h>

json_t *findings_json(const struct ks_findings *findings);

#endif
