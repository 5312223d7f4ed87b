#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# man.sh KEYSTOW SCDOC HEAD TAIL OUTPUT: puts the program's own lists between the written parts of the man page.
set -eu
source=$5.scd
{
  cat "$3"
  "$1" help --man-options
  cat "$4"
} >"$source"
"$2" <"$source" >"$5"
rm -f "$source"
