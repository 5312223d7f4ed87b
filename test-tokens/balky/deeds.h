/* SPDX-License-Identifier: Apache-2.0 */
/* What a module can do to the process that loaded it, by name. */
#ifndef BALKY_DEEDS_H
#define BALKY_DEEDS_H

/* Does it; a name that is not known ends the process loudly. */
void deed_do(const char *name);

#endif
