/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shared library that is loaded when its first function is wanted, because most commands never want it and would pay for it at
 * every start. What is called through such a table has the types of the library's own header.
 */
#ifndef KS_LIBRARY_H
#define KS_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

struct ks_symbol {
	const char *name;
	size_t place; /* of its pointer in the table */
};

#define KS_LIBRARY_WHY 256

/*
 * Fills the pointers of `table`. False when the library or one of the functions is missing, and `why` says what the system says.
 * The library stays loaded until the process ends; callers see to it that they ask once.
 */
bool ks_library_load(void *table, const char *file, const struct ks_symbol *symbols, size_t count,
		     char why[KS_LIBRARY_WHY]);

#endif
