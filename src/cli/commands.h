/* SPDX-License-Identifier: Apache-2.0 */
/* One function for each command, each in a file of that name, and the texts that are made from the tables. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "run.h"

int list_run(struct run *run);
int show_run(struct run *run);
int find_run(struct run *run);
int diff_run(struct run *run);
int verify_run(struct run *run);
int lint_run(struct run *run);
int new_run(struct run *run);
int generate_run(struct run *run);
int request_run(struct run *run);
int enroll_run(struct run *run);
int copy_run(struct run *run);
int install_run(struct run *run);
int remove_run(struct run *run);
int rename_run(struct run *run);
int passwd_run(struct run *run);
int merge_run(struct run *run);
int rollback_run(struct run *run);
int ca_init_run(struct run *run);
int ca_sign_run(struct run *run);
int ca_list_run(struct run *run);
int token_list_run(struct run *run);
int token_info_run(struct run *run);
int token_init_run(struct run *run);
int token_pin_run(struct run *run);
int token_doctor_run(struct run *run);
int token_bench_run(struct run *run);
int token_backup_run(struct run *run);
int token_restore_run(struct run *run);
int token_twin_run(struct run *run);
int token_register_run(struct run *run);
int help_run(struct run *run);
int completion_run(struct run *run);

/* Help on a command, or on keystow when NULL. */
void help_command(struct out *out, const struct command *command);
/* The commands and options as scdoc, for the man page. */
void help_man(struct out *out);

#endif
