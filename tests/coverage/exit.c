/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters of a program that leaves by _exit.
 *
 * A command whose module hangs or crashes ends there and then, before the counters of a coverage build are written, and the lines
 * that end it would look as if no test had run them. Only such a build has this file; the linker puts it before _exit.
 */
#include <gcov.h>
#include <stdnoreturn.h>

noreturn void __real__exit(int code);
noreturn void __wrap__exit(int code);

noreturn void __wrap__exit(int code)
{
	__gcov_dump();
	__real__exit(code);
}
