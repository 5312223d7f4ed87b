/* SPDX-License-Identifier: Apache-2.0 */
/* keystow copy where one of the two is a data object of a token, and the other a file. */
#ifndef CLI_COPY_DATA_H
#define CLI_COPY_DATA_H

#include "run.h"
#include "where.h"

int copy_data_in(struct run *run, const struct ks_where *from, const struct ks_where *to);
int copy_data_out(struct run *run, const struct ks_where *from, const struct ks_where *to);

#endif
