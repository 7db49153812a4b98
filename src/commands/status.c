/* status.c - who holds a lock, since when and why, and who waits for it */
#include "base/duration.h"
#include "base/escape.h"
#include "commands/commands.h"
#include "commands/report.h"
#include "commands/session.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One lock as it was found. */
struct sight {
	const char *name; /* not owned */
	bool held;
	bool asked; /* whether the token given holds it */
	bool mine;  /* and it does */
	msec seen;  /* wall clock */
	struct holder holder;
	struct waiters waiters;
};

/* --- JSON ------------------------------------------------------------- */

/* user and host split at the last '@'; without one both are null. */
static void print_owner(struct json *json, const char *owner)
{
	const char *at = owner ? strrchr(owner, '@') : NULL;

	json_string(json, "owner", owner);
	json_text(json, "user", at ? owner : NULL,
		  at ? (size_t)(at - owner) : 0);
	json_string(json, "host", at ? at + 1 : NULL);
}

static void print_claims(struct json *json, const struct sight *sight)
{
	const struct token_fields *f = &sight->holder.fields;
	char time[REPORT_TIME_MAX];
	msec held = sight->seen - f->since;

	print_owner(json, f->owner);
	json_number(json, "pid", f->pid);
	json_string(json, "message", f->message);
	json_string(json, "acquired_at", report_rfc3339(time, f->since));
	json_number(json, "held_ms", held < 0 ? 0 : held);
	json_number(json, "ttl_ms", f->ttl);
}

static void print_no_claims(struct json *json)
{
	static const char *const keys[] = { "owner",   "user",	  "host",
					    "pid",     "message", "acquired_at",
					    "held_ms", "ttl_ms" };
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		json_null(json, keys[i]);
}

static void print_waiters(struct json *json, const struct waiters *waiters)
{
	char time[REPORT_TIME_MAX];
	size_t i;

	json_array_begin(json, "waiters");
	for (i = 0; i < waiters->told; i++) {
		const struct waiter *w = &waiters->list[i];

		json_object_begin(json);
		print_owner(json, w->known ? w->fields.owner : NULL);
		if (w->known) {
			report_rfc3339(time, w->fields.since);
			json_number(json, "pid", w->fields.pid);
		} else {
			json_null(json, "pid");
		}
		json_string(json, "since", w->known ? time : NULL);
		json_number(json, "place", (long long)i + 1);
		json_object_end(json);
	}
	json_array_end(json);
}

static void print_json(const struct session *session, const struct sight *sight)
{
	const struct holder *holder = &sight->holder;
	bool whole = sight->held && holder->len <= TOKEN_MAX;
	struct json json;

	json_begin(&json, stdout);
	json_string(&json, "name", sight->name);
	json_string(&json, "state", sight->held ? "held" : "free");
	json_string(&json, "format",
		    !sight->held      ? NULL
		    : holder->foreign ? "foreign"
				      : "rlock1");
	if (sight->held && !holder->foreign)
		print_claims(&json, sight);
	else
		print_no_claims(&json);
	if (sight->held && holder->expires_in >= 0)
		json_number(&json, "expires_in_ms", holder->expires_in);
	else
		json_null(&json, "expires_in_ms");
	if (sight->held && holder->fence)
		json_number(&json, "fence", (long long)holder->fence);
	else
		json_null(&json, "fence");
	json_text(&json, "token", whole ? holder->value : NULL, holder->len);
	if (sight->asked)
		json_bool(&json, "mine", sight->mine);
	print_waiters(&json, &sight->waiters);
	json_string(&json, "server", servers_name(&session->servers));
	json_end(&json);
}

/* --- the table -------------------------------------------------------- */

enum {
	NAME,
	STATE,
	OWNER,
	PID,
	SINCE,
	EXPIRES,
	WAITERS,
	MESSAGE,
	COLUMNS
};

static const char *const titles[COLUMNS] = {
	"NAME",	 "STATE",      "OWNER",	  "PID",
	"SINCE", "EXPIRES IN", "WAITERS", "MESSAGE",
};

