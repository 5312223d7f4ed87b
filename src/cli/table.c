/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables: held back for libsmartcols while they are small and meant for a person, streamed otherwise.
 */
#include "table.h"
#include "term.h"
#include "text.h"

#include <libsmartcols.h>
#include <locale.h>
#include <string.h>
#include <unistd.h>

#define HELD_ROWS 500
#define WIDEST 8192 /* columns; longer lines are folded by the terminal */
#define ROW_BYTES (1u << 20)

struct row {
	char *cells[TABLE_COLUMNS];
	unsigned level;
};

struct table {
	struct out *out;
	const char *const *headings;
	size_t columns;
	bool holding; /* rows are kept for a layout */
	bool tree; /* a row stands under another */
	struct row *rows;
	size_t count, capacity;
};

struct table *table_new(struct out *out, const char *const *headings)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->out = out;
	table->headings = headings;
	while (table->columns < TABLE_COLUMNS && headings[table->columns])
		table->columns++;
	table->holding = isatty(fileno(out->to)) == 1;
	return table;
}

static void row_clear(struct row *row)
{
	for (size_t i = 0; i < TABLE_COLUMNS; i++)
		free(row->cells[i]);
}

/* One line, cells apart by tabs; deeper levels begin with a mark so that the order still tells the tree. */
static void row_stream(struct table *table, const char *const *cells, unsigned level)
{
	ks_auto(buffer) line = ks_buffer_new(ROW_BYTES);

	if (!line)
		return;
	while (level--)
		ks_buffer_text(line, "> ");
	for (size_t i = 0; i < table->columns; i++) {
		if (i)
			ks_buffer_text(line, "\t");
		ks_text_shown(line, ks_bytes_of(cells[i] && *cells[i] ? cells[i] : "-"));
	}
	ks_buffer_text(line, "\n");
	out_raw(table->out, ks_buffer_bytes(line));
}

/* Too many rows for a layout: what was held leaves first. */
static void stop_holding(struct table *table)
{
	table->holding = false;
	for (size_t i = 0; i < table->count; i++) {
		row_stream(table, (const char *const *)table->rows[i].cells, table->rows[i].level);
		row_clear(&table->rows[i]);
	}
	table->count = 0;
}

void table_row(struct table *table, const char *const *cells, unsigned level)
{
	struct row *row;

	if (!table || table->out->json || table->out->quiet)
		return;
	if (table->holding && (table->count == HELD_ROWS ||
			       ks_array_grow(&table->rows, &table->capacity, table->count + 1, sizeof(*table->rows))))
		stop_holding(table);
	if (!table->holding) {
		row_stream(table, cells, level);
		return;
	}
	row = &table->rows[table->count++];
	memset(row, 0, sizeof(*row));
	row->level = level;
	table->tree |= level > 0;
	for (size_t i = 0; i < table->columns; i++)
		row->cells[i] = ks_text_show(ks_bytes_of(cells[i] ? cells[i] : ""));
}

/* ---- the layout ---- */

static void line_fill(struct libscols_line *line, const struct table *table, const struct row *row)
{
	for (size_t i = 0; i < table->columns; i++) {
		scols_line_set_data(line, i, row->cells[i]);
		if (row->cells[i] && row->cells[i][0] == '!')
			scols_cell_set_color(scols_line_get_cell(line, i), "red");
	}
}

static void lay_out(struct table *table)
{
	struct libscols_table *layout;
	struct libscols_line *above[8] = { NULL };

	setlocale(LC_CTYPE, "");
	layout = scols_new_table();
	if (!layout)
		return;
	scols_table_set_stream(layout, table->out->to);
	scols_table_set_termforce(layout, SCOLS_TERMFORCE_ALWAYS);
	scols_table_set_termwidth(layout, WIDEST); /* addresses are not cut: a cut one cannot be copied */
	scols_table_enable_colors(layout, term_colour(table->out->to));
	for (size_t i = 0; i < table->columns; i++) {
		struct libscols_column *column =
			scols_table_new_column(layout, table->headings[i], 0, i == 0 && table->tree ? SCOLS_FL_TREE : 0);

		if (column)
			scols_column_set_safechars(column, "\\"); /* cells are escaped already */
	}
	for (size_t i = 0; i < table->count; i++) {
		unsigned level = table->rows[i].level < 7 ? table->rows[i].level : 7;
		struct libscols_line *line = scols_table_new_line(layout, level ? above[level - 1] : NULL);

		if (!line)
			break;
		line_fill(line, table, &table->rows[i]);
		for (unsigned l = level; l < 8; l++)
			above[l] = line;
	}
	scols_print_table(layout);
	scols_unref_table(layout);
}

void table_end(struct table *table)
{
	if (!table)
		return;
	if (table->count)
		lay_out(table);
	for (size_t i = 0; i < table->count; i++)
		row_clear(&table->rows[i]);
	free(table->rows);
	free(table);
}
