/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows under headings. On a terminal, and up to 500 rows, libsmartcols lays them out; otherwise each row leaves at
 * once as cells separated by tabs, without headings, for cut, awk and sort.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "out.h"

#define TABLE_COLUMNS 8

struct table;

/* `headings` ends with NULL, at most TABLE_COLUMNS of them. NULL without memory. */
struct table *table_new(struct out *out, const char *const *headings);
/* One row; `cells` in the order of the headings, NULL = empty; text from outside is escaped here. `level` 0
 * stands at the left, 1 under the last row of level 0, and so on. */
void table_row(struct table *table, const char *const *cells, unsigned level);
/* Prints what was held back and frees. Accepts NULL. */
void table_end(struct table *table);
static inline void table_endp(struct table **table)
{
	table_end(*table);
}
#define auto_table __attribute__((cleanup(table_endp))) struct table

#endif
