/* SPDX-License-Identifier: Apache-2.0 */
/* What --subject and --san say, understood. */
#ifndef CLI_WISHES_H
#define CLI_WISHES_H

#include "run.h"
#include "altname.h"
#include "name.h"

/* KS_EUSAGE when there is no --subject. */
int wishes_subject(X509_NAME **out, struct run *run);
/* Adds each --san; free with ks_altnames_free, also on failure. */
int wishes_names(struct ks_altnames *names, struct run *run);

#endif