struct table {
	char *(*rows)[COLUMNS]; /* owned, and so is each cell */
	size_t count;
	size_t width[COLUMNS];
};

static char *escaped(const char *text, size_t len)
{
	size_t size = 4 * len + 8;
	char *buf = malloc(size);

	if (buf)
		escape_display(buf, size, text, len);
	return buf;
}

/* Who it is: the cells that a holder and a waiter have alike. */
static void fill_claims(char *row[COLUMNS], const struct token_fields *f)
{
	char time[REPORT_TIME_MAX];
	char pid[24];

	snprintf(pid, sizeof(pid), "%ld", f->pid);
	row[OWNER] = escaped(f->owner, strlen(f->owner));
	row[PID] = strdup(pid);
	row[SINCE] = strdup(report_local_time(time, f->since));
	row[MESSAGE] = escaped(f->message, strlen(f->message));
}

static void fill_row(char *row[COLUMNS], const struct sight *sight)
{
	const struct holder *holder = &sight->holder;
	char left[DURATION_TEXT_MAX];
	char count[24];
	char who[REPORT_HOLDER_MAX];

	snprintf(count, sizeof(count), "%zu", sight->waiters.count);
	if (sight->waiters.count)
		row[WAITERS] = strdup(count);
	row[NAME] = escaped(sight->name, strlen(sight->name));
	row[STATE] = strdup(sight->mine	  ? "mine"
			    : sight->held ? "held"
					  : "free");
	if (!sight->held)
		return;
	row[EXPIRES] =
		strdup(holder->expires_in < 0
			       ? "never"
			       : duration_format(left, holder->expires_in));
	if (holder->foreign)
		row[OWNER] = strdup(report_who(who, holder));
	else
		fill_claims(row, &holder->fields);
}

/* A new row, empty; NULL without memory. */
static char **new_row(struct table *table)
{
	char *(*rows)[COLUMNS] =
		realloc(table->rows, (table->count + 1) * sizeof(*rows));

	if (!rows)
		return NULL;
	table->rows = rows;
	return memset(rows[table->count++], 0, sizeof(*rows));
}

static void measure(struct table *table, char *const row[COLUMNS])
{
	int i;

	for (i = 0; i < COLUMNS; i++) {
		size_t width = row[i] ? escape_columns(row[i]) : 1;

		if (width > table->width[i])
			table->width[i] = width;
	}
}

/* A row for the lock, and one for each of those who wait for it: their state is
 * their place in the line. */
static bool table_add(struct table *table, const struct sight *sight)
{
	char nth[REPORT_ORDINAL_MAX];
	char **row = new_row(table);
	size_t i;

	if (!row)
		return false;
	fill_row(row, sight);
	measure(table, row);
	for (i = 0; i < sight->waiters.told; i++) {
		row = new_row(table);
		if (!row)
			return false;
		row[NAME] = escaped(sight->name, strlen(sight->name));
		row[STATE] = strdup(report_ordinal(nth, i + 1));
		if (sight->waiters.list[i].known)
			fill_claims(row, &sight->waiters.list[i].fields);
		measure(table, row);
	}
	return true;
}

/* One cell; the last is not padded. */
static void print_cell(const struct table *table, int column, const char *text)
{
	size_t width = escape_columns(text);

	fputs(text, stdout);
	if (column == COLUMNS - 1)
		putchar('\n');
	else
		printf("%*s", (int)(table->width[column] - width + 2), "");
}

static void table_print(struct table *table)
{
	bool colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	size_t i;
	int c;

	for (c = 0; table->count && c < COLUMNS; c++) {
		if (strlen(titles[c]) > table->width[c])
			table->width[c] = strlen(titles[c]);
		print_cell(table, c, titles[c]);
	}
	for (i = 0; i < table->count; i++) {
		for (c = 0; c < COLUMNS; c++) {
			char *cell = table->rows[i][c];
			bool lit = colour && c == STATE && isalpha(*cell) &&
				   *cell != 'f';

			if (lit)
				fputs("\033[33m", stdout);
			print_cell(table, c, cell && *cell ? cell : "-");
			if (lit)
				fputs("\033[m", stdout);
			free(cell);
		}
	}
	free(table->rows);
}

