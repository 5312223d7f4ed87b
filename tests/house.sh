#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Rules of the house that a compiler does not know. Prints each offence and exits 1.
set -u
cd "$(dirname "$0")/.." || exit 1
bad=0

# offence WHAT: every line on standard input is one.
offence() {
  local lines
  lines=$(cat)
  [ -z "$lines" ] && return
  printf '%s:\n%s\n' "$1" "$lines"
  bad=1
}

code() { git ls-files 'src/*.[ch]' 'engines/*.[ch]' 'include/*.h'; }

code | xargs -r grep -LE 'SPDX-License-Identifier: Apache-2.0' | offence "no SPDX line"
code | xargs -r grep -nE '#include "\.\./' | offence "an include that climbs out of its room"
code | grep -vE '^src/base/(disk(_[a-z]+)?|folder)\.c$' |
  xargs -r grep -nE '\b(creat|fopen|mkstemp|mkostemp|rename|renameat|renameat2|ftruncate|truncate|linkat|unlink)\(|\bO_(WRONLY|RDWR|TRUNC|CREAT|TMPFILE)\b' |
  grep -vE ':[[:space:]]*(/?\*|//)' | grep -vF -f tests/house.allowed | offence "a file is opened for writing outside src/base/disk*.c and folder.c"
code | xargs -r grep -nE '\b(strcpy|strcat|sprintf|vsprintf|strtok|gmtime|localtime|ctime|asctime|rand|srand|mktemp|tmpnam|system|popen|gets)\(' |
  offence "a banned function"
code | xargs -r grep -nE '\bgoto\b' | grep -vE ':[[:space:]]*\*' | offence "goto"
code | xargs -r grep -nE '\b(TODO|FIXME|XXX)\b' | offence "an open end"
git ls-files | grep -E '(^|/)(util|utils|common|misc|types|helpers)\.[ch]$' | offence "a file without a subject"
exit $bad
