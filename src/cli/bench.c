/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystow token bench: how fast a token is.
 */
#include "token.h"
#include "commands.h"
#include "token_where.h"
#include "where.h"

#define USUAL_SECONDS 2

static void measure_tell(struct run *run, const struct ks_measure *measure)
{
	double rate = measure->seconds > 0 ? (double)measure->count / measure->seconds : 0;

	if (run->out.json)
		out_value(&run->out, NULL,
			  json_pack("{s:s,s:s,s:I,s:f,s:f}", "what", measure->what, "title", measure->title, "count",
				    (json_int_t)measure->count, "seconds", measure->seconds, "per_second", rate));
	else if (measure->count == 1)
		out_line(&run->out, "%-8s %-12s %8.1f ms", measure->what, measure->title, measure->seconds * 1000);
	else
		out_line(&run->out, "%-8s %-12s %8.0f a second (%zu in %.2f s)", measure->what, measure->title, rate,
			 measure->count, measure->seconds);
}

int token_bench_run(struct run *run)
{
	ks_auto(where) where = NULL;
	const struct ks_bench_wish wish = { run->options->seconds ? run->options->seconds : USUAL_SECONDS, run->options->write };
	struct ks_measures measures = { .count = 0 };
	int rc = token_where(&where, run, run->options->pin_source);

	if (rc == 0 && ks_where_names_entry(where) && wish.write)
		rc = ks_hint(run->ctx, ks_fail(run->ctx, KS_EUSAGE, "a key that is named signs by itself, and --write makes others"),
			     "leave one of the two out");
	if (rc == 0)
		rc = ks_token_bench(&measures, run->ctx, where, &wish);
	out_open(&run->out, "measures", '[');
	for (size_t i = 0; i < measures.count; i++)
		measure_tell(run, &measures.list[i]);
	out_close(&run->out);
	if (rc == 0 && !wish.write && !ks_where_names_entry(where))
		run_say(run, "nothing signed: name a key (object=LABEL), or let --write make some and remove them again");
	return rc;
}