/* --- looking ---------------------------------------------------------- */

struct report {
	struct table table;
	size_t held;   /* of those that count: see conclude */
	size_t looked; /* at how many */
};

/* Looks at one lock and reports it; listing: unless it is free.  STATUS_OK, or
 * what went wrong, reported. */
static int look_at(struct session *session, const char *name, bool listing,
		   struct report *report)
{
	const struct token *token = &session->lock.token;
	const char *only = session->options->token_of;
	struct sight *sight = calloc(1, sizeof(*sight));
	int status = STATUS_OK;
	enum lock_outcome outcome;
	struct error err;

	if (!sight) {
		error_set(&err, STATUS_SYSTEM, "out of memory");
		return report_failure(name, &err);
	}
	session_turn_to(session, name);
	outcome = lock_look(&session->lock, CLOCK_NEVER, &sight->holder,
			    &sight->waiters, &err);
	sight->name = name;
	sight->seen = clock_wall();
	sight->held = outcome == LOCK_HELD;
	sight->asked = token->len && (!only || !*only || !strcmp(only, name));
	sight->mine = sight->held && sight->asked &&
		      holder_is(&sight->holder, token->text, token->len);
	report->looked++;
	report->held += sight->asked ? sight->mine : sight->held;
	if (outcome == LOCK_FAILED || outcome == LOCK_NO_LOCK)
		status = report_failure(name, &err);
	else if (listing && !sight->held)
		;
	else if (session->options->json)
		print_json(session, sight);
	else if (!table_add(&report->table, sight))
		status = STATUS_SYSTEM;
	lock_waiters_release(&sight->waiters);
	free(sight);
	return status;
}

/* Looks at all of them; the first failure is the status, but the others are
 * still looked at: one bad key says nothing of the next, but a server that is
 * gone does. */
static int look_at_all(struct session *session, const char *const *names,
		       bool listing, struct report *report)
{
	const char *glob = session->options->match;
	int status = STATUS_OK;

	for (; *names; names++) {
		int one;

		if (glob && fnmatch(glob, *names, 0))
			continue;
		one = look_at(session, *names, listing, report);
		if (status == STATUS_OK)
			status = one;
		if (one == STATUS_UNAVAILABLE)
			break;
	}
	return status;
}

/* The exit status when nothing went wrong; with a token, only locks that it
 * holds count. */
static int conclude(const struct session *session, const struct report *report)
{
	const char *server = servers_name(&session->servers);
	bool token = session->lock.token.len != 0;
	const char *only = session->options->name;
	char name[REPORT_NAME_MAX];

	if (report->held)
		return STATUS_OK;
	if (session->options->match)
		report_notice("no lock on '%s' that matches is held", server);
	else if (only && report->looked == 1)
		report_notice("%s on '%s' is not held%s",
			      report_name(name, only), server,
			      token ? " with this token" : "");
	else
		report_notice("no lock on '%s' is held%s", server,
			      token ? " with this token" : "");
	return STATUS_NO;
}

static int show(struct session *session)
{
	const struct options *o = session->options;
	struct report report = { .looked = 0 };
	struct error err;
	char **all = NULL;
	int status;

	if (!session_load_token(session, &err) && err.status != STATUS_OK)
		return report_failure(o->name, &err);
	if (!o->name) {
		all = lock_names(&session->servers, &err);
		if (!all)
			return report_failure(NULL, &err);
	}
	status = look_at_all(session, all ? (const char *const *)all : o->names,
			     all != NULL, &report);
	table_print(&report.table);
	if (!report_flush(NULL))
		status = STATUS_IO;
	if (status == STATUS_OK)
		status = conclude(session, &report);
	lock_names_free(all);
	return status;
}

int command_status(const struct options *options, int *death)
{
	struct session session;
	int status;

	(void)death;
	session_open(&session, options, options->name ? options->name : "", -1);
	status = show(&session);
	session_close(&session);
	return status;
}
