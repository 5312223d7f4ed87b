/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a library by its name and version, and its functions all at once, so that a half-fitting one is not half used.
 */
#include "library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

bool ks_library_load(void *table, const char *file, const struct ks_symbol *symbols, size_t count,
		     char why[KS_LIBRARY_WHY])
{
	void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	size_t found = 0;

	while (library && found < count) {
		void *symbol = dlsym(library, symbols[found].name);

		if (!symbol)
			break;
		memcpy((char *)table + symbols[found++].place, &symbol, sizeof(symbol));
	}
	if (library && found == count)
		return true;
	snprintf(why, KS_LIBRARY_WHY, "%s", dlerror());
	return false;
}
